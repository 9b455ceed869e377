/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Follower: takes the leader's entries. Only an entry of another term at the same place cuts; an
 * older or empty message never does (scenarios 22, 25). What would cut below commit_index fences
 * the replica (scenario 26). An acknowledgement names what will be durable and intact when it
 * leaves: it waits for the PERSIST before it, and stops before the first damaged entry, which it
 * asks for again.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

#define FOLLOW_FILLS_MAX 8u /* runs of damaged entries repaired by one message */

/* returns: what a heartbeat may acknowledge. */
uint64_t raft_match_durable(const struct raft_group *g)
{
    ASSERT(g->log.durable_index <= g->log.last_index);
    return NUM_MIN(g->matched_index, g->log.durable_index);
}

void raft_reply_match(struct raft_group *g, uint32_t to, uint64_t match, uint64_t ctx)
{
    ASSERT(match <= g->log.last_index);
    struct raft_message reply = raft_message_to(g, RAFT_MSG_APPEND_REPLY, to);
    uint64_t held = NUM_MAX(g->log.durable_index, g->log.base_index);
    uint64_t intact = match <= held ? match : raft_log_intact(&g->log, held + 1, match);
    reply.index = intact;
    reply.hint = intact < match ? intact + 1 : 0;
    reply.ctx = ctx;
    raft_send(g, &reply, g->last_seq);
}

static void follow_refuse(struct raft_group *g, const struct raft_message *m, uint64_t from,
                          int code)
{
    struct raft_message reply = raft_message_to(g, RAFT_MSG_APPEND_REPLY, m->from);
    ASSERT(code != 0);
    uint64_t meet = raft_log_not_above(&g->log, from, m->index_term);
    if (meet < g->commit_index && raft_log_term(&g->log, g->commit_index) != 0) {
        meet = g->commit_index;
    }
    reply.code = code;
    reply.index = m->index;
    reply.hint = meet;
    reply.hint_term = raft_log_term(&g->log, meet);
    reply.ctx = m->ctx;
    ASSERT(meet >= g->log.base_index);
    raft_send(g, &reply, 0);
}

static bool follow_entries_ok(const struct raft_message *m)
{
    uint64_t end = 0;
    uint64_t term = m->index_term;
    if (!num_add_u64(m->index, (uint64_t)m->count + 1, &end) || term > m->term ||
        (m->index == 0) != (term == 0)) {
        return false;
    }
    for (uint32_t i = 0; i < m->count; i++) {
        const struct raft_entry *e = &m->entries[i];
        if (e->term == 0 || e->term < term || e->term > m->term || e->type == 0) {
            return false;
        }
        term = e->term;
    }
    ASSERT(end > m->index);
    return true;
}

/* Repairs the damaged entries of one run. returns: its length. */
static uint32_t follow_fill(struct raft_group *g, uint64_t index, const struct raft_entry *entries,
                            uint32_t count)
{
    uint32_t run = 0;
    while (run < count && raft_log_has(&g->log, index + run)) {
        const struct raft_entry *mine = &raft_log_slot(&g->log, index + run)->entry;
        if (mine->state != RAFT_ENTRY_FAULTY ||
            (mine->term != 0 && mine->term != entries[run].term)) {
            break;
        }
        raft_log_fill(&g->log, index + run, &entries[run]);
        run++;
    }
    if (run > 0) {
        raft_persist_entries(g, index, run, true);
    }
    ASSERT(run <= count);
    return run;
}

/* Goes over the entries that the log has at these places: fills damaged ones, stops at the first
 * that differs, which is cut with all after it. returns: how many need no appending. */
