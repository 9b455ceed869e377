/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The simulator: a whole cluster in one process. The node and store code is the program's; time,
 * network, disks, clocks and clients are simulated from one seed. One event at a time is taken
 * from a heap ordered by (time, number); after each, the invariants are checked. Every event goes
 * into a trace hash, so that two runs of one seed can be compared across compilers.
 *
 *   world.c   the heap, nodes and their stores, jobs and WAL batches, crash and restart
 *   net.c     frames between nodes: delay, loss, duplication, reorder, partitions
 *   faults.c  what goes wrong and when
 *   duel.c    contests for leadership
 *   members.c which nodes are out of the cluster
 *   clients.c key-value clients with sessions, retries and a history
 *   uploads.c object clients, and the check that an acknowledged object survives any one node
 *   eventual.c clients of eventual mode (eventual.h)
 *   check.c   the invariants
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_SIM_SIM_H
#define HOLDFAST_TESTS_SIM_SIM_H

#include "base/hash.h"
#include "base/rng.h"
#include "server/node/node.h"
#include "tests/sim/history.h"
#include "tests/sim/sim_disk.h"

#define SIM_NODES_MAX 7u
#define SIM_GROUPS_MAX 4u
#define SIM_MS 1000u
#define SIM_S 1000000u

struct sim_options {
    uint64_t seed;
    unsigned nodes;
    unsigned groups; /* data groups */
    uint64_t seconds;
    unsigned clients;
    unsigned ops_per_second; /* all clients together */
    bool faults;
    bool rot;      /* bit rot on at most a minority for each entry */
    unsigned k, m; /* k > 0: object clients too */
    bool eventual; /* clients of eventual mode too */
    uint32_t wal_segment_bytes;
    unsigned down;   /* nodes that die soon and stay dead until the end */
    uint64_t out_us; /* nodes that are dead for so long are out of the cluster; 0: never */
    bool verbose;
};

enum sim_event_kind {
    SIM_EV_TICK = 1,
    SIM_EV_FRAME,    /* deliver a frame */
    SIM_EV_DATAGRAM, /* deliver a datagram */
    SIM_EV_WAL,      /* the batch in flight is done */
    SIM_EV_JOB,      /* the job at the head of a lane is done */
    SIM_EV_WAL_IDLE, /* the WAL has been quiet */
    SIM_EV_PEER,     /* a connection comes up or goes down */
    SIM_EV_REQUEST,  /* a client's request arrives at a node */
    SIM_EV_REPLY,    /* a reply arrives at a client */
    SIM_EV_CLIENT,   /* a client's own timer */
    SIM_EV_CONN_GONE,
    SIM_EV_FAULT,
    SIM_EV_RESTART,
    SIM_EV_RESUME,
    SIM_EV_DUEL,
    SIM_EV_MEMBERS,
};

struct sim_event {
    uint64_t at_us;
    uint64_t number;
    enum sim_event_kind kind;
    uint32_t node; /* receiver, or client for SIM_EV_CLIENT and SIM_EV_REPLY */
    uint32_t other;
    uint64_t life; /* of node: events of an earlier life are dropped */
    uint64_t a;    /* lane, conn, epoch ... */
    uint16_t frame_kind;
    uint8_t *data; /* owned: sim_bytes_put */
    size_t bytes;
};

struct sim_lane {
    struct node_job *jobs[256];
    unsigned head, count;
    bool busy;
};

struct sim_node {
    uint32_t id;
    bool up;
    bool paused;
    uint64_t log_last[SIM_GROUPS_MAX + 1];   /* last entry on disk when the last batch was synced */
    uint64_t log_before[SIM_GROUPS_MAX + 1]; /* and the batch before it */
    uint64_t log_rot_life;                   /* the life in which its log was last rotted */
    uint64_t log_rots;                       /* how often it was */
    bool rotted;                             /* bytes of its segments were changed */
    uint64_t failed_syncs;                   /* of its disk when it was last started */
    uint64_t life;
    uint64_t boot;
    struct node *node;
    struct sim_disk *disk;
    struct disk table;
    struct store_kv kv;
    struct store_kv segidx;
    struct store_wal *wal;
    struct store_segments *segments;
    struct node_env env;
    struct node_wal_batch *batch;
    struct sim_lane lanes[NODE_LANES];
    int64_t clock_offset_us;
    int64_t clock_ppm;
    int64_t wall_offset_us; /* of the time it writes down, beside its clock */
    uint64_t tick_us;       /* time of the tick that is queued; 0: none */
    uint64_t idle_us;
    uint64_t wal_slow_us; /* added to each batch */
    bool peer_up[SIM_NODES_MAX + 1];
    uint64_t peer_life[SIM_NODES_MAX + 1]; /* of the peer when it came up */
    uint64_t conns[64];                    /* client connections: epoch, 0 none */
};

