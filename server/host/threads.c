/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The threads beside the loop: one that writes the WAL, one that flushes, one that writes shards
 * with one sync for many, readers, workers, and workers of programs. Jobs go in and come back as
 * pointers, under one lock a pool; the loop is woken once for all that has come back meanwhile.
 *
 * Lanes of the workers, by priority: foreground, repair. Repair keeps a share where there are
 * workers enough: the last worker looks for it first; and at least one worker is never in it.
 *
 * Programs have workers of their own, with a tenth of the others' weight in the kernel's eyes: any
 * thread of the node that wakes runs at once, and programs have what is left, but never nothing.
 * The others have short slices, so that they need not wait for the slice of whatever else runs.
 * They hold locks for some instructions only, and are woken by a bell, not a condition variable,
 * whose signal may wait for a thread that was put off. They wake the loop by an eventfd: with
 * libuv's own way the loop spins for as long as such a thread is within its call.
 */
#include "server/host/host_internal.h"

#include "base/num.h"
#include "server/host/bell.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS_IDLE_NS 20000000L          /* a log without batches for so long is quiet */
#define THREADS_MAINTAIN_BYTES (4u << 20)  /* one step of housekeeping */
#define THREADS_SHARD_IDLE_S 1             /* shards are tidied up after so long a pause */
#define THREADS_MAINTAIN_EVERY (16u << 20) /* of log written without a pause */
#define THREADS_PROGRAMS_NICE 10           /* sched(7): a step is a factor of 1.25 */
#define THREADS_LANES_MAX 2
#define THREADS_SLICE_NS 500000u /* of the node's own threads; the kernel's usual is some ms */

/* As sched_setattr(2) has it; the C library does not know it, and the kernel's header not the C
 * library. */
struct thread_attr {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns; /* of a slice */
    uint64_t deadline_ns;
    uint64_t period_ns;
};

#define THREAD_KEEP_POLICY 0x08u

/* First in, first out; grows, because what the node has admitted is never refused here. */
struct host_ring {
    void **items;
    unsigned cap;
    unsigned head;
    unsigned count;
};

struct host_pool;

struct host_worker {
    struct host_pool *pool;
    struct node_env env;
    struct compute *compute;
    pthread_t thread;
    struct host_bell_rope rope;
    unsigned index;
    unsigned lane; /* of the job in work */
    bool busy;
    bool started;
    unsigned done_count;
    struct host_done done[HOST_DONE_MAX];
};

struct host_pool {
    struct host_threads *all;
    pthread_mutex_t lock;
    struct host_bell bell;
    struct host_worker *workers;
    unsigned workers_count;
    unsigned lanes_count;
    unsigned behind;   /* at work in the lane behind */
    unsigned done_max; /* completions are given back in batches of so many at most */
    int nice;
    bool stop;
    struct host_ring lanes[THREADS_LANES_MAX];
    void (*run)(struct host_worker *w);
};

enum { POOL_READ = 0, POOL_FLUSH, POOL_SHARD, POOL_WORK, POOL_PROGRAMS, POOL_WAL, POOLS };

struct host_threads {
    struct host *host;
    struct alloc heap;
    struct host_pool pools[POOLS];
    pthread_mutex_t lock; /* of the completions */
    struct host_done *done;
    struct host_done *taken;
    unsigned done_cap;
    unsigned done_count;
    unsigned taken_cap;
};

/* ---- ring ----------------------------------------------------------------------------------- */

static void ring_push(struct host_ring *r, const struct alloc *heap, void *item)
{
    if (r->count == r->cap) {
        unsigned cap = r->cap == 0 ? 64 : r->cap * 2;
        void **items = alloc_get(heap, cap * sizeof(void *));
        ASSERT(items != NULL); /* some KiB; nothing can go on without them */
        for (unsigned i = 0; i < r->count; i++) {
            items[i] = r->items[(r->head + i) % r->cap];
        }
        alloc_put(heap, r->items, r->cap * sizeof(void *));
        r->items = items;
        r->cap = cap;
        r->head = 0;
    }
    r->items[(r->head + r->count) % r->cap] = item;
    r->count++;
}

