/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Shards of nodes that are out of the cluster: repaired on those that remain, after the decision
 * and not before it; and what comes back with a node.
 */
#include "object_rig.h"
#include "server/node/control_internal.h"
#include "server/node/objects_internal.h"
#include "tests/unit/unit.h"

#define MINUTE (60u * UINT64_C(1000000))

static void decided(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    *(int *)ctx = code;
}

/* Group 0 decides about a node. */
static int decide(uint32_t node, enum node_member_state state)
{
    uint8_t body[NODE_ROSTER_CHANGE_BYTES];
    unsigned leader = rig_leader(r, 0);
    const struct node_roster_change c = {.node = node,
                                         .incarnation = 1,
                                         .boot = r->nodes[node - 1].boot,
                                         .state = state,
                                         .pause_us = 10 * MINUTE};
    int code = 1;
    ck_assert_uint_ne(leader, 0);
    node_roster_change_encode(&c, body);
    struct node *n = r->nodes[leader - 1].node;
    const struct node_cmd cmd = {.op = NODE_OP_NODE_STATE, .body = bytes_of(body, sizeof body)};
    node_propose(n, 0, &cmd, node_now(n) + 5 * SECOND, &code, decided);
    for (unsigned i = 0; i < 100 && code == 1; i++) {
        rig_run(r, SECOND / 10);
    }
    return code;
}

enum count { STARTS, MOVED, REPAIRED, BYTES, SURPLUS };

/* Over all nodes that are up. */
static uint64_t total(enum count what)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < r->nodes_count; i++) {
        if (!r->nodes[i].up) {
            continue;
        }
        const struct node_objects_counters *c = &node_objects_get(r->nodes[i].node)->counters;
        const uint64_t values[] = {c->repair_starts, c->shards_moved, c->shards_repaired,
                                   c->bytes_repaired, c->surplus_deleted};
        sum += values[what];
    }
    return sum;
}

static uint64_t missing(unsigned node, const char *name)
{
    struct wire_node result;
    ck_assert_int_eq(stat_of(node, name, &result), 0);
    return number(result, WIRE_FIELD_SHARDS_MISSING);
}

/* Waits for so many cells on all nodes that are up. */
static bool cells_come_to(uint64_t cells)
{
    for (unsigned i = 0; i < 200 && cells_everywhere() != cells; i++) {
        rig_run(r, SECOND);
    }
    return cells_everywhere() == cells;
}

static bool moved_to(uint64_t least)
{
    for (unsigned i = 0; i < 100 && total(MOVED) < least; i++) {
        rig_run(r, SECOND / 5);
    }
    return total(MOVED) >= least;
}

/* returns: a node that is neither a nor b. */
static unsigned other_than(unsigned a, unsigned b)
{
    unsigned i = 1;
    while (i == a || i == b) {
        i++;
    }
    return i;
}

static void stop(unsigned node)
{
    rig_stop(r, node);
    rig_run(r, 4 * SECOND);
    ck_assert_uint_ne(rig_leader(r, 0), 0);
    ck_assert_uint_ne(rig_leader(r, 1), 0);
}

START_TEST(shards_of_a_dead_node_are_made_again_after_the_decision_and_not_before)
{
    cluster(5, 2, 1);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    ck_assert_int_eq(put(2, "b", 300000), 0);
    uint64_t cells = cells_everywhere();
    stop(3);
    uint64_t left = cells_everywhere();
    ck_assert_uint_lt(left, cells);
    rig_run(r, 10 * MINUTE);
    ck_assert_uint_eq(total(MOVED) + total(REPAIRED) + total(STARTS), 0);
    ck_assert_uint_eq(cells_everywhere(), left);
    ck_assert_int_eq(decide(3, NODE_MEMBER_OUT), 0);
    ck_assert(moved_to(1));
    ck_assert(repaired(1, "a") && repaired(2, "b"));
    ck_assert_uint_eq(total(STARTS), 1);
    ck_assert_uint_eq(cells_everywhere(), cells);
    unsigned second = other_than(3, 1);
    stop(second); /* one more, with the first still dead */
    unsigned reader = other_than(3, second);
    ck_assert_int_eq(get(reader, "a", 700001), 0);
    ck_assert_int_eq(get(reader, "b", 300000), 0);
}
END_TEST

START_TEST(a_flapping_node_starts_one_repair_in_ten_minutes)
{
    cluster(5, 2, 1);
    ck_assert_int_eq(put(1, "a", 200000), 0);
    for (unsigned i = 0; i < 5; i++) {
        (void)decide(3, NODE_MEMBER_OUT);
        rig_run(r, 20 * SECOND);
        (void)decide(3, NODE_MEMBER_IN);
        rig_run(r, 20 * SECOND);
    }
    ck_assert_uint_eq(total(STARTS), 1);
    rig_run(r, 10 * MINUTE);
    ck_assert_int_eq(decide(3, NODE_MEMBER_OUT), 0);
    rig_run(r, 20 * SECOND);
    ck_assert_uint_eq(total(STARTS), 2);
    ck_assert(repaired(1, "a"));
    ck_assert_int_eq(get(2, "a", 200000), 0);
}
END_TEST

