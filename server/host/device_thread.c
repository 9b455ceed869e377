/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The device's side: the thread that loads the plug-in, opens a device, finds out for which jobs it
 * is worth the way, and runs them. It alone calls the plug-in, and never under the lock.
 */
#include "server/host/device_internal.h"

#include "base/num.h"
#include "base/rng.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#define THREAD_FILE "holdfast-gpu.so"
#define THREAD_LANE_BYTES (2u << 20)
#define THREAD_LANES 3u
/* What is measured: encoding of 4+2, in jobs of 64 KiB to 4 MiB. */
#define MEASURE_K 4u
#define MEASURE_ROWS 2u
#define MEASURE_SIZES 4u
#define MEASURE_BYTES(i) ((size_t)(64u << 10) << 2 * (i))
#define MEASURE_ROUNDS 3u
/* The next size takes four times as long as this one, and a little more. */
#define MEASURE_GROWTH 6u
#define COLUMN_BYTES (32u << 10) /* as the processor codes: all columns fit into its cache */

_Static_assert(MEASURE_BYTES(MEASURE_SIZES - 1) / MEASURE_K * (MEASURE_K + 2 * MEASURE_ROWS) <=
                   HOST_DEVICE_JOB_BYTES,
               "sources and the results of both fit");

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

/* Jobs of one size, on the device and here. Nobody has a slot while a device is opened, so their
 * memory serves: slot 1 as that of a caller, slot 0 as what it is. */
struct measure {
    struct host_device_slot *slot;
    uint8_t *caller; /* sources, the processor's results, the device's */
    size_t cell;
    uint8_t matrix[(MEASURE_K + MEASURE_ROWS) * MEASURE_K];
    uint8_t tables[COMPUTE_RS_TABLE_BYTES * MEASURE_K * MEASURE_ROWS];
};

static void measure_init(struct measure *m, struct host_device *d)
{
    struct rng r;
    m->slot = &d->slot[0];
    m->caller = d->slot[1].memory;
    compute_rs_matrix(MEASURE_K, MEASURE_ROWS, m->matrix);
    const uint8_t *parity = m->matrix + (size_t)MEASURE_K * MEASURE_K;
    compute_rs_tables(MEASURE_K, MEASURE_ROWS, parity, m->tables);
    memcpy(m->slot->coefficients, parity, (size_t)MEASURE_K * MEASURE_ROWS);
    m->slot->k = MEASURE_K;
    m->slot->rows = MEASURE_ROWS;
    rng_init(&r, 1); /* any bytes will do, and each run the same */
    rng_fill(&r, m->caller, MEASURE_BYTES(MEASURE_SIZES - 1));
}

static void measure_size(struct measure *m, unsigned i)
{
    m->cell = MEASURE_BYTES(i) / MEASURE_K;
    m->slot->bytes = m->cell;
    m->slot->stride = m->cell;
}

/* The whole way of a job: in, there, and out. */
static int measure_device(const struct host_device *d, const struct measure *m)
{
    const uint8_t *data[GPU_RS_MAX];
    uint8_t *coded[GPU_RS_MAX];
    const struct gpu_rs_job job = host_device_job(m->slot, data, coded);
    memcpy(m->slot->memory, m->caller, MEASURE_K * m->cell);
    TRY(d->table->rs(d->gpu, &job));
    memcpy(m->caller + (MEASURE_K + MEASURE_ROWS) * m->cell, coded[0], MEASURE_ROWS * m->cell);
    return 0;
}

static void measure_processor(const struct measure *m)
{
    const uint8_t *data[MEASURE_K];
    uint8_t *coded[MEASURE_ROWS];
    for (size_t from = 0; from < m->cell; from += COLUMN_BYTES) {
        for (unsigned i = 0; i < MEASURE_K; i++) {
            data[i] = m->caller + i * m->cell + from;
        }
        for (unsigned i = 0; i < MEASURE_ROWS; i++) {
            coded[i] = m->caller + (MEASURE_K + i) * m->cell + from;
        }
        const struct compute_rs_job job = {.k = MEASURE_K,
                                           .rows = MEASURE_ROWS,
                                           .tables = m->tables,
                                           .data = data,
                                           .coded = coded,
                                           .bytes = NUM_MIN(COLUMN_BYTES, m->cell - from)};
        compute_rs_encode(&job);
    }
}

/* A job of the least size, compared with the processor's. It also loads what a first job needs. */
static int thread_check(struct host_device *d, struct measure *m, char why[GPU_WHY_BYTES])
{
    measure_size(m, 0);
    measure_processor(m);
    const int err = measure_device(d, m);
    if (err != 0) {
        (void)snprintf(why, GPU_WHY_BYTES, "%s", d->table->failure(d->gpu));
        return err;
    }
    const uint8_t *here = m->caller + MEASURE_K * m->cell;
    if (memcmp(here, here + MEASURE_ROWS * m->cell, MEASURE_ROWS * m->cell) != 0) {
        (void)snprintf(why, GPU_WHY_BYTES, "wrong bits of a job that was made to look");
        return ERR_UNAVAILABLE;
    }
    return 0;
}

