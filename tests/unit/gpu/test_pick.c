/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The choice between a device and the processor: what errors do to it, for how long, and that every
 * job has its answer. The table in gpu/pick.h, line by line; then any order of events; then the
 * emulated device, failing at any call, whose jobs give the twin's bits all the same.
 */
#include "gpu/pick.h"

#include "base/err.h"
#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "tests/unit/gpu/emulated.h"
#include "tests/unit/unit.h"

#include <string.h>

#define JOB_BYTES 5000u
#define OUT_MAX 6u

static const struct gpu_pick_settings usual = {
    .wait_min_us = 100, .wait_max_us = 1000, .bytes_min = 64, .jobs_max = OUT_MAX};

static enum gpu_pick_where take(struct gpu_pick *p, uint64_t now_us, struct gpu_pick_ticket *t)
{
    return gpu_pick_take(p, now_us, JOB_BYTES, t);
}

/* A pick whose device is open and well since now_us. */
static void init_healthy(struct gpu_pick *p, uint64_t now_us)
{
    struct gpu_pick_ticket t;
    gpu_pick_init(p, &usual);
    ck_assert_int_eq(take(p, now_us, &t), GPU_PICK_OPEN);
    ck_assert_int_eq(gpu_pick_done(p, now_us, &t, 0), GPU_PICK_ANSWERED);
    ck_assert_int_eq(p->state, GPU_PICK_HEALTHY);
}

START_TEST(the_first_job_opens_the_device_and_others_wait_for_its_answer_elsewhere)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    struct gpu_pick_ticket other;
    gpu_pick_init(&p, &usual);
    ck_assert_int_eq(take(&p, 0, &t), GPU_PICK_OPEN);
    ck_assert_int_eq(take(&p, 1, &other), GPU_PICK_PROCESSOR);
    ck_assert_int_eq(gpu_pick_done(&p, 2, &t, 0), GPU_PICK_ANSWERED);
    ck_assert_int_eq(take(&p, 3, &other), GPU_PICK_DEVICE);
    ck_assert_int_eq(gpu_pick_done(&p, 4, &other, 0), GPU_PICK_ANSWERED);
    ck_assert_uint_eq(p.errors, 0);
}
END_TEST

START_TEST(small_jobs_and_jobs_beyond_the_limit_go_to_the_processor)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t[OUT_MAX + 1];
    init_healthy(&p, 0);
    ck_assert_int_eq(gpu_pick_take(&p, 1, 63, &t[0]), GPU_PICK_PROCESSOR);
    for (unsigned i = 0; i < OUT_MAX; i++) {
        ck_assert_int_eq(gpu_pick_take(&p, 1, 64, &t[i]), GPU_PICK_DEVICE);
    }
    ck_assert_int_eq(take(&p, 1, &t[OUT_MAX]), GPU_PICK_PROCESSOR);
    ck_assert_int_eq(gpu_pick_done(&p, 2, &t[0], 0), GPU_PICK_ANSWERED);
    ck_assert_int_eq(take(&p, 2, &t[0]), GPU_PICK_DEVICE);
}
END_TEST

START_TEST(waits_double_from_error_to_error_up_to_the_longest)
{
    const uint64_t waits[] = {100, 200, 400, 800, 1000, 1000, 1000};
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    uint64_t now_us = 5;
    gpu_pick_init(&p, &usual);
    for (unsigned i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        ck_assert_int_eq(take(&p, now_us, &t), GPU_PICK_OPEN);
        ck_assert_int_eq(gpu_pick_done(&p, now_us + 3, &t, ERR_UNAVAILABLE), GPU_PICK_RERUN);
        now_us += 3 + waits[i];
        ck_assert_int_eq(take(&p, now_us - 1, &t), GPU_PICK_PROCESSOR);
    }
    ck_assert_uint_eq(p.errors, 7);
}
END_TEST

/* Nothing is tried anew while jobs of the broken opening are queued; each of them runs again on the
 * processor, and the wait is that of one error. */
