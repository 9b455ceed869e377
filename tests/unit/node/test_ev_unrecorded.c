/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Dots that group 0 has not recorded, because the disk that has them was out of use: they are set
 * aside, and nothing that was recorded is lost by them, whatever else happened in the meantime.
 */
#include "ev_folds.h"

static void put(struct rig *r, unsigned i, const char *name, enum crdt_type type, const char *value)
{
    const struct crdt_op op = {
        .verb = CRDT_SET, .value = bytes_of_text(value), .time_us = 1000000u + r->now};
    ck_assert_int_eq(ev_do(r, i, name, type, &op), 0);
}

/* All keys are of one region. The first lines are everywhere; the last only on the disk that is in
 * *other then, and the node has gone on with a copy from before them. */
static void tell_of(struct rig *r, unsigned who, struct rig_dir *other)
{
    ck_assert(ev_ready(r));
    ck_assert_int_eq(ev_add(r, who, "{t}n", 9), 0);
    ck_assert_int_eq(ev_set(r, who, "{t}set", CRDT_ADD, "x"), 0);
    ck_assert_int_eq(ev_set(r, 3, "{t}set", CRDT_ADD, "stays"), 0);
    ck_assert_int_eq(ev_set(r, 3, "{t}set", CRDT_ADD, "goes"), 0);
    ck_assert_int_eq(ev_field_add(r, who, "{t}map", "f", 4), 0);
    put(r, 3, "{t}lww", CRDT_LWW, "old");
    put(r, who, "{t}mv", CRDT_MV, "old");
    ck_assert(ev_converge(r, 2000000));
    rig_dir_take(r, who, other);
    rig_isolate(r, who, true);
    ck_assert_int_eq(ev_add(r, who, "{t}n", 11), 0);
    ck_assert_int_eq(ev_set(r, who, "{t}set", CRDT_ADD, "y"), 0);
    ck_assert_int_eq(ev_set(r, who, "{t}set", CRDT_REMOVE, "stays"), 0);
    ck_assert_int_eq(ev_field_add(r, who, "{t}map", "f", 5), 0);
    put(r, who, "{t}lww", CRDT_LWW, "new");
    put(r, who, "{t}mv", CRDT_MV, "new");
    crash_with(r, who, other);
    rig_isolate(r, who, false);
    ck_assert(ev_ready(r));
}

static struct rig *tell(unsigned nodes, struct rig_dir *other)
{
    struct rig *r = begin(nodes);
    tell_of(r, 2, other);
    return r;
}

/* Whoever did not see it must be told all there is of the region. */
static void prune(struct rig *r)
{
    ck_assert_int_eq(ev_set(r, 1, "{t}set", CRDT_REMOVE, "goes"), 0);
    rig_run(r, 20000000);
    ck_assert_uint_eq(ev_removals(r, 1, "{t}set"), 0);
}

static void settle_of(struct rig *r, unsigned who)
{
    rig_run(r, SETTLE_US);
    for (unsigned i = 1; i <= r->nodes_count; i++) {
        ck_assert(folded_at(r, i, "{t}n", who));
    }
}

static void settle(struct rig *r)
{
    settle_of(r, 2);
}

/* What was recorded is there, and nothing else. */
static void check(struct rig *r, int64_t more)
{
    ck_assert(ev_same(r));
    for (unsigned i = 1; i <= r->nodes_count; i++) {
        ck_assert_int_eq(ev_count(r, i, "{t}n"), 9 + more);
        ck_assert_int_eq(ev_field_count(r, i, "{t}map", "f"), 4);
        ck_assert(ev_is(r, i, "{t}lww", CRDT_LWW, "old"));
        ck_assert(ev_is(r, i, "{t}mv", CRDT_MV, "old"));
        ck_assert(ev_has(r, i, "{t}set", "x"));
        ck_assert(ev_has(r, i, "{t}set", "stays"));
        ck_assert(!ev_has(r, i, "{t}set", "y"));
    }
}

