/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode towards clients: bounded counters, whose operations take turns, and what a client
 * hears whose time is up.
 */
#include "ev_client.h"
#include "server/node/eventual_peers_internal.h"

static const struct top create = {
    .name = "stock", .types = {WIRE_CRDT_BOUNDED}, .verb = WIRE_CRDT_CREATE, .amount = 10};
static const struct top take = {
    .name = "stock", .types = {WIRE_CRDT_BOUNDED}, .verb = WIRE_CRDT_ADD, .amount = -1};
static const struct topts patient = {.deadline_ms = 60000};
static const struct topts hurry = {.deadline_ms = 400};

START_TEST(a_bounded_counter_is_created_once_and_never_falls_below_0)
{
    struct top other = create;
    begin(3);
    ck_assert_int_eq(update_one(1, create), 0);
    ck_assert_int_eq(update_one(2, create), 0); /* the same: there already */
    other.amount = 11;
    ck_assert_int_eq(update_one(3, other), ERR_EXISTS);
    rig_run(r, 2000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(counter(i, "stock", WIRE_CRDT_BOUNDED), 10);
    }
    ck_assert_int_eq(update_one(1, ADD("stock", WIRE_CRDT_BOUNDED, -4)), 0);
    ck_assert_int_eq(update_one(2, ADD("stock", WIRE_CRDT_BOUNDED, -1)), ERR_NO_RIGHTS);
    ck_assert_int_eq(update_one(1, (struct top){.name = "stock",
                                                .types = {WIRE_CRDT_BOUNDED},
                                                .verb = WIRE_CRDT_TRANSFER,
                                                .amount = 3,
                                                .to = 2}),
                     0);
    rig_run(r, 2000000);
    ck_assert_int_eq(update_one(2, ADD("stock", WIRE_CRDT_BOUNDED, -3)), 0);
    ck_assert_int_eq(update_one(2, ADD("stock", WIRE_CRDT_BOUNDED, -1)), ERR_NO_RIGHTS);
    ck_assert_int_eq(update_one(1, ADD("stock", WIRE_CRDT_BOUNDED, -4)), ERR_NO_RIGHTS);
    ck_assert_int_eq(update_one(1, ADD("stock", WIRE_CRDT_BOUNDED, -3)), 0);
    rig_run(r, 2000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(counter(i, "stock", WIRE_CRDT_BOUNDED), 0);
    }
    end();
}
END_TEST

/* Node 2 crashes and starts; returns once it is an actor. */
static void crash_and_start(void)
{
    struct crdt_actor actor;
    rig_start(r, 2);
    for (unsigned k = 0; k < 4000 && !node_ev_actor(r->nodes[1].node, &actor); k++) {
        rig_run(r, 1000);
    }
    ck_assert(node_ev_actor(r->nodes[1].node, &actor));
}

/* scenario C32: until its epoch is recorded as over, nobody knows what else it did. */
START_TEST(rights_that_a_node_had_before_a_crash_are_its_own_again)
{
    struct topts t = {.sequence = 1};
    begin(3);
    ck_assert_int_eq(update_one(2, create), 0);
    ck_assert_int_eq(update_one(2, take), 0);
    rig_run(r, 3000000);
    rig_stop(r, 2);
    crash_and_start();
    ck_assert_int_eq(update_one(2, take), ERR_NO_RIGHTS);
    rig_run(r, 15000000);
    ck_assert_int_eq(update_one(1, take), ERR_NO_RIGHTS); /* they are not another node's */
    for (unsigned i = 0; i < 8; i++) {
        ck_assert_int_eq(update_one(2, take), 0);
    }
    rig_stop(r, 2);
    rig_start(r, 2);
    rig_run(r, 15000000);
    t.session = open_own(2);
    ck_assert_int_eq(update(2, &t, &take, 1), ERR_NO_RIGHTS);
    t.sequence = 2;
    ck_assert_int_eq(update(2, &t, &take, 1), 0);
    ck_assert_int_eq(update_one(2, take), ERR_NO_RIGHTS);
    rig_run(r, 2000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(counter(i, "stock", WIRE_CRDT_BOUNDED), 0);
    }
    end();
}
END_TEST

