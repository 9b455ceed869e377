/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The small model of the bounded counter: every interleaving of additions, uses, transfers, a
 * grant, fences and merges of three actors, so many steps long. Nowhere, and not in the join of
 * everything either, is the counter or anybody's rights below zero (scenarios C30, C32).
 *
 * HOLDFAST_STEPS=7 goes seven steps deep; the usual takes a few seconds.
 *
 * And who holds how much, in random states: all in one walk, and one by one. HOLDFAST_SEED=N begins
 * at that seed.
 */
#include "base/hash.h"
#include "base/rng.h"
#include "crdt/crdt.h"
#include "tests/unit/unit.h"

#include <string.h>

#define ACTORS 3u
#define LETTERS 7u
#define MOVES (ACTORS * LETTERS + ACTORS * ACTORS)
#define STEPS_MAX 9u
#define SEEN_MAX (1u << 22)

/* By consensus: who alone takes over the rights of an actor that issues nothing any more. */
struct point {
    struct crdt_state at[ACTORS];
    uint64_t last[ACTORS]; /* counter of its last dot */
    unsigned fencer[ACTORS];
    unsigned move; /* the next one to try from here */
};

struct model {
    struct point path[STEPS_MAX + 1];
    unsigned steps;
    struct crdt_path counter;
    struct crdt_limits limits;
    struct alloc alloc;
    uint64_t *seen; /* hash of a point, with the depth it was met at in its low bits */
    unsigned long long points, used, fenced;
};

static struct crdt_actor actor(unsigned i)
{
    return (struct crdt_actor){.node = i + 1, .epoch = 1};
}

static void point_copy(struct model *m, struct point *to, const struct point *from)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        ck_assert_int_eq(crdt_state_copy(&to->at[i], &from->at[i]), 0);
        to->last[i] = from->last[i];
        to->fencer[i] = from->fencer[i];
    }
    to->move = 0;
    m->points++;
}

/* ---- moves ---------------------------------------------------------------------------------- */

static void letter(unsigned choice, unsigned by, struct crdt_op *op)
{
    unsigned next = (by + 1) % ACTORS;
    unsigned other = (by + 2) % ACTORS;
    *op = (struct crdt_op){.amount = 1};
    switch (choice) {
    case 0:
        *op = (struct crdt_op){.verb = CRDT_GRANT, .amount = 2, .number = 1, .to = actor(0)};
        break;
    case 1: op->verb = CRDT_ADD; break;
    case 2:
        op->verb = CRDT_ADD;
        op->amount = -1;
        break;
    case 3:
    case 4:
        op->verb = CRDT_TRANSFER;
        op->to = actor(choice == 3 ? next : other);
        break;
    default:
        op->verb = CRDT_FENCE;
        op->to = actor(choice == 5 ? next : other);
        break;
    }
}

/* returns: whether anything changed. */
static bool operate(struct model *m, struct point *p, unsigned by, unsigned choice)
{
    struct crdt_op op;
    struct crdt_state delta;
    if (p->fencer[by] != 0) {
        return false; /* it issues no dot any more */
    }
    letter(choice, by, &op);
    unsigned to = op.to.node - 1;
    bool decided = false;
    if (op.verb == CRDT_FENCE) {
        if (p->fencer[to] != 0 && p->fencer[to] != by + 1) {
            return false; /* another one does that */
        }
        decided = p->fencer[to] == 0;
        p->fencer[to] = by + 1;
        op.number = p->last[to];
    }
    op.dot = (struct crdt_dot){.actor = actor(by), .counter = p->last[by] + 1};
    crdt_state_init(&delta, &m->alloc);
    int err = crdt_delta(&p->at[by], &m->counter, &op, &m->limits, &delta);
    bool changes = err == 0 && !crdt_state_empty(&delta);
    ck_assert_msg(err == 0 || err == ERR_NO_RIGHTS || err == ERR_FENCED || err == ERR_BEHIND,
                  "verb %d: %s", (int)op.verb, err_name(err));
    if (changes) {
        ck_assert_int_eq(crdt_join(&p->at[by], &delta), 0);
        p->last[by]++;
        m->used += op.verb == CRDT_ADD && op.amount < 0;
        m->fenced += op.verb == CRDT_FENCE;
    }
    crdt_state_release(&delta);
    return changes || decided;
}

