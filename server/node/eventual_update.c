/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: operations made here. All of a command are made, one after the other, on states
 * that hold the few records they touch and the context of the whole region; then everything is
 * encoded; then it is written. Whatever is refused is refused before anything was.
 *
 * Dots. An operation that changes something takes the actor's next dot in the region: one above the
 * last in the region's context, which holds all of them. One that changes nothing takes none, so an
 * actor's counters have no gaps.
 *
 * Time. An operation's time is the later of this node's clock and one above the latest time seen in
 * the region: what is written after something was seen counts as later than it, although clocks
 * differ, and although what was seen is gone by now. A clock that is far ahead (NODE_EV_DRIFT_US)
 * does not count for that, neither another node's nor this one's own of former times. Its values
 * win in their registers as long as nobody has seen them, and lose against whoever writes having
 * seen them, for the kernel takes one above the observed winner.
 */
#include "base/hash.h"
#include "base/num.h"
#include "server/node/eventual_ops_internal.h"
#include "store/kv.h"

/* A record of the command, by its number in the scope. */
struct node_ev_touch {
    uint32_t key;       /* number of the state that it is in */
    uint64_t gone;      /* counter of its newest removal; 0: none */
    uint32_t operation; /* number + 1 of the last that changed it */
    uint64_t bytes;     /* about what it takes */
    uint64_t own;       /* of these, in entries of this node */
    uint32_t hidden;    /* entries that were not seen yet */
    bool loaded;
    bool live;
    struct node_ev_cursor entries; /* as they are stored */
    struct node_ev_cursor removals;
    size_t value_at; /* of what is to be written */
    size_t value_bytes;
};
struct node_ev_made_key {
    struct bytes space;
    struct bytes name;
    uint32_t region; /* number in regions */
    struct crdt_state s;
};
struct node_ev_made_region {
    uint8_t region;
    const struct node_ev_region *old;
    struct node_ev_region now;
    struct crdt_context seen; /* of the deltas */
    uint64_t last;            /* counter */
    uint32_t records;         /* that were changed */
    struct buf fragment;
};
struct node_ev_making {
    const struct node_ev_store *store;
    struct crdt_limits limits;
    struct crdt_actor actor;
    uint64_t wall_us;
    uint32_t operations;
    struct node_ev_scope scope;
    struct node_ev_touch *touches; /* by scope.records */
    struct node_ev_names names;    /* of keys */
    struct node_ev_made_key *keys;
    struct node_ev_made_region *regions;
    uint32_t regions_count;
    uint8_t region_at[NODE_EV_REGIONS]; /* number + 1; 0: none yet */
    uint32_t *hit; /* records that the operation under way changes; as many as touches */
    uint32_t hit_count;
    struct buf key;    /* of the operation under way: space and name */
    struct buf name;   /* of a record */
    struct buf values; /* to be written */
    struct buf value;  /* of a fragment's record */
};

/* ---- what a command works on ---------------------------------------------------------------- */

/* What keys() refused is refused here. Without hints the names of so few operations always fit, and
 * the places of types are found as they are needed. */
static int node_ev_making_scope(struct node_ev_making *m, struct bytes body)
{
    m->scope.bare = true;
    TRY(node_ev_update_scope(body, &m->scope));
    if (m->scope.hints == 0) {
        return 0;
    }
    node_ev_scope_init(&m->scope, m->store->alloc);
    return node_ev_update_scope(body, &m->scope);
}

static int node_ev_making_init(struct node_ev_making *m, const struct node_ev_store *store,
                               struct bytes body)
{
    struct node_ev_body b;
    *m = (struct node_ev_making){.store = store, .limits = crdt_limits_default()};
    m->limits.value_bytes_max = NODE_EV_VALUE_BYTES_MAX;
    m->limits.node_bytes_max = store->share_bytes;
    node_ev_scope_init(&m->scope, store->alloc);
    node_ev_names_init(&m->names, store->alloc);
    buf_init(&m->key, store->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&m->name, store->alloc, NODE_EV_FRAGMENT_MAX);
    buf_init(&m->values, store->alloc, SIZE_MAX / 2);
    buf_init(&m->value, store->alloc, NODE_EV_FRAGMENT_MAX);
    TRY(node_ev_body_begin(body, &b));
    m->operations = b.left;
    m->wall_us = b.wall_us;
    TRY(node_ev_making_scope(m, body));
    if (!node_ev_self_actor(store, &m->actor)) {
        return ERR_UNAVAILABLE;
    }
    uint32_t records = NUM_MAX(m->scope.records.count, 1);
    m->touches = alloc_get_zeroed(store->alloc, records, sizeof *m->touches);
    m->hit = alloc_get_zeroed(store->alloc, records, sizeof *m->hit);
    m->keys = alloc_get_zeroed(store->alloc, m->operations, sizeof *m->keys);
    m->regions =
        alloc_get_zeroed(store->alloc, NUM_MIN(m->operations, NODE_EV_REGIONS), sizeof *m->regions);
    if (m->touches == NULL || m->hit == NULL || m->keys == NULL || m->regions == NULL) {
        return ERR_NO_MEMORY;
    }
    return 0;
}

