/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is told of a program: the plan, joined by '|', is a program that does the same.
 */
#include "base/rng.h"
#include "compute/exact.h"
#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

static struct alloc heap;

/* The stages, joined. */
static void plan_of(const char *text, struct buf *out)
{
    struct compute_program *p = tasks_program(text);
    heap = alloc_heap();
    buf_init(out, &heap, 1u << 20);
    ck_assert_int_eq(compute_program_plan(p, out), 0);
    ck_assert_uint_gt(out->size, 0);
    ck_assert_uint_eq(out->data[out->size - 1], '\n');
    for (size_t i = 0; i < out->size; i++) {
        out->data[i] = out->data[i] == '\n' ? '|' : out->data[i];
    }
    out->data[out->size - 1] = '\0';
    compute_program_free(p);
}

static void check_plan(const char *text, const char *want)
{
    struct buf plan;
    plan_of(text, &plan);
    ck_assert_str_eq((const char *)plan.data, want);
    buf_release(&plan);
}

START_TEST(a_plan_has_all_parentheses_and_defaults)
{
    check_plan("lines", "lines");
    check_plan(" csv  header|count", "csv header|count");
    check_plan("lines | sum", "lines|sum $0");
    check_plan("i64 | sum", "i64|sum $1");
    check_plan("x2, i16 ,x1,u8,x2 | min $2", "x2,i16,x1,u8,x2|min $2");
    check_plan("csv | where $7 >= 500 | by $5 count | top 10",
               "csv|where $7 >= 500|by $5 count|top 10");
    check_plan("lines | where $1 + 2 * 3 - 4 = $2 or not $3 < 1 and $4 = \"a\\n\\\\\\\"\"",
               "lines|where ((($1 + (2 * 3)) - 4) = $2) or (not ($3 < 1) and ($4 = "
               "\"a\\n\\\\\\\"\"))");
    check_plan("csv header a,\"b c\",_d|sum $_d", "csv header a, \"b c\", _d|sum $3");
    check_plan("csv|sample .5|where $1>2|sample 1 $2+1|count",
               "csv|sample 0.5|where $1 > 2|sample 1 $2 + 1|count");
    check_plan("csv|lookup left \"b/\\\"t\" header $1+1 as c|lookup \"u\" $c.2 as _d|sum $_d.3",
               "csv|lookup left \"b/\\\"t\" header $1 + 1 as c|lookup \"u\" $c.2 as _d|sum $_d.3");
    check_plan("f64|histogram 3 -1.5 7", "f64|histogram 3 -1.5 7 $1");
    check_plan("f64|quantile .25", "f64|quantile 0.25 $1");
    check_plan("f64|log 3", "f64|log 3 $1");
    check_plan("f64|top 3", "f64|top 3 $1");
    check_plan("words|argmin,argmax $0+1", "words|argmin $0, argmax $0 + 1");
    check_plan("csv|sample .5|estimate count,sum $2", "csv|sample 0.5|estimate count, sum $2");
    check_plan("csv|sample .5 $1|by $1 estimate mean $2*2|top 3",
               "csv|sample 0.5 $1|by $1 estimate mean $2 * 2|top 3");
    check_plan("u8|where $1>2|scan  exclusive sum", "u8|where $1 > 2|scan exclusive sum $1");
    check_plan("i16|scan or from $1=1 or $1=2", "i16|scan or $1 from ($1 = 1) or ($1 = 2)");
    check_plan("csv|select $1,$2 scan count from not $1=2",
               "csv|select $1, $2 scan count from not ($1 = 2)");
    check_plan("f64,f64|dot $1,$2", "f64,f64|dot $1, $2");
    check_plan("csv|select -$1*-(2+$2),\"x\",1e300", "csv|select -$1 * -(2 + $2), \"x\", 1e+300");
    check_plan("csv|where $1>2|sort $1-1 down,$2,\"x\" down",
               "csv|where $1 > 2|sort $1 - 1 down, $2, \"x\" down");
    check_plan("csv|sort -$2|select $1", "csv|sort -$2|select $1");
    check_plan("csv|by $1,$2%4 distinct,var $3,dot $1,$2",
               "csv|by $1, $2 % 4 distinct $0, var $3, dot $1, $2");
}
END_TEST

