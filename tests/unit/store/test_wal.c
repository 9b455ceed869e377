/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The write-ahead log, on a disk in memory: what it keeps, what it refuses, what it gives back.
 */
#include "tests/unit/store/wal_rig.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct wal_rig rig;

static void setup(void)
{
    wal_rig_begin(&rig, 64 * 1024);
    wal_rig_open(&rig);
}

static void teardown(void)
{
    wal_rig_end(&rig);
}

START_TEST(entries_are_read_back_before_and_after_a_restart)
{
    for (uint64_t i = 1; i <= 300; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, (unsigned)(i % 5) * 700), 0);
    }
    wal_rig_check(&rig, 1, 1, 300, 1);
    wal_rig_reopen(&rig);
    struct store_wal_group g;
    ck_assert_int_eq(store_wal_group_get(rig.wal, 1, &g), 0);
    ck_assert_uint_eq(g.last_index, 300);
    ck_assert(!g.tail_ambiguous && !g.hard_lost);
    wal_rig_check(&rig, 1, 1, 300, 1);
}
END_TEST

START_TEST(hard_state_is_durable_when_append_returns)
{
    /* scenario 1, 2: the pair is one record */
    ck_assert_int_eq(wal_rig_hard(&rig, 7, 3, 2, 0), 0);
    struct rng r;
    rng_init(&r, 1);
    wal_rig_crash(&rig, &r, 0);
    struct store_wal_group g;
    ck_assert_int_eq(store_wal_group_get(rig.wal, 7, &g), 0);
    ck_assert_uint_eq(g.term, 3);
    ck_assert_uint_eq(g.vote, 2);
    ck_assert_int_eq(wal_rig_hard(&rig, 7, 3, 2, 9), 0);
    ck_assert_int_eq(wal_rig_hard(&rig, 7, 4, 0, 9), 0);
    wal_rig_reopen(&rig);
    ck_assert_int_eq(store_wal_group_get(rig.wal, 7, &g), 0);
    ck_assert_uint_eq(g.term, 4);
    ck_assert_uint_eq(g.vote, 0);
    ck_assert_uint_eq(g.commit, 9);
    ck_assert(!g.hard_lost);
}
END_TEST

START_TEST(plain_batch_takes_one_block_and_hard_state_two)
{
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 1, 1, 0), 0);
    struct store_wal_stats a;
    struct store_wal_stats b;
    struct store_wal_record r[2] = {wal_rig_record(1, 1, 1, 100)};
    r[1] = (struct store_wal_record){
        .kind = STORE_WAL_HARD, .group = 1, .term = 1, .vote = 1, .commit = 1};
    store_wal_stats_get(rig.wal, &a);
    ck_assert_int_eq(store_wal_append(rig.wal, r, 2, NULL), 0);
    store_wal_stats_get(rig.wal, &b);
    ck_assert_uint_eq(b.bytes - a.bytes, 4096);
    ck_assert_uint_eq(b.syncs - a.syncs, 1);
    r[0] = wal_rig_record(1, 2, 2, 100);
    r[1].term = 2;
    ck_assert_int_eq(store_wal_append(rig.wal, r, 2, NULL), 0);
    store_wal_stats_get(rig.wal, &a);
    ck_assert_uint_eq(a.bytes - b.bytes, 8192);
}
END_TEST

START_TEST(entry_at_a_lower_index_cuts_what_followed)
{
    /* scenario 33, 35 */
    for (uint64_t i = 1; i <= 9; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 50), 0);
    }
    ck_assert_int_eq(wal_rig_entry(&rig, 1, 5, 2, 50), 0);
    for (int turn = 0; turn < 2; turn++) {
        struct store_wal_group g;
        ck_assert_int_eq(store_wal_group_get(rig.wal, 1, &g), 0);
        ck_assert_uint_eq(g.last_index, 5);
        wal_rig_check(&rig, 1, 1, 4, 1);
        wal_rig_check(&rig, 1, 5, 5, 2);
        wal_rig_reopen(&rig);
    }
}
END_TEST

