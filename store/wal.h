/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * WAL: one write-ahead log a node, for all groups. This is where log entries and hard state become
 * durable: store_wal_append writes one batch of records and syncs once.
 *
 *   store_wal_open        recovers: what each group had, and what is faulty or ambiguous
 *   store_wal_group       hard state and bounds of one group
 *   store_wal_entry       metadata of one recovered entry
 *   store_wal_append      a batch, durable on return                    (WAL thread)
 *   store_wal_read        one entry's payload, checked                   (any thread)
 *   store_wal_idle        after a quiet moment: one empty frame that proves the last batch durable
 *   store_wal_maintain    prepares pool segments, copies old live records to the head, recycles
 *
 * Layout is in docs/formats.md. Segments come from a pool of zeroed files, recycled by rename with
 * a new epoch. A batch is one write at the tail, whole 4 KiB blocks; the tail block is never
 * rewritten (each batch starts on a block), so a torn write never touches older records. Header
 * and body checksums are apart, so a rotted payload leaves its (group, index, term) known; headers
 * are repeated in a footer at seal. Every segment starts with every group's hard state and base.
 * A batch that changes hard state holds it twice, in different blocks.
 *
 * Recovery tells three things apart:
 *   torn       nothing after it: the last batch, its sync never returned or cannot be shown to
 *              have: its entries are STORE_WAL_AMBIGUOUS, neither had nor denied
 *   corrupt    later evidence (a later frame's durable lsn) shows it was durable: STORE_WAL_FAULTY
 *   the end    zeros or frames of an older epoch: nothing
 * Nothing is cut on open. The caller cuts by appending over it (same or lower index), or with
 * STORE_WAL_CUT.
 *
 * threads: open and close on one thread; append, idle, maintain on the WAL thread; read, entry,
 *          group and stats from any thread (a lock inside).
 */
#ifndef HOLDFAST_STORE_WAL_H
#define HOLDFAST_STORE_WAL_H

#include "base/bytes.h"
#include "base/log.h"
#include "store/disk.h"

struct store_wal;

struct store_wal_options {
    uint64_t segment_bytes;     /* default 64 MiB; tests use 16 KiB; a multiple of 4 KiB */
    unsigned pool_segments;     /* ready, zeroed files kept; default 2 */
    unsigned live_segments_max; /* beyond it maintain moves records to the head; default 8 */
    uint32_t batch_bytes_max;   /* default 8 MiB, at most half a segment less its head */
    uint8_t cluster[16];
    uint64_t store_id;
    uint64_t incarnation;
    uint32_t groups_max;
    uint64_t entries_max; /* records indexed in memory over all groups */
};

enum store_wal_kind {
    STORE_WAL_ENTRY = 1, /* index, term, type, time_us, body: appended at index; entries of the
                            group from index on that were there before are gone */
    STORE_WAL_HARD = 2,  /* term, vote, commit of the group */
    STORE_WAL_BASE = 3,  /* the group's log starts after (index, term): snapshot or compaction */
    STORE_WAL_CUT = 4,   /* entries of the group from index on are gone */
    STORE_WAL_FILL = 5,  /* like ENTRY, but replaces the payload of the entry at (index, term) and
                            cuts nothing after it: repair of a faulty entry, and moved records */
};

struct store_wal_record {
    enum store_wal_kind kind;
    uint32_t group;
    uint64_t index;
    uint64_t term;
    uint8_t type;      /* raft entry type */
    uint64_t time_us;  /* log time of the entry */
    uint32_t vote;     /* HARD */
    uint64_t commit;   /* HARD */
    struct bytes body; /* ENTRY, FILL: the payload */
};

enum store_wal_state {
    STORE_WAL_OK = 0,
    STORE_WAL_FAULTY,    /* was durable once; header known, payload damaged. Or header unknown:
                            term is 0 and only the index is sure */
    STORE_WAL_AMBIGUOUS, /* in a bad last batch */
};

struct store_wal_entry {
    uint64_t index;
    uint64_t term;
    uint64_t time_us;
    uint32_t bytes;
    uint8_t type;
    enum store_wal_state state;
};

struct store_wal_group {
    uint32_t group;
    uint64_t term;
    uint32_t vote;
    uint64_t commit;
    uint64_t base_index; /* entries start at base_index + 1 */
    uint64_t base_term;
    uint64_t last_index; /* last entry that is known, faulty ones included */
    bool hard_lost;      /* hard state was durable and is lost: never vote again */
    bool tail_ambiguous; /* a bad last batch may have held entries of this group after
                            last_index, or those marked STORE_WAL_AMBIGUOUS */
};

struct store_wal_stats {
    uint64_t batches;
    uint64_t records;
    uint64_t bytes;
    uint64_t syncs;
    uint64_t moved;
    uint64_t faulty;
    uint64_t segments_live;
    uint64_t durable_lsn;
};

/* Opens the log in directory "wal" of the disk, creating it if absent.
 * returns: 0; ERR_WRONG_CLUSTER (segments of another cluster or store), ERR_LEVEL, ERR_CORRUPT
 *          (segment heads that contradict each other), ERR_IO, ERR_NO_MEMORY, with why. */
int store_wal_open(struct store_wal **out, const struct disk *disk,
                   const struct store_wal_options *options, const struct alloc *alloc,
                   const struct log *log, struct err_info *why);
void store_wal_close(struct store_wal *w);

/* returns: how many groups have records; fills at most max ids, ascending. */
unsigned store_wal_groups(struct store_wal *w, uint32_t *groups, unsigned max);
/* returns: 0 or ERR_NOT_FOUND. */
int store_wal_group_get(struct store_wal *w, uint32_t group, struct store_wal_group *out);
/* returns: 0 or ERR_NOT_FOUND (outside base_index + 1 .. last_index). */
int store_wal_entry_get(struct store_wal *w, uint32_t group, uint64_t index,
                        struct store_wal_entry *out);

/* Makes records durable, in order, as one batch with one sync.
 *
 * returns: 0; ERR_DISK_FULL (nothing of it counts; the log goes on when space returns);
 *          ERR_TOO_LARGE; ERR_BUSY (entries_max reached); ERR_IO (latched: every later append
 *          fails too; the process must stop and reread). *lsn is the batch's number, from 1. */
int store_wal_append(struct store_wal *w, const struct store_wal_record *records, unsigned count,
                     uint64_t *lsn);
int store_wal_idle(struct store_wal *w);

/* Appends the payload of the entry to into. returns: 0, ERR_NOT_FOUND, ERR_CORRUPT (the entry is
 * now STORE_WAL_FAULTY), ERR_IO, ERR_NO_MEMORY, ERR_TOO_LARGE. *entry is its metadata. */
int store_wal_read(struct store_wal *w, uint32_t group, uint64_t index, struct buf *into,
                   struct store_wal_entry *entry);

/* Does a bounded part (at most budget_bytes of I/O) of the housekeeping.
 * returns: 0 with *more telling whether some is left, or as store_wal_append. */
int store_wal_maintain(struct store_wal *w, uint64_t budget_bytes, bool *more);

void store_wal_stats_get(struct store_wal *w, struct store_wal_stats *out);

#endif
