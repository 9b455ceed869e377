/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of the write-ahead log: encoding and decoding, no I/O. Private to the WAL's files.
 * Integers are little-endian, checksums CRC32C.
 *
 * Files in directory "wal":
 *   seg-EEEEEEEEEEEEEEEE   a segment; E is its epoch, 16 hexadecimal digits, counted from 1
 *   pool-NNNNNNNNNNNNNNNN  fully written files, zeroed or used before, waiting to become a segment
 *   new-NNNNNNNNNNNNNNNN   a pool file in preparation; removed on open
 *
 * A segment is a row of 4,096-byte blocks. A batch is one or more whole blocks, batches follow each
 * other, and after the last one come zeros or blocks of older epochs. A sealed segment ends with
 * footer blocks. Every block starts with a block head, so that a block is recognised alone:
 *
 *   off width  block head (32 bytes)
 *     0   4    checksum of bytes 4..31
 *     4   2    magic: 0x4257 batch, 0x4657 footer
 *     6   2    number of this block within its batch or footer, from 0
 *     8   8    epoch of the segment
 *    16   8    lsn of the batch; footer: of the last batch in the segment
 *    24   4    batch: records in it; footer: bytes of content
 *    28   2    blocks of the batch or footer
 *    30   2    batch: records held twice
 *
 * The other 4,064 bytes of the blocks of a batch, put together, are its stream:
 *
 *     0 128    batch head
 *   128 64 n   n record heads; the h records that are held twice come first
 *    .. ..     item: which records the batch before this one held
 *    .. ..     bodies, in the order of their records
 *    .. ..     zeros
 *  end-64h     second copies of the first h record heads, up to the end of the last block, in
 *              other blocks than the first copies
 *
 *   off width  batch head (128 bytes)
 *     0   4    checksum of bytes 4..127
 *     4   4    magic 0x57464c48
 *     8   2    format level, 1
 *    10   2    bit 0: first batch of its segment (STATE records of all groups come first)
 *    12   4    records
 *    16   4    records held twice
 *    20   4    blocks
 *    24   8    lsn: number of the batch, from 1, one by one over all segments
 *    32   8    durable lsn: every batch up to it is durable, but skip lsn
 *    40   8    epoch
 *    48   8    first epoch: segments before it are no longer needed
 *    56  16    cluster
 *    72   8    store
 *    80   8    incarnation
 *    88   8    skip lsn: recovery found this batch bad and last, its sync may never have returned
 *    96   8    bytes of the segment
 *   104   4    most bytes of a batch
 *   108   4    bytes of the item
 *   112  16    zeros
 *
 *   off width  record head (64 bytes)
 *     0   4    checksum of bytes 4..63, begun with that of (cluster, store, epoch, lsn)
 *     4   1    kind: 1 ENTRY, 2 HARD, 3 BASE, 4 CUT, 5 FILL, 6 MARK, 7 STATE
 *     5   1    type of the entry
 *     6   1    flags (HARD 1: only commit changes, held once; FILL 1: moved; MARK: state of the
 *              entry, 1 faulty, 2 ambiguous; STATE 1: hard state lost, 2: tail ambiguous)
 *     7   1    zero
 *     8   4    group
 *    12   4    chain: checksum field of the group's record before this one, 0 at its first
 *    16   8    index. HARD: commit. STATE: base index
 *    24   8    term
 *    32   8    time in microseconds. STATE: commit
 *    40   4    bytes of the body. STATE: 40..47 base term
 *    44   4    checksum of the body
 *    48   4    place of the body in the stream
 *    52   4    vote (HARD, STATE)
 *    56   8    STATE: last index
 *
 * An item tells what a batch held, in the order of its records; contiguous entries are one run. It
 * stands in the next batch and, one after the other, in the footer:
 *
 *   off width  item head (16 bytes), then n runs of 32
 *     0   4    checksum of all bytes after it
 *     4   4    n
 *     8   8    lsn of the batch
 *   run:
 *     0   1    kind
 *     1   1    type
 *     2   2    flags
 *     4   4    group
 *     8   8    index of the first record; HARD: commit; STATE: base index
 *    16   8    term; STATE: base term
 *    24   4    records in the run
 *    28   4    zero
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_STORE_WAL_FORMAT_H
#define HOLDFAST_STORE_WAL_FORMAT_H

#include "base/bytes.h"
#include "store/wal.h"

