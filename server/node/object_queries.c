/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Questions about buckets and objects: which records they want, and what they make of them. Every
 * answer is bounded by rows and bytes and says whether there is more.
 */
#include "server/node/object_internal.h"

#define NODE_ANSWER_BYTES_MAX (512u << 10)
#define NODE_ANSWER_ROWS_MAX 1000u

static uint32_t node_answer_limit(uint32_t limit)
{
    return limit == 0 ? NODE_ANSWER_ROWS_MAX : NUM_MIN(limit, NODE_ANSWER_ROWS_MAX);
}

/* The range was worked out by who asks; its names lie in the body. */
static void node_want_range(const struct node_object_ask *a, bool after, struct node_range *range)
{
    range->from = a->range_from;
    range->to = a->range_to;
    range->after = after;
    range->rows_max = node_answer_limit(a->limit);
    range->bytes_max = NODE_ANSWER_BYTES_MAX;
}

/* ---- answers -------------------------------------------------------------------------------- */

static int node_answer_begin(struct buf *reply, bool more, size_t *at)
{
    (void)buf_put_u8(reply, more);
    *at = reply->size;
    return buf_put_u32(reply, 0);
}

static void node_answer_add(struct buf *reply, size_t at, struct bytes name, struct bytes value)
{
    (void)node_put_name(reply, name);
    (void)buf_put_bytes(reply, value);
    if (reply->err == 0) {
        num_put_u32(reply->data + at, num_get_u32(reply->data + at) + 1);
    }
}

static int node_answer_all(const struct node_rows *rows, struct buf *reply)
{
    size_t at;
    TRY(node_answer_begin(reply, node_rows_more(rows), &at));
    for (unsigned i = 0; i < node_rows_count(rows); i++) {
        struct bytes name;
        struct bytes value;
        node_rows_at(rows, i, &name, &value);
        node_answer_add(reply, at, name, value);
    }
    return reply->err;
}

/* ---- buckets -------------------------------------------------------------------------------- */

static int node_bucket_get_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    (void)range;
    struct node_object_ask a;
    struct node_name name;
    TRY(node_object_ask_decode(NODE_QUERY_BUCKET_GET, body, &a));
    node_name_bucket(&name, a.bucket);
    return node_keys_add(keys, node_name_view(&name));
}

static int node_bucket_get_answer(const struct node_query_ctx *q, struct bytes body,
                                  const struct node_rows *rows, struct buf *reply)
{
    struct node_object_ask a;
    struct node_name name;
    struct bytes value;
    TRY(node_object_ask_decode(NODE_QUERY_BUCKET_GET, body, &a));
    node_name_bucket(&name, a.bucket);
    TRY(node_rows_get(rows, node_name_view(&name), &value));
    (void)buf_put_u64(reply, q->log_time_us);
    return buf_append(reply, value.data, value.size);
}

static int node_bucket_list_want(struct bytes body, struct node_keys *keys,
                                 struct node_range *range)
{
    (void)keys;
    struct node_object_ask a;
    TRY(node_object_ask_decode(NODE_QUERY_BUCKET_LIST, body, &a));
    node_want_range(&a, a.name.size > 0, range);
    return 0;
}

static int node_all_answer(const struct node_query_ctx *q, struct bytes body,
                           const struct node_rows *rows, struct buf *reply)
{
    (void)q;
    (void)body;
    return node_answer_all(rows, reply);
}

/* ---- objects -------------------------------------------------------------------------------- */

static int node_stat_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    (void)range;
    struct node_object_ask a;
    struct node_name name;
    TRY(node_object_ask_decode(NODE_QUERY_OBJECT_STAT, body, &a));
    node_name_bucket(&name, a.bucket);
    TRY(node_keys_add(keys, node_name_view(&name)));
    if (!node_name_object(&name, a.bucket, a.name)) {
        return ERR_INVALID;
    }
    return node_keys_add(keys, node_name_view(&name));
}

static int node_stat_answer(const struct node_query_ctx *q, struct bytes body,
                            const struct node_rows *rows, struct buf *reply)
{
    (void)q;
    struct node_object_ask a;
    struct node_name name;
    struct bytes value;
    TRY(node_object_ask_decode(NODE_QUERY_OBJECT_STAT, body, &a));
    node_name_bucket(&name, a.bucket);
    (void)buf_put_u8(reply, node_rows_get(rows, node_name_view(&name), &value) == 0);
    if (node_name_object(&name, a.bucket, a.name) &&
        node_rows_get(rows, node_name_view(&name), &value) == 0) {
        (void)buf_append(reply, value.data, value.size);
    }
    return reply->err;
}

