/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots at the giving side. A snapshot is what the table holds of a group in one read
 * transaction: the state at the flushed index. The taker pulls it in pieces by the last name it
 * has; the reader stays open between, bounded in idle time and age, because an old reader keeps
 * the table's file growing. A piece of a snapshot that is over is refused, and raft offers anew.
 * Where raft asks for another to offer, one that nobody pulls makes room for it.
 *
 *   CHUNK    group u32, id u64, last name u16 (empty: from the first)
 *   answer   index, term, log time, sessions, digest low and high u64, level u8, end u8,
 *            rows u32, each: name u16, value u32
 *   OPEN     group u32                  answer: id, index, term u64
 */
#include "server/node/node_internal.h"

#define NODE_SNAPSHOTS_MAX 16u
#define NODE_SNAPSHOT_IDLE_US 30000000u
#define NODE_SNAPSHOT_AGE_US 600000000u

struct node_snapshot {
    struct node_task task; /* one at a time: open, a piece, close */
    struct node *n;
    uint64_t id; /* 0: free */
    uint32_t group;
    uint32_t peer;
    bool offered; /* by raft; else asked for by the peer */
    bool pulled;  /* a piece was asked for */
    bool busy;
    bool over; /* to be closed once not busy */
    struct store_kv_reader *reader;
    const struct store_kv *kv;
    struct node_meta meta;
    uint64_t began_us;
    uint64_t used_us;
    struct node_timer timer;
    struct node_request request;
    struct buf from; /* last name of the piece before */
    struct buf piece;
    uint32_t bytes_max;
};

struct node_snapshots {
    uint64_t next;
    struct node_snapshot slots[NODE_SNAPSHOTS_MAX];
};

int node_snapshots_init(struct node *n)
{
    n->snapshots = alloc_get_zeroed(&n->alloc, 1, sizeof *n->snapshots);
    return n->snapshots == NULL ? ERR_NO_MEMORY : 0;
}

/* A reader that is open here was given up with its thread; the table closes it with itself. */
void node_snapshots_release(struct node *n)
{
    for (unsigned i = 0; n->snapshots != NULL && i < NODE_SNAPSHOTS_MAX; i++) {
        struct node_snapshot *s = &n->snapshots->slots[i];
        if (s->id != 0) {
            if (s->reader != NULL) {
                s->kv->reader_close(s->reader);
            }
            buf_release(&s->from);
            buf_release(&s->piece);
        }
    }
    alloc_put(&n->alloc, n->snapshots, sizeof *n->snapshots);
    n->snapshots = NULL;
}

static struct node_snapshot *node_snapshot_slot(struct node *n, uint32_t group, uint32_t peer)
{
    struct node_snapshot *unused = NULL;
    for (unsigned i = 0; i < NODE_SNAPSHOTS_MAX; i++) {
        struct node_snapshot *s = &n->snapshots->slots[i];
        if (s->id == 0) {
            unused = unused == NULL ? s : unused;
        } else if (s->group == group && s->peer == peer && !s->over) {
            return NULL; /* one is under way */
        }
    }
    return unused;
}

/* ---- closing -------------------------------------------------------------------------------- */

static void node_snapshot_close_run(struct node_task *task, struct node_env *env)
{
    struct node_snapshot *s = (struct node_snapshot *)(void *)task;
    env->kv->reader_close(s->reader);
    s->reader = NULL;
}

static void node_snapshot_free(struct node *n, struct node_snapshot *s)
{
    node_timer_cancel(n, &s->timer);
    buf_release(&s->from);
    buf_release(&s->piece);
    *s = (struct node_snapshot){0};
}

static void node_snapshot_closed(struct node *n, struct node_task *task)
{
    struct node_snapshot *s = (struct node_snapshot *)(void *)task;
    s->busy = false;
    if (!n->closing) {
        node_snapshot_free(n, s);
    }
}

static void node_snapshot_end(struct node *n, struct node_snapshot *s)
{
    s->over = true;
    if (s->busy || n->closing) {
        return;
    }
    if (s->reader == NULL) {
        node_snapshot_free(n, s);
        return;
    }
    s->task.run = node_snapshot_close_run;
    s->task.done = node_snapshot_closed;
    if (node_task_start(n, &s->task, NODE_LANE_READ) == 0) {
        s->busy = true;
    } else {
        node_timer_set(n, &s->timer, n->now + NODE_SNAPSHOT_IDLE_US);
    }
}

static void node_snapshot_fire(struct node *n, struct node_timer *t)
{
    struct node_snapshot *s = t->ctx;
    uint64_t idle_us = NUM_MAX(s->used_us + NODE_SNAPSHOT_IDLE_US, n->now + 1);
    bool old = n->now - s->began_us >= NODE_SNAPSHOT_AGE_US;
    if (s->over || old || n->now >= s->used_us + NODE_SNAPSHOT_IDLE_US) {
        node_snapshot_end(n, s);
        return;
    }
    node_timer_set(n, &s->timer, NUM_MIN(idle_us, s->began_us + NODE_SNAPSHOT_AGE_US));
}

