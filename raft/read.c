/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Linearizable reads without the log (Ongaro's dissertation, 6.4). The leader notes its commit
 * index and proves that it still leads: a quorum answers a round that began after the read came
 * in. Before its own no-op is committed it does not know what is committed, and reads wait
 * (scenarios 21, 54). One round serves all reads that wait; while it is under way newer ones
 * gather for the next. A follower asks the leader for all its reads in one message and serves
 * them once it has applied the index.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

static struct raft_read *read_at(const struct raft_reads *r, uint32_t place)
{
    ASSERT(place < r->count);
    return &r->ring[(r->first + place) % r->cap];
}

/* returns: 0, ERR_BUSY, ERR_NO_LEADER or, for a peer's, ERR_NOT_LEADER. */
int raft_read_ask(struct raft_group *g, uint64_t ctx, uint32_t peer)
{
    struct raft_reads *r = &g->reads;
    ASSERT(ctx != 0);
    if (g->role != RAFT_LEADER && peer != RAFT_NODE_NONE) {
        return ERR_NOT_LEADER;
    }
    if (g->leader == RAFT_NODE_NONE) {
        return ERR_NO_LEADER;
    }
    if (r->count == r->cap) {
        return ERR_BUSY;
    }
    r->count++;
    *read_at(r, r->count - 1) = (struct raft_read){.ctx = ctx, .peer = peer};
    if (g->role != RAFT_LEADER && r->expire_us == RAFT_NEVER) {
        r->expire_us = g->host->now_us + g->host->options.election_us;
        raft_timer(g, r->expire_us);
    }
    ASSERT(r->count <= r->cap);
    return 0;
}

/* Ends the first `count` with code, or with index if code is 0. */
static void read_end(struct raft_group *g, uint32_t count, int code, uint64_t index)
{
    struct raft_reads *r = &g->reads;
    ASSERT(count <= r->count);
    for (uint32_t i = 0; i < count; i++) {
        struct raft_read *read = read_at(r, i);
        if (!read->done) {
            read->done = true;
            read->code = code;
            read->index = index;
        }
    }
    r->sent = 0;
    raft_dirty(g);
}

void raft_read_fail_all(struct raft_group *g, int code)
{
    ASSERT(code != 0);
    read_end(g, g->reads.count, code, 0);
    g->reads.expire_us = RAFT_NEVER;
    g->reads.round = 0;
    ASSERT(g->reads.sent == 0);
}

/* ---- leader -------------------------------------------------------------------------------------
 */

/* Gives the reads that wait the next round. */
static void read_assign(struct raft_group *g)
{
    struct raft_reads *r = &g->reads;
    struct raft_host *h = g->host;
    ASSERT(g->role == RAFT_LEADER);
    if (r->sent == r->count || g->commit_index < g->noop_index) {
        return;
    }
    if (g->voters_count > 1) {
        if (r->round > g->round_confirmed) {
            return;
        }
        raft_round_begin(h);
        g->beat_wanted = true;
    }
    for (uint32_t i = r->sent; i < r->count; i++) {
        struct raft_read *read = read_at(r, i);
        read->round = h->round;
        read->index = g->commit_index;
    }
    r->round = h->round;
    r->sent = r->count;
    ASSERT(r->round >= g->round_confirmed || g->voters_count == 1);
}

/* A beat begins a round of its own: what a lost one should have confirmed goes with it. */
void raft_read_beat(struct raft_group *g)
{
    ASSERT(g->role == RAFT_LEADER);
    g->reads.round = 0;
}

void raft_on_read(struct raft_group *g, const struct raft_message *m)
{
    ASSERT(m->kind == RAFT_MSG_READ);
    int err = m->ctx == 0 ? ERR_PROTOCOL : raft_read_ask(g, m->ctx, m->from);
    if (err == 0) {
        return;
    }
    struct raft_message reply = raft_message_to(g, RAFT_MSG_READ_REPLY, m->from);
    reply.ctx = m->ctx;
    reply.code = err;
    ASSERT(reply.code != 0);
    raft_send(g, &reply, 0);
}

/* ---- follower -----------------------------------------------------------------------------------
 */

static void read_send(struct raft_group *g)
{
    struct raft_message m = raft_message_to(g, RAFT_MSG_READ, g->leader);
    ASSERT(g->leader != RAFT_NODE_NONE);
    ASSERT(g->reads.sent > 0);
    m.ctx = g->reads.sent_ctx;
    g->reads.sent_us = g->host->now_us;
    raft_send(g, &m, 0);
}

/* Numbers start at a random place, so that an answer to an earlier life fits no question. */
static void read_forward(struct raft_group *g)
{
    struct raft_reads *r = &g->reads;
    if (r->sent > 0 || r->count == 0 || g->leader == RAFT_NODE_NONE || read_at(r, 0)->done) {
        return;
    }
    if (r->sent_ctx == 0) {
        r->sent_ctx = rng_next(&g->host->rng) >> 1;
    }
    r->sent_ctx++;
    r->sent = r->count;
    ASSERT(r->sent_ctx != 0);
    read_send(g);
}

/* The leader is there; if the question or its answer got lost, ask again. */
void raft_read_again(struct raft_group *g)
{
    struct raft_reads *r = &g->reads;
    ASSERT(g->role != RAFT_LEADER);
    if (r->sent > 0 && g->leader != RAFT_NODE_NONE &&
        g->host->now_us - r->sent_us >= 2 * g->host->options.heartbeat_us) {
        read_send(g);
    }
    ASSERT(r->sent <= r->count);
}

int raft_on_read_reply(struct raft_group *g, const struct raft_message *m)
{
    struct raft_reads *r = &g->reads;
    if (g->role == RAFT_LEADER || r->sent == 0 || m->ctx != r->sent_ctx) {
        return 0;
    }
    if (m->from != g->leader) {
        return ERR_PROTOCOL;
    }
    ASSERT(r->sent <= r->count);
    read_end(g, r->sent, m->code, m->index);
    r->expire_us = g->host->now_us + g->host->options.election_us;
    raft_timer(g, r->expire_us);
    ASSERT(r->sent == 0);
    return 0;
}

/* No answer for an election time-out. */
void raft_read_due(struct raft_group *g)
{
    ASSERT(g->reads.expire_us <= g->host->now_us);
    if (g->role == RAFT_LEADER) {
        g->reads.expire_us = RAFT_NEVER;
        return;
    }
    raft_read_fail_all(g, ERR_NO_LEADER);
    ASSERT(g->reads.expire_us == RAFT_NEVER);
}

/* ---- both ---------------------------------------------------------------------------------------
 */

static void read_answer(struct raft_group *g, const struct raft_read *read)
{
    if (read->peer != RAFT_NODE_NONE) {
        struct raft_message reply = raft_message_to(g, RAFT_MSG_READ_REPLY, read->peer);
        reply.ctx = read->ctx;
        reply.code = read->code;
        reply.index = read->index;
        raft_send(g, &reply, 0);
        return;
    }
    bool ok = read->code == 0;
    struct raft_action *a = raft_action_push(g->host, ok ? RAFT_READ_OK : RAFT_READ_FAIL, g->id);
    a->ctx = read->ctx;
    a->index = read->index;
    a->code = read->code;
    ASSERT(a->ctx != 0);
}

/* Starts what waits, answers what is confirmed, in order. */
void raft_read_flush(struct raft_group *g)
{
    struct raft_reads *r = &g->reads;
    if (r->count == 0) {
        r->expire_us = RAFT_NEVER;
        return;
    }
    if (g->role == RAFT_LEADER) {
        read_assign(g);
    } else if (!g->fenced) {
        read_forward(g);
    }
    while (r->count > 0 && !raft_host_full(g->host)) {
        struct raft_read *read = read_at(r, 0);
        bool confirmed = g->role == RAFT_LEADER && r->sent > 0 &&
                         (g->voters_count == 1 || read->round <= g->round_confirmed);
        if (!read->done && !confirmed) {
            break;
        }
        read_answer(g, read);
        r->first = (r->first + 1) % r->cap;
        r->count--;
        r->sent -= r->sent > 0;
    }
    ASSERT(r->sent <= r->count);
    if (g->role != RAFT_LEADER && !g->fenced) {
        read_forward(g);
    }
}
