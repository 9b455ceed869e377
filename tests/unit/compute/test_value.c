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
          zeros_keep_their_sign_and_what_is_not_finite_has_a_name,
          no_way_to_write_a_double_is_shorter, whole_numbers_are_written_to_the_ends_of_128_bits)