/* Its number among those of the command; it is copied when it is met first. */
static int node_ev_making_region(struct node_ev_making *m, uint8_t region, uint32_t *number)
{
    if (m->region_at[region] != 0) {
        *number = m->region_at[region] - 1u;
        return 0;
    }
    struct node_ev_made_region *r = &m->regions[m->regions_count];
    r->region = region;
    r->old = m->store->region(m->store->ctx, region);
    r->now.time_us = r->old->time_us;
    r->now.digest = r->old->digest;
    crdt_context_init(&r->now.seen, m->store->alloc);
    crdt_context_init(&r->seen, m->store->alloc);
    buf_init(&r->fragment, m->store->alloc, NODE_EV_FRAGMENT_MAX);
    *number = m->regions_count++;
    m->region_at[region] = (uint8_t)m->regions_count;
    return crdt_context_join(&r->now.seen, &r->old->seen);
}

static int node_ev_making_key(struct node_ev_making *m, const struct node_ev_parsed *op,
                              uint32_t *number)
{
    uint32_t count = m->names.count;
    TRY(node_ev_names_add(&m->names, buf_view(&m->key), number));
    if (*number < count) {
        return 0;
    }
    struct node_ev_made_key *k = &m->keys[*number];
    k->space = op->space;
    k->name = op->name;
    crdt_state_init(&k->s, m->store->alloc);
    return node_ev_making_region(m, op->region, &k->region);
}

/* number: the record's in the scope, or NODE_EV_NAME_NONE if the command did not name it.
 * returns: 0 or ERR_NO_MEMORY. */
static int node_ev_making_touch(struct node_ev_making *m, uint32_t key, struct bytes record_key,
                                uint32_t *number)
{
    uint8_t region = m->regions[m->keys[key].region].region;
    buf_clear(&m->name);
    int err = node_ev_record_name(region, buf_view(&m->key), record_key, &m->name);
    *number = NODE_EV_NAME_NONE;
    if (err == 0) {
        *number = node_ev_names_find(&m->scope.records, buf_view(&m->name));
    }
    return err == ERR_NO_MEMORY ? err : 0;
}

/* Takes the entries that were seen. One that was not came with a page of a region that is still
 * being fetched: what it replaced is not all known here, so nothing may rest on it yet; it stays as
 * it is. If it is of this node's actor, somebody else made it. */
static int node_ev_making_entry(struct node_ev_making *m, uint32_t key, struct node_ev_touch *t,
                                struct bytes record_key, const struct node_ev_entry *e)
{
    struct node_ev_made_key *k = &m->keys[key];
    t->own += e->dot.actor.node == m->actor.node ? e->payload.size + NODE_EV_ENTRY_BYTES : 0;
    if (!crdt_context_has(&m->regions[k->region].old->seen, e->dot)) {
        if (crdt_actor_compare(e->dot.actor, m->actor) == 0) {
            m->store->doubt(m->store->ctx, "a record holds dots that were not made here");
            return ERR_UNAVAILABLE;
        }
        t->hidden++;
        return 0;
    }
    if (crdt_entry_check(record_key, e->payload, &m->limits) == ERR_PROTOCOL) {
        return ERR_CORRUPT;
    }
    int err = crdt_load(&k->s, record_key, e->dot, e->payload);
    return err == ERR_CONFLICT ? 0 : err; /* a dot with two meanings: the first one counts */
}

