/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Identity bundle: which cluster a node belongs to, who it is in it, and how the cluster began:
 * nodes, groups with their first voters, slots, placement groups. `holdfast init` makes one for
 * each node; the daemon keeps a copy in its superblocks. Later changes live in group 0.
 *
 *   struct wire_identity_plan plan = {.cluster = ..., .nodes = nodes, .nodes_count = 5,
 *                                     .data_groups = 1};
 *   TRY(wire_identity_make(&plan, &identity, &why));        node is 0: nobody's yet
 *   TRY(wire_identity_claim(&identity, 3));                 now that of node 3
 *   TRY(wire_identity_encode(&identity, &out));             the file `identity`
 *   TRY(wire_identity_decode(bytes, &identity, &why));
 *
 * Since format 2 a bundle holds secrets: the cluster's first gossip key, which all bundles of a
 * cluster share, and the private key of the node that claimed it. A bundle of format 1 has neither,
 * and is written as it was read.
 *
 * Bytes, little-endian: magic "HFID", format u16, level u16, then
 *   cluster 16, node u32, incarnation u64, placement groups u32,
 *   format 2: gossip key 32, private key 32 (zeros: none)
 *   nodes u32,  each: id u32, incarnation u64, zone u32, weight u32, client port u16,
 *               peer port u16, host (u32 length, bytes), format 2: public key 32 (zeros: none)
 *   groups u32, each: id u32, voters u32, each u32
 *   slots u32,  each: first u16, last u16, group u32
 *   CRC32C u32 of everything before
 *
 * threads: pure functions over values of one owner.
 */
#ifndef HOLDFAST_WIRE_IDENTITY_H
#define HOLDFAST_WIRE_IDENTITY_H

#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define WIRE_IDENTITY_CLUSTER_BYTES 16u
#define WIRE_IDENTITY_NODES_MAX 64u
#define WIRE_IDENTITY_GROUPS_MAX 64u /* group 0 and up to 63 data groups */
#define WIRE_IDENTITY_VOTERS_MAX 5u
#define WIRE_IDENTITY_SLOTS_MAX 64u
#define WIRE_IDENTITY_SLOTS 16384u
#define WIRE_IDENTITY_HOST_BYTES_MAX 253u
#define WIRE_IDENTITY_BYTES_MAX 32768u /* encoded */
#define WIRE_IDENTITY_PLACEMENT_GROUPS 64u
#define WIRE_IDENTITY_PLACEMENT_GROUPS_MAX 4096u
#define WIRE_IDENTITY_FORMAT 2u /* the newest of the bundle itself; 1 is read too */
#define WIRE_IDENTITY_LEVEL 1u  /* what may be written in the cluster at its beginning */
#define WIRE_IDENTITY_KEY_BYTES 32u

struct wire_identity_node {
    uint32_t id;          /* from 1, never reused */
    uint32_t zone;        /* failure domain above the node */
    uint64_t incarnation; /* from 1 */
    uint32_t weight;      /* share of objects, from 1 */
    uint16_t client_port;
    uint16_t peer_port;
    char host[WIRE_IDENTITY_HOST_BYTES_MAX + 1]; /* name or address */
    uint8_t public_key[WIRE_IDENTITY_KEY_BYTES]; /* Ed25519; zeros: none */
};

struct wire_identity_group {
    uint32_t id;
    uint32_t voters_count;
    uint32_t voters[WIRE_IDENTITY_VOTERS_MAX];
};

/* Slots first to last, both included, belong to group. */
struct wire_identity_slots {
    uint16_t first;
    uint16_t last;
    uint32_t group;
};

struct wire_identity {
    uint8_t cluster[WIRE_IDENTITY_CLUSTER_BYTES];
    uint32_t node;        /* own id; 0 in a plan that nobody has claimed */
    uint64_t incarnation; /* own */
    uint16_t format;      /* 1: without any key */
    uint16_t level;
    uint32_t placement_groups; /* a power of two */
    uint32_t nodes_count;
    uint32_t groups_count;
    uint32_t slots_count;
    struct wire_identity_node nodes[WIRE_IDENTITY_NODES_MAX];    /* ascending ids */
    struct wire_identity_group groups[WIRE_IDENTITY_GROUPS_MAX]; /* ascending ids, 0 first */
    struct wire_identity_slots slots[WIRE_IDENTITY_SLOTS_MAX];   /* ascending, no gap */
    uint8_t gossip_key[WIRE_IDENTITY_KEY_BYTES];                 /* key 1 of the cluster */
    uint8_t private_key[WIRE_IDENTITY_KEY_BYTES];                /* own, Ed25519; zeros: none */
};

struct wire_identity_plan {
    uint8_t cluster[WIRE_IDENTITY_CLUSTER_BYTES]; /* random */
    const struct wire_identity_node *nodes;       /* incarnation and weight 0: 1 is taken */
    unsigned nodes_count;
    unsigned data_groups;      /* 1 to WIRE_IDENTITY_GROUPS_MAX - 1 */
    const uint8_t *gossip_key; /* WIRE_IDENTITY_KEY_BYTES, random; NULL: a bundle of format 1 */
};

/* The first shape of a cluster: group 0 and data groups 1 to data_groups, with 5 voters if there
 * are 5 nodes, else 3 if there are 3, else 1, rotated over the nodes; the slots split evenly.
 * returns: 0, or ERR_INVALID with why. */
int wire_identity_make(const struct wire_identity_plan *plan, struct wire_identity *out,
                       struct err_info *why);

/* Makes it the identity of one node of the roster, without a private key: that is the caller's to
 * set. returns: 0 or ERR_NOT_FOUND. */
int wire_identity_claim(struct wire_identity *identity, uint32_t node);

/* returns: 0, or ERR_INVALID with the rule that is broken. Decoded bundles pass it. */
int wire_identity_check(const struct wire_identity *identity, struct err_info *why);

/* returns: 0 or the error of out. */
int wire_identity_encode(const struct wire_identity *identity, struct buf *out);

/* data: the whole bundle. returns: 0; ERR_CORRUPT (damaged), ERR_LEVEL (of a later version),
 * ERR_INVALID (whole, but contradicts itself), with why; *out is untouched then. */
int wire_identity_decode(struct bytes data, struct wire_identity *out, struct err_info *why);

/* returns: NULL if id is not in the roster. */
const struct wire_identity_node *wire_identity_node_of(const struct wire_identity *identity,
                                                       uint32_t id);
/* returns: NULL if there is no such group. */
const struct wire_identity_group *wire_identity_group_of(const struct wire_identity *identity,
                                                         uint32_t id);
/* slot: below WIRE_IDENTITY_SLOTS. returns: the data group it began with. */
uint32_t wire_identity_slot_group(const struct wire_identity *identity, uint32_t slot);

#endif
