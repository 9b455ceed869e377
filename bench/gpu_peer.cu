/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/gpu_peer.h"

#include <cub/device/device_reduce.cuh>
#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>

#define FILL_THREADS 256u

struct lane {
    uint8_t *host;
    uint8_t *device;
    cudaStream_t queue;
    cudaEvent_t done;
};

struct gpu_peer {
    struct lane lane[GPU_PEER_LANES_MAX];
    unsigned lanes;
    double *values;
    size_t count;
    double *sum;
    void *scratch; /* CUB's */
    size_t scratch_bytes;
    cudaEvent_t begin;
};

static bool is_good(cudaError_t error, const char *at, char *why)
{
    if (error != cudaSuccess) {
        (void)snprintf(why, GPU_PEER_WHY_BYTES, "%s: %d, %s: %s", at, (int)error,
                       cudaGetErrorName(error), cudaGetErrorString(error));
    }
    return error == cudaSuccess;
}

static __global__ void __launch_bounds__(FILL_THREADS)
    fill_kernel(double *values, uint64_t count, double value)
{
    const uint64_t i = (uint64_t)blockIdx.x * FILL_THREADS + threadIdx.x;
    if (i < count) {
        values[i] = value;
    }
}

static cudaError_t add_up(struct gpu_peer *peer)
{
    return cub::DeviceReduce::Sum(peer->scratch, peer->scratch_bytes, peer->values, peer->sum,
                                  (int64_t)peer->count, peer->lane[0].queue);
}

static bool open_lane(struct lane *lane, size_t bytes, char *why)
{
    return is_good(cudaHostAlloc((void **)&lane->host, bytes, cudaHostAllocDefault),
                   "page-locked memory", why) &&
           is_good(cudaMalloc((void **)&lane->device, bytes), "memory of a lane", why) &&
           is_good(cudaStreamCreateWithFlags(&lane->queue, cudaStreamNonBlocking), "stream", why) &&
           is_good(cudaEventCreateWithFlags(&lane->done, cudaEventBlockingSync), "event", why);
}

/* CUB says how much memory it wants when it is given none. */
static bool open_values(struct gpu_peer *peer, size_t bytes, char *why)
{
    peer->count = bytes / sizeof(double);
    return is_good(cudaMalloc((void **)&peer->values, bytes), "memory of values", why) &&
           is_good(cudaMalloc((void **)&peer->sum, sizeof(double)), "memory of a sum", why) &&
           is_good(cudaEventCreateWithFlags(&peer->begin, cudaEventDefault), "event", why) &&
           is_good(add_up(peer), "CUB's size", why) &&
           is_good(cudaMalloc(&peer->scratch, peer->scratch_bytes), "memory of CUB", why);
}

/* Ones add up to their count; then the values are zeros, as those of a lane are. */
static bool try_sum(struct gpu_peer *peer, char *why)
{
    const unsigned blocks = (unsigned)((peer->count + FILL_THREADS - 1) / FILL_THREADS);
    cudaStream_t queue = peer->lane[0].queue;
    double sum = -1;
    fill_kernel<<<blocks, FILL_THREADS, 0, queue>>>(peer->values, peer->count, 1.0);
    if (!is_good(cudaGetLastError(), "fill", why) || !is_good(add_up(peer), "CUB's sum", why) ||
        !is_good(cudaMemcpyAsync(&sum, peer->sum, sizeof(sum), cudaMemcpyDeviceToHost, queue),
                 "copy of a sum", why) ||
        !is_good(cudaMemsetAsync(peer->values, 0, peer->count * sizeof(double), queue), "zeros",
                 why) ||
        !is_good(cudaStreamSynchronize(queue), "CUB's sum", why)) {
        return false;
    }
    if (sum != (double)peer->count) {
        (void)snprintf(why, GPU_PEER_WHY_BYTES, "CUB's sum of %zu ones is %.17g", peer->count, sum);
        return false;
    }
    return true;
}

