/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Allocators are values passed to _init, so that pure rooms name no allocation function, limits
 * can be counted, and tests can fail the n-th allocation.
 *
 *   struct alloc heap = alloc_heap();
 *   void *p = alloc_get(&heap, 100);      NULL when memory or the budget is used up
 *   alloc_put(&heap, p, 100);             the size is the caller's to know
 *
 * threads: alloc_heap may be used from any thread; a counted or failing allocator by its owner.
 */
#ifndef HOLDFAST_BASE_ALLOC_H
#define HOLDFAST_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

struct alloc {
    void *(*get)(void *ctx, size_t bytes);
    void (*put)(void *ctx, void *memory, size_t bytes);
    void *ctx;
};

/* returns: the process heap. */
struct alloc alloc_heap(void);

/* returns: memory aligned for any type, not cleared; or NULL. bytes: > 0. */
static inline void *alloc_get(const struct alloc *a, size_t bytes)
{
    return a->get(a->ctx, bytes);
}

/* returns: cleared memory for count items of bytes each; NULL also if the product overflows. */
void *alloc_get_zeroed(const struct alloc *a, size_t count, size_t bytes);

/* memory: from alloc_get of the same allocator, or NULL. bytes: as asked for. */
static inline void alloc_put(const struct alloc *a, void *memory, size_t bytes)
{
    if (memory != NULL) {
        a->put(a->ctx, memory, bytes);
    }
}

/* A budget over another allocator: refuses what would pass limit_bytes. For tests, it also fails
 * the fail_at-th request (1 is the first; 0 never). */
struct alloc_budget {
    struct alloc under;
    uint64_t used_bytes;
    uint64_t peak_bytes;
    uint64_t limit_bytes;
    uint64_t requests;
    uint64_t refused; /* for want of budget */
    uint64_t fail_at;
};

/* returns: an allocator that lives as long as budget. */
struct alloc alloc_budget_init(struct alloc_budget *budget, struct alloc under,
                               uint64_t limit_bytes);

#endif
