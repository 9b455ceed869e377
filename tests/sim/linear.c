/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The search: take any operation that was invoked before the first return still open, apply it to
 * the register, go on; step back where no order is left. A configuration (set of applied
 * operations, value) that was visited before is not entered again.
 */
#include "base/hash.h"
#include "base/num.h"
#include "tests/sim/history.h"

#include <stdlib.h>
#include <string.h>

#define LINEAR_OPS_MAX 8192u

struct linear_event { /* a call or its return, in time order, in a doubly linked list */
    uint32_t op;
    bool is_return;
    uint32_t match; /* the event of the other kind */
    uint32_t prev, next;
};

struct linear {
    const struct history_op **ops;
    uint32_t ops_count;
    struct linear_event *events; /* from 1; 0 is the head */
    uint32_t events_count;
    uint64_t *done; /* bit set of applied operations */
    uint32_t words;
    uint64_t *seen; /* open-addressing table of 128-bit fingerprints */
    uint64_t seen_cap;
    uint64_t seen_count;
    uint64_t done_hash;
};

struct linear_frame {
    uint32_t call;
    uint32_t value;
};

static bool linear_apply(const struct history_op *op, uint32_t state, uint32_t *next)
{
    switch (op->f) {
    case HISTORY_GET: *next = state; return state == op->value;
    case HISTORY_PUT: *next = op->value; return true;
    case HISTORY_DELETE: *next = HISTORY_ABSENT; return true;
    case HISTORY_CAS: *next = op->value; return state == op->old;
    default: return false;
    }
}

static uint64_t linear_op_hash(uint32_t op, uint64_t lane)
{
    return hash_mix(hash_mix((uint64_t)op + lane) + 0x9e3779b97f4a7c15u);
}

/* returns: whether the configuration is new; it is remembered. The fingerprint is a sum of mixed
 * operation numbers in 64 bits, mixed with the value: a collision could only hide an order, and
 * with under 2^24 configurations has odds below 2^-16. */
static bool linear_visit(struct linear *l, uint32_t state)
{
    uint64_t print = hash_mix(l->done_hash ^ hash_mix((uint64_t)state + 0x5851f42d4c957f2du)) | 1u;
    if (l->seen_count * 2 >= l->seen_cap) {
        uint64_t cap = NUM_MAX(1024, l->seen_cap * 2);
        uint64_t *grown = calloc(cap, sizeof(*grown));
        if (grown == NULL) {
            abort();
        }
        for (uint64_t i = 0; i < l->seen_cap; i++) {
            if (l->seen[i] != 0) {
                uint64_t at = l->seen[i] & (cap - 1);
                while (grown[at] != 0) {
                    at = (at + 1) & (cap - 1);
                }
                grown[at] = l->seen[i];
            }
        }
        free(l->seen);
        l->seen = grown;
        l->seen_cap = cap;
    }
    uint64_t at = print & (l->seen_cap - 1);
    while (l->seen[at] != 0) {
        if (l->seen[at] == print) {
            return false;
        }
        at = (at + 1) & (l->seen_cap - 1);
    }
    l->seen[at] = print;
    l->seen_count++;
    return true;
}

static void linear_lift(struct linear *l, uint32_t event)
{
    struct linear_event *e = l->events;
    uint32_t ret = e[event].match;
    e[e[event].prev].next = e[event].next;
    if (e[event].next != 0) {
        e[e[event].next].prev = e[event].prev;
    }
    if (ret != 0) {
        e[e[ret].prev].next = e[ret].next;
        if (e[ret].next != 0) {
            e[e[ret].next].prev = e[ret].prev;
        }
    }
}

static void linear_unlift(struct linear *l, uint32_t event)
{
    struct linear_event *e = l->events;
    uint32_t ret = e[event].match;
    if (ret != 0) {
        e[e[ret].prev].next = ret;
        if (e[ret].next != 0) {
            e[e[ret].next].prev = ret;
        }
    }
    e[e[event].prev].next = event;
    if (e[event].next != 0) {
        e[e[event].next].prev = event;
    }
}

static void linear_mark(struct linear *l, uint32_t op, bool done)
{
    l->done_hash += done ? linear_op_hash(op, 1) : 0 - linear_op_hash(op, 1);
}

