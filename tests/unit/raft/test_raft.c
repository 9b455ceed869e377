/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs the raft suite. --update rewrites the golden traces.
 */
#include "tests/unit/raft/suite.h"

#include <string.h>

int main(int argc, char **argv)
{
    golden_update = argc > 1 && strcmp(argv[1], "--update") == 0;
    Suite *suite = suite_create("raft");
    suite_add_tcase(suite, case_basic());
    suite_add_tcase(suite, case_election());
    suite_add_tcase(suite, case_commit());
    suite_add_tcase(suite, case_read());
    suite_add_tcase(suite, case_snapshot());
    suite_add_tcase(suite, case_recover());
    suite_add_tcase(suite, case_message());
    suite_add_tcase(suite, case_golden());
    suite_add_tcase(suite, case_random());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
