/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What this node says of itself. Unwell: its disk is slow or full, or its memory is. A node that
 * says so still answers and votes, but gets nothing new, and does not stand for leader before
 * others had their turn. Facts: numbers that others may want, told to all, newest wins.
 *
 * Slow: more than one in a hundred syncs of the log took longer than disk_slow_us (so the 99th
 * percentile is above it) in each of three seconds on end. Well again: none did for ten seconds.
 */
#include "server/node/member_internal.h"

#define NODE_HEALTH_US 1000000u
#define NODE_HEALTH_BAD_WINDOWS 3u
#define NODE_HEALTH_CALM_US 10000000u
#define NODE_HEALTH_MOVE_US 60000000u /* leadership is given away at most so often */
#define NODE_FACTS_ROUNDS 5u          /* facts are looked at every so many seconds */
#define NODE_FACT_APPLIED_MAX (GOSSIP_FACT_BYTES_MAX / 12u)

/* ---- the disk ------------------------------------------------------------------------------- */

static struct node_member_window *node_health_window(struct node *n)
{
    uint64_t second = n->now / NODE_HEALTH_US;
    struct node_member_window *w = &n->member->health.windows[second % NODE_MEMBER_WINDOWS];
    if (w->second != second) {
        *w = (struct node_member_window){.second = second};
    }
    return w;
}

void node_member_wal_begun(struct node *n)
{
    n->member->health.wal_begun_us = n->now;
}

void node_member_wal_ended(struct node *n)
{
    struct node_member_health *h = &n->member->health;
    struct node_member_window *w = node_health_window(n);
    bool slow = h->wal_begun_us != 0 && n->now - h->wal_begun_us > n->options.disk_slow_us;
    w->batches++;
    w->slow += slow;
    h->well_us = slow ? n->now : h->well_us;
    h->wal_begun_us = 0;
}

/* A batch that is out for so long is slow already. */
static bool node_health_stuck(const struct node *n)
{
    const struct node_member_health *h = &n->member->health;
    return h->wal_begun_us != 0 && n->now - h->wal_begun_us > 3 * n->options.disk_slow_us;
}

static bool node_health_slow(struct node *n)
{
    struct node_member_health *h = &n->member->health;
    uint64_t second = n->now / NODE_HEALTH_US;
    unsigned bad = 0;
    if (node_health_stuck(n)) {
        h->well_us = n->now;
        return true;
    }
    for (uint64_t back = 1; back <= NODE_HEALTH_BAD_WINDOWS && back <= second; back++) {
        const struct node_member_window *w = &h->windows[(second - back) % NODE_MEMBER_WINDOWS];
        bad += w->second == second - back && w->batches > 0 && (uint64_t)w->slow * 100 > w->batches;
    }
    bool was = (h->unwell & GOSSIP_UNWELL_DISK_SLOW) != 0;
    return bad == NODE_HEALTH_BAD_WINDOWS || (was && n->now - h->well_us < NODE_HEALTH_CALM_US);
}

/* ---- leadership of the unwell --------------------------------------------------------------- */

/* returns: whether a majority of the group is well without this node. */
static bool node_health_others(const struct node *n, const struct node_group *g)
{
    unsigned well = 0;
    for (unsigned i = 0; i < g->voters_count; i++) {
        well += g->voters[i] != n->self && node_peer_fit(n, g->voters[i]);
    }
    return well >= g->voters_count / 2 + 1;
}

static void node_health_lead(struct node *n)
{
    struct node_member_health *h = &n->member->health;
    bool since = h->moved_us != 0 && n->now - h->moved_us < NODE_HEALTH_MOVE_US;
    for (unsigned i = 0; i < n->groups_count && h->unwell != 0 && !since; i++) {
        struct node_group *g = &n->groups[i];
        if (g->role == RAFT_LEADER && g->voters_count > 1 && node_health_others(n, g)) {
            struct raft_event ev = {
                .kind = RAFT_STEP_DOWN, .group = g->id, .code = ERR_UNAVAILABLE};
            h->moved_us = n->now;
            (void)node_raft(n, &ev);
        }
    }
}

static void node_health_judge(struct node *n)
{
    struct node_member_health *h = &n->member->health;
    uint64_t room = n->options.limits.memtable_bytes;
    uint32_t unwell = 0;
    unwell |= node_health_slow(n) ? GOSSIP_UNWELL_DISK_SLOW : 0u;
    unwell |= n->disk_full ? GOSSIP_UNWELL_DISK_FULL : 0u;
    unwell |= store_mem_dirty_bytes(n->mem) > room - room / 16 ? GOSSIP_UNWELL_MEMORY : 0u;
    if (unwell != h->unwell) {
        h->unwell = unwell;
        log_line(n->options.log, unwell != 0 ? LOG_WARN : LOG_INFO, "member_unwell",
                 "node=%u disk_slow=%u disk_full=%u memory=%u", n->self,
                 (unwell & GOSSIP_UNWELL_DISK_SLOW) != 0, (unwell & GOSSIP_UNWELL_DISK_FULL) != 0,
                 (unwell & GOSSIP_UNWELL_MEMORY) != 0);
        gossip_unwell_set(n->member->gossip, unwell, n->now);
        struct raft_event ev = {.kind = RAFT_UNWELL, .code = unwell != 0 ? ERR_UNAVAILABLE : 0};
        (void)node_raft(n, &ev);
    }
    node_health_lead(n);
}

