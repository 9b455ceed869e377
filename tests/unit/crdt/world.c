/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replicas and their operations; reading a state as numbers.
 */
#include "tests/unit/crdt/world.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>

#define BIT(i) (UINT64_C(1) << (i))
#define WORLD_FIELDS 3u /* a, m, m[b] */
#define WORLD_FENCES 3u /* of another's first life, of another as it is, of the own first */

static unsigned long long world_seed_now;

void world_seed(unsigned long long seed)
{
    world_seed_now = seed;
}

void world_broken(const struct world *w, const char *what, int line)
{
    (void)fprintf(stderr, "seed=%llu line=%d type=%u other=%u nested=%d: %s\n", world_seed_now,
                  line, w->shape.type, w->shape.other, w->shape.nested, what);
    for (unsigned i = 0; i < w->count; i++) {
        const struct world_op *o = &w->ops[i];
        (void)fprintf(stderr, "  %u: replica=%u leaf=%u choice=%u past=%llx\n", i, o->replica,
                      o->leaf, o->choice, (unsigned long long)o->past);
    }
    abort();
}

struct crdt_actor world_actor(unsigned replica)
{
    return world_life(replica, 0);
}

struct crdt_actor world_life(unsigned replica, unsigned life)
{
    return (struct crdt_actor){.node = replica + 1, .epoch = replica % 2 + 7 + 16 * life};
}

unsigned world_lives(const struct world_shape *shape)
{
    return shape->fences ? WORLD_LIVES_MAX : 1;
}

uint8_t world_leaf_type(const struct world_shape *shape, unsigned leaf)
{
    return leaf == WORLD_LEAF_2 ? shape->other : shape->type;
}

void world_path(const struct world_shape *shape, unsigned leaf, struct crdt_path *path)
{
    uint8_t type = world_leaf_type(shape, leaf);
    int err = 0;
    crdt_path_init(path, shape->nested ? CRDT_MAP : type);
    if (shape->nested && leaf == WORLD_LEAF_1) {
        err = crdt_path_push(path, bytes_of_text("m"), CRDT_MAP);
        err = err != 0 ? err : crdt_path_push(path, bytes_of_text("b"), type);
    } else if (shape->nested) {
        err = crdt_path_push(path, bytes_of_text("a"), type);
    }
    ASSERT(err == 0);
}

static bool world_set_alphabet(uint8_t type, unsigned choice, struct crdt_op *op)
{
    static const struct {
        enum crdt_verb verb;
        const char *value;
    } with_remove[] = {{CRDT_ADD, "x"}, {CRDT_REMOVE, "x"}, {CRDT_ADD, "y"}, {CRDT_REMOVE, "y"}};
    if (type == CRDT_AW_SET || type == CRDT_RW_SET) {
        op->verb = with_remove[choice % 4].verb;
        op->value = bytes_of_text(with_remove[choice % 4].value);
        return choice < 4;
    }
    op->verb = CRDT_ADD;
    op->value = bytes_of_text(choice == 0 ? "x" : choice == 1 ? "y" : "z");
    return choice < 3;
}

static bool world_bounded_alphabet(unsigned choice, unsigned replica, struct crdt_op *op)
{
    static const int64_t amounts[] = {2, -1, 1, 3};
    static const enum crdt_verb verbs[] = {CRDT_ADD, CRDT_ADD, CRDT_TRANSFER, CRDT_GRANT};
    op->verb = verbs[choice % 4];
    op->amount = amounts[choice % 4];
    op->to = op->verb == CRDT_TRANSFER ? world_actor((replica + 1) % 3) : (struct crdt_actor){0};
    if (op->verb == CRDT_GRANT) {
        op->to = world_actor(1);
        op->number = 4;
    }
    return choice < 4;
}

