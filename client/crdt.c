/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replicated data types. What a result views lies in a block: a copy of the answer, and rows that
 * view into it; an answer that is kept shares it.
 */
#include "client/client_internal.h"

#include "wire/token.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(HF_CRDT_BOUNDED == (int)WIRE_CRDT_BOUNDED, "the same numbers");
_Static_assert(HF_CRDT_TRANSFER == (int)WIRE_CRDT_TRANSFER, "the same numbers");
_Static_assert(HF_CRDT_CREATE == (int)WIRE_CRDT_CREATE, "the same numbers");
_Static_assert(HF_CRDT_DEPTH_MAX == WIRE_CRDT_DEPTH_MAX, "the same limits");
_Static_assert(HF_CRDT_OPS_MAX == WIRE_CRDT_OPS_MAX, "the same limits");

/* ---- blocks --------------------------------------------------------------------------------- */

void hf_block_put(struct hf_block *b)
{
    if (b != NULL && --b->refs == 0) {
        free(b->message);
        free(b->values);
        free(b->siblings);
        free(b->rights);
        free(b->clock);
        free(b->changed);
        free(b);
    }
}

static struct hf_block *block_new(struct hf_op *op)
{
    op->block = calloc(1, sizeof(*op->block));
    if (op->block != NULL) {
        op->block->refs = 1;
    }
    return op->block;
}

/* What is read. */
struct crdt_in {
    struct hf_block *block;
    struct bytes from; /* the message that nodes view */
    struct hf_crdt_value *values;
    struct hf_crdt_sibling *siblings;
    struct hf_crdt_rights *rights;
    size_t siblings_count;
    size_t rights_count;
};

/* A view of the message, as one of its copy. */
static struct hf_bytes in_bytes(const struct crdt_in *in, struct wire_node n)
{
    struct bytes v = {.data = NULL, .size = 0};
    if (wire_node_bytes(n, HF_MESSAGE_BYTES_MAX, &v) != 0 || v.size == 0) {
        return (struct hf_bytes){.data = NULL, .size = 0};
    }
    ASSERT(v.data >= in->from.data && v.data + v.size <= in->from.data + in->from.size);
    return (struct hf_bytes){.data = in->block->message + (v.data - in->from.data), .size = v.size};
}

static uint32_t in_u32(struct wire_node n)
{
    uint32_t v = 0;
    (void)wire_node_u32(n, &v);
    return v;
}

static uint64_t in_u64(struct wire_node n)
{
    uint64_t v = 0;
    (void)wire_node_u64(n, &v);
    return v;
}

/* ---- values --------------------------------------------------------------------------------- */

static void in_value(const struct crdt_in *in, struct wire_node n, struct hf_crdt_value *out)
{
    switch (wire_node_kind(n)) {
    case WIRE_BOOL:
        out->kind = HF_CRDT_BOOL;
        (void)wire_node_bool(n, &out->flag);
        break;
    case WIRE_UINT:
    case WIRE_INT:
        out->kind = out->type == HF_CRDT_HLL ? HF_CRDT_COUNT : HF_CRDT_NUMBER;
        (void)wire_node_i64(n, &out->number);
        (void)wire_node_u64(n, &out->count);
        break;
    case WIRE_STR:
    case WIRE_BIN:
        out->kind = HF_CRDT_BYTES;
        out->bytes = in_bytes(in, n);
        break;
    case WIRE_ARRAY: /* MV */
        if (wire_node_count(n) == 1) {
            out->kind = HF_CRDT_BYTES;
            out->bytes = in_bytes(in, wire_node_at(n, 0));
        }
        break;
    default: break;
    }
}

/* Those of an item of either kind. */
static struct wire_node in_siblings_of(struct wire_node item)
{
    return wire_node_kind(item) == WIRE_ARRAY ? wire_node_at(item, 3)
                                              : wire_node_find(item, WIRE_FIELD_SIBLINGS);
}

static void in_siblings(struct crdt_in *in, struct wire_node list, struct hf_crdt_value *out)
{
    out->siblings = in->siblings + in->siblings_count;
    out->siblings_count = wire_node_count(list);
    for (uint32_t i = 0; i < out->siblings_count; i++) {
        struct wire_node n = wire_node_at(list, i);
        in->siblings[in->siblings_count++] =
            (struct hf_crdt_sibling){.value = in_bytes(in, wire_node_at(n, 0)),
                                     .node = in_u32(wire_node_at(n, 1)),
                                     .epoch = in_u64(wire_node_at(n, 2)),
                                     .counter = in_u64(wire_node_at(n, 3)),
                                     .time_us = in_u64(wire_node_at(n, 4))};
    }
}

