/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Multiply-and-mix hashing over eight-byte words. Each lane is a polynomial-like chain of
 * mix(state ^ word) steps, so every input bit reaches every output bit.
 */
#include "base/hash.h"

#include "base/num.h"

uint64_t hash_mix(uint64_t v)
{
    v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
    v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
    return v ^ (v >> 31);
}

static uint64_t hash_chain(uint64_t state, struct bytes v, uint64_t odd)
{
    size_t at = 0;
    for (; at + 8 <= v.size; at += 8) {
        state = hash_mix((state ^ num_get_u64(v.data + at)) * odd);
    }
    uint64_t tail = 0;
    for (unsigned shift = 0; at < v.size; at++, shift += 8) {
        tail |= (uint64_t)v.data[at] << shift;
    }
    return hash_mix((state ^ tail) * odd + v.size);
}

uint64_t hash_of(struct bytes v, uint64_t seed)
{
    return hash_chain(seed + 0x9e3779b97f4a7c15u, v, 0xd6e8feb86659fd93u);
}

static struct hash_digest hash_record(struct bytes key, struct bytes value)
{
    struct hash_digest one;
    one.low = hash_chain(hash_chain(0x243f6a8885a308d3u, key, 0xd6e8feb86659fd93u), value,
                         0xd6e8feb86659fd93u);
    one.high = hash_chain(hash_chain(0x13198a2e03707344u, key, 0xca5a826395121157u), value,
                          0xca5a826395121157u);
    return one;
}

void hash_digest_add(struct hash_digest *d, struct bytes key, struct bytes value)
{
    struct hash_digest one = hash_record(key, value);
    d->low += one.low;
    d->high += one.high + (d->low < one.low);
}

void hash_digest_sub(struct hash_digest *d, struct bytes key, struct bytes value)
{
    struct hash_digest one = hash_record(key, value);
    uint64_t borrow = d->low < one.low;
    d->low -= one.low;
    d->high -= one.high + borrow;
}
