/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Jobs over arrays of numbers: what plain loops and compute's plain twins give, for any count,
 * alignment and number of lanes, whatever scratch memory takes of them.
 */
#include "base/err.h"
#include "base/num.h"
#include "base/rng.h"
#include "compute/range.h"
#include "compute/scan.h"
#include "gpu/engine_array_internal.h"
#include "tests/unit/compute/values.h"
#include "tests/unit/gpu/emulated.h"
#include "tests/unit/unit.h"

#include <string.h>

#define COUNT_MAX 100000u
#define WORD sizeof(uint64_t)

_Static_assert((int)GPU_SIGNED == (int)COMPUTE_SIGNED &&
                   (int)GPU_UNSIGNED == (int)COMPUTE_UNSIGNED && (int)GPU_REAL == (int)COMPUTE_REAL,
               "classes are compute's");

static uint8_t room[(COUNT_MAX + 1) * WORD];

/* Scratch memory of up to a dozen bytes a record. */
static struct gpu *open_emulated(struct rng *r)
{
    const struct gpu_settings s = {.lane_bytes = GPU_LANE_BYTES_MIN + 32 * rng_below(r, 5000),
                                   .lanes = (unsigned)rng_between(r, 1, 4)};
    struct gpu *gpu = NULL;
    char why[GPU_WHY_BYTES];
    emulated_reset();
    emulated.scratch_bytes_each = (unsigned)rng_below(r, 13);
    ck_assert_int_eq(gpu_engine_open(&emulated_driver, &gpu, 0, &s, why, sizeof(why)), 0);
    return gpu;
}

/* Counts around nothing, a unit, a piece, and any. */
static size_t count_of(struct rng *r, unsigned round)
{
    switch (round % 4) {
    case 0: return rng_below(r, 70);
    case 1: return rng_below(r, 40000);
    case 2: return (GPU_LANE_BYTES_MIN - 2048) / WORD / 32 * 32 + rng_below(r, 3) - 1;
    default: return rng_below(r, COUNT_MAX + 1);
    }
}

static uint64_t word_at(const uint8_t *at, size_t i)
{
    uint64_t word;
    memcpy(&word, at + i * WORD, sizeof(word));
    return word;
}

static void put_word(uint8_t *at, size_t i, uint64_t word)
{
    memcpy(at + i * WORD, &word, sizeof(word));
}

/* Numbers of any size, the greatest and the least, few different ones, or doubles. */
static void fill(struct rng *r, uint8_t *at, size_t count)
{
    const unsigned kind = (unsigned)rng_below(r, 6);
    const uint64_t middle = rng_below(r, 2000);
    for (size_t i = 0; i < count; i++) {
        const uint64_t any = rng_next(r);
        const double real = values_one(r, (enum values_kind)(any % VALUES_KINDS), middle % 1900);
        uint64_t word = any;
        switch (kind) {
        case 0: word = any; break;
        case 1: word = any % 7 - 3; break;
        case 2: word = UINT64_MAX >> any % 3; break;
        case 3: word = (uint64_t)INT64_MAX + any % 2; break;
        case 4: word = any >> any % 64; break;
        default: memcpy(&word, &real, sizeof(word)); break;
        }
        put_word(at, i, word);
    }
}

/* For each record of many: Check notes the place of every assertion in a file. */
static void expect(bool is_so, const char *what, size_t i)
{
    if (!is_so) {
        ck_abort_msg("record %zu: %s", i, what);
    }
}

/* --- reduce --- */

static bool is_sum(const struct gpu_whole *sum, enum gpu_class of, const uint8_t *at, size_t count)
{
    struct compute_exact e;
    struct compute_i128 whole;
    compute_exact_init(&e);
    if (of == GPU_SIGNED) {
        compute_exact_add_i64s_by(COMPUTE_LANES_PLAIN, &e, at, count);
    } else {
        compute_exact_add_u64s_by(COMPUTE_LANES_PLAIN, &e, at, count);
    }
    return compute_exact_to_i128(&e, &whole) == 0 && sum->low == whole.low &&
           sum->high == whole.high;
}

