/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode at its limits: what nodes write apart into one record fits a page when they meet.
 */
#include "tests/unit/unit.h"

#include "ev_nodes.h"
#include "server/node/eventual_ops_internal.h"

#include <stdio.h>

static void added(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    *(int *)ctx = code;
}

/* One command at node i alone. returns: the code. */
static int write_all(struct rig *r, unsigned i, const struct node_ev_op *ops, unsigned count)
{
    struct buf body;
    int code = 1;
    buf_init(&body, &r->heap, 1u << 20);
    ck_assert_int_eq(node_ev_update_encode(ops, count, r->now, &body), 0);
    const struct node_cmd cmd = {.principal = bytes_of_text("root"), .body = buf_view(&body)};
    node_ev_write(ev_node(r, i), &cmd, 1, 1000, r->now + 5000000, &code, added);
    for (unsigned k = 0; k < 1000 && code == 1; k++) {
        rig_run(r, 2000);
    }
    buf_release(&body);
    return code;
}

/* 250 single additions to one counter. returns: the code. */
static int add_some(struct rig *r, unsigned i)
{
    static struct node_ev_op ops[250];
    for (unsigned k = 0; k < 250; k++) {
        ops[k] = (struct node_ev_op){.space = bytes_of_text("s"),
                                     .name = bytes_of_text("n"),
                                     .op = {.verb = CRDT_ADD, .amount = 1}};
        crdt_path_init(&ops[k].path, CRDT_COUNTER);
    }
    return write_all(r, i, ops, 250);
}

START_TEST(what_every_node_wrote_apart_until_it_was_full_comes_to_be_everywhere)
{
    struct rig *r = rig_make(5);
    int64_t sum = 0;
    r->limits.proposal_bytes = 1280u << 10; /* as little as is allowed */
    for (unsigned i = 1; i <= 5; i++) {
        rig_start(r, i);
    }
    ck_assert(rig_leader(r, 0) != 0);
    ck_assert(ev_ready(r));
    for (unsigned i = 1; i <= 5; i++) {
        rig_isolate(r, i, true);
    }
    for (unsigned i = 1; i <= 5; i++) {
        int code = 0;
        ev_node(r, i)->eventual->ring.bytes_max = 100; /* all of it goes by pages */
        while (code == 0) {
            code = add_some(r, i);
            sum += code == 0 ? 250 : 0;
        }
        ck_assert_int_eq(code, ERR_TOO_LARGE);
    }
    for (unsigned i = 1; i <= 5; i++) {
        rig_isolate(r, i, false);
    }
    ck_assert(ev_converge(r, 30000000));
    for (unsigned i = 1; i <= 5; i++) {
        ck_assert_int_eq(ev_count(r, i, "n"), sum);
    }
    ck_assert_int_ge(sum, 20000);
    rig_free(r);
}
END_TEST

#define LARGE_REGISTERS 30u

/* Sets registers of the region of {t} at node i, so many that a command holds no second such write.
 * push: becomes what the node sends of it. */
static void write_large(struct rig *r, unsigned i, struct buf *push)
{
    static struct node_ev_op ops[LARGE_REGISTERS];
    static char names[LARGE_REGISTERS][16];
    static const uint8_t value[31000];
    const struct node_ev_ring *ring = &ev_node(r, i)->eventual->ring;
    for (unsigned k = 0; k < LARGE_REGISTERS; k++) {
        (void)snprintf(names[k], sizeof names[k], "{t}%u-%u", i, k);
        ops[k] =
            (struct node_ev_op){.space = bytes_of_text("s"),
                                .name = bytes_of_text(names[k]),
                                .op = {.verb = CRDT_SET, .value = bytes_of(value, sizeof value)}};
        crdt_path_init(&ops[k].path, CRDT_LWW);
    }
    ck_assert_int_eq(write_all(r, i, ops, LARGE_REGISTERS), 0);
    const struct node_ev_noted *noted = node_ev_ring_get(ring, ring->next - 1);
    buf_init(push, &r->heap, 2u << 20);
    ck_assert_int_eq(buf_put_bytes(push, bytes_of(noted->data, noted->bytes)), 0);
}

/* returns: whether the node has what was seen before the push; all: and the push itself. */
static bool large_is_there(const struct node *n, const struct buf *push, bool all)
{
    struct alloc heap = alloc_heap();
    struct node_ev_fragment f;
    node_ev_fragment_init(&f, &heap);
    ck_assert_int_eq(node_ev_fragment_decode(&f, bytes_of(push->data + 4, push->size - 4)), 0);
    bool there = crdt_context_leq(all ? &f.seen : &f.before, node_ev_seen(n, f.region));
    node_ev_fragment_release(&f);
    return there;
}

