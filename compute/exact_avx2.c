/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kernels under exact sums with AVX2, four doubles at a time. Their twin is exact_sum.c.
 */
#include "compute/exact_internal.h"

#if COMPUTE_EXACT_HAS_LANES

#define LANES 4u
#define FEATURES "avx2"
#define OR_XOR(a, b, c) ((a) | ((b) ^ (c)))
#define PIECES compute_pieces_avx2
#define HALVES compute_halves_avx2
#include "compute/exact_lanes_internal.h"

#else
typedef int compute_exact_avx2_unused;
#endif