static int node_ev_making_load(struct node_ev_making *m, uint32_t key, struct bytes record_key)
{
    struct node_ev_cursor entries;
    struct node_ev_entry e;
    struct bytes raw;
    uint32_t i = NODE_EV_NAME_NONE;
    TRY(node_ev_making_touch(m, key, record_key, &i));
    ASSERT(i != NODE_EV_NAME_NONE);
    struct node_ev_touch *t = &m->touches[i];
    if (t->loaded) {
        return 0;
    }
    t->loaded = true;
    t->key = key;
    if (m->store->get(m->store->ctx, buf_view(&m->name), &raw) != 0) {
        return 0;
    }
    t->bytes = raw.size;
    TRY(node_ev_record_begin(raw, &t->entries, &t->removals));
    entries = t->entries;
    t->live = entries.left > 0;
    while (node_ev_record_entry(&entries, &e)) {
        TRY(node_ev_making_entry(m, key, t, record_key, &e));
    }
    return 0;
}

static int node_ev_making_load_all(struct node_ev_making *m, uint32_t key,
                                   const struct node_ev_parsed *op)
{
    struct bytes_reader hints = bytes_reader_of(op->hints);
    struct bytes record_key;
    uint8_t type = op->path.types[op->path.count];
    if (type != CRDT_MAP && type != CRDT_BOUNDED) {
        buf_clear(&m->value);
        TRY(crdt_op_record(&op->path, &op->op, &m->value));
        TRY(node_ev_making_load(m, key, buf_view(&m->value)));
    }
    while (node_ev_hint_next(&hints, &record_key)) {
        TRY(node_ev_making_load(m, key, record_key));
    }
    return 0;
}

/* ---- one operation -------------------------------------------------------------------------- */

/* Refuses a path whose names have other types, and a key that has no room for one record more:
 * *full. */
static int node_ev_making_types(struct node_ev_making *m, uint32_t key,
                                const struct node_ev_parsed *op, bool *full)
{
    uint8_t raw[NODE_NAME_BYTES_MAX];
    uint8_t region = m->regions[m->keys[key].region].region;
    struct node_ev_counts *c;
    size_t at = 0;
    buf_clear(&m->value);
    TRY(crdt_op_range(&op->path, &op->op, &m->value));
    for (uint32_t i = 0; i <= op->path.count; i++) {
        struct bytes cut = bytes_of(m->value.data, at);
        struct bytes name = node_ev_types_name(region, buf_view(&m->key), cut, raw);
        uint8_t type = op->path.types[i];
        bool other = false;
        if (name.size == 0) {
            return ERR_TOO_LARGE;
        }
        TRY(node_ev_types_get(&m->scope.types, m->store, name, &c));
        for (uint8_t one = 1; one <= CRDT_TYPES; one++) {
            other = other || c->of[one] > 0;
        }
        if (other && (type > CRDT_TYPES || c->of[type] == 0)) {
            return ERR_WRONG_TYPE;
        }
        *full = i > 0 ? *full : type <= CRDT_TYPES && c->of[type] >= m->limits.elements_max;
        at += i < op->path.count ? 3 + op->path.names[i].size : 0;
    }
    return 0;
}

/* Notes that the operation changes a record. *first: it had not yet. */
static int node_ev_making_hit(struct node_ev_making *m, uint32_t key, struct bytes record_key,
                              uint32_t operation, struct node_ev_touch **out, bool *first)
{
    uint32_t i = NODE_EV_NAME_NONE;
    TRY(node_ev_making_touch(m, key, record_key, &i));
    if (i == NODE_EV_NAME_NONE || !m->touches[i].loaded) {
        return ERR_UNAVAILABLE; /* accounts of another actor than this one were named */
    }
    *out = &m->touches[i];
    *first = (*out)->operation != operation + 1;
    m->regions[m->keys[key].region].records += (*out)->operation == 0;
    if (*first) {
        (*out)->operation = operation + 1;
        m->hit[m->hit_count++] = i;
    }
    return 0;
}

uint64_t node_ev_share(uint32_t nodes)
{
    return NUM_MIN(NODE_EV_SHARES_BYTES_MAX / NUM_MAX(nodes, 1u), NODE_EV_RECORD_BYTES_MAX);
}

/* What the delta changes: the record of its entry, and those it takes entries from, which get its
 * dot as a removal unless its entry is there. */
