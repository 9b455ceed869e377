/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tasks: results and errors of programs, the same however the object is cut and merged.
 */
#include "compute/group_internal.h"
#include "compute/number_internal.h"
#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

static struct buf result;

/* The result of the data in one piece. */
static const char *run_bytes(const char *program, struct bytes data, uint64_t memory_bytes)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program(program);
    struct compute_task *t = tasks_new(p, 0, memory_bytes);
    buf_release(&result);
    buf_init(&result, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_update(t, data), 0);
    (void)tasks_end(t, &result);
    compute_program_free(p);
    return (const char *)result.data;
}

static const char *run(const char *program, const char *data)
{
    return run_bytes(program, bytes_of_text(data), 0);
}

/* --- any cut --- */

static const char *const programs[] = {
    "lines | count",
    "lines | where $0 != \"\" | by $1 count, sum $2, mean $2 | top 3",
    "lines | sum $2, min $2, max $2, var $2, distinct $1",
    "lines | where $2 >= 0 or $1 = \"a\" | select $2 * 2, $1, $2 % 3",
    "lines | where $3 > 1",
    "words | count",
    "words | by $0 count",
    "words | where $0 > 5 | sum",
    "words | distinct",
    "words | where $0 > -5 | min, max",
    "words | where $0 != \"a\"",
    "csv | count",
    "csv | by $1 count, sum $2, distinct $3 | top 4",
    "csv header | by $1, $2 count, dot $2, $2",
    "csv | select $2, $1",
    "csv | sort $2, $1 down",
    "lines | where $1 != 3 | sort $2 + $1 down | select $1, $1 / $2",
    "words | sort $0 down",
    "i16,x1,u8 | sort $2 % 7, $1 down",
    "csv | sample 0.5 $1 | by $1 count",
    "lines | sample .5 | where $1 > 1 | sample 0.9 $2 + 1",
    "i16,x1,u8 | sample 0.25 | count, sum $2",
    "csv | where $2 > 3",
    "csv header | sum $1 / $2",
    "csv header \"1\" | by $1 count, sum $2",
    "csv header \"\", \"\" | where $2 > 0",
    "csv header \"a\" | select $1",
    "csv | by $3 max $1 + $2, varp $1",
    "i16,x1,u8 | where $1 > 0 | count, sum $2, mean $1",
    "i16,x1,u8 | by $2 % 7 min $1, max $1, count | top 5",
    "i16,x1,u8 | where $1 % 5 = 0 | select $1, $2",
    "i16,x1,u8 | where $2 < 9",
    "i16,x1,u8 | var $1",
    "i16,x1,u8 | sum $1 / $2",
    "f32 | where $1 > 0 | sum, mean, var, min, max",
    "f64 | sum",
    "f32 | min, max, distinct, mean",
    "lines | where $2 >= 0 | by $1 argmin $2, argmax $2, min $2",
    "csv header | argmax $1, argmin $2, sum $1",
    "words | argmin, argmax",
    "i16,x1,u8 | sample 0.5 | by $2 % 3 argmax $1 | top 2",
    "f32 | argmin, argmax",
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))
#define DATA_MAX 400u

/* Text with few different bytes, so that fields, quotes and ends meet often. */
static size_t make_data(struct rng *rng, uint8_t *data)
{
    static const char *const alphabets[] = {
        "a1 \n", "12,\n",    "ab,12\"\r\n",      "1.5e,- \n\t\"",
        "\n",    "\"\",\n1", "aaaaaaaaaaaab \n", "01. -\n"};
    const char *letters = alphabets[rng_below(rng, 8)];
    const size_t count = strlen(letters);
    const size_t bytes = (size_t)rng_below(rng, rng_chance(rng, 1, 4) ? 12 : DATA_MAX);
    if (rng_chance(rng, 1, 5)) {
        rng_fill(rng, data, bytes);
        return bytes;
    }
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)letters[rng_below(rng, count)];
    }
    return bytes;
}

/* Records of CSV as they should be, with every kind of field. */
static size_t make_csv(struct rng *rng, uint8_t *data)
{
    static const char *const fields[] = {"1",     "22",      "-3",       "0.5",        "",
                                         "\"4\"", "\"a,b\"", "\"x\ny\"", "\"q\"\"q\"", "7e2"};
    static const char *const ends[] = {",", ",", "\n", "\r\n"};
    size_t bytes = 0;
    const size_t count = (size_t)rng_below(rng, 40);
    for (size_t i = 0; i < count; i++) {
        const char *field = fields[rng_below(rng, rng_chance(rng, 1, 9) ? 10 : 6)];
        const char *end = ends[rng_below(rng, 4)];
        memcpy(data + bytes, field, strlen(field));
        bytes += strlen(field);
        memcpy(data + bytes, end, strlen(end));
        bytes += strlen(end);
    }
    return bytes;
}

