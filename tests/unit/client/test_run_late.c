/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Parts of a program that take long: who is asked for them a second time, who is not, and who is
 * told to stop.
 */
#include "run_fake.h"

#include "client/run_internal.h"

#include <limits.h>

static bool part_is_apart(const struct wire_rpc *m)
{
    return where_of(m) == WIRE_RUN_APART;
}

static void answer(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct bytes text;
    ck_assert_int_eq(wire_param_bytes(m, 5, WIRE_PROGRAM_BYTES_MAX, &text), 0);
    say_part(conn, m, text);
}

/* A request whose answer comes later. */
struct held {
    struct fake_conn *conn;
    uint32_t msgid;
    struct part part;
};
static struct held held[CELLS * 2];
static unsigned held_count;
static unsigned steps;

static void hold(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct held *h = &held[held_count++];
    ck_assert_uint_le(held_count, CELLS * 2);
    *h = (struct held){.conn = conn, .msgid = m->msgid};
    ck_assert_int_eq(wire_param_u64(m, 3, &h->part.from), 0);
    ck_assert_int_eq(wire_param_u64(m, 4, &h->part.bytes), 0);
    h->part.where = where_of(m);
}

static const char program[] = "words | by $0 count | top 100";

static void release(void)
{
    for (unsigned i = 0; i < held_count; i++) {
        const struct wire_rpc m = {.msgid = held[i].msgid};
        held[i].part.text = bytes_of_text(program);
        say_part_of(held[i].conn, &m, &held[i].part);
    }
    held_count = 0;
}

/* ---- the nodes ------------------------------------------------------------------------------ */

/* The second node computes nothing for which it is the holder, and is not heard of. */
static bool second_is_silent(struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)m;
    return conn->node == 1;
}

static bool all_go_on(struct fake_conn *conn, const struct wire_rpc *m)
{
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        if (object.looks >= 60) {
            return false;
        }
        hold(conn, m);
        return true;
    }
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 1);
    (void)wire_pack_text(out, WIRE_FIELD_STEPS);
    (void)wire_pack_u64(out, ++steps);
    fake_end(conn, out);
    if (object.looks == 60) {
        ck_assert_uint_eq(object.aparts, 0);
        release();
    }
    return true;
}

static bool backups_are_later(struct fake_conn *conn, const struct wire_rpc *m)
{
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        return false;
    }
    if (part_is_apart(m)) {
        release(); /* what was asked for first comes first */
        return true;
    }
    if (conn->node == 1 && object.aparts == 0) {
        hold(conn, m);
        return true;
    }
    return false;
}

/* Long enough for the part to be late by those that the other nodes have computed. */
#define LATE_MS 400u

static void late_release(uv_timer_t *timer)
{
    release();
    uv_close((uv_handle_t *)timer, NULL);
}

static bool second_is_late_once(struct fake_conn *conn, const struct wire_rpc *m)
{
    static uv_timer_t timer;
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN) || conn->node != 1 || object.late) {
        return false;
    }
    object.late = true;
    hold(conn, m);
    ck_assert_int_eq(uv_timer_init(&fake.loop, &timer), 0);
    ck_assert_int_eq(uv_timer_start(&timer, late_release, LATE_MS, 0), 0);
    return true;
}

/* All parts are held: the first few, then after one answer one more. */
static unsigned window;

static void window_is_full(uv_timer_t *timer)
{
    const struct wire_rpc m = {.msgid = held[0].msgid};
    ck_assert_uint_eq(held_count, window); /* nor did more come meanwhile */
    uv_close((uv_handle_t *)timer, NULL);
    if (++window < 11) {
        held[0].part.text = bytes_of_text(program); /* of the first cell: no other is joined */
        say_part_of(held[0].conn, &m, &held[0].part);
        memmove(&held[0], &held[1], sizeof(held[0]) * --held_count);
        return;
    }
    object.first = NULL;
    release();
}

