/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Placement: lists are permutations that depend on nothing but the nodes, follow weights, spread
 * over zones and move little; shards of nodes that are down find other holders.
 */
#include "base/num.h"
#include "base/rng.h"
#include "erasure/erasure.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define PGS 1024u

static void nodes_init(struct erasure_node *nodes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        nodes[i] = (struct erasure_node){.id = i + 1, .weight = 100, .zone = 0, .disks = 1};
    }
}

START_TEST(a_list_has_every_node_once_in_whatever_order_they_are_given)
{
    struct erasure_node nodes[40];
    struct erasure_node turned[40];
    uint32_t list[40];
    uint32_t again[40];
    for (unsigned count = 1; count <= 40; count++) {
        nodes_init(nodes, count);
        for (unsigned i = 0; i < count; i++) {
            turned[i] = nodes[count - 1 - i];
        }
        for (uint32_t pg = 0; pg < 8; pg++) {
            uint64_t seen = 0;
            ck_assert_int_eq(erasure_place_compute(nodes, count, pg, list), 0);
            ck_assert_int_eq(erasure_place_compute(turned, count, pg, again), 0);
            ck_assert_mem_eq(list, again, count * sizeof(list[0]));
            for (unsigned i = 0; i < count; i++) {
                seen |= UINT64_C(1) << list[i];
            }
            ck_assert_uint_eq(seen, ((UINT64_C(1) << count) - 1) << 1);
        }
    }
}
END_TEST

/* The stored form of placement must not change under anyone's hands. */
START_TEST(the_lists_of_five_nodes_are_what_they_always_were)
{
    struct erasure_node nodes[5];
    uint32_t list[5];
    static const uint32_t expected[4][5] = {
        {4, 1, 2, 3, 5},
        {3, 1, 5, 2, 4},
        {2, 1, 5, 4, 3},
        {4, 2, 1, 5, 3},
    };
    nodes_init(nodes, 5);
    for (uint32_t pg = 0; pg < 4; pg++) {
        ck_assert_int_eq(erasure_place_compute(nodes, 5, pg, list), 0);
        ck_assert_mem_eq(list, expected[pg], sizeof(list));
    }
}
END_TEST

START_TEST(first_places_follow_the_weights_and_disks)
{
    struct erasure_node nodes[4];
    unsigned first[5] = {0};
    nodes_init(nodes, 4);
    nodes[1].weight = 200;
    nodes[2].disks = 3;
    nodes[3].weight = 400;
    for (uint32_t pg = 0; pg < 10 * PGS; pg++) {
        uint32_t list[4];
        ck_assert_int_eq(erasure_place_compute(nodes, 4, pg, list), 0);
        first[list[0]]++;
    }
    /* shares of 1, 2, 3 and 4 tenths of 10,240, within six standard deviations */
    for (unsigned i = 1; i <= 4; i++) {
        ck_assert_uint_gt(first[i], i * PGS - 300);
        ck_assert_uint_lt(first[i], i * PGS + 300);
    }
}
END_TEST

START_TEST(nodes_without_weight_come_last)
{
    struct erasure_node nodes[6];
    nodes_init(nodes, 6);
    nodes[0].weight = 0;
    nodes[3].disks = 0;
    for (uint32_t pg = 0; pg < 64; pg++) {
        uint32_t list[6];
        ck_assert_int_eq(erasure_place_compute(nodes, 6, pg, list), 0);
        ck_assert(list[4] == 1 || list[4] == 4);
        ck_assert(list[5] == 1 || list[5] == 4);
    }
}
END_TEST

START_TEST(zones_take_turns)
{
    struct erasure_node nodes[9];
    nodes_init(nodes, 9);
    for (unsigned i = 0; i < 9; i++) {
        nodes[i].zone = i % 3;
    }
    for (uint32_t pg = 0; pg < 64; pg++) {
        uint32_t list[9];
        ck_assert_int_eq(erasure_place_compute(nodes, 9, pg, list), 0);
        for (unsigned i = 0; i < 9; i += 3) {
            uint32_t zones =
                1u << (list[i] - 1) % 3 | 1u << (list[i + 1] - 1) % 3 | 1u << (list[i + 2] - 1) % 3;
            ck_assert_uint_eq(zones, 7);
        }
    }
}
END_TEST

START_TEST(a_new_node_leaves_the_order_of_the_others_alone)
{
    struct erasure_node nodes[12];
    nodes_init(nodes, 12);
    for (uint32_t pg = 0; pg < 64; pg++) {
        uint32_t before[11];
        uint32_t after[12];
        unsigned at = 0;
        ck_assert_int_eq(erasure_place_compute(nodes, 11, pg, before), 0);
        ck_assert_int_eq(erasure_place_compute(nodes, 12, pg, after), 0);
        for (unsigned i = 0; i < 12; i++) {
            if (after[i] != 12) {
                ck_assert_uint_eq(after[i], before[at]);
                at++;
            }
        }
    }
}
END_TEST

