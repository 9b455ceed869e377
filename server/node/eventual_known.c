/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: joining what peers push into records that are there and in memory. Each is looked
 * up once and written once a command, however many fragments tell of it. What comes out is to the
 * byte what eventual_join.c makes of the same command, whose rules are told there. First everything
 * is joined on the side, so that nothing has changed where a command turns out to be one for the
 * long way: pages, removals, records that come or go, and whatever is refused, doubted or told.
 */
#include "base/num.h"
#include "server/node/eventual_ops_internal.h"
#include "store/kv.h"

#define NODE_EV_LONG_WAY ERR_NOT_FOUND
#define NODE_EV_RECORD_FORMAT 1u
#define NODE_EV_TOLD_BYTES_MIN 17u /* of a record in a fragment: lengths and the least value */

/* A record of the command. */
struct node_ev_known {
    struct node_ev_spot spot;
    struct bytes name;
    struct bytes value; /* as it will be */
    struct hash_key hashed;
    bool changed;
};
struct node_ev_known_region {
    struct node_ev_spot spot;
    struct node_ev_region now;
    bool changed;
    uint8_t region;
};
struct node_ev_knowing {
    const struct node_ev_store *store;
    struct crdt_actor actor;
    bool acts;
    size_t bytes; /* of the command */
    struct node_ev_fragment f;
    struct bytes *named; /* records in the order the fragments tell of them */
    struct node_ev_spot *spots;
    uint32_t named_count;
    uint32_t named_at; /* those before were joined */
    struct node_ev_known *items;
    uint32_t count;
    uint32_t *slots; /* number + 1 by hash; 0: free */
    uint32_t mask;
    struct node_ev_known_region *regions;
    uint32_t regions_count;
    struct node_ev_spot regions_spots[NODE_EV_REGIONS];
    uint8_t region_at[NODE_EV_REGIONS]; /* number + 1; 0: none yet */
    struct bytes *told;                 /* fragments that bring something */
    uint8_t *told_region;
    uint32_t told_count;
    struct buf names; /* never moves */
    struct buf value;
};

/* ---- what a command works on ---------------------------------------------------------------- */

/* How many fragments and records there are, and of which regions, as far as they say. */
static int node_ev_knowing_count(struct bytes body, uint32_t *fragments, uint32_t *records,
                                 uint64_t *regions)
{
    struct bytes_reader all = bytes_reader_of(body);
    *fragments = 0;
    *records = 0;
    *regions = 0;
    while (all.left > 0) {
        struct bytes_reader r = bytes_reader_of(bytes_take(&all, bytes_take_u32(&all)));
        uint8_t region;
        uint8_t flags;
        uint32_t count = node_ev_fragment_skip(&r, &region, &flags);
        if (all.failed || r.failed || flags != 0 || region >= NODE_EV_REGIONS ||
            count > r.left / NODE_EV_TOLD_BYTES_MIN) {
            return NODE_EV_LONG_WAY;
        }
        *regions |= UINT64_C(1) << region;
        *records += count; /* at most as many as the body has bytes */
        ++*fragments;
    }
    return *fragments == 0 ? NODE_EV_LONG_WAY : 0;
}

static int node_ev_knowing_init(struct node_ev_knowing *k, uint32_t fragments, uint32_t records)
{
    const struct alloc *alloc = k->store->alloc;
    const uint8_t self = NODE_KEY_EV_SELF;
    struct node_ev_spot spot;
    uint32_t slots = 4;
    if (!k->store->seek(k->store->ctx, bytes_of(&self, 1), &spot)) {
        return NODE_EV_LONG_WAY;
    }
    k->acts = spot.present && node_ev_self_parse(k->store, spot.value, &k->actor);
    while (slots < 2 * records) {
        slots *= 2;
    }
    k->mask = slots - 1;
    node_ev_fragment_init(&k->f, alloc);
    buf_init(&k->names, alloc, SIZE_MAX / 2);
    buf_init(&k->value, alloc, SIZE_MAX / 2);
    k->named = alloc_get(alloc, (records + 1) * sizeof *k->named);
    k->spots = alloc_get(alloc, (records + 1) * sizeof *k->spots);
    k->items = alloc_get(alloc, (records + 1) * sizeof *k->items);
    k->slots = alloc_get_zeroed(alloc, slots, sizeof *k->slots);
    k->regions = alloc_get(alloc, NUM_MIN(fragments, NODE_EV_REGIONS) * sizeof *k->regions);
    k->told = alloc_get(alloc, fragments * (sizeof *k->told + sizeof *k->told_region));
    if (k->named == NULL || k->spots == NULL || k->items == NULL || k->slots == NULL ||
        k->regions == NULL || k->told == NULL) {
        return ERR_NO_MEMORY;
    }
    k->told_region = (uint8_t *)(k->told + fragments);
    return buf_reserve(&k->names, k->bytes);
}

