/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Causal contexts: sets of dots as sorted ranges. The version vector and the dot cloud of the paper
 * are one array here; a cloud that fills up becomes part of the vector by itself.
 *
 * Epochs that are over lie in the same array, as ranges of the epoch 0 that no actor has; they come
 * before all others of their node. A context says nothing else about them.
 */
#include "base/num.h"
#include "crdt/crdt_internal.h"

/* So few ranges are put in one by one; more are merged in one pass. */
#define CRDT_CONTEXT_SMALL 16u
#define CRDT_CONTEXT_FIRST 4u   /* ranges that there is room for once there is any */
#define CRDT_ACTOR_BYTES_MIN 5u /* encoded, with one range */

int crdt_actor_compare(struct crdt_actor a, struct crdt_actor b)
{
    if (a.node != b.node) {
        return a.node < b.node ? -1 : 1;
    }
    return (a.epoch > b.epoch) - (a.epoch < b.epoch);
}

int crdt_dot_compare(struct crdt_dot a, struct crdt_dot b)
{
    int order = crdt_actor_compare(a.actor, b.actor);
    return order != 0 ? order : (a.counter > b.counter) - (a.counter < b.counter);
}

void crdt_context_init(struct crdt_context *c, const struct alloc *alloc)
{
    *c = (struct crdt_context){.alloc = *alloc};
}

void crdt_context_release(struct crdt_context *c)
{
    alloc_put(&c->alloc, c->ranges, c->cap * sizeof(*c->ranges));
    c->ranges = NULL;
    c->count = 0;
    c->cap = 0;
}

