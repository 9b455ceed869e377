/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Heartbeats: one message a peer and a beat, with an item for each group led here. Each beat is a
 * round with a number; an answer to a round that began after a read came in confirms the read.
 * The leader that is not confirmed by a quorum for an election time-out steps down; only answers
 * to itself in its own term count (scenarios 14, 15).
 */
#include "base/err.h"
#include "raft/raft_internal.h"

/* Opens a round, once a step. */
void raft_round_begin(struct raft_host *h)
{
    if (h->round_open) {
        return;
    }
    h->round++;
    ASSERT(h->round < UINT64_MAX);
    h->rounds_us[h->round & (RAFT_ROUNDS_KEPT - 1)] = h->now_us;
    h->round_open = true;
}

static void beat_add(struct raft_host *h, struct raft_outbox *box,
                     const struct raft_heartbeat *item)
{
    if (box->sealed || box->count == h->options.groups_max) {
        h->dropped++;
        return;
    }
    ASSERT(item->term > 0);
    box->items[box->count++] = *item;
}

void raft_beat_group(struct raft_group *g)
{
    struct raft_host *h = g->host;
    g->beat_wanted = false;
    if (g->role != RAFT_LEADER) {
        return;
    }
    ASSERT(g->hard_seq <= h->durable_seq);
    for (unsigned i = 0; i < g->voters_count; i++) {
        if (i == g->self) {
            continue;
        }
        struct raft_heartbeat item = {
            .group = g->id,
            .term = g->term,
            .commit = NUM_MIN(g->commit_index, g->progress[i].match_index),
            .read_seq = h->round,
        };
        beat_add(h, &h->peers[g->peers[i]].beats, &item);
    }
}

static void beat_seal_box(struct raft_host *h, uint32_t node, struct raft_outbox *box,
                          enum raft_message_kind kind)
{
    if (box->count == 0 || box->sealed) {
        return;
    }
    box->sealed = true;
    struct raft_action *a = raft_action_push(h, RAFT_SEND, box->items[0].group);
    a->peer = node;
    a->after_seq = box->after_seq > h->durable_seq ? box->after_seq : 0;
    a->message = (struct raft_message){
        .kind = kind,
        .from = h->options.node,
        .to = node,
        .count = box->count,
        .heartbeats = box->items,
    };
    ASSERT(box->count <= h->options.groups_max);
}

void raft_beat_seal(struct raft_host *h)
{
    ASSERT(h->peers_count <= h->options.peers_max + 1);
    for (uint32_t i = 0; i < h->peers_count; i++) {
        beat_seal_box(h, h->peers[i].node, &h->peers[i].beats, RAFT_MSG_HEARTBEAT);
        beat_seal_box(h, h->peers[i].node, &h->peers[i].replies, RAFT_MSG_HEARTBEAT_REPLY);
    }
}

/* What the outboxes held was polled: a new step begins. */
void raft_beat_clear(struct raft_host *h)
{
    ASSERT(h->peers_count <= h->options.peers_max + 1);
    h->round_open = false;
    for (uint32_t i = 0; i < h->peers_count; i++) {
        struct raft_outbox *boxes[2] = {&h->peers[i].beats, &h->peers[i].replies};
        for (unsigned j = 0; j < 2; j++) {
            boxes[j]->count = 0;
            boxes[j]->after_seq = 0;
            boxes[j]->sealed = false;
        }
    }
}

/* ---- quorum -------------------------------------------------------------------------------------
 */

static bool beat_quorum_lost(const struct raft_group *g)
{
    uint64_t values[RAFT_VOTERS_MAX];
    uint64_t now_us = g->host->now_us;
    for (unsigned i = 0; i < g->voters_count; i++) {
        values[i] = i == g->self ? now_us : g->progress[i].acked_us;
        ASSERT(values[i] <= now_us);
    }
    uint64_t since_us = raft_commit_quorum(g, values);
    ASSERT(since_us <= now_us);
    return now_us - since_us >= g->host->options.election_us;
}

void raft_round_acked(struct raft_group *g, unsigned voter, uint64_t round)
{
    struct raft_host *h = g->host;
    struct raft_progress *p = &g->progress[voter];
    ASSERT(g->role == RAFT_LEADER);
    ASSERT(voter != g->self);
    p->acked_us = h->now_us;
    if (round > h->round || round <= p->round_acked) {
        return;
    }
    p->round_acked = round;
    uint64_t values[RAFT_VOTERS_MAX];
    for (unsigned i = 0; i < g->voters_count; i++) {
        values[i] = i == g->self ? h->round : g->progress[i].round_acked;
    }
    uint64_t confirmed = raft_commit_quorum(g, values);
    if (confirmed <= g->round_confirmed) {
        return;
    }
    g->round_confirmed = confirmed;
    if (h->round - confirmed < RAFT_ROUNDS_KEPT) {
        uint64_t sent_us = h->rounds_us[confirmed & (RAFT_ROUNDS_KEPT - 1)];
        g->quorum_us = NUM_MAX(g->quorum_us, sent_us);
    }
    raft_dirty(g);
}

