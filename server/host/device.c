/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The jobs' side of a device: what workers do while its thread (device_thread.c) computes.
 */
#include "server/host/device_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t device_now(const struct host_device *d)
{
    return d->options.now_us();
}

/* There may be something to do for the device's thread. Under the lock. */
static void device_kick(struct host_device *d)
{
    d->busy = true;
    (void)pthread_cond_signal(&d->wake);
}

void host_device_note(struct host_device *d, const struct gpu_pick *before)
{
    if (d->stop) {
        return; /* the log may be gone */
    }
    if (d->pick.errors > before->errors) {
        log_line(d->options.log, LOG_WARN, "gpu_suspect", "cause=\"%s\" errors=%llu wait_ms=%llu",
                 d->failure, (unsigned long long)d->pick.errors,
                 (unsigned long long)(d->pick.wait_us / 1000));
    } else if (before->state != GPU_PICK_HEALTHY && d->pick.state == GPU_PICK_HEALTHY &&
               d->pick.errors > 0) {
        log_line(d->options.log, LOG_INFO, "gpu_healthy", "device=\"%s\"", d->report.name);
    }
}

/* ---- jobs ----------------------------------------------------------------------------------- */

/* Asks for a place. returns: NULL: the processor is to do it. Under the lock. */
static struct host_device_slot *device_take(struct host_device *d,
                                            const struct host_device_piece *p)
{
    struct gpu_pick_ticket ticket;
    if (d->phase != HOST_DEVICE_READY || d->stop || p->job_bytes < d->least[p->kind]) {
        return NULL;
    }
    const enum gpu_pick_where where = gpu_pick_take(&d->pick, device_now(d), p->job_bytes, &ticket);
    if (where == GPU_PICK_OPEN) {
        d->trial = ticket;
        d->trial_due = true;
        device_kick(d);
    }
    if (where != GPU_PICK_DEVICE) {
        return NULL;
    }
    struct host_device_slot *slot = d->slot;
    while (slot->state != HOST_DEVICE_FREE) {
        slot++; /* there is a slot for each ticket */
        ASSERT(slot < d->slot + HOST_DEVICE_JOBS);
    }
    slot->state = HOST_DEVICE_FILLING;
    slot->ticket = ticket;
    return slot;
}

static struct timespec device_until(uint64_t patience_us)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(patience_us / 1000000);
    until.tv_nsec += (long)(patience_us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return until;
}

/* Queues the job of a slot and waits for it. returns: whether it was given up. Under the lock. */
static bool device_wait(struct host_device *d, struct host_device_slot *slot)
{
    const struct timespec until = device_until(d->options.patience_us);
    int err = 0;
    slot->state = HOST_DEVICE_QUEUED;
    slot->order = d->orders++;
    device_kick(d);
    while (slot->state != HOST_DEVICE_DONE && err != ETIMEDOUT) {
        err = pthread_cond_timedwait(&d->changed, &d->lock, &until);
    }
    return slot->state != HOST_DEVICE_DONE;
}

/* Nobody waits for the slot any more: the device's thread gives it back. Under the lock. */
static void device_give_up(struct host_device *d, struct host_device_slot *slot)
{
    const struct gpu_pick before = d->pick;
    d->report.late++;
    (void)snprintf(d->failure, sizeof(d->failure), "no answer within %llu ms",
                   (unsigned long long)(d->options.patience_us / 1000));
    gpu_pick_late(&d->pick, device_now(d), &slot->ticket);
    host_device_note(d, &before);
}

static const char *const device_wrongs[NODE_DEVICE_KINDS] = {
    [NODE_DEVICE_CODES] = "wrong bits",    [NODE_DEVICE_SUMS] = "wrong sums",
    [NODE_DEVICE_LEAVES] = "wrong hashes", [NODE_DEVICE_REDUCES] = "wrong reductions",
    [NODE_DEVICE_SCANS] = "wrong scans",   [NODE_DEVICE_SORTS] = "wrong order",
};

