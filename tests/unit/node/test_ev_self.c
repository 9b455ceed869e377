/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Who a node is: epochs of its actor, over restarts of all kinds.
 */
#include "ev_nodes.h"
#include "server/node/eventual_self_internal.h"
#include "tests/sim/model_kv.h"

#include <check.h>
#include <stdio.h>

static bool has_actor(struct rig *r, unsigned i, struct crdt_actor *actor)
{
    *actor = (struct crdt_actor){0};
    return node_ev_actor(r->nodes[i - 1].node, actor);
}

static uint64_t epoch_of(struct rig *r, unsigned i)
{
    struct crdt_actor actor;
    for (unsigned tries = 0; tries < 2000; tries++) {
        if (has_actor(r, i, &actor)) {
            ck_assert_uint_eq(actor.node, i);
            return actor.epoch;
        }
        rig_run(r, 10000);
    }
    ck_abort_msg("node %u is no actor", i);
    return 0;
}

static void leave(struct rig *r, unsigned i)
{
    struct node_event ev = {.kind = NODE_EV_LEAVE, .now_us = r->now, .wall_us = r->now};
    r->nodes[i - 1].left = false;
    node_step(r->nodes[i - 1].node, &ev);
    for (unsigned tries = 0; tries < 500 && !r->nodes[i - 1].left; tries++) {
        rig_run(r, 10000);
    }
    ck_assert(r->nodes[i - 1].left);
}

static void again(struct rig *r, unsigned i)
{
    rig_stop(r, i);
    rig_start(r, i);
}

struct proposed {
    bool ended;
    int code;
};

static void propose_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct proposed *p = ctx;
    (void)n;
    (void)reply;
    p->code = code;
    p->ended = true;
}

static const struct node_ev_self_record *propose_own(struct rig *r, uint8_t op, struct bytes body)
{
    const struct node_cmd cmd = {.op = op, .body = body};
    struct proposed p = {0};
    node_propose(r->nodes[0].node, NODE_GROUP_OWN, &cmd, r->now + 10000000, &p, propose_done);
    for (unsigned i = 0; i < 500 && !p.ended; i++) {
        rig_run(r, 10000);
    }
    ck_assert(p.ended);
    ck_assert_int_eq(p.code, 0);
    return node_ev_self_now(r->nodes[0].node);
}

/* A start that nobody else is. */
static const struct node_ev_self_record *start_that_says(struct rig *r, uint64_t boot, uint8_t says)
{
    uint64_t first = node_ev_self_now(r->nodes[0].node)->end;
    uint8_t body[33];
    num_put_u64(body, boot);
    num_put_u64(body + 8, 1);
    num_put_u64(body + 16, first);
    num_put_u64(body + 24, first + NODE_EV_BLOCK);
    body[32] = says;
    return propose_own(r, NODE_OP_EV_START, bytes_of(body, sizeof body));
}

static void stop_of(struct rig *r, uint64_t boot)
{
    uint8_t body[24];
    num_put_u64(body, boot);
    num_put_u64(body + 8, 1);
    num_put_u64(body + 16, 1000000);
    ck_assert(propose_own(r, NODE_OP_EV_STOP, bytes_of(body, sizeof body))->clean);
}

/* Of the former format, which says only whether the epoch goes on, the state is what it was. */
START_TEST(a_start_says_two_things_and_one_of_before_said_one)
{
    const uint8_t both = NODE_EV_START_BOTH;
    struct rig *r = rig_new(3);
    uint64_t epoch = epoch_of(r, 1);
    rig_run(r, 1000000);
    const struct node_ev_self_record *s = node_ev_self_now(r->nodes[0].node);
    ck_assert_uint_eq(s->knows, epoch); /* the disk was empty */
    s = start_that_says(r, 100, 0);
    ck_assert(s->knows == epoch && s->epoch > epoch);
    stop_of(r, 100);
    epoch = s->epoch;
    s = start_that_says(r, 101, NODE_EV_START_GOES_ON);
    ck_assert(s->knows < epoch && s->epoch == epoch);
    stop_of(r, 101);
    s = start_that_says(r, 102, both | NODE_EV_START_ALONE | NODE_EV_START_GOES_ON);
    ck_assert(s->knows < epoch && s->epoch == epoch);
    stop_of(r, 102);
    s = start_that_says(r, 103, both | NODE_EV_START_ALONE); /* an end too long ago */
    ck_assert(s->knows < epoch && s->epoch > epoch);
    s = start_that_says(r, 104, both | NODE_EV_START_ALONE | NODE_EV_START_GOES_ON);
    ck_assert(s->knows < epoch && s->epoch > epoch + NODE_EV_BLOCK); /* no end in order */
    s = start_that_says(r, 105, both);
    ck_assert_uint_eq(s->knows, s->epoch);
    rig_free(r);
}
END_TEST

