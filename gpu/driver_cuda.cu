/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The driver over CUDA. No error is kept here: what a call or a kernel answers goes to the engine.
 */
#include "gpu/driver_cub_internal.h"
#include "gpu/engine_internal.h"

#include <cuda_runtime.h>
#include <stdio.h>
#include <string.h>

#define RS_THREADS 256u
/* Few leaves are spread over all processors of the device. */
#define SHA_THREADS 64u
#define SUM_THREADS 128u
#define FINGER_THREADS 128u
#define SCAN_THREADS 128u
#define SORT_THREADS 256u

template <unsigned ROWS>
static __global__ void __launch_bounds__(RS_THREADS)
    rs_kernel(const __grid_constant__ struct gpu_rs_pass pass, uint64_t threads)
{
    const uint64_t thread = (uint64_t)blockIdx.x * RS_THREADS + threadIdx.x;
    if (thread < threads) {
        gpu_rs_thread(&pass, ROWS, thread);
    }
}

template <unsigned K, unsigned ROWS>
static __global__ void __launch_bounds__(RS_THREADS)
    xor_kernel(const __grid_constant__ struct gpu_xor_pass pass, uint64_t threads)
{
    const uint64_t thread = (uint64_t)blockIdx.x * RS_THREADS + threadIdx.x;
    if (thread < threads) {
        gpu_xor_thread(&pass, K, ROWS, thread);
    }
}

static __global__ void __launch_bounds__(SHA_THREADS)
    sha_kernel(const __grid_constant__ struct gpu_sha_pass pass, uint64_t threads)
{
    const uint64_t thread = (uint64_t)blockIdx.x * SHA_THREADS + threadIdx.x;
    if (thread < threads) {
        gpu_sha_thread(&pass, thread);
    }
}

static __global__ void __launch_bounds__(SUM_THREADS)
    sum_kernel(const __grid_constant__ struct gpu_sum_pass pass, uint64_t threads)
{
    const uint64_t thread = (uint64_t)blockIdx.x * SUM_THREADS + threadIdx.x;
    if (thread < threads) {
        gpu_sum_thread(&pass, thread);
    }
}

static __global__ void __launch_bounds__(FINGER_THREADS)
    finger_kernel(const __grid_constant__ struct gpu_finger_pass pass, uint64_t threads)
{
    const uint64_t thread = (uint64_t)blockIdx.x * FINGER_THREADS + threadIdx.x;
    if (thread < threads) {
        gpu_finger_thread(&pass, thread);
    }
}

static __global__ void __launch_bounds__(FINGER_THREADS)
    finger_end_kernel(const __grid_constant__ struct gpu_finger_pass pass, uint64_t threads)
{
    const uint64_t thread = (uint64_t)blockIdx.x * FINGER_THREADS + threadIdx.x;
    if (thread < threads) {
        gpu_finger_end_thread(&pass, thread);
    }
}

static __global__ void __launch_bounds__(SCAN_THREADS)
    scan_look_kernel(const __grid_constant__ struct gpu_scan_pass pass, uint64_t threads)
{
    const uint64_t thread = (uint64_t)blockIdx.x * SCAN_THREADS + threadIdx.x;
    if (thread < threads) {
        gpu_scan_thread(&pass, thread);
    }
}

static __global__ void __launch_bounds__(SORT_THREADS)
    sort_places_kernel(const __grid_constant__ struct gpu_sort_pass pass, uint64_t threads)
{
    const uint64_t thread = (uint64_t)blockIdx.x * SORT_THREADS + threadIdx.x;
    if (thread < threads) {
        gpu_sort_thread(&pass, thread);
    }
}

static cudaStream_t stream_of(const struct gpu_lane *lane)
{
    return (cudaStream_t)lane->queue;
}

static int cuda_count(unsigned *out)
{
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    *out = error == cudaSuccess && count > 0 ? (unsigned)count : 0;
    return (int)error;
}

static int cuda_describe(unsigned device, struct gpu_device *out)
{
    cudaDeviceProp about;
    const cudaError_t error = cudaGetDeviceProperties(&about, (int)device);
    if (error != cudaSuccess) {
        return (int)error;
    }
    (void)snprintf(out->name, sizeof(out->name), "%s", about.name);
    out->memory_bytes = about.totalGlobalMem;
    out->major = (uint32_t)about.major;
    out->minor = (uint32_t)about.minor;
    return 0;
}

