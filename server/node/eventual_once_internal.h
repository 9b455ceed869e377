/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Writes that count once however often they are sent, and by whomever (docs/adr/0022). A token
 * (wire/once.h) names a node; what became of its write is a record of that node's own group, made
 * in the step that makes the dots. While the record is there a repetition gets the first answer. If
 * it is not, the write was not done, provided that the node would know:
 *
 *   - it has lost nothing since the token was given. `since` of EV_SELF says so of what was damaged
 *     or cut, `knows` of a disk that is empty or was set back;
 *   - if the token is of an epoch of an earlier start, all other nodes have told this start what
 *     they have of this node, and it is nothing that is not here;
 *   - records of the token's time have not gone yet.
 *
 * Else nobody says that it was not done, and it is not done.
 *
 * EV_ONCE, the record alone: format u8, bytes u64 of all records, swept u64: of tokens given before
 * this log time the records may be gone.
 *
 * EV_ONCE, by log time, epoch, random u64be: format u8, sum of the operations low u64, high u64,
 * reply of UPDATE.
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_EVENTUAL_ONCE_INTERNAL_H
#define HOLDFAST_SERVER_NODE_EVENTUAL_ONCE_INTERNAL_H

#include "base/hash.h"
#include "server/node/eventual_internal.h"
#include "wire/once.h"

#define NODE_EV_ONCE_FORMAT 1u /* of both records */
#define NODE_EV_ONCE_NAME_BYTES 25u
#define NODE_EV_ONCE_HEAD_BYTES 40u  /* of a command */
#define NODE_EV_ONCE_STATE_BYTES 17u /* the record alone */

struct node_ev_once {
    struct wire_once token;
    struct hash_digest operations; /* of another write this is another one */
};

/* ---- commands ---------------------------------------------------------------------------------
 * NODE_OP_EV_ONCE body: log time u64, epoch u64, random u64, sum low u64, high u64, body of
 * UPDATE. Its reply is that of UPDATE. */

/* The record's name. returns: a view into `into`. */
struct bytes node_ev_once_name(const struct wire_once *token,
                               uint8_t into[NODE_EV_ONCE_NAME_BYTES]);
int node_ev_once_head(const struct node_ev_once *o, struct buf *out);
/* returns: the body of UPDATE of an UPDATE or ONCE; empty of a body that apply refuses. */
struct bytes node_ev_once_update(const struct node_cmd *cmd);
/* Names the records of a ONCE, but for those of its UPDATE. */
int node_ev_once_keys(const struct node_cmd *cmd, struct node_keys *out);
/* *ended: it was done, and this is the answer; or it is refused. returns: the code if so. */
int node_ev_once_begin(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply,
                       bool *ended);
/* It was done: remembers the reply. */
int node_ev_once_end(struct node_sm *sm, const struct node_cmd *cmd, struct bytes reply);
extern const struct node_op node_ev_once_ops[];
extern const struct node_query_op node_ev_once_queries[];

/* ---- in the loop ---------------------------------------------------------------------------- */

struct node_ev_onces; /* what is in memory of all of them */
int node_ev_once_init(struct node *n);
void node_ev_once_release(struct node *n);
/* The record of all of them is another one, by apply, quarantine or at recovery. raw empty: there
 * is none. returns: 0, ERR_LEVEL, ERR_CORRUPT. */
int node_ev_once_changed(struct node *n, struct bytes raw);
/* returns: 0 if a write under the token that has no record was certainly not done and may be done
 * now; else what it is refused for, and *why, NULL or a sentence. */
int node_ev_once_check(struct node *n, const struct wire_once *token, const char **why);
/* returns: what the records take, with their names. */
uint64_t node_ev_once_bytes(const struct node *n);
void node_crdt_once_serve(struct node *n, struct node_client client, const struct wire_rpc *req);

#endif
