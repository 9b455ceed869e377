/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Text 64 bytes at a time: every kernel against the bytes, and counting by it against counting
 * pieces that are too small for it.
 */
#include "compute/text.h"

#include "compute/order_internal.h"
#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

#define BLOCKS 9u
#define ROUNDS 400u
#define LONG (UINT32_C(1) << 20) /* of one record, at most */

static bool is_of(enum compute_text_kind kind, uint8_t c)
{
    return kind == COMPUTE_TEXT_NEWLINE ? c == '\n' : c == ' ' || (c >= '\t' && c <= '\r');
}

static void expect_masks(enum compute_lanes lanes, const uint8_t *at, size_t blocks)
{
    for (enum compute_text_kind kind = COMPUTE_TEXT_NEWLINE; kind <= COMPUTE_TEXT_SPACE; kind++) {
        uint64_t masks[BLOCKS + 1] = {0};
        masks[blocks] = 7;
        compute_text_masks_by(lanes, kind, at, blocks, masks);
        for (size_t i = 0; i < blocks * COMPUTE_TEXT_BLOCK; i++) {
            const bool found = masks[i / COMPUTE_TEXT_BLOCK] >> i % COMPUTE_TEXT_BLOCK & 1u;
            ck_assert_int_eq(found, is_of(kind, at[i]));
        }
        ck_assert_uint_eq(masks[blocks], 7);
    }
    for (size_t size = 0; size <= blocks * COMPUTE_TEXT_BLOCK; size += 1 + size / 9) {
        uint64_t newlines = 0;
        for (size_t i = 0; i < size; i++) {
            newlines += at[i] == '\n';
        }
        ck_assert_uint_eq(compute_text_newlines_by(lanes, at, size), newlines);
    }
}

START_TEST(every_kernel_finds_every_byte_in_every_place)
{
    uint8_t text[BLOCKS * COMPUTE_TEXT_BLOCK + 8];
    struct rng r;
    rng_init(&r, unit_seed("compute_text", 7));
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        for (unsigned c = 0; c < 256 && compute_lanes_runs(v); c++) {
            for (size_t i = 0; i < sizeof(text); i++) {
                text[i] = (uint8_t)(c + i);
            }
            expect_masks(v, text + c % 8, BLOCKS);
        }
        for (unsigned round = 0; round < ROUNDS && compute_lanes_runs(v); round++) {
            for (size_t i = 0; i < sizeof(text); i++) {
                text[i] = (uint8_t)rng_below(&r, round % 2 == 0 ? 16 : 256);
            }
            expect_masks(v, text + round % 8, round % (BLOCKS + 1));
        }
    }
}
END_TEST

START_TEST(many_newlines_are_counted)
{
    static uint8_t text[3 * 32 * 255 + 17];
    memset(text, '\n', sizeof(text));
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        if (compute_lanes_runs(v)) {
            ck_assert_uint_eq(compute_text_newlines_by(v, text, sizeof(text)), sizeof(text));
        }
    }
}
END_TEST

static void expect_same(const char *program, uint64_t from, struct bytes text, size_t piece)
{
    struct compute_program *p = tasks_program(program);
    ck_assert_msg(tasks_pieces_are_same(p, from, text, piece, COMPUTE_TEXT_BLOCK - 1),
                  "%s, %zu bytes", program, text.size);
    compute_program_free(p);
}

static const char *const programs[] = {
    "lines | where 1 = 1 | count", "lines | count",       "words | count",
    "lines | count, count",        "words | by $0 count", "lines | where 1 = 1 | count"};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

