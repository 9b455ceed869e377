/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Requests between nodes and their answers; and jobs, which are requests to other threads.
 *
 *   CALL     id u64, method u8, body
 *   ANSWER   id u64, code i32, body
 *
 * An id names a place in a bounded table and the number of the call, so a late answer finds nobody.
 * Numbers begin at a random place: an answer to an earlier life of this node fits no call either.
 * A lost connection ends the calls on it: their outcome is unknown.
 */
#include "server/node/node_internal.h"

#define NODE_CALLS_MAX 8192u
#define NODE_CALL_HEAD 9u
#define NODE_ANSWER_HEAD 12u
#define NODE_LANE_MAX 4096u

/* How a call without a place in the table ends: later, as any other. */
struct node_refused {
    struct node_timer timer;
    void *ctx;
    node_done_fn *done;
    int code;
};

/* Places are set up when they are first used: most nodes never use most of them. */
int node_call_init(struct node *n)
{
    n->calls_max = (unsigned)NUM_MIN((uint64_t)NODE_CALLS_MAX, n->options.limits.requests + 256);
    n->call_gen = hash_mix(n->options.boot_nonce);
    n->calls = alloc_get(&n->alloc, n->calls_max * sizeof *n->calls);
    node_link_init(&n->calls_free);
    node_link_init(&n->calls_busy);
    return n->calls == NULL ? ERR_NO_MEMORY : 0;
}

/* returns: NULL if all are in use. */
static struct node_call_slot *node_call_take(struct node *n)
{
    struct node_call_slot *c = NULL;
    if (!node_link_empty(&n->calls_free)) {
        c = (struct node_call_slot *)(void *)n->calls_free.next;
        node_link_remove(&c->link);
    } else if (n->calls_used < n->calls_max) {
        c = &n->calls[n->calls_used++];
        *c = (struct node_call_slot){0};
        node_link_init(&c->link);
    }
    return c;
}

static void node_call_end(struct node *n, struct node_call_slot *c, int code, struct bytes reply)
{
    void *ctx = c->ctx;
    node_done_fn *done = c->done;
    struct buf local = c->local;
    node_timer_cancel(n, &c->timer);
    node_link_remove(&c->link);
    c->id = 0;
    c->local = (struct buf){0};
    node_link_append(&n->calls_free, &c->link);
    n->calls_out--;
    done(n, ctx, code, reply);
    buf_release(&local);
}

void node_call_release(struct node *n)
{
    while (n->calls != NULL && !node_link_empty(&n->calls_busy)) {
        node_call_end(n, (struct node_call_slot *)(void *)n->calls_busy.next, ERR_CONNECTION,
                      bytes_of(NULL, 0)); /* it may have arrived */
    }
    alloc_put(&n->alloc, n->calls, n->calls_max * sizeof *n->calls);
    n->calls = NULL;
}

static void node_refused_fire(struct node *n, struct node_timer *t)
{
    struct node_refused *r = t->ctx;
    struct node_refused copy = *r;
    alloc_put(&n->alloc, r, sizeof *r);
    copy.done(n, copy.ctx, copy.code, bytes_of(NULL, 0));
}

static void node_call_refuse(struct node *n, void *ctx, node_done_fn *done, int code)
{
    struct node_refused *r = alloc_get_zeroed(&n->alloc, 1, sizeof *r);
    if (r == NULL) {
        node_fail(n, ERR_NO_MEMORY, "call");
        return;
    }
    r->ctx = ctx;
    r->done = done;
    r->code = code;
    r->timer.ctx = r;
    r->timer.fire = node_refused_fire;
    r->timer.owes = true;
    node_timer_set(n, &r->timer, n->now);
}

/* Runs a call to this node itself, or ends one at its deadline. */
static void node_call_fire(struct node *n, struct node_timer *t)
{
    struct node_call_slot *c = t->ctx;
    if (!c->here) {
        node_call_end(n, c, ERR_TIMEOUT, bytes_of(NULL, 0));
        return;
    }
    node_serve_fn *serve = n->methods[c->method];
    struct node_request request = {.peer = n->self, .id = c->id};
    struct buf local = c->local;
    c->local = (struct buf){0};
    c->here = false;
    node_timer_set(n, &c->timer, c->deadline_us);
    if (serve == NULL) {
        node_call_end(n, c, ERR_UNKNOWN_METHOD, bytes_of(NULL, 0));
    } else {
        serve(n, request, buf_view(&local));
    }
    buf_release(&local);
}

static void node_call_here(struct node *n, struct node_call_slot *c, struct bytes head,
                           struct node_blob *body)
{
    buf_init(&c->local, &n->alloc, 64u << 20);
    (void)buf_append(&c->local, head.data, head.size);
    if (body != NULL) {
        struct bytes more = node_blob_bytes(body);
        (void)buf_append(&c->local, more.data, more.size);
    }
    if (c->local.err != 0) {
        c->timer.at_us = 0;
        node_timer_set(n, &c->timer, n->now);
        return;
    }
    c->here = true;
    node_timer_set(n, &c->timer, n->now);
}

