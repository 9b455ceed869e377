/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Order of the disk: every PERSIST of the host takes the next sequence number, every SEND names
 * the one it waits for. Nothing that promises leaves this file without its number: changed hard
 * state is always persisted before the message that shows it.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

/* The PERSIST carries changed hard state along, whatever else it is for. The commit index is only
 * attached, never persisted for its own sake: after a restart it may lag (scenario 38). */
struct raft_action *raft_persist(struct raft_group *g)
{
    struct raft_host *h = g->host;
    struct raft_action *a = raft_action_push(h, RAFT_PERSIST, g->id);
    a->seq = ++h->seq;
    g->last_seq = a->seq;
    if (g->hard_dirty) {
        a->hard = true;
        a->hard_term = g->term;
        a->hard_vote = g->vote;
        a->hard_commit = g->commit_index;
        g->hard_dirty = false;
        g->hard_seq = a->seq;
    }
    if (!g->undurable) {
        g->undurable = true;
        h->undurable[h->undurable_count++] = (uint32_t)(g - h->groups);
    }
    ASSERT(h->undurable_count <= h->groups_count);
    ASSERT(a->seq > h->durable_seq);
    return a;
}

void raft_persist_entries(struct raft_group *g, uint64_t index, uint32_t count, bool fill)
{
    ASSERT(count > 0);
    ASSERT(raft_log_has(&g->log, index) && raft_log_has(&g->log, index + count - 1));
    struct raft_action *a = raft_persist(g);
    a->index = index;
    a->count = count;
    a->fill = fill;
    for (uint64_t i = index; i < index + count; i++) {
        raft_log_slot(&g->log, i)->seq = a->seq;
    }
}

void raft_persist_cut(struct raft_group *g, uint64_t from)
{
    ASSERT(from > g->log.base_index);
    raft_persist(g)->cut_from = from;
}

/* The log starts after its base. emptied: nothing of it is left. */
void raft_persist_base(struct raft_group *g, bool emptied)
{
    struct raft_action *a = raft_persist(g);
    ASSERT(g->log.base_index > 0);
    ASSERT(!emptied || g->log.last_index == g->log.base_index);
    a->base_index = g->log.base_index;
    a->base_term = g->log.base_term;
    a->cut_from = emptied ? g->log.base_index + 1 : 0;
}

void raft_persist_hard(struct raft_group *g)
{
    if (g->hard_dirty) {
        (void)raft_persist(g);
    }
    ASSERT(!g->hard_dirty);
}

/* One watermark for all groups: only those that wait are looked at. */
void raft_persist_durable(struct raft_host *h, uint64_t seq)
{
    ASSERT(seq <= h->seq);
    h->durable_seq = NUM_MAX(h->durable_seq, seq);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->undurable_count; i++) {
        struct raft_group *g = &h->groups[h->undurable[i]];
        if (raft_log_durable(&g->log, h->durable_seq)) {
            raft_commit_leader(g);
        }
        raft_election_tally(g);
        raft_dirty(g);
        g->undurable = g->last_seq > h->durable_seq;
        if (g->undurable) {
            h->undurable[kept++] = h->undurable[i];
        }
    }
    ASSERT(kept <= h->undurable_count);
    h->undurable_count = kept;
}

struct raft_message raft_message_to(const struct raft_group *g, enum raft_message_kind kind,
                                    uint32_t to)
{
    ASSERT(to != g->host->options.node);
    return (struct raft_message){
        .kind = kind,
        .group = g->id,
        .from = g->host->options.node,
        .to = to,
        .term = g->term,
    };
}

/* A message that finds no room is dropped: the network may lose any message. */
void raft_send(struct raft_group *g, const struct raft_message *m, uint64_t after_seq)
{
    struct raft_host *h = g->host;
    raft_persist_hard(g);
    if (raft_host_full(h)) {
        h->dropped++;
        return;
    }
    uint64_t after = NUM_MAX(after_seq, g->hard_seq);
    struct raft_action *a = raft_action_push(h, RAFT_SEND, g->id);
    a->peer = m->to;
    a->message = *m;
    a->after_seq = after > h->durable_seq ? after : 0;
    ASSERT(a->after_seq <= h->seq);
}
