/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where a group is: its leader as far as this node knows, or another member to ask. Replicas know
 * from raft; a node without a replica tries the members in turn and keeps the one that answered.
 */
#include "server/node/control_internal.h"
#include "server/node/node_internal.h"

uint32_t node_route(const struct node *n, uint32_t group, bool leader_only)
{
    const struct node_group *g = node_group_find(n, group);
    const struct wire_identity_group *wanted = wire_identity_group_of(&n->identity, group);
    if (g != NULL && (leader_only || (g->leader != RAFT_NODE_NONE && g->leader != n->self))) {
        return g->leader;
    }
    if (wanted == NULL) {
        return RAFT_NODE_NONE;
    }
    uint32_t hint = n->control->leader[group % NODE_GROUPS_MAX];
    if (hint != RAFT_NODE_NONE && node_peer_is_up(n, hint)) {
        return hint;
    }
    uint32_t start = n->control->turn[group % NODE_GROUPS_MAX];
    for (uint32_t i = 0; i < wanted->voters_count; i++) {
        uint32_t node = wanted->voters[(start + i) % wanted->voters_count];
        if (node != n->self && node_peer_is_up(n, node)) {
            return node;
        }
    }
    return RAFT_NODE_NONE;
}

/* leader RAFT_NODE_NONE: the last one tried was none, so the next member is tried. */
void node_route_learn(struct node *n, uint32_t group, uint32_t leader)
{
    n->control->leader[group % NODE_GROUPS_MAX] = leader;
    if (leader == RAFT_NODE_NONE) {
        n->control->turn[group % NODE_GROUPS_MAX]++;
    }
}

void node_retry_at(struct node *n, struct node_group *g, uint64_t at_us)
{
    if (g->retry.at_us == 0 || g->retry.at_us > at_us) {
        node_timer_set(n, &g->retry, at_us);
    }
}

void node_retry_soon(struct node *n, struct node_group *g)
{
    node_retry_at(n, g, n->now);
}
