/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs over cells while somebody waits, or no longer does: what is slow and goes on is waited
 * for, what nobody waits for ends, and its memory goes where no client notices.
 */
#include "run_rig.h"

#define CELLS 4u

static struct node_objects *objects_of(unsigned node)
{
    return node_objects_get(r->nodes[node - 1].node);
}

static unsigned tasks_everywhere(void)
{
    unsigned count = 0;
    for (unsigned i = 1; i <= r->nodes_count; i++) {
        count += objects_of(i)->run_tasks_count;
    }
    return count;
}

static uint64_t slices_everywhere(void)
{
    uint64_t count = 0; /* of them were worked through */
    for (unsigned i = 1; i <= r->nodes_count; i++) {
        count += objects_of(i)->run_slices;
    }
    return count;
}

static void hold_jobs(bool held)
{
    for (unsigned i = 0; i < r->nodes_count; i++) {
        r->nodes[i].jobs_held = held;
    }
}

/* Object a of CELLS cells on so many nodes, with its extents known to node 1. returns: version. */
static uint64_t put_cells(unsigned nodes, unsigned k, unsigned m)
{
    struct span s = {.node = 1, .bytes = 1000};
    struct wire_node result;
    cluster(nodes, k, m);
    text_content();
    ck_assert_int_eq(put(1, "a", CELLS * CELL), 0);
    s.version = version_of("a");
    for (; s.from < CELLS * CELL; s.from += CELL) {
        ck_assert_int_eq(run_span(&s, "lines | count", &result), 0);
    }
    return s.version;
}

/* A program of so much work that a cell takes seven slices. */
static const char *long_program(void)
{
    static char program[PROGRAM_MAX];
    program_of(program, "lines | where 0 = 1", "+1", 400);
    program_of(program + strlen(program), " | count", "", 0);
    return program;
}

/* Its cells asked for at node 1: they wait for workers. */
static void ask_cells(unsigned nodes, unsigned k, unsigned m, uint32_t asked[CELLS])
{
    struct span s = {.node = 1, .version = put_cells(nodes, k, m), .bytes = CELL};
    hold_jobs(true);
    for (unsigned i = 0; i < CELLS; i++) {
        s.from = (uint64_t)i * CELL;
        asked[i] = run_ask(&s, long_program());
    }
    rig_run(r, SECOND / 10);
    ck_assert_uint_eq(tasks_everywhere(), CELLS);
    ck_assert_uint_eq(slices_everywhere(), CELLS); /* so far, of other programs */
}

START_TEST(programs_end_when_who_asked_has_gone)
{
    uint32_t asked[CELLS];
    ask_cells(3, 2, 1, asked);
    rig_hang_up(r, 1);
    ck_assert_uint_eq(objects_of(1)->runs_count, 0);
    rig_run(r, SECOND / 10);
    hold_jobs(false);
    rig_run(r, SECOND / 10);
    ck_assert_uint_eq(tasks_everywhere(), 0);
    ck_assert_uint_le(slices_everywhere(),
                      3 * CELLS); /* the one that was out, and one that frees */
}
END_TEST

START_TEST(programs_end_when_the_node_that_asked_is_lost)
{
    uint32_t asked[CELLS];
    ask_cells(3, 2, 1, asked);
    rig_stop(r, 1);
    rig_run(r, SECOND);
    hold_jobs(false);
    rig_run(r, SECOND / 10);
    for (unsigned i = 2; i <= 3; i++) {
        ck_assert_uint_eq(objects_of(i)->run_tasks_count, 0);
        ck_assert_uint_le(objects_of(i)->run_slices, 2 * CELLS);
    }
}
END_TEST

static int look(uint32_t asked, bool stop, uint64_t *steps)
{
    char words[32];
    struct wire_node result;
    (void)snprintf(words, sizeof words, "u:%u|u:%d", asked, stop);
    const int code = rig_call(r, 1, WIRE_METHOD_OBJECT_RUN_LOOK, words, &result);
    *steps = code == 0 ? number(result, WIRE_FIELD_STEPS) : 0;
    return code;
}

