/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: what comes from peers does to records, one behaviour a test.
 */
#include "server/node/eventual_peers_internal.h"
#include "tests/unit/node/ev_ops.h"

/* ---- joins ---------------------------------------------------------------------------------- */

START_TEST(removals_at_two_nodes_leave_the_same_everywhere) /* scenario C10 */
{
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(send(c, ev_last(a)), 0);
    ck_assert_int_eq(take(a, CRDT_AW_SET, "x"), 0);
    ck_assert_int_eq(take(b, CRDT_AW_SET, "x"), 0);
    struct bytes from_a = ev_last(a);
    struct bytes from_b = ev_last(b);
    ck_assert_int_eq(send(c, from_a), 0);
    ck_assert_int_eq(send(c, from_b), 0);
    ck_assert_int_eq(send(a, from_b), 0);
    ck_assert_int_eq(send(b, from_a), 0);
    ck_assert(!has(a, CRDT_AW_SET, "x"));
    ck_assert(ev_same(a, b, true) && ev_same(a, c, true));
}
END_TEST

START_TEST(a_fragment_before_its_predecessor_is_refused_whole) /* scenario C22 */
{
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(add(a, CRDT_AW_SET, "y", 0), 0);
    struct bytes both[2] = {buf_view(&a->notes[1].fragment), buf_view(&a->notes[0].fragment)};
    ck_assert_int_eq(ev_join(b, both, 1), ERR_BEHIND);
    ck_assert_int_eq(ev_join(b, both, 2), ERR_BEHIND);
    ck_assert(!has(b, CRDT_AW_SET, "x") && seen(b)->count == 0);
    struct bytes right[2] = {both[1], both[0]};
    ck_assert_int_eq(ev_join(b, right, 2), 0);
    ck_assert(ev_same(a, b, true));
}
END_TEST

/* What the sender of pages had seen is kept beside them until all have come. */
START_TEST(a_page_leaves_word_of_what_it_may_tell_of_until_the_last)
{
    const uint8_t raw[2] = {NODE_KEY_EV_AHEAD, region()};
    const struct bytes name = bytes_of(raw, sizeof raw);
    struct ev_pages how = {.region = region(), .parts = 2, .all_parts = 4};
    for (unsigned i = 0; i < 40; i++) {
        char element[8];
        (void)snprintf(element, sizeof element, "%u", i);
        ck_assert_int_eq(add(a, CRDT_AW_SET, element, 0), 0);
    }
    ck_assert_uint_eq(ev_row(b, name).size, 0);
    ck_assert_int_eq(ev_pages(b, a, &how), 0);
    struct crdt_context ahead;
    const struct alloc heap = alloc_heap();
    const struct crdt_limits limits = crdt_limits_default();
    crdt_context_init(&ahead, &heap);
    ck_assert_int_eq(crdt_context_decode(&ahead, ev_row(b, name), &limits), 0);
    ck_assert(crdt_context_equal(&ahead, seen(a)) && seen(b)->count == 0);
    crdt_context_release(&ahead);
    how.parts = 4;
    ck_assert_int_eq(ev_pages(b, a, &how), 0);
    ck_assert_uint_eq(ev_row(b, name).size, 0);
    ck_assert(ev_same(a, b, true));
}
END_TEST

/* A page without records, of a sender that has seen so many dots of one node with gaps between. */
static int page_of(uint32_t node, unsigned dots)
{
    const struct alloc heap = alloc_heap();
    struct node_ev_fragment f;
    struct buf page;
    node_ev_fragment_init(&f, &heap);
    buf_init(&page, &heap, NODE_EV_FRAGMENT_MAX);
    f.region = region();
    f.flags = NODE_EV_PAGE;
    for (unsigned i = 0; i < dots; i++) {
        const struct crdt_range one = {{node, 1}, 2 * i + 1, 2 * i + 1};
        ck_assert_int_eq(crdt_context_add(&f.seen, &one), 0);
    }
    ck_assert_int_eq(node_ev_fragment_head(&f, &page), 0);
    const struct bytes raw = buf_view(&page);
    int err = ev_join(b, &raw, 1);
    node_ev_fragment_release(&f);
    buf_release(&page);
    return err;
}

/* What several senders had seen may be more than one of them can tell. */
START_TEST(pages_of_several_senders_are_joined_however_much_they_had_seen)
{
    ck_assert_int_eq(page_of(7, 9000), 0);
    ck_assert_int_eq(page_of(8, 9000), 0);
    ck_assert_int_eq(page_of(9, 9000), 0);
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    const struct ev_pages how = {.region = region(), .parts = 1, .all_parts = 1};
    ck_assert_int_eq(ev_pages(b, a, &how), 0);
    ck_assert(has(b, CRDT_AW_SET, "x"));
}
END_TEST

