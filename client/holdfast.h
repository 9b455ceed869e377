/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * libholdfast: the client of a Holdfast cluster. Needs no other header of Holdfast.
 *
 * Asynchronous, on the caller's libuv loop:
 *
 *   struct hf_client_options options = {.endpoints = "10.0.0.1:7701,10.0.0.2:7701"};
 *   err = hf_client_new(loop, &options, &client);
 *   struct hf_kv kv = {.key = hf_text("colour"), .value = hf_text("red")};
 *   err = hf_kv_put(client, &kv, ctx, done);         done runs once, never before this returns
 *   hf_client_free(client);                          what is open is called back first
 *
 * Blocking, without a loop of one's own:
 *
 *   err = hf_client_new(NULL, &options, &client);
 *   struct hf_answer answer = {0};
 *   err = hf_kv_get(client, &kv, &answer, hf_answer_done);
 *   if (err == 0) err = hf_wait(client, &answer);    answer.result says what came of it
 *   hf_answer_release(&answer);
 *
 * The client finds nodes, groups and leaders by itself, follows their hints, and repeats what
 * failed with jittered pauses until the request's timeout. Writes belong to a session, so that one
 * that is repeated is applied once. Every object byte is checked against the root that the cluster
 * committed before it is handed out.
 *
 * Errors are negative numbers; hf_outcome says what became of the request. A function that starts
 * an operation and returns an error has not taken it: done never runs.
 *
 * Limits: HF_CALLS_MAX operations open at once, then ERR BUSY (-1001); 64 writes of a session are
 * on their way at once, the others wait; puts and gets of objects hold a few MiB each.
 *
 * The program ignores SIGPIPE, as every user of libuv's streams does. hf_client_free and hf_wait
 * are not called from within a callback of a client that has its own loop.
 *
 * threads: a client belongs to the thread of its loop.
 */
#ifndef HOLDFAST_CLIENT_HOLDFAST_H
#define HOLDFAST_CLIENT_HOLDFAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define HF_EXPORT __attribute__((visibility("default")))
#else
#define HF_EXPORT
#endif

#define HF_CALLS_MAX 1024u
#define HF_ENDPOINTS_DEFAULT "127.0.0.1:7701"
#define HF_TEXT_BYTES 256u

struct uv_loop_s;
struct hf_client;

/* A view; any bytes. */
struct hf_bytes {
    const void *data;
    size_t size;
};
static inline struct hf_bytes hf_text(const char *text)
{
    return (struct hf_bytes){.data = text, .size = strlen(text)};
}

/* --- errors ----------------------------------------------------------------------------------- */

enum hf_outcome {
    HF_DONE = 0,
    HF_RETRY,         /* -1xxx: not done; may be tried again */
    HF_REFUSED,       /* -2xxx: not done, and would not be */
    HF_UNKNOWN,       /* -3xxx: done or not */
    HF_ANSWERED_ONCE, /* -4xxx: done; the answer went out before and is no longer kept */
    HF_DAMAGED,       /* -5xxx: the data is damaged */
};
HF_EXPORT enum hf_outcome hf_outcome_of(int code);
/* returns: "BUSY" and so on. Static. */
HF_EXPORT const char *hf_error_name(int code);
/* returns: the sentence of the code. Static. */
HF_EXPORT const char *hf_error_text(int code);
/* returns: the version of this library. Static. */
HF_EXPORT const char *hf_version(void);

/* --- the client ------------------------------------------------------------------------------- */

struct hf_client_options {
    const char *endpoints;   /* host:port, parted by commas; NULL: HF_ENDPOINTS_DEFAULT */
    uint64_t timeout_ms;     /* of requests that name none; 0: 30,000 */
    uint64_t unreachable_ms; /* UNREACHABLE when no node could be reached so long; 0: 5,000 */
    uint64_t seed;           /* of the jitter; 0: from the system */
    bool plain;              /* writes outside of sessions: a lost answer ends them, unknown */
};

/* loop: NULL: the client has its own, which hf_wait runs.
 * returns: 0, INVALID (endpoints cannot be read), NO_MEMORY. */
HF_EXPORT int hf_client_new(struct uv_loop_s *loop, const struct hf_client_options *options,
                            struct hf_client **out);
/* Ends every open operation (called back before this returns: CONNECTION if it may have been
 * done, else UNAVAILABLE), then the connections; the memory goes in a later turn of the loop. */
