/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A runtime in the place of CUDA's, for gpu/driver_cuda.cu compiled as plain C++: the calls that it
 * makes, with the meaning that CUDA's documents give them, and kernels run thread by thread. So
 * what the driver makes of a pass is tested without a device: which kernel, how many threads, on
 * which queue, copies in which direction, and what is waited for. What nvcc and a device make of
 * the kernels is not.
 *
 * Device 0 is too old. Device 1 does what is in a stream as late as it may, device 2 at the call.
 * A misuse ends the program: memory of the wrong kind or beyond its end, a stream or an event of
 * another device than the current one, a thread number that no grid has, or something left open
 * when the shared object is unloaded.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_CUDA_RUNTIME_H
#define HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_CUDA_RUNTIME_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#define __global__
#define __grid_constant__
#define __launch_bounds__(threads)
#define __host__
#define __device__
#define __forceinline__ inline

#define FAKE_DEVICES 3
#define FAKE_EAGER 2 /* this device */
#define FAKE_JUNK 0xd7
#define FAKE_GUARD_BYTES 64u

#define FAKE_EXPECT(what)                                                                       \
    do {                                                                                        \
        if (!(what)) {                                                                          \
            (void)fprintf(stderr, "fake CUDA: %s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

typedef int cudaError_t;
enum {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidDevice = 101,
    cudaErrorNotReady = 600,
};
enum { cudaHostAllocDefault = 0, cudaStreamNonBlocking = 1 };
enum { cudaEventDefault = 0, cudaEventBlockingSync = 1 };
enum cudaMemcpyKind {
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice
};

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major;
    int minor;
};

struct dim3 {
    unsigned x, y, z;
    explicit dim3(unsigned of_x) : x(of_x), y(1), z(1)
    {
    }
};

struct fake_stream {
    int device;
    std::deque<std::function<void()>> work;
};
struct fake_event {
    int device;
    fake_stream *stream; /* of the latest record */
    bool is_recorded;
    bool is_done;
};
typedef fake_stream *cudaStream_t;
typedef fake_event *cudaEvent_t;

struct fake_memory {
    size_t bytes;
    int device; /* -1: page-locked */
};

struct fake_cuda {
    int current = 0;
    std::map<uint8_t *, fake_memory> memory;
    unsigned streams = 0;
    unsigned events = 0;
    ~fake_cuda()
    {
        FAKE_EXPECT(memory.empty() && streams == 0 && events == 0);
    }
};

/* one for all files of the driver */
inline fake_cuda fake;
struct fake_index {
    unsigned x;
};
inline fake_index blockIdx, threadIdx;

/* --- devices and errors --- */

static inline cudaError_t cudaGetDeviceCount(int *count)
{
    *count = FAKE_DEVICES;
    return cudaSuccess;
}

static inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device)
{
    FAKE_EXPECT(device >= 0 && device < FAKE_DEVICES);
    memset(out, 0, sizeof(*out));
    (void)snprintf(out->name, sizeof(out->name), "Fake %d", device);
    out->totalGlobalMem = 1u << 20;
    out->major = device == 0 ? 7 : 8;
    out->minor = 5;
    return cudaSuccess;
}

static inline cudaError_t cudaSetDevice(int device)
{
    if (device < 0 || device >= FAKE_DEVICES) {
        return cudaErrorInvalidDevice;
    }
    fake.current = device;
    return cudaSuccess;
}

static inline cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

static inline const char *cudaGetErrorName(cudaError_t error)
{
    return error == cudaSuccess ? "cudaSuccess" : "an error";
}

static inline const char *cudaGetErrorString(cudaError_t error)
{
    return cudaGetErrorName(error);
}

/* --- memory --- */

static inline cudaError_t fake_take(void **out, size_t bytes, int device)
{
    uint8_t *memory = (uint8_t *)aligned_alloc(64, (bytes + 63) / 64 * 64 + FAKE_GUARD_BYTES);
    FAKE_EXPECT(memory != nullptr);
    memset(memory, FAKE_JUNK, (bytes + 63) / 64 * 64 + FAKE_GUARD_BYTES);
    fake.memory[memory] = {bytes, device};
    *out = memory;
    return cudaSuccess;
}

static inline cudaError_t fake_put(void *memory, bool is_host)
{
    if (memory == nullptr) {
        return cudaSuccess;
    }
    const auto found = fake.memory.find((uint8_t *)memory);
    FAKE_EXPECT(found != fake.memory.end());
    FAKE_EXPECT((found->second.device < 0) == is_host);
    for (size_t i = 0; i < FAKE_GUARD_BYTES; i++) {
        FAKE_EXPECT(found->first[found->second.bytes + i] == FAKE_JUNK);
    }
    fake.memory.erase(found);
    free(memory);
    return cudaSuccess;
}

/* Bytes from at on are memory of one kind: of this device, or page-locked (-1). */
static inline void fake_check(const void *at, size_t bytes, int device)
{
    auto found = fake.memory.upper_bound((uint8_t *)at);
    FAKE_EXPECT(found != fake.memory.begin());
    --found;
    const size_t from = (size_t)((const uint8_t *)at - found->first);
    FAKE_EXPECT(from <= found->second.bytes && bytes <= found->second.bytes - from);
    FAKE_EXPECT(found->second.device == device);
}

static inline cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    return fake_take(out, bytes, -1);
}

