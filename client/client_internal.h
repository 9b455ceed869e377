/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The parts of libholdfast: nodes and how they are found, connections, calls (a request with its
 * retries), sessions. The operations of holdfast.h are built on hf_call_start.
 *
 *   An update of eventual mode may be HELD first, and then RIDING in the request of another call,
 *   which the library makes for several (share.c).
 *
 *   call   WAITING -> PLACED (on a connection, perhaps still connecting) -> SENT -> ended
 *             ^---------- connected, and a session is to be opened first
 *             ^____________ refused, lost, too slow: a pause, then another node ____|
 *
 * threads: the loop's thread.
 */
#ifndef HOLDFAST_CLIENT_INTERNAL_H
#define HOLDFAST_CLIENT_INTERNAL_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/num.h"
#include "base/rng.h"
#include "client/holdfast.h"
#include "wire/api.h"
#include "wire/once.h"
#include "wire/rpc.h"
#include "wire/value.h"

#include <uv.h>

#define HF_NODES_MAX 72u
#define HF_CLUSTER_BYTES 16u
#define HF_GROUPS_MAX 64u
#define HF_SLOT_RANGES_MAX 256u
#define HF_MEMBERS_MAX 8u
#define HF_HOST_BYTES 254u
#define HF_NAME_BYTES 272u /* host:port */
#define HF_WINDOW 64u      /* unanswered writes of a session */
#define HF_MESSAGE_BYTES_MAX (8u << 20)
#define HF_NODE_MS \
    500u /* a node from which nothing comes for so long is left, if another will do */
#define HF_NOWHERE UINT32_MAX

/* ---- nodes ---------------------------------------------------------------------------------- */

struct hf_conn;

struct hf_node {
    char host[HF_HOST_BYTES];
    uint16_t port;
    uint32_t id; /* 0: not known yet */
    bool down;   /* as the others say */
    bool silent; /* a request got no answer in time, or no connection was made, and nothing has come
                    since */
    struct hf_conn *conn;
    uint64_t heard_ms;    /* when the last message came */
    uint64_t retry_at_ms; /* not connected to before */
    unsigned failures;
};

struct hf_group {
    uint32_t id;
    uint32_t leader; /* node id, 0: not known */
    uint32_t members[HF_MEMBERS_MAX];
    uint32_t members_count;
};

struct hf_slots {
    uint32_t first;
    uint32_t last;
    uint32_t group;
};

/* ---- sessions ------------------------------------------------------------------------------- */

enum hf_session_state { HF_SESSION_NONE = 0, HF_SESSION_OPENING, HF_SESSION_OPEN };

struct hf_session {
    enum hf_session_state state;
    uint64_t id;
    uint64_t next;  /* sequence to give */
    uint64_t acked; /* all up to here have ended */
    uint64_t ended; /* bit i: acked + 1 + i has ended */
};

/* returns: whether there is room; then *seq is the caller's. */
bool hf_session_take(struct hf_session *s, uint64_t *seq);
/* The write has ended for good, whatever came of it. */
void hf_session_end(struct hf_session *s, uint64_t seq);
struct hf_call;
/* Opens a session of the call's group. returns: 0 or why that cannot even begin. */
int hf_session_open(struct hf_call *call);
/* Tells the nodes that are connected that the sessions are over, and waits for nothing. */
void hf_sessions_close(struct hf_client *c);

/* ---- calls ---------------------------------------------------------------------------------- */

enum hf_call_class {
    HF_READ = 0, /* may be repeated anywhere, any number of times */
    HF_WRITE,    /* in a session; repeated with the same sequence */
    HF_ONCE,     /* never repeated once it may have arrived */
};

enum hf_call_state {
    HF_CALL_WAITING = 0,
    HF_CALL_PLACED,
    HF_CALL_SENT,
    HF_CALL_HELD,   /* in a lane, until the request before it has ended */
    HF_CALL_RIDING, /* in a request that it shares with others */
    HF_CALL_ENDED
};

