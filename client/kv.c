/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Operations of one call each: key and value, and what all of them share.
 */
#include "client/client_internal.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- operations of one call ----------------------------------------------------------------- */

void hf_op_subject(char *into, size_t bytes, struct bytes what)
{
    (void)log_escape(into, bytes, what);
}

struct hf_op *hf_op_new(struct hf_client *c, struct bytes subject, void *ctx, hf_done_fn *done)
{
    struct hf_op *op = calloc(1, sizeof(*op));
    if (op != NULL) {
        op->client = c;
        op->ctx = ctx;
        op->done = done;
        hf_op_subject(op->subject, sizeof(op->subject), subject);
    }
    return op;
}

static void op_release(struct hf_op *op)
{
    free(op->rows);
    hf_block_put(op->block);
    free(op);
}

static void op_done(void *ctx, const struct hf_reply *reply)
{
    struct hf_op *op = ctx;
    struct hf_result result = {.code = reply->code, .text = ""};
    char text[HF_TEXT_BYTES];
    result.consistency = "";
    if (reply->code == 0) {
        op->message = reply->message;
        op->place = reply->place;
        result.consistency = hf_consistency_of(reply->result);
        result.code = op->read != NULL ? op->read(op, reply->result, &result) : 0;
        result.memory = op->block;
    }
    bool done = result.code == 0 || err_outcome_of(result.code) == ERR_OUTCOME_DONE;
    if (done && op->given != NULL && result.consistency[0] == '\0') {
        result.consistency = op->given;
    }
    if (reply->code == 0 && op->causal != NULL) {
        int err = hf_causal_take(op->causal, reply->result);
        result.code = result.code != 0 ? result.code : err;
    }
    if (result.code != 0) {
        const char *why =
            reply->code != 0 && reply->text[0] != '\0' ? reply->text : err_text(result.code);
        (void)snprintf(text, sizeof(text), "'%s': %.150s", op->subject, why);
        result.text = text;
    }
    op->done(op->ctx, &result);
    op_release(op);
}

int hf_op_start(struct hf_op *op, struct hf_call *call, hf_read_fn *read)
{
    op->read = read;
    int err = hf_call_start(call, op, op_done);
    if (err != 0) {
        op_release(op);
    }
    return err;
}

uint64_t hf_field(struct wire_node n, const char *name)
{
    uint64_t value = 0;
    (void)wire_node_u64(wire_node_find(n, name), &value);
    return value;
}

struct bytes hf_field_bytes(struct wire_node n, const char *name)
{
    struct bytes value = {.data = NULL, .size = 0};
    (void)wire_node_bytes(wire_node_find(n, name), HF_MESSAGE_BYTES_MAX, &value);
    return value;
}

/* ---- key and value -------------------------------------------------------------------------- */

static struct bytes kv_space(const struct hf_kv *kv)
{
    return kv->space.size > 0 ? hf_in(kv->space) : bytes_of_text(WIRE_SPACE_DEFAULT);
}

/* What makes the call of a kv operation. */
struct kv_start {
    const char *method;
    enum hf_call_class class;
    uint32_t params; /* with space */
    bool keyed;
};

