/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The core of a node, seen by its own files: the groups, the queues between raft, the log, the
 * state and the clients. What the state machines and coordinators may use is in
 * service_internal.h; this is behind it.
 *
 * A turn: node_step takes one event and pumps (timers, apply, queries) until nothing moves;
 * node_poll ends the turn: proposals of the turn go to raft as one, reads as one, and the records
 * raft wants durable leave as one batch for all groups.
 *
 * threads: the loop thread, but the run functions of tasks and node_wal_run.
 */
#ifndef HOLDFAST_SERVER_NODE_NODE_INTERNAL_H
#define HOLDFAST_SERVER_NODE_NODE_INTERNAL_H

#include "base/err.h"
#include "base/num.h"
#include "base/rng.h"
#include "raft/raft.h"
#include "server/node/service_internal.h"
#include "store/memtable.h"
#include "wire/api.h"

#include <string.h>

#define NODE_LEVEL 1u /* of entries, records and frames that this code writes and reads */
#define NODE_GROUPS_MAX (WIRE_IDENTITY_GROUPS_MAX + 1u) /* the own group among them */
#define NODE_PREFIX_BYTES 8u                            /* group u32be, generation u32be */
#define NODE_SESSION_WINDOW 256u /* stored replies of a session: part of the state's format */
#define NODE_REPLY_STORED_MAX 1024u
#define NODE_REPLY_BYTES_MAX ((1u << 20) + 4096u)
#define NODE_PUMP_ROUNDS_MAX 64u
#define NODE_POOLS 8u
#define NODE_API_BYTES 96u /* what a request of a client keeps until its answer */

/* Kinds of frames between nodes; never renumbered. */
enum node_frame {
    NODE_FRAME_RAFT = 1,
    NODE_FRAME_CALL = 2,
    NODE_FRAME_ANSWER = 3,
    NODE_FRAME_GOSSIP = 4, /* one sealed message of gossip's stream channel */
};

/* ---- memory --------------------------------------------------------------------------------- */

/* An entry's bytes: one owner count, changed by the loop thread only. */
struct node_payload {
    uint32_t refs;
    uint32_t bytes;
    uint8_t data[];
};

struct node_payload *node_payload_new(struct node *n, uint32_t bytes);
void node_payload_put(struct node *n, struct node_payload *p); /* p may be NULL */

/* Free list of records of one size. */
struct node_pool {
    void *free;
    size_t bytes;
    unsigned kept;
};
void *node_pool_take(struct node *n, struct node_pool *p); /* zeroed; NULL without memory */
void node_pool_give(struct node *n, struct node_pool *p, void *item);

struct node_link {
    struct node_link *next, *prev; /* both itself: in no list */
};
void node_link_init(struct node_link *l);
void node_link_append(struct node_link *list, struct node_link *item);
void node_link_remove(struct node_link *item);
static inline bool node_link_empty(const struct node_link *l)
{
    return l->next == l;
}

struct node_keys {
    struct buf names; /* u16 length, name */
    unsigned count;
};

/* ---- log to disk ---------------------------------------------------------------------------- */

struct node_persist {
    struct store_wal_record record;
    struct node_payload *payload;
    uint64_t seq;
    bool last; /* of its seq */
};

struct node_wal_batch {
    struct store_wal_record *records;
    struct node_payload **payloads;
    unsigned count;
    unsigned cap;
    uint64_t seq; /* durable once the batch is */
};

/* A message that waits for the disk. */
struct node_held {
    uint64_t after_seq;
    uint32_t peer;
    struct buf frame;
};

/* ---- groups --------------------------------------------------------------------------------- */

/* What the state machine of a group is at, without its records. */
struct node_meta {
    uint64_t index;
    uint64_t term;
    uint64_t log_time_us;
    uint64_t sessions;
    struct hash_digest digest;
    uint32_t generation;
    uint8_t level;
};

enum node_apply_state { NODE_APPLY_IDLE = 0, NODE_APPLY_LOADING, NODE_APPLY_FETCHING };

struct node_install;
struct node_history;

struct node_group {
    uint32_t id;
    uint32_t voters[RAFT_VOTERS_MAX];
    unsigned voters_count;
    bool fenced;
    bool led; /* leads and the parts above have been told */
    enum raft_role role;
    uint64_t term;
    uint32_t leader;
    struct node_meta now;     /* at the applied index */
    struct node_meta frozen;  /* at the freeze that is being flushed */
    struct node_meta flushed; /* in the kv table */
    uint64_t epoch;           /* counts installs: what was fetched before is void */

