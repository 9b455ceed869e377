/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Properties of every type over random histories of 3 to 5 replicas: what each reads is what the
 * specification says, and the states obey the laws. HOLDFAST_HISTORIES=N runs N histories in all;
 * HOLDFAST_SEED=N begins at that seed.
 */
#include "tests/unit/crdt/world.h"
#include "tests/unit/unit.h"

#include <string.h>

#define BIT(i) (UINT64_C(1) << (i))

static struct alloc heap;

static struct crdt_state copy_of(const struct world *w, const struct crdt_state *s)
{
    struct crdt_state copy;
    crdt_state_init(&copy, &heap);
    WORLD_HOLDS(w, crdt_state_copy(&copy, s) == 0);
    return copy;
}

static struct crdt_state join_of(const struct world *w, const struct crdt_state *a,
                                 const struct crdt_state *b)
{
    struct crdt_state both = copy_of(w, a);
    WORLD_HOLDS(w, crdt_join(&both, b) == 0);
    return both;
}

/* Equal as values and as bytes, and the bytes give the state back. scenario C34 */
static void check_same(const struct world *w, const struct crdt_state *a,
                       const struct crdt_state *b)
{
    struct crdt_limits limits = crdt_limits_default();
    struct crdt_state back;
    struct buf x;
    struct buf y;
    buf_init(&x, &heap, 1u << 20);
    buf_init(&y, &heap, 1u << 20);
    crdt_state_init(&back, &heap);
    WORLD_HOLDS(w, crdt_encode(a, &x) == 0 && crdt_encode(b, &y) == 0);
    WORLD_HOLDS(w, crdt_state_equal(a, b));
    WORLD_HOLDS(w, bytes_equal(buf_view(&x), buf_view(&y)));
    WORLD_HOLDS(w, crdt_decode(&back, buf_view(&x), &limits) == 0);
    WORLD_HOLDS(w, crdt_state_equal(a, &back));
    buf_release(&x);
    buf_release(&y);
    crdt_state_release(&back);
}

/* scenario C34, scenario C35 */
static void check_lattice(const struct world *w, const struct crdt_state *a,
                          const struct crdt_state *b, const struct crdt_state *c)
{
    struct crdt_state none;
    crdt_state_init(&none, &heap);
    struct crdt_state ab = join_of(w, a, b);
    struct crdt_state ba = join_of(w, b, a);
    struct crdt_state bc = join_of(w, b, c);
    struct crdt_state ab_c = join_of(w, &ab, c);
    struct crdt_state a_bc = join_of(w, a, &bc);
    struct crdt_state aa = join_of(w, a, a);
    struct crdt_state a_ab = join_of(w, a, &ab);
    struct crdt_state a0 = join_of(w, a, &none);
    struct crdt_state za = join_of(w, &none, a);
    check_same(w, &ab, &ba);
    check_same(w, &ab_c, &a_bc);
    check_same(w, &aa, a);
    check_same(w, &a_ab, &ab);
    check_same(w, &a0, a);
    check_same(w, &za, a); /* a replica that lost everything and merged is as before */
    WORLD_HOLDS(w, crdt_leq(a, &ab) && crdt_leq(b, &ab) && crdt_leq(&none, a));
    WORLD_HOLDS(w, crdt_leq(b, a) == crdt_state_equal(&ab, a));
    WORLD_HOLDS(w, crdt_leq(a, b) == crdt_state_equal(&ab, b));
    struct crdt_state *all[] = {&ab, &ba, &bc, &ab_c, &a_bc, &aa, &a_ab, &a0, &za};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        crdt_state_release(all[i]);
    }
}

/* returns: how many pieces s has; out gets the join of all but the one left out. */
static unsigned join_pieces(const struct world *w, const struct crdt_state *s, unsigned left_out,
                            const struct crdt_state *not_leq, struct crdt_state *out)
{
    struct crdt_pieces pieces;
    struct crdt_state one;
    unsigned count = 0;
    crdt_state_init(&one, &heap);
    crdt_pieces_begin(&pieces, s);
    for (; crdt_pieces_next(&pieces, &one) == 0; count++) {
        WORLD_HOLDS(w, one.seen.count == 1 && one.seen.ranges[0].from == one.seen.ranges[0].to);
        WORLD_HOLDS(w, not_leq == NULL || !crdt_leq(&one, not_leq));
        WORLD_HOLDS(w, count == left_out || crdt_join(out, &one) == 0);
        crdt_state_clear(&one);
    }
    crdt_state_release(&one);
    return count;
}

static void check_pieces(const struct world *w, const struct crdt_state *s)
{
    struct crdt_state out;
    crdt_state_init(&out, &heap);
    unsigned count = join_pieces(w, s, UINT32_MAX, NULL, &out);
    check_same(w, s, &out);
    for (unsigned i = 0; i < count; i++) {
        crdt_state_clear(&out);
        (void)join_pieces(w, s, i, NULL, &out);
        WORLD_HOLDS(w, crdt_leq(&out, s) && !crdt_state_equal(&out, s));
    }
    crdt_state_release(&out);
}

static void check_difference(const struct world *w, const struct crdt_state *a,
                             const struct crdt_state *b)
{
    struct crdt_state out;
    struct crdt_state ignored;
    crdt_state_init(&out, &heap);
    crdt_state_init(&ignored, &heap);
    WORLD_HOLDS(w, crdt_difference(a, b, &out) == 0);
    struct crdt_state ab = join_of(w, b, a);
    struct crdt_state made = join_of(w, b, &out);
    check_same(w, &ab, &made);
    WORLD_HOLDS(w, crdt_leq(&out, a));
    WORLD_HOLDS(w, crdt_state_empty(&out) == crdt_leq(a, b));
    (void)join_pieces(w, &out, UINT32_MAX, b, &ignored);
    crdt_state_release(&ab);
    crdt_state_release(&made);
    crdt_state_release(&out);
    crdt_state_release(&ignored);
}

