/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * In the place of CUB's: the same calls, done by the standard library when the stream comes to
 * them.
 */
#ifndef HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_CUB_DEVICE_DEVICE_RADIX_SORT_CUH
#define HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_CUB_DEVICE_DEVICE_RADIX_SORT_CUH

#include "../fake_cub.h"

#include <algorithm>
#include <utility>

namespace cub
{
struct DeviceRadixSort {
    template <class KEY, class VALUE>
    static cudaError_t SortPairs(void *scratch, size_t &bytes, const KEY *keys, KEY *keys_out,
                                 const VALUE *values, VALUE *values_out, int count, int begin_bit,
                                 int end_bit, cudaStream_t stream)
    {
        if (fake_is_query(scratch, bytes, count)) {
            return cudaSuccess;
        }
        FAKE_EXPECT(begin_bit == 0 && end_bit == 8 * (int)sizeof(KEY));
        return fake_cub_add(scratch, bytes, count, stream, [=] {
            const size_t all = (size_t)count;
            fake_check(keys, all * sizeof(KEY), stream->device);
            fake_check(keys_out, all * sizeof(KEY), stream->device);
            fake_check(values, all * sizeof(VALUE), stream->device);
            fake_check(values_out, all * sizeof(VALUE), stream->device);
            std::vector<std::pair<KEY, VALUE>> pairs;
            for (size_t i = 0; i < all; i++) {
                pairs.emplace_back(keys[i], values[i]);
            }
            std::stable_sort(pairs.begin(), pairs.end(),
                             [](const auto &a, const auto &b) { return a.first < b.first; });
            for (size_t i = 0; i < all; i++) {
                keys_out[i] = pairs[i].first;
                values_out[i] = pairs[i].second;
            }
        });
    }
};
} // namespace cub

#endif
