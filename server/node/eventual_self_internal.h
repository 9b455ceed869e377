/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which actor this node is. An actor is (node, epoch); its dots count up, and no dot may ever be
 * made twice, whatever happens to the disk: a lost sync, an older copy put back, a copy running
 * beside it, an empty one. So a start makes no dot before group 0 has granted it epochs that nobody
 * ever had, and the log of the own group says, in the order of the dots themselves, which epoch
 * they are of. After an orderly end the epoch goes on, if group 0 agrees that no other start was
 * granted any since: then the log that ends with EV_STOP is the whole history of that epoch.
 *
 *   group 0 has recorded this start -> EPOCHS -> EV_START -> actor -> EV_DOUBT -> the next of the
 *                                                             |       block, or EPOCHS again
 *                                                             +-----> EV_STOP -> no actor
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_EVENTUAL_SELF_INTERNAL_H
#define HOLDFAST_SERVER_NODE_EVENTUAL_SELF_INTERNAL_H

#include "server/node/eventual_internal.h"
#include "server/node/node_internal.h"

#define NODE_EV_BLOCK 16u       /* epochs of one grant */
#define NODE_EV_BLOCKS_KEPT 64u /* of a node, that group 0 knows one by one */
/* How long after an orderly end its epoch may go on. If all disks of the cluster are copies of
 * then, nothing says which start is the first: after this time it counts as one of many. */
#define NODE_EV_GOES_ON_US UINT64_C(300000000)

/* Number of a session of the own group. Epochs below 2^23 were granted without a time: epoch, then
 * index of the entry that opens it (40 bits). Others: bit 63, epoch (35 bits), how manyeth of its
 * epoch (28 bits). */
#define NODE_EV_SESSION_INDEX_BITS 40u
#define NODE_EV_SESSION_NTH_BITS 28u
#define NODE_EV_SESSION_SMALL (UINT64_C(1) << 23)
#define NODE_EV_SESSION_LARGE (UINT64_C(1) << 35)
#define NODE_EV_SESSION_FLAG (UINT64_C(1) << 63)

/* What EV_START says. The former format says the first alone. */
enum node_ev_start_says {
    NODE_EV_START_GOES_ON = 1, /* if the start before ended in order, its epoch goes on */
    NODE_EV_START_ALONE = 2,   /* no start was granted a block after the one that the disk is of */
    NODE_EV_START_BOTH = 4,    /* it says both: else nothing is known of the second */
};

/* EV_SELF as it is stored. */
struct node_ev_self_record {
    uint64_t boot; /* the start that makes dots of epoch, or did last */
    uint64_t nonce;
    uint64_t epoch; /* 0: none until the next block */
    uint64_t next;  /* of the block */
    uint64_t end;
    bool clean;     /* that start came to an orderly end */
    uint64_t since; /* sessions opened under an earlier epoch are void: what they remember of
                       their commands may be less than was done */
    uint64_t mark;  /* another one whenever records may have gone; 0: none have yet */
    uint64_t told;  /* updates of the log up to this index were made before records went, under dots
                       that peers may have: they are not made again under others */
    uint64_t mending; /* bitmap of regions of which records were lost, and not all is there again */
    uint64_t ended_us; /* clean: when, by the wall clock; 0: not known */
    uint64_t sessions; /* that were opened under the epoch, if it is not small */
    uint64_t knows;    /* of writes under tokens that were given under an earlier epoch it may not
                          be known here whether they were done: the disk was empty or set back */
};
#define NODE_EV_SELF_BYTES 98u
#define NODE_EV_LOST_BYTES 8u /* of a command */
/* returns: a view into `into`. */
struct bytes node_ev_self_encode(const struct node_ev_self_record *s,
                                 uint8_t into[NODE_EV_SELF_BYTES]);
/* raw empty: no record, all zeros. returns: 0, ERR_LEVEL, ERR_CORRUPT. */
int node_ev_self_decode(struct bytes raw, struct node_ev_self_record *out);
struct bytes node_ev_self_name(void);

int node_ev_self_init(struct node *n);
void node_ev_self_release(struct node *n);
/* Group 0 has recorded this start, the own group leads now, or it is known which regions are held:
 * asks for what is missing. */
void node_ev_self_wake(struct node *n);
/* The record is another one now, by apply or at recovery. present false: there is none. */
void node_ev_self_changed(struct node *n, bool present, struct bytes raw);
/* An orderly end: no dot is made from here on; NODE_FX_LEFT follows. */
void node_ev_leave(struct node *n);
void node_ev_left(struct node *n); /* the other members have been told */
/* returns: what EV_SELF says at the applied index. */
const struct node_ev_self_record *node_ev_self_now(const struct node *n);
/* In a command that named EV_SELF: of tokens that were given under earlier epochs nothing is known
 * from here on. */
int node_ev_self_lost(struct node_sm *sm);
/* returns: whether this session of the own group may still answer. */
bool node_ev_session_valid(const struct node *n, uint64_t session);
/* Apply: the number of a session that is opened, never given before. returns: 0, ERR_UNAVAILABLE
 * (there is no epoch, or none with room). */
int node_ev_session_number(struct node_sm *sm, uint64_t *session);
extern const struct node_op node_ev_self_ops[];

/* EPOCHS of group 0 (eventual_epochs.c).
 * Body: node u32, boot u64, nonce u64, boot u64 and nonce u64 of the start that the disk is of
 * (0: none), Unix time in s u64, end u64 of the last block that the node knows. Reply: first u64,
 * end u64, alone u8: no start was granted any after that one. That its epoch goes on takes more,
 * which the node knows itself. */
#define NODE_EV_EPOCHS_BYTES 52u
/* returns: whether that start came to an orderly end, and so lately that its epoch may go on. */
bool node_ev_epoch_may_go_on(const struct node *n, const struct node_ev_self_record *before);
void node_ev_epochs_encode(const struct node *n, const struct node_ev_self_record *before,
                           uint8_t into[NODE_EV_EPOCHS_BYTES]);
int node_ev_epochs_keys(const struct node_cmd *cmd, struct node_keys *out);
int node_ev_epochs_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);
/* A record of group 0. */
void node_ev_epochs_note(struct node *n, uint32_t node, struct bytes value);

/* eventual_regions.c */
int node_ev_regions_init(struct node *n);
void node_ev_regions_release(struct node *n);
/* Takes a record as it is read. returns: 0, ERR_CORRUPT, ERR_LEVEL, ERR_NO_MEMORY. */
int node_ev_region_load(struct node *n, uint8_t region, struct bytes raw);

/* eventual_quarantine.c: records of the own group cannot be read. */
void node_ev_quarantine(struct node *n, struct node_group *g);

#endif
