/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Allocators, budgets and the arena.
 */
#include "base/arena.h"
#include "base/err.h"
#include "tests/unit/unit.h"

#include <stdint.h>
#include <string.h>

START_TEST(a_budget_refuses_what_would_pass_it_and_counts_the_peak)
{
    struct alloc_budget budget;
    struct alloc a = alloc_budget_init(&budget, alloc_heap(), 100);
    void *first = alloc_get(&a, 60);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(alloc_get(&a, 41));
    void *second = alloc_get(&a, 40);
    ck_assert_ptr_nonnull(second);
    ck_assert_uint_eq(budget.used_bytes, 100);
    alloc_put(&a, first, 60);
    alloc_put(&a, second, 40);
    ck_assert_uint_eq(budget.used_bytes, 0);
    ck_assert_uint_eq(budget.peak_bytes, 100);
    ck_assert_uint_eq(budget.requests, 3);
    ck_assert_uint_eq(budget.refused, 1);
}
END_TEST

START_TEST(a_budget_fails_the_request_it_is_told_to)
{
    struct alloc_budget budget;
    struct alloc a = alloc_budget_init(&budget, alloc_heap(), 1000);
    budget.fail_at = 2;
    void *first = alloc_get(&a, 10);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(alloc_get(&a, 10));
    void *third = alloc_get(&a, 10);
    ck_assert_ptr_nonnull(third);
    alloc_put(&a, first, 10);
    alloc_put(&a, third, 10);
    alloc_put(&a, NULL, 10);
}
END_TEST

START_TEST(zeroed_memory_is_zero_and_an_overflowing_product_is_refused)
{
    struct alloc heap = alloc_heap();
    uint8_t zero[64] = {0};
    uint8_t *memory = alloc_get_zeroed(&heap, 8, 8);
    ck_assert_ptr_nonnull(memory);
    ck_assert_mem_eq(memory, zero, 64);
    alloc_put(&heap, memory, 64);
    ck_assert_ptr_null(alloc_get_zeroed(&heap, SIZE_MAX / 2, 3));
}
END_TEST

START_TEST(an_arena_gives_aligned_memory_until_it_is_used_up)
{
    struct alloc heap = alloc_heap();
    struct arena a;
    ck_assert_int_eq(arena_init(&a, &heap, 64), 0);
    void *first = arena_get(&a, 1);
    void *second = arena_get(&a, 16);
    ck_assert_uint_eq((uintptr_t)first % 16, 0);
    ck_assert_uint_eq((uintptr_t)second % 16, 0);
    ck_assert_ptr_ne(first, second);
    ck_assert_ptr_null(arena_get(&a, 33));
    ck_assert_ptr_null(arena_get(&a, SIZE_MAX));
    ck_assert_ptr_nonnull(arena_get(&a, 32));
    ck_assert_ptr_null(arena_get(&a, 1));
    arena_clear(&a);
    ck_assert_ptr_eq(arena_get(&a, 64), first);
    arena_release(&a);
}
END_TEST

START_TEST(a_copy_in_an_arena_outlives_its_source_and_an_empty_one_is_not_null)
{
    struct alloc heap = alloc_heap();
    struct arena a;
    char source[] = "kept";
    ck_assert_int_eq(arena_init(&a, &heap, 64), 0);
    struct bytes copy = arena_copy(&a, bytes_of(source, 4));
    memset(source, 'x', sizeof(source));
    ck_assert(bytes_equal(copy, bytes_of_text("kept")));
    struct bytes empty = arena_copy(&a, bytes_of(NULL, 0));
    ck_assert_ptr_nonnull(empty.data);
    ck_assert_uint_eq(empty.size, 0);
    ck_assert_ptr_null(arena_copy(&a, bytes_of(source, 65)).data);
    arena_release(&a);
}
END_TEST

START_TEST(an_arena_without_memory_says_so)
{
    struct alloc_budget budget;
    struct alloc a = alloc_budget_init(&budget, alloc_heap(), 10);
    struct arena arena;
    ck_assert_int_eq(arena_init(&arena, &a, 11), ERR_NO_MEMORY);
    ck_assert_uint_eq(budget.used_bytes, 0);
}
END_TEST

UNIT_MAIN("base_memory", a_budget_refuses_what_would_pass_it_and_counts_the_peak,
          a_budget_fails_the_request_it_is_told_to,
          zeroed_memory_is_zero_and_an_overflowing_product_is_refused,
          an_arena_gives_aligned_memory_until_it_is_used_up,
          a_copy_in_an_arena_outlives_its_source_and_an_empty_one_is_not_null,
          an_arena_without_memory_says_so)
