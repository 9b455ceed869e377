/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Updates that share requests: keys of several nodes, lost answers, time that is up, and the end of
 * the client.
 */
#include "callers.h"

#include "client/client_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- owners --------------------------------------------------------------------------------- */

static unsigned owner_of(unsigned region)
{
    return region % 3;
}

static unsigned sorts; /* requests of several that make the client sort them by owner */

/* Three nodes own a third of the regions each. */
static void owns_a_third(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct wire_hint hints[3] = {{.name = WIRE_FIELD_LEADER}, {.name = WIRE_FIELD_REGIONS}};
    const struct sent *s = note(conn, m);
    (void)f;
    for (unsigned i = 0; i < 64; i++) {
        hints[1].number |= (uint64_t)(owner_of(i) == conn->node) << i;
    }
    for (unsigned i = 0; i < s->count; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "key/%d", (int)s->amount[i]);
        unsigned owner = owner_of(wire_slot_of(bytes_of_text(name)) % 64);
        if (owner != conn->node) {
            hints[0].number = owner + 1;
            sorts += s->count > 1;
            hints[2] = (struct wire_hint){.name = WIRE_FIELD_OPERATION, .number = i};
            fake_say_failure(conn, m, &(struct wire_failure){ERR_NOT_LEADER, NULL, hints, 3});
            return;
        }
    }
    say_done(s);
}

START_TEST(keys_of_other_nodes_go_there_and_share_requests_with_their_own)
{
    begin(3, owns_a_third);
    call_all(1, 200, usual);
    until_answered(200);
    check_done(1, 200);
    unsigned before = sents;
    ck_assert_uint_lt(before, 40);
    memset(applied, 0, sizeof(applied));
    memset(callers, 0, sizeof(callers));
    answers = 0;
    call_all(1, 200, usual); /* now it is known who owns what */
    until_answered(200);
    check_done(1, 200);
    ck_assert_uint_le(sents - before, 3 + 3);
    fake_close(&fake);
}
END_TEST

static bool starved;
static unsigned served; /* while starved, before the first is refused */
static unsigned refused;

static void *starved_get(void *ctx, size_t bytes)
{
    struct alloc heap = alloc_heap();
    (void)ctx;
    bool none = starved && served == 0;
    served -= starved && served > 0;
    refused += none;
    return none ? NULL : alloc_get(&heap, bytes);
}

static void starved_put(void *ctx, void *memory, size_t bytes)
{
    struct alloc heap = alloc_heap();
    (void)ctx;
    alloc_put(&heap, memory, bytes);
}

static void owns_a_third_and_memory_ends(struct fake *f, struct fake_conn *conn,
                                         const struct wire_rpc *m)
{
    unsigned before = sorts;
    owns_a_third(f, conn, m);
    starved = sorts == 1 && before == 0;
}

static void check_sorted_without_memory(unsigned first_refused)
{
    begin(3, owns_a_third_and_memory_ends);
    served = first_refused;
    refused = 0;
    sorts = 0;
    fake.client->heap = (struct alloc){.get = starved_get, .put = starved_put};
    call_all(1, 30, usual);
    until_answered(30);
    for (unsigned i = 1; i <= 30; i++) {
        ck_assert(callers[i].code == 0 || callers[i].code == ERR_NO_MEMORY);
        ck_assert_uint_le(applied[i], callers[i].code == 0);
    }
    starved = false;
    fake_close(&fake); /* no lane is left */
}

START_TEST(calls_that_are_sorted_without_memory_end_and_leave_nothing)
{
    unsigned first = 0;
    do {
        check_sorted_without_memory(first++);
    } while (refused > 0);
    ck_assert_uint_gt(first, 4);
}
END_TEST

