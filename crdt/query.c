/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Values of states. A path is compared with keys part by part, so that reading needs no memory and
 * cannot fail.
 */
#include "base/num.h"
#include "crdt/crdt_internal.h"

static void crdt_sought_add(struct crdt_sought *q, struct bytes part)
{
    ASSERT(q->count < CRDT_SOUGHT_PARTS);
    q->parts[q->count++] = part;
}

static void crdt_sought_name(struct crdt_sought *q, uint32_t i, struct bytes name)
{
    q->sizes[i][0] = (uint8_t)(name.size >> 8);
    q->sizes[i][1] = (uint8_t)name.size;
    crdt_sought_add(q, bytes_of(q->sizes[i], 2));
    crdt_sought_add(q, name);
}

void crdt_sought_init(struct crdt_sought *q, const struct crdt_path *path)
{
    q->count = 0;
    q->beyond = false;
    crdt_sought_add(q, bytes_of(&path->types[0], 1));
    for (uint32_t i = 0; i < path->count; i++) {
        crdt_sought_name(q, i, path->names[i]);
        crdt_sought_add(q, bytes_of(&path->types[i + 1], 1));
    }
}

static int crdt_order_sought(const void *sought, const struct crdt_node *n)
{
    const struct crdt_sought *q = sought;
    struct bytes key = crdt_record_key((const struct crdt_record *)n);
    for (unsigned i = 0; i < q->count; i++) {
        struct bytes part = q->parts[i];
        size_t both = NUM_MIN(part.size, key.size);
        int order = both == 0 ? 0 : memcmp(part.data, key.data, both);
        if (order != 0 || part.size > key.size) {
            return order != 0 ? order : 1;
        }
        key = bytes_of(key.data + part.size, key.size - part.size);
    }
    if (q->beyond) {
        return 1;
    }
    return key.size > 0 ? -1 : 0;
}

const struct crdt_record *crdt_sought_find(const struct crdt_state *s, const struct crdt_sought *q)
{
    return (const struct crdt_record *)crdt_tree_find(s->by_key, q, crdt_order_sought);
}

const struct crdt_record *crdt_sought_from(const struct crdt_state *s, const struct crdt_sought *q)
{
    return (const struct crdt_record *)crdt_tree_from(s->by_key, q, crdt_order_sought);
}

bool crdt_sought_begins(const struct crdt_sought *q, const struct crdt_record *r,
                        struct bytes *rest)
{
    if (r == NULL) {
        return false;
    }
    *rest = crdt_record_key(r);
    for (unsigned i = 0; i < q->count; i++) {
        if (!bytes_has_prefix(*rest, q->parts[i])) {
            return false;
        }
        *rest = bytes_of(rest->data + q->parts[i].size, rest->size - q->parts[i].size);
    }
    return true;
}

/* The record of a type that has one. */
static const struct crdt_record *crdt_query_record(const struct crdt_state *s,
                                                   const struct crdt_path *path)
{
    struct crdt_sought q;
    crdt_sought_init(&q, path);
    return crdt_sought_find(s, &q);
}

/* The key prefix of the records under path, as the first of them has it; empty if none. */
static struct bytes crdt_query_prefix(const struct crdt_state *s, const struct crdt_path *path)
{
    struct crdt_sought q;
    struct bytes rest;
    crdt_sought_init(&q, path);
    const struct crdt_record *r = crdt_sought_from(s, &q);
    if (!crdt_sought_begins(&q, r, &rest)) {
        return (struct bytes){0};
    }
    return bytes_of(r->key, r->key_bytes - rest.size);
}

int64_t crdt_counter(const struct crdt_state *s, const struct crdt_path *path)
{
    struct crdt_wide sum = {0};
    int64_t value;
    if (crdt_path_type(path) == CRDT_BOUNDED) {
        struct bytes prefix = crdt_query_prefix(s, path);
        if (prefix.size > 0) {
            crdt_bounded_sum(s, prefix, &sum);
        }
    } else {
        crdt_counter_sum(crdt_query_record(s, path), crdt_path_type(path), &sum);
    }
    (void)crdt_wide_get(&sum, &value);
    return value;
}

int64_t crdt_rights(const struct crdt_state *s, const struct crdt_path *path,
                    struct crdt_actor actor)
{
    struct crdt_wide sum = {0};
    int64_t value;
    struct bytes prefix = crdt_query_prefix(s, path);
    if (prefix.size > 0) {
        crdt_bounded_rights(s, prefix, actor, &sum);
    }
    (void)crdt_wide_get(&sum, &value);
    return NUM_MAX(value, 0);
}

