/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The extents of an upload, and its commit. An extent whose stripes are all out is judged by the
 * commit rule; what fails it is rebuilt on other nodes first. Before the commit every extent is
 * judged once more by who is up now, so that an acknowledged object survives the loss of any one
 * node even if nodes died during the upload.
 */
#include "server/node/put_internal.h"

static unsigned node_put_bits(uint32_t mask)
{
    unsigned count = 0;
    for (; mask != 0; mask &= mask - 1) {
        count++;
    }
    return count;
}

/* ---- where shards go ------------------------------------------------------------------------ */

/* On nodes that are well; if these are too few, on all that can be reached. */
static int node_extent_holders(struct node_put_extent *x)
{
    const struct node_put *p = x->p;
    struct node *n = p->o->n;
    bool up[NODE_OBJECTS_PEERS_MAX];
    for (unsigned i = 0; i < x->nodes_count; i++) {
        up[i] = node_peer_fit(n, x->nodes[i]);
    }
    if (erasure_assign(p->shape.scheme, x->nodes, up, x->nodes_count, x->holder) == 0 &&
        node_put_holders_safe(p, x->nodes, x->nodes_count, x->holder)) {
        return 0;
    }
    for (unsigned i = 0; i < x->nodes_count; i++) {
        up[i] = node_peer_is_up(n, x->nodes[i]) && !node_member_out(n, x->nodes[i]);
    }
    return erasure_assign(p->shape.scheme, x->nodes, up, x->nodes_count, x->holder);
}

static int node_extent_place(struct node_put_extent *x)
{
    struct node_put *p = x->p;
    struct node_objects *o = p->o;
    unsigned shards = (unsigned)p->shape.scheme.k + p->shape.scheme.m;
    x->nodes_count = node_objects_place(o, p->version, x->number, &x->placement_group, x->nodes);
    TRY(node_extent_holders(x));
    for (unsigned s = 0; s < shards; s++) {
        uint32_t home = erasure_home(x->nodes, x->nodes_count, s);
        x->home[s] = node_member_out(o->n, home) ? x->holder[s] : home;
    }
    return 0;
}

static int node_extent_place_like(struct node_put_extent *x, const struct node_extent *like);

static void node_extent_free(struct node_put_extent *x)
{
    struct node_objects *o = x->p->o;
    alloc_put(&o->alloc, x->cells, x->cells_count);
    alloc_put(&o->alloc, x->roots, x->roots_bytes);
    alloc_put(&o->alloc, x->fingers.data, x->fingers.bytes);
    alloc_put(&o->alloc, x, sizeof *x);
}

/* like: NULL, or whose place it has. */
static int node_extent_new(struct node_put *p, const struct node_extent *like)
{
    struct node_objects *o = p->o;
    if (p->extents_count == p->extents_cap) {
        uint32_t cap = p->extents_cap == 0 ? 8 : 2 * p->extents_cap;
        struct node_put_extent **grown = alloc_get_zeroed(&o->alloc, cap, sizeof *grown);
        if (grown == NULL) {
            return ERR_NO_MEMORY;
        }
        if (p->extents_count > 0) {
            memcpy(grown, p->extents, p->extents_count * sizeof *grown);
        }
        alloc_put(&o->alloc, p->extents, p->extents_cap * sizeof *grown);
        p->extents = grown;
        p->extents_cap = cap;
    }
    struct node_put_extent *x = alloc_get_zeroed(&o->alloc, 1, sizeof *x);
    if (x == NULL) {
        return ERR_NO_MEMORY;
    }
    x->p = p;
    x->number = p->extents_count;
    x->roots_bytes = (size_t)p->extent_stripes * p->shape.scheme.k * MERKLE_HASH_BYTES;
    x->roots = alloc_get(&o->alloc, x->roots_bytes);
    int err = x->roots == NULL ? ERR_NO_MEMORY : 0;
    if (p->shape.scheme.m > 0) {
        x->fingers.bytes = x->roots_bytes; /* as long */
        x->fingers.data = alloc_get_zeroed(&o->alloc, x->roots_bytes, 1);
        x->fingers.whole = like == NULL; /* stripes are coded before they count */
        err = x->fingers.data == NULL ? ERR_NO_MEMORY : err;
    }
    err = err != 0 ? err : like == NULL ? node_extent_place(x) : node_extent_place_like(x, like);
    if (err != 0) {
        node_extent_free(x);
        return err;
    }
    p->extents[p->extents_count++] = x;
    return 0;
}

