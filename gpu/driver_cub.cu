/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * CUB's algorithms over the engine's passes. Records are read through an iterator that makes of a
 * place what is joined, by the functions that the tests run in a loop. CUB says how much scratch
 * memory it wants when it is given none, and refuses less.
 */
#include "gpu/driver_cub_internal.h"

#include <cub/device/device_reduce.cuh>
#include <cuda_runtime.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>

#define METHOD __host__ __device__ __forceinline__

static cudaStream_t stream_of(void *queue)
{
    return (cudaStream_t)queue;
}

/* --- reduce --- */

struct reduce_of {
    const uint8_t *values;
    uint32_t fold;
    uint32_t of;
    METHOD struct gpu_pair operator()(uint32_t place) const
    {
        return gpu_reduce_of(fold, of, gpu_word_load(values, place), place);
    }
};

struct reduce_join {
    uint32_t fold;
    METHOD struct gpu_pair operator()(const struct gpu_pair &a, const struct gpu_pair &b) const
    {
        return gpu_reduce_join(fold, a, b);
    }
};

static int reduce(void *scratch, size_t *bytes, void *queue, const struct gpu_reduce_pass *p)
{
    const struct reduce_of of = {p->values, p->fold, p->of};
    const struct reduce_join join = {p->fold};
    const auto from = thrust::make_transform_iterator(thrust::make_counting_iterator(0u), of);
    return (int)cub::DeviceReduce::Reduce(scratch, *bytes, from, (struct gpu_pair *)p->result,
                                          (int)p->count, join, gpu_reduce_none(p->fold),
                                          stream_of(queue));
}

int gpu_cub_reduce(void *queue, const struct gpu_reduce_pass *pass)
{
    size_t bytes = (size_t)pass->scratch_bytes;
    return reduce(pass->scratch, &bytes, queue, pass);
}

/* --- room --- */

int gpu_cub_room(enum gpu_array array, uint32_t count, size_t *bytes)
{
    struct gpu_reduce_pass to_reduce = {};
    switch (array) {
    case GPU_ARRAY_REDUCE:
        to_reduce.count = count;
        return reduce(nullptr, bytes, nullptr, &to_reduce);
    }
    return (int)cudaErrorInvalidValue;
}
