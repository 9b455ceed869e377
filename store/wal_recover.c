/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Recovery: reads the directory, finds where the log begins, and walks the batches of each segment
 * in the order of their lsn. Nothing is cut: the next append begins a new segment, whose batches
 * name the bad last batch that was found here, so that a later recovery sees the same.
 */
#include "base/num.h"
#include "store/wal_recover_internal.h"

#include <inttypes.h>
#include <string.h>

static bool name_number(const char *name, const char *prefix, uint64_t *out)
{
    size_t skip = strlen(prefix);
    uint64_t number = 0;
    if (strncmp(name, prefix, skip) != 0 || strlen(name) != skip + 16) {
        return false;
    }
    for (const char *at = name + skip; *at != '\0'; at++) {
        bool digit = *at >= '0' && *at <= '9';
        if (!digit && !(*at >= 'a' && *at <= 'f')) {
            return false;
        }
        number = number << 4 | (uint64_t)(digit ? *at - '0' : *at - 'a' + 10);
    }
    *out = number;
    return true;
}

struct list {
    struct scan *s;
    int err;
    uint64_t remove[16];
    bool remove_pool[16];
    unsigned remove_count;
};

static void list_segment(struct list *l, uint64_t epoch)
{
    struct scan *s = l->s;
    if (s->epochs_count == s->epochs_cap) {
        unsigned cap = NUM_MAX(s->epochs_cap * 2, 16u);
        uint64_t *grown = alloc_get(&s->w->alloc, cap * sizeof(*grown));
        if (grown == NULL) {
            l->err = ERR_NO_MEMORY;
            return;
        }
        if (s->epochs_count > 0) {
            memcpy(grown, s->epochs, s->epochs_count * sizeof(*grown));
        }
        alloc_put(&s->w->alloc, s->epochs, s->epochs_cap * sizeof(*grown));
        s->epochs = grown;
        s->epochs_cap = cap;
    }
    unsigned at = s->epochs_count++;
    for (; at > 0 && s->epochs[at - 1] > epoch; at--) {
        s->epochs[at] = s->epochs[at - 1];
    }
    s->epochs[at] = epoch;
}

static void list_each(void *ctx, const char *name, uint64_t bytes)
{
    struct list *l = ctx;
    struct store_wal *w = l->s->w;
    const char *slash = strrchr(name, '/');
    uint64_t number = 0;
    name = slash == NULL ? name : slash + 1;
    if (l->err != 0) {
        return;
    }
    bool pool = name_number(name, "pool-", &number);
    if (name_number(name, "seg-", &number) && number > 0 && number <= UINT32_MAX) {
        list_segment(l, number);
    } else if (pool && bytes == w->options.segment_bytes) {
        l->err = store_wal_pool_add(w, number);
    } else if (pool || name_number(name, "new-", &number)) {
        w->pool_next = NUM_MAX(w->pool_next, number + 1);
        if (l->remove_count < 16) {
            l->remove_pool[l->remove_count] = pool;
            l->remove[l->remove_count++] = number;
        }
    }
}

static int list_files(struct scan *s)
{
    struct store_wal *w = s->w;
    struct list l = {.s = s};
    int err = w->disk.list(w->disk.ctx, WAL_DIR, &l, list_each);
    err = err == 0 ? l.err : err;
    if (err != 0) {
        return err_set(s->why, err, "cannot list the log's directory: %s", err_text(err));
    }
    for (unsigned i = 0; i < l.remove_count; i++) {
        char name[WAL_NAME_BYTES];
        store_wal_name(name, l.remove_pool[i] ? "pool" : "new", l.remove[i]);
        (void)w->disk.unlink(w->disk.ctx, name);
    }
    return 0;
}

static int open_segment(struct scan *s, uint64_t epoch, struct disk_file **file, uint64_t *bytes)
{
    const struct disk *d = &s->w->disk;
    char name[WAL_NAME_BYTES];
    store_wal_name(name, "seg", epoch);
    int err = d->open(d->ctx, name, DISK_OPEN_WRITE, file);
    if (err == 0) {
        err = d->size(d->ctx, *file, bytes);
        if (err != 0) {
            d->close(d->ctx, *file);
        }
    }
    if (err != 0) {
        return err_set(s->why, err, "cannot open '%s': %s", name, err_text(err));
    }
    return 0;
}

