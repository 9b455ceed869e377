/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Commands and questions on objects, one state machine at a time.
 */
#include "base/rng.h"
#include "tests/unit/node/object_cmds.h"

static struct node_bucket bucket_get(void)
{
    struct node_name name;
    struct node_bucket b;
    node_name_bucket(&name, bytes_of_text("b"));
    ck_assert_int_eq(node_bucket_decode(state_value(st, &name), &b), 0);
    return b;
}

static struct node_object object_get(const char *text)
{
    struct node_name name;
    struct node_object o;
    ck_assert(node_name_object(&name, bytes_of_text("b"), bytes_of_text(text)));
    ck_assert_int_eq(node_object_decode(state_value(st, &name), &o), 0);
    return o;
}

/* Frees all of a version whose time has come. */
static int free_version(uint64_t counter, uint64_t due, uint32_t extents)
{
    struct node_object_cmd c = {
        .version = version(counter), .due = due, .to = extents, .flag = true};
    for (uint32_t i = 0; i < extents; i++) {
        struct node_object_cmd one;
        extent_cmd(&one, counter, i, 0);
        c.refs[c.refs_count++] = one.ref;
    }
    return state_apply(st, NODE_OP_FREE, &c, NULL);
}

/* ---- buckets -------------------------------------------------------------------------------- */

START_TEST(a_bucket_is_made_once)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(bucket_create("b"), ERR_EXISTS);
}
END_TEST

START_TEST(a_bucket_with_objects_is_not_removed)
{
    struct node_object_cmd c = {.bucket = bytes_of_text("b")};
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_inline(1, "a", "x"), 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_BUCKET_REMOVE, &c, NULL), ERR_NOT_EMPTY);
    struct node_object_cmd r = target(0, "a");
    ck_assert_int_eq(state_apply(st, NODE_OP_OBJECT_REMOVE, &r, NULL), 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_BUCKET_REMOVE, &c, NULL), 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_BUCKET_REMOVE, &c, NULL), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_commit_into_a_removed_bucket_is_refused)
{
    struct node_object_cmd c = {.bucket = bytes_of_text("b")};
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    ck_assert_int_eq(extent(1, 0, 0), 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_BUCKET_REMOVE, &c, NULL), 0);
    ck_assert_int_eq(commit(1, "a", 1), ERR_NOT_FOUND);
}
END_TEST

/* ---- uploads -------------------------------------------------------------------------------- */

START_TEST(a_commit_makes_the_object_and_counts_it_once)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    ck_assert_uint_eq(bucket_get().objects, 1);
    ck_assert_uint_eq(state_count(st, NODE_KEY_INTENT), 0);
    ck_assert_uint_eq(state_count(st, NODE_KEY_VERSION), 1);
    struct hash_digest before = st->digest;
    ck_assert_int_eq(commit(1, "a", 1), 0); /* the answer was lost */
    ck_assert_uint_eq(before.low, st->digest.low);
}
END_TEST

START_TEST(a_commit_without_its_intent_is_refused)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(commit(1, "a", 1), ERR_CANCELLED);
    ck_assert_int_eq(intent(1, "a"), 0);
    ck_assert_int_eq(extent(1, 0, 0), 0);
    ck_assert_int_eq(cancel(1, false), 0);
    ck_assert_int_eq(commit(1, "a", 1), ERR_CANCELLED);
    ck_assert_int_eq(extent(1, 1, 0), ERR_CANCELLED);
}
END_TEST

START_TEST(a_cancel_after_the_commit_changes_nothing)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    ck_assert_int_eq(cancel(1, false), ERR_DONE);
    ck_assert_uint_eq(object_get("a").version.counter, 1);
}
END_TEST

/* scenario 35: claimed size, number of extents and names must agree with what was uploaded */
START_TEST(a_commit_that_disagrees_with_its_upload_is_refused)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    ck_assert_int_eq(extent(1, 0, 0), 0);
    ck_assert_int_eq(commit(1, "other", 1), ERR_INVALID);
    ck_assert_int_eq(commit(1, "a", 2), ERR_INVALID);
    struct node_object_cmd c = target(1, "a");
    c.extents = 1;
    c.size = 2 * 3 * 65536;
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_COMMIT, &c, NULL), ERR_INVALID);
    ck_assert_int_eq(commit(1, "a", 1), 0);
}
END_TEST

