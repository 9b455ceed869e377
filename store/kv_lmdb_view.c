/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys, records and pointers in LMDB's trees, and the way to them.
 */
#include "store/kv_lmdb_internal.h"

#include "base/crc.h"
#include "base/num.h"

#include <errno.h>
#include <string.h>

int store_lmdb_err(int rc)
{
    switch (rc) {
    case 0: return 0;
    case MDB_NOTFOUND: return ERR_NOT_FOUND;
    case MDB_MAP_FULL: return ERR_DISK_FULL;
    case ENOSPC: return ERR_DISK_FULL;
    case EDQUOT: return ERR_DISK_FULL;
    case ENOMEM: return ERR_NO_MEMORY;
    case MDB_READERS_FULL: return ERR_BUSY;
    case MDB_TXN_FULL: return ERR_TOO_LARGE;
    case MDB_CORRUPTED: return ERR_CORRUPT;
    case MDB_PAGE_NOTFOUND: return ERR_CORRUPT;
    case MDB_INVALID: return ERR_CORRUPT;
    case MDB_VERSION_MISMATCH: return ERR_LEVEL;
    case EACCES: return ERR_PERMISSION;
    case EPERM: return ERR_PERMISSION;
    case EROFS: return ERR_PERMISSION;
    case EAGAIN: return ERR_IN_USE;
    case EBUSY: return ERR_IN_USE;
    default: return ERR_IO;
    }
}

MDB_val store_lmdb_val(const void *data, size_t bytes)
{
    /* LMDB takes non-const pointers and does not write through those it is given */
    return (MDB_val){.mv_size = bytes, .mv_data = (void *)(uintptr_t)data};
}

enum lmdb_tree store_lmdb_tree_of(uint64_t id)
{
    return id == 0 ? LMDB_SHORT : LMDB_DEEP;
}

MDB_val store_lmdb_phys_make(struct lmdb_phys *p, uint64_t id, struct bytes rest)
{
    p->bytes = 0;
    if (id != 0) {
        num_put_u64_be(p->raw, id);
        p->bytes = 8;
    }
    size_t part = NUM_MIN(rest.size, LMDB_STEP);
    if (part > 0) {
        memcpy(p->raw + p->bytes, rest.data, part);
    }
    p->bytes += part;
    if (rest.size > LMDB_STEP) {
        p->raw[p->bytes++] = 0;
    }
    ASSERT(p->bytes <= sizeof(p->raw));
    return store_lmdb_val(p->raw, p->bytes);
}

struct bytes store_lmdb_rest(struct bytes key, unsigned depth)
{
    size_t at = (size_t)depth * LMDB_STEP;
    ASSERT(at <= key.size);
    return bytes_of(key.data + at, key.size - at);
}

uint32_t store_lmdb_record_crc(struct bytes key, struct bytes value)
{
    uint8_t size[4];
    num_put_u32(size, (uint32_t)key.size);
    uint32_t crc = crc_more(crc_of(size, sizeof(size)), key.data, key.size);
    return crc_more(crc, value.data, value.size);
}

static int lmdb_record_open(struct bytes key, const MDB_val *raw, struct bytes *value)
{
    const uint8_t *at = raw->mv_data;
    if (raw->mv_size < 4) {
        return ERR_CORRUPT;
    }
    struct bytes found = bytes_of(at + 4, raw->mv_size - 4);
    if (num_get_u32(at) != store_lmdb_record_crc(key, found)) {
        return ERR_CORRUPT;
    }
    *value = found;
    return 0;
}

void store_lmdb_pointer_make(uint8_t *raw, const MDB_val *phys, uint64_t id)
{
    num_put_u64(raw + 4, id);
    num_put_u32(raw, crc_more(crc_of(raw + 4, 8), phys->mv_data, phys->mv_size));
}

static int lmdb_pointer_open(const MDB_val *phys, const MDB_val *raw, uint64_t *id)
{
    uint8_t want[12];
    if (raw->mv_size != sizeof(want)) {
        return ERR_CORRUPT;
    }
    uint64_t found = num_get_u64((const uint8_t *)raw->mv_data + 4);
    store_lmdb_pointer_make(want, phys, found);
    if (found == 0 || memcmp(want, raw->mv_data, sizeof(want)) != 0) {
        return ERR_CORRUPT;
    }
    *id = found;
    return 0;
}

/* ---- views ---- */

static int lmdb_cursor(struct lmdb_view *v, enum lmdb_tree tree, MDB_cursor **out)
{
    if (!v->fresh[tree]) {
        int rc = v->cursors[tree] != NULL
                     ? mdb_cursor_renew(v->txn, v->cursors[tree])
                     : mdb_cursor_open(v->txn, v->kv->trees[tree], &v->cursors[tree]);
        TRY(store_lmdb_err(rc));
        v->fresh[tree] = true;
    }
    *out = v->cursors[tree];
    return 0;
}

static int lmdb_pointer_get(struct lmdb_view *v, uint64_t id, struct bytes rest, uint64_t *below)
{
    struct lmdb_phys p;
    MDB_val phys = store_lmdb_phys_make(&p, id, rest);
    MDB_val raw = {0};
    ASSERT(rest.size > LMDB_STEP);
    TRY(store_lmdb_err(mdb_get(v->txn, v->kv->trees[store_lmdb_tree_of(id)], &phys, &raw)));
    return lmdb_pointer_open(&phys, &raw, below);
}

