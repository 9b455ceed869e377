/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sums and leaf hashes on a host's device: they are those of the plain twins, or done here, and a
 * device that errs in the same way each time is found out. Built for the late machine and the eager
 * one. What is said of any job is in test_device.c.
 */
#include "tests/unit/host/device_rig.h"

#include <math.h>

START_TEST(sums_and_leaves_go_to_the_device)
{
    struct rng r;
    reset();
    rng_init(&r, 12);
    struct host_device *d = start();
    for (unsigned i = 0; i < 4; i++) {
        ck_assert(add_some(d, &r));
        ck_assert(hash(d, &r));
    }
    const struct node_device said = report(d);
    ck_assert_uint_eq(said.of[NODE_DEVICE_SUMS].jobs, 4);
    ck_assert_uint_eq(said.of[NODE_DEVICE_SUMS].bytes, 4 * VALUES * sizeof(double));
    ck_assert_uint_eq(said.of[NODE_DEVICE_LEAVES].jobs, 4);
    ck_assert_uint_eq(said.of[NODE_DEVICE_LEAVES].bytes, (uint64_t)4 * 5 * COMPUTE_LEAF_BYTES);
    ck_assert_uint_eq(said.of[NODE_DEVICE_CODES].jobs, 0);
    ck_assert_uint_eq(said.failed + said.late + said.wrong + said.errors, 0);
    host_device_free(d);
    ck_assert_uint_eq(at.lines, 1);
}
END_TEST

/* While it is looked at: the device is left alone for a while, and it is said why. */
START_TEST(a_processor_without_memory_is_told_of_as_the_cause)
{
    unsigned suspects = 0;
    bool is_ready = false;
    for (uint64_t n = 1; !is_ready; n++) {
        struct alloc_budget budget;
        struct host_device *d = NULL;
        struct err_info why;
        reset();
        const struct host_device_options options = {
            .use = HOST_DEVICE_ALWAYS,
            .path = "",
            .table = &table,
            .log = &lines,
            .heap = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX),
            .now_us = clock_now,
            .wait_min_us = WAIT_MIN_US,
            .wait_max_us = WAIT_MAX_US,
            .patience_us = LONG_US};
        budget.fail_at = n;
        if (host_device_new(&d, &options, &why) != 0 || host_device_start(d, &why) != 0) {
            host_device_free(d);
            continue;
        }
        host_device_settle(d);
        const struct node_device said = report(d);
        if (strcmp(said.state, "suspect") == 0) {
            ck_assert_str_ne(said.cause, "");
            suspects++;
        }
        is_ready = strcmp(said.state, "healthy") == 0 && budget.requests < n;
        host_device_free(d);
    }
    ck_assert_uint_gt(suspects, 0);
}
END_TEST

START_TEST(sums_and_leaves_longer_than_its_memory_go_in_pieces)
{
    struct rng r;
    const size_t bytes = HOST_DEVICE_JOB_BYTES + 3 * COMPUTE_LEAF_BYTES + 8;
    uint8_t *data = malloc(bytes);
    uint8_t *hashes = malloc(2 * compute_leaves_of(bytes) * COMPUTE_HASH_BYTES);
    ck_assert_ptr_nonnull(data);
    ck_assert_ptr_nonnull(hashes);
    reset();
    rng_init(&r, 13);
    rng_fill(&r, data, bytes);
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        data[i + 7] = (uint8_t)(0x40 | (data[i + 7] & 0x80)); /* finite, of alike size */
        data[i + 6] &= 0x1f;
    }
    struct host_device *d = start();
    const struct compute_whole whole = host_device_whole(d);
    ck_assert(add(d, (const double *)(const void *)data, bytes / sizeof(double)));
    const struct compute_leaves run = {data, bytes, hashes};
    ck_assert(whole.leaf_hashes(whole.ctx, &run, 1));
    uint8_t *due = hashes + compute_leaves_of(bytes) * COMPUTE_HASH_BYTES;
    for (size_t i = 0; i < compute_leaves_of(bytes); i++) {
        compute_leaf_hash(data + i * COMPUTE_LEAF_BYTES,
                          NUM_MIN(bytes - i * COMPUTE_LEAF_BYTES, (size_t)COMPUTE_LEAF_BYTES),
                          due + i * COMPUTE_HASH_BYTES);
    }
    ck_assert_mem_eq(hashes, due, compute_leaves_of(bytes) * COMPUTE_HASH_BYTES);
    ck_assert_uint_eq(report(d).of[NODE_DEVICE_SUMS].jobs, 1);
    ck_assert_uint_eq(report(d).of[NODE_DEVICE_LEAVES].jobs, 1);
    host_device_free(d);
    free(data);
    free(hashes);
}
END_TEST

/* What is not finite shows nothing; what is too small is not worth a look. */
START_TEST(sums_that_cannot_be_judged_are_done_here_and_blame_nobody)
{
    static double values[VALUES];
    reset();
    struct host_device *d = start();
    ck_assert(!add(d, values, 8191));
    ck_assert(add(d, values, VALUES)); /* zeros */
    for (unsigned i = 0; i < VALUES; i++) {
        values[i] = i % 2 == 0 ? -0.0 : 0x1.8p-1074 * 3;
    }
    ck_assert(add(d, values, VALUES));
    for (unsigned i = 0; i < VALUES; i++) {
        values[i] = -0.0;
    }
    ck_assert(add(d, values, VALUES));
    for (unsigned i = 0; i < VALUES; i++) {
        values[i] = 0x1.fffffffffffffp+1023; /* whose sum no double holds */
    }
    ck_assert(add(d, values, VALUES));
    ck_assert_uint_eq(report(d).of[NODE_DEVICE_SUMS].jobs, 4);
    static const double odd[] = {NAN, INFINITY, -INFINITY};
    for (unsigned i = 0; i < 3; i++) {
        values[777] = odd[i];
        ck_assert(!add(d, values, VALUES));
    }
    ck_assert_uint_eq(report(d).of[NODE_DEVICE_SUMS].jobs, 4);
    is_state(d, "healthy");
    ck_assert_uint_eq(report(d).wrong + report(d).failed, 0);
    host_device_free(d);
}
END_TEST