START_TEST(an_extent_below_the_commit_rule_is_refused)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    ck_assert_int_eq(extent(1, 0, 3), ERR_UNAVAILABLE); /* 3 of 5: less than k + 1 */
    struct node_object_cmd c;
    extent_cmd(&c, 1, 0, 0);
    for (uint32_t i = 0; i < 5; i++) { /* all at one node */
        c.extent.holder[i] = 1;
        c.extent.away |= i == 0 ? 0 : 1u << i;
    }
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &c, NULL), ERR_UNAVAILABLE);
    ck_assert_int_eq(extent(1, 0, 1), 0);
}
END_TEST

START_TEST(an_intent_expires_by_log_time_only_and_not_when_renewed)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0); /* until 1100 */
    ck_assert_int_eq(cancel(1, true), ERR_CONFLICT);
    st->log_time = 1090;
    struct node_object_cmd c = {.version = version(1), .span = 100};
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_RENEW, &c, NULL), 0);
    st->log_time = 1150;
    ck_assert_int_eq(cancel(1, true), ERR_CONFLICT);
    st->log_time = 1190;
    ck_assert_int_eq(cancel(1, true), 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_RENEW, &c, NULL), ERR_CANCELLED);
    ck_assert_uint_eq(state_count(st, NODE_KEY_INTENT), 0);
}
END_TEST

START_TEST(a_cancelled_upload_leaves_no_record_once_freed)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    ck_assert_int_eq(extent(1, 0, 1), 0);
    ck_assert_int_eq(cancel(1, false), 0);
    ck_assert_uint_eq(state_count(st, NODE_KEY_FREE), 1);
    ck_assert_int_eq(free_version(1, 1000, 1), 0);
    ck_assert_uint_eq(st->count, 1); /* the bucket */
    ck_assert_int_eq(free_version(1, 1000, 1), 0);
}
END_TEST

START_TEST(a_small_object_lies_in_the_state)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_inline(1, "a", "hello"), 0);
    struct node_object o = object_get("a");
    ck_assert_uint_eq(o.extents, 0);
    ck_assert(bytes_equal(o.data, bytes_of_text("hello")));
    ck_assert_int_eq(put_inline(2, "empty", ""), 0);
    ck_assert_uint_eq(object_get("empty").size, 0);
}
END_TEST

/* ---- replaced and freed --------------------------------------------------------------------- */

START_TEST(a_replaced_version_stays_until_it_is_due_then_goes)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    ck_assert_int_eq(put_whole(2, "a", 0), 0);
    ck_assert_uint_eq(bucket_get().objects, 1);
    ck_assert_uint_eq(object_get("a").version.counter, 2);
    ck_assert_uint_eq(state_count(st, NODE_KEY_VERSION), 2);
    ck_assert_int_eq(free_version(1, 1100, 1), ERR_CONFLICT); /* not yet */
    st->log_time = 1100;
    ck_assert_int_eq(free_version(1, 1100, 1), 0);
    ck_assert_uint_eq(state_count(st, NODE_KEY_VERSION), 1);
    ck_assert_uint_eq(state_count(st, NODE_KEY_EXTENT), 1);
    ck_assert_uint_eq(state_count(st, NODE_KEY_FREE), 0);
    ck_assert_int_eq(extent_get(2, 0).durable, 31);
}
END_TEST

/* scenario 24: a repair that ends after the delete brings nothing back */
START_TEST(a_repair_after_the_delete_resurrects_nothing)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 1), 0);
    struct node_object_cmd r = target(0, "a");
    ck_assert_int_eq(state_apply(st, NODE_OP_OBJECT_REMOVE, &r, NULL), 0);
    ck_assert_uint_eq(bucket_get().objects, 0);
    st->log_time = 1100;
    ck_assert_int_eq(free_version(1, 1100, 1), 0);
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_REPAIRED, 1, 0, 0), ERR_VERSION_GONE);
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_DAMAGED, 1, 1, 0), ERR_VERSION_GONE);
    ck_assert_uint_eq(st->count, 1);
}
END_TEST

