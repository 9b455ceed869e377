/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * crdt.update: the request that api_crdt_write.c takes along its way, and api_crdt_ops.c reads.
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_EVENTUAL_WRITE_INTERNAL_H
#define HOLDFAST_SERVER_NODE_EVENTUAL_WRITE_INTERNAL_H

#include "server/node/eventual_api_internal.h"
#include "server/node/eventual_once_internal.h"

struct ev_write_item {
    struct bytes key;
    uint8_t region;
    bool turns; /* takes turns with others on its key */
    struct buf hints;
};

struct ev_write {
    struct node_link link;    /* of those that have their turn, or wait for it */
    struct node_link attempt; /* of those in a session or under a token */
    uint64_t id[2];           /* equal of attempts of one such write */
    struct node_ev_once once; /* token.node 0: none */
    struct node_timer patience;
    struct node_client client;
    struct node_ev_causal causal;
    struct crdt_context wanted;
    struct node_cmd cmd;
    struct buf memory; /* of what the operations view */
    struct node_ev_op *ops;
    struct ev_write_item *items;
    unsigned count;
    unsigned at; /* the operation under way */
    bool in_turn;
    bool waits; /* for its turn */
    bool proposed;
    bool answered; /* before its end */
    bool create;
    bool settled;   /* the session knows the sequence: the answer is in it */
    bool refused;   /* unless the session knows the sequence */
    bool beside;    /* when it was refused, another attempt was under way */
    bool reclaimed; /* rights of earlier actors of this node were looked for */
    bool apart;     /* operations of several callers: all of the keys must be this node's */
    unsigned copies;
    uint32_t node; /* whose records are asked for */
    uint64_t deadline_us;
    int refusal;
    const char *why; /* says more of the refusal, or NULL */
    uint32_t named;  /* the operation that a refusal is about; UINT32_MAX: no single one */
    struct buf resume;
    struct buf body;
};

/* Takes the operations and options out of a request, copied and checked; w: its buffers are
 * initialised. returns: 0 or what the request is refused with. */
int node_ev_write_of(struct node *n, const struct wire_rpc *req, struct ev_write *w);

/* api_crdt_reply.c: what it is refused for, who else might take it, and which of its operations
 * that is about. */
void node_ev_write_say(struct node *n, const struct ev_write *w, int code);
/* The answer: reply as of node_ev_write. returns: 0, or why it is not to be had. */
int node_ev_written_pack(struct node *n, struct ev_write *w, struct bytes reply, struct buf *out);

/* eventual_reclaim.c: of the operation that w->named says, refused for lack of rights and in its
 * turn. ctx of done: w; code 0: there are more now.
 * returns: false: there is nothing to look for, and done is not called. */
bool node_ev_reclaim(struct node *n, struct ev_write *w, node_done_fn *done);

#endif
