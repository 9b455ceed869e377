/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Elections, terms, votes.
 */
#include "tests/unit/raft/fixture.h"
#include "tests/unit/raft/suite.h"

static struct raft_message vote_of(uint32_t from, uint32_t to, uint64_t term, uint64_t index,
                                   uint64_t index_term)
{
    return (struct raft_message){
        .kind = RAFT_MSG_VOTE,
        .group = 1,
        .from = from,
        .to = to,
        .term = term,
        .index = index,
        .index_term = index_term,
    };
}

static int give(struct fx *f, struct raft_message m)
{
    return fx_step(f, m.to, (struct raft_event){.kind = RAFT_MESSAGE, .message = &m});
}

/* The newest message of a kind from a node on the network, or NULL. */
static const struct raft_message *seen(const struct fx *f, uint32_t from,
                                       enum raft_message_kind kind)
{
    for (unsigned i = f->net_count; i > 0; i--) {
        if (f->net[i - 1].m.from == from && f->net[i - 1].m.kind == kind) {
            return &f->net[i - 1].m;
        }
    }
    return NULL;
}

static void clear_net(struct fx *f)
{
    while (f->net_count > 0) {
        fx_drop(f, 0);
    }
}

/* scenario 1, 2, 5 */
START_TEST(a_vote_is_durable_before_it_is_sent_and_the_same_after_a_restart)
{
    struct fx *f = fx_new(3, 1);
    f->manual_sync = true;
    fx_start(f);
    ck_assert_int_eq(give(f, vote_of(2, 1, 5, 0, 0)), 0);
    ck_assert_ptr_null(seen(f, 1, RAFT_MSG_VOTE_REPLY));
    fx_sync(f, 1, 1);
    ck_assert_ptr_nonnull(seen(f, 1, RAFT_MSG_VOTE_REPLY));
    ck_assert_uint_eq(f->node[1].disk[0].term, 5);
    ck_assert_uint_eq(f->node[1].disk[0].vote, 2);
    fx_crash(f, 1, 0);
    clear_net(f);
    fx_restart(f, 1);
    ck_assert_int_eq(give(f, vote_of(3, 1, 5, 0, 0)), 0);
    fx_sync(f, 1, 9);
    ck_assert_int_ne(seen(f, 1, RAFT_MSG_VOTE_REPLY)->code, 0);
    ck_assert_int_eq(give(f, vote_of(2, 1, 5, 0, 0)), 0);
    fx_sync(f, 1, 9);
    ck_assert_int_eq(seen(f, 1, RAFT_MSG_VOTE_REPLY)->code, 0);
    fx_free(f);
}
END_TEST

/* scenario 3, 4 */
START_TEST(a_replica_that_lost_its_hard_state_neither_votes_nor_stands)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 2, 2};
    fx_disk_log(f, 1, 1, terms, 3);
    f->node[1].disk[0].hard_lost = true;
    fx_boot(f, 1);
    ck_assert_int_eq(give(f, vote_of(2, 1, 9, 9, 8)), 0);
    fx_sync(f, 1, 9);
    ck_assert_int_ne(seen(f, 1, RAFT_MSG_VOTE_REPLY)->code, 0);
    fx_run(f, 5000000);
    ck_assert_int_eq(fx_status(f, 1, 1).role, RAFT_FOLLOWER);
    ck_assert_uint_eq(fx_status(f, 1, 1).term, 9);
    fx_free(f);
}
END_TEST

/* scenario 4 */
START_TEST(a_log_of_a_newer_term_than_the_hard_state_shows_that_it_was_lost)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 7};
    fx_disk_log(f, 1, 1, terms, 2);
    f->node[1].disk[0].term = 3;
    fx_boot(f, 1);
    ck_assert_uint_eq(fx_status(f, 1, 1).term, 7);
    ck_assert_int_eq(give(f, vote_of(2, 1, 7, 9, 7)), 0);
    fx_sync(f, 1, 9);
    ck_assert_int_ne(seen(f, 1, RAFT_MSG_VOTE_REPLY)->code, 0);
    fx_free(f);
}
END_TEST

