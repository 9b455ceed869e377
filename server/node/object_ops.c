/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The replicated commands on buckets and objects. The same records and commands give the same
 * records everywhere: nothing here reads a clock, options of this node, or memory outside the
 * state. Every apply decides first and changes last, so a refused command changes nothing.
 */
#include "server/node/object_ops_internal.h"

/* ---- helpers -------------------------------------------------------------------------------- */

int node_op_keep(struct node_sm *sm, const struct node_name *name, struct buf *record)
{
    int err =
        record->err != 0 ? ERR_NO_MEMORY : node_sm_put(sm, node_name_view(name), buf_view(record));
    buf_release(record);
    return err;
}

int node_op_keys_of_ref(const struct node_extent_ref *ref, struct node_keys *out)
{
    struct node_name name;
    node_name_extent(&name, ref->version, ref->extent);
    TRY(node_keys_add(out, node_name_view(&name)));
    for (unsigned s = 0; s < ref->shards; s++) {
        const struct node_missing_id id = {.node = ref->home[s],
                                           .version = ref->version,
                                           .extent = ref->extent,
                                           .shard = (uint8_t)s};
        node_name_missing(&name, &id);
        TRY(node_keys_add(out, node_name_view(&name)));
    }
    return 0;
}

int node_op_keys_of_version(struct node_version v, struct node_keys *out)
{
    struct node_name name;
    node_name_version(&name, NODE_KEY_INTENT, v);
    TRY(node_keys_add(out, node_name_view(&name)));
    node_name_version(&name, NODE_KEY_VERSION, v);
    return node_keys_add(out, node_name_view(&name));
}

static int node_op_keys_of_bucket(struct bytes bucket, struct node_keys *out)
{
    struct node_name name;
    node_name_bucket(&name, bucket);
    return node_keys_add(out, node_name_view(&name));
}

static int node_op_keys_of_object(const struct node_object_cmd *c, struct node_keys *out)
{
    struct node_name name;
    if (!node_name_object(&name, c->bucket, c->name)) {
        return ERR_INVALID;
    }
    TRY(node_op_keys_of_bucket(c->bucket, out));
    return node_keys_add(out, node_name_view(&name));
}

int node_op_bucket_get(struct node_sm *sm, struct bytes bucket, struct node_bucket *out)
{
    struct node_name name;
    struct bytes raw;
    node_name_bucket(&name, bucket);
    TRY(node_sm_get(sm, node_name_view(&name), &raw));
    return node_bucket_decode(raw, out);
}

static int node_op_bucket_keep(struct node_sm *sm, struct bytes bucket, const struct node_bucket *b,
                               const struct alloc *alloc)
{
    struct node_name name;
    struct buf record;
    node_name_bucket(&name, bucket);
    buf_init(&record, alloc, NODE_OBJECT_BODY_BYTES_MAX);
    (void)node_bucket_encode(b, &record);
    return node_op_keep(sm, &name, &record);
}

int node_op_free_add(struct node_sm *sm, uint64_t due, struct node_version v)
{
    struct node_name name;
    const uint8_t value[1] = {NODE_OBJECT_FORMAT};
    node_name_free(&name, due, v);
    return node_sm_add(sm, node_name_view(&name), bytes_of(value, sizeof value));
}

static uint64_t node_op_after(const struct node_sm *sm, uint64_t span)
{
    uint64_t at = UINT64_MAX;
    (void)num_add_u64(node_sm_log_time(sm), span, &at);
    return at;
}

/* ---- buckets -------------------------------------------------------------------------------- */

static int node_bucket_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct node_object_cmd c;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    return node_op_keys_of_bucket(c.bucket, out);
}

static int node_bucket_create_apply(struct node_sm *sm, const struct node_cmd *cmd,
                                    struct buf *reply)
{
    struct node_object_cmd c;
    struct node_bucket b;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(wire_bucket_check(c.bucket));
    TRY(erasure_scheme_check(c.shape.scheme));
    if (node_op_bucket_get(sm, c.bucket, &b) == 0) {
        return ERR_EXISTS;
    }
    b = (struct node_bucket){.scheme = c.shape.scheme, .objects = 0};
    return node_op_bucket_keep(sm, c.bucket, &b, &reply->alloc);
}

