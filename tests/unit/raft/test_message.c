/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of messages, memory and options.
 */
#include "tests/unit/raft/fixture.h"
#include "tests/unit/raft/suite.h"

#include <string.h>

static struct raft_message sample(enum raft_message_kind kind)
{
    return (struct raft_message){
        .kind = kind,
        .group = 3,
        .from = 1,
        .to = 2,
        .term = 4,
        .index = 5,
        .index_term = 6,
        .commit = 7,
        .ctx = 8,
        .hint = 9,
        .hint_term = 10,
        .code = ERR_CONFLICT,
    };
}

static void encoded(struct buf *b, enum raft_message_kind kind)
{
    struct alloc heap = alloc_heap();
    buf_init(b, &heap, 1 << 20);
    struct raft_message m = sample(kind);
    static const struct raft_entry entries[2] = {
        {.term = 3, .time_us = 11, .bytes = 2, .type = RAFT_ENTRY_COMMAND},
        {.term = 4, .time_us = 12, .bytes = 0, .type = RAFT_ENTRY_NOOP}};
    static const struct raft_heartbeat beats[2] = {
        {.group = 1, .term = 2, .commit = 3, .read_seq = 4},
        {.group = 5, .term = 6, .commit = 7, .read_seq = 8}};
    bool has_entries = kind == RAFT_MSG_APPEND || kind == RAFT_MSG_FETCH_REPLY;
    bool has_beats = kind == RAFT_MSG_HEARTBEAT || kind == RAFT_MSG_HEARTBEAT_REPLY;
    m.count = has_entries || has_beats ? 2 : 0;
    m.heartbeats = has_beats ? beats : NULL;
    ck_assert_int_eq(raft_message_encode(b, &m, has_entries ? entries : NULL), 0);
    if (has_entries) {
        ck_assert_int_eq(buf_append(b, "xy", 2), 0);
    }
}

START_TEST(every_kind_of_message_comes_back_as_it_was)
{
    for (unsigned kind = RAFT_MSG_PRE_VOTE; kind <= RAFT_MSG_FETCH_REPLY; kind++) {
        struct buf b;
        encoded(&b, (enum raft_message_kind)kind);
        struct raft_message m;
        struct raft_entry e[4];
        struct raft_heartbeat h[4];
        struct bytes payloads;
        ck_assert_int_eq(raft_message_decode(buf_view(&b), &m, e, h, 4, &payloads), 0);
        struct raft_message want = sample((enum raft_message_kind)kind);
        ck_assert_int_eq(m.kind, want.kind);
        ck_assert_uint_eq(m.group, want.group);
        ck_assert_uint_eq(m.term, want.term);
        ck_assert_uint_eq(m.index, want.index);
        ck_assert_uint_eq(m.index_term, want.index_term);
        ck_assert_uint_eq(m.commit, want.commit);
        ck_assert_uint_eq(m.ctx, want.ctx);
        ck_assert_uint_eq(m.hint, want.hint);
        ck_assert_uint_eq(m.hint_term, want.hint_term);
        ck_assert_int_eq(m.code, want.code);
        if (m.entries != NULL) {
            ck_assert_uint_eq(m.entries[0].time_us, 11);
            ck_assert_uint_eq(payloads.size, 2);
        }
        if (m.heartbeats != NULL) {
            ck_assert_uint_eq(m.heartbeats[1].read_seq, 8);
        }
        buf_release(&b);
    }
}
END_TEST

/* attack 5, scenario 102 */
START_TEST(a_message_cut_at_any_byte_or_with_more_bytes_is_refused)
{
    for (unsigned kind = RAFT_MSG_PRE_VOTE; kind <= RAFT_MSG_FETCH_REPLY; kind++) {
        struct buf b;
        encoded(&b, (enum raft_message_kind)kind);
        struct raft_message m;
        struct raft_entry e[4];
        struct raft_heartbeat h[4];
        struct bytes payloads;
        for (size_t size = 0; size < b.size; size++) {
            ck_assert_int_eq(raft_message_decode(bytes_of(b.data, size), &m, e, h, 4, &payloads),
                             ERR_PROTOCOL);
        }
        ck_assert_int_eq(buf_put_u8(&b, 0), 0);
        ck_assert_int_eq(raft_message_decode(buf_view(&b), &m, e, h, 4, &payloads), ERR_PROTOCOL);
        buf_release(&b);
    }
}
END_TEST

