/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Suspicions, own health, late ticks, evidence.
 */
#include "tests/unit/gossip/net.h"

static const struct gossip_suspicion *suspicion_of(const struct net *n, uint32_t at, uint32_t of)
{
    const struct gossip_entry *e = gossip_entry_of(n->nodes[at], of);
    ck_assert_uint_ne(e->suspicion, 0);
    return &n->nodes[at]->suspicions[e->suspicion - 1];
}

static struct gossip_record accusation(uint32_t of, uint32_t by)
{
    struct gossip_record r = net_record(of, GOSSIP_SUSPECT, 1, 0);
    r.accusers[0] = by;
    r.accuser_count = 1;
    return r;
}

/* scenario G2 */
START_TEST(starved_prober_declares_nobody_dead)
{
    struct net *n = net_new(8, gossip_rules_default(), 2);
    net_run(n, 3000000);
    for (unsigned round = 0; round < 10; round++) {
        n->paused[1] = true;
        net_run(n, 16000000);
        n->paused[1] = false;
        net_run(n, 1000000);
        ck_assert_uint_ge(gossip_health(n->nodes[1]), 5); /* two probes a second are answered */
    }
    ck_assert_uint_gt(n->nodes[1]->counters.late_ticks, 5);
    ck_assert_uint_eq(n->nodes[1]->counters.declared_dead, 0);
    ck_assert(n->nodes[1]->starved);
    ck_assert(gossip_self(n->nodes[1])->unwell & GOSSIP_UNWELL_STARVED);
    for (uint32_t id = 2; id <= 8; id++) {
        ck_assert(gossip_entry_lives(gossip_entry_of(n->nodes[1], id)));
    }
    net_run(n, 60000000);
    ck_assert_uint_eq(gossip_health(n->nodes[1]), 0);
    ck_assert_int_eq(net_state(n, 3, 1), GOSSIP_ALIVE);
    net_free(n);
}
END_TEST

/* scenario G2: its probe was due while it was stopped, and is answered at once when it goes on */
START_TEST(an_answer_to_a_late_question_does_not_say_that_the_prober_is_well)
{
    struct net *n = net_new(8, gossip_rules_default(), 2);
    net_run(n, 3000000);
    n->paused[1] = true;
    net_run(n, 16000000);
    n->paused[1] = false;
    uint64_t asked = n->nodes[1]->counters.probes;
    net_run(n, 100000);
    ck_assert_uint_gt(n->nodes[1]->counters.probes, asked);
    ck_assert_uint_eq(n->nodes[1]->probe_count, 0); /* all are answered */
    ck_assert_uint_eq(gossip_health(n->nodes[1]), gossip_rules_default().health_max - 1);
    net_run(n, 10000000); /* the next probe is in time */
    ck_assert_uint_lt(gossip_health(n->nodes[1]), gossip_rules_default().health_max - 1);
    net_free(n);
}
END_TEST

/* scenario G20 */
START_TEST(no_suspicion_ends_in_the_first_tick_after_a_gap)
{
    struct net *n = net_new(5, gossip_rules_default(), 20);
    net_run(n, 3000000);
    struct gossip_record r = accusation(2, 3);
    ck_assert_int_eq(net_inject_record(n, 1, 3, &r), 0);
    ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_SUSPECT);
    gossip_tick(n->nodes[1], n->now_us + 300000000);
    ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_SUSPECT);
    ck_assert_uint_eq(n->nodes[1]->counters.late_ticks, 1);
    net_free(n);
}
END_TEST

START_TEST(a_late_confirmation_ends_a_suspicion_now_and_is_no_late_tick)
{
    struct net *n = net_new(9, gossip_rules_default(), 21);
    net_run(n, 3000000);
    net_crash(n, 2);
    struct gossip *g = n->nodes[1];
    ck_assert(gossip_suspicion_accuse(g, gossip_entry_of(g, 2), 1));
    const struct gossip_suspicion *s = suspicion_of(n, 1, 2);
    ck_assert_uint_gt(s->confirmations_wanted, 0);
    g->now_us = s->end_us - 1000000; /* by then enough would have ended it long ago */
    for (uint32_t by = 3; by < 3u + s->confirmations_wanted; by++) {
        (void)gossip_suspicion_accuse(g, gossip_entry_of(g, 2), by);
    }
    ck_assert_uint_eq(s->end_us, g->now_us);
    ck_assert_uint_eq(g->suspicion_us, g->now_us); /* a deadline in the past is taken for late */
    net_free(n);
}
END_TEST

