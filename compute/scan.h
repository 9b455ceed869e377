/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Prefix scans: of each number of a sequence, the sum of it and all before (inclusive), or of all
 * before alone (exclusive). Whole numbers are summed by kernels, and the first sum that leaves
 * their range is told. Of doubles each sum is the exact one, rounded once, so that it depends on
 * the numbers alone and not on how they were cut. Or the least, or the greatest, instead of the
 * sum, as range.h has them.
 *
 *   uint64_t carry = 0;
 *   done = compute_scan_sums(&how, &span, &carry);       the next span goes on from the carry
 *
 *   compute_running_init(&r);
 *   double sum = compute_running_add(&r, value);         of all values so far
 *
 * threads: pure functions; a running sum has one owner at a time.
 */
#ifndef HOLDFAST_COMPUTE_SCAN_H
#define HOLDFAST_COMPUTE_SCAN_H

#include "compute/range.h"

struct compute_scan_sums {
    bool is_signed; /* int64_t, else uint64_t */
    bool exclusive;
};

/* Numbers of 64 bits that lie without gaps, at any alignment, in the processor's byte order. */
struct compute_scan_span {
    const void *from;
    void *to; /* where the sums go: `from` itself, or apart from it */
    size_t count;
};

/* Scans a span. carry: the sum of all before, then of these too.
 * returns: how many numbers can be added before the sum of all so far leaves its range; count: all.
 * Sums behind such a one, and the carry, are modulo 2^64: an exclusive scan has one more result
 * that is right, what was the sum before it. */
size_t compute_scan_sums(const struct compute_scan_sums *how, const struct compute_scan_span *span,
                         uint64_t *carry);
/* The same by one kernel, which must run here. */
size_t compute_scan_sums_by(enum compute_lanes lanes, const struct compute_scan_sums *how,
                            const struct compute_scan_span *span, uint64_t *carry);

/* All results that are NaN have these bits, as processors differ. */
#define COMPUTE_SCAN_NAN (UINT64_C(0x7ff8) << 48)

struct compute_scan_ends {
    enum compute_class of;
    bool greatest; /* else the least */
    bool exclusive;
};
/* returns: the key to begin with: of what changes no other number, infinities among doubles. */
uint64_t compute_scan_ends_of_nothing(const struct compute_scan_ends *how);
/* Gives each number of a span the least or the greatest of it and all before, or of those before.
 * key: of all before, then of these too. */
void compute_scan_ends(const struct compute_scan_ends *how, const struct compute_scan_span *span,
                       uint64_t *key);

/* An exact sum of doubles that is rounded often. While two doubles hold it, it is kept in them. */
struct compute_running {
    double high; /* the sum, rounded, while it is not wide */
    bool wide;   /* it is in exact; here, as compilers put doubles side by side into one vector */
    double low;  /* the rest of it */
    struct compute_exact exact;
};

/* The sum of nothing, which is +0. */
void compute_running_init(struct compute_running *r);
/* A sum that goes on from an exact one. */
void compute_running_from(struct compute_running *r, const struct compute_exact *sum);
/* Adds all that was added to it, exactly; -0 if nothing was. */
void compute_running_exact(const struct compute_running *r, struct compute_exact *sum);
/* Adds a value. returns: the sum of all of them as compute_exact_round has it. */
double compute_running_add(struct compute_running *r, double value);
/* Adds a span's doubles; gives each the sum of all up to there, or, exclusive, of those before it.
 * sum: that of all before. returns: that of all. */
double compute_running_scan(struct compute_running *r, double sum, bool exclusive,
                            const struct compute_scan_span *span);

#endif
