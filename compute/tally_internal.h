/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tallies: what an aggregate of a program keeps for one group. A tally depends on which values it
 * took in and not on their order, so tallies of parts merge to that of the whole; so does the
 * memory it takes. Whole numbers are summed in 128 bits; the memory of an exact sum of doubles
 * (compute/narrow.h) is taken when the first double comes.
 *
 * threads: one owner of a tally at a time.
 */
#ifndef HOLDFAST_COMPUTE_TALLY_INTERNAL_H
#define HOLDFAST_COMPUTE_TALLY_INTERNAL_H

#include "compute/record_internal.h"

struct compute_narrow;

/* All zeros at first. Of count only the first member is there. */
struct compute_tally {
    uint64_t count; /* of numbers; count: records; distinct: values */
    union {
        uint64_t reals; /* numbers that were not whole */
        uint64_t place; /* argmin, argmax: of the record with `best` in the span, from 0 */
    };
    union {
        struct {
            struct compute_i128 whole;
            struct compute_narrow *real; /* NULL before the first */
        } sum;                           /* sum, mean */
        struct {
            struct compute_narrow *sum; /* dot: of products */
            struct compute_narrow *squares;
        } spread;                   /* var, varp, dot; NULL before the first number */
        struct compute_number best; /* min, max, argmin, argmax; if count is more than 0 */
        struct {
            uint64_t *few;  /* distinct: up to COMPUTE_TALLY_FEW different ones, in any order */
            uint64_t *many; /* or a sketch of them, as in compute_reduce */
            uint64_t fewer; /* how many */
        } distinct;
    } of;
};
#define COMPUTE_TALLY_FEW 64u

/* Where tallies take memory from. */
struct compute_store {
    struct alloc alloc;
    uint64_t used_bytes;
};
/* returns: zeros, to be given back with the same number of bytes; or NULL. */
void *compute_store_get(struct compute_store *store, size_t bytes);
void compute_store_put(struct compute_store *store, void *memory, size_t bytes);

/* returns: whether the operator has tallies. */
bool compute_tally_has(enum compute_op op);
/* returns: whether it says where in an object a record is: argmin, argmax. */
bool compute_tally_is_of_place(enum compute_op op);
/* returns: the first format of states of tasks that has the operator's tally as it is encoded. */
uint8_t compute_tally_format(enum compute_op op);
uint32_t compute_tally_bytes(enum compute_op op);
/* Takes in a value; not for count, dot, argmin and argmax. returns: 0, ERR_NO_MEMORY; a cell that
 * is no number and should be one is the caller's to refuse. */
int compute_tally_add(struct compute_tally *t, enum compute_op op, const struct compute_cell *value,
                      struct compute_store *store);
/* dot: takes in a product of two numbers. */
int compute_tally_add_product(struct compute_tally *t, const struct compute_number *a,
                              const struct compute_number *b, struct compute_store *store);
/* argmin, argmax: takes in the number of a record, whose place is behind all before. */
void compute_tally_add_place(struct compute_tally *t, enum compute_op op,
                             const struct compute_number *n, uint64_t place);
/* sum, mean: the exact sum of the numbers. */
void compute_tally_total(const struct compute_tally *t, struct compute_exact *out);
/* from: of the records behind the first `before`, which are those of into. */
int compute_tally_merge(struct compute_tally *into, enum compute_op op,
                        const struct compute_tally *from, uint64_t before,
                        struct compute_store *store);
/* returns: whether a tally may have memory of its own, which compute_tally_release gives back. */
bool compute_tally_has_more(enum compute_op op);
void compute_tally_release(struct compute_tally *t, enum compute_op op,
                           struct compute_store *store);
/* Appends the encoding. returns: 0, what buf_append returns, or ERR_OVERFLOW. */
int compute_tally_encode(const struct compute_tally *t, enum compute_op op, struct buf *into);
/* t: zeros. records: places are below. returns: 0, ERR_PROTOCOL, ERR_NO_MEMORY. */
int compute_tally_decode(struct compute_tally *t, enum compute_op op, struct bytes_reader *from,
                         uint64_t records, struct compute_store *store);
/* Between tally.c and tally_code.c: the bits of a distinct value; from single values to a sketch.
 * returns: 0 or ERR_NO_MEMORY. */
int compute_tally_add_bits(struct compute_tally *t, uint64_t bits, struct compute_store *store);
int compute_tally_grow(struct compute_tally *t, struct compute_store *store);
/* returns: 0; ERR_NOT_FOUND (of too few values); ERR_OVERFLOW; ERR_CORRUPT (no values
 * give such a tally). */
int compute_tally_finish(const struct compute_tally *t, enum compute_op op,
                         struct compute_value *out);

#endif
