/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Hosts in this process, each on its own thread with its own directory and free ports, and the
 * client side of plain sockets.
 *
 * threads: the test's own; lines and counts may be read while hosts run.
 */
#ifndef HOLDFAST_TESTS_UNIT_HOST_HOST_FIXTURE_H
#define HOLDFAST_TESTS_UNIT_HOST_HOST_FIXTURE_H

#include "server/host/host.h"
#include "wire/identity.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define FIXTURE_NODES_MAX 5
#define FIXTURE_LOG_BYTES 262144

struct fixture_node {
    struct host *host;
    struct host_settings settings;
    struct log log;
    pthread_t thread;
    pthread_mutex_t lock;
    char path[128];
    char lines[FIXTURE_LOG_BYTES];
    size_t lines_bytes;
    int code; /* of host_run */
    bool runs;
};

struct fixture {
    char base[64];
    unsigned count;
    struct wire_identity identity;
    struct fixture_node nodes[FIXTURE_NODES_MAX];
};

/* config: more settings, as in a file. Makes directories with identities; starts nothing. */
void fixture_begin(struct fixture *f, unsigned nodes, const char *config);
/* Makes the directory of a node that was never started that of the same node of another cluster. */
void fixture_of_another_cluster(struct fixture *f, unsigned i);
/* i: from 0. returns: what host_open said. */
int fixture_start(struct fixture *f, unsigned i, struct err_info *why);
/* returns: what host_run said. */
int fixture_stop(struct fixture *f, unsigned i);
/* Stops what runs and removes the directories. */
void fixture_end(struct fixture *f);

/* returns: how many log lines hold the text. */
unsigned fixture_lines(struct fixture *f, unsigned i, const char *text);
/* Waits (up to 20 s) until that is at least count. returns: whether it came so. */
bool fixture_await_lines(struct fixture *f, unsigned i, const char *text, unsigned count);

/* A blocking connection to the client (or peer) port; -1 if refused. */
int fixture_connect(const struct fixture *f, unsigned i, bool peer_port);
bool fixture_send(int fd, const void *data, size_t bytes);
/* Reads exactly bytes within 20 s. */
bool fixture_receive(int fd, void *into, size_t bytes);
/* returns: how many bytes came before the other side closed. */
size_t fixture_until_closed(int fd, uint8_t *into, size_t bytes);
/* Reads on until the other side closes, at most 20 s. returns: whether it closed. */
bool fixture_closed(int fd);

void fixture_pause_ms(unsigned ms);

#endif
