/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Epochs that are over, in nodes: when they are folded, where, and what becomes of who was away.
 */
#include "ev_folds.h"

#include <string.h>

/* scenario C37: whatever the number of crashes, a node is two ranges of a context. */
START_TEST(epochs_that_are_over_are_folded_everywhere)
{
    struct rig *r = begin(3);
    bool folded = false;
    for (unsigned i = 0; i < 6; i++) {
        ck_assert_int_eq(ev_add(r, 2, "n", 1), 0);
        ck_assert(ev_converge(r, 2000000));
        crash(r, 2);
    }
    ck_assert_int_eq(ev_add(r, 2, "n", 1), 0);
    rig_run(r, SETTLE_US);
    ck_assert(ev_same(r));
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_uint_eq(ranges_of(r, i, "n", 2, &folded), 2);
        ck_assert(folded);
        ck_assert_int_eq(ev_count(r, i, "n"), 7);
    }
    crash(r, 1); /* what is folded is on disk */
    ck_assert(folded_at(r, 1, "n", 2));
    rig_free(r);
}
END_TEST

START_TEST(a_region_without_dots_of_the_node_says_nothing_of_it)
{
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_add(r, 2, "n", 1), 0);
    ck_assert_int_eq(ev_add(r, 1, "other", 1), 0);
    ck_assert_uint_ne(ev_region("n"), ev_region("other"));
    crash(r, 2);
    rig_run(r, SETTLE_US);
    ck_assert(folded_at(r, 1, "n", 2));
    ck_assert_uint_eq(seen(r, 1, "other")->count, 1);
    rig_free(r);
}
END_TEST

/* Node 4 is no voter of group 0, and asks now and then what it says. */
START_TEST(who_is_far_from_group_0_folds_with_the_others_and_asks_for_nothing)
{
    struct rig *r = begin(4);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(ev_add(r, 2, "n", 1), 0);
        ck_assert(ev_converge(r, 5000000));
        uint64_t pages = ev_node(r, 4)->eventual->counters.pages;
        bool folded = false;
        crash(r, 2);
        for (unsigned k = 0; k < 2000 && (ranges_of(r, 1, "n", 2, &folded) > 1 || !folded); k++) {
            rig_run(r, 10000);
        }
        ck_assert(folded);
        rig_run(r, 2500000);
        ck_assert_uint_eq(ranges_of(r, 4, "n", 2, &folded), 1);
        ck_assert_uint_eq(ev_node(r, 4)->eventual->counters.pages, pages);
    }
    rig_free(r);
}
END_TEST

/* Node 4 hears of a fold that it does not come to, as of a region that it holds. */
static void hear(struct rig *r)
{
    struct crdt_range fold = {.actor = {.node = 2, .epoch = CRDT_FOLDED}, .from = 1, .to = 1000};
    const struct crdt_context theirs = {.ranges = &fold, .count = 1};
    node_ev_fold_follow(ev_node(r, 4), ev_region("n"), &theirs);
}

/* It does ten times a second. returns: how often it asked group 0. */
static uint64_t asks_within(struct rig *r, unsigned seconds)
{
    struct node *n = ev_node(r, 4);
    uint64_t before = n->counters.forwards;
    for (unsigned i = 0; i < 10 * seconds; i++) {
        hear(r);
        rig_run(r, 100000);
    }
    return n->counters.forwards - before;
}

START_TEST(who_asks_group_0_in_vain_asks_less_and_less)
{
    struct rig *r = begin(4);
    ck_assert_ptr_null(node_group_find(ev_node(r, 4), 0));
    ck_assert_int_eq(ev_add(r, 4, "n", 1), 0);
    rig_run(r, SETTLE_US);
    uint64_t idle = ev_node(r, 4)->counters.forwards;
    rig_run(r, 60000000);
    idle = ev_node(r, 4)->counters.forwards - idle;
    ck_assert_uint_ge(asks_within(r, 2), 2); /* at first at once */
    ck_assert_uint_le(asks_within(r, 60), idle + 2);
    rig_run(r, 12000000); /* nothing seems to be new for a while */
    ck_assert_uint_ge(asks_within(r, 1), 1);
    ck_assert_uint_le(asks_within(r, 60), idle + 4);
    rig_free(r);
}
END_TEST

/* The answer that is on its way may be older than what is heard of. */
START_TEST(what_is_heard_of_while_it_asks_is_asked_for_after_that)
{
    struct rig *r = begin(4);
    struct node *n = ev_node(r, 4);
    rig_run(r, SETTLE_US);
    rig_isolate(r, 4, true);
    for (unsigned i = 0; i < 6000 && n->control->refresh.at_us != 0; i++) {
        rig_run(r, 1000);
    }
    ck_assert_uint_eq(n->control->refresh.at_us, 0);
    hear(r);
    rig_isolate(r, 4, false);
    for (unsigned i = 0; i < 20000 && n->control->refresh.at_us == 0; i++) {
        rig_run(r, 1000);
    }
    uint64_t before = n->counters.forwards;
    rig_run(r, 1500000);
    ck_assert_uint_gt(n->counters.forwards, before);
    rig_free(r);
}
END_TEST

