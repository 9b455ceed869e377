/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replication of eventual mode in whole nodes: what is written anywhere comes to be everywhere,
 * through partitions, absences, lost state and moving owners.
 */
#include "tests/unit/unit.h"

#include "ev_nodes.h"

static struct rig *begin(unsigned nodes)
{
    struct rig *r = rig_new(nodes);
    ck_assert(rig_leader(r, 0) != 0);
    ck_assert(ev_ready(r));
    return r;
}

START_TEST(a_write_comes_to_be_on_every_owner)
{
    struct rig *r = begin(3);
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = 5};
    struct ev_done done;
    ev_begin(r, 1, "n", CRDT_PN_COUNTER, &op, 3, &done);
    for (unsigned i = 0; i < 100 && !done.ended; i++) {
        rig_run(r, 2000);
    }
    ck_assert(done.ended);
    ck_assert_int_eq(done.code, 0);
    ck_assert_uint_eq(done.copies, 3);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(ev_count(r, i, "n"), 5);
    }
    ck_assert(ev_converge(r, 2000000));
    rig_free(r);
}
END_TEST

START_TEST(a_write_alone_says_that_it_is_on_one_node)
{
    struct rig *r = begin(3);
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = 5};
    struct ev_done done;
    rig_isolate(r, 2, true);
    ev_begin(r, 2, "n", CRDT_PN_COUNTER, &op, 2, &done);
    rig_run(r, 100000);
    ck_assert(done.ended);
    ck_assert_int_eq(done.code, 0);
    ck_assert_uint_eq(done.copies, 1);
    rig_isolate(r, 2, false);
    ck_assert(ev_converge(r, 3000000));
    ck_assert_int_eq(ev_count(r, 1, "n"), 5);
    rig_free(r);
}
END_TEST

START_TEST(many_increments_travel_as_few_records)
{
    struct rig *r = begin(3);
    static struct ev_done done[300];
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = 1};
    for (unsigned i = 0; i < 300; i++) {
        ev_begin(r, 1, "n", CRDT_PN_COUNTER, &op, 2, &done[i]);
    }
    rig_run(r, 500000);
    for (unsigned i = 0; i < 300; i++) {
        ck_assert(done[i].ended);
        ck_assert_int_eq(done[i].code, 0);
    }
    ck_assert_int_eq(ev_count(r, 3, "n"), 300);
    ck_assert_uint_lt(ev_node(r, 1)->eventual->counters.pushes, 40);
    ck_assert_uint_lt(ev_node(r, 1)->eventual->counters.pushed_bytes, 10000);
    rig_free(r);
}
END_TEST

START_TEST(what_nobody_waits_for_travels_together_and_what_is_waited_for_at_once)
{
    struct rig *r = begin(3);
    static struct ev_done done[20];
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = 1};
    rig_run(r, 3000000);
    uint64_t before = ev_node(r, 1)->eventual->counters.pushes;
    for (unsigned i = 0; i < 20; i++) {
        ev_begin(r, 1, "n", CRDT_PN_COUNTER, &op, 1, &done[i]);
        rig_run(r, 2000);
    }
    rig_run(r, 2 * NODE_EV_PACE_US);
    ck_assert_int_eq(ev_count(r, 3, "n"), 20);
    ck_assert_uint_le(ev_node(r, 1)->eventual->counters.pushes - before, 6); /* of both peers */
    for (unsigned i = 0; i < 20; i++) {
        ev_begin(r, 1, "n", CRDT_PN_COUNTER, &op, 1, &done[0]);
        ev_begin(r, 1, "n", CRDT_PN_COUNTER, &op, 3, &done[1]);
        rig_run(r, NODE_EV_PACE_US / 2);
        ck_assert(done[1].ended);
        ck_assert_uint_eq(done[1].copies, 3);
    }
    rig_free(r);
}
END_TEST

/* What one peer is told of this node's dots, and the other is not yet, that one cannot join when
 * the first one tells of its own. */