START_TEST(a_run_can_be_looked_at_and_stopped_by_who_asked)
{
    struct wire_node result;
    uint32_t asked[CELLS];
    uint64_t before = 0;
    uint64_t steps = 0;
    ask_cells(3, 2, 1, asked);
    for (unsigned i = 0; i < CELLS; i++) {
        ck_assert_int_eq(look(asked[i], false, &before), 0);
        ck_assert_int_eq(look(asked[i], true, &steps), 0);
        ck_assert_int_eq(rig_answer(r, asked[i], &result), ERR_CANCELLED);
        ck_assert_int_eq(look(asked[i], true, &steps), ERR_NOT_FOUND);
    }
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_OBJECT_RUN_LOOK, "u:1|u:2", NULL), ERR_INVALID);
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_OBJECT_RUN_LOOK, "u:1", NULL), ERR_INVALID);
    rig_run(r, SECOND / 10);
    hold_jobs(false);
    rig_run(r, SECOND / 10);
    ck_assert_uint_eq(tasks_everywhere(), 0);
    ck_assert_uint_le(slices_everywhere(), 3 * CELLS);
}
END_TEST

START_TEST(a_slow_holder_that_goes_on_is_waited_for_and_asked_once)
{
    struct wire_node result;
    uint32_t asked[CELLS];
    uint64_t steps[CELLS] = {0};
    bool decoded = true;
    ask_cells(5, 3, 2, asked);
    hold_jobs(false);
    for (unsigned i = 0; i < r->nodes_count; i++) {
        r->nodes[i].jobs_counted = true;
    }
    for (unsigned turn = 0; turn < 9; turn++) { /* less than a slice in half a second */
        rig_run(r, SECOND / 2);
        for (unsigned i = 0; i < CELLS && turn < 6; i++) {
            uint64_t now = 0;
            ck_assert_int_eq(look(asked[i], false, &now), 0);
            ck_assert(turn < 3 || now > steps[i]);
            steps[i] = turn < 2 ? 0 : now;
        }
        for (unsigned i = 0; i < r->nodes_count; i++) {
            r->nodes[i].jobs_left = 2;
        }
    }
    for (unsigned i = 0; i < r->nodes_count; i++) {
        r->nodes[i].jobs_counted = false;
    }
    for (unsigned i = 0; i < CELLS; i++) {
        ck_assert_int_eq(wait_for(asked[i], &result), 0);
        ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DECODED), &decoded), 0);
        ck_assert(!decoded);
    }
    ck_assert_uint_eq(objects_of(1)->counters.runs_decoded, 0);
    ck_assert_uint_eq(tasks_everywhere(), 0);
}
END_TEST

START_TEST(a_cell_can_be_computed_apart_from_its_holder)
{
    struct span s = {.node = 1, .bytes = CELL, .where = WIRE_RUN_APART};
    struct wire_node result;
    bool decoded = false;
    cluster(5, 3, 2);
    text_content();
    ck_assert_int_eq(put(1, "a", 300000), 0);
    s.version = version_of("a");
    for (; s.from + CELL <= 300000; s.from += CELL) {
        ck_assert_int_eq(run_span(&s, "words | count", &result), 0);
        ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DECODED), &decoded), 0);
        ck_assert(decoded);
    }
    rig_isolate(r, 2, true); /* too few are left to decode all: who holds it is asked after all */
    rig_isolate(r, 3, true);
    rig_run(r, 4 * SECOND);
    unsigned ended = 0;
    for (s.from = 0; s.from + CELL <= 300000; s.from += CELL) {
        ended += run_span(&s, "words | count", &result) == 0;
    }
    ck_assert_uint_eq(ended, 300000 / CELL);
}
END_TEST

START_TEST(a_cell_without_parity_is_computed_by_its_holder_even_if_asked_apart)
{
    struct span s = {.node = 1, .bytes = CELL, .where = WIRE_RUN_APART};
    struct wire_node result;
    cluster(3, 2, 0);
    text_content();
    ck_assert_int_eq(put(1, "a", 200000), 0);
    s.version = version_of("a");
    for (; s.from + CELL <= 200000; s.from += CELL) {
        ck_assert_int_eq(run_span(&s, "words | count", &result), 0);
    }
}
END_TEST

/* Asks node 1 for so many cells that lie there: it holds its jobs. */
static void fill_places(unsigned count, uint64_t version, uint32_t *asked)
{
    struct span s = {.node = 1, .version = version, .bytes = 1000};
    for (unsigned tries = 0; objects_of(1)->run_tasks_count < count; tries++) {
        ck_assert_uint_lt(tries, 4 * NODE_RUNS_MAX);
        s.from = (uint64_t)(tries % CELLS) * CELL;
        *asked = run_ask(&s, "lines | count");
        rig_run(r, SECOND / 100);
    }
}