START_TEST(freeing_goes_a_part_at_a_time)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    ck_assert_int_eq(extent(1, 0, 0), 0);
    ck_assert_int_eq(extent(1, 1, 2), 0);
    ck_assert_int_eq(commit(1, "a", 2), 0);
    ck_assert_int_eq(put_inline(2, "a", "x"), 0);
    st->log_time = 2000;
    struct node_object_cmd c = {.version = version(1), .due = 1100, .from = 0, .to = 1};
    struct node_object_cmd one;
    extent_cmd(&one, 1, 0, 0);
    c.refs[c.refs_count++] = one.ref;
    ck_assert_int_eq(state_apply(st, NODE_OP_FREE, &c, NULL), 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_FREE, &c, NULL), ERR_CONFLICT); /* done before */
    ck_assert_uint_eq(state_count(st, NODE_KEY_EXTENT), 1);
    extent_cmd(&one, 1, 1, 0);
    c.refs[0] = one.ref;
    c.from = 1;
    c.to = 2;
    c.flag = true;
    ck_assert_int_eq(state_apply(st, NODE_OP_FREE, &c, NULL), 0);
    ck_assert_uint_eq(state_count(st, NODE_KEY_EXTENT), 0);
    ck_assert_uint_eq(state_count(st, NODE_KEY_MISSING), 0);
    ck_assert_uint_eq(state_count(st, NODE_KEY_VERSION), 1);
}
END_TEST

/* ---- missing shards ------------------------------------------------------------------------- */

START_TEST(missing_shards_have_records_and_are_counted)
{
    struct node_name name;
    struct node_version_rec v;
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 4), 0);
    ck_assert_uint_eq(state_count(st, NODE_KEY_MISSING), 1);
    node_name_version(&name, NODE_KEY_VERSION, version(1));
    ck_assert_int_eq(node_version_decode(state_value(st, &name), &v), 0);
    ck_assert_uint_eq(v.missing, 1);
    const struct node_missing_id id = {.node = 3, .version = version(1), .shard = 2};
    node_name_missing(&name, &id);
    ck_assert(state_has(st, &name));
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_REPAIRED, 1, 2, 0), 0);
    ck_assert_uint_eq(state_count(st, NODE_KEY_MISSING), 0);
    ck_assert_uint_eq(extent_get(1, 0).durable, 31);
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_REPAIRED, 1, 2, 0), 0); /* again */
}
END_TEST

START_TEST(a_shard_elsewhere_is_missing_at_its_home_until_it_comes_home)
{
    struct node_object_cmd c;
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    extent_cmd(&c, 1, 0, 16);
    c.extent.durable = 31;
    c.extent.away = 16;
    c.extent.holder[4] = 2;
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &c, NULL), 0);
    ck_assert_int_eq(commit(1, "a", 1), 0);
    ck_assert_uint_eq(state_count(st, NODE_KEY_MISSING), 1);
    ck_assert_uint_eq(extent_get(1, 0).holder[4], 2);
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_REPAIRED, 1, 4, 0), 0);
    ck_assert_uint_eq(extent_get(1, 0).holder[4], 5);
    ck_assert_uint_eq(extent_get(1, 0).away, 0);
}
END_TEST

START_TEST(a_damage_report_about_an_older_state_is_void)
{
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    uint64_t revision = extent_get(1, 0).revision;
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_DAMAGED, 1, 1, revision), 0);
    ck_assert_uint_eq(extent_get(1, 0).durable, 29);
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_REPAIRED, 1, 1, 0), 0);
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_DAMAGED, 1, 1, revision), ERR_CONFLICT);
    ck_assert_uint_eq(extent_get(1, 0).durable, 31);
}
END_TEST

