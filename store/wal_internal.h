/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the WAL's files share: the index in memory, the segments, the batch being built. Private.
 *
 * Only the WAL thread changes any of this, under `mutex` where readers look; so it reads without
 * the mutex all but an entry's state, which a failed read may set to faulty. A payload is read
 * outside the mutex from a segment whose count of readers keeps it in place.
 */
#ifndef HOLDFAST_STORE_WAL_INTERNAL_H
#define HOLDFAST_STORE_WAL_INTERNAL_H

#include "store/wal.h"
#include "store/wal_format.h"

#include <pthread.h>

#define WAL_CHUNK_ENTRIES 128u
#define WAL_NAME_BYTES 40u
#define WAL_DIR "wal"

struct wal_entry {
    uint64_t term; /* 0: not known */
    uint64_t time_us;
    uint32_t bytes;
    uint32_t crc;
    uint32_t epoch;  /* 0: in no segment */
    uint32_t offset; /* of the body in the segment */
    uint8_t type;
    uint8_t state; /* enum store_wal_state */
};

struct wal_chunk {
    struct wal_chunk *next_free;
    struct wal_entry entries[WAL_CHUNK_ENTRIES];
};

struct wal_group {
    uint32_t id;
    uint32_t vote;
    uint64_t term;
    uint64_t commit;
    uint64_t base_index;
    uint64_t base_term;
    uint64_t last_index;
    bool known;          /* has records; false while its first batch is not durable */
    bool hard_lost;      /* for good */
    bool hard_pending;   /* recovery: lost unless a later record tells it */
    bool tail_ambiguous; /* as in struct store_wal_group */
    bool unsure;         /* recovery: a lost batch may have held its records */
    bool chain_known;    /* chain is that of its last record */
    uint32_t chain;

    struct wal_chunk **chunks; /* entry i is in chunks[i / WAL_CHUNK_ENTRIES - chunk_first] */
    uint64_t chunk_first;
    uint32_t chunks_count;
    uint32_t chunks_cap;

    /* The batch being built: what it will leave behind. */
    uint64_t plan_stamp;
    uint64_t plan_base;
    uint64_t plan_last;
    uint64_t plan_term; /* before the batch, as plan_vote and plan_known */
    uint32_t plan_vote;
    bool plan_known;
    uint32_t plan_entries;
    uint32_t plan_chain;
};

struct wal_segment {
    uint64_t epoch;
    struct disk_file *file; /* NULL: the file is missing */
    uint64_t bytes;
    uint64_t live_bytes;
    uint32_t live; /* entries of the index that lie here */
    uint32_t readers;
};

/* A batch being built. */
struct wal_batch {
    const struct store_wal_record *records;
    unsigned count;
    bool with_head;   /* STATE records of all groups come first */
    uint32_t states;  /* STATE records */
    uint32_t hards;   /* HARD records held twice */
    uint32_t entries; /* ENTRY records */
    uint64_t runs;    /* of its item, upper bound */
    uint64_t chunks;  /* of the index, upper bound */
    uint64_t body_bytes;
    uint64_t bodies_at; /* in the stream */
    uint64_t blocks;
    uint32_t start_block; /* in the segment */
    uint32_t seed;
    uint32_t slot; /* next record head */
};

struct store_wal {
    struct disk disk;
    struct store_wal_options options;
    struct alloc alloc;
    const struct log *log;
    uint32_t identity;

    pthread_mutex_t mutex;
    struct wal_group *groups; /* by id */
    unsigned groups_count;
    struct wal_chunk *free_chunks;
    uint64_t free_chunks_count;
    uint64_t entries_count;
    struct wal_segment *segments; /* by epoch, without gaps */
    unsigned segments_count;
    unsigned segments_cap;
    uint64_t live_bytes;
    struct store_wal_stats stats;

    /* Tail. */
    uint32_t tail_block; /* of the last segment */
    bool must_rotate;    /* the last segment takes no more batches */
    bool sealed;         /* the last segment has its footer */
    bool head_due;       /* the last segment has no batch yet */
    bool failed;         /* latched */
    bool last_empty;     /* the last batch held no record */
    uint64_t plan_stamp;
    uint64_t next_lsn;
    uint64_t skip_lsn;
    uint64_t first_epoch;         /* segments before it are no longer needed */
    uint64_t durable_first_epoch; /* the same, as told by a durable batch */

