/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Updates that are outstanding together: what goes in which request, and who hears of a refusal.
 */
#include "callers.h"

#include "base/num.h"

#include <string.h>

/* ---- what goes together --------------------------------------------------------------------- */

START_TEST(what_is_called_while_a_request_is_on_its_way_goes_together_in_the_next_in_order)
{
    begin(1, holds_first);
    call_all(1, 9, usual);
    until_sent(1);
    check_sent(0, 1, 1);
    ck_assert(!sent[0].apart);
    ck_assert_uint_eq(answers, 0);
    say_done(&sent[0]);
    until_answered(9);
    ck_assert_uint_eq(sents, 2);
    check_sent(1, 2, 9);
    ck_assert(sent[1].apart);
    ck_assert_uint_eq(sent[1].session, sent[0].session);
    ck_assert_uint_eq(sent[1].sequence, sent[0].sequence + 1);
    check_done(1, 9);
    for (unsigned i = 1; i <= 9; i++) {
        ck_assert_uint_eq(callers[i].at, i - 1);
        ck_assert_uint_eq(callers[i].copies, 1);
    }
    fake_close(&fake);
}
END_TEST

START_TEST(one_call_after_the_other_goes_at_once_and_alone)
{
    begin(1, writes);
    for (unsigned i = 1; i <= 5; i++) {
        ck_assert_int_eq(call(i, usual), 0);
        until_answered(i);
        ck_assert_uint_eq(sents, i);
        ck_assert_uint_eq(sent[i - 1].count, 1);
        ck_assert(!sent[i - 1].apart);
    }
    check_done(1, 5);
    fake_close(&fake);
}
END_TEST

START_TEST(what_callbacks_call_goes_together)
{
    begin(1, writes);
    for (unsigned i = 1; i <= 20; i++) {
        callers[i].again = true;
    }
    call_all(1, 20, usual);
    until_answered(40);
    ck_assert_uint_eq(sents, 3); /* 1, then 2 to 20 and 501, then what those call */
    ck_assert_uint_eq(sent[1].count, 20);
    check_sent(2, 502, 520);
    check_done(1, 20);
    check_done(501, 520);
    fake_close(&fake);
}
END_TEST

START_TEST(requests_stay_within_what_a_node_takes_and_keeps)
{
    unsigned most = 0;
    begin(1, writes);
    call_all(1, 900, usual);
    until_answered(900);
    check_done(1, 900);
    for (unsigned i = 0; i < sents; i++) {
        unsigned regions = 0;
        for (unsigned bit = 0; bit < 64; bit++) {
            regions += (sent[i].regions >> bit & 1) != 0;
        }
        ck_assert_uint_le(4 + sent[i].count + 21 * regions, 1024);
        most = NUM_MAX(most, sent[i].count);
    }
    ck_assert_uint_gt(most, 50);
    fake_close(&fake);
}
END_TEST

START_TEST(requests_stay_within_the_operations_that_one_may_have)
{
    begin(1, writes);
    for (int64_t i = 1; i <= 600; i++) {
        struct hf_crdt_op op = {.name = hf_text("one"), .verb = HF_CRDT_ADD, .amount = i};
        hf_crdt_path_init(&op.path, HF_CRDT_PN_COUNTER);
        ck_assert_int_eq(call_op(op, usual), 0);
    }
    until_answered(600);
    ck_assert_uint_eq(sents, 4);
    check_sent(1, 2, 257);
    check_sent(2, 258, 513);
    check_done(1, 600);
    fake_close(&fake);
}
END_TEST

