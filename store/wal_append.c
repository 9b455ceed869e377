/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Appending: plan (check the records, promise memory), lay out, build, write, sync, and only then
 * change the index. Whatever fails before the sync has returned leaves the index as it was.
 */
#include "base/crc.h"
#include "base/num.h"
#include "store/wal_internal.h"

#include <inttypes.h>
#include <string.h>

#define KIND_LAST_PUBLIC STORE_WAL_FILL

uint64_t store_wal_stage_bytes(const struct store_wal_options *options)
{
    /* the user's part, the item of a batch like it, the STATE records, their copies and runs */
    uint64_t users = (uint64_t)options->batch_bytes_max * 2;
    uint64_t states = (uint64_t)options->groups_max * (2 * WAL_RECORD_HEAD_BYTES + WAL_RUN_BYTES);
    return num_round_up(users + states * 2 + 4 * (uint64_t)WAL_BLOCK_BYTES, WAL_BLOCK_BYTES);
}

/* A HARD record with another term or vote than before the batch is held twice. */
static bool is_twice(const struct wal_group *g, const struct store_wal_record *r)
{
    return r->kind == STORE_WAL_HARD &&
           !(g->plan_known && g->plan_term == r->term && g->plan_vote == r->vote);
}

static void plan_begin(const struct store_wal *w, struct wal_group *g)
{
    if (g->plan_stamp != w->plan_stamp) {
        g->plan_stamp = w->plan_stamp;
        g->plan_base = g->base_index;
        g->plan_last = g->last_index;
        g->plan_term = g->term;
        g->plan_vote = g->vote;
        g->plan_known = g->known;
        g->plan_entries = 0;
        g->plan_chain = g->chain;
    }
}

/* Term of the entry at index once records before `before` have been applied; 0: not known. */
static uint64_t plan_term(const struct wal_batch *b, const struct wal_group *g, unsigned before,
                          uint64_t index)
{
    for (unsigned i = before; i > 0; i--) {
        const struct store_wal_record *r = &b->records[i - 1];
        if (r->group == g->id && r->kind == STORE_WAL_ENTRY && r->index == index) {
            return r->term;
        }
    }
    const struct wal_entry *e = store_wal_entry_at(g, index);
    return e == NULL ? 0 : e->term;
}

static void plan_base(const struct wal_batch *b, struct wal_group *g, unsigned at)
{
    const struct store_wal_record *r = &b->records[at];
    if (r->index < g->plan_base) {
        return;
    }
    if (r->index > g->plan_base) {
        uint64_t term = r->index <= g->plan_last ? plan_term(b, g, at, r->index) : 0;
        bool keeps = r->index <= g->plan_last && (term == 0 || term == r->term);
        g->plan_last = keeps ? g->plan_last : r->index;
    }
    g->plan_base = r->index;
}

static int plan_entry(struct store_wal *w, struct wal_batch *b, struct wal_group *g,
                      const struct store_wal_record *r)
{
    if (r->index <= g->plan_base || r->index > g->plan_last + 1 || r->term == 0) {
        return ERR_INVALID;
    }
    if (g->plan_entries % WAL_CHUNK_ENTRIES == 0) {
        TRY(store_wal_group_reserve(w, g, (uint64_t)g->plan_entries + WAL_CHUNK_ENTRIES));
        b->chunks += g->plan_entries == 0 ? 2 : 1;
    }
    g->plan_entries++;
    g->plan_last = r->index;
    b->entries++;
    return 0;
}

