/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A ring under one mutex. The lock is held for one memcpy of a small item (or one batch), so it is
 * never the bottleneck next to a sync or an encode; waiting takers sleep on a condition variable.
 */
#include "base/queue.h"

#include "base/err.h"
#include "base/num.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct alloc alloc;
    uint8_t *ring;
    size_t item_bytes;
    unsigned items_max;
    unsigned head; /* place of the oldest item */
    unsigned count;
    unsigned waiting; /* takers asleep: nobody to wake is the common case on the loop's side */
    bool stopped;
};

int queue_new(const struct alloc *alloc, unsigned items_max, size_t item_bytes, struct queue **out)
{
    ASSERT(items_max > 0 && item_bytes > 0);
    struct queue *q = alloc_get_zeroed(alloc, 1, sizeof(*q));
    if (q == NULL) {
        return ERR_NO_MEMORY;
    }
    q->alloc = *alloc;
    q->items_max = items_max;
    q->item_bytes = item_bytes;
    q->ring = alloc_get_zeroed(alloc, items_max, item_bytes);
    if (q->ring == NULL) {
        alloc_put(alloc, q, sizeof(*q));
        return ERR_NO_MEMORY;
    }
    if (pthread_mutex_init(&q->lock, NULL) != 0) {
        goto out;
    }
    if (pthread_cond_init(&q->filled, NULL) != 0) {
        (void)pthread_mutex_destroy(&q->lock);
        goto out;
    }
    *out = q;
    return 0;
out:
    alloc_put(alloc, q->ring, (size_t)items_max * item_bytes);
    alloc_put(alloc, q, sizeof(*q));
    return ERR_NO_MEMORY;
}

void queue_free(struct queue *q)
{
    if (q == NULL) {
        return;
    }
    ASSERT(q->waiting == 0);
    struct alloc alloc = q->alloc;
    (void)pthread_cond_destroy(&q->filled);
    (void)pthread_mutex_destroy(&q->lock);
    alloc_put(&alloc, q->ring, (size_t)q->items_max * q->item_bytes);
    alloc_put(&alloc, q, sizeof(*q));
}

static void queue_lock(struct queue *q)
{
    int err = pthread_mutex_lock(&q->lock);
    ASSERT(err == 0);
    DASSERT(q->count <= q->items_max && q->head < q->items_max);
}

static void queue_unlock(struct queue *q)
{
    int err = pthread_mutex_unlock(&q->lock);
    ASSERT(err == 0);
}

int queue_put(struct queue *q, const void *item)
{
    int err = 0;
    queue_lock(q);
    if (q->stopped) {
        err = ERR_UNAVAILABLE;
    } else if (q->count == q->items_max) {
        err = ERR_BUSY;
    } else {
        unsigned place = (unsigned)(((uint64_t)q->head + q->count) % q->items_max);
        memcpy(q->ring + place * q->item_bytes, item, q->item_bytes);
        q->count++;
        if (q->waiting > 0) {
            (void)pthread_cond_signal(&q->filled);
        }
    }
    queue_unlock(q);
    return err;
}

/* Copies out what is there, at most max; in two runs where the ring wraps. */
static unsigned queue_drain_locked(struct queue *q, void *items, unsigned max)
{
    uint8_t *into = items;
    unsigned taken = NUM_MIN(max, q->count);
    unsigned first = NUM_MIN(taken, q->items_max - q->head);
    memcpy(into, q->ring + q->head * q->item_bytes, first * q->item_bytes);
    memcpy(into + first * q->item_bytes, q->ring, (taken - first) * q->item_bytes);
    q->head = (unsigned)(((uint64_t)q->head + taken) % q->items_max);
    q->count -= taken;
    return taken;
}

unsigned queue_take_many(struct queue *q, void *items, unsigned max)
{
    queue_lock(q);
    unsigned taken = queue_drain_locked(q, items, max);
    queue_unlock(q);
    return taken;
}

unsigned queue_wait_many(struct queue *q, void *items, unsigned max)
{
    ASSERT(max > 0);
    queue_lock(q);
    while (q->count == 0 && !q->stopped) {
        q->waiting++;
        int err = pthread_cond_wait(&q->filled, &q->lock);
        q->waiting--;
        ASSERT(err == 0);
    }
    unsigned taken = queue_drain_locked(q, items, max);
    queue_unlock(q);
    return taken;
}

bool queue_take(struct queue *q, void *item)
{
    return queue_wait_many(q, item, 1) == 1;
}

bool queue_try_take(struct queue *q, void *item)
{
    return queue_take_many(q, item, 1) == 1;
}

unsigned queue_count(struct queue *q)
{
    queue_lock(q);
    unsigned count = q->count;
    queue_unlock(q);
    return count;
}

void queue_stop(struct queue *q)
{
    queue_lock(q);
    q->stopped = true;
    (void)pthread_cond_broadcast(&q->filled);
    queue_unlock(q);
}
