/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Questions to a group. Linearizable ones of one turn share a read round of raft (read index);
 * once that index is applied, the named records and the range are read and answered at the
 * revision then applied. Stale ones skip the round.
 *
 *   NEW -> SENT    with the round of the turn          -> READY  or back to IDLE
 *   READY          until the index is applied           -> FETCHING (or answered at once)
 *   FETCHING       a job reads the table                -> answered, or again after a flush
 *   IDLE           no leader to ask: looks again soon
 *   CALLED         another node answers
 *
 * Rows are the table's merged with the dirty records of the memtable. A flush that ends between
 * may have moved records from one to the other behind the reader's back: then it is read again.
 */
#include "server/node/eventual_peers_internal.h"
#include "server/node/query_internal.h"

#define NODE_QUERY_HEAD 14u

static void node_ask_end(struct node *n, struct node_ask *a, int code, struct bytes reply)
{
    void *ctx = a->ctx;
    node_done_fn *done = a->done;
    node_timer_cancel(n, &a->timer);
    node_link_remove(&a->link);
    buf_release(&a->body);
    node_pool_give(n, &n->pools[NODE_POOL_ASK], a);
    done(n, ctx, code, reply);
}

static void node_ask_fire(struct node *n, struct node_timer *t)
{
    struct node_ask *a = t->ctx;
    if (a->state == NODE_ASK_FETCHING) {
        a->expired = true; /* the job still holds it */
        return;
    }
    node_ask_end(n, a,
                 a->state == NODE_ASK_REFUSED || a->state == NODE_ASK_IDLE ? a->code : ERR_TIMEOUT,
                 bytes_of(NULL, 0));
}

static void node_ask_refuse(struct node *n, struct node_ask *a, int code)
{
    node_link_remove(&a->link);
    a->state = NODE_ASK_REFUSED;
    a->code = code;
    node_timer_set(n, &a->timer, n->now);
}

static void node_ask_idle(struct node *n, struct node_ask *a, int code)
{
    struct node_group *g = a->g != NULL ? a->g : n->elsewhere;
    if (n->now >= a->deadline_us) {
        node_ask_refuse(n, a, code);
        return;
    }
    a->state = NODE_ASK_IDLE;
    a->code = code;
    node_link_append(&g->reads_idle, &a->link);
    node_timer_set(n, &a->timer, a->deadline_us);
    node_retry_at(n, g, n->now + n->options.heartbeat_us / 4 + 1);
}

static void node_ask_called(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ask *a = ctx;
    bool retry = code == ERR_UNREACHABLE || code == ERR_NOT_LEADER || code == ERR_NO_LEADER ||
                 code == ERR_CONNECTION || code == ERR_CORRUPT || code == ERR_BEHIND;
    if (!n->closing && retry) { /* a question may be asked twice */
        node_route_learn(n, a->group, RAFT_NODE_NONE);
        node_ask_idle(n, a, code == ERR_CORRUPT ? code : ERR_NO_LEADER);
        return;
    }
    node_ask_end(n, a, code, reply);
}

static void node_ask_call(struct node *n, struct node_ask *a)
{
    struct buf *head = &n->scratch;
    uint32_t peer = node_route(n, a->group, false);
    if (a->local_only) {
        node_ask_refuse(n, a, ERR_BEHIND);
        return;
    }
    if (peer == RAFT_NODE_NONE || peer == n->self || !node_peer_is_up(n, peer)) {
        node_ask_idle(n, a, ERR_NO_LEADER);
        return;
    }
    buf_clear(head);
    (void)buf_put_u32(head, a->group);
    (void)buf_put_u64(head, a->deadline_us - NUM_MIN(n->now, a->deadline_us));
    (void)buf_put_u8(head, a->op->op);
    (void)buf_put_u8(head, a->stale);
    (void)buf_append(head, a->body.data, a->body.size);
    node_timer_cancel(n, &a->timer);
    a->state = NODE_ASK_CALLED;
    n->counters.forwards++;
    node_call(n, peer, NODE_CALL_QUERY, buf_view(head), NULL, a->deadline_us, a, node_ask_called);
}

