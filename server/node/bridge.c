/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Between raft and everything else: events go in, and what comes out becomes records for the
 * disk, frames for peers, and notes for apply and queries, which act later in the turn. So no
 * action ever leads back into raft while its actions are being drained.
 */
#include "server/node/node_internal.h"

#define NODE_ACTIONS 64u

uint64_t node_stage(struct node *n, struct node_payload *p)
{
    ASSERT(n->staged_count < n->staged_max);
    n->staged[n->staged_count] = p;
    return n->staged_base + n->staged_count++;
}

/* returns: a new hold on the payload of an entry that raft takes in. */
static struct node_payload *node_staged_take(struct node *n, const struct node_group *g,
                                             uint64_t index, const struct raft_entry *e)
{
    struct node_payload *p = NULL;
    if (e->bytes == 0) {
        return NULL;
    }
    if (e->ref >= n->staged_base && e->ref - n->staged_base < n->staged_count) {
        p = n->staged[e->ref - n->staged_base];
    } else {
        p = node_ring_get(g, index);
    }
    ASSERT(p != NULL && p->bytes == e->bytes);
    p->refs++;
    return p;
}

static void node_persist_entry(struct node *n, struct node_group *g, const struct raft_action *a,
                               uint64_t index)
{
    struct raft_entry e;
    int err = raft_entry_get(n->raft, g->id, index, &e);
    ASSERT(err == 0);
    struct node_payload *p = node_staged_take(n, g, index, &e);
    struct node_persist item = {
        .record = {.kind = a->fill ? STORE_WAL_FILL : STORE_WAL_ENTRY,
                   .group = g->id,
                   .index = index,
                   .term = e.term,
                   .type = e.type,
                   .time_us = e.time_us,
                   .body = p == NULL ? bytes_of(NULL, 0) : bytes_of(p->data, p->bytes)},
        .payload = p,
        .seq = a->seq};
    if (p != NULL) {
        p->refs++;
    }
    node_persist_add(n, &item);
    node_ring_set(n, g, index, p);
}

static void node_on_persist(struct node *n, struct node_group *g, const struct raft_action *a)
{
    struct node_persist item = {.record = {.group = g->id}, .seq = a->seq};
    if (a->cut_from != 0) {
        item.record.kind = STORE_WAL_CUT;
        item.record.index = a->cut_from;
        node_persist_add(n, &item);
        node_ring_cut(n, g, a->cut_from);
    }
    if (a->base_index != 0) {
        item.record.kind = STORE_WAL_BASE;
        item.record.index = a->base_index;
        item.record.term = a->base_term;
        node_persist_add(n, &item);
        node_ring_drop(n, g, a->base_index);
    }
    if (a->hard) {
        item.record.kind = STORE_WAL_HARD;
        item.record.index = 0;
        item.record.term = a->hard_term;
        item.record.vote = a->hard_vote;
        item.record.commit = a->hard_commit;
        node_persist_add(n, &item);
    }
    if (a->count > 0 && !a->fill) {
        node_ring_cut(n, g, a->index);
    }
    for (uint32_t i = 0; i < a->count; i++) {
        node_persist_entry(n, g, a, a->index + i);
    }
    node_persist_end(n, a->seq);
}

static bool node_message_carries(enum raft_message_kind kind)
{
    return kind == RAFT_MSG_APPEND || kind == RAFT_MSG_FETCH_REPLY;
}

/* returns: whether every payload was in memory and is now in frame. */
static bool node_message_payloads(struct node *n, const struct node_group *g,
                                  const struct raft_message *m, struct buf *frame)
{
    for (uint32_t i = 0; i < m->count; i++) {
        if (n->entries[i].bytes > 0 && node_ring_get(g, m->index + 1 + i) == NULL) {
            return false;
        }
    }
    for (uint32_t i = 0; i < m->count; i++) {
        const struct node_payload *p = node_ring_get(g, m->index + 1 + i);
        if (n->entries[i].bytes > 0) {
            (void)buf_append(frame, p->data, p->bytes);
        }
    }
    return true;
}

