/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What survives: restarts, snapshots, damaged state, full and failing disks, fencing.
 */
#include "rig.h"
#include "server/node/objects_internal.h"
#include "tests/sim/model_kv.h"

#include <check.h>
#include <stdio.h>

static void put_many(struct rig *r, unsigned i, unsigned from, unsigned count)
{
    char words[64];
    for (unsigned k = from; k < from + count; k++) {
        snprintf(words, sizeof words, "s:s|s:key%04u|s:value%u", k, k);
        ck_assert_int_eq(rig_call(r, i, "kv.put", words, NULL), 0);
    }
}

static void check_many(struct rig *r, unsigned i, unsigned count)
{
    char words[64];
    struct wire_node result;
    for (unsigned k = 0; k < count; k++) {
        struct bytes v = {0};
        snprintf(words, sizeof words, "s:s|s:key%04u", k);
        ck_assert_int_eq(rig_call(r, i, "kv.get", words, &result), 0);
        ck_assert_int_eq(wire_node_bytes(wire_node_find(result, WIRE_FIELD_VALUE), 1024, &v), 0);
        snprintf(words, sizeof words, "value%u", k);
        ck_assert(bytes_equal(v, bytes_of_text(words)));
    }
}

static void restart_all(struct rig *r)
{
    for (unsigned i = 1; i <= r->nodes_count; i++) {
        rig_stop(r, i);
    }
    for (unsigned i = 1; i <= r->nodes_count; i++) {
        rig_start(r, i);
    }
}

START_TEST(a_restart_replays_what_was_not_flushed)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    put_many(r, l, 0, 40);
    restart_all(r);
    l = rig_leader(r, 1);
    check_many(r, l, 40);
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    ck_assert(rig_digests_equal(r, 0));
    rig_free(r);
}
END_TEST

/* scenario 73 */
START_TEST(a_restart_after_a_flush_applies_nothing_twice)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    struct wire_node result;
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_int_eq(rig_call(r, l, "kv.incr", "s:s|s:n|i:1", NULL), 0);
    }
    rig_run(r, 3000000);
    ck_assert_uint_gt(r->nodes[l - 1].node->counters.flushes, 0);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(rig_call(r, l, "kv.incr", "s:s|s:n|i:1", NULL), 0);
    }
    restart_all(r);
    l = rig_leader(r, 1);
    ck_assert_int_eq(rig_call(r, l, "kv.incr", "s:s|s:n|i:1", &result), 0);
    int64_t v = 0;
    ck_assert_int_eq(wire_node_i64(wire_node_find(result, WIRE_FIELD_VALUE), &v), 0);
    ck_assert_int_eq(v, 16);
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    rig_free(r);
}
END_TEST

/* Answers with all ids that a node may have used in an earlier life. */
static void answer_all_of(struct rig *r, unsigned i, unsigned from, uint64_t first, uint64_t last)
{
    for (uint64_t gen = first + 1; gen <= last; gen++) {
        for (uint64_t slot = 0; slot < 16; slot++) {
            uint8_t body[12] = {0};
            num_put_u64(body, gen << 16 | slot);
            struct node_event ev = {.kind = NODE_EV_PEER,
                                    .now_us = r->now,
                                    .wall_us = r->now,
                                    .peer = from,
                                    .frame_kind = NODE_FRAME_ANSWER,
                                    .data = bytes_of(body, sizeof body)};
            node_step(r->nodes[i - 1].node, &ev);
        }
    }
}

