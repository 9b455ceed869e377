/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * In the place of CUB's: the same calls, done in a loop when the stream comes to them.
 */
#ifndef HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_CUB_DEVICE_DEVICE_SCAN_CUH
#define HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_CUB_DEVICE_DEVICE_SCAN_CUH

#include "../fake_cub.h"

namespace cub
{
struct DeviceScan {
    template <class IN, class OUT, class JOIN>
    static cudaError_t InclusiveScan(void *scratch, size_t &bytes, IN in, OUT out, JOIN join,
                                     int count, cudaStream_t stream)
    {
        if (fake_is_query(scratch, bytes, count)) {
            return cudaSuccess;
        }
        return fake_cub_add(scratch, bytes, count, stream, [=] {
            fake_check(out, (size_t)count * sizeof(*out), stream->device);
            auto sum = in[0];
            for (uint32_t i = 0; i < (uint32_t)count; i++) {
                sum = i == 0 ? sum : join(sum, in[i]);
                out[i] = sum;
            }
        });
    }
};
} // namespace cub

#endif