/* attack 7 */
START_TEST(more_items_than_there_is_room_for_are_refused)
{
    struct buf b;
    encoded(&b, RAFT_MSG_APPEND);
    struct raft_message m;
    struct raft_entry e[1];
    struct raft_heartbeat h[1];
    struct bytes payloads;
    ck_assert_int_eq(raft_message_decode(buf_view(&b), &m, e, h, 1, &payloads), ERR_PROTOCOL);
    buf_release(&b);
}
END_TEST

/* attack 5: any bytes, given to a group */
START_TEST(random_messages_break_nothing)
{
    struct fx *f = fx_new(3, 9);
    fx_boot(f, 1);
    f->manual_sync = true;
    for (unsigned i = 0; i < 20000; i++) {
        struct raft_entry e[4];
        struct raft_heartbeat h[4];
        for (unsigned k = 0; k < 4; k++) {
            e[k] = (struct raft_entry){
                .term = rng_below(&f->rng, 5), .type = (uint8_t)rng_below(&f->rng, 4), .bytes = 1};
            h[k] = (struct raft_heartbeat){.group = (uint32_t)rng_below(&f->rng, 3),
                                           .term = rng_below(&f->rng, 6),
                                           .commit = rng_below(&f->rng, 9),
                                           .read_seq = rng_below(&f->rng, 9)};
        }
        struct raft_message m = {
            .kind = (enum raft_message_kind)rng_between(&f->rng, 0, 14),
            .group = (uint32_t)rng_below(&f->rng, 3),
            .from = (uint32_t)rng_below(&f->rng, 5),
            .to = 1,
            .term = rng_below(&f->rng, 6),
            .index = rng_chance(&f->rng, 1, 20) ? UINT64_MAX : rng_below(&f->rng, 8),
            .index_term = rng_below(&f->rng, 6),
            .commit = rng_below(&f->rng, 8),
            .ctx = rng_below(&f->rng, 4),
            .hint = rng_chance(&f->rng, 1, 20) ? UINT64_MAX : rng_below(&f->rng, 8),
            .hint_term = rng_below(&f->rng, 6),
            .code = rng_chance(&f->rng, 1, 2) ? 0 : ERR_CONFLICT,
            .count = (uint32_t)rng_below(&f->rng, 5),
            .entries = e,
            .heartbeats = h};
        struct raft_event ev = {.kind = RAFT_MESSAGE, .now_us = f->now_us += 1000, .message = &m};
        (void)raft_step(f->node[1].host, &ev);
        struct raft_event tick = {.kind = RAFT_TICK, .now_us = f->now_us};
        (void)raft_step(f->node[1].host, &tick);
        struct raft_action a[16];
        uint64_t seq = 0;
        unsigned n;
        while ((n = raft_poll(f->node[1].host, a, 16)) > 0) {
            for (unsigned k = 0; k < n; k++) {
                seq = a[k].kind == RAFT_PERSIST ? a[k].seq : seq;
            }
        }
        if (seq != 0) {
            struct raft_event durable = {.kind = RAFT_DURABLE, .now_us = f->now_us, .seq = seq};
            (void)raft_step(f->node[1].host, &durable);
        }
        while (raft_poll(f->node[1].host, a, 16) > 0) {
        }
        if (i % 500 == 0) { /* what random peers say may fence it: begin again */
            f->node[1].disk[0] = (struct fx_disk){0};
            fx_crash(f, 1, 0);
            fx_restart(f, 1);
        }
    }
    fx_free(f);
}
END_TEST

