/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Arena: one block of fixed size from which a request takes what it needs; all of it is released
 * at once. Never grows.
 *
 * threads: one owner at a time.
 */
#ifndef HOLDFAST_BASE_ARENA_H
#define HOLDFAST_BASE_ARENA_H

#include "base/bytes.h"

struct arena {
    uint8_t *data;
    size_t size;
    size_t used;
    struct alloc alloc;
};

/* returns: 0 or ERR_NO_MEMORY. bytes: the whole size, > 0. */
int arena_init(struct arena *a, const struct alloc *alloc, size_t bytes);
void arena_release(struct arena *a);
/* Ends every pointer taken before. */
void arena_clear(struct arena *a);
/* returns: memory aligned to 16, not cleared; NULL when the arena is used up. */
void *arena_get(struct arena *a, size_t bytes);
/* returns: a copy that lives as long as the arena's content; data is NULL when it is used up. */
struct bytes arena_copy(struct arena *a, struct bytes v);

#endif
