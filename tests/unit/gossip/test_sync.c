/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Push-pull, facts, rumors and cuts, over the virtual network.
 */
#include "tests/unit/gossip/net.h"

#include <stdio.h>

/* scenario G11 */
START_TEST(halves_of_a_partition_become_one_view_again)
{
    struct net *n = net_new(10, gossip_rules_default(), 11);
    net_run(n, 5000000);
    net_split(n, 5, true);
    net_run(n, 3600000000ull);
    ck_assert_int_eq(net_state(n, 1, 7), GOSSIP_DEAD);
    ck_assert_int_eq(net_state(n, 7, 1), GOSSIP_DEAD);
    net_split(n, 5, false);
    net_run(n, 2 * n->options.rules.sync_interval_us);
    ck_assert(net_agrees(n));
    for (uint32_t id = 1; id <= 10; id++) {
        ck_assert_int_eq(net_state(n, 1, id), GOSSIP_ALIVE);
    }
    net_free(n);
}
END_TEST

/* scenario G17 */
START_TEST(blocked_datagrams_kill_nobody_while_streams_pass)
{
    struct net *n = net_new(5, gossip_rules_default(), 17);
    net_run(n, 3000000);
    n->udp_blocked = true;
    net_run(n, 120000000);
    ck_assert_uint_eq(n->deaths, 0);
    struct gossip_counters c;
    gossip_counters_get(n->nodes[1], &c);
    ck_assert_uint_eq(c.udp_blocked, 4);
    n->udp_blocked = false;
    net_run(n, 30000000);
    gossip_counters_get(n->nodes[1], &c);
    ck_assert_uint_eq(c.udp_blocked, 0);
    net_free(n);
}
END_TEST

/* scenario G18 */
START_TEST(blocked_streams_are_counted_and_kill_nobody)
{
    struct net *n = net_new(5, gossip_rules_default(), 18);
    struct gossip_record r = net_record(3, GOSSIP_SUSPECT, 1, 100);
    ck_assert_int_eq(net_inject_record(n, 1, 2, &r), 0);
    n->tcp_blocked = true;
    net_run(n, 120000000);
    ck_assert_uint_eq(n->deaths, 0);
    ck_assert_uint_gt(n->nodes[1]->counters.streams_failed, 0);
    ck_assert(net_agrees(n));
    net_free(n);
}
END_TEST

/* scenario G31 */
START_TEST(differences_larger_than_a_page_all_come_across)
{
    struct gossip_rules rules = gossip_rules_default();
    struct net *n = net_new(2, rules, 31);
    net_free(n);
    n = net_new(100, rules, 31);
    for (uint32_t id = 3; id <= 100; id++) {
        net_crash(n, id);
    }
    for (uint32_t id = 1; id <= 2; id++) {
        n->options.stream_bytes = 1024;
        net_crash(n, id);
        net_start(n, id, 2);
    }
    for (uint32_t id = 3; id <= 100; id++) {
        struct gossip_record r = net_record(id, GOSSIP_ALIVE, 1, id);
        ck_assert_int_eq(net_inject_record(n, 1, 2, &r), 0);
        gossip_rumors_drop(n->nodes[1], gossip_entry_of(n->nodes[1], id)->rumor);
    }
    uint32_t rounds = 0;
    n->nodes[2]->sync_us = UINT64_MAX / 2;
    for (; rounds < 20; rounds++) {
        struct gossip *g = n->nodes[1];
        for (uint32_t id = 3; id <= 100; id++) {
            struct gossip_entry *e = gossip_entry_of(g, id);
            gossip_record_state(g, e, GOSSIP_LEFT); /* so that 2 is the partner */
            struct gossip_entry *f = gossip_entry_of(n->nodes[2], id);
            gossip_record_state(n->nodes[2], f, f->state == GOSSIP_LEFT ? GOSSIP_LEFT : f->state);
        }
        g->sync_us = n->now_us;
        net_run(n, 900000);
        if (gossip_digest(n->nodes[1]) == gossip_digest(n->nodes[2])) {
            break;
        }
    }
    ck_assert_uint_lt(rounds, 20);
    net_free(n);
}
END_TEST

START_TEST(equal_tables_sync_for_almost_nothing)
{
    struct net *n = net_new(100, gossip_rules_default(), 1);
    net_run(n, 10000000);
    uint64_t before = 0;
    uint64_t after = 0;
    struct gossip_counters c;
    for (uint32_t id = 1; id <= 100; id++) {
        gossip_counters_get(n->nodes[id], &c);
        before += c.stream_bytes_out;
    }
    net_run(n, 120000000);
    for (uint32_t id = 1; id <= 100; id++) {
        gossip_counters_get(n->nodes[id], &c);
        after += c.stream_bytes_out;
    }
    ck_assert_uint_gt(after, before);
    ck_assert_uint_lt(after - before, 100ul * 2 * 200);
    net_free(n);
}
END_TEST

