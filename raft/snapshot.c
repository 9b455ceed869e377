/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots and compaction: raft offers, names and waits; what a snapshot is and how its bytes
 * travel is the caller's. A follower takes one only if it brings something new (scenario 62); it
 * keeps what follows the snapshot in its log if the logs are equal there, else it drops the whole
 * log (66).
 */
#include "base/err.h"
#include "raft/raft_internal.h"

/* ---- leader -------------------------------------------------------------------------------------
 */

static void snapshot_ask(struct raft_group *g, unsigned voter)
{
    ASSERT(voter != g->self);
    struct raft_action *a = raft_action_push(g->host, RAFT_SNAPSHOT_SEND, g->id);
    a->peer = g->voters[voter];
    a->index = g->log.base_index;
    g->progress[voter].snapshot_us = g->host->now_us;
    ASSERT(g->progress[voter].state == RAFT_SNAPSHOT);
}

static void snapshot_send(struct raft_group *g, unsigned voter)
{
    struct raft_progress *p = &g->progress[voter];
    ASSERT(p->state == RAFT_SNAPSHOT);
    ASSERT(p->snapshot_index >= g->log.base_index);
    struct raft_message m = raft_message_to(g, RAFT_MSG_SNAPSHOT, g->voters[voter]);
    m.index = p->snapshot_index;
    m.index_term = p->snapshot_term;
    m.ctx = p->snapshot_id;
    m.commit = g->commit_index;
    p->snapshot_us = g->host->now_us;
    raft_send(g, &m, 0);
}

/* The voter needs what is compacted. */
void raft_snapshot_want(struct raft_group *g, unsigned voter)
{
    ASSERT(g->role == RAFT_LEADER);
    raft_progress_probe(g, voter, g->log.base_index + 1);
    struct raft_progress *p = &g->progress[voter];
    p->state = RAFT_SNAPSHOT;
    p->snapshot_index = 0;
    p->snapshot_id = 0;
    snapshot_ask(g, voter);
    ASSERT(p->inflight_count == 0);
}

/* It answers heartbeats and has not reported: the offer may have been lost. An offer that has
 * fallen behind the log's base is of no use any more. */
void raft_snapshot_again(struct raft_group *g, unsigned voter)
{
    struct raft_progress *p = &g->progress[voter];
    ASSERT(p->state == RAFT_SNAPSHOT);
    if (g->host->now_us - p->snapshot_us < 2 * g->host->options.election_us ||
        raft_host_full(g->host)) {
        return;
    }
    if (p->snapshot_index == 0 || p->snapshot_index < g->log.base_index) {
        p->snapshot_index = 0;
        snapshot_ask(g, voter);
        return;
    }
    snapshot_send(g, voter);
}