/* What was made there is wrong. Under the lock. */
static void device_blame(struct host_device *d, enum node_device_kind kind)
{
    const struct gpu_pick before = d->pick;
    d->report.wrong++;
    (void)snprintf(d->failure, sizeof(d->failure), "%s", device_wrongs[kind]);
    gpu_pick_wrong(&d->pick, device_now(d));
    host_device_note(d, &before);
    device_kick(d); /* it is to close */
}

/* Takes the results of a slot that is done, and gives it back. returns: whether there are some.
 * Under the lock, but for the taking. */
static bool device_finish(struct host_device *d, struct host_device_slot *slot,
                          const struct host_device_piece *p)
{
    enum host_device_verdict verdict = HOST_DEVICE_RIGHT;
    if (slot->err == 0) {
        (void)pthread_mutex_unlock(&d->lock);
        verdict = host_device_take(slot, p);
        (void)pthread_mutex_lock(&d->lock);
    }
    const struct gpu_pick before = d->pick;
    const bool answered =
        gpu_pick_done(&d->pick, device_now(d), &slot->ticket, slot->err) == GPU_PICK_ANSWERED;
    slot->state = HOST_DEVICE_FREE;
    host_device_note(d, &before);
    if (verdict == HOST_DEVICE_WRONG) {
        device_blame(d, p->kind);
    }
    const bool made = answered && verdict == HOST_DEVICE_RIGHT;
    d->report.of[p->kind].bytes += made ? p->bytes : 0;
    d->report.failed += !answered;
    device_kick(d); /* it may be to close */
    return made;
}

static bool device_run_piece(struct host_device *d, const struct host_device_piece *p)
{
    (void)pthread_mutex_lock(&d->lock);
    struct host_device_slot *slot = device_take(d, p);
    bool made = false;
    if (slot != NULL) {
        (void)pthread_mutex_unlock(&d->lock);
        host_device_fill(slot, p);
        (void)pthread_mutex_lock(&d->lock);
        if (device_wait(d, slot)) {
            device_give_up(d, slot);
        } else {
            made = device_finish(d, slot, p);
        }
    }
    d->report.of[p->kind].jobs += made && p->done_bytes + p->bytes == p->job_bytes;
    (void)pthread_mutex_unlock(&d->lock);
    return made;
}

static bool device_run(struct host_device *d, struct host_device_piece *p)
{
    if (p->job_bytes == 0 || p->job_bytes < host_device_least(p->kind)) {
        return false;
    }
    while (host_device_next(p)) {
        if (!device_run_piece(d, p)) {
            return false;
        }
    }
    return true;
}

static bool device_code(void *ctx, const struct compute_rs_job *job, const uint8_t *coefficients)
{
    struct host_device_piece p = {.kind = NODE_DEVICE_CODES,
                                  .job_bytes = job->k * job->bytes,
                                  .job = job,
                                  .coefficients = coefficients};
    return job->k <= GPU_RS_MAX && job->rows <= GPU_RS_MAX && device_run(ctx, &p);
}

static bool device_sum(void *ctx, struct compute_exact *e, const void *values, size_t count)
{
    struct compute_exact sum;
    struct host_device_piece p = {.kind = NODE_DEVICE_SUMS,
                                  .job_bytes = count * sizeof(double),
                                  .values = values,
                                  .sum = &sum};
    compute_exact_init(&sum);
    if (!device_run(ctx, &p)) {
        return false;
    }
    compute_exact_merge(e, &sum);
    return true;
}

static bool device_reduce(void *ctx, const struct compute_fold_job *job, struct compute_folded *out)
{
    struct compute_folded folded = {.key = 0};
    struct host_device_piece p = {.kind = NODE_DEVICE_REDUCES,
                                  .job_bytes = job->count * sizeof(uint64_t),
                                  .values = job->values,
                                  .fold = job->fold,
                                  .of = job->of,
                                  .folded = &folded};
    if (!device_run(ctx, &p)) {
        return false;
    }
    *out = folded;
    return true;
}