/* Also if it has just asked, which it does not do again at once. */
START_TEST(what_is_heard_of_after_it_asked_is_asked_for_in_time)
{
    struct rig *r = begin(4);
    struct node *n = ev_node(r, 4);
    rig_run(r, SETTLE_US);
    hear(r);
    rig_run(r, 100000);
    uint64_t before = n->counters.forwards;
    hear(r);
    rig_run(r, 100000);
    ck_assert_uint_eq(n->counters.forwards, before);
    rig_run(r, 2000000);
    ck_assert_uint_gt(n->counters.forwards, before);
    rig_free(r);
}
END_TEST

/* The node that is away may have dots that nobody else has. */
START_TEST(nothing_is_folded_while_a_node_is_away)
{
    struct rig *r = begin(3);
    ck_assert_int_eq(ev_add(r, 2, "n", 1), 0);
    ck_assert(ev_converge(r, 2000000));
    rig_stop(r, 3);
    crash(r, 2);
    rig_run(r, 60000000);
    ck_assert(!folded_at(r, 1, "n", 2));
    ck_assert(!folded_at(r, 2, "n", 2));
    rig_start(r, 3);
    ck_assert(ev_ready(r));
    rig_run(r, SETTLE_US);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert(folded_at(r, i, "n", 2));
    }
    ck_assert(ev_same(r));
    rig_free(r);
}
END_TEST

/* What only one other node had of an epoch is had by all before it is folded. */
START_TEST(dots_that_their_node_lost_are_found_first)
{
    struct rig *r = begin(3);
    struct rig_dir old = {0};
    ck_assert_int_eq(ev_set(r, 2, "set", CRDT_ADD, "x"), 0);
    ck_assert(ev_converge(r, 2000000));
    rig_dir_take(r, 2, &old);
    rig_link(r, 2, 1, false);
    ck_assert_int_eq(ev_set(r, 2, "set", CRDT_ADD, "y"), 0); /* 2 and 3 have it */
    rig_stop(r, 2);
    rig_dir_swap(r, 2, &old);
    rig_link(r, 2, 1, true);
    rig_isolate(r, 3, true);
    rig_start(r, 2);
    rig_run(r, 30000000);
    ck_assert(!folded_at(r, 1, "set", 2));
    rig_isolate(r, 3, false);
    ck_assert(ev_ready(r));
    rig_run(r, SETTLE_US);
    ck_assert(ev_same(r));
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert(folded_at(r, i, "set", 2));
        ck_assert(ev_has(r, i, "set", "x"));
        ck_assert(ev_has(r, i, "set", "y"));
    }
    rig_dir_free(&old);
    rig_free(r);
}
END_TEST

/* scenario C1: an older copy of the disk knows neither the removal nor that all is folded. */
START_TEST(an_older_copy_of_a_disk_brings_nothing_back)
{
    struct rig *r = begin(3);
    struct rig_dir old = {0};
    ck_assert_int_eq(ev_set(r, 2, "set", CRDT_ADD, "x"), 0);
    ck_assert_int_eq(ev_set(r, 2, "set", CRDT_ADD, "stays"), 0);
    ck_assert(ev_converge(r, 2000000));
    rig_dir_take(r, 3, &old);
    ck_assert_int_eq(ev_set(r, 2, "set", CRDT_REMOVE, "x"), 0);
    rig_run(r, 20000000); /* dropped */
    ck_assert_uint_eq(ev_removals(r, 1, "set"), 0);
    crash(r, 2);
    rig_run(r, SETTLE_US);
    ck_assert(folded_at(r, 3, "set", 2));
    rig_stop(r, 3);
    rig_dir_swap(r, 3, &old);
    rig_start(r, 3);
    ck_assert(ev_ready(r));
    ck_assert(ev_converge(r, 10000000));
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert(folded_at(r, i, "set", 2));
        ck_assert(!ev_has(r, i, "set", "x"));
        ck_assert(ev_has(r, i, "set", "stays"));
    }
    rig_dir_free(&old);
    rig_free(r);
}
END_TEST