START_TEST(an_extent_written_again_keeps_its_roots)
{
    struct node_object_cmd c;
    memset(roots, 0x5a, sizeof roots);
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    extent_cmd(&c, 1, 0, 0);
    c.extent.roots = bytes_of(NULL, 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &c, NULL), ERR_INVALID);
    ck_assert_int_eq(extent(1, 0, 0), 0);
    extent_cmd(&c, 1, 0, 2);
    c.extent.revision = extent_revision(1, 0);
    c.extent.roots = bytes_of(NULL, 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &c, NULL), 0);
    ck_assert_uint_eq(extent_get(1, 0).roots.size, 96);
    ck_assert_uint_eq(extent_get(1, 0).roots.data[95], 0x5a);
    ck_assert_uint_eq(state_count(st, NODE_KEY_MISSING), 1);
    ck_assert_int_eq(commit(1, "a", 1), 0);
}
END_TEST

static uint8_t fingers[3 * ERASURE_FINGER_BYTES];

START_TEST(an_extent_keeps_its_fingerprints_whatever_becomes_of_it)
{
    struct node_object_cmd c;
    memset(fingers, 0xa5, sizeof fingers);
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    extent_cmd(&c, 1, 0, 0);
    c.extent.fingers = bytes_of(fingers, sizeof fingers);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &c, NULL), 0);
    extent_cmd(&c, 1, 0, 2);
    c.extent.revision = extent_revision(1, 0);
    c.extent.roots = bytes_of(NULL, 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &c, NULL), 0);
    ck_assert_int_eq(commit(1, "a", 1), 0);
    ck_assert_int_eq(repaired_at(1, 1), 0);
    ck_assert_int_eq(shard_cmd(NODE_OP_SHARD_DAMAGED, 1, 4, extent_revision(1, 0)), 0);
    ck_assert_int_eq(move(1, 4, 9, 0), 0);
    const struct node_extent e = extent_get(1, 0);
    ck_assert_uint_eq(e.home[4], 9);
    ck_assert_uint_eq(e.fingers.size, sizeof fingers);
    ck_assert_mem_eq(e.fingers.data, fingers, sizeof fingers);
}
END_TEST

static int decode_cut(struct buf *record, size_t bytes)
{
    struct node_extent e;
    return node_extent_decode(bytes_of(record->data, bytes), &e);
}

/* Level 1 has no fingerprints, level 2 has one for each root. */
START_TEST(records_of_extents_of_both_levels_are_read_and_no_others)
{
    struct node_object_cmd c;
    struct node_extent e;
    struct buf old;
    struct buf record;
    extent_cmd(&c, 1, 0, 0);
    buf_init(&old, &st->alloc, 4096);
    buf_init(&record, &st->alloc, 4096);
    ck_assert_int_eq(node_extent_encode(&c.extent, &old), 0);
    c.extent.fingers = bytes_of(fingers, sizeof fingers);
    ck_assert_int_eq(node_extent_encode(&c.extent, &record), 0);
    ck_assert_uint_eq(old.data[0], 1);
    ck_assert_uint_eq(record.data[0], 2);
    ck_assert_uint_eq(record.size, old.size + 4 + sizeof fingers);
    ck_assert_mem_eq(record.data + 1, old.data + 1, old.size - 1);
    ck_assert_int_eq(node_extent_decode(buf_view(&old), &e), 0);
    ck_assert_uint_eq(e.fingers.size, 0);
    ck_assert_int_eq(node_extent_decode(buf_view(&record), &e), 0);
    ck_assert_uint_eq(e.fingers.size, sizeof fingers);
    for (size_t cut = 1; cut < record.size; cut++) {
        ck_assert_int_eq(decode_cut(&record, cut), ERR_CORRUPT);
    }
    record.data[0] = 1;
    ck_assert_int_eq(decode_cut(&record, record.size), ERR_CORRUPT);
    record.data[0] = 3;
    ck_assert_int_eq(decode_cut(&record, record.size), ERR_LEVEL);
    record.data[0] = 2;
    num_put_u32(record.data + old.size, 0); /* level 2 without any */
    ck_assert_int_eq(decode_cut(&record, old.size + 4), ERR_CORRUPT);
    num_put_u32(record.data + old.size, ERASURE_FINGER_BYTES); /* fewer than cells */
    ck_assert_int_eq(decode_cut(&record, old.size + 4 + ERASURE_FINGER_BYTES), ERR_CORRUPT);
    buf_release(&record);
    buf_release(&old);
}
END_TEST

