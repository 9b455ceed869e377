/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Life of the core, what is due when, evidence from elsewhere, and what it knows.
 */
#include "gossip/gossip_internal.h"

#define GOSSIP_MEMBERS_MOST (1u << 24)
#define GOSSIP_STREAM_LEAST 1024u
#define GOSSIP_DATAGRAM_LEAST 640u /* the largest message, a fact, and the packet's header */

static void gossip_defaults(struct gossip_options *o)
{
    o->datagram_bytes = o->datagram_bytes != 0 ? o->datagram_bytes : 1350u;
    o->stream_bytes = o->stream_bytes != 0 ? o->stream_bytes : 65536u;
    o->facts_bytes_second = o->facts_bytes_second != 0 ? o->facts_bytes_second : 128u;
    o->facts_memory_bytes = o->facts_memory_bytes != 0 ? o->facts_memory_bytes : 65536u;
    o->epoch_jump_max = o->epoch_jump_max != 0 ? o->epoch_jump_max : 1u << 20;
}

static bool gossip_options_hold(const struct gossip_options *o, uint32_t count)
{
    const struct gossip_rules *r = &o->rules;
    return o->self != 0 && count > 0 && count <= o->members_max &&
           o->members_max <= GOSSIP_MEMBERS_MOST && o->datagram_bytes >= GOSSIP_DATAGRAM_LEAST &&
           o->datagram_bytes <= 65000u && o->stream_bytes >= GOSSIP_STREAM_LEAST &&
           o->stream_bytes <= 1u << 24 && o->facts_memory_bytes <= 1u << 28 &&
           o->facts_bytes_second <= 1u << 24 && r->probe_interval_us >= 1000 &&
           r->probe_timeout_us > 0 && r->probe_timeout_us <= r->probe_interval_us &&
           r->gossip_interval_us >= 1000 && r->sync_interval_us >= 1000 && r->health_max > 0 &&
           r->health_max <= 64 && r->fanout > 0 && r->fanout <= 16 && r->retransmit_mult > 0 &&
           r->retransmit_mult <= 16 && r->suspicion_mult > 0;
}

static uint32_t gossip_bits(const struct gossip_options *o)
{
    uint32_t bits = 0;
    while (bits < GOSSIP_BUCKET_BITS_MAX && o->members_max >> (bits + 4) > 0 &&
           (16ul << bits) + 64 <= o->stream_bytes) {
        bits++;
    }
    return bits;
}

/* returns: the first line of the cache from there on. */
static struct gossip_entry *gossip_aligned(void *memory)
{
    uintptr_t at = (uintptr_t)memory;
    return memory == NULL ? NULL
                          : (void *)((uint8_t *)memory + (-at & (sizeof(struct gossip_entry) - 1)));
}

static int gossip_memory(struct gossip *g)
{
    const struct alloc *a = &g->alloc;
    size_t members = g->options.members_max;
    g->entries_memory = alloc_get(a, sizeof(*g->entries) * (members + 1));
    g->entries = gossip_aligned(g->entries_memory);
    g->contacts = alloc_get(a, sizeof(*g->contacts) * members);
    g->order = alloc_get(a, sizeof(*g->order) * members);
    g->buckets = alloc_get_zeroed(a, 1ul << g->bucket_bits, sizeof(*g->buckets));
    g->fact_buckets = alloc_get_zeroed(a, 1ul << g->bucket_bits, sizeof(*g->fact_buckets));
    g->rumors.items = alloc_get(a, sizeof(*g->rumors.items) * g->rumors.cap);
    g->suspicions = alloc_get(a, sizeof(*g->suspicions) * g->suspicion_cap);
    g->reports = alloc_get_zeroed(a, GOSSIP_REPORTS_MAX, sizeof(*g->reports));
    g->outs = alloc_get(a, sizeof(*g->outs) * GOSSIP_OUTS_MAX);
    g->datagram = alloc_get(a, g->options.datagram_bytes);
    g->stream = alloc_get(a, g->options.stream_bytes);
    bool verifies = g->options.signer.verify != NULL;
    g->proofs = verifies ? alloc_get_zeroed(a, members, sizeof(*g->proofs)) : NULL;
    bool all = g->entries != NULL && g->contacts != NULL && g->order != NULL &&
               g->buckets != NULL && g->fact_buckets != NULL && g->rumors.items != NULL &&
               g->suspicions != NULL && g->reports != NULL && g->outs != NULL &&
               g->datagram != NULL && g->stream != NULL;
    int err = gossip_facts_init(g);
    return all && (g->proofs != NULL || !verifies) ? err : ERR_NO_MEMORY;
}

