/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode without faults: what is read meanwhile; and at rest: owners that agree have nothing
 * to do, and what makes them differ wakes them.
 */
#include "tests/unit/unit.h"

#include "ev_nodes.h"
#include "server/node/control_internal.h"

static struct rig *begin(unsigned nodes)
{
    struct rig *r = rig_new(nodes);
    ck_assert(rig_leader(r, 0) != 0);
    ck_assert(ev_ready(r));
    return r;
}

static bool at_rest(struct rig *r)
{
    for (unsigned i = 1; i <= r->nodes_count; i++) {
        const struct node_eventual *ev = r->nodes[i - 1].up ? ev_node(r, i)->eventual : NULL;
        if (ev != NULL && (ev->tick.at_us != 0 || ev->run.at_us != 0 || ev->hold.at_us != 0)) {
            return false;
        }
    }
    return true;
}

static bool comes_to_rest(struct rig *r)
{
    for (unsigned i = 0; i < 600 && !at_rest(r); i++) {
        rig_run(r, 100000);
    }
    if (!at_rest(r)) {
        return false;
    }
    rig_run(r, 30000000); /* and stays there */
    return at_rest(r);
}

START_TEST(a_cluster_that_was_written_to_comes_to_rest_again)
{
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    ck_assert_int_eq(ev_set(r, 2, "set", CRDT_ADD, "x"), 0);
    ck_assert_int_eq(ev_set(r, 3, "set", CRDT_REMOVE, "x"), 0);
    ck_assert(comes_to_rest(r));
    ck_assert(ev_same(r));
    ck_assert_uint_eq(ev_removals(r, 1, "set"), 0);
    ck_assert_int_eq(ev_add(r, 2, "n", 1), 0); /* the next write wakes it */
    ck_assert(ev_converge(r, 5000000));
    ck_assert(comes_to_rest(r));
    ck_assert_int_eq(ev_count(r, 3, "n"), 2);
    rig_free(r);
}
END_TEST

START_TEST(what_is_at_rest_wakes_when_a_node_comes_back)
{
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_ADD, "x"), 0);
    ck_assert(ev_converge(r, 5000000));
    rig_isolate(r, 3, true);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_REMOVE, "x"), 0);
    ck_assert(comes_to_rest(r)); /* nobody waits for who is away */
    ck_assert_uint_eq(ev_removals(r, 1, "set"), 1);
    rig_isolate(r, 3, false);
    ck_assert(ev_converge(r, 5000000));
    ck_assert(comes_to_rest(r));
    ck_assert(!ev_has(r, 3, "set", "x"));
    ck_assert_uint_eq(ev_removals(r, 1, "set"), 0);
    rig_stop(r, 2);
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    ck_assert(comes_to_rest(r));
    rig_start(r, 2);
    ck_assert(ev_ready(r));
    ck_assert(ev_converge(r, 5000000));
    ck_assert(comes_to_rest(r));
    ck_assert_int_eq(ev_count(r, 2, "n"), 1);
    rig_free(r);
}
END_TEST

/* The first cannot reach the third, so what the third has must come by way of the second. */
START_TEST(nobody_rests_while_a_node_that_it_reaches_lacks_something)
{
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    ck_assert(comes_to_rest(r));
    rig_link(r, 1, 3, false);
    ck_assert_int_eq(ev_add(r, 3, "n", 1), 0);
    ck_assert(ev_converge(r, 10000000));
    ck_assert_int_eq(ev_count(r, 1, "n"), 2);
    ck_assert(comes_to_rest(r));
    rig_free(r);
}
END_TEST

START_TEST(what_is_at_rest_wakes_when_the_owners_are_others)
{
    static struct node_ev_list before[NODE_EV_REGIONS];
    static struct node_ev_list after[NODE_EV_REGIONS];
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        before[i] = (struct node_ev_list){.nodes = {1, 2}, .owners = 2, .count = 2};
        after[i] = (struct node_ev_list){.nodes = {2, 3, 1}, .owners = 2, .count = 3};
    }
    struct rig *r = begin(3);
    for (unsigned i = 1; i <= 3; i++) {
        ev_node(r, i)->eventual->lists = before;
    }
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    ck_assert(comes_to_rest(r));
    ck_assert_int_eq(ev_count(r, 3, "n"), 0);
    for (unsigned i = 1; i <= 3; i++) {
        ev_node(r, i)->eventual->lists = after;
        node_ev_owners_changed(ev_node(r, i));
    }
    rig_run(r, 10000000);
    ck_assert_int_eq(ev_count(r, 3, "n"), 1);
    ck_assert(comes_to_rest(r));
    rig_free(r);
}
END_TEST