static int node_list_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    struct node_object_ask a;
    struct node_name name;
    TRY(node_object_ask_decode(NODE_QUERY_OBJECT_LIST, body, &a));
    node_want_range(&a, a.after.size > 0 && bytes_compare(a.after, a.name) >= 0, range);
    node_name_bucket(&name, a.bucket);
    return node_keys_add(keys, node_name_view(&name));
}

/* Names of a whole bucket's objects have a prefix that node_name_object knows; what follows it is
 * the object's name. Inline bytes are left out. */
static int node_list_answer(const struct node_query_ctx *q, struct bytes body,
                            const struct node_rows *rows, struct buf *reply)
{
    (void)q;
    struct node_object_ask a;
    struct node_name name;
    struct bytes value;
    size_t at;
    TRY(node_object_ask_decode(NODE_QUERY_OBJECT_LIST, body, &a));
    node_name_bucket(&name, a.bucket);
    TRY(node_rows_get(rows, node_name_view(&name), &value));
    if (!node_name_object(&name, a.bucket, bytes_of(NULL, 0))) {
        return ERR_INVALID;
    }
    TRY(node_answer_begin(reply, node_rows_more(rows), &at));
    for (unsigned i = 0; i < node_rows_count(rows); i++) {
        struct bytes row;
        struct node_object o;
        struct buf brief;
        node_rows_at(rows, i, &row, &value);
        if (!bytes_has_prefix(row, node_name_view(&name)) || node_object_decode(value, &o) != 0) {
            return ERR_CORRUPT;
        }
        o.data = bytes_of(NULL, 0);
        buf_init(&brief, &reply->alloc, NODE_OBJECT_BODY_BYTES_MAX);
        (void)node_object_encode(&o, &brief);
        reply->err = brief.err != 0 ? brief.err : reply->err;
        node_answer_add(reply, at, bytes_of(row.data + name.size, row.size - name.size),
                        buf_view(&brief));
        buf_release(&brief);
    }
    return reply->err;
}

static int node_extents_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    struct node_object_ask a;
    struct node_name name;
    TRY(node_object_ask_decode(NODE_QUERY_OBJECT_EXTENTS, body, &a));
    node_want_range(&a, a.all && a.range_from.size > 1, range);
    if (a.all) {
        return 0;
    }
    node_name_version(&name, NODE_KEY_VERSION, a.version);
    TRY(node_keys_add(keys, node_name_view(&name)));
    node_name_version(&name, NODE_KEY_INTENT, a.version);
    return node_keys_add(keys, node_name_view(&name));
}

static void node_answer_record(const struct node_rows *rows, enum node_key_kind kind,
                               const struct node_object_ask *a, struct buf *reply)
{
    struct node_name name;
    struct bytes value;
    node_name_version(&name, kind, a->version);
    bool has = !a->all && node_rows_get(rows, node_name_view(&name), &value) == 0;
    (void)buf_put_u8(reply, has);
    if (has) {
        (void)buf_put_bytes(reply, value);
    }
}

static int node_answer_extent(struct buf *reply, size_t at, struct bytes row, struct bytes value)
{
    struct node_extent e;
    struct buf brief;
    TRY(node_extent_decode(value, &e));
    e.roots = bytes_of(NULL, 0);
    e.fingers = bytes_of(NULL, 0);
    buf_init(&brief, &reply->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    (void)node_extent_encode(&e, &brief);
    reply->err = brief.err != 0 ? brief.err : reply->err;
    node_answer_add(reply, at, row, buf_view(&brief));
    buf_release(&brief);
    return reply->err;
}

static int node_extents_answer(const struct node_query_ctx *q, struct bytes body,
                               const struct node_rows *rows, struct buf *reply)
{
    struct node_object_ask a;
    size_t at;
    TRY(node_object_ask_decode(NODE_QUERY_OBJECT_EXTENTS, body, &a));
    (void)buf_put_u64(reply, q->log_time_us);
    node_answer_record(rows, NODE_KEY_VERSION, &a, reply);
    node_answer_record(rows, NODE_KEY_INTENT, &a, reply);
    TRY(node_answer_begin(reply, node_rows_more(rows), &at));
    for (unsigned i = 0; i < node_rows_count(rows); i++) {
        struct bytes row;
        struct bytes value;
        node_rows_at(rows, i, &row, &value);
        if (a.roots) {
            node_answer_add(reply, at, row, value);
        } else {
            TRY(node_answer_extent(reply, at, row, value));
        }
    }
    return reply->err;
}

/* ---- audit and repair ----------------------------------------------------------------------- */

static int node_live_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    (void)range;
    struct node_object_ask a;
    struct node_name name;
    TRY(node_object_ask_decode(NODE_QUERY_VERSIONS_LIVE, body, &a));
    struct bytes_reader r = bytes_reader_of(a.data);
    uint32_t count = bytes_take_u32(&r);
    if (count > NODE_OBJECT_LIVE_MAX) {
        return ERR_INVALID;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct node_version v = node_take_version(&r);
        node_name_version(&name, NODE_KEY_VERSION, v);
        TRY(node_keys_add(keys, node_name_view(&name)));
        node_name_version(&name, NODE_KEY_INTENT, v);
        TRY(node_keys_add(keys, node_name_view(&name)));
    }
    return bytes_reader_ended(&r) ? 0 : ERR_INVALID;
}