bool world_alphabet(uint8_t type, unsigned choice, unsigned replica, struct crdt_op *op)
{
    static const int64_t up[] = {1, 5}, both[] = {3, -2}, any[] = {3, -1, 5};
    static const char *const values[] = {"a", "b", "c"};
    static const uint64_t times[] = {1000, 1001, 1000 + CRDT_LOSERS_US};
    switch (type) {
    case CRDT_G_COUNTER:
    case CRDT_PN_COUNTER:
    case CRDT_COUNTER:
        op->verb = CRDT_ADD;
        op->amount = type == CRDT_G_COUNTER ? up[choice % 2] : both[choice % 2];
        return choice < 2;
    case CRDT_LWW:
        op->verb = CRDT_SET;
        op->value = bytes_of_text(values[choice % 3]);
        op->time_us = times[choice % 3];
        return choice < 3;
    case CRDT_MV:
        op->verb = CRDT_SET;
        op->value = bytes_of_text(values[choice % 3]);
        return choice < 2;
    case CRDT_EW_FLAG:
    case CRDT_DW_FLAG: op->verb = choice == 0 ? CRDT_ENABLE : CRDT_DISABLE; return choice < 2;
    case CRDT_MAX:
    case CRDT_MIN:
        op->verb = CRDT_SET;
        op->amount = any[choice % 3];
        return choice < 3;
    case CRDT_BOUNDED: return world_bounded_alphabet(choice, replica, op);
    default: return world_set_alphabet(type, choice, op);
    }
}

static unsigned world_letters(uint8_t type)
{
    struct crdt_op op = {0};
    unsigned n = 0;
    while (world_alphabet(type, n, 0, &op)) {
        n++;
    }
    return n;
}

/* Those of a leaf: with fences a bounded counter has three more. */
static unsigned world_leaf_letters(const struct world_shape *shape, unsigned leaf)
{
    uint8_t type = world_leaf_type(shape, leaf);
    return world_letters(type) + (shape->fences && type == CRDT_BOUNDED ? WORLD_FENCES : 0);
}

unsigned world_choices(const struct world_shape *shape)
{
    unsigned mine = world_leaf_letters(shape, WORLD_LEAF_0);
    unsigned other = world_leaf_letters(shape, WORLD_LEAF_2);
    return shape->nested ? 2 * mine + other + WORLD_FIELDS : mine;
}

void world_letter(const struct world *w, const struct world_op *o, struct crdt_op *op)
{
    uint8_t type = world_leaf_type(&w->shape, o->leaf);
    if (!world_alphabet(type, o->choice, o->replica, op) && type == CRDT_BOUNDED) {
        *op =
            (struct crdt_op){.verb = CRDT_FENCE, .dot = op->dot, .to = o->to, .number = o->number};
    }
}

void world_init(struct world *w, struct world_shape shape, unsigned replicas)
{
    ASSERT(replicas <= WORLD_REPLICAS_MAX);
    *w = (struct world){.shape = shape, .replicas = replicas, .alloc = alloc_heap()};
    for (unsigned i = 0; i < replicas; i++) {
        crdt_state_init(&w->state[i], &w->alloc);
    }
}

static void world_drop_op(struct world_op *o)
{
    crdt_state_release(&o->delta);
    crdt_context_release(&o->before);
}

void world_release(struct world *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        world_drop_op(&w->ops[i]);
    }
    for (unsigned i = 0; i < w->replicas; i++) {
        crdt_state_release(&w->state[i]);
    }
}

/* Splits a choice into a leaf and a letter, or a field to remove. */
static void world_choose(const struct world *w, struct world_op *o, unsigned choice)
{
    unsigned leaves = w->shape.nested ? WORLD_LEAVES : 1;
    for (o->leaf = 0; o->leaf < leaves; o->leaf++) {
        unsigned letters = world_leaf_letters(&w->shape, o->leaf);
        if (choice < letters) {
            break;
        }
        choice -= letters;
    }
    o->leaf = o->leaf == leaves ? WORLD_NOT_A_LEAF : o->leaf;
    o->choice = choice;
    o->covers = o->leaf != WORLD_NOT_A_LEAF ? 0
                : choice == 0               ? BIT(WORLD_LEAF_0) | BIT(WORLD_LEAF_2)
                                            : BIT(WORLD_LEAF_1);
}

