/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Segments: where the bytes of objects lie. Append-only, self-describing, preallocated files in
 * directory "seg"; a record is one cell of one shard. The index of cells is in a kv table, under
 * STORE_SEG_KEY_PREFIX; the transaction that indexes a segment stores the offset up to which it is
 * indexed, and open reads on from there, so a lost index is rebuilt from the files (cells deleted
 * before may then be there again).
 *
 * The kv table is the segments' own (the program opens a second environment for it): a table has
 * one writer at a time, and the flush of the state is another. It needs a reader for each thread
 * that calls get or list, and two for the writing thread.
 *
 *   store_segments_put      writes cells after one another, not yet durable    (segment thread)
 *   store_segments_sync     one sync for all of them, then the index's commit: now durable
 *   store_segments_get      reads a cell, or a part, checks its CRCs            (any thread)
 *   store_segments_delete   forgets the cells of a shard, or some of them
 *   store_segments_maintain compacts the emptiest sealed segment, drops empty ones
 *
 * Every record's header names cluster, store, extent, shard, cell and length, under its own
 * CRC32C, and carries the CRC32C of each 16 KiB block, seeded with extent, shard, cell and block
 * number, so that a misdirected write is found; for data cells it carries the Merkle leaf hashes.
 *
 * threads: put, sync, delete, maintain on one thread; get, list, stats from any (a lock inside).
 */
#ifndef HOLDFAST_STORE_SEGMENTS_H
#define HOLDFAST_STORE_SEGMENTS_H

#include "base/bytes.h"
#include "base/log.h"
#include "store/disk.h"
#include "store/kv.h"

#define STORE_SEG_BLOCK_BYTES 16384u
#define STORE_SEG_CELL_BYTES_MAX (1u << 20)
#define STORE_SEG_LEAVES_MAX (STORE_SEG_CELL_BYTES_MAX / STORE_SEG_BLOCK_BYTES)
#define STORE_SEG_KEY_PREFIX 0xf0u /* first byte of its keys in the kv table */

struct store_segments;

struct store_segments_options {
    uint64_t segment_bytes; /* default 256 MiB, a multiple of 4 KiB, at least 4 MiB (tests: from
                               64 KiB with small cells) */
    uint64_t reserve_bytes; /* free space that put leaves on the disk: ERR_DISK_FULL below it */
    unsigned segments_max;
    uint8_t cluster[16];
    uint64_t store_id;
};

/* A cell's name. Extents are never reused, so versions cannot mix. */
struct store_cell_id {
    uint64_t extent_grant;   /* granted by group 0 to one boot of one coordinator */
    uint64_t extent_counter; /* counted by that coordinator */
    uint32_t cell;           /* stripe number within the extent */
    uint8_t shard;           /* 0 .. k+m-1 */
};

struct store_cell {
    struct store_cell_id id;
    uint32_t group;        /* the group that holds the manifest */
    uint32_t bytes;        /* 1 .. STORE_SEG_CELL_BYTES_MAX */
    uint32_t leaves_count; /* data cells: one a 16 KiB block; parity: 0 */
    const uint8_t *leaves; /* leaves_count x 32 bytes */
    const uint8_t *data;
};

/* Opens the segments, reading on from where the index ends. returns: 0 or an error with why. */
int store_segments_open(struct store_segments **out, const struct disk *disk,
                        const struct store_kv *kv, const struct store_segments_options *options,
                        const struct alloc *alloc, const struct log *log, struct err_info *why);
void store_segments_close(struct store_segments *s);

/* Appends one cell. Writing a cell that is there already replaces it.
 * returns: 0 (readable after the next sync); ERR_DISK_FULL; ERR_BUSY (segments_max, or too much
 * since the last sync); ERR_TOO_LARGE (for a segment); ERR_INVALID (no such size or shard);
 * ERR_IO: latched, as for sync. */
int store_segments_put(struct store_segments *s, const struct store_cell *cell);
/* Makes all puts and deletes since the last sync durable.
 * returns: 0; ERR_DISK_FULL or ERR_BUSY: none of them counts, and the store goes on; ERR_IO:
 * latched, none of them counts and the store must be reopened. After a power loss or a failed sync
 * some of them may be there all the same, whole. */
int store_segments_sync(struct store_segments *s);

struct store_cell_info {
    uint32_t group;
    uint32_t bytes;
    uint32_t leaves_count;
    uint32_t crc; /* of all its bytes, by those of its blocks; 0 if not all were asked for */
    uint8_t leaves[STORE_SEG_LEAVES_MAX * 32];
};

/* Reads bytes [offset, offset + bytes) of a cell into `into`, after checking the CRC of every
 * block touched. bytes may be 0: info only. info: may be NULL.
 * returns: 0, ERR_NOT_FOUND, ERR_RANGE, ERR_CORRUPT, ERR_IO. */
int store_segments_get(struct store_segments *s, const struct store_cell_id *id, uint32_t offset,
                       uint32_t bytes, uint8_t *into, struct store_cell_info *info);

/* Forgets all cells of shard `shard` of an extent (shard 255: of all its shards). Durable after the
 * next sync. *deleted is how many cells. */
int store_segments_delete(struct store_segments *s, uint64_t extent_grant, uint64_t extent_counter,
                          uint8_t shard, uint64_t *deleted);
/* The same for some cells of a shard: from first to last, both included. */
struct store_cell_range {
    uint64_t extent_grant;
    uint64_t extent_counter;
    uint32_t first;
    uint32_t last;
    uint8_t shard;
};
int store_segments_delete_range(struct store_segments *s, const struct store_cell_range *range,
                                uint64_t *deleted);

/* One shard on this disk, with the number of its cells that are here. */
struct store_shard_info {
    uint64_t extent_grant;
    uint64_t extent_counter;
    uint32_t group;
    uint32_t cells;
    uint8_t shard;
};

/* Lists shards in order of (grant, counter, shard), strictly after `after` (NULL: from the first).
 * returns: 0; *count of at most max are filled; 0 means the end. */
int store_segments_list(struct store_segments *s, const struct store_shard_info *after,
                        struct store_shard_info *out, unsigned max, unsigned *count);

/* At most about budget_bytes of copying. Syncs, so it makes durable what was put before it.
 * returns: 0 with *more, or an error as of sync. */
int store_segments_maintain(struct store_segments *s, uint64_t budget_bytes, bool *more);

struct store_segments_stats {
    uint64_t segments;
    uint64_t cells;
    uint64_t live_bytes;
    uint64_t file_bytes;
    uint64_t corrupt_reads;
};
void store_segments_stats_get(struct store_segments *s, struct store_segments_stats *out);

#endif
