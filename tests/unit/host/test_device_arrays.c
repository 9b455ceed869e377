/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Jobs over arrays of numbers on a host's device: what they give is what the plain twins give, or
 * is done here; and each bit of a result that is wrong is found, though it is so each time. Built
 * for the late machine and the eager one.
 */
#include "compute/order.h"
#include "tests/unit/host/device_rig.h"

#define LEAST 8192u /* that go there */
#define MOST 30000u
#define WORD sizeof(uint64_t)
#define REDUCED_BITS 256u
#define KEY_BIT 128u

static uint8_t numbers[MOST * WORD + 8];

/* Numbers of any size, or of few values, which then are at many places; among doubles zeros,
 * infinities and, if asked for, NaNs. */
static void fill(struct rng *r, uint8_t *to, size_t count, bool with_nans)
{
    const bool are_few = rng_chance(r, 1, 2);
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = are_few ? rng_below(r, 9) << 58 : rng_next(r);
        if (rng_chance(r, 1, 5000)) {
            bits = UINT64_C(0x7ff) << 52 | (uint64_t)rng_below(r, 2) << 63;
        }
        const bool is_nan = bits << 1 > UINT64_C(0x7ff) << 53;
        num_put_u64(to + i * WORD, is_nan && !with_nans ? bits >> 2 : bits);
    }
}

/* What a job gives, one number after the other. */
static struct compute_folded twin(const struct compute_fold_job *job)
{
    struct compute_folded f = {.key = 0};
    const bool most = job->fold == COMPUTE_FOLD_MOST;
    for (size_t i = 0; i < job->count; i++) {
        const uint64_t bits = num_get_u64((const uint8_t *)job->values + i * WORD);
        const bool is_nan = job->of == COMPUTE_REAL && compute_bits_are_nan(bits);
        const uint64_t key = is_nan ? 0 - (uint64_t)most : compute_key_of(bits, job->of);
        if (job->fold == COMPUTE_FOLD_SUM) {
            const uint64_t above = job->of == COMPUTE_SIGNED ? 0 - (bits >> 63) : 0;
            f.sum.low += bits;
            f.sum.high = (int64_t)((uint64_t)f.sum.high + above + (f.sum.low < bits));
        } else if (i == 0 || (most ? key > f.key : key < f.key)) {
            f.key = key;
            f.place = i;
        }
    }
    return f;
}

/* returns: whether the device has done it; it is right then. */
static bool reduce(struct host_device *d, const struct compute_fold_job *job)
{
    static const struct compute_folded none = {.key = 77};
    const struct compute_whole whole = host_device_whole(d);
    const struct compute_folded due = twin(job);
    struct compute_folded is = none;
    if (!whole.reduce(whole.ctx, job, &is)) {
        ck_assert_mem_eq(&is, &none, sizeof(is));
        return false;
    }
    ck_assert_mem_eq(&is, &due, sizeof(is));
    return true;
}

static struct compute_fold_job some_job(struct rng *r)
{
    struct compute_fold_job job = {.fold = (enum compute_fold)rng_below(r, 3),
                                   .of = (enum compute_class)rng_below(r, 3),
                                   .values = numbers + rng_below(r, 8),
                                   .count = LEAST + (size_t)rng_below(r, MOST - LEAST)};
    job.of = job.fold == COMPUTE_FOLD_SUM && job.of == COMPUTE_REAL ? COMPUTE_SIGNED : job.of;
    fill(r, numbers + ((const uint8_t *)job.values - numbers), job.count, rng_chance(r, 1, 3));
    return job;
}

START_TEST(reductions_of_any_array_are_those_of_the_plain_twin)
{
    struct rng r;
    reset();
    rng_init(&r, unit_seed("reductions_of_any_array_are_those_of_the_plain_twin", 1));
    struct host_device *d = start();
    for (unsigned i = 0; i < 60; i++) {
        const struct compute_fold_job job = some_job(&r);
        ck_assert(reduce(d, &job));
    }
    ck_assert_uint_eq(report(d).of[NODE_DEVICE_REDUCES].jobs, 60);
    ck_assert_uint_eq(report(d).failed + report(d).wrong + report(d).errors, 0);
    struct compute_fold_job small = some_job(&r);
    small.count = LEAST - 1;
    ck_assert(!reduce(d, &small));
    host_device_free(d);
}
END_TEST

