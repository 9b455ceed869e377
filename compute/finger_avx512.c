/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints with AVX-512, two rows at a time. Their twin is in finger.c.
 */
#include "compute/finger_internal.h"

#if COMPUTE_FINGER_HAS_LANES

#include <immintrin.h>

#define LANES 2u
#define TARGET ATTR_TARGET("avx512f,avx512bw")
/* Any function of three bits is one instruction; its number is the column of the truth table. */
#define XOR3(a, b, c) \
    ((words)_mm512_ternarylogic_epi64((__m512i)(a), (__m512i)(b), (__m512i)(c), 0x96))
#define SUMMANDS COMPUTE_FINGER_SUMMANDS2
#define BLOCKS compute_finger_blocks_avx512
#define FOLD compute_finger_fold_avx512
#include "compute/finger_lanes_internal.h"

#else
typedef int compute_finger_avx512_unused;
#endif
