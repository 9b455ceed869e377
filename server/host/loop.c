/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The pump between libuv and the pure node. A turn of the loop: everything readable becomes events;
 * then all effects are carried out: log batches and jobs first, so that disk and threads work while
 * the loop writes to sockets, then one gathered write a connection; then the timer is set to the
 * node's next deadline.
 */
#include "server/host/host_internal.h"

#include "base/num.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct pump_jobs {
    struct node_job *jobs[NODE_LANES][HOST_JOBS_MAX];
    unsigned count[NODE_LANES];
};

uint64_t host_now_us(void)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint64_t loop_wall_us(void)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void host_step(struct host *h, struct node_event *ev)
{
    if (h->ending) {
        return;
    }
    ev->now_us = host_now_us();
    ev->wall_us = h->wall_us;
    node_step(h->node, ev);
    h->dirty = true;
}

/* ---- the end -------------------------------------------------------------------------------- */

void host_fail(struct host *h, int code)
{
    if (h->code == 0) {
        h->code = code;
    }
    uv_stop(&h->loop);
}

static void loop_impatient(uv_timer_t *timer)
{
    struct host *h = timer->data;
    uv_stop(&h->loop);
}

/* The node ends what it must before the process does; asked again, or when that takes too long, it
 * is not waited for: then the next start does as after a crash. */
static void loop_leave(struct host *h)
{
    struct node_event ev = {.kind = NODE_EV_LEAVE};
    h->leaving = true;
    host_step(h, &ev);
    (void)uv_timer_start(&h->patience, loop_impatient, HOST_LEAVE_US / 1000, 0);
}

static void loop_asked_to_stop(struct host *h)
{
    (void)pthread_mutex_lock(&h->lock);
    bool stop = h->stop_asked;
    (void)pthread_mutex_unlock(&h->lock);
    if (stop && !h->leaving) {
        loop_leave(h);
    }
}

static void loop_signal(uv_signal_t *signal, int number)
{
    struct host *h = signal->data;
    log_line(h->log, LOG_INFO, "stopping", "signal=%d", number);
    if (h->leaving) {
        uv_stop(&h->loop);
    } else {
        loop_leave(h);
    }
}

/* ---- effects -------------------------------------------------------------------------------- */

static void pump_post(struct host *h, struct pump_jobs *jobs, unsigned lane)
{
    if (jobs->count[lane] > 0) {
        h->stats.jobs += jobs->count[lane];
        host_threads_jobs(h->threads, (enum node_lane)lane, jobs->jobs[lane], jobs->count[lane]);
        jobs->count[lane] = 0;
    }
}

static void pump_carry(struct host *h, struct pump_jobs *jobs, struct node_fx *fx)
{
    switch (fx->kind) {
    case NODE_FX_WAL:
        h->stats.wal_batches++;
        host_threads_wal(h->threads, fx->batch);
        break;
    case NODE_FX_JOB:
        jobs->jobs[fx->job->lane][jobs->count[fx->job->lane]++] = fx->job;
        if (jobs->count[fx->job->lane] == HOST_JOBS_MAX) {
            pump_post(h, jobs, fx->job->lane);
        }
        break;
    case NODE_FX_SEND: host_peers_send(h, fx); break;
    case NODE_FX_GOSSIP: host_gossip_send(h, fx); break;
    case NODE_FX_REPLY: host_clients_reply(h, fx); break;
    case NODE_FX_CLOSE: host_clients_close(h, fx); break;
    case NODE_FX_STOP:
        log_line(h->log, LOG_ERROR, "node_stopped", "code=%s reason=\"%s\"", err_name(fx->code),
                 err_text(fx->code));
        if (fx->code == ERR_FENCED) {
            host_log_fenced(h);
        }
        host_fail(h, fx->code != 0 ? fx->code : ERR_IO);
        break;
    case NODE_FX_LEFT: uv_stop(&h->loop); break;
    default: ASSERT(fx->kind == NODE_FX_WAL);
    }
}

void host_drain(struct host *h)
{
    struct node_fx fx[HOST_FX_MAX];
    struct pump_jobs jobs;
    memset(jobs.count, 0, sizeof(jobs.count));
    unsigned count = node_poll(h->node, fx, HOST_FX_MAX);
    h->steps = 0;
    while (count > 0) {
        for (unsigned i = 0; i < count; i++) {
            pump_carry(h, &jobs, &fx[i]);
        }
        count = node_poll(h->node, fx, HOST_FX_MAX);
    }
    for (unsigned lane = 0; lane < NODE_LANES; lane++) {
        pump_post(h, &jobs, lane);
    }
}

/* Writing may end connections, and their end is an event: so until nothing is left. */
static void loop_pump(struct host *h)
{
    h->wall_us = loop_wall_us();
    while (h->dirty || h->dirty_first != NULL) {
        h->dirty = false;
        host_drain(h);
        host_streams_flush(h);
    }
}

/* ---- handles -------------------------------------------------------------------------------- */

static void loop_tick(uv_timer_t *timer)
{
    struct node_event ev = {.kind = NODE_EV_TICK};
    host_step(timer->data, &ev);
}

