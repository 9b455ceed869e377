/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Multiply-and-mix hashing over eight-byte words. Each lane is a polynomial-like chain of
 * mix(state ^ word) steps, so every input bit reaches every output bit.
 */
#include "base/hash.h"

#include "base/num.h"

#define HASH_ODD_LOW 0xd6e8feb86659fd93u
#define HASH_ODD_HIGH 0xca5a826395121157u

/* returns: the last bytes of v beyond its whole words, as a word that is filled up with zeros. */
static uint64_t hash_tail(struct bytes v)
{
    size_t left = v.size % 8;
    if (left == 0) {
        return 0; /* there may be no data at all */
    }
    const uint8_t *at = v.data + v.size - left;
    if (v.size >= 8) {
        return num_get_u64(at + left - 8) >> (64 - 8 * left);
    }
    uint64_t tail = 0;
    for (unsigned i = 0; i < left; i++) {
        tail |= (uint64_t)at[i] << 8 * i;
    }
    return tail;
}

static uint64_t hash_chain(uint64_t state, struct bytes v, uint64_t odd)
{
    for (size_t at = 0; at + 8 <= v.size; at += 8) {
        state = hash_mix((state ^ num_get_u64(v.data + at)) * odd);
    }
    return hash_mix((state ^ hash_tail(v)) * odd + v.size);
}

uint64_t hash_of(struct bytes v, uint64_t seed)
{
    return hash_chain(seed + 0x9e3779b97f4a7c15u, v, HASH_ODD_LOW);
}

/* Both lanes of a digest, on with the chain of what came before. */
static struct hash_digest hash_lanes(struct hash_digest state, struct bytes v)
{
    for (size_t at = 0; at + 8 <= v.size; at += 8) {
        uint64_t word = num_get_u64(v.data + at);
        state.low = hash_mix((state.low ^ word) * HASH_ODD_LOW);
        state.high = hash_mix((state.high ^ word) * HASH_ODD_HIGH);
    }
    uint64_t tail = hash_tail(v);
    state.low = hash_mix((state.low ^ tail) * HASH_ODD_LOW + v.size);
    state.high = hash_mix((state.high ^ tail) * HASH_ODD_HIGH + v.size);
    return state;
}

struct hash_key hash_key_of(struct bytes key)
{
    const struct hash_digest from = {0x243f6a8885a308d3u, 0x13198a2e03707344u};
    return (struct hash_key){hash_lanes(from, key)};
}

void hash_digest_put(struct hash_digest *d, const struct hash_key *key, struct bytes value)
{
    struct hash_digest one = hash_lanes(key->state, value);
    d->low += one.low;
    d->high += one.high + (d->low < one.low);
}

void hash_digest_drop(struct hash_digest *d, const struct hash_key *key, struct bytes value)
{
    struct hash_digest one = hash_lanes(key->state, value);
    uint64_t borrow = d->low < one.low;
    d->low -= one.low;
    d->high -= one.high + borrow;
}

void hash_digest_add(struct hash_digest *d, struct bytes key, struct bytes value)
{
    const struct hash_key hashed = hash_key_of(key);
    hash_digest_put(d, &hashed, value);
}

void hash_digest_sub(struct hash_digest *d, struct bytes key, struct bytes value)
{
    const struct hash_key hashed = hash_key_of(key);
    hash_digest_drop(d, &hashed, value);
}