/* A disk that is empty has seen nothing of the epochs, whatever group 0 has recorded. */
START_TEST(an_empty_disk_gets_all_before_it_says_that_it_has)
{
    struct rig *r = begin(3);
    struct rig_dir none = {0};
    rig_dir_take(r, 3, &none); /* nothing was written yet */
    ck_assert_int_eq(ev_set(r, 2, "set", CRDT_ADD, "x"), 0);
    crash(r, 2);
    rig_run(r, SETTLE_US);
    ck_assert(folded_at(r, 3, "set", 2));
    rig_stop(r, 3);
    rig_dir_swap(r, 3, &none);
    rig_isolate(r, 3, true);
    rig_start(r, 3);
    rig_run(r, 10000000);
    ck_assert_uint_eq(seen(r, 3, "set")->count, 0);
    rig_isolate(r, 3, false);
    ck_assert(ev_converge(r, 10000000));
    ck_assert(folded_at(r, 3, "set", 2));
    ck_assert(ev_has(r, 3, "set", "x"));
    rig_dir_free(&none);
    rig_free(r);
}
END_TEST

static void ended(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    *(int *)ctx = code;
}

static void put_start(struct rig *r, struct buf *body, uint32_t node, uint64_t boot)
{
    (void)buf_put_u32(body, node);
    (void)buf_put_u64(body, boot);
    (void)buf_put_u64(body, ev_node(r, node)->options.boot_nonce);
}

/* other: the boot number that node 3 is said to have been asked with. */
static int retire_row(struct rig *r, uint64_t boot, uint64_t other,
                      const struct node_ev_retired *row)
{
    struct buf body;
    int code = 1;
    buf_init(&body, &r->heap, 1u << 16);
    put_start(r, &body, 2, boot);
    (void)buf_put_u16(&body, 2);
    put_start(r, &body, 1, ev_node(r, 1)->options.boot);
    put_start(r, &body, 3, other);
    ck_assert_int_eq(node_ev_retired_put(row, &body), 0);
    const struct node_cmd cmd = {.op = NODE_OP_RETIRE, .body = buf_view(&body)};
    node_propose(ev_node(r, 1), 0, &cmd, r->now + 5000000, &code, ended);
    for (unsigned tries = 0; tries < 3000 && code == 1; tries++) {
        rig_run(r, 2000);
    }
    buf_release(&body);
    return code;
}

/* The same of `count` dots of epoch 1 of node 2, none beside another. */
static int retire(struct rig *r, uint8_t region, uint64_t boot, uint64_t other, uint64_t below,
                  unsigned count)
{
    struct node_ev_retired row = {.region = region, .below = below};
    crdt_context_init(&row.seen, &r->heap);
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t counter = 1 + (i << 32);
        const struct crdt_range one = {{2, 1}, counter, counter};
        ck_assert_int_eq(crdt_context_add(&row.seen, &one), 0);
    }
    int code = retire_row(r, boot, other, &row);
    crdt_context_release(&row.seen);
    return code;
}

START_TEST(group_0_records_it_only_of_starts_it_knows_and_epochs_it_granted)
{
    struct rig *r = begin(3);
    crash(r, 2);
    rig_run(r, 1000000);
    uint64_t boot = ev_node(r, 2)->options.boot;
    uint64_t other = ev_node(r, 3)->options.boot;
    uint64_t next = node_control_peer_of(ev_node(r, 1), 2)->epochs_next;
    ck_assert_int_eq(retire(r, 5, boot - 1, other, 2, 1), ERR_FENCED);
    ck_assert_int_eq(retire(r, 5, boot, other + 1, 2, 1), ERR_FENCED); /* another disk was asked */
    ck_assert_int_eq(retire(r, 5, boot, other, 1, 1),
                     ERR_INVALID); /* a dot of epoch 1 lies not below it */
    ck_assert_int_eq(retire(r, 5, boot, other, next, 1), ERR_INVALID);
    ck_assert_uint_eq(node_control_peer_of(ev_node(r, 3), 2)->retired.size, 0);
    ck_assert_int_eq(retire(r, 5, boot, other, 2, 1), 0);
    rig_run(r, 2000000);
    ck_assert_uint_gt(node_control_peer_of(ev_node(r, 3), 2)->retired.size, 0);
    /* nobody has seen such a dot, so nobody says that it has */
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_uint_eq(node_ev_region_get(ev_node(r, i), 5)->seen.count, 0);
    }
    rig_free(r);
}
END_TEST

