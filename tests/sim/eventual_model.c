/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What each read had to be. When a run is over the dot of every update that was answered is known.
 * A read's answer says which dots it had seen, so a counter is the sum of the updates among them,
 * to the last one; an update whose end is unknown may be in it or not, unless every dot that was
 * seen has its update. Reads that had seen the same must be the same, at whatever node.
 */
#include "base/num.h"
#include "tests/sim/eventual.h"

#include <stdlib.h>
#include <string.h>

#define SIM_CRDT_CHECK "ev-model"

struct sim_crdt_look { /* one read and the updates of its key */
    struct sim *s;
    const struct sim_crdt_read *r;
    const struct sim_crdt_op **ops;
    uint32_t count;
    bool exact; /* every dot that was seen has its update */
};

static bool sim_crdt_in(const struct sim_crdt_read *r, const struct sim_crdt_op *op)
{
    return op->end == SIM_CRDT_DONE && op->changed && crdt_context_has(&r->seen, op->dot);
}

/* Whether the answer may tell of more than it had seen: its token names that too. */
static bool sim_crdt_ahead(const struct sim_crdt_read *r)
{
    return !crdt_context_leq(&r->told, &r->seen);
}

static bool sim_crdt_may(const struct sim_crdt_look *l, const struct sim_crdt_op *op)
{
    bool ahead = op->end == SIM_CRDT_DONE && op->changed &&
                 !crdt_context_has(&l->r->seen, op->dot) && crdt_context_has(&l->r->told, op->dot);
    return ahead || (!l->exact && op->end == SIM_CRDT_UNKNOWN);
}

/* Whether p was surely applied where o was seen. */
static bool sim_crdt_after(const struct sim_crdt_op *p, const struct sim_crdt_op *o)
{
    bool same = crdt_actor_compare(p->dot.actor, o->dot.actor) == 0;
    return (same && p->dot.counter > o->dot.counter) || crdt_context_has(&p->dep, o->dot);
}

/* Whether p was surely applied where o was not seen; o was answered. */
static bool sim_crdt_unseen_by(const struct sim_crdt_op *p, const struct sim_crdt_op *o)
{
    bool same = p->end == SIM_CRDT_DONE && crdt_actor_compare(p->dot.actor, o->dot.actor) == 0;
    return p->ended_us < o->begun_us || (same && p->dot.counter < o->dot.counter) ||
           (p->end == SIM_CRDT_DONE && crdt_context_has(&o->dep, p->dot));
}

static void sim_crdt_wrong(const struct sim_crdt_look *l, const char *what, uint64_t is,
                           uint64_t wanted)
{
    const struct sim_crdt_read *r = l->r;
    sim_fail(l->s, SIM_CRDT_CHECK,
             "%s read %u (mode %d item %u after %u limit %u next %u count %u) from node %u at %llu "
             "us: %s: %lld, not %lld",
             sim_crdt_keys[r->key].name, (unsigned)(r - l->s->eventual->reads), (int)r->mode,
             r->item, r->after, r->limit, r->next, r->count, r->node,
             (unsigned long long)r->ended_us, what, (long long)is, (long long)wanted);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void sim_crdt_check_sum(const struct sim_crdt_look *l)
{
    int64_t is = (int64_t)l->r->got[0];
    int64_t least = 0;
    int64_t most = 0;
    bool created = false;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct sim_crdt_op *op = l->ops[i];
        int64_t amount = op->verb == WIRE_CRDT_TRANSFER ? 0 : op->amount;
        bool again = op->verb == WIRE_CRDT_CREATE && created; /* a grant counts once */
        bool in = sim_crdt_in(l->r, op);
        created = created || (in && op->verb == WIRE_CRDT_CREATE);
        if (in && !again) {
            least += amount;
            most += amount;
        } else if (sim_crdt_may(l, op)) {
            least += NUM_MIN(amount, 0);
            most += NUM_MAX(amount, 0);
        }
    }
    if (is < least || is > most) {
        sim_crdt_wrong(l, is < least ? "the sum is too small" : "the sum is too great",
                       (uint64_t)is, (uint64_t)(is < least ? least : most));
    }
    if (sim_crdt_keys[l->r->key].what == SIM_CRDT_BOUND && is < 0) {
        sim_crdt_wrong(l, "below its bound", (uint64_t)is, 0); /* scenario C30 */
    }
}

