/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Pages of a region: some of its records, in the order of their names, with the context that they
 * are of. Both are read in one step of the own group. An entry that the context does not have yet
 * (its page came here, the last one of that fetch did not) is left out.
 *
 * The same walk gives sums of records, by which equal contexts with different entries are told
 * apart: 256 buckets by the hash of the name, as leaves under one region's digest.
 */
#include "server/node/eventual_peers_internal.h"

#define NODE_EV_BITMAP_BYTES (NODE_EV_BUCKETS / 8u)

/* ---- bodies --------------------------------------------------------------------------------- */

static void node_ev_put_name(struct buf *out, struct bytes name)
{
    (void)buf_put_u16(out, (uint16_t)name.size);
    (void)buf_append(out, name.data, name.size);
}

int node_ev_page_ask_encode(const struct node_ev_page_ask *a, struct buf *out)
{
    ASSERT(a->after.size <= NODE_NAME_BYTES_MAX);
    (void)buf_put_u8(out, a->region);
    (void)buf_put_u8(out, (uint8_t)a->mode);
    node_ev_put_name(out, a->after);
    (void)buf_put_bytes(out, a->seen);
    return buf_put_bytes(out, a->picked);
}

static int node_ev_page_ask_take(struct bytes_reader *r, struct node_ev_page_ask *a)
{
    uint8_t region = 0;
    struct bytes key;
    struct bytes record_key;
    a->region = bytes_take_u8(r);
    uint8_t mode = bytes_take_u8(r);
    a->after = bytes_take(r, bytes_take_u16(r));
    a->seen = bytes_take_bytes(r, NODE_EV_FRAGMENT_MAX);
    a->picked = bytes_take_bytes(r, NODE_EV_FRAGMENT_MAX);
    if (r->failed || a->region >= NODE_EV_REGIONS || mode > NODE_EV_PICKED ||
        a->after.size > NODE_NAME_BYTES_MAX) {
        return ERR_PROTOCOL;
    }
    if (a->after.size > 0 &&
        (node_ev_record_parts(a->after, &region, &key, &record_key) != 0 || region != a->region)) {
        return ERR_PROTOCOL;
    }
    if (mode == NODE_EV_PICKED && (a->picked.size < NODE_EV_BITMAP_BYTES ||
                                   (a->picked.size - NODE_EV_BITMAP_BYTES) % 8 != 0)) {
        return ERR_PROTOCOL;
    }
    a->mode = (enum node_ev_mode)mode;
    return 0;
}

int node_ev_page_ask_decode(struct bytes body, struct node_ev_page_ask *a)
{
    struct bytes_reader r = bytes_reader_of(body);
    TRY(node_ev_page_ask_take(&r, a));
    return bytes_reader_ended(&r) ? 0 : ERR_PROTOCOL;
}

/* The names of the range lie in the body: from, then the end, which is not in it. */
int node_ev_page_query_encode(const struct node_ev_page_ask *a, struct bytes to, struct buf *out)
{
    const uint8_t from[2] = {NODE_KEY_EV_RECORD, a->region};
    const uint8_t end[2] = {NODE_KEY_EV_RECORD, (uint8_t)(a->region + 1)};
    node_ev_put_name(out, a->after.size > 0 ? a->after : bytes_of(from, sizeof from));
    node_ev_put_name(out, to.size > 0 ? to : bytes_of(end, sizeof end));
    return node_ev_page_ask_encode(a, out);
}

int node_ev_page_decode(struct bytes body, struct node_ev_page *page)
{
    struct bytes_reader r = bytes_reader_of(body);
    page->more = bytes_take_u8(&r) != 0;
    page->whole = bytes_take_u8(&r) != 0;
    page->last = bytes_take(&r, bytes_take_u16(&r));
    page->fragment = bytes_of(r.at, r.left);
    return r.failed || page->last.size > NODE_NAME_BYTES_MAX || (page->more && page->last.size == 0)
               ? ERR_PROTOCOL
               : 0;
}

int node_ev_sums_page_decode(struct bytes body, struct node_ev_sums_page *page)
{
    struct bytes_reader r = bytes_reader_of(body);
    page->more = bytes_take_u8(&r) != 0;
    page->last = bytes_take(&r, bytes_take_u16(&r));
    page->seen = bytes_take_u64(&r);
    page->rows = r;
    return r.failed || r.left % 9 != 0 ? ERR_PROTOCOL : 0;
}