/* scenario 6 */
START_TEST(a_candidate_with_an_old_log_moves_the_term_but_not_the_timer)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 2};
    fx_disk_log(f, 1, 1, terms, 2);
    fx_boot(f, 1);
    uint64_t deadline = raft_deadline(f->node[1].host);
    f->now_us += 500000;
    ck_assert_int_eq(give(f, vote_of(2, 1, 9, 9, 1)), 0);
    fx_sync(f, 1, 9);
    ck_assert_int_ne(seen(f, 1, RAFT_MSG_VOTE_REPLY)->code, 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).term, 9);
    ck_assert_uint_eq(raft_deadline(f->node[1].host), deadline);
    fx_free(f);
}
END_TEST

/* scenario 7 */
START_TEST(a_higher_term_in_a_reply_grants_nothing_in_that_term)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    struct raft_message m = {.kind = RAFT_MSG_APPEND_REPLY,
                             .group = 1,
                             .from = leader % 3 + 1,
                             .to = leader,
                             .term = 50,
                             .code = ERR_NOT_LEADER};
    ck_assert_int_eq(give(f, m), 0);
    ck_assert_uint_eq(fx_status(f, leader, 1).term, 50);
    ck_assert_uint_eq(fx_status(f, leader, 1).vote, RAFT_NODE_NONE);
    ck_assert_int_eq(fx_status(f, leader, 1).role, RAFT_FOLLOWER);
    fx_free(f);
}
END_TEST

/* scenario 8 */
START_TEST(a_candidate_refuses_entries_of_an_older_term)
{
    struct fx *f = fx_new(3, 1);
    f->node[1].disk[0].term = 195;
    fx_boot(f, 1);
    struct raft_entry e = {.term = 185, .type = RAFT_ENTRY_COMMAND, .bytes = 1};
    struct raft_message m = {.kind = RAFT_MSG_APPEND,
                             .group = 1,
                             .from = 2,
                             .to = 1,
                             .term = 185,
                             .count = 1,
                             .entries = &e};
    ck_assert_int_eq(give(f, m), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 0);
    ck_assert_int_eq(seen(f, 1, RAFT_MSG_APPEND_REPLY)->code, ERR_NOT_LEADER);
    ck_assert_uint_eq(seen(f, 1, RAFT_MSG_APPEND_REPLY)->term, 195);
    fx_free(f);
}
END_TEST

/* scenario 9, attack 21, 22 */
START_TEST(messages_of_strangers_and_for_others_move_no_term)
{
    struct fx *f = fx_new(3, 1);
    fx_boot(f, 1);
    struct raft_message m = vote_of(9, 1, 5, 3, 3);
    ck_assert_int_eq(give(f, m), ERR_PROTOCOL);
    m = vote_of(2, 1, 5, 3, 3);
    m.group = 77;
    ck_assert_int_eq(give(f, m), ERR_NOT_FOUND);
    m = vote_of(2, 3, 5, 3, 3);
    struct raft_event ev = {.kind = RAFT_MESSAGE, .message = &m};
    ck_assert_int_eq(fx_step(f, 1, ev), ERR_PROTOCOL);
    ck_assert_uint_eq(fx_status(f, 1, 1).term, 0);
    fx_free(f);
}
END_TEST

/* attack 23 */
START_TEST(an_absurd_jump_of_the_term_is_refused)
{
    struct fx *f = fx_new(3, 1);
    fx_boot(f, 1);
    ck_assert_int_eq(give(f, vote_of(2, 1, UINT64_MAX, 3, 3)), ERR_PROTOCOL);
    ck_assert_int_eq(give(f, vote_of(2, 1, (1ull << 32) + 1, 3, 3)), ERR_PROTOCOL);
    ck_assert_uint_eq(fx_status(f, 1, 1).term, 0);
    ck_assert_int_eq(give(f, vote_of(2, 1, 1ull << 32, 3, 3)), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).term, 1ull << 32);
    fx_free(f);
}
END_TEST

/* scenario 10 */
START_TEST(a_node_that_was_cut_off_does_not_disturb_when_it_returns)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    uint64_t term = fx_status(f, leader, 1).term;
    unsigned away = leader % 3 + 1;
    fx_isolate(f, away, true);
    fx_run(f, 20000000);
    ck_assert_uint_eq(fx_status(f, away, 1).term, term);
    fx_isolate(f, away, false);
    fx_run(f, 5000000);
    ck_assert_uint_eq(fx_leader(f, 1), leader);
    ck_assert_uint_eq(fx_status(f, leader, 1).term, term);
    /* a vote in a high term from it is not heard while the leader is */
    ck_assert_int_eq(give(f, vote_of(away, leader % 3 == away % 3 ? 1 : leader, 90, 99, 80)), 0);
    fx_run(f, 1000000);
    ck_assert_uint_eq(fx_status(f, leader, 1).term, term);
    fx_free(f);
}
END_TEST

