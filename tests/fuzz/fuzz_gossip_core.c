/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary messages to the core, as from members whose envelopes opened. Its examples are what
 * nodes of a small cluster really send.
 */
#include "tests/fuzz/fuzz_gossip.h"

#include "base/num.h"
#include "gossip/gossip.h"

#include <string.h>

#define CORE_SELF 2u
#define CORE_NODES 6u
#define CORE_MEMBERS_MAX 8u
#define CORE_DATAGRAM_BYTES 1350u
#define CORE_STREAM_BYTES 8192u
#define CORE_OPS_MAX 400u /* of one input */
#define CORE_ACTIONS_MAX 100000u
#define CORE_EPOCH 3u

/* What a byte of the input asks for: its lower three bits. */
enum core_op {
    CORE_RECEIVE = 0, /* and 1 to 3: sender u8, epoch u8, u16 length, message; bit 3: stream */
    CORE_TIME = 4,    /* milliseconds u16 */
    CORE_EVIDENCE = 5,
    CORE_STREAM_DONE = 6,
    CORE_OTHER = 7,
};

static struct gossip *core_make(uint32_t self, uint64_t now_us)
{
    struct alloc heap = alloc_heap();
    struct gossip_seat seats[CORE_NODES];
    struct gossip *g = NULL;
    struct gossip_options o = {.self = self,
                               .epoch = CORE_EPOCH,
                               .seed = self,
                               .rules = gossip_rules_default(),
                               .members_max = CORE_MEMBERS_MAX,
                               .datagram_bytes = CORE_DATAGRAM_BYTES,
                               .stream_bytes = CORE_STREAM_BYTES,
                               .facts_bytes_second = 128,
                               .epoch_jump_max = 1u << 20};
    memset(seats, 0, sizeof(seats));
    for (uint32_t i = 0; i < CORE_NODES; i++) {
        seats[i].id = i + 1;
        seats[i].zone = i % 3;
        seats[i].epoch_least = CORE_EPOCH;
        seats[i].address.port = (uint16_t)(i + 1);
    }
    ASSERT(gossip_new(&g, &o, seats, CORE_NODES, &heap, now_us) == 0);
    return g;
}

/* ---- what every answer promises ------------------------------------------------------------- */

static void core_check_action(const struct gossip_action *a)
{
    switch (a->kind) {
    case GOSSIP_SEND:
        ASSERT(a->channel == GOSSIP_DATAGRAM || a->channel == GOSSIP_STREAM);
        ASSERT(a->data.size > 0);
        ASSERT(a->data.size <=
               (a->channel == GOSSIP_DATAGRAM ? CORE_DATAGRAM_BYTES : CORE_STREAM_BYTES));
        break;
    case GOSSIP_CHANGE: ASSERT(a->member.state <= GOSSIP_REMOVED); break;
    case GOSSIP_CUT: ASSERT(a->cut_count > 0 && a->cut_count <= GOSSIP_CUT_MAX); break;
    case GOSSIP_FACT: ASSERT(a->fact < GOSSIP_FACT_KINDS); break;
    default: ASSERT(a->kind <= GOSSIP_LEFT_DONE); break;
    }
}

static uint64_t core_drain(struct gossip *g)
{
    struct gossip_action a;
    uint64_t token = 0;
    unsigned actions = 0;
    while (gossip_poll(g, &a)) {
        core_check_action(&a);
        token = a.kind == GOSSIP_SEND && a.channel == GOSSIP_STREAM ? a.token : token;
        ASSERT(++actions < CORE_ACTIONS_MAX);
    }
    return token;
}

static void core_check(const struct gossip *g)
{
    struct gossip_member m;
    ASSERT(gossip_count(g) >= CORE_NODES && gossip_count(g) <= CORE_MEMBERS_MAX);
    for (uint32_t i = 0; i < gossip_count(g); i++) {
        gossip_member_at(g, i, &m);
        ASSERT(m.state >= GOSSIP_ALIVE && m.state <= GOSSIP_REMOVED);
    }
    ASSERT(gossip_member_of(g, CORE_SELF, &m) == 0);
    ASSERT(m.epoch == CORE_EPOCH);
    ASSERT(m.state == GOSSIP_ALIVE || m.state == GOSSIP_DEGRADED || m.state == GOSSIP_LEFT);
    ASSERT(gossip_deadline(g) != UINT64_MAX);
}

/* ---- the body ------------------------------------------------------------------------------- */

static void core_other(struct gossip *g, struct bytes_reader *r, uint64_t now_us)
{
    uint8_t what = bytes_take_u8(r);
    uint32_t id = bytes_take_u8(r);
    if (what % 4 == 0) {
        (void)gossip_fact_set(g, id % GOSSIP_FACT_KINDS, bytes_take(r, NUM_MIN(r->left, id)),
                              now_us);
    } else if (what % 4 == 1) {
        gossip_unwell_set(g, id & 0x17, now_us);
    } else if (what % 4 == 2 && id != CORE_SELF) {
        (void)gossip_force_leave(g, id % 10, now_us);
    } else if (what == 0xff) {
        gossip_leave(g, now_us);
    }
}

