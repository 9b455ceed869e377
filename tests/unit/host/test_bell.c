/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Waking threads without waiting for them.
 */
#include "server/host/bell.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* A thread that waits again and again, until it is to end. */
struct sleeper {
    struct host_bell_rope rope;
    pthread_t thread;
    unsigned woken;
    int told[2]; /* a pipe: a byte each time it has come out of the bell */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct host_bell bell;
static bool ends;

static void *sleeper_main(void *arg)
{
    struct sleeper *s = arg;
    (void)pthread_mutex_lock(&lock);
    while (!ends) {
        host_bell_wait(&bell, &s->rope, &lock);
        s->woken++;
        ck_assert_int_eq(write(s->told[1], "w", 1), 1);
    }
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

static void sleeper_begin(struct sleeper *s)
{
    *s = (struct sleeper){.woken = 0};
    host_bell_rope_init(&s->rope);
    ck_assert_int_eq(pipe(s->told), 0);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, sleeper_main, s), 0);
}

static void sleeper_end(struct sleeper *s)
{
    ck_assert_int_eq(pthread_join(s->thread, NULL), 0);
    host_bell_rope_release(&s->rope);
    (void)close(s->told[0]);
    (void)close(s->told[1]);
}

static void heard(int pipe_end)
{
    char byte = 0;
    ck_assert_int_eq(read(pipe_end, &byte, 1), 1);
}

/* Until it is with the bell: the lock is free only while it waits or has not begun. */
static void until_waits(const struct sleeper *s)
{
    bool waits = false;
    while (!waits) {
        (void)pthread_mutex_lock(&lock);
        waits = s->rope.waits;
        (void)pthread_mutex_unlock(&lock);
    }
}

static unsigned ring(unsigned count)
{
    unsigned taken = 0;
    (void)pthread_mutex_lock(&lock);
    struct host_bell_rope *list = host_bell_take(&bell, count);
    for (const struct host_bell_rope *rope = list; rope != NULL; rope = rope->next) {
        taken++;
    }
    (void)pthread_mutex_unlock(&lock);
    host_bell_ring(list);
    return taken;
}

static void end_all(struct sleeper *all, unsigned count)
{
    (void)pthread_mutex_lock(&lock);
    ends = true;
    struct host_bell_rope *list = host_bell_take(&bell, count);
    (void)pthread_mutex_unlock(&lock);
    host_bell_ring(list);
    for (unsigned i = 0; i < count; i++) {
        sleeper_end(&all[i]);
    }
    ends = false;
}

START_TEST(as_many_are_woken_as_are_rung_for)
{
    struct sleeper all[4];
    ck_assert_uint_eq(ring(1), 0); /* nobody: nor will it be remembered */
    for (unsigned i = 0; i < 4; i++) {
        sleeper_begin(&all[i]);
        until_waits(&all[i]);
    }
    ck_assert_uint_eq(ring(0), 0);
    ck_assert_uint_eq(ring(1), 1);
    heard(all[3].told[0]); /* who came last */
    until_waits(&all[3]);
    ck_assert_uint_eq(ring(3), 3);
    heard(all[3].told[0]);
    heard(all[2].told[0]);
    heard(all[1].told[0]);
    for (unsigned i = 1; i < 4; i++) {
        until_waits(&all[i]);
    }
    ck_assert_uint_eq(ring(9), 4);
    for (unsigned i = 0; i < 4; i++) {
        heard(all[i].told[0]);
        until_waits(&all[i]);
    }
    ck_assert_uint_eq(all[0].woken, 1);
    ck_assert_uint_eq(all[3].woken, 3);
    end_all(all, 4);
}
END_TEST

START_TEST(a_time_passes_or_it_is_rung_before)
{
    struct host_bell_rope rope;
    struct timespec past = {.tv_sec = 0};
    host_bell_rope_init(&rope);
    (void)pthread_mutex_lock(&lock);
    ck_assert(!host_bell_wait_until(&bell, &rope, &lock, &past));
    ck_assert_ptr_null(bell.first);
    (void)pthread_mutex_unlock(&lock);
    ck_assert_uint_eq(ring(1), 0); /* it has gone */
    host_bell_rope_release(&rope);
}
END_TEST