START_TEST(cut_and_base_bound_the_log)
{
    for (uint64_t i = 1; i <= 400; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 20), 0);
    }
    struct store_wal_record r[2] = {
        {.kind = STORE_WAL_CUT, .group = 1, .index = 350},
        {.kind = STORE_WAL_BASE, .group = 1, .index = 200, .term = 1},
    };
    ck_assert_int_eq(store_wal_append(rig.wal, r, 2, NULL), 0);
    for (int turn = 0; turn < 2; turn++) {
        struct store_wal_group g;
        struct store_wal_entry e;
        ck_assert_int_eq(store_wal_group_get(rig.wal, 1, &g), 0);
        ck_assert_uint_eq(g.base_index, 200);
        ck_assert_uint_eq(g.base_term, 1);
        ck_assert_uint_eq(g.last_index, 349);
        ck_assert_int_eq(store_wal_entry_get(rig.wal, 1, 200, &e), ERR_NOT_FOUND);
        ck_assert_int_eq(store_wal_entry_get(rig.wal, 1, 350, &e), ERR_NOT_FOUND);
        wal_rig_check(&rig, 1, 201, 349, 1);
        wal_rig_reopen(&rig);
    }
}
END_TEST

START_TEST(base_with_another_term_drops_the_whole_log)
{
    for (uint64_t i = 1; i <= 10; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 20), 0);
    }
    struct store_wal_record r[2] = {
        {.kind = STORE_WAL_BASE, .group = 1, .index = 7, .term = 3},
        wal_rig_record(1, 8, 3, 10),
    };
    ck_assert_int_eq(store_wal_append(rig.wal, r, 2, NULL), 0);
    for (int turn = 0; turn < 2; turn++) {
        struct store_wal_group g;
        ck_assert_int_eq(store_wal_group_get(rig.wal, 1, &g), 0);
        ck_assert_uint_eq(g.base_index, 7);
        ck_assert_uint_eq(g.last_index, 8);
        wal_rig_check(&rig, 1, 8, 8, 3);
        wal_rig_reopen(&rig);
    }
}
END_TEST

START_TEST(entries_that_leave_a_gap_are_refused)
{
    ck_assert_int_eq(wal_rig_entry(&rig, 1, 1, 1, 20), 0);
    ck_assert_int_eq(wal_rig_entry(&rig, 1, 3, 1, 20), ERR_INVALID);
    ck_assert_int_eq(wal_rig_entry(&rig, 1, 0, 1, 20), ERR_INVALID);
    struct store_wal_record bad = {.kind = (enum store_wal_kind)7, .group = 1};
    ck_assert_int_eq(store_wal_append(rig.wal, &bad, 1, NULL), ERR_INVALID);
}
END_TEST

START_TEST(refusals_name_the_limit)
{
    struct store_wal_record big = wal_rig_record(1, 1, 1, 10);
    static uint8_t body[65536];
    big.body = bytes_of(body, sizeof(body));
    ck_assert_int_eq(store_wal_append(rig.wal, &big, 1, NULL), ERR_TOO_LARGE);
    wal_rig_end(&rig);
    wal_rig_begin(&rig, 64 * 1024);
    rig.options.entries_max = 10;
    rig.options.groups_max = 2;
    wal_rig_open(&rig);
    for (uint64_t i = 1; i <= 10; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 20), 0);
    }
    ck_assert_int_eq(wal_rig_entry(&rig, 1, 11, 1, 20), ERR_BUSY);
    ck_assert_int_eq(wal_rig_hard(&rig, 2, 1, 1, 0), 0);
    ck_assert_int_eq(wal_rig_hard(&rig, 3, 1, 1, 0), ERR_BUSY);
    struct store_wal_record base = {.kind = STORE_WAL_BASE, .group = 1, .index = 5, .term = 1};
    ck_assert_int_eq(store_wal_append(rig.wal, &base, 1, NULL), 0);
    ck_assert_int_eq(wal_rig_entry(&rig, 1, 11, 1, 20), 0);
}
END_TEST

