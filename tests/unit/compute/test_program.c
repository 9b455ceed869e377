/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs as text: what is one, and what is said of what is none.
 */
#include "base/rng.h"
#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

static struct err_info why;

static int parse_bytes(struct bytes text)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = NULL;
    why = (struct err_info){.code = 0};
    const int err = compute_program_new(&p, &heap, text, &why);
    ck_assert_int_eq(err, why.code);
    compute_program_free(p);
    return err;
}

static int parse(const char *text)
{
    return parse_bytes(bytes_of_text(text));
}

/* What is wrong with the text. */
static const char *wrong(const char *text)
{
    ck_assert_int_ne(parse(text), 0);
    return why.text;
}

START_TEST(programs_of_every_kind_are_understood)
{
    ck_assert_int_eq(parse("lines"), 0);
    ck_assert_int_eq(parse(" csv header|count"), 0);
    ck_assert_int_eq(parse("i8,u8,x3,f64 | where $3 >= .5e-3 | by $1, $2 % 4 count, dot $1, $2"),
                     0);
    ck_assert_int_eq(parse("f64 | histogram 10 -5 5.5"), 0);
    ck_assert_int_eq(parse("f64,i32 | quantile 0.5 $2"), 0);
    ck_assert_int_eq(parse("f64 | log 3"), 0);
    ck_assert_int_eq(parse("f64 | top 5"), 0);
    ck_assert_int_eq(parse("u16 | argmin"), 0);
    ck_assert_int_eq(parse("csv | where $1 > 2 | by $2 argmin $1 + 1, argmax $1 | top 3"), 0);
    ck_assert_int_eq(parse("i64,i64 | dot $1, $2"), 0);
    ck_assert_int_eq(parse("f64 | scan sum"), 0);
    ck_assert_int_eq(parse("csv | select $1 scan exclusive min -$2 * 3 from not $1 = $2"), 0);
    ck_assert_int_eq(parse("words | where $0 > 3 | scan count from $0 = \"x\""), 0);
    ck_assert_int_eq(parse("lines | where not (not $1 = \"\\\"\\n\") | where $2 < 1 | select $0"),
                     0);
}
END_TEST

START_TEST(wrong_words_are_named_with_column_and_the_nearest_one)
{
    ck_assert_str_eq(wrong("lins | count"),
                     "column 1: 'lins' is no source of records; is 'lines' meant?");
    ck_assert_str_eq(wrong("csv | wher $1 > 2"), "column 7: 'wher' is no stage; is 'where' meant?");
    ck_assert_str_eq(wrong("csv | by $1 summe $2"),
                     "column 13: 'summe' is no aggregate; is 'sum' meant?");
    ck_assert_str_eq(wrong("csv | somethingelse"), "column 7: 'somethingelse' is no stage");
    ck_assert_str_eq(wrong("f32,f63"), "column 5: 'f63' is no source of records; is 'f64' meant?");
    ck_assert_str_eq(wrong("lines | count count"),
                     "column 15: 'count' stands where '|' or the end should");
    ck_assert_str_eq(wrong("lines | by $1"), "column 14: the end is no aggregate");
}
END_TEST

START_TEST(wrong_scans_are_named)
{
    ck_assert_str_eq(wrong("i64 | scan"), "column 11: the end is nothing that 'scan' does");
    ck_assert_str_eq(wrong("i64 | scan sun $1"),
                     "column 12: 'sun' is nothing that 'scan' does; is 'sum' meant?");
    ck_assert_str_eq(wrong("i64 | scan mean $1"),
                     "column 12: 'mean' is nothing that 'scan' does; is 'min' meant?");
    ck_assert_str_eq(wrong("csv | scan sum \"x\""),
                     "column 16: '\"x\"' is a text, where a number should be");
    ck_assert_str_eq(wrong("csv | scan sum $1 = 2"),
                     "column 16: '$1' begins a condition, where a value should be");
    ck_assert_str_eq(wrong("csv | scan sum $1 from $2"),
                     "column 24: '$2' begins a value, where a condition should be: $1 > 0");
    ck_assert_int_eq(parse("u8 | scan exclusive or $1 from $1 = 1 or $1 = 2"), 0);
    ck_assert_int_eq(parse("f64,u8 | scan or $2"), 0);
    ck_assert_str_eq(wrong("f64 | scan or"),
                     "column 12: 'or' is of whole numbers, and the value may be none");
    ck_assert_str_eq(wrong("i64,f32 | scan or 1 + $2"),
                     "column 16: 'or' is of whole numbers, and the value may be none");
    ck_assert_str_eq(wrong("i64 | scan or $1 / 2 from $1 = 1"),
                     "column 12: 'or' is of whole numbers, and the value may be none");
    ck_assert_str_eq(wrong("csv | scan count from"),
                     "column 22: the end stands where a field, a number or a text should");
    ck_assert_str_eq(wrong("csv | scan count | count"),
                     "column 20: 'count' follows the last stage");
    ck_assert_str_eq(wrong("csv | scan count | select $1"),
                     "column 20: 'select' follows the last stage");
    ck_assert_str_eq(wrong("csv | sort $1 | select $1 scan count"),
                     "column 27: 'scan' stands where '|' or the end should");
    ck_assert_str_eq(wrong("csv | select $1 | scan count"),
                     "column 19: 'scan' follows the last stage");
}
END_TEST

