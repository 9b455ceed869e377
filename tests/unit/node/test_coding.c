/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nodes whose kernel for coding makes errors: every put, degraded read and repair ends with the
 * right bytes, and the errors are counted.
 */
#include "object_rig.h"

#include "server/node/objects_internal.h"

/* Flips a bit in every n-th call; a job has one call or several. */
struct faulty {
    struct rng r;
    unsigned every;
    unsigned calls;
    unsigned wrong;      /* jobs with errors */
    bool counted;        /* the job under way is */
    const uint8_t *next; /* where it goes on */
};
static struct faulty faulty;

static void faulty_run(void *ctx, const struct compute_rs_job *job)
{
    struct faulty *f = ctx;
    compute_rs_encode(job);
    f->counted &= job->coded[0] == f->next;
    f->next = job->coded[0] + job->bytes;
    f->calls++;
    if (f->every > 0 && f->calls % f->every == 0) {
        uint8_t *cell = job->coded[rng_below(&f->r, job->rows)];
        const size_t at = rng_below(&f->r, job->bytes);
        cell[at] = (uint8_t)(cell[at] ^ 1u << rng_below(&f->r, 8));
        f->wrong += !f->counted;
        f->counted = true;
    }
}

static void cluster_of_errors(unsigned every)
{
    cluster(5, 3, 2);
    faulty = (struct faulty){.every = every};
    rng_init(&faulty.r, 1 + every);
    r->kernel = (struct erasure_kernel){.ctx = &faulty, .run = faulty_run};
    for (unsigned i = 1; i <= 5; i++) {
        rig_stop(r, i);
    }
    for (unsigned i = 1; i <= 5; i++) {
        rig_start(r, i);
    }
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    rig_run(r, SECOND);
}

static uint64_t found(void)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < 5; i++) {
        if (r->nodes[i].up) {
            count += node_objects_get(r->nodes[i].node)->counters.codings_wrong;
            ck_assert_uint_eq(node_objects_get(r->nodes[i].node)->counters.codings_lost, 0);
        }
    }
    return count;
}

START_TEST(puts_degraded_reads_and_repair_are_right_with_a_kernel_that_errs)
{
    cluster_of_errors(2);
    ck_assert_int_eq(put(1, "a", 900000), 0);
    ck_assert_uint_gt(faulty.wrong, 0);
    ck_assert_uint_eq(found(), faulty.wrong);
    /* the parity on the disks is right: both data shards that go are decoded from it */
    rig_stop(r, 4);
    rig_stop(r, 5);
    rig_run(r, 4 * SECOND);
    const uint64_t seen = found();
    const unsigned before = faulty.wrong;
    ck_assert_int_eq(get(1, "a", 900000), 0);
    ck_assert_int_eq(put(2, "b", 500000), 0);
    ck_assert_int_eq(get(3, "b", 500000), 0);
    ck_assert_uint_gt(faulty.wrong, before);
    ck_assert_uint_eq(found() - seen, faulty.wrong - before);
    rig_start(r, 4);
    rig_start(r, 5);
    ck_assert(repaired(1, "b"));
    faulty.every = 0;
    rig_stop(r, 1);
    rig_stop(r, 2);
    rig_run(r, 4 * SECOND);
    ck_assert_int_eq(get(5, "a", 900000), 0);
    ck_assert_int_eq(get(5, "b", 500000), 0);
}
END_TEST

static void wrong_always(void *ctx, const struct compute_rs_job *job)
{
    const struct faulty *f = ctx;
    compute_rs_encode(job);
    job->coded[0][0] ^= (uint8_t)(f->every != 0);
}

static uint64_t lost(void)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < 5; i++) {
        count += r->nodes[i].up ? node_objects_get(r->nodes[i].node)->counters.codings_lost : 0;
    }
    return count;
}

/* Not even the twin is right: nothing is stored of the put, and nothing of the read returned. */
START_TEST(a_job_that_is_wrong_twice_ends_its_put_or_read)
{
    cluster_of_errors(0);
    r->kernel = (struct erasure_kernel){.ctx = &faulty, .run = wrong_always, .again = wrong_always};
    for (unsigned i = 1; i <= 5; i++) {
        rig_stop(r, i);
        rig_start(r, i);
    }
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    rig_run(r, SECOND);
    ck_assert_int_eq(put(1, "a", 300000), 0);
    faulty.every = 1;
    ck_assert_int_eq(put(1, "b", 300000), ERR_CORRUPT);
    ck_assert_uint_gt(lost(), 0);
    faulty.every = 0;
    ck_assert_int_eq(get(2, "b", 300000), ERR_NOT_FOUND);
    rig_stop(r, 4);
    rig_stop(r, 5);
    rig_run(r, 4 * SECOND);
    ck_assert_int_eq(get(1, "a", 300000), 0);
    faulty.every = 1;
    const uint64_t before = lost();
    ck_assert_int_ne(get(1, "a", 300000), 0);
    ck_assert_uint_gt(lost(), before);
    faulty.every = 0;
    ck_assert_int_eq(get(1, "a", 300000), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node_coding");
    TCase *tests = tcase_create("coding");
    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, puts_degraded_reads_and_repair_are_right_with_a_kernel_that_errs);
    tcase_add_test(tests, a_job_that_is_wrong_twice_ends_its_put_or_read);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
