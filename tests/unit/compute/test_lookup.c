/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * lookup: tables and their errors, rows that are found, and the same result however the object was
 * cut, against a search through all records of the table.
 */
#include "compute/table.h"
#include "compute/table_internal.h"
#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

static struct buf result;
static struct alloc heap;

static int table_of(struct compute_table **out, struct bytes data, bool header, uint64_t memory,
                    struct err_info *why)
{
    const struct compute_table_options o = {.header = header, .seed = 7, .memory_bytes = memory};
    heap = alloc_heap();
    return compute_table_new(out, &heap, data, &o, why);
}

/* ---- tables --------------------------------------------------------------------------------- */

static void expect_error(struct bytes data, uint64_t memory, int code, const char *text)
{
    struct compute_table *t = NULL;
    struct err_info why = {.code = 0};
    ck_assert_int_eq(table_of(&t, data, false, memory, &why), code);
    ck_assert_str_eq(why.text, text);
    ck_assert_ptr_null(t);
}

/* The rest of the row of a key, "-" without one. */
static const char *row_of(const struct compute_table *t, const char *key)
{
    static char text[64];
    struct compute_record row;
    heap = alloc_heap();
    compute_record_init(&row, &heap);
    const int err = compute_table_find(t, bytes_of_text(key), 2, &row);
    ck_assert(err == 0 || (err == ERR_NOT_FOUND && row.fields == 0));
    const struct bytes rest = row.fields > 1 ? row.field[1] : bytes_of_text("");
    (void)snprintf(text, sizeof(text), "%.*s", (int)rest.size, (const char *)rest.data);
    if (err != 0) {
        (void)snprintf(text, sizeof(text), "-");
    }
    compute_record_release(&row);
    return text;
}

START_TEST(a_record_is_found_by_its_first_field)
{
    struct compute_table *t = NULL;
    ck_assert_int_eq(table_of(&t,
                              bytes_of_text("a,1\r\n\"b,\"\"\",2\n,empty\nc\n\"d\ne\",\"x\n\"\n"
                                            "last,5\r"),
                              false, 0, NULL),
                     0);
    ck_assert_uint_eq(compute_table_records(t), 6);
    ck_assert_str_eq(row_of(t, "a"), "1");
    ck_assert_str_eq(row_of(t, "b,\""), "2");
    ck_assert_str_eq(row_of(t, ""), "empty");
    ck_assert_str_eq(row_of(t, "c"), "");
    ck_assert_str_eq(row_of(t, "d\ne"), "x\n");
    ck_assert_str_eq(row_of(t, "last"), "5\r"); /* no line end: it is the field's */
    ck_assert_str_eq(row_of(t, "b"), "-");
    compute_table_free(t);
    ck_assert_int_eq(table_of(&t, bytes_of_text("id,n\nx,1\n"), true, 0, NULL), 0);
    ck_assert_str_eq(row_of(t, "id"), "-");
    ck_assert_str_eq(row_of(t, "x"), "1");
    compute_table_free(t);
    ck_assert_int_eq(table_of(&t, bytes_of(NULL, 0), true, 0, NULL), 0);
    ck_assert_uint_eq(compute_table_records(t), 0);
    ck_assert_str_eq(row_of(t, ""), "-");
    compute_table_free(t);
    ck_assert_int_eq(table_of(&t, bytes_of_text("id\nid\n"), true, 0, NULL), 0);
    compute_table_free(t);
}
END_TEST

