/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The index of segments in the kv table. Keys, after STORE_SEG_KEY_PREFIX:
 *
 *   'c' grant counter shard cell   where a cell lies
 *   'h' grant counter shard        group, and how many cells of the shard are here
 *   'm'                            format level and the next segment's number
 *   's' number                     offset up to which a segment is indexed, live bytes and cells
 *
 * Changes gather in memory until store_seg_commit writes them, the counters and the offsets in one
 * transaction; the kv table itself shows what is committed, never what is being written.
 */
#include "store/segments_internal.h"

#include "base/hash.h"
#include "base/num.h"

#include <stdlib.h>
#include <string.h>

#define SEG_META_KEY_BYTES 2u
#define SEG_SEGMENT_KEY_BYTES 10u

static void seg_segment_key(uint8_t *raw, uint64_t number)
{
    raw[0] = STORE_SEG_KEY_PREFIX;
    raw[1] = 's';
    num_put_u64_be(raw + 2, number);
}

static int seg_id_compare(const struct store_cell_id *a, const struct store_cell_id *b)
{
    if (a->extent_grant != b->extent_grant) {
        return a->extent_grant < b->extent_grant ? -1 : 1;
    }
    if (a->extent_counter != b->extent_counter) {
        return a->extent_counter < b->extent_counter ? -1 : 1;
    }
    if (a->shard != b->shard) {
        return a->shard < b->shard ? -1 : 1;
    }
    return (a->cell > b->cell) - (a->cell < b->cell);
}

static bool seg_same_shard(const struct store_cell_id *a, const struct store_cell_id *b)
{
    return a->extent_grant == b->extent_grant && a->extent_counter == b->extent_counter &&
           a->shard == b->shard;
}

int store_seg_lookup(struct store_segments *s, const struct store_cell_id *id, struct seg_loc *loc)
{
    struct store_kv_reader *r = NULL;
    uint8_t key[SEG_CELL_KEY_BYTES];
    struct bytes value = {0};
    store_seg_cell_key(key, id);
    TRY(s->kv.reader_open(s->kv.ctx, &r));
    int err = s->kv.get(r, bytes_of(key, sizeof(key)), &value);
    if (err == 0) {
        err = store_seg_loc_get(value, loc);
    }
    s->kv.reader_close(r);
    return err;
}

/* ---- changes ---- */

static size_t seg_slot_of(const struct store_segments *s, const struct store_cell_id *id)
{
    uint64_t mixed = hash_mix(id->extent_grant ^ hash_mix(id->extent_counter));
    mixed = hash_mix(mixed ^ ((uint64_t)id->cell << 8 | id->shard));
    size_t slot = (size_t)mixed & (s->slots_count - 1);
    while (s->slots[slot] != 0 && seg_id_compare(&s->changes[s->slots[slot] - 1].id, id) != 0) {
        slot = (slot + 1) & (s->slots_count - 1);
    }
    return slot;
}

static int seg_changes_grow(struct store_segments *s)
{
    size_t cap = NUM_MAX(s->changes_cap * 2, 64);
    struct seg_change *changes = alloc_get_zeroed(&s->alloc, cap, sizeof(*changes));
    uint32_t *slots = alloc_get_zeroed(&s->alloc, cap * 2, sizeof(*slots));
    if (changes == NULL || slots == NULL || cap > UINT32_MAX) {
        alloc_put(&s->alloc, changes, cap * sizeof(*changes));
        alloc_put(&s->alloc, slots, cap * 2 * sizeof(*slots));
        return ERR_NO_MEMORY;
    }
    if (s->changes_count > 0) {
        memcpy(changes, s->changes, s->changes_count * sizeof(*changes));
    }
    alloc_put(&s->alloc, s->changes, s->changes_cap * sizeof(*changes));
    alloc_put(&s->alloc, s->slots, s->slots_count * sizeof(*slots));
    s->changes = changes;
    s->changes_cap = cap;
    s->slots = slots;
    s->slots_count = cap * 2;
    for (size_t i = 0; i < s->changes_count; i++) {
        s->slots[seg_slot_of(s, &changes[i].id)] = (uint32_t)i + 1;
    }
    return 0;
}

