/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of a node offer each other. The core (dispatch, raft glue, apply, sessions,
 * queries, calls, jobs) implements the services; the state machines (kv, objects, control) and
 * the long-running coordinators (put, get, repair, audit) use them. Nothing here is known outside
 * server/node.
 *
 * State of a group is a set of records under one kv key prefix (group u32 be, generation u32 be);
 * the rest of the key is a kind byte and the record's own name. Every change goes through
 * node_sm_put and node_sm_del, which keep the group's additive digest; apply does no I/O: every
 * key it touches was named by the op's keys function and fetched before.
 *
 * threads: the loop thread, but job run functions (executor threads).
 */
#ifndef HOLDFAST_SERVER_NODE_SERVICE_INTERNAL_H
#define HOLDFAST_SERVER_NODE_SERVICE_INTERNAL_H

#include "server/node/node.h"
#include "wire/rpc.h"

/* A group of one voter, this node: what it keeps by itself (eventual_internal.h). No other node
 * asks it anything or hears of it. */
#define NODE_GROUP_OWN WIRE_IDENTITY_GROUPS_MAX /* never a group's of the cluster */

/* ---- records -------------------------------------------------------------------------------- */

/* First byte of a record's name. Never renumbered: on disk. */
enum node_key_kind {
    NODE_KEY_META = 0x01,      /* one: applied index and term, log time, digest, level, voters */
    NODE_KEY_SESSION = 0x02,   /* session u64be */
    NODE_KEY_REPLY = 0x03,     /* kept free: replies are in their session's record */
    NODE_KEY_KV = 0x10,        /* space length u16be, space, user key */
    NODE_KEY_BUCKET = 0x20,    /* bucket name */
    NODE_KEY_OBJECT = 0x21,    /* bucket length u16be, bucket, object name: current version */
    NODE_KEY_VERSION = 0x22,   /* version (grant u64be, counter u64be): committed or being freed */
    NODE_KEY_EXTENT = 0x23,    /* version, extent number u32be */
    NODE_KEY_INTENT = 0x24,    /* version: an upload under way */
    NODE_KEY_MISSING = 0x25,   /* node u32be, version, extent u32be, shard u8: to be repaired */
    NODE_KEY_FREE = 0x26,      /* log time u64be, version: to be freed then */
    NODE_KEY_NODE = 0x30,      /* group 0: node id u32be: roster */
    NODE_KEY_SLOTS = 0x31,     /* group 0: one record, slot ranges to groups */
    NODE_KEY_PLACE = 0x32,     /* group 0: placement group u32be: ordered node list */
    NODE_KEY_GRANT = 0x33,     /* group 0: one record, next grant */
    NODE_KEY_ROSTER = 0x34,    /* group 0: one record, what was decided about each node */
    NODE_KEY_KEYRING = 0x35,   /* group 0: one record, gossip's keys */
    NODE_KEY_EPOCHS = 0x36,    /* group 0: node id u32be: epochs granted to its actors */
    NODE_KEY_RETIRED = 0x37,   /* group 0: node id u32be: dots of its epochs that are over */
    NODE_KEY_EV_SELF = 0x50,   /* own group: one, which actor this node is */
    NODE_KEY_EV_REGION = 0x51, /* own group: region u8 */
    NODE_KEY_EV_RECORD = 0x52, /* own group: region u8, key length u16be, key, record key */
    NODE_KEY_EV_TYPES = 0x53,  /* own group: as EV_RECORD, the record key cut before a type */
    NODE_KEY_EV_PRUNED = 0x54, /* own group: region u8: removals in it may be gone */
    NODE_KEY_EV_AHEAD = 0x55,  /* own group: region u8: its records may have been told of it */
    NODE_KEY_EV_ONCE = 0x56,   /* own group: log time u64be, epoch u64be, random u64be: what became
                                  of the write of a token; without these: of all of them */
};
#define NODE_KEY_CONTROL_END 0x40 /* above all records of group 0 that every node follows */

#define NODE_NAME_BYTES_MAX 1100 /* of a record's name with its kind byte */

/* A list of record names, copied in. */
struct node_keys;
int node_keys_add(struct node_keys *k, struct bytes name); /* 0, ERR_NO_MEMORY, ERR_TOO_LARGE */

/* ---- state machine -------------------------------------------------------------------------- */

struct node_sm; /* one group's state at execution */

/* value views memory valid until the next call on sm. returns: 0 or ERR_NOT_FOUND. Asserts that
 * the name was fetched or is in the memtable. */
