/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: additions to counters. What most commands consist of goes a short way here: each
 * record is looked up once, read once and written once, and no state is made of it. What comes out
 * is to the byte what eventual_update.c makes of the same command. First everything is looked at,
 * so that nothing has changed where a command turns out to be one for the long way: an operation
 * of another kind or under a map, a counter that is not there or whose record is not in memory, one
 * that has removals or entries that were not seen yet, and whatever would be refused.
 */
#include "base/num.h"
#include "server/node/eventual_ops_internal.h"

#define NODE_EV_LONG_WAY ERR_NOT_FOUND
#define NODE_EV_COUNT_FORMAT 1u     /* of a record */
#define NODE_EV_COUNT_HEAD 5u       /* of a record: format, number of entries */
#define NODE_EV_COUNT_NAME_BYTES 7u /* of a record's, beside space and name */
#define NODE_EV_CONTEXT_AT 25u      /* in a region's record */

/* An operation of the command; its record's name and spot lie apart. */
struct node_ev_count_op {
    int64_t amount;
    uint8_t verb;
    uint8_t region;
};
/* A counter of the command. */
struct node_ev_counted {
    struct node_ev_spot spot;
    struct bytes name; /* of its record */
    struct crdt_tally tally;
    uint64_t counter; /* of its new entry's dot */
    size_t own_at;    /* where the old entry lies in the record, or the new one belongs */
    size_t own_end;
    uint32_t entries;
    uint32_t next; /* of the same region: number + 1 */
};
struct node_ev_counted_region {
    struct node_ev_spot spot;
    const struct node_ev_region *old;
    struct crdt_context seen; /* of the deltas */
    uint64_t time_us;
    uint64_t first; /* counters of the new dots */
    uint64_t last;
    uint32_t head; /* its counters, in the order they came: number + 1 */
    uint32_t tail;
    uint32_t count;
    uint8_t region;
};
struct node_ev_counting {
    const struct node_ev_store *store;
    struct crdt_actor actor;
    uint64_t wall_us;
    uint32_t operations;
    struct node_ev_count_op *ops;
    struct bytes *ops_names;
    struct node_ev_spot *ops_spots;
    struct node_ev_counted *items;
    uint32_t count;
    uint32_t *slots; /* number + 1 by hash; 0: free */
    uint32_t mask;
    struct node_ev_counted_region *regions;
    uint32_t regions_count;
    struct node_ev_spot regions_spots[NODE_EV_REGIONS];
    uint8_t region_at[NODE_EV_REGIONS]; /* number + 1; 0: none yet */
    struct buf names;                   /* never moves */
    struct buf value;
    struct buf fragment;
};

/* ---- what a command works on ---------------------------------------------------------------- */

/* As all that only looks: returns 0, ERR_NO_MEMORY or NODE_EV_LONG_WAY. */
static int node_ev_counting_init(struct node_ev_counting *c, const struct node_ev_body *b,
                                 size_t bytes)
{
    const struct alloc *alloc = c->store->alloc;
    const uint8_t self = NODE_KEY_EV_SELF;
    struct node_ev_spot spot;
    uint32_t slots = 4;
    if (!c->store->seek(c->store->ctx, bytes_of(&self, 1), &spot) || !spot.present ||
        !node_ev_self_parse(c->store, spot.value, &c->actor)) {
        return NODE_EV_LONG_WAY;
    }
    c->operations = b->left;
    c->wall_us = b->wall_us;
    while (slots < 2 * c->operations) {
        slots *= 2;
    }
    c->mask = slots - 1;
    buf_init(&c->names, alloc, SIZE_MAX / 2);
    buf_init(&c->value, alloc, SIZE_MAX / 2);
    buf_init(&c->fragment, alloc, NODE_EV_FRAGMENT_MAX);
    c->ops = alloc_get(alloc, c->operations * sizeof *c->ops);
    c->ops_names = alloc_get(alloc, c->operations * sizeof *c->ops_names);
    c->ops_spots = alloc_get(alloc, c->operations * sizeof *c->ops_spots);
    c->items = alloc_get(alloc, c->operations * sizeof *c->items);
    c->slots = alloc_get_zeroed(alloc, slots, sizeof *c->slots);
    c->regions = alloc_get(alloc, NUM_MIN(c->operations, NODE_EV_REGIONS) * sizeof *c->regions);
    return c->ops == NULL || c->ops_names == NULL || c->ops_spots == NULL || c->items == NULL ||
                   c->slots == NULL || c->regions == NULL
               ? ERR_NO_MEMORY
               : buf_reserve(&c->names, bytes + c->operations * NODE_EV_COUNT_NAME_BYTES);
}