const struct seg_change *store_seg_change_find(struct store_segments *s,
                                               const struct store_cell_id *id)
{
    if (s->changes_count == 0) {
        return NULL;
    }
    uint32_t at = s->slots[seg_slot_of(s, id)];
    return at != 0 ? &s->changes[at - 1] : NULL;
}

int store_seg_change(struct store_segments *s, const struct store_cell_id *id,
                     const struct seg_loc *loc)
{
    if (s->changes_count == s->changes_cap) {
        TRY(seg_changes_grow(s));
    }
    size_t slot = seg_slot_of(s, id);
    if (s->slots[slot] == 0) {
        struct seg_loc old = {0};
        int err = store_seg_lookup(s, id, &old);
        if (err != 0 && err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
            return err;
        }
        /* a damaged index record is replaced; its segment keeps one cell too many in its count */
        s->changes[s->changes_count++] =
            (struct seg_change){.id = *id, .was = err == 0, .old = old};
        s->slots[slot] = (uint32_t)s->changes_count;
    }
    struct seg_change *change = &s->changes[s->slots[slot] - 1];
    change->present = loc != NULL;
    change->now = loc != NULL ? *loc : (struct seg_loc){0};
    return 0;
}

void store_seg_changes_forget(struct store_segments *s)
{
    s->changes_count = 0;
    if (s->slots_count > 0) {
        memset(s->slots, 0, s->slots_count * sizeof(*s->slots));
    }
    for (unsigned i = 0; i < s->segments_count; i++) {
        s->segments[i]->delta_bytes = 0;
        s->segments[i]->delta_cells = 0;
    }
}

int store_seg_gone(struct store_segments *s, uint64_t number)
{
    if (s->gone_count == s->gone_cap) {
        size_t cap = NUM_MAX(s->gone_cap * 2, 16);
        uint64_t *gone = alloc_get(&s->alloc, cap * sizeof(*gone));
        if (gone == NULL) {
            return ERR_NO_MEMORY;
        }
        if (s->gone_count > 0) {
            memcpy(gone, s->gone, s->gone_count * sizeof(*gone));
        }
        alloc_put(&s->alloc, s->gone, s->gone_cap * sizeof(*gone));
        s->gone = gone;
        s->gone_cap = cap;
    }
    s->gone[s->gone_count++] = number;
    return 0;
}

/* ---- commit ---- */

static int seg_change_order(const void *a, const void *b)
{
    return seg_id_compare(&((const struct seg_change *)a)->id, &((const struct seg_change *)b)->id);
}

static void seg_delta(struct store_segments *s, const struct seg_loc *loc, int sign)
{
    struct seg_segment *seg = store_seg_find(s, loc->segment);
    if (seg != NULL) {
        seg->delta_bytes += sign * (int64_t)loc->record_bytes;
        seg->delta_cells += sign;
    }
}

static int seg_commit_cell(struct store_segments *s, const struct seg_change *change)
{
    uint8_t key[SEG_CELL_KEY_BYTES];
    uint8_t value[SEG_LOC_BYTES];
    store_seg_cell_key(key, &change->id);
    if (change->was) {
        seg_delta(s, &change->old, -1);
    }
    if (!change->present) {
        return s->kv.del(s->kv.ctx, bytes_of(key, sizeof(key)));
    }
    seg_delta(s, &change->now, 1);
    store_seg_loc_put(value, &change->now);
    return s->kv.put(s->kv.ctx, bytes_of(key, sizeof(key)), bytes_of(value, sizeof(value)));
}

