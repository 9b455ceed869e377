/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Rights to a bounded counter that this node held as an earlier actor, and lost with a crash. They
 * are taken over by the actor that it is now, by FENCE, once nobody can have a dot of any earlier
 * one that is not known: their epochs are recorded by group 0 as over, all of them, and this node
 * and all other owners of the region have folded them. One between may have taken the same rights
 * over before, and used them; only if its dots are known too is that seen. From then on another
 * disk of this node can bring nothing of them back (docs/adr/0013). Only the node itself does so,
 * here: of an actor one other takes all.
 *
 * It is looked for when an operation is refused for lack of rights, while that has its turn. What
 * is folded when the command is applied is looked at there once more.
 *
 *   HOLDERS   who has rights, and in which records -> earlier actors of this node
 *             -> UPDATE of FENCE, which reads these records -> done
 */
#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_retire_internal.h"
#include "server/node/eventual_write_internal.h"

#define EV_RECLAIM_MAX 8u /* actors at once; the rest with the next refusal */
#define EV_HOLDER_BYTES 20u

struct ev_reclaim {
    struct ev_write *w;
    node_done_fn *done;
    struct crdt_actor self;
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

static int ev_reclaim_body(struct node *n, struct ev_reclaim *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        TRY(node_ev_op_accounts(&c->ops[i], c->self, &c->hints));
    }
    for (unsigned i = 0; i < c->count; i++) {
        c->ops[i].hints = &c->hints;
    }
    return node_ev_update_encode(c->ops, c->count, n->wall, &c->body);
}

/* returns: whether a record of this name is among these. */
static bool ev_reclaim_named(struct bytes names, struct bytes name)
{
    struct bytes_reader r = bytes_reader_of(names);
    struct bytes one;
    while (node_ev_hint_next(&r, &one)) {
        if (bytes_equal(one, name)) {
            return true;
        }
    }
    return false;
}

/* Adds FENCE of an earlier actor, unless there is one: what came to it later may be another's to
 * take, and must not hold up the rest. */
static int ev_reclaim_add(struct ev_reclaim *c, struct crdt_actor actor)
{
    struct node_ev_op *op = &c->ops[c->count];
    *op = c->w->ops[c->w->at];
    op->op = (struct crdt_op){.verb = CRDT_FENCE, .to = actor, .number = UINT64_MAX};
    buf_clear(&c->body);
    TRY(node_ev_op_accounts(op, c->self, &c->body));
    struct bytes account = buf_view(&c->body);
    c->count +=
        !ev_reclaim_named(buf_view(&c->hints), bytes_of(account.data + 2, account.size - 2));
    return 0;
}

/* Adds the earlier actors of this node among those that have rights. */
static int ev_reclaim_actors(struct ev_reclaim *c, struct bytes reply)
{
    struct bytes_reader r = bytes_reader_of(reply);
    uint32_t count = bytes_take_u32(&r);
    struct bytes_reader holders = r;
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        (void)bytes_take(&r, EV_HOLDER_BYTES);
    }
    TRY(r.failed ? ERR_PROTOCOL : buf_append(&c->hints, r.at, r.left));
    for (uint32_t i = 0; i < count && c->count < EV_RECLAIM_MAX; i++) {
        struct crdt_actor actor = {.node = bytes_take_u32(&holders)};
        actor.epoch = bytes_take_u64(&holders);
        (void)bytes_take_u64(&holders); /* how many */
        if (actor.node == c->self.node && actor.epoch < c->self.epoch) {
            TRY(ev_reclaim_add(c, actor));
        }
    }
    buf_clear(&c->body);
    return c->count == 0 ? ERR_NO_RIGHTS : 0;
}

static void ev_reclaim_told(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_reclaim *c = ctx;
    struct crdt_actor self;
    bool same = !n->closing && node_ev_actor(n, &self) && self.epoch == c->self.epoch;
    code = code == 0 && !same ? ERR_UNAVAILABLE : code;
    code = code != 0 ? code : ev_reclaim_actors(c, reply);
    code = code != 0 ? code : ev_reclaim_body(n, c);
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

/* returns: whether all earlier epochs of this node are over. It is looked at before the records are
 * read: then all that was done in these epochs is in them. */
static bool ev_reclaim_may(struct node *n, const struct ev_write *w, uint8_t region,
                           struct crdt_actor *self)
{
    if (!w->in_turn || n->closing || !node_ev_actor(n, self) || self->epoch <= 1) {
        return false;
    }
    struct crdt_actor before = {.node = self->node, .epoch = self->epoch - 1};
    if (!crdt_context_folds(node_ev_seen(n, region), before)) {
        node_ev_retire_wanted(n, region);
        return false;
    }
    return ev_reclaim_over(n, region, before);
}

bool node_ev_reclaim(struct node *n, struct ev_write *w, node_done_fn *done)
{
    const struct node_ev_question q = {.mode = NODE_EV_VALUE};
    w->at = w->named < w->count ? w->named : 0;
    const struct ev_write_item *item = &w->items[w->at];
    const struct node_ev_target t = {
        .key = item->key, .path = w->ops[w->at].path, .region = item->region};
    struct crdt_actor self;
    bool may = t.path.types[t.path.count] == CRDT_BOUNDED && ev_reclaim_may(n, w, t.region, &self);
    struct ev_reclaim *c = may ? alloc_get_zeroed(&n->alloc, 1, sizeof *c) : NULL;
    if (c == NULL) {
        return false;
    }
    c->w = w;
    c->done = done;
    c->self = self;
    buf_init(&c->hints, &n->alloc, SIZE_MAX / 2);
    buf_init(&c->body, &n->alloc, n->options.limits.proposal_bytes);
    if (node_ev_read_body(&t, &q, &c->body) != 0) {
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
