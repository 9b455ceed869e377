/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The two sets of rules: what the product runs, and memberlist's for comparison.
 */
#include "gossip/gossip.h"

struct gossip_rules gossip_rules_memberlist(void)
{
    return (struct gossip_rules){
        .probe_interval_us = 1000000,
        .probe_timeout_us = 500000,
        .gossip_interval_us = 200000,
        .sync_interval_us = 30000000,
        .reap_us = 30000000,
        .fanout = 3,
        .relays = 3,
        .retransmit_mult = 4,
        .suspicion_mult = 4,
        .suspicion_max_mult = 6,
        .confirmations = 2,
        .health_max = 8,
        .sync_whole = true,
    };
}

struct gossip_rules gossip_rules_default(void)
{
    struct gossip_rules rules = gossip_rules_memberlist();
    rules.confirmations = 6;
    rules.late_is_own = true;
    rules.neighbour = true;
    rules.ask_again = true;
    rules.demand = true;
    rules.demand_probers = 12;
    rules.demand_min_us = 1000000;
    rules.demand_from = 50;
    rules.sync_whole = false;
    rules.cuts = true;
    rules.cut_observers = 10;
    rules.cut_high = 9;
    rules.cut_low = 4;
    rules.cut_from = 5;
    rules.cut_window_us = 10000000;
    return rules;
}
