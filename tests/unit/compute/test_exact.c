/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums: what is not a finite number, rounding at its edges, bytes that do not depend on order
 * and split, and every kernel against the plain twin, byte for byte. Values against an independent
 * oracle: oracle.py.
 */
#include "base/num.h"
#include "base/rng.h"
#include "compute/exact_internal.h"
#include "tests/unit/compute/values.h"
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define PAIRS 5000u
#define VALUES_MAX 6000u

static struct compute_exact sum_of(const double *values, size_t count)
{
    struct compute_exact e;
    compute_exact_init(&e);
    for (size_t i = 0; i < count; i++) {
        compute_exact_add_f64(&e, values[i]);
    }
    return e;
}

#define SUM(...)                                   \
    compute_exact_round(&(struct compute_exact[]){ \
        sum_of((double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))}[0])

static void encode(const struct compute_exact *e, struct buf *into)
{
    const struct alloc heap = alloc_heap();
    buf_init(into, &heap, COMPUTE_EXACT_ENCODED_MAX);
    ck_assert_int_eq(compute_exact_encode(e, into), 0);
}

static void expect_same_bytes(const struct compute_exact *a, const struct compute_exact *b)
{
    struct buf x;
    struct buf y;
    encode(a, &x);
    encode(b, &y);
    ck_assert_uint_eq(x.size, y.size);
    ck_assert_mem_eq(x.data, y.data, x.size);
    buf_release(&x);
    buf_release(&y);
}

START_TEST(what_rounding_would_lose_is_kept)
{
    ck_assert(SUM(1, 1e100, 1, -1e100) == 2);
    ck_assert(SUM(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1) == 1);
    ck_assert(SUM(DBL_MAX, 0x1p-1074, -DBL_MAX) == 0x1p-1074);
}
END_TEST

START_TEST(a_sum_halfway_between_doubles_goes_to_the_even_one)
{
    ck_assert(SUM(1, 0x1p-53) == 1);
    ck_assert(SUM(1, 0x1p-53, 0x1p-1074) == 1 + 0x1p-52);
    ck_assert(SUM(1 + 0x1p-52, 0x1p-53) == 1 + 0x1p-51);
    ck_assert(SUM(1 + 0x1p-52, 0x1p-53, -0x1p-1074) == 1 + 0x1p-52);
}
END_TEST

START_TEST(an_overflow_counts_only_at_the_end)
{
    ck_assert(SUM(DBL_MAX, DBL_MAX, -DBL_MAX) == DBL_MAX);
    ck_assert(SUM(DBL_MAX, DBL_MAX) == INFINITY);
    ck_assert(SUM(-DBL_MAX, -0x1p970) == -INFINITY);
    ck_assert(SUM(DBL_MAX, 0x1p969) == DBL_MAX);
}
END_TEST

START_TEST(nan_and_infinities_decide_the_sum)
{
    ck_assert(SUM(1, INFINITY) == INFINITY);
    ck_assert(SUM(-INFINITY, DBL_MAX) == -INFINITY);
    ck_assert(isnan(SUM(INFINITY, -INFINITY)));
    ck_assert(isnan(SUM(1, NAN, INFINITY)));
}
END_TEST

START_TEST(only_negative_zeros_sum_to_negative_zero)
{
    ck_assert(signbit(SUM(-0.0, -0.0)) != 0);
    ck_assert(signbit(SUM(-0.0, 0.0)) == 0);
    ck_assert(signbit(SUM(-1.0, -0.0, 1.0)) == 0);
    struct compute_exact none = sum_of(NULL, 0);
    ck_assert(compute_exact_round(&none) == 0 && signbit(compute_exact_round(&none)) == 0);
}
END_TEST

START_TEST(a_small_mean_is_rounded_once)
{
    const double least[] = {0x1p-1074, 0x1p-1074, 0x1p-1074};
    struct compute_exact e = sum_of(least, 3);
    ck_assert(compute_exact_mean(&e, 2) == 0x1p-1073); /* 1.5 units: to the even one */
    ck_assert(compute_exact_mean(&e, 3) == 0x1p-1074);
    ck_assert(compute_exact_mean(&e, 6) == 0); /* half a unit: to the even one */
    ck_assert(compute_exact_mean(&e, 5) == 0x1p-1074);
    ck_assert(compute_exact_mean(&e, 7) == 0);
    const double huge[] = {DBL_MAX, DBL_MAX, DBL_MAX};
    e = sum_of(huge, 3);
    ck_assert(compute_exact_mean(&e, 3) == DBL_MAX);
}
END_TEST

