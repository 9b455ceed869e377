/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Epochs that are over are folded: where group 0 has recorded which dots of them there are in a
 * region (RETIRED, eventual_retire.c), and this node has seen all of these, its context says no
 * more of them than their numbers. Whoever lacks one folds nothing: it gets what it lacks as it
 * gets anything, and the fold with it.
 *
 * All nodes fold at about the same time, a while after they have heard of the record: so contexts
 * stay equal, and nobody asks for what it has. A peer's context that is ahead by a fold alone is
 * followed at once.
 *
 * EV_FOLD: for each: node u32, row as in RETIRED. The dots are in the command, so that it does the
 * same when it is applied again.
 */
#include "server/node/control_internal.h"
#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_retire_internal.h"
#include "server/node/eventual_self_internal.h"

#include "store/kv.h"

#define NODE_EV_FOLD_BYTES (64u << 10) /* of one command, about */

/* ---- rows ----------------------------------------------------------------------------------- */

int node_ev_retired_put(const struct node_ev_retired *row, struct buf *out)
{
    (void)buf_put_u8(out, row->region);
    (void)buf_put_u64(out, row->below);
    return node_ev_context_put(out, &row->seen);
}

static bool node_ev_retired_sound(const struct node_ev_retired *row, uint32_t node)
{
    bool sound = row->region < NODE_EV_REGIONS && row->below > 1 && row->seen.count > 0;
    for (size_t i = 0; sound && i < row->seen.count; i++) {
        const struct crdt_range *r = &row->seen.ranges[i];
        uint64_t last = r->actor.epoch == CRDT_FOLDED ? r->to : r->actor.epoch;
        sound = r->actor.node == node && last < row->below;
    }
    return sound;
}

int node_ev_retired_take(struct bytes_reader *r, uint32_t node, struct node_ev_retired *row)
{
    crdt_context_release(&row->seen);
    row->region = bytes_take_u8(r);
    row->below = bytes_take_u64(r);
    if (r->failed) {
        return ERR_INVALID;
    }
    int err = node_ev_context_take(r, &row->seen);
    if (err == 0 && !node_ev_retired_sound(row, node)) {
        crdt_context_release(&row->seen);
        err = ERR_INVALID;
    }
    return err == 0 || err == ERR_NO_MEMORY ? err : ERR_INVALID;
}

/* ---- applying ------------------------------------------------------------------------------- */

static struct crdt_range node_ev_fold_range(uint32_t node, uint64_t below)
{
    return (struct crdt_range){
        .actor = {.node = node, .epoch = CRDT_FOLDED}, .from = 1, .to = below - 1};
}

static bool node_ev_foldable(const struct crdt_context *seen, uint32_t node,
                             const struct node_ev_retired *row)
{
    struct crdt_range fold = node_ev_fold_range(node, row->below);
    const struct crdt_context all = {.ranges = &fold, .count = 1};
    return crdt_context_leq(&row->seen, seen) && !crdt_context_leq(&all, seen) &&
           node_ev_retired_all(seen, node, row); /* else the fold would hide dots that nobody has */
}

static int node_ev_fold_row(const struct node_ev_store *store, uint32_t node,
                            const struct node_ev_retired *row)
{
    const struct node_ev_region *old = store->region(store->ctx, row->region);
    struct node_ev_region now = {.time_us = old->time_us, .digest = old->digest};
    struct crdt_actor actor;
    struct buf raw;
    uint8_t name[2];
    bool acts = node == store->self && node_ev_self_actor(store, &actor);
    if (!node_ev_foldable(&old->seen, node, row) || (acts && actor.epoch < row->below)) {
        return 0; /* the last: two nodes are one, and what is told of this one is not true */
    }
    crdt_context_init(&now.seen, store->alloc);
    buf_init(&raw, store->alloc, STORE_KV_VALUE_BYTES_MAX);
    node_ev_region_name(row->region, name);
    int err = node_ev_context_set(&now.seen, &old->seen);
    const struct crdt_range fold = node_ev_fold_range(node, row->below);
    err = err != 0 ? err : crdt_context_add(&now.seen, &fold);
    err = err != 0 ? err : node_ev_region_encode(&now, &raw);
    err = err != 0 ? err : store->put(store->ctx, bytes_of(name, sizeof name), buf_view(&raw));
    if (err == 0) {
        store->changed(store->ctx, row->region, &now);
    }
    crdt_context_release(&now.seen);
    buf_release(&raw);
    return err;
}

/* store NULL: nothing is done. *regions: those that are named. */
static int node_ev_fold_rows(const struct node_ev_store *store, const struct alloc *alloc,
                             struct bytes body, uint64_t *regions)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct node_ev_retired row;
    int err = body.size == 0 ? ERR_INVALID : 0;
    crdt_context_init(&row.seen, alloc);
    while (err == 0 && r.left > 0) {
        uint32_t node = bytes_take_u32(&r);
        err = node_ev_retired_take(&r, node, &row);
        if (err == 0) {
            *regions |= UINT64_C(1) << row.region;
            err = store == NULL ? 0 : node_ev_fold_row(store, node, &row);
        }
    }
    crdt_context_release(&row.seen);
    return err;
}

