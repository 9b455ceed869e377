/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Limits: the bound of every queue, buffer and loop, fixed at start. Plain values, read anywhere;
 * defaults and bounds are in limits.c. Tests make them small.
 *
 *   struct limits limits;
 *   limits_init(&limits);                                  the defaults
 *   struct config_table table = limits_table(&limits);     or from section [limits] of a file
 *   TRY(limits_check(&limits, &why));                      bounds and what must fit together
 *
 * threads: values; written before start only.
 */
#ifndef HOLDFAST_BASE_LIMITS_H
#define HOLDFAST_BASE_LIMITS_H

#include "base/config.h"
#include "base/err.h"

#include <stdint.h>

/* Every field has the name of its setting. _bytes are bytes, _us microseconds, others counts. */
struct limits {
    /* connections */
    uint64_t client_connections;  /* open at once */
    uint64_t peer_connections;    /* open at once */
    uint64_t request_bytes;       /* one message of a client */
    uint64_t request_items;       /* values inside one message */
    uint64_t output_bytes;        /* unsent replies of one client connection */
    uint64_t connection_requests; /* unanswered on one connection */
    uint64_t requests;            /* unanswered on the node */
    uint64_t idle_us;             /* a connection without a whole message is closed after this */
    uint64_t peer_body_bytes;     /* body of one frame between nodes */
    uint64_t peer_output_bytes;   /* unsent frames to one node */

    /* strong data */
    uint64_t groups;              /* of this node */
    uint64_t sessions;            /* of one group */
    uint64_t once_bytes;          /* of writes that are remembered by token */
    uint64_t watches;             /* of the node */
    uint64_t connection_watches;  /* of one connection */
    uint64_t watch_bytes;         /* changes of one group, kept for watches */
    uint64_t scan_items;          /* of one reply */
    uint64_t scan_bytes;          /* of one reply */
    uint64_t proposal_bytes;      /* of one entry */
    uint64_t uncommitted_bytes;   /* proposed and not committed, of one group */
    uint64_t uncommitted_entries; /* proposed and not committed, of one group */
    uint64_t append_bytes;        /* entries in one message to a follower */
    uint64_t append_entries;      /* entries in one message to a follower */
    uint64_t append_inflight;     /* unanswered messages to one follower */
    uint64_t log_entries;         /* of one group in memory */
    uint64_t log_bytes;           /* of one group in memory */
    uint64_t reads;               /* waiting for a read index, of one group */
    uint64_t snapshot_bytes;      /* one piece of a snapshot on its way */
    uint64_t apply_entries;       /* in one apply batch */

    /* store */
    uint64_t wal_segment_bytes;
    uint64_t wal_pool_segments; /* pre-written and unused */
    uint64_t wal_held_segments; /* kept back by live records before these are moved */
    uint64_t wal_batch_bytes;   /* in one sync */
    uint64_t memtable_bytes;    /* applied and not yet flushed */
    uint64_t map_bytes;         /* address space of the state file */
    uint64_t shard_segment_bytes;
    uint64_t disk_reserve_bytes; /* free space below which new writes are refused */

    /* objects */
    uint64_t uploads;             /* open at once on the node */
    uint64_t upload_bytes;        /* unsent bytes of one upload in memory */
    uint64_t upload_idle_us;      /* an upload without a part is cancelled after this */
    uint64_t part_bytes;          /* of one part of an upload */
    uint64_t extent_bytes;        /* user bytes of one extent */
    uint64_t object_reads;        /* in work at once on the node */
    uint64_t list_items;          /* of one reply */
    uint64_t repairs;             /* extents in repair at once */
    uint64_t repair_bytes_second; /* repair traffic of the node */

    /* workers */
    uint64_t workers;         /* threads of the pool */
    uint64_t readers;         /* threads that read the state file */
    uint64_t jobs_foreground; /* waiting in the lane */
    uint64_t jobs_repair;     /* waiting in the lane */
    uint64_t jobs_compute;    /* waiting in the lane */
};

/* Sets the defaults. */
void limits_init(struct limits *l);

/* returns: the settings of section [limits], bound to l. */
struct config_table limits_table(struct limits *l);

/* returns: 0, or ERR_BAD_CONFIG with a sentence in why that names the two settings. */
int limits_check(const struct limits *l, struct err_info *why);

#endif
