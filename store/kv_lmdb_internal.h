/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kv table over LMDB, inside: kv_lmdb.c says how keys lie in the two trees and opens, writes
 * and closes; kv_lmdb_view.c finds records in a transaction.
 */
#ifndef HOLDFAST_STORE_KV_LMDB_INTERNAL_H
#define HOLDFAST_STORE_KV_LMDB_INTERNAL_H

#include "store/kv.h"

#include <lmdb.h>
#include <pthread.h>

#define LMDB_STEP 448u
#define LMDB_DEPTH_MAX 3u /* levels that a key of STORE_KV_KEY_BYTES_MAX passes */
#define LMDB_PHYS_BYTES_MAX (8u + LMDB_STEP + 1u)
#define LMDB_LEVEL 1u /* format of the environment */
#define LMDB_AHEAD_BYTES (64u << 20)

_Static_assert(STORE_KV_KEY_BYTES_MAX <= LMDB_STEP * LMDB_DEPTH_MAX, "keys fit the levels");
_Static_assert(LMDB_PHYS_BYTES_MAX <= 511, "LMDB's limit of a key");

enum lmdb_tree { LMDB_SHORT = 0, LMDB_DEEP = 1, LMDB_TREES = 2 };

struct kv_lmdb;

/* A transaction with a cursor for each tree, opened when first needed. */
struct lmdb_view {
    struct kv_lmdb *kv;
    MDB_txn *txn;
    MDB_cursor *cursors[LMDB_TREES];
    bool fresh[LMDB_TREES]; /* the cursor belongs to the transaction as it is now */
    /* what was last found */
    uint64_t id;      /* level it is in */
    unsigned depth;   /* of that level */
    bool bad_pointer; /* a pointer whose checksum fails, not a record */
    size_t key_bytes;
    uint8_t key[STORE_KV_KEY_BYTES_MAX];
};

struct store_kv_reader {
    struct lmdb_view view;
    struct store_kv_reader *free;
    bool found; /* the last seek or next did */
    bool used;
};

struct kv_lmdb {
    struct alloc alloc;
    MDB_env *env;
    MDB_dbi trees[LMDB_TREES];
    uint64_t map_bytes;
    uint64_t page_bytes;
    uint64_t ahead_bytes;    /* of the file, allocated */
    struct lmdb_view writer; /* txn NULL: none is open */
    int txn_err;             /* first failure in the open transaction */
    pthread_mutex_t lock;    /* the fields below */
    struct store_kv_reader *readers;
    struct store_kv_reader *readers_free;
    unsigned readers_max;
    bool failed;
};

/* The key of a record or pointer in its tree. */
struct lmdb_phys {
    uint8_t raw[LMDB_PHYS_BYTES_MAX];
    size_t bytes;
};

/* What a cursor stands on. */
struct lmdb_hit {
    MDB_val key;
    MDB_val raw;
};

int store_lmdb_err(int rc);
MDB_val store_lmdb_val(const void *data, size_t bytes);
enum lmdb_tree store_lmdb_tree_of(uint64_t id);
/* rest: of the key from this level on; more than STEP bytes make it the pointer's key. */
MDB_val store_lmdb_phys_make(struct lmdb_phys *p, uint64_t id, struct bytes rest);
struct bytes store_lmdb_rest(struct bytes key, unsigned depth);
uint32_t store_lmdb_record_crc(struct bytes key, struct bytes value);
void store_lmdb_pointer_make(uint8_t *raw, const MDB_val *phys, uint64_t id);
/* Follows the pointers on the way of key: ids[0 .. *depth] are the levels. returns: 0 at the level
 * of its record; ERR_NOT_FOUND or ERR_CORRUPT at the last level that could be reached. */
int store_lmdb_descend(struct lmdb_view *v, struct bytes key, uint64_t *ids, unsigned *depth);
int store_lmdb_view_get(struct lmdb_view *v, struct bytes key, struct bytes *value);
/* Moves the cursor of level id to the first key >= phys (> if after).
 * returns: 0, or ERR_NOT_FOUND: none in this level. */
int store_lmdb_move(struct lmdb_view *v, uint64_t id, const MDB_val *phys, bool after,
                    struct lmdb_hit *hit);
/* From a place in a level down to the first record there. value NULL: its checksum is not looked
 * at. v->key holds the key as far as the level. */
int store_lmdb_settle(struct lmdb_view *v, uint64_t id, unsigned depth, struct lmdb_hit hit,
                      struct bytes *value);
/* The first record with key >= from (> if after): v->key. past_pointer: from is a pointer whose
 * checksum failed; goes on behind all that was below it. */
int store_lmdb_view_seek(struct lmdb_view *v, struct bytes from, bool after, bool past_pointer,
                         struct bytes *value);

#endif