START_TEST(jobs_queued_behind_an_error_run_again_and_count_once)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t[3];
    struct gpu_pick_ticket next;
    init_healthy(&p, 0);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(take(&p, 10, &t[i]), GPU_PICK_DEVICE);
    }
    ck_assert_int_eq(gpu_pick_done(&p, 20, &t[0], ERR_UNAVAILABLE), GPU_PICK_RERUN);
    ck_assert_int_eq(gpu_pick_done(&p, 21, &t[1], ERR_UNAVAILABLE), GPU_PICK_RERUN);
    ck_assert_int_eq(take(&p, 500, &next), GPU_PICK_PROCESSOR);
    ck_assert_int_eq(gpu_pick_done(&p, 501, &t[2], ERR_UNAVAILABLE), GPU_PICK_RERUN);
    ck_assert_uint_eq(p.errors, 1);
    ck_assert_uint_eq(p.until_us, 120);
    ck_assert_int_eq(take(&p, 501, &next), GPU_PICK_OPEN);
}
END_TEST

START_TEST(a_long_time_of_health_makes_the_wait_the_least_again)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    const uint64_t lasted[] = {0, 999, 1000};
    const uint64_t waits[] = {200, 200, 100};
    for (unsigned i = 0; i < 3; i++) {
        init_healthy(&p, 0);
        ck_assert_int_eq(take(&p, 0, &t), GPU_PICK_DEVICE);
        (void)gpu_pick_done(&p, 0, &t, ERR_UNAVAILABLE);
        ck_assert_int_eq(take(&p, 100, &t), GPU_PICK_OPEN);
        (void)gpu_pick_done(&p, 150, &t, 0);
        ck_assert_int_eq(take(&p, 150, &t), GPU_PICK_DEVICE);
        (void)gpu_pick_done(&p, 150 + lasted[i], &t, ERR_UNAVAILABLE);
        ck_assert_uint_eq(p.until_us, 150 + lasted[i] + waits[i]);
    }
}
END_TEST

START_TEST(a_device_that_works_a_little_and_fails_waits_longer_each_time)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    uint64_t now_us = 0;
    gpu_pick_init(&p, &usual);
    for (unsigned i = 0; i < 6; i++) {
        ck_assert_int_eq(take(&p, now_us, &t), GPU_PICK_OPEN);
        ck_assert_int_eq(gpu_pick_done(&p, now_us, &t, 0), GPU_PICK_ANSWERED);
        ck_assert_int_eq(take(&p, now_us, &t), GPU_PICK_DEVICE);
        ck_assert_int_eq(gpu_pick_done(&p, now_us, &t, ERR_UNAVAILABLE), GPU_PICK_RERUN);
        ck_assert_uint_eq(p.wait_us, i < 4 ? UINT64_C(100) << i : 1000);
        now_us = p.until_us;
    }
}
END_TEST

START_TEST(a_device_that_is_not_there_is_looked_for_after_the_longest_wait)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    gpu_pick_init(&p, &usual);
    ck_assert_int_eq(take(&p, 0, &t), GPU_PICK_OPEN);
    ck_assert_int_eq(gpu_pick_done(&p, 0, &t, ERR_NOT_FOUND), GPU_PICK_RERUN);
    ck_assert_int_eq(take(&p, 999, &t), GPU_PICK_PROCESSOR);
    ck_assert_int_eq(take(&p, 1000, &t), GPU_PICK_OPEN);
}
END_TEST

START_TEST(too_little_memory_is_waited_out)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    gpu_pick_init(&p, &usual);
    ck_assert_int_eq(take(&p, 0, &t), GPU_PICK_OPEN);
    ck_assert_int_eq(gpu_pick_done(&p, 0, &t, ERR_NO_MEMORY), GPU_PICK_RERUN);
    ck_assert_int_eq(take(&p, 99, &t), GPU_PICK_PROCESSOR);
    ck_assert_int_eq(take(&p, 100, &t), GPU_PICK_OPEN);
}
END_TEST

START_TEST(a_job_beyond_the_limits_says_nothing_of_a_healthy_device)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    init_healthy(&p, 0);
    ck_assert_int_eq(take(&p, 1, &t), GPU_PICK_DEVICE);
    ck_assert_int_eq(gpu_pick_done(&p, 2, &t, ERR_INVALID), GPU_PICK_RERUN);
    ck_assert_int_eq(p.state, GPU_PICK_HEALTHY);
    /* of one that is being opened it may be about the settings */
    gpu_pick_init(&p, &usual);
    ck_assert_int_eq(take(&p, 1, &t), GPU_PICK_OPEN);
    ck_assert_int_eq(gpu_pick_done(&p, 2, &t, ERR_INVALID), GPU_PICK_RERUN);
    ck_assert_int_eq(p.state, GPU_PICK_WAITING);
}
END_TEST