static int by_place(const void *a, const void *b)
{
    const struct held *x = a;
    const struct held *y = b;
    return x->part.from < y->part.from ? -1 : x->part.from > y->part.from;
}

static bool parts_are_counted(struct fake_conn *conn, const struct wire_rpc *m)
{
    static uv_timer_t timer;
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        return false;
    }
    hold(conn, m);
    qsort(held, held_count, sizeof(held[0]), by_place);
    if (held_count == window) {
        ck_assert_int_eq(uv_timer_init(&fake.loop, &timer), 0);
        ck_assert_int_eq(uv_timer_start(&timer, window_is_full, 20, 0), 0);
    }
    return true;
}

static unsigned aparts_before;

static bool the_last_cell_is_held(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint64_t from = 0;
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN) || part_is_apart(m)) {
        return false;
    }
    ck_assert_int_eq(wire_param_u64(m, 3, &from), 0);
    if (from < (CELLS - 1) * CELL) {
        return false;
    }
    hold(conn, m);
    return true;
}

/* Of all other cells the answers have been read. That of the last one comes, and then the processor
 * is another program's until the part is late. */
static void answered_and_away(void *ctx, uint64_t bytes, uint64_t total)
{
    (void)ctx;
    (void)total;
    if (bytes != (CELLS - 1) * CELL) {
        return;
    }
    ck_assert_uint_eq(held_count, 1);
    release();
    aparts_before = object.aparts;
    const uint64_t until_ns = uv_hrtime() + (uint64_t)LATE_MS * 1000000;
    while (uv_hrtime() < until_ns) {
    }
}

#define AWAY_MS 60000u /* more than any call has */

/* The same, but that long that no call has time left, and the client looks before it reads. */
static void answered_and_long_away(void *ctx, uint64_t bytes, uint64_t total)
{
    (void)ctx;
    (void)total;
    if (bytes != (CELLS - 1) * CELL) {
        return;
    }
    ck_assert_uint_eq(held_count, 1);
    release();
    aparts_before = object.aparts;
    fake.loop.time -= AWAY_MS; /* what was noted of the time, as if it were so long ago */
    for (struct hf_call *call = fake.client->calls; call != NULL; call = call->next) {
        call->deadline_ms -= AWAY_MS;
        call->began_ms -= AWAY_MS;
        call->attempt_end_ms -= AWAY_MS;
        call->doubt_ms -= AWAY_MS;
    }
    hf_timer_by(fake.client, 0);
}

static bool only_the_first_cell(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint64_t from = 0;
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        return false;
    }
    ck_assert_int_eq(wire_param_u64(m, 3, &from), 0);
    if (from == 0) {
        answer(conn, m);
    }
    return true;
}

/* The second node goes when the first cell is asked for; those of the first stripes are on their
 * way by then. Parts of lost cells, and of stripes that have some, are held until they were looked
 * at twice; they go on. */
static bool lost_cells_take_longer(struct fake_conn *conn, const struct wire_rpc *m)
{
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        uint64_t from = 0;
        ck_assert_int_eq(wire_param_u64(m, 3, &from), 0);
        if (from == 0) {
            fake_stop_node(&fake, 1);
        }
        if (conn->node == 1) {
            return true;
        }
        for (unsigned i = 0; i < held_count; i++) { /* nobody is asked before it is looked after */
            ck_assert(held[i].part.from != from || object.looks > 0);
        }
        if (where_of(m) != WIRE_RUN_STRIPE && from / CELL % 3 + object.lost < 3) {
            return false;
        }
        hold(conn, m);
        return true;
    }
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 1);
    (void)wire_pack_text(out, WIRE_FIELD_STEPS);
    (void)wire_pack_u64(out, ++steps);
    fake_end(conn, out);
    if (object.looks > 0 && object.looks % 2 == 0) { /* not where one is told to stop */
        release();
    }
    return true;
}

static unsigned asked_of[CELLS]; /* by cell, the node that was asked last, from 1 */
static enum wire_run_where asked_where[CELLS];

