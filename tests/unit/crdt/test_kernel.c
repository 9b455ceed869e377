/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kernel's promises one by one: what the header says of each type, of errors and of cost.
 */
#include "base/num.h"
#include "crdt/crdt.h"
#include "tests/unit/unit.h"

#include <string.h>

#define REPLICAS 3u

static struct alloc heap;
static struct crdt_limits limits;
static struct crdt_state at[REPLICAS];

static void set_up(void)
{
    heap = alloc_heap();
    limits = crdt_limits_default();
    for (unsigned i = 0; i < REPLICAS; i++) {
        crdt_state_init(&at[i], &heap);
    }
}

static void tear_down(void)
{
    for (unsigned i = 0; i < REPLICAS; i++) {
        crdt_state_release(&at[i]);
    }
}

static struct crdt_actor actor(unsigned replica)
{
    return (struct crdt_actor){.node = replica + 1, .epoch = 1};
}

/* Makes an operation at a replica; delta, if not NULL, gets it (released by the caller). */
static int act(unsigned replica, const struct crdt_path *path, struct crdt_op op,
               struct crdt_state *delta)
{
    struct crdt_state made;
    if (op.dot.actor.node == 0) {
        op.dot.actor = actor(replica);
    }
    if (op.dot.counter == 0) {
        op.dot.counter = crdt_context_last(&at[replica].seen, op.dot.actor) + 1;
    }
    crdt_state_init(&made, &heap);
    int err = crdt_delta(&at[replica], path, &op, &limits, &made);
    if (err == 0) {
        ck_assert_int_eq(crdt_join(&at[replica], &made), 0);
    }
    if (err == 0 && delta != NULL) {
        *delta = made;
    } else {
        crdt_state_release(&made);
    }
    return err;
}

static void add(unsigned replica, const struct crdt_path *path, int64_t amount)
{
    ck_assert_int_eq(act(replica, path, (struct crdt_op){.verb = CRDT_ADD, .amount = amount}, NULL),
                     0);
}

static void with(unsigned replica, const struct crdt_path *path, enum crdt_verb verb,
                 const char *value)
{
    struct crdt_op op = {.verb = verb, .value = bytes_of_text(value)};
    ck_assert_int_eq(act(replica, path, op, NULL), 0);
}

static void merge(unsigned to, unsigned from)
{
    ck_assert_int_eq(crdt_join(&at[to], &at[from]), 0);
}

static struct crdt_path root(enum crdt_type type)
{
    struct crdt_path p;
    crdt_path_init(&p, type);
    return p;
}

static struct crdt_path field(const char *name, enum crdt_type type)
{
    struct crdt_path p = root(CRDT_MAP);
    ck_assert_int_eq(crdt_path_push(&p, bytes_of_text(name), type), 0);
    return p;
}

/* scenario C10: two replicas remove the same thing at the same time. */
START_TEST(concurrent_removals_of_one_element_are_one_on_every_replica)
{
    struct crdt_path set = root(CRDT_AW_SET);
    set_up();
    with(0, &set, CRDT_ADD, "row");
    merge(1, 0);
    merge(2, 0);
    with(0, &set, CRDT_REMOVE, "row");
    with(1, &set, CRDT_REMOVE, "row");
    merge(2, 1);
    merge(2, 0);
    merge(0, 1);
    ck_assert(!crdt_set_has(&at[2], &set, bytes_of_text("row")));
    ck_assert(crdt_state_equal(&at[0], &at[2]));
    tear_down();
}
END_TEST

static void set_at(unsigned replica, const struct crdt_path *path, const char *value, uint64_t us)
{
    struct crdt_op op = {.verb = CRDT_SET, .value = bytes_of_text(value), .time_us = us};
    ck_assert_int_eq(act(replica, path, op, NULL), 0);
}

static void winner_is(unsigned replica, const struct crdt_path *path, const char *value,
                      size_t siblings)
{
    struct crdt_sibling all[32];
    ck_assert_uint_eq(crdt_siblings(&at[replica], path, all, 32), siblings);
    ck_assert(bytes_equal(all[0].value, bytes_of_text(value)));
}

/* scenario C11 */
START_TEST(writes_with_one_time_have_one_winner_everywhere)
{
    struct crdt_path reg = root(CRDT_LWW);
    set_up();
    set_at(0, &reg, "zero", 500);
    set_at(1, &reg, "one", 500);
    merge(2, 0);
    merge(2, 1);
    merge(1, 0);
    winner_is(1, &reg, "one", 2);
    winner_is(2, &reg, "one", 2);
    tear_down();
}
END_TEST