START_TEST(an_answer_to_an_earlier_life_is_nobodys)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    struct wire_node result;
    rig_stop(r, f);
    rig_start(r, f);
    uint64_t first = r->nodes[f - 1].node->call_gen;
    rig_run(r, 500000);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_int_eq(rig_call(r, f, "kv.put", "s:s|s:a|s:b", NULL), 0);
    }
    uint64_t last = r->nodes[f - 1].node->call_gen;
    ck_assert_uint_gt(last, first);
    rig_stop(r, f);
    rig_start(r, f);
    rig_run(r, 500000);
    r->nodes[l - 1].wal_held = true;
    r->nodes[6 - l - f - 1].wal_held = true;
    uint32_t id = rig_ask(r, f, "kv.incr", "s:s|s:n|i:1");
    rig_run(r, 10000);
    answer_all_of(r, f, l, first, last);
    rig_run(r, 10000);
    ck_assert_int_eq(rig_answer(r, id, &result), 1);
    r->nodes[l - 1].wal_held = false;
    r->nodes[6 - l - f - 1].wal_held = false;
    rig_run(r, 500000);
    int64_t v = 0;
    ck_assert_int_eq(rig_answer(r, id, &result), 0);
    ck_assert_int_eq(wire_node_i64(wire_node_find(result, WIRE_FIELD_VALUE), &v), 0);
    ck_assert_int_eq(v, 1);
    rig_free(r);
}
END_TEST

START_TEST(the_log_is_compacted_behind_the_flush)
{
    struct rig *r = rig_new(1);
    rig_stop(r, 1);
    r->log_keep = 8;
    rig_start(r, 1);
    ck_assert_uint_eq(rig_leader(r, 1), 1);
    put_many(r, 1, 0, 100);
    rig_run(r, 3000000);
    struct node_group_view v;
    node_group_view_get(r->nodes[0].node, 1, &v);
    ck_assert_uint_ge(v.base_index, v.applied_index - 8);
    restart_all(r);
    ck_assert_uint_eq(rig_leader(r, 1), 1);
    check_many(r, 1, 100);
    rig_free(r);
}
END_TEST

/* scenario 70 */
START_TEST(a_follower_far_behind_gets_a_snapshot_with_sessions)
{
    struct rig *r = rig_new(3);
    for (unsigned i = 1; i <= 3; i++) {
        rig_stop(r, i);
    }
    r->log_keep = 8;
    r->limits.log_entries = 64;
    r->limits.snapshot_bytes = 4096;
    for (unsigned i = 1; i <= 3; i++) {
        rig_start(r, i);
    }
    unsigned l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    struct wire_node result;
    uint64_t session = 0;
    char words[96];
    ck_assert_int_eq(rig_call(r, l, "session.open", "u:1", &result), 0);
    ck_assert_int_eq(wire_node_u64(wire_node_find(result, WIRE_FIELD_SESSION), &session), 0);
    rig_stop(r, f);
    snprintf(words, sizeof words, "s:s|s:n|i:1|o:session=%llu,1,0", (unsigned long long)session);
    ck_assert_int_eq(rig_call(r, l, "kv.incr", words, NULL), 0);
    for (unsigned i = 0; i < 10; i++) {
        put_many(r, l, i * 30, 30);
        rig_run(r, 1500000);
    }
    rig_start(r, f);
    rig_run(r, 10000000);
    ck_assert_uint_gt(r->nodes[f - 1].node->counters.snapshots_installed, 0);
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    check_many(r, f, 300);
    /* only the one that got the snapshot knows the reply after this */
    unsigned other = 6 - l - f;
    rig_stop(r, l);
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    ck_assert_int_eq(rig_call(r, f, "kv.incr", words, &result), 0);
    int64_t v = 0;
    ck_assert_int_eq(wire_node_i64(wire_node_find(result, WIRE_FIELD_VALUE), &v), 0);
    ck_assert_int_eq(v, 1);
    rig_start(r, l);
    restart_all(r);
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    check_many(r, other, 300);
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    rig_free(r);
}
END_TEST

/* It crashes before it has asked for anything. Its snapshot stays open for half a minute, and the
 * log goes on from behind it: the follower does not wait for that. */