static int kv_check(const struct hf_kv *kv, const struct kv_start *start)
{
    TRY(wire_name_check(kv_space(kv)));
    if (start->keyed) {
        TRY(wire_name_check(hf_in(kv->key)));
    }
    if (kv->value.size > WIRE_VALUE_BYTES_MAX || kv->expected.size > WIRE_VALUE_BYTES_MAX ||
        kv->prefix.size > WIRE_NAME_BYTES_MAX || kv->after.size > WIRE_NAME_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    return 0;
}

/* Packs the space, and the key of keyed ones. */
static int kv_begin(struct hf_client *c, const struct hf_kv *kv, const struct kv_start *start,
                    struct hf_call **out)
{
    struct bytes space = kv_space(kv);
    struct hf_call_spec spec = {
        .method = start->method,
        .class = start->class,
        .params = start->params,
        .route = HF_BY_SLOT,
        .where = wire_slot_of(space),
        .pin = HF_NOWHERE,
        .stale = kv->stale && start->class == HF_READ,
        .timeout_ms = kv->timeout_ms,
        .causal = kv->causal,
    };
    TRY(kv_check(kv, start));
    TRY(hf_call_new(c, &spec, out));
    (void)wire_pack_bin(&(*out)->head, space);
    if (start->keyed) {
        (void)wire_pack_bin(&(*out)->head, hf_in(kv->key));
    }
    return 0;
}

struct kv_end {
    struct bytes subject;
    hf_read_fn *read;
    void *ctx;
    hf_done_fn *done;
};

static int kv_start(struct hf_client *c, struct hf_call *call, const struct kv_end *end)
{
    struct hf_op *op = hf_op_new(c, end->subject, end->ctx, end->done);
    if (op == NULL) {
        hf_call_drop(call);
        return ERR_NO_MEMORY;
    }
    op->causal = call->spec.causal;
    op->given = call->spec.stale ? WIRE_LEVEL_STALE : WIRE_LEVEL_LINEARIZABLE;
    return hf_op_start(op, call, end->read);
}

static int kv_read_revision(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    (void)op;
    out->revision = hf_field(n, WIRE_FIELD_REVISION);
    return 0;
}

int hf_kv_put(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done)
{
    const struct kv_start start = {WIRE_METHOD_KV_PUT, HF_WRITE, 3, true};
    const struct kv_end end = {hf_in(kv->key), kv_read_revision, ctx, done};
    struct hf_call *call = NULL;
    TRY(kv_begin(c, kv, &start, &call));
    (void)wire_pack_bin(&call->head, hf_in(kv->value));
    return kv_start(c, call, &end);
}

static int kv_read_get(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    (void)op;
    struct bytes value;
    bool absent = wire_node_kind(n) == WIRE_MAP && hf_field(n, WIRE_FIELD_VERSION) == 0 &&
                  wire_node_is_nil(wire_node_find(n, WIRE_FIELD_VALUE));
    if (wire_node_is_nil(n) || absent) {
        return 0;
    }
    if (wire_node_bytes(wire_node_find(n, WIRE_FIELD_VALUE), HF_MESSAGE_BYTES_MAX, &value) != 0) {
        return ERR_PROTOCOL;
    }
    out->found = true;
    out->value = hf_out(value);
    out->revision = hf_field(n, WIRE_FIELD_MOD_REVISION);
    out->create_revision = hf_field(n, WIRE_FIELD_CREATE_REVISION);
    out->version = hf_field(n, WIRE_FIELD_VERSION);
    return 0;
}

int hf_kv_get(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done)
{
    const struct kv_start start = {WIRE_METHOD_KV_GET, HF_READ, 2, true};
    const struct kv_end end = {hf_in(kv->key), kv_read_get, ctx, done};
    struct hf_call *call = NULL;
    TRY(kv_begin(c, kv, &start, &call));
    return kv_start(c, call, &end);
}

static int kv_read_delete(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    (void)op;
    out->revision = hf_field(n, WIRE_FIELD_REVISION);
    return wire_node_bool(wire_node_find(n, WIRE_FIELD_DELETED), &out->found) == 0 ? 0
                                                                                   : ERR_PROTOCOL;
}

int hf_kv_delete(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done)
{
    const struct kv_start start = {WIRE_METHOD_KV_DELETE, HF_WRITE, 2, true};
    const struct kv_end end = {hf_in(kv->key), kv_read_delete, ctx, done};
    struct hf_call *call = NULL;
    TRY(kv_begin(c, kv, &start, &call));
    return kv_start(c, call, &end);
}

static void kv_pack_or_nil(struct buf *out, bool absent, struct hf_bytes v)
{
    if (absent) {
        (void)wire_pack_nil(out);
    } else {
        (void)wire_pack_bin(out, hf_in(v));
    }
}

int hf_kv_cas(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done)
{
    const struct kv_start start = {WIRE_METHOD_KV_CAS, HF_WRITE, 4, true};
    const struct kv_end end = {hf_in(kv->key), kv_read_revision, ctx, done};
    struct hf_call *call = NULL;
    TRY(kv_begin(c, kv, &start, &call));
    kv_pack_or_nil(&call->head, kv->expect_absent, kv->expected);
    kv_pack_or_nil(&call->head, kv->make_absent, kv->value);
    return kv_start(c, call, &end);
}

static int kv_read_incr(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    (void)op;
    out->revision = hf_field(n, WIRE_FIELD_REVISION);
    return wire_node_i64(wire_node_find(n, WIRE_FIELD_VALUE), &out->number) == 0 ? 0 : ERR_PROTOCOL;
}

int hf_kv_incr(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done)
{
    const struct kv_start start = {WIRE_METHOD_KV_INCR, HF_WRITE, 3, true};
    const struct kv_end end = {hf_in(kv->key), kv_read_incr, ctx, done};
    struct hf_call *call = NULL;
    TRY(kv_begin(c, kv, &start, &call));
    (void)wire_pack_i64(&call->head, kv->by);
    return kv_start(c, call, &end);
}

static int kv_read_scan(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    struct wire_node list = wire_node_find(n, WIRE_FIELD_ITEMS);
    uint32_t count = wire_node_count(list);
    struct hf_item *items = calloc((size_t)count + 1, sizeof(*items));
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    op->rows = items;
    for (uint32_t i = 0; i < count; i++) {
        struct wire_node item = wire_node_at(list, i);
        struct bytes key;
        struct bytes value;
        if (wire_node_bytes(wire_node_at(item, 0), HF_MESSAGE_BYTES_MAX, &key) != 0 ||
            wire_node_bytes(wire_node_at(item, 1), HF_MESSAGE_BYTES_MAX, &value) != 0) {
            return ERR_PROTOCOL;
        }
        items[i].key = hf_out(key);
        items[i].value = hf_out(value);
        (void)wire_node_u64(wire_node_at(item, 2), &items[i].revision);
    }
    out->items = items;
    out->count = count;
    out->revision = hf_field(n, WIRE_FIELD_REVISION);
    (void)wire_node_bool(wire_node_find(n, WIRE_FIELD_MORE), &out->more);
    return 0;
}

int hf_kv_scan(struct hf_client *c, const struct hf_kv *kv, void *ctx, hf_done_fn *done)
{
    const struct kv_start start = {WIRE_METHOD_KV_SCAN, HF_READ, 4, false};
    const struct kv_end end = {hf_in(kv->prefix), kv_read_scan, ctx, done};
    struct hf_call *call = NULL;
    TRY(kv_begin(c, kv, &start, &call));
    (void)wire_pack_bin(&call->head, hf_in(kv->prefix));
    kv_pack_or_nil(&call->head, kv->after.size == 0, kv->after);
    (void)wire_pack_u64(&call->head, kv->limit);
    return kv_start(c, call, &end);
}

/* ---- the cluster ---------------------------------------------------------------------------- */

/* The result of a response is what follows its array head, type, msgid and nil. */
static void ask_done(void *ctx, const struct hf_reply *reply)
{
    static const struct wire_scan_limits limits = {
        .bytes_max = HF_MESSAGE_BYTES_MAX, .items_max = 1u << 18, .depth_max = WIRE_DEPTH_MAX};
    struct hf_op *op = ctx;
    struct hf_result result = {.code = reply->code, .text = reply->text};
    struct bytes rest = reply->message;
    size_t skip = 1;
    for (unsigned i = 0; i < 4 && reply->code == 0; i++) {
        if (skip >= rest.size) {
            result.code = ERR_PROTOCOL;
            break;
        }
        rest = bytes_of(rest.data + skip, rest.size - skip);
        if (wire_scan(rest, &limits, &skip) != 0) {
            result.code = ERR_PROTOCOL;
            break;
        }
    }
    if (result.code == 0) {
        result.found = true;
        result.value = hf_out(rest);
    } else if (reply->code == 0) {
        result.text = err_text(result.code);
    }
    op->done(op->ctx, &result);
    op_release(op);
}

static int ask_start(struct hf_client *c, const struct hf_call_spec *spec, const uint64_t *number,
                     void *ctx, hf_done_fn *done)
{
    struct hf_call *call = NULL;
    struct hf_op *op = hf_op_new(c, bytes_of_text(spec->method), ctx, done);
    if (op == NULL) {
        return ERR_NO_MEMORY;
    }
    int err = hf_call_new(c, spec, &call);
    if (err == 0) {
        if (number != NULL) {
            (void)wire_pack_u64(&call->head, *number);
        }
        err = hf_call_start(call, op, ask_done);
    }
    if (err != 0) {
        op_release(op);
    }
    return err;
}

int hf_ask_number(struct hf_client *c, const char *method, const uint64_t *number, void *ctx,
                  hf_done_fn *done)
{
    const struct hf_call_spec spec = {
        .method = method, .class = HF_READ, .params = number != NULL, .pin = HF_NOWHERE};
    return ask_start(c, &spec, number, ctx, done);
}

int hf_ask(struct hf_client *c, const char *method, const char *endpoint, void *ctx,
           hf_done_fn *done)
{
    struct hf_call_spec spec = {.method = method, .class = HF_READ, .pin = HF_NOWHERE};
    if (endpoint != NULL) {
        struct bytes host;
        uint16_t port = 0;
        TRY(hf_endpoint_parse(bytes_of_text(endpoint), &host, &port));
        spec.pin = hf_node_add(c, host, port);
        spec.no_retry = true;
        spec.timeout_ms = NUM_MIN(c->timeout_ms, (uint64_t)3000);
        if (spec.pin == HF_NOWHERE) {
            return ERR_INVALID;
        }
    }
    return ask_start(c, &spec, NULL, ctx, done);
}