START_TEST(a_start_is_an_actor_once_group_0_has_granted_it_epochs)
{
    struct rig *r = rig_new(3);
    struct crdt_actor actor;
    ck_assert(!has_actor(r, 1, &actor));
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_uint_eq(epoch_of(r, i), 1);
    }
    const struct node_ev_self_record *s = node_ev_self_now(r->nodes[0].node);
    ck_assert_uint_eq(s->next, 2);
    ck_assert_uint_eq(s->end, 1 + NODE_EV_BLOCK);
    rig_free(r);
}
END_TEST

/* scenarios C1, C3: a crash ends an epoch, so what was made of it and is not on disk cannot be
 * made again. There is no lease of counters whose rest would have to be sealed. */
START_TEST(a_crash_ends_the_epoch)
{
    struct rig *r = rig_new(3);
    uint64_t before = epoch_of(r, 2);
    again(r, 2);
    struct crdt_actor actor;
    ck_assert(!has_actor(r, 2, &actor));
    ck_assert_uint_eq(epoch_of(r, 2), before + NODE_EV_BLOCK);
    rig_free(r);
}
END_TEST

START_TEST(an_orderly_end_lets_the_epoch_go_on)
{
    struct rig *r = rig_new(3);
    struct crdt_actor actor;
    uint64_t before = epoch_of(r, 2);
    for (unsigned i = 0; i < 3; i++) {
        leave(r, 2);
        ck_assert(!has_actor(r, 2, &actor));
        again(r, 2);
        ck_assert_uint_eq(epoch_of(r, 2), before);
    }
    again(r, 2);
    ck_assert_uint_ne(epoch_of(r, 2), before);
    rig_free(r);
}
END_TEST

START_TEST(without_group_0_a_start_is_no_actor)
{
    struct rig *r = rig_new(3);
    struct crdt_actor actor;
    uint64_t before = epoch_of(r, 2);
    leave(r, 2);
    rig_isolate(r, 2, true);
    again(r, 2);
    rig_run(r, 5000000);
    ck_assert(!has_actor(r, 2, &actor));
    ck_assert_int_eq(rig_call(r, 2, "session.open", "u:64", NULL), ERR_UNAVAILABLE);
    rig_isolate(r, 2, false);
    ck_assert_uint_eq(epoch_of(r, 2), before);
    rig_free(r);
}
END_TEST

/* A start that ends before it was an actor says nothing of the crash before it. */
START_TEST(an_orderly_end_of_no_actor_hides_no_crash)
{
    struct rig *r = rig_new(3);
    uint64_t before = epoch_of(r, 2);
    rig_isolate(r, 2, true);
    again(r, 2); /* after a crash */
    rig_run(r, 100000);
    leave(r, 2);
    again(r, 2);
    rig_isolate(r, 2, false);
    ck_assert_uint_ne(epoch_of(r, 2), before);
    rig_free(r);
}
END_TEST

/* scenarios C5, C6: without group 0, from the block; when it is used up, with a new one. */
START_TEST(a_doubt_takes_the_next_epoch_without_group_0)
{
    struct rig *r = rig_new(3);
    struct crdt_actor actor;
    uint64_t first = epoch_of(r, 3);
    rig_isolate(r, 3, true);
    for (uint64_t i = 1; i < NODE_EV_BLOCK; i++) {
        node_ev_doubt(r->nodes[2].node, "test");
        node_ev_doubt(r->nodes[2].node, "test again");
        ck_assert(!has_actor(r, 3, &actor));
        rig_run(r, 10000);
        ck_assert(has_actor(r, 3, &actor));
        ck_assert_uint_eq(actor.epoch, first + i);
    }
    node_ev_doubt(r->nodes[2].node, "the last of the block");
    rig_run(r, 3000000);
    ck_assert(!has_actor(r, 3, &actor));
    rig_isolate(r, 3, false);
    ck_assert_uint_ge(epoch_of(r, 3), first + NODE_EV_BLOCK);
    rig_free(r);
}
END_TEST