static void check_cuts(struct rng *rng, const char *program, struct bytes data,
                       uint64_t memory_bytes)
{
    const struct alloc heap = alloc_heap();
    struct buf other;
    struct compute_program *p = tasks_program(program);
    const char *expected = run_bytes(program, data, memory_bytes);
    buf_init(&other, &heap, TASKS_TEXT_BYTES);
    for (unsigned way = 0; way < 4; way++) {
        buf_clear(&other);
        struct compute_task *t = way == 0 ? tasks_span(rng, p, memory_bytes, data, 0, data.size, 1)
                                          : tasks_merged(rng, p, memory_bytes, data, 0, data.size);
        (void)tasks_end(t, &other);
        if (strcmp(expected, (const char *)other.data) != 0) {
            (void)fprintf(stderr, "%s way %u of %zu bytes: ", program, way, data.size);
            for (size_t i = 0; i < data.size; i++) {
                (void)fprintf(stderr, "%02x", data.data[i]);
            }
            (void)fputc('\n', stderr);
        }
        ck_assert_str_eq(expected, (const char *)other.data);
    }
    buf_release(&other);
    compute_program_free(p);
}

START_TEST(every_cut_and_grouping_gives_the_same_bytes)
{
    struct rng rng;
    uint8_t data[DATA_MAX + 64];
    rng_init(&rng, unit_seed("every_cut_and_grouping_gives_the_same_bytes", 1));
    for (unsigned i = 0; i < 12000; i++) {
        const size_t bytes = rng_chance(&rng, 1, 2) ? make_csv(&rng, data) : make_data(&rng, data);
        check_cuts(&rng, programs[rng_below(&rng, PROGRAMS)], bytes_of(data, bytes),
                   rng_chance(&rng, 1, 3) ? rng_between(&rng, 1, 3000) : 0);
    }
}
END_TEST

/* The encoding of a state, which is freed. */
static void encoded(struct compute_task *t, struct buf *out)
{
    const struct alloc heap = alloc_heap();
    buf_init(out, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_encode(t, out), 0);
    compute_task_free(t);
}

START_TEST(a_span_has_the_same_encoding_however_it_was_put_together)
{
    struct rng rng;
    uint8_t bytes[DATA_MAX + 64];
    rng_init(&rng, unit_seed("a_span_has_the_same_encoding", 1));
    for (unsigned i = 0; i < 12000; i++) {
        const size_t size = rng_chance(&rng, 1, 2) ? make_csv(&rng, bytes) : make_data(&rng, bytes);
        const uint64_t memory_bytes = rng_chance(&rng, 1, 3) ? rng_between(&rng, 1, 3000) : 0;
        const size_t from = rng_chance(&rng, 1, 4) ? 0 : (size_t)rng_below(&rng, size + 1);
        const size_t to = (size_t)rng_between(&rng, from, size);
        struct compute_program *p = tasks_program(programs[rng_below(&rng, PROGRAMS)]);
        const struct bytes data = bytes_of(bytes, size);
        struct compute_task *again = tasks_span(&rng, p, memory_bytes, data, from, to, 0);
        struct buf whole;
        struct buf merged;
        struct buf recoded;
        tasks_recode(&again, p, memory_bytes);
        encoded(again, &recoded);
        encoded(tasks_span(&rng, p, memory_bytes, data, from, to, 5), &whole);
        encoded(tasks_merged(&rng, p, memory_bytes, data, from, to), &merged);
        ck_assert(bytes_equal(buf_view(&whole), buf_view(&recoded)));
        if (!bytes_equal(buf_view(&whole), buf_view(&merged))) {
            (void)fprintf(stderr, "round %u, [%zu, %zu) of %zu bytes\n", i, from, to, size);
        }
        ck_assert(bytes_equal(buf_view(&whole), buf_view(&merged)));
        buf_release(&whole);
        buf_release(&merged);
        buf_release(&recoded);
        compute_program_free(p);
    }
}
END_TEST

/* The span, in a form as short as it can be, or as it is known to begin. */
static struct compute_task *short_span(struct rng *rng, const struct compute_program *p,
                                       struct bytes part, const struct compute_task *before)
{
    const struct alloc heap = alloc_heap();
    const bool told = rng_chance(rng, 1, 3);
    const struct compute_task_options options = {.from = compute_task_to(before),
                                                 .quotes = told ? compute_task_quotes(before) : 0};
    struct compute_task *t = NULL;
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_update(t, part), 0);
    compute_task_leave_open(t, (size_t)rng_below(rng, 20));
    tasks_recode(&t, p, 0);
    ck_assert(!told || compute_task_was_read(t, compute_task_quotes(before)));
    if (!compute_task_was_read(t, compute_task_quotes(before))) {
        struct compute_task_options again = options;
        again.quotes = compute_task_quotes(before);
        compute_task_free(t);
        ck_assert_int_eq(compute_task_new(&t, &heap, p, &again, NULL), 0);
        ck_assert_int_eq(compute_task_update(t, part), 0);
        tasks_recode(&t, p, 0);
    }
    return t;
}