/* A removal takes what it had seen: at least what its token named and what its node did before, and
 * nothing that was begun after its end (scenarios C20, C21). */
static void sim_crdt_check_field(const struct sim_crdt_look *l)
{
    int64_t is = (int64_t)l->r->got[0];
    int64_t least = 0;
    int64_t most = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct sim_crdt_op *add = l->ops[i];
        bool in = sim_crdt_in(l->r, add);
        bool gone = false;
        bool stays = in;
        for (uint32_t j = 0; j < l->count && add->verb == WIRE_CRDT_ADD; j++) {
            const struct sim_crdt_op *q = l->ops[j];
            bool removal = q->verb == WIRE_CRDT_REMOVE && q->end != SIM_CRDT_FAILED;
            gone = gone || (in && removal && sim_crdt_in(l->r, q) && sim_crdt_after(q, add));
            stays = stays && !(removal && (sim_crdt_in(l->r, q) || sim_crdt_may(l, q)) &&
                               !sim_crdt_unseen_by(q, add));
        }
        least += stays ? add->amount : 0;
        most += (in && !gone) || sim_crdt_may(l, add) ? add->amount : 0;
    }
    if (is < least || is > most) {
        sim_crdt_wrong(l, is < least ? "the field is too small" : "the field is too great",
                       (uint64_t)is, (uint64_t)(is < least ? least : most));
    }
}

/* Whether the read's client was answered before, and names what that answer had seen: then the
 * update had been in force, though it changed nothing. */
static bool sim_crdt_own(const struct sim_crdt_look *l, const struct sim_crdt_op *op)
{
    bool here = op->changed || op->sessions; /* else another node may have done nothing for it */
    return op->end == SIM_CRDT_DONE && here && op->client == l->r->client &&
           op->life == l->r->life && l->r->token && op->ended_us <= l->r->begun_us;
}

/* MAX and MIN: one of what was written, not passed by any that was seen, nor by what the client
 * itself was answered before and still names, though it changed nothing. */
static void sim_crdt_check_extreme(const struct sim_crdt_look *l)
{
    bool max = sim_crdt_keys[l->r->key].what == SIM_CRDT_MOST;
    bool none = l->r->got[0] == SIM_CRDT_NOTHING;
    int64_t is = (int64_t)l->r->got[0];
    bool written = none;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct sim_crdt_op *op = l->ops[i];
        bool own = sim_crdt_own(l, op);
        bool passed = none || (max ? op->amount > is : op->amount < is);
        written = written || (op->amount == is && (sim_crdt_in(l->r, op) || sim_crdt_may(l, op)));
        if ((own || sim_crdt_in(l->r, op)) && passed) {
            sim_crdt_wrong(l, own ? "passed by an own write" : "passed by a write it had seen",
                           (uint64_t)is, (uint64_t)op->amount);
        }
    }
    if (!written) {
        sim_crdt_wrong(l, "never written", (uint64_t)is, 0);
    }
}

static void sim_crdt_check_about(const struct sim_crdt_look *l)
{
    uint64_t is = l->r->got[0];
    uint64_t least = 0;
    uint64_t most = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        least += sim_crdt_in(l->r, l->ops[i]);
        most += l->ops[i]->end != SIM_CRDT_FAILED;
    }
    if (is + 2 + least / 20 < least || is > most + 2 + most / 20) {
        sim_crdt_wrong(l, "far from the elements added", is, is > most ? most : least);
    }
}

/* ---- registers ------------------------------------------------------------------------------- */

static const struct sim_crdt_op *sim_crdt_writer(const struct sim_crdt_look *l, uint64_t item)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->ops[i]->item == item) {
            return l->ops[i];
        }
    }
    return NULL;
}