static bool is_noted(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint64_t from = 0;
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        ck_assert_int_eq(wire_param_u64(m, 3, &from), 0);
        asked_of[from / CELL] = conn->node + 1;
        asked_where[from / CELL] = where_of(m);
    }
    return false;
}

/* Neither the decoder of the third stripe nor the holder of its first cell says anything of it. */
static bool two_say_nothing_of_a_cell(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint64_t from = 0;
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        return false;
    }
    ck_assert_int_eq(wire_param_u64(m, 3, &from), 0);
    return from / CELL == 6 && (conn->node + 1 == 4 || conn->node + 1 == 3);
}

/* Who has to decode the third stripe says nothing more of it. */
static bool third_stripe_is_late(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint64_t from = 0;
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        return false;
    }
    ck_assert_int_eq(wire_param_u64(m, 3, &from), 0);
    return from / CELL / 3 == 2 && !is_noted(conn, m) && where_of(m) == WIRE_RUN_STRIPE;
}

/* The first parts of the two first stripes are with their nodes: what each of them has to do is
 * known by then. */
static bool depths_are_seen(struct fake_conn *conn, const struct wire_rpc *m)
{
    const struct hf_run *r = (const struct hf_run *)fake.client->transfers;
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        return false;
    }
    (void)is_noted(conn, m);
    for (unsigned i = 0; i < 6 && object.parts_all == 0; i++) {
        ck_assert_uint_eq(r->slots[i].cell, i);
        ck_assert_int_eq(r->slots[i].first.where, WIRE_RUN_STRIPE);
        ck_assert_uint_eq(r->slots[i].first.depth, 3);
    }
    return false;
}

/* A node computes no more than half a cell at once. */
static bool parts_are_noted(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint64_t bytes = 0;
    if (wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN)) {
        ck_assert_int_eq(wire_param_u64(m, 4, &bytes), 0);
        ck_assert_int_eq(where_of(m), bytes < CELL ? WIRE_RUN_HOLDER : WIRE_RUN_STRIPE);
    }
    return is_noted(conn, m);
}

/* Who has to decode the second stripe, and holds its second cell, fails for its first one. */
static bool fourth_cell_is_unavailable(struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)is_noted(conn, m);
    if (!wire_rpc_is(m, WIRE_METHOD_OBJECT_RUN) || where_of(m) != WIRE_RUN_STRIPE || object.late) {
        return false;
    }
    uint64_t from = 0;
    ck_assert_int_eq(wire_param_u64(m, 3, &from), 0);
    object.late = from / CELL == 3;
    if (object.late) {
        fake_say_error(conn, m, ERR_CORRUPT);
    }
    return object.late;
}

/* ---- runs ----------------------------------------------------------------------------------- */

START_TEST(more_cells_are_asked_for_with_each_answer)
{
    begin(SIZE);
    object.first = parts_are_counted;
    window = 8;
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert_uint_eq(window, 11);
    ck_assert_uint_eq(object.parts_all, CELLS);
    end();
}
END_TEST

START_TEST(a_late_part_is_asked_for_elsewhere_apart_from_its_holder)
{
    begin(SIZE);
    object.m = 2;
    object.first = second_is_silent;
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert_uint_ge(ran.cost.backups, 1);
    ck_assert_uint_ge(object.aparts, CELLS / 3); /* of all cells of the silent node */
    ck_assert_uint_eq(ran.cost.bytes_read, SIZE);
    end();
}
END_TEST

START_TEST(parts_that_are_slow_and_go_on_are_waited_for)
{
    begin(SIZE);
    object.m = 2;
    object.first = all_go_on;
    steps = 0;
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert_uint_ge(object.looks, 60);
    end();
}
END_TEST