START_TEST(a_node_that_comes_back_gives_up_what_lives_elsewhere)
{
    cluster(5, 2, 1);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    ck_assert_int_eq(put(2, "b", 300000), 0);
    uint64_t cells = cells_everywhere();
    stop(3);
    ck_assert_int_eq(decide(3, NODE_MEMBER_OUT), 0);
    ck_assert(moved_to(1));
    ck_assert(repaired(1, "a") && repaired(2, "b"));
    rig_start(r, 3);
    rig_run(r, 5 * SECOND);
    ck_assert_int_eq(decide(3, NODE_MEMBER_IN), 0);
    ck_assert(cells_come_to(cells));
    ck_assert(repaired(1, "a") && repaired(2, "b"));
    ck_assert_int_eq(get(3, "a", 700001), 0);
    rig_run(r, 2 * MINUTE); /* nothing more moves */
    ck_assert_uint_eq(cells_everywhere(), cells);
}
END_TEST

START_TEST(what_doubled_up_goes_apart_when_the_node_is_back)
{
    struct wire_node result;
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    uint64_t cells = cells_everywhere();
    stop(3);
    ck_assert_int_eq(decide(3, NODE_MEMBER_OUT), 0);
    ck_assert(moved_to(1));
    ck_assert(repaired(1, "a"));
    ck_assert_int_eq(stat_of(1, "a", &result), 0);
    ck_assert_uint_eq(number(result, WIRE_FIELD_SURVIVES), 1);
    rig_start(r, 3);
    rig_run(r, 5 * SECOND);
    ck_assert_int_eq(decide(3, NODE_MEMBER_IN), 0);
    for (unsigned i = 0; i < 100; i++) {
        rig_run(r, SECOND);
        ck_assert_int_eq(stat_of(1, "a", &result), 0);
        if (number(result, WIRE_FIELD_SURVIVES) == 2) {
            break;
        }
    }
    ck_assert_uint_eq(number(result, WIRE_FIELD_SURVIVES), 2);
    ck_assert(repaired(1, "a"));
    ck_assert(cells_come_to(cells));
    ck_assert_int_eq(get(3, "a", 700001), 0);
}
END_TEST

START_TEST(shards_without_a_place_are_shown_as_missing_until_their_node_is_back)
{
    cluster(5, 4, 1);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    uint64_t cells = cells_everywhere();
    stop(3);
    unsigned reader = other_than(3, 0);
    ck_assert_uint_eq(missing(reader, "a"), 0);
    ck_assert_int_eq(decide(3, NODE_MEMBER_OUT), 0);
    rig_run(r, 30 * SECOND);
    ck_assert_uint_gt(missing(reader, "a"), 0);
    unsigned leader = rig_leader(r, 1);
    ck_assert_uint_gt(node_rehome_waiting(node_objects_get(r->nodes[leader - 1].node)), 0);
    ck_assert_uint_eq(total(MOVED) + total(REPAIRED), 0);
    ck_assert_int_eq(get(reader, "a", 700001), 0);
    rig_start(r, 3);
    rig_run(r, 5 * SECOND);
    ck_assert_int_eq(decide(3, NODE_MEMBER_IN), 0);
    ck_assert(repaired(reader, "a"));
    ck_assert_uint_eq(cells_everywhere(), cells); /* found again, not made again */
}
END_TEST

START_TEST(a_node_that_is_out_still_helps_to_read)
{
    cluster(5, 2, 1);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    stop(3);
    stop(4);
    ck_assert_int_eq(decide(3, NODE_MEMBER_OUT), 0);
    rig_run(r, 30 * SECOND);
    rig_start(r, 3);
    rig_run(r, 5 * SECOND);
    ck_assert(node_member_out(r->nodes[0].node, 3));
    ck_assert_int_eq(get(1, "a", 700001), 0);
    ck_assert_int_eq(decide(3, NODE_MEMBER_IN), 0);
    ck_assert_int_eq(decide(4, NODE_MEMBER_OUT), 0);
    ck_assert(moved_to(1));
    ck_assert(repaired(1, "a"));
}
END_TEST

