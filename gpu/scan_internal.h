/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a scan joins, and the look at its sums. Sums are modulo 2^64; whether one has left its range
 * is seen from it and the one before (compute/scan_internal.h). A tile is 1024 results. Of each, 32
 * threads look at every 32nd pair, so that what they read at a time lies together; each writes one
 * byte, 1 if one of its sums has left the range. The host looks for the first one where one is.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_SCAN_INTERNAL_H
#define HOLDFAST_GPU_SCAN_INTERNAL_H

#include "gpu/reduce_internal.h"

#define GPU_SCAN_THREADS 32u /* of a tile; bytes that they write, too */
#define GPU_SCAN_PAIRS 16u   /* of a thread */
#define GPU_SCAN_TILE_VALUES (2u * GPU_SCAN_THREADS * GPU_SCAN_PAIRS)

struct gpu_scan_pass {
    const uint8_t *values; /* at a multiple of 16 */
    uint8_t *results;      /* likewise */
    uint8_t *left;         /* of sums: GPU_SCAN_THREADS bytes a tile */
    uint8_t *scratch;
    uint64_t scratch_bytes;
    uint64_t carry; /* what all before come to */
    uint32_t count; /* from 1 to GPU_ARRAY_MAX */
    uint32_t fold;  /* enum gpu_fold */
    uint32_t of;    /* enum gpu_class, of whole numbers */
};

static inline uint64_t gpu_scan_tiles(const struct gpu_scan_pass *p)
{
    return (p->count + GPU_SCAN_TILE_VALUES - 1) / GPU_SCAN_TILE_VALUES;
}

/* Threads of the look. */
static inline uint64_t gpu_scan_threads(const struct gpu_scan_pass *p)
{
    return gpu_scan_tiles(p) * GPU_SCAN_THREADS;
}

GPU_FN uint64_t gpu_scan_join(uint32_t fold, uint32_t of, uint64_t a, uint64_t b)
{
    if (fold == GPU_FOLD_SUM) {
        return a + b;
    }
    if (fold == GPU_FOLD_OR) {
        return a | b;
    }
    const bool is_most = fold == GPU_FOLD_MOST;
    const bool is_below = gpu_key_of(of, is_most, a) < gpu_key_of(of, is_most, b);
    return is_below == is_most ? b : a;
}

/* returns: whether a sum has left its range, of which the one before had not. */
GPU_FN bool gpu_scan_leaves(uint32_t of, uint64_t before, uint64_t sum)
{
    const uint64_t value = sum - before;
    const uint64_t out = of == GPU_SIGNED ? (sum ^ before) & (sum ^ value)
                                          : (before & value) | ((before | value) & ~sum);
    return out >> 63 != 0;
}

GPU_FN void gpu_scan_thread(const struct gpu_scan_pass *p, uint64_t thread)
{
    const uint64_t first = thread / GPU_SCAN_THREADS * GPU_SCAN_TILE_VALUES;
    uint64_t place = first + 2 * (thread % GPU_SCAN_THREADS);
    uint8_t has_left = 0;
    GPU_UNROLL_EIGHT
    for (unsigned i = 0; i < GPU_SCAN_PAIRS; i++, place += 2 * (uint64_t)GPU_SCAN_THREADS) {
        if (place < p->count) {
            const uint64_t before = place == 0 ? p->carry : gpu_word_load(p->results, place - 1);
            const uint64_t sum = gpu_word_load(p->results, place);
            has_left |= gpu_scan_leaves(p->of, before, sum);
            if (place + 1 < p->count) {
                has_left |= gpu_scan_leaves(p->of, sum, gpu_word_load(p->results, place + 1));
            }
        }
    }
    p->left[thread] = has_left;
}

#endif
