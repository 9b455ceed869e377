/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode as clients see it: crdt.update, crdt.read, crdt.members, crdt.watch, and tokens
 * over eventual and strong keys.
 */
#include "ev_client.h"

/* ---- values --------------------------------------------------------------------------------- */

START_TEST(a_counter_is_added_to_at_every_node_and_read_at_every_node)
{
    begin(3);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(update_one(i, ADD("c", WIRE_CRDT_PN_COUNTER, 10 * i)), 0);
    }
    ck_assert_int_eq(update_one(1, ADD("c", WIRE_CRDT_PN_COUNTER, -5)), 0);
    rig_run(r, 2000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(counter(i, "c", WIRE_CRDT_PN_COUNTER), 55);
    }
    ck_assert_int_eq(counter(2, "absent", WIRE_CRDT_PN_COUNTER), 0);
    end();
}
END_TEST

START_TEST(every_type_is_written_and_read)
{
    static const struct top ops[] = {
        {.name = "g", .types = {WIRE_CRDT_G_COUNTER}, .verb = WIRE_CRDT_ADD, .amount = 7},
        {.name = "x", .types = {WIRE_CRDT_COUNTER}, .verb = WIRE_CRDT_ADD, .amount = -7},
        {.name = "l", .types = {WIRE_CRDT_LWW}, .verb = WIRE_CRDT_SET, .value = "red"},
        {.name = "m", .types = {WIRE_CRDT_MV}, .verb = WIRE_CRDT_SET, .value = "blue"},
        {.name = "e", .types = {WIRE_CRDT_EW_FLAG}, .verb = WIRE_CRDT_ENABLE},
        {.name = "d", .types = {WIRE_CRDT_DW_FLAG}, .verb = WIRE_CRDT_ENABLE},
        {.name = "s", .types = {WIRE_CRDT_RW_SET}, .verb = WIRE_CRDT_ADD, .value = "one"},
        {.name = "max", .types = {WIRE_CRDT_MAX}, .verb = WIRE_CRDT_SET, .amount = -3},
        {.name = "min", .types = {WIRE_CRDT_MIN}, .verb = WIRE_CRDT_SET, .amount = 9},
        {.name = "h", .types = {WIRE_CRDT_HLL}, .verb = WIRE_CRDT_ADD, .value = "who"},
    };
    struct wire_node result;
    struct wire_node v;
    bool flag = false;
    int64_t number = 0;
    begin(3);
    ck_assert_int_eq(update(1, &plain, ops, 10), 0);
    ck_assert_int_eq(counter(1, "g", WIRE_CRDT_G_COUNTER), 7);
    ck_assert_int_eq(counter(1, "x", WIRE_CRDT_COUNTER), -7);
    ck_assert_int_eq(counter(1, "max", WIRE_CRDT_MAX), -3);
    ck_assert_int_eq(counter(1, "min", WIRE_CRDT_MIN), 9);
    ck_assert_int_eq(counter(1, "h", WIRE_CRDT_HLL), 1);
    ck_assert(has(1, "s", WIRE_CRDT_RW_SET, "one"));
    ck_assert(!has(1, "s", WIRE_CRDT_RW_SET, "two"));
    for (unsigned i = 2; i < 6; i++) {
        struct top what = {.name = ops[i].name};
        ck_assert_int_eq(read_with(1, &plain, what, NULL, &result), 0); /* of whatever type */
        ck_assert_uint_eq(field(item_of(result, 0), "type"), ops[i].types[0]);
        v = wire_node_find(item_of(result, 0), "value");
        if (i == 2) {
            ck_assert(field_is(item_of(result, 0), "value", "red"));
        } else if (i == 3) {
            ck_assert_uint_eq(wire_node_count(v), 1);
        } else {
            ck_assert_int_eq(wire_node_bool(v, &flag), 0);
            ck_assert(flag);
        }
    }
    ck_assert_int_ne(wire_node_i64(wire_node_find(result, "nothing"), &number), 0);
    end();
}
END_TEST

START_TEST(a_batch_is_applied_whole_or_not_at_all)
{
    static const struct top good[] = {
        {.name = "{b}1", .types = {WIRE_CRDT_PN_COUNTER}, .verb = WIRE_CRDT_ADD, .amount = 1},
        {.name = "{b}2", .types = {WIRE_CRDT_AW_SET}, .verb = WIRE_CRDT_ADD, .value = "x"},
        {.name = "other", .types = {WIRE_CRDT_LWW}, .verb = WIRE_CRDT_SET, .value = "y"},
    };
    struct top bad[3] = {good[0], good[1], ADD("other", WIRE_CRDT_PN_COUNTER, 1)};
    begin(3);
    ck_assert_int_eq(update(1, &plain, good, 3), 0);
    ck_assert_int_eq(update(1, &plain, bad, 3), ERR_WRONG_TYPE);
    ck_assert_int_eq(counter(1, "{b}1", WIRE_CRDT_PN_COUNTER), 1);
    /* two types for one new name in one batch */
    struct top both[2] = {ADD("new", WIRE_CRDT_PN_COUNTER, 1), IN("new", WIRE_CRDT_AW_SET, "x")};
    ck_assert_int_eq(update(1, &plain, both, 2), ERR_WRONG_TYPE);
    ck_assert_int_eq(update(1, &plain, both, 1), 0);
    ck_assert_int_eq(update_one(1, PUT("value", WIRE_CRDT_PN_COUNTER, "text")), ERR_INVALID);
    ck_assert_int_eq(update_one(1, IN("empty", WIRE_CRDT_AW_SET, "")), ERR_INVALID);
    end();
}
END_TEST