/* Which dots there were of the first region, there is no room for. That they are over is known. */
START_TEST(a_set_that_does_not_fit_any_more_leaves_its_epochs_behind)
{
    struct rig *r = begin(3);
    struct node_ev_retired row;
    crash(r, 2);
    rig_run(r, 1000000);
    uint64_t boot = ev_node(r, 2)->options.boot;
    uint64_t other = ev_node(r, 3)->options.boot;
    ck_assert_int_eq(retire(r, 5, boot, other, 3, 1600), 0);
    ck_assert_int_eq(retire(r, 6, boot, other, 3, 1600), 0);
    rig_run(r, 2000000);
    struct bytes rows = buf_view(&node_control_peer_of(ev_node(r, 3), 2)->retired);
    ck_assert_uint_gt(rows.size, NODE_EV_RETIRED_BYTES_MAX / 2);
    ck_assert_uint_lt(rows.size, NODE_EV_RETIRED_BYTES_MAX);
    struct bytes_reader at = bytes_reader_of(rows);
    crdt_context_init(&row.seen, &r->heap);
    ck_assert_int_eq(node_ev_retired_take(&at, 2, &row), 0);
    ck_assert(row.region == 6 && row.below == 3 && row.seen.count == 1600);
    ck_assert_int_eq(node_ev_retired_take(&at, 2, &row), 0);
    ck_assert(row.region == 5 && row.below == 3 && row.seen.count == 1);
    ck_assert(crdt_context_folds(&row.seen, (struct crdt_actor){2, 1}));
    ck_assert(crdt_context_folds(&row.seen, (struct crdt_actor){2, 2}));
    ck_assert_uint_eq(at.left, 0);
    crdt_context_release(&row.seen);
    rig_free(r);
}
END_TEST

/* Its older disk is told all there is of a region that lacks something; the others lack nothing. */
START_TEST(who_lost_dots_of_one_region_agrees_to_what_is_recorded_of_another)
{
    struct rig_dir older = {0};
    struct rig *r = begin(3);
    ck_assert_uint_ne(ev_region("n"), ev_region("other"));
    ck_assert_int_eq(ev_add(r, 1, "other", 1), 0);
    ck_assert_int_eq(ev_add(r, 2, "n", 1), 0);
    ck_assert(ev_converge(r, 2000000));
    rig_dir_take(r, 2, &older);
    ck_assert_int_eq(ev_add(r, 2, "n", 1), 0);
    crash_with(r, 2, &older);
    ck_assert(ev_ready(r));
    rig_run(r, 5000000);
    ck_assert(node_ev_of(ev_node(r, 2))->doubted);
    crash(r, 1);
    rig_run(r, 2 * SETTLE_US);
    ck_assert(folded_at(r, 3, "other", 1));
    ck_assert_int_eq(ev_count(r, 2, "n"), 2);
    rig_dir_free(&older);
    rig_free(r);
}
END_TEST

/* What it wrote apart and handed over is all that it has there, and nobody brings it the rest. */
START_TEST(who_owns_nothing_of_a_region_and_doubts_what_it_has_holds_up_nobody)
{
    struct rig *r = begin(6);
    struct node_ev_list list;
    node_ev_list_get(ev_node(r, 1), ev_region("n"), &list);
    ck_assert_uint_eq(list.owners, 5);
    unsigned stranger = 1;
    while (node_ev_list_owns(&list, stranger)) {
        stranger++;
    }
    unsigned owner = list.nodes[2];
    rig_isolate(r, stranger, true);
    ck_assert_int_eq(ev_add(r, stranger, "n", 1), 0);
    rig_isolate(r, stranger, false);
    ck_assert_int_eq(ev_add(r, owner, "n", 1), 0);
    rig_run(r, 5000000);
    ck_assert_int_eq(ev_count(r, owner, "n"), 2);
    ck_assert_int_eq(ev_count(r, stranger, "n"), 1);
    node_ev_of(ev_node(r, stranger))->whole = UINT64_MAX;
    crash(r, owner);
    rig_run(r, SETTLE_US);
    ck_assert(folded_at(r, owner, "n", owner));
    rig_free(r);
}
END_TEST

UNIT_MAIN("ev_retire", who_asks_group_0_in_vain_asks_less_and_less,
          what_is_heard_of_while_it_asks_is_asked_for_after_that,
          what_is_heard_of_after_it_asked_is_asked_for_in_time,
          who_is_far_from_group_0_folds_with_the_others_and_asks_for_nothing,
          epochs_that_are_over_are_folded_everywhere,
          a_region_without_dots_of_the_node_says_nothing_of_it,
          nothing_is_folded_while_a_node_is_away, dots_that_their_node_lost_are_found_first,
          an_older_copy_of_a_disk_brings_nothing_back,
          an_empty_disk_gets_all_before_it_says_that_it_has,
          group_0_records_it_only_of_starts_it_knows_and_epochs_it_granted,
          who_owns_nothing_of_a_region_and_doubts_what_it_has_holds_up_nobody,
          who_lost_dots_of_one_region_agrees_to_what_is_recorded_of_another,
          a_set_that_does_not_fit_any_more_leaves_its_epochs_behind)
