/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Open: what the index knows, what the directory holds, and the records behind the indexed offset
 * of each segment.
 *
 * Records there were never acknowledged (their sync had not returned), so an intact one may be
 * indexed, once it is synced, and a bad one ends the scan. If the index does not know the segment
 * at all, its records may have been acknowledged before the index was lost: then the scan goes on
 * behind bad ones, page by page, and keeps all that is intact. Of two records of a cell the one in
 * the later place wins; records name their own place, so bytes of users that look like one are not
 * taken for one.
 */
#include "store/segments_internal.h"

#include "base/num.h"

#include <string.h>

#define SEG_OPEN_CHANGES 4096u /* indexed by one transaction while scanning */

struct seg_listing {
    struct store_segments *s;
    int err;
};

static void seg_listed(void *ctx, const char *name, uint64_t bytes)
{
    struct seg_listing *listing = ctx;
    struct store_segments *s = listing->s;
    uint64_t number = 0;
    if (listing->err != 0 || !store_seg_file_number(name, &number)) {
        return;
    }
    struct seg_segment *seg = store_seg_find(s, number);
    if (seg == NULL) {
        seg = store_seg_add(s, number);
    }
    if (seg == NULL) {
        listing->err = s->segments_count == s->options.segments_max ? ERR_BUSY : ERR_NO_MEMORY;
        return;
    }
    seg->unscanned = true;
    seg->sealed = true;
    seg->file_bytes = bytes;
}

/* ---- scan ---- */

struct seg_scan {
    struct store_segments *s;
    struct seg_segment *seg;
    bool lost; /* the index does not know the segment */
    uint64_t at;
    uint64_t good_end; /* behind the last intact record */
    uint64_t found;
};

/* returns: 0 with the record at scan->at in s->scratch, ERR_CORRUPT, or an error of the disk. */
static int seg_scan_record(struct seg_scan *scan, struct store_cell_id *id, struct seg_loc *loc)
{
    struct store_segments *s = scan->s;
    size_t got = 0;
    *loc = (struct seg_loc){.segment = scan->seg->number, .offset = scan->at};
    TRY(s->disk.read(s->disk.ctx, scan->seg->file, scan->at, s->scratch, SEG_HEADER_BYTES, &got));
    if (got < SEG_HEADER_BYTES || !store_seg_header_get(s->scratch, &s->options, id, loc)) {
        return ERR_CORRUPT;
    }
    return store_seg_read_record(s, scan->seg, id, loc, s->scratch);
}

/* A record whose sync never returned may lie in the page cache alone, and a sync that failed leaves
 * its pages marked clean: the same bytes are written once more before the sync that covers them. */
static int seg_scan_make_durable(struct seg_scan *scan, const struct seg_loc *loc)
{
    struct store_segments *s = scan->s;
    struct disk_io part = {.data = s->scratch,
                           .bytes = store_seg_data_at(loc->bytes, loc->leaves_count) + loc->bytes};
    scan->seg->dirty = true;
    if (scan->lost && scan->found == 0) {
        /* the first record of a file that the index does not know: its header may be in the same
         * state */
        uint8_t raw[SEG_FILE_HEADER_USED];
        struct disk_io head = {.data = raw, .bytes = sizeof(raw)};
        store_seg_file_header_put(raw, &s->options, scan->seg->number);
        TRY(s->disk.write(s->disk.ctx, scan->seg->file, 0, &head, 1));
    }
    return s->disk.write(s->disk.ctx, scan->seg->file, loc->offset, &part, 1);
}

/* Indexes a record, unless the index has the cell in a later place. */
static int seg_scan_keep(struct seg_scan *scan, const struct store_cell_id *id,
                         const struct seg_loc *loc)
{
    struct store_segments *s = scan->s;
    struct seg_loc old = {0};
    const struct seg_change *change = store_seg_change_find(s, id);
    int err = 0;
    if (change != NULL && change->present) {
        old = change->now;
    } else {
        err = store_seg_lookup(s, id, &old);
    }
    if (err != 0 && err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
        return err;
    }
    bool same = err == 0 && old.segment == loc->segment && old.offset == loc->offset;
    if (same && scan->lost) {
        scan->seg
            ->live_cells++; /* indexed by a scan that did not end, or only the count was lost */
        scan->seg->live_bytes += loc->record_bytes;
    }
    if (same || (err == 0 && (old.segment > loc->segment ||
                              (old.segment == loc->segment && old.offset > loc->offset)))) {
        return 0;
    }
    TRY(seg_scan_make_durable(scan, loc));
    TRY(store_seg_change(s, id, loc));
    scan->found++;
    return s->changes_count < SEG_OPEN_CHANGES ? 0 : store_segments_sync(s);
}