int store_lmdb_descend(struct lmdb_view *v, struct bytes key, uint64_t *ids, unsigned *depth)
{
    ids[0] = 0;
    *depth = 0;
    struct bytes rest = key;
    while (rest.size > LMDB_STEP) {
        uint64_t below = 0;
        TRY(lmdb_pointer_get(v, ids[*depth], rest, &below));
        *depth += 1;
        ASSERT(*depth < LMDB_DEPTH_MAX);
        ids[*depth] = below;
        rest = store_lmdb_rest(key, *depth);
    }
    return 0;
}

int store_lmdb_view_get(struct lmdb_view *v, struct bytes key, struct bytes *value)
{
    uint64_t ids[LMDB_DEPTH_MAX];
    unsigned depth = 0;
    struct lmdb_phys p;
    MDB_val raw = {0};
    if (key.size > STORE_KV_KEY_BYTES_MAX) {
        return ERR_NOT_FOUND;
    }
    TRY(store_lmdb_descend(v, key, ids, &depth));
    MDB_val phys = store_lmdb_phys_make(&p, ids[depth], store_lmdb_rest(key, depth));
    TRY(store_lmdb_err(mdb_get(v->txn, v->kv->trees[store_lmdb_tree_of(ids[depth])], &phys, &raw)));
    return lmdb_record_open(key, &raw, value);
}

int store_lmdb_move(struct lmdb_view *v, uint64_t id, const MDB_val *phys, bool after,
                    struct lmdb_hit *hit)
{
    MDB_cursor *cursor = NULL;
    TRY(lmdb_cursor(v, store_lmdb_tree_of(id), &cursor));
    hit->key = *phys;
    int rc = mdb_cursor_get(cursor, &hit->key, &hit->raw,
                            phys->mv_size == 0 ? MDB_FIRST : MDB_SET_RANGE);
    if (rc == 0 && after && hit->key.mv_size == phys->mv_size &&
        memcmp(hit->key.mv_data, phys->mv_data, phys->mv_size) == 0) {
        rc = mdb_cursor_get(cursor, &hit->key, &hit->raw, MDB_NEXT);
    }
    TRY(store_lmdb_err(rc));
    if (id != 0 && (hit->key.mv_size < 8 || num_get_u64_be(hit->key.mv_data) != id)) {
        return ERR_NOT_FOUND;
    }
    return 0;
}

/* Notes where the record or pointer under `found` is: v->key is its key as far as this level. */
static int lmdb_note(struct lmdb_view *v, uint64_t id, unsigned depth, const MDB_val *found)
{
    size_t head_bytes = id != 0 ? 8 : 0;
    size_t rest_bytes = found->mv_size - head_bytes;
    size_t at = (size_t)depth * LMDB_STEP;
    if (rest_bytes > LMDB_STEP + 1 || at + rest_bytes > sizeof(v->key)) {
        return ERR_CORRUPT;
    }
    memcpy(v->key + at, (const uint8_t *)found->mv_data + head_bytes, rest_bytes);
    v->key_bytes = at + rest_bytes;
    v->id = id;
    v->depth = depth;
    v->bad_pointer = false;
    return 0;
}

int store_lmdb_settle(struct lmdb_view *v, uint64_t id, unsigned depth, struct lmdb_hit hit,
                      struct bytes *value)
{
    TRY(lmdb_note(v, id, depth, &hit.key));
    while (v->key_bytes - (size_t)depth * LMDB_STEP > LMDB_STEP) {
        struct lmdb_phys p;
        int err = lmdb_pointer_open(&hit.key, &hit.raw, &id);
        if (err == 0 && depth + 1 == LMDB_DEPTH_MAX) {
            err = ERR_CORRUPT;
        }
        if (err == 0) {
            MDB_val first = store_lmdb_phys_make(&p, id, (struct bytes){0});
            err = store_lmdb_move(v, id, &first, false, &hit);
        }
        if (err != 0) {
            v->bad_pointer = true;
            return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
        }
        depth++;
        TRY(lmdb_note(v, id, depth, &hit.key));
    }
    if (value == NULL) {
        return 0;
    }
    return lmdb_record_open(bytes_of(v->key, v->key_bytes), &hit.raw, value);
}

int store_lmdb_view_seek(struct lmdb_view *v, struct bytes from, bool after, bool past_pointer,
                         struct bytes *value)
{
    uint64_t ids[LMDB_DEPTH_MAX];
    unsigned depth = 0;
    struct lmdb_phys p;
    struct lmdb_hit hit = {0};
    if (from.size > sizeof(v->key)) {
        return ERR_TOO_LARGE;
    }
    if (from.size > 0) {
        memmove(v->key, from.data, from.size);
    }
    from.data = v->key;
    int err = store_lmdb_descend(v, from, ids, &depth);
    if (err != 0 && err != ERR_NOT_FOUND && !(err == ERR_CORRUPT && past_pointer)) {
        if (err == ERR_CORRUPT) {
            v->id = ids[depth];
            v->depth = depth;
            v->key_bytes = (size_t)(depth + 1) * LMDB_STEP + 1;
            v->key[v->key_bytes - 1] = 0;
            v->bad_pointer = true;
        }
        return err;
    }
    MDB_val phys = store_lmdb_phys_make(&p, ids[depth], store_lmdb_rest(from, depth));
    err = store_lmdb_move(v, ids[depth], &phys, after || past_pointer, &hit);
    while (err == ERR_NOT_FOUND && depth > 0) {
        depth--; /* on behind the pointer to the level that has ended */
        phys = store_lmdb_phys_make(&p, ids[depth], store_lmdb_rest(from, depth));
        err = store_lmdb_move(v, ids[depth], &phys, true, &hit);
    }
    TRY(err);
    return store_lmdb_settle(v, ids[depth], depth, hit, value);
}