START_TEST(variance_of_close_large_values_is_exact)
{
    struct compute_exact sum;
    struct compute_exact squares;
    double variance = 0;
    compute_exact_init(&sum);
    compute_exact_init(&squares);
    for (unsigned i = 0; i < 3; i++) {
        compute_exact_add_f64(&sum, 1e15 + i);
        compute_exact_add_product_f64(&squares, 1e15 + i, 1e15 + i);
    }
    ck_assert_int_eq(compute_exact_variance(&sum, &squares, 3, 2, &variance), 0);
    ck_assert(variance == 1);
    ck_assert_int_eq(compute_exact_variance(&sum, &squares, 3, 3, &variance), 0);
    ck_assert(variance == 2.0 / 3.0);
}
END_TEST

START_TEST(sums_that_no_values_have_are_no_variance)
{
    struct compute_exact sum;
    struct compute_exact squares;
    double variance = 0;
    compute_exact_init(&sum);
    compute_exact_init(&squares);
    compute_exact_add_f64(&sum, 3);
    compute_exact_add_product_f64(&squares, 1, 1);
    ck_assert_int_eq(compute_exact_variance(&sum, &squares, 2, 1, &variance), ERR_CORRUPT);
    compute_exact_add_product_f64(&squares, 3, -3);
    ck_assert_int_eq(compute_exact_variance(&sum, &squares, 1, 1, &variance), ERR_CORRUPT);
    compute_exact_add_product_f64(&sum, 0x1p-800, 0x1p-800);
    ck_assert_int_eq(compute_exact_variance(&sum, &squares, 1, 1, &variance), ERR_CORRUPT);
}
END_TEST

START_TEST(whole_numbers_fill_exactly_128_bits)
{
    struct compute_exact e;
    struct compute_i128 v = {0};
    compute_exact_init(&e);
    compute_exact_add_product_i64(&e, INT64_MIN, INT64_MIN);
    compute_exact_add_product_i64(&e, INT64_MIN, INT64_MIN);
    ck_assert_int_eq(compute_exact_to_i128(&e, &v), ERR_OVERFLOW); /* 2^127 */
    compute_exact_add_i64(&e, -1);
    ck_assert_int_eq(compute_exact_to_i128(&e, &v), 0);
    ck_assert(v.high == INT64_MAX && v.low == UINT64_MAX);
    compute_exact_init(&e);
    compute_exact_add_product_i64(&e, INT64_MIN, INT64_MAX);
    compute_exact_add_product_i64(&e, INT64_MIN, INT64_MAX);
    compute_exact_add_u64(&e, 1);
    ck_assert_int_eq(compute_exact_to_i128(&e, &v), 0);
    ck_assert(v.high == INT64_MIN + 1 && v.low == 1);
    for (unsigned i = 0; i < 2; i++) {
        compute_exact_add_i64(&e, INT64_MIN);
    }
    compute_exact_add_i64(&e, -1);
    ck_assert_int_eq(compute_exact_to_i128(&e, &v), 0); /* -2^127 */
    ck_assert(v.high == INT64_MIN && v.low == 0);
    compute_exact_add_i64(&e, -1);
    ck_assert_int_eq(compute_exact_to_i128(&e, &v), ERR_OVERFLOW);
    compute_exact_add_f64(&e, 0.5);
    ck_assert_int_eq(compute_exact_to_i128(&e, &v), ERR_INVALID);
}
END_TEST

START_TEST(every_kernel_gives_the_bytes_of_the_plain_twin)
{
    static double values[VALUES_MAX + 1];
    struct rng r;
    rng_init(&r, unit_seed("every_kernel_gives_the_bytes_of_the_plain_twin", 1));
    for (unsigned round = 0; round < 400; round++) {
        const size_t count = (size_t)rng_below(&r, round % 4 == 0 ? VALUES_MAX : 70);
        values_make(&r, (enum values_kind)(round % VALUES_KINDS), values, count);
        for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
            if (!compute_lanes_runs(v)) {
                continue;
            }
            static uint8_t moved[sizeof(values) + 64];
            struct compute_exact plain = sum_of(values, count);
            struct compute_exact e;
            uint8_t *at = moved + rng_below(&r, 64);
            memcpy(at, values, count * sizeof(double));
            compute_exact_init(&e);
            compute_exact_add_f64s_by(v, &e, at, count);
            expect_same_bytes(&plain, &e);
        }
    }
}
END_TEST