HF_EXPORT void hf_client_free(struct hf_client *c);

/* --- results ---------------------------------------------------------------------------------- */

struct hf_item {
    struct hf_bytes key;
    struct hf_bytes value;
    uint64_t revision;
};

struct hf_bucket_info {
    struct hf_bytes name;
    uint32_t k;
    uint32_t m;
    uint32_t survives; /* node losses */
};

struct hf_object_info {
    struct hf_bytes name; /* in lists */
    uint64_t size;
    uint8_t root[32]; /* Merkle root (RFC 6962, SHA-256, 16 KiB leaves) */
    uint32_t k;
    uint32_t m;
    uint64_t cell_bytes;
    uint64_t extents;
    uint64_t version;
    uint64_t created_us;
    uint64_t shards_missing;
    uint32_t survives;
};

struct hf_crdt_value;
struct hf_crdt_range;

struct hf_check {
    uint64_t checked;
    uint64_t missing;
    uint64_t damaged;
};

/* What a program cost. Cells count whose states were joined; bytes read are those of the object. */
struct hf_run_info {
    uint64_t cells;
    uint64_t cells_decoded; /* of these: whose holder was lost, so that others were read */
    uint64_t bytes_read;
    uint64_t bytes_moved; /* between nodes and to here: states, and cells that had to be decoded */
    uint64_t objects;
    uint64_t size;          /* of all of them, in bytes */
    uint64_t backups;       /* parts that were late, and asked for a second time elsewhere */
    uint64_t bytes_local;   /* of bytes_read: by the nodes that hold them */
    uint64_t tables_bytes;  /* of tables that were read, here and by nodes */
    uint64_t cells_written; /* hf_object_derive: by the nodes that hold the object */
    /* Of a job: cells whose states were committed by this run, were found committed, and keys that
     * were found with something else than they should have, and written anew. */
    uint64_t tasks_committed;
    uint64_t tasks_resumed;
    uint64_t tasks_replaced;
    uint64_t disagreed; /* states that were not those that two other nodes computed */
};

/* What a node holds of the objects that a program was run over. */
struct hf_run_node {
    uint32_t node;
    uint64_t cells;
    uint64_t bytes;
    uint64_t tables_bytes; /* of tables that it read for the program */
};
/* nodes: by id; a view that lasts for the call. */
typedef void hf_run_nodes_fn(void *ctx, const struct hf_run_node *nodes, size_t count);

/* A table that a program looks into, as it was read. */
struct hf_run_table {
    struct hf_bytes table; /* as the program names it */
    struct hf_bytes bucket;
    struct hf_bytes name;
    uint64_t version;
    uint64_t bytes;
    uint64_t records; /* with keys */
};
/* tables: one for each `lookup`; a view that lasts for the call. */
typedef void hf_run_tables_fn(void *ctx, const struct hf_run_table *tables, size_t count);

/* A node has computed another state of a cell than two others. */
struct hf_run_disagreed {
    struct hf_bytes name; /* of the object */
    uint64_t cell;        /* from 0 */
    uint32_t node;        /* id */
};
typedef void hf_run_disagreed_fn(void *ctx, const struct hf_run_disagreed *what);

/* Which fields an operation fills is said at the operation. Views last as long as the callback, or
 * the answer. */
struct hf_result {
    int code;
    const char *text; /* a sentence; "" if code is 0 */
    bool found;
    struct hf_bytes value;
    uint64_t revision;
    uint64_t create_revision;
    uint64_t version;
    int64_t number;
    const struct hf_item *items;
    const struct hf_bucket_info *buckets;
    const struct hf_object_info *objects;
    size_t count; /* of items, buckets or objects */
    bool more;
    struct hf_check check;
    struct hf_run_info run;
    /* What was given: "linearizable", "stale", "eventual", "session"; "" if the operation failed,
     * and of buckets and objects. */
    const char *consistency;
    const struct hf_crdt_value *values;
    /* read, members: what the node that answered had seen of the key's region. update, if asked
     * for: of the first key's region, what must have been seen for the update to have been seen;
     * with causal also what that had seen. */
    const struct hf_crdt_range *clock;
    size_t clock_count;
    const bool *changed;  /* count of them: whether each operation changed anything */
    struct hf_bytes next; /* members: to be given as after; empty: the end */
    uint32_t copies;      /* update: on how many nodes it was durable, at least */
    uint32_t node;        /* read, members: whose state it is; update: which node took it */
    uint64_t time_us;     /* of the latest write in it; once: how long the token is good */
    const char *once;     /* the token of hf_crdt_once */
    void *memory;         /* private */
};
typedef void hf_done_fn(void *ctx, const struct hf_result *result);

