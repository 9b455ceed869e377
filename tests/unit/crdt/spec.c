/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What each type means: its value as a function of a set of operations and of which of them had
 * happened before which. Written from the header's words, without the kernel.
 */
#include "tests/unit/crdt/world.h"

#include "base/num.h"

#define BIT(i) (UINT64_C(1) << (i))

static void say(struct world_view *out, int64_t v)
{
    ASSERT(out->count < WORLD_VIEW_MAX);
    out->v[out->count++] = v;
}

static void spec_op(const struct world *w, unsigned i, struct crdt_op *op)
{
    *op = (struct crdt_op){0};
    world_letter(w, &w->ops[i], op);
}

static bool on(const struct world *w, uint64_t known, unsigned i, unsigned leaf)
{
    return (known & BIT(i)) != 0 && w->ops[i].leaf == leaf;
}

/* Whether a removal of a field around the leaf, among the known, had seen operation i. */
static bool was_reset(const struct world *w, uint64_t known, unsigned i, unsigned leaf)
{
    for (unsigned r = 0; r < w->count; r++) {
        if ((known & BIT(r)) != 0 && w->ops[r].leaf == WORLD_NOT_A_LEAF &&
            (w->ops[r].covers & BIT(leaf)) != 0 && (w->ops[r].past & BIT(i)) != 0) {
            return true;
        }
    }
    return false;
}

static bool stands(const struct world *w, uint64_t known, unsigned i, unsigned leaf)
{
    return on(w, known, i, leaf) && !was_reset(w, known, i, leaf);
}

static bool same_value(const struct crdt_op *a, const struct crdt_op *b)
{
    return bytes_equal(a->value, b->value);
}

/* Whether a later known operation at the leaf, about the same element, had seen i. */
static bool was_followed(const struct world *w, uint64_t known, unsigned i, unsigned leaf,
                         enum crdt_verb only)
{
    struct crdt_op mine;
    spec_op(w, i, &mine);
    bool per_element = mine.verb == CRDT_ADD || mine.verb == CRDT_REMOVE;
    for (unsigned j = 0; j < w->count; j++) {
        struct crdt_op other;
        if (!on(w, known, j, leaf) || (w->ops[j].past & BIT(i)) == 0) {
            continue;
        }
        spec_op(w, j, &other);
        if ((!per_element || same_value(&mine, &other)) && (only == 0 || other.verb == only)) {
            return true;
        }
    }
    return false;
}

static int64_t spec_sum(const struct world *w, uint64_t known, unsigned leaf)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < w->count; i++) {
        struct crdt_op op;
        spec_op(w, i, &op);
        sum += stands(w, known, i, leaf) ? op.amount : 0;
    }
    return sum;
}

/* Counters with one total an actor: an actor's total goes on from what it had, unless that was
 * removed before its eyes; all of it counts as long as its last addition stands. */
static int64_t spec_totals(const struct world *w, uint64_t known, unsigned leaf)
{
    int64_t sum = 0;
    for (unsigned r = 0; r < w->replicas * world_lives(&w->shape); r++) {
        struct crdt_actor actor = world_life(r % w->replicas, r / w->replicas);
        int64_t total = 0;
        bool there = false;
        unsigned last = 0;
        for (unsigned i = 0; i < w->count; i++) {
            struct crdt_op op;
            if (!on(w, known, i, leaf) || crdt_actor_compare(w->ops[i].dot.actor, actor) != 0) {
                continue;
            }
            if (there && was_reset(w, w->ops[i].past, last, leaf)) {
                total = 0;
            }
            spec_op(w, i, &op);
            total += op.amount;
            there = true;
            last = i;
        }
        sum += there && !was_reset(w, known, last, leaf) ? total : 0;
    }
    return sum;
}

static bool spec_extreme(const struct world *w, uint64_t known, unsigned leaf, int64_t *value)
{
    bool most = world_leaf_type(&w->shape, leaf) == CRDT_MAX;
    bool any = false;
    for (unsigned i = 0; i < w->count; i++) {
        struct crdt_op op;
        spec_op(w, i, &op);
        if (stands(w, known, i, leaf) &&
            (!any || (most ? op.amount > *value : op.amount < *value))) {
            *value = op.amount;
            any = true;
        }
    }
    return any;
}

