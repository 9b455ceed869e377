/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bodies of the commands and questions about objects. Both travel between nodes and commands lie
 * in logs, so decoders take anything and every body begins with its format.
 */
#include "server/node/object_internal.h"

/* ---- commands ------------------------------------------------------------------------------- */

static void node_put_ref(struct buf *b, const struct node_extent_ref *ref)
{
    (void)node_put_version(b, ref->version);
    (void)buf_put_u32(b, ref->extent);
    (void)buf_put_u8(b, ref->shards);
    for (unsigned s = 0; s < ref->shards; s++) {
        (void)buf_put_u32(b, ref->home[s]);
    }
}

static void node_take_ref(struct bytes_reader *r, struct node_extent_ref *ref)
{
    ref->version = node_take_version(r);
    ref->extent = bytes_take_u32(r);
    ref->shards = bytes_take_u8(r);
    if (ref->shards == 0 || ref->shards > NODE_OBJECT_SHARDS_MAX) {
        ref->shards = 0;
        r->failed = true;
    }
    for (unsigned s = 0; s < ref->shards; s++) {
        ref->home[s] = bytes_take_u32(r);
    }
}

static void node_put_target(struct buf *b, const struct node_object_cmd *c)
{
    (void)node_put_version(b, c->version);
    (void)node_put_name(b, c->bucket);
    (void)node_put_name(b, c->name);
}

static void node_take_target(struct bytes_reader *r, struct node_object_cmd *c)
{
    c->version = node_take_version(r);
    c->bucket = node_take_name(r);
    c->name = node_take_name(r);
}

static void node_put_commit(struct buf *b, const struct node_object_cmd *c)
{
    node_put_target(b, c);
    (void)buf_put_u64(b, c->size);
    (void)buf_append(b, c->root, sizeof c->root);
    (void)buf_put_u64(b, c->created_us);
    (void)buf_put_u64(b, c->span);
}

static void node_take_commit(struct bytes_reader *r, struct node_object_cmd *c)
{
    node_take_target(r, c);
    c->size = bytes_take_u64(r);
    struct bytes root = bytes_take(r, sizeof c->root);
    if (root.size == sizeof c->root) {
        memcpy(c->root, root.data, sizeof c->root);
    }
    c->created_us = bytes_take_u64(r);
    c->span = bytes_take_u64(r);
}

static void node_put_free(struct buf *b, const struct node_object_cmd *c)
{
    ASSERT(c->refs_count <= NODE_OBJECT_FREE_EXTENTS_MAX);
    (void)node_put_version(b, c->version);
    (void)buf_put_u64(b, c->due);
    (void)buf_put_u32(b, c->from);
    (void)buf_put_u32(b, c->to);
    (void)buf_put_u8(b, c->flag);
    (void)buf_put_u8(b, (uint8_t)c->refs_count);
    for (unsigned i = 0; i < c->refs_count; i++) {
        node_put_ref(b, &c->refs[i]);
    }
}

static void node_take_free(struct bytes_reader *r, struct node_object_cmd *c)
{
    c->version = node_take_version(r);
    c->due = bytes_take_u64(r);
    c->from = bytes_take_u32(r);
    c->to = bytes_take_u32(r);
    c->flag = bytes_take_u8(r) != 0;
    c->refs_count = bytes_take_u8(r);
    if (c->refs_count > NODE_OBJECT_FREE_EXTENTS_MAX || c->to < c->from) {
        r->failed = true;
        c->refs_count = 0;
    }
    for (unsigned i = 0; i < c->refs_count && !r->failed; i++) {
        node_take_ref(r, &c->refs[i]);
        r->failed |= !node_version_equal(c->refs[i].version, c->version);
        r->failed |= c->refs[i].extent < c->from || c->refs[i].extent >= c->to;
    }
}

