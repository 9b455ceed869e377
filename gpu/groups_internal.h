/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What records with equal keys, one behind the other, are put together to: how many they are, and
 * the sum of their values, in halves as that of a reduction.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_GROUPS_INTERNAL_H
#define HOLDFAST_GPU_GROUPS_INTERNAL_H

#include "gpu/reduce_internal.h"

struct gpu_group_sum {
    uint64_t count;
    uint64_t high; /* of the upper 32 bits, two's complement */
    uint64_t low;
};
#define GPU_GROUP_SUM_BYTES 24u
#define GPU_GROUPS_FOUND_BYTES 4u

struct gpu_groups_pass {
    const uint8_t *keys;   /* of 64 bits; these and all others at multiples of 16 */
    const uint8_t *values; /* NULL: zeros */
    uint8_t *found;        /* GPU_GROUPS_FOUND_BYTES: how many groups there are */
    uint8_t *group_keys;
    uint8_t *sums; /* GPU_GROUP_SUM_BYTES each */
    uint8_t *scratch;
    uint64_t scratch_bytes;
    uint32_t count; /* from 1 to GPU_ARRAY_MAX */
    uint32_t of;    /* enum gpu_class, of whole numbers */
};

/* One record as a group. */
GPU_FN struct gpu_group_sum gpu_group_of(const uint8_t *values, uint32_t of, uint64_t place)
{
    struct gpu_group_sum sum = {1, 0, 0};
    if (values != NULL) {
        const struct gpu_pair pair =
            gpu_reduce_of(GPU_FOLD_SUM, of, gpu_word_load(values, place), place);
        sum.high = pair.first;
        sum.low = pair.second;
    }
    return sum;
}

GPU_FN struct gpu_group_sum gpu_group_join(struct gpu_group_sum a, struct gpu_group_sum b)
{
    a.count += b.count;
    a.high += b.high;
    a.low += b.low;
    return a;
}

#endif
