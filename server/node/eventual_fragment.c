/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: fragments, what nodes send each other of a region. A fragment has one encoding,
 * and everything in it is checked before any of it is used: its records name keys of its region,
 * and their entries are such as operations make.
 */
#include "base/num.h"
#include "server/node/eventual_ops_internal.h"
#include "wire/api.h"

#define NODE_EV_FRAGMENT_FORMAT 2u /* 1 where nothing is folded */
#define NODE_EV_FLAGS (NODE_EV_PAGE | NODE_EV_LAST | NODE_EV_RESTORE)

void node_ev_fragment_init(struct node_ev_fragment *f, const struct alloc *alloc)
{
    *f = (struct node_ev_fragment){0};
    crdt_context_init(&f->before, alloc);
    crdt_context_init(&f->seen, alloc);
}

void node_ev_fragment_release(struct node_ev_fragment *f)
{
    crdt_context_release(&f->before);
    crdt_context_release(&f->seen);
}

/* ---- in ------------------------------------------------------------------------------------- */

/* returns: 0 if the key is one that node_ev_key makes and of the region. */
static int node_ev_key_check(uint8_t region, struct bytes key)
{
    struct bytes_reader r = bytes_reader_of(key);
    size_t high = bytes_take_u8(&r);
    struct bytes space = bytes_take(&r, high << 8 | bytes_take_u8(&r));
    struct bytes name = bytes_of(r.at, r.left);
    bool good = !r.failed && wire_name_check(space) == 0 && wire_name_check(name) == 0;
    return good && node_ev_region(name) == region ? 0 : ERR_PROTOCOL;
}

static int node_ev_value_check(struct bytes record_key, struct bytes value)
{
    struct crdt_limits limits = crdt_limits_default();
    struct crdt_key_parts parts;
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry e;
    TRY(crdt_key_parts_of(record_key, &parts));
    if (value.size > 0 && value.data[0] > NODE_EV_FORMAT) {
        return ERR_LEVEL;
    }
    if (value.size == 0 || node_ev_record_begin(value, &entries, &removals) != 0) {
        return ERR_PROTOCOL;
    }
    while (node_ev_record_entry(&entries, &e)) {
        TRY(crdt_entry_check(record_key, e.payload, &limits));
    }
    return 0;
}

static int node_ev_records_check(const struct node_ev_fragment *f)
{
    struct bytes_reader r = bytes_reader_of(f->records);
    for (uint32_t i = 0; i < f->records_count; i++) {
        struct bytes key = bytes_take(&r, bytes_take_u16(&r));
        struct bytes record_key = bytes_take(&r, bytes_take_u16(&r));
        struct bytes value = bytes_take(&r, bytes_take_u32(&r));
        if (r.failed) {
            return ERR_PROTOCOL;
        }
        if (4 + key.size + record_key.size > NODE_NAME_BYTES_MAX) {
            return ERR_TOO_LARGE;
        }
        TRY(node_ev_key_check(f->region, key));
        TRY(node_ev_value_check(record_key, value));
    }
    return bytes_reader_ended(&r) ? 0 : ERR_PROTOCOL;
}

/* Takes the head apart; before, seen: encoded. */
static int node_ev_fragment_split(struct node_ev_fragment *f, struct bytes_reader *r,
                                  struct bytes *before, struct bytes *seen)
{
    f->region = bytes_take_u8(r);
    f->flags = bytes_take_u8(r);
    f->time_us = bytes_take_u64(r);
    f->mark = (f->flags & NODE_EV_LAST) != 0 ? bytes_take_u64(r) : 0;
    *before = bytes_take(r, bytes_take_u32(r));
    *seen = bytes_take(r, bytes_take_u32(r));
    f->records_count = bytes_take_u32(r);
    f->records = bytes_of(r->at, r->left);
    bool page = (f->flags & NODE_EV_PAGE) != 0;
    bool good = !r->failed && f->region < NODE_EV_REGIONS && (f->flags & ~NODE_EV_FLAGS) == 0 &&
                (page || f->flags == 0);
    return good ? 0 : ERR_PROTOCOL;
}

static int node_ev_fragment_take(struct node_ev_fragment *f, struct bytes_reader *r)
{
    struct crdt_limits limits = crdt_limits_default();
    struct bytes before;
    struct bytes seen;
    TRY(node_ev_fragment_split(f, r, &before, &seen));
    TRY(crdt_context_decode(&f->before, before, &limits));
    TRY(crdt_context_decode(&f->seen, seen, &limits));
    /* What was made tells of single dots: only a page can tell of all of an epoch. */
    bool page = (f->flags & NODE_EV_PAGE) != 0;
    bool good = page ? f->before.count == 0 : !crdt_context_folded(&f->seen);
    return good ? 0 : ERR_PROTOCOL;
}

int node_ev_fragment_skim(struct node_ev_fragment *f, struct bytes v)
{
    struct crdt_limits limits = crdt_limits_default();
    struct bytes_reader r = bytes_reader_of(v);
    struct bytes before;
    struct bytes seen;
    ASSERT(f->before.count == 0 && f->seen.count == 0);
    (void)bytes_take_u8(&r); /* format */
    TRY(node_ev_fragment_split(f, &r, &before, &seen));
    return crdt_context_decode(&f->seen, seen, &limits);
}

