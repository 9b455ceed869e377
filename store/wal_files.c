/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The WAL's files: the pool of fully written ones, the segments, how one becomes the other.
 *
 *   new-N --written, synced--> pool-N --rotate--> seg-E --no record needed--> pool-M
 *
 * A segment goes back only after a durable batch has said that recovery starts behind it, so a
 * crash at any step leaves either a segment that is ignored or one that is still whole.
 */
#include "base/num.h"
#include "store/wal_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ZERO_BYTES 65536u

static const uint8_t zeros[ZERO_BYTES];

void store_wal_name(char *into, const char *prefix, uint64_t number)
{
    int used = snprintf(into, WAL_NAME_BYTES, WAL_DIR "/%s-%016" PRIx64, prefix, number);
    ASSERT(used > 0 && used < (int)WAL_NAME_BYTES);
}

int store_wal_latch(struct store_wal *w, int err)
{
    if (!w->failed) {
        w->failed = true;
        log_line(w->log, LOG_ERROR, "wal_failed", "err=%s lsn=%" PRIu64, err_name(err),
                 w->next_lsn);
    }
    return ERR_IO;
}

struct wal_segment *store_wal_segment_of(struct store_wal *w, uint64_t epoch)
{
    if (w->segments_count == 0 || epoch < w->segments[0].epoch) {
        return NULL;
    }
    uint64_t at = epoch - w->segments[0].epoch;
    return at < w->segments_count ? &w->segments[at] : NULL;
}

static int segment_room(struct store_wal *w)
{
    if (w->segments_count < w->segments_cap) {
        return 0;
    }
    unsigned cap = NUM_MAX(w->segments_cap * 2, 16u);
    struct wal_segment *grown = alloc_get(&w->alloc, cap * sizeof(*grown));
    if (grown == NULL) {
        return ERR_NO_MEMORY;
    }
    pthread_mutex_lock(&w->mutex);
    if (w->segments_count > 0) {
        memcpy(grown, w->segments, w->segments_count * sizeof(*grown));
    }
    alloc_put(&w->alloc, w->segments, w->segments_cap * sizeof(*grown));
    w->segments = grown;
    w->segments_cap = cap;
    pthread_mutex_unlock(&w->mutex);
    return 0;
}

int store_wal_segment_add(struct store_wal *w, uint64_t epoch, struct disk_file *file,
                          uint64_t bytes)
{
    TRY(segment_room(w));
    pthread_mutex_lock(&w->mutex);
    ASSERT(w->segments_count == 0 || w->segments[w->segments_count - 1].epoch + 1 == epoch);
    w->segments[w->segments_count++] =
        (struct wal_segment){.epoch = epoch, .file = file, .bytes = bytes};
    w->stats.segments_live = w->segments_count;
    pthread_mutex_unlock(&w->mutex);
    return 0;
}

int store_wal_pool_add(struct store_wal *w, uint64_t number)
{
    if (w->pool_count == w->pool_cap) {
        unsigned cap = NUM_MAX(w->pool_cap * 2, 8u);
        uint64_t *grown = alloc_get(&w->alloc, cap * sizeof(*grown));
        if (grown == NULL) {
            return ERR_NO_MEMORY;
        }
        if (w->pool_count > 0) {
            memcpy(grown, w->pool, w->pool_count * sizeof(*grown));
        }
        alloc_put(&w->alloc, w->pool, w->pool_cap * sizeof(*grown));
        w->pool = grown;
        w->pool_cap = cap;
    }
    w->pool[w->pool_count++] = number;
    w->pool_next = NUM_MAX(w->pool_next, number + 1);
    return 0;
}

static void prepare_drop(struct store_wal *w)
{
    char name[WAL_NAME_BYTES];
    store_wal_name(name, "new", w->preparing_number);
    w->disk.close(w->disk.ctx, w->preparing);
    w->preparing = NULL;
    (void)w->disk.unlink(w->disk.ctx, name);
}

