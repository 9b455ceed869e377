/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is repeated, where, and what is said of it: the client against nodes of the test.
 */
#include "../unit.h"
#include "fake.h"

#include "base/err.h"

#include <string.h>

struct seen {
    uint64_t sequence[128];
    uint64_t session[128];
    uint64_t ack[128];
    unsigned node[128];
    unsigned count;
    struct fake_conn *conn; /* of the last request */
    struct wire_rpc held[128];
    struct fake_conn *held_conn[128];
};

static struct seen *note(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct seen *s = f->test;
    struct wire_options options;
    ck_assert_int_eq(wire_options_of(m, &options), 0);
    ck_assert_uint_lt(s->count, 128);
    s->sequence[s->count] = options.session_seq;
    s->session[s->count] = options.session_id;
    s->ack[s->count] = options.session_ack;
    s->node[s->count] = conn->node;
    s->held[s->count] = *m;
    s->held_conn[s->count] = conn;
    s->conn = conn;
    s->count++;
    return s;
}

static struct fake fake;
static struct seen seen;

static void begin(unsigned nodes, fake_fn *serve)
{
    memset(&seen, 0, sizeof(seen));
    fake_open(&fake, nodes, serve);
    fake.test = &seen;
}

static int put(struct hf_answer *a)
{
    struct hf_kv kv = {.key = hf_text("key"), .value = hf_text("value")};
    memset(a, 0, sizeof(*a));
    ck_assert_int_eq(hf_kv_put(fake.client, &kv, a, hf_answer_done), 0);
    return fake_wait(&fake, a);
}

static void drop_first(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct seen *s = note(f, conn, m);
    if (s->count == 1) {
        fake_drop(conn); /* it may have been applied */
    } else {
        fake_say_revision(conn, m, 9);
    }
}

START_TEST(a_lost_write_is_repeated_with_its_sequence)
{
    struct hf_answer a;
    begin(2, drop_first);
    ck_assert_int_eq(put(&a), 0);
    ck_assert_uint_eq(a.result.revision, 9);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.session[0], seen.session[1]);
    ck_assert_uint_eq(seen.sequence[0], 1);
    ck_assert_uint_eq(seen.sequence[1], 1);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

START_TEST(a_lost_write_outside_a_session_is_unknown_and_not_repeated)
{
    struct hf_answer a;
    begin(2, drop_first);
    fake_client(&fake, (struct hf_client_options){.plain = true});
    ck_assert_int_eq(put(&a), ERR_CONNECTION);
    ck_assert_int_eq(hf_outcome_of(a.result.code), HF_UNKNOWN);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_uint_eq(fake.sessions, 0);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void silent(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)note(f, conn, m);
}

/* The leader is told by the map and must be connected to first; it takes the write and then says
 * nothing for longer than an attempt lasts. */
START_TEST(a_write_outside_a_session_is_sent_once_also_over_a_new_connection)
{
    struct hf_answer a;
    begin(2, silent);
    fake.leader = 2;
    *strchr(fake.endpoints, ',') = '\0';
    fake_client(&fake, (struct hf_client_options){.plain = true, .timeout_ms = 2300});
    ck_assert_int_eq(put(&a), ERR_TIMEOUT);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_uint_eq(seen.node[0], 1);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void only_third_leads(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)note(f, conn, m);
    if (conn->node == 2) {
        fake_say_revision(conn, m, 3);
        return;
    }
    struct wire_hint hint = {.name = WIRE_FIELD_LEADER, .number = 3};
    fake_say_failure(conn, m, &(struct wire_failure){ERR_NOT_LEADER, NULL, &hint, 1});
}

START_TEST(a_hint_is_followed_without_a_pause_and_remembered)
{
    struct hf_answer a;
    begin(3, only_third_leads);
    ck_assert_int_eq(put(&a), 0);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.node[0], 0);
    ck_assert_uint_eq(seen.node[1], 2);
    hf_answer_release(&a);
    ck_assert_int_eq(put(&a), 0);
    ck_assert_uint_eq(seen.count, 3);
    ck_assert_uint_eq(seen.node[2], 2);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void first_only(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)note(f, conn, m);
    ck_assert_uint_eq(conn->node, 0);
    fake_say_revision(conn, m, 5);
}

