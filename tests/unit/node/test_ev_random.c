/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode against the kernel: random histories of replicas that are stores of single records,
 * each with a shadow that is a whole state of the kernel and gets the same operations and joins.
 * After every step a replica and its shadow are one; in the end all replicas hold what a state
 * holds that joined every delta. Where catching up may end in the middle of its pages there is no
 * shadow; the end is the same.
 */
#include "base/num.h"
#include "base/rng.h"
#include "server/node/eventual_peers_internal.h"
#include "tests/unit/node/ev_rig.h"
#include "tests/unit/unit.h"

#define KEYS 3u
#define STEPS 70u
#define COMMANDS_MAX 80u
#define WALL UINT64_C(1700000000000000)

static const char *const names[KEYS] = {"{t}k0", "{t}k1", "{t}k2"};
static const char *const words[3] = {"a", "b", "c"};

struct command {
    unsigned replica;
    unsigned note; /* its place among the replica's notes */
    struct crdt_state delta[KEYS];
};
struct history {
    struct alloc heap;
    struct rng rng;
    bool exact; /* shadows are kept */
    unsigned replicas;
    uint8_t region;
    uint8_t roots[KEYS];
    uint8_t leaves[2];
    struct ev_replica *r[EV_REPLICAS_MAX];
    struct crdt_state shadow[EV_REPLICAS_MAX][KEYS];
    uint64_t shadow_time[EV_REPLICAS_MAX];
    struct command commands[COMMANDS_MAX];
    unsigned count;
    unsigned next[EV_REPLICAS_MAX][EV_REPLICAS_MAX];  /* [from][to]: of from's commands */
    unsigned joined, behind, paged, dropped, refused; /* what was met, for the end */
};

static unsigned below(struct history *h, unsigned n)
{
    return (unsigned)rng_below(&h->rng, n);
}

/* ---- operations ----------------------------------------------------------------------------- */

static void choose_verb(struct history *h, uint8_t type, struct crdt_op *op)
{
    op->value = bytes_of_text(words[below(h, 3)]);
    op->amount = (int64_t)below(h, 7) - 3;
    op->verb = CRDT_ADD;
    switch (type) {
    case CRDT_G_COUNTER: op->amount = 1 + below(h, 3); break;
    case CRDT_LWW:
    case CRDT_MV:
    case CRDT_MAX:
    case CRDT_MIN: op->verb = CRDT_SET; break;
    case CRDT_EW_FLAG:
    case CRDT_DW_FLAG: op->verb = below(h, 2) == 0 ? CRDT_ENABLE : CRDT_DISABLE; break;
    case CRDT_AW_SET:
    case CRDT_RW_SET: op->verb = below(h, 2) == 0 ? CRDT_ADD : CRDT_REMOVE; break;
    case CRDT_MAP: op->verb = CRDT_REMOVE; break;
    case CRDT_BOUNDED:
        op->to = (struct crdt_actor){1 + below(h, h->replicas), 7};
        op->number = 1 + below(h, 2);
        op->verb = below(h, 3) != 0 ? CRDT_ADD : below(h, 2) == 0 ? CRDT_TRANSFER : CRDT_GRANT;
        op->amount = op->verb == CRDT_GRANT ? 5 : op->amount;
        break;
    default: break;
    }
}

/* returns: the key. */
static unsigned choose_op(struct history *h, struct node_ev_op *op)
{
    unsigned key = below(h, KEYS);
    *op = (struct node_ev_op){.space = bytes_of_text("default"), .name = bytes_of_text(names[key])};
    uint8_t type = below(h, 30) == 0 ? (uint8_t)(1 + below(h, CRDT_TYPES)) : h->roots[key];
    crdt_path_init(&op->path, (enum crdt_type)type);
    while (type == CRDT_MAP && op->path.count < 2 && below(h, 4) != 0) {
        type = below(h, 4) == 0 ? CRDT_MAP : h->leaves[below(h, 2)];
        ck_assert_int_eq(
            crdt_path_push(&op->path, bytes_of_text(words[below(h, 2)]), (enum crdt_type)type), 0);
    }
    choose_verb(h, type, &op->op);
    return key;
}

