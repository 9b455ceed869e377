/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Results of operators: a double or a whole number of 128 bits, and their text. A double is written
 * as the shortest of %.1g to %.17g that reads back to the same double, of equally long ones with
 * the fewest digits: 100 and 1e+05. What is not a finite number is nan, inf or -inf.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_VALUE_H
#define HOLDFAST_COMPUTE_VALUE_H

#include "compute/exact.h"

/* Room for the text of any value and its NUL. */
#define COMPUTE_VALUE_TEXT 48u

struct compute_value {
    bool is_real;
    double real;               /* is_real */
    struct compute_i128 whole; /* else */
};

/* returns: the length of the text, which ends with a NUL. The process's locale must be C's. */
size_t compute_value_text(const struct compute_value *v, char text[COMPUTE_VALUE_TEXT]);

static inline struct compute_value compute_value_of_f64(double real)
{
    return (struct compute_value){.is_real = true, .real = real};
}
static inline struct compute_value compute_value_of_i64(int64_t v)
{
    return (struct compute_value){.whole = {.low = (uint64_t)v, .high = v < 0 ? -1 : 0}};
}
static inline struct compute_value compute_value_of_u64(uint64_t v)
{
    return (struct compute_value){.whole = {.low = v}};
}

#endif
