/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Compaction: the live records of the emptiest sealed segment are copied to the head; once the
 * index has committed their new places nothing points to the old segment, and its file goes. Its
 * record in the index goes after the file, so that a crash between the two cannot make an old file
 * look like one whose index was lost.
 */
#include "store/segments_internal.h"

#include "base/num.h"

/* Small segments (left by restarts) are gathered once there are this many. */
#define SEG_SMALL_COUNT 8u

static bool seg_is_small(const struct store_segments *s, const struct seg_segment *seg)
{
    return seg->file_bytes < s->options.segment_bytes / 4;
}

/* returns: the segment to compact next, or NULL: none is worth it. */
static struct seg_segment *seg_choose(struct store_segments *s)
{
    struct seg_segment *best = NULL;
    unsigned small = 0;
    for (unsigned i = 0; i < s->segments_count; i++) {
        small += s->segments[i]->sealed && seg_is_small(s, s->segments[i]);
    }
    for (unsigned i = 0; i < s->segments_count; i++) {
        struct seg_segment *seg = s->segments[i];
        bool worth = seg->live_bytes < seg->file_bytes / 2 ||
                     (small >= SEG_SMALL_COUNT && seg_is_small(s, seg));
        if (!seg->sealed || seg->stuck || seg->file == NULL || !worth) {
            continue;
        }
        if (best == NULL || seg->live_bytes < best->live_bytes) {
            best = seg;
        }
    }
    return best;
}

static int seg_drop(struct store_segments *s, struct seg_segment *seg)
{
    char name[SEG_NAME_BYTES];
    uint64_t number = seg->number;
    ASSERT(seg->live_cells == 0 && seg->sealed);
    store_seg_file_name(name, number);
    store_seg_remove(s, seg);
    TRY(s->disk.unlink(s->disk.ctx, name));
    TRY(s->disk.sync_dir(s->disk.ctx, SEG_DIR));
    log_line(&s->log, LOG_INFO, "segment_dropped", "segment=%llu", (unsigned long long)number);
    return store_seg_gone(s, number);
}

/* Copies a live record to the head. returns: ERR_CORRUPT if it cannot be read. */
static int seg_copy(struct store_segments *s, struct seg_segment *seg,
                    const struct store_cell_id *id, const struct seg_loc *loc)
{
    ASSERT(loc->record_bytes <= s->scratch_bytes);
    TRY(store_seg_read_record(s, seg, id, loc, s->scratch));
    struct store_cell cell = {.id = *id,
                              .group = loc->group,
                              .bytes = loc->bytes,
                              .leaves_count = loc->leaves_count,
                              .leaves = store_seg_meta_leaves(s->scratch),
                              .data =
                                  s->scratch + store_seg_data_at(loc->bytes, loc->leaves_count)};
    return store_seg_append(s, &cell, true);
}

/* One record at s->compact_at. returns: 0 with *copied_bytes; ERR_CORRUPT: the segment is stuck. */
static int seg_compact_step(struct store_segments *s, struct seg_segment *seg,
                            uint64_t *copied_bytes)
{
    uint8_t header[SEG_HEADER_BYTES];
    struct store_cell_id id = {0};
    struct seg_loc loc = {.segment = seg->number, .offset = s->compact_at};
    struct seg_loc live = {0};
    size_t got = 0;
    *copied_bytes = 0;
    TRY(s->disk.read(s->disk.ctx, seg->file, s->compact_at, header, sizeof(header), &got));
    if (got < sizeof(header) || !store_seg_header_get(header, &s->options, &id, &loc)) {
        uint64_t page = num_round_up(s->compact_at, SEG_PAGE_BYTES);
        /* records go on at the next page after a sync; anywhere else this one is damaged */
        s->compact_at = page != s->compact_at ? page : page + SEG_PAGE_BYTES;
        return 0;
    }
    int err = store_seg_lookup(s, &id, &live);
    if (err == 0 && live.segment == loc.segment && live.offset == loc.offset) {
        TRY(seg_copy(s, seg, &id, &live));
        *copied_bytes = live.record_bytes;
    } else if (err != 0 && err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
        return err;
    }
    s->compact_at += loc.record_bytes;
    return 0;
}

static int seg_compact(struct store_segments *s, struct seg_segment *seg, uint64_t budget_bytes)
{
    uint64_t used_bytes = 0;
    while (s->compact_at < seg->end && used_bytes < budget_bytes) {
        uint64_t copied_bytes = 0;
        int err = seg_compact_step(s, seg, &copied_bytes);
        if (err == ERR_CORRUPT) {
            seg->stuck = true;
            break;
        }
        TRY(err);
        /* a step reads at least a header */
        used_bytes += NUM_MAX(copied_bytes, SEG_HEADER_BYTES);
    }
    return 0;
}

/* All that could be copied has been: the segment goes, or waits for the repair of what is left. */
static int seg_compact_end(struct store_segments *s, struct seg_segment *seg)
{
    s->compacting = 0;
    if (seg->live_cells == 0) {
        return seg_drop(s, seg);
    }
    seg->stuck = true;
    log_line(&s->log, LOG_WARN, "segment_stuck", "segment=%llu cells=%llu",
             (unsigned long long)seg->number, (unsigned long long)seg->live_cells);
    return 0;
}

static int seg_maintain(struct store_segments *s, uint64_t budget_bytes)
{
    struct seg_segment *seg = store_seg_find(s, s->compacting);
    if (s->compacting == 0 || seg == NULL) {
        seg = seg_choose(s);
        s->compacting = seg != NULL ? seg->number : 0;
        s->compact_at = SEG_FILE_HEADER_BYTES;
    }
    if (seg == NULL) {
        return 0;
    }
    if (seg->live_cells > 0) {
        TRY(seg_compact(s, seg, budget_bytes));
        TRY(store_segments_sync(s));
    }
    bool ended = seg->live_cells == 0 || seg->stuck || s->compact_at >= seg->end;
    return ended ? seg_compact_end(s, seg) : 0;
}

int store_segments_maintain(struct store_segments *s, uint64_t budget_bytes, bool *more)
{
    ASSERT(budget_bytes > 0);
    if (s->failed) {
        return ERR_IO;
    }
    TRY(store_segments_sync(s));
    TRY(seg_maintain(s, budget_bytes));
    *more = s->compacting != 0 || seg_choose(s) != NULL;
    return 0;
}