static int plan_record(struct store_wal *w, struct wal_batch *b, unsigned at)
{
    const struct store_wal_record *r = &b->records[at];
    struct wal_group *g = store_wal_group_make(w, r->group);
    if (g == NULL) {
        return ERR_BUSY;
    }
    plan_begin(w, g);
    switch ((unsigned)r->kind) {
    case STORE_WAL_ENTRY: TRY(plan_entry(w, b, g, r)); break;
    case STORE_WAL_HARD: b->hards += is_twice(g, r) ? 1u : 0u; break;
    case STORE_WAL_BASE: plan_base(b, g, at); break;
    case STORE_WAL_CUT:
        g->plan_last = NUM_MIN(g->plan_last, NUM_MAX(r->index, g->plan_base + 1) - 1);
        break;
    case STORE_WAL_FILL:
    case WAL_KIND_MARK: break;
    default: return ERR_INVALID;
    }
    if (r->kind == STORE_WAL_ENTRY || r->kind == STORE_WAL_FILL) {
        if (r->body.size > w->options.batch_bytes_max) {
            return ERR_TOO_LARGE;
        }
        b->body_bytes += r->body.size;
    }
    const struct store_wal_record *before = at > 0 ? r - 1 : NULL;
    bool joins = before != NULL && before->kind == r->kind && before->group == r->group &&
                 before->term == r->term && before->type == r->type && r->vote == before->vote &&
                 before->index + 1 == r->index &&
                 (r->kind == STORE_WAL_ENTRY || r->kind == STORE_WAL_FILL);
    b->runs += joins ? 0u : 1u;
    return 0;
}

static int plan(struct store_wal *w, struct wal_batch *b)
{
    int err = 0;
    pthread_mutex_lock(&w->mutex);
    w->plan_stamp++;
    for (unsigned i = 0; i < b->count && err == 0; i++) {
        err = plan_record(w, b, i);
    }
    if (err == 0 && b->entries > 0 && w->entries_count + b->entries > w->options.entries_max) {
        err = ERR_BUSY;
    }
    if (err == 0) {
        err = store_wal_chunks_reserve(w, b->chunks);
    }
    pthread_mutex_unlock(&w->mutex);
    return err;
}

/* Blocks of the batch, with states STATE records. */
static uint64_t layout(const struct store_wal *w, struct wal_batch *b, uint32_t states)
{
    uint64_t twice = (uint64_t)states + b->hards;
    uint64_t heads = (uint64_t)states + b->count;
    uint64_t first_copies_end = WAL_BATCH_HEAD_BYTES + twice * WAL_RECORD_HEAD_BYTES;
    b->states = states;
    b->bodies_at = WAL_BATCH_HEAD_BYTES + heads * WAL_RECORD_HEAD_BYTES + w->echo.size;
    uint64_t end = b->bodies_at + b->body_bytes;
    b->blocks = num_div_up(end + twice * WAL_RECORD_HEAD_BYTES, WAL_BLOCK_ROOM);
    if (twice > 0) {
        /* second copies begin in a block behind the one where the first copies end */
        uint64_t block = (first_copies_end - 1) / WAL_BLOCK_ROOM + 1;
        uint64_t least = block * WAL_BLOCK_ROOM + twice * WAL_RECORD_HEAD_BYTES;
        b->blocks = NUM_MAX(b->blocks, num_div_up(least, WAL_BLOCK_ROOM));
    }
    return b->blocks;
}

static uint64_t item_bytes(const struct wal_batch *b)
{
    return WAL_ITEM_HEAD_BYTES + (b->runs + b->states) * WAL_RUN_BYTES;
}

static bool fits_tail(const struct store_wal *w, const struct wal_batch *b)
{
    if (w->must_rotate || w->segments_count == 0 || w->sealed) {
        return false;
    }
    uint64_t room = w->segments[w->segments_count - 1].bytes / WAL_BLOCK_BYTES;
    return w->tail_block + b->blocks + store_wal_footer_blocks(w->footer.size + item_bytes(b)) <=
           room;
}

static uint32_t groups_known(const struct store_wal *w)
{
    uint32_t known = 0;
    for (unsigned i = 0; i < w->groups_count; i++) {
        known += w->groups[i].known ? 1u : 0u;
    }
    return known;
}

/* Whether the batch as laid out can be built. */
static bool is_bounded(const struct store_wal *w, const struct wal_batch *b)
{
    return b->blocks <= WAL_BLOCKS_MAX && b->blocks * WAL_BLOCK_BYTES <= w->stage_bytes &&
           (uint64_t)b->states + b->hards <= UINT16_MAX;
}