static void node_ask_route(struct node *n, struct node_ask *a)
{
    struct node_group *g = a->g;
    if (g != NULL && node_group_own(g) && g->broken) {
        node_ask_idle(n, a, node_ev_forgetting(n) ? ERR_BEHIND : ERR_CORRUPT);
        return;
    }
    if (g == NULL || g->fenced || a->away) {
        node_ask_call(n, a);
        return;
    }
    if (a->stale) {
        a->state = NODE_ASK_READY;
        node_link_append(&g->reads_ready, &a->link);
    } else if (g->leader == RAFT_NODE_NONE) {
        node_ask_idle(n, a, ERR_NO_LEADER);
        return;
    } else {
        a->state = NODE_ASK_NEW;
        node_link_append(&g->reads, &a->link);
    }
    node_timer_set(n, &a->timer, a->deadline_us);
}

static void node_ask_start(struct node *n, const struct node_ask *want, struct bytes body)
{
    struct node_ask *a = node_pool_take(n, &n->pools[NODE_POOL_ASK]);
    ASSERT(a != NULL); /* a record of a hundred bytes, bounded by requests */
    *a = *want;
    node_link_init(&a->link);
    a->timer = (struct node_timer){.ctx = a, .fire = node_ask_fire, .owes = true};
    a->g = node_group_find(n, a->group);
    buf_init(&a->body, &n->alloc, 1u << 20);
    n->counters.queries++;
    if (n->closing) {
        node_ask_refuse(n, a, ERR_UNAVAILABLE);
        return;
    }
    if (a->op == NULL || buf_append(&a->body, body.data, body.size) != 0) {
        node_ask_refuse(n, a, a->op == NULL ? ERR_INVALID : ERR_TOO_LARGE);
        return;
    }
    node_ask_route(n, a);
}

void node_query(struct node *n, uint32_t group, uint8_t op, struct bytes body, bool stale_allowed,
                uint64_t deadline_us, void *ctx, node_done_fn *done)
{
    struct node_ask want = {.group = group,
                            .op = n->queries[op],
                            .stale = stale_allowed,
                            .deadline_us = deadline_us,
                            .ctx = ctx,
                            .done = done};
    node_ask_start(n, &want, body);
}

void node_query_from(struct node *n, uint32_t group, uint8_t op, struct bytes body, uint64_t index,
                     uint64_t deadline_us, void *ctx, node_done_fn *done)
{
    struct node_ask want = {.group = group,
                            .op = n->queries[op],
                            .stale = true,
                            .index = index,
                            .deadline_us = deadline_us,
                            .ctx = ctx,
                            .done = done};
    node_ask_start(n, &want, body);
}

/* ---- read rounds ---------------------------------------------------------------------------- */

struct node_round {
    struct node_link link;
    uint64_t ctx;
    struct node_link asks;
};

static void node_round_fail(struct node *n, struct node_round *round)
{
    while (!node_link_empty(&round->asks)) {
        struct node_ask *a = (struct node_ask *)(void *)round->asks.next;
        node_link_remove(&a->link);
        if (a->local_only) {
            node_ask_refuse(n, a, ERR_NO_LEADER);
        } else {
            node_ask_idle(n, a, ERR_NO_LEADER);
        }
    }
    node_link_remove(&round->link);
    node_pool_give(n, &n->pools[NODE_POOL_ROUND], round);
}

static struct node_round *node_round_find(const struct node_group *g, uint64_t ctx)
{
    for (struct node_link *at = g->reads_sent.next; at != &g->reads_sent; at = at->next) {
        struct node_round *round = (struct node_round *)(void *)at;
        if (round->ctx == ctx) {
            return round;
        }
    }
    return NULL;
}

void node_query_flush(struct node *n, struct node_group *g)
{
    if (node_link_empty(&g->reads)) {
        return;
    }
    struct node_round *round = node_pool_take(n, &n->pools[NODE_POOL_ROUND]);
    if (round == NULL) {
        return; /* in the next turn */
    }
    round->ctx = ++n->read_ctx;
    node_link_init(&round->link);
    node_link_init(&round->asks);
    while (!node_link_empty(&g->reads)) {
        struct node_ask *a = (struct node_ask *)(void *)g->reads.next;
        node_link_remove(&a->link);
        a->state = NODE_ASK_SENT;
        node_link_append(&round->asks, &a->link);
    }
    node_link_append(&g->reads_sent, &round->link);
    uint64_t ctx = round->ctx;
    struct raft_event ev = {.kind = RAFT_READ, .group = g->id, .ctx = ctx};
    if (node_raft(n, &ev) != 0) {
        node_query_read_fail(n, g, ctx);
    }
}

