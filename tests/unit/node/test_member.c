/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Membership: decisions of group 0 about nodes, and what they ask for.
 */
#include "server/node/member_internal.h"
#include "tests/unit/node/rig.h"
#include "tests/unit/unit.h"

#define MINUTE_US UINT64_C(60000000)

static void change_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    *(int *)ctx = code;
}

/* Proposes it at node i and returns what came of it. */
static int change(struct rig *r, unsigned i, uint32_t node, enum node_member_state state,
                  uint64_t boot)
{
    uint8_t body[NODE_ROSTER_CHANGE_BYTES];
    struct node_roster_change c = {
        .node = node, .incarnation = 1, .boot = boot, .state = state, .pause_us = 10 * MINUTE_US};
    int code = 1;
    node_roster_change_encode(&c, body);
    struct node *n = r->nodes[i - 1].node;
    struct node_cmd cmd = {.op = NODE_OP_NODE_STATE, .body = bytes_of(body, sizeof body)};
    node_propose(n, 0, &cmd, node_now(n) + 5000000, &code, change_done);
    rig_run(r, 6000000);
    return code;
}

static struct rig *begin(unsigned nodes, unsigned *leader)
{
    struct rig *r = rig_new(nodes);
    *leader = rig_leader(r, 0);
    rig_run(r, 5000000); /* the boot numbers are recorded */
    return r;
}

START_TEST(a_decision_reaches_every_replica_and_survives_a_restart)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    ck_assert(!node_member_out(r->nodes[0].node, 2));
    ck_assert_int_eq(change(r, l, 2, NODE_MEMBER_OUT, r->nodes[1].boot), 0);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(node_member_out(r->nodes[i].node, 2));
        ck_assert(!node_member_out(r->nodes[i].node, 1));
        ck_assert_uint_eq(r->nodes[i].node->control->peers[2].capacity_bytes, 1ull << 40);
    }
    rig_run(r, 5000000);
    rig_stop(r, 3);
    rig_start(r, 3);
    rig_run(r, 3000000);
    ck_assert(node_member_out(r->nodes[2].node, 2));
    ck_assert_int_eq(change(r, l, 2, NODE_MEMBER_IN, r->nodes[1].boot), 0);
    ck_assert(!node_member_out(r->nodes[2].node, 2));
    ck_assert(rig_settle(r, 0));
    ck_assert(rig_digests_equal(r, 0));
    rig_free(r);
}
END_TEST

START_TEST(a_decision_about_an_earlier_start_of_the_node_is_refused)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    unsigned f = l % 3 + 1;
    uint64_t boot = r->nodes[f - 1].boot;
    rig_stop(r, f);
    rig_start(r, f);
    rig_run(r, 5000000);
    ck_assert_uint_gt(r->nodes[f - 1].boot, boot);
    ck_assert_int_eq(change(r, l, f, NODE_MEMBER_OUT, boot), ERR_CONFLICT);
    ck_assert(!node_member_out(r->nodes[l - 1].node, f));
    rig_free(r);
}
END_TEST

START_TEST(a_majority_of_the_roster_is_never_out)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    ck_assert_int_eq(change(r, l, 2, NODE_MEMBER_OUT, r->nodes[1].boot), 0);
    ck_assert_int_eq(change(r, l, 3, NODE_MEMBER_OUT, r->nodes[2].boot), ERR_UNAVAILABLE);
    ck_assert(!node_member_out(r->nodes[l - 1].node, 3));
    rig_free(r);
}
END_TEST

/* scenario G36: a node that comes and goes is out at most once in ten minutes */
START_TEST(a_node_goes_out_at_most_once_in_the_pause)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    uint64_t boot = r->nodes[1].boot;
    ck_assert_int_eq(change(r, l, 2, NODE_MEMBER_OUT, boot), 0);
    ck_assert_int_eq(change(r, l, 2, NODE_MEMBER_IN, boot), 0);
    ck_assert_int_eq(change(r, l, 2, NODE_MEMBER_OUT, boot), ERR_BUSY);
    rig_run(r, 10 * MINUTE_US);
    ck_assert_int_eq(change(r, l, 2, NODE_MEMBER_OUT, boot), 0);
    rig_free(r);
}
END_TEST