START_TEST(a_doubt_makes_older_sessions_void)
{
    struct rig *r = rig_new(3);
    struct wire_node result;
    uint64_t session = 0;
    (void)epoch_of(r, 1);
    ck_assert_int_eq(rig_call(r, 1, "session.open", "u:64", &result), 0);
    ck_assert_int_eq(wire_node_u64(wire_node_find(result, WIRE_FIELD_SESSION), &session), 0);
    ck_assert_uint_eq(session >> NODE_EV_SESSION_INDEX_BITS, 1);
    ck_assert(node_ev_session_valid(r->nodes[0].node, session));
    again(r, 1);
    (void)epoch_of(r, 1);
    ck_assert(node_ev_session_valid(r->nodes[0].node, session));
    node_ev_doubt(r->nodes[0].node, "test");
    rig_run(r, 10000);
    ck_assert(!node_ev_session_valid(r->nodes[0].node, session));
    rig_free(r);
}
END_TEST

/* It asks the others what group 0 says, as nodes do that have no replica of it. */
START_TEST(a_start_whose_replica_of_group_0_has_stopped_is_an_actor)
{
    struct rig *r = rig_new(3);
    uint64_t before = epoch_of(r, 2);
    rig_stop(r, 2);
    rig_start(r, 2);
    node_fence(r->nodes[1].node, node_group_find(r->nodes[1].node, 0), 1, "test");
    ck_assert_uint_ne(epoch_of(r, 2), before);
    rig_free(r);
}
END_TEST

/* scenario C40 */
START_TEST(an_epoch_that_was_never_granted_is_known_as_such)
{
    struct rig *r = rig_new(3);
    struct crdt_actor actor = {.node = 2, .epoch = epoch_of(r, 2)};
    (void)rig_settle(r, 0);
    for (unsigned i = 0; i < 3; i++) {
        struct node *n = r->nodes[i].node;
        ck_assert(node_ev_granted(n, actor));
        ck_assert(!node_ev_granted(n, (struct crdt_actor){.node = 2, .epoch = 0}));
        ck_assert(!node_ev_granted(n, (struct crdt_actor){.node = 9, .epoch = 1}));
        ck_assert(!node_ev_granted(n, (struct crdt_actor){.node = 2, .epoch = 1 + NODE_EV_BLOCK}));
    }
    rig_free(r);
}
END_TEST

struct ended {
    int code;
    unsigned count;
};

static void ended_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ended *e = ctx;
    (void)n;
    (void)reply;
    e->code = code;
    e->count++;
}

/* scenario C40 */
START_TEST(nobody_waits_for_what_was_never_granted)
{
    struct rig *r = rig_new(3);
    struct ended e = {0};
    struct crdt_context wanted;
    (void)epoch_of(r, 1);
    crdt_context_init(&wanted, &r->heap);
    const struct crdt_range range = {.actor = {.node = 2, .epoch = 99}, .from = 1, .to = 3};
    ck_assert_int_eq(crdt_context_add(&wanted, &range), 0);
    node_ev_wait(r->nodes[0].node, 7, &wanted, r->now + 60000000, &e, ended_done);
    ck_assert_uint_eq(e.count, 0);
    rig_run(r, 1000000);
    ck_assert_uint_eq(e.count, 1);
    ck_assert_int_eq(e.code, ERR_INVALID);
    crdt_context_release(&wanted);
    rig_free(r);
}
END_TEST

/* One who came while another's question was out is asked for with a question of its own: the one
 * that is out may be older than what it wants, or end before. */
