/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Housekeeping: fills the pool, copies old records to the head so that no group pins the log, and
 * gives segments back.
 */
#include "base/num.h"
#include "store/wal_internal.h"

#include <inttypes.h>

#define MOVE_RECORDS_MAX 64u

/* Moving pays only while the live part is small: else each copy would make the next one needed,
 * and what helps is compaction. */
static bool wants_move(const struct store_wal *w)
{
    uint64_t limit = (uint64_t)w->options.live_segments_max * w->options.segment_bytes / 2;
    return w->segments_count > w->options.live_segments_max && w->segments[0].live > 0 &&
           w->live_bytes <= limit;
}

/* Finds the next entry that lies in the segment, from the cursor on. returns: false at the end. */
static bool move_find(struct store_wal *w, uint64_t epoch, struct wal_entry *out)
{
    for (unsigned i = 0; i < w->groups_count; i++) {
        struct wal_group *g = &w->groups[i];
        if (g->id < w->move_group) {
            continue;
        }
        uint64_t from = g->id == w->move_group ? w->move_index : 0;
        from = NUM_MAX(from, g->base_index + 1);
        for (uint64_t at = from; at <= g->last_index; at++) {
            const struct wal_entry *e = store_wal_entry_at(g, at);
            if (e->epoch == epoch) {
                w->move_group = g->id;
                w->move_index = at;
                *out = *e;
                return true;
            }
        }
    }
    return false;
}

static bool move_next(struct store_wal *w, uint64_t epoch, struct wal_entry *out)
{
    pthread_mutex_lock(&w->mutex);
    bool found = move_find(w, epoch, out);
    pthread_mutex_unlock(&w->mutex);
    return found;
}

/* The record that carries an entry to the head: with its body, or its damage alone. */
static int move_record(struct store_wal *w, const struct wal_entry *e, struct store_wal_record *r)
{
    *r = (struct store_wal_record){.kind = STORE_WAL_FILL,
                                   .group = w->move_group,
                                   .index = w->move_index,
                                   .term = e->term,
                                   .type = e->type,
                                   .time_us = e->time_us,
                                   .vote = 1};
    int err = e->state == STORE_WAL_OK ? 0 : ERR_CORRUPT;
    const struct wal_segment *s = store_wal_segment_of(w, e->epoch);
    if (err == 0 && e->bytes > 0) {
        TRY(buf_reserve(&w->move_buf, e->bytes));
        err = store_wal_read_body(w, e, s->file, w->move_buf.data + w->move_buf.size);
    }
    if (err == 0) {
        /* the address is filled in once the buffer no longer moves */
        r->body.size = e->bytes;
        w->move_buf.size += e->bytes;
        return 0;
    }
    if (err != ERR_CORRUPT) {
        return err;
    }
    r->kind = (enum store_wal_kind)WAL_KIND_MARK;
    r->vote = e->state == STORE_WAL_OK ? STORE_WAL_FAULTY : e->state;
    r->commit = e->bytes;
    return 0;
}

/* Copies some live records of the oldest segment to the head. */
static int move_step(struct store_wal *w, uint64_t budget_bytes)
{
    struct store_wal_record records[MOVE_RECORDS_MAX];
    uint64_t epoch = w->segments[0].epoch;
    /* an even share of a segment: a small one must take the batch beside its head */
    uint64_t most = NUM_MIN(budget_bytes, w->options.segment_bytes / 8);
    most = NUM_MIN(most, w->options.batch_bytes_max / 2);
    unsigned count = 0;
    buf_clear(&w->move_buf);
    if (w->move_epoch != epoch) {
        w->move_epoch = epoch;
        w->move_group = 0;
        w->move_index = 0;
    }
    while (count < MOVE_RECORDS_MAX) {
        struct wal_entry e;
        bool found = move_next(w, epoch, &e);
        uint64_t used = w->move_buf.size + (uint64_t)count * WAL_RECORD_HEAD_BYTES;
        if (!found || (count > 0 && used + e.bytes + WAL_RECORD_HEAD_BYTES > most)) {
            break;
        }
        TRY(move_record(w, &e, &records[count++]));
        w->move_index++;
    }
    if (count == 0) {
        /* what was passed by came back: look again from the start */
        w->move_group = 0;
        w->move_index = 0;
        return 0;
    }
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        if (records[i].kind == STORE_WAL_FILL) {
            records[i].body = bytes_of(w->move_buf.data + at, records[i].body.size);
            at += records[i].body.size;
        }
    }
    int err = store_wal_append_any(w, records, count, NULL);
    if (err != 0) {
        w->move_epoch = 0;
        return err;
    }
    pthread_mutex_lock(&w->mutex);
    w->stats.moved += count;
    pthread_mutex_unlock(&w->mutex);
    return 0;
}

/* returns: whether a segment could be given back if a batch said so. */
static bool release_due(const struct store_wal *w)
{
    return w->segments_count > 1 && w->segments[0].live == 0 && !w->head_due;
}

int store_wal_maintain(struct store_wal *w, uint64_t budget_bytes, bool *more)
{
    bool preparing = false;
    if (w->failed) {
        return ERR_IO;
    }
    TRY(store_wal_recycle(w));
    if (w->pool_count < w->options.pool_segments) {
        TRY(store_wal_pool_step(w, budget_bytes, &preparing));
    }
    if (wants_move(w)) {
        TRY(move_step(w, budget_bytes));
    }
    if (release_due(w) && w->segments[0].epoch >= w->durable_first_epoch) {
        TRY(store_wal_append_any(w, NULL, 0, NULL));
    }
    TRY(store_wal_recycle(w));
    *more = preparing || w->pool_count < w->options.pool_segments || wants_move(w) ||
            (release_due(w) && w->segments[0].readers == 0);
    return 0;
}
