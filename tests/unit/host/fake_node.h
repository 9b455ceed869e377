/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A node that keeps nothing: it answers each client message with the same bytes, or does what its
 * first parameter byte says, and counts what it sees. It stands for server/node in tests of the
 * host.
 *
 * threads: the counts may be read by any thread.
 */
#ifndef HOLDFAST_TESTS_UNIT_HOST_FAKE_NODE_H
#define HOLDFAST_TESTS_UNIT_HOST_FAKE_NODE_H

#include <stdint.h>

/* The msgid of a request says what is to be done with it. */
enum fake_request {
    FAKE_ECHO = 0,  /* the same bytes come back */
    FAKE_BIG = 1,   /* FAKE_BIG_BYTES come back */
    FAKE_CLOSE = 2, /* the same bytes come back, then the connection is closed */
    FAKE_WORK = 3,  /* the same bytes come back when jobs in all lanes and a log batch are done */
    FAKE_STOP = 4,  /* the node must end with ERR_IO */
};

#define FAKE_BIG_BYTES 262144u

struct fake_counts {
    uint64_t requests;
    uint64_t opened;
    uint64_t gone;
    uint64_t peers_up;
    uint64_t peers_down;
    uint64_t frames;
    uint64_t large; /* the last of some that are sent after these */
    uint64_t kept;  /* of those: as they came */
    uint64_t jobs;
    uint64_t batches;
    uint64_t syncs;
};

/* What the node with this id has seen. */
void fake_counts_get(uint32_t node, struct fake_counts *out);
void fake_counts_reset(void);
/* What node_peer_check says about a peer from now on. */
void fake_peer_code(uint32_t peer, int code);

#endif
