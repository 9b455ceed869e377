/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where groups go that are more than memory may hold: runs, each written once from its beginning,
 * then read in pieces, then removed. Tasks know nothing of files; who makes a task gives it this
 * table of functions.
 *
 * threads: called on the task's thread.
 */
#ifndef HOLDFAST_COMPUTE_SPILL_H
#define HOLDFAST_COMPUTE_SPILL_H

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

struct compute_spill {
    void *ctx;
    /* *run: a new, empty one. All return 0 or an error, with which the task is over. */
    int (*create)(void *ctx, void **run);
    int (*append)(void *ctx, void *run, struct bytes data);
    /* Exactly the bytes [at, at + bytes), which were appended. */
    int (*read)(void *ctx, void *run, uint64_t at, void *into, size_t bytes);
    void (*remove)(void *ctx, void *run);
};

#endif
