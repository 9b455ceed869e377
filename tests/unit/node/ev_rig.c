/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * See ev_rig.h.
 */
#include "tests/unit/node/ev_rig.h"

#include "base/hash.h"
#include "base/num.h"

static struct alloc heap;

/* ---- the store ------------------------------------------------------------------------------ */

static void ev_named(const struct ev_replica *r, struct bytes name)
{
    if (r->scope == NULL || name.data[0] == NODE_KEY_EV_SELF) {
        return;
    }
    bool named = false;
    switch (name.data[0]) {
    case NODE_KEY_EV_REGION: named = (r->scope->regions >> name.data[1] & 1) != 0; break;
    case NODE_KEY_EV_AHEAD: named = (r->scope->ahead >> name.data[1] & 1) != 0; break;
    case NODE_KEY_EV_RECORD:
        named = node_ev_names_find(&r->scope->records, name) != NODE_EV_NAME_NONE;
        break;
    case NODE_KEY_EV_TYPES:
        named = node_ev_names_find(&r->scope->types.names, name) != NODE_EV_NAME_NONE;
        break;
    default: break;
    }
    ASSERT(named);
}

static int ev_get(void *ctx, struct bytes name, struct bytes *value)
{
    struct ev_replica *r = ctx;
    ev_named(r, name);
    r->gets++;
    uint32_t i = node_ev_names_find(&r->names, name);
    if (i == NODE_EV_NAME_NONE || !r->rows[i].present) {
        return ERR_NOT_FOUND;
    }
    *value = buf_view(&r->rows[i].value);
    return 0;
}

static int ev_put(void *ctx, struct bytes name, struct bytes value)
{
    struct ev_replica *r = ctx;
    ev_named(r, name);
    r->puts++;
    uint32_t i = node_ev_names_find(&r->names, name);
    if (i == NODE_EV_NAME_NONE) {
        ASSERT(node_ev_names_add(&r->names, name, &i) == 0);
    }
    if (i >= r->rows_cap) {
        uint32_t cap = NUM_MAX(64, r->rows_cap * 2);
        struct ev_row *rows = alloc_get_zeroed(&heap, cap, sizeof *rows);
        if (r->rows_cap > 0) {
            memcpy(rows, r->rows, r->rows_cap * sizeof *rows);
        }
        for (uint32_t j = r->rows_cap; j < cap; j++) {
            buf_init(&rows[j].value, &heap, SIZE_MAX / 2);
        }
        alloc_put(&heap, r->rows, r->rows_cap * sizeof *rows);
        r->rows = rows;
        r->rows_cap = cap;
    }
    r->rows[i].present = true;
    buf_clear(&r->rows[i].value);
    return buf_append(&r->rows[i].value, value.data, value.size);
}

static int ev_del(void *ctx, struct bytes name)
{
    struct ev_replica *r = ctx;
    ev_named(r, name);
    r->puts++;
    uint32_t i = node_ev_names_find(&r->names, name);
    if (i != NODE_EV_NAME_NONE) {
        r->rows[i].present = false;
    }
    return 0;
}

static bool ev_seek(void *ctx, struct bytes name, struct node_ev_spot *spot)
{
    struct ev_replica *r = ctx;
    uint32_t i = node_ev_names_find(&r->names, name);
    r->gets++;
    spot->at.hash = hash_of(name, 1);
    spot->present = i != NODE_EV_NAME_NONE && r->rows[i].present;
    spot->value = spot->present ? buf_view(&r->rows[i].value) : bytes_of(NULL, 0);
    spot->known = r->unknown == 0 || hash_of(name, r->gets) % r->unknown != 0;
    return spot->known;
}

static void ev_seek_all(void *ctx, const struct bytes *names, uint32_t count,
                        struct node_ev_spot *spots)
{
    for (uint32_t i = 0; i < count; i++) {
        (void)ev_seek(ctx, names[i], &spots[i]);
    }
}

static int ev_put_at(void *ctx, const struct node_ev_spot *spot, struct bytes name,
                     struct bytes value)
{
    ASSERT(spot->at.hash == hash_of(name, 1));
    ((struct ev_replica *)ctx)->puts_at++;
    return ev_put(ctx, name, value);
}

static const struct node_ev_region *ev_region(void *ctx, uint8_t region)
{
    return &((struct ev_replica *)ctx)->regions[region];
}

static void ev_ahead(void *ctx, uint8_t region, const struct crdt_context *now)
{
    struct ev_replica *all = ctx;
    const uint8_t raw[2] = {NODE_KEY_EV_AHEAD, region};
    const struct bytes name = bytes_of(raw, sizeof raw);
    ASSERT((ev_row(all, name).size > 0) == (now->count > 0));
}

