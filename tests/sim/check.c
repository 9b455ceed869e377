/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The invariants, checked after every event at the node that had it (Ongaro and Ousterhout,
 * figure 3): one leader a term; logs that match where they are committed; a leader that has all
 * that is committed; one state an index. And: what a frame promises is on the sender's disk.
 */
#include "base/num.h"
#include "raft/raft.h"
#include "server/node/node_internal.h"
#include "server/node/objects_internal.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define SIM_TERMS 4096u  /* leaders remembered, by term */
#define SIM_STATES 8192u /* digests remembered, by index */

struct sim_state {
    uint64_t index;
    struct hash_digest digest;
    uint32_t node;
};

struct sim_leader {
    uint64_t term;
    uint32_t node;
};

struct sim_reached { /* the newest entry that was committed in a term */
    uint64_t term;
    uint64_t index;
};

struct sim_group {
    uint64_t *terms; /* term of each committed entry, by index */
    uint64_t terms_cap;
    uint64_t committed;
    struct sim_state states[SIM_STATES];
    struct sim_leader leaders[SIM_TERMS];
    struct sim_reached reached[SIM_TERMS];
};

struct sim_seen { /* what one node had shown when it was last looked at */
    uint64_t commit;
    uint64_t applied;
    uint64_t term;
    bool leader;
};

struct sim_check {
    uint64_t acked[SIM_NODES_MAX + 1]
                  [SIM_GROUPS_MAX + 1]; /* newest entry acknowledged to a leader */
    struct sim_group groups[SIM_GROUPS_MAX + 1];
    struct sim_seen seen[SIM_NODES_MAX + 1][SIM_GROUPS_MAX + 1];
    struct raft_entry entries[4096];
    struct raft_heartbeat heartbeats[4096];
};

void sim_check_init(struct sim *s)
{
    s->check = calloc(1, sizeof(*s->check));
    ASSERT(s->check != NULL);
}

void sim_check_release(struct sim *s)
{
    for (unsigned g = 0; g <= SIM_GROUPS_MAX; g++) {
        free(s->check->groups[g].terms);
    }
    free(s->check);
    s->check = NULL;
}

void sim_check_synced(struct sim *s, struct sim_node *n)
{
    for (uint32_t g = 0; g <= s->options.groups; g++) {
        struct store_wal_group disk;
        n->log_before[g] = n->log_last[g];
        if (store_wal_group_get(n->wal, g, &disk) == 0) {
            n->log_last[g] = NUM_MAX(disk.last_index, disk.base_index);
            /* cut by a later leader: no longer vouched for */
            uint64_t *acked = &s->check->acked[n->id][g];
            *acked = NUM_MIN(*acked, n->log_last[g]);
        }
    }
}

/* A log that was damaged or lost its end may say so, but never deny what is committed and was
 * acknowledged from here: a cut there is silent loss. Unclear is only what its last batch held; and
 * where it was damaged in two places, what a batch held that the next one no more tells of. */
void sim_check_restarted(struct sim *s, struct sim_node *n)
{
    memset(s->check->seen[n->id], 0, sizeof(s->check->seen[n->id]));
    sim_eventual_restarted(s, n);
    for (uint32_t g = 0; g <= s->options.groups; g++) {
        struct store_wal_group disk;
        uint64_t kept = NUM_MIN(s->check->acked[n->id][g], s->check->groups[g].committed);
        if (kept == 0) {
            continue;
        }
        bool known = store_wal_group_get(n->wal, g, &disk) == 0;
        if (known && disk.tail_ambiguous) {
            kept = n->log_rots > 1 ? 0 : NUM_MIN(kept, n->log_before[g]);
        }
        if (!known || NUM_MAX(disk.last_index, disk.base_index) < kept) {
            sim_fail(s, "silent-cut", "group %u node %u: entry %llu was acknowledged and is gone",
                     g, n->id, (unsigned long long)kept);
        }
    }
}

/* The newest entry committed before the term began: one may still win an earlier term, with votes
 * that were long under way, after a later leader has committed. */
static uint64_t sim_committed_before(const struct sim_group *g, uint64_t term)
{
    uint64_t index = 0;
    for (unsigned i = 0; i < SIM_TERMS; i++) {
        if (g->reached[i].term < term) {
            index = NUM_MAX(index, g->reached[i].index);
        }
    }
    return index;
}

