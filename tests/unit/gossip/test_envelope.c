/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Core and envelope together, on a network that keeps every packet: what a listener can do with
 * packets that it captured, and what two clusters do to each other when packets go astray.
 */
#include "gossip/gossip.h"
#include "tests/unit/gossip/fake_cipher.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define NODES 4u
#define STEP_US 50000u
#define SECOND_US UINT64_C(1000000)
#define PACKETS_MAX 200000u
#define PACKET_BYTES_MAX 70000u

struct packet {
    uint32_t to;
    enum gossip_channel channel;
    size_t size;
    uint8_t *data;
};

struct agent {
    bool runs;
    uint64_t epoch;
    struct gossip *core;
    struct gossip_seal *seal;
    uint64_t changes; /* GOSSIP_CHANGE actions */
};

struct cluster {
    uint8_t name;
    struct agent agents[NODES + 1]; /* by id */
    struct packet *packets;         /* everything that was ever sent */
    size_t count;
    size_t delivered;
};

static struct fake_cipher fake;
static uint64_t now_us;
static uint8_t into[PACKET_BYTES_MAX];

static void roster_of(const struct cluster *c, struct gossip_seat *seats)
{
    memset(seats, 0, NODES * sizeof(*seats));
    for (uint32_t i = 0; i < NODES; i++) {
        seats[i].id = i + 1;
        seats[i].epoch_least = c->agents[i + 1].epoch;
        seats[i].address.port = (uint16_t)(i + 1);
    }
}

/* One start later: another epoch, recorded by group 0; all windows are forgotten. */
static void agent_start(struct cluster *c, uint32_t id)
{
    struct alloc heap = alloc_heap();
    struct agent *a = &c->agents[id];
    struct gossip_seat seats[NODES];
    struct gossip_key key = {.number = 1, .state = GOSSIP_KEY_USED, .bytes = {7}};
    gossip_free(a->core);
    gossip_seal_free(a->seal);
    a->core = NULL;
    a->seal = NULL;
    a->epoch++;
    a->runs = true;
    roster_of(c, seats);
    struct gossip_options o = {.self = id,
                               .epoch = a->epoch,
                               .seed = id + 100 * a->epoch,
                               .rules = gossip_rules_default(),
                               .members_max = 8,
                               .datagram_bytes = 1350,
                               .stream_bytes = 65536,
                               .facts_bytes_second = 128,
                               .epoch_jump_max = 1u << 20};
    struct gossip_seal_options s = {.self = id,
                                    .incarnation = 1,
                                    .epoch = a->epoch,
                                    .cluster = {c->name},
                                    .senders_max = 8,
                                    .cipher = fake_cipher(&fake)};
    ck_assert_int_eq(gossip_new(&a->core, &o, seats, NODES, &heap, now_us), 0);
    ck_assert_int_eq(gossip_seal_new(&a->seal, &s, &heap), 0);
    ck_assert_int_eq(gossip_seal_keys(a->seal, &key, 1), 0);
    for (uint32_t i = 0; i < NODES; i++) {
        ck_assert_int_eq(gossip_seal_sender(a->seal, seats[i].id, 1, seats[i].epoch_least), 0);
    }
}

static void cluster_begin(struct cluster *c, uint8_t name)
{
    memset(c, 0, sizeof(*c));
    c->name = name;
    c->packets = calloc(PACKETS_MAX, sizeof(*c->packets));
    ck_assert_ptr_nonnull(c->packets);
    for (uint32_t id = 1; id <= NODES; id++) {
        c->agents[id].epoch = 4;
    }
    for (uint32_t id = 1; id <= NODES; id++) {
        agent_start(c, id);
    }
}

static void cluster_end(struct cluster *c)
{
    for (uint32_t id = 1; id <= NODES; id++) {
        gossip_free(c->agents[id].core);
        gossip_seal_free(c->agents[id].seal);
    }
    for (size_t i = 0; i < c->count; i++) {
        free(c->packets[i].data);
    }
    free(c->packets);
}

static void cluster_send(struct cluster *c, uint32_t from, uint32_t to, enum gossip_channel channel,
                         struct bytes text)
{
    struct alloc heap = alloc_heap();
    struct packet *p = &c->packets[c->count++];
    struct buf out;
    ck_assert_uint_lt(c->count, PACKETS_MAX);
    buf_init(&out, &heap, PACKET_BYTES_MAX);
    ck_assert_int_eq(gossip_seal_close(c->agents[from].seal, channel, to, text, &out), 0);
    *p = (struct packet){.to = to, .channel = channel, .size = out.size, .data = malloc(out.size)};
    ck_assert_ptr_nonnull(p->data);
    memcpy(p->data, out.data, out.size);
    buf_release(&out);
}

