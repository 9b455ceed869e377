/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of programs: whole ones from -2^63 to 2^64 - 1, which never round, and doubles. A text is
 * a whole number, a double (the nearest one to its decimal digits), or no number.
 *
 * threads: pure functions. The process's locale must be C's.
 */
#ifndef HOLDFAST_COMPUTE_NUMBER_INTERNAL_H
#define HOLDFAST_COMPUTE_NUMBER_INTERNAL_H

#include "base/bytes.h"
#include "compute/value.h"

#define COMPUTE_NUMBER_BYTES_MAX 1024u /* a longer text is no number */

struct compute_number {
    bool is_real;
    bool minus;    /* whole; never of 0 */
    uint64_t size; /* whole: without its sign */
    double real;   /* is_real */
};

enum compute_order {
    COMPUTE_ORDER_BELOW,
    COMPUTE_ORDER_SAME,
    COMPUTE_ORDER_ABOVE,
    COMPUTE_ORDER_NONE, /* a NaN */
};

static inline struct compute_number compute_number_of_u64(uint64_t v)
{
    return (struct compute_number){.size = v};
}
static inline struct compute_number compute_number_of_i64(int64_t v)
{
    return (struct compute_number){.minus = v < 0, .size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v};
}
static inline struct compute_number compute_number_of_real(double v)
{
    return (struct compute_number){.is_real = true, .real = v};
}

/* Blanks around it are no part of a number. returns: whether text is one. */
bool compute_number_read(struct bytes text, struct compute_number *out);
/* returns: the nearest double. */
double compute_number_real(const struct compute_number *n);
/* Of the exact values; -0 and 0 are the same. */
enum compute_order compute_number_order(const struct compute_number *a,
                                        const struct compute_number *b);
/* op: one of + - * / %. Whole numbers give whole ones, but for /, which divides doubles; the sign
 * of a rest is that of a. returns: 0, ERR_OVERFLOW, or ERR_INVALID (division by zero). */
int compute_number_combine(char op, const struct compute_number *a, const struct compute_number *b,
                           struct compute_number *out);
/* returns: 0 or ERR_OVERFLOW. */
int compute_number_negate(const struct compute_number *a, struct compute_number *out);
struct compute_value compute_number_value(const struct compute_number *n);
/* returns: the length of the text, which ends with a NUL. */
size_t compute_number_text(const struct compute_number *n, char text[COMPUTE_VALUE_TEXT]);
/* (high, low) = a * b. */
void compute_number_multiply(uint64_t a, uint64_t b, uint64_t *high, uint64_t *low);

#endif
