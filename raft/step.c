/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One message: who may speak, what its term means, who handles it. A message of a node that is no
 * voter, or for a group or node that is not this one, changes no term; nor does a jump of the
 * term that no honest history can have made.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

bool raft_term_absurd(const struct raft_group *g, uint64_t term)
{
    ASSERT(g->started);
    return term > g->term && term - g->term > RAFT_TERM_JUMP_MAX;
}

static bool step_from_leader(enum raft_message_kind kind)
{
    return kind == RAFT_MSG_APPEND || kind == RAFT_MSG_SNAPSHOT;
}

/* A higher term. returns: whether the message is still to be handled. */
static bool step_higher(struct raft_group *g, const struct raft_message *m)
{
    ASSERT(m->term > g->term);
    switch (m->kind) {
    case RAFT_MSG_PRE_VOTE: return true;
    case RAFT_MSG_PRE_VOTE_REPLY:
        if (m->code == 0) {
            return true;
        }
        break;
    case RAFT_MSG_VOTE:
        if (raft_election_sticky(g)) {
            return false;
        }
        break;
    case RAFT_MSG_FETCH:
        if (raft_election_sticky(g)) {
            return true;
        }
        break;
    default: break;
    }
    raft_follow(g, m->term, step_from_leader(m->kind) ? m->from : RAFT_NODE_NONE);
    ASSERT(g->term == m->term);
    return true;
}

/* A lower term. returns: whether the message is still to be handled. A former leader learns the
 * new term from the refusal. */
static bool step_lower(struct raft_group *g, const struct raft_message *m)
{
    ASSERT(m->term < g->term);
    if (step_from_leader(m->kind)) {
        struct raft_message reply = raft_message_to(g, RAFT_MSG_APPEND_REPLY, m->from);
        reply.code = ERR_NOT_LEADER;
        raft_send(g, &reply, 0);
        return false;
    }
    return m->kind == RAFT_MSG_PRE_VOTE || m->kind == RAFT_MSG_VOTE || m->kind == RAFT_MSG_READ ||
           m->kind == RAFT_MSG_FETCH || m->kind == RAFT_MSG_FETCH_REPLY;
}

static int step_dispatch(struct raft_group *g, const struct raft_message *m)
{
    ASSERT(m->from != g->host->options.node);
    switch (m->kind) {
    case RAFT_MSG_PRE_VOTE: raft_on_pre_vote(g, m); return 0;
    case RAFT_MSG_VOTE: raft_on_vote(g, m); return 0;
    case RAFT_MSG_PRE_VOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY: raft_on_vote_reply(g, m); return 0;
    case RAFT_MSG_APPEND: return raft_on_append(g, m);
    case RAFT_MSG_APPEND_REPLY: return raft_on_append_reply(g, m);
    case RAFT_MSG_READ: raft_on_read(g, m); return 0;
    case RAFT_MSG_READ_REPLY: return raft_on_read_reply(g, m);
    case RAFT_MSG_SNAPSHOT: raft_on_snapshot(g, m); return 0;
    case RAFT_MSG_FETCH: raft_on_fetch(g, m); return 0;
    case RAFT_MSG_FETCH_REPLY: return raft_on_fetch_reply(g, m);
    default: return ERR_PROTOCOL;
    }
}

int raft_step_message(struct raft_host *h, const struct raft_message *m)
{
    ASSERT(m != NULL);
    if (m->to != h->options.node || m->from == h->options.node) {
        return ERR_PROTOCOL;
    }
    if (m->kind == RAFT_MSG_HEARTBEAT) {
        return raft_on_beats(h, m);
    }
    if (m->kind == RAFT_MSG_HEARTBEAT_REPLY) {
        return raft_on_beat_replies(h, m);
    }
    struct raft_group *g = raft_host_find(h, m->group);
    if (g == NULL || !g->started) {
        return ERR_NOT_FOUND;
    }
    if (g->fenced) {
        return ERR_CORRUPT;
    }
    if (raft_voter_of(g, m->from) < 0 || raft_term_absurd(g, m->term) ||
        (m->kind != RAFT_MSG_FETCH && m->count > 0 && m->entries == NULL)) {
        return ERR_PROTOCOL;
    }
    raft_dirty(g);
    if (m->term > g->term && !step_higher(g, m)) {
        return 0;
    }
    bool pre_vote = m->kind == RAFT_MSG_PRE_VOTE || m->kind == RAFT_MSG_PRE_VOTE_REPLY;
    if (m->term < g->term && !pre_vote && !step_lower(g, m)) {
        return 0;
    }
    ASSERT(!g->fenced);
    return step_dispatch(g, m);
}