START_TEST(a_forged_boot_number_fences_nobody)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    unsigned f = l % 3 + 1;
    struct node *n = r->nodes[l - 1].node;
    uint64_t boot = r->nodes[f - 1].boot;
    (void)node_peer_check(n, f, 1, UINT64_MAX - 1, 99);
    ck_assert_int_eq(node_peer_check(n, f, 1, boot, boot * 1000 + f), 0);
    ck_assert_int_eq(node_peer_check(n, f, 1, boot, boot * 1000 + f + 1), ERR_FENCED);
    ck_assert_int_eq(node_peer_check(n, f, 1, boot - 1, boot * 1000 + f), ERR_FENCED);
    rig_free(r);
}
END_TEST

START_TEST(two_processes_with_one_new_boot_number_are_told_apart_while_one_is_connected)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    unsigned f = l % 3 + 1;
    struct node *n = r->nodes[l - 1].node;
    uint64_t boot = r->nodes[f - 1].boot + 1;
    ck_assert_int_eq(node_peer_check(n, f, 1, boot, 5), 0);
    ck_assert_int_eq(node_peer_check(n, f, 1, boot, 6), ERR_FENCED);
    rig_link(r, l, f, false);
    ck_assert_int_eq(node_peer_check(n, f, 1, boot, 6), 0);
    rig_free(r);
}
END_TEST

static void refuse(struct rig *r, unsigned i, uint32_t by)
{
    struct node_event ev = {
        .kind = NODE_EV_REFUSED, .peer = by, .now_us = r->now, .wall_us = r->now};
    node_step(r->nodes[i - 1].node, &ev);
    rig_run(r, 10000);
}

START_TEST(a_node_ends_when_a_majority_of_group_0_holds_it_fenced_and_not_before)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    refuse(r, 1, 2);
    refuse(r, 1, 2);
    ck_assert(!r->nodes[0].stopped);
    refuse(r, 1, 3);
    ck_assert(r->nodes[0].stopped);
    ck_assert_int_eq(r->nodes[0].stop_code, ERR_FENCED);
    rig_free(r);
}
END_TEST

START_TEST(a_peer_that_connects_again_has_taken_its_refusal_back)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    refuse(r, 1, 2);
    rig_link(r, 1, 2, false);
    rig_link(r, 1, 2, true);
    refuse(r, 1, 3);
    ck_assert(!r->nodes[0].stopped);
    rig_free(r);
}
END_TEST

/* ---- gossip --------------------------------------------------------------------------------- */

static struct gossip_member member(struct rig *r, unsigned i, uint32_t id)
{
    struct gossip_member m = {.id = 0};
    struct node *n = r->nodes[i - 1].node;
    ck_assert_ptr_nonnull(n->member->gossip);
    ck_assert_int_eq(gossip_member_of(n->member->gossip, id, &m), 0);
    return m;
}

/* Runs until node i says that of id. */
static bool becomes(struct rig *r, unsigned i, uint32_t id, enum gossip_state state, uint64_t us)
{
    for (uint64_t t = 0; t < us; t += 100000) {
        if (member(r, i, id).state == state) {
            return true;
        }
        rig_run(r, 100000);
    }
    return member(r, i, id).state == state;
}

