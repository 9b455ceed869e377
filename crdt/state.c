/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * States in memory: records in a tree by key, each with a tree of its entries by dot, and one tree
 * of all entries by dot.
 */
#include "base/num.h"
#include "crdt/crdt_internal.h"

#include <stddef.h>

static struct crdt_entry *crdt_entry_of(struct crdt_node *in_record)
{
    if (in_record == NULL) {
        return NULL;
    }
    return (struct crdt_entry *)(void *)((char *)in_record -
                                         offsetof(struct crdt_entry, in_record));
}

static int crdt_order_key(const void *sought, const struct crdt_node *n)
{
    return bytes_compare(*(const struct bytes *)sought,
                         crdt_record_key((const struct crdt_record *)n));
}

/* Right of every key that begins with the prefix. */
static int crdt_order_beyond(const void *sought, const struct crdt_node *n)
{
    struct bytes prefix = *(const struct bytes *)sought;
    struct bytes key = crdt_record_key((const struct crdt_record *)n);
    return bytes_has_prefix(key, prefix) ? 1 : bytes_compare(prefix, key);
}

static int crdt_order_dot(const void *sought, const struct crdt_node *n)
{
    return crdt_dot_compare(*(const struct crdt_dot *)sought, ((const struct crdt_entry *)n)->dot);
}

static int crdt_order_in_record(const void *sought, const struct crdt_node *n)
{
    const struct crdt_entry *e =
        (const void *)((const char *)n - offsetof(struct crdt_entry, in_record));
    return crdt_dot_compare(*(const struct crdt_dot *)sought, e->dot);
}

struct crdt_record *crdt_record_find(const struct crdt_state *s, struct bytes key)
{
    return (struct crdt_record *)crdt_tree_find(s->by_key, &key, crdt_order_key);
}

struct crdt_record *crdt_record_from(const struct crdt_state *s, struct bytes key)
{
    return (struct crdt_record *)crdt_tree_from(s->by_key, &key, crdt_order_key);
}

struct crdt_record *crdt_record_beyond(const struct crdt_state *s, struct bytes prefix)
{
    return (struct crdt_record *)crdt_tree_from(s->by_key, &prefix, crdt_order_beyond);
}

struct crdt_record *crdt_record_next(const struct crdt_record *r)
{
    return (struct crdt_record *)crdt_tree_next((struct crdt_node *)&r->by_key);
}

struct crdt_entry *crdt_entry_find(const struct crdt_state *s, struct crdt_dot dot)
{
    return (struct crdt_entry *)crdt_tree_find(s->by_dot, &dot, crdt_order_dot);
}

struct crdt_entry *crdt_entry_from(const struct crdt_state *s, struct crdt_dot dot)
{
    return (struct crdt_entry *)crdt_tree_from(s->by_dot, &dot, crdt_order_dot);
}

struct crdt_entry *crdt_entry_first(const struct crdt_record *r)
{
    return crdt_entry_of(crdt_tree_first(r->entries));
}

struct crdt_entry *crdt_entry_next(const struct crdt_entry *e)
{
    return crdt_entry_of(crdt_tree_next((struct crdt_node *)&e->in_record));
}

struct crdt_entry *crdt_entry_next_dot(const struct crdt_entry *e)
{
    return (struct crdt_entry *)crdt_tree_next((struct crdt_node *)&e->by_dot);
}

struct crdt_entry *crdt_entry_new(const struct alloc *alloc, struct crdt_dot dot,
                                  struct bytes payload)
{
    ASSERT(payload.size <= UINT32_MAX);
    struct crdt_entry *e = alloc_get(alloc, sizeof(*e) + payload.size);
    if (e == NULL) {
        return NULL;
    }
    *e = (struct crdt_entry){.dot = dot, .payload_bytes = (uint32_t)payload.size};
    if (payload.size > 0) {
        memcpy(e->payload, payload.data, payload.size);
    }
    return e;
}

void crdt_entry_free(const struct alloc *alloc, struct crdt_entry *e)
{
    alloc_put(alloc, e, sizeof(*e) + e->payload_bytes);
}

struct crdt_record *crdt_record_new(const struct alloc *alloc, struct bytes key)
{
    ASSERT(key.size > 0 && key.size <= UINT32_MAX);
    struct crdt_record *r = alloc_get(alloc, sizeof(*r) + key.size);
    if (r == NULL) {
        return NULL;
    }
    *r = (struct crdt_record){.key_bytes = (uint32_t)key.size};
    memcpy(r->key, key.data, key.size);
    return r;
}

void crdt_record_free(const struct alloc *alloc, struct crdt_record *r)
{
    alloc_put(alloc, r, sizeof(*r) + r->key_bytes);
}

static void crdt_record_link(struct crdt_state *s, struct crdt_record *r)
{
    struct bytes key = crdt_record_key(r);
    crdt_tree_insert(&s->by_key, &r->by_key, &key, crdt_order_key);
    s->records++;
}

static void crdt_entry_link(struct crdt_state *s, struct crdt_entry *e, struct crdt_record *r)
{
    e->record = r;
    crdt_tree_insert(&r->entries, &e->in_record, &e->dot, crdt_order_in_record);
    crdt_tree_insert(&s->by_dot, &e->by_dot, &e->dot, crdt_order_dot);
    r->count++;
    s->entries++;
}

