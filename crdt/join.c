/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The join, the order it makes, and differences. Knows dots and bytes, no types.
 *
 * A join first makes everything it will need, then changes the state in steps that cannot fail.
 */
#include "base/num.h"
#include "crdt/crdt_internal.h"

static struct crdt_entry *crdt_first_by_dot(const struct crdt_state *s)
{
    return (struct crdt_entry *)crdt_tree_first(s->by_dot);
}

static bool crdt_entry_same(const struct crdt_entry *a, const struct crdt_entry *b)
{
    return bytes_equal(crdt_record_key(a->record), crdt_record_key(b->record)) &&
           bytes_equal(crdt_entry_payload(a), crdt_entry_payload(b));
}

/* What a join will link: entries chained by by_dot.right, each with its spare record. */
struct crdt_coming {
    struct crdt_entry *first;
};

static void crdt_coming_free(struct crdt_coming *c, const struct alloc *alloc)
{
    while (c->first != NULL) {
        struct crdt_entry *e = c->first;
        c->first = (struct crdt_entry *)e->by_dot.right;
        crdt_record_free(alloc, e->record);
        crdt_entry_free(alloc, e);
    }
}

static int crdt_coming_add(struct crdt_coming *c, const struct alloc *alloc,
                           const struct crdt_entry *from, struct crdt_entry **last)
{
    struct crdt_entry *e = crdt_entry_new(alloc, from->dot, crdt_entry_payload(from));
    if (e == NULL) {
        return ERR_NO_MEMORY;
    }
    e->record = crdt_record_new(alloc, crdt_record_key(from->record));
    if (e->record == NULL) {
        crdt_entry_free(alloc, e);
        return ERR_NO_MEMORY;
    }
    if (*last == NULL) {
        c->first = e;
    } else {
        (*last)->by_dot.right = &e->by_dot;
    }
    *last = e;
    return 0;
}

/* Collects the entries of `from` that `into` has not seen; finds dots with two meanings. */
static int crdt_coming_collect(struct crdt_coming *c, const struct crdt_state *into,
                               const struct crdt_state *from)
{
    struct crdt_entry *last = NULL;
    for (struct crdt_entry *e = crdt_first_by_dot(from); e != NULL; e = crdt_entry_next_dot(e)) {
        if (!crdt_context_has(&into->seen, e->dot)) {
            TRY(crdt_coming_add(c, &into->alloc, e, &last));
            continue;
        }
        const struct crdt_entry *own = crdt_entry_find(into, e->dot);
        if (own != NULL && !crdt_entry_same(own, e)) {
            return ERR_CONFLICT;
        }
    }
    return 0;
}

/* Drops what `from` has seen and no longer has. */
static void crdt_join_removals(struct crdt_state *into, const struct crdt_state *from)
{
    for (size_t i = 0; i < from->seen.count; i++) {
        struct crdt_range range = from->seen.ranges[i];
        struct crdt_entry *e = crdt_in_range_first(into, range);
        while (crdt_in_range(e, range)) {
            struct crdt_entry *next = crdt_entry_next_dot(e);
            if (crdt_entry_find(from, e->dot) == NULL) {
                crdt_state_drop(into, e);
            }
            e = next;
        }
    }
}

static int crdt_join_opaque(struct crdt_state *into, const struct crdt_state *from)
{
    if (from->opaque.size == 0 ? from->seen.count == 0 : bytes_equal(into->opaque, from->opaque)) {
        return 0;
    }
    return crdt_state_empty(into) ? crdt_state_copy(into, from) : ERR_LEVEL;
}