/* A random expression, without recursion: operands, then operators that join the last two. */
static void random_expr(struct rng *rng, bool truth, char *into, size_t room)
{
    static const char *const operands[] = {"$1", "$2", "$3", "7", "0.5", "-3"};
    static const char *const joins[] = {"+", "-", "*"};
    static const char *const compares[] = {"=", "!=", "<", "<=", ">", ">="};
    size_t at = 0;
    const unsigned terms = 1 + (unsigned)rng_below(rng, 4);
    for (unsigned i = 0; i < terms; i++) {
        const bool open = rng_below(rng, 3) == 0;
        const char *a = operands[rng_below(rng, 6)];
        const char *b = operands[rng_below(rng, 6)];
        const char *join = joins[rng_below(rng, 3)];
        const char *between = i == 0 ? "" : truth ? (rng_below(rng, 2) ? " and " : " or ") : "-";
        at += (size_t)snprintf(into + at, room - at, truth ? "%s%s%s%s%s%s %s 2" : "%s%s%s%s%s%s",
                               between, truth && rng_below(rng, 4) == 0 ? "not " : "",
                               open && !truth ? "(" : "", a, join, b, compares[rng_below(rng, 6)]);
        at += (size_t)snprintf(into + at, room - at, "%s", open && !truth ? ")" : "");
    }
}

static void result_of(const char *text, struct bytes data, struct buf *out)
{
    struct compute_program *p = tasks_program(text);
    struct compute_task *t = tasks_new(p, 0, 0);
    buf_init(out, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_update(t, data), 0);
    (void)tasks_end(t, out);
    compute_program_free(p);
}

START_TEST(a_plan_does_what_its_program_does)
{
    static char data[8000];
    struct rng rng;
    size_t size = 0;
    rng_init(&rng, 20);
    while (size + 64 < sizeof(data)) {
        size += (size_t)snprintf(data + size, sizeof(data) - size, "%d,%d,%d\n",
                                 (int)rng_below(&rng, 20) - 10, (int)rng_below(&rng, 20) - 10,
                                 (int)rng_below(&rng, 5));
    }
    for (unsigned i = 0; i < 200; i++) {
        char where[400];
        char value[400];
        char text[1000];
        struct buf plan;
        struct buf again;
        struct buf want;
        struct buf got;
        random_expr(&rng, true, where, sizeof(where));
        random_expr(&rng, false, value, sizeof(value));
        (void)snprintf(text, sizeof(text),
                       i % 2 == 0 ? "csv | where %s | by %s count, sum $1 | top 9"
                                  : "csv | where %s | select %s, $2",
                       where, value);
        plan_of(text, &plan);
        plan_of((const char *)plan.data, &again);
        ck_assert_str_eq((const char *)plan.data, (const char *)again.data);
        result_of(text, bytes_of(data, size), &want);
        result_of((const char *)plan.data, bytes_of(data, size), &got);
        ck_assert_msg(strcmp((const char *)want.data, (const char *)got.data) == 0,
                      "another result: %s: %s", text, plan.data);
        buf_release(&plan);
        buf_release(&again);
        buf_release(&want);
        buf_release(&got);
    }
}
END_TEST

START_TEST(a_plan_that_does_not_fit_is_an_error)
{
    struct compute_program *p = tasks_program(
        "csv | where $1 = 1 and $2 = \"a text that is so long that it does not fit by far\" | "
        "where $3 + $4 * $5 > -$6 or not ($7 = 1 and $8 = 2) | select $1, -$2, \"another\"");
    const struct alloc a = alloc_heap();
    struct buf whole;
    buf_init(&whole, &a, 1u << 20);
    ck_assert_int_eq(compute_program_plan(p, &whole), 0);
    ck_assert_uint_gt(whole.size, 128);
    for (size_t room = 0; room < 64; room++) { /* beyond that it may round up */
        struct buf out;
        buf_init(&out, &a, room);
        ck_assert_int_ne(compute_program_plan(p, &out), 0);
        buf_release(&out);
    }
    buf_release(&whole);
    compute_program_free(p);
}
END_TEST

START_TEST(the_kernel_is_one_that_runs_here)
{
    static const struct {
        const char *text;
        bool vector;
    } cases[] = {{"f64 | sum", true},         {"i64 | max", true},
                 {"u32,f64 | mean $2", true}, {"f64 | quantile 0.5", false},
                 {"csv | sum $1", false},     {"f64 | where $1 > 0 | sum", false}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct compute_program *p = tasks_program(cases[i].text);
        const char *best = compute_lanes_name(compute_lanes_pick());
        ck_assert_str_eq(compute_program_kernel(p), cases[i].vector ? best : "plain");
        ck_assert_uint_gt(strlen(compute_program_pass(p)), 0);
        compute_program_free(p);
    }
}
END_TEST

UNIT_MAIN("explain", a_plan_has_all_parentheses_and_defaults, a_plan_does_what_its_program_does,
          a_plan_that_does_not_fit_is_an_error, the_kernel_is_one_that_runs_here)
