/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Trees and proofs against the definition of RFC 9162, section 2.1.1, for all sizes up to 70:
 * every proof that is made verifies, every flipped bit fails, and bytes from outside are refused.
 */
#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "merkle/merkle.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define LEAVES 200u
#define SIZE_MAX_TESTED 70u
#define HASH MERKLE_HASH_BYTES

static uint8_t leaves[LEAVES * HASH];
/* roots[n]: by the definition, over the first n leaves */
static uint8_t roots[LEAVES + 1][HASH];

/* MTH of RFC 9162, 2.1.1, level by level: an odd last node goes up as it is. */
static void root_by_definition(const uint8_t *hashes, size_t n, uint8_t out[HASH])
{
    uint8_t level[LEAVES * HASH];
    memcpy(level, hashes, n * HASH);
    while (n > 1) {
        for (size_t i = 0; i < n / 2; i++) {
            uint8_t message[65] = {1};
            memcpy(message + 1, level + 2 * i * HASH, 64);
            compute_sha256_plain(message, sizeof(message), level + i * HASH);
        }
        if (n % 2 == 1) {
            memmove(level + n / 2 * HASH, level + (n - 1) * HASH, HASH);
        }
        n = n / 2 + n % 2;
    }
    memcpy(out, level, HASH);
}

static void set_up(void)
{
    struct rng r;
    rng_init(&r, 11);
    rng_fill(&r, leaves, sizeof(leaves));
    merkle_root_empty(roots[0]);
    for (size_t n = 1; n <= LEAVES; n++) {
        root_by_definition(leaves, n, roots[n]);
    }
}

START_TEST(roots_of_all_sizes_follow_the_definition)
{
    uint8_t root[HASH];
    for (size_t n = 0; n <= LEAVES; n++) {
        merkle_root_of(leaves, n, root);
        ck_assert_mem_eq(root, roots[n], HASH);
    }
}
END_TEST

START_TEST(a_builder_gives_the_root_after_every_push_of_any_length)
{
    struct rng r;
    rng_init(&r, 12);
    for (unsigned round = 0; round < 50; round++) {
        struct merkle_builder b;
        uint8_t root[HASH];
        merkle_builder_init(&b);
        while (b.count < LEAVES) {
            uint64_t n = rng_between(&r, 1, NUM_MIN(LEAVES - b.count, 90));
            n = rng_chance(&r, 1, 2) ? 1 : n;
            merkle_builder_push(&b, leaves + b.count * HASH, n);
            merkle_builder_root(&b, root);
            ck_assert_mem_eq(root, roots[b.count], HASH);
        }
    }
}
END_TEST

START_TEST(the_root_over_cell_roots_is_the_root_over_leaves)
{
    for (size_t cell = 1; cell <= 64; cell *= 2) {
        for (size_t n = 1; n <= LEAVES; n++) {
            uint8_t cells[LEAVES * HASH];
            uint8_t root[HASH];
            size_t count = 0;
            for (size_t from = 0; from < n; from += cell) {
                size_t part = NUM_MIN(cell, n - from);
                merkle_root_of(leaves + from * HASH, part, cells + count * HASH);
                count++;
            }
            merkle_root_of(cells, count, root);
            ck_assert_mem_eq(root, roots[n], HASH);
        }
    }
}
END_TEST

START_TEST(subtrees_are_taken_only_where_they_fit)
{
    struct merkle_builder b;
    uint8_t node[HASH];
    uint8_t root[HASH];
    merkle_builder_init(&b);
    merkle_root_of(leaves, 4, node);
    ck_assert_int_eq(merkle_builder_push_subtree(&b, node, 4), 0);
    merkle_root_of(leaves + 4 * HASH, 2, node);
    ck_assert_int_eq(merkle_builder_push_subtree(&b, node, 2), 0);
    ck_assert_int_eq(merkle_builder_push_subtree(&b, node, 0), ERR_INVALID);
    ck_assert_int_eq(merkle_builder_push_subtree(&b, node, 4), ERR_INVALID);
    ck_assert_int_eq(merkle_builder_push_subtree(&b, node, UINT64_MAX), ERR_INVALID);
    merkle_root_of(leaves + 6 * HASH, 2, node);
    ck_assert_int_eq(merkle_builder_push_subtree(&b, node, 2), 0);
    merkle_root_of(leaves + 8 * HASH, 5, node);
    ck_assert_int_eq(merkle_builder_push_subtree(&b, node, 5), 0);
    ck_assert_int_eq(merkle_builder_push_subtree(&b, node, 1), ERR_INVALID);
    merkle_builder_root(&b, root);
    ck_assert_mem_eq(root, roots[13], HASH);
}
END_TEST

