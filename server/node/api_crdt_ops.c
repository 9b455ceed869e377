/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * crdt.update: operations as they come in a request, copied and checked against each other. What
 * becomes of them is in api_crdt_write.c.
 */
#include "base/hash.h"
#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_write_internal.h"

#define EV_HINT_BYTES_MAX (512u << 10)
#define EV_COPIES 2u
#define EV_ACCOUNT_BYTES 25u /* what the name of a bounded counter's account ends with, at most */

static size_t ev_op_bytes(const struct node_ev_op *op)
{
    size_t bytes = 4 + op->space.size + op->name.size + op->name.size + op->op.value.size;
    for (uint32_t i = 0; i < op->path.count; i++) {
        bytes += op->path.names[i].size;
    }
    return bytes;
}

static struct bytes ev_keep(struct buf *memory, struct bytes v)
{
    size_t at = memory->size;
    (void)buf_append(memory, v.data, v.size);
    return bytes_of(memory->data + at, v.size);
}

/* Copies what the operations view into memory that was reserved. */
static int ev_ops_keep(struct ev_write *w, struct bytes principal)
{
    size_t bytes = principal.size + w->ops[0].space.size;
    for (unsigned i = 0; i < w->count; i++) {
        bytes += ev_op_bytes(&w->ops[i]);
    }
    TRY(buf_reserve(&w->memory, bytes));
    w->cmd.principal = ev_keep(&w->memory, principal);
    struct bytes space = ev_keep(&w->memory, w->ops[0].space);
    for (unsigned i = 0; i < w->count; i++) {
        struct node_ev_op *op = &w->ops[i];
        struct ev_write_item *item = &w->items[i];
        size_t at = w->memory.size;
        w->named = i;
        TRY(node_ev_key(op->space, op->name, &w->memory));
        item->key = bytes_of(w->memory.data + at, w->memory.size - at);
        item->region = node_ev_region(op->name);
        op->space = space;
        op->name = ev_keep(&w->memory, op->name);
        op->op.value = ev_keep(&w->memory, op->op.value);
        for (uint32_t j = 0; j < op->path.count; j++) {
            op->path.names[j] = ev_keep(&w->memory, op->path.names[j]);
        }
        item->turns = node_ev_op_needs_hints(op);
    }
    return w->memory.err;
}

/* Two operations on one key must agree on its types, and one that reads all under a path is alone
 * on its key: what the others of the batch change is not there yet when it is made. */
static int ev_ops_agree(const struct ev_write *w, unsigned i, unsigned j, bool *same_path)
{
    const struct crdt_path *a = &w->ops[i].path;
    const struct crdt_path *b = &w->ops[j].path;
    *same_path = a->count == b->count;
    if (w->items[i].turns || w->items[j].turns) {
        return ERR_INVALID;
    }
    for (uint32_t level = 0; level <= a->count && level <= b->count; level++) {
        if (a->types[level] != b->types[level]) {
            return ERR_WRONG_TYPE;
        }
        bool on = level < a->count && level < b->count;
        if (on && !bytes_equal(a->names[level], b->names[level])) {
            *same_path = false;
            return 0;
        }
    }
    return 0;
}

/* The name of the longest record that an operation makes, or reads in full. */
static int ev_op_fits(const struct ev_write *w, unsigned i)
{
    const struct crdt_path *path = &w->ops[i].path;
    uint8_t type = path->types[path->count];
    size_t bytes = 4 + w->items[i].key.size + 1;
    for (uint32_t j = 0; j < path->count; j++) {
        bytes += 3 + path->names[j].size;
    }
    if (type == CRDT_MAP || type == CRDT_AW_SET || type == CRDT_RW_SET || type == CRDT_G_SET) {
        bytes += 3 + w->ops[i].op.value.size;
    }
    return bytes + EV_ACCOUNT_BYTES > NODE_NAME_BYTES_MAX ? ERR_TOO_LARGE : 0;
}

/* The operations of each key, every one linked to the one before it. */
struct ev_together {
    struct node_ev_names keys;
    uint32_t *last;   /* by key: number + 1 of its last operation so far */
    uint32_t *before; /* by operation: number + 1 of the one before it on its key; 0: none */
};

