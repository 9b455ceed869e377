/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256: published values, and every variant against the plain twin, bit for bit, on random
 * lengths and alignments. No timing.
 */
#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAVES_MAX 40u
#define BUFFER_BYTES (LEAVES_MAX * COMPUTE_LEAF_BYTES + 256u)

static struct compute *compute;
static uint8_t *buffer;

static void set_up(void)
{
    struct alloc heap = alloc_heap();
    struct err_info why;
    struct rng r;
    ck_assert_int_eq(compute_new(&compute, &heap, &why), 0);
    buffer = malloc(BUFFER_BYTES);
    ck_assert_ptr_nonnull(buffer);
    rng_init(&r, 1);
    rng_fill(&r, buffer, BUFFER_BYTES);
}

static void tear_down(void)
{
    compute_free(compute);
    free(buffer);
}

static void expect_hash(const uint8_t *hash, const char *hex)
{
    char text[2 * COMPUTE_HASH_BYTES + 1];
    for (size_t i = 0; i < COMPUTE_HASH_BYTES; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", hash[i]);
    }
    ck_assert_str_eq(text, hex);
}

/* FIPS 180-2, appendix B */
START_TEST(published_messages_have_their_published_hashes)
{
    static const struct {
        const char *message;
        const char *hash;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t hash[COMPUTE_HASH_BYTES];
        compute_sha256_plain(cases[i].message, strlen(cases[i].message), hash);
        expect_hash(hash, cases[i].hash);
        compute_sha256(compute, cases[i].message, strlen(cases[i].message), hash);
        expect_hash(hash, cases[i].hash);
    }
}
END_TEST

START_TEST(plain_equals_openssl_at_every_short_length_and_alignment)
{
    for (size_t bytes = 0; bytes < 300; bytes++) {
        uint8_t plain[COMPUTE_HASH_BYTES];
        uint8_t evp[COMPUTE_HASH_BYTES];
        const uint8_t *data = buffer + bytes % 67;
        compute_sha256_plain(data, bytes, plain);
        compute_sha256(compute, data, bytes, evp);
        ck_assert_mem_eq(plain, evp, COMPUTE_HASH_BYTES);
    }
}
END_TEST

START_TEST(a_leaf_hash_is_the_hash_of_a_zero_byte_and_the_leaf)
{
    for (size_t bytes = 0; bytes < 200; bytes++) {
        uint8_t message[201] = {0};
        uint8_t expected[COMPUTE_HASH_BYTES];
        uint8_t hash[COMPUTE_HASH_BYTES];
        memcpy(message + 1, buffer, bytes);
        compute_sha256_plain(message, bytes + 1, expected);
        compute_leaf_hash(buffer, bytes, hash);
        ck_assert_mem_eq(hash, expected, COMPUTE_HASH_BYTES);
    }
}
END_TEST

static void leaf_hashes_slowly(const uint8_t *data, size_t bytes, uint8_t *hashes)
{
    for (size_t from = 0; from < bytes; from += COMPUTE_LEAF_BYTES) {
        compute_leaf_hash(data + from, NUM_MIN(COMPUTE_LEAF_BYTES, bytes - from), hashes);
        hashes += COMPUTE_HASH_BYTES;
    }
}

START_TEST(every_variant_gives_the_bits_of_the_plain_twin)
{
    struct rng r;
    rng_init(&r, 2);
    for (unsigned round = 0; round < 24; round++) {
        uint8_t expected[(LEAVES_MAX + 1) * COMPUTE_HASH_BYTES];
        uint8_t hashes[sizeof(expected)];
        size_t offset = rng_below(&r, 200);
        size_t bytes = rng_below(&r, BUFFER_BYTES - offset);
        bytes = rng_chance(&r, 1, 3) ? bytes - bytes % COMPUTE_LEAF_BYTES : bytes;
        memset(expected, 0xee, sizeof(expected));
        leaf_hashes_slowly(buffer + offset, bytes, expected);
        for (enum compute_sha v = COMPUTE_SHA_PLAIN; v < COMPUTE_SHA_COUNT; v++) {
            memset(hashes, 0xee, sizeof(hashes));
            if (compute_sha_runs(v)) {
                compute_leaf_hashes_by(compute, v, buffer + offset, bytes, hashes);
                ck_assert_mem_eq(hashes, expected, sizeof(hashes));
            }
        }
        memset(hashes, 0xee, sizeof(hashes));
        compute_leaf_hashes(compute, buffer + offset, bytes, hashes);
        ck_assert_mem_eq(hashes, expected, sizeof(hashes));
    }
}
END_TEST

START_TEST(any_number_of_leaves_gives_the_same_bits_whatever_is_picked)
{
    uint8_t expected[LEAVES_MAX * COMPUTE_HASH_BYTES];
    uint8_t hashes[LEAVES_MAX * COMPUTE_HASH_BYTES];
    leaf_hashes_slowly(buffer, LEAVES_MAX * COMPUTE_LEAF_BYTES, expected);
    for (size_t leaves = 0; leaves <= LEAVES_MAX; leaves++) {
        memset(hashes, 0, sizeof(hashes));
        compute_leaf_hashes(compute, buffer, leaves * COMPUTE_LEAF_BYTES, hashes);
        ck_assert_mem_eq(hashes, expected, leaves * COMPUTE_HASH_BYTES);
        for (size_t i = leaves * COMPUTE_HASH_BYTES; i < sizeof(hashes); i++) {
            ck_assert_uint_eq(hashes[i], 0);
        }
    }
}
END_TEST

