/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the compiler is known to get wrong, and must not with the flags of this build: GCC 12 at -O3
 * zeroed parts of structs that had just been copied. Always built with -O3.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>

#define ROWS 8u
#define COLUMNS 4u

struct copied {
    void *(*get)(void *);
    void (*put)(void *);
    void *ctx;
};
struct part {
    void *none;
    size_t zero;
    size_t nothing;
    struct copied copied;
};
struct whole {
    unsigned before;
    struct part parts[ROWS][COLUMNS];
};

void whole_set(struct whole *w, const struct copied *from);

__attribute__((noinline)) void whole_set(struct whole *w, const struct copied *from)
{
    for (unsigned i = 0; i < ROWS; i++) {
        for (unsigned j = 0; j < COLUMNS; j++) {
            w->parts[i][j] = (struct part){.copied = *from};
        }
    }
}

START_TEST(structs_in_nested_loops_are_zeroed_and_copied_each)
{
    int here = 0;
    struct copied from = {.get = NULL, .put = free, .ctx = &here};
    struct whole *w = calloc(1, sizeof *w);
    ck_assert_ptr_nonnull(w);
    whole_set(w, &from);
    for (unsigned i = 0; i < ROWS; i++) {
        for (unsigned j = 0; j < COLUMNS; j++) {
            ck_assert(w->parts[i][j].copied.put == free);
            ck_assert_ptr_eq(w->parts[i][j].copied.ctx, &here);
            ck_assert_ptr_null(w->parts[i][j].none);
        }
    }
    free(w);
}
END_TEST

UNIT_MAIN("compiler", structs_in_nested_loops_are_zeroed_and_copied_each)