/* scenario C29 */
START_TEST(an_overflow_is_refused_before_anything_is_applied)
{
    begin(3);
    ck_assert_int_eq(update_one(1, ADD("c", WIRE_CRDT_PN_COUNTER, INT64_MAX)), 0);
    rig_run(r, 2000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(update_one(i, ADD("c", WIRE_CRDT_PN_COUNTER, 1)), ERR_OVERFLOW);
        ck_assert_int_eq(counter(i, "c", WIRE_CRDT_PN_COUNTER), INT64_MAX);
    }
    ck_assert_int_eq(update_one(2, ADD("c", WIRE_CRDT_PN_COUNTER, -1)), 0);
    rig_run(r, 2000000);
    ck_assert_int_eq(counter(3, "c", WIRE_CRDT_PN_COUNTER), INT64_MAX - 1);
    end();
}
END_TEST

/* scenario C33 */
START_TEST(a_name_made_with_two_types_at_once_keeps_and_shows_both)
{
    struct wire_node result;
    begin(3);
    rig_isolate(r, 1, true);
    ck_assert_int_eq(update_one(1, IN("k", WIRE_CRDT_AW_SET, "x")), 0);
    ck_assert_int_eq(update_one(2, ADD("k", WIRE_CRDT_PN_COUNTER, 4)), 0);
    rig_isolate(r, 1, false);
    rig_run(r, 5000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(read_with(i, &plain, (struct top){.name = "k"}, NULL, &result), 0);
        ck_assert_uint_eq(wire_node_count(wire_node_find(result, "items")), 2);
        ck_assert_uint_eq(field(item_of(result, 0), "type"), WIRE_CRDT_PN_COUNTER);
        ck_assert_uint_eq(field(item_of(result, 1), "type"), WIRE_CRDT_AW_SET);
        ck_assert_int_eq(counter(i, "k", WIRE_CRDT_PN_COUNTER), 4);
        ck_assert(has(i, "k", WIRE_CRDT_AW_SET, "x"));
    }
    ck_assert_int_eq(update_one(3, IN("k", WIRE_CRDT_AW_SET, "y")), 0);
    ck_assert_int_eq(update_one(3, PUT("k", WIRE_CRDT_LWW, "z")), ERR_WRONG_TYPE);
    end();
}
END_TEST

/* ---- maps, pages ---------------------------------------------------------------------------- */

#define FIELD(f, t, vb, val, by)                 \
    ((struct top){.name = "map",                 \
                  .types = {WIRE_CRDT_MAP, (t)}, \
                  .fields = {(f)},               \
                  .verb = (vb),                  \
                  .value = (val),                \
                  .amount = (by)})

START_TEST(a_field_of_a_map_is_removed_with_all_that_lies_under_it)
{
    static const struct top what = {.name = "map", .types = {WIRE_CRDT_MAP}};
    const struct top deep = {.name = "map",
                             .types = {WIRE_CRDT_MAP, WIRE_CRDT_MAP, WIRE_CRDT_AW_SET},
                             .fields = {"sub", "set"},
                             .verb = WIRE_CRDT_ADD,
                             .value = "e"};
    begin(3);
    ck_assert_int_eq(update_one(1, FIELD("n", WIRE_CRDT_COUNTER, WIRE_CRDT_ADD, NULL, 3)), 0);
    ck_assert_int_eq(update_one(1, FIELD("t", WIRE_CRDT_LWW, WIRE_CRDT_SET, "v", 0)), 0);
    ck_assert_int_eq(update_one(1, deep), 0);
    ck_assert_uint_eq(
        wire_node_count(wire_node_find(members(1, what, bytes_of(NULL, 0), 0), "items")), 3);
    struct top remove = what;
    remove.verb = WIRE_CRDT_REMOVE;
    remove.value = "sub";
    ck_assert_int_eq(update_one(1, remove), 0);
    remove.value = "n";
    ck_assert_int_eq(update_one(1, remove), 0);
    struct wire_node page = members(1, what, bytes_of(NULL, 0), 0);
    ck_assert_uint_eq(wire_node_count(wire_node_find(page, "items")), 1);
    /* the name is free for another type now */
    ck_assert_int_eq(update_one(1, FIELD("n", WIRE_CRDT_LWW, WIRE_CRDT_SET, "v", 0)), 0);
    rig_run(r, 2000000);
    page = members(2, what, bytes_of(NULL, 0), 0);
    ck_assert_uint_eq(wire_node_count(wire_node_find(page, "items")), 2);
    end();
}
END_TEST