/* A value that is there was written, was seen, and nothing seen was written over it (scenario C12:
 * that is so whatever the clocks say). */
static void sim_crdt_check_value(const struct sim_crdt_look *l, uint64_t value)
{
    const struct sim_crdt_op *o = sim_crdt_writer(l, value);
    if (o == NULL || (!sim_crdt_in(l->r, o) && !sim_crdt_may(l, o))) {
        sim_crdt_wrong(l, "a value that was not seen", value, 0);
        return;
    }
    for (uint32_t i = 0; o->end == SIM_CRDT_DONE && i < l->count; i++) {
        const struct sim_crdt_op *p = l->ops[i];
        if (p != o && sim_crdt_in(l->r, p) && sim_crdt_after(p, o)) {
            sim_crdt_wrong(l, "a value that was written over", value, p->item);
            return;
        }
    }
}

static void sim_crdt_check_last(const struct sim_crdt_look *l)
{
    if (l->r->got[0] != SIM_CRDT_NOTHING) {
        sim_crdt_check_value(l, l->r->got[0]);
        return;
    }
    for (uint32_t i = 0; i < l->count; i++) {
        if (sim_crdt_in(l->r, l->ops[i])) {
            sim_crdt_wrong(l, "no value", 0, l->ops[i]->item);
        }
    }
}

static bool sim_crdt_got(const struct sim_crdt_read *r, uint64_t value)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->got[i] == value) {
            return true;
        }
    }
    return false;
}

/* What nobody can have written over is there. */
static void sim_crdt_check_many(const struct sim_crdt_look *l)
{
    for (uint32_t i = 0; i < l->r->count; i++) {
        sim_crdt_check_value(l, l->r->got[i]);
    }
    for (uint32_t i = 0; i < l->count; i++) {
        const struct sim_crdt_op *o = l->ops[i];
        bool stays = sim_crdt_in(l->r, o);
        for (uint32_t j = 0; stays && j < l->count; j++) {
            const struct sim_crdt_op *p = l->ops[j];
            bool meets = p != o && (sim_crdt_in(l->r, p) || sim_crdt_may(l, p));
            stays = !meets || sim_crdt_unseen_by(p, o);
        }
        if (stays && !sim_crdt_got(l->r, o->item)) {
            sim_crdt_wrong(l, "a value is lost", 0, o->item);
        }
    }
}

/* ---- sets and maps --------------------------------------------------------------------------- */

/* Whether the read's answer speaks of the item. */
static bool sim_crdt_asked(const struct sim_crdt_read *r, uint32_t item)
{
    if (r->mode != SIM_CRDT_MEMBERS) {
        return item == r->item;
    }
    return item > r->after && (r->next == 0 || item <= r->next);
}

/* What it says: 0 not there, else 1, or the value of a register. */
static uint64_t sim_crdt_said(const struct sim_crdt_read *r, uint32_t item)
{
    bool field = sim_crdt_keys[r->key].field;
    if (r->mode != SIM_CRDT_MEMBERS) {
        return r->got[0] == SIM_CRDT_NOTHING ? 0 : r->got[0];
    }
    for (uint32_t i = 0; i < r->count; i++) {
        if (field && r->got[i] >> 32 == item) {
            return r->got[i] & UINT32_MAX;
        }
        if (!field && r->got[i] == item) {
            return 1;
        }
    }
    return 0;
}

/* An element is there until a removal is seen; one that is removed was added once. Where it is
 * added again it must stay, also where that changed nothing: unless what it met was lost. */
