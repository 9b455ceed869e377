/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Defaults and bounds of every limit, and what must fit together. A new limit is a field in
 * limits.h and a row here; the assertion below counts both.
 */
#include "base/limits.h"

#include <stddef.h>

#define KIB ((uint64_t)1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define SECOND ((uint64_t)1000000)

/* A page of replicated records, of 1 MiB, must fit an entry together with what ends the pages, or a
 * replica that fell behind could never catch up (server/node/eventual_sync.c). */
#define PROPOSAL_BYTES_MIN (1280 * KIB)

#define ROW(field, type, fallback, min, max, help)                                             \
    {                                                                                          \
        "limits", #field, type, offsetof(struct limits, field), fallback, min, max, NULL, help \
    }
#define COUNT(field, fallback, min, max, help) ROW(field, CONFIG_U64, fallback, min, max, help)
#define BYTES(field, fallback, min, max, help) ROW(field, CONFIG_BYTES, fallback, min, max, help)
#define TIME(field, fallback, min, max, help) ROW(field, CONFIG_DURATION, fallback, min, max, help)

static const struct config_setting limits_settings[] = {
    COUNT(client_connections, 1024, 1, 65536, "client connections open at once"),
    COUNT(peer_connections, 256, 1, 4096, "connections between nodes open at once"),
    BYTES(request_bytes, 2 * MIB, 4 * KIB, 64 * MIB, "one message of a client"),
    COUNT(request_items, 16384, 64, 1048576, "values inside one message"),
    BYTES(output_bytes, 8 * MIB, 64 * KIB, GIB, "unsent replies of one client connection"),
    COUNT(connection_requests, 1024, 1, 65536, "unanswered requests of one connection"),
    COUNT(requests, 16384, 1, 1048576, "unanswered requests of the node"),
    TIME(idle_us, 300 * SECOND, SECOND, 86400 * SECOND,
         "a connection that completes no message for so long is closed"),
    BYTES(peer_body_bytes, 8 * MIB + 64 * KIB, 64 * KIB, 256 * MIB, "one frame between nodes"),
    BYTES(peer_output_bytes, 32 * MIB, 256 * KIB, GIB, "unsent frames to one node"),

    COUNT(groups, 64, 2, 4096, "groups of the node"),
    COUNT(sessions, 65536, 1, 1048576, "sessions of one group"),
    BYTES(once_bytes, 64 * MIB, 4 * KIB, 16 * GIB, "writes that are remembered by token"),
    COUNT(watches, 4096, 0, 1048576, "watches of the node"),
    COUNT(connection_watches, 256, 0, 65536, "watches of one connection"),
    BYTES(watch_bytes, 4 * MIB, 4 * KIB, GIB, "changes of one group kept for watches"),
    COUNT(scan_items, 1000, 1, 65536, "items of one scan reply"),
    BYTES(scan_bytes, MIB, 4 * KIB, 64 * MIB, "bytes of one scan reply"),
    BYTES(proposal_bytes, 2 * MIB, PROPOSAL_BYTES_MIN, 64 * MIB, "one entry of a log"),
    BYTES(uncommitted_bytes, 32 * MIB, 64 * KIB, GIB, "proposed and not committed, per group"),
    COUNT(uncommitted_entries, 16384, 1, 1048576, "proposed and not committed, per group"),
    BYTES(append_bytes, MIB, 4 * KIB, 64 * MIB, "entries in one message to a follower"),
    COUNT(append_entries, 1024, 1, 65536, "entries in one message to a follower"),
    COUNT(append_inflight, 32, 1, 1024, "unanswered messages to one follower"),
    COUNT(log_entries, 65536, 16, 16777216, "entries of one group in memory"),
    BYTES(log_bytes, 64 * MIB, 64 * KIB, 16 * GIB, "entries of one group in memory"),
    COUNT(reads, 16384, 1, 1048576, "reads of one group that wait for their index"),
    BYTES(snapshot_bytes, MIB, 4 * KIB, 64 * MIB, "one piece of a snapshot on its way"),
    COUNT(apply_entries, 1024, 1, 65536, "entries in one apply batch"),

    BYTES(wal_segment_bytes, 64 * MIB, 16 * KIB, 4 * GIB, "one segment of the write-ahead log"),
    COUNT(wal_pool_segments, 3, 1, 64, "pre-written segments"),
    COUNT(wal_held_segments, 8, 1, 1024, "segments held back before live records are moved"),
    BYTES(wal_batch_bytes, 8 * MIB, 4 * KIB, 256 * MIB, "one batch of the write-ahead log"),
    BYTES(memtable_bytes, 64 * MIB, 64 * KIB, 16 * GIB, "applied and not yet flushed"),
    BYTES(map_bytes, 64 * GIB, 16 * MIB, 16384 * GIB, "address space of the state file"),
    BYTES(shard_segment_bytes, 256 * MIB, 64 * KIB, 16 * GIB, "one segment of shards"),
    BYTES(disk_reserve_bytes, 256 * MIB, 0, 1024 * GIB,
          "free space below which writes are refused"),

    COUNT(uploads, 64, 1, 4096, "uploads open at once"),
    BYTES(upload_bytes, 32 * MIB, 64 * KIB, GIB, "bytes of one upload in memory"),
    TIME(upload_idle_us, 300 * SECOND, SECOND, 86400 * SECOND,
         "an upload that gets no part for so long is cancelled"),
    BYTES(part_bytes, MIB, 4 * KIB, 16 * MIB, "one part of an upload"),
    BYTES(extent_bytes, 128 * MIB, 64 * KIB, 128 * MIB, "user bytes of one extent"),
    COUNT(object_reads, 256, 1, 65536, "object reads in work at once"),
    COUNT(list_items, 1000, 1, 65536, "items of one list reply"),
    COUNT(repairs, 4, 1, 256, "extents in repair at once"),
    BYTES(repair_bytes_second, 128 * MIB, 64 * KIB, 64 * GIB, "repair traffic in a second"),

    COUNT(workers, 4, 1, 256, "worker threads"),
    COUNT(readers, 2, 1, 64, "threads that read the state file"),
    COUNT(jobs_foreground, 1024, 1, 65536, "jobs that wait in the foreground lane"),
    COUNT(jobs_repair, 64, 1, 65536, "jobs that wait in the repair lane"),
    COUNT(jobs_compute, 64, 1, 65536, "jobs that wait in the compute lane"),
};