struct node_put_extent *node_put_extent_current(struct node_put *p)
{
    if (p->extents_count > 0 && !p->extents[p->extents_count - 1]->closed) {
        return p->extents[p->extents_count - 1];
    }
    return node_extent_new(p, NULL) == 0 ? p->extents[p->extents_count - 1] : NULL;
}

void node_put_extents_free(struct node_put *p)
{
    struct node_objects *o = p->o;
    for (uint32_t i = 0; i < p->extents_count; i++) {
        struct node_put_extent *x = p->extents[i];
        node_timer_cancel(o->n, &x->timer);
        node_extent_free(x);
    }
    alloc_put(&o->alloc, p->extents, p->extents_cap * sizeof(struct node_put_extent *));
    p->extents = NULL;
    p->extents_count = p->extents_cap = 0;
}

static uint32_t node_extent_cells(const struct node_put_extent *x)
{
    return (uint32_t)num_div_up(x->bytes, x->p->shape.cell_bytes);
}

/* Roots that are in the object's root and in the extent's record are not kept, and no fingerprints.
 */
static void node_extent_roots_drop(struct node_put_extent *x)
{
    struct node_put *p = x->p;
    if (x->known && x->number < p->extents_pushed) {
        alloc_put(&p->o->alloc, x->roots, x->roots_bytes);
        alloc_put(&p->o->alloc, x->fingers.data, x->fingers.bytes);
        x->roots = NULL;
        x->roots_bytes = 0;
        x->fingers = (struct node_fingers){0};
    }
}

/* Roots enter the object's root in order, an extent at a time. */
void node_put_roots_push(struct node_put *p)
{
    while (p->extents_pushed < p->extents_count) {
        struct node_put_extent *x = p->extents[p->extents_pushed];
        if (!x->closed || x->hashed < x->stripes) {
            return;
        }
        merkle_builder_push(&p->builder, x->roots, node_extent_cells(x));
        p->extents_pushed++;
        node_extent_roots_drop(x);
    }
}

/* ---- failures ------------------------------------------------------------------------------- */

static void node_extent_refuse(struct node_put_extent *x, uint32_t node)
{
    for (unsigned i = 0; i < x->nodes_count; i++) {
        if (x->nodes[i] == node) {
            x->refused[i] = true;
        }
    }
}

void node_put_extent_failed(struct node_put_extent *x, uint8_t shard, int code)
{
    struct node_put *p = x->p;
    uint32_t all = node_extent_all(p->shape.scheme);
    if ((x->failed >> shard & 1u) == 0) {
        log_line(node_log(p->o->n), LOG_WARN, "shard_write_failed",
                 "version=%llu extent=%u shard=%u node=%u code=%s",
                 (unsigned long long)node_version_wire(p->version), x->number, shard,
                 x->holder[shard], err_name(code));
    }
    x->failed |= 1u << shard;
    node_extent_refuse(x, x->holder[shard]);
    bool out_of_reach = node_put_bits(all & ~x->failed) < p->shape.scheme.k;
    if (out_of_reach || p->shape.scheme.m == 0) {
        node_put_fail(p, code == ERR_DISK_FULL ? ERR_DISK_FULL : ERR_UNAVAILABLE);
    }
}

/* ---- rebuild elsewhere ---------------------------------------------------------------------- */

static bool node_extent_usable(const struct node_put_extent *x, unsigned i)
{
    const struct node *n = x->p->o->n;
    return node_peer_is_up(n, x->nodes[i]) && !node_member_out(n, x->nodes[i]) && !x->refused[i];
}

