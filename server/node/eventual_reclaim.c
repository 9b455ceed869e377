/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Rights to a bounded counter that this node held as an earlier actor, and lost with a crash. They
 * are taken over by the actor that it is now, by FENCE, once nobody can have a dot of the earlier
 * one that is not known: its epoch is recorded by group 0 as over, and this node and all other
 * owners of the region have folded it. From then on another disk of this node can bring nothing of
 * it back (docs/adr/0013). Only the node itself does so, here: of an actor one other takes all.
 *
 * It is looked for when an operation is refused for lack of rights, while that has its turn.
 *
 *   HOLDERS   who has rights -> earlier actors of this node -> UPDATE of FENCE -> done
 */
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_write_internal.h"

#define EV_RECLAIM_MAX 8u /* actors at once; the rest with the next refusal */

struct ev_reclaim {
    struct ev_write *w;
    node_done_fn *done;
    struct node_ev_op ops[EV_RECLAIM_MAX];
    unsigned count;
    struct buf hints;
    struct buf body;
};

static void ev_reclaim_end(struct node *n, struct ev_reclaim *c, int code)
{
    struct ev_write *w = c->w;
    node_done_fn *done = c->done;
    buf_release(&c->hints);
    buf_release(&c->body);
    alloc_put(&n->alloc, c, sizeof *c);
    done(n, w, code, bytes_of(NULL, 0));
}

/* returns: whether every owner of the region, old and new, has folded the actor's epoch. */
static bool ev_reclaim_over(const struct node *n, uint8_t region, struct crdt_actor actor)
{
    struct node_ev_list list;
    bool over = crdt_context_folds(node_ev_seen(n, region), actor);
    node_ev_list_get(n, region, &list);
    for (unsigned i = 0; i < list.count && over; i++) {
        const struct node_ev_peer *p = node_ev_peer_of(n, list.nodes[i]);
        over = p == NULL || (p->told && crdt_context_folds(&p->known[region], actor));
    }
    return over;
}

static void ev_reclaim_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)reply;
    ev_reclaim_end(n, ctx, code);
}

static int ev_reclaim_body(struct node *n, struct ev_reclaim *c, struct crdt_actor self)
{
    for (unsigned i = 0; i < c->count; i++) {
        TRY(node_ev_op_accounts(&c->ops[i], self, &c->hints));
    }
    for (unsigned i = 0; i < c->count; i++) {
        c->ops[i].hints = &c->hints;
    }
    return node_ev_update_encode(c->ops, c->count, n->wall, &c->body);
}

/* Adds the earlier actors of this node among those that have rights. */
static int ev_reclaim_actors(const struct node *n, struct ev_reclaim *c, struct bytes holders,
                             struct crdt_actor self)
{
    const struct ev_write *w = c->w;
    const struct node_ev_op *op = &w->ops[w->at];
    struct bytes_reader r = bytes_reader_of(holders);
    while (r.left > 0 && c->count < EV_RECLAIM_MAX) {
        struct crdt_actor actor = {.node = bytes_take_u32(&r)};
        actor.epoch = bytes_take_u64(&r);
        (void)bytes_take_u64(&r); /* how many */
        if (!r.failed && actor.node == self.node && actor.epoch != self.epoch &&
            ev_reclaim_over(n, w->items[w->at].region, actor)) {
            c->ops[c->count] = *op;
            c->ops[c->count++].op = (struct crdt_op){.verb = CRDT_FENCE, .to = actor};
        }
    }
    return r.failed ? ERR_PROTOCOL : c->count == 0 ? ERR_NO_RIGHTS : 0;
}

static void ev_reclaim_told(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_reclaim *c = ctx;
    struct crdt_actor self;
    code = code == 0 && (n->closing || !node_ev_actor(n, &self)) ? ERR_UNAVAILABLE : code;
    code = code != 0 ? code : ev_reclaim_actors(n, c, reply, self);
    code = code != 0 ? code : ev_reclaim_body(n, c, self);
    if (code != 0) {
        ev_reclaim_end(n, c, code);
        return;
    }
    const struct node_cmd cmd = {.op = NODE_OP_EV_UPDATE,
                                 .principal = c->w->cmd.principal,
                                 .body = buf_view(&c->body),
                                 .here = true};
    node_ev_write(n, &cmd, c->w->copies, c->w->causal.budget_us, n->now + NODE_EV_CALL_US, c,
                  ev_reclaim_done);
}

/* returns: whether some epoch of this node is folded in the region. */
static bool ev_reclaim_may(const struct node *n, uint8_t region)
{
    const struct crdt_context *seen = node_ev_seen(n, region);
    for (size_t i = 0; i < seen->count; i++) {
        if (seen->ranges[i].actor.node == n->self && seen->ranges[i].actor.epoch == CRDT_FOLDED) {
            return true;
        }
    }
    return false;
}

bool node_ev_reclaim(struct node *n, struct ev_write *w, node_done_fn *done)
{
    const struct node_ev_question q = {.mode = NODE_EV_VALUE};
    w->at = w->named < w->count ? w->named : 0;
    const struct ev_write_item *item = &w->items[w->at];
    const struct node_ev_target t = {
        .key = item->key, .path = w->ops[w->at].path, .region = item->region};
    bool may = t.path.types[t.path.count] == CRDT_BOUNDED && w->in_turn && !n->closing &&
               ev_reclaim_may(n, t.region);
    struct ev_reclaim *c = may ? alloc_get_zeroed(&n->alloc, 1, sizeof *c) : NULL;
    if (c == NULL) {
        return false;
    }
    c->w = w;
    c->done = done;
    buf_init(&c->hints, &n->alloc, SIZE_MAX / 2);
    buf_init(&c->body, &n->alloc, n->options.limits.proposal_bytes);
    int err = buf_append(&c->hints, item->hints.data, item->hints.size);
    err = err != 0 ? err : node_ev_read_body(&t, &q, &c->body);
    if (err != 0) {
        buf_release(&c->hints);
        buf_release(&c->body);
        alloc_put(&n->alloc, c, sizeof *c);
        return false;
    }
    node_ev_ask(n, n->self, NODE_QUERY_EV_HOLDERS, buf_view(&c->body), n->now + NODE_EV_CALL_US, c,
                ev_reclaim_told);
    buf_clear(&c->body);
    return true;
}
