/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Commit rules and log matching.
 */
#include "tests/unit/raft/fixture.h"
#include "tests/unit/raft/suite.h"

static struct raft_entry made(uint64_t term, uint64_t index)
{
    return (struct raft_entry){
        .term = term, .type = RAFT_ENTRY_COMMAND, .bytes = 10, .ref = term * 1000000 + index};
}

/* An append of count entries of one term from node 2 to node 1. */
static int append(struct fx *f, uint64_t term, uint64_t prev, uint64_t prev_term, unsigned count,
                  uint64_t entry_term, uint64_t commit)
{
    struct raft_entry e[64];
    for (unsigned i = 0; i < count; i++) {
        e[i] = made(entry_term, prev + 1 + i);
    }
    struct raft_message m = {.kind = RAFT_MSG_APPEND,
                             .group = 1,
                             .from = 2,
                             .to = 1,
                             .term = term,
                             .index = prev,
                             .index_term = prev_term,
                             .commit = commit,
                             .count = count,
                             .entries = e};
    return fx_step(f, 1, (struct raft_event){.kind = RAFT_MESSAGE, .message = &m});
}

static int beat(struct fx *f, uint64_t term, uint64_t commit)
{
    struct raft_heartbeat b = {.group = 1, .term = term, .commit = commit, .read_seq = 7};
    struct raft_message m = {
        .kind = RAFT_MSG_HEARTBEAT, .from = 2, .to = 1, .count = 1, .heartbeats = &b};
    return fx_step(f, 1, (struct raft_event){.kind = RAFT_MESSAGE, .message = &m});
}

static const struct raft_message *reply_of(const struct fx *f, uint32_t from)
{
    for (unsigned i = f->net_count; i > 0; i--) {
        if (f->net[i - 1].m.from == from && f->net[i - 1].m.kind == RAFT_MSG_APPEND_REPLY) {
            return &f->net[i - 1].m;
        }
    }
    return NULL;
}

/* scenario 20 */
START_TEST(entries_of_earlier_terms_are_not_committed_by_counting)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 2};
    fx_disk_log(f, 1, 1, terms, 2);
    fx_disk_log(f, 2, 1, terms, 2);
    fx_disk_log(f, 3, 1, terms, 1);
    f->node[3].disk[0].term = 2;
    f->manual_sync = true;
    fx_start(f);
    unsigned leader = 0;
    for (unsigned i = 0; i < 500 && leader == 0; i++) {
        fx_run(f, 10000);
        for (unsigned n = 1; n <= 3; n++) {
            leader = fx_status(f, n, 1).role == RAFT_LEADER ? n : leader;
        }
        for (unsigned n = 1; leader == 0 && n <= 3; n++) {
            fx_sync(f, n, 1);
            leader = fx_status(f, n, 1).role == RAFT_LEADER ? n : leader;
        }
    }
    ck_assert_uint_ne(leader, 0);
    /* its no-op reaches no disk: entry 2 is on a quorum, and is not committed */
    ck_assert_uint_eq(fx_status(f, leader, 1).last_index, 3);
    fx_run(f, 300000);
    ck_assert_uint_eq(fx_status(f, leader, 1).commit_index, 0);
    f->manual_sync = false;
    fx_run(f, 300000);
    ck_assert_uint_eq(fx_status(f, leader, 1).commit_index, 3);
    fx_free(f);
}
END_TEST

/* scenario 21 */
START_TEST(after_a_restart_of_all_the_no_op_commits_what_was_there)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    ck_assert_int_eq(fx_propose(f, leader, 1, 4), 0);
    fx_run(f, 300000);
    for (unsigned i = 1; i <= 3; i++) {
        fx_crash(f, i, 0);
    }
    for (unsigned i = 1; i <= 3; i++) {
        fx_restart(f, i);
    }
    leader = fx_elect(f, 1, 5000000);
    ck_assert_uint_eq(fx_status(f, leader, 1).commit_index, 6);
    fx_free(f);
}
END_TEST

