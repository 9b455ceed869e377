/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kernels under exact sums, ranges and scans with AVX-512, eight doubles at a time. Their twins
 * are in exact_sum.c, range.c and scan.c.
 */
#include "compute/exact_internal.h"

#if COMPUTE_EXACT_HAS_LANES

#include <immintrin.h>

#define LANES 8u
#define FEATURES "avx512f"
/* Any function of three bits is one instruction; its number is the column of the truth table. */
#define OR_XOR(a, b, c) \
    ((wholes)_mm512_ternarylogic_epi64((__m512i)(a), (__m512i)(b), (__m512i)(c), 0xf6))
#define LEAST(a, b) ((wholes)_mm512_min_epi64((__m512i)(a), (__m512i)(b)))
#define MOST(a, b) ((wholes)_mm512_max_epi64((__m512i)(a), (__m512i)(b)))
#define PIECES compute_pieces_avx512
#define HALVES compute_halves_avx512
#define RANGE compute_range_avx512
#define UP(v, by) ((naturals)_mm512_alignr_epi64((__m512i)(v), _mm512_setzero_si512(), 8 - (by)))
#define LAST(v) ((naturals)_mm512_permutexvar_epi64(_mm512_set1_epi64(7), (__m512i)(v)))
#define STORE_PAST(to, v) _mm512_stream_si512((__m512i *)(void *)(to), (__m512i)(v))
#define SCAN compute_scan_avx512
#include "compute/lanes_internal.h"

#else
typedef int compute_lanes_avx512_unused;
#endif