/* The key is compute's; the place is the first value's with that key, as an argmin's. */
static void expect_best(const struct gpu_reduced *best, const struct gpu_reduce_job *job)
{
    const enum compute_class of = (enum compute_class)job->of;
    const struct compute_range range =
        compute_range_by(COMPUTE_LANES_PLAIN, job->values, job->count, of);
    const bool is_most = job->fold == GPU_FOLD_MOST;
    const uint64_t key = is_most ? range.most : range.least;
    ck_assert_uint_eq(best->key, key);
    for (size_t i = 0; i < job->count; i++) {
        const uint64_t bits = word_at(job->values, i);
        const bool is_nan = of == COMPUTE_REAL && compute_bits_are_nan(bits);
        const uint64_t of_nan = is_most ? UINT64_MAX : 0;
        if ((is_nan ? of_nan : compute_key_of(bits, of)) == key) {
            ck_assert_uint_eq(best->place, i);
            return;
        }
    }
    ck_assert_uint_eq(job->count, 0);
}

static void compare_reduced(struct gpu *gpu, const uint8_t *at, size_t count)
{
    for (unsigned fold = GPU_FOLD_SUM; fold <= GPU_FOLD_MOST; fold++) {
        for (unsigned of = GPU_SIGNED; of <= GPU_REAL; of++) {
            const struct gpu_reduce_job job = {(enum gpu_fold)fold, (enum gpu_class)of, at, count};
            struct gpu_reduced reduced;
            if (fold == GPU_FOLD_SUM && of == GPU_REAL) {
                continue;
            }
            ck_assert_int_eq(gpu_engine_reduce(gpu, &job, &reduced), 0);
            if (fold == GPU_FOLD_SUM) {
                ck_assert(is_sum(&reduced.sum, job.of, at, count));
            } else {
                expect_best(&reduced, &job);
            }
        }
    }
}

START_TEST(arrays_of_any_size_are_reduced_as_by_the_plain_twins)
{
    struct rng r;
    rng_init(&r, unit_seed("arrays_of_any_size_are_reduced_as_by_the_plain_twins", 1));
    for (unsigned round = 0; round < 60; round++) {
        struct gpu *gpu = open_emulated(&r);
        const size_t count = count_of(&r, round);
        uint8_t *at = room + rng_below(&r, WORD);
        fill(&r, at, count);
        compare_reduced(gpu, at, count);
        gpu_engine_close(gpu);
    }
}
END_TEST

/* Equal ones in several pieces, alone among others and everywhere. */
START_TEST(the_first_of_equal_values_is_found_in_any_piece)
{
    struct rng r;
    rng_init(&r, unit_seed("the_first_of_equal_values_is_found_in_any_piece", 2));
    for (unsigned round = 0; round < 30; round++) {
        struct gpu *gpu = open_emulated(&r);
        const uint64_t usual = round % 2 == 0 ? 1 : UINT64_C(0x7ff8) << 48;
        for (size_t i = 0; i < COUNT_MAX; i++) {
            put_word(room, i, usual);
        }
        compare_reduced(gpu, room, COUNT_MAX);
        const uint64_t other[] = {0, UINT64_MAX, UINT64_C(1) << 63, UINT64_C(0xfff8) << 48};
        for (unsigned i = 0; i < 3; i++) {
            put_word(room, rng_below(&r, COUNT_MAX), other[round % 4]);
        }
        compare_reduced(gpu, room, COUNT_MAX);
        gpu_engine_close(gpu);
    }
}
END_TEST

START_TEST(halves_of_sums_carry_into_128_bits)
{
    const struct {
        uint64_t high;
        uint64_t low;
        uint64_t sum_low;
        int64_t sum_high;
    } parts[] = {
        {UINT64_MAX, UINT32_MAX, UINT64_MAX, -1},      /* -1 */
        {0, 1, 0, 0},                                  /* and 1 are 0 */
        {UINT64_C(1) << 62, 0, 0, INT64_C(1) << 30},   /* 2^94 */
        {0, UINT64_MAX, UINT64_MAX, INT64_C(1) << 30}, /* with 2^64 - 1 */
        {UINT64_C(1) << 32, 1, 0, (INT64_C(1) << 30) + 2},
        {UINT64_C(3) << 62, 0, 0, 2}, /* less 2^94 */
        {UINT64_MAX - UINT64_C(0x1ffffffff), 0, 0, 0},
    };
    struct gpu_whole sum = {0, 0};
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        gpu_array_add(&sum, parts[i].high, parts[i].low);
        ck_assert_msg(sum.low == parts[i].sum_low && sum.high == parts[i].sum_high,
                      "step %zu: %lld, %llu", i, (long long)sum.high, (unsigned long long)sum.low);
    }
}
END_TEST