/* scenario 22, 25 */
START_TEST(empty_and_older_appends_cut_nothing)
{
    struct fx *f = fx_new(3, 1);
    fx_boot(f, 1);
    ck_assert_int_eq(append(f, 2, 0, 0, 4, 1, 0), 0);
    ck_assert_int_eq(append(f, 2, 4, 1, 3, 2, 0), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 7);
    ck_assert_int_eq(append(f, 2, 4, 1, 0, 0, 0), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 7);
    ck_assert_int_eq(append(f, 2, 4, 1, 1, 2, 0), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 7);
    fx_sync(f, 1, 99);
    ck_assert_uint_eq(f->node[1].disk[0].last_index, 7);
    fx_free(f);
}
END_TEST

/* scenario 24 */
START_TEST(an_obsolete_tail_is_not_committed_by_the_leaders_commit_index)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 1, 1, 1};
    fx_disk_log(f, 1, 1, terms, 4);
    fx_boot(f, 1);
    ck_assert_int_eq(append(f, 3, 2, 1, 0, 0, 4), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).commit_index, 2);
    ck_assert_int_eq(beat(f, 3, 4), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).commit_index, 2);
    fx_free(f);
}
END_TEST

/* scenario 26 */
START_TEST(a_conflict_below_commit_fences_the_group)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 1, 1};
    fx_disk_log(f, 1, 1, terms, 3);
    f->node[1].disk[0].commit = 3;
    fx_boot(f, 1);
    ck_assert_int_eq(append(f, 2, 1, 1, 2, 2, 0), ERR_CORRUPT);
    ck_assert(fx_status(f, 1, 1).fenced);
    ck_assert_uint_eq(f->node[1].view[0].fenced, 1);
    fx_sync(f, 1, 99);
    ck_assert_uint_eq(f->node[1].disk[0].last_index, 3);
    ck_assert_uint_eq(f->node[1].disk[0].log[2].term, 1);
    ck_assert_int_eq(fx_propose(f, 1, 1, 1), ERR_CORRUPT);
    fx_free(f);
}
END_TEST

static struct fx *compacted(void)
{
    struct fx *f = fx_new(3, 1);
    fx_boot(f, 1);
    (void)append(f, 1, 0, 0, 6, 1, 6);
    fx_sync(f, 1, 99);
    fx_compact(f, 1, 1, 4);
    fx_sync(f, 1, 99);
    ck_assert_uint_eq(fx_status(f, 1, 1).base_index, 4);
    return f;
}

/* scenario 27 */
START_TEST(an_append_from_the_start_does_not_add_compacted_entries_again)
{
    struct fx *f = compacted();
    ck_assert_int_eq(append(f, 1, 0, 0, 8, 1, 8), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 8);
    ck_assert_uint_eq(fx_status(f, 1, 1).base_index, 4);
    fx_sync(f, 1, 99);
    ck_assert_uint_eq(f->node[1].view[0].applied, 8);
    ck_assert_int_eq(append(f, 1, 0, 0, 2, 1, 8), 0);
    ck_assert_uint_eq(reply_of(f, 1)->index, 4);
    fx_free(f);
}
END_TEST

/* scenario 28 */
START_TEST(an_append_that_starts_inside_the_snapshot_adds_the_rest)
{
    struct fx *f = compacted();
    ck_assert_int_eq(append(f, 1, 2, 1, 7, 1, 9), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 9);
    fx_sync(f, 1, 99);
    ck_assert_uint_eq(reply_of(f, 1)->index, 9);
    fx_free(f);
}
END_TEST

/* scenario 28 */
START_TEST(an_append_that_differs_at_the_snapshot_fences)
{
    struct fx *f = compacted();
    ck_assert_int_eq(append(f, 3, 2, 1, 7, 3, 9), ERR_CORRUPT);
    ck_assert(fx_status(f, 1, 1).fenced);
    fx_free(f);
}
END_TEST