START_TEST(groups_are_listed_in_order)
{
    uint32_t ids[4];
    ck_assert_int_eq(wal_rig_hard(&rig, 9, 1, 1, 0), 0);
    ck_assert_int_eq(wal_rig_hard(&rig, 2, 1, 1, 0), 0);
    ck_assert_int_eq(wal_rig_hard(&rig, 5, 1, 1, 0), 0);
    ck_assert_uint_eq(store_wal_groups(rig.wal, ids, 2), 3);
    ck_assert_uint_eq(store_wal_groups(rig.wal, ids, 4), 3);
    ck_assert(ids[0] == 2 && ids[1] == 5 && ids[2] == 9);
}
END_TEST

START_TEST(failed_sync_latches)
{
    /* scenario 74, 75 */
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 1, 1, 0), 0);
    mem_disk_fail(rig.mem, MEM_DISK_SYNC, 1, ERR_IO);
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 2, 2, 0), ERR_IO);
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 2, 2, 0), ERR_IO);
    ck_assert_int_eq(store_wal_idle(rig.wal), ERR_IO);
    bool more;
    ck_assert_int_eq(store_wal_maintain(rig.wal, 1 << 20, &more), ERR_IO);
    struct store_wal_group g;
    ck_assert_int_eq(store_wal_group_get(rig.wal, 1, &g), 0);
    ck_assert_uint_eq(g.term, 1);
    wal_rig_reopen(&rig);
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 3, 2, 0), 0);
}
END_TEST

START_TEST(full_disk_refuses_and_goes_on_when_space_returns)
{
    /* scenario 76 */
    uint64_t i = 1;
    mem_disk_limit(rig.mem, 4 * 64 * 1024);
    int err = 0;
    while ((err = wal_rig_entry(&rig, 1, i, 1, 1000)) == 0) {
        i++;
        ck_assert_uint_lt(i, 1000);
    }
    ck_assert_int_eq(err, ERR_DISK_FULL);
    ck_assert_uint_gt(i, 40);
    ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 1000), ERR_DISK_FULL);
    wal_rig_check(&rig, 1, 1, i - 1, 1);
    mem_disk_limit(rig.mem, 8 * 64 * 1024);
    ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 1000), 0);
    wal_rig_reopen(&rig);
    wal_rig_check(&rig, 1, 1, i, 1);
}
END_TEST

START_TEST(batch_refused_by_a_full_disk_is_never_read_back)
{
    ck_assert_int_eq(wal_rig_entry(&rig, 1, 1, 1, 100), 0);
    struct store_wal_record r = wal_rig_record(1, 2, 1, 9000);
    mem_disk_fail(rig.mem, MEM_DISK_WRITE, 1, ERR_DISK_FULL);
    ck_assert_int_eq(store_wal_append(rig.wal, &r, 1, NULL), ERR_DISK_FULL);
    wal_rig_reopen(&rig);
    struct store_wal_group g;
    ck_assert_int_eq(store_wal_group_get(rig.wal, 1, &g), 0);
    ck_assert_uint_eq(g.last_index, 1);
    ck_assert(!g.tail_ambiguous);
    ck_assert_int_eq(wal_rig_entry(&rig, 1, 2, 2, 100), 0);
    wal_rig_reopen(&rig);
    wal_rig_check(&rig, 1, 2, 2, 2);
}
END_TEST

START_TEST(segments_are_recycled_once_released)
{
    /* scenario 85: the files come back with old content */
    bool more = true;
    for (uint64_t i = 1; i <= 2000; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 600), 0);
        if (i % 50 == 0) {
            struct store_wal_record base = {
                .kind = STORE_WAL_BASE, .group = 1, .index = i - 10, .term = 1};
            ck_assert_int_eq(store_wal_append(rig.wal, &base, 1, NULL), 0);
            for (unsigned turn = 0; turn < 50; turn++) {
                ck_assert_int_eq(store_wal_maintain(rig.wal, 1 << 20, &more), 0);
                if (!more) {
                    break;
                }
            }
            ck_assert(!more);
        }
    }
    struct store_wal_stats s;
    store_wal_stats_get(rig.wal, &s);
    ck_assert_uint_le(s.segments_live, 4);
    ck_assert_ptr_null(mem_disk_name(rig.mem, "wal/", 12));
    for (unsigned turn = 0; turn < 20; turn++) {
        wal_rig_reopen(&rig);
        struct store_wal_group g;
        ck_assert_int_eq(store_wal_group_get(rig.wal, 1, &g), 0);
        ck_assert(!g.tail_ambiguous);
        ck_assert_uint_eq(g.last_index, 2000 + (uint64_t)turn);
        wal_rig_check(&rig, 1, 1991, g.last_index, 1);
        ck_assert_int_eq(wal_rig_entry(&rig, 1, 2001 + turn, 1, 600), 0);
    }
}
END_TEST