/* The newest batch head says where the log begins. */
static int find_first_epoch(struct scan *s, uint64_t *first)
{
    struct store_wal *w = s->w;
    *first = s->epochs[0];
    for (unsigned i = s->epochs_count; i > 0; i--) {
        struct disk_file *file = NULL;
        uint64_t bytes = 0;
        uint64_t newest = 0;
        TRY(open_segment(s, s->epochs[i - 1], &file, &bytes));
        int err = store_wal_scan_load(s, s->epochs[i - 1], file, bytes);
        w->disk.close(w->disk.ctx, file);
        TRY(err);
        for (uint32_t at = 0; at < s->blocks; at++) {
            struct wal_batch_head h;
            if (s->info[at].kind == SCAN_BATCH && s->info[at].block == 0 &&
                store_wal_take_batch_head(
                    s->data + (size_t)at * WAL_BLOCK_BYTES + WAL_BLOCK_HEAD_BYTES, &h) &&
                h.lsn > newest) {
                newest = h.lsn;
                *first = h.first_epoch;
            }
        }
        if (newest > 0) {
            return 0;
        }
    }
    return 0;
}

/* Batches lost between block `from` and block `to`, from s->next_lsn up to before `lsn`. */
static int replay_lost(struct scan *s, uint32_t from, uint32_t to, uint64_t lsn)
{
    if (lsn - s->next_lsn == 1 && from < to) {
        struct scan_batch b = {.lsn = s->next_lsn, .start = from, .blocks = to - from};
        TRY(store_wal_replay_batch(s, &b));
        s->next_lsn++;
        return 0;
    }
    if (lsn - s->next_lsn > s->blocks) {
        /* more than the segment can hold: nothing tells them one by one */
        store_wal_replay_unknown(s);
        s->next_lsn = lsn;
    }
    for (; s->next_lsn < lsn; s->next_lsn++) {
        TRY(store_wal_replay_item(s, s->next_lsn));
    }
    return 0;
}

/* The end of the segment's log, at block `at`. */
static int replay_tail(struct scan *s, uint32_t at)
{
    bool bad = at < s->blocks && s->info[at].kind == SCAN_BAD;
    TRY(store_wal_scan_peek(s));
    if (s->next_lsn == 0) {
        s->next_lsn = s->peek_found ? s->peek_lsn : 1;
    }
    uint32_t to =
        bad ? NUM_MIN(at + s->w->options.batch_bytes_max / WAL_BLOCK_BYTES + 1, s->blocks) : at;
    s->w->tail_block = at;
    if (s->peek_head_found && s->peek_head.skip_lsn == s->next_lsn && !bad) {
        /* what an earlier recovery found here is under the footer now; the next segment's STATE
         * records carry what followed from it */
        s->next_lsn++;
        return 0;
    }
    if (s->peek_found) {
        return s->peek_lsn > s->next_lsn ? replay_lost(s, at, to, s->peek_lsn) : 0;
    }
    if (bad && at >= s->blocks_there) {
        /* the file was cut, so any number of durable batches may be missing; a lsn is left out, so
         * that a later recovery sees it too */
        store_wal_replay_unknown(s);
        s->last_blocks = 0;
        s->next_lsn++;
    } else if (bad) {
        s->last_blocks = 0;
        return replay_lost(s, at, to, s->next_lsn + 1);
    }
    return 0;
}

static int replay_segment(struct scan *s)
{
    uint32_t at = 0;
    buf_clear(&s->w->footer);
    while (at < s->blocks) {
        uint32_t found = store_wal_scan_find(s, at, s->next_lsn);
        if (found == s->blocks) {
            break;
        }
        if (s->info[found].lsn > s->next_lsn && s->next_lsn != 0) {
            found = store_wal_scan_least(s, at, s->next_lsn);
        }
        const struct scan_block *f = &s->info[found];
        uint32_t start = found - at >= f->block ? found - f->block : at;
        if (s->next_lsn == 0) {
            s->next_lsn = start > at && f->lsn > 1 ? f->lsn - 1 : f->lsn;
        }
        if (f->lsn > s->next_lsn) {
            TRY(replay_lost(s, at, start, f->lsn));
        }
        struct scan_batch b = {.lsn = f->lsn,
                               .start = start,
                               .blocks = NUM_MIN((uint32_t)f->blocks, s->blocks - start),
                               .records = f->records,
                               .twice = f->twice,
                               .known = true};
        TRY(store_wal_replay_batch(s, &b));
        s->last_epoch = s->epoch;
        s->last_start = b.start;
        s->last_blocks = b.blocks;
        s->last_holes = s->holes;
        s->w->last_empty = b.records == 0;
        s->next_lsn++;
        at = b.start + b.blocks;
    }
    return replay_tail(s, at);
}

