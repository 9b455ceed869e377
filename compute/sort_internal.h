/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sorting: lines to print with their keys, kept in the order in which they came, and given back in
 * the order of the keys' bytes, equal ones as they came. A key is made so that the order of its
 * bytes is that of the values (docs/program.md): first what is empty, then numbers by their exact
 * value, then NaN, then texts.
 *
 * A part of a key is none of the beginning of another, so that parts follow each other without
 * anything between, and a part that goes down is its complement:
 *
 *   00                     empty
 *   60 to 9f, 16 bits in all  a number: 8000 is zero, above it are the exponents of what is above
 *                          zero, then 64 bits from the highest that is set (none of zero and
 *                          infinities); what is below zero is the complement
 *   a0                     NaN
 *   c0                     a text, with 00 as 00 ff, then 00 01
 *
 * What is kept is charged for by its bytes alone, so that the limit is passed, or not, wherever the
 * object was cut. With runs it goes there, sorted, each time the limit is passed.
 *
 * threads: one owner at a time.
 */
#ifndef HOLDFAST_COMPUTE_SORT_INTERNAL_H
#define HOLDFAST_COMPUTE_SORT_INTERNAL_H

#include "compute/order_internal.h"
#include "compute/record_internal.h"
#include "compute/runs_internal.h"

#define COMPUTE_SORT_ENTRY_BYTES 40u /* what an entry takes beside its key and line */

struct compute_sort_entry {
    struct bytes key;
    struct bytes line;
};

struct compute_sort_chunk;

struct compute_sorter {
    struct alloc alloc;
    uint64_t limit_bytes;
    uint64_t used_bytes;
    size_t count;
    struct compute_sort_chunk *first;
    struct compute_sort_chunk *last;
    struct compute_runs *runs;         /* where entries go beyond the limit; NULL: nowhere */
    const struct compute_whole *whole; /* is offered the order of keys; NULL: none */
};

/* Appends a value as the next part of a key. A failure stays in key->err. */
void compute_sort_key_put(struct buf *key, struct compute_cell *value, bool down);
/* returns: whether a key that came from outside has just the parts that the program's keys have. */
bool compute_sort_key_is_whole(const struct compute_program *p, struct bytes key);

void compute_sorter_init(struct compute_sorter *s, const struct alloc *alloc, uint64_t limit_bytes);
void compute_sorter_release(struct compute_sorter *s);
/* Adds an entry behind all others: both are copied.
 * returns: 0; ERR_TOO_LARGE (the limit, if there are no runs: it is of no more use but for that);
 * ERR_NO_MEMORY; what the spill returns. */
int compute_sorter_add(struct compute_sorter *s, struct bytes key, struct bytes line);
/* Adds those of `from`, which has no runs and stays as it is. returns: likewise. */
int compute_sorter_merge(struct compute_sorter *into, const struct compute_sorter *from);

/* Entries in the order in which they came. */
struct compute_sort_cursor {
    const struct compute_sort_chunk *chunk;
    size_t at;
};
struct compute_sort_cursor compute_sorter_begin(const struct compute_sorter *s);
/* returns: whether there was one more. */
bool compute_sorter_next(struct compute_sort_cursor *c, struct compute_sort_entry *out);

struct compute_sorted;
/* All lines in order. s: borrowed, and not added to any more.
 * returns: 0; ERR_NO_MEMORY; ERR_CORRUPT (runs are not what was written); what the spill returns.
 */
int compute_sorted_new(struct compute_sorted **out, struct compute_sorter *s);
void compute_sorted_free(struct compute_sorted *x);
/* Appends the next lines, about COMPUTE_RUNS_TEXT_BYTES. *more: whether some are left.
 * returns: likewise. */
int compute_sorted_next(struct compute_sorted *x, struct buf *into, bool *more);

/* --- of sort.c, for sort_runs.c --- */

/* *out: where the s->count entries lie, sorted, to be given back. returns: 0 or ERR_NO_MEMORY. */
int compute_sorter_items(const struct compute_sorter *s, struct compute_order_item **out);
void compute_sorter_items_free(const struct compute_sorter *s, struct compute_order_item *items);
struct compute_sort_entry compute_sort_entry_at(const uint8_t *at);
/* Writes all entries away; there are none then. */
int compute_sorter_spill(struct compute_sorter *s);

#endif
