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

/* A byte at a time. Dividing it by the polynomial 0x1021 (bits 12, 5 and 0) leaves its two halves
 * at those places, after the upper half was folded into the lower one; no table is needed. */
uint16_t crc16_of(const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint32_t state = 0;
    for (size_t i = 0; i < bytes; i++) {
        uint32_t byte = (state >> 8 & 0xffu) ^ at[i];
        byte ^= byte >> 4;
        state = state << 8 ^ byte << 12 ^ byte << 5 ^ byte;
    }
    return (uint16_t)state;
}
