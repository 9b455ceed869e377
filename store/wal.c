/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The write-ahead log: opening, closing, and what can be asked. The bytes are in wal_format.h; the
 * rest in wal_append.c, wal_read.c, wal_move.c, wal_files.c, wal_index.c and wal_recover.c.
 */
#include "base/crc.h"
#include "base/num.h"
#include "store/wal_internal.h"

#include <string.h>

#define SEGMENT_BYTES_MIN (4u * WAL_BLOCK_BYTES)
#define SEGMENT_BYTES_MAX (1u << 31)
#define SEGMENT_BYTES_DEFAULT (64u << 20)
#define BATCH_BYTES_DEFAULT (8u << 20)
#define GROUPS_MAX_MAX 16384u

static int options_set(struct store_wal *w, const struct store_wal_options *options,
                       struct err_info *why)
{
    struct store_wal_options *o = &w->options;
    *o = *options;
    o->segment_bytes = o->segment_bytes == 0 ? SEGMENT_BYTES_DEFAULT : o->segment_bytes;
    o->live_segments_max = o->live_segments_max == 0 ? 8 : o->live_segments_max;
    o->batch_bytes_max = o->batch_bytes_max == 0 ? BATCH_BYTES_DEFAULT : o->batch_bytes_max;
    if (o->segment_bytes % WAL_BLOCK_BYTES != 0 || o->segment_bytes < SEGMENT_BYTES_MIN ||
        o->segment_bytes > SEGMENT_BYTES_MAX) {
        return err_set(why, ERR_INVALID, "log segments of %llu bytes",
                       (unsigned long long)o->segment_bytes);
    }
    if (o->groups_max == 0 || o->groups_max > GROUPS_MAX_MAX || o->entries_max == 0) {
        return err_set(why, ERR_INVALID, "log of %u groups and %llu entries", o->groups_max,
                       (unsigned long long)o->entries_max);
    }
    o->batch_bytes_max = NUM_MIN(o->batch_bytes_max, (uint32_t)(o->segment_bytes / 2));
    o->batch_bytes_max = NUM_MAX(o->batch_bytes_max, 2 * WAL_BLOCK_BYTES);
    return 0;
}

static int memory_set(struct store_wal *w, const struct alloc *alloc)
{
    uint8_t store[8];
    w->alloc = *alloc;
    buf_init(&w->footer, alloc, SIZE_MAX / 4);
    buf_init(&w->echo, alloc, SIZE_MAX / 4);
    buf_init(&w->item, alloc, SIZE_MAX / 4);
    buf_init(&w->move_buf, alloc, SIZE_MAX / 4);
    num_put_u64(store, w->options.store_id);
    w->identity = crc_more(crc_of(w->options.cluster, 16), store, sizeof(store));
    w->stage_bytes = (size_t)store_wal_stage_bytes(&w->options);
    w->stage = alloc_get(alloc, w->stage_bytes);
    w->groups = alloc_get(alloc, w->options.groups_max * sizeof(w->groups[0]));
    return w->stage == NULL || w->groups == NULL ? ERR_NO_MEMORY : 0;
}

static int open_dir(struct store_wal *w, struct err_info *why)
{
    int err = w->disk.make_dir(w->disk.ctx, WAL_DIR);
    if (err == 0) {
        err = w->disk.sync_dir(w->disk.ctx, ".");
    }
    if (err != 0 && err != ERR_EXISTS) {
        return err_set(why, err, "cannot make directory '" WAL_DIR "': %s", err_text(err));
    }
    return store_wal_recover(w, why);
}

int store_wal_open(struct store_wal **out, const struct disk *disk,
                   const struct store_wal_options *options, const struct alloc *alloc,
                   const struct log *log, struct err_info *why)
{
    struct store_wal *w = alloc_get_zeroed(alloc, 1, sizeof(*w));
    if (w == NULL) {
        return err_set(why, ERR_NO_MEMORY, "cannot open the log: out of memory");
    }
    w->disk = *disk;
    w->log = log;
    w->alloc = *alloc;
    if (pthread_mutex_init(&w->mutex, NULL) != 0) {
        alloc_put(alloc, w, sizeof(*w));
        return err_set(why, ERR_NO_MEMORY, "cannot open the log: no mutex");
    }
    int err = options_set(w, options, why);
    if (err == 0 && memory_set(w, alloc) != 0) {
        err = err_set(why, ERR_NO_MEMORY, "cannot open the log: out of memory");
    }
    err = err == 0 ? open_dir(w, why) : err;
    if (err != 0) {
        if (why != NULL && why->code == 0) {
            (void)err_set(why, err, "cannot open the log: %s", err_text(err));
        }
        store_wal_close(w);
        return err;
    }
    *out = w;
    return 0;
}

void store_wal_close(struct store_wal *w)
{
    struct alloc alloc = w->alloc;
    store_wal_files_close(w);
    store_wal_index_release(w);
    buf_release(&w->footer);
    buf_release(&w->echo);
    buf_release(&w->item);
    buf_release(&w->move_buf);
    alloc_put(&alloc, w->stage, w->stage_bytes);
    pthread_mutex_destroy(&w->mutex);
    alloc_put(&alloc, w, sizeof(*w));
}

unsigned store_wal_groups(struct store_wal *w, uint32_t *groups, unsigned max)
{
    unsigned count = 0;
    pthread_mutex_lock(&w->mutex);
    for (unsigned i = 0; i < w->groups_count; i++) {
        if (!w->groups[i].known) {
            continue;
        }
        if (count < max) {
            groups[count] = w->groups[i].id;
        }
        count++;
    }
    pthread_mutex_unlock(&w->mutex);
    return count;
}

int store_wal_group_get(struct store_wal *w, uint32_t group, struct store_wal_group *out)
{
    int err = ERR_NOT_FOUND;
    pthread_mutex_lock(&w->mutex);
    const struct wal_group *g = store_wal_group_find(w, group);
    if (g != NULL && g->known) {
        *out = (struct store_wal_group){.group = group,
                                        .term = g->term,
                                        .vote = g->vote,
                                        .commit = g->commit,
                                        .base_index = g->base_index,
                                        .base_term = g->base_term,
                                        .last_index = g->last_index,
                                        .hard_lost = g->hard_lost,
                                        .tail_ambiguous = g->tail_ambiguous};
        err = 0;
    }
    pthread_mutex_unlock(&w->mutex);
    return err;
}

void store_wal_stats_get(struct store_wal *w, struct store_wal_stats *out)
{
    pthread_mutex_lock(&w->mutex);
    *out = w->stats;
    pthread_mutex_unlock(&w->mutex);
}