static int node_ev_making_effect(struct node_ev_making *m, uint32_t key, uint32_t operation,
                                 const struct crdt_state *delta, struct crdt_dot dot)
{
    struct node_ev_touch *t = NULL;
    struct crdt_replaced gone = {0};
    struct crdt_view entry;
    bool first;
    bool in_place = false;
    bool puts = crdt_view_first(delta, &entry);
    m->hit_count = 0;
    uint64_t own = 0;
    if (puts) {
        TRY(node_ev_making_hit(m, key, entry.key, operation, &t, &first));
        own = t->own;
        t->bytes += entry.payload.size + NODE_EV_ENTRY_BYTES;
        t->own += entry.payload.size + NODE_EV_ENTRY_BYTES;
    }
    while (crdt_replaced_next(&m->keys[key].s, delta, &gone)) {
        struct node_ev_touch *from;
        TRY(node_ev_making_hit(m, key, gone.view.key, operation, &from, &first));
        in_place = in_place || from == t;
        if (gone.view.dot.actor.node == m->actor.node) {
            from->own -= NUM_MIN(from->own, gone.view.payload.size + NODE_EV_ENTRY_BYTES);
        }
        from->gone = first ? dot.counter : from->gone;
    }
    if (puts && t->own > m->store->share_bytes && t->own > own) {
        return ERR_TOO_LARGE;
    }
    return puts && !in_place && t->bytes > NODE_EV_RECORD_BYTES_MAX ? ERR_TOO_LARGE : 0;
}

/* Joins the delta into what the command has so far. */
static int node_ev_making_take(struct node_ev_making *m, uint32_t key, uint32_t operation,
                               const struct crdt_state *delta, const struct crdt_op *op)
{
    struct node_ev_made_key *k = &m->keys[key];
    struct node_ev_made_region *r = &m->regions[k->region];
    struct crdt_view v;
    TRY(node_ev_making_effect(m, key, operation, delta, op->dot));
    TRY(crdt_join(&k->s, delta));
    TRY(crdt_context_join(&r->seen, &delta->seen));
    r->now.time_us = op->time_us;
    r->last = op->dot.counter;
    for (uint32_t i = 0; i < m->hit_count; i++) {
        struct node_ev_touch *t = &m->touches[m->hit[i]];
        struct bytes name = node_ev_names_at(&m->scope.records, m->hit[i]);
        struct bytes record_key =
            bytes_of(name.data + 4 + m->key.size, name.size - 4 - m->key.size);
        bool live = t->hidden > 0 || crdt_view_record(&k->s, record_key, &v);
        if (live != t->live) {
            t->live = live;
            TRY(node_ev_types_change(&m->scope.types, m->store, name, live));
        }
    }
    return 0;
}

uint64_t node_ev_time(uint64_t wall_us, uint64_t seen_us)
{
    uint64_t most;
    bool far = num_add_u64(wall_us, NODE_EV_DRIFT_US, &most) && seen_us > most;
    return far || seen_us == UINT64_MAX ? wall_us : NUM_MAX(wall_us, seen_us + 1);
}

static int node_ev_making_delta(struct node_ev_making *m, uint32_t key, uint32_t operation,
                                struct node_ev_parsed *op, bool *changed)
{
    struct node_ev_made_region *r = &m->regions[m->keys[key].region];
    struct crdt_state *s = &m->keys[key].s;
    struct crdt_state delta;
    uint64_t last = crdt_context_last(&r->now.seen, m->actor);
    bool full = false;
    if (last == UINT64_MAX) {
        return ERR_OVERFLOW;
    }
    op->op.dot = (struct crdt_dot){m->actor, last + 1};
    op->op.time_us = node_ev_time(m->wall_us, r->now.time_us);
    TRY(node_ev_making_types(m, key, op, &full));
    crdt_state_init(&delta, m->store->alloc);
    s->seen = r->now.seen; /* lent: a state of these records that has seen all of the region */
    int err = crdt_delta_part(s, &op->path, &op->op, &m->limits, &delta);
    if (err == 0 && full && delta.entries > 0 && delta.seen.count == 1 &&
        delta.seen.ranges[0].from == delta.seen.ranges[0].to) {
        err = ERR_TOO_LARGE;
    }
    *changed = err == 0 && delta.seen.count > 0;
    if (*changed) {
        err = node_ev_making_take(m, key, operation, &delta, &op->op);
    }
    r->now.seen = s->seen;
    crdt_context_init(&s->seen, m->store->alloc);
    return err; /* the delta stays until the command ends */
}

static int node_ev_making_op(struct node_ev_making *m, uint32_t operation,
                             struct node_ev_parsed *op, bool *changed)
{
    uint32_t key;
    buf_clear(&m->key);
    TRY(node_ev_key(op->space, op->name, &m->key));
    TRY(node_ev_making_key(m, op, &key));
    TRY(node_ev_making_load_all(m, key, op));
    return node_ev_making_delta(m, key, operation, op, changed);
}

/* ---- what is written ------------------------------------------------------------------------ */

