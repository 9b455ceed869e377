/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums: a fixed-point number wide enough for every sum of doubles, of products of two doubles
 * and of integers, so that no addition rounds. Results round once, to the nearest double, ties to
 * even. Any order, split and grouping of the same values gives the same state and the same bytes.
 *
 *   struct compute_exact sum;
 *   compute_exact_init(&sum);
 *   compute_exact_add_f64s(&sum, values, count);       by the best kernel of this processor
 *   compute_exact_merge(&sum, &other);                  of another part of the values
 *   double mean = compute_exact_mean(&sum, count);      correctly rounded
 *   compute_exact_encode(&sum, &into);                  equal values, equal bytes
 *
 * What is not a finite number: a NaN, or infinities of both signs, make the result NaN; infinities
 * of one sign make it that infinity. A finite sum beyond the largest double rounds to an infinity
 * only at the end: what overflows on the way and comes back does no harm. The sum of nothing is +0;
 * a sum that is exactly zero is +0, but for one of at least one value all of which are -0.
 *
 * Method: R. M. Neal, "Fast exact summation using small and large superaccumulators", 2015,
 * section 3 (limbs of 64 bits that overlap by 32, so that carries wait); U. Kulisch, "Computer
 * Arithmetic and Validity", 2008, chapter 8 (a register for all products). The vector kernels first
 * cut values at fixed places, without error: S. M. Rump, T. Ogita, S. Oishi, "Accurate
 * floating-point summation part I", 2008, section 3; J. R. Shewchuk, "Adaptive precision
 * floating-point arithmetic and fast robust geometric predicates", 1997, section 2.
 *
 * Limits: fewer than 2^63 values.
 *
 * threads: values; one owner at a time.
 */
#ifndef HOLDFAST_COMPUTE_EXACT_H
#define HOLDFAST_COMPUTE_EXACT_H

#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMPUTE_EXACT_LIMBS 136u
#define COMPUTE_EXACT_FORMAT 1u
/* The longest encoding: format, seen, sign, first, count, and all digits but the sign's. */
#define COMPUTE_EXACT_ENCODED_MAX (5u + 4u * (COMPUTE_EXACT_LIMBS - 1u))

/* Private to exact*.c. Its own for being part of other states without an allocation. */
struct compute_exact {
    int64_t limb[COMPUTE_EXACT_LIMBS]; /* limb i weighs 2^(32 i - 2176) */
    uint32_t load;                     /* no limb but the last passes load * 2^32 */
    uint8_t seen;                      /* what values there were: see exact_internal.h */
};

/* A whole number of 128 bits, two's complement. */
struct compute_i128 {
    uint64_t low;
    int64_t high;
};

/* The kernels under the sums of arrays. All give the same bits. */
enum compute_lanes {
    COMPUTE_LANES_PLAIN,  /* plain C, one value at a time: the twin of the others */
    COMPUTE_LANES_AVX2,   /* four doubles at a time */
    COMPUTE_LANES_AVX512, /* eight */
    COMPUTE_LANES_COUNT,
};
/* returns: whether this processor runs the kernel. */
bool compute_lanes_runs(enum compute_lanes lanes);
/* returns: "plain", "avx2", "avx512". Static. */
const char *compute_lanes_name(enum compute_lanes lanes);
/* returns: the widest that runs here. */
enum compute_lanes compute_lanes_pick(void);

void compute_exact_init(struct compute_exact *e);
void compute_exact_add_f64(struct compute_exact *e, double value);
void compute_exact_add_i64(struct compute_exact *e, int64_t value);
void compute_exact_add_u64(struct compute_exact *e, uint64_t value);
/* Adds x * y without rounding it. An infinity times zero is NaN. */
void compute_exact_add_product_f64(struct compute_exact *e, double x, double y);
void compute_exact_add_product_i64(struct compute_exact *e, int64_t x, int64_t y);
void compute_exact_add_product_u64(struct compute_exact *e, uint64_t x, uint64_t y);

/* Adds what at least one whole number comes to. */
void compute_exact_add_i128(struct compute_exact *e, struct compute_i128 value);

/* Adds count values that lie without gaps. values: any alignment, the processor's byte order. */
void compute_exact_add_f64s(struct compute_exact *e, const void *values, size_t count);
void compute_exact_add_i64s(struct compute_exact *e, const void *values, size_t count);
void compute_exact_add_u64s(struct compute_exact *e, const void *values, size_t count);
/* The same by one kernel, which must run here. */
void compute_exact_add_f64s_by(enum compute_lanes lanes, struct compute_exact *e,
                               const void *values, size_t count);
void compute_exact_add_i64s_by(enum compute_lanes lanes, struct compute_exact *e,
                               const void *values, size_t count);
void compute_exact_add_u64s_by(enum compute_lanes lanes, struct compute_exact *e,
                               const void *values, size_t count);

/* Adds the products of count pairs of values, likewise. x and y may be the same. */
void compute_exact_add_products_f64s(struct compute_exact *e, const void *x, const void *y,
                                     size_t count);
void compute_exact_add_products_f64s_by(enum compute_lanes lanes, struct compute_exact *e,
                                        const void *x, const void *y, size_t count);

/* into += from. They may be the same. */
void compute_exact_merge(struct compute_exact *into, const struct compute_exact *from);

/* returns: the exact value, rounded once. */
double compute_exact_round(const struct compute_exact *e);
/* returns: the exact value divided by count, rounded once. count: > 0. */
double compute_exact_mean(const struct compute_exact *sum, uint64_t count);
/* returns: the exact value * 2^64 / (high:low), rounded once. high: below 2^63; not both 0. */
double compute_exact_share(const struct compute_exact *sum, uint64_t high, uint64_t low);
/* (squares - sum^2 / count) / divisor, rounded once: the variance of count values with this sum
 * and sum of squares. NaN if one of them was not finite. count, divisor: from 1 to 2^63 - 1.
 * returns: 0, or ERR_CORRUPT: no values have such sums. */
int compute_exact_variance(const struct compute_exact *sum, const struct compute_exact *squares,
                           uint64_t count, uint64_t divisor, double *out);
/* returns: whether it is a whole number, as sums of integers and of their products are. */
bool compute_exact_is_whole(const struct compute_exact *e);
/* For sums of integers and of products of integers.
 * returns: 0, ERR_OVERFLOW (beyond 128 bits), or ERR_INVALID (not a whole number). */
int compute_exact_to_i128(const struct compute_exact *e, struct compute_i128 *out);

/* Appends the canonical encoding: equal values give equal bytes (docs/formats.md).
 * returns: 0, what buf_append returns, or ERR_OVERFLOW: merged from states that no values give. */
int compute_exact_encode(const struct compute_exact *e, struct buf *into);
/* Takes one encoding. returns: 0; ERR_LEVEL (a later format); ERR_PROTOCOL (not an encoding, or not
 * the canonical one). e: untouched on failure. */
int compute_exact_decode(struct compute_exact *e, struct bytes_reader *from);

#endif