/* Uploads under way find their bucket gone when they commit. */
static int node_bucket_remove_apply(struct node_sm *sm, const struct node_cmd *cmd,
                                    struct buf *reply)
{
    (void)reply;
    struct node_object_cmd c;
    struct node_bucket b;
    struct node_name name;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(node_op_bucket_get(sm, c.bucket, &b));
    if (b.objects > 0) {
        return ERR_NOT_EMPTY;
    }
    node_name_bucket(&name, c.bucket);
    return node_sm_del(sm, node_name_view(&name));
}

/* ---- upload: intent ------------------------------------------------------------------------- */

int node_op_intent_get(struct node_sm *sm, struct node_version v, struct node_intent *out)
{
    struct node_name name;
    struct bytes raw;
    node_name_version(&name, NODE_KEY_INTENT, v);
    TRY(node_sm_get(sm, node_name_view(&name), &raw));
    return node_intent_decode(raw, out);
}

int node_op_version_get(struct node_sm *sm, struct node_version v, struct node_version_rec *out)
{
    struct node_name name;
    struct bytes raw;
    node_name_version(&name, NODE_KEY_VERSION, v);
    TRY(node_sm_get(sm, node_name_view(&name), &raw));
    return node_version_decode(raw, out);
}

int node_op_intent_keep(struct node_sm *sm, struct node_version v, const struct node_intent *i,
                        const struct alloc *alloc)
{
    struct node_name name;
    struct buf record;
    node_name_version(&name, NODE_KEY_INTENT, v);
    buf_init(&record, alloc, NODE_OBJECT_BODY_BYTES_MAX);
    (void)node_intent_encode(i, &record);
    return node_op_keep(sm, &name, &record);
}

int node_op_version_keep(struct node_sm *sm, struct node_version v,
                         const struct node_version_rec *rec, const struct alloc *alloc)
{
    struct node_name name;
    struct buf record;
    node_name_version(&name, NODE_KEY_VERSION, v);
    buf_init(&record, alloc, NODE_OBJECT_BODY_BYTES_MAX);
    (void)node_version_encode(rec, &record);
    return node_op_keep(sm, &name, &record);
}

static int node_intent_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct node_object_cmd c;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    if (cmd->op == NODE_OP_PUT_INTENT) {
        TRY(node_op_keys_of_bucket(c.bucket, out));
    }
    return node_op_keys_of_version(c.version, out);
}

static int node_intent_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_bucket b;
    struct node_intent i;
    struct node_version_rec v;
    struct erasure_layout layout;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(wire_name_check(c.name));
    if (node_shape_layout(&c.shape, 0, &layout) != 0) {
        return ERR_INVALID;
    }
    TRY(node_op_bucket_get(sm, c.bucket, &b));
    if (node_op_version_get(sm, c.version, &v) == 0) {
        return ERR_CANCELLED;
    }
    if (node_op_intent_get(sm, c.version, &i) == 0) {
        return 0; /* the same command again */
    }
    i = (struct node_intent){
        .expires = node_op_after(sm, c.span), .shape = c.shape, .bucket = c.bucket, .name = c.name};
    return node_op_intent_keep(sm, c.version, &i, &reply->alloc);
}

static int node_renew_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_intent i;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    if (node_op_intent_get(sm, c.version, &i) != 0) {
        return ERR_CANCELLED;
    }
    i.expires = NUM_MAX(i.expires, node_op_after(sm, c.span));
    return node_op_intent_keep(sm, c.version, &i, &reply->alloc);
}

