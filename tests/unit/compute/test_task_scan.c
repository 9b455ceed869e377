/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Scans by tasks: the same results and errors however the object was cut; streaming; several
 * objects; states from outside. What the results are is compared with Python's in scan.py.
 */
#include "base/rng.h"
#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

#define OBJECT_BYTES 4000u

static const char *const programs[] = {
    "i64 | scan sum",
    "i64 | scan exclusive sum",
    "u64,x1 | scan sum",
    "i8 | scan exclusive sum",
    "f64 | scan sum",
    "f32,i16 | scan exclusive max $1",
    "u16 | scan exclusive min",
    "i16 | where $1 > 5 | scan count",
    "i16,i16 | scan exclusive sum $1 * 281474976710656 from $2 % 16 = 3",
    "i8,u16,u8 | select $3, $1 scan min $2 - $1 from $3 < 9",
    "csv | select $1 scan sum $2 from $1 = \"a\"",
    "csv header | where $1 != \"\" | scan exclusive max",
    "lines | scan exclusive count from $0 = \"\"",
    "words | select $0 scan max $0",
    "csv | scan sum $2 / $1",
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

/* Bytes that are numbers of some sizes, or a text. */
static size_t any_object(struct rng *r, bool text, uint8_t *into)
{
    static const char *const words[] = {"a,", "1", "22.5",    "-7",  ",",        "\n",
                                        "\n", " ", "\"q\n\"", "0,1", "\"b\",3\n"};
    const size_t size = (size_t)rng_below(r, rng_chance(r, 1, 2) ? 60 : OBJECT_BYTES);
    size_t at = 0;
    if (!text) {
        rng_fill(r, into, size);
        for (size_t i = 0; i < size; i++) { /* small numbers mostly, so that not all overflow */
            into[i] = i % 8 < 6 || rng_chance(r, 1, 300) ? into[i] : 0;
        }
        return rng_chance(r, 1, 8) ? size : size / 40 * 40;
    }
    while (at < size) {
        const char *word = words[rng_below(r, rng_chance(r, 1, 40) ? 11 : 8)];
        memcpy(into + at, word, strlen(word));
        at += strlen(word);
    }
    return at;
}

START_TEST(results_do_not_depend_on_where_the_object_was_cut)
{
    static uint8_t object[OBJECT_BYTES + 16];
    struct rng r;
    const struct alloc heap = alloc_heap();
    unsigned wrong = 0;
    rng_init(&r, unit_seed("cuts", 21));
    for (unsigned round = 0; round < 3000; round++) {
        const char *text = programs[round % PROGRAMS];
        struct compute_program *p = tasks_program(text);
        const size_t size =
            any_object(&r,
                       strncmp(text, "csv", 3) == 0 || strncmp(text, "lines", 5) == 0 ||
                           strncmp(text, "words", 5) == 0,
                       object);
        struct buf want;
        struct buf got;
        buf_init(&want, &heap, TASKS_TEXT_BYTES);
        buf_init(&got, &heap, TASKS_TEXT_BYTES);
        const struct bytes data = bytes_of(object, size);
        const int err = tasks_end(tasks_span(&r, p, 0, data, 0, size, 0), &want);
        ck_assert_int_eq(tasks_end(tasks_merged(&r, p, 0, data, 0, size), &got), err);
        wrong += err != 0;
        ck_assert(bytes_equal(buf_view(&want), buf_view(&got)));
        buf_release(&want);
        buf_release(&got);
        compute_program_free(p);
    }
    ck_assert_uint_gt(wrong, 100);
    ck_assert_uint_lt(wrong, 2500);
}
END_TEST

/* Takes what there is after each piece. */
START_TEST(results_come_while_the_object_does)
{
    const struct alloc heap = alloc_heap();
    struct rng r;
    rng_init(&r, unit_seed("pieces", 22));
    for (unsigned round = 0; round < 400; round++) {
        static uint8_t object[OBJECT_BYTES + 16];
        const char *text = programs[round % PROGRAMS];
        struct compute_program *p = tasks_program(text);
        const size_t size =
            any_object(&r, text[0] != 'i' && text[0] != 'u' && text[0] != 'f', object);
        struct compute_task *t = tasks_new(p, 0, 0);
        struct buf want;
        struct buf got;
        buf_init(&want, &heap, TASKS_TEXT_BYTES);
        buf_init(&got, &heap, TASKS_TEXT_BYTES);
        const struct bytes data = bytes_of(object, size);
        const int err = tasks_end(tasks_span(&r, p, 0, data, 0, size, 0), &want);
        for (size_t at = 0; at < size;) {
            const size_t part = (size_t)rng_between(&r, 1, size - at);
            ck_assert_int_eq(compute_task_update(t, bytes_of(object + at, part)), 0);
            const struct bytes out = compute_task_output(t);
            ck_assert_int_eq(buf_append(&got, out.data, out.size), 0);
            compute_task_output_clear(t);
            at += part;
        }
        ck_assert_int_eq(tasks_end(t, &got), err);
        ck_assert(bytes_equal(buf_view(&want), buf_view(&got)));
        buf_release(&want);
        buf_release(&got);
        compute_program_free(p);
    }
}
END_TEST

static void expect(const char *program, const char *first, const char *second, const char *want)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program(program);
    struct compute_task *t = tasks_new(p, 0, 0);
    struct err_info why = {.code = 0};
    struct buf out;
    buf_init(&out, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_update(t, bytes_of_text(first)), 0);
    if (second != NULL) {
        ck_assert_int_eq(compute_task_next(t, &why), 0);
        ck_assert_int_eq(compute_task_update(t, bytes_of_text(second)), 0);
    }
    (void)tasks_end(t, &out);
    ck_assert_str_eq((const char *)out.data, want);
    buf_release(&out);
    compute_program_free(p);
}

