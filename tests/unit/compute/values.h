/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Doubles that are hard to add up, by kinds.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_TESTS_UNIT_COMPUTE_VALUES_H
#define HOLDFAST_TESTS_UNIT_COMPUTE_VALUES_H

#include "base/rng.h"

#include <stdbool.h>
#include <string.h>

enum values_kind {
    VALUES_NARROW,   /* between 0 and 1 */
    VALUES_WHOLE,    /* small whole numbers of both signs, and zeros */
    VALUES_WIDE,     /* any bits but those of infinities and NaN */
    VALUES_BAND,     /* exponents within some bits of one another, anywhere */
    VALUES_CANCEL,   /* pairs that cancel but for little */
    VALUES_SMALL,    /* below the least normal double, or close above */
    VALUES_HUGE,     /* near the largest double */
    VALUES_ZEROS,    /* zeros of both signs, mostly negative */
    VALUES_RARE_FAR, /* narrow, one in a hundred far off */
    VALUES_SPECIAL,  /* narrow, with infinities and NaN here and there */
    VALUES_KINDS,
};

static inline double values_of_parts(uint64_t sign, uint64_t exponent, uint64_t fraction)
{
    const uint64_t bits = sign << 63 | exponent << 52 | fraction >> 12;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline double values_special(struct rng *r)
{
    if (!rng_chance(r, 1, 200)) {
        return (double)(rng_next(r) >> 11) * 0x1p-53;
    }
    const uint64_t sign = rng_below(r, 2);
    return values_of_parts(sign, 0x7ff, rng_chance(r, 1, 2) ? 0 : rng_next(r));
}

/* One draw a statement, so that every compiler draws the same. */
static inline double values_one(struct rng *r, enum values_kind kind, uint64_t middle)
{
    const uint64_t sign = rng_below(r, 2);
    const uint64_t fraction = rng_next(r);
    const uint64_t any = rng_below(r, 0x7ff);
    const bool rare = rng_chance(r, 1, 100);
    const double narrow = (double)(fraction >> 11) * 0x1p-53;
    switch (kind) {
    case VALUES_WHOLE: return (double)(fraction % 2000) - 1000;
    case VALUES_WIDE: return values_of_parts(sign, any, fraction);
    case VALUES_BAND: return values_of_parts(sign, middle + any % 60, fraction);
    case VALUES_SMALL: return values_of_parts(sign, any % 60, fraction >> any % 40);
    case VALUES_HUGE: return values_of_parts(sign, 0x7fe - any % 5, fraction);
    case VALUES_ZEROS: return rare && sign == 0 ? 0.0 : -0.0;
    case VALUES_RARE_FAR: return rare ? values_of_parts(sign, any, fraction) : narrow;
    case VALUES_SPECIAL: return values_special(r);
    case VALUES_NARROW:
    default: return narrow;
    }
}

static inline void values_make(struct rng *r, enum values_kind kind, double *values, size_t count)
{
    const uint64_t middle = rng_below(r, 0x7ff - 60);
    for (size_t i = 0; i < count; i++) {
        values[i] = values_one(r, kind == VALUES_CANCEL ? VALUES_WIDE : kind, middle);
        if (kind == VALUES_CANCEL && i % 2 == 1 && rng_chance(r, 9, 10)) {
            values[i] = -values[i - 1];
        }
    }
}

#endif