/* --- scan --- */

static uint8_t results[(COUNT_MAX + 1) * WORD];
static uint8_t plain[(COUNT_MAX + 1) * WORD];

/* By compute's plain kernel. */
static void expect_sums(const struct gpu_scan_job *job, const struct gpu_scanned *scanned)
{
    const struct compute_scan_sums how = {.is_signed = job->of == GPU_SIGNED};
    const struct compute_scan_span span = {.from = job->values, .to = plain, .count = job->count};
    uint64_t carry = job->carry;
    const size_t done = compute_scan_sums_by(COMPUTE_LANES_PLAIN, &how, &span, &carry);
    ck_assert_uint_eq(scanned->carry, carry);
    ck_assert_uint_eq(scanned->done, done);
    ck_assert_mem_eq(job->results, plain, job->count * WORD);
}

static uint64_t best_of(const struct gpu_scan_job *job, uint64_t a, uint64_t b)
{
    const bool is_less = job->of == GPU_SIGNED ? (int64_t)a < (int64_t)b : a < b;
    return is_less == (job->fold == GPU_FOLD_LEAST) ? a : b;
}

static void expect_others(const struct gpu_scan_job *job, const struct gpu_scanned *scanned)
{
    uint64_t carry = job->carry;
    for (size_t i = 0; i < job->count; i++) {
        const uint64_t value = word_at(job->values, i);
        carry = job->fold == GPU_FOLD_OR ? carry | value : best_of(job, carry, value);
        expect(word_at(job->results, i) == carry, "result", i);
    }
    ck_assert_uint_eq(scanned->carry, carry);
    ck_assert_uint_eq(scanned->done, job->count);
}

static void compare_scans(struct gpu *gpu, struct rng *r, const uint8_t *at, size_t count)
{
    for (unsigned fold = GPU_FOLD_SUM; fold <= GPU_FOLD_OR; fold++) {
        for (unsigned of = GPU_SIGNED; of <= GPU_UNSIGNED; of++) {
            struct gpu_scan_job job = {(enum gpu_fold)fold,
                                       (enum gpu_class)of,
                                       at,
                                       results,
                                       count,
                                       rng_below(r, 2) == 0 ? 0 : rng_next(r)};
            struct gpu_scanned scanned;
            job.results = results + rng_below(r, WORD);
            memset(results, 0xa5, sizeof(results));
            ck_assert_int_eq(gpu_engine_scan(gpu, &job, &scanned), 0);
            if (fold == GPU_FOLD_SUM) {
                expect_sums(&job, &scanned);
            } else {
                expect_others(&job, &scanned);
            }
            ck_assert_uint_eq(((uint8_t *)job.results)[count * WORD], 0xa5);
        }
    }
}

START_TEST(arrays_of_any_size_are_scanned_as_by_the_plain_twins)
{
    struct rng r;
    rng_init(&r, unit_seed("arrays_of_any_size_are_scanned_as_by_the_plain_twins", 3));
    for (unsigned round = 0; round < 60; round++) {
        struct gpu *gpu = open_emulated(&r);
        const size_t count = NUM_MIN(count_of(&r, round), (size_t)COUNT_MAX - 1);
        uint8_t *at = room + rng_below(&r, WORD);
        fill(&r, at, count);
        compare_scans(gpu, &r, at, count);
        gpu_engine_close(gpu);
    }
}
END_TEST

/* Small numbers, one of which makes the sum leave its range: at any place of a tile, at the ends of
 * tiles and pieces; perhaps another one behind it. */
