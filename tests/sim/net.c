/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Frames between nodes. Raft messages may be lost, doubled, delayed and overtaken; the requests
 * and answers between nodes run over connections, which lose everything at once when they break
 * but never double a frame.
 */
#include "base/num.h"
#include "server/node/node_internal.h"
#include "tests/sim/sim.h"

#include <string.h>

bool sim_net_open(const struct sim *s, uint32_t from, uint32_t to)
{
    return !s->links[from][to].cut;
}

static void sim_net_queue(struct sim *s, struct sim_node *from, const struct node_fx *fx,
                          uint64_t at_us)
{
    struct bytes body = fx->body != NULL ? node_blob_bytes(fx->body) : (struct bytes){0};
    size_t bytes = fx->head.size + body.size;
    uint8_t *data = sim_bytes_get(s, bytes);
    if (fx->head.size > 0) {
        memcpy(data, fx->head.data, fx->head.size);
    }
    if (body.size > 0) {
        memcpy(data + fx->head.size, body.data, body.size);
    }
    sim_push(s, &(struct sim_event){.at_us = at_us,
                                    .kind = SIM_EV_FRAME,
                                    .node = fx->peer,
                                    .other = from->id,
                                    .life = s->nodes[fx->peer].life,
                                    .a = from->life,
                                    .frame_kind = fx->frame_kind,
                                    .data = data,
                                    .bytes = bytes});
}

void sim_net_send(struct sim *s, struct sim_node *from, const struct node_fx *fx)
{
    struct sim_link *link = &s->links[from->id][fx->peer];
    bool raft = fx->frame_kind == NODE_FRAME_RAFT;
    uint64_t at = s->now_us + rng_between(&s->rng, 100, 1000);
    s->counters.frames++;
    if (raft) {
        sim_check_frame(s, from, fx->frame_kind, buf_view(&fx->head));
    }
    if (link->cut || !s->nodes[fx->peer].up || !from->peer_up[fx->peer] ||
        (raft && rng_chance(&s->rng, s->loss_ppm, 1000000))) {
        s->counters.lost++;
        return;
    }
    if (link->clog_until_us > at) {
        at = link->clog_until_us + rng_between(&s->rng, 0, 1000);
    }
    if (raft && rng_chance(&s->rng, s->reorder_ppm, 1000000)) {
        at += rng_between(&s->rng, 1 * SIM_MS, 200 * SIM_MS);
    }
    sim_net_queue(s, from, fx, at);
    if (raft && rng_chance(&s->rng, s->duplicate_ppm, 1000000)) {
        s->counters.duplicated++;
        sim_net_queue(s, from, fx, at + rng_between(&s->rng, 0, 300 * SIM_MS));
    }
}

/* Datagrams know no connection: they are lost, doubled and late as raft's messages are. */
void sim_net_datagram(struct sim *s, struct sim_node *from, const struct node_fx *fx)
{
    struct sim_link *link = &s->links[from->id][fx->peer];
    uint64_t at = s->now_us + rng_between(&s->rng, 100, 1000);
    s->counters.datagrams++;
    if (fx->peer == 0 || fx->peer > s->options.nodes || link->cut || !s->nodes[fx->peer].up ||
        rng_chance(&s->rng, s->loss_ppm, 1000000)) {
        s->counters.lost++;
        return;
    }
    if (link->clog_until_us > at) {
        at = link->clog_until_us + rng_between(&s->rng, 0, 1000);
    }
    if (rng_chance(&s->rng, s->reorder_ppm, 1000000)) {
        at += rng_between(&s->rng, 1 * SIM_MS, 200 * SIM_MS);
    }
    unsigned copies = 1 + rng_chance(&s->rng, s->duplicate_ppm, 1000000);
    for (unsigned i = 0; i < copies; i++) {
        uint8_t *data = sim_bytes_get(s, fx->head.size);
        memcpy(data, fx->head.data, fx->head.size);
        sim_push(s, &(struct sim_event){.at_us = at + i * rng_between(&s->rng, 0, 300 * SIM_MS),
                                        .kind = SIM_EV_DATAGRAM,
                                        .node = fx->peer,
                                        .other = from->id,
                                        .life = s->nodes[fx->peer].life,
                                        .data = data,
                                        .bytes = fx->head.size});
    }
}