/* Counts the committed cells of a shard whose own record is damaged. */
static int seg_count_cells(struct store_segments *s, struct store_kv_reader *r,
                           const uint8_t *shard, uint32_t *count)
{
    uint8_t prefix[SEG_SHARD_KEY_BYTES];
    struct bytes key = {0};
    struct bytes value = {0};
    memcpy(prefix, shard, sizeof(prefix));
    prefix[1] = 'c';
    *count = 0;
    int err = s->kv.seek(r, bytes_of(prefix, sizeof(prefix)), false, &key, &value);
    while ((err == 0 || err == ERR_CORRUPT) &&
           bytes_has_prefix(key, bytes_of(prefix, sizeof(prefix)))) {
        *count += 1;
        err = s->kv.next(r, &key, &value);
    }
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? 0 : err;
}

/* Brings the count of one shard up to date by the changes [first, end). */
static int seg_commit_shard(struct store_segments *s, struct store_kv_reader *r, size_t first,
                            size_t end)
{
    uint8_t key[SEG_SHARD_KEY_BYTES];
    uint8_t raw[8];
    struct bytes value = {0};
    const struct store_cell_id *id = &s->changes[first].id;
    int64_t delta = 0;
    uint32_t cells = 0;
    uint32_t group = 0;
    store_seg_shard_key(key, id->extent_grant, id->extent_counter, id->shard);
    int err = s->kv.get(r, bytes_of(key, sizeof(key)), &value);
    if (err == 0 && value.size == sizeof(raw)) {
        group = num_get_u32(value.data);
        cells = num_get_u32(value.data + 4);
    } else if (err != ERR_NOT_FOUND) {
        TRY(err == ERR_CORRUPT || err == 0 ? 0 : err);
        group = s->changes[first].old.group;
        TRY(seg_count_cells(s, r, key, &cells));
    }
    for (size_t i = first; i < end; i++) {
        delta += (int64_t)s->changes[i].present - (int64_t)s->changes[i].was;
        group = s->changes[i].present ? s->changes[i].now.group : group;
    }
    if ((int64_t)cells + delta <= 0) {
        return s->kv.del(s->kv.ctx, bytes_of(key, sizeof(key)));
    }
    num_put_u32(raw, group);
    num_put_u32(raw + 4, (uint32_t)((int64_t)cells + delta));
    return s->kv.put(s->kv.ctx, bytes_of(key, sizeof(key)), bytes_of(raw, sizeof(raw)));
}

static uint64_t seg_count_add(uint64_t count, int64_t delta)
{
    /* a damaged index record may have left a count too small */
    if (delta < 0 && count < (uint64_t)-delta) {
        return 0;
    }
    return (uint64_t)((int64_t)count + delta);
}

static int seg_commit_segment(struct store_segments *s, const struct seg_segment *seg)
{
    uint8_t key[SEG_SEGMENT_KEY_BYTES];
    uint8_t raw[24];
    uint64_t indexed = seg->unscanned ? seg->indexed : seg->end;
    bool same = seg->delta_cells == 0 && seg->delta_bytes == 0 && seg->indexed == indexed;
    if (seg->known ? same : seg->unscanned) {
        return 0; /* a segment whose index was lost stays unknown until all of it is scanned */
    }
    seg_segment_key(key, seg->number);
    num_put_u64(raw, indexed);
    num_put_u64(raw + 8, seg_count_add(seg->live_bytes, seg->delta_bytes));
    num_put_u64(raw + 16, seg_count_add(seg->live_cells, seg->delta_cells));
    return s->kv.put(s->kv.ctx, bytes_of(key, sizeof(key)), bytes_of(raw, sizeof(raw)));
}

static int seg_commit_numbering(struct store_segments *s)
{
    const uint8_t key[SEG_META_KEY_BYTES] = {STORE_SEG_KEY_PREFIX, 'm'};
    uint8_t raw[12];
    num_put_u32(raw, SEG_LEVEL);
    num_put_u64(raw + 4, s->number_next);
    return s->kv.put(s->kv.ctx, bytes_of(key, sizeof(key)), bytes_of(raw, sizeof(raw)));
}

