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
#include "compute/scan.h"
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
    struct buf values;            /* of a scan: what has no result yet (task_scan.c) */
    uint64_t values_to;           /* the record behind the last of them, unless all have one */
    size_t ahead;                 /* bytes behind the task's `to` that it has taken */
};

/* Where a scan has come to: what is known of the segment so far. */
struct compute_scan {
    bool begun;      /* some values had their turn: they are in no state */
    uint64_t record; /* those before it have their results */
    struct compute_store store;
    struct compute_tally tally;        /* but of sums that are doubles */
    struct compute_running running;    /* of those */
    double sum;                        /* likewise, the last result */
    const struct compute_whole *whole; /* is offered what it may do; NULL: none */
    int err;                           /* of memory: the scan is of no more use */
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
    struct compute_scan *scan;        /* of a span from 0 by a program that scans */
    uint64_t chosen;                  /* the hash by which the record is in the last sample */
    uint64_t row_steps;               /* what rows have cost */
    uint64_t row_steps_pause;         /* a record that brings it there is the last for now */
};

/* returns: whether rows have cost what they may for now. */
static inline bool compute_task_pauses(const struct compute_task *t)
{
    return t->row_steps >= t->row_steps_pause;
}

/* One whole record, in the order of the span. returns: 0 or ERR_NO_MEMORY. */
int compute_task_record(struct compute_task *t, struct compute_reading *r, struct bytes record);
/* The task's record, whose fields are found and which the fault has the number of.
 * returns: likewise. */
int compute_task_take(struct compute_task *t, struct compute_reading *r);
/* Records of CSV that end within the data, from *at on, which is between records; as far as it does
 * not pause. *at: behind what was taken. returns: likewise. */
int compute_task_csv(struct compute_task *t, struct compute_reading *r, struct bytes data,
                     size_t *at);
/* Of a plan that sorts: keeps the task's record with its key.
 * returns: 0, what is wrong being in fault; or as compute_sorter_add, but for the limit. */
int compute_task_sort(struct compute_task *t, struct compute_reading *r,
                      struct compute_fault *fault);
/* A number for an aggregate. returns: false if there is none; with or without a fault. */
bool compute_task_number(struct compute_task *t, struct compute_expr e, struct compute_cell *out,
                         struct compute_fault *fault);
/* Appends what is selected of the task's record, without an end. returns: false, and nothing was
 * appended, for a fault. */
bool compute_task_select(struct compute_task *t, struct buf *into, struct compute_fault *fault);

/* --- of a plan that scans --- */

/* Room for results, of a span from 0. returns: 0 or ERR_NO_MEMORY. */
int compute_scan_new(struct compute_task *t);
void compute_scan_free(struct compute_task *t);
/* Keeps the value of the task's record, which passes. returns: 0 or ERR_NO_MEMORY. */
int compute_scan_record(struct compute_task *t, struct compute_reading *r,
                        struct compute_fault *fault);
/* Of a dense plan: keeps the values of whole records. returns: 0 or ERR_NO_MEMORY. */
int compute_scan_array(const struct compute_program *p, struct compute_reading *r,
                       struct bytes records);
/* Of a dense plan: gives whole records their results at once, where all before have theirs and some
 * were taken, so that values are in no state. An error is found by the next compute_scan_results.
 * returns: false: it is not so, and they are to be kept. */
bool compute_scan_at_once(struct compute_task *t, struct compute_reading *r, struct bytes records);
/* The values of a span that follows. returns: 0 or ERR_NO_MEMORY. */
int compute_scan_merge(const struct compute_program *p, struct compute_reading *into,
                       const struct compute_reading *from);
/* Gives all values their results, which go to the output. A result that is no number of its type is
 * a fault. returns: 0 or ERR_NO_MEMORY. */
int compute_scan_results(struct compute_task *t);
/* Goes on in another object, from its first record. */
void compute_scan_next(struct compute_task *t);

/* One value as it is kept: task_scan_code.c. */
struct compute_scan_value {
    uint64_t skipped; /* records behind the value before that have none */
    bool begins;      /* a segment */
    bool has_number;
    struct compute_number number;
    struct bytes text; /* what is selected, with `selects` */
};
/* returns: 0 or ERR_NO_MEMORY. */
int compute_scan_put(const struct compute_program *p, const struct compute_scan_value *v,
                     struct buf *into);
/* Takes one. from: failed if it is none. out: views into it. */
void compute_scan_take(const struct compute_program *p, struct bytes_reader *from,
                       struct compute_scan_value *out);
/* returns: whether values that came from outside are of the reading's records; finds where they
 * end. */
bool compute_scan_is_sound(const struct compute_program *p, struct compute_reading *r);

/* Of a plan that counts words: whole words from *at on, which is between words; those of the last
 * bytes are left. *at: behind what was taken. returns: 0 or ERR_NO_MEMORY. */
int compute_task_count_words(struct compute_reading *r, struct bytes data, size_t *at);

/* Of a plan that counts records: likewise. */
void compute_task_count_records(const struct compute_program *p, struct compute_reading *r,
                                struct bytes data, size_t *at);

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