/* scenario C11: even where an actor was cloned, the hash of the value decides, not the order. */
START_TEST(writes_with_one_time_and_actor_have_one_winner_everywhere)
{
    struct crdt_path reg = root(CRDT_LWW);
    struct crdt_sibling all[2][4];
    set_up();
    for (unsigned i = 0; i < 2; i++) {
        struct crdt_op op = {.verb = CRDT_SET,
                             .value = bytes_of_text(i == 0 ? "left" : "right"),
                             .time_us = 500,
                             .dot = {.actor = actor(0), .counter = i + 1}};
        ck_assert_int_eq(act(i, &reg, op, NULL), 0);
    }
    merge(2, 0);
    merge(2, 1);
    merge(1, 0);
    ck_assert_uint_eq(crdt_siblings(&at[1], &reg, all[0], 4), 2);
    ck_assert_uint_eq(crdt_siblings(&at[2], &reg, all[1], 4), 2);
    ck_assert(bytes_equal(all[0][0].value, all[1][0].value));
    tear_down();
}
END_TEST

/* scenario C12: what the kernel gives for it. */
START_TEST(a_later_write_wins_over_what_it_saw_whatever_its_clock_says)
{
    struct crdt_path reg = root(CRDT_LWW);
    set_up();
    set_at(0, &reg, "first", UINT64_C(9000000));
    merge(1, 0);
    set_at(1, &reg, "second", 5);
    merge(0, 1);
    winner_is(0, &reg, "second", 1);
    tear_down();
}
END_TEST

START_TEST(losers_stay_in_sight_for_a_day_and_sixteen_at_most)
{
    struct crdt_path reg = root(CRDT_LWW);
    char name[8];
    set_up();
    for (unsigned i = 0; i < 20; i++) {
        struct crdt_op op = {.verb = CRDT_SET, .time_us = 1000 + i};
        (void)snprintf(name, sizeof(name), "v%u", i);
        op.value = bytes_of_text(name);
        op.dot.actor = (struct crdt_actor){.node = 50 + i, .epoch = 1};
        ck_assert_int_eq(act(0, &reg, op, NULL), 0);
        merge(1, 0);
        crdt_state_clear(&at[0]); /* each is written knowing of no other */
    }
    winner_is(1, &reg, "v19", 1 + CRDT_LOSERS_MAX);
    set_at(1, &reg, "next", 2000);
    winner_is(1, &reg, "next", 1 + CRDT_LOSERS_MAX);
    ck_assert_uint_eq(at[1].entries, 1 + CRDT_LOSERS_MAX);
    set_at(1, &reg, "tomorrow", 1010 + CRDT_LOSERS_US);
    winner_is(1, &reg, "tomorrow", 1 + 8); /* v11 to v18 */
    tear_down();
}
END_TEST

/* scenario C17 */
START_TEST(two_replicas_that_are_one_actor_are_found_out)
{
    struct crdt_path set = root(CRDT_AW_SET);
    struct crdt_op op = {.verb = CRDT_ADD, .value = bytes_of_text("left")};
    struct crdt_state kept;
    set_up();
    op.dot = (struct crdt_dot){.actor = actor(0), .counter = 1};
    ck_assert_int_eq(act(0, &set, op, NULL), 0);
    op.value = bytes_of_text("right");
    ck_assert_int_eq(act(1, &set, op, NULL), 0);
    crdt_state_init(&kept, &heap);
    ck_assert_int_eq(crdt_state_copy(&kept, &at[0]), 0);
    ck_assert_int_eq(crdt_join(&at[0], &at[1]), ERR_CONFLICT);
    ck_assert(crdt_state_equal(&at[0], &kept));             /* and nothing is lost by it */
    ck_assert_int_eq(act(0, &set, op, NULL), ERR_CONFLICT); /* a used dot is refused */
    crdt_state_release(&kept);
    tear_down();
}
END_TEST

