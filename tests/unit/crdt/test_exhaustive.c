/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every history of three replicas and few steps, a step being an operation of a small alphabet or a
 * merge, for every type: as the key itself, and as a field that may be removed. What a replica
 * reads is what the specification says, and replicas that know the same are the same.
 *
 * HOLDFAST_STEPS=6 goes six steps deep for all of them; the usual is the deepest that takes a
 * second a type, and one in some of the histories one step longer.
 */
#include "tests/unit/crdt/world.h"
#include "tests/unit/unit.h"

#define REPLICAS 3u
#define STEPS_MAX 8u

/* One step of the history that is being walked, and what undoes it. */
struct step {
    unsigned move; /* the next one to try */
    bool undo;
    bool op;
    unsigned replica;
    struct crdt_state old;
    uint64_t known;
};

struct walk {
    struct world w;
    unsigned letters;
    unsigned steps;          /* all histories so long */
    unsigned stride;         /* of those one longer, one in so many */
    unsigned long long last; /* histories of the last length met */
    unsigned long long count;
};

/* The field that holds the leaf can be removed; the other leaves of the world are left alone. */
static unsigned choice_of(const struct walk *k, unsigned letter)
{
    if (!k->w.shape.nested || letter + 1 < k->letters) {
        return letter;
    }
    return world_choices(&k->w.shape) - 3;
}

static void check_equal(const struct walk *k, unsigned replica)
{
    const struct world *w = &k->w;
    world_check(w, replica);
    for (unsigned i = 0; i < REPLICAS; i++) {
        WORLD_HOLDS(w, w->known[i] != w->known[replica] ||
                           crdt_state_equal(&w->state[i], &w->state[replica]));
    }
}

/* Makes the move if it changes anything. */
static bool try_move(struct walk *k, struct step *s, unsigned move)
{
    struct world *w = &k->w;
    unsigned ops = REPLICAS * k->letters;
    unsigned from = move < ops ? 0 : (move - ops) % REPLICAS;
    s->op = move < ops;
    s->replica = s->op ? move / k->letters : (move - ops) / REPLICAS;
    s->known = w->known[s->replica];
    if (!s->op && (from == s->replica || (w->known[from] & ~s->known) == 0)) {
        return false;
    }
    crdt_state_init(&s->old, &w->alloc);
    WORLD_HOLDS(w, crdt_state_copy(&s->old, &w->state[s->replica]) == 0);
    if (!s->op) {
        world_merge(w, s->replica, from);
        return true;
    }
    if (!world_act(w, s->replica, choice_of(k, move % k->letters))) {
        crdt_state_release(&s->old);
        return false;
    }
    return true;
}

static void undo(struct walk *k, struct step *s)
{
    struct world *w = &k->w;
    s->undo = false;
    if (s->op) {
        world_forget(w, s->replica, &s->old, s->known);
        return;
    }
    crdt_state_release(&w->state[s->replica]);
    w->state[s->replica] = s->old;
    w->known[s->replica] = s->known;
}

static bool wanted(struct walk *k, unsigned depth)
{
    return depth < k->steps || (depth == k->steps && k->stride > 0 && k->last++ % k->stride == 0);
}

static void walk(struct walk *k)
{
    struct step steps[STEPS_MAX] = {0};
    unsigned moves = REPLICAS * k->letters + REPLICAS * REPLICAS;
    for (unsigned depth = 0;;) {
        struct step *s = &steps[depth];
        if (s->undo) {
            undo(k, s);
        }
        if (s->move == moves) {
            s->move = 0;
            if (depth == 0) {
                return;
            }
            depth--;
            continue;
        }
        if (!wanted(k, depth) || !try_move(k, s, s->move)) {
            s->move++;
            continue;
        }
        s->move++;
        s->undo = true;
        k->count++;
        check_equal(k, s->replica);
        depth += depth < k->steps;
    }
}

static void walk_all(uint8_t type, bool nested)
{
    struct world_shape shape = {.type = type, .other = CRDT_MV, .nested = nested};
    struct walk k = {.steps = 5, .stride = 0};
    const char *given = getenv("HOLDFAST_STEPS");
    shape.other = type == CRDT_MV ? CRDT_LWW : CRDT_MV;
    world_init(&k.w, shape, REPLICAS);
    unsigned own = world_choices(&(struct world_shape){.type = type, .other = type});
    k.letters = own + nested;
    if (given != NULL) {
        k.steps = (unsigned)strtoul(given, NULL, 10);
    } else {
        k.steps = k.letters <= 2 ? 5 : 4;
        k.stride = 13;
    }
    ck_assert_uint_lt(k.steps, STEPS_MAX);
    walk(&k);
    printf("type=%u nested=%d letters=%u steps=%u histories=%llu\n", type, nested, k.letters,
           k.steps, k.count);
    world_release(&k.w);
}

START_TEST(every_short_history_reads_as_specified)
{
    world_seed(0);
    for (uint8_t type = 1; type <= CRDT_TYPES; type++) {
        if (type != CRDT_MAP) {
            walk_all(type, false);
            walk_all(type, true);
        }
    }
}
END_TEST

UNIT_MAIN("crdt_exhaustive", every_short_history_reads_as_specified)