START_TEST(expressions_of_the_wrong_kind_are_refused)
{
    ck_assert_str_eq(wrong("lines | where $1"),
                     "column 15: '$1' begins a value, where a condition should be: $1 > 0");
    ck_assert_str_eq(wrong("lines | sum $1 > 2"),
                     "column 13: '$1' begins a condition, where a value should be");
    ck_assert_str_eq(wrong("lines | where $1 + \"a\" > 2"),
                     "column 18: '+' needs numbers, and one side is a text");
    ck_assert_str_eq(wrong("lines | where ($1 > 1) + 2 > 3"),
                     "column 24: '+' needs values, and one side is a condition");
    ck_assert_str_eq(wrong("i64 | where $1 = \"a\""),
                     "column 16: '=' compares a number with a text");
    ck_assert_str_eq(wrong("lines | where not $1"),
                     "column 15: 'not' needs conditions, such as $1 > 0");
    ck_assert_str_eq(wrong("lines | where $1 < 2 < 3"),
                     "column 22: '<' follows another comparison: join them by 'and'");
    ck_assert_str_eq(wrong("i64 | sum $0"),
                     "column 11: '$0' is the whole record, which is no number here: use $1");
    ck_assert_str_eq(wrong("i64 | sum $2"),
                     "column 11: '$2' is beyond the last number of the record");
}
END_TEST

START_TEST(wrong_marks_texts_and_numbers_are_named)
{
    ck_assert_str_eq(wrong("lines | where $1 == 2"),
                     "column 19: '=' stands where a field, a number or a text should");
    ck_assert_str_eq(wrong("lines | where $1 ! 2"), "column 18: '!' means nothing here");
    ck_assert_str_eq(wrong("lines | where $1 = \"a"),
                     "column 20: '\"' begins a text that does not end");
    ck_assert_str_eq(wrong("lines | where $x = 1"),
                     "column 15: '$x' is no field: fields are $0, $1 and so on");
    ck_assert_str_eq(wrong("lines | where $1025 = 1"),
                     "column 15: '$1025' is beyond the last field, $1024");
    ck_assert_str_eq(wrong("lines | where 1x = 1"), "column 15: '1x' is no number");
    ck_assert_str_eq(wrong("lines | where ($1 = 1"),
                     "column 22: the end stands where an operator or ')' should");
    ck_assert_str_eq(wrong("lines | where $1 = 1)"),
                     "column 21: ')' stands where '|' or the end should");
}
END_TEST

START_TEST(names_of_fields_are_declared_by_the_header)
{
    static char many[16384] = "csv header n0";
    size_t at = strlen(many);
    ck_assert_int_eq(parse("csv header a, b_2, \"c d\" | where $a > $b_2 | select $3, $a"), 0);
    ck_assert_str_eq(wrong("csv header a | sum $b"),
                     "column 20: '$b' is no name that the header declares");
    ck_assert_str_eq(wrong("csv header | sum $b"),
                     "column 18: '$b' is no field: fields are $0, $1 and so on");
    ck_assert_str_eq(wrong("csv header a, b, a"), "column 18: 'a' is declared twice");
    ck_assert_str_eq(wrong("csv header a, | count"),
                     "column 15: '|' stands where a name of a field should");
    ck_assert_str_eq(wrong("csv header a b"), "column 14: 'b' stands where '|' or the end should");
    ck_assert_str_eq(wrong("lines header a"),
                     "column 7: 'header' stands where '|' or the end should");
    for (unsigned i = 1; i < 1024; i++) {
        at += (size_t)snprintf(many + at, sizeof(many) - at, ",n%u", i);
    }
    ck_assert_int_eq(parse(many), 0);
    (void)snprintf(many + at, sizeof(many) - at, ",n");
    ck_assert_int_eq(parse(many), ERR_TOO_LARGE);
}
END_TEST

