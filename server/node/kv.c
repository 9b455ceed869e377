/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys and values: the replicated operations and the questions about them. A value's record is
 *   create u64, modify u64 revision, version u64, lease u64 (0), bytes
 * where a revision is the index of the entry that changed it. Nothing here knows clients.
 *
 * Bodies begin with space and key, each u16 length and bytes:
 *   PUT     value                      reply: revision u64
 *   DELETE  -                          reply: revision u64, deleted u8
 *   CAS     old u8 [u32, bytes], new u8 [u32, bytes]   reply: revision u64
 *   INCR    by i64                     reply: revision u64, value i64
 */
#include "server/node/node_internal.h"

#include <stdio.h>

#define NODE_KV_HEAD_BYTES 32u

int node_kv_name(struct bytes space, struct bytes key, uint8_t *into, struct bytes *name)
{
    /* an empty key names the beginning of a range */
    if (space.size == 0 || space.size + key.size + 3 > NODE_NAME_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    into[0] = NODE_KEY_KV;
    into[1] = (uint8_t)(space.size >> 8);
    into[2] = (uint8_t)space.size;
    memcpy(into + 3, space.data, space.size);
    if (key.size > 0) {
        memcpy(into + 3 + space.size, key.data, key.size);
    }
    *name = bytes_of(into, 3 + space.size + key.size);
    return 0;
}

int node_kv_decode(struct bytes raw, struct node_kv_value *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    out->create_revision = bytes_take_u64(&r);
    out->mod_revision = bytes_take_u64(&r);
    out->version = bytes_take_u64(&r);
    out->lease = bytes_take_u64(&r);
    out->data = bytes_of(r.at, r.left);
    return r.failed ? ERR_CORRUPT : 0;
}

/* What a body names, with what follows in *rest. */
struct node_kv_target {
    struct bytes name;
    struct bytes_reader rest;
    uint8_t raw[NODE_NAME_BYTES_MAX];
};

static int node_kv_target_of(struct bytes body, struct node_kv_target *t)
{
    t->rest = bytes_reader_of(body);
    struct bytes space = bytes_take(&t->rest, bytes_take_u16(&t->rest));
    struct bytes key = bytes_take(&t->rest, bytes_take_u16(&t->rest));
    if (t->rest.failed || key.size == 0 || key.size > WIRE_NAME_BYTES_MAX ||
        node_kv_name(space, key, t->raw, &t->name) != 0) {
        return ERR_INVALID;
    }
    return 0;
}

static int node_kv_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct node_kv_target t;
    TRY(node_kv_target_of(cmd->body, &t));
    return node_keys_add(out, t.name);
}

/* returns: whether there is a value; *old is empty with version 0 otherwise. */
static bool node_kv_old(struct node_sm *sm, struct bytes name, struct node_kv_value *old)
{
    struct bytes raw;
    *old = (struct node_kv_value){0};
    return node_sm_get(sm, name, &raw) == 0 && node_kv_decode(raw, old) == 0;
}

static int node_kv_store(struct node_sm *sm, struct bytes name, const struct node_kv_value *old,
                         struct bytes data)
{
    struct buf *out = &sm->n->scratch;
    uint64_t revision = node_sm_revision(sm);
    buf_clear(out);
    (void)buf_put_u64(out, old->version == 0 ? revision : old->create_revision);
    (void)buf_put_u64(out, revision);
    (void)buf_put_u64(out, old->version + 1);
    (void)buf_put_u64(out, 0);
    if (buf_append(out, data.data, data.size) != 0) {
        return ERR_NO_MEMORY;
    }
    return node_sm_put(sm, name, buf_view(out));
}

static int node_kv_put_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_kv_target t;
    struct node_kv_value old;
    TRY(node_kv_target_of(cmd->body, &t));
    if (t.rest.left > WIRE_VALUE_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    (void)node_kv_old(sm, t.name, &old);
    TRY(node_kv_store(sm, t.name, &old, bytes_of(t.rest.at, t.rest.left)));
    return buf_put_u64(reply, node_sm_revision(sm));
}

static int node_kv_delete_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_kv_target t;
    struct node_kv_value old;
    TRY(node_kv_target_of(cmd->body, &t));
    if (t.rest.left != 0) {
        return ERR_INVALID;
    }
    bool was = node_kv_old(sm, t.name, &old);
    TRY(node_sm_del(sm, t.name));
    (void)buf_put_u64(reply, node_sm_revision(sm));
    return buf_put_u8(reply, was);
}

static bool node_kv_optional(struct bytes_reader *r, struct bytes *out)
{
    bool present = bytes_take_u8(r) != 0;
    *out = present ? bytes_take_bytes(r, WIRE_VALUE_BYTES_MAX) : bytes_of(NULL, 0);
    return present;
}

static int node_kv_cas_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_kv_target t;
    struct node_kv_value old;
    struct bytes expected;
    struct bytes wanted;
    TRY(node_kv_target_of(cmd->body, &t));
    bool expects = node_kv_optional(&t.rest, &expected);
    bool writes = node_kv_optional(&t.rest, &wanted);
    if (!bytes_reader_ended(&t.rest)) {
        return ERR_INVALID;
    }
    bool was = node_kv_old(sm, t.name, &old);
    if (was != expects || (was && !bytes_equal(old.data, expected))) {
        return ERR_CONFLICT;
    }
    if (writes) {
        TRY(node_kv_store(sm, t.name, &old, wanted));
    } else {
        TRY(node_sm_del(sm, t.name));
    }
    return buf_put_u64(reply, node_sm_revision(sm));
}

