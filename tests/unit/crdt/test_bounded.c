/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The small model of the bounded counter: every interleaving of additions, uses, transfers, a
 * grant, fences and merges of three actors, so many steps long. Nowhere, and not in the join of
 * everything either, is the counter or anybody's rights below zero (scenarios C30, C32).
 *
 * HOLDFAST_STEPS=7 goes seven steps deep; the usual takes a few seconds.
 */
#include "base/hash.h"
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

UNIT_MAIN("crdt_bounded", no_interleaving_takes_a_bounded_counter_below_its_bound)