/* The home if it can, else the node with the fewest shards of the extent. */
static int node_extent_retarget(struct node_put_extent *x)
{
    unsigned shards = (unsigned)x->p->shape.scheme.k + x->p->shape.scheme.m;
    unsigned load[NODE_OBJECTS_PEERS_MAX] = {0};
    for (unsigned i = 0; i < x->nodes_count; i++) {
        for (unsigned s = 0; s < shards; s++) {
            load[i] += (x->failed >> s & 1u) == 0 && x->holder[s] == x->nodes[i];
        }
    }
    for (unsigned s = 0; s < shards; s++) {
        unsigned best = x->nodes_count;
        for (unsigned i = 0; i < x->nodes_count && (x->failed >> s & 1u) != 0; i++) {
            if (!node_extent_usable(x, i)) {
                continue;
            }
            bool home = x->nodes[i] == x->home[s] && load[i] == 0;
            if (best == x->nodes_count || home || load[i] < load[best]) {
                best = i;
            }
        }
        if ((x->failed >> s & 1u) == 0) {
            continue;
        }
        if (best == x->nodes_count) {
            return ERR_UNAVAILABLE;
        }
        x->target[s] = x->nodes[best];
        load[best]++;
    }
    return 0;
}

/* Where `like` is. Shards of nodes that are down are put elsewhere, as any put does. */
static int node_extent_place_like(struct node_put_extent *x, const struct node_extent *like)
{
    const struct node_put *p = x->p;
    struct node *n = p->o->n;
    const unsigned shards = (unsigned)p->shape.scheme.k + p->shape.scheme.m;
    x->placement_group = like->placement_group;
    x->nodes_count = node_objects_place_of(p->o, like->placement_group, x->nodes);
    for (unsigned s = 0; s < shards; s++) {
        x->home[s] = like->home[s];
        x->holder[s] = (like->durable >> s & 1u) != 0 ? like->holder[s] : like->home[s];
        if (node_member_out(n, x->home[s]) || node_member_out(n, x->holder[s])) {
            return ERR_CONFLICT; /* what moves goes the long way */
        }
        x->failed |= node_peer_is_up(n, x->holder[s]) ? 0 : 1u << s;
    }
    TRY(x->failed != 0 ? node_extent_retarget(x) : 0);
    for (unsigned s = 0; s < shards; s++) {
        x->holder[s] = (x->failed >> s & 1u) != 0 ? x->target[s] : x->holder[s];
    }
    x->failed = 0;
    if (!node_put_holders_safe(p, x->nodes, x->nodes_count, x->holder)) {
        return ERR_UNAVAILABLE;
    }
    x->cells = alloc_get_zeroed(&p->o->alloc, 1, like->cells);
    x->cells_count = x->cells == NULL ? 0 : like->cells;
    x->cells_left = like->cells;
    x->stripes = like->stripes;
    x->bytes = like->bytes;
    x->closed = true;
    x->bare = p->shape.scheme.m > 0;
    return x->cells == NULL ? ERR_NO_MEMORY : 0;
}

int node_put_extent_like(struct node_put *p, const struct node_extent *like)
{
    return node_extent_new(p, like);
}

void node_put_extent_record(const struct node_put_extent *x, struct node_extent *e)
{
    const struct node_put *p = x->p;
    unsigned shards = (unsigned)p->shape.scheme.k + p->shape.scheme.m;
    *e = (struct node_extent){.placement_group = x->placement_group,
                              .scheme = p->shape.scheme,
                              .stripes = x->stripes,
                              .bytes = x->bytes,
                              .durable = node_extent_all(p->shape.scheme) & ~x->failed,
                              .cells = node_extent_cells(x)};
    memcpy(e->home, x->home, sizeof e->home);
    memcpy(e->holder, x->home, sizeof e->holder);
    for (unsigned s = 0; s < shards; s++) {
        if ((e->durable >> s & 1u) != 0 && x->holder[s] != x->home[s]) {
            e->away |= 1u << s;
            e->holder[s] = x->holder[s];
        }
    }
    if (x->roots != NULL) {
        e->roots = bytes_of(x->roots, (size_t)e->cells * MERKLE_HASH_BYTES);
    }
    if (x->fingers.whole) {
        e->fingers = bytes_of(x->fingers.data, e->roots.size);
    }
}