START_TEST(a_job_that_is_given_up_is_not_answered_twice_and_holds_the_device)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    struct gpu_pick_ticket next;
    init_healthy(&p, 0);
    ck_assert_int_eq(take(&p, 1, &t), GPU_PICK_DEVICE);
    gpu_pick_late(&p, 50, &t);
    ck_assert_int_eq(p.state, GPU_PICK_WAITING);
    ck_assert_int_eq(take(&p, 100000, &next), GPU_PICK_PROCESSOR);
    ck_assert_int_eq(gpu_pick_done(&p, 100001, &t, 0), GPU_PICK_DROPPED);
    ck_assert_int_eq(take(&p, 100002, &next), GPU_PICK_OPEN);
    /* one that hangs as it opens */
    gpu_pick_late(&p, 100050, &next);
    ck_assert_int_eq(p.state, GPU_PICK_WAITING);
    ck_assert_int_eq(gpu_pick_done(&p, 100051, &next, ERR_NOT_FOUND), GPU_PICK_DROPPED);
    ck_assert_int_eq(p.state, GPU_PICK_WAITING);
    ck_assert_uint_eq(p.errors, 2);
}
END_TEST

START_TEST(wrong_bits_of_a_healthy_device_are_an_error_that_no_job_tells)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    struct gpu_pick_ticket next;
    gpu_pick_init(&p, &usual);
    gpu_pick_wrong(&p, 0);
    ck_assert_int_eq(take(&p, 0, &t), GPU_PICK_OPEN);
    gpu_pick_wrong(&p, 1);
    ck_assert_int_eq(p.state, GPU_PICK_TRIAL);
    ck_assert_int_eq(gpu_pick_done(&p, 2, &t, 0), GPU_PICK_ANSWERED);
    ck_assert_int_eq(take(&p, 3, &t), GPU_PICK_DEVICE);
    gpu_pick_wrong(&p, 10);
    gpu_pick_wrong(&p, 11); /* jobs of the same opening count once */
    ck_assert_uint_eq(p.errors, 1);
    ck_assert_uint_eq(p.until_us, 110);
    ck_assert_int_eq(take(&p, 200, &next), GPU_PICK_PROCESSOR); /* one is under way */
    ck_assert_int_eq(gpu_pick_done(&p, 201, &t, 0), GPU_PICK_ANSWERED);
    ck_assert_int_eq(p.state, GPU_PICK_WAITING);
    ck_assert_int_eq(take(&p, 202, &next), GPU_PICK_OPEN);
}
END_TEST

START_TEST(a_device_is_worth_the_way_from_where_on_it_was_always_faster)
{
    const struct gpu_pick_measure m[] = {
        {100, 5, 9}, {200, 20, 20}, {400, 30, 31}, {800, 40, 90}, {900, 50, 49}};
    ck_assert_uint_eq(gpu_pick_least(m, 0), SIZE_MAX);
    ck_assert_uint_eq(gpu_pick_least(m, 1), 100);
    ck_assert_uint_eq(gpu_pick_least(m, 2), SIZE_MAX);
    ck_assert_uint_eq(gpu_pick_least(m, 3), 400);
    ck_assert_uint_eq(gpu_pick_least(m, 4), 400);
    ck_assert_uint_eq(gpu_pick_least(m, 5), SIZE_MAX);
}
END_TEST

START_TEST(the_end_of_time_is_no_overflow)
{
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    const struct gpu_pick_settings wide = {
        .wait_min_us = UINT64_MAX / 2 + 9, .wait_max_us = UINT64_MAX, .jobs_max = 1};
    gpu_pick_init(&p, &wide);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(take(&p, UINT64_MAX, &t), GPU_PICK_OPEN);
        ck_assert_int_eq(gpu_pick_done(&p, UINT64_MAX, &t, ERR_UNAVAILABLE), GPU_PICK_RERUN);
        ck_assert_uint_eq(p.until_us, UINT64_MAX);
    }
    ck_assert_uint_eq(p.wait_us, UINT64_MAX);
}
END_TEST