/* scenario C18 */
START_TEST(a_removal_that_comes_before_what_it_removes_is_not_deferred)
{
    struct crdt_path set = root(CRDT_AW_SET);
    struct crdt_state added;
    struct crdt_state removed;
    struct crdt_state back;
    struct buf bytes;
    set_up();
    struct crdt_op op = {.verb = CRDT_ADD, .value = bytes_of_text("x")};
    ck_assert_int_eq(act(0, &set, op, &added), 0);
    op.verb = CRDT_REMOVE;
    ck_assert_int_eq(act(0, &set, op, &removed), 0);
    ck_assert_int_eq(crdt_join(&at[1], &removed), 0);
    buf_init(&bytes, &heap, 1024); /* a restart between the two */
    crdt_state_init(&back, &heap);
    ck_assert_int_eq(crdt_encode(&at[1], &bytes), 0);
    ck_assert_int_eq(crdt_decode(&back, buf_view(&bytes), &limits), 0);
    ck_assert_int_eq(crdt_join(&back, &added), 0);
    ck_assert_int_eq(crdt_join(&back, &added), 0);
    ck_assert(!crdt_set_has(&back, &set, bytes_of_text("x")));
    ck_assert(crdt_state_equal(&back, &at[0]));
    buf_release(&bytes);
    crdt_state_release(&back);
    crdt_state_release(&added);
    crdt_state_release(&removed);
    tear_down();
}
END_TEST

/* scenario C19 */
START_TEST(an_early_removal_in_a_set_in_a_map_outlives_the_removal_of_the_field)
{
    struct crdt_path map = root(CRDT_MAP);
    struct crdt_path set = field("f", CRDT_AW_SET);
    struct crdt_state added;
    struct crdt_state removed;
    set_up();
    struct crdt_op op = {.verb = CRDT_ADD, .value = bytes_of_text("x")};
    ck_assert_int_eq(act(0, &set, op, &added), 0);
    op.verb = CRDT_REMOVE;
    ck_assert_int_eq(act(0, &set, op, &removed), 0);
    with(1, &set, CRDT_ADD, "y");
    ck_assert_int_eq(crdt_join(&at[1], &removed), 0);
    with(1, &map, CRDT_REMOVE, "f");
    ck_assert_int_eq(crdt_join(&at[1], &added), 0);
    ck_assert_uint_eq(at[1].entries, 0);
    with(1, &set, CRDT_ADD, "z");
    ck_assert(!crdt_set_has(&at[1], &set, bytes_of_text("x")));
    ck_assert(crdt_set_has(&at[1], &set, bytes_of_text("z")));
    crdt_state_release(&added);
    crdt_state_release(&removed);
    tear_down();
}
END_TEST

/* 5 at both; one removes the field while the other adds 2. */
static int64_t removed_while_added(enum crdt_type type)
{
    struct crdt_path map = root(CRDT_MAP);
    struct crdt_path counter = field("n", type);
    set_up();
    add(0, &counter, 5);
    merge(1, 0);
    with(1, &map, CRDT_REMOVE, "n");
    ck_assert_int_eq(crdt_counter(&at[1], &counter), 0);
    add(0, &counter, 2);
    merge(1, 0);
    merge(0, 1);
    ck_assert(crdt_state_equal(&at[0], &at[1]));
    int64_t value = crdt_counter(&at[0], &counter);
    tear_down();
    return value;
}

/* scenario C20 */
START_TEST(removing_a_counter_while_it_is_added_to_leaves_only_the_addition)
{
    ck_assert_int_eq(removed_while_added(CRDT_COUNTER), 2);
}
END_TEST

/* scenario C20: the documented other result. */
START_TEST(removing_a_counter_of_totals_while_it_is_added_to_brings_the_total_back)
{
    ck_assert_int_eq(removed_while_added(CRDT_PN_COUNTER), 7);
    ck_assert_int_eq(removed_while_added(CRDT_G_COUNTER), 7);
}
END_TEST

/* scenario C21 */
START_TEST(a_counter_removed_and_added_again_with_less_stays_less)
{
    static const enum crdt_type types[] = {CRDT_G_COUNTER, CRDT_PN_COUNTER, CRDT_COUNTER};
    struct crdt_path map = root(CRDT_MAP);
    for (unsigned i = 0; i < 3; i++) {
        struct crdt_path counter = field("n", types[i]);
        set_up();
        add(0, &counter, 100);
        merge(1, 0);
        merge(2, 0);
        with(0, &map, CRDT_REMOVE, "n");
        add(0, &counter, 3);
        merge(1, 0);
        merge(0, 2);
        merge(2, 1);
        ck_assert_int_eq(crdt_counter(&at[0], &counter), 3);
        ck_assert_int_eq(crdt_counter(&at[2], &counter), 3);
        tear_down();
    }
}
END_TEST