/* The record's entries, their number first, and the digest of what changed. kept: NULL, or only
 * those whose dots are in it, without the digest. */
static int node_ev_making_entries(struct node_ev_making *m, uint32_t touch,
                                  const struct crdt_context *kept, struct buf *out)
{
    const struct node_ev_made_key *k = &m->keys[m->touches[touch].key];
    struct hash_digest *digest = &m->regions[k->region].now.digest;
    const struct crdt_context *observed = &m->regions[k->region].old->seen;
    struct bytes name = node_ev_names_at(&m->scope.records, touch);
    const struct hash_key hashed = kept == NULL ? hash_key_of(name) : (struct hash_key){0};
    size_t head = 4 + 2 + k->space.size + k->name.size;
    struct node_ev_cursor entries = m->touches[touch].entries;
    struct node_ev_entry e;
    struct bytes raw;
    struct crdt_view v;
    uint32_t count = 0;
    size_t count_at = out->size;
    TRY(buf_put_u32(out, 0));
    bool was = kept == NULL && node_ev_record_raw(&entries, &e, &raw);
    bool is = crdt_view_record(&k->s, bytes_of(name.data + head, name.size - head), &v);
    while (was || is) {
        int order = !was ? 1 : !is ? -1 : crdt_dot_compare(e.dot, v.dot);
        if (order < 0 && !crdt_context_has(observed, e.dot)) {
            TRY(buf_append(out, raw.data, raw.size));
            count++;
        } else if (order < 0) {
            hash_digest_drop(digest, &hashed, raw);
        } else if (kept == NULL || crdt_context_has(kept, v.dot)) {
            size_t at = out->size;
            TRY(node_ev_entry_put(out, v.dot, v.payload));
            count++;
            if (order > 0 && kept == NULL) {
                hash_digest_put(digest, &hashed, bytes_of(out->data + at, out->size - at));
            }
        }
        is = order >= 0 ? crdt_view_next(&v) : is;
        was = order <= 0 ? node_ev_record_raw(&entries, &e, &raw) : was;
    }
    num_put_u32(out->data + count_at, count);
    return 0;
}

/* The dots of removals, old and new, their number first. Of this actor the newest is enough: who
 * has not seen an older one has not seen it either. removals: the old ones. */
static int node_ev_making_removals(struct node_ev_making *m, uint32_t touch,
                                   struct node_ev_cursor removals, struct buf *out)
{
    const struct crdt_dot newest = {m->actor, m->touches[touch].gone};
    struct crdt_dot dot;
    uint32_t count = newest.counter != 0;
    size_t count_at = out->size;
    TRY(buf_put_u32(out, 0));
    bool more = node_ev_record_removal(&removals, &dot);
    for (; more && crdt_dot_compare(dot, newest) <= 0;
         more = node_ev_record_removal(&removals, &dot)) {
        if (newest.counter == 0 || crdt_actor_compare(dot.actor, m->actor) != 0) {
            TRY(node_ev_dot_put(out, dot));
            count++;
        }
    }
    if (newest.counter != 0) {
        TRY(node_ev_dot_put(out, newest));
    }
    for (; more; more = node_ev_record_removal(&removals, &dot)) {
        TRY(node_ev_dot_put(out, dot));
        count++;
    }
    num_put_u32(out->data + count_at, count);
    return 0;
}

