/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Commit rule against brute force: whatever it lets pass survives the loss of any one node, and it
 * lets pass all that the rule's words allow.
 */
#include "base/num.h"
#include "erasure/erasure.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 6u

static const struct erasure_scheme schemes[] = {{2, 1}, {3, 2}, {4, 2}, {8, 3}};
static const uint32_t list[NODES_MAX] = {101, 102, 103, 104, 105, 106};

static unsigned bits_of(uint32_t set)
{
    unsigned count = 0;
    for (unsigned i = 0; i < 32; i++) {
        count += set >> i & 1u;
    }
    return count;
}

/* returns: the durable shards that are left when a node is lost. */
static uint32_t without_node(const struct erasure_commit *c, uint32_t node)
{
    uint32_t left = 0;
    for (unsigned i = 0; i < (unsigned)c->scheme.k + c->scheme.m; i++) {
        if ((c->durable >> i & 1u) != 0 && c->holders[i] != node) {
            left |= 1u << i;
        }
    }
    return left;
}

static bool survives_any_node(const struct erasure_commit *c, unsigned nodes)
{
    for (unsigned n = 0; n < nodes; n++) {
        if (bits_of(without_node(c, list[n])) < c->scheme.k) {
            return false;
        }
    }
    return true;
}

/* Holders with the nodes of a set up; false if the rooms cannot be filled. */
static bool holders_of(struct erasure_scheme scheme, unsigned nodes, unsigned up_set,
                       uint32_t *holders)
{
    bool up[NODES_MAX];
    for (unsigned i = 0; i < nodes; i++) {
        up[i] = (up_set >> i & 1u) != 0;
    }
    return erasure_assign(scheme, list, up, nodes, holders) == 0;
}

/* Every scheme, every number of nodes, every set of nodes up, every set of durable shards. */
static void check_all_sets(struct erasure_scheme scheme, unsigned nodes, unsigned up_set)
{
    uint32_t holders[ERASURE_SHARDS_MAX];
    const unsigned shards = (unsigned)scheme.k + scheme.m;
    const unsigned least = scheme.k + NUM_MAX(1u, (scheme.m + 1u) / 2);
    if (!holders_of(scheme, nodes, up_set, holders)) {
        return;
    }
    for (uint32_t durable = 0; durable < 1u << shards; durable++) {
        struct erasure_commit c = {scheme, durable, holders, false};
        const bool survives = survives_any_node(&c, nodes);
        const bool all = bits_of(durable) == shards;
        ck_assert_int_eq(erasure_commit_ok(&c), all && survives);
        c.deadline_passed = true;
        ck_assert_int_eq(erasure_commit_ok(&c), bits_of(durable) >= least && survives);
    }
}

START_TEST(what_may_be_committed_survives_the_loss_of_any_one_node)
{
    for (unsigned s = 0; s < sizeof(schemes) / sizeof(schemes[0]); s++) {
        for (unsigned nodes = 3; nodes <= NODES_MAX; nodes++) {
            for (unsigned up_set = 1; up_set < 1u << nodes; up_set++) {
                check_all_sets(schemes[s], nodes, up_set);
            }
        }
    }
}
END_TEST

START_TEST(without_parity_every_shard_must_be_durable)
{
    const uint32_t holders[] = {101, 101, 102, 103};
    struct erasure_commit c = {{4, 0}, 0x7, holders, true};
    ck_assert(!erasure_commit_ok(&c));
    c.durable = 0xf;
    ck_assert(erasure_commit_ok(&c));
    c.deadline_passed = false;
    ck_assert(erasure_commit_ok(&c));
}
END_TEST

START_TEST(the_widest_scheme_is_counted_right)
{
    uint32_t holders[ERASURE_SHARDS_MAX];
    for (unsigned i = 0; i < ERASURE_SHARDS_MAX; i++) {
        holders[i] = i;
    }
    struct erasure_commit c = {{1, 31}, UINT32_MAX, holders, false};
    ck_assert(erasure_commit_ok(&c));
    c.durable = 0x1ffff;
    ck_assert(!erasure_commit_ok(&c));
    c.deadline_passed = true;
    ck_assert(erasure_commit_ok(&c));
    c.durable = 0xffff;
    ck_assert(!erasure_commit_ok(&c));
}
END_TEST

