/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Who missed a refutation gets it again from the one who refuted.
 */
#include "net.h"

#define SECOND 1000000u

/* Three nodes; the second has refuted once, and all know. */
static struct net *refuted(struct gossip_rules rules)
{
    struct net *n = net_new(3, rules, unit_seed("refuted", 4));
    struct gossip_record suspicion = net_record(2, GOSSIP_SUSPECT, 1, 0);
    net_run(n, 5 * SECOND);
    ck_assert_int_eq(net_inject_record(n, 2, 3, &suspicion), 0);
    net_run(n, 5 * SECOND);
    ck_assert(net_agrees(n));
    return n;
}

/* returns: how many packets go to node 1 for a record about node 2 that node 1 sends to it. */
static uint64_t answers(struct net *n, enum gossip_state state)
{
    struct gossip_record record = net_record(2, state, 1, 0);
    net_drain(n, 2);
    uint64_t before = n->sent_to[1];
    ck_assert_int_eq(net_inject_record(n, 2, 1, &record), 0);
    net_drain(n, 2);
    return n->sent_to[1] - before;
}

START_TEST(a_suspicion_that_was_refuted_is_answered_with_the_refutation)
{
    struct net *n = refuted(gossip_rules_default());
    ck_assert_uint_eq(answers(n, GOSSIP_SUSPECT), 1);
    ck_assert_uint_eq(answers(n, GOSSIP_DEAD), 1);
    net_free(n);
}
END_TEST

START_TEST(old_news_that_accuses_nobody_is_not_answered)
{
    struct net *n = refuted(gossip_rules_default());
    ck_assert_uint_eq(answers(n, GOSSIP_ALIVE), 0);
    net_free(n);
}
END_TEST

START_TEST(memberlist_leaves_a_suspicion_that_was_refuted_unanswered)
{
    struct net *n = refuted(gossip_rules_memberlist());
    ck_assert_uint_eq(answers(n, GOSSIP_SUSPECT), 0);
    net_free(n);
}
END_TEST

UNIT_MAIN("gossip_refute", a_suspicion_that_was_refuted_is_answered_with_the_refutation,
          old_news_that_accuses_nobody_is_not_answered,
          memberlist_leaves_a_suspicion_that_was_refuted_unanswered)
