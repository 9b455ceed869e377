/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Epochs that are over, folded in contexts: what is folded reads, joins and travels as what is not.
 * HOLDFAST_SEED=N begins at that seed. scenario C37
 */
#include "tests/unit/crdt/world.h"
#include "tests/unit/unit.h"

#include <string.h>

#define SEEDS 400u
#define NODES 3u
#define EPOCHS 4u
#define COUNTERS 5u

static struct alloc heap;

static struct crdt_range fold_of(struct crdt_actor a)
{
    return (struct crdt_range){
        .actor = {.node = a.node, .epoch = CRDT_FOLDED}, .from = a.epoch, .to = a.epoch};
}

/* ---- contexts against sets ------------------------------------------------------------------ */

/* Dots one by one; of a folded epoch also the counter that stands for all that there could be. */
struct set {
    bool has[NODES][EPOCHS][COUNTERS + 1];
};

static void set_draw(struct rng *rng, struct set *s, struct crdt_context *c)
{
    unsigned steps = (unsigned)rng_below(rng, 14);
    *s = (struct set){.has = {{{false}}}};
    crdt_context_init(c, &heap);
    for (unsigned i = 0; i < steps; i++) {
        uint32_t node = (uint32_t)rng_below(rng, NODES);
        uint64_t epoch = rng_below(rng, EPOCHS);
        uint64_t counter = rng_below(rng, COUNTERS);
        struct crdt_range r = {.actor = {.node = node + 1, .epoch = epoch + 1},
                               .from = counter + 1,
                               .to = counter + 1};
        bool fold = rng_below(rng, 3) == 0;
        for (unsigned k = 0; k <= COUNTERS; k++) {
            s->has[node][epoch][k] = s->has[node][epoch][k] || fold || k == counter;
        }
        r = fold ? fold_of(r.actor) : r;
        ck_assert_int_eq(crdt_context_add(c, &r), 0);
    }
}

static void set_check(const struct set *s, const struct crdt_context *c)
{
    for (uint32_t node = 0; node < NODES; node++) {
        for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
            struct crdt_actor actor = {.node = node + 1, .epoch = epoch + 1};
            bool all = s->has[node][epoch][COUNTERS];
            ck_assert_int_eq(crdt_context_folds(c, actor), all);
            ck_assert_int_eq(crdt_context_last(c, actor) == UINT64_MAX, all);
            for (unsigned k = 0; k < COUNTERS; k++) {
                ck_assert_int_eq(crdt_context_has(c, (struct crdt_dot){actor, k + 1}),
                                 s->has[node][epoch][k]);
            }
        }
    }
    for (size_t i = 0; i < c->count; i++) { /* nothing is said twice */
        ck_assert(!crdt_context_folds(c, c->ranges[i].actor));
    }
}

static void set_bytes_check(const struct crdt_context *c)
{
    const struct crdt_limits limits = crdt_limits_default();
    struct crdt_context back;
    struct buf raw;
    buf_init(&raw, &heap, 1u << 16);
    crdt_context_init(&back, &heap);
    ck_assert_int_eq(crdt_context_encode(c, &raw), 0);
    ck_assert_int_eq(crdt_context_decode(&back, buf_view(&raw), &limits), 0);
    ck_assert(crdt_context_equal(c, &back));
    crdt_context_release(&back);
    buf_release(&raw);
}

START_TEST(folded_contexts_are_sets_like_any)
{
    uint64_t first = unit_seed("crdt_folds", 1);
    heap = alloc_heap();
    for (uint64_t seed = first; seed < first + 10 * SEEDS; seed++) {
        struct rng rng;
        struct set a;
        struct set b;
        struct crdt_context x;
        struct crdt_context y;
        bool leq = true;
        rng_init(&rng, seed);
        set_draw(&rng, &a, &x);
        set_draw(&rng, &b, &y);
        set_check(&a, &x);
        set_bytes_check(&x);
        for (unsigned i = 0; i < NODES * EPOCHS * (COUNTERS + 1); i++) {
            bool *in_a = &(&a.has[0][0][0])[i];
            bool in_b = (&b.has[0][0][0])[i];
            leq = leq && (!*in_a || in_b);
            *in_a = *in_a || in_b;
        }
        ck_assert_int_eq(crdt_context_leq(&x, &y), leq);
        ck_assert_int_eq(crdt_context_join(&x, &y), 0);
        set_check(&a, &x);
        set_bytes_check(&x);
        ck_assert(crdt_context_leq(&y, &x));
        crdt_context_release(&x);
        crdt_context_release(&y);
    }
}
END_TEST

