/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nodes: a core each, a queue of packets while its process does not run, and what the cores say,
 * counted as they say it, so that no event costs a look at all members.
 */
#include "tests/gossip/gsim.h"

#include "base/crc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GSIM_BYTES_MAX (8u << 20)

bool gsim_fail(struct gsim *s, const char *format, ...)
{
    if (s->failure[0] == '\0') {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(s->failure, sizeof(s->failure), format, args);
        va_end(args);
    }
    return false;
}

uint64_t gsim_time(const struct gsim *s)
{
    return s->now_us - s->options.origin_us;
}

/* ---- what the cores say */

static bool gsim_healthy(const struct gsim_node *n)
{
    return n->up && n->sick == 0;
}

static void gsim_watch_count(struct gsim *s)
{
    uint32_t know = s->nodes[s->watch].dead_at;
    uint64_t us = s->now_us - s->watch_since_us;
    if (s->watch_first_us == 0) {
        s->watch_first_us = us;
    }
    if (s->watch_half_us == 0 && know * 2 >= s->live) {
        s->watch_half_us = us;
    }
    if (s->watch_most_us == 0 && (uint64_t)know * 100 >= (uint64_t)s->live * 99) {
        s->watch_most_us = us;
        s->stop = s->watch_stops;
    }
    if (s->watch_all_us == 0 && know >= s->live) {
        s->watch_all_us = us;
    }
}

static void gsim_on_change(struct gsim *s, uint32_t at, const struct gossip_action *a)
{
    struct gsim_node *observer = &s->nodes[at];
    uint32_t index = a->member.id - 1;
    ASSERT(index < s->options.nodes);
    struct gsim_node *subject = &s->nodes[index];
    bool lie = gsim_healthy(subject) && a->member.epoch >= subject->epoch;
    if (a->member.state == GOSSIP_DEAD && a->was != GOSSIP_DEAD) {
        subject->dead_at++;
        subject->said_dead += lie && gsim_healthy(observer) ? 1u : 0u;
        s->totals.false_deaths += lie && gsim_healthy(observer) ? 1u : 0u;
        s->totals.false_unwell += lie && !gsim_healthy(observer) ? 1u : 0u;
        if (index == s->watch) {
            gsim_watch_count(s);
        }
    } else if (a->was == GOSSIP_DEAD && a->member.state != GOSSIP_DEAD) {
        subject->dead_at--;
    }
    if (a->member.state == GOSSIP_SUSPECT && lie && gsim_healthy(observer)) {
        s->totals.false_suspects++;
    }
    if (s->options.verbose) {
        (void)fprintf(stderr,
                      "%10.6f node=%u member=%u was=%d state=%d epoch=%llu inc=%llu by=%u\n",
                      (double)gsim_time(s) / 1e6, at + 1, a->member.id, (int)a->was,
                      (int)a->member.state, (unsigned long long)a->member.epoch,
                      (unsigned long long)a->member.incarnation, a->accusers);
    }
}

static void gsim_on_cut(struct gsim *s, uint32_t at, const struct gossip_action *a)
{
    struct gsim_node *observer = &s->nodes[at];
    s->totals.cuts++;
    for (uint32_t i = 0; i < a->cut_count; i++) {
        uint32_t index = a->cut[i] - 1;
        if (index < 64 && s->nodes[index].sick != 0) {
            observer->cut_right |= 1ull << index;
        } else if (gsim_healthy(&s->nodes[index])) {
            observer->cut_wrong++;
        }
        if (s->options.verbose) {
            (void)fprintf(stderr, "%10.6f node=%u cut=%u\n", (double)gsim_time(s) / 1e6, at + 1,
                          a->cut[i]);
        }
    }
}

static void gsim_on_fact(struct gsim *s, uint32_t at, const struct gossip_action *a)
{
    struct bytes value;
    uint64_t version = 0;
    s->totals.facts++;
    if (a->peer == 1 && a->fact == GOSSIP_FACT_PROMPT &&
        gossip_fact_get(s->nodes[at].core, 1, GOSSIP_FACT_PROMPT, &version, &value) == 0 &&
        value.size >= 8) {
        memcpy(&s->nodes[at].fact_value, value.data, 8);
    }
}