size_t crdt_context_at(const struct crdt_context *c, struct crdt_dot dot)
{
    size_t low = 0;
    size_t high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct crdt_range *r = &c->ranges[middle];
        int order = crdt_actor_compare(r->actor, dot.actor);
        if (order < 0 || (order == 0 && r->to < dot.counter)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* returns: the place of the range by which the actor's epoch is folded; count if it is not. */
static size_t crdt_context_fold_at(const struct crdt_context *c, struct crdt_actor actor)
{
    const struct crdt_dot fold = {.actor = {.node = actor.node}, .counter = actor.epoch};
    size_t at = actor.epoch == CRDT_FOLDED ? c->count : crdt_context_at(c, fold);
    bool folded = at < c->count && crdt_actor_compare(c->ranges[at].actor, fold.actor) == 0 &&
                  c->ranges[at].from <= actor.epoch;
    return folded ? at : c->count;
}

bool crdt_context_folds(const struct crdt_context *c, struct crdt_actor actor)
{
    return crdt_context_fold_at(c, actor) < c->count;
}

size_t crdt_context_place(const struct crdt_context *c, struct crdt_dot dot)
{
    size_t at = crdt_context_fold_at(c, dot.actor);
    return at < c->count ? at : crdt_context_at(c, dot);
}

static bool crdt_context_covers(const struct crdt_context *c, struct crdt_range r)
{
    size_t at = crdt_context_at(c, (struct crdt_dot){.actor = r.actor, .counter = r.from});
    return (at < c->count && crdt_actor_compare(c->ranges[at].actor, r.actor) == 0 &&
            c->ranges[at].from <= r.from && c->ranges[at].to >= r.to) ||
           crdt_context_folds(c, r.actor);
}

/* Few ranges are walked: most contexts have one or two an actor. Ranges are in the order of nodes,
 * and what one node tells of others often has only its own. */
bool crdt_context_has(const struct crdt_context *c, struct crdt_dot dot)
{
    if (c->count == 0 || dot.actor.node < c->ranges[0].actor.node ||
        dot.actor.node > c->ranges[c->count - 1].actor.node) {
        return false;
    }
    if (c->count > CRDT_CONTEXT_SMALL / 2) {
        return crdt_context_covers(c, crdt_range_of(dot));
    }
    for (size_t i = 0; i < c->count; i++) {
        const struct crdt_range *r = &c->ranges[i];
        if (r->actor.node != dot.actor.node) {
            continue;
        }
        if (r->actor.epoch == dot.actor.epoch && r->from <= dot.counter && dot.counter <= r->to) {
            return true;
        }
        if (r->actor.epoch == CRDT_FOLDED && r->from <= dot.actor.epoch &&
            dot.actor.epoch <= r->to && dot.actor.epoch != CRDT_FOLDED) {
            return true;
        }
    }
    return false;
}

uint64_t crdt_context_last(const struct crdt_context *c, struct crdt_actor actor)
{
    if (crdt_context_folds(c, actor)) {
        return UINT64_MAX;
    }
    size_t at = crdt_context_at(c, (struct crdt_dot){.actor = actor, .counter = UINT64_MAX});
    if (at < c->count && crdt_actor_compare(c->ranges[at].actor, actor) == 0) {
        return c->ranges[at].to;
    }
    if (at > 0 && crdt_actor_compare(c->ranges[at - 1].actor, actor) == 0) {
        return c->ranges[at - 1].to;
    }
    return 0;
}

int crdt_context_reserve(struct crdt_context *c, size_t more)
{
    if (more <= c->cap - c->count) {
        return 0;
    }
    size_t cap = NUM_MAX(c->count + more, c->cap * 2);
    cap = NUM_MAX(cap, CRDT_CONTEXT_FIRST);
    struct crdt_range *grown =
        cap > SIZE_MAX / sizeof(*grown) ? NULL : alloc_get(&c->alloc, cap * sizeof(*grown));
    if (grown == NULL) {
        return ERR_NO_MEMORY;
    }
    if (c->count > 0) {
        memcpy(grown, c->ranges, c->count * sizeof(*grown));
    }
    alloc_put(&c->alloc, c->ranges, c->cap * sizeof(*c->ranges));
    c->ranges = grown;
    c->cap = cap;
    return 0;
}

/* Takes away the ranges of epochs that are folded: each node's folds come before them. */
static void crdt_context_settle(struct crdt_context *c)
{
    size_t fold = 0;
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct crdt_range r = c->ranges[i];
        bool first = i == 0 || c->ranges[kept - 1].actor.node != r.actor.node;
        fold = first ? kept : fold;
        while (fold < kept && c->ranges[fold].actor.epoch == CRDT_FOLDED &&
               c->ranges[fold].to < r.actor.epoch) {
            fold++;
        }
        bool folded = r.actor.epoch != CRDT_FOLDED && fold < kept &&
                      c->ranges[fold].actor.epoch == CRDT_FOLDED &&
                      c->ranges[fold].from <= r.actor.epoch;
        if (!folded) {
            c->ranges[kept++] = r;
        }
    }
    c->count = kept;
}

/* What mostly happens: the actor's ranges have it already, or one of them grows at its end. An
 * epoch that has ranges is not folded. at: the first range that ends at r.from - 1 or after it. */
static bool crdt_context_grows(struct crdt_context *c, size_t at, const struct crdt_range *r)
{
    struct crdt_range *own = &c->ranges[at];
    if (at == c->count || r->actor.epoch == CRDT_FOLDED || own->from > r->from ||
        crdt_actor_compare(own->actor, r->actor) != 0) {
        return false;
    }
    if (own->to >= r->to) {
        return true;
    }
    bool alone = at + 1 == c->count || crdt_actor_compare(own[1].actor, r->actor) != 0;
    if (!alone && (r->to == UINT64_MAX || own[1].from <= r->to + 1)) {
        return false;
    }
    own->to = r->to;
    return true;
}

void crdt_context_put(struct crdt_context *c, const struct crdt_range *range)
{
    ASSERT(c->count < c->cap);
    ASSERT(range->from > 0 && range->from <= range->to);
    struct crdt_dot before = {.actor = range->actor, .counter = range->from - 1};
    size_t at = crdt_context_at(c, before);
    if (crdt_context_grows(c, at, range) || crdt_context_folds(c, range->actor)) {
        return;
    }
    struct crdt_range r = *range;
    size_t end = at;
    while (end < c->count && crdt_actor_compare(c->ranges[end].actor, r.actor) == 0 &&
           (r.to == UINT64_MAX || c->ranges[end].from <= r.to + 1)) {
        r.from = NUM_MIN(r.from, c->ranges[end].from);
        r.to = NUM_MAX(r.to, c->ranges[end].to);
        end++;
    }
    memmove(&c->ranges[at + 1], &c->ranges[end], (c->count - end) * sizeof(r));
    c->ranges[at] = r;
    c->count = c->count - (end - at) + 1;
    if (r.actor.epoch == CRDT_FOLDED) {
        crdt_context_settle(c);
    }
}

int crdt_context_add(struct crdt_context *c, const struct crdt_range *range)
{
    TRY(crdt_context_reserve(c, 1));
    crdt_context_put(c, range);
    return 0;
}

int crdt_context_add_dot(struct crdt_context *c, struct crdt_dot dot)
{
    const struct crdt_range one = crdt_range_of(dot);
    return crdt_context_add(c, &one);
}

/* Appends a range that begins at or after the last one. */
static void crdt_context_push(struct crdt_context *c, struct crdt_range r)
{
    struct crdt_range *last = c->count > 0 ? &c->ranges[c->count - 1] : NULL;
    if (last != NULL && crdt_actor_compare(last->actor, r.actor) == 0 &&
        (last->to == UINT64_MAX || r.from <= last->to + 1)) {
        last->to = NUM_MAX(last->to, r.to);
        return;
    }
    c->ranges[c->count++] = r;
}

int crdt_context_union(const struct crdt_context *a, const struct crdt_context *b,
                       struct crdt_context *out)
{
    ASSERT(out->count == 0);
    TRY(crdt_context_reserve(out, a->count + b->count));
    size_t i = 0;
    size_t j = 0;
    while (i < a->count || j < b->count) {
        bool left = j == b->count;
        if (i < a->count && j < b->count) {
            int order = crdt_actor_compare(a->ranges[i].actor, b->ranges[j].actor);
            left = order < 0 || (order == 0 && a->ranges[i].from <= b->ranges[j].from);
        }
        crdt_context_push(out, left ? a->ranges[i++] : b->ranges[j++]);
    }
    crdt_context_settle(out);
    return 0;
}

int crdt_context_join(struct crdt_context *into, const struct crdt_context *from)
{
    if (into->count == 0 && from->count > 0) {
        TRY(crdt_context_reserve(into, from->count));
        memcpy(into->ranges, from->ranges, from->count * sizeof(*from->ranges));
        into->count = from->count;
        return 0;
    }
    if (from->count <= CRDT_CONTEXT_SMALL) {
        TRY(crdt_context_reserve(into, from->count));
        for (size_t i = 0; i < from->count; i++) {
            crdt_context_put(into, &from->ranges[i]);
        }
        return 0;
    }
    struct crdt_context both;
    crdt_context_init(&both, &into->alloc);
    TRY(crdt_context_union(into, from, &both));
    crdt_context_release(into);
    *into = both;
    return 0;
}

bool crdt_context_leq(const struct crdt_context *a, const struct crdt_context *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (!crdt_context_covers(b, a->ranges[i])) {
            return false;
        }
    }
    return true;
}

