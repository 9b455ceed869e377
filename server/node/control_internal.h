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

struct node_control_peer {
    uint32_t id;
    uint64_t incarnation;
    uint64_t boot;
    uint64_t nonce;
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

#endif
