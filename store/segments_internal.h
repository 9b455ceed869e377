/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Segments, inside. A file is a header of SEG_FILE_HEADER_BYTES and records; a record is its meta
 * (header, leaf hashes, CRC of each block, under one CRC) and the data, each part at a multiple of
 * SEG_ALIGN_BYTES. After a sync the next record begins at a multiple of SEG_PAGE_BYTES, so that a
 * page that is durable is never written again. docs/formats.md has the bytes.
 *
 *   segments_format.c    bytes of file headers, records, index keys and values
 *   segments_index.c     changes not yet synced, their commit to the kv table, lookups, list
 *   segments.c           put, sync, get, delete
 *   segments_open.c      open, the scan behind the indexed offset, close
 *   segments_maintain.c  compaction
 */
#ifndef HOLDFAST_STORE_SEGMENTS_INTERNAL_H
#define HOLDFAST_STORE_SEGMENTS_INTERNAL_H

#include "store/segments.h"

#include <pthread.h>

#define SEG_DIR "seg"
#define SEG_NAME_BYTES 32u
#define SEG_LEVEL 1u
#define SEG_FILE_HEADER_BYTES 4096u
#define SEG_FILE_HEADER_USED 64u
#define SEG_ALIGN_BYTES 64u
#define SEG_PAGE_BYTES 4096u
#define SEG_HEADER_BYTES 128u
#define SEG_META_BYTES_MAX (SEG_HEADER_BYTES + STORE_SEG_LEAVES_MAX * (32u + 4u))
#define SEG_PENDING_MAX 65536u /* changes between two syncs that puts may make */
#define SEG_CELL_KEY_BYTES 23u
#define SEG_SHARD_KEY_BYTES 19u
#define SEG_LOC_BYTES 32u
#define SEG_SHARD_ALL 255u
#define SEG_NUMBER_MAX 99999999ull /* eight digits in a name */

_Static_assert(SEG_META_BYTES_MAX % SEG_ALIGN_BYTES == 0, "meta of the largest cell is aligned");

/* Where a cell lies. */
struct seg_loc {
    uint64_t segment;
    uint64_t offset;
    uint32_t bytes;        /* of the cell */
    uint32_t record_bytes; /* meta and data, each rounded up */
    uint32_t group;
    uint32_t leaves_count;
};

struct seg_segment {
    uint64_t number;
    struct disk_file *file; /* NULL: it is missing */
    uint64_t end;           /* where the next record would go */
    uint64_t file_bytes;
    uint64_t indexed;    /* as committed: the index knows everything before it */
    uint64_t live_bytes; /* as committed */
    uint64_t live_cells;
    int64_t delta_bytes; /* by the changes being committed */
    int64_t delta_cells;
    unsigned refs;  /* reads under way */
    bool known;     /* has a record in the index */
    bool unscanned; /* opening: what lies behind its indexed offset is not known yet */
    bool sealed;
    bool dirty;  /* written since the last sync of the file */
    bool stuck;  /* a live record cannot be copied; cleared when one goes */
    bool doomed; /* unlinked; freed with the last reference */
};

/* A cell changed since the last sync. */
struct seg_change {
    struct store_cell_id id;
    bool present; /* false: deleted */
    bool was;     /* there as committed */
    struct seg_loc now;
    struct seg_loc old;
};

struct store_segments {
    struct disk disk;
    struct store_kv kv;
    struct store_segments_options options;
    struct alloc alloc;
    struct log log;
    pthread_mutex_t lock;          /* segments, their refs and committed counters, corrupt_reads */
    struct seg_segment **segments; /* in order of their numbers */
    unsigned segments_count;
    uint64_t corrupt_reads;
    /* the writing thread's own from here */
    struct seg_segment *head; /* NULL: the next put makes one */
    uint64_t number_next;
    struct seg_change *changes;
    size_t changes_count;
    size_t changes_cap;
    uint32_t *slots; /* hash table over changes: index + 1, 0 free */
    size_t slots_count;
    uint64_t *gone; /* numbers whose index record is to be deleted */
    size_t gone_count;
    size_t gone_cap;
    uint64_t compacting; /* number, 0 none */
    uint64_t compact_at; /* offset of its next record */
    uint8_t *scratch;    /* one record */
    size_t scratch_bytes;
    bool failed;
};

/* ---- segments_format.c ---- */

void store_seg_file_name(char *into, uint64_t number);
/* returns: whether name is that of a segment. */
bool store_seg_file_number(const char *name, uint64_t *number);
void store_seg_file_header_put(uint8_t *raw, const struct store_segments_options *o,
                               uint64_t number);
