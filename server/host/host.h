/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * host: runs one pure node as a program: files, sockets, threads, clocks and randomness. Several
 * hosts may live in one process.
 *
 *   TRY(host_open(&h, &options, &why));     directory, stores, recovery, listeners
 *   code = host_run(h);                     serves until host_stop, a signal or a fatal error
 *   host_close(h);
 *
 * threads: open, run and close on one thread; host_stop and host_stats_get from any.
 */
#ifndef HOLDFAST_SERVER_HOST_HOST_H
#define HOLDFAST_SERVER_HOST_HOST_H

#include "base/err.h"
#include "base/log.h"
#include "server/host/settings.h"

struct host;

struct host_options {
    const struct host_settings *settings; /* outlives the host */
    const struct log *log;                /* outlives the host; its sink may be called by threads */
    bool found_alone; /* a missing or empty data directory becomes a cluster of one */
    bool signals;     /* SIGTERM and SIGINT stop it */
};

/* returns: 0 or an error with why, and nothing is left open. */
int host_open(struct host **out, const struct host_options *options, struct err_info *why);

/* returns: 0 after a stop that was asked for, else why the node had to end (logged). */
int host_run(struct host *h);

/* Asks host_run to return; any number of times. */
void host_stop(struct host *h);

/* No thread is in host_run. h may be NULL. */
void host_close(struct host *h);

struct host_stats {
    uint64_t clients;          /* connected now */
    uint64_t clients_accepted; /* ever */
    uint64_t clients_refused;  /* over a limit of connections */
    uint64_t clients_closed;   /* closed for their fault: bad bytes, too slow, too much */
    uint64_t requests;         /* whole messages of clients */
    uint64_t peers_up;
    uint64_t peers_closed; /* connections of peers that ended */
    uint64_t frames_in;
    uint64_t frames_out;
    uint64_t frames_dropped; /* for a peer that was not connected, or queue full */
    uint64_t gossip_in;      /* datagrams */
    uint64_t gossip_out;
    uint64_t wal_batches;
    uint64_t jobs;
    uint64_t input_bytes; /* of half-received messages */
};
void host_stats_get(struct host *h, struct host_stats *out);

/* returns: the id of the node. */
uint32_t host_node_id(const struct host *h);

/* Fills into with random bytes of the operating system. returns: 0 or ERR_IO. */
int host_random(void *into, size_t bytes);

/* A sink for stderr: time, level, line. */
void host_log_stderr(void *ctx, enum log_level level, const char *line);

#endif