START_TEST(what_is_wrong_with_a_table_is_named)
{
    struct compute_table *t = NULL;
    expect_error(bytes_of_text("a,1\n\"x\ny\",2\na\n"), 0, ERR_EXISTS,
                 "record 3: key 'a' is in record 1 too");
    expect_error(bytes_of_text("a\n\n\r\n,1\n\n\"\"\n"), 0, ERR_EXISTS,
                 "record 6: key '' is in record 4 too");
    expect_error(bytes_of_text(", aab\"\"\"\"\n"), 0, ERR_PROTOCOL,
                 "record 1: quotes do not enclose $2");
    expect_error(bytes_of_text("a\nb,\"c\nd\n"), 0, ERR_PROTOCOL,
                 "record 2: a quote is not closed");
    expect_error(bytes_of_text("a\nb,c\"\"\n"), 0, ERR_PROTOCOL,
                 "record 2: quotes do not enclose $2");
    expect_error(bytes_of_text("\"a\"b\n"), 0, ERR_PROTOCOL, "record 1: quotes do not enclose $1");
    expect_error(bytes_of_text("a\n"), 64, ERR_TOO_LARGE,
                 "its keys take more than the limit of 64 bytes");
    struct buf large;
    heap = alloc_heap();
    buf_init(&large, &heap, SIZE_MAX);
    ck_assert_int_eq(buf_put_u8(&large, 'x'), 0);
    ck_assert_int_eq(buf_put_u8(&large, '\n'), 0);
    while (large.size < COMPUTE_TASK_RECORD_MAX + 2) {
        ck_assert_int_eq(buf_put_u8(&large, 'y'), 0);
    }
    ck_assert_int_eq(table_of(&t, buf_view(&large), false, 0, NULL), 0);
    compute_table_free(t);
    ck_assert_int_eq(buf_put_u8(&large, 'y'), 0);
    expect_error(buf_view(&large), 0, ERR_TOO_LARGE, "record 2 is longer than 1048576 bytes");
    ck_assert_int_eq(buf_reserve(&large, COMPUTE_TABLE_BYTES_MAX), 0);
    expect_error(bytes_of(large.data, COMPUTE_TABLE_BYTES_MAX + 1u), 0, ERR_TOO_LARGE,
                 "it has more than 67108864 bytes");
    buf_release(&large);
}
END_TEST

START_TEST(many_keys_are_found_and_no_others)
{
    struct compute_table *t = NULL;
    struct buf data;
    char key[32];
    heap = alloc_heap();
    buf_init(&data, &heap, SIZE_MAX);
    for (unsigned i = 0; i < 1000000; i++) {
        const int size = snprintf(key, sizeof(key), "k%u,%u\n", i * 2, i);
        ck_assert_int_eq(buf_append(&data, key, (size_t)size), 0);
    }
    ck_assert_int_eq(table_of(&t, buf_view(&data), false, 0, NULL), 0);
    for (unsigned i = 0; i < 2000000; i += 997) {
        char want[32] = "-";
        (void)snprintf(key, sizeof(key), "k%u", i);
        if (i % 2 == 0) {
            (void)snprintf(want, sizeof(want), "%u", i / 2);
        }
        ck_assert_str_eq(row_of(t, key), want);
    }
    ck_assert_uint_le(compute_table_memory(t), 1000000 * 32);
    compute_table_free(t);
    buf_release(&data);
}
END_TEST

START_TEST(every_allocation_of_a_table_may_fail)
{
    uint64_t fail_at = 1;
    for (bool ended = false; !ended; fail_at++) {
        struct alloc_budget budget;
        struct compute_table *t = NULL;
        const struct compute_table_options o = {.seed = 7};
        const struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
        budget.fail_at = fail_at;
        const int err =
            compute_table_new(&t, &alloc, bytes_of_text("a,1\n\"b\",2\nc,3\n"), &o, NULL);
        ck_assert(err == 0 || err == ERR_NO_MEMORY);
        ended = err == 0;
        compute_table_free(t);
        ck_assert_uint_eq(budget.used_bytes, 0);
    }
    ck_assert_uint_gt(fail_at, 4);
}
END_TEST

/* returns: steps that it took; the error is in *err. */
static unsigned step_by_step(struct compute_table **out, struct bytes data, size_t bytes, int *err,
                             struct err_info *why)
{
    const struct compute_table_options o = {.seed = 7};
    bool done = false;
    unsigned steps = 0;
    heap = alloc_heap();
    *err = compute_table_begin(out, &heap, data, &o, why);
    while (*err == 0 && !done) {
        const uint64_t before = compute_table_memory(*out);
        const bool counted = compute_table_is_counted(*out);
        *err = compute_table_step(*out, bytes, &done, why);
        ck_assert(!counted || compute_table_memory(*out) == before);
        steps++;
    }
    return steps;
}