void sim_net_receive(struct sim *s, struct sim_event *ev)
{
    const struct wire_identity_node *from = wire_identity_node_of(&s->identity, ev->other);
    struct node_event packet = {.kind = NODE_EV_GOSSIP,
                                .from = {.port = from->peer_port},
                                .data = bytes_of(ev->data, ev->bytes)};
    if (s->links[ev->other][ev->node].cut) {
        s->counters.lost++;
        return;
    }
    sim_step_node(s, &s->nodes[ev->node], &packet);
}

void sim_net_deliver(struct sim *s, struct sim_event *ev)
{
    struct sim_node *n = &s->nodes[ev->node];
    struct node_event frame = {.kind = NODE_EV_PEER,
                               .peer = ev->other,
                               .frame_kind = ev->frame_kind,
                               .data = bytes_of(ev->data, ev->bytes)};
    bool raft = ev->frame_kind == NODE_FRAME_RAFT;
    if (s->links[ev->other][ev->node].cut || (!raft && s->nodes[ev->other].life != ev->a)) {
        s->counters.lost++;
        return;
    }
    struct alloc heap = alloc_heap();
    struct alloc blobs = node_blob_alloc(&heap);
    uint8_t *held = ev->bytes > 0 ? alloc_get(&blobs, ev->bytes) : NULL;
    if (held != NULL) {
        memcpy(held, ev->data, ev->bytes);
        frame.data = bytes_of(held, ev->bytes);
        frame.frame = node_blob_of(held);
    }
    sim_step_node(s, n, &frame);
    alloc_put(&blobs, held, ev->bytes);
}

static void sim_net_schedule(struct sim *s, uint32_t node, uint32_t peer, bool up, uint64_t in_us)
{
    sim_push(s, &(struct sim_event){.at_us = s->now_us + in_us,
                                    .kind = SIM_EV_PEER,
                                    .node = node,
                                    .other = peer,
                                    .life = s->nodes[node].life,
                                    .a = up});
}

static bool sim_net_joined(const struct sim *s, uint32_t a, uint32_t b)
{
    return s->nodes[a].up && s->nodes[b].up && sim_net_open(s, a, b) && sim_net_open(s, b, a);
}

void sim_net_refresh(struct sim *s)
{
    for (uint32_t a = 1; a <= s->options.nodes; a++) {
        for (uint32_t b = 1; b <= s->options.nodes; b++) {
            struct sim_node *n = &s->nodes[a];
            if (a == b || !n->up) {
                continue;
            }
            bool joined = sim_net_joined(s, a, b);
            bool same = n->peer_life[b] == s->nodes[b].life;
            if (n->peer_up[b] && !s->nodes[b].up) {
                sim_net_schedule(s, a, b, false, rng_between(&s->rng, 100, 5000));
            } else if (n->peer_up[b] && !joined && s->links[a][b].resets) {
                sim_net_schedule(s, a, b, false, rng_between(&s->rng, 100, 20 * SIM_MS));
            } else if (n->peer_up[b] && !joined) {
                /* most partitions swallow what they cut: connections time out */
                sim_net_schedule(s, a, b, false, rng_between(&s->rng, 500, 3000) * SIM_MS);
            } else if (n->peer_up[b] && !same) {
                sim_net_schedule(s, a, b, false, rng_between(&s->rng, 100, 2000));
            } else if (!n->peer_up[b] && joined) {
                sim_net_schedule(s, a, b, true, rng_between(&s->rng, 1000, 50000));
            }
        }
    }
}

void sim_net_peer(struct sim *s, struct sim_event *ev)
{
    struct sim_node *n = &s->nodes[ev->node];
    struct sim_node *peer = &s->nodes[ev->other];
    bool joined = sim_net_joined(s, ev->node, ev->other);
    bool stale = n->peer_life[ev->other] != peer->life;
    struct node_event event = {.peer = ev->other};
    if (ev->a == 0 && n->peer_up[ev->other] && (!joined || stale)) {
        n->peer_up[ev->other] = false;
        event.kind = NODE_EV_PEER_DOWN;
        sim_step_node(s, n, &event);
        if (joined) {
            sim_net_schedule(s, ev->node, ev->other, true, rng_between(&s->rng, 1000, 50000));
        }
    } else if (ev->a != 0 && !n->peer_up[ev->other] && joined) {
        n->peer_up[ev->other] = true;
        n->peer_life[ev->other] = peer->life;
        event.kind = NODE_EV_PEER_UP;
        sim_step_node(s, n, &event);
    }
}

void sim_net_heal(struct sim *s)
{
    memset(s->links, 0, sizeof(s->links));
    s->loss_ppm = 0;
    s->duplicate_ppm = 0;
    s->reorder_ppm = 0;
    sim_net_refresh(s);
}
