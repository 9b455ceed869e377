/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The fragments made here lately, by number, for peers that have not acknowledged them. Bounded:
 * the oldest go, and a peer that still needed one catches up by records.
 */
#include "server/node/eventual_peers_internal.h"

#define NODE_EV_RING_LEAST 64u

void node_ev_ring_init(struct node_ev_ring *r, uint32_t items_max, uint64_t bytes_max,
                       const struct alloc *alloc)
{
    ASSERT(items_max >= NODE_EV_RING_LEAST && (items_max & (items_max - 1)) == 0);
    *r = (struct node_ev_ring){
        .items_max = items_max, .bytes_max = bytes_max, .first = 1, .next = 1, .alloc = *alloc};
}

static void node_ev_ring_drop(struct node_ev_ring *r)
{
    ASSERT(r->first < r->next);
    struct node_ev_noted *item = &r->items[r->first & (r->cap - 1)];
    alloc_put(&r->alloc, item->data, item->bytes);
    r->bytes -= item->bytes;
    r->first++;
}

void node_ev_ring_release(struct node_ev_ring *r)
{
    while (r->first < r->next) {
        node_ev_ring_drop(r);
    }
    alloc_put(&r->alloc, r->items, r->cap * sizeof *r->items);
    r->items = NULL;
    r->cap = 0;
}

static bool node_ev_ring_grow(struct node_ev_ring *r)
{
    uint32_t cap = r->cap == 0 ? NODE_EV_RING_LEAST : r->cap * 2;
    struct node_ev_noted *items = alloc_get(&r->alloc, cap * sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (uint64_t i = r->first; i < r->next; i++) {
        items[i & (cap - 1)] = r->items[i & (r->cap - 1)];
    }
    alloc_put(&r->alloc, r->items, r->cap * sizeof *items);
    r->items = items;
    r->cap = cap;
    return true;
}

static bool node_ev_ring_room(struct node_ev_ring *r, size_t bytes)
{
    while (r->first < r->next && r->bytes + bytes > r->bytes_max) {
        node_ev_ring_drop(r);
    }
    if (r->next - r->first < r->cap) {
        return true;
    }
    if (r->cap < r->items_max && node_ev_ring_grow(r)) {
        return true;
    }
    if (r->cap > 0) {
        node_ev_ring_drop(r);
    }
    return r->cap > 0;
}

void node_ev_ring_add(struct node_ev_ring *r, uint8_t region, struct bytes fragment)
{
    uint8_t *data = NULL;
    ASSERT(fragment.size > 0);
    if (fragment.size <= r->bytes_max && node_ev_ring_room(r, fragment.size)) {
        data = alloc_get(&r->alloc, fragment.size);
    }
    if (data == NULL) {
        while (r->first < r->next) {
            node_ev_ring_drop(r);
        }
        r->first = ++r->next;
        return;
    }
    memcpy(data, fragment.data, fragment.size);
    r->items[r->next & (r->cap - 1)] =
        (struct node_ev_noted){.data = data, .bytes = (uint32_t)fragment.size, .region = region};
    r->bytes += fragment.size;
    r->next++;
}

void node_ev_ring_forget(struct node_ev_ring *r, uint64_t regions)
{
    for (uint64_t i = r->first; i < r->next; i++) {
        struct node_ev_noted *item = &r->items[i & (r->cap - 1)];
        if ((regions >> item->region & 1u) != 0) {
            alloc_put(&r->alloc, item->data, item->bytes);
            r->bytes -= item->bytes;
            item->data = NULL;
            item->bytes = 0;
        }
    }
}

const struct node_ev_noted *node_ev_ring_get(const struct node_ev_ring *r, uint64_t number)
{
    ASSERT(number >= r->first && number < r->next);
    return &r->items[number & (r->cap - 1)];
}
