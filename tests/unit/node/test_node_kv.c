/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys and values, sessions, reads and watches on a cluster of whole nodes.
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>

static bool value_is(struct wire_node result, const char *text)
{
    struct bytes v;
    if (wire_node_bytes(wire_node_find(result, WIRE_FIELD_VALUE), 1u << 20, &v) != 0) {
        return false;
    }
    return bytes_equal(v, bytes_of_text(text));
}

static uint64_t field_u64(struct wire_node result, const char *name)
{
    uint64_t v = 0;
    ck_assert_int_eq(wire_node_u64(wire_node_find(result, name), &v), 0);
    return v;
}

static int64_t incr_value(struct wire_node result)
{
    int64_t v = 0;
    ck_assert_int_eq(wire_node_i64(wire_node_find(result, WIRE_FIELD_VALUE), &v), 0);
    return v;
}

START_TEST(three_nodes_elect_a_leader_and_keep_a_key)
{
    struct rig *r = rig_new(3);
    unsigned leader = rig_leader(r, 1);
    struct wire_node result;
    ck_assert_uint_ne(leader, 0);
    ck_assert_int_eq(rig_call(r, leader, "kv.put", "s:default|s:a|s:1", &result), 0);
    ck_assert_int_eq(rig_call(r, leader, "kv.get", "s:default|s:a", &result), 0);
    ck_assert(value_is(result, "1"));
    ck_assert_int_eq(rig_call(r, leader, "kv.get", "s:default|s:b", &result), 0);
    ck_assert(wire_node_is_nil(result));
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    ck_assert(rig_digests_equal(r, 0));
    rig_free(r);
}
END_TEST

START_TEST(one_node_alone_serves)
{
    struct rig *r = rig_new(1);
    struct wire_node result;
    ck_assert_uint_eq(rig_leader(r, 1), 1);
    ck_assert_int_eq(rig_call(r, 1, "kv.put", "s:default|s:a|s:1", &result), 0);
    ck_assert_int_eq(rig_call(r, 1, "kv.get", "s:default|s:a", &result), 0);
    ck_assert(value_is(result, "1"));
    rig_free(r);
}
END_TEST

START_TEST(cas_compares_and_keeps_revisions)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    struct wire_node result;
    ck_assert_int_eq(rig_call(r, l, "kv.cas", "s:s|s:k|s:x|s:y", &result), ERR_CONFLICT);
    ck_assert_int_eq(rig_call(r, l, "kv.cas", "s:s|s:k|n:|s:y", &result), 0);
    uint64_t first = field_u64(result, WIRE_FIELD_REVISION);
    ck_assert_int_eq(rig_call(r, l, "kv.cas", "s:s|s:k|n:|s:z", &result), ERR_CONFLICT);
    ck_assert_int_eq(rig_call(r, l, "kv.cas", "s:s|s:k|s:y|s:z", &result), 0);
    uint64_t second = field_u64(result, WIRE_FIELD_REVISION);
    ck_assert_int_eq(rig_call(r, l, "kv.get", "s:s|s:k", &result), 0);
    ck_assert(value_is(result, "z"));
    ck_assert_uint_eq(field_u64(result, WIRE_FIELD_CREATE_REVISION), first);
    ck_assert_uint_eq(field_u64(result, WIRE_FIELD_MOD_REVISION), second);
    ck_assert_uint_eq(field_u64(result, WIRE_FIELD_VERSION), 2);
    ck_assert_int_eq(rig_call(r, l, "kv.cas", "s:s|s:k|s:z|n:", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.get", "s:s|s:k", &result), 0);
    ck_assert(wire_node_is_nil(result));
    rig_free(r);
}
END_TEST

START_TEST(incr_counts_decimal_text)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    struct wire_node result;
    ck_assert_int_eq(rig_call(r, l, "kv.incr", "s:s|s:n|i:5", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.incr", "s:s|s:n|i:-7", &result), 0);
    ck_assert_int_eq(incr_value(result), -2);
    ck_assert_int_eq(rig_call(r, l, "kv.get", "s:s|s:n", &result), 0);
    ck_assert(value_is(result, "-2"));
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:n|s:9223372036854775807", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.incr", "s:s|s:n|i:1", &result), ERR_OVERFLOW);
    ck_assert_int_eq(rig_call(r, l, "kv.incr", "s:s|s:n|i:-1", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:n|s:-9223372036854775808", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.incr", "s:s|s:n|i:-1", &result), ERR_OVERFLOW);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:n|s:9223372036854775808", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.incr", "s:s|s:n|i:1", &result), ERR_WRONG_TYPE);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:n|s:01", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.incr", "s:s|s:n|i:1", &result), ERR_WRONG_TYPE);
    rig_free(r);
}
END_TEST