START_TEST(fields_of_a_map_come_with_their_siblings_and_a_write_with_the_node_that_took_it)
{
    static const struct top what = {.name = "map", .types = {WIRE_CRDT_MAP}};
    const struct top put = FIELD("m", WIRE_CRDT_MV, WIRE_CRDT_SET, "v", 0);
    struct wire_node result;
    begin(3);
    ck_assert_int_eq(answer(ask_update(2, &plain, &put, 1), &plain, &result), 0);
    ck_assert_uint_eq(field(result, WIRE_FIELD_NODE), 2);
    ck_assert_int_eq(update_one(2, FIELD("n", WIRE_CRDT_COUNTER, WIRE_CRDT_ADD, NULL, 3)), 0);
    struct wire_node page = members(2, what, bytes_of(NULL, 0), 0);
    struct wire_node one = wire_node_at(wire_node_at(item_of(page, 0), 3), 0);
    struct bytes value = {0};
    ck_assert_uint_eq(wire_node_count(one), 5);
    ck_assert_int_eq(wire_node_bytes(wire_node_at(one, 0), 16, &value), 0);
    ck_assert(bytes_equal(value, bytes_of_text("v")));
    ck_assert_uint_eq(wire_node_count(item_of(page, 1)), 3);
    end();
}
END_TEST

/* Counts members page by page. */
static unsigned walk(unsigned node, struct top what, uint64_t limit, unsigned *pages)
{
    struct buf after;
    unsigned count = 0;
    bool more = true;
    *pages = 0;
    buf_init(&after, &r->heap, 4096);
    while (more) {
        struct bytes next = {0};
        struct wire_node page = members(node, what, buf_view(&after), limit);
        unsigned items = wire_node_count(wire_node_find(page, "items"));
        ck_assert_uint_le(items, limit);
        count += items;
        more = wire_node_bytes(wire_node_find(page, "next"), 4096, &next) == 0;
        buf_clear(&after);
        (void)buf_append(&after, next.data, next.size);
        (*pages)++;
        ck_assert_uint_lt(*pages, 1000);
    }
    buf_release(&after);
    return count;
}

START_TEST(members_come_in_pages_and_each_once)
{
    static char names[600][8];
    static struct top ops[200];
    unsigned pages = 0;
    begin(3);
    for (unsigned i = 0; i < 600; i++) {
        (void)snprintf(names[i], sizeof names[i], "e%u", i);
        ops[i % 200] = IN("set", WIRE_CRDT_AW_SET, names[i]);
        if (i % 200 == 199) {
            ck_assert_int_eq(update(1, &plain, ops, 200), 0);
        }
    }
    for (unsigned i = 0; i < 40; i++) {
        ops[i] = FIELD(names[i], WIRE_CRDT_LWW, WIRE_CRDT_SET, "v", 0);
    }
    ck_assert_int_eq(update(1, &plain, ops, 40), 0);
    struct top set = {.name = "set", .types = {WIRE_CRDT_AW_SET}};
    struct top map = {.name = "map", .types = {WIRE_CRDT_MAP}};
    ck_assert_uint_eq(walk(1, set, 100, &pages), 600);
    ck_assert_uint_ge(pages, 6);
    ck_assert_uint_eq(walk(1, map, 7, &pages), 40);
    ck_assert_uint_ge(pages, 6);
    for (unsigned i = 0; i < 100; i++) {
        ops[i] = OUT("set", WIRE_CRDT_AW_SET, names[i * 2]);
    }
    ck_assert_int_eq(update(1, &plain, ops, 100), 0);
    ck_assert_uint_eq(walk(1, set, 50, &pages), 500);
    ck_assert_uint_eq(walk(1, set, 1000, &pages), 500);
    end();
}
END_TEST

/* ---- sessions ------------------------------------------------------------------------------- */

/* scenario C28 */
START_TEST(an_increment_that_is_sent_again_counts_once)
{
    begin(3);
    struct topts t = {.session = open_own(2), .sequence = 1};
    const struct top op = ADD("c", WIRE_CRDT_PN_COUNTER, 5);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(update(2, &t, &op, 1), 0);
    }
    ck_assert_int_eq(counter(2, "c", WIRE_CRDT_PN_COUNTER), 5);
    rig_stop(r, 2);
    rig_start(r, 2);
    rig_run(r, 4000000);
    ck_assert_int_eq(update(2, &t, &op, 1), 0); /* after a restart too */
    ck_assert_int_eq(counter(2, "c", WIRE_CRDT_PN_COUNTER), 5);
    t.sequence = 2;
    ck_assert_int_eq(update(2, &t, &op, 1), 0);
    ck_assert_int_eq(counter(2, "c", WIRE_CRDT_PN_COUNTER), 10);
    end();
}
END_TEST