START_TEST(a_line_is_what_the_aggregate_is_so_far)
{
    expect("lines | scan sum", "1\n2\n\n0.5\n3\n", NULL, "1\n3\n3\n3.5\n6.5\n");
    expect("lines | scan min", "\n7\n3\n5\n", NULL, "\n7\n3\n3\n");
    expect("lines | scan exclusive max", "7\n3\n9\n", NULL, "\n7\n7\n");
    expect("csv | select $1 scan exclusive sum $2 from $1 = \"a\"", "a,1\n\"b,c\",2\na,3\nd,4\n",
           NULL, "a,0\n\"b,c\",1\na,0\nd,3\n");
    expect("words | scan count", "a b\n c", NULL, "1\n2\n3\n");
}
END_TEST

START_TEST(a_scan_goes_on_in_the_next_object)
{
    expect("lines | scan sum", "1\n2\n", "3\n4", "1\n3\n6\n10\n");
    expect("csv header | scan sum $1", "n\n1\n2", "n\n3\n", "1\n3\n6\n");
    expect("lines | where $0 != \"\" | scan count", "a\n\nb", "\n\nc\n", "1\n2\n3\n");
    expect("lines | scan sum", "1\n2\n", "3\nx\n",
           "1\n3\n6\nerror: record 2: $0 is no number: 'x'WRONG_TYPE");
}
END_TEST