static void world_removal(unsigned choice, struct crdt_path *path, struct crdt_op *op)
{
    crdt_path_init(path, CRDT_MAP);
    op->verb = CRDT_REMOVE;
    op->value = bytes_of_text(choice == 0 ? "a" : choice == 1 ? "m" : "b");
    if (choice == 2) {
        int err = crdt_path_push(path, bytes_of_text("m"), CRDT_MAP);
        ASSERT(err == 0);
    }
}

/* What the specification says of an operation: an error, or whether it is idle. */
static int world_expect(const struct world *w, const struct world_op *o, const struct crdt_op *op,
                        bool *idle)
{
    *idle = true;
    if (o->leaf == WORLD_NOT_A_LEAF) {
        for (unsigned leaf = 0; leaf < WORLD_LEAVES; leaf++) {
            bool present = (o->covers & BIT(leaf)) != 0 && spec_present(w, o->past, leaf);
            if (present && world_leaf_type(&w->shape, leaf) == CRDT_BOUNDED) {
                return ERR_NOT_EMPTY;
            }
            *idle = *idle && !present;
        }
        return 0;
    }
    unsigned twin = o->leaf == WORLD_LEAF_0 ? WORLD_LEAF_2 : WORLD_LEAF_0;
    if (w->shape.nested && o->leaf != WORLD_LEAF_1 && !spec_present(w, o->past, o->leaf) &&
        spec_present(w, o->past, twin)) {
        return ERR_WRONG_TYPE;
    }
    *idle = spec_idle(w, o->past, o->leaf, op);
    return world_leaf_type(&w->shape, o->leaf) == CRDT_BOUNDED ? spec_bounded_expect(w, o, op) : 0;
}

static uint64_t world_last_dot(const struct world *w, struct crdt_actor actor)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < w->count; i++) {
        bool mine = crdt_actor_compare(w->ops[i].dot.actor, actor) == 0;
        last = mine ? NUM_MAX(last, w->ops[i].dot.counter) : last;
    }
    return last;
}

/* What the caller of a fence must guarantee: an actor is over before anybody fences it, for good,
 * and one alone does. Its replica goes on in the next epoch, as after a crash; that may be who
 * fences it.
 * returns: whether the operation may be asked for. */
static bool world_may_fence(struct world *w, struct world_op *o)
{
    struct crdt_actor by;
    unsigned which = o->choice - world_letters(CRDT_BOUNDED);
    unsigned replica = (o->replica + (which < 2 ? which + 1 : 0)) % w->replicas;
    unsigned life = which == 1 ? w->life[replica] : 0;
    struct world_end *end = &w->ends[replica][life];
    bool own = life == w->life[replica] && replica == o->replica;
    o->to = world_life(replica, life);
    if (own && (w->count % 2 == 0 || life + 1 == WORLD_LIVES_MAX)) {
        return true; /* to be refused */
    }
    if (!end->over && life + 1 == WORLD_LIVES_MAX) {
        return false;
    }
    if (!end->over) {
        *end = (struct world_end){.over = true, .last = world_last_dot(w, o->to)};
        w->life[replica]++;
    }
    if (own) {
        return false; /* it has crashed */
    }
    end->by = end->by.node == 0 ? o->dot.actor : end->by;
    o->number = end->last;
    return crdt_actor_compare(end->by, o->dot.actor) == 0 ||
           spec_fenced(w, o->past, o->leaf, o->to, &by);
}

void world_op_of(const struct world *w, const struct world_op *o, struct crdt_path *path,
                 struct crdt_op *op)
{
    *op = (struct crdt_op){.dot = o->dot};
    if (o->leaf == WORLD_NOT_A_LEAF) {
        world_removal(o->choice, path, op);
    } else {
        world_path(&w->shape, o->leaf, path);
        world_letter(w, o, op);
    }
}