static int seg_commit_all(struct store_segments *s, struct store_kv_reader *r)
{
    size_t first = 0;
    for (size_t i = 0; i < s->changes_count; i++) {
        TRY(seg_commit_cell(s, &s->changes[i]));
        if (i + 1 == s->changes_count ||
            !seg_same_shard(&s->changes[i].id, &s->changes[i + 1].id)) {
            TRY(seg_commit_shard(s, r, first, i + 1));
            first = i + 1;
        }
    }
    for (unsigned i = 0; i < s->segments_count; i++) {
        TRY(seg_commit_segment(s, s->segments[i]));
    }
    for (size_t i = 0; i < s->gone_count; i++) {
        uint8_t key[SEG_SEGMENT_KEY_BYTES];
        seg_segment_key(key, s->gone[i]);
        TRY(s->kv.del(s->kv.ctx, bytes_of(key, sizeof(key))));
    }
    return seg_commit_numbering(s);
}

/* Takes over what has been committed. */
static void seg_committed(struct store_segments *s)
{
    (void)pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->segments_count; i++) {
        struct seg_segment *seg = s->segments[i];
        seg->stuck = seg->stuck && seg->delta_cells >= 0;
        seg->live_bytes = seg_count_add(seg->live_bytes, seg->delta_bytes);
        seg->live_cells = seg_count_add(seg->live_cells, seg->delta_cells);
        seg->indexed = seg->unscanned ? seg->indexed : seg->end;
        seg->known = seg->known || !seg->unscanned;
    }
    (void)pthread_mutex_unlock(&s->lock);
    s->gone_count = 0;
}

static bool seg_nothing_to_commit(const struct store_segments *s)
{
    bool nothing = s->changes_count == 0 && s->gone_count == 0;
    for (unsigned i = 0; nothing && i < s->segments_count; i++) {
        nothing = s->segments[i]->known && s->segments[i]->end == s->segments[i]->indexed;
    }
    return nothing;
}

int store_seg_commit(struct store_segments *s)
{
    struct store_kv_reader *r = NULL;
    if (seg_nothing_to_commit(s)) {
        return 0;
    }
    /* in the order of the keys, and a shard's changes side by side */
    if (s->changes_count > 1) {
        qsort(s->changes, s->changes_count, sizeof(*s->changes), seg_change_order);
    }
    int err = s->kv.reader_open(s->kv.ctx, &r);
    if (err == 0) {
        err = s->kv.begin(s->kv.ctx);
    }
    if (err == 0) {
        int commit = seg_commit_all(s, r);
        if (commit != 0) {
            s->kv.abort(s->kv.ctx);
        }
        err = commit != 0 ? commit : s->kv.commit(s->kv.ctx);
    }
    if (r != NULL) {
        s->kv.reader_close(r);
    }
    if (err == 0) {
        seg_committed(s);
    }
    store_seg_changes_forget(s);
    return err;
}

/* ---- reading ---- */

static int seg_load_segment(struct store_segments *s, struct bytes key, struct bytes value)
{
    if (key.size != SEG_SEGMENT_KEY_BYTES || value.size != 24) {
        return 0; /* as if it were not there: the file is scanned */
    }
    struct seg_segment *seg = store_seg_add(s, num_get_u64_be(key.data + 2));
    if (seg == NULL) {
        return ERR_NO_MEMORY;
    }
    seg->indexed = num_get_u64(value.data);
    seg->live_bytes = num_get_u64(value.data + 8);
    seg->live_cells = num_get_u64(value.data + 16);
    seg->end = seg->indexed;
    seg->known = true;
    seg->sealed = true;
    return 0;
}

