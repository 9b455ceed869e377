/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Codes: any k cells give back the rest, for all shapes, lengths and short last stripes; encoding
 * equals the plain twin of the kernel.
 */
#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "erasure/erasure.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CELL_BYTES_MAX 40000u

static struct alloc heap;

/* A stripe: its cells at full coded length, zero-padded, and their stored lengths. */
struct stripe {
    unsigned k;
    unsigned m;
    size_t coded_bytes;
    uint8_t *cell[ERASURE_SHARDS_MAX];
    struct bytes stored[ERASURE_SHARDS_MAX];
};

static void stripe_release(struct stripe *s)
{
    for (unsigned i = 0; i < s->k + s->m; i++) {
        free(s->cell[i]);
    }
}

/* data_bytes: of all data cells together, the first one whole if there are others. */
static void stripe_init(struct stripe *s, const struct erasure_code *code, size_t coded_bytes,
                        size_t data_bytes, struct rng *r)
{
    s->k = erasure_code_scheme(code).k;
    s->m = erasure_code_scheme(code).m;
    s->coded_bytes = coded_bytes;
    for (unsigned i = 0; i < s->k + s->m; i++) {
        s->cell[i] = calloc(1, coded_bytes + 1);
        ck_assert_ptr_nonnull(s->cell[i]);
        size_t bytes = coded_bytes;
        if (i < s->k) {
            size_t from = NUM_MIN(i * coded_bytes, data_bytes);
            bytes = NUM_MIN(coded_bytes, data_bytes - from);
            rng_fill(r, s->cell[i], bytes);
        }
        s->stored[i] = bytes_of(bytes > 0 ? s->cell[i] : NULL, bytes);
    }
    struct erasure_check check;
    ck_assert_int_eq(erasure_encode(code, s->stored, s->cell + s->k, coded_bytes, &check), 0);
    ck_assert_uint_eq(check.wrong, 0);
}

/* Loses the cells of `lost`, rebuilds them, compares. */
static void lose_and_rebuild(const struct erasure_code *code, const struct stripe *s, uint32_t lost)
{
    struct erasure_plan plan;
    struct bytes cells[ERASURE_SHARDS_MAX];
    uint8_t *out[ERASURE_SHARDS_MAX] = {NULL};
    const unsigned shards = s->k + s->m;
    const uint32_t all = (uint32_t)((UINT64_C(1) << shards) - 1);
    for (unsigned i = 0; i < shards; i++) {
        cells[i] = s->stored[i];
        if ((lost >> i & 1) != 0) {
            cells[i] = bytes_of(NULL, 0);
            out[i] = malloc(s->coded_bytes + 1);
            ck_assert_ptr_nonnull(out[i]);
            memset(out[i], 0xa5, s->coded_bytes + 1);
        }
    }
    ck_assert_int_eq(erasure_plan_make(code, all & ~lost, lost, &plan), 0);
    ck_assert_uint_eq(plan.sources & lost, 0);
    struct erasure_check check;
    ck_assert_int_eq(erasure_decode(&plan, cells, out, s->coded_bytes, &check), 0);
    ck_assert_uint_eq(check.wrong, 0);
    for (unsigned i = 0; i < shards; i++) {
        if (out[i] != NULL) {
            ck_assert_mem_eq(out[i], s->cell[i], s->coded_bytes);
            ck_assert_uint_eq(out[i][s->coded_bytes], 0xa5);
            free(out[i]);
        }
    }
}

static struct erasure_code *code_of(unsigned k, unsigned m)
{
    struct erasure_code *code = NULL;
    struct erasure_scheme scheme = {(uint8_t)k, (uint8_t)m};
    ck_assert_int_eq(erasure_code_new(&code, &heap, scheme), 0);
    return code;
}

/* `count` different shards of `shards`. */
static uint32_t random_shards(struct rng *r, unsigned shards, unsigned count)
{
    uint32_t set = 0;
    while (count > 0) {
        uint32_t bit = 1u << rng_below(r, shards);
        count -= (set & bit) == 0;
        set |= bit;
    }
    return set;
}