START_TEST(peers_get_pushes_at_the_same_time_also_after_one_was_late)
{
    struct rig *r = begin(3);
    static struct ev_done done;
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = 1};
    rig_run(r, 3000000);
    const struct node_eventual *ev = ev_node(r, 1)->eventual;
    ev_begin(r, 1, "n", CRDT_PN_COUNTER, &op, 1, &done);
    rig_run(r, NODE_EV_PACE_US / 2);
    ev->peers[1].pushed_us += NODE_EV_PACE_US / 3; /* it left as late as that */
    unsigned together = 0;
    for (unsigned i = 0; i < 100; i++) {
        ev_begin(r, 1, "n", CRDT_PN_COUNTER, &op, 1, &done);
        rig_run(r, NODE_EV_PACE_US / 10);
        together += ev->peers[0].pushed_us == ev->peers[1].pushed_us;
    }
    ck_assert_uint_ge(together, 80);
    rig_free(r);
}
END_TEST

/* ---- partitions ----------------------------------------------------------------------------- */

static void random_links(struct rig *r, struct rng *rng, unsigned nodes)
{
    for (unsigned a = 1; a <= nodes; a++) {
        for (unsigned b = a + 1; b <= nodes; b++) {
            rig_link(r, a, b, rng_chance(rng, 2, 3));
        }
    }
}

static void all_links(struct rig *r, unsigned nodes)
{
    for (unsigned a = 1; a <= nodes; a++) {
        for (unsigned b = a + 1; b <= nodes; b++) {
            rig_link(r, a, b, true);
        }
    }
}

/* scenarios C26 and C27 */
START_TEST(counters_are_exact_after_partitions)
{
    struct rng rng;
    static struct ev_done done[4000];
    int64_t sum[4] = {0};
    unsigned count = 0;
    rng_init(&rng, unit_seed("partitions", 3));
    struct rig *r = begin(5);
    for (unsigned round = 0; round < 25; round++) {
        random_links(r, &rng, 5);
        for (unsigned k = 0; k < 40; k++) {
            unsigned key = (unsigned)rng_below(&rng, 4);
            char name[8];
            const struct crdt_op op = {.verb = CRDT_ADD, .amount = (int64_t)rng_below(&rng, 9) - 4};
            if (op.amount == 0) {
                continue;
            }
            snprintf(name, sizeof name, "key%u", key);
            ev_begin(r, 1 + (unsigned)rng_below(&rng, 5), name, CRDT_PN_COUNTER, &op, 2,
                     &done[count++]);
            sum[key] += op.amount;
            rig_run(r, rng_below(&rng, 3000));
        }
        rig_run(r, rng_below(&rng, 400000));
    }
    all_links(r, 5);
    ck_assert(ev_converge(r, 5000000));
    for (unsigned i = 0; i < count; i++) {
        ck_assert(done[i].ended);
        ck_assert_int_eq(done[i].code, 0); /* every side of a partition takes writes */
    }
    for (unsigned key = 0; key < 4; key++) {
        char name[8];
        snprintf(name, sizeof name, "key%u", key);
        for (unsigned i = 1; i <= 5; i++) {
            ck_assert_int_eq(ev_count(r, i, name), sum[key]);
        }
    }
    rig_free(r);
}
END_TEST

/* scenario C23: nobody sees the connection end, and nothing else asks for what was on it */
START_TEST(what_was_lost_on_its_way_is_sent_again)
{
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    ck_assert(ev_converge(r, 2000000));
    for (unsigned k = 1; k < 3; k++) {
        r->cut[0][k] = r->cut[k][0] = true;
    }
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = 1};
    struct ev_done done;
    ev_begin(r, 1, "n", CRDT_PN_COUNTER, &op, 1, &done);
    rig_run(r, 20000);
    ck_assert(done.ended);
    for (unsigned k = 1; k < 3; k++) {
        r->cut[0][k] = r->cut[k][0] = false;
    }
    ck_assert(!ev_same(r));
    ck_assert(ev_converge(r, 5000000));
    ck_assert_int_eq(ev_count(r, 3, "n"), 2);
    rig_free(r);
}
END_TEST

#define CHAOS_OPS 1500u

struct chaos {
    struct rig *r;
    struct rng rng;
    struct ev_done done[CHAOS_OPS];
    int64_t amounts[CHAOS_OPS]; /* 0: an element of the set */
    unsigned count;
    unsigned restarts;
};