int node_sm_get(struct node_sm *sm, struct bytes name, struct bytes *value);
/* returns: 0 or ERR_NO_MEMORY, which stops the replica: a state must never miss a change. */
int node_sm_put(struct node_sm *sm, struct bytes name, struct bytes value);
/* The same for a record that cannot exist yet, because its name holds this command's log time or
 * revision: its name need not have been fetched and is not looked up. */
int node_sm_add(struct node_sm *sm, struct bytes name, struct bytes value);
int node_sm_del(struct node_sm *sm, struct bytes name);
/* Looks up what may not have been named. spot and value hold until the record is put, for within
 * one command nothing leaves memory. returns: false: it is not known in memory. */
struct store_mem_spot;
bool node_sm_seek(struct node_sm *sm, struct bytes name, struct store_mem_spot *spot, bool *present,
                  struct bytes *value);
/* The same for several: memory is asked for all of them before one is waited for. Expect each,
 * bring each, find each. */
void node_sm_expect(struct node_sm *sm, struct bytes name, struct store_mem_spot *spot);
void node_sm_bring(const struct node_sm *sm, const struct store_mem_spot *spot);
bool node_sm_find(struct node_sm *sm, struct bytes name, struct store_mem_spot *spot, bool *present,
                  struct bytes *value);
/* As put, of a record of the own group found there. */
int node_sm_put_at(struct node_sm *sm, const struct store_mem_spot *spot, struct bytes name,
                   struct bytes value);
uint32_t node_sm_group(const struct node_sm *sm);
uint64_t node_sm_revision(const struct node_sm *sm); /* raft index of the command: the revision */
uint64_t node_sm_log_time(const struct node_sm *sm);

struct node_cmd {
    uint8_t op;
    uint64_t session; /* 0: none */
    uint64_t sequence;
    uint64_t acked; /* replies below are no longer needed */
    struct bytes principal;
    struct bytes body; /* the op's own encoding */
    bool here;         /* node_ev_write: never passed on to another node */
    bool settled;      /* node_ev_write: its session has the answer, and nothing is written */
};

/* One replicated command. Ops are never renumbered: in the log. Decoding failures of a body return
 * ERR_INVALID from both functions and change nothing. */
struct node_op {
    uint8_t op;
    const char *name;
    int (*keys)(const struct node_cmd *cmd, struct node_keys *out);
    /* returns: the command's result code (0 or ERR_): replicas must agree on it. reply: bytes of
     * the op's own encoding, at most 1 MiB (stored for retries if at most 1 KiB). An error must
     * change nothing. */
    int (*apply)(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);
};

enum {
    NODE_OP_SESSION_OPEN = 1,
    NODE_OP_EXPIRE = 2, /* sessions and the like whose log time has come */
    NODE_OP_SESSION_CLOSE = 3,
    NODE_OP_KV_PUT = 16,
    NODE_OP_KV_DELETE,
    NODE_OP_KV_CAS,
    NODE_OP_KV_INCR,
    NODE_OP_BUCKET_CREATE = 32,
    NODE_OP_BUCKET_REMOVE,
    NODE_OP_PUT_INTENT, /* an upload begins: bucket, name, version, scheme */
    NODE_OP_PUT_EXTENT, /* an extent is durable: roots, bitmap */
    NODE_OP_PUT_RENEW,  /* the upload lives on */
    NODE_OP_PUT_COMMIT, /* the object becomes visible */
    NODE_OP_PUT_CANCEL, /* the upload is over; late commits are refused */
    NODE_OP_PUT_INLINE, /* a small object, whole, in the state */
    NODE_OP_OBJECT_REMOVE,
    NODE_OP_SHARD_REPAIRED, /* version, extent, shard are durable at their home */
    NODE_OP_SHARD_DAMAGED,  /* found lost or rotted: to be repaired */
    NODE_OP_FREE,           /* a replaced version's records go, a bounded part at a time */
    NODE_OP_SHARDS_MOVE,    /* shards of an extent get other homes */
    NODE_OP_NODE_BOOT = 64, /* group 0: a node's boot number and nonce */
    NODE_OP_GRANT,          /* group 0: a coordinator's grant */
    NODE_OP_NODE_STATE,     /* group 0: a node is out, or a member again */
    NODE_OP_KEY,            /* group 0: a key of gossip is installed, used or retired */
    NODE_OP_EPOCHS,         /* group 0: epochs for the actors of a start */
    NODE_OP_RETIRE,         /* group 0: which dots there are of epochs that are over */
    NODE_OP_EV_UPDATE = 96, /* own group, all of these: operations on replicated data types */
    NODE_OP_EV_JOIN,        /* fragments of peers */
    NODE_OP_EV_START,       /* which actor this start is */
    NODE_OP_EV_STOP,        /* an orderly end: the actor may go on */
    NODE_OP_EV_DOUBT,       /* another actor from here on */
    NODE_OP_EV_LOST,        /* the log was cut here: older sessions are void */
    NODE_OP_EV_DROP,        /* removals that every owner has seen go */
    NODE_OP_EV_RECOUNT,     /* counts of types that were wrong */
    NODE_OP_EV_FOLD,        /* epochs that are over are folded in contexts */
    NODE_OP_EV_MENDED,      /* regions that had lost records are whole again */
    NODE_OP_EV_TOKEN,       /* a token for a write is given out */
    NODE_OP_EV_ONCE,        /* operations under one */
    NODE_OP_EV_ONCE_END,    /* what became of them is no longer known */
};