START_TEST(a_table_is_the_same_in_steps_of_any_size)
{
    static const size_t sizes[] = {1, 7, 100, 4096};
    struct compute_table *whole = NULL;
    struct compute_table *t = NULL;
    struct buf data;
    char line[64];
    int err = 0;
    heap = alloc_heap();
    buf_init(&data, &heap, SIZE_MAX);
    for (unsigned i = 0; i < 500; i++) {
        const int size =
            snprintf(line, sizeof(line), i % 3 == 0 ? "\"k\n%u\",\"%u\"\n" : "k%u,%u\r\n", i, i);
        ck_assert_int_eq(buf_append(&data, line, (size_t)size), 0);
    }
    ck_assert_int_eq(table_of(&whole, buf_view(&data), false, 0, NULL), 0);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const unsigned steps = step_by_step(&t, buf_view(&data), sizes[i], &err, NULL);
        ck_assert_int_eq(err, 0);
        ck_assert_uint_ge(steps, data.size / (sizes[i] + 16)); /* a record is one */
        ck_assert_uint_eq(compute_table_records(t), 500);
        ck_assert_uint_eq(compute_table_memory(t), compute_table_memory(whole));
        ck_assert_uint_eq(compute_table_digest(t).low, compute_table_digest(whole).low);
        ck_assert_uint_eq(compute_table_digest(t).high, compute_table_digest(whole).high);
        for (unsigned k = 0; k < 500; k++) {
            (void)snprintf(line, sizeof(line), k % 3 == 0 ? "k\n%u" : "k%u", k);
            char want[16];
            (void)snprintf(want, sizeof(want), "%u", k);
            ck_assert_str_eq(row_of(t, line), want);
        }
        compute_table_free(t);
    }
    compute_table_free(whole);
    buf_release(&data);
}
END_TEST

START_TEST(no_step_goes_far_beyond_what_it_was_asked_for)
{
    struct compute_table *t = NULL;
    struct err_info why = {.code = 0};
    struct buf data;
    int err = 0;
    heap = alloc_heap();
    buf_init(&data, &heap, SIZE_MAX);
    ck_assert_int_eq(buf_append(&data, "a,\"", 3), 0);
    ck_assert_int_eq(buf_reserve(&data, 8u << 20), 0);
    memset(data.data + data.size, '\n', 8u << 20); /* in quotes that are never closed */
    data.size += 8u << 20;
    const unsigned steps = step_by_step(&t, buf_view(&data), 1u << 20, &err, &why);
    ck_assert_int_eq(err, ERR_TOO_LARGE); /* none looks for the end of a record any farther */
    ck_assert_str_eq(why.text, "record 1 is longer than 1048576 bytes");
    ck_assert_uint_ge(steps, 4);
    compute_table_free(t);
    ck_assert_int_eq(compute_table_begin(&t, &heap, bytes_of_text("a\na\n"),
                                         &(struct compute_table_options){.seed = 7}, NULL),
                     0);
    bool done = false;
    do {
        err = compute_table_step(t, 100, &done, NULL);
    } while (err == 0 && !done);
    ck_assert_int_eq(err, ERR_EXISTS);
    compute_table_free(t);
    ck_assert_int_eq(compute_table_begin(&t, &heap, bytes_of_text("a\n"),
                                         &(struct compute_table_options){.seed = 7}, NULL),
                     0);
    while (!compute_table_is_counted(t)) {
        ck_assert_int_eq(compute_table_step(t, 100, &done, NULL), 0);
    }
    compute_table_limit(t, 64);
    ck_assert_int_eq(compute_table_step(t, 100, &done, &why), ERR_TOO_LARGE);
    ck_assert_str_eq(why.text, "its keys take more than the limit of 64 bytes");
    compute_table_free(t);
    buf_release(&data);
}
END_TEST

/* ---- programs ------------------------------------------------------------------------------- */

/* What rows cost. most: for one record. */
struct cost {
    uint64_t steps;
    uint32_t most;
};

/* Of the program over `data`, with a table whose row of a has so many bytes behind the key. */
static struct cost cost_of(const char *text, const char *data, unsigned row_bytes)
{
    struct compute_table *t = NULL;
    struct compute_program *p = tasks_program(text);
    struct buf table;
    heap = alloc_heap();
    buf_init(&table, &heap, SIZE_MAX);
    ck_assert_int_eq(buf_append(&table, "b,1\na,", 6), 0);
    while (table.size < 6 + row_bytes) {
        ck_assert_int_eq(buf_put_u8(&table, 'x'), 0);
    }
    ck_assert_int_eq(table_of(&t, buf_view(&table), false, 0, NULL), 0);
    const uint32_t before = compute_program_steps(p);
    ck_assert_uint_eq(compute_program_row_steps(p), 0);
    compute_program_bind(p, 0, t);
    ck_assert_uint_eq(compute_program_steps(p), before);
    struct compute_task *task = tasks_new(p, 0, 0);
    ck_assert_int_eq(compute_task_update(task, bytes_of_text(data)), 0);
    const struct cost c = {compute_task_row_steps(task), compute_program_row_steps(p)};
    compute_task_free(task);
    compute_program_free(p);
    compute_table_free(t);
    buf_release(&table);
    return c;
}