/* A result that outlives its callback. Starts zeroed. */
struct hf_answer {
    bool ended;
    struct hf_result result;
    char text[HF_TEXT_BYTES];
    void *memory; /* private */
    void *block;  /* private */
};
/* A hf_done_fn; ctx: the answer. */
HF_EXPORT void hf_answer_done(void *ctx, const struct hf_result *result);
/* Runs the client's own loop until the answer is there. returns: its code; INVALID for a client on
 * a loop of the caller. */
HF_EXPORT int hf_wait(struct hf_client *c, struct hf_answer *answer);
/* Ends its views; it can be used again. */
HF_EXPORT void hf_answer_release(struct hf_answer *answer);

/* --- sessions ---------------------------------------------------------------------------------
 * What was written and read so far. Operations that are given the same hf_causal see nothing older
 * than what those before them wrote or read, on strong and on eventual keys alike and whatever node
 * answers; where that cannot be had in time they end with BEHIND. As text it goes to another
 * program, which goes on from there. It outlives the operations that use it. */
struct hf_causal;
HF_EXPORT int hf_causal_new(struct hf_causal **out);
HF_EXPORT void hf_causal_free(struct hf_causal *s);
/* Adds what a text of hf_causal_text says. returns: 0, CORRUPT, PROTOCOL, LEVEL (it is none, or of
 * a later version), TOO_LARGE, NO_MEMORY. */
HF_EXPORT int hf_causal_join(struct hf_causal *s, const char *text);
/* returns: its text, "" before the first answer, until the next call; NULL without memory. */
HF_EXPORT const char *hf_causal_text(struct hf_causal *s);

/* --- key and value ---------------------------------------------------------------------------- */

/* What the operations below take; each reads the fields it names. Borrowed for the call. */
struct hf_kv {
    struct hf_bytes space; /* empty: "default" */
    struct hf_bytes key;
    struct hf_bytes value;
    struct hf_bytes expected; /* cas */
    bool expect_absent;       /* cas: instead of expected */
    bool make_absent;         /* cas: instead of value */
    int64_t by;               /* incr */
    struct hf_bytes prefix;   /* scan, watch */
    struct hf_bytes after;    /* scan: keys above this one only; empty: from the start */
    uint64_t limit;           /* scan: of one answer; 0: the most */
    uint64_t from_revision;   /* watch: 0: from now */
    bool stale;               /* get, scan: any replica may answer, perhaps with the past */
    uint64_t timeout_ms;      /* 0: the client's */
    struct hf_causal *causal; /* or NULL: -> consistency */
};

/* key, value -> revision */
HF_EXPORT int hf_kv_put(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done);
/* key -> found; value, revision, create_revision, version */
HF_EXPORT int hf_kv_get(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done);
/* key -> found (it was there), revision */
HF_EXPORT int hf_kv_delete(struct hf_client *c, const struct hf_kv *kv, void *ctx,
                           hf_done_fn *done);
/* key, expected, value -> revision. CONFLICT: the value is another */
HF_EXPORT int hf_kv_cas(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done);
/* key, by -> number, revision */
HF_EXPORT int hf_kv_incr(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done);
/* prefix, after, limit -> items, count, more, revision */
HF_EXPORT int hf_kv_scan(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done);

struct hf_watch;
enum hf_change { HF_CHANGE_PUT = 0, HF_CHANGE_DELETE = 1 };
struct hf_event {
    int code; /* not 0: the watch has ended, and text says why */
    const char *text;
    enum hf_change change;
    uint64_t revision;
    struct hf_bytes key;
    struct hf_bytes value;
};
typedef void hf_watch_fn(void *ctx, const struct hf_event *event);

/* Calls changed for every change of a key with the prefix, in order, each once, also over lost
 * connections, until it is freed or ends with an error (COMPACTED: changes are no longer kept). */
