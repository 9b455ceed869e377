/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Probes. Each member is asked in turn, in an order that is shuffled anew each round; if it does
 * not answer in time, relays ask for us and say when they get no answer either (nack), and a stream
 * asks too. What nobody answers by the end of the interval accuses the member.
 *
 *   DIRECT --timeout--> INDIRECT --end of interval--> accused
 *      \____ ack _________\____ ack, own, relayed or by stream: answered
 */
#include "gossip/gossip_internal.h"

#define PROBE_ASKS_MAX 39u
#define PROBE_NTH_SHIFT 24u /* of a seq: the bits above say the how many-th ping of its probe */
#define PROBE_LOST_LEAST 1u /* one in 8,192, of 65,536 */

uint32_t gossip_probe_seq(struct gossip *g)
{
    g->seq = (g->seq + 1u) & ((1u << PROBE_NTH_SHIFT) - 1u);
    return g->seq;
}

/* returns: which ping of p an answer is to, from 0; or UINT32_MAX: none. */
static uint32_t probe_nth(const struct gossip_probe *p, uint32_t seq)
{
    uint32_t nth = seq >> PROBE_NTH_SHIFT;
    return seq == (p->seq | nth << PROBE_NTH_SHIFT) && nth <= p->repeats ? nth : UINT32_MAX;
}

uint32_t gossip_ms(const struct gossip *g)
{
    /* from 1: 0 is never */
    return (uint32_t)((g->now_us - g->start_us) / 1000u) + 1u;
}

void gossip_probe_rtt(struct gossip *g, struct gossip_entry *e, uint64_t sample_us)
{
    if (sample_us == 0 || sample_us >= 60000000u) {
        g->counters.samples_dropped++;
        return;
    }
    uint32_t sample = (uint32_t)sample_us;
    struct gossip_contact *c = gossip_contact_of(g, e);
    c->rtt_us = c->rtt_us == 0 ? sample : (uint32_t)((7ull * c->rtt_us + sample) / 8u);
    c->rtt_us += c->rtt_us == 0;
}

void gossip_probe_answered(struct gossip *g, struct gossip_entry *e)
{
    gossip_contact_of(g, e)->heard_us = g->now_us;
    e->answered_ms = gossip_ms(g);
    e->flags &= (uint8_t)~GOSSIP_FLAG_DOUBTED;
    if (gossip_entry_lives(e)) {
        e->fails = 0;
    }
}

static void probe_udp(struct gossip *g, struct gossip_entry *e, bool blocked)
{
    bool was = (e->flags & GOSSIP_FLAG_UDP_BLOCKED) != 0;
    if (blocked && !was) {
        e->flags |= GOSSIP_FLAG_UDP_BLOCKED;
        g->counters.udp_blocked++;
    } else if (!blocked && was) {
        e->flags &= (uint8_t)~GOSSIP_FLAG_UDP_BLOCKED;
        g->counters.udp_blocked--;
    }
}

static void probes_wake(struct gossip *g, uint64_t at_us)
{
    g->probes_us = NUM_MIN(g->probes_us, at_us);
}

/* Whole ways that lose one in p datagrams each fail a probe of one ping 2/p of the time, and at 20
 * % loss the relays' ways are no better: every twentieth probe would accuse a member that is well,
 * and each refutation costs all nodes a rumor. So as many pings go out within the time of the
 * direct probe as make one probe in 8,192 lose them all, by the own loss of single ones; the first
 * answer ends them, so that a wider margin costs nothing but where nobody answers.
 *
 * returns: how many follow the first. */
static uint8_t probe_asks(const struct gossip *g)
{
    uint64_t each = gossip_health_direct_loss(g);
    uint64_t lost = each;
    uint8_t asks = 0;
    while (g->rules.ask_again && asks < PROBE_ASKS_MAX && lost > PROBE_LOST_LEAST) {
        lost = lost * each >> 16;
        asks++;
    }
    return asks;
}

/* again: nobody has answered the first one; what is told only so many times does not travel here.
 */
static void probe_ping(struct gossip *g, uint32_t target, uint32_t seq, bool again)
{
    struct gossip_out *o = gossip_out_add(g, target, GOSSIP_TYPE_PING, GOSSIP_DATAGRAM);
    if (o != NULL) {
        o->seq = seq;
        o->target = target;
        o->arg = again;
    }
}