START_TEST(delete_says_whether_there_was_a_value)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    struct wire_node result;
    bool deleted = true;
    ck_assert_int_eq(rig_call(r, l, "kv.delete", "s:s|s:k", &result), 0);
    ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DELETED), &deleted), 0);
    ck_assert(!deleted);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:k|s:v", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.delete", "s:s|s:k", &result), 0);
    ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DELETED), &deleted), 0);
    ck_assert(deleted);
    ck_assert_int_eq(rig_call(r, l, "kv.get", "s:s|s:k", &result), 0);
    ck_assert(wire_node_is_nil(result));
    rig_free(r);
}
END_TEST

/* Keys of a scan as "a,b,c," with a '+' if there is more. */
static void scan(struct rig *r, unsigned i, const char *words, char *into, size_t size)
{
    struct wire_node result;
    bool more = false;
    size_t at = 0;
    ck_assert_int_eq(rig_call(r, i, "kv.scan", words, &result), 0);
    struct wire_node items = wire_node_find(result, WIRE_FIELD_ITEMS);
    for (uint32_t k = 0; k < wire_node_count(items); k++) {
        struct bytes key;
        ck_assert_int_eq(wire_node_bytes(wire_node_at(wire_node_at(items, k), 0), 1024, &key), 0);
        at +=
            (size_t)snprintf(into + at, size - at, "%.*s,", (int)key.size, (const char *)key.data);
    }
    ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_MORE), &more), 0);
    snprintf(into + at, size - at, "%s", more ? "+" : "");
}

START_TEST(scan_merges_what_is_flushed_and_what_is_not)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    struct wire_node result;
    char keys[256];
    const char *const puts[] = {"s:s|s:a1|s:1", "s:s|s:a3|s:3", "s:s|s:b|s:4", "s:t|s:a0|s:5"};
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(rig_call(r, l, "kv.put", puts[i], &result), 0);
    }
    rig_run(r, 3000000); /* flushed */
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:a2|s:2", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.delete", "s:s|s:a3", &result), 0);
    scan(r, l, "s:s|s:|n:|u:0", keys, sizeof keys);
    ck_assert_str_eq(keys, "a1,a2,b,");
    scan(r, l, "s:s|s:a|n:|u:0", keys, sizeof keys);
    ck_assert_str_eq(keys, "a1,a2,");
    scan(r, l, "s:s|s:|n:|u:1", keys, sizeof keys);
    ck_assert_str_eq(keys, "a1,+");
    scan(r, l, "s:s|s:|s:a1|u:10", keys, sizeof keys);
    ck_assert_str_eq(keys, "a2,b,");
    scan(r, l, "s:none|s:|n:|u:0", keys, sizeof keys);
    ck_assert_str_eq(keys, "");
    rig_free(r);
}
END_TEST

START_TEST(a_scan_sees_past_many_deleted_keys)
{
    struct rig *r = rig_new(1);
    struct wire_node result;
    char words[64];
    char keys[256];
    ck_assert_uint_eq(rig_leader(r, 1), 1);
    for (unsigned i = 0; i < 60; i++) {
        snprintf(words, sizeof words, "s:s|s:k%02u|s:v", i);
        ck_assert_int_eq(rig_call(r, 1, "kv.put", words, &result), 0);
    }
    rig_run(r, 3000000);
    for (unsigned i = 0; i < 58; i++) {
        snprintf(words, sizeof words, "s:s|s:k%02u", i);
        ck_assert_int_eq(rig_call(r, 1, "kv.delete", words, &result), 0);
    }
    scan(r, 1, "s:s|s:|n:|u:1", keys, sizeof keys);
    ck_assert_str_eq(keys, "k58,+");
    scan(r, 1, "s:s|s:|s:k58|u:1", keys, sizeof keys);
    ck_assert_str_eq(keys, "k59,");
    rig_free(r);
}
END_TEST