static int cuda_use(unsigned device)
{
    (void)cudaGetLastError(); /* of calls before: not what the next kernel is to answer */
    return (int)cudaSetDevice((int)device);
}

static int cuda_lane_open(struct gpu_lane *lane)
{
    cudaError_t error = cudaHostAlloc((void **)&lane->host, lane->bytes, cudaHostAllocDefault);
    if (error == cudaSuccess) {
        error = cudaMalloc((void **)&lane->device, lane->bytes);
    }
    if (error == cudaSuccess) {
        error = cudaStreamCreateWithFlags((cudaStream_t *)&lane->queue, cudaStreamNonBlocking);
    }
    /* in this queue: the device's own would not be waited for by what comes next here */
    if (error == cudaSuccess) {
        error = cudaMemsetAsync(lane->device, 0, lane->bytes, stream_of(lane));
    }
    if (error == cudaSuccess) {
        error = cudaEventCreateWithFlags((cudaEvent_t *)&lane->begin, cudaEventDefault);
    }
    /* a thread that waits sleeps: its processor has other work */
    if (error == cudaSuccess) {
        error = cudaEventCreateWithFlags((cudaEvent_t *)&lane->end, cudaEventBlockingSync);
    }
    return (int)error;
}

/* Errors say that the device is lost, and its memory with it. */
static void cuda_lane_close(struct gpu_lane *lane)
{
    if (lane->queue != NULL) {
        (void)cudaStreamSynchronize(stream_of(lane)); /* nothing writes to host memory from here */
        (void)cudaStreamDestroy(stream_of(lane));
    }
    if (lane->begin != NULL) {
        (void)cudaEventDestroy((cudaEvent_t)lane->begin);
    }
    if (lane->end != NULL) {
        (void)cudaEventDestroy((cudaEvent_t)lane->end);
    }
    (void)cudaFree(lane->device);
    (void)cudaFreeHost(lane->host);
    memset(lane, 0, sizeof(*lane));
    (void)cudaGetLastError();
}

static int cuda_copy_in(struct gpu_lane *lane, size_t bytes)
{
    return (int)cudaMemcpyAsync(lane->device, lane->host, bytes, cudaMemcpyHostToDevice,
                                stream_of(lane));
}

static int cuda_copy_out(struct gpu_lane *lane, size_t at, size_t bytes)
{
    return (int)cudaMemcpyAsync(lane->host + at, lane->device + at, bytes, cudaMemcpyDeviceToHost,
                                stream_of(lane));
}

static int cuda_copy_within(struct gpu_lane *lane, size_t bytes)
{
    return (int)cudaMemcpyAsync(lane->device + bytes, lane->device, bytes, cudaMemcpyDeviceToDevice,
                                stream_of(lane));
}

/* By the call that <<< >>> stands for: a compiler of C++ reads it, too, so that the tests have this
 * file over a runtime of their own. Arguments are copied before it returns. */
template <class PASS>
static int launch(void (*kernel)(PASS, uint64_t), struct gpu_lane *lane, const PASS *pass,
                  uint64_t threads, unsigned block)
{
    const unsigned blocks = (unsigned)((threads + block - 1) / block);
    void *args[] = {(void *)pass, &threads};
    return (int)cudaLaunchKernel(kernel, dim3(blocks), dim3(block), args, 0, stream_of(lane));
}

static int cuda_run_rs(struct gpu_lane *lane, const struct gpu_rs_pass *pass)
{
    const uint64_t threads = gpu_rs_threads(pass);
    switch (pass->rows) {
    case 1: return launch(rs_kernel<1>, lane, pass, threads, RS_THREADS);
    case 2: return launch(rs_kernel<2>, lane, pass, threads, RS_THREADS);
    case 3: return launch(rs_kernel<3>, lane, pass, threads, RS_THREADS);
    case 4: return launch(rs_kernel<4>, lane, pass, threads, RS_THREADS);
    case GPU_RS_PASS_ROWS:
        return launch(rs_kernel<GPU_RS_PASS_ROWS>, lane, pass, threads, RS_THREADS);
    default: return (int)cudaErrorInvalidValue;
    }
}

