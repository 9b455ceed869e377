/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a device's kernels are compared with, in the same run: CUB's plain sum of doubles, which
 * rounds, and copies to the device and back with nothing to compute between them. Made of CUDA and
 * CUB where there is nvcc; elsewhere opening it says that there is none.
 *
 * Calls return whether they went well; if not, `why` says what CUDA answered.
 *
 * threads: one owner at a time.
 */
#ifndef HOLDFAST_BENCH_GPU_PEER_H
#define HOLDFAST_BENCH_GPU_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GPU_PEER_LANES_MAX 8u
#define GPU_PEER_WHY_BYTES 240u

struct gpu_peer;

struct gpu_peer_settings {
    unsigned device;
    size_t values_bytes; /* of doubles that lie on the device, all zero */
    size_t lane_bytes;   /* of page-locked memory, and as much on the device */
    unsigned lanes;      /* at most GPU_PEER_LANES_MAX */
};

/* Pieces that follow one another over the lanes: each goes to the device, and then what results
 * would be comes back. */
struct gpu_peer_flow {
    size_t pieces;
    size_t in_bytes; /* of one piece; with out_bytes at most a lane */
    size_t out_bytes;
};

/* Takes a device and its memory. CUB's sum is tried on values whose sum is known. */
bool gpu_peer_open(struct gpu_peer **out, const struct gpu_peer_settings *settings,
                   char why[GPU_PEER_WHY_BYTES]);
void gpu_peer_close(struct gpu_peer *peer);

/* Adds up the values so many times, and once before the clock starts. seconds: of all times, by the
 * device's clock. rounds: from 1. */
bool gpu_peer_sum(struct gpu_peer *peer, unsigned rounds, double *seconds,
                  char why[GPU_PEER_WHY_BYTES]);
/* Copies, and returns once all of it is done. */
bool gpu_peer_copy(struct gpu_peer *peer, const struct gpu_peer_flow *flow,
                   char why[GPU_PEER_WHY_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