/* It has been taken when its time is over, and is rung for a moment later. */
static struct host_bell_rope *taken_at_last;

static void *ring_taken(void *arg)
{
    (void)arg;
    (void)pthread_mutex_lock(&lock);
    while (bell.first == NULL) {
        (void)pthread_mutex_unlock(&lock);
        (void)pthread_mutex_lock(&lock);
    }
    taken_at_last = host_bell_take(&bell, 1);
    (void)pthread_mutex_unlock(&lock);
    host_bell_ring(taken_at_last);
    return NULL;
}

START_TEST(who_was_taken_is_not_out_of_time)
{
    struct host_bell_rope rope;
    struct timespec far;
    pthread_t thread;
    host_bell_rope_init(&rope);
    (void)clock_gettime(CLOCK_MONOTONIC, &far);
    far.tv_sec += 3600;
    (void)pthread_mutex_lock(&lock);
    ck_assert_int_eq(pthread_create(&thread, NULL, ring_taken, NULL), 0);
    ck_assert(host_bell_wait_until(&bell, &rope, &lock, &far));
    ck_assert_ptr_eq(taken_at_last, &rope);
    (void)pthread_mutex_unlock(&lock);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    host_bell_rope_release(&rope);
}
END_TEST

/* One that was rung waits again while who rang it goes on: neither looks at what is the other's. */
static void *wait_again(void *arg)
{
    struct host_bell_rope *rope = arg;
    struct timespec far;
    (void)clock_gettime(CLOCK_MONOTONIC, &far);
    far.tv_sec += 3600;
    (void)pthread_mutex_lock(&lock);
    while (!ends) {
        ck_assert(host_bell_wait_until(&bell, rope, &lock, &far));
    }
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

START_TEST(who_was_rung_waits_again_at_once)
{
    struct host_bell_rope ropes[2];
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        host_bell_rope_init(&ropes[i]);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_again, &ropes[i]), 0);
    }
    for (unsigned rung = 0; rung < 1000;) {
        rung += ring(2);
    }
    (void)pthread_mutex_lock(&lock);
    ends = true;
    struct host_bell_rope *last = host_bell_take(&bell, 2);
    (void)pthread_mutex_unlock(&lock);
    host_bell_ring(last);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        host_bell_rope_release(&ropes[i]);
    }
    ends = false;
}
END_TEST

/* A thread that does not run on: it is in this handler until a byte comes. */
static int held_in[2];
static int let_go[2];

static void hold(int signal)
{
    const int before = errno;
    char byte = 0;
    (void)signal;
    (void)!write(held_in[1], "h", 1);
    (void)!read(let_go[0], &byte, 1);
    errno = before;
}

/* With a condition variable the third of these waits for the first thread to run. */
START_TEST(who_rings_does_not_wait_for_who_was_rung_for)
{
    struct sleeper all[2];
    const struct sigaction held = {.sa_handler = hold, .sa_flags = SA_RESTART};
    ck_assert_int_eq(pipe(held_in), 0);
    ck_assert_int_eq(pipe(let_go), 0);
    ck_assert_int_eq(sigaction(SIGUSR1, &held, NULL), 0);
    sleeper_begin(&all[0]);
    sleeper_begin(&all[1]);
    until_waits(&all[0]);
    until_waits(&all[1]);
    ck_assert_int_eq(pthread_kill(all[0].thread, SIGUSR1), 0);
    heard(held_in[0]);
    ck_assert_uint_eq(ring(2), 2);
    for (unsigned i = 0; i < 10; i++) {
        heard(all[1].told[0]);
        until_waits(&all[1]);
        ck_assert_uint_eq(ring(2), 1);
    }
    heard(all[1].told[0]);
    until_waits(&all[1]);
    ck_assert_int_eq(write(let_go[1], "g", 1), 1);
    heard(all[0].told[0]);
    until_waits(&all[0]);
    ck_assert_uint_eq(all[0].woken, 1);
    ck_assert_uint_eq(all[1].woken, 11);
    end_all(all, 2);
}
END_TEST

UNIT_MAIN("host_bell", as_many_are_woken_as_are_rung_for, a_time_passes_or_it_is_rung_before,
          who_was_taken_is_not_out_of_time, who_was_rung_waits_again_at_once,
          who_rings_does_not_wait_for_who_was_rung_for)