START_TEST(spans_told_how_they_begin_give_the_same_bytes)
{
    uint8_t data[1024];
    struct rng rng;
    struct buf want;
    struct buf got;
    const struct alloc heap = alloc_heap();
    rng_init(&rng, unit_seed("spans_told_how_they_begin_give_the_same_bytes", 1));
    for (unsigned i = 0; i < 3000; i++) {
        struct compute_program *p = tasks_program(programs[rng_below(&rng, PROGRAMS)]);
        const size_t bytes = rng_chance(&rng, 1, 2) ? make_csv(&rng, data) : make_data(&rng, data);
        buf_init(&want, &heap, TASKS_TEXT_BYTES);
        buf_init(&got, &heap, TASKS_TEXT_BYTES);
        (void)tasks_end(tasks_span(&rng, p, 0, bytes_of(data, bytes), 0, bytes, 0), &want);
        struct compute_task *t = tasks_new(p, 0, 0);
        for (size_t at = 0; at < bytes;) {
            const size_t part = (size_t)rng_between(&rng, 1, bytes - at);
            struct compute_task *next = short_span(&rng, p, bytes_of(data + at, part), t);
            ck_assert_int_eq(compute_task_leave_other(next, compute_task_quotes(t)), 0);
            ck_assert_int_eq(compute_task_merge(t, next), 0);
            compute_task_free(next);
            at += part;
        }
        (void)tasks_end(t, &got);
        ck_assert_msg(bytes_equal(buf_view(&want), buf_view(&got)), "round %u", i);
        buf_release(&want);
        buf_release(&got);
        compute_program_free(p);
    }
}
END_TEST

START_TEST(a_reading_that_was_left_out_cannot_follow)
{
    struct compute_program *p = tasks_program("csv | count");
    struct compute_task *inside = tasks_new(p, 0, 0);
    struct compute_task *next = tasks_new(p, 3, 0);
    ck_assert_int_eq(compute_task_update(inside, bytes_of_text("1,\"")), 0);
    ck_assert_int_eq(compute_task_update(next, bytes_of_text("4\n5\n6\n7\n")), 0);
    compute_task_leave_open(next, 7);
    ck_assert(compute_task_was_read(next, COMPUTE_TASK_QUOTES_OUTSIDE));
    ck_assert(!compute_task_was_read(next, COMPUTE_TASK_QUOTES_INSIDE));
    ck_assert_int_eq(compute_task_leave_other(next, COMPUTE_TASK_QUOTES_INSIDE), ERR_NOT_FOUND);
    ck_assert_int_eq(compute_task_merge(inside, next), ERR_NOT_FOUND);
    ck_assert_uint_eq(compute_task_to(inside), 3);
    compute_task_free(inside);
    compute_task_free(next);
    compute_program_free(p);
}
END_TEST

START_TEST(encodings_of_others_are_refused)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("words | by $0 count");
    struct compute_program *q = tasks_program("words | by $0 count ");
    struct compute_task *t = tasks_new(p, 7, 0);
    struct compute_task *read = NULL;
    struct buf bytes;
    ck_assert_int_eq(compute_task_update(t, bytes_of_text(" a b a c ")), 0);
    encoded(t, &bytes);
    ck_assert_int_eq(compute_task_decode(&read, &heap, q, 0, buf_view(&bytes)), ERR_INVALID);
    ck_assert_int_eq(compute_task_decode(&read, &heap, p, 100, buf_view(&bytes)), ERR_TOO_LARGE);
    for (size_t cut = 0; cut < bytes.size; cut++) {
        ck_assert_int_eq(compute_task_decode(&read, &heap, p, 0, bytes_of(bytes.data, cut)),
                         ERR_PROTOCOL);
    }
    bytes.data[0] = COMPUTE_TASK_FORMAT + 1;
    ck_assert_int_eq(compute_task_decode(&read, &heap, p, 0, buf_view(&bytes)), ERR_LEVEL);
    bytes.data[0] = 1;
    ck_assert_int_eq(buf_put_u8(&bytes, 0), 0);
    ck_assert_int_eq(compute_task_decode(&read, &heap, p, 0, buf_view(&bytes)), ERR_PROTOCOL);
    buf_release(&bytes);
    compute_program_free(p);
    compute_program_free(q);
}
END_TEST

START_TEST(limits_of_memory_and_records_hold_wherever_the_object_is_cut)
{
    struct rng rng;
    const struct alloc heap = alloc_heap();
    const size_t bytes = COMPUTE_TASK_RECORD_MAX + 40;
    uint8_t *data = alloc_get(&heap, bytes);
    rng_init(&rng, unit_seed("limits_of_memory_and_records_hold", 2));
    ck_assert_ptr_nonnull(data);
    for (unsigned i = 0; i < 40; i++) {
        const size_t first = (size_t)rng_below(&rng, 20);
        const size_t size = COMPUTE_TASK_RECORD_MAX - 2 + (size_t)rng_below(&rng, 5);
        memset(data, 'a', bytes);
        data[first] = '\n';
        data[first + 1 + size] = '\n';
        const char *program = i % 3 == 0   ? "csv | count"
                              : i % 3 == 1 ? "words | count"
                                           : "lines | count";
        struct compute_program *p = tasks_program(program);
        struct buf other;
        buf_init(&other, &heap, TASKS_TEXT_BYTES);
        const char *expected = run_bytes(program, bytes_of(data, bytes), 0);
        (void)tasks_end(tasks_merged(&rng, p, 0, bytes_of(data, bytes), 0, bytes), &other);
        ck_assert_str_eq(expected, (const char *)other.data);
        ck_assert_int_eq(strstr(expected, "TOO_LARGE") != NULL, size > COMPUTE_TASK_RECORD_MAX);
        buf_release(&other);
        compute_program_free(p);
    }
    alloc_put(&heap, data, bytes);
}
END_TEST