/* scenario C1 */
START_TEST(a_disk_that_comes_back_takes_nothing_away_that_was_recorded)
{
    struct rig_dir other = {0};
    struct rig *r = tell(3, &other);
    settle(r);
    crash_with(r, 2, &other);
    ck_assert(ev_ready(r));
    settle(r);
    check(r, 0);
    rig_dir_free(&other);
    rig_free(r);
}
END_TEST

/* scenario C1 */
START_TEST(nor_if_it_must_be_told_all_there_is)
{
    struct rig_dir other = {0};
    struct rig *r = tell(3, &other);
    prune(r);
    settle(r);
    crash_with(r, 2, &other);
    ck_assert(ev_ready(r));
    settle(r);
    check(r, 0);
    ck_assert(!ev_has(r, 2, "{t}set", "goes"));
    rig_dir_free(&other);
    rig_free(r);
}
END_TEST

/* What is written there at once is pushed and kept, and is no door for the rest. */
START_TEST(what_the_node_writes_at_once_counts)
{
    struct rig_dir other = {0};
    struct rig *r = tell(3, &other);
    prune(r);
    settle(r);
    crash_with(r, 2, &other);
    ck_assert(ev_ready(r));
    ck_assert_int_eq(ev_add(r, 2, "{t}n", 100), 0);
    ck_assert_int_eq(ev_add(r, 3, "{t}n", 1000), 0);
    settle(r);
    check(r, 1100);
    crash(r, 2);
    settle(r);
    check(r, 1100);
    rig_dir_free(&other);
    rig_free(r);
}
END_TEST

/* Two more crashes of node 2, and group 0 names the epoch as folded: which dots of it there were,
 * it has forgotten. */
static struct rig *tell_long_ago(struct rig_dir *other)
{
    struct rig *r = tell(3, other);
    settle(r);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(ev_add(r, 2, "{t}n", 10), 0);
        crash(r, 2);
        settle(r);
    }
    prune(r);
    other->boot = r->nodes[1].boot; /* it was started again until group 0 took it */
    return r;
}

START_TEST(nor_if_its_epochs_were_over_long_ago)
{
    struct rig_dir other = {0};
    struct rig *r = tell_long_ago(&other);
    crash_with(r, 2, &other);
    ck_assert(ev_ready(r));
    settle(r);
    check(r, 20);
    rig_dir_free(&other);
    rig_free(r);
}
END_TEST

static void hold_disks(struct rig *r, bool hold)
{
    r->nodes[0].wal_held = hold;
    r->nodes[2].wal_held = hold;
}

#define WRITES 500u

static void write_one(struct rig *r, struct ev_done *done)
{
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = 1};
    ev_begin(r, 2, "{t}n", CRDT_PN_COUNTER, &op, 1, done);
    rig_run(r, 0);
}

/* The others never have all that was written: there always is something newer. */
START_TEST(nor_if_it_is_written_to_all_the_time)
{
    static struct ev_done done[WRITES];
    struct rig_dir other = {0};
    struct rig *r = tell_long_ago(&other);
    crash_with(r, 2, &other);
    ck_assert(ev_ready(r));
    hold_disks(r, true);
    for (unsigned i = 0; i < WRITES; i++) {
        write_one(r, &done[i]); /* while the one before is on its way */
        hold_disks(r, i == 0);
        rig_run(r, 0);
        hold_disks(r, true);
        rig_run(r, 30000); /* less than between two pushes */
    }
    hold_disks(r, false);
    settle(r);
    for (unsigned i = 0; i < WRITES; i++) {
        ck_assert(done[i].ended && done[i].code == 0);
    }
    check(r, 20 + WRITES);
    ck_assert_uint_gt(node_ev_of(ev_node(r, 2))->counters.set_aside, 0);
    rig_dir_free(&other);
    rig_free(r);
}
END_TEST