START_TEST(keys_whose_owner_is_gone_go_to_another_node)
{
    begin(3, owns_a_third);
    call_all(1, 100, usual);
    until_answered(100);
    fake.serve = writes; /* the others have taken over */
    fake_stop_node(&fake, 1);
    call_all(201, 300, (struct hf_crdt){.copies = 1, .timeout_ms = 300});
    until_answered(200); /* what was sent before it is noticed is unknown */
    for (unsigned i = 201; i <= 300; i++) {
        ck_assert(callers[i].code == 0 || hf_outcome_of(callers[i].code) == HF_UNKNOWN);
    }
    call_all(301, 400, usual);
    until_answered(300);
    check_done(1, 100);
    check_done(301, 400);
    fake_close(&fake);
}
END_TEST

/* ---- time and loss -------------------------------------------------------------------------- */

static void drops_second(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    const struct sent *s = note(conn, m);
    if (sents == 2) {
        fake_drop(conn); /* it may have been applied */
    } else {
        say_done(s);
    }
}

/* scenario C28 */
START_TEST(a_lost_request_is_repeated_for_all_under_its_sequence)
{
    begin(3, drops_second);
    call_all(1, 9, usual);
    until_answered(9);
    ck_assert_uint_eq(sents, 3);
    check_sent(1, 2, 9);
    check_sent(2, 2, 9);
    ck_assert_uint_eq(sent[1].session, sent[2].session);
    ck_assert_uint_eq(sent[1].sequence, sent[2].sequence);
    ck_assert_uint_eq(sent[1].node, sent[2].node);
    check_done(1, 9);
    fake_close(&fake);
}
END_TEST

static int third_code;

static void drops_second_refuses_third(struct fake *f, struct fake_conn *conn,
                                       const struct wire_rpc *m)
{
    const struct wire_hint hints[2] = {{.name = WIRE_FIELD_LEADER, .number = conn->node % 3 + 2},
                                       {.name = WIRE_FIELD_OPERATION, .number = 0}};
    const struct sent *s = note(conn, m);
    (void)f;
    if (sents == 2) {
        fake_drop(conn); /* it may be applied yet */
    } else if (sents == 3) {
        fake_say_failure(conn, m, &(struct wire_failure){third_code, NULL, hints, 2});
    } else {
        say_done(s);
    }
}

static void refused_later(int code)
{
    third_code = code;
    begin(3, drops_second_refuses_third);
    call_all(1, 9, usual);
    until_answered(9);
    for (unsigned i = 2; i < sents; i++) {
        ck_assert_uint_eq(sent[i].sequence, sent[1].sequence);
        ck_assert_uint_eq(sent[i].session, sent[1].session);
        ck_assert_uint_eq(sent[i].node, sent[1].node);
    }
    for (unsigned i = 2; i <= 9; i++) {
        ck_assert(callers[i].code == 0 || hf_outcome_of(callers[i].code) == HF_UNKNOWN);
    }
    fake_close(&fake);
}

START_TEST(what_may_be_done_keeps_its_sequence_when_its_node_owns_it_no_more)
{
    refused_later(ERR_NOT_LEADER);
}
END_TEST

START_TEST(what_may_be_done_keeps_its_sequence_when_its_node_is_behind)
{
    refused_later(ERR_BEHIND);
}
END_TEST

START_TEST(what_may_be_done_is_unknown_when_it_is_refused_for_good)
{
    third_code = ERR_WRONG_TYPE;
    begin(3, drops_second_refuses_third);
    call_all(1, 9, usual);
    until_answered(9);
    ck_assert_uint_eq(sents, 3);
    check_done(1, 1);
    for (unsigned i = 2; i <= 9; i++) {
        ck_assert_int_eq(hf_outcome_of(callers[i].code), HF_UNKNOWN);
    }
    fake_close(&fake);
}
END_TEST

static void drops_first_refuses_second(struct fake *f, struct fake_conn *conn,
                                       const struct wire_rpc *m)
{
    const struct sent *s = note(conn, m);
    (void)f;
    if (sents == 1) {
        fake_drop(conn); /* it may be applied yet */
    } else if (sents == 2) {
        fake_say_error(conn, m, ERR_BEHIND);
    } else {
        say_done(s);
    }
}