static void chaos_write(struct chaos *c)
{
    unsigned i = 1 + (unsigned)rng_below(&c->rng, c->r->nodes_count);
    struct crdt_actor actor;
    char element[16];
    struct crdt_op op = {.verb = CRDT_ADD, .amount = (int64_t)rng_below(&c->rng, 9) - 4};
    if (!c->r->nodes[i - 1].up || !node_ev_actor(ev_node(c->r, i), &actor) ||
        c->count == CHAOS_OPS) {
        return;
    }
    c->amounts[c->count] = op.amount;
    if (op.amount == 0) {
        snprintf(element, sizeof element, "e%u", c->count);
        op.value = bytes_of_text(element);
        ev_begin(c->r, i, "set", CRDT_AW_SET, &op, 2, &c->done[c->count]);
    } else {
        ev_begin(c->r, i, "sum", CRDT_PN_COUNTER, &op, 2, &c->done[c->count]);
    }
    c->count++;
}

static void chaos_break(struct chaos *c)
{
    unsigned i = 1 + (unsigned)rng_below(&c->rng, c->r->nodes_count);
    uint64_t what = rng_below(&c->rng, 40);
    if (what == 0 && c->r->nodes[i - 1].up) {
        rig_stop(c->r, i);
        c->restarts++;
    } else if (what < 4 && !c->r->nodes[i - 1].up) {
        rig_start(c->r, i);
    } else if (what < 6) {
        unsigned other = i % c->r->nodes_count + 1;
        rig_link(c->r, i, other, rng_chance(&c->rng, 1, 2));
    } else if (what == 6 && c->r->nodes[i - 1].up) {
        ev_node(c->r, i)->eventual->ring.bytes_max = 200 + rng_below(&c->rng, 2000);
    }
}

static void chaos_end(struct chaos *c)
{
    int64_t sum = 0;
    int64_t doubtful = 0;
    for (unsigned i = 1; i <= c->r->nodes_count; i++) {
        if (!c->r->nodes[i - 1].up) {
            rig_start(c->r, i);
        }
    }
    all_links(c->r, c->r->nodes_count);
    ck_assert(ev_converge(c->r, 10000000));
    for (unsigned k = 0; k < c->count; k++) {
        char element[16];
        ck_assert(c->done[k].ended);
        if (c->done[k].code != 0) {
            doubtful += c->amounts[k] < 0 ? -c->amounts[k] : c->amounts[k];
        } else if (c->amounts[k] != 0) {
            sum += c->amounts[k];
        } else { /* what was acknowledged is everywhere */
            snprintf(element, sizeof element, "e%u", k);
            ck_assert(ev_has(c->r, 1 + k % c->r->nodes_count, "set", element));
        }
    }
    int64_t value = ev_count(c->r, 1, "sum");
    ck_assert_int_ge(value, sum - doubtful);
    ck_assert_int_le(value, sum + doubtful);
    for (unsigned i = 1; i <= c->r->nodes_count; i++) {
        ck_assert_int_eq(ev_count(c->r, i, "sum"), value);
    }
}

/* scenario C27, with nodes that stop and start, short rings and links of every shape */
START_TEST(nothing_acknowledged_is_lost_through_stops_and_partitions)
{
    static struct chaos c;
    unsigned long long seed = unit_seed("chaos", 17);
    for (unsigned run = 0; run < 4; run++) {
        memset(&c, 0, sizeof c);
        rng_init(&c.rng, seed + run);
        c.r = begin(3 + run % 3);
        for (unsigned step = 0; step < 400; step++) {
            chaos_break(&c);
            chaos_write(&c);
            rig_run(c.r, rng_below(&c.rng, 30000));
        }
        chaos_end(&c);
        ck_assert_uint_gt(c.restarts, 0);
        rig_free(c.r);
    }
}
END_TEST

/* scenario C48 */
START_TEST(a_node_that_was_down_for_long_catches_up)
{
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    ck_assert(ev_converge(r, 2000000));
    rig_stop(r, 3);
    ev_node(r, 1)->eventual->ring.bytes_max = 2000; /* more is written than is kept for it */
    ev_node(r, 2)->eventual->ring.bytes_max = 2000;
    for (unsigned i = 0; i < 200; i++) {
        ck_assert_int_eq(ev_add(r, 1 + i % 2, "n", 1), 0);
        ck_assert_int_eq(ev_set(r, 1, "set", i % 3 == 0 ? CRDT_REMOVE : CRDT_ADD, "x"), 0);
    }
    rig_start(r, 3);
    ck_assert(ev_ready(r));
    ck_assert(ev_converge(r, 5000000));
    ck_assert_int_eq(ev_count(r, 3, "n"), 201);
    ck_assert_uint_gt(ev_node(r, 3)->eventual->counters.page_records, 0);
    rig_free(r);
}
END_TEST