static int node_ev_knowing_region(struct node_ev_knowing *k, uint8_t region,
                                  struct node_ev_known_region **out)
{
    struct node_ev_known_region *r = &k->regions[k->regions_count];
    if (k->region_at[region] != 0) {
        *out = &k->regions[k->region_at[region] - 1];
        return 0;
    }
    *r = (struct node_ev_known_region){.region = region, .spot = k->regions_spots[region]};
    if (!r->spot.known || !r->spot.present) {
        return NODE_EV_LONG_WAY;
    }
    const struct node_ev_region *old = k->store->region(k->store->ctx, region);
    r->now.time_us = old->time_us;
    r->now.digest = old->digest;
    crdt_context_init(&r->now.seen, k->store->alloc);
    TRY(crdt_context_join(&r->now.seen, &old->seen));
    k->region_at[region] = (uint8_t)++k->regions_count;
    *out = r;
    return 0;
}

/* Names the next record that a fragment of the region tells of. */
static int node_ev_knowing_name(struct node_ev_knowing *k, uint8_t region, struct bytes_reader *r)
{
    size_t at = k->names.size;
    struct bytes key = bytes_take(r, bytes_take_u16(r));
    struct bytes record_key = bytes_take(r, bytes_take_u16(r));
    (void)bytes_take(r, bytes_take_u32(r)); /* value */
    if (r->failed || 4 + key.size + record_key.size > NODE_NAME_BYTES_MAX) {
        return NODE_EV_LONG_WAY;
    }
    TRY(node_ev_record_name(region, key, record_key, &k->names));
    k->named[k->named_count++] = bytes_of(k->names.data + at, k->names.size - at);
    return 0;
}

/* Names all records, in the order the fragments tell of them. */
static int node_ev_knowing_names(struct node_ev_knowing *k, struct bytes body)
{
    struct bytes_reader all = bytes_reader_of(body);
    while (all.left > 0) {
        struct node_ev_fragment_cursor c;
        struct bytes raw = bytes_take(&all, bytes_take_u32(&all));
        node_ev_fragment_walk(raw, &c); /* its head was read */
        for (uint32_t i = 0; i < c.left; i++) {
            TRY(node_ev_knowing_name(k, raw.data[1], &c.r));
        }
    }
    return 0;
}

/* Looks up the next records, no more than are still in the first cache when they are joined. */
static void node_ev_knowing_seek(struct node_ev_knowing *k)
{
    uint32_t count = NUM_MIN(NODE_EV_SEEK_MAX, k->named_count - k->named_at);
    k->store->seek_all(k->store->ctx, k->named + k->named_at, count, k->spots + k->named_at);
}

/* Finds the next record among those of the command, or adds it. */
static int node_ev_knowing_item(struct node_ev_knowing *k, struct node_ev_known **out)
{
    struct node_ev_known *t = &k->items[k->count];
    ASSERT(k->named_at < k->named_count);
    if (k->named_at % NODE_EV_SEEK_MAX == 0) {
        node_ev_knowing_seek(k);
    }
    t->name = k->named[k->named_at];
    t->spot = k->spots[k->named_at++];
    if (!t->spot.known || !t->spot.present) {
        return NODE_EV_LONG_WAY;
    }
    uint32_t slot = (uint32_t)t->spot.at.hash & k->mask;
    for (; k->slots[slot] != 0; slot = (slot + 1) & k->mask) {
        struct node_ev_known *other = &k->items[k->slots[slot] - 1];
        if (other->spot.at.hash == t->spot.at.hash && bytes_equal(other->name, t->name)) {
            *out = other;
            return 0;
        }
    }
    t->value = t->spot.value;
    t->hashed = hash_key_of(t->name);
    t->changed = false;
    k->slots[slot] = ++k->count;
    *out = t;
    return 0;
}

/* ---- records -------------------------------------------------------------------------------- */

/* A record that is being joined. */
struct node_ev_mixing {
    struct node_ev_known *t;
    struct node_ev_known_region *r;
    struct node_ev_cursor own;
    struct node_ev_cursor other;
    uint8_t *to; /* end of what is written */
    uint32_t count;
    bool news;
};

static void node_ev_mixing_keep(struct node_ev_mixing *m, struct bytes entry)
{
    memcpy(m->to, entry.data, entry.size);
    m->to += entry.size;
    m->count++;
}