START_TEST(a_partition_makes_nobody_unwell_and_is_known_soon)
{
    struct net *n = net_new(9, gossip_rules_default(), 11);
    net_run(n, 10000000);
    net_split(n, 4, true);
    net_run(n, 60000000);
    for (uint32_t id = 1; id <= 9; id++) {
        ck_assert(!n->nodes[id]->starved);
        ck_assert_uint_eq(n->nodes[id]->counters.late_ticks, 0);
        for (uint32_t of = 1; of <= 9; of++) {
            bool near = (id <= 4) == (of <= 4);
            ck_assert_int_eq(net_state(n, id, of), near ? GOSSIP_ALIVE : GOSSIP_DEAD);
        }
    }
    net_free(n);
}
END_TEST

/* scenario G34 */
START_TEST(two_nodes_use_the_minimum_and_no_confirmations)
{
    struct net *n = net_new(2, gossip_rules_default(), 34);
    struct gossip_rules rules = gossip_rules_default();
    net_run(n, 2000000);
    struct gossip *g = n->nodes[1];
    ck_assert(gossip_suspicion_accuse(g, gossip_entry_of(g, 2), 1));
    const struct gossip_suspicion *s = suspicion_of(n, 1, 2);
    ck_assert_uint_eq(s->confirmations_wanted, 0);
    ck_assert_uint_eq(s->end_us - s->start_us, rules.suspicion_mult * rules.probe_interval_us);
    net_crash(n, 2);
    net_run(n, 20000000);
    ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_DEAD);
    net_free(n);
}
END_TEST

/* scenario G35 */
START_TEST(accuser_counts_once_however_often_it_is_told)
{
    struct net *n = net_new(64, gossip_rules_default(), 35);
    for (unsigned i = 0; i < 100; i++) {
        struct gossip_record r = accusation(2, 3);
        ck_assert_int_eq(net_inject_record(n, 1, 3 + i % 5, &r), 0);
    }
    ck_assert_uint_eq(suspicion_of(n, 1, 2)->accuser_count, 1);
    struct gossip_record self = accusation(2, 2);
    struct gossip_record unknown = accusation(2, 1000);
    ck_assert_int_eq(net_inject_record(n, 1, 3, &self), 0);
    ck_assert_int_eq(net_inject_record(n, 1, 3, &unknown), 0);
    ck_assert_uint_eq(suspicion_of(n, 1, 2)->accuser_count, 1);
    struct gossip_record other = accusation(2, 4);
    ck_assert_int_eq(net_inject_record(n, 1, 4, &other), 0);
    ck_assert_uint_eq(suspicion_of(n, 1, 2)->accuser_count, 2);
    net_free(n);
}
END_TEST

START_TEST(confirmations_bring_the_timer_to_its_minimum)
{
    struct net *n = net_new(64, gossip_rules_default(), 1);
    uint64_t before = UINT64_MAX;
    for (uint32_t by = 3; by < 10; by++) {
        struct gossip_record r = accusation(2, by);
        ck_assert_int_eq(net_inject_record(n, 1, by, &r), 0);
        ck_assert_uint_lt(suspicion_of(n, 1, 2)->end_us, before);
        before = suspicion_of(n, 1, 2)->end_us;
    }
    const struct gossip_suspicion *s = suspicion_of(n, 1, 2);
    ck_assert_uint_eq(s->end_us - s->start_us, n->nodes[1]->demand_least_us);
    net_free(n);
}
END_TEST

START_TEST(word_of_death_is_doubted_by_who_heard_the_member)
{
    struct net *n = net_new(5, gossip_rules_default(), 1);
    net_run(n, 5000000);
    struct gossip *g = n->nodes[1];
    gossip_evidence(g, 2, GOSSIP_ANSWERED, 500, n->now_us);
    struct gossip_record r = net_record(2, GOSSIP_DEAD, 1, 0);
    r.agreed = 1;
    ck_assert_int_eq(net_inject_record(n, 1, 3, &r), 0);
    ck_assert_int_eq(net_state(n, 1, 2), GOSSIP_SUSPECT);
    r = net_record(4, GOSSIP_DEAD, 1, 0);
    gossip_contact_of(g, gossip_entry_of(g, 4))->heard_us = 1;
    ck_assert_int_eq(net_inject_record(n, 1, 3, &r), 0);
    ck_assert_int_eq(net_state(n, 1, 4), GOSSIP_DEAD);
    net_free(n);
}
END_TEST

