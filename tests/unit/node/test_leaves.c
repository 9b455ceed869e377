/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nodes whose host hashes leaves for them, rightly or not: no wrong root is committed, what is
 * right is not taken for damaged, and what is damaged is found.
 */
#include "finger_rig.h"

#include "server/node/objects_internal.h"

#define SIZE 900000u

/* What the host has. */
static struct {
    bool is_there;
    unsigned errs; /* each n-th job has a wrong bit; 0: none */
    unsigned jobs;
    unsigned wrong; /* as it was told */
} at;

static bool host_hashes(void *ctx, const struct compute_leaves *runs, unsigned count)
{
    uint8_t *last = NULL;
    (void)ctx;
    for (unsigned i = 0; i < count && at.is_there; i++) {
        for (size_t from = 0; from < runs[i].bytes; from += COMPUTE_LEAF_BYTES) {
            last = runs[i].hashes + from / COMPUTE_LEAF_BYTES * COMPUTE_HASH_BYTES;
            compute_leaf_hash(runs[i].data + from,
                              NUM_MIN(runs[i].bytes - from, (size_t)COMPUTE_LEAF_BYTES), last);
        }
    }
    at.jobs += at.is_there;
    if (at.errs > 0 && at.jobs % at.errs == 0 && last != NULL) {
        last[5] ^= 64;
    }
    return at.is_there;
}

static void host_wrong(void *ctx)
{
    (void)ctx;
    at.wrong++;
}

static void start(void)
{
    at.is_there = true;
    at.errs = at.jobs = at.wrong = 0;
    cluster(5, 3, 2);
    r->whole = (struct compute_whole){.leaf_hashes = host_hashes, .wrong = host_wrong};
}

static void lose_two(void)
{
    rig_stop(r, 4);
    rig_stop(r, 5);
    rig_run(r, 4 * SECOND);
}

START_TEST(puts_reads_and_checks_take_the_hashes_of_the_host)
{
    start();
    ck_assert_int_eq(put(1, "a", SIZE), 0); /* the root is that of the plain twin */
    unsigned jobs = at.jobs;
    ck_assert_uint_ge(jobs, SIZE / (3 * 65536));
    ck_assert_int_eq(get(2, "a", SIZE), 0);
    ck_assert_uint_ge(at.jobs - jobs, SIZE / 65536);
    jobs = at.jobs;
    ck_assert_uint_eq(verify_bad(3, "a"), 0);
    ck_assert_uint_ge(at.jobs - jobs, SIZE / 65536);
    lose_two();
    jobs = at.jobs;
    ck_assert_int_eq(get(1, "a", SIZE), 0);
    ck_assert_uint_gt(at.jobs, jobs);
    ck_assert_uint_eq(at.wrong, 0);
    at.is_there = false;
    ck_assert_int_eq(put(2, "b", SIZE), 0);
    ck_assert_int_eq(get(3, "b", SIZE), 0);
}
END_TEST

START_TEST(a_put_whose_hashes_are_wrong_commits_nothing)
{
    start();
    at.errs = 4; /* one of its stripes */
    ck_assert_int_eq(put(1, "a", SIZE), ERR_CORRUPT);
    ck_assert_uint_ge(at.jobs, 4);
    ck_assert_int_eq(get(2, "a", SIZE), ERR_NOT_FOUND);
    at.errs = 0;
    ck_assert_int_eq(put(1, "a", SIZE), 0);
    ck_assert_int_eq(get(2, "a", SIZE), 0);
}
END_TEST

START_TEST(right_bytes_with_wrong_hashes_are_not_damaged)
{
    for (unsigned errs = 1; errs <= 3; errs += 2) {
        start();
        ck_assert_int_eq(put(1, "a", SIZE), 0);
        at.errs = errs;
        ck_assert_int_eq(get(2, "a", SIZE), 0);
        ck_assert_uint_gt(at.wrong, 0);
        unsigned wrong = at.wrong;
        ck_assert_uint_eq(verify_bad(3, "a"), 0);
        ck_assert_uint_gt(at.wrong, wrong);
        lose_two();
        wrong = at.wrong;
        ck_assert_int_eq(get(1, "a", SIZE), 0);
        ck_assert_uint_gt(at.wrong, wrong);
        rig_start(r, 4);
        rig_start(r, 5);
        ck_assert(repaired(1, "a"));
        ck_assert_uint_eq(damage_reports(), 0);
        tear_down();
    }
}
END_TEST

/* With right hashes and wrong ones. */
START_TEST(wrong_bytes_are_found)
{
    for (unsigned errs = 0; errs <= 1; errs++) {
        start();
        ck_assert_int_eq(put(1, "a", SIZE), 0);
        struct node_extent_info *info = extent_of(1, "a", 0);
        cell_flip(info, 0, 1, 777);
        node_info_release(info);
        at.errs = errs;
        ck_assert_uint_eq(verify_bad(3, "a"), 1);
        ck_assert_int_eq(get(2, "a", SIZE), 0);
        ck_assert(repaired(1, "a"));
        ck_assert_int_eq(get(2, "a", SIZE), 0);
        tear_down();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node_leaves");
    TCase *tests = tcase_create("leaves");
    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, puts_reads_and_checks_take_the_hashes_of_the_host);
    tcase_add_test(tests, a_put_whose_hashes_are_wrong_commits_nothing);
    tcase_add_test(tests, right_bytes_with_wrong_hashes_are_not_damaged);
    tcase_add_test(tests, wrong_bytes_are_found);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