/* scenario 29 */
START_TEST(an_impossible_commit_index_is_ignored_and_the_follower_is_looked_at_again)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    ck_assert_int_eq(fx_propose(f, leader, 1, 10), 0);
    fx_run(f, 300000);
    unsigned wiped = leader % 3 + 1;
    fx_crash(f, wiped, 0);
    f->node[wiped].disk[0].last_index = 3; /* somebody restored an old disk */
    f->node[wiped].disk[0].commit = 0;
    fx_restart(f, wiped);
    fx_run(f, 1000000);
    ck_assert_uint_eq(fx_leader(f, 1), leader);
    ck_assert(fx_equal(f, 1));
    fx_free(f);
}
END_TEST

/* scenario 30: figure 7 of the paper */
START_TEST(logs_that_differ_in_many_terms_meet_in_few_questions)
{
    static const uint64_t of_leader[] = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
    static const uint64_t of_follower[] = {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3};
    struct fx *f = fx_new(3, 1);
    fx_disk_log(f, 1, 1, of_leader, 10);
    fx_disk_log(f, 2, 1, of_follower, 11);
    fx_disk_log(f, 3, 1, of_leader, 10);
    f->node[2].disk[0].term = 6;
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 5000000);
    ck_assert_uint_ne(leader, 2);
    uint64_t before = f->node[leader].sends;
    fx_run(f, 1000);
    ck_assert_uint_le(f->node[leader].sends - before, 8);
    fx_run(f, 300000);
    ck_assert(fx_equal(f, 1));
    ck_assert_uint_eq(fx_status(f, 2, 1).last_index, 11);
    fx_free(f);
}
END_TEST

/* scenario 32 */
START_TEST(durability_that_comes_after_the_leader_stepped_down_commits_nothing)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    f->manual_sync = true;
    uint64_t commit = fx_status(f, leader, 1).commit_index;
    ck_assert_int_eq(fx_propose(f, leader, 1, 2), 0);
    (void)fx_step(f, leader, (struct raft_event){.kind = RAFT_STEP_DOWN, .group = 1});
    fx_sync(f, leader, 99);
    ck_assert_uint_eq(fx_status(f, leader, 1).commit_index, commit);
    fx_free(f);
}
END_TEST

/* scenario 33 */
START_TEST(the_completion_of_an_overwritten_entry_does_not_count_for_its_successor)
{
    struct fx *f = fx_new(3, 1);
    f->manual_sync = true;
    fx_boot(f, 1);
    ck_assert_int_eq(append(f, 1, 0, 0, 1, 1, 0), 0);
    ck_assert_int_eq(append(f, 2, 0, 0, 1, 2, 0), 0);
    ck_assert_uint_eq(f->node[1].pending_count, 2);
    fx_sync(f, 1, 1); /* the entry of term 1 */
    ck_assert_uint_eq(fx_status(f, 1, 1).durable_index, 0);
    fx_sync(f, 1, 1);
    ck_assert_uint_eq(fx_status(f, 1, 1).durable_index, 1);
    fx_free(f);
}
END_TEST

/* scenario 34 */
START_TEST(a_follower_acknowledges_nothing_before_its_sync_not_even_in_a_heartbeat)
{
    struct fx *f = fx_new(3, 1);
    f->manual_sync = true;
    fx_boot(f, 1);
    ck_assert_int_eq(beat(f, 1, 0), 0);
    ck_assert_uint_eq(f->net_count, 0);
    fx_sync(f, 1, 1);
    fx_drop(f, 0);
    ck_assert_int_eq(append(f, 1, 0, 0, 3, 1, 0), 0);
    ck_assert_ptr_null(reply_of(f, 1));
    ck_assert_int_eq(beat(f, 1, 0), 0);
    ck_assert_uint_eq(f->net_count, 1);
    ck_assert_int_eq(f->net[0].m.kind, RAFT_MSG_HEARTBEAT_REPLY);
    ck_assert_uint_eq(f->net[0].beats[0].commit, 0);
    fx_sync(f, 1, 1);
    ck_assert_uint_eq(reply_of(f, 1)->index, 3);
    fx_free(f);
}
END_TEST