/* Tables of ops, ended by a row with op 0; the core looks through them. */
extern const struct node_op node_session_ops[];
extern const struct node_op node_kv_ops[];
extern const struct node_op node_object_ops[];
extern const struct node_op node_control_ops[];

/* ---- queries -------------------------------------------------------------------------------- */

struct node_rows; /* what was fetched for a query */

/* returns: the value of a named record, or ERR_NOT_FOUND. */
int node_rows_get(const struct node_rows *rows, struct bytes name, struct bytes *value);
/* Rows of the range, in order. */
unsigned node_rows_count(const struct node_rows *rows);
void node_rows_at(const struct node_rows *rows, unsigned i, struct bytes *name,
                  struct bytes *value);
bool node_rows_more(const struct node_rows *rows); /* the limit ended it */

struct node_range {
    struct bytes from; /* name, copied by the core */
    struct bytes to;   /* exclusive; empty: none wanted */
    bool after;        /* strictly after from */
    uint32_t rows_max;
    uint32_t bytes_max;
};

struct node_query_ctx {
    uint32_t group;
    uint64_t revision; /* applied index the answer is at */
    uint64_t log_time_us;
};

/* One read-only question to a group, answered by a replica that has proved (read index) that it is
 * current, or, with stale allowed, by any replica. */
struct node_query_op {
    uint8_t op;
    const char *name;
    /* Names records and at most one range (out->to left empty: none). */
    int (*want)(struct bytes body, struct node_keys *keys, struct node_range *range);
    int (*answer)(const struct node_query_ctx *q, struct bytes body, const struct node_rows *rows,
                  struct buf *reply);
};

enum {
    NODE_QUERY_KV_GET = 1,
    NODE_QUERY_KV_SCAN,
    NODE_QUERY_KV_GET_AT, /* with the revision of the answer */
    NODE_QUERY_BUCKET_GET = 16,
    NODE_QUERY_BUCKET_LIST,
    NODE_QUERY_OBJECT_STAT,
    NODE_QUERY_OBJECT_EXTENTS,
    NODE_QUERY_OBJECT_LIST,
    NODE_QUERY_VERSIONS_LIVE, /* which of these versions have an intent or a manifest */
    NODE_QUERY_MISSING,       /* what is to be repaired at a node */
    NODE_QUERY_DUE,           /* intents and frees whose log time has come */
    NODE_QUERY_CONTROL = 64,  /* group 0: roster, slots, placement */
    NODE_QUERY_EV_NAMES = 81, /* own group, all of these: the record keys under a prefix */
    NODE_QUERY_EV_PAGE,       /* a page of a region's records */
    NODE_QUERY_EV_SUMS,       /* sums of a region's records */
    NODE_QUERY_EV_DROPS,      /* records of a region with removals that may go */
    NODE_QUERY_EV_COUNTS,     /* which records are live, or counts of types */
    NODE_QUERY_EV_ONCE,       /* whether a token's write was done */
    NODE_QUERY_EV_ONCE_DUE,   /* tokens whose log time has come */
    NODE_QUERY_EV_WHO = 88,   /* which actor this node is */
    NODE_QUERY_EV_HOLDERS,    /* who has rights to a bounded counter */
    NODE_QUERY_EV_READ,       /* what lies under a path */
};

extern const struct node_query_op node_kv_queries[];
extern const struct node_query_op node_object_queries[];
extern const struct node_query_op node_control_queries[];

/* ---- services of the core ------------------------------------------------------------------- */

/* Called exactly once, never before the starting call has returned. reply is a view for the call.
 */
typedef void node_done_fn(struct node *n, void *ctx, int code, struct bytes reply);

/* Replicates cmd in group and applies it: here if this node leads, else through the leader.
 * cmd is copied. deadline_us: when TIMEOUT (outcome unknown) is reported.
 * A refusal (-1xxx, -2xxx) is certain: the command has not been and will not be applied. */