static void in_rights(struct crdt_in *in, struct wire_node list, struct hf_crdt_value *out)
{
    out->rights = in->rights + in->rights_count;
    out->rights_count = wire_node_count(list);
    for (uint32_t i = 0; i < out->rights_count; i++) {
        struct wire_node n = wire_node_at(list, i);
        struct hf_crdt_rights *r = &in->rights[in->rights_count++];
        *r = (struct hf_crdt_rights){.node = in_u32(wire_node_at(n, 0)),
                                     .epoch = in_u64(wire_node_at(n, 1))};
        (void)wire_node_i64(wire_node_at(n, 2), &r->rights);
    }
}

/* An item of crdt.read: a map. */
static void in_item(struct crdt_in *in, struct wire_node n, struct hf_crdt_value *out)
{
    out->type = (uint8_t)in_u32(wire_node_find(n, WIRE_FIELD_TYPE));
    (void)wire_node_bool(wire_node_find(n, WIRE_FIELD_FOUND), &out->found);
    in_value(in, wire_node_find(n, WIRE_FIELD_VALUE), out);
    in_siblings(in, wire_node_find(n, WIRE_FIELD_SIBLINGS), out);
    in_rights(in, wire_node_find(n, WIRE_FIELD_RIGHTS), out);
}

/* An item of crdt.members: an element, or [field, type, value, siblings]. */
static void in_member(struct crdt_in *in, struct wire_node n, struct hf_crdt_value *out)
{
    out->found = true;
    if (wire_node_kind(n) != WIRE_ARRAY) {
        out->name = in_bytes(in, n);
        return;
    }
    out->name = in_bytes(in, wire_node_at(n, 0));
    out->type = (uint8_t)in_u32(wire_node_at(n, 1));
    in_value(in, wire_node_at(n, 2), out);
    in_siblings(in, in_siblings_of(n), out);
}