START_TEST(who_waits_later_is_asked_for_later)
{
    struct rig *r = rig_new(3);
    struct ended first = {0};
    struct ended second = {0};
    struct crdt_context wanted;
    (void)epoch_of(r, 1);
    unsigned leader = rig_leader(r, 0);
    unsigned i = leader == 1 ? 2 : 1;
    crdt_context_init(&wanted, &r->heap);
    const struct crdt_range range = {.actor = {.node = 2, .epoch = 99}, .from = 1, .to = 3};
    ck_assert_int_eq(crdt_context_add(&wanted, &range), 0);
    rig_isolate(r, i, true);
    node_ev_wait(r->nodes[i - 1].node, 7, &wanted, r->now + 100000, &first, ended_done);
    node_ev_wait(r->nodes[i - 1].node, 7, &wanted, r->now + 60000000, &second, ended_done);
    rig_run(r, 500000);
    ck_assert_uint_eq(first.count, 1);
    ck_assert_int_eq(first.code, ERR_BEHIND);
    ck_assert_uint_eq(second.count, 0);
    rig_isolate(r, i, false);
    rig_run(r, 10000000);
    ck_assert_uint_eq(second.count, 1);
    ck_assert_int_eq(second.code, ERR_INVALID);
    crdt_context_release(&wanted);
    rig_free(r);
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline)
{
    struct rig *r = rig_new(3);
    struct ended e = {0};
    struct crdt_context wanted;
    uint64_t epoch = epoch_of(r, 2);
    crdt_context_init(&wanted, &r->heap);
    node_ev_wait(r->nodes[0].node, 7, &wanted, r->now + 60000000, &e, ended_done);
    ck_assert_uint_eq(e.count, 0);
    rig_run(r, 1000);
    ck_assert_uint_eq(e.count, 1);
    ck_assert_int_eq(e.code, 0);
    const struct crdt_range range = {.actor = {.node = 2, .epoch = epoch}, .from = 1, .to = 3};
    ck_assert_int_eq(crdt_context_add(&wanted, &range), 0);
    node_ev_wait(r->nodes[0].node, 7, &wanted, r->now + 2000000, &e, ended_done);
    rig_run(r, 1900000);
    ck_assert_uint_eq(e.count, 1);
    rig_run(r, 200000);
    ck_assert_uint_eq(e.count, 2);
    ck_assert_int_eq(e.code, ERR_BEHIND);
    node_ev_wait(r->nodes[0].node, 7, &wanted, r->now + 2000000, &e, ended_done);
    rig_stop(r, 1);
    ck_assert_uint_eq(e.count, 3);
    crdt_context_release(&wanted);
    rig_free(r);
}
END_TEST

/* ---- damage of the state -------------------------------------------------------------------- */

static bool regions_equal(struct rig *r, uint8_t region)
{
    struct hash_digest first = node_ev_region_hash(node_ev_region_get(r->nodes[0].node, region));
    for (unsigned i = 1; i < r->nodes_count; i++) {
        struct hash_digest h = node_ev_region_hash(node_ev_region_get(r->nodes[i].node, region));
        if (h.low != first.low || h.high != first.high) {
            return false;
        }
    }
    return true;
}

static void await_equal(struct rig *r, uint8_t region)
{
    for (unsigned tries = 0; tries < 2000 && !regions_equal(r, region); tries++) {
        rig_run(r, 10000);
    }
    ck_assert(regions_equal(r, region));
}

/* ---- disks that are not what they were ------------------------------------------------------ */

static void write_to(struct rig *r, unsigned i, const char *name, struct ended *e)
{
    struct buf body;
    struct node_ev_op op = {.space = bytes_of_text("s"), .name = bytes_of_text(name)};
    crdt_path_init(&op.path, CRDT_COUNTER);
    op.op = (struct crdt_op){.verb = CRDT_ADD, .amount = 1};
    buf_init(&body, &r->heap, 4096);
    ck_assert_int_eq(node_ev_update_encode(&op, 1, r->now, &body), 0);
    struct node_cmd cmd = {.op = NODE_OP_EV_UPDATE, .body = buf_view(&body)};
    node_ev_write(r->nodes[i - 1].node, &cmd, 1, 10000, r->now + 5000000, e, ended_done);
    buf_release(&body);
}