START_TEST(sort_is_the_last_stage_or_before_select)
{
    char many[1024] = "csv | sort $1";
    ck_assert_int_eq(parse("csv | where $1 > 2 | sort $1 down, $2 | select $2"), 0);
    ck_assert_int_eq(parse("csv header down | sort $down down"), 0);
    ck_assert_str_eq(wrong("csv | sort"),
                     "column 11: the end stands where a field, a number or a text should");
    ck_assert_str_eq(wrong("csv | sort $1 up"),
                     "column 15: 'up' stands where '|' or the end should");
    ck_assert_str_eq(wrong("csv | sort $1 down down"),
                     "column 20: 'down' stands where '|' or the end should");
    ck_assert_str_eq(wrong("csv | sort $1 > 2"),
                     "column 12: '$1' begins a condition, where a value should be");
    ck_assert_str_eq(wrong("csv | sort $1 | count"),
                     "column 17: 'count' cannot follow 'sort': only 'select' can");
    ck_assert_str_eq(wrong("csv | select $1 | sort $1"),
                     "column 19: 'sort' follows the last stage");
    ck_assert_str_eq(wrong("csv | by $1 count | sort $1"),
                     "column 21: 'sort' cannot follow 'by': only 'top N' can");
    ck_assert_str_eq(wrong("i64 | sort $0"),
                     "column 12: '$0' is the whole record, which is no number here: use $1");
    size_t at = strlen(many);
    for (unsigned i = 1; i < 64; i++) {
        at += (size_t)snprintf(many + at, sizeof(many) - at, ",$1");
    }
    ck_assert_int_eq(parse(many), 0);
    (void)snprintf(many + at, sizeof(many) - at, ",$1");
    ck_assert_int_eq(parse(many), ERR_TOO_LARGE);
}
END_TEST

START_TEST(stages_have_an_order)
{
    ck_assert_str_eq(wrong("lines | count | count"), "column 17: 'count' follows the last stage");
    ck_assert_str_eq(wrong("lines | by $1 count | where $1 > 2"),
                     "column 23: 'where' cannot follow 'by': only 'top N' can");
    ck_assert_str_eq(wrong("lines | by $1 count | top 0"),
                     "column 27: '0' stands where a whole number from 1 to 18446744073709551615 "
                     "should");
    ck_assert_str_eq(wrong("csv | where $1 > 2 | quantile 0.5 $1"),
                     "column 22: 'quantile' works on one field of raw records only, alone and "
                     "without 'where' or 'by'");
    ck_assert_str_eq(wrong("lines | sample 0"),
                     "column 16: a share of the records is above 0 and at most 1");
    ck_assert_str_eq(wrong("lines | sample 1.5 $1"),
                     "column 16: a share of the records is above 0 and at most 1");
    ck_assert_str_eq(wrong("lines | sample $1"), "column 16: '$1' stands where a number should");
    ck_assert_str_eq(wrong("lines | sample 0.5 $1 > 2"),
                     "column 20: '$1' begins a condition, where a value should be");
    ck_assert_str_eq(wrong("lines | count | sample 1"),
                     "column 17: 'sample' follows the last stage");
    ck_assert_int_eq(parse("f64 | sample 1e-19 | sum"), 0);
    ck_assert_int_eq(parse("f64 | where $1 > 0 | sample 0.5 | estimate count, sum | top 1"),
                     ERR_INVALID);
    ck_assert_int_eq(parse("f64 | sample .5 $1 | by 1, $1 estimate count, mean 1 | top 1"), 0);
    ck_assert_str_eq(wrong("lines | where $1 > 0 | estimate count"),
                     "column 24: 'estimate' needs one 'sample' before it, and there is none");
    ck_assert_str_eq(wrong("lines | sample 1 | sample 1 $1 | by $1 estimate count"),
                     "column 40: 'estimate' needs one 'sample' before it, and there are several");
    ck_assert_str_eq(wrong("lines | sample 1 | estimate count, max"),
                     "column 36: 'max' has no bounds: 'estimate' takes count, sum and mean");
    ck_assert_str_eq(wrong("lines | sample 1 | estimat count"),
                     "column 20: 'estimat' is no stage; is 'estimate' meant?");
    ck_assert_str_eq(wrong("f64 | quantile 2"), "column 7: a quantile is from 0 to 1");
    ck_assert_str_eq(wrong("f64 | histogram 3 5 5"),
                     "column 7: the bins of 'histogram' go from a number to a greater one");
}
END_TEST