static void decided(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    *(int *)ctx = code;
}

START_TEST(a_decision_about_a_member_wakes_what_is_at_rest)
{
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    ck_assert(comes_to_rest(r));
    uint8_t body[NODE_ROSTER_CHANGE_BYTES];
    const struct node_roster_change c = {
        .node = 2, .incarnation = 1, .boot = r->nodes[1].boot, .state = NODE_MEMBER_OUT};
    node_roster_change_encode(&c, body);
    const struct node_cmd cmd = {.op = NODE_OP_NODE_STATE, .body = bytes_of(body, sizeof body)};
    int code = 1;
    node_propose(ev_node(r, 1), 0, &cmd, r->now + 5000000, &code, decided);
    for (unsigned i = 0; i < 500 && at_rest(r); i++) {
        rig_run(r, 2000);
    }
    ck_assert(!at_rest(r));
    ck_assert(comes_to_rest(r));
    ck_assert_int_eq(code, 0);
    rig_free(r);
}
END_TEST

/* scenario C26: each write is answered when it is on every owner; so what is read anywhere is no
 * less than what was acknowledged by then, and never more than what was tried. */
START_TEST(every_read_is_between_what_was_acknowledged_and_what_was_tried)
{
    struct rng rng;
    static struct ev_done done[600];
    static int64_t amounts[600];
    int64_t tried = 0;
    unsigned between = 0;
    rng_init(&rng, unit_seed("counter", 26));
    struct rig *r = begin(5);
    for (unsigned count = 0; count < 600; count++) {
        amounts[count] = 1 + (int64_t)rng_below(&rng, 5);
        const struct crdt_op op = {.verb = CRDT_ADD, .amount = amounts[count]};
        ev_begin(r, 1 + (unsigned)rng_below(&rng, 5), "n", CRDT_PN_COUNTER, &op, 5, &done[count]);
        tried += amounts[count];
        for (unsigned i = 0; i < r->nodes_count; i++) { /* some disks take a while */
            r->nodes[i].wal_held = rng_chance(&rng, 1, 4);
        }
        rig_run(r, rng_below(&rng, 4000));
        int64_t acknowledged = 0;
        for (unsigned i = 0; i <= count; i++) {
            ck_assert(!done[i].ended || (done[i].code == 0 && done[i].copies == 5));
            acknowledged += done[i].ended ? amounts[i] : 0;
        }
        int64_t value = ev_count(r, 1 + (unsigned)rng_below(&rng, 5), "n");
        ck_assert_int_ge(value, acknowledged);
        ck_assert_int_le(value, tried);
        between += value > acknowledged && value < tried;
    }
    ck_assert_uint_gt(between, 60); /* reads in the midst of writes, not only at rest */
    for (unsigned i = 0; i < r->nodes_count; i++) {
        r->nodes[i].wal_held = false;
    }
    ck_assert(ev_converge(r, 5000000));
    for (unsigned i = 1; i <= 5; i++) {
        ck_assert_int_eq(ev_count(r, i, "n"), tried);
    }
    rig_free(r);
}
END_TEST

/* What was refused for a moment does not wait until it is clear that it does not come by itself. */
START_TEST(what_was_refused_when_it_was_pushed_is_fetched_at_once)
{
    struct rig *r = rig_new(3);
    ck_assert(ev_ready(r));
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    ck_assert(ev_converge(r, 5000000));
    rig_run(r, 3000000);
    ev_node(r, 2)->disk_full = true;
    r->nodes[0].jobs_held = true; /* it answers nothing that must be read */
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    rig_run(r, 100000);
    ck_assert_int_eq(ev_count(r, 2, "n"), 1);
    ck_assert_int_eq(ev_count(r, 3, "n"), 2);
    ev_node(r, 2)->disk_full = false;
    r->nodes[0].jobs_held = false;
    rig_run(r, 300000);
    ck_assert_int_eq(ev_count(r, 2, "n"), 2);
    rig_free(r);
}
END_TEST

UNIT_MAIN("ev_rest", every_read_is_between_what_was_acknowledged_and_what_was_tried,
          a_cluster_that_was_written_to_comes_to_rest_again,
          what_is_at_rest_wakes_when_a_node_comes_back,
          nobody_rests_while_a_node_that_it_reaches_lacks_something,
          what_is_at_rest_wakes_when_the_owners_are_others,
          a_decision_about_a_member_wakes_what_is_at_rest,
          what_was_refused_when_it_was_pushed_is_fetched_at_once)
