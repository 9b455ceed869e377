/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums of a group: those limbs of a compute_exact alone that its values reach, as groups are
 * many and their values mostly alike. A window is from the lowest limb that a value reaches to one
 * above the highest. So it depends on the values and not on their order, nor on how they were
 * split, and so does the memory that it takes: a sum of doubles of about one size takes 40
 * or 48 bytes, one of the least and the greatest double 552.
 *
 * The limb above is enough for fewer than 2^63 values: each is below its weight, and it has 63 bits
 * and a sign.
 *
 * A pointer that is NULL is the sum of nothing. Memory is of a compute_store, to which it is given
 * back by compute_narrow_release.
 *
 * threads: one owner of a sum at a time.
 */
#ifndef HOLDFAST_COMPUTE_NARROW_H
#define HOLDFAST_COMPUTE_NARROW_H

#include "compute/exact_internal.h"
#include "compute/tally_internal.h"

struct compute_narrow {
    uint32_t load; /* as in compute_exact */
    uint8_t seen;
    uint8_t first; /* limb of a compute_exact that limb[0] is; 0 if there are none */
    uint8_t count; /* 0: no value but zeros, NaNs and infinities */
    int64_t limb[];
};

/* Adds a value. returns: 0, or ERR_NO_MEMORY: *n is as before. */
int compute_narrow_add(struct compute_narrow **n, const struct compute_term *t,
                       struct compute_store *store);
/* into += from, which may be NULL; not into itself. returns: 0, or ERR_NO_MEMORY: *into is as
 * before. */
int compute_narrow_merge(struct compute_narrow **into, const struct compute_narrow *from,
                         struct compute_store *store);
void compute_narrow_release(struct compute_narrow **n, struct compute_store *store);
/* The same sum with all limbs. */
void compute_narrow_expand(const struct compute_narrow *n, struct compute_exact *out);

/* Appends the encoding: equal values give equal bytes (docs/formats.md). n: not NULL.
 * returns: 0 or what buf_append returns. */
int compute_narrow_encode(const struct compute_narrow *n, struct buf *into);
/* Takes one encoding. *n: NULL. values: how many the sum is of, at most 2^63 - 1.
 * returns: 0; ERR_NO_MEMORY; ERR_PROTOCOL (no encoding of so many values' sum). *n: NULL on
 * failure. */
int compute_narrow_decode(struct compute_narrow **n, uint64_t values, struct bytes_reader *from,
                          struct compute_store *store);

#endif