static void node_put_extent(struct buf *b, const struct node_object_cmd *c)
{
    struct buf record;
    buf_init(&record, &b->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    node_put_ref(b, &c->ref);
    if (node_extent_encode(&c->extent, &record) != 0) {
        b->err = record.err;
    }
    (void)buf_put_bytes(b, buf_view(&record));
    buf_release(&record);
}

static void node_take_extent(struct bytes_reader *r, struct node_object_cmd *c)
{
    node_take_ref(r, &c->ref);
    struct bytes record = bytes_take_bytes(r, NODE_OBJECT_BODY_BYTES_MAX);
    const struct node_extent *e = &c->extent;
    if (r->failed || node_extent_decode(record, &c->extent) != 0 ||
        c->ref.shards != e->scheme.k + e->scheme.m) {
        r->failed = true;
        return;
    }
    for (unsigned s = 0; s < c->ref.shards; s++) {
        r->failed |= e->home[s] != c->ref.home[s];
    }
}

static void node_put_shard(struct buf *b, const struct node_object_cmd *c)
{
    node_put_ref(b, &c->ref);
    (void)buf_put_u8(b, c->shard);
    (void)buf_put_u64(b, c->revision);
}

static void node_take_shard(struct bytes_reader *r, struct node_object_cmd *c)
{
    node_take_ref(r, &c->ref);
    c->shard = bytes_take_u8(r);
    c->revision = bytes_take_u64(r);
    r->failed |= c->shard >= c->ref.shards;
}

static void node_put_move(struct buf *b, const struct node_object_cmd *c)
{
    node_put_ref(b, &c->ref);
    (void)buf_put_u64(b, c->revision);
    (void)buf_put_u32(b, c->lost);
    for (unsigned s = 0; s < c->ref.shards; s++) {
        (void)buf_put_u32(b, c->move_to[s]);
    }
}

static void node_take_move(struct bytes_reader *r, struct node_object_cmd *c)
{
    node_take_ref(r, &c->ref);
    c->revision = bytes_take_u64(r);
    c->lost = bytes_take_u32(r);
    for (unsigned s = 0; s < c->ref.shards; s++) {
        c->move_to[s] = bytes_take_u32(r);
        r->failed |= c->move_to[s] == 0;
    }
    r->failed |= c->ref.shards < 32 && c->lost >> c->ref.shards != 0;
}

int node_object_cmd_encode(uint8_t op, const struct node_object_cmd *c, struct buf *out)
{
    (void)buf_put_u8(out, NODE_OBJECT_FORMAT);
    switch (op) {
    case NODE_OP_BUCKET_CREATE:
        (void)node_put_name(out, c->bucket);
        return node_put_shape(out, &c->shape);
    case NODE_OP_BUCKET_REMOVE: return node_put_name(out, c->bucket);
    case NODE_OP_PUT_INTENT:
        node_put_target(out, c);
        (void)node_put_shape(out, &c->shape);
        return buf_put_u64(out, c->span);
    case NODE_OP_PUT_RENEW:
        (void)node_put_version(out, c->version);
        return buf_put_u64(out, c->span);
    case NODE_OP_PUT_EXTENT: node_put_extent(out, c); return out->err;
    case NODE_OP_PUT_COMMIT: node_put_commit(out, c); return buf_put_u32(out, c->extents);
    case NODE_OP_PUT_CANCEL:
        (void)node_put_version(out, c->version);
        return buf_put_u8(out, c->flag);
    case NODE_OP_PUT_INLINE:
        node_put_commit(out, c);
        (void)node_put_shape(out, &c->shape);
        return buf_put_bytes(out, c->data);
    case NODE_OP_OBJECT_REMOVE:
        (void)node_put_name(out, c->bucket);
        (void)node_put_name(out, c->name);
        return buf_put_u64(out, c->span);
    case NODE_OP_SHARD_REPAIRED:
    case NODE_OP_SHARD_DAMAGED: node_put_shard(out, c); return out->err;
    case NODE_OP_FREE: node_put_free(out, c); return out->err;
    case NODE_OP_SHARDS_MOVE: node_put_move(out, c); return out->err;
    default: ASSERT(op == NODE_OP_FREE); return ERR_INVALID;
    }
}

static void node_object_cmd_take(uint8_t op, struct bytes_reader *r, struct node_object_cmd *c)
{
    switch (op) {
    case NODE_OP_BUCKET_CREATE:
        c->bucket = node_take_name(r);
        c->shape = node_take_shape(r);
        break;
    case NODE_OP_BUCKET_REMOVE: c->bucket = node_take_name(r); break;
    case NODE_OP_PUT_INTENT:
        node_take_target(r, c);
        c->shape = node_take_shape(r);
        c->span = bytes_take_u64(r);
        break;
    case NODE_OP_PUT_RENEW:
        c->version = node_take_version(r);
        c->span = bytes_take_u64(r);
        break;
    case NODE_OP_PUT_EXTENT: node_take_extent(r, c); break;
    case NODE_OP_PUT_COMMIT:
        node_take_commit(r, c);
        c->extents = bytes_take_u32(r);
        break;
    case NODE_OP_PUT_CANCEL:
        c->version = node_take_version(r);
        c->flag = bytes_take_u8(r) != 0;
        break;
    case NODE_OP_PUT_INLINE:
        node_take_commit(r, c);
        c->shape = node_take_shape(r);
        c->data = bytes_take_bytes(r, NODE_OBJECT_INLINE_MAX);
        r->failed |= c->data.size != c->size;
        break;
    case NODE_OP_OBJECT_REMOVE:
        c->bucket = node_take_name(r);
        c->name = node_take_name(r);
        c->span = bytes_take_u64(r);
        break;
    case NODE_OP_SHARD_REPAIRED:
    case NODE_OP_SHARD_DAMAGED: node_take_shard(r, c); break;
    case NODE_OP_FREE: node_take_free(r, c); break;
    case NODE_OP_SHARDS_MOVE: node_take_move(r, c); break;
    default: r->failed = true; break;
    }
}

int node_object_cmd_decode(uint8_t op, struct bytes body, struct node_object_cmd *out)
{
    struct bytes_reader r = bytes_reader_of(body);
    *out = (struct node_object_cmd){0};
    if (bytes_take_u8(&r) != NODE_OBJECT_FORMAT) {
        return ERR_INVALID;
    }
    node_object_cmd_take(op, &r, out);
    bool names = out->bucket.size <= WIRE_NAME_BYTES_MAX && out->name.size <= WIRE_NAME_BYTES_MAX;
    return bytes_reader_ended(&r) && names ? 0 : ERR_INVALID;
}

/* ---- questions ------------------------------------------------------------------------------ */

/* The end of the range of all names that begin like n. */
static void node_name_prefix_end(struct node_name *n)
{
    while (n->size > 1 && n->data[n->size - 1] == UINT8_MAX) {
        n->size--;
    }
    n->data[n->size - 1]++; /* a kind is never 255 */
}

static void node_ask_range_objects(const struct node_object_ask *a, struct node_name *from,
                                   struct node_name *to)
{
    bool after = a->after.size > 0 && bytes_compare(a->after, a->name) >= 0;
    (void)node_name_object(to, a->bucket, a->name);
    node_name_prefix_end(to);
    (void)node_name_object(from, a->bucket, after ? a->after : a->name);
}

static void node_ask_range_extents(const struct node_object_ask *a, struct node_name *from,
                                   struct node_name *to)
{
    node_name_extent(from, a->version, a->from);
    if (a->all) {
        from->size = a->from == UINT32_MAX && a->version.grant == 0 ? 1 : from->size;
        to->data[0] = NODE_KEY_EXTENT + 1;
        to->size = 1;
    } else {
        node_name_version(to, NODE_KEY_EXTENT, a->version);
        node_name_prefix_end(to);
    }
}

/* Leaves both empty if the question has no range. */
static void node_ask_range(uint8_t op, const struct node_object_ask *a, struct node_name *from,
                           struct node_name *to)
{
    from->size = 0;
    to->size = 0;
    switch (op) {
    case NODE_QUERY_BUCKET_LIST:
        node_name_bucket(from, a->name);
        to->data[to->size++] = NODE_KEY_BUCKET + 1;
        break;
    case NODE_QUERY_OBJECT_LIST: node_ask_range_objects(a, from, to); break;
    case NODE_QUERY_OBJECT_EXTENTS: node_ask_range_extents(a, from, to); break;
    case NODE_QUERY_MISSING:
        node_name_missing(from, &a->missing);
        to->data[0] = NODE_KEY_MISSING;
        to->size = 5;
        num_put_u32_be(to->data + 1, a->missing.node);
        node_name_prefix_end(to);
        break;
    case NODE_QUERY_DUE:
        if (a->flag) {
            node_name_version(from, NODE_KEY_INTENT, a->version);
        } else {
            node_name_free(from, 0, (struct node_version){0});
        }
        to->data[0] = (uint8_t)(from->data[0] + 1);
        to->size = 1;
        break;
    default: break;
    }
}

/* All questions share one encoding: they are short and never stored. */
int node_object_ask_encode(uint8_t op, const struct node_object_ask *a, struct buf *out)
{
    struct node_name from;
    struct node_name to;
    node_ask_range(op, a, &from, &to);
    (void)buf_put_u8(out, NODE_OBJECT_FORMAT);
    (void)node_put_name(out, a->bucket);
    (void)node_put_name(out, a->name);
    (void)node_put_name(out, a->after);
    (void)node_put_version(out, a->version);
    (void)buf_put_u32(out, a->from);
    (void)buf_put_u32(out, a->limit);
    (void)buf_put_u8(out, (uint8_t)(a->all | a->roots << 1 | a->flag << 2));
    (void)buf_put_bytes(out, a->data);
    (void)node_put_name(out, node_name_view(&from));
    return node_put_name(out, node_name_view(&to));
}

/* A range must lie in the records that the question is about. */
static bool node_ask_range_sound(uint8_t op, const struct node_object_ask *a)
{
    uint8_t kind = 0;
    switch (op) {
    case NODE_QUERY_BUCKET_LIST: kind = NODE_KEY_BUCKET; break;
    case NODE_QUERY_OBJECT_LIST: kind = NODE_KEY_OBJECT; break;
    case NODE_QUERY_OBJECT_EXTENTS: kind = NODE_KEY_EXTENT; break;
    case NODE_QUERY_MISSING: kind = NODE_KEY_MISSING; break;
    case NODE_QUERY_DUE: kind = a->flag ? NODE_KEY_INTENT : NODE_KEY_FREE; break;
    default: return a->range_from.size == 0 && a->range_to.size == 0;
    }
    const uint8_t end = (uint8_t)(kind + 1);
    return a->range_from.size > 0 && a->range_from.data[0] == kind && a->range_to.size > 0 &&
           a->range_from.size <= NODE_NAME_BYTES_MAX && a->range_to.size <= NODE_NAME_BYTES_MAX &&
           bytes_compare(a->range_to, bytes_of(&end, 1)) <= 0;
}

int node_object_ask_decode(uint8_t op, struct bytes body, struct node_object_ask *out)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct node_object_ask a = {0};
    uint8_t format = bytes_take_u8(&r);
    a.bucket = node_take_name(&r);
    a.name = node_take_name(&r);
    a.after = node_take_name(&r);
    a.version = node_take_version(&r);
    a.from = bytes_take_u32(&r);
    a.limit = bytes_take_u32(&r);
    uint8_t flags = bytes_take_u8(&r);
    a.all = (flags & 1u) != 0;
    a.roots = (flags & 2u) != 0;
    a.flag = (flags & 4u) != 0;
    a.data = bytes_take_bytes(&r, NODE_OBJECT_BODY_BYTES_MAX);
    a.range_from = node_take_name(&r);
    a.range_to = node_take_name(&r);
    if (format != NODE_OBJECT_FORMAT || !bytes_reader_ended(&r) ||
        a.bucket.size > WIRE_NAME_BYTES_MAX || a.name.size > WIRE_NAME_BYTES_MAX ||
        a.after.size > WIRE_NAME_BYTES_MAX || !node_ask_range_sound(op, &a)) {
        return ERR_INVALID;
    }
    *out = a;
    return 0;
}

