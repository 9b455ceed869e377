/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: a set of names, each numbered by when it came, found by hash; and the memory that
 * one command works in.
 */
#include "base/hash.h"
#include "base/num.h"
#include "server/node/eventual_ops_internal.h"

#define NODE_EV_NAMES_FIRST 8u

#ifdef HOLDFAST_DEBUG
#define NODE_EV_BLOCK_BYTES 512u /* tests fail the allocation of each */
#else
#define NODE_EV_BLOCK_BYTES (60u << 10)
#endif
#define NODE_EV_BIG_BYTES (NODE_EV_BLOCK_BYTES / 4) /* what is larger has a block of its own */

struct node_ev_block {
    struct node_ev_block *next;
    struct node_ev_block **link; /* what points at this one */
    size_t bytes;
    _Alignas(16) uint8_t data[];
};

/* returns: a new block with room for so many bytes. */
static struct node_ev_block *node_ev_block_new(struct node_ev_scratch *s, size_t bytes)
{
    struct node_ev_block *b = NULL;
    if (bytes <= SIZE_MAX - sizeof *b) {
        b = alloc_get(&s->under, sizeof *b + bytes);
    }
    if (b == NULL) {
        return NULL;
    }
    *b = (struct node_ev_block){.next = s->blocks, .link = &s->blocks, .bytes = bytes};
    if (b->next != NULL) {
        b->next->link = &b->next;
    }
    s->blocks = b;
    return b;
}

static void node_ev_block_free(struct node_ev_scratch *s, struct node_ev_block *b)
{
    *b->link = b->next;
    if (b->next != NULL) {
        b->next->link = b->link;
    }
    alloc_put(&s->under, b, sizeof *b + b->bytes);
}

static void *node_ev_scratch_get(void *ctx, size_t bytes)
{
    struct node_ev_scratch *s = ctx;
    if (bytes > NODE_EV_BIG_BYTES) {
        struct node_ev_block *own = node_ev_block_new(s, bytes);
        return own == NULL ? NULL : own->data;
    }
    size_t size = num_round_up(bytes, 16);
    if (size > s->left) {
        struct node_ev_block *more = node_ev_block_new(s, NODE_EV_BLOCK_BYTES);
        if (more == NULL) {
            return NULL;
        }
        s->at = more->data;
        s->left = NODE_EV_BLOCK_BYTES;
    }
    void *taken = s->at;
    s->at += size;
    s->left -= size;
    return taken;
}

static void node_ev_scratch_put(void *ctx, void *memory, size_t bytes)
{
    struct node_ev_scratch *s = ctx;
    size_t size = num_round_up(bytes, 16);
    if (bytes > NODE_EV_BIG_BYTES) {
        node_ev_block_free(
            s, (struct node_ev_block *)(void *)((uint8_t *)memory - sizeof(struct node_ev_block)));
    } else if ((uint8_t *)memory + size == s->at) { /* it was the last one */
        s->at = memory;
        s->left += size;
    }
}

struct alloc node_ev_scratch_init(struct node_ev_scratch *s, const struct alloc *under)
{
    s->under = *under;
    s->blocks = NULL;
    s->at = s->first;
    s->left = sizeof s->first;
    return (struct alloc){.get = node_ev_scratch_get, .put = node_ev_scratch_put, .ctx = s};
}

void node_ev_scratch_release(struct node_ev_scratch *s)
{
    while (s->blocks != NULL) {
        node_ev_block_free(s, s->blocks);
    }
}

void node_ev_names_init(struct node_ev_names *names, const struct alloc *alloc)
{
    *names = (struct node_ev_names){0};
    buf_init(&names->bytes, alloc, NODE_EV_NAMES_BYTES_MAX);
}

void node_ev_names_release(struct node_ev_names *names)
{
    const struct alloc *alloc = &names->bytes.alloc;
    alloc_put(alloc, names->items, names->cap * sizeof *names->items);
    alloc_put(alloc, names->slots, 2 * (size_t)names->cap * sizeof *names->slots);
    buf_release(&names->bytes);
    names->items = NULL;
    names->slots = NULL;
    names->count = 0;
    names->cap = 0;
}

static void node_ev_names_link(struct node_ev_names *names, uint32_t i)
{
    uint32_t slot = (uint32_t)names->items[i].hash & names->mask;
    while (names->slots[slot] != 0) {
        slot = (slot + 1) & names->mask;
    }
    names->slots[slot] = i + 1;
}

/* Twice as many slots as names: a search soon comes to a free one. */
static int node_ev_names_grow(struct node_ev_names *names)
{
    const struct alloc *alloc = &names->bytes.alloc;
    uint32_t cap = NUM_MAX(names->cap * 2, NODE_EV_NAMES_FIRST);
    struct node_ev_name *items = alloc_get_zeroed(alloc, cap, sizeof *items);
    uint32_t *slots = alloc_get_zeroed(alloc, 2 * (size_t)cap, sizeof *slots);
    if (items == NULL || slots == NULL) {
        alloc_put(alloc, items, cap * sizeof *items);
        alloc_put(alloc, slots, 2 * (size_t)cap * sizeof *slots);
        return ERR_NO_MEMORY;
    }
    if (names->count > 0) {
        memcpy(items, names->items, names->count * sizeof *items);
    }
    alloc_put(alloc, names->items, names->cap * sizeof *items);
    alloc_put(alloc, names->slots, 2 * (size_t)names->cap * sizeof *slots);
    names->items = items;
    names->slots = slots;
    names->cap = cap;
    names->mask = 2 * cap - 1;
    for (uint32_t i = 0; i < names->count; i++) {
        node_ev_names_link(names, i);
    }
    return 0;
}

struct bytes node_ev_names_at(const struct node_ev_names *names, uint32_t i)
{
    ASSERT(i < names->count);
    return bytes_of(names->bytes.data + names->items[i].at, names->items[i].size);
}

static uint32_t node_ev_names_seek(const struct node_ev_names *names, struct bytes name,
                                   uint64_t hash)
{
    if (names->count == 0) {
        return NODE_EV_NAME_NONE;
    }
    for (uint32_t slot = (uint32_t)hash & names->mask; names->slots[slot] != 0;
         slot = (slot + 1) & names->mask) {
        uint32_t i = names->slots[slot] - 1;
        if (names->items[i].hash == hash && bytes_equal(node_ev_names_at(names, i), name)) {
            return i;
        }
    }
    return NODE_EV_NAME_NONE;
}

uint32_t node_ev_names_find(const struct node_ev_names *names, struct bytes name)
{
    return node_ev_names_seek(names, name, hash_of(name, 0));
}

int node_ev_names_add(struct node_ev_names *names, struct bytes name, uint32_t *number)
{
    uint64_t hash = hash_of(name, 0);
    *number = node_ev_names_seek(names, name, hash);
    if (*number != NODE_EV_NAME_NONE) {
        return 0;
    }
    if (names->count == names->cap) {
        TRY(node_ev_names_grow(names));
    }
    size_t at = names->bytes.size;
    TRY(buf_append(&names->bytes, name.data, name.size));
    names->items[names->count] = (struct node_ev_name){hash, (uint32_t)at, (uint32_t)name.size};
    node_ev_names_link(names, names->count);
    *number = names->count++;
    return 0;
}
