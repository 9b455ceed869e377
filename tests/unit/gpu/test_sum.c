/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums: the device's parts and what it leaves to the caller give the bytes of the plain twin,
 * for every kind of values, count and alignment.
 */
#include "gpu/sum.h"

#include "base/err.h"
#include "gpu/engine_sum_internal.h"
#include "tests/unit/compute/values.h"
#include "tests/unit/gpu/emulated.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

#define VALUES_MAX 60000u
#define TILE_VALUES ((size_t)(GPU_SUM_TILE_BYTES / sizeof(double)))

static const struct gpu_table table = {.sum_f64s = gpu_engine_sum_f64s};
static uint8_t room[(VALUES_MAX + 1) * sizeof(double)];

static struct gpu *open_emulated(unsigned lanes)
{
    const struct gpu_settings s = {.lane_bytes = GPU_LANE_BYTES_MIN, .lanes = lanes};
    struct gpu *gpu = NULL;
    char why[GPU_WHY_BYTES];
    emulated_reset();
    ck_assert_int_eq(gpu_engine_open(&emulated_driver, &gpu, 0, &s, why, sizeof(why)), 0);
    return gpu;
}

static void expect_same_bytes(const struct compute_exact *a, const struct compute_exact *b)
{
    const struct alloc heap = alloc_heap();
    struct buf x;
    struct buf y;
    buf_init(&x, &heap, COMPUTE_EXACT_ENCODED_MAX);
    buf_init(&y, &heap, COMPUTE_EXACT_ENCODED_MAX);
    ck_assert_int_eq(compute_exact_encode(a, &x), 0);
    ck_assert_int_eq(compute_exact_encode(b, &y), 0);
    ck_assert_uint_eq(x.size, y.size);
    ck_assert_mem_eq(x.data, y.data, x.size);
    buf_release(&x);
    buf_release(&y);
}

static void compare(struct gpu *gpu, const uint8_t *values, size_t count)
{
    struct compute_exact sum;
    struct compute_exact twin;
    compute_exact_init(&sum);
    compute_exact_init(&twin);
    ck_assert_int_eq(gpu_sum_add_f64s(&table, gpu, &sum, values, count), 0);
    compute_exact_add_f64s_by(COMPUTE_LANES_PLAIN, &twin, values, count);
    expect_same_bytes(&sum, &twin);
}

static void put(uint8_t *at, size_t i, double value)
{
    memcpy(at + i * sizeof(value), &value, sizeof(value));
}

/* Values of one kind from at on. */
static void fill(struct rng *r, uint8_t *at, size_t count, enum values_kind kind)
{
    static double values[VALUES_MAX];
    ck_assert_uint_le(count, VALUES_MAX);
    values_make(r, kind, values, count);
    memcpy(at, values, count * sizeof(double));
}

START_TEST(every_kind_of_values_gives_the_bytes_of_the_plain_twin)
{
    struct rng r;
    rng_init(&r, unit_seed("every_kind_of_values_gives_the_bytes_of_the_plain_twin", 1));
    for (unsigned kind = 0; kind < VALUES_KINDS; kind++) {
        for (unsigned round = 0; round < 6; round++) {
            struct gpu *gpu = open_emulated((unsigned)rng_between(&r, 1, 4));
            uint8_t *at = room + rng_below(&r, sizeof(double));
            const size_t count = rng_below(&r, round < 3 ? 400 : VALUES_MAX);
            fill(&r, at, count, (enum values_kind)kind);
            compare(gpu, at, count);
            gpu_engine_close(gpu);
        }
    }
}
END_TEST

START_TEST(counts_around_units_and_tiles_give_the_bytes_of_the_plain_twin)
{
    const size_t counts[] = {0,
                             1,
                             2,
                             3,
                             TILE_VALUES - 1,
                             TILE_VALUES,
                             TILE_VALUES + 1,
                             3 * TILE_VALUES,
                             3 * TILE_VALUES + 1,
                             6 * TILE_VALUES + 5};
    struct rng r;
    rng_init(&r, unit_seed("counts_around_units_and_tiles_give_the_bytes_of_the_plain_twin", 2));
    struct gpu *gpu = open_emulated(0);
    fill(&r, room, VALUES_MAX, VALUES_NARROW);
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        compare(gpu, room + i % 8, counts[i]);
    }
    gpu_engine_close(gpu);
}
END_TEST

