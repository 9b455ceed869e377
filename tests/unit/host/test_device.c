/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A host's device: codes, sums and leaf hashes go through the emulated machine, which fails at any
 * call, answers late, or gives wrong bits. Whatever it does the bytes are those of the plain twins,
 * the device is left alone for as long as it should be, and is used again. Built for the late
 * machine and the eager one.
 */
#include "tests/unit/host/device_rig.h"

START_TEST(what_is_encoded_and_decoded_goes_to_the_device)
{
    struct rng r;
    reset();
    rng_init(&r, 1);
    struct host_device *d = start();
    ck_assert_uint_eq(at.lines, 1);
    ck_assert_ptr_nonnull(strstr(at.line, "event=gpu_used device=\"Emulated 0\""));
    is_state(d, "healthy");
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_uint_eq(code(d, &r), 0);
    }
    const struct node_device said = report(d);
    ck_assert_uint_eq(said.of[NODE_DEVICE_CODES].jobs, 10);
    ck_assert_uint_eq(said.of[NODE_DEVICE_CODES].bytes, (uint64_t)10 * K * CELL);
    ck_assert_uint_eq(said.failed + said.late + said.wrong + said.errors, 0);
    ck_assert_uint_gt(emulated.by_xor, 0);
    host_device_free(d);
    ck_assert_uint_eq(emulated.lanes_open, 0);
    ck_assert_uint_eq(at.lines, 1);
}
END_TEST

START_TEST(jobs_longer_than_its_memory_go_in_pieces)
{
    struct rng r;
    const size_t cell = HOST_DEVICE_JOB_BYTES / 2 + 77;
    const uint8_t coefficient[1] = {29};
    uint8_t *memory = malloc(3 * cell);
    ck_assert_ptr_nonnull(memory);
    const uint8_t *const data[1] = {memory};
    uint8_t *const made[1] = {memory + cell};
    uint8_t *const plain[1] = {memory + 2 * cell};
    const struct compute_rs_job job = {1, 1, NULL, data, made, cell};
    const struct compute_rs_job twin = {1, 1, NULL, data, plain, cell};
    reset();
    rng_init(&r, 2);
    rng_fill(&r, memory, cell);
    struct host_device *d = start();
    const struct erasure_kernel kernel = host_device_kernel(d);
    const unsigned before = at.jobs;
    ck_assert(kernel.whole(kernel.ctx, &job, coefficient));
    ck_assert_uint_eq(at.jobs - before, 2);
    compute_rs_encode_plain(&twin, coefficient);
    ck_assert_mem_eq(made[0], plain[0], cell);
    ck_assert_uint_eq(codes(d).jobs, 1);
    ck_assert_uint_eq(codes(d).bytes, cell);
    host_device_free(d);
    free(memory);
}
END_TEST

/* ---- errors --------------------------------------------------------------------------------- */

START_TEST(errors_at_any_call_change_no_bits_and_the_device_is_used_again)
{
    struct rng r;
    unsigned fail_at = 1;
    rng_init(&r, unit_seed("errors_at_any_call_change_no_bits", 3));
    for (bool is_last = false; !is_last; fail_at++) {
        reset();
        emulated.fail_at = fail_at;
        emulated.error = fail_at % 2 == 0 ? 719 : EMULATED_NO_MEMORY;
        struct host_device *d = start();
        const bool is_none = strcmp(report(d).state, "none") == 0; /* not even counted */
        for (unsigned i = 0; i < 4; i++) {
            ck_assert_uint_eq(code(d, &r), 0);
        }
        if (emulated.calls < fail_at) {
            is_last = true; /* it has not failed */
            emulated.fail_at = 0;
        }
        clock_add(WAIT_MIN_US);
        ck_assert_uint_eq(code(d, &r), 0); /* opens it, if it is closed */
        host_device_settle(d);
        is_state(d, is_none ? "none" : "healthy");
        const uint64_t jobs = codes(d).jobs;
        ck_assert_uint_eq(code(d, &r), 0);
        ck_assert_uint_eq(codes(d).jobs, jobs + (is_none ? 0 : 2));
        host_device_free(d);
        ck_assert_uint_eq(emulated.lanes_open, 0);
    }
    ck_assert_uint_gt(fail_at, 40);
}
END_TEST