START_TEST(a_node_that_stops_is_dead_for_the_others_and_alive_when_it_is_back)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    for (unsigned i = 1; i <= 3; i++) {
        for (uint32_t id = 1; id <= 3; id++) {
            ck_assert_int_eq(member(r, i, id).state, GOSSIP_ALIVE);
        }
    }
    ck_assert(node_peer_fit(r->nodes[0].node, 3));
    ck_assert(node_peer_sure(r->nodes[0].node, 3));
    struct wire_node status;
    uint64_t sent = 0;
    ck_assert_int_eq(rig_call(r, 1, "status", "", &status), 0);
    ck_assert_int_eq(
        wire_node_u64(wire_node_find(wire_node_find(status, "gossip"), "packets_out"), &sent), 0);
    ck_assert_uint_gt(sent, 0);
    rig_stop(r, 3);
    ck_assert(becomes(r, 1, 3, GOSSIP_DEAD, 20000000));
    ck_assert(becomes(r, 2, 3, GOSSIP_DEAD, 20000000));
    ck_assert_int_eq(member(r, 1, 2).state, GOSSIP_ALIVE);
    ck_assert(!node_peer_fit(r->nodes[0].node, 3));
    rig_start(r, 3);
    ck_assert(becomes(r, 1, 3, GOSSIP_ALIVE, 20000000));
    ck_assert_uint_eq(member(r, 1, 3).epoch, r->nodes[2].boot);
    ck_assert_int_eq(member(r, 3, 1).state, GOSSIP_ALIVE);
    rig_free(r);
}
END_TEST

/* Nodes that decide after so long. */
static struct rig *begin_deciding(unsigned nodes, uint64_t delay_us, unsigned *leader)
{
    struct rig *r = rig_new(nodes);
    r->repair_delay_us = delay_us;
    for (unsigned i = 1; i <= nodes; i++) {
        rig_stop(r, i);
        rig_start(r, i);
    }
    *leader = rig_leader(r, 0);
    rig_run(r, 5000000);
    return r;
}

/* scenario G36: gossip says dead, group 0 decides after the delay, raft's voters stay */
START_TEST(a_dead_node_is_out_after_the_delay_and_not_before_and_a_member_again_later)
{
    unsigned l;
    struct rig *r = begin_deciding(3, MINUTE_US, &l);
    unsigned f = l % 3 + 1;
    unsigned other = 6 - l - f;
    rig_stop(r, f);
    rig_run(r, MINUTE_US - 2000000);
    ck_assert_int_eq(member(r, l, f).state, GOSSIP_DEAD);
    ck_assert(!node_member_out(r->nodes[l - 1].node, f));
    rig_run(r, 30000000);
    ck_assert(node_member_out(r->nodes[l - 1].node, f));
    ck_assert(node_member_out(r->nodes[other - 1].node, f));
    ck_assert_uint_eq(r->nodes[l - 1].node->by_id[0]->voters_count, 3);
    rig_start(r, f);
    ck_assert(becomes(r, l, f, GOSSIP_ALIVE, 20000000));
    rig_run(r, 5000000);
    ck_assert(node_member_out(r->nodes[l - 1].node, f));
    rig_run(r, 40000000);
    ck_assert(!node_member_out(r->nodes[l - 1].node, f));
    ck_assert(!node_member_out(r->nodes[f - 1].node, f));
    rig_free(r);
}
END_TEST

START_TEST(a_leader_that_sees_no_majority_decides_nothing)
{
    unsigned l;
    struct rig *r = begin_deciding(3, 10000000, &l);
    for (unsigned i = 1; i <= 3; i++) {
        if (i != l) {
            rig_stop(r, i);
        }
    }
    rig_run(r, MINUTE_US);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert(!node_member_out(r->nodes[l - 1].node, i));
    }
    rig_free(r);
}
END_TEST

START_TEST(a_node_whose_log_is_slow_says_so_and_gets_nothing_new)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    unsigned f = l % 3 + 1;
    r->nodes[f - 1].wal_held = true;
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:k|s:1", NULL), 0);
    ck_assert(becomes(r, l, f, GOSSIP_DEGRADED, 20000000));
    ck_assert_uint_eq(member(r, l, f).unwell, GOSSIP_UNWELL_DISK_SLOW);
    ck_assert(!node_peer_fit(r->nodes[l - 1].node, f));
    ck_assert(node_peer_is_up(r->nodes[l - 1].node, f));
    r->nodes[f - 1].wal_held = false;
    ck_assert(becomes(r, l, f, GOSSIP_ALIVE, 30000000));
    ck_assert(node_peer_fit(r->nodes[l - 1].node, f));
    rig_free(r);
}
END_TEST