START_TEST(a_cell_is_decoded_only_where_there_is_a_place_to_run_the_program)
{
    struct span s = {.node = 1, .bytes = CELL, .where = WIRE_RUN_APART};
    struct wire_node result;
    uint32_t last = 0;
    s.version = put_cells(3, 2, 1);
    r->nodes[0].jobs_held = true;
    fill_places(NODE_RUNS_MAX, s.version, &last);
    uint64_t before = objects_of(1)->counters.runs_decoded;
    const uint32_t refused = run_ask(&s, "lines | count");
    rig_run(r, SECOND / 100);
    ck_assert_uint_eq(objects_of(1)->counters.runs_decoded, before);
    ck_assert_uint_eq(objects_of(1)->run_bytes, 0);
    r->nodes[0].jobs_held = false;
    const int code = wait_for(refused, &result); /* as the holder has a place, or not */
    ck_assert(code == 0 || code == ERR_BUSY);
    ck_assert_int_eq(wait_for(last, &result), 0);
}
END_TEST

START_TEST(the_place_of_a_cell_that_is_being_decoded_is_kept)
{
    struct span s = {.node = 1, .bytes = CELL, .where = WIRE_RUN_APART};
    struct wire_node result;
    uint32_t last = 0;
    bool decoded = false;
    s.version = put_cells(3, 2, 1);
    r->nodes[0].jobs_held = true;
    fill_places(NODE_RUNS_MAX - 1, s.version, &last);
    const uint32_t kept = run_ask(&s, "lines | count");
    rig_run(r, SECOND / 100);
    ck_assert_uint_eq(objects_of(1)->run_places, 1);
    ck_assert(!node_run_has_place(objects_of(1)));
    r->nodes[0].jobs_held = false;
    ck_assert_int_eq(wait_for(kept, &result), 0);
    ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DECODED), &decoded), 0);
    ck_assert(decoded);
    ck_assert_uint_eq(objects_of(1)->run_places, 0);
}
END_TEST

/* returns: a node other than node 1 that runs a program. */
static unsigned holder_elsewhere(void)
{
    unsigned holder = 2;
    while (holder <= r->nodes_count && objects_of(holder)->run_tasks_count == 0) {
        holder++;
    }
    ck_assert_uint_le(holder, r->nodes_count);
    return holder;
}

START_TEST(a_holder_that_is_not_heard_of_keeps_no_room_to_decode)
{
    struct wire_node result;
    uint32_t asked[CELLS];
    ask_cells(5, 3, 2, asked);
    const unsigned holder = holder_elsewhere();
    r->cut[0][holder - 1] = r->cut[holder - 1][0] = true; /* nobody sees the connection end */
    hold_jobs(false);
    for (unsigned i = 0; i < CELLS; i++) {
        ck_assert_int_eq(wait_for(asked[i], &result), 0);
    }
    ck_assert_uint_gt(objects_of(1)->counters.runs_decoded, 0);
    ck_assert(!node_work_empty(&objects_of(1)->runs)); /* the holder's answer may still come */
    ck_assert_uint_eq(objects_of(1)->runs_count, 0);
    ck_assert_uint_eq(objects_of(1)->run_places, 0);
    ck_assert_uint_eq(objects_of(1)->run_bytes, 0);
}
END_TEST

START_TEST(programs_end_when_who_asked_has_another_connection)
{
    uint32_t asked[CELLS];
    ask_cells(5, 3, 2, asked);
    const unsigned holder = holder_elsewhere();
    const struct node_event again = {
        .kind = NODE_EV_PEER_UP, .peer = 1, .now_us = r->now, .wall_us = r->now};
    node_step(r->nodes[holder - 1].node, &again); /* nobody saw the old one end */
    hold_jobs(false);
    rig_run(r, SECOND / 10);
    ck_assert_uint_eq(objects_of(holder)->run_tasks_count, 0);
    ck_assert_uint_le(objects_of(holder)->run_slices, 2 * CELLS);
}
END_TEST

/* What node 1 has from its heap. */
static struct alloc counted_heap;
static uint64_t counted;

static void *counted_get(void *ctx, size_t bytes)
{
    void *memory = alloc_get(&counted_heap, bytes);
    *(uint64_t *)ctx += memory != NULL;
    return memory;
}

static void counted_put(void *ctx, void *memory, size_t bytes)
{
    *(uint64_t *)ctx -= memory != NULL;
    alloc_put(&counted_heap, memory, bytes);
}

