/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Who owns a region, and the arithmetic of contexts that replication needs: which dots all have,
 * which one lacks, and which of several fragments may be joined now. Values in, values out.
 */
#include "server/node/eventual_peers_internal.h"

/* ---- lists ---------------------------------------------------------------------------------- */

static void node_ev_list_add(struct node_ev_list *list, uint32_t node)
{
    ASSERT(list->count < NODE_EV_LIST_MAX);
    list->nodes[list->count++] = node;
}

void node_ev_list_of(const uint32_t *placed, const bool *out, unsigned count,
                     struct node_ev_list *list)
{
    *list = (struct node_ev_list){.owners = 0};
    for (unsigned i = 0; i < count && list->count < NODE_EV_OWNERS_MAX; i++) {
        if (!out[i]) {
            node_ev_list_add(list, placed[i]);
        }
    }
    list->owners = list->count;
    for (unsigned i = 0; i < count && i < NODE_EV_OWNERS_MAX; i++) {
        if (out[i]) { /* it may come back with what it had */
            node_ev_list_add(list, placed[i]);
        }
    }
}

bool node_ev_list_owns(const struct node_ev_list *list, uint32_t node)
{
    for (unsigned i = 0; i < list->owners; i++) {
        if (list->nodes[i] == node) {
            return true;
        }
    }
    return false;
}

bool node_ev_list_has(const struct node_ev_list *list, uint32_t node)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (list->nodes[i] == node) {
            return true;
        }
    }
    return false;
}

/* ---- contexts ------------------------------------------------------------------------------- */

/* returns: below 0 if all of a lies before b, above 0 if behind it, 0 if they share a dot. */
static int node_ev_range_order(const struct crdt_range *a, const struct crdt_range *b)
{
    int order = crdt_actor_compare(a->actor, b->actor);
    if (order != 0) {
        return order;
    }
    return a->to < b->from ? -1 : a->from > b->to;
}

/* What a has of epochs that b has folded. */
static int node_ev_meet_folds(const struct crdt_context *a, const struct crdt_context *b,
                              struct crdt_context *out)
{
    for (size_t i = 0; i < a->count; i++) {
        if (crdt_context_folds(b, a->ranges[i].actor)) {
            TRY(crdt_context_add(out, &a->ranges[i]));
        }
    }
    return 0;
}

int node_ev_meet(const struct crdt_context *a, const struct crdt_context *b,
                 struct crdt_context *out)
{
    size_t i = 0;
    size_t j = 0;
    ASSERT(out->count == 0);
    while (i < a->count && j < b->count) {
        const struct crdt_range *x = &a->ranges[i];
        const struct crdt_range *y = &b->ranges[j];
        int order = node_ev_range_order(x, y);
        if (order < 0) {
            i++;
            continue;
        }
        if (order > 0) {
            j++;
            continue;
        }
        TRY(crdt_context_add(out, &(struct crdt_range){.actor = x->actor,
                                                       .from = NUM_MAX(x->from, y->from),
                                                       .to = NUM_MIN(x->to, y->to)}));
        if (x->to <= y->to) {
            i++;
        } else {
            j++;
        }
    }
    TRY(node_ev_meet_folds(a, b, out));
    return node_ev_meet_folds(b, a, out);
}

/* Adds what is in x and in none of b from *j on; *j stays at the first that may meet the next. */
static int node_ev_range_minus(const struct crdt_range *x, const struct crdt_context *b, size_t *j,
                               struct crdt_context *out)
{
    uint64_t from = x->from;
    while (*j < b->count && node_ev_range_order(&b->ranges[*j], x) < 0) {
        (*j)++;
    }
    for (size_t k = *j; k < b->count && node_ev_range_order(&b->ranges[k], x) == 0; k++) {
        const struct crdt_range *y = &b->ranges[k];
        if (y->from > from) {
            TRY(crdt_context_add(
                out, &(struct crdt_range){.actor = x->actor, .from = from, .to = y->from - 1}));
        }
        if (y->to >= x->to) {
            return 0;
        }
        from = y->to + 1;
    }
    return crdt_context_add(out,
                            &(struct crdt_range){.actor = x->actor, .from = from, .to = x->to});
}

int node_ev_minus(const struct crdt_context *a, const struct crdt_context *b,
                  struct crdt_context *out)
{
    size_t j = 0;
    ASSERT(out->count == 0);
    for (size_t i = 0; i < a->count; i++) {
        if (!crdt_context_folds(b, a->ranges[i].actor)) {
            TRY(node_ev_range_minus(&a->ranges[i], b, &j, out));
        }
    }
    return 0;
}

int node_ev_context_set(struct crdt_context *into, const struct crdt_context *from)
{
    struct crdt_context copy;
    crdt_context_init(&copy, &into->alloc);
    int err = crdt_context_join(&copy, from);
    if (err != 0) {
        crdt_context_release(&copy);
        return err;
    }
    crdt_context_release(into);
    *into = copy;
    return 0;
}

/* ---- what may be joined --------------------------------------------------------------------- */

/* A fragment brings the dots that were made in it. What it replaced it has seen too, but does not
 * bring: that must be there, for it may have replaced something in turn. */
static int node_ev_brings(const struct node_ev_wanting *w, struct crdt_context *all)
{
    struct crdt_context made;
    crdt_context_init(&made, &all->alloc);
    int err = node_ev_minus(w->seen, w->before, &made);
    err = err != 0 ? err : crdt_context_join(all, &made);
    crdt_context_release(&made);
    return err;
}

/* refused: how many of those taken so far want more than is there and what the others bring. */
static int node_ev_joinable_round(const struct crdt_context *have, struct node_ev_wanting *held,
                                  unsigned count, struct crdt_context *all, unsigned *refused)
{
    *refused = 0;
    TRY(node_ev_context_set(all, have));
    for (unsigned i = 0; i < count; i++) {
        if (held[i].take) {
            TRY(node_ev_brings(&held[i], all));
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (held[i].take && !crdt_may_join(all, held[i].before)) {
            held[i].take = false;
            (*refused)++;
        }
    }
    return 0;
}

int node_ev_joinable(const struct crdt_context *have, struct node_ev_wanting *held, unsigned count,
                     const struct alloc *alloc)
{
    struct crdt_context all;
    unsigned refused = 0;
    int err = 0;
    crdt_context_init(&all, alloc);
    for (unsigned i = 0; i < count; i++) {
        held[i].take = true;
        refused += !crdt_may_join(have, held[i].before); /* mostly none needs another */
    }
    if (count == 1) { /* nothing that it brings is what it asks for */
        held[0].take = refused == 0;
        refused = 0;
    }
    while (refused > 0 && err == 0) { /* each round but the last refuses one at least */
        err = node_ev_joinable_round(have, held, count, &all, &refused);
    }
    crdt_context_release(&all);
    return err;
}
