/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Cells go to the head segment and are found through the index.
 */
#include "store/segments_internal.h"

#include "base/num.h"

#include <string.h>

/* A cell may be moved, and its old segment dropped, between the look-up and the read. */
#define SEG_READ_TRIES 8u
#define SEG_READ_BYTES (16 * STORE_SEG_BLOCK_BYTES) /* at once, of a cell */

/* ---- the table of segments ---- */

/* The writing thread changes the table and reads it without the lock; others take it. */
struct seg_segment *store_seg_find(struct store_segments *s, uint64_t number)
{
    unsigned low = 0;
    unsigned high = s->segments_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (s->segments[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < s->segments_count && s->segments[low]->number == number ? s->segments[low] : NULL;
}

struct seg_segment *store_seg_add(struct store_segments *s, uint64_t number)
{
    ASSERT(store_seg_find(s, number) == NULL);
    if (s->segments_count == s->options.segments_max) {
        return NULL;
    }
    struct seg_segment *seg = alloc_get_zeroed(&s->alloc, 1, sizeof(*seg));
    if (seg == NULL) {
        return NULL;
    }
    seg->number = number;
    seg->end = SEG_FILE_HEADER_BYTES;
    (void)pthread_mutex_lock(&s->lock);
    unsigned at = s->segments_count++;
    while (at > 0 && s->segments[at - 1]->number > number) {
        s->segments[at] = s->segments[at - 1];
        at--;
    }
    s->segments[at] = seg;
    (void)pthread_mutex_unlock(&s->lock);
    if (number >= s->number_next) {
        s->number_next = number + 1;
    }
    return seg;
}

static void seg_free(struct store_segments *s, struct seg_segment *seg)
{
    if (seg->file != NULL) {
        s->disk.close(s->disk.ctx, seg->file);
    }
    alloc_put(&s->alloc, seg, sizeof(*seg));
}

void store_seg_remove(struct store_segments *s, struct seg_segment *seg)
{
    (void)pthread_mutex_lock(&s->lock);
    unsigned at = 0;
    while (at < s->segments_count && s->segments[at] != seg) {
        at++;
    }
    ASSERT(at < s->segments_count);
    s->segments_count--;
    for (; at < s->segments_count; at++) {
        s->segments[at] = s->segments[at + 1];
    }
    seg->doomed = true;
    bool unused = seg->refs == 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (s->head == seg) {
        s->head = NULL;
    }
    if (unused) {
        seg_free(s, seg);
    }
}

static struct seg_segment *seg_hold(struct store_segments *s, uint64_t number)
{
    (void)pthread_mutex_lock(&s->lock);
    struct seg_segment *seg = store_seg_find(s, number);
    if (seg != NULL) {
        seg->refs++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return seg;
}

static void seg_let_go(struct store_segments *s, struct seg_segment *seg)
{
    (void)pthread_mutex_lock(&s->lock);
    ASSERT(seg->refs > 0);
    seg->refs--;
    bool last = seg->doomed && seg->refs == 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (last) {
        seg_free(s, seg);
    }
}

/* ---- writing ---- */

/* Allocates, names and makes durable the file of a new segment. */
static int seg_file_make(struct store_segments *s, const char *name, uint64_t number,
                         struct disk_file **out)
{
    const struct disk *disk = &s->disk;
    uint8_t header[SEG_FILE_HEADER_USED];
    struct disk_io part = {.data = header, .bytes = sizeof(header)};
    struct disk_file *file = NULL;
    store_seg_file_header_put(header, &s->options, number);
    TRY(disk->open(disk->ctx, name, DISK_OPEN_CREATE, &file));
    int err = disk->reserve(disk->ctx, file, s->options.segment_bytes);
    if (err == 0) {
        err = disk->write(disk->ctx, file, 0, &part, 1);
    }
    if (err == 0) {
        err = disk->sync(disk->ctx, file);
    }
    if (err == 0) {
        err = disk->sync_dir(disk->ctx, SEG_DIR);
    }
    if (err != 0) {
        disk->close(disk->ctx, file);
        if (disk->unlink(disk->ctx, name) != 0) {
            s->number_next = number + 1; /* the next open looks at what is left */
        }
        return err;
    }
    *out = file;
    return 0;
}

static int seg_head_make(struct store_segments *s, bool moving)
{
    char name[SEG_NAME_BYTES];
    struct disk_file *file = NULL;
    uint64_t free_bytes = 0;
    uint64_t number = s->number_next;
    uint64_t keep_bytes = moving ? s->options.reserve_bytes / 4 : s->options.reserve_bytes;
    unsigned last = moving || s->options.segments_max == 1 ? 0 : 1;
    if (s->segments_count + last >= s->options.segments_max || number > SEG_NUMBER_MAX) {
        return ERR_BUSY;
    }
    TRY(s->disk.free_bytes(s->disk.ctx, &free_bytes));
    if (free_bytes < keep_bytes || free_bytes - keep_bytes < s->options.segment_bytes) {
        return ERR_DISK_FULL;
    }
    store_seg_file_name(name, number);
    TRY(seg_file_make(s, name, number, &file));
    struct seg_segment *seg = store_seg_add(s, number);
    if (seg == NULL) {
        s->disk.close(s->disk.ctx, file);
        (void)s->disk.unlink(s->disk.ctx, name);
        return ERR_NO_MEMORY;
    }
    (void)pthread_mutex_lock(&s->lock);
    seg->file = file;
    seg->file_bytes = s->options.segment_bytes;
    (void)pthread_mutex_unlock(&s->lock);
    s->head = seg;
    log_line(&s->log, LOG_INFO, "segment_started", "segment=%llu", (unsigned long long)number);
    return 0;
}

void store_seg_seal(struct store_segments *s, struct seg_segment *seg)
{
    ASSERT(seg->end <= seg->file_bytes);
    seg->sealed = true;
    if (s->head == seg) {
        s->head = NULL;
    }
    /* only room is lost if this fails */
    if (s->disk.truncate(s->disk.ctx, seg->file, seg->end) == 0) {
        (void)pthread_mutex_lock(&s->lock);
        seg->file_bytes = seg->end;
        (void)pthread_mutex_unlock(&s->lock);
    }
}

static int seg_write(struct store_segments *s, const struct store_cell *cell,
                     const struct seg_loc *loc)
{
    uint8_t meta[SEG_META_BYTES_MAX];
    struct disk_io parts[2] = {
        {.data = meta, .bytes = store_seg_data_at(cell->bytes, cell->leaves_count)},
        {.data = cell->data, .bytes = cell->bytes},
    };
    ASSERT(loc->offset % SEG_ALIGN_BYTES == 0 && parts[0].bytes <= sizeof(meta));
    store_seg_meta_put(meta, &s->options, cell, loc);
    s->head->dirty = true;
    int err = s->disk.write(s->disk.ctx, s->head->file, loc->offset, parts, 2);
    if (err != 0 && err != ERR_DISK_FULL) {
        s->failed = true;
        return ERR_IO;
    }
    return err;
}

int store_seg_append(struct store_segments *s, const struct store_cell *cell, bool moving)
{
    struct seg_loc loc = {.bytes = cell->bytes,
                          .record_bytes = store_seg_record_bytes(cell->bytes, cell->leaves_count),
                          .group = cell->group,
                          .leaves_count = cell->leaves_count};
    if (loc.record_bytes > s->options.segment_bytes - SEG_FILE_HEADER_BYTES) {
        return ERR_TOO_LARGE;
    }
    if (s->head != NULL && !num_fits(s->head->end, loc.record_bytes, s->options.segment_bytes)) {
        store_seg_seal(s, s->head);
    }
    if (s->head == NULL) {
        TRY(seg_head_make(s, moving));
    }
    loc.segment = s->head->number;
    loc.offset = s->head->end;
    TRY(seg_write(s, cell, &loc));
    TRY(store_seg_change(s, &cell->id, &loc));
    s->head->end += loc.record_bytes;
    ASSERT(s->head->end <= s->options.segment_bytes);
    return 0;
}

int store_segments_put(struct store_segments *s, const struct store_cell *cell)
{
    if (cell->bytes == 0 || cell->bytes > STORE_SEG_CELL_BYTES_MAX ||
        cell->leaves_count > STORE_SEG_LEAVES_MAX || cell->id.shard == SEG_SHARD_ALL) {
        return ERR_INVALID;
    }
    if (s->failed) {
        return ERR_IO;
    }
    if (s->changes_count >= SEG_PENDING_MAX) {
        return ERR_BUSY;
    }
    return store_seg_append(s, cell, false);
}

static int seg_sync_files(struct store_segments *s)
{
    for (unsigned i = 0; i < s->segments_count; i++) {
        struct seg_segment *seg = s->segments[i];
        if (!seg->dirty) {
            continue;
        }
        TRY(s->disk.sync(s->disk.ctx, seg->file));
        seg->dirty = false;
        if (!seg->sealed) {
            /* what is durable now is not written again: the next record starts a page */
            seg->end = NUM_MIN(num_round_up(seg->end, SEG_PAGE_BYTES), s->options.segment_bytes);
        }
    }
    return 0;
}

int store_segments_sync(struct store_segments *s)
{
    if (s->failed) {
        return ERR_IO;
    }
    if (seg_sync_files(s) != 0) {
        s->failed = true;
        store_seg_changes_forget(s);
        return ERR_IO;
    }
    int err = store_seg_commit(s);
    if (err != 0 && err != ERR_DISK_FULL && err != ERR_BUSY) {
        s->failed = true;
        return ERR_IO;
    }
    return err;
}

/* ---- deleting ---- */

static bool seg_range_has(const struct store_cell_range *range, const struct store_cell_id *id)
{
    return id->extent_grant == range->extent_grant && id->extent_counter == range->extent_counter &&
           (range->shard == SEG_SHARD_ALL || id->shard == range->shard) &&
           id->cell >= range->first && id->cell <= range->last;
}

/* A shard's cells lie together, in order; those of all shards one shard after the other. */
static int seg_delete_committed(struct store_segments *s, struct store_kv_reader *r,
                                const struct store_cell_range *range, uint64_t *deleted)
{
    struct bytes key = {0};
    struct bytes value = {0};
    uint8_t raw[SEG_CELL_KEY_BYTES];
    bool all = range->shard == SEG_SHARD_ALL;
    const struct store_cell_id begin = {.extent_grant = range->extent_grant,
                                        .extent_counter = range->extent_counter,
                                        .cell = all ? 0 : range->first,
                                        .shard = all ? 0 : range->shard};
    store_seg_cell_key(raw, &begin);
    struct bytes prefix = bytes_of(raw, all ? SEG_SHARD_KEY_BYTES - 1 : SEG_SHARD_KEY_BYTES);
    int err = s->kv.seek(r, bytes_of(raw, sizeof raw), false, &key, &value);
    while ((err == 0 || err == ERR_CORRUPT) && bytes_has_prefix(key, prefix)) {
        struct store_cell_id id;
        bool named = store_seg_cell_key_get(key, &id);
        if (named && !all && id.cell > range->last) {
            return 0;
        }
        if (named && seg_range_has(range, &id)) {
            const struct seg_change *change = store_seg_change_find(s, &id);
            *deleted += change == NULL;
            TRY(change == NULL ? store_seg_change(s, &id, NULL) : 0);
        }
        err = s->kv.next(r, &key, &value);
    }
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? 0 : err;
}

int store_segments_delete_range(struct store_segments *s, const struct store_cell_range *range,
                                uint64_t *deleted)
{
    struct store_kv_reader *r = NULL;
    uint64_t count = 0;
    if (s->failed) {
        return ERR_IO;
    }
    TRY(s->kv.reader_open(s->kv.ctx, &r));
    int err = seg_delete_committed(s, r, range, &count);
    s->kv.reader_close(r);
    TRY(err);
    for (size_t i = 0; i < s->changes_count; i++) {
        struct seg_change *change = &s->changes[i];
        if (change->present && seg_range_has(range, &change->id)) {
            change->present = false;
            count++;
        }
    }
    *deleted = count;
    return 0;
}

int store_segments_delete(struct store_segments *s, uint64_t extent_grant, uint64_t extent_counter,
                          uint8_t shard, uint64_t *deleted)
{
    const struct store_cell_range range = {.extent_grant = extent_grant,
                                           .extent_counter = extent_counter,
                                           .first = 0,
                                           .last = UINT32_MAX,
                                           .shard = shard};
    return store_segments_delete_range(s, &range, deleted);
}

/* ---- reading ---- */

static int seg_read(struct store_segments *s, struct seg_segment *seg, uint64_t offset, void *into,
                    size_t bytes)
{
    size_t got = 0;
    TRY(s->disk.read(s->disk.ctx, seg->file, offset, into, bytes, &got));
    return got == bytes ? 0 : ERR_CORRUPT;
}

int store_seg_read_record(struct store_segments *s, struct seg_segment *seg,
                          const struct store_cell_id *id, const struct seg_loc *loc, uint8_t *raw)
{
    uint32_t data_at = store_seg_data_at(loc->bytes, loc->leaves_count);
    TRY(seg_read(s, seg, loc->offset, raw, (size_t)data_at + loc->bytes));
    TRY(store_seg_meta_check(raw, &s->options, id, loc));
    for (uint32_t block = 0; block < store_seg_blocks(loc->bytes); block++) {
        uint32_t at = block * STORE_SEG_BLOCK_BYTES;
        uint32_t part = NUM_MIN(loc->bytes - at, STORE_SEG_BLOCK_BYTES);
        if (store_seg_block_crc(id, block, raw + data_at + at, part) !=
            store_seg_meta_crc(raw, loc->leaves_count, block)) {
            return ERR_CORRUPT;
        }
    }
    return 0;
}

/* One get: the meta of the record has been read and checked. */
struct seg_get {
    struct store_segments *s;
    struct seg_segment *seg;
    const struct store_cell_id *id;
    const struct seg_loc *loc;
    uint64_t data_at; /* in the file */
    uint8_t meta[SEG_META_BYTES_MAX];
};

static int seg_get_check(const struct seg_get *g, uint32_t block, const uint8_t *data)
{
    uint32_t at = block * STORE_SEG_BLOCK_BYTES;
    uint32_t bytes = NUM_MIN(g->loc->bytes - at, STORE_SEG_BLOCK_BYTES);
    uint32_t want = store_seg_meta_crc(g->meta, g->loc->leaves_count, block);
    return store_seg_block_crc(g->id, block, data, bytes) == want ? 0 : ERR_CORRUPT;
}

/* Whole blocks from the start of one: straight to where they are wanted, and checked before they
 * have left the core's cache. */
static int seg_get_run(struct seg_get *g, uint32_t offset, uint32_t bytes, uint8_t *into)
{
    ASSERT(offset % STORE_SEG_BLOCK_BYTES == 0);
    while (bytes > 0) {
        const uint32_t part = NUM_MIN(bytes, SEG_READ_BYTES);
        TRY(seg_read(g->s, g->seg, g->data_at + offset, into, part));
        for (uint32_t at = 0; at < part; at += STORE_SEG_BLOCK_BYTES) {
            TRY(seg_get_check(g, (offset + at) / STORE_SEG_BLOCK_BYTES, into + at));
        }
        offset += part;
        into += part;
        bytes -= part;
    }
    return 0;
}

/* Part of one block: by way of the whole block. */
static int seg_get_part(struct seg_get *g, uint32_t offset, uint32_t bytes, uint8_t *into)
{
    uint8_t whole[STORE_SEG_BLOCK_BYTES];
    uint32_t block = offset / STORE_SEG_BLOCK_BYTES;
    uint32_t at = block * STORE_SEG_BLOCK_BYTES;
    uint32_t block_bytes = NUM_MIN(g->loc->bytes - at, STORE_SEG_BLOCK_BYTES);
    ASSERT(num_fits(offset - at, bytes, block_bytes));
    TRY(seg_read(g->s, g->seg, g->data_at + at, whole, block_bytes));
    TRY(seg_get_check(g, block, whole));
    memcpy(into, whole + (offset - at), bytes);
    return 0;
}

static int seg_get_range(struct seg_get *g, uint32_t offset, uint32_t bytes, uint8_t *into)
{
    while (bytes > 0) {
        uint32_t inside = offset % STORE_SEG_BLOCK_BYTES;
        bool to_end = offset + bytes == g->loc->bytes;
        uint32_t run = to_end ? bytes : bytes - bytes % STORE_SEG_BLOCK_BYTES;
        uint32_t part = NUM_MIN(bytes, STORE_SEG_BLOCK_BYTES - inside);
        if (inside == 0 && run > 0) {
            part = run;
            TRY(seg_get_run(g, offset, part, into));
        } else {
            TRY(seg_get_part(g, offset, part, into));
        }
        offset += part;
        into += part;
        bytes -= part;
    }
    return 0;
}

static int seg_get_at(struct seg_get *g, uint32_t offset, uint32_t bytes, uint8_t *into,
                      struct store_cell_info *info)
{
    const struct seg_loc *loc = g->loc;
    uint32_t meta_bytes = store_seg_data_at(loc->bytes, loc->leaves_count);
    if (g->seg->file == NULL) {
        return ERR_CORRUPT;
    }
    if (!num_fits(offset, bytes, loc->bytes)) {
        return ERR_RANGE;
    }
    TRY(seg_read(g->s, g->seg, loc->offset, g->meta, meta_bytes));
    TRY(store_seg_meta_check(g->meta, &g->s->options, g->id, loc));
    g->data_at = loc->offset + meta_bytes;
    TRY(seg_get_range(g, offset, bytes, into));
    if (info != NULL) {
        info->group = loc->group;
        info->bytes = loc->bytes;
        info->leaves_count = loc->leaves_count;
        info->crc = bytes == loc->bytes
                        ? store_seg_cell_crc(g->meta, g->id, loc->bytes, loc->leaves_count)
                        : 0;
        memcpy(info->leaves, store_seg_meta_leaves(g->meta), 32u * loc->leaves_count);
    }
    return 0;
}

int store_segments_get(struct store_segments *s, const struct store_cell_id *id, uint32_t offset,
                       uint32_t bytes, uint8_t *into, struct store_cell_info *info)
{
    struct seg_loc loc = {0};
    struct seg_segment *seg = NULL;
    int err = 0;
    ASSERT(bytes == 0 || into != NULL);
    for (unsigned tries = 0; tries < SEG_READ_TRIES && seg == NULL && err == 0; tries++) {
        err = store_seg_lookup(s, id, &loc);
        seg = err == 0 ? seg_hold(s, loc.segment) : NULL;
    }
    if (seg != NULL) {
        struct seg_get g = {.s = s, .seg = seg, .id = id, .loc = &loc};
        err = seg_get_at(&g, offset, bytes, into, info);
        seg_let_go(s, seg);
    } else if (err == 0) {
        err = ERR_CORRUPT;
    }
    if (err == ERR_CORRUPT) {
        (void)pthread_mutex_lock(&s->lock);
        s->corrupt_reads++;
        (void)pthread_mutex_unlock(&s->lock);
    }
    return err;
}

void store_segments_stats_get(struct store_segments *s, struct store_segments_stats *out)
{
    (void)pthread_mutex_lock(&s->lock);
    *out = (struct store_segments_stats){.segments = s->segments_count,
                                         .corrupt_reads = s->corrupt_reads};
    for (unsigned i = 0; i < s->segments_count; i++) {
        out->cells += s->segments[i]->live_cells;
        out->live_bytes += s->segments[i]->live_bytes;
        out->file_bytes += s->segments[i]->file_bytes;
    }
    (void)pthread_mutex_unlock(&s->lock);
}