static void ev_changed(void *ctx, uint8_t region, const struct node_ev_region *now)
{
    struct ev_replica *all = ctx;
    struct node_ev_region *r = &all->regions[region];
    uint8_t name[2];
    node_ev_region_name(region, name);
    uint32_t i = node_ev_names_find(&all->names, bytes_of(name, sizeof name));
    ASSERT(i != NODE_EV_NAME_NONE && all->rows[i].present);
    crdt_context_release(&r->seen);
    ASSERT(node_ev_region_decode(buf_view(&all->rows[i].value), r) == 0);
    ASSERT(r->time_us == now->time_us && crdt_context_equal(&r->seen, &now->seen));
    ASSERT(r->digest.low == now->digest.low && r->digest.high == now->digest.high);
}

static void ev_noted(void *ctx, uint8_t region, bool local, struct bytes fragment)
{
    struct ev_replica *r = ctx;
    ASSERT(r->notes_count < EV_NOTES_MAX);
    struct ev_note *n = &r->notes[r->notes_count++];
    n->local = local;
    n->region = region;
    buf_init(&n->fragment, &heap, NODE_EV_FRAGMENT_MAX);
    ASSERT(buf_append(&n->fragment, fragment.data, fragment.size) == 0);
}

static void ev_conflict(void *ctx, struct crdt_dot dot)
{
    (void)dot;
    ((struct ev_replica *)ctx)->conflicts++;
}

static int ev_lost(void *ctx)
{
    struct ev_replica *r = ctx;
    r->losses++;
    return 0;
}

static void ev_doubt(void *ctx, const char *why)
{
    (void)why;
    ((struct ev_replica *)ctx)->doubts++;
}

static uint64_t ev_epoch_of(const struct ev_replica *r)
{
    const uint8_t name = NODE_KEY_EV_SELF;
    struct bytes raw = ev_row(r, bytes_of(&name, 1));
    return raw.size == 0 ? 0 : num_get_u64(raw.data + 17);
}

static uint64_t ev_mark_of(const struct ev_replica *r)
{
    const uint8_t name = NODE_KEY_EV_SELF;
    struct bytes raw = ev_row(r, bytes_of(&name, 1));
    return raw.size == 0 ? 0 : num_get_u64(raw.data + 50);
}

void ev_epoch(struct ev_replica *r, uint64_t epoch)
{
    uint8_t raw[66] = {2};
    const uint8_t name = NODE_KEY_EV_SELF;
    num_put_u64(raw + 17, epoch);
    num_put_u64(raw + 50, ev_mark_of(r));
    ASSERT(ev_put(r, bytes_of(&name, 1), bytes_of(raw, sizeof raw)) == 0);
}

void ev_mark(struct ev_replica *r, uint64_t mark)
{
    uint8_t raw[66] = {2};
    const uint8_t name = NODE_KEY_EV_SELF;
    num_put_u64(raw + 17, ev_epoch_of(r));
    num_put_u64(raw + 50, mark);
    ASSERT(ev_put(r, bytes_of(&name, 1), bytes_of(raw, sizeof raw)) == 0);
}

struct ev_replica *ev_new(uint32_t node, uint64_t epoch)
{
    heap = alloc_heap();
    struct ev_replica *r = alloc_get_zeroed(&heap, 1, sizeof *r);
    r->store = (struct node_ev_store){
        .ctx = r,
        .alloc = &heap,
        .self = node,
        .log_time_us = 1000000,
        .get = ev_get,
        .put = ev_put,
        .del = ev_del,
        .seek = ev_seek,
        .seek_all = ev_seek_all,
        .put_at = ev_put_at,
        .region = ev_region,
        .changed = ev_changed,
        .ahead = ev_ahead,
        .note = ev_noted,
        .share_bytes = node_ev_share(3),
        .conflict = ev_conflict,
        .doubt = ev_doubt,
        .lost = ev_lost,
    };
    node_ev_names_init(&r->names, &heap);
    buf_init(&r->reply, &heap, 1u << 20);
    buf_init(&r->body, &heap, 8u << 20);
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        crdt_context_init(&r->regions[i].seen, &heap);
    }
    if (epoch > 0) {
        ev_epoch(r, epoch);
    }
    return r;
}