/* The address of the leader is that of another cluster's node by now. */
START_TEST(a_node_of_another_cluster_is_asked_nothing)
{
    struct hf_answer a;
    begin(2, first_only);
    fake.leader = 2;
    fake.cluster[1] = 7;
    *strchr(fake.endpoints, ',') = '\0';
    fake_client(&fake, (struct hf_client_options){.timeout_ms = 2000});
    ck_assert_int_eq(put(&a), 0);
    ck_assert_uint_eq(a.result.revision, 5);
    hf_answer_release(&a);
    ck_assert_uint_ge(fake.hellos, 2);
    fake_stop_node(&fake, 0);
    ck_assert_int_ne(put(&a), 0);
    ck_assert_ptr_nonnull(strstr(a.result.text, "belongs to another cluster"));
    hf_answer_release(&a);
    ck_assert_uint_eq(seen.count, 1);
    fake_close(&fake);
}
END_TEST

static const int passing[] = {ERR_BUSY,     ERR_NO_LEADER, ERR_UNAVAILABLE,
                              ERR_STARTING, ERR_BEHIND,    ERR_DISK_FULL};
#define PASSING (sizeof(passing) / sizeof(passing[0]))

static void passes(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct seen *s = note(f, conn, m);
    if (s->count <= PASSING) {
        fake_say_error(conn, m, passing[s->count - 1]);
    } else {
        fake_say_revision(conn, m, 4);
    }
}