START_TEST(reductions_longer_than_its_memory_go_in_pieces)
{
    struct rng r;
    const size_t count = HOST_DEVICE_JOB_BYTES / WORD + 5;
    uint8_t *data = malloc(count * WORD);
    ck_assert_ptr_nonnull(data);
    reset();
    rng_init(&r, 31);
    fill(&r, data, count, false);
    struct host_device *d = start();
    for (unsigned i = 0; i < 3; i++) {
        num_put_u64(data + (count - 3) * WORD, (uint64_t)INT64_MAX - i); /* in the last piece */
        const struct compute_fold_job job = {
            (enum compute_fold)i, i == 1 ? COMPUTE_UNSIGNED : COMPUTE_SIGNED, data, count};
        ck_assert(reduce(d, &job));
    }
    for (unsigned i = 0; i < 2; i++) { /* all are as good as the worst */
        memset(data, i == 0 ? 0xff : 0, count * WORD);
        const struct compute_fold_job job = {i == 0 ? COMPUTE_FOLD_LEAST : COMPUTE_FOLD_MOST,
                                             COMPUTE_UNSIGNED, data, count - 4};
        ck_assert(reduce(d, &job));
    }
    ck_assert_uint_eq(report(d).of[NODE_DEVICE_REDUCES].jobs, 5);
    host_device_free(d);
    free(data);
}
END_TEST

/* Each call errs alike. A sum has no key and no place, and other results no sum. */
START_TEST(each_bit_of_a_reduction_that_is_wrong_is_found)
{
    struct rng r;
    reset();
    rng_init(&r, unit_seed("each_bit_of_a_reduction_that_is_wrong_is_found", 1));
    struct host_device *d = start();
    struct compute_fold_job job = some_job(&r);
    job.count = LEAST;
    unsigned wrong = 0;
    for (unsigned bit = 0; bit < REDUCED_BITS; bit += 5) {
        job.fold = bit < KEY_BIT ? COMPUTE_FOLD_SUM : COMPUTE_FOLD_LEAST + bit % 2;
        job.of = (enum compute_class)rng_below(&r, bit < KEY_BIT ? 2 : 3);
        (void)pthread_mutex_lock(&at.lock);
        at.flips_array = bit + 1;
        (void)pthread_mutex_unlock(&at.lock);
        ck_assert_msg(!reduce(d, &job), "bit %u", bit);
        host_device_settle(d);
        is_state(d, "suspect");
        ck_assert_str_eq(report(d).cause, "wrong reductions");
        ck_assert_uint_eq(report(d).wrong, ++wrong);
        (void)pthread_mutex_lock(&at.lock);
        at.flips_array = 0;
        (void)pthread_mutex_unlock(&at.lock);
        clock_add(WAIT_MAX_US);
        ck_assert(!reduce(d, &job)); /* opens it */
        host_device_settle(d);
        ck_assert(reduce(d, &job));
    }
    host_device_free(d);
}
END_TEST

/* A value that is lost in one of the passes only: the least is another one, at a place it has. */
START_TEST(a_least_value_that_is_passed_over_is_found)
{
    struct rng r;
    struct compute_fold_job job;
    reset();
    rng_init(&r, 33);
    struct host_device *d = start();
    job = some_job(&r);
    job.fold = COMPUTE_FOLD_LEAST;
    job.of = COMPUTE_UNSIGNED;
    for (unsigned i = 0; i < 3; i++) {
        set(&at.passes_over, true);
        ck_assert(!reduce(d, &job));
        set(&at.passes_over, false);
        host_device_settle(d);
        is_state(d, "suspect");
        clock_add(WAIT_MAX_US);
        ck_assert(!reduce(d, &job));
        host_device_settle(d);
        ck_assert(reduce(d, &job));
    }
    host_device_free(d);
}
END_TEST

/* returns: whether the device, which drops the number at a place of each array, has done it. */
static bool reduce_dropping(struct host_device *d, const struct compute_fold_job *job,
                            unsigned drops)
{
    (void)pthread_mutex_lock(&at.lock);
    at.drops = drops;
    (void)pthread_mutex_unlock(&at.lock);
    const bool is_done = reduce(d, job);
    (void)pthread_mutex_lock(&at.lock);
    at.drops = 0;
    (void)pthread_mutex_unlock(&at.lock);
    host_device_settle(d);
    if (!is_done) {
        is_state(d, "suspect");
        clock_add(WAIT_MAX_US);
        ck_assert(!reduce(d, job)); /* opens it */
        host_device_settle(d);
    }
    return is_done;
}