START_TEST(any_k_cells_give_back_the_rest_for_every_scheme_up_to_32)
{
    struct rng r;
    rng_init(&r, 21);
    for (unsigned k = 1; k <= ERASURE_SHARDS_MAX; k++) {
        for (unsigned m = 1; k + m <= ERASURE_SHARDS_MAX; m++) {
            struct erasure_code *code = code_of(k, m);
            struct stripe s;
            size_t coded = rng_between(&r, 1, 300);
            size_t data = rng_between(&r, k > 1 ? coded : 1, coded * k);
            stripe_init(&s, code, k > 1 ? coded : data, data, &r);
            for (unsigned round = 0; round < 4; round++) {
                unsigned lost = round == 0 ? m : (unsigned)rng_between(&r, 1, m);
                lose_and_rebuild(code, &s, random_shards(&r, k + m, lost));
            }
            stripe_release(&s);
            erasure_code_free(code);
        }
    }
}
END_TEST

static void lose_every_pair(unsigned k, unsigned m)
{
    struct rng r;
    struct stripe s;
    struct erasure_code *code = code_of(k, m);
    rng_init(&r, 22);
    stripe_init(&s, code, 5000, 5000 * (size_t)k - 1234, &r);
    for (unsigned a = 0; a < k + m; a++) {
        for (unsigned b = a; b < k + m; b++) {
            lose_and_rebuild(code, &s, 1u << a | 1u << b);
        }
    }
    stripe_release(&s);
    erasure_code_free(code);
}

START_TEST(every_loss_of_two_cells_is_rebuilt_with_3_2_and_4_2)
{
    lose_every_pair(3, 2);
    lose_every_pair(4, 2);
}
END_TEST

START_TEST(short_and_empty_cells_count_as_padded_with_zeros)
{
    struct rng r;
    rng_init(&r, 23);
    const size_t coded = CELL_BYTES_MAX;
    const size_t datas[] = {coded, coded + 1, coded + 16384, 2 * coded - 1, 3 * coded, 4 * coded};
    struct erasure_code *code = code_of(4, 3);
    for (size_t i = 0; i < sizeof(datas) / sizeof(datas[0]); i++) {
        struct stripe s;
        stripe_init(&s, code, coded, datas[i], &r);
        uint8_t *parity[3];
        const struct bytes padded[4] = {bytes_of(s.cell[0], coded), bytes_of(s.cell[1], coded),
                                        bytes_of(s.cell[2], coded), bytes_of(s.cell[3], coded)};
        for (unsigned p = 0; p < 3; p++) {
            parity[p] = malloc(coded);
            ck_assert_ptr_nonnull(parity[p]);
        }
        struct erasure_check check;
        ck_assert_int_eq(erasure_encode(code, padded, parity, coded, &check), 0);
        for (unsigned p = 0; p < 3; p++) {
            ck_assert_mem_eq(parity[p], s.cell[4 + p], coded);
            free(parity[p]);
        }
        lose_and_rebuild(code, &s, 0x0b);
        lose_and_rebuild(code, &s, 0x1c);
        stripe_release(&s);
    }
    erasure_code_free(code);
}
END_TEST

START_TEST(parity_equals_the_plain_twin_of_the_kernel)
{
    struct rng r;
    struct stripe s;
    rng_init(&r, 24);
    struct erasure_code *code = code_of(8, 3);
    uint8_t matrix[11 * 8];
    uint8_t *expected[3];
    stripe_init(&s, code, 3333, 8 * 3333, &r);
    compute_rs_matrix(8, 3, matrix);
    for (unsigned p = 0; p < 3; p++) {
        expected[p] = malloc(3333);
        ck_assert_ptr_nonnull(expected[p]);
    }
    const uint8_t *data[8];
    for (unsigned i = 0; i < 8; i++) {
        data[i] = s.cell[i];
    }
    const struct compute_rs_job job = {
        .k = 8, .rows = 3, .tables = NULL, .data = data, .coded = expected, .bytes = 3333};
    compute_rs_encode_plain(&job, matrix + 64);
    for (unsigned p = 0; p < 3; p++) {
        ck_assert_mem_eq(expected[p], s.cell[8 + p], 3333);
        free(expected[p]);
    }
    stripe_release(&s);
    erasure_code_free(code);
}
END_TEST

