/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Start: options, all memory there will ever be, groups and what they had on disk. After
 * raft_group_start nothing is allocated.
 */
#include "base/err.h"
#include "raft/raft_internal.h"

#define SETUP_POWER_MAX (1u << 30)

struct raft_options raft_options_default(uint32_t node, uint64_t seed)
{
    return (struct raft_options){
        .node = node,
        .seed = seed,
        .heartbeat_us = 100000,
        .election_us = 1000000,
        .groups_max = 16,
        .peers_max = 31,
        .entries_max = 16384,
        .inflight_messages_max = 64,
        .inflight_bytes_max = 16u << 20,
        .message_bytes_max = 1u << 20,
        .message_entries_max = 1024,
        .uncommitted_bytes_max = 64u << 20,
        .reads_max = 4096,
        .actions_max = 1024,
    };
}

static uint32_t setup_power_over(uint64_t least)
{
    uint32_t power = 16;
    while (power < least && power < SETUP_POWER_MAX) {
        power *= 2;
    }
    return power;
}

static bool setup_options_ok(const struct raft_options *o)
{
    return o->node != RAFT_NODE_NONE && o->heartbeat_us > 0 &&
           o->election_us >= 2 * o->heartbeat_us && o->groups_max > 0 && o->groups_max <= 65536 &&
           o->peers_max <= 65536 && num_is_pow2(o->entries_max) &&
           o->entries_max > 2 * RAFT_ROOM_KEPT && o->entries_max <= SETUP_POWER_MAX &&
           o->inflight_messages_max > 0 && o->inflight_bytes_max > 0 && o->message_bytes_max > 0 &&
           o->message_entries_max > 0 && o->uncommitted_bytes_max > 0 && o->reads_max > 0;
}

static int setup_host_memory(struct raft_host *h)
{
    const struct raft_options *o = &h->options;
    const struct alloc *a = &h->alloc;
    h->actions_kept = RAFT_ACTIONS_KEPT * o->groups_max + 2 * (o->peers_max + 1) + 16;
    h->actions_cap = setup_power_over(2 * (uint64_t)h->actions_kept + o->actions_max);
    h->table_cap = setup_power_over(2 * (uint64_t)o->groups_max);
    h->groups = alloc_get_zeroed(a, o->groups_max, sizeof(*h->groups));
    h->table = alloc_get_zeroed(a, h->table_cap, sizeof(*h->table));
    h->dirty = alloc_get_zeroed(a, o->groups_max, sizeof(*h->dirty));
    h->undurable = alloc_get_zeroed(a, o->groups_max, sizeof(*h->undurable));
    h->peers = alloc_get_zeroed(a, o->peers_max + 1u, sizeof(*h->peers));
    h->actions = alloc_get(a, (size_t)h->actions_cap * sizeof(*h->actions));
    if (h->groups == NULL || h->table == NULL || h->dirty == NULL || h->undurable == NULL ||
        h->peers == NULL || h->actions == NULL) {
        return ERR_NO_MEMORY;
    }
    return 0;
}

int raft_host_new(struct raft_host **out, const struct raft_options *options,
                  const struct alloc *alloc)
{
    ASSERT(out != NULL);
    ASSERT(options != NULL);
    if (!setup_options_ok(options)) {
        return ERR_INVALID;
    }
    struct raft_host *h = alloc_get_zeroed(alloc, 1, sizeof(*h));
    if (h == NULL) {
        return ERR_NO_MEMORY;
    }
    h->options = *options;
    h->alloc = *alloc;
    h->timer_us = RAFT_NEVER;
    h->beat_us = RAFT_NEVER;
    rng_init(&h->rng, hash_mix(options->seed) ^ options->node);
    int err = setup_host_memory(h);
    if (err != 0) {
        raft_host_free(h);
        return err;
    }
    *out = h;
    return 0;
}

static void setup_group_release(struct raft_host *h, struct raft_group *g)
{
    size_t window = (size_t)h->options.inflight_messages_max * sizeof(struct raft_inflight);
    for (unsigned i = 0; i < g->voters_count; i++) {
        alloc_put(&h->alloc, g->progress[i].inflight, window);
    }
    if (g->log.ring != NULL) {
        raft_log_release(&g->log, &h->alloc);
    }
    alloc_put(&h->alloc, g->reads.ring, (size_t)g->reads.cap * sizeof(*g->reads.ring));
    *g = (struct raft_group){0};
}