struct sim_link {
    bool cut;
    bool resets; /* a cut connection is reset at once, not found out by its silence */
    uint64_t clog_until_us;
};

struct sim_counters {
    uint64_t events;
    uint64_t frames, lost, duplicated;
    uint64_t datagrams;
    uint64_t crashes, restarts, pauses, partitions, rots, sync_failures, full_disks, duels;
    uint64_t ops_ok, ops_fail, ops_info;
    uint64_t objects_ok, objects_failed, objects_read;
    uint64_t updates_ok, updates_info, reads_ok; /* of eventual mode */
};

struct sim_duel {
    unsigned stages; /* left; 0: none under way */
    uint32_t group;
    uint32_t victim; /* the last one */
    uint64_t term;   /* of the last leader that was dealt with */
    uint64_t token;
    bool quick;      /* leaders go as soon as they are elected */
    bool slow_disks; /* some leaders' disks are slow */
    bool resets;     /* the others notice at once that one is cut off */
};

struct sim_members {
    bool asked; /* for a node to be out, ever */
    bool well[SIM_NODES_MAX + 1];
    uint64_t since_us[SIM_NODES_MAX + 1]; /* it has been so */
};

struct sim_clients;
struct sim_uploads;
struct sim_eventual;
struct sim_check;

struct sim {
    struct sim_options options;
    struct rng rng; /* schedule and faults */
    uint64_t now_us;
    uint64_t number;
    struct sim_event *heap;
    size_t heap_count, heap_cap;
    struct sim_node nodes[SIM_NODES_MAX + 1]; /* by id, from 1 */
    struct sim_link links[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1];
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm;
    struct wire_identity identity;
    uint64_t trace;
    struct sim_counters counters;
    struct sim_clients *clients;
    struct sim_uploads *uploads;
    struct sim_eventual *eventual; /* NULL: none */
    struct sim_check *check;
    struct sim_duel duel;
    struct sim_members members;
    bool quiet; /* faults are over */
    bool failed;
    char failure[512]; /* "name: sentence" of the first invariant that broke */
    struct alloc heap_alloc;
    uint8_t *free_small; /* recycled buffers */
};

/* members.c */
void sim_members_init(struct sim *s);
void sim_members_fire(struct sim *s);
/* Since the nodes' starts. */
uint64_t sim_members_moved(const struct sim *s);
uint64_t sim_members_starts(const struct sim *s);

/* world.c */
void sim_init(struct sim *s, const struct sim_options *options);
void sim_release(struct sim *s);
/* Takes all events before until_us. */
void sim_pass(struct sim *s, uint64_t until_us);
/* Ends the faults and goes on until every client is done and every replica equal; a failure of
 * liveness if that takes longer. */
void sim_settle(struct sim *s, uint64_t within_us);
/* Runs to the end. returns: whether no invariant broke. */
bool sim_run(struct sim *s);
void sim_push(struct sim *s, const struct sim_event *ev);
struct sim_event sim_pop(struct sim *s); /* the heap is not empty */
void sim_step_node(struct sim *s, struct sim_node *n, struct node_event *ev);
void sim_crash(struct sim *s, struct sim_node *n);
void sim_start(struct sim *s, struct sim_node *n);
/* Opens the segments of a node that is down, to look at what is on its disk, or closes them again
 * as if power had gone. Of a node that is up: does nothing. */
void sim_disk_look(struct sim *s, struct sim_node *n, bool open);
uint64_t sim_node_now(const struct sim *s, const struct sim_node *n);
unsigned sim_nodes_up(const struct sim *s);
/* Ends the run with the first failure. check: a fixed short name. */
void sim_fail(struct sim *s, const char *check, const char *format, ...) ATTR_PRINTF(3, 4);
uint8_t *sim_bytes_get(struct sim *s, size_t bytes);
void sim_bytes_put(struct sim *s, uint8_t *data, size_t bytes);