static void sim_crdt_check_element(const struct sim_crdt_look *l, const struct sim_crdt_op *add)
{
    bool removed = false;
    bool added = false;
    bool maybe = false;
    bool unsure = false;
    bool own = false;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct sim_crdt_op *q = l->ops[i];
        if (q->item != add->item) {
            continue;
        }
        bool adds = q->verb == WIRE_CRDT_ADD;
        removed = removed || (!adds && sim_crdt_in(l->r, q));
        added = added || (adds && sim_crdt_in(l->r, q));
        maybe = maybe || sim_crdt_may(l, q);
        unsure = unsure || (adds && q->end == SIM_CRDT_UNKNOWN);
        own = own || (q->again && sim_crdt_own(l, q));
    }
    added = added || (own && !unsure);
    bool there = sim_crdt_said(l->r, add->item) != 0;
    if (there && (removed || (!added && !maybe))) {
        sim_crdt_wrong(l, removed ? "an element is back" : "an element that was not seen",
                       add->item, 0);
    } else if (!there && added && !removed && !maybe) {
        sim_crdt_wrong(l, "an element is lost", 0, add->item);
    }
}

static void sim_crdt_check_set(const struct sim_crdt_look *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->ops[i]->verb == WIRE_CRDT_ADD && sim_crdt_asked(l->r, l->ops[i]->item)) {
            sim_crdt_check_element(l, l->ops[i]);
        }
    }
    for (uint32_t i = 0; l->r->mode == SIM_CRDT_MEMBERS && i < l->r->count; i++) {
        if (sim_crdt_writer(l, l->r->got[i]) == NULL) {
            sim_crdt_wrong(l, "an element that nobody added", l->r->got[i], 0);
        }
    }
}

/* One client changes an item, each time after its last change: it is what the last one seen says,
 * and all before that were seen. */
static void sim_crdt_check_item(const struct sim_crdt_look *l, uint32_t from)
{
    const struct sim_crdt_op *first = l->ops[from];
    bool flag = sim_crdt_keys[l->r->key].type == WIRE_CRDT_EW_FLAG ||
                sim_crdt_keys[l->r->key].type == WIRE_CRDT_DW_FLAG;
    bool set = !sim_crdt_keys[l->r->key].field;
    uint64_t wanted = 0;
    bool gap = false;
    for (uint32_t i = from; i < l->count; i++) {
        const struct sim_crdt_op *op = l->ops[i];
        if (op->item != first->item || op->end == SIM_CRDT_FAILED) {
            continue;
        }
        if (op->end != SIM_CRDT_DONE) {
            return; /* anything from here on; its client leaves the item alone */
        }
        bool in = sim_crdt_in(l->r, op);
        if (in && gap) {
            sim_crdt_wrong(l, "seen without what came before", op->dot.counter, 0);
            return;
        }
        gap = gap || !in;
        wanted = !in ? wanted : op->off ? 0 : flag || set ? 1 : op->value;
    }
    uint64_t is = sim_crdt_said(l->r, first->item);
    if (is != wanted) {
        sim_crdt_wrong(l, is == 0 ? "an item is lost" : "an item is not what it was", is, wanted);
    }
}

static void sim_crdt_check_chains(const struct sim_crdt_look *l)
{
    if (sim_crdt_ahead(l->r)) {
        return; /* one item is told of, and what came before it perhaps not */
    }
    for (uint32_t i = 0; i < l->count; i++) {
        bool first = true;
        for (uint32_t j = 0; first && j < i; j++) {
            first = l->ops[j]->item != l->ops[i]->item;
        }
        if (first && sim_crdt_asked(l->r, l->ops[i]->item)) {
            sim_crdt_check_item(l, i);
        }
    }
}

/* ---- all reads ------------------------------------------------------------------------------- */

/* What was seen respects causality: with an update, all that its client had seen before it. */
static void sim_crdt_check_causal(const struct sim_crdt_look *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        const struct sim_crdt_op *op = l->ops[i];
        if (sim_crdt_in(l->r, op) && !crdt_context_leq(&op->dep, &l->r->seen)) {
            sim_crdt_wrong(l, "an update is seen without what its client had seen before it",
                           op->dot.actor.node, op->dot.counter);
            return;
        }
    }
}

