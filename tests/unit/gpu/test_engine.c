/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The engine where things go wrong: no device, devices too old, settings out of bounds, and every
 * single call of a driver failing in turn. After a failure nothing is left open and nothing more is
 * tried.
 */
#include "base/err.h"
#include "tests/unit/gpu/emulated.h"
#include "tests/unit/unit.h"

#include <string.h>

#define BYTES 200000u
#define LEAVES 13u /* of BYTES */
#define CALLS_MAX 400u
#define SAID 719

static uint8_t data[2][BYTES];
static uint8_t coded[2][BYTES];
static uint8_t hashes[LEAVES * GPU_HASH_BYTES];
static const uint8_t coefficients[4] = {1, 2, 3, 4};
static const struct gpu_settings small = {.lane_bytes = GPU_LANE_BYTES_MIN, .lanes = 2};

static int open_small(struct gpu **out, char *why)
{
    return gpu_engine_open(&emulated_driver, out, 0, &small, why, GPU_WHY_BYTES);
}

static int code(struct gpu *gpu)
{
    const uint8_t *const sources[2] = {data[0], data[1]};
    uint8_t *const results[2] = {coded[0], coded[1]};
    const struct gpu_rs_job job = {.k = 2,
                                   .rows = 2,
                                   .coefficients = coefficients,
                                   .data = sources,
                                   .coded = results,
                                   .bytes = BYTES};
    return gpu_engine_rs(gpu, &job);
}

START_TEST(an_error_of_the_count_is_no_device_and_says_why)
{
    char why[GPU_WHY_BYTES];
    struct gpu *gpu = NULL;
    unsigned count = 7;
    emulated_reset();
    emulated.count_error = 35;
    gpu_engine_probe(&emulated_driver, &count, why, sizeof(why));
    ck_assert_uint_eq(count, 0);
    ck_assert_str_eq(why, "emulated count answers 35, emulated");
    why[0] = '\0';
    ck_assert_int_eq(open_small(&gpu, why), ERR_NOT_FOUND);
    ck_assert_str_eq(why, "emulated count answers 35, emulated");
    ck_assert_ptr_null(gpu);
}
END_TEST

START_TEST(a_count_of_none_is_no_device_and_says_so)
{
    char why[GPU_WHY_BYTES];
    unsigned count = 7;
    emulated_reset();
    emulated.devices = 0;
    gpu_engine_probe(&emulated_driver, &count, why, sizeof(why));
    ck_assert_uint_eq(count, 0);
    ck_assert_str_eq(why, "emulated count counts none");
    emulated_reset();
    gpu_engine_probe(&emulated_driver, &count, why, sizeof(why));
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(why, "");
}
END_TEST

START_TEST(a_device_that_is_not_there_or_too_old_is_refused)
{
    char why[GPU_WHY_BYTES];
    struct gpu_device about;
    struct gpu *gpu = NULL;
    emulated_reset();
    ck_assert_int_eq(gpu_engine_describe(&emulated_driver, 1, &about, why, sizeof(why)),
                     ERR_NOT_FOUND);
    ck_assert_str_eq(why, "no device 1: there are 1");
    ck_assert_int_eq(gpu_engine_describe(&emulated_driver, 0, &about, why, sizeof(why)), 0);
    ck_assert_str_eq(about.name, "Emulated 0");
    emulated.capability[0] = 7;
    ck_assert_int_eq(open_small(&gpu, why), ERR_NOT_FOUND);
    ck_assert_str_eq(why, "device 0, 'Emulated 0', has compute capability 7.0: at least 8");
    ck_assert_ptr_null(gpu);
}
END_TEST

START_TEST(settings_out_of_bounds_are_refused)
{
    char why[GPU_WHY_BYTES];
    struct gpu *gpu = NULL;
    struct gpu_settings s = {.lanes = GPU_LANES_MAX + 1};
    emulated_reset();
    ck_assert_int_eq(gpu_engine_open(&emulated_driver, &gpu, 0, &s, why, sizeof(why)), ERR_INVALID);
    ck_assert_str_eq(why, "9 lanes, at most 8");
    s = (struct gpu_settings){.lane_bytes = GPU_LANE_BYTES_MIN - 1};
    ck_assert_int_eq(gpu_engine_open(&emulated_driver, &gpu, 0, &s, why, sizeof(why)), ERR_INVALID);
    ck_assert_str_eq(why, "lanes of 262143 bytes, at least 262144");
    ck_assert_ptr_null(gpu);
}
END_TEST

