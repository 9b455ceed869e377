/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Several gossip cores on a virtual network with virtual time: delay and loss by rule, nothing
 * else. For tests of the core; the large simulator is another program.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_GOSSIP_NET_H
#define HOLDFAST_TESTS_UNIT_GOSSIP_NET_H

#include "base/rng.h"
#include "gossip/gossip_internal.h"
#include "tests/unit/unit.h"

#define NET_NODES_MAX 128u

struct net_packet {
    uint64_t at_us;
    uint64_t order;
    uint64_t token;
    uint64_t epoch;
    uint32_t from;
    uint32_t to;
    uint8_t channel;
    uint8_t *data;
    size_t size;
};

struct net {
    uint32_t count;
    uint64_t now_us;
    uint64_t delay_us; /* one way; 1 ms unless changed */
    struct rng rng;
    struct alloc heap;
    struct gossip *nodes[NET_NODES_MAX + 1]; /* by id; NULL: crashed */
    uint64_t epochs[NET_NODES_MAX + 1];
    bool paused[NET_NODES_MAX + 1];
    bool cut[NET_NODES_MAX + 1][NET_NODES_MAX + 1]; /* nothing passes from, to */
    uint32_t egress_loss[NET_NODES_MAX + 1];        /* percent of datagrams */
    bool udp_blocked;
    bool tcp_blocked;
    struct gossip_seat seats[NET_NODES_MAX];
    struct gossip_options options;
    struct net_packet *packets; /* a heap by (at, order) */
    size_t packet_count;
    size_t packet_cap;
    uint64_t order;
    uint64_t deaths; /* GOSSIP_CHANGE to dead, at any node */
    uint64_t conflicts;
    uint64_t facts;
    uint64_t left_done;
    bool cut_told[NET_NODES_MAX + 1][NET_NODES_MAX + 1]; /* at node, of member */
    uint64_t sent_to[NET_NODES_MAX + 1];
    size_t datagram_most;
};

/* count nodes with ids from 1; all at epoch 1. */
struct net *net_new(uint32_t count, struct gossip_rules rules, uint64_t seed);
void net_free(struct net *n);
struct gossip_address net_address(uint32_t id);
void net_start(struct net *n, uint32_t id, uint64_t epoch);
void net_crash(struct net *n, uint32_t id);
/* Runs for so long. */
void net_run(struct net *n, uint64_t us);
/* Sends what node id has to send and counts what it tells. */
void net_drain(struct net *n, uint32_t id);
enum gossip_state net_state(const struct net *n, uint32_t at, uint32_t of);
/* returns: whether all running nodes have the same table. */
bool net_agrees(const struct net *n);
/* Runs until they agree, at most so long. returns: how long it took, or UINT64_MAX. */
uint64_t net_settle(struct net *n, uint64_t most_us);
/* Cuts or mends everything between ids up to last and the others. */
void net_split(struct net *n, uint32_t last, bool cut);

/* Hands node `to` one packet of one record or raw part. */
int net_inject_record(struct net *n, uint32_t to, uint32_t sender, const struct gossip_record *r);
struct gossip_record net_record(uint32_t id, enum gossip_state state, uint64_t epoch,
                                uint64_t incarnation);

#endif
