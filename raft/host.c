/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Host: events in, actions out. An event changes groups and marks them; the flush at its end lets
 * each marked group send, apply and answer what it now can. When the queue of actions is nearly
 * full the flush stops and raft_poll goes on with it, so that nothing but messages is ever
 * dropped and no queue grows.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

struct raft_group *raft_host_find(const struct raft_host *h, uint32_t group)
{
    uint64_t at = hash_mix(group) & (h->table_cap - 1);
    for (uint32_t probes = 0; probes < h->table_cap && h->table[at] != 0; probes++) {
        ASSERT(h->table[at] <= h->options.groups_max);
        struct raft_group *g = &h->groups[h->table[at] - 1];
        if (g->id == group) {
            return g;
        }
        at = (at + 1) & (h->table_cap - 1);
    }
    return NULL;
}

bool raft_host_full(const struct raft_host *h)
{
    ASSERT(h->actions_count <= h->actions_cap);
    return h->actions_cap - h->actions_count <= h->actions_kept;
}

struct raft_action *raft_action_push(struct raft_host *h, enum raft_action_kind kind,
                                     uint32_t group)
{
    ASSERT(h->actions_count < h->actions_cap);
    uint32_t at = (h->actions_first + h->actions_count) & (h->actions_cap - 1);
    h->actions_count++;
    h->actions[at] = (struct raft_action){.kind = kind, .group = group};
    return &h->actions[at];
}

void raft_dirty(struct raft_group *g)
{
    struct raft_host *h = g->host;
    if (g->dirty) {
        return;
    }
    ASSERT(h->dirty_count < h->groups_count);
    g->dirty = true;
    uint32_t at = (h->dirty_first + h->dirty_count) % h->options.groups_max;
    h->dirty[at] = (uint32_t)(g - h->groups);
    h->dirty_count++;
}

/* timer_us is a lower bound: a timer that moves later leaves it, and the next scan finds out. */
void raft_timer(struct raft_group *g, uint64_t at_us)
{
    g->host->timer_us = NUM_MIN(g->host->timer_us, at_us);
    ASSERT(g->host->timer_us <= at_us);
}

/* The replica stops: what it holds contradicts what was committed. */
void raft_fence(struct raft_group *g)
{
    ASSERT(g->started);
    if (g->fenced) {
        return;
    }
    raft_follow(g, g->term, RAFT_NODE_NONE);
    raft_read_fail_all(g, ERR_FENCED);
    g->fenced = true;
    raft_dirty(g);
}

