/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The host's side of fingerprints, for engine.c.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_ENGINE_FINGER_INTERNAL_H
#define HOLDFAST_GPU_ENGINE_FINGER_INTERNAL_H

#include "gpu/finger_internal.h"

/* returns: the most bytes of a column that takes, with what a pass leaves of it, no more than room.
 * A multiple of GPU_FINGER_BYTES. */
size_t gpu_finger_fit(size_t room);

/* A pass over columns that lie at `memory`, with its results behind them. */
struct gpu_finger_pass gpu_finger_pass_of(uint8_t *memory, unsigned columns, size_t stride_bytes);

/* returns: bytes of a pass's results that the host takes. */
size_t gpu_finger_sums_bytes(const struct gpu_finger_pass *p);

/* Adds the results of a pass to fingerprints, GPU_FINGER_BYTES a column. sums: as the pass wrote
 * them. from: which byte of the whole columns it began with; a multiple of GPU_FINGER_BYTES. */
void gpu_finger_take(const struct gpu_finger_pass *p, const uint8_t *sums, uint64_t from,
                     uint8_t *fingers);

#endif
