/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Recovery, the reading part: loads a segment, sorts its blocks, and finds what the footer and the
 * next batch tell about a batch that cannot be read. It changes nothing in the index.
 */
#include "base/num.h"
#include "store/wal_recover_internal.h"

#include <inttypes.h>
#include <string.h>

#define HOLE_BYTE 0xa5

/* Makes room for a segment. keep: blocks that stay as they are. */
static int scan_memory(struct scan *s, uint64_t bytes, uint32_t keep)
{
    struct alloc *a = &s->w->alloc;
    uint32_t blocks = (uint32_t)(bytes / WAL_BLOCK_BYTES);
    if (bytes > s->data_bytes) {
        uint8_t *data = alloc_get(a, (size_t)bytes);
        if (data == NULL) {
            return ERR_NO_MEMORY;
        }
        if (keep > 0) {
            memcpy(data, s->data, (size_t)keep * WAL_BLOCK_BYTES);
        }
        alloc_put(a, s->data, s->data_bytes);
        s->data = data;
        s->data_bytes = (size_t)bytes;
    }
    if (blocks > s->info_count) {
        struct scan_block *info = alloc_get(a, blocks * sizeof(*info));
        if (info == NULL) {
            return ERR_NO_MEMORY;
        }
        if (keep > 0) {
            memcpy(info, s->info, keep * sizeof(*info));
        }
        alloc_put(a, s->info, s->info_count * sizeof(*info));
        s->info = info;
        s->info_count = blocks;
    }
    return 0;
}

/* Blocks that cannot be read count as damaged; a file of which none can is an error. */
static int read_by_block(struct scan *s, struct disk_file *file, size_t bytes)
{
    const struct disk *d = &s->w->disk;
    size_t failed = 0;
    for (size_t at = 0; at < bytes; at += WAL_BLOCK_BYTES) {
        size_t got = 0;
        int err = d->read(d->ctx, file, at, s->data + at, WAL_BLOCK_BYTES, &got);
        if (err != 0 || got < WAL_BLOCK_BYTES) {
            memset(s->data + at, HOLE_BYTE, WAL_BLOCK_BYTES);
            failed += WAL_BLOCK_BYTES;
        }
    }
    s->holes = failed > 0;
    return failed == bytes ? ERR_IO : 0;
}

/* What a valid batch head must agree with. */
static int check_head(struct scan *s, const struct wal_batch_head *h)
{
    const struct store_wal_options *o = &s->w->options;
    if (h->level > WAL_LEVEL) {
        return err_set(s->why, ERR_LEVEL, "log segment %" PRIu64 " has format level %u", s->epoch,
                       h->level);
    }
    if (memcmp(h->cluster, o->cluster, sizeof(h->cluster)) != 0 || h->store_id != o->store_id) {
        return err_set(s->why, ERR_WRONG_CLUSTER,
                       "log segment %" PRIu64 " belongs to another cluster or store", s->epoch);
    }
    return 0;
}