/* ---- facts ---------------------------------------------------------------------------------- */

/* Only what has changed is told. */
static void node_fact_tell(struct node *n, enum node_fact kind, struct bytes value)
{
    struct gossip *g = n->member->gossip;
    struct bytes old;
    uint64_t version = 0;
    if (gossip_fact_get(g, n->self, kind, &version, &old) != 0 || !bytes_equal(old, value)) {
        (void)gossip_fact_set(g, kind, value, n->now);
    }
}

static void node_fact_load(struct node *n)
{
    uint8_t raw[12];
    uint32_t jobs = 0;
    for (unsigned i = 0; i < NODE_LANES; i++) {
        jobs += n->lane_out[i];
    }
    num_put_u32(raw, (uint32_t)NUM_MIN(n->requests_out, (uint64_t)UINT32_MAX));
    num_put_u32(raw + 4, n->calls_out);
    num_put_u32(raw + 8, jobs);
    node_fact_tell(n, NODE_FACT_LOAD, bytes_of(raw, sizeof raw));
}

static void node_fact_applied(struct node *n)
{
    uint8_t raw[GOSSIP_FACT_BYTES_MAX];
    size_t at = 0;
    for (unsigned i = 0; i < node_groups(n) && i < NODE_FACT_APPLIED_MAX; i++) {
        num_put_u32(raw + at, n->groups[i].id);
        num_put_u64(raw + at + 4, n->groups[i].now.index);
        at += 12;
    }
    node_fact_tell(n, NODE_FACT_APPLIED, bytes_of(raw, at));
}

void node_member_facts_keys(struct node *n)
{
    const struct gossip_keyring *ring = &n->control->ring;
    uint8_t raw[10];
    if (n->member->gossip == NULL || ring->count == 0) {
        return;
    }
    num_put_u64(raw, ring->revision);
    num_put_u16(raw + 8, gossip_keyring_used(ring));
    node_fact_tell(n, NODE_FACT_KEYS, bytes_of(raw, sizeof raw));
}

int node_member_keys_of(const struct node *n, uint32_t member, uint64_t *revision, uint16_t *used)
{
    struct bytes value;
    uint64_t version = 0;
    if (n->member->gossip == NULL) {
        return ERR_NOT_FOUND;
    }
    TRY(gossip_fact_get(n->member->gossip, member, NODE_FACT_KEYS, &version, &value));
    if (value.size != 10) {
        return ERR_NOT_FOUND;
    }
    *revision = num_get_u64(value.data);
    *used = num_get_u16(value.data + 8);
    return 0;
}

/* How full the disk is only a job may ask. */
struct node_fact_disk {
    struct node_task task;
    uint64_t used_bytes, limit_bytes;
    struct store_segments_stats segments;
};

static void node_fact_disk_run(struct node_task *task, struct node_env *env)
{
    struct node_fact_disk *d = (struct node_fact_disk *)(void *)task;
    env->kv->usage(env->kv->ctx, &d->used_bytes, &d->limit_bytes);
    if (env->segments != NULL) {
        store_segments_stats_get(env->segments, &d->segments);
    }
}

static void node_fact_disk_done(struct node *n, struct node_task *task)
{
    struct node_fact_disk *d = (struct node_fact_disk *)(void *)task;
    uint8_t raw[28];
    num_put_u64(raw, d->used_bytes);
    num_put_u64(raw + 8, d->limit_bytes);
    num_put_u64(raw + 16, d->segments.live_bytes);
    num_put_u32(raw + 24, n->member->health.unwell);
    n->member->health.asking = false;
    if (!n->closing && !n->failed) {
        node_fact_tell(n, NODE_FACT_DISK, bytes_of(raw, sizeof raw));
    }
    alloc_put(&n->alloc, d, sizeof *d);
}

static void node_fact_disk(struct node *n)
{
    struct node_fact_disk *d =
        n->member->health.asking ? NULL : alloc_get_zeroed(&n->alloc, 1, sizeof *d);
    if (d == NULL) {
        return;
    }
    d->task.run = node_fact_disk_run;
    d->task.done = node_fact_disk_done;
    if (node_task_start(n, &d->task, NODE_LANE_READ) != 0) {
        alloc_put(&n->alloc, d, sizeof *d);
        return;
    }
    n->member->health.asking = true;
}

static void node_health_fire(struct node *n, struct node_timer *t)
{
    struct node_member_health *h = &n->member->health;
    node_health_judge(n);
    if (h->rounds++ % NODE_FACTS_ROUNDS == 0) {
        node_fact_load(n);
        node_fact_applied(n);
        node_member_facts_keys(n);
        node_fact_disk(n);
    }
    node_timer_set(n, t, n->now + NODE_HEALTH_US);
}

void node_member_health_start(struct node *n)
{
    struct node_member_health *h = &n->member->health;
    h->timer.fire = node_health_fire;
    node_timer_set(n, &h->timer, n->now);
}
