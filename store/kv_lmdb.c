/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kv table over LMDB: two trees, "short" and "deep".
 *
 * A key of at most STEP bytes is a key of "short". A longer one is split after STEP bytes: "short"
 * holds a pointer, under those bytes and one zero byte, to a number; under that number and the rest
 * of the key the record is in "deep", or again a pointer if the rest is longer than STEP. A pointer
 * sorts behind the key that is its STEP bytes and before all that follows, so both trees, walked
 * through their pointers, give byte order. A pointer exists only while something is below it. (One
 * sorted record for all long keys of a prefix would be rewritten whole with each of them.)
 *
 * A record is its CRC32C (over the key's length, the key and the value) and the value; a pointer is
 * its CRC32C and the number.
 *
 * LMDB 0.9: a transaction handle is gone after mdb_txn_commit, whatever it returns (aborting it
 * again would free twice). After one failed write of a meta page every call answers MDB_PANIC; any
 * failed commit but a full one therefore latches, and only opening again helps. MDB_NOSYNC is never
 * set: file systems may write in another order. Space is allocated ahead of the writes, so that a
 * full disk is met when there is still room to say so.
 */
#include "store/kv_lmdb_internal.h"

#include "base/crc.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* ---- writing ---- */

static int lmdb_fail(struct kv_lmdb *kv, int err)
{
    if (err != 0 && kv->txn_err == 0) {
        kv->txn_err = err;
    }
    return err;
}

static bool lmdb_failed(struct kv_lmdb *kv)
{
    (void)pthread_mutex_lock(&kv->lock);
    bool failed = kv->failed;
    (void)pthread_mutex_unlock(&kv->lock);
    return failed;
}

static void lmdb_latch(struct kv_lmdb *kv)
{
    (void)pthread_mutex_lock(&kv->lock);
    kv->failed = true;
    (void)pthread_mutex_unlock(&kv->lock);
}

/* Allocates file space ahead. A disk too full for that may still have room inside the file. */
static void lmdb_allocate_ahead(struct kv_lmdb *kv)
{
    MDB_envinfo info;
    mdb_filehandle_t file;
    uint64_t step = NUM_MIN(LMDB_AHEAD_BYTES, num_round_up(kv->map_bytes / 8 + 1, 4096));
    (void)mdb_env_info(kv->env, &info);
    uint64_t used = ((uint64_t)info.me_last_pgno + 1) * kv->page_bytes;
    if (used + step / 2 <= kv->ahead_bytes || kv->ahead_bytes >= kv->map_bytes) {
        return;
    }
    uint64_t want = NUM_MIN(used + step, kv->map_bytes);
    if (mdb_env_get_fd(kv->env, &file) == 0 && posix_fallocate(file, 0, (off_t)want) == 0) {
        kv->ahead_bytes = want;
    }
}

static int lmdb_begin(void *ctx)
{
    struct kv_lmdb *kv = ctx;
    ASSERT(kv->writer.txn == NULL);
    if (lmdb_failed(kv)) {
        return ERR_IO;
    }
    lmdb_allocate_ahead(kv);
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(kv->env, NULL, 0, &txn);
    if (rc != 0) {
        if (rc == MDB_PANIC) {
            lmdb_latch(kv);
        }
        return rc == MDB_PANIC ? ERR_IO : store_lmdb_err(rc);
    }
    kv->writer.txn = txn;
    kv->txn_err = 0;
    return 0;
}

/* The transaction is over, and LMDB has freed its cursors or we do before. */
static void lmdb_writer_forget(struct kv_lmdb *kv)
{
    kv->writer.txn = NULL;
    for (unsigned tree = 0; tree < LMDB_TREES; tree++) {
        kv->writer.cursors[tree] = NULL;
        kv->writer.fresh[tree] = false;
    }
}

static void lmdb_writer_cursors_close(struct kv_lmdb *kv)
{
    for (unsigned tree = 0; tree < LMDB_TREES; tree++) {
        if (kv->writer.cursors[tree] != NULL) {
            mdb_cursor_close(kv->writer.cursors[tree]);
            kv->writer.cursors[tree] = NULL;
        }
    }
}

static void lmdb_abort(void *ctx)
{
    struct kv_lmdb *kv = ctx;
    ASSERT(kv->writer.txn != NULL);
    lmdb_writer_cursors_close(kv);
    mdb_txn_abort(kv->writer.txn);
    lmdb_writer_forget(kv);
}

static int lmdb_commit(void *ctx)
{
    struct kv_lmdb *kv = ctx;
    ASSERT(kv->writer.txn != NULL);
    if (kv->txn_err != 0) {
        int err = kv->txn_err;
        lmdb_abort(kv);
        return err;
    }
    lmdb_writer_cursors_close(kv);
    int rc = mdb_txn_commit(kv->writer.txn);
    lmdb_writer_forget(kv);
    int err = store_lmdb_err(rc);
    if (err != 0 && err != ERR_DISK_FULL) {
        lmdb_latch(kv);
        return ERR_IO;
    }
    return err;
}

/* A number that no level has: counted in the record that also names the format. */
static int lmdb_id_new(struct kv_lmdb *kv, uint64_t *id)
{
    uint8_t key[8] = {0};
    uint8_t raw[16];
    MDB_val phys = store_lmdb_val(key, sizeof(key));
    MDB_val old = {0};
    uint64_t last = 0;
    int err = store_lmdb_err(mdb_get(kv->writer.txn, kv->trees[LMDB_DEEP], &phys, &old));
    TRY(err);
    if (old.mv_size != sizeof(raw) ||
        num_get_u32(old.mv_data) != crc_of((uint8_t *)old.mv_data + 4, 12)) {
        return ERR_CORRUPT;
    }
    last = num_get_u64((uint8_t *)old.mv_data + 8);
    num_put_u32(raw + 4, LMDB_LEVEL);
    num_put_u64(raw + 8, last + 1);
    num_put_u32(raw, crc_of(raw + 4, 12));
    MDB_val new = store_lmdb_val(raw, sizeof(raw));
    TRY(store_lmdb_err(mdb_put(kv->writer.txn, kv->trees[LMDB_DEEP], &phys, &new, 0)));
    *id = last + 1;
    return 0;
}

/* Adds the pointer that lmdb_descend missed. */
static int lmdb_pointer_add(struct kv_lmdb *kv, uint64_t id, struct bytes rest)
{
    struct lmdb_phys p;
    uint8_t raw[12];
    uint64_t below = 0;
    ASSERT(rest.size > LMDB_STEP);
    TRY(lmdb_id_new(kv, &below));
    MDB_val phys = store_lmdb_phys_make(&p, id, rest);
    store_lmdb_pointer_make(raw, &phys, below);
    MDB_val data = store_lmdb_val(raw, sizeof(raw));
    return store_lmdb_err(
        mdb_put(kv->writer.txn, kv->trees[store_lmdb_tree_of(id)], &phys, &data, 0));
}

static int lmdb_put_record(struct kv_lmdb *kv, struct bytes key, struct bytes value)
{
    uint64_t ids[LMDB_DEPTH_MAX];
    unsigned depth = 0;
    struct lmdb_phys p;
    int err = store_lmdb_descend(&kv->writer, key, ids, &depth);
    for (unsigned level = 0; err == ERR_NOT_FOUND && level < LMDB_DEPTH_MAX; level++) {
        TRY(lmdb_pointer_add(kv, ids[depth], store_lmdb_rest(key, depth)));
        err = store_lmdb_descend(&kv->writer, key, ids, &depth);
    }
    TRY(err);
    MDB_val phys = store_lmdb_phys_make(&p, ids[depth], store_lmdb_rest(key, depth));
    MDB_val raw = {.mv_size = value.size + 4};
    TRY(store_lmdb_err(mdb_put(kv->writer.txn, kv->trees[store_lmdb_tree_of(ids[depth])], &phys,
                               &raw, MDB_RESERVE)));
    num_put_u32(raw.mv_data, store_lmdb_record_crc(key, value));
    if (value.size > 0) {
        memcpy((uint8_t *)raw.mv_data + 4, value.data, value.size);
    }
    return 0;
}

static int lmdb_put(void *ctx, struct bytes key, struct bytes value)
{
    struct kv_lmdb *kv = ctx;
    ASSERT(kv->writer.txn != NULL);
    ASSERT(key.size > 0);
    if (kv->txn_err != 0) {
        return kv->txn_err;
    }
    if (key.size > STORE_KV_KEY_BYTES_MAX || value.size > STORE_KV_VALUE_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    return lmdb_fail(kv, lmdb_put_record(kv, key, value));
}

static int lmdb_del_phys(struct kv_lmdb *kv, uint64_t id, struct bytes rest)
{
    struct lmdb_phys p;
    MDB_val phys = store_lmdb_phys_make(&p, id, rest);
    return store_lmdb_err(mdb_del(kv->writer.txn, kv->trees[store_lmdb_tree_of(id)], &phys, NULL));
}

/* Deletes pointers to levels on the way of key, from the deepest up, that have become empty. */
static int lmdb_del_empty(struct kv_lmdb *kv, struct bytes key, const uint64_t *ids, unsigned depth)
{
    while (depth > 0) {
        struct lmdb_phys p;
        struct lmdb_hit hit = {0};
        MDB_val first = store_lmdb_phys_make(&p, ids[depth], (struct bytes){0});
        int err = store_lmdb_move(&kv->writer, ids[depth], &first, false, &hit);
        if (err != ERR_NOT_FOUND) {
            return err;
        }
        depth--;
        TRY(lmdb_del_phys(kv, ids[depth], store_lmdb_rest(key, depth)));
    }
    return 0;
}

static int lmdb_del_record(struct kv_lmdb *kv, struct bytes key)
{
    uint64_t ids[LMDB_DEPTH_MAX];
    unsigned depth = 0;
    if (key.size > STORE_KV_KEY_BYTES_MAX) {
        return 0;
    }
    int err = store_lmdb_descend(&kv->writer, key, ids, &depth);
    if (err == 0) {
        err = lmdb_del_phys(kv, ids[depth], store_lmdb_rest(key, depth));
    }
    if (err != 0) {
        return err == ERR_NOT_FOUND ? 0 : err;
    }
    return lmdb_del_empty(kv, key, ids, depth);
}

static int lmdb_del(void *ctx, struct bytes key)
{
    struct kv_lmdb *kv = ctx;
    ASSERT(kv->writer.txn != NULL);
    ASSERT(key.size > 0);
    if (kv->txn_err != 0) {
        return kv->txn_err;
    }
    return lmdb_fail(kv, lmdb_del_record(kv, key));
}

/* Deletes what the writer's last seek found. A damaged pointer goes with all that is below it:
 * nothing there can be reached. */
static int lmdb_del_found(struct kv_lmdb *kv)
{
    struct lmdb_view *v = &kv->writer;
    uint8_t key[STORE_KV_KEY_BYTES_MAX];
    struct bytes copy = bytes_of(key, v->key_bytes);
    memcpy(key, v->key, v->key_bytes);
    if (!v->bad_pointer) {
        return lmdb_del_record(kv, copy);
    }
    uint64_t ids[LMDB_DEPTH_MAX];
    unsigned depth = 0;
    int err = store_lmdb_descend(v, copy, ids, &depth);
    ASSERT(err != ERR_NOT_FOUND);
    depth = v->depth;
    TRY(lmdb_del_phys(kv, v->id, store_lmdb_rest(copy, depth)));
    return lmdb_del_empty(kv, copy, ids, depth);
}

static int lmdb_del_range_records(struct kv_lmdb *kv, struct bytes from, struct bytes to,
                                  uint64_t limit, uint64_t *deleted)
{
    struct lmdb_view *v = &kv->writer;
    while (*deleted < limit) {
        int err = store_lmdb_view_seek(v, from, false, false, NULL);
        if (err == ERR_NOT_FOUND) {
            return 0;
        }
        if (err != 0 && !(err == ERR_CORRUPT && v->bad_pointer)) {
            return err;
        }
        if (to.size > 0 && bytes_compare(bytes_of(v->key, v->key_bytes), to) >= 0) {
            return 0;
        }
        TRY(lmdb_del_found(kv));
        *deleted += 1;
    }
    return 0;
}

static int lmdb_del_range(void *ctx, struct bytes from, struct bytes to, uint64_t limit,
                          uint64_t *deleted)
{
    struct kv_lmdb *kv = ctx;
    uint64_t count = 0;
    ASSERT(kv->writer.txn != NULL);
    if (kv->txn_err != 0) {
        return kv->txn_err;
    }
    TRY(lmdb_fail(kv, lmdb_del_range_records(kv, from, to, limit, &count)));
    *deleted = count;
    return 0;
}

/* ---- reading ---- */

static int lmdb_reader_start(struct store_kv_reader *r)
{
    struct lmdb_view *v = &r->view;
    int rc = v->txn != NULL ? mdb_txn_renew(v->txn)
                            : mdb_txn_begin(v->kv->env, NULL, MDB_RDONLY, &v->txn);
    r->found = false;
    return rc == MDB_PANIC ? ERR_IO : store_lmdb_err(rc);
}

static int lmdb_reader_open(void *ctx, struct store_kv_reader **out)
{
    struct kv_lmdb *kv = ctx;
    (void)pthread_mutex_lock(&kv->lock);
    struct store_kv_reader *r = kv->readers_free;
    int err = kv->failed ? ERR_IO : (r == NULL ? ERR_BUSY : 0);
    if (err == 0) {
        kv->readers_free = r->free;
        r->used = true;
    }
    (void)pthread_mutex_unlock(&kv->lock);
    TRY(err);
    err = lmdb_reader_start(r);
    if (err != 0) {
        (void)pthread_mutex_lock(&kv->lock);
        r->used = false;
        r->free = kv->readers_free;
        kv->readers_free = r;
        (void)pthread_mutex_unlock(&kv->lock);
        return err;
    }
    *out = r;
    return 0;
}

static void lmdb_reader_close(struct store_kv_reader *r)
{
    struct kv_lmdb *kv = r->view.kv;
    ASSERT(r->used && r->view.txn != NULL);
    mdb_txn_reset(r->view.txn);
    r->view.fresh[LMDB_SHORT] = false;
    r->view.fresh[LMDB_DEEP] = false;
    (void)pthread_mutex_lock(&kv->lock);
    r->used = false;
    r->free = kv->readers_free;
    kv->readers_free = r;
    (void)pthread_mutex_unlock(&kv->lock);
}

static int lmdb_get(struct store_kv_reader *r, struct bytes key, struct bytes *value)
{
    ASSERT(r->used);
    ASSERT(key.size > 0);
    return store_lmdb_view_get(&r->view, key, value);
}

static int lmdb_found(struct store_kv_reader *r, int err, struct bytes *key)
{
    r->found = err == 0 || err == ERR_CORRUPT;
    if (r->found) {
        *key = bytes_of(r->view.key, r->view.key_bytes);
    }
    return err;
}

static int lmdb_seek(struct store_kv_reader *r, struct bytes from, bool after, struct bytes *key,
                     struct bytes *value)
{
    ASSERT(r->used);
    return lmdb_found(r, store_lmdb_view_seek(&r->view, from, after, false, value), key);
}

static int lmdb_next(struct store_kv_reader *r, struct bytes *key, struct bytes *value)
{
    struct lmdb_view *v = &r->view;
    struct lmdb_hit hit = {0};
    ASSERT(r->used);
    if (!r->found) {
        return ERR_NOT_FOUND;
    }
    if (v->id != 0 || v->bad_pointer) {
        struct bytes last = bytes_of(v->key, v->key_bytes);
        return lmdb_found(r, store_lmdb_view_seek(v, last, true, v->bad_pointer, value), key);
    }
    int err = store_lmdb_err(mdb_cursor_get(v->cursors[LMDB_SHORT], &hit.key, &hit.raw, MDB_NEXT));
    if (err == 0) {
        err = store_lmdb_settle(v, 0, 0, hit, value);
    }
    return lmdb_found(r, err, key);
}

/* Its own transaction: the pool may be used up, and it has a slot of its own. */
static void lmdb_usage(void *ctx, uint64_t *used_bytes, uint64_t *limit_bytes)
{
    struct kv_lmdb *kv = ctx;
    MDB_txn *txn = NULL;
    uint64_t pages = 2;
    *limit_bytes = kv->map_bytes;
    *used_bytes = 0;
    if (mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn) != 0) {
        return;
    }
    for (unsigned tree = 0; tree < LMDB_TREES; tree++) {
        MDB_stat stat;
        if (mdb_stat(txn, kv->trees[tree], &stat) == 0) {
            pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
        }
    }
    mdb_txn_abort(txn);
    *used_bytes = pages * kv->page_bytes;
}

/* ---- opening ---- */

static void lmdb_close(void *ctx)
{
    struct kv_lmdb *kv = ctx;
    if (kv->writer.txn != NULL) {
        lmdb_abort(kv);
    }
    for (unsigned i = 0; kv->readers != NULL && i < kv->readers_max; i++) {
        struct lmdb_view *v = &kv->readers[i].view;
        ASSERT(!kv->readers[i].used);
        for (unsigned tree = 0; tree < LMDB_TREES; tree++) {
            if (v->cursors[tree] != NULL) {
                mdb_cursor_close(v->cursors[tree]);
            }
        }
        if (v->txn != NULL) {
            mdb_txn_abort(v->txn);
        }
    }
    if (kv->env != NULL) {
        mdb_env_close(kv->env);
    }
    struct alloc alloc = kv->alloc;
    alloc_put(&alloc, kv->readers, kv->readers_max * sizeof(*kv->readers));
    (void)pthread_mutex_destroy(&kv->lock);
    alloc_put(&alloc, kv, sizeof(*kv));
}

/* Writes the format record of a new environment, or checks that of an old one. */
static int lmdb_check_format(struct kv_lmdb *kv, MDB_txn *txn)
{
    uint8_t key[8] = {0};
    uint8_t raw[16] = {0};
    MDB_val phys = store_lmdb_val(key, sizeof(key));
    MDB_val old = {0};
    int rc = mdb_get(txn, kv->trees[LMDB_DEEP], &phys, &old);
    if (rc == MDB_NOTFOUND) {
        MDB_stat stat;
        TRY(store_lmdb_err(mdb_stat(txn, kv->trees[LMDB_SHORT], &stat)));
        if (stat.ms_entries != 0) {
            return ERR_CORRUPT;
        }
        num_put_u32(raw + 4, LMDB_LEVEL);
        num_put_u32(raw, crc_of(raw + 4, 12));
        MDB_val new = store_lmdb_val(raw, sizeof(raw));
        return store_lmdb_err(mdb_put(txn, kv->trees[LMDB_DEEP], &phys, &new, 0));
    }
    TRY(store_lmdb_err(rc));
    const uint8_t *at = old.mv_data;
    if (old.mv_size != sizeof(raw) || num_get_u32(at) != crc_of(at + 4, 12)) {
        return ERR_CORRUPT;
    }
    return num_get_u32(at + 4) == LMDB_LEVEL ? 0 : ERR_LEVEL;
}

static int lmdb_open_trees(struct kv_lmdb *kv)
{
    MDB_txn *txn = NULL;
    TRY(store_lmdb_err(mdb_txn_begin(kv->env, NULL, 0, &txn)));
    int err = store_lmdb_err(mdb_dbi_open(txn, "short", MDB_CREATE, &kv->trees[LMDB_SHORT]));
    if (err == 0) {
        err = store_lmdb_err(mdb_dbi_open(txn, "deep", MDB_CREATE, &kv->trees[LMDB_DEEP]));
    }
    if (err == 0) {
        err = lmdb_check_format(kv, txn);
    }
    if (err != 0) {
        mdb_txn_abort(txn);
        return err;
    }
    return store_lmdb_err(mdb_txn_commit(txn));
}

/* A file shorter than its pages would kill the process where it is read. */
static int lmdb_check_length(struct kv_lmdb *kv)
{
    MDB_envinfo info;
    MDB_stat stat;
    mdb_filehandle_t file;
    struct stat length;
    TRY(store_lmdb_err(mdb_env_info(kv->env, &info)));
    TRY(store_lmdb_err(mdb_env_stat(kv->env, &stat)));
    TRY(store_lmdb_err(mdb_env_get_fd(kv->env, &file)));
    if (fstat(file, &length) != 0) {
        return ERR_IO;
    }
    kv->page_bytes = stat.ms_psize;
    ASSERT(kv->page_bytes > 0);
    /* a new environment has no page but the two that open wrote */
    return (uint64_t)length.st_size / kv->page_bytes > info.me_last_pgno ? 0 : ERR_CORRUPT;
}

static int lmdb_open_env(struct kv_lmdb *kv, const char *path)
{
    int dead = 0;
    TRY(store_lmdb_err(mdb_env_create(&kv->env)));
    TRY(store_lmdb_err(mdb_env_set_mapsize(kv->env, kv->map_bytes)));
    TRY(store_lmdb_err(mdb_env_set_maxreaders(kv->env, kv->readers_max + 1)));
    TRY(store_lmdb_err(mdb_env_set_maxdbs(kv->env, LMDB_TREES)));
    TRY(store_lmdb_err(mdb_env_open(kv->env, path, MDB_NOTLS | MDB_NORDAHEAD, 0600)));
    TRY(store_lmdb_err(mdb_reader_check(kv->env, &dead)));
    TRY(lmdb_check_length(kv));
    ASSERT(mdb_env_get_maxkeysize(kv->env) >= (int)LMDB_PHYS_BYTES_MAX);
    return lmdb_open_trees(kv);
}

static int lmdb_open_readers(struct kv_lmdb *kv)
{
    kv->readers = alloc_get_zeroed(&kv->alloc, kv->readers_max, sizeof(*kv->readers));
    if (kv->readers == NULL) {
        return ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < kv->readers_max; i++) {
        struct store_kv_reader *r = &kv->readers[i];
        r->view.kv = kv;
        r->free = kv->readers_free;
        kv->readers_free = r;
    }
    return 0;
}

int store_kv_lmdb_open(struct store_kv *out, const char *path, uint64_t map_bytes,
                       unsigned readers_max, const struct alloc *alloc, struct err_info *why)
{
    ASSERT(readers_max > 0);
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return err_set(why, store_lmdb_err(errno), "cannot make directory '%s'", path);
    }
    struct kv_lmdb *kv = alloc_get_zeroed(alloc, 1, sizeof(*kv));
    if (kv == NULL) {
        return err_set(why, ERR_NO_MEMORY, "cannot open table '%s': out of memory", path);
    }
    kv->alloc = *alloc;
    kv->map_bytes = num_round_up(NUM_MAX(map_bytes, 1u << 20), 4096);
    kv->readers_max = readers_max;
    kv->writer.kv = kv;
    (void)pthread_mutex_init(&kv->lock, NULL);
    int err = lmdb_open_readers(kv);
    if (err == 0) {
        err = lmdb_open_env(kv, path);
    }
    if (err != 0) {
        lmdb_close(kv);
        return err_set(why, err, "cannot open table '%s': %s", path, err_text(err));
    }
    *out = (struct store_kv){.ctx = kv,
                             .begin = lmdb_begin,
                             .put = lmdb_put,
                             .del = lmdb_del,
                             .del_range = lmdb_del_range,
                             .commit = lmdb_commit,
                             .abort = lmdb_abort,
                             .reader_open = lmdb_reader_open,
                             .get = lmdb_get,
                             .seek = lmdb_seek,
                             .next = lmdb_next,
                             .reader_close = lmdb_reader_close,
                             .usage = lmdb_usage,
                             .close = lmdb_close};
    return 0;
}