/* Finds the place of the batch, beginning a segment where needed. */
static int place(struct store_wal *w, struct wal_batch *b)
{
    /* what the WAL adds by itself does not count against the caller's limit */
    uint64_t least = b->hards > 0 ? 2 : 1;
    uint64_t most = NUM_MAX(w->options.batch_bytes_max / WAL_BLOCK_BYTES, least);
    uint64_t users = layout(w, b, 0) * WAL_BLOCK_ROOM - w->echo.size;
    if (num_div_up(users, WAL_BLOCK_ROOM) > most || !is_bounded(w, b)) {
        return ERR_TOO_LARGE;
    }
    if (!w->head_due && fits_tail(w, b)) {
        b->start_block = w->tail_block;
        return 0;
    }
    uint64_t blocks = layout(w, b, groups_known(w));
    uint64_t footer = store_wal_footer_blocks(item_bytes(b));
    if (blocks + footer > w->options.segment_bytes / WAL_BLOCK_BYTES || !is_bounded(w, b)) {
        return ERR_TOO_LARGE;
    }
    if (!w->head_due) {
        TRY(store_wal_rotate(w));
    }
    b->with_head = true;
    b->start_block = 0;
    return 0;
}

static void stage_put(struct store_wal *w, uint64_t stream, const void *data, size_t bytes)
{
    const uint8_t *from = data;
    while (bytes > 0) {
        size_t piece = NUM_MIN(bytes, WAL_BLOCK_ROOM - (size_t)(stream % WAL_BLOCK_ROOM));
        memcpy(w->stage + store_wal_file_at(stream), from, piece);
        from += piece;
        stream += piece;
        bytes -= piece;
    }
}

static void stage_zero(struct store_wal *w, uint64_t stream, uint64_t bytes)
{
    while (bytes > 0) {
        size_t piece = (size_t)NUM_MIN(bytes, WAL_BLOCK_ROOM - stream % WAL_BLOCK_ROOM);
        memset(w->stage + store_wal_file_at(stream), 0, piece);
        stream += piece;
        bytes -= piece;
    }
}

void store_wal_item_add(struct buf *item, const struct wal_record_head *h)
{
    struct wal_run next = store_wal_run_of(h);
    struct wal_run last;
    ASSERT(item->size >= WAL_ITEM_HEAD_BYTES);
    if (item->size > WAL_ITEM_HEAD_BYTES) {
        store_wal_take_run(item->data + item->size - WAL_RUN_BYTES, &last);
        if (store_wal_run_join(&last, &next)) {
            store_wal_put_run(item->data + item->size - WAL_RUN_BYTES, &last);
            return;
        }
    }
    ASSERT(item->cap - item->size >= WAL_RUN_BYTES);
    store_wal_put_run(item->data + item->size, &next);
    item->size += WAL_RUN_BYTES;
}

static void build_head(struct store_wal *w, struct wal_batch *b, struct wal_group *g,
                       struct wal_record_head *h)
{
    uint8_t raw[WAL_RECORD_HEAD_BYTES];
    uint32_t twice = b->states + b->hards;
    h->group = g->id;
    h->chain = g->plan_chain;
    store_wal_put_record_head(raw, h, b->seed);
    g->plan_chain = h->crc;
    stage_put(w, WAL_BATCH_HEAD_BYTES + (uint64_t)b->slot * WAL_RECORD_HEAD_BYTES, raw,
              sizeof(raw));
    if (b->slot < twice) {
        uint64_t copies = b->blocks * WAL_BLOCK_ROOM - (uint64_t)twice * WAL_RECORD_HEAD_BYTES;
        stage_put(w, copies + (uint64_t)b->slot * WAL_RECORD_HEAD_BYTES, raw, sizeof(raw));
    }
    b->slot++;
    store_wal_item_add(&w->item, h);
}

static void build_states(struct store_wal *w, struct wal_batch *b)
{
    for (unsigned i = 0; i < w->groups_count; i++) {
        struct wal_group *g = &w->groups[i];
        if (!g->known) {
            continue;
        }
        plan_begin(w, g);
        struct wal_record_head h = {.kind = WAL_KIND_STATE,
                                    .index = g->base_index,
                                    .term = g->term,
                                    .time_us = g->commit,
                                    .body_bytes = (uint32_t)g->base_term,
                                    .body_crc = (uint32_t)(g->base_term >> 32),
                                    .vote = g->vote,
                                    .last = g->last_index};
        h.flags = (uint8_t)((g->hard_lost ? WAL_FLAG_STATE_LOST : 0u) |
                            (g->tail_ambiguous ? WAL_FLAG_STATE_TAIL : 0u));
        build_head(w, b, g, &h);
    }
}