static bool node_ev_fragment_folded(const struct node_ev_fragment *f)
{
    return crdt_context_folded(&f->before) || crdt_context_folded(&f->seen);
}

static int node_ev_fragment_open(struct node_ev_fragment *f, struct bytes v, bool checked)
{
    struct bytes_reader r = bytes_reader_of(v);
    ASSERT(f->before.count == 0 && f->seen.count == 0);
    if (v.size > NODE_EV_FRAGMENT_MAX) {
        return ERR_TOO_LARGE;
    }
    uint8_t format = bytes_take_u8(&r);
    if (r.failed || format == 0) {
        return ERR_PROTOCOL;
    }
    if (format > NODE_EV_FRAGMENT_FORMAT) {
        return ERR_LEVEL;
    }
    int err = node_ev_fragment_take(f, &r);
    err = err == 0 && (format > 1) != node_ev_fragment_folded(f) ? ERR_PROTOCOL : err;
    err = err == 0 && !checked ? node_ev_records_check(f) : err;
    if (err != 0) {
        node_ev_fragment_release(f);
        f->records = (struct bytes){0};
        f->records_count = 0;
    }
    return err;
}

int node_ev_fragment_decode(struct node_ev_fragment *f, struct bytes v)
{
    return node_ev_fragment_open(f, v, false);
}

int node_ev_fragment_reopen(struct node_ev_fragment *f, struct bytes v)
{
    return node_ev_fragment_open(f, v, true);
}

void node_ev_fragment_begin(const struct node_ev_fragment *f, struct node_ev_fragment_cursor *c)
{
    *c = (struct node_ev_fragment_cursor){.r = bytes_reader_of(f->records),
                                          .left = f->records_count};
}

uint32_t node_ev_fragment_skip(struct bytes_reader *r, uint8_t *region, uint8_t *flags)
{
    (void)bytes_take_u8(r); /* format */
    *region = bytes_take_u8(r);
    *flags = bytes_take_u8(r);
    (void)bytes_take_u64(r); /* time */
    (void)((*flags & NODE_EV_LAST) != 0 ? bytes_take_u64(r) : 0);
    (void)bytes_take(r, bytes_take_u32(r)); /* before */
    (void)bytes_take(r, bytes_take_u32(r)); /* seen */
    return bytes_take_u32(r);
}

void node_ev_fragment_walk(struct bytes fragment, struct node_ev_fragment_cursor *c)
{
    uint8_t region;
    uint8_t flags;
    c->r = bytes_reader_of(fragment);
    c->left = node_ev_fragment_skip(&c->r, &region, &flags);
    ASSERT(!c->r.failed);
}

bool node_ev_fragment_next(struct node_ev_fragment_cursor *c, struct bytes *key,
                           struct bytes *record_key, struct bytes *value)
{
    if (c->left == 0) {
        return false;
    }
    c->left--;
    *key = bytes_take(&c->r, bytes_take_u16(&c->r));
    *record_key = bytes_take(&c->r, bytes_take_u16(&c->r));
    *value = bytes_take(&c->r, bytes_take_u32(&c->r));
    ASSERT(!c->r.failed);
    return true;
}

/* ---- out ------------------------------------------------------------------------------------ */

/* A context with its length before it. */
static int node_ev_put_context(const struct crdt_context *c, struct buf *out)
{
    size_t at = out->size;
    TRY(buf_put_u32(out, 0));
    TRY(crdt_context_encode(c, out));
    num_put_u32(out->data + at, (uint32_t)(out->size - at - 4));
    return 0;
}

int node_ev_fragment_head(const struct node_ev_fragment *f, struct buf *out)
{
    (void)buf_put_u8(out, node_ev_fragment_folded(f) ? NODE_EV_FRAGMENT_FORMAT : 1);
    (void)buf_put_u8(out, f->region);
    (void)buf_put_u8(out, f->flags);
    (void)buf_put_u64(out, f->time_us);
    TRY((f->flags & NODE_EV_LAST) != 0 ? buf_put_u64(out, f->mark) : out->err);
    TRY(node_ev_put_context(&f->before, out));
    TRY(node_ev_put_context(&f->seen, out));
    return buf_put_u32(out, f->records_count);
}

int node_ev_fragment_head_of(const struct node_ev_fragment *f, struct bytes before, struct buf *out)
{
    ASSERT((f->flags & NODE_EV_LAST) == 0); /* it has nothing before */
    (void)buf_put_u8(out, node_ev_fragment_folded(f) ? NODE_EV_FRAGMENT_FORMAT : 1);
    (void)buf_put_u8(out, f->region);
    (void)buf_put_u8(out, f->flags);
    (void)buf_put_u64(out, f->time_us);
    TRY(buf_put_bytes(out, before));
    TRY(node_ev_put_context(&f->seen, out));
    return buf_put_u32(out, f->records_count);
}

int node_ev_fragment_record(struct bytes key, struct bytes record_key, struct bytes value,
                            struct buf *out)
{
    ASSERT(4 + key.size + record_key.size <= NODE_NAME_BYTES_MAX);
    (void)buf_put_u16(out, (uint16_t)key.size);
    (void)buf_append(out, key.data, key.size);
    (void)buf_put_u16(out, (uint16_t)record_key.size);
    (void)buf_append(out, record_key.data, record_key.size);
    return buf_put_bytes(out, value);
}