    struct node_payload **ring; /* payloads by index & ring_mask */
    uint64_t ring_mask;
    uint64_t ring_max;   /* its size at most */
    uint64_t ring_first; /* lowest index that may be in the ring */
    uint64_t ring_end;   /* above the highest */
    uint64_t ring_bytes;

    uint64_t apply_target;
    uint64_t apply_end;  /* last index of the batch under way */
    uint64_t apply_most; /* entries of a batch whose records fit one read; 0: as configured */
    enum node_apply_state apply_state;
    uint64_t apply_retry_us;
    struct node_install *install;
    bool cleaning; /* records of other generations are being deleted */
    bool broken;   /* the state cannot be read: a snapshot must replace it */
    struct node_timer rebuild;
    bool install_flips; /* the flip is out: nothing is applied meanwhile */

    struct node_link staged; /* proposals of this turn */
    unsigned staged_count;
    struct node_link waiting; /* proposals without a leader to go to */
    struct node_link *logged; /* proposals in the log, by index & logged_mask */
    uint64_t logged_mask;
    uint64_t logged_count;

    struct node_link reads;       /* questions for the next read round */
    struct node_link reads_idle;  /* questions without a leader to ask */
    struct node_link reads_sent;  /* read rounds under way */
    struct node_link reads_ready; /* have an index, wait for apply */
    struct node_timer retry;      /* wakes waiting and reads_idle */
    struct node_timer expire;     /* leader: looks for expired sessions */
    struct node_history *history;
};

/* ---- services ------------------------------------------------------------------------------- */

struct node_call_slot {
    struct node_link link; /* free list, or the calls of the node */
    struct node_timer timer;
    uint64_t id; /* 0: free */
    uint32_t peer;
    uint8_t method;
    bool here; /* to this node: head, body wait in local */
    uint64_t deadline_us;
    struct buf local;
    int code;
    void *ctx;
    node_done_fn *done;
};

struct node_conn {
    struct node_conn *next; /* of its hash slot */
    uint64_t id;
    unsigned requests;
    struct node_link watches;
    unsigned watches_count;
};

struct node_peer {
    uint32_t id;
    bool up;
    uint64_t incarnation;
    uint64_t boot;
    uint64_t nonce;
};

struct node_counters {
    uint64_t requests;
    uint64_t refused_busy;
    uint64_t bad_requests;
    uint64_t bad_frames;
    uint64_t proposals;
    uint64_t queries;
    uint64_t applied;
    uint64_t wal_batches;
    uint64_t flushes;
    uint64_t snapshots_sent;
    uint64_t snapshots_installed;
    uint64_t forwards;
    uint64_t dropped_messages;
    uint64_t ev_conflicts; /* dots with two meanings */
};

struct node_fx_ring {
    struct node_fx *items;
    unsigned mask;
    unsigned first;
    unsigned count;
};

struct node_snapshots;
struct node_member;
struct node_control;
struct node_watches;
struct node_eventual;
struct node_ev_self;
struct node_ev_regions;
struct node_ev_quarantine;
struct node_ev_writes;
struct node_ev_onces;

struct node {
    struct alloc alloc;
    struct node_blob *frame; /* of the event at hand, or NULL */
    struct alloc job_alloc;  /* thread-safe: what jobs allocate and the loop releases */
    struct node_options options;
    struct wire_identity identity;
    struct rng rng;
    uint64_t now;
    uint64_t wall;
    uint64_t started;
    uint32_t self;
    bool failed;  /* nothing is acknowledged any more */
    bool closing; /* jobs are being given back */

    struct raft_host *raft;
    struct store_mem *mem;
    unsigned pins;
    struct node_group *groups; /* the own group is the last */
    unsigned groups_count;
    struct node_group *elsewhere; /* holds what waits for groups without a replica here */
    struct node_group *by_id[NODE_GROUPS_MAX];
    const struct node_op *ops[256];
    const struct node_query_op *queries[256];
    node_serve_fn *methods[256];

    struct node_payload **staged; /* payloads of the raft event under way */
    unsigned staged_count;
    unsigned staged_max;
    uint64_t staged_base; /* reference of staged[0] */
    struct raft_entry *entries;
    struct raft_heartbeat *heartbeats;
    struct raft_action *actions;

    struct node_fx_ring fx;
    struct node_persist *persists;
    unsigned persists_count;
    unsigned persists_cap;
    struct node_wal_batch batch;
    bool batch_out;
    bool batch_kept; /* refused by a full disk, to be tried again */
    bool disk_full;
    uint64_t disk_full_since;
    uint64_t batch_retry_us;
    uint64_t durable_seq;
    struct node_held *held;
    unsigned held_first, held_count, held_cap;