/* scenario 97 */
START_TEST(a_follower_forwards_writes_and_reads_them)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    struct wire_node result;
    char words[64];
    for (unsigned i = 1; i <= 3; i++) {
        snprintf(words, sizeof words, "s:s|s:k|s:%u", i);
        ck_assert_int_eq(rig_call(r, i, "kv.put", words, &result), 0);
        snprintf(words, sizeof words, "%u", i);
        ck_assert_int_eq(rig_call(r, i, "kv.get", "s:s|s:k", &result), 0);
        ck_assert(value_is(result, words));
    }
    ck_assert_uint_eq(rig_leader(r, 1), l);
    rig_free(r);
}
END_TEST

static uint64_t open_session(struct rig *r, unsigned i)
{
    struct wire_node result;
    ck_assert_int_eq(rig_call(r, i, "session.open", "u:1", &result), 0);
    return field_u64(result, WIRE_FIELD_SESSION);
}

static int incr_in(struct rig *r, unsigned i, uint64_t session, unsigned seq, unsigned ack)
{
    struct wire_node result;
    char words[96];
    snprintf(words, sizeof words, "s:s|s:n|i:1|o:session=%llu,%u,%u", (unsigned long long)session,
             seq, ack);
    int code = rig_call(r, i, "kv.incr", words, &result);
    return code != 0 ? code : (int)incr_value(result);
}

/* scenario 91 */
START_TEST(a_retry_in_a_session_is_applied_once)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    uint64_t session = open_session(r, l);
    ck_assert_int_eq(incr_in(r, l, session, 1, 0), 1);
    ck_assert_int_eq(incr_in(r, l, session, 1, 0), 1);
    ck_assert_int_eq(incr_in(r, l % 3 + 1, session, 1, 0), 1);
    ck_assert_int_eq(incr_in(r, l, session, 2, 1), 2);
    ck_assert_int_eq(incr_in(r, l, session, 2, 1), 2);
    ck_assert_int_eq(incr_in(r, l, session, 1000, 1), ERR_BUSY);
    ck_assert_int_eq(incr_in(r, l, session + 1, 1, 0), ERR_SESSION_EXPIRED);
    rig_stop(r, l);
    unsigned other = l % 3 + 1;
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    ck_assert_int_eq(incr_in(r, other, session, 2, 1), 2);
    ck_assert_int_eq(incr_in(r, other, session, 3, 2), 3);
    rig_free(r);
}
END_TEST

START_TEST(a_closed_session_makes_room_and_is_refused_after_that)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    char words[64];
    uint64_t session = open_session(r, l);
    ck_assert_int_eq(incr_in(r, l, session, 1, 0), 1);
    ck_assert_uint_eq(r->nodes[l - 1].node->groups[1].now.sessions, 1);
    snprintf(words, sizeof words, "u:1|u:%llu", (unsigned long long)session);
    ck_assert_int_eq(rig_call(r, f, "session.close", words, NULL), 0);
    ck_assert_uint_eq(r->nodes[l - 1].node->groups[1].now.sessions, 0);
    ck_assert_int_eq(incr_in(r, l, session, 1, 0), ERR_SESSION_EXPIRED);
    /* again, and one that never was: nothing to do */
    ck_assert_int_eq(rig_call(r, l, "session.close", words, NULL), 0);
    ck_assert_int_eq(rig_call(r, l, "session.close", "u:1|u:987654", NULL), 0);
    ck_assert_uint_eq(r->nodes[l - 1].node->groups[1].now.sessions, 0);
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    rig_free(r);
}
END_TEST

