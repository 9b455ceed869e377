/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * xoshiro256** with splitmix64 seeding.
 */
#include "base/rng.h"

#include "base/err.h"
#include "base/num.h"

#include <string.h>

static uint64_t rng_rotate(uint64_t v, unsigned bits)
{
    return (v << bits) | (v >> (64 - bits));
}

void rng_init(struct rng *r, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        r->state[i] = z ^ (z >> 31);
    }
}

uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->state;
    uint64_t result = rng_rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rng_rotate(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    ASSERT(bound > 0);
    /* values below the remainder of 2^64 / bound would favour the low results: drawn again */
    uint64_t floor = (0 - bound) % bound;
    uint64_t v = rng_next(r);
    while (v < floor) {
        v = rng_next(r);
    }
    return v % bound;
}

uint64_t rng_between(struct rng *r, uint64_t low, uint64_t high)
{
    ASSERT(low <= high);
    uint64_t span = high - low;
    return span == UINT64_MAX ? rng_next(r) : low + rng_below(r, span + 1);
}

bool rng_chance(struct rng *r, uint64_t numerator, uint64_t denominator)
{
    return rng_below(r, denominator) < numerator;
}

void rng_fill(struct rng *r, void *into, size_t bytes)
{
    uint8_t *at = into;
    while (bytes > 0) {
        uint8_t raw[8];
        size_t part = NUM_MIN(bytes, sizeof(raw));
        num_put_u64(raw, rng_next(r));
        memcpy(at, raw, part);
        at += part;
        bytes -= part;
    }
}
