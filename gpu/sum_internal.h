/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums of doubles. As compute's vector kernels do, a value is cut at two fixed places and the
 * two pieces are added as whole numbers; that is exact for all values that lie within the window's
 * 102 bits (S. M. Rump, T. Ogita, S. Oishi, "Accurate floating-point summation part I", 2008,
 * section 3). Why, in short: s = value + M, M = 1.5 * 2^52 * unit, is rounded to a multiple of unit
 * as long as s keeps M's exponent field. Then s - M and value - (s - M) are exact, and the number
 * of units is the difference of the bits of s and M.
 *
 * A tile is 64 KiB. Of each, 32 threads take every 32nd unit of 16 bytes, so that what they read at
 * a time lies together; each writes the sums of its own pieces. A thread that met a value which
 * does not lie within the window says so instead, and the host adds the whole tile.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_SUM_INTERNAL_H
#define HOLDFAST_GPU_SUM_INTERNAL_H

#include "gpu/gpu.h"
#include "gpu/kernel_internal.h"

#include <string.h>

#define GPU_SUM_THREADS 32u /* of a tile */
#define GPU_SUM_UNITS 128u  /* of a thread: sums of 256 pieces below 2^52 stay below 2^60 */
#define GPU_SUM_TILE_BYTES ((uint64_t)GPU_SUM_THREADS * GPU_SUM_UNITS * GPU_UNIT_BYTES)
#define GPU_SUM_VALUES (2u * GPU_SUM_UNITS) /* of a thread */
/* What a thread writes: the sums of first and of second pieces, in units; or this as the first. */
#define GPU_SUM_OUTSIDE (UINT64_C(1) << 63)
#define GPU_SUM_RESULT_BYTES ((uint64_t)GPU_SUM_THREADS * GPU_UNIT_BYTES) /* of a tile */

struct gpu_sum_pass {
    const uint8_t *values; /* whole tiles, at a multiple of 16 */
    uint8_t *sums;         /* GPU_SUM_RESULT_BYTES a tile, likewise */
    uint64_t tiles;
    uint64_t bits1; /* of 1.5 * 2^52 * unit, as doubles, for both cuts */
    uint64_t bits2;
};

static inline uint64_t gpu_sum_threads(const struct gpu_sum_pass *p)
{
    return p->tiles * GPU_SUM_THREADS;
}

GPU_FN double gpu_double_of(uint64_t bits)
{
#ifdef __CUDA_ARCH__
    return __longlong_as_double((long long)bits);
#else
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
#endif
}

GPU_FN uint64_t gpu_bits_of(double value)
{
#ifdef __CUDA_ARCH__
    return (uint64_t)__double_as_longlong(value);
#else
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
#endif
}

struct gpu_sum_state {
    uint64_t sum1; /* of the bits of s, modulo 2^64 */
    uint64_t sum2;
    uint64_t outside; /* from bit 52 on: s left M's exponent */
    uint64_t left;    /* but for bit 63: bits below the second unit */
};

/* bits: a value's. */
GPU_FN void gpu_sum_add(struct gpu_sum_state *s, const struct gpu_sum_pass *p, uint64_t bits)
{
    const double value = gpu_double_of(bits);
    const double cut1 = gpu_double_of(p->bits1);
    const double cut2 = gpu_double_of(p->bits2);
    const double s1 = value + cut1;
    const double rest = value - (s1 - cut1);
    const double s2 = rest + cut2;
    s->sum1 += gpu_bits_of(s1);
    s->sum2 += gpu_bits_of(s2);
    s->outside |= gpu_bits_of(s1) ^ p->bits1;
    s->left |= gpu_bits_of(rest) ^ gpu_bits_of(s2 - cut2);
}

GPU_FN void gpu_sum_thread(const struct gpu_sum_pass *p, uint64_t thread)
{
    const uint64_t tile = thread / GPU_SUM_THREADS;
    const uint8_t *at =
        p->values + tile * GPU_SUM_TILE_BYTES + thread % GPU_SUM_THREADS * GPU_UNIT_BYTES;
    struct gpu_sum_state s = {0, 0, 0, 0};
    GPU_UNROLL_EIGHT
    for (unsigned i = 0; i < GPU_SUM_UNITS; i++) {
        const struct gpu_words x = gpu_unit_load(at + i * (GPU_SUM_THREADS * GPU_UNIT_BYTES));
        gpu_sum_add(&s, p, (uint64_t)x.w[1] << 32 | x.w[0]);
        gpu_sum_add(&s, p, (uint64_t)x.w[3] << 32 | x.w[2]);
    }
    s.sum1 -= GPU_SUM_VALUES * p->bits1;
    s.sum2 -= GPU_SUM_VALUES * p->bits2;
    if (s.outside >> 52 != 0 || s.left << 1 != 0) { /* zeros may differ in sign */
        s.sum1 = GPU_SUM_OUTSIDE;
    }
    gpu_unit_store(p->sums + thread * GPU_UNIT_BYTES, (uint32_t)s.sum1, (uint32_t)(s.sum1 >> 32),
                   (uint32_t)s.sum2, (uint32_t)(s.sum2 >> 32));
}

#endif