/* ---- sums ----------------------------------------------------------------------------------- */

static uint64_t node_ev_name_hash(struct bytes name)
{
    struct hash_digest d = {0};
    hash_digest_add(&d, name, bytes_of(NULL, 0));
    return d.low;
}

uint8_t node_ev_bucket(struct bytes name)
{
    return (uint8_t)(node_ev_name_hash(name) % NODE_EV_BUCKETS);
}

/* The entries lie together, behind format and count. */
int node_ev_record_sum(struct bytes name, struct bytes raw, uint64_t *sum)
{
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry e;
    struct hash_digest d = {0};
    TRY(node_ev_record_begin(raw, &entries, &removals));
    const uint8_t *from = entries.r.at;
    *sum = 0;
    if (entries.left == 0) {
        return 0;
    }
    while (node_ev_record_entry(&entries, &e)) {
    }
    hash_digest_add(&d, name, bytes_of(from, (size_t)(entries.r.at - from)));
    *sum = d.low == 0 ? 1 : d.low;
    return 0;
}

/* ---- the question --------------------------------------------------------------------------- */

struct node_ev_walk {
    struct node_ev_page_ask ask;
    struct bytes from;
    struct bytes to;
    struct crdt_context theirs;
    struct node_ev_region own;
};

static int node_ev_walk_decode(struct bytes body, struct node_ev_walk *w)
{
    struct bytes_reader r = bytes_reader_of(body);
    w->from = bytes_take(&r, bytes_take_u16(&r));
    w->to = bytes_take(&r, bytes_take_u16(&r));
    TRY(node_ev_page_ask_take(&r, &w->ask));
    return bytes_reader_ended(&r) ? 0 : ERR_PROTOCOL;
}

static int node_ev_page_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    struct node_ev_walk w;
    uint8_t name[2];
    TRY(node_ev_walk_decode(body, &w));
    node_ev_region_name(w.ask.region, name);
    TRY(node_keys_add(keys, bytes_of(name, sizeof name)));
    range->from = w.from;
    range->to = w.to;
    range->after = w.ask.after.size > 0;
    range->rows_max = NODE_EV_PAGE_ROWS;
    range->bytes_max = NODE_EV_PAGE_BYTES;
    return 0;
}

/* w: decoded. returns: 0 with both contexts, or an error; node_ev_walk_release in any case. */
static int node_ev_walk_begin(struct node_ev_walk *w, const struct node_rows *rows,
                              const struct alloc *alloc)
{
    const struct crdt_limits limits = crdt_limits_default();
    struct bytes raw = {0};
    uint8_t name[2];
    crdt_context_init(&w->theirs, alloc);
    crdt_context_init(&w->own.seen, alloc);
    node_ev_region_name(w->ask.region, name);
    (void)node_rows_get(rows, bytes_of(name, sizeof name), &raw); /* none: nothing was written */
    TRY(node_ev_region_decode(raw, &w->own));
    return w->ask.seen.size == 0 ? 0 : crdt_context_decode(&w->theirs, w->ask.seen, &limits);
}

static void node_ev_walk_release(struct node_ev_walk *w)
{
    crdt_context_release(&w->theirs);
    crdt_context_release(&w->own.seen);
}

/* ---- a page --------------------------------------------------------------------------------- */

/* What a record has for the asker. */
struct node_ev_look {
    bool news;      /* a dot that it has not seen */
    uint32_t live;  /* entries within the context */
    uint32_t ahead; /* entries that are not */
    uint32_t removals;
};

static int node_ev_look_at(const struct node_ev_walk *w, struct bytes raw, struct node_ev_look *out)
{
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry e;
    struct crdt_dot dot;
    *out = (struct node_ev_look){.live = 0};
    TRY(node_ev_record_begin(raw, &entries, &removals));
    out->removals = removals.left;
    while (node_ev_record_entry(&entries, &e)) {
        if (crdt_context_has(&w->own.seen, e.dot)) {
            out->live++;
            out->news = out->news || !crdt_context_has(&w->theirs, e.dot);
        } else {
            out->ahead++;
        }
    }
    while (node_ev_record_removal(&removals, &dot)) {
        out->news = out->news || !crdt_context_has(&w->theirs, dot);
    }
    return 0;
}