static void sim_check_leader(struct sim *s, struct sim_node *n, const struct node_group_view *v)
{
    struct sim_group *g = &s->check->groups[v->group];
    struct sim_leader *l = &g->leaders[v->term % SIM_TERMS];
    uint64_t term = 0;
    if (l->term == v->term && l->node != n->id) {
        sim_fail(s, "election-safety", "group %u term %llu is led by node %u and node %u", v->group,
                 (unsigned long long)v->term, l->node, n->id);
    }
    if (l->term == v->term) {
        return;
    }
    l->term = v->term;
    l->node = n->id;
    sim_duel_led(s, n, v->group);
    /* leader completeness: it holds the newest committed entry, hence (log matching) all */
    uint64_t index = sim_committed_before(g, v->term);
    if (index > v->base_index && (node_entry_view(n->node, v->group, index, &term) != 0 ||
                                  (term != 0 && term != g->terms[index]))) {
        sim_fail(s, "leader-completeness", "group %u term %llu: node %u leads without entry %llu",
                 v->group, (unsigned long long)v->term, n->id, (unsigned long long)index);
    }
}

static void sim_check_commit(struct sim *s, struct sim_node *n, const struct node_group_view *v,
                             uint64_t from)
{
    struct sim_group *g = &s->check->groups[v->group];
    if (v->commit_index >= g->terms_cap) {
        uint64_t cap = NUM_MAX(1024, v->commit_index * 2);
        g->terms = realloc(g->terms, cap * sizeof(*g->terms));
        ASSERT(g->terms != NULL);
        memset(g->terms + g->terms_cap, 0, (cap - g->terms_cap) * sizeof(*g->terms));
        g->terms_cap = cap;
    }
    for (uint64_t i = NUM_MAX(from, v->base_index) + 1; i <= v->commit_index; i++) {
        uint64_t term = 0;
        if (node_entry_view(n->node, v->group, i, &term) != 0) {
            sim_fail(s, "log", "group %u node %u: committed entry %llu is not in the log", v->group,
                     n->id, (unsigned long long)i);
            return;
        }
        if (term == 0) {
            continue; /* damaged on disk, header and all: to be fetched */
        }
        if (g->terms[i] == 0) {
            g->terms[i] = term;
        } else if (g->terms[i] != term) {
            sim_fail(s, "log-matching",
                     "group %u entry %llu: term %llu here at node %u, %llu before", v->group,
                     (unsigned long long)i, (unsigned long long)term, n->id,
                     (unsigned long long)g->terms[i]);
        }
    }
    if (v->commit_index > g->committed) {
        struct sim_reached *reached = &g->reached[v->term % SIM_TERMS];
        *reached = (struct sim_reached){.term = v->term, .index = v->commit_index};
        g->committed = v->commit_index;
    }
}

static void sim_check_state(struct sim *s, struct sim_node *n, const struct node_group_view *v)
{
    struct sim_state *st = &s->check->groups[v->group].states[v->applied_index % SIM_STATES];
    if (st->index == v->applied_index && st->node != 0) {
        if (st->digest.low != v->digest.low || st->digest.high != v->digest.high) {
            sim_fail(s, "state-machine-safety",
                     "group %u at index %llu: node %u and node %u have different states", v->group,
                     (unsigned long long)v->applied_index, st->node, n->id);
        }
        return;
    }
    if (v->applied_index > st->index || st->node == 0) {
        *st = (struct sim_state){v->applied_index, v->digest, n->id};
    }
}

void sim_check_node(struct sim *s, struct sim_node *n)
{
    unsigned count = node_groups(n->node);
    for (unsigned i = 0; i < count; i++) {
        struct node_group_view v;
        node_group_view_get(n->node, i, &v);
        struct sim_seen *seen = &s->check->seen[n->id][v.group];
        if (v.fenced) {
            sim_fail(s, "fenced", "group %u at node %u is fenced", v.group, n->id);
        }
        if (v.commit_index < seen->commit || v.applied_index < seen->applied ||
            v.term < seen->term) {
            sim_fail(s, "monotonic", "group %u node %u: commit, applied or term fell", v.group,
                     n->id);
        }
        if (v.applied_index > v.commit_index) {
            sim_fail(s, "apply", "group %u node %u: applied %llu above commit %llu", v.group, n->id,
                     (unsigned long long)v.applied_index, (unsigned long long)v.commit_index);
        }
        if (v.is_leader && (!seen->leader || seen->term != v.term)) {
            sim_check_leader(s, n, &v);
        }
        if (v.commit_index > seen->commit) {
            sim_check_commit(s, n, &v, seen->commit);
        }
        if (v.applied_index > seen->applied) {
            sim_check_state(s, n, &v);
        }
        *seen = (struct sim_seen){v.commit_index, v.applied_index, v.term, v.is_leader};
    }
    sim_eventual_node(s, n);
}