HF_EXPORT int hf_watch_new(struct hf_client *c, const struct hf_kv *kv, void *ctx,
                           hf_watch_fn *changed, struct hf_watch **out);
HF_EXPORT void hf_watch_free(struct hf_watch *w);

/* --- eventual mode ----------------------------------------------------------------------------
 * Replicated data types: every node that can be reached takes writes and answers reads, also while
 * the network is cut; what was written on both sides is joined when it heals.
 *
 *   struct hf_crdt_op op = {.name = hf_text("visits"), .verb = HF_CRDT_ADD, .amount = 1};
 *   hf_crdt_path_init(&op.path, HF_CRDT_PN_COUNTER);
 *   struct hf_crdt crdt = {.ops = &op, .ops_count = 1};
 *   err = hf_crdt_update(client, &crdt, &answer, hf_answer_done);
 *
 * A type is fixed when something is first written under a name; keys that were made with two types
 * at the same time keep both. */

#define HF_CRDT_DEPTH_MAX 8u
#define HF_CRDT_OPS_MAX 256u

enum hf_crdt_type {
    HF_CRDT_ANY = 0, /* read: whatever is there */
    HF_CRDT_G_COUNTER = 1,
    HF_CRDT_PN_COUNTER,
    HF_CRDT_COUNTER, /* one entry an addition: removing it from a map is exact */
    HF_CRDT_LWW,
    HF_CRDT_MV,
    HF_CRDT_EW_FLAG,
    HF_CRDT_DW_FLAG,
    HF_CRDT_AW_SET,
    HF_CRDT_RW_SET,
    HF_CRDT_G_SET,
    HF_CRDT_MAX,
    HF_CRDT_MIN,
    HF_CRDT_HLL,
    HF_CRDT_MAP,
    HF_CRDT_BOUNDED,
};
enum hf_crdt_verb {
    HF_CRDT_ADD = 1, /* counters, bounded: amount; sets, hll: value */
    HF_CRDT_SET,     /* registers: value; max, min: amount */
    HF_CRDT_REMOVE,  /* sets: value; maps: the field in value, of every type */
    HF_CRDT_ENABLE,  /* flags */
    HF_CRDT_DISABLE,
    HF_CRDT_TRANSFER, /* bounded: amount of the rights of the node that is asked go to node `to` */
    HF_CRDT_CREATE = 64, /* bounded: amount, once for the key, by consensus; else EXISTS */
};

/* Where in a key: its type, then from map to field. */
struct hf_crdt_path {
    uint32_t count; /* of names */
    uint8_t types[HF_CRDT_DEPTH_MAX + 1];
    struct hf_bytes names[HF_CRDT_DEPTH_MAX];
};
static inline void hf_crdt_path_init(struct hf_crdt_path *p, enum hf_crdt_type type)
{
    memset(p, 0, sizeof(*p));
    p->types[0] = (uint8_t)type;
}
/* Goes from a map into its field. returns: false if it is no map, or deep enough. */
static inline bool hf_crdt_path_push(struct hf_crdt_path *p, struct hf_bytes name,
                                     enum hf_crdt_type type)
{
    if (p->types[p->count] != HF_CRDT_MAP || p->count == HF_CRDT_DEPTH_MAX) {
        return false;
    }
    p->names[p->count] = name;
    p->types[++p->count] = (uint8_t)type;
    return true;
}

struct hf_crdt_op {
    struct hf_bytes name;
    struct hf_crdt_path path;
    enum hf_crdt_verb verb;
    struct hf_bytes value;
    int64_t amount;
    uint32_t to;
};

struct hf_crdt_sibling {
    struct hf_bytes value;
    uint32_t node; /* which operation: actor and counter */
    uint64_t epoch;
    uint64_t counter;
    uint64_t time_us; /* LWW */
};
struct hf_crdt_rights {
    uint32_t node;
    uint64_t epoch;
    int64_t rights;
};
struct hf_crdt_range {
    uint32_t node;
    uint64_t epoch;
    uint64_t from; /* both included */
    uint64_t to;
};
enum hf_crdt_kind {
    HF_CRDT_NOTHING = 0,
    HF_CRDT_NUMBER,
    HF_CRDT_COUNT,
    HF_CRDT_BOOL,
    HF_CRDT_BYTES
};
/* What a path holds, or one member. */
struct hf_crdt_value {
    uint8_t type;
    bool found;
    struct hf_bytes name; /* members: the element or the field */
    enum hf_crdt_kind kind;
    int64_t number;        /* NUMBER: counters, bounded, max, min */
    uint64_t count;        /* COUNT: hll */
    bool flag;             /* BOOL: flags; sets: whether element is in it */
    struct hf_bytes bytes; /* BYTES: LWW; MV if there is one value */
    /* LWW, the winner first; MV. members: of fields, as many as there is room for. */
    const struct hf_crdt_sibling *siblings;
    size_t siblings_count;
    const struct hf_crdt_rights *rights; /* read: bounded: who may take away how much */
    size_t rights_count;
};