START_TEST(requests_stay_within_32_kib_unless_one_operation_is_larger)
{
    static char value[WIRE_CRDT_VALUE_BYTES_MAX];
    begin(1, writes);
    for (int64_t i = 1; i <= 9; i++) {
        size_t bytes = i == 5 ? sizeof(value) : 10000;
        struct hf_crdt_op op = {.name = hf_text("one"), .verb = HF_CRDT_SET, .amount = i};
        op.value = (struct hf_bytes){.data = value, .size = bytes};
        hf_crdt_path_init(&op.path, HF_CRDT_LWW);
        ck_assert_int_eq(call_op(op, usual), 0);
    }
    until_answered(9);
    ck_assert_uint_eq(sents, 5);
    check_sent(1, 2, 4);
    check_sent(2, 5, 5);
    check_sent(3, 6, 8);
    check_sent(4, 9, 9);
    check_done(1, 9);
    fake_close(&fake);
}
END_TEST

START_TEST(calls_with_other_options_share_no_request)
{
    struct hf_causal *s[2];
    begin(1, writes);
    ck_assert_int_eq(hf_causal_new(&s[0]), 0);
    ck_assert_int_eq(hf_causal_new(&s[1]), 0);
    const struct hf_crdt with[] = {{.copies = 1},
                                   {.copies = 2},
                                   {.copies = 1, .budget_ms = 70},
                                   {.copies = 1, .space = hf_text("other")},
                                   {.copies = 1, .causal = s[0]},
                                   {.copies = 1, .causal = s[1]}};
    for (int64_t i = 0; i < 60; i++) {
        ck_assert_int_eq(call(i, with[i % 6]), 0);
    }
    until_answered(60);
    check_done(0, 59);
    ck_assert_uint_eq(sents, 12);
    for (unsigned i = 0; i < sents; i++) {
        const struct hf_crdt *w = &with[sent[i].amount[0] % 6];
        for (unsigned j = 0; j < sent[i].count; j++) {
            ck_assert_int_eq(sent[i].amount[j] % 6, sent[i].amount[0] % 6);
            ck_assert_int_eq(sent[i].amount[j], sent[i].amount[0] + 6 * j);
        }
        ck_assert_uint_eq(sent[i].copies, w->copies);
        ck_assert_uint_eq(sent[i].budget_ms, w->budget_ms);
        ck_assert_int_eq(sent[i].space, w->space.size > 0 ? 'o' : 'd');
    }
    hf_causal_free(s[0]);
    hf_causal_free(s[1]);
    fake_close(&fake);
}
END_TEST

/* scenario C39, at the client */
START_TEST(a_shared_request_names_what_was_seen_before_and_its_token_is_everybodys)
{
    struct hf_causal *s = NULL;
    begin(1, holds_first);
    ck_assert_int_eq(hf_causal_new(&s), 0);
    const struct hf_crdt with = {.copies = 1, .causal = s};
    call_all(1, 5, with);
    until_sent(1);
    ck_assert_uint_eq(sent[0].index, 0);
    say_done(&sent[0]);
    until_answered(5);
    ck_assert_uint_eq(sent[1].index, 10);
    ck_assert_int_eq(call(6, with), 0);
    until_answered(6);
    ck_assert_uint_eq(sent[2].index, 20);
    check_done(1, 6);
    hf_causal_free(s);
    fake_close(&fake);
}
END_TEST

START_TEST(a_batch_of_the_callers_goes_alone_behind_what_was_called_before)
{
    struct hf_answer a = {.ended = false};
    struct hf_crdt_op ops[2] = {{.name = hf_text("a"), .verb = HF_CRDT_ADD, .amount = 20},
                                {.name = hf_text("b"), .verb = HF_CRDT_ADD, .amount = 21}};
    const struct hf_crdt batch = {.copies = 1, .ops = ops, .ops_count = 2};
    hf_crdt_path_init(&ops[0].path, HF_CRDT_PN_COUNTER);
    hf_crdt_path_init(&ops[1].path, HF_CRDT_PN_COUNTER);
    begin(1, writes);
    ck_assert_int_eq(call(1, usual), 0);
    until_answered(1); /* there is a connection and a session */
    fake.serve = holds;
    call_all(2, 4, usual);
    ck_assert_int_eq(hf_crdt_update(fake.client, &batch, &a, hf_answer_done), 0);
    ck_assert_int_eq(call(5, usual), 0);
    until_sent(4);
    check_sent(1, 2, 2);
    check_sent(2, 3, 4);
    check_sent(3, 20, 21);
    ck_assert(!sent[3].apart);
    for (unsigned i = 1; i < 4; i++) {
        say_done(&sent[i]);
    }
    fake.serve = writes;
    ck_assert_int_eq(fake_wait(&fake, &a), 0);
    ck_assert_uint_eq(a.result.count, 2);
    ck_assert(!a.result.changed[0] && a.result.changed[1]);
    hf_answer_release(&a);
    until_answered(5);
    check_done(1, 5);
    fake_close(&fake);
}
END_TEST

