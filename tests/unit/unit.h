/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The end of a unit test program: runs a NULL-ended list of tests.
 *
 *   UNIT_MAIN("base_num", a_sum_that_fits, a_sum_that_does_not)
 *
 * Property tests print their seed; HOLDFAST_SEED=N replays it.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_UNIT_H
#define HOLDFAST_TESTS_UNIT_UNIT_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static inline int unit_run(const char *name, const TTest *const *tests)
{
    Suite *suite = suite_create(name);
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    for (; *tests != NULL; tests++) {
        tcase_add_test(all, *tests);
    }
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

/* returns: the seed of a property test; printed, so that a failure can be replayed. */
static inline unsigned long long unit_seed(const char *test, unsigned long long usual)
{
    const char *given = getenv("HOLDFAST_SEED");
    unsigned long long seed = given != NULL ? strtoull(given, NULL, 0) : usual;
    printf("%s: seed=%llu\n", test, seed);
    return seed;
}

#define UNIT_MAIN(name, ...)                              \
    int main(void)                                        \
    {                                                     \
        const TTest *const tests[] = {__VA_ARGS__, NULL}; \
        return unit_run((name), tests);                   \
    }

#endif