/* Windows at every place that doubles have, full to the last bit on both sides. */
START_TEST(values_at_the_edges_of_windows_give_the_bytes_of_the_plain_twin)
{
    struct gpu *gpu = open_emulated(0);
    for (unsigned field = 0; field <= 0x7ff; field++) {
        const unsigned above = field + 10 > 0x7ff ? 0x7ff : field + 10;
        const unsigned below = field < 100 ? 0 : field - 100;
        for (unsigned i = 0; i < 12; i++) {
            put(room, 4 * i, values_of_parts(i % 2, field, UINT64_MAX));
            put(room, 4 * i + 1, values_of_parts(i % 3 != 0, above - i % 4, UINT64_MAX));
            put(room, 4 * i + 2, values_of_parts(i % 2, below + i, UINT64_C(1) << 12));
            put(room, 4 * i + 3, values_of_parts(i % 2, 0, 0));
        }
        compare(gpu, room, 1 + field % 48);
    }
    gpu_engine_close(gpu);
}
END_TEST

static size_t parts;
static size_t rest;

static void count_part(void *ctx, const struct gpu_sum_part *part)
{
    (void)ctx;
    (void)part;
    parts++;
}

static void count_rest(void *ctx, size_t from, size_t count)
{
    (void)ctx;
    (void)from;
    rest += count;
}

START_TEST(usual_values_are_all_added_by_the_device)
{
    const struct gpu_sum_sink sink = {.part = count_part, .rest = count_rest};
    struct rng r;
    rng_init(&r, unit_seed("usual_values_are_all_added_by_the_device", 3));
    struct gpu *gpu = open_emulated(0);
    parts = 0;
    rest = 0;
    fill(&r, room, VALUES_MAX, VALUES_NARROW);
    ck_assert_int_eq(gpu_engine_sum_f64s(gpu, room, VALUES_MAX, &sink), 0);
    ck_assert_uint_eq(parts, 3); /* pieces of three tiles */
    ck_assert_uint_eq(rest, 0);
    /* one value that is none costs its tile */
    put(room, TILE_VALUES + 3, (double)NAN);
    ck_assert_int_eq(gpu_engine_sum_f64s(gpu, room, VALUES_MAX, &sink), 0);
    ck_assert_uint_eq(rest, TILE_VALUES);
    gpu_engine_close(gpu);
}
END_TEST

/* returns: how many values the device left to the host; the bytes are those of the twin. */
static size_t left_of(struct gpu *gpu, const uint8_t *values, size_t count)
{
    const struct gpu_sum_sink sink = {.part = count_part, .rest = count_rest};
    rest = 0;
    ck_assert_int_eq(gpu_engine_sum_f64s(gpu, values, count, &sink), 0);
    compare(gpu, values, count);
    return rest;
}

/* At the least window the second unit is the least double: no value below it has bits to leave. The
 * greatest of them has field 50, by which the headroom is used up. */
START_TEST(tiny_values_are_all_added_by_the_device)
{
    struct rng r;
    rng_init(&r, unit_seed("tiny_values_are_all_added_by_the_device", 5));
    struct gpu *gpu = open_emulated(0);
    for (unsigned most = 0; most <= 42; most++) {
        for (size_t i = 0; i < 3 * TILE_VALUES; i++) {
            put(room, i, values_of_parts(rng_below(&r, 2), rng_below(&r, most + 1), rng_next(&r)));
        }
        /* not with all bits set: rounded up to the first unit it would leave the window */
        put(room, 3 * TILE_VALUES - 1, values_of_parts(0, 50, UINT64_MAX << 20));
        put(room, TILE_VALUES - 1, values_of_parts(1, 0, UINT64_C(1) << 12));
        ck_assert_uint_eq(left_of(gpu, room, 3 * TILE_VALUES), 0);
    }
    gpu_engine_close(gpu);
}
END_TEST