START_TEST(the_first_sum_that_leaves_its_range_is_found_anywhere)
{
    struct rng r;
    rng_init(&r, unit_seed("the_first_sum_that_leaves_its_range_is_found_anywhere", 4));
    for (unsigned round = 0; round < 300; round++) {
        struct gpu *gpu = open_emulated(&r);
        const size_t count = 1 + rng_below(&r, 20000);
        const size_t tile = GPU_SCAN_TILE_VALUES;
        size_t at = rng_below(&r, count);
        at = round % 3 == 0 ? NUM_MIN(at / tile * tile + round % 2, count - 1) : at;
        for (size_t i = 0; i < count; i++) {
            put_word(room, i, 1);
        }
        put_word(room, at, round % 2 == 0 ? (uint64_t)INT64_MAX : UINT64_MAX - round % 5);
        if (round % 7 == 0) {
            put_word(room, rng_below(&r, count), UINT64_C(1) << 63);
        }
        for (unsigned of = GPU_SIGNED; of <= GPU_UNSIGNED; of++) {
            const struct gpu_scan_job job = {GPU_FOLD_SUM, (enum gpu_class)of,    room, results,
                                             count,        round % 4 == 0 ? 3 : 0};
            struct gpu_scanned scanned;
            ck_assert_int_eq(gpu_engine_scan(gpu, &job, &scanned), 0);
            expect_sums(&job, &scanned);
        }
        gpu_engine_close(gpu);
    }
}
END_TEST

/* --- sort --- */

static uint8_t order[(COUNT_MAX + 1) * sizeof(uint32_t)];

static uint32_t place_at(const uint8_t *at, size_t i)
{
    uint32_t place;
    memcpy(&place, at + i * sizeof(place), sizeof(place));
    return place;
}

/* Each run has the places of its piece, once each, by key and then by place. */
static void expect_run(const uint8_t *keys, const uint8_t *places, size_t from, size_t to)
{
    uint64_t sum = 0;
    for (size_t i = from; i < to; i++) {
        const size_t place = place_at(places, i);
        sum += place;
        expect(place >= from && place < to, "place of another piece", i);
        if (i > from) {
            const size_t before = place_at(places, i - 1);
            const uint64_t x = word_at(keys, before);
            const uint64_t y = word_at(keys, place);
            expect(x < y || (x == y && before < place), "order", i);
        }
    }
    /* so none is there twice: those of equal keys rise, and of others the keys */
    ck_assert_uint_eq(sum, (uint64_t)(to - from) * (from + to - 1) / 2);
}

static void compare_sorted(struct gpu *gpu, struct rng *r, const uint8_t *keys, size_t count)
{
    uint8_t *sorted = results + rng_below(r, WORD);
    uint8_t *places = order + rng_below(r, sizeof(uint32_t));
    const bool has_keys = rng_below(r, 2) == 0;
    const struct gpu_sort_job job = {keys, has_keys ? sorted : NULL, places, count};
    size_t run = 0;
    memset(results, 0xa5, sizeof(results));
    memset(order, 0xa5, sizeof(order));
    ck_assert_int_eq(gpu_engine_sort(gpu, &job, &run), 0);
    ck_assert_uint_gt(run, 0);
    for (size_t from = 0; from < count; from += run) {
        expect_run(keys, places, from, NUM_MIN(from + run, count));
    }
    for (size_t i = 0; i < count && has_keys; i++) {
        expect(word_at(sorted, i) == word_at(keys, place_at(places, i)), "key", i);
    }
    ck_assert_uint_eq(places[count * sizeof(uint32_t)], 0xa5);
    ck_assert_uint_eq(sorted[has_keys ? count * WORD : 0], 0xa5);
}

START_TEST(keys_become_runs_in_a_stable_order)
{
    struct rng r;
    rng_init(&r, unit_seed("keys_become_runs_in_a_stable_order", 5));
    for (unsigned round = 0; round < 60; round++) {
        struct gpu *gpu = open_emulated(&r);
        const size_t count = NUM_MIN(count_of(&r, round), (size_t)COUNT_MAX - 1);
        uint8_t *keys = room + rng_below(&r, WORD);
        fill(&r, keys, count);
        compare_sorted(gpu, &r, keys, count);
        gpu_engine_close(gpu);
    }
}
END_TEST