/* scenario 11 */
START_TEST(a_long_log_of_a_low_term_and_a_short_one_of_a_high_term_find_a_leader)
{
    struct fx *f = fx_new(2, 1);
    const uint64_t terms[] = {1, 1, 1};
    fx_disk_log(f, 1, 1, terms, 3);
    fx_disk_log(f, 2, 1, terms, 1);
    f->node[2].disk[0].term = 40;
    fx_start(f);
    ck_assert_uint_eq(fx_elect(f, 1, 6000000), 1);
    fx_free(f);
}
END_TEST

/* scenario 12 */
START_TEST(a_pre_candidate_forgets_its_leader_so_that_others_get_its_pre_vote)
{
    struct fx *f = fx_new(3, 4);
    fx_start(f);
    unsigned old = fx_elect(f, 1, 4000000);
    fx_isolate(f, old, true);
    unsigned a = old % 3 + 1;
    unsigned b = a % 3 + 1;
    fx_run(f, 6000000);
    unsigned leader = fx_leader(f, 1);
    ck_assert(leader == a || leader == b);
    ck_assert_int_ne(fx_status(f, old, 1).role, RAFT_LEADER);
    fx_free(f);
}
END_TEST

/* scenario 14 */
START_TEST(a_leader_that_reaches_only_a_bridge_steps_down_and_the_bridge_votes)
{
    struct fx *f = fx_new(5, 2);
    fx_start(f);
    unsigned old = fx_elect(f, 1, 5000000);
    unsigned bridge = old % 5 + 1;
    for (unsigned i = 1; i <= 5; i++) {
        f->cut[old][i] = f->cut[i][old] = i != bridge && i != old;
    }
    unsigned dead = bridge % 5 + 1;
    fx_isolate(f, dead, true);
    fx_run(f, 8000000);
    unsigned leader = fx_leader(f, 1);
    ck_assert_uint_ne(leader, 0);
    ck_assert_uint_ne(leader, old);
    fx_free(f);
}
END_TEST

/* scenario 15 */
START_TEST(a_leader_that_can_only_send_steps_down_and_one_that_only_receives_is_replaced)
{
    for (unsigned receive = 0; receive < 2; receive++) {
        struct fx *f = fx_new(3, 3 + receive);
        fx_start(f);
        unsigned old = fx_elect(f, 1, 5000000);
        for (unsigned i = 1; i <= 3; i++) {
            f->cut[receive ? old : i][receive ? i : old] = true;
        }
        fx_run(f, 8000000);
        ck_assert_int_ne(fx_status(f, old, 1).role, RAFT_LEADER);
        ck_assert_uint_ne(fx_leader(f, 1), 0);
        fx_free(f);
    }
}
END_TEST

/* scenario 16 */
START_TEST(votes_of_an_earlier_campaign_do_not_count_in_the_next)
{
    struct fx *f = fx_new(5, 1);
    fx_boot(f, 1);
    fx_run(f, 3000000);
    for (unsigned i = 2; i <= 3; i++) {
        struct raft_message m = {.kind = RAFT_MSG_PRE_VOTE_REPLY,
                                 .group = 1,
                                 .from = i,
                                 .to = 1,
                                 .term = fx_status(f, 1, 1).term + 1};
        ck_assert_int_eq(give(f, m), 0);
    }
    fx_sync(f, 1, 9);
    ck_assert_int_eq(fx_status(f, 1, 1).role, RAFT_CANDIDATE);
    ck_assert_uint_eq(fx_status(f, 1, 1).term, 1);
    fx_run(f, 2500000);
    for (unsigned i = 2; i <= 3; i++) {
        struct raft_message m = {
            .kind = RAFT_MSG_PRE_VOTE_REPLY, .group = 1, .from = i, .to = 1, .term = 2};
        ck_assert_int_eq(give(f, m), 0);
    }
    fx_sync(f, 1, 9);
    ck_assert_uint_eq(fx_status(f, 1, 1).term, 2);
    for (unsigned i = 2; i <= 5; i++) {
        struct raft_message m = {
            .kind = RAFT_MSG_VOTE_REPLY, .group = 1, .from = i, .to = 1, .term = 1};
        ck_assert_int_eq(give(f, m), 0);
    }
    ck_assert_int_eq(fx_status(f, 1, 1).role, RAFT_CANDIDATE);
    fx_free(f);
}
END_TEST

