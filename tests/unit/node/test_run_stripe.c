/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs over all cells of a stripe that has lost some, at one node: what it reads to decode the
 * lost ones it also runs the program over (docs/adr/0042).
 */
#include "run_rig.h"

#define DATA 3u
#define ALL 5u
#define SHORT 1000u
#define SIZE (4 * CELL + SHORT) /* two stripes, the second of one cell and a short one */
#define PROGRAM "words | by $0 count"

static uint32_t holders[ALL];
static uint64_t version;

static struct node_objects *objects_of(unsigned node)
{
    return node_objects_get(r->nodes[node - 1].node);
}

/* Object a, whose holders are known to all nodes. */
static void put_stripes(void)
{
    cluster(ALL, DATA, 2);
    text_content();
    ck_assert_int_eq(put(1, "a", SIZE), 0);
    for (unsigned node = 1; node <= ALL; node++) {
        ck_assert_int_eq(get(node, "a", SIZE), 0);
    }
    version = version_of("a");
    const struct node_extent_info *info =
        node_info_find(objects_of(1), node_version_of_wire(version), 0);
    ck_assert_ptr_nonnull(info);
    memcpy(holders, info->e.holder, sizeof holders);
}

/* Stops the holders of so many data cells. */
static void lose(unsigned from, unsigned cells)
{
    for (unsigned s = from; s < from + cells; s++) {
        rig_stop(r, holders[s]);
    }
    rig_run(r, 4 * SECOND);
}

static uint64_t slices_elsewhere(unsigned node)
{
    uint64_t count = 0;
    for (unsigned i = 1; i <= ALL; i++) {
        count += i != node && r->nodes[i - 1].up ? objects_of(i)->run_slices : 0;
    }
    return count;
}

struct answer {
    int code;
    bool decoded;
    uint64_t moved;
    uint64_t node;
    struct buf state;
};

static uint32_t ask_cell(unsigned node, unsigned cell, enum wire_run_where where)
{
    const struct span s = {.node = node,
                           .version = version,
                           .from = (uint64_t)cell * CELL,
                           .bytes = NUM_MIN(SIZE - cell * CELL, CELL),
                           .where = where};
    return run_ask(&s, PROGRAM);
}

static struct answer answer_of(uint32_t asked)
{
    struct answer a = {.code = 1};
    struct wire_node result;
    struct bytes state;
    a.code = wait_for(asked, &result);
    buf_init(&a.state, &r->heap, 1u << 20);
    if (a.code == 0) {
        ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DECODED), &a.decoded), 0);
        ck_assert_int_eq(wire_node_bytes(wire_node_find(result, WIRE_FIELD_DATA), 1u << 20, &state),
                         0);
        (void)buf_append(&a.state, state.data, state.size);
        a.moved = number(result, WIRE_FIELD_MOVED);
        (void)wire_node_u64(wire_node_find(result, WIRE_FIELD_NODE), &a.node);
    }
    return a;
}

/* The state that the program gives over the cell's bytes. */
static void check_state(struct answer *a, unsigned cell)
{
    const struct alloc heap = alloc_heap();
    const struct compute_task_options options = {.from = (uint64_t)cell * CELL};
    struct compute_program *p = NULL;
    struct compute_task *t = NULL;
    struct buf want;
    buf_init(&want, &heap, 1u << 20);
    ck_assert_int_eq(compute_program_new(&p, &heap, bytes_of_text(PROGRAM), NULL), 0);
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &options, NULL), 0);
    const size_t bytes = NUM_MIN(SIZE - cell * CELL, CELL);
    ck_assert_int_eq(compute_task_update(t, bytes_of(content + cell * CELL, bytes)), 0);
    compute_task_leave_open(t, NODE_RUN_OPEN_BYTES_MAX);
    ck_assert_int_eq(compute_task_encode(t, &want), 0);
    ck_assert_uint_eq(want.size, a->state.size);
    ck_assert_mem_eq(want.data, a->state.data, want.size);
    compute_task_free(t);
    compute_program_free(p);
    buf_release(&want);
    buf_release(&a->state);
}