START_TEST(an_offer_that_nobody_took_is_made_anew_once_the_log_has_gone_on)
{
    struct rig *r = rig_new(3);
    for (unsigned i = 1; i <= 3; i++) {
        rig_stop(r, i);
    }
    r->log_keep = 8;
    r->limits.log_entries = 64;
    for (unsigned i = 1; i <= 3; i++) {
        rig_start(r, i);
    }
    unsigned l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    rig_stop(r, f);
    put_many(r, l, 0, 60);
    rig_run(r, 1500000);
    rig_start(r, f);
    r->nodes[f - 1].jobs_held = true;
    for (unsigned k = 0; k < 20000 && r->nodes[f - 1].node->by_id[1]->install == NULL; k++) {
        rig_run(r, 100);
    }
    ck_assert_ptr_nonnull(r->nodes[f - 1].node->by_id[1]->install);
    rig_stop(r, f);
    r->nodes[f - 1].jobs_held = false;
    for (unsigned i = 2; i < 6; i++) {
        put_many(r, l, i * 30, 30);
        rig_run(r, 1500000);
    }
    rig_start(r, f);
    rig_run(r, 8000000);
    ck_assert_uint_eq(r->nodes[f - 1].node->counters.snapshots_installed, 1);
    ck_assert(rig_digests_equal(r, 1));
    check_many(r, f, 180);
    rig_free(r);
}
END_TEST

static void opened(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    *(int *)ctx = code;
}

/* The same of a snapshot that the follower itself has asked for. */
START_TEST(a_snapshot_that_nobody_pulls_makes_room)
{
    struct rig *r = rig_new(3);
    uint8_t body[4];
    int code = 1;
    for (unsigned i = 1; i <= 3; i++) {
        rig_stop(r, i);
    }
    r->log_keep = 8;
    r->limits.log_entries = 64;
    for (unsigned i = 1; i <= 3; i++) {
        rig_start(r, i);
    }
    unsigned l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    put_many(r, l, 0, 10);
    rig_run(r, 1500000);
    struct node *n = r->nodes[f - 1].node;
    num_put_u32(body, 1);
    node_call(n, l, NODE_CALL_SNAPSHOT_OPEN, bytes_of(body, sizeof body), NULL, n->now + 1000000,
              &code, opened);
    rig_run(r, 100000);
    ck_assert_int_eq(code, 0);
    rig_stop(r, f);
    for (unsigned i = 1; i < 6; i++) {
        put_many(r, l, i * 30, 30);
        rig_run(r, 1500000);
    }
    rig_start(r, f);
    rig_run(r, 8000000);
    ck_assert_uint_eq(r->nodes[f - 1].node->counters.snapshots_installed, 1);
    ck_assert(rig_digests_equal(r, 1));
    rig_free(r);
}
END_TEST

/* scenario 67 */
START_TEST(a_crash_in_the_middle_of_an_install_leaves_the_old_state)
{
    struct rig *r = rig_new(3);
    for (unsigned i = 1; i <= 3; i++) {
        rig_stop(r, i);
    }
    r->log_keep = 8;
    r->limits.log_entries = 64;
    r->limits.snapshot_bytes = 4096;
    for (unsigned i = 1; i <= 3; i++) {
        rig_start(r, i);
    }
    unsigned l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    put_many(r, l, 0, 20);
    ck_assert(rig_settle(r, 1));
    rig_stop(r, f);
    for (unsigned i = 0; i < 10; i++) {
        put_many(r, l, i * 30, 30);
        rig_run(r, 1500000);
    }
    for (unsigned step = 1; step <= 12; step++) { /* stopped after more and more jobs */
        rig_start(r, f);
        for (unsigned k = 0; k < step * 40 && r->nodes[f - 1].node->by_id[1]->install == NULL;
             k++) {
            rig_run(r, 20000);
        }
        for (unsigned k = 0; k < step; k++) {
            r->nodes[f - 1].jobs_held = true;
            rig_run(r, 2000);
            r->nodes[f - 1].jobs_held = false;
            rig_run(r, 0);
        }
        rig_stop(r, f);
    }
    rig_start(r, f);
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    check_many(r, f, 300);
    rig_free(r);
}
END_TEST

