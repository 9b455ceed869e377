/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Buckets, and what is asked about objects: everything but their bytes.
 */
#include "client/object_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- shared --------------------------------------------------------------------------------- */

int hf_object_check(const struct hf_object *o, bool with_name)
{
    TRY(wire_bucket_check(hf_in(o->bucket)));
    if (with_name) {
        TRY(wire_name_check(hf_in(o->name)));
    }
    return o->prefix.size <= WIRE_NAME_BYTES_MAX && o->after.size <= WIRE_NAME_BYTES_MAX
               ? 0
               : ERR_TOO_LARGE;
}

int hf_object_read_info(struct wire_node n, struct hf_object_info *out)
{
    struct bytes root = hf_field_bytes(n, WIRE_FIELD_ROOT);
    memset(out, 0, sizeof(*out));
    out->name = hf_out(hf_field_bytes(n, WIRE_FIELD_NAME));
    if (wire_node_u64(wire_node_find(n, WIRE_FIELD_SIZE), &out->size) != 0) {
        return ERR_PROTOCOL;
    }
    if (root.size == sizeof(out->root)) {
        memcpy(out->root, root.data, sizeof(out->root));
    }
    out->k = (uint32_t)hf_field(n, WIRE_FIELD_K);
    out->m = (uint32_t)hf_field(n, WIRE_FIELD_M);
    out->cell_bytes = hf_field(n, WIRE_FIELD_CELL_BYTES);
    out->extents = hf_field(n, WIRE_FIELD_EXTENTS);
    out->version = hf_field(n, WIRE_FIELD_VERSION);
    out->created_us = hf_field(n, WIRE_FIELD_CREATED_US);
    out->shards_missing = hf_field(n, WIRE_FIELD_SHARDS_MISSING);
    out->survives = (uint32_t)hf_field(n, WIRE_FIELD_SURVIVES);
    return 0;
}

struct hf_call_spec hf_object_spec(const struct hf_object *o, const char *method,
                                   enum hf_call_class class, uint32_t params)
{
    return (struct hf_call_spec){
        .method = method,
        .class = class,
        .params = params,
        .route = HF_BY_SLOT,
        .where = wire_slot_of(hf_in(o->bucket)),
        .pin = HF_NOWHERE,
        .timeout_ms = o->timeout_ms,
    };
}

struct object_end {
    struct bytes subject;
    hf_read_fn *read;
    void *ctx;
    hf_done_fn *done;
};

static int object_start(struct hf_client *c, struct hf_call *call, const struct object_end *end)
{
    struct hf_op *op = hf_op_new(c, end->subject, end->ctx, end->done);
    if (op == NULL) {
        hf_call_drop(call);
        return ERR_NO_MEMORY;
    }
    return hf_op_start(op, call, end->read);
}

/* ---- buckets -------------------------------------------------------------------------------- */

int hf_bucket_create(struct hf_client *c, const struct hf_object *o, void *ctx, hf_done_fn *done)
{
    const struct hf_call_spec spec = hf_object_spec(o, WIRE_METHOD_BUCKET_CREATE, HF_WRITE, 3);
    const struct object_end end = {hf_in(o->bucket), NULL, ctx, done};
    struct hf_call *call = NULL;
    TRY(hf_object_check(o, false));
    TRY(hf_call_new(c, &spec, &call));
    (void)wire_pack_bin(&call->head, hf_in(o->bucket));
    (void)wire_pack_u64(&call->head, o->k);
    (void)wire_pack_u64(&call->head, o->m);
    return object_start(c, call, &end);
}

static int object_read_buckets(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    uint32_t count = wire_node_count(n);
    struct hf_bucket_info *rows = calloc((size_t)count + 1, sizeof(*rows));
    if (rows == NULL) {
        return ERR_NO_MEMORY;
    }
    op->rows = rows;
    for (uint32_t i = 0; i < count; i++) {
        struct wire_node b = wire_node_at(n, i);
        rows[i].name = hf_out(hf_field_bytes(b, WIRE_FIELD_NAME));
        rows[i].k = (uint32_t)hf_field(b, WIRE_FIELD_K);
        rows[i].m = (uint32_t)hf_field(b, WIRE_FIELD_M);
        rows[i].survives = (uint32_t)hf_field(b, WIRE_FIELD_SURVIVES);
    }
    out->buckets = rows;
    out->count = count;
    return 0;
}

