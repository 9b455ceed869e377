/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whole jobs, from the caller's memory to the caller's memory, next to what the link to the device
 * takes for the same bytes, and to what one thread takes to copy them here. Of the three the
 * slowest bounds a job; the link is the goal.
 *
 * threads: one.
 */
#ifndef HOLDFAST_BENCH_GPU_PIPE_H
#define HOLDFAST_BENCH_GPU_PIPE_H

#include "bench/gpu_peer.h"
#include "gpu/gpu.h"

#define GPU_PIPE_LANES 3u

struct gpu_pipe {
    const struct gpu_table *table;
    struct gpu *gpu;       /* with GPU_PIPE_LANES lanes of lane_bytes, as peer's */
    struct gpu_peer *peer; /* NULL: there is none to compare with */
    size_t lane_bytes;
    size_t bytes; /* of a job's sources */
};

/* Measures and prints. returns: the program's exit status. */
int gpu_pipe_measure(const struct gpu_pipe *pipe);

#endif