START_TEST(what_may_be_done_is_unknown_when_its_node_is_behind_later)
{
    begin(3, drops_first_refuses_second);
    call_all(1, 1, usual);
    until_answered(1);
    ck_assert_int_eq(hf_outcome_of(callers[1].code), HF_UNKNOWN);
    fake_close(&fake);
}
END_TEST

static void second_dies(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    const struct sent *s = note(conn, m);
    if (sents == 2) {
        fake_stop_node(f, conn->node);
    } else {
        say_done(s);
    }
}

START_TEST(of_a_node_that_is_gone_all_outcomes_are_unknown_and_nothing_counts_elsewhere)
{
    begin(3, second_dies);
    call_all(1, 9, (struct hf_crdt){.copies = 1, .timeout_ms = 300});
    until_answered(9);
    ck_assert_int_eq(callers[1].code, 0);
    for (unsigned i = 2; i <= 9; i++) {
        ck_assert_uint_eq(callers[i].answers, 1);
        ck_assert_int_eq(hf_outcome_of(callers[i].code), HF_UNKNOWN);
        ck_assert_uint_eq(applied[i], 0);
    }
    ck_assert_uint_eq(sents, 2);
    fake_close(&fake);
}
END_TEST

START_TEST(each_has_its_own_timeout_and_the_others_go_on)
{
    begin(1, writes);
    ck_assert_int_eq(call(1, usual), 0);
    until_answered(1);
    fake.serve = holds;
    call_all(2, 3, usual);
    ck_assert_int_eq(call(4, (struct hf_crdt){.copies = 1, .timeout_ms = 60}), 0);
    ck_assert_int_eq(call(5, usual), 0);
    until_sent(2);
    say_done(&sent[1]);
    until_sent(3);
    check_sent(2, 3, 5);
    until_answered(3); /* the one whose time is up */
    ck_assert_int_eq(callers[4].code, ERR_TIMEOUT);
    ck_assert_uint_eq(callers[3].answers + callers[5].answers, 0);
    say_done(&sent[2]);
    until_answered(5);
    ck_assert_int_eq(callers[4].answers, 1);
    check_done(5, 5);
    check_done(3, 3);
    fake_close(&fake);
}
END_TEST

START_TEST(what_is_out_of_time_before_it_is_sent_is_not_done)
{
    begin(1, holds);
    ck_assert_int_eq(call(1, usual), 0);
    until_sent(1);
    ck_assert_int_eq(call(2, (struct hf_crdt){.copies = 1, .timeout_ms = 20}), 0);
    ck_assert_int_eq(call(3, usual), 0);
    until_answered(1);
    ck_assert_int_eq(hf_outcome_of(callers[2].code), HF_RETRY);
    fake.serve = writes;
    say_done(&sent[0]);
    until_answered(3);
    check_sent(1, 3, 3);
    ck_assert_uint_eq(applied[2], 0);
    fake_close(&fake);
}
END_TEST

static void busy_long(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    const struct wire_hint hint = {.name = WIRE_FIELD_RETRY_MS, .number = 300};
    (void)f;
    const struct sent *s = note(conn, m);
    if (sents == 2) {
        fake_say_failure(conn, m, &(struct wire_failure){ERR_BUSY, NULL, &hint, 1});
    } else {
        say_done(s);
    }
}

START_TEST(what_is_out_of_time_between_two_attempts_that_did_nothing_is_not_in_the_next)
{
    begin(1, busy_long);
    call_all(1, 2, usual);
    ck_assert_int_eq(call(3, (struct hf_crdt){.copies = 1, .timeout_ms = 200}), 0);
    ck_assert_int_eq(call(4, usual), 0);
    until_answered(4);
    ck_assert_int_eq(callers[3].code, ERR_BUSY);
    ck_assert_uint_eq(applied[3], 0);
    ck_assert_uint_eq(sents, 3);
    ck_assert_uint_eq(sent[2].count, 2);
    ck_assert_uint_eq(sent[1].sequence, sent[2].sequence);
    check_done(1, 2);
    check_done(4, 4);
    fake_close(&fake);
}
END_TEST