/* scenario 93 */
START_TEST(an_expired_session_is_refused_not_executed)
{
    struct rig *r = rig_new(3);
    struct wire_node result;
    for (unsigned i = 1; i <= 3; i++) {
        rig_stop(r, i);
    }
    r->session_ttl_us = 10000000;
    for (unsigned i = 1; i <= 3; i++) {
        rig_start(r, i);
    }
    unsigned l = rig_leader(r, 1);
    uint64_t session = open_session(r, l);
    ck_assert_int_eq(incr_in(r, l, session, 1, 0), 1);
    rig_run(r, 40000000);
    ck_assert_int_eq(incr_in(r, l, session, 2, 1), ERR_SESSION_EXPIRED);
    ck_assert_int_eq(incr_in(r, l, session, 1, 0), ERR_SESSION_EXPIRED);
    ck_assert_int_eq(rig_call(r, l, "kv.get", "s:s|s:n", &result), 0);
    ck_assert(value_is(result, "1"));
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    rig_free(r);
}
END_TEST

START_TEST(a_stale_read_is_served_by_a_cut_off_replica)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    struct wire_node result;
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:k|s:old", &result), 0);
    ck_assert(rig_settle(r, 1));
    rig_isolate(r, f, true);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:k|s:new", &result), 0);
    ck_assert_int_eq(rig_call(r, f, "kv.get", "s:s|s:k|o:stale", &result), 0);
    ck_assert(value_is(result, "old"));
    int code = rig_call(r, f, "kv.get", "s:s|s:k|o:deadline=500", &result);
    ck_assert(code == ERR_NO_LEADER || code == ERR_TIMEOUT);
    rig_isolate(r, f, false);
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    ck_assert_int_eq(rig_call(r, f, "kv.get", "s:s|s:k", &result), 0);
    ck_assert(value_is(result, "new"));
    rig_free(r);
}
END_TEST

/* scenario 92 */
START_TEST(what_may_commit_is_never_refused_for_certain)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    struct wire_node result;
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:k|s:1", &result), 0);
    rig_isolate(r, l, true);
    uint32_t lost = rig_ask(r, l, "kv.put", "s:s|s:k|s:2|o:deadline=30000");
    uint32_t late = rig_ask(r, l, "kv.put", "s:s|s:k|s:3|o:deadline=1000");
    rig_run(r, 4000000);
    ck_assert_int_eq(rig_answer(r, lost, &result), 1);
    ck_assert_int_eq(rig_answer(r, late, &result), ERR_TIMEOUT);
    unsigned now = l % 3 + 1;
    ck_assert_int_eq(rig_call(r, now, "kv.put", "s:s|s:k|s:4", &result), 0);
    rig_isolate(r, l, false);
    rig_run(r, 5000000);
    ck_assert_int_eq(rig_answer(r, lost, &result), ERR_NOT_LEADER); /* another entry is there */
    ck_assert_int_eq(rig_call(r, l, "kv.get", "s:s|s:k", &result), 0);
    ck_assert(value_is(result, "4"));
    rig_free(r);
}
END_TEST

START_TEST(without_a_leader_a_write_is_refused_at_its_deadline)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    struct wire_node result;
    rig_isolate(r, f, true);
    rig_run(r, 3000000);
    ck_assert_int_eq(rig_call(r, f, "kv.put", "s:s|s:k|s:1|o:deadline=500", &result),
                     ERR_NO_LEADER);
    rig_free(r);
}
END_TEST

START_TEST(many_writes_at_once_share_batches_and_are_all_applied)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    uint32_t ids[300];
    struct wire_node result;
    uint64_t before = r->nodes[l - 1].node->counters.wal_batches;
    r->nodes[l - 1].wal_held = true;
    for (unsigned i = 0; i < 300; i++) {
        ids[i] = rig_ask(r, l, "kv.incr", "s:s|s:n|i:1");
    }
    r->nodes[l - 1].wal_held = false;
    rig_run(r, 1000000);
    for (unsigned i = 0; i < 300; i++) {
        ck_assert_int_eq(rig_answer(r, ids[i], &result), 0);
    }
    ck_assert_int_eq(rig_call(r, l, "kv.get", "s:s|s:n", &result), 0);
    ck_assert(value_is(result, "300"));
    ck_assert_uint_lt(r->nodes[l - 1].node->counters.wal_batches - before, 40);
    rig_free(r);
}
END_TEST