/* What the operations below take; each reads the fields it names. Borrowed for the call. */
struct hf_crdt {
    struct hf_bytes space; /* empty: "default" */
    struct hf_bytes name;
    struct hf_crdt_path path; /* read: its last type may be HF_CRDT_ANY */
    bool has_element;         /* read: of a set, whether element is in it */
    struct hf_bytes element;
    struct hf_bytes after;        /* members: next of the page before; empty: from the start */
    uint64_t limit;               /* members: of one page; 0: the most */
    struct hf_bytes prefix;       /* watch */
    uint64_t from_revision;       /* watch: 0: from now */
    const struct hf_crdt_op *ops; /* update */
    size_t ops_count;
    uint32_t copies;          /* update: wait for so many nodes to have it; 0: 2 */
    bool clock;               /* update: the clock is wanted, for which the token is read */
    uint64_t budget_ms;       /* how long a node may take to get what causal names; 0: 500 */
    struct hf_causal *causal; /* or NULL */
    const char *once;         /* update: a token of hf_crdt_once; or NULL */
    uint64_t timeout_ms;      /* 0: the client's */
};

/* name, or empty -> once, node, time_us: a token for one update, that counts once however often it
 * is sent, by this client or by another process that was told the token. name: of the key that is
 * to be updated; of the keys of clusters of up to five nodes any token will do. A token is good for
 * 24 hours (time_us) of the log time of the node that gave it: a clock that stands still while that
 * node does not run. */
HF_EXPORT int hf_crdt_once(struct hf_client *c, const struct hf_crdt *crdt, void *ctx,
                           hf_done_fn *done);
/* ops -> changed, count, copies, node, consistency, clock. All are applied, or none. It is applied
 * once, at one node: a repetition goes to the same node, and TIMEOUT or CONNECTION says that this
 * node is gone and the outcome unknown.
 *
 * Updates of one operation that a client has outstanding at the same time, in the same space, with
 * the same causal, copies and budget, share requests: the first goes at once, and those that are
 * called while it is on its way go together when it has ended, or after 200 ms. Nothing else of
 * that can be seen. They are applied in the order of the calls, as long as the node answers; each
 * has its own timeout, answer and callback, is refused only for what it asked itself, and counts
 * once. Of a shared request whose answer is lost for good, the outcome of each is unknown. Updates
 * of several operations stay as they are and go alone, as do those of maps' fields (REMOVE) and of
 * bounded counters; what was called before them goes before. In a client with `plain` none share.
 *
 * With `once` it goes to the node that the token names and to no other, and shares nothing. All
 * attempts under one token, of whatever client and for 24 hours, count once, and get the answer of
 * the one that was done. CONFLICT: other operations were done under the token. FORGOTTEN: this
 * attempt was not done, and whether one before it was is not known: the token is too old, or the
 * node has lost what it knew, or it is not of the cluster. TIMEOUT, CONNECTION: unknown for now; to
 * be tried again with the token. NO_RIGHTS, WRONG_TYPE, and what else the operations meet at their
 * keys: it was never done under the token. All other -1xxx and -2xxx, such as UNAVAILABLE after a
 * crash of the node, say so of this attempt alone: one before it may have been done. */
HF_EXPORT int hf_crdt_update(struct hf_client *c, const struct hf_crdt *crdt, void *ctx,
                             hf_done_fn *done);
/* name, path, element -> found; values (one a type), count, clock, node, time_us, consistency */
HF_EXPORT int hf_crdt_read(struct hf_client *c, const struct hf_crdt *crdt, void *ctx,
                           hf_done_fn *done);