    struct node_timer *timers;
    uint64_t timers_order;
    struct node_pool pools[NODE_POOLS];
    uint64_t job_next;
    unsigned lane_out[NODE_LANES];
    unsigned loads_out;

    struct node_call_slot *calls;
    unsigned calls_max;
    unsigned calls_used; /* set up so far */
    unsigned calls_out;
    struct node_link calls_free;
    struct node_link calls_busy;
    uint64_t call_gen;

    struct node_peer peers[WIRE_IDENTITY_NODES_MAX];
    unsigned peers_count;

    struct wire_decoder *decoder;
    struct node_conn **conns;
    unsigned conns_mask;
    unsigned conns_count;
    uint64_t requests_out;
    struct buf scratch; /* for one function at a time: bodies of commands */
    struct buf reply;   /* of the command or question under way */

    bool flush_out;
    bool flip_wanted; /* an install waits for the flush lane: no new flush starts */
    bool flush_now;
    bool flush_frozen; /* the memtable is frozen, its flush under way or to be tried again */
    uint64_t flush_epoch;
    uint64_t thaws; /* counts what may make a fetched row stale */
    uint64_t flushed_us;
    uint64_t flush_retry_us;
    struct buf flush_meta;

    uint64_t read_ctx;
    struct node_control *control;
    struct node_member *member;
    struct node_snapshots *snapshots;
    struct node_watches *watches;
    struct node_objects *objects;
    struct node_eventual *eventual;
    struct node_ev_self *ev_self;
    struct node_ev_regions *ev_regions;
    struct node_ev_quarantine *quarantine; /* under way: nothing is flushed meanwhile */
    struct node_ev_writes *ev_writes;
    struct node_ev_onces *ev_once; /* writes that are remembered by token */
    struct node_counters counters;
};

/* pools */
enum {
    NODE_POOL_PENDING = 0,
    NODE_POOL_ASK,
    NODE_POOL_ROUND,
    NODE_POOL_API,
    NODE_POOL_CONN,
};

static inline struct node_group *node_group_find(const struct node *n, uint32_t id)
{
    return id < NODE_GROUPS_MAX ? n->by_id[id] : NULL;
}

static inline bool node_group_own(const struct node_group *g)
{
    return g->id == NODE_GROUP_OWN;
}

/* fx.c */
bool node_fx_push(struct node *n, const struct node_fx *fx); /* takes head and body on success */
int node_fx_init(struct node *n);
void node_fx_return(struct node *n);
void node_fx_release(struct node *n);
/* The disk or the state cannot be trusted: nothing more is acknowledged. */
void node_fail(struct node *n, int code, const char *what);
void node_send(struct node *n, uint32_t peer, enum node_frame kind, struct buf *head,
               struct node_blob *body); /* head and body are taken */

/* bridge.c */
int node_raft(struct node *n, struct raft_event *ev);
void node_raft_message(struct node *n, uint32_t peer, struct bytes data);
/* Hands p (taken) to the raft event under construction. returns: its reference. */
uint64_t node_stage(struct node *n, struct node_payload *p);

/* batch.c */
void node_persist_add(struct node *n, const struct node_persist *item); /* payload is taken */
void node_persist_end(struct node *n, uint64_t seq); /* marks the last one; adds nothing */
void node_wal_turn(struct node *n);
void node_wal_done(struct node *n, struct node_wal_batch *batch, int code);
void node_hold(struct node *n, uint64_t after_seq, uint32_t peer, struct buf *frame);
void node_held_release(struct node *n);
void node_batch_free(struct node *n);

/* entries.c */
int node_ring_init(struct node *n, struct node_group *g);
void node_ring_free(struct node *n, struct node_group *g);
void node_ring_set(struct node *n, struct node_group *g, uint64_t index, struct node_payload *p);
void node_ring_cut(struct node *n, struct node_group *g, uint64_t from); /* from on are gone */
void node_ring_drop(struct node *n, struct node_group *g, uint64_t to);  /* up to `to` are gone */
void node_ring_trim(struct node *n, struct node_group *g);
struct node_payload *node_ring_get(const struct node_group *g, uint64_t index);
typedef void node_loaded_fn(struct node *n, struct node_group *g, void *ctx, int code);
/* Reads entries' payloads back from the log into the ring, then calls loaded. ERR_BUSY: later. */
int node_load_start(struct node *n, struct node_group *g, uint64_t first, unsigned count, void *ctx,
                    node_loaded_fn *loaded);