/* ---- shadows -------------------------------------------------------------------------------- */

/* All keys of a region share a context. */
static void share(struct crdt_state *states, const struct crdt_context *seen)
{
    for (unsigned k = 0; k < KEYS; k++) {
        ck_assert_int_eq(crdt_context_join(&states[k].seen, seen), 0);
    }
}

static void join_all(struct crdt_state *states, const struct crdt_state *others)
{
    for (unsigned k = 0; k < KEYS; k++) {
        ck_assert_int_eq(crdt_join(&states[k], &others[k]), 0);
    }
}

/* What the command does to a replica's shadow. returns: what it is refused with. */
static int shadow_update(struct history *h, unsigned i, const struct node_ev_op *ops,
                         const unsigned *keys, unsigned count, struct crdt_state *delta)
{
    struct crdt_limits limits = crdt_limits_default();
    struct crdt_state work[KEYS];
    uint64_t time_us = h->shadow_time[i];
    int err = 0;
    for (unsigned k = 0; k < KEYS; k++) {
        crdt_state_init(&work[k], &h->heap);
        ck_assert_int_eq(crdt_state_copy(&work[k], &h->shadow[i][k]), 0);
    }
    for (unsigned n = 0; n < count && err == 0; n++) {
        struct crdt_op op = ops[n].op;
        struct crdt_state one;
        op.dot.actor = (struct crdt_actor){i + 1, 7};
        op.dot.counter = crdt_context_last(&work[0].seen, op.dot.actor) + 1;
        op.time_us = NUM_MAX(WALL, time_us + 1);
        crdt_state_init(&one, &h->heap);
        err = crdt_delta(&work[keys[n]], &ops[n].path, &op, &limits, &one);
        if (err == 0 && one.seen.count > 0) {
            time_us = op.time_us;
            ck_assert_int_eq(crdt_join(&work[keys[n]], &one), 0);
            ck_assert_int_eq(crdt_join(&delta[keys[n]], &one), 0);
            share(work, &one.seen);
            share(delta, &one.seen);
        }
        crdt_state_release(&one);
    }
    for (unsigned k = 0; k < KEYS; k++) {
        if (err == 0) {
            ck_assert_int_eq(crdt_state_copy(&h->shadow[i][k], &work[k]), 0);
        }
        crdt_state_release(&work[k]);
    }
    h->shadow_time[i] = err == 0 ? time_us : h->shadow_time[i];
    return err;
}

/* A fragment as states of the kernel. */
static void fragment_states(struct history *h, struct bytes raw, struct crdt_state *states)
{
    struct node_ev_fragment f;
    struct node_ev_fragment_cursor c;
    struct bytes key;
    struct bytes record_key;
    struct bytes value;
    struct buf want;
    buf_init(&want, &h->heap, 256);
    node_ev_fragment_init(&f, &h->heap);
    ck_assert_int_eq(node_ev_fragment_decode(&f, raw), 0);
    share(states, &f.seen);
    node_ev_fragment_begin(&f, &c);
    while (node_ev_fragment_next(&c, &key, &record_key, &value)) {
        for (unsigned k = 0; k < KEYS; k++) {
            ev_key(names[k], &want);
            if (bytes_equal(key, buf_view(&want))) {
                ck_assert_int_eq(node_ev_record_load(&states[k], record_key, value), 0);
            }
        }
    }
    node_ev_fragment_release(&f);
    buf_release(&want);
}

static bool may_join(struct history *h, unsigned to, struct bytes raw)
{
    struct node_ev_fragment f;
    node_ev_fragment_init(&f, &h->heap);
    ck_assert_int_eq(node_ev_fragment_decode(&f, raw), 0);
    bool may = crdt_may_join(&h->r[to]->regions[h->region].seen, &f.before);
    node_ev_fragment_release(&f);
    return may;
}