START_TEST(a_result_that_is_no_number_of_its_type_is_named)
{
    static const char big[] = "\xff\xff\xff\xff\xff\xff\xff\x7f";
    const struct alloc heap = alloc_heap();
    static const struct {
        const char *program;
        size_t results; /* before the error */
        const char *want;
    } cases[] = {
        {"i64 | scan sum", 1, "record 2: sum is 18446744073709551614, which is no i64"},
        {"i64 | scan exclusive sum", 2, "record 3: sum is 18446744073709551614, which is no i64"},
        {"u64 | scan sum", 2, "record 3: sum is 27670116110564327421, which is no u64"},
        {"u64 | scan exclusive sum", 3, NULL},
        {"u64 | scan max $1 + $1", 0, "record 1: max is 18446744073709551614, which is no i64"},
        {"i64 | where $1 > 0 | scan sum", 1,
         "record 2: sum is 18446744073709551614, which is no i64"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct compute_program *p = tasks_program(cases[i].program);
        struct compute_task *t = tasks_new(p, 0, 0);
        struct err_info why = {.code = 0};
        for (unsigned times = 0; times < 3; times++) {
            ck_assert_int_eq(compute_task_update(t, bytes_of(big, 8)), 0);
        }
        const int err = compute_task_finish(t, &why);
        ck_assert_int_eq(err, cases[i].want != NULL ? ERR_OVERFLOW : 0);
        ck_assert_str_eq(err != 0 ? why.text : "", cases[i].want != NULL ? cases[i].want : "");
        ck_assert_uint_eq(compute_task_output(t).size, cases[i].results * 8);
        ck_assert(compute_task_is_settled(t) == (err != 0));
        compute_task_free(t);
        compute_program_free(p);
    }
    (void)heap;
}
END_TEST

START_TEST(a_state_whose_results_were_taken_is_not_encoded)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("u8 | scan sum");
    struct compute_task *t = tasks_new(p, 0, 0);
    struct buf out;
    buf_init(&out, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_update(t, bytes_of_text("ab")), 0);
    ck_assert_int_eq(compute_task_encode(t, &out), 0);
    ck_assert_uint_eq(compute_task_output(t).size, 16);
    ck_assert_int_eq(compute_task_encode(t, &out), ERR_INVALID);
    buf_release(&out);
    compute_task_free(t);
    compute_program_free(p);
}
END_TEST

/* A state with one byte changed is refused, or is another state: its bytes are the same again. */
START_TEST(states_from_outside_are_values_of_records_or_refused)
{
    const struct alloc heap = alloc_heap();
    struct rng r;
    unsigned refused = 0;
    rng_init(&r, unit_seed("states", 23));
    for (unsigned round = 0; round < 4000; round++) {
        static uint8_t object[OBJECT_BYTES + 16];
        const char *text = programs[rng_below(&r, PROGRAMS)];
        struct compute_program *p = tasks_program(text);
        const size_t size =
            any_object(&r, text[0] != 'i' && text[0] != 'u' && text[0] != 'f', object);
        const size_t from = (size_t)rng_below(&r, size + 1);
        struct compute_task *t = tasks_span(&r, p, 0, bytes_of(object, size), from, size, 0);
        struct compute_task *read = NULL;
        struct buf bytes;
        struct buf again;
        buf_init(&bytes, &heap, TASKS_TEXT_BYTES);
        buf_init(&again, &heap, TASKS_TEXT_BYTES);
        ck_assert_int_eq(compute_task_encode(t, &bytes), 0);
        bytes.data[rng_below(&r, bytes.size)] ^= (uint8_t)(1u << rng_below(&r, 8));
        const int err = compute_task_decode(&read, &heap, p, 0, buf_view(&bytes));
        refused += err != 0;
        if (err == 0) {
            ck_assert_int_eq(compute_task_encode(read, &again), 0);
            ck_assert(bytes_equal(buf_view(&bytes), buf_view(&again)));
            (void)compute_task_output(read);
        }
        compute_task_free(read);
        compute_task_free(t);
        buf_release(&bytes);
        buf_release(&again);
        compute_program_free(p);
    }
    ck_assert_uint_gt(refused, 100);
}
END_TEST

UNIT_MAIN("compute_task_scan", results_do_not_depend_on_where_the_object_was_cut,
          results_come_while_the_object_does, a_line_is_what_the_aggregate_is_so_far,
          a_scan_goes_on_in_the_next_object, a_result_that_is_no_number_of_its_type_is_named,
          a_state_whose_results_were_taken_is_not_encoded,
          states_from_outside_are_values_of_records_or_refused)
