/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Events in a heap of four children a place, ordered by (time, number); packets in lists by size;
 * and the cores' memory: one range of huge pages, so that 10,000 cores do not fault in page by page
 * and the next run finds them there.
 */
#include "tests/gossip/gsim.h"

#include "base/attr.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GSIM_ARENA_BYTES (96ull << 30) /* of addresses; memory is taken as it is written */
#define GSIM_POOL_LEAST 64u

static bool gsim_event_before(const struct gsim_event *a, const struct gsim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->key < b->key;
}

void gsim_queue_push(struct gsim_queue *q, uint64_t at_us, enum gsim_event_kind kind,
                     struct gsim_event event)
{
    if (q->count == q->cap) {
        q->cap = q->cap == 0 ? 4096 : q->cap * 2;
        q->events = realloc(q->events, q->cap * sizeof(*q->events));
        ASSERT(q->events != NULL);
    }
    event.at_us = at_us;
    event.key = q->number++ << 8 | (uint64_t)kind;
    size_t at = q->count++;
    while (at > 0 && gsim_event_before(&event, &q->events[(at - 1) / 4])) {
        q->events[at] = q->events[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    q->events[at] = event;
}

bool gsim_queue_pop(struct gsim_queue *q, struct gsim_event *out)
{
    if (q->count == 0) {
        return false;
    }
    *out = q->events[0];
    struct gsim_event last = q->events[--q->count];
    size_t at = 0;
    while (at * 4 + 1 < q->count) {
        size_t first = at * 4 + 1, least = first;
        size_t end = first + 4 < q->count ? first + 4 : q->count;
        for (size_t i = first + 1; i < end; i++) {
            if (gsim_event_before(&q->events[i], &q->events[least])) {
                least = i;
            }
        }
        if (!gsim_event_before(&q->events[least], &last)) {
            break;
        }
        q->events[at] = q->events[least];
        at = least;
    }
    q->events[at] = last;
    return true;
}

struct gsim_packet *gsim_packet_get(struct gsim_queue *q, size_t bytes)
{
    unsigned pool = 0;
    while (pool + 1 < GSIM_POOLS && ((size_t)GSIM_POOL_LEAST << pool) < bytes) {
        pool++;
    }
    struct gsim_packet *p = q->idle[pool];
    if (pool + 1 == GSIM_POOLS) {
        p = malloc(sizeof(*p) + bytes);
    } else if (p != NULL) {
        q->idle[pool] = p->next;
    } else {
        p = malloc(sizeof(*p) + ((size_t)GSIM_POOL_LEAST << pool));
    }
    ASSERT(p != NULL);
    memset(p, 0, sizeof(*p));
    p->pool = (uint8_t)pool;
    p->size = (uint32_t)bytes;
    return p;
}

void gsim_packet_put(struct gsim_queue *q, struct gsim_packet *p)
{
    if (p->pool + 1 == GSIM_POOLS) {
        free(p);
        return;
    }
    p->next = q->idle[p->pool];
    q->idle[p->pool] = p;
}

void gsim_queue_release(struct gsim_queue *q)
{
    struct gsim_event event;
    while (gsim_queue_pop(q, &event)) {
        enum gsim_event_kind kind = (enum gsim_event_kind)(event.key & 255u);
        if (kind == GSIM_EV_PACKET || kind == GSIM_EV_DONE) {
            gsim_packet_put(q, event.of.packet);
        }
    }
    for (unsigned pool = 0; pool < GSIM_POOLS; pool++) {
        while (q->idle[pool] != NULL) {
            struct gsim_packet *p = q->idle[pool];
            q->idle[pool] = p->next;
            free(p);
        }
    }
    free(q->events);
    *q = (struct gsim_queue){0};
}

/* ---- memory */

static void *gsim_arena_get(void *ctx, size_t bytes)
{
    struct gsim_arena *a = ctx;
    bytes = (bytes + 63) & ~(size_t)63;
    a->held_bytes += bytes;
    a->peak_bytes = a->held_bytes > a->peak_bytes ? a->held_bytes : a->peak_bytes;
    for (unsigned i = 0; i < 64 && a->idle[i].bytes != 0; i++) {
        if (a->idle[i].bytes == bytes && a->idle[i].head != NULL) {
            void *memory = a->idle[i].head;
            memcpy(&a->idle[i].head, memory, sizeof(void *));
            return memory;
        }
    }
    if (a->base == NULL) {
        a->cap = GSIM_ARENA_BYTES;
        a->base = mmap(NULL, a->cap, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        ASSERT(a->base != MAP_FAILED);
        (void)madvise(a->base, a->cap, MADV_HUGEPAGE);
    }
    if (a->cap - a->used < bytes) {
        return NULL;
    }
    a->used += bytes;
    return a->base + a->used - bytes;
}

static void gsim_arena_put(void *ctx, void *memory, size_t bytes)
{
    struct gsim_arena *a = ctx;
    bytes = (bytes + 63) & ~(size_t)63;
    a->held_bytes -= bytes;
    for (unsigned i = 0; i < 64; i++) {
        if (a->idle[i].bytes == bytes || a->idle[i].bytes == 0) {
            memcpy(memory, &a->idle[i].head, sizeof(void *));
            a->idle[i].bytes = bytes;
            a->idle[i].head = memory;
            return;
        }
    }
}

struct alloc gsim_arena_alloc(struct gsim_arena *a)
{
    return (struct alloc){.get = gsim_arena_get, .put = gsim_arena_put, .ctx = a};
}

void gsim_arena_reset(struct gsim_arena *a)
{
    a->used = 0;
    a->held_bytes = 0;
    a->peak_bytes = 0;
    memset(a->idle, 0, sizeof(a->idle));
}