int crdt_join(struct crdt_state *into, const struct crdt_state *from)
{
    struct crdt_coming coming = {0};
    if (into->opaque.size > 0 || from->opaque.size > 0) {
        return crdt_join_opaque(into, from);
    }
    if (into == from) {
        return 0;
    }
    int err = crdt_coming_collect(&coming, into, from);
    struct crdt_context both;
    crdt_context_init(&both, &into->alloc);
    bool few = from->seen.count <= 16;
    if (err == 0) {
        err = few ? crdt_context_reserve(&into->seen, from->seen.count)
                  : crdt_context_union(&into->seen, &from->seen, &both);
    }
    if (err != 0) {
        crdt_coming_free(&coming, &into->alloc);
        return err;
    }
    crdt_join_removals(into, from);
    while (coming.first != NULL) {
        struct crdt_entry *e = coming.first;
        coming.first = (struct crdt_entry *)e->by_dot.right;
        crdt_state_link(into, e, e->record);
    }
    for (size_t i = 0; few && i < from->seen.count; i++) {
        crdt_context_put(&into->seen, &from->seen.ranges[i]);
    }
    if (!few) {
        crdt_context_release(&into->seen);
        into->seen = both;
    }
    return 0;
}

bool crdt_leq(const struct crdt_state *a, const struct crdt_state *b)
{
    if (a->opaque.size > 0 || b->opaque.size > 0) {
        return crdt_state_empty(a) || bytes_equal(a->opaque, b->opaque);
    }
    if (!crdt_context_leq(&a->seen, &b->seen)) {
        return false;
    }
    for (size_t i = 0; i < a->seen.count; i++) {
        struct crdt_range range = a->seen.ranges[i];
        struct crdt_entry *e = crdt_in_range_first(b, range);
        for (; crdt_in_range(e, range); e = crdt_entry_next_dot(e)) {
            const struct crdt_entry *own = crdt_entry_find(a, e->dot);
            if (own == NULL || !crdt_entry_same(own, e)) {
                return false;
            }
        }
    }
    return true;
}

/* Adds to out what part of range b has not seen. */
static int crdt_difference_range(const struct crdt_context *b, struct crdt_range range,
                                 struct crdt_context *out)
{
    uint64_t from = range.from;
    if (crdt_context_folds(b, range.actor)) {
        return 0;
    }
    size_t at = crdt_context_at(b, (struct crdt_dot){.actor = range.actor, .counter = from});
    for (; at < b->count && crdt_actor_compare(b->ranges[at].actor, range.actor) == 0; at++) {
        struct crdt_range seen = b->ranges[at];
        if (seen.from > range.to) {
            break;
        }
        if (seen.from > from) {
            TRY(crdt_context_add(out, &(struct crdt_range){range.actor, from, seen.from - 1}));
        }
        if (seen.to >= range.to) {
            return 0;
        }
        from = seen.to + 1;
    }
    return crdt_context_add(out, &(struct crdt_range){range.actor, from, range.to});
}

/* Everything of one range of a's context: what b has not seen, and what b still has and a not. Of
 * an epoch that a alone has folded the difference tells all: it cannot tell of less. */
static int crdt_difference_part(const struct crdt_state *a, const struct crdt_state *b,
                                struct crdt_range range, struct crdt_state *out)
{
    TRY(crdt_difference_range(&b->seen, range, &out->seen));
    struct crdt_entry *e = crdt_in_range_first(b, range);
    for (; crdt_in_range(e, range); e = crdt_entry_next_dot(e)) {
        if (crdt_entry_find(a, e->dot) == NULL) {
            TRY(crdt_context_add_dot(&out->seen, e->dot));
        }
    }
    e = crdt_in_range_first(a, range);
    for (; crdt_in_range(e, range); e = crdt_entry_next_dot(e)) {
        if (!crdt_context_has(&b->seen, e->dot) || crdt_context_folds(&out->seen, e->dot.actor)) {
            TRY(crdt_state_put(out, crdt_record_key(e->record), e->dot, crdt_entry_payload(e)));
        }
    }
    return 0;
}

int crdt_difference(const struct crdt_state *a, const struct crdt_state *b, struct crdt_state *out)
{
    ASSERT(crdt_state_empty(out));
    if (a->opaque.size > 0 || b->opaque.size > 0) {
        return crdt_leq(a, b) ? 0 : crdt_state_copy(out, a);
    }
    int err = 0;
    for (size_t i = 0; err == 0 && i < a->seen.count; i++) {
        err = crdt_difference_part(a, b, a->seen.ranges[i], out);
    }
    if (err != 0) {
        crdt_state_clear(out);
    }
    return err;
}