/* Looks up the records of all regions that operations are in. */
static void node_ev_counting_seek_regions(struct node_ev_counting *c)
{
    uint64_t regions = 0;
    for (uint32_t i = 0; i < c->operations; i++) {
        regions |= UINT64_C(1) << c->ops[i].region;
    }
    node_ev_regions_seek(c->store, regions, c->regions_spots);
}

/* returns: NULL where nothing was seen of the region yet, or nothing of this actor. */
static struct node_ev_counted_region *node_ev_counting_region(struct node_ev_counting *c,
                                                              uint8_t region)
{
    struct node_ev_counted_region *r = &c->regions[c->regions_count];
    if (c->region_at[region] != 0) {
        return &c->regions[c->region_at[region] - 1];
    }
    *r = (struct node_ev_counted_region){.region = region, .spot = c->regions_spots[region]};
    if (!r->spot.known || !r->spot.present || r->spot.value.size <= NODE_EV_CONTEXT_AT) {
        return NULL;
    }
    r->old = c->store->region(c->store->ctx, region);
    r->time_us = r->old->time_us;
    r->last = crdt_context_last(&r->old->seen, c->actor);
    r->first = r->last + 1;
    crdt_context_init(&r->seen, c->store->alloc);
    if (r->last == 0 || r->last > UINT64_MAX - NODE_EV_OPS_MAX - 1) {
        return NULL;
    }
    c->region_at[region] = (uint8_t)++c->regions_count;
    return r;
}

/* Reads the record. returns: whether it is a counter's like any other. */
static bool node_ev_counted_read(const struct node_ev_counting *c, struct node_ev_counted *t,
                                 const struct crdt_context *seen)
{
    struct bytes raw = t->spot.value;
    struct bytes_reader r = bytes_reader_of(raw);
    struct crdt_dot last = {0};
    uint64_t most = NUM_MIN(c->store->share_bytes, NODE_EV_RECORD_BYTES_MAX);
    uint8_t format = bytes_take_u8(&r);
    t->entries = bytes_take_u32(&r);
    t->own_at = NODE_EV_COUNT_HEAD;
    t->own_end = NODE_EV_COUNT_HEAD;
    if (format != NODE_EV_COUNT_FORMAT || t->entries == 0 ||
        raw.size + NODE_EV_ENTRY_BYTES + CRDT_TALLY_BYTES_MAX > most) {
        return false;
    }
    for (uint32_t i = 0; i < t->entries; i++) {
        size_t at = raw.size - r.left;
        struct crdt_dot dot = {.actor.node = bytes_take_u32(&r)};
        dot.actor.epoch = bytes_take_u64(&r);
        dot.counter = bytes_take_u64(&r);
        struct bytes payload = bytes_take(&r, bytes_take_u32(&r));
        if (r.failed || crdt_dot_compare(last, dot) >= 0 || !crdt_context_has(seen, dot) ||
            crdt_tally_take(&t->tally, dot, payload) != 0) {
            return false;
        }
        int order = crdt_actor_compare(dot.actor, c->actor);
        t->own_at = order == 0 ? at : order < 0 ? raw.size - r.left : t->own_at;
        t->own_end = order <= 0 ? raw.size - r.left : t->own_end;
        last = dot;
    }
    return bytes_take_u32(&r) == 0 && bytes_reader_ended(&r);
}

/* Finds the record of operation i among those of the command, or adds it. */
static struct node_ev_counted *node_ev_counting_item(struct node_ev_counting *c, uint32_t i,
                                                     struct node_ev_counted_region *r)
{
    struct node_ev_counted *t = &c->items[c->count];
    struct bytes name = c->ops_names[i];
    t->spot = c->ops_spots[i];
    if (!t->spot.known || !t->spot.present) {
        return NULL;
    }
    uint32_t slot = (uint32_t)t->spot.at.hash & c->mask;
    for (; c->slots[slot] != 0; slot = (slot + 1) & c->mask) {
        struct node_ev_counted *other = &c->items[c->slots[slot] - 1];
        if (other->spot.at.hash == t->spot.at.hash && bytes_equal(other->name, name)) {
            return other;
        }
    }
    t->name = name;
    t->next = 0;
    if (!crdt_tally_init(&t->tally, name.data[name.size - 1], c->actor) ||
        !node_ev_counted_read(c, t, &r->old->seen)) {
        return NULL;
    }
    c->slots[slot] = ++c->count;
    *(r->tail != 0 ? &c->items[r->tail - 1].next : &r->head) = c->count;
    r->tail = c->count;
    r->count++;
    return t;
}

/* returns: whether it may be an addition to a counter, as far as it says itself. */
static bool node_ev_counting_may(const struct node_ev_parsed *op)
{
    return op->path.count == 0 && op->hints_count == 0 &&
           (op->path.types[0] == CRDT_G_COUNTER || op->path.types[0] == CRDT_PN_COUNTER) &&
           op->space.size + op->name.size < NODE_NAME_BYTES_MAX - NODE_EV_COUNT_NAME_BYTES;
}