/* returns: whether some order explains every operation with an answer. */
static bool linear_search(struct linear *l, struct linear_frame *stack, uint64_t steps_max,
                          bool *gave_up)
{
    struct linear_event *e = l->events;
    uint32_t depth = 0;
    uint32_t state = HISTORY_ABSENT;
    uint32_t at = e[0].next;
    uint32_t answers = 0;
    uint64_t steps = 0;
    for (uint32_t i = 0; i < l->ops_count; i++) {
        answers += l->ops[i]->end == HISTORY_OK;
    }
    while (answers > 0) {
        if (++steps > steps_max) {
            *gave_up = true;
            return false;
        }
        if (at != 0 && !e[at].is_return) {
            const struct history_op *op = l->ops[e[at].op];
            uint32_t next = state;
            bool fits = linear_apply(op, state, &next);
            if (fits) {
                linear_mark(l, e[at].op, true);
                if (linear_visit(l, next)) {
                    stack[depth++] = (struct linear_frame){.call = at, .value = state};
                    state = next;
                    linear_lift(l, at);
                    answers -= op->end == HISTORY_OK;
                    at = e[0].next;
                    continue;
                }
                linear_mark(l, e[at].op, false);
            }
            at = e[at].next;
            continue;
        }
        /* a return that nothing explains, or the end: step back */
        if (depth == 0) {
            return false;
        }
        struct linear_frame *frame = &stack[--depth];
        state = frame->value;
        linear_unlift(l, frame->call);
        linear_mark(l, e[frame->call].op, false);
        answers += l->ops[e[frame->call].op]->end == HISTORY_OK;
        at = e[frame->call].next;
    }
    return true;
}

struct linear_moment {
    uint64_t time;
    uint32_t op;
    bool is_return;
};

static int linear_moment_compare(const void *a, const void *b)
{
    const struct linear_moment *x = a;
    const struct linear_moment *y = b;
    if (x->time != y->time) {
        return x->time < y->time ? -1 : 1;
    }
    /* at the same time calls come first: the two operations then count as concurrent */
    if (x->is_return != y->is_return) {
        return x->is_return ? 1 : -1;
    }
    return (x->op > y->op) - (x->op < y->op);
}

static bool linear_key(const struct history_op **ops, uint32_t count, uint64_t steps_max,
                       bool *gave_up)
{
    struct linear l = {.ops = ops, .ops_count = count};
    struct linear_moment *moments = calloc((size_t)count * 2 + 1, sizeof(*moments));
    struct linear_frame *stack = calloc((size_t)count + 1, sizeof(*stack));
    uint32_t *calls = calloc((size_t)count + 1, sizeof(*calls));
    l.events = calloc((size_t)count * 2 + 1, sizeof(*l.events));
    if (moments == NULL || stack == NULL || calls == NULL || l.events == NULL) {
        abort();
    }
    uint32_t moments_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        moments[moments_count++] = (struct linear_moment){ops[i]->invoke_ns, i, false};
        if (ops[i]->end == HISTORY_OK) {
            moments[moments_count++] = (struct linear_moment){ops[i]->end_ns, i, true};
        }
    }
    qsort(moments, moments_count, sizeof(*moments), linear_moment_compare);
    for (uint32_t i = 0; i < moments_count; i++) {
        uint32_t at = i + 1;
        l.events[at] = (struct linear_event){.op = moments[i].op,
                                             .is_return = moments[i].is_return,
                                             .prev = i,
                                             .next = at == moments_count ? 0 : at + 1};
        if (moments[i].is_return) {
            l.events[at].match = calls[moments[i].op];
            l.events[calls[moments[i].op]].match = at;
        } else {
            calls[moments[i].op] = at;
        }
    }
    l.events[0].next = moments_count > 0 ? 1 : 0;
    bool fits = linear_search(&l, stack, steps_max, gave_up);
    free(moments);
    free(stack);
    free(calls);
    free(l.events);
    free(l.seen);
    return fits;
}

static int linear_by_key(const void *a, const void *b)
{
    const struct history_op *x = *(const struct history_op *const *)a;
    const struct history_op *y = *(const struct history_op *const *)b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return (x->invoke_ns > y->invoke_ns) - (x->invoke_ns < y->invoke_ns);
}

bool history_check(const struct history *h, uint64_t steps_max, uint32_t *key, bool *gave_up)
{
    const struct history_op **ops = calloc((size_t)h->count + 1, sizeof(const struct history_op *));
    uint32_t count = 0;
    bool fits = true;
    if (ops == NULL) {
        abort();
    }
    *gave_up = false;
    for (uint32_t i = 0; i < h->count; i++) {
        const struct history_op *op = &h->ops[i];
        bool unread = op->f == HISTORY_GET && op->end != HISTORY_OK;
        if (op->end != HISTORY_FAIL && !unread) {
            ops[count++] = op;
        }
    }
    qsort(ops, count, sizeof(*ops), linear_by_key);
    for (uint32_t from = 0, to = 0; fits && from < count; from = to) {
        while (to < count && ops[to]->key == ops[from]->key) {
            to++;
        }
        fits = linear_key(ops + from, to - from, steps_max, gave_up);
        *key = ops[from]->key;
    }
    free(ops);
    return fits;
}