static void *ring_pop(struct host_ring *r)
{
    ASSERT(r->count > 0);
    void *item = r->items[r->head];
    r->head = (r->head + 1) % r->cap;
    r->count--;
    return item;
}

/* ---- completions ---------------------------------------------------------------------------- */

static void threads_give_back(struct host_threads *t, const struct host_done *done, unsigned count)
{
    (void)pthread_mutex_lock(&t->lock);
    bool first = t->done_count == 0;
    if (t->done_count + count > t->done_cap) {
        unsigned cap = NUM_MAX(256u, (t->done_count + count) * 2);
        struct host_done *grown = alloc_get(&t->heap, cap * sizeof(*grown));
        ASSERT(grown != NULL);
        if (t->done_count > 0) {
            memcpy(grown, t->done, t->done_count * sizeof(*grown));
        }
        alloc_put(&t->heap, t->done, t->done_cap * sizeof(*grown));
        t->done = grown;
        t->done_cap = cap;
    }
    memcpy(t->done + t->done_count, done, count * sizeof(*done));
    t->done_count += count;
    (void)pthread_mutex_unlock(&t->lock);
    if (first) {
        host_wake(t->host);
    }
}

unsigned host_threads_done(struct host_threads *t, struct host_done **out)
{
    (void)pthread_mutex_lock(&t->lock);
    struct host_done *done = t->done;
    unsigned cap = t->done_cap;
    unsigned count = t->done_count;
    t->done = t->taken;
    t->done_cap = t->taken_cap;
    t->done_count = 0;
    t->taken = done;
    t->taken_cap = cap;
    (void)pthread_mutex_unlock(&t->lock);
    *out = done;
    return count;
}

/* ---- job pools ------------------------------------------------------------------------------ */

/* Under the pool's lock. returns: the lane this worker takes from now, or lanes_count. */
static unsigned pool_pick(const struct host_pool *p, unsigned index)
{
    bool may_behind = p->workers_count == 1 || p->behind + 1 < p->workers_count;
    bool behind = p->lanes_count > 1 && p->lanes[1].count > 0 && may_behind;
    bool first = p->workers_count > 1 && index + 1 == p->workers_count;
    if (behind && (first || p->lanes[0].count == 0)) {
        return 1;
    }
    return p->lanes[0].count > 0 ? 0 : p->lanes_count;
}

static void worker_give_back(struct host_worker *w)
{
    if (w->done_count > 0) {
        threads_give_back(w->pool->all, w->done, w->done_count);
        w->done_count = 0;
    }
}

/* The job run last is over. Under the pool's lock. */
static void worker_leave(struct host_worker *w)
{
    struct host_pool *p = w->pool;
    if (w->busy && w->lane > 0) {
        p->behind--;
        if (p->lanes[1].count > 0) {
            host_bell_ring(host_bell_take(&p->bell, 1)); /* it may have waited for this share */
        }
    }
    w->busy = false;
}

/* Waits for a job. returns: NULL once stopped. */
static struct node_job *worker_take(struct host_worker *w)
{
    struct host_pool *p = w->pool;
    struct node_job *job = NULL;
    (void)pthread_mutex_lock(&p->lock);
    worker_leave(w);
    unsigned lane = pool_pick(p, w->index);
    if (lane == p->lanes_count && w->done_count > 0) {
        (void)pthread_mutex_unlock(&p->lock);
        worker_give_back(w); /* nothing more to do now: let the loop have them */
        (void)pthread_mutex_lock(&p->lock);
        lane = pool_pick(p, w->index);
    }
    while (!p->stop && lane == p->lanes_count) {
        host_bell_wait(&p->bell, &w->rope, &p->lock);
        lane = pool_pick(p, w->index);
    }
    if (!p->stop) {
        job = ring_pop(&p->lanes[lane]);
        p->behind += lane > 0;
        w->lane = lane;
        w->busy = true;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return job;
}

static void worker_run_jobs(struct host_worker *w)
{
    struct node_job *job = worker_take(w);
    while (job != NULL) {
        node_job_run(job, &w->env);
        w->done[w->done_count++] = (struct host_done){.job = job};
        if (w->done_count >= w->pool->done_max) {
            worker_give_back(w);
        }
        job = worker_take(w);
    }
    worker_give_back(w);
}

/* ---- shards --------------------------------------------------------------------------------- */

/* Waits until there is something to take. returns: false after a pause. Under the lock. */
static bool worker_wait_until(struct host_worker *w, time_t seconds, long nanoseconds)
{
    struct host_pool *p = w->pool;
    struct timespec until;
    bool rung = true;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    until.tv_nsec += nanoseconds;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (!p->stop && p->lanes[0].count == 0 && rung) {
        rung = host_bell_wait_until(&p->bell, &w->rope, &p->lock, &until);
    }
    return rung || p->stop || p->lanes[0].count > 0;
}

static void worker_wait(struct host_worker *w)
{
    struct host_pool *p = w->pool;
    while (!p->stop && p->lanes[0].count == 0) {
        host_bell_wait(&p->bell, &w->rope, &p->lock);
    }
}

static void shard_batch(struct host_worker *w, struct node_job **jobs, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        node_job_run(jobs[i], &w->env);
    }
    int err = node_jobs_sync(&w->env);
    for (unsigned i = 0; i < count; i++) {
        if (err != 0) {
            jobs[i]->code = err;
        }
        w->done[w->done_count++] = (struct host_done){.job = jobs[i]};
        if (w->done_count == HOST_DONE_MAX) {
            worker_give_back(w);
        }
    }
    worker_give_back(w);
}