static void gsim_arm(struct gsim *s, uint32_t node)
{
    struct gsim_node *n = &s->nodes[node];
    uint64_t at_us = gossip_deadline(n->core);
    if (at_us < n->tick_us) {
        at_us = at_us > s->now_us ? at_us : s->now_us + 1;
        at_us += s->options.late_us > 0 ? rng_next(&s->rng) % s->options.late_us : 0;
        if (at_us < n->tick_us) {
            n->tick_us = at_us;
            gsim_queue_push(&s->queue, at_us, GSIM_EV_TICK, (struct gsim_event){.of.node = node});
        }
    }
}

void gsim_drain(struct gsim *s, uint32_t node)
{
    struct gossip_action a;
    while (gossip_poll(s->nodes[node].core, &a)) {
        if (a.kind == GOSSIP_SEND) {
            gsim_net_send(s, node, &a);
        } else if (a.kind == GOSSIP_CHANGE) {
            gsim_on_change(s, node, &a);
        } else if (a.kind == GOSSIP_CUT) {
            gsim_on_cut(s, node, &a);
        } else if (a.kind == GOSSIP_FACT) {
            gsim_on_fact(s, node, &a);
        } else if (a.kind == GOSSIP_LEFT_DONE) {
            s->nodes[node].left = true;
        }
    }
    gsim_arm(s, node);
}

/* ---- events */

static void gsim_hand_over(struct gsim *s, struct gsim_packet *p)
{
    struct gsim_node *n = &s->nodes[p->to];
    struct bytes data = bytes_of(p->data, p->size);
    struct gossip_address from = {0};
    uint32_t sender = p->from + 1;
    uint64_t epoch = p->from_epoch;
    if (p->channel == GOSSIP_DATAGRAM) {
        from = gsim_address(p->from);
    }
    bool opened = !s->options.sealed || gsim_open(s, p, &data, &sender, &epoch);
    if (opened && data.size > 0) {
        (void)gossip_receive(n->core, (enum gossip_channel)p->channel, sender, epoch, &from, data,
                             s->now_us);
    } else if (!opened) {
        s->totals.refused += p->replayed ? 1u : 0u;
    }
    gsim_packet_put(&s->queue, p);
}

/* A process that does not run has its kernel: a socket's buffer, and a backlog of connections. */
static void gsim_keep(struct gsim *s, struct gsim_packet *p)
{
    struct gsim_node *n = &s->nodes[p->to];
    bool stream = p->channel == GOSSIP_STREAM;
    uint32_t cost = stream ? 0 : p->size + GSIM_PACKET_COST_BYTES;
    if (stream ? n->inbox_streams >= GSIM_BACKLOG : n->inbox_bytes + cost > GSIM_INBOX_BYTES) {
        s->totals.overrun++;
        gsim_packet_put(&s->queue, p);
        return;
    }
    n->inbox_streams += stream ? 1u : 0u;
    n->inbox_bytes += cost;
    p->next = NULL;
    if (n->inbox_tail != NULL) {
        n->inbox_tail->next = p;
    } else {
        n->inbox_head = p;
    }
    n->inbox_tail = p;
}

static void gsim_on_packet(struct gsim *s, struct gsim_packet *p)
{
    struct gsim_node *n = &s->nodes[p->to];
    uint32_t to = p->to;
    s->totals.syncs_now -= p->sync ? 1u : 0u;
    if (p->channel == GOSSIP_STREAM && !p->replayed) {
        bool full = n->blocked && n->inbox_streams >= GSIM_BACKLOG;
        int code = !n->up ? ERR_CONNECTION : full ? ERR_TIMEOUT : 0;
        gsim_net_done(s, p->from, p->token, code,
                      s->now_us + (full ? 5 * GSIM_S : s->options.delay_us));
    }
    if (!n->up) {
        gsim_packet_put(&s->queue, p);
    } else if (n->blocked) {
        gsim_keep(s, p);
    } else {
        gsim_hand_over(s, p);
        gsim_drain(s, to);
    }
}