START_TEST(every_integer_kernel_gives_the_bytes_of_single_additions)
{
    static uint64_t values[300];
    struct rng r;
    rng_init(&r, unit_seed("every_integer_kernel_gives_the_bytes_of_single_additions", 1));
    for (unsigned round = 0; round < 400; round++) {
        const size_t count = (size_t)rng_below(&r, 300);
        struct compute_exact as_signed;
        struct compute_exact as_unsigned;
        compute_exact_init(&as_signed);
        compute_exact_init(&as_unsigned);
        for (size_t i = 0; i < count; i++) {
            values[i] = rng_next(&r) >> (rng_chance(&r, 1, 2) ? 0 : rng_below(&r, 64));
            values[i] = rng_chance(&r, 1, 10) ? UINT64_MAX << rng_below(&r, 64) : values[i];
            compute_exact_add_i64(&as_signed, (int64_t)values[i]);
            compute_exact_add_u64(&as_unsigned, values[i]);
        }
        for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
            struct compute_exact e;
            if (!compute_lanes_runs(v)) {
                continue;
            }
            compute_exact_init(&e);
            compute_exact_add_i64s_by(v, &e, values, count);
            expect_same_bytes(&as_signed, &e);
            compute_exact_init(&e);
            compute_exact_add_u64s_by(v, &e, values, count);
            expect_same_bytes(&as_unsigned, &e);
        }
    }
}
END_TEST

START_TEST(products_of_arrays_have_the_bytes_of_single_products)
{
    static double x[PAIRS];
    static double y[PAIRS];
    struct rng r;
    rng_init(&r, unit_seed("products_of_arrays_have_the_bytes_of_single_products", 1));
    for (unsigned round = 0; round < 3 * VALUES_KINDS * VALUES_KINDS; round++) {
        const size_t count = round % 3 == 0 ? rng_below(&r, PAIRS) : PAIRS - rng_below(&r, 9);
        const bool squares = round % 2 == 0;
        struct compute_exact single;
        compute_exact_init(&single);
        values_make(&r, (enum values_kind)(round % VALUES_KINDS), x, count);
        values_make(&r, (enum values_kind)(round / VALUES_KINDS % VALUES_KINDS), y, count);
        for (size_t i = 0; i < count; i++) {
            compute_exact_add_product_f64(&single, x[i], squares ? x[i] : y[i]);
        }
        for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
            struct compute_exact e;
            if (compute_lanes_runs(v)) {
                compute_exact_init(&e);
                compute_exact_add_products_f64s_by(v, &e, x, squares ? x : y, count);
                expect_same_bytes(&single, &e);
            }
        }
    }
}
END_TEST

START_TEST(order_and_split_do_not_show_in_the_bytes)
{
    static double values[VALUES_MAX];
    struct rng r;
    rng_init(&r, unit_seed("order_and_split_do_not_show_in_the_bytes", 1));
    for (unsigned round = 0; round < 200; round++) {
        struct compute_exact parts[8];
        const size_t count = (size_t)rng_below(&r, 500);
        values_make(&r, (enum values_kind)(round % VALUES_KINDS), values, count);
        struct compute_exact whole = sum_of(values, count);
        for (unsigned i = 0; i < 8; i++) {
            compute_exact_init(&parts[i]);
        }
        for (size_t i = count; i > 0; i--) {
            compute_exact_add_f64(&parts[rng_below(&r, 8)], values[i - 1]);
        }
        for (unsigned left = 8; left > 1; left--) {
            unsigned into = (unsigned)rng_below(&r, left - 1);
            compute_exact_merge(&parts[into], &parts[left - 1]);
        }
        expect_same_bytes(&whole, &parts[0]);
    }
}
END_TEST

