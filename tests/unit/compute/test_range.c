/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Ranges: the order of keys, NaN and zeros, and every kernel against comparisons in C.
 */
#include "base/num.h"
#include "compute/range.h"
#include "tests/unit/compute/values.h"
#include "tests/unit/unit.h"

#include <math.h>

#define VALUES_MAX 200u
#define NANS 150u

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

START_TEST(keys_of_doubles_ascend_from_minus_infinity_to_infinity)
{
    static const double ascending[] = {-INFINITY, -1e308, -1, -0x1p-1074, -0.0,    0.0,
                                       0x1p-1074, 0.5,    1,  1e308,      INFINITY};
    for (size_t i = 0; i < sizeof(ascending) / sizeof(ascending[0]); i++) {
        const uint64_t key = compute_key_of(bits_of(ascending[i]), COMPUTE_REAL);
        ck_assert_uint_eq(compute_key_bits(key, COMPUTE_REAL), bits_of(ascending[i]));
        ck_assert(i == 0 || key > compute_key_of(bits_of(ascending[i - 1]), COMPUTE_REAL));
    }
}
END_TEST

START_TEST(a_nan_of_either_sign_is_the_least_and_the_greatest)
{
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        for (unsigned at = 0; at < NANS && compute_lanes_runs(v); at++) {
            double values[NANS] = {0};
            values[at] = at % 2 == 0 ? NAN : -NAN;
            const struct compute_range range = compute_range_by(v, values, NANS, COMPUTE_REAL);
            ck_assert(range.least == 0 && range.most == UINT64_MAX);
        }
    }
}
END_TEST

START_TEST(nothing_has_an_empty_range)
{
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        if (compute_lanes_runs(v)) {
            const struct compute_range range = compute_range_by(v, "", 0, COMPUTE_REAL);
            ck_assert(range.least == UINT64_MAX && range.most == 0);
        }
    }
}
END_TEST

static void expect_whole(const struct compute_range *range, enum compute_class of,
                         const uint64_t *values, size_t count)
{
    uint64_t least = values[0];
    uint64_t most = values[0];
    for (size_t i = 1; i < count; i++) {
        if (of == COMPUTE_SIGNED) {
            least = (int64_t)values[i] < (int64_t)least ? values[i] : least;
            most = (int64_t)values[i] > (int64_t)most ? values[i] : most;
        } else {
            least = NUM_MIN(least, values[i]);
            most = NUM_MAX(most, values[i]);
        }
    }
    ck_assert_uint_eq(compute_key_bits(range->least, of), least);
    ck_assert_uint_eq(compute_key_bits(range->most, of), most);
}

START_TEST(every_kernel_finds_the_least_and_the_greatest_whole_number)
{
    struct rng r;
    uint64_t values[VALUES_MAX];
    rng_init(&r, unit_seed("every_kernel_finds_the_least_and_the_greatest_whole_number", 1));
    for (unsigned round = 0; round < 2000; round++) {
        const size_t count = (size_t)rng_between(&r, 1, VALUES_MAX);
        for (size_t i = 0; i < count; i++) {
            values[i] = rng_next(&r) >> (round % 3 == 0 ? 0 : rng_below(&r, 64));
            values[i] = rng_chance(&r, 1, 3) ? ~values[i] : values[i];
        }
        for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
            if (!compute_lanes_runs(v)) {
                continue;
            }
            struct compute_range range = compute_range_by(v, values, count, COMPUTE_SIGNED);
            expect_whole(&range, COMPUTE_SIGNED, values, count);
            range = compute_range_by(v, values, count, COMPUTE_UNSIGNED);
            expect_whole(&range, COMPUTE_UNSIGNED, values, count);
        }
    }
}
END_TEST

START_TEST(every_kernel_finds_the_least_and_the_greatest_double)
{
    struct rng r;
    double values[VALUES_MAX];
    rng_init(&r, unit_seed("every_kernel_finds_the_least_and_the_greatest_double", 1));
    for (unsigned round = 0; round < 2000; round++) {
        const size_t count = (size_t)rng_between(&r, 1, VALUES_MAX);
        values_make(&r, (enum values_kind)(round % VALUES_SPECIAL), values, count);
        double least = values[0];
        double most = values[0];
        for (size_t i = 1; i < count; i++) {
            const double v = values[i];
            least = v < least || (v == least && signbit(v)) ? v : least;
            most = v > most || (v == most && !signbit(v)) ? v : most;
        }
        for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
            if (compute_lanes_runs(v)) {
                const struct compute_range range = compute_range_by(v, values, count, COMPUTE_REAL);
                ck_assert_uint_eq(compute_key_bits(range.least, COMPUTE_REAL), bits_of(least));
                ck_assert_uint_eq(compute_key_bits(range.most, COMPUTE_REAL), bits_of(most));
            }
        }
    }
}
END_TEST

UNIT_MAIN("compute_range", keys_of_doubles_ascend_from_minus_infinity_to_infinity,
          a_nan_of_either_sign_is_the_least_and_the_greatest, nothing_has_an_empty_range,
          every_kernel_finds_the_least_and_the_greatest_whole_number,
          every_kernel_finds_the_least_and_the_greatest_double)