/* A reader of the table finds damage where apply needs the record. */
START_TEST(a_replica_with_a_rotted_record_replaces_its_state)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    put_many(r, l, 0, 20);
    rig_run(r, 3000000);
    restart_all(r); /* nothing is cached */
    l = rig_leader(r, 1);
    f = l % 3 + 1;
    struct node_group *g = r->nodes[f - 1].node->by_id[1];
    uint8_t name_raw[NODE_NAME_BYTES_MAX];
    uint8_t key[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    struct bytes name;
    ck_assert_int_eq(node_kv_name(bytes_of_text("s"), bytes_of_text("key0003"), name_raw, &name),
                     0);
    ck_assert_int_eq(sim_kv_rot(&r->nodes[f - 1].kv, node_key_of(g, name, key)), 0);
    struct wire_node result;
    /* a read goes to another replica; a write makes this one replace its state */
    ck_assert_int_eq(rig_call(r, f, "kv.get", "s:s|s:key0003", &result), 0);
    ck_assert_int_eq(rig_call(r, l, "kv.put", "s:s|s:key0003|s:value3", NULL), 0);
    rig_run(r, 8000000);
    ck_assert_uint_eq(r->nodes[f - 1].node->counters.snapshots_installed, 1);
    ck_assert(!r->nodes[f - 1].stopped);
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    check_many(r, f, 20);
    rig_free(r);
}
END_TEST

/* No checksum tells that a record is gone. */
START_TEST(a_replica_that_lost_a_record_is_found_by_its_digest_and_replaces_its_state)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    put_many(r, l, 0, 20);
    rig_run(r, 3000000);
    restart_all(r); /* nothing is cached */
    l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    struct store_kv *kv = &r->nodes[f - 1].kv;
    struct node_group *g = r->nodes[f - 1].node->by_id[1];
    uint8_t name_raw[NODE_NAME_BYTES_MAX];
    uint8_t key[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    struct bytes name;
    ck_assert_int_eq(node_kv_name(bytes_of_text("s"), bytes_of_text("key0003"), name_raw, &name),
                     0);
    ck_assert_int_eq(kv->begin(kv->ctx), 0);
    ck_assert_int_eq(kv->del(kv->ctx, node_key_of(g, name, key)), 0);
    ck_assert_int_eq(kv->commit(kv->ctx), 0);
    rig_run(r, 90000000); /* a pass of the scrub */
    ck_assert_uint_eq(node_objects_get(r->nodes[f - 1].node)->counters.digests_wrong, 1);
    ck_assert_uint_eq(r->nodes[f - 1].node->counters.snapshots_installed, 1);
    ck_assert(rig_settle(r, 1));
    ck_assert(rig_digests_equal(r, 1));
    check_many(r, f, 20);
    rig_run(r, 90000000);
    for (unsigned i = 0; i < 3; i++) {
        const struct node_objects *o = node_objects_get(r->nodes[i].node);
        ck_assert_uint_gt(o->counters.digests_checked, 1);
        ck_assert_uint_eq(o->counters.digests_wrong, i == f - 1 ? 1 : 0);
    }
    rig_free(r);
}
END_TEST

/* scenario 76 */
START_TEST(a_full_disk_refuses_writes_and_recovers_by_itself)
{
    struct rig *r = rig_new(1);
    struct wire_node result;
    ck_assert_uint_eq(rig_leader(r, 1), 1);
    put_many(r, 1, 0, 5);
    mem_disk_fail(r->nodes[0].mem, MEM_DISK_WRITE, 1, ERR_DISK_FULL);
    uint32_t kept = rig_ask(r, 1, "kv.put", "s:s|s:full|s:1|o:deadline=20000");
    rig_run(r, 1000);
    ck_assert(r->nodes[0].node->disk_full);
    ck_assert_int_eq(rig_call(r, 1, "kv.put", "s:s|s:other|s:1|o:deadline=50", NULL),
                     ERR_DISK_FULL);
    ck_assert_int_eq(rig_call(r, 1, "kv.get", "s:s|s:key0001|o:stale", &result), 0);
    rig_run(r, 2000000);
    ck_assert_int_eq(rig_answer(r, kept, &result), 0);
    put_many(r, 1, 5, 5);
    check_many(r, 1, 10);
    rig_free(r);
}
END_TEST

