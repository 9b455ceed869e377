/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Memtable: records that have been applied and are not yet in the kv table, with a bounded cache
 * of clean ones beside them. A record is active (changed since the last freeze), frozen (being
 * flushed) or clean (equal to the kv table; evicted when room is needed, never while pinned).
 * A deleted or absent key is a record without a value, so absence is cached too.
 *
 *   store_mem_get       active over frozen over clean; ERR_NOT_FOUND: not known here, read the kv
 *   store_mem_put       makes an active record
 *   store_mem_fill      adds what was read from the kv, unless something newer is here
 *   store_mem_freeze    all active records become frozen; the flush thread walks them with
 *                       store_mem_frozen_next while the loop goes on (frozen ones do not change)
 *   store_mem_thaw      the flush is durable: frozen become clean
 *
 * Keys are whole kv keys (group, generation, kind, user key).
 *
 * threads: the loop thread; store_mem_frozen_first/next by the flush thread between freeze and
 *          thaw, while the loop may put and get but not thaw.
 */
#ifndef HOLDFAST_STORE_MEMTABLE_H
#define HOLDFAST_STORE_MEMTABLE_H

#include "base/bytes.h"
#include "base/err.h"

struct store_mem;

struct store_mem_options {
    uint64_t dirty_bytes_max; /* active + frozen: beyond it puts still succeed (committed work is
                                 never refused) but store_mem_full is true: admission stops */
    uint64_t clean_bytes_max; /* cache */
    uint64_t hash_seed;
};

int store_mem_new(struct store_mem **out, const struct store_mem_options *options,
                  const struct alloc *alloc);
void store_mem_free(struct store_mem *m);

/* value: a view valid until the next put, fill, thaw or drop. *present is false for a known
 * absence. returns: 0 or ERR_NOT_FOUND (not known here). */
int store_mem_get(struct store_mem *m, struct bytes key, bool *present, struct bytes *value);
/* present false: deleted. returns: 0 or ERR_NO_MEMORY. */
int store_mem_put(struct store_mem *m, struct bytes key, bool present, struct bytes value);
/* The same for a key that is looked at first: its spot and the value hold until the next put,
 * fill, thaw or drop; while pinned, puts of other keys do them no harm. */
struct store_mem_spot {
    uint64_t hash;
    void *node;
};
int store_mem_seek(struct store_mem *m, struct bytes key, struct store_mem_spot *spot,
                   bool *present, struct bytes *value);
int store_mem_put_at(struct store_mem *m, const struct store_mem_spot *spot, struct bytes key,
                     bool present, struct bytes value);
/* Keys lie far apart, and a look at one waits for memory twice, and once more for a value that has
 * grown. For several keys these waits pass together: expect each, then bring each, then find each,
 * as seek does, then read the values. */
void store_mem_expect(const struct store_mem *m, struct bytes key, struct store_mem_spot *spot);
void store_mem_bring(const struct store_mem *m, const struct store_mem_spot *spot);
int store_mem_find(struct store_mem *m, struct bytes key, struct store_mem_spot *spot,
                   bool *present, struct bytes *value);
/* returns: 0 or ERR_NO_MEMORY. */
int store_mem_fill(struct store_mem *m, struct bytes key, bool present, struct bytes value);
void store_mem_pin(struct store_mem *m, bool pinned); /* while pinned nothing clean is evicted */

bool store_mem_full(const struct store_mem *m);
uint64_t store_mem_dirty_bytes(const struct store_mem *m);
uint64_t store_mem_active_bytes(const struct store_mem *m);
/* May pass clean_bytes_max for a while after thaw or unpinning: each put and fill evicts a few. */
uint64_t store_mem_clean_bytes(const struct store_mem *m);

/* Walks the dirty records (active over frozen, deletions included) in key order: the first with
 * key >= from (> from if after). returns: 0 or ERR_NOT_FOUND past the end. */
int store_mem_dirty_seek(struct store_mem *m, struct bytes from, bool after, struct bytes *key,
                         bool *present, struct bytes *value);

/* returns: 0, or ERR_BUSY while frozen records remain. *epoch counts freezes from 1. */
int store_mem_freeze(struct store_mem *m, uint64_t *epoch);
void store_mem_thaw(struct store_mem *m);

struct store_mem_cursor {
    const void *at;
};
/* The frozen records in key order, for the flush thread. returns: false at the end. */
bool store_mem_frozen_first(struct store_mem *m, struct store_mem_cursor *c);
bool store_mem_frozen_next(struct store_mem *m, struct store_mem_cursor *c);
void store_mem_frozen_record(const struct store_mem_cursor *c, struct bytes *key, bool *present,
                             struct bytes *value);

/* Forgets every record whose key starts with prefix: a generation that was replaced. Only while
 * nothing is frozen. */
void store_mem_drop(struct store_mem *m, struct bytes prefix);

#endif