static void core_receive(struct gossip *g, struct bytes_reader *r, bool stream, uint64_t now_us)
{
    uint32_t sender = bytes_take_u8(r) % 10u;
    uint64_t epoch = bytes_take_u8(r);
    size_t most = stream ? CORE_STREAM_BYTES : CORE_DATAGRAM_BYTES;
    size_t wanted = bytes_take_u16(r) % (most + 1);
    size_t size = NUM_MIN(wanted, r->left);
    struct bytes text = bytes_take(r, size);
    struct gossip_address from = {.port = stream ? 0 : (uint16_t)sender};
    if (sender == CORE_SELF) {
        return; /* the envelope never opens those */
    }
    int err = gossip_receive(g, stream ? GOSSIP_STREAM : GOSSIP_DATAGRAM, sender, epoch, &from,
                             text, now_us);
    ASSERT(err == 0 || err == ERR_PROTOCOL || err == ERR_NOT_FOUND);
}

/* scenarios G22 G23 G33 */
void fuzz_gossip_receive(struct bytes input)
{
    struct bytes_reader r = bytes_reader_of(input);
    uint64_t now_us = 1000000;
    uint64_t token = 0;
    struct gossip *g = core_make(CORE_SELF, now_us);
    for (unsigned ops = 0; r.left > 0 && !r.failed && ops < CORE_OPS_MAX; ops++) {
        uint8_t op = bytes_take_u8(&r);
        if (op % 8 == CORE_TIME) {
            now_us += UINT64_C(1000) * bytes_take_u16(&r);
            gossip_tick(g, now_us);
        } else if (op % 8 == CORE_EVIDENCE) {
            uint8_t kind = bytes_take_u8(&r) % 3;
            gossip_evidence(g, 1 + op / 8 % CORE_NODES,
                            (enum gossip_evidence_kind)(GOSSIP_ANSWERED + kind), bytes_take_u16(&r),
                            now_us);
        } else if (op % 8 == CORE_STREAM_DONE) {
            gossip_stream_done(g, token, op > 128 ? ERR_CONNECTION : 0, now_us);
        } else if (op % 8 == CORE_OTHER) {
            core_other(g, &r, now_us);
        } else {
            core_receive(g, &r, (op & 8) != 0, now_us);
        }
        uint64_t sent = core_drain(g);
        token = sent != 0 ? sent : token;
        core_check(g);
    }
    gossip_free(g);
}

/* ---- examples ------------------------------------------------------------------------------- */

static void example_deliver(struct gossip **nodes, uint32_t from, const struct gossip_action *a,
                            struct buf *out, uint64_t now_us)
{
    struct gossip_address address = {.port = (uint16_t)from};
    bool stream = a->channel == GOSSIP_STREAM;
    if (a->peer == CORE_SELF && out->size < 30000) {
        (void)buf_put_u8(out, stream ? 8 : 0);
        (void)buf_put_u8(out, (uint8_t)from);
        (void)buf_put_u8(out, CORE_EPOCH);
        (void)buf_put_u16(out, (uint16_t)a->data.size);
        (void)buf_append(out, a->data.data, a->data.size);
    }
    if (a->peer >= 1 && a->peer <= CORE_NODES && nodes[a->peer] != NULL) {
        uint8_t copy[CORE_STREAM_BYTES];
        struct bytes text = bytes_of(copy, a->data.size);
        memcpy(copy, a->data.data, a->data.size);
        (void)gossip_receive(nodes[a->peer], a->channel, from, CORE_EPOCH, &address, text, now_us);
    }
}

/* A cluster in which node 6 dies, seen from node 2; i: how far it has come. */
void fuzz_gossip_receive_example(struct buf *out, unsigned i)
{
    struct gossip *nodes[CORE_NODES + 1] = {NULL};
    uint64_t now_us = 1000000;
    for (uint32_t id = 1; id <= CORE_NODES; id++) {
        nodes[id] = core_make(id, now_us);
        (void)gossip_fact_set(nodes[id], id, bytes_of_text("a fact"), now_us);
    }
    for (unsigned step = 0; step < 40 * (i + 1); step++) {
        now_us += 100000;
        if (step % 5 == 0) {
            (void)buf_put_u8(out, CORE_TIME);
            (void)buf_put_u16(out, 500);
        }
        for (uint32_t id = 1; id <= CORE_NODES; id++) {
            struct gossip_action a;
            if (step == 30 && id == CORE_NODES) {
                gossip_free(nodes[id]);
                nodes[id] = NULL;
            }
            if (nodes[id] == NULL) {
                continue;
            }
            gossip_tick(nodes[id], now_us);
            while (gossip_poll(nodes[id], &a)) {
                if (a.kind == GOSSIP_SEND) {
                    example_deliver(nodes, id, &a, out, now_us);
                    if (a.channel == GOSSIP_STREAM) {
                        gossip_stream_done(nodes[id], a.token, nodes[a.peer] != NULL ? 0 : ERR_IO,
                                           now_us);
                    }
                }
            }
        }
    }
    for (uint32_t id = 1; id <= CORE_NODES; id++) {
        gossip_free(nodes[id]);
    }
}