START_TEST(without_gossip_a_member_is_what_its_connection_is)
{
    struct rig *r = rig_new(3);
    r->mute = true;
    for (unsigned i = 1; i <= 3; i++) {
        rig_stop(r, i);
        rig_start(r, i);
    }
    rig_run(r, 10000000);
    ck_assert_ptr_null(r->nodes[0].node->member->gossip);
    ck_assert(node_peer_fit(r->nodes[0].node, 2));
    rig_link(r, 1, 2, false);
    ck_assert(!node_peer_fit(r->nodes[0].node, 2));
    rig_free(r);
}
END_TEST

/* scenario G24: install, use, retire, in that order and only when the live ones have followed */
START_TEST(a_key_is_retired_only_when_all_live_members_have_switched)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    struct node *n = r->nodes[l - 1].node;
    ck_assert_int_eq(rig_call(r, l, "member.key.retire", "u:1", NULL), ERR_IN_USE);
    ck_assert_int_eq(rig_call(r, l, "member.key.use", "u:2", NULL), ERR_NOT_FOUND);
    rig_run(r, 10000000); /* all have told what they have */
    ck_assert_int_eq(rig_call(r, l, "member.key.install", "", NULL), 0);
    rig_run(r, 10000000);
    ck_assert_int_eq(rig_call(r, l, "member.key.use", "u:2", NULL), 0);
    ck_assert_uint_eq(gossip_keyring_used(&n->control->ring), 2);
    ck_assert_int_eq(rig_call(r, l, "member.key.retire", "u:1", NULL), ERR_BEHIND);
    rig_run(r, 10000000);
    ck_assert_int_eq(rig_call(r, l, "member.key.retire", "u:1", NULL), 0);
    rig_run(r, 20000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_uint_eq(r->nodes[i - 1].node->control->ring.count, 1);
        for (uint32_t id = 1; id <= 3; id++) {
            ck_assert_int_eq(member(r, i, id).state, GOSSIP_ALIVE);
        }
    }
    ck_assert(rig_settle(r, 0));
    ck_assert(rig_digests_equal(r, 0));
    rig_free(r);
}
END_TEST

/* scenario G24: who slept through a rotation learns the keys from group 0 and is heard again */
START_TEST(a_node_that_slept_through_a_rotation_is_heard_again)
{
    unsigned l;
    struct rig *r = begin(3, &l);
    unsigned f = l % 3 + 1;
    rig_run(r, 10000000);
    rig_stop(r, f);
    ck_assert(becomes(r, l, f, GOSSIP_DEAD, 30000000));
    const char *const steps[][2] = {
        {"member.key.install", ""}, {"member.key.use", "u:2"}, {"member.key.retire", "u:1"}};
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(rig_call(r, l, steps[i][0], steps[i][1], NULL), 0);
        rig_run(r, 10000000);
    }
    rig_start(r, f);
    ck_assert(becomes(r, l, f, GOSSIP_ALIVE, 40000000));
    ck_assert_int_eq(member(r, f, l).state, GOSSIP_ALIVE);
    rig_free(r);
}
END_TEST

UNIT_MAIN("node_member", a_decision_reaches_every_replica_and_survives_a_restart,
          a_decision_about_an_earlier_start_of_the_node_is_refused,
          a_majority_of_the_roster_is_never_out, a_node_goes_out_at_most_once_in_the_pause,
          a_forged_boot_number_fences_nobody,
          two_processes_with_one_new_boot_number_are_told_apart_while_one_is_connected,
          a_node_ends_when_a_majority_of_group_0_holds_it_fenced_and_not_before,
          a_peer_that_connects_again_has_taken_its_refusal_back,
          a_node_that_stops_is_dead_for_the_others_and_alive_when_it_is_back,
          a_dead_node_is_out_after_the_delay_and_not_before_and_a_member_again_later,
          a_leader_that_sees_no_majority_decides_nothing,
          a_node_whose_log_is_slow_says_so_and_gets_nothing_new,
          without_gossip_a_member_is_what_its_connection_is,
          a_key_is_retired_only_when_all_live_members_have_switched,
          a_node_that_slept_through_a_rotation_is_heard_again)
