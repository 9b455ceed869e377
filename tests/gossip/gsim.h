/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The gossip simulator: 3 to 10,000 gossip cores in one process, with real packet bytes, simulated
 * time and a network, all from one seed. Every event goes into a trace hash: one seed, one trace,
 * with any compiler.
 *
 *   queue.c     the heap of events, packets from a pool, memory of the cores
 *   net.c       datagrams and streams: loss, delay, reorder, duplication, one-way links, partitions
 *   world.c     nodes: calls into the cores, what they say, crash, restart, starvation
 *   seal.c      the real envelope around packets, for small clusters
 *   scenarios.c named runs with a verdict
 *   storms.c    more of them: many nodes, many packets
 *   study.c     one cell of the comparison of rules: detection, false deaths, bytes
 *   main.c      options and results
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_GOSSIP_GSIM_H
#define HOLDFAST_TESTS_GOSSIP_GSIM_H

#include "base/attr.h"
#include "base/hash.h"
#include "base/rng.h"
#include "gossip/gossip.h"

#define GSIM_MS 1000u
#define GSIM_S 1000000u
#define GSIM_NODES_MAX 10000u
#define GSIM_FAILURE_BYTES 256u
#define GSIM_INBOX_BYTES 212992u    /* a socket's buffer, as Linux has it */
#define GSIM_PACKET_COST_BYTES 768u /* what a datagram takes of it beside its bytes */
#define GSIM_BACKLOG 128u           /* connections a blocked process does not accept */

struct gsim_options {
    uint64_t seed;
    uint32_t nodes;
    uint32_t loss_ppm;      /* of datagrams and segments, each direction */
    uint32_t duplicate_ppm; /* datagrams that come twice */
    uint32_t reorder_ppm;   /* datagrams that come up to 20 ms later */
    uint32_t delay_us;      /* one way, least */
    uint32_t jitter_us;     /* even, on top */
    uint32_t late_us;       /* ticks come up to so much late */
    uint32_t starved;       /* nodes 1 to starved are blocked and open in turn */
    uint64_t blocked_us, open_us;
    uint64_t seconds;
    uint64_t origin_us; /* of time */
    struct gossip_rules rules;
    bool stalled; /* a starved process stops as a whole; else its input and output alone wait */
    bool sealed;  /* packets go through the real envelope, with a cipher that only counts */
    bool capture; /* datagrams of node 1 are kept, for gsim_replay */
    bool heap;    /* cores in the process's heap, where sanitizers look */
    bool verbose;
};

/* Bits of a node's condition. */
enum gsim_sick {
    GSIM_STARVED = 1u << 0,
    GSIM_LOSSY = 1u << 1,   /* its links are bad */
    GSIM_CRASHED = 1u << 2, /* was, once */
};

enum gsim_event_kind {
    GSIM_EV_TICK = 1,
    GSIM_EV_PACKET,
    GSIM_EV_DONE, /* of a stream, at its sender */
    GSIM_EV_BLOCK,
    GSIM_EV_OPEN,
};

struct gsim_packet {
    struct gsim_packet *next;
    uint64_t from_epoch, token;
    uint32_t from, to; /* indexes; done: to is the sender */
    uint32_t size;
    int32_t code; /* of a done */
    uint8_t channel, pool;
    bool replayed, sync;
    uint8_t data[];
};

struct gsim_event {
    uint64_t at_us;
    uint64_t key; /* number << 8 | kind */
    union {
        uint32_t node;
        struct gsim_packet *packet;
    } of;
};

#define GSIM_POOLS 7u

struct gsim_queue {
    struct gsim_event *events;
    size_t count, cap;
    uint64_t number;
    struct gsim_packet *idle[GSIM_POOLS];
};

/* Memory of the cores: huge pages, taken once and used again by the next run. */
struct gsim_arena {
    uint8_t *base;
    size_t used, cap;
    struct {
        size_t bytes;
        void *head;
    } idle[64];
    uint64_t held_bytes, peak_bytes;
};

struct gsim_node {
    struct gossip *core;
    struct gossip_seal *seal;
    uint64_t epoch;
    uint64_t tick_us; /* a tick is queued for this time; UINT64_MAX: none */
    struct gsim_packet *inbox_head, *inbox_tail;
    struct gsim_packet *outbox_head, *outbox_tail; /* blocked: what it sent */
    uint32_t inbox_bytes, inbox_streams;
    uint32_t dead_at; /* live nodes that hold it dead */
    uint32_t sick;    /* bits of gsim_sick */
    uint32_t side;    /* of a partition */
    uint32_t egress_ppm, ingress_ppm;
    uint64_t cut_right; /* which of the sick nodes (by gsim.sick_of) its cuts named */
    uint32_t cut_wrong;
    uint64_t fact_value; /* newest of node 1's fact 0 that came */
    uint64_t open_us;    /* blocked until then */
    uint32_t said_dead;  /* times it was called dead while it was healthy */
    bool up, blocked, left;
    bool stopped; /* blocked, and its timers too */
};

struct gsim_totals {
    uint64_t events, packets, bytes, streams, stream_bytes; /* sent, sealed */
    uint64_t lost, overrun, replayed;
    uint64_t refused;        /* of those replayed */
    uint64_t false_deaths;   /* healthy members declared dead, at healthy members */
    uint64_t false_unwell;   /* the same at nodes that are not healthy */
    uint64_t false_suspects; /* suspicions of healthy members, at healthy members */
    uint64_t cuts, facts;
    uint32_t syncs_now, syncs_most; /* messages of syncs on their way at once */
};

