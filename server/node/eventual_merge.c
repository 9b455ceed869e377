/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Several fragments of one region as one: a thousand additions to one counter become one record.
 *
 * The fragments are looked at from the last to the first. An entry lives on unless a later fragment
 * had seen its dot: then that one lists it itself, or has replaced it. So one look at the dots of
 * the later ones decides, and each fragment is read once. Contexts of before are read of the first
 * and the last alone.
 */
#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_peers_internal.h"

enum node_ev_part_kind {
    NODE_EV_PART_ENTRY = 0,
    NODE_EV_PART_REMOVAL,
};
struct node_ev_part {
    struct bytes key;
    struct bytes record_key;
    struct crdt_dot dot;
    struct bytes payload;
    enum node_ev_part_kind kind;
};
struct node_ev_parts {
    struct node_ev_part *items;
    size_t count;
    size_t cap;
    struct alloc alloc;
};

static int node_ev_parts_add(struct node_ev_parts *p, const struct node_ev_part *part)
{
    if (p->count == p->cap) {
        size_t cap = p->cap == 0 ? 32 : p->cap * 2;
        struct node_ev_part *items = alloc_get(&p->alloc, cap * sizeof *items);
        if (items == NULL) {
            return ERR_NO_MEMORY;
        }
        if (p->count > 0) {
            memcpy(items, p->items, p->count * sizeof *items);
        }
        alloc_put(&p->alloc, p->items, p->cap * sizeof *items);
        p->items = items;
        p->cap = cap;
    }
    p->items[p->count++] = *part;
    return 0;
}

/* ---- order ---------------------------------------------------------------------------------- */

static int node_ev_part_record_order(const struct node_ev_part *a, const struct node_ev_part *b)
{
    int order = bytes_compare(a->key, b->key);
    return order != 0 ? order : bytes_compare(a->record_key, b->record_key);
}

