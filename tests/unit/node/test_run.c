/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs over cells of objects on a cluster of whole nodes: the joined states give what the
 * program gives over the bytes, whichever node is asked and whatever is lost; and a program stays
 * within its budget.
 */
#include "run_rig.h"

static const char *const programs[] = {
    "lines | count",
    "lines | where $2 = \"odd,\" | select $1, $3",
    "words | by $0 count | top 10",
    "csv | where $3 >= 500 | by $4 count, sum $1",
    "csv | sum $1, mean $3, distinct $2",
    "f64 | sum",
    "i32,x4 | min",
    "u64 | argmax",
    "csv | where $3 >= 500 | by $4 argmax $3, argmin $1",
    "lines | argmin $3, count",
    "csv | sample 0.2 | by $4 estimate count, sum $3",
    "csv | sample 0.1 $3 | estimate mean $1, count",
    "x3,u8,f32 | where $1 > 100 | by $1 count",
};

/* What came, and with what it was got. */
struct joined {
    struct compute_task *task;
    unsigned decoded;
    uint64_t moved;
};

static void join(struct joined *j, const struct compute_program *p, struct wire_node result)
{
    const struct alloc heap = alloc_heap();
    struct compute_task *part = NULL;
    struct bytes state;
    bool decoded = false;
    ck_assert_int_eq(wire_node_bytes(wire_node_find(result, WIRE_FIELD_DATA), 1u << 20, &state), 0);
    ck_assert_uint_eq(number(result, WIRE_FIELD_CRC32C), crc_of(state.data, state.size));
    ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DECODED), &decoded), 0);
    j->decoded += decoded;
    j->moved += number(result, WIRE_FIELD_MOVED);
    ck_assert_int_eq(compute_task_decode(&part, &heap, p, 0, state), 0);
    ck_assert_int_eq(compute_task_merge(j->task, part), 0);
    compute_task_free(part);
}

/* Ends the task, with the text of its error behind its output. */
static void finish(struct compute_task *t, struct buf *out)
{
    struct err_info why;
    buf_init(out, &r->heap, 64u << 20);
    if (compute_task_finish(t, &why) != 0) {
        (void)buf_append(out, why.text, strlen(why.text));
    }
    const struct bytes text = compute_task_output(t);
    (void)buf_append(out, text.data, text.size);
    ck_assert_int_eq(out->err, 0);
    compute_task_free(t);
}

/* Runs the program over `size` bytes in ranges of at most `step`, and compares with the same over
 * content. */
