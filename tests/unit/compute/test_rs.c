/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reed-Solomon kernels: the field, the generator, and the fast encoder against the plain twin, bit
 * for bit, on random shapes, lengths and alignments. No timing.
 */
#include "base/crc.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "tests/unit/simd.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CELL_BYTES_MAX 70000u
#define ROOM_BYTES (CELL_BYTES_MAX + 128u)

START_TEST(the_field_has_its_known_products)
{
    ck_assert_uint_eq(compute_gf_mul(0, 77), 0);
    ck_assert_uint_eq(compute_gf_mul(1, 77), 77);
    ck_assert_uint_eq(compute_gf_mul(2, 0x80), 0x1d);
    ck_assert_uint_eq(compute_gf_mul(0x80, 0x80), 0x13);
    for (unsigned a = 1; a < 256; a++) {
        unsigned inverses = 0;
        for (unsigned b = 1; b < 256; b++) {
            ck_assert_uint_eq(compute_gf_mul((uint8_t)a, (uint8_t)b),
                              compute_gf_mul((uint8_t)b, (uint8_t)a));
            inverses += compute_gf_mul((uint8_t)a, (uint8_t)b) == 1;
        }
        ck_assert_uint_eq(inverses, 1);
    }
}
END_TEST

START_TEST(the_generator_is_the_identity_over_cauchy_rows)
{
    for (unsigned k = 2; k <= COMPUTE_RS_MAX; k++) {
        uint8_t matrix[COMPUTE_RS_MAX * COMPUTE_RS_MAX];
        compute_rs_matrix(k, COMPUTE_RS_MAX - k, matrix);
        for (unsigned i = 0; i < COMPUTE_RS_MAX; i++) {
            for (unsigned j = 0; j < k; j++) {
                uint8_t c = matrix[i * k + j];
                if (i < k) {
                    ck_assert_uint_eq(c, i == j);
                } else {
                    ck_assert_uint_eq(compute_gf_mul(c, (uint8_t)(i ^ j)), 1);
                }
            }
        }
    }
}
END_TEST

START_TEST(one_data_shard_is_replicated)
{
    uint8_t matrix[COMPUTE_RS_MAX];
    compute_rs_matrix(1, 31, matrix);
    for (unsigned i = 0; i < COMPUTE_RS_MAX; i++) {
        ck_assert_uint_eq(matrix[i], 1);
    }
}
END_TEST

START_TEST(an_inverse_times_its_matrix_is_the_identity_and_singular_is_refused)
{
    struct rng r;
    rng_init(&r, 3);
    for (unsigned n = 1; n <= COMPUTE_RS_MAX; n++) {
        uint8_t matrix[COMPUTE_RS_MAX * COMPUTE_RS_MAX];
        uint8_t used_up[sizeof(matrix)];
        uint8_t inverse[sizeof(matrix)];
        rng_fill(&r, matrix, sizeof(matrix));
        memcpy(used_up, matrix, sizeof(matrix));
        if (compute_rs_invert(used_up, inverse, n)) {
            for (unsigned i = 0; i < n * n; i++) {
                uint8_t sum = 0;
                for (unsigned j = 0; j < n; j++) {
                    sum ^= compute_gf_mul(matrix[i / n * n + j], inverse[j * n + i % n]);
                }
                ck_assert_uint_eq(sum, i / n == i % n);
            }
        }
        memset(matrix, n > 1 ? 7 : 0, sizeof(matrix));
        ck_assert(!compute_rs_invert(matrix, inverse, n));
    }
}
END_TEST

struct cells {
    uint8_t *room;
    const uint8_t *data[COMPUTE_RS_MAX];
    uint8_t *fast[COMPUTE_RS_MAX];
    uint8_t *plain[COMPUTE_RS_MAX];
};