START_TEST(a_node_does_not_serve_before_it_has_compared)
{
    struct rig *r = begin(3);
    uint8_t region = ev_region("n");
    rig_stop(r, 3);
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    rig_start(r, 3);
    ck_assert(!node_ev_serves(ev_node(r, 3), region));
    ck_assert(ev_ready(r));
    ck_assert(ev_converge(r, 5000000));
    rig_run(r, 2000000);
    ck_assert(node_ev_serves(ev_node(r, 3), region));
    rig_free(r);
}
END_TEST

/* ---- removals ------------------------------------------------------------------------------- */

/* scenario C15 */
START_TEST(a_removal_stays_until_every_owner_has_it)
{
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_ADD, "x"), 0);
    ck_assert(ev_converge(r, 2000000));
    rig_isolate(r, 3, true);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_REMOVE, "x"), 0);
    rig_run(r, 60000000); /* time is no proof */
    ck_assert_uint_eq(ev_removals(r, 1, "set"), 1);
    ck_assert_uint_eq(ev_removals(r, 2, "set"), 1);
    ck_assert(ev_has(r, 3, "set", "x"));
    rig_isolate(r, 3, false);
    ck_assert(ev_converge(r, 5000000));
    rig_run(r, 60000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert(!ev_has(r, i, "set", "x"));
        ck_assert_uint_eq(ev_removals(r, i, "set"), 0);
    }
    ck_assert(ev_same(r));
    rig_free(r);
}
END_TEST

static void lists_of(struct node_ev_list *lists, const uint32_t *nodes, unsigned owners,
                     unsigned count)
{
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        lists[i] = (struct node_ev_list){.owners = owners, .count = count};
        memcpy(lists[i].nodes, nodes, count * sizeof *nodes);
    }
}

static void lists_use(struct rig *r, const struct node_ev_list *lists)
{
    for (unsigned i = 0; i < r->nodes_count; i++) {
        if (r->nodes[i].up) {
            r->nodes[i].node->eventual->lists = lists;
            node_ev_start(r->nodes[i].node);
        }
    }
}

/* scenario C15: the new owner lacks the removal, and the old one has what was removed */
START_TEST(a_removal_stays_until_old_and_new_owners_have_it)
{
    static struct node_ev_list before[NODE_EV_REGIONS];
    static struct node_ev_list after[NODE_EV_REGIONS];
    lists_of(before, (const uint32_t[]){1, 2, 3}, 3, 3);
    lists_of(after, (const uint32_t[]){1, 2, 4, 3}, 3, 4); /* 4 in place of 3 */
    struct rig *r = begin(4);
    lists_use(r, before);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_ADD, "x"), 0);
    rig_run(r, 3000000);
    ck_assert(ev_has(r, 3, "set", "x"));
    ck_assert(!ev_has(r, 4, "set", "x"));
    rig_isolate(r, 3, true);
    rig_isolate(r, 4, true);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_REMOVE, "x"), 0);
    lists_use(r, after);
    rig_isolate(r, 4, false);
    rig_link(r, 3, 4, false);
    rig_run(r, 30000000);
    ck_assert_uint_eq(ev_removals(r, 1, "set"), 1); /* 3 has not heard of it */
    rig_isolate(r, 3, false);
    rig_run(r, 30000000);
    for (unsigned i = 1; i <= 4; i++) {
        ck_assert(!ev_has(r, i, "set", "x"));
    }
    rig_free(r);
}
END_TEST

/* The third node is no owner for a while, so nobody waits for it; when it owns the region again, it
 * still has what was removed, and nothing but the other's word can tell. */
