/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: the bodies of its operations, and which records each of them names. What a body
 * names follows from its bytes alone.
 */
#include "base/num.h"
#include "server/node/eventual_ops_internal.h"
#include "wire/api.h"

/* ---- UPDATE, out ---------------------------------------------------------------------------- */

bool node_ev_op_needs_hints(const struct node_ev_op *op)
{
    uint8_t type = op->path.types[op->path.count];
    return type == CRDT_MAP || type == CRDT_BOUNDED;
}

int node_ev_op_accounts(const struct node_ev_op *op, struct crdt_actor self, struct buf *hints)
{
    struct crdt_op of = op->op;
    of.dot.actor = self;
    if (op->path.types[op->path.count] != CRDT_BOUNDED) {
        return 0;
    }
    size_t at = hints->size;
    TRY(buf_put_u16(hints, 0));
    TRY(crdt_op_record(&op->path, &of, hints));
    num_put_u16(hints->data + at, (uint16_t)(hints->size - at - 2));
    return 0;
}

static int node_ev_put_name(struct buf *out, struct bytes name)
{
    if (name.size > UINT16_MAX) {
        return ERR_TOO_LARGE;
    }
    TRY(buf_put_u16(out, (uint16_t)name.size));
    return buf_append(out, name.data, name.size);
}

static int node_ev_put_hints(const struct buf *hints, struct buf *out)
{
    struct bytes_reader r = bytes_reader_of(hints == NULL ? bytes_of(NULL, 0) : buf_view(hints));
    struct bytes view = bytes_of(r.at, r.left);
    struct bytes record_key;
    unsigned count = 0;
    while (node_ev_hint_next(&r, &record_key)) {
        count++;
    }
    if (!bytes_reader_ended(&r)) {
        return ERR_INVALID;
    }
    if (count > UINT16_MAX) {
        return ERR_TOO_LARGE;
    }
    TRY(buf_put_u16(out, (uint16_t)count));
    return buf_append(out, view.data, view.size);
}

static int node_ev_put_op(const struct node_ev_op *op, struct buf *out)
{
    if (op->path.count > CRDT_DEPTH_MAX) {
        return ERR_INVALID;
    }
    TRY(wire_name_check(op->space));
    TRY(wire_name_check(op->name));
    (void)node_ev_put_name(out, op->space);
    (void)node_ev_put_name(out, op->name);
    (void)buf_put_u8(out, (uint8_t)op->path.count);
    TRY(buf_append(out, op->path.types, op->path.count + 1));
    for (uint32_t i = 0; i < op->path.count; i++) {
        TRY(node_ev_put_name(out, op->path.names[i]));
    }
    (void)buf_put_u8(out, (uint8_t)op->op.verb);
    (void)buf_put_bytes(out, op->op.value);
    (void)buf_put_u64(out, (uint64_t)op->op.amount);
    (void)buf_put_u32(out, op->op.to.node);
    (void)buf_put_u64(out, op->op.to.epoch);
    TRY(buf_put_u64(out, op->op.number));
    return node_ev_put_hints(op->hints, out);
}

int node_ev_update_encode(const struct node_ev_op *ops, unsigned count, uint64_t wall_us,
                          struct buf *out)
{
    if (count == 0) {
        return ERR_INVALID;
    }
    if (count > NODE_EV_OPS_MAX) {
        return ERR_TOO_LARGE;
    }
    TRY(buf_put_u64(out, wall_us));
    TRY(buf_put_u16(out, (uint16_t)count));
    for (unsigned i = 0; i < count; i++) {
        TRY(node_ev_put_op(&ops[i], out));
    }
    return 0;
}

/* ---- UPDATE, in ----------------------------------------------------------------------------- */

int node_ev_body_begin(struct bytes body, struct node_ev_body *b)
{
    b->r = bytes_reader_of(body);
    b->wall_us = bytes_take_u64(&b->r);
    b->left = bytes_take_u16(&b->r);
    return b->r.failed || b->left == 0 || b->left > NODE_EV_OPS_MAX ? ERR_INVALID : 0;
}