START_TEST(rows_count_as_work_where_they_are_found)
{
    const char *used = "csv | lookup \"t\" $1 as c | by $c.2 count";
    const char *idle = "csv | lookup \"t\" $1 as c | count";
    const char *whole = "csv | lookup left \"t\" $1 as c | distinct $c.0";
    const char *maybe = "csv | lookup \"t\" $1 as c | where $2 = 7 and $c.2 = \"y\" | count";
    ck_assert_uint_eq(cost_of(used, "b\nz\nb\n", 100000).steps, 2 * (2 + 2));
    ck_assert_uint_eq(cost_of(used, "b\na\nz\na\n", 100000).steps, 4 + 2 * (100003 + 25000));
    ck_assert_uint_eq(cost_of(used, "", 100000).most, 100002 + 25000);
    ck_assert_uint_eq(cost_of(idle, "a\na\n", 100000).steps, 0); /* only keys are looked at */
    ck_assert_uint_eq(cost_of(idle, "", 100000).most, 0);
    ck_assert_uint_eq(cost_of(whole, "a\nz\nb\n", 100000).steps, 25000);
    ck_assert_uint_eq(cost_of(maybe, "a,1\na,2\n", 100000).steps, 2 * 100003);
    ck_assert_uint_eq(cost_of(maybe, "a,7\na,2\n", 100000).steps, 2 * 100003 + 25000);
}
END_TEST

#define ROWS 12u

/* Rows "N,..." of up to 6,000 bytes, some of them with quotes. */
static void long_rows(struct rng *rng, struct buf *table)
{
    for (unsigned i = 0; i < ROWS; i++) {
        char key[16];
        const bool quotes = rng_chance(rng, 1, 3);
        const uint64_t bytes = rng_chance(rng, 1, 4) ? rng_below(rng, 6000) : rng_below(rng, 9);
        (void)buf_append(table, key,
                         (size_t)snprintf(key, sizeof(key), quotes ? "%u,\"" : "%u,", i));
        for (uint64_t at = 0; at < bytes; at++) {
            (void)buf_put_u8(table, rng_chance(rng, 1, 40) ? ',' : 'x');
        }
        ck_assert_int_eq(buf_append(table, quotes ? "\"\n" : "\n", quotes ? 2 : 1), 0);
    }
}

/* Records that find them or nothing, some of them with quotes and line ends within. */
static void keys_for_rows(struct rng *rng, struct buf *data)
{
    static const char *const ends[] = {"\n", ",7\n", ",\"a\nb\"\n", " c\n", ",\"\"\"\"\n", "\n\n"};
    for (unsigned i = 0; i < 200; i++) {
        char key[32];
        const int size = snprintf(key, sizeof(key), "%u%s", (unsigned)rng_below(rng, 2 * ROWS),
                                  ends[rng_below(rng, sizeof(ends) / sizeof(ends[0]))]);
        ck_assert_int_eq(buf_append(data, key, (size_t)size), 0);
    }
}

/* The state of [from, end) taken in by some, each time with another budget. */
static struct compute_task *by_some(struct rng *rng, const struct compute_program *p,
                                    struct bytes data, size_t from)
{
    const uint64_t most = compute_program_row_steps(p) + COMPUTE_PROGRAM_LOOKUPS_MAX;
    const uint64_t readings = from > 0 ? 2 : 1;
    struct compute_task *t = tasks_new(p, from, 0);
    const size_t piece = (size_t)rng_between(rng, 1, data.size);
    while (from < data.size) {
        const uint64_t before = compute_task_row_steps(t);
        const uint64_t budget = rng_between(rng, 1, rng_chance(rng, 1, 2) ? 40 : 20000);
        const size_t given = NUM_MIN(piece, data.size - from);
        size_t taken = SIZE_MAX;
        ck_assert_int_eq(
            compute_task_update_some(t, bytes_of(data.data + from, given), budget, &taken), 0);
        const uint64_t cost = compute_task_row_steps(t) - before;
        ck_assert_uint_le(taken, given);
        ck_assert_uint_lt(cost, budget + most);
        ck_assert(taken == given || cost >= budget);
        ck_assert(taken > 0 || readings == 2); /* the other reading goes on */
        from += taken;
        ck_assert_uint_eq(compute_task_to(t), from);
    }
    return t;
}