START_TEST(a_node_that_ends_asks_no_holder_in_place_of_itself)
{
    struct span s = {.node = 1, .bytes = CELL};
    struct wire_node result;
    s.version = put_cells(5, 3, 2);
    rig_stop(r, 1);
    counted_heap = r->heap;
    r->heap = (struct alloc){.get = counted_get, .put = counted_put, .ctx = &counted};
    rig_start(r, 1);
    r->heap = counted_heap;
    rig_run(r, SECOND);
    ck_assert_int_eq(run_span(&s, "lines | count", &result), 0);
    struct node *n = r->nodes[0].node;
    r->nodes[0].jobs_counted = true;
    s.where = WIRE_RUN_APART;
    (void)run_ask(&s, "lines | count");
    for (unsigned i = 0; i < 1000 && n->lane_out[NODE_LANE_COMPUTE] == 0; i++) {
        r->nodes[0].jobs_left = 1;
        rig_run(r, SECOND / 1000);
    }
    ck_assert_uint_eq(n->lane_out[NODE_LANE_COMPUTE], 1); /* it decodes, */
    n->options.limits.jobs_compute = 0;
    for (unsigned i = 0; i < 1000 && objects_of(1)->run_tasks_count == 0; i++) {
        r->nodes[0].jobs_left = 1;
        rig_run(r, SECOND / 1000);
    }
    ck_assert_uint_eq(objects_of(1)->run_tasks_count, 1); /* and the program waits */
    ck_assert_uint_eq(n->lane_out[NODE_LANE_COMPUTE], 0);
    tear_down();
    ck_assert_uint_eq(counted, 0);
}
END_TEST

/* The heap of node 1's workers; on the loop, big pieces go back to it as states do, no more. */
struct watched {
    struct alloc heap;
    unsigned small;
    unsigned big;
};
static struct watched watched;

static void *watched_get(void *ctx, size_t bytes)
{
    struct watched *w = ctx;
    return alloc_get(&w->heap, bytes);
}

static void watched_put(void *ctx, void *memory, size_t bytes)
{
    struct watched *w = ctx;
    if (!r->nodes[0].in_job && memory != NULL) {
        w->small += bytes <= 4096;
        w->big += bytes > 4096;
    }
    alloc_put(&w->heap, memory, bytes);
}

START_TEST(groups_are_freed_by_workers)
{
    static char program[PROGRAM_MAX];
    struct span s = {.node = 1, .bytes = CELL};
    s.version = put_cells(1, 1, 0);
    program_of(program, "words | where 0 = 1", "+1", 400);
    program_of(program + strlen(program), " or 1 = 1 | by $0 count, mean 1", "", 0);
    watched = (struct watched){.heap = alloc_heap()};
    r->nodes[0].env.alloc = (struct alloc){.get = watched_get, .put = watched_put, .ctx = &watched};
    for (unsigned round = 0; round < 2; round++) { /* to the end, and given up in the middle */
        r->nodes[0].jobs_counted = round == 1;
        r->nodes[0].jobs_left = CELLS;
        for (unsigned i = 0; i < CELLS; i++) {
            s.from = (uint64_t)i * CELL;
            (void)run_ask(&s, program);
        }
        rig_run(r, SECOND / 10);
        rig_hang_up(r, 1);
        r->nodes[0].jobs_counted = false;
        rig_run(r, SECOND / 10);
        ck_assert_uint_eq(objects_of(1)->run_tasks_count, 0);
    }
    ck_assert_uint_eq(watched.small, 0);
    ck_assert_uint_le(watched.big, CELLS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run_waits");
    TCase *tc = tcase_create("run_waits");
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, programs_end_when_who_asked_has_gone);
    tcase_add_test(tc, programs_end_when_the_node_that_asked_is_lost);
    tcase_add_test(tc, a_run_can_be_looked_at_and_stopped_by_who_asked);
    tcase_add_test(tc, a_slow_holder_that_goes_on_is_waited_for_and_asked_once);
    tcase_add_test(tc, a_cell_can_be_computed_apart_from_its_holder);
    tcase_add_test(tc, a_cell_without_parity_is_computed_by_its_holder_even_if_asked_apart);
    tcase_add_test(tc, a_cell_is_decoded_only_where_there_is_a_place_to_run_the_program);
    tcase_add_test(tc, the_place_of_a_cell_that_is_being_decoded_is_kept);
    tcase_add_test(tc, a_holder_that_is_not_heard_of_keeps_no_room_to_decode);
    tcase_add_test(tc, programs_end_when_who_asked_has_another_connection);
    tcase_add_test(tc, a_node_that_ends_asks_no_holder_in_place_of_itself);
    tcase_add_test(tc, groups_are_freed_by_workers);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
