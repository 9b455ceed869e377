/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys of `sort`, and states with keys: what a node sends is what a program makes of records, or it
 * is refused.
 */
#include "base/rng.h"
#include "compute/sort_internal.h"
#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

#include <math.h>

/* --- keys --- */

static void key_of_text(struct buf *key, const char *text, size_t size, bool down)
{
    struct compute_cell cell = {.kind = COMPUTE_CELL_FIELD, .text = bytes_of(text, size)};
    compute_sort_key_put(key, &cell, down);
}

static void key_of_real(struct buf *key, double real, bool down)
{
    struct compute_cell cell = {.kind = COMPUTE_CELL_NUMBER,
                                .number = compute_number_of_real(real)};
    compute_sort_key_put(key, &cell, down);
}

START_TEST(keys_that_a_program_makes_are_whole)
{
    static const char *const texts[] = {
        "",       "0",       "-0", "1",  "-1", "18446744073709551615", "1e400", "-1e400",
        "5e-324", "-5e-324", "x",  "ab", "1x"};
    static const double reals[] = {0,
                                   -0.0,
                                   1,
                                   -1,
                                   0x1p-1074,
                                   -0x1p-1074,
                                   0x1.fffffffffffffp1023,
                                   -0x1.fffffffffffffp1023,
                                   INFINITY,
                                   -INFINITY,
                                   NAN};
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program("csv | sort $1, $2 down, $3");
    const size_t n_texts = sizeof(texts) / sizeof(texts[0]);
    const size_t n_reals = sizeof(reals) / sizeof(reals[0]);
    for (size_t i = 0; i < n_texts; i++) {
        for (size_t j = 0; j < n_reals; j++) {
            struct buf key;
            buf_init(&key, &heap, SIZE_MAX);
            key_of_text(&key, texts[i], strlen(texts[i]), false);
            key_of_real(&key, reals[j], true);
            key_of_text(&key, "\0a\0\0", 4, false);
            ck_assert_int_eq(key.err, 0);
            ck_assert(compute_sort_key_is_whole(p, buf_view(&key)));
            ck_assert(!compute_sort_key_is_whole(p, bytes_of(key.data, key.size - 1)));
            (void)buf_put_u8(&key, 0);
            ck_assert(!compute_sort_key_is_whole(p, buf_view(&key)));
            buf_release(&key);
        }
    }
    compute_program_free(p);
}
END_TEST

/* --- states --- */

/* The state of a span, in which bytes that are there once are replaced by as many others.
 * returns: what reading it says. */
static int read_changed(const char *program, const char *data, struct bytes is, const char *becomes)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program(program);
    struct compute_task *t = tasks_new(p, 0, 0);
    struct compute_task *read = NULL;
    struct buf state;
    unsigned found = 0;
    buf_init(&state, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_update(t, bytes_of_text(data)), 0);
    ck_assert_int_eq(compute_task_encode(t, &state), 0);
    ck_assert_int_eq(compute_task_decode(&read, &heap, p, 0, buf_view(&state)), 0);
    compute_task_free(read);
    for (size_t at = 0; at + is.size <= state.size; at++) {
        if (memcmp(state.data + at, is.data, is.size) == 0) {
            memcpy(state.data + at, becomes, is.size);
            found++;
            at += is.size - 1;
        }
    }
    ck_assert_uint_eq(found, 1);
    read = NULL;
    const int err = compute_task_decode(&read, &heap, p, 0, buf_view(&state));
    compute_task_free(read);
    buf_release(&state);
    compute_task_free(t);
    compute_program_free(p);
    return err;
}