static void sim_crdt_check_read(struct sim_crdt_look *l)
{
    sim_crdt_check_causal(l);
    switch (sim_crdt_keys[l->r->key].what) {
    case SIM_CRDT_SUM:
    case SIM_CRDT_BOUND: sim_crdt_check_sum(l); break;
    case SIM_CRDT_FIELD: sim_crdt_check_field(l); break;
    case SIM_CRDT_SET: sim_crdt_check_set(l); break;
    case SIM_CRDT_CHAIN: sim_crdt_check_chains(l); break;
    case SIM_CRDT_LAST: sim_crdt_check_last(l); break;
    case SIM_CRDT_MANY: sim_crdt_check_many(l); break;
    case SIM_CRDT_MOST:
    case SIM_CRDT_LEAST: sim_crdt_check_extreme(l); break;
    case SIM_CRDT_ABOUT: sim_crdt_check_about(l); break;
    }
}

/* Whether every dot of the region that a read had seen is that of an update that was answered. */
static bool sim_crdt_exact(const struct sim_eventual *e, const struct sim_crdt_read *r)
{
    uint64_t dots = 0;
    for (size_t i = 0; i < r->seen.count; i++) {
        dots += r->seen.ranges[i].to - r->seen.ranges[i].from + 1;
    }
    for (uint32_t i = 0; i < e->ops_count; i++) {
        dots -= e->region[e->ops[i].key] == e->region[r->key] && sim_crdt_in(r, &e->ops[i]);
    }
    return dots == 0;
}

static bool sim_crdt_same_question(const struct sim_crdt_read *a, const struct sim_crdt_read *b)
{
    return a->key == b->key && a->mode == b->mode && a->item == b->item && a->after == b->after &&
           a->limit == b->limit;
}

/* How many of a page's items come up to the item last. */
static uint32_t sim_crdt_until(const struct sim_crdt_read *r, uint32_t last)
{
    uint32_t count = 0;
    while (count < r->count &&
           (sim_crdt_keys[r->key].field ? r->got[count] >> 32 : r->got[count]) <= last) {
        count++;
    }
    return count;
}

/* A page may end before its limit, where removals that are still kept were passed over: what both
 * speak of is compared. */
static bool sim_crdt_same_answer(const struct sim_crdt_read *a, const struct sim_crdt_read *b)
{
    uint32_t counts[2] = {a->count, b->count};
    if (a->mode == SIM_CRDT_MEMBERS) {
        uint32_t last =
            NUM_MIN(a->next == 0 ? UINT32_MAX : a->next, b->next == 0 ? UINT32_MAX : b->next);
        counts[0] = sim_crdt_until(a, last);
        counts[1] = sim_crdt_until(b, last);
    }
    return counts[0] == counts[1] && memcmp(a->got, b->got, counts[0] * sizeof(*a->got)) == 0;
}

/* Who had seen the same says the same. */
static void sim_crdt_check_same(struct sim *s, uint32_t at)
{
    const struct sim_crdt_read *a = &s->eventual->reads[at];
    for (uint32_t i = 0; i < at && !sim_crdt_ahead(a); i++) {
        const struct sim_crdt_read *b = &s->eventual->reads[i];
        if (!b->done || !sim_crdt_same_question(a, b) || !crdt_context_equal(&a->seen, &b->seen) ||
            sim_crdt_ahead(b)) {
            continue;
        }
        if (!sim_crdt_same_answer(a, b)) {
            sim_fail(s, SIM_CRDT_CHECK,
                     "%s read from node %u at %llu us and from node %u at %llu us differ, with "
                     "equal clocks",
                     sim_crdt_keys[a->key].name, a->node, (unsigned long long)a->ended_us, b->node,
                     (unsigned long long)b->ended_us);
        }
        return;
    }
}

static int sim_crdt_by_dot(const void *a, const void *b)
{
    const struct sim_crdt_op *x = *(const struct sim_crdt_op *const *)a;
    const struct sim_crdt_op *y = *(const struct sim_crdt_op *const *)b;
    return crdt_dot_compare(x->dot, y->dot);
}