int crdt_holders_get(const struct crdt_state *s, const struct crdt_path *path,
                     struct crdt_holders *h)
{
    struct bytes prefix = crdt_query_prefix(s, path);
    *h = (struct crdt_holders){.alloc = s->alloc};
    return prefix.size > 0 ? crdt_bounded_holders(s, prefix, h) : 0;
}

bool crdt_flag(const struct crdt_state *s, const struct crdt_path *path)
{
    const struct crdt_record *r = crdt_query_record(s, path);
    return crdt_path_type(path) == CRDT_EW_FLAG ? r != NULL : crdt_all_true(r);
}

bool crdt_extreme(const struct crdt_state *s, const struct crdt_path *path, int64_t *value)
{
    int64_t got;
    bool any = crdt_extreme_of(crdt_query_record(s, path), crdt_path_type(path), &got);
    if (any) {
        *value = got;
    }
    return any;
}

size_t crdt_siblings(const struct crdt_state *s, const struct crdt_path *path,
                     struct crdt_sibling *out, size_t max)
{
    const struct crdt_record *r = crdt_query_record(s, path);
    size_t count = 0;
    if (crdt_path_type(path) == CRDT_LWW) {
        return crdt_lww_siblings(r, out, max);
    }
    const struct crdt_entry *e = r == NULL ? NULL : crdt_entry_first(r);
    for (; e != NULL; e = crdt_entry_next(e)) {
        if (count < max) {
            out[count] = (struct crdt_sibling){.value = crdt_entry_payload(e), .dot = e->dot};
        }
        count++;
    }
    return count;
}

bool crdt_set_has(const struct crdt_state *s, const struct crdt_path *path, struct bytes element)
{
    struct crdt_sought q;
    crdt_sought_init(&q, path);
    crdt_sought_add(&q, element);
    const struct crdt_record *r = crdt_sought_find(s, &q);
    return crdt_path_type(path) == CRDT_RW_SET ? crdt_all_true(r) : r != NULL;
}

bool crdt_set_next(const struct crdt_state *s, const struct crdt_path *path, struct bytes *at)
{
    struct crdt_sought all;
    struct bytes rest;
    crdt_sought_init(&all, path);
    struct crdt_sought q;
    crdt_sought_init(&q, path);
    if (at->data != NULL) {
        static const uint8_t least = 0; /* the least key above it has one byte more, 0 */
        crdt_sought_add(&q, *at);
        crdt_sought_add(&q, bytes_of(&least, 1));
    }
    const struct crdt_record *r = crdt_sought_from(s, &q);
    for (; crdt_sought_begins(&all, r, &rest); r = crdt_record_next(r)) {
        if (crdt_path_type(path) != CRDT_RW_SET || crdt_all_true(r)) {
            *at = rest;
            return true;
        }
    }
    return false;
}

bool crdt_map_next(const struct crdt_state *s, const struct crdt_path *path, struct crdt_field *at)
{
    struct crdt_sought all;
    struct bytes rest;
    crdt_sought_init(&all, path);
    struct crdt_sought q;
    crdt_sought_init(&q, path);
    if (at->type != 0) {
        crdt_sought_name(&q, CRDT_DEPTH_MAX, at->name);
        crdt_sought_add(&q, bytes_of(&at->type, 1));
        q.beyond = true;
    }
    const struct crdt_record *r = crdt_sought_from(s, &q);
    if (!crdt_sought_begins(&all, r, &rest)) {
        return false;
    }
    ASSERT(rest.size >= 3);
    size_t size = (size_t)rest.data[0] << 8 | rest.data[1];
    ASSERT(rest.size >= 3 + size);
    *at = (struct crdt_field){.name = bytes_of(rest.data + 2, size), .type = rest.data[2 + size]};
    return true;
}

uint8_t crdt_root_type(const struct crdt_state *s, bool *several)
{
    const struct crdt_record *r = (const struct crdt_record *)crdt_tree_first(s->by_key);
    *several = false;
    if (r == NULL) {
        return 0;
    }
    uint8_t type = r->key[0];
    *several = crdt_record_beyond(s, bytes_of(&type, 1)) != NULL;
    return type;
}