static bool node_ev_sum_listed(struct bytes picked, uint64_t sum)
{
    const uint8_t *sums = picked.data + NODE_EV_BITMAP_BYTES;
    size_t low = 0;
    size_t high = (picked.size - NODE_EV_BITMAP_BYTES) / sizeof(uint64_t);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t at = num_get_u64(sums + middle * sizeof(uint64_t));
        if (at == sum) {
            return true;
        }
        if (at < sum) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

static int node_ev_page_wants(const struct node_ev_walk *w, struct bytes name, struct bytes raw,
                              struct node_ev_look *look, bool *wanted)
{
    uint64_t sum = 0;
    TRY(node_ev_look_at(w, raw, look));
    *wanted = false;
    if (look->live + look->removals == 0) {
        return 0;
    }
    if (w->ask.mode == NODE_EV_PICKED) {
        uint8_t bucket = node_ev_bucket(name);
        TRY(node_ev_record_sum(name, raw, &sum));
        *wanted = look->live > 0 && (w->ask.picked.data[bucket / 8] >> bucket % 8 & 1) != 0 &&
                  !node_ev_sum_listed(w->ask.picked, sum);
        return 0;
    }
    *wanted = w->ask.mode == NODE_EV_ALL || look->news;
    return 0;
}

/* The record without entries that the context has not. */
static int node_ev_page_strip(const struct node_ev_walk *w, struct bytes raw, uint32_t live,
                              struct buf *out)
{
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry e;
    TRY(node_ev_record_begin(raw, &entries, &removals));
    (void)buf_put_u8(out, raw.data[0]);
    (void)buf_put_u32(out, live);
    while (node_ev_record_entry(&entries, &e)) {
        if (crdt_context_has(&w->own.seen, e.dot)) {
            (void)buf_put_u32(out, e.dot.actor.node);
            (void)buf_put_u64(out, e.dot.actor.epoch);
            (void)buf_put_u64(out, e.dot.counter);
            (void)buf_put_bytes(out, e.payload);
        }
    }
    (void)buf_put_u32(out, removals.left);
    return buf_append(out, removals.r.at, removals.r.left);
}

static int node_ev_page_row(const struct node_ev_walk *w, struct bytes name, struct bytes raw,
                            struct buf *reply, uint32_t *count)
{
    struct node_ev_look look;
    struct bytes key;
    struct bytes record_key;
    uint8_t region = 0;
    bool wanted = false;
    TRY(node_ev_page_wants(w, name, raw, &look, &wanted));
    if (!wanted) {
        return 0;
    }
    TRY(node_ev_record_parts(name, &region, &key, &record_key));
    (*count)++;
    if (look.ahead == 0) {
        return node_ev_fragment_record(key, record_key, raw, reply);
    }
    struct buf bare;
    buf_init(&bare, &reply->alloc, STORE_KV_VALUE_BYTES_MAX);
    int err = node_ev_page_strip(w, raw, look.live, &bare);
    err = err != 0 ? err : node_ev_fragment_record(key, record_key, buf_view(&bare), reply);
    buf_release(&bare);
    return err;
}

/* Answer: more u8, whole u8, last name (length u16), fragment. */
static int node_ev_page_write(struct node_ev_walk *w, const struct node_rows *rows,
                              struct buf *reply)
{
    struct node_ev_fragment f = {.region = w->ask.region,
                                 .flags = NODE_EV_PAGE,
                                 .time_us = w->own.time_us,
                                 .seen = w->own.seen};
    struct bytes name = {0};
    struct bytes raw;
    uint32_t count = 0;
    unsigned rows_count = node_rows_count(rows);
    crdt_context_init(&f.before, &reply->alloc);
    f.flags |= w->ask.mode == NODE_EV_PICKED ? NODE_EV_RESTORE : 0;
    if (rows_count > 0) {
        node_rows_at(rows, rows_count - 1, &name, &raw);
    }
    (void)buf_put_u8(reply, node_rows_more(rows));
    (void)buf_put_u8(reply, w->ask.mode == NODE_EV_ALL);
    node_ev_put_name(reply, name);
    TRY(node_ev_fragment_head(&f, reply));
    size_t at = reply->size - sizeof(uint32_t);
    for (unsigned i = 0; i < rows_count; i++) {
        node_rows_at(rows, i, &name, &raw);
        TRY(node_ev_page_row(w, name, raw, reply, &count));
    }
    TRY(reply->err);
    num_put_u32(reply->data + at, count);
    return 0;
}

static int node_ev_page_answer(const struct node_query_ctx *q, struct bytes body,
                               const struct node_rows *rows, struct buf *reply)
{
    struct node_ev_walk w;
    (void)q;
    TRY(node_ev_walk_decode(body, &w));
    int err = node_ev_walk_begin(&w, rows, &reply->alloc);
    err = err != 0 ? err : node_ev_page_write(&w, rows, reply);
    node_ev_walk_release(&w);
    return err;
}

/* ---- sums of records ------------------------------------------------------------------------ */

static int node_ev_sums_write(const struct node_ev_walk *w, const struct node_rows *rows,
                              struct buf *reply)
{
    struct bytes name = {0};
    struct bytes raw;
    unsigned count = node_rows_count(rows);
    struct node_ev_region bare = {.seen = w->own.seen};
    if (count > 0) {
        node_rows_at(rows, count - 1, &name, &raw);
    }
    (void)buf_put_u8(reply, node_rows_more(rows));
    node_ev_put_name(reply, name);
    (void)buf_put_u64(reply, node_ev_region_hash(&bare).low);
    for (unsigned i = 0; i < count; i++) {
        uint64_t sum = 0;
        node_rows_at(rows, i, &name, &raw);
        TRY(node_ev_record_sum(name, raw, &sum));
        if (sum != 0) {
            (void)buf_put_u8(reply, node_ev_bucket(name));
            (void)buf_put_u64(reply, sum);
        }
    }
    return reply->err;
}

static int node_ev_sums_answer(const struct node_query_ctx *q, struct bytes body,
                               const struct node_rows *rows, struct buf *reply)
{
    struct node_ev_walk w;
    (void)q;
    TRY(node_ev_walk_decode(body, &w));
    int err = node_ev_walk_begin(&w, rows, &reply->alloc);
    err = err != 0 ? err : node_ev_sums_write(&w, rows, reply);
    node_ev_walk_release(&w);
    return err;
}

/* ---- removals that may go ------------------------------------------------------------------- */

/* *left: also if there are some that may not go. */
static bool node_ev_droppable(const struct node_ev_walk *w, struct bytes raw, bool *left)
{
    bool some = false;
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct crdt_dot dot;
    if (node_ev_record_begin(raw, &entries, &removals) != 0) {
        return false;
    }
    while (node_ev_record_removal(&removals, &dot)) {
        bool may = crdt_context_has(&w->theirs, dot);
        some = some || may;
        *left = *left || !may;
    }
    return some;
}

/* Answer: more u8, left u8 (some have removals that must stay), last name (length u16), then the
 * names (length u16) of records with removals in the asker's context. */
static int node_ev_drops_write(const struct node_ev_walk *w, const struct node_rows *rows,
                               struct buf *reply)
{
    struct bytes name = {0};
    struct bytes raw;
    unsigned count = node_rows_count(rows);
    bool left = false;
    if (count > 0) {
        node_rows_at(rows, count - 1, &name, &raw);
    }
    (void)buf_put_u8(reply, node_rows_more(rows));
    (void)buf_put_u8(reply, 0);
    node_ev_put_name(reply, name);
    for (unsigned i = 0; i < count; i++) {
        node_rows_at(rows, i, &name, &raw);
        if (node_ev_droppable(w, raw, &left)) {
            node_ev_put_name(reply, name);
        }
    }
    TRY(reply->err);
    reply->data[1] = left;
    return 0;
}

static int node_ev_drops_answer(const struct node_query_ctx *q, struct bytes body,
                                const struct node_rows *rows, struct buf *reply)
{
    struct node_ev_walk w;
    (void)q;
    TRY(node_ev_walk_decode(body, &w));
    int err = node_ev_walk_begin(&w, rows, &reply->alloc);
    err = err != 0 ? err : node_ev_drops_write(&w, rows, reply);
    node_ev_walk_release(&w);
    return err;
}

const struct node_query_op node_ev_page_queries[] = {
    {NODE_QUERY_EV_PAGE, "ev_page", node_ev_page_want, node_ev_page_answer},
    {NODE_QUERY_EV_SUMS, "ev_sums", node_ev_page_want, node_ev_sums_answer},
    {NODE_QUERY_EV_DROPS, "ev_drops", node_ev_page_want, node_ev_drops_answer},
    {0, NULL, NULL, NULL},
};