int hf_bucket_list(struct hf_client *c, const struct hf_object *o, void *ctx, hf_done_fn *done)
{
    const struct hf_call_spec spec = {.method = WIRE_METHOD_BUCKET_LIST,
                                      .class = HF_READ,
                                      .pin = HF_NOWHERE,
                                      .timeout_ms = o->timeout_ms};
    const struct object_end end = {bytes_of_text("buckets"), object_read_buckets, ctx, done};
    struct hf_call *call = NULL;
    TRY(hf_call_new(c, &spec, &call));
    return object_start(c, call, &end);
}

int hf_bucket_remove(struct hf_client *c, const struct hf_object *o, void *ctx, hf_done_fn *done)
{
    const struct hf_call_spec spec = hf_object_spec(o, WIRE_METHOD_BUCKET_REMOVE, HF_WRITE, 1);
    const struct object_end end = {hf_in(o->bucket), NULL, ctx, done};
    struct hf_call *call = NULL;
    TRY(hf_object_check(o, false));
    TRY(hf_call_new(c, &spec, &call));
    (void)wire_pack_bin(&call->head, hf_in(o->bucket));
    return object_start(c, call, &end);
}

/* ---- objects -------------------------------------------------------------------------------- */

static int object_read_stat(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    if (wire_node_is_nil(n)) {
        return 0;
    }
    TRY(hf_object_read_info(n, &op->object));
    out->found = true;
    out->objects = &op->object;
    out->count = 1;
    return 0;
}

int hf_object_stat(struct hf_client *c, const struct hf_object *o, void *ctx, hf_done_fn *done)
{
    const struct hf_call_spec spec = hf_object_spec(o, WIRE_METHOD_OBJECT_STAT, HF_READ, 2);
    const struct object_end end = {hf_in(o->name), object_read_stat, ctx, done};
    struct hf_call *call = NULL;
    TRY(hf_object_check(o, true));
    TRY(hf_call_new(c, &spec, &call));
    (void)wire_pack_bin(&call->head, hf_in(o->bucket));
    (void)wire_pack_bin(&call->head, hf_in(o->name));
    return object_start(c, call, &end);
}

int hf_object_remove(struct hf_client *c, const struct hf_object *o, void *ctx, hf_done_fn *done)
{
    const struct hf_call_spec spec = hf_object_spec(o, WIRE_METHOD_OBJECT_REMOVE, HF_WRITE, 2);
    const struct object_end end = {hf_in(o->name), NULL, ctx, done};
    struct hf_call *call = NULL;
    TRY(hf_object_check(o, true));
    TRY(hf_call_new(c, &spec, &call));
    (void)wire_pack_bin(&call->head, hf_in(o->bucket));
    (void)wire_pack_bin(&call->head, hf_in(o->name));
    return object_start(c, call, &end);
}

static int object_read_list(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    struct wire_node list = wire_node_find(n, WIRE_FIELD_ITEMS);
    uint32_t count = wire_node_count(list);
    struct hf_object_info *rows = calloc((size_t)count + 1, sizeof(*rows));
    if (rows == NULL) {
        return ERR_NO_MEMORY;
    }
    op->rows = rows;
    for (uint32_t i = 0; i < count; i++) {
        TRY(hf_object_read_info(wire_node_at(list, i), &rows[i]));
    }
    out->objects = rows;
    out->count = count;
    (void)wire_node_bool(wire_node_find(n, WIRE_FIELD_MORE), &out->more);
    return 0;
}

int hf_object_list(struct hf_client *c, const struct hf_object *o, void *ctx, hf_done_fn *done)
{
    const struct hf_call_spec spec = hf_object_spec(o, WIRE_METHOD_OBJECT_LIST, HF_READ, 4);
    const struct object_end end = {hf_in(o->bucket), object_read_list, ctx, done};
    struct hf_call *call = NULL;
    TRY(hf_object_check(o, false));
    TRY(hf_call_new(c, &spec, &call));
    (void)wire_pack_bin(&call->head, hf_in(o->bucket));
    (void)wire_pack_bin(&call->head, hf_in(o->prefix));
    if (o->after.size == 0) {
        (void)wire_pack_nil(&call->head);
    } else {
        (void)wire_pack_bin(&call->head, hf_in(o->after));
    }
    (void)wire_pack_u64(&call->head, o->limit);
    return object_start(c, call, &end);
}