static bool all_zero(const uint8_t *data, size_t bytes)
{
    return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

static void block_set(struct scan_block *b, uint8_t kind, const struct wal_block_head *h)
{
    *b = (struct scan_block){.lsn = h->lsn,
                             .records = h->records,
                             .block = h->block,
                             .blocks = h->blocks,
                             .twice = h->twice,
                             .kind = kind};
}

/* Sorts one block. Its own head and, in the first block of a batch, the batch head tell the same,
 * so one of them may be damaged. */
static int block_sort(struct scan *s, const uint8_t *data, struct scan_block *out)
{
    struct wal_block_head h = {0};
    struct wal_batch_head batch = {0};
    bool head = store_wal_take_block_head(data, &h);
    bool first = (!head || (h.magic == WAL_MAGIC_BATCH && h.block == 0)) &&
                 store_wal_take_batch_head(data + WAL_BLOCK_HEAD_BYTES, &batch);
    *out = (struct scan_block){.kind = SCAN_BAD};
    if (!head && first && batch.blocks > 0 && batch.blocks <= WAL_BLOCKS_MAX) {
        h = (struct wal_block_head){.epoch = batch.epoch,
                                    .lsn = batch.lsn,
                                    .records = batch.records,
                                    .magic = WAL_MAGIC_BATCH,
                                    .blocks = (uint16_t)batch.blocks,
                                    .twice = (uint16_t)batch.twice};
        head = true;
    }
    if (!head) {
        out->kind = all_zero(data, WAL_BLOCK_BYTES) ? SCAN_ZERO : SCAN_BAD;
        return 0;
    }
    if (h.epoch > s->epoch) {
        return err_set(s->why, ERR_CORRUPT,
                       "log segment %" PRIu64 " holds blocks of segment %" PRIu64, s->epoch,
                       h.epoch);
    }
    if (h.epoch < s->epoch) {
        out->kind = SCAN_OLD;
        return 0;
    }
    block_set(out, h.magic == WAL_MAGIC_BATCH ? SCAN_BATCH : SCAN_FOOTER, &h);
    return first ? check_head(s, &batch) : 0;
}

/* Gathers the footer; a damaged block of it reads as zeros, which no item's checksum passes. */
static int footer_gather(struct scan *s)
{
    buf_clear(&s->footer);
    for (uint32_t i = 0; i < s->blocks; i++) {
        const struct scan_block *b = &s->info[i];
        if (b->kind != SCAN_FOOTER || b->blocks > s->blocks) {
            continue;
        }
        uint32_t first = s->blocks - b->blocks;
        size_t bytes = (size_t)b->blocks * WAL_BLOCK_ROOM;
        TRY(buf_reserve(&s->footer, bytes));
        struct wal_view v = {.data = s->data + (size_t)first * WAL_BLOCK_BYTES,
                             .blocks = b->blocks};
        bool there = store_wal_view_take(&v, 0, s->footer.data, bytes);
        ASSERT(there);
        s->footer.size = NUM_MIN(bytes, b->records);
        return 0;
    }
    return 0;
}

/* Segments are written in full before they are used. One that is shorter than its heads say, or
 * than new ones are if it has none, was cut: what is missing counts as damaged blocks. */
static int extend_short(struct scan *s)
{
    uint64_t want = s->w->options.segment_bytes;
    struct wal_batch_head h;
    for (uint32_t i = 0; i < s->blocks; i++) {
        if (s->info[i].kind == SCAN_BATCH &&
            store_wal_take_batch_head(s->data + (size_t)i * WAL_BLOCK_BYTES + WAL_BLOCK_HEAD_BYTES,
                                      &h)) {
            want = h.segment_bytes;
            break;
        }
    }
    uint32_t blocks = (uint32_t)NUM_MIN(want / WAL_BLOCK_BYTES, UINT32_MAX / WAL_BLOCK_BYTES);
    if (blocks <= s->blocks) {
        return 0;
    }
    TRY(scan_memory(s, (uint64_t)blocks * WAL_BLOCK_BYTES, s->blocks));
    for (uint32_t i = s->blocks; i < blocks; i++) {
        memset(s->data + (size_t)i * WAL_BLOCK_BYTES, HOLE_BYTE, WAL_BLOCK_BYTES);
        s->info[i] = (struct scan_block){.kind = SCAN_BAD};
    }
    s->blocks = blocks;
    return 0;
}

int store_wal_scan_load(struct scan *s, uint64_t epoch, struct disk_file *file, uint64_t bytes)
{
    const struct disk *d = &s->w->disk;
    size_t got = 0;
    s->epoch = epoch;
    s->blocks = (uint32_t)(bytes / WAL_BLOCK_BYTES);
    s->blocks_there = s->blocks;
    s->holes = false;
    s->peeked = false;
    TRY(scan_memory(s, bytes, 0));
    size_t whole = (size_t)s->blocks * WAL_BLOCK_BYTES;
    int err = whole == 0 ? 0 : d->read(d->ctx, file, 0, s->data, whole, &got);
    if (err == ERR_IO) {
        TRY(read_by_block(s, file, whole));
    } else if (err != 0 || got < whole) {
        return err_set(s->why, err != 0 ? err : ERR_IO, "cannot read log segment %" PRIu64, epoch);
    }
    for (uint32_t i = 0; i < s->blocks; i++) {
        TRY(block_sort(s, s->data + (size_t)i * WAL_BLOCK_BYTES, &s->info[i]));
    }
    TRY(extend_short(s));
    return footer_gather(s);
}

uint32_t store_wal_scan_find(const struct scan *s, uint32_t from, uint64_t lsn)
{
    uint32_t at = from;
    while (at < s->blocks && !(s->info[at].kind == SCAN_BATCH && s->info[at].lsn >= lsn)) {
        at++;
    }
    return at;
}

uint32_t store_wal_scan_least(const struct scan *s, uint32_t from, uint64_t lsn)
{
    uint32_t least = store_wal_scan_find(s, from, lsn);
    for (uint32_t at = least; at < s->blocks; at++) {
        if (s->info[at].kind == SCAN_BATCH && s->info[at].lsn >= lsn &&
            s->info[at].lsn < s->info[least].lsn) {
            least = at;
        }
    }
    return least;
}

/* Looks into one later segment, block by block. */
static int peek_file(struct scan *s, uint64_t epoch, struct disk_file *file, uint64_t bytes)
{
    const struct disk *d = &s->w->disk;
    uint8_t block[WAL_BLOCK_BYTES];
    size_t got = 0;
    for (uint64_t at = 0; at + WAL_BLOCK_BYTES <= bytes && !s->peek_head_found;
         at += WAL_BLOCK_BYTES) {
        struct wal_block_head h;
        if (d->read(d->ctx, file, at, block, sizeof(block), &got) != 0 || got < sizeof(block)) {
            continue;
        }
        if (!s->peek_found && store_wal_take_block_head(block, &h) && h.epoch == epoch &&
            h.magic == WAL_MAGIC_BATCH) {
            s->peek_found = true;
            s->peek_lsn = h.lsn;
        }
        if (!store_wal_take_batch_head(block + WAL_BLOCK_HEAD_BYTES, &s->peek_head) ||
            s->peek_head.epoch != epoch || s->peek_head.blocks > WAL_BLOCKS_MAX) {
            continue;
        }
        s->peek_lsn = s->peek_found ? s->peek_lsn : s->peek_head.lsn;
        s->peek_found = true;
        s->peek_head_found = true;
        size_t whole = (size_t)NUM_MIN((uint64_t)s->peek_head.blocks * WAL_BLOCK_BYTES, bytes - at);
        buf_clear(&s->peek_data);
        TRY(buf_reserve(&s->peek_data, whole));
        if (d->read(d->ctx, file, at, s->peek_data.data, whole, &got) == 0) {
            s->peek_data.size = got / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES;
        }
    }
    return 0;
}

int store_wal_scan_peek(struct scan *s)
{
    const struct disk *d = &s->w->disk;
    if (s->peeked) {
        return 0;
    }
    s->peeked = true;
    s->peek_found = false;
    s->peek_head_found = false;
    buf_clear(&s->peek_data);
    for (unsigned i = 0; i < s->epochs_count && !s->peek_found; i++) {
        char name[WAL_NAME_BYTES];
        struct disk_file *file = NULL;
        uint64_t bytes = 0;
        if (s->epochs[i] <= s->epoch) {
            continue;
        }
        store_wal_name(name, "seg", s->epochs[i]);
        TRY(d->open(d->ctx, name, DISK_OPEN_READ, &file));
        int err = d->size(d->ctx, file, &bytes);
        err = err == 0 ? peek_file(s, s->epochs[i], file, bytes) : err;
        d->close(d->ctx, file);
        TRY(err);
    }
    return 0;
}

int store_wal_scan_verdict(struct scan *s, uint64_t lsn, enum scan_verdict *verdict)
{
    *verdict = SCAN_DURABLE;
    if (store_wal_scan_find(s, 0, lsn + 1) < s->blocks) {
        return 0;
    }
    TRY(store_wal_scan_peek(s));
    if (!s->peek_found || (s->peek_head_found && s->peek_head.skip_lsn == lsn)) {
        *verdict = SCAN_AMBIGUOUS;
    }
    return 0;
}

/* Copies the item out of the batch that follows, if it is there and whole. */
static int item_from(struct scan *s, const struct wal_view *v, uint32_t records, uint64_t lsn)
{
    uint8_t head[WAL_ITEM_HEAD_BYTES];
    uint64_t at = WAL_BATCH_HEAD_BYTES + (uint64_t)records * WAL_RECORD_HEAD_BYTES;
    buf_clear(&s->scratch);
    if (!store_wal_view_take(v, at, head, sizeof(head)) || num_get_u64(head + 8) != lsn) {
        return 0;
    }
    uint64_t bytes = WAL_ITEM_HEAD_BYTES + (uint64_t)num_get_u32(head + 4) * WAL_RUN_BYTES;
    if (bytes > (uint64_t)v->blocks * WAL_BLOCK_ROOM) {
        return 0;
    }
    TRY(buf_reserve(&s->scratch, (size_t)bytes));
    if (store_wal_view_take(v, at, s->scratch.data, (size_t)bytes)) {
        s->scratch.size = store_wal_check_item(s->scratch.data, (size_t)bytes, lsn);
    }
    return 0;
}

static int item_from_footer(struct scan *s, uint64_t lsn)
{
    size_t at = 0;
    buf_clear(&s->scratch);
    while (at < s->footer.size) {
        uint32_t bytes = store_wal_check_item(s->footer.data + at, s->footer.size - at, 0);
        if (bytes == 0) {
            return 0;
        }
        if (num_get_u64(s->footer.data + at + 8) == lsn) {
            return buf_append(&s->scratch, s->footer.data + at, bytes);
        }
        at += bytes;
    }
    return 0;
}

int store_wal_scan_item(struct scan *s, uint64_t lsn, bool *found, uint32_t *runs)
{
    TRY(item_from_footer(s, lsn));
    uint32_t at = store_wal_scan_least(s, 0, lsn + 1);
    if (s->scratch.size == 0 && at < s->blocks && s->info[at].lsn == lsn + 1 &&
        s->info[at].block == 0) {
        struct wal_view v = {.data = s->data + (size_t)at * WAL_BLOCK_BYTES,
                             .blocks = NUM_MIN((uint32_t)s->info[at].blocks, s->blocks - at)};
        TRY(item_from(s, &v, s->info[at].records, lsn));
    }
    if (s->scratch.size == 0 && at == s->blocks) {
        TRY(store_wal_scan_peek(s));
        if (s->peek_head_found && s->peek_head.lsn == lsn + 1) {
            struct wal_view v = {.data = s->peek_data.data,
                                 .blocks = (uint32_t)(s->peek_data.size / WAL_BLOCK_BYTES)};
            TRY(item_from(s, &v, s->peek_head.records, lsn));
        }
    }
    *found = s->scratch.size > 0;
    *runs = !*found ? 0 : (uint32_t)((s->scratch.size - WAL_ITEM_HEAD_BYTES) / WAL_RUN_BYTES);
    return 0;
}

struct wal_run store_wal_scan_run(const struct scan *s, uint32_t at)
{
    struct wal_run run;
    size_t place = WAL_ITEM_HEAD_BYTES + (size_t)at * WAL_RUN_BYTES;
    ASSERT(place + WAL_RUN_BYTES <= s->scratch.size);
    store_wal_take_run(s->scratch.data + place, &run);
    return run;
}

void store_wal_scan_release(struct scan *s)
{
    struct alloc *a = &s->w->alloc;
    alloc_put(a, s->data, s->data_bytes);
    alloc_put(a, s->info, s->info_count * sizeof(s->info[0]));
    alloc_put(a, s->epochs, s->epochs_cap * sizeof(s->epochs[0]));
    buf_release(&s->footer);
    buf_release(&s->peek_data);
    buf_release(&s->scratch);
}
