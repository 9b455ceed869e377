/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bounded queue of items of one fixed size (a job, a completion, a pointer) between threads. Full
 * is a refusal, never growth and never a wait of the producer.
 *
 *   TRY(queue_new(&heap, 1024, sizeof(struct job), &q));
 *   queue_put(q, &job);                  any thread: 0, ERR_BUSY, ERR_UNAVAILABLE once stopped
 *   while (queue_take(q, &job)) { ... }  a worker: false once stopped and empty
 *   queue_take_many(q, jobs, 64);        the loop thread: takes what is there, never waits
 *   queue_stop(q); join the workers; queue_free(q);
 *
 * Items keep their order: what one thread put first is taken first.
 *
 * threads: put, take and stop from any thread; new and free when nobody else uses it.
 */
#ifndef HOLDFAST_BASE_QUEUE_H
#define HOLDFAST_BASE_QUEUE_H

#include "base/alloc.h"

#include <stdbool.h>
#include <stddef.h>

struct queue;

/* items_max, item_bytes: > 0. returns: 0 or ERR_NO_MEMORY. */
int queue_new(const struct alloc *alloc, unsigned items_max, size_t item_bytes, struct queue **out);
/* Items still inside are forgotten. q may be NULL. */
void queue_free(struct queue *q);

/* Copies *item in. returns: 0, ERR_BUSY (full) or ERR_UNAVAILABLE (stopped). */
int queue_put(struct queue *q, const void *item);

/* Waits for an item and copies it out. returns: false once stopped and empty. */
bool queue_take(struct queue *q, void *item);
/* Does not wait. returns: whether an item was taken. */
bool queue_try_take(struct queue *q, void *item);
/* Takes up to max items at once, in order, without waiting. returns: how many. */
unsigned queue_take_many(struct queue *q, void *items, unsigned max);
/* Waits for the first item, then takes up to max at once: a batch for one sync.
 * returns: how many; 0 once stopped and empty. */
unsigned queue_wait_many(struct queue *q, void *items, unsigned max);

/* returns: items inside at this moment. */
unsigned queue_count(struct queue *q);

/* Refuses further puts and wakes every waiting taker; what is inside can still be taken. */
void queue_stop(struct queue *q);

#endif