START_TEST(spans_that_do_not_touch_are_refused)
{
    struct compute_program *p = tasks_program("lines | count");
    struct compute_program *q = tasks_program("lines | count");
    struct compute_task *a = tasks_new(p, 0, 0);
    struct compute_task *b = tasks_new(p, 5, 0);
    struct compute_task *c = tasks_new(q, 0, 0);
    ck_assert_int_eq(compute_task_merge(a, b), ERR_INVALID);
    ck_assert_int_eq(compute_task_merge(a, c), ERR_INVALID);
    ck_assert_int_eq(compute_task_finish(b, NULL), ERR_RANGE);
    compute_task_free(a);
    compute_task_free(b);
    compute_task_free(c);
    compute_program_free(p);
    compute_program_free(q);
}
END_TEST

/* --- results --- */

START_TEST(the_last_line_needs_no_end)
{
    ck_assert_str_eq(run("lines | count", ""), "0\n");
    ck_assert_str_eq(run("lines | count", "a\nb"), "2\n");
    ck_assert_str_eq(run("lines | count", "a\nb\n"), "2\n");
    ck_assert_str_eq(run("lines | count", "\n\n"), "2\n");
    ck_assert_str_eq(run("csv | count", "a\r\n\r\nb"), "3\n");
}
END_TEST

START_TEST(groups_come_in_byte_order_and_top_by_value)
{
    ck_assert_str_eq(run("words | by $0 count", "b a c a b a"), "a,3\nb,2\nc,1\n");
    ck_assert_str_eq(run("words | by $0 count | top 2", "c b a c b a b"), "b,3\na,2\n");
    ck_assert_str_eq(run("lines | by $1 sum $2 | top 3", "a -1\nb 0.5\nc 1e30\nd 7"),
                     "c,1e+30\nd,7\nb,0.5\n");
    ck_assert_str_eq(run("lines | by $1, $2 count", "a b\nab\na\na b"), "a,,1\na,b,2\nab,,1\n");
}
END_TEST

START_TEST(a_header_that_is_declared_names_the_fields)
{
    static const char table[] = "id,\"full \"\"name\"\"\",value\r\n1,a,5\r\n2,b,6\r\n";
    ck_assert_str_eq(
        run("csv header id, \"full \\\"name\\\"\", value | sum $value, max $id", table), "11,2\n");
    ck_assert_str_eq(run("csv header id | where $id = 2 | select $2, $id", table), "b,2\n");
    ck_assert_str_eq(run("csv header id, x | count", table),
                     "error: record 1: $2 is 'full \"name\"', and 'x' was declaredWRONG_TYPE");
    ck_assert_str_eq(run("csv header a, b | count", "a"),
                     "error: record 1: $2 is '', and 'b' was declaredWRONG_TYPE");
    ck_assert_str_eq(run("csv header a, b | count", ""), "0\n");
    ck_assert_str_eq(run("csv header a, b | count", "a,b"), "0\n");
    ck_assert_str_eq(run("csv header a, b | count", "a,b\nb,a\n"), "1\n");
    ck_assert_str_eq(run("csv header a | count", "a\"\"\n1\n"),
                     "error: record 1: $1 has a quote but does not begin with one: "
                     "'a\"\"'PROTOCOL");
}
END_TEST

START_TEST(fields_of_csv_are_quoted_where_they_need_it)
{
    ck_assert_str_eq(run("csv | by $1 count", "\"a,\"\"b\",1\r\n\"x\ny\"\nplain"),
                     "\"a,\"\"b\",1\nplain,1\n\"x\ny\",1\n");
    ck_assert_str_eq(run("csv | select $2, $1", "a,\"b\"\nc"), "b,a\n,c\n");
    ck_assert_str_eq(run("csv header | sum $2", "n,v\nx,1\ny,2"), "3\n");
    ck_assert_str_eq(run("csv | select $1", "a\r\nb\r"), "a\n\"b\r\"\n"); /* no LF behind it */
    ck_assert_str_eq(run("csv | where $2 > 1", "a,1\r\n\"b\",2\r\n"), "\"b\",2\n");
}
END_TEST

START_TEST(whole_sums_do_not_round_and_reals_round_once)
{
    ck_assert_str_eq(run("words | sum", "18446744073709551615 18446744073709551615 -1"),
                     "36893488147419103229\n");
    ck_assert_str_eq(run("words | sum", "9007199254740993 0.5 -0.5"), "9007199254740992\n");
    ck_assert_str_eq(run("words | sum", "1e16 0.1 0.2 0.3 -1e16"), "0.6\n");
    ck_assert_str_eq(run("words | mean, var, varp", "1 2 3 4"), "2.5,1.6666666666666667,1.25\n");
    ck_assert_str_eq(run("lines | dot $1, $2", "18446744073709551615 2\n3 -4"),
                     "36893488147419103218\n");
}
END_TEST

