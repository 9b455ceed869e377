/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: its operations as commands of the own group. What they do is in
 * eventual_update.c, eventual_join.c and eventual_drop.c; here they get the group's state to work
 * on, and the records they name are fetched before.
 */
#include "server/node/eventual_once_internal.h"
#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_self_internal.h"

/* ---- the state as a store ------------------------------------------------------------------- */

static int node_ev_sm_get(void *ctx, struct bytes name, struct bytes *value)
{
    return node_sm_get(ctx, name, value);
}

static int node_ev_sm_put(void *ctx, struct bytes name, struct bytes value)
{
    return node_sm_put(ctx, name, value);
}

static int node_ev_sm_del(void *ctx, struct bytes name)
{
    return node_sm_del(ctx, name);
}

static bool node_ev_sm_seek(void *ctx, struct bytes name, struct node_ev_spot *spot)
{
    spot->known = node_sm_seek(ctx, name, &spot->at, &spot->present, &spot->value);
    return spot->known;
}

static void node_ev_sm_seek_all(void *ctx, const struct bytes *names, uint32_t count,
                                struct node_ev_spot *spots)
{
    for (uint32_t from = 0; from < count; from += NODE_EV_SEEK_MAX) {
        uint32_t end = NUM_MIN(count, from + NODE_EV_SEEK_MAX);
        for (uint32_t i = from; i < end; i++) {
            node_sm_expect(ctx, names[i], &spots[i].at);
        }
        for (uint32_t i = from; i < end; i++) {
            node_sm_bring(ctx, &spots[i].at);
        }
        for (uint32_t i = from; i < end; i++) {
            struct node_ev_spot *s = &spots[i];
            s->known = node_sm_find(ctx, names[i], &s->at, &s->present, &s->value);
        }
    }
}

static int node_ev_sm_put_at(void *ctx, const struct node_ev_spot *spot, struct bytes name,
                             struct bytes value)
{
    return node_sm_put_at(ctx, &spot->at, name, value);
}

static const struct node_ev_region *node_ev_sm_region(void *ctx, uint8_t region)
{
    const struct node_sm *sm = ctx;
    return node_ev_region_get(sm->n, region);
}

static void node_ev_sm_changed(void *ctx, uint8_t region, const struct node_ev_region *now)
{
    const struct node_sm *sm = ctx;
    node_ev_region_follow(sm->n, region, now);
}

static void node_ev_sm_ahead(void *ctx, uint8_t region, const struct crdt_context *now)
{
    const struct node_sm *sm = ctx;
    node_ev_region_ahead(sm->n, region, now);
}

static void node_ev_sm_note(void *ctx, uint8_t region, bool local, struct bytes fragment)
{
    const struct node_sm *sm = ctx;
    node_ev_note(sm->n, region, local, fragment);
}

static void node_ev_sm_conflict(void *ctx, struct crdt_dot dot)
{
    const struct node_sm *sm = ctx;
    struct node *n = sm->n;
    n->counters.ev_conflicts++;
    log_line(n->options.log, LOG_ERROR, "dot_made_twice",
             "node=%u actor=%u epoch=%llu counter=%llu", n->self, dot.actor.node,
             (unsigned long long)dot.actor.epoch, (unsigned long long)dot.counter);
}

static void node_ev_sm_doubt(void *ctx, const char *why)
{
    const struct node_sm *sm = ctx;
    node_ev_doubt(sm->n, why);
}

static int node_ev_sm_lost(void *ctx)
{
    return node_ev_self_lost(ctx);
}

static struct node_ev_store node_ev_store_of(struct node_sm *sm)
{
    return (struct node_ev_store){
        .ctx = sm,
        .alloc = &sm->n->alloc,
        .self = sm->n->self,
        .log_time_us = sm->time_us,
        .share_bytes = node_ev_share(sm->n->identity.nodes_count),
        .get = node_ev_sm_get,
        .put = node_ev_sm_put,
        .del = node_ev_sm_del,
        .seek = node_ev_sm_seek,
        .seek_all = node_ev_sm_seek_all,
        .put_at = node_ev_sm_put_at,
        .region = node_ev_sm_region,
        .changed = node_ev_sm_changed,
        .ahead = node_ev_sm_ahead,
        .note = node_ev_sm_note,
        .conflict = node_ev_sm_conflict,
        .doubt = node_ev_sm_doubt,
        .lost = node_ev_sm_lost,
    };
}

/* ---- operations ----------------------------------------------------------------------------- */

static int node_ev_scope_names(const struct node_ev_names *names, struct node_keys *out)
{
    for (uint32_t i = 0; i < names->count; i++) {
        TRY(node_keys_add(out, node_ev_names_at(names, i)));
    }
    return 0;
}

static int node_ev_scope_keys(const struct node_ev_scope *s, struct node_keys *out)
{
    const uint8_t self = NODE_KEY_EV_SELF;
    uint8_t name[2];
    TRY(node_keys_add(out, bytes_of(&self, 1)));
    for (uint8_t i = 0; i < NODE_EV_REGIONS; i++) {
        node_ev_region_name(i, name);
        if ((s->regions >> i & 1) != 0) {
            TRY(node_keys_add(out, bytes_of(name, sizeof name)));
        }
        name[0] = NODE_KEY_EV_AHEAD;
        if ((s->ahead >> i & 1) != 0) {
            TRY(node_keys_add(out, bytes_of(name, sizeof name)));
        }
    }
    TRY(node_ev_scope_names(&s->records, out));
    return node_ev_scope_names(&s->types.names, out);
}

