/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Damaged entries and torn tails.
 */
#include "tests/unit/raft/fixture.h"
#include "tests/unit/raft/suite.h"

static void damage(struct fx *f, unsigned node, uint64_t index, bool header)
{
    struct raft_entry *e = &f->node[node].disk[0].log[index];
    e->state = RAFT_ENTRY_FAULTY;
    if (header) {
        e->term = 0;
    }
}

static bool whole(struct fx *f)
{
    for (unsigned i = 1; i <= f->nodes; i++) {
        if (!f->node[i].up) {
            continue;
        }
        struct raft_status s = fx_status(f, i, 1);
        if (s.faulty_count > 0 || s.ambiguous || s.fenced) {
            return false;
        }
    }
    return fx_leader(f, 1) != 0 && fx_equal(f, 1);
}

static void run_until_whole(struct fx *f)
{
    uint64_t end_us = f->now_us + 20000000;
    while (!whole(f)) {
        ck_assert_msg(f->now_us < end_us, "the group does not heal");
        fx_run(f, 50000);
    }
}

/* A cluster that has committed some entries, stopped. */
static struct fx *stopped(uint64_t seed, unsigned entries)
{
    struct fx *f = fx_new(3, seed);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 5000000);
    ck_assert_int_eq(fx_propose(f, leader, 1, entries), 0);
    fx_run(f, 300000);
    for (unsigned i = 1; i <= 3; i++) {
        fx_crash(f, i, 0);
    }
    return f;
}

static void start_all(struct fx *f)
{
    for (unsigned i = 1; i <= f->nodes; i++) {
        fx_restart(f, i);
    }
}

/* scenario 78 */
START_TEST(a_rotten_entry_is_not_cut_and_is_repaired_from_peers)
{
    for (unsigned header = 0; header < 2; header++) {
        for (unsigned node = 1; node <= 3; node++) {
            struct fx *f = stopped(node, 9);
            damage(f, node, 4, header);
            start_all(f);
            ck_assert_uint_eq(fx_status(f, node, 1).last_index, 10);
            ck_assert_uint_eq(fx_status(f, node, 1).faulty_count, 1);
            run_until_whole(f);
            fx_sync_all(f);
            ck_assert_int_eq(f->node[node].disk[0].log[4].state, RAFT_ENTRY_OK);
            ck_assert_uint_ge(f->node[node].view[0].applied, 10);
            fx_free(f);
        }
    }
}
END_TEST

/* scenario 78 */
START_TEST(three_replicas_with_different_rotten_entries_repair_one_another)
{
    for (unsigned header = 0; header < 2; header++) {
        for (unsigned first = 2; first <= 10; first++) {
            struct fx *f = stopped(first, 9);
            for (unsigned i = 1; i <= 3; i++) {
                damage(f, i, (first + i) % 9 + 2, header != 0);
            }
            start_all(f);
            run_until_whole(f);
            fx_free(f);
        }
    }
}
END_TEST

/* scenario 79 */
START_TEST(a_rotten_last_entry_that_was_durable_comes_back_from_a_peer)
{
    for (unsigned header = 0; header < 2; header++) {
        struct fx *f = stopped(1, 9);
        damage(f, 1, 10, header);
        damage(f, 2, 10, header);
        start_all(f);
        run_until_whole(f);
        for (unsigned i = 1; i <= 3; i++) {
            ck_assert_uint_ge(f->node[i].view[0].applied, 10);
        }
        fx_free(f);
    }
}
END_TEST

/* scenario 78 */
START_TEST(rot_found_while_running_is_repaired_on_leader_and_follower)
{
    for (unsigned leads = 0; leads < 2; leads++) {
        struct fx *f = fx_new(3, 2);
        fx_start(f);
        unsigned leader = fx_elect(f, 1, 5000000);
        ck_assert_int_eq(fx_propose(f, leader, 1, 9), 0);
        fx_run(f, 300000);
        unsigned node = leads ? leader : leader % 3 + 1;
        damage(f, node, 5, false);
        (void)fx_step(f, node,
                      (struct raft_event){.kind = RAFT_FAULTY, .group = 1, .index = 5, .count = 1});
        ck_assert_uint_eq(fx_status(f, node, 1).faulty_count, 1);
        ck_assert_uint_eq(fx_status(f, node, 1).durable_index, 4);
        run_until_whole(f);
        ck_assert_uint_eq(fx_leader(f, 1), leader);
        ck_assert_int_eq(f->node[node].disk[0].log[5].state, RAFT_ENTRY_OK);
        fx_free(f);
    }
}
END_TEST