static void gsim_on_done(struct gsim *s, struct gsim_packet *p)
{
    struct gsim_node *n = &s->nodes[p->to];
    uint32_t node = p->to;
    if (n->up && n->epoch == p->from_epoch && n->blocked) {
        gsim_queue_push(&s->queue, n->open_us, GSIM_EV_DONE, (struct gsim_event){.of.packet = p});
        return;
    }
    if (n->up && n->epoch == p->from_epoch) {
        gossip_stream_done(n->core, p->token, p->code, s->now_us);
        gsim_drain(s, node);
    }
    gsim_packet_put(&s->queue, p);
}

static void gsim_on_tick(struct gsim *s, uint32_t node)
{
    struct gsim_node *n = &s->nodes[node];
    if (!n->up || n->stopped || n->tick_us != s->now_us) {
        return;
    }
    n->tick_us = UINT64_MAX;
    if (gossip_deadline(n->core) <= s->now_us) {
        gossip_tick(n->core, s->now_us);
        gsim_drain(s, node);
    } else {
        gsim_arm(s, node);
    }
}

/* The loop's order: timers first, then what has come. */
static void gsim_wake(struct gsim *s, uint32_t node)
{
    struct gsim_node *n = &s->nodes[node];
    n->blocked = n->stopped = false;
    if (!n->up) {
        return;
    }
    gsim_net_flush(s, node);
    n->tick_us = UINT64_MAX;
    if (gossip_deadline(n->core) <= s->now_us) {
        gossip_tick(n->core, s->now_us);
    }
    gsim_drain(s, node);
    struct gsim_packet *p = n->inbox_head;
    n->inbox_head = n->inbox_tail = NULL;
    n->inbox_bytes = n->inbox_streams = 0;
    while (p != NULL) {
        struct gsim_packet *next = p->next;
        gsim_hand_over(s, p);
        gsim_drain(s, node);
        p = next;
    }
}

static void gsim_on_block(struct gsim *s, uint32_t node)
{
    struct gsim_node *n = &s->nodes[node];
    n->blocked = true;
    n->stopped = s->options.stalled;
    n->open_us = s->now_us + s->options.blocked_us;
    gsim_queue_push(&s->queue, n->open_us, GSIM_EV_OPEN, (struct gsim_event){.of.node = node});
}

static void gsim_on_open(struct gsim *s, uint32_t node)
{
    struct gsim_node *n = &s->nodes[node];
    gsim_wake(s, node);
    if ((n->sick & GSIM_STARVED) != 0) {
        gsim_queue_push(&s->queue, s->now_us + s->options.open_us, GSIM_EV_BLOCK,
                        (struct gsim_event){.of.node = node});
    }
}

static void gsim_trace(struct gsim *s, const struct gsim_event *e)
{
    uint64_t kind = e->key & 255u;
    uint64_t h = hash_mix(s->trace ^ gsim_time(s) << 4 ^ kind);
    if (kind == GSIM_EV_PACKET) {
        const struct gsim_packet *p = e->of.packet;
        h ^= ((uint64_t)p->from << 32 | p->to) ^ (uint64_t)crc_of(p->data, p->size) << 20;
    } else if (kind == GSIM_EV_DONE) {
        h ^= ((uint64_t)e->of.packet->to << 32) + (uint64_t)(uint32_t)e->of.packet->code;
    } else {
        h ^= e->of.node;
    }
    s->trace = hash_mix(h);
    s->totals.events++;
}

static void gsim_step(struct gsim *s, const struct gsim_event *e)
{
    switch ((enum gsim_event_kind)(e->key & 255u)) {
    case GSIM_EV_TICK: gsim_on_tick(s, e->of.node); break;
    case GSIM_EV_PACKET: gsim_on_packet(s, e->of.packet); break;
    case GSIM_EV_DONE: gsim_on_done(s, e->of.packet); break;
    case GSIM_EV_BLOCK: gsim_on_block(s, e->of.node); break;
    case GSIM_EV_OPEN: gsim_on_open(s, e->of.node); break;
    }
}

/* What the next event will touch: the cores are far larger than any cache. */
static void gsim_prefetch(const struct gsim *s)
{
    const struct gsim_event *next = &s->queue.events[0];
    if (s->queue.count > 0 && (next->key & 255u) == GSIM_EV_PACKET) {
        const struct gsim_packet *p = next->of.packet;
        const uint8_t *core = (const uint8_t *)s->nodes[p->to].core;
        for (unsigned i = 0; i < 1024; i += 64) {
            __builtin_prefetch(core + i);
            __builtin_prefetch((const uint8_t *)p + i);
        }
    }
}