static struct joined run_whole(unsigned node, const char *text, uint64_t size, uint32_t step)
{
    const struct alloc heap = alloc_heap();
    const struct compute_task_options options = {.from = 0};
    struct compute_program *p = NULL;
    struct compute_task *here = NULL;
    struct joined j = {.task = NULL};
    struct buf want;
    struct buf got;
    struct span s = {.node = node, .version = version_of("a")};
    ck_assert_int_eq(compute_program_new(&p, &heap, bytes_of_text(text), NULL), 0);
    ck_assert_int_eq(compute_task_new(&j.task, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_new(&here, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_update(here, bytes_of(content, size)), 0);
    for (; s.from < size; s.from += s.bytes) {
        struct wire_node result;
        s.bytes = NUM_MIN(CELL - s.from % CELL, size - s.from);
        s.bytes = NUM_MIN(s.bytes, (uint64_t)step);
        ck_assert_int_eq(run_span(&s, text, &result), 0);
        join(&j, p, result);
    }
    finish(here, &want);
    finish(j.task, &got);
    ck_assert_uint_gt(want.size, 0);
    ck_assert_uint_eq(want.size, got.size);
    ck_assert_mem_eq(want.data, got.data, want.size);
    buf_release(&want);
    buf_release(&got);
    compute_program_free(p);
    return j;
}

/* ---- the same bits -------------------------------------------------------------------------- */

START_TEST(cells_give_what_the_bytes_give_whichever_node_is_asked)
{
    cluster(5, 3, 2);
    text_content();
    ck_assert_int_eq(put(1, "a", 700001), 0);
    for (unsigned i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        struct joined j = run_whole(i % 5 + 1, programs[i], 700001, CELL);
        ck_assert_uint_eq(j.decoded, 0);
    }
}
END_TEST

START_TEST(ranges_of_any_size_within_a_cell_can_be_joined)
{
    cluster(3, 2, 1);
    text_content();
    ck_assert_int_eq(put(1, "a", 200003), 0);
    for (unsigned i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        (void)run_whole(2, programs[i], 200003, 4099);
    }
}
END_TEST

START_TEST(an_object_smaller_than_a_cell_is_one_range)
{
    cluster(3, 2, 1);
    text_content();
    ck_assert_int_eq(put(1, "a", 16385), 0);
    for (unsigned node = 1; node <= 3; node++) {
        (void)run_whole(node, "lines | count", 16385, CELL);
    }
}
END_TEST

START_TEST(only_states_move_between_nodes)
{
    cluster(5, 3, 2);
    text_content();
    ck_assert_int_eq(put(1, "a", 900000), 0);
    struct joined j = run_whole(1, "words | count", 900000, CELL);
    ck_assert_uint_gt(j.moved, 0);
    ck_assert_uint_lt(j.moved, 14 * 200);
}
END_TEST

/* ---- nodes and cells that are lost ---------------------------------------------------------- */

START_TEST(two_lost_nodes_do_not_change_a_bit)
{
    cluster(5, 3, 2);
    text_content();
    ck_assert_int_eq(put(1, "a", 700001), 0);
    rig_stop(r, 4);
    rig_stop(r, 5);
    rig_run(r, 4 * SECOND);
    unsigned decoded = 0;
    for (unsigned i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        decoded += run_whole(i % 3 + 1, programs[i], 700001, CELL).decoded;
    }
    ck_assert_uint_gt(decoded, 0);
}
END_TEST

START_TEST(a_holder_that_is_lost_while_it_computes_is_done_without)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    unsigned decoded = 0;
    cluster(5, 3, 2);
    text_content();
    ck_assert_int_eq(put(1, "a", 300000), 0);
    s.version = version_of("a");
    for (unsigned i = 2; i <= 5; i++) {
        r->nodes[i - 1].jobs_held = true;
    }
    uint32_t asked[4];
    for (unsigned i = 0; i < 4; i++) {
        s.from = i * CELL;
        asked[i] = run_ask(&s, "words | count");
    }
    rig_run(r, SECOND / 10);
    for (unsigned i = 2; i <= 5; i++) {
        r->nodes[i - 1].jobs_held = false;
        if (r->nodes[i - 1].jobs_count > 0 && decoded == 0) {
            rig_stop(r, i);
            decoded = 1;
        }
    }
    ck_assert_uint_eq(decoded, 1);
    decoded = 0;
    for (unsigned i = 0; i < 4; i++) {
        bool was = false;
        ck_assert_int_eq(wait_for(asked[i], &result), 0);
        ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DECODED), &was), 0);
        decoded += was;
    }
    ck_assert_uint_ge(decoded, 1);
}
END_TEST

START_TEST(a_holder_that_does_not_answer_is_left_aside)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    cluster(5, 3, 2);
    text_content();
    ck_assert_int_eq(put(1, "a", 300000), 0);
    s.version = version_of("a");
    for (unsigned i = 2; i <= 5; i++) {
        bool decoded = false;
        r->nodes[i - 1].jobs_held = true; /* it lives, and does no work */
        for (s.from = 0; s.from + CELL <= 300000; s.from += CELL) {
            bool was = false;
            ck_assert_int_eq(run_span(&s, "words | count", &result), 0);
            ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DECODED), &was), 0);
            decoded |= was;
        }
        r->nodes[i - 1].jobs_held = false;
        rig_run(r, SECOND);
        if (decoded) {
            return;
        }
    }
    ck_abort_msg("no node but the first holds a cell");
}
END_TEST

/* Flips a byte of the cell wherever it lies. returns: on how many nodes. */
static unsigned damage(uint64_t from)
{
    unsigned found = 0;
    for (unsigned i = 0; i < r->nodes_count; i++) {
        struct mem_disk *d = r->nodes[i].mem;
        const char *name = NULL;
        for (unsigned f = 0; (name = mem_disk_name(d, "seg/", f)) != NULL; f++) {
            const uint8_t *data = mem_disk_data(d, name);
            uint64_t bytes = mem_disk_bytes(d, name);
            for (uint64_t at = 0; at + 64 <= bytes; at++) {
                if (memcmp(data + at, content + from, 64) == 0) {
                    mem_disk_flip(d, name, at, 0x20);
                    found++;
                    break;
                }
            }
        }
    }
    return found;
}

/* scenario 37 */
START_TEST(a_damaged_block_is_never_computed_on)
{
    cluster(5, 3, 2);
    text_content();
    ck_assert_int_eq(put(1, "a", 500000), 0);
    ck_assert_uint_eq(damage(2 * CELL + 40000), 1);
    struct joined j = run_whole(1, "words | by $0 count | top 10", 500000, CELL);
    ck_assert_uint_ge(j.decoded, 1);
    ck_assert_uint_le(j.decoded, 2); /* of two cells of that shard one may be known as lost */
    ck_assert(repaired(1, "a"));
    j = run_whole(2, "words | by $0 count | top 10", 500000, CELL);
    ck_assert_uint_eq(j.decoded, 0);
}
END_TEST

