/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * node: one Holdfast node as a pure composition of raft, state machine, objects and client API.
 * Time, bytes, completions and one seed come in as events; effects go out. The program's host
 * (libuv, threads, files) and the simulator drive the same code.
 *
 *   node_new                recovers from the stores in env (the only synchronous I/O)
 *   loop:  node_step(n, &event)
 *          while (node_poll(n, fx, max))      carry effects out, in order
 *          sleep until node_deadline(n)
 *
 * Jobs are what may block or takes long (reads of the state, flushes, shards, coding, hashing).
 * The executor runs node_job_run(job, env) on the thread of job->lane, then gives the job back
 * with NODE_EV_JOB. Jobs of one lane start in order. In the lane NODE_LANE_SHARD the executor may
 * run several jobs, then calls node_jobs_sync(env) once (one sync for all), and only then gives
 * them back; if that fails it sets their code to its result first.
 *
 * WAL batches go one at a time: NODE_FX_WAL, node_wal_run on the WAL thread, NODE_EV_WAL; the next
 * NODE_FX_WAL comes only after that. A failed batch (ERR_IO) is final: the node stops
 * acknowledging and asks to be stopped (NODE_FX_STOP).
 *
 * Memory: everything the loop owns comes from the allocator given to node_new; what jobs allocate
 * on their threads comes from env->alloc, which must be safe between threads.
 *
 * threads: the loop thread owns struct node; node_job_run, node_jobs_sync and node_wal_run run on
 *          the executor's threads and touch only the job and the stores.
 */
#ifndef HOLDFAST_SERVER_NODE_NODE_H
#define HOLDFAST_SERVER_NODE_NODE_H

#include "base/bytes.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "compute/compute.h"
#include "compute/whole.h"
#include "erasure/erasure.h"
#include "gossip/gossip.h"
#include "store/kv.h"
#include "store/segments.h"
#include "store/wal.h"
#include "wire/identity.h"

struct node;

/* What sealed gossip needs from outside. Without a cipher the node does not gossip, and judges
 * others by their connections alone. */
struct node_gossip_options {
    struct gossip_cipher cipher;         /* seal NULL: no gossip */
    struct gossip_signer signer;         /* may be empty */
    struct gossip_rules rules;           /* probe_interval_us 0: gossip_rules_default */
    uint8_t first_key[GOSSIP_KEY_BYTES]; /* key 1 of the cluster */
    /* Random bytes for new keys; NULL: none can be made here. */
    void *random_ctx;
    int (*random)(void *ctx, void *into, size_t bytes);
};

/* What `status` says of a device, if the host has a place for one. */
enum node_device_kind {
    NODE_DEVICE_CODES = 0,
    NODE_DEVICE_SUMS,
    NODE_DEVICE_LEAVES,
    NODE_DEVICE_REDUCES,
    NODE_DEVICE_SCANS,
    NODE_DEVICE_SORTS,
    NODE_DEVICE_KINDS,
};
struct node_device_jobs {
    uint64_t least_bytes; /* sources of a job that goes there; UINT64_MAX: none does */
    uint64_t jobs;        /* done there */
    uint64_t bytes;       /* of their sources */
};
struct node_device {
    const char *state; /* static */
    char name[96];     /* of the device; "": none */
    char cause[240];   /* why it is used, or is not */
    struct node_device_jobs of[NODE_DEVICE_KINDS];
    uint64_t failed; /* jobs whose error sent them to the processor */
    uint64_t late;   /* jobs that were given up */
    uint64_t wrong;  /* jobs whose results were found to be wrong */
    uint64_t errors; /* that made it suspect */
};
struct node_device_source {
    void *ctx;
    void (*get)(void *ctx, struct node_device *out); /* any thread; NULL: status has none */
};

