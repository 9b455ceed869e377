/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * argmin and argmax as aggregates of programs: which record it is, in the whole object, however
 * that was cut, and what their states look like.
 */
#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

#include <math.h>

static struct buf result;

static const char *run_bytes(const char *program, struct bytes data)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program(program);
    struct compute_task *t = tasks_new(p, 0, 0);
    buf_release(&result);
    buf_init(&result, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_update(t, data), 0);
    (void)tasks_end(t, &result);
    compute_program_free(p);
    return (const char *)result.data;
}

static const char *run(const char *program, const char *data)
{
    return run_bytes(program, bytes_of_text(data));
}

START_TEST(records_are_counted_from_zero_with_headers_and_what_was_left_out)
{
    ck_assert_str_eq(run("lines | argmin, argmax", "3\n1\n7\n1\n7"), "1,2\n");
    ck_assert_str_eq(run("lines | where $1 > 1 | argmin", "0\n3\n1\n2\n"), "3\n");
    ck_assert_str_eq(run("csv header | argmax $1", "a\n5\n9\n"), "2\n");
    ck_assert_str_eq(run("words | argmax", " 5 \n 9 9"), "1\n");
    ck_assert_str_eq(run("csv | argmin $2", "a\nb,4\nc,\nd,3\n"), "3\n");
    ck_assert_str_eq(run("csv | by $1 argmax $2, count", "a,1\nb,2\na,3\nb,2\nc,\n"),
                     "a,2,2\nb,1,2\nc,,1\n");
    ck_assert_str_eq(run("csv | by $1 argmax $2 | top 1", "a,1\nb,2\na,3\nb,2\nc,\n"), "a,2\n");
    ck_assert_str_eq(run("csv | argmin $1 * $2", "2,3\n-1,4\n-4,1\n"), "1\n");
}
END_TEST

START_TEST(equal_numbers_are_those_that_compare_equal_but_for_zeros)
{
    static const double reals[] = {0.0, -0.0, 0.0, 5, (double)NAN, 7, (double)NAN};
    ck_assert_str_eq(run("lines | argmin, argmax", "1.0\n1\n1e0\n"), "0,0\n");
    ck_assert_str_eq(run("lines | argmin, argmax", "0\n-0.0\n0.0\n"), "1,0\n");
    ck_assert_str_eq(run_bytes("f64 | argmin, argmax", bytes_of(reals, 32)), "1,3\n");
    ck_assert_str_eq(run_bytes("f64 | argmin, argmax", bytes_of(reals, sizeof(reals))), "4,4\n");
    ck_assert_str_eq(run("lines | argmin", "9007199254740993\n9007199254740992.0\n"), "1\n");
}
END_TEST

START_TEST(of_nothing_there_is_none)
{
    ck_assert_str_eq(run("lines | argmin", ""), "error: argmin of too few numbersNOT_FOUND");
    ck_assert_str_eq(run("lines | count, argmax", "\n\n"),
                     "2,error: argmax of too few numbersNOT_FOUND");
    ck_assert_str_eq(run("lines | argmin", "1\nx\n"),
                     "error: record 2: $0 is no number: 'x'WRONG_TYPE");
}
END_TEST

/* The first of the least, among those of one key; SIZE_MAX: there is none. */
static size_t least_of(const int16_t *values, const uint8_t *keys, size_t count, int key)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        if (keys[i] % 3 == key && values[i] >= -2 &&
            (best == SIZE_MAX || values[i] < values[best])) {
            best = i;
        }
    }
    return best;
}

START_TEST(the_record_is_the_same_however_the_object_is_cut)
{
    const struct alloc heap = alloc_heap();
    struct rng rng;
    rng_init(&rng, unit_seed("the_record_is_the_same_however_the_object_is_cut", 1));
    for (unsigned round = 0; round < 2000; round++) {
        int16_t values[60];
        uint8_t keys[60];
        char text[60 * 16];
        char want[64] = "";
        size_t bytes = 0;
        size_t at = 0;
        const size_t count = (size_t)rng_below(&rng, 60);
        for (size_t i = 0; i < count; i++) {
            values[i] = (int16_t)((int)rng_below(&rng, 9) - 4);
            keys[i] = (uint8_t)rng_below(&rng, 9);
            bytes += (size_t)snprintf(text + bytes, sizeof(text) - bytes, "%d,\"%u\"\n", keys[i],
                                      (unsigned)(values[i] + 4));
        }
        for (int key = 0; key < 3; key++) {
            const size_t best = least_of(values, keys, count, key);
            if (best != SIZE_MAX) {
                at += (size_t)snprintf(want + at, sizeof(want) - at, "%d,%zu\n", key, best);
            }
        }
        struct compute_program *p = tasks_program("csv | where $2 >= 2 | by $1 % 3 argmin $2 - 4");
        struct buf got;
        buf_init(&got, &heap, TASKS_TEXT_BYTES);
        ck_assert_int_eq(tasks_end(tasks_merged(&rng, p, 0, bytes_of(text, bytes), 0, bytes), &got),
                         0);
        ck_assert_str_eq((const char *)got.data, want);
        buf_release(&got);
        compute_program_free(p);
    }
}
END_TEST

/* The state of a span of lines. */
static void state_of(const struct compute_program *p, const char *lines, struct buf *out)
{
    const struct alloc heap = alloc_heap();
    struct compute_task *t = tasks_new(p, 0, 0);
    buf_init(out, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_update(t, bytes_of_text(lines)), 0);
    ck_assert_int_eq(compute_task_encode(t, out), 0);
    compute_task_free(t);
}

static int decode(const struct compute_program *p, const struct buf *state)
{
    const struct alloc heap = alloc_heap();
    struct compute_task *t = NULL;
    const int err = compute_task_decode(&t, &heap, p, 0, buf_view(state));
    compute_task_free(t);
    return err;
}

START_TEST(states_have_the_second_format_and_no_place_behind_their_records)
{
    struct compute_program *p = tasks_program("lines | argmin");
    struct compute_program *q = tasks_program("lines | min");
    struct buf state;
    state_of(p, "5\n3\n4\n", &state);
    ck_assert_uint_eq(state.data[0], 2);
    ck_assert_int_eq(decode(p, &state), 0);
    ck_assert_uint_eq(num_get_u64(state.data + state.size - 8), 1);
    state.data[state.size - 8] = 3;
    ck_assert_int_eq(decode(p, &state), ERR_PROTOCOL);
    state.data[state.size - 8] = 2;
    ck_assert_int_eq(decode(p, &state), 0);
    state.data[0] = 1;
    ck_assert_int_eq(decode(p, &state), ERR_PROTOCOL);
    buf_release(&state);
    state_of(p, "5\n3\nx\n4\n", &state);
    ck_assert_int_eq(decode(p, &state), 0);
    buf_release(&state);
    state_of(q, "5\n3\n4\n", &state);
    ck_assert_uint_eq(state.data[0], 1); /* as it was before there was a second */
    state.data[0] = 2;
    ck_assert_int_eq(decode(q, &state), ERR_PROTOCOL);
    buf_release(&state);
    compute_program_free(p);
    compute_program_free(q);
}
END_TEST

UNIT_MAIN("compute_place", records_are_counted_from_zero_with_headers_and_what_was_left_out,
          equal_numbers_are_those_that_compare_equal_but_for_zeros, of_nothing_there_is_none,
          the_record_is_the_same_however_the_object_is_cut,
          states_have_the_second_format_and_no_place_behind_their_records)
