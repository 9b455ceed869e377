/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode towards clients while a region is being fetched: some of its records have come, and
 * what a node has seen of it does not say so yet.
 */
#include "ev_client.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_self_internal.h"
#include "tests/sim/model_kv.h"

static const struct top c_at = {.name = "{t}c", .types = {WIRE_CRDT_PN_COUNTER}};
static const struct top d_at = {.name = "{t}d", .types = {WIRE_CRDT_PN_COUNTER}};

static struct node *node_at(unsigned number)
{
    return r->nodes[number - 1].node;
}

static void joined(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    *(int *)ctx = code;
}

/* Joins at node `to` the records of what node `from` wrote as its number-th, as a page of several:
 * what has been seen comes with the last one, which does not come. */
static void half(unsigned to, unsigned from, uint64_t number)
{
    struct node_ev_fragment f;
    struct buf page;
    struct buf body;
    int code = 1;
    const struct node_ev_ring *ring = &node_at(from)->eventual->ring;
    const struct node_ev_noted *noted = node_ev_ring_get(ring, number);
    node_ev_fragment_init(&f, &r->heap);
    buf_init(&page, &r->heap, 1u << 20);
    buf_init(&body, &r->heap, 1u << 20);
    ck_assert_int_eq(node_ev_fragment_decode(&f, bytes_of(noted->data, noted->bytes)), 0);
    f.flags = NODE_EV_PAGE;
    crdt_context_release(&f.before);
    ck_assert_int_eq(node_ev_fragment_head(&f, &page), 0);
    ck_assert_int_eq(buf_append(&page, f.records.data, f.records.size), 0);
    ck_assert_int_eq(buf_put_bytes(&body, buf_view(&page)), 0);
    const struct node_cmd cmd = {.op = NODE_OP_EV_JOIN, .body = buf_view(&body)};
    node_propose(node_at(to), NODE_GROUP_OWN, &cmd, r->now + 5000000, &code, joined);
    for (unsigned i = 0; i < 1000 && code == 1; i++) {
        rig_run(r, 2000);
    }
    ck_assert_int_eq(code, 0);
    node_ev_fragment_release(&f);
    buf_release(&page);
    buf_release(&body);
}

static uint64_t noted(unsigned node)
{
    return node_at(node)->eventual->ring.next;
}

/* Node 1 has written and node 2 has a part of it; nobody reaches anybody. */
static void apart(void)
{
    begin(3);
    for (unsigned i = 1; i <= 3; i++) {
        rig_isolate(r, i, true);
    }
    rig_run(r, 10000000); /* all know it */
}

/* scenario C39: what was read is in the token, so that nothing older is read after it. */
START_TEST(a_read_of_a_part_that_has_come_says_what_it_saw)
{
    struct wire_node result;
    struct buf token;
    apart();
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    struct topts t = {.token = &token, .budget_ms = 20};
    const struct top both[2] = {ADD("{t}c", WIRE_CRDT_PN_COUNTER, 5),
                                ADD("{t}d", WIRE_CRDT_PN_COUNTER, 7)};
    uint64_t first = noted(1);
    ck_assert_int_eq(update(1, &plain, &both[0], 1), 0);
    ck_assert_int_eq(update(1, &plain, &both[1], 1), 0);
    half(2, 1, first + 1); /* {t}d */
    ck_assert_int_eq(read_with(2, &t, d_at, NULL, &result), 0);
    ck_assert_uint_eq(field(item_of(result, 0), "value"), 7);
    ck_assert_uint_eq(wire_node_count(wire_node_find(result, "clock")), 0); /* all told of that */
    /* not at a node that has nothing of it, nor of what it may follow where only a part has come */
    ck_assert_int_eq(read_with(3, &t, d_at, NULL, &result), ERR_BEHIND);
    ck_assert_int_eq(read_with(2, &t, c_at, NULL, &result), ERR_BEHIND);
    ck_assert_int_eq(counter(2, "{t}c", WIRE_CRDT_PN_COUNTER), 0); /* without the token */
    ck_assert_int_eq(read_with(1, &t, c_at, NULL, &result), 0);
    ck_assert_uint_eq(field(item_of(result, 0), "value"), 5);
    for (unsigned i = 1; i <= 3; i++) {
        rig_isolate(r, i, false);
    }
    rig_run(r, 10000000);
    ck_assert_int_eq(read_with(2, &t, c_at, NULL, &result), 0);
    ck_assert_uint_eq(field(result, "node"), 2);
    buf_release(&token);
    end();
}
END_TEST

/* What is on disk of a part is as much ahead after a crash. */
START_TEST(a_part_that_has_come_outlives_a_crash)
{
    struct wire_node result;
    struct buf token;
    apart();
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    struct topts t = {.token = &token, .budget_ms = 20};
    uint64_t first = noted(1);
    ck_assert_int_eq(update_one(1, ADD("{t}c", WIRE_CRDT_PN_COUNTER, 5)), 0);
    ck_assert_int_eq(update_one(1, ADD("{t}d", WIRE_CRDT_PN_COUNTER, 7)), 0);
    half(2, 1, first + 1);
    rig_stop(r, 2);
    rig_start(r, 2);
    rig_run(r, 10000000);
    ck_assert_int_eq(read_with(2, &t, d_at, NULL, &result), 0);
    ck_assert_uint_eq(field(item_of(result, 0), "value"), 7);
    ck_assert_int_eq(read_with(3, &t, d_at, NULL, &result), ERR_BEHIND);
    buf_release(&token);
    end();
}
END_TEST