static int node_ev_making_record(struct node_ev_making *m, uint32_t touch)
{
    struct node_ev_touch *t = &m->touches[touch];
    const struct node_ev_made_key *k = &m->keys[t->key];
    struct node_ev_made_region *r = &m->regions[k->region];
    struct bytes name = node_ev_names_at(&m->scope.records, touch);
    size_t head = 4 + 2 + k->space.size + k->name.size;
    t->value_at = m->values.size;
    TRY(buf_put_u8(&m->values, 1));
    TRY(node_ev_making_entries(m, touch, NULL, &m->values));
    TRY(node_ev_making_removals(m, touch, t->removals, &m->values));
    t->value_bytes = m->values.size - t->value_at;
    ASSERT(t->value_bytes >
           NODE_EV_RECORD_BYTES_MIN); /* what was touched has an entry or a removal */
    if (t->value_bytes > STORE_KV_VALUE_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    buf_clear(&m->value);
    TRY(buf_put_u8(&m->value, 1));
    TRY(node_ev_making_entries(m, touch, &r->seen, &m->value));
    TRY(node_ev_making_removals(m, touch, (struct node_ev_cursor){0}, &m->value));
    return node_ev_fragment_record(bytes_of(name.data + 4, head - 4),
                                   bytes_of(name.data + head, name.size - head),
                                   buf_view(&m->value), &r->fragment);
}

/* The fragments' heads. */
static int node_ev_making_heads(struct node_ev_making *m)
{
    for (uint32_t i = 0; i < m->regions_count; i++) {
        struct node_ev_made_region *r = &m->regions[i];
        if (r->last == 0) {
            continue;
        }
        struct node_ev_fragment f = {.region = r->region, .time_us = r->now.time_us};
        f.before = r->old->seen;
        f.seen = r->seen;
        f.records_count = r->records;
        TRY(node_ev_fragment_head(&f, &r->fragment));
    }
    return 0;
}

static int node_ev_making_encode(struct node_ev_making *m)
{
    TRY(node_ev_making_heads(m));
    for (uint32_t i = 0; i < m->scope.records.count; i++) {
        if (m->touches[i].operation != 0) {
            TRY(node_ev_making_record(m, i));
        }
    }
    return 0;
}

/* From here on nothing is refused. */
static int node_ev_making_write(struct node_ev_making *m)
{
    const struct node_ev_store *store = m->store;
    for (uint32_t i = 0; i < m->scope.records.count; i++) {
        const struct node_ev_touch *t = &m->touches[i];
        struct bytes name = node_ev_names_at(&m->scope.records, i);
        if (t->operation != 0) {
            struct bytes value = bytes_of(m->values.data + t->value_at, t->value_bytes);
            TRY(store->put(store->ctx, name, value));
        }
    }
    TRY(node_ev_types_write(&m->scope.types, store));
    for (uint32_t i = 0; i < m->regions_count; i++) {
        struct node_ev_made_region *r = &m->regions[i];
        uint8_t name[2];
        if (r->last == 0) {
            continue;
        }
        node_ev_region_name(r->region, name);
        buf_clear(&m->value);
        TRY(node_ev_region_encode(&r->now, &m->value));
        TRY(store->put(store->ctx, bytes_of(name, 2), buf_view(&m->value)));
        store->changed(store->ctx, r->region, &r->now);
        store->note(store->ctx, r->region, true, buf_view(&r->fragment));
    }
    return 0;
}

static int node_ev_making_reply(const struct node_ev_making *m, struct buf *reply)
{
    uint16_t regions = 0;
    for (uint32_t i = 0; i < m->regions_count; i++) {
        regions = (uint16_t)(regions + (m->regions[i].last != 0));
    }
    (void)buf_put_u16(reply, regions);
    for (uint32_t i = 0; i < m->regions_count; i++) {
        if (m->regions[i].last != 0) {
            (void)buf_put_u8(reply, m->regions[i].region);
            (void)node_ev_dot_put(reply, (struct crdt_dot){m->actor, m->regions[i].last});
        }
    }
    return reply->err;
}

/* *at: the operation that was refused. */
static int node_ev_making_run(struct node_ev_making *m, struct bytes body, struct buf *reply,
                              uint16_t *at)
{
    struct node_ev_body b;
    struct node_ev_parsed op;
    bool changed = false;
    TRY(node_ev_body_begin(body, &b));
    (void)buf_put_u16(reply, (uint16_t)m->operations);
    for (uint32_t i = 0; i < m->operations; i++) {
        *at = (uint16_t)i;
        TRY(node_ev_body_next(&b, &op));
        TRY(node_ev_making_op(m, i, &op, &changed));
        TRY(buf_put_u8(reply, changed));
    }
    TRY(node_ev_making_encode(m));
    TRY(node_ev_making_reply(m, reply));
    return node_ev_making_write(m);
}

int node_ev_update(const struct node_ev_store *store, struct bytes body, struct buf *reply)
{
    struct node_ev_making m;
    struct node_ev_scratch scratch;
    int code;
    if (node_ev_count(store, body, reply, &code)) {
        return code;
    }
    struct alloc alloc = node_ev_scratch_init(&scratch, store->alloc);
    struct node_ev_store own = *store;
    own.alloc = &alloc;
    int err = node_ev_making_init(&m, &own, body);
    uint16_t at = 0;
    if (err == 0) {
        err = node_ev_making_run(&m, body, reply, &at);
    }
    if (err != 0) {
        buf_clear(reply);
        (void)buf_put_u16(reply, at);
    }
    node_ev_scratch_release(&scratch); /* all that was made */
    return err;
}