static void worker_run_shards(struct host_worker *w)
{
    struct host_pool *p = w->pool;
    struct node_job *jobs[HOST_JOBS_MAX];
    bool tidy = true; /* something may be left to compact */
    (void)pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        if (tidy && !worker_wait_until(w, THREADS_SHARD_IDLE_S, 0)) {
            (void)pthread_mutex_unlock(&p->lock);
            bool more = false;
            tidy = store_segments_maintain(w->env.segments, THREADS_MAINTAIN_BYTES, &more) == 0 &&
                   more;
            (void)pthread_mutex_lock(&p->lock);
            continue;
        }
        worker_wait(w);
        unsigned count = 0;
        while (!p->stop && count < HOST_JOBS_MAX && p->lanes[0].count > 0) {
            jobs[count++] = ring_pop(&p->lanes[0]);
        }
        (void)pthread_mutex_unlock(&p->lock);
        if (count > 0) {
            shard_batch(w, jobs, count);
            tidy = true;
        }
        (void)pthread_mutex_lock(&p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
}

/* ---- write-ahead log ------------------------------------------------------------------------ */

/* A log that failed outside of a batch has nobody who waits for it: the host is told by a
 * completion without a batch. A full disk passes: the next batch will find out. returns: whether it
 * failed. */
static bool wal_failed(struct host_worker *w, int code)
{
    if (code == 0 || code == ERR_DISK_FULL) {
        return false;
    }
    struct host_done done = {.code = code};
    threads_give_back(w->pool->all, &done, 1);
    return true;
}

/* Housekeeping of a quiet log. returns: 0 with *more telling whether some is left, or an error. */
static int wal_tidy(struct host_worker *w, bool *idle_due, bool *more)
{
    *more = true;
    if (*idle_due) {
        *idle_due = false;
        return store_wal_idle(w->env.wal);
    }
    return store_wal_maintain(w->env.wal, THREADS_MAINTAIN_BYTES, more);
}

/* A log that is never quiet is tidied between batches. */
static int wal_tidy_busy(struct host_worker *w, uint64_t *tidied_bytes)
{
    struct store_wal_stats stats;
    bool more = false;
    store_wal_stats_get(w->env.wal, &stats);
    if (stats.bytes - *tidied_bytes < THREADS_MAINTAIN_EVERY) {
        return 0;
    }
    *tidied_bytes = stats.bytes;
    return store_wal_maintain(w->env.wal, THREADS_MAINTAIN_BYTES, &more);
}

static void worker_run_wal(struct host_worker *w)
{
    struct host_pool *p = w->pool;
    uint64_t tidied_bytes = 0;
    bool tidy = true;
    bool idle_due = false;
    bool failed = false;
    (void)pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        if (tidy && !failed && !worker_wait_until(w, 0, THREADS_IDLE_NS)) {
            (void)pthread_mutex_unlock(&p->lock);
            int err = wal_tidy(w, &idle_due, &tidy);
            failed = wal_failed(w, err);
            tidy = tidy && err == 0;
            (void)pthread_mutex_lock(&p->lock);
            continue;
        }
        worker_wait(w);
        if (p->stop) {
            break;
        }
        struct node_wal_batch *batch = ring_pop(&p->lanes[0]);
        (void)pthread_mutex_unlock(&p->lock);
        int code = node_wal_run(batch, &w->env);
        struct host_done done = {.batch = batch, .code = code};
        threads_give_back(p->all, &done, 1);
        failed = failed || code == ERR_IO;
        tidy = true;
        idle_due = true;
        failed = failed || wal_failed(w, wal_tidy_busy(w, &tidied_bytes));
        (void)pthread_mutex_lock(&p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (idle_due && !failed) {
        (void)store_wal_idle(w->env.wal);
    }
}

/* ---- all of them ---------------------------------------------------------------------------- */

/* On Linux nice values are of this thread alone. slice_ns 0: as the kernel has it. Linux
 * before 6.12 has one slice for all, and takes no notice; who is not let does without. */
static void thread_shape(int nice, uint64_t slice_ns)
{
    const struct thread_attr shape = {.size = sizeof(shape),
                                      .flags = THREAD_KEEP_POLICY,
                                      .nice = getpriority(PRIO_PROCESS, 0) + nice,
                                      .runtime_ns = slice_ns};
    if (syscall(SYS_sched_setattr, 0, &shape, 0) != 0) {
        (void)setpriority(PRIO_PROCESS, 0, shape.nice);
    }
}

void host_thread_prompt(void)
{
    thread_shape(0, THREADS_SLICE_NS);
}

static void *worker_main(void *arg)
{
    struct host_worker *w = arg;
    thread_shape(w->pool->nice, w->pool->nice > 0 ? 0 : THREADS_SLICE_NS);
    w->pool->run(w);
    return NULL;
}

static int pool_start(struct host_pool *p, const struct node_env *env, unsigned workers,
                      struct err_info *why)
{
    const struct alloc *heap = &p->all->heap;
    (void)pthread_mutex_init(&p->lock, NULL);
    p->workers = alloc_get_zeroed(heap, workers, sizeof(struct host_worker));
    if (p->workers == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for threads");
    }
    p->workers_count = workers;
    for (unsigned i = 0; i < workers; i++) {
        host_bell_rope_init(&p->workers[i].rope);
    }
    for (unsigned i = 0; i < workers; i++) {
        struct host_worker *w = &p->workers[i];
        w->pool = p;
        w->index = i;
        w->env = *env;
        TRY(compute_new(&w->compute, heap, why));
        w->env.compute = w->compute;
        int err = pthread_create(&w->thread, NULL, worker_main, w);
        if (err != 0) {
            return err_set(why, ERR_NO_MEMORY, "cannot start a thread: %s", strerror(err));
        }
        w->started = true;
    }
    return 0;
}

static void pool_stop(struct host_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->stop = true;
    struct host_bell_rope *all = host_bell_take(&p->bell, p->workers_count);
    (void)pthread_mutex_unlock(&p->lock);
    host_bell_ring(all);
    for (unsigned i = 0; i < p->workers_count; i++) {
        if (p->workers[i].started) {
            (void)pthread_join(p->workers[i].thread, NULL);
        }
    }
}

static void pool_release(struct host_pool *p)
{
    const struct alloc *heap = &p->all->heap;
    for (unsigned i = 0; i < p->workers_count; i++) {
        compute_free(p->workers[i].compute);
        host_bell_rope_release(&p->workers[i].rope);
    }
    alloc_put(heap, p->workers, p->workers_count * sizeof(struct host_worker));
    for (unsigned i = 0; i < THREADS_LANES_MAX; i++) {
        alloc_put(heap, p->lanes[i].items, p->lanes[i].cap * sizeof(void *));
    }
    (void)pthread_mutex_destroy(&p->lock);
}

int host_threads_start(struct host_threads **out, struct host *h, const struct node_env *env,
                       struct err_info *why)
{
    const struct limits *l = &h->settings->limits;
    const unsigned workers = (unsigned)l->workers;
    const struct {
        unsigned workers;
        unsigned lanes;
        unsigned done_max;
        int nice;
        void (*run)(struct host_worker *w);
    } shape[POOLS] = {
        [POOL_READ] = {(unsigned)l->readers, 1, 4, 0, worker_run_jobs},
        [POOL_FLUSH] = {1, 1, 1, 0, worker_run_jobs},
        [POOL_SHARD] = {1, 1, 1, 0, worker_run_shards},
        [POOL_WORK] = {workers, 2, 1, 0, worker_run_jobs},
        [POOL_PROGRAMS] = {NUM_MAX(workers - 1, 1u), 1, 1, THREADS_PROGRAMS_NICE, worker_run_jobs},
        [POOL_WAL] = {1, 1, 1, 0, worker_run_wal},
    };
    struct host_threads *t = alloc_get_zeroed(&h->heap, 1, sizeof(*t));
    if (t == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for threads");
    }
    t->host = h;
    t->heap = h->heap;
    (void)pthread_mutex_init(&t->lock, NULL);
    *out = t;
    for (unsigned i = 0; i < POOLS; i++) {
        t->pools[i].all = t;
        t->pools[i].lanes_count = shape[i].lanes;
        t->pools[i].done_max = shape[i].done_max;
        t->pools[i].nice = shape[i].nice;
        t->pools[i].run = shape[i].run;
    }
    int err = 0;
    for (unsigned i = 0; i < POOLS && err == 0; i++) {
        err = pool_start(&t->pools[i], env, shape[i].workers, why);
    }
    return err; /* host_threads_stop ends what was started */
}

static void pool_post(struct host_pool *p, unsigned lane, void *const *items, unsigned count)
{
    (void)pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < count; i++) {
        ring_push(&p->lanes[lane], &p->all->heap, items[i]);
    }
    struct host_bell_rope *awake = host_bell_take(&p->bell, count);
    (void)pthread_mutex_unlock(&p->lock);
    host_bell_ring(awake);
}

void host_threads_wal(struct host_threads *t, struct node_wal_batch *batch)
{
    void *item = batch;
    pool_post(&t->pools[POOL_WAL], 0, &item, 1);
}

void host_threads_jobs(struct host_threads *t, enum node_lane lane, struct node_job *const *jobs,
                       unsigned count)
{
    static const unsigned pools[NODE_LANES] = {POOL_READ, POOL_FLUSH, POOL_SHARD,
                                               POOL_WORK, POOL_WORK,  POOL_PROGRAMS};
    static const unsigned lanes[NODE_LANES] = {0, 0, 0, 0, 1, 0};
    void *items[HOST_JOBS_MAX];
    ASSERT(lane < NODE_LANES);
    ASSERT(count <= HOST_JOBS_MAX);
    for (unsigned i = 0; i < count; i++) {
        items[i] = jobs[i];
    }
    pool_post(&t->pools[pools[lane]], lanes[lane], items, count);
}

void host_threads_stop(struct host_threads *t, struct node *n)
{
    for (unsigned i = 0; i < POOLS; i++) {
        if (t->pools[i].workers != NULL) {
            pool_stop(&t->pools[i]);
        }
    }
    for (unsigned i = 0; i < t->done_count; i++) {
        if (t->done[i].job != NULL) {
            node_job_drop(n, t->done[i].job);
        } else if (t->done[i].batch != NULL) {
            node_wal_drop(n, t->done[i].batch);
        }
    }
    for (unsigned i = 0; i < POOLS; i++) {
        struct host_pool *p = &t->pools[i];
        for (unsigned lane = 0; lane < p->lanes_count; lane++) {
            while (p->lanes[lane].count > 0 && i != POOL_WAL) {
                node_job_drop(n, ring_pop(&p->lanes[lane]));
            }
            while (p->lanes[lane].count > 0) {
                node_wal_drop(n, ring_pop(&p->lanes[lane]));
            }
        }
        if (p->workers != NULL) {
            pool_release(p);
        }
    }
    struct alloc heap = t->heap;
    alloc_put(&heap, t->done, t->done_cap * sizeof(*t->done));
    alloc_put(&heap, t->taken, t->taken_cap * sizeof(*t->taken));
    (void)pthread_mutex_destroy(&t->lock);
    alloc_put(&heap, t, sizeof(*t));
}