void node_propose(struct node *n, uint32_t group, const struct node_cmd *cmd, uint64_t deadline_us,
                  void *ctx, node_done_fn *done);

/* Asks a group: here if this node is a replica, else a member. */
void node_query(struct node *n, uint32_t group, uint8_t op, struct bytes body, bool stale_allowed,
                uint64_t deadline_us, void *ctx, node_done_fn *done);

/* A stale question whose answer here waits until index is applied; one that is passed on does not,
 * so the caller compares. */
void node_query_from(struct node *n, uint32_t group, uint8_t op, struct bytes body, uint64_t index,
                     uint64_t deadline_us, void *ctx, node_done_fn *done);

/* One request to another node (or this one: then it is handled in place, later) and its answer.
 * head is copied; body (may be NULL) is sent after it without a copy and is referenced until sent.
 * code: ERR_UNREACHABLE when the peer is not connected (certainly not done), ERR_CONNECTION when
 * the connection broke while waiting, ERR_TIMEOUT, or the code the other side gave. */
void node_call(struct node *n, uint32_t peer, uint8_t method, struct bytes head,
               struct node_blob *body, uint64_t deadline_us, void *ctx, node_done_fn *done);

/* A request arrived: the handler answers with node_answer exactly once, now or later. */
struct node_request {
    uint32_t peer; /* this node's own id for calls in place */
    uint64_t id;
};
typedef void node_serve_fn(struct node *n, struct node_request request, struct bytes body);
void node_answer(struct node *n, struct node_request request, int code, struct bytes head,
                 struct node_blob *body);

enum { /* methods between nodes; never renumbered */
       NODE_CALL_PROPOSE = 1,
       NODE_CALL_QUERY,
       NODE_CALL_SNAPSHOT_CHUNK,
       NODE_CALL_SNAPSHOT_OPEN,
       NODE_CALL_SHARD_WRITE = 16, /* cells of one stripe for one shard */
       NODE_CALL_SHARD_READ,
       NODE_CALL_SHARD_CHECK,
       NODE_CALL_REPAIR_HINT,
       NODE_CALL_SHARD_SURPLUS,
       NODE_CALL_RUN,          /* a program over a part of a cell */
       NODE_CALL_RUN_LOOK,     /* how far it is; or that it is to stop */
       NODE_CALL_DERIVE,       /* a cell that follows from another one */
       NODE_CALL_PARITY,       /* of an extent whose data cells are there */
       NODE_CALL_EV_PUSH = 32, /* fragments for an owner */
       NODE_CALL_EV_CLOCKS,    /* what a node has seen of its regions */
       NODE_CALL_EV_PAGE,      /* records of a region, a page at a time */
       NODE_CALL_EV_WRITE,     /* operations for a node that owns the key */
       NODE_CALL_EV_SUMS,      /* sums of a region's records by bucket */
       NODE_CALL_EV_OVER,      /* whether these are all dots of epochs that are over */
       NODE_CALL_EV_ASK = 40,  /* a question about records of replicated data types */
};
struct node_method {
    uint8_t method;
    node_serve_fn *serve;
};
extern const struct node_method node_core_methods[];
extern const struct node_method node_object_methods[];

/* Client API: one row a method name of wire/api.h. */
struct node_client { /* where the answer goes */
    uint64_t conn;
    uint32_t msgid;
};
typedef void node_api_fn(struct node *n, struct node_client client, const struct wire_rpc *req);
struct node_api {
    const char *method;
    node_api_fn *serve;
};
extern const struct node_api node_kv_api[];
extern const struct node_api node_object_api[];
extern const struct node_api node_status_api[];
extern const struct node_api node_member_api[];

/* Answers a client; the result is packed MessagePack bytes (one value). message: NULL takes the
 * table's sentence. Each request is answered exactly once. */
void node_reply_ok(struct node *n, struct node_client client, struct bytes result);
void node_reply_error(struct node *n, struct node_client client, int code, const char *message);
/* The same with hints. */
void node_reply_failure(struct node *n, struct node_client client, const struct wire_failure *f);
/* A good answer whose value is head, then the bytes of body (may be NULL), sent without a copy:
 * head ends with wire_pack_bin_head of body's size. head: copied. */
void node_reply_blob(struct node *n, struct node_client client, struct bytes head,
                     struct node_blob *body);
/* Deadline of a request, from its option, bounded by limits. */
uint64_t node_request_deadline(const struct node *n, const struct wire_rpc *req);
uint64_t node_options_deadline(const struct node *n, const struct wire_options *o);
/* The command's envelope from the request's options: session, sequence, acked, principal (views
 * into the request). returns: 0 or the error of the options. */