void raft_host_free(struct raft_host *h)
{
    if (h == NULL) {
        return;
    }
    const struct raft_options *o = &h->options;
    struct alloc a = h->alloc;
    ASSERT(h->groups_count <= o->groups_max);
    for (uint32_t i = 0; h->groups != NULL && i < h->groups_count; i++) {
        setup_group_release(h, &h->groups[i]);
    }
    size_t items = (size_t)o->groups_max * sizeof(struct raft_heartbeat);
    for (uint32_t i = 0; h->peers != NULL && i < h->peers_count; i++) {
        alloc_put(&a, h->peers[i].beats.items, items);
        alloc_put(&a, h->peers[i].replies.items, items);
    }
    alloc_put(&a, h->groups, o->groups_max * sizeof(*h->groups));
    alloc_put(&a, h->table, h->table_cap * sizeof(*h->table));
    alloc_put(&a, h->dirty, o->groups_max * sizeof(*h->dirty));
    alloc_put(&a, h->undurable, o->groups_max * sizeof(*h->undurable));
    alloc_put(&a, h->peers, (o->peers_max + 1u) * sizeof(*h->peers));
    alloc_put(&a, h->actions, h->actions_cap * sizeof(*h->actions));
    alloc_put(&a, h, sizeof(*h));
}

/* returns: 0 with the place of the peer, ERR_BUSY or ERR_NO_MEMORY. */
static int setup_peer(struct raft_host *h, uint32_t node, unsigned *place)
{
    ASSERT(node != RAFT_NODE_NONE);
    for (uint32_t i = 0; i < h->peers_count; i++) {
        if (h->peers[i].node == node) {
            *place = i;
            return 0;
        }
    }
    if (h->peers_count > h->options.peers_max) {
        return ERR_BUSY;
    }
    struct raft_peer *p = &h->peers[h->peers_count];
    p->beats.items = alloc_get_zeroed(&h->alloc, h->options.groups_max, sizeof(*p->beats.items));
    p->replies.items =
        alloc_get_zeroed(&h->alloc, h->options.groups_max, sizeof(*p->replies.items));
    p->node = node;
    *place = h->peers_count++;
    return p->beats.items == NULL || p->replies.items == NULL ? ERR_NO_MEMORY : 0;
}