bool world_act(struct world *w, unsigned replica, unsigned choice)
{
    struct crdt_limits limits = crdt_limits_default();
    struct crdt_state *s = &w->state[replica];
    struct crdt_path path;
    struct crdt_op op;
    bool idle;
    ASSERT(w->count < WORLD_OPS_MAX);
    struct world_op *o = &w->ops[w->count];
    *o = (struct world_op){.replica = replica, .past = w->known[replica]};
    world_choose(w, o, choice);
    o->dot.actor = world_life(replica, w->life[replica]);
    o->dot.counter = crdt_context_last(&s->seen, o->dot.actor) + 1;
    world_op_of(w, o, &path, &op);
    if (op.verb == CRDT_FENCE && !world_may_fence(w, o)) {
        return false;
    }
    world_op_of(w, o, &path, &op);
    crdt_state_init(&o->delta, &w->alloc);
    crdt_context_init(&o->before, &w->alloc);
    int expected = world_expect(w, o, &op, &idle);
    int err = crdt_delta(s, &path, &op, &limits, &o->delta);
    WORLD_HOLDS(w, err == expected);
    WORLD_HOLDS(w, err != 0 || idle == crdt_state_empty(&o->delta)); /* scenario C8 */
    if (err != 0 || idle) {
        WORLD_HOLDS(w, crdt_state_empty(&o->delta));
        return false;
    }
    if (o->leaf != WORLD_NOT_A_LEAF && world_leaf_type(&w->shape, o->leaf) == CRDT_LWW) {
        spec_lww(w, o, op.time_us);
    }
    if (op.verb == CRDT_FENCE) {
        o->took = NUM_MAX(spec_rights(w, o->past, o->leaf, o->to), 0);
    }
    WORLD_HOLDS(w, crdt_context_join(&o->before, &s->seen) == 0);
    WORLD_HOLDS(w, crdt_join(s, &o->delta) == 0);
    w->known[replica] |= BIT(w->count);
    w->count++;
    return true;
}

void world_forget(struct world *w, unsigned replica, struct crdt_state *old, uint64_t known)
{
    w->count--;
    world_drop_op(&w->ops[w->count]);
    crdt_state_release(&w->state[replica]);
    w->state[replica] = *old;
    w->known[replica] = known;
}

void world_merge(struct world *w, unsigned to, unsigned from)
{
    WORLD_HOLDS(w, crdt_join(&w->state[to], &w->state[from]) == 0);
    w->known[to] |= w->known[from];
}

bool world_deliver(struct world *w, unsigned to, unsigned op)
{
    struct world_op *o = &w->ops[op];
    bool may = crdt_may_join(&w->state[to].seen, &o->before);
    WORLD_HOLDS(w, may == ((o->past & ~w->known[to]) == 0)); /* scenario C22 */
    if (!may) {
        return false;
    }
    WORLD_HOLDS(w, crdt_join(&w->state[to], &o->delta) == 0);
    w->known[to] |= BIT(op);
    return true;
}

static void world_say(struct world_view *out, int64_t v)
{
    ASSERT(out->count < WORLD_VIEW_MAX);
    out->v[out->count++] = v;
}

static void world_read_set(const struct crdt_state *s, const struct crdt_path *path,
                           struct world_view *out)
{
    static const char *const elements[WORLD_ELEMENTS] = {"x", "y", "z"};
    struct bytes at = {0};
    bool more = crdt_set_next(s, path, &at);
    for (unsigned i = 0; i < WORLD_ELEMENTS; i++) {
        struct bytes element = bytes_of_text(elements[i]);
        bool listed = more && bytes_equal(at, element);
        ASSERT(listed == crdt_set_has(s, path, element));
        world_say(out, listed);
        more = listed ? crdt_set_next(s, path, &at) : more;
    }
    ASSERT(!more);
}