/* Add wins: an addition stands that no removal had seen. Remove wins: of the operations that none
 * had followed, there is one and all are additions. */
static bool spec_wins(const struct world *w, uint64_t known, unsigned leaf, struct bytes element,
                      bool removal_wins)
{
    bool some = false;
    for (unsigned i = 0; i < w->count; i++) {
        struct crdt_op op;
        if (!stands(w, known, i, leaf)) {
            continue;
        }
        spec_op(w, i, &op);
        if (!bytes_equal(op.value, element)) {
            continue;
        }
        bool yes = op.verb == CRDT_ADD || op.verb == CRDT_ENABLE;
        enum crdt_verb no = op.verb == CRDT_ADD ? CRDT_REMOVE : CRDT_DISABLE;
        if (!removal_wins && yes && !was_followed(w, known, i, leaf, no)) {
            return true;
        }
        if (removal_wins && !was_followed(w, known, i, leaf, 0)) {
            if (!yes) {
                return false;
            }
            some = true;
        }
    }
    return some;
}

static const char *const spec_elements[WORLD_ELEMENTS] = {"x", "y", "z"};

static void spec_set(const struct world *w, uint64_t known, unsigned leaf, struct world_view *out)
{
    bool removal_wins = world_leaf_type(&w->shape, leaf) == CRDT_RW_SET;
    for (unsigned i = 0; i < WORLD_ELEMENTS; i++) {
        say(out, spec_wins(w, known, leaf, bytes_of_text(spec_elements[i]), removal_wins));
    }
}

static int64_t spec_distinct(const struct world *w, uint64_t known, unsigned leaf)
{
    int64_t count = 0;
    for (unsigned i = 0; i < WORLD_ELEMENTS; i++) {
        count += spec_wins(w, known, leaf, bytes_of_text(spec_elements[i]), false);
    }
    return count;
}

static void spec_mv(const struct world *w, uint64_t known, unsigned leaf, struct world_view *out)
{
    int64_t seen[256] = {0};
    for (unsigned i = 0; i < w->count; i++) {
        struct crdt_op op;
        spec_op(w, i, &op);
        if (stands(w, known, i, leaf) && !was_followed(w, known, i, leaf, 0)) {
            seen[op.value.data[0]]++;
        }
    }
    for (unsigned i = 0; i < 256; i++) {
        for (; seen[i] > 0; seen[i]--) {
            say(out, i);
        }
    }
}

/* Writes that nobody had overwritten, newest first. In this world no two of one actor share a
 * time, so that the hash never decides. */