bool crdt_context_equal(const struct crdt_context *a, const struct crdt_context *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        const struct crdt_range *x = &a->ranges[i];
        const struct crdt_range *y = &b->ranges[i];
        if (crdt_actor_compare(x->actor, y->actor) != 0 || x->from != y->from || x->to != y->to) {
            return false;
        }
    }
    return true;
}

bool crdt_may_join(const struct crdt_context *have, const struct crdt_context *before)
{
    return crdt_context_leq(before, have);
}

bool crdt_context_folded(const struct crdt_context *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->ranges[i].actor.epoch == CRDT_FOLDED) {
            return true;
        }
    }
    return false;
}

/* returns: the place after the ranges of the actor at `at`. */
static size_t crdt_context_actor_end(const struct crdt_context *c, size_t at)
{
    size_t end = at;
    while (end < c->count && crdt_actor_compare(c->ranges[end].actor, c->ranges[at].actor) == 0) {
        end++;
    }
    return end;
}

/* Numbers on their way out, so that few of them cost one append. */
struct crdt_numbers {
    struct buf *out;
    unsigned bytes;
    uint8_t raw[256];
};

/* Makes room for three numbers. */
static int crdt_numbers_room(struct crdt_numbers *n)
{
    if (n->bytes + 3 * CRDT_VARINT_BYTES_MAX > sizeof n->raw) {
        TRY(buf_append(n->out, n->raw, n->bytes));
        n->bytes = 0;
    }
    return 0;
}