static int in_begin(struct hf_op *op, struct crdt_in *in, struct wire_node items)
{
    uint32_t count = wire_node_count(items);
    size_t siblings = 0;
    size_t rights = 0;
    for (uint32_t i = 0; i < count; i++) {
        siblings += wire_node_count(in_siblings_of(wire_node_at(items, i)));
        rights += wire_node_count(wire_node_find(wire_node_at(items, i), WIRE_FIELD_RIGHTS));
    }
    *in = (struct crdt_in){.block = block_new(op), .from = op->message};
    if (in->block == NULL) {
        return ERR_NO_MEMORY;
    }
    in->block->message = malloc(op->message.size + 1);
    in->block->values = calloc((size_t)count + 1, sizeof(struct hf_crdt_value));
    in->block->siblings = calloc(siblings + 1, sizeof(struct hf_crdt_sibling));
    in->block->rights = calloc(rights + 1, sizeof(struct hf_crdt_rights));
    in->values = in->block->values;
    in->siblings = in->block->siblings;
    in->rights = in->block->rights;
    if (in->block->message == NULL || in->values == NULL || in->siblings == NULL ||
        in->rights == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(in->block->message, op->message.data, op->message.size);
    return 0;
}

static int in_clock(const struct crdt_in *in, struct wire_node list, struct hf_result *out)
{
    uint32_t count = wire_node_count(list);
    struct hf_crdt_range *clock = calloc((size_t)count + 1, sizeof(*clock));
    if (clock == NULL) {
        return ERR_NO_MEMORY;
    }
    in->block->clock = clock;
    for (uint32_t i = 0; i < count; i++) {
        struct wire_node n = wire_node_at(list, i);
        clock[i] = (struct hf_crdt_range){.node = in_u32(wire_node_at(n, 0)),
                                          .epoch = in_u64(wire_node_at(n, 1)),
                                          .from = in_u64(wire_node_at(n, 2)),
                                          .to = in_u64(wire_node_at(n, 3))};
    }
    out->clock = clock;
    out->clock_count = count;
    return 0;
}

static int crdt_read_all(struct hf_op *op, struct wire_node n, struct hf_result *out,
                         void (*item)(struct crdt_in *, struct wire_node, struct hf_crdt_value *))
{
    struct wire_node items = wire_node_find(n, WIRE_FIELD_ITEMS);
    struct crdt_in in;
    if (wire_node_kind(items) != WIRE_ARRAY) {
        return ERR_PROTOCOL;
    }
    TRY(in_begin(op, &in, items));
    TRY(in_clock(&in, wire_node_find(n, WIRE_FIELD_CLOCK), out));
    out->count = wire_node_count(items);
    for (uint32_t i = 0; i < out->count; i++) {
        item(&in, wire_node_at(items, i), &in.values[i]);
        out->found = out->found || in.values[i].found;
    }
    out->values = in.values;
    out->next = in_bytes(&in, wire_node_find(n, WIRE_FIELD_NEXT));
    out->more = out->next.size > 0;
    out->node = in_u32(wire_node_find(n, WIRE_FIELD_NODE));
    out->time_us = hf_field(n, WIRE_FIELD_TIME_US);
    return 0;
}

static int crdt_read_values(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    return crdt_read_all(op, n, out, in_item);
}

static int crdt_read_members(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    return crdt_read_all(op, n, out, in_member);
}

/* What the token of an answer says of the region of the key: whoever has seen that has the write.
 */
static int crdt_read_written(const struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    struct bytes raw = hf_field_bytes(n, WIRE_FIELD_TOKEN);
    struct alloc heap = alloc_heap();
    struct wire_token token;
    wire_token_init(&token, &heap);
    int err = wire_token_decode(&token, raw);
    struct hf_crdt_range *clock =
        err == 0 ? calloc((size_t)token.ranges_count + 1, sizeof(*clock)) : NULL;
    for (uint32_t i = 0; clock != NULL && i < token.ranges_count; i++) {
        const struct wire_token_range *r = &token.ranges[i];
        if (r->region == op->region) {
            clock[out->clock_count++] = (struct hf_crdt_range){
                .node = r->node, .epoch = r->epoch, .from = r->from, .to = r->to};
        }
    }
    wire_token_release(&token);
    out->clock = clock;
    op->block->clock = clock;
    return clock != NULL ? 0 : ERR_DONE;
}

static int crdt_read_update(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    struct wire_node list = wire_node_find(n, WIRE_FIELD_CHANGED);
    uint32_t from = op->place == 0 ? 0 : op->place - 1;
    uint32_t count = op->place == 0 ? wire_node_count(list) : 1;
    if (from + count > wire_node_count(list)) {
        return ERR_DONE;
    }
    struct hf_block *block = block_new(op);
    bool *changed = calloc((size_t)count + 1, sizeof(*changed));
    if (block == NULL || changed == NULL) {
        free(changed);
        return ERR_DONE; /* it was written */
    }
    block->changed = changed;
    for (uint32_t i = 0; i < count; i++) {
        (void)wire_node_bool(wire_node_at(list, from + i), &changed[i]);
    }
    out->changed = changed;
    out->count = count;
    out->copies = in_u32(wire_node_find(n, WIRE_FIELD_COPIES));
    out->node = in_u32(wire_node_find(n, WIRE_FIELD_NODE));
    return op->clock ? crdt_read_written(op, n, out) : 0;
}

/* ---- requests ------------------------------------------------------------------------------- */

static struct bytes crdt_space(const struct hf_crdt *crdt)
{
    return crdt->space.size > 0 ? hf_in(crdt->space) : bytes_of_text(WIRE_SPACE_DEFAULT);
}

static int crdt_path_check(const struct hf_crdt_path *p)
{
    if (p->count > HF_CRDT_DEPTH_MAX) {
        return ERR_TOO_LARGE;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->types[i] != HF_CRDT_MAP) {
            return ERR_INVALID;
        }
        if (p->names[i].size > WIRE_CRDT_ELEMENT_BYTES_MAX) {
            return ERR_TOO_LARGE;
        }
    }
    return 0;
}

static void crdt_pack_path(struct buf *out, const struct hf_crdt_path *p)
{
    (void)wire_pack_array(out, 2 * p->count + 1);
    (void)wire_pack_u64(out, p->types[0]);
    for (uint32_t i = 0; i < p->count; i++) {
        (void)wire_pack_bin(out, hf_in(p->names[i]));
        (void)wire_pack_u64(out, p->types[i + 1]);
    }
}