static unsigned spec_writes(const struct world *w, uint64_t known, unsigned leaf,
                            unsigned order[WORLD_OPS_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < w->count; i++) {
        bool over = !stands(w, known, i, leaf);
        for (unsigned j = 0; j < w->count; j++) {
            over = over || (on(w, known, j, leaf) && (w->ops[j].overwrote & BIT(i)) != 0);
        }
        if (over) {
            continue;
        }
        unsigned at = count++;
        for (; at > 0; at--) {
            const struct world_op *o = &w->ops[order[at - 1]];
            if (o->time_us > w->ops[i].time_us ||
                (o->time_us == w->ops[i].time_us && o->replica > w->ops[i].replica)) {
                break;
            }
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    return count;
}

void spec_lww(const struct world *w, struct world_op *o, uint64_t given_us)
{
    unsigned order[WORLD_OPS_MAX];
    unsigned count = spec_writes(w, o->past, o->leaf, order);
    o->time_us = given_us;
    o->overwrote = 0;
    if (count > 0 && w->ops[order[0]].time_us >= given_us) {
        o->time_us = w->ops[order[0]].time_us + 1;
    }
    for (unsigned i = 0; i < count; i++) {
        bool old = o->time_us - w->ops[order[i]].time_us >= CRDT_LOSERS_US;
        if (i == 0 || i > CRDT_LOSERS_MAX || old) {
            o->overwrote |= BIT(order[i]);
        }
    }
}

static void spec_lww_read(const struct world *w, uint64_t known, unsigned leaf,
                          struct world_view *out)
{
    unsigned order[WORLD_OPS_MAX];
    unsigned count = spec_writes(w, known, leaf, order);
    for (unsigned i = 0; i < count && i <= CRDT_LOSERS_MAX; i++) {
        const struct world_op *o = &w->ops[order[i]];
        struct crdt_op op;
        if (w->ops[order[0]].time_us - o->time_us < CRDT_LOSERS_US) {
            spec_op(w, order[i], &op);
            say(out, (int64_t)o->time_us);
            say(out, op.value.data[0]);
        }
    }
}

int64_t spec_rights(const struct world *w, uint64_t known, unsigned leaf, struct crdt_actor actor)
{
    int64_t sum = 0;
    bool granted = false;
    for (unsigned i = 0; i < w->count; i++) {
        struct crdt_op op;
        if (!on(w, known, i, leaf)) {
            continue;
        }
        spec_op(w, i, &op);
        bool mine = crdt_actor_compare(w->ops[i].dot.actor, actor) == 0;
        bool gets = crdt_actor_compare(op.to, actor) == 0;
        if (op.verb == CRDT_ADD && mine) {
            sum += op.amount;
        } else if (op.verb == CRDT_TRANSFER) {
            sum += (gets ? op.amount : 0) - (mine ? op.amount : 0);
        } else if (op.verb == CRDT_GRANT && gets && !granted) {
            sum += op.amount;
            granted = true;
        } else if (op.verb == CRDT_FENCE) {
            sum += (mine ? w->ops[i].took : 0) - (gets ? w->ops[i].took : 0);
        }
    }
    return sum;
}

bool spec_fenced(const struct world *w, uint64_t known, unsigned leaf, struct crdt_actor actor,
                 struct crdt_actor *by)
{
    for (unsigned i = 0; i < w->count; i++) {
        struct crdt_op op;
        spec_op(w, i, &op);
        if (on(w, known, i, leaf) && op.verb == CRDT_FENCE &&
            crdt_actor_compare(op.to, actor) == 0) {
            *by = w->ops[i].dot.actor;
            return true;
        }
    }
    return false;
}

/* Whether all that the actor ever made, up to its last dot, has been seen. */
static bool spec_all_seen(const struct world *w, uint64_t known, struct crdt_actor actor,
                          uint64_t last)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (crdt_actor_compare(w->ops[i].dot.actor, actor) == 0 && w->ops[i].dot.counter <= last &&
            (known & BIT(i)) == 0) {
            return false;
        }
    }
    return true;
}

static void spec_bounded(const struct world *w, uint64_t known, unsigned leaf,
                         struct world_view *out)
{
    int64_t sum = 0;
    for (unsigned r = 0; r < w->replicas * world_lives(&w->shape); r++) {
        struct crdt_actor actor = world_life(r % w->replicas, r / w->replicas);
        int64_t rights = spec_rights(w, known, leaf, actor);
        say(out, rights);
        sum += rights;
    }
    ASSERT(sum >= 0);
    say(out, sum);
}

void spec_read(const struct world *w, uint64_t known, struct world_view *out)
{
    out->count = 0;
    for (unsigned leaf = 0; leaf < (w->shape.nested ? WORLD_LEAVES : 1); leaf++) {
        int64_t value = 0;
        say(out, -1000 - (int64_t)leaf);
        switch (world_leaf_type(&w->shape, leaf)) {
        case CRDT_G_COUNTER:
        case CRDT_PN_COUNTER: say(out, spec_totals(w, known, leaf)); break;
        case CRDT_COUNTER: say(out, spec_sum(w, known, leaf)); break;
        case CRDT_LWW: spec_lww_read(w, known, leaf, out); break;
        case CRDT_MV: spec_mv(w, known, leaf, out); break;
        case CRDT_EW_FLAG: say(out, spec_wins(w, known, leaf, (struct bytes){0}, false)); break;
        case CRDT_DW_FLAG: say(out, spec_wins(w, known, leaf, (struct bytes){0}, true)); break;
        case CRDT_AW_SET:
        case CRDT_RW_SET:
        case CRDT_G_SET: spec_set(w, known, leaf, out); break;
        case CRDT_HLL: say(out, spec_distinct(w, known, leaf)); break;
        case CRDT_BOUNDED: spec_bounded(w, known, leaf, out); break;
        default:
            say(out, spec_extreme(w, known, leaf, &value));
            say(out, value);
            break;
        }
    }
}

