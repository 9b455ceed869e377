/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Inside tasks: what one reading of a span keeps.
 *
 * Where a span of CSV begins inside an object, whether its first byte is in quotes may not be
 * known. It is read both ways then; merging picks the one with which the span before ends. As a
 * quote changes the state of one as of the other, the two readings of a span end in different
 * states, and none is ever needed twice. The wrong one often finds no end of a record and would
 * keep all bytes: such a reading may be left out, and whoever finds that it was the right one
 * computes the span again, knowing how it begins.
 *
 * threads: one owner at a time.
 */
#ifndef HOLDFAST_COMPUTE_TASK_INTERNAL_H
#define HOLDFAST_COMPUTE_TASK_INTERNAL_H

#include "compute/group_internal.h"
#include "compute/reduce_internal.h"
#include "compute/runs_internal.h"
#include "compute/sort_internal.h"
#include "compute/task.h"

_Static_assert(COMPUTE_TASK_RECORD_MAX == COMPUTE_RECORD_BYTES_MAX, "one limit");

struct compute_reading {
    bool open;        /* no end of a record was seen: all bytes are in head */
    bool quoted;      /* CSV: the bytes that follow are in quotes */
    bool left_out;    /* nothing of it is kept */
    struct buf head;  /* bytes before the first end of a record; cut where they are too many */
    struct buf tail;  /* bytes after the last one */
    uint64_t records; /* between the two */
    struct compute_fault fault; /* the first: nothing behind it counts */
    struct compute_groups groups;
    struct compute_group *only;   /* of a program without keys */
    struct buf output;            /* of a program without aggregates */
    struct compute_sorter sorter; /* of one that sorts; output is scratch then */
    size_t ahead;                 /* bytes behind the task's `to` that it has taken */
};

struct compute_task {
    struct alloc alloc;
    const struct compute_program *p;
    uint64_t from;
    uint64_t to;
    uint64_t limit_bytes;
    bool ended;
    struct compute_reduce *reduce; /* of a plan that reduces: it does all */
    unsigned readings;             /* 1; 2: CSV that does not begin at 0 */
    struct compute_reading reading[2];
    struct compute_record *rows;  /* of lookups: what they found for the record */
    struct compute_record record; /* scratch, as are these */
    struct buf key;
    struct compute_runs *runs;        /* groups beyond the limit; NULL without a spill */
    struct compute_runs_text *result; /* what there is more of it */
    struct compute_sorted *sorted;    /* likewise, of what is sorted */
    uint64_t chosen;                  /* the hash by which the record is in the last sample */
    uint64_t row_steps;               /* what rows have cost */
    uint64_t row_steps_pause;         /* a record that brings it there is the last for now */
};

/* One whole record, in the order of the span. returns: 0 or ERR_NO_MEMORY. */
int compute_task_record(struct compute_task *t, struct compute_reading *r, struct bytes record);
/* Of a plan that sorts: keeps the task's record with its key.
 * returns: 0, what is wrong being in fault; or as compute_sorter_add, but for the limit. */
int compute_task_sort(struct compute_task *t, struct compute_reading *r,
                      struct compute_fault *fault);
/* Of a plan that counts words: whole words from *at on, which is between words; those of the last
 * bytes are left. *at: behind what was taken. returns: 0 or ERR_NO_MEMORY. */
int compute_task_count_words(struct compute_reading *r, struct bytes data, size_t *at);

/* --- task_why.c: all return the error, which `why` says in a sentence --- */

/* Of a record; 0 if there is no fault. */
int compute_task_why_fault(const struct compute_task *t, const struct compute_fault *f,
                           struct err_info *why);
/* Of a result that one aggregate (failed) does not have; 0 if err is 0. */
int compute_task_why_result(const struct compute_task *t, uint32_t failed, int err,
                            struct err_info *why);
/* of: the aggregate that says where in one object a record is. */
int compute_task_why_place(const struct compute_task *t, uint32_t of, struct err_info *why);
/* Of what was written away. */
int compute_task_why_runs(const struct compute_task *t, int err, struct err_info *why);

#endif
