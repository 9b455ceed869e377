/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * In the place of CUB's: the same calls, done in a loop when the stream comes to them.
 */
#ifndef HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_CUB_DEVICE_DEVICE_REDUCE_CUH
#define HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_CUB_DEVICE_DEVICE_REDUCE_CUH

#include "../fake_cub.h"

namespace cub
{
struct DeviceReduce {
    /* Halves are joined, then the two of them with init: an operator may rely on no order. */
    template <class IN, class OUT, class JOIN, class VALUE>
    static cudaError_t Reduce(void *scratch, size_t &bytes, IN in, OUT out, int count, JOIN join,
                              VALUE init, cudaStream_t stream)
    {
        if (fake_is_query(scratch, bytes, count)) {
            return cudaSuccess;
        }
        return fake_cub_add(scratch, bytes, count, stream, [=] {
            VALUE sum = init;
            for (uint32_t i = (uint32_t)count / 2; i < (uint32_t)count; i++) {
                sum = join(in[i], sum);
            }
            for (uint32_t i = 0; i < (uint32_t)count / 2; i++) {
                sum = join(sum, in[i]);
            }
            fake_check(out, sizeof(*out), stream->device);
            *out = sum;
        });
    }

    /* Records of one key, one behind the other, become one. */
    template <class KEYS, class KEY, class IN, class OUT, class JOIN>
    static cudaError_t ReduceByKey(void *scratch, size_t &bytes, KEYS keys, KEY *unique, IN in,
                                   OUT out, uint32_t *found, JOIN join, int count,
                                   cudaStream_t stream)
    {
        if (fake_is_query(scratch, bytes, count)) {
            return cudaSuccess;
        }
        return fake_cub_add(scratch, bytes, count, stream, [=] {
            uint32_t last = 0;
            unique[0] = keys[0];
            out[0] = in[0];
            for (uint32_t i = 1; i < (uint32_t)count; i++) {
                if (keys[i] == keys[i - 1]) {
                    out[last] = join(out[last], in[i]);
                } else {
                    last++;
                    unique[last] = keys[i];
                    out[last] = in[i];
                }
            }
            fake_check(unique, (last + 1) * sizeof(*unique), stream->device);
            fake_check(out, (last + 1) * sizeof(*out), stream->device);
            fake_check(found, sizeof(*found), stream->device);
            *found = last + 1;
        });
    }
};
} // namespace cub

#endif
