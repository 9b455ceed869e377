/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Seeds of property tests: HOLDFAST_SEED replays one, else 1 to rounds are run. Each is printed, so
 * the last line before a failure names it.
 *
 * threads: pure functions over the environment.
 */
#ifndef HOLDFAST_TESTS_UNIT_STORE_PROP_H
#define HOLDFAST_TESTS_UNIT_STORE_PROP_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* *round counts from 0. returns: false when all rounds are done. */
static inline bool prop_seed(const char *test, uint64_t rounds, uint64_t *round, uint64_t *seed)
{
    const char *given = getenv("HOLDFAST_SEED");
    if (*round >= (given != NULL ? 1 : rounds)) {
        return false;
    }
    *round += 1;
    *seed = given != NULL ? strtoull(given, NULL, 10) : *round;
    printf("%s: HOLDFAST_SEED=%" PRIu64 "\n", test, *seed);
    (void)fflush(stdout);
    return true;
}

#endif