static void gossip_start(struct gossip *g)
{
    struct gossip_entry *self = gossip_self(g);
    gossip_members_unhash(g, self);
    self->epoch = g->options.epoch;
    self->incarnation = 0;
    self->flags = 0;
    gossip_members_hash(g, self);
    uint64_t first = g->rules.sync_whole ? g->sync_period_us
                                         : NUM_MIN(g->sync_period_us, 10000ull * g->count + 1000u);
    g->probe_us = g->now_us + rng_below(&g->rng, g->rules.probe_interval_us);
    g->gossiped_us = g->now_us;
    g->gossip_us = g->now_us + rng_below(&g->rng, g->rules.gossip_interval_us);
    g->sync_us = g->now_us + rng_below(&g->rng, first);
    g->gossiped_us = g->gossip_us;
    g->suspicion_us = g->probes_us = g->watch_us = g->cut_us = g->leave_us = GOSSIP_NEVER;
    g->answered_us = g->now_us;
    g->changes = 0;
    g->loss = 655; /* one in a hundred, until it is measured */
    g->seq = (uint32_t)rng_next(&g->rng);
    g->sweep = UINT32_MAX;
    gossip_record_own(g, GOSSIP_ALIVE);
}

int gossip_new(struct gossip **out, const struct gossip_options *options,
               const struct gossip_seat *seats, uint32_t count, const struct alloc *alloc,
               uint64_t now_us)
{
    struct gossip_options settled = *options;
    gossip_defaults(&settled);
    if (!gossip_options_hold(&settled, count)) {
        return ERR_INVALID;
    }
    struct gossip *g = alloc_get_zeroed(alloc, 1, sizeof(*g));
    if (g == NULL) {
        return ERR_NO_MEMORY;
    }
    g->options = settled;
    g->rules = settled.rules;
    g->alloc = *alloc;
    g->start_us = now_us;
    g->now_us = now_us;
    rng_init(&g->rng, settled.seed ^ hash_mix(settled.self));
    g->bucket_bits = gossip_bits(&settled);
    /* small ones hold the alerts of all observers beside every member: half of them may be cut off
     * at once, and come back at once */
    g->rumors.cap = settled.members_max < GOSSIP_RUMORS_MAX / 8u
                        ? NUM_MAX(8u * settled.members_max, 64u)
                        : GOSSIP_RUMORS_MAX;
    g->suspicion_cap = NUM_MIN(settled.members_max, GOSSIP_SUSPICIONS_MAX);
    int err = gossip_memory(g);
    if (err == 0) {
        err = gossip_members_init(g, seats, count);
    }
    if (err != 0) {
        gossip_free(g);
        return err;
    }
    gossip_start(g);
    *out = g;
    return 0;
}

void gossip_free(struct gossip *g)
{
    if (g == NULL) {
        return;
    }
    struct alloc a = g->alloc;
    size_t members = g->options.members_max;
    gossip_facts_release(g);
    alloc_put(&a, g->entries_memory, sizeof(*g->entries) * (members + 1));
    alloc_put(&a, g->contacts, sizeof(*g->contacts) * members);
    alloc_put(&a, g->order, sizeof(*g->order) * members);
    alloc_put(&a, g->buckets, sizeof(*g->buckets) << g->bucket_bits);
    alloc_put(&a, g->fact_buckets, sizeof(*g->fact_buckets) << g->bucket_bits);
    alloc_put(&a, g->rumors.items, sizeof(*g->rumors.items) * g->rumors.cap);
    alloc_put(&a, g->suspicions, sizeof(*g->suspicions) * g->suspicion_cap);
    alloc_put(&a, g->reports, sizeof(*g->reports) * GOSSIP_REPORTS_MAX);
    alloc_put(&a, g->outs, sizeof(*g->outs) * GOSSIP_OUTS_MAX);
    alloc_put(&a, g->datagram, g->options.datagram_bytes);
    alloc_put(&a, g->stream, g->options.stream_bytes);
    alloc_put(&a, g->proofs, sizeof(*g->proofs) * members);
    alloc_put(&a, g, sizeof(*g));
}

int gossip_roster_set(struct gossip *g, const struct gossip_seat *seats, uint32_t count,
                      uint64_t now_us)
{
    g->now_us = NUM_MAX(g->now_us, now_us);
    return gossip_members_set(g, seats, count);
}

void gossip_evidence(struct gossip *g, uint32_t peer, enum gossip_evidence_kind kind,
                     uint32_t rtt_us, uint64_t now_us)
{
    g->now_us = NUM_MAX(g->now_us, now_us);
    struct gossip_entry *e = gossip_entry_of(g, peer);
    if (e == NULL || e == gossip_self(g) || e->state == GOSSIP_REMOVED) {
        return;
    }
    if (kind == GOSSIP_RESET) {
        if (gossip_entry_lives(e) || e->state == GOSSIP_SUSPECT) {
            gossip_probe_start(g, e, false);
        }
        return;
    }
    g->answered_us = g->now_us;
    gossip_probe_answered(g, e);
    if (rtt_us != 0) {
        gossip_probe_rtt(g, e, rtt_us);
    }
}

