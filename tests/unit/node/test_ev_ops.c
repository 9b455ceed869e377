/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: what operations made here do to records, one behaviour a test.
 */
#include "tests/unit/node/ev_ops.h"

/* ---- updates -------------------------------------------------------------------------------- */

START_TEST(an_increment_is_read_here_and_where_its_fragment_is_joined)
{
    ck_assert_int_eq(add(a, CRDT_PN_COUNTER, "", 5), 0);
    ck_assert_int_eq(add(a, CRDT_PN_COUNTER, "", -7), 0);
    ck_assert_int_eq(counter_of(a, CRDT_PN_COUNTER), -2);
    ck_assert_int_eq(send(b, buf_view(&a->notes[0].fragment)), 0);
    ck_assert_int_eq(send(b, buf_view(&a->notes[1].fragment)), 0);
    ck_assert_int_eq(counter_of(b, CRDT_PN_COUNTER), -2);
    ck_assert(ev_same(a, b, true));
    ck_assert(a->notes[0].local && !b->notes[0].local);
}
END_TEST

START_TEST(the_reply_says_what_changed_and_the_last_dot_of_each_region)
{
    struct node_ev_op ops[3] = {op_of(CRDT_AW_SET, CRDT_ADD), op_of(CRDT_AW_SET, CRDT_REMOVE),
                                op_of(CRDT_AW_SET, CRDT_ADD)};
    ops[0].op.value = bytes_of_text("x");
    ops[1].op.value = bytes_of_text("not there");
    ops[2].name = bytes_of_text("other");
    ck_assert_int_eq(ev_update(a, ops, 3, NOW), 0);
    struct bytes_reader r = bytes_reader_of(buf_view(&a->reply));
    ck_assert_uint_eq(bytes_take_u16(&r), 3);
    ck_assert_uint_eq(bytes_take_u8(&r), 1);
    ck_assert_uint_eq(bytes_take_u8(&r), 0);
    ck_assert_uint_eq(bytes_take_u8(&r), 1);
    ck_assert_uint_eq(bytes_take_u16(&r), 2);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t of = bytes_take_u8(&r);
        ck_assert(of == region() || of == node_ev_region(bytes_of_text("other")));
        ck_assert_uint_eq(bytes_take_u32(&r), 1);
        ck_assert_uint_eq(bytes_take_u64(&r), 10);
        ck_assert_uint_eq(bytes_take_u64(&r), 1);
    }
    ck_assert(bytes_reader_ended(&r));
}
END_TEST

START_TEST(a_command_of_which_one_operation_fails_changes_nothing)
{
    struct node_ev_op ops[2] = {op_of(CRDT_G_COUNTER, CRDT_ADD), op_of(CRDT_G_COUNTER, CRDT_ADD)};
    ops[0].op.amount = 1;
    ops[1].op.amount = -1;
    ck_assert_int_eq(ev_update(a, ops, 2, NOW), ERR_INVALID);
    ck_assert_uint_eq(a->reply.size, 2);
    ck_assert_uint_eq(num_get_u16(a->reply.data), 1); /* which one */
    ck_assert_int_eq(counter_of(a, CRDT_G_COUNTER), 0);
    ck_assert_uint_eq(a->notes_count, 0);
}
END_TEST

START_TEST(a_node_without_an_actor_makes_no_dot)
{
    ev_epoch(a, 0);
    ck_assert_int_eq(add(a, CRDT_G_COUNTER, "", 1), ERR_UNAVAILABLE);
}
END_TEST

START_TEST(an_operation_that_changes_nothing_uses_no_dot) /* scenario C8 */
{
    ck_assert_int_eq(add(a, CRDT_G_SET, "x", 0), 0);
    unsigned puts = a->puts;
    ck_assert_uint_gt(puts, 0);
    ck_assert_int_eq(add(a, CRDT_G_SET, "x", 0), 0);
    ck_assert_uint_eq(a->puts, 0);
    ck_assert_uint_eq(a->notes_count, 1);
    ck_assert_int_eq(add(a, CRDT_G_SET, "y", 0), 0);
    ck_assert_uint_eq(seen(a)->count, 1);
    ck_assert_uint_eq(seen(a)->ranges[0].to, 2);
}
END_TEST