START_TEST(every_leaf_of_every_tree_is_proved)
{
    for (uint64_t n = 1; n <= SIZE_MAX_TESTED; n++) {
        struct merkle_tree tree = merkle_tree_of(leaves, n);
        struct merkle_proof proof;
        for (uint64_t i = 0; i < n; i++) {
            ck_assert_int_eq(merkle_inclusion_make(&tree, i, &proof), 0);
            struct bytes view = merkle_proof_view(&proof);
            ck_assert_int_eq(merkle_inclusion_verify(n, i, leaves + i * HASH, view, roots[n]), 0);
            ck_assert_int_ne(merkle_inclusion_verify(n, i, leaves + (i + 1) * HASH, view, roots[n]),
                             0);
            ck_assert_int_ne(merkle_inclusion_verify(n, i, leaves + i * HASH, view, roots[n + 1]),
                             0);
        }
        ck_assert_int_eq(merkle_inclusion_make(&tree, n, &proof), ERR_RANGE);
    }
}
END_TEST

START_TEST(every_older_tree_is_proved_consistent)
{
    for (uint64_t n = 1; n <= SIZE_MAX_TESTED; n++) {
        struct merkle_tree tree = merkle_tree_of(leaves, n);
        struct merkle_proof proof;
        for (uint64_t m = 1; m <= n; m++) {
            ck_assert_int_eq(merkle_consistency_make(&tree, m, &proof), 0);
            struct bytes view = merkle_proof_view(&proof);
            ck_assert_int_eq(merkle_consistency_verify(m, n, roots[m], roots[n], view), 0);
            ck_assert_int_ne(merkle_consistency_verify(m, n, roots[m], roots[n + 1], view), 0);
            ck_assert_int_ne(merkle_consistency_verify(m, n, roots[m + 1], roots[n], view), 0);
        }
        ck_assert_int_eq(merkle_consistency_make(&tree, 0, &proof), ERR_RANGE);
        ck_assert_int_eq(merkle_consistency_make(&tree, n + 1, &proof), ERR_RANGE);
    }
}
END_TEST

START_TEST(every_range_of_every_tree_is_proved)
{
    for (uint64_t n = 1; n <= SIZE_MAX_TESTED; n++) {
        struct merkle_tree tree = merkle_tree_of(leaves, n);
        struct merkle_proof proof;
        for (uint64_t at = 0; at < n * n; at++) {
            struct merkle_range range = {.size = n, .first = at / n, .count = at % n + 1};
            if (range.first + range.count > n) {
                continue;
            }
            ck_assert_int_eq(merkle_range_make(&tree, range.first, range.count, &proof), 0);
            ck_assert_uint_eq(proof.count, merkle_range_nodes(&range));
            ck_assert_int_eq(merkle_range_verify(&range, leaves + range.first * HASH,
                                                 merkle_proof_view(&proof), roots[n]),
                             0);
        }
    }
}
END_TEST

