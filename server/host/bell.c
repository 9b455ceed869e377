/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/host/bell.h"

#include "base/err.h"

#include <errno.h>
#include <stddef.h>

/* The thread sanitizer's runtime of gcc 12 knows sem_wait and sem_post, and not sem_clockwait: that
 * what was done before a post is seen after the wait has to be said. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define ROPE_WAS_RUNG(rope) __tsan_acquire(&(rope)->rung)
#else
#define ROPE_WAS_RUNG(rope) ((void)(rope))
#endif

void host_bell_rope_init(struct host_bell_rope *rope)
{
    *rope = (struct host_bell_rope){.waits = false};
    int err = sem_init(&rope->rung, 0, 0);
    ASSERT(err == 0); /* of this process and 0: there is nothing to refuse */
}

void host_bell_rope_release(struct host_bell_rope *rope)
{
    (void)sem_destroy(&rope->rung);
}

static void bell_join(struct host_bell *bell, struct host_bell_rope *rope)
{
    ASSERT(!rope->waits);
    rope->next = bell->first;
    rope->waits = true;
    bell->first = rope;
}

/* Nobody took it. */
static void bell_leave(struct host_bell *bell, struct host_bell_rope *rope)
{
    struct host_bell_rope **at = &bell->first;
    while (*at != rope) {
        at = &(*at)->next;
    }
    *at = rope->next;
    rope->waits = false;
}

static void rope_wait(struct host_bell_rope *rope)
{
    while (sem_wait(&rope->rung) != 0) {
        ASSERT(errno == EINTR);
    }
}

void host_bell_wait(struct host_bell *bell, struct host_bell_rope *rope, pthread_mutex_t *lock)
{
    bell_join(bell, rope);
    (void)pthread_mutex_unlock(lock);
    rope_wait(rope);
    (void)pthread_mutex_lock(lock);
}

bool host_bell_wait_until(struct host_bell *bell, struct host_bell_rope *rope,
                          pthread_mutex_t *lock, const struct timespec *until)
{
    int err = 0;
    bell_join(bell, rope);
    (void)pthread_mutex_unlock(lock);
    do {
        err = sem_clockwait(&rope->rung, CLOCK_MONOTONIC, until) == 0 ? 0 : errno;
    } while (err == EINTR);
    (void)pthread_mutex_lock(lock);
    if (err == 0) {
        ROPE_WAS_RUNG(rope);
        return true;
    }
    if (rope->waits) {
        bell_leave(bell, rope);
        return false;
    }
    rope_wait(rope); /* who took it is about to ring */
    return true;
}

struct host_bell_rope *host_bell_take(struct host_bell *bell, unsigned count)
{
    struct host_bell_rope *taken = bell->first;
    struct host_bell_rope **end = &bell->first;
    while (count > 0 && *end != NULL) {
        (*end)->waits = false;
        end = &(*end)->next;
        count--;
    }
    struct host_bell_rope *rest = *end;
    *end = NULL;
    bell->first = rest;
    return taken == rest ? NULL : taken;
}

void host_bell_ring(struct host_bell_rope *taken)
{
    while (taken != NULL) {
        struct host_bell_rope *next = taken->next; /* it is its thread's again once it was rung */
        (void)sem_post(&taken->rung);
        taken = next;
    }
}