START_TEST(a_budget_of_steps_changes_no_state)
{
    static const char *const programs[] = {
        "csv | lookup \"t\" $1 as c | by $c.2 count",
        "csv | lookup left \"t\" $1 as c | select $1, $c.0, $c.3",
        "lines | lookup \"t\" $1 as c | distinct $c.2, count",
        "words | lookup left \"t\" $0 as c | by $0 max $c.1, argmin $c.1",
        "u8 | lookup \"t\" $1 % 16 as c | by $c.2 sum $1",
        "x3,u8 | lookup \"t\" $1 % 16 as c | by $c.2 sum $1",
    };
    struct rng rng;
    rng_init(&rng, unit_seed("a_budget_of_steps_changes_no_state", 1));
    for (unsigned round = 0; round < 120; round++) {
        struct compute_table *t = NULL;
        struct compute_program *p = tasks_program(programs[round % 6]);
        struct buf parts[4];
        for (unsigned i = 0; i < 4; i++) {
            heap = alloc_heap();
            buf_init(&parts[i], &heap, TASKS_TEXT_BYTES);
        }
        long_rows(&rng, &parts[0]);
        keys_for_rows(&rng, &parts[1]);
        ck_assert_int_eq(table_of(&t, buf_view(&parts[0]), false, 0, NULL), 0);
        compute_program_bind(p, 0, t);
        const struct bytes data = buf_view(&parts[1]);
        const size_t from = rng_chance(&rng, 1, 2) ? 0 : (size_t)rng_below(&rng, data.size / 2);
        struct compute_task *some = by_some(&rng, p, data, from);
        struct compute_task *all = tasks_new(p, from, 0);
        ck_assert_int_eq(compute_task_update(all, bytes_of(data.data + from, data.size - from)), 0);
        ck_assert_int_eq(compute_task_encode(some, &parts[2]), 0);
        ck_assert_int_eq(compute_task_encode(all, &parts[3]), 0);
        ck_assert(bytes_equal(buf_view(&parts[2]), buf_view(&parts[3])));
        ck_assert_uint_eq(compute_task_row_steps(some), compute_task_row_steps(all));
        compute_task_free(some);
        compute_task_free(all);
        compute_program_free(p);
        compute_table_free(t);
        for (unsigned i = 0; i < 4; i++) {
            buf_release(&parts[i]);
        }
    }
}
END_TEST

#define COUNTRIES "de,Germany,83\nfr,France,68\n\"x\",,\nit,\"Italy, the\",59.5\n"

static const char *run_with(const char *program, const char *data, const char *const *tables)
{
    struct compute_table *t[COMPUTE_PROGRAM_LOOKUPS_MAX] = {NULL};
    struct compute_program *p = tasks_program(program);
    heap = alloc_heap();
    for (uint32_t i = 0; i < compute_program_lookups(p); i++) {
        bool header = false;
        ck_assert_uint_gt(compute_program_lookup(p, i, &header).size, 0);
        ck_assert_int_eq(table_of(&t[i], bytes_of_text(tables[i]), header, 0, NULL), 0);
        compute_program_bind(p, i, t[i]);
    }
    struct compute_task *task = tasks_new(p, 0, 0);
    buf_release(&result);
    buf_init(&result, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_update(task, bytes_of_text(data)), 0);
    (void)tasks_end(task, &result);
    compute_program_free(p);
    for (uint32_t i = 0; i < COMPUTE_PROGRAM_LOOKUPS_MAX; i++) {
        compute_table_free(t[i]);
    }
    return (const char *)result.data;
}

static const char *run(const char *program, const char *data)
{
    static const char *const tables[] = {COUNTRIES};
    return run_with(program, data, tables);
}

