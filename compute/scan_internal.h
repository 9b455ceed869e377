/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kernels under scans of whole numbers.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_SCAN_INTERNAL_H
#define HOLDFAST_COMPUTE_SCAN_INTERNAL_H

#include "compute/exact_internal.h"
#include "compute/scan.h"

/* past: sums may go past the caches; span->to is a multiple of COMPUTE_SCAN_LINE_BYTES then.
 * returns: whether a sum has left its range. All are modulo 2^64. */
typedef bool compute_scan_fn(const struct compute_scan_sums *how,
                             const struct compute_scan_span *span, bool past, uint64_t *carry);
#define COMPUTE_SCAN_LINE_BYTES 64u
compute_scan_fn compute_scan_plain;
#if COMPUTE_EXACT_HAS_LANES
compute_scan_fn compute_scan_avx2;
compute_scan_fn compute_scan_avx512;
#endif

/* The greatest bit of a word says whether before + value = sum, modulo 2^64, has left the range:
 * of signed numbers, when both summands have another sign than the sum; of others, when there is a
 * carry out of the greatest bit (Warren, "Hacker's Delight", 2nd edition, section 2-13). */
#define COMPUTE_SCAN_LEAVES_SIGNED(before, value, sum) (((sum) ^ (before)) & ((sum) ^ (value)))
#define COMPUTE_SCAN_LEAVES_UNSIGNED(before, value, sum) \
    (((before) & (value)) | (((before) | (value)) & ~(sum)))

#endif