/* scenario C22 */
START_TEST(a_delta_before_its_predecessor_may_not_be_joined)
{
    struct crdt_path set = root(CRDT_AW_SET);
    struct crdt_context before;
    struct crdt_state delta;
    struct buf bytes;
    set_up();
    with(0, &set, CRDT_ADD, "x");
    merge(1, 0);
    struct crdt_op op = {.verb = CRDT_ADD, .value = bytes_of_text("y")};
    buf_init(&bytes, &heap, 1024);
    crdt_context_init(&before, &heap);
    ck_assert_int_eq(crdt_context_encode(&at[1].seen, &bytes), 0); /* as it travels */
    ck_assert_int_eq(crdt_context_decode(&before, buf_view(&bytes), &limits), 0);
    ck_assert_int_eq(act(1, &set, op, &delta), 0);
    ck_assert(!crdt_may_join(&at[2].seen, &before));
    merge(2, 0);
    ck_assert(crdt_may_join(&at[2].seen, &before));
    buf_release(&bytes);
    crdt_context_release(&before);
    crdt_state_release(&delta);
    tear_down();
}
END_TEST

/* scenario C24: add, remove and add again in one group, grouped either way round. */
START_TEST(a_group_of_deltas_is_what_they_are_one_by_one)
{
    struct crdt_path set = root(CRDT_AW_SET);
    static const enum crdt_verb verbs[] = {CRDT_ADD, CRDT_REMOVE, CRDT_ADD, CRDT_REMOVE};
    struct crdt_state delta[4];
    struct crdt_state group;
    set_up();
    for (unsigned i = 0; i < 4; i++) {
        struct crdt_op op = {.verb = verbs[i], .value = bytes_of_text("x")};
        ck_assert_int_eq(act(0, &set, op, &delta[i]), 0);
    }
    for (unsigned members = 0; members < 16; members++) {
        crdt_state_init(&group, &heap);
        crdt_state_clear(&at[1]);
        crdt_state_clear(&at[2]);
        for (unsigned i = 0; i < 8; i++) {
            unsigned one = i < 4 ? i : 7 - i; /* forward, then backward */
            if ((members >> one & 1) != 0) {
                ck_assert_int_eq(crdt_join(&group, &delta[one]), 0);
                ck_assert_int_eq(crdt_join(&at[1], &delta[3 - one]), 0);
            }
        }
        ck_assert_int_eq(crdt_join(&at[1], &group), 0);
        for (unsigned i = 0; i < 4; i++) {
            if ((members >> i & 1) != 0) {
                ck_assert_int_eq(crdt_join(&at[2], &delta[i]), 0);
                ck_assert_int_eq(crdt_join(&at[2], &delta[3 - i]), 0);
            }
        }
        ck_assert(crdt_state_equal(&at[1], &at[2]));
        crdt_state_release(&group);
    }
    for (unsigned i = 0; i < 4; i++) {
        crdt_state_release(&delta[i]);
    }
    tear_down();
}
END_TEST

/* scenario C29 */
START_TEST(a_counter_that_would_overflow_is_refused_and_unchanged)
{
    static const enum crdt_type types[] = {CRDT_PN_COUNTER, CRDT_COUNTER, CRDT_G_COUNTER,
                                           CRDT_BOUNDED};
    for (unsigned i = 0; i < 4; i++) {
        struct crdt_path counter = root(types[i]);
        set_up();
        add(0, &counter, INT64_MAX - 1);
        merge(1, 0);
        for (unsigned r = 0; r < 2; r++) {
            struct crdt_op op = {.verb = CRDT_ADD, .amount = 2};
            ck_assert_int_eq(act(r, &counter, op, NULL), ERR_OVERFLOW);
        }
        ck_assert_int_eq(crdt_counter(&at[0], &counter), INT64_MAX - 1);
        ck_assert(crdt_state_equal(&at[0], &at[1]));
        add(0, &counter, 1);
        ck_assert_int_eq(crdt_counter(&at[0], &counter), INT64_MAX);
        add(1, &counter, 1); /* apart, both fit; together the value is the nearest there is */
        add(2, &counter, 5);
        merge(0, 1);
        merge(0, 2);
        merge(2, 1);
        merge(2, 0);
        ck_assert_int_eq(crdt_counter(&at[0], &counter), INT64_MAX);
        ck_assert_int_eq(crdt_counter(&at[2], &counter), INT64_MAX);
        tear_down();
    }
}
END_TEST

START_TEST(a_counter_goes_down_to_the_least_number_and_no_further)
{
    struct crdt_path counter = root(CRDT_COUNTER);
    set_up();
    add(0, &counter, INT64_MIN);
    ck_assert_int_eq(crdt_counter(&at[0], &counter), INT64_MIN);
    struct crdt_op op = {.verb = CRDT_ADD, .amount = -1};
    ck_assert_int_eq(act(0, &counter, op, NULL), ERR_OVERFLOW);
    tear_down();
}
END_TEST

