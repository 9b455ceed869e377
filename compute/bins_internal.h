/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * In which bin a double is, by the edges of the bins. Bin i has the numbers from edge i to below
 * the next.
 *
 *   compute_bins_init(&b, edges, count);            edges: count + 1, rising
 *   compute_bins_of(&b, values, n, places);
 *
 * Why an estimate can be enough: place(v) = (v - low) * scale, rounded twice, never falls as v
 * rises, whatever rounding does. Of each edge i it is within a margin of i, which is measured. So
 * if place(v) is above k + margin, v is not below edge k, as place(v) would not be above place(edge
 * k) then; and likewise v is below edge k + 1 if place(v) is below k + 1 - margin. What is within
 * the margin of a whole number j is held against edge j alone.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_BINS_INTERNAL_H
#define HOLDFAST_COMPUTE_BINS_INTERNAL_H

#include "compute/exact.h"

struct compute_bins {
    const double *edges; /* borrowed */
    uint32_t count;
    double low;
    double high;
    double scale;  /* about bins a unit; 0: no estimate is of use */
    double margin; /* likewise beyond COMPUTE_BINS_MARGIN_MAX */
};
#define COMPUTE_BINS_MARGIN_MAX 0.25

/* edges: finite, none below the one before it, the last above the first; count: up to
 * COMPUTE_BINS_MAX. */
void compute_bins_init(struct compute_bins *b, const double *edges, uint32_t count);

/* Places: 0 of what is below all bins; that of bin i is i + 1. */
static inline uint32_t compute_bins_above(const struct compute_bins *b)
{
    return b->count + 1;
}
static inline uint32_t compute_bins_nan(const struct compute_bins *b)
{
    return b->count + 2;
}

/* values: count doubles without gaps, any alignment. */
void compute_bins_of(const struct compute_bins *b, const void *values, size_t count,
                     uint32_t *places);
/* The same by one kernel, which must run here; wider ones are that for AVX2. */
void compute_bins_by(enum compute_lanes lanes, const struct compute_bins *b, const void *values,
                     size_t count, uint32_t *places);

#endif