START_TEST(who_missed_removals_that_were_dropped_gives_up_what_they_removed)
{
    static struct node_ev_list both[NODE_EV_REGIONS];
    static struct node_ev_list all[NODE_EV_REGIONS];
    lists_of(both, (const uint32_t[]){1, 2}, 2, 2);
    lists_of(all, (const uint32_t[]){1, 2, 3}, 3, 3);
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_ADD, "x"), 0);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_ADD, "stays"), 0);
    ck_assert(ev_converge(r, 2000000));
    rig_isolate(r, 3, true);
    lists_use(r, both);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_REMOVE, "x"), 0);
    rig_run(r, 30000000);
    ck_assert_uint_eq(ev_removals(r, 1, "set"), 0);
    ck_assert_uint_eq(ev_removals(r, 2, "set"), 0);
    for (unsigned i = 1; i <= 2; i++) { /* what was dropped is not forgotten with the process */
        rig_stop(r, i);
        rig_start(r, i);
    }
    lists_use(r, all);
    ck_assert(ev_has(r, 3, "set", "x"));
    ck_assert_int_eq(ev_set(r, 3, "set", CRDT_ADD, "own"), 0);
    rig_isolate(r, 3, false);
    ck_assert(ev_converge(r, 10000000));
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert(!ev_has(r, i, "set", "x"));
        ck_assert(ev_has(r, i, "set", "stays"));
        ck_assert(ev_has(r, i, "set", "own"));
    }
    ck_assert_uint_gt(ev_node(r, 3)->eventual->counters.pages_whole, 0);
    rig_free(r);
}
END_TEST

/* scenario C41, with lists of owners: what the node wrote as two actors stays, nobody waits for it,
 * and what is kept of it does not grow. Its ranges stay in contexts. */
START_TEST(a_node_that_is_gone_leaves_its_values_and_holds_up_nothing)
{
    static struct node_ev_list before[NODE_EV_REGIONS];
    static struct node_ev_list after[NODE_EV_REGIONS];
    lists_of(before, (const uint32_t[]){1, 2, 3}, 3, 3);
    lists_of(after, (const uint32_t[]){1, 2}, 2, 2);
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    ck_assert_int_eq(ev_add(r, 3, "n", 5), 0);
    ck_assert_int_eq(ev_set(r, 3, "set", CRDT_ADD, "x"), 0);
    ck_assert_int_eq(ev_set(r, 3, "set", CRDT_ADD, "stays"), 0);
    ck_assert(ev_converge(r, 5000000));
    rig_stop(r, 3);
    rig_start(r, 3);
    ck_assert(ev_ready(r));
    ck_assert_int_eq(ev_add(r, 3, "n", 2), 0);
    ck_assert(ev_converge(r, 5000000));
    size_t ranges = node_ev_seen(ev_node(r, 1), ev_region("n"))->count;
    ck_assert_uint_eq(ranges, 3);
    lists_use(r, before);
    rig_stop(r, 3);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_REMOVE, "x"), 0);
    rig_run(r, 30000000);
    ck_assert_uint_eq(ev_removals(r, 1, "set"), 1); /* it may come back */
    lists_use(r, after);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_int_eq(ev_add(r, 1, "n", 1), 0);
    }
    rig_run(r, 30000000);
    for (unsigned i = 1; i <= 2; i++) {
        ck_assert_uint_eq(ev_removals(r, i, "set"), 0);
        ck_assert(!ev_has(r, i, "set", "x") && ev_has(r, i, "set", "stays"));
        ck_assert_int_eq(ev_count(r, i, "n"), 18);
        ck_assert_uint_eq(node_ev_seen(ev_node(r, i), ev_region("n"))->count, ranges);
    }
    rig_free(r);
}
END_TEST

/* The fourth node never had the removal either: it was told all there is, and must tell the third
 * one all there is. */