/* Scenario C28, for what is looked up before the command: what was done is never said to be
 * refused. */
START_TEST(a_repeated_write_that_would_now_be_refused_gets_its_first_answer)
{
    begin(3);
    struct topts t = {.session = open_own(1), .sequence = 1};
    const struct top take = {
        .name = "b", .types = {WIRE_CRDT_BOUNDED}, .verb = WIRE_CRDT_ADD, .amount = -4};
    const struct top create = {
        .name = "b", .types = {WIRE_CRDT_BOUNDED}, .verb = WIRE_CRDT_CREATE, .amount = 4};
    ck_assert_int_eq(update_one(1, create), 0);
    ck_assert_int_eq(update(1, &t, &take, 1), 0);
    ck_assert_int_eq(update(1, &t, &take, 1), 0); /* no rights are left */
    ck_assert_int_eq(counter(1, "b", WIRE_CRDT_BOUNDED), 0);
    t.sequence = 2;
    ck_assert_int_eq(update(1, &t, &take, 1), ERR_NO_RIGHTS);
    end();
}
END_TEST

/* scenario C37 */
START_TEST(many_clients_leave_no_more_metadata_than_there_are_nodes)
{
    struct wire_node result;
    begin(3);
    for (unsigned i = 0; i < 120; i++) {
        unsigned node = 1 + i % 3;
        struct topts t = {.session = open_own(node), .sequence = 1};
        const struct top op = ADD("c", WIRE_CRDT_PN_COUNTER, 1);
        ck_assert_int_eq(update(node, &t, &op, 1), 0);
    }
    rig_run(r, 3000000);
    for (unsigned i = 1; i <= 3; i++) {
        struct top what = {.name = "c", .types = {WIRE_CRDT_PN_COUNTER}};
        ck_assert_int_eq(read_with(i, &plain, what, NULL, &result), 0);
        ck_assert_uint_eq(wire_node_count(wire_node_find(result, "clock")), 3);
        ck_assert_int_eq(counter(i, "c", WIRE_CRDT_PN_COUNTER), 120);
    }
    end();
}
END_TEST

/* ---- tokens --------------------------------------------------------------------------------- */

/* Scenario C12: clocks of the nodes are a minute apart and more; what is written later in a session
 * wins, whatever node it goes through. */
START_TEST(of_writes_in_a_session_the_later_wins_whatever_the_clocks_say)
{
    static const unsigned order[] = {3, 1, 2, 1, 3, 2, 1};
    struct buf token;
    struct wire_node result;
    char value[8];
    r = rig_new(3);
    r->nodes[1].ahead_us = 60000000;
    r->nodes[2].ahead_us = 120000000;
    ck_assert_uint_ne(rig_leader(r, 0), 0);
    rig_run(r, 3000000);
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    struct topts t = {.token = &token};
    for (unsigned i = 0; i < sizeof order / sizeof order[0]; i++) {
        (void)snprintf(value, sizeof value, "v%u", i);
        const struct top op = PUT("reg", WIRE_CRDT_LWW, value);
        ck_assert_int_eq(update(order[i], &t, &op, 1), 0);
    }
    rig_run(r, 3000000);
    for (unsigned i = 1; i <= 3; i++) {
        struct top what = {.name = "reg", .types = {WIRE_CRDT_LWW}};
        ck_assert_int_eq(read_with(i, &plain, what, NULL, &result), 0);
        ck_assert(field_is(item_of(result, 0), "value", value));
    }
    buf_release(&token);
    end();
}
END_TEST

/* Scenario C13: a clock ten years ahead blocks no later write. */
START_TEST(a_write_with_a_clock_years_ahead_is_overwritten_by_the_next)
{
    struct wire_node result;
    r = rig_new(3);
    r->nodes[0].ahead_us = 10u * UINT64_C(365) * 86400 * 1000000;
    ck_assert_uint_ne(rig_leader(r, 0), 0);
    rig_run(r, 3000000);
    ck_assert_int_eq(update_one(1, PUT("reg", WIRE_CRDT_LWW, "future")), 0);
    rig_run(r, 3000000);
    for (unsigned i = 2; i <= 3; i++) {
        const char *value = i == 2 ? "second" : "third";
        ck_assert_int_eq(update_one(i, PUT("reg", WIRE_CRDT_LWW, value)), 0);
        rig_run(r, 3000000);
        for (unsigned at = 1; at <= 3; at++) {
            struct top what = {.name = "reg", .types = {WIRE_CRDT_LWW}};
            ck_assert_int_eq(read_with(at, &plain, what, NULL, &result), 0);
            ck_assert(field_is(item_of(result, 0), "value", value));
        }
    }
    end();
}
END_TEST