static int prepare_end(struct store_wal *w)
{
    char from[WAL_NAME_BYTES];
    char to[WAL_NAME_BYTES];
    int err = w->disk.sync(w->disk.ctx, w->preparing);
    if (err != 0) {
        prepare_drop(w);
        return err;
    }
    w->disk.close(w->disk.ctx, w->preparing);
    w->preparing = NULL;
    store_wal_name(from, "new", w->preparing_number);
    store_wal_name(to, "pool", w->preparing_number);
    TRY(w->disk.rename(w->disk.ctx, from, to));
    TRY(w->disk.sync_dir(w->disk.ctx, WAL_DIR));
    return store_wal_pool_add(w, w->preparing_number);
}

int store_wal_pool_step(struct store_wal *w, uint64_t budget_bytes, bool *more)
{
    uint64_t written = 0;
    if (w->preparing == NULL) {
        char name[WAL_NAME_BYTES];
        store_wal_name(name, "new", w->pool_next);
        TRY(w->disk.open(w->disk.ctx, name, DISK_OPEN_CREATE, &w->preparing));
        w->preparing_number = w->pool_next++;
        w->preparing_bytes = 0;
    }
    while (w->preparing_bytes < w->options.segment_bytes && written < budget_bytes) {
        uint64_t left = w->options.segment_bytes - w->preparing_bytes;
        struct disk_io part = {.data = zeros, .bytes = (size_t)NUM_MIN(left, ZERO_BYTES)};
        int err = w->disk.write(w->disk.ctx, w->preparing, w->preparing_bytes, &part, 1);
        if (err != 0) {
            prepare_drop(w);
            return err;
        }
        w->preparing_bytes += part.bytes;
        written += part.bytes;
    }
    *more = w->preparing_bytes < w->options.segment_bytes;
    return *more ? 0 : prepare_end(w);
}

uint32_t store_wal_footer_blocks(uint64_t bytes)
{
    return (uint32_t)num_div_up(bytes, WAL_BLOCK_ROOM);
}

/* Writes the items of all batches of the last segment at its end. The room was kept free. */
static int seal(struct store_wal *w)
{
    struct wal_segment *s = &w->segments[w->segments_count - 1];
    uint32_t blocks = store_wal_footer_blocks(w->footer.size);
    uint64_t room = s->bytes / WAL_BLOCK_BYTES;
    w->sealed = true;
    if (s->file == NULL || blocks == 0 || w->tail_block + blocks > room) {
        return 0;
    }
    uint8_t head[WAL_BLOCK_HEAD_BYTES];
    struct wal_block_head h = {.magic = WAL_MAGIC_FOOTER,
                               .epoch = s->epoch,
                               .lsn = w->next_lsn - 1,
                               .records = (uint32_t)w->footer.size,
                               .blocks = (uint16_t)blocks};
    int err = 0;
    for (uint32_t i = 0; i < blocks && err == 0; i++) {
        size_t from = (size_t)i * WAL_BLOCK_ROOM;
        size_t bytes = NUM_MIN(w->footer.size - from, WAL_BLOCK_ROOM);
        h.block = (uint16_t)i;
        store_wal_put_block_head(head, &h);
        struct disk_io parts[3] = {
            {head, sizeof(head)}, {w->footer.data + from, bytes}, {zeros, WAL_BLOCK_ROOM - bytes}};
        err = w->disk.write(w->disk.ctx, s->file, (room - blocks + i) * WAL_BLOCK_BYTES, parts,
                            bytes == WAL_BLOCK_ROOM ? 2 : 3);
    }
    if (err == 0) {
        err = w->disk.sync(w->disk.ctx, s->file);
        w->stats.syncs++;
        return err == 0 ? 0 : store_wal_latch(w, err);
    }
    w->sealed = false;
    return err == ERR_DISK_FULL ? err : store_wal_latch(w, err);
}

