/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Objects on a cluster of whole nodes with the real segment store: what an acknowledged object
 * survives, and what becomes of those that were never acknowledged.
 */
#include "object_rig.h"
#include "server/node/put_internal.h"

/* ---- put and get ---------------------------------------------------------------------------- */

START_TEST(an_object_comes_back_whole_and_in_ranges_from_every_node)
{
    struct wire_node result;
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    for (unsigned i = 1; i <= 5; i++) {
        ck_assert_int_eq(get(i, "a", 700001), 0);
    }
    ck_assert_int_eq(stat_of(2, "a", &result), 0);
    uint64_t version = number(result, WIRE_FIELD_VERSION);
    ck_assert_uint_eq(number(result, WIRE_FIELD_SURVIVES), 2);
    ck_assert_int_eq(read_range(3, "a", version, 65536 + 17000, 3), 0);
    ck_assert_mem_eq(back + 65536 + 17000, content + 65536 + 17000, 3);
    ck_assert_uint_eq(verify_bad(4, "a"), 0);
}
END_TEST

/* scenario 34: ranges beyond the end, over a cell's end, empty */
START_TEST(ranges_that_are_not_there_are_refused)
{
    struct wire_node result;
    cluster(3, 2, 1);
    ck_assert_int_eq(put(1, "a", 200000), 0);
    ck_assert_int_eq(stat_of(1, "a", &result), 0);
    uint64_t v = number(result, WIRE_FIELD_VERSION);
    ck_assert_int_eq(read_range(1, "a", v, 200000, 1), ERR_RANGE);
    ck_assert_int_eq(read_range(1, "a", v, 199999, 2), ERR_RANGE);
    ck_assert_int_eq(read_range(1, "a", v, 65535, 2), ERR_RANGE);
    ck_assert_int_eq(read_range(1, "a", v, 5, 0), ERR_RANGE);
    ck_assert_int_eq(read_range(1, "a", v, UINT64_MAX, 2), ERR_RANGE);
    ck_assert_int_eq(read_range(1, "a", v + 999, 0, 1), ERR_VERSION_GONE);
}
END_TEST

/* scenario 35: zero-length object */
START_TEST(small_and_empty_objects_travel_with_their_stat)
{
    struct wire_node result;
    struct bytes data;
    cluster(3, 2, 1);
    ck_assert_int_eq(put(1, "small", 16384), 0);
    ck_assert_int_eq(put(1, "empty", 0), 0);
    ck_assert_int_eq(stat_of(2, "small", &result), 0);
    ck_assert_int_eq(wire_node_bytes(wire_node_find(result, WIRE_FIELD_INLINE), 1u << 20, &data),
                     0);
    ck_assert_uint_eq(data.size, 16384);
    ck_assert_mem_eq(data.data, content, 16384);
    ck_assert_int_eq(stat_of(3, "empty", &result), 0);
    ck_assert_uint_eq(number(result, WIRE_FIELD_SIZE), 0);
    ck_assert_uint_eq(cells_everywhere(), 0);
}
END_TEST

/* scenario 23: any k of the shards give back the object, and never mixed with another version */
START_TEST(an_object_is_read_with_any_two_nodes_down)
{
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 300000), 0);
    ck_assert_int_eq(put(2, "a", 400000), 0);
    for (unsigned a = 1; a <= 5; a++) {
        unsigned b = a % 5 + 1;
        rig_stop(r, a);
        rig_stop(r, b);
        rig_run(r, 4 * SECOND);
        unsigned reader = b % 5 + 1;
        ck_assert_int_eq(get(reader, "a", 400000), 0);
        rig_start(r, a);
        rig_start(r, b);
        ck_assert_uint_ne(rig_leader(r, 1), 0);
        ck_assert(repaired(reader, "a"));
    }
}
END_TEST

START_TEST(what_was_put_with_two_nodes_down_survives_a_third_and_is_repaired)
{
    cluster(5, 3, 2);
    rig_stop(r, 4);
    rig_stop(r, 5);
    rig_run(r, 4 * SECOND);
    ck_assert_int_eq(put(1, "a", 600000), 0);
    ck_assert_int_eq(get(2, "a", 600000), 0);
    ck_assert_uint_eq(verify_bad(2, "a"), 0);
    rig_start(r, 4);
    rig_start(r, 5);
    ck_assert(repaired(1, "a"));
    rig_stop(r, 1);
    rig_stop(r, 2);
    rig_run(r, 4 * SECOND);
    ck_assert_int_eq(get(5, "a", 600000), 0);
}
END_TEST