/* Where to look next after a place that holds no intact record; false: the scan is over. After a
 * sync records go on at the next page. */
static bool seg_scan_skip(struct seg_scan *scan)
{
    uint64_t page = num_round_up(scan->at, SEG_PAGE_BYTES);
    bool at_page = page == scan->at;
    scan->at = at_page ? page + SEG_PAGE_BYTES : page;
    return !at_page || scan->lost;
}

static int seg_scan_segment(struct seg_scan *scan)
{
    while (scan->at < scan->seg->file_bytes) {
        struct store_cell_id id = {0};
        struct seg_loc loc = {0};
        int err = seg_scan_record(scan, &id, &loc);
        if (err == ERR_CORRUPT) {
            if (!seg_scan_skip(scan)) {
                break;
            }
            continue;
        }
        TRY(err);
        TRY(seg_scan_keep(scan, &id, &loc));
        scan->at += loc.record_bytes;
        scan->good_end = scan->at;
    }
    return 0;
}

/* ---- one segment ---- */

/* *blank: nothing but zeros, or nothing at all. */
static int seg_check_header(struct store_segments *s, struct seg_segment *seg, bool *blank)
{
    static const uint8_t zeros[SEG_FILE_HEADER_USED];
    uint8_t raw[SEG_FILE_HEADER_USED] = {0};
    size_t got = 0;
    TRY(s->disk.read(s->disk.ctx, seg->file, 0, raw, sizeof(raw), &got));
    *blank = memcmp(raw, zeros, sizeof(raw)) == 0;
    if (got < sizeof(raw)) {
        return ERR_CORRUPT;
    }
    return store_seg_file_header_get(raw, &s->options, seg->number);
}

/* A file without any record: a crash came while it was made. What is not surely ours stays. */
static int seg_drop_file(struct store_segments *s, struct seg_segment *seg, bool ours)
{
    char name[SEG_NAME_BYTES];
    store_seg_file_name(name, seg->number);
    store_seg_remove(s, seg);
    if (!ours) {
        log_line(&s->log, LOG_WARN, "segment_foreign", "file=%s", name);
        return 0;
    }
    TRY(s->disk.unlink(s->disk.ctx, name));
    return s->disk.sync_dir(s->disk.ctx, SEG_DIR);
}

/* The index names a segment that has no file. */
static int seg_open_missing(struct store_segments *s, struct seg_segment *seg)
{
    if (seg->live_cells > 0) {
        log_line(&s->log, LOG_ERROR, "segment_missing", "segment=%llu cells=%llu",
                 (unsigned long long)seg->number, (unsigned long long)seg->live_cells);
        return 0; /* its cells read as damaged, and are repaired */
    }
    TRY(store_seg_gone(s, seg->number));
    store_seg_remove(s, seg);
    return 0;
}