/* Scenario C39: written at 1, read at 2. */
START_TEST(a_read_with_a_token_waits_or_asks_another_or_says_behind)
{
    struct buf token;
    struct wire_node result;
    begin(3);
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    struct topts t = {.token = &token};
    struct top what = {.name = "c", .types = {WIRE_CRDT_PN_COUNTER}};
    const struct top op = ADD("c", WIRE_CRDT_PN_COUNTER, 1);
    rig_isolate(r, 2, true);
    ck_assert_int_eq(update(1, &t, &op, 1), 0);
    /* cut off from everybody: never the older value */
    ck_assert_int_eq(read_with(2, &t, what, NULL, &result), ERR_BEHIND);
    ck_assert_int_eq(counter(2, "c", WIRE_CRDT_PN_COUNTER), 0); /* without the token */
    ck_assert_int_eq(update(2, &t, &op, 1), ERR_BEHIND);
    rig_isolate(r, 2, false);
    rig_run(r, 3000000);
    ck_assert_int_eq(read_with(2, &t, what, NULL, &result), 0);
    ck_assert_uint_eq(field(item_of(result, 0), "value"), 1);
    ck_assert(field_is(result, "consistency", "session"));
    ck_assert_int_eq(read_with(2, &plain, what, NULL, &result), 0);
    ck_assert(field_is(result, "consistency", "eventual"));
    /* from 1 to 2 nothing goes directly, but 3 has it */
    rig_link(r, 1, 2, false);
    ck_assert_int_eq(update(1, &t, &op, 1), 0);
    rig_run(r, 20000);
    t.budget_ms = 20;
    ck_assert_int_eq(read_with(2, &t, what, NULL, &result), 0);
    ck_assert_uint_eq(field(item_of(result, 0), "value"), 2);
    ck_assert_uint_eq(field(result, "node"), 3);
    buf_release(&token);
    end();
}
END_TEST

/* That there was nothing to remove is known from what that node had seen. */
START_TEST(a_session_keeps_to_what_an_operation_that_changed_nothing_had_seen)
{
    struct buf token;
    struct wire_node result;
    bool changed = true;
    begin(3);
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    struct topts t = {.token = &token};
    const struct top what = {.name = "s", .types = {WIRE_CRDT_AW_SET}};
    const struct top gone = OUT("s", WIRE_CRDT_AW_SET, "x");
    ck_assert_int_eq(update_one(1, IN("s", WIRE_CRDT_AW_SET, "x")), 0);
    rig_run(r, 3000000);
    rig_isolate(r, 2, true);
    ck_assert_int_eq(update_one(1, gone), 0);
    ck_assert_int_eq(answer(ask_update(1, &t, &gone, 1), &t, &result), 0);
    struct wire_node said = wire_node_at(wire_node_find(result, "changed"), 0);
    ck_assert_int_eq(wire_node_bool(said, &changed), 0);
    ck_assert(!changed);
    ck_assert(has(2, "s", WIRE_CRDT_AW_SET, "x")); /* without the token */
    ck_assert_int_eq(read_with(2, &t, what, "x", &result), ERR_BEHIND);
    rig_isolate(r, 2, false);
    rig_run(r, 3000000);
    ck_assert_int_eq(read_with(2, &t, what, "x", &result), 0);
    buf_release(&token);
    end();
}
END_TEST

/* scenario C37: what was written is done though its place in the session cannot be told. */
START_TEST(a_session_whose_token_is_full_hears_that_its_write_was_done)
{
    struct wire_token full;
    struct buf token;
    struct wire_node result;
    uint8_t region = node_ev_region(bytes_of_text("c"));
    struct top what = {.name = "c", .types = {WIRE_CRDT_PN_COUNTER}};
    const struct top op = ADD("c", WIRE_CRDT_PN_COUNTER, 1);
    begin(3);
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    wire_token_init(&full, &r->heap);
    for (uint32_t i = 0; i < WIRE_TOKEN_RANGES_MAX; i++) { /* of another region: not waited for */
        const struct wire_token_range range = {.region = (uint8_t)((region + 1) % NODE_EV_REGIONS),
                                               .node = 1 + i % 3,
                                               .epoch = 1 + i / 3,
                                               .from = 1,
                                               .to = 1};
        ck_assert_int_eq(wire_token_add_range(&full, &range), 0);
    }
    ck_assert_int_eq(wire_token_encode(&full, &token), 0);
    struct topts t = {.token = &token};
    ck_assert_int_eq(update(1, &t, &op, 1), ERR_DONE);
    ck_assert_int_eq(counter(1, "c", WIRE_CRDT_PN_COUNTER), 1);
    ck_assert_int_eq(read_with(1, &t, what, NULL, &result), ERR_TOO_LARGE);
    wire_token_release(&full);
    buf_release(&token);
    end();
}
END_TEST