/* ---- watches -------------------------------------------------------------------------------- */

/* Changes told to anybody so far, as "key=value@revision " or "key! ". */
static void events(struct rig *r, char *into, size_t size)
{
    size_t at = 0;
    into[0] = 0;
    for (unsigned i = 0; i < r->replies_count; i++) {
        struct wire_node root;
        struct wire_rpc m;
        ck_assert_int_eq(wire_decode(r->decoder, buf_view(&r->replies[i].raw), &root), 0);
        ck_assert_int_eq(wire_rpc_of(root, &m), 0);
        if (m.type != WIRE_NOTIFICATION) {
            continue;
        }
        struct wire_node list = wire_node_at(m.params, 2);
        for (uint32_t k = 0; k < wire_node_count(list); k++) {
            struct bytes key = {0};
            struct bytes value = {0};
            uint64_t type = 9;
            struct wire_node item = wire_node_at(list, k);
            ck_assert_int_eq(wire_node_u64(wire_node_at(item, 0), &type), 0);
            ck_assert_int_eq(wire_node_bytes(wire_node_at(item, 1), 1024, &key), 0);
            (void)wire_node_bytes(wire_node_at(item, 2), 1024, &value);
            at += (size_t)snprintf(into + at, size - at, type == 0 ? "%.*s=%.*s " : "%.*s! ",
                                   (int)key.size, (const char *)key.data, (int)value.size,
                                   (const char *)value.data);
        }
        if (wire_node_count(list) == 0) {
            at += (size_t)snprintf(into + at, size - at, "end ");
        }
    }
}

START_TEST(a_watch_hears_every_change_in_order_and_resumes)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    struct wire_node result;
    char told[256];
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:a0|s:0", &result), 0);
    uint64_t first = field_u64(result, WIRE_FIELD_REVISION);
    ck_assert_int_eq(rig_call(r, l, "kv.watch", "s:s|s:a|u:0", &result), 0);
    uint64_t watch = field_u64(result, WIRE_FIELD_WATCH);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:a1|s:1", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:b1|s:x", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:t|s:a1|s:x", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.delete", "s:s|s:a1", &result), 0);
    events(r, told, sizeof told);
    ck_assert_str_eq(told, "a1=1 a1! ");
    snprintf(told, sizeof told, "u:%llu", (unsigned long long)watch);
    ck_assert_int_eq(rig_call(r, l, "kv.unwatch", told, &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.unwatch", told, &result), ERR_NOT_FOUND);
    snprintf(told, sizeof told, "s:s|s:a|u:%llu", (unsigned long long)first);
    ck_assert_int_eq(rig_call(r, l, "kv.watch", told, &result), 0);
    rig_run(r, 100000);
    events(r, told, sizeof told);
    ck_assert_str_eq(told, "a1=1 a1! a0=0 a1=1 a1! ");
    rig_free(r);
}
END_TEST

START_TEST(a_watch_from_before_the_history_is_refused)
{
    struct rig *r = rig_new(3);
    struct wire_node result;
    for (unsigned i = 1; i <= 3; i++) {
        rig_stop(r, i);
    }
    r->limits.watch_bytes = 4096;
    for (unsigned i = 1; i <= 3; i++) {
        rig_start(r, i);
    }
    unsigned l = rig_leader(r, 1);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:k|s:0", &result), 0);
    char words[64];
    snprintf(words, sizeof words, "s:s|s:|u:%llu",
             (unsigned long long)field_u64(result, WIRE_FIELD_REVISION));
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:k|s:0", &result), 0);
    }
    ck_assert_int_eq(rig_call(r, l, "kv.watch", words, &result), ERR_COMPACTED);
    rig_free(r);
}
END_TEST

/* ---- refusals ------------------------------------------------------------------------------- */

