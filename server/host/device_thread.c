/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The device's side: the thread that loads the plug-in, opens a device, finds out for which jobs it
 * is worth the way, and runs them. It alone calls the plug-in, and never under the lock.
 */
#include "server/host/device_internal.h"

#include "base/num.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#define THREAD_FILE "holdfast-gpu.so"
#define THREAD_LANE_BYTES (2u << 20)
#define THREAD_LANES 3u
static uint64_t thread_now(const struct host_device *d)
{
    return d->options.now_us();
}

/* ---- the plug-in ---------------------------------------------------------------------------- */

/* Loads what the installation has: beside the program, or in ../lib/holdfast. */
static int thread_load_usual(struct host_device *d, struct err_info *why)
{
    char program[2048];
    char path[2048 + 64];
    size_t bytes = sizeof(program);
    if (uv_exepath(program, &bytes) != 0) {
        return err_set(why, ERR_NOT_FOUND, "the program does not know where it lies");
    }
    program[NUM_MIN(bytes, sizeof(program) - 1)] = '\0';
    char *slash = strrchr(program, '/');
    if (slash == NULL) {
        return err_set(why, ERR_NOT_FOUND, "the program does not know where it lies");
    }
    *slash = '\0';
    (void)snprintf(path, sizeof(path), "%s/" THREAD_FILE, program);
    const int err = gpu_load(&d->plugin, path, why);
    if (err != ERR_NOT_FOUND) {
        return err;
    }
    (void)snprintf(path, sizeof(path), "%s/../lib/holdfast/" THREAD_FILE, program);
    const int err_lib = gpu_load(&d->plugin, path, why);
    if (err_lib == ERR_NOT_FOUND) {
        return err_set(why, ERR_NOT_FOUND, "no plug-in '" THREAD_FILE "' in '%s'", program);
    }
    return err_lib;
}

static int thread_load(struct host_device *d, struct err_info *why)
{
    if (d->options.use == HOST_DEVICE_OFF) {
        return err_set(why, ERR_NOT_FOUND, "gpu.use is off");
    }
    d->table = d->options.table;
    if (d->table != NULL) {
        return 0;
    }
    if (d->path[0] == '\0') {
        TRY(thread_load_usual(d, why));
    } else {
        TRY(gpu_load(&d->plugin, d->path, why));
    }
    d->table = d->plugin.table;
    return 0;
}

/* ---- opening -------------------------------------------------------------------------------- */

static void thread_close(struct host_device *d)
{
    if (d->gpu != NULL) {
        d->table->close(d->gpu);
        d->gpu = NULL;
    }
}

static int thread_open(struct host_device *d, char why[GPU_WHY_BYTES])
{
    const struct gpu_settings settings = {.lane_bytes = THREAD_LANE_BYTES, .lanes = THREAD_LANES};
    thread_close(d);
    why[0] = '\0';
    return d->table->open(&d->gpu, d->device, &settings, why, GPU_WHY_BYTES);
}

static const char *const thread_kinds[NODE_DEVICE_KINDS] = {"codes",   "sums",  "leaves",
                                                            "reduces", "scans", "sorts"};

/* Opens the device, looks at its bits, and measures it unless that was done. */
static void thread_try(struct host_device *d, struct host_device_opening *o)
{
    *o = (struct host_device_opening){.measured = d->measured};
    o->err = thread_open(d, o->why);
    if (o->err == 0) {
        o->err = host_device_check(d, o);
    }
    if (o->err == 0 && !d->measured && d->options.use == HOST_DEVICE_ALWAYS) {
        o->measured = true;
        for (unsigned kind = 0; kind < NODE_DEVICE_KINDS; kind++) {
            o->least[kind] = host_device_least(kind);
        }
        (void)snprintf(o->cause, sizeof(o->cause), "gpu.use is always");
    } else if (o->err == 0 && !d->measured) {
        o->err = host_device_measure(d, o);
        o->measured = o->err == 0;
    }
    if (o->err != 0) {
        thread_close(d);
    }
}

/* ---- what is said --------------------------------------------------------------------------- */

/* There is nothing to be used, for good. Under the lock. */
static void thread_none(struct host_device *d, const char *cause, bool is_asked_for)
{
    d->phase = HOST_DEVICE_NONE;
    (void)snprintf(d->report.cause, sizeof(d->report.cause), "%s", cause);
    if (!d->stop) {
        log_line(d->options.log, is_asked_for ? LOG_WARN : LOG_INFO, "gpu_not_used", "cause=\"%s\"",
                 cause);
    }
}