void node_query_read_ok(struct node *n, struct node_group *g, uint64_t ctx, uint64_t index)
{
    struct node_round *round = node_round_find(g, ctx);
    if (round == NULL) {
        return;
    }
    while (!node_link_empty(&round->asks)) {
        struct node_ask *a = (struct node_ask *)(void *)round->asks.next;
        node_link_remove(&a->link);
        a->state = NODE_ASK_READY;
        a->index = index;
        node_link_append(&g->reads_ready, &a->link);
    }
    node_link_remove(&round->link);
    node_pool_give(n, &n->pools[NODE_POOL_ROUND], round);
}

void node_query_read_fail(struct node *n, struct node_group *g, uint64_t ctx)
{
    struct node_round *round = node_round_find(g, ctx);
    if (round != NULL) {
        node_round_fail(n, round);
    }
}

void node_query_role(struct node *n, struct node_group *g)
{
    struct node_link all;
    if (node_link_empty(&g->reads_idle)) {
        return;
    }
    all = g->reads_idle;
    all.next->prev = &all;
    all.prev->next = &all;
    node_link_init(&g->reads_idle);
    while (!node_link_empty(&all)) {
        struct node_ask *a = (struct node_ask *)(void *)all.next;
        node_link_remove(&a->link);
        node_timer_cancel(n, &a->timer);
        node_ask_route(n, a);
    }
}

/* ---- reading and answering ------------------------------------------------------------------ */

static void node_ask_again(struct node *n, struct node_ask *a)
{
    a->state = NODE_ASK_READY;
    a->fetch_retry++;
    node_link_append(&a->g->reads_ready, &a->link);
    (void)n;
}

static void node_ask_answer(struct node *n, struct node_ask *a, const struct node_fetch *f)
{
    struct node_rows rows;
    bool again = false;
    struct node_query_ctx q = {
        .group = a->group, .revision = a->g->now.index, .log_time_us = a->g->now.log_time_us};
    int code = node_rows_build(n, a, f, &rows, &again);
    if (code == 0 && again) {
        node_rows_release(&rows);
        node_ask_again(n, a);
        return;
    }
    buf_clear(&n->reply);
    if (code == 0) {
        code = a->op->answer(&q, buf_view(&a->body), &rows, &n->reply);
    }
    node_rows_release(&rows);
    if (code == 0 && n->reply.err != 0) {
        code = n->reply.err;
    }
    node_ask_end(n, a, code, code == 0 ? buf_view(&n->reply) : bytes_of(NULL, 0));
}

static void node_ask_fetched(struct node *n, struct node_fetch *f)
{
    struct node_ask *a = f->ctx;
    int code = f->task.job.code;
    if (n->closing) {
        code = ERR_UNAVAILABLE;
    } else if (a->expired) {
        code = ERR_TIMEOUT;
    }
    if (code == 0 && (f->thaws != n->thaws || f->epoch != a->g->epoch)) {
        node_ask_again(n, a);
    } else if (code == 0) {
        node_mem_pin(n);
        (void)node_fetch_fill(f);
        node_ask_answer(n, a, f);
        node_mem_unpin(n);
    } else if (code == ERR_CORRUPT && node_group_own(a->g)) {
        node_rebuild(n, a->g);
        node_ask_idle(n, a, code); /* asked again when what is damaged has gone */
    } else if (code == ERR_CORRUPT && !a->local_only) {
        log_line(n->options.log, LOG_ERROR, "state_corrupt", "node=%u group=%u", n->self, a->group);
        a->away = true; /* another replica answers */
        node_ask_call(n, a);
    } else {
        node_ask_end(n, a, code, bytes_of(NULL, 0));
    }
    node_fetch_free(f);
}