static void build_record(struct store_wal *w, struct wal_batch *b, struct wal_group *g,
                         const struct store_wal_record *r, uint64_t body_at)
{
    struct wal_record_head h = {.kind = (uint8_t)r->kind,
                                .type = r->type,
                                .index = r->index,
                                .term = r->term,
                                .time_us = r->time_us};
    switch ((unsigned)r->kind) {
    case STORE_WAL_HARD:
        h.index = r->commit;
        h.vote = r->vote;
        h.flags = (uint8_t)(is_twice(g, r) ? 0 : WAL_FLAG_HARD_ONCE);
        break;
    case WAL_KIND_MARK:
        h.flags = (uint8_t)r->vote;
        h.body_bytes = (uint32_t)r->commit;
        break;
    case STORE_WAL_ENTRY:
    case STORE_WAL_FILL:
        if (r->kind == STORE_WAL_FILL && r->vote == 1) {
            h.flags = WAL_FLAG_FILL_MOVED;
        }
        h.body_bytes = (uint32_t)r->body.size;
        h.body_crc = crc_of(r->body.data, r->body.size);
        h.body_at = (uint32_t)body_at;
        stage_put(w, body_at, r->body.data, r->body.size);
        break;
    default: break;
    }
    build_head(w, b, g, &h);
}

static bool has_body(const struct store_wal_record *r)
{
    return r->kind == STORE_WAL_ENTRY || r->kind == STORE_WAL_FILL;
}

static void build_blocks(struct store_wal *w, const struct wal_batch *b)
{
    struct wal_segment *s = &w->segments[w->segments_count - 1];
    uint8_t raw[WAL_BATCH_HEAD_BYTES];
    struct wal_batch_head h = {.lsn = w->next_lsn,
                               .durable_lsn = w->next_lsn - 1,
                               .epoch = s->epoch,
                               .first_epoch = w->first_epoch,
                               .skip_lsn = w->skip_lsn,
                               .store_id = w->options.store_id,
                               .incarnation = w->options.incarnation,
                               .segment_bytes = s->bytes,
                               .batch_bytes_max = w->options.batch_bytes_max,
                               .records = b->states + b->count,
                               .twice = b->states + b->hards,
                               .blocks = (uint32_t)b->blocks,
                               .item_bytes = (uint32_t)w->echo.size,
                               .level = WAL_LEVEL,
                               .flags = b->with_head ? 1 : 0};
    memcpy(h.cluster, w->options.cluster, sizeof(h.cluster));
    store_wal_put_batch_head(raw, &h);
    stage_put(w, 0, raw, sizeof(raw));
    struct wal_block_head block = {.epoch = s->epoch,
                                   .lsn = w->next_lsn,
                                   .records = h.records,
                                   .magic = WAL_MAGIC_BATCH,
                                   .blocks = (uint16_t)b->blocks,
                                   .twice = (uint16_t)h.twice};
    for (uint32_t i = 0; i < b->blocks; i++) {
        block.block = (uint16_t)i;
        store_wal_put_block_head(w->stage + (size_t)i * WAL_BLOCK_BYTES, &block);
    }
}