bool node_ev_hint_next(struct bytes_reader *hints, struct bytes *record_key)
{
    if (hints->left == 0) {
        return false;
    }
    *record_key = bytes_take(hints, bytes_take_u16(hints));
    return !hints->failed;
}

static void node_ev_take_hints(struct bytes_reader *r, struct node_ev_parsed *out)
{
    struct bytes record_key;
    out->hints_count = bytes_take_u16(r);
    const uint8_t *from = r->at;
    for (uint32_t i = 0; i < out->hints_count && !r->failed; i++) {
        if (!node_ev_hint_next(r, &record_key)) {
            r->failed = true;
        }
    }
    out->hints = bytes_of(from, r->failed ? 0 : (size_t)(r->at - from));
}

int node_ev_body_next(struct node_ev_body *b, struct node_ev_parsed *out)
{
    struct bytes_reader *r = &b->r;
    if (b->left == 0) {
        return r->left == 0 ? ERR_NOT_FOUND : ERR_INVALID;
    }
    b->left--;
    *out = (struct node_ev_parsed){0};
    out->space = bytes_take(r, bytes_take_u16(r));
    out->name = bytes_take(r, bytes_take_u16(r));
    out->path.count = bytes_take_u8(r);
    if (r->failed || out->path.count > CRDT_DEPTH_MAX) {
        return ERR_INVALID;
    }
    for (uint32_t i = 0; i <= out->path.count; i++) {
        out->path.types[i] = bytes_take_u8(r);
    }
    for (uint32_t i = 0; i < out->path.count; i++) {
        out->path.names[i] = bytes_take(r, bytes_take_u16(r));
    }
    out->op.verb = (enum crdt_verb)bytes_take_u8(r);
    out->op.value = bytes_take(r, bytes_take_u32(r));
    out->op.amount = (int64_t)bytes_take_u64(r);
    out->op.to.node = bytes_take_u32(r);
    out->op.to.epoch = bytes_take_u64(r);
    out->op.number = bytes_take_u64(r);
    node_ev_take_hints(r, out);
    if (r->failed) {
        return ERR_INVALID;
    }
    out->region = node_ev_region(out->name);
    return 0;
}

/* ---- what is named -------------------------------------------------------------------------- */

void node_ev_scope_init(struct node_ev_scope *s, const struct alloc *alloc)
{
    *s = (struct node_ev_scope){0};
    node_ev_names_init(&s->records, alloc);
    node_ev_types_init(&s->types, alloc);
}

void node_ev_scope_release(struct node_ev_scope *s)
{
    node_ev_names_release(&s->records);
    node_ev_types_release(&s->types);
}

static int node_ev_scope_record(struct node_ev_scope *s, struct buf *name, uint8_t region,
                                struct bytes key, struct bytes record_key)
{
    uint32_t number;
    buf_clear(name);
    TRY(node_ev_record_name(region, key, record_key, name));
    TRY(node_ev_names_add(&s->records, buf_view(name), &number));
    if (!s->bare) {
        TRY(node_ev_types_add(&s->types, buf_view(name)));
    }
    uint64_t all = s->records.bytes.size + s->types.names.bytes.size +
                   2 * ((uint64_t)s->records.count + s->types.names.count);
    return all > NODE_EV_NAMES_BYTES_MAX ? ERR_TOO_LARGE : 0;
}

/* The places of types on the path of an operation on a prefix. */
static int node_ev_scope_path(struct node_ev_scope *s, const struct node_ev_parsed *op,
                              struct bytes key, struct bytes prefix)
{
    uint8_t raw[NODE_NAME_BYTES_MAX];
    uint32_t number;
    size_t at = 0;
    for (uint32_t i = 0; i <= op->path.count && !s->bare; i++) {
        struct bytes name = node_ev_types_name(op->region, key, bytes_of(prefix.data, at), raw);
        if (name.size == 0) {
            return ERR_TOO_LARGE;
        }
        TRY(node_ev_names_add(&s->types.names, name, &number));
        at += i < op->path.count ? 3 + op->path.names[i].size : 0;
    }
    return 0;
}