START_TEST(any_flipped_bit_in_a_range_or_its_proof_fails)
{
    struct rng r;
    rng_init(&r, 13);
    for (unsigned round = 0; round < 60; round++) {
        uint64_t n = rng_between(&r, 1, SIZE_MAX_TESTED);
        uint64_t first = rng_below(&r, n);
        struct merkle_range range = {n, first, rng_between(&r, 1, NUM_MIN(n - first, 12))};
        struct merkle_tree tree = merkle_tree_of(leaves, n);
        struct merkle_proof proof;
        uint8_t *nodes = &proof.nodes[0][0];
        uint8_t hashes[12 * HASH];
        ck_assert_int_eq(merkle_range_make(&tree, first, range.count, &proof), 0);
        memcpy(hashes, leaves + first * HASH, range.count * HASH);
        struct bytes view = merkle_proof_view(&proof);
        for (size_t bit = rng_below(&r, 13); bit < range.count * HASH * 8; bit += 13) {
            hashes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            ck_assert_int_eq(merkle_range_verify(&range, hashes, view, roots[n]), ERR_CORRUPT);
            hashes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t bit = rng_below(&r, 13); bit < view.size * 8; bit += 13) {
            nodes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            ck_assert_int_eq(merkle_range_verify(&range, hashes, view, roots[n]), ERR_CORRUPT);
            nodes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        ck_assert_int_eq(merkle_range_verify(&range, hashes, view, roots[n]), 0);
    }
}
END_TEST

START_TEST(a_range_proof_holds_at_no_other_place_and_with_no_other_length)
{
    struct merkle_tree tree = merkle_tree_of(leaves, 50);
    struct merkle_proof proof;
    ck_assert_int_eq(merkle_range_make(&tree, 17, 5, &proof), 0);
    for (uint64_t first = 0; first <= 60; first++) {
        struct merkle_range range = {50, first, 5};
        int err =
            merkle_range_verify(&range, leaves + 17 * HASH, merkle_proof_view(&proof), roots[50]);
        ck_assert_int_eq(err, first == 17 ? 0 : ERR_CORRUPT);
        /* trees of other sizes, where the proof has another shape */
        range.size = first <= 32 ? first : first + 32;
        err = merkle_range_verify(&range, leaves + 17 * HASH, merkle_proof_view(&proof), roots[50]);
        ck_assert_int_eq(err, ERR_CORRUPT);
    }
    struct merkle_range range = {50, 17, 5};
    struct bytes view = merkle_proof_view(&proof);
    for (size_t bytes = 0; bytes < sizeof(proof.nodes); bytes++) {
        int err =
            merkle_range_verify(&range, leaves + 17 * HASH, bytes_of(view.data, bytes), roots[50]);
        ck_assert_int_eq(err, bytes == view.size ? 0 : ERR_CORRUPT);
    }
}
END_TEST

START_TEST(ranges_that_wrap_or_are_empty_or_huge_are_refused)
{
    static const struct merkle_range hostile[] = {
        {0, 0, 0},
        {0, 0, 1},
        {5, 0, 0},
        {5, 5, 0},
        {5, 5, 1},
        {5, 4, 2},
        {5, UINT64_MAX, 2},
        {5, 2, UINT64_MAX},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX},
        {UINT64_MAX, UINT64_MAX, 1},
    };
    struct merkle_proof proof = {.count = MERKLE_PROOF_MAX};
    struct merkle_tree tree = merkle_tree_of(leaves, 5);
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        ck_assert_uint_eq(merkle_range_nodes(&hostile[i]), 0);
        ck_assert_int_eq(
            merkle_range_verify(&hostile[i], leaves, merkle_proof_view(&proof), roots[5]),
            ERR_CORRUPT);
    }
    ck_assert_int_eq(merkle_range_make(&tree, 5, 1, &proof), ERR_RANGE);
    ck_assert_int_eq(merkle_range_make(&tree, UINT64_MAX, 2, &proof), ERR_RANGE);
    ck_assert_int_eq(merkle_range_make(&tree, 1, 0, &proof), ERR_RANGE);
}
END_TEST

START_TEST(proofs_for_the_largest_sizes_end_with_an_answer)
{
    static uint8_t nodes[(MERKLE_PROOF_MAX + 2) * HASH];
    const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63,
                              (UINT64_C(1) << 63) + 1};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        const uint64_t n = sizes[s];
        const uint64_t places[] = {0, 1, n / 2 - 1, n / 2, n - 2, n - 1};
        for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
            const struct merkle_range range = {n, places[p], 1};
            ck_assert_uint_le(merkle_range_nodes(&range), MERKLE_PROOF_MAX);
            for (size_t count = 0; count <= MERKLE_PROOF_MAX + 2; count += 3) {
                struct bytes proof = bytes_of(nodes, count * HASH);
                ck_assert_int_eq(merkle_range_verify(&range, leaves, proof, roots[1]), ERR_CORRUPT);
                ck_assert_int_eq(merkle_inclusion_verify(n, places[p], leaves, proof, roots[1]),
                                 ERR_CORRUPT);
                ck_assert_int_eq(
                    merkle_consistency_verify(places[p] + 1, n, roots[1], roots[2], proof),
                    ERR_CORRUPT);
            }
        }
    }
}
END_TEST