/* Names the record of operation i. */
static int node_ev_counting_name(struct node_ev_counting *c, uint32_t i,
                                 const struct node_ev_parsed *op)
{
    size_t key_bytes = 2 + op->space.size + op->name.size;
    if (!node_ev_counting_may(op)) {
        return NODE_EV_LONG_WAY;
    }
    uint8_t *name = buf_extend(&c->names, 4 + key_bytes + 1);
    ASSERT(name != NULL); /* there is room for what the body names */
    name[0] = NODE_KEY_EV_RECORD;
    name[1] = op->region;
    name[2] = (uint8_t)(key_bytes >> 8);
    name[3] = (uint8_t)key_bytes;
    name[4] = (uint8_t)(op->space.size >> 8);
    name[5] = (uint8_t)op->space.size;
    memcpy(name + 6, op->space.data, op->space.size);
    memcpy(name + 6 + op->space.size, op->name.data, op->name.size);
    name[4 + key_bytes] = op->path.types[0];
    c->ops_names[i] = bytes_of(name, 4 + key_bytes + 1);
    c->ops[i] = (struct node_ev_count_op){op->op.amount, (uint8_t)op->op.verb, op->region};
    return 0;
}

/* Counts operation i, an addition to a counter that is there. */
static int node_ev_counting_op(struct node_ev_counting *c, uint32_t i)
{
    const struct node_ev_count_op *op = &c->ops[i];
    struct node_ev_counted_region *r = node_ev_counting_region(c, op->region);
    TRY(r == NULL ? NODE_EV_LONG_WAY : 0);
    struct node_ev_counted *t = node_ev_counting_item(c, i, r);
    if (t == NULL || crdt_tally_add(&t->tally, op->verb, op->amount) != 0) {
        return NODE_EV_LONG_WAY;
    }
    r->time_us = node_ev_time(c->wall_us, r->time_us);
    t->counter = ++r->last;
    return 0;
}

static int node_ev_counting_read(struct node_ev_counting *c, struct node_ev_body *b)
{
    struct node_ev_parsed op;
    for (uint32_t i = 0; i < c->operations; i++) {
        TRY(node_ev_body_next(b, &op) == 0 ? 0 : NODE_EV_LONG_WAY);
        TRY(node_ev_counting_name(c, i, &op));
    }
    TRY(b->r.left == 0 ? 0 : NODE_EV_LONG_WAY);
    c->store->seek_all(c->store->ctx, c->ops_names, c->operations, c->ops_spots);
    node_ev_counting_seek_regions(c);
    for (uint32_t i = 0; i < c->operations; i++) {
        TRY(node_ev_counting_op(c, i));
    }
    return 0;
}

/* ---- what is written ------------------------------------------------------------------------ */

/* What the deltas of a region have seen: the new dots and those they replace. */
static int node_ev_counted_seen(const struct node_ev_counting *c, struct node_ev_counted_region *r)
{
    struct crdt_range range = {.actor = c->actor, .from = r->first, .to = r->last};
    TRY(crdt_context_add(&r->seen, &range));
    for (uint32_t i = r->head; i != 0; i = c->items[i - 1].next) {
        range.from = c->items[i - 1].tally.replaced;
        range.to = range.from;
        TRY(range.from == 0 ? 0 : crdt_context_add(&r->seen, &range));
    }
    return 0;
}

/* The head of a fragment. The region's record holds its context as a fragment does. */
static int node_ev_counted_head(const struct node_ev_counted_region *r, struct buf *out)
{
    struct bytes raw = r->spot.value;
    struct node_ev_fragment f = {.region = r->region, .time_us = r->time_us};
    f.before = r->old->seen;
    f.seen = r->seen;
    f.records_count = r->count;
    return node_ev_fragment_head_of(
        &f, bytes_of(raw.data + NODE_EV_CONTEXT_AT, raw.size - NODE_EV_CONTEXT_AT), out);
}

/* Appends the new entry. */
static int node_ev_counted_entry(const struct node_ev_counting *c, const struct node_ev_counted *t,
                                 struct buf *out)
{
    uint8_t payload[CRDT_TALLY_BYTES_MAX];
    unsigned bytes = crdt_tally_payload(&t->tally, payload);
    return node_ev_entry_put(out, (struct crdt_dot){c->actor, t->counter},
                             bytes_of(payload, bytes));
}

