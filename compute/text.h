/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where records of text end: bytes of one kind as bits, 64 of them a number.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_TEXT_H
#define HOLDFAST_COMPUTE_TEXT_H

#include "compute/exact.h"

#define COMPUTE_TEXT_BLOCK 64u

enum compute_text_kind {
    COMPUTE_TEXT_NEWLINE, /* 10 */
    COMPUTE_TEXT_SPACE,   /* 9 to 13 and 32 */
};

/* masks[i], bit b (of value 2^b): whether byte 64 i + b is of the kind. at: 64 * blocks bytes, any
 * alignment. */
void compute_text_masks(enum compute_text_kind kind, const uint8_t *at, size_t blocks,
                        uint64_t *masks);
/* returns: how many of the bytes are newlines. */
uint64_t compute_text_newlines(const uint8_t *at, size_t bytes);
/* The same by one kernel, likewise. */
uint64_t compute_text_newlines_by(enum compute_lanes lanes, const uint8_t *at, size_t bytes);
/* returns: the kernel that does it here. */
enum compute_lanes compute_text_lanes(void);
/* The same by one kernel, which must run here; wider ones are that for AVX2. */
void compute_text_masks_by(enum compute_lanes lanes, enum compute_text_kind kind, const uint8_t *at,
                           size_t blocks, uint64_t *masks);

#endif