static bool device_scan(void *ctx, const struct compute_fold_job *job, void *results,
                        uint64_t *carry)
{
    uint64_t all = *carry;
    struct host_device_piece p = {.kind = NODE_DEVICE_SCANS,
                                  .job_bytes = job->count * sizeof(uint64_t),
                                  .values = job->values,
                                  .fold = job->fold,
                                  .of = job->of,
                                  .results = results,
                                  .carry = &all};
    if (!device_run(ctx, &p)) {
        return false;
    }
    *carry = all;
    return true;
}

/* Pieces are merged here. */
static bool device_sort(void *ctx, const void *keys, size_t count, uint32_t *order)
{
    const size_t piece = HOST_DEVICE_ARRAY_BYTES / sizeof(uint64_t);
    struct host_device *d = ctx;
    struct host_device_piece p = {.kind = NODE_DEVICE_SORTS,
                                  .job_bytes = count * sizeof(uint64_t),
                                  .values = keys,
                                  .order = order};
    if (count > UINT32_MAX || !device_run(d, &p)) {
        return false;
    }
    if (count <= piece) {
        return true;
    }
    uint32_t *scratch = alloc_get(&d->options.heap, count * sizeof(order[0]));
    if (scratch != NULL) {
        host_device_merge(keys, order, scratch, count, piece);
        alloc_put(&d->options.heap, scratch, count * sizeof(order[0]));
    }
    return scratch != NULL;
}

/* What is left behind whole leaves is hashed here. */
static bool device_leaves(void *ctx, const struct compute_leaves *runs, unsigned count)
{
    struct host_device_piece p = {.kind = NODE_DEVICE_LEAVES, .leaves = {runs, count, 0}};
    for (unsigned i = 0; i < count; i++) {
        p.job_bytes += runs[i].bytes / COMPUTE_LEAF_BYTES * COMPUTE_LEAF_BYTES;
    }
    if (!device_run(ctx, &p)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        const size_t leaves = runs[i].bytes / COMPUTE_LEAF_BYTES;
        const size_t at = leaves * COMPUTE_LEAF_BYTES;
        if (at < runs[i].bytes) {
            compute_leaf_hash(runs[i].data + at, runs[i].bytes - at,
                              runs[i].hashes + leaves * COMPUTE_HASH_BYTES);
        }
    }
    return true;
}

static void device_wrong(struct host_device *d, enum node_device_kind kind)
{
    (void)pthread_mutex_lock(&d->lock);
    device_blame(d, kind);
    (void)pthread_mutex_unlock(&d->lock);
}

static void device_wrong_codes(void *ctx)
{
    device_wrong(ctx, NODE_DEVICE_CODES);
}

static void device_wrong_leaves(void *ctx)
{
    device_wrong(ctx, NODE_DEVICE_LEAVES);
}

struct erasure_kernel host_device_kernel(struct host_device *d)
{
    return (struct erasure_kernel){.ctx = d, .whole = device_code, .wrong = device_wrong_codes};
}

struct compute_whole host_device_whole(struct host_device *d)
{
    return (struct compute_whole){.ctx = d,
                                  .sum_f64s = device_sum,
                                  .reduce = device_reduce,
                                  .scan = device_scan,
                                  .sort = device_sort,
                                  .leaf_hashes = device_leaves,
                                  .wrong = device_wrong_leaves};
}

/* ---- what it says --------------------------------------------------------------------------- */

static const char *device_state(const struct host_device *d)
{
    static const char *const ready[] = {
        [GPU_PICK_WAITING] = "suspect", [GPU_PICK_TRIAL] = "trial", [GPU_PICK_HEALTHY] = "healthy"};
    switch (d->phase) {
    case HOST_DEVICE_STARTING: return "starting";
    case HOST_DEVICE_NONE: return d->options.use == HOST_DEVICE_OFF ? "off" : "none";
    case HOST_DEVICE_SLOWER: return "slower";
    case HOST_DEVICE_READY: break;
    }
    return ready[d->pick.state];
}