START_TEST(counts_are_those_of_records_one_by_one)
{
    static uint8_t text[20000];
    struct rng r;
    rng_init(&r, unit_seed("compute_text", 7));
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t size = rng_below(&r, sizeof(text));
        const unsigned often = 1 + (unsigned)rng_below(&r, 100);
        for (size_t i = 0; i < size; i++) {
            text[i] = rng_below(&r, 100) < often ? (uint8_t) " \n\t\r\v\fa"[rng_below(&r, 7)]
                                                 : (uint8_t)'b';
        }
        const size_t piece = 64 + rng_below(&r, sizeof(text));
        const uint64_t from = round % 3;
        expect_same(programs[round % PROGRAMS], from, bytes_of(text, size), piece);
    }
}
END_TEST

/* A record of so many bytes among others, behind so many bytes of white space. */
static void try_long(const char *program, size_t before, size_t size, bool goes)
{
    const size_t bytes = before + size + 200;
    uint8_t *text = malloc(bytes);
    struct compute_program *p = tasks_program(program);
    const struct alloc heap = alloc_heap();
    struct buf out;
    ck_assert_ptr_nonnull(text);
    memset(text, '\n', bytes);
    text[0] = 'a';
    memset(text + before, 'b', size);
    text[before + size + 100] = 'c';
    expect_same(program, 0, bytes_of(text, bytes), bytes);
    struct compute_task *t = tasks_new(p, 0, 0);
    ck_assert_int_eq(compute_task_update(t, bytes_of(text, bytes)), 0);
    buf_init(&out, &heap, SIZE_MAX);
    ck_assert_int_eq(tasks_end(t, &out) == 0, goes);
    buf_release(&out);
    compute_program_free(p);
    free(text);
}

START_TEST(a_record_that_is_too_long_is_found_where_it_ends)
{
    for (unsigned i = 0; i < PROGRAMS; i++) {
        for (size_t before = 2; before < 140; before += 17) {
            try_long(programs[i], before, LONG, true);
            try_long(programs[i], before, LONG + 1, false);
        }
        try_long(programs[i], LONG + 100, 10, true); /* what is between records has no limit */
    }
}
END_TEST

/* --- order --- */

#define ITEMS 3000u
#define KEY_MAX 12u

struct keyed {
    uint8_t bytes[KEY_MAX];
    size_t size;
    unsigned number; /* in which place it was */
};

static struct bytes key_of(const void *at)
{
    const struct keyed *k = at;
    return bytes_of(k->bytes, k->size);
}

START_TEST(things_come_in_the_order_of_their_keys_and_equal_ones_as_they_were)
{
    static struct keyed keys[ITEMS];
    static struct compute_order_item list[2 * ITEMS];
    struct rng r;
    rng_init(&r, unit_seed("compute_text", 7));
    for (unsigned round = 0; round < 40; round++) {
        const size_t count = 1 + rng_below(&r, round % 2 == 0 ? 200 : ITEMS);
        const unsigned values = 1 + (unsigned)rng_below(&r, round % 4 == 0 ? 256 : 3);
        for (unsigned i = 0; i < count; i++) {
            struct keyed *k = &keys[i];
            *k = (struct keyed){.size = rng_below(&r, KEY_MAX + 1), .number = i};
            for (size_t at = 0; at < k->size; at++) {
                k->bytes[at] = (uint8_t)rng_below(&r, values);
            }
            list[i] = (struct compute_order_item){compute_order_prefix(key_of(k)), k};
        }
        const struct compute_order_item *sorted =
            compute_order(list, list + count, count, key_of, NULL);
        for (size_t i = 1; i < count; i++) {
            const int way = bytes_compare(key_of(sorted[i - 1].at), key_of(sorted[i].at));
            const unsigned before = ((const struct keyed *)sorted[i - 1].at)->number;
            ck_assert(way < 0 ||
                      (way == 0 && before < ((const struct keyed *)sorted[i].at)->number));
        }
    }
}
END_TEST

UNIT_MAIN("compute_text", every_kernel_finds_every_byte_in_every_place, many_newlines_are_counted,
          counts_are_those_of_records_one_by_one, a_record_that_is_too_long_is_found_where_it_ends,
          things_come_in_the_order_of_their_keys_and_equal_ones_as_they_were)
