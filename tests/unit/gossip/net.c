/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The virtual network of the unit tests.
 */
#include "tests/unit/gossip/net.h"

#define NET_DELAY_US 1000u

struct gossip_address net_address(uint32_t id)
{
    struct gossip_address a = {.port = (uint16_t)(7000 + id)};
    a.ip[10] = 0xff;
    a.ip[11] = 0xff;
    a.ip[12] = 127;
    a.ip[15] = 1;
    return a;
}

struct net *net_new(uint32_t count, struct gossip_rules rules, uint64_t seed)
{
    struct net *n = calloc(1, sizeof(*n));
    ck_assert_ptr_nonnull(n);
    ck_assert_uint_le(count, NET_NODES_MAX);
    n->count = count;
    n->now_us = 1000000;
    n->delay_us = NET_DELAY_US;
    n->heap = alloc_heap();
    rng_init(&n->rng, seed);
    n->options = (struct gossip_options){.rules = rules, .members_max = count, .seed = seed};
    for (uint32_t i = 0; i < count; i++) {
        n->seats[i] = (struct gossip_seat){
            .id = i + 1, .zone = i % 3, .epoch_least = 1, .address = net_address(i + 1)};
    }
    for (uint32_t id = 1; id <= count; id++) {
        net_start(n, id, 1);
    }
    return n;
}

void net_free(struct net *n)
{
    for (uint32_t id = 1; id <= n->count; id++) {
        gossip_free(n->nodes[id]);
    }
    for (size_t i = 0; i < n->packet_count; i++) {
        free(n->packets[i].data);
    }
    free(n->packets);
    free(n);
}

void net_start(struct net *n, uint32_t id, uint64_t epoch)
{
    struct gossip_options options = n->options;
    options.self = id;
    options.epoch = epoch;
    n->epochs[id] = epoch;
    ck_assert_int_eq(gossip_new(&n->nodes[id], &options, n->seats, n->count, &n->heap, n->now_us),
                     0);
}

void net_crash(struct net *n, uint32_t id)
{
    gossip_free(n->nodes[id]);
    n->nodes[id] = NULL;
}

