/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * In the place of Thrust's: what a function makes of another iterator's values.
 */
#ifndef HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_THRUST_ITERATOR_TRANSFORM_ITERATOR_H
#define HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_THRUST_ITERATOR_TRANSFORM_ITERATOR_H

namespace thrust
{
template <class IN, class OF> struct fake_transform {
    IN in;
    OF of;
    auto operator[](unsigned i) const
    {
        return of(in[i]);
    }
};

template <class IN, class OF>
static inline fake_transform<IN, OF> make_transform_iterator(IN in, OF of)
{
    return {in, of};
}
} // namespace thrust

#endif
