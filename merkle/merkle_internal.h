/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic of tree positions and the making of proofs that the files of merkle/ share.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_MERKLE_MERKLE_INTERNAL_H
#define HOLDFAST_MERKLE_MERKLE_INTERNAL_H

#include "merkle/merkle.h"

#include <string.h>

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

/* returns: whether two hashes are equal. */
static inline bool merkle_same(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, MERKLE_HASH_BYTES) == 0;
}

/* returns: whether the proof is whole hashes, and few enough for any tree. */
static inline bool merkle_proof_fits(struct bytes proof, size_t hashes_max)
{
    return proof.size % MERKLE_HASH_BYTES == 0 && proof.size / MERKLE_HASH_BYTES <= hashes_max;
}

/* Appends the root over leaves [first, end) to the proof. */
int merkle_take_node(const struct merkle_tree *tree, uint64_t first, uint64_t end,
                     struct merkle_proof *proof);
/* Appends the siblings of node `index` of `level` and of all above it, from below. */
int merkle_take_path(const struct merkle_tree *tree, uint64_t index, unsigned level,
                     struct merkle_proof *proof);

#endif