static bool merge(struct point *p, unsigned into, unsigned from)
{
    if (into == from || crdt_leq(&p->at[from], &p->at[into])) {
        return false;
    }
    ck_assert_int_eq(crdt_join(&p->at[into], &p->at[from]), 0);
    return true;
}

static bool make(struct model *m, struct point *p, unsigned move)
{
    if (move < ACTORS * LETTERS) {
        return operate(m, p, move / LETTERS, move % LETTERS);
    }
    move -= ACTORS * LETTERS;
    return merge(p, move / ACTORS, move % ACTORS);
}

/* ---- what holds ----------------------------------------------------------------------------- */

static void check_state(const struct model *m, const struct crdt_state *s)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < ACTORS; i++) {
        int64_t rights = crdt_rights(s, &m->counter, actor(i));
        ck_assert_int_ge(rights, 0);
        sum += rights;
    }
    ck_assert_int_eq(crdt_counter(s, &m->counter), sum);
}

static void check_point(const struct model *m, const struct point *p)
{
    struct crdt_state all;
    crdt_state_init(&all, &m->alloc);
    for (unsigned i = 0; i < ACTORS; i++) {
        check_state(m, &p->at[i]);
        ck_assert_int_eq(crdt_join(&all, &p->at[i]), 0);
    }
    check_state(m, &all);
    crdt_state_release(&all);
}

/* ---- the walk ------------------------------------------------------------------------------- */

static uint64_t hash_point(const struct model *m, const struct point *p)
{
    struct buf bytes;
    buf_init(&bytes, &m->alloc, 1u << 20);
    for (unsigned i = 0; i < ACTORS; i++) {
        ck_assert_int_eq(crdt_encode(&p->at[i], &bytes), 0);
        ck_assert_int_eq(buf_put_u8(&bytes, (uint8_t)p->fencer[i]), 0);
    }
    uint64_t h = hash_of(buf_view(&bytes), 1);
    buf_release(&bytes);
    return h;
}

/* returns: whether the point was met before with at least as many steps left. */
static bool met(struct model *m, const struct point *p, unsigned depth)
{
    uint64_t h = hash_point(m, p) & ~(uint64_t)15;
    uint64_t *slot = &m->seen[(h >> 8) % SEEN_MAX];
    if ((*slot & ~(uint64_t)15) == h && (*slot & 15) <= depth + 1) {
        return true;
    }
    *slot = h | (depth + 1);
    return false;
}

static void walk(struct model *m)
{
    unsigned depth = 0;
    for (;;) {
        struct point *here = &m->path[depth];
        if (here->move == MOVES || depth == m->steps) {
            if (depth == 0) {
                return;
            }
            depth--;
            continue;
        }
        struct point *next = here + 1;
        unsigned move = here->move++;
        point_copy(m, next, here);
        if (make(m, next, move)) {
            check_point(m, next);
            depth += !met(m, next, depth + 1);
        }
    }
}

START_TEST(no_interleaving_takes_a_bounded_counter_below_its_bound)
{
    static struct model m;
    const char *given = getenv("HOLDFAST_STEPS");
    m.alloc = alloc_heap();
    m.limits = crdt_limits_default();
    m.steps = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 5;
    m.seen = calloc(SEEN_MAX, sizeof(*m.seen));
    ck_assert_ptr_nonnull(m.seen);
    ck_assert_uint_lt(m.steps, STEPS_MAX);
    crdt_path_init(&m.counter, CRDT_BOUNDED);
    for (unsigned i = 0; i <= STEPS_MAX; i++) {
        for (unsigned j = 0; j < ACTORS; j++) {
            crdt_state_init(&m.path[i].at[j], &m.alloc);
        }
    }
    walk(&m);
    printf("steps=%u moves=%llu uses=%llu fences=%llu\n", m.steps, m.points, m.used, m.fenced);
    ck_assert_uint_gt(m.used, 1000);
    ck_assert_uint_gt(m.fenced, 1000);
    for (unsigned i = 0; i <= STEPS_MAX; i++) {
        for (unsigned j = 0; j < ACTORS; j++) {
            crdt_state_release(&m.path[i].at[j]);
        }
    }
    free(m.seen);
}
END_TEST

/* ---- who holds how much --------------------------------------------------------------------- */

