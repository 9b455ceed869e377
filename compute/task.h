/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tasks: a program over a span of an object's bytes, which may begin and end inside records. The
 * pieces of these are kept, and joined when the states of spans that touch are merged. The result,
 * and the error if there is one, are the same however the object was cut into spans and pieces, and
 * in whatever grouping spans were merged.
 *
 *   compute_task_new(&t, &heap, program, &options, &why);
 *   compute_task_update(t, bytes);      the bytes that follow, in pieces of any size
 *   compute_task_output(t);             records to print, so far: take them, then
 *   compute_task_output_clear(t);
 *   compute_task_merge(t, next);        next begins where t ends
 *   compute_task_next(t, &why);         t covers an object from 0 to its end; others follow
 *   compute_task_finish(t, &why);       likewise, and it was the last; more output
 *   compute_task_free(t);
 *
 * Errors of records are part of the state: the first in the order of the object is the result. What
 * is before it is output if records are printed. Groups beyond the limit are an error that stands
 * before that of any record, unless it comes without the groups of the records up to there.
 *
 * Limits: records of COMPUTE_TASK_RECORD_MAX bytes; objects of less than 2^63 bytes; groups by
 * options.
 *
 * threads: one owner of a state at a time; the plan is only read.
 */
#ifndef HOLDFAST_COMPUTE_TASK_H
#define HOLDFAST_COMPUTE_TASK_H

#include "compute/program.h"
#include "compute/spill.h"
#include "compute/whole.h"

#include <stdbool.h>

#define COMPUTE_TASK_RECORD_MAX (UINT32_C(1) << 20)
#define COMPUTE_TASK_FORMAT 5u /* the latest; a program has the first that knows all it has */
#define COMPUTE_TASK_MEMORY_USUAL (UINT64_C(256) << 20)

/* Whether CSV is in quotes at some place. */
enum compute_task_quotes {
    COMPUTE_TASK_QUOTES_UNKNOWN,
    COMPUTE_TASK_QUOTES_OUTSIDE,
    COMPUTE_TASK_QUOTES_INSIDE,
};

struct compute_task_options {
    uint64_t from;         /* offset of the span in the object */
    uint32_t quotes;       /* enum compute_task_quotes, at from; of no account at 0, nor but of CSV.
                              UNKNOWN: the span is read both ways */
    uint64_t memory_bytes; /* limit of groups, and of what is to be sorted; 0:
                              COMPUTE_TASK_MEMORY_USUAL */
    /* Where groups of `by` go beyond the limit, but for those of `estimate`, and what is to be
     * sorted; NULL: nowhere, and that is TOO_LARGE. Of a span from 0, which is to be finished and
     * not encoded. Borrowed. */
    const struct compute_spill *spill;
    const struct compute_whole *whole; /* is offered what it may do; may be NULL. Borrowed */
};

struct compute_task;

/* The state of an empty span. p: borrowed while the task lives.
 * returns: 0, ERR_RANGE (from), ERR_INVALID (a table is missing), ERR_NO_MEMORY. */
int compute_task_new(struct compute_task **out, const struct alloc *alloc,
                     const struct compute_program *p, const struct compute_task_options *options,
                     struct err_info *why);
void compute_task_free(struct compute_task *t);

/* Takes in the bytes that follow.
 * returns: 0; ERR_RANGE (beyond 2^63); ERR_NO_MEMORY, ERR_CORRUPT or what the spill returns, and
 * the state is of no more use. */
int compute_task_update(struct compute_task *t, struct bytes data);
/* The same, but no more records once rows of tables have cost so many steps: `steps`, from 1, and
 * what those of one record cost more. *taken: bytes that were taken in; the others are to be given
 * again, before anything else is done with the task. */
int compute_task_update_some(struct compute_task *t, struct bytes data, uint64_t steps,
                             size_t *taken);
/* returns: what rows of tables have cost so far, in steps as those of compute_program_steps: bytes
 * in which fields were found, and a quarter of those that were used. */