/* A dot that was made before would be in no push, and the region held for it ever after. */
START_TEST(nothing_is_written_before_group_0_was_heard)
{
    struct ev_done done;
    struct rig_dir other = {0};
    struct rig *r = tell(3, &other);
    int64_t written = 0;
    prune(r);
    settle(r);
    crash_with(r, 2, &other);
    for (unsigned i = 0; i < 200; i++) {
        if (i < 100) {
            node_control_again(ev_node(r, 2)); /* there was no memory to note what it said */
        }
        rig_run(r, 10000);
        write_one(r, &done);
        ck_assert(done.ended);
        written += done.code == 0;
    }
    settle(r);
    ck_assert_int_gt(written, 0);
    check(r, written);
    rig_dir_free(&other);
    rig_free(r);
}
END_TEST

/* Nodes 2 and 3 have each other and nobody else. */
static void part(struct rig *r, bool apart)
{
    for (unsigned i = 1; i <= 5; i += i == 1 ? 3 : 1) {
        rig_link(r, 2, i, !apart);
        rig_link(r, 3, i, !apart);
    }
}

/* The disk does not know that there is a record, and cannot hear it. */
START_TEST(nothing_is_given_before_group_0_was_heard)
{
    struct rig_dir other = {0};
    struct crdt_actor actor;
    struct rig *r = tell(5, &other);
    prune(r);
    settle(r);
    rig_stop(r, 2);
    part(r, true);
    ck_assert_int_eq(ev_add(r, 3, "{t}n", 1000), 0);
    rig_dir_swap(r, 2, &other);
    rig_start(r, 2);
    rig_run(r, SETTLE_US);
    ck_assert(!node_ev_actor(ev_node(r, 2), &actor));
    ck_assert(!folded_at(r, 2, "{t}n", 2));
    ck_assert_int_eq(ev_count(r, 2, "{t}n"), 20);
    ck_assert_int_eq(ev_count(r, 3, "{t}n"), 1009);
    part(r, false);
    settle(r);
    check(r, 1000);
    rig_dir_free(&other);
    rig_free(r);
}
END_TEST

/* Its disk comes back, and everybody goes on with what was recorded. */
static void come_back(struct rig *r, unsigned who, struct rig_dir *other)
{
    crash_with(r, who, other);
    ck_assert(ev_ready(r));
    settle_of(r, who);
    check(r, 0);
    ck_assert_uint_gt(node_ev_of(ev_node(r, who))->counters.set_aside, 0);
}

/* It hears of group 0 in one answer, in which its own start comes before what was recorded. */
START_TEST(nor_on_a_node_that_has_no_replica_of_group_0)
{
    struct rig_dir other = {0};
    struct rig *r = rig_new(4);
    ck_assert_ptr_null(node_group_find(ev_node(r, 4), 0));
    tell_of(r, 4, &other);
    prune(r);
    settle_of(r, 4);
    come_back(r, 4, &other);
    rig_dir_free(&other);
    rig_free(r);
}
END_TEST

/* What was recorded comes to it in a snapshot, and its start by the log after that. */
START_TEST(nor_on_one_that_gets_a_snapshot_of_group_0)
{
    struct rig_dir other = {0};
    struct rig *r = rig_make(3);
    r->log_keep = 8;
    for (unsigned i = 1; i <= 3; i++) {
        rig_start(r, i);
    }
    tell_of(r, 2, &other);
    prune(r);
    settle(r);
    for (unsigned i = 0; i < 6; i++) {
        crash(r, 3);
        rig_run(r, 3000000);
    }
    settle(r);
    come_back(r, 2, &other);
    ck_assert_uint_gt(ev_node(r, 2)->counters.snapshots_installed, 0);
    rig_dir_free(&other);
    rig_free(r);
}
END_TEST

