/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The two sets of rules.
 */
#include "gossip/gossip.h"
#include "tests/unit/unit.h"

START_TEST(memberlist_rules_have_no_extension)
{
    struct gossip_rules rules = gossip_rules_memberlist();
    ck_assert(!rules.demand && !rules.cuts && rules.sync_whole);
    ck_assert_uint_eq(rules.confirmations, rules.suspicion_mult - 2);
}
END_TEST

START_TEST(default_rules_scale_within_their_limits)
{
    struct gossip_rules rules = gossip_rules_default();
    ck_assert(rules.demand && rules.cuts && !rules.sync_whole);
    ck_assert_uint_le(rules.cut_observers, GOSSIP_RINGS_MAX);
    ck_assert_uint_lt(rules.cut_low, rules.cut_high);
    ck_assert_uint_le(rules.cut_high, rules.cut_observers);
}
END_TEST

UNIT_MAIN("gossip_rules", memberlist_rules_have_no_extension,
          default_rules_scale_within_their_limits)
