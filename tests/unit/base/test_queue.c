/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Queues: order, bounds, stopping, and many threads at once.
 */
#include "base/err.h"
#include "base/queue.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>

static struct queue *make(unsigned items_max)
{
    struct alloc heap = alloc_heap();
    struct queue *q = NULL;
    ck_assert_int_eq(queue_new(&heap, items_max, sizeof(uint64_t), &q), 0);
    return q;
}

START_TEST(items_come_out_in_the_order_they_went_in)
{
    struct queue *q = make(3);
    uint64_t v = 0;
    for (uint64_t i = 0; i < 10; i++) { /* past the end of the ring */
        ck_assert_int_eq(queue_put(q, &i), 0);
        uint64_t next = i + 100;
        ck_assert_int_eq(queue_put(q, &next), 0);
        ck_assert(queue_try_take(q, &v));
        ck_assert_uint_eq(v, i);
        ck_assert(queue_take(q, &v));
        ck_assert_uint_eq(v, i + 100);
    }
    ck_assert(!queue_try_take(q, &v));
    queue_free(q);
}
END_TEST

START_TEST(a_full_queue_refuses_at_once)
{
    struct queue *q = make(2);
    uint64_t v = 1;
    ck_assert_int_eq(queue_put(q, &v), 0);
    ck_assert_int_eq(queue_put(q, &v), 0);
    ck_assert_int_eq(queue_put(q, &v), ERR_BUSY);
    ck_assert_uint_eq(queue_count(q), 2);
    ck_assert(queue_try_take(q, &v));
    ck_assert_int_eq(queue_put(q, &v), 0);
    queue_free(q);
}
END_TEST

START_TEST(many_are_taken_at_once_across_the_end_of_the_ring)
{
    struct queue *q = make(5);
    uint64_t out[8] = {0};
    for (uint64_t i = 0; i < 4; i++) {
        ck_assert_int_eq(queue_put(q, &i), 0);
    }
    ck_assert_uint_eq(queue_take_many(q, out, 3), 3);
    for (uint64_t i = 4; i < 8; i++) {
        ck_assert_int_eq(queue_put(q, &i), 0);
    }
    ck_assert_uint_eq(queue_wait_many(q, out, 8), 5);
    for (uint64_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(out[i], i + 3);
    }
    ck_assert_uint_eq(queue_take_many(q, out, 8), 0);
    queue_free(q);
}
END_TEST

START_TEST(a_stopped_queue_refuses_puts_and_gives_what_is_left)
{
    struct queue *q = make(4);
    uint64_t v = 9;
    ck_assert_int_eq(queue_put(q, &v), 0);
    queue_stop(q);
    ck_assert_int_eq(queue_put(q, &v), ERR_UNAVAILABLE);
    v = 0;
    ck_assert(queue_take(q, &v));
    ck_assert_uint_eq(v, 9);
    ck_assert(!queue_take(q, &v));
    ck_assert_uint_eq(queue_wait_many(q, &v, 1), 0);
    queue_free(q);
}
END_TEST

START_TEST(a_queue_without_memory_says_so_and_leaks_nothing)
{
    for (uint64_t n = 1; n <= 2; n++) {
        struct alloc_budget budget;
        struct alloc a = alloc_budget_init(&budget, alloc_heap(), 1 << 20);
        struct queue *q = NULL;
        budget.fail_at = n;
        ck_assert_int_eq(queue_new(&a, 4, 8, &q), ERR_NO_MEMORY);
        ck_assert_ptr_null(q);
        ck_assert_uint_eq(budget.used_bytes, 0);
    }
    queue_free(NULL);
}
END_TEST

#define PRODUCERS 4u
#define CONSUMERS 3u
#define ITEMS 20000u

struct crowd {
    struct queue *q;
    unsigned me;
    uint64_t count;
    uint64_t sum;
    uint64_t last[PRODUCERS];
    bool ordered;
};

static void *produce(void *arg)
{
    struct crowd *c = arg;
    for (uint64_t i = 1; i <= ITEMS; i++) {
        uint64_t v = ((uint64_t)c->me << 32) | i;
        while (queue_put(c->q, &v) != 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void *consume(void *arg)
{
    struct crowd *c = arg;
    uint64_t items[16];
    unsigned taken;
    c->ordered = true;
    while ((taken = queue_wait_many(c->q, items, c->me == 0 ? 1 : 16)) > 0) {
        for (unsigned i = 0; i < taken; i++) {
            uint64_t from = items[i] >> 32;
            uint64_t number = items[i] & UINT32_MAX;
            c->ordered = c->ordered && number > c->last[from];
            c->last[from] = number;
            c->sum += number;
        }
        c->count += taken;
    }
    return NULL;
}

START_TEST(many_threads_lose_and_repeat_nothing)
{
    struct queue *q = make(64);
    struct crowd producers[PRODUCERS];
    struct crowd consumers[CONSUMERS];
    pthread_t threads[PRODUCERS + CONSUMERS];
    memset(producers, 0, sizeof(producers));
    memset(consumers, 0, sizeof(consumers));
    for (unsigned i = 0; i < CONSUMERS; i++) {
        consumers[i].q = q;
        consumers[i].me = i;
        ck_assert_int_eq(pthread_create(&threads[PRODUCERS + i], NULL, consume, &consumers[i]), 0);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i].q = q;
        producers[i].me = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
    }
    queue_stop(q);
    uint64_t count = 0;
    uint64_t sum = 0;
    for (unsigned i = 0; i < CONSUMERS; i++) {
        pthread_join(threads[PRODUCERS + i], NULL);
        ck_assert(consumers[i].ordered);
        count += consumers[i].count;
        sum += consumers[i].sum;
    }
    ck_assert_uint_eq(count, (uint64_t)PRODUCERS * ITEMS);
    ck_assert_uint_eq(sum, (uint64_t)PRODUCERS * ITEMS * (ITEMS + 1) / 2);
    queue_free(q);
}
END_TEST

static void *wait_for_stop(void *arg)
{
    struct crowd *c = arg;
    uint64_t v;
    c->count = queue_take(c->q, &v);
    return NULL;
}

START_TEST(stopping_wakes_every_waiting_taker)
{
    struct queue *q = make(4);
    struct crowd crowd[3];
    pthread_t threads[3];
    memset(crowd, 0xff, sizeof(crowd));
    for (unsigned i = 0; i < 3; i++) {
        crowd[i].q = q;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_for_stop, &crowd[i]), 0);
    }
    queue_stop(q);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(crowd[i].count, 0);
    }
    queue_free(q);
}
END_TEST

UNIT_MAIN("base_queue", items_come_out_in_the_order_they_went_in, a_full_queue_refuses_at_once,
          many_are_taken_at_once_across_the_end_of_the_ring,
          a_stopped_queue_refuses_puts_and_gives_what_is_left,
          a_queue_without_memory_says_so_and_leaks_nothing, many_threads_lose_and_repeat_nothing,
          stopping_wakes_every_waiting_taker)
