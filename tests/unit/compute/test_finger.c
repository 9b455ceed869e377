/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints: every variant against the definition and the plain twin, bit for bit, over all
 * short lengths and any cuts; linear over the field; which errors are found for certain. No timing.
 */
#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "compute/finger.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW COMPUTE_FINGER_BYTES
#define LONG_BYTES 70000u
#define SHORT_BYTES 2600u /* three blocks of the widest kernel, and some */

/* What finger.h says, word for word. */
static void by_definition(const uint8_t *data, size_t bytes, uint8_t out[ROW])
{
    uint8_t power = 1;
    memset(out, 0, ROW);
    for (size_t at = 0; at < bytes; at++) {
        out[at % ROW] = (uint8_t)(out[at % ROW] ^ compute_gf_mul(power, data[at]));
        power = at % ROW == ROW - 1 ? compute_gf_mul(power, 0x51) : power;
    }
}

static void finger_by(enum compute_finger_variant variant, const uint8_t *data, size_t bytes,
                      uint8_t out[ROW])
{
    struct compute_finger f;
    compute_finger_init_by(&f, variant);
    compute_finger_add(&f, data, bytes);
    compute_finger_end(&f, out);
}

static void finger_of(const uint8_t *data, size_t bytes, uint8_t out[ROW])
{
    struct compute_finger f;
    compute_finger_init(&f);
    compute_finger_add(&f, data, bytes);
    compute_finger_end(&f, out);
}

static uint8_t *random_bytes(uint64_t seed, size_t bytes, struct rng *r)
{
    uint8_t *data = malloc(bytes);
    ck_assert_ptr_nonnull(data);
    rng_init(r, seed);
    rng_fill(r, data, bytes);
    return data;
}

START_TEST(known_fingerprints)
{
    /* never change: they are stored */
    static const uint8_t of_counts[ROW] = {0};
    uint8_t data[1000];
    uint8_t out[ROW];
    char text[2 * ROW + 1] = "";
    finger_of(NULL, 0, out);
    ck_assert_mem_eq(out, of_counts, ROW);
    for (unsigned i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7 + i / 256);
    }
    finger_of(data, 16, out);
    ck_assert_mem_eq(out, data, 16); /* one row is its own fingerprint */
    ck_assert_mem_eq(out + 16, of_counts, 16);
    finger_of(data, sizeof data, out);
    for (unsigned i = 0; i < ROW; i++) {
        (void)snprintf(text + (size_t)2 * i, 3, "%02x", out[i]);
    }
    ck_assert_str_eq(text, "8e53781f6f23f60dc1a75e07335c6f12737a2a7c4041c9f7f853375d0a6583fe");
}
END_TEST

START_TEST(every_variant_gives_the_bits_of_the_definition_at_all_short_lengths)
{
    struct rng r;
    uint8_t *data = random_bytes(31, SHORT_BYTES + 64, &r);
    for (enum compute_finger_variant v = 0; v < COMPUTE_FINGER_COUNT; v++) {
        for (size_t bytes = 0; compute_finger_runs(v) && bytes <= SHORT_BYTES; bytes++) {
            const uint8_t *from = data + bytes % 64;
            uint8_t expected[ROW];
            uint8_t out[ROW];
            by_definition(from, bytes, expected);
            finger_by(v, from, bytes, out);
            ck_assert_msg(memcmp(out, expected, ROW) == 0, "%s, %zu bytes", compute_finger_name(v),
                          bytes);
        }
    }
    free(data);
}
END_TEST

START_TEST(long_data_in_any_pieces_has_the_bits_of_the_twin)
{
    struct rng r;
    uint8_t *data = random_bytes(32, LONG_BYTES, &r);
    for (unsigned round = 0; round < 200; round++) {
        const size_t bytes = rng_below(&r, LONG_BYTES + 1);
        const size_t most = rng_chance(&r, 1, 2) ? 100 : 20000;
        uint8_t expected[ROW];
        finger_by(COMPUTE_FINGER_PLAIN, data, bytes, expected);
        for (enum compute_finger_variant v = 0; v < COMPUTE_FINGER_COUNT; v++) {
            struct compute_finger f;
            uint8_t out[ROW];
            if (!compute_finger_runs(v)) {
                continue;
            }
            compute_finger_init_by(&f, v);
            for (size_t from = 0; from < bytes;) {
                size_t piece = rng_below(&r, most);
                piece = NUM_MIN(piece, bytes - from);
                compute_finger_add(&f, data + from, piece);
                from += piece;
            }
            compute_finger_end(&f, out);
            ck_assert_msg(memcmp(out, expected, ROW) == 0, "%s, %zu bytes", compute_finger_name(v),
                          bytes);
        }
    }
    free(data);
}
END_TEST

START_TEST(zeros_at_the_end_change_nothing)
{
    struct rng r;
    uint8_t *data = random_bytes(33, LONG_BYTES, &r);
    for (unsigned round = 0; round < 100; round++) {
        const size_t bytes = rng_below(&r, LONG_BYTES);
        uint8_t shorter[ROW];
        uint8_t longer[ROW];
        memset(data + bytes, 0, LONG_BYTES - bytes);
        finger_of(data, bytes, shorter);
        finger_of(data, bytes + rng_below(&r, LONG_BYTES - bytes), longer);
        ck_assert_mem_eq(shorter, longer, ROW);
        rng_fill(&r, data, LONG_BYTES);
    }
    free(data);
}
END_TEST

