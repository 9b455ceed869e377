/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Suspicions. Lifeguard's timer runs from its maximum down to its minimum with the logarithm of the
 * independent confirmations; the rest of time is
 *
 *     max - (max - min) * log(confirmations + 1) / log(wanted + 1)
 *
 * On demand (larger clusters) each hearer of a new suspicion probes the subject itself with
 * probability demand_probers / N, so that confirmations come within a probe's time and the minimum
 * can be short.
 */
#include "gossip/gossip_internal.h"

void gossip_suspicion_scale(struct gossip *g)
{
    uint64_t n = NUM_MAX(g->roster_count, 1u);
    uint64_t scale = NUM_MAX(gossip_log10(n), 65536u);
    g->suspicion_least_us = (g->rules.suspicion_mult * g->rules.probe_interval_us * scale) >> 16;
    g->demand_least_us = (g->rules.demand_min_us * scale) >> 16;
    g->demand_on = g->rules.demand && n >= g->rules.demand_from;
    uint32_t digits = 0;
    for (uint64_t power = 1; power < n + 1; power *= 10) {
        digits++;
    }
    g->retransmit_limit = NUM_MIN(g->rules.retransmit_mult * digits, GOSSIP_SENT_MAX);
    g->sync_period_us = g->rules.sync_interval_us;
    if (n > 32) {
        uint64_t stretch = 65536u + gossip_log2(n) - gossip_log2(32);
        g->sync_period_us = (g->rules.sync_interval_us * ((stretch + 65535u) >> 16));
    }
}

static uint32_t suspicion_wanted(const struct gossip *g)
{
    uint32_t wanted = g->rules.confirmations;
    if (g->rules.demand && !g->demand_on) {
        wanted = g->rules.suspicion_mult > 2 ? g->rules.suspicion_mult - 2 : 0;
    }
    wanted = NUM_MIN(wanted, GOSSIP_ACCUSERS_MAX - 1);
    /* too few others that could ever confirm: the minimum at once */
    return g->roster_count < wanted + 2 ? 0 : wanted;
}

static void suspicion_aim(struct gossip *g, struct gossip_suspicion *s)
{
    uint64_t wait = s->least_us;
    if (s->confirmations_wanted > 0) {
        uint64_t have = gossip_log2(s->accuser_count);
        uint64_t want = gossip_log2(s->confirmations_wanted + 1u);
        uint64_t less =
            have >= want ? s->most_us - s->least_us : (s->most_us - s->least_us) * have / want;
        wait = s->most_us - less;
    }
    /* a confirmation can end it at once, but not in the past: that would look like a late tick */
    s->end_us = NUM_MAX(s->start_us + wait, g->now_us);
    g->suspicion_us = NUM_MIN(g->suspicion_us, s->end_us);
}

static struct gossip_suspicion *suspicion_new(struct gossip *g, struct gossip_entry *e)
{
    uint16_t place = g->suspicion_free;
    if (place != 0) {
        g->suspicion_free = (uint16_t)g->suspicions[place - 1].subject;
    } else if (g->suspicion_fresh < g->suspicion_cap) {
        place = ++g->suspicion_fresh;
    } else {
        return NULL;
    }
    g->suspicion_count++;
    e->suspicion = place;
    struct gossip_suspicion *s = &g->suspicions[place - 1];
    *s = (struct gossip_suspicion){
        .subject = e->id,
        .confirmations_wanted = (uint8_t)suspicion_wanted(g),
        .start_us = g->now_us,
        .least_us = g->demand_on ? g->demand_least_us : g->suspicion_least_us,
        .most_us = g->suspicion_least_us * NUM_MAX(g->rules.suspicion_max_mult, 1u)};
    s->most_us = NUM_MAX(s->most_us, s->least_us);
    return s;
}

void gossip_suspicion_end(struct gossip *g, struct gossip_entry *e)
{
    if (e->suspicion == 0) {
        return;
    }
    struct gossip_suspicion *s = &g->suspicions[e->suspicion - 1];
    *s = (struct gossip_suspicion){.subject = g->suspicion_free, .end_us = GOSSIP_NEVER / 2};
    g->suspicion_free = e->suspicion;
    g->suspicion_count--;
    e->suspicion = 0;
}