/* Whether the number is the first, the last or one in between: another call has it elsewhere. */
START_TEST(a_number_that_each_call_drops_at_one_place_is_found)
{
    static const unsigned places[] = {0, 1, 7, LEAST / 3 - 1, LEAST / 3, LEAST / 2, LEAST - 1};
    struct rng r;
    reset();
    rng_init(&r, unit_seed("a_number_that_each_call_drops_at_one_place_is_found", 1));
    struct host_device *d = start();
    for (unsigned i = 0; i < 7 * 6; i++) {
        const unsigned place = places[i % 7];
        struct compute_fold_job job = {.fold =
                                           i / 7 % 2 == 0 ? COMPUTE_FOLD_LEAST : COMPUTE_FOLD_MOST,
                                       .of = (enum compute_class)(i / 14),
                                       .values = numbers,
                                       .count = LEAST};
        for (unsigned k = 0; k < LEAST; k++) {
            num_put_u64(numbers + k * WORD, (1 + rng_below(&r, 1u << 20)) << 32);
        }
        num_put_u64(numbers + place * WORD, job.fold == COMPUTE_FOLD_LEAST ? 5 : UINT64_C(7) << 58);
        ck_assert(!reduce_dropping(d, &job, place + 1 == LEAST ? ALL : place + 1));
        for (unsigned ties = 0; ties < 4;
             ties++) { /* what is done is right, if another is as good */
            num_put_u64(numbers + rng_below(&r, LEAST) * WORD, num_get_u64(numbers + place * WORD));
            (void)reduce_dropping(d, &job, place + 1 == LEAST ? ALL : place + 1);
        }
    }
    host_device_free(d);
}
END_TEST

START_TEST(no_piece_is_too_small_to_be_judged)
{
    const size_t count = HOST_DEVICE_JOB_BYTES / 2 / WORD;
    uint8_t *data = malloc((count + 3) * WORD);
    ck_assert_ptr_nonnull(data);
    reset();
    memset(data, 0, (count + 3) * WORD);
    struct host_device *d = start();
    for (unsigned over = 0; over < 4; over++) {
        const struct compute_fold_job job = {COMPUTE_FOLD_SUM, COMPUTE_SIGNED, data, count + over};
        ck_assert(reduce(d, &job));
        (void)pthread_mutex_lock(&at.lock);
        at.flips_array = 2;
        at.flips_below = 100;
        (void)pthread_mutex_unlock(&at.lock);
        ck_assert(reduce(d, &job)); /* no call is of so few, but that of no value */
        (void)pthread_mutex_lock(&at.lock);
        at.flips_array = 0;
        at.flips_below = 0;
        (void)pthread_mutex_unlock(&at.lock);
    }
    host_device_free(d);
    free(data);
}
END_TEST

/* ---- scans ---------------------------------------------------------------------------------- */

/* returns: false: a sum leaves its range. */
static bool scan_twin(const struct compute_fold_job *job, uint64_t *results, uint64_t *carry)
{
    const uint64_t flip = job->of == COMPUTE_SIGNED ? UINT64_C(1) << 63 : 0;
    bool is_kept = true;
    for (size_t i = 0; i < job->count; i++) {
        const uint64_t value = num_get_u64((const uint8_t *)job->values + i * WORD);
        const uint64_t before = *carry;
        const bool is_less = (value ^ flip) < (before ^ flip);
        switch (job->fold) {
        case COMPUTE_FOLD_SUM: *carry = before + value; break;
        case COMPUTE_FOLD_LEAST: *carry = is_less ? value : before; break;
        case COMPUTE_FOLD_MOST: *carry = is_less ? before : value; break;
        case COMPUTE_FOLD_OR: *carry = before | value; break;
        }
        if (job->fold == COMPUTE_FOLD_SUM) {
            const uint64_t leaves = (*carry ^ before) & (*carry ^ value);
            is_kept = is_kept && (flip != 0 ? leaves >> 63 == 0 : *carry >= value);
        }
        results[i] = *carry;
    }
    return is_kept;
}

/* returns: whether the device has done it; it is right then. */
static bool scan(struct host_device *d, const struct compute_fold_job *job, uint64_t carry)
{
    const struct compute_whole whole = host_device_whole(d);
    uint64_t *due = malloc(job->count * WORD);
    uint8_t *is = malloc(job->count * WORD + 9);
    uint64_t due_carry = carry;
    uint64_t is_carry = carry;
    ck_assert_ptr_nonnull(due);
    ck_assert_ptr_nonnull(is);
    is[job->count * WORD + 1] = 0xa5;
    const bool is_kept = scan_twin(job, due, &due_carry);
    const bool there = whole.scan(whole.ctx, job, is + 1, &is_carry);
    ck_assert(!there || is_kept);
    ck_assert_uint_eq(is_carry, there ? due_carry : carry);
    ck_assert(!there || memcmp(is + 1, due, job->count * WORD) == 0);
    ck_assert_uint_eq(is[job->count * WORD + 1], 0xa5);
    free(due);
    free(is);
    return there;
}

