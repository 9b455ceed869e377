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

/* Two bytes at a time. Dividing them by the polynomial 0x1021 (bits 12, 5 and 0) gives a quotient
 * that is itself with its upper bits folded into the lower ones, by 4 and by 11 places, until none
 * are left; the remainder has it at those three places. No table is needed. */
static uint32_t crc16_pair(uint32_t state, uint32_t pair)
{
    uint32_t x = state ^ pair;
    uint32_t quotient = x ^ x >> 4 ^ x >> 8 ^ x >> 11 ^ x >> 12;
    return (quotient << 12 ^ quotient << 5 ^ quotient) & 0xffffu;
}

uint16_t crc16_of(const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint32_t state = 0;
    for (; bytes >= 2; bytes -= 2, at += 2) {
        state = crc16_pair(state, (uint32_t)at[0] << 8 | at[1]);
    }
    if (bytes > 0) {
        uint32_t byte = (state >> 8 & 0xffu) ^ at[0];
        byte ^= byte >> 4;
        state = state << 8 ^ byte << 12 ^ byte << 5 ^ byte;
    }
    return (uint16_t)state;
}