START_TEST(no_group_pins_the_log)
{
    struct store_wal_record pins[3] = {wal_rig_record(5, 1, 1, 3000), wal_rig_record(5, 2, 2, 0),
                                       wal_rig_record(5, 3, 2, 9000)};
    ck_assert_int_eq(wal_rig_hard(&rig, 5, 2, 3, 1), 0);
    ck_assert_int_eq(store_wal_append(rig.wal, pins, 3, NULL), 0);
    for (uint64_t i = 1; i <= 3000; i++) {
        bool more;
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 600), 0);
        if (i % 20 == 0) {
            struct store_wal_record base = {
                .kind = STORE_WAL_BASE, .group = 1, .index = i - 5, .term = 1};
            ck_assert_int_eq(store_wal_append(rig.wal, &base, 1, NULL), 0);
            ck_assert_int_eq(store_wal_maintain(rig.wal, 1 << 20, &more), 0);
            ck_assert_int_eq(store_wal_maintain(rig.wal, 1 << 20, &more), 0);
        }
    }
    struct store_wal_stats s;
    store_wal_stats_get(rig.wal, &s);
    ck_assert_uint_ge(s.moved, 3);
    ck_assert_uint_le(s.segments_live, rig.options.live_segments_max + 2);
    for (int turn = 0; turn < 2; turn++) {
        struct store_wal_group g;
        ck_assert_int_eq(store_wal_group_get(rig.wal, 5, &g), 0);
        ck_assert_uint_eq(g.last_index, 3);
        ck_assert_uint_eq(g.term, 2);
        ck_assert_uint_eq(g.vote, 3);
        ck_assert(!g.hard_lost);
        wal_rig_check(&rig, 5, 1, 1, 1);
        wal_rig_check(&rig, 5, 2, 3, 2);
        wal_rig_reopen(&rig);
    }
}
END_TEST

START_TEST(fill_replaces_a_faulty_payload_and_cuts_nothing)
{
    for (uint64_t i = 1; i <= 4; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 3000), 0);
    }
    wal_rig_damage_body(&rig, 1, 2, 1);
    struct store_wal_entry e;
    ck_assert_int_eq(wal_rig_read(&rig, 1, 2, &e), ERR_CORRUPT);
    ck_assert_int_eq(e.state, STORE_WAL_FAULTY);
    wal_rig_reopen(&rig);
    ck_assert_int_eq(store_wal_entry_get(rig.wal, 1, 2, &e), 0);
    ck_assert_int_eq(e.state, STORE_WAL_FAULTY);
    ck_assert_uint_eq(e.term, 1);
    ck_assert_uint_eq(e.bytes, 3000);
    wal_rig_check(&rig, 1, 3, 4, 1);
    struct store_wal_record fill = wal_rig_record(1, 2, 1, 3000);
    fill.kind = STORE_WAL_FILL;
    fill.term = 9;
    ck_assert_int_eq(store_wal_append(rig.wal, &fill, 1, NULL), 0);
    ck_assert_int_eq(store_wal_entry_get(rig.wal, 1, 2, &e), 0);
    ck_assert_int_eq(e.state, STORE_WAL_FAULTY);
    fill.term = 1;
    ck_assert_int_eq(store_wal_append(rig.wal, &fill, 1, NULL), 0);
    wal_rig_check(&rig, 1, 1, 4, 1);
    wal_rig_reopen(&rig);
    wal_rig_check(&rig, 1, 1, 4, 1);
}
END_TEST