/* returns: whether the write of node i went well. */
static bool wrote(struct rig *r, unsigned i, const char *name)
{
    struct ended e = {0};
    write_to(r, i, name, &e);
    for (unsigned tries = 0; tries < 1000 && e.count == 0; tries++) {
        rig_run(r, 10000);
    }
    return e.count == 1 && e.code == 0;
}

/* Starts node i; a start whose number is an older start's ends, and is made again. */
static void start_again(struct rig *r, unsigned i)
{
    r->salt++; /* another process, whatever its number */
    rig_start(r, i);
    for (unsigned tries = 0; tries < 100; tries++) {
        rig_run(r, 50000);
        if (r->nodes[i - 1].stopped) {
            rig_stop(r, i);
            r->salt++;
            rig_start(r, i);
        }
    }
}

/* scenario C1, and scenario C7: the copy says that it was left in good order and with which epoch
 * to go on, and its dots end before those that others know; the record of group 0 says otherwise.
 */
START_TEST(an_older_copy_is_another_actor_in_whatever_order_it_was_left)
{
    struct rig *r = rig_new(3);
    struct rig_dir copy = {.there = false};
    uint64_t before = epoch_of(r, 2);
    if (_i == 0) {
        leave(r, 2);
    }
    rig_stop(r, 2);
    rig_dir_take(r, 2, &copy);
    rig_start(r, 2);
    uint64_t between = epoch_of(r, 2);
    ck_assert((between == before) == (_i == 0));
    for (unsigned k = 0; k < 5; k++) {
        ck_assert(wrote(r, 2, "n"));
    }
    await_equal(r, node_ev_region(bytes_of_text("n")));
    leave(r, 2);
    rig_stop(r, 2);
    rig_dir_swap(r, 2, &copy);
    start_again(r, 2);
    uint64_t after = epoch_of(r, 2);
    ck_assert_uint_ne(after, before);
    ck_assert_uint_ne(after, between);
    for (unsigned k = 0; k < 5; k++) {
        ck_assert(wrote(r, 2, "n"));
    }
    await_equal(r, node_ev_region(bytes_of_text("n")));
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(ev_count(r, i, "n"), 10);
    }
    rig_dir_free(&copy);
    rig_free(r);
}
END_TEST

/* scenario C2 */
START_TEST(a_write_is_neither_answered_nor_told_to_others_before_its_dot_is_durable)
{
    struct rig *r = rig_new(3);
    struct ended e = {0};
    uint8_t region = node_ev_region(bytes_of_text("n"));
    struct crdt_actor actor = {.node = 2, .epoch = epoch_of(r, 2)};
    r->nodes[1].wal_held = true;
    write_to(r, 2, "n", &e);
    rig_run(r, 1000000);
    ck_assert_uint_eq(e.count, 0);
    for (unsigned i = 1; i <= 3; i += 2) {
        ck_assert_uint_eq(crdt_context_last(node_ev_seen(r->nodes[i - 1].node, region), actor), 0);
    }
    rig_stop(r, 2);                /* and so it is lost */
    ck_assert_uint_eq(e.count, 1); /* of which nobody could be sure */
    ck_assert_int_eq(err_outcome_of(e.code), ERR_OUTCOME_UNKNOWN);
    r->nodes[1].wal_held = false;
    rig_start(r, 2);
    ck_assert_uint_ne(epoch_of(r, 2), actor.epoch);
    ck_assert(wrote(r, 2, "n"));
    await_equal(r, region);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(ev_count(r, i, "n"), 1);
        ck_assert_uint_eq(crdt_context_last(node_ev_seen(r->nodes[i - 1].node, region), actor), 0);
    }
    rig_free(r);
}
END_TEST

/* scenario C17: two processes with one identity and one epoch in their records. The one that group
 * 0 did not record makes no dot and ends; no set ever gets two elements of one dot. */