START_TEST(who_was_told_all_there_is_tells_all_there_is)
{
    static struct node_ev_list first[NODE_EV_REGIONS];
    static struct node_ev_list both[NODE_EV_REGIONS];
    static struct node_ev_list next[NODE_EV_REGIONS];
    static struct node_ev_list last[NODE_EV_REGIONS];
    lists_of(first, (const uint32_t[]){1, 2, 3}, 3, 3);
    lists_of(both, (const uint32_t[]){1, 2}, 2, 2);
    lists_of(next, (const uint32_t[]){1, 2, 4}, 3, 3);
    lists_of(last, (const uint32_t[]){3, 4}, 2, 2);
    struct rig *r = begin(4);
    lists_use(r, first);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_ADD, "x"), 0);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_ADD, "stays"), 0);
    rig_isolate(r, 4, true);
    rig_run(r, 2000000);
    ck_assert(ev_has(r, 3, "set", "x"));
    rig_isolate(r, 3, true);
    lists_use(r, both);
    ck_assert_int_eq(ev_set(r, 1, "set", CRDT_REMOVE, "x"), 0);
    rig_run(r, 30000000);
    ck_assert_uint_eq(ev_removals(r, 1, "set"), 0);
    lists_use(r, next);
    rig_isolate(r, 4, false);
    rig_link(r, 3, 4, false);
    rig_run(r, 10000000);
    ck_assert(ev_has(r, 4, "set", "stays"));
    ck_assert_uint_gt(ev_node(r, 4)->eventual->counters.pages_whole, 0);
    rig_stop(r, 4);
    rig_start(r, 4);
    ck_assert(ev_ready(r));
    lists_use(r, last);
    rig_isolate(r, 4, true); /* the two who dropped it are not there any more */
    rig_link(r, 3, 4, true);
    ck_assert(ev_has(r, 3, "set", "x"));
    rig_run(r, 10000000);
    for (unsigned i = 3; i <= 4; i++) {
        ck_assert(!ev_has(r, i, "set", "x"));
        ck_assert(ev_has(r, i, "set", "stays"));
    }
    rig_free(r);
}
END_TEST

/* scenario C14 */
START_TEST(no_element_is_lost_while_owners_move)
{
    static struct node_ev_list lists[6][NODE_EV_REGIONS];
    struct rng rng;
    static struct ev_done done[600];
    rng_init(&rng, unit_seed("owners", 7));
    struct rig *r = begin(5);
    unsigned count = 0;
    for (unsigned move = 0; move < 6; move++) {
        uint32_t first = move % 5;
        const uint32_t nodes[] = {first + 1, (first + 1) % 5 + 1, (first + 2) % 5 + 1,
                                  (first + 4) % 5 + 1};
        lists_of(lists[move], nodes, 3, 4);
        lists_use(r, lists[move]);
        for (unsigned k = 0; k < 60; k++) {
            char element[16];
            const struct crdt_op op = {.verb = CRDT_ADD, .value = bytes_of(element, 0)};
            struct crdt_op one = op;
            snprintf(element, sizeof element, "e%u", count);
            one.value = bytes_of_text(element);
            ev_begin(r, 1 + (unsigned)rng_below(&rng, 5), "set", CRDT_AW_SET, &one, 2,
                     &done[count++]);
            rig_run(r, rng_below(&rng, 20000));
        }
    }
    rig_run(r, 10000000);
    for (unsigned k = 0; k < count; k++) {
        char element[16];
        snprintf(element, sizeof element, "e%u", k);
        ck_assert(done[k].ended);
        ck_assert_int_eq(done[k].code, 0);
        for (unsigned i = 0; i < 3; i++) {
            ck_assert(ev_has(r, lists[5][0].nodes[i], "set", element));
        }
    }
    rig_free(r);
}
END_TEST

/* ---- bounded counters ----------------------------------------------------------------------- */

/* scenario C30 */
START_TEST(a_bounded_counter_stays_above_its_bound_in_a_partition)
{
    struct rig *r = begin(3);
    struct crdt_op op = {.verb = CRDT_ADD, .amount = 10};
    ck_assert_int_eq(ev_do(r, 1, "b", CRDT_BOUNDED, &op), 0);
    ck_assert(ev_converge(r, 2000000));
    struct crdt_actor second;
    ck_assert(node_ev_actor(ev_node(r, 2), &second));
    op = (struct crdt_op){.verb = CRDT_TRANSFER, .amount = 4, .to = second};
    ck_assert_int_eq(ev_do(r, 1, "b", CRDT_BOUNDED, &op), 0);
    ck_assert(ev_converge(r, 2000000));
    for (unsigned i = 1; i <= 3; i++) {
        rig_isolate(r, i, true);
    }
    unsigned taken[4] = {0};
    op = (struct crdt_op){.verb = CRDT_ADD, .amount = -1};
    for (unsigned k = 0; k < 36; k++) {
        unsigned i = 1 + k % 3;
        int code = ev_do(r, i, "b", CRDT_BOUNDED, &op);
        ck_assert(code == 0 || code == ERR_NO_RIGHTS);
        taken[i] += code == 0;
        ck_assert_int_ge(ev_count(r, i, "b"), 0);
    }
    ck_assert_uint_eq(taken[1], 6);
    ck_assert_uint_eq(taken[2], 4);
    ck_assert_uint_eq(taken[3], 0);
    all_links(r, 3);
    ck_assert(ev_converge(r, 5000000));
    ck_assert_int_eq(ev_count(r, 3, "b"), 0);
    rig_free(r);
}
END_TEST