void gsim_run(struct gsim *s, uint64_t at_us)
{
    uint64_t end_us = s->options.origin_us + at_us;
    struct gsim_event e;
    while (!s->stop && s->queue.count > 0 && s->queue.events[0].at_us < end_us &&
           gsim_queue_pop(&s->queue, &e)) {
        ASSERT(e.at_us >= s->now_us);
        s->now_us = e.at_us;
        gsim_prefetch(s);
        gsim_trace(s, &e);
        gsim_step(s, &e);
    }
    if (!s->stop && s->now_us < end_us) {
        s->now_us = end_us;
    }
}

/* ---- what happens to nodes */

static void gsim_start(struct gsim *s, uint32_t node)
{
    struct gsim_node *n = &s->nodes[node];
    struct gossip_options options = {.self = node + 1,
                                     .epoch = n->epoch,
                                     .seed = hash_mix(s->options.seed << 24 ^ node) ^ n->epoch,
                                     .rules = s->options.rules,
                                     .members_max = s->options.nodes,
                                     .datagram_bytes = 1350,
                                     .stream_bytes = 65536,
                                     .facts_bytes_second = 128,
                                     .epoch_jump_max = 1u << 20};
    int code = gossip_new(&n->core, &options, s->seats, s->options.nodes, &s->alloc, s->now_us);
    ASSERT(code == 0);
    n->up = true;
    n->tick_us = UINT64_MAX;
    s->live++;
    if (s->options.sealed) {
        gsim_seal_start(s, node);
    }
}

/* What its kernel holds is gone. */
static void gsim_drop(struct gsim *s, struct gsim_node *n)
{
    struct gsim_packet *heads[] = {n->inbox_head, n->outbox_head};
    for (unsigned i = 0; i < 2; i++) {
        for (struct gsim_packet *p = heads[i], *next; p != NULL; p = next) {
            next = p->next;
            gsim_packet_put(&s->queue, p);
        }
    }
    n->inbox_head = n->inbox_tail = n->outbox_head = n->outbox_tail = NULL;
    n->inbox_bytes = n->inbox_streams = 0;
}

void gsim_crash(struct gsim *s, uint32_t node)
{
    struct gsim_node *n = &s->nodes[node];
    struct gossip_member m;
    ASSERT(n->up);
    for (uint32_t i = 0; i < gossip_count(n->core); i++) {
        gossip_member_at(n->core, i, &m);
        s->nodes[m.id - 1].dead_at -= m.state == GOSSIP_DEAD ? 1u : 0u;
    }
    gsim_drop(s, n);
    n->up = false;
    n->sick |= GSIM_CRASHED;
    gossip_free(n->core);
    n->core = NULL;
    gossip_seal_free(n->seal);
    n->seal = NULL;
    s->live--;
}

void gsim_restart(struct gsim *s, uint32_t node)
{
    struct gsim_node *n = &s->nodes[node];
    ASSERT(!n->up);
    n->epoch++;
    s->seats[node].epoch_least = n->epoch; /* recorded before the start */
    n->sick &= ~(uint32_t)GSIM_CRASHED;
    n->blocked = n->stopped = false;
    gsim_start(s, node);
    gsim_drain(s, node);
}

void gsim_freeze(struct gsim *s, uint32_t node, uint64_t us)
{
    struct gsim_node *n = &s->nodes[node];
    n->blocked = n->stopped = true;
    n->open_us = s->now_us + us;
    gsim_queue_push(&s->queue, n->open_us, GSIM_EV_OPEN, (struct gsim_event){.of.node = node});
}

bool gsim_watch(struct gsim *s, uint32_t node, uint64_t us)
{
    s->watch = node;
    s->watch_since_us = s->now_us;
    s->watch_first_us = s->watch_half_us = s->watch_most_us = s->watch_all_us = 0;
    gsim_run(s, gsim_time(s) + us);
    s->stop = false;
    return s->watch_most_us != 0;
}

/* ---- views */