START_TEST(answers_without_roots_have_no_fingerprints)
{
    struct node_object_cmd c;
    struct node_extents_answer a;
    struct node_extent e;
    struct bytes name;
    struct bytes value;
    struct buf reply;
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    extent_cmd(&c, 1, 0, 0);
    c.extent.fingers = bytes_of(fingers, sizeof fingers);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &c, NULL), 0);
    for (unsigned with = 0; with < 2; with++) {
        const struct node_object_ask ask = {.version = version(1), .limit = 1, .roots = with != 0};
        buf_init(&reply, &st->alloc, 1u << 20);
        ck_assert_int_eq(state_ask(st, NODE_QUERY_OBJECT_EXTENTS, &ask, &reply), 0);
        ck_assert_int_eq(node_extents_answer_of(buf_view(&reply), &a), 0);
        ck_assert(node_answer_row(&a.rows, &name, &value));
        ck_assert_int_eq(node_extent_decode(value, &e), 0);
        ck_assert_uint_eq(e.fingers.size, with * sizeof fingers);
        ck_assert_uint_eq(e.roots.size, with * sizeof fingers);
        buf_release(&reply);
    }
}
END_TEST

START_TEST(a_late_copy_of_an_earlier_extent_is_refused)
{
    struct node_object_cmd first;
    struct node_object_cmd next;
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    extent_cmd(&first, 1, 0, 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &first, NULL), 0);
    uint64_t revision = extent_revision(1, 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &first, NULL), 0); /* says nothing new */
    ck_assert_uint_eq(extent_revision(1, 0), revision);
    extent_cmd(&next, 1, 0, 0); /* node 5 died: its shard is at node 2 */
    next.extent.revision = revision;
    next.extent.away = 16;
    next.extent.holder[4] = 2;
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &next, NULL), 0);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &first, NULL), ERR_CONFLICT);
    ck_assert_uint_eq(extent_get(1, 0).holder[4], 2);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &next, NULL), 0); /* asked again */
    extent_cmd(&next, 1, 1, 0);
    next.extent.revision = revision;
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_EXTENT, &next, NULL), ERR_CONFLICT);
}
END_TEST

/* ---- questions ------------------------------------------------------------------------------ */

START_TEST(due_tells_what_log_time_has_passed)
{
    struct buf reply;
    struct node_answer_rows rows;
    struct bytes name;
    struct bytes value;
    buf_init(&reply, &st->alloc, 1u << 20);
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    ck_assert_int_eq(put_whole(2, "a", 0), 0);
    ck_assert_int_eq(intent(3, "c"), 0);
    for (unsigned i = 0; i < 2; i++) {
        const struct node_object_ask ask = {.limit = 10, .flag = i == 1};
        st->log_time = 1099;
        ck_assert_int_eq(state_ask(st, NODE_QUERY_DUE, &ask, &reply), 0);
        struct bytes_reader r = bytes_reader_of(buf_view(&reply));
        (void)bytes_take_u64(&r);
        ck_assert_uint_eq(bytes_take_u8(&r), 1);
        node_answer_rows_of(r, &rows);
        ck_assert_uint_eq(rows.left, 0);
        st->log_time = 1100;
        ck_assert_int_eq(state_ask(st, NODE_QUERY_DUE, &ask, &reply), 0);
        r = bytes_reader_of(buf_view(&reply));
        (void)bytes_take_u64(&r);
        (void)bytes_take_u8(&r);
        node_answer_rows_of(r, &rows);
        ck_assert(node_answer_row(&rows, &name, &value));
        ck_assert_uint_eq(value.size, 1);
        ck_assert(!node_answer_row(&rows, &name, &value));
    }
    buf_release(&reply);
}
END_TEST