/* ---- verify --------------------------------------------------------------------------------- */

struct object_verify {
    struct hf_transfer transfer;
    struct buf bucket;
    struct buf name;
    uint64_t timeout_ms;
    struct hf_check check;
    uint64_t cursor;
    struct hf_call *call;
    void *progress_ctx;
    void (*progress)(void *ctx, uint64_t bytes, uint64_t total);
    void *ctx;
    hf_done_fn *done;
};

static void verify_end(struct object_verify *v, int code, const char *text)
{
    char subject[96];
    char sentence[HF_TEXT_BYTES];
    struct hf_result result = {.code = code, .text = "", .check = v->check};
    hf_op_subject(subject, sizeof(subject), buf_view(&v->name));
    if (code != 0) {
        (void)snprintf(sentence, sizeof(sentence), "'%s': %.150s", subject, text);
        result.text = sentence;
    }
    hf_transfer_remove(&v->transfer);
    v->done(v->ctx, &result);
    buf_release(&v->bucket);
    buf_release(&v->name);
    free(v);
}

static void verify_cancel(struct hf_transfer *t, int code, const char *text)
{
    struct object_verify *v = (struct object_verify *)t;
    if (v->call != NULL) {
        hf_call_drop(v->call);
    }
    verify_end(v, code, text);
}

static int verify_step(struct object_verify *v);

static void verify_stepped(void *ctx, const struct hf_reply *reply)
{
    struct object_verify *v = ctx;
    v->call = NULL;
    if (reply->code != 0) {
        verify_end(v, reply->code, reply->text);
        return;
    }
    v->check.checked += hf_field(reply->result, WIRE_FIELD_CHECKED);
    v->check.missing += hf_field(reply->result, WIRE_FIELD_MISSING);
    v->check.damaged += hf_field(reply->result, WIRE_FIELD_DAMAGED);
    uint64_t next = hf_field(reply->result, WIRE_FIELD_NEXT);
    if (v->progress != NULL) {
        v->progress(v->progress_ctx, v->check.checked, 0);
    }
    if (next == 0) {
        verify_end(v, 0, "");
        return;
    }
    if (next <= v->cursor) {
        verify_end(v, ERR_PROTOCOL, "the check does not come to an end");
        return;
    }
    v->cursor = next;
    int err = verify_step(v);
    if (err != 0) {
        verify_end(v, err, err_text(err));
    }
}

static int verify_step(struct object_verify *v)
{
    const struct hf_object o = {.bucket = hf_out(buf_view(&v->bucket)),
                                .timeout_ms = v->timeout_ms};
    const struct hf_call_spec spec = hf_object_spec(&o, WIRE_METHOD_OBJECT_VERIFY, HF_READ, 3);
    TRY(hf_call_new(v->transfer.client, &spec, &v->call));
    (void)wire_pack_bin(&v->call->head, buf_view(&v->bucket));
    (void)wire_pack_bin(&v->call->head, buf_view(&v->name));
    (void)wire_pack_u64(&v->call->head, v->cursor);
    int err = hf_call_start(v->call, v, verify_stepped);
    if (err != 0) {
        v->call = NULL;
    }
    return err;
}

int hf_object_verify(struct hf_client *c, const struct hf_object *o, void *ctx, hf_done_fn *done)
{
    TRY(hf_object_check(o, true));
    struct object_verify *v = calloc(1, sizeof(*v));
    if (v == NULL) {
        return ERR_NO_MEMORY;
    }
    buf_init(&v->bucket, &c->heap, WIRE_NAME_BYTES_MAX);
    buf_init(&v->name, &c->heap, WIRE_NAME_BYTES_MAX);
    (void)buf_append(&v->bucket, o->bucket.data, o->bucket.size);
    (void)buf_append(&v->name, o->name.data, o->name.size);
    v->timeout_ms = o->timeout_ms;
    v->progress = o->progress;
    v->progress_ctx = o->progress_ctx;
    v->ctx = ctx;
    v->done = done;
    v->transfer.end = verify_cancel;
    hf_transfer_add(c, &v->transfer);
    int err = v->bucket.err != 0 ? v->bucket.err : v->name.err;
    if (err == 0) {
        err = verify_step(v);
    }
    if (err != 0) {
        hf_transfer_remove(&v->transfer);
        buf_release(&v->bucket);
        buf_release(&v->name);
        free(v);
    }
    return err;
}