/* name, path, after, limit -> values, count, next, clock, node, time_us, consistency */
HF_EXPORT int hf_crdt_members(struct hf_client *c, const struct hf_crdt *crdt, void *ctx,
                              hf_done_fn *done);
/* As hf_watch_new, of the names with the prefix that change at one node; events have no value. When
 * the connection is lost, it begins anew from now, perhaps at another node: a change meanwhile is
 * told by an event without a key. */
HF_EXPORT int hf_crdt_watch_new(struct hf_client *c, const struct hf_crdt *crdt, void *ctx,
                                hf_watch_fn *changed, struct hf_watch **out);

/* --- buckets and objects ---------------------------------------------------------------------- */

struct hf_object {
    struct hf_bytes bucket;
    struct hf_bytes name;
    uint32_t k; /* bucket_create */
    uint32_t m;
    struct hf_bytes prefix; /* list */
    struct hf_bytes after;  /* list: names above this one only */
    uint64_t limit;         /* list: of one answer; 0: the most */
    bool ranged;            /* get: bytes first to last only, counted from 0, both included */
    uint64_t first;
    uint64_t last;
    uint64_t timeout_ms; /* 0: the client's. put, get, verify: the longest time without progress */
    void *progress_ctx;
    void (*progress)(void *ctx, uint64_t bytes, uint64_t total); /* total 0: not known; or NULL */
};

HF_EXPORT int hf_bucket_create(struct hf_client *c, const struct hf_object *o, void *ctx,
                               hf_done_fn *done);
/* -> buckets, count */
HF_EXPORT int hf_bucket_list(struct hf_client *c, const struct hf_object *o, void *ctx,
                             hf_done_fn *done);
HF_EXPORT int hf_bucket_remove(struct hf_client *c, const struct hf_object *o, void *ctx,
                               hf_done_fn *done);
/* -> found; objects (one) */
HF_EXPORT int hf_object_stat(struct hf_client *c, const struct hf_object *o, void *ctx,
                             hf_done_fn *done);
/* prefix, after, limit -> objects, count, more */
HF_EXPORT int hf_object_list(struct hf_client *c, const struct hf_object *o, void *ctx,
                             hf_done_fn *done);
/* NOT_FOUND if there is none */
HF_EXPORT int hf_object_remove(struct hf_client *c, const struct hf_object *o, void *ctx,
                               hf_done_fn *done);
/* Reads every shard again where it lies -> check. */
HF_EXPORT int hf_object_verify(struct hf_client *c, const struct hf_object *o, void *ctx,
                               hf_done_fn *done);

/* Where a put takes its bytes from. Called on the loop thread; may block it. */
struct hf_source {
    void *ctx;
    /* Fills up to bytes; *got 0: the end. returns: 0, or a code that ends the put. */
    int (*read)(void *ctx, void *into, size_t bytes, size_t *got);
    /* Back to the first byte, so that the put can begin again when its node is lost; or NULL. */
    int (*rewind)(void *ctx);
    bool size_known;
    uint64_t size;
};
/* -> objects (one). The source is used until done runs. */
HF_EXPORT int hf_object_put(struct hf_client *c, const struct hf_object *o,
                            const struct hf_source *source, void *ctx, hf_done_fn *done);

/* Where a get brings its bytes, in order, all verified. Called on the loop thread. */
struct hf_sink {
    void *ctx;
    int (*write)(void *ctx, const void *data, size_t bytes);
    /* Forgets what was written, so that the get can begin again when the object was replaced while
     * it was read; or NULL. */
    int (*rewind)(void *ctx);
};
/* -> objects (one). RANGE: first or last lies beyond the end, or last before first. */
HF_EXPORT int hf_object_get(struct hf_client *c, const struct hf_object *o,
                            const struct hf_sink *sink, void *ctx, hf_done_fn *done);

/* Which object a table of a program is. */
struct hf_table {
    struct hf_bytes table; /* as the program names it */
    struct hf_bytes bucket;
    struct hf_bytes name;
};