/* Whether an update may share a request with others of its lane (share.c). */
enum hf_share {
    HF_SHARE_NONE = 0, /* knows no lane */
    HF_SHARE_BY,       /* goes by itself, behind what waits in its lane */
    HF_SHARE_WITH,     /* with others */
};

enum hf_route {
    HF_ANY = 0,  /* every node is as good */
    HF_BY_GROUP, /* best the leader of a group */
    HF_BY_SLOT,  /* best the leader of a slot's group */
    HF_BY_NODE,  /* any, but a write stays with the node whose session it is in */
};

/* What a call ended with. Nodes and views last for the callback. */
struct hf_reply {
    int code;
    const char *text;
    struct wire_node result;
    struct wire_node hint;
    struct bytes message; /* the whole response */
    uint32_t node;        /* index of the node that answered, or HF_NOWHERE */
    bool answered;        /* a node said so */
    bool doubtful;        /* an attempt before the last may have been done */
    uint32_t place;       /* which operation of a shared request is the call's, from 1; 0: all */
};
struct hf_call;
typedef void hf_reply_fn(void *ctx, const struct hf_reply *reply);

struct hf_call_spec {
    const char *method; /* static */
    enum hf_call_class class;
    uint32_t params; /* how many head, body and tail are together */
    enum hf_route route;
    uint32_t where;   /* the group, or the slot */
    uint32_t pin;     /* node index, or HF_NOWHERE */
    uint32_t prefer;  /* node id tried first, or 0 */
    uint32_t instead; /* node id tried next, and at once if that one is not there; or 0 */
    bool stale;
    bool no_retry;            /* the first failure of any kind is final */
    bool patient;             /* once sent it stays where it is: who made it looks after it */
    bool large;               /* its answer may be long on its way: that is no silence */
    struct hf_causal *causal; /* or NULL */
    uint64_t budget_ms;       /* 0: none is said */
    uint32_t copies;          /* 0: none is said */
    struct wire_once once; /* node 0: none; the write is done once under this token, at its node */
    bool apart;            /* a shared request: ends when one operation may be to blame */
    uint64_t timeout_ms;
    struct bytes body; /* borrowed until the call has ended; sent after head without a copy */
};

struct hf_call {
    struct hf_call *next;
    struct hf_call *prev;
    struct hf_client *client;
    struct hf_call_spec spec;
    struct buf head;
    struct buf tail;
    enum hf_call_state state;
    bool parked;     /* waits for a session, its window or the map */
    bool writing;    /* body is in the hands of the loop */
    bool maybe_done; /* an attempt may have been applied */
    uint64_t deadline_ms;
    uint64_t began_ms; /* of this attempt */
    uint64_t attempt_end_ms;
    uint64_t doubt_ms; /* PLACED, SENT: others are asked who leads */
    bool doubted;      /* they have been */
    uint64_t wake_ms;  /* WAITING: the next attempt */
    uint64_t session;  /* 0: none yet */
    uint64_t seq;
    unsigned attempts;
    unsigned hops;  /* hints followed without a pause */
    uint32_t group; /* of this attempt, if it has one */
    uint32_t turn;
    uint32_t node;   /* of this attempt */
    uint32_t avoid;  /* node index of the last one, or HF_NOWHERE */
    uint32_t home;   /* BY_NODE: node index whose session it is in, or goes for; or HF_NOWHERE */
    unsigned passed; /* BY_NODE: owners that were named */
    bool refused[HF_NODES_MAX]; /* nodes that said they cannot, but another might */
    int refusal;                /* the last of them: BEHIND or NO_RIGHTS, or 0 */
    uint32_t msgid;
    int last; /* of the last attempt */
    char text[HF_TEXT_BYTES];
    struct hf_lane *lane;     /* HELD in it, or the others of it wait for this request */
    struct hf_flight *flight; /* RIDING: the request it shares */
    struct hf_call *behind;   /* the next in the lane, or in the request */
    enum hf_share share;
    size_t space_bytes; /* of head: how much of it is the space, which an array of operations
                           follows */
    uint32_t region;    /* of its key */
    uint32_t place;     /* in the request it shares, from 1 */
    unsigned shared;    /* requests that it shared and that were refused */
    bool alone;         /* one of them for its sake, or so it seemed */
    void *ctx;
    hf_reply_fn *done;
};

