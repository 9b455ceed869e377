/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Recovery, the applying part: one batch after the other into the index. What can be read is
 * applied; what cannot is told by the item of the batch, by second copies, or by later records; and
 * what nothing tells is marked, never left out.
 */
#include "base/num.h"
#include "store/wal_recover_internal.h"

#include <inttypes.h>
#include <string.h>

/* The batch at hand. */
struct replay {
    struct scan *s;
    const struct scan_batch *b;
    struct wal_view view;
    bool judged;
    enum scan_verdict verdict;
    bool item_found;
    uint32_t item_runs;
    bool bad_head; /* ambiguous: the head of some entry could not be read */
    bool bad;      /* anything could not be read */
};

static int replay_group(struct scan *s, uint32_t id, struct wal_group **g)
{
    *g = store_wal_group_make(s->w, id);
    if (*g == NULL) {
        return err_set(s->why, ERR_BUSY, "log holds more than %u groups", s->w->options.groups_max);
    }
    return 0;
}

/* Adds entries that are known to have been there, and nothing more. */
static int add_unknown(struct scan *s, struct wal_group *g, uint64_t last, enum store_wal_state st)
{
    struct store_wal *w = s->w;
    uint64_t gap = last - g->last_index;
    if (gap > w->options.entries_max + (1u << 16)) {
        /* more than the index ever held: only the end can be meant */
        store_wal_index_cut(w, g, g->base_index + 1);
        store_wal_index_base(w, g, last, 0);
        return 0;
    }
    struct wal_entry e = {.state = (uint8_t)st};
    /* an ambiguous one stays with its segment, so that it is carried on with its state */
    e.epoch = st == STORE_WAL_AMBIGUOUS ? (uint32_t)s->epoch : 0;
    TRY(store_wal_group_reserve(w, g, gap + WAL_CHUNK_ENTRIES));
    TRY(store_wal_chunks_reserve(w, gap / WAL_CHUNK_ENTRIES + 2));
    while (g->last_index < last) {
        store_wal_index_put(w, g, g->last_index + 1, &e);
    }
    return 0;
}

static int put_entry(struct replay *r, struct wal_group *g, uint64_t index,
                     const struct wal_entry *e)
{
    struct scan *s = r->s;
    if (index <= g->base_index) {
        return 0;
    }
    if (index > g->last_index + 1) {
        bool ambiguous = r->judged && r->verdict == SCAN_AMBIGUOUS;
        TRY(add_unknown(s, g, index - 1, ambiguous ? STORE_WAL_AMBIGUOUS : STORE_WAL_FAULTY));
    }
    TRY(store_wal_group_reserve(s->w, g, WAL_CHUNK_ENTRIES));
    TRY(store_wal_chunks_reserve(s->w, 2));
    store_wal_index_put(s->w, g, index, e);
    g->tail_ambiguous = false;
    return 0;
}

/* Records of the group may be missing: entries that are not known to be committed may have been
 * overwritten, there may have been more after the last one that is known, and hard state may have
 * changed. An entry that comes next tells that those before it were there. */
static void group_loss(struct scan *s, struct wal_group *g)
{
    struct wal_entry unknown = {.state = STORE_WAL_FAULTY};
    for (uint64_t i = NUM_MAX(g->commit, g->base_index) + 1; i <= g->last_index; i++) {
        store_wal_index_replace(s->w, g, i, &unknown);
    }
    g->hard_pending = true;
    g->tail_ambiguous = true;
    g->unsure = false;
    log_line(s->w->log, LOG_WARN, "wal_records_lost", "group=%u epoch=%" PRIu64, g->id, s->epoch);
}

/* The chain says whether the group's record before this one was seen. */
static void follow_chain(struct scan *s, struct wal_group *g, const struct wal_record_head *h)
{
    bool fresh = !g->known;
    if (g->chain_known && g->chain == h->chain) {
        g->unsure = false;
    } else if (g->chain_known || g->unsure) {
        group_loss(s, g);
    } else if (fresh && h->chain != 0 && h->kind != WAL_KIND_STATE) {
        g->hard_pending = true;
    }
    g->chain = h->crc;
    g->chain_known = true;
    g->known = true;
}