/* scenarios C37, C41: whatever the number of crashes, a token of all regions stays small. Without
 * folding the last of these tokens would name more than 2,048 ranges. */
START_TEST(reads_are_answered_after_any_number_of_crashes)
{
    char names[NODE_EV_REGIONS][16] = {{0}};
    struct top ops[NODE_EV_REGIONS];
    struct wire_token told;
    struct wire_node result;
    struct buf token;
    unsigned found = 0;
    for (unsigned i = 0; found < NODE_EV_REGIONS; i++) { /* one key a region */
        char name[16];
        (void)snprintf(name, sizeof name, "k%u", i);
        uint8_t region = node_ev_region(bytes_of_text(name));
        if (names[region][0] == '\0') {
            memcpy(names[region], name, sizeof name);
            ops[region] = ADD(names[region], WIRE_CRDT_PN_COUNTER, 1);
            found++;
        }
    }
    begin(3);
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    struct topts t = {.token = &token, .budget_ms = 2000};
    for (unsigned i = 0; i < 30; i++) {
        unsigned at = i % 3 + 1;
        ck_assert_int_eq(update(at, &t, ops, NODE_EV_REGIONS), 0);
        rig_run(r, 200000);
        rig_stop(r, at);
        rig_start(r, at);
        rig_run(r,
                i % 3 == 2 ? 8000000 : 2000000); /* one after another, and all with time to fold */
    }
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        int64_t value = 0;
        ck_assert_int_eq(read_with(i % 3 + 1, &t,
                                   (struct top){.name = names[i], .types = {WIRE_CRDT_PN_COUNTER}},
                                   NULL, &result),
                         0);
        ck_assert_int_eq(wire_node_i64(wire_node_find(item_of(result, 0), "value"), &value), 0);
        ck_assert_int_eq(value, 30);
    }
    wire_token_init(&told, &r->heap);
    ck_assert_int_eq(wire_token_decode(&told, buf_view(&token)), 0);
    ck_assert_uint_le(told.ranges_count, NODE_EV_REGIONS * 3 * 3);
    wire_token_release(&told);
    buf_release(&token);
    end();
}
END_TEST

/* Scenario C40: a token of dots that never were, as after the cluster was set back. */
START_TEST(a_token_of_an_epoch_that_was_never_granted_is_refused_at_once)
{
    struct wire_token bad;
    struct buf token;
    struct wire_node result;
    struct top what = {.name = "c", .types = {WIRE_CRDT_PN_COUNTER}};
    begin(3);
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    wire_token_init(&bad, &r->heap);
    struct wire_token_range range = {.region = node_ev_region(bytes_of_text("c")),
                                     .node = 2,
                                     .epoch = 1u << 30,
                                     .from = 1,
                                     .to = 5};
    ck_assert_int_eq(wire_token_add_range(&bad, &range), 0);
    ck_assert_int_eq(wire_token_encode(&bad, &token), 0);
    struct topts t = {.token = &token};
    uint64_t before = r->now;
    ck_assert_int_eq(read_with(1, &t, what, NULL, &result), ERR_INVALID);
    ck_assert_uint_le(r->now - before, 100000);
    const struct top op = ADD("c", WIRE_CRDT_PN_COUNTER, 1);
    ck_assert_int_eq(update(1, &t, &op, 1), ERR_INVALID);
    token.data[token.size - 1] ^= 1;
    ck_assert_int_eq(read_with(1, &t, what, NULL, &result), ERR_CORRUPT);
    wire_token_release(&bad);
    buf_release(&token);
    end();
}
END_TEST

static int kv(unsigned node, const char *method, const struct topts *t, const char *value,
              bool stale, struct wire_node *result)
{
    struct buf out;
    request(&out, method, value != NULL ? 3 : 2);
    (void)wire_pack_text(&out, "default");
    (void)wire_pack_text(&out, "strong");
    if (value != NULL) {
        (void)wire_pack_text(&out, value);
    }
    struct wire_options o = {.has_token = t->token != NULL, .stale = stale};
    if (t->token != NULL) {
        o.token = buf_view(t->token);
    }
    (void)wire_pack_options(&out, &o);
    return answer(send(node, &out), t, result);
}

