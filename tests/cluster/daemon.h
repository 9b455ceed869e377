/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Real daemons for tests: directories with identities, processes, and a plain MessagePack-RPC
 * client. Everything lies below one temporary directory; every process is ended by its id.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_CLUSTER_DAEMON_H
#define HOLDFAST_TESTS_CLUSTER_DAEMON_H

#include "wire/identity.h"
#include "wire/rpc.h"

#include <stdbool.h>
#include <sys/types.h>

#define DAEMON_NODES_MAX 5

struct daemon_node {
    pid_t pid; /* 0: not running */
    char dir[128];
    char config[128];
    char log[128];
};

struct daemons {
    char base[64];
    unsigned count;
    struct wire_identity identity;
    struct daemon_node nodes[DAEMON_NODES_MAX];
};

/* Makes directories, identities and configuration files; starts nothing. */
void daemons_begin(struct daemons *d, unsigned nodes, const char *config);
/* Kills what runs and removes everything. */
void daemons_end(struct daemons *d);

/* Starts node i (from 0) and waits until its log says that it is ready. */
void daemon_start(struct daemons *d, unsigned i);
/* As users start it first: no argument, in an empty directory. d: begun with no nodes. */
void daemon_start_alone(struct daemons *d, uint16_t client_port);
void daemon_kill(struct daemons *d, unsigned i);
/* SIGTERM. returns: its exit code. */
int daemon_stop(struct daemons *d, unsigned i);
uint16_t daemon_port(const struct daemons *d, unsigned i);
/* returns: lines of its log that hold the text. */
unsigned daemon_lines(const struct daemons *d, unsigned i, const char *text);
bool daemon_await_lines(const struct daemons *d, unsigned i, const char *text, unsigned count);
/* returns: resident memory of the process, in KiB. */
uint64_t daemon_rss_kib(const struct daemons *d, unsigned i);

/* Runs the daemon in the directory cwd with up to 4 arguments (NULL: none) until it ends, at most
 * 20 s. output: of stdout and stderr together. returns: its exit code, or -1 if it did not end. */
int daemon_run(const char *cwd, const char *const args[4], char *output, size_t output_bytes);

/* ---- sockets -------------------------------------------------------------------------------- */

int daemon_connect(uint16_t port); /* -1: refused */
bool daemon_send(int fd, const void *data, size_t bytes);
/* Reads until the other side closes, at most 20 s. returns: whether it did. */
bool daemon_closed(int fd);
void daemon_pause_ms(unsigned ms);

/* ---- client --------------------------------------------------------------------------------- */

struct daemon_client {
    int fd;
    uint32_t msgid;
    struct wire_decoder *decoder;
    struct buf out;
    struct buf in;
};

void daemon_client_open(struct daemon_client *c, uint16_t port);
void daemon_client_close(struct daemon_client *c);
/* Sends what was packed into c->out and waits for the answer to it.
 * returns: 0 and *answer (valid until the next call), ERR_CONNECTION, or the code of the error. */
int daemon_call(struct daemon_client *c, struct wire_node *answer);

/* Each tries nodes and waits while the group has no leader, at most 30 s.
 * returns: the last code. */
int daemon_put(const struct daemons *d, const char *key, const char *value);
/* value: "" if absent. */
int daemon_get(const struct daemons *d, const char *key, char *value, size_t value_bytes);
/* returns: index of the node that leads group, as a node says; waits for it. */
unsigned daemon_leader(const struct daemons *d, uint32_t group);

#endif
