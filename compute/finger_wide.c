/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints by vectors of 32 bytes, which the compiler makes of those that every machine of the
 * kind has. Their twin is in finger.c.
 */
#include "compute/finger_internal.h"

#define LANES 1u
#define TARGET
#define XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define SUMMANDS COMPUTE_FINGER_SUMMANDS1
#define BLOCKS compute_finger_blocks_wide
#define FOLD compute_finger_fold_wide
#include "compute/finger_lanes_internal.h"
