/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Datagrams are lost, delayed, reordered and doubled one by one. A stream is a connection for one
 * message, as TCP on Linux would carry it: three tries to connect (1 s, then 2 s apart), segments
 * sent again in rounds that start at 200 ms, and an end after 5 s; loss costs it time first and
 * only then the message.
 */
#include "tests/gossip/gsim.h"

#include "base/num.h"

#include <string.h>

#define GSIM_STREAM_END_US (5u * GSIM_S)
#define GSIM_SEGMENT_BYTES 1400u
#define GSIM_BYTES_PER_US 125u /* 1 Gbit/s */
#define GSIM_REORDER_US (20u * GSIM_MS)
#define GSIM_SYNC_TYPES_FROM 10u /* messages of these types and up are of syncs */
#define GSIM_PORT 7946u
#define GSIM_CAPTURED_MAX 20000u

struct gossip_address gsim_address(uint32_t index)
{
    struct gossip_address a = {.port = GSIM_PORT};
    a.ip[10] = a.ip[11] = 0xff;
    a.ip[12] = 10;
    a.ip[13] = (uint8_t)(index >> 16);
    a.ip[14] = (uint8_t)(index >> 8);
    a.ip[15] = (uint8_t)index;
    return a;
}

/* returns: the node at an address; the count of nodes if there is none. */
static uint32_t gsim_net_at(const struct gsim *s, const struct gossip_address *a)
{
    uint32_t index = (uint32_t)a->ip[13] << 16 | (uint32_t)a->ip[14] << 8 | a->ip[15];
    bool ours = a->ip[12] == 10 && a->port == GSIM_PORT && index < s->options.nodes;
    return ours ? index : s->options.nodes;
}

static bool gsim_net_chance(struct gsim *s, uint32_t ppm)
{
    return ppm > 0 && rng_next(&s->rng) % 1000000u < ppm;
}

static uint64_t gsim_net_delay(struct gsim *s)
{
    uint64_t r = rng_next(&s->rng) >> 40;
    return s->options.delay_us + (r * s->options.jitter_us >> 24);
}

/* returns: whether one datagram or segment is lost on its way. */
static bool gsim_net_lost(struct gsim *s, uint32_t from, uint32_t to)
{
    return gsim_net_chance(s, s->options.loss_ppm) ||
           gsim_net_chance(s, s->nodes[from].egress_ppm) ||
           gsim_net_chance(s, s->nodes[to].ingress_ppm);
}

static bool gsim_net_cut(const struct gsim *s, uint32_t from, uint32_t to)
{
    return s->nodes[from].side != s->nodes[to].side || s->nodes[from].egress_ppm >= 1000000u ||
           s->nodes[to].ingress_ppm >= 1000000u;
}

void gsim_net_done(struct gsim *s, uint32_t sender, uint64_t token, int code, uint64_t at_us)
{
    struct gsim_packet *p = gsim_packet_get(&s->queue, 0);
    p->to = sender;
    p->from_epoch = s->nodes[sender].epoch;
    p->token = token;
    p->code = code;
    gsim_queue_push(&s->queue, at_us, GSIM_EV_DONE, (struct gsim_event){.of.packet = p});
}

static void gsim_net_capture(struct gsim *s, const struct gsim_packet *p)
{
    if (s->options.capture && p->from == 0 && s->captured_count < GSIM_CAPTURED_MAX) {
        struct gsim_packet *copy = gsim_packet_get(&s->queue, p->size);
        uint8_t pool = copy->pool;
        memcpy(copy, p, sizeof(*p) + p->size);
        copy->pool = pool;
        copy->next = s->captured;
        s->captured = copy;
        s->captured_count++;
    }
}

static void gsim_net_deliver(struct gsim *s, struct gsim_packet *p, uint64_t at_us)
{
    gsim_queue_push(&s->queue, at_us, GSIM_EV_PACKET, (struct gsim_event){.of.packet = p});
}

static void gsim_net_datagram(struct gsim *s, struct gsim_packet *p)
{
    s->totals.packets++;
    s->totals.bytes += p->size + (s->options.sealed ? 0 : GOSSIP_SEAL_BYTES);
    gsim_net_capture(s, p);
    if (s->udp_blocked || gsim_net_cut(s, p->from, p->to) || !s->nodes[p->to].up ||
        gsim_net_lost(s, p->from, p->to)) {
        s->totals.lost++;
        gsim_packet_put(&s->queue, p);
        return;
    }
    uint64_t at_us = s->now_us + gsim_net_delay(s);
    if (gsim_net_chance(s, s->options.reorder_ppm)) {
        at_us += rng_below(&s->rng, GSIM_REORDER_US);
    }
    if (gsim_net_chance(s, s->options.duplicate_ppm)) {
        struct gsim_packet *twin = gsim_packet_get(&s->queue, p->size);
        uint8_t pool = twin->pool;
        memcpy(twin, p, sizeof(*p) + p->size);
        twin->pool = pool;
        gsim_net_deliver(s, twin, s->now_us + gsim_net_delay(s));
    }
    gsim_net_deliver(s, p, at_us);
}