/* scenario 16, 75 */
START_TEST(a_candidate_whose_own_vote_is_not_durable_asks_nobody_and_does_not_lead)
{
    struct fx *f = fx_new(1, 1);
    f->manual_sync = true;
    fx_start(f);
    fx_run(f, 10000000);
    ck_assert_int_ne(fx_status(f, 1, 1).role, RAFT_LEADER);
    fx_free(f);
}
END_TEST

/* scenario 18 */
START_TEST(with_leases_a_restarted_voter_waits_before_it_votes)
{
    struct fx *f = fx_new(3, 1);
    f->options.leases = true;
    f->node[1].disk[0].term = 3;
    fx_boot(f, 1);
    f->now_us += 900000;
    ck_assert_int_eq(give(f, vote_of(2, 1, 4, 9, 3)), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).term, 3);
    f->now_us += 100000;
    ck_assert_int_eq(give(f, vote_of(2, 1, 4, 9, 3)), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).vote, 2);
    fx_free(f);
}
END_TEST

/* scenario 19 */
START_TEST(a_paused_leader_serves_no_stale_read_and_commits_nothing_when_it_wakes)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned old = fx_elect(f, 1, 4000000);
    fx_isolate(f, old, true);
    uint64_t read = fx_read(f, old, 1);
    ck_assert_int_eq(fx_propose(f, old, 1, 1), 0);
    uint64_t commit = fx_status(f, old, 1).commit_index;
    f->node[old].up = false; /* sleeps */
    fx_run(f, 10000000);
    unsigned leader = fx_leader(f, 1);
    ck_assert_uint_ne(leader, 0);
    ck_assert_int_eq(fx_propose(f, leader, 1, 3), 0);
    fx_run(f, 200000);
    f->node[old].up = true;
    uint64_t late = fx_read(f, old, 1);
    fx_run(f, 1000000);
    ck_assert_uint_eq(fx_status(f, old, 1).commit_index, commit);
    ck_assert_int_ne(fx_status(f, old, 1).role, RAFT_LEADER);
    ck_assert(!fx_read_get(f, old, read)->ok);
    ck_assert(late == 0 || !fx_read_get(f, old, late)->ok);
    fx_isolate(f, old, false);
    fx_run(f, 3000000);
    ck_assert(fx_equal(f, 1));
    fx_free(f);
}
END_TEST

/* scenario 89 */
START_TEST(followers_of_a_peer_that_went_down_elect_long_before_their_time_out)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned old = fx_elect(f, 1, 4000000);
    fx_run(f, 500000);
    fx_crash(f, old, 0);
    for (unsigned i = 1; i <= 3; i++) {
        if (i != old) {
            (void)fx_step(f, i, (struct raft_event){.kind = RAFT_PEER_DOWN, .peer = old});
        }
    }
    fx_run(f, 300000);
    ck_assert_uint_ne(fx_leader(f, 1), 0);
    fx_free(f);
}
END_TEST

START_TEST(a_wrong_report_that_the_leader_is_down_moves_no_term)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    uint64_t term = fx_status(f, leader, 1).term;
    (void)fx_step(f, leader % 3 + 1, (struct raft_event){.kind = RAFT_PEER_DOWN, .peer = leader});
    fx_run(f, 2000000);
    ck_assert_uint_eq(fx_leader(f, 1), leader);
    ck_assert_uint_eq(fx_status(f, leader, 1).term, term);
    fx_free(f);
}
END_TEST

/* scenario 89 */
START_TEST(a_leader_told_to_step_down_lets_another_lead)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned old = fx_elect(f, 1, 4000000);
    (void)fx_step(f, old, (struct raft_event){.kind = RAFT_STEP_DOWN, .group = 1});
    ck_assert_int_eq(fx_status(f, old, 1).role, RAFT_FOLLOWER);
    unsigned leader = fx_elect(f, 1, 5000000);
    ck_assert_uint_ne(leader, old);
    fx_free(f);
}
END_TEST

