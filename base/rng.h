/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Seeded pseudo-random numbers: xoshiro256** 1.0 seeded by splitmix64 (Blackman and Vigna,
 * "Scrambled linear pseudorandom number generators", 2018). The same seed gives the same stream
 * on every machine. Never for keys or nonces.
 *
 * threads: one owner at a time.
 */
#ifndef HOLDFAST_BASE_RNG_H
#define HOLDFAST_BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* returns: an even choice from 0 to bound - 1. bound: > 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
/* returns: an even choice from low to high, both included. */
uint64_t rng_between(struct rng *r, uint64_t low, uint64_t high);
/* returns: true with probability numerator / denominator. */
bool rng_chance(struct rng *r, uint64_t numerator, uint64_t denominator);
void rng_fill(struct rng *r, void *into, size_t bytes);

#endif