/* The beat of the host. */
void raft_beat_due(struct raft_host *h)
{
    ASSERT(h->leading > 0);
    h->beat_us = h->now_us + h->options.heartbeat_us;
    raft_round_begin(h);
    for (uint32_t i = 0; i < h->groups_count; i++) {
        struct raft_group *g = &h->groups[i];
        if (g->role != RAFT_LEADER || g->voters_count == 1) {
            continue;
        }
        if (beat_quorum_lost(g)) {
            raft_follow(g, g->term, RAFT_NODE_NONE);
            continue;
        }
        g->beat_wanted = true;
        raft_read_beat(g);
        raft_dirty(g);
    }
    ASSERT(h->beat_us > h->now_us);
}

/* ---- messages -----------------------------------------------------------------------------------
 */

static void beat_reply(struct raft_group *g, const struct raft_message *m,
                       const struct raft_heartbeat *item)
{
    struct raft_host *h = g->host;
    int voter = raft_voter_of(g, m->from);
    ASSERT(voter >= 0);
    struct raft_outbox *box = &h->peers[g->peers[voter]].replies;
    raft_persist_hard(g);
    struct raft_heartbeat reply = {
        .group = g->id,
        .term = g->term,
        .commit = item->term == g->term ? raft_match_durable(g) : 0,
        .read_seq = item->read_seq,
    };
    box->after_seq = NUM_MAX(box->after_seq, g->hard_seq);
    ASSERT(box->after_seq <= h->seq);
    beat_add(h, box, &reply);
}

static void beat_item(struct raft_host *h, const struct raft_message *m,
                      const struct raft_heartbeat *item)
{
    struct raft_group *g = raft_host_find(h, item->group);
    if (g == NULL || !g->started || g->fenced || raft_voter_of(g, m->from) < 0 ||
        raft_term_absurd(g, item->term) || item->term == 0) {
        return;
    }
    raft_dirty(g);
    if (item->term > g->term) {
        raft_follow(g, item->term, m->from);
    }
    if (item->term == g->term && g->role == RAFT_LEADER) {
        return; /* nobody else can lead this term: not a message of an honest peer */
    }
    ASSERT(g->term >= item->term);
    if (item->term == g->term) {
        raft_heard(g, m->from);
        /* a commit beyond what is known to match says that the leader takes this log for a longer
         * one: followed no further; the match in the reply makes it look again (scenario 29) */
        raft_commit_follower(g, item->commit);
        raft_read_again(g);
    }
    beat_reply(g, m, item);
}

int raft_on_beats(struct raft_host *h, const struct raft_message *m)
{
    ASSERT(m->kind == RAFT_MSG_HEARTBEAT);
    if (m->count > h->options.groups_max || (m->count > 0 && m->heartbeats == NULL)) {
        return ERR_PROTOCOL;
    }
    for (uint32_t i = 0; i < m->count; i++) {
        beat_item(h, m, &m->heartbeats[i]);
    }
    ASSERT(m->to == h->options.node);
    return 0;
}

static void beat_reply_item(struct raft_host *h, const struct raft_message *m,
                            const struct raft_heartbeat *item)
{
    struct raft_group *g = raft_host_find(h, item->group);
    int voter = g == NULL ? -1 : raft_voter_of(g, m->from);
    if (voter < 0 || !g->started || g->fenced || raft_term_absurd(g, item->term)) {
        return;
    }
    if (item->term > g->term) {
        raft_follow(g, item->term, RAFT_NODE_NONE);
        return;
    }
    if (item->term < g->term || g->role != RAFT_LEADER) {
        return;
    }
    ASSERT((unsigned)voter != g->self);
    raft_round_acked(g, (unsigned)voter, item->read_seq);
    raft_progress_beat(g, (unsigned)voter, item->commit, item->read_seq);
}

int raft_on_beat_replies(struct raft_host *h, const struct raft_message *m)
{
    ASSERT(m->kind == RAFT_MSG_HEARTBEAT_REPLY);
    if (m->count > h->options.groups_max || (m->count > 0 && m->heartbeats == NULL)) {
        return ERR_PROTOCOL;
    }
    for (uint32_t i = 0; i < m->count; i++) {
        beat_reply_item(h, m, &m->heartbeats[i]);
    }
    ASSERT(m->to == h->options.node);
    return 0;
}
