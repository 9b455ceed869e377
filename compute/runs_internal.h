/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs: groups that were written away in the order of their keys, and the merge of all runs into
 * one stream of groups. A group may be in any number of runs; the stream has it once. Runs of one
 * level become a run of the next when there are RUNS_MERGED of them, so each group is written again
 * once a level, and few runs are read at a time (D. Knuth, "The Art of Computer Programming",
 * volume 3, section 5.4.1: balanced merging).
 *
 * A run is blocks of u32 length, u32 CRC32C and so many bytes: groups, each as u32 length, key and
 * tallies (docs/formats.md has their encodings), whole. It lives no longer than the task.
 *
 * threads: one owner at a time.
 */
#ifndef HOLDFAST_COMPUTE_RUNS_INTERNAL_H
#define HOLDFAST_COMPUTE_RUNS_INTERNAL_H

#include "compute/group_internal.h"
#include "compute/spill.h"

#define COMPUTE_RUNS_MERGED 16u
#define COMPUTE_RUNS_LEVELS 8u
#define COMPUTE_RUNS_MAX (COMPUTE_RUNS_MERGED * COMPUTE_RUNS_LEVELS)

struct compute_run {
    void *run;
    uint64_t bytes;
    unsigned level;
};

/* In the order in which they were written, which is that of the records. */
struct compute_runs {
    const struct compute_spill *spill; /* NULL: nothing is written away */
    unsigned count;
    struct compute_run run[COMPUTE_RUNS_MAX];
};

/* returns: whether so many runs at the end are of one level that they are to become one. */
bool compute_runs_is_full(const struct compute_runs *r);
void compute_runs_release(struct compute_runs *r);

/* A run that is being written. */
struct compute_run_writer {
    const struct compute_spill *spill;
    struct compute_run run;
    struct buf block; /* with room for its head */
};
int compute_run_writer_start(struct compute_run_writer *w, const struct compute_spill *spill,
                             const struct alloc *alloc, unsigned level);
/* returns: where to append what follows, whole. A failure stays there. */
struct buf *compute_run_writer_block(struct compute_run_writer *w);
/* It is appended. returns: 0, or what the spill returns. */
int compute_run_writer_keep(struct compute_run_writer *w);
/* Ends the run. It is removed after an error (err, or one of its own), and then this returns it. */
int compute_run_writer_end(struct compute_run_writer *w, int err, struct compute_run *out);

/* A run that is being read. */
struct compute_run_reader {
    const struct compute_spill *spill;
    const struct compute_run *run;
    uint64_t at; /* behind the block */
    struct buf block;
    struct bytes_reader rest; /* of the block */
    bool ended;
};
/* run: borrowed. */
void compute_run_reader_init(struct compute_run_reader *r, const struct compute_spill *spill,
                             const struct compute_run *run, const struct alloc *alloc);
void compute_run_reader_release(struct compute_run_reader *r);
/* Where nothing is left of the block, goes on to the next, if there is one.
 * returns: 0, ERR_NO_MEMORY, ERR_CORRUPT, or what the spill returns. */
int compute_run_reader_next(struct compute_run_reader *r);

/* Writes all groups away; g is empty then.
 * returns: 0, ERR_NO_MEMORY, ERR_OVERFLOW (no records give such groups), or what the spill
 * returns. */
int compute_runs_put(struct compute_runs *r, struct compute_groups *g);

struct compute_stream;
/* All groups of the runs. r: borrowed, and not added to meanwhile. */
int compute_stream_new(struct compute_stream **out, const struct compute_program *p,
                       const struct alloc *alloc, const struct compute_runs *r);
void compute_stream_free(struct compute_stream *s);
/* The next group in the order of keys, or NULL behind the last: a view until the next call.
 * returns: 0, ERR_NO_MEMORY, ERR_CORRUPT (not what was written), or what the spill returns. */
int compute_stream_next(struct compute_stream *s, struct compute_group **group);

struct compute_runs_text;
/* The result of a program with keys: what is in the runs, and in g, which is written away too.
 * returns: 0; ERR_TOO_LARGE (the lines of `top` are beyond the limit); ERR_OVERFLOW (of an
 * aggregate); or as compute_stream_next. */
int compute_runs_text_new(struct compute_runs_text **out, struct compute_runs *r,
                          struct compute_groups *g);
void compute_runs_text_free(struct compute_runs_text *x);
/* Appends the next lines, about COMPUTE_RUNS_TEXT_BYTES. *more: whether some are left.
 * returns: likewise. */
int compute_runs_text_next(struct compute_runs_text *x, struct buf *into, bool *more);
#define COMPUTE_RUNS_TEXT_BYTES (256u << 10)

#endif