static int replay_all(struct scan *s, uint64_t first)
{
    struct store_wal *w = s->w;
    unsigned at = 0;
    uint64_t last = s->epochs[s->epochs_count - 1];
    while (s->epochs[at] < first && s->epochs[at] < last) {
        at++;
    }
    /* the head that told `first` may be an older one, if a newer one rots; what is missing before
     * the first file that is there is told as faulty by the STATE records at its start */
    w->first_epoch = s->epochs[at];
    w->durable_first_epoch = w->first_epoch;
    if (last - w->first_epoch > (1u << 20)) {
        return err_set(s->why, ERR_CORRUPT, "log segments are too far apart");
    }
    for (uint64_t epoch = w->first_epoch; epoch <= last; epoch++) {
        struct disk_file *file = NULL;
        uint64_t bytes = 0;
        while (s->epochs[at] < epoch) {
            at++;
        }
        if (s->epochs[at] != epoch) {
            log_line(w->log, LOG_ERROR, "wal_segment_missing", "epoch=%" PRIu64, epoch);
            s->epoch = epoch;
            TRY(store_wal_segment_add(w, epoch, NULL, 0));
            store_wal_replay_unknown(s);
            s->next_lsn = 0;
            continue;
        }
        TRY(open_segment(s, epoch, &file, &bytes));
        int err = store_wal_segment_add(w, epoch, file, bytes);
        if (err != 0) {
            w->disk.close(w->disk.ctx, file);
            return err;
        }
        TRY(store_wal_scan_load(s, epoch, file, bytes));
        TRY(replay_segment(s));
    }
    return 0;
}

/* The last batch may be in the cache of the system alone, and a failed sync may have marked it as
 * written there: writing the same bytes again and syncing makes it as durable as it reads. */
static int settle_last(struct scan *s)
{
    struct store_wal *w = s->w;
    struct wal_segment *g = store_wal_segment_of(w, s->last_epoch);
    if (g == NULL || g->file == NULL || s->last_blocks == 0 || s->last_holes) {
        return 0;
    }
    size_t bytes = (size_t)s->last_blocks * WAL_BLOCK_BYTES;
    uint64_t at = (uint64_t)s->last_start * WAL_BLOCK_BYTES;
    size_t got = 0;
    buf_clear(&w->move_buf);
    TRY(buf_reserve(&w->move_buf, bytes));
    int err = w->disk.read(w->disk.ctx, g->file, at, w->move_buf.data, bytes, &got);
    struct disk_io part = {.data = w->move_buf.data, .bytes = got};
    if (err == 0) {
        err = w->disk.write(w->disk.ctx, g->file, at, &part, 1);
    }
    if (err == 0) {
        err = w->disk.sync(w->disk.ctx, g->file);
    }
    return err == 0 ? 0 : err_set(s->why, err, "cannot sync the log: %s", err_text(err));
}

/* Segments from before the log's beginning. */
static void drop_old(struct scan *s)
{
    struct store_wal *w = s->w;
    for (unsigned i = 0; i < s->epochs_count && s->epochs[i] < w->first_epoch; i++) {
        char name[WAL_NAME_BYTES];
        store_wal_name(name, "seg", s->epochs[i]);
        (void)w->disk.unlink(w->disk.ctx, name);
    }
}

static int recover(struct scan *s)
{
    struct store_wal *w = s->w;
    uint64_t first = 0;
    TRY(list_files(s));
    w->first_epoch = 1;
    w->durable_first_epoch = 1;
    w->next_lsn = 1;
    w->last_empty = true;
    if (s->epochs_count == 0) {
        return 0;
    }
    TRY(find_first_epoch(s, &first));
    TRY(replay_all(s, first));
    store_wal_replay_end(s);
    TRY(settle_last(s));
    drop_old(s);
    w->next_lsn = NUM_MAX(s->next_lsn, 1);
    w->skip_lsn = s->skip_lsn == w->next_lsn - 1 ? s->skip_lsn : 0;
    w->must_rotate = true;
    w->stats.durable_lsn = w->skip_lsn != 0 ? w->skip_lsn - 1 : w->next_lsn - 1;
    log_line(w->log, LOG_INFO, "wal_recovered",
             "segments=%u groups=%u entries=%" PRIu64 " lsn=%" PRIu64 " faulty=%" PRIu64
             " ambiguous=%s",
             w->segments_count, w->groups_count, w->entries_count, w->next_lsn - 1, w->stats.faulty,
             w->skip_lsn != 0 ? "yes" : "no");
    return 0;
}

int store_wal_recover(struct store_wal *w, struct err_info *why)
{
    struct scan s = {.w = w, .why = why};
    buf_init(&s.footer, &w->alloc, SIZE_MAX / 4);
    buf_init(&s.peek_data, &w->alloc, SIZE_MAX / 4);
    buf_init(&s.scratch, &w->alloc, SIZE_MAX / 4);
    int err = recover(&s);
    store_wal_scan_release(&s);
    return err;
}
