/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Roles and votes.
 *
 *               time-out                  quorum of pre-votes           quorum of votes
 *   FOLLOWER ------------> PRE_CANDIDATE ---------------------> CANDIDATE -------------> LEADER
 *      ^                       |   ^                                |                       |
 *      |    leader or higher   |   |            time-out            |   no quorum heard,    |
 *      +------- term ----------+   +--------------------------------+   higher term         |
 *      +--------------------------------------------------------------------------------- --+
 *
 * A pre-vote changes no term, so a node that was cut off disturbs nobody (Ongaro's dissertation,
 * 9.6); its refusal carries the refuser's term, which the asker adopts, so that a long log with a
 * low term and a short log with a high one still find a leader (scenario 11). A voter that hears
 * a live leader answers no (pre-)vote (6.2 there). A request for votes leaves when the
 * candidate's term, vote and log are durable: a reply that arrives after a crash then cannot
 * count for a shorter log in the same term.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

void raft_election_reset(struct raft_group *g)
{
    struct raft_host *h = g->host;
    uint64_t span_us = h->options.election_us;
    ASSERT(span_us > 0);
    g->election_us = h->now_us + span_us + rng_below(&h->rng, span_us);
    raft_timer(g, g->election_us);
}

static void election_leave(struct raft_group *g)
{
    struct raft_host *h = g->host;
    ASSERT(g->role == RAFT_LEADER);
    raft_read_fail_all(g, ERR_NOT_LEADER);
    for (unsigned i = 0; i < g->voters_count; i++) {
        raft_progress_reset(g, i);
    }
    g->recovery.lacking = 0;
    g->recovery.stuck_us = 0;
    if (g->voters_count > 1) {
        ASSERT(h->leading > 0);
        h->leading--;
    }
    g->role = RAFT_FOLLOWER;
    g->leader = RAFT_NODE_NONE;
    raft_election_reset(g);
}

/* Becomes a follower of leader (or of none yet) in term, which is the own or a higher one. */
void raft_follow(struct raft_group *g, uint64_t term, uint32_t leader)
{
    ASSERT(term >= g->term);
    ASSERT(leader != g->host->options.node);
    if (g->role == RAFT_LEADER) {
        election_leave(g);
    }
    if (g->leader != leader && g->leader != RAFT_NODE_NONE) {
        raft_read_fail_all(g, ERR_NO_LEADER);
    }
    if (term > g->term) {
        g->term = term;
        g->vote = RAFT_NODE_NONE;
        g->hard_dirty = true;
        g->matched_index = 0;
    }
    g->role = RAFT_FOLLOWER;
    if (g->leader != leader) {
        g->leader = leader;
        g->leader_down = false;
        raft_recover_wake(g);
    }
    raft_dirty(g);
}

/* The leader of this term spoke. */
void raft_heard(struct raft_group *g, uint32_t leader)
{
    ASSERT(g->role != RAFT_LEADER);
    ASSERT(leader != RAFT_NODE_NONE);
    if (g->role != RAFT_FOLLOWER || g->leader != leader) {
        raft_follow(g, g->term, leader);
    }
    g->heard_us = g->host->now_us;
    g->waited = 0;
    g->leader_down = false;
    raft_election_reset(g);
}

/* returns: whether there is a live leader, as far as this node can tell. */
bool raft_election_sticky(const struct raft_group *g)
{
    const struct raft_options *o = &g->host->options;
    uint64_t now_us = g->host->now_us;
    ASSERT(g->heard_us <= now_us);
    if (g->role == RAFT_LEADER) {
        return true;
    }
    if (o->leases && g->start_term > 0 && now_us - g->started_us < o->election_us) {
        return true;
    }
    if (o->leases && g->heard_us != 0 && now_us - g->heard_us < o->election_us) {
        return true;
    }
    return g->leader != RAFT_NODE_NONE && !g->leader_down && now_us - g->heard_us < o->election_us;
}

bool raft_may_stand(const struct raft_group *g)
{
    ASSERT(g->started);
    return !g->hard_lost && !g->fenced && g->stand_us <= g->host->now_us &&
           raft_log_room(&g->log) > 0 && raft_recover_stand_ok(g);
}

static void election_send(struct raft_group *g, enum raft_message_kind kind, uint64_t term)
{
    for (unsigned i = 0; i < g->voters_count; i++) {
        if (i == g->self) {
            continue;
        }
        raft_persist_hard(g);
        struct raft_message m = raft_message_to(g, kind, g->voters[i]);
        m.term = term;
        m.index = g->log.last_index;
        m.index_term = raft_log_term(&g->log, g->log.last_index);
        raft_send(g, &m, kind == RAFT_MSG_VOTE ? g->last_seq : 0);
    }
    ASSERT(!g->hard_dirty || g->voters_count == 1);
}

static void election_stand(struct raft_group *g)
{
    ASSERT(g->role != RAFT_LEADER);
    ASSERT(g->term < UINT64_MAX);
    g->role = RAFT_CANDIDATE;
    g->term++;
    g->vote = g->host->options.node;
    g->hard_dirty = true;
    g->matched_index = 0;
    g->granted = 1u << g->self;
    raft_persist_hard(g);
    election_send(g, RAFT_MSG_VOTE, g->term);
    raft_election_reset(g);
    raft_dirty(g);
}

/* Nobody was heard for a whole time-out. The leader is forgotten, also by one that may not stand,
 * so that others get its pre-vote (scenario 12). */
