/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * In place of gpu_peer.cu where there is no compiler for it.
 */
#include "bench/gpu_peer.h"

#include <stdio.h>

bool gpu_peer_open(struct gpu_peer **out, const struct gpu_peer_settings *settings,
                   char why[GPU_PEER_WHY_BYTES])
{
    (void)out;
    (void)settings;
    (void)snprintf(why, GPU_PEER_WHY_BYTES, "built without nvcc");
    return false;
}

void gpu_peer_close(struct gpu_peer *peer)
{
    (void)peer;
}

bool gpu_peer_sum(struct gpu_peer *peer, unsigned rounds, double *seconds,
                  char why[GPU_PEER_WHY_BYTES])
{
    (void)peer;
    (void)rounds;
    (void)seconds;
    (void)why;
    return false;
}

bool gpu_peer_copy(struct gpu_peer *peer, const struct gpu_peer_flow *flow,
                   char why[GPU_PEER_WHY_BYTES])
{
    (void)peer;
    (void)flow;
    (void)why;
    return false;
}
