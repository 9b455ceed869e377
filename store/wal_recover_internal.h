/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of recovery share. wal_recover.c finds the batches of each segment in order,
 * wal_scan.c reads segments and finds what else is told about a batch, wal_replay.c applies one.
 *
 * threads: the one that opens the log.
 */
#ifndef HOLDFAST_STORE_WAL_RECOVER_INTERNAL_H
#define HOLDFAST_STORE_WAL_RECOVER_INTERNAL_H

#include "store/wal_internal.h"

enum scan_class {
    SCAN_ZERO = 0, /* all zeros */
    SCAN_OLD,      /* of an older epoch */
    SCAN_BATCH,
    SCAN_FOOTER,
    SCAN_BAD, /* none of these: damaged */
};

struct scan_block {
    uint64_t lsn;
    uint32_t records;
    uint16_t block;
    uint16_t blocks;
    uint16_t twice;
    uint8_t kind; /* enum scan_class */
};

/* What became of the batch with a given lsn, if not all of it can be read. */
enum scan_verdict {
    SCAN_DURABLE,   /* a later batch shows that its sync returned */
    SCAN_AMBIGUOUS, /* nothing shows it */
};

struct scan {
    struct store_wal *w;
    struct err_info *why;
    uint64_t *epochs; /* of the segment files, ascending */
    unsigned epochs_count;
    unsigned epochs_cap;
    uint64_t pool_next;

    /* The segment at hand. */
    uint64_t epoch;
    uint8_t *data;
    size_t data_bytes; /* of memory */
    struct scan_block *info;
    uint32_t info_count; /* of memory */
    uint32_t blocks;
    uint32_t blocks_there; /* fewer than blocks: the file was cut short */
    bool holes;            /* part of it could not be read */
    struct buf footer;

    /* The first batch after it, in a later segment. */
    bool peeked;
    bool peek_found;
    uint64_t peek_lsn;
    struct wal_batch_head peek_head;
    struct buf peek_data;
    bool peek_head_found;

    uint64_t next_lsn; /* 0: not known yet */
    uint64_t skip_lsn;
    uint64_t incarnation; /* of the batch at hand */
    struct buf scratch;   /* an item */

    /* The last batch that was found. */
    uint64_t last_epoch;
    uint32_t last_start;
    uint32_t last_blocks;
    bool last_holes;
};

/* One batch to apply. */
struct scan_batch {
    uint64_t lsn;
    uint32_t start; /* block */
    uint32_t blocks;
    uint32_t records;
    uint32_t twice;
    bool known; /* blocks, records and twice are told by its heads */
};

/* wal_scan.c */
/* Reads a segment and sorts its blocks. */
int store_wal_scan_load(struct scan *s, uint64_t epoch, struct disk_file *file, uint64_t bytes);
/* returns: the first block from `from` on that belongs to a batch of at least lsn, or s->blocks. */
uint32_t store_wal_scan_find(const struct scan *s, uint32_t from, uint64_t lsn);
/* returns: of those, the one with the lowest lsn: a misdirected block may stand before it. */
uint32_t store_wal_scan_least(const struct scan *s, uint32_t from, uint64_t lsn);
int store_wal_scan_peek(struct scan *s);
int store_wal_scan_verdict(struct scan *s, uint64_t lsn, enum scan_verdict *verdict);
/* Brings the item of the batch to s->scratch. *runs: how many it has, 0 if it is not *found. */
int store_wal_scan_item(struct scan *s, uint64_t lsn, bool *found, uint32_t *runs);
/* The run at place `at` of the item in s->scratch. */
struct wal_run store_wal_scan_run(const struct scan *s, uint32_t at);
void store_wal_scan_release(struct scan *s);

/* wal_replay.c */
int store_wal_replay_batch(struct scan *s, const struct scan_batch *b);
/* A batch of which only its item is left, if that. */
int store_wal_replay_item(struct scan *s, uint64_t lsn);
/* A batch of which nothing is known was durable. */
void store_wal_replay_unknown(struct scan *s);
/* Settles what recovery could not. */
void store_wal_replay_end(struct scan *s);

#endif