void host_device_report(void *ctx, struct node_device *out)
{
    struct host_device *d = ctx;
    (void)pthread_mutex_lock(&d->lock);
    *out = d->report;
    out->state = device_state(d);
    out->errors = d->pick.errors;
    if (d->phase == HOST_DEVICE_READY && d->pick.state != GPU_PICK_HEALTHY) {
        (void)snprintf(out->cause, sizeof(out->cause), "%s", d->failure);
    }
    (void)pthread_mutex_unlock(&d->lock);
}

void host_device_settle(struct host_device *d)
{
    (void)pthread_mutex_lock(&d->lock);
    while (d->busy) {
        (void)pthread_cond_wait(&d->changed, &d->lock);
    }
    (void)pthread_mutex_unlock(&d->lock);
}

/* ---- begin and end -------------------------------------------------------------------------- */

int host_device_new(struct host_device **out, const struct host_device_options *options,
                    struct err_info *why)
{
    pthread_condattr_t attr;
    struct host_device *d = alloc_get_zeroed(&options->heap, 1, sizeof(*d));
    if (d == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for the device");
    }
    const struct gpu_pick_settings pick = {.wait_min_us = options->wait_min_us,
                                           .wait_max_us = options->wait_max_us,
                                           .jobs_max = HOST_DEVICE_JOBS};
    d->options = *options;
    (void)snprintf(d->path, sizeof(d->path), "%s", options->path);
    d->options.path = d->path;
    gpu_pick_init(&d->pick, &pick);
    for (unsigned kind = 0; kind < NODE_DEVICE_KINDS; kind++) {
        d->report.of[kind].least_bytes = UINT64_MAX;
    }
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&d->wake, &attr);
    (void)pthread_cond_init(&d->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    *out = d;
    return 0;
}

int host_device_start(struct host_device *d, struct err_info *why)
{
    ASSERT(!d->started);
    d->busy = true;
    const int err = pthread_create(&d->thread, NULL, host_device_main, d);
    if (err != 0) {
        return err_set(why, ERR_NO_MEMORY, "cannot start a thread: %s", strerror(err));
    }
    d->started = true;
    return 0;
}

void host_device_release(struct host_device *d)
{
    struct alloc heap = d->options.heap;
    for (unsigned i = 0; i < HOST_DEVICE_JOBS; i++) {
        alloc_put(&heap, d->slot[i].memory, HOST_DEVICE_JOB_BYTES);
    }
    (void)pthread_cond_destroy(&d->wake);
    (void)pthread_cond_destroy(&d->changed);
    (void)pthread_mutex_destroy(&d->lock);
    alloc_put(&heap, d, sizeof(*d));
}

void host_device_set_patience(struct host_device *d, uint64_t us)
{
    ASSERT(us > 0);
    (void)pthread_mutex_lock(&d->lock);
    d->options.patience_us = us;
    (void)pthread_mutex_unlock(&d->lock);
}

/* Tells the thread to end. returns: whether it has. */
static bool device_stop(struct host_device *d)
{
    int err = 0;
    (void)pthread_mutex_lock(&d->lock);
    const struct timespec until = device_until(d->options.patience_us);
    d->stop = true;
    device_kick(d);
    while (!d->ended && err != ETIMEDOUT) {
        err = pthread_cond_timedwait(&d->changed, &d->lock, &until);
    }
    const bool ended = d->ended;
    d->left_behind = !ended;
    if (!ended) {
        log_line(d->options.log, LOG_WARN, "gpu_hangs", "cause=\"its thread does not end\"");
        (void)pthread_detach(d->thread);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return ended;
}

void host_device_free(struct host_device *d)
{
    if (d == NULL) {
        return;
    }
    if (d->started) {
        if (!device_stop(d)) {
            return;
        }
        (void)pthread_join(d->thread, NULL);
    }
    host_device_release(d);
}