/* Sums that do not leave their range. */
static struct compute_fold_job some_scan(struct rng *r)
{
    struct compute_fold_job job = some_job(r);
    uint8_t *values = numbers + ((const uint8_t *)job.values - numbers);
    job.fold = (enum compute_fold)rng_below(r, 4);
    job.of = (enum compute_class)rng_below(r, 2);
    for (size_t i = 0; i < job.count && job.fold == COMPUTE_FOLD_SUM; i++) {
        const uint64_t bits = num_get_u64(values + i * WORD) >> 16;
        num_put_u64(values + i * WORD, job.of == COMPUTE_SIGNED && bits % 2 == 0 ? 0 - bits : bits);
    }
    return job;
}

START_TEST(scans_of_any_array_are_those_of_the_plain_twin)
{
    struct rng r;
    reset();
    rng_init(&r, unit_seed("scans_of_any_array_are_those_of_the_plain_twin", 1));
    struct host_device *d = start();
    for (unsigned i = 0; i < 60; i++) {
        const struct compute_fold_job job = some_scan(&r);
        ck_assert(scan(d, &job, job.fold == COMPUTE_FOLD_SUM ? rng_next(&r) >> 2 : rng_next(&r)));
    }
    ck_assert_uint_eq(report(d).of[NODE_DEVICE_SCANS].jobs, 60);
    struct compute_fold_job job = some_scan(&r);
    job.count = LEAST - 1;
    ck_assert(!scan(d, &job, 0));
    for (unsigned i = 0; i < 2; i++) { /* a sum that leaves its range says nothing of the device */
        job = (struct compute_fold_job){COMPUTE_FOLD_SUM,
                                        i == 0 ? COMPUTE_SIGNED : COMPUTE_UNSIGNED, numbers, MOST};
        memset(numbers, 0, sizeof(numbers));
        numbers[20000 * WORD] = 1;
        ck_assert(scan(d, &job, (UINT64_MAX >> (1 - i)) - 1));
        ck_assert(!scan(d, &job, UINT64_MAX >> (1 - i)));
        ck_assert(!scan(d, &job, UINT64_MAX >> (1 - i)));
    }
    ck_assert_uint_eq(report(d).failed + report(d).wrong + report(d).errors, 0);
    host_device_free(d);
}
END_TEST

START_TEST(scans_longer_than_its_memory_go_in_pieces)
{
    struct rng r;
    const size_t count = HOST_DEVICE_JOB_BYTES / WORD + 5;
    uint8_t *data = malloc(count * WORD);
    ck_assert_ptr_nonnull(data);
    reset();
    rng_init(&r, 34);
    rng_fill(&r, data, count * WORD);
    for (size_t i = 0; i < count; i++) {
        data[i * WORD + 7] = data[i * WORD + 6] = data[i * WORD + 5] = 0;
    }
    struct host_device *d = start();
    for (unsigned i = 0; i < 4; i++) {
        const struct compute_fold_job job = {(enum compute_fold)i, COMPUTE_UNSIGNED, data, count};
        ck_assert(scan(d, &job, i == 1 ? UINT64_MAX : 0));
    }
    ck_assert_uint_eq(report(d).of[NODE_DEVICE_SCANS].bytes, 4 * count * WORD);
    host_device_free(d);
    free(data);
}
END_TEST

START_TEST(each_bit_of_a_scan_that_is_wrong_is_found)
{
    struct rng r;
    unsigned wrong = 0;
    reset();
    rng_init(&r, unit_seed("each_bit_of_a_scan_that_is_wrong_is_found", 1));
    struct host_device *d = start();
    for (unsigned i = 0; i < 60; i++) {
        struct compute_fold_job job = some_scan(&r);
        const unsigned bits = (unsigned)job.count * 64; /* of results; then the carry, then done */
        const unsigned bit = i < 40 ? (unsigned)rng_below(&r, bits) : bits + (i - 40) * 6;
        (void)pthread_mutex_lock(&at.lock);
        at.flips_array = bit + 1;
        (void)pthread_mutex_unlock(&at.lock);
        ck_assert_msg(!scan(d, &job, job.fold == COMPUTE_FOLD_LEAST ? UINT64_MAX >> 1 : 0),
                      "bit %u of %u", bit, bits);
        host_device_settle(d);
        is_state(d, "suspect");
        ck_assert_str_eq(report(d).cause, "wrong scans");
        ck_assert_uint_eq(report(d).wrong, ++wrong);
        (void)pthread_mutex_lock(&at.lock);
        at.flips_array = 0;
        (void)pthread_mutex_unlock(&at.lock);
        clock_add(WAIT_MAX_US);
        ck_assert(!scan(d, &job, 0)); /* opens it */
        host_device_settle(d);
        ck_assert(scan(d, &job, 0));
    }
    host_device_free(d);
}
END_TEST