START_TEST(a_put_that_too_few_nodes_can_hold_is_refused_at_once)
{
    uint64_t upload = 0;
    cluster(4, 3, 2);
    rig_stop(r, 4);
    rig_run(r, 4 * SECOND);
    ck_assert_int_eq(put_open(1, "a", 500000, &upload), 0);
    tear_down();
    cluster(3, 2, 1);
    rig_stop(r, 3); /* two nodes: 2+1 lies as 2 and 1, and the loss of the 2 is fatal */
    rig_run(r, 4 * SECOND);
    ck_assert_int_eq(put_open(1, "a", 500000, &upload), ERR_UNAVAILABLE);
    ck_assert_int_eq(put(1, "small", 100), 0);
}
END_TEST

START_TEST(an_upload_goes_on_when_two_nodes_die_under_it)
{
    uint64_t upload = 0;
    cluster(5, 3, 2);
    ck_assert_int_eq(put_open(1, "a", 900000, &upload), 0);
    ck_assert_int_eq(put_parts(1, upload, 0, 500000), 0);
    rig_stop(r, 3);
    rig_stop(r, 5);
    rig_run(r, 3 * SECOND);
    ck_assert_int_eq(put_parts(1, upload, 500000, 900000), 0);
    root_set(900000);
    ck_assert_int_eq(wait_for(send_commit(1, upload, 900000), NULL), 0);
    ck_assert_int_eq(get(2, "a", 900000), 0);
    struct wire_node result;
    ck_assert_int_eq(stat_of(1, "a", &result), 0);
    ck_assert_uint_ge(number(result, WIRE_FIELD_SURVIVES), 1);
    rig_start(r, 3);
    rig_start(r, 5);
    ck_assert(repaired(4, "a"));
}
END_TEST

/* returns: extents of the only upload of a node whose roots are in memory. */
static unsigned extents_with_roots(unsigned node, unsigned *extents)
{
    const struct node_objects *o = node_objects_get(r->nodes[node - 1].node);
    const struct node_put *p = (const struct node_put *)(const void *)o->puts.next;
    unsigned count = 0;
    ck_assert(!node_work_empty(&o->puts));
    *extents = p->extents_count;
    for (uint32_t i = 0; i < p->extents_count; i++) {
        count += p->extents[i]->roots != NULL;
    }
    return count;
}

START_TEST(an_upload_keeps_roots_only_until_they_are_written)
{
    uint64_t upload = 0;
    unsigned extents = 0;
    cluster(5, 3, 2);
    ck_assert_int_eq(put_open(1, "a", 1000000, &upload), 0);
    ck_assert_int_eq(put_parts(1, upload, 0, 900000), 0);
    rig_run(r, SECOND);
    ck_assert_uint_eq(extents_with_roots(1, &extents), 1); /* the one that is filling */
    ck_assert_uint_eq(extents, 3);
    rig_stop(r, 4); /* what lay there is made again elsewhere, by roots that are asked for */
    rig_stop(r, 5);
    rig_run(r, 4 * SECOND);
    ck_assert_int_eq(put_parts(1, upload, 900000, 1000000), 0);
    root_set(1000000);
    ck_assert_int_eq(wait_for(send_commit(1, upload, 1000000), NULL), 0);
    ck_assert_int_eq(get(2, "a", 1000000), 0);
}
END_TEST

/* ---- uploads that go wrong ------------------------------------------------------------------ */

START_TEST(parts_are_taken_in_order_once_and_whole)
{
    struct wire_node result;
    uint64_t upload = 0;
    cluster(3, 2, 1);
    ck_assert_int_eq(put_open(1, "a", 300000, &upload), 0);
    ck_assert_int_eq(wait_for(send_part(1, upload, 0, 1000, 1), NULL), ERR_CORRUPT);
    ck_assert_int_eq(wait_for(send_part(1, upload, 5, 10, crc_of(content + 5, 10)), NULL),
                     ERR_RANGE);
    ck_assert_int_eq(put_parts(1, upload, 0, 100000), 0);
    ck_assert_int_eq(wait_for(send_part(1, upload, 0, 1000, crc_of(content, 1000)), &result), 0);
    ck_assert_uint_eq(number(result, WIRE_FIELD_RECEIVED), 100000);
    ck_assert_int_eq(
        wait_for(send_part(1, upload, 100000, 300000, crc_of(content + 100000, 300000)), NULL),
        ERR_INVALID);
    ck_assert_int_eq(put_parts(1, upload, 100000, 300000), 0);
    root_set(300000);
    ck_assert_int_eq(wait_for(send_commit(1, upload, 300000), NULL), 0);
    ck_assert_int_eq(wait_for(send_commit(1, upload, 300000), &result), 0); /* answer was lost */
    ck_assert_uint_eq(number(result, WIRE_FIELD_VERSION), upload);
    ck_assert_int_eq(get(2, "a", 300000), 0);
}
END_TEST

