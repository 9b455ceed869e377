/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What may do the arithmetic of large arrays in place of the kernels here, such as a device. A
 * host makes such a table; nothing here knows what is behind it. Each function is offered a job and
 * says whether it has done it; if not, the job is done here. The bits are the same either way.
 *
 *   options.whole = &table;                 of a task: what it can do of its arithmetic is offered
 *   table.leaf_hashes(table.ctx, runs, 2);  by whoever hashes
 *
 * Arrays that are offered lie without gaps, as numbers of 64 bits. Numbers of fewer bits, fields of
 * longer records, exclusive scans, running sums of doubles, products and the operators of
 * sketch_internal.h stay with the kernels here.
 *
 * threads: the functions are called by any thread, and return on the one that called.
 */
#ifndef HOLDFAST_COMPUTE_WHOLE_H
#define HOLDFAST_COMPUTE_WHOLE_H

#include "compute/range.h"

/* Consecutive leaves, as of compute_leaf_hashes. */
struct compute_leaves {
    const uint8_t *data;
    size_t bytes; /* may be 0 */
    uint8_t *hashes;
};

/* What values come to. */
enum compute_fold {
    COMPUTE_FOLD_SUM,
    COMPUTE_FOLD_LEAST,
    COMPUTE_FOLD_MOST,
    COMPUTE_FOLD_OR, /* of the bits of whole numbers; of scans alone */
};

/* An array of numbers: not the sum of doubles, which is sum_f64s. */
struct compute_fold_job {
    enum compute_fold fold;
    enum compute_class of;
    const void *values; /* as those of compute_range_of */
    size_t count;       /* > 0 */
};

/* sum: of COMPUTE_FOLD_SUM, exact. key, place: of the others, as compute_range_of has the least and
 * the greatest key, and the number of the first value that has it, from 0: of a NaN, if there is
 * one. */
struct compute_folded {
    struct compute_i128 sum;
    uint64_t key;
    uint64_t place;
};

/* Each function may be NULL.
 * sum_f64s: as compute_exact_add_f64s. returns: false, and e is untouched, if it is not done.
 * reduce: of an array. returns: false, and out is untouched, if it is not done.
 * scan: gives each value of an array of whole numbers what carry and all up to it come to; results:
 *   room for as many, apart from them. carry: what all before come to; before there are some, what
 *   changes no number; then what these come to too. returns: false, and carry is untouched, if it
 *   is not done, as where a sum leaves its range; any results may be written all the same.
 * sort: as compute_order_numbers. returns: false if it is not done; any places may be written.
 * leaf_hashes: as compute_leaf_hashes, of some runs at once. returns: false if it is not done; any
 *   hashes may be written all the same.
 * wrong: hashes that leaf_hashes made are not those of the processor. */
struct compute_whole {
    void *ctx;
    bool (*sum_f64s)(void *ctx, struct compute_exact *e, const void *values, size_t count);
    bool (*reduce)(void *ctx, const struct compute_fold_job *job, struct compute_folded *out);
    bool (*scan)(void *ctx, const struct compute_fold_job *job, void *results, uint64_t *carry);
    bool (*sort)(void *ctx, const void *keys, size_t count, uint32_t *order);
    bool (*leaf_hashes)(void *ctx, const struct compute_leaves *runs, unsigned count);
    void (*wrong)(void *ctx);
};

#endif