/* A call whose parameters the caller packs into head (and, after the body, into tail), before
 * hf_call_start. returns: 0, ERR_BUSY (too many) or ERR_NO_MEMORY. */
int hf_call_new(struct hf_client *c, const struct hf_call_spec *spec, struct hf_call **out);
/* returns: 0, or an error of the packing; then the call is gone and done never runs. */
int hf_call_start(struct hf_call *call, void *ctx, hf_reply_fn *done);
/* So much time was this program's own, in which it read nothing: the call has it back. */
void hf_call_put_off(struct hf_call *call, uint64_t ms);
/* Ends it without done. */
void hf_call_drop(struct hf_call *call);
/* Ends it with this reply. */
void hf_call_finish(struct hf_call *call, const struct hf_reply *reply);
/* Begins its first attempt. */
void hf_call_go(struct hf_call *call);

/* From connections. */
void hf_call_answered(struct hf_call *call, const struct wire_rpc *m, struct bytes message);
/* What it was placed on is open. */
void hf_call_connected(struct hf_call *call, struct hf_conn *conn);
/* It is on its way. */
void hf_call_sent(struct hf_call *call);
/* The connection failed. Never calls done: the timer does. */
void hf_call_lost(struct hf_call *call, int code, const char *text);
/* The timer of the client. */
void hf_calls_run(struct hf_client *c);
/* The map is new: calls that have waited long for a leader that is none any more go on. */
void hf_calls_leave_old(struct hf_client *c);
/* A connection was made: calls that wait for another one, and not for their first, choose again. */
void hf_calls_leave_unmade(struct hf_client *c);
/* The session of a node could not be opened: its calls go elsewhere. */
void hf_calls_leave_home(struct hf_client *c, uint32_t node, int code, const char *text);
/* returns: the session that the call's write belongs to. */
struct hf_session *hf_call_session(struct hf_call *call);
/* Ends everything, for hf_client_free. */
void hf_calls_end(struct hf_client *c);
/* Tells parked calls without a reason of their own why they wait. */
void hf_calls_tell(struct hf_client *c, const char *why);
/* Wakes parked calls. */
void hf_calls_wake(struct hf_client *c);

/* ---- lanes ---------------------------------------------------------------------------------- */

struct hf_lane;
struct hf_flight;

/* Takes a call whose ctx and done are set: it goes now, or waits in its lane. */
void hf_share_add(struct hf_call *call);
/* A call is about to end without an answer: what may have become of it is noted in it, and it is
 * taken out of the request it shares. */
void hf_share_part(struct hf_call *call);
/* A call is being dropped: nothing here knows it any more. */
void hf_share_forget(struct hf_call *call);
/* A call has its answer, done is next. returns: the lane that waits for it, or NULL; it sends
 * nothing before hf_share_landed, so that what is called meanwhile goes together. */
struct hf_lane *hf_share_landing(struct hf_call *call, const struct hf_reply *reply);
void hf_share_landed(struct hf_lane *lane);
/* The timer of the client: nothing waits long for a request that gets no answer. */
void hf_share_run(struct hf_client *c);
/* At the end: no call is left. */
void hf_share_free(struct hf_client *c);

/* hf_ask of any node, with at most one number as parameter. */
int hf_ask_number(struct hf_client *c, const char *method, const uint64_t *number, void *ctx,
                  hf_done_fn *done);

/* ---- connections ---------------------------------------------------------------------------- */

struct hf_conn {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    struct hf_client *client;
    struct hf_conn *next; /* of all of the client, also those that close */
    uint32_t node;
    uint64_t began_ms;
    uint64_t fails_at_ms; /* if it is not open by then */
    uint32_t hello;       /* number of the first request, which is this file's */
    bool greeting;        /* connected; its answer is waited for */
    bool open;
    bool closing;
    bool resolving;
    bool tcp_made;
    struct buf in;
    struct wire_scan scan;
    bool scanning;
    struct wire_decoder *decoder;
    unsigned writes;
};