static int crdt_begin(struct hf_client *c, const struct hf_crdt *crdt,
                      const struct hf_call_spec *how, struct hf_call **out)
{
    struct hf_call_spec spec = *how;
    spec.route = HF_BY_NODE;
    spec.pin = HF_NOWHERE;
    spec.timeout_ms = crdt->timeout_ms;
    spec.causal = crdt->causal;
    spec.budget_ms = crdt->budget_ms;
    TRY(wire_name_check(crdt_space(crdt)));
    TRY(hf_call_new(c, &spec, out));
    (void)wire_pack_bin(&(*out)->head, crdt_space(crdt));
    return 0;
}

struct crdt_end {
    bool clock; /* update: asked for */
    struct bytes subject;
    struct hf_causal *causal;
    hf_read_fn *read;
    void *ctx;
    hf_done_fn *done;
};

static int crdt_start(struct hf_client *c, struct hf_call *call, const struct crdt_end *end)
{
    struct hf_op *op = hf_op_new(c, end->subject, end->ctx, end->done);
    if (op == NULL) {
        hf_call_drop(call);
        return ERR_NO_MEMORY;
    }
    op->causal = end->causal;
    op->clock = end->clock;
    op->region = call->region;
    op->given = WIRE_CONSISTENCY_EVENTUAL;
    return hf_op_start(op, call, end->read);
}

static void crdt_pack_bin(struct buf *out, const char *name, struct hf_bytes v)
{
    (void)wire_pack_text(out, name);
    (void)wire_pack_bin(out, hf_in(v));
}

static void crdt_pack_op(struct buf *out, const struct hf_crdt_op *op)
{
    bool value = op->value.data != NULL;
    bool amount = op->verb == HF_CRDT_TRANSFER || op->verb == HF_CRDT_CREATE || op->amount != 0 ||
                  (!value && (op->verb == HF_CRDT_ADD || op->verb == HF_CRDT_SET));
    (void)wire_pack_map(out, 3u + value + amount + (op->to != 0));
    crdt_pack_bin(out, WIRE_FIELD_NAME, op->name);
    (void)wire_pack_text(out, WIRE_FIELD_PATH);
    crdt_pack_path(out, &op->path);
    (void)wire_pack_text(out, WIRE_FIELD_VERB);
    (void)wire_pack_u64(out, (uint64_t)op->verb);
    if (value) {
        crdt_pack_bin(out, WIRE_FIELD_VALUE, op->value);
    }
    if (amount) {
        (void)wire_pack_text(out, WIRE_FIELD_AMOUNT);
        (void)wire_pack_i64(out, op->amount);
    }
    if (op->to != 0) {
        (void)wire_pack_text(out, WIRE_FIELD_TO);
        (void)wire_pack_u64(out, op->to);
    }
}

/* What reads all records under a path waits for its turn, and what moves rights, or makes them,
 * asks others first: nobody is to wait for that. */
static enum hf_share crdt_share(const struct hf_crdt_op *op)
{
    uint8_t type = op->path.types[op->path.count];
    bool slow = type == HF_CRDT_MAP || type == HF_CRDT_BOUNDED || op->verb == HF_CRDT_TRANSFER ||
                op->verb == HF_CRDT_CREATE;
    return slow ? HF_SHARE_BY : HF_SHARE_WITH;
}