#define LIMITS_COUNT (sizeof(limits_settings) / sizeof(limits_settings[0]))
_Static_assert(LIMITS_COUNT * sizeof(uint64_t) == sizeof(struct limits),
               "every limit has one row in limits_settings");

static uint64_t *limits_field(struct limits *l, const struct config_setting *setting)
{
    return (uint64_t *)(void *)((unsigned char *)l + setting->offset);
}

void limits_init(struct limits *l)
{
    for (size_t i = 0; i < LIMITS_COUNT; i++) {
        *limits_field(l, &limits_settings[i]) = limits_settings[i].fallback;
    }
}

struct config_table limits_table(struct limits *l)
{
    return (struct config_table){
        .settings = limits_settings, .count = (unsigned)LIMITS_COUNT, .into = l};
}

static int limits_check_bounds(const struct limits *l, struct err_info *why)
{
    struct limits copy = *l;
    for (size_t i = 0; i < LIMITS_COUNT; i++) {
        const struct config_setting *setting = &limits_settings[i];
        uint64_t v = *limits_field(&copy, setting);
        if (v < setting->min || v > setting->max) {
            return err_set(why, ERR_BAD_CONFIG, "limit '%s' is %llu, outside %llu to %llu",
                           setting->name, (unsigned long long)v, (unsigned long long)setting->min,
                           (unsigned long long)setting->max);
        }
    }
    return 0;
}

/* A message of each kind must fit into the buffer that carries it, or it could never be sent. */
int limits_check(const struct limits *l, struct err_info *why)
{
    const uint64_t slack = 4 * KIB; /* heads and names around a payload */
    const uint64_t row = MIB;       /* a piece of a snapshot ends behind the row that fills it */
    const struct {
        const char *small;
        uint64_t small_value;
        const char *large;
        uint64_t large_value;
    } fits[] = {
        {"scan_bytes", l->scan_bytes, "output_bytes", l->output_bytes},
        {"part_bytes", l->part_bytes + slack, "request_bytes", l->request_bytes},
        {"part_bytes", l->part_bytes + slack, "output_bytes", l->output_bytes},
        {"part_bytes", l->part_bytes, "upload_bytes", l->upload_bytes},
        {"connection_requests", l->connection_requests, "requests", l->requests},
        {"connection_watches", l->connection_watches, "watches", l->watches},
        {"proposal_bytes", l->proposal_bytes + slack, "peer_body_bytes", l->peer_body_bytes},
        {"append_bytes", l->append_bytes + slack, "peer_body_bytes", l->peer_body_bytes},
        {"snapshot_bytes", l->snapshot_bytes + row + slack, "peer_body_bytes", l->peer_body_bytes},
        {"peer_body_bytes", l->peer_body_bytes, "peer_output_bytes", l->peer_output_bytes},
        {"proposal_bytes", l->proposal_bytes, "uncommitted_bytes", l->uncommitted_bytes},
        {"uncommitted_bytes", l->uncommitted_bytes, "log_bytes", l->log_bytes},
        {"uncommitted_entries", l->uncommitted_entries, "log_entries", l->log_entries},
        {"memtable_bytes", l->memtable_bytes, "map_bytes", l->map_bytes},
    };
    TRY(limits_check_bounds(l, why));
    for (size_t i = 0; i < sizeof(fits) / sizeof(fits[0]); i++) {
        if (fits[i].small_value > fits[i].large_value) {
            return err_set(why, ERR_BAD_CONFIG,
                           "limit '%s' needs %llu, more than limit '%s', which is %llu",
                           fits[i].small, (unsigned long long)fits[i].small_value, fits[i].large,
                           (unsigned long long)fits[i].large_value);
        }
    }
    return 0;
}