/* A text of `count` times `part`, between two others. */
static struct bytes repeated(struct buf *into, const char *before, const char *part, size_t count,
                             const char *after)
{
    const struct alloc heap = alloc_heap();
    buf_init(into, &heap, 1u << 20);
    (void)buf_append(into, before, strlen(before));
    for (size_t i = 0; i < count; i++) {
        (void)buf_append(into, part, strlen(part));
    }
    ck_assert_int_eq(buf_append(into, after, strlen(after)), 0);
    return buf_view(into);
}

START_TEST(programs_have_limits)
{
    struct buf text;
    ck_assert_int_eq(parse_bytes(repeated(&text, "lines | where ", "not ", 63, "$1 = 1")), 0);
    buf_release(&text);
    ck_assert_int_eq(parse_bytes(repeated(&text, "lines | where ", "(", 65, "$1 = 1")),
                     ERR_TOO_LARGE);
    ck_assert_str_eq(why.text, "column 79: the expression nests deeper than 64");
    buf_release(&text);
    ck_assert_int_eq(parse_bytes(repeated(&text, "lines | sum 1", "+1", 511, "")), 0);
    buf_release(&text);
    ck_assert_int_eq(parse_bytes(repeated(&text, "lines | sum 1", "+1", 512, "")), ERR_TOO_LARGE);
    buf_release(&text);
    ck_assert_int_eq(parse_bytes(repeated(&text, "lines | count", ", count", 64, "")),
                     ERR_TOO_LARGE);
    buf_release(&text);
    ck_assert_int_eq(parse_bytes(repeated(&text, "u8", ", u8", 1024, "")), ERR_TOO_LARGE);
    buf_release(&text);
    ck_assert_int_eq(parse("x65536,u8 | count"), ERR_TOO_LARGE);
    ck_assert_int_eq(parse_bytes(repeated(&text, "lines", " ", 16380, "")), ERR_TOO_LARGE);
    buf_release(&text);
}
END_TEST

START_TEST(any_bytes_are_a_program_or_an_error_with_a_column)
{
    static const char *const parts[] = {
        "lines",  "words", "csv",   "header",   "f64",  "i8",  ",",   "x3", "|",  "where",
        "select", "by",    "top",   "count",    "sum",  "dot", "min", "$0", "$1", "$2",
        "1",      "2.5",   "\"a\"", "(",        ")",    "+",   "-",   "*",  "/",  "%",
        "=",      "!=",    "<",     "<=",       "and",  "or",  "not", "|",  "$1", "\"\\",
        "$",      "\x80",  "1e",    "distinct", "sort", "down"};
    struct rng rng;
    unsigned good = 0;
    rng_init(&rng, unit_seed("any_bytes_are_a_program_or_an_error_with_a_column", 1));
    for (unsigned i = 0; i < 40000; i++) {
        char text[400] = "";
        size_t size = 0;
        const unsigned count = (unsigned)rng_below(&rng, 24);
        const char *start = rng_chance(&rng, 1, 2) ? "lines | where $1 " : "i8,f64 | sum $1 ";
        size += (size_t)snprintf(text, sizeof(text), "%s", rng_chance(&rng, 3, 4) ? start : "");
        for (unsigned j = 0; j < count; j++) {
            size += (size_t)snprintf(text + size, sizeof(text) - size, "%s ",
                                     parts[rng_below(&rng, sizeof(parts) / sizeof(parts[0]))]);
        }
        const int err = parse_bytes(bytes_of(text, size));
        good += err == 0;
        ck_assert(err == 0 || err == ERR_INVALID);
        ck_assert(err == 0 || strncmp(why.text, "column ", 7) == 0);
    }
    ck_assert_uint_gt(good, 100);
}
END_TEST

UNIT_MAIN("compute_program", programs_of_every_kind_are_understood,
          wrong_words_are_named_with_column_and_the_nearest_one, wrong_scans_are_named,
          expressions_of_the_wrong_kind_are_refused, wrong_marks_texts_and_numbers_are_named,
          names_of_fields_are_declared_by_the_header, sort_is_the_last_stage_or_before_select,
          stages_have_an_order, programs_have_limits,
          any_bytes_are_a_program_or_an_error_with_a_column)