/* returns: whether the command came to the group it is for. */
static bool node_ev_own(const struct node_sm *sm)
{
    return node_sm_group(sm) == NODE_GROUP_OWN;
}

typedef int node_ev_scope_fn(struct bytes body, struct node_ev_scope *s);

static int node_ev_keys(const struct node_cmd *cmd, struct node_keys *out, node_ev_scope_fn *fn)
{
    struct node_ev_scope scope;
    struct node_ev_scratch scratch;
    struct alloc alloc = node_ev_scratch_init(&scratch, &out->names.alloc);
    node_ev_scope_init(&scope, &alloc);
    int err = fn(cmd->body, &scope);
    err = err == 0 ? node_ev_scope_keys(&scope, out) : err;
    node_ev_scratch_release(&scratch);
    return err;
}

/* Its dots were those of an epoch that is over, and cannot be made again: what went with them may
 * have been counted in them. Whoever was told of them has them still. */
static bool node_ev_update_told(const struct node_sm *sm)
{
    return sm->index <= node_ev_self_now(sm->n)->told;
}

bool node_ev_try(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply, int *code)
{
    struct node_ev_store store = node_ev_store_of(sm);
    ASSERT(node_ev_own(sm));
    ASSERT(cmd->op == NODE_OP_EV_UPDATE || cmd->op == NODE_OP_EV_JOIN);
    if (cmd->op == NODE_OP_EV_UPDATE && node_ev_update_told(sm)) {
        return false;
    }
    return cmd->op == NODE_OP_EV_UPDATE ? node_ev_count(&store, cmd->body, reply, code)
                                        : node_ev_join_known(&store, cmd->body, code);
}

static int node_ev_update_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    return node_ev_keys(cmd, out, node_ev_update_scope);
}

static int node_ev_update_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_ev_store store = node_ev_store_of(sm);
    if (!node_ev_own(sm)) {
        return ERR_INVALID;
    }
    return node_ev_update_told(sm) ? ERR_TIMEOUT : node_ev_update(&store, cmd->body, reply);
}

static int node_ev_write_once_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    const struct node_cmd update = {.op = NODE_OP_EV_UPDATE, .body = node_ev_once_update(cmd)};
    TRY(node_ev_once_keys(cmd, out));
    TRY(node_keys_add(out, node_ev_self_name()));
    return node_ev_update_keys(&update, out);
}

static int node_ev_write_once_apply(struct node_sm *sm, const struct node_cmd *cmd,
                                    struct buf *reply)
{
    struct node_ev_store store = node_ev_store_of(sm);
    bool ended = false;
    if (!node_ev_own(sm)) {
        return ERR_INVALID;
    }
    int code = node_ev_once_begin(sm, cmd, reply, &ended);
    if (ended) {
        return code;
    }
    TRY(node_ev_update_told(sm) ? ERR_TIMEOUT : 0);
    TRY(node_ev_update(&store, node_ev_once_update(cmd), reply));
    return node_ev_once_end(sm, cmd, buf_view(reply));
}

static int node_ev_join_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    return node_ev_keys(cmd, out, node_ev_join_scope);
}

static int node_ev_join_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_ev_store store = node_ev_store_of(sm);
    return node_ev_own(sm) ? node_ev_join(&store, cmd->body, reply) : ERR_INVALID;
}

static int node_ev_drop_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    TRY(node_ev_pruned_keys(cmd->body, out));
    return node_ev_keys(cmd, out, node_ev_drop_scope);
}

static int node_ev_drop_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_ev_store store = node_ev_store_of(sm);
    TRY(node_ev_own(sm) ? node_ev_drop(&store, cmd->body, reply) : ERR_INVALID);
    return node_ev_pruned_apply(sm, cmd->body);
}

static int node_ev_fold_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    return node_ev_keys(cmd, out, node_ev_fold_scope);
}

static int node_ev_fold_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_ev_store store = node_ev_store_of(sm);
    (void)reply;
    return node_ev_own(sm) ? node_ev_fold(&store, cmd->body) : ERR_INVALID;
}

const struct node_op node_ev_ops[] = {
    {NODE_OP_EV_UPDATE, "ev_update", node_ev_update_keys, node_ev_update_apply},
    {NODE_OP_EV_ONCE, "ev_once", node_ev_write_once_keys, node_ev_write_once_apply},
    {NODE_OP_EV_JOIN, "ev_join", node_ev_join_keys, node_ev_join_apply},
    {NODE_OP_EV_DROP, "ev_drop", node_ev_drop_keys, node_ev_drop_apply},
    {NODE_OP_EV_RECOUNT, "ev_recount", node_ev_recount_keys, node_ev_recount_apply},
    {NODE_OP_EV_FOLD, "ev_fold", node_ev_fold_keys, node_ev_fold_apply},
    {0, NULL, NULL, NULL},
};