START_TEST(carries_of_many_merges_stay_within_their_limbs)
{
    struct compute_exact e;
    struct compute_exact one;
    compute_exact_init(&e);
    compute_exact_add_i64(&e, -1); /* every limb above is all ones */
    compute_exact_add_product_f64(&e, DBL_MAX, DBL_MAX);
    one = e;
    for (unsigned i = 0; i < 60; i++) { /* doubles: the load passes its limit twice */
        compute_exact_merge(&e, &e);
    }
    /* 2^60 times the value: the same digits, 60 bits further up */
    struct compute_exact expected;
    compute_exact_init(&expected);
    compute_exact_add_i64(&expected, -(INT64_C(1) << 60));
    compute_exact_add_product_f64(&one, -DBL_MAX, DBL_MAX);
    struct compute_exact products;
    compute_exact_init(&products);
    compute_exact_add_product_f64(&products, DBL_MAX, DBL_MAX);
    for (unsigned i = 0; i < 60; i++) {
        compute_exact_merge(&products, &products);
    }
    compute_exact_merge(&expected, &products);
    expect_same_bytes(&expected, &e);
    ck_assert(compute_exact_round(&one) == -1);
}
END_TEST

START_TEST(an_encoding_reads_back_and_writes_the_same_bytes)
{
    static double values[VALUES_MAX];
    struct rng r;
    rng_init(&r, unit_seed("an_encoding_reads_back_and_writes_the_same_bytes", 1));
    for (unsigned round = 0; round < 200; round++) {
        struct compute_exact read;
        struct buf bytes;
        const size_t count = (size_t)rng_below(&r, 20);
        values_make(&r, (enum values_kind)(round % VALUES_KINDS), values, count);
        struct compute_exact e = sum_of(values, count);
        encode(&e, &bytes);
        struct bytes_reader reader = bytes_reader_of(buf_view(&bytes));
        ck_assert_int_eq(compute_exact_decode(&read, &reader), 0);
        ck_assert(bytes_reader_ended(&reader));
        expect_same_bytes(&e, &read);
        const double before = compute_exact_round(&e);
        const double after = compute_exact_round(&read);
        ck_assert_mem_eq(&before, &after, sizeof(before));
        buf_release(&bytes);
    }
}
END_TEST

static int decode(const uint8_t *data, size_t size)
{
    struct compute_exact e;
    struct bytes_reader reader = bytes_reader_of(bytes_of(data, size));
    return compute_exact_decode(&e, &reader);
}