static void loop_arm(struct host *h)
{
    uint64_t at_us = node_deadline(h->node);
    uint64_t now_us = host_now_us();
    uint64_t wait_ms = at_us > now_us ? num_div_up(at_us - now_us, 1000) : 0;
    uv_update_time(&h->loop);
    (void)uv_timer_start(&h->tick, loop_tick, NUM_MIN(wait_ms, (uint64_t)3600000), 0);
}

static void loop_before_wait(uv_prepare_t *prepare)
{
    struct host *h = prepare->data;
    loop_pump(h);
    loop_arm(h);
}

static void loop_after_wait(uv_check_t *check)
{
    loop_pump(check->data);
}

void host_wake(struct host *h)
{
    const uint64_t once = 1;
    (void)!write(h->wake_fd, &once, sizeof once); /* refused only where it is set already */
}

static void loop_woken(uv_poll_t *wake, int status, int events)
{
    struct host *h = wake->data;
    struct host_done *done = NULL;
    uint64_t times = 0;
    (void)status;
    (void)events;
    (void)!read(h->wake_fd, &times, sizeof times); /* before what it told of is taken */
    unsigned count = h->threads == NULL ? 0 : host_threads_done(h->threads, &done);
    for (unsigned i = 0; i < count; i++) {
        if (done[i].job == NULL && done[i].batch == NULL) {
            log_line(h->log, LOG_ERROR, "log_failed", "node=%u code=%s", host_node_id(h),
                     err_name(done[i].code));
            host_fail(h, done[i].code);
            continue;
        }
        struct node_event ev = {.kind = done[i].job != NULL ? NODE_EV_JOB : NODE_EV_WAL,
                                .job = done[i].job,
                                .batch = done[i].batch,
                                .code = done[i].code};
        host_step(h, &ev);
    }
    loop_asked_to_stop(h);
}

static void loop_publish(struct host *h)
{
    h->stats.input_bytes = h->input_bytes;
    (void)pthread_mutex_lock(&h->lock);
    h->published = h->stats;
    (void)pthread_mutex_unlock(&h->lock);
}

static void loop_sweep(uv_timer_t *timer)
{
    struct host *h = timer->data;
    uint64_t now_us = host_now_us();
    host_peers_sweep(h, now_us);
    host_clients_sweep(h, now_us);
    loop_publish(h);
}

int host_loop_init(struct host *h, struct err_info *why)
{
    int err = uv_loop_init(&h->loop);
    if (err != 0) {
        return err_set(why, ERR_NO_MEMORY, "cannot make an event loop: %s", uv_strerror(err));
    }
    h->loop_open = true;
    h->wall_us = loop_wall_us();
    h->wake.data = h;
    h->tick.data = h;
    h->sweep.data = h;
    h->patience.data = h;
    h->prepare.data = h;
    h->check.data = h;
    h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = h->wake_fd < 0 ? uv_translate_sys_error(errno)
                         : uv_poll_init(&h->loop, &h->wake, h->wake_fd);
    err = err != 0 ? err : uv_poll_start(&h->wake, UV_READABLE, loop_woken);
    if (err != 0) {
        return err_set(why, ERR_IO, "cannot make an event: %s", uv_strerror(err));
    }
    (void)uv_timer_init(&h->loop, &h->tick);
    (void)uv_timer_init(&h->loop, &h->sweep);
    (void)uv_timer_init(&h->loop, &h->patience);
    (void)uv_prepare_init(&h->loop, &h->prepare);
    (void)uv_check_init(&h->loop, &h->check);
    return 0;
}

static int loop_start(struct host *h)
{
    static const int numbers[2] = {SIGTERM, SIGINT};
    for (unsigned i = 0; i < 2 && h->signals_open; i++) {
        h->signals[i].data = h;
        if (uv_signal_init(&h->loop, &h->signals[i]) != 0 ||
            uv_signal_start(&h->signals[i], loop_signal, numbers[i]) != 0) {
            return ERR_IO;
        }
    }
    (void)uv_prepare_start(&h->prepare, loop_before_wait);
    (void)uv_check_start(&h->check, loop_after_wait);
    (void)uv_timer_start(&h->sweep, loop_sweep, 0, HOST_SWEEP_US / 1000);
    return 0;
}

int host_run(struct host *h)
{
    struct node_event ev = {.kind = NODE_EV_TICK};
    TRY(loop_start(h));
    host_thread_prompt();
    host_step(h, &ev);
    loop_asked_to_stop(h); /* it may have been asked before the loop was there to be woken */
    log_line(h->log, LOG_INFO, "ready",
             "node=%u client=%s:%u peer=%s:%u boot=%llu data_dir=\"%s\" pid=%d", h->identity.node,
             h->client_host, (unsigned)h->client_port, h->peer_host, (unsigned)h->peer_port,
             (unsigned long long)h->sb.boot, h->dir.path, (int)uv_os_getpid());
    (void)uv_run(&h->loop, UV_RUN_DEFAULT);
    loop_publish(h);
    return h->code;
}

void host_stop(struct host *h)
{
    (void)pthread_mutex_lock(&h->lock);
    h->stop_asked = true;
    (void)pthread_mutex_unlock(&h->lock);
    host_wake(h);
}

void host_stats_get(struct host *h, struct host_stats *out)
{
    (void)pthread_mutex_lock(&h->lock);
    *out = h->published;
    (void)pthread_mutex_unlock(&h->lock);
}