/* ---- opening -------------------------------------------------------------------------------- */

static void node_snapshot_open_run(struct node_task *task, struct node_env *env)
{
    struct node_snapshot *s = (struct node_snapshot *)(void *)task;
    uint8_t key[9];
    struct bytes value;
    s->kv = env->kv;
    int err = env->kv->reader_open(env->kv->ctx, &s->reader);
    if (err != 0) {
        task->job.code = err;
        s->reader = NULL;
        return;
    }
    node_meta_key(s->group, key);
    err = env->kv->get(s->reader, bytes_of(key, sizeof key), &value);
    task->job.code = err != 0 ? err : node_meta_decode(value, &s->meta);
}

static void node_snapshot_refused(struct node *n, struct node_snapshot *s, int code)
{
    if (s->offered) {
        struct raft_event ev = {
            .kind = RAFT_SNAPSHOT_DONE, .group = s->group, .peer = s->peer, .code = code};
        (void)node_raft(n, &ev);
    } else {
        node_answer(n, s->request, code, bytes_of(NULL, 0), NULL);
    }
    node_snapshot_end(n, s);
}

static void node_snapshot_opened(struct node *n, struct node_task *task)
{
    struct node_snapshot *s = (struct node_snapshot *)(void *)task;
    int code = task->job.code;
    s->busy = false;
    if (n->closing) {
        return;
    }
    if (code != 0 || s->meta.index == 0) {
        node_snapshot_refused(n, s, code != 0 ? code : ERR_NOT_FOUND);
        return;
    }
    node_timer_set(n, &s->timer, n->now + NODE_SNAPSHOT_IDLE_US);
    log_line(n->options.log, LOG_INFO, "snapshot_opened", "node=%u group=%u peer=%u index=%llu",
             n->self, s->group, s->peer, (unsigned long long)s->meta.index);
    if (!s->offered) {
        uint8_t answer[24];
        num_put_u64(answer, s->id);
        num_put_u64(answer + 8, s->meta.index);
        num_put_u64(answer + 16, s->meta.term);
        node_answer(n, s->request, 0, bytes_of(answer, sizeof answer), NULL);
        return;
    }
    int err = raft_snapshot_offer(n->raft, s->group, s->peer, s->id, s->meta.index, s->meta.term);
    struct raft_event ev = {.kind = RAFT_TICK}; /* what the offer sends goes out */
    (void)node_raft(n, &ev);
    if (err != 0) {
        node_snapshot_end(n, s);
    }
}

static struct node_snapshot *node_snapshot_open(struct node *n, uint32_t group, uint32_t peer)
{
    struct node_snapshot *s = node_snapshot_slot(n, group, peer);
    if (s == NULL) {
        return NULL;
    }
    *s = (struct node_snapshot){.n = n, .group = group, .peer = peer, .busy = true};
    s->id = (n->options.boot << 24) | (++n->snapshots->next & 0xffffff);
    s->began_us = s->used_us = n->now;
    s->timer.ctx = s;
    s->timer.fire = node_snapshot_fire;
    s->bytes_max = (uint32_t)n->options.limits.snapshot_bytes;
    buf_init(&s->from, &n->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&s->piece, &n->job_alloc, n->options.limits.peer_body_bytes);
    s->task.run = node_snapshot_open_run;
    s->task.done = node_snapshot_opened;
    if (node_task_start(n, &s->task, NODE_LANE_READ) != 0) {
        s->busy = false;
        node_snapshot_free(n, s);
        return NULL;
    }
    return s;
}

/* The log goes on from behind what was offered, so raft wants a newer one. Whoever pulls the older
 * may end it first, as a new one that is pulled as slowly would be too old as well; and whoever
 * asked for one itself has some time to begin. */
static void node_snapshot_outdate(struct node *n, uint32_t group, uint32_t peer)
{
    for (unsigned i = 0; i < NODE_SNAPSHOTS_MAX; i++) {
        struct node_snapshot *s = &n->snapshots->slots[i];
        uint64_t elections = s->pulled ? 10 : s->offered ? 0 : 2;
        bool idle = n->now - s->used_us >= elections * n->options.election_us;
        if (s->id != 0 && s->group == group && s->peer == peer && !s->busy && idle) {
            node_snapshot_end(n, s);
        }
    }
}

/* Without a slot raft asks again. */
void node_snapshot_wanted(struct node *n, struct node_group *g, uint32_t peer)
{
    node_snapshot_outdate(n, g->id, peer);
    struct node_snapshot *s = node_snapshot_open(n, g->id, peer);
    if (s != NULL) {
        s->offered = true;
    }
}

void node_snapshot_serve_open(struct node *n, struct node_request request, struct bytes body)
{
    uint32_t group = body.size == 4 ? num_get_u32(body.data) : UINT32_MAX;
    const struct node_group *g = node_group_find(n, group);
    struct node_snapshot *s = NULL;
    if (g != NULL && !node_group_own(g) && !g->broken && !g->fenced && g->role == RAFT_LEADER) {
        s = node_snapshot_open(n, group, request.peer);
    }
    if (s == NULL) {
        node_answer(n, request, g == NULL ? ERR_NOT_FOUND : ERR_BUSY, bytes_of(NULL, 0), NULL);
        return;
    }
    s->request = request;
    n->flush_now = true; /* the next one will be newer */
}