/* net.c */
void sim_net_send(struct sim *s, struct sim_node *from, const struct node_fx *fx);
void sim_net_deliver(struct sim *s, struct sim_event *ev);
void sim_net_datagram(struct sim *s, struct sim_node *from, const struct node_fx *fx);
void sim_net_receive(struct sim *s, struct sim_event *ev);
bool sim_net_open(const struct sim *s, uint32_t from, uint32_t to);
/* Makes connections agree with who is up and which links are open. */
void sim_net_refresh(struct sim *s);
void sim_net_peer(struct sim *s, struct sim_event *ev);
void sim_net_heal(struct sim *s);

/* faults.c */
void sim_faults_init(struct sim *s);
void sim_faults_fire(struct sim *s, struct sim_event *ev);
/* Heals everything and starts every node. */
void sim_faults_end(struct sim *s);

/* duel.c */
void sim_duel_begin(struct sim *s);
void sim_duel_led(struct sim *s, struct sim_node *n, uint32_t group);
void sim_duel_fire(struct sim *s, const struct sim_event *ev);

/* clients.c */
void sim_clients_init(struct sim *s);
void sim_clients_release(struct sim *s);
void sim_clients_fire(struct sim *s, struct sim_event *ev);
void sim_clients_reply(struct sim *s, struct sim_event *ev);
void sim_clients_gone(struct sim *s, uint32_t client, uint32_t node);
bool sim_clients_idle(const struct sim *s);
/* Sends a node many writes whose answers nobody waits for. */
void sim_clients_burst(struct sim *s, uint32_t node, unsigned count);
/* Half of the clients that rest send their next operation to this node. */
void sim_clients_turn(struct sim *s, uint32_t node);
/* Lets the first client read every key once more. */
void sim_clients_again(struct sim *s);
/* Checks the history. */
void sim_clients_finish(struct sim *s);
bool sim_clients_write(const struct sim *s, FILE *to);

/* uploads.c */
void sim_uploads_init(struct sim *s);
void sim_uploads_release(struct sim *s);
void sim_uploads_fire(struct sim *s, struct sim_event *ev);
void sim_uploads_reply(struct sim *s, struct sim_event *ev);
void sim_uploads_gone(struct sim *s, uint32_t client, uint32_t node);
bool sim_uploads_idle(const struct sim *s);
/* All objects are read once more. */
void sim_uploads_again(struct sim *s);
void sim_uploads_finish(struct sim *s);

/* eventual.c */
void sim_eventual_init(struct sim *s);
void sim_eventual_release(struct sim *s);
void sim_eventual_fire(struct sim *s, struct sim_event *ev);
void sim_eventual_reply(struct sim *s, struct sim_event *ev);
void sim_eventual_gone(struct sim *s, uint32_t client, uint32_t node);
bool sim_eventual_idle(const struct sim *s);
void sim_eventual_finish(struct sim *s);
/* eventual_state.c: after an event at n, and when it has started. */
void sim_eventual_node(struct sim *s, const struct sim_node *n);
void sim_eventual_restarted(struct sim *s, const struct sim_node *n);
/* Whether all owners of every region are equal; a failure if they are not for long. */
bool sim_eventual_converged(struct sim *s);
/* Whether the owners have all that was answered: one that was out while it was down may have what
 * they have not, and hand it over later. */
bool sim_eventual_handed_over(const struct sim *s);
/* Fails the run if they have not, and names what is missing. */
void sim_eventual_all_seen(struct sim *s);

#define SIM_BURST_CLIENT 47u    /* hears no answers */
#define SIM_UPLOAD_CLIENT 48u   /* clients from here on are uploads */
#define SIM_EVENTUAL_CLIENT 52u /* and from here on those of eventual mode */

/* check.c */
void sim_check_init(struct sim *s);
void sim_check_release(struct sim *s);
/* A batch of the log was synced. */
void sim_check_synced(struct sim *s, struct sim_node *n);
void sim_check_restarted(struct sim *s, struct sim_node *n);
/* After an event at n. */
void sim_check_node(struct sim *s, struct sim_node *n);
/* A frame is about to leave n: what it promises must be on n's disk. */
void sim_check_frame(struct sim *s, struct sim_node *n, uint16_t frame_kind, struct bytes body);
/* At the end: every replica of a group is at one index with one digest. */
bool sim_check_converged(struct sim *s);
void sim_check_finish(struct sim *s);

#endif