/* returns: what the envelope at agent `to` of c said. */
static int cluster_arrives(struct cluster *c, uint32_t to, const struct packet *p)
{
    struct agent *a = &c->agents[to];
    struct gossip_opened o;
    static const struct gossip_address nowhere;
    if (!a->runs) {
        return ERR_UNREACHABLE;
    }
    int err = gossip_seal_open(a->seal, p->channel, bytes_of(p->data, p->size), into, &o);
    if (err == ERR_BEHIND) {
        ck_assert_uint_ge(p->size, GOSSIP_SEAL_BYTES);
        cluster_send(c, to, o.sender, p->channel, bytes_of(NULL, 0));
    } else if (err == 0 && o.text.size == 0) {
        gossip_evidence(a->core, o.sender, GOSSIP_ANSWERED, 0, now_us);
    } else if (err == 0) {
        struct gossip_address from = {.port = (uint16_t)o.sender};
        (void)gossip_receive(a->core, p->channel, o.sender, o.epoch,
                             p->channel == GOSSIP_DATAGRAM ? &from : &nowhere, o.text, now_us);
    }
    return err;
}

static void agent_act(struct cluster *c, uint32_t id)
{
    struct agent *a = &c->agents[id];
    struct gossip_action action;
    while (a->runs && gossip_poll(a->core, &action)) {
        a->changes += action.kind == GOSSIP_CHANGE;
        if (action.kind != GOSSIP_SEND) {
            continue;
        }
        cluster_send(c, id, action.peer, action.channel, action.data);
        if (action.channel == GOSSIP_STREAM) {
            bool up = action.peer <= NODES && c->agents[action.peer].runs;
            gossip_stream_done(a->core, action.token, up ? 0 : ERR_UNREACHABLE, now_us);
        }
    }
}

static void cluster_deliver(struct cluster *c)
{
    for (; c->delivered < c->count; c->delivered++) {
        struct packet p = c->packets[c->delivered];
        (void)cluster_arrives(c, p.to, &p);
        for (uint32_t id = 1; id <= NODES; id++) {
            agent_act(c, id);
        }
    }
}

static void cluster_step(struct cluster *c)
{
    for (uint32_t id = 1; id <= NODES; id++) {
        if (c->agents[id].runs) {
            gossip_tick(c->agents[id].core, now_us);
        }
        agent_act(c, id);
    }
    cluster_deliver(c);
}

static void cluster_run(struct cluster *c, uint64_t seconds)
{
    for (uint64_t end_us = now_us + seconds * SECOND_US; now_us < end_us;) {
        now_us += STEP_US;
        cluster_step(c);
    }
}

static enum gossip_state state_of(const struct cluster *c, uint32_t at, uint32_t id)
{
    struct gossip_member m;
    ck_assert_int_eq(gossip_member_of(c->agents[at].core, id, &m), 0);
    return m.state;
}

static void all_see(const struct cluster *c, uint32_t id, enum gossip_state wanted)
{
    for (uint32_t at = 1; at <= NODES; at++) {
        if (c->agents[at].runs && at != id) {
            ck_assert_int_eq((int)state_of(c, at, id), (int)wanted);
        }
    }
}

/* Sends everything that was captured once more. returns: how many packets opened. */
static unsigned replay(struct cluster *c, size_t captured)
{
    unsigned opened = 0;
    for (size_t i = 0; i < captured; i++) {
        struct packet p = c->packets[i];
        opened += cluster_arrives(c, p.to, &p) == 0;
    }
    return opened;
}

/* scenario G25 */
START_TEST(captured_packets_change_nothing_an_hour_later)
{
    struct cluster c;
    uint64_t digests[NODES + 1] = {0};
    uint64_t changes[NODES + 1] = {0};
    now_us = SECOND_US;
    cluster_begin(&c, 'a');
    cluster_run(&c, 20);
    all_see(&c, 3, GOSSIP_ALIVE);
    size_t captured = c.count;
    ck_assert_uint_gt(captured, 50);
    c.agents[3].runs = false;
    cluster_run(&c, 60);
    all_see(&c, 3, GOSSIP_DEAD);
    cluster_run(&c, 600);
    now_us += 3600 * SECOND_US; /* one gap, of which ticks make nothing but lateness */
    cluster_run(&c, 60);
    all_see(&c, 3, GOSSIP_DEAD);
    for (uint32_t id = 1; id <= NODES; id++) {
        digests[id] = gossip_digest(c.agents[id].core);
        changes[id] = c.agents[id].changes;
    }
    ck_assert_uint_eq(replay(&c, captured), 0);
    cluster_deliver(&c);
    for (uint32_t id = 1; id <= NODES; id++) {
        agent_act(&c, id);
        ck_assert_uint_eq(gossip_digest(c.agents[id].core), digests[id]);
        ck_assert_uint_eq(c.agents[id].changes, changes[id]);
    }
    cluster_end(&c);
}
END_TEST

