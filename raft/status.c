/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What can be seen of a group from outside, and the digest that traces compare.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

int raft_entry_get(const struct raft_host *h, uint32_t group, uint64_t index,
                   struct raft_entry *out)
{
    ASSERT(out != NULL);
    const struct raft_group *g = raft_host_find(h, group);
    if (g == NULL || !raft_log_has(&g->log, index)) {
        return ERR_NOT_FOUND;
    }
    *out = raft_log_slot(&g->log, index)->entry;
    return 0;
}

static void status_peers(const struct raft_group *g, struct raft_status *out)
{
    bool leader = g->role == RAFT_LEADER;
    ASSERT(g->voters_count <= RAFT_VOTERS_MAX);
    for (unsigned i = 0; i < g->voters_count; i++) {
        out->voters[i] = g->voters[i];
        if (i == g->self) {
            continue;
        }
        out->peers[out->peers_count++] = (struct raft_peer_status){
            .node = g->voters[i],
            .match_index = leader ? g->progress[i].match_index : 0,
            .acked_us = leader ? g->progress[i].acked_us : 0,
        };
    }
    ASSERT(out->peers_count + 1 == g->voters_count);
}

int raft_status_get(const struct raft_host *h, uint32_t group, uint64_t now_us,
                    struct raft_status *out)
{
    ASSERT(out != NULL);
    const struct raft_group *g = raft_host_find(h, group);
    if (g == NULL) {
        return ERR_NOT_FOUND;
    }
    *out = (struct raft_status){
        .role = g->role,
        .term = g->term,
        .leader = g->leader,
        .vote = g->vote,
        .base_index = g->log.base_index,
        .base_term = g->log.base_term,
        .last_index = g->log.last_index,
        .durable_index = g->log.durable_index,
        .commit_index = g->commit_index,
        .applied_index = g->applied_index,
        .log_time_us = raft_time_now(g),
        .faulty_count = g->log.faulty_count,
        .ambiguous = g->recovery.ambiguous || g->recovery.floored,
        .fenced = g->fenced,
        .leading = g->role == RAFT_LEADER && g->commit_index >= g->noop_index,
        .quorum_us = g->role != RAFT_LEADER ? 0 : g->quorum_us,
        .voters_count = g->voters_count,
    };
    if (g->role == RAFT_LEADER && g->voters_count == 1) {
        out->quorum_us = NUM_MAX(now_us, h->now_us);
    }
    if (g->role == RAFT_LEADER && now_us > h->now_us) {
        out->log_time_us += now_us - h->now_us;
    }
    status_peers(g, out);
    ASSERT(out->commit_index <= out->last_index);
    return 0;
}

/* ---- digest -------------------------------------------------------------------------------------
 */

static uint64_t digest_more(uint64_t digest, uint64_t v)
{
    return hash_mix(digest ^ v) + 0x9e3779b97f4a7c15ull;
}

static uint64_t digest_log(uint64_t d, const struct raft_log *log)
{
    ASSERT(log->last_index >= log->base_index);
    d = digest_more(d, log->base_index);
    d = digest_more(d, log->base_term);
    d = digest_more(d, log->last_index);
    d = digest_more(d, log->durable_index);
    d = digest_more(d, log->held_index);
    d = digest_more(d, log->faulty_first);
    for (uint64_t i = log->base_index + 1; i <= log->last_index; i++) {
        const struct raft_slot *slot = raft_log_slot(log, i);
        d = digest_more(d, slot->entry.term);
        d = digest_more(d, slot->entry.time_us);
        d = digest_more(d, slot->entry.bytes);
        d = digest_more(d, ((uint64_t)slot->entry.type << 8) | (uint64_t)slot->entry.state);
        d = digest_more(d, slot->seq);
    }
    return d;
}

static uint64_t digest_progress(uint64_t d, const struct raft_progress *p)
{
    d = digest_more(d, (uint64_t)p->state << 1 | (uint64_t)p->paused);
    d = digest_more(d, p->match_index);
    d = digest_more(d, p->next_index);
    d = digest_more(d, p->round_acked);
    d = digest_more(d, p->acked_us);
    d = digest_more(d, p->snapshot_id);
    d = digest_more(d, p->inflight_count);
    return digest_more(d, p->inflight_bytes);
}

static uint64_t digest_reads(uint64_t d, const struct raft_reads *r)
{
    ASSERT(r->count <= r->cap);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct raft_read *read = &r->ring[(r->first + i) % r->cap];
        d = digest_more(d, read->ctx);
        d = digest_more(d, read->round);
        d = digest_more(d, read->index);
    }
    d = digest_more(d, r->sent);
    return digest_more(d, r->sent_ctx);
}

static uint64_t digest_recovery(uint64_t d, const struct raft_recovery *r)
{
    d = digest_more(d, (uint64_t)r->ambiguous << 1 | (uint64_t)r->floored);
    d = digest_more(d, r->lost_term);
    d = digest_more(d, r->floor_term);
    d = digest_more(d, r->floor_index);
    d = digest_more(d, r->ask_us);
    d = digest_more(d, (uint64_t)r->answered << 32 | r->definite);
    return digest_more(d, r->lacking);
}

uint64_t raft_digest(const struct raft_host *h, uint32_t group)
{
    const struct raft_group *g = raft_host_find(h, group);
    if (g == NULL) {
        return 0;
    }
    ASSERT(g->host == h);
    uint64_t d = digest_more(0, g->id);
    d = digest_more(d, g->term);
    d = digest_more(d, (uint64_t)g->role << 32 | g->vote);
    d = digest_more(d, (uint64_t)g->leader << 4 | (uint64_t)g->fenced << 3 |
                           (uint64_t)g->hard_lost << 2 | (uint64_t)g->leader_down << 1);
    d = digest_more(d, g->commit_index);
    d = digest_more(d, g->apply_index);
    d = digest_more(d, g->applied_index);
    d = digest_more(d, g->matched_index);
    d = digest_more(d, g->hard_seq);
    d = digest_more(d, g->last_seq);
    d = digest_more(d, g->heard_us);
    d = digest_more(d, g->election_us);
    d = digest_more(d, g->granted);
    d = digest_log(d, &g->log);
    for (unsigned i = 0; g->role == RAFT_LEADER && i < g->voters_count; i++) {
        d = digest_progress(d, &g->progress[i]);
    }
    d = digest_reads(d, &g->reads);
    d = digest_recovery(d, &g->recovery);
    d = digest_more(d, h->seq);
    return digest_more(d, h->durable_seq);
}