/* ---- sorts ---------------------------------------------------------------------------------- */

/* returns: whether the device has done it; it is right then. */
static bool sort(struct host_device *d, const uint8_t *keys, size_t count)
{
    const struct alloc heap = alloc_heap();
    const struct compute_whole whole = host_device_whole(d);
    uint32_t *order = malloc(2 * count * sizeof(order[0]));
    ck_assert_ptr_nonnull(order);
    const bool there = whole.sort(whole.ctx, keys, count, order);
    ck_assert_int_eq(compute_order_numbers(&heap, keys, count, order + count), 0);
    ck_assert(!there || memcmp(order, order + count, count * sizeof(order[0])) == 0);
    free(order);
    return there;
}

START_TEST(sorts_of_any_keys_are_those_of_the_processor)
{
    struct rng r;
    reset();
    rng_init(&r, unit_seed("sorts_of_any_keys_are_those_of_the_processor", 1));
    struct host_device *d = start();
    for (unsigned i = 0; i < 20; i++) {
        const struct compute_fold_job job = some_job(&r);
        ck_assert(sort(d, job.values, job.count));
    }
    ck_assert_uint_eq(report(d).of[NODE_DEVICE_SORTS].jobs, 20);
    ck_assert(!sort(d, numbers, LEAST - 1));
    ck_assert_uint_eq(report(d).failed + report(d).wrong + report(d).errors, 0);
    host_device_free(d);
}
END_TEST

/* Both of the device's runs and of pieces, and an end that is none of either. */
START_TEST(sorts_longer_than_its_memory_are_merged)
{
    struct rng r;
    const size_t count = HOST_DEVICE_JOB_BYTES / WORD + 70005;
    uint8_t *data = malloc(count * WORD);
    ck_assert_ptr_nonnull(data);
    reset();
    rng_init(&r, 35);
    fill(&r, data, count, true);
    struct host_device *d = start();
    ck_assert(sort(d, data, count));
    memset(data, 7, count * WORD);
    ck_assert(sort(d, data, count));
    ck_assert_uint_eq(report(d).of[NODE_DEVICE_SORTS].bytes, 2 * count * WORD);
    host_device_free(d);
    free(data);
}
END_TEST

START_TEST(each_bit_of_an_order_that_is_wrong_is_found)
{
    struct rng r;
    unsigned wrong = 0;
    reset();
    rng_init(&r, unit_seed("each_bit_of_an_order_that_is_wrong_is_found", 1));
    struct host_device *d = start();
    for (unsigned i = 0; i < 40; i++) {
        const struct compute_fold_job job = some_job(&r);
        const unsigned place = i == 0 ? 0 : (unsigned)rng_below(&r, job.count);
        (void)pthread_mutex_lock(&at.lock);
        at.flips_array = place * 32 + i % 32 + 1;
        (void)pthread_mutex_unlock(&at.lock);
        ck_assert_msg(!sort(d, job.values, job.count), "bit %u of place %u", i % 32, place);
        host_device_settle(d);
        is_state(d, "suspect");
        ck_assert_str_eq(report(d).cause, "wrong order");
        ck_assert_uint_eq(report(d).wrong, ++wrong);
        (void)pthread_mutex_lock(&at.lock);
        at.flips_array = 0;
        (void)pthread_mutex_unlock(&at.lock);
        clock_add(WAIT_MAX_US);
        ck_assert(!sort(d, job.values, job.count)); /* opens it */
        host_device_settle(d);
        ck_assert(sort(d, job.values, job.count));
    }
    host_device_free(d);
}
END_TEST

UNIT_MAIN("host_device_arrays", sorts_of_any_keys_are_those_of_the_processor,
          sorts_longer_than_its_memory_are_merged, each_bit_of_an_order_that_is_wrong_is_found,
          scans_of_any_array_are_those_of_the_plain_twin, scans_longer_than_its_memory_go_in_pieces,
          each_bit_of_a_scan_that_is_wrong_is_found,
          reductions_of_any_array_are_those_of_the_plain_twin,
          reductions_longer_than_its_memory_go_in_pieces,
          each_bit_of_a_reduction_that_is_wrong_is_found,
          a_least_value_that_is_passed_over_is_found,
          a_number_that_each_call_drops_at_one_place_is_found, no_piece_is_too_small_to_be_judged)
