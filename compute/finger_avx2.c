/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints with AVX2, a row at a time. Their twin is in finger.c.
 */
#include "compute/finger_internal.h"

#if COMPUTE_FINGER_HAS_LANES

#define LANES 1u
#define TARGET ATTR_TARGET("avx2")
#define XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define SUMMANDS COMPUTE_FINGER_SUMMANDS1
#define BLOCKS compute_finger_blocks_avx2
#define FOLD compute_finger_fold_avx2
#include "compute/finger_lanes_internal.h"

#else
typedef int compute_finger_avx2_unused;
#endif