void crdt_state_link(struct crdt_state *s, struct crdt_entry *e, struct crdt_record *spare)
{
    struct crdt_record *r = crdt_record_find(s, crdt_record_key(spare));
    if (r == NULL) {
        r = spare;
        crdt_record_link(s, r);
    } else {
        crdt_record_free(&s->alloc, spare);
    }
    crdt_entry_link(s, e, r);
}

int crdt_state_put(struct crdt_state *s, struct bytes key, struct crdt_dot dot,
                   struct bytes payload)
{
    struct crdt_record *r = crdt_record_find(s, key);
    struct crdt_entry *e = crdt_entry_new(&s->alloc, dot, payload);
    if (e == NULL) {
        return ERR_NO_MEMORY;
    }
    if (r == NULL) {
        r = crdt_record_new(&s->alloc, key);
        if (r == NULL) {
            crdt_entry_free(&s->alloc, e);
            return ERR_NO_MEMORY;
        }
        crdt_record_link(s, r);
    }
    crdt_entry_link(s, e, r);
    return 0;
}

void crdt_state_drop(struct crdt_state *s, struct crdt_entry *e)
{
    struct crdt_record *r = e->record;
    ASSERT(r->count > 0 && s->entries > 0);
    crdt_tree_remove(&r->entries, &e->in_record);
    crdt_tree_remove(&s->by_dot, &e->by_dot);
    crdt_entry_free(&s->alloc, e);
    s->entries--;
    if (--r->count == 0) {
        ASSERT(r->entries == NULL);
        crdt_tree_remove(&s->by_key, &r->by_key);
        crdt_record_free(&s->alloc, r);
        s->records--;
    }
}

void crdt_state_init(struct crdt_state *s, const struct alloc *alloc)
{
    *s = (struct crdt_state){.alloc = *alloc};
    crdt_context_init(&s->seen, alloc);
}

/* Frees a tree's nodes from its leaves on, cutting each off first. */
static struct crdt_node *crdt_state_leaf(struct crdt_node *n)
{
    while (n->left != NULL || n->right != NULL) {
        n = n->left != NULL ? n->left : n->right;
    }
    return n;
}

static struct crdt_node *crdt_state_cut(struct crdt_node *n)
{
    struct crdt_node *parent = n->parent;
    if (parent != NULL && parent->left == n) {
        parent->left = NULL;
    } else if (parent != NULL) {
        parent->right = NULL;
    }
    return parent;
}

void crdt_state_release(struct crdt_state *s)
{
    for (struct crdt_node *n = s->by_dot; n != NULL;) {
        struct crdt_node *leaf = crdt_state_leaf(n);
        n = crdt_state_cut(leaf);
        crdt_entry_free(&s->alloc, (struct crdt_entry *)leaf);
    }
    for (struct crdt_node *n = s->by_key; n != NULL;) {
        struct crdt_node *leaf = crdt_state_leaf(n);
        n = crdt_state_cut(leaf);
        crdt_record_free(&s->alloc, (struct crdt_record *)leaf);
    }
    crdt_context_release(&s->seen);
    alloc_put(&s->alloc, (void *)(uintptr_t)s->opaque.data, s->opaque.size);
    s->by_dot = NULL;
    s->by_key = NULL;
    s->records = 0;
    s->entries = 0;
    s->opaque = (struct bytes){0};
}

void crdt_state_clear(struct crdt_state *s)
{
    crdt_state_release(s);
}

bool crdt_state_empty(const struct crdt_state *s)
{
    return s->seen.count == 0 && s->opaque.size == 0;
}

static int crdt_state_copy_opaque(struct crdt_state *into, struct bytes opaque)
{
    uint8_t *copy = alloc_get(&into->alloc, opaque.size);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(copy, opaque.data, opaque.size);
    into->opaque = bytes_of(copy, opaque.size);
    return 0;
}

int crdt_state_copy(struct crdt_state *into, const struct crdt_state *from)
{
    struct crdt_state copy;
    crdt_state_init(&copy, &into->alloc);
    int err = crdt_context_join(&copy.seen, &from->seen);
    if (err == 0 && from->opaque.size > 0) {
        err = crdt_state_copy_opaque(&copy, from->opaque);
    }
    const struct crdt_entry *e = (const struct crdt_entry *)crdt_tree_first(from->by_dot);
    for (; err == 0 && e != NULL; e = crdt_entry_next_dot(e)) {
        err = crdt_state_put(&copy, crdt_record_key(e->record), e->dot, crdt_entry_payload(e));
    }
    if (err != 0) {
        crdt_state_release(&copy);
        return err;
    }
    crdt_state_release(into);
    *into = copy;
    return 0;
}

bool crdt_state_equal(const struct crdt_state *a, const struct crdt_state *b)
{
    if (a->entries != b->entries || !bytes_equal(a->opaque, b->opaque) ||
        !crdt_context_equal(&a->seen, &b->seen)) {
        return false;
    }
    const struct crdt_entry *x = (const struct crdt_entry *)crdt_tree_first(a->by_dot);
    const struct crdt_entry *y = (const struct crdt_entry *)crdt_tree_first(b->by_dot);
    for (; x != NULL && y != NULL; x = crdt_entry_next_dot(x), y = crdt_entry_next_dot(y)) {
        if (crdt_dot_compare(x->dot, y->dot) != 0 ||
            !bytes_equal(crdt_record_key(x->record), crdt_record_key(y->record)) ||
            !bytes_equal(crdt_entry_payload(x), crdt_entry_payload(y))) {
            return false;
        }
    }
    return true;
}
