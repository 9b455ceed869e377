/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The host's side of exact sums, for engine.c.
 *
 * threads: pure functions, but for the sink's.
 */
#ifndef HOLDFAST_GPU_ENGINE_SUM_INTERNAL_H
#define HOLDFAST_GPU_ENGINE_SUM_INTERNAL_H

#include "gpu/sum_internal.h"

/* Chooses where p cuts, by some of the values. values: little-endian, any alignment. */
void gpu_sum_window(struct gpu_sum_pass *p, const uint8_t *values, size_t count);

/* Gives the results of a pass to the sink. sums: as the pass wrote them. from, count: which values
 * of the job it was over. */
void gpu_sum_take(const struct gpu_sum_pass *p, const uint8_t *sums, size_t from, size_t count,
                  const struct gpu_sum_sink *sink);

#endif
