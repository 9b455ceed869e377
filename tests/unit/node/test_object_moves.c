/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Shards that get other homes: the command, and where the rules send them.
 */
#include "server/node/objects_internal.h"
#include "tests/unit/node/object_cmds.h"

#include <stdio.h>

START_TEST(a_shard_of_a_lost_node_is_missing_at_its_new_home_and_does_not_count)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    ck_assert_int_eq(move(1, 2, 5, 4), 0);
    struct node_extent e = extent_get(1, 0);
    ck_assert_uint_eq(e.home[2], 5);
    ck_assert_uint_eq(e.holder[2], 3); /* it may have it still */
    ck_assert_uint_eq(e.durable, 27);
    ck_assert_uint_eq(e.away, 4);
    ck_assert_uint_eq(node_extent_left(&e), 1);
    ck_assert(missing_at(1, 5, 2) && !missing_at(1, 3, 2));
    ck_assert_uint_eq(missing_of(1), 1);
    ck_assert_int_eq(repaired_at(1, 2), 0);
    e = extent_get(1, 0);
    ck_assert_uint_eq(e.durable, 31);
    ck_assert_uint_eq(e.away, 0);
    ck_assert_uint_eq(e.holder[2], 5);
    ck_assert_uint_eq(missing_of(1), 0);
    ck_assert_uint_eq(state_count(st, NODE_KEY_MISSING), 0);
}
END_TEST

START_TEST(a_lost_node_that_returns_early_gets_its_shard_back)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    ck_assert_int_eq(move(1, 2, 5, 4), 0);
    ck_assert_int_eq(move(1, 2, 3, 0), 0);
    struct node_extent e = extent_get(1, 0);
    ck_assert_uint_eq(e.away, 0);
    ck_assert_uint_eq(e.durable, 27); /* it looks at its disk first */
    ck_assert(missing_at(1, 3, 2) && !missing_at(1, 5, 2));
    ck_assert_uint_eq(missing_of(1), 1);
    ck_assert_int_eq(repaired_at(1, 2), 0);
    ck_assert_uint_eq(extent_get(1, 0).durable, 31);
    ck_assert_uint_eq(state_count(st, NODE_KEY_MISSING), 0);
}
END_TEST

START_TEST(a_lost_shard_without_another_home_is_shown_as_missing)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    ck_assert_int_eq(move(1, 2, 3, 4), 0);
    ck_assert_uint_eq(extent_get(1, 0).durable, 27);
    ck_assert(missing_at(1, 3, 2));
    ck_assert_uint_eq(missing_of(1), 1);
}
END_TEST

START_TEST(a_shard_moves_while_its_holder_keeps_it)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    ck_assert_int_eq(move(1, 0, 2, 0), 0);
    struct node_extent e = extent_get(1, 0);
    ck_assert_uint_eq(e.durable, 31);
    ck_assert_uint_eq(e.away, 1);
    ck_assert_uint_eq(e.holder[0], 1);
    ck_assert(missing_at(1, 2, 0));
}
END_TEST

START_TEST(a_move_judged_by_an_older_extent_is_refused)
{
    struct node_object_cmd c;
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    extent_cmd(&c, 1, 0, 0);
    c.revision = extent_get(1, 0).revision;
    memcpy(c.move_to, c.ref.home, sizeof c.move_to);
    c.move_to[0] = 2;
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_DAMAGED, 1, 1, c.revision), 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_SHARDS_MOVE, &c, NULL), ERR_CONFLICT);
    ck_assert_uint_eq(extent_get(1, 0).home[0], 1);
}
END_TEST

START_TEST(a_repair_for_a_home_that_has_changed_is_refused)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    ck_assert_int_eq(move(1, 2, 5, 4), 0);
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_REPAIRED, 1, 2, 0), ERR_CONFLICT);
    ck_assert_uint_eq(extent_get(1, 0).durable, 27);
}
END_TEST

START_TEST(extents_of_uploads_and_of_dead_versions_do_not_move)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    ck_assert_int_eq(extent(1, 0, 0), 0);
    ck_assert_int_eq(move(1, 2, 5, 4), ERR_CONFLICT);
    ck_assert_int_eq(cancel(1, false), 0);
    ck_assert_int_eq(move(1, 2, 5, 4), ERR_VERSION_GONE);
}
END_TEST