void ev_free(struct ev_replica *r)
{
    for (uint32_t i = 0; i < r->rows_cap; i++) {
        buf_release(&r->rows[i].value);
    }
    for (unsigned i = 0; i < r->notes_count; i++) {
        buf_release(&r->notes[i].fragment);
    }
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        crdt_context_release(&r->regions[i].seen);
    }
    alloc_put(&heap, r->rows, r->rows_cap * sizeof *r->rows);
    node_ev_names_release(&r->names);
    buf_release(&r->reply);
    buf_release(&r->body);
    alloc_put(&heap, r, sizeof *r);
}

struct bytes ev_last(const struct ev_replica *r)
{
    ASSERT(r->notes_count > 0);
    return buf_view(&r->notes[r->notes_count - 1].fragment);
}

struct bytes ev_row(const struct ev_replica *r, struct bytes name)
{
    uint32_t i = node_ev_names_find(&r->names, name);
    bool there = i != NODE_EV_NAME_NONE && r->rows[i].present;
    return there ? buf_view(&r->rows[i].value) : bytes_of(NULL, 0);
}

/* returns: whether row i is a record, and its parts. */
static bool ev_record_at(const struct ev_replica *r, uint32_t i, uint8_t *region, struct bytes *key,
                         struct bytes *record_key)
{
    return r->rows[i].present &&
           node_ev_record_parts(node_ev_names_at(&r->names, i), region, key, record_key) == 0;
}

/* ---- commands ------------------------------------------------------------------------------- */

typedef int ev_scope_fn(struct bytes body, struct node_ev_scope *s);
typedef int ev_apply_fn(const struct node_ev_store *store, struct bytes body, struct buf *reply);

static int ev_run(struct ev_replica *r, ev_scope_fn *scope_of, ev_apply_fn *apply)
{
    struct node_ev_scope scope;
    struct node_ev_scratch scratch;
    struct alloc alloc = node_ev_scratch_init(&scratch, &heap);
    node_ev_scope_init(&scope, &alloc);
    (void)scope_of(buf_view(&r->body), &scope);
    buf_clear(&r->reply);
    r->gets = 0;
    r->puts = 0;
    r->scope = &scope;
    int err = apply(&r->store, buf_view(&r->body), &r->reply);
    r->scope = NULL;
    /* an error changes nothing; without memory the node ends */
    ASSERT(err == 0 || r->puts == 0 || err == ERR_NO_MEMORY);
    node_ev_scratch_release(&scratch);
    return err;
}

/* The record keys under the operation's prefix, as NODE_QUERY_EV_NAMES gives them. */
static void ev_hints(const struct ev_replica *r, const struct node_ev_op *op, struct buf *hints)
{
    struct buf prefix;
    struct buf want;
    struct bytes key;
    struct bytes record_key;
    uint8_t region;
    uint64_t epoch = 0;
    const uint8_t self = NODE_KEY_EV_SELF;
    buf_init(&prefix, &heap, 4096);
    buf_init(&want, &heap, 4096);
    ASSERT(crdt_op_range(&op->path, &op->op, &prefix) == 0);
    ASSERT(node_ev_key(op->space, op->name, &want) == 0);
    for (uint32_t i = 0; i < r->names.count; i++) {
        if (ev_record_at(r, i, &region, &key, &record_key) && bytes_equal(key, buf_view(&want)) &&
            bytes_has_prefix(record_key, buf_view(&prefix))) {
            (void)buf_put_u16(hints, (uint16_t)record_key.size);
            ASSERT(buf_append(hints, record_key.data, record_key.size) == 0);
        }
    }
    struct bytes raw = ev_row(r, bytes_of(&self, 1));
    if (raw.size > 0) {
        epoch = num_get_u64(raw.data + 17);
    }
    ASSERT(node_ev_op_accounts(op, (struct crdt_actor){r->store.self, epoch}, hints) == 0);
    buf_release(&prefix);
    buf_release(&want);
}

int ev_update(struct ev_replica *r, struct node_ev_op *ops, unsigned count, uint64_t wall_us)
{
    struct buf hints[NODE_EV_OPS_MAX];
    for (unsigned i = 0; i < count; i++) {
        buf_init(&hints[i], &heap, 1u << 20);
        if (node_ev_op_needs_hints(&ops[i])) {
            ev_hints(r, &ops[i], &hints[i]);
            ops[i].hints = &hints[i];
        }
    }
    buf_clear(&r->body);
    int err = node_ev_update_encode(ops, count, wall_us, &r->body);
    err = err == 0 ? ev_run(r, node_ev_update_scope, node_ev_update) : err;
    for (unsigned i = 0; i < count; i++) {
        buf_release(&hints[i]);
        ops[i].hints = NULL;
    }
    return err;
}

