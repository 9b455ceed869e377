/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * CRC32C (Castagnoli, as in RFC 3720): the checksum of every byte on disk and wire.
 * crc_of("123456789") is 0xe3069283.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_BASE_CRC_H
#define HOLDFAST_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* returns: the CRC32C of data. */
uint32_t crc_of(const void *data, size_t bytes);

/* returns: the CRC32C of what gave crc, followed by data. crc of nothing is 0. */
uint32_t crc_more(uint32_t crc, const void *data, size_t bytes);

/* returns: what crc_joined needs for so many bytes: x to the power of as many bits, modulo the
 * polynomial. Some ten products. */
uint32_t crc_shift(uint64_t bytes);

/* returns: the CRC32C of what gave crc, followed by bytes that gave more by themselves and shift by
 * their count. One product of 32 bits by 32, as a CRC is linear but for its beginning: source, M.
 * Adler's crc32_combine of zlib. */
uint32_t crc_joined(uint32_t crc, uint32_t more, uint32_t shift);

/* The plain C twin that tests compare crc_more with. */
uint32_t crc_more_plain(uint32_t crc, const void *data, size_t bytes);

/* CRC16 (XMODEM: polynomial 0x1021, from 0), the slot hash of Redis Cluster.
 * crc16_of("123456789") is 0x31c3. */
uint16_t crc16_of(const void *data, size_t bytes);

#endif
