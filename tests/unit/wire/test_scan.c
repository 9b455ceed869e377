/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The pre-scan: every form of MessagePack, every limit, arrival in pieces.
 */
#include "base/err.h"
#include "tests/unit/unit.h"
#include "wire/scan.h"

#include <string.h>

static const struct wire_scan_limits limits = {
    .bytes_max = 1 << 20, .items_max = 100000, .depth_max = 16};

static int scan(const void *data, size_t size, size_t *bytes)
{
    return wire_scan(bytes_of(data, size), &limits, bytes);
}

/* tag, head in hex digits, bytes after the head */
static const struct form {
    uint8_t head[6];
    uint8_t head_bytes;
    uint8_t rest_bytes;
} forms[] = {
    {{0x00}, 1, 0},          {{0x7f}, 1, 0},
    {{0xe0}, 1, 0},          {{0xff}, 1, 0},
    {{0xc0}, 1, 0},          {{0xc2}, 1, 0},
    {{0xc3}, 1, 0},          {{0xcc}, 1, 1},
    {{0xcd}, 1, 2},          {{0xce}, 1, 4},
    {{0xcf}, 1, 8},          {{0xd0}, 1, 1},
    {{0xd1}, 1, 2},          {{0xd2}, 1, 4},
    {{0xd3}, 1, 8},          {{0xca}, 1, 4},
    {{0xcb}, 1, 8},          {{0xa0}, 1, 0},
    {{0xbf}, 1, 31},         {{0xd9, 40}, 2, 40},
    {{0xda, 0, 40}, 3, 40},  {{0xdb, 0, 0, 0, 9}, 5, 9},
    {{0xc4, 0}, 2, 0},       {{0xc4, 200}, 2, 200},
    {{0xc5, 0, 7}, 3, 7},    {{0xc6, 0, 0, 0, 7}, 5, 7},
    {{0xd4, 1}, 2, 1},       {{0xd5, 1}, 2, 2},
    {{0xd6, 1}, 2, 4},       {{0xd7, 1}, 2, 8},
    {{0xd8, 1}, 2, 16},      {{0xc7, 5, 1}, 3, 5},
    {{0xc8, 0, 5, 1}, 4, 5}, {{0xc9, 0, 0, 0, 5, 1}, 6, 5},
    {{0x90}, 1, 0},          {{0x9f}, 1, 15},
    {{0xdc, 0, 3}, 3, 3},    {{0xdd, 0, 0, 0, 3}, 5, 3},
    {{0x80}, 1, 0},          {{0x8f}, 1, 30},
    {{0xde, 0, 3}, 3, 6},    {{0xdf, 0, 0, 0, 3}, 5, 6},
};

START_TEST(the_end_of_every_form_is_found_and_every_cut_wants_more)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        uint8_t raw[256] = {0};
        size_t total = (size_t)forms[i].head_bytes + forms[i].rest_bytes;
        size_t bytes = 0;
        memcpy(raw, forms[i].head, forms[i].head_bytes);
        for (size_t have = 0; have < total; have++) {
            ck_assert_int_eq(scan(raw, have, &bytes), WIRE_MORE);
        }
        ck_assert_int_eq(scan(raw, total, &bytes), 0);
        ck_assert_uint_eq(bytes, total);
        bytes = 0;
        ck_assert_int_eq(scan(raw, total + 1, &bytes), 0); /* the next message follows */
        ck_assert_uint_eq(bytes, total);
    }
}
END_TEST

/* attack 5 */
START_TEST(the_one_byte_that_means_nothing_is_refused)
{
    size_t bytes;
    ck_assert_int_eq(scan("\xc1", 1, &bytes), ERR_PROTOCOL);
    ck_assert_int_eq(scan("\x92\x01\xc1", 3, &bytes), ERR_PROTOCOL);
}
END_TEST

/* attack 1 */
START_TEST(depth_is_bounded)
{
    static uint8_t deep[100001];
    size_t bytes;
    memset(deep, 0x91, sizeof(deep));
    ck_assert_int_eq(scan(deep, sizeof(deep), &bytes), ERR_TOO_LARGE);
    deep[16] = 0xc0;
    ck_assert_int_eq(scan(deep, 17, &bytes), 0);
    deep[16] = 0x90; /* an empty container counts too */
    ck_assert_int_eq(scan(deep, 17, &bytes), ERR_TOO_LARGE);
    memset(deep, 0x81, sizeof(deep)); /* maps as keys of maps */
    ck_assert_int_eq(scan(deep, sizeof(deep), &bytes), ERR_TOO_LARGE);
}
END_TEST