int raft_snapshot_offer(struct raft_host *h, uint32_t group, uint32_t peer, uint64_t id,
                        uint64_t index, uint64_t term)
{
    struct raft_group *g = raft_host_find(h, group);
    if (g == NULL || !g->started) {
        return ERR_NOT_FOUND;
    }
    int voter = raft_voter_of(g, peer);
    if (g->role != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    if (voter < 0 || (unsigned)voter == g->self || index == 0 || index > g->apply_index) {
        return ERR_INVALID;
    }
    struct raft_progress *p = &g->progress[voter];
    if (p->state != RAFT_SNAPSHOT) {
        return ERR_DONE;
    }
    if (index < g->log.base_index) {
        return ERR_BEHIND;
    }
    p->snapshot_index = index;
    p->snapshot_term = term;
    p->snapshot_id = id;
    ASSERT(!g->fenced);
    snapshot_send(g, (unsigned)voter);
    return 0;
}

/* An offer came to an end: go on after it, or find out again what the peer has. */
int raft_snapshot_done(struct raft_group *g, const struct raft_event *ev)
{
    int voter = raft_voter_of(g, ev->peer);
    if (voter < 0 || (unsigned)voter == g->self) {
        return ERR_INVALID;
    }
    struct raft_progress *p = &g->progress[voter];
    if (g->role != RAFT_LEADER || p->state != RAFT_SNAPSHOT) {
        return 0;
    }
    bool useful = ev->code == 0 && ev->index >= g->log.base_index && ev->index <= g->commit_index;
    raft_progress_probe(g, (unsigned)voter, useful ? ev->index + 1 : p->match_index + 1);
    p->paused = !useful; /* until it answers a heartbeat */
    ASSERT(p->state == RAFT_PROBE);
    ASSERT(p->next_index <= g->log.last_index + 1);
    return 0;
}

/* ---- follower -----------------------------------------------------------------------------------
 */

/* The state machine holds index, and the log ends before it: it starts again after it. */
static void snapshot_rebase(struct raft_group *g, uint64_t index, uint64_t term, uint64_t time_us)
{
    ASSERT(index > g->log.last_index);
    ASSERT(index <= g->applied_index);
    raft_log_reset(&g->log, index, term, time_us);
    g->matched_index = 0;
    raft_persist_base(g, true);
    raft_commit_snapshot(g, index);
    raft_recover_grown(g);
}

/* An offer is told on once, and again after a while: the caller knows by its id what runs. */
void raft_on_snapshot(struct raft_group *g, const struct raft_message *m)
{
    struct raft_host *h = g->host;
    if (g->role == RAFT_LEADER || m->index == 0 || m->index_term == 0 || m->index_term > m->term) {
        return;
    }
    raft_heard(g, m->from);
    if (m->index > g->log.last_index && m->index <= g->applied_index) {
        snapshot_rebase(g, m->index, m->index_term, 0);
    }
    uint64_t here = NUM_MIN(g->commit_index, g->log.durable_index);
    if (m->index <= here || m->index <= g->apply_index) {
        g->matched_index = NUM_MAX(g->matched_index, g->commit_index);
        raft_reply_match(g, m->from, g->commit_index, 0);
        return;
    }
    if ((g->install_id == m->ctx && h->now_us - g->install_us < h->options.election_us) ||
        raft_host_full(h)) {
        return;
    }
    g->install_id = m->ctx;
    g->install_us = h->now_us;
    ASSERT(m->index > g->apply_index);
    struct raft_action *a = raft_action_push(h, RAFT_SNAPSHOT_INSTALL, g->id);
    a->peer = m->from;
    a->ctx = m->ctx;
    a->index = m->index;
    a->term = m->index_term;
    ASSERT(g->leader == m->from);
}

static void snapshot_take(struct raft_group *g, const struct raft_event *ev)
{
    uint64_t index = ev->index;
    bool keep = raft_log_has(&g->log, index) && raft_log_term(&g->log, index) == ev->term;
    ASSERT(index > g->log.base_index);
    if (keep) {
        raft_log_compact(&g->log, index);
    } else {
        raft_log_reset(&g->log, index, ev->term, ev->time_us);
        g->matched_index = 0;
    }
    raft_persist_base(g, !keep);
    raft_commit_snapshot(g, index);
    g->apply_index = NUM_MAX(g->apply_index, index);
    g->applied_index = NUM_MAX(g->applied_index, index);
    ASSERT(g->log.last_index >= index);
}

int raft_snapshot_installed(struct raft_group *g, const struct raft_event *ev)
{
    g->install_id = 0;
    if (ev->index <= g->apply_index || ev->index <= g->log.base_index) {
        return 0;
    }
    if (ev->term == 0 || (g->role == RAFT_LEADER && !raft_log_has(&g->log, ev->index))) {
        return ERR_INVALID;
    }
    snapshot_take(g, ev);
    raft_recover_grown(g);
    if (g->role != RAFT_LEADER && g->leader != RAFT_NODE_NONE) {
        g->matched_index = NUM_MAX(g->matched_index, ev->index);
        raft_reply_match(g, g->leader, ev->index, 0);
    }
    ASSERT(g->commit_index >= ev->index);
    ASSERT(g->log.base_index >= ev->index);
    return 0;
}

/* ---- compaction ---------------------------------------------------------------------------------
 */

/* A leader keeps what a slow follower still needs, as long as half the ring is free: after that
 * the follower gets a snapshot (scenario 72). */
static uint64_t snapshot_needed_after(const struct raft_group *g, uint64_t index)
{
    uint64_t used = g->log.last_index - g->log.base_index;
    ASSERT(used <= g->log.cap);
    if (g->role != RAFT_LEADER || used > g->log.cap / 2) {
        return index;
    }
    for (unsigned i = 0; i < g->voters_count; i++) {
        if (i != g->self && g->progress[i].state != RAFT_SNAPSHOT) {
            index = NUM_MIN(index, g->progress[i].match_index);
        }
    }
    return index;
}

int raft_compact(struct raft_group *g, uint64_t index)
{
    if (index > g->applied_index) {
        return ERR_INVALID;
    }
    if (index <= g->log.base_index) {
        return 0;
    }
    raft_log_hold(&g->log, index);
    raft_commit_leader(g);
    uint64_t upto = NUM_MIN(snapshot_needed_after(g, index), g->log.last_index);
    upto = NUM_MIN(upto, g->commit_index);
    if (upto <= g->log.base_index || raft_log_term(&g->log, upto) == 0) {
        return 0;
    }
    raft_log_compact(&g->log, upto);
    raft_persist_base(g, false);
    ASSERT(g->log.base_index <= g->applied_index);
    return 0;
}