static int build(struct store_wal *w, struct wal_batch *b)
{
    uint64_t most = item_bytes(b);
    uint64_t twice = (uint64_t)b->states + b->hards;
    ASSERT(twice <= UINT16_MAX && b->blocks * WAL_BLOCK_BYTES <= w->stage_bytes);
    buf_clear(&w->item);
    TRY(buf_reserve(&w->item, (size_t)most));
    TRY(buf_reserve(&w->footer, (size_t)most));
    w->item.size = WAL_ITEM_HEAD_BYTES;
    b->seed = store_wal_seed(w->identity, w->segments[w->segments_count - 1].epoch, w->next_lsn);
    b->slot = 0;
    w->plan_stamp += b->count == 0 ? 1 : 0;
    if (b->with_head) {
        build_states(w, b);
    }
    for (unsigned i = 0; i < b->count && b->hards > 0; i++) {
        const struct store_wal_record *r = &b->records[i];
        struct wal_group *g = store_wal_group_find(w, r->group);
        if (is_twice(g, r)) {
            build_record(w, b, g, r, 0);
        }
    }
    uint64_t body_at = b->bodies_at;
    for (unsigned i = 0; i < b->count; i++) {
        const struct store_wal_record *r = &b->records[i];
        struct wal_group *g = store_wal_group_find(w, r->group);
        if (!is_twice(g, r)) {
            build_record(w, b, g, r, body_at);
            body_at += has_body(r) ? r->body.size : 0;
        }
    }
    ASSERT(b->slot == b->states + b->count);
    ASSERT(body_at == b->bodies_at + b->body_bytes);
    stage_put(w, b->bodies_at - w->echo.size, w->echo.data, w->echo.size);
    stage_zero(w, body_at, b->blocks * WAL_BLOCK_ROOM - twice * WAL_RECORD_HEAD_BYTES - body_at);
    build_blocks(w, b);
    store_wal_seal_item(w->item.data, (uint32_t)w->item.size, w->next_lsn);
    return 0;
}

/* Builds, writes and syncs. After ERR_DISK_FULL part of it may be on disk. */
static int write_batch(struct store_wal *w, struct wal_batch *b)
{
    struct wal_segment *s = &w->segments[w->segments_count - 1];
    TRY(build(w, b));
    struct disk_io part = {.data = w->stage, .bytes = (size_t)b->blocks * WAL_BLOCK_BYTES};
    ASSERT((uint64_t)b->start_block * WAL_BLOCK_BYTES + part.bytes <= s->bytes);
    int err =
        w->disk.write(w->disk.ctx, s->file, (uint64_t)b->start_block * WAL_BLOCK_BYTES, &part, 1);
    if (err == ERR_DISK_FULL) {
        return err;
    }
    if (err == 0) {
        err = w->disk.sync(w->disk.ctx, s->file);
    }
    return err == 0 ? 0 : store_wal_latch(w, err);
}

/* What holds once the batch is durable, whatever its records. */
static void tail_moved(struct store_wal *w, const struct wal_batch *b)
{
    struct buf last = w->echo;
    int err = buf_append(&w->footer, w->item.data, w->item.size);
    ASSERT(err == 0);
    w->echo = w->item;
    w->item = last;
    w->tail_block = b->start_block + (uint32_t)b->blocks;
    w->head_due = false;
    w->last_empty = b->count == 0;
    w->durable_first_epoch = w->first_epoch;
    w->stats.batches++;
    w->stats.syncs++;
    w->stats.records += b->count;
    w->stats.bytes += b->blocks * WAL_BLOCK_BYTES;
    w->stats.durable_lsn = w->next_lsn++;
}

static void apply_entry(struct store_wal *w, const struct wal_batch *b, struct wal_group *g,
                        const struct store_wal_record *r, uint64_t slot, uint64_t body_at)
{
    struct wal_view v = {.data = w->stage, .blocks = (uint32_t)b->blocks};
    struct wal_entry e = {.term = r->term,
                          .time_us = r->time_us,
                          .bytes = (uint32_t)r->body.size,
                          .epoch = (uint32_t)w->segments[w->segments_count - 1].epoch,
                          .offset = b->start_block * WAL_BLOCK_BYTES +
                                    (uint32_t)store_wal_file_at(body_at),
                          .type = r->type};
    uint8_t crc[4];
    bool there =
        store_wal_view_take(&v, WAL_BATCH_HEAD_BYTES + slot * WAL_RECORD_HEAD_BYTES + 44, crc, 4);
    ASSERT(there);
    e.crc = num_get_u32(crc);
    if (r->kind == STORE_WAL_ENTRY) {
        store_wal_index_put(w, g, r->index, &e);
        g->tail_ambiguous = false;
        return;
    }
    const struct wal_entry *at = store_wal_entry_at(g, r->index);
    if (at != NULL && (at->term == 0 || at->term == r->term)) {
        store_wal_index_replace(w, g, r->index, &e);
    }
}

