/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Gossip in a node, seen by its own files:
 *
 *   member.c         owns the core and the envelope: packets in and out, evidence, opinions
 *   member_health.c  what this node says of itself: unwell or not, and facts
 *   member_decide.c  on group 0's leader: opinions that have held for long become proposals
 *   member_api.c     what operators see and do
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_MEMBER_INTERNAL_H
#define HOLDFAST_SERVER_NODE_MEMBER_INTERNAL_H

#include "gossip/gossip.h"
#include "server/node/control_internal.h"

#define NODE_MEMBER_WINDOWS 10u /* seconds of log syncs that are kept */

/* Kinds of facts: on the wire, never renumbered. Values are little-endian. */
enum node_fact {
    NODE_FACT_KEYS = 0, /* keyring revision u64, number of the key in use u16; rotations wait */
    NODE_FACT_LOAD = GOSSIP_FACT_PROMPT, /* requests u32, calls u32, jobs u32 that are under way */
    NODE_FACT_DISK,    /* state used u64, state limit u64, shard bytes u64, unwell u32 */
    NODE_FACT_APPLIED, /* each: group u32, applied index u64 */
};

struct node_member_window {
    uint64_t second;
    uint32_t batches;
    uint32_t slow;
};

struct node_member_health {
    struct node_member_window windows[NODE_MEMBER_WINDOWS];
    uint64_t wal_begun_us; /* the batch that is out; 0: none */
    uint64_t well_us;      /* when the disk was last seen slow */
    uint64_t moved_us;     /* when leadership was last given away for it */
    uint32_t unwell;
    struct node_timer timer;
    unsigned rounds;
    bool asking; /* the job about the disk is out */
};

struct node_member_decide {
    struct node_timer timer;
    bool busy;                                /* a decision is on its way */
    uint64_t cut_us[WIRE_IDENTITY_NODES_MAX]; /* in a cut since, by place in control->peers */
};

struct node_member {
    struct gossip *gossip; /* NULL: not started, or no cipher */
    struct gossip_seal *seal;
    struct buf packet; /* under construction, or being opened */
    bool roster_stale;
    uint64_t forged_told_us; /* when bad packets were last logged */
    uint64_t forged_told;
    uint64_t evidence_us[WIRE_IDENTITY_NODES_MAX]; /* by place in n->peers */
    struct node_member_health health;
    struct node_member_decide decide;
};

const char *node_member_state_name(enum gossip_state state);

/* member_health.c */
void node_member_health_start(struct node *n);
void node_member_facts_keys(struct node *n);
int node_member_keys_of(const struct node *n, uint32_t member, uint64_t *revision, uint16_t *used);

/* member_decide.c */
void node_member_decide_start(struct node *n);
void node_member_decide_cut(struct node *n, uint32_t id);

#endif
