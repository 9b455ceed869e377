/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for the objects part until it is there: no ops, no methods, no buckets.
 */
#include "server/node/service_internal.h"

const struct node_op node_object_ops[] = {{0, NULL, NULL, NULL}};
const struct node_query_op node_object_queries[] = {{0, NULL, NULL, NULL}};
const struct node_method node_object_methods[] = {{0, NULL}};
const struct node_api node_object_api[] = {{NULL, NULL}};

int node_objects_new(struct node_objects **out, struct node *n)
{
    (void)n;
    *out = NULL;
    return 0;
}

void node_objects_start(struct node_objects *o)
{
    (void)o;
}

void node_objects_free(struct node_objects *o)
{
    (void)o;
}

void node_objects_peer_up(struct node_objects *o, uint32_t peer)
{
    (void)o;
    (void)peer;
}

void node_objects_peer_down(struct node_objects *o, uint32_t peer)
{
    (void)o;
    (void)peer;
}

void node_objects_conn_gone(struct node_objects *o, uint64_t conn)
{
    (void)o;
    (void)conn;
}

void node_objects_led(struct node_objects *o, uint32_t group)
{
    (void)o;
    (void)group;
}

int node_objects_status(struct node_objects *o, struct buf *out)
{
    (void)o;
    return wire_pack_map(out, 0);
}

struct node_no_buckets {
    struct node_timer timer;
    void *ctx;
    node_done_fn *done;
};

static void node_no_buckets_fire(struct node *n, struct node_timer *t)
{
    struct node_no_buckets copy = *(struct node_no_buckets *)t->ctx;
    const uint8_t none[1] = {0x90};
    alloc_put(node_alloc(n), t->ctx, sizeof copy);
    copy.done(n, copy.ctx, 0, bytes_of(none, 1));
}

void node_objects_buckets(struct node *n, uint64_t deadline_us, void *ctx, node_done_fn *done)
{
    struct node_no_buckets *b = alloc_get_zeroed(node_alloc(n), 1, sizeof *b);
    (void)deadline_us;
    b->ctx = ctx;
    b->done = done;
    b->timer.ctx = b;
    b->timer.fire = node_no_buckets_fire;
    node_timer_set(n, &b->timer, node_now(n));
}
