/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A skip list of keys, each with its versions, newest first. A version carries the number of the
 * commit that wrote it; a reader sees the newest one not above the number at which it began. Old
 * versions and deleted keys are pruned once no reader can see them.
 */
#include "tests/sim/model_kv.h"

#include "base/num.h"
#include "base/rng.h"

#include <string.h>

#define SIM_KV_HEIGHT_MAX 16u
#define SIM_KV_RECORD_BYTES 64u /* counted for each record beside key and value */

struct sim_kv_version {
    struct sim_kv_version *older;
    uint64_t commit;
    uint32_t value_bytes;
    bool present;
    bool rotten;
    uint8_t value[];
};

struct sim_kv_node {
    struct sim_kv_version *versions;
    struct sim_kv_node *touched; /* next in the list of the open transaction */
    struct sim_kv_node *stale;   /* next in the list of nodes to prune */
    uint32_t key_bytes;
    uint8_t height;
    bool is_touched;
    bool is_stale;
    struct sim_kv_node *next[];
};

struct store_kv_reader {
    struct sim_kv *kv;
    struct store_kv_reader *newer; /* readers in order of their begin */
    struct store_kv_reader *older;
    struct sim_kv_node *at; /* last sought */
    uint64_t commit;
};

struct sim_kv {
    struct alloc alloc;
    struct rng rng;
    struct sim_kv_node *head[SIM_KV_HEIGHT_MAX];
    struct sim_kv_node *touched;
    struct sim_kv_node *stale;
    struct store_kv_reader *oldest;
    struct store_kv_reader *newest;
    uint64_t commit; /* the last one */
    uint64_t limit_bytes;
    uint64_t used_bytes; /* with the open transaction's changes */
    uint64_t used_committed_bytes;
    bool open; /* a transaction is */
    int txn_err;
    int fail_code;
    bool failed;
};

static struct bytes sim_kv_key(const struct sim_kv_node *n)
{
    return bytes_of((const uint8_t *)n + sizeof(*n) + n->height * sizeof(n->next[0]), n->key_bytes);
}

static size_t sim_kv_node_bytes(const struct sim_kv_node *n)
{
    return sizeof(*n) + n->height * sizeof(n->next[0]) + n->key_bytes;
}

static uint64_t sim_kv_record_bytes(const struct sim_kv_node *n, const struct sim_kv_version *v)
{
    return v != NULL && v->present ? (uint64_t)n->key_bytes + v->value_bytes + SIM_KV_RECORD_BYTES
                                   : 0;
}

static void sim_kv_version_free(struct sim_kv *kv, struct sim_kv_version *v)
{
    alloc_put(&kv->alloc, v, sizeof(*v) + v->value_bytes);
}

/* First node with key >= key (> if after); links as in a skip list, or NULL. */
static struct sim_kv_node *sim_kv_find(struct sim_kv *kv, struct bytes key, bool after,
                                       struct sim_kv_node ***links)
{
    struct sim_kv_node **level_links = kv->head;
    for (unsigned level = SIM_KV_HEIGHT_MAX; level-- > 0;) {
        struct sim_kv_node *n = level_links[level];
        while (n != NULL) {
            int order = bytes_compare(sim_kv_key(n), key);
            if (order > 0 || (order == 0 && !after)) {
                break;
            }
            level_links = n->next;
            n = level_links[level];
        }
        if (links != NULL) {
            links[level] = &level_links[level];
        }
    }
    return level_links[0];
}

static void sim_kv_node_remove(struct sim_kv *kv, struct sim_kv_node *n)
{
    struct sim_kv_node **links[SIM_KV_HEIGHT_MAX];
    struct sim_kv_node *found = sim_kv_find(kv, sim_kv_key(n), false, links);
    ASSERT(found == n && n->versions == NULL);
    for (unsigned level = 0; level < n->height; level++) {
        ASSERT(*links[level] == n);
        *links[level] = n->next[level];
    }
    alloc_put(&kv->alloc, n, sim_kv_node_bytes(n));
}