START_TEST(subnormals_alone_are_all_added_by_the_device)
{
    struct rng r;
    rng_init(&r, unit_seed("subnormals_alone_are_all_added_by_the_device", 6));
    struct gpu *gpu = open_emulated(0);
    for (unsigned shift = 12; shift < 64; shift++) {
        for (size_t i = 0; i < 500; i++) {
            const uint64_t fraction = rng_next(&r) >> (shift - 12) | 1u << 12;
            put(room, i, values_of_parts(rng_below(&r, 2), 0, fraction));
        }
        ck_assert_uint_eq(left_of(gpu, room, 499), 0);
        /* all of one sign: nothing cancels */
        for (size_t i = 0; i < TILE_VALUES; i++) {
            put(room, i, values_of_parts(shift % 2, 0, UINT64_MAX));
        }
        ck_assert_uint_eq(left_of(gpu, room, TILE_VALUES), 0);
    }
    gpu_engine_close(gpu);
}
END_TEST

/* The least and the greatest doubles, beside one another, and in tiles and pieces of their own. */
START_TEST(huge_and_tiny_values_give_the_bytes_of_the_plain_twin)
{
    struct rng r;
    rng_init(&r, unit_seed("huge_and_tiny_values_give_the_bytes_of_the_plain_twin", 7));
    struct gpu *gpu = open_emulated(2);
    for (unsigned round = 0; round < 60; round++) {
        const size_t count = rng_between(&r, 1, 7 * TILE_VALUES);
        const size_t run = round % 3 == 0 ? 1 : rng_between(&r, 1, 2 * TILE_VALUES);
        for (size_t i = 0; i < count; i++) {
            const uint64_t tiny = rng_below(&r, 60);
            const uint64_t field = i / run % 2 == 0 ? tiny : 0x7fe - tiny % (1 + round % 12);
            put(room, i, values_of_parts(rng_below(&r, 2), field, rng_next(&r)));
        }
        compare(gpu, room, count);
    }
    gpu_engine_close(gpu);
}
END_TEST

/* --- results of many tiles --- */

#define TILES_MAX 4200u

/* What a sink got, added up; and how large a part may be. */
struct taken {
    struct compute_exact sum;
    size_t parts;
    size_t rest;
    size_t next; /* the value behind the last range */
};

static void add_scaled(struct compute_exact *e, int64_t number, double unit)
{
    ck_assert(number < (INT64_C(1) << 53) && number > -(INT64_C(1) << 53));
    compute_exact_add_product_f64(e, (double)number, unit);
}

static void take_part(void *ctx, const struct gpu_sum_part *part)
{
    struct taken *t = ctx;
    add_scaled(&t->sum, part->high1, part->unit1 * 0x1p32);
    add_scaled(&t->sum, part->low1, part->unit1);
    add_scaled(&t->sum, part->high2, part->unit2 * 0x1p32);
    add_scaled(&t->sum, part->low2, part->unit2);
    t->parts++;
}

static void take_rest(void *ctx, size_t from, size_t count)
{
    struct taken *t = ctx;
    ck_assert_uint_ge(from, t->next);
    t->next = from + count;
    t->rest += count;
}

/* Sums of one thread, as large as there are, of both signs and small. */
static int64_t thread_sum(struct rng *r, unsigned kind)
{
    const int64_t most = INT64_C(1) << 60;
    switch (kind) {
    case 0: return most - 1;
    case 1: return -most;
    default: return (int64_t)(rng_next(r) >> 3) - most;
    }
}

static void put_word(uint8_t *at, int64_t word)
{
    memcpy(at, &word, sizeof(word));
}

/* Makes up the results of tiles, every outside-th of which is left to the host; what a sink gets is
 * what was made up. */
