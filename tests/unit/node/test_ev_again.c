/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode towards clients: a write in a session that is sent again while an attempt of before
 * is on its way. Whatever the repetition would be refused for, nobody hears "not done" of what may
 * yet be done.
 */
#include "ev_client.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/node_internal.h"

static const struct top one = ADD("hits", WIRE_CRDT_PN_COUNTER, 1);

/* A write in a session that is in the own log of node 1 and not on its disk; its client has heard
 * that the outcome is unknown. */
static struct topts begin_logged(struct top op)
{
    struct topts t = {.deadline_ms = 400, .sequence = 1};
    struct wire_node result;
    t.session = open_own(1);
    r->nodes[0].wal_held = true;
    uint32_t first = ask_update(1, &t, &op, 1);
    rig_run(r, 450000);
    ck_assert_int_eq(rig_answer(r, first, &result), ERR_TIMEOUT);
    return t;
}

/* The repetition is not answered before the log is; then as the first would have been. */
static void end_logged(const struct topts *t, struct top op)
{
    struct wire_node result;
    uint32_t again = ask_update(1, t, &op, 1);
    rig_run(r, 300000);
    ck_assert_int_eq(rig_answer(r, again, &result), 1);
    r->nodes[0].wal_held = false;
    ck_assert_int_eq(answer(again, &plain, &result), 0);
    rig_run(r, 2000000);
    ck_assert_int_eq(update(1, t, &op, 1), 0);
}

START_TEST(a_repetition_that_another_node_should_take_waits_for_the_own_log)
{
    struct top op = one;
    char name[16];
    uint32_t owners[NODE_EV_OWNERS_MAX];
    bool self = true;
    begin(6);
    for (unsigned i = 0; self; i++) {
        (void)snprintf(name, sizeof name, "x%u", i);
        (void)node_ev_owners(r->nodes[0].node, node_ev_region(bytes_of_text(name)), owners, &self);
    }
    op.name = name;
    rig_isolate(r, 1, true);
    rig_run(r, 10000000);
    struct topts t = begin_logged(op);
    rig_isolate(r, 1, false);
    rig_run(r, 5000000);
    end_logged(&t, op);
    t.sequence = 2;
    ck_assert_int_eq(update(1, &t, &op, 1), ERR_NOT_LEADER); /* else it waited for nothing */
    ck_assert_int_eq(counter(2, name, WIRE_CRDT_PN_COUNTER), 1);
    end();
}
END_TEST

START_TEST(a_repetition_that_is_behind_its_token_waits_for_the_own_log)
{
    struct buf token;
    begin(3);
    buf_init(&token, &r->heap, 1u << 20);
    struct topts t = begin_logged(one);
    const struct topts other = {.token = &token};
    ck_assert_int_eq(update(2, &other, &one, 1),
                     0); /* node 1 does not see it: nothing is applied */
    struct topts again = t;
    again.token = &token;
    again.budget_ms = 100;
    again.deadline_ms = 5000;
    end_logged(&again, one);
    ck_assert_int_eq(counter(1, "hits", WIRE_CRDT_PN_COUNTER), 2);
    buf_release(&token);
    end();
}
END_TEST

START_TEST(a_repetition_that_a_full_disk_refuses_waits_for_the_own_log)
{
    begin(1);
    struct topts t = begin_logged(one);
    r->nodes[0].node->disk_full = true;
    t.deadline_ms = 5000;
    end_logged(&t, one);
    ck_assert_int_eq(counter(1, "hits", WIRE_CRDT_PN_COUNTER), 1);
    end();
}
END_TEST

/* Its client goes to another node: the log is full of what nobody waits for here. */
START_TEST(a_first_attempt_waits_for_nobody_elses_entries)
{
    struct wire_node result;
    begin(1);
    struct topts t = begin_logged(one);
    r->nodes[0].node->disk_full = true;
    t.sequence = 2;
    ck_assert_int_eq(update(1, &t, &one, 1), ERR_DISK_FULL);
    r->nodes[0].node->disk_full = false;
    r->nodes[0].wal_held = false;
    t.sequence = 1;
    uint32_t again = ask_update(1, &t, &one, 1);
    ck_assert_int_eq(answer(again, &plain, &result), 0);
    end();
}
END_TEST