int ev_join(struct ev_replica *r, const struct bytes *fragments, unsigned count)
{
    buf_clear(&r->body);
    for (unsigned i = 0; i < count; i++) {
        ASSERT(buf_put_bytes(&r->body, fragments[i]) == 0);
    }
    return ev_run(r, node_ev_join_scope, node_ev_join);
}

unsigned ev_drop(struct ev_replica *r, uint8_t region, const struct crdt_context *stable)
{
    struct bytes key;
    struct bytes record_key;
    uint8_t of;
    uint16_t count = 0;
    buf_clear(&r->body);
    (void)buf_put_u8(&r->body, region);
    (void)buf_put_u32(&r->body, 0);
    ASSERT(crdt_context_encode(stable, &r->body) == 0);
    num_put_u32(r->body.data + 1, (uint32_t)r->body.size - 5);
    size_t at = r->body.size;
    (void)buf_put_u16(&r->body, 0);
    for (uint32_t i = 0; i < r->names.count; i++) {
        if (ev_record_at(r, i, &of, &key, &record_key) && of == region) {
            (void)buf_put_u16(&r->body, (uint16_t)key.size);
            (void)buf_append(&r->body, key.data, key.size);
            (void)buf_put_u16(&r->body, (uint16_t)record_key.size);
            (void)buf_append(&r->body, record_key.data, record_key.size);
            count++;
        }
    }
    num_put_u16(r->body.data + at, count);
    ASSERT(r->body.err == 0);
    ASSERT(ev_run(r, node_ev_drop_scope, node_ev_drop) == 0);
    ASSERT(r->reply.size == 4);
    return num_get_u32(r->reply.data);
}

static int ev_fold_apply(const struct node_ev_store *store, struct bytes body, struct buf *reply)
{
    (void)reply;
    return node_ev_fold(store, body);
}

int ev_fold(struct ev_replica *r, uint32_t node, const struct node_ev_retired *row)
{
    buf_clear(&r->body);
    (void)buf_put_u32(&r->body, node);
    ASSERT(node_ev_retired_put(row, &r->body) == 0);
    return ev_run(r, node_ev_fold_scope, ev_fold_apply);
}

/* ---- pages ---------------------------------------------------------------------------------- */

/* returns: whether the record has a dot that is not in seen. */
static bool ev_news(struct bytes raw, const struct crdt_context *seen)
{
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry e;
    struct crdt_dot dot;
    bool news = false;
    ASSERT(node_ev_record_begin(raw, &entries, &removals) == 0);
    while (node_ev_record_entry(&entries, &e)) {
        news = news || !crdt_context_has(seen, e.dot);
    }
    while (node_ev_record_removal(&removals, &dot)) {
        news = news || !crdt_context_has(seen, dot);
    }
    return news;
}

static uint32_t ev_page_records(const struct ev_replica *to, const struct ev_replica *from,
                                const struct ev_pages *how, unsigned part, struct buf *out)
{
    struct bytes key;
    struct bytes record_key;
    uint8_t region;
    uint32_t count = 0;
    for (uint32_t i = part; i < from->names.count; i += how->all_parts) {
        if (ev_record_at(from, i, &region, &key, &record_key) && region == how->region &&
            (how->all || ev_news(buf_view(&from->rows[i].value), &to->regions[region].seen))) {
            ASSERT(node_ev_fragment_record(key, record_key, buf_view(&from->rows[i].value), out) ==
                   0);
            count++;
        }
    }
    return count;
}

int ev_pages(struct ev_replica *to, const struct ev_replica *from, const struct ev_pages *how)
{
    int err = 0;
    for (unsigned part = 0; part < how->parts && err == 0; part++) {
        struct node_ev_fragment f;
        struct buf records;
        struct buf page;
        buf_init(&records, &heap, NODE_EV_FRAGMENT_MAX);
        buf_init(&page, &heap, NODE_EV_FRAGMENT_MAX);
        node_ev_fragment_init(&f, &heap);
        f.region = how->region;
        f.flags = (uint8_t)(NODE_EV_PAGE | how->flags);
        f.flags = (uint8_t)(f.flags | (part + 1 == how->all_parts ? NODE_EV_LAST : 0));
        f.time_us = from->regions[how->region].time_us;
        f.seen = from->regions[how->region].seen;
        f.mark = how->asked_under != 0 ? how->asked_under : ev_mark_of(to);
        f.records_count = ev_page_records(to, from, how, part, &records);
        ASSERT(node_ev_fragment_head(&f, &page) == 0);
        ASSERT(buf_append(&page, records.data, records.size) == 0);
        struct bytes whole = buf_view(&page);
        err = ev_join(to, &whole, 1);
        buf_release(&records);
        buf_release(&page);
    }
    return err;
}