/* ---- pieces --------------------------------------------------------------------------------- */

static int node_snapshot_rows(struct node_snapshot *s, const struct store_kv *kv, uint32_t *count,
                              bool *end)
{
    uint8_t from[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    node_prefix_put(from, s->group, s->meta.generation);
    struct bytes prefix = bytes_of(from, NODE_PREFIX_BYTES);
    if (s->from.size > 0) {
        memcpy(from + NODE_PREFIX_BYTES, s->from.data, s->from.size);
    }
    struct bytes key;
    struct bytes value;
    int err = kv->seek(s->reader, bytes_of(from, NODE_PREFIX_BYTES + s->from.size),
                       s->from.size > 0, &key, &value);
    while (err == 0 && bytes_has_prefix(key, prefix)) {
        if (s->piece.size >= s->bytes_max) {
            return 0;
        }
        (void)buf_put_u16(&s->piece, (uint16_t)(key.size - NODE_PREFIX_BYTES));
        (void)buf_append(&s->piece, key.data + NODE_PREFIX_BYTES, key.size - NODE_PREFIX_BYTES);
        TRY(buf_put_bytes(&s->piece, value));
        (*count)++;
        err = kv->next(s->reader, &key, &value);
    }
    *end = err == 0 || err == ERR_NOT_FOUND;
    return *end ? 0 : err;
}

static void node_snapshot_piece_run(struct node_task *task, struct node_env *env)
{
    struct node_snapshot *s = (struct node_snapshot *)(void *)task;
    const struct node_meta *m = &s->meta;
    struct buf *out = &s->piece;
    uint32_t count = 0;
    bool end = false;
    buf_clear(out);
    (void)buf_put_u64(out, m->index);
    (void)buf_put_u64(out, m->term);
    (void)buf_put_u64(out, m->log_time_us);
    (void)buf_put_u64(out, m->sessions);
    (void)buf_put_u64(out, m->digest.low);
    (void)buf_put_u64(out, m->digest.high);
    (void)buf_put_u8(out, m->level);
    size_t end_at = out->size;
    (void)buf_put_u8(out, 0);
    (void)buf_put_u32(out, 0);
    int err = out->err != 0 ? out->err : node_snapshot_rows(s, env->kv, &count, &end);
    if (err == 0) {
        out->data[end_at] = end;
        num_put_u32(out->data + end_at + 1, count);
    }
    task->job.code = err;
}

static void node_snapshot_piece_done(struct node *n, struct node_task *task)
{
    struct node_snapshot *s = (struct node_snapshot *)(void *)task;
    s->busy = false;
    if (n->closing) {
        return;
    }
    int code = task->job.code;
    bool end = code == 0 && s->piece.data[49] != 0;
    node_answer(n, s->request, code, code == 0 ? buf_view(&s->piece) : bytes_of(NULL, 0), NULL);
    if (code != 0) {
        log_line(n->options.log, LOG_ERROR, "snapshot_failed", "node=%u group=%u error=%s", n->self,
                 s->group, err_name(code));
    }
    n->counters.snapshots_sent += end;
    if (code != 0 || end || s->over) {
        node_snapshot_end(n, s);
    }
}

static struct node_snapshot *node_snapshot_find(struct node *n, uint32_t group, uint32_t peer,
                                                uint64_t id)
{
    for (unsigned i = 0; i < NODE_SNAPSHOTS_MAX; i++) {
        struct node_snapshot *s = &n->snapshots->slots[i];
        if (id != 0 && s->id == id && s->group == group && s->peer == peer && !s->over) {
            return s;
        }
    }
    return NULL;
}

void node_snapshot_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    uint32_t group = bytes_take_u32(&r);
    uint64_t id = bytes_take_u64(&r);
    struct bytes last = bytes_take(&r, bytes_take_u16(&r));
    struct node_snapshot *s =
        bytes_reader_ended(&r) ? node_snapshot_find(n, group, request.peer, id) : NULL;
    int err = s == NULL ? ERR_NOT_FOUND : s->busy ? ERR_BUSY : 0;
    if (err == 0) {
        buf_clear(&s->from);
        err = buf_append(&s->from, last.data, last.size);
    }
    if (err == 0) {
        s->request = request;
        s->used_us = n->now;
        s->pulled = true;
        s->task.run = node_snapshot_piece_run;
        s->task.done = node_snapshot_piece_done;
        err = node_task_start(n, &s->task, NODE_LANE_READ);
    }
    if (err == 0) {
        s->busy = true;
        return;
    }
    node_answer(n, request, err, bytes_of(NULL, 0), NULL);
    if (err == ERR_NOT_FOUND) { /* it is over: raft must offer another */
        struct raft_event ev = {
            .kind = RAFT_SNAPSHOT_DONE, .group = group, .peer = request.peer, .code = err};
        (void)node_raft(n, &ev);
    }
}