int raft_voter_of(const struct raft_group *g, uint32_t node)
{
    ASSERT(g->voters_count <= RAFT_VOTERS_MAX);
    for (unsigned i = 0; i < g->voters_count; i++) {
        if (g->voters[i] == node) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- flush --------------------------------------------------------------------------------------
 */

static void host_tell_role(struct raft_group *g)
{
    if (g->told_role == g->role && g->told_term == g->term && g->told_leader == g->leader) {
        return;
    }
    ASSERT(g->role != RAFT_LEADER || g->leader == g->host->options.node);
    struct raft_action *a = raft_action_push(g->host, RAFT_ROLE, g->id);
    a->role = g->role;
    a->term = g->term;
    a->peer = g->leader;
    g->told_role = g->role;
    g->told_term = g->term;
    g->told_leader = g->leader;
}

static void host_flush_group(struct raft_group *g)
{
    ASSERT(g->started);
    raft_persist_hard(g);
    host_tell_role(g);
    if (g->fenced) {
        if (!g->fence_told) {
            raft_action_push(g->host, RAFT_FENCED, g->id);
            g->fence_told = true;
        }
        raft_read_flush(g);
        return;
    }
    if (g->role == RAFT_LEADER) {
        raft_replicate(g);
    }
    raft_commit_apply(g);
    raft_read_flush(g);
    if (g->beat_wanted) {
        raft_beat_group(g);
    }
}

void raft_host_flush(struct raft_host *h)
{
    uint32_t rounds = h->dirty_count;
    ASSERT(rounds <= h->groups_count);
    for (uint32_t i = 0; i < rounds && !raft_host_full(h); i++) {
        struct raft_group *g = &h->groups[h->dirty[h->dirty_first]];
        h->dirty_first = (h->dirty_first + 1) % h->options.groups_max;
        h->dirty_count--;
        g->dirty = false;
        host_flush_group(g);
        if (raft_host_full(h)) {
            raft_dirty(g);
        }
    }
    raft_beat_seal(h);
}

/* ---- timers -------------------------------------------------------------------------------------
 */

static uint64_t host_group_due(const struct raft_group *g)
{
    if (!g->started || g->fenced) {
        return RAFT_NEVER;
    }
    uint64_t at_us = g->role == RAFT_LEADER ? RAFT_NEVER : g->election_us;
    at_us = NUM_MIN(at_us, g->recovery.ask_us);
    return NUM_MIN(at_us, g->reads.expire_us);
}

static void host_group_tick(struct raft_group *g)
{
    uint64_t now_us = g->host->now_us;
    ASSERT(g->started);
    if (g->recovery.ask_us <= now_us) {
        raft_recover_due(g);
    }
    if (g->reads.expire_us <= now_us) {
        raft_read_due(g);
    }
    if (g->role != RAFT_LEADER && g->election_us <= now_us) {
        raft_election_due(g);
    }
    raft_dirty(g);
}

static void host_tick(struct raft_host *h)
{
    if (h->leading > 0 && h->beat_us <= h->now_us) {
        raft_beat_due(h);
    }
    if (h->timer_us > h->now_us) {
        return;
    }
    uint64_t next_us = RAFT_NEVER;
    for (uint32_t i = 0; i < h->groups_count; i++) {
        struct raft_group *g = &h->groups[i];
        if (host_group_due(g) <= h->now_us) {
            host_group_tick(g);
        }
        ASSERT(host_group_due(g) > h->now_us);
        next_us = NUM_MIN(next_us, host_group_due(g));
    }
    h->timer_us = next_us;
}

uint64_t raft_deadline(const struct raft_host *h)
{
    ASSERT(h->leading <= h->groups_count);
    return h->leading > 0 ? NUM_MIN(h->timer_us, h->beat_us) : h->timer_us;
}

/* ---- events -------------------------------------------------------------------------------------
 */

/* Connections of peer were reset: its followers ask at once whether the others think so too. */
static void host_peer_down(struct raft_host *h, uint32_t peer)
{
    ASSERT(peer != h->options.node);
    for (uint32_t i = 0; i < h->groups_count; i++) {
        struct raft_group *g = &h->groups[i];
        if (g->leader != peer || g->fenced || h->options.leases) {
            continue;
        }
        g->leader_down = true;
        g->election_us = h->now_us + 1 + rng_below(&h->rng, h->options.heartbeat_us);
        raft_timer(g, g->election_us);
    }
}

/* Disk slow or failing: others go first. */
static void host_step_down(struct raft_group *g)
{
    uint64_t rest_us = 3 * g->host->options.election_us;
    g->stand_us = NUM_MAX(g->stand_us, g->host->now_us + rest_us);
    if (g->role != RAFT_FOLLOWER) {
        ASSERT(g->role != RAFT_LEADER || g->leader == g->host->options.node);
        raft_follow(g, g->term, RAFT_NODE_NONE);
    }
}

static int host_applied(struct raft_group *g, uint64_t index)
{
    if (index > g->apply_index) {
        return ERR_INVALID;
    }
    g->applied_index = NUM_MAX(g->applied_index, index);
    ASSERT(g->applied_index <= g->apply_index);
    return 0;
}

static int host_group_event(struct raft_group *g, const struct raft_event *ev)
{
    ASSERT(!g->fenced);
    switch (ev->kind) {
    case RAFT_PROPOSE: return raft_propose(g, ev->entries, ev->count);
    case RAFT_APPLIED: return host_applied(g, ev->index);
    case RAFT_READ: return ev->ctx == 0 ? ERR_INVALID : raft_read_ask(g, ev->ctx, RAFT_NODE_NONE);
    case RAFT_COMPACT: return raft_compact(g, ev->index);
    case RAFT_SNAPSHOT_DONE: return raft_snapshot_done(g, ev);
    case RAFT_SNAPSHOT_INSTALLED: return raft_snapshot_installed(g, ev);
    case RAFT_FAULTY: raft_recover_faulty(g, ev->index, ev->count); return 0;
    case RAFT_STEP_DOWN: host_step_down(g); return 0;
    default: return ERR_INVALID;
    }
}

static int host_event(struct raft_host *h, const struct raft_event *ev)
{
    switch (ev->kind) {
    case RAFT_TICK: host_tick(h); return 0;
    case RAFT_MESSAGE: return ev->message == NULL ? ERR_INVALID : raft_step_message(h, ev->message);
    case RAFT_DURABLE:
        if (ev->seq > h->seq) {
            return ERR_INVALID;
        }
        raft_persist_durable(h, ev->seq);
        return 0;
    case RAFT_PEER_UP: return 0;
    case RAFT_UNWELL: h->unwell = ev->code != 0; return 0;
    case RAFT_PEER_DOWN:
        if (ev->peer != h->options.node) {
            host_peer_down(h, ev->peer);
        }
        return 0;
    default: break;
    }
    struct raft_group *g = raft_host_find(h, ev->group);
    if (g == NULL || !g->started) {
        return ERR_NOT_FOUND;
    }
    if (g->fenced) {
        return ERR_CORRUPT;
    }
    raft_dirty(g);
    return host_group_event(g, ev);
}

int raft_step(struct raft_host *h, const struct raft_event *ev)
{
    ASSERT(ev != NULL);
    h->now_us = NUM_MAX(h->now_us, ev->now_us);
    raft_beat_clear(h);
    int err = host_event(h, ev);
    raft_host_flush(h);
    ASSERT(h->actions_count <= h->actions_cap);
    return err;
}

unsigned raft_poll(struct raft_host *h, struct raft_action *out, unsigned max)
{
    unsigned moved = 0;
    ASSERT(out != NULL || max == 0);
    while (moved < max) {
        if (h->actions_count == 0 && h->dirty_count > 0) {
            raft_host_flush(h);
        }
        if (h->actions_count == 0) {
            break;
        }
        out[moved++] = h->actions[h->actions_first];
        h->actions_first = (h->actions_first + 1) & (h->actions_cap - 1);
        h->actions_count--;
    }
    return moved;
}