/* Appends what a fragment tells of the record: the new entry. */
static int node_ev_counted_told(struct node_ev_counting *c, const struct node_ev_counted *t,
                                struct bytes entry)
{
    struct buf *out = &c->fragment;
    struct bytes key = bytes_of(t->name.data + 4, t->name.size - 5);
    (void)buf_put_u16(out, (uint16_t)key.size);
    (void)buf_append(out, key.data, key.size);
    (void)buf_put_u16(out, 1);
    (void)buf_put_u8(out, t->name.data[t->name.size - 1]);
    (void)buf_put_u32(out, (uint32_t)(NODE_EV_RECORD_BYTES_MIN + entry.size));
    (void)buf_put_u8(out, NODE_EV_COUNT_FORMAT);
    (void)buf_put_u32(out, 1);
    (void)buf_append(out, entry.data, entry.size);
    return buf_put_u32(out, 0);
}

static int node_ev_counted_write(struct node_ev_counting *c, const struct node_ev_counted *t,
                                 struct hash_digest *digest)
{
    struct bytes raw = t->spot.value;
    const struct hash_key hashed = hash_key_of(t->name);
    buf_clear(&c->value);
    TRY(buf_append(&c->value, raw.data, t->own_at));
    TRY(node_ev_counted_entry(c, t, &c->value));
    struct bytes entry = bytes_of(c->value.data + t->own_at, c->value.size - t->own_at);
    TRY(node_ev_counted_told(c, t, entry));
    hash_digest_put(digest, &hashed, entry);
    if (t->tally.replaced != 0) {
        hash_digest_drop(digest, &hashed, bytes_of(raw.data + t->own_at, t->own_end - t->own_at));
    }
    TRY(buf_append(&c->value, raw.data + t->own_end, raw.size - t->own_end));
    num_put_u32(c->value.data + 1, t->entries + (t->tally.replaced == 0));
    return c->store->put_at(c->store->ctx, &t->spot, t->name, buf_view(&c->value));
}

static int node_ev_counted_region_write(struct node_ev_counting *c,
                                        struct node_ev_counted_region *r)
{
    const struct node_ev_store *store = c->store;
    const struct crdt_range made = {.actor = c->actor, .from = r->first, .to = r->last};
    struct node_ev_region now = {.time_us = r->time_us, .digest = r->old->digest};
    uint8_t name[2];
    crdt_context_init(&now.seen, store->alloc);
    buf_clear(&c->fragment);
    TRY(node_ev_counted_seen(c, r));
    TRY(node_ev_counted_head(r, &c->fragment));
    for (uint32_t i = r->head; i != 0; i = c->items[i - 1].next) {
        TRY(node_ev_counted_write(c, &c->items[i - 1], &now.digest));
    }
    TRY(crdt_context_join(&now.seen, &r->old->seen));
    TRY(crdt_context_add(&now.seen, &made));
    node_ev_region_name(r->region, name);
    buf_clear(&c->value);
    TRY(node_ev_region_encode(&now, &c->value));
    TRY(store->put_at(store->ctx, &r->spot, bytes_of(name, sizeof name), buf_view(&c->value)));
    store->changed(store->ctx, r->region, &now);
    store->note(store->ctx, r->region, true, buf_view(&c->fragment));
    return 0;
}

static int node_ev_counting_write(struct node_ev_counting *c, struct buf *reply)
{
    (void)buf_put_u16(reply, (uint16_t)c->operations);
    for (uint32_t i = 0; i < c->operations; i++) {
        (void)buf_put_u8(reply, true);
    }
    (void)buf_put_u16(reply, (uint16_t)c->regions_count);
    for (uint32_t i = 0; i < c->regions_count; i++) {
        struct node_ev_counted_region *r = &c->regions[i];
        (void)buf_put_u8(reply, r->region);
        (void)node_ev_dot_put(reply, (struct crdt_dot){c->actor, r->last});
        TRY(node_ev_counted_region_write(c, r));
    }
    return reply->err;
}

/* Most commands of other kinds show themselves with their first operation. */
static bool node_ev_count_may(struct node_ev_body b)
{
    struct node_ev_parsed op;
    return node_ev_body_next(&b, &op) == 0 && node_ev_counting_may(&op);
}

bool node_ev_count(const struct node_ev_store *store, struct bytes body, struct buf *reply,
                   int *code)
{
    struct node_ev_body b;
    struct node_ev_scratch scratch;
    if (store->seek == NULL || node_ev_body_begin(body, &b) != 0 || !node_ev_count_may(b)) {
        return false;
    }
    struct alloc alloc = node_ev_scratch_init(&scratch, store->alloc);
    struct node_ev_store own = *store;
    struct node_ev_counting c = {.store = &own};
    own.alloc = &alloc;
    int err = node_ev_counting_init(&c, &b, body.size);
    err = err == 0 ? node_ev_counting_read(&c, &b) : err;
    err = err == 0 ? node_ev_counting_write(&c, reply) : err;
    node_ev_scratch_release(&scratch); /* all that was made */
    *code = err;
    return err != NODE_EV_LONG_WAY;
}
