/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * kv: the ordered, transactional table under all state, as a table of functions. store_kv_lmdb is
 * the program's; the simulator's model passes the same contract tests
 * (tests/unit/store/kv_contract.h). Keys are 1 to STORE_KV_KEY_BYTES_MAX bytes in byte order,
 * values up to STORE_KV_VALUE_BYTES_MAX. Long keys (LMDB holds 511 bytes) and the CRC32C of each
 * record are the table's own affair: a record whose checksum fails reads as ERR_CORRUPT.
 *
 * A write transaction is durable and visible as a whole once commit returned 0, else not at all.
 * A put that fails fails its transaction: what follows answers the same error, and so does commit,
 * which then changes nothing. Commit ends the transaction whatever it returns. After ERR_DISK_FULL
 * the table goes on as before (deletes make room again); after any other failed commit it answers
 * ERR_IO until it is reopened. A reader sees the state as of its begin; pages that it can see are
 * not reused, so its caller bounds its age.
 *
 * threads: one writer at a time, each write transaction on one thread from begin to its end;
 *          readers from any thread, each reader used by one at a time and free to move between
 *          threads. Nothing else runs while close does.
 */
#ifndef HOLDFAST_STORE_KV_H
#define HOLDFAST_STORE_KV_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/err.h"

#define STORE_KV_KEY_BYTES_MAX 1152
#define STORE_KV_VALUE_BYTES_MAX (2u << 20)

struct store_kv_reader; /* a read transaction */

struct store_kv {
    void *ctx;

    /* One write transaction at a time: begin, any puts and deletes, then commit or abort. */
    int (*begin)(void *ctx);
    /* ERR_TOO_LARGE leaves the transaction as it was. */
    int (*put)(void *ctx, struct bytes key, struct bytes value);
    int (*del)(void *ctx, struct bytes key); /* absent is 0 too */
    /* Deletes at most limit keys in [from, to); *deleted is how many. to empty: to the end. */
    int (*del_range)(void *ctx, struct bytes from, struct bytes to, uint64_t limit,
                     uint64_t *deleted);
    int (*commit)(void *ctx);
    void (*abort)(void *ctx);

    /* ERR_BUSY: all readers are in use. */
    int (*reader_open)(void *ctx, struct store_kv_reader **out);
    /* *value views memory of the reader, valid until the next call on it. ERR_NOT_FOUND. */
    int (*get)(struct store_kv_reader *r, struct bytes key, struct bytes *value);
    /* First record with key >= from (or > from if after): ERR_NOT_FOUND past the end. Views as
     * for get. ERR_CORRUPT: *key is set, and next goes on behind it. */
    int (*seek)(struct store_kv_reader *r, struct bytes from, bool after, struct bytes *key,
                struct bytes *value);
    /* The record after the one last sought. */
    int (*next)(struct store_kv_reader *r, struct bytes *key, struct bytes *value);
    void (*reader_close)(struct store_kv_reader *r);

    /* Bytes in use and bytes the map may grow to; on the writer's thread. */
    void (*usage)(void *ctx, uint64_t *used_bytes, uint64_t *limit_bytes);
    void (*close)(void *ctx);
};

/* Opens (creates) the LMDB environment in the directory path.
 * map_bytes: address space and upper limit of the file. readers_max: readers at once.
 * returns: 0 or an error with why; out->close ends it. */
int store_kv_lmdb_open(struct store_kv *out, const char *path, uint64_t map_bytes,
                       unsigned readers_max, const struct alloc *alloc, struct err_info *why);

#endif