uint64_t compute_task_row_steps(const struct compute_task *t);
/* returns: whether nothing that follows can change the result, as after an error. */
bool compute_task_is_settled(const struct compute_task *t);
/* returns: where the span begins, or ends, in the object. */
uint64_t compute_task_from(const struct compute_task *t);
uint64_t compute_task_to(const struct compute_task *t);
/* returns: what is known at the end of a span of CSV that begins with the object; else UNKNOWN. */
enum compute_task_quotes compute_task_quotes(const struct compute_task *t);
/* Of a span that was read both ways: leaves out a way in which no record ends and more than `bytes`
 * would be kept. What follows is to be a merge into the span before, or the encoding. */
void compute_task_leave_open(struct compute_task *t, size_t bytes);
/* returns: whether the span was read in the way that follows from its beginning, and that was not
 * left out; UNKNOWN: in any. */
bool compute_task_was_read(const struct compute_task *t, enum compute_task_quotes quotes);
/* Of a span that was read both ways, once it is known in which it follows: leaves out the other
 * one, so that its encoding is that of a span of which this was known. returns: 0; ERR_NOT_FOUND:
 * it was not read in this way. */
int compute_task_leave_other(struct compute_task *t, enum compute_task_quotes quotes);
/* Takes in the span of `next`, which stays as it is.
 * returns: 0; ERR_INVALID: of another program, made with a spill, with results of a scan, or it
 * does not begin where `into` ends; ERR_NOT_FOUND, and nothing is changed: of CSV, `next` was not
 * read in the way in which it follows; ERR_NO_MEMORY, ERR_CORRUPT or what the spill returns, and
 * `into` is of no more use. */
int compute_task_merge(struct compute_task *into, const struct compute_task *next);

/* Appends the canonical encoding of the state (docs/formats.md): the same span of an object has the
 * same bytes. The limit of memory is no part of it; nor may output have been cleared.
 * returns: 0, what buf_append returns, or ERR_OVERFLOW: no records give such a state; ERR_INVALID:
 * made with a spill, or results of a scan were asked for. */
int compute_task_encode(const struct compute_task *t, struct buf *into);
/* A state from all of its encoding. p: of the same text; borrowed. memory_bytes: as in options.
 * returns: 0; ERR_LEVEL (a later format); ERR_INVALID (another program); ERR_PROTOCOL (not an
 * encoding); ERR_TOO_LARGE (groups beyond the limit); ERR_NO_MEMORY. */
int compute_task_decode(struct compute_task **out, const struct alloc *alloc,
                        const struct compute_program *p, uint64_t memory_bytes,
                        struct bytes encoded);

/* What records or the result give to print. Empty if the span does not begin at 0.
 * returns: a view that any call but this one ends. */
struct bytes compute_task_output(struct compute_task *t);
void compute_task_output_clear(struct compute_task *t);

/* Ends the object, its last record too: what is updated or merged next is of another object, from
 * its 0, and counts to the same result. Records, and headers, are counted anew.
 * returns: 0; what compute_task_finish says of records, and the task is of no more use;
 * ERR_INVALID as well: the program says where in an object something is. */
int compute_task_next(struct compute_task *t, struct err_info *why);
/* Ends the object: its last record, then the result is added to the output.
 * returns: 0; ERR_RANGE (the span does not begin at 0, or the object ends inside a record of fixed
 * size); ERR_WRONG_TYPE (no number); ERR_INVALID (division by zero); ERR_OVERFLOW; ERR_PROTOCOL
 * (quotes); ERR_TOO_LARGE (a record, or the groups); ERR_NOT_FOUND (of too few numbers);
 * ERR_NO_MEMORY; ERR_CORRUPT or what the spill returns. Of records, `why` names record, from 1, and
 * field. */
int compute_task_finish(struct compute_task *t, struct err_info *why);
/* returns: whether there is more of the result than was added, as there may be with a spill, and
 * of what is sorted. */
bool compute_task_has_more(const struct compute_task *t);
/* Adds the next part of it to the output. returns: as compute_task_finish. */
int compute_task_more(struct compute_task *t, struct err_info *why);

#endif