/* Every job fails, so every opening does: it is tried only when the wait is over, and the waits
 * double. */
START_TEST(a_device_that_fails_again_is_left_alone_for_longer)
{
    struct rng r;
    reset();
    rng_init(&r, 4);
    struct host_device *d = start();
    const uint64_t waits[] = {1000, 2000, 4000, 8000, 8000, 8000};
    (void)pthread_mutex_lock(&at.lock);
    at.fail_every = 1;
    (void)pthread_mutex_unlock(&at.lock);
    (void)code(d, &r);
    host_device_settle(d);
    for (unsigned i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        is_state(d, "suspect");
        ck_assert_uint_eq(report(d).errors, i + 1);
        ck_assert_uint_eq(at.opened, i + 1);
        ck_assert_uint_eq(emulated.lanes_open, 0);
        clock_add(waits[i] - 1);
        (void)code(d, &r);
        host_device_settle(d);
        ck_assert_uint_eq(at.opened, i + 1);
        clock_add(1);
        (void)code(d, &r);
        host_device_settle(d);
        ck_assert_uint_eq(at.opened, i + 2);
        ck_assert_ptr_nonnull(strstr(at.line, "event=gpu_suspect cause=\""));
    }
    at.fail_every = 0;
    clock_add(WAIT_MAX_US);
    (void)code(d, &r);
    host_device_settle(d);
    is_state(d, "healthy");
    ck_assert_ptr_nonnull(strstr(at.line, "event=gpu_healthy"));
    host_device_free(d);
}
END_TEST

START_TEST(wrong_bits_are_found_and_make_the_device_suspect)
{
    struct rng r;
    reset();
    rng_init(&r, 5);
    struct host_device *d = start();
    (void)pthread_mutex_lock(&at.lock);
    at.flips = true;
    (void)pthread_mutex_unlock(&at.lock);
    ck_assert_uint_eq(code(d, &r), 1); /* the second job does not go there any more */
    host_device_settle(d);
    is_state(d, "suspect");
    ck_assert_str_eq(report(d).cause, "wrong bits");
    ck_assert_uint_eq(report(d).wrong, 1);
    ck_assert_uint_eq(emulated.lanes_open, 0);
    /* its opening is looked at, so it does not come back as it is */
    clock_add(WAIT_MIN_US);
    ck_assert_uint_eq(code(d, &r), 0);
    host_device_settle(d);
    is_state(d, "suspect");
    ck_assert_uint_eq(report(d).errors, 2);
    at.flips = false;
    clock_add(2 * WAIT_MIN_US);
    ck_assert_uint_eq(code(d, &r), 0);
    host_device_settle(d);
    is_state(d, "healthy");
    host_device_free(d);
}
END_TEST

static void hold(bool holds)
{
    (void)pthread_mutex_lock(&at.lock);
    at.holds = holds;
    (void)pthread_cond_broadcast(&at.change);
    (void)pthread_mutex_unlock(&at.lock);
}

START_TEST(a_job_that_hangs_is_given_up_and_the_device_waits_for_it)
{
    struct rng r;
    reset();
    rng_init(&r, 6);
    struct host_device *d = start_with(HOST_DEVICE_ALWAYS, "");
    const unsigned opened = at.opened;
    hold(true);
    host_device_set_patience(d, SHORT_US);
    ck_assert_uint_eq(code(d, &r), 0);
    is_state(d, "suspect");
    ck_assert_uint_eq(report(d).late, 1);
    ck_assert_str_eq(report(d).cause, "no answer within 20 ms");
    clock_add(WAIT_MAX_US); /* not opened while it has the job */
    ck_assert_uint_eq(code(d, &r), 0);
    is_state(d, "suspect");
    host_device_set_patience(d, LONG_US);
    hold(false);
    host_device_settle(d);
    ck_assert_uint_eq(at.opened, opened);
    ck_assert_uint_eq(emulated.lanes_open, 0);
    ck_assert_uint_eq(code(d, &r), 0);
    host_device_settle(d);
    is_state(d, "healthy");
    ck_assert_uint_eq(at.opened, opened + 1);
    host_device_free(d);
}
END_TEST