START_TEST(what_is_no_number_compares_false)
{
    const char *text = "5\nx\n\n-1\n1e1\n";
    ck_assert_str_eq(run("lines | where $0 > 0 | count", text), "2\n");
    ck_assert_str_eq(run("lines | where $0 != 5 | count", text), "2\n");
    ck_assert_str_eq(run("lines | where $0 + 1 > 0 | count", text), "2\n");
    ck_assert_str_eq(run("lines | where not $0 > 0 | count", text), "3\n");
    ck_assert_str_eq(run("lines | where $0 = \"x\" or $0 = \"\" | count", text), "2\n");
    ck_assert_str_eq(run("lines | where $1 = $2 | count", "1 1.0\na a\na b\n1 a\n"), "2\n");
    ck_assert_str_eq(run("lines | where $1 < $2 | count", "9 10\nb ab\n"), "1\n");
}
END_TEST

START_TEST(numbers_of_sixty_four_bits_compare_exactly)
{
    const char *text =
        "9007199254740993 9007199254740992.0\n18446744073709551615 1.8446744073709552e19\n"
        "-9007199254740993 -9007199254740992.0\n0 -0.0\n";
    ck_assert_str_eq(run("lines | where $1 > $2 | count", text), "1\n");
    ck_assert_str_eq(run("lines | where $1 < $2 | count", text), "2\n");
    ck_assert_str_eq(run("lines | where $1 = $2 | count", text), "1\n");
    ck_assert_str_eq(run("words | min, max", "1e3 -9223372036854775808 -9.3e18 999"),
                     "-9.3e+18,1000\n");
}
END_TEST

START_TEST(of_equal_numbers_the_whole_one_is_least_and_greatest)
{
    ck_assert_str_eq(run("words | min, max", "1e19 10000000000000000000"),
                     "10000000000000000000,10000000000000000000\n");
    ck_assert_str_eq(run("words | min, max", "10000000000000000000 1e19"),
                     "10000000000000000000,10000000000000000000\n");
    ck_assert_str_eq(run("words | min, max", "0 -0.0 0.0"), "-0,0\n");
}
END_TEST

START_TEST(arithmetic_is_as_in_arithmetic)
{
    ck_assert_str_eq(
        run("lines | select 1 + 2 * 3 - 4, (1 + 2) * 3, -$1 * 2, 7 / 2, -7 % 3, 7.5 % 2", "5"),
        "3,9,-10,3.5,-1,1.5\n");
    ck_assert_str_eq(run("lines | where $2 != 0 and 6 / $2 = 3 | count", "a 2\nb 0\nc 3"), "1\n");
    ck_assert_str_eq(run("lines | where $2 = 0 or 6 / $2 = 3 | count", "a 2\nb 0\nc 3"), "2\n");
    ck_assert_str_eq(run("lines | where not ($1 = 1 and $1 = 1) | count", "1\n2"), "1\n");
}
END_TEST

/* Bits of doubles of every size, many of them at an end. */
static double any_real(struct rng *rng)
{
    static const double ends[] = {1e308, 4.9e-324, 1.0, 2.2250738585072014e-308, 3.0, 0.1};
    uint64_t bits = rng_next(rng);
    double real;
    memcpy(&real, &bits, sizeof(real));
    return rng_chance(rng, 1, 4) ? ends[rng_below(rng, 6)] : real;
}

START_TEST(rests_of_reals_are_those_of_fmod)
{
    struct rng rng;
    rng_init(&rng, unit_seed("rests_of_reals_are_those_of_fmod", 1));
    for (unsigned i = 0; i < 20000; i++) {
        const double a = any_real(&rng);
        const double b = any_real(&rng);
        const struct compute_number left = compute_number_of_real(a);
        const struct compute_number right = compute_number_of_real(b);
        struct compute_number rest = {.size = 0};
        if (b == 0) {
            continue;
        }
        ck_assert_int_eq(compute_number_combine('%', &left, &right, &rest), 0);
        const double want = fmod(a, b);
        const double got = compute_number_real(&rest);
        ck_assert_msg((want != want && got != got) ||
                          (want == got && signbit(want) == signbit(got)),
                      "%a %% %a", a, b);
    }
}
END_TEST

START_TEST(what_takes_long_counts_for_more_steps)
{
    struct compute_program *plus = tasks_program("f64 | sum $1 + 3");
    struct compute_program *rest = tasks_program("f64 | sum $1 % 3");
    struct compute_program *text = tasks_program("lines | sum $1 + 3");
    ck_assert_uint_ge(compute_program_steps(rest), 100 + compute_program_steps(plus));
    ck_assert_uint_ge(compute_program_steps(text), 8 + compute_program_steps(plus));
    compute_program_free(plus);
    compute_program_free(rest);
    compute_program_free(text);
}
END_TEST