/* scenario C33 */
START_TEST(one_name_with_two_types_keeps_both_in_sight)
{
    struct crdt_path map = root(CRDT_MAP);
    struct crdt_path set = field("f", CRDT_AW_SET);
    struct crdt_path counter = field("f", CRDT_COUNTER);
    struct crdt_field seen = {0};
    set_up();
    with(0, &set, CRDT_ADD, "x");
    add(1, &counter, 4);
    ck_assert_int_eq(act(0, &counter, (struct crdt_op){.verb = CRDT_ADD, .amount = 1}, NULL),
                     ERR_WRONG_TYPE); /* the type is fixed by the first write */
    merge(0, 1);
    ck_assert(crdt_set_has(&at[0], &set, bytes_of_text("x")));
    ck_assert_int_eq(crdt_counter(&at[0], &counter), 4);
    ck_assert(crdt_map_next(&at[0], &map, &seen) && seen.type == CRDT_COUNTER);
    ck_assert(crdt_map_next(&at[0], &map, &seen) && seen.type == CRDT_AW_SET);
    ck_assert(bytes_equal(seen.name, bytes_of_text("f")));
    ck_assert(!crdt_map_next(&at[0], &map, &seen));
    add(0, &counter, 1); /* both exist: both may be written to */
    with(0, &map, CRDT_REMOVE, "f");
    ck_assert_uint_eq(at[0].entries, 0);
    with(0, &set, CRDT_ADD, "y");
    tear_down();
}
END_TEST

/* scenario C33, for the key itself */
START_TEST(one_key_with_two_types_says_so)
{
    struct crdt_path set = root(CRDT_AW_SET);
    struct crdt_path counter = root(CRDT_PN_COUNTER);
    bool several;
    set_up();
    ck_assert_uint_eq(crdt_root_type(&at[0], &several), 0);
    with(0, &set, CRDT_ADD, "x");
    add(1, &counter, 4);
    ck_assert_uint_eq(crdt_root_type(&at[0], &several), CRDT_AW_SET);
    ck_assert(!several);
    merge(0, 1);
    (void)crdt_root_type(&at[0], &several);
    ck_assert(several);
    tear_down();
}
END_TEST

static struct alloc_budget budget;

/* scenario C36: adding to a large set asks for as little memory as adding to a small one, and its
 * delta is small. */
START_TEST(adding_to_a_set_of_a_million_costs_what_the_addition_costs)
{
    struct crdt_path set = root(CRDT_AW_SET);
    struct crdt_state s;
    struct crdt_state delta;
    struct buf bytes;
    char name[24];
    uint64_t requests[2] = {0, 0};
    limits = crdt_limits_default();
    struct alloc counted = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
    crdt_state_init(&s, &counted);
    crdt_state_init(&delta, &counted);
    buf_init(&bytes, &counted, 4096);
    for (unsigned i = 1; i <= 1000000; i++) {
        struct crdt_op op = {.verb = CRDT_ADD, .dot = {.actor = {1, 1}, .counter = i}};
        (void)snprintf(name, sizeof(name), "element-%08u",
                       (unsigned)(i * UINT64_C(7919) % 1000003));
        op.value = bytes_of_text(name);
        uint64_t before = budget.requests;
        ck_assert_int_eq(crdt_delta(&s, &set, &op, &limits, &delta), 0);
        ck_assert_int_eq(crdt_join(&s, &delta), 0);
        uint64_t spent = budget.requests - before;
        requests[i > 10000] = NUM_MAX(requests[i > 10000], spent);
        if (i % 100 == 0) {
            buf_clear(&bytes);
            ck_assert_int_eq(crdt_encode(&delta, &bytes), 0);
            ck_assert_uint_lt(bytes.size, 200);
        }
        crdt_state_clear(&delta);
    }
    ck_assert_uint_le(requests[1], requests[0]);
    ck_assert_uint_eq(s.records, 1000000);
    ck_assert_uint_eq(s.seen.count, 1);
    buf_release(&bytes);
    crdt_state_release(&delta);
    crdt_state_release(&s);
    ck_assert_uint_eq(budget.used_bytes, 0);
}
END_TEST

