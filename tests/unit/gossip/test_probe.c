/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Probes, suspicion and death, over the virtual network.
 */
#include "tests/unit/gossip/net.h"

START_TEST(calm_members_stay_alive_and_agree)
{
    struct net *n = net_new(16, gossip_rules_default(), 1);
    net_run(n, 60000000);
    ck_assert_uint_eq(n->deaths, 0);
    ck_assert(net_agrees(n));
    ck_assert_uint_le(n->datagram_most, 1350);
    for (uint32_t id = 1; id <= 16; id++) {
        struct gossip_counters c;
        gossip_counters_get(n->nodes[id], &c);
        ck_assert_uint_eq(c.malformed + c.skipped + c.suspected, 0);
        ck_assert_uint_gt(c.probes, 40);
    }
    net_free(n);
}
END_TEST

static void crash_is_known(uint32_t count, struct gossip_rules rules, uint64_t most_us)
{
    struct net *n = net_new(count, rules, 7);
    net_run(n, 10000000);
    net_crash(n, 2);
    net_run(n, most_us);
    for (uint32_t id = 1; id <= count; id++) {
        if (id != 2) {
            ck_assert_int_eq(net_state(n, id, 2), GOSSIP_DEAD);
            struct gossip_member m;
            ck_assert_int_eq(gossip_member_of(n->nodes[id], 2, &m), 0);
            ck_assert_uint_ge(m.confidence, GOSSIP_SURE_LEASE);
        }
    }
    ck_assert_uint_eq(n->deaths, count - 1);
    ck_assert(net_agrees(n));
    net_free(n);
}

START_TEST(crash_is_known_to_all_of_three)
{
    crash_is_known(3, gossip_rules_default(), 35000000);
}
END_TEST

START_TEST(crash_is_known_to_all_of_128_on_demand)
{
    crash_is_known(128, gossip_rules_default(), 10000000);
}
END_TEST

START_TEST(crash_is_known_by_memberlists_rules)
{
    crash_is_known(64, gossip_rules_memberlist(), 60000000);
}
END_TEST

START_TEST(node_that_starts_takes_its_ways_for_bad_until_it_knows_them)
{
    struct net *n = net_new(16, gossip_rules_default(), 3);
    struct gossip *g = n->nodes[1];
    uint32_t before = gossip_health_direct_loss(g);
    ck_assert_uint_gt(before, 65536u / 2);
    for (unsigned i = 0; i < 64; i++) {
        gossip_health_direct(g, false);
        ck_assert_uint_lt(gossip_health_direct_loss(g), before);
        before = gossip_health_direct_loss(g);
    }
    ck_assert_uint_lt(before, 65536u / 8);
    for (unsigned i = 0; i < 64; i++) {
        gossip_health_direct(g, true);
        ck_assert_uint_gt(gossip_health_direct_loss(g), before);
        before = gossip_health_direct_loss(g);
    }
    net_free(n);
}
END_TEST

static const struct gossip_probe *probe_of(const struct gossip *g, uint32_t target)
{
    for (uint32_t i = 0; i < g->probe_count; i++) {
        if (g->probes[i].target == target) {
            return &g->probes[i];
        }
    }
    return NULL;
}

START_TEST(probe_asks_until_its_interval_ends)
{
    struct gossip_rules rules[] = {gossip_rules_default(), gossip_rules_memberlist()};
    for (unsigned i = 0; i < 2; i++) {
        struct net *n = net_new(16, rules[i], 5);
        struct gossip *g = n->nodes[1];
        net_run(n, 3000000);
        net_crash(n, 9);
        gossip_probe_start(g, gossip_entry_of(g, 9), false);
        net_drain(n, 1);
        net_run(n, rules[i].probe_timeout_us + 20000);
        const struct gossip_probe *p = probe_of(g, 9);
        ck_assert_ptr_nonnull(p);
        ck_assert_int_eq(p->phase, GOSSIP_PHASE_INDIRECT);
        ck_assert(rules[i].ask_again == (p->asks > 0));
        ck_assert(rules[i].ask_again == (p->next_us < p->end_us));
        ck_assert_int_eq(net_state(n, 1, 9), GOSSIP_ALIVE);
        net_free(n);
    }
}
END_TEST

START_TEST(ways_that_lose_much_accuse_nobody)
{
    struct net *n = net_new(32, gossip_rules_default(), 40);
    for (uint32_t id = 1; id <= 32; id++) {
        n->egress_loss[id] = 40;
    }
    net_run(n, 60000000);
    for (uint32_t id = 1; id <= 32; id++) {
        ck_assert_uint_eq(n->nodes[id]->counters.suspected, 0);
    }
    net_free(n);
}
END_TEST

UNIT_MAIN("gossip_probe", node_that_starts_takes_its_ways_for_bad_until_it_knows_them,
          probe_asks_until_its_interval_ends, ways_that_lose_much_accuse_nobody,
          calm_members_stay_alive_and_agree, crash_is_known_to_all_of_three,
          crash_is_known_to_all_of_128_on_demand, crash_is_known_by_memberlists_rules)