struct gsim {
    struct gsim_options options;
    uint64_t now_us;
    uint64_t trace;
    struct rng rng;
    struct gsim_queue queue;
    struct gsim_arena *arena;
    struct alloc alloc;
    struct gsim_node *nodes;
    struct gossip_seat *seats;
    struct gsim_totals totals;
    uint32_t live;
    bool udp_blocked, tcp_blocked, unknown_messages;
    /* the crashed node that is waited for */
    uint32_t watch; /* index; UINT32_MAX: none */
    uint32_t watch_count;
    uint64_t watch_since_us, watch_first_us, watch_half_us, watch_most_us, watch_all_us;
    bool watch_stops; /* when 99 % know */
    bool stop;
    struct gsim_packet *captured; /* newest first */
    uint32_t captured_count;
    uint8_t *unsealed;
    struct buf sealed;
    char failure[GSIM_FAILURE_BYTES];
};

/* ---- queue.c */
void gsim_queue_push(struct gsim_queue *q, uint64_t at_us, enum gsim_event_kind kind,
                     struct gsim_event event);
bool gsim_queue_pop(struct gsim_queue *q, struct gsim_event *out);
struct gsim_packet *gsim_packet_get(struct gsim_queue *q, size_t bytes);
void gsim_packet_put(struct gsim_queue *q, struct gsim_packet *p);
void gsim_queue_release(struct gsim_queue *q);
struct alloc gsim_arena_alloc(struct gsim_arena *a);
void gsim_arena_reset(struct gsim_arena *a);

/* ---- net.c */
void gsim_net_flush(struct gsim *s, uint32_t node); /* what it sent while it was blocked */
void gsim_net_send(struct gsim *s, uint32_t from, const struct gossip_action *action);
/* Sends again what was captured. */
void gsim_net_replay(struct gsim *s);
struct gossip_address gsim_address(uint32_t index);
/* The end of a stream. code: 0 or ERR_*. */
void gsim_net_done(struct gsim *s, uint32_t sender, uint64_t token, int code, uint64_t at_us);

/* ---- world.c */
void gsim_init(struct gsim *s, const struct gsim_options *options, struct gsim_arena *arena);
void gsim_release(struct gsim *s);
/* Runs events before at_us (from the origin), or until s->stop. */
void gsim_run(struct gsim *s, uint64_t at_us);
uint64_t gsim_time(const struct gsim *s); /* since the origin */
void gsim_crash(struct gsim *s, uint32_t node);
void gsim_restart(struct gsim *s, uint32_t node);
/* The process is frozen for so long: packets wait, ticks are late. */
void gsim_freeze(struct gsim *s, uint32_t node, uint64_t us);
/* Runs until 99 % of the live nodes hold node dead, at most us. returns: whether they do. */
bool gsim_watch(struct gsim *s, uint32_t node, uint64_t us);
/* Polls what a core wants after a call from a scenario. */
void gsim_drain(struct gsim *s, uint32_t node);

/* ---- seal.c */
void gsim_seal_start(struct gsim *s, uint32_t node);
void gsim_close(struct gsim *s, uint32_t from, uint32_t to, const struct gossip_action *action,
                struct bytes *out);
/* returns: whether the packet is genuine and new; data: what was in it, until the next call. */
bool gsim_open(struct gsim *s, const struct gsim_packet *p, struct bytes *data, uint32_t *sender,
               uint64_t *epoch);

/* ---- views */
/* returns: whether all healthy live nodes have one digest. */
bool gsim_agree(const struct gsim *s);
/* returns: members that some healthy live node holds otherwise than alive (or degraded), though
 * they are up; counts pairs. */
uint64_t gsim_not_alive(const struct gsim *s);
struct gossip_counters gsim_counters(const struct gsim *s);
bool gsim_fail(struct gsim *s, const char *format, ...) ATTR_PRINTF(2, 3);

/* ---- scenarios */
struct gsim_scenario {
    const char *name, *row;
    bool (*run)(struct gsim *s, struct gsim_options *options, struct gsim_arena *arena);
};
extern const struct gsim_scenario gsim_scenarios[];
extern const unsigned gsim_scenarios_count;
extern const struct gsim_scenario gsim_storms[];
extern const unsigned gsim_storms_count;

/* ---- study.c */
/* memberlist's rules without what Lifeguard added to SWIM. */
void gsim_rules_plain(struct gossip_rules *rules);
struct gsim_outcome {
    uint64_t first_us, half_us, most_us, all_us; /* after the crash; 0: not seen */
    uint64_t calm_bytes, detect_bytes;           /* a node and second, sealed */
    uint64_t calm_packets, detect_packets;
    uint64_t false_deaths, false_subjects, false_unwell, false_suspects;
    uint64_t run_us, memory_bytes, events, trace;
};
void gsim_study_crash(const struct gsim_options *options, struct gsim_arena *arena,
                      struct gsim_outcome *out);
void gsim_study_starved(const struct gsim_options *options, struct gsim_arena *arena,
                        struct gsim_outcome *out);

#endif
