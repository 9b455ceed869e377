/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * CSV by an index: the index against the bytes, and states by it against those of records that are
 * found one by one, as they are in pieces that are too small for it.
 */
#include "compute/csv_internal.h"

#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

#define ROUNDS 3000u
#define SMALL (COMPUTE_TEXT_BLOCK - 1) /* pieces without an index */
#define TEXT_MAX 20000u
#define LONG (UINT32_C(1) << 20) /* of one record, at most */

/* --- the index --- */

static void expect_index(const uint8_t *at, size_t blocks)
{
    static struct compute_csv_index x;
    bool inside = false;
    unsigned commas = 0;
    unsigned quotes = 0;
    unsigned ends = 0;
    compute_csv_index(&x, at, blocks);
    for (size_t i = 0; i < blocks * COMPUTE_TEXT_BLOCK; i++) {
        if (at[i] == '"') {
            inside = !inside;
            quotes++;
        } else if (at[i] == ',' && !inside) {
            ck_assert_uint_eq(x.comma[commas++], i);
        } else if (at[i] == '\n' && !inside) {
            ck_assert_uint_lt(ends, x.ends);
            ck_assert_uint_eq(x.end[ends].at, i);
            ck_assert_uint_eq(x.end[ends].commas, commas);
            ck_assert_uint_eq(x.end[ends++].quotes, quotes);
        }
    }
    ck_assert_uint_eq(x.ends, ends);
}

START_TEST(the_index_has_what_is_not_in_quotes)
{
    static uint8_t text[COMPUTE_CSV_BYTES + 8];
    static const char letters[] = "\n,\"\"a,\n,";
    struct rng r;
    rng_init(&r, unit_seed("compute_csv", 1));
    for (unsigned round = 0; round < ROUNDS && compute_csv_has_index(); round++) {
        const unsigned often = 1 + (unsigned)rng_below(&r, 100);
        const size_t blocks = round % 9 == 0 ? COMPUTE_CSV_BLOCKS : rng_below(&r, 9);
        const unsigned kinds = 1 + round % (sizeof(letters) - 1);
        for (size_t i = 0; i < sizeof(text); i++) {
            const bool any = rng_below(&r, 100) >= often;
            text[i] = any ? (uint8_t)rng_next(&r) : (uint8_t)letters[rng_below(&r, kinds)];
        }
        expect_index(text + round % 8, blocks);
    }
}
END_TEST

START_TEST(an_index_can_be_full)
{
    static uint8_t text[COMPUTE_CSV_BYTES];
    for (unsigned i = 0; i < 3 && compute_csv_has_index(); i++) {
        memset(text, ",\n\""[i], sizeof(text));
        expect_index(text, COMPUTE_CSV_BLOCKS);
    }
}
END_TEST

/* --- states --- */

static const char *const programs[] = {
    "csv | count",
    "csv | where $3 >= 500 | select $1, $4",
    "csv | where $2 = \"b\" | count, sum $3",
    "csv | where $2 != \"b\" and $3 > 10 or $1 < 5 | select $0, $2",
    "csv | where $1 < 1e1 | count, sum $1",
    "csv | where $2 = 600 | select $2",
    "csv | where $1 != 22 | count",
    "csv | where $4 <= -3 | where $2 > 0.25 | count",
    "csv | where $2 <= 12345678 | count",
    "csv | where $1 > 99999999999999999999 | count",
    "csv | where $0 = \"b\" | count",
    "csv | by $2 count, max $1, min $3 | top 3",
    "csv | distinct $2, argmax $1",
    "csv | sort $3, $1 down | select $1, $2",
    "csv | select $9, $2, $2",
    "csv header | sum $1",
    "csv header id, name | where $id > 3 | select $name",
    "csv | scan sum $1",
    "csv | sample 0.5 $1 | count",
    "csv | select $1 + $3",
    "csv",
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

/* Fields that are right, and, wrong so often in a thousand, some that are not. */
static size_t put_field(struct rng *r, uint8_t *at, unsigned wrong)
{
    static const char *const right[] = {"1",        "22",        "-3",       "0.5",        "",
                                        "\"4\"",    "\"a,b\"",   "\"x\ny\"", "\"q\"\"q\"", "7e2",
                                        "b",        "b",         "\"\"",     "\"\"\"\"",   "name7",
                                        "600",      "12345",     "\"\r\n\"", "\r",         "\"b\"",
                                        "12345678", "123456789", "00000022", "1234567:",   "/0"};
    static const char *const not_right[] = {"\"", "a\"", "\"a\"b", "a\"b\"", "\"a\" ", " \"a\""};
    const char *text = rng_below(r, 1000) < wrong
                           ? not_right[rng_below(r, sizeof(not_right) / sizeof(not_right[0]))]
                           : right[rng_below(r, sizeof(right) / sizeof(right[0]))];
    memcpy(at, text, strlen(text));
    return strlen(text);
}

static size_t make_csv(struct rng *r, uint8_t *text, size_t most)
{
    const unsigned wrong = rng_chance(r, 1, 2) ? 0 : 1 + (unsigned)rng_below(r, 20);
    const unsigned fields = 1 + (unsigned)rng_below(r, rng_chance(r, 1, 9) ? 400 : 6);
    size_t size = rng_chance(r, 1, 3) ? 0 : 8;
    memcpy(text, "id,name\n", 8);
    for (unsigned field = 0; size + 20 < most; field++) {
        size += put_field(r, text + size, wrong);
        if (field % fields + 1 < fields && !rng_chance(r, 1, 50)) {
            text[size++] = ',';
        } else {
            memcpy(text + size, "\r\n", 2);
            text[size] = rng_chance(r, 1, 2) ? '\r' : '\n';
            size += text[size] == '\r' ? 2 : 1;
        }
    }
    return size;
}

static void expect_same(const char *program, uint64_t from, struct bytes text, size_t piece)
{
    struct compute_program *p = tasks_program(program);
    ck_assert_msg(tasks_pieces_are_same(p, from, text, piece, SMALL), "%s, %zu bytes of %zu",
                  program, piece, text.size);
    compute_program_free(p);
}

START_TEST(states_are_those_of_records_one_by_one)
{
    static uint8_t text[TEXT_MAX];
    struct rng r;
    rng_init(&r, unit_seed("compute_csv", 2));
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t most = 24 + rng_below(&r, rng_chance(&r, 1, 4) ? TEXT_MAX - 24 : 600);
        const size_t size = make_csv(&r, text, most);
        const size_t piece = 64 + rng_below(&r, TEXT_MAX);
        expect_same(programs[round % PROGRAMS], round % 5 == 0 ? 7 : 0, bytes_of(text, size),
                    piece);
    }
}
END_TEST