START_TEST(a_fragment_that_comes_again_changes_nothing) /* scenarios C23, C35 */
{
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    unsigned notes = b->notes_count;
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_uint_eq(b->puts, 0);
    ck_assert_int_eq(take(b, CRDT_AW_SET, "x"), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0); /* late: it was removed since */
    ck_assert(!has(b, CRDT_AW_SET, "x"));
    ck_assert_uint_eq(b->notes_count, notes + 1);
}
END_TEST

START_TEST(a_removal_after_an_addition_in_one_command_leaves_nothing) /* scenario C24 */
{
    struct node_ev_op ops[2] = {op_of(CRDT_AW_SET, CRDT_ADD), op_of(CRDT_AW_SET, CRDT_REMOVE)};
    ops[0].op.value = bytes_of_text("x");
    ops[1].op.value = bytes_of_text("x");
    ck_assert_int_eq(ev_update(a, ops, 2, NOW), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert(!has(a, CRDT_AW_SET, "x") && !has(b, CRDT_AW_SET, "x"));
    ck_assert(ev_same(a, b, true));
    struct node_ev_op turned[2] = {ops[1], ops[0]};
    ck_assert_int_eq(ev_update(a, turned, 2, NOW), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert(has(a, CRDT_AW_SET, "x") && has(b, CRDT_AW_SET, "x"));
}
END_TEST

START_TEST(a_removal_carries_what_it_removes_and_waits_for_nobody) /* scenario C18 */
{
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(take(b, CRDT_AW_SET, "x"), 0);
    ck_assert_int_eq(send(c, ev_last(b)), ERR_BEHIND); /* c has seen nothing of a */
    struct ev_pages how = {.region = region(), .parts = 1, .all_parts = 1};
    ck_assert_int_eq(ev_pages(c, b, &how), 0);
    ck_assert_int_eq(send(c, ev_last(a)), 0); /* the addition, late */
    ck_assert(!has(c, CRDT_AW_SET, "x"));
    ck_assert(ev_same(b, c, true));
}
END_TEST

START_TEST(a_field_removed_takes_the_removals_inside_it_along) /* scenario C19 */
{
    struct node_ev_op put = field_of("f", CRDT_AW_SET, CRDT_ADD);
    struct node_ev_op out = field_of("f", CRDT_AW_SET, CRDT_REMOVE);
    struct node_ev_op gone = op_of(CRDT_MAP, CRDT_REMOVE);
    put.op.value = bytes_of_text("x");
    out.op.value = bytes_of_text("x");
    gone.op.value = bytes_of_text("f");
    ck_assert_int_eq(ev_update(a, &put, 1, NOW), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(ev_update(b, &out, 1, NOW), 0); /* at b the element, at a the field */
    ck_assert_int_eq(ev_update(a, &gone, 1, NOW), 0);
    ck_assert_int_eq(send(c, buf_view(&a->notes[0].fragment)), 0);
    ck_assert_int_eq(send(c, ev_last(a)), 0);
    ck_assert_int_eq(send(c, ev_last(b)), 0);
    ck_assert_uint_eq(read_of(c, CRDT_MAP)->entries, 0);
    ck_assert_int_eq(send(c, buf_view(&a->notes[0].fragment)), 0);
    ck_assert_uint_eq(read_of(c, CRDT_MAP)->entries, 0);
}
END_TEST

START_TEST(a_counter_removed_while_it_counts_keeps_what_was_not_seen) /* scenario C20 */
{
    struct node_ev_op count = field_of("f", CRDT_COUNTER, CRDT_ADD);
    struct node_ev_op gone = op_of(CRDT_MAP, CRDT_REMOVE);
    count.op.amount = 5;
    gone.op.value = bytes_of_text("f");
    ck_assert_int_eq(ev_update(a, &count, 1, NOW), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    count.op.amount = 3;
    ck_assert_int_eq(ev_update(a, &count, 1, NOW), 0);
    ck_assert_int_eq(ev_update(b, &gone, 1, NOW), 0);
    struct bytes more = ev_last(a);
    ck_assert_int_eq(send(a, ev_last(b)), 0);
    ck_assert_int_eq(send(b, more), 0);
    ck_assert(ev_same(a, b, true));
    (void)read_of(a, CRDT_MAP);
    ck_assert_int_eq(crdt_path_push(&path, bytes_of_text("f"), CRDT_COUNTER), 0);
    ck_assert_int_eq(crdt_counter(&s, &path), 3);
}
END_TEST

START_TEST(a_counter_that_was_removed_starts_at_nothing) /* scenario C21 */
{
    struct node_ev_op count = field_of("f", CRDT_PN_COUNTER, CRDT_ADD);
    struct node_ev_op gone = op_of(CRDT_MAP, CRDT_REMOVE);
    count.op.amount = 100;
    gone.op.value = bytes_of_text("f");
    ck_assert_int_eq(ev_update(a, &count, 1, NOW), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(ev_update(a, &gone, 1, NOW), 0);
    count.op.amount = 2;
    ck_assert_int_eq(ev_update(a, &count, 1, NOW), 0);
    ck_assert_int_eq(send(b, buf_view(&a->notes[1].fragment)), 0);
    ck_assert_int_eq(send(b, buf_view(&a->notes[2].fragment)), 0);
    (void)read_of(b, CRDT_MAP);
    ck_assert_int_eq(crdt_path_push(&path, bytes_of_text("f"), CRDT_PN_COUNTER), 0);
    ck_assert_int_eq(crdt_counter(&s, &path), 2);
    ck_assert(ev_same(a, b, true));
}
END_TEST

/* ---- removals and pages --------------------------------------------------------------------- */

START_TEST(pages_show_removals_until_everybody_has_seen_them) /* scenario C4 */
{
    struct ev_pages how = {.region = region(), .parts = 2, .all_parts = 2};
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(send(c, ev_last(a)), 0);
    ck_assert_int_eq(take(a, CRDT_AW_SET, "x"), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_uint_eq(ev_drop(a, region(), seen(c)), 0); /* c has not seen it: it stays */
    ck_assert_int_eq(ev_pages(c, a, &how), 0);
    ck_assert(!has(c, CRDT_AW_SET, "x"));
    ck_assert_uint_eq(ev_drop(a, region(), seen(c)), 1);
    ck_assert_uint_eq(ev_drop(b, region(), seen(c)), 1);
    ck_assert_int_eq(add(b, CRDT_AW_SET, "x", 0), 0); /* made again */
    ck_assert_int_eq(ev_pages(b, c, &how), 0);        /* by a node that still has the removal */
    ck_assert(has(b, CRDT_AW_SET, "x"));
    ck_assert_int_eq(send(c, ev_last(b)), 0);
    ck_assert_int_eq(send(a, ev_last(b)), 0);
    ck_assert(has(c, CRDT_AW_SET, "x") && has(a, CRDT_AW_SET, "x"));
    ck_assert_uint_eq(ev_drop(c, region(), seen(c)), 1);
    ck_assert(ev_same(a, b, true) && ev_same(a, c, true));
}
END_TEST

static size_t record_bytes(const struct ev_replica *r)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < r->names.count; i++) {
        bool record = node_ev_names_at(&r->names, i).data[0] == NODE_KEY_EV_RECORD;
        bytes += record && r->rows[i].present ? r->rows[i].value.size : 0;
    }
    return bytes;
}

START_TEST(what_comes_and_goes_a_thousand_times_leaves_one_removal_of_each_node)
{
    struct ev_pages how = {.region = region(), .parts = 1, .all_parts = 1};
    for (unsigned i = 0; i < 1000; i++) { /* c sees none of it, so no removal is ever dropped */
        struct ev_replica *from = i % 2 == 0 ? a : b;
        struct ev_replica *to = i % 2 == 0 ? b : a;
        ck_assert_int_eq(add(from, CRDT_AW_SET, "x", 0), 0);
        ck_assert_int_eq(send(to, ev_last(from)), 0);
        ck_assert_int_eq(take(from, CRDT_AW_SET, "x"), 0);
        ck_assert_int_eq(send(to, ev_last(from)), 0);
        ck_assert_uint_le(record_bytes(a), NODE_EV_RECORD_BYTES_MIN + 2 * NODE_EV_DOT_BYTES);
        ck_assert_uint_le(record_bytes(b), NODE_EV_RECORD_BYTES_MIN + 2 * NODE_EV_DOT_BYTES);
    }
    ck_assert(ev_same(a, b, true));
    ck_assert_int_eq(send(c, buf_view(&a->notes[0].fragment)), 0);
    ck_assert(has(c, CRDT_AW_SET, "x"));
    ck_assert_int_eq(ev_pages(c, b, &how), 0);
    ck_assert(!has(c, CRDT_AW_SET, "x") && ev_same(b, c, true));
}
END_TEST

START_TEST(half_a_page_leaves_the_removals_that_can_be_told)
{
    struct ev_pages half = {.region = region(), .parts = 63, .all_parts = 64};
    struct ev_pages whole = {.region = region(), .parts = 1, .all_parts = 1};
    struct ev_replica *d = ev_new(4, 7);
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(send(d, ev_last(a)), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(send(c, ev_last(a)), 0);
    ck_assert_int_eq(take(a, CRDT_AW_SET, "x"), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(take(a, CRDT_AW_SET, "x"), 0);
    ck_assert_int_eq(ev_pages(b, a, &half), 0); /* the second removal is there and not yet seen */
    ck_assert_int_eq(ev_pages(c, b, &whole), 0);
    ck_assert(!has(c, CRDT_AW_SET, "x"));
    ck_assert_int_eq(ev_pages(d, c, &whole), 0); /* and c was told of the first */
    ck_assert(!has(d, CRDT_AW_SET, "x"));
    ck_assert_int_eq(send(c, buf_view(&a->notes[2].fragment)), 0);
    ck_assert_int_eq(send(c, buf_view(&a->notes[3].fragment)), 0);
    ck_assert(ev_same(a, c, true));
    ev_free(d);
}
END_TEST

START_TEST(a_removal_that_was_dropped_here_does_not_come_back)
{
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(take(a, CRDT_AW_SET, "x"), 0);
    struct bytes both[2] = {buf_view(&a->notes[0].fragment), buf_view(&a->notes[1].fragment)};
    ck_assert_int_eq(ev_join(b, both, 2), 0);
    ck_assert_uint_eq(ev_drop(a, region(), seen(b)), 1);
    struct ev_pages how = {.region = region(), .parts = 1, .all_parts = 1, .all = true};
    ck_assert_int_eq(ev_pages(a, b, &how), 0);
    ck_assert_uint_eq(a->puts, 0);
}
END_TEST

START_TEST(pages_without_the_last_add_nothing_to_the_context)
{
    struct ev_pages some = {.region = region(), .parts = 1, .all_parts = 2};
    struct ev_pages whole = {.region = region(), .parts = 2, .all_parts = 2};
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(add(a, CRDT_AW_SET, "y", 0), 0);
    ck_assert_int_eq(ev_pages(b, a, &some), 0);
    ck_assert_uint_eq(seen(b)->count, 0);
    ck_assert_int_eq(ev_pages(b, a, &whole), 0);
    ck_assert(ev_same(a, b, true) && crdt_context_equal(seen(a), seen(b)));
}
END_TEST

/* Records were damaged in between, and what is left of the region is fetched anew. */
START_TEST(the_last_page_is_refused_if_records_may_have_gone_since_the_first)
{
    struct ev_pages whole = {.region = region(), .parts = 1, .all_parts = 1, .asked_under = 7};
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ev_epoch(b, 0); /* both times: its block is used up */
    ev_mark(b, 8);
    ck_assert_int_eq(ev_pages(b, a, &whole), ERR_CONFLICT);
    ck_assert_uint_eq(seen(b)->count, 0);
    ev_epoch(b, 2); /* that alone takes nothing away */
    whole.asked_under = 8;
    ck_assert_int_eq(ev_pages(b, a, &whole), 0);
    ck_assert(ev_same(a, b, true) && crdt_context_equal(seen(a), seen(b)));
}
END_TEST

START_TEST(an_operation_does_not_rest_on_what_half_a_page_brought)
{
    struct ev_pages some = {.region = region(), .parts = 1, .all_parts = 2};
    struct ev_pages whole = {.region = region(), .parts = 1, .all_parts = 1};
    ck_assert_int_eq(set_at(c, CRDT_MV, "first", NOW), 0);
    ck_assert_int_eq(send(a, ev_last(c)), 0);
    ck_assert_int_eq(send(b, ev_last(c)), 0);
    ck_assert_int_eq(set_at(a, CRDT_MV, "second", NOW), 0);
    ck_assert_int_eq(ev_pages(b, a, &some), 0);
    some.parts = 2;
    some.all_parts = 3; /* whichever part the record is in */
    ck_assert_int_eq(ev_pages(b, a, &some), 0);
    ck_assert_int_eq(set_at(b, CRDT_MV, "third", NOW), 0);
    struct bytes third = ev_last(b);
    ck_assert_int_eq(send(c, third), 0);
    ck_assert_int_eq(ev_pages(c, a, &whole), 0);
    ck_assert_int_eq(ev_pages(b, a, &whole), 0);
    ck_assert_int_eq(send(a, third), 0);
    ck_assert_uint_eq(read_of(a, CRDT_MV)->entries, 2); /* second and third, at the same time */
    ck_assert(ev_same(a, b, true) && ev_same(a, c, true));
}
END_TEST

START_TEST(a_merged_interval_asks_for_what_its_first_replaced) /* scenario C22 */
{
    struct alloc heap = alloc_heap();
    struct buf merged;
    buf_init(&merged, &heap, NODE_EV_FRAGMENT_MAX);
    ck_assert_int_eq(set_at(a, CRDT_MV, "first", NOW), 0);
    ck_assert_int_eq(set_at(a, CRDT_MV, "second", NOW), 0);
    ck_assert_int_eq(set_at(a, CRDT_MV, "third", NOW), 0);
    struct bytes last = ev_last(a);
    ck_assert_int_eq(node_ev_merge(&last, 1, &heap, &merged), 0);
    ck_assert_int_eq(send(b, buf_view(&a->notes[0].fragment)), 0);
    ck_assert_int_eq(send(b, buf_view(&merged)), ERR_BEHIND);
    struct bytes both[2] = {buf_view(&a->notes[1].fragment), last};
    buf_clear(&merged);
    ck_assert_int_eq(node_ev_merge(both, 2, &heap, &merged), 0);
    ck_assert_int_eq(send(c, buf_view(&merged)), ERR_BEHIND);
    ck_assert_int_eq(send(b, buf_view(&merged)), 0);
    ck_assert(ev_same(a, b, true));
    buf_release(&merged);
}
END_TEST

START_TEST(what_a_sender_has_not_seen_itself_is_not_taken_from_it)
{
    struct ev_pages some = {.region = region(), .parts = 2, .all_parts = 3};
    struct ev_pages all = {.region = region(), .parts = 1, .all_parts = 1, .all = true};
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(ev_pages(b, a, &some), 0); /* b is in the middle of catching up */
    ck_assert_int_eq(add(b, CRDT_AW_SET, "z", 0), 0);
    ck_assert_int_eq(ev_pages(c, b, &all), 0);
    ck_assert(has(c, CRDT_AW_SET, "z") && !has(c, CRDT_AW_SET, "x"));
    ck_assert_int_eq(send(c, ev_last(a)), 0);
    ck_assert(has(c, CRDT_AW_SET, "x"));
}
END_TEST

START_TEST(records_that_were_lost_come_back_although_they_were_seen)
{
    struct ev_pages how = {.region = region(), .parts = 1, .all_parts = 1, .all = true};
    ck_assert_int_eq(add(a, CRDT_AW_SET, "x", 0), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    struct node_ev_types types;
    struct hash_digest none = {0};
    node_ev_types_init(&types, b->store.alloc);
    for (uint32_t i = 0; i < b->names.count; i++) {
        uint8_t kind = node_ev_names_at(&b->names, i).data[0];
        b->rows[i].present =
            b->rows[i].present && kind != NODE_KEY_EV_RECORD && kind != NODE_KEY_EV_TYPES;
    }
    b->regions[region()].digest = none;
    ck_assert_int_eq(ev_pages(b, a, &how), 0);
    ck_assert(!has(b, CRDT_AW_SET, "x"));
    how.flags = NODE_EV_RESTORE;
    ck_assert_int_eq(ev_pages(b, a, &how), 0);
    ck_assert(has(b, CRDT_AW_SET, "x") && ev_same(a, b, true));
    node_ev_types_release(&types);
}
END_TEST

START_TEST(a_path_that_fits_no_name_is_refused_also_where_nothing_lies_under_it)
{
    static char big[257];
    struct node_ev_op op = op_of(CRDT_MAP, CRDT_REMOVE);
    memset(big, 'n', sizeof big - 1);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(crdt_path_push(&op.path, bytes_of_text(big), CRDT_MAP), 0);
    }
    op.op.value = bytes_of_text("f");
    ck_assert_int_eq(ev_update(a, &op, 1, NOW), ERR_TOO_LARGE);
    op.path.count = 3;
    ck_assert_int_eq(ev_update(a, &op, 1, NOW), 0);
}
END_TEST

/* Elements so long that a command needs blocks of memory beyond its first one in every build. */
START_TEST(every_allocation_of_a_command_may_fail)
{
    static char elements[100][500];
    struct alloc heap = alloc_heap();
    unsigned refused[2] = {0}; /* of the command, of the join */
    for (bool done = false; !done;) {
        struct alloc_budget budget;
        struct alloc few = alloc_budget_init(&budget, heap, UINT64_MAX);
        struct ev_replica *r = ev_new(1, 10);
        struct ev_replica *to = ev_new(2, 10);
        struct node_ev_op ops[100];
        char names[100][16];
        for (unsigned i = 0; i < 100; i++) {
            (void)snprintf(names[i], sizeof names[i], "{k}:%u", i % 20);
            ops[i] = field_of(names[i / 20], CRDT_AW_SET, CRDT_ADD);
            ops[i].name = bytes_of_text(names[i]);
            memset(elements[i], 'e', sizeof elements[i]);
            (void)snprintf(elements[i], sizeof elements[i], "%u", i / 3);
            ops[i].op.value = bytes_of((const uint8_t *)elements[i], sizeof elements[i]);
        }
        r->store.alloc = &few;
        to->store.alloc = &few;
        budget.fail_at = 1 + refused[0] + refused[1];
        int err = ev_update(r, ops, 100, NOW);
        bool joins = err == 0;
        ck_assert_uint_eq(budget.used_bytes, 0);
        if (joins) {
            err = send(to, ev_last(r));
            ck_assert_uint_eq(budget.used_bytes, 0);
        }
        ck_assert(err == 0 || err == ERR_NO_MEMORY);
        done = err == 0;
        refused[joins] += !done;
        ck_assert(!done || ev_same(r, to, true));
        ev_free(r);
        ev_free(to);
    }
    ck_assert(refused[0] > 1 && refused[1] > 1);
}
END_TEST

/* ---- two nodes, one actor ------------------------------------------------------------------- */

START_TEST(a_dot_made_twice_is_told_and_the_greater_payload_stays) /* scenario C17 */
{
    struct ev_replica *twin = ev_new(1, 10);
    ck_assert_int_eq(set_at(a, CRDT_MV, "one", NOW), 0);
    ck_assert_int_eq(set_at(twin, CRDT_MV, "two", NOW), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(send(b, ev_last(twin)), 0);
    ck_assert_int_eq(send(c, ev_last(twin)), 0);
    ck_assert_int_eq(send(c, ev_last(a)), 0);
    ck_assert_uint_eq(b->conflicts, 1);
    ck_assert_uint_eq(c->conflicts, 1);
    ck_assert(ev_same(b, c, true));
    ck_assert_uint_eq(b->doubts, 0);
    ck_assert_int_eq(send(a, ev_last(twin)), 0); /* its own dot */
    ck_assert_uint_eq(a->doubts, 1);
    ck_assert(ev_same(a, b, true));
    ev_free(twin);
}
END_TEST

static bool lives(const struct ev_replica *r, const char *element)
{
    struct bytes text = bytes_of_text(element);
    bool found = false;
    for (uint32_t i = 0; i < r->names.count; i++) {
        struct node_ev_cursor entries;
        struct node_ev_cursor removals;
        struct bytes name = node_ev_names_at(&r->names, i);
        struct bytes end = bytes_of(name.data + name.size - NUM_MIN(text.size, name.size),
                                    NUM_MIN(text.size, name.size));
        if (r->rows[i].present && name.data[0] == NODE_KEY_EV_RECORD && bytes_equal(end, text)) {
            ck_assert_int_eq(node_ev_record_begin(buf_view(&r->rows[i].value), &entries, &removals),
                             0);
            found = found || entries.left > 0;
        }
    }
    return found;
}

/* scenario C17, for two elements: each is a record of its own, so nobody can see that their dot is
 * one; what came second is not taken. What is compared then finds that the nodes differ although
 * they have seen the same, and gives each what it lacks: no element is lost. */
START_TEST(two_elements_of_one_dot_are_both_kept_in_the_end)
{
    struct ev_replica *twin = ev_new(1, 10);
    struct ev_pages how = {.region = region(), .parts = 1, .all_parts = 1, .all = true};
    ck_assert_int_eq(add(a, CRDT_AW_SET, "left", 0), 0);
    ck_assert_int_eq(add(twin, CRDT_AW_SET, "right", 0), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(send(b, ev_last(twin)), 0);
    ck_assert_int_eq(send(c, ev_last(twin)), 0);
    ck_assert_int_eq(send(c, ev_last(a)), 0);
    ck_assert(lives(b, "left") && !lives(b, "right"));
    ck_assert(lives(c, "right") && !lives(c, "left"));
    ck_assert(crdt_context_equal(seen(b), seen(c)) && !ev_same(b, c, true));
    how.flags = NODE_EV_RESTORE;
    ck_assert_int_eq(ev_pages(b, c, &how), 0);
    ck_assert_int_eq(ev_pages(c, b, &how), 0);
    ck_assert(ev_same(b, c, true));
    ck_assert(lives(b, "left") && lives(b, "right"));
    ck_assert_int_eq(take(b, CRDT_AW_SET, "left"), 0); /* each is removed on its own */
    ck_assert_int_eq(send(c, ev_last(b)), 0);
    ck_assert(ev_same(b, c, true));
    ck_assert(lives(c, "right") && !lives(c, "left"));
    ev_free(twin);
}
END_TEST

/* A fragment with one value of a register, by an actor of its own. out: initialised, empty. */
static void fragment_with_value(const char *name, uint32_t node, size_t bytes, struct buf *out)
{
    struct alloc heap = alloc_heap();
    struct node_ev_fragment f;
    struct buf key;
    struct buf value;
    const uint8_t type = CRDT_MV;
    buf_init(&key, &heap, 64);
    buf_init(&value, &heap, bytes + 64);
    node_ev_fragment_init(&f, &heap);
    f.region = region();
    f.records_count = 1;
    ck_assert_int_eq(crdt_context_add(&f.seen, &(struct crdt_range){{node, 1}, 1, 1}), 0);
    ck_assert_int_eq(node_ev_key(bytes_of_text("s"), bytes_of_text(name), &key), 0);
    (void)buf_put_u8(&value, 1);
    (void)buf_put_u32(&value, 1);
    (void)buf_put_u32(&value, node);
    (void)buf_put_u64(&value, 1);
    (void)buf_put_u64(&value, 1);
    (void)buf_put_u32(&value, (uint32_t)bytes);
    for (size_t i = 0; i < bytes; i++) {
        (void)buf_put_u8(&value, (uint8_t)node);
    }
    (void)buf_put_u32(&value, 0);
    ck_assert_int_eq(node_ev_fragment_head(&f, out), 0);
    ck_assert_int_eq(
        node_ev_fragment_record(buf_view(&key), bytes_of(&type, 1), buf_view(&value), out), 0);
    node_ev_fragment_release(&f);
    buf_release(&key);
    buf_release(&value);
}

START_TEST(a_record_outgrows_the_table_by_its_own_values_alone)
{
    struct alloc heap = alloc_heap();
    struct buf f[4];
    struct bytes last[2];
    for (unsigned i = 0; i < 4; i++) {
        buf_init(&f[i], &heap, 1u << 20);
        fragment_with_value(i < 3 ? "k" : "{k}beside", 10 + i, i < 2 ? 700000 : 400000, &f[i]);
    }
    ck_assert_int_eq(send(b, buf_view(&f[0])), 0);
    ck_assert_int_eq(send(b, buf_view(&f[1])), 0);
    last[0] = buf_view(&f[2]);
    last[1] = buf_view(&f[3]);
    ck_assert_int_eq(ev_join(b, last, 2), 0);
    ev_check(b, region());
    for (unsigned i = 0; i < 4; i++) {
        buf_release(&f[i]);
    }
}
END_TEST

START_TEST(a_record_that_would_outgrow_the_table_is_refused_before_anything_is_written)
{
    struct alloc heap = alloc_heap();
    struct buf f[5];
    struct bytes last[2];
    for (unsigned i = 0; i < 5; i++) {
        buf_init(&f[i], &heap, 1u << 21);
        fragment_with_value("k", 10 + i, i < 3 ? 700000 : 400000, &f[i]);
    }
    ck_assert_int_eq(send(b, buf_view(&f[0])), 0);
    ck_assert_int_eq(send(b, buf_view(&f[1])), 0);
    ck_assert_int_eq(send(b, buf_view(&f[2])), ERR_TOO_LARGE);
    last[0] = buf_view(&f[3]);
    last[1] = buf_view(&f[4]);
    ck_assert_int_eq(ev_join(b, last, 2), ERR_TOO_LARGE); /* each alone would fit */
    ck_assert_uint_eq(b->puts, 0);
    ck_assert_uint_eq(seen(b)->count, 2);
    ck_assert_int_eq(send(b, last[0]), 0);
    ev_check(b, region());
    for (unsigned i = 0; i < 5; i++) {
        buf_release(&f[i]);
    }
}
END_TEST

/* scenarios C1, C6 */
START_TEST(own_dots_that_are_not_known_here_are_refused_until_the_epoch_is_new)
{
    struct ev_replica *restored = ev_new(1, 10); /* an older copy of a, with its epoch */
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(add(a, CRDT_PN_COUNTER, "", 1), 0);
        ck_assert_int_eq(send(b, ev_last(a)), 0);
    }
    struct ev_pages how = {.region = region(), .parts = 1, .all_parts = 1};
    ck_assert_int_eq(ev_pages(restored, b, &how), ERR_UNAVAILABLE);
    ck_assert_uint_eq(restored->doubts, 1);
    ev_epoch(restored, 11);
    ck_assert_int_eq(ev_pages(restored, b, &how), 0);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(add(restored, CRDT_PN_COUNTER, "", 1), 0);
        ck_assert_int_eq(send(b, ev_last(restored)), 0);
    }
    ck_assert_int_eq(counter_of(b, CRDT_PN_COUNTER), 10);
    ck_assert(ev_same(b, restored, true));
    ev_free(restored);
}
END_TEST

START_TEST(a_bounded_counter_is_held_to_the_rights_of_this_node)
{
    ck_assert_int_eq(add(a, CRDT_BOUNDED, "", 10), 0);
    ck_assert_int_eq(send(b, ev_last(a)), 0);
    ck_assert_int_eq(add(b, CRDT_BOUNDED, "", -1), ERR_NO_RIGHTS);
    struct node_ev_op give = op_of(CRDT_BOUNDED, CRDT_TRANSFER);
    give.op.amount = 4;
    give.op.to = (struct crdt_actor){2, 20};
    ck_assert_int_eq(ev_update(a, &give, 1, NOW), 0);
    ck_assert_int_eq(add(a, CRDT_BOUNDED, "", -7), ERR_NO_RIGHTS);
    ck_assert_int_eq(add(a, CRDT_BOUNDED, "", -6), 0);
    ck_assert_int_eq(send(b, buf_view(&a->notes[1].fragment)), 0);
    ck_assert_int_eq(send(b, buf_view(&a->notes[2].fragment)), 0);
    ck_assert_int_eq(add(b, CRDT_BOUNDED, "", -4), 0);
    ck_assert_int_eq(counter_of(b, CRDT_BOUNDED), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        removals_at_two_nodes_leave_the_same_everywhere,
        a_fragment_before_its_predecessor_is_refused_whole,
        a_page_leaves_word_of_what_it_may_tell_of_until_the_last,
        pages_of_several_senders_are_joined_however_much_they_had_seen,
        a_fragment_that_comes_again_changes_nothing,
        a_removal_after_an_addition_in_one_command_leaves_nothing,
        a_removal_carries_what_it_removes_and_waits_for_nobody,
        a_field_removed_takes_the_removals_inside_it_along,
        a_counter_removed_while_it_counts_keeps_what_was_not_seen,
        a_counter_that_was_removed_starts_at_nothing,
        pages_show_removals_until_everybody_has_seen_them,
        what_comes_and_goes_a_thousand_times_leaves_one_removal_of_each_node,
        half_a_page_leaves_the_removals_that_can_be_told,
        a_removal_that_was_dropped_here_does_not_come_back,
        pages_without_the_last_add_nothing_to_the_context,
        the_last_page_is_refused_if_records_may_have_gone_since_the_first,
        an_operation_does_not_rest_on_what_half_a_page_brought,
        a_merged_interval_asks_for_what_its_first_replaced,
        what_a_sender_has_not_seen_itself_is_not_taken_from_it,
        records_that_were_lost_come_back_although_they_were_seen,
        a_path_that_fits_no_name_is_refused_also_where_nothing_lies_under_it,
        every_allocation_of_a_command_may_fail,
        a_dot_made_twice_is_told_and_the_greater_payload_stays,
        two_elements_of_one_dot_are_both_kept_in_the_end,
        own_dots_that_are_not_known_here_are_refused_until_the_epoch_is_new,
        a_record_outgrows_the_table_by_its_own_values_alone,
        a_record_that_would_outgrow_the_table_is_refused_before_anything_is_written,
        a_bounded_counter_is_held_to_the_rights_of_this_node,
        NULL,
    };
    return run_tests("ev_joins", tests);
}