START_TEST(many_nodes_at_once_give_the_bits_of_single_nodes)
{
    for (size_t n = 0; n <= 70; n++) {
        uint8_t expected[70 * COMPUTE_HASH_BYTES];
        uint8_t parents[70 * COMPUTE_HASH_BYTES];
        uint8_t in_place[140 * COMPUTE_HASH_BYTES];
        for (size_t i = 0; i < n; i++) {
            uint8_t message[65] = {1};
            memcpy(message + 1, buffer + i * 64, 64);
            compute_sha256_plain(message, sizeof(message), expected + i * COMPUTE_HASH_BYTES);
        }
        compute_node_hashes(buffer, n, parents);
        ck_assert_mem_eq(parents, expected, n * COMPUTE_HASH_BYTES);
        compute_node_hashes_plain(buffer, n, parents);
        ck_assert_mem_eq(parents, expected, n * COMPUTE_HASH_BYTES);
        memcpy(in_place, buffer, sizeof(in_place));
        compute_node_hashes(in_place, n, in_place);
        ck_assert_mem_eq(in_place, expected, n * COMPUTE_HASH_BYTES);
    }
}
END_TEST

/* A clock whose every look costs more or less, as told. */
struct told_clock {
    uint64_t now_ns;
    uint64_t looks;
};

static uint64_t told_clock_now(void *ctx)
{
    struct told_clock *clock = ctx;
    /* two looks a round, three rounds a variant: later variants take longer */
    uint64_t variant = clock->looks / 6;
    clock->now_ns += clock->looks % 2 == 0 ? 0 : 1000 * (variant * variant * 20 + 1);
    clock->looks++;
    return clock->now_ns;
}

START_TEST(the_pick_follows_the_measurement_and_explains_itself)
{
    struct told_clock clock = {0};
    char text[300];
    compute_explain(compute, text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "prices built in"));
    compute_tune(compute, told_clock_now, &clock);
    /* the plain twin takes 1 us by this clock, all others 20 us and more */
    for (size_t leaves = 1; leaves <= 16; leaves++) {
        ck_assert_int_eq(compute_pick(compute, leaves), COMPUTE_SHA_PLAIN);
    }
    compute_explain(compute, text, sizeof(text));
    ck_assert_str_eq(text, "plain from 1 leaves (1 us a pass of 1), prices measured");
    char cut[8];
    compute_explain(compute, cut, sizeof(cut));
    ck_assert_str_eq(cut, "plain f");
}
END_TEST

START_TEST(wide_kernels_are_picked_for_many_leaves_where_they_run)
{
    if (compute_sha_runs(COMPUTE_SHA_LANES16)) {
        ck_assert_int_eq(compute_pick(compute, 64), COMPUTE_SHA_LANES16);
    } else if (compute_sha_runs(COMPUTE_SHA_LANES8)) {
        ck_assert_int_eq(compute_pick(compute, 64), COMPUTE_SHA_LANES8);
    } else {
        ck_assert_int_eq(compute_pick(compute, 64), COMPUTE_SHA_EVP);
    }
}
END_TEST

START_TEST(hashing_allocates_nothing_and_a_failed_start_leaks_nothing)
{
    struct alloc_budget budget;
    struct alloc counted = alloc_budget_init(&budget, alloc_heap(), 1u << 20);
    struct compute *c = NULL;
    struct err_info why;
    uint8_t hashes[LEAVES_MAX * COMPUTE_HASH_BYTES];
    budget.fail_at = 1;
    ck_assert_int_eq(compute_new(&c, &counted, &why), ERR_NO_MEMORY);
    budget.fail_at = 0;
    ck_assert_int_eq(compute_new(&c, &counted, &why), 0);
    uint64_t requests = budget.requests;
    compute_leaf_hashes(c, buffer, LEAVES_MAX * COMPUTE_LEAF_BYTES, hashes);
    ck_assert_uint_eq(budget.requests, requests);
    compute_free(c);
    ck_assert_uint_eq(budget.used_bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compute_sha");
    TCase *tests = tcase_create("sha");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, published_messages_have_their_published_hashes);
    tcase_add_test(tests, plain_equals_openssl_at_every_short_length_and_alignment);
    tcase_add_test(tests, a_leaf_hash_is_the_hash_of_a_zero_byte_and_the_leaf);
    tcase_add_test(tests, every_variant_gives_the_bits_of_the_plain_twin);
    tcase_add_test(tests, any_number_of_leaves_gives_the_same_bits_whatever_is_picked);
    tcase_add_test(tests, many_nodes_at_once_give_the_bits_of_single_nodes);
    tcase_add_test(tests, the_pick_follows_the_measurement_and_explains_itself);
    tcase_add_test(tests, wide_kernels_are_picked_for_many_leaves_where_they_run);
    tcase_add_test(tests, hashing_allocates_nothing_and_a_failed_start_leaks_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