START_TEST(whole_syncs_bring_what_rumors_did_not)
{
    struct net *n = net_new(8, gossip_rules_memberlist(), 1);
    net_run(n, 2000000);
    struct gossip_record r = net_record(3, GOSSIP_ALIVE, 1, 5);
    ck_assert_int_eq(net_inject_record(n, 1, 2, &r), 0);
    gossip_rumors_drop(n->nodes[1], gossip_entry_of(n->nodes[1], 3)->rumor);
    ck_assert(!net_agrees(n));
    net_run(n, 90000000);
    ck_assert(net_agrees(n));
    net_free(n);
}
END_TEST

/* scenario G29; most: bytes that may be sent of it */
static void storm(uint32_t kind, uint64_t most)
{
    struct net *n = net_new(16, gossip_rules_default(), 29);
    net_run(n, 2000000);
    uint8_t value[8];
    for (uint64_t i = 1; i <= 3000; i++) {
        num_put_u64(value, i);
        ck_assert_int_eq(gossip_fact_set(n->nodes[1], kind, bytes_of(value, 8), n->now_us), 0);
        net_run(n, 10000);
        ck_assert_uint_eq(n->nodes[1]->facts.count, 1);
    }
    uint64_t sent = n->nodes[1]->counters.facts_out;
    ck_assert_uint_lt(sent * (GOSSIP_PART_BYTES + 13 + 8), most);
    net_run(n, 60000000);
    for (uint32_t id = 1; id <= 16; id++) {
        uint64_t version = 0;
        struct bytes got;
        ck_assert_int_eq(gossip_fact_get(n->nodes[id], 1, kind, &version, &got), 0);
        ck_assert_uint_eq(got.size, 8);
        ck_assert_uint_eq(num_get_u64(got.data), 3000);
    }
    ck_assert_uint_gt(n->facts, 15);
    net_free(n);
}

START_TEST(storm_of_one_fact_is_one_item_and_the_newest_wins)
{
    storm(GOSSIP_FACT_PROMPT, 31ul * 128 + 2048);
    storm(GOSSIP_FACT_PROMPT - 1, 16 * (31ul * 128 + 2048));
}
END_TEST

/* returns: how many nodes do not have this value of a member's fact. */
static unsigned net_lacking(const struct net *n, uint32_t member, uint32_t kind, uint64_t value)
{
    unsigned lacking = 0;
    for (uint32_t id = 1; id <= n->count; id++) {
        uint64_t version = 0;
        struct bytes got;
        lacking += gossip_fact_get(n->nodes[id], member, kind, &version, &got) != 0 ||
                   num_get_u64(got.data) != value;
    }
    return lacking;
}

/* A busy cluster: more of another kind than can be told at all, and no probes, as all hear of each
 * other by what they do together. */
START_TEST(a_fact_of_a_prompt_kind_is_known_in_three_seconds)
{
    struct net *n = net_new(5, gossip_rules_default(), unit_seed("prompt_facts", 1));
    uint8_t value[GOSSIP_FACT_BYTES_MAX] = {0};
    for (uint64_t tenth = 10; tenth < 610; tenth++) {
        for (uint32_t id = 1; id <= 5; id++) {
            for (uint32_t other = 1; other <= 5; other++) {
                if (other != id) {
                    gossip_evidence(n->nodes[id], other, GOSSIP_ANSWERED, 300, n->now_us);
                }
            }
            num_put_u64(value, tenth / 10);
            ck_assert_int_eq(gossip_fact_set(n->nodes[id], GOSSIP_FACT_PROMPT,
                                             bytes_of(value, sizeof(value)), n->now_us),
                             0);
        }
        if (tenth % 100 == 0 && tenth > 100) {
            ck_assert_uint_eq(net_lacking(n, 2, 0, tenth - 30), 0);
        }
        if (tenth % 100 == 70) {
            num_put_u64(value, tenth);
            ck_assert_int_eq(gossip_fact_set(n->nodes[2], 0, bytes_of(value, 10), n->now_us), 0);
        }
        net_run(n, 100000);
    }
    net_free(n);
}
END_TEST

/* Steps of a rotation of keys: each begins when all know that all have followed the last one. */
START_TEST(prompt_facts_of_all_members_are_known_in_three_seconds)
{
    static const uint32_t counts[] = {5, 16, 64};
    for (unsigned i = 0; i < 3; i++) {
        struct net *n =
            net_new(counts[i], gossip_rules_default(), unit_seed("prompt_facts_of_all", 1));
        uint8_t value[10] = {0};
        net_run(n, 10000000);
        for (uint64_t step = 1; step <= 6; step++) {
            num_put_u64(value, step);
            for (uint32_t id = 1; id <= n->count; id++) {
                ck_assert_int_eq(gossip_fact_set(n->nodes[id], 0, bytes_of(value, 10), n->now_us),
                                 0);
            }
            net_run(n, 3000000);
            unsigned missed = 0;
            for (uint32_t id = 1; id <= n->count; id++) {
                missed += net_lacking(n, id, 0, step);
            }
            ck_assert_uint_le(missed, 1); /* a sync brings it */
        }
        net_free(n);
    }
}
END_TEST