START_TEST(log_of_another_cluster_is_refused)
{
    ck_assert_int_eq(wal_rig_entry(&rig, 1, 1, 1, 100), 0);
    store_wal_close(rig.wal);
    struct err_info why = {0};
    struct store_wal_options other = rig.options;
    other.cluster[3] ^= 1;
    struct alloc heap = alloc_heap();
    ck_assert_int_eq(store_wal_open(&rig.wal, &rig.disk, &other, &heap, NULL, &why),
                     ERR_WRONG_CLUSTER);
    ck_assert_int_eq(why.code, ERR_WRONG_CLUSTER);
    other = rig.options;
    other.store_id++;
    ck_assert_int_eq(store_wal_open(&rig.wal, &rig.disk, &other, &heap, NULL, &why),
                     ERR_WRONG_CLUSTER);
    wal_rig_open(&rig);
}
END_TEST

START_TEST(segment_under_a_lower_name_is_refused)
{
    for (uint64_t i = 1; i <= 40; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 3000), 0);
    }
    store_wal_close(rig.wal);
    ck_assert_int_eq(
        rig.disk.rename(rig.disk.ctx, "wal/seg-0000000000000002", "wal/seg-0000000000000001"), 0);
    struct err_info why = {0};
    struct alloc heap = alloc_heap();
    ck_assert_int_eq(store_wal_open(&rig.wal, &rig.disk, &rig.options, &heap, NULL, &why),
                     ERR_CORRUPT);
    rig.wal = NULL;
}
END_TEST

START_TEST(every_allocation_may_fail_on_open)
{
    for (uint64_t i = 1; i <= 60; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, (uint32_t)(i % 3), (i + 2) / 3, 1, 900), 0);
    }
    store_wal_close(rig.wal);
    int err = ERR_NO_MEMORY;
    for (uint64_t n = 1; err == ERR_NO_MEMORY && n < 500; n++) {
        struct alloc_budget budget;
        struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
        budget.fail_at = n;
        err = store_wal_open(&rig.wal, &rig.disk, &rig.options, &alloc, NULL, NULL);
        if (err == 0) {
            store_wal_close(rig.wal);
        }
        ck_assert_uint_eq(budget.used_bytes, 0);
    }
    ck_assert_int_eq(err, 0);
    wal_rig_open(&rig);
}
END_TEST

START_TEST(small_appends_allocate_nothing)
{
    static struct alloc_budget budget; /* the rig closes the log later */
    struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
    store_wal_close(rig.wal);
    rig.options.segment_bytes = 4 << 20;
    ck_assert_int_eq(store_wal_open(&rig.wal, &rig.disk, &rig.options, &alloc, NULL, NULL), 0);
    for (uint64_t i = 1; i <= 100; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 100), 0);
    }
    uint64_t before = budget.requests;
    for (uint64_t i = 101; i <= 120; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 100), 0);
    }
    ck_assert_uint_eq(budget.requests, before);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wal");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 0);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, entries_are_read_back_before_and_after_a_restart);
    tcase_add_test(t, hard_state_is_durable_when_append_returns);
    tcase_add_test(t, plain_batch_takes_one_block_and_hard_state_two);
    tcase_add_test(t, entry_at_a_lower_index_cuts_what_followed);
    tcase_add_test(t, cut_and_base_bound_the_log);
    tcase_add_test(t, base_with_another_term_drops_the_whole_log);
    tcase_add_test(t, entries_that_leave_a_gap_are_refused);
    tcase_add_test(t, refusals_name_the_limit);
    tcase_add_test(t, groups_are_listed_in_order);
    tcase_add_test(t, failed_sync_latches);
    tcase_add_test(t, full_disk_refuses_and_goes_on_when_space_returns);
    tcase_add_test(t, batch_refused_by_a_full_disk_is_never_read_back);
    tcase_add_test(t, segments_are_recycled_once_released);
    tcase_add_test(t, no_group_pins_the_log);
    tcase_add_test(t, fill_replaces_a_faulty_payload_and_cuts_nothing);
    tcase_add_test(t, log_of_another_cluster_is_refused);
    tcase_add_test(t, segment_under_a_lower_name_is_refused);
    tcase_add_test(t, every_allocation_may_fail_on_open);
    tcase_add_test(t, small_appends_allocate_nothing);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