/* scenario 80 */
START_TEST(the_longest_log_may_win_with_a_rotten_entry_and_applies_nothing_before_it_has_it)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 1, 1, 1, 1};
    fx_disk_log(f, 1, 1, terms, 5);
    fx_disk_log(f, 2, 1, terms, 3);
    fx_disk_log(f, 3, 1, terms, 3);
    damage(f, 1, 2, false);
    fx_boot(f, 1);
    fx_boot(f, 2);
    fx_boot(f, 3);
    fx_isolate(f, 3, true);
    fx_run(f, 6000000);
    ck_assert_uint_eq(fx_leader(f, 1), 1);
    ck_assert_uint_ge(fx_status(f, 2, 1).commit_index, 6);
    fx_free(f);
}
END_TEST

/* scenario 82 */
START_TEST(a_rotten_entry_that_a_quorum_never_had_is_cut)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 1, 1, 1, 1};
    fx_disk_log(f, 1, 1, terms, 5);
    fx_disk_log(f, 2, 1, terms, 3);
    fx_disk_log(f, 3, 1, terms, 3);
    damage(f, 1, 4, false);
    fx_start(f);
    run_until_whole(f);
    struct raft_entry e;
    ck_assert_int_eq(raft_entry_get(f->node[1].host, 1, 4, &e), 0);
    ck_assert_uint_gt(e.term, 1);
    fx_free(f);
}
END_TEST

/* scenario 82 */
START_TEST(an_entry_that_is_rotten_on_all_that_have_it_stalls_the_group_and_is_not_lost)
{
    struct fx *f = stopped(1, 9);
    for (unsigned i = 1; i <= 3; i++) {
        damage(f, i, 5, false);
    }
    start_all(f);
    fx_run(f, 20000000);
    ck_assert_uint_eq(fx_leader(f, 1), 0);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_uint_ge(fx_status(f, i, 1).last_index, 10);
        ck_assert_uint_le(f->node[i].view[0].applied, 4);
        ck_assert_uint_ge(f->node[i].disk[0].last_index, 10);
    }
    fx_free(f);
}
END_TEST

/* scenario 77 */
START_TEST(a_torn_tail_of_one_node_is_settled_by_the_leader_without_a_new_term)
{
    struct fx *f = fx_new(3, 3);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 5000000);
    ck_assert_int_eq(fx_propose(f, leader, 1, 9), 0);
    fx_run(f, 300000);
    uint64_t term = fx_status(f, leader, 1).term;
    unsigned node = leader % 3 + 1;
    fx_crash(f, node, 0);
    f->node[node].disk[0].last_index = 7;
    f->node[node].disk[0].commit = 0;
    f->node[node].disk[0].tail_ambiguous = true;
    fx_restart(f, node);
    ck_assert(fx_status(f, node, 1).ambiguous);
    fx_run(f, 1000000);
    ck_assert(whole(f));
    ck_assert_uint_eq(fx_status(f, leader, 1).term, term);
    ck_assert(!f->node[node].disk[0].tail_ambiguous);
    fx_free(f);
}
END_TEST

/* scenario 77 */
START_TEST(torn_tails_of_all_nodes_are_settled_once_all_have_answered)
{
    struct fx *f = stopped(4, 9);
    for (unsigned i = 1; i <= 3; i++) {
        f->node[i].disk[0].tail_ambiguous = true;
    }
    fx_restart(f, 1);
    fx_restart(f, 2);
    fx_run(f, 10000000);
    ck_assert_uint_eq(fx_leader(f, 1), 0); /* node 3 may have what they lost */
    fx_restart(f, 3);
    run_until_whole(f);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert(!f->node[i].disk[0].tail_ambiguous);
        ck_assert_uint_ge(f->node[i].view[0].applied, 10);
    }
    fx_free(f);
}
END_TEST