/* returns: 0, ERR_CORRUPT, ERR_LEVEL, ERR_WRONG_CLUSTER (another cluster, store or number). */
int store_seg_file_header_get(const uint8_t *raw, const struct store_segments_options *o,
                              uint64_t number);

static inline uint32_t store_seg_blocks(uint32_t bytes)
{
    return (bytes + STORE_SEG_BLOCK_BYTES - 1) / STORE_SEG_BLOCK_BYTES;
}
/* returns: bytes from the record's start to its data. */
uint32_t store_seg_data_at(uint32_t bytes, uint32_t leaves_count);
uint32_t store_seg_record_bytes(uint32_t bytes, uint32_t leaves_count);
uint32_t store_seg_block_crc(const struct store_cell_id *id, uint32_t block, const uint8_t *data,
                             uint32_t bytes);
/* Writes the meta of cell at loc: store_seg_data_at bytes. */
void store_seg_meta_put(uint8_t *raw, const struct store_segments_options *o,
                        const struct store_cell *cell, const struct seg_loc *loc);
/* Looks at the first SEG_HEADER_BYTES: is this a record that begins at offset of segment, with
 * lengths that fit? Fills id and loc; nothing is proven before store_seg_meta_check. */
bool store_seg_header_get(const uint8_t *raw, const struct store_segments_options *o,
                          struct store_cell_id *id, struct seg_loc *loc);
/* raw: store_seg_data_at bytes. returns: 0 or ERR_CORRUPT. */
int store_seg_meta_check(const uint8_t *raw, const struct store_segments_options *o,
                         const struct store_cell_id *id, const struct seg_loc *loc);
const uint8_t *store_seg_meta_leaves(const uint8_t *raw);
uint32_t store_seg_meta_crc(const uint8_t *raw, uint32_t leaves_count, uint32_t block);
/* raw: meta that was checked. returns: the CRC of all bytes of the cell, which are not looked at.
 */
uint32_t store_seg_cell_crc(const uint8_t *raw, const struct store_cell_id *id, uint32_t bytes,
                            uint32_t leaves_count);

void store_seg_cell_key(uint8_t *raw, const struct store_cell_id *id);
bool store_seg_cell_key_get(struct bytes key, struct store_cell_id *id);
void store_seg_shard_key(uint8_t *raw, uint64_t grant, uint64_t counter, uint8_t shard);
void store_seg_loc_put(uint8_t *raw, const struct seg_loc *loc);
int store_seg_loc_get(struct bytes raw, struct seg_loc *loc);

/* ---- segments_index.c ---- */

/* returns: 0, ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO: where the cell is as committed. */
int store_seg_lookup(struct store_segments *s, const struct store_cell_id *id, struct seg_loc *loc);
/* Notes that the cell now lies at loc (NULL: is deleted). returns: 0, ERR_NO_MEMORY, ERR_IO. */
int store_seg_change(struct store_segments *s, const struct store_cell_id *id,
                     const struct seg_loc *loc);
/* NULL: not changed since the last sync. */
const struct seg_change *store_seg_change_find(struct store_segments *s,
                                               const struct store_cell_id *id);
void store_seg_changes_forget(struct store_segments *s);
/* Deletes the index record of a segment with the next commit. */
int store_seg_gone(struct store_segments *s, uint64_t number);
/* Commits all changes, counters and offsets in one transaction. Files are synced already. */
int store_seg_commit(struct store_segments *s);
/* Reads the segments' records and the numbering. */
int store_seg_index_load(struct store_segments *s);
void store_seg_index_release(struct store_segments *s);

/* ---- segments.c ---- */

struct seg_segment *store_seg_find(struct store_segments *s, uint64_t number);
/* Adds an entry in its order. returns: NULL when segments_max or memory is used up. */
struct seg_segment *store_seg_add(struct store_segments *s, uint64_t number);
/* Takes the entry away; it is freed when nobody reads it any more. */
void store_seg_remove(struct store_segments *s, struct seg_segment *seg);
/* moving: compaction, which frees space in the end, may use most of the reserve and the last
 * segment. */
int store_seg_append(struct store_segments *s, const struct store_cell *cell, bool moving);
/* No more records go there; gives back what was preallocated behind its end. */
void store_seg_seal(struct store_segments *s, struct seg_segment *seg);
/* Reads the record at loc into raw (loc->record_bytes) and checks all of it. */
int store_seg_read_record(struct store_segments *s, struct seg_segment *seg,
                          const struct store_cell_id *id, const struct seg_loc *loc, uint8_t *raw);

#endif
