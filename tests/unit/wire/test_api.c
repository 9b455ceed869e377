/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Names and slots.
 */
#include "base/crc.h"
#include "base/err.h"
#include "tests/unit/unit.h"
#include "wire/api.h"

START_TEST(names_are_1_to_1024_bytes_of_any_value)
{
    static const uint8_t name[1025] = {0, '/', 0xff};
    ck_assert_int_eq(wire_name_check(bytes_of(name, 0)), ERR_BAD_NAME);
    ck_assert_int_eq(wire_name_check(bytes_of(name, 1)), 0);
    ck_assert_int_eq(wire_name_check(bytes_of(name, 1024)), 0);
    ck_assert_int_eq(wire_name_check(bytes_of(name, 1025)), ERR_TOO_LARGE);
    ck_assert_int_eq(wire_name_check(bytes_of_text("..")), 0); /* attack 27: never a path */
}
END_TEST

START_TEST(a_bucket_has_no_slash)
{
    ck_assert_int_eq(wire_bucket_check(bytes_of_text("a/b")), ERR_BAD_NAME);
    ck_assert_int_eq(wire_bucket_check(bytes_of_text("")), ERR_BAD_NAME);
    ck_assert_int_eq(wire_bucket_check(bytes_of_text("a b")), 0);
}
END_TEST

START_TEST(slots_are_those_of_redis_cluster)
{
    ck_assert_uint_eq(wire_slot_of(bytes_of_text("123456789")), 0x31c3);
    ck_assert_uint_eq(wire_slot_of(bytes_of_text("foo")), 12182);
    ck_assert_uint_eq(wire_slot_of(bytes_of_text("")), 0);
    ck_assert_uint_eq(wire_slot_of(bytes_of_text("{user1000}.following")),
                      wire_slot_of(bytes_of_text("{user1000}.followers")));
    ck_assert_uint_eq(wire_slot_of(bytes_of_text("a{foo}b")), 12182);
    /* an empty tag is no tag; of several braces the first closed pair counts */
    ck_assert_uint_eq(wire_slot_of(bytes_of_text("foo{}{bar}")),
                      crc16_of("foo{}{bar}", 10) % WIRE_SLOTS);
    ck_assert_uint_eq(wire_slot_of(bytes_of_text("foo{{bar}}zap")),
                      crc16_of("{bar", 4) % WIRE_SLOTS);
    ck_assert_uint_eq(wire_slot_of(bytes_of_text("foo{bar}{zap}")),
                      crc16_of("bar", 3) % WIRE_SLOTS);
    ck_assert_uint_eq(wire_slot_of(bytes_of_text("foo{")), crc16_of("foo{", 4) % WIRE_SLOTS);
}
END_TEST

UNIT_MAIN("wire_api", names_are_1_to_1024_bytes_of_any_value, a_bucket_has_no_slash,
          slots_are_those_of_redis_cluster)
