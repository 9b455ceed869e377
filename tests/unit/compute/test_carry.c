/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Parts of scans with their carries: the bits of one scan over all, and the same carry from totals
 * as from part to part.
 */
#include "compute/carry.h"
#include "compute/reduce.h"

#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

#include <math.h>

#define WORDS_MAX 600u

static const char *const programs[] = {
    "i64 | scan sum",
    "i64 | scan exclusive sum",
    "u64 | scan sum",
    "u64 | scan exclusive sum",
    "f64 | scan sum",
    "f64 | scan exclusive sum",
    "i64 | scan min",
    "u64 | scan exclusive min",
    "f64 | scan min",
    "f64 | scan exclusive max",
    "i64 | scan max",
    "u64 | scan or",
    "i64 | scan or",
    "i64 | scan exclusive or",
    "f64 | scan count",
    "i64 | scan exclusive count",
    "i64 | scan sum from $1 % 7 = 0",
    "u64 | scan exclusive sum from $1 % 100 = 3",
    "f64 | scan sum from $1 < -900",
    "f64 | scan exclusive sum from $1 > 0",
    "f64 | scan sum from $1 = 12345",
    "i64 | scan max from $1 < 0",
    "u64 | scan min from $1 % 9 = 0",
    "f64 | scan min from $1 > 100",
    "i64 | scan or from $1 % 5 = 0",
    "f64 | scan exclusive count from $1 < 0",
    "u64 | scan count from $1 % 50 = 1",
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

static double any_real(struct rng *r, bool odd)
{
    static const double odds[] = {-0.0, 0.0, INFINITY, -INFINITY, NAN, 1e308, -1e308, 5e-324};
    if (odd && rng_chance(r, 1, 4)) {
        return odds[rng_below(r, sizeof(odds) / sizeof(odds[0]))];
    }
    return ldexp((double)rng_between(r, 0, 2000) - 1000, (int)rng_below(r, odd ? 400 : 20) - 10);
}

/* Numbers for a program, few of which leave the range of sums. */
static void fill(struct rng *r, const char *text, uint64_t *words, size_t count)
{
    const unsigned kind = (unsigned)rng_below(r, 4);
    for (size_t i = 0; i < count; i++) {
        uint64_t any = rng_next(r);
        const double real = kind == 0 ? -0.0 : any_real(r, kind == 1);
        if (text[0] == 'f') {
            memcpy(&words[i], &real, sizeof(real));
            continue;
        }
        any >>= kind == 1 && rng_chance(r, 1, 200) ? 1 : 20 + rng_below(r, 40);
        words[i] = text[0] == 'i' && rng_chance(r, 1, 2) ? 0 - any : any;
    }
}

/* Does a scan, or leaves it, with results of no use. */
struct host {
    struct rng rng;
    unsigned done[COMPUTE_FOLD_OR + 1];
};

static uint64_t joined(const struct compute_fold_job *job, uint64_t all, uint64_t value)
{
    const uint64_t flip = job->of == COMPUTE_SIGNED ? UINT64_C(1) << 63 : 0;
    const bool less = (value ^ flip) < (all ^ flip);
    switch (job->fold) {
    case COMPUTE_FOLD_SUM: return all + value;
    case COMPUTE_FOLD_LEAST: return less ? value : all;
    case COMPUTE_FOLD_MOST: return less ? all : value;
    case COMPUTE_FOLD_OR: break;
    }
    return all | value;
}

static bool host_scan(void *ctx, const struct compute_fold_job *job, void *results, uint64_t *carry)
{
    struct host *h = ctx;
    uint64_t all = *carry;
    bool leaves = rng_chance(&h->rng, 1, 2);
    ck_assert(job->of != COMPUTE_REAL);
    for (size_t i = 0; i < job->count; i++) {
        const uint64_t value = num_get_u64((const uint8_t *)job->values + 8 * i);
        const uint64_t next = joined(job, all, value);
        const uint64_t out = (next ^ all) & (next ^ value);
        leaves = leaves || (job->fold == COMPUTE_FOLD_SUM &&
                            (job->of == COMPUTE_SIGNED ? out >> 63 != 0 : next < value));
        all = next;
        num_put_u64((uint8_t *)results + 8 * i, all ^ leaves);
    }
    h->done[job->fold] += !leaves;
    *carry = leaves ? *carry : all;
    return !leaves;
}

static struct host host;
static const struct compute_whole whole = {.ctx = &host, .scan = host_scan};

/* Scans parts of any size. returns: the first error. */
static int scan_parts(struct rng *r, const struct compute_program *p, const struct bytes all,
                      uint8_t *out)
{
    const struct alloc heap = alloc_heap();
    char text[COMPUTE_CARRY_TEXT];
    struct compute_program *total = NULL;
    struct compute_task *t = NULL;
    struct buf carry[2];
    int err = 0;
    buf_init(&carry[0], &heap, COMPUTE_CARRY_BYTES_MAX);
    buf_init(&carry[1], &heap, COMPUTE_CARRY_BYTES_MAX);
    ck_assert_int_eq(compute_carry_of(p, NULL, &carry[0]), 0);
    if (compute_carry_total(p, text) == 0) {
        total = tasks_program(text);
        t = tasks_new(total, 0, 0);
    }
    for (size_t at = 0; at < all.size && err == 0;) {
        const size_t words = (size_t)rng_between(r, 1, (all.size - at) / 8);
        const struct compute_carry_part part = {.from = at,
                                                .carry = buf_view(&carry[0]),
                                                .in = bytes_of(all.data + at, words * 8),
                                                .out = out + at,
                                                .whole = rng_chance(r, 1, 4) ? NULL : &whole};
        buf_clear(&carry[1]);
        err = compute_carry_scan(p, &heap, &part, &carry[1]);
        buf_clear(&carry[0]);
        if (t != NULL && err == 0) {
            ck_assert_int_eq(compute_task_update(t, part.in), 0);
            ck_assert_int_eq(compute_carry_of(p, t, &carry[0]), 0);
            ck_assert(bytes_equal(buf_view(&carry[0]), buf_view(&carry[1])));
        } else {
            ck_assert_int_eq(buf_append(&carry[0], carry[1].data, carry[1].size), 0);
        }
        at += words * 8;
    }
    buf_release(&carry[0]);
    buf_release(&carry[1]);
    compute_task_free(t);
    compute_program_free(total);
    return err;
}

START_TEST(parts_have_the_bits_of_one_scan)
{
    static uint64_t words[WORDS_MAX];
    static uint8_t out[WORDS_MAX * 8];
    struct rng r;
    unsigned wrong = 0;
    rng_init(&r, unit_seed("parts", 31));
    rng_init(&host.rng, rng_next(&r));
    for (unsigned round = 0; round < 2700; round++) {
        struct compute_program *p = tasks_program(programs[round % PROGRAMS]);
        const size_t count = (size_t)rng_between(&r, 1, WORDS_MAX);
        struct err_info why = {.code = 0};
        ck_assert(compute_carry_has(p));
        fill(&r, programs[round % PROGRAMS], words, count);
        const struct bytes all = bytes_of(words, count * 8);
        struct compute_task *t = tasks_new(p, 0, 0);
        ck_assert_int_eq(compute_task_update(t, all), 0);
        const int want = compute_task_finish(t, &why);
        const int got = scan_parts(&r, p, all, out);
        ck_assert_int_eq(got, want);
        wrong += want != 0;
        if (want == 0) {
            ck_assert_msg(bytes_equal(compute_task_output(t), bytes_of(out, all.size)), "%s",
                          programs[round % PROGRAMS]);
        }
        compute_task_free(t);
        compute_program_free(p);
    }
    ck_assert_uint_gt(wrong, 5);
    ck_assert_uint_lt(wrong, 200);
    for (unsigned fold = 0; fold <= COMPUTE_FOLD_OR; fold++) {
        ck_assert_uint_gt(host.done[fold], 50);
    }
}
END_TEST

/* Of records that are one segment, however the carry was come by. */
START_TEST(a_segment_has_the_carry_of_a_scan_of_its_records)
{
    static const char *const pairs[][2] = {{"f64 | scan sum", "f64 | scan sum from 1 = 2"},
                                           {"i64 | scan sum", "i64 | scan sum from 1 = 2"},
                                           {"u64 | scan count", "u64 | scan count from 1 = 2"}};
    static uint64_t words[WORDS_MAX];
    static uint8_t out[WORDS_MAX * 8];
    const struct alloc heap = alloc_heap();
    struct rng r;
    rng_init(&r, unit_seed("segments", 32));
    for (unsigned round = 0; round < 600; round++) {
        const char *const *pair = pairs[round % 3];
        const size_t count = (size_t)rng_between(&r, 1, WORDS_MAX);
        struct buf carry[3];
        int err[2];
        for (unsigned i = 0; i < 3; i++) {
            buf_init(&carry[i], &heap, COMPUTE_CARRY_BYTES_MAX);
        }
        fill(&r, pair[0], words, count);
        for (unsigned i = 0; i < 2; i++) {
            struct compute_program *p = tasks_program(pair[i]);
            buf_clear(&carry[2]);
            ck_assert_int_eq(compute_carry_of(p, NULL, &carry[2]), 0);
            const struct compute_carry_part part = {
                .carry = buf_view(&carry[2]), .in = bytes_of(words, count * 8), .out = out};
            err[i] = compute_carry_scan(p, &heap, &part, &carry[i]);
            compute_program_free(p);
        }
        ck_assert_int_eq(err[0], err[1]);
        ck_assert(bytes_equal(buf_view(&carry[0]), buf_view(&carry[1])));
        for (unsigned i = 0; i < 3; i++) {
            buf_release(&carry[i]);
        }
    }
}
END_TEST

START_TEST(programs_whose_results_lie_otherwise_have_no_carry)
{
    static const char *const others[] = {
        "i64 | sum",
        "i32 | scan sum",
        "i32,i32 | scan sum",
        "i64 | where $1 > 0 | scan sum",
        "i64 | where $1 > 0 | scan sum from $1 = 1",
        "i64 | scan sum $1 + 1 from $1 = 0",
        "i64 | scan sum $1 + 1",
        "i64 | select $1 scan sum",
        "csv | scan sum $1",
        "i64 | sort $1",
        "x4,i32 | scan count",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct compute_program *p = tasks_program(others[i]);
        ck_assert_msg(!compute_carry_has(p), "%s", others[i]);
        compute_program_free(p);
    }
}
END_TEST

static int scan_of(const char *text, uint64_t from, struct bytes carry, size_t bytes)
{
    static const uint8_t in[16] = {1};
    uint8_t out[16];
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program(text);
    const struct compute_carry_part part = {
        .from = from, .carry = carry, .in = bytes_of(in, bytes), .out = out};
    struct buf next;
    buf_init(&next, &heap, COMPUTE_CARRY_BYTES_MAX);
    const int err = compute_carry_scan(p, &heap, &part, &next);
    buf_release(&next);
    compute_program_free(p);
    return err;
}

START_TEST(what_is_no_carry_is_refused)
{
    uint8_t sum[19] = {COMPUTE_CARRY_FORMAT, COMPUTE_OP_SUM};
    uint8_t least[10 + 1] = {COMPUTE_CARRY_FORMAT, COMPUTE_OP_MIN, 2};
    uint8_t count[18] = {COMPUTE_CARRY_FORMAT, COMPUTE_OP_COUNT, 1};
    ck_assert_int_eq(scan_of("i64 | scan sum", 8, bytes_of(sum, 18), 16), 0);
    ck_assert_int_eq(scan_of("i64 | scan sum", 8, bytes_of(sum, 18), 15), ERR_RANGE);
    ck_assert_int_eq(scan_of("i64 | scan sum", 9, bytes_of(sum, 18), 16), ERR_RANGE);
    ck_assert_int_eq(scan_of("i64 | scan sum", 8, bytes_of(sum, 17), 16), ERR_PROTOCOL);
    ck_assert_int_eq(scan_of("i64 | scan sum", 8, bytes_of(sum, 19), 16), ERR_PROTOCOL);
    ck_assert_int_eq(scan_of("i64 | scan or", 8, bytes_of(sum, 18), 16), ERR_PROTOCOL);
    ck_assert_int_eq(scan_of("f64 | scan sum", 8, bytes_of(sum, 18), 16), ERR_PROTOCOL);
    ck_assert_int_eq(scan_of("i64 | scan min", 8, bytes_of(least, 11), 16), ERR_PROTOCOL);
    ck_assert_int_eq(scan_of("i64 | scan count", 8, bytes_of(count, 18), 16), 0);
    ck_assert_int_eq(scan_of("i64 | scan count", 16, bytes_of(count, 18), 16), ERR_PROTOCOL);
    ck_assert_int_eq(scan_of("i64 | scan count from $1 = 0", 16, bytes_of(count, 18), 16), 0);
    count[2] = 3;
    ck_assert_int_eq(scan_of("i64 | scan count from $1 = 0", 16, bytes_of(count, 18), 16),
                     ERR_PROTOCOL);
    count[2] = 0;
    ck_assert_int_eq(scan_of("i64 | scan count from $1 = 0", 16, bytes_of(count, 18), 16),
                     ERR_PROTOCOL);
    ck_assert_int_eq(scan_of("i64 | scan count from $1 = 0", 0, bytes_of(count, 18), 16), 0);
    sum[0] = COMPUTE_CARRY_FORMAT + 1;
    ck_assert_int_eq(scan_of("i64 | scan sum", 8, bytes_of(sum, 18), 16), ERR_LEVEL);
}
END_TEST

UNIT_MAIN("compute_carry", parts_have_the_bits_of_one_scan,
          a_segment_has_the_carry_of_a_scan_of_its_records,
          programs_whose_results_lie_otherwise_have_no_carry, what_is_no_carry_is_refused)