START_TEST(a_thread_that_hangs_does_not_hold_up_the_end)
{
    struct rng r;
    reset();
    rng_init(&r, 7);
    struct host_device *d = start_with(HOST_DEVICE_ALWAYS, "");
    hold(true);
    host_device_set_patience(d, SHORT_US);
    ck_assert_uint_eq(code(d, &r), 0);
    host_device_free(d);
    ck_assert_ptr_nonnull(strstr(at.line, "event=gpu_hangs"));
    const unsigned count = at.lines;
    hold(false); /* it frees what it has, and says nothing */
    (void)pthread_mutex_lock(&at.lock);
    while (at.closed == 0) {
        (void)pthread_cond_wait(&at.change, &at.lock);
    }
    ck_assert_uint_eq(at.lines, count);
    (void)pthread_mutex_unlock(&at.lock);
}
END_TEST

#define THREADS 4u
static void *code_many(void *arg)
{
    struct rng r;
    rng_init(&r, (uint64_t)(uintptr_t)arg);
    for (unsigned i = 0; i < 60; i++) {
        clock_add(400);
        (void)code((struct host_device *)arg, &r);
        if (i % 4 == 0) {
            host_device_settle((struct host_device *)arg); /* or it is still opening at the end */
        }
    }
    return NULL;
}

START_TEST(many_threads_share_a_device_that_fails_now_and_then)
{
    pthread_t thread[THREADS];
    reset();
    struct host_device *d = start();
    (void)pthread_mutex_lock(&at.lock);
    at.fail_every = 9;
    (void)pthread_mutex_unlock(&at.lock);
    for (unsigned i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&thread[i], NULL, code_many, d), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    }
    host_device_settle(d);
    const struct node_device said = report(d);
    printf("%llu jobs there, %llu failed, %llu errors\n",
           (unsigned long long)said.of[NODE_DEVICE_CODES].jobs, (unsigned long long)said.failed,
           (unsigned long long)said.errors);
    ck_assert_uint_gt(said.of[NODE_DEVICE_CODES].jobs, 0);
    ck_assert_uint_gt(said.errors, 1);
    ck_assert_uint_eq(said.late + said.wrong, 0);
    host_device_free(d);
    ck_assert_uint_eq(emulated.lanes_open, 0);
}
END_TEST

/* ---- what is worth the way ------------------------------------------------------------------ */

/* A look at the clock takes 100 us, so coding here seems to. */
static int64_t faster_from_a_mebibyte(const struct gpu_rs_job *job)
{
    return job->k * job->bytes >= (1u << 20) ? -50 : 50;
}

START_TEST(jobs_go_where_they_were_measured_to_be_faster)
{
    struct rng r;
    reset();
    rng_init(&r, 8);
    at.step_us = 100;
    at.takes_us = faster_from_a_mebibyte;
    struct host_device *d = start_with(HOST_DEVICE_AUTO, "");
    is_state(d, "healthy");
    ck_assert_uint_eq(codes(d).least_bytes, 1u << 20);
    ck_assert_ptr_nonnull(strstr(at.line, "codes_from=1048576 sums_from=never leaves_from=never "
                                          "reduces_from=never "));
    ck_assert_ptr_nonnull(strstr(
        at.line, " us: 4194304 bytes take, there and here: codes 4+2 50 and 100 us, sums 100 and "
                 "100 us, leaves 100 and 100 us, reduces 100 and 100 us, "
                 "scans 100 and 100 us, sorts 100 and 100 us\""));
    ck_assert_uint_eq(code(d, &r), 0); /* too small */
    ck_assert_uint_eq(codes(d).jobs, 0);
    ck_assert_uint_eq(at.lines, 1);
    host_device_free(d);
}
END_TEST

START_TEST(a_device_that_is_slower_is_closed_and_said_to_be)
{
    struct rng r;
    reset();
    rng_init(&r, 9);
    at.takes_us = slower;
    struct host_device *d = start_with(HOST_DEVICE_AUTO, "");
    is_state(d, "slower");
    ck_assert_uint_eq(emulated.lanes_open, 0);
    ck_assert_uint_eq(code(d, &r), 0);
    ck_assert_uint_eq(codes(d).jobs, 0);
    ck_assert_uint_eq(at.lines, 1);
    ck_assert_ptr_nonnull(strstr(at.line, "event=gpu_not_used device=\"Emulated 0\" cause=\"meas"));
    host_device_free(d);
}
END_TEST