START_TEST(a_request_without_an_answer_keeps_nobody_waiting_for_long)
{
    begin(1, holds_first);
    call_all(1, 8, usual);
    until_answered(7);
    ck_assert_uint_eq(callers[1].answers, 0);
    check_done(2, 8);
    check_sent(1, 2, 8);
    say_done(&sent[0]);
    until_answered(8);
    check_done(1, 1);
    fake_close(&fake);
}
END_TEST

START_TEST(when_all_that_share_a_request_have_gone_others_go_on)
{
    begin(1, writes);
    ck_assert_int_eq(call(1, usual), 0);
    until_answered(1);
    fake.serve = holds;
    ck_assert_int_eq(call(2, usual), 0);
    call_all(3, 6, (struct hf_crdt){.copies = 1, .timeout_ms = 50});
    until_sent(2);
    say_done(&sent[1]);
    until_sent(3);
    check_sent(2, 3, 6);
    fake.serve = writes;
    ck_assert_int_eq(call(7, usual), 0);
    until_answered(7);
    for (unsigned i = 3; i <= 6; i++) {
        ck_assert_int_eq(callers[i].code, ERR_TIMEOUT);
    }
    check_done(7, 7);
    fake_close(&fake);
}
END_TEST

/* ---- the end -------------------------------------------------------------------------------- */

START_TEST(a_client_that_is_freed_tells_each_what_may_have_become_of_it)
{
    begin(1, writes);
    ck_assert_int_eq(call(1, usual), 0);
    until_answered(1);
    fake.serve = holds;
    call_all(2, 5, usual);
    until_sent(2);
    say_done(&sent[1]);
    until_sent(3); /* 3 to 5 */
    call_all(6, 9, usual);
    hf_client_free(fake.client);
    fake.client = NULL;
    ck_assert_uint_eq(answers, 9);
    for (unsigned i = 3; i <= 9; i++) {
        ck_assert_uint_eq(callers[i].answers, 1);
        ck_assert_int_eq(callers[i].code, i <= 5 ? ERR_CONNECTION : ERR_UNAVAILABLE);
    }
    fake_close(&fake);
}
END_TEST

START_TEST(a_client_may_be_freed_by_one_of_those_that_shared_a_request)
{
    begin(1, writes);
    callers[4].frees = true;
    call_all(1, 9, usual);
    until_answered(9);
    check_done(1, 4);
    for (unsigned i = 5; i <= 9; i++) {
        ck_assert_uint_eq(callers[i].answers, 1);
        ck_assert_int_eq(hf_outcome_of(callers[i].code), HF_UNKNOWN);
    }
    fake_close(&fake);
}
END_TEST

UNIT_MAIN("client_share_ends", keys_of_other_nodes_go_there_and_share_requests_with_their_own,
          calls_that_are_sorted_without_memory_end_and_leave_nothing,
          keys_whose_owner_is_gone_go_to_another_node,
          a_lost_request_is_repeated_for_all_under_its_sequence,
          what_may_be_done_keeps_its_sequence_when_its_node_owns_it_no_more,
          what_may_be_done_keeps_its_sequence_when_its_node_is_behind,
          what_may_be_done_is_unknown_when_it_is_refused_for_good,
          what_may_be_done_is_unknown_when_its_node_is_behind_later,
          of_a_node_that_is_gone_all_outcomes_are_unknown_and_nothing_counts_elsewhere,
          each_has_its_own_timeout_and_the_others_go_on,
          what_is_out_of_time_before_it_is_sent_is_not_done,
          what_is_out_of_time_between_two_attempts_that_did_nothing_is_not_in_the_next,
          a_request_without_an_answer_keeps_nobody_waiting_for_long,
          when_all_that_share_a_request_have_gone_others_go_on,
          a_client_that_is_freed_tells_each_what_may_have_become_of_it,
          a_client_may_be_freed_by_one_of_those_that_shared_a_request)