START_TEST(keys_that_fit_into_a_lane_are_one_run)
{
    struct rng r;
    size_t run = 0;
    rng_init(&r, unit_seed("keys_that_fit_into_a_lane_are_one_run", 6));
    const struct gpu_settings s = {.lane_bytes = GPU_LANE_BYTES_MIN, .lanes = 3};
    struct gpu *gpu = NULL;
    char why[GPU_WHY_BYTES];
    emulated_reset();
    ck_assert_int_eq(gpu_engine_open(&emulated_driver, &gpu, 0, &s, why, sizeof(why)), 0);
    fill(&r, room, COUNT_MAX);
    const struct gpu_sort_job job = {room, results, order, 10000};
    ck_assert_int_eq(gpu_engine_sort(gpu, &job, &run), 0);
    ck_assert_uint_ge(run, 10000);
    ck_assert_uint_eq(emulated.by_array[GPU_ARRAY_SORT], 1);
    gpu_engine_close(gpu);
}
END_TEST

/* --- groups --- */

struct taken {
    const uint8_t *keys;
    const uint8_t *values;
    enum gpu_class of;
    size_t count;
    size_t at; /* the record behind the last group */
};

/* A group is of the records that come next, all with its key, and the one behind has another. */
static void take_group(void *ctx, const struct gpu_group *group)
{
    struct taken *t = ctx;
    const size_t to = t->at + group->count;
    expect(group->count > 0 && to <= t->count, "count", t->at);
    for (size_t i = t->at; i < to; i++) {
        expect(word_at(t->keys, i) == group->key, "another key", i);
    }
    expect(to == t->count || word_at(t->keys, to) != group->key, "the same key behind", to);
    if (t->values != NULL) {
        expect(is_sum(&group->sum, t->of, t->values + t->at * WORD, group->count), "sum", t->at);
    } else {
        expect(group->sum.low == 0 && group->sum.high == 0, "sum of nothing", t->at);
    }
    t->at = to;
}

/* Groups of about so many records; keys rise, or are of any order. */
static void fill_keys(struct rng *r, uint8_t *at, size_t count, uint64_t about)
{
    uint64_t key = rng_next(r) >> 40;
    for (size_t i = 0; i < count; i++) {
        key += rng_below(r, about) == 0 ? 1 + rng_below(r, 3) : 0;
        put_word(at, i, key);
    }
}

static void compare_groups(struct gpu *gpu, const uint8_t *keys, const uint8_t *values,
                           size_t count)
{
    for (unsigned of = GPU_SIGNED; of <= GPU_UNSIGNED; of++) {
        struct taken t = {keys, values, (enum gpu_class)of, count, 0};
        const struct gpu_groups_job job = {t.of, keys, values, count, &t, take_group};
        ck_assert_int_eq(gpu_engine_groups(gpu, &job), 0);
        ck_assert_uint_eq(t.at, count);
    }
}

START_TEST(records_of_equal_keys_become_groups_across_pieces)
{
    struct rng r;
    rng_init(&r, unit_seed("records_of_equal_keys_become_groups_across_pieces", 7));
    for (unsigned round = 0; round < 60; round++) {
        const uint64_t abouts[] = {1, 2, 30, 5000, COUNT_MAX, 1u << 30};
        struct gpu *gpu = open_emulated(&r);
        const size_t count = NUM_MIN(count_of(&r, round), (size_t)COUNT_MAX - 1);
        uint8_t *keys = room + rng_below(&r, WORD);
        uint8_t *values = results + rng_below(&r, WORD);
        fill_keys(&r, keys, count, abouts[round % 6]);
        fill(&r, values, count);
        compare_groups(gpu, keys, round % 5 == 0 ? NULL : values, count);
        gpu_engine_close(gpu);
    }
}
END_TEST

/* --- what goes wrong --- */