/* scenario 77, 79 */
START_TEST(what_a_torn_tail_held_and_one_peer_has_is_not_lost)
{
    for (unsigned holder = 1; holder <= 3; holder++) {
        struct fx *f = stopped(holder, 9);
        for (unsigned i = 1; i <= 3; i++) {
            if (i != holder) { /* the last two were acknowledged; they rot with their batch */
                f->node[i].disk[0].last_index = 8;
                f->node[i].disk[0].commit = 0;
                f->node[i].disk[0].tail_ambiguous = true;
            }
        }
        start_all(f);
        run_until_whole(f);
        for (unsigned i = 1; i <= 3; i++) {
            ck_assert_uint_ge(f->node[i].view[0].applied, 11);
        }
        fx_free(f);
    }
}
END_TEST

/* scenario 77 */
START_TEST(a_node_with_a_torn_tail_does_not_vote_for_a_shorter_log)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 1, 1};
    fx_disk_log(f, 1, 1, terms, 3);
    f->node[1].disk[0].tail_ambiguous = true;
    fx_boot(f, 1);
    struct raft_message m = {.kind = RAFT_MSG_VOTE,
                             .group = 1,
                             .from = 2,
                             .to = 1,
                             .term = 5,
                             .index = 3,
                             .index_term = 1};
    (void)fx_step(f, 1, (struct raft_event){.kind = RAFT_MESSAGE, .message = &m});
    ck_assert_uint_eq(fx_status(f, 1, 1).vote, RAFT_NODE_NONE);
    m.term = 6;
    m.index_term = 4; /* nothing that was acknowledged in term 1 can be newer */
    (void)fx_step(f, 1, (struct raft_event){.kind = RAFT_MESSAGE, .message = &m});
    ck_assert_uint_eq(fx_status(f, 1, 1).vote, 2);
    fx_free(f);
}
END_TEST

/* scenario 77 */
START_TEST(one_voter_with_a_torn_tail_goes_on_and_with_a_rotten_entry_stops)
{
    for (unsigned rot = 0; rot < 2; rot++) {
        struct fx *f = fx_new(1, 1);
        const uint64_t terms[] = {1, 1, 1};
        fx_disk_log(f, 1, 1, terms, 3);
        f->node[1].disk[0].tail_ambiguous = !rot;
        if (rot) {
            damage(f, 1, 2, false);
        }
        fx_boot(f, 1);
        fx_run(f, 3000000);
        ck_assert_uint_eq(fx_leader(f, 1), rot ? 0 : 1);
        ck_assert_int_eq(fx_status(f, 1, 1).fenced, rot);
        fx_free(f);
    }
}
END_TEST

TCase *case_recover(void)
{
    TCase *c = tcase_create("recover");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, a_rotten_entry_is_not_cut_and_is_repaired_from_peers);
    tcase_add_test(c, three_replicas_with_different_rotten_entries_repair_one_another);
    tcase_add_test(c, a_rotten_last_entry_that_was_durable_comes_back_from_a_peer);
    tcase_add_test(c, rot_found_while_running_is_repaired_on_leader_and_follower);
    tcase_add_test(
        c, the_longest_log_may_win_with_a_rotten_entry_and_applies_nothing_before_it_has_it);
    tcase_add_test(c, a_rotten_entry_that_a_quorum_never_had_is_cut);
    tcase_add_test(c, an_entry_that_is_rotten_on_all_that_have_it_stalls_the_group_and_is_not_lost);
    tcase_add_test(c, a_torn_tail_of_one_node_is_settled_by_the_leader_without_a_new_term);
    tcase_add_test(c, torn_tails_of_all_nodes_are_settled_once_all_have_answered);
    tcase_add_test(c, what_a_torn_tail_held_and_one_peer_has_is_not_lost);
    tcase_add_test(c, a_node_with_a_torn_tail_does_not_vote_for_a_shorter_log);
    tcase_add_test(c, one_voter_with_a_torn_tail_goes_on_and_with_a_rotten_entry_stops);
    return c;
}