static void check_nothing_is_left(unsigned node)
{
    rig_run(r, 3 * SECOND); /* what nobody asked for is forgotten */
    ck_assert(node_work_empty(&objects_of(node)->decoded));
    ck_assert_uint_eq(objects_of(node)->run_bytes, 0);
    ck_assert_uint_eq(objects_of(node)->run_places, 0);
    ck_assert_uint_eq(objects_of(node)->run_tasks_count, 0);
}

/* All cells of the first stripe are asked for at once of a node: of one that holds parity, or a
 * data cell that is left. The first ones are lost, or the last ones. */
START_TEST(a_stripe_is_read_once_and_computed_where_it_is_decoded)
{
    put_stripes();
    const unsigned lost = (unsigned)_i / 2 % 2 + 1;
    const unsigned from = _i < 4 ? 0 : DATA - lost;
    const unsigned node = holders[_i % 2 == 0 ? DATA : (from + lost) % DATA];
    uint32_t asked[DATA];
    lose(from, lost);
    const uint64_t before = slices_elsewhere(node);
    for (unsigned cell = 0; cell < DATA; cell++) {
        asked[cell] = ask_cell(node, cell, WIRE_RUN_STRIPE);
    }
    for (unsigned cell = 0; cell < DATA; cell++) {
        struct answer a = answer_of(asked[cell]);
        ck_assert_int_eq(a.code, 0);
        ck_assert(a.decoded == (cell >= from && cell < from + lost));
        ck_assert_uint_eq(a.node, node);
        check_state(&a, cell);
        ck_assert_uint_eq(a.moved, cell == DATA - 1 ? (DATA - 1) * CELL : 0);
    }
    ck_assert_uint_eq(slices_elsewhere(node), before);
    ck_assert_uint_eq(objects_of(node)->counters.runs_decoded, lost);
    ck_assert_uint_eq(objects_of(node)->run_bytes, 0); /* none is kept */
    check_nothing_is_left(node);
}
END_TEST

START_TEST(cells_that_are_asked_for_later_were_kept)
{
    put_stripes();
    const unsigned node = holders[DATA];
    lose(_i == 0 ? 0 : DATA - 1, 1);
    for (unsigned cell = 0; cell < DATA; cell++) {
        struct answer a = answer_of(ask_cell(node, cell, WIRE_RUN_STRIPE));
        ck_assert_int_eq(a.code, 0);
        ck_assert(a.decoded == (cell == (_i == 0 ? 0 : DATA - 1)));
        ck_assert_uint_eq(a.node, node);
        ck_assert_uint_eq(a.moved, cell == 0 ? (DATA - 1) * CELL : 0);
        check_state(&a, cell);
    }
    ck_assert_uint_eq(objects_of(node)->run_bytes, 0);
    check_nothing_is_left(node);
}
END_TEST

/* Who asks for a lost cell alone has begun: what is read is for those of the stripe all the same.
 */
START_TEST(a_stripe_joins_who_decodes_one_of_its_cells_alone)
{
    put_stripes();
    const unsigned node = holders[DATA];
    lose(0, 1);
    const uint32_t alone = ask_cell(node, 0, WIRE_RUN_APART);
    const uint32_t with = ask_cell(node, 1, WIRE_RUN_STRIPE);
    struct answer a = answer_of(with);
    ck_assert_int_eq(a.code, 0);
    ck_assert(!a.decoded);
    ck_assert_uint_eq(a.node, node);
    check_state(&a, 1);
    a = answer_of(alone);
    ck_assert_int_eq(a.code, 0);
    ck_assert(a.decoded);
    check_state(&a, 0);
    check_nothing_is_left(node);
}
END_TEST

START_TEST(cells_that_are_asked_for_too_late_are_computed_where_they_lie)
{
    put_stripes();
    const unsigned node = holders[DATA];
    lose(0, 1);
    struct answer a = answer_of(ask_cell(node, 0, WIRE_RUN_STRIPE));
    check_state(&a, 0);
    check_nothing_is_left(node);
    for (unsigned cell = 1; cell < DATA; cell++) {
        a = answer_of(ask_cell(node, cell, WIRE_RUN_STRIPE));
        ck_assert_int_eq(a.code, 0);
        ck_assert(!a.decoded);
        ck_assert_uint_eq(a.node, holders[cell]);
        check_state(&a, cell);
    }
    ck_assert(node_work_empty(&objects_of(node)->decoded));
}
END_TEST

