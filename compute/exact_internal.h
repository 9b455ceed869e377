/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files under exact.h share: the marks of a state, the big whole numbers that results are
 * rounded from, and the vector kernels.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_EXACT_INTERNAL_H
#define HOLDFAST_COMPUTE_EXACT_INTERNAL_H

#include "compute/exact.h"

/* Limb 0 weighs 2^-2176; the least bit of a product of two doubles 2^-2148. */
#define COMPUTE_EXACT_ONE_BIT 2176u
/* The limb of 2^-1088: no bit of a sum of doubles is below. */
#define COMPUTE_EXACT_SUM_LIMB 34u
_Static_assert(COMPUTE_EXACT_SUM_LIMB * 64u == COMPUTE_EXACT_ONE_BIT, "units of sum and square");

/* compute_exact.seen. Values of both last kinds are told apart only while all are -0. */
#define COMPUTE_EXACT_NAN 1u
#define COMPUTE_EXACT_INF 2u
#define COMPUTE_EXACT_MINUS_INF 4u
#define COMPUTE_EXACT_USUAL 8u       /* a value that is not -0 */
#define COMPUTE_EXACT_MINUS_ZERO 16u /* at least one -0, and nothing else */
#define COMPUTE_EXACT_NOT_FINITE (COMPUTE_EXACT_NAN | COMPUTE_EXACT_INF | COMPUTE_EXACT_MINUS_INF)

#if defined(__x86_64__) && defined(__GNUC__)
#define COMPUTE_EXACT_HAS_LANES 1
#else
#define COMPUTE_EXACT_HAS_LANES 0
#endif

/* A value taken apart: (-1)^negative * (high:low) * 2^(at_bit - 2176), and what it is as one of the
 * values of a sum. A value that is not finite has no bits. */
struct compute_term {
    uint64_t low;
    uint64_t high; /* 0 unless wide */
    uint32_t at_bit;
    bool wide; /* 128 bits, which reach over five limbs; else 64, over three */
    bool negative;
    uint8_t seen;
};
struct compute_term compute_term_of_f64(double value);
/* x * y, not rounded. An infinity times zero is NaN. */
struct compute_term compute_term_of_product_f64(double x, double y);
struct compute_term compute_term_of_whole(bool negative, uint64_t high, uint64_t low);
#define COMPUTE_TERM_LIMBS 3u
#define COMPUTE_TERM_LIMBS_WIDE 5u

/* Adds the value's bits to the limbs from the one that at_bit falls into on; what it leaves in each
 * is below 2^32. */
void compute_term_add(const struct compute_term *t, int64_t *limb);
/* Brings up carries: every limb but the last is from 0 to 2^32 - 1, the last has the sign. */
void compute_limbs_settle(int64_t *limb, unsigned count);
/* Additions after which limbs must be settled. */
#define COMPUTE_EXACT_LOAD_MAX (1u << 29)

/* returns: the marks of both. */
uint8_t compute_exact_seen_both(unsigned seen, unsigned more);
/* returns: whether values can have left these marks beside a sum that is zero or not. */
bool compute_exact_seen_is_possible(unsigned seen, bool is_zero);
void compute_exact_see(struct compute_exact *e, unsigned seen);
/* Makes the marks of finite doubles, whose bits are added without signs of zeros. Ends at the first
 * usual one. */
void compute_exact_see_finite(struct compute_exact *e, const uint8_t *at, size_t count);
/* Adds (high:low) * 2^(at_bit - 2176), or takes it away. */
void compute_exact_add_bits(struct compute_exact *e, bool negative, uint64_t low, uint64_t high,
                            unsigned at_bit);
void compute_exact_add_bits64(struct compute_exact *e, bool negative, uint64_t value,
                              unsigned at_bit);
/* Brings up carries: every limb but the last is from 0 to 2^32 - 1, the last has the sign. */
void compute_exact_settle(struct compute_exact *e);

/* Whole numbers of up to COMPUTE_BIG_DIGITS digits of 32 bits, the lowest first. */
#define COMPUTE_BIG_DIGITS 280u
struct compute_big {
    uint32_t digit[COMPUTE_BIG_DIGITS];
    size_t count; /* digits in use; those above are not set */
};

/* The magnitude of e from limb `from` up, whose limbs below are 0. returns: whether e is negative.
 */
bool compute_big_of_exact(struct compute_big *big, const struct compute_exact *e, size_t from);
/* out: none of a and b; their counts together at most COMPUTE_BIG_DIGITS. */
void compute_big_multiply(struct compute_big *out, const struct compute_big *a,
                          const struct compute_big *b);
/* a -= b. returns: false, and a is no longer of use, if b is more than a. */
bool compute_big_subtract(struct compute_big *a, const struct compute_big *b);
/* a /= divisor, rounded down. divisor: 1 to 2^127. returns: whether there was a rest. */
bool compute_big_divide(struct compute_big *a, uint64_t divisor_high, uint64_t divisor_low);
/* returns: a * 2^-2176, and something less than one unit more if `rest`, to the nearest double. */
double compute_big_round(const struct compute_big *a, bool rest, bool negative);

/* A window is where doubles are cut: those below 2^(bits above the cut) in two pieces, multiples of
 * unit1 and unit2, each less than 2^51 units. */
struct compute_window {
    int64_t bits1; /* of 1.5 * 2^52 * unit1, as a double */
    int64_t bits2;
    unsigned unit1_bit; /* place of unit1 in a compute_exact */
    unsigned unit2_bit;
};
struct compute_pieces {
    int64_t sum1; /* in units of the window */
    int64_t sum2;
    bool outside; /* a value is beyond the window or not finite: the sums are of no use */
    bool left;    /* a value has bits below unit2: the sums are of no use */
};
#define COMPUTE_EXACT_BLOCK 2048u /* doubles of one block: sums of pieces stay below 2^63 */
#define COMPUTE_EXACT_STEP 16u    /* a block is a multiple of so many doubles */

typedef void compute_pieces_fn(const uint8_t *at, size_t count, const struct compute_window *w,
                               struct compute_pieces *out);
/* Sums of the low and of the high 32 bits of whole numbers; high: signed if is_signed. */
struct compute_halves {
    uint64_t low;
    int64_t high;
};
#define COMPUTE_HALVES_MAX (1u << 24) /* numbers of one call */
typedef void compute_halves_fn(const uint8_t *at, size_t count, bool is_signed,
                               struct compute_halves *out);
#if COMPUTE_EXACT_HAS_LANES
compute_pieces_fn compute_pieces_avx2;
compute_pieces_fn compute_pieces_avx512;
compute_halves_fn compute_halves_avx2;
compute_halves_fn compute_halves_avx512;
#endif

#endif
