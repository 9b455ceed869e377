/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Scans by tasks: the same results and errors however the object was cut; streaming; several
 * objects; states from outside. What the results are is compared with Python's in scan.py.
 */
#include "base/rng.h"
#include "compute/table.h"
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
    "i64 | scan min",
    "u64 | scan exclusive max",
    "f64 | scan exclusive min",
    "f64 | scan max",
    "f32 | scan sum",
    "i8 | scan exclusive or",
    "i16 | where $1 > 5 | scan count",
    "i16,i16 | scan exclusive sum $1 * 281474976710656 from $2 % 16 = 3",
    "i8,u16,u8 | select $3, $1 scan min $2 - $1 from $3 < 9",
    "csv | select $1 scan sum $2 from $1 = \"a\"",
    "csv header | where $1 != \"\" | scan exclusive max",
    "lines | scan exclusive count from $0 = \"\"",
    "words | select $0 scan max $0",
    "csv | scan sum $2 / $1",
    "i8,i8 | where $2 > 0 | scan sum $1 * 18014398509481984",
    "f64,u8 | scan exclusive sum $1 from $2 < 9",
    "u16,i8 | where $2 > 0 | scan or $1",
    "i32 | scan exclusive or",
    "csv | select $1 scan or $2 from $1 = \"a\"",
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

START_TEST(or_is_of_the_bits_of_whole_numbers)
{
    expect("lines | scan or", "1\n\n4\n-8\n", NULL, "1\n1\n5\n-3\n");
    expect("lines | scan exclusive or from $0 = 2", "1\n4\n2\n8\n", NULL, "0\n1\n0\n2\n");
    expect("lines | scan or", "1\n18446744073709551615\n", NULL, "1\n18446744073709551615\n");
    expect("lines | scan or", "9223372036854775808\n-9223372036854775808\n", NULL,
           "9223372036854775808\n-9223372036854775808\n");
    expect("csv | where $1 != 3 | scan or $2", "1,2\n3,\n3,\n1,0.5\n1,1\n", NULL,
           "2\nerror: record 4: 'or' is of whole numbers, and this is 0.5WRONG_TYPE");
    expect("lines | scan exclusive or", "1\n2\n1e3\n", NULL,
           "0\n1\nerror: record 3: 'or' is of whole numbers, and this is 1000WRONG_TYPE");
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
        {"u64 | scan exclusive or", 3, NULL},
        {"u64 | scan or $1 + $1", 0, "record 1: or is 18446744073709551614, which is no i64"},
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
    struct compute_task *into = tasks_new(p, 0, 0);
    ck_assert_int_eq(compute_task_merge(into, t), ERR_INVALID);
    compute_task_free(into);
    ck_assert_int_eq(compute_task_next(t, NULL), 0); /* it knows of the object before */
    ck_assert_int_eq(compute_task_encode(t, &out), ERR_INVALID);
    compute_task_free(t);
    compute_program_free(p);
    p = tasks_program("u8 | scan sum $1 * 18446744073709551615");
    t = tasks_new(p, 0, 0);
    ck_assert_int_eq(compute_task_update(t, bytes_of_text("\1")), 0);
    ck_assert_uint_eq(compute_task_output(t).size, 0); /* the first result is no i64 */
    ck_assert(compute_task_is_settled(t));
    ck_assert_int_eq(compute_task_encode(t, &out), ERR_INVALID);
    compute_task_free(t);
    buf_release(&out);
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

/* Blocks of numbers follow one another, and a sum out of range is in none of the first. */
START_TEST(sums_go_on_from_block_to_block)
{
    static uint8_t object[3 * 4096 * 8 + 40];
    const size_t count = sizeof(object) / 8;
    struct compute_program *p = tasks_program("i64 | scan sum");
    struct err_info why = {.code = 0};
    struct rng r;
    rng_init(&r, unit_seed("blocks", 24));
    for (unsigned over = 0; over < 2; over++) {
        const size_t results = over == 1 ? count - 7 : count;
        struct compute_task *t = tasks_new(p, 0, 0);
        int64_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            const int64_t v = i == results ? INT64_MAX : 1 + (int64_t)rng_below(&r, 1u << 30);
            num_put_u64(object + i * 8, (uint64_t)v);
        }
        ck_assert_int_eq(compute_task_update(t, bytes_of(object, sizeof(object))), 0);
        ck_assert_int_eq(compute_task_finish(t, &why), over == 1 ? ERR_OVERFLOW : 0);
        const struct bytes out = compute_task_output(t);
        ck_assert_uint_eq(out.size, results * 8);
        for (size_t i = 0; i < results; i++) {
            sum += (int64_t)num_get_u64(object + i * 8);
            ck_assert_uint_eq(num_get_u64(out.data + i * 8), (uint64_t)sum);
        }
        compute_task_free(t);
    }
    compute_program_free(p);
}
END_TEST