START_TEST(the_short_cell_of_the_last_stripe_is_computed_with_it)
{
    put_stripes();
    const unsigned node = holders[DATA];
    lose(0, 1);
    const uint32_t first = ask_cell(node, 3, WIRE_RUN_STRIPE);
    const uint32_t second = ask_cell(node, 4, WIRE_RUN_STRIPE);
    struct answer a = answer_of(second);
    ck_assert_int_eq(a.code, 0);
    ck_assert(!a.decoded);
    ck_assert_uint_eq(a.node, node);
    check_state(&a, 4);
    a = answer_of(first);
    ck_assert(a.decoded);
    check_state(&a, 3);
    check_nothing_is_left(node);
}
END_TEST

START_TEST(a_stripe_that_has_lost_nothing_is_computed_where_it_lies)
{
    put_stripes();
    for (unsigned cell = 0; cell < DATA; cell++) {
        struct answer a = answer_of(ask_cell(holders[DATA], cell, WIRE_RUN_STRIPE));
        ck_assert_int_eq(a.code, 0);
        ck_assert(!a.decoded);
        ck_assert_uint_eq(a.node, holders[cell]);
        check_state(&a, cell);
    }
    check_nothing_is_left(holders[DATA]);
}
END_TEST

/* A vote wants bytes that another node made than the holder: not the holder's. */
START_TEST(a_cell_that_was_read_is_no_answer_apart_from_its_holder)
{
    put_stripes();
    const unsigned node = holders[DATA];
    lose(0, 1);
    struct answer a = answer_of(ask_cell(node, 0, WIRE_RUN_STRIPE));
    check_state(&a, 0);
    ck_assert_uint_ge(objects_of(node)->run_bytes, (DATA - 1) * CELL); /* cells 1 and 2 are here */
    a = answer_of(ask_cell(node, 1, WIRE_RUN_APART));
    ck_assert_int_eq(a.code, 0);
    ck_assert(a.decoded);
    ck_assert_uint_gt(a.moved, 0);
    check_state(&a, 1);
    check_nothing_is_left(node);
}
END_TEST

START_TEST(nor_while_it_is_being_read)
{
    put_stripes();
    const unsigned node = holders[DATA];
    lose(DATA - 1, 1);
    const uint32_t with = ask_cell(node, 1, WIRE_RUN_STRIPE);
    const uint32_t apart = ask_cell(node, 1, WIRE_RUN_APART);
    struct answer a = answer_of(with);
    ck_assert_int_eq(a.code, 0);
    ck_assert(!a.decoded);
    check_state(&a, 1);
    a = answer_of(apart);
    ck_assert_int_eq(a.code, 0);
    ck_assert(a.decoded);
    check_state(&a, 1);
    check_nothing_is_left(node);
}
END_TEST

/* Flips a byte of a cell where it lies. */
static void damage(unsigned cell)
{
    struct mem_disk *d = r->nodes[holders[cell] - 1].mem;
    const char *name = NULL;
    unsigned found = 0;
    for (unsigned f = 0; (name = mem_disk_name(d, "seg/", f)) != NULL; f++) {
        const uint8_t *data = mem_disk_data(d, name);
        for (uint64_t at = 0; at + 64 <= mem_disk_bytes(d, name) && found == 0; at++) {
            if (memcmp(data + at, content + cell * CELL, 64) == 0) {
                mem_disk_flip(d, name, at + 100, 0x20);
                found = 1;
            }
        }
    }
    ck_assert_uint_eq(found, 1);
}

