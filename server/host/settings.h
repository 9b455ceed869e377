/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Settings of the daemon, from a configuration file and its command line. What a node *is*
 * (cluster, id, incarnation) is never a setting: it lives in its data directory.
 *
 *   TRY(host_settings_init(&s, &heap));
 *   TRY(host_settings_read(&s, "node.conf", &why));       or no file: the defaults
 *   TRY(host_settings_set(&s, "node", "data_dir", text, &why));
 *   TRY(host_settings_check(&s, &why));
 *   ...
 *   host_settings_release(&s);                            ends every text in s
 *
 * threads: one owner.
 */
#ifndef HOLDFAST_SERVER_HOST_SETTINGS_H
#define HOLDFAST_SERVER_HOST_SETTINGS_H

#include "base/config.h"
#include "base/limits.h"
#include "base/log.h"

struct host_settings {
    struct config config;
    struct limits limits;

    /* [node] */
    const char *data_dir;
    const char *client_listen; /* address:port; empty: as in the identity */
    const char *peer_listen;
    const char *log_level;

    /* [connections] */
    uint64_t per_address; /* client connections of one address */
    uint64_t input_bytes; /* of half-received messages of all connections */
    uint64_t progress_us; /* a message must be complete by then, plus 1 s for each 16 KiB of it */
    uint64_t stall_us;    /* a client that reads nothing for so long is closed */
    uint64_t greeting_us; /* a peer must have greeted by then */
    uint64_t silence_us;  /* a peer that sends nothing for so long is gone */
    const char *peer_congestion; /* auto, system, or an algorithm of the kernel's for TCP */

    /* [raft] */
    uint64_t heartbeat_us;
    uint64_t election_us;
    uint64_t time_scale; /* stretches heartbeat, election and silence */
    uint64_t log_keep_entries;

    /* [state] */
    uint64_t flush_interval_us;
    uint64_t session_ttl_us;

    /* [objects] */
    uint64_t intent_ttl_us;
    uint64_t free_delay_us;
    uint64_t put_deadline_us;

    /* [repair] */
    uint64_t audit_interval_us;
    uint64_t scrub_bytes_second;
    uint64_t repair_delay_us; /* a node dead for so long is declared out */

    /* [member] */
    uint64_t disk_slow_us; /* log syncs slower than this make the node unwell */

    /* [gpu] */
    const char *gpu_use;    /* auto, always or off */
    const char *gpu_plugin; /* its path; empty: where it is installed */
};

/* s: stays where it is until release. returns: 0 or ERR_NO_MEMORY. */
int host_settings_init(struct host_settings *s, const struct alloc *alloc);
void host_settings_release(struct host_settings *s);

/* returns: 0, ERR_BAD_CONFIG with the line, ERR_NOT_FOUND or ERR_IO, with why. */
int host_settings_read(struct host_settings *s, const char *path, struct err_info *why);
/* One setting from a command line. returns: 0 or ERR_BAD_CONFIG with why. */
int host_settings_set(struct host_settings *s, const char *section, const char *name,
                      const char *value, struct err_info *why);
/* Bounds that span settings, and forms of addresses. returns: 0 or ERR_BAD_CONFIG with why. */
int host_settings_check(const struct host_settings *s, struct err_info *why);
/* Appends what is in force, with help lines. returns: 0 or the error of out. */
int host_settings_print(const struct host_settings *s, struct buf *out);

enum log_level host_settings_log_level(const struct host_settings *s);

/* An address:port as settings write it ("[::1]:7701", "127.0.0.1:7701", "localhost:7701").
 * host: of host_bytes, NUL-terminated on success. returns: 0 or ERR_BAD_CONFIG. */
int host_settings_endpoint(const char *text, char *host, size_t host_bytes, uint16_t *port);

#endif