/* returns: how long the message needs, or UINT64_MAX if it does not get through. */
static uint64_t gsim_net_stream_time(struct gsim *s, const struct gsim_packet *p)
{
    uint64_t us = 3 * (uint64_t)s->options.delay_us + p->size / GSIM_BYTES_PER_US;
    unsigned tries = 0;
    while (gsim_net_lost(s, p->from, p->to) || gsim_net_lost(s, p->to, p->from)) {
        us += (uint64_t)GSIM_S << tries;
        if (++tries == 3) {
            return UINT64_MAX;
        }
    }
    uint32_t left = p->size / GSIM_SEGMENT_BYTES + 1;
    for (unsigned round = 0; left > 0 && us < GSIM_STREAM_END_US; round++) {
        uint32_t lost = 0;
        for (uint32_t i = 0; i < left; i++) {
            lost += gsim_net_lost(s, p->from, p->to) ? 1u : 0u;
        }
        us += lost == 0 ? 0 : (uint64_t)200 * GSIM_MS << round;
        left = lost;
    }
    return us < GSIM_STREAM_END_US ? us : UINT64_MAX;
}

static void gsim_net_stream(struct gsim *s, struct gsim_packet *p)
{
    s->totals.streams++;
    s->totals.stream_bytes += p->size + (s->options.sealed ? 0 : GOSSIP_SEAL_BYTES);
    p->sync = !s->options.sealed && p->size > 4 && p->data[4] >= GSIM_SYNC_TYPES_FROM;
    uint64_t us = UINT64_MAX;
    if (s->tcp_blocked) {
        us = s->options.delay_us * 2; /* refused */
    } else if (!gsim_net_cut(s, p->from, p->to) && !gsim_net_cut(s, p->to, p->from) &&
               s->nodes[p->to].up) {
        us = gsim_net_stream_time(s, p);
    }
    if (s->tcp_blocked || us == UINT64_MAX) {
        uint64_t at_us = s->now_us + (us == UINT64_MAX ? GSIM_STREAM_END_US : us);
        gsim_net_done(s, p->from, p->token, s->tcp_blocked ? ERR_CONNECTION : ERR_TIMEOUT, at_us);
        gsim_packet_put(&s->queue, p);
        return;
    }
    s->totals.syncs_now += p->sync ? 1u : 0u;
    if (s->totals.syncs_now > s->totals.syncs_most) {
        s->totals.syncs_most = s->totals.syncs_now;
    }
    gsim_net_deliver(s, p, s->now_us + us + gsim_net_delay(s));
}

/* A message of a type that nobody knows behind the others: header of version, health and count,
 * then messages of type, length and body. */
static void gsim_net_unknown(struct gsim_packet *p)
{
    static const uint8_t message[] = {201, 5, 0, 1, 2, 3, 4, 5};
    memcpy(p->data + p->size, message, sizeof(message));
    num_put_u16(p->data + 2, (uint16_t)(num_get_u16(p->data + 2) + 1));
    p->size += (uint32_t)sizeof(message);
}

static void gsim_net_leave(struct gsim *s, struct gsim_packet *p)
{
    if (p->channel == GOSSIP_STREAM) {
        gsim_net_stream(s, p);
    } else {
        gsim_net_datagram(s, p);
    }
}

void gsim_net_flush(struct gsim *s, uint32_t node)
{
    struct gsim_node *n = &s->nodes[node];
    struct gsim_packet *p = n->outbox_head;
    n->outbox_head = n->outbox_tail = NULL;
    while (p != NULL) {
        struct gsim_packet *next = p->next;
        p->next = NULL;
        gsim_net_leave(s, p);
        p = next;
    }
}

static void gsim_net_hold(struct gsim_node *n, struct gsim_packet *p)
{
    if (n->outbox_tail != NULL) {
        n->outbox_tail->next = p;
    } else {
        n->outbox_head = p;
    }
    n->outbox_tail = p;
}

void gsim_net_send(struct gsim *s, uint32_t from, const struct gossip_action *action)
{
    uint32_t to = gsim_net_at(s, &action->address);
    if (to == s->options.nodes) {
        if (action->channel == GOSSIP_STREAM) {
            gsim_net_done(s, from, action->token, ERR_UNREACHABLE, s->now_us + GSIM_MS);
        }
        return;
    }
    struct bytes data = action->data;
    if (s->options.sealed) {
        gsim_close(s, from, to, action, &data);
    }
    bool unknown = s->unknown_messages && !s->options.sealed && from % 2 == 1 && data.size >= 4;
    struct gsim_packet *p = gsim_packet_get(&s->queue, data.size + (unknown ? 8 : 0));
    p->size = (uint32_t)data.size;
    p->from = from;
    p->to = to;
    p->from_epoch = s->nodes[from].epoch;
    p->channel = (uint8_t)action->channel;
    p->token = action->token;
    if (data.size > 0) {
        memcpy(p->data, data.data, data.size);
    }
    if (unknown) {
        gsim_net_unknown(p);
    }
    if (s->nodes[from].blocked) {
        gsim_net_hold(&s->nodes[from], p);
    } else {
        gsim_net_leave(s, p);
    }
}

void gsim_net_replay(struct gsim *s)
{
    for (struct gsim_packet *old = s->captured; old != NULL; old = old->next) {
        struct gsim_packet *p = gsim_packet_get(&s->queue, old->size);
        uint8_t pool = p->pool;
        memcpy(p, old, sizeof(*p) + old->size);
        p->pool = pool;
        p->next = NULL;
        p->replayed = true;
        s->totals.replayed++;
        gsim_net_deliver(s, p, s->now_us + rng_below(&s->rng, GSIM_S));
    }
}
