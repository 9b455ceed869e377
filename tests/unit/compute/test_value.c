/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Text of results: the shortest that reads back, and whole numbers of 128 bits.
 */
#include "compute/value.h"
#include "tests/unit/compute/values.h"
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>

static const char *text_of(struct compute_value v)
{
    static char text[COMPUTE_VALUE_TEXT];
    ck_assert_uint_eq(compute_value_text(&v, text), strlen(text));
    return text;
}

static const char *real(double v)
{
    return text_of(compute_value_of_f64(v));
}

static const char *whole(int64_t high, uint64_t low)
{
    return text_of((struct compute_value){.whole = {.low = low, .high = high}});
}

START_TEST(doubles_are_written_with_the_fewest_digits)
{
    ck_assert_str_eq(real(0.1), "0.1");
    ck_assert_str_eq(real(0.1 + 0.2), "0.30000000000000004");
    ck_assert_str_eq(real(100), "100");
    ck_assert_str_eq(real(123), "123");
    ck_assert_str_eq(real(1e5), "1e+05");
    ck_assert_str_eq(real(120000), "120000"); /* 1.2e+05 is longer */
    ck_assert_str_eq(real(0.0001), "0.0001"); /* and 1e-04 is not what %g writes */
    ck_assert_str_eq(real(1.0 / 3), "0.3333333333333333");
    ck_assert_str_eq(real(DBL_MAX), "1.7976931348623157e+308");
    ck_assert_str_eq(real(0x1p-1074), "5e-324");
    ck_assert_str_eq(real(-0x0.fffffffffffffp-1022), "-2.225073858507201e-308");
}
END_TEST

/* What is promised: of all numbers of digits the shortest text, the first of equals. */
static void tried_all(double v, char text[COMPUTE_VALUE_TEXT])
{
    size_t best = COMPUTE_VALUE_TEXT;
    for (int digits = 1; digits <= 17; digits++) {
        char tried[COMPUTE_VALUE_TEXT];
        const size_t size = (size_t)snprintf(tried, sizeof(tried), "%.*g", digits, v);
        if (size < best && strtod(tried, NULL) == v) {
            best = size;
            memcpy(text, tried, size + 1);
        }
    }
}

/* Numbers with few digits, those next to them, and those at which exponents begin. */
START_TEST(the_text_is_the_shortest_of_all_numbers_of_digits)
{
    struct rng r;
    char expected[COMPUTE_VALUE_TEXT];
    rng_init(&r, unit_seed("the_text_is_the_shortest", 1));
    for (unsigned i = 0; i < 60000; i++) {
        const uint64_t most = UINT64_C(10000000000000000) >> (3 * rng_below(&r, 18));
        char decimal[48];
        double v;
        values_make(&r, (enum values_kind)(i % VALUES_SPECIAL), &v, 1);
        if (rng_chance(&r, 2, 3)) {
            const int exponent =
                rng_chance(&r, 1, 2) ? (int)rng_below(&r, 50) - 25 : (int)rng_below(&r, 600) - 300;
            (void)snprintf(decimal, sizeof(decimal), "%llue%d",
                           (unsigned long long)rng_below(&r, most + 1), exponent);
            v = strtod(decimal, NULL);
        } else if (rng_chance(&r, 1, 2)) {
            v = ldexp(1, (int)rng_below(&r, 2046) - 1022); /* neighbours are nearer below */
        }
        const unsigned near = (unsigned)rng_below(&r, 4);
        v = near == 0 ? nextafter(v, INFINITY) : near == 1 ? nextafter(v, -INFINITY) : v;
        if (isfinite(v)) {
            tried_all(v, expected);
            ck_assert_str_eq(real(v), expected);
        }
    }
}
END_TEST

START_TEST(zeros_keep_their_sign_and_what_is_not_finite_has_a_name)
{
    ck_assert_str_eq(real(0.0), "0");
    ck_assert_str_eq(real(-0.0), "-0");
    ck_assert_str_eq(real(INFINITY), "inf");
    ck_assert_str_eq(real(-INFINITY), "-inf");
    ck_assert_str_eq(real(NAN), "nan");
    ck_assert_str_eq(real(-NAN), "nan");
}
END_TEST

START_TEST(no_way_to_write_a_double_is_shorter)
{
    struct rng r;
    rng_init(&r, unit_seed("no_way_to_write_a_double_is_shorter", 1));
    for (unsigned round = 0; round < 20000; round++) {
        double v = 0;
        values_make(&r, (enum values_kind)(round % VALUES_SPECIAL), &v, 1);
        const char *text = real(v);
        ck_assert_msg(strtod(text, NULL) == v, "%s", text);
        for (int digits = 1; digits <= 17; digits++) {
            char other[400];
            const int size = snprintf(other, sizeof(other), "%.*g", digits, v);
            ck_assert_msg((size_t)size >= strlen(text) || strtod(other, NULL) != v, "%s", text);
        }
    }
}
END_TEST

START_TEST(whole_numbers_are_written_to_the_ends_of_128_bits)
{
    ck_assert_str_eq(whole(0, 0), "0");
    ck_assert_str_eq(whole(0, UINT64_MAX), "18446744073709551615");
    ck_assert_str_eq(whole(1, 0), "18446744073709551616");
    ck_assert_str_eq(whole(-1, UINT64_MAX), "-1");
    ck_assert_str_eq(whole(-1, 0), "-18446744073709551616");
    ck_assert_str_eq(whole(INT64_MAX, UINT64_MAX), "170141183460469231731687303715884105727");
    ck_assert_str_eq(whole(INT64_MIN, 0), "-170141183460469231731687303715884105728");
    ck_assert_str_eq(text_of(compute_value_of_i64(INT64_MIN)), "-9223372036854775808");
    ck_assert_str_eq(text_of(compute_value_of_u64(UINT64_MAX)), "18446744073709551615");
}
END_TEST

UNIT_MAIN("compute_value", doubles_are_written_with_the_fewest_digits,
          the_text_is_the_shortest_of_all_numbers_of_digits,
          zeros_keep_their_sign_and_what_is_not_finite_has_a_name,
          no_way_to_write_a_double_is_shorter, whole_numbers_are_written_to_the_ends_of_128_bits)