static int reduce_some(struct gpu *gpu)
{
    const struct gpu_reduce_job job = {GPU_FOLD_MOST, GPU_REAL, room, 80000};
    struct gpu_reduced out = {.place = 77};
    const int err = gpu_engine_reduce(gpu, &job, &out);
    ck_assert(err == 0 || out.place == 77);
    return err;
}

static int scan_some(struct gpu *gpu)
{
    const struct gpu_scan_job job = {GPU_FOLD_SUM, GPU_SIGNED, room, results, 40000, 0};
    struct gpu_scanned out = {.done = 77};
    const int err = gpu_engine_scan(gpu, &job, &out);
    ck_assert(err == 0 || out.done == 77);
    return err;
}

static int sort_some(struct gpu *gpu)
{
    const struct gpu_sort_job job = {room, results, order, 25000};
    size_t run = 77;
    const int err = gpu_engine_sort(gpu, &job, &run);
    ck_assert(err == 0 || run == 77);
    return err;
}

static void drop_group(void *ctx, const struct gpu_group *group)
{
    (void)ctx;
    (void)group;
}

static int group_some(struct gpu *gpu)
{
    const struct gpu_groups_job job = {GPU_SIGNED, room, results, 12000, NULL, drop_group};
    return gpu_engine_groups(gpu, &job);
}

static struct gpu *open_small(void)
{
    const struct gpu_settings s = {.lane_bytes = GPU_LANE_BYTES_MIN, .lanes = 2};
    struct gpu *gpu = NULL;
    char why[GPU_WHY_BYTES];
    emulated_reset();
    ck_assert_int_eq(gpu_engine_open(&emulated_driver, &gpu, 0, &s, why, sizeof(why)), 0);
    emulated.calls = 0;
    return gpu;
}

/* Fails every call of a job in turn. returns: how many calls it makes. */
static unsigned fail_each(int (*job)(struct gpu *gpu))
{
    for (unsigned at = 1;; at++) {
        struct gpu *gpu = open_small();
        emulated.fail_at = at;
        emulated.error = 719;
        const int err = job(gpu);
        if (err != 0) {
            ck_assert_int_eq(err, ERR_UNAVAILABLE);
            ck_assert(strstr(gpu_engine_failure(gpu), ": 719, emulated") != NULL);
            const unsigned calls = emulated.calls;
            ck_assert_int_eq(job(gpu), ERR_UNAVAILABLE);
            ck_assert_uint_eq(emulated.calls, calls);
        }
        gpu_engine_close(gpu);
        ck_assert_uint_eq(emulated.lanes_open, 0);
        if (err == 0) {
            return at - 1;
        }
    }
}

START_TEST(a_job_over_an_array_fails_at_any_call)
{
    /* use, two sizes of scratch memory, use, and for each of 3 pieces: in, run, out, wait */
    ck_assert_uint_eq(fail_each(reduce_some), 4 + 3 * 4);
    /* and the look */
    ck_assert_uint_eq(fail_each(scan_some), 4 + 3 * 5);
    /* the first size fits */
    ck_assert_uint_eq(fail_each(sort_some), 3 + 3 * 4);
    /* twice out and wait once more */
    ck_assert_uint_eq(fail_each(group_some), 3 + 3 * 7);
}
END_TEST

/* Memory behind the lane would be read else. */
START_TEST(a_number_of_groups_that_cannot_be_is_an_error_of_the_device)
{
    const uint32_t numbers[] = {12001, UINT32_MAX, 4751 * 2};
    for (unsigned i = 0; i < 3; i++) {
        struct gpu *gpu = open_small();
        emulated.groups_found = numbers[i];
        ck_assert_int_eq(group_some(gpu), ERR_UNAVAILABLE);
        ck_assert_str_eq(gpu_engine_failure(gpu), "groups: a number that cannot be");
        ck_assert_int_eq(group_some(gpu), ERR_UNAVAILABLE);
        gpu_engine_close(gpu);
    }
}
END_TEST