static int64_t takes_20_ms(const struct gpu_rs_job *job)
{
    (void)job;
    return 20000;
}

START_TEST(measuring_ends_before_its_time_is_over)
{
    reset();
    at.takes_us = takes_20_ms;
    struct host_device *d = start_with(HOST_DEVICE_AUTO, "");
    is_state(d, "slower");
    ck_assert_uint_eq(at.jobs, 4); /* one to look at its bits, three of the least size */
    host_device_free(d);
}
END_TEST

START_TEST(a_device_that_could_not_be_opened_is_measured_when_it_can)
{
    struct rng r;
    reset();
    rng_init(&r, 10);
    at.step_us = 100;
    at.takes_us = faster_from_a_mebibyte;
    emulated.fail_at = 4; /* memory for the first lane */
    emulated.error = EMULATED_NO_MEMORY;
    struct host_device *d = start_with(HOST_DEVICE_AUTO, "");
    is_state(d, "suspect");
    ck_assert_uint_eq(at.lines, 1);
    clock_add(WAIT_MIN_US);
    ck_assert_uint_eq(code(d, &r), 0);
    host_device_settle(d);
    is_state(d, "healthy");
    ck_assert_uint_eq(codes(d).least_bytes, 1u << 20);
    host_device_free(d);
}
END_TEST

/* ---- none ----------------------------------------------------------------------------------- */

static void none(struct host_device *d, const char *state, const char *text)
{
    struct rng r;
    rng_init(&r, 11);
    is_state(d, state);
    ck_assert_msg(strstr(report(d).cause, text) != NULL, "%s", report(d).cause);
    ck_assert_uint_eq(code(d, &r), 0);
    clock_add(100 * WAIT_MAX_US);
    ck_assert_uint_eq(code(d, &r), 0);
    host_device_settle(d);
    ck_assert_uint_eq(codes(d).jobs, 0);
    ck_assert_uint_eq(at.lines, 1);
    ck_assert_ptr_nonnull(strstr(at.line, "event=gpu_not_used cause=\""));
    ck_assert_ptr_nonnull(strstr(at.line, text));
    host_device_free(d);
}

START_TEST(without_a_plug_in_a_driver_or_a_device_one_line_says_so)
{
    reset();
    none(start_with(HOST_DEVICE_AUTO, "/nowhere/x.so"), "none",
         "no plug-in '/nowhere/x.so': No such file or directory");
    reset();
    none(start_with(HOST_DEVICE_AUTO, TEST_SOURCE), "none", "cannot load the plug-in: ");
    reset();
    emulated.count_error = 35;
    none(start(), "none", "emulated count answers 35, emulated");
    reset();
    emulated.capability[0] = 7;
    none(start(), "none", "has compute capability 7.0: at least 8");
    reset();
    none(start_with(HOST_DEVICE_OFF, "/nowhere/x.so"), "off", "gpu.use is off");
}
END_TEST

START_TEST(of_two_devices_the_one_that_works_is_taken)
{
    reset();
    emulated.devices = 2;
    emulated.capability[0] = 7;
    struct host_device *d = start();
    is_state(d, "healthy");
    ck_assert_str_eq(report(d).name, "Emulated 1");
    ck_assert_uint_eq(emulated.lanes_of[0], 0);
    ck_assert_uint_gt(emulated.lanes_of[1], 0);
    host_device_free(d);
}
END_TEST

UNIT_MAIN("host_device", what_is_encoded_and_decoded_goes_to_the_device,
          jobs_longer_than_its_memory_go_in_pieces,
          errors_at_any_call_change_no_bits_and_the_device_is_used_again,
          a_device_that_fails_again_is_left_alone_for_longer,
          wrong_bits_are_found_and_make_the_device_suspect,
          a_job_that_hangs_is_given_up_and_the_device_waits_for_it,
          a_thread_that_hangs_does_not_hold_up_the_end,
          many_threads_share_a_device_that_fails_now_and_then,
          jobs_go_where_they_were_measured_to_be_faster,
          a_device_that_is_slower_is_closed_and_said_to_be, measuring_ends_before_its_time_is_over,
          a_device_that_could_not_be_opened_is_measured_when_it_can,
          without_a_plug_in_a_driver_or_a_device_one_line_says_so,
          of_two_devices_the_one_that_works_is_taken)