/* Decimal text as Redis takes it: an optional minus sign, no leading zero, no plus, no space. */
static bool node_kv_number(struct bytes text, int64_t *out)
{
    bool minus = text.size > 0 && text.data[0] == '-';
    size_t at = minus;
    int64_t v = 0;
    if (text.size <= at || text.size > 20 || (text.data[at] == '0' && text.size > 1)) {
        return false;
    }
    for (; at < text.size; at++) {
        int64_t digit = text.data[at] - '0';
        if (digit < 0 || digit > 9 || v < INT64_MIN / 10 || (v == INT64_MIN / 10 && digit > 8)) {
            return false;
        }
        v = v * 10 - digit; /* below zero there is room for every value */
    }
    if (!minus && v == INT64_MIN) {
        return false;
    }
    *out = minus ? v : -v;
    return true;
}

static int node_kv_incr_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_kv_target t;
    struct node_kv_value old;
    TRY(node_kv_target_of(cmd->body, &t));
    int64_t by = (int64_t)bytes_take_u64(&t.rest);
    int64_t v = 0;
    char text[24];
    if (!bytes_reader_ended(&t.rest)) {
        return ERR_INVALID;
    }
    if (node_kv_old(sm, t.name, &old) && !node_kv_number(old.data, &v)) {
        return ERR_WRONG_TYPE;
    }
    if (!num_add_i64(v, by, &v)) {
        return ERR_OVERFLOW;
    }
    int size = snprintf(text, sizeof text, "%lld", (long long)v);
    TRY(node_kv_store(sm, t.name, &old, bytes_of(text, (size_t)size)));
    (void)buf_put_u64(reply, node_sm_revision(sm));
    return buf_put_u64(reply, (uint64_t)v);
}

const struct node_op node_kv_ops[] = {
    {NODE_OP_KV_PUT, "kv_put", node_kv_keys, node_kv_put_apply},
    {NODE_OP_KV_DELETE, "kv_delete", node_kv_keys, node_kv_delete_apply},
    {NODE_OP_KV_CAS, "kv_cas", node_kv_keys, node_kv_cas_apply},
    {NODE_OP_KV_INCR, "kv_incr", node_kv_keys, node_kv_incr_apply},
    {0, NULL, NULL, NULL},
};

/* ---- questions ------------------------------------------------------------------------------ */

/* GET body: a name. Reply: empty, or the record. */
static int node_get_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    (void)range;
    if (body.size < 4 || body.data[0] != NODE_KEY_KV) {
        return ERR_INVALID;
    }
    return node_keys_add(keys, body);
}

static int node_get_answer(const struct node_query_ctx *q, struct bytes body,
                           const struct node_rows *rows, struct buf *reply)
{
    struct bytes value;
    (void)q;
    if (node_rows_get(rows, body, &value) != 0) {
        return 0;
    }
    return buf_append(reply, value.data, value.size);
}

/* GET_AT: the same. Reply: revision u64 it is at, then nothing or the record. */
static int node_get_at_answer(const struct node_query_ctx *q, struct bytes body,
                              const struct node_rows *rows, struct buf *reply)
{
    (void)buf_put_u64(reply, q->revision);
    return node_get_answer(q, body, rows, reply);
}

/* SCAN body: from, to as names (u16 length each), after u8, rows u32, bytes u32.
 * Reply: revision u64, more u8, rows u32, each: name u16, value u32. */
static int node_scan_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    struct bytes_reader r = bytes_reader_of(body);
    (void)keys;
    range->from = bytes_take(&r, bytes_take_u16(&r));
    range->to = bytes_take(&r, bytes_take_u16(&r));
    range->after = bytes_take_u8(&r) != 0;
    range->rows_max = bytes_take_u32(&r);
    range->bytes_max = bytes_take_u32(&r);
    if (!bytes_reader_ended(&r) || range->from.size < 4 || range->from.data[0] != NODE_KEY_KV ||
        range->to.size < 1 || range->rows_max == 0 || range->rows_max > WIRE_SCAN_ITEMS_MAX) {
        return ERR_INVALID;
    }
    return 0;
}

static int node_scan_answer(const struct node_query_ctx *q, struct bytes body,
                            const struct node_rows *rows, struct buf *reply)
{
    (void)body;
    (void)buf_put_u64(reply, q->revision);
    (void)buf_put_u8(reply, node_rows_more(rows));
    (void)buf_put_u32(reply, node_rows_count(rows));
    for (unsigned i = 0; i < node_rows_count(rows); i++) {
        struct bytes name;
        struct bytes value;
        node_rows_at(rows, i, &name, &value);
        (void)buf_put_u16(reply, (uint16_t)name.size);
        (void)buf_append(reply, name.data, name.size);
        (void)buf_put_bytes(reply, value);
    }
    return reply->err;
}

const struct node_query_op node_kv_queries[] = {
    {NODE_QUERY_KV_GET, "kv_get", node_get_want, node_get_answer},
    {NODE_QUERY_KV_SCAN, "kv_scan", node_scan_want, node_scan_answer},
    {NODE_QUERY_KV_GET_AT, "kv_get_at", node_get_want, node_get_at_answer},
    {0, NULL, NULL, NULL},
};
