/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Subtrees: every one of every tree of up to 40 leaves is proved, and proofs of whole trees are
 * those of subtrees from 0. tests/unit/merkle/test_vectors.c runs the published vectors.
 */
#include "base/rng.h"
#include "compute/compute.h"
#include "merkle/merkle.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define LEAVES 41u
#define HASH MERKLE_HASH_BYTES

static uint8_t leaves[LEAVES * HASH];

static void set_up(void)
{
    struct rng r;
    rng_init(&r, 21);
    rng_fill(&r, leaves, sizeof(leaves));
}

static void root_of(uint64_t start, uint64_t end, uint8_t out[HASH])
{
    merkle_root_of(leaves + start * HASH, end - start, out);
}

START_TEST(a_subtree_is_valid_where_a_power_of_two_that_holds_it_begins)
{
    const struct {
        uint64_t start, end;
        bool valid;
    } rows[] = {
        {0, 0, true},          {3, 3, true},
        {0, 1, true},          {7, 8, true},
        {4, 7, true},          {4, 8, true},
        {4, 9, false},         {2, 5, false},
        {2, 6, false},         {5, 4, false},
        {0, UINT64_MAX, true}, {1, UINT64_MAX, false},
        {0, 1ull << 63, true}, {1ull << 63, UINT64_MAX, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct merkle_subtree sub = {rows[i].start, rows[i].end};
        ck_assert_msg(merkle_subtree_valid(&sub) == rows[i].valid, "row %zu", i);
    }
}
END_TEST

static void check_subtree(uint64_t n, const struct merkle_subtree *sub)
{
    struct merkle_tree tree = merkle_tree_of(leaves, n);
    struct merkle_proof proof;
    struct merkle_proof plain;
    uint8_t node[HASH];
    uint8_t root[HASH];
    uint8_t other[HASH];
    root_of(sub->start, sub->end, node);
    root_of(0, n, root);
    root_of(0, n + 1, other);
    ck_assert_int_eq(merkle_subtree_consistency_make(&tree, sub, &proof), 0);
    struct bytes view = merkle_proof_view(&proof);
    ck_assert_int_eq(merkle_subtree_consistency_verify(n, sub, node, root, view), 0);
    ck_assert_int_eq(merkle_subtree_consistency_verify(n, sub, node, other, view), ERR_CORRUPT);
    ck_assert_int_eq(merkle_subtree_consistency_verify(n, sub, other, root, view), ERR_CORRUPT);
    for (size_t i = 0; i < view.size; i += 13) {
        proof.nodes[i / HASH][i % HASH] ^= 4;
        ck_assert_int_eq(merkle_subtree_consistency_verify(n, sub, node, root, view), ERR_CORRUPT);
        proof.nodes[i / HASH][i % HASH] ^= 4;
    }
    if (sub->start == 0) {
        ck_assert_int_eq(merkle_consistency_make(&tree, sub->end, &plain), 0);
        ck_assert_uint_eq(plain.count, proof.count);
        ck_assert_mem_eq(plain.nodes, proof.nodes, (size_t)proof.count * HASH);
    }
}

START_TEST(every_subtree_of_every_tree_is_proved)
{
    for (uint64_t n = 1; n < LEAVES; n++) {
        for (uint64_t start = 0; start < n; start++) {
            for (uint64_t end = start + 1; end <= n; end++) {
                const struct merkle_subtree sub = {start, end};
                if (merkle_subtree_valid(&sub)) {
                    check_subtree(n, &sub);
                }
            }
        }
    }
}
END_TEST

START_TEST(every_leaf_of_a_subtree_is_proved_by_its_place_in_the_tree)
{
    const struct merkle_subtree sub = {16, 29};
    struct merkle_tree tree = merkle_tree_of(leaves + sub.start * HASH, sub.end - sub.start);
    struct merkle_proof proof;
    uint8_t node[HASH];
    root_of(sub.start, sub.end, node);
    for (uint64_t i = sub.start; i < sub.end; i++) {
        const uint8_t *leaf = leaves + i * HASH;
        ck_assert_int_eq(merkle_inclusion_make(&tree, i - sub.start, &proof), 0);
        struct bytes view = merkle_proof_view(&proof);
        ck_assert_int_eq(merkle_subtree_inclusion_verify(&sub, i, leaf, view, node), 0);
        ck_assert_int_ne(merkle_subtree_inclusion_verify(&sub, i + 1, leaf, view, node), 0);
        ck_assert_int_ne(merkle_subtree_inclusion_verify(&sub, i - 16, leaf, view, node), 0);
    }
}
END_TEST

START_TEST(subtrees_that_are_empty_or_invalid_or_beyond_the_end_are_not_made)
{
    const struct merkle_subtree bad[] = {{0, 0}, {3, 2}, {2, 5}, {0, 10}, {8, UINT64_MAX}};
    struct merkle_tree tree = merkle_tree_of(leaves, 9);
    struct merkle_proof proof;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(merkle_subtree_consistency_make(&tree, &bad[i], &proof), ERR_RANGE);
    }
}
END_TEST

START_TEST(proofs_of_any_numbers_end_with_an_answer)
{
    struct rng r;
    uint8_t nodes[70 * HASH];
    rng_init(&r, 22);
    rng_fill(&r, nodes, sizeof(nodes));
    for (unsigned round = 0; round < 20000; round++) {
        unsigned shift = (unsigned)rng_between(&r, 0, 63);
        uint64_t start = rng_next(&r) >> shift << rng_between(&r, 0, 63);
        const struct merkle_subtree sub = {start, start + (rng_next(&r) >> rng_between(&r, 0, 63))};
        struct bytes proof = bytes_of(nodes, rng_between(&r, 0, 70) * HASH);
        ck_assert_int_ne(merkle_subtree_consistency_verify(rng_next(&r) >> rng_between(&r, 0, 63),
                                                           &sub, nodes, nodes + HASH, proof),
                         0);
        ck_assert_int_ne(merkle_subtree_inclusion_verify(&sub, start + rng_between(&r, 0, 9), nodes,
                                                         proof, nodes + HASH),
                         0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("merkle_subtree");
    TCase *tests = tcase_create("subtree");
    tcase_set_timeout(tests, 120);
    tcase_add_unchecked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, a_subtree_is_valid_where_a_power_of_two_that_holds_it_begins);
    tcase_add_test(tests, every_subtree_of_every_tree_is_proved);
    tcase_add_test(tests, every_leaf_of_a_subtree_is_proved_by_its_place_in_the_tree);
    tcase_add_test(tests, subtrees_that_are_empty_or_invalid_or_beyond_the_end_are_not_made);
    tcase_add_test(tests, proofs_of_any_numbers_end_with_an_answer);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
