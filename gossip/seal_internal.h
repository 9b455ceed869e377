/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the envelope remembers. Not for other rooms.
 *
 * threads: one owner.
 */
#ifndef HOLDFAST_GOSSIP_SEAL_INTERNAL_H
#define HOLDFAST_GOSSIP_SEAL_INTERNAL_H

#include "gossip/gossip.h"

#define SEAL_VERSION 1u
#define SEAL_LABEL "holdfast gossip 1"
#define SEAL_LABEL_BYTES 17u
#define SEAL_AAD_BYTES \
    (GOSSIP_SEAL_HEADER_BYTES + GOSSIP_CLUSTER_BYTES + SEAL_LABEL_BYTES + 4u)    /* 69 */
#define SEAL_INFO_BYTES (SEAL_LABEL_BYTES + GOSSIP_CLUSTER_BYTES + 4u + 8u + 8u) /* 53 */
#define SEAL_NONCE_BYTES 12u
#define SEAL_CHANNELS 2u

/* Which counters of one epoch were seen: bit i of bits stands for top - i. */
struct seal_window {
    uint64_t top;
    uint64_t bits; /* 0: nothing was seen */
};

/* The last packet of another start that was answered by a greeting. */
struct seal_mark {
    uint64_t epoch; /* 0: none was */
    uint64_t counter;
};

struct seal_derived {
    uint16_t number; /* 0: empty */
    uint64_t epoch;
    uint8_t bytes[GOSSIP_KEY_BYTES];
};

struct seal_sender {
    uint32_t id;
    uint16_t key_last;
    uint64_t incarnation;
    uint64_t epoch; /* believed: older ones are refused */
    uint64_t told;  /* the newest authentic one, fresh or not: packets to it are for this start */
    struct seal_window window[SEAL_CHANNELS];
    struct seal_mark greeted[SEAL_CHANNELS];
    struct seal_derived derived[GOSSIP_KEYS_MAX]; /* of the believed epoch */
};

struct gossip_seal {
    struct gossip_seal_options options;
    struct alloc alloc;
    struct gossip_key keys[GOSSIP_KEYS_MAX];
    unsigned keys_count;
    const struct gossip_key *used; /* of keys; NULL: none */
    bool own_ready;
    uint8_t own[GOSSIP_KEY_BYTES];   /* what the used key gives for this node and start */
    uint64_t counter[SEAL_CHANNELS]; /* the next one */
    struct seal_sender *senders;     /* ascending ids */
    uint32_t senders_count;
    struct gossip_seal_counters counters;
};

/* returns: whether the counter was seen or is too old to tell. */
bool gossip_seal_window_seen(const struct seal_window *w, uint64_t counter);
void gossip_seal_window_add(struct seal_window *w, uint64_t counter);

#endif