START_TEST(of_two_copies_of_a_node_only_one_is_its_actor)
{
    struct rig *r = rig_new(3);
    struct rig_dir copy = {.there = false};
    struct crdt_actor actor;
    (void)epoch_of(r, 2);
    leave(r, 2);
    rig_stop(r, 2);
    rig_dir_take(r, 2, &copy);
    rig_start(r, 2);
    uint64_t epoch = epoch_of(r, 2);
    ck_assert(wrote(r, 2, "n"));
    rig_stop(r, 2); /* it goes on later; the copy has the same number of starts */
    rig_dir_swap(r, 2, &copy);
    r->salt++;
    rig_start(r, 2);
    struct ended e = {0};
    write_to(r, 2, "n", &e);
    for (unsigned tries = 0; tries < 1000 && !r->nodes[1].stopped; tries++) {
        ck_assert(!has_actor(r, 2, &actor));
        rig_run(r, 10000);
    }
    ck_assert(r->nodes[1].stopped);
    ck_assert_int_eq(r->nodes[1].stop_code, ERR_FENCED);
    rig_stop(r, 2);
    ck_assert(e.count == 0 || e.code != 0 || ev_count(r, 1, "n") == 2); /* or passed on */
    rig_dir_swap(r, 2, &copy);
    start_again(r, 2);
    ck_assert_uint_ne(epoch_of(r, 2), epoch);
    rig_dir_free(&copy);
    rig_free(r);
}
END_TEST

static const uint8_t rotten[] = {NODE_KEY_EV_RECORD, NODE_KEY_EV_REGION, NODE_KEY_EV_SELF,
                                 NODE_KEY_EV_TYPES};

/* scenarios C5, C47: what is damaged goes, comes back from peers, and the epoch is another one */
START_TEST(damaged_records_come_back_and_the_epoch_is_another)
{
    struct rig *r = rig_new(3);
    struct ended e = {0};
    uint8_t region = node_ev_region(bytes_of_text("n"));
    for (unsigned i = 1; i <= 3; i++) {
        (void)epoch_of(r, i);
        write_to(r, i, "n", &e);
        rig_run(r, 100000);
        write_to(r, i, "{n}other", &e);
        rig_run(r, 100000);
    }
    ck_assert_uint_eq(e.count, 6);
    await_equal(r, region);
    struct hash_digest before = node_ev_region_get(r->nodes[1].node, region)->digest;
    rig_run(r, 3000000); /* flushed */
    rig_stop(r, 2);
    unsigned sound = rotten[_i] == NODE_KEY_EV_RECORD; /* the first, so that no start meets one */
    ck_assert_uint_gt(rig_rot(r, 2, rotten[_i], sound, 64), 0);
    rig_start(r, 2);
    uint64_t epoch = epoch_of(r, 2);
    struct ended again = {0};
    write_to(r, 2, "{n}other", &again);
    for (unsigned tries = 0; tries < 1000 && again.count == 0; tries++) {
        rig_run(r, 10000);
    }
    ck_assert_uint_eq(again.count, 1);
    ck_assert_int_eq(again.code, 0);
    ck_assert(!r->nodes[1].stopped);
    if (rotten[_i] == NODE_KEY_EV_RECORD) { /* found by the write */
        ck_assert_uint_gt(epoch_of(r, 2), epoch);
    }
    await_equal(r, region);
    struct hash_digest after = node_ev_region_get(r->nodes[1].node, region)->digest;
    ck_assert(after.low != before.low); /* one more entry, and none less */
    rig_run(r, 3000000);
    rig_stop(r, 2);
    (void)rig_rot(r, 2, rotten[_i], sound, 64); /* once more */
    rig_start(r, 2);
    (void)epoch_of(r, 2);
    await_equal(r, region);
    rig_free(r);
}
END_TEST