/* Sends a message whose payloads are not all in memory, once they have been read. head: taken. */
void node_send_late(struct node *n, struct node_group *g, const struct raft_message *m,
                    struct buf *head);

/* apply.c */
bool node_apply_run(struct node *n, struct node_group *g); /* returns whether anything moved */
void node_fence(struct node *n, struct node_group *g, uint64_t index, const char *why);
int node_cmd_encode(struct node *n, const struct node_cmd *cmd, struct node_payload **out);
int node_cmd_decode(struct bytes raw, struct node_cmd *out);

/* sm.c */
struct node_sm {
    struct node *n;
    struct node_group *g;
    uint64_t index;
    uint64_t time_us;
    uint8_t key[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
};
#define NODE_META_NAME_BYTES 1u
void node_prefix_put(uint8_t *at, uint32_t group, uint32_t generation);
void node_meta_key(uint32_t group, uint8_t key[9]);
int node_meta_encode(const struct node_meta *m, const struct node_group *g, struct buf *out);
int node_meta_decode(struct bytes raw, struct node_meta *out);
struct bytes node_key_of(const struct node_group *g, struct bytes name, uint8_t *into);
void node_keys_init(struct node_keys *k, const struct node *n);
void node_mem_pin(struct node *n);
void node_mem_unpin(struct node *n);

/* fetch.c: records and ranges read by a job */
struct node_fetch {
    struct node_task task;
    struct node *n;
    struct node_group *g;
    uint64_t epoch;
    uint64_t thaws;
    unsigned keys_count;
    struct buf keys;     /* whole kv keys: u16 length, key */
    struct buf from, to; /* range, whole kv keys; to empty: none */
    bool after;
    uint32_t rows_max, bytes_max;
    struct buf found; /* per key: u8 present, u32 length, value */
    struct buf rows;  /* per row: u16 length, key, u32 length, value */
    unsigned rows_count;
    bool more;
    void *ctx;
    void (*ended)(struct node *n, struct node_fetch *f);
};
struct node_fetch *node_fetch_new(struct node *n, struct node_group *g);
void node_fetch_free(struct node_fetch *f);
/* Adds the key if the memtable does not know it. returns: 0 or an error of memory. */
int node_fetch_want(struct node_fetch *f, struct bytes name);
int node_fetch_start(struct node_fetch *f);
/* Puts what was found into the cache, unless a flush may have made it stale. */
int node_fetch_fill(struct node_fetch *f);

/* session.c */
int node_session_keys(const struct node_cmd *cmd, struct node_keys *out);
/* returns: whether its record is in memory. */
bool node_session_known(struct node_sm *sm, const struct node_cmd *cmd);
/* *answered: the reply is a stored one, or a refusal; nothing is to be applied. */
int node_session_begin(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply,
                       bool *answered);
int node_session_end(struct node_sm *sm, const struct node_cmd *cmd, int code, struct bytes reply);
void node_session_led(struct node *n, struct node_group *g);
extern const struct node_query_op node_session_queries[];
extern const struct node_api node_session_api[];
#define NODE_QUERY_SESSIONS 32     /* sessions from one on, for the leader's look at their end */
#define NODE_QUERY_SESSION_SEEN 33 /* whether a session had a sequence */

/* propose.c */
size_t node_pending_bytes(void);
void node_propose_flush(struct node *n, struct node_group *g);
void node_propose_applied(struct node *n, struct node_group *g, const struct raft_entry *entry,
                          uint64_t index, int code);
void node_propose_role(struct node *n, struct node_group *g);
void node_propose_free(struct node *n, struct node_group *g);
void node_propose_serve(struct node *n, struct node_request request, struct bytes body);

/* query.c */
void node_query_flush(struct node *n, struct node_group *g);
void node_query_read_ok(struct node *n, struct node_group *g, uint64_t ctx, uint64_t index);
void node_query_read_fail(struct node *n, struct node_group *g, uint64_t ctx);
bool node_query_run(struct node *n, struct node_group *g);
void node_query_role(struct node *n, struct node_group *g);
void node_query_free(struct node *n, struct node_group *g);
void node_query_serve(struct node *n, struct node_request request, struct bytes body);
struct node_rows {
    struct buf data;
    struct node_row *items;
    unsigned count, cap;   /* of items */
    unsigned points_count; /* the first ones are the named records */
    bool more;
    struct alloc alloc;
};
struct node_row {
    size_t name_at, name_bytes, value_at, value_bytes;
    bool present;
};

/* route.c: where a group is */
uint32_t node_route(const struct node *n, uint32_t group, bool leader_only);
void node_route_learn(struct node *n, uint32_t group, uint32_t leader);
void node_retry_soon(struct node *n, struct node_group *g);
void node_retry_at(struct node *n, struct node_group *g, uint64_t at_us); /* or before */

/* call.c */
int node_call_init(struct node *n);
void node_call_release(struct node *n);
void node_call_arrived(struct node *n, uint32_t peer, struct bytes data);
void node_call_answered(struct node *n, uint32_t peer, struct bytes data);
void node_call_peer_down(struct node *n, uint32_t peer);

/* timer.c */
bool node_timers_run(struct node *n);
void node_timers_end(struct node *n); /* fires those that owe an end, drops the others */
uint64_t node_timers_next(const struct node *n);

/* api.c */
int node_api_init(struct node *n);
void node_api_release(struct node *n);
void node_api_rpc(struct node *n, uint64_t conn, struct bytes data);
void node_api_open(struct node *n, uint64_t conn);
void node_api_gone(struct node *n, uint64_t conn);
struct node_conn *node_conn_find(const struct node *n, uint64_t id);
/* Answers a failed request with the hints that help the client to the right node. */
void node_reply_group_error(struct node *n, struct node_client client, int code, uint32_t group);
extern const struct node_api node_core_api[];
extern const struct node_api node_watch_api[];

/* flush.c */
void node_flush_turn(struct node *n);
void node_compact(struct node *n, struct node_group *g);

/* snapshot.c, install.c */
int node_snapshots_init(struct node *n);
void node_snapshots_release(struct node *n);
void node_snapshot_wanted(struct node *n, struct node_group *g, uint32_t peer);
void node_snapshot_serve_open(struct node *n, struct node_request request, struct bytes body);
void node_snapshot_serve(struct node *n, struct node_request request, struct bytes body);
void node_install_begin(struct node *n, struct node_group *g, const struct raft_action *a);
void node_install_turn(struct node *n);
void node_install_release(struct node *n, struct node_group *g);
void node_clean_start(struct node *n, struct node_group *g);
/* The state of the group cannot be read any more: gets a snapshot from the leader. */
void node_rebuild(struct node *n, struct node_group *g);

/* watch.c */
int node_watch_init(struct node *n);
void node_watch_release(struct node *n);
void node_watch_note(struct node *n, struct node_group *g, struct bytes name, bool present,
                     struct bytes value, uint64_t revision);
/* The same for a record of replicated data types: the name of its key is told. */
void node_watch_note_record(struct node *n, struct node_group *g, struct bytes name,
                            uint64_t revision);
void node_watch_turn(struct node *n, struct node_group *g); /* after an apply batch */
void node_watch_reset(struct node *n, struct node_group *g);
void node_watch_conn_gone(struct node *n, struct node_conn *c);

/* control.c, genesis.c */
int node_control_init(struct node *n);
void node_control_release(struct node *n);
void node_control_start(struct node *n);
/* The replica of group 0 here has stopped: what group 0 says is asked for elsewhere. */
void node_control_fenced(struct node *n);
void node_control_note(struct node *n, struct bytes name, bool present, struct bytes value);
int node_genesis(struct node *n, struct node_group *g);
uint64_t node_control_nonce(const struct node *n, uint32_t peer, uint64_t *boot);

/* member.c: gossip in this node */
int node_member_init(struct node *n);
void node_member_release(struct node *n);
void node_member_start(struct node *n);  /* group 0 has recorded this start */
void node_member_roster(struct node *n); /* group 0's records are others now */
void node_member_keys(struct node *n);
void node_member_packet(struct node *n, const struct node_event *ev);
void node_member_stream(struct node *n, uint32_t peer, struct bytes data);
void node_member_answered(struct node *n, uint32_t peer);
void node_member_connection(struct node *n, uint32_t peer, bool up);
void node_member_turn(struct node *n);
uint64_t node_member_deadline(const struct node *n);
/* Tells the others that this node goes. returns: whether node_ev_left will be called, later. */
bool node_member_leave(struct node *n);
/* Appends one MessagePack map: gossip's counters. */
int node_member_status(struct node *n, struct buf *out);
/* member_health.c */
void node_member_wal_begun(struct node *n);
void node_member_wal_ended(struct node *n);

/* recover.c */
int node_recover(struct node *n, struct node_env *env, struct err_info *why);

/* kv.c */
int node_kv_name(struct bytes space, struct bytes key, uint8_t *into, struct bytes *name);
struct node_kv_value {
    uint64_t create_revision, mod_revision, version, lease;
    struct bytes data;
};
int node_kv_decode(struct bytes raw, struct node_kv_value *out);

#endif