static void apply_mark(struct store_wal *w, struct wal_group *g, const struct store_wal_record *r)
{
    const struct wal_entry *at = store_wal_entry_at(g, r->index);
    if (at != NULL && at->term == r->term) {
        struct wal_entry e = *at;
        e.epoch = (uint32_t)w->segments[w->segments_count - 1].epoch;
        store_wal_index_set_state(w, &e, (uint8_t)r->vote);
        store_wal_index_replace(w, g, r->index, &e);
    }
}

static void apply_hard(struct wal_group *g, const struct store_wal_record *r)
{
    if (is_twice(g, r)) {
        g->term = r->term;
        g->vote = r->vote;
    }
    g->commit = NUM_MAX(g->commit, r->commit);
}

static void apply(struct store_wal *w, const struct wal_batch *b)
{
    uint64_t slot = (uint64_t)b->states + b->hards;
    uint64_t body_at = b->bodies_at;
    pthread_mutex_lock(&w->mutex);
    for (unsigned i = 0; i < b->count; i++) {
        const struct store_wal_record *r = &b->records[i];
        struct wal_group *g = store_wal_group_find(w, r->group);
        bool once = !is_twice(g, r);
        switch ((unsigned)r->kind) {
        case STORE_WAL_ENTRY:
        case STORE_WAL_FILL:
            apply_entry(w, b, g, r, slot, body_at);
            body_at += r->body.size;
            break;
        case STORE_WAL_HARD: apply_hard(g, r); break;
        case STORE_WAL_BASE: store_wal_index_base(w, g, r->index, r->term); break;
        case STORE_WAL_CUT:
            store_wal_index_cut(w, g, r->index);
            g->tail_ambiguous = false;
            break;
        default: apply_mark(w, g, r); break;
        }
        slot += once ? 1u : 0u;
    }
    for (unsigned i = 0; i < w->groups_count; i++) {
        struct wal_group *g = &w->groups[i];
        if (g->plan_stamp == w->plan_stamp) {
            g->chain = g->plan_chain;
            g->known = true;
        }
    }
    tail_moved(w, b);
    pthread_mutex_unlock(&w->mutex);
}

/* Oldest segment that recovery needs. */
static void first_epoch_move(struct store_wal *w)
{
    uint64_t last = w->segments[w->segments_count - 1].epoch;
    while (w->first_epoch < last && store_wal_segment_of(w, w->first_epoch)->live == 0) {
        w->first_epoch++;
    }
}

/* Part of a batch that does not count may be on disk: an empty batch in its place, durable before
 * anyone hears of the refusal, makes sure that it is never read back. */
static int write_void(struct store_wal *w, const struct wal_batch *refused)
{
    struct wal_batch b = {.with_head = refused->with_head, .start_block = refused->start_block};
    (void)layout(w, &b, refused->states);
    int err = write_batch(w, &b);
    if (err != 0) {
        return store_wal_latch(w, err);
    }
    apply(w, &b);
    return ERR_DISK_FULL;
}

int store_wal_append_any(struct store_wal *w, const struct store_wal_record *records,
                         unsigned count, uint64_t *lsn)
{
    struct wal_batch b = {.records = records, .count = count};
    if (w->failed) {
        return ERR_IO;
    }
    TRY(plan(w, &b));
    TRY(place(w, &b));
    first_epoch_move(w);
    int err = write_batch(w, &b);
    if (err == ERR_DISK_FULL) {
        return write_void(w, &b);
    }
    TRY(err);
    apply(w, &b);
    if (lsn != NULL) {
        *lsn = w->next_lsn - 1;
    }
    return 0;
}

int store_wal_append(struct store_wal *w, const struct store_wal_record *records, unsigned count,
                     uint64_t *lsn)
{
    for (unsigned i = 0; i < count; i++) {
        if (records[i].kind < STORE_WAL_ENTRY || records[i].kind > KIND_LAST_PUBLIC) {
            return ERR_INVALID;
        }
    }
    return store_wal_append_any(w, records, count, lsn);
}

int store_wal_idle(struct store_wal *w)
{
    if (w->failed) {
        return ERR_IO;
    }
    return w->last_empty ? 0 : store_wal_append_any(w, NULL, 0, NULL);
}
