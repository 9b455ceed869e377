/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * CRC32C through ISA-L, its plain twin, and the slot CRC16.
 */
#include "base/crc.h"

#include <isa-l.h>
#include <limits.h>

uint32_t crc_more(uint32_t crc, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint32_t state = ~crc;
    while (bytes > 0) {
        int part = bytes > INT_MAX ? INT_MAX : (int)bytes;
        /* ISA-L takes a pointer to non-const bytes and does not write them */
        state = crc32_iscsi((unsigned char *)(uintptr_t)at, part, state);
        at += part;
        bytes -= (size_t)part;
    }
    return ~state;
}

uint32_t crc_of(const void *data, size_t bytes)
{
    return crc_more(0, data, bytes);
}

uint32_t crc_more_plain(uint32_t crc, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint32_t state = ~crc;
    for (size_t i = 0; i < bytes; i++) {
        state ^= at[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            state = (state >> 1) ^ (0x82f63b78u & (0u - (state & 1u)));
        }
    }
    return ~state;
}

/* Half a byte at a time: each entry is what the polynomial 0x1021 leaves of those four bits. */
uint16_t crc16_of(const void *data, size_t bytes)
{
    static const uint16_t left[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                      0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                      0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    const unsigned char *at = data;
    uint32_t state = 0;
    for (size_t i = 0; i < bytes; i++) {
        state = (state << 4 & 0xffffu) ^ left[(state >> 12 ^ at[i] >> 4) & 0xfu];
        state = (state << 4 & 0xffffu) ^ left[(state >> 12 ^ at[i]) & 0xfu];
    }
    return (uint16_t)state;
}
