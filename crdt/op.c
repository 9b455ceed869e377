/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * From an operation to its delta: what all types share. A delta's context holds the operation's own
 * dot and those it replaces, nothing else; its store holds at most one entry, under its own dot.
 */
#include "crdt/crdt_internal.h"

#define CRDT_FEW 256u

int crdt_making_replace(struct crdt_making *m, const struct crdt_entry *e)
{
    return crdt_context_add_dot(&m->out->seen, e->dot);
}

int crdt_making_replace_all(struct crdt_making *m, const struct crdt_record *r)
{
    const struct crdt_entry *e = r == NULL ? NULL : crdt_entry_first(r);
    for (; e != NULL; e = crdt_entry_next(e)) {
        TRY(crdt_making_replace(m, e));
    }
    return 0;
}

int crdt_making_put(struct crdt_making *m, struct bytes payload)
{
    return crdt_state_put(m->out, buf_view(&m->key), m->op->dot, payload);
}

/* Every entry under the prefix. Few are put in one by one, in the order of keys; for many, all of
 * the state is looked at in the order of dots, so that the context only grows at its end. */
static int crdt_remove_prefix(struct crdt_making *m, struct bytes prefix)
{
    uint32_t found = 0;
    const struct crdt_record *r = crdt_record_from(m->s, prefix);
    for (; r != NULL && bytes_has_prefix(crdt_record_key(r), prefix); r = crdt_record_next(r)) {
        struct crdt_shape shape;
        if (crdt_key_shape(crdt_record_key(r), NULL, &shape) != 0 || shape.type == CRDT_BOUNDED) {
            return ERR_NOT_EMPTY;
        }
        if (found < CRDT_FEW) {
            TRY(crdt_making_replace_all(m, r));
        }
        found += found < CRDT_FEW ? r->count : 0;
    }
    const struct crdt_entry *e = (const struct crdt_entry *)crdt_tree_first(m->s->by_dot);
    for (; found >= CRDT_FEW && e != NULL; e = crdt_entry_next_dot(e)) {
        if (bytes_has_prefix(crdt_record_key(e->record), prefix)) {
            TRY(crdt_making_replace(m, e));
        }
    }
    return 0;
}

int crdt_make_remove(struct crdt_making *m)
{
    struct bytes name = m->op->value;
    uint8_t size[2] = {(uint8_t)(name.size >> 8), (uint8_t)name.size};
    if (m->op->verb != CRDT_REMOVE) {
        return ERR_INVALID;
    }
    if (name.size > m->limits->name_bytes_max || name.size > UINT16_MAX) {
        return ERR_TOO_LARGE;
    }
    TRY(buf_append(&m->key, size, sizeof(size)));
    TRY(buf_append(&m->key, name.data, name.size));
    return crdt_remove_prefix(m, buf_view(&m->key));
}

static int crdt_make(struct crdt_making *m, uint8_t type)
{
    switch (type) {
    case CRDT_G_COUNTER:
    case CRDT_PN_COUNTER:
    case CRDT_COUNTER: return crdt_make_counter(m, type);
    case CRDT_LWW: return crdt_make_lww(m);
    case CRDT_MV: return crdt_make_mv(m);
    case CRDT_EW_FLAG:
    case CRDT_DW_FLAG: return crdt_make_flag(m, type);
    case CRDT_AW_SET:
    case CRDT_RW_SET:
    case CRDT_G_SET: return crdt_make_set(m, type);
    case CRDT_MAX:
    case CRDT_MIN: return crdt_make_extreme(m, type);
    case CRDT_HLL: return crdt_make_hll(m);
    case CRDT_BOUNDED: return crdt_make_bounded(m);
    default: return crdt_make_remove(m);
    }
}

static int crdt_delta_check(const struct crdt_state *s, const struct crdt_path *path,
                            const struct crdt_op *op, const struct crdt_limits *limits)
{
    if (s->opaque.size > 0) {
        return ERR_LEVEL;
    }
    if (op->dot.actor.node == 0 || op->dot.actor.epoch == CRDT_FOLDED || op->dot.counter == 0) {
        return ERR_INVALID;
    }
    TRY(crdt_path_check(path, limits));
    return op->dot.counter <= crdt_context_last(&s->seen, op->dot.actor) ? ERR_CONFLICT : 0;
}

/* A delta that adds to the state must find room; one that takes away always does. */
static int crdt_delta_room(const struct crdt_state *s, const struct crdt_state *out,
                           const struct crdt_op *op, const struct crdt_limits *limits)
{
    bool replaces = out->seen.count > 0;
    if (out->entries == 0) {
        return 0;
    }
    if (!replaces && s->entries >= limits->elements_max) {
        return ERR_TOO_LARGE;
    }
    bool grows =
        op->dot.counter != crdt_context_last(&s->seen, op->dot.actor) + 1 || op->dot.counter == 1;
    return grows && s->seen.count >= limits->context_ranges_max ? ERR_TOO_LARGE : 0;
}

int crdt_delta(const struct crdt_state *s, const struct crdt_path *path, const struct crdt_op *op,
               const struct crdt_limits *limits, struct crdt_state *out)
{
    TRY(crdt_delta_check(s, path, op, limits));
    TRY(crdt_path_types(s, path));
    return crdt_delta_part(s, path, op, limits, out);
}

int crdt_delta_part(const struct crdt_state *s, const struct crdt_path *path,
                    const struct crdt_op *op, const struct crdt_limits *limits,
                    struct crdt_state *out)
{
    struct crdt_making m = {.s = s, .op = op, .limits = limits, .out = out};
    ASSERT(crdt_state_empty(out));
    TRY(crdt_delta_check(s, path, op, limits));
    buf_init(&m.key, &out->alloc, SIZE_MAX / 2);
    int err = crdt_path_key(path, &m.key);
    if (err == 0) {
        err = crdt_make(&m, crdt_path_type(path));
    }
    if (err == 0) {
        err = crdt_delta_room(s, out, op, limits);
    }
    if (err == 0 && (out->entries > 0 || out->seen.count > 0)) {
        err = crdt_context_add_dot(&out->seen, op->dot);
    }
    buf_release(&m.key);
    if (err != 0) {
        crdt_state_clear(out);
    }
    return err;
}

int crdt_op_range(const struct crdt_path *path, const struct crdt_op *op, struct buf *prefix)
{
    TRY(crdt_path_key(path, prefix));
    switch (crdt_path_type(path)) {
    case CRDT_AW_SET:
    case CRDT_RW_SET:
    case CRDT_G_SET: return buf_append(prefix, op->value.data, op->value.size);
    case CRDT_MAP:
        TRY(buf_put_u8(prefix, (uint8_t)(op->value.size >> 8)));
        TRY(buf_put_u8(prefix, (uint8_t)op->value.size));
        return buf_append(prefix, op->value.data, op->value.size);
    default: return 0;
    }
}