static void take_tiles(struct rng *r, uint8_t *sums, size_t tiles, size_t outside, unsigned kind)
{
    struct gpu_sum_pass p = {.tiles = tiles};
    struct taken taken = {.parts = 0};
    struct compute_exact made;
    const struct gpu_sum_sink sink = {.ctx = &taken, .part = take_part, .rest = take_rest};
    size_t left = 0;
    put(room, 0, 1.0);
    gpu_sum_window(&p, room, 1);
    /* a sample of 1.0 has field 1023: with a headroom of 8 units are 2^-42 and 2^-93 */
    const double unit[2] = {0x1p-42, 0x1p-93};
    compute_exact_init(&taken.sum);
    compute_exact_init(&made);
    for (size_t tile = 0; tile < tiles; tile++) {
        const bool is_outside = outside != 0 && tile % outside == outside - 1;
        left += is_outside;
        for (unsigned i = 0; i < 2 * GPU_SUM_THREADS; i++) {
            const int64_t sum = thread_sum(r, kind);
            put_word(sums + tile * GPU_SUM_RESULT_BYTES + i * sizeof(sum), sum);
            if (!is_outside) {
                compute_exact_add_product_f64(&made, (double)(sum >> 20), unit[i % 2] * 0x1p20);
                compute_exact_add_product_f64(&made, (double)(sum & 0xfffff), unit[i % 2]);
            }
        }
        if (is_outside) {
            put_word(sums + tile * GPU_SUM_RESULT_BYTES + tile % GPU_SUM_THREADS * GPU_UNIT_BYTES,
                     INT64_MIN);
        }
    }
    gpu_sum_take(&p, sums, 0, tiles * TILE_VALUES, &sink);
    expect_same_bytes(&taken.sum, &made);
    ck_assert_uint_eq(taken.rest, left * TILE_VALUES);
    ck_assert_uint_eq(taken.parts, (tiles - left + 2047) / 2048);
}

START_TEST(results_of_more_tiles_than_a_part_holds_are_taken_once)
{
    const size_t tiles[] = {1, 2047, 2048, 2049, 2050, 4095, 4096, 4097, TILES_MAX};
    struct rng r;
    rng_init(&r, unit_seed("results_of_more_tiles_than_a_part_holds_are_taken_once", 8));
    uint8_t *sums = malloc((size_t)TILES_MAX * GPU_SUM_RESULT_BYTES);
    ck_assert_ptr_nonnull(sums);
    for (size_t i = 0; i < sizeof(tiles) / sizeof(*tiles); i++) {
        for (unsigned kind = 0; kind < 3; kind++) {
            take_tiles(&r, sums, tiles[i], 0, kind);
        }
        take_tiles(&r, sums, tiles[i], 3, 2);
        take_tiles(&r, sums, tiles[i], 2049, 2);
    }
    free(sums);
}
END_TEST

START_TEST(negative_zeros_alone_sum_to_negative_zero)
{
    struct compute_exact sum;
    struct gpu *gpu = open_emulated(0);
    for (size_t i = 0; i < TILE_VALUES + 7; i++) {
        put(room, i, -0.0);
    }
    compute_exact_init(&sum);
    ck_assert_int_eq(gpu_sum_add_f64s(&table, gpu, &sum, room, TILE_VALUES + 7), 0);
    ck_assert(compute_exact_round(&sum) == 0 && signbit(compute_exact_round(&sum)) != 0);
    compare(gpu, room, TILE_VALUES + 7);
    gpu_engine_close(gpu);
}
END_TEST

START_TEST(a_sum_that_fails_adds_nothing)
{
    struct compute_exact sum;
    struct compute_exact before;
    struct rng r;
    rng_init(&r, unit_seed("a_sum_that_fails_adds_nothing", 4));
    fill(&r, room, VALUES_MAX, VALUES_NARROW);
    compute_exact_init(&sum);
    compute_exact_add_f64(&sum, 1.5);
    before = sum;
    /* use, and for each of 3 pieces: in, pass, out, wait */
    for (unsigned at = 1; at <= 1 + 3 * 4; at++) {
        struct gpu *gpu = open_emulated(0);
        emulated.calls = 0;
        emulated.fail_at = at;
        emulated.error = 719;
        ck_assert_int_eq(gpu_sum_add_f64s(&table, gpu, &sum, room, VALUES_MAX), ERR_UNAVAILABLE);
        expect_same_bytes(&sum, &before);
        gpu_engine_close(gpu);
        ck_assert_uint_eq(emulated.lanes_open, 0);
    }
}
END_TEST

UNIT_MAIN("gpu_sum", every_kind_of_values_gives_the_bytes_of_the_plain_twin,
          counts_around_units_and_tiles_give_the_bytes_of_the_plain_twin,
          values_at_the_edges_of_windows_give_the_bytes_of_the_plain_twin,
          usual_values_are_all_added_by_the_device, tiny_values_are_all_added_by_the_device,
          subnormals_alone_are_all_added_by_the_device,
          huge_and_tiny_values_give_the_bytes_of_the_plain_twin,
          results_of_more_tiles_than_a_part_holds_are_taken_once,
          negative_zeros_alone_sum_to_negative_zero, a_sum_that_fails_adds_nothing)