/* A tree of 2^64 - 1 equal leaves: every perfect subtree of a size has the same root. */
struct equal_tree {
    uint8_t level[64][HASH];
};

static int equal_node(const void *ctx, uint64_t first, uint64_t count, uint8_t out[HASH])
{
    const struct equal_tree *t = ctx;
    struct merkle_builder b;
    (void)first;
    merkle_builder_init(&b);
    for (unsigned level = 64; level-- > 0;) {
        if ((count >> level & 1) != 0 &&
            merkle_builder_push_subtree(&b, t->level[level], UINT64_C(1) << level) != 0) {
            return ERR_INVALID;
        }
    }
    merkle_builder_root(&b, out);
    return 0;
}

START_TEST(the_largest_tree_is_proved_like_a_small_one)
{
    struct equal_tree t;
    struct merkle_proof proof;
    uint8_t root[HASH];
    memcpy(t.level[0], leaves, HASH);
    for (unsigned level = 1; level < 64; level++) {
        compute_node_hash(t.level[level - 1], t.level[level - 1], t.level[level]);
    }
    const struct merkle_tree tree = {UINT64_MAX, equal_node, &t};
    ck_assert_int_eq(equal_node(&t, 0, UINT64_MAX, root), 0);
    const uint64_t places[] = {0, 1, UINT64_MAX / 2, UINT64_MAX / 2 + 1, UINT64_MAX - 1};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const struct merkle_range range = {UINT64_MAX, places[i], 1};
        ck_assert_int_eq(merkle_inclusion_make(&tree, places[i], &proof), 0);
        ck_assert_int_eq(
            merkle_inclusion_verify(UINT64_MAX, places[i], leaves, merkle_proof_view(&proof), root),
            0);
        ck_assert_int_eq(merkle_range_make(&tree, places[i], 1, &proof), 0);
        ck_assert_int_eq(merkle_range_verify(&range, leaves, merkle_proof_view(&proof), root), 0);
    }
}
END_TEST

static int failing_node(const void *ctx, uint64_t first, uint64_t count, uint8_t out[HASH])
{
    (void)ctx;
    (void)first;
    (void)count;
    (void)out;
    return ERR_IO;
}

START_TEST(an_error_of_the_tree_ends_the_making)
{
    const struct merkle_tree tree = {9, failing_node, NULL};
    struct merkle_proof proof;
    ck_assert_int_eq(merkle_inclusion_make(&tree, 3, &proof), ERR_IO);
    ck_assert_int_eq(merkle_consistency_make(&tree, 3, &proof), ERR_IO);
    ck_assert_int_eq(merkle_range_make(&tree, 3, 2, &proof), ERR_IO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("merkle_tree");
    TCase *tests = tcase_create("tree");
    tcase_set_timeout(tests, 200);
    tcase_add_unchecked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, roots_of_all_sizes_follow_the_definition);
    tcase_add_test(tests, a_builder_gives_the_root_after_every_push_of_any_length);
    tcase_add_test(tests, the_root_over_cell_roots_is_the_root_over_leaves);
    tcase_add_test(tests, subtrees_are_taken_only_where_they_fit);
    tcase_add_test(tests, every_leaf_of_every_tree_is_proved);
    tcase_add_test(tests, every_older_tree_is_proved_consistent);
    tcase_add_test(tests, every_range_of_every_tree_is_proved);
    tcase_add_test(tests, any_flipped_bit_in_a_range_or_its_proof_fails);
    tcase_add_test(tests, a_range_proof_holds_at_no_other_place_and_with_no_other_length);
    tcase_add_test(tests, ranges_that_wrap_or_are_empty_or_huge_are_refused);
    tcase_add_test(tests, proofs_for_the_largest_sizes_end_with_an_answer);
    tcase_add_test(tests, the_largest_tree_is_proved_like_a_small_one);
    tcase_add_test(tests, an_error_of_the_tree_ends_the_making);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