int node_request_cmd(const struct wire_rpc *req, struct node_cmd *cmd);
int node_options_cmd(const struct wire_options *o, struct node_cmd *cmd);

/* Jobs. A job kind embeds struct node_task first. run: on the executor's thread; done: on the
 * loop, exactly once; it releases the task's memory. returns: 0, or ERR_BUSY (lane full) and the
 * task stays the caller's. */
struct node_task;
typedef void node_task_run_fn(struct node_task *task, struct node_env *env);
typedef void node_task_done_fn(struct node *n, struct node_task *task);
struct node_task {
    struct node_job job;
    node_task_run_fn *run;
    node_task_done_fn *done;
};
int node_task_start(struct node *n, struct node_task *task, enum node_lane lane);

/* Timers: ctx's own, zeroed before the first use; fires once, never inside node_timer_set, so a
 * timer set to node_now runs something later in the same turn. Setting one that is set moves it;
 * cancelling one that has fired is allowed. */
struct node_timer {
    uint64_t at_us; /* 0: not set */
    void *ctx;
    void (*fire)(struct node *n, struct node_timer *t);
    struct node_timer *child, *next, *prev; /* the core's */
    uint64_t order;                         /* the core's */
    bool owes; /* the core's: it ends somebody's wait, so it fires when the node is freed too */
};
void node_timer_set(struct node *n, struct node_timer *t, uint64_t at_us);
void node_timer_cancel(struct node *n, struct node_timer *t);

/* Blobs. returns: NULL without memory. */
struct node_blob *node_blob_new(struct node *n, size_t bytes);
/* returns: the blob that has the data of the event at hand, borrowed; NULL: none has. */
struct node_blob *node_frame(const struct node *n);
/* frame: such a blob, or NULL. returns: it, retained, for who would else copy the part of
 * it; NULL: it has not the part, or is more than twice as large. */
struct node_blob *node_blob_held(struct node_blob *frame, struct bytes part);
uint8_t *node_blob_data(struct node_blob *b);

/* Facts about now. */
uint64_t node_now(const struct node *n);
uint64_t node_wall(const struct node *n);
uint32_t node_self(const struct node *n);
const struct alloc *node_alloc(const struct node *n);
struct rng *node_rng(struct node *n);
const struct log *node_log(const struct node *n);
const struct node_options *node_options_get(const struct node *n);
const struct wire_identity *node_identity(const struct node *n);
bool node_peer_is_up(const struct node *n, uint32_t peer); /* true for itself */
unsigned node_peers_up(const struct node *n);              /* itself counted */
/* returns: the group that owns the slot of a space or bucket name. */
uint32_t node_group_of(const struct node *n, struct bytes name);
/* Whether group 0 decided that the node is out: what lies there counts as lost and belongs
 * elsewhere. A node that is only unreachable is not. */
bool node_member_out(const struct node *n, uint32_t id);
/* Connected, and by all that is known well enough for something new: shards, jobs, uploads. A
 * preference: what cannot be done with such nodes alone may be tried with all that are up. */
bool node_peer_fit(const struct node *n, uint32_t peer);
/* Connected, and not so doubtful that another holder should be read first. */
bool node_peer_sure(const struct node *n, uint32_t peer);
bool node_leads(const struct node *n, uint32_t group); /* and its no-op is committed */
/* The stored placement list of a placement group: ordered node ids. */
unsigned node_place(const struct node *n, uint32_t placement_group, uint32_t *nodes, unsigned max);

/* ---- what the objects part offers the core -------------------------------------------------- */

struct node_objects;
int node_objects_new(struct node_objects **out, struct node *n); /* timers not yet running */
void node_objects_start(struct node_objects *o);                 /* after recovery */
void node_objects_free(struct node_objects *o);
void node_objects_peer_up(struct node_objects *o, uint32_t peer);
void node_objects_peer_down(struct node_objects *o, uint32_t peer);
/* Group 0's decision about a node is another one now; it may come again with the same value. */
void node_objects_member(struct node_objects *o, uint32_t node, bool out);
void node_objects_conn_gone(struct node_objects *o, uint64_t conn); /* its uploads and runs end */
void node_objects_led(struct node_objects *o, uint32_t group);      /* this node now leads group */
struct node_objects *node_objects_get(struct node *n);
/* Appends one MessagePack map: what repair, scrub and audit are doing, for people. */
int node_objects_status(struct node_objects *o, struct buf *out);
/* Every bucket as bucket.list gives it: reply is the packed array. */
void node_objects_buckets(struct node *n, uint64_t deadline_us, void *ctx, node_done_fn *done);

#endif