static int seg_open_one(struct store_segments *s, struct seg_segment *seg, struct err_info *why)
{
    char name[SEG_NAME_BYTES];
    struct seg_scan scan = {.s = s, .seg = seg, .lost = !seg->known, .at = seg->end};
    scan.good_end = seg->end;
    store_seg_file_name(name, seg->number);
    int err = s->disk.open(s->disk.ctx, name, DISK_OPEN_WRITE, &seg->file);
    if (err == ERR_NOT_FOUND) {
        return seg_open_missing(s, seg);
    }
    if (err != 0) {
        return err_set(why, err, "cannot open '%s': %s", name, err_text(err));
    }
    bool blank = false;
    int header = seg_check_header(s, seg, &blank);
    if (header != 0 && header != ERR_CORRUPT) {
        return err_set(why, header, "cannot use '%s': %s", name, err_text(header));
    }
    err = seg_scan_segment(&scan);
    if (err != 0) {
        return err_set(why, err, "cannot read '%s': %s", name, err_text(err));
    }
    if (scan.lost || scan.found > 0 || header != 0) {
        log_line(&s->log, header != 0 ? LOG_WARN : LOG_INFO, "segment_scanned",
                 "segment=%llu found=%llu lost_index=%d header=%s", (unsigned long long)seg->number,
                 (unsigned long long)scan.found, scan.lost, err_name(header));
    }
    if (scan.lost && scan.good_end == SEG_FILE_HEADER_BYTES) {
        return seg_drop_file(s, seg, header == 0 || blank);
    }
    seg->end = scan.good_end;
    seg->unscanned = false;
    if (seg->file_bytes > seg->end) {
        store_seg_seal(s, seg);
    }
    return 0;
}

static int seg_open_all(struct store_segments *s, struct err_info *why)
{
    struct seg_listing listing = {.s = s};
    int err = s->disk.make_dir(s->disk.ctx, SEG_DIR);
    if (err == 0) {
        err = s->disk.sync_dir(s->disk.ctx, ".");
    }
    if (err != 0 && err != ERR_EXISTS) {
        return err_set(why, err, "cannot make directory '%s': %s", SEG_DIR, err_text(err));
    }
    err = store_seg_index_load(s);
    if (err != 0) {
        return err_set(why, err, "cannot read the index of segments: %s", err_text(err));
    }
    err = s->disk.list(s->disk.ctx, SEG_DIR, &listing, seg_listed);
    err = err != 0 ? err : listing.err;
    if (err != 0) {
        return err_set(why, err, "cannot list '%s': %s", SEG_DIR, err_text(err));
    }
    for (unsigned i = s->segments_count; i-- > 0;) {
        TRY(seg_open_one(s, s->segments[i], why));
    }
    err = store_segments_sync(s);
    if (err != 0) {
        return err_set(why, err, "cannot write the index of segments: %s", err_text(err));
    }
    return 0;
}

int store_segments_open(struct store_segments **out, const struct disk *disk,
                        const struct store_kv *kv, const struct store_segments_options *options,
                        const struct alloc *alloc, const struct log *log, struct err_info *why)
{
    ASSERT(options->segment_bytes >= 65536 && options->segment_bytes % SEG_PAGE_BYTES == 0);
    ASSERT(options->segments_max > 0);
    struct store_segments *s = alloc_get_zeroed(alloc, 1, sizeof(*s));
    if (s == NULL) {
        return err_set(why, ERR_NO_MEMORY, "cannot open segments: out of memory");
    }
    s->disk = *disk;
    s->kv = *kv;
    s->options = *options;
    s->alloc = *alloc;
    s->log = log != NULL ? *log : (struct log){0};
    s->number_next = 1;
    s->scratch_bytes = SEG_META_BYTES_MAX + STORE_SEG_CELL_BYTES_MAX;
    (void)pthread_mutex_init(&s->lock, NULL);
    s->scratch = alloc_get(alloc, s->scratch_bytes);
    s->segments = alloc_get_zeroed(alloc, options->segments_max, sizeof(struct seg_segment *));
    int err = s->scratch == NULL || s->segments == NULL
                  ? err_set(why, ERR_NO_MEMORY, "cannot open segments: out of memory")
                  : seg_open_all(s, why);
    if (err != 0) {
        store_segments_close(s);
        return err;
    }
    *out = s;
    return 0;
}

void store_segments_close(struct store_segments *s)
{
    if (s == NULL) {
        return;
    }
    while (s->segments_count > 0) {
        ASSERT(s->segments[s->segments_count - 1]->refs == 0);
        store_seg_remove(s, s->segments[s->segments_count - 1]);
    }
    struct alloc alloc = s->alloc;
    store_seg_index_release(s);
    alloc_put(&alloc, s->scratch, s->scratch_bytes);
    alloc_put(&alloc, s->segments, s->options.segments_max * sizeof(struct seg_segment *));
    (void)pthread_mutex_destroy(&s->lock);
    alloc_put(&alloc, s, sizeof(*s));
}