/* All shards on one disk, without a word to anybody. */
static void lose_shards(unsigned node)
{
    struct store_shard_info info[16];
    unsigned count = 0;
    uint64_t deleted = 0;
    struct store_segments *s = r->nodes[node - 1].segments;
    ck_assert_int_eq(store_segments_list(s, NULL, info, 16, &count), 0);
    ck_assert(count > 0 && count < 16);
    for (unsigned i = 0; i < count; i++) {
        ck_assert_int_eq(store_segments_delete(s, info[i].extent_grant, info[i].extent_counter,
                                               UINT8_MAX, &deleted),
                         0);
    }
    ck_assert_int_eq(store_segments_sync(s), 0);
}

/* Puts "a" as 2+1 on three nodes and gives one of them up that is well: its shards count for
 * nothing until its repair has looked, which does not begin. */
static unsigned given_up(unsigned *leader)
{
    cluster(3, 2, 1);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    *leader = rig_leader(r, 1);
    unsigned out = other_than(*leader, *leader);
    node_objects_get(r->nodes[out - 1].node)->started = false;
    ck_assert_int_eq(decide(out, NODE_MEMBER_OUT), 0);
    for (unsigned i = 0; i < 100 && missing(*leader, "a") < 2; i++) {
        rig_run(r, SECOND / 50);
    }
    ck_assert_uint_gt(missing(*leader, "a"), 1);
    return out;
}

START_TEST(what_a_node_that_was_given_up_still_has_is_read_when_nothing_else_is_left)
{
    unsigned leader;
    unsigned out = given_up(&leader);
    lose_shards(other_than(leader, out));
    ck_assert_int_eq(get(leader, "a", 700001), 0);
    ck_assert_uint_gt(missing(leader, "a"), 1); /* it was not repaired meanwhile */
    node_objects_get(r->nodes[out - 1].node)->started = true;
    ck_assert_int_eq(decide(out, NODE_MEMBER_IN), 0);
    ck_assert(repaired(leader, "a"));
    stop(leader);
    ck_assert_int_eq(get(out, "a", 700001), 0);
}
END_TEST

START_TEST(a_cell_whose_only_copy_is_on_a_node_that_was_given_up_is_served)
{
    unsigned leader;
    unsigned served = 0;
    struct wire_node result;
    unsigned out = given_up(&leader);
    ck_assert_int_eq(stat_of(leader, "a", &result), 0);
    uint64_t version = number(result, WIRE_FIELD_VERSION);
    lose_shards(other_than(leader, out));
    lose_shards(leader);
    for (uint64_t at = 0; at < 700001; at += 65536) {
        uint64_t bytes = NUM_MIN(700001 - at, (uint64_t)65536);
        int code = read_range(leader, "a", version, at, bytes);
        ck_assert(code == 0 || code == ERR_LOST);
        ck_assert(code != 0 || memcmp(back + at, content + at, bytes) == 0);
        served += code == 0;
    }
    ck_assert_uint_gt(served, 0);
    ck_assert_uint_lt(served, 11); /* what lay on the others is gone, and that is said */
}
END_TEST

START_TEST(a_copy_kept_while_a_node_was_down_goes_when_the_node_has_its_own)
{
    cluster(5, 3, 2);
    stop(5);
    ck_assert_int_eq(put(1, "a", 600000), 0);
    uint64_t cells = cells_everywhere();
    rig_start(r, 5);
    ck_assert(repaired(1, "a"));
    ck_assert(cells_come_to(cells));
    ck_assert_uint_gt(total(SURPLUS), 0);
    ck_assert_uint_eq(verify_bad(2, "a"), 0);
    stop(1);
    ck_assert_int_eq(get(5, "a", 600000), 0);
}
END_TEST

/* One shard was never written, so the one that doubled up elsewhere is needed: until all is there,
 * a loss of the node that has two is survived with the copy that a returned node still has. */
START_TEST(a_copy_stays_while_the_record_alone_survives_no_loss)
{
    struct wire_node result;
    cluster(5, 3, 2);
    r->nodes[4].jobs_held = true;
    ck_assert_int_eq(put(1, "a", 9 * 65536), 0);
    stop(5);
    r->nodes[4].jobs_held = false;
    stop(3);
    uint64_t left = cells_everywhere();
    ck_assert_int_eq(decide(3, NODE_MEMBER_OUT), 0);
    ck_assert(moved_to(1));
    for (unsigned i = 0; i < 100 && total(REPAIRED) == 0; i++) {
        rig_run(r, SECOND);
    }
    ck_assert_uint_gt(total(REPAIRED), 0);
    ck_assert_int_eq(stat_of(1, "a", &result), 0);
    ck_assert_uint_eq(number(result, WIRE_FIELD_SURVIVES), 0);
    ck_assert_uint_eq(cells_everywhere(), left + 3);
    rig_start(r, 3);
    rig_run(r, 5 * SECOND);
    ck_assert_int_eq(decide(3, NODE_MEMBER_IN), 0);
    rig_run(r, MINUTE);
    ck_assert_uint_eq(total(SURPLUS), 0);
    ck_assert_uint_eq(cells_everywhere(), left + 6);
    rig_start(r, 5);
    ck_assert(repaired(1, "a"));
    ck_assert(cells_come_to(15)); /* three stripes of five */
    ck_assert_uint_gt(total(SURPLUS), 0);
    ck_assert_uint_eq(verify_bad(2, "a"), 0);
}
END_TEST