/* Each call errs alike, so both ways of a job do: it is found all the same. */
START_TEST(wrong_sums_and_hashes_are_found_and_make_the_device_suspect)
{
    bool *const wrongs[] = {&at.flips_sums, &at.adds_sums, &at.flips_leaves};
    for (unsigned i = 0; i < 3; i++) {
        struct rng r;
        reset();
        rng_init(&r, 14 + i);
        struct host_device *d = start();
        ck_assert(add_some(d, &r));
        ck_assert(hash(d, &r));
        set(wrongs[i], true);
        ck_assert(!(i < 2 ? add_some(d, &r) : hash(d, &r)));
        host_device_settle(d);
        is_state(d, "suspect");
        ck_assert_str_eq(report(d).cause, i < 2 ? "wrong sums" : "wrong hashes");
        ck_assert_uint_eq(report(d).wrong, 1);
        ck_assert_uint_eq(at.lines, 2);
        ck_assert_uint_eq(emulated.lanes_open, 0);
        ck_assert(!add_some(d, &r));
        clock_add(WAIT_MIN_US); /* its opening is looked at */
        ck_assert(!hash(d, &r));
        host_device_settle(d);
        is_state(d, "suspect");
        ck_assert_uint_eq(report(d).errors, 2);
        set(wrongs[i], false);
        clock_add(2 * WAIT_MIN_US);
        ck_assert(!add_some(d, &r));
        host_device_settle(d);
        ck_assert(add_some(d, &r));
        ck_assert(hash(d, &r));
        host_device_free(d);
    }
}
END_TEST

START_TEST(hashes_that_others_find_wrong_make_the_device_suspect)
{
    reset();
    struct host_device *d = start();
    const struct compute_whole whole = host_device_whole(d);
    whole.wrong(whole.ctx);
    host_device_settle(d);
    is_state(d, "suspect");
    ck_assert_str_eq(report(d).cause, "wrong hashes");
    host_device_free(d);
}
END_TEST

START_TEST(each_kind_goes_where_it_was_measured_to_be_faster)
{
    static const char *const from[] = {
        "codes_from=never sums_from=65536 leaves_from=never reduces_from=never ",
        "codes_from=never sums_from=never leaves_from=65536 reduces_from=never ",
        "sums_from=never leaves_from=never reduces_from=65536 scans_from=65536 sorts_from=65536 "};
    for (unsigned i = 0; i < 3; i++) {
        struct rng r;
        reset();
        rng_init(&r, 20);
        at.step_us = 100;
        at.takes_us = slower;
        at.sums_take_us = i == 0 ? -30 : 30; /* three calls a job, of leaves two */
        at.leaves_take_us = i == 1 ? -40 : 40;
        at.arrays_take_us = i == 2 ? -30 : 30; /* one call, or three */
        struct host_device *d = start_with(HOST_DEVICE_AUTO, "");
        at.sums_take_us = at.leaves_take_us = at.arrays_take_us = 0;
        is_state(d, "healthy");
        ck_assert_ptr_nonnull(strstr(at.line, from[i]));
        ck_assert_uint_eq(codes(d).least_bytes, UINT64_MAX);
        ck_assert_uint_eq(code(d, &r), 0);
        ck_assert_uint_eq(codes(d).jobs, 0);
        ck_assert_uint_eq(report(d).of[NODE_DEVICE_SUMS].jobs, i == 0);
        ck_assert_uint_eq(report(d).of[NODE_DEVICE_LEAVES].jobs, i == 1);
        host_device_free(d);
    }
}
END_TEST

static int64_t takes_20_ms(const struct gpu_rs_job *job)
{
    (void)job;
    return 20000;
}

START_TEST(measuring_a_slow_device_by_all_kinds_ends_before_its_time_is_over)
{
    reset();
    at.takes_us = takes_20_ms;
    at.sums_take_us = at.leaves_take_us = at.arrays_take_us = 20000;
    struct host_device *d = start_with(HOST_DEVICE_AUTO, "");
    is_state(d, "slower");
    /* three rounds of codes, and one of sums, which takes three calls: the others are left out */
    ck_assert_ptr_nonnull(
        strstr(at.line, "measured in 120000 us: 65536 bytes take, there and here: codes 4+2 20000 "
                        "and 0 us, sums 60000 and 0 us\""));
    host_device_free(d);
}
END_TEST

UNIT_MAIN("host_device_kinds", a_processor_without_memory_is_told_of_as_the_cause,
          sums_and_leaves_go_to_the_device, sums_and_leaves_longer_than_its_memory_go_in_pieces,
          sums_that_cannot_be_judged_are_done_here_and_blame_nobody,
          wrong_sums_and_hashes_are_found_and_make_the_device_suspect,
          hashes_that_others_find_wrong_make_the_device_suspect,
          each_kind_goes_where_it_was_measured_to_be_faster,
          measuring_a_slow_device_by_all_kinds_ends_before_its_time_is_over)