/* The replica holds what these states hold. */
static void check_is(struct history *h, unsigned i, const struct crdt_state *states)
{
    ck_assert(crdt_context_equal(&h->r[i]->regions[h->region].seen, &states[0].seen));
    for (unsigned k = 0; k < KEYS; k++) {
        struct crdt_state got;
        crdt_state_init(&got, &h->heap);
        ev_read(h->r[i], names[k], &got);
        ck_assert_int_eq(crdt_context_join(&got.seen, &states[k].seen), 0);
        ck_assert(crdt_state_equal(&got, &states[k]));
        crdt_state_release(&got);
    }
}

static void check(struct history *h, unsigned i)
{
    ev_check(h->r[i], h->region);
    if (h->exact) {
        check_is(h, i, h->shadow[i]);
    }
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void step_update(struct history *h)
{
    unsigned i = below(h, h->replicas);
    unsigned count = below(h, 3) == 0 ? 1 + below(h, 3) : 1;
    struct node_ev_op ops[3];
    unsigned keys[3];
    struct command *c = &h->commands[h->count];
    for (unsigned k = 0; k < KEYS; k++) {
        crdt_state_init(&c->delta[k], &h->heap);
    }
    for (unsigned n = 0; n < count; n++) {
        keys[n] = choose_op(h, &ops[n]);
    }
    unsigned before = h->r[i]->notes_count;
    int err = ev_update(h->r[i], ops, count, WALL);
    if (h->exact) {
        ck_assert_int_eq(err, shadow_update(h, i, ops, keys, count, c->delta));
    }
    h->refused += err != 0;
    bool noted = err == 0 && h->r[i]->notes_count > before;
    if (noted) {
        struct crdt_state told[KEYS];
        for (unsigned k = 0; k < KEYS; k++) {
            crdt_state_init(&told[k], &h->heap);
        }
        fragment_states(h, ev_last(h->r[i]), told);
        for (unsigned k = 0; k < KEYS; k++) {
            ck_assert(!h->exact || crdt_state_equal(&told[k], &c->delta[k]));
            crdt_state_release(&c->delta[k]);
            c->delta[k] = told[k];
        }
        c->replica = i;
        c->note = before;
        h->count++;
    } else {
        for (unsigned k = 0; k < KEYS; k++) {
            crdt_state_release(&c->delta[k]);
        }
    }
    check(h, i);
}

/* returns: the n-th command of a replica, or NULL. */
static const struct command *command_of(const struct history *h, unsigned replica, unsigned n)
{
    for (unsigned i = 0; i < h->count; i++) {
        if (h->commands[i].replica == replica && n-- == 0) {
            return &h->commands[i];
        }
    }
    return NULL;
}

static struct bytes fragment_of(const struct history *h, const struct command *c)
{
    return buf_view(&h->r[c->replica]->notes[c->note].fragment);
}

/* Some commands in order, from the n-th on: each as a fragment, or merged into one. */
static void deliver(struct history *h, unsigned from, unsigned to, unsigned n, unsigned most)
{
    struct bytes all[4];
    const struct command *c[4];
    struct buf merged;
    unsigned count = 0;
    while (count < most && (c[count] = command_of(h, from, n + count)) != NULL) {
        all[count] = fragment_of(h, c[count]);
        count++;
    }
    if (count == 0) {
        return;
    }
    buf_init(&merged, &h->heap, NODE_EV_FRAGMENT_MAX);
    bool one = below(h, 2) == 0;
    if (one) {
        ck_assert_int_eq(node_ev_merge(all, count, &h->heap, &merged), 0);
        all[0] = buf_view(&merged);
    }
    bool may = may_join(h, to, all[0]);
    int err = ev_join(h->r[to], all, one ? 1 : count);
    buf_release(&merged);
    ck_assert(err == (may ? 0 : ERR_BEHIND) || (err == ERR_BEHIND && count > 1 && !one));
    h->behind += err != 0;
    if (err == 0) {
        h->joined++;
        for (unsigned i = 0; i < count && h->exact; i++) {
            join_all(h->shadow[to], c[i]->delta);
        }
        h->shadow_time[to] = h->r[to]->regions[h->region].time_us;
        h->next[from][to] = NUM_MAX(h->next[from][to], n + count);
    }
    check(h, to);
}

static void step_deliver(struct history *h, unsigned from, unsigned to)
{
    unsigned next = h->next[from][to];
    switch (below(h, 6)) {
    case 0: deliver(h, from, to, below(h, next + 1), 1); break;            /* again */
    case 1: h->next[from][to] += command_of(h, from, next) != NULL; break; /* lost */
    case 2: deliver(h, from, to, next, 1 + below(h, 4)); break;
    default: deliver(h, from, to, next, 1); break;
    }
}

static void step_pages(struct history *h, unsigned from, unsigned to)
{
    struct ev_pages how = {.region = h->region, .all_parts = 1 + below(h, 3)};
    how.parts = h->exact ? how.all_parts : 1 + below(h, how.all_parts);
    how.all = below(h, 4) == 0;
    ck_assert_int_eq(ev_pages(h->r[to], h->r[from], &how), 0);
    h->paged++;
    if (h->exact) {
        join_all(h->shadow[to], h->shadow[from]);
        h->shadow_time[to] = h->r[to]->regions[h->region].time_us;
    }
    check(h, to);
}

static bool context_has_range(const struct crdt_context *c, struct crdt_range r)
{
    struct crdt_context one = {.ranges = &r, .count = 1};
    return crdt_context_leq(&one, c);
}

/* What everybody has seen. Dots are few: they are tried one by one. */
static void stable_of(struct history *h, struct crdt_context *stable)
{
    const struct crdt_context *first = &h->r[0]->regions[h->region].seen;
    for (size_t i = 0; i < first->count; i++) {
        for (uint64_t n = first->ranges[i].from; n <= first->ranges[i].to; n++) {
            struct crdt_range dot = {first->ranges[i].actor, n, n};
            bool all = true;
            for (unsigned r = 1; r < h->replicas; r++) {
                all = all && context_has_range(&h->r[r]->regions[h->region].seen, dot);
            }
            if (all) {
                ck_assert_int_eq(crdt_context_add(stable, &dot), 0);
            }
        }
    }
}

static void step_drop(struct history *h)
{
    struct crdt_context stable;
    unsigned i = below(h, h->replicas);
    crdt_context_init(&stable, &h->heap);
    stable_of(h, &stable);
    h->dropped += ev_drop(h->r[i], h->region, &stable);
    crdt_context_release(&stable);
    check(h, i);
}

/* Everybody catches up with everybody, by what pages show alone. */
static void settle(struct history *h)
{
    struct ev_pages how = {.region = h->region, .parts = 1, .all_parts = 1};
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned from = 0; from < h->replicas; from++) {
            for (unsigned to = 0; to < h->replicas; to++) {
                if (from != to) {
                    ck_assert_int_eq(ev_pages(h->r[to], h->r[from], &how), 0);
                    join_all(h->shadow[to], h->shadow[from]);
                    h->shadow_time[to] = h->r[to]->regions[h->region].time_us;
                    check(h, to);
                }
            }
        }
    }
}

