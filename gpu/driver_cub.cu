/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * CUB's algorithms over the engine's passes. Records are read through an iterator that makes of a
 * place what is joined, by the functions that the tests run in a loop. CUB says how much scratch
 * memory it wants when it is given none, and refuses less.
 */
#include "gpu/driver_cub_internal.h"

#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_reduce.cuh>
#include <cub/device/device_scan.cuh>
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

/* --- scan --- */

struct scan_of {
    const uint8_t *values;
    uint64_t carry;
    uint32_t fold;
    uint32_t of;
    METHOD uint64_t operator()(uint32_t place) const
    {
        const uint64_t value = gpu_word_load(values, place);
        return place == 0 ? gpu_scan_join(fold, of, carry, value) : value;
    }
};

struct scan_join {
    uint32_t fold;
    uint32_t of;
    METHOD uint64_t operator()(uint64_t a, uint64_t b) const
    {
        return gpu_scan_join(fold, of, a, b);
    }
};

static int scan(void *scratch, size_t *bytes, void *queue, const struct gpu_scan_pass *p)
{
    const struct scan_of of = {p->values, p->carry, p->fold, p->of};
    const struct scan_join join = {p->fold, p->of};
    const auto from = thrust::make_transform_iterator(thrust::make_counting_iterator(0u), of);
    return (int)cub::DeviceScan::InclusiveScan(scratch, *bytes, from, (uint64_t *)p->results, join,
                                               (int)p->count, stream_of(queue));
}

int gpu_cub_scan(void *queue, const struct gpu_scan_pass *pass)
{
    size_t bytes = (size_t)pass->scratch_bytes;
    return scan(pass->scratch, &bytes, queue, pass);
}

/* --- sort --- */

static int sort(void *scratch, size_t *bytes, void *queue, const struct gpu_sort_pass *p)
{
    return (int)cub::DeviceRadixSort::SortPairs(
        scratch, *bytes, (const uint64_t *)p->keys, (uint64_t *)p->sorted,
        (const uint32_t *)p->places, (uint32_t *)p->order, (int)p->count, 0, 64, stream_of(queue));
}

int gpu_cub_sort(void *queue, const struct gpu_sort_pass *pass)
{
    size_t bytes = (size_t)pass->scratch_bytes;
    return sort(pass->scratch, &bytes, queue, pass);
}

/* --- groups --- */

struct group_of {
    const uint8_t *values;
    uint32_t of;
    METHOD struct gpu_group_sum operator()(uint32_t place) const
    {
        return gpu_group_of(values, of, place);
    }
};

struct group_join {
    METHOD struct gpu_group_sum operator()(const struct gpu_group_sum &a,
                                           const struct gpu_group_sum &b) const
    {
        return gpu_group_join(a, b);
    }
};

static int groups(void *scratch, size_t *bytes, void *queue, const struct gpu_groups_pass *p)
{
    const struct group_of of = {p->values, p->of};
    const auto from = thrust::make_transform_iterator(thrust::make_counting_iterator(0u), of);
    return (int)cub::DeviceReduce::ReduceByKey(
        scratch, *bytes, (const uint64_t *)p->keys, (uint64_t *)p->group_keys, from,
        (struct gpu_group_sum *)p->sums, (uint32_t *)p->found, group_join(), (int)p->count,
        stream_of(queue));
}

int gpu_cub_groups(void *queue, const struct gpu_groups_pass *pass)
{
    size_t bytes = (size_t)pass->scratch_bytes;
    return groups(pass->scratch, &bytes, queue, pass);
}

/* --- room --- */

int gpu_cub_room(enum gpu_array array, uint32_t count, size_t *bytes)
{
    struct gpu_reduce_pass to_reduce = {};
    struct gpu_scan_pass to_scan = {};
    to_reduce.count = count;
    struct gpu_sort_pass to_sort = {};
    to_scan.count = count;
    struct gpu_groups_pass to_group = {};
    to_sort.count = count;
    to_group.count = count;
    switch (array) {
    case GPU_ARRAY_REDUCE: return reduce(nullptr, bytes, nullptr, &to_reduce);
    case GPU_ARRAY_SCAN: return scan(nullptr, bytes, nullptr, &to_scan);
    case GPU_ARRAY_SORT: return sort(nullptr, bytes, nullptr, &to_sort);
    case GPU_ARRAY_GROUPS: return groups(nullptr, bytes, nullptr, &to_group);
    }
    return (int)cudaErrorInvalidValue;
}