static struct sim_kv_node *sim_kv_node_add(struct sim_kv *kv, struct bytes key)
{
    struct sim_kv_node **links[SIM_KV_HEIGHT_MAX];
    struct sim_kv_node *n = sim_kv_find(kv, key, false, links);
    if (n != NULL && bytes_equal(sim_kv_key(n), key)) {
        return n;
    }
    uint64_t bits = rng_next(&kv->rng);
    uint8_t height = 1;
    while (height < SIM_KV_HEIGHT_MAX && (bits & 3) == 0) {
        bits >>= 2;
        height++;
    }
    size_t head_bytes = sizeof(*n) + height * sizeof(n->next[0]);
    n = alloc_get(&kv->alloc, head_bytes + key.size);
    if (n == NULL) {
        return NULL;
    }
    *n = (struct sim_kv_node){.key_bytes = (uint32_t)key.size, .height = height};
    memcpy((uint8_t *)n + head_bytes, key.data, key.size);
    for (unsigned level = 0; level < height; level++) {
        n->next[level] = *links[level];
        *links[level] = n;
    }
    return n;
}

/* ---- pruning ---- */

static void sim_kv_mark_stale(struct sim_kv *kv, struct sim_kv_node *n)
{
    if (!n->is_stale) {
        n->is_stale = true;
        n->stale = kv->stale;
        kv->stale = n;
    }
}

/* Frees the versions that no reader from `since` on can see. returns: whether more could go when
 * readers have ended. */
static bool sim_kv_prune_node(struct sim_kv *kv, struct sim_kv_node *n, uint64_t since)
{
    struct sim_kv_version *keep = n->versions;
    while (keep != NULL && keep->commit > since) {
        keep = keep->older;
    }
    while (keep != NULL && keep->older != NULL) {
        struct sim_kv_version *old = keep->older;
        keep->older = old->older;
        sim_kv_version_free(kv, old);
    }
    struct sim_kv_version *top = n->versions;
    if (top != NULL && !top->present && top->commit <= since) {
        ASSERT(top->older == NULL);
        n->versions = NULL;
        sim_kv_version_free(kv, top);
    }
    return n->versions != NULL && (n->versions->older != NULL || !n->versions->present);
}

/* A reader's place is safe: the version it sees there is kept, and so is the node. */
static void sim_kv_prune(struct sim_kv *kv)
{
    struct sim_kv_node *n = kv->stale;
    uint64_t since = kv->oldest != NULL ? kv->oldest->commit : kv->commit;
    kv->stale = NULL;
    while (n != NULL) {
        struct sim_kv_node *next = n->stale;
        n->is_stale = false;
        if (sim_kv_prune_node(kv, n, since)) {
            sim_kv_mark_stale(kv, n);
        } else if (n->versions == NULL && !n->is_touched) {
            sim_kv_node_remove(kv, n);
        }
        n = next;
    }
}

/* ---- writing ---- */

static struct sim_kv *sim_kv_writer(void *ctx)
{
    struct sim_kv *kv = ctx;
    ASSERT(kv->open);
    return kv;
}

static int sim_kv_begin(void *ctx)
{
    struct sim_kv *kv = ctx;
    ASSERT(!kv->open);
    if (kv->failed) {
        return ERR_IO;
    }
    kv->open = true;
    kv->txn_err = 0;
    return 0;
}

static int sim_kv_txn_fail(struct sim_kv *kv, int code)
{
    kv->txn_err = code;
    return code;
}