START_TEST(facts_are_bounded_in_kind_and_size_and_memory)
{
    struct net *n = net_new(3, gossip_rules_default(), 1);
    struct gossip *g = n->nodes[1];
    uint8_t value[GOSSIP_FACT_BYTES_MAX + 1] = {0};
    ck_assert_int_eq(gossip_fact_set(g, 16, bytes_of(value, 1), n->now_us), ERR_INVALID);
    ck_assert_int_eq(gossip_fact_set(g, 1, bytes_of(value, sizeof(value)), n->now_us),
                     ERR_TOO_LARGE);
    struct rng rng;
    rng_init(&rng, unit_seed("facts_are_bounded_in_kind_and_size_and_memory", 1));
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t kind = (uint32_t)rng_below(&rng, GOSSIP_FACT_KINDS);
        size_t size = rng_below(&rng, GOSSIP_FACT_BYTES_MAX + 1);
        memset(value, (int)kind, sizeof(value));
        ck_assert_int_eq(gossip_fact_set(g, kind, bytes_of(value, size), n->now_us), 0);
        uint64_t version = 0;
        struct bytes got;
        ck_assert_int_eq(gossip_fact_get(g, 1, kind, &version, &got), 0);
        ck_assert_uint_eq(got.size, size);
        ck_assert(size == 0 || memcmp(got.data, value, size) == 0);
    }
    uint64_t version = 0;
    struct bytes none;
    ck_assert_int_eq(gossip_fact_get(g, 2, 1, &version, &none), ERR_NOT_FOUND);
    net_free(n);
}
END_TEST

START_TEST(restarted_members_facts_replace_those_of_before)
{
    struct net *n = net_new(4, gossip_rules_default(), 1);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_int_eq(gossip_fact_set(n->nodes[2], 0, bytes_of("old", 3), n->now_us), 0);
    }
    net_run(n, 20000000);
    net_crash(n, 2);
    net_start(n, 2, 2);
    ck_assert_int_eq(gossip_fact_set(n->nodes[2], 0, bytes_of("new", 3), n->now_us), 0);
    net_run(n, 60000000);
    uint64_t version = 0;
    struct bytes got;
    ck_assert_int_eq(gossip_fact_get(n->nodes[3], 2, 0, &version, &got), 0);
    ck_assert_mem_eq(got.data, "new", 3);
    net_free(n);
}
END_TEST

START_TEST(full_queue_drops_what_was_sent_most)
{
    struct net *n = net_new(100, gossip_rules_default(), 1);
    struct gossip *g = n->nodes[1];
    g->rumors.cap = 64;
    for (uint32_t id = 2; id <= 100; id++) {
        struct gossip_record r = net_record(id, GOSSIP_ALIVE, 1, 1);
        ck_assert_int_eq(net_inject_record(n, 1, id == 2 ? 3 : 2, &r), 0);
        ck_assert_uint_le(gossip_rumors_count(g), 64);
    }
    ck_assert_uint_ne(gossip_entry_of(g, 100)->rumor, 0);
    ck_assert_uint_eq(gossip_entry_of(g, 2)->rumor, 0);
    ck_assert_uint_gt(g->counters.queue_dropped, 0);
    net_free(n);
}
END_TEST

static void cut_is_exactly(struct net *n, uint32_t faulty)
{
    for (uint32_t id = 1; id <= n->count; id++) {
        for (uint32_t of = 1; id != faulty && of <= n->count; of++) {
            ck_assert_msg(n->cut_told[id][of] == (of == faulty), "at %u of %u", id, of);
        }
    }
}

/* scenario G14 */
START_TEST(member_that_hears_nothing_is_cut_and_nobody_else)
{
    struct net *n = net_new(40, gossip_rules_default(), 14);
    net_run(n, 5000000);
    for (uint32_t id = 1; id <= 40; id++) {
        n->cut[id][7] = true;
    }
    net_run(n, 30000000);
    cut_is_exactly(n, 7);
    net_free(n);
}
END_TEST

