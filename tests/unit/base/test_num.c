/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Checked arithmetic and byte orders.
 */
#include "base/num.h"
#include "tests/unit/unit.h"

START_TEST(sums_and_products_that_do_not_fit_are_refused_and_leave_the_result)
{
    uint64_t out = 7;
    ck_assert(num_add_u64(UINT64_MAX - 1, 1, &out));
    ck_assert_uint_eq(out, UINT64_MAX);
    ck_assert(!num_add_u64(UINT64_MAX, 1, &out));
    ck_assert_uint_eq(out, UINT64_MAX);
    ck_assert(num_mul_u64(UINT32_MAX, UINT32_MAX, &out));
    ck_assert_uint_eq(out, (uint64_t)UINT32_MAX * UINT32_MAX);
    ck_assert(!num_mul_u64((uint64_t)1 << 33, (uint64_t)1 << 31, &out));
    ck_assert(num_mul_u64(UINT64_MAX, 0, &out));
    ck_assert_uint_eq(out, 0);
}
END_TEST

START_TEST(signed_sums_stop_at_both_ends)
{
    int64_t out = 7;
    ck_assert(num_add_i64(INT64_MAX - 1, 1, &out));
    ck_assert_int_eq(out, INT64_MAX);
    ck_assert(!num_add_i64(INT64_MAX, 1, &out));
    ck_assert(!num_add_i64(INT64_MIN, -1, &out));
    ck_assert(num_add_i64(INT64_MIN, INT64_MAX, &out));
    ck_assert_int_eq(out, -1);
}
END_TEST

START_TEST(a_range_fits_only_if_offset_and_end_lie_within)
{
    ck_assert(num_fits(0, 0, 0));
    ck_assert(num_fits(3, 7, 10));
    ck_assert(num_fits(10, 0, 10));
    ck_assert(!num_fits(11, 0, 10));
    ck_assert(!num_fits(3, 8, 10));
    ck_assert(!num_fits(2, UINT64_MAX, 10));
    ck_assert(!num_fits(UINT64_MAX, 2, 10));
}
END_TEST

START_TEST(divisions_and_roundings_go_up)
{
    ck_assert_uint_eq(num_div_up(0, 8), 0);
    ck_assert_uint_eq(num_div_up(8, 8), 1);
    ck_assert_uint_eq(num_div_up(9, 8), 2);
    ck_assert_uint_eq(num_div_up(UINT64_MAX, 2), (uint64_t)1 << 63);
    ck_assert_uint_eq(num_round_up(1, 4096), 4096);
    ck_assert_uint_eq(num_round_up(4096, 4096), 4096);
    ck_assert(num_is_pow2(1) && num_is_pow2((uint64_t)1 << 63));
    ck_assert(!num_is_pow2(0) && !num_is_pow2(6));
}
END_TEST

START_TEST(numbers_come_back_in_both_byte_orders)
{
    uint8_t raw[8];
    num_put_u16(raw, 0x8081);
    ck_assert_uint_eq(raw[0], 0x81);
    ck_assert_uint_eq(num_get_u16(raw), 0x8081);
    num_put_u32(raw, 0xf1f2f3f4u);
    ck_assert_uint_eq(raw[0], 0xf4);
    ck_assert_uint_eq(num_get_u32(raw), 0xf1f2f3f4u);
    num_put_u64(raw, 0xf1f2f3f4f5f6f7f8u);
    ck_assert_uint_eq(num_get_u64(raw), 0xf1f2f3f4f5f6f7f8u);
    num_put_u32_be(raw, 0xf1f2f3f4u);
    ck_assert_uint_eq(raw[0], 0xf1);
    ck_assert_uint_eq(num_get_u32_be(raw), 0xf1f2f3f4u);
    num_put_u64_be(raw, 0xf1f2f3f4f5f6f7f8u);
    ck_assert_uint_eq(raw[7], 0xf8);
    ck_assert_uint_eq(num_get_u64_be(raw), 0xf1f2f3f4f5f6f7f8u);
}
END_TEST

UNIT_MAIN("base_num", sums_and_products_that_do_not_fit_are_refused_and_leave_the_result,
          signed_sums_stop_at_both_ends, a_range_fits_only_if_offset_and_end_lie_within,
          divisions_and_roundings_go_up, numbers_come_back_in_both_byte_orders)
