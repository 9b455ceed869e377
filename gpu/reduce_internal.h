/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What an array of numbers of 64 bits is reduced with: a value as a pair, and two pairs as one, in
 * any order. A library joins them on a device (driver_cub.cu), a loop in the tests.
 *
 *   sum           upper and lower 32 bits of the values, each added up for itself: no such sum of
 *                 GPU_ARRAY_MAX values leaves 64 bits
 *   least, most   key and place; of equal keys the first place. Keys are those of compute/range.h.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_REDUCE_INTERNAL_H
#define HOLDFAST_GPU_REDUCE_INTERNAL_H

#include "gpu/gpu.h"
#include "gpu/kernel_internal.h"

#include <stdbool.h>

/* Records of one piece of an array, whatever is done with them. */
#define GPU_ARRAY_MAX (1u << 30)

struct gpu_pair {
    uint64_t first;
    uint64_t second;
};

struct gpu_reduce_pass {
    const uint8_t *values; /* at a multiple of 16 */
    uint8_t *result;       /* a pair; likewise */
    uint8_t *scratch;
    uint64_t scratch_bytes;
    uint32_t count; /* from 1 to GPU_ARRAY_MAX */
    uint32_t fold;  /* enum gpu_fold */
    uint32_t of;    /* enum gpu_class */
};

/* returns: the key of a value, by which least and most compare; of a NaN what is beyond all others.
 */
GPU_FN uint64_t gpu_key_of(uint32_t of, bool is_most, uint64_t bits)
{
    const uint64_t sign = UINT64_C(1) << 63;
    const uint64_t infinity = UINT64_C(0x7ff) << 52;
    if (of == GPU_UNSIGNED) {
        return bits;
    }
    if (of == GPU_SIGNED) {
        return bits ^ sign;
    }
    if ((bits & ~sign) > infinity) {
        return is_most ? UINT64_MAX : 0;
    }
    return (bits & sign) != 0 ? ~bits : bits ^ sign;
}

/* The pair of no values. */
GPU_FN struct gpu_pair gpu_reduce_none(uint32_t fold)
{
    struct gpu_pair none = {0, 0};
    if (fold != GPU_FOLD_SUM) {
        none.first = fold == GPU_FOLD_LEAST ? UINT64_MAX : 0;
        none.second = UINT64_MAX;
    }
    return none;
}

GPU_FN struct gpu_pair gpu_reduce_of(uint32_t fold, uint32_t of, uint64_t bits, uint64_t place)
{
    struct gpu_pair pair = {bits >> 32, bits & UINT32_MAX};
    if (fold != GPU_FOLD_SUM) {
        pair.first = gpu_key_of(of, fold == GPU_FOLD_MOST, bits);
        pair.second = place;
    } else if (of == GPU_SIGNED && bits >> 63 != 0) {
        pair.first |= ~(uint64_t)UINT32_MAX;
    }
    return pair;
}

GPU_FN struct gpu_pair gpu_reduce_join(uint32_t fold, struct gpu_pair a, struct gpu_pair b)
{
    if (fold == GPU_FOLD_SUM) {
        a.first += b.first;
        a.second += b.second;
        return a;
    }
    const bool is_beyond = fold == GPU_FOLD_LEAST ? b.first < a.first : b.first > a.first;
    return is_beyond || (b.first == a.first && b.second < a.second) ? b : a;
}

#endif