/* scenario C37: 10,000 clients write through three nodes. */
START_TEST(the_context_grows_with_nodes_not_with_clients_or_writes)
{
    struct crdt_path counter = root(CRDT_PN_COUNTER);
    set_up();
    for (unsigned client = 0; client < 10000; client++) {
        add(client % REPLICAS, &counter, 1);
        merge((client + 1) % REPLICAS, client % REPLICAS);
    }
    merge(0, 1);
    merge(0, 2);
    ck_assert_uint_eq(at[0].seen.count, REPLICAS);
    ck_assert_uint_eq(at[0].entries, REPLICAS);
    ck_assert_int_eq(crdt_counter(&at[0], &counter), 10000);
    tear_down();
}
END_TEST

/* scenario C3. A lease of dots given up: the gap is sealed by adding it, and the ranges become one.
 */
START_TEST(a_sealed_gap_leaves_no_trace_in_the_context)
{
    struct crdt_path counter = root(CRDT_PN_COUNTER);
    set_up();
    add(0, &counter, 1);
    struct crdt_op op = {.verb = CRDT_ADD, .amount = 1};
    op.dot = (struct crdt_dot){.actor = actor(0), .counter = 1001};
    ck_assert_int_eq(act(0, &counter, op, NULL), 0);
    ck_assert_uint_eq(at[0].seen.count, 2);
    struct crdt_range gap = {.actor = actor(0), .from = 2, .to = 1000};
    ck_assert_int_eq(crdt_context_add(&at[0].seen, &gap), 0);
    ck_assert_uint_eq(at[0].seen.count, 1);
    ck_assert_uint_eq(crdt_context_last(&at[0].seen, actor(0)), 1001);
    ck_assert_int_eq(crdt_counter(&at[0], &counter), 2);
    tear_down();
}
END_TEST

START_TEST(maps_nest_to_depth_eight_and_no_deeper)
{
    struct crdt_path p = root(CRDT_MAP);
    struct crdt_field seen = {0};
    set_up();
    for (unsigned i = 1; i < CRDT_DEPTH_MAX; i++) {
        ck_assert_int_eq(crdt_path_push(&p, bytes_of_text("d"), CRDT_MAP), 0);
    }
    struct crdt_path parent = p;
    ck_assert_int_eq(crdt_path_push(&p, bytes_of_text("leaf"), CRDT_COUNTER), 0);
    add(0, &p, 9);
    ck_assert_int_eq(crdt_counter(&at[0], &p), 9);
    ck_assert(crdt_map_next(&at[0], &parent, &seen));
    ck_assert(bytes_equal(seen.name, bytes_of_text("leaf")));
    ck_assert_int_eq(crdt_path_push(&parent, bytes_of_text("d"), CRDT_MAP), 0);
    ck_assert_int_eq(crdt_path_push(&parent, bytes_of_text("d"), CRDT_MAP), ERR_TOO_LARGE);
    with(0, &(struct crdt_path){.types = {CRDT_MAP}}, CRDT_REMOVE, "d");
    ck_assert_uint_eq(at[0].entries, 0);
    tear_down();
}
END_TEST

START_TEST(sizes_beyond_the_limits_are_refused)
{
    struct crdt_path set = root(CRDT_AW_SET);
    struct crdt_op op = {.verb = CRDT_ADD, .value = bytes_of_text("12345")};
    set_up();
    limits.element_bytes_max = 4;
    ck_assert_int_eq(act(0, &set, op, NULL), ERR_TOO_LARGE);
    limits = crdt_limits_default();
    limits.elements_max = 1;
    ck_assert_int_eq(act(0, &set, op, NULL), 0);
    ck_assert_int_eq(act(0, &set, op, NULL), 0); /* again: no more than before */
    op.value = bytes_of_text("6");
    ck_assert_int_eq(act(0, &set, op, NULL), ERR_TOO_LARGE);
    op.verb = CRDT_REMOVE;
    op.value = bytes_of_text("12345");
    ck_assert_int_eq(act(0, &set, op, NULL), 0);
    limits.context_ranges_max = 1;
    op.verb = CRDT_ADD;
    op.dot.actor = actor(2);
    ck_assert_int_eq(act(0, &set, op, NULL), ERR_TOO_LARGE);
    limits.name_bytes_max = 2;
    struct crdt_path deep = field("abc", CRDT_COUNTER);
    ck_assert_int_eq(act(1, &deep, (struct crdt_op){.verb = CRDT_ADD, .amount = 1}, NULL),
                     ERR_TOO_LARGE);
    limits.value_bytes_max = 3;
    struct crdt_path reg = root(CRDT_MV);
    op = (struct crdt_op){.verb = CRDT_SET, .value = bytes_of_text("four")};
    ck_assert_int_eq(act(2, &reg, op, NULL), ERR_TOO_LARGE);
    tear_down();
}
END_TEST

