/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Wakes threads that wait for work, and never waits for them. A condition variable may: that of
 * glibc has who signals wait until those it signalled before have run (its two groups of waiters
 * take turns), and a thread of programs runs when the others leave it a core.
 *
 *   lock; while (nothing to do) host_bell_wait(&bell, &my_rope, &lock); take some; unlock
 *   lock; put some; list = host_bell_take(&bell, 1); unlock; host_bell_ring(list)
 *
 * threads: any; a rope is of one thread, and of one bell at a time.
 */
#ifndef HOLDFAST_HOST_BELL_H
#define HOLDFAST_HOST_BELL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <time.h>

struct host_bell_rope {
    sem_t rung;
    struct host_bell_rope *next;
    bool waits; /* it is with the bell */
};

/* All zeros: nobody waits. The last who began to wait is the first who is woken. */
struct host_bell {
    struct host_bell_rope *first;
};

void host_bell_rope_init(struct host_bell_rope *rope);
void host_bell_rope_release(struct host_bell_rope *rope);

/* Under the lock, which is given up meanwhile. Returns when it was rung, and not before. */
void host_bell_wait(struct host_bell *bell, struct host_bell_rope *rope, pthread_mutex_t *lock);
/* The same, to a time of CLOCK_MONOTONIC. returns: whether it was rung. */
bool host_bell_wait_until(struct host_bell *bell, struct host_bell_rope *rope,
                          pthread_mutex_t *lock, const struct timespec *until);

/* Under the lock. returns: up to so many that wait, who are to be rung for; NULL: nobody waits. */
struct host_bell_rope *host_bell_take(struct host_bell *bell, unsigned count);
/* With the lock or without it. */
void host_bell_ring(struct host_bell_rope *taken);

#endif