static unsigned take_all(struct rig *r, unsigned i)
{
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = -1};
    unsigned taken = 0;
    while (taken < 20) {
        int code = ev_do(r, i, "b", CRDT_BOUNDED, &op);
        ck_assert(code == 0 || code == ERR_NO_RIGHTS);
        if (code != 0) {
            break;
        }
        taken++;
    }
    return taken;
}

/* scenario C32 */
START_TEST(rights_of_a_node_that_died_are_taken_over_once_it_is_fenced)
{
    struct rig *r = begin(3);
    struct crdt_actor third;
    struct crdt_op op = {.verb = CRDT_ADD, .amount = 10};
    ck_assert_int_eq(ev_do(r, 1, "b", CRDT_BOUNDED, &op), 0);
    ck_assert(node_ev_actor(ev_node(r, 3), &third));
    op = (struct crdt_op){.verb = CRDT_TRANSFER, .amount = 4, .to = third};
    ck_assert_int_eq(ev_do(r, 1, "b", CRDT_BOUNDED, &op), 0);
    ck_assert(ev_converge(r, 2000000));
    op = (struct crdt_op){.verb = CRDT_ADD, .amount = -1};
    ck_assert_int_eq(ev_do(r, 3, "b", CRDT_BOUNDED, &op), 0);
    ck_assert(ev_converge(r, 2000000));
    rig_stop(r, 3);
    uint64_t last = crdt_context_last(node_ev_seen(ev_node(r, 1), ev_region("b")), third);
    ck_assert_uint_gt(last, 0);
    op = (struct crdt_op){.verb = CRDT_FENCE, .to = third, .number = last};
    ck_assert_int_eq(ev_do(r, 1, "b", CRDT_BOUNDED, &op), 0);
    ck_assert_uint_eq(take_all(r, 1), 9); /* its own six, and three that were left there */
    rig_start(r, 3);                      /* as another actor */
    ck_assert(ev_ready(r));
    ck_assert(ev_converge(r, 5000000));
    ck_assert_uint_eq(take_all(r, 3), 0);
    ck_assert_uint_eq(take_all(r, 2), 0);
    ck_assert_int_eq(ev_count(r, 2, "b"), 0);
    rig_free(r);
}
END_TEST

/* ---- how much travels ----------------------------------------------------------------------- */

/* Two nodes apart, one per cent of the keys changed at one of them: nothing of it can be in the
 * ring, so the whole difference goes by records. */
START_TEST(catching_up_costs_what_differs)
{
    const unsigned keys = 100000;
    struct rig *r = begin(2);
    struct node_ev_counters *c = &ev_node(r, 2)->eventual->counters;
    ev_node(r, 1)->eventual->ring.bytes_max = 100;
    rig_isolate(r, 2, true);
    ev_fill(r, 1, "key", 0, keys);
    rig_isolate(r, 2, false);
    ck_assert(ev_converge(r, 60000000));
    ck_assert_uint_eq(c->page_records, keys);
    uint64_t whole = c->page_bytes;
    rig_isolate(r, 2, true);
    ev_fill(r, 1, "key", 0, keys / 100);
    *c = (struct node_ev_counters){0};
    rig_isolate(r, 2, false);
    ck_assert(ev_converge(r, 20000000));
    ck_assert_uint_eq(c->page_records, keys / 100);
    ck_assert_uint_lt(c->page_bytes * 20, whole);
    rig_free(r);
}
END_TEST

/* ---- divergence ----------------------------------------------------------------------------- */