static void node_extent_rebuilt(struct node *n, void *ctx, int code, uint32_t failed)
{
    struct node_put_extent *x = ctx;
    struct node_put *p = x->p;
    uint32_t fine = code == 0 ? x->rebuilding : x->rebuilding & ~failed;
    if (code != 0) {
        fine = 0; /* earlier stripes of it may be there, not all */
        for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
            if ((x->rebuilding & failed) >> s & 1u && !node_peer_is_up(n, x->target[s])) {
                node_extent_refuse(x, x->target[s]);
            }
        }
    }
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        if ((fine >> s & 1u) != 0) {
            x->holder[s] = x->target[s];
        }
    }
    node_put_extent_moved(x, node_self(n), fine, x->target);
    x->failed &= ~fine;
    x->state = NODE_EXTENT_OPEN;
    if (p->state != NODE_PUT_FAILED) {
        node_put_extent_judge(x);
    }
    node_put_release(p);
}

/* known: with the roots of the extent's cells, and what fingerprints there are. */
static int node_extent_rebuild_by(struct node_put_extent *x, const struct node_extent *known)
{
    struct node_put *p = x->p;
    struct node_extent e;
    node_put_extent_record(x, &e);
    e.roots = known->roots;
    e.fingers = known->fingers;
    memcpy(e.holder, x->holder, sizeof e.holder);
    uint64_t size = (uint64_t)x->number * p->extent_stripes * p->stripe_data + x->bytes;
    struct node_extent_info *info =
        node_info_new(p->o, p->group, p->version, x->number, &p->shape, size, &e);
    if (info == NULL) {
        return ERR_NO_MEMORY;
    }
    struct node_rebuild_spec spec = {
        .info = info, .wanted = x->failed, .lane = NODE_LANE_FOREGROUND};
    spec.fingers = x->fingers.data != NULL && !x->fingers.whole ? &x->fingers : NULL;
    memcpy(spec.target, x->target, sizeof spec.target);
    x->rebuilding = x->failed;
    x->state = NODE_EXTENT_REBUILDING;
    bool started = node_rebuild_start(p->o, &spec, x, node_extent_rebuilt) != NULL;
    node_info_release(info);
    p->refs += started;
    return started ? 0 : ERR_NO_MEMORY;
}

static void node_extent_recalled(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_put_extent *x = ctx;
    struct node_put *p = x->p;
    struct node_extents_answer a;
    struct node_extent e;
    struct bytes name;
    struct bytes value;
    if (p->state == NODE_PUT_FAILED) {
        node_put_release(p);
        return;
    }
    code = code != 0 ? code : node_extents_answer_of(reply, &a);
    if (code == 0) {
        bool there = node_answer_row(&a.rows, &name, &value);
        code = there ? node_extent_decode(value, &e) : ERR_CANCELLED;
    }
    code = code != 0 ? code : node_extent_rebuild_by(x, &e);
    if (code != 0) {
        node_put_fail(p, code);
    }
    node_put_release(p);
}

static int node_extent_rebuild(struct node_put_extent *x)
{
    struct node_put *p = x->p;
    const struct node_object_ask ask = {
        .version = p->version, .from = x->number, .limit = 1, .roots = true};
    struct node_extent e;
    if (x->failed == 0 || x->rebuilds++ >= NODE_PUT_REBUILDS_MAX) {
        return ERR_UNAVAILABLE;
    }
    TRY(node_extent_retarget(x));
    if (x->roots != NULL) {
        node_put_extent_record(x, &e);
        return node_extent_rebuild_by(x, &e);
    }
    x->state = NODE_EXTENT_REBUILDING;
    int err = node_objects_ask(p->o, p->group, NODE_QUERY_OBJECT_EXTENTS, &ask,
                               node_objects_patience(p->o), x, node_extent_recalled);
    p->refs += err == 0;
    return err;
}

/* ---- the record ----------------------------------------------------------------------------- */

static void node_extent_propose(struct node_put_extent *x);

static void node_extent_fire(struct node *n, struct node_timer *t)
{
    (void)n;
    struct node_put_extent *x = t->ctx;
    struct node_put *p = x->p;
    if (p->state != NODE_PUT_FAILED) {
        node_extent_propose(x);
    }
    node_put_release(p);
}

static void node_extent_later(struct node_put_extent *x)
{
    struct node *n = x->p->o->n;
    x->timer.ctx = x;
    x->timer.fire = node_extent_fire;
    node_timer_set(n, &x->timer, node_now(n) + NODE_PUT_RETRY_US);
}