START_TEST(a_state_with_a_key_that_is_none_is_refused)
{
    static const struct {
        const char *program;
        const char *data;
        const char *is;
        const char *becomes;
        size_t size;
    } rows[] = {
        /* a kind that there is not */
        {"csv | sort $1 | select $2", "xyz,1\n", "\xc0xyz", "\xc1xyz", 4},
        /* a text without its end, or with a zero that is none */
        {"csv | sort $1 | select $2", "xyz,1\n", "xyz\0\1", "xyzzy", 5},
        {"csv | sort $1 | select $2", "xyz,1\n", "xyz\0\1", "xyz\0\2", 5},
        /* more than the program has values */
        {"csv | sort $1 | select $2", "xyz,1\n", "\xc0xyz", "\0\0\0\0", 4},
        /* one that goes up where it is to go down */
        {"csv | sort $1 down | select $2", "xyz,1\n", "\x3f\x87", "\xc0\x87", 2},
        /* numbers whose highest bit is not set, beyond infinity, and a zero below zero */
        {"csv | sort $1 | select $2", "3,1\n", "\xc0\0\0\0\0\0\0\0", "\x40\0\0\0\0\0\0\0", 8},
        {"csv | sort $1 | select $2", "-3,1\n", "\x3f\xff\xff\xff\xff\xff\xff\xff",
         "\xbf\xff\xff\xff\xff\xff\xff\xff", 8},
        {"csv | sort $1 | select $2", "3,1\n", "\x84\x72\xc0", "\x94\x72\xc0", 3},
        {"csv | sort $1 | select $2", "0,1\n", "\2\0\0\0\x80\0", "\2\0\0\0\x7f\xff", 6},
        /* lines that have no end */
        {"csv | sort $1 | select $2", "xyz,1\n", "1\n", "12", 2},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int err = read_changed(rows[i].program, rows[i].data,
                                     bytes_of(rows[i].is, rows[i].size), rows[i].becomes);
        ck_assert_msg(err == ERR_PROTOCOL, "row %u: %s", i, err_name(err));
    }
}
END_TEST

/* --- by what the host has --- */

/* Sorts, or leaves it, with places of no use. */
struct host {
    struct rng rng;
    unsigned done;
};

static bool host_sort(void *ctx, const void *keys, size_t count, uint32_t *order)
{
    struct host *h = ctx;
    const struct alloc heap = alloc_heap();
    if (rng_chance(&h->rng, 1, 3)) {
        rng_fill(&h->rng, order, count * sizeof(order[0]));
        return false;
    }
    h->done++;
    ck_assert_int_eq(compute_order_numbers(&heap, keys, count, order), 0);
    for (size_t i = 1; i < count; i++) {
        uint64_t key[2];
        memcpy(&key[0], (const uint8_t *)keys + order[i - 1] * sizeof(key[0]), sizeof(key[0]));
        memcpy(&key[1], (const uint8_t *)keys + order[i] * sizeof(key[0]), sizeof(key[0]));
        ck_assert(key[0] < key[1] || (key[0] == key[1] && order[i - 1] < order[i]));
    }
    return true;
}

/* whole: NULL: here. */
static void sorted_by(const struct compute_whole *whole, const struct compute_program *p,
                      struct bytes object, struct buf *out)
{
    const struct alloc heap = alloc_heap();
    const struct compute_task_options options = {.whole = whole};
    struct compute_task *t = NULL;
    ck_assert_int_eq(compute_task_new(&t, &heap, p, &options, NULL), 0);
    ck_assert_int_eq(compute_task_update(t, object), 0);
    (void)tasks_end(t, out);
}

/* Keys of 64 bits and more, of which some have the same first ones, and some are the same. */
START_TEST(what_the_host_sorts_or_leaves_gives_the_same_lines)
{
    static const char *const programs[] = {"i64 | sort $1", "f64 | sort $1 down",
                                           "u64,i64 | sort $2, $1", "lines | sort $0"};
    static uint8_t object[16 * 3000];
    const struct alloc heap = alloc_heap();
    struct host host = {.done = 0};
    const struct compute_whole whole = {.ctx = &host, .sort = host_sort};
    struct rng r;
    rng_init(&r, unit_seed("what_the_host_sorts_or_leaves_gives_the_same_lines", 1));
    rng_init(&host.rng, rng_next(&r));
    for (unsigned round = 0; round < 80; round++) {
        struct compute_program *p = tasks_program(programs[round % 4]);
        const size_t size = rng_below(&r, sizeof(object) / 16) * 16;
        struct buf here;
        struct buf there;
        buf_init(&here, &heap, TASKS_TEXT_BYTES);
        buf_init(&there, &heap, TASKS_TEXT_BYTES);
        rng_fill(&r, object, size);
        for (size_t i = 0; i < size; i++) {
            const bool is_low = i % 8 < 1;
            object[i] &= round % 8 < 4 ? 0xff : is_low ? 3 : i % 8 == 7 ? 0xc1 : 0;
        }
        sorted_by(NULL, p, bytes_of(object, size), &here);
        sorted_by(&whole, p, bytes_of(object, size), &there);
        ck_assert_msg(bytes_equal(buf_view(&here), buf_view(&there)), "%s", programs[round % 4]);
        buf_release(&here);
        buf_release(&there);
        compute_program_free(p);
    }
    ck_assert_uint_gt(host.done, 20);
}
END_TEST

UNIT_MAIN("compute_sort", keys_that_a_program_makes_are_whole,
          a_state_with_a_key_that_is_none_is_refused,
          what_the_host_sorts_or_leaves_gives_the_same_lines)
