/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What group 0 says, as every node keeps it in memory: slots, placement, boot numbers. Replicas of
 * group 0 follow their state; others compute the genesis tables from their identity, which are
 * the same.
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_CONTROL_INTERNAL_H
#define HOLDFAST_SERVER_NODE_CONTROL_INTERNAL_H

#include "server/node/node_internal.h"

/* What group 0 decided about a node. On disk: never renumbered. */
enum node_member_state {
    NODE_MEMBER_IN = 1,
    NODE_MEMBER_OUT = 2, /* its shards belong elsewhere until it is a member again */
};

struct node_control_peer {
    uint32_t id;
    uint64_t incarnation;
    uint64_t boot;
    uint64_t nonce;
    enum node_member_state state;
    uint64_t changed_us; /* log time of the last decision; 0: none yet */
};

struct node_control {
    uint16_t slots[WIRE_IDENTITY_SLOTS]; /* group of each slot */
    uint32_t *places;                    /* placement groups x nodes_count */
    uint32_t nodes_count;
    struct node_control_peer peers[WIRE_IDENTITY_NODES_MAX];
    uint32_t leader[NODE_GROUPS_MAX]; /* of groups without a replica here: who answered last */
    uint32_t turn[NODE_GROUPS_MAX];
    struct node_timer boot; /* proposes this node's boot number until it is known */
    bool booted;
};

/* control.c */
struct node_control_peer *node_control_peer_of(const struct node *n, uint32_t id);
struct bytes node_numbered_name(uint8_t kind, uint32_t number, uint8_t into[5]);
#define NODE_BOOT_AT 20u /* of boot and nonce in a NODE record */
#define NODE_BOOT_HEAD 36u

/* roster.c: decisions about nodes */
void node_roster_note(struct node *n, struct bytes value);
int node_roster_state_keys(const struct node_cmd *cmd, struct node_keys *out);
int node_roster_state_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);

/* Body of NODE_STATE. Refused with CONFLICT unless the node's record has this incarnation and boot
 * number, with BUSY less than pause_us of log time after its last OUT, with UNAVAILABLE if too few
 * members would be left. A state that holds already is no change. */
struct node_roster_change {
    uint32_t node;
    uint64_t incarnation;
    uint64_t boot;
    enum node_member_state state;
    uint64_t pause_us;
};
#define NODE_ROSTER_CHANGE_BYTES 29u
void node_roster_change_encode(const struct node_roster_change *c,
                               uint8_t into[NODE_ROSTER_CHANGE_BYTES]);

#endif