START_TEST(bytes_that_are_no_canonical_encoding_are_refused)
{
    static const struct {
        uint8_t bytes[13];
        size_t size;
        int code;
    } cases[] = {
        {{1, 0, 0, 0, 0}, 5, 0},
        {{1, 8, 0, 68, 1, 5, 0, 0, 0}, 9, 0},
        {{2, 0, 0, 0, 0}, 5, ERR_LEVEL},
        {{0, 0, 0, 0, 0}, 5, ERR_PROTOCOL},
        {{1, 0, 0, 0}, 4, ERR_PROTOCOL},
        {{1, 8, 0, 68, 1, 5, 0, 0}, 8, ERR_PROTOCOL},
        {{1, 8, 2, 68, 1, 5, 0, 0, 0}, 9, ERR_PROTOCOL},
        {{1, 8, 1, 0, 0}, 5, ERR_PROTOCOL},                           /* minus nothing */
        {{1, 8, 0, 3, 0}, 5, ERR_PROTOCOL},                           /* a place of nothing */
        {{1, 8, 0, 135, 1, 5, 0, 0, 0}, 9, ERR_PROTOCOL},             /* beyond the end */
        {{1, 8, 0, 68, 1, 0, 0, 0, 0}, 9, ERR_PROTOCOL},              /* a digit of nothing */
        {{1, 8, 0, 68, 2, 0, 0, 0, 0, 1, 0, 0, 0}, 13, ERR_PROTOCOL}, /* at the low end */
        {{1, 8, 0, 68, 2, 1, 0, 0, 0, 0, 0, 0, 0}, 13, ERR_PROTOCOL}, /* at the high end */
        {{1, 0, 0, 68, 1, 5, 0, 0, 0}, 9, ERR_PROTOCOL},              /* of no values */
        {{1, 16, 0, 68, 1, 5, 0, 0, 0}, 9, ERR_PROTOCOL},             /* of zeros */
        {{1, 24, 0, 0, 0}, 5, ERR_PROTOCOL},
        {{1, 1, 0, 0, 0}, 5, ERR_PROTOCOL},
        {{1, 40, 0, 0, 0}, 5, ERR_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(decode(cases[i].bytes, cases[i].size) == cases[i].code, "case %zu", i);
    }
}
END_TEST

START_TEST(a_state_beyond_all_values_is_not_encoded)
{
    uint8_t bytes[9] = {1, 8, 0, 134, 1, 0xff, 0xff, 0xff, 0xff};
    struct compute_exact e;
    struct buf into;
    const struct alloc heap = alloc_heap();
    struct bytes_reader reader = bytes_reader_of(bytes_of(bytes, sizeof(bytes)));
    ck_assert_int_eq(compute_exact_decode(&e, &reader), 0);
    compute_exact_merge(&e, &e);
    buf_init(&into, &heap, COMPUTE_EXACT_ENCODED_MAX);
    ck_assert_int_eq(compute_exact_encode(&e, &into), ERR_OVERFLOW);
    ck_assert(compute_exact_round(&e) == INFINITY);
    buf_release(&into);
}
END_TEST

/* Bit by bit. returns: whether there was a rest. */
static bool divide_plainly(struct compute_big *a, uint64_t divisor_high, uint64_t divisor_low)
{
    uint64_t high = 0;
    uint64_t low = 0;
    for (size_t bit = a->count * 32; bit-- > 0;) {
        uint32_t *digit = &a->digit[bit / 32];
        high = high << 1 | low >> 63;
        low = low << 1 | (*digit >> bit % 32 & 1u);
        *digit &= ~(UINT32_C(1) << bit % 32);
        if (high > divisor_high || (high == divisor_high && low >= divisor_low)) {
            high -= divisor_high + (low < divisor_low);
            low -= divisor_low;
            *digit |= UINT32_C(1) << bit % 32;
        }
    }
    while (a->count > 0 && a->digit[a->count - 1] == 0) {
        a->count--;
    }
    return (high | low) != 0;
}

/* Digits at which a guess of the quotient is wrong are rare among random ones. */
static uint32_t digit_of(struct rng *r)
{
    static const uint32_t edges[] = {0,          1,          2,          0x7fffffff,
                                     0x80000000, 0x80000001, 0xfffffffe, UINT32_MAX};
    const size_t count = sizeof(edges) / sizeof(edges[0]);
    return rng_chance(r, 2, 3) ? edges[rng_below(r, count)] : (uint32_t)rng_next(r);
}

static uint64_t digits_of(struct rng *r)
{
    return (uint64_t)digit_of(r) << 32 | digit_of(r);
}

START_TEST(a_quotient_is_what_division_bit_by_bit_gives)
{
    struct rng r;
    rng_init(&r, unit_seed("a_quotient_is_what_division_bit_by_bit_gives", 1));
    for (unsigned round = 0; round < 20000; round++) {
        struct compute_big a;
        const size_t most = round % 100 == 0 ? COMPUTE_BIG_DIGITS : 9;
        a.count = (size_t)rng_below(&r, most + 1);
        for (size_t i = 0; i < a.count; i++) {
            a.digit[i] = digit_of(&r);
        }
        const uint64_t high = rng_chance(&r, 1, 2) ? digits_of(&r) >> (1 + rng_below(&r, 63)) : 0;
        const uint64_t any = digits_of(&r) >> (high == 0 ? rng_below(&r, 64) : 0);
        const uint64_t low = NUM_MAX(any, (uint64_t)1);
        struct compute_big plain = a;
        const bool rest = divide_plainly(&plain, high, low);
        ck_assert(compute_big_divide(&a, high, low) == rest);
        ck_assert_uint_eq(a.count, plain.count);
        ck_assert_mem_eq(a.digit, plain.digit, a.count * sizeof(a.digit[0]));
    }
}
END_TEST

UNIT_MAIN("compute_exact", what_rounding_would_lose_is_kept,
          a_sum_halfway_between_doubles_goes_to_the_even_one, an_overflow_counts_only_at_the_end,
          nan_and_infinities_decide_the_sum, only_negative_zeros_sum_to_negative_zero,
          a_quotient_is_what_division_bit_by_bit_gives, a_small_mean_is_rounded_once,
          variance_of_close_large_values_is_exact, sums_that_no_values_have_are_no_variance,
          whole_numbers_fill_exactly_128_bits, every_kernel_gives_the_bytes_of_the_plain_twin,
          every_integer_kernel_gives_the_bytes_of_single_additions,
          products_of_arrays_have_the_bytes_of_single_products,
          order_and_split_do_not_show_in_the_bytes, carries_of_many_merges_stay_within_their_limbs,
          an_encoding_reads_back_and_writes_the_same_bytes,
          bytes_that_are_no_canonical_encoding_are_refused,
          a_state_beyond_all_values_is_not_encoded)