START_TEST(verbs_that_a_type_does_not_have_are_refused)
{
    set_up();
    for (unsigned type = CRDT_G_COUNTER; type <= CRDT_TYPES; type++) {
        static const uint16_t has[] = {
            [CRDT_G_COUNTER] = 1 << CRDT_ADD,
            [CRDT_PN_COUNTER] = 1 << CRDT_ADD,
            [CRDT_COUNTER] = 1 << CRDT_ADD,
            [CRDT_LWW] = 1 << CRDT_SET,
            [CRDT_MV] = 1 << CRDT_SET,
            [CRDT_EW_FLAG] = 1 << CRDT_ENABLE | 1 << CRDT_DISABLE,
            [CRDT_DW_FLAG] = 1 << CRDT_ENABLE | 1 << CRDT_DISABLE,
            [CRDT_AW_SET] = 1 << CRDT_ADD | 1 << CRDT_REMOVE,
            [CRDT_RW_SET] = 1 << CRDT_ADD | 1 << CRDT_REMOVE,
            [CRDT_G_SET] = 1 << CRDT_ADD,
            [CRDT_MAX] = 1 << CRDT_SET,
            [CRDT_MIN] = 1 << CRDT_SET,
            [CRDT_HLL] = 1 << CRDT_ADD,
            [CRDT_MAP] = 1 << CRDT_REMOVE,
            [CRDT_BOUNDED] = 1 << CRDT_ADD | 1 << CRDT_TRANSFER | 1 << CRDT_GRANT | 1 << CRDT_FENCE,
        };
        struct crdt_path p = root((enum crdt_type)type);
        for (unsigned verb = CRDT_ADD; verb <= CRDT_FENCE; verb++) {
            struct crdt_op op = {.verb = (enum crdt_verb)verb, .amount = 1, .to = actor(1)};
            crdt_state_clear(&at[0]);
            int err = act(0, &p, op, NULL);
            ck_assert_int_eq(err == ERR_INVALID, (has[type] >> verb & 1) == 0);
        }
    }
    tear_down();
}
END_TEST

START_TEST(an_estimate_of_many_values_is_within_five_standard_errors)
{
    struct crdt_path hll = root(CRDT_HLL);
    char name[16];
    set_up();
    for (unsigned i = 0; i < 30000; i++) {
        (void)snprintf(name, sizeof(name), "user%u", i % 20000);
        with(i % 2, &hll, CRDT_ADD, name);
    }
    merge(0, 1);
    uint64_t estimate = crdt_hll(&at[0], &hll);
    ck_assert_uint_ge(estimate, 18400);
    ck_assert_uint_le(estimate, 21600);
    tear_down();
}
END_TEST

/* scenario C32: rights of a lost holder come back by a fence, once and not before all it did was
 * seen. */
START_TEST(rights_of_a_lost_holder_come_back_through_a_fence)
{
    struct crdt_path b = root(CRDT_BOUNDED);
    struct crdt_op grant = {.verb = CRDT_GRANT, .amount = 10, .number = 1, .to = actor(0)};
    struct crdt_op fence = {.verb = CRDT_FENCE, .to = actor(0), .number = 2};
    struct crdt_op more = {.verb = CRDT_ADD, .amount = -1};
    set_up();
    ck_assert_int_eq(act(0, &b, grant, NULL), 0);
    merge(1, 0);
    merge(2, 0);
    add(0, &b, -4); /* its second dot, and its last */
    ck_assert_int_eq(act(1, &b, fence, NULL), ERR_BEHIND);
    merge(1, 0);
    ck_assert_int_eq(act(1, &b, fence, NULL), 0);
    ck_assert_int_eq(crdt_rights(&at[1], &b, actor(1)), 6);
    ck_assert_int_eq(crdt_rights(&at[1], &b, actor(0)), 0);
    ck_assert_int_eq(act(1, &b, fence, NULL), 0); /* once */
    ck_assert_int_eq(crdt_rights(&at[1], &b, actor(1)), 6);
    merge(0, 1);
    merge(2, 1);
    ck_assert_int_eq(act(0, &b, more, NULL), ERR_FENCED);
    ck_assert_int_eq(act(2, &b, fence, NULL), ERR_FENCED);
    ck_assert_int_eq(act(2, &b, grant, NULL), 0); /* the same grant again is none */
    grant.number = 2;
    ck_assert_int_eq(act(2, &b, grant, NULL), ERR_FENCED);
    grant.number = 1;
    grant.amount = 11;
    ck_assert_int_eq(act(2, &b, grant, NULL), ERR_CONFLICT);
    ck_assert_int_eq(act(2, &b, more, NULL), ERR_NO_RIGHTS);
    add(1, &b, -6);
    ck_assert_int_eq(crdt_counter(&at[1], &b), 0);
    tear_down();
}
END_TEST