START_TEST(what_is_in_the_table_passes_with_its_row)
{
    static const char *const two[] = {COUNTRIES, "key,de,1\nGermany,Berlin\nFrance,Paris\n"};
    const char *data = "1,de\n2,fr\n3,us\n4,de\n5,it\n6,\n";
    ck_assert_str_eq(run("csv | lookup \"t/c\" $2 as c | count", data), "4\n");
    ck_assert_str_eq(run("csv | lookup \"t/c\" $2 as c | select $1, $c.2, $c.3 * 2", data),
                     "1,Germany,166\n2,France,136\n4,Germany,166\n5,\"Italy, the\",119\n");
    ck_assert_str_eq(run("csv | lookup \"t/c\" $2 as c | by $c.2 sum $1, max $c.3", data),
                     "France,2,68\nGermany,5,83\n\"Italy, the\",5,59.5\n");
    ck_assert_str_eq(run("csv | lookup left \"t/c\" $2 as c | by $c.1 count", data),
                     ",2\nde,2\nfr,1\nit,1\n");
    ck_assert_str_eq(run("csv | where $1 > 1 | lookup left \"t/c\" $2 as c | where $c.3 < 80 | "
                         "sum $c.3",
                         data),
                     "127.5\n");
    ck_assert_str_eq(run("csv | lookup \"t/c\" $2 as c", data), "1,de\n2,fr\n4,de\n5,it\n");
    ck_assert_str_eq(run("csv | lookup \"t/c\" $2 as c | select $c.0, $c.9", "1,fr\n2,it\n"),
                     "\"fr,France,68\",\n\"it,\"\"Italy, the\"\",59.5\",\n");
    ck_assert_str_eq(run_with("csv | lookup \"a/c\" $2 as c | lookup left \"b\" header $c.2 as d | "
                              "select $1, $d.2",
                              data, two),
                     "1,Berlin\n2,Paris\n4,Berlin\n5,\n");
    ck_assert_str_eq(run_with("words | lookup \"a\" $0 as x | sum $x.3", "fr us fr  x\n", two),
                     "136\n");
}
END_TEST

START_TEST(a_key_that_is_computed_is_found_as_it_is_printed)
{
    static const char *const tables[] = {"10,ten\n2.5,some\n-1,less\n"};
    ck_assert_str_eq(
        run_with("lines | lookup \"n\" $1 + 1 as n | select $n.2", "9\n9.0\n1.5\n-2\n", tables),
        "ten\nten\nsome\nless\n");
    ck_assert_str_eq(run_with("lines | lookup \"n\" $1 as n | count", "10\n10.0\n1e1\n", tables),
                     "1\n"); /* a field is its text */
    ck_assert_str_eq(run_with("i8 | lookup \"n\" $1 as n | select $1, $n.2", "\n", tables),
                     "10,ten\n");
}
END_TEST

START_TEST(what_is_no_number_is_named_by_its_row)
{
    ck_assert_str_eq(run("csv | lookup \"t/c\" $2 as c | sum $c.2", "1,x\n2,fr\n"),
                     "error: record 2: $c.2 is no number: 'France'WRONG_TYPE");
    ck_assert_str_eq(run("csv | lookup \"t/c\" $2 + 1 as c | sum $c.2", "1,x\n"),
                     "error: record 1: $2 is no number: 'x'WRONG_TYPE");
    ck_assert_str_eq(
        run("csv | lookup \"t/c\" $2 as c | where $c.3 / ($c.3 - 68) > 0 | count", "1,de\n1,fr\n"),
        "error: record 2: division by zero by '/'INVALID");
}
END_TEST

static void expect_wrong(const char *text, int code, const char *sentence)
{
    struct compute_program *p = NULL;
    struct err_info why = {.code = 0};
    heap = alloc_heap();
    ck_assert_int_eq(compute_program_new(&p, &heap, bytes_of_text(text), &why), code);
    ck_assert_str_eq(why.text, sentence);
}