START_TEST(groups_are_the_same_whatever_the_seed)
{
    static const char *const texts[] = {"words | by $0 count", "csv | by $1, $2 count, distinct $3",
                                        "lines | by $0 count"};
    struct rng rng;
    uint8_t data[DATA_MAX + 64];
    rng_init(&rng, unit_seed("groups_are_the_same_whatever_the_seed", 1));
    for (unsigned i = 0; i < 300; i++) {
        struct compute_program *plain = tasks_program(texts[i % 3]);
        struct compute_program *seeded = tasks_program(texts[i % 3]);
        const struct bytes part = bytes_of(data, make_data(&rng, data));
        struct buf want;
        struct buf got;
        compute_program_seed(seeded, rng_next(&rng));
        encoded(tasks_span(&rng, plain, 0, part, 0, part.size, 0), &want);
        encoded(tasks_merged(&rng, seeded, 0, part, 0, part.size), &got);
        ck_assert(bytes_equal(buf_view(&want), buf_view(&got)));
        buf_release(&want);
        buf_release(&got);
        compute_program_free(plain);
        compute_program_free(seeded);
    }
}
END_TEST

START_TEST(keys_that_meet_do_so_for_one_seed_only)
{
    /* Two keys of 16 bytes with one hash: the second half undoes what the first half did. */
    uint8_t keys[2][16];
    const uint64_t start = UINT64_C(16) * UINT64_C(0x9e3779b97f4a7c15);
    for (uint64_t i = 0; i < 2; i++) {
        num_put_u64(keys[i], i);
        num_put_u64(keys[i] + 8, compute_key_mix(start ^ i) ^ 7);
    }
    const struct bytes a = bytes_of(keys[0], 16);
    const struct bytes b = bytes_of(keys[1], 16);
    ck_assert(compute_key_hash(a, 0) == compute_key_hash(b, 0));
    ck_assert(compute_key_hash(a, 12345) != compute_key_hash(b, 12345));
}
END_TEST

START_TEST(empty_fields_are_left_out)
{
    ck_assert_str_eq(run("csv | sum $2, mean $2, min $2, distinct $2", "a,1\nb,\nc\nd,4"),
                     "5,2.5,1,2\n");
    ck_assert_str_eq(run("csv | by $1 min $2, var $2", "a,1\nb,\n"), "a,1,\nb,,\n");
    ck_assert_str_eq(run("csv | min $2", "a"), "error: min of too few numbersNOT_FOUND");
}
END_TEST

START_TEST(few_distinct_values_are_counted_and_many_estimated)
{
    const struct alloc heap = alloc_heap();
    struct buf text;
    char word[32];
    buf_init(&text, &heap, 1u << 20);
    for (unsigned i = 0; i < 20000; i++) {
        const int size = snprintf(word, sizeof(word), "%u ", i % 10000);
        ck_assert_int_eq(buf_append(&text, word, (size_t)size), 0);
        if (i == 63) {
            ck_assert_str_eq(run_bytes("words | distinct", buf_view(&text), 0), "64\n");
        }
    }
    const unsigned long estimate =
        strtoul(run_bytes("words | distinct", buf_view(&text), 0), NULL, 10);
    ck_assert_uint_ge(estimate, 9600);
    ck_assert_uint_le(estimate, 10400);
    buf_release(&text);
}
END_TEST

START_TEST(one_aggregate_of_raw_records_has_every_operator)
{
    static const uint8_t raw[] = {3, 0, 250, 9, 1, 7, 3, 0, 250, 255, 1, 0};
    const struct bytes data = bytes_of(raw, sizeof(raw));
    ck_assert_str_eq(run_bytes("u8,x1 | argmax", data, 0), "1\n");
    ck_assert_str_eq(run_bytes("u8,x1,u8 | argmin $2", data, 0), "3\n");
    ck_assert_str_eq(run_bytes("u8,u8 | histogram 2 0 10 $2", data, 0),
                     "-inf,0,0\n0,5,3\n5,10,2\n10,inf,1\n");
    ck_assert_str_eq(run_bytes("u8 | top 2", data, 0), "255,9\n250,2\n");
    ck_assert_str_eq(run_bytes("i8,x1 | quantile 0", data, 0), "-6.00780234070221\n");
    ck_assert_str_eq(run_bytes("u8,u8 | dot $1, $2", data, 0), "66007\n");
    ck_assert_str_eq(run_bytes("u8,x4 | count", data, 0), "error: the last record is cutRANGE");
    ck_assert_str_eq(run_bytes("u8,x4 | where $1 < 5 | count", data, 0),
                     "error: record 3 is cut: it has 2 of 5 bytesRANGE");
}
END_TEST

/* --- errors --- */

START_TEST(errors_name_record_and_field)
{
    ck_assert_str_eq(run("csv | sum $2", "a,1\nb,x\nc,y"),
                     "error: record 2: $2 is no number: 'x'WRONG_TYPE");
    ck_assert_str_eq(run("lines | select 1 / $1", "1\n0\n"),
                     "1\nerror: record 2: division by zero by '/'INVALID");
    ck_assert_str_eq(run("lines | sum $1 % $2", "1 0"),
                     "error: record 1: division by zero by '%'INVALID");
    ck_assert_str_eq(run("lines | max $1 * 2", "9223372036854775808"),
                     "error: record 1: '*' leaves the whole numbers of 64 bitsOVERFLOW");
    ck_assert_str_eq(run("lines | max -$1", "9223372036854775809"),
                     "error: record 1: '-' leaves the whole numbers of 64 bitsOVERFLOW");
    ck_assert_str_eq(run("i32,u8 | count, sum $2", "12345678"),
                     "error: record 2 is cut: it has 3 of 5 bytesRANGE");
}
END_TEST

