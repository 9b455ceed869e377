/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * How well this node is itself (Lifeguard's local health): a score from 0 up, raised by missing
 * nacks, refutations and late ticks, lowered by answers. And how sure it is of others.
 */
#include "gossip/gossip_internal.h"

#define HEALTH_LOSS_LEAST 66u    /* one in a thousand, of 65,536 */
#define HEALTH_LOSS_MOST 32768u  /* one in two */
#define HEALTH_PRIOR_LOSS 39322u /* of single pings, before any was counted: three in five */
#define HEALTH_PRIOR_COUNT 16u   /* pings that this assumption weighs as much as */
#define HEALTH_ALONE_FROM 5u     /* members from which silence of all is held for the own fault */

void gossip_health_add(struct gossip *g, int delta)
{
    int64_t next = (int64_t)g->health + delta;
    int64_t most = (int64_t)g->rules.health_max - 1;
    g->health = (uint32_t)(next < 0 ? 0 : NUM_MIN(next, most));
    if (!g->rules.late_is_own || g->rules.health_max < 2 || g->leaving) {
        return;
    }
    bool starved = g->starved ? g->health > (uint32_t)most / 2 : g->health == (uint32_t)most;
    if (starved != g->starved) {
        struct gossip_entry *self = gossip_self(g);
        g->starved = starved;
        gossip_members_unhash(g, self);
        self->incarnation += self->incarnation != UINT64_MAX;
        gossip_members_hash(g, self);
        gossip_record_own(g, GOSSIP_ALIVE);
    }
}

static void late_shift(uint64_t *deadline, uint64_t by)
{
    if (*deadline != GOSSIP_NEVER) {
        *deadline += by;
    }
}

static void late_shift_all(struct gossip *g, uint64_t by)
{
    uint64_t *deadlines[] = {&g->probe_us,  &g->gossip_us, &g->sync_us, &g->suspicion_us,
                             &g->probes_us, &g->watch_us,  &g->cut_us,  &g->answered_us};
    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
        late_shift(deadlines[i], by);
    }
    for (uint32_t i = 0; i < g->probe_count; i++) {
        g->probes[i].next_us += by;
        g->probes[i].end_us += by;
    }
    for (uint32_t i = 0; i < g->relay_count; i++) {
        g->relays[i].next_us += by;
        g->relays[i].end_us += by;
    }
    for (uint32_t i = 0; i < g->suspicion_fresh; i++) {
        g->suspicions[i].start_us += by;
        g->suspicions[i].end_us += by;
    }
    for (uint32_t i = 0; i < g->watch_count; i++) {
        g->watches[i].next_us += by;
        g->watches[i].start_us += by;
    }
    for (uint32_t i = 0; i < GOSSIP_SYNCS_MAX; i++) {
        g->syncs[i].end_us += by;
    }
    for (uint32_t i = 0; i < GOSSIP_REPORTS_MAX && g->report_count > 0; i++) {
        g->reports[i].looked_us += g->reports[i].looked_us != 0 ? by : 0;
    }
}

void gossip_health_late(struct gossip *g)
{
    uint64_t deadline = gossip_deadline(g);
    uint64_t slack = g->rules.gossip_interval_us;
    if (g->now_us <= deadline || g->now_us - deadline <= slack) {
        return;
    }
    g->counters.late_ticks++;
    if (!g->rules.late_is_own) {
        return;
    }
    uint64_t late = g->now_us - deadline;
    g->late_until_us = g->now_us + NUM_MIN(late, g->rules.probe_interval_us);
    uint64_t steps = 1 + late / g->rules.probe_interval_us;
    late_shift_all(g, late);
    gossip_health_add(g, (int)NUM_MIN(steps, g->rules.health_max));
}

/* A node that was late catches up at once: what it asks then is answered in time, which says
 * nothing of how well it is. */
void gossip_health_answered(struct gossip *g, uint64_t asked_us)
{
    gossip_health_add(g, asked_us < g->late_until_us ? 0 : -1);
}

bool gossip_health_may_declare(const struct gossip *g)
{
    if (!g->rules.late_is_own) {
        return true;
    }
    if (g->health + 1 >= g->rules.health_max && g->rules.health_max > 1) {
        return false;
    }
    uint64_t patience = 3 * g->rules.probe_interval_us * (g->health + 1);
    return g->count < HEALTH_ALONE_FROM || g->now_us - g->answered_us <= patience;
}

void gossip_health_loss(uint32_t *loss, bool failed)
{
    /* an exponential mean over about 64 probes */
    uint32_t sample = failed ? 65536u : 0u;
    *loss = (*loss * 63u + sample) / 64u;
}

/* The plain mean until there are 64 samples, so that a node knows its loss soon after its start. */
void gossip_health_direct(struct gossip *g, bool failed)
{
    uint64_t sample = failed ? 65536u : 0u;
    g->direct_count += g->direct_count < 64u;
    g->direct_loss =
        (uint32_t)(((uint64_t)g->direct_loss * (g->direct_count - 1u) + sample) / g->direct_count);
}

void gossip_health_late_answer(struct gossip *g)
{
    g->direct_loss -= NUM_MIN(g->direct_loss, 65536u / NUM_MAX(g->direct_count, 1u));
}

/* The mean that a beta prior gives: a node that starts, or has counted few, takes its ways for bad
 * ones until enough pings were answered. To ask a few times too often costs little; to hold a
 * member faulty that is well costs everybody. */
uint32_t gossip_health_direct_loss(const struct gossip *g)
{
    uint64_t sum = (uint64_t)g->direct_loss * g->direct_count +
                   (uint64_t)HEALTH_PRIOR_LOSS * HEALTH_PRIOR_COUNT;
    return (uint32_t)(sum / (g->direct_count + HEALTH_PRIOR_COUNT));
}

/* Probes that fail independently with probability p look like n failures with probability p^n:
 * 100 * -log10(p^n) = n * 100 * log10(1/p). */
uint32_t gossip_health_sure(const struct gossip *g, const struct gossip_entry *e)
{
    uint32_t loss = NUM_MIN(NUM_MAX(g->loss, HEALTH_LOSS_LEAST), HEALTH_LOSS_MOST);
    uint64_t each = (100ull * (gossip_log10(65536u) - gossip_log10(loss))) >> 16;
    return (uint32_t)(e->fails * each);
}
