/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the calls in the place of CUB's share. Without scratch memory a call says how much it wants;
 * with too little, or with memory that is not this device's, it is a misuse. What was in the memory
 * before and what is left there is junk.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_CUB_FAKE_CUB_H
#define HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_CUB_FAKE_CUB_H

#include "cuda_runtime.h"

static inline size_t fake_cub_wants(int count)
{
    return 767u + (size_t)count / 16;
}

/* returns: whether it is asked for a size, which is then given. */
static inline bool fake_is_query(const void *scratch, size_t &bytes, int count)
{
    if (scratch == nullptr) {
        bytes = fake_cub_wants(count);
    }
    return scratch == nullptr;
}

template <class WORK>
static inline cudaError_t fake_cub_add(void *scratch, size_t bytes, int count, cudaStream_t stream,
                                       WORK work)
{
    if (count <= 0 || bytes < fake_cub_wants(count)) {
        return cudaErrorInvalidValue;
    }
    fake_check(scratch, bytes, fake.current);
    fake_add(stream, [=] {
        memset(scratch, FAKE_JUNK, bytes);
        work();
        memset(scratch, FAKE_JUNK, bytes);
    });
    return cudaSuccess;
}

#endif