void node_call(struct node *n, uint32_t peer, uint8_t method, struct bytes head,
               struct node_blob *body, uint64_t deadline_us, void *ctx, node_done_fn *done)
{
    bool up = node_peer_is_up(n, peer) && !n->closing;
    struct node_call_slot *c = up ? node_call_take(n) : NULL;
    if (c == NULL) {
        node_call_refuse(n, ctx, done, up ? ERR_BUSY : ERR_UNREACHABLE);
        return;
    }
    node_link_append(&n->calls_busy, &c->link);
    n->calls_out++;
    c->id = (++n->call_gen << 16) | (uint64_t)(c - n->calls);
    c->peer = peer;
    c->method = method;
    c->here = false;
    c->ctx = ctx;
    c->done = done;
    c->deadline_us = deadline_us;
    c->timer = (struct node_timer){.ctx = c, .fire = node_call_fire};
    if (peer == n->self) {
        node_call_here(n, c, head, body);
        return;
    }
    struct buf frame;
    buf_init(&frame, &n->alloc, n->options.limits.peer_body_bytes);
    (void)buf_reserve(&frame, NODE_CALL_HEAD + head.size);
    (void)buf_put_u64(&frame, c->id);
    (void)buf_put_u8(&frame, method);
    (void)buf_append(&frame, head.data, head.size);
    if (body != NULL) {
        node_blob_retain(body);
    }
    node_timer_set(n, &c->timer, deadline_us);
    node_send(n, peer, NODE_FRAME_CALL, &frame, body);
}

static struct node_call_slot *node_call_find(struct node *n, uint32_t peer, uint64_t id)
{
    uint64_t at = id & 0xffff;
    if (id == 0 || at >= n->calls_used || n->calls[at].id != id || n->calls[at].peer != peer) {
        return NULL;
    }
    return &n->calls[at];
}

void node_call_arrived(struct node *n, uint32_t peer, struct bytes data)
{
    struct bytes_reader r = bytes_reader_of(data);
    struct node_request request = {.peer = peer, .id = bytes_take_u64(&r)};
    uint8_t method = bytes_take_u8(&r);
    if (r.failed) {
        n->counters.bad_frames++;
    } else if (n->methods[method] == NULL) {
        node_answer(n, request, ERR_UNKNOWN_METHOD, bytes_of(NULL, 0), NULL);
    } else {
        n->methods[method](n, request, bytes_of(r.at, r.left));
    }
}

void node_call_answered(struct node *n, uint32_t peer, struct bytes data)
{
    struct bytes_reader r = bytes_reader_of(data);
    uint64_t id = bytes_take_u64(&r);
    int32_t code = (int32_t)bytes_take_u32(&r);
    struct node_call_slot *c = r.failed ? NULL : node_call_find(n, peer, id);
    if (r.failed) {
        n->counters.bad_frames++;
    }
    if (c != NULL) {
        node_call_end(n, c, code, bytes_of(r.at, r.left));
    }
}

void node_answer(struct node *n, struct node_request request, int code, struct bytes head,
                 struct node_blob *body)
{
    struct buf frame;
    if (n->closing) {
        return;
    }
    buf_init(&frame, &n->alloc, NUM_MAX(n->options.limits.peer_body_bytes, (uint64_t)64 << 20));
    if (request.peer != n->self) {
        (void)buf_reserve(&frame, NODE_ANSWER_HEAD + head.size);
        (void)buf_put_u64(&frame, request.id);
        (void)buf_put_u32(&frame, (uint32_t)code);
        (void)buf_append(&frame, head.data, head.size);
        if (body != NULL) {
            node_blob_retain(body);
        }
        node_send(n, request.peer, NODE_FRAME_ANSWER, &frame, body);
        return;
    }
    struct node_call_slot *c = node_call_find(n, n->self, request.id);
    if (c == NULL) {
        return;
    }
    (void)buf_append(&frame, head.data, head.size);
    if (body != NULL) {
        struct bytes more = node_blob_bytes(body);
        (void)buf_append(&frame, more.data, more.size);
    }
    node_call_end(n, c, frame.err != 0 ? ERR_NO_MEMORY : code, buf_view(&frame));
    buf_release(&frame);
}

/* Ending a call may start others, but none to this peer: it is down by now. */
void node_call_peer_down(struct node *n, uint32_t peer)
{
    for (unsigned i = 0; i < n->calls_used; i++) {
        if (n->calls[i].id != 0 && n->calls[i].peer == peer) {
            node_call_end(n, &n->calls[i], ERR_CONNECTION, bytes_of(NULL, 0));
        }
    }
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static unsigned node_lane_max(const struct node *n, enum node_lane lane)
{
    const struct limits *l = &n->options.limits;
    switch (lane) {
    case NODE_LANE_FOREGROUND: return (unsigned)l->jobs_foreground;
    case NODE_LANE_REPAIR: return (unsigned)l->jobs_repair;
    case NODE_LANE_COMPUTE: return (unsigned)l->jobs_compute;
    case NODE_LANE_READ:
    case NODE_LANE_FLUSH:
    case NODE_LANE_SHARD:
    case NODE_LANES: break;
    }
    return NODE_LANE_MAX;
}

int node_task_start(struct node *n, struct node_task *task, enum node_lane lane)
{
    if (n->lane_out[lane] >= node_lane_max(n, lane) || n->closing || n->failed) {
        return ERR_BUSY;
    }
    task->job.id = ++n->job_next;
    task->job.lane = lane;
    task->job.code = 0;
    if (!node_fx_push(n, &(struct node_fx){.kind = NODE_FX_JOB, .job = &task->job})) {
        return ERR_BUSY;
    }
    n->lane_out[lane]++;
    return 0;
}

void node_job_run(struct node_job *job, struct node_env *env)
{
    struct node_task *task = (struct node_task *)(void *)job;
    task->run(task, env);
}

int node_jobs_sync(struct node_env *env)
{
    return store_segments_sync(env->segments);
}
