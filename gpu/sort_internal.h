/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A stable sort of keys, each with the number of its place. A kernel writes the places, four a
 * thread, so that they need not come over the link; a library sorts.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_SORT_INTERNAL_H
#define HOLDFAST_GPU_SORT_INTERNAL_H

#include "gpu/kernel_internal.h"

#define GPU_SORT_PLACE_BYTES 4u

struct gpu_sort_pass {
    const uint8_t *keys; /* of 64 bits; these four at multiples of 16, with room up to one */
    uint8_t *sorted;     /* keys */
    uint8_t *order;      /* GPU_SORT_PLACE_BYTES each: places of the sorted keys */
    uint8_t *places;     /* likewise, in their order, for the kernel and the library */
    uint8_t *scratch;
    uint64_t scratch_bytes;
    uint32_t count; /* from 1 to GPU_ARRAY_MAX */
    uint32_t first; /* place of the first key */
};

static inline uint64_t gpu_sort_threads(const struct gpu_sort_pass *p)
{
    return ((uint64_t)p->count * GPU_SORT_PLACE_BYTES + GPU_UNIT_BYTES - 1) / GPU_UNIT_BYTES;
}

GPU_FN void gpu_sort_thread(const struct gpu_sort_pass *p, uint64_t thread)
{
    const uint32_t place = p->first + (uint32_t)thread * (GPU_UNIT_BYTES / GPU_SORT_PLACE_BYTES);
    gpu_unit_store(p->places + thread * GPU_UNIT_BYTES, place, place + 1, place + 2, place + 3);
}

#endif