/* The dots are in its log, which is replayed when group 0 has long been heard. */
START_TEST(nor_if_its_own_log_says_so_late)
{
    struct rig_dir other = {0};
    struct rig *r = rig_make(4);
    r->flush_interval_us = 60000000;
    for (unsigned i = 1; i <= 4; i++) {
        rig_start(r, i);
    }
    tell_of(r, 4, &other);
    prune(r);
    settle_of(r, 4);
    rig_stop(r, 4);
    rig_dir_swap(r, 4, &other);
    r->nodes[3].wal_held = true;
    rig_start(r, 4);
    rig_run(r, SETTLE_US);
    ck_assert(ev_node(r, 4)->control->booted);
    ck_assert_int_eq(ev_count(r, 4, "{t}n"), 0);
    r->nodes[3].wal_held = false;
    ck_assert(ev_ready(r));
    settle_of(r, 4);
    check(r, 0);
    rig_dir_free(&other);
    rig_free(r);
}
END_TEST

/* Until it is looked at again, which is when something is heard of it. */
static void hold_of(struct rig *r, unsigned i, const char *name)
{
    node_ev_of(ev_node(r, i))->held.regions |= UINT64_C(1) << ev_region(name);
}

static unsigned made_by_2(struct rig *r, const char *name)
{
    bool folded = false;
    return ranges_of(r, 2, name, 2, &folded);
}

START_TEST(a_region_that_is_held_is_read_and_written_elsewhere)
{
    struct rig *r = begin(3);
    struct ev_done done;
    bool owns = false;
    bool serves = false;
    rig_run(r, 3000000);
    node_eventual_owner(ev_node(r, 2), ev_region("{t}n"), &owns, &serves);
    ck_assert(owns && serves);
    hold_of(r, 2, "{t}n");
    node_eventual_owner(ev_node(r, 2), ev_region("{t}n"), &owns, &serves);
    ck_assert(owns && !serves);
    write_one(r, &done);
    ck_assert(done.ended && done.code == 0);
    ck_assert(ev_converge(r, 2000000));
    ck_assert_int_eq(ev_count(r, 2, "{t}n"), 1);
    ck_assert_uint_eq(made_by_2(r, "{t}n"), 0);
    write_one(r, &done); /* it is not held any more */
    ck_assert_uint_eq(made_by_2(r, "{t}n"), 1);
    rig_free(r);
}
END_TEST

START_TEST(also_if_a_later_operation_of_the_write_is_of_it)
{
    struct rig *r = begin(3);
    rig_run(r, 3000000);
    ck_assert_uint_ne(ev_region("k0"), ev_region("k1"));
    hold_of(r, 2, "k1");
    ev_fill(r, 2, "k", 0, 2);
    ck_assert(ev_converge(r, 2000000));
    ck_assert_int_eq(ev_count(r, 2, "k1"), 1);
    ck_assert_uint_eq(made_by_2(r, "k0") + made_by_2(r, "k1"), 0);
    ev_fill(r, 2, "k", 0, 2);
    ck_assert_uint_eq(made_by_2(r, "k0") + made_by_2(r, "k1"), 2);
    rig_free(r);
}
END_TEST

START_TEST(nothing_is_written_to_it_where_nobody_else_is_reached)
{
    struct rig *r = begin(3);
    struct ev_done done;
    rig_isolate(r, 2, true);
    rig_run(r, 20000000);
    hold_of(r, 2, "{t}n");
    write_one(r, &done);
    ck_assert(done.ended);
    ck_assert_int_eq(done.code, ERR_UNAVAILABLE);
    ck_assert_uint_eq(made_by_2(r, "{t}n"), 0);
    rig_free(r);
}
END_TEST

UNIT_MAIN("ev_unrecorded", nor_on_a_node_that_has_no_replica_of_group_0,
          nor_on_one_that_gets_a_snapshot_of_group_0, nor_if_its_own_log_says_so_late,
          nothing_is_given_before_group_0_was_heard,
          a_disk_that_comes_back_takes_nothing_away_that_was_recorded,
          nor_if_it_must_be_told_all_there_is, what_the_node_writes_at_once_counts,
          nor_if_its_epochs_were_over_long_ago, nor_if_it_is_written_to_all_the_time,
          nothing_is_written_before_group_0_was_heard,
          a_region_that_is_held_is_read_and_written_elsewhere,
          also_if_a_later_operation_of_the_write_is_of_it,
          nothing_is_written_to_it_where_nobody_else_is_reached)