START_TEST(live_tells_open_committed_and_gone)
{
    struct buf reply;
    struct buf data;
    buf_init(&reply, &st->alloc, 1u << 20);
    buf_init(&data, &st->alloc, 1u << 20);
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(put_whole(1, "a", 0), 0);
    ck_assert_int_eq(intent(2, "a"), 0);
    ck_assert_int_eq(intent(3, "a"), 0);
    ck_assert_int_eq(extent(3, 0, 0), 0);
    ck_assert_int_eq(cancel(3, false), 0);
    (void)buf_put_u32(&data, 4);
    for (uint64_t i = 1; i <= 4; i++) {
        (void)node_put_version(&data, version(i));
    }
    const struct node_object_ask ask = {.data = buf_view(&data)};
    ck_assert_int_eq(state_ask(st, NODE_QUERY_VERSIONS_LIVE, &ask, &reply), 0);
    ck_assert_uint_eq(reply.size, 4);
    const uint8_t expected[4] = {NODE_LIVE_COMMITTED, NODE_LIVE_OPEN, NODE_LIVE_GONE,
                                 NODE_LIVE_GONE};
    ck_assert_mem_eq(reply.data, expected, 4);
    buf_release(&reply);
    buf_release(&data);
}
END_TEST

START_TEST(list_gives_names_in_order_with_prefix_and_behind_a_name)
{
    struct buf reply;
    struct node_answer_rows rows;
    struct bytes name;
    struct bytes value;
    const char *names[] = {"a/1", "a/2", "a/3", "b", "..", "\xff\xff"};
    buf_init(&reply, &st->alloc, 1u << 20);
    ck_assert_int_eq(bucket_create("b"), 0);
    for (unsigned i = 0; i < 6; i++) {
        ck_assert_int_eq(put_inline(i + 1, names[i], "x"), 0);
    }
    const struct node_object_ask ask = {.bucket = bytes_of_text("b"),
                                        .name = bytes_of_text("a/"),
                                        .after = bytes_of_text("a/1"),
                                        .limit = 1};
    ck_assert_int_eq(state_ask(st, NODE_QUERY_OBJECT_LIST, &ask, &reply), 0);
    node_answer_rows_of(bytes_reader_of(buf_view(&reply)), &rows);
    ck_assert(rows.more);
    ck_assert(node_answer_row(&rows, &name, &value));
    ck_assert(bytes_equal(name, bytes_of_text("a/2")));
    ck_assert(!node_answer_row(&rows, &name, &value));
    const struct node_object_ask whole = {.bucket = bytes_of_text("b"),
                                          .name = bytes_of_text("a/1"), /* one has just this name */
                                          .after = bytes_of_text("a/1"),
                                          .limit = 1};
    ck_assert_int_eq(state_ask(st, NODE_QUERY_OBJECT_LIST, &whole, &reply), 0);
    node_answer_rows_of(bytes_reader_of(buf_view(&reply)), &rows);
    ck_assert_uint_eq(rows.left, 0);
    const struct node_object_ask all = {.bucket = bytes_of_text("b")};
    ck_assert_int_eq(state_ask(st, NODE_QUERY_OBJECT_LIST, &all, &reply), 0);
    node_answer_rows_of(bytes_reader_of(buf_view(&reply)), &rows);
    ck_assert_uint_eq(rows.left, 6);
    const struct node_object_ask none = {.bucket = bytes_of_text("c")};
    ck_assert_int_eq(state_ask(st, NODE_QUERY_OBJECT_LIST, &none, &reply), ERR_NOT_FOUND);
    buf_release(&reply);
}
END_TEST

/* scenario 27: the longest names fit, and are names only */
START_TEST(the_longest_names_of_bucket_and_object_fit)
{
    char bucket[1025];
    char object[1025];
    struct node_name name;
    memset(bucket, 'b', 1024);
    memset(object, 'o', 1024);
    bucket[1024] = object[1024] = 0;
    ck_assert(node_name_object(&name, bytes_of_text(bucket), bytes_of_text(object)));
    ck_assert_uint_le(name.size, NODE_NAME_BYTES_MAX);
    ck_assert_int_eq(bucket_create(bucket), 0);
    struct node_object_cmd c = target(1, object);
    c.bucket = bytes_of_text(bucket);
    ck_assert_int_eq(state_apply(st, NODE_OP_PUT_INLINE, &c, NULL), 0);
    char other[1025];
    memcpy(other, bucket, sizeof other);
    other[1023] = 'c';
    struct node_name twin;
    ck_assert(node_name_object(&twin, bytes_of_text(other), bytes_of_text(object)));
    ck_assert(!bytes_equal(node_name_view(&name), node_name_view(&twin)));
}
END_TEST