#define HOLDERS 12u /* actors: three nodes of four epochs */
#define REPLICAS 3u
#define HISTORIES 300u

static struct crdt_actor holder(uint64_t i)
{
    return (struct crdt_actor){.node = (uint32_t)(1 + i / 4), .epoch = 1 + i % 4};
}

struct story {
    struct crdt_state at[REPLICAS];
    struct crdt_path counters[2]; /* neighbours: the name of one begins that of the other */
    uint64_t last[HOLDERS];
    struct rng rng;
};

static struct crdt_op story_draw(struct story *w, uint64_t by)
{
    struct crdt_op op = {.verb = CRDT_ADD, .amount = 1 + (int64_t)rng_below(&w->rng, 9)};
    uint64_t to = rng_below(&w->rng, HOLDERS);
    op.dot = (struct crdt_dot){.actor = holder(by), .counter = w->last[by] + 1};
    op.to = holder(to);
    switch (rng_below(&w->rng, 8)) {
    case 0:
        op.verb = CRDT_GRANT; /* by whoever: always the same */
        op.number = 1 + rng_below(&w->rng, 3);
        op.to = holder(op.number);
        op.amount = 5;
        break;
    case 1: op.amount = INT64_MAX / 2; break; /* sums beyond what a number holds */
    case 2:
    case 3:
    case 4: op.verb = CRDT_TRANSFER; break;
    case 5: op.amount = -op.amount; break;
    case 6:
        op.verb = CRDT_FENCE;
        op.number = w->last[to];
        break;
    default: break;
    }
    return op;
}

static void story_step(struct story *w)
{
    const struct crdt_limits limits = crdt_limits_default();
    struct crdt_state delta;
    uint64_t by = rng_below(&w->rng, HOLDERS);
    struct crdt_state *s = &w->at[by % REPLICAS]; /* an actor is at one place */
    if (rng_below(&w->rng, 4) == 0) {
        ck_assert_int_eq(crdt_join(s, &w->at[rng_below(&w->rng, REPLICAS)]), 0);
        return;
    }
    struct crdt_op op = story_draw(w, by);
    crdt_state_init(&delta, &s->alloc);
    if (crdt_delta(s, &w->counters[rng_below(&w->rng, 2)], &op, &limits, &delta) == 0 &&
        !crdt_state_empty(&delta)) {
        ck_assert_int_eq(crdt_join(s, &delta), 0);
        w->last[by]++;
    }
    crdt_state_release(&delta);
}

/* returns: how many hold something. */
static uint64_t holders_check(const struct crdt_state *s, const struct crdt_path *path,
                              unsigned long long seed)
{
    struct crdt_holders all;
    struct crdt_holder one = {.rights = 0};
    uint64_t count = 0;
    ck_assert_int_eq(crdt_holders_get(s, path, &all), 0);
    uint32_t said = all.count;
    for (uint64_t i = 0; i < HOLDERS; i++) {
        int64_t rights = crdt_rights(s, path, holder(i));
        if (rights > 0) {
            ck_assert_msg(crdt_holders_take(&all, &one), "seed %llu: one is missing", seed);
            ck_assert_msg(crdt_actor_compare(one.actor, holder(i)) == 0 && one.rights == rights,
                          "seed %llu: %lld of actor %llu", seed, (long long)one.rights,
                          (unsigned long long)i);
            count++;
        }
    }
    ck_assert_msg(!crdt_holders_take(&all, &one), "seed %llu: one too many", seed);
    ck_assert_uint_eq(said, count);
    crdt_holders_release(&all);
    return count;
}

static uint64_t story_run(const struct alloc *alloc, unsigned long long seed)
{
    struct story w = {.last = {0}};
    uint64_t holders = 0;
    rng_init(&w.rng, seed);
    for (unsigned i = 0; i < 2; i++) {
        struct bytes name = bytes_of((const uint8_t *)"ab", 1 + i);
        crdt_path_init(&w.counters[i], CRDT_MAP);
        ck_assert_int_eq(crdt_path_push(&w.counters[i], name, CRDT_BOUNDED), 0);
    }
    for (unsigned i = 0; i < REPLICAS; i++) {
        crdt_state_init(&w.at[i], alloc);
    }
    for (unsigned steps = 10 + (unsigned)rng_below(&w.rng, 150); steps > 0; steps--) {
        story_step(&w);
    }
    for (unsigned i = 0; i < REPLICAS; i++) {
        holders += holders_check(&w.at[i], &w.counters[0], seed);
        holders += holders_check(&w.at[i], &w.counters[1], seed);
        crdt_state_release(&w.at[i]);
    }
    return holders;
}

