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

#include "server/node/eventual_self_internal.h"
#include "server/node/node_internal.h"

/* What group 0 decided about a node. On disk: never renumbered. */
enum node_member_state {
    NODE_MEMBER_IN = 1,
    NODE_MEMBER_OUT = 2, /* its shards belong elsewhere until it is a member again */
};

struct node_control_peer {
    uint32_t id;
    uint64_t incarnation;
    uint64_t boot; /* group 0's record: nothing else moves it */
    uint64_t nonce;
    uint64_t told_boot; /* what its last accepted greeting said */
    uint64_t told_nonce;
    bool refuses; /* it holds this node fenced, and has not connected since */
    enum node_member_state state;
    uint64_t changed_us; /* log time of the last decision; 0: none yet */
    uint64_t out_us;     /* of the last one to be out */
    uint64_t capacity_bytes;
    uint64_t epochs_next; /* no epoch from here on was granted to its actors, from 1 */
    uint64_t blocks[NODE_EV_BLOCKS_KEPT]; /* firsts of the last that were */
    uint32_t blocks_count;
    uint8_t public_key[WIRE_IDENTITY_KEY_BYTES];
    struct buf retired; /* rows of RETIRED */
};

struct node_control {
    uint16_t slots[WIRE_IDENTITY_SLOTS]; /* group of each slot */
    uint32_t *places;                    /* placement groups x nodes_count */
    uint32_t nodes_count;
    struct node_control_peer peers[WIRE_IDENTITY_NODES_MAX];
    uint32_t leader[NODE_GROUPS_MAX]; /* of groups without a replica here: who answered last */
    uint32_t turn[NODE_GROUPS_MAX];
    struct node_timer boot;    /* proposes this node's boot number until it is known */
    struct node_timer refresh; /* without a replica of group 0: asks what it says */
    uint64_t answered_us;      /* refresh: when the last answer came */
    uint64_t hear_us;          /* refresh: how long after that it asks again if urged to */
    uint64_t heard;            /* refresh: hash of the last answer */
    bool urged;                /* refresh: since then */
    bool again;                /* refresh: since it asks: the answer may be from before */
    struct node_timer read;    /* with a replica of group 0: reads again what it says */
    bool booted;
    bool unread; /* of what group 0 says, some is not known here yet that is older than the rest */
    bool missed; /* something could not be noted */
    struct gossip_keyring ring; /* count 0: this node knows no key */
};

/* control.c */
struct node_control_peer *node_control_peer_of(const struct node *n, uint32_t id);
struct bytes node_numbered_name(uint8_t kind, uint32_t number, uint8_t into[5]);
#define NODE_BOOT_AT 20u /* of boot and nonce in a NODE record */
#define NODE_BOOT_HEAD 36u

/* reply: of NODE_QUERY_CONTROL. What it says is followed as if it had been applied here. */
void node_control_take(struct node *n, struct bytes reply);
/* Something of what group 0 says could not be noted: it is heard or read once more. */
void node_control_again(struct node *n);
/* All that group 0 said at one moment begins to be noted, one record after another; and is. */
void node_control_begin(struct node *n);
void node_control_end(struct node *n, bool whole);
/* install.c: follows group 0's state as it lies here. */
void node_control_read(struct node *n, struct node_group *g);
/* There seems to be something new in group 0: if this node has no replica of it, it asks now,
 * unless it has just done so. Who is urged on and on and hears nothing new asks less and less, down
 * to as often as anyway. */
void node_control_hear(struct node *n);
/* A peer says that this node is fenced; believed when a majority of group 0's voters do. */
void node_control_refused(struct node *n, uint32_t peer);
void node_control_peer_up(struct node *n, uint32_t peer);

/* keyring.c: gossip's keys, as group 0 has them */
void node_keyring_init(struct node *n);
void node_keyring_note(struct node *n, struct bytes value);
int node_keyring_keys(const struct node_cmd *cmd, struct node_keys *out);
int node_keyring_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);

/* Body of KEY: step u8, number u16, revision u64, key 32 (zeros but for INSTALL). */
#define NODE_KEY_CHANGE_BYTES 43u
void node_keyring_change_encode(const struct gossip_keyring_change *c,
                                uint8_t into[NODE_KEY_CHANGE_BYTES]);

/* roster.c: decisions about nodes */
void node_roster_note(struct node *n, struct bytes value);
int node_roster_name_add(struct node_keys *out);
/* What a node's start told of its disk. returns: 0 or an error of the state. */
int node_roster_capacity(struct node_sm *sm, uint32_t id, uint64_t bytes);
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