/* scenario 35, 37 */
START_TEST(a_crash_in_the_middle_of_overwriting_leaves_a_prefix)
{
    for (unsigned keep = 0; keep <= 2; keep++) {
        struct fx *f = fx_new(3, 1);
        f->manual_sync = true;
        const uint64_t terms[] = {1, 1, 1, 1, 1};
        fx_disk_log(f, 1, 1, terms, 5);
        fx_boot(f, 1);
        ck_assert_int_eq(append(f, 2, 2, 1, 2, 2, 0), 0);
        ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 4);
        fx_crash(f, 1, keep);
        fx_restart(f, 1);
        ck_assert_uint_eq(fx_status(f, 1, 1).last_index, keep >= 1 ? 4 : 5);
        fx_free(f);
    }
}
END_TEST

/* scenario 38 */
START_TEST(a_commit_index_beyond_the_log_is_cut_to_it_at_start)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 1};
    fx_disk_log(f, 1, 1, terms, 2);
    f->node[1].disk[0].commit = 9;
    fx_boot(f, 1);
    ck_assert_uint_eq(fx_status(f, 1, 1).commit_index, 2);
    fx_run(f, 5000000);
    ck_assert_int_eq(fx_status(f, 1, 1).role, RAFT_FOLLOWER); /* it lacks what is committed */
    fx_free(f);
}
END_TEST

/* scenario 39 */
START_TEST(a_leader_without_quorum_stops_taking_bytes_and_takes_them_again)
{
    struct fx *f = fx_new(3, 1);
    f->options.uncommitted_bytes_max = 100;
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    fx_isolate(f, leader, true);
    ck_assert_int_eq(fx_propose(f, leader, 1, 10), 0);
    ck_assert_int_eq(fx_propose(f, leader, 1, 1), ERR_BUSY);
    fx_isolate(f, leader, false);
    fx_run(f, 700000);
    ck_assert_uint_eq(fx_leader(f, 1), leader);
    ck_assert_int_eq(fx_propose(f, leader, 1, 1), 0);
    fx_free(f);
}
END_TEST

/* scenario 40 */
START_TEST(a_full_window_pauses_and_a_lost_message_is_sent_again)
{
    struct fx *f = fx_new(3, 1);
    f->options.inflight_messages_max = 2;
    f->options.message_entries_max = 1;
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    fx_run(f, 300000);
    unsigned peer = leader % 3 + 1;
    f->cut[leader][peer] = true;
    uint64_t before = f->node[leader].sends;
    for (unsigned i = 0; i < 6; i++) {
        ck_assert_int_eq(fx_propose(f, leader, 1, 1), 0);
    }
    unsigned to_peer = 0;
    for (unsigned i = 0; i < f->net_count; i++) {
        to_peer += f->net[i].m.kind == RAFT_MSG_APPEND && f->net[i].m.to == peer;
    }
    ck_assert_uint_eq(to_peer, 2);
    ck_assert_uint_gt(f->node[leader].sends, before);
    fx_settle(f);
    f->cut[leader][peer] = false;
    fx_run(f, 800000);
    ck_assert_uint_eq(fx_leader(f, 1), leader);
    ck_assert(fx_equal(f, 1));
    fx_free(f);
}
END_TEST

START_TEST(a_follower_whose_ring_is_full_refuses_and_goes_on_later)
{
    struct fx *f = fx_new(3, 1);
    f->options.entries_max = 64;
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    for (unsigned i = 0; i < 30; i++) {
        ck_assert_int_eq(fx_propose(f, leader, 1, 5), 0);
        fx_run(f, 250000);
        /* only the leader compacts, so that followers fill up */
        if (fx_propose(f, leader, 1, 1) != 0) {
            break;
        }
        fx_settle(f);
        fx_compact(f, leader, 1, f->node[leader].view[0].applied);
        if (fx_status(f, leader % 3 + 1, 1).last_index == 64) {
            break;
        }
    }
    fx_run(f, 500000);
    ck_assert_uint_eq(fx_status(f, leader % 3 + 1, 1).last_index, 64);
    for (unsigned i = 1; i <= 3; i++) {
        fx_compact(f, i, 1, f->node[i].view[0].applied);
    }
    fx_run(f, 500000);
    ck_assert_uint_eq(fx_leader(f, 1), leader);
    ck_assert(fx_equal(f, 1));
    fx_free(f);
}
END_TEST