/* Scenario C50: each answer says what it is. */
START_TEST(one_token_spans_strong_and_eventual_keys_and_each_answer_says_its_consistency)
{
    struct buf token;
    struct wire_node result;
    begin(3);
    unsigned leader = rig_leader(r, 1);
    unsigned other = leader % 3 + 1;
    buf_init(&token, &r->heap, WIRE_TOKEN_BYTES_MAX);
    struct topts t = {.token = &token};
    const struct top op = ADD("c", WIRE_CRDT_PN_COUNTER, 1);
    ck_assert_int_eq(kv(leader, "kv.get", &t, NULL, false, &result), 0); /* absent */
    ck_assert(wire_node_is_nil(wire_node_find(result, "value")));
    ck_assert(field_is(result, "consistency", "linearizable"));
    ck_assert_int_eq(kv(leader, "kv.put", &t, "one", false, &result), 0);
    ck_assert_int_eq(update(leader, &t, &op, 1), 0);
    /* a replica that has not applied it waits, or another answers: never the value before */
    ck_assert_int_eq(kv(other, "kv.get", &t, NULL, true, &result), 0);
    ck_assert(field_is(result, "value", "one"));
    struct top what = {.name = "c", .types = {WIRE_CRDT_PN_COUNTER}};
    ck_assert_int_eq(read_with(other, &t, what, NULL, &result), 0);
    ck_assert_uint_eq(field(item_of(result, 0), "value"), 1);
    ck_assert(field_is(result, "consistency", "session"));
    ck_assert_int_eq(kv(leader, "kv.put", &t, "two", false, &result), 0);
    rig_isolate(r, other, true);
    ck_assert_int_eq(kv(leader, "kv.put", &t, "three", false, &result), 0);
    ck_assert_int_eq(kv(other, "kv.get", &t, NULL, true, &result), ERR_BEHIND);
    ck_assert_int_eq(kv(other, "kv.get", &plain, NULL, true, &result), 0); /* without the token */
    rig_isolate(r, other, false);
    rig_run(r, 3000000);
    ck_assert_int_eq(kv(other, "kv.get", &t, NULL, true, &result), 0);
    ck_assert(field_is(result, "value", "three"));
    ck_assert(field_is(result, "consistency", "session"));
    buf_release(&token);
    end();
}
END_TEST

/* ---- watches -------------------------------------------------------------------------------- */

/* Counts what was told of a name in notifications; values are not. */
static unsigned told(const char *name)
{
    unsigned count = 0;
    for (unsigned i = 0; i < r->replies_count; i++) {
        struct wire_node root;
        struct wire_rpc m;
        ck_assert_int_eq(wire_decode(r->decoder, buf_view(&r->replies[i].raw), &root), 0);
        if (wire_rpc_of(root, &m) != 0 || m.type != WIRE_NOTIFICATION ||
            !wire_rpc_is(&m, WIRE_EVENT_CRDT)) {
            continue;
        }
        struct wire_node list = wire_node_at(m.params, 2);
        for (uint32_t j = 0; j < wire_node_count(list); j++) {
            struct wire_node change = wire_node_at(list, j);
            struct bytes key = {0};
            ck_assert(wire_node_is_nil(wire_node_at(change, 2)));
            count += wire_node_bytes(wire_node_at(change, 1), 100, &key) == 0 &&
                     bytes_equal(key, bytes_of_text(name));
        }
    }
    return count;
}

START_TEST(a_watch_tells_names_that_change_here_by_writes_here_and_elsewhere)
{
    struct wire_node result;
    begin(3);
    ck_assert_int_eq(rig_call(r, 2, "crdt.watch", "s:default|s:user/|u:0", &result), 0);
    static const struct top three[] = {
        {.name = "user/1", .types = {WIRE_CRDT_AW_SET}, .verb = WIRE_CRDT_ADD, .value = "a"},
        {.name = "user/1", .types = {WIRE_CRDT_AW_SET}, .verb = WIRE_CRDT_ADD, .value = "b"},
        {.name = "host/1", .types = {WIRE_CRDT_AW_SET}, .verb = WIRE_CRDT_ADD, .value = "c"},
    };
    ck_assert_int_eq(update(2, &plain, three, 3), 0);
    rig_run(r, 1000000);
    ck_assert_uint_eq(told("user/1"), 1); /* once for the batch */
    ck_assert_uint_eq(told("host/1"), 0);
    ck_assert_int_eq(update_one(1, ADD("user/2", WIRE_CRDT_PN_COUNTER, 1)), 0);
    rig_run(r, 2000000);
    ck_assert_uint_ge(told("user/2"), 1);
    end();
}
END_TEST

/* Opens a watch of user/ at node 2. returns: the code. */
static int watch_from(uint64_t from, uint64_t *watch, uint64_t *revision)
{
    struct wire_node result;
    char words[64];
    (void)snprintf(words, sizeof words, "s:default|s:user/|u:%llu", (unsigned long long)from);
    int code = rig_call(r, 2, "crdt.watch", words, &result);
    if (code == 0) {
        ck_assert_int_eq(wire_node_u64(wire_node_find(result, WIRE_FIELD_WATCH), watch), 0);
        ck_assert_int_eq(wire_node_u64(wire_node_find(result, WIRE_FIELD_REVISION), revision), 0);
    }
    return code;
}

static void unwatch(uint64_t watch)
{
    struct wire_node result;
    char words[32];
    (void)snprintf(words, sizeof words, "u:%llu", (unsigned long long)watch);
    ck_assert_int_eq(rig_call(r, 2, "kv.unwatch", words, &result), 0);
}