START_TEST(a_lane_without_room_for_a_record_is_refused_and_the_device_is_well)
{
    struct gpu *gpu = open_small();
    emulated.scratch_bytes_each = GPU_LANE_BYTES_MIN / 32;
    ck_assert_int_eq(reduce_some(gpu), ERR_NO_MEMORY);
    ck_assert_str_eq(gpu_engine_failure(gpu), "");
    emulated.scratch_bytes_each = 0;
    ck_assert_int_eq(reduce_some(gpu), 0);
    gpu_engine_close(gpu);
}
END_TEST

START_TEST(what_is_no_operator_is_refused_and_nothing_is_asked_for_nothing)
{
    struct gpu *gpu = open_small();
    struct gpu_reduce_job job = {GPU_FOLD_SUM, GPU_REAL, room, 5};
    struct gpu_reduced out;
    ck_assert_int_eq(gpu_engine_reduce(gpu, &job, &out), ERR_INVALID);
    job.of = (enum gpu_class)3;
    ck_assert_int_eq(gpu_engine_reduce(gpu, &job, &out), ERR_INVALID);
    job = (struct gpu_reduce_job){(enum gpu_fold)9, GPU_SIGNED, room, 5};
    ck_assert_int_eq(gpu_engine_reduce(gpu, &job, &out), ERR_INVALID);
    job.fold = GPU_FOLD_OR;
    ck_assert_int_eq(gpu_engine_reduce(gpu, &job, &out), ERR_INVALID);
    const struct gpu_groups_job of_doubles = {GPU_REAL, room, room, 5, NULL, drop_group};
    const struct gpu_groups_job of_none = {GPU_SIGNED, NULL, NULL, 0, NULL, drop_group};
    ck_assert_int_eq(gpu_engine_groups(gpu, &of_doubles), ERR_INVALID);
    ck_assert_int_eq(gpu_engine_groups(gpu, &of_none), 0);
    size_t run = 0;
    const struct gpu_sort_job too_many = {room, NULL, order, (size_t)UINT32_MAX + 1};
    const struct gpu_sort_job none = {.count = 0};
    ck_assert_int_eq(gpu_engine_sort(gpu, &too_many, &run), ERR_INVALID);
    ck_assert_int_eq(gpu_engine_sort(gpu, &none, &run), 0);
    ck_assert_uint_eq(run, 1);
    struct gpu_scan_job scan = {(enum gpu_fold)4, GPU_SIGNED, room, results, 5, 0};
    struct gpu_scanned scanned;
    ck_assert_int_eq(gpu_engine_scan(gpu, &scan, &scanned), ERR_INVALID);
    scan = (struct gpu_scan_job){GPU_FOLD_LEAST, GPU_REAL, room, results, 5, 0};
    ck_assert_int_eq(gpu_engine_scan(gpu, &scan, &scanned), ERR_INVALID);
    scan = (struct gpu_scan_job){GPU_FOLD_LEAST, GPU_SIGNED, NULL, NULL, 0, 5};
    ck_assert_int_eq(gpu_engine_scan(gpu, &scan, &scanned), 0);
    ck_assert(scanned.carry == 5 && scanned.done == 0);
    job = (struct gpu_reduce_job){GPU_FOLD_LEAST, GPU_SIGNED, NULL, 0};
    ck_assert_int_eq(gpu_engine_reduce(gpu, &job, &out), 0);
    ck_assert_uint_eq(out.key, UINT64_MAX);
    ck_assert_uint_eq(emulated.calls, 0);
    gpu_engine_close(gpu);
}
END_TEST

UNIT_MAIN("gpu_array", records_of_equal_keys_become_groups_across_pieces,
          a_number_of_groups_that_cannot_be_is_an_error_of_the_device,
          keys_become_runs_in_a_stable_order, keys_that_fit_into_a_lane_are_one_run,
          arrays_of_any_size_are_reduced_as_by_the_plain_twins,
          the_first_of_equal_values_is_found_in_any_piece,
          arrays_of_any_size_are_scanned_as_by_the_plain_twins,
          the_first_sum_that_leaves_its_range_is_found_anywhere, halves_of_sums_carry_into_128_bits,
          a_job_over_an_array_fails_at_any_call,
          a_lane_without_room_for_a_record_is_refused_and_the_device_is_well,
          what_is_no_operator_is_refused_and_nothing_is_asked_for_nothing)