/* work: key, record key and name, for one operation at a time. */
static int node_ev_scope_op(struct node_ev_scope *s, const struct node_ev_parsed *op,
                            struct buf work[3])
{
    struct bytes_reader hints = bytes_reader_of(op->hints);
    struct bytes record_key;
    uint8_t region = op->region;
    buf_clear(&work[0]);
    buf_clear(&work[1]);
    s->regions |= UINT64_C(1) << region;
    s->hints += op->hints_count;
    TRY(node_ev_key(op->space, op->name, &work[0]));
    TRY(crdt_op_range(&op->path, &op->op, &work[1]));
    TRY(node_ev_scope_path(s, op, buf_view(&work[0]), buf_view(&work[1])));
    if (op->path.types[op->path.count] != CRDT_MAP &&
        op->path.types[op->path.count] != CRDT_BOUNDED) {
        buf_clear(&work[1]);
        TRY(crdt_op_record(&op->path, &op->op, &work[1]));
        TRY(node_ev_scope_record(s, &work[2], region, buf_view(&work[0]), buf_view(&work[1])));
    }
    while (node_ev_hint_next(&hints, &record_key)) {
        TRY(node_ev_scope_record(s, &work[2], region, buf_view(&work[0]), record_key));
    }
    return 0;
}

static void node_ev_work_init(struct buf work[3], const struct alloc *alloc)
{
    for (unsigned i = 0; i < 3; i++) {
        buf_init(&work[i], alloc, NODE_EV_FRAGMENT_MAX);
    }
}

static void node_ev_work_release(struct buf work[3])
{
    for (unsigned i = 0; i < 3; i++) {
        buf_release(&work[i]);
    }
}

int node_ev_update_scope(struct bytes body, struct node_ev_scope *s)
{
    struct node_ev_body b;
    struct node_ev_parsed op;
    struct buf work[3];
    TRY(node_ev_body_begin(body, &b));
    node_ev_work_init(work, &s->records.bytes.alloc);
    int err = 0;
    while (err == 0) {
        err = node_ev_body_next(&b, &op);
        err = err == 0 ? node_ev_scope_op(s, &op, work) : err;
    }
    node_ev_work_release(work);
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* Names what a fragment may touch; whether it is whole is judged where it is joined. */
static int node_ev_fragment_scope(struct node_ev_scope *s, struct bytes raw, struct buf *name)
{
    struct bytes_reader r = bytes_reader_of(raw);
    uint8_t region;
    uint8_t flags;
    uint32_t count = node_ev_fragment_skip(&r, &region, &flags);
    if (r.failed || region >= NODE_EV_REGIONS) {
        return ERR_PROTOCOL;
    }
    s->regions |= UINT64_C(1) << region;
    s->ahead |= (flags & NODE_EV_PAGE) != 0 ? UINT64_C(1) << region : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes key = bytes_take(&r, bytes_take_u16(&r));
        struct bytes record_key = bytes_take(&r, bytes_take_u16(&r));
        (void)bytes_take(&r, bytes_take_u32(&r)); /* value */
        if (r.failed) {
            return ERR_PROTOCOL;
        }
        TRY(node_ev_scope_record(s, name, region, key, record_key));
    }
    return 0;
}

int node_ev_join_scope(struct bytes body, struct node_ev_scope *s)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct buf name;
    int err = body.size == 0 ? ERR_INVALID : 0;
    buf_init(&name, &s->records.bytes.alloc, NODE_NAME_BYTES_MAX);
    while (err == 0 && r.left > 0) {
        struct bytes raw = bytes_take(&r, bytes_take_u32(&r));
        err = r.failed ? ERR_INVALID : node_ev_fragment_scope(s, raw, &name);
    }
    buf_release(&name);
    return err;
}