/* returns: the connection of a node, perhaps still connecting; NULL without memory. */
struct hf_conn *hf_conn_of(struct hf_client *c, uint32_t node);
/* The timer of the client: connections that are not made in time fail. */
void hf_conns_run(struct hf_client *c);
/* Sends the request of a call that is on an open connection. */
void hf_conn_send(struct hf_conn *conn, struct hf_call *call);
/* Ends the connection; its calls are told. */
void hf_conn_fail(struct hf_conn *conn, int code, const char *text);
/* Sends a notification or a request nobody waits for. */
void hf_conn_note(struct hf_conn *conn, struct bytes message);

/* ---- client --------------------------------------------------------------------------------- */

struct hf_watch;
struct hf_transfer;

struct hf_client {
    uv_loop_t *loop;
    uv_loop_t own_loop;
    bool owns_loop;
    bool waits; /* hf_wait runs the loop */
    bool closing;
    uv_timer_t timer;
    uint64_t timer_at_ms; /* UINT64_MAX: not running */
    struct alloc heap;
    struct rng rng;
    uint64_t timeout_ms;
    uint64_t unreachable_ms;
    uint64_t unreachable_since_ms; /* 0: a node is connected, or none was tried */
    bool plain;
    bool cluster_known;
    uint8_t
        cluster[HF_CLUSTER_BYTES]; /* of the first node that was connected: others have no say */
    struct hf_node nodes[HF_NODES_MAX];
    uint32_t nodes_count;
    struct hf_group groups[HF_GROUPS_MAX];
    uint32_t groups_count;
    struct hf_slots slots[HF_SLOT_RANGES_MAX];
    uint32_t slots_count;
    bool map_known;
    bool map_asked;
    uint64_t map_at_ms;
    struct hf_session sessions[HF_GROUPS_MAX]; /* by position in groups */
    struct hf_session homes[HF_NODES_MAX];     /* of nodes' own groups */
    struct hf_call *calls;                     /* first made first */
    struct hf_call *calls_last;
    uint32_t calls_count;
    uint32_t next_msgid;
    struct hf_conn *conns;
    struct hf_lane *lanes;
    uint32_t owners[WIRE_CRDT_REGIONS]; /* node index of one that owns the region, or HF_NOWHERE */
    struct hf_watch *watches;
    struct hf_transfer *transfers;
};

/* A put or get under way, so that it can be ended with the client. First member of both. */
struct hf_transfer {
    struct hf_transfer *next;
    struct hf_transfer *prev;
    struct hf_client *client;
    void (*end)(struct hf_transfer *t, int code, const char *text);
    void (*tick)(struct hf_transfer *t); /* at tick_ms, which is 0 then */
    uint64_t tick_ms;                    /* 0: never */
};
void hf_transfer_add(struct hf_client *c, struct hf_transfer *t);
void hf_transfer_remove(struct hf_transfer *t);

/* nodes.c */
int hf_nodes_parse(struct hf_client *c, const char *endpoints);
/* returns: index, added if there is room, or HF_NOWHERE. */
uint32_t hf_node_add(struct hf_client *c, struct bytes host, uint16_t port);
uint32_t hf_node_by_id(const struct hf_client *c, uint32_t id);
/* host:port, NUL-terminated. */
void hf_node_name(const struct hf_client *c, uint32_t node, char name[HF_NAME_BYTES]);
/* "[::1]:7701" and such. returns: 0 or ERR_INVALID. */
int hf_endpoint_parse(struct bytes text, struct bytes *host, uint16_t *port);
struct hf_group *hf_group_of(struct hf_client *c, uint32_t id);
/* returns: the group of a slot; 1 if the map is not known. */
uint32_t hf_group_for(const struct hf_client *c, uint32_t slot);
/* Asks for the map, unless that is under way or was just done. */
void hf_map_ask(struct hf_client *c);
/* Likewise, of another node than this one, if there is one. */
void hf_map_ask_but(struct hf_client *c, uint32_t node);
/* returns: the node for the next attempt, or HF_NOWHERE: none may be tried before *wait_ms. */
uint32_t hf_node_pick(struct hf_client *c, struct hf_call *call, uint64_t *wait_ms);
/* returns: whether a node is down, as far as is known, or cannot be connected to. */
bool hf_node_is_gone(const struct hf_client *c, uint32_t node);
/* returns: whether nothing speaks against asking a node: it is up, as far as is known, and answers.
 */