START_TEST(a_split_at_every_byte_changes_nothing)
{
    const struct alloc heap = alloc_heap();
    static uint8_t text[600];
    struct rng r;
    struct buf whole;
    struct buf split;
    rng_init(&r, unit_seed("compute_csv", 3));
    buf_init(&whole, &heap, SIZE_MAX);
    buf_init(&split, &heap, SIZE_MAX);
    for (unsigned round = 0; round < 3 * PROGRAMS; round++) {
        const size_t size = make_csv(&r, text, sizeof(text));
        struct compute_program *p = tasks_program(programs[round % PROGRAMS]);
        buf_clear(&whole);
        tasks_state(p, 0, bytes_of(text, size), SMALL, &whole);
        for (size_t at = 0; at <= size; at++) {
            struct compute_task *t = tasks_new(p, 0, 0);
            ck_assert_int_eq(compute_task_update(t, bytes_of(text, at)), 0);
            ck_assert_int_eq(compute_task_update(t, bytes_of(text + at, size - at)), 0);
            buf_clear(&split);
            ck_assert_int_eq(compute_task_encode(t, &split), 0);
            ck_assert(bytes_equal(buf_view(&whole), buf_view(&split)));
            compute_task_free(t);
        }
        compute_program_free(p);
    }
    buf_release(&split);
    buf_release(&whole);
}
END_TEST

/* --- sizes --- */

/* One record of so many bytes among others. */
static void try_long(const char *program, size_t size, bool quoted, bool goes)
{
    const struct alloc heap = alloc_heap();
    const size_t bytes = size + 400;
    uint8_t *text = malloc(bytes);
    struct compute_program *p = tasks_program(program);
    struct buf out;
    ck_assert_ptr_nonnull(text);
    memset(text, 'b', bytes);
    for (size_t at = 9; at < 200; at += 10) {
        text[at] = '\n';
        text[at + size + 200] = '\n';
    }
    text[200 + size] = '\n';
    text[199] = '\n';
    if (quoted) {
        text[200] = text[199 + size] = '"';
        memset(text + 202, '\n', size / 2);
    }
    expect_same(program, 0, bytes_of(text, bytes), bytes);
    struct compute_task *t = tasks_new(p, 0, 0);
    ck_assert_int_eq(compute_task_update(t, bytes_of(text, bytes)), 0);
    buf_init(&out, &heap, SIZE_MAX);
    ck_assert_int_eq(tasks_end(t, &out) == 0, goes);
    buf_release(&out);
    compute_program_free(p);
    free(text);
}

START_TEST(records_may_be_longer_than_an_index_and_not_too_long)
{
    for (unsigned quoted = 0; quoted < 2; quoted++) {
        for (size_t off = 0; off < 140; off += 13) {
            try_long("csv | count", COMPUTE_CSV_BYTES - 70 + off, quoted == 1, true);
            try_long("csv | by $1 count", COMPUTE_CSV_BYTES - 270 + off, quoted == 1, true);
        }
        try_long("csv | count", LONG, quoted == 1, true);
        try_long("csv | count", LONG + 1, quoted == 1, false);
    }
}
END_TEST

/* A state with any byte of it changed: refused, or one that goes on. */
START_TEST(a_state_that_is_taken_can_go_on)
{
    static const char *const texts[] = {"a\nb\n", "a\n\"b", "a\nb", "\"a\n"};
    static const char more[] =
        "c,d\n\"e\nf\",g\nhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh\n"
        "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii\n";
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("csv | count");
    unsigned taken = 0;
    for (unsigned i = 0; i < 4 * 2; i++) {
        struct compute_task *t = tasks_new(p, i < 4 ? 0 : 7, 0);
        struct buf state;
        buf_init(&state, &heap, SIZE_MAX);
        ck_assert_int_eq(compute_task_update(t, bytes_of_text(texts[i % 4])), 0);
        ck_assert_int_eq(compute_task_encode(t, &state), 0);
        compute_task_free(t);
        for (size_t at = 0; at < state.size; at++) {
            for (unsigned change = 1; change < 256; change++) {
                state.data[at] ^= (uint8_t)change;
                if (compute_task_decode(&t, &heap, p, 0, buf_view(&state)) == 0) {
                    taken++;
                    (void)compute_task_update(t, bytes_of_text(more));
                    compute_task_free(t);
                }
                state.data[at] ^= (uint8_t)change;
            }
        }
        buf_release(&state);
    }
    ck_assert_uint_gt(taken, 0);
    compute_program_free(p);
}
END_TEST

UNIT_MAIN("compute_csv", the_index_has_what_is_not_in_quotes, an_index_can_be_full,
          states_are_those_of_records_one_by_one, a_split_at_every_byte_changes_nothing,
          records_may_be_longer_than_an_index_and_not_too_long, a_state_that_is_taken_can_go_on)