/* When to ask next, for asks to be spread evenly over the time until over_us. */
static uint64_t probe_next(const struct gossip *g, uint64_t over_us, uint8_t asks)
{
    return over_us - (over_us - g->now_us) * asks / (asks + 1u);
}

void gossip_probe_start(struct gossip *g, struct gossip_entry *e, bool scheduled)
{
    if (g->probe_count == GOSSIP_PROBES_MAX) {
        return;
    }
    for (uint32_t i = 0; i < g->probe_count; i++) {
        if (g->probes[i].target == e->id) {
            return;
        }
    }
    struct gossip_probe *p = &g->probes[g->probe_count++];
    uint64_t interval = g->rules.probe_interval_us * (scheduled ? g->health + 1 : 1);
    *p = (struct gossip_probe){.target = e->id,
                               .seq = gossip_probe_seq(g),
                               .epoch = e->epoch,
                               .sent_us = g->now_us,
                               .end_us = g->now_us + interval,
                               .phase = GOSSIP_PHASE_DIRECT,
                               .asks = probe_asks(g),
                               .scheduled = scheduled};
    p->next_us = probe_next(g, g->now_us + g->rules.probe_timeout_us, p->asks);
    probes_wake(g, p->next_us);
    g->counters.probes++;
    probe_ping(g, p->target, p->seq, false);
}

static bool probe_spared(struct gossip *g, const struct gossip_entry *e, uint64_t fresh_us)
{
    bool fresh = e->answered_ms != 0 && gossip_ms(g) - e->answered_ms < fresh_us / 1000u;
    if (g->rules.late_is_own && fresh && gossip_entry_lives(e)) {
        g->counters.probes_spared++;
        gossip_health_add(g, g->starved ? 0 : -1); /* it would have been answered */
        return true;
    }
    return false;
}

/* The next place of the order; a lazy shuffle (Fisher and Yates) draws it from those left. */
static struct gossip_entry *probe_draw(struct gossip *g)
{
    if (g->order_at >= g->count) {
        g->order_at = 0;
    }
    uint32_t from = g->order_at++;
    uint32_t other = from + (uint32_t)rng_below(&g->rng, g->count - from);
    uint32_t place = g->order[other];
    g->order[other] = g->order[from];
    g->order[from] = place;
    return &g->entries[place];
}

static bool probe_wanted(const struct gossip *g, const struct gossip_entry *e)
{
    return e != gossip_self(g) && (gossip_entry_lives(e) || e->state == GOSSIP_SUSPECT);
}

/* Of random probes alone, one a member and interval, a member waits for its next with the tail of
 * an exponential: one in fifty waits four intervals. So its neighbour comes every time, and a
 * random member every second time. */
static struct gossip_entry *probe_neighbour(struct gossip *g)
{
    for (uint32_t i = 1; i < g->count; i++) {
        struct gossip_entry *e = &g->entries[(g->self + i) % g->count];
        if (probe_wanted(g, e)) {
            return e;
        }
    }
    return NULL;
}

static void probe_unless_spared(struct gossip *g, struct gossip_entry *e, uint64_t fresh_us)
{
    if (!probe_spared(g, e, fresh_us)) {
        gossip_probe_start(g, e, true);
    }
}

void gossip_probe_tick(struct gossip *g)
{
    g->probe_us = g->now_us + g->rules.probe_interval_us * (g->health + 1);
    if (g->rules.neighbour) {
        struct gossip_entry *next = probe_neighbour(g);
        if (next != NULL) {
            /* a short while: what it is spared now comes a whole interval later */
            probe_unless_spared(g, next, g->rules.probe_interval_us / 8u);
        }
        if (g->probe_turn++ % 2 == 0) {
            return;
        }
    }
    for (uint32_t tries = g->count; tries > 0; tries--) {
        struct gossip_entry *e = probe_draw(g);
        if (probe_wanted(g, e)) {
            probe_unless_spared(g, e, g->rules.probe_interval_us);
            return;
        }
    }
}