/* The end of an upload that will not be: its extents are freed like those of a replaced version. */
static int node_cancel_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_intent i;
    struct node_version_rec v;
    struct node_name name;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    if (node_op_intent_get(sm, c.version, &i) != 0) {
        bool live = node_op_version_get(sm, c.version, &v) == 0 && v.state == NODE_VERSION_LIVE;
        return live ? ERR_DONE : 0;
    }
    if (c.flag && i.expires > node_sm_log_time(sm)) {
        return ERR_CONFLICT; /* renewed meanwhile */
    }
    if (i.extents > 0) {
        v = (struct node_version_rec){.state = NODE_VERSION_DEAD,
                                      .shape = i.shape,
                                      .extents = i.extents,
                                      .missing = i.missing,
                                      .bucket = i.bucket,
                                      .name = i.name};
        TRY(node_op_version_keep(sm, c.version, &v, &reply->alloc));
        TRY(node_op_free_add(sm, node_sm_log_time(sm), c.version));
    }
    node_name_version(&name, NODE_KEY_INTENT, c.version);
    return node_sm_del(sm, node_name_view(&name));
}

/* ---- commit --------------------------------------------------------------------------------- */

static int node_commit_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct node_object_cmd c;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(node_op_keys_of_object(&c, out));
    return cmd->op == NODE_OP_OBJECT_REMOVE ? 0 : node_op_keys_of_version(c.version, out);
}

/* Makes a new version current: the one before is to be freed. */
static int node_commit_switch(struct node_sm *sm, const struct node_object_cmd *c,
                              const struct node_object *o, const struct alloc *alloc)
{
    struct node_name name;
    struct node_bucket b;
    struct bytes raw;
    struct node_object old;
    struct buf record;
    TRY(node_op_bucket_get(sm, c->bucket, &b));
    ASSERT(node_name_object(&name, c->bucket, c->name)); /* decoded names fit */
    bool replaces = node_sm_get(sm, node_name_view(&name), &raw) == 0;
    if (replaces) {
        TRY(node_object_decode(raw, &old));
        TRY(node_op_free_add(sm, node_op_after(sm, c->span), old.version));
    } else {
        b.objects++;
        TRY(node_op_bucket_keep(sm, c->bucket, &b, alloc));
    }
    buf_init(&record, alloc, NODE_OBJECT_BODY_BYTES_MAX);
    (void)node_object_encode(o, &record);
    return node_op_keep(sm, &name, &record);
}

/* returns: 0 to go on, 1 if it is done already, or why not. */
static int node_commit_check(struct node_sm *sm, const struct node_object_cmd *c)
{
    struct node_version_rec v;
    struct node_bucket b;
    int err = node_op_version_get(sm, c->version, &v);
    if (err == 0) {
        return v.state == NODE_VERSION_LIVE ? 1 : ERR_CANCELLED;
    }
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    TRY(wire_name_check(c->name));
    return node_op_bucket_get(sm, c->bucket, &b);
}

/* returns: 0 if the intent is there and agrees with the commit. */
static int node_commit_intent(struct node_sm *sm, const struct node_object_cmd *c,
                              struct node_intent *i)
{
    struct erasure_layout layout;
    int err = node_op_intent_get(sm, c->version, i);
    if (err != 0) {
        return err == ERR_NOT_FOUND ? ERR_CANCELLED : err;
    }
    bool agrees = bytes_equal(i->bucket, c->bucket) && bytes_equal(i->name, c->name) &&
                  i->extents == c->extents;
    if (!agrees || node_shape_layout(&i->shape, c->size, &layout) != 0 ||
        layout.extents_count != c->extents || c->extents == 0) {
        return ERR_INVALID;
    }
    return 0;
}

