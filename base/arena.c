/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A bump allocator over one block.
 */
#include "base/arena.h"

#include "base/err.h"
#include "base/num.h"

#include <string.h>

int arena_init(struct arena *a, const struct alloc *alloc, size_t bytes)
{
    ASSERT(bytes > 0);
    *a = (struct arena){.alloc = *alloc, .size = bytes};
    a->data = alloc_get(alloc, bytes);
    return a->data != NULL ? 0 : ERR_NO_MEMORY;
}

void arena_release(struct arena *a)
{
    alloc_put(&a->alloc, a->data, a->size);
    *a = (struct arena){.alloc = a->alloc};
}

void arena_clear(struct arena *a)
{
    a->used = 0;
}

void *arena_get(struct arena *a, size_t bytes)
{
    ASSERT(a->used <= a->size);
    size_t start = (size_t)num_round_up(a->used, 16);
    if (start > a->size || bytes > a->size - start) {
        return NULL;
    }
    a->used = start + bytes;
    return a->data + start;
}

struct bytes arena_copy(struct arena *a, struct bytes v)
{
    uint8_t *copy = arena_get(a, NUM_MAX(v.size, 1));
    if (copy == NULL) {
        return (struct bytes){0};
    }
    if (v.size > 0) {
        memcpy(copy, v.data, v.size);
    }
    return (struct bytes){.data = copy, .size = v.size};
}