bool gpu_peer_open(struct gpu_peer **out, const struct gpu_peer_settings *settings,
                   char why[GPU_PEER_WHY_BYTES])
{
    struct gpu_peer *peer = (struct gpu_peer *)calloc(1, sizeof(*peer));
    if (peer == NULL) {
        (void)snprintf(why, GPU_PEER_WHY_BYTES, "out of memory");
        return false;
    }
    bool good = is_good(cudaSetDevice((int)settings->device), "choice of the device", why);
    while (good && peer->lanes < settings->lanes && peer->lanes < GPU_PEER_LANES_MAX) {
        good = open_lane(&peer->lane[peer->lanes++], settings->lane_bytes, why);
    }
    if (!good || !open_values(peer, settings->values_bytes, why) || !try_sum(peer, why)) {
        gpu_peer_close(peer);
        return false;
    }
    *out = peer;
    return true;
}

/* NULL may be freed; what is no longer there is no concern here. */
void gpu_peer_close(struct gpu_peer *peer)
{
    for (unsigned i = 0; i < peer->lanes; i++) {
        struct lane *lane = &peer->lane[i];
        if (lane->queue != NULL) {
            (void)cudaStreamSynchronize(lane->queue);
            (void)cudaStreamDestroy(lane->queue);
        }
        if (lane->done != NULL) {
            (void)cudaEventDestroy(lane->done);
        }
        (void)cudaFree(lane->device);
        (void)cudaFreeHost(lane->host);
    }
    if (peer->begin != NULL) {
        (void)cudaEventDestroy(peer->begin);
    }
    (void)cudaFree(peer->values);
    (void)cudaFree(peer->sum);
    (void)cudaFree(peer->scratch);
    free(peer);
}

bool gpu_peer_sum(struct gpu_peer *peer, unsigned rounds, double *seconds,
                  char why[GPU_PEER_WHY_BYTES])
{
    const struct lane *lane = &peer->lane[0];
    float took_ms = 0;
    cudaError_t error = add_up(peer);
    if (error == cudaSuccess) {
        error = cudaEventRecord(peer->begin, lane->queue);
    }
    for (unsigned i = 0; i < rounds && error == cudaSuccess; i++) {
        error = add_up(peer);
    }
    if (error == cudaSuccess) {
        error = cudaEventRecord(lane->done, lane->queue);
    }
    if (error == cudaSuccess) {
        error = cudaEventSynchronize(lane->done);
    }
    if (error == cudaSuccess) {
        error = cudaEventElapsedTime(&took_ms, peer->begin, lane->done);
    }
    *seconds = (double)took_ms / 1000.0;
    return is_good(error, "CUB's sum", why);
}

bool gpu_peer_copy(struct gpu_peer *peer, const struct gpu_peer_flow *flow,
                   char why[GPU_PEER_WHY_BYTES])
{
    cudaError_t error = cudaSuccess;
    for (size_t i = 0; i < flow->pieces && error == cudaSuccess; i++) {
        struct lane *lane = &peer->lane[i % peer->lanes];
        error = i < peer->lanes ? cudaSuccess : cudaEventSynchronize(lane->done);
        if (error == cudaSuccess) {
            error = cudaMemcpyAsync(lane->device, lane->host, flow->in_bytes,
                                    cudaMemcpyHostToDevice, lane->queue);
        }
        if (error == cudaSuccess) {
            error = cudaMemcpyAsync(lane->host + flow->in_bytes, lane->device + flow->in_bytes,
                                    flow->out_bytes, cudaMemcpyDeviceToHost, lane->queue);
        }
        if (error == cudaSuccess) {
            error = cudaEventRecord(lane->done, lane->queue);
        }
    }
    for (unsigned i = 0; i < peer->lanes && error == cudaSuccess; i++) {
        error = cudaStreamSynchronize(peer->lane[i].queue);
    }
    return is_good(error, "copies", why);
}