START_TEST(a_watch_that_was_given_up_resumes_for_a_minute)
{
    uint64_t watch = 0;
    uint64_t revision = 0;
    uint64_t now = 0;
    begin(3);
    ck_assert_int_eq(watch_from(0, &watch, &revision), 0);
    unwatch(watch);
    rig_run(r, 50000000);
    ck_assert_int_eq(update_one(2, ADD("user/1", WIRE_CRDT_PN_COUNTER, 1)), 0);
    ck_assert_int_eq(watch_from(revision + 1, &watch, &now), 0);
    rig_run(r, 1000);
    ck_assert_uint_eq(told("user/1"), 1);
    unwatch(watch);
    rig_run(r, 61000000);
    ck_assert_int_eq(update_one(2, ADD("user/1", WIRE_CRDT_PN_COUNTER, 1)), 0);
    ck_assert_int_eq(watch_from(revision + 1, &watch, &now), ERR_COMPACTED);
    ck_assert_int_eq(watch_from(0, &watch, &now), 0);
    ck_assert_int_eq(update_one(2, ADD("user/2", WIRE_CRDT_PN_COUNTER, 1)), 0);
    rig_run(r, 1000);
    ck_assert_uint_eq(told("user/2"), 1);
    end();
}
END_TEST

/* as after a disk was lost, and the numbers begin again */
START_TEST(a_watch_of_more_than_a_node_ever_had_hears_of_the_gap)
{
    uint64_t watch = 0;
    uint64_t revision = 0;
    begin(3);
    ck_assert_int_eq(watch_from(0, &watch, &revision), 0);
    ck_assert_int_eq(watch_from(revision + 1, &watch, &revision), 0);
    ck_assert_int_eq(watch_from(revision + 1000, &watch, &revision), ERR_COMPACTED);
    end();
}
END_TEST

START_TEST(a_watch_begins_where_nobody_has_watched_yet)
{
    uint64_t watch = 0;
    uint64_t revision = 0;
    begin(3);
    ck_assert_int_eq(update_one(2, ADD("user/1", WIRE_CRDT_PN_COUNTER, 1)), 0);
    ck_assert_int_eq(watch_from(0, &watch, &revision), 0);
    ck_assert_int_eq(update_one(2, ADD("user/2", WIRE_CRDT_PN_COUNTER, 1)), 0);
    rig_run(r, 1000);
    ck_assert_uint_eq(told("user/1"), 0);
    ck_assert_uint_eq(told("user/2"), 1);
    end();
}
END_TEST

START_TEST(the_clusters_own_spaces_are_not_for_clients)
{
    struct wire_node result;
    struct buf out;
    static const uint8_t own[] = {0, 'h', 'o', 'l', 'd', 'f', 'a', 's', 't', '.', 'b'};
    begin(3);
    request(&out, "kv.put", 3);
    (void)wire_pack_bin(&out, bytes_of(own, sizeof own));
    (void)wire_pack_text(&out, "k");
    (void)wire_pack_text(&out, "v");
    pack_options(&out, &plain);
    ck_assert_int_eq(answer(send(1, &out), &plain, &result), ERR_BAD_NAME);
    end();
}
END_TEST

UNIT_MAIN("ev_api", a_counter_is_added_to_at_every_node_and_read_at_every_node,
          every_type_is_written_and_read, a_batch_is_applied_whole_or_not_at_all,
          an_overflow_is_refused_before_anything_is_applied,
          a_name_made_with_two_types_at_once_keeps_and_shows_both,
          a_field_of_a_map_is_removed_with_all_that_lies_under_it,
          fields_of_a_map_come_with_their_siblings_and_a_write_with_the_node_that_took_it,
          members_come_in_pages_and_each_once, an_increment_that_is_sent_again_counts_once,
          a_repeated_write_that_would_now_be_refused_gets_its_first_answer,
          many_clients_leave_no_more_metadata_than_there_are_nodes,
          of_writes_in_a_session_the_later_wins_whatever_the_clocks_say,
          a_write_with_a_clock_years_ahead_is_overwritten_by_the_next,
          a_read_with_a_token_waits_or_asks_another_or_says_behind,
          a_session_keeps_to_what_an_operation_that_changed_nothing_had_seen,
          a_session_whose_token_is_full_hears_that_its_write_was_done,
          reads_are_answered_after_any_number_of_crashes,
          a_token_of_an_epoch_that_was_never_granted_is_refused_at_once,
          one_token_spans_strong_and_eventual_keys_and_each_answer_says_its_consistency,
          a_watch_tells_names_that_change_here_by_writes_here_and_elsewhere,
          a_watch_that_was_given_up_resumes_for_a_minute,
          a_watch_of_more_than_a_node_ever_had_hears_of_the_gap,
          a_watch_begins_where_nobody_has_watched_yet, the_clusters_own_spaces_are_not_for_clients)