START_TEST(nodes_that_cannot_be_are_refused)
{
    static struct erasure_node nodes[ERASURE_NODES_MAX + 1];
    static uint32_t list[ERASURE_NODES_MAX + 1];
    nodes_init(nodes, ERASURE_NODES_MAX + 1);
    ck_assert_int_eq(erasure_place_compute(nodes, 0, 0, list), ERR_INVALID);
    ck_assert_int_eq(erasure_place_compute(nodes, ERASURE_NODES_MAX + 1, 0, list), ERR_INVALID);
    ck_assert_int_eq(erasure_place_compute(nodes, ERASURE_NODES_MAX, 0, list), 0);
    nodes[7].id = 3;
    ck_assert_int_eq(erasure_place_compute(nodes, 10, 0, list), ERR_INVALID);
    nodes[7].id = 8;
    nodes[7].weight = (1u << 24) + 1;
    ck_assert_int_eq(erasure_place_compute(nodes, 10, 0, list), ERR_INVALID);
    nodes[7].weight = 1u << 24;
    nodes[7].disks = 65;
    ck_assert_int_eq(erasure_place_compute(nodes, 10, 0, list), ERR_INVALID);
    nodes[7].disks = 64;
    ck_assert_int_eq(erasure_place_compute(nodes, 10, 0, list), 0);
    ck_assert_uint_eq(list[0], 8);
}
END_TEST

START_TEST(extents_of_one_coordinator_go_to_all_groups_in_turn)
{
    for (uint64_t grant = 0; grant < 50; grant++) {
        uint64_t seen = 0;
        for (uint64_t counter = 1000; counter < 1064; counter++) {
            struct erasure_extent_id id = {grant, counter};
            uint32_t pg = erasure_pg_of(id, ERASURE_PGS_DEFAULT);
            ck_assert_uint_lt(pg, ERASURE_PGS_DEFAULT);
            seen |= UINT64_C(1) << pg;
        }
        ck_assert_uint_eq(seen, UINT64_MAX);
    }
    const struct erasure_extent_id id = {7, 9};
    ck_assert_uint_eq(erasure_pg_of(id, 1), 0);
    ck_assert_uint_eq(erasure_pg_of(id, ERASURE_PGS_DEFAULT), 29);
}
END_TEST

/* Every choice of nodes that are down, for the usual schemes on 1 to 8 nodes. */
START_TEST(shards_of_nodes_that_are_down_go_to_the_least_loaded)
{
    static const struct erasure_scheme schemes[] = {{1, 2}, {2, 1}, {3, 2}, {4, 2}, {8, 3}};
    static const uint32_t list[8] = {11, 12, 13, 14, 15, 16, 17, 18};
    for (unsigned at = 0; at < 5 * 8 * 256; at++) {
        const struct erasure_scheme scheme = schemes[at % 5];
        const unsigned count = at / 5 % 8 + 1;
        const unsigned up_set = (at / 40) & ((1u << count) - 1);
        const unsigned shards = scheme.k + scheme.m;
        bool up[8];
        uint32_t holders[ERASURE_SHARDS_MAX];
        unsigned load[8] = {0};
        unsigned up_count = 0;
        for (unsigned i = 0; i < count; i++) {
            up[i] = (up_set >> i & 1) != 0;
            up_count += up[i];
        }
        int err = erasure_assign(scheme, list, up, count, holders);
        ck_assert_int_eq(err, up_count == 0 ? ERR_UNAVAILABLE : 0);
        for (unsigned shard = 0; err == 0 && shard < shards; shard++) {
            ck_assert(up[holders[shard] - 11]);
            load[holders[shard] - 11]++;
            if (up[shard % count]) {
                ck_assert_uint_eq(holders[shard], erasure_home(list, count, shard));
            }
        }
        for (unsigned i = 0; err == 0 && i < count; i++) {
            ck_assert_uint_le(load[i], num_div_up(shards, up_count));
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("erasure_place");
    TCase *tests = tcase_create("place");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_list_has_every_node_once_in_whatever_order_they_are_given);
    tcase_add_test(tests, the_lists_of_five_nodes_are_what_they_always_were);
    tcase_add_test(tests, first_places_follow_the_weights_and_disks);
    tcase_add_test(tests, nodes_without_weight_come_last);
    tcase_add_test(tests, zones_take_turns);
    tcase_add_test(tests, a_new_node_leaves_the_order_of_the_others_alone);
    tcase_add_test(tests, nodes_that_cannot_be_are_refused);
    tcase_add_test(tests, extents_of_one_coordinator_go_to_all_groups_in_turn);
    tcase_add_test(tests, shards_of_nodes_that_are_down_go_to_the_least_loaded);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