/* attacks 2, 3, 4 */
START_TEST(counts_that_cannot_be_met_are_refused_at_their_head)
{
    static const struct {
        uint8_t raw[8];
        size_t size;
    } rows[] = {
        {{0xdd, 0xff, 0xff, 0xff, 0xff}, 5},      {{0xdf, 0x08, 0, 0, 0}, 5},
        {{0xdf, 0xff, 0xff, 0xff, 0xff}, 5},      {{0xdb, 0xff, 0xff, 0xff, 0xff, 'a'}, 6},
        {{0xc6, 0xff, 0xff, 0xff, 0xff, 'a'}, 6}, {{0xc9, 0xff, 0xff, 0xff, 0xff, 0, 'a'}, 7},
        {{0xdd, 0x08, 0, 0, 0, 0xdd, 0x08}, 7},
    };
    size_t bytes;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_int_eq(scan(rows[i].raw, rows[i].size, &bytes), ERR_TOO_LARGE);
    }
}
END_TEST

START_TEST(what_all_open_containers_owe_must_fit_together)
{
    struct wire_scan_limits small = limits;
    uint8_t raw[6] = {0x93, 0x93, 0x93, 0xc0, 0xc0, 0xc0};
    size_t bytes;
    small.bytes_max = 9; /* three arrays of three take ten bytes at least */
    ck_assert_int_eq(wire_scan(bytes_of(raw, 6), &small, &bytes), ERR_TOO_LARGE);
    small.bytes_max = 10;
    ck_assert_int_eq(wire_scan(bytes_of(raw, 6), &small, &bytes), WIRE_MORE);
    uint8_t text[3] = {0x92, 0xa7, 'a'}; /* seven bytes and one value more */
    ck_assert_int_eq(wire_scan(bytes_of(text, 3), &small, &bytes), WIRE_MORE);
    small.bytes_max = 9;
    ck_assert_int_eq(wire_scan(bytes_of(text, 3), &small, &bytes), ERR_TOO_LARGE);
}
END_TEST

START_TEST(items_and_bytes_are_bounded)
{
    struct wire_scan_limits small = {.bytes_max = 100, .items_max = 4, .depth_max = 2};
    size_t bytes;
    ck_assert_int_eq(wire_scan(bytes_of("\x93\1\2\3", 4), &small, &bytes), 0);
    ck_assert_int_eq(wire_scan(bytes_of("\x94\1\2\3\4", 5), &small, &bytes), ERR_TOO_LARGE);
    ck_assert_int_eq(wire_scan(bytes_of("\x92\x92\1\2\3", 5), &small, &bytes), ERR_TOO_LARGE);
    ck_assert_int_eq(wire_scan(bytes_of("\xc4\x62", 2), &small, &bytes), WIRE_MORE);
    ck_assert_int_eq(wire_scan(bytes_of("\xc4\x63", 2), &small, &bytes), ERR_TOO_LARGE);
    small.bytes_max = 2; /* a head that cannot be whole */
    ck_assert_int_eq(wire_scan(bytes_of("\xdd\0", 2), &small, &bytes), ERR_TOO_LARGE);
}
END_TEST

/* One pass over a megabyte that comes byte by byte: were it scanned anew each time, this would take
 * hours. */
START_TEST(a_large_message_in_small_pieces_is_scanned_once)
{
    static uint8_t raw[500005];
    struct wire_scan_limits wide = {.bytes_max = 1 << 20, .items_max = 1 << 20, .depth_max = 4};
    struct wire_scan s;
    memcpy(raw, "\xdd\x00\x07\xa1\x20", 5); /* 500,000 items */
    wire_scan_init(&s, &wide);
    bool passed = true; /* one check at the end: Check's own book-keeping is what takes long */
    for (size_t have = 1; have < sizeof(raw); have++) {
        passed = passed && wire_scan_more(&s, bytes_of(raw, have)) == WIRE_MORE;
        passed = passed && s.at + 5 >= have;
    }
    ck_assert(passed);
    ck_assert_int_eq(wire_scan_more(&s, bytes_of(raw, sizeof(raw))), 0);
    ck_assert_uint_eq(s.at, sizeof(raw));
    ck_assert_int_eq(wire_scan_more(&s, bytes_of(raw, sizeof(raw))), 0); /* asked again */
}
END_TEST

UNIT_MAIN("wire_scan", the_end_of_every_form_is_found_and_every_cut_wants_more,
          the_one_byte_that_means_nothing_is_refused, depth_is_bounded,
          counts_that_cannot_be_met_are_refused_at_their_head,
          what_all_open_containers_owe_must_fit_together, items_and_bytes_are_bounded,
          a_large_message_in_small_pieces_is_scanned_once)