/* What is to be computed from an object's bytes. */
struct hf_program {
    struct hf_bytes text;  /* docs/program.md */
    uint64_t memory_bytes; /* groups may take so much here; 0: 256 MiB */
    /* A directory where groups of `by` beyond that are kept while the run goes on, in files without
     * a name; NULL: none, and that is TOO_LARGE. What waits for this disk is the client's thread.
     */
    const char *spill_dir;
    void *nodes_ctx;        /* of nodes, tables_fn and disagreed */
    hf_run_nodes_fn *nodes; /* once, before done; or NULL */
    bool no_backups;        /* a part that is late is waited for, and asked of nobody else */
    /* Tables of the program that are not the object of their own name, BUCKET/NAME. */
    const struct hf_table *tables;
    size_t tables_count;
    hf_run_tables_fn *tables_fn; /* once, when all of them have been read; or NULL */
    /* A strong key of the space "default", or empty. What the program finds in each cell is kept
     * under it, so that another run with the same key, program and versions of objects and tables
     * computes the rest only, and gives the same; also at the same time. At most 1,006 bytes. It
     * stays there until hf_job_forget. Errors name the key: CONFLICT, the job is of another program
     * or other versions, or the key is no job's. Where two states of a cell are known, other nodes
     * compute it as with check; CORRUPT: that cannot be, or gives no majority. */
    struct hf_bytes job;
    /* Each part is computed by two nodes, by the cell's holder and by one that decodes the cell
     * from others, and where they differ by a third, which decides. INVALID: the object's bucket
     * has no parity; CORRUPT: three nodes have computed three states; UNAVAILABLE: no other node
     * can have a cell. */
    bool check;
    hf_run_disagreed_fn *disagreed; /* each time; its ctx is nodes_ctx; or NULL */
};
/* returns: 0; INVALID, TOO_LARGE: it is none, and why (may be NULL) says where; NO_MEMORY. */
HF_EXPORT int hf_program_check(struct hf_bytes text, char *why, size_t why_bytes);
/* Runs the program where the object's cells lie, and joins what comes of them: the sink gets what
 * the program prints, in order. -> objects (one), run. Without a name: over all objects of the
 * bucket whose names begin with prefix, one after the other in the order of their names, each as
 * it is when its turn comes. -> run; NOT_FOUND if there is none; INVALID for argmin, argmax, and
 * top of raw records, which say where in one object something is. Returns what hf_program_check
 * does as well, and INVALID, BAD_NAME where a table is no object, is given twice, or is not the
 * program's. Tables are read when it begins, and stay as they were then: EXISTS, PROTOCOL,
 * TOO_LARGE, NOT_FOUND and others of a table name it; CONFLICT: it was replaced or removed, and
 * freed before all nodes had read it. WRONG_TYPE, INVALID, OVERFLOW, PROTOCOL, TOO_LARGE,
 * NOT_FOUND, RANGE of the program itself name record and field, when what is before them has been
 * printed; INVALID also if a node's version does not know all of the program, and then names the
 * node. */
HF_EXPORT int hf_object_run(struct hf_client *c, const struct hf_object *o,
                            const struct hf_program *program, const struct hf_sink *sink, void *ctx,
                            hf_done_fn *done);

/* key -> found. Removes what runs with this job have kept: to be called when the result is where it
 * belongs, or when nobody will go on with it. A run that is still under way goes on, and gives the
 * same. CONFLICT: the key is no job's. */
HF_EXPORT int hf_job_forget(struct hf_client *c, const struct hf_kv *job, void *ctx,
                            hf_done_fn *done);

/* Runs a scan so that the nodes that hold the object's cells write its results, as a new object, or
 * a new version of one, with the object's layout and on its holders: for `scan` of count, sum, min,
 * max, or, of raw records of one field of 8 bytes, without where, select or from, into a bucket of
 * the same code. The bits are those that hf_object_run gives. -> objects (one, the new one), run.
 * Whatever fails, nothing is put under the name, now or later, and hf_object_run with hf_object_put
 * does the same, or says what is wrong; but after CONNECTION it may be there, or come yet. Returns
 * INVALID for other programs. */
HF_EXPORT int hf_object_derive(struct hf_client *c, const struct hf_object *from,
                               const struct hf_program *program, const struct hf_object *into,
                               void *ctx, hf_done_fn *done);

/* --- the cluster ------------------------------------------------------------------------------ */

/* Any method of the client protocol without parameters, such as "topology" or "status", asked of
 * one node, or of any if endpoint is NULL -> value: the answer as MessagePack. */
HF_EXPORT int hf_ask(struct hf_client *c, const char *method, const char *endpoint, void *ctx,
                     hf_done_fn *done);

#endif