int store_wal_rotate(struct store_wal *w)
{
    char from[WAL_NAME_BYTES];
    char to[WAL_NAME_BYTES];
    struct disk_file *file = NULL;
    bool more = true;
    uint64_t epoch =
        w->segments_count == 0 ? w->first_epoch : w->segments[w->segments_count - 1].epoch + 1;
    TRY(segment_room(w));
    while (w->pool_count == 0) {
        int err = store_wal_pool_step(w, UINT64_MAX, &more);
        if (err != 0) {
            return err == ERR_DISK_FULL || err == ERR_NO_MEMORY ? err : store_wal_latch(w, err);
        }
    }
    if (w->segments_count > 0 && !w->sealed) {
        TRY(seal(w));
    }
    store_wal_name(from, "pool", w->pool[w->pool_count - 1]);
    store_wal_name(to, "seg", epoch);
    int err = w->disk.rename(w->disk.ctx, from, to);
    if (err != 0) {
        return err == ERR_DISK_FULL ? err : store_wal_latch(w, err);
    }
    w->pool_count--;
    err = w->disk.sync_dir(w->disk.ctx, WAL_DIR);
    if (err == 0) {
        err = w->disk.open(w->disk.ctx, to, DISK_OPEN_WRITE, &file);
    }
    if (err == 0) {
        err = store_wal_segment_add(w, epoch, file, w->options.segment_bytes);
    }
    if (err != 0) {
        return store_wal_latch(w, err);
    }
    w->tail_block = 0;
    w->must_rotate = false;
    w->sealed = false;
    w->head_due = true;
    buf_clear(&w->footer);
    return 0;
}

/* Gives one file to the pool, or removes it. */
static void recycle_file(struct store_wal *w, uint64_t epoch, uint64_t bytes)
{
    char from[WAL_NAME_BYTES];
    char to[WAL_NAME_BYTES];
    store_wal_name(from, "seg", epoch);
    store_wal_name(to, "pool", w->pool_next);
    int err = 0;
    if (w->pool_count < w->options.pool_segments && bytes == w->options.segment_bytes) {
        err = w->disk.rename(w->disk.ctx, from, to);
        err = err == 0 ? store_wal_pool_add(w, w->pool_next) : err;
    } else {
        err = w->disk.unlink(w->disk.ctx, from);
    }
    if (err != 0) {
        log_line(w->log, LOG_WARN, "wal_recycle_failed", "epoch=%" PRIu64 " err=%s", epoch,
                 err_name(err));
    }
}

int store_wal_recycle(struct store_wal *w)
{
    bool changed = false;
    while (w->segments_count > 1 && w->segments[0].epoch < w->durable_first_epoch) {
        pthread_mutex_lock(&w->mutex);
        struct wal_segment first = w->segments[0];
        if (first.readers > 0) {
            pthread_mutex_unlock(&w->mutex);
            break;
        }
        ASSERT(first.live == 0);
        w->segments_count--;
        memmove(w->segments, w->segments + 1, w->segments_count * sizeof(w->segments[0]));
        w->stats.segments_live = w->segments_count;
        pthread_mutex_unlock(&w->mutex);
        if (first.file != NULL) {
            w->disk.close(w->disk.ctx, first.file);
            recycle_file(w, first.epoch, first.bytes);
            changed = true;
        }
    }
    return changed ? w->disk.sync_dir(w->disk.ctx, WAL_DIR) : 0;
}

void store_wal_files_close(struct store_wal *w)
{
    for (unsigned i = 0; i < w->segments_count; i++) {
        ASSERT(w->segments[i].readers == 0);
        if (w->segments[i].file != NULL) {
            w->disk.close(w->disk.ctx, w->segments[i].file);
        }
    }
    if (w->preparing != NULL) {
        prepare_drop(w);
    }
    alloc_put(&w->alloc, w->segments, w->segments_cap * sizeof(w->segments[0]));
    alloc_put(&w->alloc, w->pool, w->pool_cap * sizeof(w->pool[0]));
    w->segments = NULL;
    w->segments_count = 0;
    w->pool = NULL;
}