/* Takes the entries of a counter at node i away, without a dot: damage that no context shows. */
static void damage(struct rig *r, unsigned i, const char *name)
{
    struct node_ev_fragment f;
    struct buf out;
    struct buf key;
    struct buf value;
    const struct crdt_context *seen = node_ev_seen(ev_node(r, i), ev_region(name));
    const uint8_t record_key[] = {CRDT_PN_COUNTER};
    node_ev_fragment_init(&f, &r->heap);
    buf_init(&out, &r->heap, 1u << 20);
    buf_init(&key, &r->heap, 4096);
    buf_init(&value, &r->heap, 4096);
    f.region = ev_region(name);
    f.flags = NODE_EV_PAGE;
    f.records_count = 1;
    ck_assert_int_eq(crdt_context_join(&f.seen, seen), 0);
    (void)buf_put_u8(&value, 1);
    (void)buf_put_u32(&value, 0);
    (void)buf_put_u32(&value, 1);
    (void)buf_put_u32(&value, seen->ranges[0].actor.node);
    (void)buf_put_u64(&value, seen->ranges[0].actor.epoch);
    (void)buf_put_u64(&value, seen->ranges[0].to);
    ck_assert_int_eq(node_ev_key(bytes_of_text("s"), bytes_of_text(name), &key), 0);
    ck_assert_int_eq(node_ev_fragment_head(&f, &out), 0);
    ck_assert_int_eq(
        node_ev_fragment_record(buf_view(&key), bytes_of(record_key, 1), buf_view(&value), &out),
        0);
    ck_assert_int_eq(ev_join(r, i, buf_view(&out)), 0);
    node_ev_fragment_release(&f);
    buf_release(&out);
    buf_release(&key);
    buf_release(&value);
}

/* scenario C46 */
START_TEST(what_was_lost_here_and_there_comes_back_and_nothing_else_travels)
{
    struct rig *r = begin(2);
    ev_fill(r, 1, "key", 0, 3000);
    ck_assert(ev_converge(r, 5000000));
    damage(r, 1, "key7");
    damage(r, 2, "key7000"); /* none of that name: no damage */
    damage(r, 2, "key8");
    ck_assert_int_eq(ev_count(r, 1, "key7"), 0);
    ck_assert_int_eq(ev_count(r, 2, "key8"), 0);
    ck_assert(!ev_same(r));
    for (unsigned k = 0; k < 200; k++) { /* while writes go on */
        ck_assert_int_eq(ev_add(r, 1 + k % 2, "busy", 1), 0);
        rig_run(r, 50000);
    }
    ck_assert(ev_converge(r, 10000000));
    for (unsigned i = 1; i <= 2; i++) {
        ck_assert_int_eq(ev_count(r, i, "key7"), 1);
        ck_assert_int_eq(ev_count(r, i, "key8"), 1);
        ck_assert_int_eq(ev_count(r, i, "busy"), 200);
    }
    uint64_t restored = ev_node(r, 1)->eventual->counters.restored_records +
                        ev_node(r, 2)->eventual->counters.restored_records;
    ck_assert_uint_eq(restored, 2);
    rig_free(r);
}
END_TEST

START_TEST(an_idle_cluster_is_silent)
{
    struct rig *r = begin(3);
    rig_run(r, 5000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_uint_eq(ev_node(r, i)->eventual->tick.at_us, 0);
        ck_assert_uint_eq(ev_node(r, i)->eventual->run.at_us, 0);
    }
    rig_free(r);
}
END_TEST

UNIT_MAIN("eventual_nodes", a_write_comes_to_be_on_every_owner,
          a_write_alone_says_that_it_is_on_one_node, many_increments_travel_as_few_records,
          what_nobody_waits_for_travels_together_and_what_is_waited_for_at_once,
          peers_get_pushes_at_the_same_time_also_after_one_was_late,
          counters_are_exact_after_partitions, what_was_lost_on_its_way_is_sent_again,
          nothing_acknowledged_is_lost_through_stops_and_partitions,
          a_node_that_was_down_for_long_catches_up, a_node_does_not_serve_before_it_has_compared,
          a_removal_stays_until_every_owner_has_it,
          a_removal_stays_until_old_and_new_owners_have_it,
          who_missed_removals_that_were_dropped_gives_up_what_they_removed,
          a_node_that_is_gone_leaves_its_values_and_holds_up_nothing,
          who_was_told_all_there_is_tells_all_there_is, no_element_is_lost_while_owners_move,
          a_bounded_counter_stays_above_its_bound_in_a_partition,
          rights_of_a_node_that_died_are_taken_over_once_it_is_fenced,
          catching_up_costs_what_differs,
          what_was_lost_here_and_there_comes_back_and_nothing_else_travels,
          an_idle_cluster_is_silent)