/* attack 6, 7 */
START_TEST(bad_parameters_are_refused_by_type_and_size)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    const struct {
        const char *method;
        const char *words;
        int code;
    } rows[] = {
        {"kv.put", "s:s|s:|s:v", ERR_BAD_NAME},
        {"kv.put", "s:|s:k|s:v", ERR_BAD_NAME},
        {"kv.put", "s:s|s:k", ERR_INVALID},
        {"kv.put", "s:s|s:k|u:1", ERR_INVALID},
        {"kv.put", "u:1|s:k|s:v", ERR_INVALID},
        {"kv.put", "s:s|s:k|s:v|s:x|s:y", ERR_INVALID},
        {"kv.incr", "s:s|s:k|u:9223372036854775808", ERR_INVALID},
        {"kv.incr", "s:s|s:k|s:1", ERR_INVALID},
        {"kv.scan", "s:s|s:|n:|i:-1", ERR_INVALID},
        {"kv.watch", "s:s|s:|i:-1", ERR_INVALID},
        {"kv.unwatch", "u:99", ERR_NOT_FOUND},
        {"session.open", "u:4294967296", ERR_INVALID},
        {"session.open", "u:17", ERR_NOT_FOUND},
        {"session.close", "u:17|u:1", ERR_NOT_FOUND},
        {"kv.put", "s:s|s:k|s:v|o:session=0,1,0", ERR_INVALID},
        {"kv.put", "s:s|s:k|s:v|o:session=5,0,0", ERR_INVALID},
        {"no.such", "", ERR_UNKNOWN_METHOD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire_node result;
        ck_assert_msg(rig_call(r, l, rows[i].method, rows[i].words, &result) == rows[i].code,
                      "%s %s", rows[i].method, rows[i].words);
    }
    ck_assert_uint_eq(r->closes, 0);
    rig_free(r);
}
END_TEST

START_TEST(keys_and_values_have_their_limits)
{
    struct rig *r = rig_new(1);
    struct buf out;
    static uint8_t big[WIRE_VALUE_BYTES_MAX + 1];
    ck_assert_uint_eq(rig_leader(r, 1), 1);
    const struct {
        size_t key, value;
        int code;
    } rows[] = {{1024, WIRE_VALUE_BYTES_MAX, 0},
                {1025, 1, ERR_TOO_LARGE},
                {1, WIRE_VALUE_BYTES_MAX + 1, ERR_TOO_LARGE}};
    for (unsigned i = 0; i < 3; i++) {
        buf_init(&out, &r->heap, 4u << 20);
        (void)wire_pack_request(&out, 5000 + i, "kv.put", 3);
        (void)wire_pack_text(&out, "s");
        (void)wire_pack_bin(&out, bytes_of(big, rows[i].key));
        (void)wire_pack_bin(&out, bytes_of(big, rows[i].value));
        rig_send(r, 1, buf_view(&out));
        buf_release(&out);
        rig_run(r, 200000);
        ck_assert_int_eq(rig_answer(r, 5000 + i, NULL), rows[i].code);
    }
    rig_free(r);
}
END_TEST

START_TEST(garbage_closes_the_connection_and_others_are_served)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    const uint8_t twice[] = {0x94, 0,   127,  0xa6, 'k',  'v',  '.', 'g', 'e',  't', 0x93,
                             0xa1, 's', 0xa1, 'k',  0x82, 0xa1, 'x', 1,   0xa1, 'x', 2};
    rig_send(r, l, bytes_of("\xc1", 1));
    rig_send(r, l, bytes_of("\x93\x01", 2));
    rig_send(r, l, bytes_of("\x01", 1));
    ck_assert_uint_eq(r->closes, 3);
    rig_send(r, l, bytes_of(twice, sizeof twice));
    ck_assert_int_eq(rig_answer(r, 127, NULL), ERR_PROTOCOL); /* an option twice */
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:k|s:v", NULL), 0);
    rig_free(r);
}
END_TEST