static bool net_before(const struct net_packet *a, const struct net_packet *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void net_push(struct net *n, struct net_packet packet)
{
    if (n->packet_count == n->packet_cap) {
        n->packet_cap = n->packet_cap == 0 ? 256 : 2 * n->packet_cap;
        n->packets = realloc(n->packets, sizeof(*n->packets) * n->packet_cap);
        ck_assert_ptr_nonnull(n->packets);
    }
    packet.order = n->order++;
    size_t at = n->packet_count++;
    while (at > 0 && net_before(&packet, &n->packets[(at - 1) / 2])) {
        n->packets[at] = n->packets[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    n->packets[at] = packet;
}

static struct net_packet net_pop(struct net *n)
{
    struct net_packet top = n->packets[0];
    struct net_packet last = n->packets[--n->packet_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n->packet_count) {
            break;
        }
        if (child + 1 < n->packet_count && net_before(&n->packets[child + 1], &n->packets[child])) {
            child++;
        }
        if (!net_before(&n->packets[child], &last)) {
            break;
        }
        n->packets[at] = n->packets[child];
        at = child;
    }
    n->packets[at] = last;
    return top;
}

static uint32_t net_whose(const struct net *n, const struct gossip_address *a)
{
    for (uint32_t i = 0; i < n->count; i++) {
        struct gossip_address own = net_address(n->seats[i].id);
        if (own.port == a->port) {
            return n->seats[i].id;
        }
    }
    return 0;
}

static void net_send(struct net *n, uint32_t from, const struct gossip_action *action)
{
    uint32_t to = net_whose(n, &action->address);
    bool datagram = action->channel == GOSSIP_DATAGRAM;
    n->sent_to[action->peer]++;
    if (datagram && action->data.size > n->datagram_most) {
        n->datagram_most = action->data.size;
    }
    bool lost = n->cut[from][to] || (!datagram && n->cut[to][from]) || to == 0;
    lost = lost || (datagram ? n->udp_blocked : n->tcp_blocked || n->nodes[to] == NULL);
    lost = lost || (datagram && rng_below(&n->rng, 100) < n->egress_loss[from]);
    struct net_packet packet = {.at_us = n->now_us + n->delay_us,
                                .token = action->token,
                                .epoch = n->epochs[from],
                                .from = from,
                                .to = to,
                                .channel = (uint8_t)action->channel};
    if (lost && datagram) {
        return;
    }
    if (lost) {
        packet.to = from; /* the failure comes back */
        packet.channel = 0;
        net_push(n, packet);
        return;
    }
    packet.data = malloc(action->data.size);
    ck_assert_ptr_nonnull(packet.data);
    memcpy(packet.data, action->data.data, action->data.size);
    packet.size = action->data.size;
    net_push(n, packet);
}

void net_drain(struct net *n, uint32_t id)
{
    struct gossip_action action;
    while (n->nodes[id] != NULL && gossip_poll(n->nodes[id], &action)) {
        switch (action.kind) {
        case GOSSIP_SEND: net_send(n, id, &action); break;
        case GOSSIP_CHANGE: n->deaths += action.member.state == GOSSIP_DEAD; break;
        case GOSSIP_CONFLICT: n->conflicts++; break;
        case GOSSIP_CUT:
            for (uint32_t i = 0; i < action.cut_count; i++) {
                n->cut_told[id][action.cut[i]] = true;
            }
            break;
        case GOSSIP_FACT: n->facts++; break;
        case GOSSIP_LEFT_DONE: n->left_done++; break;
        }
    }
}

static void net_deliver(struct net *n, struct net_packet *p)
{
    struct gossip *g = n->nodes[p->to];
    if (g != NULL && p->channel == 0) {
        gossip_stream_done(g, p->token, -1, n->now_us);
    } else if (g != NULL) {
        struct gossip_address from = net_address(p->from);
        (void)gossip_receive(g, p->channel, p->from, p->epoch, &from, bytes_of(p->data, p->size),
                             n->now_us);
    }
    free(p->data);
    net_drain(n, p->to);
}

void net_run(struct net *n, uint64_t us)
{
    uint64_t end = n->now_us + us;
    for (;;) {
        uint64_t next = end;
        uint32_t who = 0;
        for (uint32_t id = 1; id <= n->count; id++) {
            net_drain(n, id);
            uint64_t due =
                n->nodes[id] == NULL || n->paused[id] ? UINT64_MAX : gossip_deadline(n->nodes[id]);
            if (due < next) {
                next = due;
                who = id;
            }
        }
        if (n->packet_count > 0 && n->packets[0].at_us <= next && n->packets[0].at_us < end) {
            struct net_packet p = net_pop(n);
            n->now_us = NUM_MAX(n->now_us, p.at_us);
            if (n->paused[p.to]) {
                p.at_us = n->now_us + 100000; /* waits in the socket */
                net_push(n, p);
                continue;
            }
            net_deliver(n, &p);
            continue;
        }
        if (who == 0) {
            break;
        }
        n->now_us = NUM_MAX(n->now_us, next);
        gossip_tick(n->nodes[who], n->now_us);
        net_drain(n, who);
    }
    n->now_us = end;
}

enum gossip_state net_state(const struct net *n, uint32_t at, uint32_t of)
{
    struct gossip_member m;
    ck_assert_int_eq(gossip_member_of(n->nodes[at], of, &m), 0);
    return m.state;
}

bool net_agrees(const struct net *n)
{
    bool first = true;
    uint64_t digest = 0;
    for (uint32_t id = 1; id <= n->count; id++) {
        if (n->nodes[id] == NULL) {
            continue;
        }
        uint64_t own = gossip_digest(n->nodes[id]);
        if (!first && own != digest) {
            return false;
        }
        digest = own;
        first = false;
    }
    return true;
}

uint64_t net_settle(struct net *n, uint64_t most_us)
{
    for (uint64_t passed = 0; passed < most_us; passed += 100000) {
        if (net_agrees(n)) {
            return passed;
        }
        net_run(n, 100000);
    }
    return net_agrees(n) ? most_us : UINT64_MAX;
}

void net_split(struct net *n, uint32_t last, bool cut)
{
    for (uint32_t a = 1; a <= n->count; a++) {
        for (uint32_t b = 1; b <= n->count; b++) {
            if ((a <= last) != (b <= last)) {
                n->cut[a][b] = cut;
            }
        }
    }
}

struct gossip_record net_record(uint32_t id, enum gossip_state state, uint64_t epoch,
                                uint64_t incarnation)
{
    struct gossip_record r = {.id = id,
                              .state = (uint8_t)state,
                              .epoch = epoch,
                              .incarnation = incarnation,
                              .address = net_address(id)};
    r.has_address = gossip_state_lives(r.state);
    return r;
}

int net_inject_record(struct net *n, uint32_t to, uint32_t sender, const struct gossip_record *r)
{
    uint8_t packet[512];
    struct gossip_writer w = {
        .data = packet, .size = GOSSIP_HEADER_BYTES, .cap = sizeof(packet), .parts_max = 255};
    packet[0] = GOSSIP_VERSION;
    packet[1] = 0;
    ck_assert(gossip_write_record(&w, r));
    struct gossip_address from = net_address(sender);
    return gossip_receive(n->nodes[to], GOSSIP_DATAGRAM, sender, n->epochs[sender], &from,
                          gossip_write_end(&w), n->now_us);
}