START_TEST(what_was_not_done_is_repeated_until_it_is)
{
    struct hf_answer a;
    begin(2, passes);
    ck_assert_int_eq(put(&a), 0);
    ck_assert_uint_eq(seen.count, PASSING + 1);
    ck_assert_uint_eq(seen.sequence[PASSING], 1);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void moved_once(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct seen *s = note(f, conn, m);
    if (s->count == 1) {
        fake_say_error(conn, m, ERR_MOVED);
    } else {
        fake_say_revision(conn, m, 4);
    }
}

START_TEST(a_slot_that_has_moved_is_looked_up_again_and_written_under_a_new_sequence)
{
    struct hf_answer a;
    begin(1, moved_once);
    ck_assert_int_eq(put(&a), 0);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.sequence[1], 2);
    ck_assert_uint_eq(seen.ack[1], 1);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void always_busy(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    fake_say_error(conn, m, ERR_BUSY);
}

START_TEST(pauses_grow_and_the_last_refusal_is_told_at_the_deadline)
{
    struct hf_answer a;
    begin(1, always_busy);
    fake_client(&fake, (struct hf_client_options){.timeout_ms = 700});
    ck_assert_int_eq(put(&a), ERR_BUSY);
    /* 10, 20, 40 ... ms, each halved at most: 700 ms are over after at most 9 attempts or so */
    ck_assert_uint_ge(fake.requests, 4);
    ck_assert_uint_le(fake.requests, 12);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void conflict(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)note(f, conn, m);
    fake_say_error(conn, m, ERR_CONFLICT);
}

START_TEST(a_refusal_is_final_and_names_the_key)
{
    struct hf_answer a;
    begin(2, conflict);
    ck_assert_int_eq(put(&a), ERR_CONFLICT);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_ptr_nonnull(strstr(a.text, "'key'"));
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

START_TEST(no_node_is_unreachable_and_certainly_not_done)
{
    struct hf_answer a;
    begin(2, conflict);
    fake_stop_node(&fake, 0);
    fake_stop_node(&fake, 1);
    ck_assert_int_eq(put(&a), ERR_UNREACHABLE);
    ck_assert_int_eq(hf_outcome_of(a.result.code), HF_RETRY);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

START_TEST(a_write_that_nobody_answers_is_unknown_and_a_read_is_not_done)
{
    struct hf_answer a;
    begin(1, silent);
    fake_client(&fake, (struct hf_client_options){.timeout_ms = 150});
    ck_assert_int_eq(put(&a), ERR_TIMEOUT);
    hf_answer_release(&a);
    struct hf_kv kv = {.key = hf_text("key")};
    ck_assert_int_eq(hf_kv_get(fake.client, &kv, &a, hf_answer_done), 0);
    ck_assert_int_eq(fake_wait(&fake, &a), ERR_UNAVAILABLE);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void first_is_silent(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)note(f, conn, m);
    if (conn->node != 0) {
        fake_say_revision(conn, m, 5);
    }
}

START_TEST(a_leader_that_does_not_answer_is_passed_by)
{
    struct hf_answer a;
    begin(2, first_is_silent);
    ck_assert_int_eq(put(&a), 0);
    ck_assert_uint_eq(seen.node[0], 0);
    ck_assert_uint_eq(seen.node[seen.count - 1], 1);
    ck_assert_uint_eq(seen.sequence[seen.count - 1], 1);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

/* The first leads and falls silent; by then the second leads. */
static void leader_vanishes(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    f->leader = 2;
    first_is_silent(f, conn, m);
}

START_TEST(a_silent_leader_is_left_as_soon_as_another_one_leads)
{
    struct hf_answer a;
    begin(3, leader_vanishes);
    fake.leader = 1;
    /* it would be waited for longer than that */
    fake_client(&fake, (struct hf_client_options){.timeout_ms = 1900});
    ck_assert_int_eq(put(&a), 0);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.node[0], 0);
    ck_assert_uint_eq(seen.node[1], 1);
    ck_assert_uint_eq(seen.session[0], seen.session[1]);
    ck_assert_uint_eq(seen.sequence[0], seen.sequence[1]);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void slow_leader(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct seen *s = note(f, conn, m);
    if (s->count == 1) {
        f->topologies = 0;
    }
}

START_TEST(a_slow_leader_that_still_leads_gets_a_write_once)
{
    struct hf_answer a = {.ended = false};
    struct hf_kv kv = {.key = hf_text("key"), .value = hf_text("value")};
    begin(3, slow_leader);
    fake.leader = 1;
    fake_client(&fake, (struct hf_client_options){.timeout_ms = 60000});
    ck_assert_int_eq(hf_kv_put(fake.client, &kv, &a, hf_answer_done), 0);
    while (seen.count == 0 || fake.topologies < 3) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(seen.count, 1);
    fake_say_revision(seen.held_conn[0], &seen.held[0], 5);
    ck_assert_int_eq(fake_wait(&fake, &a), 0);
    ck_assert_uint_eq(seen.count, 1);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

START_TEST(a_session_has_at_most_64_writes_on_their_way_and_acknowledges_in_order)
{
    static struct hf_answer answers[80];
    struct hf_kv kv = {.key = hf_text("key"), .value = hf_text("value")};
    memset(answers, 0, sizeof(answers));
    begin(1, silent);
    for (unsigned i = 0; i < 80; i++) {
        ck_assert_int_eq(hf_kv_put(fake.client, &kv, &answers[i], hf_answer_done), 0);
    }
    while (seen.count < 64) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    for (unsigned i = 0; i < 20; i++) {
        (void)uv_run(&fake.loop, UV_RUN_NOWAIT);
    }
    ck_assert_uint_eq(seen.count, 64);
    unsigned first = 0; /* where sequence 1 is */
    while (seen.sequence[first] != 1) {
        first++;
    }
    struct wire_rpc m = seen.held[first];
    fake_say_revision(seen.held_conn[first], &m, 1);
    while (seen.count < 65) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(seen.sequence[64], 65);
    ck_assert_uint_eq(seen.ack[64], 1);
    fake_close(&fake);
    for (unsigned i = 0; i < 80; i++) {
        ck_assert(answers[i].ended);
        hf_answer_release(&answers[i]);
    }
}
END_TEST

static unsigned ended[300]; /* the number of each write in the order in which they ended */
static unsigned ended_count;

static void note_end(void *ctx, const struct hf_result *result)
{
    const unsigned *number = ctx;
    ck_assert_int_eq(result->code, 0);
    ended[ended_count++] = *number;
}

static void answer_at_once(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct wire_options options;
    (void)f;
    ck_assert_int_eq(wire_options_of(m, &options), 0);
    fake_say_revision(conn, m, options.session_seq);
}

START_TEST(writes_beyond_the_window_wait_their_turn)
{
    static unsigned number[300];
    struct hf_kv kv = {.key = hf_text("key"), .value = hf_text("value")};
    ended_count = 0;
    begin(1, answer_at_once);
    for (unsigned i = 0; i < 300; i++) {
        number[i] = i;
        ck_assert_int_eq(hf_kv_put(fake.client, &kv, &number[i], note_end), 0);
    }
    while (ended_count < 300) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    for (unsigned i = 0; i < 300; i++) {
        ck_assert_uint_eq(ended[i], i);
    }
    fake_close(&fake);
}
END_TEST

static void first_session_is_over(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct seen *s = note(f, conn, m);
    if (s->session[s->count - 1] == 100) {
        fake_say_error(conn, m, ERR_SESSION_EXPIRED);
    } else {
        fake_say_revision(conn, m, 6);
    }
}

START_TEST(a_session_that_has_ended_is_opened_again_if_nothing_can_have_happened)
{
    struct hf_answer a;
    begin(1, first_session_is_over);
    ck_assert_int_eq(put(&a), 0);
    ck_assert_uint_eq(fake.sessions, 2);
    ck_assert_uint_eq(seen.sequence[1], 1);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

static void lost_then_over(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct seen *s = note(f, conn, m);
    if (s->count == 1) {
        fake_drop(conn);
    } else {
        fake_say_error(conn, m, ERR_SESSION_EXPIRED);
    }
}

START_TEST(a_session_that_has_ended_after_a_lost_write_leaves_it_unknown)
{
    struct hf_answer a;
    begin(1, lost_then_over);
    int code = put(&a);
    ck_assert_int_eq(hf_outcome_of(code), HF_UNKNOWN);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

START_TEST(a_client_closes_its_session_at_the_leader_when_it_ends)
{
    struct hf_answer a;
    begin(3, only_third_leads);
    ck_assert_int_eq(put(&a), 0);
    hf_answer_release(&a);
    hf_client_free(fake.client);
    fake.client = NULL;
    while (fake.closes == 0) {
        ck_assert_int_ne(uv_run(&fake.loop, UV_RUN_ONCE), 0);
    }
    ck_assert_uint_eq(fake.closed_session, 100);
    ck_assert_uint_eq(fake.closed_node, 3);
    fake_close(&fake);
    ck_assert_uint_eq(fake.closes, 1);
}
END_TEST

START_TEST(a_closed_client_answers_what_is_open)
{
    struct hf_answer a = {.ended = false};
    struct hf_kv kv = {.key = hf_text("key"), .value = hf_text("value")};
    begin(1, silent);
    ck_assert_int_eq(hf_kv_put(fake.client, &kv, &a, hf_answer_done), 0);
    while (seen.count == 0) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    fake_close(&fake);
    ck_assert(a.ended);
    ck_assert_int_eq(a.result.code, ERR_CONNECTION);
    hf_answer_release(&a);
}
END_TEST

START_TEST(a_client_with_a_loop_of_its_own_answers_what_is_open_when_it_ends)
{
    struct hf_client *c = NULL;
    struct hf_answer a = {.ended = false};
    struct hf_kv kv = {.key = hf_text("key")};
    begin(1, silent);
    struct hf_client_options o = {.endpoints = fake.endpoints, .timeout_ms = 10000};
    ck_assert_int_eq(hf_client_new(NULL, &o, &c), 0);
    ck_assert_int_eq(hf_kv_get(c, &kv, &a, hf_answer_done), 0);
    hf_client_free(c);
    ck_assert(a.ended);
    ck_assert_int_ne(a.result.code, 0);
    hf_answer_release(&a);
    fake_close(&fake);
}
END_TEST

START_TEST(names_and_values_that_are_too_long_are_refused_at_once)
{
    static char longest[WIRE_VALUE_BYTES_MAX + 1];
    struct hf_kv kv = {.key = {longest, WIRE_NAME_BYTES_MAX + 1}};
    begin(1, silent);
    ck_assert_int_eq(hf_kv_put(fake.client, &kv, NULL, hf_answer_done), ERR_TOO_LARGE);
    kv.key = hf_text("");
    ck_assert_int_eq(hf_kv_put(fake.client, &kv, NULL, hf_answer_done), ERR_BAD_NAME);
    kv.key = hf_text("key");
    kv.value = (struct hf_bytes){longest, sizeof(longest)};
    ck_assert_int_eq(hf_kv_put(fake.client, &kv, NULL, hf_answer_done), ERR_TOO_LARGE);
    fake_close(&fake);
}
END_TEST

/* ---- watch ---------------------------------------------------------------------------------- */

struct changes {
    uint64_t revisions[16];
    unsigned count;
    int code;
};

static void changed(void *ctx, const struct hf_event *e)
{
    struct changes *c = ctx;
    if (e->code != 0) {
        c->code = e->code;
    } else {
        ck_assert_uint_lt(c->count, 16);
        c->revisions[c->count++] = e->revision;
    }
}

static void say_change(struct fake_conn *conn, uint64_t watch, uint64_t revision)
{
    struct alloc heap = alloc_heap();
    struct buf out;
    buf_init(&out, &heap, 4096);
    (void)wire_pack_notification(&out, WIRE_EVENT_KV, 3);
    (void)wire_pack_u64(&out, watch);
    (void)wire_pack_u64(&out, revision);
    (void)wire_pack_array(&out, revision == 0 ? 0 : 1);
    if (revision != 0) {
        (void)wire_pack_array(&out, 3);
        (void)wire_pack_u64(&out, WIRE_CHANGE_PUT);
        (void)wire_pack_bin(&out, bytes_of_text("key"));
        (void)wire_pack_bin(&out, bytes_of_text("value"));
    }
    fake_send(conn, buf_view(&out));
    buf_release(&out);
}

static void watch_from(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    struct seen *s = f->test;
    uint64_t from = 0;
    if (!wire_rpc_is(m, WIRE_METHOD_KV_WATCH)) {
        return;
    }
    ck_assert_int_eq(wire_param_u64(m, 2, &from), 0);
    s->sequence[s->count++] = from;
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_WATCH);
    (void)wire_pack_u64(out, 40 + s->count);
    (void)wire_pack_text(out, WIRE_FIELD_REVISION);
    (void)wire_pack_u64(out, 10);
    fake_end(conn, out);
    if (s->count == 1) {
        say_change(conn, 41, 11);
        say_change(conn, 41, 12);
        say_change(conn, 41, 0); /* too slow: the watch is over */
    } else if (s->count == 2) {
        say_change(conn, 42, 12); /* again: not handed out twice */
        say_change(conn, 42, 13);
    } else {
        say_change(conn, 43, 14);
    }
}

START_TEST(a_watch_goes_on_after_the_last_change_it_has_seen)
{
    struct changes c = {.count = 0};
    struct hf_kv kv = {.prefix = hf_text("k")};
    struct hf_watch *watch = NULL;
    begin(1, watch_from);
    ck_assert_int_eq(hf_watch_new(fake.client, &kv, &c, changed, &watch), 0);
    while (c.count < 3) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    fake_drop(fake.conns); /* the connection is lost */
    while (c.count < 4) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(c.revisions[i], 11 + i);
    }
    ck_assert_uint_eq(seen.sequence[0], 0);
    ck_assert_uint_eq(seen.sequence[1], 13);
    ck_assert_uint_eq(seen.sequence[2], 14);
    hf_watch_free(watch);
    fake_close(&fake);
}
END_TEST

static void compacted(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    fake_say_error(conn, m, ERR_COMPACTED);
}

START_TEST(a_watch_whose_changes_are_no_longer_kept_ends)
{
    struct changes c = {.count = 0};
    struct hf_kv kv = {.from_revision = 1};
    struct hf_watch *watch = NULL;
    begin(1, compacted);
    ck_assert_int_eq(hf_watch_new(fake.client, &kv, &c, changed, &watch), 0);
    while (c.code == 0) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
    ck_assert_int_eq(c.code, ERR_COMPACTED);
    hf_watch_free(watch);
    fake_close(&fake);
}
END_TEST

UNIT_MAIN("client_call", a_lost_write_is_repeated_with_its_sequence,
          a_lost_write_outside_a_session_is_unknown_and_not_repeated,
          a_write_outside_a_session_is_sent_once_also_over_a_new_connection,
          a_hint_is_followed_without_a_pause_and_remembered,
          a_node_of_another_cluster_is_asked_nothing, what_was_not_done_is_repeated_until_it_is,
          a_slot_that_has_moved_is_looked_up_again_and_written_under_a_new_sequence,
          pauses_grow_and_the_last_refusal_is_told_at_the_deadline,
          a_refusal_is_final_and_names_the_key, no_node_is_unreachable_and_certainly_not_done,
          a_write_that_nobody_answers_is_unknown_and_a_read_is_not_done,
          a_leader_that_does_not_answer_is_passed_by,
          a_silent_leader_is_left_as_soon_as_another_one_leads,
          a_slow_leader_that_still_leads_gets_a_write_once,
          a_session_has_at_most_64_writes_on_their_way_and_acknowledges_in_order,
          writes_beyond_the_window_wait_their_turn,
          a_session_that_has_ended_is_opened_again_if_nothing_can_have_happened,
          a_session_that_has_ended_after_a_lost_write_leaves_it_unknown,
          a_client_closes_its_session_at_the_leader_when_it_ends,
          a_closed_client_answers_what_is_open,
          a_client_with_a_loop_of_its_own_answers_what_is_open_when_it_ends,
          names_and_values_that_are_too_long_are_refused_at_once,
          a_watch_goes_on_after_the_last_change_it_has_seen,
          a_watch_whose_changes_are_no_longer_kept_ends)