/* Tickets that are out, in any order of events, against what must hold of each. */
struct world {
    struct gpu_pick pick;
    struct gpu_pick_ticket out[OUT_MAX];
    unsigned count;
    uint64_t now_us;
    uint64_t failed_us; /* the last error; UINT64_MAX: none */
    uint64_t wait_us;
};

static void take_any(struct world *w)
{
    const enum gpu_pick_state before = w->pick.state;
    struct gpu_pick_ticket t = {.opening = UINT64_MAX};
    const enum gpu_pick_where where = take(&w->pick, w->now_us, &t);
    if (where == GPU_PICK_PROCESSOR) {
        ck_assert_uint_eq(t.opening, UINT64_MAX);
        return;
    }
    ck_assert_uint_lt(w->count, OUT_MAX);
    ck_assert_int_eq(before, where == GPU_PICK_OPEN ? GPU_PICK_WAITING : GPU_PICK_HEALTHY);
    if (where == GPU_PICK_OPEN) {
        ck_assert_uint_eq(w->count, 0);
        ck_assert(w->failed_us == UINT64_MAX || w->now_us - w->failed_us >= w->wait_us);
    }
    w->out[w->count++] = t;
}

/* After an event that may be an error. */
static void see_errors(struct world *w, uint64_t errors)
{
    ck_assert_uint_le(w->pick.errors - errors, 1);
    if (w->pick.errors != errors) {
        const uint64_t wait_us = w->pick.until_us - w->now_us;
        ck_assert_uint_ge(wait_us, usual.wait_min_us);
        ck_assert_uint_le(wait_us, usual.wait_max_us);
        ck_assert(wait_us == usual.wait_min_us || wait_us == usual.wait_max_us ||
                  wait_us == 2 * w->wait_us);
        ck_assert_int_eq(w->pick.state, GPU_PICK_WAITING);
        w->failed_us = w->now_us;
        w->wait_us = wait_us;
    }
}

static void done_any(struct world *w, struct rng *r)
{
    static const int errs[] = {0, 0, 0, ERR_UNAVAILABLE, ERR_NO_MEMORY, ERR_NOT_FOUND, ERR_INVALID};
    const unsigned i = (unsigned)rng_below(r, w->count);
    const int err = errs[rng_below(r, sizeof(errs) / sizeof(*errs))];
    const struct gpu_pick_ticket t = w->out[i];
    const uint64_t errors = w->pick.errors;
    w->out[i] = w->out[--w->count];
    const enum gpu_pick_answer answer = gpu_pick_done(&w->pick, w->now_us, &t, err);
    ck_assert_int_eq(answer, t.is_late  ? GPU_PICK_DROPPED
                             : err == 0 ? GPU_PICK_ANSWERED
                                        : GPU_PICK_RERUN);
    see_errors(w, errors);
}

static void late_any(struct world *w, struct rng *r)
{
    struct gpu_pick_ticket *t = &w->out[rng_below(r, w->count)];
    const uint64_t errors = w->pick.errors;
    if (!t->is_late) {
        gpu_pick_late(&w->pick, w->now_us, t);
        see_errors(w, errors);
        ck_assert_int_ne(w->pick.state, GPU_PICK_TRIAL);
    }
}

START_TEST(any_order_of_events_keeps_waits_and_tickets)
{
    struct rng r;
    struct world w = {.failed_us = UINT64_MAX};
    unsigned openings = 0;
    rng_init(&r, unit_seed("any_order_of_events_keeps_waits_and_tickets", 1));
    gpu_pick_init(&w.pick, &usual);
    for (unsigned i = 0; i < 300000; i++) {
        w.now_us += rng_below(&r, rng_chance(&r, 1, 50) ? 2500 : 20);
        const uint64_t event = rng_below(&r, 100);
        if (event < 50 || w.count == 0) {
            take_any(&w);
        } else if (event < 97) {
            done_any(&w, &r);
        } else {
            late_any(&w, &r);
        }
        ck_assert_uint_eq(w.pick.under_way, w.count);
        openings = NUM_MAX(openings, (unsigned)w.pick.opening);
    }
    ck_assert_uint_gt(openings, 500);
}
END_TEST

/* --- the emulated device --- */

#define CELL 3001u

static uint8_t cells[3][4][CELL]; /* sources, results, the twin's */

