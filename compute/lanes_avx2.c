/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kernels under exact sums, ranges and scans with AVX2, four doubles at a time. Their twins are
 * in exact_sum.c, range.c and scan.c.
 */
#include "compute/exact_internal.h"

#if COMPUTE_EXACT_HAS_LANES

#include <immintrin.h>

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
#define UP_1(v) \
    (_mm256_blend_epi32(_mm256_permute4x64_epi64((v), 0x90), _mm256_setzero_si256(), 0x03))
#define UP_2(v) (_mm256_permute2x128_si256((v), (v), 0x08))
#define UP(v, by) ((naturals)UP_##by((__m256i)(v)))
#define LAST(v) ((naturals)_mm256_permute4x64_epi64((__m256i)(v), 0xff))
#define STORE_PAST(to, v) _mm256_stream_si256((__m256i *)(void *)(to), (__m256i)(v))
#define SCAN compute_scan_avx2
#include "compute/lanes_internal.h"

#else
typedef int compute_lanes_avx2_unused;
#endif
