/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Limits: defaults, bounds, and what must fit together.
 */
#include "base/limits.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(the_defaults_are_allowed)
{
    struct limits l;
    struct err_info why = {0};
    limits_init(&l);
    ck_assert_int_eq(limits_check(&l, &why), 0);
    ck_assert_uint_eq(l.client_connections, 1024);
    ck_assert_uint_eq(l.request_bytes, 2u << 20);
    ck_assert_uint_eq(l.jobs_compute, 64);
}
END_TEST

START_TEST(a_file_sets_limits_by_their_names)
{
    struct alloc heap = alloc_heap();
    struct limits l;
    struct config c;
    struct config_table table = limits_table(&l);
    ck_assert_int_eq(config_init(&c, &heap, &table, 1), 0);
    ck_assert_uint_eq(l.uploads, 64);
    ck_assert_int_eq(
        config_parse(&c, bytes_of_text("[limits]\nuploads = 3\nidle_us = 2min\n"), "t", NULL), 0);
    ck_assert_uint_eq(l.uploads, 3);
    ck_assert_uint_eq(l.idle_us, 120000000);
    config_release(&c);
}
END_TEST

START_TEST(a_limit_outside_its_bounds_is_named)
{
    struct limits l;
    struct err_info why = {0};
    limits_init(&l);
    l.workers = 0;
    ck_assert_int_eq(limits_check(&l, &why), ERR_BAD_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "'workers' is 0, outside 1 to 256"));
}
END_TEST

START_TEST(an_entry_too_short_for_a_page_of_records_is_refused)
{
    struct limits l;
    struct err_info why = {0};
    limits_init(&l);
    l.proposal_bytes = 1280u << 10;
    ck_assert_int_eq(limits_check(&l, &why), 0);
    l.proposal_bytes = 1u << 20;
    ck_assert_int_eq(limits_check(&l, &why), ERR_BAD_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "'proposal_bytes' is 1048576, outside 1310720 to "));
}
END_TEST

START_TEST(limits_that_do_not_fit_together_are_both_named)
{
    struct limits l;
    struct err_info why = {0};
    limits_init(&l);
    l.proposal_bytes = l.peer_body_bytes;
    ck_assert_int_eq(limits_check(&l, &why), ERR_BAD_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "'proposal_bytes'"));
    ck_assert_ptr_nonnull(strstr(why.text, "'peer_body_bytes'"));
}
END_TEST

START_TEST(a_frame_has_room_for_a_piece_of_a_snapshot_and_the_row_that_fills_it)
{
    struct limits l;
    struct err_info why = {0};
    limits_init(&l);
    l.append_bytes = 1u << 20;
    l.snapshot_bytes = 4u << 20;
    l.peer_body_bytes = (5u << 20) + 4096;
    ck_assert_int_eq(limits_check(&l, &why), 0);
    l.peer_body_bytes--;
    ck_assert_int_eq(limits_check(&l, &why), ERR_BAD_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "'snapshot_bytes'"));
}
END_TEST

UNIT_MAIN("base_limits", the_defaults_are_allowed, a_file_sets_limits_by_their_names,
          a_limit_outside_its_bounds_is_named, an_entry_too_short_for_a_page_of_records_is_refused,
          limits_that_do_not_fit_together_are_both_named,
          a_frame_has_room_for_a_piece_of_a_snapshot_and_the_row_that_fills_it)