START_TEST(part_of_the_columns_is_rebuilt_from_the_same_part)
{
    struct rng r;
    struct stripe s;
    struct erasure_plan plan;
    uint8_t part[500];
    rng_init(&r, 25);
    struct erasure_code *code = code_of(3, 2);
    stripe_init(&s, code, 2000, 6000, &r);
    ck_assert_int_eq(erasure_plan_make(code, 0x1d, 0x02, &plan), 0);
    struct bytes cells[5];
    for (unsigned i = 0; i < 5; i++) {
        cells[i] = bytes_of(s.cell[i] + 700, sizeof(part));
    }
    uint8_t *out[5] = {NULL, part, NULL, NULL, NULL};
    struct erasure_check check;
    ck_assert_int_eq(erasure_decode(&plan, cells, out, sizeof(part), &check), 0);
    ck_assert_mem_eq(part, s.cell[1] + 700, sizeof(part));
    stripe_release(&s);
    erasure_code_free(code);
}
END_TEST

START_TEST(one_data_shard_makes_copies)
{
    struct rng r;
    struct stripe s;
    rng_init(&r, 26);
    struct erasure_code *code = code_of(1, 2);
    stripe_init(&s, code, 100, 100, &r);
    ck_assert_mem_eq(s.cell[1], s.cell[0], 100);
    ck_assert_mem_eq(s.cell[2], s.cell[0], 100);
    stripe_release(&s);
    erasure_code_free(code);
}
END_TEST

START_TEST(plans_that_cannot_be_are_refused)
{
    struct erasure_plan plan;
    struct erasure_code *code = code_of(3, 2);
    ck_assert_int_eq(erasure_plan_make(code, 0x03, 0x04, &plan), ERR_LOST);
    ck_assert_int_eq(erasure_plan_make(code, 0x00, 0x04, &plan), ERR_LOST);
    ck_assert_int_eq(erasure_plan_make(code, 0x07, 0x00, &plan), ERR_INVALID);
    ck_assert_int_eq(erasure_plan_make(code, 0x07, 0x04, &plan), ERR_INVALID);
    ck_assert_int_eq(erasure_plan_make(code, 0x07, 0x20, &plan), ERR_INVALID);
    ck_assert_int_eq(erasure_plan_make(code, 0x47, 0x08, &plan), ERR_INVALID);
    ck_assert_int_eq(erasure_plan_make(code, 0x07, 0x18, &plan), 0);
    ck_assert_uint_eq(plan.sources, 0x07);
    erasure_code_free(code);
}
END_TEST

START_TEST(codes_that_cannot_be_are_refused_and_memory_is_counted)
{
    struct alloc_budget budget;
    struct alloc counted = alloc_budget_init(&budget, alloc_heap(), 1u << 20);
    struct erasure_code *code = NULL;
    ck_assert_int_eq(erasure_code_new(&code, &counted, (struct erasure_scheme){0, 2}), ERR_SCHEME);
    ck_assert_int_eq(erasure_code_new(&code, &counted, (struct erasure_scheme){31, 2}), ERR_SCHEME);
    ck_assert_int_eq(erasure_code_new(&code, &counted, (struct erasure_scheme){255, 255}),
                     ERR_SCHEME);
    budget.fail_at = budget.requests + 1;
    ck_assert_int_eq(erasure_code_new(&code, &counted, (struct erasure_scheme){3, 2}),
                     ERR_NO_MEMORY);
    ck_assert_ptr_null(code);
    ck_assert_int_eq(erasure_code_new(&code, &counted, (struct erasure_scheme){32, 0}), 0);
    erasure_code_free(code);
    ck_assert_uint_eq(budget.used_bytes, 0);
}
END_TEST

int main(void)
{
    heap = alloc_heap();
    Suite *suite = suite_create("erasure_code");
    TCase *tests = tcase_create("code");
    tcase_set_timeout(tests, 200);
    tcase_add_test(tests, any_k_cells_give_back_the_rest_for_every_scheme_up_to_32);
    tcase_add_test(tests, every_loss_of_two_cells_is_rebuilt_with_3_2_and_4_2);
    tcase_add_test(tests, short_and_empty_cells_count_as_padded_with_zeros);
    tcase_add_test(tests, parity_equals_the_plain_twin_of_the_kernel);
    tcase_add_test(tests, part_of_the_columns_is_rebuilt_from_the_same_part);
    tcase_add_test(tests, one_data_shard_makes_copies);
    tcase_add_test(tests, plans_that_cannot_be_are_refused);
    tcase_add_test(tests, codes_that_cannot_be_are_refused_and_memory_is_counted);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