START_TEST(bad_frames_between_nodes_change_nothing)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    struct node *n = r->nodes[l - 1].node;
    uint8_t junk[64] = {0};
    uint64_t before = n->counters.bad_frames;
    for (uint16_t kind = 0; kind < 6; kind++) {
        for (size_t size = 0; size < sizeof junk; size += 7) {
            memset(junk, (int)(kind * 37 + 5), sizeof junk);
            struct node_event ev = {.kind = NODE_EV_PEER,
                                    .peer = l % 3 + 1,
                                    .frame_kind = kind,
                                    .data = bytes_of(junk, size),
                                    .now_us = r->now};
            node_step(n, &ev);
        }
    }
    ck_assert_uint_gt(n->counters.bad_frames, before);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:k|s:v", NULL), 0);
    rig_free(r);
}
END_TEST

START_TEST(a_full_node_refuses_at_once)
{
    struct rig *r = rig_new(1);
    unsigned busy = 0;
    uint32_t ids[1200];
    ck_assert_uint_eq(rig_leader(r, 1), 1);
    r->nodes[0].wal_held = true;
    for (unsigned i = 0; i < 1200; i++) {
        ids[i] = rig_ask(r, 1, "kv.incr", "s:s|s:n|i:1");
        busy += rig_answer(r, ids[i], NULL) == ERR_BUSY;
    }
    ck_assert_uint_eq(busy, 1200 - r->limits.connection_requests);
    ck_assert_int_eq(rig_answer(r, rig_ask(r, 1, "hello", ""), NULL), 0); /* it holds nothing */
    r->nodes[0].wal_held = false;
    rig_run(r, 1000000);
    struct wire_node result;
    ck_assert_int_eq(rig_call(r, 1, "kv.get", "s:s|s:n", &result), 0);
    ck_assert(value_is(result, "1024"));
    rig_free(r);
}
END_TEST

/* Puts a value of size bytes. returns: the answer's code. */
static int put_large(struct rig *r, unsigned i, const char *key, size_t size)
{
    struct buf out;
    uint8_t *value = alloc_get_zeroed(&r->heap, 1, size);
    uint32_t msgid = ++r->next_msgid;
    buf_init(&out, &r->heap, 4u << 20);
    (void)wire_pack_request(&out, msgid, "kv.put", 3);
    (void)wire_pack_bin(&out, bytes_of_text("s"));
    (void)wire_pack_bin(&out, bytes_of_text(key));
    (void)wire_pack_bin(&out, bytes_of(value, size));
    rig_send(r, i, buf_view(&out));
    buf_release(&out);
    alloc_put(&r->heap, value, size);
    for (unsigned tries = 0; tries < 1000 && rig_answer(r, msgid, NULL) == 1; tries++) {
        rig_run(r, 2000);
    }
    return rig_answer(r, msgid, NULL);
}

/* What the entries of one batch name may be more than one read of the table brings. */
START_TEST(records_larger_together_than_one_read_are_applied_in_parts)
{
    enum { KEYS = 70 };
    struct rig *r = rig_new(1);
    char words[64];
    struct wire_node result;
    uint32_t ids[KEYS];
    ck_assert_uint_eq(rig_leader(r, 1), 1);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(words, sizeof words, "k%u", i);
        ck_assert_int_eq(put_large(r, 1, words, 1000000), 0);
        if (i % 16 == 15) {
            rig_run(r, 1500000);
        }
    }
    rig_run(r, 3000000);
    rig_stop(r, 1); /* nothing is in memory after it */
    rig_start(r, 1);
    ck_assert_uint_eq(rig_leader(r, 1), 1);
    r->nodes[0].wal_held = true;
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(words, sizeof words, "s:s|s:k%u", i);
        ids[i] = rig_ask(r, 1, "kv.delete", words);
    }
    r->nodes[0].wal_held = false;
    rig_run(r, 1000000);
    ck_assert(!r->nodes[0].stopped);
    for (unsigned i = 0; i < KEYS; i++) {
        bool deleted = false;
        ck_assert_int_eq(rig_answer(r, ids[i], &result), 0);
        ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DELETED), &deleted), 0);
        ck_assert(deleted);
    }
    rig_free(r);
}
END_TEST

