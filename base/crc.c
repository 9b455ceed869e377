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

#define CRC_POLYNOMIAL 0x82f63b78u /* bits reversed, as all here: the greatest is x to the 0 */
#define CRC_ONE 0x80000000u

static uint32_t crc_times_x(uint32_t a)
{
    return (a >> 1) ^ (CRC_POLYNOMIAL & (0u - (a & 1u)));
}

/* Modulo the polynomial. */
static uint32_t crc_product(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = CRC_ONE; bit != 0; bit >>= 1) {
        product ^= b & (0u - (uint32_t)((a & bit) != 0));
        b = crc_times_x(b);
    }
    return product;
}

uint32_t crc_shift(uint64_t bytes)
{
    uint32_t power = CRC_ONE >> 8; /* of a byte */
    uint32_t shift = CRC_ONE;
    for (; bytes > 0; bytes >>= 1) {
        shift = (bytes & 1u) != 0 ? crc_product(shift, power) : shift;
        power = crc_product(power, power);
    }
    return shift;
}

uint32_t crc_joined(uint32_t crc, uint32_t more, uint32_t shift)
{
    return crc_product(crc, shift) ^ more;
}

uint32_t crc_more_plain(uint32_t crc, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint32_t state = ~crc;
    for (size_t i = 0; i < bytes; i++) {
        state ^= at[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            state = crc_times_x(state);
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