/* ---- looking -------------------------------------------------------------------------------- */

void ev_key(const char *name, struct buf *key)
{
    buf_clear(key);
    ASSERT(node_ev_key(bytes_of_text("default"), bytes_of_text(name), key) == 0);
}

void ev_read(const struct ev_replica *r, const char *name, struct crdt_state *s)
{
    struct bytes key;
    struct bytes record_key;
    uint8_t region;
    struct buf want;
    buf_init(&want, &heap, 4096);
    ev_key(name, &want);
    for (uint32_t i = 0; i < r->names.count; i++) {
        if (ev_record_at(r, i, &region, &key, &record_key) && bytes_equal(key, buf_view(&want))) {
            ASSERT(node_ev_record_load(s, record_key, buf_view(&r->rows[i].value)) == 0);
        }
    }
    buf_release(&want);
}

/* Adds what a record's places are to the counts that the records should have. */
static void ev_count(struct node_ev_types *t, const struct node_ev_store *nothing,
                     struct bytes name)
{
    ASSERT(node_ev_types_change(t, nothing, name, true) == 0);
}

static int ev_get_nothing(void *ctx, struct bytes name, struct bytes *value)
{
    (void)ctx;
    (void)name;
    (void)value;
    return ERR_NOT_FOUND;
}

struct ev_tally {
    const struct ev_replica *r;
    unsigned count;
};
static int ev_put_expected(void *ctx, struct bytes name, struct bytes value)
{
    struct ev_tally *t = ctx;
    t->count++;
    ASSERT(bytes_equal(ev_row(t->r, name), value));
    return 0;
}

void ev_check(const struct ev_replica *r, uint8_t region)
{
    struct hash_digest sum = {0};
    struct node_ev_types types;
    struct ev_tally tally = {.r = r};
    struct node_ev_store expected = {.ctx = &tally, .alloc = &heap};
    unsigned counts = 0;
    expected.get = ev_get_nothing;
    expected.put = ev_put_expected;
    node_ev_types_init(&types, &heap);
    for (uint32_t i = 0; i < r->names.count; i++) {
        struct node_ev_cursor entries;
        struct node_ev_cursor removals;
        struct node_ev_entry e;
        struct bytes raw;
        struct bytes name = node_ev_names_at(&r->names, i);
        counts += r->rows[i].present && name.data[0] == NODE_KEY_EV_TYPES && name.data[1] == region;
        if (!r->rows[i].present || name.data[0] != NODE_KEY_EV_RECORD || name.data[1] != region) {
            continue;
        }
        ASSERT(node_ev_record_begin(buf_view(&r->rows[i].value), &entries, &removals) == 0);
        if (entries.left > 0) {
            ev_count(&types, &expected, name);
        }
        while (node_ev_record_raw(&entries, &e, &raw)) {
            hash_digest_add(&sum, name, raw);
        }
    }
    ASSERT(node_ev_types_write(&types, &expected) == 0);
    ASSERT(tally.count == counts);
    node_ev_types_release(&types);
    const struct hash_digest *kept = &r->regions[region].digest;
    ASSERT(sum.low == kept->low && sum.high == kept->high);
}

static bool ev_same_row(struct bytes a, struct bytes b, bool removals)
{
    struct node_ev_cursor x;
    struct node_ev_cursor y;
    struct node_ev_cursor gone;
    struct node_ev_entry e;
    struct node_ev_entry f;
    if (removals) {
        return bytes_equal(a, b);
    }
    ASSERT(node_ev_record_begin(a, &x, &gone) == 0);
    ASSERT(node_ev_record_begin(b, &y, &gone) == 0);
    bool same = x.left == y.left;
    while (same && node_ev_record_entry(&x, &e) && node_ev_record_entry(&y, &f)) {
        same = crdt_dot_compare(e.dot, f.dot) == 0 && bytes_equal(e.payload, f.payload);
    }
    return same;
}

static bool ev_within(const struct ev_replica *a, const struct ev_replica *b, bool removals)
{
    for (uint32_t i = 0; i < a->names.count; i++) {
        struct bytes name = node_ev_names_at(&a->names, i);
        if (a->rows[i].present && name.data[0] == NODE_KEY_EV_RECORD &&
            !ev_same_row(buf_view(&a->rows[i].value), ev_row(b, name), removals)) {
            return false;
        }
    }
    return true;
}

bool ev_same(const struct ev_replica *a, const struct ev_replica *b, bool removals)
{
    return ev_within(a, b, removals) && ev_within(b, a, removals);
}