/* One token of a node. */
static int crdt_read_once(struct hf_op *op, struct wire_node n, struct hf_result *out)
{
    struct wire_once once;
    struct bytes text = hf_field_bytes(n, WIRE_FIELD_ONCE);
    TRY(wire_once_of(text, &once) == 0 ? 0 : ERR_PROTOCOL);
    struct hf_block *block = block_new(op);
    if (block == NULL || (block->message = calloc(1, text.size + 1)) == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(block->message, text.data, text.size);
    out->once = (const char *)block->message;
    out->node = once.node;
    out->time_us = hf_field(n, WIRE_FIELD_LIFETIME_US);
    return 0;
}

int hf_crdt_once(struct hf_client *c, const struct hf_crdt *crdt, void *ctx, hf_done_fn *done)
{
    bool named = crdt->name.size > 0;
    struct hf_call_spec spec = {.method = WIRE_METHOD_CRDT_ONCE,
                                .class = HF_READ,
                                .params = named ? 1 : 0,
                                .route = HF_BY_NODE,
                                .pin = HF_NOWHERE,
                                .timeout_ms = crdt->timeout_ms};
    const struct crdt_end end = {false, hf_in(crdt->name), NULL, crdt_read_once, ctx, done};
    struct hf_call *call = NULL;
    TRY(named ? wire_name_check(hf_in(crdt->name)) : 0);
    TRY(hf_call_new(c, &spec, &call));
    if (named) {
        (void)wire_pack_array(&call->head, 1);
        (void)wire_pack_bin(&call->head, hf_in(crdt->name));
    }
    return crdt_start(c, call, &end);
}

int hf_crdt_update(struct hf_client *c, const struct hf_crdt *crdt, void *ctx, hf_done_fn *done)
{
    struct hf_call_spec how = {
        .method = WIRE_METHOD_CRDT_UPDATE, .class = HF_WRITE, .params = 2, .copies = crdt->copies};
    struct crdt_end end = {.clock = crdt->clock,
                           .causal = crdt->causal,
                           .read = crdt_read_update,
                           .ctx = ctx,
                           .done = done};
    struct hf_call *call = NULL;
    if (crdt->ops_count == 0 || crdt->copies > UINT8_MAX) {
        return ERR_INVALID;
    }
    if (crdt->ops_count > HF_CRDT_OPS_MAX) {
        return ERR_TOO_LARGE;
    }
    if (crdt->once != NULL) {
        TRY(wire_once_of(bytes_of_text(crdt->once), &how.once));
        how.class = HF_ONCE;
    }
    for (size_t i = 0; i < crdt->ops_count; i++) {
        TRY(wire_name_check(hf_in(crdt->ops[i].name)));
        TRY(crdt_path_check(&crdt->ops[i].path));
        if (crdt->ops[i].value.size > WIRE_CRDT_VALUE_BYTES_MAX) {
            return ERR_TOO_LARGE;
        }
    }
    TRY(crdt_begin(c, crdt, &how, &call));
    call->maybe_done = crdt->once != NULL; /* by whoever had the token before */
    call->space_bytes = call->head.size;
    call->region = wire_slot_of(hf_in(crdt->ops[0].name)) % WIRE_CRDT_REGIONS;
    call->share = crdt->ops_count == 1 ? crdt_share(&crdt->ops[0]) : HF_SHARE_BY;
    (void)wire_pack_array(&call->head, (uint32_t)crdt->ops_count);
    for (size_t i = 0; i < crdt->ops_count; i++) {
        crdt_pack_op(&call->head, &crdt->ops[i]);
    }
    end.subject = hf_in(crdt->ops[0].name);
    return crdt_start(c, call, &end);
}

static int crdt_begin_read(struct hf_client *c, const struct hf_crdt *crdt,
                           const struct hf_call_spec *how, struct hf_call **out)
{
    TRY(wire_name_check(hf_in(crdt->name)));
    TRY(crdt_path_check(&crdt->path));
    if (crdt->element.size > WIRE_CRDT_ELEMENT_BYTES_MAX ||
        crdt->after.size > WIRE_NAME_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    TRY(crdt_begin(c, crdt, how, out));
    (void)wire_pack_bin(&(*out)->head, hf_in(crdt->name));
    crdt_pack_path(&(*out)->head, &crdt->path);
    return 0;
}

int hf_crdt_read(struct hf_client *c, const struct hf_crdt *crdt, void *ctx, hf_done_fn *done)
{
    const struct hf_call_spec how = {
        .method = WIRE_METHOD_CRDT_READ, .class = HF_READ, .params = 4};
    const struct crdt_end end = {false, hf_in(crdt->name), crdt->causal, crdt_read_values, ctx,
                                 done};
    struct hf_call *call = NULL;
    TRY(crdt_begin_read(c, crdt, &how, &call));
    if (crdt->has_element) {
        (void)wire_pack_bin(&call->head, hf_in(crdt->element));
    } else {
        (void)wire_pack_nil(&call->head);
    }
    return crdt_start(c, call, &end);
}

int hf_crdt_members(struct hf_client *c, const struct hf_crdt *crdt, void *ctx, hf_done_fn *done)
{
    const struct hf_call_spec how = {
        .method = WIRE_METHOD_CRDT_MEMBERS, .class = HF_READ, .params = 5};
    const struct crdt_end end = {false, hf_in(crdt->name), crdt->causal, crdt_read_members, ctx,
                                 done};
    struct hf_call *call = NULL;
    TRY(crdt_begin_read(c, crdt, &how, &call));
    if (crdt->after.size > 0) {
        (void)wire_pack_bin(&call->head, hf_in(crdt->after));
    } else {
        (void)wire_pack_nil(&call->head);
    }
    (void)wire_pack_u64(&call->head, crdt->limit);
    return crdt_start(c, call, &end);
}
