/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Timers in a pairing heap that lives in the timers themselves (Fredman, Sedgewick, Sleator and
 * Tarjan, "The pairing heap", 1986): setting one never fails. Equal times fire in the order in
 * which they were set.
 *
 * child: first child; next: next sibling; prev: previous sibling, or the parent of a first child.
 */
#include "server/node/node_internal.h"

#define NODE_TIMERS_END_MAX (1u << 20)

static bool node_timer_before(const struct node_timer *a, const struct node_timer *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static struct node_timer *node_timer_merge(struct node_timer *a, struct node_timer *b)
{
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    struct node_timer *top = node_timer_before(a, b) ? a : b;
    struct node_timer *low = top == a ? b : a;
    low->next = top->child;
    low->prev = top;
    if (top->child != NULL) {
        top->child->prev = low;
    }
    top->child = low;
    top->next = NULL;
    top->prev = NULL;
    return top;
}

/* Two passes: pairs from the left, then all of them from the right. */
static struct node_timer *node_timer_merge_all(struct node_timer *first)
{
    struct node_timer *pairs = NULL;
    while (first != NULL) {
        struct node_timer *a = first;
        struct node_timer *b = a->next;
        first = b == NULL ? NULL : b->next;
        a->next = a->prev = NULL;
        if (b != NULL) {
            b->next = b->prev = NULL;
        }
        a = node_timer_merge(a, b);
        a->next = pairs;
        pairs = a;
    }
    struct node_timer *top = NULL;
    while (pairs != NULL) {
        struct node_timer *next = pairs->next;
        pairs->next = NULL;
        top = node_timer_merge(top, pairs);
        pairs = next;
    }
    return top;
}

void node_timer_cancel(struct node *n, struct node_timer *t)
{
    if (t->at_us == 0) {
        return;
    }
    t->at_us = 0;
    struct node_timer *below = node_timer_merge_all(t->child);
    t->child = NULL;
    if (n->timers == t) {
        n->timers = below;
        return;
    }
    if (t->prev->child == t) {
        t->prev->child = t->next;
    } else {
        t->prev->next = t->next;
    }
    if (t->next != NULL) {
        t->next->prev = t->prev;
    }
    t->next = t->prev = NULL;
    n->timers = node_timer_merge(n->timers, below);
}

void node_timer_set(struct node *n, struct node_timer *t, uint64_t at_us)
{
    node_timer_cancel(n, t);
    t->at_us = at_us == 0 ? 1 : at_us;
    t->order = ++n->timers_order;
    t->child = t->next = t->prev = NULL;
    n->timers = node_timer_merge(n->timers, t);
}

bool node_timers_run(struct node *n)
{
    uint64_t last = n->timers_order; /* those set from here on wait for the next round */
    bool any = false;
    while (n->timers != NULL && n->timers->at_us <= n->now && n->timers->order <= last) {
        struct node_timer *t = n->timers;
        node_timer_cancel(n, t);
        t->fire(n, t);
        any = true;
    }
    return any;
}

void node_timers_end(struct node *n)
{
    for (unsigned i = 0; n->timers != NULL && i < NODE_TIMERS_END_MAX; i++) {
        struct node_timer *t = n->timers;
        node_timer_cancel(n, t);
        if (t->owes) {
            t->fire(n, t);
        }
    }
}

uint64_t node_timers_next(const struct node *n)
{
    return n->timers == NULL ? UINT64_MAX : n->timers->at_us;
}