static int setup_group_memory(struct raft_group *g)
{
    struct raft_host *h = g->host;
    const struct raft_options *o = &h->options;
    TRY(raft_log_init(&g->log, &h->alloc, o->entries_max));
    g->reads.ring = alloc_get(&h->alloc, (size_t)o->reads_max * sizeof(*g->reads.ring));
    g->reads.cap = o->reads_max;
    if (g->reads.ring == NULL) {
        return ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < g->voters_count; i++) {
        TRY(setup_peer(h, g->voters[i], &g->peers[i]));
        g->progress[i].inflight =
            alloc_get_zeroed(&h->alloc, o->inflight_messages_max, sizeof(struct raft_inflight));
        if (g->progress[i].inflight == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    return 0;
}

static int setup_voters(struct raft_group *g, const struct raft_group_options *o, uint32_t node)
{
    bool here = false;
    if (o->voters_count == 0 || o->voters_count > RAFT_VOTERS_MAX) {
        return ERR_INVALID;
    }
    for (unsigned i = 0; i < o->voters_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (o->voters[j] == o->voters[i]) {
                return ERR_INVALID;
            }
        }
        if (o->voters[i] == RAFT_NODE_NONE) {
            return ERR_INVALID;
        }
        g->voters[i] = o->voters[i];
        if (o->voters[i] == node) {
            here = true;
            g->self = i;
        }
    }
    g->voters_count = o->voters_count;
    return here ? 0 : ERR_INVALID;
}

static void setup_group_state(struct raft_group *g, const struct raft_group_options *o)
{
    g->term = o->term;
    g->vote = o->vote;
    g->hard_lost = o->hard_lost;
    g->log.base_index = o->base_index;
    g->log.last_index = o->base_index;
    g->log.base_term = o->base_term;
    g->log.base_time_us = o->base_time_us;
    g->log.held_index = o->base_index;
    g->log.durable_index = o->base_index;
    g->applied_index = NUM_MAX(o->applied_index, o->base_index);
    g->apply_index = g->applied_index;
    g->start_applied_term = o->applied_term;
    g->start_applied_us = o->applied_time_us;
    g->known_commit = NUM_MAX(o->commit, g->applied_index);
    g->recovery.ambiguous = o->tail_ambiguous;
    g->reads.expire_us = RAFT_NEVER;
    g->recovery.ask_us = RAFT_NEVER;
    g->election_us = RAFT_NEVER;
}

int raft_group_add(struct raft_host *h, const struct raft_group_options *options)
{
    ASSERT(options != NULL);
    if (raft_host_find(h, options->group) != NULL) {
        return ERR_EXISTS;
    }
    if (h->groups_count == h->options.groups_max) {
        return ERR_BUSY;
    }
    struct raft_group *g = &h->groups[h->groups_count];
    *g = (struct raft_group){.host = h, .id = options->group};
    int err = setup_voters(g, options, h->options.node);
    if (err == 0) {
        err = setup_group_memory(g);
    }
    if (err != 0) {
        setup_group_release(h, g);
        return err;
    }
    setup_group_state(g, options);
    uint64_t at = hash_mix(g->id) & (h->table_cap - 1);
    while (h->table[at] != 0) {
        at = (at + 1) & (h->table_cap - 1);
    }
    h->table[at] = ++h->groups_count;
    ASSERT(raft_host_find(h, g->id) == g);
    return 0;
}

/* An ambiguous entry is left out: it is part of the tail that may have been, until peers tell. */
int raft_group_recover(struct raft_host *h, uint32_t group, const struct raft_entry *entry)
{
    ASSERT(entry != NULL);
    struct raft_group *g = raft_host_find(h, group);
    if (g == NULL) {
        return ERR_NOT_FOUND;
    }
    if (g->started || (entry->state == RAFT_ENTRY_OK && entry->term == 0)) {
        return ERR_INVALID;
    }
    if (entry->state == RAFT_ENTRY_AMBIGUOUS || g->recovery.ambiguous_seen) {
        g->recovery.ambiguous = true;
        g->recovery.ambiguous_seen = true;
        return 0;
    }
    if (raft_log_room(&g->log) == 0) {
        return ERR_BUSY;
    }
    raft_log_append(&g->log, entry);
    raft_log_slot(&g->log, g->log.last_index)->seq = 0;
    return 0;
}

/* Terms never fall along a log, so a lost header between two entries of one term had that term. */
static void setup_known_terms(struct raft_log *log)
{
    uint64_t before = log->base_term;
    uint64_t after = log->base_index + 1;
    for (uint64_t i = log->base_index + 1; i <= log->last_index; i++) {
        struct raft_entry *e = &raft_log_slot(log, i)->entry;
        after = NUM_MAX(after, i);
        while (after < log->last_index && raft_log_slot(log, after)->entry.term == 0) {
            after++;
        }
        if (e->term == 0 && raft_log_slot(log, after)->entry.term == before) {
            e->term = before;
        }
        before = e->term;
    }
    ASSERT(log->faulty_count <= log->last_index - log->base_index);
}

/* Entries at the end whose term is lost: they were there, and cannot be compared with others. */
static void setup_unknown_tail(struct raft_group *g)
{
    struct raft_log *log = &g->log;
    while (log->last_index > log->base_index && raft_log_term(log, log->last_index) == 0) {
        raft_log_cut(log, log->last_index);
        g->recovery.ambiguous = true;
        g->recovery.was_durable = true;
    }
    ASSERT(log->last_index >= log->base_index);
}

/* A term is persisted before any entry of it: a log beyond the hard state shows that a newer hard
 * state is lost. */
static void setup_term(struct raft_group *g)
{
    uint64_t highest = g->log.base_term;
    for (uint64_t i = g->log.base_index + 1; i <= g->log.last_index; i++) {
        highest = NUM_MAX(highest, raft_log_term(&g->log, i));
    }
    if (highest > g->term) {
        g->hard_lost = true;
        g->hard_dirty = true;
        g->term = highest;
        g->vote = RAFT_NODE_NONE;
    }
    ASSERT(g->term >= g->log.base_term);
}

/* A crash between installing a snapshot and its PERSIST leaves the log of before, which may differ
 * from what the state machine holds: then it goes. */
static bool setup_log_differs(const struct raft_group *g)
{
    uint64_t applied = g->applied_index;
    ASSERT(applied >= g->log.base_index);
    if (g->start_applied_term == 0 || applied == g->log.base_index) {
        return false;
    }
    if (applied > g->log.last_index) {
        return true;
    }
    uint64_t here = raft_log_term(&g->log, applied);
    return here != 0 && here != g->start_applied_term;
}

int raft_group_start(struct raft_host *h, uint32_t group, uint64_t now_us)
{
    struct raft_group *g = raft_host_find(h, group);
    if (g == NULL) {
        return ERR_NOT_FOUND;
    }
    if (g->started) {
        return ERR_EXISTS;
    }
    h->now_us = NUM_MAX(h->now_us, now_us);
    if (g->log.faulty_count > 0) {
        setup_known_terms(&g->log);
        setup_unknown_tail(g);
    }
    setup_term(g);
    bool differs = setup_log_differs(g);
    if (differs) {
        raft_log_reset(&g->log, g->applied_index, g->start_applied_term, g->start_applied_us);
    }
    raft_log_hold(&g->log, g->applied_index);
    (void)raft_log_durable(&g->log, 0);
    raft_commit_init(g, g->known_commit);
    g->started = true;
    g->started_us = h->now_us;
    g->start_term = g->term;
    if (differs) {
        raft_persist_base(g, true);
    }
    raft_recover_start(g);
    raft_election_reset(g);
    if (g->voters_count == 1) {
        g->election_us = h->now_us;
        raft_timer(g, g->election_us);
    }
    raft_dirty(g);
    ASSERT(g->commit_index <= g->log.last_index);
    return 0;
}