/* What is printed, the object in pieces, each of whose results are taken. */
static void results_of(const char *program, struct bytes object, size_t piece, struct buf *out)
{
    struct compute_program *p = tasks_program(program);
    struct compute_task *t = tasks_new(p, 0, 0);
    for (size_t at = 0; at < object.size; at += piece) {
        const struct bytes part = bytes_of(object.data + at, NUM_MIN(piece, object.size - at));
        ck_assert_int_eq(compute_task_update(t, part), 0);
        const struct bytes some = compute_task_output(t);
        ck_assert_int_eq(buf_append(out, some.data, some.size), 0);
        compute_task_output_clear(t);
    }
    (void)tasks_end(t, out);
    compute_program_free(p);
}

START_TEST(blocks_have_the_results_of_records_one_by_one)
{
    static const char *const types[] = {"i8", "u16", "i32", "u32", "i64", "u64", "f32", "f64"};
    static const char *const scans[] = {"sum",           "min",           "max", "exclusive sum",
                                        "exclusive min", "exclusive max", "or",  "exclusive or"};
    static uint8_t object[6000];
    const struct alloc heap = alloc_heap();
    struct rng r;
    rng_init(&r, unit_seed("blocks", 25));
    for (unsigned round = 0; round < 512; round++) {
        const char *type = types[round % 8];
        const char *scan = scans[round / 8 % (type[0] == 'f' ? 6 : 8)];
        const size_t size = rng_below(&r, sizeof(object) / 8) * 8;
        char blocks[64];
        char records[64];
        struct buf got;
        struct buf want;
        buf_init(&got, &heap, TASKS_TEXT_BYTES);
        buf_init(&want, &heap, TASKS_TEXT_BYTES);
        rng_fill(&r, object, size);
        for (size_t i = 0; i < size && round % 3 > 0; i++) { /* signs of all, else few bits */
            object[i] = i % 4 == 3 ? object[i] & 0x81 : i % 4 == 2 ? 0 : object[i];
        }
        (void)snprintf(blocks, sizeof(blocks), "%s | scan %s", type, scan);
        (void)snprintf(records, sizeof(records), "%s | where 1 = 1 | scan %s", type, scan);
        results_of(blocks, bytes_of(object, size), (size_t)rng_between(&r, 1, 2 * size + 1), &got);
        results_of(records, bytes_of(object, size), size + 1, &want);
        ck_assert_msg(bytes_equal(buf_view(&got), buf_view(&want)), "%s", blocks);
        buf_release(&got);
        buf_release(&want);
    }
}
END_TEST

/* 2^53 + 1 is no double; three of it are 27021597764222979, to which ...980 is next. */
START_TEST(whole_numbers_of_rows_are_added_before_they_are_rounded)
{
    static const char text[] = "107,9007199254740993\n108,-9007199254740993\n";
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("u8 | lookup \"t\" $1 as r | scan sum $r.2");
    struct compute_table *table = NULL;
    const struct compute_table_options options = {.header = false};
    ck_assert_int_eq(compute_table_new(&table, &heap, bytes_of_text(text), &options, NULL), 0);
    compute_program_bind(p, 0, table);
    for (unsigned minus = 0; minus < 2; minus++) {
        struct compute_task *t = tasks_new(p, 0, 0);
        double last = 0;
        ck_assert_int_eq(compute_task_update(t, bytes_of_text(minus == 1 ? "lll" : "kkk")), 0);
        ck_assert_int_eq(compute_task_finish(t, NULL), 0);
        const struct bytes out = compute_task_output(t);
        ck_assert_uint_eq(out.size, 24);
        memcpy(&last, out.data + 16, sizeof(last));
        ck_assert(last == (minus == 1 ? -0x1.8000000000001p+54 : 0x1.8000000000001p+54));
        compute_task_free(t);
    }
    compute_program_free(p);
    compute_table_free(table);
}
END_TEST