/* scenario 74 */
START_TEST(a_failed_sync_ends_the_node_and_acknowledges_nothing)
{
    struct rig *r = rig_new(1);
    ck_assert_uint_eq(rig_leader(r, 1), 1);
    mem_disk_fail(r->nodes[0].mem, MEM_DISK_SYNC, 1, ERR_IO);
    uint32_t lost = rig_ask(r, 1, "kv.put", "s:s|s:k|s:1");
    rig_run(r, 8000000);
    ck_assert(r->nodes[0].stopped);
    ck_assert_int_eq(r->nodes[0].stop_code, ERR_IO);
    ck_assert_int_eq(rig_answer(r, lost, NULL), 1);
    rig_free(r);
}
END_TEST

START_TEST(a_second_process_with_the_same_boot_is_fenced)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 0);
    unsigned f = l % 3 + 1;
    rig_run(r, 3000000);
    struct node *n = r->nodes[l - 1].node;
    ck_assert_int_eq(node_peer_check(n, f, 1, 1, 1000 + f), 0);
    ck_assert_int_eq(node_peer_check(n, f, 1, 1, 1000 + f + 1), ERR_FENCED);
    ck_assert_int_eq(node_peer_check(n, f, 2, 1, 1000 + f), ERR_FENCED);
    ck_assert_int_eq(node_peer_check(n, 9, 1, 1, 1), ERR_NOT_FOUND);
    rig_stop(r, f);
    r->nodes[f - 1].boot--; /* its disk was set back */
    r->nodes[f - 1].boot--;
    rig_start(r, f);
    rig_run(r, 8000000);
    ck_assert(r->nodes[f - 1].stopped);
    ck_assert_int_eq(r->nodes[f - 1].stop_code, ERR_FENCED);
    rig_free(r);
}
END_TEST

START_TEST(payloads_out_of_memory_are_read_back_for_a_follower)
{
    struct rig *r = rig_new(3);
    unsigned l = rig_leader(r, 1);
    unsigned f = l % 3 + 1;
    rig_stop(r, f);
    put_many(r, l, 0, 60);
    unsigned other = 6 - l - f;
    rig_stop(r, l);
    rig_stop(r, other);
    rig_start(r, l);
    rig_start(r, other); /* nothing of the log is in memory now */
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    rig_start(r, f);
    rig_run(r, 3000000);
    ck_assert(rig_settle(r, 1));
    ck_assert_uint_eq(r->nodes[f - 1].node->counters.snapshots_installed, 0);
    ck_assert(rig_digests_equal(r, 1));
    check_many(r, f, 60);
    rig_free(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("node_durable");
    TCase *t = tcase_create("durable");
    tcase_set_timeout(t, 240);
    suite_add_tcase(s, t);
    tcase_add_test(t, a_restart_replays_what_was_not_flushed);
    tcase_add_test(t, a_restart_after_a_flush_applies_nothing_twice);
    tcase_add_test(t, an_answer_to_an_earlier_life_is_nobodys);
    tcase_add_test(t, the_log_is_compacted_behind_the_flush);
    tcase_add_test(t, a_follower_far_behind_gets_a_snapshot_with_sessions);
    tcase_add_test(t, an_offer_that_nobody_took_is_made_anew_once_the_log_has_gone_on);
    tcase_add_test(t, a_snapshot_that_nobody_pulls_makes_room);
    tcase_add_test(t, a_crash_in_the_middle_of_an_install_leaves_the_old_state);
    tcase_add_test(t, a_replica_with_a_rotted_record_replaces_its_state);
    tcase_add_test(t, a_replica_that_lost_a_record_is_found_by_its_digest_and_replaces_its_state);
    tcase_add_test(t, a_full_disk_refuses_writes_and_recovers_by_itself);
    tcase_add_test(t, a_failed_sync_ends_the_node_and_acknowledges_nothing);
    tcase_add_test(t, a_second_process_with_the_same_boot_is_fenced);
    tcase_add_test(t, payloads_out_of_memory_are_read_back_for_a_follower);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