/* A first measurement decides. Under the lock. */
static void thread_decide(struct host_device *d, const struct host_device_opening *o)
{
    char from[256] = "";
    size_t at = 0;
    bool is_used = false;
    d->measured = true;
    for (unsigned kind = 0; kind < NODE_DEVICE_KINDS; kind++) {
        const bool goes = o->least[kind] != SIZE_MAX;
        is_used = is_used || goes;
        d->least[kind] = o->least[kind];
        d->report.of[kind].least_bytes = goes ? o->least[kind] : UINT64_MAX;
        at += (size_t)(goes ? snprintf(from + at, sizeof(from) - at, "%s_from=%zu ",
                                       thread_kinds[kind], o->least[kind])
                            : snprintf(from + at, sizeof(from) - at, "%s_from=never ",
                                       thread_kinds[kind]));
    }
    d->phase = is_used ? HOST_DEVICE_READY : HOST_DEVICE_SLOWER;
    (void)snprintf(d->report.cause, sizeof(d->report.cause), "%s", o->cause);
    if (d->stop) {
        return;
    }
    log_line(d->options.log, LOG_INFO, is_used ? "gpu_used" : "gpu_not_used",
             "device=\"%s\" %scause=\"%s\"", d->report.name, is_used ? from : "", o->cause);
}

/* ---- the first opening ---------------------------------------------------------------------- */

static bool thread_allocate(struct host_device *d)
{
    for (unsigned i = 0; i < HOST_DEVICE_JOBS; i++) {
        d->slot[i].memory = alloc_get(&d->options.heap, HOST_DEVICE_JOB_BYTES);
        if (d->slot[i].memory == NULL) {
            return false;
        }
    }
    return true;
}

/* Nobody has a slot, nor will have one. */
static void thread_free_memory(struct host_device *d)
{
    for (unsigned i = 0; i < HOST_DEVICE_JOBS; i++) {
        alloc_put(&d->options.heap, d->slot[i].memory, HOST_DEVICE_JOB_BYTES);
        d->slot[i].memory = NULL;
    }
}

/* Takes the first device that opens; if none does, the first that may do so later. */
static void thread_choose(struct host_device *d, struct host_device_opening *o)
{
    unsigned count = 0;
    unsigned chosen = 0;
    struct host_device_opening other;
    *o = (struct host_device_opening){.err = ERR_NOT_FOUND};
    d->table->probe(&count, o->why, sizeof(o->why));
    if (count > 0 && !thread_allocate(d)) {
        (void)snprintf(o->why, sizeof(o->why), "out of memory");
        return;
    }
    for (d->device = 0; d->device < count; d->device++) {
        thread_try(d, &other);
        const bool is_better = other.err == 0 || o->err == ERR_NOT_FOUND;
        if (d->device == 0 || (is_better && other.err != ERR_NOT_FOUND)) {
            chosen = d->device;
            *o = other;
        }
        if (other.err == 0) {
            break;
        }
    }
    d->device = chosen;
}

/* Everything up to the one line of the log. */
static void thread_begin(struct host_device *d)
{
    char text[GPU_WHY_BYTES];
    struct err_info why;
    struct host_device_opening o;
    struct gpu_device about = {.name = ""};
    struct gpu_pick_ticket ticket;
    const bool is_asked_for = d->path[0] != '\0' && d->options.use != HOST_DEVICE_OFF;
    if (thread_load(d, &why) != 0) {
        (void)pthread_mutex_lock(&d->lock);
        thread_none(d, why.text, is_asked_for);
        (void)pthread_mutex_unlock(&d->lock);
        return;
    }
    (void)pthread_mutex_lock(&d->lock);
    const enum gpu_pick_where where = gpu_pick_take(&d->pick, thread_now(d), 0, &ticket);
    ASSERT(where == GPU_PICK_OPEN);
    (void)pthread_mutex_unlock(&d->lock);
    thread_choose(d, &o);
    if (o.err != ERR_NOT_FOUND && d->table->describe(d->device, &about, text, sizeof(text)) != 0) {
        about.name[0] = '\0';
    }
    (void)pthread_mutex_lock(&d->lock);
    const struct gpu_pick before = d->pick;
    (void)snprintf(d->report.name, sizeof(d->report.name), "%s", about.name);
    (void)gpu_pick_done(&d->pick, thread_now(d), &ticket, o.err);
    if (o.err == ERR_NOT_FOUND) {
        thread_none(d, o.why, is_asked_for);
    } else if (o.err == 0) {
        thread_decide(d, &o);
    } else {
        d->phase = HOST_DEVICE_READY;
        (void)snprintf(d->failure, sizeof(d->failure), "%s", o.why);
        host_device_note(d, &before);
    }
    (void)pthread_mutex_unlock(&d->lock);
}

/* ---- later ---------------------------------------------------------------------------------- */