START_TEST(a_repetition_hears_that_nothing_is_known_if_the_log_takes_too_long)
{
    struct buf token;
    struct wire_node result;
    begin(3);
    buf_init(&token, &r->heap, 1u << 20);
    struct topts t = begin_logged(one);
    const struct topts other = {.token = &token};
    ck_assert_int_eq(update(2, &other, &one, 1), 0);
    t.token = &token;
    t.budget_ms = 100;
    uint32_t again = ask_update(1, &t, &one, 1);
    rig_run(r, 1500000);
    ck_assert_int_eq(rig_answer(r, again, &result), ERR_TIMEOUT);
    r->nodes[0].wal_held = false;
    rig_run(r, 2000000);
    ck_assert_int_eq(counter(1, "hits", WIRE_CRDT_PN_COUNTER), 2); /* it was done after all */
    buf_release(&token);
    end();
}
END_TEST

/* A session at node 1, which is cut off, with a token that names what only the others have.
 * token: initialised here; the caller's to release. */
static struct topts begin_behind(struct buf *token)
{
    begin(3);
    buf_init(token, &r->heap, 1u << 20);
    struct topts t = {.token = token, .deadline_ms = 60000};
    rig_isolate(r, 1, true);
    ck_assert_int_eq(update(2, &t, &one, 1), 0);
    t.session = open_own(1);
    t.sequence = 1;
    return t;
}

/* The first waits for what its token names, and has reached no log yet. */
START_TEST(a_repetition_is_not_refused_while_the_first_attempt_waits)
{
    struct buf token;
    struct wire_node result;
    struct topts t = begin_behind(&token);
    t.budget_ms = 30000;
    struct topts again = t;
    again.budget_ms = 100;
    uint32_t first = ask_update(1, &t, &one, 1);
    uint32_t second = ask_update(1, &again, &one, 1);
    rig_run(r, 1000000);
    ck_assert_int_eq(rig_answer(r, first, &result), 1);
    ck_assert_int_eq(rig_answer(r, second, &result), ERR_TIMEOUT);
    again.sequence = 2; /* nobody else tries that one */
    ck_assert_int_eq(update(1, &again, &one, 1), ERR_BEHIND);
    rig_isolate(r, 1, false);
    ck_assert_int_eq(answer(first, &t, &result), 0);
    ck_assert_int_eq(counter(1, "hits", WIRE_CRDT_PN_COUNTER), 2);
    buf_release(&token);
    end();
}
END_TEST

/* Of two attempts that wait in vain the later one knows that neither was done. */
START_TEST(the_last_of_several_attempts_in_vain_hears_that_nothing_was_done)
{
    struct buf token;
    struct wire_node result;
    struct topts t = begin_behind(&token);
    t.budget_ms = 100;
    struct topts again = t;
    again.budget_ms = 300;
    uint32_t first = ask_update(1, &t, &one, 1);
    uint32_t second = ask_update(1, &again, &one, 1);
    ck_assert_int_eq(answer(first, &plain, &result), ERR_TIMEOUT);
    ck_assert_int_eq(answer(second, &plain, &result), ERR_BEHIND);
    buf_release(&token);
    end();
}
END_TEST

/* What the session has the answer to needs no dot, so whether one may be made is nothing to it. */
START_TEST(a_repetition_of_what_was_done_is_answered_while_its_region_is_held)
{
    struct topts t = {.sequence = 1};
    begin(3);
    t.session = open_own(1);
    ck_assert_int_eq(update(1, &t, &one, 1), 0);
    rig_isolate(r, 1, true); /* nobody tells that nothing must be held */
    node_ev_of(r->nodes[0].node)->held.regions = UINT64_MAX;
    ck_assert_int_eq(update(1, &t, &one, 1), 0);
    t.sequence = 2;
    ck_assert_int_eq(update(1, &t, &one, 1), ERR_UNAVAILABLE);
    node_ev_of(r->nodes[0].node)->held.regions = 0;
    ck_assert_int_eq(counter(1, "hits", WIRE_CRDT_PN_COUNTER), 1);
    end();
}
END_TEST

UNIT_MAIN("ev_again", a_repetition_that_another_node_should_take_waits_for_the_own_log,
          a_repetition_that_is_behind_its_token_waits_for_the_own_log,
          a_repetition_that_a_full_disk_refuses_waits_for_the_own_log,
          a_first_attempt_waits_for_nobody_elses_entries,
          a_repetition_hears_that_nothing_is_known_if_the_log_takes_too_long,
          a_repetition_is_not_refused_while_the_first_attempt_waits,
          the_last_of_several_attempts_in_vain_hears_that_nothing_was_done,
          a_repetition_of_what_was_done_is_answered_while_its_region_is_held)
