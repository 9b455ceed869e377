/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * In the place of Thrust's: numbers from one on.
 */
#ifndef HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_THRUST_ITERATOR_COUNTING_ITERATOR_H
#define HOLDFAST_TESTS_UNIT_GPU_FAKE_CUDA_THRUST_ITERATOR_COUNTING_ITERATOR_H

namespace thrust
{
template <class NUMBER> struct fake_counting {
    NUMBER first;
    NUMBER operator[](NUMBER i) const
    {
        return (NUMBER)(first + i);
    }
};

template <class NUMBER> static inline fake_counting<NUMBER> make_counting_iterator(NUMBER first)
{
    return {first};
}
} // namespace thrust

#endif