static inline cudaError_t cudaMalloc(void **out, size_t bytes)
{
    FAKE_EXPECT(fake.current != 0); /* too old: nobody opens it */
    return fake_take(out, bytes, fake.current);
}

static inline cudaError_t cudaFree(void *memory)
{
    return fake_put(memory, false);
}

static inline cudaError_t cudaFreeHost(void *memory)
{
    return fake_put(memory, true);
}

/* --- streams --- */

static inline void fake_add(fake_stream *stream, std::function<void()> work)
{
    FAKE_EXPECT(stream != nullptr && stream->device == fake.current);
    if (stream->device == FAKE_EAGER) {
        work();
    } else {
        stream->work.push_back(work);
    }
}

/* Runs what is in a stream until done says so, or all of it. */
static inline void fake_run(fake_stream *stream, const bool *done)
{
    while (!stream->work.empty() && (done == nullptr || !*done)) {
        const std::function<void()> work = stream->work.front();
        stream->work.pop_front();
        work();
    }
}

static inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    FAKE_EXPECT(flags == cudaStreamNonBlocking);
    *out = new fake_stream{fake.current, {}};
    fake.streams++;
    return cudaSuccess;
}

static inline cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    fake_run(stream, nullptr);
    return cudaSuccess;
}

static inline cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    FAKE_EXPECT(stream->work.empty());
    delete stream;
    fake.streams--;
    return cudaSuccess;
}

static inline cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    fake_check(to, bytes, fake.current);
    fake_add(stream, [=] { memset(to, value, bytes); });
    return cudaSuccess;
}

static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                                          cudaMemcpyKind kind, cudaStream_t stream)
{
    fake_check(to, bytes, kind == cudaMemcpyDeviceToHost ? -1 : fake.current);
    fake_check(from, bytes, kind == cudaMemcpyHostToDevice ? -1 : fake.current);
    fake_add(stream, [=] { memcpy(to, from, bytes); });
    return cudaSuccess;
}

/* --- events --- */

static inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned)
{
    *out = new fake_event{fake.current, nullptr, false, false};
    fake.events++;
    return cudaSuccess;
}

static inline cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    fake.events--;
    return cudaSuccess;
}

static inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    FAKE_EXPECT(event->device == stream->device);
    event->stream = stream;
    event->is_recorded = true;
    event->is_done = false;
    fake_add(stream, [=] { event->is_done = true; });
    return cudaSuccess;
}

static inline cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (event->is_recorded) {
        fake_run(event->stream, &event->is_done);
        FAKE_EXPECT(event->is_done);
    }
    return cudaSuccess;
}

/* Every time is a second. */
static inline cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end)
{
    if (!begin->is_recorded || !end->is_recorded) {
        return cudaErrorInvalidValue;
    }
    *ms = 1000;
    return begin->is_done && end->is_done ? cudaSuccess : cudaErrorNotReady;
}

/* --- kernels --- */

/* Threads of a grid one by one: on one device the last first, on the other the first first, so that
 * a thread that no pass has is seen by what it overwrites. Arguments are as they are at the call.
 */
template <class PASS>
static inline cudaError_t cudaLaunchKernel(void (*kernel)(PASS, uint64_t), dim3 grid, dim3 block,
                                           void **args, size_t shared_bytes, cudaStream_t stream)
{
    if (grid.x == 0 || grid.x > INT32_MAX || block.x == 0 || block.x > 1024 || shared_bytes != 0) {
        return cudaErrorInvalidConfiguration;
    }
    const PASS pass = *(const PASS *)args[0];
    const uint64_t threads = *(const uint64_t *)args[1];
    const uint64_t all = (uint64_t)grid.x * block.x;
    const bool is_first_first = stream->device == FAKE_EAGER;
    fake_add(stream, [=] {
        for (uint64_t i = 0; i < all; i++) {
            const uint64_t thread = is_first_first ? i : all - 1 - i;
            blockIdx.x = (unsigned)(thread / block.x);
            threadIdx.x = (unsigned)(thread % block.x);
            kernel(pass, threads);
        }
    });
    return cudaSuccess;
}

#endif