START_TEST(bounded_counters_and_removals_from_maps_share_no_request)
{
    begin(1, writes);
    for (int64_t i = 1; i <= 8; i++) {
        struct hf_crdt_op op = {.verb = HF_CRDT_ADD, .amount = i};
        hf_crdt_path_init(&op.path, i % 2 == 0 ? HF_CRDT_BOUNDED : HF_CRDT_MAP);
        op.verb = i % 2 == 0 ? HF_CRDT_ADD : HF_CRDT_REMOVE;
        op.value = i % 2 == 0 ? op.value : hf_text("field");
        ck_assert_int_eq(call_op(op, usual), 0);
    }
    until_answered(8);
    ck_assert_uint_eq(sents, 8);
    check_done(1, 8);
    fake_close(&fake);
}
END_TEST

START_TEST(a_client_without_sessions_shares_no_request)
{
    begin(1, writes);
    fake_client(&fake, (struct hf_client_options){.timeout_ms = 10000, .plain = true});
    call_all(1, 8, usual);
    until_answered(8);
    ck_assert_uint_eq(sents, 8);
    check_done(1, 8);
    fake_close(&fake);
}
END_TEST

START_TEST(calls_that_wait_count_as_open)
{
    begin(1, writes);
    ck_assert_int_eq(call(0, usual), 0);
    until_answered(1);
    fake.serve = holds;
    call_all(1, HF_CALLS_MAX, usual);
    ck_assert_int_eq(call(HF_CALLS_MAX + 1, usual), ERR_BUSY);
    fake_close(&fake);
    ck_assert_uint_eq(answers, 1 + HF_CALLS_MAX);
}
END_TEST

/* ---- refusals ------------------------------------------------------------------------------- */

static int refused_code;
static int64_t refused_from; /* amounts that are refused */
static int64_t refused_to;
static bool refusal_names;

static void refuses_some(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    const struct sent *s = note(conn, m);
    for (unsigned i = 0; i < s->count; i++) {
        if (s->amount[i] >= refused_from && s->amount[i] <= refused_to) {
            const struct wire_hint hint = {.name = WIRE_FIELD_OPERATION, .number = i};
            struct wire_failure failure = {.code = refused_code, .hints = &hint};
            failure.hints_count = refusal_names && s->count > 1;
            fake_say_failure(conn, m, &failure);
            return;
        }
    }
    say_done(s);
}

START_TEST(who_is_refused_spoils_nothing_for_the_others)
{
    static const int codes[] = {ERR_WRONG_TYPE, ERR_OVERFLOW, ERR_TOO_LARGE, ERR_CORRUPT};
    for (unsigned named = 0; named < 2; named++) {
        for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
            begin(1, refuses_some);
            refused_code = codes[i];
            refused_from = refused_to = 6;
            refusal_names = named != 0;
            call_all(1, 12, usual);
            until_answered(12);
            check_done(1, 5);
            check_done(7, 12);
            ck_assert_uint_eq(callers[6].answers, 1);
            ck_assert_int_eq(callers[6].code, codes[i]);
            ck_assert_uint_eq(applied[6], 0);
            ck_assert_uint_eq(sents, refusal_names ? 5 : 2 + 11);
            fake_close(&fake);
        }
    }
}
END_TEST