static enum node_live node_live_of(const struct node_rows *rows, struct node_version v)
{
    struct node_name name;
    struct bytes value;
    struct node_version_rec rec;
    node_name_version(&name, NODE_KEY_INTENT, v);
    if (node_rows_get(rows, node_name_view(&name), &value) == 0) {
        return NODE_LIVE_OPEN;
    }
    node_name_version(&name, NODE_KEY_VERSION, v);
    if (node_rows_get(rows, node_name_view(&name), &value) != 0) {
        return NODE_LIVE_GONE;
    }
    /* what cannot be read is kept */
    bool dead = node_version_decode(value, &rec) == 0 && rec.state == NODE_VERSION_DEAD;
    return dead ? NODE_LIVE_GONE : NODE_LIVE_COMMITTED;
}

static int node_live_answer(const struct node_query_ctx *q, struct bytes body,
                            const struct node_rows *rows, struct buf *reply)
{
    (void)q;
    struct node_object_ask a;
    TRY(node_object_ask_decode(NODE_QUERY_VERSIONS_LIVE, body, &a));
    struct bytes_reader r = bytes_reader_of(a.data);
    uint32_t count = bytes_take_u32(&r);
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        (void)buf_put_u8(reply, (uint8_t)node_live_of(rows, node_take_version(&r)));
    }
    return r.failed ? ERR_INVALID : reply->err;
}

static int node_missing_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    (void)keys;
    struct node_object_ask a;
    TRY(node_object_ask_decode(NODE_QUERY_MISSING, body, &a));
    node_want_range(&a, a.flag, range);
    return 0;
}

static int node_due_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    (void)keys;
    struct node_object_ask a;
    TRY(node_object_ask_decode(NODE_QUERY_DUE, body, &a));
    node_want_range(&a, a.flag, range);
    return 0;
}

static bool node_due(struct bytes name, struct bytes value, uint64_t log_time_us)
{
    uint64_t due = UINT64_MAX;
    struct node_version v;
    struct node_intent i;
    if (node_name_of_free(name, &due, &v)) {
        return due <= log_time_us;
    }
    return node_intent_decode(value, &i) == 0 && i.expires <= log_time_us;
}

/* Of intents, the last name looked at comes as a row of its own if there is more, so that the
 * next question goes on behind it. */
static int node_due_answer(const struct node_query_ctx *q, struct bytes body,
                           const struct node_rows *rows, struct buf *reply)
{
    struct node_object_ask a;
    size_t at;
    unsigned count = node_rows_count(rows);
    TRY(node_object_ask_decode(NODE_QUERY_DUE, body, &a));
    (void)buf_put_u64(reply, q->log_time_us);
    (void)buf_put_u8(reply, count > 0);
    TRY(node_answer_begin(reply, node_rows_more(rows), &at));
    for (unsigned i = 0; i < count; i++) {
        struct bytes name;
        struct bytes value;
        const uint8_t is_due[1] = {1};
        node_rows_at(rows, i, &name, &value);
        bool due = node_due(name, value, q->log_time_us);
        if (due || (a.flag && i + 1 == count && node_rows_more(rows))) {
            node_answer_add(reply, at, name, bytes_of(is_due, due ? 1 : 0));
        }
    }
    return reply->err;
}

const struct node_query_op node_object_queries[] = {
    {NODE_QUERY_BUCKET_GET, "bucket_get", node_bucket_get_want, node_bucket_get_answer},
    {NODE_QUERY_BUCKET_LIST, "bucket_list", node_bucket_list_want, node_all_answer},
    {NODE_QUERY_OBJECT_STAT, "object_stat", node_stat_want, node_stat_answer},
    {NODE_QUERY_OBJECT_LIST, "object_list", node_list_want, node_list_answer},
    {NODE_QUERY_OBJECT_EXTENTS, "object_extents", node_extents_want, node_extents_answer},
    {NODE_QUERY_VERSIONS_LIVE, "versions_live", node_live_want, node_live_answer},
    {NODE_QUERY_MISSING, "missing", node_missing_want, node_all_answer},
    {NODE_QUERY_DUE, "due", node_due_want, node_due_answer},
    {0, NULL, NULL, NULL},
};
