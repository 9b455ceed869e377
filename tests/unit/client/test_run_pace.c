/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which parts of a run are late.
 */
#include "client/run_pace.h"
#include "tests/unit/unit.h"

#define MIB ((uint64_t)1 << 20)

START_TEST(nothing_is_late_until_three_parts_are_known)
{
    struct run_paces paces = {.count = 0};
    ck_assert_uint_eq(hf_run_pace_late_ms(&paces, MIB, 1), 0);
    hf_run_pace_add(&paces, 100, MIB, 1);
    hf_run_pace_add(&paces, 100, MIB, 1);
    ck_assert_uint_eq(hf_run_pace_late_ms(&paces, MIB, 1), 0);
    hf_run_pace_add(&paces, 100, MIB, 1);
    ck_assert_uint_eq(hf_run_pace_late_ms(&paces, MIB, 1), 150);
    ck_assert_uint_eq(hf_run_pace_late_ms(&paces, 2 * MIB, 1), 300);
}
END_TEST

/* Of six nodes one has seven of the parts in turn, and the others two each. */
START_TEST(a_part_is_not_late_because_its_node_has_many)
{
    struct run_paces paces = {.count = 0};
    for (unsigned i = 0; i < 5; i++) {
        hf_run_pace_add(&paces, 80, MIB, 2);
    }
    ck_assert_uint_eq(hf_run_pace_late_ms(&paces, MIB, 2), 120);
    ck_assert_uint_eq(hf_run_pace_late_ms(&paces, MIB, 7), 420);
    hf_run_pace_add(&paces, 280, MIB, 7); /* and says nothing of what is usual */
    ck_assert_uint_eq(hf_run_pace_late_ms(&paces, MIB, 2), 120);
}
END_TEST

START_TEST(the_median_of_the_last_parts_is_usual)
{
    struct run_paces paces = {.count = 0};
    for (unsigned i = 0; i < 3 * RUN_PACES; i++) {
        hf_run_pace_add(&paces, 1000, MIB, 1);
    }
    for (unsigned i = 0; i < RUN_PACES; i++) {
        hf_run_pace_add(&paces, i % 3 == 0 ? 5000 : 200, MIB, 1);
    }
    ck_assert_uint_eq(hf_run_pace_late_ms(&paces, MIB, 1), 300);
}
END_TEST

START_TEST(no_part_is_late_before_50_ms)
{
    struct run_paces paces = {.count = 0};
    for (unsigned i = 0; i < 3; i++) {
        hf_run_pace_add(&paces, 0, MIB, 1);
    }
    ck_assert_uint_eq(hf_run_pace_late_ms(&paces, MIB, 64), RUN_BACKUP_LEAST_MS);
}
END_TEST

START_TEST(the_longest_times_and_the_least_parts_fit)
{
    struct run_paces paces = {.count = 0};
    for (unsigned i = 0; i < 3; i++) {
        hf_run_pace_add(&paces, (uint64_t)1 << 40, 1, 1);
    }
    ck_assert_uint_gt(hf_run_pace_late_ms(&paces, MIB, 64), (uint64_t)1 << 40);
}
END_TEST

UNIT_MAIN("client_run_pace", nothing_is_late_until_three_parts_are_known,
          a_part_is_not_late_because_its_node_has_many, the_median_of_the_last_parts_is_usual,
          no_part_is_late_before_50_ms, the_longest_times_and_the_least_parts_fit)