/* The value of a register under the first dot of an actor. out: initialised, empty. */
static void forge(const char *name, struct crdt_actor actor, const char *text, struct buf *out)
{
    const uint8_t type = CRDT_MV;
    struct alloc heap = alloc_heap();
    struct node_ev_fragment f;
    struct buf key;
    struct buf value;
    buf_init(&key, &heap, 64);
    buf_init(&value, &heap, 4096);
    node_ev_fragment_init(&f, &heap);
    f.region = ev_region(name);
    f.records_count = 1;
    ck_assert_int_eq(crdt_context_add(&f.seen, &(struct crdt_range){actor, 1, 1}), 0);
    ck_assert_int_eq(node_ev_key(bytes_of_text("s"), bytes_of_text(name), &key), 0);
    (void)buf_put_u8(&value, 1);
    (void)buf_put_u32(&value, 1);
    (void)buf_put_u32(&value, actor.node);
    (void)buf_put_u64(&value, actor.epoch);
    (void)buf_put_u64(&value, 1);
    (void)buf_put_bytes(&value, bytes_of_text(text));
    (void)buf_put_u32(&value, 0);
    ck_assert_int_eq(node_ev_fragment_head(&f, out), 0);
    ck_assert_int_eq(
        node_ev_fragment_record(buf_view(&key), bytes_of(&type, 1), buf_view(&value), out), 0);
    node_ev_fragment_release(&f);
    buf_release(&key);
    buf_release(&value);
}

static uint64_t dots_twice(struct rig *r, unsigned i)
{
    struct wire_node result;
    uint64_t count = UINT64_MAX;
    ck_assert_int_eq(rig_call(r, i, "crdt.status", "", &result), 0);
    ck_assert_int_eq(wire_node_u64(wire_node_find(result, "dots_twice"), &count), 0);
    return count;
}

/* scenario C17 */
START_TEST(a_dot_with_two_meanings_is_told_to_whoever_looks_at_the_status)
{
    struct rig *r = rig_new(3);
    struct crdt_actor actor;
    struct buf one;
    struct buf other;
    const uint64_t epoch = epoch_of(r, 2);
    ck_assert(ev_ready(r) && has_actor(r, 2, &actor));
    buf_init(&one, &r->heap, 4096);
    buf_init(&other, &r->heap, 4096);
    forge("k", actor, "what one process wrote", &one);
    forge("k", actor, "what its copy wrote", &other);
    ck_assert_int_eq(ev_join(r, 3, buf_view(&one)), 0);
    ck_assert_int_eq(ev_join(r, 3, buf_view(&one)), 0); /* the same again is none */
    ck_assert_uint_eq(dots_twice(r, 3), 0);
    ck_assert_int_eq(ev_join(r, 3, buf_view(&other)), 0);
    ck_assert_uint_eq(dots_twice(r, 3), 1);
    rig_run(r, 5000000); /* the actor hears of dots that it never made */
    ck_assert_uint_ne(epoch_of(r, 2), epoch);
    buf_release(&one);
    buf_release(&other);
    rig_free(r);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ev_self");
    TCase *t = tcase_create("self");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_start_is_an_actor_once_group_0_has_granted_it_epochs);
    tcase_add_test(t, a_crash_ends_the_epoch);
    tcase_add_test(t, an_orderly_end_lets_the_epoch_go_on);
    tcase_add_test(t, without_group_0_a_start_is_no_actor);
    tcase_add_test(t, a_start_whose_replica_of_group_0_has_stopped_is_an_actor);
    tcase_add_test(t, a_start_says_two_things_and_one_of_before_said_one);
    tcase_add_test(t, an_orderly_end_of_no_actor_hides_no_crash);
    tcase_add_test(t, a_doubt_takes_the_next_epoch_without_group_0);
    tcase_add_test(t, a_doubt_makes_older_sessions_void);
    tcase_add_test(t, a_dot_with_two_meanings_is_told_to_whoever_looks_at_the_status);
    tcase_add_test(t, an_epoch_that_was_never_granted_is_known_as_such);
    tcase_add_test(t, nobody_waits_for_what_was_never_granted);
    tcase_add_test(t, who_waits_later_is_asked_for_later);
    tcase_add_test(t, a_wait_ends_at_its_deadline);
    tcase_add_loop_test(t, an_older_copy_is_another_actor_in_whatever_order_it_was_left, 0, 2);
    tcase_add_test(t, a_write_is_neither_answered_nor_told_to_others_before_its_dot_is_durable);
    tcase_add_test(t, of_two_copies_of_a_node_only_one_is_its_actor);
    tcase_add_loop_test(t, damaged_records_come_back_and_the_epoch_is_another, 0,
                        sizeof rotten / sizeof rotten[0]);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
