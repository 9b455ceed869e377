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

TCase *case_basic(void);
TCase *case_random(void);

#endif