START_TEST(a_name_keeps_its_type_whatever_else_lies_beside_it)
{
    struct node_ev_op op = field_of("f", CRDT_AW_SET, CRDT_ADD);
    op.op.value = bytes_of_text("x");
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(add(a, CRDT_G_COUNTER, "", 1), ERR_WRONG_TYPE);
    ck_assert_int_eq(ev_update(a, &op, 1, NOW), ERR_WRONG_TYPE);
    ck_assert_int_eq(take(a, CRDT_AW_SET, "x"), 0); /* the last element: any type may come */
    ck_assert_int_eq(ev_update(a, &op, 1, NOW), 0);
    op = field_of("f", CRDT_G_COUNTER, CRDT_ADD);
    op.op.amount = 1;
    ck_assert_int_eq(ev_update(a, &op, 1, NOW), ERR_WRONG_TYPE);
    op = field_of("g", CRDT_G_COUNTER, CRDT_ADD);
    op.op.amount = 1;
    ck_assert_int_eq(ev_update(a, &op, 1, NOW), 0);
}
END_TEST

START_TEST(one_name_made_with_two_types_at_once_keeps_both) /* scenario C33 */
{
    struct node_ev_op at_a = field_of("f", CRDT_AW_SET, CRDT_ADD);
    struct node_ev_op at_b = field_of("f", CRDT_PN_COUNTER, CRDT_ADD);
    at_a.op.value = bytes_of_text("x");
    at_b.op.amount = 3;
    ck_assert_int_eq(ev_update(a, &at_a, 1, NOW), 0);
    ck_assert_int_eq(ev_update(b, &at_b, 1, NOW), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(send(a, buf_view(&b->notes[0].fragment)), 0);
    ck_assert(ev_same(a, b, true));
    struct crdt_field field = {0};
    ck_assert(crdt_map_next(read_of(a, CRDT_MAP), &path, &field) && field.type == CRDT_PN_COUNTER);
    ck_assert(crdt_map_next(&s, &path, &field) && field.type == CRDT_AW_SET);
    ck_assert_int_eq(ev_update(a, &at_b, 1, NOW), 0); /* both may be written to */
    ck_assert_int_eq(ev_update(a, &at_a, 1, NOW), 0);
    at_a = field_of("f", CRDT_MV, CRDT_SET);
    ck_assert_int_eq(ev_update(a, &at_a, 1, NOW), ERR_WRONG_TYPE);
}
END_TEST

START_TEST(a_counter_at_its_limit_refuses_before_anything_changes) /* scenario C29 */
{
    ck_assert_int_eq(add(a, CRDT_PN_COUNTER, "", INT64_MAX), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(add(a, CRDT_PN_COUNTER, "", 1), ERR_OVERFLOW);
    ck_assert_int_eq(add(b, CRDT_PN_COUNTER, "", 1), ERR_OVERFLOW);
    ck_assert_int_eq(counter_of(a, CRDT_PN_COUNTER), INT64_MAX);
    ck_assert_uint_eq(a->notes_count, 1);
}
END_TEST

START_TEST(names_values_and_contexts_have_limits)
{
    static char big[NODE_EV_VALUE_BYTES_MAX + 2];
    struct node_ev_op op = op_of(CRDT_MV, CRDT_SET);
    memset(big, 'v', sizeof big - 1);
    ck_assert_int_eq(set_at(a, CRDT_MV, big, NOW), ERR_TOO_LARGE);
    big[NODE_EV_VALUE_BYTES_MAX] = 0;
    ck_assert_int_eq(set_at(a, CRDT_MV, big, NOW), 0);
    big[1090] = 0;
    op = op_of(CRDT_AW_SET, CRDT_ADD);
    op.name = bytes_of_text("{k}set");
    op.op.value = bytes_of_text(big);
    ck_assert_int_eq(ev_update(a, &op, 1, NOW), ERR_TOO_LARGE);
    op.op.value.size = 1081; /* kind, region, lengths, "default", name and type are 20 */
    ck_assert_int_eq(ev_update(a, &op, 1, NOW), ERR_TOO_LARGE);
    op.op.value.size = 1080;
    ck_assert_int_eq(ev_update(a, &op, 1, NOW), 0);
    struct node_ev_region *r = &a->regions[region()];
    for (uint32_t i = 0; i < 4096; i++) {
        ck_assert_int_eq(crdt_context_add(&r->seen, &(struct crdt_range){{7, i + 1}, 1, 1}), 0);
    }
    ev_epoch(a, 11); /* one actor more than fit */
    ck_assert_int_eq(add(a, CRDT_MV, "", 0), ERR_INVALID);
    ck_assert_int_eq(set_at(a, CRDT_MV, "v", NOW), ERR_TOO_LARGE);
}
END_TEST

START_TEST(a_counter_of_single_additions_is_full_before_it_fits_no_fragment)
{
    uint64_t many = 0;
    struct node_ev_op ops[NODE_EV_OPS_MAX];
    int err = 0;
    while (err == 0) {
        for (unsigned i = 0; i < NODE_EV_OPS_MAX; i++) {
            ops[i] = op_of(CRDT_COUNTER, CRDT_ADD);
            ops[i].op.amount = 1;
        }
        err = ev_update(a, ops, NODE_EV_OPS_MAX, NOW);
        many += err == 0 ? NODE_EV_OPS_MAX : 0;
    }
    ck_assert_int_eq(err, ERR_TOO_LARGE);
    ck_assert_uint_gt(many, 8000);
    ck_assert_int_eq(counter_of(a, CRDT_COUNTER), (int64_t)many);
    struct ev_pages how = {.region = region(), .parts = 1, .all_parts = 1};
    ck_assert_int_eq(ev_pages(b, a, &how), 0);
    ck_assert_int_eq(counter_of(b, CRDT_COUNTER), (int64_t)many);
}
END_TEST

START_TEST(an_element_costs_the_same_whatever_the_size_of_its_set) /* scenario C36 */
{
    char name[32];
    unsigned gets = 0;
    unsigned puts = 0;
    for (unsigned i = 0; i < 10000; i += 100) {
        struct node_ev_op ops[100];
        char names[100][16];
        for (unsigned j = 0; j < 100; j++) {
            (void)snprintf(names[j], sizeof names[j], "member:%u", i + j);
            ops[j] = op_of(CRDT_AW_SET, CRDT_ADD);
            ops[j].op.value = bytes_of_text(names[j]);
        }
        ck_assert_int_eq(ev_update(a, ops, 100, NOW), 0);
        (void)snprintf(name, sizeof name, "single:%u", i);
        ck_assert_int_eq(add(a, CRDT_AW_SET, name, 0), 0);
        ck_assert(i == 0 || (a->gets == gets && a->puts == puts));
        ck_assert_uint_lt(ev_last(a).size, 200);
        gets = a->gets;
        puts = a->puts;
    }
    ck_assert_uint_le(gets, 6);
    ck_assert_uint_le(puts, 3);
    ck_assert_int_eq(take(a, CRDT_AW_SET, "member:5000"), 0);
    ck_assert(a->gets <= 6 && a->puts <= 3 && ev_last(a).size < 200);
}
END_TEST

/* ---- clocks --------------------------------------------------------------------------------- */

START_TEST(a_later_write_wins_whatever_the_clocks_of_the_nodes_say) /* scenario C12 */
{
    ck_assert_int_eq(set_at(a, CRDT_LWW, "first", NOW + 60 * SECOND), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(set_at(b, CRDT_LWW, "second", NOW - 60 * SECOND), 0);
    ck_assert(reads(b, "second"));
    ck_assert_int_eq(send(a, ev_last(b)), 0);
    ck_assert(reads(a, "second"));
    /* also where the first is gone, and another node still has a value of its time */
    struct node_ev_op field = field_of("f", CRDT_LWW, CRDT_SET);
    field.name = bytes_of_text("{k}map");
    field.op.value = bytes_of_text("v");
    ck_assert_int_eq(ev_update(a, &field, 1, NOW + 60 * SECOND), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    struct node_ev_op gone = op_of(CRDT_MAP, CRDT_REMOVE);
    gone.name = field.name;
    gone.op.value = bytes_of_text("f");
    ck_assert_int_eq(ev_update(b, &gone, 1, NOW - 60 * SECOND), 0);
    ck_assert_int_eq(ev_update(b, &field, 1, NOW - 60 * SECOND), 0);
    ck_assert_uint_gt(b->regions[region()].time_us, NOW + 60 * SECOND);
}
END_TEST

START_TEST(a_clock_ten_years_ahead_drags_no_other_and_blocks_no_write) /* scenario C13 */
{
    uint64_t far = NOW + UINT64_C(10) * 365 * 24 * 3600 * SECOND;
    ck_assert_int_eq(set_at(a, CRDT_LWW, "future", far), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_uint_le(b->regions[region()].time_us, NOW + NODE_EV_DRIFT_US);
    struct node_ev_op other = op_of(CRDT_LWW, CRDT_SET);
    other.name = bytes_of_text("{k}other");
    ck_assert_int_eq(ev_update(b, &other, 1, NOW), 0);
    ck_assert_uint_eq(b->regions[region()].time_us, NOW); /* as it would have been without it */
    ck_assert_int_eq(set_at(b, CRDT_LWW, "now", NOW), 0); /* who has seen it may replace it */
    ck_assert(reads(b, "now"));
    ck_assert_int_eq(send(a, buf_view(&b->notes[1].fragment)), 0);
    ck_assert_int_eq(send(a, buf_view(&b->notes[2].fragment)), 0);
    ck_assert(reads(a, "now"));
    /* the clock is set right: the node's other keys get times of now again */
    ck_assert_int_eq(ev_update(a, &other, 1, NOW + SECOND), 0);
    ck_assert_uint_le(a->regions[region()].time_us, NOW + 2 * SECOND);
}
END_TEST

START_TEST(equal_times_have_one_winner_everywhere) /* scenario C11 */
{
    ck_assert_int_eq(set_at(a, CRDT_LWW, "from a", NOW), 0);
    ck_assert_int_eq(set_at(b, CRDT_LWW, "from b", NOW), 0);
    struct bytes first = ev_last(a);
    struct bytes second = ev_last(b);
    ck_assert_int_eq(send(c, second), 0);
    ck_assert_int_eq(send(c, first), 0);
    ck_assert_int_eq(send(a, second), 0);
    ck_assert_int_eq(send(b, first), 0);
    ck_assert(ev_same(a, b, true) && ev_same(a, c, true));
    ck_assert(reads(a, "from b") && reads(b, "from b") && reads(c, "from b"));
}
END_TEST

/* Both write at the same time, again and again: what either lost stays only as far as there is room
 * for it, and nobody is refused for it. */
START_TEST(a_register_gives_up_its_oldest_losers_where_a_node_has_more_than_its_share)
{
    static char big[NODE_EV_VALUE_BYTES_MAX + 1];
    memset(big, 'v', sizeof big - 1);
    for (unsigned i = 0; i < 12; i++) {
        (void)snprintf(big, sizeof big, "%02u", i);
        big[2] = 'v';
        ck_assert_int_eq(set_at(a, CRDT_LWW, big, NOW), 0);
        ck_assert_int_eq(set_at(b, CRDT_LWW, "small", NOW + SECOND), 0);
        ck_assert_int_eq(send(b, ev_last(a)), 0);
        ck_assert_int_eq(send(a, buf_view(&b->notes[b->notes_count - 2].fragment)), 0);
        ck_assert(reads(a, "small") && reads(b, "small"));
    }
    struct crdt_sibling all[CRDT_LOSERS_MAX + 1];
    size_t count = crdt_siblings(read_of(a, CRDT_LWW), &path, all, CRDT_LOSERS_MAX + 1);
    ck_assert_uint_eq(count, 1 + node_ev_share(3) / NODE_EV_VALUE_BYTES_MAX);
    for (size_t i = 1; i < count; i++) { /* the newest are those that stay */
        (void)snprintf(big, sizeof big, "%02u", (unsigned)(12 - i));
        ck_assert_int_eq(memcmp(all[i].value.data, big, 2), 0);
    }
    ck_assert(ev_same(a, b, true));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_increment_is_read_here_and_where_its_fragment_is_joined,
        the_reply_says_what_changed_and_the_last_dot_of_each_region,
        a_command_of_which_one_operation_fails_changes_nothing,
        a_node_without_an_actor_makes_no_dot,
        an_operation_that_changes_nothing_uses_no_dot,
        a_name_keeps_its_type_whatever_else_lies_beside_it,
        one_name_made_with_two_types_at_once_keeps_both,
        a_counter_at_its_limit_refuses_before_anything_changes,
        names_values_and_contexts_have_limits,
        a_counter_of_single_additions_is_full_before_it_fits_no_fragment,
        an_element_costs_the_same_whatever_the_size_of_its_set,
        a_later_write_wins_whatever_the_clocks_of_the_nodes_say,
        a_clock_ten_years_ahead_drags_no_other_and_blocks_no_write,
        equal_times_have_one_winner_everywhere,
        a_register_gives_up_its_oldest_losers_where_a_node_has_more_than_its_share,
        NULL,
    };
    return run_tests("ev_ops", tests);
}