START_TEST(wrong_quotes_are_errors)
{
    ck_assert_str_eq(
        run("csv | count", "a,b\nc,d\"e\"\n"),
        "error: record 2: $2 has a quote but does not begin with one: 'd\"e\"'PROTOCOL");
    ck_assert_str_eq(run("csv | count", "\"a\"b,c\n"),
                     "error: record 1: $1 goes on behind its closing quote: '\"a\"b,c'PROTOCOL");
    ck_assert_str_eq(run("csv | count", "a\n\"b\nc"),
                     "error: record 2: a quote is not closedPROTOCOL");
}
END_TEST

START_TEST(groups_have_a_limit)
{
    ck_assert_str_eq(run_bytes("words | by $0 count", bytes_of_text("a b c d e f"), 300),
                     "error: groups take more than the limit of 300 bytesTOO_LARGE");
    ck_assert_str_eq(run_bytes("words | sort $0", bytes_of_text("a b c d e f"), 200),
                     "error: what is to be sorted takes more than the limit of 200 bytesTOO_LARGE");
    ck_assert_str_eq(run_bytes("words | by $0 count", bytes_of_text("a b a b b a"), 300),
                     "a,3\nb,3\n");
}
END_TEST

START_TEST(what_follows_an_error_changes_nothing)
{
    struct compute_program *p = tasks_program("lines | sum");
    struct compute_task *t = tasks_new(p, 0, 0);
    ck_assert_int_eq(compute_task_update(t, bytes_of_text("1\n")), 0);
    ck_assert(!compute_task_is_settled(t));
    ck_assert_int_eq(compute_task_update(t, bytes_of_text("x\n")), 0);
    ck_assert(compute_task_is_settled(t));
    compute_task_free(t);
    compute_program_free(p);
}
END_TEST

/* One program over several objects. The last span of each joins what is before it.
 * returns: the code of the first that fails, of objects or of the end. */
static int run_objects(struct rng *rng, const char *program, const struct bytes *objects,
                       unsigned count)
{
    struct compute_program *p = tasks_program(program);
    struct compute_task *t = tasks_new(p, 0, 0);
    const struct alloc heap = alloc_heap();
    struct err_info why = {.code = 0};
    int err = 0;
    buf_release(&result);
    buf_init(&result, &heap, TASKS_TEXT_BYTES);
    for (unsigned i = 0; i < count && err == 0; i++) {
        const size_t cut = (size_t)rng_below(rng, objects[i].size + 1);
        ASSERT(compute_task_update(t, bytes_of(objects[i].data, cut)) == 0);
        struct compute_task *rest = tasks_merged(rng, p, 0, objects[i], cut, objects[i].size);
        ASSERT(compute_task_merge(t, rest) == 0);
        compute_task_free(rest);
        err = compute_task_next(t, &why);
    }
    if (err == 0) {
        err = tasks_end(t, &result);
    } else {
        ASSERT(buf_append(&result, why.text, strlen(why.text) + 1) == 0);
        compute_task_free(t);
    }
    compute_program_free(p);
    return err;
}

START_TEST(objects_in_a_row_are_as_their_records_in_a_row)
{
    static const char *const of[] = {"lines | by $0 count, sum 1",
                                     "words | by $0 count | top 3",
                                     "words | count",
                                     "csv | select $2, $1, $0",
                                     "csv | by $1 count | top 4",
                                     "csv | count, distinct $2",
                                     "lines",
                                     "i8,x1 | where $1 > 40 | sum $1, max $1",
                                     "u16 | quantile 0.5",
                                     "u16 | histogram 7 0 40000",
                                     "i16 | var"};
    struct rng rng;
    rng_init(&rng, unit_seed("objects_in_a_row_are_as_their_records_in_a_row", 1));
    for (unsigned i = 0; i < 600; i++) {
        uint8_t all[5 * (DATA_MAX + 2)];
        struct bytes objects[5];
        size_t bytes = 0;
        const char *program = of[rng_below(&rng, sizeof(of) / sizeof(of[0]))];
        const bool array = program[0] == 'i' || program[0] == 'u';
        const unsigned count = (unsigned)rng_between(&rng, 1, 5);
        for (unsigned j = 0; j < count; j++) {
            uint8_t *data = all + bytes;
            size_t size = make_csv(&rng, data);
            size -= array ? size % 2 : 0;
            if (!array && size > 0 && data[size - 1] != '\n') {
                data[size++] = '\n';
            }
            objects[j] = bytes_of(data, size);
            bytes += size;
        }
        char expected[8192];
        (void)snprintf(expected, sizeof(expected), "%s",
                       run_bytes(program, bytes_of(all, bytes), 0));
        (void)run_objects(&rng, program, objects, count);
        ck_assert_str_eq((const char *)result.data, expected);
    }
}
END_TEST