/* The deltas of what a replica knows, shuffled, three in ten lost at first and many twice, give its
 * state; so do they in groups. scenario C23, scenario C24 */
static void check_deltas(const struct world *w, unsigned replica, struct rng *rng)
{
    unsigned order[2 * WORLD_OPS_MAX];
    unsigned count = 0;
    struct crdt_state out;
    struct crdt_state group;
    for (unsigned i = 0; i < w->count; i++) {
        if ((w->known[replica] & BIT(i)) != 0) {
            order[count++] = i;
            order[count] = i;
            count += rng_chance(rng, 3, 10);
        }
    }
    for (unsigned i = count; i > 1; i--) {
        unsigned at = (unsigned)rng_below(rng, i);
        unsigned swap = order[i - 1];
        order[i - 1] = order[at];
        order[at] = swap;
    }
    crdt_state_init(&out, &heap);
    crdt_state_init(&group, &heap);
    for (unsigned i = 0; i < count; i++) {
        WORLD_HOLDS(w, crdt_join(&group, &w->ops[order[i]].delta) == 0);
        if (rng_chance(rng, 1, 2)) {
            WORLD_HOLDS(w, crdt_join(&out, &group) == 0);
            crdt_state_clear(&group);
        }
    }
    WORLD_HOLDS(w, crdt_join(&out, &group) == 0);
    check_same(w, &out, &w->state[replica]);
    crdt_state_release(&out);
    crdt_state_release(&group);
}

static void run_history(uint64_t seed, struct world_shape shape)
{
    struct world w;
    struct rng rng;
    world_seed(seed);
    rng_init(&rng, seed);
    world_init(&w, shape, (unsigned)rng_between(&rng, 3, WORLD_REPLICAS_MAX));
    bool fences = shape.fences && !shape.nested;
    unsigned steps = (unsigned)rng_between(&rng, 4, fences ? WORLD_OPS_MAX : 32);
    unsigned choices = world_choices(&shape);
    for (unsigned i = 0; i < steps; i++) {
        unsigned r = (unsigned)rng_below(&rng, w.replicas);
        unsigned from = (unsigned)rng_below(&rng, w.replicas);
        uint64_t kind = rng_below(&rng, 10);
        if (kind < 6) {
            (void)world_act(&w, r, (unsigned)rng_below(&rng, choices));
        } else if (kind < 8) {
            world_merge(&w, r, from);
        } else if (w.count > 0) {
            (void)world_deliver(&w, r, (unsigned)rng_below(&rng, w.count));
        }
        world_check(&w, r);
    }
    check_lattice(&w, &w.state[0], &w.state[1], &w.state[2]);
    check_pieces(&w, &w.state[seed % w.replicas]);
    check_difference(&w, &w.state[0], &w.state[1]);
    for (unsigned i = 0; i < w.count; i++) {
        check_difference(&w, &w.ops[i].delta, &w.state[2]);
    }
    check_deltas(&w, (unsigned)(seed % w.replicas), &rng);
    for (unsigned i = 1; i < w.replicas; i++) {
        world_merge(&w, 0, i);
    }
    world_check(&w, 0);
    check_deltas(&w, 0, &rng);
    world_release(&w);
}

static unsigned long long histories(void)
{
    const char *given = getenv("HOLDFAST_HISTORIES");
    return given != NULL ? strtoull(given, NULL, 0) : 10000;
}

START_TEST(random_histories_obey_the_laws_and_the_specification)
{
    unsigned long long first = unit_seed("crdt_laws", 1);
    unsigned long long count = histories();
    heap = alloc_heap();
    for (unsigned long long i = 0; i < count; i++) {
        uint64_t seed = first + i;
        uint8_t type = (uint8_t)(1 + seed % CRDT_TYPES);
        uint8_t other = (uint8_t)(1 + seed / CRDT_TYPES % CRDT_TYPES);
        bool nested = seed / (CRDT_TYPES * CRDT_TYPES) % 3 != 0;
        if (type == CRDT_MAP || other == CRDT_MAP) { /* every nested shape is one of a map */
            type = CRDT_COUNTER;
            other = CRDT_AW_SET;
            nested = true;
        }
        other = other == type ? (type == CRDT_LWW ? CRDT_MV : CRDT_LWW) : other;
        bool bounded = type == CRDT_BOUNDED || (nested && other == CRDT_BOUNDED);
        run_history(seed, (struct world_shape){
                              .type = type, .other = other, .nested = nested, .fences = bounded});
    }
}
END_TEST

/* Epochs that end, and what they had: of a key that is a bounded counter there is enough in a
 * history for rights to come to who has been fenced. */
START_TEST(random_histories_of_fences_obey_the_laws_and_the_specification)
{
    unsigned long long first = unit_seed("crdt_laws_fences", 1);
    unsigned long long count = histories() / 5;
    heap = alloc_heap();
    for (unsigned long long i = 0; i < count; i++) {
        run_history(first + i,
                    (struct world_shape){.type = CRDT_BOUNDED, .other = CRDT_LWW, .fences = true});
    }
}
END_TEST

UNIT_MAIN("crdt_laws", random_histories_obey_the_laws_and_the_specification,
          random_histories_of_fences_obey_the_laws_and_the_specification)