/* The actor between has taken them over and used them; the disk has gone back to before that. Its
 * peers say what they have seen, and do not get to send it. */
START_TEST(rights_are_not_taken_over_again_by_who_has_not_seen_that_they_were)
{
    struct rig_dir copy = {.there = false};
    unsigned done = 0;
    begin(3);
    ck_assert_int_eq(update_one(2, create), 0);
    rig_run(r, 3000000);
    rig_stop(r, 2);
    crash_and_start();
    rig_run(r, 15000000);
    rig_dir_take(r, 2, &copy);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_int_eq(update_one(2, take), 0);
    }
    rig_run(r, 3000000);
    rig_stop(r, 2);
    copy.boot = r->nodes[1].boot;
    rig_dir_swap(r, 2, &copy);
    rig_start(r, 2);
    const struct node_eventual *ev = node_ev_of(r->nodes[1].node);
    for (unsigned k = 0; k < 4000 && !(ev->peers[0].told && ev->peers[1].told); k++) {
        rig_run(r, 100);
    }
    r->nodes[0].jobs_held = r->nodes[2].jobs_held = true; /* they answer nothing that is read */
    rig_run(r, 1000000);
    for (unsigned i = 0; i < 5; i++) {
        done += update_one(2, take) == 0;
    }
    r->nodes[0].jobs_held = r->nodes[2].jobs_held = false;
    rig_run(r, 20000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(counter(i, "stock", WIRE_CRDT_BOUNDED), 0);
    }
    ck_assert_uint_eq(done, 0);
    rig_dir_free(&copy);
    end();
}
END_TEST

START_TEST(rights_are_found_also_after_a_start_that_did_nothing)
{
    begin(3);
    ck_assert_int_eq(update_one(2, create), 0);
    rig_run(r, 3000000);
    for (unsigned i = 0; i < 2; i++) {
        rig_stop(r, 2);
        crash_and_start();
        rig_run(r, 15000000);
    }
    (void)update_one(2, take); /* it asks for what is missing */
    rig_run(r, 15000000);
    ck_assert_int_eq(update_one(2, take), 0);
    end();
}
END_TEST

/* Scenario C30, at one node: those that come at once take turns. */
START_TEST(what_is_taken_away_at_the_same_time_is_taken_in_turns)
{
    uint32_t ids[12];
    unsigned taken = 0;
    struct wire_node result;
    begin(3);
    ck_assert_int_eq(update_one(1, create), 0);
    for (unsigned i = 0; i < 12; i++) {
        ids[i] = ask_update(1, &plain, &take, 1);
    }
    for (unsigned i = 0; i < 12; i++) {
        int code = answer(ids[i], &plain, &result);
        ck_assert(code == 0 || code == ERR_NO_RIGHTS);
        taken += code == 0;
    }
    ck_assert_uint_eq(taken, 10);
    ck_assert_int_eq(counter(1, "stock", WIRE_CRDT_BOUNDED), 0);
    end();
}
END_TEST

/* What this node has of the region may be old: rights are granted, and records looked for, where it
 * is served. */
START_TEST(what_observes_a_region_that_is_held_goes_to_an_owner_that_serves_it)
{
    begin(3);
    struct node_ev_hold *held = &node_ev_of(r->nodes[0].node)->held;
    held->regions |= UINT64_C(1) << node_ev_region(bytes_of_text("stock"));
    ck_assert_int_eq(update_one(1, create), ERR_NOT_LEADER);
    held->regions = 0;
    ck_assert_int_eq(update_one(2, create), 0);
    ck_assert_int_eq(update_one(2, take), 0); /* its rights are not another actor's */
    end();
}
END_TEST