START_TEST(bodies_of_moves_cut_anywhere_are_refused_and_flipped_ones_harmless)
{
    struct buf body;
    struct node_object_cmd c = {.lost = 4};
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    const struct node_extent e = extent_get(1, 0);
    node_extent_ref_of(version(1), 0, &e, &c.ref);
    memcpy(c.move_to, e.home, sizeof c.move_to);
    c.revision = e.revision;
    buf_init(&body, &st->alloc, 1u << 20);
    ck_assert_int_eq(node_object_cmd_encode(NODE_OP_SHARDS_MOVE, &c, &body), 0);
    for (size_t cut = 0; cut < body.size; cut++) {
        ck_assert_int_eq(state_apply_raw(st, NODE_OP_SHARDS_MOVE, bytes_of(body.data, cut)),
                         ERR_INVALID);
    }
    for (size_t i = 0; i < body.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            body.data[i] ^= (uint8_t)(1u << bit);
            (void)state_apply_raw(st, NODE_OP_SHARDS_MOVE, buf_view(&body));
            body.data[i] ^= (uint8_t)(1u << bit);
            const struct node_extent now = extent_get(1, 0);
            uint64_t missing = (uint64_t)__builtin_popcount(node_extent_missing(&now));
            ck_assert_uint_eq(state_count(st, NODE_KEY_MISSING), missing);
        }
    }
    buf_release(&body);
}
END_TEST

/* ---- where shards go ------------------------------------------------------------------------ */

/* n nodes from 1 in order, all members and fit. */
static struct node_moves_nodes members(unsigned n)
{
    struct node_moves_nodes nodes = {.count = n};
    for (unsigned i = 0; i < n; i++) {
        nodes.id[i] = i + 1;
        nodes.fit[i] = true;
    }
    return nodes;
}

static void goes_out(struct node_moves_nodes *nodes, uint32_t id, bool out)
{
    nodes->out[id - 1] = out;
    nodes->fit[id - 1] = !out;
}

/* An extent with all its shards at home. */
static struct node_extent whole(uint8_t k, uint8_t m, const struct node_moves_nodes *nodes)
{
    struct node_extent e = {.scheme = {.k = k, .m = m}};
    e.durable = node_extent_all(e.scheme);
    for (unsigned s = 0; s < (unsigned)k + m; s++) {
        e.home[s] = e.holder[s] = erasure_home(nodes->id, nodes->count, s);
    }
    return e;
}

/* What the command makes of an extent. */
static void apply(struct node_extent *e, const struct node_moves *m)
{
    e->durable &= ~m->lost;
    e->away = 0;
    for (unsigned s = 0; s < (unsigned)e->scheme.k + e->scheme.m; s++) {
        e->home[s] = m->to[s];
        e->away |= e->holder[s] != e->home[s] ? 1u << s : 0;
    }
}

/* The homes do what is to be done. */
static void repair_all(struct node_extent *e, const struct node_moves_nodes *nodes)
{
    uint32_t todo = node_extent_missing(e);
    for (unsigned s = 0; s < (unsigned)e->scheme.k + e->scheme.m; s++) {
        if ((todo >> s & 1u) != 0 && nodes->fit[e->home[s] - 1]) {
            e->durable |= 1u << s;
            e->away &= ~(1u << s);
            e->holder[s] = e->home[s];
        }
    }
}

START_TEST(shards_of_a_node_that_is_out_go_to_nodes_without_one)
{
    struct node_moves_nodes nodes = members(5);
    struct node_extent e = whole(2, 1, &nodes);
    struct node_moves m;
    goes_out(&nodes, 2, true);
    ck_assert(node_moves_plan(&e, &nodes, &m));
    ck_assert_uint_eq(m.lost, 2);
    ck_assert_uint_eq(m.waiting, 0);
    ck_assert_uint_eq(m.to[0], 1);
    ck_assert_uint_eq(m.to[1], 4);
    ck_assert_uint_eq(m.to[2], 3);
    apply(&e, &m);
    ck_assert(!node_moves_plan(&e, &nodes, &m)); /* it is decided */
}
END_TEST

START_TEST(shards_double_up_where_one_more_loss_still_leaves_k)
{
    struct node_moves_nodes nodes = members(5);
    struct node_extent e = whole(3, 2, &nodes);
    struct node_moves m;
    goes_out(&nodes, 2, true);
    ck_assert(node_moves_plan(&e, &nodes, &m));
    ck_assert_uint_eq(m.waiting, 0);
    ck_assert_uint_eq(m.to[1], 1);
    goes_out(&nodes, 4, true);
    ck_assert(node_moves_plan(&e, &nodes, &m)); /* 2 + 2 + 1 on three nodes */
    ck_assert_uint_eq(m.lost, 10);
    ck_assert_uint_eq(m.to[1], 1);
    ck_assert_uint_eq(m.to[3], 3);
}
END_TEST