struct node_options {
    const struct wire_identity *identity; /* copied: cluster, own id, incarnation, roster, groups */
    uint64_t boot;                        /* boot number, synced before the first packet */
    uint64_t boot_nonce;                  /* random of this process */
    uint64_t seed;
    struct limits limits; /* copied */
    struct log *log;      /* may be NULL; outlives the node */
    uint64_t heartbeat_us;
    uint64_t election_us;
    uint64_t flush_interval_us;  /* memtable is flushed at least this often when dirty */
    uint64_t intent_ttl_us;      /* log time an upload lives without renewal; default 60 s */
    uint64_t free_delay_us;      /* replaced versions are freed after it; default 15 min */
    uint64_t session_ttl_us;     /* default 1 h of log time */
    uint64_t once_ttl_us;        /* tokens of writes; default 24 h of log time */
    uint64_t audit_interval_us;  /* pause between steps of shard audit; default 1 s */
    uint64_t scrub_bytes_per_s;  /* default 8 MiB */
    uint64_t repair_bytes_per_s; /* default 64 MiB */
    uint64_t put_deadline_us;    /* when a stripe's missing shards are given up; default 5 s */
    uint32_t log_keep_entries;   /* kept behind the flushed index for slow followers */
    uint64_t repair_delay_us;    /* a node dead for so long is declared out; default 10 min */
    uint64_t capacity_bytes;     /* of the disk; 0: not known */
    uint64_t disk_slow_us;       /* log syncs slower than this make the node unwell; default 1 s */
    struct node_gossip_options gossip;
    struct erasure_kernel kernel; /* codes objects' cells, checked; zeros: the processor's own */
    struct node_device_source device;
};

/* The stores a job works on. One per executor thread where compute is concerned. */
struct node_env {
    struct store_wal *wal;
    struct store_kv *kv;
    struct store_segments *segments;
    struct compute *compute;
    struct alloc alloc;                /* thread-safe */
    const struct compute_whole *whole; /* is offered what it may do; NULL: there is none */
};

enum node_lane {
    NODE_LANE_READ = 0,   /* reader threads: state, log and shard reads */
    NODE_LANE_FLUSH,      /* one thread: memtable flush, snapshot install */
    NODE_LANE_SHARD,      /* one thread: shard writes and deletes, batched sync */
    NODE_LANE_FOREGROUND, /* worker pool: hashing and coding for clients */
    NODE_LANE_REPAIR,     /* worker pool, behind foreground */
    NODE_LANE_COMPUTE,    /* worker pool, behind repair */
    NODE_LANES,
};

struct node_job {
    uint64_t id;
    enum node_lane lane;
    int code; /* result; set by node_job_run */
    /* the rest is private to server/node */
};

void node_job_run(struct node_job *job, struct node_env *env);
/* Makes everything shard jobs wrote since the last call durable. returns: 0 or ERR_IO. */
int node_jobs_sync(struct node_env *env);

struct node_wal_batch; /* private */
/* Writes one batch, durable on return. returns: 0, ERR_DISK_FULL (nothing of it counts), ERR_IO. */
int node_wal_run(struct node_wal_batch *batch, struct node_env *env);
/* After a pause without batches the executor may call store_wal_idle and store_wal_maintain on the
 * WAL thread by itself. */

struct node_blob;

enum node_event_kind {
    NODE_EV_TICK = 1,
    NODE_EV_RPC,       /* conn, data: one whole MessagePack-RPC message that passed the pre-scan */
    NODE_EV_CONN_OPEN, /* conn: a client connected */
    NODE_EV_CONN_GONE, /* conn: a client is gone; nothing more may be sent to it */
    NODE_EV_PEER,      /* peer, frame_kind, data: the body of one checked peer frame */
    NODE_EV_PEER_UP,   /* peer: a connection to it is established and its identity is checked */
    NODE_EV_PEER_DOWN, /* peer: the connection is gone */
    NODE_EV_WAL,       /* batch, code */
    NODE_EV_JOB,       /* job */
    NODE_EV_GOSSIP,    /* from, data: a datagram, whoever sent it */
    NODE_EV_REFUSED,   /* peer: it says that this node is fenced. It may err, or lie */
    NODE_EV_LEAVE,     /* the process is about to end: NODE_FX_LEFT follows, and need not be
                          waited for longer than a second */
};

struct node_event {
    enum node_event_kind kind;
    uint64_t now_us;  /* monotonic */
    uint64_t wall_us; /* Unix time, a label only */
    uint64_t conn;
    uint32_t peer;
    uint16_t frame_kind;
    struct bytes data;       /* borrowed for the call */
    struct node_blob *frame; /* of PEER, may be NULL: has data, and the node may retain it */
    int code;
    struct node_job *job;
    struct node_wal_batch *batch;
    struct gossip_address from;
};

/* Never fails for what comes from outside: bad bytes end in a reply or NODE_FX_CLOSE. */
void node_step(struct node *n, const struct node_event *ev);

/* Bytes shared by several effects, or by an executor and its node; counted on the loop thread only.
 */
