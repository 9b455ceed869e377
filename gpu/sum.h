/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums through a plug-in's table, as compute_exact_add_f64s gives them: the same bytes.
 *
 *   struct compute_exact sum;
 *   compute_exact_init(&sum);
 *   gpu_sum_add_f64s(table, gpu, &sum, values, count);
 *
 * What a device cannot add exactly is added here: tiles of 64 KiB with a value that is not finite,
 * or more than 2^8 times as large as a sample of its piece, or that has bits 2^-92 below that; and
 * tiles whose sum is zero.
 *
 * threads: as table->sum_f64s.
 */
#ifndef HOLDFAST_GPU_SUM_H
#define HOLDFAST_GPU_SUM_H

#include "compute/exact.h"
#include "gpu/gpu.h"

/* Adds count values that lie without gaps. values: any alignment, the processor's byte order.
 * returns: 0, or what table->sum_f64s does; e is untouched then. */
int gpu_sum_add_f64s(const struct gpu_table *table, struct gpu *gpu, struct compute_exact *e,
                     const void *values, size_t count);

#endif