/* As many commands as wait at most, less those. They do nothing. */
static void crowd(struct node *n, unsigned less, int *code)
{
    static const uint8_t no_epoch[8] = {0xff};
    const struct node_cmd cmd = {.op = NODE_OP_EV_DOUBT, .body = bytes_of(no_epoch, 8)};
    for (unsigned i = less; i < 512; i++) {
        node_propose(n, NODE_GROUP_OWN, &cmd, node_now(n) + 1000000, code, added);
    }
}

/* The later write comes from the peer that is looked at first; one command has room left. */
START_TEST(what_needs_another_push_is_not_joined_without_it_where_both_are_too_much)
{
    struct rig *r = rig_make(3);
    struct buf first;
    struct buf second;
    int code = 0;
    r->limits.proposal_bytes = 1280u << 10;
    for (unsigned i = 1; i <= 3; i++) {
        rig_start(r, i);
    }
    ck_assert(rig_leader(r, 0) != 0);
    ck_assert(ev_ready(r));
    struct node *n = ev_node(r, 1);
    rig_isolate(r, 1, true);
    write_large(r, 3, &first);
    rig_run(r, 1000000);
    ck_assert(large_is_there(ev_node(r, 2), &first, true));
    write_large(r, 2, &second);
    node_ev_push_serve(n, (struct node_request){.peer = 2, .id = 1u << 30}, buf_view(&second));
    node_ev_push_serve(n, (struct node_request){.peer = 3, .id = 1u << 30}, buf_view(&first));
    crowd(n, 1, &code);
    node_ev_inbox_run(n);
    rig_run(r, 1000);
    ck_assert(!large_is_there(n, &second, true) || large_is_there(n, &second, false));
    rig_run(r, 300000);
    ck_assert(large_is_there(n, &second, true));
    ck_assert(large_is_there(n, &second, false));
    buf_release(&first);
    buf_release(&second);
    rig_free(r);
}
END_TEST

/* A register that as many nodes have set at the same time as there can be, with the removals and
 * the context of as many actors as a context may hold. */
START_TEST(the_shares_of_all_nodes_fit_one_page)
{
    static uint8_t payload[NODE_EV_RECORD_BYTES_MAX];
    struct alloc heap = alloc_heap();
    for (uint32_t nodes = 1; nodes <= WIRE_IDENTITY_NODES_MAX; nodes++) {
        struct node_ev_fragment f;
        struct buf value;
        struct buf out;
        const uint8_t record_key[1] = {CRDT_MV};
        struct buf key;
        uint64_t each = node_ev_share(nodes) - NODE_EV_ENTRY_BYTES;
        ck_assert_uint_ge(each, nodes <= 21 ? NODE_EV_VALUE_BYTES_MAX : 11000);
        buf_init(&key, &heap, 4096);
        buf_init(&value, &heap, 4u << 20);
        buf_init(&out, &heap, 4u << 20);
        node_ev_fragment_init(&f, &heap);
        f.region = ev_region("n");
        f.flags = NODE_EV_PAGE;
        f.time_us = UINT64_MAX;
        f.records_count = 1;
        for (uint32_t i = 0; i < 4096; i++) {
            const struct crdt_range range = {
                {UINT32_MAX - i % 64, (UINT64_C(1) << 32) + i / 64}, 1, UINT64_C(1) << 40};
            ck_assert_int_eq(crdt_context_add(&f.seen, &range), 0);
        }
        ck_assert_int_eq(node_ev_key(bytes_of_text("s"), bytes_of_text("n"), &key), 0);
        (void)buf_put_u8(&value, 1);
        (void)buf_put_u32(&value, nodes);
        for (uint32_t i = 0; i < nodes; i++) {
            const struct crdt_dot dot = {{UINT32_MAX - nodes + i, 1}, 1};
            (void)node_ev_entry_put(&value, dot, bytes_of(payload, each));
        }
        (void)buf_put_u32(&value, 4096);
        for (uint32_t i = 0; i < 4096; i++) {
            (void)node_ev_dot_put(
                &value, (struct crdt_dot){{UINT32_MAX - 63 + i / 64, 1 + i % 64}, 1u << 30});
        }
        ck_assert_int_eq(node_ev_fragment_head(&f, &out), 0);
        ck_assert_int_eq(node_ev_fragment_record(buf_view(&key), bytes_of(record_key, 1),
                                                 buf_view(&value), &out),
                         0);
        node_ev_fragment_release(&f);
        node_ev_fragment_init(&f, &heap);
        ck_assert_int_eq(node_ev_fragment_decode(&f, buf_view(&out)), 0);
        node_ev_fragment_release(&f);
        buf_release(&key);
        buf_release(&value);
        buf_release(&out);
    }
}
END_TEST

UNIT_MAIN("ev_bounds", what_every_node_wrote_apart_until_it_was_full_comes_to_be_everywhere,
          what_needs_another_push_is_not_joined_without_it_where_both_are_too_much,
          the_shares_of_all_nodes_fit_one_page)