static void crdt_numbers_put(struct crdt_numbers *n, uint64_t v)
{
    n->bytes += crdt_varint_write(n->raw + n->bytes, v);
}

int crdt_context_encode(const struct crdt_context *c, struct buf *out)
{
    struct crdt_numbers n;
    uint64_t actors = 0;
    n.out = out;
    n.bytes = 0;
    for (size_t at = 0; at < c->count; at = crdt_context_actor_end(c, at)) {
        actors++;
    }
    crdt_numbers_put(&n, actors);
    for (size_t at = 0; at < c->count;) {
        size_t end = crdt_context_actor_end(c, at);
        const struct crdt_range *r = &c->ranges[at];
        uint64_t least = 1;
        TRY(crdt_numbers_room(&n));
        crdt_numbers_put(&n, r->actor.node);
        crdt_numbers_put(&n, r->actor.epoch);
        crdt_numbers_put(&n, end - at);
        for (; at < end; at++, r++) {
            TRY(crdt_numbers_room(&n));
            crdt_numbers_put(&n, r->from - least);
            crdt_numbers_put(&n, r->to - r->from);
            least = r->to + 2;
        }
    }
    return buf_append(out, n.raw, n.bytes);
}

/* The ranges of one actor. */
static int crdt_context_take_actor(struct crdt_context *c, struct bytes_reader *r,
                                   struct crdt_actor actor, const struct crdt_limits *limits)
{
    uint64_t count = crdt_take_varint(r);
    uint64_t to = 0;
    if (r->failed || count == 0) {
        return ERR_PROTOCOL;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct crdt_range range = {.actor = actor};
        uint64_t least = i == 0 ? 1 : 2;
        if (!num_add_u64(to, least, &range.from) ||
            !num_add_u64(range.from, crdt_take_varint(r), &range.from) ||
            !num_add_u64(range.from, crdt_take_varint(r), &range.to) || r->failed) {
            return ERR_PROTOCOL;
        }
        if (c->count / 4 >= limits->context_ranges_max) { /* joins may pass what operations may */
            return ERR_TOO_LARGE;
        }
        TRY(c->count < c->cap ? 0 : crdt_context_reserve(c, 1));
        c->ranges[c->count++] = range;
        to = range.to;
    }
    return 0;
}

int crdt_context_take(struct crdt_context *c, struct bytes_reader *r,
                      const struct crdt_limits *limits)
{
    uint64_t actors = crdt_take_varint(r);
    struct crdt_actor last = {0};
    bool folded = false; /* some epoch so far */
    uint64_t most =
        NUM_MIN(r->left / CRDT_ACTOR_BYTES_MIN, 4 * (uint64_t)limits->context_ranges_max);
    TRY(crdt_context_reserve(c, (size_t)NUM_MIN(actors, most)));
    for (uint64_t i = 0; i < actors; i++) {
        uint64_t node = crdt_take_varint(r);
        struct crdt_actor actor = {.epoch = crdt_take_varint(r)};
        if (r->failed || node == 0 || node > UINT32_MAX) {
            return ERR_PROTOCOL;
        }
        actor.node = (uint32_t)node;
        folded = folded || actor.epoch == CRDT_FOLDED;
        if ((i > 0 && crdt_actor_compare(last, actor) >= 0) ||
            (folded && crdt_context_folds(c, actor))) {
            return ERR_PROTOCOL;
        }
        TRY(crdt_context_take_actor(c, r, actor, limits));
        last = actor;
    }
    return r->failed ? ERR_PROTOCOL : 0;
}

int crdt_context_decode(struct crdt_context *c, struct bytes v, const struct crdt_limits *limits)
{
    struct crdt_context got;
    struct bytes_reader r = bytes_reader_of(v);
    ASSERT(c->count == 0);
    if (v.size > limits->encoded_bytes_max) {
        return ERR_TOO_LARGE;
    }
    crdt_context_init(&got, &c->alloc);
    int err = crdt_context_take(&got, &r, limits);
    if (err == 0 && !bytes_reader_ended(&r)) {
        err = ERR_PROTOCOL;
    }
    if (err != 0) {
        crdt_context_release(&got);
        return err;
    }
    crdt_context_release(c);
    *c = got;
    return 0;
}
