/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Membership: decisions of group 0 about nodes, and what they ask for.
 */
#include "server/node/control_internal.h"
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

UNIT_MAIN("node_member", a_decision_reaches_every_replica_and_survives_a_restart,
          a_decision_about_an_earlier_start_of_the_node_is_refused,
          a_majority_of_the_roster_is_never_out, a_node_goes_out_at_most_once_in_the_pause)