/* A counter of 10 is there, and what is written from now on does not end. */
static void begin_held(unsigned nodes)
{
    begin(nodes);
    ck_assert_int_eq(update_one(1, create), 0);
    rig_run(r, 2000000);
    r->nodes[0].wal_held = true;
}

/* It ends: so does this request, well, and so much is left. */
static void end_held(uint32_t request, int64_t left)
{
    struct wire_node result;
    r->nodes[0].wal_held = false;
    ck_assert_int_eq(answer(request, &plain, &result), 0);
    rig_run(r, 2000000);
    ck_assert_int_eq(counter(1, "stock", WIRE_CRDT_BOUNDED), left);
}

START_TEST(who_waits_for_a_turn_is_answered_when_its_time_is_up)
{
    struct wire_node result;
    begin_held(3);
    uint32_t first = ask_update(1, &patient, &take, 1);
    uint32_t second = ask_update(1, &hurry, &take, 1);
    rig_run(r, 300000);
    ck_assert_int_eq(rig_answer(r, second, &result), 1);
    rig_run(r, 200000);
    ck_assert_int_eq(rig_answer(r, second, &result), ERR_BUSY); /* certainly not done */
    end_held(first, 9);
    end();
}
END_TEST

/* A repetition waits for the turn of the first, which may yet be done. */
START_TEST(who_waits_for_its_own_first_attempt_does_not_hear_that_it_was_not_done)
{
    struct topts first = patient;
    struct wire_node result;
    begin_held(3);
    r->nodes[0].wal_held = false;
    first.session = open_own(1);
    first.sequence = 1;
    struct topts again = first;
    again.deadline_ms = 400;
    r->nodes[0].wal_held = true;
    uint32_t a = ask_update(1, &first, &take, 1);
    uint32_t b = ask_update(1, &again, &take, 1);
    uint32_t c = ask_update(1, &again, &take, 1);
    rig_run(r, 1500000);
    ck_assert_int_eq(rig_answer(r, b, &result), ERR_TIMEOUT);
    ck_assert_int_eq(rig_answer(r, c, &result), ERR_TIMEOUT);
    end_held(a, 9);
    end();
}
END_TEST

/* The node that gets rights says who it is when the time is up. */
START_TEST(what_comes_too_late_is_refused_and_was_not_done)
{
    const struct top give = {.name = "stock",
                             .types = {WIRE_CRDT_BOUNDED},
                             .verb = WIRE_CRDT_TRANSFER,
                             .amount = 3,
                             .to = 2};
    struct wire_node result;
    begin(3);
    ck_assert_int_eq(update_one(1, create), 0);
    rig_run(r, 2000000);
    uint32_t id = ask_update(1, &hurry, &give, 1);
    r->now += 1000000; /* the process stood still */
    ck_assert_int_eq(answer(id, &plain, &result), ERR_BUSY);
    rig_run(r, 2000000);
    ck_assert_int_eq(update_one(2, take), ERR_NO_RIGHTS);
    end();
}
END_TEST

/* Behind the turn of another. */
START_TEST(what_was_done_is_never_refused_because_its_repetition_comes_too_late)
{
    struct topts done = hurry;
    struct wire_node result;
    begin_held(1);
    r->nodes[0].wal_held = false;
    done.session = open_own(1);
    done.sequence = 1;
    ck_assert_int_eq(update(1, &done, &take, 1), 0);
    r->nodes[0].wal_held = true;
    uint32_t other = ask_update(1, &patient, &take, 1);
    uint32_t again = ask_update(1, &done, &take, 1);
    rig_run(r, 500000);
    end_held(again, 8);
    ck_assert_int_eq(rig_answer(r, other, &result), 0);
    end();
}
END_TEST