START_TEST(a_cell_without_holder_and_parity_is_unavailable)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = 100};
    cluster(3, 2, 1);
    text_content();
    ck_assert_int_eq(put(1, "a", 100000), 0);
    s.version = version_of("a");
    ck_assert_int_eq(run_span(&s, "lines | count", &result), 0);
    rig_isolate(r, 1, true);
    rig_run(r, 4 * SECOND);
    int here = run_span(&s, "lines | count", &result);
    s.from = CELL;
    int there = run_span(&s, "lines | count", &result);
    ck_assert(here == ERR_UNAVAILABLE || there == ERR_UNAVAILABLE);
}
END_TEST

/* ---- budgets -------------------------------------------------------------------------------- */

START_TEST(what_is_no_range_or_no_program_is_refused)
{
    struct wire_node result;
    cluster(3, 2, 1);
    text_content();
    ck_assert_int_eq(put(1, "a", 200000), 0);
    const uint64_t v = version_of("a");
    const struct {
        struct span span;
        const char *program;
        int code;
    } cases[] = {
        {{1, v, 200000, 1, false}, "lines | count", ERR_RANGE},
        {{1, v, CELL - 1, 2, false}, "lines | count", ERR_RANGE},
        {{2, v, 5, 0, false}, "lines | count", ERR_RANGE},
        {{2, v, UINT64_MAX, 2, false}, "lines | count", ERR_RANGE},
        {{3, v, 0, UINT64_MAX, false}, "lines | count", ERR_RANGE},
        {{1, v, 0, 10, false}, "lines | cuont", ERR_INVALID},
        {{2, v, 0, 10, false}, "", ERR_INVALID},
        {{3, v + 999, 0, 10, false}, "lines | count", ERR_VERSION_GONE},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(run_span(&cases[i].span, cases[i].program, &result), cases[i].code);
    }
}
END_TEST

START_TEST(a_program_that_wants_too_much_is_refused_and_may_have_less)
{
    static char program[PROGRAM_MAX];
    struct wire_node result;
    struct span s = {.node = 2, .bytes = CELL};
    cluster(3, 2, 1);
    memset(content, '\n', sizeof content);
    ck_assert_int_eq(put(1, "a", 200000), 0);
    s.version = version_of("a");
    program_of(program, "lines | select \"", "many words ", 1000); /* a flood of output */
    program_of(program + strlen(program), "\"", "", 0);
    ck_assert_int_eq(run_span(&s, program, &result), ERR_TOO_LARGE);
    s.bytes = 64;
    ck_assert_int_eq(run_span(&s, program, &result), 0);
    s.bytes = CELL;
    program_of(program, "lines | where 1", "+1", 511); /* much work a byte */
    ck_assert_int_eq(run_span(&s, program, &result), ERR_INVALID);
    program_of(program, "lines | where 0 = 1", "+1", 510);
    program_of(program + strlen(program), " | count", "", 0);
    ck_assert_int_eq(run_span(&s, program, &result), ERR_TOO_LARGE);
    s.bytes = CELL / 2;
    ck_assert_int_eq(run_span(&s, program, &result), 0);
    program_of(program, "lines | where 0 = 1", "%3.5", 255); /* work that takes longer */
    program_of(program + strlen(program), " | count", "", 0);
    ck_assert_int_eq(run_span(&s, program, &result), ERR_TOO_LARGE);
    s.bytes = 512;
    ck_assert_int_eq(run_span(&s, program, &result), 0);
}
END_TEST

START_TEST(groups_that_do_not_fit_are_refused_and_others_go_on)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    cluster(3, 2, 1);
    for (size_t i = 0; i < sizeof content; i++) { /* a word of three bytes and what ends it */
        size_t word = i / 4;
        content[i] = i % 4 == 3 ? '\n' : (uint8_t)('a' + (word >> 5 * (i % 4)) % 26);
    }
    ck_assert_int_eq(put(1, "a", 200000), 0);
    s.version = version_of("a");
    ck_assert_int_eq(
        run_span(&s,
                 "lines | by $0 count, sum 1, mean 1, var 1, min 1, max 1, sum 2, mean 2, var 2",
                 &result),
        ERR_TOO_LARGE);
    ck_assert_int_eq(run_span(&s, "lines | count", &result), 0);
}
END_TEST