void gossip_stream_done(struct gossip *g, uint64_t token, int code, uint64_t now_us)
{
    g->now_us = NUM_MAX(g->now_us, now_us);
    if (code < 0) {
        gossip_probe_stream_failed(g, token);
        gossip_sync_failed(g, token);
    }
}

/* ---- what is due ---------------------------------------------------------------------------- */

static void gossip_round(struct gossip *g)
{
    uint32_t peers[16];
    g->gossiped_us = g->now_us;
    if (gossip_rumors_count(g) == 0 && !gossip_facts_prompt(g)) {
        g->gossip_us = GOSSIP_NEVER; /* the next one to tell wakes it */
        return;
    }
    g->gossip_us = g->now_us + g->rules.gossip_interval_us;
    uint32_t found = gossip_members_random(
        g, g->rules.demand ? GOSSIP_CHOOSE_ALIVE : GOSSIP_CHOOSE_GOSSIP, 0, g->rules.fanout, peers);
    for (uint32_t i = 0; i < found; i++) {
        (void)gossip_out_add(g, peers[i], GOSSIP_TYPE_RUMORS, GOSSIP_DATAGRAM);
    }
}

void gossip_tick(struct gossip *g, uint64_t now_us)
{
    g->now_us = NUM_MAX(g->now_us, now_us);
    gossip_health_late(g);
    if (g->probes_us <= g->now_us) {
        gossip_probe_run(g);
    }
    if (g->suspicion_us <= g->now_us) {
        gossip_suspicion_run(g);
    }
    if (g->probe_us <= g->now_us) {
        gossip_probe_tick(g);
    }
    if (g->gossip_us <= g->now_us) {
        gossip_round(g);
    }
    if (g->sync_us <= g->now_us) {
        gossip_sync_tick(g);
    } else {
        gossip_sync_hurry(g);
    }
    if (g->watch_us <= g->now_us || g->cut_us <= g->now_us) {
        gossip_cut_run(g);
    }
}

uint64_t gossip_deadline(const struct gossip *g)
{
    uint64_t least = NUM_MIN(g->probe_us, g->gossip_us);
    least = NUM_MIN(least, NUM_MIN(g->sync_us, g->suspicion_us));
    least = NUM_MIN(least, NUM_MIN(g->probes_us, g->watch_us));
    return NUM_MIN(least, NUM_MIN(g->cut_us, g->leave_us));
}

/* ---- own state ------------------------------------------------------------------------------ */

void gossip_unwell_set(struct gossip *g, uint32_t reasons, uint64_t now_us)
{
    g->now_us = NUM_MAX(g->now_us, now_us);
    reasons &= UINT8_MAX & ~(uint32_t)GOSSIP_UNWELL_STARVED;
    if (g->unwell == reasons) {
        return;
    }
    g->unwell = reasons;
    if (g->leaving) {
        return;
    }
    struct gossip_entry *self = gossip_self(g);
    gossip_members_unhash(g, self);
    self->incarnation += self->incarnation != UINT64_MAX;
    gossip_members_hash(g, self);
    gossip_record_own(g, GOSSIP_ALIVE);
}

void gossip_leave(struct gossip *g, uint64_t now_us)
{
    g->now_us = NUM_MAX(g->now_us, now_us);
    if (g->leaving) {
        return;
    }
    g->leaving = true;
    gossip_record_own(g, GOSSIP_LEFT);
    g->leave_us =
        g->now_us + g->rules.probe_interval_us + g->retransmit_limit * g->rules.gossip_interval_us;
}

int gossip_force_leave(struct gossip *g, uint32_t id, uint64_t now_us)
{
    g->now_us = NUM_MAX(g->now_us, now_us);
    struct gossip_entry *e = gossip_entry_of(g, id);
    if (e == NULL || e == gossip_self(g) || e->state == GOSSIP_REMOVED) {
        return ERR_NOT_FOUND;
    }
    if (e->state == GOSSIP_LEFT) {
        return 0;
    }
    gossip_suspicion_end(g, e);
    if (g->proofs != NULL) {
        g->proofs[e - g->entries].is_signed = false;
    }
    gossip_record_state(g, e, GOSSIP_LEFT);
    gossip_rumors_member(g, e, g->options.self, 0);
    gossip_out_tell(g, id, id); /* it may refute */
    return 0;
}

/* ---- what it knows -------------------------------------------------------------------------- */

uint32_t gossip_count(const struct gossip *g)
{
    return g->count;
}

uint64_t gossip_digest(const struct gossip *g)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 1u << g->bucket_bits; i++) {
        sum += g->buckets[i];
    }
    return sum;
}

uint32_t gossip_health(const struct gossip *g)
{
    return g->health;
}

void gossip_counters_get(const struct gossip *g, struct gossip_counters *out)
{
    *out = g->counters;
}