/* scenario 35: the claimed size or root is not what arrived */
START_TEST(a_commit_with_another_root_or_size_makes_nothing_visible)
{
    uint64_t upload = 0;
    cluster(3, 2, 1);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t size = i == 2 ? 1000 : 300000;
        ck_assert_int_eq(put_open(1, "a", size, &upload), 0);
        ck_assert_int_eq(put_parts(1, upload, 0, size), 0);
        root_set(size);
        root[0] ^= i != 1;
        ck_assert_int_eq(wait_for(send_commit(1, upload, i == 1 ? size - 1 : size), NULL),
                         ERR_CORRUPT);
        ck_assert_int_eq(get(2, "a", size), ERR_NOT_FOUND);
    }
    rig_run(r, 20 * SECOND);
    ck_assert_uint_eq(cells_everywhere(), 0);
}
END_TEST

START_TEST(an_upload_ends_with_its_connection_and_leaves_nothing)
{
    uint64_t upload = 0;
    cluster(3, 2, 1);
    ck_assert_int_eq(put_open(1, "a", 900000, &upload), 0);
    ck_assert_int_eq(put_parts(1, upload, 0, 600000), 0);
    rig_run(r, SECOND);
    ck_assert_uint_gt(cells_everywhere(), 0);
    struct wire_node result;
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_OBJECT_ABORT, "u:0", &result), 0);
    node_objects_conn_gone(r->nodes[0].node->objects, 1);
    char words[64];
    (void)snprintf(words, sizeof words, "u:%llu", (unsigned long long)upload);
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_OBJECT_ABORT, words, &result), 0);
    ck_assert_int_eq(wait_for(send_commit(1, upload, 600000), NULL), ERR_CANCELLED);
    rig_run(r, 20 * SECOND);
    ck_assert_uint_eq(cells_everywhere(), 0);
}
END_TEST

START_TEST(an_upload_whose_coordinator_died_is_cleaned_up_by_log_time)
{
    uint64_t upload = 0;
    cluster(5, 3, 2);
    ck_assert_int_eq(put_open(1, "a", 900000, &upload), 0);
    ck_assert_int_eq(put_parts(1, upload, 0, 600000), 0);
    rig_run(r, SECOND);
    rig_stop(r, 1);
    rig_run(r, 60 * SECOND);
    ck_assert_uint_eq(cells_everywhere(), 0);
    rig_start(r, 1);
    rig_run(r, 10 * SECOND);
    ck_assert_uint_eq(cells_everywhere(), 0);
    ck_assert_int_eq(get(2, "a", 900000), ERR_NOT_FOUND);
}
END_TEST

/* ---- replaced and removed ------------------------------------------------------------------- */

START_TEST(an_old_version_is_readable_for_a_while_then_gone_with_its_shards)
{
    struct wire_node result;
    cluster(3, 2, 1);
    ck_assert_int_eq(put(1, "a", 300000), 0);
    ck_assert_int_eq(stat_of(1, "a", &result), 0);
    uint64_t old = number(result, WIRE_FIELD_VERSION);
    ck_assert_int_eq(put(2, "a", 100), 0);
    ck_assert_int_eq(get_version(3, "a", old, 300000), 0);
    rig_run(r, 60 * SECOND);
    ck_assert_int_eq(get_version(3, "a", old, 300000), ERR_VERSION_GONE);
    ck_assert_uint_eq(cells_everywhere(), 0);
}
END_TEST

/* scenario C49: of objects there is one record, in the log of a group, and no siblings. Freeing the
 * shards of one version takes nothing from another version, nor from another object. */
START_TEST(shards_go_with_their_version_alone)
{
    struct wire_node result;
    cluster(3, 2, 1);
    ck_assert_int_eq(put(1, "a", 300000), 0);
    ck_assert_int_eq(put(2, "other", 300000), 0);
    ck_assert_int_eq(stat_of(1, "a", &result), 0);
    uint64_t old = number(result, WIRE_FIELD_VERSION);
    rig_run(r, SECOND);
    uint64_t cells = cells_everywhere();
    ck_assert_int_eq(put(3, "a", 300000), 0);
    rig_run(r, SECOND);
    ck_assert_uint_gt(cells_everywhere(), cells);
    ck_assert_int_eq(get_version(2, "a", old, 300000), 0); /* somebody may still be reading it */
    rig_run(r, 60 * SECOND);
    ck_assert_int_eq(get_version(2, "a", old, 300000), ERR_VERSION_GONE);
    ck_assert_uint_eq(cells_everywhere(), cells);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(get(i, "a", 300000), 0);
        ck_assert_int_eq(get(i, "other", 300000), 0);
    }
}
END_TEST