static int judge(struct replay *r)
{
    if (r->judged) {
        return 0;
    }
    r->judged = true;
    r->bad = true;
    TRY(store_wal_scan_verdict(r->s, r->b->lsn, &r->verdict));
    if (r->verdict == SCAN_DURABLE) {
        TRY(store_wal_scan_item(r->s, r->b->lsn, &r->item_found, &r->item_runs));
    }
    log_line(r->s->w->log, LOG_WARN, "wal_batch_damaged", "lsn=%" PRIu64 " epoch=%" PRIu64 " %s",
             r->b->lsn, r->s->epoch, r->verdict == SCAN_DURABLE ? "faulty" : "ambiguous");
    return 0;
}

static int replay_state(struct replay *r, struct wal_group *g, const struct wal_record_head *h)
{
    struct store_wal *w = r->s->w;
    uint64_t base_term = (uint64_t)h->body_bytes | ((uint64_t)h->body_crc << 32);
    if (h->index > g->base_index) {
        store_wal_index_base(w, g, h->index, base_term);
    } else if (h->index == g->base_index) {
        g->base_term = base_term;
    }
    g->term = h->term;
    g->vote = h->vote;
    g->commit = h->time_us;
    g->hard_pending = false;
    g->hard_lost =
        (h->flags & WAL_FLAG_STATE_LOST) != 0 && r->s->incarnation == w->options.incarnation;
    g->tail_ambiguous = (h->flags & WAL_FLAG_STATE_TAIL) != 0;
    if (h->last > g->last_index) {
        TRY(add_unknown(r->s, g, h->last, STORE_WAL_FAULTY));
    }
    store_wal_index_cut(w, g, h->last + 1);
    return 0;
}

static void replay_hard(struct wal_group *g, const struct wal_record_head *h)
{
    if ((h->flags & WAL_FLAG_HARD_ONCE) == 0) {
        g->term = h->term;
        g->vote = h->vote;
        g->hard_pending = false;
    }
    g->commit = NUM_MAX(g->commit, h->index);
}

/* A record FILL replaces the entry unless the body is damaged and an older copy is not. */
static void replay_fill(struct replay *r, struct wal_group *g, uint64_t index,
                        const struct wal_entry *e)
{
    const struct wal_entry *at = store_wal_entry_at(g, index);
    if (at == NULL || (at->term != 0 && at->term != e->term)) {
        return;
    }
    if (e->state == STORE_WAL_OK || (at->state != STORE_WAL_OK && r->verdict == SCAN_DURABLE)) {
        store_wal_index_replace(r->s->w, g, index, e);
    }
}

static int replay_entry(struct replay *r, struct wal_group *g, const struct wal_record_head *h)
{
    struct scan *s = r->s;
    uint32_t crc = 0;
    struct wal_entry e = {.term = h->term,
                          .time_us = h->time_us,
                          .bytes = h->body_bytes,
                          .crc = h->body_crc,
                          .epoch = (uint32_t)s->epoch,
                          .type = h->type};
    if (!store_wal_view_crc(&r->view, h->body_at, h->body_bytes, &crc) || crc != h->body_crc) {
        TRY(judge(r));
        e.state = r->verdict == SCAN_DURABLE ? STORE_WAL_FAULTY : STORE_WAL_AMBIGUOUS;
    } else {
        e.offset =
            (uint32_t)(r->b->start * (uint64_t)WAL_BLOCK_BYTES + store_wal_file_at(h->body_at));
    }
    if (h->kind == STORE_WAL_FILL) {
        replay_fill(r, g, h->index, &e);
        return 0;
    }
    TRY(put_entry(r, g, h->index, &e));
    return 0;
}

static void replay_mark(struct replay *r, struct wal_group *g, const struct wal_record_head *h)
{
    const struct wal_entry *at = store_wal_entry_at(g, h->index);
    struct wal_entry e = {.term = h->term,
                          .time_us = h->time_us,
                          .bytes = h->body_bytes,
                          .epoch = (uint32_t)r->s->epoch,
                          .type = h->type,
                          .state = h->flags == STORE_WAL_AMBIGUOUS ? STORE_WAL_AMBIGUOUS
                                                                   : STORE_WAL_FAULTY};
    if (at != NULL && (at->term == 0 || at->term == h->term) && at->state != STORE_WAL_OK) {
        store_wal_index_replace(r->s->w, g, h->index, &e);
    }
}