int node_ev_drop_scope(struct bytes body, struct node_ev_scope *s)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct buf name;
    uint8_t region = bytes_take_u8(&r);
    (void)bytes_take(&r, bytes_take_u32(&r));
    uint32_t count = bytes_take_u16(&r);
    if (r.failed || region >= NODE_EV_REGIONS) {
        return ERR_INVALID;
    }
    int err = 0;
    s->regions = UINT64_C(1) << region;
    buf_init(&name, &s->records.bytes.alloc, NODE_NAME_BYTES_MAX);
    for (uint32_t i = 0; err == 0 && i < count; i++) {
        struct bytes key = bytes_take(&r, bytes_take_u16(&r));
        struct bytes record_key = bytes_take(&r, bytes_take_u16(&r));
        err = r.failed ? ERR_INVALID : node_ev_scope_record(s, &name, region, key, record_key);
    }
    buf_release(&name);
    return err == 0 && !bytes_reader_ended(&r) ? ERR_INVALID : err;
}

/* ---- who this node is ----------------------------------------------------------------------- */

void node_ev_regions_seek(const struct node_ev_store *store, uint64_t regions,
                          struct node_ev_spot spots[NODE_EV_REGIONS])
{
    uint8_t raw[NODE_EV_REGIONS][2];
    struct bytes names[NODE_EV_REGIONS];
    struct node_ev_spot found[NODE_EV_REGIONS];
    uint32_t count = 0;
    for (uint8_t region = 0; region < NODE_EV_REGIONS; region++) {
        if ((regions >> region & 1u) != 0) {
            node_ev_region_name(region, raw[count]);
            names[count] = bytes_of(raw[count], sizeof raw[count]);
            count++;
        }
    }
    store->seek_all(store->ctx, names, count, found);
    for (uint32_t i = 0; i < count; i++) {
        spots[raw[i][1]] = found[i];
    }
}

bool node_ev_self_parse(const struct node_ev_store *store, struct bytes raw,
                        struct crdt_actor *actor)
{
    struct bytes_reader r = bytes_reader_of(raw);
    uint8_t format = bytes_take_u8(&r);
    (void)bytes_take_u64(&r); /* boot */
    (void)bytes_take_u64(&r); /* nonce */
    actor->node = store->self;
    actor->epoch = bytes_take_u64(&r);
    (void)bytes_take(&r, 16); /* the rest of its block */
    bool clean = bytes_take_u8(&r) != 0;
    bool known = format >= 1 && format <= NODE_EV_SELF_FORMAT;
    return !r.failed && known && actor->epoch > 0 && !clean; /* clean: it has ended */
}

bool node_ev_self_actor(const struct node_ev_store *store, struct crdt_actor *actor)
{
    const uint8_t name = NODE_KEY_EV_SELF;
    struct bytes raw;
    return store->get(store->ctx, bytes_of(&name, 1), &raw) == 0 &&
           node_ev_self_parse(store, raw, actor);
}

int node_ev_ahead_get(const struct node_ev_store *store, uint8_t region, struct crdt_context *out,
                      bool *had)
{
    struct crdt_limits limits = crdt_limits_default();
    const uint8_t name[2] = {NODE_KEY_EV_AHEAD, region};
    struct bytes raw;
    limits.context_ranges_max = NODE_EV_RANGES_MAX;
    *had = store->get(store->ctx, bytes_of(name, sizeof name), &raw) == 0;
    return *had ? crdt_context_decode(out, raw, &limits) : 0;
}

uint64_t node_ev_self_mark(const struct node_ev_store *store)
{
    const uint8_t name = NODE_KEY_EV_SELF;
    struct bytes raw;
    bool has = store->get(store->ctx, bytes_of(&name, 1), &raw) == 0 &&
               raw.size >= 66; /* format 1 is shorter */
    return has ? num_get_u64(raw.data + 50) : 0;
}