/* scenario 37 */
START_TEST(a_damaged_cell_of_the_stripe_is_never_computed_on)
{
    put_stripes();
    const unsigned node = holders[DATA];
    uint32_t asked[DATA];
    lose(0, 1);
    damage(1);
    for (unsigned cell = 0; cell < DATA; cell++) {
        asked[cell] = ask_cell(node, cell, WIRE_RUN_STRIPE);
    }
    for (unsigned cell = 0; cell < DATA; cell++) {
        struct answer a = answer_of(asked[cell]);
        ck_assert_int_eq(a.code, 0);
        ck_assert(a.decoded == (cell < 2));
        check_state(&a, cell);
    }
    check_nothing_is_left(node);
}
END_TEST

START_TEST(nor_is_one_of_a_stripe_that_has_lost_nothing)
{
    put_stripes();
    const unsigned node = holders[DATA];
    damage(1);
    struct answer a = answer_of(ask_cell(node, 1, WIRE_RUN_STRIPE));
    ck_assert_int_eq(a.code, 0);
    ck_assert(a.decoded);
    ck_assert_uint_eq(a.node, node);
    check_state(&a, 1);
    check_nothing_is_left(node);
}
END_TEST

START_TEST(where_too_few_are_left_what_lies_there_is_computed_there)
{
    put_stripes();
    const unsigned node = holders[DATA - 1];
    uint32_t asked[DATA];
    lose(0, 2);
    rig_stop(r, holders[DATA]);
    rig_run(r, 4 * SECOND);
    for (unsigned cell = 0; cell < DATA; cell++) {
        asked[cell] = ask_cell(node, cell, WIRE_RUN_STRIPE);
    }
    for (unsigned cell = 0; cell < DATA; cell++) {
        struct answer a = answer_of(asked[cell]);
        ck_assert_int_eq(a.code, cell < 2 ? ERR_UNAVAILABLE : 0);
        ck_assert(!a.decoded);
        if (a.code == 0) {
            ck_assert_uint_eq(a.node, node);
            check_state(&a, cell);
        }
    }
    check_nothing_is_left(node);
}
END_TEST

START_TEST(where_there_is_no_room_to_decode_what_lies_elsewhere_is_computed_there)
{
    put_stripes();
    const unsigned node = holders[DATA];
    lose(DATA - 1, 1);
    objects_of(node)->run_bytes += NODE_RUN_BYTES_OUT_MAX;
    struct answer a = answer_of(ask_cell(node, 1, WIRE_RUN_STRIPE));
    ck_assert_int_eq(a.code, 0);
    ck_assert(!a.decoded);
    ck_assert_uint_eq(a.node, holders[1]);
    check_state(&a, 1);
    objects_of(node)->run_bytes -= NODE_RUN_BYTES_OUT_MAX;
    check_nothing_is_left(node);
}
END_TEST

START_TEST(a_place_that_is_none_is_refused)
{
    put_stripes();
    struct answer a = answer_of(ask_cell(1, 0, WIRE_RUN_STRIPE + 1));
    ck_assert_int_eq(a.code, ERR_INVALID);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run_stripe");
    TCase *tc = tcase_create("run_stripe");
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, a_stripe_is_read_once_and_computed_where_it_is_decoded, 0, 8);
    tcase_add_loop_test(tc, cells_that_are_asked_for_later_were_kept, 0, 2);
    tcase_add_test(tc, a_stripe_joins_who_decodes_one_of_its_cells_alone);
    tcase_add_test(tc, cells_that_are_asked_for_too_late_are_computed_where_they_lie);
    tcase_add_test(tc, the_short_cell_of_the_last_stripe_is_computed_with_it);
    tcase_add_test(tc, a_stripe_that_has_lost_nothing_is_computed_where_it_lies);
    tcase_add_test(tc, a_cell_that_was_read_is_no_answer_apart_from_its_holder);
    tcase_add_test(tc, nor_while_it_is_being_read);
    tcase_add_test(tc, a_damaged_cell_of_the_stripe_is_never_computed_on);
    tcase_add_test(tc, nor_is_one_of_a_stripe_that_has_lost_nothing);
    tcase_add_test(tc, where_too_few_are_left_what_lies_there_is_computed_there);
    tcase_add_test(tc, where_there_is_no_room_to_decode_what_lies_elsewhere_is_computed_there);
    tcase_add_test(tc, a_place_that_is_none_is_refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
