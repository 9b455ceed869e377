/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Views, owned buffers and the reader of fields.
 */
#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(views_compare_by_bytes_and_a_prefix_sorts_first)
{
    ck_assert(bytes_equal(bytes_of_text("abc"), bytes_of("abcd", 3)));
    ck_assert(!bytes_equal(bytes_of_text("abc"), bytes_of_text("abd")));
    ck_assert(!bytes_equal(bytes_of_text("abc"), bytes_of_text("ab")));
    ck_assert(bytes_equal(bytes_of(NULL, 0), bytes_of_text("")));
    ck_assert_int_lt(bytes_compare(bytes_of_text("ab"), bytes_of_text("abc")), 0);
    ck_assert_int_gt(bytes_compare(bytes_of_text("b"), bytes_of_text("abc")), 0);
    ck_assert_int_gt(bytes_compare(bytes_of("\xff", 1), bytes_of("\x01", 1)), 0);
    ck_assert_int_eq(bytes_compare(bytes_of(NULL, 0), bytes_of_text("")), 0);
    ck_assert(bytes_has_prefix(bytes_of_text("abc"), bytes_of_text("ab")));
    ck_assert(bytes_has_prefix(bytes_of_text("abc"), bytes_of(NULL, 0)));
    ck_assert(!bytes_has_prefix(bytes_of_text("a"), bytes_of_text("ab")));
}
END_TEST

START_TEST(a_buffer_grows_up_to_its_limit_and_no_further)
{
    struct alloc heap = alloc_heap();
    struct buf b;
    uint8_t block[50] = {7};
    buf_init(&b, &heap, 100);
    ck_assert_int_eq(buf_append(&b, block, 50), 0);
    ck_assert_int_eq(buf_append(&b, block, 50), 0);
    ck_assert_uint_eq(b.size, 100);
    ck_assert_int_eq(buf_put_u8(&b, 1), ERR_TOO_LARGE);
    ck_assert_uint_eq(b.size, 100);
    buf_release(&b);
}
END_TEST

/* As views of nothing come from everywhere: with a null pointer. Sanitizers look at the sums. */
START_TEST(room_that_is_known_is_no_more_than_that)
{
    const struct alloc heap = alloc_heap();
    struct buf b;
    buf_init(&b, &heap, 100);
    ck_assert_int_eq(buf_reserve_just(&b, 33), 0);
    ck_assert_uint_eq(b.cap, 33);
    ck_assert_int_eq(buf_append(&b, "abc", 3), 0);
    ck_assert_int_eq(buf_reserve_just(&b, 30), 0);
    ck_assert_uint_eq(b.cap, 33);
    ck_assert_int_eq(buf_reserve_just(&b, 97), 0);
    ck_assert_uint_eq(b.cap, 100);
    ck_assert_mem_eq(b.data, "abc", 3);
    ck_assert_int_eq(buf_reserve_just(&b, 98), ERR_TOO_LARGE);
    buf_release(&b);
}
END_TEST

START_TEST(nothing_is_put_into_a_buffer_without_memory)
{
    struct alloc heap = alloc_heap();
    struct buf b;
    buf_init(&b, &heap, 100);
    ck_assert_int_eq(buf_append(&b, NULL, 0), 0);
    ck_assert_int_eq(b.err, 0);
    ck_assert_uint_eq(buf_view(&b).size, 0);
    ck_assert_uint_eq(hash_of(buf_view(&b), 1), hash_of(bytes_of_text(""), 1));
    buf_release(&b);
}
END_TEST

START_TEST(the_first_failure_of_a_buffer_stays_until_it_is_cleared)
{
    struct alloc heap = alloc_heap();
    struct buf b;
    uint8_t block[20] = {0};
    buf_init(&b, &heap, 10);
    ck_assert_int_eq(buf_append(&b, block, 20), ERR_TOO_LARGE);
    ck_assert_int_eq(buf_put_u8(&b, 1), ERR_TOO_LARGE);
    ck_assert_uint_eq(b.size, 0);
    buf_clear(&b);
    ck_assert_int_eq(buf_put_u8(&b, 1), 0);
    ck_assert_int_eq(b.err, 0);
    buf_release(&b);
}
END_TEST

