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

UNIT_MAIN("gossip_probe", calm_members_stay_alive_and_agree, crash_is_known_to_all_of_three,
          crash_is_known_to_all_of_128_on_demand, crash_is_known_by_memberlists_rules)
