/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where records and fields of CSV end (RFC 4180), found 64 bytes at a time: bytes of one kind are
 * bits of a number, and whether a byte is in quotes is the parity of the quotes up to it (G.
 * Langdale, D. Lemire, "Parsing gigabytes of JSON per second", 2019, section 3.1). So each field of
 * a record is found without a look at the others. What is wrong with a record is not looked for.
 *
 * threads: pure functions; one owner of an index at a time.
 */
#ifndef HOLDFAST_COMPUTE_CSV_INTERNAL_H
#define HOLDFAST_COMPUTE_CSV_INTERNAL_H

#include "compute/text.h"

#define COMPUTE_CSV_BLOCKS 64u /* of text at once */
#define COMPUTE_CSV_BYTES (COMPUTE_CSV_BLOCKS * COMPUTE_TEXT_BLOCK)
#define COMPUTE_CSV_STEP 4u /* commas are written so many at a time */

/* The end of a record: a newline that is not in quotes. All places are from the index's start. */
struct compute_csv_mark {
    uint16_t at;
    uint16_t commas; /* before it, not in quotes */
    uint16_t quotes; /* before it */
};

struct compute_csv_index {
    uint32_t ends;
    struct compute_csv_mark end[COMPUTE_CSV_BYTES];
    uint16_t comma[COMPUTE_CSV_BYTES + COMPUTE_CSV_STEP]; /* those not in quotes */
};

/* returns: whether this processor makes an index. */
bool compute_csv_has_index(void);
/* at: 64 * blocks bytes, any alignment, of which the first is not in quotes; blocks: at most
 * COMPUTE_CSV_BLOCKS. Only where there is one. */
void compute_csv_index(struct compute_csv_index *x, const uint8_t *at, size_t blocks);

#endif
