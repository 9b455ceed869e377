/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Scans whose results lie as their records do: raw records of one field of 8 bytes, all of which
 * have a result. The results of a part follow from its bytes and from its carry, which is what the
 * scan keeps of all records before, or of those of the segment that they end in. So parts may be
 * scanned in any order, each where it lies, once their carries are known (docs/adr/0034); the bits
 * are those of one scan over all.
 *
 *   compute_carry_has(p)                          whether the program is such a scan
 *   compute_carry_total(p, text)                  the program whose task tells a carry
 *   compute_carry_of(p, task, &carry)             of all before the task's end
 *   compute_carry_scan(p, &heap, &part, &next)    one part, and the carry behind it
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_CARRY_H
#define HOLDFAST_COMPUTE_CARRY_H

#include "compute/exact.h"
#include "compute/task.h"

#define COMPUTE_CARRY_FORMAT 1u
#define COMPUTE_CARRY_BYTES_MAX (2u + COMPUTE_EXACT_ENCODED_MAX)
#define COMPUTE_CARRY_TEXT 16u

bool compute_carry_has(const struct compute_program *p);
/* text: of the program that computes the aggregate of all records, such as "i64 | sum".
 * returns: 0; ERR_NOT_FOUND: there is none (`or`, segments), and a carry is only had from the part
 * before. */
int compute_carry_total(const struct compute_program *p, char text[COMPUTE_CARRY_TEXT]);
/* Appends the carry behind a span of that program from 0, of whole records; NULL: of no records.
 * The same records give the same bytes (docs/formats.md). returns: 0; ERR_INVALID (another
 * program's); ERR_RANGE (no such span); ERR_OVERFLOW, ERR_CORRUPT: no records give such a span. */
int compute_carry_of(const struct compute_program *p, const struct compute_task *total,
                     struct buf *into);

struct compute_carry_part {
    uint64_t from; /* in the object, whole records */
    struct bytes carry;
    struct bytes in;                   /* whole records */
    uint8_t *out;                      /* as many bytes */
    const struct compute_whole *whole; /* is offered what it may do; may be NULL */
};
/* Scans a part. next: the carry behind it is appended.
 * returns: 0; ERR_RANGE (records in part); ERR_LEVEL, ERR_PROTOCOL (no carry of the program);
 * ERR_OVERFLOW: a result leaves its range; ERR_NO_MEMORY. */
int compute_carry_scan(const struct compute_program *p, const struct alloc *alloc,
                       const struct compute_carry_part *part, struct buf *next);

#endif
