/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: which types lie at a key and at the names under it (eventual_ops_internal.h).
 */
#include "base/num.h"
#include "server/node/eventual_ops_internal.h"

#define NODE_EV_TYPES_FORMAT 1u

void node_ev_types_init(struct node_ev_types *t, const struct alloc *alloc)
{
    *t = (struct node_ev_types){0};
    node_ev_names_init(&t->names, alloc);
}

void node_ev_types_release(struct node_ev_types *t)
{
    alloc_put(&t->names.bytes.alloc, t->items, t->cap * sizeof *t->items);
    t->items = NULL;
    t->cap = 0;
    node_ev_names_release(&t->names);
}

struct bytes node_ev_types_name(uint8_t region, struct bytes key, struct bytes cut, uint8_t *into)
{
    if (4 + key.size + cut.size > NODE_NAME_BYTES_MAX) {
        return bytes_of(into, 0);
    }
    into[0] = NODE_KEY_EV_TYPES;
    into[1] = region;
    into[2] = (uint8_t)(key.size >> 8);
    into[3] = (uint8_t)key.size;
    memcpy(into + 4, key.data, key.size);
    if (cut.size > 0) {
        memcpy(into + 4 + key.size, cut.data, cut.size);
    }
    return bytes_of(into, 4 + key.size + cut.size);
}

int node_ev_types_add(struct node_ev_types *t, struct bytes record_name)
{
    uint8_t raw[NODE_NAME_BYTES_MAX];
    struct crdt_key_parts parts;
    struct bytes key;
    struct bytes record_key;
    uint8_t region;
    uint32_t number;
    if (node_ev_record_parts(record_name, &region, &key, &record_key) != 0 ||
        crdt_key_parts_of(record_key, &parts) != 0) {
        return ERR_INVALID;
    }
    for (uint32_t i = 0; i < parts.count; i++) {
        struct bytes cut = bytes_of(record_key.data, parts.at[i]);
        TRY(node_ev_names_add(&t->names, node_ev_types_name(region, key, cut, raw), &number));
    }
    return 0;
}

/* What cannot be read counts as nothing, until it is made again (eventual_recount.c). */
static void node_ev_types_decode(struct bytes raw, struct node_ev_counts *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    uint8_t last = 0;
    bool good = bytes_take_u8(&r) == NODE_EV_TYPES_FORMAT;
    while (good && r.left > 0) {
        uint8_t type = bytes_take_u8(&r);
        uint64_t count = bytes_take_u64(&r);
        good = !r.failed && type > last && type <= CRDT_TYPES && count > 0;
        out->of[good ? type : 0] = count;
        last = type;
    }
    if (!good) {
        *out = (struct node_ev_counts){0};
    }
}

/* Room for the counts of as many names as there are. */
static int node_ev_types_reserve(struct node_ev_types *t)
{
    const struct alloc *alloc = &t->names.bytes.alloc;
    if (t->names.count <= t->cap) {
        return 0;
    }
    uint32_t cap = NUM_MAX(t->names.count, t->cap * 2);
    struct node_ev_counts *items = alloc_get_zeroed(alloc, cap, sizeof *items);
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    if (t->cap > 0) {
        memcpy(items, t->items, t->cap * sizeof *items);
    }
    alloc_put(alloc, t->items, t->cap * sizeof *items);
    t->items = items;
    t->cap = cap;
    return 0;
}

int node_ev_types_get(struct node_ev_types *t, const struct node_ev_store *store, struct bytes name,
                      struct node_ev_counts **out)
{
    struct bytes raw;
    uint32_t number;
    TRY(node_ev_names_add(&t->names, name, &number));
    TRY(node_ev_types_reserve(t));
    struct node_ev_counts *c = &t->items[number];
    if (!c->loaded && store->get(store->ctx, name, &raw) == 0) {
        node_ev_types_decode(raw, c);
    }
    c->loaded = true;
    *out = c;
    return 0;
}

int node_ev_types_change(struct node_ev_types *t, const struct node_ev_store *store,
                         struct bytes record_name, bool live)
{
    uint8_t raw[NODE_NAME_BYTES_MAX];
    struct crdt_key_parts parts;
    struct node_ev_counts *c;
    struct bytes key;
    struct bytes record_key;
    uint8_t region;
    TRY(node_ev_record_parts(record_name, &region, &key, &record_key));
    if (crdt_key_parts_of(record_key, &parts) != 0) {
        return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < parts.count; i++) {
        struct bytes cut = bytes_of(record_key.data, parts.at[i]);
        TRY(node_ev_types_get(t, store, node_ev_types_name(region, key, cut, raw), &c));
        uint64_t *count = &c->of[record_key.data[parts.at[i]]];
        *count = live ? *count + 1 : *count - (*count > 0);
        c->changed = true;
    }
    return 0;
}

size_t node_ev_counts_encode(const struct node_ev_counts *c, uint8_t into[NODE_EV_TYPES_BYTES_MAX])
{
    size_t size = 1;
    into[0] = NODE_EV_TYPES_FORMAT;
    for (uint8_t type = 1; type <= CRDT_TYPES; type++) {
        if (c->of[type] > 0) {
            into[size] = type;
            num_put_u64(into + size + 1, c->of[type]);
            size += 9;
        }
    }
    return size > 1 ? size : 0;
}

int node_ev_types_write(struct node_ev_types *t, const struct node_ev_store *store)
{
    uint8_t raw[NODE_EV_TYPES_BYTES_MAX];
    for (uint32_t i = 0; i < NUM_MIN(t->names.count, t->cap); i++) {
        const struct node_ev_counts *c = &t->items[i];
        size_t size = c->changed ? node_ev_counts_encode(c, raw) : 0;
        struct bytes name = node_ev_names_at(&t->names, i);
        if (c->changed && size > 0) {
            TRY(store->put(store->ctx, name, bytes_of(raw, size)));
        } else if (c->changed) {
            TRY(store->del(store->ctx, name));
        }
    }
    return 0;
}