void raft_election_due(struct raft_group *g)
{
    ASSERT(g->role != RAFT_LEADER);
    raft_follow(g, g->term, RAFT_NODE_NONE);
    raft_election_reset(g);
    if (!raft_may_stand(g)) {
        return;
    }
    if (g->voters_count == 1) {
        election_stand(g);
        return;
    }
    if (g->host->unwell && g->waited < RAFT_UNWELL_WAITS) {
        g->waited++;
        return;
    }
    g->role = RAFT_PRE_CANDIDATE;
    g->granted = 1u << g->self;
    ASSERT(g->term < UINT64_MAX);
    election_send(g, RAFT_MSG_PRE_VOTE, g->term + 1);
}

static unsigned election_count(const struct raft_group *g)
{
    unsigned count = 0;
    for (unsigned i = 0; i < g->voters_count; i++) {
        count += (g->granted >> i) & 1u;
    }
    ASSERT(count <= g->voters_count);
    return count;
}

static void election_won(struct raft_group *g)
{
    struct raft_host *h = g->host;
    ASSERT(g->role == RAFT_CANDIDATE);
    ASSERT(g->vote == h->options.node);
    g->role = RAFT_LEADER;
    g->leader = h->options.node;
    g->leader_down = false;
    g->round_confirmed = h->round;
    g->quorum_us = h->now_us;
    g->time_base_us = raft_log_time(&g->log);
    g->time_from_us = h->now_us;
    g->uncommitted_bytes = 0;
    for (uint64_t i = NUM_MAX(g->commit_index, g->log.base_index) + 1; i <= g->log.last_index;
         i++) {
        g->uncommitted_bytes += raft_log_slot(&g->log, i)->entry.bytes;
    }
    for (unsigned i = 0; i < g->voters_count; i++) {
        raft_progress_reset(g, i);
        g->progress[i].acked_us = h->now_us;
    }
    if (g->voters_count > 1 && h->leading++ == 0) {
        h->beat_us = h->now_us + h->options.heartbeat_us;
    }
    struct raft_entry noop = {.type = RAFT_ENTRY_NOOP};
    g->noop_index = g->log.last_index + 1;
    raft_append_own(g, &noop, 1);
    raft_recover_wake(g);
    raft_dirty(g);
}

/* Own votes count once they are durable. */
void raft_election_tally(struct raft_group *g)
{
    if (g->role == RAFT_PRE_CANDIDATE && election_count(g) >= raft_quorum(g)) {
        election_stand(g);
        return;
    }
    if (g->role != RAFT_CANDIDATE || g->hard_dirty || g->hard_seq > g->host->durable_seq) {
        return;
    }
    ASSERT((g->granted >> g->self) & 1u);
    if (election_count(g) >= raft_quorum(g) && !g->fenced && raft_log_room(&g->log) > 0) {
        election_won(g);
    }
}

/* ---- requests -----------------------------------------------------------------------------------
 */

static bool election_log_ok(const struct raft_group *g, const struct raft_message *m)
{
    uint64_t last_term = raft_log_term(&g->log, g->log.last_index);
    ASSERT(g->log.last_index >= g->log.base_index);
    if (!raft_recover_vote_ok(g, m->index_term, m->index)) {
        return false;
    }
    if (m->index_term != last_term) {
        return m->index_term > last_term;
    }
    return m->index >= g->log.last_index;
}

void raft_on_pre_vote(struct raft_group *g, const struct raft_message *m)
{
    ASSERT(m->kind == RAFT_MSG_PRE_VOTE);
    if (raft_election_sticky(g)) {
        return;
    }
    bool granted = m->term > g->term && !g->hard_lost && election_log_ok(g, m);
    struct raft_message reply = raft_message_to(g, RAFT_MSG_PRE_VOTE_REPLY, m->from);
    reply.code = granted ? 0 : ERR_CONFLICT;
    reply.term = granted ? m->term : g->term;
    raft_send(g, &reply, 0);
}

/* The term is the own one by now. */
void raft_on_vote(struct raft_group *g, const struct raft_message *m)
{
    ASSERT(m->kind == RAFT_MSG_VOTE);
    ASSERT(m->term <= g->term);
    bool granted = m->term == g->term && !g->hard_lost && g->role != RAFT_LEADER &&
                   (g->vote == RAFT_NODE_NONE || g->vote == m->from) && election_log_ok(g, m);
    if (granted) {
        if (g->vote != m->from) {
            g->vote = m->from;
            g->hard_dirty = true;
        }
        raft_election_reset(g);
    }
    struct raft_message reply = raft_message_to(g, RAFT_MSG_VOTE_REPLY, m->from);
    reply.code = granted ? 0 : ERR_CONFLICT;
    raft_send(g, &reply, 0);
}

void raft_on_vote_reply(struct raft_group *g, const struct raft_message *m)
{
    bool pre = m->kind == RAFT_MSG_PRE_VOTE_REPLY;
    enum raft_role role = pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE;
    uint64_t term = pre ? g->term + 1 : g->term;
    int voter = raft_voter_of(g, m->from);
    ASSERT(voter >= 0);
    if (g->role != role || m->code != 0 || m->term != term) {
        return;
    }
    g->granted |= 1u << (unsigned)voter;
    ASSERT((g->granted >> g->voters_count) == 0);
    raft_election_tally(g);
}
