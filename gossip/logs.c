/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Logarithms in integers. The mantissa in [1, 2) is squared again and again: each time the square
 * passes 2, the next bit of the logarithm is 1 (Knuth, The Art of Computer Programming, 1.2.2,
 * exercise 25).
 */
#include "gossip/gossip_internal.h"

uint32_t gossip_log2(uint64_t v)
{
    if (v == 0) {
        return 0;
    }
    uint32_t whole = 63u - (uint32_t)__builtin_clzll(v);
    /* the mantissa with 31 bits after the point */
    uint64_t m = whole > 31 ? v >> (whole - 31) : v << (31 - whole);
    uint32_t part = 0;
    for (unsigned bit = 0; bit < 16; bit++) {
        m = (m * m) >> 31;
        part <<= 1;
        if (m >= 1ull << 32) {
            m >>= 1;
            part |= 1;
        }
    }
    return (whole << 16) | part;
}

uint32_t gossip_log10(uint64_t v)
{
    return (uint32_t)(((uint64_t)gossip_log2(v) * 19728u) >> 16); /* log10(2) of 65,536 */
}