static void probe_indirect(struct gossip *g, struct gossip_probe *p)
{
    uint32_t relays[16];
    uint32_t want = NUM_MIN(g->rules.relays, 16u);
    uint32_t found =
        want == 0 ? 0 : gossip_members_random(g, GOSSIP_CHOOSE_ALIVE, p->target, want, relays);
    p->phase = GOSSIP_PHASE_INDIRECT;
    p->asks = probe_asks(g);
    p->next_us = probe_next(g, p->end_us, p->asks);
    p->nacks_wanted = (uint8_t)found;
    for (uint32_t i = 0; i < found; i++) {
        struct gossip_out *o = gossip_out_add(g, relays[i], GOSSIP_TYPE_RELAY, GOSSIP_DATAGRAM);
        if (o != NULL) {
            o->seq = p->seq;
            o->target = p->target;
        }
    }
    g->counters.indirect += found;
    struct gossip_out *o = gossip_out_add(g, p->target, GOSSIP_TYPE_PING, GOSSIP_STREAM);
    if (o != NULL) {
        o->seq = p->seq;
        o->target = p->target;
        p->token = o->token;
        g->counters.stream_probes++;
    }
    struct gossip_entry *e = gossip_entry_of(g, p->target);
    if (e != NULL && p->repeats == 0) {
        gossip_health_direct(g, true);
    }
    if (e != NULL) {
        gossip_cut_call(g, e);
    }
}

static void probe_ask_again(struct gossip *g, struct gossip_probe *p, uint64_t over_us)
{
    p->asks--;
    p->next_us = probe_next(g, over_us, p->asks);
    if (p->repeats == 0 && p->phase == GOSSIP_PHASE_DIRECT) {
        gossip_health_direct(g, true);
    }
    p->repeats++;
    probe_ping(g, p->target, p->seq | (uint32_t)p->repeats << PROBE_NTH_SHIFT, true);
}

static void probe_drop(struct gossip *g, struct gossip_probe *p)
{
    *p = g->probes[--g->probe_count];
}

static void probe_failed(struct gossip *g, const struct gossip_probe *p)
{
    struct gossip_entry *e = gossip_entry_of(g, p->target);
    if (e != NULL && e->epoch != p->epoch) {
        return; /* an earlier start did not answer: this one was not asked */
    }
    /* that a member fails again says nothing new of this node: else half of a cluster that is cut
     * off from the other half would hold itself unwell */
    bool again = g->rules.late_is_own && e != NULL && e->fails > 0;
    if (p->scheduled && !again) {
        int missing = p->nacks_wanted - p->nacks;
        gossip_health_add(g, p->nacks_wanted == 0 ? 1 : missing);
    }
    if (e == NULL || e->state == GOSSIP_REMOVED || e->state == GOSSIP_LEFT) {
        return;
    }
    g->counters.probes_failed++;
    g->counters.indirect_failed += p->nacks_wanted;
    if (p->scheduled && gossip_entry_lives(e)) {
        gossip_health_loss(&g->loss, true);
    }
    e->flags |= GOSSIP_FLAG_DOUBTED;
    e->fails = (uint8_t)(e->fails + (e->fails < UINT8_MAX));
    if (e->state == GOSSIP_DEAD) {
        return;
    }
    (void)gossip_suspicion_accuse(g, e, g->options.self);
    gossip_cut_call(g, e);
}

/* By a stream alone: it lives, and its datagrams are lost. */
static void probe_streamed(struct gossip *g, const struct gossip_probe *p)
{
    struct gossip_entry *e = gossip_entry_of(g, p->target);
    if (e == NULL) {
        return;
    }
    probe_udp(g, e, true);
    gossip_cut_call(g, e);
}

static void relay_run(struct gossip *g, struct gossip_relay *r)
{
    if (r->asks > 0 && g->now_us < r->end_us) {
        r->asks--;
        r->next_us = probe_next(g, r->end_us, r->asks);
        probe_ping(g, r->target, r->seq, false);
        return;
    }
    struct gossip_out *o = gossip_out_add(g, r->origin, GOSSIP_TYPE_NACK, GOSSIP_DATAGRAM);
    if (o != NULL) {
        o->seq = r->origin_seq;
    }
    *r = g->relays[--g->relay_count];
}

static void probe_step(struct gossip *g, uint32_t place)
{
    struct gossip_probe *p = &g->probes[place];
    uint64_t over_us =
        p->phase == GOSSIP_PHASE_DIRECT ? p->sent_us + g->rules.probe_timeout_us : p->end_us;
    if (p->asks > 0 && g->now_us < over_us) {
        probe_ask_again(g, p, over_us);
        return;
    }
    if (p->phase == GOSSIP_PHASE_DIRECT && g->now_us < p->end_us) {
        probe_indirect(g, p);
        return;
    }
    struct gossip_probe ended = *p;
    probe_drop(g, p);
    if (ended.streamed) {
        probe_streamed(g, &ended);
    } else {
        probe_failed(g, &ended);
    }
}