START_TEST(log_time_goes_on_with_a_leader_and_stops_without)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    uint64_t from_us = fx_status(f, leader, 1).log_time_us;
    fx_run(f, 3000000);
    ck_assert_int_eq(fx_propose(f, leader, 1, 1), 0);
    fx_run(f, 200000);
    struct raft_entry e;
    ck_assert_int_eq(raft_entry_get(f->node[leader].host, 1, 2, &e), 0);
    ck_assert_uint_eq(e.time_us, from_us + 3000000);
    fx_crash(f, leader, 0);
    unsigned next = fx_elect(f, 1, 9000000);
    ck_assert_int_eq(raft_entry_get(f->node[next].host, 1, 3, &e), 0);
    ck_assert_uint_eq(e.time_us, from_us + 3000000);
    fx_free(f);
}
END_TEST

START_TEST(impossible_appends_are_refused)
{
    struct fx *f = fx_new(3, 1);
    fx_boot(f, 1);
    ck_assert_int_eq(append(f, 2, UINT64_MAX, 1, 1, 1, 0), ERR_PROTOCOL);
    ck_assert_int_eq(append(f, 2, 0, 0, 1, 3, 0), ERR_PROTOCOL);
    ck_assert_int_eq(append(f, 2, 0, 1, 1, 1, 0), ERR_PROTOCOL);
    ck_assert_int_eq(append(f, 2, 3, 0, 1, 1, 0), ERR_PROTOCOL);
    ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 0);
    fx_free(f);
}
END_TEST

TCase *case_commit(void)
{
    TCase *c = tcase_create("commit");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, entries_of_earlier_terms_are_not_committed_by_counting);
    tcase_add_test(c, after_a_restart_of_all_the_no_op_commits_what_was_there);
    tcase_add_test(c, empty_and_older_appends_cut_nothing);
    tcase_add_test(c, an_obsolete_tail_is_not_committed_by_the_leaders_commit_index);
    tcase_add_test(c, a_conflict_below_commit_fences_the_group);
    tcase_add_test(c, an_append_from_the_start_does_not_add_compacted_entries_again);
    tcase_add_test(c, an_append_that_starts_inside_the_snapshot_adds_the_rest);
    tcase_add_test(c, an_append_that_differs_at_the_snapshot_fences);
    tcase_add_test(c, an_impossible_commit_index_is_ignored_and_the_follower_is_looked_at_again);
    tcase_add_test(c, logs_that_differ_in_many_terms_meet_in_few_questions);
    tcase_add_test(c, durability_that_comes_after_the_leader_stepped_down_commits_nothing);
    tcase_add_test(c, the_completion_of_an_overwritten_entry_does_not_count_for_its_successor);
    tcase_add_test(c, a_follower_acknowledges_nothing_before_its_sync_not_even_in_a_heartbeat);
    tcase_add_test(c, a_crash_in_the_middle_of_overwriting_leaves_a_prefix);
    tcase_add_test(c, a_commit_index_beyond_the_log_is_cut_to_it_at_start);
    tcase_add_test(c, a_leader_without_quorum_stops_taking_bytes_and_takes_them_again);
    tcase_add_test(c, a_full_window_pauses_and_a_lost_message_is_sent_again);
    tcase_add_test(c, a_follower_whose_ring_is_full_refuses_and_goes_on_later);
    tcase_add_test(c, log_time_goes_on_with_a_leader_and_stops_without);
    tcase_add_test(c, impossible_appends_are_refused);
    return c;
}
