/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kernels under ranges. They take a NaN for a number beyond the infinity of its sign; range.c
 * finds it by its key.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_RANGE_INTERNAL_H
#define HOLDFAST_COMPUTE_RANGE_INTERNAL_H

#include "compute/exact_internal.h"
#include "compute/range.h"

#define COMPUTE_KEY_FLIP (UINT64_C(1) << 63)

typedef void compute_range_fn(const uint8_t *at, size_t count, enum compute_class of,
                              struct compute_range *out);
compute_range_fn compute_range_plain;
#if COMPUTE_EXACT_HAS_LANES
compute_range_fn compute_range_avx2;
compute_range_fn compute_range_avx512;
#endif

#endif