/* Cells at random alignments; results filled with a byte that coding must replace. */
static void cells_init(struct cells *c, struct rng *r)
{
    c->room = malloc((size_t)ROOM_BYTES * 3 * COMPUTE_RS_MAX);
    ck_assert_ptr_nonnull(c->room);
    rng_fill(r, c->room, (size_t)ROOM_BYTES * COMPUTE_RS_MAX);
    for (unsigned i = 0; i < COMPUTE_RS_MAX; i++) {
        c->data[i] = c->room + (size_t)ROOM_BYTES * i + rng_below(r, 64);
        c->fast[i] = c->room + (size_t)ROOM_BYTES * (32 + i) + rng_below(r, 64);
        c->plain[i] = c->room + (size_t)ROOM_BYTES * (64 + i);
    }
}

static void compare(struct cells *c, struct rng *r, unsigned k, unsigned rows, size_t bytes)
{
    uint8_t coefficients[COMPUTE_RS_MAX * COMPUTE_RS_MAX];
    uint8_t tables[sizeof(coefficients) * COMPUTE_RS_TABLE_BYTES];
    rng_fill(r, coefficients, sizeof(coefficients));
    compute_rs_tables(k, rows, coefficients, tables);
    for (unsigned i = 0; i < rows; i++) {
        memset(c->fast[i], 0xa5, bytes + 1);
    }
    struct compute_rs_job job = {
        .k = k, .rows = rows, .tables = tables, .data = c->data, .coded = c->fast, .bytes = bytes};
    simd_leave();
    bool wide = simd_upper_in_use();
    compute_rs_encode(&job);
    ck_assert_int_eq(simd_upper_in_use(), wide);
    job.coded = c->plain;
    compute_rs_encode_plain(&job, coefficients);
    for (unsigned i = 0; i < rows; i++) {
        ck_assert_mem_eq(c->fast[i], c->plain[i], bytes);
        ck_assert_uint_eq(c->fast[i][bytes], 0xa5);
    }
}

START_TEST(fast_and_plain_coding_give_the_same_bits)
{
    struct rng r;
    struct cells c;
    rng_init(&r, 4);
    cells_init(&c, &r);
    for (unsigned round = 0; round < 200; round++) {
        unsigned k = (unsigned)rng_between(&r, 1, COMPUTE_RS_MAX);
        unsigned rows = (unsigned)rng_between(&r, 0, COMPUTE_RS_MAX);
        compare(&c, &r, k, rows, rng_below(&r, 700));
    }
    for (unsigned round = 0; round < 6; round++) {
        unsigned k = (unsigned)rng_between(&r, 1, 12);
        unsigned rows = (unsigned)rng_between(&r, 1, 8);
        compare(&c, &r, k, rows, rng_below(&r, CELL_BYTES_MAX));
    }
    /* more than one column of the cache */
    compare(&c, &r, 10, 6, CELL_BYTES_MAX);
    free(c.room);
}
END_TEST

START_TEST(checksums_of_blocks_equal_their_plain_twin)
{
    static uint8_t data[COMPUTE_LEAF_BYTES + 64];
    struct rng r;
    rng_init(&r, 5);
    rng_fill(&r, data, sizeof(data));
    for (unsigned round = 0; round < 100; round++) {
        size_t offset = rng_below(&r, 64);
        size_t bytes = rng_below(&r, COMPUTE_LEAF_BYTES + 1);
        uint32_t seed = (uint32_t)rng_next(&r);
        ck_assert_uint_eq(crc_more(seed, data + offset, bytes),
                          crc_more_plain(seed, data + offset, bytes));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compute_rs");
    TCase *tests = tcase_create("rs");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, the_field_has_its_known_products);
    tcase_add_test(tests, the_generator_is_the_identity_over_cauchy_rows);
    tcase_add_test(tests, one_data_shard_is_replicated);
    tcase_add_test(tests, an_inverse_times_its_matrix_is_the_identity_and_singular_is_refused);
    tcase_add_test(tests, fast_and_plain_coding_give_the_same_bits);
    tcase_add_test(tests, checksums_of_blocks_equal_their_plain_twin);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
