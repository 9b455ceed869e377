/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reading payloads back. The segment is held by its count of readers, so the read itself runs
 * outside the lock, beside appends.
 */
#include "base/crc.h"
#include "base/num.h"
#include "store/wal_internal.h"

#include <inttypes.h>
#include <string.h>

/* Takes the block heads out of bytes read from file offset on; returns what is left. */
static size_t squeeze(uint8_t *data, size_t bytes, uint64_t offset)
{
    size_t kept = 0;
    size_t at = 0;
    while (at < bytes) {
        size_t in_block = (size_t)((offset + at) % WAL_BLOCK_BYTES);
        if (in_block < WAL_BLOCK_HEAD_BYTES) {
            at += WAL_BLOCK_HEAD_BYTES - in_block;
            continue;
        }
        size_t piece = NUM_MIN(bytes - at, WAL_BLOCK_BYTES - in_block);
        memmove(data + kept, data + at, piece);
        kept += piece;
        at += piece;
    }
    return kept;
}

int store_wal_read_body(struct store_wal *w, const struct wal_entry *e, struct disk_file *file,
                        uint8_t *into)
{
    size_t done = 0;
    uint64_t offset = e->offset;
    while (done < e->bytes) {
        /* as many bytes as are missing: a few of them are block heads, so the next turn reads
         * fewer, and a handful of turns ends it */
        size_t got = 0;
        if (offset % WAL_BLOCK_BYTES == 0) {
            offset += WAL_BLOCK_HEAD_BYTES;
        }
        TRY(w->disk.read(w->disk.ctx, file, offset, into + done, e->bytes - done, &got));
        if (got == 0) {
            return ERR_CORRUPT;
        }
        done += squeeze(into + done, got, offset);
        offset += got;
        uint64_t in_block = offset % WAL_BLOCK_BYTES;
        offset += in_block < WAL_BLOCK_HEAD_BYTES ? WAL_BLOCK_HEAD_BYTES - in_block : 0;
    }
    return crc_of(into, e->bytes) == e->crc ? 0 : ERR_CORRUPT;
}

static void tell(struct store_wal_entry *out, uint64_t index, const struct wal_entry *e)
{
    *out = (struct store_wal_entry){.index = index,
                                    .term = e->term,
                                    .time_us = e->time_us,
                                    .bytes = e->bytes,
                                    .type = e->type,
                                    .state = (enum store_wal_state)e->state};
}

int store_wal_entry_get(struct store_wal *w, uint32_t group, uint64_t index,
                        struct store_wal_entry *out)
{
    int err = ERR_NOT_FOUND;
    pthread_mutex_lock(&w->mutex);
    const struct wal_group *g = store_wal_group_find(w, group);
    const struct wal_entry *e = g == NULL ? NULL : store_wal_entry_at(g, index);
    if (e != NULL) {
        tell(out, index, e);
        err = 0;
    }
    pthread_mutex_unlock(&w->mutex);
    return err;
}

/* Finds the entry and holds its segment. returns: 0 with *file, or why it cannot be read. */
static int read_begin(struct store_wal *w, uint32_t group, uint64_t index, struct wal_entry *out,
                      struct disk_file **file)
{
    int err = 0;
    pthread_mutex_lock(&w->mutex);
    const struct wal_group *g = store_wal_group_find(w, group);
    const struct wal_entry *e = g == NULL ? NULL : store_wal_entry_at(g, index);
    struct wal_segment *s = e == NULL ? NULL : store_wal_segment_of(w, e->epoch);
    if (e == NULL) {
        err = ERR_NOT_FOUND;
    } else {
        *out = *e;
        err = e->state != STORE_WAL_OK || s == NULL || s->file == NULL ? ERR_CORRUPT : 0;
    }
    if (err == 0) {
        s->readers++;
        *file = s->file;
    }
    pthread_mutex_unlock(&w->mutex);
    return err;
}

static void read_end(struct store_wal *w, uint32_t group, uint64_t index,
                     const struct wal_entry *was, int err)
{
    pthread_mutex_lock(&w->mutex);
    struct wal_segment *s = store_wal_segment_of(w, was->epoch);
    ASSERT(s != NULL && s->readers > 0);
    s->readers--;
    const struct wal_group *g = store_wal_group_find(w, group);
    struct wal_entry *e = g == NULL ? NULL : store_wal_entry_at(g, index);
    bool same = e != NULL && e->epoch == was->epoch && e->offset == was->offset &&
                e->term == was->term && e->crc == was->crc;
    if (err == ERR_CORRUPT && same) {
        store_wal_index_set_state(w, e, STORE_WAL_FAULTY);
    }
    pthread_mutex_unlock(&w->mutex);
}

int store_wal_read(struct store_wal *w, uint32_t group, uint64_t index, struct buf *into,
                   struct store_wal_entry *entry)
{
    struct wal_entry e = {0};
    struct disk_file *file = NULL;
    int err = read_begin(w, group, index, &e, &file);
    if (err == ERR_NOT_FOUND) {
        return err;
    }
    if (err == 0) {
        err = buf_reserve(into, e.bytes);
        if (err == 0 && e.bytes > 0) {
            err = store_wal_read_body(w, &e, file, into->data + into->size);
        }
        read_end(w, group, index, &e, err);
    }
    if (err == 0) {
        into->size += e.bytes;
    } else if (err == ERR_CORRUPT) {
        e.state = e.state == STORE_WAL_OK ? STORE_WAL_FAULTY : e.state;
        log_line(w->log, LOG_WARN, "wal_entry_faulty", "group=%u index=%" PRIu64, group, index);
    }
    tell(entry, index, &e);
    return err;
}