START_TEST(shards_wait_where_doubling_up_would_not_survive_a_loss)
{
    struct node_moves_nodes nodes = members(5);
    struct node_extent e = whole(4, 1, &nodes);
    struct node_moves m;
    goes_out(&nodes, 2, true);
    ck_assert(node_moves_plan(&e, &nodes, &m)); /* once, to be seen as missing */
    ck_assert_uint_eq(m.lost, 2);
    ck_assert_uint_eq(m.waiting, 2);
    ck_assert_uint_eq(m.to[1], 2);
    apply(&e, &m);
    ck_assert_uint_eq(node_extent_missing(&e), 2);
    ck_assert(!node_moves_plan(&e, &nodes, &m));
    ck_assert_uint_eq(m.waiting, 2);
}
END_TEST

START_TEST(shards_wait_without_a_node_that_can_take_them)
{
    struct node_moves_nodes nodes = members(3);
    struct node_extent e = whole(1, 1, &nodes);
    struct node_moves m;
    goes_out(&nodes, 2, true);
    nodes.fit[0] = nodes.fit[2] = false;
    ck_assert(node_moves_plan(&e, &nodes, &m));
    ck_assert_uint_eq(m.waiting, 2);
    ck_assert_uint_eq(m.to[1], 2);
}
END_TEST

START_TEST(a_shard_that_lies_with_a_member_has_its_home_there)
{
    struct node_moves_nodes nodes = members(5);
    struct node_extent e = whole(2, 1, &nodes);
    struct node_moves m;
    e.away = 1; /* put while node 1 was down */
    e.holder[0] = 5;
    ck_assert(!node_moves_plan(&e, &nodes, &m)); /* it goes home */
    goes_out(&nodes, 1, true);
    ck_assert(node_moves_plan(&e, &nodes, &m));
    ck_assert_uint_eq(m.lost, 0);
    ck_assert_uint_eq(m.to[0], 5);
    apply(&e, &m);
    ck_assert_uint_eq(node_extent_missing(&e), 0);
}
END_TEST

START_TEST(a_returned_node_gets_back_what_nobody_has_made_again)
{
    struct node_moves_nodes nodes = members(5);
    struct node_extent e = whole(3, 2, &nodes);
    struct node_moves m;
    goes_out(&nodes, 2, true);
    ck_assert(node_moves_plan(&e, &nodes, &m));
    apply(&e, &m);
    goes_out(&nodes, 2, false);
    ck_assert(node_moves_plan(&e, &nodes, &m));
    ck_assert_uint_eq(m.to[1], 2);
    apply(&e, &m);
    ck_assert_uint_eq(e.away, 0);
    ck_assert_uint_eq(node_extent_missing(&e), 2); /* until it has looked */
}
END_TEST

START_TEST(a_returned_node_gets_nothing_back_that_lives_elsewhere)
{
    struct node_moves_nodes nodes = members(5);
    struct node_extent e = whole(2, 1, &nodes);
    struct node_moves m;
    goes_out(&nodes, 2, true);
    ck_assert(node_moves_plan(&e, &nodes, &m));
    apply(&e, &m);
    repair_all(&e, &nodes);
    goes_out(&nodes, 2, false);
    ck_assert(!node_moves_plan(&e, &nodes, &m));
    ck_assert_uint_eq(e.holder[1], 4);
}
END_TEST

START_TEST(what_doubled_up_goes_apart_when_there_is_room)
{
    struct node_moves_nodes nodes = members(5);
    struct node_extent e = whole(3, 2, &nodes);
    struct node_moves m;
    goes_out(&nodes, 2, true);
    ck_assert(node_moves_plan(&e, &nodes, &m));
    apply(&e, &m);
    ck_assert(!node_moves_plan(&e, &nodes, &m));
    repair_all(&e, &nodes);
    ck_assert(!node_moves_plan(&e, &nodes, &m));
    goes_out(&nodes, 2, false);
    ck_assert(node_moves_plan(&e, &nodes, &m));
    ck_assert_uint_eq(m.to[1], 2);
    ck_assert_uint_eq(m.lost, 0);
    apply(&e, &m);
    ck_assert_uint_eq(e.durable, 31); /* node 1 has it until node 2 does */
    repair_all(&e, &nodes);
    ck_assert(!node_moves_plan(&e, &nodes, &m));
    ck_assert_uint_eq(node_extent_survives(&e), 2);
}
END_TEST

START_TEST(nothing_moves_where_nothing_is_wrong)
{
    for (unsigned n = 1; n <= 12; n++) {
        struct node_moves_nodes nodes = members(n);
        for (uint8_t k = 1; k <= 8; k++) {
            for (uint8_t m = 0; m <= 4; m++) {
                struct node_extent e = whole(k, m, &nodes);
                struct node_moves moves;
                nodes.fit[0] = k % 2 == 0; /* down, but a member */
                ck_assert(!node_moves_plan(&e, &nodes, &moves));
            }
        }
    }
}
END_TEST