static void step(struct history *h)
{
    unsigned from = below(h, h->replicas);
    unsigned to = (from + 1 + below(h, h->replicas - 1)) % h->replicas;
    switch (below(h, 20)) {
    case 0:
    case 1: step_pages(h, from, to); break;
    case 2: step_drop(h); break;
    case 3:
        if (below(h, 2) == 0) {
            settle(h);
            step_drop(h);
        }
        break;
    case 4:
    case 5:
    case 6:
    case 7:
    case 8: step_update(h); break;
    default: step_deliver(h, from, to); break;
    }
}

/* ---- histories ------------------------------------------------------------------------------ */

static void begin(struct history *h, uint64_t seed, bool exact)
{
    *h = (struct history){.heap = alloc_heap(), .exact = exact};
    rng_init(&h->rng, seed);
    h->replicas = 3 + below(h, 3);
    h->region = node_ev_region(bytes_of_text(names[0]));
    for (unsigned k = 0; k < KEYS; k++) {
        h->roots[k] = (uint8_t)(below(h, 2) == 0 ? CRDT_MAP : 1 + below(h, CRDT_TYPES));
    }
    for (unsigned k = 0; k < 2; k++) {
        h->leaves[k] = (uint8_t)(1 + below(h, CRDT_TYPES));
    }
    for (unsigned i = 0; i < h->replicas; i++) {
        h->r[i] = ev_new(i + 1, 7);
        h->r[i]->store.log_time_us = WALL;
        for (unsigned k = 0; k < KEYS; k++) {
            crdt_state_init(&h->shadow[i][k], &h->heap);
        }
    }
}