static void suspicion_demand(struct gossip *g, struct gossip_entry *e, uint32_t accuser)
{
    if (g->demand_on && accuser != g->options.self &&
        rng_below(&g->rng, g->roster_count) < g->rules.demand_probers) {
        gossip_probe_start(g, e, false);
    }
}

/* An accuser counts as a failed probe; this node's own are counted where they fail. */
static void suspicion_count_accuser(const struct gossip *g, struct gossip_entry *e,
                                    uint32_t accuser)
{
    if (accuser != g->options.self && e->fails < UINT8_MAX) {
        e->fails++;
    }
}

static bool suspicion_begin(struct gossip *g, struct gossip_entry *e, uint32_t accuser)
{
    struct gossip_suspicion *s = suspicion_new(g, e);
    if (s == NULL) {
        g->counters.queue_dropped++;
        return false; /* as many as can be followed are; it will be accused again */
    }
    s->accusers[s->accuser_count++] = accuser;
    g->counters.suspected++;
    suspicion_aim(g, s);
    suspicion_count_accuser(g, e, accuser);
    gossip_record_state(g, e, GOSSIP_SUSPECT);
    gossip_rumors_member(g, e, accuser, 0);
    suspicion_demand(g, e, accuser);
    gossip_cut_doubt(g, e);
    return true;
}

bool gossip_suspicion_accuse(struct gossip *g, struct gossip_entry *e, uint32_t accuser)
{
    if (accuser == e->id || gossip_entry_of(g, accuser) == NULL || e == gossip_self(g)) {
        return false;
    }
    if (e->suspicion == 0) {
        return gossip_entry_lives(e) && suspicion_begin(g, e, accuser);
    }
    struct gossip_suspicion *s = &g->suspicions[e->suspicion - 1];
    for (unsigned i = 0; i < s->accuser_count; i++) {
        if (s->accusers[i] == accuser) {
            return false;
        }
    }
    if (s->accuser_count > s->confirmations_wanted || s->accuser_count == GOSSIP_ACCUSERS_MAX) {
        return false;
    }
    s->accusers[s->accuser_count++] = accuser;
    suspicion_count_accuser(g, e, accuser);
    g->counters.confirmed++;
    suspicion_aim(g, s);
    gossip_rumors_member(g, e, accuser, 0);
    return true;
}

/* Before it holds others dead, a node makes sure that it reaches anybody: on the small side of a
 * partition its rounds of probes come to the few that are left too seldom to tell. Who is unwell
 * itself does not ask: its word would not count. */
static void suspicion_reassure(struct gossip *g)
{
    uint32_t id;
    bool asked = g->now_us - g->reassured_us < g->rules.probe_interval_us;
    if (g->health > 0 || asked || gossip_members_random(g, GOSSIP_CHOOSE_ALIVE, 0, 1, &id) == 0) {
        return;
    }
    g->reassured_us = g->now_us;
    gossip_probe_start(g, gossip_entry_of(g, id), false);
}

static void suspicion_expire(struct gossip *g, struct gossip_suspicion *s)
{
    struct gossip_entry *e = gossip_entry_of(g, s->subject);
    ASSERT(e != NULL && e->state == GOSSIP_SUSPECT);
    if (!gossip_health_may_declare(g)) {
        s->end_us = g->now_us + g->rules.probe_interval_us; /* not on this node's word, now */
        suspicion_reassure(g);
        return;
    }
    uint8_t agreed = s->accuser_count;
    gossip_suspicion_end(g, e);
    g->counters.declared_dead++;
    gossip_record_state(g, e, GOSSIP_DEAD);
    gossip_rumors_member(g, e, g->options.self, agreed);
}

void gossip_suspicion_run(struct gossip *g)
{
    g->suspicion_us = GOSSIP_NEVER;
    for (uint32_t i = 0; i < g->suspicion_fresh && g->suspicion_count > 0; i++) {
        struct gossip_suspicion *s = &g->suspicions[i];
        if (s->accuser_count == 0) {
            continue; /* free */
        }
        if (s->end_us <= g->now_us) {
            suspicion_expire(g, s);
        }
        if (s->accuser_count != 0) {
            g->suspicion_us = NUM_MIN(g->suspicion_us, s->end_us);
        }
    }
}