/* returns: 0 with *f NULL if everything is in memory. */
static int node_ask_fetch(struct node *n, struct node_ask *a, struct node_fetch **out)
{
    struct node_keys keys;
    struct node_range range = {0};
    struct node_fetch *f = NULL;
    *out = NULL;
    node_keys_init(&keys, n);
    int err = a->op->want(buf_view(&a->body), &keys, &range);
    if (err == 0) {
        f = node_fetch_new(n, a->g);
        err = f == NULL ? ERR_NO_MEMORY : keys.names.err;
    }
    struct bytes_reader r = bytes_reader_of(buf_view(&keys.names));
    for (unsigned i = 0; i < keys.count && err == 0; i++) {
        err = node_fetch_want(f, bytes_take(&r, bytes_take_u16(&r)));
    }
    if (err == 0 && range.to.size > 0) {
        err = node_rows_range(n, a, &range, f);
    }
    buf_release(&keys.names);
    if (err != 0 || (f->keys_count == 0 && f->to.size == 0)) {
        if (f != NULL) {
            node_fetch_free(f);
        }
        return err;
    }
    *out = f;
    return 0;
}

static void node_ask_run(struct node *n, struct node_ask *a)
{
    struct node_fetch *f = NULL;
    node_mem_pin(n);
    int err = node_ask_fetch(n, a, &f);
    if (err == 0 && f == NULL) {
        node_ask_answer(n, a, NULL);
    } else if (err == 0) {
        f->ctx = a;
        f->ended = node_ask_fetched;
        a->state = NODE_ASK_FETCHING;
        err = node_fetch_start(f);
        if (err != 0) {
            node_fetch_free(f);
        }
    }
    if (err != 0) {
        node_ask_end(n, a, err, bytes_of(NULL, 0));
    }
    node_mem_unpin(n);
}

bool node_query_run(struct node *n, struct node_group *g)
{
    bool any = false;
    struct node_link ready;
    if (node_link_empty(&g->reads_ready) || n->failed || n->closing) {
        return false;
    }
    ready = g->reads_ready;
    ready.next->prev = &ready;
    ready.prev->next = &ready;
    node_link_init(&g->reads_ready);
    while (!node_link_empty(&ready)) {
        struct node_ask *a = (struct node_ask *)(void *)ready.next;
        node_link_remove(&a->link);
        if (a->index > g->now.index || g->install_flips) {
            node_link_append(&g->reads_ready, &a->link);
            continue;
        }
        node_ask_run(n, a);
        any = true;
    }
    return any;
}

static void node_query_free_list(struct node *n, struct node_link *list)
{
    while (!node_link_empty(list)) {
        node_ask_end(n, (struct node_ask *)(void *)list->next, ERR_UNAVAILABLE, bytes_of(NULL, 0));
    }
}

void node_query_free(struct node *n, struct node_group *g)
{
    node_query_free_list(n, &g->reads);
    node_query_free_list(n, &g->reads_idle);
    node_query_free_list(n, &g->reads_ready);
    while (!node_link_empty(&g->reads_sent)) {
        struct node_round *round = (struct node_round *)(void *)g->reads_sent.next;
        node_query_free_list(n, &round->asks);
        node_round_fail(n, round);
    }
}

size_t node_round_bytes(void)
{
    return sizeof(struct node_round);
}

/* ---- for other nodes ------------------------------------------------------------------------ */

static void node_query_served(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_request *request = ctx;
    node_answer(n, *request, code, reply, NULL);
    alloc_put(&n->alloc, request, sizeof *request);
}

void node_query_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct node_ask want = {.local_only = true, .done = node_query_served};
    want.group = bytes_take_u32(&r);
    uint64_t left_us = bytes_take_u64(&r);
    want.op = n->queries[bytes_take_u8(&r)];
    want.stale = bytes_take_u8(&r) != 0;
    want.deadline_us = n->now + NUM_MIN(left_us, (uint64_t)600 * 1000000);
    struct node_request *ctx = r.failed ? NULL : alloc_get(&n->alloc, sizeof *ctx);
    if (ctx == NULL || want.group == NODE_GROUP_OWN || node_group_find(n, want.group) == NULL) {
        alloc_put(&n->alloc, ctx, sizeof *ctx);
        node_answer(n, request, ERR_NOT_LEADER, bytes_of(NULL, 0), NULL);
        return;
    }
    *ctx = request;
    want.ctx = ctx;
    node_ask_start(n, &want, bytes_of(r.at, r.left));
}