/* An operation and those before it on its key, up to one with the same path: with those before
 * that one it agrees as well. */
static int ev_op_agrees(struct ev_together *t, const struct ev_write *w, uint32_t i)
{
    uint32_t key;
    bool same_path = false;
    TRY(node_ev_names_add(&t->keys, w->items[i].key, &key));
    t->before[i] = t->last[key];
    t->last[key] = i + 1;
    for (uint32_t j = t->before[i]; j != 0 && !same_path; j = t->before[j - 1]) {
        TRY(ev_ops_agree(w, i, j - 1, &same_path));
    }
    return 0;
}

static int ev_ops_check(struct node *n, struct ev_write *w)
{
    struct ev_together t;
    if (w->create && w->count > 1) {
        return ERR_INVALID;
    }
    if (w->count == 1) {
        return ev_op_fits(w, 0);
    }
    node_ev_names_init(&t.keys, &n->alloc);
    t.last = alloc_get_zeroed(&n->alloc, w->count, 2 * sizeof *t.last);
    t.before = t.last == NULL ? NULL : t.last + w->count;
    int err = t.last == NULL ? ERR_NO_MEMORY : 0;
    for (unsigned i = 0; err == 0 && i < w->count; i++) {
        w->named = i;
        err = ev_op_fits(w, i);
        err = err != 0 ? err : ev_op_agrees(&t, w, i);
    }
    alloc_put(&n->alloc, t.last, w->count * 2 * sizeof *t.last);
    node_ev_names_release(&t.keys);
    return err;
}

static int ev_ops_of(struct node *n, const struct wire_rpc *req, struct ev_write *w)
{
    struct wire_node list = wire_node_at(req->params, 1);
    struct bytes space;
    uint32_t count = wire_node_count(list);
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, &space));
    TRY(wire_name_check(space));
    if (wire_node_kind(list) != WIRE_ARRAY || count == 0) {
        return ERR_INVALID;
    }
    if (count > WIRE_CRDT_OPS_MAX) {
        return ERR_TOO_LARGE;
    }
    w->ops = alloc_get_zeroed(&n->alloc, count, sizeof *w->ops);
    w->items = alloc_get_zeroed(&n->alloc, count, sizeof *w->items);
    w->count = count;
    if (w->ops == NULL || w->items == NULL) {
        return ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool create = false;
        w->named = i;
        buf_init(&w->items[i].hints, &n->alloc, EV_HINT_BYTES_MAX);
        TRY(node_ev_op_of(wire_node_at(list, i), &w->ops[i], &create));
        w->ops[i].space = space;
        w->create = w->create || create;
    }
    return 0;
}

/* What the operations are, whatever is found out for them later. */
static int ev_ops_sum(struct node *n, struct ev_write *w)
{
    struct buf all;
    buf_init(&all, &n->alloc, 16u << 20);
    int err = node_ev_update_encode(w->ops, w->count, 0, &all);
    hash_digest_add(&w->once.operations, bytes_of(NULL, 0), buf_view(&all));
    buf_release(&all);
    return err;
}

int node_ev_write_of(struct node *n, const struct wire_rpc *req, struct ev_write *w)
{
    struct wire_options o;
    TRY(wire_params_check(req, 2, 2));
    TRY(wire_options_of(req, &o));
    TRY(node_options_cmd(&o, &w->cmd));
    TRY(node_ev_causal_of(n, &o, &w->causal));
    w->deadline_us = node_options_deadline(n, &o);
    w->copies = o.copies == 0 ? EV_COPIES : o.copies;
    w->apart = o.apart;
    TRY(ev_ops_of(n, req, w));
    TRY(ev_ops_keep(w, w->cmd.principal));
    TRY(ev_ops_check(n, w));
    if (o.once.size == 0) {
        return 0;
    }
    w->named = UINT32_MAX;
    w->why = "the token of a write is none, or is used within a session";
    w->refusal = ERR_INVALID;
    TRY(o.has_session || o.apart ? ERR_INVALID : ev_ops_sum(n, w));
    TRY(wire_once_of(o.once, &w->once.token));
    w->why = NULL;
    w->refusal = 0;
    return 0;
}
