/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Linearizable reads.
 */
#include "tests/unit/raft/fixture.h"
#include "tests/unit/raft/suite.h"

/* scenario 54 */
START_TEST(a_read_on_a_new_leader_waits_for_its_no_op)
{
    struct fx *f = fx_new(1, 1);
    f->manual_sync = true;
    fx_start(f);
    fx_sync(f, 1, 1);
    ck_assert_int_eq(fx_status(f, 1, 1).role, RAFT_LEADER);
    uint64_t read = fx_read(f, 1, 1);
    ck_assert_uint_ne(read, 0);
    ck_assert(!fx_read_get(f, 1, read)->ended);
    fx_sync(f, 1, 1);
    ck_assert(fx_read_get(f, 1, read)->ok);
    ck_assert_uint_eq(fx_read_get(f, 1, read)->index, 1);
    fx_free(f);
}
END_TEST

/* scenario 55 */
START_TEST(answers_to_an_earlier_round_or_term_confirm_no_read)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    unsigned peer = leader % 3 + 1;
    uint64_t read = fx_read(f, leader, 1);
    uint64_t term = fx_status(f, leader, 1).term;
    for (unsigned i = 0; i < f->net_count; i++) {
        ck_assert_int_eq(f->net[i].m.kind, RAFT_MSG_HEARTBEAT);
    }
    ck_assert_uint_eq(f->net_count, 2);
    uint64_t round = f->net[0].beats[0].read_seq;
    struct raft_heartbeat b = {.group = 1, .term = term, .read_seq = round - 1};
    struct raft_message m = {
        .kind = RAFT_MSG_HEARTBEAT_REPLY, .from = peer, .to = leader, .count = 1, .heartbeats = &b};
    (void)fx_step(f, leader, (struct raft_event){.kind = RAFT_MESSAGE, .message = &m});
    ck_assert(!fx_read_get(f, leader, read)->ended);
    b.term = term - 1;
    b.read_seq = round;
    (void)fx_step(f, leader, (struct raft_event){.kind = RAFT_MESSAGE, .message = &m});
    ck_assert(!fx_read_get(f, leader, read)->ended);
    b.term = term;
    (void)fx_step(f, leader, (struct raft_event){.kind = RAFT_MESSAGE, .message = &m});
    ck_assert(fx_read_get(f, leader, read)->ok);
    fx_free(f);
}
END_TEST

/* scenario 56 */
START_TEST(reads_fail_promptly_when_the_leader_changes_and_later_ones_go_on)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned old = fx_elect(f, 1, 4000000);
    unsigned other = old % 3 + 1;
    fx_isolate(f, old, true);
    uint64_t a = fx_read(f, old, 1);
    uint64_t b = fx_read(f, other, 1);
    fx_run(f, 4000000);
    ck_assert(fx_read_get(f, old, a)->ended && !fx_read_get(f, old, a)->ok);
    ck_assert(fx_read_get(f, other, b)->ended && !fx_read_get(f, other, b)->ok);
    ck_assert_int_eq(err_outcome_of(fx_read_get(f, other, b)->code), ERR_OUTCOME_RETRY);
    ck_assert_uint_ne(fx_leader(f, 1), 0);
    uint64_t c = fx_read(f, other, 1);
    fx_settle(f);
    ck_assert(fx_read_get(f, other, c)->ok);
    fx_free(f);
}
END_TEST

/* scenario 56 */
START_TEST(a_lost_question_of_a_follower_is_asked_again)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    unsigned follower = leader % 3 + 1;
    uint64_t read = fx_read(f, follower, 1);
    ck_assert_uint_eq(f->net_count, 1);
    fx_drop(f, 0);
    uint64_t second = fx_read(f, follower, 1);
    fx_run(f, 400000);
    ck_assert(fx_read_get(f, follower, read)->ok);
    ck_assert(fx_read_get(f, follower, second)->ok);
    fx_free(f);
}
END_TEST