START_TEST(an_open_that_fails_anywhere_leaves_nothing_open)
{
    char why[GPU_WHY_BYTES];
    unsigned failures = 0;
    for (unsigned at = 1; at < CALLS_MAX; at++) {
        struct gpu *gpu = NULL;
        emulated_reset();
        emulated.fail_at = at;
        emulated.error = SAID;
        const int err = open_small(&gpu, why);
        if (err == 0) {
            gpu_engine_close(gpu);
            break;
        }
        ck_assert(err == ERR_UNAVAILABLE || err == ERR_NOT_FOUND);
        ck_assert_msg(strstr(why, "719, emulated") != NULL, "%s", why);
        ck_assert_ptr_null(gpu);
        ck_assert_uint_eq(emulated.lanes_open, 0);
        failures++;
    }
    /* count, describe, use, and two a lane */
    ck_assert_uint_eq(failures, 7);
}
END_TEST

START_TEST(too_little_memory_is_said_to_be_that)
{
    char why[GPU_WHY_BYTES];
    struct gpu *gpu = NULL;
    emulated_reset();
    emulated.fail_at = 6;
    emulated.error = EMULATED_NO_MEMORY;
    ck_assert_int_eq(open_small(&gpu, why), ERR_NO_MEMORY);
    ck_assert_str_eq(why, "memory for the lanes: 2, emulated");
    ck_assert_uint_eq(emulated.lanes_open, 0);
}
END_TEST

static int hash(struct gpu *gpu)
{
    return gpu_engine_leaf_hashes(gpu, data[0], BYTES, hashes);
}

static int measure(struct gpu *gpu)
{
    const struct gpu_rate_job job = {
        .kernel = GPU_KERNEL_RS, .rounds = 2, .k = 2, .rows = 2, .coefficients = coefficients};
    struct gpu_rate rate;
    return gpu_engine_rate(gpu, &job, &rate);
}

/* Fails every call of a job in turn. returns: how many calls it makes. */
static unsigned fail_each(int (*job)(struct gpu *gpu))
{
    char why[GPU_WHY_BYTES];
    unsigned at = 1;
    for (; at < CALLS_MAX; at++) {
        struct gpu *gpu = NULL;
        emulated_reset();
        ck_assert_int_eq(open_small(&gpu, why), 0);
        emulated.calls = 0;
        emulated.fail_at = at;
        emulated.error = SAID;
        const int err = job(gpu);
        if (err == 0) {
            gpu_engine_close(gpu);
            break;
        }
        ck_assert_int_eq(err, ERR_UNAVAILABLE);
        const char *said = gpu_engine_failure(gpu);
        ck_assert_msg(strstr(said, ": 719, emulated") != NULL, "%s", said);
        /* and it stays so, without a try */
        const unsigned calls = emulated.calls;
        ck_assert_int_eq(code(gpu), ERR_UNAVAILABLE);
        ck_assert_int_eq(hash(gpu), ERR_UNAVAILABLE);
        ck_assert_int_eq(measure(gpu), ERR_UNAVAILABLE);
        ck_assert_uint_eq(emulated.calls, calls);
        gpu_engine_close(gpu);
        ck_assert_uint_eq(emulated.lanes_open, 0);
    }
    return at - 1;
}

START_TEST(a_job_whose_driver_fails_anywhere_fails_and_so_do_all_after_it)
{
    /* use, and for each of 4 pieces: in, one pass, out, wait */
    ck_assert_uint_eq(fail_each(code), 1 + 4 * 4);
    /* 15 leaves a lane: one piece of 13 */
    ck_assert_uint_eq(fail_each(hash), 1 + 4);
    /* use, one round before the clock, start, two rounds, stop */
    ck_assert_uint_eq(fail_each(measure), 1 + 1 + 1 + 2 + 1);
}
END_TEST

START_TEST(nothing_is_asked_of_a_device_for_nothing)
{
    char why[GPU_WHY_BYTES];
    struct gpu *gpu = NULL;
    const struct gpu_rs_job none = {.k = 1, .rows = 1, .bytes = 0};
    const struct gpu_rs_job no_rows = {.k = 1, .rows = 0, .bytes = 5};
    emulated_reset();
    ck_assert_int_eq(open_small(&gpu, why), 0);
    emulated.calls = 0;
    ck_assert_int_eq(gpu_engine_rs(gpu, &none), 0);
    ck_assert_int_eq(gpu_engine_rs(gpu, &no_rows), 0);
    ck_assert_int_eq(gpu_engine_leaf_hashes(gpu, NULL, 0, NULL), 0);
    ck_assert_uint_eq(emulated.calls, 0);
    gpu_engine_close(gpu);
    gpu_engine_close(NULL);
}
END_TEST