bool hf_node_is_well(const struct hf_client *c, uint32_t node);
/* Some node says nothing: connects to a few more, so that there is one to choose. */
void hf_nodes_reach(struct hf_client *c);
void hf_leader_set(struct hf_client *c, uint32_t group, uint32_t leader);
/* What a refusal tells of the leader. returns: whether it names another than `node`. */
bool hf_leader_hint(struct hf_client *c, uint32_t group, struct wire_node hint, uint32_t node);

/* client.c */
void hf_timer_by(struct hf_client *c, uint64_t at_ms);
uint64_t hf_now_ms(const struct hf_client *c);
static inline struct bytes hf_in(struct hf_bytes v)
{
    return bytes_of(v.data, v.size);
}
static inline struct hf_bytes hf_out(struct bytes v)
{
    return (struct hf_bytes){.data = v.data, .size = v.size};
}

/* kv.c: an operation of one call whose reply is read into a hf_result. */
struct hf_op;
typedef int hf_read_fn(struct hf_op *op, struct wire_node result, struct hf_result *out);
struct hf_op {
    struct hf_client *client;
    void *ctx;
    hf_done_fn *done;
    hf_read_fn *read;
    void *rows; /* of items, buckets or objects */
    struct hf_block *block;
    struct hf_causal *causal;
    struct bytes message; /* that the reply is in */
    struct hf_object_info object;
    char subject[96];  /* what errors name: 'key' */
    const char *given; /* the consistency of an answer that names none; NULL: nothing is known */
    bool clock;        /* crdt.update: the clock is wanted */
    uint32_t region;   /* crdt.update: of the first key */
    uint32_t place;    /* of hf_reply */
    uint64_t seen;     /* writes: when repeated */
};
struct hf_op *hf_op_new(struct hf_client *c, struct bytes subject, void *ctx, hf_done_fn *done);
/* Starts the call of op; on an error op is gone. */
int hf_op_start(struct hf_op *op, struct hf_call *call, hf_read_fn *read);
void hf_op_subject(char *into, size_t bytes, struct bytes what);

/* crdt.c: what the views of a result lie in, shared with the answer that keeps it. */
struct hf_block {
    unsigned refs;
    uint8_t *message;
    size_t message_bytes;
    void *values;
    void *siblings;
    void *rights;
    void *clock;
    void *changed;
};
void hf_block_put(struct hf_block *b); /* may be NULL */

/* causal.c */
/* Appends the token. */
int hf_causal_pack(const struct hf_causal *s, struct buf *out);
/* Takes the token of an answer, and what it says of its consistency. */
int hf_causal_take(struct hf_causal *s, struct wire_node result);
const char *hf_consistency_of(struct wire_node result); /* static text */

/* object.c */
int hf_object_read_info(struct wire_node n, struct hf_object_info *out);
/* Reads a u64 field of a map; 0 if it is not there. */
uint64_t hf_field(struct wire_node n, const char *name);
struct bytes hf_field_bytes(struct wire_node n, const char *name);
int hf_object_check(const struct hf_object *o, bool with_name);

/* watch.c */
void hf_watch_message(struct hf_conn *conn, const struct wire_rpc *m);
void hf_watches_lost(struct hf_client *c, uint32_t node);
void hf_watches_end(struct hf_client *c);

#endif