/* scenario 57, 97 */
START_TEST(a_followers_read_names_an_index_that_holds_all_that_was_committed_before)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    unsigned follower = leader % 3 + 1;
    f->cut[leader][follower] = true;
    ck_assert_int_eq(fx_propose(f, leader, 1, 5), 0);
    fx_settle(f);
    f->cut[leader][follower] = false;
    uint64_t read = fx_read(f, follower, 1);
    fx_run(f, 10);
    ck_assert(fx_read_get(f, follower, read)->ok);
    ck_assert_uint_eq(fx_read_get(f, follower, read)->index, 6);
    ck_assert_uint_lt(f->node[follower].view[0].applied, 6);
    fx_run(f, 500000);
    ck_assert_uint_eq(f->node[follower].view[0].applied, 6);
    fx_free(f);
}
END_TEST

/* scenario 60 */
START_TEST(quorum_time_is_that_of_the_send_not_of_the_answer)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    fx_run(f, 1000000);
    uint64_t read = fx_read(f, leader, 1);
    uint64_t sent_us = f->now_us;
    f->now_us += 70000;
    while (f->net_count > 0) {
        (void)fx_deliver(f, 0);
    }
    ck_assert(fx_read_get(f, leader, read)->ok);
    ck_assert_uint_eq(fx_status(f, leader, 1).quorum_us, sent_us);
    fx_free(f);
}
END_TEST

/* scenario 61 */
START_TEST(a_read_index_does_not_include_what_is_not_committed)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    f->manual_sync = true;
    ck_assert_int_eq(fx_propose(f, leader, 1, 5), 0);
    uint64_t read = fx_read(f, leader, 1);
    fx_settle(f);
    ck_assert(fx_read_get(f, leader, read)->ok);
    ck_assert_uint_eq(fx_read_get(f, leader, read)->index, 1);
    fx_free(f);
}
END_TEST

START_TEST(many_reads_share_one_round)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    uint64_t before = f->node[leader].sends;
    uint64_t ctx[60];
    for (unsigned i = 0; i < 60; i++) {
        ctx[i] = fx_read(f, leader, 1);
        ck_assert_uint_ne(ctx[i], 0);
    }
    fx_settle(f);
    for (unsigned i = 0; i < 60; i++) {
        ck_assert(fx_read_get(f, leader, ctx[i])->ok);
    }
    ck_assert_uint_le(f->node[leader].sends - before, 4);
    fx_free(f);
}
END_TEST

START_TEST(more_reads_than_fit_are_refused)
{
    struct fx *f = fx_new(3, 1);
    f->options.reads_max = 4;
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_ne(fx_read(f, leader, 1), 0);
    }
    struct raft_event ev = {.kind = RAFT_READ, .group = 1, .ctx = 99};
    ck_assert_int_eq(fx_step(f, leader, ev), ERR_BUSY);
    fx_settle(f);
    ck_assert_uint_ne(fx_read(f, leader, 1), 0);
    fx_free(f);
}
END_TEST

TCase *case_read(void)
{
    TCase *c = tcase_create("read");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, a_read_on_a_new_leader_waits_for_its_no_op);
    tcase_add_test(c, answers_to_an_earlier_round_or_term_confirm_no_read);
    tcase_add_test(c, reads_fail_promptly_when_the_leader_changes_and_later_ones_go_on);
    tcase_add_test(c, a_lost_question_of_a_follower_is_asked_again);
    tcase_add_test(c, a_followers_read_names_an_index_that_holds_all_that_was_committed_before);
    tcase_add_test(c, quorum_time_is_that_of_the_send_not_of_the_answer);
    tcase_add_test(c, a_read_index_does_not_include_what_is_not_committed);
    tcase_add_test(c, many_reads_share_one_round);
    tcase_add_test(c, more_reads_than_fit_are_refused);
    return c;
}