/* scenario 24: shards of a removed object are not repaired back */
START_TEST(a_removed_object_does_not_come_back_with_a_node)
{
    struct wire_node result;
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 300000), 0);
    rig_stop(r, 5);
    rig_run(r, 4 * SECOND);
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_OBJECT_REMOVE, "s:b|s:a", &result), 0);
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_OBJECT_REMOVE, "s:b|s:a", &result), ERR_NOT_FOUND);
    rig_run(r, 60 * SECOND);
    rig_start(r, 5);
    rig_run(r, 30 * SECOND);
    ck_assert_int_eq(get(5, "a", 300000), ERR_NOT_FOUND);
    ck_assert_uint_eq(cells_everywhere(), 0);
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_BUCKET_REMOVE, "s:b", &result), 0);
}
END_TEST

/* ---- damage --------------------------------------------------------------------------------- */

static struct store_cell_id a_cell(unsigned node, struct store_shard_info *info)
{
    unsigned count = 0;
    int err = store_segments_list(r->nodes[node - 1].segments, NULL, info, 1, &count);
    ck_assert_int_eq(err, 0);
    ck_assert_uint_eq(count, 1);
    struct store_cell_id id = {.extent_grant = info->extent_grant,
                               .extent_counter = info->extent_counter,
                               .shard = info->shard};
    while (store_segments_get(r->nodes[node - 1].segments, &id, 0, 0, NULL, NULL) != 0) {
        id.cell++;
        ck_assert_uint_lt(id.cell, 100);
    }
    return id;
}

START_TEST(lost_shards_are_found_and_rebuilt)
{
    struct store_shard_info info;
    uint64_t deleted = 0;
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 500000), 0);
    (void)a_cell(2, &info);
    struct store_segments *s = r->nodes[1].segments;
    ck_assert_int_eq(
        store_segments_delete(s, info.extent_grant, info.extent_counter, UINT8_MAX, &deleted), 0);
    ck_assert_int_eq(store_segments_sync(s), 0);
    ck_assert_uint_gt(deleted, 0);
    ck_assert_int_eq(get(1, "a", 500000), 0);
    rig_run(r, 5 * SECOND);
    ck_assert(repaired(3, "a"));
}
END_TEST

/* scenario 37: right checksums, bytes of something else */
START_TEST(a_cell_with_right_checksums_and_wrong_bytes_is_never_served_and_repaired)
{
    static uint8_t wrong[65536];
    static uint8_t leaves[4 * COMPUTE_HASH_BYTES];
    static struct store_cell_info was;
    struct store_shard_info info;
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 500000), 0);
    for (unsigned node = 1; node <= 5; node++) {
        struct store_cell_id id = a_cell(node, &info);
        struct store_segments *s = r->nodes[node - 1].segments;
        ck_assert_int_eq(store_segments_get(s, &id, 0, 0, NULL, &was), 0);
        if (was.leaves_count == 0) {
            continue;
        }
        memset(wrong, 0x77, sizeof wrong);
        compute_leaf_hashes(r->compute, wrong, was.bytes, leaves);
        const struct store_cell cell = {.id = id,
                                        .group = info.group,
                                        .bytes = was.bytes,
                                        .leaves_count = was.leaves_count,
                                        .leaves = leaves,
                                        .data = wrong};
        ck_assert_int_eq(store_segments_put(s, &cell), 0);
        ck_assert_int_eq(store_segments_sync(s), 0);
        break;
    }
    ck_assert_int_eq(get(2, "a", 500000), 0);
    rig_run(r, 3 * SECOND);
    ck_assert(repaired(1, "a"));
    ck_assert_int_eq(get(3, "a", 500000), 0);
}
END_TEST

/* ---- buckets -------------------------------------------------------------------------------- */