START_TEST(answers_elsewhere_spare_probes)
{
    struct net *n = net_new(3, gossip_rules_default(), 1);
    for (unsigned i = 0; i < 100; i++) {
        gossip_evidence(n->nodes[1], 2, GOSSIP_ANSWERED, 300, n->now_us);
        gossip_evidence(n->nodes[1], 3, GOSSIP_ANSWERED, 300, n->now_us);
        net_run(n, 200000);
    }
    ck_assert_uint_gt(n->nodes[1]->counters.probes_spared, 15);
    ck_assert_uint_le(n->nodes[1]->counters.probes, 1);
    net_free(n);
}
END_TEST

START_TEST(reset_connection_is_probed_at_once)
{
    struct net *n = net_new(3, gossip_rules_default(), 1);
    uint64_t before = n->nodes[1]->counters.probes;
    gossip_evidence(n->nodes[1], 2, GOSSIP_RESET, 0, n->now_us);
    ck_assert_uint_eq(n->nodes[1]->counters.probes, before + 1);
    net_free(n);
}
END_TEST

/* scenario G33 */
START_TEST(absurd_round_trips_are_dropped)
{
    struct net *n = net_new(3, gossip_rules_default(), 33);
    struct gossip *g = n->nodes[1];
    struct gossip_entry *e = gossip_entry_of(g, 2);
    gossip_evidence(g, 2, GOSSIP_ANSWERED, 300, n->now_us);
    ck_assert_uint_eq(gossip_contact_of(g, e)->rtt_us, 300);
    static const uint64_t absurd[] = {0, 60000000, UINT32_MAX, UINT64_MAX, (uint64_t)-5};
    for (unsigned i = 0; i < 5; i++) {
        gossip_probe_rtt(g, e, absurd[i]);
    }
    gossip_evidence(g, 2, GOSSIP_ANSWERED, UINT32_MAX, n->now_us);
    ck_assert_uint_eq(gossip_contact_of(g, e)->rtt_us, 300);
    ck_assert_uint_eq(g->counters.samples_dropped, 6);
    net_free(n);
}
END_TEST

START_TEST(confidence_rises_with_accusers_and_falls_with_an_answer)
{
    struct net *n = net_new(64, gossip_rules_default(), 1);
    struct gossip_member m;
    uint32_t before = 0;
    for (uint32_t by = 3; by < 8; by++) {
        struct gossip_record r = accusation(2, by);
        ck_assert_int_eq(net_inject_record(n, 1, by, &r), 0);
        ck_assert_int_eq(gossip_member_of(n->nodes[1], 2, &m), 0);
        ck_assert_uint_gt(m.confidence, before);
        before = m.confidence;
    }
    ck_assert_uint_ge(before, GOSSIP_SURE_EVICT);
    struct gossip_record r = net_record(2, GOSSIP_ALIVE, 1, 1);
    ck_assert_int_eq(net_inject_record(n, 1, 2, &r), 0);
    ck_assert_int_eq(gossip_member_of(n->nodes[1], 2, &m), 0);
    ck_assert_uint_eq(m.confidence, 0);
    net_free(n);
}
END_TEST

UNIT_MAIN("gossip_suspicion", starved_prober_declares_nobody_dead,
          an_answer_to_a_late_question_does_not_say_that_the_prober_is_well,
          no_suspicion_ends_in_the_first_tick_after_a_gap,
          two_nodes_use_the_minimum_and_no_confirmations,
          accuser_counts_once_however_often_it_is_told,
          confirmations_bring_the_timer_to_its_minimum,
          word_of_death_is_doubted_by_who_heard_the_member, answers_elsewhere_spare_probes,
          reset_connection_is_probed_at_once,
          a_late_confirmation_ends_a_suspicion_now_and_is_no_late_tick,
          a_partition_makes_nobody_unwell_and_is_known_soon, absurd_round_trips_are_dropped,
          confidence_rises_with_accusers_and_falls_with_an_answer)