/* Puts a version on top of n, or replaces the one that this transaction put there. */
static int sim_kv_write(struct sim_kv *kv, struct sim_kv_node *n, bool present, struct bytes value)
{
    struct sim_kv_version *top = n->versions;
    struct sim_kv_version *v = alloc_get(&kv->alloc, sizeof(*v) + value.size);
    if (v == NULL) {
        return sim_kv_txn_fail(kv, ERR_NO_MEMORY);
    }
    *v = (struct sim_kv_version){.older = top,
                                 .commit = kv->commit + 1,
                                 .value_bytes = (uint32_t)value.size,
                                 .present = present};
    if (value.size > 0) {
        memcpy(v->value, value.data, value.size);
    }
    kv->used_bytes -= sim_kv_record_bytes(n, top);
    kv->used_bytes += sim_kv_record_bytes(n, v);
    if (top != NULL && top->commit == v->commit) {
        v->older = top->older;
        sim_kv_version_free(kv, top);
    }
    n->versions = v;
    return 0;
}

static void sim_kv_touch(struct sim_kv *kv, struct sim_kv_node *n)
{
    if (!n->is_touched) {
        n->is_touched = true;
        n->touched = kv->touched;
        kv->touched = n;
    }
}

static int sim_kv_put(void *ctx, struct bytes key, struct bytes value)
{
    struct sim_kv *kv = sim_kv_writer(ctx);
    ASSERT(key.size > 0);
    if (kv->txn_err != 0) {
        return kv->txn_err;
    }
    if (key.size > STORE_KV_KEY_BYTES_MAX || value.size > STORE_KV_VALUE_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    struct sim_kv_node *n = sim_kv_node_add(kv, key);
    if (n == NULL) {
        return sim_kv_txn_fail(kv, ERR_NO_MEMORY);
    }
    sim_kv_touch(kv, n);
    uint64_t after_bytes = kv->used_bytes - sim_kv_record_bytes(n, n->versions) + key.size +
                           value.size + SIM_KV_RECORD_BYTES;
    if (after_bytes > kv->limit_bytes && after_bytes > kv->used_bytes) {
        return sim_kv_txn_fail(kv, ERR_DISK_FULL);
    }
    return sim_kv_write(kv, n, true, value);
}

static int sim_kv_del_node(struct sim_kv *kv, struct sim_kv_node *n)
{
    sim_kv_touch(kv, n);
    return sim_kv_write(kv, n, false, (struct bytes){0});
}

static int sim_kv_del(void *ctx, struct bytes key)
{
    struct sim_kv *kv = sim_kv_writer(ctx);
    ASSERT(key.size > 0);
    if (kv->txn_err != 0) {
        return kv->txn_err;
    }
    struct sim_kv_node *n = sim_kv_find(kv, key, false, NULL);
    bool there =
        n != NULL && bytes_equal(sim_kv_key(n), key) && n->versions != NULL && n->versions->present;
    return there ? sim_kv_del_node(kv, n) : 0;
}

static int sim_kv_del_range(void *ctx, struct bytes from, struct bytes to, uint64_t limit,
                            uint64_t *deleted)
{
    struct sim_kv *kv = sim_kv_writer(ctx);
    uint64_t count = 0;
    if (kv->txn_err != 0) {
        return kv->txn_err;
    }
    struct sim_kv_node *n = sim_kv_find(kv, from, false, NULL);
    while (n != NULL && count < limit && (to.size == 0 || bytes_compare(sim_kv_key(n), to) < 0)) {
        if (n->versions != NULL && n->versions->present) {
            TRY(sim_kv_del_node(kv, n));
            count++;
        }
        n = n->next[0];
    }
    *deleted = count;
    return 0;
}

/* Takes the open transaction's versions away. */
static void sim_kv_undo(struct sim_kv *kv)
{
    while (kv->touched != NULL) {
        struct sim_kv_node *n = kv->touched;
        struct sim_kv_version *top = n->versions;
        kv->touched = n->touched;
        n->is_touched = false;
        if (top != NULL && top->commit == kv->commit + 1) {
            n->versions = top->older;
            sim_kv_version_free(kv, top);
        }
        if (n->versions == NULL) {
            sim_kv_mark_stale(kv, n);
        }
    }
    kv->used_bytes = kv->used_committed_bytes;
    kv->open = false;
    if (kv->oldest == NULL) {
        sim_kv_prune(kv);
    }
}

static int sim_kv_commit(void *ctx)
{
    struct sim_kv *kv = sim_kv_writer(ctx);
    int err = kv->txn_err != 0 ? kv->txn_err : kv->fail_code;
    if (err != 0) {
        kv->failed = kv->txn_err == 0 && err != ERR_DISK_FULL;
        kv->fail_code = 0;
        sim_kv_undo(kv);
        return err;
    }
    kv->commit++;
    while (kv->touched != NULL) {
        struct sim_kv_node *n = kv->touched;
        kv->touched = n->touched;
        n->is_touched = false;
        sim_kv_mark_stale(kv, n);
    }
    kv->used_committed_bytes = kv->used_bytes;
    kv->open = false;
    if (kv->oldest == NULL) {
        sim_kv_prune(kv);
    }
    return 0;
}

static void sim_kv_abort(void *ctx)
{
    sim_kv_undo(sim_kv_writer(ctx));
}

/* ---- reading ---- */

static int sim_kv_reader_open(void *ctx, struct store_kv_reader **out)
{
    struct sim_kv *kv = ctx;
    if (kv->failed) {
        return ERR_IO;
    }
    struct store_kv_reader *r = alloc_get_zeroed(&kv->alloc, 1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    r->kv = kv;
    r->commit = kv->commit;
    r->older = kv->newest;
    if (kv->newest != NULL) {
        kv->newest->newer = r;
    } else {
        kv->oldest = r;
    }
    kv->newest = r;
    *out = r;
    return 0;
}

static const struct sim_kv_version *sim_kv_seen(const struct store_kv_reader *r,
                                                const struct sim_kv_node *n)
{
    const struct sim_kv_version *v = n->versions;
    while (v != NULL && v->commit > r->commit) {
        v = v->older;
    }
    return v != NULL && v->present ? v : NULL;
}

static int sim_kv_get(struct store_kv_reader *r, struct bytes key, struct bytes *value)
{
    ASSERT(key.size > 0);
    if (r->kv->failed) {
        return ERR_IO;
    }
    struct sim_kv_node *n = sim_kv_find(r->kv, key, false, NULL);
    const struct sim_kv_version *v = NULL;
    if (n != NULL && bytes_equal(sim_kv_key(n), key)) {
        v = sim_kv_seen(r, n);
    }
    if (v == NULL) {
        return ERR_NOT_FOUND;
    }
    if (v->rotten) {
        return ERR_CORRUPT;
    }
    *value = bytes_of(v->value, v->value_bytes);
    return 0;
}

/* The first record at or after n that r sees. */
static int sim_kv_settle(struct store_kv_reader *r, struct sim_kv_node *n, struct bytes *key,
                         struct bytes *value)
{
    const struct sim_kv_version *v = NULL;
    if (r->kv->failed) {
        return ERR_IO;
    }
    while (n != NULL && (v = sim_kv_seen(r, n)) == NULL) {
        n = n->next[0];
    }
    r->at = n;
    if (n == NULL) {
        return ERR_NOT_FOUND;
    }
    *key = sim_kv_key(n);
    if (v->rotten) {
        return ERR_CORRUPT;
    }
    *value = bytes_of(v->value, v->value_bytes);
    return 0;
}

static int sim_kv_seek(struct store_kv_reader *r, struct bytes from, bool after, struct bytes *key,
                       struct bytes *value)
{
    return sim_kv_settle(r, sim_kv_find(r->kv, from, after, NULL), key, value);
}

/* r->at stays in the list as long as r: the version that r saw keeps its node. */
static int sim_kv_next(struct store_kv_reader *r, struct bytes *key, struct bytes *value)
{
    return sim_kv_settle(r, r->at != NULL ? r->at->next[0] : NULL, key, value);
}

static void sim_kv_reader_close(struct store_kv_reader *r)
{
    struct sim_kv *kv = r->kv;
    bool was_oldest = kv->oldest == r;
    if (r->older != NULL) {
        r->older->newer = r->newer;
    } else {
        kv->oldest = r->newer;
    }
    if (r->newer != NULL) {
        r->newer->older = r->older;
    } else {
        kv->newest = r->older;
    }
    alloc_put(&kv->alloc, r, sizeof(*r));
    if (was_oldest) {
        sim_kv_prune(kv);
    }
}

static void sim_kv_usage(void *ctx, uint64_t *used_bytes, uint64_t *limit_bytes)
{
    struct sim_kv *kv = ctx;
    *used_bytes = kv->used_committed_bytes;
    *limit_bytes = kv->limit_bytes;
}

static void sim_kv_close(void *ctx)
{
    struct sim_kv *kv = ctx;
    ASSERT(kv->oldest == NULL && !kv->open);
    struct sim_kv_node *n = kv->head[0];
    while (n != NULL) {
        struct sim_kv_node *next = n->next[0];
        while (n->versions != NULL) {
            struct sim_kv_version *older = n->versions->older;
            sim_kv_version_free(kv, n->versions);
            n->versions = older;
        }
        alloc_put(&kv->alloc, n, sim_kv_node_bytes(n));
        n = next;
    }
    struct alloc alloc = kv->alloc;
    alloc_put(&alloc, kv, sizeof(*kv));
}

int sim_kv_new(struct store_kv *out, uint64_t limit_bytes, const struct alloc *alloc)
{
    struct sim_kv *kv = alloc_get_zeroed(alloc, 1, sizeof(*kv));
    if (kv == NULL) {
        return ERR_NO_MEMORY;
    }
    kv->alloc = *alloc;
    kv->limit_bytes = limit_bytes;
    rng_init(&kv->rng, 1);
    *out = (struct store_kv){.ctx = kv,
                             .begin = sim_kv_begin,
                             .put = sim_kv_put,
                             .del = sim_kv_del,
                             .del_range = sim_kv_del_range,
                             .commit = sim_kv_commit,
                             .abort = sim_kv_abort,
                             .reader_open = sim_kv_reader_open,
                             .get = sim_kv_get,
                             .seek = sim_kv_seek,
                             .next = sim_kv_next,
                             .reader_close = sim_kv_reader_close,
                             .usage = sim_kv_usage,
                             .close = sim_kv_close};
    return 0;
}

void sim_kv_crash(struct store_kv *table)
{
    struct sim_kv *kv = table->ctx;
    while (kv->oldest != NULL) {
        sim_kv_reader_close(kv->oldest);
    }
    if (kv->open) {
        sim_kv_undo(kv);
    }
    kv->failed = false;
    kv->fail_code = 0;
}

void sim_kv_fail_commit(struct store_kv *table, int code)
{
    struct sim_kv *kv = table->ctx;
    kv->fail_code = code;
}

int sim_kv_rot(struct store_kv *table, struct bytes key)
{
    struct sim_kv *kv = table->ctx;
    struct sim_kv_node *n = sim_kv_find(kv, key, false, NULL);
    if (n == NULL || !bytes_equal(sim_kv_key(n), key)) {
        return ERR_NOT_FOUND;
    }
    struct sim_kv_version *v = n->versions;
    while (v != NULL && v->commit > kv->commit) {
        v = v->older;
    }
    if (v == NULL || !v->present) {
        return ERR_NOT_FOUND;
    }
    v->rotten = true;
    return 0;
}

void sim_kv_limit(struct store_kv *table, uint64_t limit_bytes)
{
    struct sim_kv *kv = table->ctx;
    kv->limit_bytes = limit_bytes;
}