static uint32_t follow_known(struct raft_group *g, uint64_t first, const struct raft_entry *entries,
                             uint32_t count)
{
    uint32_t at = 0;
    unsigned fills = 0;
    while (at < count && raft_log_has(&g->log, first + at)) {
        const struct raft_entry *mine = &raft_log_slot(&g->log, first + at)->entry;
        bool same = mine->term == entries[at].term;
        if (mine->state == RAFT_ENTRY_FAULTY && (same || mine->term == 0) &&
            fills < FOLLOW_FILLS_MAX) {
            at += follow_fill(g, first + at, &entries[at], count - at);
            fills++;
            continue;
        }
        if (!same && mine->term != 0) {
            break;
        }
        at++;
    }
    ASSERT(at <= count);
    if (at == count || !raft_log_has(&g->log, first + at)) {
        return at;
    }
    if (first + at <= g->commit_index) {
        raft_fence(g);
        return count;
    }
    raft_log_cut(&g->log, first + at);
    g->matched_index = NUM_MIN(g->matched_index, g->log.last_index);
    ASSERT(g->log.last_index >= g->commit_index);
    return at;
}

static uint32_t follow_append(struct raft_group *g, const struct raft_entry *entries,
                              uint32_t count)
{
    uint32_t room = raft_log_room(&g->log);
    uint32_t taken = NUM_MIN(count, room);
    uint64_t first = g->log.last_index + 1;
    for (uint32_t i = 0; i < taken; i++) {
        struct raft_entry e = entries[i];
        e.state = RAFT_ENTRY_OK;
        raft_log_append(&g->log, &e);
    }
    if (taken > 0) {
        raft_persist_entries(g, first, taken, false);
    }
    ASSERT(g->log.last_index + 1 == first + taken);
    return taken;
}

/* The entries follow prev, where the logs are equal. */
static int follow_merge(struct raft_group *g, const struct raft_message *m, uint32_t skip)
{
    uint64_t prev = m->index + skip;
    uint32_t count = m->count - skip;
    const struct raft_entry *entries = count > 0 ? m->entries + skip : NULL;
    ASSERT(prev >= g->log.base_index);
    uint32_t done = follow_known(g, prev + 1, entries, count);
    if (g->fenced) {
        return ERR_CORRUPT;
    }
    if (done < count) {
        done += follow_append(g, entries + done, count - done);
    }
    if (done == 0 && count > 0) {
        follow_refuse(g, m, m->index, ERR_BUSY);
        return 0;
    }
    uint64_t match = prev + done;
    g->matched_index = NUM_MAX(g->matched_index, match);
    ASSERT(g->matched_index <= g->log.last_index);
    raft_commit_follower(g, NUM_MIN(m->commit, match));
    raft_recover_grown(g);
    raft_reply_match(g, m->from, match, m->ctx);
    return 0;
}

/* The message starts below the log: what is compacted was committed, so it is equal or somebody
 * is wrong (scenarios 27, 28). */
static int follow_below_base(struct raft_group *g, const struct raft_message *m)
{
    uint64_t below = g->log.base_index - m->index;
    ASSERT(below > 0);
    if (m->count < below) {
        g->matched_index = NUM_MAX(g->matched_index, g->log.base_index);
        raft_reply_match(g, m->from, g->log.base_index, m->ctx);
        return 0;
    }
    ASSERT(below <= UINT32_MAX);
    if (m->entries[below - 1].term != g->log.base_term) {
        raft_fence(g);
        return ERR_CORRUPT;
    }
    return follow_merge(g, m, (uint32_t)below);
}

int raft_on_append(struct raft_group *g, const struct raft_message *m)
{
    ASSERT(m->term == g->term);
    if (g->role == RAFT_LEADER || !follow_entries_ok(m)) {
        return ERR_PROTOCOL;
    }
    raft_heard(g, m->from);
    if (m->index < g->log.base_index) {
        return follow_below_base(g, m);
    }
    if (m->index > g->log.last_index) {
        follow_refuse(g, m, g->log.last_index, ERR_CONFLICT);
        return 0;
    }
    uint64_t mine = raft_log_term(&g->log, m->index);
    if (mine == m->index_term) {
        return follow_merge(g, m, 0);
    }
    if (mine != 0 && m->index <= g->commit_index) {
        raft_fence(g);
        return ERR_CORRUPT;
    }
    ASSERT(m->index > 0);
    follow_refuse(g, m, m->index - 1, ERR_CONFLICT);
    return 0;
}
