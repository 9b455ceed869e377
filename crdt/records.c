/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Records one by one, for a store that keeps each on its own: into a state and out of it again.
 */
#include "crdt/crdt_internal.h"

int crdt_entry_check(struct bytes key, struct bytes payload, const struct crdt_limits *limits)
{
    struct crdt_shape shape;
    TRY(crdt_key_shape(key, limits, &shape));
    return crdt_payload_check(&shape, payload, limits);
}

int crdt_load(struct crdt_state *s, struct bytes key, struct crdt_dot dot, struct bytes payload)
{
    if (crdt_entry_find(s, dot) != NULL) {
        return ERR_CONFLICT;
    }
    return crdt_state_put(s, key, dot, payload);
}

int crdt_op_record(const struct crdt_path *path, const struct crdt_op *op, struct buf *key)
{
    uint8_t name[3];
    switch (crdt_path_type(path)) {
    case CRDT_MAP: return ERR_INVALID;
    case CRDT_HLL:
        (void)crdt_hll_place(op->value, name);
        TRY(crdt_path_key(path, key));
        return buf_append(key, name, sizeof(name));
    case CRDT_BOUNDED: TRY(crdt_path_key(path, key)); return crdt_bounded_place(op, key);
    default: return crdt_op_range(path, op, key);
    }
}

static bool crdt_view_of(const struct crdt_entry *e, struct crdt_view *v)
{
    if (e == NULL) {
        return false;
    }
    *v = (struct crdt_view){
        .key = crdt_record_key(e->record),
        .dot = e->dot,
        .payload = crdt_entry_payload(e),
        .at = e,
    };
    return true;
}

bool crdt_view_record(const struct crdt_state *s, struct bytes key, struct crdt_view *v)
{
    const struct crdt_record *r = crdt_record_find(s, key);
    return r != NULL && crdt_view_of(crdt_entry_first(r), v);
}

bool crdt_view_first(const struct crdt_state *s, struct crdt_view *v)
{
    return crdt_view_of((const struct crdt_entry *)crdt_tree_first(s->by_dot), v);
}

bool crdt_view_next(struct crdt_view *v)
{
    return crdt_view_of(crdt_entry_next(v->at), v);
}

bool crdt_replaced_next(const struct crdt_state *s, const struct crdt_state *delta,
                        struct crdt_replaced *at)
{
    const struct crdt_entry *e = at->view.at == NULL ? NULL : crdt_entry_next_dot(at->view.at);
    for (bool fresh = at->view.at == NULL; at->range < delta->seen.count; fresh = true) {
        struct crdt_range range = delta->seen.ranges[at->range];
        if (fresh) {
            e = crdt_in_range_first(s, range);
        }
        for (; crdt_in_range(e, range); e = crdt_entry_next_dot(e)) {
            if (crdt_entry_find(delta, e->dot) == NULL) {
                return crdt_view_of(e, &at->view);
            }
        }
        at->range++;
    }
    return false;
}

int crdt_key_parts_of(struct bytes key, struct crdt_key_parts *out)
{
    struct crdt_shape shape;
    struct bytes_reader r = bytes_reader_of(key);
    TRY(crdt_key_shape(key, NULL, &shape));
    *out = (struct crdt_key_parts){.type = shape.type, .count = shape.depth + 1};
    for (uint32_t i = 1; i <= shape.depth; i++) {
        (void)bytes_take_u8(&r);
        size_t high = bytes_take_u8(&r);
        (void)bytes_take(&r, high << 8 | bytes_take_u8(&r));
        out->at[i] = (uint32_t)(key.size - r.left);
    }
    return 0;
}