static int seg_load_numbering(struct store_segments *s, struct store_kv_reader *r)
{
    const uint8_t key[SEG_META_KEY_BYTES] = {STORE_SEG_KEY_PREFIX, 'm'};
    struct bytes value = {0};
    int err = s->kv.get(r, bytes_of(key, sizeof(key)), &value);
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT || (err == 0 && value.size != 12)) {
        return 0; /* files and records say which numbers were used */
    }
    TRY(err);
    if (num_get_u32(value.data) != SEG_LEVEL) {
        return ERR_LEVEL;
    }
    s->number_next = NUM_MAX(num_get_u64(value.data + 4), 1);
    return 0;
}

static int seg_load(struct store_segments *s, struct store_kv_reader *r)
{
    const uint8_t prefix[2] = {STORE_SEG_KEY_PREFIX, 's'};
    struct bytes key = {0};
    struct bytes value = {0};
    TRY(seg_load_numbering(s, r));
    int err = s->kv.seek(r, bytes_of(prefix, sizeof(prefix)), false, &key, &value);
    while ((err == 0 || err == ERR_CORRUPT) &&
           bytes_has_prefix(key, bytes_of(prefix, sizeof(prefix)))) {
        if (err == 0) {
            TRY(seg_load_segment(s, key, value));
        }
        err = s->kv.next(r, &key, &value);
    }
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? 0 : err;
}

int store_seg_index_load(struct store_segments *s)
{
    struct store_kv_reader *r = NULL;
    TRY(s->kv.reader_open(s->kv.ctx, &r));
    int err = seg_load(s, r);
    s->kv.reader_close(r);
    return err;
}

void store_seg_index_release(struct store_segments *s)
{
    alloc_put(&s->alloc, s->changes, s->changes_cap * sizeof(*s->changes));
    alloc_put(&s->alloc, s->slots, s->slots_count * sizeof(*s->slots));
    alloc_put(&s->alloc, s->gone, s->gone_cap * sizeof(*s->gone));
}

struct seg_page {
    struct store_shard_info *out;
    unsigned max;
    unsigned filled;
};

static int seg_list(struct store_segments *s, struct store_kv_reader *r,
                    const struct store_shard_info *after, struct seg_page *page)
{
    uint8_t from[SEG_SHARD_KEY_BYTES] = {STORE_SEG_KEY_PREFIX, 'h'};
    struct bytes key = {0};
    struct bytes value = {0};
    if (after != NULL) {
        store_seg_shard_key(from, after->extent_grant, after->extent_counter, after->shard);
    }
    int err = s->kv.seek(r, bytes_of(from, after != NULL ? sizeof(from) : 2), after != NULL, &key,
                         &value);
    while ((err == 0 || err == ERR_CORRUPT) && page->filled < page->max &&
           key.size == SEG_SHARD_KEY_BYTES && bytes_has_prefix(key, bytes_of(from, 2))) {
        /* a damaged record still names its shard */
        bool whole = err == 0 && value.size == 8;
        page->out[page->filled++] =
            (struct store_shard_info){.extent_grant = num_get_u64_be(key.data + 2),
                                      .extent_counter = num_get_u64_be(key.data + 10),
                                      .shard = key.data[18],
                                      .group = whole ? num_get_u32(value.data) : 0,
                                      .cells = whole ? num_get_u32(value.data + 4) : 0};
        err = s->kv.next(r, &key, &value);
    }
    if (err != 0 && err != ERR_NOT_FOUND && err != ERR_CORRUPT) {
        return err;
    }
    return 0;
}

int store_segments_list(struct store_segments *s, const struct store_shard_info *after,
                        struct store_shard_info *out, unsigned max, unsigned *count)
{
    struct store_kv_reader *r = NULL;
    ASSERT(max > 0);
    TRY(s->kv.reader_open(s->kv.ctx, &r));
    struct seg_page page = {.out = out, .max = max};
    int err = seg_list(s, r, after, &page);
    s->kv.reader_close(r);
    TRY(err);
    *count = page.filled;
    return 0;
}
