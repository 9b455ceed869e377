/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of fingerprints share: the kernels, and the coefficients at their end.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_FINGER_INTERNAL_H
#define HOLDFAST_COMPUTE_FINGER_INTERNAL_H

#include "base/attr.h"
#include "compute/finger.h"

#define COMPUTE_FINGER_STEPS 13u /* vectors that depend on one another: the degree above */

/* h^(12 - i) for i of 0 to 12, and (h^2)^(12 - i); the first of each and 1. */
#define COMPUTE_FINGER_SUMMANDS1                                                     \
    {                                                                                \
        0x51, 0x80, 0xef, 0xfc, 0x76, 0x89, 0x0c, 0xeb, 0xa5, 0x15, 0x71, 0x23, 0x01 \
    }
#define COMPUTE_FINGER_SUMMANDS2                                                     \
    {                                                                                \
        0xd1, 0x13, 0xff, 0xe7, 0xb0, 0x52, 0x50, 0xef, 0x76, 0x0c, 0xa5, 0x71, 0x01 \
    }

#if defined(__x86_64__) && defined(__GNUC__)
#define COMPUTE_FINGER_HAS_LANES 1
#else
#define COMPUTE_FINGER_HAS_LANES 0
#endif

/* Goes on over whole blocks: state is the last u (finger_lanes_internal.h), zeros at first. */
typedef void compute_finger_blocks_fn(uint8_t state[COMPUTE_FINGER_BLOCK_BYTES],
                                      const uint8_t *blocks, size_t count);
/* What Horner's rule gives for all rows so far. */
typedef void compute_finger_fold_fn(const uint8_t state[COMPUTE_FINGER_BLOCK_BYTES],
                                    uint8_t sum[COMPUTE_FINGER_BYTES]);
compute_finger_blocks_fn compute_finger_blocks_wide;
compute_finger_fold_fn compute_finger_fold_wide;
#if COMPUTE_FINGER_HAS_LANES
compute_finger_blocks_fn compute_finger_blocks_avx2;
compute_finger_fold_fn compute_finger_fold_avx2;
compute_finger_blocks_fn compute_finger_blocks_avx512;
compute_finger_fold_fn compute_finger_fold_avx512;
#endif

#endif