static int replay_good(struct replay *r, const struct wal_record_head *h)
{
    struct wal_group *g = NULL;
    TRY(replay_group(r->s, h->group, &g));
    follow_chain(r->s, g, h);
    switch (h->kind) {
    case STORE_WAL_ENTRY:
    case STORE_WAL_FILL: return replay_entry(r, g, h);
    case STORE_WAL_HARD: replay_hard(g, h); return 0;
    case STORE_WAL_BASE: store_wal_index_base(r->s->w, g, h->index, h->term); return 0;
    case STORE_WAL_CUT:
        store_wal_index_cut(r->s->w, g, h->index);
        g->tail_ambiguous = false;
        return 0;
    case WAL_KIND_MARK: replay_mark(r, g, h); return 0;
    default: return replay_state(r, g, h);
    }
}

/* A record of which only its run is left. */
static int replay_told(struct replay *r, const struct wal_run *run, uint64_t index)
{
    struct wal_group *g = NULL;
    TRY(replay_group(r->s, run->group, &g));
    struct wal_entry e = {.term = run->term,
                          .epoch = (uint32_t)r->s->epoch,
                          .type = run->type,
                          .state = STORE_WAL_FAULTY};
    g->known = true;
    g->chain_known = false;
    switch (run->kind) {
    case STORE_WAL_ENTRY: return put_entry(r, g, index, &e);
    case STORE_WAL_FILL:
    case WAL_KIND_MARK: replay_fill(r, g, index, &e); return 0;
    case STORE_WAL_HARD:
        g->hard_pending = g->hard_pending || (run->flags & WAL_FLAG_HARD_ONCE) == 0;
        return 0;
    case STORE_WAL_CUT: store_wal_index_cut(r->s->w, g, index); return 0;
    case WAL_KIND_STATE: g->hard_pending = true; break;
    default: break;
    }
    store_wal_index_base(r->s->w, g, index, run->term);
    return 0;
}

/* returns: whether the item tells the record in this slot. */
static bool told_at(const struct replay *r, uint32_t slot, struct wal_run *run, uint64_t *index)
{
    uint64_t first = 0;
    for (uint32_t i = 0; i < r->item_runs; i++) {
        *run = store_wal_scan_run(r->s, i);
        if (slot < first + run->count) {
            *index = run->first + (slot - first);
            return true;
        }
        first += run->count;
    }
    return false;
}

/* The next record of each group may follow one that cannot be read. */
static void chains_forget(struct scan *s)
{
    for (unsigned i = 0; i < s->w->groups_count; i++) {
        s->w->groups[i].chain_known = false;
    }
}

static int replay_bad(struct replay *r, uint32_t slot)
{
    struct wal_run run;
    uint64_t index = 0;
    TRY(judge(r));
    if (r->verdict == SCAN_DURABLE && told_at(r, slot, &run, &index)) {
        return replay_told(r, &run, index);
    }
    if (r->verdict == SCAN_DURABLE) {
        store_wal_replay_unknown(r->s);
        return 0;
    }
    /* hard state in a bad last batch: its sync never returned, the earlier state holds */
    r->bad_head = r->bad_head || slot >= r->b->twice;
    chains_forget(r->s);
    return 0;
}

static bool take_head(const struct replay *r, uint32_t slot, uint32_t seed,
                      struct wal_record_head *h)
{
    uint8_t raw[WAL_RECORD_HEAD_BYTES];
    uint64_t at = WAL_BATCH_HEAD_BYTES + (uint64_t)slot * WAL_RECORD_HEAD_BYTES;
    if (store_wal_view_take(&r->view, at, raw, sizeof(raw)) &&
        store_wal_take_record_head(raw, h, seed)) {
        return true;
    }
    if (slot >= r->b->twice) {
        return false;
    }
    uint64_t copies =
        (uint64_t)r->view.blocks * WAL_BLOCK_ROOM - (uint64_t)r->b->twice * WAL_RECORD_HEAD_BYTES;
    return store_wal_view_take(&r->view, copies + (uint64_t)slot * WAL_RECORD_HEAD_BYTES, raw,
                               sizeof(raw)) &&
           store_wal_take_record_head(raw, h, seed);
}

void store_wal_replay_unknown(struct scan *s)
{
    for (unsigned i = 0; i < s->w->groups_count; i++) {
        s->w->groups[i].unsure = true;
    }
}

/* What a bad last batch leaves behind for all groups. */
static void replay_damage(struct replay *r)
{
    struct store_wal *w = r->s->w;
    if (!r->judged || r->verdict == SCAN_DURABLE) {
        return;
    }
    r->s->skip_lsn = r->b->lsn;
    chains_forget(r->s);
    for (unsigned i = 0; i < w->groups_count; i++) {
        w->groups[i].tail_ambiguous = w->groups[i].tail_ambiguous || r->bad_head;
    }
}