static int cuda_run_xor(struct gpu_lane *lane, const struct gpu_xor_pass *pass)
{
    const uint64_t threads = gpu_xor_threads(pass);
#define LAUNCH(of_k, of_m)                                                      \
    if (pass->k == (of_k) && pass->rows == (of_m)) {                            \
        return launch(xor_kernel<of_k, of_m>, lane, pass, threads, RS_THREADS); \
    }
    GPU_XOR_CODES(LAUNCH)
#undef LAUNCH
    return (int)cudaErrorInvalidValue;
}

static int cuda_run_leaves(struct gpu_lane *lane, const struct gpu_sha_pass *pass)
{
    return launch(sha_kernel, lane, pass, gpu_sha_threads(pass), SHA_THREADS);
}

static int cuda_run_sum(struct gpu_lane *lane, const struct gpu_sum_pass *pass)
{
    return launch(sum_kernel, lane, pass, gpu_sum_threads(pass), SUM_THREADS);
}

static int cuda_run_fingers(struct gpu_lane *lane, const struct gpu_finger_pass *pass)
{
    const int error = launch(finger_kernel, lane, pass, gpu_finger_threads(pass), FINGER_THREADS);
    if (error != 0) {
        return error;
    }
    return launch(finger_end_kernel, lane, pass, gpu_finger_end_threads(pass), FINGER_THREADS);
}

static int cuda_run_reduce(struct gpu_lane *lane, const struct gpu_reduce_pass *pass)
{
    return gpu_cub_reduce(lane->queue, pass);
}

static int cuda_run_scan(struct gpu_lane *lane, const struct gpu_scan_pass *pass)
{
    return gpu_cub_scan(lane->queue, pass);
}

static int cuda_run_scan_look(struct gpu_lane *lane, const struct gpu_scan_pass *pass)
{
    return launch(scan_look_kernel, lane, pass, gpu_scan_threads(pass), SCAN_THREADS);
}

static int cuda_run_sort(struct gpu_lane *lane, const struct gpu_sort_pass *pass)
{
    const int error = launch(sort_places_kernel, lane, pass, gpu_sort_threads(pass), SORT_THREADS);
    return error != 0 ? error : gpu_cub_sort(lane->queue, pass);
}

static int cuda_run_groups(struct gpu_lane *lane, const struct gpu_groups_pass *pass)
{
    return gpu_cub_groups(lane->queue, pass);
}

static int cuda_wait(struct gpu_lane *lane)
{
    const cudaError_t error = cudaEventRecord((cudaEvent_t)lane->end, stream_of(lane));
    return (int)(error == cudaSuccess ? cudaEventSynchronize((cudaEvent_t)lane->end) : error);
}

static int cuda_clock_start(struct gpu_lane *lane)
{
    return (int)cudaEventRecord((cudaEvent_t)lane->begin, stream_of(lane));
}

static int cuda_clock_stop(struct gpu_lane *lane, double *seconds)
{
    float took_ms = 0;
    int error = cuda_wait(lane);
    if (error == 0) {
        error =
            (int)cudaEventElapsedTime(&took_ms, (cudaEvent_t)lane->begin, (cudaEvent_t)lane->end);
    }
    *seconds = (double)took_ms / 1000.0;
    return error;
}

static bool cuda_is_memory(int error)
{
    return error == (int)cudaErrorMemoryAllocation;
}

static void cuda_text(int error, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%d, %s: %s", error, cudaGetErrorName((cudaError_t)error),
                   cudaGetErrorString((cudaError_t)error));
}

const struct gpu_driver gpu_driver_cuda = {
    "cudaGetDeviceCount",
    cuda_count,
    cuda_describe,
    cuda_use,
    cuda_lane_open,
    cuda_lane_close,
    cuda_copy_in,
    cuda_copy_out,
    cuda_copy_within,
    cuda_run_rs,
    cuda_run_xor,
    cuda_run_leaves,
    cuda_run_sum,
    cuda_run_fingers,
    gpu_cub_room,
    cuda_run_reduce,
    cuda_run_scan,
    cuda_run_scan_look,
    cuda_run_sort,
    cuda_run_groups,
    cuda_wait,
    cuda_clock_start,
    cuda_clock_stop,
    cuda_is_memory,
    cuda_text,
};