/* scenario C43 */
START_TEST(a_state_of_a_later_level_is_kept_and_given_back_unchanged)
{
    static const uint8_t later[] = {CRDT_LEVEL + 1, 0xff, 0x00, 0x81};
    struct crdt_path set = root(CRDT_AW_SET);
    struct bytes given = bytes_of(later, sizeof(later));
    struct crdt_op op = {.verb = CRDT_ADD, .value = bytes_of_text("x")};
    struct crdt_state copy;
    struct buf bytes;
    set_up();
    buf_init(&bytes, &heap, 64);
    crdt_state_init(&copy, &heap);
    ck_assert_int_eq(crdt_decode(&at[0], given, &limits), 0);
    ck_assert_int_eq(act(0, &set, op, NULL), ERR_LEVEL);
    with(1, &set, CRDT_ADD, "x");
    ck_assert_int_eq(crdt_join(&at[0], &at[1]), ERR_LEVEL);
    ck_assert_int_eq(crdt_join(&at[1], &at[0]), ERR_LEVEL);
    ck_assert_int_eq(crdt_join(&at[2], &at[0]), 0); /* with nothing, or itself */
    ck_assert_int_eq(crdt_join(&at[2], &at[0]), 0);
    ck_assert_int_eq(crdt_state_copy(&copy, &at[2]), 0);
    ck_assert_int_eq(crdt_encode(&copy, &bytes), 0);
    ck_assert(bytes_equal(buf_view(&bytes), given));
    buf_release(&bytes);
    crdt_state_release(&copy);
    tear_down();
}
END_TEST

/* Many at once take the other way through the removal. */
START_TEST(a_field_of_many_elements_is_removed_whole)
{
    struct crdt_path map = root(CRDT_MAP);
    char name[16];
    set_up();
    for (unsigned i = 0; i < 2000; i++) {
        struct crdt_path set = field(i % 2 == 0 ? "gone" : "kept", CRDT_AW_SET);
        (void)snprintf(name, sizeof(name), "e%u", i * 7 % 2001);
        with(i % 3, &set, CRDT_ADD, name);
        merge((i + 1) % 3, i % 3);
    }
    merge(0, 1);
    merge(0, 2);
    uint64_t all = at[0].entries;
    with(0, &map, CRDT_REMOVE, "gone");
    merge(1, 0);
    ck_assert_uint_eq(at[0].entries, all / 2);
    ck_assert(crdt_state_equal(&at[0], &at[1]));
    tear_down();
}
END_TEST

UNIT_MAIN("crdt_kernel", concurrent_removals_of_one_element_are_one_on_every_replica,
          writes_with_one_time_have_one_winner_everywhere,
          writes_with_one_time_and_actor_have_one_winner_everywhere,
          a_later_write_wins_over_what_it_saw_whatever_its_clock_says,
          losers_stay_in_sight_for_a_day_and_sixteen_at_most,
          two_replicas_that_are_one_actor_are_found_out,
          a_removal_that_comes_before_what_it_removes_is_not_deferred,
          an_early_removal_in_a_set_in_a_map_outlives_the_removal_of_the_field,
          removing_a_counter_while_it_is_added_to_leaves_only_the_addition,
          removing_a_counter_of_totals_while_it_is_added_to_brings_the_total_back,
          a_counter_removed_and_added_again_with_less_stays_less,
          a_delta_before_its_predecessor_may_not_be_joined,
          a_group_of_deltas_is_what_they_are_one_by_one,
          a_counter_that_would_overflow_is_refused_and_unchanged,
          a_counter_goes_down_to_the_least_number_and_no_further,
          one_name_with_two_types_keeps_both_in_sight, one_key_with_two_types_says_so,
          adding_to_a_set_of_a_million_costs_what_the_addition_costs,
          the_context_grows_with_nodes_not_with_clients_or_writes,
          a_sealed_gap_leaves_no_trace_in_the_context, maps_nest_to_depth_eight_and_no_deeper,
          sizes_beyond_the_limits_are_refused, verbs_that_a_type_does_not_have_are_refused,
          an_estimate_of_many_values_is_within_five_standard_errors,
          rights_of_a_lost_holder_come_back_through_a_fence,
          a_state_of_a_later_level_is_kept_and_given_back_unchanged,
          a_field_of_many_elements_is_removed_whole)
