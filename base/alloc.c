/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The process heap and the counting allocator. The only caller of malloc among the shared rooms.
 */
#include "base/alloc.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

static void *alloc_heap_get(void *ctx, size_t bytes)
{
    (void)ctx;
    ASSERT(bytes > 0);
    return malloc(bytes);
}

static void alloc_heap_put(void *ctx, void *memory, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    free(memory);
}

struct alloc alloc_heap(void)
{
    return (struct alloc){.get = alloc_heap_get, .put = alloc_heap_put, .ctx = NULL};
}

void *alloc_get_zeroed(const struct alloc *a, size_t count, size_t bytes)
{
    if (bytes != 0 && count > SIZE_MAX / bytes) {
        return NULL;
    }
    void *memory = alloc_get(a, count * bytes);
    if (memory != NULL) {
        memset(memory, 0, count * bytes);
    }
    return memory;
}

static void *alloc_budget_get(void *ctx, size_t bytes)
{
    struct alloc_budget *budget = ctx;
    budget->requests++;
    if (budget->requests == budget->fail_at) {
        return NULL;
    }
    if (bytes > budget->limit_bytes - budget->used_bytes) {
        budget->refused++;
        return NULL;
    }
    void *memory = alloc_get(&budget->under, bytes);
    if (memory != NULL) {
        budget->used_bytes += bytes;
        if (budget->used_bytes > budget->peak_bytes) {
            budget->peak_bytes = budget->used_bytes;
        }
    }
    return memory;
}

static void alloc_budget_put(void *ctx, void *memory, size_t bytes)
{
    struct alloc_budget *budget = ctx;
    ASSERT(bytes <= budget->used_bytes);
    budget->used_bytes -= bytes;
    alloc_put(&budget->under, memory, bytes);
}

struct alloc alloc_budget_init(struct alloc_budget *budget, struct alloc under,
                               uint64_t limit_bytes)
{
    *budget = (struct alloc_budget){.under = under, .limit_bytes = limit_bytes};
    return (struct alloc){.get = alloc_budget_get, .put = alloc_budget_put, .ctx = budget};
}