void sim_check_frame(struct sim *s, struct sim_node *n, uint16_t frame_kind, struct bytes body)
{
    struct raft_message m;
    struct bytes payloads;
    struct store_wal_group disk;
    if (frame_kind != NODE_FRAME_RAFT) {
        return;
    }
    if (raft_message_decode(body, &m, s->check->entries, s->check->heartbeats, 4096, &payloads) !=
        0) {
        sim_fail(s, "frame", "node %u sends a raft message that does not decode", n->id);
        return;
    }
    bool promise =
        (m.kind == RAFT_MSG_VOTE_REPLY || m.kind == RAFT_MSG_APPEND_REPLY) && m.code == 0;
    if (!promise) {
        return;
    }
    if (store_wal_group_get(n->wal, m.group, &disk) != 0 || disk.term < m.term) {
        sim_fail(s, "durable-before-sent", "group %u node %u answers in term %llu, not on disk",
                 m.group, n->id, (unsigned long long)m.term);
        return;
    }
    if (m.kind == RAFT_MSG_VOTE_REPLY && disk.term == m.term && disk.vote != m.to) {
        sim_fail(s, "durable-before-sent", "group %u node %u: its vote for %u is not on disk",
                 m.group, n->id, m.to);
    }
    if (disk.term > m.term) {
        return; /* a later leader's cut went to disk with it: what it says held at that term */
    }
    if (m.kind == RAFT_MSG_APPEND_REPLY) {
        uint64_t *acked = &s->check->acked[n->id][m.group];
        *acked = NUM_MAX(*acked, m.index);
    }
    if (m.kind == RAFT_MSG_APPEND_REPLY && m.index > NUM_MAX(disk.last_index, disk.base_index)) {
        sim_fail(s, "durable-before-sent", "group %u node %u acknowledges %llu, disk ends at %llu",
                 m.group, n->id, (unsigned long long)m.index,
                 (unsigned long long)NUM_MAX(disk.last_index, disk.base_index));
    }
}

bool sim_check_converged(struct sim *s)
{
    uint64_t applied[SIM_GROUPS_MAX + 1] = {0};
    uint64_t last[SIM_GROUPS_MAX + 1] = {0};
    bool led[SIM_GROUPS_MAX + 1] = {false};
    for (unsigned id = 1; id <= s->options.nodes; id++) {
        struct sim_node *n = &s->nodes[id];
        if (!n->up) {
            return false;
        }
        for (unsigned i = 0; i < node_groups(n->node); i++) {
            struct node_group_view v;
            node_group_view_get(n->node, i, &v);
            led[v.group] = led[v.group] || v.is_leader;
            if (v.last_index != v.applied_index ||
                (applied[v.group] != 0 &&
                 (applied[v.group] != v.applied_index || last[v.group] != v.last_index))) {
                return false;
            }
            applied[v.group] = v.applied_index;
            last[v.group] = v.last_index;
        }
    }
    for (unsigned g = 0; g <= s->options.groups; g++) {
        if (!led[g]) {
            return false;
        }
    }
    return true;
}

void sim_check_finish(struct sim *s)
{
    for (unsigned id = 1; id <= s->options.nodes && !s->failed; id++) {
        struct sim_node *n = &s->nodes[id];
        const struct node_objects_counters *c = &node_objects_get(n->node)->counters;
        if (c->digests_wrong > 0) { /* tables do not rot here */
            sim_fail(s, "digest", "node %u found its state to differ from its digest", id);
        }
        if (c->codings_wrong > 0) { /* nor do kernels err: what is mended is not to hide it */
            sim_fail(s, "coding", "node %u had to code %llu times again", id,
                     (unsigned long long)c->codings_wrong);
        }
        if (c->fingers_wrong > 0) {
            sim_fail(s, "cells", "node %u found wrong fingerprints in a record", id);
        }
        if (c->cells_wrong > 0) { /* and no checksum is right where the bytes are not */
            sim_fail(s, "cells", "node %u found %llu wrong cells with right checksums", id,
                     (unsigned long long)c->cells_wrong);
        }
        for (unsigned i = 0; i < node_groups(n->node); i++) {
            struct node_group_view v;
            struct hash_digest d = {0};
            node_group_view_get(n->node, i, &v);
            int code = node_state_digest(n->node, v.group, &n->env, &d);
            if (code != 0 || d.low != v.digest.low || d.high != v.digest.high) {
                sim_fail(s, "digest", "group %u node %u: the records do not sum to the digest (%s)",
                         v.group, id, err_name(code));
            }
        }
    }
}