/* An entry that is here alone. */
static void node_ev_mixing_own(struct node_ev_knowing *k, struct node_ev_mixing *m,
                               struct crdt_dot dot, struct bytes raw)
{
    if (!crdt_context_has(&k->f.seen, dot)) {
        node_ev_mixing_keep(m, raw);
        return;
    }
    hash_digest_drop(&m->r->now.digest, &m->t->hashed, raw);
    m->news = true;
}

/* An entry that came alone. */
static void node_ev_mixing_other(struct node_ev_knowing *k, struct node_ev_mixing *m,
                                 struct crdt_dot dot, struct bytes raw)
{
    if (crdt_context_has(&k->f.seen, dot) && !crdt_context_has(&m->r->now.seen, dot)) {
        node_ev_mixing_keep(m, raw);
        hash_digest_put(&m->r->now.digest, &m->t->hashed, raw);
        m->news = true;
    }
}

static int node_ev_mixing_entries(struct node_ev_knowing *k, struct node_ev_mixing *m)
{
    struct node_ev_entry a;
    struct node_ev_entry b;
    struct bytes a_raw;
    struct bytes b_raw;
    bool has_a = node_ev_record_raw(&m->own, &a, &a_raw);
    bool has_b = node_ev_record_raw(&m->other, &b, &b_raw);
    while (has_a || has_b) {
        int order = !has_a ? 1 : !has_b ? -1 : crdt_dot_compare(a.dot, b.dot);
        if (order == 0 && !bytes_equal(a.payload, b.payload)) {
            return NODE_EV_LONG_WAY;
        }
        if (order == 0) {
            node_ev_mixing_keep(m, a_raw);
        } else if (order < 0) {
            node_ev_mixing_own(k, m, a.dot, a_raw);
        } else {
            node_ev_mixing_other(k, m, b.dot, b_raw);
        }
        has_a = order <= 0 ? node_ev_record_raw(&m->own, &a, &a_raw) : has_a;
        has_b = order >= 0 ? node_ev_record_raw(&m->other, &b, &b_raw) : has_b;
    }
    return 0;
}

/* returns: how many removals follow the entries that were read. */
static uint32_t node_ev_mixing_gone(const struct node_ev_cursor *entries)
{
    struct bytes_reader r = entries->r;
    return bytes_take_u32(&r);
}

static int node_ev_knowing_record(struct node_ev_knowing *k, struct node_ev_known_region *r,
                                  struct node_ev_fragment_cursor *c)
{
    struct node_ev_mixing m = {.r = r};
    (void)bytes_take(&c->r, bytes_take_u16(&c->r)); /* key */
    (void)bytes_take(&c->r, bytes_take_u16(&c->r)); /* key of the record */
    struct bytes value = bytes_take(&c->r, bytes_take_u32(&c->r));
    TRY(node_ev_knowing_item(k, &m.t));
    struct bytes old = m.t->value;
    if (!node_ev_record_walk(old, &m.own) || !node_ev_record_walk(value, &m.other) ||
        m.t->spot.value.size + k->bytes > STORE_KV_VALUE_BYTES_MAX) {
        return NODE_EV_LONG_WAY;
    }
    uint8_t *into = alloc_get(k->store->alloc, old.size + value.size);
    TRY(into == NULL ? ERR_NO_MEMORY : 0);
    m.to = into + 1 + sizeof(uint32_t);
    TRY(node_ev_mixing_entries(k, &m));
    if (m.count == 0 || node_ev_mixing_gone(&m.own) > 1 || node_ev_mixing_gone(&m.other) > 0) {
        return NODE_EV_LONG_WAY;
    }
    if (m.news) {
        size_t rest = m.own.r.left;
        into[0] = NODE_EV_RECORD_FORMAT;
        num_put_u32(into + 1, m.count);
        memcpy(m.to, m.own.r.at, rest);
        m.t->value = bytes_of(into, (size_t)(m.to - into) + rest);
        m.t->changed = true;
        r->changed = true;
    }
    return 0;
}

/* ---- fragments ------------------------------------------------------------------------------ */

/* returns: whether the fragment may be joined here: its sender had seen nothing that is missing,
 * and it tells nothing of this node's own dots that is not known. */
static bool node_ev_knowing_may(const struct node_ev_knowing *k, const struct crdt_context *seen)
{
    for (size_t i = 0; k->acts && i < k->f.seen.count; i++) {
        const struct crdt_context one = {.ranges = &k->f.seen.ranges[i], .count = 1};
        if (crdt_actor_compare(one.ranges->actor, k->actor) == 0 && !crdt_context_leq(&one, seen)) {
            return false;
        }
    }
    return crdt_may_join(seen, &k->f.before);
}

