/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode towards clients: what the methods crdt.* share. Questions about records are those
 * of the own group (eventual_read.c); a node that lacks what a token names, or owns nothing of a
 * key, asks them of an owner instead.
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_EVENTUAL_API_INTERNAL_H
#define HOLDFAST_SERVER_NODE_EVENTUAL_API_INTERNAL_H

#include "server/node/eventual_internal.h"
#include "server/node/node_internal.h"
#include "wire/token.h"

#define NODE_SPACE_OWN "\0holdfast." /* spaces that begin so are the cluster's own */
#define NODE_EV_ROWS_MAX 8192u       /* of one question */
#define NODE_EV_ROW_BYTES (1u << 20)
#define NODE_EV_BUDGET_US (WIRE_CRDT_BUDGET_MS * 1000u)

/* ---- questions (eventual_read.c) ----------------------------------------------------------------
 * Body of both: from u16 length, to u16 length (names; to empty: the record `from` alone), after
 * u8, rows u32, bytes u32, region u8, skip u16 (bytes of a name before the record key), then NAMES
 * - READ   mode u8, path (count u8, types, names u16 length), element u16 length, limit u32 Reply
 * of NAMES: more u8, last name looked at u16, record keys (u16) that have live entries. Reply of
 * READ: time u64, context u32 length (all that it had seen is here), EV_AHEAD u32 length (what may
 * be here besides; empty: nothing), then of VALUE type u8 (0: nothing there), next u8 (types from
 * here on are to be asked for; 0: none), packed item; of MEMBERS: the packed pairs items and next.
 */
enum node_ev_read_mode {
    NODE_EV_VALUE = 1, /* what the path holds; its last type 0: the first type there is */
    NODE_EV_HAS,       /* of a set: whether element is in it */
    NODE_EV_MEMBERS,   /* elements or fields after the range's beginning */
};

/* What a question is about, copied from a request. */
struct node_ev_target {
    struct buf memory; /* of all below */
    struct bytes key;
    struct crdt_path path;
    struct bytes element; /* element, or `after` */
    bool has_element;
    uint8_t region;
};
void node_ev_target_release(struct node_ev_target *t);
/* Parameters from `first` on: space is parameter 0. returns: 0, ERR_INVALID, ERR_BAD_NAME,
 * ERR_TOO_LARGE, ERR_NO_MEMORY; t is to be released in any case. */
int node_ev_target_of(struct node *n, const struct wire_rpc *req, bool any_type,
                      struct node_ev_target *t);
/* [type, field, type ...]: views into the request. */
int node_ev_path_of(struct wire_node list, bool any_type, struct crdt_path *out);

struct node_ev_question {
    enum node_ev_read_mode mode; /* READ */
    uint8_t from_type;           /* VALUE of any type: the least that is meant */
    uint32_t limit;              /* MEMBERS */
    struct bytes after;          /* MEMBERS: where the page before ended; empty: begin */
};
int node_ev_read_body(const struct node_ev_target *t, const struct node_ev_question *q,
                      struct buf *out);
/* Records under a prefix of the kernel's key. exact: that one record; resume: a name to go on
 * after, or empty. */
int node_ev_prefix_body(const struct node_ev_target *t, struct bytes prefix, bool exact,
                        struct bytes resume, struct buf *out);
extern const struct node_query_op node_ev_read_queries[];
extern const struct node_method node_ev_ask_methods[];
/* Asks this node or another, of its own group. */
void node_ev_ask(struct node *n, uint32_t node, uint8_t op, struct bytes body, uint64_t deadline_us,
                 void *ctx, node_done_fn *done);

/* ---- tokens (eventual_token.c) ----------------------------------------------------------------
 */

/* What a request asks for, by its options. */
struct node_ev_causal {
    struct wire_token token;
    bool session; /* it had a token, perhaps an empty one */
    uint64_t budget_us;
};
void node_ev_causal_release(struct node_ev_causal *c);
/* c is to be released in any case. ERR_INVALID: the token names a group or a region that there is
 * not; and the errors of wire_token_decode. */
int node_ev_causal_of(struct node *n, const struct wire_options *o, struct node_ev_causal *c);
/* Adds what the token names of region. */
int node_ev_causal_context(const struct node_ev_causal *c, uint8_t region,
                           struct crdt_context *out);
/* returns: whether what was seen of the region here is all of it. */
bool node_ev_causal_met(const struct node *n, uint8_t region, const struct crdt_context *wanted);
int node_ev_token_add(struct wire_token *t, uint8_t region, const struct crdt_context *seen);
/* Makes the token smaller: of epochs that are over it says no more than that all of them has been
 * seen, where this node has folded them. */
void node_ev_token_fold(const struct node *n, struct wire_token *t);
/* Pairs `consistency` and `token`. */
int node_ev_pack_causal(struct buf *out, const struct wire_token *token, const char *consistency);

/* ---- methods ----------------------------------------------------------------------------------
 */

/* One operation of crdt.update, as views into the request. *create: it makes a bounded counter. */
int node_ev_op_of(struct wire_node item, struct node_ev_op *op, bool *create);
struct node_ev_writes; /* api_crdt_write.c: operations that take turns */
int node_ev_writes_init(struct node *n);
void node_ev_writes_release(struct node *n);
void node_crdt_update_serve(struct node *n, struct node_client client, const struct wire_rpc *req);

#endif