START_TEST(all_holders_in_one_walk_are_those_found_one_by_one)
{
    const struct alloc alloc = alloc_heap();
    unsigned long long first = unit_seed("crdt_holders", 1);
    uint64_t holders = 0;
    for (unsigned long long seed = first; seed < first + HISTORIES; seed++) {
        holders += story_run(&alloc, seed);
    }
    printf("holders=%llu\n", (unsigned long long)holders);
    ck_assert_uint_gt(holders, HISTORIES * REPLICAS);
}
END_TEST

/* Who was given rights may never have written anything itself. */
START_TEST(who_was_only_given_rights_is_among_the_holders)
{
    const struct alloc alloc = alloc_heap();
    const struct crdt_limits limits = crdt_limits_default();
    const struct crdt_op ops[] = {
        {.verb = CRDT_ADD, .dot = {.actor = holder(0), .counter = 1}, .amount = 5},
        {.verb = CRDT_TRANSFER,
         .dot = {.actor = holder(0), .counter = 2},
         .amount = 2,
         .to = holder(7)}};
    struct crdt_state s;
    struct crdt_path path;
    struct crdt_holders all;
    struct crdt_holder one = {.rights = 0};
    crdt_state_init(&s, &alloc);
    crdt_path_init(&path, CRDT_BOUNDED);
    for (unsigned i = 0; i < 2; i++) {
        struct crdt_state delta;
        crdt_state_init(&delta, &alloc);
        ck_assert_int_eq(crdt_delta(&s, &path, &ops[i], &limits, &delta), 0);
        ck_assert_int_eq(crdt_join(&s, &delta), 0);
        crdt_state_release(&delta);
    }
    ck_assert_int_eq(crdt_holders_get(&s, &path, &all), 0);
    ck_assert_uint_eq(all.count, 2);
    ck_assert(crdt_holders_take(&all, &one));
    ck_assert_int_eq(one.rights, 3);
    ck_assert(crdt_holders_take(&all, &one));
    ck_assert_int_eq(crdt_actor_compare(one.actor, holder(7)), 0);
    ck_assert_int_eq(one.rights, 2);
    crdt_holders_release(&all);
    crdt_state_release(&s);
}
END_TEST

/* What was counted so far is given back. */
START_TEST(holders_without_memory_are_refused_whole)
{
    struct alloc_budget budget;
    const struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), 1u << 20);
    const struct crdt_limits limits = crdt_limits_default();
    struct crdt_state s;
    struct crdt_path path;
    struct crdt_holders all;
    int err = ERR_NO_MEMORY;
    crdt_state_init(&s, &alloc);
    crdt_path_init(&path, CRDT_BOUNDED);
    for (uint64_t i = 0; i < HOLDERS; i++) {
        const struct crdt_op op = {
            .verb = CRDT_ADD, .dot = {.actor = holder(i), .counter = 1}, .amount = 5};
        struct crdt_state delta;
        crdt_state_init(&delta, &alloc);
        ck_assert_int_eq(crdt_delta(&s, &path, &op, &limits, &delta), 0);
        ck_assert_int_eq(crdt_join(&s, &delta), 0);
        crdt_state_release(&delta);
    }
    uint64_t failed = 0;
    for (uint64_t n = 1; err == ERR_NO_MEMORY; n++) {
        budget.requests = 0;
        budget.fail_at = n;
        err = crdt_holders_get(&s, &path, &all);
        failed += err == ERR_NO_MEMORY;
    }
    ck_assert_int_eq(err, 0);
    ck_assert_uint_eq(failed, HOLDERS); /* one request an actor, whatever the accounts */
    crdt_holders_release(&all);
    crdt_state_release(&s);
    ck_assert_uint_eq(budget.used_bytes, 0);
}
END_TEST

UNIT_MAIN("crdt_bounded", no_interleaving_takes_a_bounded_counter_below_its_bound,
          all_holders_in_one_walk_are_those_found_one_by_one,
          who_was_only_given_rights_is_among_the_holders, holders_without_memory_are_refused_whole)