START_TEST(wrong_lookups_are_named)
{
    expect_wrong("csv | lookup t $1 as c | count", ERR_INVALID,
                 "column 14: 't' stands where the name of a table should: \"bucket/name\"");
    expect_wrong("csv | lookup \"\" $1 as c | count", ERR_INVALID,
                 "column 14: '\"\"' stands where the name of a table should: \"bucket/name\"");
    expect_wrong("csv | lookup \"t\" $1 | count", ERR_INVALID,
                 "column 21: '|' stands where 'as' and a name for the row should");
    expect_wrong("csv | lookup \"t\" $1 as 5 | count", ERR_INVALID,
                 "column 24: '5' stands where a name for the row should: letters, digits, _");
    expect_wrong("csv | lookup \"t\" $1 > 2 as c | count", ERR_INVALID,
                 "column 18: '$1' begins a condition, where a value should be");
    expect_wrong("csv | lookup \"t\" $c.1 as c | count", ERR_INVALID,
                 "column 18: '$c.1' is of no row that a 'lookup' before it names");
    expect_wrong("csv | lookup \"t\" $1 as c | lookup \"u\" $2 as c | count", ERR_INVALID,
                 "column 45: 'c' is declared twice");
    expect_wrong("csv | lookup \"t\" $1 as c | sum $c", ERR_INVALID,
                 "column 32: '$c' is no field: fields are $0, $1 and so on");
    expect_wrong("csv | lookup \"t\" $1 as c | sum $c.x", ERR_INVALID,
                 "column 32: '$c.x' is no field: fields are $0, $1 and so on");
    expect_wrong("csv | lookup \"t\" $1 as c | sum $c.1025", ERR_INVALID,
                 "column 32: '$c.1025' is beyond the last field, $1024");
    expect_wrong("csv | count | lookup \"t\" $1 as c", ERR_INVALID,
                 "column 15: 'lookup' follows the last stage");
    expect_wrong("csv | lookp \"t\" $1 as c", ERR_INVALID,
                 "column 7: 'lookp' is no stage; is 'lookup' meant?");
    char many[512] = "csv";
    for (unsigned i = 0; i <= COMPUTE_PROGRAM_LOOKUPS_MAX; i++) {
        const size_t size = strlen(many);
        (void)snprintf(many + size, sizeof(many) - size, " | lookup \"t\" $1 as c%u", i);
    }
    expect_wrong(many, ERR_TOO_LARGE, "column 190: more than 8 tables");
}
END_TEST

START_TEST(without_its_table_there_is_no_task)
{
    struct compute_program *p = tasks_program("csv | lookup \"t/c\" $1 as c | count");
    struct compute_task *t = NULL;
    struct err_info why = {.code = 0};
    const struct compute_task_options o = {.from = 0};
    heap = alloc_heap();
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &o, &why), ERR_INVALID);
    ck_assert_str_eq(why.text, "table 't/c' of 'lookup' was not given");
    compute_program_free(p);
}
END_TEST

START_TEST(states_are_of_the_program_and_its_tables)
{
    struct compute_table *t[3] = {NULL};
    struct compute_program *p[3];
    struct compute_task *task = NULL;
    struct buf state[3];
    static const char *const text = "csv | lookup \"t\" $1 as c | count";
    const char *const tables[] = {"a,1\n", "a,1\n", "a,2\n"};
    for (unsigned i = 0; i < 3; i++) {
        p[i] = tasks_program(text);
        ck_assert_int_eq(table_of(&t[i], bytes_of_text(tables[i]), false, 0, NULL), 0);
        compute_program_bind(p[i], 0, t[i]);
        task = tasks_new(p[i], 0, 0);
        ck_assert_int_eq(compute_task_update(task, bytes_of_text("a\nb\n")), 0);
        buf_init(&state[i], &heap, TASKS_TEXT_BYTES);
        ck_assert_int_eq(compute_task_encode(task, &state[i]), 0);
        compute_task_free(task);
    }
    ck_assert_uint_eq(state[0].data[0], 3);
    ck_assert(bytes_equal(buf_view(&state[0]), buf_view(&state[1])));
    task = NULL;
    ck_assert_int_eq(compute_task_decode(&task, &heap, p[0], 0, buf_view(&state[1])), 0);
    compute_task_free(task);
    ck_assert_int_eq(compute_task_decode(&task, &heap, p[0], 0, buf_view(&state[2])), ERR_INVALID);
    for (unsigned i = 0; i < 3; i++) {
        compute_program_free(p[i]);
        compute_table_free(t[i]);
        buf_release(&state[i]);
    }
}
END_TEST

