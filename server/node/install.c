/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots at the taking side. The records go into a new generation of the group, in small
 * transactions, while the old one still serves; one transaction then flips the META record, so a
 * crash at any step leaves the old state or the new one. What another generation left behind is
 * deleted in bounded steps.
 *
 *   CLEAN -> PULL <-> WRITE -> FLIP (waits for a quiet flush and apply) -> done
 *
 * Any failure ends it; raft offers again.
 */
#include "server/node/control_internal.h"
#include "server/node/eventual_self_internal.h"
#include "server/node/node_internal.h"

#define NODE_CLEAN_ROWS 2048u
#define NODE_REBUILD_RETRY_US 500000u

enum node_install_state {
    NODE_INSTALL_CLEAN = 0,
    NODE_INSTALL_PULL,
    NODE_INSTALL_WRITE,
    NODE_INSTALL_FLIP,
    NODE_INSTALL_FLIPPING,
};

struct node_install {
    struct node_task task;
    struct node *n;
    struct node_group *g;
    enum node_install_state state;
    uint64_t id;
    uint32_t peer;
    uint64_t index;
    uint64_t term;
    bool rebuild; /* the state here is of no use: an older one will do */
    bool over;    /* ends once what is out has come back */
    uint32_t generation;
    struct node_meta meta;
    struct hash_digest sum;
    struct buf last;  /* name */
    struct buf piece; /* rows to be written, or the META record */
    uint32_t rows;
    bool end;
};

static void node_install_free(struct node *n, struct node_group *g)
{
    struct node_install *i = g->install;
    g->install = NULL;
    g->install_flips = false;
    buf_release(&i->last);
    buf_release(&i->piece);
    alloc_put(&n->alloc, i, sizeof *i);
}

static void node_install_stop(struct node *n, struct node_group *g, int code)
{
    log_line(n->options.log, LOG_WARN, "snapshot_given_up", "node=%u group=%u error=%s", n->self,
             g->id, err_name(code));
    node_install_free(n, g);
}

void node_install_release(struct node *n, struct node_group *g)
{
    if (g->install != NULL) {
        node_install_free(n, g);
    }
}

/* ---- pulling -------------------------------------------------------------------------------- */

static void node_install_pulled(struct node *n, void *ctx, int code, struct bytes reply);

static void node_install_pull(struct node *n, struct node_install *i)
{
    struct buf *head = &n->scratch;
    buf_clear(head);
    (void)buf_put_u32(head, i->g->id);
    (void)buf_put_u64(head, i->id);
    (void)buf_put_u16(head, (uint16_t)i->last.size);
    (void)buf_append(head, i->last.data, i->last.size);
    i->state = NODE_INSTALL_PULL;
    node_call(n, i->peer, NODE_CALL_SNAPSHOT_CHUNK, buf_view(head), NULL,
              n->now + 10 * n->options.election_us, i, node_install_pulled);
}