/* ---- properties ----------------------------------------------------------------------------- */

static bool extent_is(uint64_t counter)
{
    struct node_name n;
    node_name_extent(&n, version(counter), 0);
    return state_has(st, &n);
}

static int random_command(struct rng *r)
{
    uint64_t counter = 1 + rng_below(r, 6);
    const char *name = rng_chance(r, 1, 2) ? "x" : "y";
    switch (rng_below(r, 12)) {
    case 0: return bucket_create("b");
    case 1: return intent(counter, name);
    case 2: return extent(counter, (uint32_t)rng_below(r, 2), 1u << rng_below(r, 6) & 31u);
    case 3: return commit(counter, name, 1 + (uint32_t)rng_below(r, 2));
    case 4: return cancel(counter, rng_chance(r, 1, 2));
    case 5: return put_inline(counter + 10, name, "text");
    case 6: return shard_cmd(NODE_OP_SHARD_REPAIRED, counter, (uint8_t)rng_below(r, 5), 0);
    case 7: {
        struct node_name n;
        struct node_extent e;
        node_name_extent(&n, version(counter), 0);
        uint64_t revision = node_extent_decode(state_value(st, &n), &e) == 0 ? e.revision : 0;
        return shard_cmd(NODE_OP_SHARD_DAMAGED, counter, (uint8_t)rng_below(r, 5), revision);
    }
    case 8: {
        struct node_object_cmd c = target(0, name);
        return state_apply(st, NODE_OP_OBJECT_REMOVE, &c, NULL);
    }
    case 9: return extent_is(counter) ? repaired_at(counter, (uint8_t)rng_below(r, 5)) : 0;
    case 10: {
        uint32_t lost = rng_chance(r, 1, 2) ? 1u << rng_below(r, 5) : 0;
        return extent_is(counter)
                   ? move(counter, (unsigned)rng_below(r, 5), 1 + (uint32_t)rng_below(r, 7), lost)
                   : 0;
    }
    default: st->log_time += rng_below(r, 60); return 0;
    }
}

/* Each missing shard of an extent has its record, at its home. */
static void check_rows(struct bytes name, const struct node_extent *e)
{
    struct node_missing_id id;
    ck_assert(node_name_of_extent(name, &id.version, &id.extent));
    for (id.shard = 0; id.shard < 5; id.shard++) {
        struct node_name row;
        id.node = e->home[id.shard];
        node_name_missing(&row, &id);
        ck_assert_int_eq(state_has(st, &row), node_extent_missing(e) >> id.shard & 1u);
    }
}

/* MISSING records are those of the extents, counted in intent or version. */
static void check_missing(void)
{
    uint64_t bits = 0;
    uint64_t counted = 0;
    for (unsigned i = 0; i < st->count; i++) {
        struct bytes name = node_name_view(&st->rows[i].name);
        struct bytes value = buf_view(&st->rows[i].value);
        struct node_extent e;
        struct node_version_rec v;
        struct node_intent in;
        if (name.data[0] == NODE_KEY_EXTENT) {
            ck_assert_int_eq(node_extent_decode(value, &e), 0);
            bits += (uint64_t)__builtin_popcount(node_extent_missing(&e));
            check_rows(name, &e);
        } else if (name.data[0] == NODE_KEY_VERSION) {
            ck_assert_int_eq(node_version_decode(value, &v), 0);
            counted += v.missing;
        } else if (name.data[0] == NODE_KEY_INTENT) {
            ck_assert_int_eq(node_intent_decode(value, &in), 0);
            counted += in.missing;
        }
    }
    ck_assert_uint_eq(bits, state_count(st, NODE_KEY_MISSING));
    ck_assert_uint_eq(bits, counted);
}

