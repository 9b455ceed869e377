/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What may do the arithmetic of large arrays in place of the kernels here, such as a device. A
 * host makes such a table; nothing here knows what is behind it. Each function is offered a job and
 * says whether it has done it; if not, the job is done here. The bits are the same either way.
 *
 *   options.whole = &table;                 of a task: its sums of doubles are offered
 *   table.leaf_hashes(table.ctx, runs, 2);  by whoever hashes
 *
 * threads: the functions are called by any thread, and return on the one that called.
 */
#ifndef HOLDFAST_COMPUTE_WHOLE_H
#define HOLDFAST_COMPUTE_WHOLE_H

#include "compute/exact.h"

/* Consecutive leaves, as of compute_leaf_hashes. */
struct compute_leaves {
    const uint8_t *data;
    size_t bytes; /* may be 0 */
    uint8_t *hashes;
};

/* Each function may be NULL.
 * sum_f64s: as compute_exact_add_f64s. returns: false, and e is untouched, if it is not done.
 * leaf_hashes: as compute_leaf_hashes, of some runs at once. returns: false if it is not done; any
 *   hashes may be written all the same.
 * wrong: hashes that leaf_hashes made are not those of the processor. */
struct compute_whole {
    void *ctx;
    bool (*sum_f64s)(void *ctx, struct compute_exact *e, const void *values, size_t count);
    bool (*leaf_hashes)(void *ctx, const struct compute_leaves *runs, unsigned count);
    void (*wrong)(void *ctx);
};

#endif