bool spec_present(const struct world *w, uint64_t known, unsigned leaf)
{
    uint8_t type = world_leaf_type(&w->shape, leaf);
    struct world_view members = {0};
    int64_t some = 0;
    if (type == CRDT_EW_FLAG) {
        return spec_wins(w, known, leaf, (struct bytes){0}, false);
    }
    if (type == CRDT_AW_SET) {
        spec_set(w, known, leaf, &members);
        for (unsigned i = 0; i < members.count; i++) {
            some += members.v[i];
        }
        return some > 0;
    }
    for (unsigned i = 0; i < w->count; i++) {
        if (stands(w, known, i, leaf)) {
            return true;
        }
    }
    return false;
}

static bool spec_granted(const struct world *w, uint64_t known, unsigned leaf)
{
    for (unsigned i = 0; i < w->count; i++) {
        struct crdt_op op;
        spec_op(w, i, &op);
        if (on(w, known, i, leaf) && op.verb == CRDT_GRANT) {
            return true;
        }
    }
    return false;
}

int spec_bounded_expect(const struct world *w, const struct world_op *o, const struct crdt_op *op)
{
    struct crdt_actor by;
    bool granted = op->verb == CRDT_GRANT && spec_granted(w, o->past, o->leaf);
    bool fenced = op->verb != CRDT_ADD && spec_fenced(w, o->past, o->leaf, op->to, &by);
    bool spends = op->verb == CRDT_TRANSFER || (op->verb == CRDT_ADD && op->amount < 0);
    if ((op->verb == CRDT_TRANSFER || op->verb == CRDT_FENCE) &&
        crdt_actor_compare(op->to, o->dot.actor) == 0) {
        return ERR_INVALID;
    }
    if (op->verb == CRDT_FENCE) {
        bool others = fenced && crdt_actor_compare(by, o->dot.actor) != 0;
        return !spec_all_seen(w, o->past, op->to, op->number) ? ERR_BEHIND
               : others                                       ? ERR_FENCED
                                                              : 0;
    }
    if (fenced && !granted) {
        return ERR_FENCED;
    }
    int64_t rights = spec_rights(w, o->past, o->leaf, o->dot.actor);
    bool enough = rights >= (op->amount < 0 ? -op->amount : op->amount);
    return spends && !enough ? ERR_NO_RIGHTS : 0; /* scenario C30 */
}

/* Taking over again what came since a fence: there is nothing. */
static bool spec_fence_idle(const struct world *w, uint64_t known, unsigned leaf,
                            const struct crdt_op *op)
{
    struct crdt_actor by;
    return op->verb == CRDT_FENCE && spec_fenced(w, known, leaf, op->to, &by) &&
           spec_rights(w, known, leaf, op->to) == 0;
}

bool spec_idle(const struct world *w, uint64_t known, unsigned leaf, const struct crdt_op *op)
{
    uint8_t type = world_leaf_type(&w->shape, leaf);
    int64_t value;
    switch (type) {
    case CRDT_G_SET:
    case CRDT_HLL: return spec_wins(w, known, leaf, op->value, false);
    case CRDT_AW_SET:
        return op->verb == CRDT_REMOVE && !spec_wins(w, known, leaf, op->value, false);
    case CRDT_EW_FLAG: return op->verb == CRDT_DISABLE && !spec_present(w, known, leaf);
    case CRDT_MAX: return spec_extreme(w, known, leaf, &value) && op->amount <= value;
    case CRDT_MIN: return spec_extreme(w, known, leaf, &value) && op->amount >= value;
    case CRDT_BOUNDED:
        return (op->verb == CRDT_GRANT && spec_granted(w, known, leaf)) ||
               spec_fence_idle(w, known, leaf, op);
    default: return false;
    }
}
