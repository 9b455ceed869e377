/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Retirement of epochs (docs/adr/0011-retirement-of-epochs.md). A node whose actor has gone on to a
 * later epoch finds out which dots of the earlier ones there are, region by region, asks every node
 * of the roster whether it has any other, and has the answer recorded by group 0; then each node
 * that has seen them all folds these epochs in its context of the region.
 *
 *   own contexts -> EV_OVER to every node, twice -> RETIRE to group 0 -> RETIRED
 *                        |                                                  |
 *                        one has other dots, lacks some                     every node: EV_FOLD
 *                        or is away: again later
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_EVENTUAL_RETIRE_INTERNAL_H
#define HOLDFAST_SERVER_NODE_EVENTUAL_RETIRE_INTERNAL_H

#include "server/node/eventual_internal.h"
#include "server/node/node_internal.h"

#define NODE_EV_FOLD_US 1000000u   /* from the record to the fold */
#define NODE_EV_RETIRE_US 2000000u /* between two attempts; more after each that fails */
#define NODE_EV_RETIRE_TIMES 6u    /* doubled so often at most */
#define NODE_EV_ROUND_US 500000u   /* between two rounds: more than a fragment is on its way */
#define NODE_EV_ROUNDS 2u
#define NODE_EV_RETIRED_BYTES_MAX (16u << 10) /* of the record of one node */

/* All dots in a region by the actors of a node whose epoch lies below that. Encoded: region u8,
 * below u64, context (length u32). */
struct node_ev_retired {
    uint8_t region;
    uint64_t below; /* > 1 */
    struct crdt_context seen;
};
int node_ev_retired_put(const struct node_ev_retired *row, struct buf *out);
/* row: its context is initialised, and replaced. returns: 0, ERR_INVALID (also if other dots are in
 * it than those of `node` below that epoch), ERR_NO_MEMORY. */
int node_ev_retired_take(struct bytes_reader *r, uint32_t node, struct node_ev_retired *row);
/* returns: whether all dots in seen by the node's actors of the row's epochs are in the row, one by
 * one, or folded in seen. */
bool node_ev_retired_all(const struct crdt_context *seen, uint32_t node,
                         const struct node_ev_retired *row);

/* Group 0 (eventual_retire.c). RETIRE: node u32, boot u64, nonce u64 of its start, starts of all
 * other nodes in the order of the roster (number u16; node u32, boot u64, nonce u64), rows rising
 * by region. Refused with FENCED unless these starts are recorded. RETIRED, node u32be: format u8,
 * rows.
 */
int node_ev_retire_keys(const struct node_cmd *cmd, struct node_keys *out);
int node_ev_retire_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);
/* A record of group 0. */
void node_ev_retired_note(struct node *n, uint32_t node, struct bytes value);

/* Looks whether there is something of this node's to retire. */
void node_ev_retire_soon(struct node *n, uint64_t wait_us);
/* Epochs of this node are to be recorded as over in the region up to the one that it is now, also
 * those without a dot there. */
void node_ev_retire_wanted(struct node *n, uint8_t region);
void node_ev_retire_fire(struct node *n, struct node_timer *t);
/* EV_OVER: below u64, rows. Answer: bitmap u64 of the regions in which the rows are right. */
void node_ev_over_serve(struct node *n, struct node_request request, struct bytes body);

/* Folding (eventual_fold.c). */
void node_ev_fold_fire(struct node *n, struct node_timer *t);
void node_ev_fold_soon(struct node *n, uint64_t wait_us);
/* A peer's context, or what is waited for: if it is ahead by a fold, this node folds now. */
void node_ev_fold_follow(struct node *n, uint8_t region, const struct crdt_context *theirs);
/* seen, of whatever node: folds what may be, by what group 0 has recorded. */
int node_ev_fold_context(const struct node *n, uint8_t region, struct crdt_context *seen);

#endif