START_TEST(a_code_without_parity_waits_for_its_node)
{
    struct node_moves_nodes nodes = members(5);
    struct node_extent e = whole(3, 0, &nodes);
    struct node_moves m;
    goes_out(&nodes, 2, true);
    ck_assert(node_moves_plan(&e, &nodes, &m));
    ck_assert_uint_eq(m.to[1], 2);
    ck_assert_uint_eq(m.waiting, 2);
}
END_TEST

/* returns: whether k shards lie outside the fullest node, all of them counted at their homes. */
static bool survives_one(const struct node_extent *e)
{
    const struct erasure_commit rule = {.scheme = e->scheme,
                                        .durable = node_extent_all(e->scheme),
                                        .holders = e->home,
                                        .deadline_passed = true};
    return erasure_commit_ok(&rule);
}

static void random_plans(struct rng *r)
{
    unsigned n = 3 + (unsigned)rng_below(r, 6);
    struct node_moves_nodes nodes = members(n);
    uint8_t k = (uint8_t)(1 + rng_below(r, 6));
    uint8_t m = (uint8_t)(1 + rng_below(r, 3));
    struct node_extent e = whole(k, m, &nodes);
    bool kept = survives_one(&e);
    for (unsigned step = 0; step < 60; step++) {
        struct node_moves moves;
        uint32_t id = 1 + (uint32_t)rng_below(r, n);
        goes_out(&nodes, id, rng_chance(r, 1, 3));
        for (unsigned i = 0; i < n; i++) {
            nodes.fit[i] = !nodes.out[i] && rng_chance(r, 3, 4);
        }
        uint32_t before = e.durable;
        if (node_moves_plan(&e, &nodes, &moves)) {
            ck_assert_uint_eq(moves.lost & ~before, 0);
            apply(&e, &moves);
            ck_assert(!kept || survives_one(&e));
        }
        if (rng_chance(r, 1, 2)) {
            repair_all(&e, &nodes);
        }
    }
    nodes = members(n);
    for (unsigned step = 0; step < 4u * NODE_OBJECT_SHARDS_MAX; step++) { /* a bound on the way */
        struct node_moves moves;
        if (!node_moves_plan(&e, &nodes, &moves) && node_extent_missing(&e) == 0) {
            return;
        }
        apply(&e, &moves);
        repair_all(&e, &nodes);
    }
    ck_abort_msg("the shards of %u+%u on %u nodes come to no rest", k, m, n);
}

START_TEST(random_plans_keep_the_rule_and_come_to_rest)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct rng r;
        rng_init(&r, seed);
        (void)fprintf(stderr, seed == 1 ? "seeds 1 to 2000\n" : "");
        random_plans(&r);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object_moves");
    TCase *tc = tcase_create("moves");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_shard_of_a_lost_node_is_missing_at_its_new_home_and_does_not_count);
    tcase_add_test(tc, a_lost_node_that_returns_early_gets_its_shard_back);
    tcase_add_test(tc, a_lost_shard_without_another_home_is_shown_as_missing);
    tcase_add_test(tc, a_shard_moves_while_its_holder_keeps_it);
    tcase_add_test(tc, a_move_judged_by_an_older_extent_is_refused);
    tcase_add_test(tc, a_repair_for_a_home_that_has_changed_is_refused);
    tcase_add_test(tc, bodies_of_moves_cut_anywhere_are_refused_and_flipped_ones_harmless);
    tcase_add_test(tc, extents_of_uploads_and_of_dead_versions_do_not_move);
    tcase_add_test(tc, shards_of_a_node_that_is_out_go_to_nodes_without_one);
    tcase_add_test(tc, shards_double_up_where_one_more_loss_still_leaves_k);
    tcase_add_test(tc, shards_wait_where_doubling_up_would_not_survive_a_loss);
    tcase_add_test(tc, shards_wait_without_a_node_that_can_take_them);
    tcase_add_test(tc, a_shard_that_lies_with_a_member_has_its_home_there);
    tcase_add_test(tc, a_returned_node_gets_back_what_nobody_has_made_again);
    tcase_add_test(tc, a_returned_node_gets_nothing_back_that_lives_elsewhere);
    tcase_add_test(tc, what_doubled_up_goes_apart_when_there_is_room);
    tcase_add_test(tc, nothing_moves_where_nothing_is_wrong);
    tcase_add_test(tc, a_code_without_parity_waits_for_its_node);
    tcase_add_test(tc, random_plans_keep_the_rule_and_come_to_rest);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