/* Where that cannot be read, what has come counts as seen: a part is still told of as one. */
START_TEST(a_part_that_has_come_is_told_of_when_its_word_is_damaged)
{
    struct wire_node result;
    struct buf token;
    uint8_t key[NODE_PREFIX_BYTES + 2];
    apart();
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    struct topts t = {.token = &token, .budget_ms = 20};
    uint64_t first = noted(1);
    ck_assert_int_eq(update_one(1, ADD("{t}c", WIRE_CRDT_PN_COUNTER, 5)), 0);
    ck_assert_int_eq(update_one(1, ADD("{t}d", WIRE_CRDT_PN_COUNTER, 7)), 0);
    half(2, 1, first + 1);
    rig_run(r, 10000000); /* flushed */
    node_prefix_put(key, NODE_GROUP_OWN, 1);
    key[NODE_PREFIX_BYTES] = NODE_KEY_EV_AHEAD;
    key[NODE_PREFIX_BYTES + 1] = node_ev_region(bytes_of_text("{t}d"));
    ck_assert_int_eq(sim_kv_rot(&r->nodes[1].kv, bytes_of(key, sizeof key)), 0);
    uint64_t epoch = node_ev_self_now(node_at(2))->epoch;
    node_rebuild(node_at(2), node_group_find(node_at(2), NODE_GROUP_OWN));
    rig_run(r, 500000);
    ck_assert_uint_gt(node_ev_self_now(node_at(2))->epoch, epoch);
    ck_assert(!node_ev_region_mixed(node_at(2), key[NODE_PREFIX_BYTES + 1]));
    ck_assert_int_eq(read_with(2, &t, d_at, NULL, &result), 0);
    ck_assert_uint_eq(field(item_of(result, 0), "value"), 7);
    ck_assert_int_eq(read_with(3, &t, d_at, NULL, &result), ERR_BEHIND);
    for (unsigned i = 1; i <= 3; i++) {
        rig_isolate(r, i, false);
    }
    rig_run(r, 20000000);
    ck_assert_int_eq(read_with(2, &t, c_at, NULL, &result), 0);
    ck_assert_uint_eq(field(item_of(result, 0), "value"), 5);
    ck_assert_uint_eq(field(result, "node"), 2);
    buf_release(&token);
    end();
}
END_TEST

START_TEST(a_node_with_a_part_of_a_region_asks_other_owners_first)
{
    struct wire_node result;
    begin(3);
    const struct node *n = node_at(2);
    const uint8_t region = node_ev_region(bytes_of_text("{t}c"));
    rig_isolate(r, 1, true);
    uint64_t first = noted(1);
    ck_assert_int_eq(update_one(1, ADD("{t}c", WIRE_CRDT_PN_COUNTER, 5)), 0);
    ck_assert(node_ev_serves(n, region));
    half(2, 1, first);
    ck_assert(!node_ev_serves(n, region)); /* node 3 is there */
    rig_isolate(r, 2, true);
    rig_run(r, 10000000);
    ck_assert(node_ev_serves(n, region)); /* there is nobody to ask */
    rig_isolate(r, 2, false);
    rig_isolate(r, 1, false);
    rig_run(r, 10000000);
    ck_assert(node_ev_serves(n, region)); /* all of it has come */
    ck_assert_int_eq(read_with(2, &plain, c_at, NULL, &result), 0);
    ck_assert_uint_eq(field(item_of(result, 0), "value"), 5);
    ck_assert_uint_eq(field(result, "node"), 2);
    end();
}
END_TEST

/* Who is asked last waits too, for as long as the session allows. */
START_TEST(a_node_that_nobody_answers_for_waits_itself_for_what_the_token_names)
{
    struct wire_node result;
    struct buf token;
    begin(3);
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    struct topts t = {.token = &token, .budget_ms = 3000, .deadline_ms = 20000};
    const struct top two[2] = {ADD("{t}c", WIRE_CRDT_PN_COUNTER, 5),
                               ADD("{t}d", WIRE_CRDT_PN_COUNTER, 7)};
    rig_isolate(r, 1, true);
    rig_run(r, 10000000); /* all know it */
    uint64_t first = noted(1);
    ck_assert_int_eq(update(1, &t, &two[0], 1), 0);
    ck_assert_int_eq(update(1, &t, &two[1], 1), 0);
    half(2, 1, first);
    ck_assert(!node_ev_serves(node_at(2), node_ev_region(bytes_of_text("{t}c"))));
    uint64_t asked_us = r->now; /* node 3 says at once that it has nothing of it */
    ck_assert_int_eq(read_with(2, &t, d_at, NULL, &result), ERR_BEHIND);
    ck_assert_uint_ge(r->now - asked_us, 3000000);
    rig_isolate(r, 1, false);
    ck_assert_int_eq(read_with(2, &t, d_at, NULL, &result), 0);
    ck_assert_uint_eq(field(item_of(result, 0), "value"), 7);
    buf_release(&token);
    end();
}
END_TEST

UNIT_MAIN("ev_half", a_read_of_a_part_that_has_come_says_what_it_saw,
          a_part_that_has_come_outlives_a_crash,
          a_part_that_has_come_is_told_of_when_its_word_is_damaged,
          a_node_with_a_part_of_a_region_asks_other_owners_first,
          a_node_that_nobody_answers_for_waits_itself_for_what_the_token_names)