START_TEST(every_failing_allocation_is_reported_and_leaks_nothing)
{
    for (uint64_t at = 1; at < 40; at++) {
        struct alloc_budget budget = {.fail_at = at};
        struct alloc a = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
        budget.fail_at = at;
        struct raft_options o = raft_options_default(1, 1);
        struct raft_host *h = NULL;
        int err = raft_host_new(&h, &o, &a);
        if (err == 0) {
            struct raft_group_options g = {.group = 1, .voters = {1, 2, 3}, .voters_count = 3};
            err = raft_group_add(h, &g);
            ck_assert(err == 0 || err == ERR_NO_MEMORY);
            raft_host_free(h);
        } else {
            ck_assert_int_eq(err, ERR_NO_MEMORY);
        }
        ck_assert_uint_eq(budget.used_bytes, 0);
    }
}
END_TEST

START_TEST(nothing_is_allocated_after_start)
{
    struct alloc_budget budget;
    struct alloc a = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
    struct raft_options o = raft_options_default(1, 1);
    struct raft_host *h = NULL;
    ck_assert_int_eq(raft_host_new(&h, &o, &a), 0);
    struct raft_group_options g = {.group = 1, .voters = {1}, .voters_count = 1};
    ck_assert_int_eq(raft_group_add(h, &g), 0);
    ck_assert_int_eq(raft_group_start(h, 1, 1), 0);
    uint64_t requests = budget.requests;
    struct raft_action act[8];
    for (uint64_t i = 1; i < 1000; i++) {
        struct raft_entry e = {.type = RAFT_ENTRY_COMMAND, .bytes = 1};
        struct raft_event ev = {.kind = i % 3 == 0   ? RAFT_TICK
                                        : i % 3 == 1 ? RAFT_DURABLE
                                                     : RAFT_PROPOSE,
                                .now_us = i * 1000,
                                .group = 1,
                                .seq = i / 3,
                                .entries = &e,
                                .count = 1};
        (void)raft_step(h, &ev);
        while (raft_poll(h, act, 8) > 0) {
        }
    }
    ck_assert_uint_eq(budget.requests, requests);
    raft_host_free(h);
}
END_TEST

START_TEST(wrong_options_and_groups_are_refused)
{
    struct alloc heap = alloc_heap();
    struct raft_options o = raft_options_default(0, 1);
    struct raft_host *h = NULL;
    ck_assert_int_eq(raft_host_new(&h, &o, &heap), ERR_INVALID);
    o = raft_options_default(1, 1);
    o.entries_max = 1000;
    ck_assert_int_eq(raft_host_new(&h, &o, &heap), ERR_INVALID);
    o.entries_max = 1024;
    o.groups_max = 1;
    ck_assert_int_eq(raft_host_new(&h, &o, &heap), 0);
    struct raft_group_options g = {.group = 1, .voters = {2, 3}, .voters_count = 2};
    ck_assert_int_eq(raft_group_add(h, &g), ERR_INVALID);
    g = (struct raft_group_options){.group = 1, .voters = {1, 1}, .voters_count = 2};
    ck_assert_int_eq(raft_group_add(h, &g), ERR_INVALID);
    g = (struct raft_group_options){.group = 1, .voters = {1}, .voters_count = 1};
    ck_assert_int_eq(raft_group_add(h, &g), 0);
    ck_assert_int_eq(raft_group_add(h, &g), ERR_EXISTS);
    g.group = 2;
    ck_assert_int_eq(raft_group_add(h, &g), ERR_BUSY);
    ck_assert_int_eq(raft_group_start(h, 9, 1), ERR_NOT_FOUND);
    raft_host_free(h);
}
END_TEST

TCase *case_message(void)
{
    TCase *c = tcase_create("message");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, every_kind_of_message_comes_back_as_it_was);
    tcase_add_test(c, a_message_cut_at_any_byte_or_with_more_bytes_is_refused);
    tcase_add_test(c, more_items_than_there_is_room_for_are_refused);
    tcase_add_test(c, random_messages_break_nothing);
    tcase_add_test(c, every_failing_allocation_is_reported_and_leaks_nothing);
    tcase_add_test(c, nothing_is_allocated_after_start);
    tcase_add_test(c, wrong_options_and_groups_are_refused);
    return c;
}