static int node_ev_part_order(const struct node_ev_part *a, const struct node_ev_part *b)
{
    int order = node_ev_part_record_order(a, b);
    if (order != 0) {
        return order;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    return crdt_dot_compare(a->dot, b->dot);
}

static void node_ev_parts_sink(struct node_ev_parts *p, size_t at, size_t count)
{
    struct node_ev_part moved = p->items[at];
    while (at * 2 + 1 < count) {
        size_t child = at * 2 + 1;
        if (child + 1 < count && node_ev_part_order(&p->items[child], &p->items[child + 1]) < 0) {
            child++;
        }
        if (node_ev_part_order(&moved, &p->items[child]) >= 0) {
            break;
        }
        p->items[at] = p->items[child];
        at = child;
    }
    p->items[at] = moved;
}

/* Heapsort (Williams, 1964): in place, and no input is slow. */
static void node_ev_parts_sort(struct node_ev_parts *p)
{
    for (size_t i = p->count / 2; i > 0; i--) {
        node_ev_parts_sink(p, i - 1, p->count);
    }
    for (size_t end = p->count; end > 1; end--) {
        struct node_ev_part top = p->items[0];
        p->items[0] = p->items[end - 1];
        p->items[end - 1] = top;
        node_ev_parts_sink(p, 0, end - 1);
    }
}

/* ---- in ------------------------------------------------------------------------------------- */

static int node_ev_merge_record(struct node_ev_parts *p, const struct crdt_context *later,
                                struct node_ev_part part, struct bytes raw)
{
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry e;
    TRY(node_ev_record_begin(raw, &entries, &removals));
    part.kind = NODE_EV_PART_ENTRY;
    while (node_ev_record_entry(&entries, &e)) {
        part.dot = e.dot;
        part.payload = e.payload;
        if (!crdt_context_has(later, e.dot)) {
            TRY(node_ev_parts_add(p, &part));
        }
    }
    part.kind = NODE_EV_PART_REMOVAL;
    part.payload = bytes_of(NULL, 0);
    while (node_ev_record_removal(&removals, &part.dot)) {
        TRY(node_ev_parts_add(p, &part));
    }
    return 0;
}

/* all: what the fragments after this one bring; becomes what they bring from this one on. */
static int node_ev_merge_one(struct node_ev_parts *p, struct node_ev_fragment *all,
                             struct bytes fragment)
{
    struct node_ev_fragment f;
    struct node_ev_fragment_cursor c;
    struct node_ev_part part = {.kind = NODE_EV_PART_ENTRY};
    struct bytes raw;
    node_ev_fragment_init(&f, &p->alloc);
    int err = node_ev_fragment_skim(&f, fragment);
    if (err == 0) {
        all->region = f.region;
        all->time_us = NUM_MAX(all->time_us, f.time_us);
        node_ev_fragment_begin(&f, &c);
    }
    while (err == 0 && node_ev_fragment_next(&c, &part.key, &part.record_key, &raw)) {
        err = node_ev_merge_record(p, &all->seen, part, raw);
    }
    err = err != 0 ? err : crdt_context_join(&all->seen, &f.seen);
    node_ev_fragment_release(&f);
    return err;
}

/* ---- what must have been seen before -------------------------------------------------------- */

/* returns: whether all that is new in the fragment was made by one actor. A range that ends with
 * what was there before has nothing new. */
static bool node_ev_merge_actor(const struct node_ev_fragment *f, struct crdt_actor *actor)
{
    bool found = false;
    for (size_t i = 0; i < f->seen.count; i++) {
        const struct crdt_range *r = &f->seen.ranges[i];
        if (crdt_context_has(&f->before, (struct crdt_dot){r->actor, r->to})) {
            continue;
        }
        if (found && crdt_actor_compare(*actor, r->actor) != 0) {
            return false;
        }
        *actor = r->actor;
        found = true;
    }
    return found;
}

/* What was seen before the last one has all that was seen before the others, if one actor made them
 * all. What he made meanwhile they bring: before them there was what the first had seen of him. */
static int node_ev_merge_between(const struct node_ev_fragment *first,
                                 const struct node_ev_fragment *last, struct crdt_actor actor,
                                 struct crdt_context *before)
{
    for (size_t i = 0; i < last->before.count; i++) {
        const struct crdt_range *r = &last->before.ranges[i];
        if (crdt_actor_compare(r->actor, actor) != 0) {
            TRY(crdt_context_add(before, r));
        }
    }
    return crdt_context_join(before, &first->before);
}

/* All that was seen before any: who lacks some of it fetches records. */
static int node_ev_merge_all_before(const struct bytes *fragments, unsigned count,
                                    struct crdt_context *before)
{
    for (unsigned i = 0; i < count; i++) {
        struct node_ev_fragment f;
        node_ev_fragment_init(&f, &before->alloc);
        int err = node_ev_fragment_reopen(&f, fragments[i]);
        err = err != 0 ? err : crdt_context_join(before, &f.before);
        node_ev_fragment_release(&f);
        TRY(err);
    }
    return 0;
}

static int node_ev_merge_before(const struct bytes *fragments, unsigned count,
                                struct crdt_context *before)
{
    struct node_ev_fragment first;
    struct node_ev_fragment last;
    struct crdt_actor a;
    struct crdt_actor b;
    node_ev_fragment_init(&first, &before->alloc);
    node_ev_fragment_init(&last, &before->alloc);
    int err = node_ev_fragment_reopen(&first, fragments[0]);
    err = err != 0 ? err : node_ev_fragment_reopen(&last, fragments[count - 1]);
    if (err == 0) {
        bool one = node_ev_merge_actor(&first, &a) && node_ev_merge_actor(&last, &b) &&
                   crdt_actor_compare(a, b) == 0;
        err = one ? node_ev_merge_between(&first, &last, a, before)
                  : node_ev_merge_all_before(fragments, count, before);
    }
    node_ev_fragment_release(&first);
    node_ev_fragment_release(&last);
    return err;
}

/* ---- out ------------------------------------------------------------------------------------ */

static int node_ev_put_dot(struct buf *out, struct crdt_dot dot)
{
    (void)buf_put_u32(out, dot.actor.node);
    (void)buf_put_u64(out, dot.actor.epoch);
    return buf_put_u64(out, dot.counter);
}

/* returns: where the parts of kind end that begin at `at`; *different: without repeated ones. */
static size_t node_ev_parts_run(const struct node_ev_parts *p, size_t at, size_t end,
                                enum node_ev_part_kind kind, uint32_t *different)
{
    size_t from = at;
    *different = 0;
    while (at < end && p->items[at].kind == kind) {
        *different += at == from || crdt_dot_compare(p->items[at].dot, p->items[at - 1].dot) != 0;
        at++;
    }
    return at;
}

static void node_ev_parts_put(const struct node_ev_parts *p, size_t at, size_t end,
                              struct buf *value)
{
    for (size_t from = at; at < end; at++) {
        const struct node_ev_part *part = &p->items[at];
        if (at > from && crdt_dot_compare(part->dot, p->items[at - 1].dot) == 0) {
            continue;
        }
        (void)node_ev_put_dot(value, part->dot);
        if (part->kind == NODE_EV_PART_ENTRY) {
            (void)buf_put_bytes(value, part->payload);
        }
    }
}

/* One record: the parts from at up to end. */
static int node_ev_merge_put(const struct node_ev_parts *p, size_t at, size_t end,
                             struct buf *value, struct buf *out)
{
    uint32_t entries = 0;
    uint32_t removals = 0;
    size_t middle = node_ev_parts_run(p, at, end, NODE_EV_PART_ENTRY, &entries);
    size_t last = node_ev_parts_run(p, middle, end, NODE_EV_PART_REMOVAL, &removals);
    ASSERT(last == end && entries + removals > 0);
    buf_clear(value);
    (void)buf_put_u8(value, NODE_LEVEL);
    (void)buf_put_u32(value, entries);
    node_ev_parts_put(p, at, middle, value);
    (void)buf_put_u32(value, removals);
    node_ev_parts_put(p, middle, end, value);
    TRY(value->err);
    return node_ev_fragment_record(p->items[at].key, p->items[at].record_key, buf_view(value), out);
}

static size_t node_ev_parts_record_end(const struct node_ev_parts *p, size_t at)
{
    size_t end = at + 1;
    while (end < p->count && node_ev_part_record_order(&p->items[end], &p->items[at]) == 0) {
        end++;
    }
    return end;
}

static int node_ev_merge_write(struct node_ev_parts *p, struct node_ev_fragment *all,
                               struct buf *out)
{
    struct buf value;
    buf_init(&value, &p->alloc, STORE_KV_VALUE_BYTES_MAX);
    node_ev_parts_sort(p);
    all->records_count = 0;
    for (size_t at = 0; at < p->count; at = node_ev_parts_record_end(p, at)) {
        all->records_count++;
    }
    int err = node_ev_fragment_head(all, out);
    for (size_t at = 0; at < p->count && err == 0;) {
        size_t end = node_ev_parts_record_end(p, at);
        err = node_ev_merge_put(p, at, end, &value, out);
        at = end;
    }
    buf_release(&value);
    return err;
}

int node_ev_merge(const struct bytes *fragments, unsigned count, const struct alloc *alloc,
                  struct buf *out)
{
    struct node_ev_scratch scratch;
    struct node_ev_fragment all;
    int err = 0;
    ASSERT(count > 0);
    if (count == 1) { /* most regions, unless many write at once */
        return buf_append(out, fragments[0].data, fragments[0].size);
    }
    struct node_ev_parts p = {.alloc = node_ev_scratch_init(&scratch, alloc)};
    node_ev_fragment_init(&all, &p.alloc);
    for (unsigned i = count; i > 0 && err == 0; i--) {
        err = node_ev_merge_one(&p, &all, fragments[i - 1]);
    }
    err = err != 0 ? err : node_ev_merge_before(fragments, count, &all.before);
    err = err != 0 ? err : node_ev_merge_write(&p, &all, out);
    node_ev_scratch_release(&scratch);
    return err;
}