static int node_install_rows(struct node_install *i, const struct store_kv *kv)
{
    uint8_t key[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    struct bytes_reader r = bytes_reader_of(buf_view(&i->piece));
    node_prefix_put(key, i->g->id, i->generation);
    for (uint32_t k = 0; k < i->rows; k++) {
        struct bytes name = bytes_take(&r, bytes_take_u16(&r));
        struct bytes value = bytes_take_bytes(&r, STORE_KV_VALUE_BYTES_MAX);
        if (r.failed || name.size == 0 || name.size > NODE_NAME_BYTES_MAX) {
            return ERR_PROTOCOL;
        }
        memcpy(key + NODE_PREFIX_BYTES, name.data, name.size);
        hash_digest_add(&i->sum, name, value);
        TRY(kv->put(kv->ctx, bytes_of(key, NODE_PREFIX_BYTES + name.size), value));
        if (k + 1 == i->rows) {
            buf_clear(&i->last);
            TRY(buf_append(&i->last, name.data, name.size));
        }
    }
    return bytes_reader_ended(&r) ? 0 : ERR_PROTOCOL;
}

static void node_install_write_run(struct node_task *task, struct node_env *env)
{
    struct node_install *i = (struct node_install *)(void *)task;
    const struct store_kv *kv = env->kv;
    int err = kv->begin(kv->ctx);
    if (err == 0) {
        err = node_install_rows(i, kv);
        if (err == 0) {
            err = kv->commit(kv->ctx);
        } else {
            kv->abort(kv->ctx);
        }
    }
    task->job.code = err;
}

static void node_install_written(struct node *n, struct node_task *task)
{
    struct node_install *i = (struct node_install *)(void *)task;
    int code = task->job.code;
    if (n->closing) {
        return;
    }
    if (code == ERR_IO) {
        node_fail(n, code, "state_write");
    } else if (code != 0 || i->over) {
        node_install_stop(n, i->g, code);
    } else if (!i->end) {
        node_install_pull(n, i);
    } else if (i->sum.low != i->meta.digest.low || i->sum.high != i->meta.digest.high) {
        node_install_stop(n, i->g, ERR_CORRUPT);
    } else {
        i->state = NODE_INSTALL_FLIP;
    }
}

static int node_install_take(struct node_install *i, struct bytes reply)
{
    struct bytes_reader r = bytes_reader_of(reply);
    i->meta.index = bytes_take_u64(&r);
    i->meta.term = bytes_take_u64(&r);
    i->meta.log_time_us = bytes_take_u64(&r);
    i->meta.sessions = bytes_take_u64(&r);
    i->meta.digest.low = bytes_take_u64(&r);
    i->meta.digest.high = bytes_take_u64(&r);
    i->meta.level = bytes_take_u8(&r);
    i->meta.generation = i->generation;
    i->end = bytes_take_u8(&r) != 0;
    i->rows = bytes_take_u32(&r);
    if (r.failed || i->meta.index != i->index || i->meta.term != i->term) {
        return ERR_PROTOCOL;
    }
    if (i->meta.level > NODE_LEVEL) {
        return ERR_LEVEL;
    }
    buf_clear(&i->piece);
    return buf_append(&i->piece, r.at, r.left);
}

static void node_install_pulled(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_install *i = ctx;
    if (n->closing) {
        return;
    }
    if (code == 0) {
        code = i->over ? ERR_CANCELLED : node_install_take(i, reply);
    }
    if (code == 0) {
        i->state = NODE_INSTALL_WRITE;
        i->task.run = node_install_write_run;
        i->task.done = node_install_written;
        code = node_task_start(n, &i->task, NODE_LANE_FLUSH);
    }
    if (code != 0) {
        node_install_stop(n, i->g, code);
    }
}

/* ---- the flip ------------------------------------------------------------------------------- */

static void node_install_flip_run(struct node_task *task, struct node_env *env)
{
    struct node_install *i = (struct node_install *)(void *)task;
    const struct store_kv *kv = env->kv;
    uint8_t key[9];
    node_meta_key(i->g->id, key);
    int err = kv->begin(kv->ctx);
    if (err == 0) {
        err = kv->put(kv->ctx, bytes_of(key, sizeof key), buf_view(&i->piece));
        if (err == 0) {
            err = kv->commit(kv->ctx);
        } else {
            kv->abort(kv->ctx);
        }
    }
    task->job.code = err;
}

/* What the table has is old where a record was applied since the snapshot. */
static void node_install_note(struct node *n, struct bytes key, struct bytes value)
{
    bool present = true;
    struct bytes newer;
    if (store_mem_get(n->mem, key, &present, &newer) == 0) {
        value = newer;
    }
    node_control_note(n, bytes_of(key.data + NODE_PREFIX_BYTES, key.size - NODE_PREFIX_BYTES),
                      present, value);
}

/* Group 0's tables in memory follow its new state. */
static void node_install_control(struct node *n, struct node_fetch *f)
{
    struct bytes_reader r = bytes_reader_of(buf_view(&f->rows));
    int code = f->task.job.code;
    if (n->closing || n->failed || f->epoch != f->g->epoch) {
        node_fetch_free(f); /* a later state is being read, if any */
        return;
    }
    bool current = code == 0 && f->thaws == n->thaws;
    if (code == ERR_CORRUPT) {
        node_rebuild(n, f->g);
    }
    if (current) {
        node_control_begin(n);
    }
    for (unsigned i = 0; i < f->rows_count && current; i++) {
        struct bytes key = bytes_take(&r, bytes_take_u16(&r));
        node_install_note(n, key, bytes_take_bytes(&r, STORE_KV_VALUE_BYTES_MAX));
    }
    node_control_end(n, current);
    node_fetch_free(f);
}

void node_control_read(struct node *n, struct node_group *g)
{
    n->control->unread = true;
    struct node_fetch *f = node_fetch_new(n, g);
    const uint8_t first[1] = {NODE_KEY_NODE};
    const uint8_t end[1] = {NODE_KEY_CONTROL_END};
    uint8_t raw[NODE_PREFIX_BYTES + 1];
    if (f == NULL) {
        node_control_again(n);
        return;
    }
    struct bytes key = node_key_of(g, bytes_of(first, 1), raw);
    (void)buf_append(&f->from, key.data, key.size);
    key = node_key_of(g, bytes_of(end, 1), raw);
    (void)buf_append(&f->to, key.data, key.size);
    f->rows_max = 3 * WIRE_IDENTITY_NODES_MAX + WIRE_IDENTITY_PLACEMENT_GROUPS_MAX + 16;
    f->bytes_max = 4u << 20;
    f->ended = node_install_control;
    if (node_fetch_start(f) != 0) {
        node_control_again(n);
        node_fetch_free(f);
    }
}

static void node_install_flipped(struct node *n, struct node_task *task)
{
    struct node_install *i = (struct node_install *)(void *)task;
    struct node_group *g = i->g;
    if (n->closing) {
        return;
    }
    if (task->job.code != 0) {
        node_fail(n, task->job.code, "state_write");
        return;
    }
    uint8_t old[NODE_PREFIX_BYTES];
    node_prefix_put(old, g->id, g->now.generation);
    store_mem_drop(n->mem, bytes_of(old, sizeof old));
    g->now = i->meta;
    g->flushed = i->meta;
    g->epoch++;
    g->broken = false;
    n->thaws++;
    n->counters.snapshots_installed++;
    log_line(n->options.log, LOG_INFO, "snapshot_installed", "node=%u group=%u index=%llu", n->self,
             g->id, (unsigned long long)g->now.index);
    node_install_free(n, g);
    node_watch_reset(n, g);
    struct raft_event ev = {.kind = RAFT_SNAPSHOT_INSTALLED,
                            .group = g->id,
                            .index = g->now.index,
                            .term = g->now.term,
                            .time_us = g->now.log_time_us};
    if (node_raft(n, &ev) != 0) {
        node_fail(n, ERR_CORRUPT, "snapshot_contradicts_log");
        return;
    }
    node_clean_start(n, g);
    if (g->id == 0) {
        node_control_read(n, g);
    }
}

/* returns: whether the snapshot still brings anything, and the log can go on from it. */
static bool node_install_useful(struct node *n, const struct node_install *i)
{
    struct raft_status s;
    if (i->index > i->g->now.index) {
        return true;
    }
    return i->rebuild && raft_status_get(n->raft, i->g->id, n->now, &s) == 0 &&
           i->index >= s.base_index;
}

static void node_install_flip(struct node *n, struct node_install *i)
{
    struct node_group *g = i->g;
    if (!node_install_useful(n, i)) {
        node_install_stop(n, g, ERR_DONE);
        node_clean_start(n, g);
        return;
    }
    if (n->flush_out || n->flush_frozen || g->apply_state != NODE_APPLY_IDLE) {
        return;
    }
    buf_clear(&i->piece);
    int err = node_meta_encode(&i->meta, g, &i->piece);
    i->task.run = node_install_flip_run;
    i->task.done = node_install_flipped;
    if (err == 0 && node_task_start(n, &i->task, NODE_LANE_FLUSH) == 0) {
        i->state = NODE_INSTALL_FLIPPING;
        g->install_flips = true;
    }
}

void node_install_turn(struct node *n)
{
    n->flip_wanted = false;
    for (unsigned k = 0; k < n->groups_count; k++) {
        struct node_install *i = n->groups[k].install;
        if (i != NULL && i->state == NODE_INSTALL_CLEAN && !i->g->cleaning) {
            node_install_pull(n, i);
        } else if (i != NULL && i->state == NODE_INSTALL_FLIP) {
            node_install_flip(n, i);
        }
        i = n->groups[k].install;
        n->flip_wanted |=
            i != NULL && (i->state == NODE_INSTALL_FLIP || i->state == NODE_INSTALL_FLIPPING);
    }
}

static void node_install_start(struct node *n, struct node_group *g, const struct node_install *w)
{
    if (g->install != NULL) {
        g->install->over = g->install->id != w->id; /* the offer will come again */
        return;
    }
    struct node_install *i = alloc_get_zeroed(&n->alloc, 1, sizeof *i);
    if (i == NULL) {
        return;
    }
    *i = *w;
    i->n = n;
    i->g = g;
    i->generation = g->now.generation + 1;
    buf_init(&i->last, &n->job_alloc, NODE_NAME_BYTES_MAX);
    buf_init(&i->piece, &n->job_alloc, n->options.limits.peer_body_bytes);
    g->install = i;
    log_line(n->options.log, LOG_INFO, "snapshot_begins", "node=%u group=%u peer=%u index=%llu",
             n->self, g->id, i->peer, (unsigned long long)i->index);
    node_clean_start(n, g);
}

void node_install_begin(struct node *n, struct node_group *g, const struct raft_action *a)
{
    struct node_install want = {
        .id = a->ctx, .peer = a->peer, .index = a->index, .term = a->term, .rebuild = g->broken};
    node_install_start(n, g, &want);
}

/* ---- a state that cannot be read ------------------------------------------------------------ */

static void node_rebuild_opened(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_group *g = ctx;
    if (n->closing || !g->broken || code != 0 || reply.size != 24) {
        return;
    }
    struct node_install want = {.id = num_get_u64(reply.data),
                                .peer = g->leader,
                                .index = num_get_u64(reply.data + 8),
                                .term = num_get_u64(reply.data + 16),
                                .rebuild = true};
    node_install_start(n, g, &want);
}

static void node_rebuild_fire(struct node *n, struct node_timer *t)
{
    struct node_group *g = t->ctx;
    uint8_t body[4];
    if (!g->broken) {
        return;
    }
    if (g->role == RAFT_LEADER) {
        struct raft_event ev = {.kind = RAFT_STEP_DOWN, .group = g->id, .code = ERR_CORRUPT};
        (void)node_raft(n, &ev);
    } else if (g->leader != RAFT_NODE_NONE && g->install == NULL) {
        num_put_u32(body, g->id);
        node_call(n, g->leader, NODE_CALL_SNAPSHOT_OPEN, bytes_of(body, sizeof body), NULL,
                  n->now + n->options.election_us, g, node_rebuild_opened);
    }
    node_timer_set(n, &g->rebuild, n->now + NODE_REBUILD_RETRY_US);
}

void node_rebuild(struct node *n, struct node_group *g)
{
    if (g->broken) {
        return; /* a cure is under way */
    }
    if (node_group_own(g)) {
        log_line(n->options.log, LOG_ERROR, "state_corrupt", "node=%u group=%u cure=quarantine",
                 n->self, g->id);
        node_ev_quarantine(n, g);
        return;
    }
    log_line(n->options.log, LOG_ERROR, "state_corrupt", "node=%u group=%u cure=snapshot", n->self,
             g->id);
    if (g->voters_count == 1) {
        node_fail(n, ERR_CORRUPT, "state_corrupt_and_no_other_replica");
        return;
    }
    g->broken = true;
    g->rebuild.ctx = g;
    g->rebuild.fire = node_rebuild_fire;
    node_timer_set(n, &g->rebuild, n->now);
}

/* ---- cleaning ------------------------------------------------------------------------------- */

struct node_clean {
    struct node_task task;
    struct node_group *g;
    unsigned range; /* 0: older generations; 1: newer ones */
    uint32_t generation;
    uint64_t deleted;
};

static void node_clean_run(struct node_task *task, struct node_env *env)
{
    struct node_clean *c = (struct node_clean *)(void *)task;
    const struct store_kv *kv = env->kv;
    uint8_t from[NODE_PREFIX_BYTES];
    uint8_t to[NODE_PREFIX_BYTES];
    node_prefix_put(from, c->g->id, c->range == 0 ? 1 : c->generation + 1);
    node_prefix_put(to, c->range == 0 ? c->g->id : c->g->id + 1, c->range == 0 ? c->generation : 0);
    int err = kv->begin(kv->ctx);
    if (err != 0) {
        task->job.code = err;
        return;
    }
    err = kv->del_range(kv->ctx, bytes_of(from, sizeof from), bytes_of(to, sizeof to),
                        NODE_CLEAN_ROWS, &c->deleted);
    if (err == 0 && c->deleted > 0) {
        err = kv->commit(kv->ctx);
    } else {
        kv->abort(kv->ctx);
    }
    task->job.code = err;
}

static void node_clean_done(struct node *n, struct node_task *task)
{
    struct node_clean *c = (struct node_clean *)(void *)task;
    int code = task->job.code;
    if (code == ERR_IO && !n->closing) {
        node_fail(n, code, "state_write");
    }
    if (code == 0 && !n->closing) {
        c->range += c->deleted < NODE_CLEAN_ROWS;
        if (c->range < 2 && node_task_start(n, &c->task, NODE_LANE_FLUSH) == 0) {
            return;
        }
    }
    c->g->cleaning = false;
    alloc_put(&n->alloc, c, sizeof *c);
}

/* Deletes the records of every generation but the one that counts. */
void node_clean_start(struct node *n, struct node_group *g)
{
    struct node_clean *c = g->cleaning ? NULL : alloc_get_zeroed(&n->alloc, 1, sizeof *c);
    if (c == NULL) {
        return;
    }
    c->g = g;
    c->generation = g->now.generation;
    c->task.run = node_clean_run;
    c->task.done = node_clean_done;
    if (node_task_start(n, &c->task, NODE_LANE_FLUSH) == 0) {
        g->cleaning = true;
    } else {
        alloc_put(&n->alloc, c, sizeof *c);
    }
}