START_TEST(those_of_coded_cells_are_the_code_of_those_of_their_sources)
{
    struct rng r;
    const size_t cell = 9000;
    uint8_t *room = random_bytes(34, 2 * COMPUTE_RS_MAX * cell, &r);
    for (unsigned round = 0; round < 60; round++) {
        const unsigned k = (unsigned)rng_between(&r, 1, COMPUTE_RS_MAX);
        const unsigned rows = (unsigned)rng_between(&r, 1, COMPUTE_RS_MAX);
        const size_t bytes = rng_between(&r, 1, cell);
        uint8_t coefficients[COMPUTE_RS_MAX * COMPUTE_RS_MAX];
        const uint8_t *data[COMPUTE_RS_MAX];
        uint8_t *coded[COMPUTE_RS_MAX];
        for (unsigned i = 0; i < COMPUTE_RS_MAX; i++) {
            data[i] = room + i * cell;
            coded[i] = room + (COMPUTE_RS_MAX + i) * cell;
        }
        rng_fill(&r, coefficients, sizeof coefficients);
        const struct compute_rs_job job = {
            .k = k, .rows = rows, .data = data, .coded = coded, .bytes = bytes};
        compute_rs_encode_plain(&job, coefficients);
        for (unsigned i = 0; i < rows; i++) {
            uint8_t sum[ROW] = {0};
            uint8_t out[ROW];
            for (unsigned j = 0; j < k; j++) {
                finger_of(data[j], bytes, out);
                compute_finger_combine(coefficients[i * k + j], out, sum);
            }
            finger_of(coded[i], bytes, out);
            ck_assert_mem_eq(out, sum, ROW);
        }
    }
    free(room);
}
END_TEST

START_TEST(every_flipped_bit_is_found)
{
    struct rng r;
    const size_t bytes = 8192 + 40;
    uint8_t *data = random_bytes(35, bytes, &r);
    uint8_t whole[ROW];
    uint8_t out[ROW];
    finger_of(data, bytes, whole);
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        data[bit / 8] = (uint8_t)(data[bit / 8] ^ (1u << bit % 8));
        finger_of(data, bytes, out);
        ck_assert_mem_ne(out, whole, ROW);
        data[bit / 8] = (uint8_t)(data[bit / 8] ^ (1u << bit % 8));
    }
    free(data);
}
END_TEST

START_TEST(bursts_and_rows_out_of_place_are_found)
{
    struct rng r;
    const size_t bytes = 16384;
    uint8_t *data = random_bytes(36, bytes, &r);
    uint8_t *other = malloc(bytes);
    uint8_t whole[ROW];
    uint8_t out[ROW];
    ck_assert_ptr_nonnull(other);
    finger_of(data, bytes, whole);
    for (unsigned round = 0; round < 2000; round++) {
        const size_t burst = rng_between(&r, 1, ROW);
        const size_t at = rng_below(&r, bytes - burst + 1);
        memcpy(other, data, bytes);
        for (size_t i = 0; i < burst; i++) { /* any change but none */
            other[at + i] = (uint8_t)(other[at + i] ^ rng_between(&r, i == 0 ? 1 : 0, 255));
        }
        finger_of(other, bytes, out);
        ck_assert_mem_ne(out, whole, ROW);
        const size_t row = rng_below(&r, bytes / ROW - 254);
        const size_t apart = rng_between(&r, 1, 254);
        memcpy(other, data, bytes);
        memcpy(other + row * ROW, data + (row + apart) * ROW, ROW);
        memcpy(other + (row + apart) * ROW, data + row * ROW, ROW);
        finger_of(other, bytes, out);
        ck_assert_mem_ne(out, whole, ROW);
    }
    free(data);
    free(other);
}
END_TEST

START_TEST(what_is_not_found_is_what_is_said)
{
    /* the same change 255 rows apart: g^255 = 1 */
    static uint8_t data[256 * ROW];
    uint8_t out[ROW];
    uint8_t none[ROW] = {0};
    data[5] = 9;
    finger_of(data, sizeof data, out);
    ck_assert_mem_ne(out, none, ROW);
    data[255 * ROW + 5] = 9;
    finger_of(data, sizeof data, out);
    ck_assert_mem_eq(out, none, ROW);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compute_finger");
    TCase *tests = tcase_create("finger");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, known_fingerprints);
    tcase_add_test(tests, every_variant_gives_the_bits_of_the_definition_at_all_short_lengths);
    tcase_add_test(tests, long_data_in_any_pieces_has_the_bits_of_the_twin);
    tcase_add_test(tests, zeros_at_the_end_change_nothing);
    tcase_add_test(tests, those_of_coded_cells_are_the_code_of_those_of_their_sources);
    tcase_add_test(tests, every_flipped_bit_is_found);
    tcase_add_test(tests, bursts_and_rows_out_of_place_are_found);
    tcase_add_test(tests, what_is_not_found_is_what_is_said);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