START_TEST(the_named_goes_alone_between_those_before_and_behind_it)
{
    begin(1, refuses_some);
    refusal_names = true;
    refused_code = ERR_WRONG_TYPE;
    refused_from = refused_to = 6;
    call_all(1, 12, usual);
    until_answered(12);
    check_sent(1, 2, 12);
    check_sent(2, 2, 5);
    check_sent(3, 6, 6);
    check_sent(4, 7, 12);
    ck_assert(!sent[3].apart); /* what it hears, it hears alone */
    ck_assert_uint_eq(sent[4].sequence, sent[1].sequence + 3);
    fake_close(&fake);
}
END_TEST

START_TEST(where_all_are_refused_each_hears_it_after_few_requests)
{
    begin(1, refuses_some);
    refusal_names = true;
    refused_code = ERR_WRONG_TYPE;
    refused_from = 1;
    refused_to = 40;
    call_all(1, 40, usual);
    until_answered(40);
    for (unsigned i = 1; i <= 40; i++) {
        ck_assert_uint_eq(callers[i].answers, 1);
        ck_assert_int_eq(callers[i].code, ERR_WRONG_TYPE);
        ck_assert_uint_eq(callers[i].at, i - 1);
    }
    ck_assert_uint_le(sents, 40 + 3);
    fake_close(&fake);
}
END_TEST

/* A refusal that may pass is repeated for who asked for it, at every node, and for nobody else. */
START_TEST(who_is_behind_is_so_alone)
{
    begin(3, refuses_some);
    refusal_names = true;
    refused_code = ERR_BEHIND;
    refused_from = refused_to = 6;
    call_all(1, 12, usual);
    until_answered(12);
    check_done(1, 5);
    check_done(7, 12);
    ck_assert_int_eq(callers[6].code, ERR_BEHIND);
    unsigned shared = 0;
    for (unsigned i = 0; i < sents; i++) {
        for (unsigned j = 0; j < sent[i].count; j++) {
            shared += sent[i].count > 1 && sent[i].amount[j] == 6;
        }
    }
    ck_assert_uint_eq(shared, 1);
    fake_close(&fake);
}
END_TEST

static void busy_second(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    const struct sent *s = note(conn, m);
    if (sents == 2) {
        fake_say_error(conn, m, ERR_BUSY);
    } else {
        say_done(s);
    }
}

START_TEST(a_busy_node_is_asked_again_for_all_under_the_same_sequence)
{
    begin(1, busy_second);
    call_all(1, 6, usual);
    until_answered(6);
    ck_assert_uint_eq(sents, 3);
    check_sent(1, 2, 6);
    check_sent(2, 2, 6);
    ck_assert_uint_eq(sent[1].sequence, sent[2].sequence);
    check_done(1, 6);
    fake_close(&fake);
}
END_TEST

UNIT_MAIN("client_share",
          what_is_called_while_a_request_is_on_its_way_goes_together_in_the_next_in_order,
          one_call_after_the_other_goes_at_once_and_alone, what_callbacks_call_goes_together,
          requests_stay_within_what_a_node_takes_and_keeps,
          requests_stay_within_the_operations_that_one_may_have,
          requests_stay_within_32_kib_unless_one_operation_is_larger,
          calls_with_other_options_share_no_request,
          a_shared_request_names_what_was_seen_before_and_its_token_is_everybodys,
          a_batch_of_the_callers_goes_alone_behind_what_was_called_before,
          bounded_counters_and_removals_from_maps_share_no_request,
          a_client_without_sessions_shares_no_request, calls_that_wait_count_as_open,
          who_is_refused_spoils_nothing_for_the_others,
          the_named_goes_alone_between_those_before_and_behind_it,
          where_all_are_refused_each_hears_it_after_few_requests, who_is_behind_is_so_alone,
          a_busy_node_is_asked_again_for_all_under_the_same_sequence)