static int node_commit_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_intent i;
    struct node_name name;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    int err = node_commit_check(sm, &c);
    if (err != 0) {
        return err < 0 ? err : buf_put_u64(reply, node_sm_revision(sm));
    }
    TRY(node_commit_intent(sm, &c, &i));
    const struct node_version_rec v = {.state = NODE_VERSION_LIVE,
                                       .size = c.size,
                                       .shape = i.shape,
                                       .extents = i.extents,
                                       .missing = i.missing,
                                       .bucket = c.bucket,
                                       .name = c.name};
    struct node_object o = {.version = c.version,
                            .size = c.size,
                            .shape = i.shape,
                            .extents = i.extents,
                            .created_us = c.created_us};
    memcpy(o.root, c.root, sizeof o.root);
    TRY(node_commit_switch(sm, &c, &o, &reply->alloc));
    TRY(node_op_version_keep(sm, c.version, &v, &reply->alloc));
    node_name_version(&name, NODE_KEY_INTENT, c.version);
    TRY(node_sm_del(sm, node_name_view(&name)));
    return buf_put_u64(reply, node_sm_revision(sm));
}

static int node_inline_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_name name;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    int err = node_commit_check(sm, &c);
    if (err != 0) {
        return err < 0 ? err : buf_put_u64(reply, node_sm_revision(sm));
    }
    const struct node_version_rec v = {.state = NODE_VERSION_LIVE,
                                       .size = c.size,
                                       .shape = c.shape,
                                       .bucket = c.bucket,
                                       .name = c.name};
    struct node_object o = {.version = c.version,
                            .size = c.size,
                            .shape = c.shape,
                            .created_us = c.created_us,
                            .data = c.data};
    memcpy(o.root, c.root, sizeof o.root);
    TRY(node_commit_switch(sm, &c, &o, &reply->alloc));
    TRY(node_op_version_keep(sm, c.version, &v, &reply->alloc));
    /* an upload of unknown length that stayed small had an intent, which no extent followed */
    node_name_version(&name, NODE_KEY_INTENT, c.version);
    TRY(node_sm_del(sm, node_name_view(&name)));
    return buf_put_u64(reply, node_sm_revision(sm));
}

static int node_remove_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_name name;
    struct node_bucket b;
    struct bytes raw;
    struct node_object old;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(node_op_bucket_get(sm, c.bucket, &b));
    ASSERT(node_name_object(&name, c.bucket, c.name)); /* decoded names fit */
    TRY(node_sm_get(sm, node_name_view(&name), &raw));
    TRY(node_object_decode(raw, &old));
    if (b.objects == 0) {
        return ERR_CORRUPT;
    }
    b.objects--;
    TRY(node_op_bucket_keep(sm, c.bucket, &b, &reply->alloc));
    TRY(node_op_free_add(sm, node_op_after(sm, c.span), old.version));
    TRY(node_sm_del(sm, node_name_view(&name)));
    return buf_put_u64(reply, node_sm_revision(sm));
}

const struct node_op node_object_ops[] = {
    {NODE_OP_BUCKET_CREATE, "bucket_create", node_bucket_keys, node_bucket_create_apply},
    {NODE_OP_BUCKET_REMOVE, "bucket_remove", node_bucket_keys, node_bucket_remove_apply},
    {NODE_OP_PUT_INTENT, "put_intent", node_intent_keys, node_intent_apply},
    {NODE_OP_PUT_RENEW, "put_renew", node_intent_keys, node_renew_apply},
    {NODE_OP_PUT_CANCEL, "put_cancel", node_intent_keys, node_cancel_apply},
    {NODE_OP_PUT_COMMIT, "put_commit", node_commit_keys, node_commit_apply},
    {NODE_OP_PUT_INLINE, "put_inline", node_commit_keys, node_inline_apply},
    {NODE_OP_OBJECT_REMOVE, "object_remove", node_commit_keys, node_remove_apply},
    {NODE_OP_PUT_EXTENT, "put_extent", node_extent_keys, node_extent_apply},
    {NODE_OP_SHARD_REPAIRED, "shard_repaired", node_extent_keys, node_repaired_apply},
    {NODE_OP_SHARD_DAMAGED, "shard_damaged", node_extent_keys, node_damaged_apply},
    {NODE_OP_FREE, "free", node_free_keys, node_free_apply},
    {NODE_OP_SHARDS_MOVE, "shards_move", node_move_keys, node_move_apply},
    {0, NULL, NULL, NULL},
};