START_TEST(the_first_of_two_answers_is_taken_and_the_other_node_told_to_stop)
{
    begin(SIZE);
    object.m = 2;
    object.first = backups_are_later;
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert_uint_eq(ran.cost.bytes_read, SIZE);
    ck_assert_uint_ge(ran.cost.backups, 1);
    while (object.stops == 0) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    end();
}
END_TEST

START_TEST(without_backups_a_late_part_is_waited_for)
{
    begin(SIZE);
    object.m = 2;
    object.first = second_is_late_once;
    ran.no_backups = true;
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert(object.late);
    ck_assert_uint_eq(ran.cost.backups, 0);
    ck_assert_uint_eq(object.aparts, 0);
    ck_assert_uint_eq(object.looks, 0);
    end();
}
END_TEST

START_TEST(an_answer_that_is_there_is_read_before_its_part_is_late)
{
    begin(SIZE);
    object.m = 2;
    object.first = the_last_cell_is_held;
    ran.progress = answered_and_away;
    aparts_before = UINT_MAX;
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert_uint_eq(object.aparts, aparts_before);
    end();
}
END_TEST

START_TEST(time_of_the_client_itself_is_none_of_the_nodes)
{
    begin(SIZE);
    object.m = 2;
    object.first = the_last_cell_is_held;
    ran.progress = answered_and_long_away;
    ran.no_backups = true;
    aparts_before = UINT_MAX;
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert_uint_eq(object.aparts, aparts_before);
    end();
}
END_TEST

START_TEST(parts_that_are_decoded_are_not_late_by_those_that_are_read)
{
    begin_on(5, SIZE);
    object.m = 2;
    object.lost = 1;
    object.first = lost_cells_take_longer;
    steps = 0;
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert_uint_ge(object.looks, 2);
    ck_assert_uint_ge(ran.cost.cells_decoded, CELLS / 3);
    end();
}
END_TEST

/* Nodes 3, 1, 2 hold data and 4, 5 parity, in this order; 1 and 2 are gone. */
START_TEST(a_stripe_that_has_lost_cells_is_asked_for_at_one_node_that_holds_some_of_it)
{
    static const unsigned able[] = {3, 4, 5};
    uint64_t local = 0;
    begin_on(5, SIZE);
    object.m = 2;
    object.lost = 2;
    object.first = is_noted;
    ran.no_backups = true;
    fake_stop_node(&fake, 0);
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    for (unsigned cell = 0; cell < CELLS; cell++) {
        ck_assert_uint_eq(asked_of[cell], able[cell / 3 % 3]);
        ck_assert_int_eq(asked_where[cell], WIRE_RUN_STRIPE);
        local += cell % 3 == 0 && able[cell / 3 % 3] == 3 ? CELL : 0;
    }
    ck_assert_uint_eq(ran.cost.bytes_local, local); /* read where they lie, and moved nowhere */
    ck_assert_uint_eq(ran.cost.cells_decoded, CELLS / 3 * 2);
    end();
}
END_TEST

/* Node 2 is gone: its cells are the last ones of each stripe. */
START_TEST(late_parts_of_a_stripe_are_asked_for_where_they_lie)
{
    static const unsigned holders[] = {3, 1, 2};
    begin_on(5, SIZE);
    object.m = 2;
    object.lost = 1;
    object.first = third_stripe_is_late;
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert_uint_ge(ran.cost.backups, 3);
    for (unsigned cell = 6; cell < 9; cell++) {
        const bool lost = cell == 8;
        ck_assert_int_eq(asked_where[cell], lost ? WIRE_RUN_APART : WIRE_RUN_HOLDER);
        ck_assert(lost || asked_of[cell] == holders[cell % 3]);
    }
    ck_assert_uint_ne(asked_of[8], 2);
    ck_assert_uint_ne(asked_of[8], 4); /* it was asked first: each stripe has another node */
    end();
}
END_TEST

START_TEST(a_late_part_is_not_waited_for_where_it_lies_for_ever)
{
    begin_on(5, SIZE);
    object.m = 2;
    object.lost = 1;
    object.first = two_say_nothing_of_a_cell;
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    end();
}
END_TEST