static void world_read_siblings(const struct crdt_state *s, const struct crdt_path *path, bool lww,
                                struct world_view *out)
{
    struct crdt_sibling all[WORLD_OPS_MAX];
    size_t count = crdt_siblings(s, path, all, WORLD_OPS_MAX);
    for (unsigned value = 0; !lww && value < 256; value++) {
        for (size_t i = 0; i < count; i++) {
            if (all[i].value.data[0] == value) {
                world_say(out, value);
            }
        }
    }
    for (size_t i = 0; lww && i < count; i++) {
        world_say(out, (int64_t)all[i].time_us);
        world_say(out, all[i].value.data[0]);
    }
}

void world_read(const struct world *w, const struct crdt_state *s, struct world_view *out)
{
    out->count = 0;
    for (unsigned leaf = 0; leaf < (w->shape.nested ? WORLD_LEAVES : 1); leaf++) {
        struct crdt_path path;
        int64_t value = 0;
        world_path(&w->shape, leaf, &path);
        uint8_t type = world_leaf_type(&w->shape, leaf);
        world_say(out, -1000 - (int64_t)leaf);
        switch (type) {
        case CRDT_BOUNDED:
            for (unsigned i = 0; i < w->replicas * world_lives(&w->shape); i++) {
                world_say(out, crdt_rights(s, &path, world_life(i % w->replicas, i / w->replicas)));
            }
            world_say(out, crdt_counter(s, &path));
            break;
        case CRDT_G_COUNTER:
        case CRDT_PN_COUNTER:
        case CRDT_COUNTER: world_say(out, crdt_counter(s, &path)); break;
        case CRDT_LWW:
        case CRDT_MV: world_read_siblings(s, &path, type == CRDT_LWW, out); break;
        case CRDT_EW_FLAG:
        case CRDT_DW_FLAG: world_say(out, crdt_flag(s, &path)); break;
        case CRDT_MAX:
        case CRDT_MIN:
            world_say(out, crdt_extreme(s, &path, &value));
            world_say(out, value);
            break;
        case CRDT_HLL: world_say(out, (int64_t)crdt_hll(s, &path)); break;
        default: world_read_set(s, &path, out); break;
        }
    }
}

/* Every operation and nothing else has been seen. */
static bool world_context_right(const struct world *w, unsigned replica)
{
    const struct crdt_context *c = &w->state[replica].seen;
    uint64_t dots = 0;
    uint64_t ops = 0;
    size_t actors = w->replicas;
    for (unsigned i = 0; i < w->replicas; i++) {
        actors += w->life[i];
    }
    for (size_t i = 0; i < c->count; i++) {
        dots += c->ranges[i].to - c->ranges[i].from + 1;
    }
    for (unsigned i = 0; i < w->count; i++) {
        bool known = (w->known[replica] & BIT(i)) != 0;
        if (known != crdt_context_has(c, w->ops[i].dot)) {
            return false;
        }
        ops += known;
    }
    return dots == ops && c->count <= actors;
}

void world_check(const struct world *w, unsigned replica)
{
    struct world_view real;
    struct world_view wanted;
    world_read(w, &w->state[replica], &real);
    spec_read(w, w->known[replica], &wanted);
    WORLD_HOLDS(w, world_context_right(w, replica)); /* scenario C37 */
    bool same = real.count == wanted.count;
    for (unsigned i = 0; same && i < real.count; i++) {
        same = real.v[i] == wanted.v[i];
    }
    for (unsigned i = 0; !same && i < NUM_MAX(real.count, wanted.count); i++) {
        (void)fprintf(stderr, " %lld/%lld", i < real.count ? (long long)real.v[i] : -9,
                      i < wanted.count ? (long long)wanted.v[i] : -9);
    }
    WORLD_HOLDS(w, same);
}