bool gsim_agree(const struct gsim *s)
{
    uint64_t digest = 0;
    bool first = true;
    for (uint32_t i = 0; i < s->options.nodes; i++) {
        if (gsim_healthy(&s->nodes[i])) {
            uint64_t one = gossip_digest(s->nodes[i].core);
            if (!first && one != digest) {
                return false;
            }
            digest = one;
            first = false;
        }
    }
    return true;
}

uint64_t gsim_not_alive(const struct gsim *s)
{
    uint64_t count = 0;
    struct gossip_member m;
    for (uint32_t i = 0; i < s->options.nodes; i++) {
        for (uint32_t k = 0; gsim_healthy(&s->nodes[i]) && k < s->options.nodes; k++) {
            gossip_member_at(s->nodes[i].core, k, &m);
            const struct gsim_node *n = &s->nodes[m.id - 1];
            bool alive = m.state == GOSSIP_ALIVE || m.state == GOSSIP_DEGRADED;
            count += n->up && (!alive || m.epoch != n->epoch) ? 1u : 0u;
        }
    }
    return count;
}

struct gossip_counters gsim_counters(const struct gsim *s)
{
    struct gossip_counters sum = {0}, one;
    uint64_t *to = (uint64_t *)&sum;
    const uint64_t *from = (const uint64_t *)&one;
    for (uint32_t i = 0; i < s->options.nodes; i++) {
        if (s->nodes[i].up) {
            gossip_counters_get(s->nodes[i].core, &one);
            for (size_t k = 0; k < sizeof(one) / sizeof(uint64_t); k++) {
                to[k] += from[k];
            }
        }
    }
    return sum;
}

/* ---- life */

void gsim_init(struct gsim *s, const struct gsim_options *options, struct gsim_arena *arena)
{
    char failure[GSIM_FAILURE_BYTES];
    memcpy(failure, s->failure, sizeof(failure)); /* of an earlier run of the same scenario */
    *s = (struct gsim){.options = *options,
                       .now_us = options->origin_us,
                       .trace = hash_mix(options->seed),
                       .watch = UINT32_MAX,
                       .alloc = alloc_heap()};
    if (!options->heap) {
        gsim_arena_reset(arena);
        s->alloc = gsim_arena_alloc(arena);
    }
    memcpy(s->failure, failure, sizeof(failure));
    rng_init(&s->rng, hash_mix(options->seed) + 1);
    s->nodes = calloc(options->nodes, sizeof(*s->nodes));
    s->seats = calloc(options->nodes, sizeof(*s->seats));
    s->unsealed = malloc(GSIM_BYTES_MAX);
    ASSERT(s->nodes != NULL && s->seats != NULL && s->unsealed != NULL);
    struct alloc heap = alloc_heap();
    buf_init(&s->sealed, &heap, GSIM_BYTES_MAX);
    for (uint32_t i = 0; i < options->nodes; i++) {
        s->seats[i] = (struct gossip_seat){
            .id = i + 1, .zone = i % 3, .epoch_least = 1, .address = gsim_address(i)};
        s->nodes[i].epoch = 1;
    }
    for (uint32_t i = 0; i < options->nodes; i++) {
        gsim_start(s, i);
        gsim_drain(s, i);
    }
    for (uint32_t i = 0; i < options->starved && i < options->nodes; i++) {
        s->nodes[i].sick |= GSIM_STARVED;
        uint64_t at_us = s->now_us + GSIM_S + rng_below(&s->rng, options->blocked_us);
        gsim_queue_push(&s->queue, at_us, GSIM_EV_BLOCK, (struct gsim_event){.of.node = i});
    }
}

void gsim_release(struct gsim *s)
{
    for (uint32_t i = 0; i < s->options.nodes; i++) {
        struct gsim_node *n = &s->nodes[i];
        gsim_drop(s, n);
        if (n->up && s->options.heap) {
            gossip_free(n->core);
            gossip_seal_free(n->seal);
        }
    }
    while (s->captured != NULL) {
        struct gsim_packet *p = s->captured;
        s->captured = p->next;
        gsim_packet_put(&s->queue, p);
    }
    gsim_queue_release(&s->queue);
    buf_release(&s->sealed);
    free(s->unsealed);
    free(s->nodes);
    free(s->seats);
}