int node_ev_fold_scope(struct bytes body, struct node_ev_scope *s)
{
    return node_ev_fold_rows(NULL, &s->records.bytes.alloc, body, &s->regions);
}

int node_ev_fold(const struct node_ev_store *store, struct bytes body)
{
    uint64_t regions = 0;
    TRY(node_ev_fold_rows(NULL, store->alloc, body, &regions)); /* as a whole or not at all */
    return node_ev_fold_rows(store, store->alloc, body, &regions);
}

/* ---- what there is to fold ------------------------------------------------------------------ */

int node_ev_fold_context(const struct node *n, uint8_t region, struct crdt_context *seen)
{
    const struct node_control *c = n->control;
    struct node_ev_retired row;
    int err = 0;
    crdt_context_init(&row.seen, &n->alloc);
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        struct bytes_reader r = bytes_reader_of(buf_view(&c->peers[i].retired));
        while (err == 0 && r.left > 0) {
            err = node_ev_retired_take(&r, c->peers[i].id, &row);
            if (err == 0 && row.region == region && node_ev_foldable(seen, c->peers[i].id, &row)) {
                const struct crdt_range fold = node_ev_fold_range(c->peers[i].id, row.below);
                err = crdt_context_add(seen, &fold);
            }
        }
    }
    crdt_context_release(&row.seen);
    return err;
}

static int node_ev_fold_collect_of(const struct node *n, uint32_t node, struct bytes rows,
                                   struct buf *out)
{
    struct bytes_reader r = bytes_reader_of(rows);
    struct node_ev_retired row;
    struct crdt_actor actor;
    bool acts = node == node_self(n) && node_ev_actor(n, &actor);
    int err = 0;
    crdt_context_init(&row.seen, &n->alloc);
    while (err == 0 && r.left > 0 && out->size < NODE_EV_FOLD_BYTES) {
        err = node_ev_retired_take(&r, node, &row);
        if (err == 0 && node_ev_foldable(node_ev_seen(n, row.region), node, &row) &&
            !(acts && actor.epoch < row.below)) {
            (void)buf_put_u32(out, node);
            err = node_ev_retired_put(&row, out);
        }
    }
    crdt_context_release(&row.seen);
    return err;
}

static int node_ev_fold_collect(const struct node *n, struct buf *out)
{
    const struct node_control *c = n->control;
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        TRY(node_ev_fold_collect_of(n, c->peers[i].id, buf_view(&c->peers[i].retired), out));
    }
    return out->err;
}

/* ---- folding -------------------------------------------------------------------------------- */

static void node_ev_fold_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_eventual *ev = node_ev_of(n);
    (void)ctx;
    (void)reply;
    ev->folding = false;
    if (!n->closing) {
        node_timer_set(n, &ev->fold, node_now(n) + (code == 0 ? 0 : NODE_EV_FOLD_US));
        node_ev_tick_soon(n);
    }
}

void node_ev_fold_fire(struct node *n, struct node_timer *t)
{
    struct node_eventual *ev = t->ctx;
    struct buf body;
    if (n->failed || n->closing || ev->folding) {
        return;
    }
    if (!node_ev_ready(n)) {
        node_timer_set(n, t, node_now(n) + NODE_EV_FOLD_US);
        return;
    }
    buf_init(&body, &n->alloc, n->options.limits.proposal_bytes);
    if (node_ev_fold_collect(n, &body) == 0 && body.size > 0) {
        const struct node_cmd cmd = {.op = NODE_OP_EV_FOLD, .body = buf_view(&body)};
        ev->folding = true;
        node_propose(n, NODE_GROUP_OWN, &cmd, node_now(n) + NODE_EV_CALL_US, NULL,
                     node_ev_fold_done);
    }
    buf_release(&body);
}

void node_ev_fold_soon(struct node *n, uint64_t wait_us)
{
    struct node_eventual *ev = n->eventual;
    if (ev == NULL || !ev->started) {
        return; /* looked at when it begins */
    }
    uint64_t at_us = node_now(n) + wait_us;
    if (ev->fold.at_us == 0 || ev->fold.at_us > at_us) {
        node_timer_set(n, &ev->fold, at_us);
    }
}

void node_ev_fold_follow(struct node *n, uint8_t region, const struct crdt_context *theirs)
{
    const struct crdt_context *own = node_ev_seen(n, region);
    for (size_t i = 0; i < theirs->count; i++) {
        const struct crdt_context one = {.ranges = &theirs->ranges[i], .count = 1};
        if (theirs->ranges[i].actor.epoch == CRDT_FOLDED && !crdt_context_leq(&one, own)) {
            node_control_hear(n);
            node_ev_fold_soon(n, 0);
            return;
        }
    }
}