START_TEST(all_lanes_are_at_work_at_once)
{
    char why[GPU_WHY_BYTES];
    struct gpu *gpu = NULL;
    emulated_reset();
    ck_assert_int_eq(open_small(&gpu, why), 0);
    ck_assert_int_eq(code(gpu), 0);
    ck_assert_uint_eq(emulated.busy_most, 2);
    gpu_engine_close(gpu);
}
END_TEST

START_TEST(a_rate_counts_sources_and_results_once)
{
    char why[GPU_WHY_BYTES];
    struct gpu *gpu = NULL;
    struct gpu_rate rate;
    struct gpu_rate_job job = {
        .kernel = GPU_KERNEL_RS, .rounds = 3, .k = 2, .rows = 2, .coefficients = coefficients};
    emulated_reset();
    ck_assert_int_eq(open_small(&gpu, why), 0);
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), 0);
    ck_assert_uint_eq(rate.bytes, 3 * GPU_LANE_BYTES_MIN);
    ck_assert(rate.seconds == 1.0);
    job.kernel = GPU_KERNEL_COPY;
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), 0);
    ck_assert_uint_eq(rate.bytes, 3 * GPU_LANE_BYTES_MIN);
    job.kernel = GPU_KERNEL_LEAVES;
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), 0);
    ck_assert_uint_eq(rate.bytes, 3 * 15 * (GPU_LEAF_BYTES + GPU_HASH_BYTES));
    job.kernel = GPU_KERNEL_SUM;
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), 0);
    ck_assert_uint_eq(rate.bytes, 3 * 3 * (GPU_SUM_TILE_BYTES + GPU_SUM_RESULT_BYTES));
    job.kernel = GPU_KERNEL_FINGERS;
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), 0);
    /* nine tiles and the most of a tenth, each with its sums of both steps */
    const uint64_t tiles = 10;
    ck_assert_uint_eq(rate.bytes, 3 * (GPU_LANE_BYTES_MIN - tiles * GPU_FINGER_PART_BYTES));
    job.kernel = GPU_KERNEL_REDUCE;
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), 0);
    ck_assert_uint_eq(rate.bytes % (3 * 256), 0);
    ck_assert_uint_gt(rate.bytes, 3 * (GPU_LANE_BYTES_MIN - 4096));
    ck_assert_uint_lt(rate.bytes, 3 * GPU_LANE_BYTES_MIN);
    const uint8_t fill[7] = {1, 2, 3, 4, 5, 6, 7};
    job.kernel = GPU_KERNEL_SORT;
    job.fill = fill;
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), ERR_INVALID);
    job.fill_bytes = sizeof(fill);
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), 0);
    ck_assert_uint_eq(rate.bytes % (3 * 20), 0);
    ck_assert_uint_gt(rate.bytes, 3 * (GPU_LANE_BYTES_MIN / 24 - 200) * 20);
    job.kernel = GPU_KERNEL_GROUPS;
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), 0);
    ck_assert_uint_eq(rate.bytes % (3 * 16), 0);
    ck_assert_uint_gt(rate.bytes, 3 * (GPU_LANE_BYTES_MIN / 48 - 200) * 16);
    job.rounds = 0;
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), ERR_INVALID);
    job = (struct gpu_rate_job){.kernel = GPU_KERNEL_RS, .rounds = 1, .k = 2, .rows = 0};
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), ERR_INVALID);
    job.kernel = (enum gpu_kernel)77;
    ck_assert_int_eq(gpu_engine_rate(gpu, &job, &rate), ERR_INVALID);
    gpu_engine_close(gpu);
}
END_TEST

UNIT_MAIN("gpu_engine", an_error_of_the_count_is_no_device_and_says_why,
          a_count_of_none_is_no_device_and_says_so,
          a_device_that_is_not_there_or_too_old_is_refused, settings_out_of_bounds_are_refused,
          an_open_that_fails_anywhere_leaves_nothing_open, too_little_memory_is_said_to_be_that,
          a_job_whose_driver_fails_anywhere_fails_and_so_do_all_after_it,
          nothing_is_asked_of_a_device_for_nothing, all_lanes_are_at_work_at_once,
          a_rate_counts_sources_and_results_once)
