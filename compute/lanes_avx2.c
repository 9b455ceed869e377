/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kernels under exact sums and ranges with AVX2, four doubles at a time. Their twins are in
 * exact_sum.c and range.c.
 */
#include "compute/exact_internal.h"

#if COMPUTE_EXACT_HAS_LANES

#define LANES 4u
#define FEATURES "avx2"
#define OR_XOR(a, b, c) ((a) | ((b) ^ (c)))
/* a comparison gives all ones where it holds */
#define CHOOSE(which, a, b) (((a) & (which)) | ((b) & ~(which)))
#define LEAST(a, b) CHOOSE((wholes)((a) < (b)), a, b)
#define MOST(a, b) CHOOSE((wholes)((a) > (b)), a, b)
#define PIECES compute_pieces_avx2
#define HALVES compute_halves_avx2
#define RANGE compute_range_avx2
#include "compute/lanes_internal.h"

#else
typedef int compute_lanes_avx2_unused;
#endif