/* The best of some rounds, each, in microseconds. */
static int measure_both(const struct host_device *d, const struct measure *m,
                        struct gpu_pick_measure *out)
{
    out->bytes = MEASURE_K * m->cell;
    out->device_time = UINT64_MAX;
    out->processor_time = UINT64_MAX;
    for (unsigned round = 0; round < MEASURE_ROUNDS; round++) {
        const uint64_t begin_us = thread_now(d);
        TRY(measure_device(d, m));
        const uint64_t between_us = thread_now(d);
        measure_processor(m);
        const uint64_t end_us = thread_now(d);
        out->device_time = NUM_MIN(out->device_time, between_us - begin_us);
        out->processor_time = NUM_MIN(out->processor_time, end_us - between_us);
    }
    return 0;
}

/* Finds bytes_min. Sizes for which the time would not do are left out. */
static int thread_measure(struct host_device *d, struct measure *m, size_t *least,
                          char cause[GPU_WHY_BYTES])
{
    struct gpu_pick_measure rows[MEASURE_SIZES];
    const uint64_t begin_us = thread_now(d);
    uint64_t last_us = 0;
    unsigned count = 0;
    do {
        const uint64_t size_us = thread_now(d);
        measure_size(m, count);
        const int err = measure_both(d, m, &rows[count]);
        if (err != 0) {
            (void)snprintf(cause, GPU_WHY_BYTES, "%s", d->table->failure(d->gpu));
            return err;
        }
        last_us = thread_now(d) - size_us;
        count++;
    } while (count < MEASURE_SIZES &&
             thread_now(d) - begin_us + MEASURE_GROWTH * last_us <= HOST_DEVICE_MEASURE_US);
    *least = gpu_pick_least(rows, count);
    (void)snprintf(cause, GPU_WHY_BYTES,
                   "measured in %llu us: encoding 4+2 of %zu bytes takes %llu us, on the processor "
                   "%llu us",
                   (unsigned long long)(thread_now(d) - begin_us), rows[count - 1].bytes,
                   (unsigned long long)rows[count - 1].device_time,
                   (unsigned long long)rows[count - 1].processor_time);
    return 0;
}

/* What an opening found. */
struct opening {
    int err;
    size_t least; /* valid if measured */
    bool measured;
    char why[GPU_WHY_BYTES];   /* of an error */
    char cause[GPU_WHY_BYTES]; /* of the measurement */
};

/* Opens the device, looks at its bits, and measures it unless that was done. */
static void thread_try(struct host_device *d, struct opening *o)
{
    struct measure m;
    *o = (struct opening){.measured = d->measured};
    o->err = thread_open(d, o->why);
    if (o->err == 0) {
        measure_init(&m, d);
        o->err = thread_check(d, &m, o->why);
    }
    if (o->err == 0 && !d->measured && d->options.use == HOST_DEVICE_ALWAYS) {
        o->measured = true;
        (void)snprintf(o->cause, sizeof(o->cause), "gpu.use is always");
    } else if (o->err == 0 && !d->measured) {
        o->err = thread_measure(d, &m, &o->least, o->why);
        o->measured = o->err == 0;
        (void)snprintf(o->cause, sizeof(o->cause), "%s", o->measured ? o->why : "");
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
static void thread_decide(struct host_device *d, const struct opening *o)
{
    const bool is_used = o->least != SIZE_MAX;
    d->measured = true;
    d->phase = is_used ? HOST_DEVICE_READY : HOST_DEVICE_SLOWER;
    d->pick.settings.bytes_min = o->least;
    d->report.least_bytes = is_used ? o->least : 0;
    (void)snprintf(d->report.cause, sizeof(d->report.cause), "%s", o->cause);
    if (d->stop) {
        return;
    }
    if (is_used) {
        log_line(d->options.log, LOG_INFO, "gpu_used", "device=\"%s\" least_bytes=%zu cause=\"%s\"",
                 d->report.name, o->least, o->cause);
    } else {
        log_line(d->options.log, LOG_INFO, "gpu_not_used", "device=\"%s\" cause=\"%s\"",
                 d->report.name, o->cause);
    }
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
static void thread_choose(struct host_device *d, struct opening *o)
{
    unsigned count = 0;
    unsigned chosen = 0;
    struct opening other;
    *o = (struct opening){.err = ERR_NOT_FOUND};
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
    struct opening o;
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
    struct opening o;
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
    const uint8_t *data[GPU_RS_MAX];
    uint8_t *coded[GPU_RS_MAX];
    const struct gpu_rs_job job = host_device_job(slot, data, coded);
    if (d->gpu == NULL) {
        (void)snprintf(why, GPU_WHY_BYTES, "the device is closed");
        return ERR_UNAVAILABLE;
    }
    const int err = d->table->rs(d->gpu, &job);
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
