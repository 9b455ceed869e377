/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic of tree positions that the files of merkle/ share.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_MERKLE_MERKLE_INTERNAL_H
#define HOLDFAST_MERKLE_MERKLE_INTERNAL_H

#include "merkle/merkle.h"

/* returns: the smallest power of two that is at least v. v: 1 .. 2^63. */
static inline uint64_t merkle_round_up_pow2(uint64_t v)
{
    uint64_t power = 1;
    while (power < v) {
        power <<= 1;
    }
    return power;
}

/* returns: the largest power of two that divides v. v: > 0. */
static inline uint64_t merkle_lowest_bit(uint64_t v)
{
    return v & (~v + 1);
}

#endif