#define WAL_LEVEL 1u
#define WAL_BLOCK_BYTES 4096u
#define WAL_BLOCK_HEAD_BYTES 32u
#define WAL_BLOCK_ROOM (WAL_BLOCK_BYTES - WAL_BLOCK_HEAD_BYTES)
#define WAL_BATCH_HEAD_BYTES 128u
#define WAL_RECORD_HEAD_BYTES 64u
#define WAL_ITEM_HEAD_BYTES 16u
#define WAL_RUN_BYTES 32u
#define WAL_BLOCKS_MAX 65535u
#define WAL_MAGIC_BATCH 0x4257u
#define WAL_MAGIC_FOOTER 0x4657u
#define WAL_MAGIC_HEAD 0x57464c48u

/* Kinds that only the WAL itself writes. */
#define WAL_KIND_MARK 6u
#define WAL_KIND_STATE 7u

#define WAL_FLAG_HARD_ONCE 1u
#define WAL_FLAG_FILL_MOVED 1u
#define WAL_FLAG_STATE_LOST 1u
#define WAL_FLAG_STATE_TAIL 2u

struct wal_block_head {
    uint64_t epoch;
    uint64_t lsn;
    uint32_t records; /* footer: bytes */
    uint16_t magic;
    uint16_t block;
    uint16_t blocks;
    uint16_t twice;
};

struct wal_batch_head {
    uint64_t lsn;
    uint64_t durable_lsn;
    uint64_t epoch;
    uint64_t first_epoch;
    uint64_t skip_lsn;
    uint64_t store_id;
    uint64_t incarnation;
    uint64_t segment_bytes;
    uint32_t batch_bytes_max;
    uint32_t records;
    uint32_t twice;
    uint32_t blocks;
    uint32_t item_bytes;
    uint16_t level;
    uint16_t flags;
    uint8_t cluster[16];
};

struct wal_record_head {
    uint32_t crc; /* as stored: the link of the chain */
    uint8_t kind;
    uint8_t type;
    uint8_t flags;
    uint32_t group;
    uint32_t chain;
    uint64_t index;
    uint64_t term;
    uint64_t time_us;
    uint32_t body_bytes;
    uint32_t body_crc;
    uint32_t body_at;
    uint32_t vote;
    uint64_t last;
};

struct wal_run {
    uint8_t kind;
    uint8_t type;
    uint16_t flags;
    uint32_t group;
    uint64_t first;
    uint64_t term;
    uint32_t count;
};

/* A batch in memory: its blocks one after the other. */
struct wal_view {
    const uint8_t *data;
    uint32_t blocks;
};

void store_wal_put_block_head(uint8_t *at, const struct wal_block_head *h);
/* returns: whether the checksum and the magic are right. */
bool store_wal_take_block_head(const uint8_t *at, struct wal_block_head *h);
void store_wal_put_batch_head(uint8_t *at, const struct wal_batch_head *h);
bool store_wal_take_batch_head(const uint8_t *at, struct wal_batch_head *h);
/* seed: store_wal_seed of the batch. Sets h->crc. */
void store_wal_put_record_head(uint8_t *at, struct wal_record_head *h, uint32_t seed);
bool store_wal_take_record_head(const uint8_t *at, struct wal_record_head *h, uint32_t seed);

/* identity: crc_of cluster and store. */
uint32_t store_wal_seed(uint32_t identity, uint64_t epoch, uint64_t lsn);

void store_wal_put_run(uint8_t *at, const struct wal_run *r);
void store_wal_take_run(const uint8_t *at, struct wal_run *r);
/* The run of one record. */
struct wal_run store_wal_run_of(const struct wal_record_head *h);
/* returns: whether next, the run of one record, was added to r. */
bool store_wal_run_join(struct wal_run *r, const struct wal_run *next);
/* Fills the head of an item whose runs are in place. item_bytes: head and runs. */
void store_wal_seal_item(uint8_t *item, uint32_t item_bytes, uint64_t lsn);
/* returns: bytes of the item at the start of data if it is whole and of lsn (0: any), else 0. */
uint32_t store_wal_check_item(const uint8_t *data, size_t bytes, uint64_t lsn);

/* Place in the file of a place in the stream, both counted from the batch. */
static inline uint64_t store_wal_file_at(uint64_t stream)
{
    return stream / WAL_BLOCK_ROOM * WAL_BLOCK_BYTES + WAL_BLOCK_HEAD_BYTES +
           stream % WAL_BLOCK_ROOM;
}

/* Copies part of the stream out of a batch. returns: false if it lies beyond its end. */
bool store_wal_view_take(const struct wal_view *v, uint64_t stream, void *into, size_t bytes);
/* Sets *crc to the checksum of part of the stream. returns: false if it lies beyond its end. */
bool store_wal_view_crc(const struct wal_view *v, uint64_t stream, size_t bytes, uint32_t *crc);

#endif