/* Under the lock, but for the opening. */
static void thread_trial(struct host_device *d)
{
    struct host_device_opening o;
    const bool was_measured = d->measured;
    (void)pthread_mutex_unlock(&d->lock);
    thread_try(d, &o);
    (void)pthread_mutex_lock(&d->lock);
    const struct gpu_pick before = d->pick;
    d->trial_due = false;
    (void)snprintf(d->failure, sizeof(d->failure), "%s", o.why);
    (void)gpu_pick_done(&d->pick, thread_now(d), &d->trial, o.err);
    host_device_note(d, &before);
    if (o.err == 0 && !was_measured) {
        thread_decide(d, &o);
    }
}

/* returns: the slot to run next, or NULL. Under the lock. */
static struct host_device_slot *thread_next(struct host_device *d)
{
    struct host_device_slot *next = NULL;
    for (unsigned i = 0; i < HOST_DEVICE_JOBS; i++) {
        struct host_device_slot *slot = &d->slot[i];
        if (slot->state == HOST_DEVICE_QUEUED && (next == NULL || slot->order < next->order)) {
            next = slot;
        }
    }
    return next;
}

/* returns: what the job's call says. why: what the device does. */
static int thread_call(struct host_device *d, struct host_device_slot *slot,
                       char why[GPU_WHY_BYTES])
{
    if (d->gpu == NULL) {
        (void)snprintf(why, GPU_WHY_BYTES, "the device is closed");
        return ERR_UNAVAILABLE;
    }
    const int err = host_device_call(d->table, d->gpu, slot);
    if (err != 0) {
        (void)snprintf(why, GPU_WHY_BYTES, "%s", d->table->failure(d->gpu));
    }
    if (err != 0 && err != ERR_INVALID) {
        thread_close(d);
    }
    return err;
}

/* Runs the job of a slot, unless nobody waits for it. Under the lock, but for the call. */
static void thread_run(struct host_device *d, struct host_device_slot *slot)
{
    char why[GPU_WHY_BYTES] = "";
    if (!slot->ticket.is_late) {
        const bool was_open = d->gpu != NULL;
        slot->state = HOST_DEVICE_RUNNING;
        (void)pthread_mutex_unlock(&d->lock);
        slot->err = thread_call(d, slot, why);
        (void)pthread_mutex_lock(&d->lock);
        if (slot->err != 0 && was_open) {
            (void)snprintf(d->failure, sizeof(d->failure), "%s", why);
        }
    }
    if (slot->ticket.is_late) {
        const enum gpu_pick_answer answer =
            gpu_pick_done(&d->pick, thread_now(d), &slot->ticket, slot->err);
        ASSERT(answer == GPU_PICK_DROPPED);
        slot->state = HOST_DEVICE_FREE;
    } else {
        slot->state = HOST_DEVICE_DONE;
    }
}

static void thread_close_unlocked(struct host_device *d)
{
    (void)pthread_mutex_unlock(&d->lock);
    thread_close(d);
    (void)pthread_mutex_lock(&d->lock);
}

/* One thing to do. returns: false if there is none. Under the lock, but for calls. */
static bool thread_step(struct host_device *d)
{
    struct host_device_slot *slot = thread_next(d);
    if (slot != NULL) {
        thread_run(d, slot);
    } else if (d->trial_due) {
        thread_trial(d);
    } else if (d->gpu != NULL && d->phase == HOST_DEVICE_READY) {
        if (d->pick.state != GPU_PICK_WAITING) {
            return false;
        }
        thread_close_unlocked(d);
    } else if (d->slot[0].memory != NULL && d->phase != HOST_DEVICE_READY) {
        thread_close_unlocked(d);
        thread_free_memory(d);
    } else {
        return false;
    }
    return true;
}

static void thread_end(struct host_device *d)
{
    thread_close(d);
    if (d->plugin.handle != NULL) {
        gpu_unload(&d->plugin);
    }
    (void)pthread_mutex_lock(&d->lock);
    d->ended = true;
    const bool left_behind = d->left_behind;
    (void)pthread_cond_broadcast(&d->changed);
    (void)pthread_mutex_unlock(&d->lock);
    if (left_behind) {
        host_device_release(d);
    }
}

void *host_device_main(void *arg)
{
    struct host_device *d = arg;
    thread_begin(d);
    (void)pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        d->busy = true;
        if (!thread_step(d)) {
            d->busy = false;
            (void)pthread_cond_broadcast(&d->changed);
            (void)pthread_cond_wait(&d->wake, &d->lock);
        } else {
            (void)pthread_cond_broadcast(&d->changed);
        }
    }
    (void)pthread_mutex_unlock(&d->lock);
    thread_end(d);
    return NULL;
}