/* Keeps the item of the batch for the footer and for the next batch. */
static int keep_item(struct replay *r)
{
    struct store_wal *w = r->s->w;
    if (r->bad && (r->verdict == SCAN_AMBIGUOUS || !r->item_found)) {
        buf_clear(&w->echo);
        return 0;
    }
    const struct buf *item = &w->item;
    if (r->bad) {
        item = &r->s->scratch;
    } else {
        store_wal_seal_item(w->item.data, (uint32_t)w->item.size, r->b->lsn);
    }
    buf_clear(&w->echo);
    TRY(buf_append(&w->echo, item->data, item->size));
    return buf_append(&w->footer, item->data, item->size);
}

/* Heads in order. A batch of unknown length ends at the first head that cannot be read. */
static int replay_heads(struct replay *r, uint32_t records)
{
    struct store_wal *w = r->s->w;
    uint32_t seed = store_wal_seed(w->identity, r->s->epoch, r->b->lsn);
    for (uint32_t slot = 0; slot < records; slot++) {
        struct wal_record_head h;
        if (take_head(r, slot, seed, &h)) {
            TRY(buf_reserve(&w->item, WAL_RUN_BYTES));
            store_wal_item_add(&w->item, &h);
            TRY(replay_good(r, &h));
            continue;
        }
        TRY(replay_bad(r, slot));
        if (!r->b->known && !r->item_found) {
            return 0;
        }
    }
    return 0;
}

int store_wal_replay_batch(struct scan *s, const struct scan_batch *b)
{
    struct store_wal *w = s->w;
    struct replay r = {.s = s, .b = b, .verdict = SCAN_DURABLE};
    uint32_t records = b->records;
    r.view.data = s->data + (size_t)b->start * WAL_BLOCK_BYTES;
    r.view.blocks = b->blocks;
    ASSERT(b->start + b->blocks <= s->blocks);
    buf_clear(&w->item);
    TRY(buf_reserve(&w->item, WAL_ITEM_HEAD_BYTES));
    w->item.size = WAL_ITEM_HEAD_BYTES;
    s->incarnation = w->options.incarnation;
    uint8_t raw[WAL_BATCH_HEAD_BYTES];
    struct wal_batch_head head;
    if (store_wal_view_take(&r.view, 0, raw, sizeof(raw)) &&
        store_wal_take_batch_head(raw, &head)) {
        s->incarnation = head.incarnation;
    }
    if (!b->known) {
        struct wal_run run;
        TRY(judge(&r));
        records = r.item_found ? 0 : UINT32_MAX;
        for (uint32_t i = 0; i < r.item_runs; i++) {
            run = store_wal_scan_run(s, i);
            records = run.count < UINT32_MAX - records ? records + run.count : UINT32_MAX - 1;
        }
    }
    TRY(replay_heads(&r, records));
    replay_damage(&r);
    return keep_item(&r);
}

int store_wal_replay_item(struct scan *s, uint64_t lsn)
{
    struct store_wal *w = s->w;
    struct scan_batch b = {.lsn = lsn};
    struct replay r = {.s = s, .b = &b, .verdict = SCAN_DURABLE, .judged = true, .bad = true};
    TRY(store_wal_scan_item(s, lsn, &r.item_found, &r.item_runs));
    if (!r.item_found) {
        store_wal_replay_unknown(s);
    }
    for (uint32_t i = 0; i < r.item_runs; i++) {
        struct wal_run run = store_wal_scan_run(s, i);
        for (uint32_t k = 0; k < run.count; k++) {
            TRY(replay_told(&r, &run, run.first + k));
        }
    }
    buf_clear(&w->item);
    return keep_item(&r);
}

void store_wal_replay_end(struct scan *s)
{
    struct store_wal *w = s->w;
    for (unsigned i = 0; i < w->groups_count; i++) {
        struct wal_group *g = &w->groups[i];
        if (g->unsure) {
            group_loss(s, g);
            g->chain = ~g->chain; /* the break is seen again by the next recovery */
        }
        g->hard_lost = g->hard_lost || g->hard_pending;
        g->hard_pending = false;
        for (uint64_t at = g->base_index + 1; at <= g->last_index; at++) {
            w->stats.faulty += store_wal_entry_at(g, at)->state == STORE_WAL_FAULTY ? 1 : 0;
        }
    }
}