/* Four stripes, and six nodes that could decode them: their cells are spread. */
START_TEST(few_stripes_are_not_computed_whole)
{
    begin_on(7, SIZE);
    object.m = 4;
    object.lost = 1;
    object.first = is_noted;
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    for (unsigned cell = 0; cell < CELLS; cell++) {
        ck_assert_int_eq(asked_where[cell], WIRE_RUN_HOLDER);
    }
    end();
}
END_TEST

START_TEST(parts_of_a_stripe_take_turns_with_those_asked_for_before)
{
    begin_on(5, SIZE);
    object.m = 2;
    object.lost = 1;
    object.first = depths_are_seen;
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert_int_eq(asked_where[0], WIRE_RUN_STRIPE);
    end();
}
END_TEST

START_TEST(less_than_a_cell_is_asked_for_where_it_lies)
{
    begin_on(5, SIZE / CELL * CELL);
    object.m = 2;
    object.lost = 1;
    object.most = CELL / 2;
    object.first = parts_are_noted;
    ran.no_backups = true;
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert_uint_gt(object.refused, 0);
    end();
}
END_TEST

/* The last stripe has two cells: that of the node that is gone is not one of them. */
START_TEST(cells_behind_the_end_of_an_object_are_not_lost)
{
    begin_on(5, (CELLS - 2) * CELL + 777);
    object.m = 2;
    object.lost = 1;
    object.first = is_noted;
    ran.no_backups = true;
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    for (unsigned cell = 0; cell < CELLS - 1; cell++) {
        ck_assert_int_eq(asked_where[cell], cell < 9 ? WIRE_RUN_STRIPE : WIRE_RUN_HOLDER);
    }
    end();
}
END_TEST

START_TEST(a_part_that_failed_is_not_asked_for_with_its_stripe_again)
{
    begin_on(5, SIZE);
    object.m = 2;
    object.lost = 1;
    object.first = fourth_cell_is_unavailable;
    ran.no_backups = true;
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(run(program), 0);
    check_printed(program);
    ck_assert(object.late);
    for (unsigned cell = 0; cell < CELLS; cell++) {
        ck_assert_int_eq(asked_where[cell], cell == 3 ? WIRE_RUN_HOLDER : WIRE_RUN_STRIPE);
    }
    ck_assert_uint_eq(asked_of[3], 3);
    end();
}
END_TEST

START_TEST(what_an_error_makes_needless_is_stopped)
{
    begin(SIZE);
    memcpy(object.data, "x\n", 2);
    object.first = only_the_first_cell;
    ck_assert_int_eq(run("lines | sum $1"), ERR_WRONG_TYPE);
    while (object.stops == 0) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    end();
}
END_TEST

UNIT_MAIN("client_run_late", more_cells_are_asked_for_with_each_answer,
          a_late_part_is_asked_for_elsewhere_apart_from_its_holder,
          parts_that_are_slow_and_go_on_are_waited_for,
          the_first_of_two_answers_is_taken_and_the_other_node_told_to_stop,
          without_backups_a_late_part_is_waited_for,
          an_answer_that_is_there_is_read_before_its_part_is_late,
          time_of_the_client_itself_is_none_of_the_nodes,
          parts_that_are_decoded_are_not_late_by_those_that_are_read,
          a_stripe_that_has_lost_cells_is_asked_for_at_one_node_that_holds_some_of_it,
          late_parts_of_a_stripe_are_asked_for_where_they_lie,
          a_late_part_is_not_waited_for_where_it_lies_for_ever, few_stripes_are_not_computed_whole,
          parts_of_a_stripe_take_turns_with_those_asked_for_before,
          less_than_a_cell_is_asked_for_where_it_lies,
          cells_behind_the_end_of_an_object_are_not_lost,
          a_part_that_failed_is_not_asked_for_with_its_stripe_again,
          what_an_error_makes_needless_is_stopped)
