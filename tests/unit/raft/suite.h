/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The cases of the raft suite, one file each.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_RAFT_SUITE_H
#define HOLDFAST_TESTS_UNIT_RAFT_SUITE_H

#include <check.h>
#include <stdbool.h>

extern bool golden_update; /* the golden traces are rewritten */

TCase *case_basic(void);
TCase *case_election(void);
TCase *case_commit(void);
TCase *case_read(void);
TCase *case_snapshot(void);
TCase *case_recover(void);
TCase *case_message(void);
TCase *case_golden(void);
TCase *case_random(void);

#endif