    uint8_t *stage; /* the batch being built, as it will lie on disk */
    size_t stage_bytes;
    struct buf footer; /* items of the last segment */
    struct buf echo;   /* item of the last batch */
    struct buf item;   /* item of the batch being built */

    /* Pool. */
    uint64_t *pool; /* numbers of ready files */
    unsigned pool_count;
    unsigned pool_cap;
    uint64_t pool_next;
    struct disk_file *preparing;
    uint64_t preparing_number;
    uint64_t preparing_bytes;

    /* Moving of old records. */
    struct buf move_buf;
    uint64_t move_epoch;
    uint32_t move_group;
    uint64_t move_index;
};

/* wal_index.c */
/* returns: the group or NULL. */
struct wal_group *store_wal_group_find(const struct store_wal *w, uint32_t id);
/* Pointers to groups taken before end. returns: NULL when groups_max are there. */
struct wal_group *store_wal_group_make(struct store_wal *w, uint32_t id);
/* Makes room in g's table for entries more; store_wal_chunks_reserve gives the chunks. */
int store_wal_group_reserve(struct store_wal *w, struct wal_group *g, uint64_t entries);
int store_wal_chunks_reserve(struct store_wal *w, uint64_t chunks);
/* returns: the entry, NULL outside base_index + 1 .. last_index. */
struct wal_entry *store_wal_entry_at(const struct wal_group *g, uint64_t index);
/* Entries from index on are gone. */
void store_wal_index_cut(struct store_wal *w, struct wal_group *g, uint64_t index);
/* Cuts from index on, then adds e there. index: up to last_index + 1. Memory is reserved. */
void store_wal_index_put(struct store_wal *w, struct wal_group *g, uint64_t index,
                         const struct wal_entry *e);
/* Puts e in the place of the entry at index. */
void store_wal_index_replace(struct store_wal *w, struct wal_group *g, uint64_t index,
                             const struct wal_entry *e);
/* The log starts after index: keeps what follows unless the entry at index has another term. */
void store_wal_index_base(struct store_wal *w, struct wal_group *g, uint64_t index, uint64_t term);
void store_wal_index_set_state(struct store_wal *w, struct wal_entry *e, uint8_t state);
void store_wal_index_release(struct store_wal *w);

/* wal_files.c */
struct wal_segment *store_wal_segment_of(struct store_wal *w, uint64_t epoch);
/* Adds the segment after the last one. file: taken; may be NULL. */
int store_wal_segment_add(struct store_wal *w, uint64_t epoch, struct disk_file *file,
                          uint64_t bytes);
void store_wal_name(char *into, const char *prefix, uint64_t number);
/* One piece of the preparation of a pool file. *more: it is not ready yet. */
int store_wal_pool_step(struct store_wal *w, uint64_t budget_bytes, bool *more);
int store_wal_pool_add(struct store_wal *w, uint64_t number);
/* Seals the last segment and begins the next. After an error nothing has changed for readers. */
int store_wal_rotate(struct store_wal *w);
uint32_t store_wal_footer_blocks(uint64_t bytes);
/* Gives segments that no batch needs any more to the pool. */
int store_wal_recycle(struct store_wal *w);
void store_wal_files_close(struct store_wal *w);
int store_wal_latch(struct store_wal *w, int err);

/* wal_append.c */
/* As store_wal_append, for the WAL's own records too (kinds MARK: vote is the state, commit the
 * bytes of the body; FILL with vote 1: moved). */
int store_wal_append_any(struct store_wal *w, const struct store_wal_record *records,
                         unsigned count, uint64_t *lsn);
/* returns: bytes that hold any batch. */
uint64_t store_wal_stage_bytes(const struct store_wal_options *options);
/* Adds a run to the item of a batch; the last one stays open for contiguous ones. */
void store_wal_item_add(struct buf *item, const struct wal_record_head *h);

/* wal_recover.c */
int store_wal_recover(struct store_wal *w, struct err_info *why);

/* wal_read.c */
int store_wal_read_body(struct store_wal *w, const struct wal_entry *e, struct disk_file *file,
                        uint8_t *into);

#endif