static int node_ev_knowing_records(struct node_ev_knowing *k, struct node_ev_known_region *r)
{
    struct node_ev_fragment_cursor c;
    node_ev_fragment_begin(&k->f, &c);
    for (uint32_t i = 0; i < k->f.records_count; i++) {
        TRY(node_ev_knowing_record(k, r, &c));
    }
    return bytes_reader_ended(&c.r) ? 0 : NODE_EV_LONG_WAY;
}

static int node_ev_knowing_fragment(struct node_ev_knowing *k, struct bytes raw)
{
    struct node_ev_known_region *r;
    uint64_t most;
    node_ev_fragment_release(&k->f);
    int err = node_ev_fragment_reopen(&k->f, raw);
    TRY(err == 0 || err == ERR_NO_MEMORY ? err : NODE_EV_LONG_WAY);
    TRY(node_ev_knowing_region(k, k->f.region, &r));
    TRY(node_ev_knowing_may(k, &r->now.seen) ? 0 : NODE_EV_LONG_WAY);
    bool before = r->changed;
    r->changed = false;
    TRY(node_ev_knowing_records(k, r));
    if (!crdt_context_leq(&k->f.seen, &r->now.seen)) {
        bool lost = node_ev_join_lost(&k->f.seen, &r->now.seen, k->store->self);
        TRY(lost ? NODE_EV_LONG_WAY : 0);
        TRY(crdt_context_join(&r->now.seen, &k->f.seen));
        r->changed = true;
    }
    if (r->changed) {
        k->told_region[k->told_count] = k->f.region;
        k->told[k->told_count++] = raw;
    }
    bool far = num_add_u64(k->store->log_time_us, NODE_EV_DRIFT_US, &most) && k->f.time_us > most;
    if (!far && k->f.time_us > r->now.time_us) {
        r->now.time_us = k->f.time_us;
        r->changed = true;
    }
    r->changed = r->changed || before;
    return 0;
}

static int node_ev_knowing_read(struct node_ev_knowing *k, struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    while (r.left > 0) {
        TRY(node_ev_knowing_fragment(k, bytes_take(&r, bytes_take_u32(&r))));
    }
    return 0;
}

/* ---- what is written ------------------------------------------------------------------------ */

static int node_ev_knowing_write_region(struct node_ev_knowing *k,
                                        const struct node_ev_known_region *r)
{
    const struct node_ev_store *store = k->store;
    uint8_t name[2];
    node_ev_region_name(r->region, name);
    buf_clear(&k->value);
    TRY(node_ev_region_encode(&r->now, &k->value));
    TRY(store->put_at(store->ctx, &r->spot, bytes_of(name, sizeof name), buf_view(&k->value)));
    store->changed(store->ctx, r->region, &r->now);
    return 0;
}

static int node_ev_knowing_write(struct node_ev_knowing *k)
{
    const struct node_ev_store *store = k->store;
    for (uint32_t i = 0; i < k->count; i++) {
        const struct node_ev_known *t = &k->items[i];
        if (t->changed) {
            TRY(store->put_at(store->ctx, &t->spot, t->name, t->value));
        }
    }
    for (uint32_t i = 0; i < k->regions_count; i++) {
        if (k->regions[i].changed) {
            TRY(node_ev_knowing_write_region(k, &k->regions[i]));
        }
    }
    for (uint32_t i = 0; i < k->told_count; i++) {
        store->note(store->ctx, k->told_region[i], false, k->told[i]);
    }
    return 0;
}

bool node_ev_join_known(const struct node_ev_store *store, struct bytes body, int *code)
{
    uint32_t fragments;
    uint32_t records;
    uint64_t regions;
    struct node_ev_scratch scratch;
    if (store->seek == NULL || body.size > NODE_EV_JOIN_SMALL_BYTES ||
        node_ev_knowing_count(body, &fragments, &records, &regions) != 0) {
        return false;
    }
    struct alloc alloc = node_ev_scratch_init(&scratch, store->alloc);
    struct node_ev_store own = *store;
    struct node_ev_knowing k = {.store = &own, .bytes = body.size};
    own.alloc = &alloc;
    node_ev_regions_seek(&own, regions, k.regions_spots);
    int err = node_ev_knowing_init(&k, fragments, records);
    err = err == 0 ? node_ev_knowing_names(&k, body) : err;
    err = err == 0 ? node_ev_knowing_read(&k, body) : err;
    err = err == 0 ? node_ev_knowing_write(&k) : err;
    node_ev_scratch_release(&scratch); /* all that was made */
    *code = err;
    return err != NODE_EV_LONG_WAY;
}