/* A scheme fits where a put with every shard durable may be committed. */
START_TEST(a_scheme_fits_where_all_of_its_shards_survive_one_node)
{
    for (unsigned k = 1; k <= 12; k++) {
        for (unsigned m = 1; m <= 6; m++) {
            for (unsigned nodes = 1; nodes <= NODES_MAX; nodes++) {
                const struct erasure_scheme scheme = {(uint8_t)k, (uint8_t)m};
                uint32_t holders[ERASURE_SHARDS_MAX];
                ck_assert(holders_of(scheme, nodes, (1u << nodes) - 1, holders));
                const struct erasure_commit c = {scheme, (1u << (k + m)) - 1, holders, false};
                ck_assert_int_eq(erasure_scheme_fits(scheme, nodes), erasure_commit_ok(&c));
            }
        }
    }
}
END_TEST

START_TEST(schemes_and_nodes_that_cannot_be_do_not_fit)
{
    ck_assert(erasure_scheme_fits((struct erasure_scheme){1, 0}, 1));
    ck_assert(erasure_scheme_fits((struct erasure_scheme){32, 0}, 1));
    ck_assert(!erasure_scheme_fits((struct erasure_scheme){1, 0}, 0));
    ck_assert(!erasure_scheme_fits((struct erasure_scheme){3, 2}, 0));
    ck_assert(!erasure_scheme_fits((struct erasure_scheme){0, 2}, 5));
    ck_assert(!erasure_scheme_fits((struct erasure_scheme){31, 2}, 40));
    ck_assert(!erasure_scheme_fits((struct erasure_scheme){3, 2}, 2));
    ck_assert(erasure_scheme_fits((struct erasure_scheme){3, 2}, 3));
    ck_assert_int_eq(erasure_scheme_check((struct erasure_scheme){32, 0}), 0);
    ck_assert_int_eq(erasure_scheme_check((struct erasure_scheme){1, 31}), 0);
    ck_assert_int_eq(erasure_scheme_check((struct erasure_scheme){32, 1}), ERR_SCHEME);
    ck_assert_int_eq(erasure_scheme_check((struct erasure_scheme){0, 1}), ERR_SCHEME);
}
END_TEST

/* Brute force: the most nodes such that every choice of so many leaves k shards. */
static unsigned tolerance_by_force(struct erasure_scheme scheme, unsigned nodes)
{
    const unsigned shards = (unsigned)scheme.k + scheme.m;
    unsigned best = nodes;
    for (unsigned lost_set = 0; lost_set < 1u << nodes; lost_set++) {
        unsigned left = 0;
        for (unsigned i = 0; i < shards; i++) {
            left += (lost_set >> (i % nodes) & 1u) == 0;
        }
        if (left < scheme.k) {
            best = NUM_MIN(best, bits_of(lost_set) - 1);
        }
    }
    return best;
}

START_TEST(tolerance_is_the_number_of_nodes_that_may_be_lost)
{
    for (unsigned k = 1; k <= 12; k++) {
        for (unsigned m = 0; m <= 8; m++) {
            for (unsigned nodes = 1; nodes <= 8; nodes++) {
                const struct erasure_scheme scheme = {(uint8_t)k, (uint8_t)m};
                ck_assert_uint_eq(erasure_tolerance(scheme, nodes),
                                  tolerance_by_force(scheme, nodes));
            }
        }
    }
    ck_assert_uint_eq(erasure_tolerance((struct erasure_scheme){3, 2}, 5), 2);
    ck_assert_uint_eq(erasure_tolerance((struct erasure_scheme){3, 2}, 3), 1);
    ck_assert_uint_eq(erasure_tolerance((struct erasure_scheme){1, 0}, 1), 0);
    ck_assert_uint_eq(erasure_tolerance((struct erasure_scheme){3, 2}, 0), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("erasure_commit");
    TCase *tests = tcase_create("commit");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, what_may_be_committed_survives_the_loss_of_any_one_node);
    tcase_add_test(tests, without_parity_every_shard_must_be_durable);
    tcase_add_test(tests, the_widest_scheme_is_counted_right);
    tcase_add_test(tests, a_scheme_fits_where_all_of_its_shards_survive_one_node);
    tcase_add_test(tests, schemes_and_nodes_that_cannot_be_do_not_fit);
    tcase_add_test(tests, tolerance_is_the_number_of_nodes_that_may_be_lost);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