START_TEST(each_object_has_its_own_header_end_and_count)
{
    struct rng rng;
    rng_init(&rng, unit_seed("each_object_has_its_own_header_end_and_count", 1));
    const struct bytes tables[] = {bytes_of_text("a,b\n1,2\n3,4"), bytes_of_text("a,b\n"),
                                   bytes_of_text(""), bytes_of_text("a,b\r\n5,6\r\n")};
    ck_assert_int_eq(run_objects(&rng, "csv header | sum $1, count", tables, 4), 0);
    ck_assert_str_eq((const char *)result.data, "9,3\n");
    const struct bytes open[] = {bytes_of_text("a b"), bytes_of_text("c\n\n"), bytes_of_text("d")};
    ck_assert_int_eq(run_objects(&rng, "lines | count", open, 3), 0);
    ck_assert_str_eq((const char *)result.data, "4\n");
    ck_assert_int_eq(run_objects(&rng, "words | count", open, 3), 0);
    ck_assert_str_eq((const char *)result.data, "4\n");
    const struct bytes wrong[] = {bytes_of_text("1\n2\n3\n"), bytes_of_text("4\nx\n")};
    ck_assert_int_eq(run_objects(&rng, "lines | sum $1", wrong, 2), ERR_WRONG_TYPE);
    ck_assert_str_eq((const char *)result.data, "record 2: $1 is no number: 'x'");
    const struct bytes quoted[] = {bytes_of_text("\"a\n"), bytes_of_text("b\"\n")};
    ck_assert_int_eq(run_objects(&rng, "csv | count", quoted, 2), ERR_PROTOCOL);
    const struct bytes cut[] = {bytes_of_text("abc"), bytes_of_text("d")};
    ck_assert_int_eq(run_objects(&rng, "u16 | max", cut, 2), ERR_RANGE);
    ck_assert_int_eq(run_objects(&rng, "u16 | max $1, min $1", cut, 2), ERR_RANGE);
    const struct bytes whole[] = {bytes_of_text("abcd"), bytes_of_text("ef")};
    ck_assert_int_eq(run_objects(&rng, "u16 | argmax", whole, 2), ERR_INVALID);
    ck_assert_str_eq((const char *)result.data, "argmax says where in one object a record is");
    ck_assert_int_eq(run_objects(&rng, "u16 | top 2", whole, 2), ERR_INVALID);
    ck_assert_int_eq(run_objects(&rng, "u16 | count, argmin", whole, 2), ERR_INVALID);
    ck_assert_str_eq((const char *)result.data, "argmin says where in one object a record is");
}
END_TEST

START_TEST(a_failed_allocation_is_an_error_and_leaks_nothing)
{
    static const char text[] = "\"a b\",1.5\nc,2\nd,0.1\ne,7\n\"f\"\"\",9\n";
    struct compute_program *p =
        tasks_program("csv | by $1, $2 sum $2, var $2, distinct $1 | top 2");
    bool done = false;
    for (uint64_t at = 1; !done; at++) {
        struct alloc_budget budget;
        struct alloc failing = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
        const struct compute_task_options options = {.from = 0};
        struct compute_task *t = NULL;
        budget.fail_at = at;
        int err = compute_task_new(&t, &failing, p, &options, NULL);
        err = err == 0 ? compute_task_update(t, bytes_of_text(text)) : err;
        err = err == 0 ? compute_task_finish(t, NULL) : err;
        ck_assert(err == 0 || err == ERR_NO_MEMORY);
        compute_task_free(t);
        ck_assert_uint_eq(budget.used_bytes, 0);
        done = budget.requests < at;
        ck_assert(!done || err == 0);
    }
    compute_program_free(p);
}
END_TEST

UNIT_MAIN("compute_task", every_cut_and_grouping_gives_the_same_bytes,
          a_span_has_the_same_encoding_however_it_was_put_together, encodings_of_others_are_refused,
          limits_of_memory_and_records_hold_wherever_the_object_is_cut,
          spans_told_how_they_begin_give_the_same_bytes, a_reading_that_was_left_out_cannot_follow,
          spans_that_do_not_touch_are_refused, the_last_line_needs_no_end,
          groups_come_in_byte_order_and_top_by_value, a_header_that_is_declared_names_the_fields,
          fields_of_csv_are_quoted_where_they_need_it, whole_sums_do_not_round_and_reals_round_once,
          what_is_no_number_compares_false, numbers_of_sixty_four_bits_compare_exactly,
          arithmetic_is_as_in_arithmetic, of_equal_numbers_the_whole_one_is_least_and_greatest,
          rests_of_reals_are_those_of_fmod, what_takes_long_counts_for_more_steps,
          groups_are_the_same_whatever_the_seed, keys_that_meet_do_so_for_one_seed_only,
          empty_fields_are_left_out, few_distinct_values_are_counted_and_many_estimated,
          one_aggregate_of_raw_records_has_every_operator, errors_name_record_and_field,
          wrong_quotes_are_errors, groups_have_a_limit,
          objects_in_a_row_are_as_their_records_in_a_row,
          each_object_has_its_own_header_end_and_count, what_follows_an_error_changes_nothing,
          a_failed_allocation_is_an_error_and_leaks_nothing)