/* No dot of a region names two updates. */
static void sim_crdt_check_dots(struct sim *s, uint8_t region, const struct sim_crdt_op **ops)
{
    struct sim_eventual *e = s->eventual;
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->ops_count; i++) {
        const struct sim_crdt_op *op = &e->ops[i];
        if (op->end == SIM_CRDT_DONE && op->changed && e->region[op->key] == region) {
            ops[count++] = op;
        }
    }
    qsort(ops, count, sizeof(*ops), sim_crdt_by_dot);
    for (uint32_t i = 1; i < count; i++) {
        if (crdt_dot_compare(ops[i - 1]->dot, ops[i]->dot) == 0) {
            sim_fail(s, "ev-dot", "node %u gave dot %llu of epoch %llu to two updates",
                     ops[i]->dot.actor.node, (unsigned long long)ops[i]->dot.counter,
                     (unsigned long long)ops[i]->dot.actor.epoch);
        }
    }
}

/* returns: whether its client's update of the same item before it is known to have been done: one
 * that was acknowledged by a node whose log rotted may be gone. */
static bool sim_crdt_follows_done(const struct sim *s, const struct sim_crdt_op *op)
{
    for (const struct sim_crdt_op *q = op; q > s->eventual->ops;) {
        q--;
        if (q->client == op->client && q->key == op->key && q->item == op->item &&
            q->end != SIM_CRDT_FAILED) {
            return q->end == SIM_CRDT_DONE;
        }
    }
    return false;
}

/* What one client changes alone is changed by each of its updates. */
static void sim_crdt_check_changed(struct sim *s, const struct sim_crdt_op *op)
{
    const struct sim_crdt_key *k = &sim_crdt_keys[op->key];
    bool undoes = op->verb == WIRE_CRDT_REMOVE || op->verb == WIRE_CRDT_DISABLE;
    bool no_op = k->what == SIM_CRDT_MOST || k->what == SIM_CRDT_LEAST ||
                 k->what == SIM_CRDT_ABOUT || undoes || op->again || op->verb == WIRE_CRDT_CREATE;
    bool chained = k->what == SIM_CRDT_CHAIN && undoes && sim_crdt_follows_done(s, op);
    if (op->end == SIM_CRDT_DONE && !op->changed && (!no_op || chained)) {
        sim_fail(s, SIM_CRDT_CHECK, "an update of %s by client %u changed nothing", k->name,
                 op->client);
    }
}

void sim_crdt_model_check(struct sim *s)
{
    struct sim_eventual *e = s->eventual;
    const struct sim_crdt_op **ops = calloc(e->ops_count + 1u, sizeof(const struct sim_crdt_op *));
    ASSERT(ops != NULL);
    for (uint32_t i = 0; i < e->reads_count; i++) {
        sim_crdt_unfold(e, e->region[e->reads[i].key], &e->reads[i].seen);
        sim_crdt_unfold(e, e->region[e->reads[i].key], &e->reads[i].told);
    }
    for (uint32_t i = 0; i < e->ops_count; i++) {
        sim_crdt_unfold(e, e->region[e->ops[i].key], &e->ops[i].dep);
        sim_crdt_unname(s, e->region[e->ops[i].key], &e->ops[i].dep);
        bool gone = sim_crdt_state_gone(s, &e->ops[i]);
        e->ops[i].end = gone ? SIM_CRDT_UNKNOWN : e->ops[i].end;
    }
    for (uint32_t i = 0; i < e->ops_count; i++) {
        sim_crdt_check_changed(s, &e->ops[i]);
    }
    for (unsigned i = 0; i < e->regions_count; i++) {
        sim_crdt_check_dots(s, e->regions[i], ops);
    }
    for (uint32_t i = 0; i < e->reads_count && !s->failed; i++) {
        struct sim_crdt_look look = {.s = s, .r = &e->reads[i], .ops = ops};
        if (!e->reads[i].done) {
            continue;
        }
        for (uint32_t j = 0; j < e->ops_count; j++) {
            if (e->ops[j].key == e->reads[i].key) {
                ops[look.count++] = &e->ops[j];
            }
        }
        look.exact = sim_crdt_exact(e, look.r);
        sim_crdt_check_read(&look);
        sim_crdt_check_same(s, i);
    }
    free(ops);
}