void gossip_probe_run(struct gossip *g)
{
    for (uint32_t i = g->probe_count; i > 0; i--) {
        if (i <= g->probe_count && g->probes[i - 1].next_us <= g->now_us) {
            probe_step(g, i - 1);
        }
    }
    for (uint32_t i = g->relay_count; i > 0; i--) {
        if (g->relays[i - 1].next_us <= g->now_us) {
            relay_run(g, &g->relays[i - 1]);
        }
    }
    g->probes_us = GOSSIP_NEVER;
    for (uint32_t i = 0; i < g->probe_count; i++) {
        probes_wake(g, g->probes[i].next_us);
    }
    for (uint32_t i = 0; i < g->relay_count; i++) {
        probes_wake(g, g->relays[i].next_us);
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

/* nth: the ping that was answered. */
static void probe_answered(struct gossip *g, uint32_t place, bool own, uint32_t nth,
                           enum gossip_channel channel)
{
    struct gossip_probe *p = &g->probes[place];
    struct gossip_entry *e = gossip_entry_of(g, p->target);
    if (e == NULL) {
        probe_drop(g, p);
        return;
    }
    g->answered_us = g->now_us;
    gossip_probe_answered(g, e);
    if (p->scheduled && !p->streamed) {
        gossip_health_answered(g, p->sent_us);
        gossip_health_loss(&g->loss, false);
    }
    if (channel == GOSSIP_STREAM) {
        p->streamed = true; /* datagrams may come yet, until the interval ends */
        return;
    }
    if (own && nth == 0 && p->phase == GOSSIP_PHASE_DIRECT) {
        if (p->repeats == 0) {
            gossip_health_direct(g, false);
        } else {
            gossip_health_late_answer(g);
        }
    }
    if (own && nth == 0) {
        gossip_probe_rtt(g, e, g->now_us - p->sent_us);
    }
    probe_udp(g, e, false);
    probe_drop(g, p);
}

void gossip_probe_ack(struct gossip *g, uint32_t sender, uint32_t seq, enum gossip_channel channel)
{
    for (uint32_t i = 0; i < g->probe_count; i++) {
        bool own = g->probes[i].target == sender;
        uint32_t nth = probe_nth(&g->probes[i], seq);
        if (nth != UINT32_MAX && (own || g->probes[i].phase == GOSSIP_PHASE_INDIRECT)) {
            probe_answered(g, i, own, nth, channel);
            return;
        }
    }
    for (uint32_t i = 0; i < g->relay_count; i++) {
        struct gossip_relay *r = &g->relays[i];
        if (r->seq == seq && r->target == sender) {
            struct gossip_out *o = gossip_out_add(g, r->origin, GOSSIP_TYPE_ACK, GOSSIP_DATAGRAM);
            if (o != NULL) {
                o->seq = r->origin_seq;
            }
            *r = g->relays[--g->relay_count];
            return;
        }
    }
    (void)gossip_cut_ack(g, sender, seq);
}

void gossip_probe_nack(struct gossip *g, uint32_t sender, uint32_t seq)
{
    (void)sender;
    for (uint32_t i = 0; i < g->probe_count; i++) {
        struct gossip_probe *p = &g->probes[i];
        if (p->seq == seq && p->nacks < p->nacks_wanted) {
            p->nacks++;
        }
    }
}

void gossip_probe_relay(struct gossip *g, uint32_t sender, uint32_t seq, uint32_t target)
{
    const struct gossip_entry *e = gossip_entry_of(g, target);
    if (e == NULL || e->state == GOSSIP_REMOVED || g->relay_count == GOSSIP_RELAYS_MAX) {
        return;
    }
    struct gossip_relay *r = &g->relays[g->relay_count++];
    *r = (struct gossip_relay){.origin = sender,
                               .origin_seq = seq,
                               .seq = gossip_probe_seq(g),
                               .target = target,
                               .end_us = g->now_us + g->rules.probe_timeout_us,
                               .asks = probe_asks(g)};
    r->next_us = probe_next(g, r->end_us, r->asks);
    probes_wake(g, r->next_us);
    probe_ping(g, target, r->seq, false);
}

void gossip_probe_stream_failed(struct gossip *g, uint64_t token)
{
    for (uint32_t i = 0; i < g->probe_count; i++) {
        if (g->probes[i].token == token) {
            g->probes[i].token = 0;
        }
    }
}