/* What the program below prints, by looking through the table for each record. */
static void expected(const uint8_t *keys, const uint8_t *values, unsigned count, unsigned known,
                     struct buf *out)
{
    unsigned sum[256] = {0};
    unsigned times[256] = {0};
    char line[64];
    unsigned order[256];
    unsigned orders = 0;
    for (unsigned i = 0; i < count; i++) {
        if (keys[i] < known) {
            sum[keys[i] % 5] += values[i];
            times[keys[i] % 5]++;
        }
    }
    for (unsigned g = 0; g < 5; g++) {
        order[orders++] = g;
    }
    for (unsigned g = 0; g < orders; g++) {
        if (times[order[g]] > 0) {
            const int size =
                snprintf(line, sizeof(line), "g%u,%u,%u\n", order[g], times[g], sum[g]);
            ck_assert_int_eq(buf_append(out, line, (size_t)size), 0);
        }
    }
    ck_assert_int_eq(buf_put_u8(out, 0), 0);
}

START_TEST(the_result_is_the_same_however_the_object_is_cut)
{
    struct rng rng;
    rng_init(&rng, unit_seed("the_result_is_the_same_however_the_object_is_cut", 1));
    heap = alloc_heap();
    for (unsigned round = 0; round < 1500; round++) {
        uint8_t keys[40];
        uint8_t values[40];
        struct buf data;
        struct buf table;
        struct buf want;
        struct buf got;
        char line[64];
        struct compute_table *t = NULL;
        const unsigned count = (unsigned)rng_below(&rng, 40);
        const unsigned known = (unsigned)rng_below(&rng, 30);
        buf_init(&data, &heap, SIZE_MAX);
        buf_init(&table, &heap, SIZE_MAX);
        buf_init(&want, &heap, SIZE_MAX);
        buf_init(&got, &heap, SIZE_MAX);
        for (unsigned i = 0; i < known; i++) {
            const int size =
                snprintf(line, sizeof(line),
                         i % 3 == 0 ? "\"k\"\"%u\",g%u\n" : "\"k\"\"%u\",\"g%u\"\r\n", i, i % 5);
            ck_assert_int_eq(buf_append(&table, line, (size_t)size), 0);
        }
        for (unsigned i = 0; i < count; i++) {
            keys[i] = (uint8_t)rng_below(&rng, 40);
            values[i] = (uint8_t)rng_below(&rng, 100);
            const int size = snprintf(line, sizeof(line), "\"k\"\"%u\",%u\n", keys[i], values[i]);
            ck_assert_int_eq(buf_append(&data, line, (size_t)size), 0);
        }
        expected(keys, values, count, known, &want);
        struct compute_program *p =
            tasks_program("csv | lookup \"t\" $1 as c | by $c.2 count, sum $2");
        ck_assert_int_eq(table_of(&t, buf_view(&table), false, 0, NULL), 0);
        compute_program_bind(p, 0, t);
        struct compute_task *task = tasks_merged(&rng, p, 0, buf_view(&data), 0, data.size);
        ck_assert_int_eq(tasks_end(task, &got), 0);
        ck_assert_str_eq((const char *)got.data, (const char *)want.data);
        compute_program_free(p);
        compute_table_free(t);
        buf_release(&data);
        buf_release(&table);
        buf_release(&want);
        buf_release(&got);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookup");
    TCase *tc = tcase_create("lookup");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_record_is_found_by_its_first_field);
    tcase_add_test(tc, what_is_wrong_with_a_table_is_named);
    tcase_add_test(tc, many_keys_are_found_and_no_others);
    tcase_add_test(tc, every_allocation_of_a_table_may_fail);
    tcase_add_test(tc, a_table_is_the_same_in_steps_of_any_size);
    tcase_add_test(tc, no_step_goes_far_beyond_what_it_was_asked_for);
    tcase_add_test(tc, rows_count_as_work_where_they_are_found);
    tcase_add_test(tc, a_budget_of_steps_changes_no_state);
    tcase_add_test(tc, what_is_in_the_table_passes_with_its_row);
    tcase_add_test(tc, a_key_that_is_computed_is_found_as_it_is_printed);
    tcase_add_test(tc, what_is_no_number_is_named_by_its_row);
    tcase_add_test(tc, wrong_lookups_are_named);
    tcase_add_test(tc, without_its_table_there_is_no_task);
    tcase_add_test(tc, states_are_of_the_program_and_its_tables);
    tcase_add_test(tc, the_result_is_the_same_however_the_object_is_cut);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    buf_release(&result);
    return failed == 0 ? 0 : 1;
}