/* scenarios 27, 35 */
START_TEST(buckets_and_names_are_checked)
{
    struct wire_node result;
    cluster(3, 2, 1);
    const struct {
        const char *words;
        int code;
    } cases[] = {
        {"s:c|u:0|u:1", ERR_SCHEME},
        {"s:c|u:30|u:3", ERR_SCHEME},
        {"s:c|u:300|u:1", ERR_SCHEME},
        {"s:c|u:5|u:1", ERR_SCHEME},
        {"s:a/b|u:2|u:1", ERR_BAD_NAME},
        {"s:|u:2|u:1", ERR_BAD_NAME},
        {"s:b|u:2|u:1", ERR_EXISTS},
        {"s:..|u:2|u:1", 0},
        {"s:one|u:1|u:0", 0},
        {"s:c|u:2", ERR_INVALID},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_BUCKET_CREATE, cases[i].words, &result),
                         cases[i].code);
    }
    ck_assert_int_eq(rig_call(r, 2, WIRE_METHOD_BUCKET_LIST, "", &result), 0);
    ck_assert_uint_eq(wire_node_count(result), 3);
    ck_assert_int_eq(put(1, "..", 100), 0);
    ck_assert_int_eq(put(1, "../../etc/x", 100), 0);
    ck_assert_int_eq(rig_call(r, 3, WIRE_METHOD_OBJECT_LIST, "s:b|s:..|n:|u:0", &result), 0);
    ck_assert_uint_eq(wire_node_count(wire_node_find(result, WIRE_FIELD_ITEMS)), 2);
    uint64_t upload = 0;
    ck_assert_int_eq(put_open(1, "", 100, &upload), ERR_BAD_NAME);
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_OBJECT_STAT, "s:nobucket|s:a", &result),
                     ERR_NOT_FOUND);
}
END_TEST

/* The commit may have reached the log of a leader that then died: whatever the coordinator finds
 * out about the shards afterwards, it has no certain refusal to give. */
START_TEST(an_upload_that_fails_after_a_commit_without_an_answer_is_unknown)
{
    const uint64_t size = 2 * 6 * 65536; /* whole extents: only the commit is left for the end */
    uint64_t upload = 0;
    cluster(5, 3, 2);
    unsigned leader = rig_leader(r, 1);
    unsigned coordinator = leader % 5 + 1;
    ck_assert_int_eq(put_open(coordinator, "x", size, &upload), 0);
    ck_assert_int_eq(put_parts(coordinator, upload, 0, size), 0);
    rig_run(r, SECOND);
    root_set(size);
    r->nodes[leader - 1].wal_held = true;
    uint32_t commit = send_commit(coordinator, upload, size);
    rig_run(r, SECOND / 10);
    for (unsigned i = 0; i < 3; i++) { /* the leader, and two that are not the coordinator */
        rig_stop(r, i == 0 ? leader : (coordinator + i - 1) % 5 + 1);
    }
    ck_assert_int_eq(wait_for(commit, NULL), ERR_TIMEOUT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("objects");
    TCase *tc = tcase_create("objects");
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, an_object_comes_back_whole_and_in_ranges_from_every_node);
    tcase_add_test(tc, ranges_that_are_not_there_are_refused);
    tcase_add_test(tc, small_and_empty_objects_travel_with_their_stat);
    tcase_add_test(tc, an_object_is_read_with_any_two_nodes_down);
    tcase_add_test(tc, what_was_put_with_two_nodes_down_survives_a_third_and_is_repaired);
    tcase_add_test(tc, a_put_that_too_few_nodes_can_hold_is_refused_at_once);
    tcase_add_test(tc, an_upload_goes_on_when_two_nodes_die_under_it);
    tcase_add_test(tc, an_upload_keeps_roots_only_until_they_are_written);
    tcase_add_test(tc, parts_are_taken_in_order_once_and_whole);
    tcase_add_test(tc, a_commit_with_another_root_or_size_makes_nothing_visible);
    tcase_add_test(tc, an_upload_ends_with_its_connection_and_leaves_nothing);
    tcase_add_test(tc, an_upload_whose_coordinator_died_is_cleaned_up_by_log_time);
    tcase_add_test(tc, an_old_version_is_readable_for_a_while_then_gone_with_its_shards);
    tcase_add_test(tc, shards_go_with_their_version_alone);
    tcase_add_test(tc, a_removed_object_does_not_come_back_with_a_node);
    tcase_add_test(tc, lost_shards_are_found_and_rebuilt);
    tcase_add_test(tc, a_cell_with_right_checksums_and_wrong_bytes_is_never_served_and_repaired);
    tcase_add_test(tc, buckets_and_names_are_checked);
    tcase_add_test(tc, an_upload_that_fails_after_a_commit_without_an_answer_is_unknown);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
