/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What jobs over arrays share: how many records a lane takes, where their parts lie in it, and sums
 * of 128 bits.
 *
 * threads: as gpu.h says.
 */
#ifndef HOLDFAST_GPU_ENGINE_ARRAY_INTERNAL_H
#define HOLDFAST_GPU_ENGINE_ARRAY_INTERNAL_H

#include "gpu/engine_work_internal.h"

/* Parts of a lane lie at multiples of this. */
#define GPU_ARRAY_ALIGN 256u
#define GPU_ARRAY_PARTS_MAX 8u
#define GPU_WORD_BYTES 8u

/* What a piece takes of a lane. */
struct gpu_array_plan {
    enum gpu_array array;
    size_t record_bytes; /* of all parts together, but for the scratch memory */
    /* found out: */
    uint32_t count;       /* the most records of a piece */
    size_t scratch_bytes; /* what the driver wants for so many */
};

/* Finds out how many of so many records fit into a lane, with the driver's scratch memory; the
 * device is in use. returns: 0; ERR_UNAVAILABLE; ERR_NO_MEMORY: not one does. */
int gpu_array_fit(struct gpu *gpu, size_t records, struct gpu_array_plan *plan);

/* returns: where a part of so many bytes lies, and moves *at behind it. */
size_t gpu_array_part(size_t *at, size_t bytes);

/* sum += high * 2^32 + low, high in two's complement. */
void gpu_array_add(struct gpu_whole *sum, uint64_t high, uint64_t low);

/* Those of other files, for the two below. */
int gpu_scan_rate_plan(struct gpu *gpu, struct gpu_array_plan *plan);
int gpu_scan_run_once(struct gpu *gpu, const struct gpu_array_plan *plan, uint64_t *bytes);
int gpu_groups_rate_plan(struct gpu *gpu, struct gpu_array_plan *plan);
int gpu_groups_run_once(struct gpu *gpu, const struct gpu_array_plan *plan, uint64_t *bytes);
int gpu_sort_rate_plan(struct gpu *gpu, struct gpu_array_plan *plan);
int gpu_sort_run_once(struct gpu *gpu, const struct gpu_array_plan *plan, uint64_t *bytes);

/* For gpu_engine_rate: a plan of a whole lane for a kernel over arrays. returns: as gpu_array_fit.
 */
int gpu_array_rate_plan(struct gpu *gpu, enum gpu_kernel kernel, struct gpu_array_plan *plan);
/* One round by such a plan. bytes: as struct gpu_rate has them. returns: 0, or a driver's number.
 */
int gpu_array_run_once(struct gpu *gpu, const struct gpu_array_plan *plan, uint64_t *bytes);

#endif
