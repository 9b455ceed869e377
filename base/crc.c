/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * CRC32C through ISA-L, its plain twin, and the slot CRC16.
 */
#include "base/crc.h"

#include "base/num.h"
#include "base/simd.h"

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
    simd_leave();
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

/* Eight bytes at a time. The polynomial 0x1021 is x^16 + x^12 + x^5 + 1, so dividing X * x^16 by it
 * is dividing X by 1 + a, where a = x^-4 + x^-11 + x^-16, and 1/(1 + a) = (1 + a)(1 + a^2)(1 + a^4)
 * (1 + a^8)...: shifts to the right, and what falls below x^0 is no part of the quotient. Squares
 * over GF(2) have the exponents doubled. The remainder is the low end of the quotient times the
 * polynomial. No table is needed. */
static uint64_t crc16_word(uint64_t state, uint64_t word)
{
    uint64_t q = state << 48 ^ word;
    q ^= q >> 4 ^ q >> 11 ^ q >> 16;
    q ^= q >> 8 ^ q >> 22 ^ q >> 32;
    q ^= q >> 16 ^ q >> 44;
    q ^= q >> 32;
    return (q << 12 ^ q << 5 ^ q) & 0xffffu;
}

/* The bytes beyond whole words come first: zeros before them change nothing, as it begins at 0. */
uint16_t crc16_of(const void *data, size_t bytes)
{
    const unsigned char *at = data;
    size_t first = bytes % 8;
    uint64_t word = 0;
    if (bytes >= 8) {
        word = first > 0 ? num_get_u64_be(at) >> (64 - 8 * first) : 0;
    } else {
        for (size_t i = 0; i < first; i++) {
            word = word << 8 | at[i];
        }
    }
    uint64_t state = crc16_word(0, word);
    for (size_t i = first; i < bytes; i += 8) {
        state = crc16_word(state, num_get_u64_be(at + i));
    }
    return (uint16_t)state;
}