START_TEST(the_same_commands_give_the_same_state_and_missing_always_agrees)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct hash_digest first = {0};
        for (unsigned twice = 0; twice < 2; twice++) {
            struct rng r;
            rng_init(&r, seed);
            state_free(st);
            st = state_new();
            ck_assert_int_eq(bucket_create("b"), 0);
            for (unsigned i = 0; i < 120; i++) {
                (void)random_command(&r);
                check_missing();
            }
            if (twice == 0) {
                first = st->digest;
            }
        }
        ck_assert_uint_eq(first.low, st->digest.low);
        ck_assert_uint_eq(first.high, st->digest.high);
    }
}
END_TEST

START_TEST(bodies_cut_anywhere_or_flipped_are_refused_or_harmless)
{
    struct buf body;
    struct node_object_cmd c;
    ck_assert_int_eq(bucket_create("b"), 0);
    ck_assert_int_eq(intent(1, "a"), 0);
    buf_init(&body, &st->alloc, 1u << 20);
    extent_cmd(&c, 1, 0, 1);
    c.extent.fingers = bytes_of(fingers, sizeof fingers);
    ck_assert_int_eq(node_object_cmd_encode(NODE_OP_PUT_EXTENT, &c, &body), 0);
    for (size_t cut = 0; cut < body.size; cut++) {
        ck_assert_int_eq(state_apply_raw(st, NODE_OP_PUT_EXTENT, bytes_of(body.data, cut)),
                         ERR_INVALID);
    }
    for (uint8_t op = NODE_OP_BUCKET_CREATE; op <= NODE_OP_FREE; op++) {
        for (size_t i = 0; i < body.size; i++) {
            body.data[i] ^= 0xff;
            (void)state_apply_raw(st, op, buf_view(&body));
            body.data[i] ^= 0xff;
        }
    }
    buf_release(&body);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object_ops");
    TCase *tc = tcase_create("ops");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_bucket_is_made_once);
    tcase_add_test(tc, a_bucket_with_objects_is_not_removed);
    tcase_add_test(tc, a_commit_into_a_removed_bucket_is_refused);
    tcase_add_test(tc, a_commit_makes_the_object_and_counts_it_once);
    tcase_add_test(tc, a_commit_without_its_intent_is_refused);
    tcase_add_test(tc, a_cancel_after_the_commit_changes_nothing);
    tcase_add_test(tc, a_commit_that_disagrees_with_its_upload_is_refused);
    tcase_add_test(tc, an_extent_below_the_commit_rule_is_refused);
    tcase_add_test(tc, an_intent_expires_by_log_time_only_and_not_when_renewed);
    tcase_add_test(tc, a_cancelled_upload_leaves_no_record_once_freed);
    tcase_add_test(tc, a_small_object_lies_in_the_state);
    tcase_add_test(tc, a_replaced_version_stays_until_it_is_due_then_goes);
    tcase_add_test(tc, a_repair_after_the_delete_resurrects_nothing);
    tcase_add_test(tc, freeing_goes_a_part_at_a_time);
    tcase_add_test(tc, missing_shards_have_records_and_are_counted);
    tcase_add_test(tc, a_shard_elsewhere_is_missing_at_its_home_until_it_comes_home);
    tcase_add_test(tc, a_damage_report_about_an_older_state_is_void);
    tcase_add_test(tc, an_extent_written_again_keeps_its_roots);
    tcase_add_test(tc, an_extent_keeps_its_fingerprints_whatever_becomes_of_it);
    tcase_add_test(tc, records_of_extents_of_both_levels_are_read_and_no_others);
    tcase_add_test(tc, answers_without_roots_have_no_fingerprints);
    tcase_add_test(tc, a_late_copy_of_an_earlier_extent_is_refused);
    tcase_add_test(tc, due_tells_what_log_time_has_passed);
    tcase_add_test(tc, live_tells_open_committed_and_gone);
    tcase_add_test(tc, list_gives_names_in_order_with_prefix_and_behind_a_name);
    tcase_add_test(tc, the_longest_names_of_bucket_and_object_fit);
    tcase_add_test(tc, the_same_commands_give_the_same_state_and_missing_always_agrees);
    tcase_add_test(tc, bodies_cut_anywhere_or_flipped_are_refused_or_harmless);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