/* scenario G16 */
START_TEST(member_that_loses_most_it_sends_is_cut_and_comes_back)
{
    struct net *n = net_new(60, gossip_rules_default(), 16);
    net_run(n, 5000000);
    n->egress_loss[9] = 80;
    net_run(n, 30000000);
    cut_is_exactly(n, 9);
    ck_assert_int_eq(net_state(n, 1, 9), GOSSIP_DEAD);
    n->egress_loss[9] = 0;
    net_run(n, 120000000);
    ck_assert_int_eq(net_state(n, 1, 9), GOSSIP_ALIVE);
    net_free(n);
}
END_TEST

static struct gossip_report *report_at(struct net *n, uint32_t at, uint32_t subject)
{
    for (uint32_t i = 0; i < GOSSIP_REPORTS_MAX; i++) {
        if (n->nodes[at]->reports[i].subject == subject) {
            return &n->nodes[at]->reports[i];
        }
    }
    return NULL;
}

static void deafen(struct net *n, uint32_t deaf, bool cut)
{
    for (uint32_t id = 1; id <= n->count; id++) {
        n->cut[id][deaf] = cut;
    }
}

START_TEST(alert_that_stands_is_told_again_only_before_it_grows_old)
{
    struct net *n = net_new(16, gossip_rules_default(), 8);
    net_run(n, 5000000);
    deafen(n, 7, true);
    net_run(n, 30000000);
    uint32_t rounds[GOSSIP_RINGS_MAX] = {0};
    unsigned told = 0;
    for (unsigned i = 0; i < 2400; i++) {
        net_run(n, 100000);
        const struct gossip_report *report = report_at(n, 1, 7);
        ck_assert_ptr_nonnull(report);
        ck_assert(report->cut);
        for (unsigned ring = 0; ring < GOSSIP_RINGS_MAX; ring++) {
            told += report->rounds[ring] != rounds[ring];
            rounds[ring] = report->rounds[ring];
        }
    }
    /* ten rings, four minutes, every half minute in the end */
    ck_assert_uint_le(told, 10 * 10);
    net_free(n);
}
END_TEST

START_TEST(observers_say_again_what_a_node_missed_that_they_took_back)
{
    struct net *n = net_new(16, gossip_rules_default(), 9);
    net_run(n, 5000000);
    deafen(n, 7, true);
    net_run(n, 30000000);
    ck_assert(report_at(n, 1, 7)->cut);
    uint16_t bad = report_at(n, 1, 7)->bad;
    deafen(n, 7, false);
    for (unsigned i = 0; i < 5000 && net_state(n, 2, 7) != GOSSIP_ALIVE; i++) {
        net_run(n, 10000);
        report_at(n, 1, 7)->bad = bad; /* it misses what is said now */
    }
    ck_assert_int_eq(net_state(n, 2, 7), GOSSIP_ALIVE);
    ck_assert_int_eq(net_state(n, 1, 7), GOSSIP_DEAD);
    net_run(n, 25000000); /* an alert grows old in 60 s */
    ck_assert_int_eq(net_state(n, 1, 7), GOSSIP_ALIVE);
    ck_assert(net_agrees(n));
    net_free(n);
}
END_TEST

START_TEST(observers_are_distinct_and_the_same_everywhere)
{
    struct net *n = net_new(6, gossip_rules_default(), 1);
    ck_assert_uint_eq(gossip_cut_rings(n->nodes[1]), 5);
    for (uint32_t subject = 1; subject <= 6; subject++) {
        unsigned seen = 0;
        for (uint32_t ring = 0; ring < 5; ring++) {
            uint32_t observer = gossip_cut_observer(n->nodes[1], subject, ring);
            ck_assert_uint_eq(observer, gossip_cut_observer(n->nodes[4], subject, ring));
            ck_assert_uint_ne(observer, subject);
            seen |= 1u << observer;
        }
        ck_assert_uint_eq((unsigned)__builtin_popcount(seen), 5);
    }
    net_free(n);
}
END_TEST

UNIT_MAIN("gossip_sync", halves_of_a_partition_become_one_view_again,
          blocked_datagrams_kill_nobody_while_streams_pass,
          blocked_streams_are_counted_and_kill_nobody,
          differences_larger_than_a_page_all_come_across, equal_tables_sync_for_almost_nothing,
          whole_syncs_bring_what_rumors_did_not, storm_of_one_fact_is_one_item_and_the_newest_wins,
          a_fact_of_a_prompt_kind_is_known_in_three_seconds,
          prompt_facts_of_all_members_are_known_in_three_seconds,
          facts_are_bounded_in_kind_and_size_and_memory,
          restarted_members_facts_replace_those_of_before, full_queue_drops_what_was_sent_most,
          member_that_hears_nothing_is_cut_and_nobody_else,
          member_that_loses_most_it_sends_is_cut_and_comes_back,
          alert_that_stands_is_told_again_only_before_it_grows_old,
          observers_say_again_what_a_node_missed_that_they_took_back,
          observers_are_distinct_and_the_same_everywhere)