START_TEST(a_buffer_survives_the_failure_of_each_allocation)
{
    for (uint64_t n = 1; n <= 4; n++) {
        struct alloc_budget budget;
        struct alloc a = alloc_budget_init(&budget, alloc_heap(), 1 << 20);
        struct buf b;
        budget.fail_at = n;
        buf_init(&b, &a, 4096);
        int err = 0;
        for (unsigned i = 0; i < 1024 && err == 0; i++) {
            err = buf_put_u32(&b, i);
        }
        ck_assert_int_eq(err, ERR_NO_MEMORY);
        ck_assert_int_eq(b.err, ERR_NO_MEMORY);
        buf_release(&b);
        ck_assert_uint_eq(budget.used_bytes, 0);
    }
}
END_TEST

START_TEST(fields_come_back_as_they_were_put)
{
    struct alloc heap = alloc_heap();
    struct buf b;
    buf_init(&b, &heap, 4096);
    buf_put_u8(&b, 0xab);
    buf_put_u16(&b, 0x1234);
    buf_put_u32(&b, 0xdeadbeef);
    buf_put_u64(&b, 0x0123456789abcdefu);
    buf_put_bytes(&b, bytes_of_text("tail"));
    ck_assert_int_eq(b.err, 0);
    ck_assert_uint_eq(b.data[1], 0x34); /* little-endian */
    struct bytes_reader r = bytes_reader_of(buf_view(&b));
    ck_assert_uint_eq(bytes_take_u8(&r), 0xab);
    ck_assert_uint_eq(bytes_take_u16(&r), 0x1234);
    ck_assert_uint_eq(bytes_take_u32(&r), 0xdeadbeef);
    ck_assert_uint_eq(bytes_take_u64(&r), 0x0123456789abcdefu);
    ck_assert(!bytes_reader_ended(&r));
    ck_assert(bytes_equal(bytes_take_bytes(&r, 4), bytes_of_text("tail")));
    ck_assert(bytes_reader_ended(&r));
    buf_release(&b);
}
END_TEST

START_TEST(a_reader_that_failed_gives_nothing_more)
{
    uint8_t raw[7] = {1, 2, 3, 4, 5, 6, 7};
    struct bytes_reader r = bytes_reader_of(bytes_of(raw, 7));
    ck_assert_uint_eq(bytes_take_u64(&r), 0);
    ck_assert(r.failed);
    ck_assert_uint_eq(bytes_take_u8(&r), 0);
    ck_assert_uint_eq(bytes_take(&r, 1).size, 0);
    ck_assert(!bytes_reader_ended(&r));
}
END_TEST

START_TEST(a_length_beyond_the_limit_or_the_bytes_fails_the_reader)
{
    uint8_t raw[8] = {4, 0, 0, 0, 1, 2, 3, 4};
    struct bytes_reader r = bytes_reader_of(bytes_of(raw, 8));
    ck_assert_uint_eq(bytes_take_bytes(&r, 3).size, 0);
    ck_assert(r.failed);
    raw[0] = 5;
    r = bytes_reader_of(bytes_of(raw, 8));
    ck_assert_uint_eq(bytes_take_bytes(&r, 100).size, 0);
    ck_assert(r.failed);
    raw[3] = 0xff; /* near 2^32 */
    r = bytes_reader_of(bytes_of(raw, 8));
    ck_assert_uint_eq(bytes_take_bytes(&r, SIZE_MAX).size, 0);
    ck_assert(r.failed);
}
END_TEST

UNIT_MAIN("base_bytes", views_compare_by_bytes_and_a_prefix_sorts_first,
          a_buffer_grows_up_to_its_limit_and_no_further, room_that_is_known_is_no_more_than_that,
          nothing_is_put_into_a_buffer_without_memory,
          the_first_failure_of_a_buffer_stays_until_it_is_cleared,
          a_buffer_survives_the_failure_of_each_allocation, fields_come_back_as_they_were_put,
          a_reader_that_failed_gives_nothing_more,
          a_length_beyond_the_limit_or_the_bytes_fails_the_reader)