START_TEST(a_range_of_a_folded_epoch_is_not_canonical)
{
    const struct crdt_limits limits = crdt_limits_default();
    static const uint8_t twice[] = {2, 1, 0, 1, 0, 2, 1, 2, 1, 0, 0}; /* epochs 1-3; then epoch 2 */
    static const uint8_t beside[] = {2, 1, 0, 1, 0, 2, 1, 4, 1, 0, 0};
    struct crdt_context c;
    heap = alloc_heap();
    crdt_context_init(&c, &heap);
    ck_assert_int_eq(crdt_context_decode(&c, bytes_of(twice, sizeof twice), &limits), ERR_PROTOCOL);
    ck_assert_int_eq(crdt_context_decode(&c, bytes_of(beside, sizeof beside), &limits), 0);
    ck_assert(crdt_context_folds(&c, (struct crdt_actor){.node = 1, .epoch = 3}));
    ck_assert(!crdt_context_folds(&c, (struct crdt_actor){.node = 1, .epoch = 4}));
    crdt_context_release(&c);
}
END_TEST

/* ---- states beside the same that fold nothing ----------------------------------------------- */

struct pair {
    struct crdt_state folded;
    struct crdt_state plain;
};

static void check_bytes(const struct world *w, const struct crdt_state *a,
                        const struct crdt_state *b)
{
    const struct crdt_limits limits = crdt_limits_default();
    struct crdt_state back;
    struct buf x;
    struct buf y;
    buf_init(&x, &heap, 1u << 20);
    buf_init(&y, &heap, 1u << 20);
    crdt_state_init(&back, &heap);
    WORLD_HOLDS(w, crdt_encode(a, &x) == 0 && crdt_encode(b, &y) == 0);
    WORLD_HOLDS(w, crdt_state_equal(a, b) && bytes_equal(buf_view(&x), buf_view(&y)));
    WORLD_HOLDS(w, crdt_decode(&back, buf_view(&x), &limits) == 0);
    WORLD_HOLDS(w, crdt_state_equal(a, &back));
    WORLD_HOLDS(w, x.data[0] == (crdt_context_folded(&a->seen) ? 2 : 1));
    buf_release(&x);
    buf_release(&y);
    crdt_state_release(&back);
}

/* The folded one is the plain one, with the same folded. */
static void pair_check(const struct world *w, const struct pair *p)
{
    struct crdt_state plain;
    struct world_view a;
    struct world_view b;
    crdt_state_init(&plain, &heap);
    WORLD_HOLDS(w, crdt_state_copy(&plain, &p->plain) == 0);
    for (size_t i = 0; i < p->folded.seen.count; i++) {
        struct crdt_range r = p->folded.seen.ranges[i];
        WORLD_HOLDS(w, r.actor.epoch != CRDT_FOLDED || crdt_context_add(&plain.seen, &r) == 0);
    }
    check_bytes(w, &p->folded, &plain);
    world_read(w, &p->folded, &a);
    world_read(w, &p->plain, &b);
    WORLD_HOLDS(w, a.count == b.count && memcmp(a.v, b.v, a.count * sizeof a.v[0]) == 0);
    crdt_state_release(&plain);
}

/* Folds what may be: all dots of the replica's actor, that no more are made of, have been seen. */
static void pair_fold(const struct world *w, struct pair *p, unsigned replica)
{
    struct crdt_actor actor = world_actor(replica);
    const struct crdt_context *all = &w->state[replica].seen; /* it knows its own */
    struct crdt_context own;
    crdt_context_init(&own, &heap);
    for (size_t i = 0; i < all->count; i++) {
        if (crdt_actor_compare(all->ranges[i].actor, actor) == 0) {
            WORLD_HOLDS(w, crdt_context_add(&own, &all->ranges[i]) == 0);
        }
    }
    if (crdt_context_leq(&own, &p->plain.seen)) {
        const struct crdt_range fold = fold_of(actor);
        WORLD_HOLDS(w, crdt_context_add(&p->folded.seen, &fold) == 0);
    }
    crdt_context_release(&own);
}

/* As a whole, as a difference, or piece by piece. */
static void pair_send(const struct world *w, struct rng *rng, struct pair *to,
                      const struct pair *from)
{
    struct crdt_state d;
    struct crdt_pieces pieces;
    crdt_state_init(&d, &heap);
    WORLD_HOLDS(w, crdt_join(&to->plain, &from->plain) == 0);
    switch (rng_below(rng, 3)) {
    case 0: WORLD_HOLDS(w, crdt_join(&to->folded, &from->folded) == 0); break;
    case 1:
        WORLD_HOLDS(w, crdt_difference(&from->folded, &to->folded, &d) == 0);
        WORLD_HOLDS(w, crdt_leq(&d, &from->folded));
        WORLD_HOLDS(w, crdt_join(&to->folded, &d) == 0);
        break;
    default:
        crdt_pieces_begin(&pieces, &from->folded);
        while (crdt_pieces_next(&pieces, &d) == 0) {
            WORLD_HOLDS(w, crdt_join(&to->folded, &d) == 0);
            crdt_state_clear(&d);
        }
        break;
    }
    WORLD_HOLDS(w, crdt_leq(&from->folded, &to->folded));
    crdt_state_release(&d);
}