/* What a device's thread does: opens when told to, closes at the first error. */
static int run_on_device(struct gpu **gpu, enum gpu_pick_where where, const struct gpu_rs_job *job)
{
    const struct gpu_settings s = {.lane_bytes = GPU_LANE_BYTES_MIN, .lanes = 2};
    char why[GPU_WHY_BYTES];
    int err = 0;
    if (where == GPU_PICK_OPEN) {
        ck_assert_ptr_null(*gpu);
        err = gpu_engine_open(&emulated_driver, gpu, 0, &s, why, sizeof(why));
    }
    err = err == 0 ? gpu_engine_rs(*gpu, job) : err;
    if (err != 0) {
        gpu_engine_close(*gpu);
        *gpu = NULL;
    }
    return err;
}

START_TEST(jobs_of_a_device_that_fails_give_the_bits_of_the_plain_twin)
{
    const uint8_t coefficients[4] = {7, 11, 13, 17};
    const uint8_t *const data[2] = {cells[0][0], cells[0][1]};
    uint8_t *const coded[2] = {cells[1][0], cells[1][1]};
    uint8_t *const plain[2] = {cells[2][0], cells[2][1]};
    const struct gpu_rs_job job = {.k = 2,
                                   .rows = 2,
                                   .coefficients = coefficients,
                                   .data = data,
                                   .coded = coded,
                                   .bytes = CELL};
    const struct compute_rs_job here = {2, 2, NULL, data, coded, CELL};
    const struct compute_rs_job twin = {2, 2, NULL, data, plain, CELL};
    struct gpu_pick p;
    struct gpu_pick_ticket t;
    struct gpu *gpu = NULL;
    struct rng r;
    uint64_t now_us = 0;
    unsigned ran[3] = {0, 0, 0};
    rng_init(&r, unit_seed("jobs_of_a_device_that_fails_give_the_bits_of_the_plain_twin", 2));
    gpu_pick_init(&p, &usual);
    emulated_reset();
    for (unsigned i = 0; i < 3000; i++) {
        now_us += rng_below(&r, 60);
        emulated.fail_at =
            rng_chance(&r, 1, 12) ? emulated.calls + (unsigned)rng_between(&r, 1, 9) : 0;
        emulated.error = rng_chance(&r, 1, 2) ? EMULATED_NO_MEMORY : 719;
        rng_fill(&r, cells[0], sizeof(cells[0]));
        memset(cells[1], 0, sizeof(cells[1]));
        const enum gpu_pick_where where = take(&p, now_us, &t);
        if (where == GPU_PICK_PROCESSOR ||
            gpu_pick_done(&p, now_us, &t, run_on_device(&gpu, where, &job)) == GPU_PICK_RERUN) {
            compute_rs_encode_plain(&here, coefficients);
        }
        ran[where]++;
        compute_rs_encode_plain(&twin, coefficients);
        ck_assert_mem_eq(cells[1], cells[2], sizeof(cells[1]));
    }
    for (unsigned where = GPU_PICK_PROCESSOR; where <= GPU_PICK_DEVICE; where++) {
        ck_assert_msg(ran[where] > 50, "%u jobs at %u", ran[where], where);
    }
    gpu_engine_close(gpu);
    ck_assert_uint_eq(emulated.lanes_open, 0);
}
END_TEST

UNIT_MAIN("gpu_pick", the_first_job_opens_the_device_and_others_wait_for_its_answer_elsewhere,
          small_jobs_and_jobs_beyond_the_limit_go_to_the_processor,
          waits_double_from_error_to_error_up_to_the_longest,
          jobs_queued_behind_an_error_run_again_and_count_once,
          a_long_time_of_health_makes_the_wait_the_least_again,
          a_device_that_works_a_little_and_fails_waits_longer_each_time,
          a_device_that_is_not_there_is_looked_for_after_the_longest_wait,
          too_little_memory_is_waited_out, a_job_beyond_the_limits_says_nothing_of_a_healthy_device,
          a_job_that_is_given_up_is_not_answered_twice_and_holds_the_device,
          wrong_bits_of_a_healthy_device_are_an_error_that_no_job_tells,
          a_device_is_worth_the_way_from_where_on_it_was_always_faster,
          the_end_of_time_is_no_overflow, any_order_of_events_keeps_waits_and_tickets,
          jobs_of_a_device_that_fails_give_the_bits_of_the_plain_twin)