/* scenario G25: a start has forgotten its windows */
START_TEST(captured_packets_change_nothing_after_a_restart_of_their_receiver)
{
    struct cluster c;
    struct gossip_seal_counters counts;
    struct gossip_member m;
    now_us = SECOND_US;
    cluster_begin(&c, 'a');
    cluster_run(&c, 20);
    size_t captured = c.count;
    c.agents[3].runs = false;
    cluster_run(&c, 60);
    agent_start(&c, 1);
    ck_assert_uint_eq(replay(&c, captured), 0);
    gossip_seal_counters_get(c.agents[1].seal, &counts);
    ck_assert_uint_gt(counts.stale, 0);
    for (unsigned i = 0; i < 60; i++) { /* and again and again, while it looks for node 3 */
        cluster_run(&c, 1);
        ck_assert_uint_eq(replay(&c, captured), 0);
        cluster_deliver(&c);
    }
    ck_assert_int_eq(gossip_member_of(c.agents[1].core, 3, &m), 0);
    ck_assert_uint_eq(m.heard_us, 0);
    all_see(&c, 3, GOSSIP_DEAD);
    all_see(&c, 1, GOSSIP_ALIVE);
    all_see(&c, 2, GOSSIP_ALIVE);
    cluster_end(&c);
}
END_TEST

/* scenario G25 */
START_TEST(captured_packets_change_nothing_after_a_restart_of_their_sender)
{
    struct cluster c;
    struct gossip_member m;
    now_us = SECOND_US;
    cluster_begin(&c, 'a');
    cluster_run(&c, 20);
    size_t captured = c.count;
    agent_start(&c, 2);
    cluster_run(&c, 10);
    ck_assert_uint_eq(replay(&c, captured), 0);
    cluster_run(&c, 10);
    for (uint32_t at = 1; at <= NODES; at++) {
        ck_assert_int_eq(gossip_member_of(c.agents[at].core, 2, &m), 0);
        ck_assert_int_eq((int)m.state, GOSSIP_ALIVE);
        ck_assert_uint_eq(m.epoch, c.agents[2].epoch);
    }
    cluster_end(&c);
}
END_TEST

START_TEST(all_restarted_at_once_find_each_other_again)
{
    struct cluster c;
    struct gossip_seal_counters counts;
    now_us = SECOND_US;
    cluster_begin(&c, 'a');
    cluster_run(&c, 10);
    for (uint32_t id = 1; id <= NODES; id++) {
        agent_start(&c, id);
    }
    cluster_run(&c, 30);
    for (uint32_t id = 1; id <= NODES; id++) {
        all_see(&c, id, GOSSIP_ALIVE);
        gossip_seal_counters_get(c.agents[id].seal, &counts);
        ck_assert_uint_eq(counts.forged, 0);
        ck_assert_uint_gt(counts.opened, 10);
        ck_assert_uint_eq(gossip_digest(c.agents[id].core), gossip_digest(c.agents[1].core));
    }
    cluster_end(&c);
}
END_TEST

/* scenario G12: an agent of one cluster with the peer list of another, which even has the same ids
 * and the same key: every packet of each cluster also arrives in the other. */
START_TEST(clusters_whose_packets_go_astray_never_merge)
{
    struct cluster c[2];
    struct gossip_seal_counters counts;
    now_us = SECOND_US;
    cluster_begin(&c[0], 'a');
    cluster_begin(&c[1], 'b');
    c[1].agents[4].runs = false; /* so that the views must differ */
    for (unsigned i = 0; i < 1200; i++) {
        size_t from[2] = {c[0].count, c[1].count};
        now_us += STEP_US;
        for (unsigned k = 0; k < 2; k++) {
            cluster_step(&c[k]);
        }
        for (unsigned k = 0; k < 2; k++) {
            for (size_t p = from[k]; p < c[k].count; p++) {
                struct packet stray = c[k].packets[p];
                ck_assert_int_ne(cluster_arrives(&c[1 - k], stray.to, &stray), 0);
            }
        }
    }
    all_see(&c[0], 4, GOSSIP_ALIVE);
    all_see(&c[1], 4, GOSSIP_DEAD);
    for (unsigned k = 0; k < 2; k++) {
        for (uint32_t id = 1; id <= NODES; id++) {
            ck_assert_uint_eq(gossip_count(c[k].agents[id].core), NODES);
            gossip_seal_counters_get(c[k].agents[id].seal, &counts);
            ck_assert(counts.forged > 0 || !c[k].agents[id].runs);
        }
        cluster_end(&c[k]);
    }
}
END_TEST

UNIT_MAIN("gossip_envelope", captured_packets_change_nothing_an_hour_later,
          captured_packets_change_nothing_after_a_restart_of_their_receiver,
          captured_packets_change_nothing_after_a_restart_of_their_sender,
          all_restarted_at_once_find_each_other_again, clusters_whose_packets_go_astray_never_merge)