/* The leader has not come to the extent yet: its record still counts on who is out. */
START_TEST(a_copy_stays_while_the_record_counts_on_who_is_out)
{
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 9 * 65536), 0);
    unsigned first = other_than(rig_leader(r, 1), 1);
    stop(first);
    ck_assert_int_eq(decide(first, NODE_MEMBER_OUT), 0);
    ck_assert(moved_to(1));
    unsigned second = other_than(rig_leader(r, 1), first);
    ck_assert(repaired(second, "a"));
    stop(second);
    unsigned leader = rig_leader(r, 1);
    node_objects_get(r->nodes[leader - 1].node)->started = false;
    ck_assert_int_eq(decide(second, NODE_MEMBER_OUT), 0);
    rig_start(r, first);
    rig_run(r, 3 * SECOND);
    ck_assert_uint_eq(total(SURPLUS), 0);
    node_objects_get(r->nodes[leader - 1].node)->started = true;
    for (unsigned i = 0; i < 100 && total(SURPLUS) == 0; i++) {
        rig_run(r, SECOND);
    }
    ck_assert(cells_come_to(15));
    ck_assert(repaired(leader, "a"));
    ck_assert_uint_eq(verify_bad(leader, "a"), 0);
}
END_TEST

START_TEST(a_put_counts_on_nobody_who_is_out)
{
    struct wire_node result;
    cluster(5, 2, 1);
    stop(3);
    ck_assert_int_eq(decide(3, NODE_MEMBER_OUT), 0);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    ck_assert_int_eq(put(2, "b", 700001), 0);
    ck_assert_uint_eq(missing(1, "a") + missing(1, "b"), 0);
    uint64_t cells = cells_everywhere();
    rig_start(r, 3);
    rig_run(r, 5 * SECOND);
    ck_assert_int_eq(stat_of(1, "a", &result), 0);
    ck_assert_uint_eq(number(result, WIRE_FIELD_SURVIVES), 1);
    ck_assert_int_eq(decide(3, NODE_MEMBER_IN), 0);
    rig_run(r, MINUTE);
    ck_assert_uint_eq(total(MOVED), 0);
    ck_assert_uint_eq(cells_everywhere(), cells);
}
END_TEST

START_TEST(an_object_removed_while_its_shards_are_made_again_leaves_nothing)
{
    cluster(5, 2, 1);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    ck_assert_int_eq(put(1, "b", 300000), 0);
    stop(3);
    ck_assert_int_eq(decide(3, NODE_MEMBER_OUT), 0);
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_OBJECT_REMOVE, "s:b|s:a", NULL), 0);
    ck_assert_int_eq(put(1, "b", 100000), 0); /* replaced */
    rig_run(r, MINUTE);
    ck_assert(repaired(1, "b"));
    rig_start(r, 3);
    rig_run(r, 5 * SECOND);
    ck_assert_int_eq(decide(3, NODE_MEMBER_IN), 0);
    ck_assert(cells_come_to(3)); /* one stripe of two cells and their parity */
    ck_assert_int_eq(get(3, "b", 100000), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rehome");
    TCase *tc = tcase_create("rehome");
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, shards_of_a_dead_node_are_made_again_after_the_decision_and_not_before);
    tcase_add_test(tc, a_flapping_node_starts_one_repair_in_ten_minutes);
    tcase_add_test(tc, a_node_that_comes_back_gives_up_what_lives_elsewhere);
    tcase_add_test(tc, what_doubled_up_goes_apart_when_the_node_is_back);
    tcase_add_test(tc, shards_without_a_place_are_shown_as_missing_until_their_node_is_back);
    tcase_add_test(tc, a_node_that_is_out_still_helps_to_read);
    tcase_add_test(tc, what_a_node_that_was_given_up_still_has_is_read_when_nothing_else_is_left);
    tcase_add_test(tc, a_cell_whose_only_copy_is_on_a_node_that_was_given_up_is_served);
    tcase_add_test(tc, a_copy_kept_while_a_node_was_down_goes_when_the_node_has_its_own);
    tcase_add_test(tc, a_copy_stays_while_the_record_alone_survives_no_loss);
    tcase_add_test(tc, a_copy_stays_while_the_record_counts_on_who_is_out);
    tcase_add_test(tc, a_put_counts_on_nobody_who_is_out);
    tcase_add_test(tc, an_object_removed_while_its_shards_are_made_again_leaves_nothing);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