/* scenario 99 */
START_TEST(one_lost_heartbeat_for_all_groups_starts_no_election)
{
    struct fx *f = fx_new(3, 5);
    f->groups = FX_GROUPS_MAX;
    fx_start(f);
    uint64_t terms[FX_GROUPS_MAX + 1];
    for (uint32_t g = 1; g <= f->groups; g++) {
        (void)fx_elect(f, g, 5000000);
    }
    fx_run(f, 2000000);
    for (uint32_t g = 1; g <= f->groups; g++) {
        terms[g] = fx_status(f, fx_leader(f, g), g).term;
    }
    for (unsigned i = 1; i <= 3; i++) {
        fx_isolate(f, i, true);
    }
    fx_run(f, 250000);
    for (unsigned i = 1; i <= 3; i++) {
        fx_isolate(f, i, false);
    }
    fx_run(f, 2000000);
    for (uint32_t g = 1; g <= f->groups; g++) {
        ck_assert_uint_eq(fx_status(f, fx_leader(f, g), g).term, terms[g]);
    }
    fx_free(f);
}
END_TEST

START_TEST(an_unwell_node_lets_the_others_stand_first)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fx *f = fx_new(3, seed);
        fx_start(f);
        unsigned old = fx_elect(f, 1, 4000000);
        unsigned unwell = old % 3 + 1;
        fx_run(f, 500000);
        (void)fx_step(f, unwell, (struct raft_event){.kind = RAFT_UNWELL, .code = ERR_UNAVAILABLE});
        fx_crash(f, old, 0);
        unsigned leader = fx_elect(f, 1, 8000000);
        ck_assert_uint_ne(leader, unwell);
        fx_free(f);
    }
}
END_TEST

START_TEST(an_unwell_node_leads_when_nobody_else_can)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned old = fx_elect(f, 1, 4000000);
    for (unsigned i = 1; i <= 3; i++) {
        (void)fx_step(f, i, (struct raft_event){.kind = RAFT_UNWELL, .code = ERR_UNAVAILABLE});
    }
    fx_run(f, 500000);
    ck_assert_uint_eq(fx_leader(f, 1), old);
    fx_crash(f, old, 0);
    ck_assert_uint_ne(fx_elect(f, 1, 20000000), 0);
    fx_free(f);
}
END_TEST

TCase *case_election(void)
{
    TCase *c = tcase_create("election");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, a_vote_is_durable_before_it_is_sent_and_the_same_after_a_restart);
    tcase_add_test(c, a_replica_that_lost_its_hard_state_neither_votes_nor_stands);
    tcase_add_test(c, a_log_of_a_newer_term_than_the_hard_state_shows_that_it_was_lost);
    tcase_add_test(c, a_candidate_with_an_old_log_moves_the_term_but_not_the_timer);
    tcase_add_test(c, a_higher_term_in_a_reply_grants_nothing_in_that_term);
    tcase_add_test(c, a_candidate_refuses_entries_of_an_older_term);
    tcase_add_test(c, messages_of_strangers_and_for_others_move_no_term);
    tcase_add_test(c, an_absurd_jump_of_the_term_is_refused);
    tcase_add_test(c, a_node_that_was_cut_off_does_not_disturb_when_it_returns);
    tcase_add_test(c, a_long_log_of_a_low_term_and_a_short_one_of_a_high_term_find_a_leader);
    tcase_add_test(c, a_pre_candidate_forgets_its_leader_so_that_others_get_its_pre_vote);
    tcase_add_test(c, a_leader_that_reaches_only_a_bridge_steps_down_and_the_bridge_votes);
    tcase_add_test(c,
                   a_leader_that_can_only_send_steps_down_and_one_that_only_receives_is_replaced);
    tcase_add_test(c, votes_of_an_earlier_campaign_do_not_count_in_the_next);
    tcase_add_test(c, a_candidate_whose_own_vote_is_not_durable_asks_nobody_and_does_not_lead);
    tcase_add_test(c, with_leases_a_restarted_voter_waits_before_it_votes);
    tcase_add_test(c, a_paused_leader_serves_no_stale_read_and_commits_nothing_when_it_wakes);
    tcase_add_test(c, followers_of_a_peer_that_went_down_elect_long_before_their_time_out);
    tcase_add_test(c, a_wrong_report_that_the_leader_is_down_moves_no_term);
    tcase_add_test(c, a_leader_told_to_step_down_lets_another_lead);
    tcase_add_test(c, an_unwell_node_lets_the_others_stand_first);
    tcase_add_test(c, an_unwell_node_leads_when_nobody_else_can);
    tcase_add_test(c, one_lost_heartbeat_for_all_groups_starts_no_election);
    return c;
}