/* What only waited behind it goes on. */
START_TEST(who_gives_up_its_place_lets_others_go_on)
{
    const struct top both[] = {take, ADD("other", WIRE_CRDT_BOUNDED, -1)};
    struct top second = create;
    struct wire_node result;
    second.name = "other";
    begin_held(3);
    r->nodes[0].wal_held = false;
    ck_assert_int_eq(update_one(1, second), 0);
    rig_run(r, 2000000);
    r->nodes[0].wal_held = true;
    uint32_t a = ask_update(1, &plain, &both[0], 1);
    uint32_t b = ask_update(1, &hurry, both, 2);
    uint32_t c = ask_update(1, &(struct topts){.deadline_ms = 600}, &both[1], 1);
    rig_run(r, 500000);
    ck_assert_int_eq(rig_answer(r, b, &result), ERR_BUSY);
    rig_run(r, 200000); /* c waited for nobody but b, so its command is out */
    ck_assert_int_eq(rig_answer(r, c, &result), ERR_TIMEOUT);
    end_held(a, 9);
    ck_assert_int_eq(counter(1, "other", WIRE_CRDT_BOUNDED), 9);
    end();
}
END_TEST

START_TEST(a_command_that_does_not_end_keeps_its_turn_and_its_client_hears_that_in_time)
{
    struct wire_node result;
    begin_held(3);
    uint32_t first = ask_update(1, &hurry, &take, 1);
    uint32_t second = ask_update(1, &patient, &take, 1);
    rig_run(r, 500000);
    ck_assert_int_eq(rig_answer(r, first, &result), ERR_TIMEOUT); /* it may yet be done */
    ck_assert_int_eq(rig_answer(r, second, &result), 1);
    end_held(second, 8);
    end();
}
END_TEST

/* Not done, and would not be: nothing is to be repeated until there is such a node. */
START_TEST(rights_for_a_node_that_there_is_not_are_refused_at_once_and_it_is_named)
{
    const struct top give[2] = {ADD("counted", WIRE_CRDT_G_COUNTER, 1),
                                {.name = "other",
                                 .types = {WIRE_CRDT_BOUNDED},
                                 .verb = WIRE_CRDT_TRANSFER,
                                 .amount = 1,
                                 .to = 9}};
    struct wire_node hint;
    begin(3);
    ck_assert_int_eq(update_one(1, create), 0);
    uint32_t id = ask_update(1, &patient, &give[1], 1);
    ck_assert_int_eq(answer(id, &plain, &hint), ERR_NOT_FOUND);
    ck_assert_uint_eq(field(hint, WIRE_FIELD_NODE), 9);
    ck_assert(wire_node_is_nil(wire_node_find(hint, WIRE_FIELD_OPERATION)));
    id = ask_update(1, &patient, give, 2);
    ck_assert_int_eq(answer(id, &plain, &hint), ERR_NOT_FOUND);
    ck_assert_uint_eq(field(hint, WIRE_FIELD_NODE), 9);
    ck_assert_uint_eq(field(hint, WIRE_FIELD_OPERATION), 1);
    end();
}
END_TEST

UNIT_MAIN("ev_turns", a_bounded_counter_is_created_once_and_never_falls_below_0,
          rights_that_a_node_had_before_a_crash_are_its_own_again,
          rights_are_not_taken_over_again_by_who_has_not_seen_that_they_were,
          rights_are_found_also_after_a_start_that_did_nothing,
          rights_for_a_node_that_there_is_not_are_refused_at_once_and_it_is_named,
          what_is_taken_away_at_the_same_time_is_taken_in_turns,
          what_observes_a_region_that_is_held_goes_to_an_owner_that_serves_it,
          who_waits_for_a_turn_is_answered_when_its_time_is_up,
          who_waits_for_its_own_first_attempt_does_not_hear_that_it_was_not_done,
          what_comes_too_late_is_refused_and_was_not_done,
          what_was_done_is_never_refused_because_its_repetition_comes_too_late,
          who_gives_up_its_place_lets_others_go_on,
          a_command_that_does_not_end_keeps_its_turn_and_its_client_hears_that_in_time)