void node_answer_rows_of(struct bytes_reader r, struct node_answer_rows *rows)
{
    rows->more = bytes_take_u8(&r) != 0;
    rows->left = bytes_take_u32(&r);
    rows->r = r;
}

bool node_answer_row(struct node_answer_rows *rows, struct bytes *name, struct bytes *value)
{
    if (rows->left == 0) {
        return false;
    }
    rows->left--;
    *name = node_take_name(&rows->r);
    *value = bytes_take_bytes(&rows->r, NODE_OBJECT_BODY_BYTES_MAX);
    return !rows->r.failed;
}

int node_extents_answer_of(struct bytes reply, struct node_extents_answer *out)
{
    struct bytes_reader r = bytes_reader_of(reply);
    *out = (struct node_extents_answer){0};
    out->log_time_us = bytes_take_u64(&r);
    out->has_version = bytes_take_u8(&r) != 0;
    if (out->has_version) {
        struct bytes raw = bytes_take_bytes(&r, NODE_OBJECT_BODY_BYTES_MAX);
        TRY(node_version_decode(raw, &out->version));
    }
    out->has_intent = bytes_take_u8(&r) != 0;
    if (out->has_intent) {
        struct bytes raw = bytes_take_bytes(&r, NODE_OBJECT_BODY_BYTES_MAX);
        TRY(node_intent_decode(raw, &out->intent));
    }
    node_answer_rows_of(r, &out->rows);
    return r.failed ? ERR_CORRUPT : 0;
}