START_TEST(hello_topology_and_status_say_what_is_known)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    struct wire_node result;
    ck_assert_int_eq(rig_call(r, l, "hello", "", &result), 0);
    ck_assert_uint_eq(field_u64(result, WIRE_FIELD_NODE), l);
    ck_assert_int_eq(rig_call(r, l, "topology", "", &result), 0);
    ck_assert_uint_eq(wire_node_count(wire_node_find(result, WIRE_FIELD_NODES)), 3);
    struct wire_node group = wire_node_at(wire_node_find(result, WIRE_FIELD_GROUPS), 1);
    ck_assert_uint_eq(field_u64(group, WIRE_FIELD_LEADER), l);
    ck_assert_int_eq(rig_call(r, l, "status", "", &result), 0);
    ck_assert_uint_eq(wire_node_count(wire_node_find(result, WIRE_FIELD_GROUPS)), 2);
    ck_assert_int_eq(rig_call(r, l, "status", "s:x", &result), ERR_INVALID);
    rig_free(r);
}
END_TEST

/* returns: who leads group 1, as node 1 says. */
static uint64_t leader_told(struct rig *r)
{
    struct wire_node result;
    ck_assert_int_eq(rig_call(r, 1, "topology", "", &result), 0);
    struct wire_node group = wire_node_at(wire_node_find(result, WIRE_FIELD_GROUPS), 1);
    return field_u64(group, WIRE_FIELD_LEADER);
}

START_TEST(a_node_without_a_replica_names_the_leader_that_answered_it)
{
    struct rig *r = rig_new(4); /* group 1 is on nodes 2, 3 and 4 */
    unsigned l = rig_leader(r, 1);
    struct wire_node result;
    ck_assert_int_eq(rig_call(r, 1, "kv.put", "s:default|s:a|s:1", &result), 0);
    ck_assert_uint_eq(leader_told(r), l);
    uint32_t id = rig_ask(r, 1, "kv.put", "s:default|s:a|s:2");
    node_route_learn(r->nodes[0].node, 1, l == 2 ? 3 : 2); /* what another request heard */
    rig_run(r, 500000);
    ck_assert_int_eq(rig_answer(r, id, &result), 0);
    ck_assert_uint_eq(leader_told(r), l);
    rig_free(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("node_kv");
    TCase *t = tcase_create("kv");
    tcase_set_timeout(t, 240);
    suite_add_tcase(s, t);
    tcase_add_test(t, three_nodes_elect_a_leader_and_keep_a_key);
    tcase_add_test(t, one_node_alone_serves);
    tcase_add_test(t, cas_compares_and_keeps_revisions);
    tcase_add_test(t, incr_counts_decimal_text);
    tcase_add_test(t, delete_says_whether_there_was_a_value);
    tcase_add_test(t, scan_merges_what_is_flushed_and_what_is_not);
    tcase_add_test(t, a_scan_sees_past_many_deleted_keys);
    tcase_add_test(t, a_follower_forwards_writes_and_reads_them);
    tcase_add_test(t, a_retry_in_a_session_is_applied_once);
    tcase_add_test(t, a_closed_session_makes_room_and_is_refused_after_that);
    tcase_add_test(t, an_expired_session_is_refused_not_executed);
    tcase_add_test(t, a_stale_read_is_served_by_a_cut_off_replica);
    tcase_add_test(t, what_may_commit_is_never_refused_for_certain);
    tcase_add_test(t, without_a_leader_a_write_is_refused_at_its_deadline);
    tcase_add_test(t, many_writes_at_once_share_batches_and_are_all_applied);
    tcase_add_test(t, a_watch_hears_every_change_in_order_and_resumes);
    tcase_add_test(t, a_watch_from_before_the_history_is_refused);
    tcase_add_test(t, bad_parameters_are_refused_by_type_and_size);
    tcase_add_test(t, keys_and_values_have_their_limits);
    tcase_add_test(t, garbage_closes_the_connection_and_others_are_served);
    tcase_add_test(t, bad_frames_between_nodes_change_nothing);
    tcase_add_test(t, a_full_node_refuses_at_once);
    tcase_add_test(t, records_larger_together_than_one_read_are_applied_in_parts);
    tcase_add_test(t, hello_topology_and_status_say_what_is_known);
    tcase_add_test(t, a_node_without_a_replica_names_the_leader_that_answered_it);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
