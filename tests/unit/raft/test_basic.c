/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a group does when nothing goes wrong.
 */
#include "tests/unit/raft/fixture.h"
#include "tests/unit/raft/suite.h"

START_TEST(one_voter_leads_at_once_and_commits_what_it_made_durable)
{
    struct fx *f = fx_new(1, 1);
    f->manual_sync = true;
    fx_start(f);
    ck_assert_uint_eq(fx_leader(f, 1), 0);
    fx_sync(f, 1, 1);
    ck_assert_int_eq(fx_status(f, 1, 1).role, RAFT_LEADER);
    ck_assert_int_eq(fx_status(f, 1, 1).leading, false);
    fx_sync(f, 1, 1);
    ck_assert_uint_eq(fx_leader(f, 1), 1);
    ck_assert_int_eq(fx_propose(f, 1, 1, 3), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).commit_index, 1);
    fx_sync(f, 1, 1);
    ck_assert_uint_eq(f->node[1].view[0].applied, 4);
    uint64_t read = fx_read(f, 1, 1);
    ck_assert_int_eq(fx_read_get(f, 1, read)->ok, true);
    ck_assert_uint_eq(f->now_us, 1000000);
    fx_free(f);
}
END_TEST

START_TEST(three_voters_elect_commit_apply_and_read)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 3000000);
    ck_assert_int_eq(fx_propose(f, leader, 1, 5), 0);
    fx_settle(f);
    ck_assert_uint_eq(fx_status(f, leader, 1).commit_index, 6);
    for (unsigned i = 1; i <= 3; i++) {
        uint64_t read = fx_read(f, i, 1);
        ck_assert_uint_ne(read, 0);
        fx_settle(f);
        ck_assert_int_eq(fx_read_get(f, i, read)->ok, true);
        ck_assert_uint_eq(fx_read_get(f, i, read)->index, 6);
    }
    fx_run(f, 150000);
    ck_assert(fx_equal(f, 1));
    fx_free(f);
}
END_TEST

START_TEST(a_killed_leader_is_replaced_and_catches_up_later)
{
    struct fx *f = fx_new(3, 2);
    fx_start(f);
    unsigned old = fx_elect(f, 1, 3000000);
    ck_assert_int_eq(fx_propose(f, old, 1, 5), 0);
    fx_settle(f);
    fx_crash(f, old, 0);
    unsigned leader = fx_elect(f, 1, 5000000);
    ck_assert_uint_ne(leader, old);
    ck_assert_int_eq(fx_propose(f, leader, 1, 30), 0);
    fx_run(f, 200000);
    fx_restart(f, old);
    fx_run(f, 3000000);
    ck_assert(fx_equal(f, 1));
    ck_assert_uint_eq(fx_leader(f, 1), leader);
    fx_free(f);
}
END_TEST

START_TEST(a_quiet_cluster_sends_one_heartbeat_a_beat_and_peer_for_all_groups)
{
    struct fx *f = fx_new(3, 3);
    f->groups = FX_GROUPS_MAX;
    fx_start(f);
    for (uint32_t g = 1; g <= f->groups; g++) {
        (void)fx_elect(f, g, 5000000);
    }
    fx_run(f, 1000000);
    uint64_t before = 0;
    uint64_t after = 0;
    for (unsigned i = 1; i <= 3; i++) {
        before += f->node[i].sends;
    }
    fx_run(f, 1000000);
    for (unsigned i = 1; i <= 3; i++) {
        after += f->node[i].sends;
    }
    ck_assert_uint_le(after - before, 3 * 2 * 2 * 11);
    fx_free(f);
}
END_TEST

TCase *case_basic(void)
{
    TCase *c = tcase_create("basic");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, one_voter_leads_at_once_and_commits_what_it_made_durable);
    tcase_add_test(c, three_voters_elect_commit_apply_and_read);
    tcase_add_test(c, a_killed_leader_is_replaced_and_catches_up_later);
    tcase_add_test(c, a_quiet_cluster_sends_one_heartbeat_a_beat_and_peer_for_all_groups);
    return c;
}