struct bytes node_blob_bytes(const struct node_blob *b);
void node_blob_retain(struct node_blob *b);
void node_blob_release(struct node *n, struct node_blob *b);
bool node_blob_alone(const struct node_blob *b); /* nobody else refers to it */
/* The CRC32C of its bytes, where somebody knows it, so that who sends them need not make it. */
void node_blob_crc_set(struct node_blob *b, uint32_t crc);
bool node_blob_crc(const struct node_blob *b, uint32_t *crc);
/* returns: an allocator over another, which outlives it: each piece of its memory is a blob's, and
 * to put it back is to release that. */
struct alloc node_blob_alloc(const struct alloc *under);
/* memory: from such an allocator, as it was given. */
struct node_blob *node_blob_of(uint8_t *memory);

enum node_fx_kind {
    NODE_FX_WAL = 1,
    NODE_FX_JOB,
    NODE_FX_SEND,   /* peer, frame_kind, head then body: one peer frame */
    NODE_FX_REPLY,  /* conn, head then body: raw MessagePack-RPC bytes, in order a connection */
    NODE_FX_CLOSE,  /* conn: close once what was replied has been written; code says why */
    NODE_FX_STOP,   /* code: the process must end (disk failed, fenced, divergence); logged */
    NODE_FX_GOSSIP, /* peer, address, head: a datagram. May be lost. An address of zeros: that of
                       the roster */
    NODE_FX_LEFT,   /* after NODE_EV_LEAVE: the next start can go on where this one ends */
};

struct node_fx {
    enum node_fx_kind kind;
    uint64_t conn;
    uint32_t peer;
    uint16_t frame_kind;
    int code;
    struct buf head;        /* taken by the executor: buf_release when written or dropped */
    struct node_blob *body; /* may be NULL; node_blob_release when written or dropped */
    struct node_job *job;
    struct node_wal_batch *batch;
    struct gossip_address address;
};

/* returns: how many effects were moved to out. */
unsigned node_poll(struct node *n, struct node_fx *out, unsigned max);

uint64_t node_deadline(const struct node *n);

/* env: borrowed for the call. returns: 0 or an error with why (ERR_CORRUPT, ERR_WRONG_CLUSTER,
 * ERR_LEVEL, ERR_FENCED, ERR_NO_MEMORY ...). */
int node_new(struct node **out, const struct node_options *options, struct node_env *env,
             const struct alloc *alloc, uint64_t now_us, struct err_info *why);
/* No job or batch may be out. */
void node_free(struct node *n);

/* The host asks when a peer's greeting arrives, before NODE_EV_PEER_UP. What a greeting says is
 * held against later ones only while that connection is up: authority is group 0's record alone.
 * returns: 0; ERR_NOT_FOUND (not in the roster), ERR_FENCED (another incarnation, a boot number
 * lower than the recorded one, or the same one from another process). */
int node_peer_check(struct node *n, uint32_t peer, uint64_t incarnation, uint64_t boot,
                    uint64_t nonce);

/* Jobs and batches that the executor could not run at its end are given back here. */
void node_job_drop(struct node *n, struct node_job *job);
void node_wal_drop(struct node *n, struct node_wal_batch *batch);

/* What a checker needs; the simulator calls it after every event. */
struct node_group_view {
    uint32_t group;
    uint32_t leader;
    bool is_leader;
    bool fenced;
    uint64_t term;
    uint64_t commit_index;
    uint64_t durable_index;
    uint64_t last_index;
    uint64_t base_index;
    uint64_t applied_index;
    struct hash_digest digest; /* of the state at applied_index */
};
unsigned node_groups(const struct node *n);
/* i: below node_groups. */
void node_group_view_get(const struct node *n, unsigned i, struct node_group_view *out);
/* Term and a hash of (type, time, payload if it is in memory) of a log entry; ERR_NOT_FOUND. */
int node_entry_view(const struct node *n, uint32_t group, uint64_t index, uint64_t *term);

/* A region of eventual mode: the hash that owners compare (equal: same dots, same entries) and its
 * context, appended as the kernel encodes it. region: below NODE_EVENTUAL_REGIONS.
 * returns: 0 or ERR_NO_MEMORY. */
#define NODE_EVENTUAL_REGIONS 64u
int node_eventual_view(const struct node *n, uint8_t region, struct hash_digest *hash,
                       struct buf *context);
/* Whether the node owns the region, and whether it has all that another owner had at its start. */
void node_eventual_owner(const struct node *n, uint8_t region, bool *owns, bool *serves);

/* Recomputes the digest of a whole group from kv table and memtable, at applied_index. For tests;
 * takes time. */
int node_state_digest(struct node *n, uint32_t group, struct node_env *env,
                      struct hash_digest *out);

#endif