static void node_extent_asked(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_put_extent *x = ctx;
    struct node_put *p = x->p;
    struct node_extents_answer a;
    struct node_extent e;
    struct bytes name;
    struct bytes value;
    code = code != 0 ? code : node_extents_answer_of(reply, &a);
    if (code == 0 && node_answer_row(&a.rows, &name, &value)) {
        code = node_extent_decode(value, &e);
        x->known = code == 0;
        x->revision = code == 0 ? e.revision : 0;
    }
    if (p->state == NODE_PUT_FAILED) {
        node_put_release(p);
    } else if (code == 0 || (node_objects_again(code) && node_now(n) < x->give_up_us)) {
        node_extent_later(x);
    } else {
        node_put_fail(p, code);
        node_put_release(p);
    }
}

/* The record is not the one that was to be written over: an attempt whose answer was lost has
 * written it, or a shard of it was repaired. returns: 0 and the answer goes on. */
static int node_extent_ask(struct node_put_extent *x)
{
    struct node_objects *o = x->p->o;
    const struct node_object_ask ask = {.version = x->p->version, .from = x->number, .limit = 1};
    return node_objects_ask(o, x->p->group, NODE_QUERY_OBJECT_EXTENTS, &ask,
                            node_objects_patience(o), x, node_extent_asked);
}

static void node_extent_proposed(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_put_extent *x = ctx;
    struct node_put *p = x->p;
    if (p->state == NODE_PUT_FAILED) {
        node_put_release(p);
        return;
    }
    if (code == ERR_CONFLICT && node_now(n) < x->give_up_us && node_extent_ask(x) == 0) {
        return;
    }
    if (code == 0) {
        x->state = NODE_EXTENT_DONE;
        x->known = true;
        x->revision = reply.size == 8 ? num_get_u64(reply.data) : 0;
        node_extent_roots_drop(x);
        for (unsigned i = 0; i < NODE_OBJECT_SHARDS_MAX; i++) {
            if ((x->failed >> i & 1u) != 0) { /* its home may have come back meanwhile */
                node_repair_hint(p->o, x->home[i]);
            }
        }
        node_put_finish(p);
        node_put_release(p);
    } else if (node_objects_again(code) && node_now(n) < x->give_up_us) {
        node_extent_later(x);
    } else {
        node_put_fail(p, code);
        node_put_release(p);
    }
}

static void node_extent_propose(struct node_put_extent *x)
{
    struct node_put *p = x->p;
    struct node_object_cmd *c = alloc_get_zeroed(&p->o->alloc, 1, sizeof *c);
    int err = ERR_NO_MEMORY;
    if (c != NULL) {
        node_put_extent_record(x, &c->extent);
        c->extent.revision = x->revision;
        if (x->known) {
            c->extent.roots = bytes_of(NULL, 0);
            c->extent.fingers = bytes_of(NULL, 0);
        }
        node_extent_ref_of(p->version, x->number, &c->extent, &c->ref);
        err = node_objects_propose(p->o, p->group, NODE_OP_PUT_EXTENT, c, x, node_extent_proposed);
        alloc_put(&p->o->alloc, c, sizeof *c);
    }
    if (err != 0) {
        node_put_fail(p, err);
        return;
    }
    x->state = NODE_EXTENT_PROPOSING;
    p->refs++;
}

/* shards: those that count. */
static bool node_extent_rule(const struct node_put_extent *x, uint32_t shards)
{
    const struct erasure_commit rule = {.scheme = x->p->shape.scheme,
                                        .durable = shards,
                                        .holders = x->holder,
                                        .deadline_passed = x->failed != 0 || x->closed};
    return erasure_commit_ok(&rule);
}

void node_put_extent_judge(struct node_put_extent *x)
{
    struct node_put *p = x->p;
    int err = 0;
    if (!x->closed || x->done < x->stripes || x->state != NODE_EXTENT_OPEN) {
        return;
    }
    if (x->give_up_us == 0) {
        x->give_up_us = node_now(p->o->n) + NODE_PUT_GIVE_UP_US;
    }
    if (x->bare) {
        node_put_extent_parity(x);
        return;
    }
    if (node_extent_rule(x, node_extent_all(p->shape.scheme) & ~x->failed)) {
        node_extent_propose(x);
        return;
    }
    err = node_extent_rebuild(x);
    if (err != 0) {
        node_put_fail(p, err);
    }
}

