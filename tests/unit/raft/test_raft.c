/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs the raft suite.
 */
#include "tests/unit/raft/suite.h"

int main(void)
{
    Suite *suite = suite_create("raft");
    suite_add_tcase(suite, case_basic());
    suite_add_tcase(suite, case_random());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