/* Each request for memory fails once: the results are the same then, or the scan ends and says at
 * which record. */
START_TEST(memory_that_is_refused_ends_a_scan)
{
    static uint8_t object[2048];
    const struct alloc heap = alloc_heap();
    unsigned said = 0;
    memset(object, ',', sizeof(object));
    for (size_t i = 0; i < sizeof(object); i += 4) {
        memcpy(object + i, i % 32 == 0 ? "1.5\n" : "444\n", 4);
    }
    for (size_t i = 0; i < 2; i++) {
        struct compute_program *p = tasks_program(i == 0 ? "u8 | scan sum" : "lines | scan sum");
        struct compute_task *whole = tasks_new(p, 0, 0);
        ck_assert_int_eq(compute_task_update(whole, bytes_of(object, sizeof(object))), 0);
        const struct bytes want = compute_task_output(whole);
        bool refused = true;
        for (uint64_t n = 1; refused; n++) {
            struct alloc_budget budget;
            const struct alloc failing = alloc_budget_init(&budget, heap, UINT64_MAX);
            const struct compute_task_options options = {.from = 0};
            struct compute_task *t = NULL;
            struct err_info why = {.code = 0};
            budget.fail_at = n;
            int err = compute_task_new(&t, &failing, p, &options, NULL);
            err = err == 0 ? compute_task_update(t, bytes_of(object, sizeof(object))) : err;
            if (err == 0) {
                const struct bytes out = compute_task_output(t);
                const bool settled = compute_task_is_settled(t);
                ck_assert(out.size <= want.size);
                ck_assert(bytes_equal(out, bytes_of(want.data, out.size)));
                ck_assert(settled == (out.size < want.size));
                ck_assert(settled || i == 0 || out.data[out.size - 1] == '\n');
                err = compute_task_finish(t, &why);
                ck_assert_int_eq(err, settled ? ERR_NO_MEMORY : 0);
                said += settled && strstr(why.text, "no memory for the result of record ") != NULL;
            }
            ck_assert(err == 0 || err == ERR_NO_MEMORY);
            compute_task_free(t);
            refused = budget.requests >= n;
        }
        compute_task_free(whole);
        compute_program_free(p);
    }
    ck_assert_uint_gt(said, 3);
}
END_TEST

/* mark: that of the one value, and what it is changed to. */
static void expect_refused(const char *program, uint8_t mark, uint8_t to)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program(program);
    struct compute_task *t = tasks_new(p, 0, 0);
    struct compute_task *read = NULL;
    struct buf bytes;
    buf_init(&bytes, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_update(t, bytes_of_text("a")), 0);
    ck_assert_int_eq(compute_task_encode(t, &bytes), 0);
    uint8_t *at = bytes.data + bytes.size - 1 - (mark >> 4);
    ck_assert_uint_eq(*at, mark);
    *at = to;
    ck_assert_int_eq(compute_task_decode(&read, &heap, p, 0, buf_view(&bytes)), ERR_PROTOCOL);
    buf_release(&bytes);
    compute_task_free(t);
    compute_program_free(p);
}

START_TEST(states_have_no_numbers_that_the_program_cannot_give)
{
    expect_refused("u8 | scan sum $1 + 1", 0x11, 0x13); /* a double, where results are whole */
    expect_refused("u8 | scan count", 0x00, 0x01);      /* a number of count */
    expect_refused("u8 | scan max $1 + 1", 0x11, 0x15); /* a segment, of a program without */
    expect_refused("u8 | scan max $1 + 1", 0x11, 0x10); /* bytes of no number */
}
END_TEST

UNIT_MAIN("compute_task_scan", results_do_not_depend_on_where_the_object_was_cut,
          results_come_while_the_object_does, a_line_is_what_the_aggregate_is_so_far,
          or_is_of_the_bits_of_whole_numbers, a_scan_goes_on_in_the_next_object,
          a_result_that_is_no_number_of_its_type_is_named,
          a_state_whose_results_were_taken_is_not_encoded,
          states_from_outside_are_values_of_records_or_refused, sums_go_on_from_block_to_block,
          blocks_have_the_results_of_records_one_by_one,
          whole_numbers_of_rows_are_added_before_they_are_rounded,
          memory_that_is_refused_ends_a_scan, states_have_no_numbers_that_the_program_cannot_give)