/* ---- commit --------------------------------------------------------------------------------- */

/* Shards whose holders are down do not count now: too few left, and they are rebuilt elsewhere.
 * returns: whether the extent stands as it is. */
static bool node_extent_stands(struct node_put_extent *x)
{
    uint32_t up = node_extent_all(x->p->shape.scheme) & ~x->failed;
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        if ((up >> s & 1u) != 0 && !node_peer_is_up(x->p->o->n, x->holder[s])) {
            up &= ~(1u << s);
        }
    }
    if (x->p->shape.scheme.m == 0 || node_extent_rule(x, up)) {
        return true;
    }
    x->failed = node_extent_all(x->p->shape.scheme) & ~up;
    x->rebuilds = 0;
    memset(x->refused, 0, sizeof x->refused);
    x->state = NODE_EXTENT_OPEN;
    node_put_extent_judge(x);
    return false;
}

static void node_commit_retry(struct node *n, struct node_timer *t)
{
    (void)n;
    struct node_put *p = t->ctx;
    node_put_finish(p);
    node_put_release(p);
}

/* An upload with an intent may be asked again: its commit is applied once. One without is only
 * asked again within a session, which knows the command. */
static void node_commit_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)reply;
    struct node_put *p = ctx;
    bool unsure = err_outcome_of(code) == ERR_OUTCOME_UNKNOWN;
    bool safe = p->has_intent || p->session.session != 0 || !unsure;
    p->proposing = false;
    p->unknown |= unsure;
    if (code == 0) {
        node_put_succeed(p);
    } else if (node_objects_again(code) && safe && node_now(n) < p->give_up_us) {
        p->retry.ctx = p;
        p->retry.fire = node_commit_retry;
        p->refs++;
        node_timer_set(n, &p->retry, node_now(n) + NODE_PUT_RETRY_US);
    } else {
        node_put_fail(p, code);
    }
    node_put_release(p);
}

static int node_commit_propose(struct node_put *p)
{
    struct node_object_cmd *c = alloc_get_zeroed(&p->o->alloc, 1, sizeof *c);
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    c->version = p->version;
    c->bucket = node_put_bucket(p);
    c->name = node_put_object(p);
    c->size = p->received;
    c->extents = p->extents_count;
    c->created_us = p->created_us;
    c->span = node_options_get(p->o->n)->free_delay_us;
    c->shape = p->shape;
    memcpy(c->root, p->root, sizeof c->root);
    uint8_t op = NODE_OP_PUT_COMMIT;
    /* short, because nodes may die while it waits: it is asked again after another look at them */
    struct node_session_ref session = {.deadline_us = node_now(p->o->n) + NODE_PUT_COMMIT_US};
    if (p->extents_count == 0) {
        op = NODE_OP_PUT_INLINE;
        c->data = bytes_of(p->fill == NULL ? NULL : p->fill->data[0], (size_t)p->received);
        session = p->session;
        session.deadline_us = node_objects_patience(p->o);
    }
    int err = node_objects_propose_for(p->o, p->group, op, c, &session, p, node_commit_done);
    alloc_put(&p->o->alloc, c, sizeof *c);
    p->refs += err == 0;
    p->proposing = err == 0;
    return err;
}

void node_put_finish(struct node_put *p)
{
    if (p->state != NODE_PUT_COMMITTING || p->proposing) {
        return;
    }
    for (uint32_t i = 0; i < p->extents_count; i++) {
        if (p->extents[i]->state != NODE_EXTENT_DONE) {
            return;
        }
    }
    if (p->extents_count > 0) {
        uint8_t root[MERKLE_HASH_BYTES];
        ASSERT(p->extents_pushed == p->extents_count);
        merkle_builder_root(&p->builder, root);
        if (memcmp(root, p->root, sizeof root) != 0) {
            node_put_fail(p, ERR_CORRUPT);
            return;
        }
    }
    bool stands = true;
    for (uint32_t i = 0; i < p->extents_count && p->state == NODE_PUT_COMMITTING; i++) {
        stands &= node_extent_stands(p->extents[i]);
    }
    if (!stands || p->state != NODE_PUT_COMMITTING) {
        return;
    }
    int err = node_commit_propose(p);
    if (err != 0) {
        node_put_fail(p, err);
    }
}