START_TEST(more_programs_than_are_allowed_are_refused_at_once)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = 1000};
    uint32_t asked[NODE_RUNS_MAX + 1];
    unsigned busy = 0;
    cluster(1, 1, 0);
    text_content();
    ck_assert_int_eq(put(1, "a", 60000), 0);
    s.version = version_of("a");
    ck_assert_int_eq(run_span(&s, "lines | count", &result), 0);
    r->nodes[0].jobs_held = true;
    for (unsigned i = 0; i <= NODE_RUNS_MAX; i++) {
        asked[i] = run_ask(&s, "lines | count");
    }
    rig_run(r, SECOND / 10);
    ck_assert_int_eq(rig_answer(r, asked[NODE_RUNS_MAX], &result), ERR_BUSY);
    r->nodes[0].jobs_held = false;
    for (unsigned i = 0; i < NODE_RUNS_MAX; i++) {
        busy += wait_for(asked[i], &result) != 0;
    }
    ck_assert_uint_eq(busy, 0);
}
END_TEST

START_TEST(a_program_that_is_not_done_in_time_ends)
{
    struct wire_node result;
    struct span s = {.node = 1, .bytes = CELL};
    static char program[PROGRAM_MAX];
    cluster(1, 1, 0);
    memset(content, '\n', sizeof content);
    ck_assert_int_eq(put(1, "a", 300000), 0);
    s.version = version_of("a");
    program_of(program, "lines | where 0 = 1", "+1", 400);
    r->nodes[0].jobs_held = true;
    uint32_t asked = run_ask(&s, program);
    rig_run(r, 6 * SECOND);
    r->nodes[0].jobs_held = false;
    ck_assert_int_eq(wait_for(asked, &result), ERR_TIMEOUT);
    ck_assert_uint_eq(node_objects_get(r->nodes[0].node)->run_tasks_count, 0);
}
END_TEST

START_TEST(a_node_may_end_while_programs_run_on_it)
{
    struct span s = {.node = 1, .bytes = CELL};
    cluster(3, 2, 1);
    text_content();
    ck_assert_int_eq(put(1, "a", 200000), 0);
    s.version = version_of("a");
    for (unsigned i = 1; i <= 3; i++) {
        r->nodes[i - 1].jobs_held = true;
    }
    for (s.from = 0; s.from < 3 * CELL; s.from += CELL) {
        (void)run_ask(&s, "words | count");
    }
    rig_run(r, SECOND / 10);
    for (unsigned i = 1; i <= 3; i++) {
        rig_stop(r, i);
    }
}
END_TEST

/* ---- from other nodes ----------------------------------------------------------------------- */

/* Bytes that no node sends: each is refused, and nothing else happens. */
START_TEST(calls_that_are_none_are_refused)
{
    struct rng rng;
    uint8_t body[96];
    cluster(3, 2, 1);
    rng_init(&rng, 11);
    for (unsigned i = 0; i < 2000; i++) {
        size_t bytes = (size_t)rng_below(&rng, sizeof body);
        rng_fill(&rng, body, sizeof body);
        body[0] = (uint8_t)(i % 3);
        node_run_serve(r->nodes[0].node, (struct node_request){.peer = 2, .id = i},
                       bytes_of(body, bytes));
        node_run_look_serve(r->nodes[0].node, (struct node_request){.peer = 2, .id = i},
                            bytes_of(body, bytes % 16));
    }
    rig_run(r, SECOND);
    ck_assert_uint_eq(node_objects_get(r->nodes[0].node)->run_tasks_count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run");
    TCase *tc = tcase_create("run");
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, cells_give_what_the_bytes_give_whichever_node_is_asked);
    tcase_add_test(tc, ranges_of_any_size_within_a_cell_can_be_joined);
    tcase_add_test(tc, an_object_smaller_than_a_cell_is_one_range);
    tcase_add_test(tc, only_states_move_between_nodes);
    tcase_add_test(tc, two_lost_nodes_do_not_change_a_bit);
    tcase_add_test(tc, a_holder_that_is_lost_while_it_computes_is_done_without);
    tcase_add_test(tc, a_holder_that_does_not_answer_is_left_aside);
    tcase_add_test(tc, a_damaged_block_is_never_computed_on);
    tcase_add_test(tc, a_cell_without_holder_and_parity_is_unavailable);
    tcase_add_test(tc, what_is_no_range_or_no_program_is_refused);
    tcase_add_test(tc, a_program_that_wants_too_much_is_refused_and_may_have_less);
    tcase_add_test(tc, groups_that_do_not_fit_are_refused_and_others_go_on);
    tcase_add_test(tc, more_programs_than_are_allowed_are_refused_at_once);
    tcase_add_test(tc, a_program_that_is_not_done_in_time_ends);
    tcase_add_test(tc, a_node_may_end_while_programs_run_on_it);
    tcase_add_test(tc, calls_that_are_none_are_refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