static void run_world(uint64_t seed, struct world_shape shape)
{
    struct world w;
    struct rng rng;
    struct pair at[WORLD_REPLICAS_MAX];
    rng_init(&rng, seed);
    world_seed((unsigned long long)seed);
    world_init(&w, shape, 3 + (unsigned)rng_below(&rng, 2));
    for (unsigned i = 0; i < 30; i++) {
        unsigned replica = (unsigned)rng_below(&rng, w.replicas);
        if (rng_below(&rng, 3) == 0) {
            world_merge(&w, replica, (unsigned)rng_below(&rng, w.replicas));
        } else {
            (void)world_act(&w, replica, (unsigned)rng_below(&rng, world_choices(&shape)));
        }
    }
    for (unsigned i = 0; i < w.replicas; i++) {
        crdt_state_init(&at[i].folded, &heap);
        crdt_state_init(&at[i].plain, &heap);
        WORLD_HOLDS(&w, crdt_state_copy(&at[i].folded, &w.state[i]) == 0);
        WORLD_HOLDS(&w, crdt_state_copy(&at[i].plain, &w.state[i]) == 0);
    }
    for (unsigned i = 0; i < 24; i++) {
        struct pair *to = &at[rng_below(&rng, w.replicas)];
        const struct pair *from = &at[rng_below(&rng, w.replicas)];
        pair_fold(&w, to, (unsigned)rng_below(&rng, w.replicas));
        pair_check(&w, to);
        if (to != from) {
            pair_send(&w, &rng, to, from);
            pair_check(&w, to);
        }
    }
    for (unsigned i = 0; i < w.replicas; i++) {
        crdt_state_release(&at[i].folded);
        crdt_state_release(&at[i].plain);
    }
    world_release(&w);
}

START_TEST(what_is_folded_joins_as_what_is_not)
{
    static const uint8_t types[] = {CRDT_AW_SET,     CRDT_RW_SET,  CRDT_LWW,    CRDT_MV,
                                    CRDT_PN_COUNTER, CRDT_COUNTER, CRDT_EW_FLAG};
    uint64_t first = unit_seed("crdt_folds", 1);
    heap = alloc_heap();
    for (uint64_t seed = first; seed < first + SEEDS; seed++) {
        uint8_t type = types[seed % (sizeof types / sizeof types[0])];
        uint8_t other = type == CRDT_LWW ? CRDT_MV : CRDT_LWW;
        run_world(seed,
                  (struct world_shape){.type = type, .other = other, .nested = seed / 7 % 2 == 0});
    }
}
END_TEST

START_TEST(no_operation_is_made_in_an_epoch_that_is_folded)
{
    const struct crdt_limits limits = crdt_limits_default();
    struct crdt_actor actor = {.node = 1, .epoch = 3};
    struct crdt_op op = {.verb = CRDT_ADD, .amount = 1, .dot = {actor, 9}};
    struct crdt_path path;
    struct crdt_state s;
    struct crdt_state delta;
    heap = alloc_heap();
    crdt_path_init(&path, CRDT_PN_COUNTER);
    crdt_state_init(&s, &heap);
    crdt_state_init(&delta, &heap);
    const struct crdt_range fold = fold_of(actor);
    ck_assert_int_eq(crdt_context_add(&s.seen, &fold), 0);
    ck_assert_int_eq(crdt_delta(&s, &path, &op, &limits, &delta), ERR_CONFLICT);
    op.dot.actor.epoch = CRDT_FOLDED;
    ck_assert_int_eq(crdt_delta(&s, &path, &op, &limits, &delta), ERR_INVALID);
    op.dot.actor.epoch = 4;
    ck_assert_int_eq(crdt_delta(&s, &path, &op, &limits, &delta), 0);
    crdt_state_release(&s);
    crdt_state_release(&delta);
}
END_TEST

UNIT_MAIN("crdt_folds", folded_contexts_are_sets_like_any,
          a_range_of_a_folded_epoch_is_not_canonical, what_is_folded_joins_as_what_is_not,
          no_operation_is_made_in_an_epoch_that_is_folded)
