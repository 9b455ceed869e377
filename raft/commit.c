/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Commit rule: decides which entries are safe. Nothing else moves commit_index.
 *
 * A leader commits an entry of its own term once a quorum has it durable, and with it all before
 * (Ongaro and Ousterhout 2014, 5.4.2 and figure 8: entries of earlier terms are never committed
 * by counting). Its own copy counts up to durable_index only. A follower takes the leader's word
 * up to where its log is known to be equal. The value never falls.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

static void commit_set(struct raft_group *g, uint64_t index)
{
    ASSERT(index >= g->commit_index);
    ASSERT(index <= g->log.last_index);
    g->commit_index = index;
    raft_dirty(g);
}

/* returns: the value that a quorum has reached. values: one a voter; sorted by this. */
uint64_t raft_commit_quorum(const struct raft_group *g, uint64_t *values)
{
    for (unsigned i = 1; i < g->voters_count; i++) {
        for (unsigned j = i; j > 0 && values[j - 1] < values[j]; j--) {
            uint64_t v = values[j];
            values[j] = values[j - 1];
            values[j - 1] = v;
        }
    }
    ASSERT(raft_quorum(g) <= g->voters_count);
    ASSERT(values[0] >= values[g->voters_count - 1]);
    return values[raft_quorum(g) - 1];
}

/* At start: what was known to be committed, as far as the log reaches (scenario 38). */
void raft_commit_init(struct raft_group *g, uint64_t index)
{
    ASSERT(!g->started);
    ASSERT(g->commit_index == 0);
    commit_set(g, NUM_MAX(g->log.base_index, NUM_MIN(index, g->log.last_index)));
}

void raft_commit_leader(struct raft_group *g)
{
    if (g->role != RAFT_LEADER || g->fenced) {
        return;
    }
    uint64_t values[RAFT_VOTERS_MAX];
    for (unsigned i = 0; i < g->voters_count; i++) {
        values[i] = i == g->self ? g->log.durable_index : g->progress[i].match_index;
        ASSERT(values[i] <= g->log.last_index);
    }
    uint64_t index = raft_commit_quorum(g, values);
    if (index <= g->commit_index || index < g->noop_index) {
        return;
    }
    ASSERT(raft_log_term(&g->log, index) == g->term);
    for (uint64_t i = g->commit_index + 1; i <= index; i++) {
        uint64_t bytes = raft_log_slot(&g->log, i)->entry.bytes;
        g->uncommitted_bytes -= NUM_MIN(bytes, g->uncommitted_bytes);
    }
    commit_set(g, index);
}

void raft_commit_follower(struct raft_group *g, uint64_t index)
{
    ASSERT(g->role != RAFT_LEADER);
    uint64_t known = NUM_MIN(index, g->matched_index);
    if (known > g->commit_index) {
        ASSERT(known <= g->log.last_index);
        commit_set(g, known);
    }
}

/* The state machine is a snapshot at index: all up to it was committed. */
void raft_commit_snapshot(struct raft_group *g, uint64_t index)
{
    ASSERT(index <= g->log.last_index);
    if (index > g->commit_index) {
        commit_set(g, index);
    }
    ASSERT(g->commit_index >= index);
}

/* Hands over what is committed and durable here. */
void raft_commit_apply(struct raft_group *g)
{
    uint64_t end = NUM_MIN(g->commit_index, g->log.durable_index);
    if (end <= g->apply_index || raft_host_full(g->host)) {
        return;
    }
    ASSERT(g->apply_index >= g->log.base_index);
    ASSERT(end - g->apply_index <= g->log.cap);
    struct raft_action *a = raft_action_push(g->host, RAFT_APPLY, g->id);
    a->index = g->apply_index + 1;
    a->count = (uint32_t)(end - g->apply_index);
    g->apply_index = end;
}
