/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Hashes that are not for secrets: a fast 64-bit one for tables in memory, and the 128-bit one of
 * the additive state digest, whose values are stored and compared between nodes and so never
 * change.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_BASE_HASH_H
#define HOLDFAST_BASE_HASH_H

#include "base/bytes.h"

/* returns: a well-mixed 64-bit hash. It never changes: samples of programs are taken by it. */
uint64_t hash_of(struct bytes v, uint64_t seed);
/* returns: v mixed, a bijection (the finaliser of splitmix64). */
static inline uint64_t hash_mix(uint64_t v)
{
    v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
    return v ^ (v >> 31);
}

/* A sum of record hashes modulo 2^128 (two words): adding and removing records in any order gives
 * the same digest, so a whole state is summed in the transaction that changes it. */
struct hash_digest {
    uint64_t low;
    uint64_t high;
};

/* Adds or takes away one record. key, value: its two parts, told apart by their lengths. */
void hash_digest_add(struct hash_digest *d, struct bytes key, struct bytes value);
void hash_digest_sub(struct hash_digest *d, struct bytes key, struct bytes value);

/* The same for several values of one key, which is hashed once. */
struct hash_key {
    struct hash_digest state;
};
struct hash_key hash_key_of(struct bytes key);
void hash_digest_put(struct hash_digest *d, const struct hash_key *key, struct bytes value);
void hash_digest_drop(struct hash_digest *d, const struct hash_key *key, struct bytes value);

#endif