static void check_end(struct history *h)
{
    struct crdt_state all[KEYS];
    for (unsigned k = 0; k < KEYS; k++) {
        crdt_state_init(&all[k], &h->heap);
    }
    for (unsigned i = 0; i < h->count; i++) {
        join_all(all, h->commands[i].delta);
    }
    settle(h);
    struct hash_digest first = node_ev_region_hash(&h->r[0]->regions[h->region]);
    for (unsigned i = 0; i < h->replicas; i++) {
        struct hash_digest hash = node_ev_region_hash(&h->r[i]->regions[h->region]);
        check_is(h, i, all);
        ck_assert(hash.low == first.low && hash.high == first.high);
        (void)ev_drop(h->r[i], h->region, &all[0].seen);
        ev_check(h->r[i], h->region);
        ck_assert(ev_same(h->r[0], h->r[i], true));
    }
    for (unsigned k = 0; k < KEYS; k++) {
        crdt_state_release(&all[k]);
    }
}

static void end(struct history *h)
{
    for (unsigned i = 0; i < h->count; i++) {
        for (unsigned k = 0; k < KEYS; k++) {
            crdt_state_release(&h->commands[i].delta[k]);
        }
    }
    for (unsigned i = 0; i < h->replicas; i++) {
        for (unsigned k = 0; k < KEYS; k++) {
            crdt_state_release(&h->shadow[i][k]);
        }
        ev_free(h->r[i]);
    }
}

static void run(const char *test, unsigned long long usual, bool exact)
{
    static struct history h;
    unsigned long long seed = unit_seed(test, usual);
    unsigned met[5] = {0};
    for (unsigned i = 0; i < 800; i++) {
        begin(&h, seed + i, exact);
        for (unsigned n = 0; n < STEPS; n++) {
            step(&h);
        }
        check_end(&h);
        const unsigned seen[5] = {h.joined, h.behind, h.paged, h.dropped, h.refused};
        for (unsigned k = 0; k < 5; k++) {
            met[k] += seen[k];
        }
        end(&h);
    }
    for (unsigned k = 0; k < 5; k++) {
        ck_assert_uint_gt(met[k], 500); /* else the histories show little */
    }
}

START_TEST(replicas_of_records_are_what_states_of_the_kernel_are) /* scenarios C23, C24, C35 */
{
    run("ev_random", 1, true);
}
END_TEST

START_TEST(catching_up_that_ends_halfway_comes_out_the_same) /* scenario C23 */
{
    run("ev_random_pages", 1, false);
}
END_TEST

UNIT_MAIN("ev_random", replicas_of_records_are_what_states_of_the_kernel_are,
          catching_up_that_ends_halfway_comes_out_the_same)