static void node_on_send(struct node *n, const struct raft_action *a)
{
    const struct raft_message *m = &a->message;
    struct node_group *g = node_group_find(n, m->group);
    bool entries = m->count > 0 && node_message_carries(m->kind);
    struct buf frame;
    if (!node_peer_is_up(n, m->to)) {
        return;
    }
    if (entries && (g == NULL || m->count > n->staged_max)) {
        n->counters.dropped_messages++;
        return;
    }
    for (uint32_t i = 0; entries && i < m->count; i++) {
        if (raft_entry_get(n->raft, m->group, m->index + 1 + i, &n->entries[i]) != 0) {
            n->counters.dropped_messages++;
            return;
        }
    }
    buf_init(&frame, &n->alloc, n->options.limits.peer_body_bytes);
    (void)raft_message_encode(&frame, m, entries ? n->entries : NULL);
    if (entries && !node_message_payloads(n, g, m, &frame)) {
        node_send_late(n, g, m, &frame);
        return;
    }
    node_hold(n, a->after_seq, m->to, &frame);
}

static void node_on_role(struct node *n, struct node_group *g, const struct raft_action *a)
{
    bool changed = g->role != a->role || g->term != a->term || g->leader != a->peer;
    g->role = a->role;
    g->term = a->term;
    g->leader = a->peer;
    if (!changed) {
        return;
    }
    if (a->role == RAFT_LEADER) {
        log_line(n->options.log, LOG_INFO, "leader_elected", "node=%u group=%u term=%llu", n->self,
                 g->id, (unsigned long long)a->term);
    }
    if (a->role != RAFT_LEADER) {
        g->led = false;
    }
    node_retry_soon(n, g);
}

static void node_on_action(struct node *n, const struct raft_action *a)
{
    struct node_group *g = node_group_find(n, a->group);
    if (a->kind == RAFT_SEND) {
        node_on_send(n, a);
        return;
    }
    if (g == NULL) {
        return;
    }
    switch (a->kind) {
    case RAFT_PERSIST: node_on_persist(n, g, a); break;
    case RAFT_APPLY: g->apply_target = NUM_MAX(g->apply_target, a->index + a->count - 1); break;
    case RAFT_READ_OK: node_query_read_ok(n, g, a->ctx, a->index); break;
    case RAFT_READ_FAIL: node_query_read_fail(n, g, a->ctx); break;
    case RAFT_ROLE: node_on_role(n, g, a); break;
    case RAFT_SNAPSHOT_SEND: node_snapshot_wanted(n, g, a->peer); break;
    case RAFT_SNAPSHOT_INSTALL: node_install_begin(n, g, a); break;
    case RAFT_FENCED: node_fence(n, g, a->index, "log_conflict"); break;
    case RAFT_SEND: break;
    }
}

static void node_raft_drain(struct node *n)
{
    unsigned count = 0;
    do {
        count = raft_poll(n->raft, n->actions, NODE_ACTIONS);
        for (unsigned i = 0; i < count; i++) {
            node_on_action(n, &n->actions[i]);
        }
    } while (count > 0);
}

int node_raft(struct node *n, struct raft_event *ev)
{
    ev->now_us = n->now;
    int err = raft_step(n->raft, ev);
    node_raft_drain(n);
    for (unsigned i = 0; i < n->staged_count; i++) {
        node_payload_put(n, n->staged[i]);
    }
    n->staged_base += n->staged_count;
    n->staged_count = 0;
    return err;
}

void node_raft_message(struct node *n, uint32_t peer, struct bytes data)
{
    struct raft_message m;
    struct bytes payloads;
    int err = raft_message_decode(data, &m, n->entries, n->heartbeats, n->staged_max, &payloads);
    if (err != 0 || m.from != peer || m.to != n->self) {
        n->counters.bad_frames++;
        return;
    }
    struct bytes_reader r = bytes_reader_of(payloads);
    bool entries = m.count > 0 && node_message_carries(m.kind);
    for (uint32_t i = 0; entries && i < m.count; i++) {
        struct raft_entry *e = &n->entries[i];
        struct bytes body = bytes_take(&r, e->bytes);
        struct node_payload *p = NULL;
        if (e->bytes > 0) {
            p = node_payload_new(n, e->bytes);
            if (p == NULL) {
                m.count = i; /* the rest is sent again */
                break;
            }
            memcpy(p->data, body.data, body.size);
        }
        e->ref = node_stage(n, p);
    }
    if (m.kind == RAFT_MSG_APPEND_REPLY || m.kind == RAFT_MSG_HEARTBEAT_REPLY ||
        m.kind == RAFT_MSG_READ_REPLY) {
        node_member_answered(n, peer);
    }
    struct raft_event ev = {.kind = RAFT_MESSAGE, .group = m.group, .peer = peer, .message = &m};
    if (node_raft(n, &ev) != 0) {
        n->counters.dropped_messages++;
    }
}
