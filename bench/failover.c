/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Our side of bench/run failover: clients that write all the time, each with one put open, while a
 * process of the cluster is killed. Prints one line of JSON: the longest time without an
 * acknowledged put from the kill on, the one before the kill included, until writes have gone well
 * for a while again.
 *
 *   bench_failover --endpoints H:P,... --kill PID [--clients 8] [--warm-ms 1000] [--after-ms 2000]
 */
#include "client/holdfast.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <uv.h>

#define FAILOVER_CLIENTS_MAX 256u
#define FAILOVER_BOUND_NS 60000000000u /* after the kill */

struct failover {
    const char *endpoints;
    unsigned long pid;
    unsigned long clients;
    unsigned long warm_ms;
    unsigned long after_ms;
    uv_loop_t loop;
    uv_timer_t timer;
    unsigned long warm; /* clients whose first put has ended */
    uint64_t started_ns;
    uint64_t killed_ns;  /* 0: not yet */
    uint64_t resumed_ns; /* first acknowledgement after the kill; 0: none yet */
    uint64_t acked_ns;   /* the last one */
    uint64_t gap_ns;
    uint64_t before; /* acknowledged puts before the kill */
    uint64_t failed;
};

struct failover_client {
    struct failover *f;
    struct hf_client *client;
    unsigned long index;
    uint64_t turn;
    bool warm;
};

static void failover_done(void *ctx, const struct hf_result *r);

static void failover_put(struct failover_client *c)
{
    char key[48];
    (void)snprintf(key, sizeof(key), "failover/%lu/%llu", c->index,
                   (unsigned long long)(c->turn++ % 1000));
    struct hf_kv kv = {.key = hf_text(key), .value = hf_text(key), .timeout_ms = 60000};
    int err = hf_kv_put(c->client, &kv, c, failover_done);
    if (err != 0) {
        (void)fprintf(stderr, "bench_failover: %s\n", hf_error_text(err));
        exit(1);
    }
}

static void failover_kill(uv_timer_t *timer)
{
    struct failover *f = timer->data;
    f->killed_ns = uv_hrtime();
    if (kill((pid_t)f->pid, SIGKILL) != 0) {
        perror("bench_failover: cannot kill");
        exit(1);
    }
}

static void failover_acked(struct failover *f, uint64_t now)
{
    if (f->killed_ns == 0) {
        f->before++;
    } else {
        f->gap_ns = now - f->acked_ns > f->gap_ns ? now - f->acked_ns : f->gap_ns;
        f->resumed_ns = f->resumed_ns == 0 ? now : f->resumed_ns;
    }
    f->acked_ns = now;
}

/* The end is counted from the end of the longest gap: the first acknowledgements after the kill
 * may have been on their way before it. */
static bool failover_over(const struct failover *f, uint64_t now)
{
    if (f->killed_ns == 0) {
        return false;
    }
    return now - f->killed_ns > FAILOVER_BOUND_NS ||
           (f->resumed_ns != 0 && f->gap_ns > 0 &&
            now - f->killed_ns > f->gap_ns + (uint64_t)f->after_ms * 1000000u);
}

static void failover_done(void *ctx, const struct hf_result *r)
{
    struct failover_client *c = ctx;
    struct failover *f = c->f;
    uint64_t now = uv_hrtime();
    if (!c->warm) {
        if (r->code != 0) {
            (void)fprintf(stderr, "bench_failover: %s\n", r->text);
            exit(1);
        }
        c->warm = true;
        f->warm++;
        return;
    }
    if (r->code == 0) {
        failover_acked(f, now);
    } else {
        f->failed++;
    }
    if (failover_over(f, now)) {
        uv_stop(&f->loop);
        return;
    }
    failover_put(c);
}

static int failover_run(struct failover *f, struct failover_client *clients)
{
    struct hf_client_options options = {.endpoints = f->endpoints, .unreachable_ms = 60000};
    for (unsigned long i = 0; i < f->clients; i++) {
        clients[i] = (struct failover_client){.f = f, .index = i};
        int err = hf_client_new(&f->loop, &options, &clients[i].client);
        if (err != 0) {
            (void)fprintf(stderr, "bench_failover: %s\n", hf_error_text(err));
            return 1;
        }
        failover_put(&clients[i]);
    }
    while (f->warm < f->clients) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    (void)uv_timer_init(&f->loop, &f->timer);
    f->timer.data = f;
    (void)uv_timer_start(&f->timer, failover_kill, f->warm_ms, 0);
    f->started_ns = uv_hrtime();
    f->acked_ns = f->started_ns;
    for (unsigned long i = 0; i < f->clients; i++) {
        failover_put(&clients[i]);
    }
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    (void)printf("{\"gap_ms\":%.1f,\"first_ms\":%.1f,\"puts_per_second\":%.0f,\"failed\":%llu}\n",
                 (double)f->gap_ns / 1e6, (double)(f->resumed_ns - f->killed_ns) / 1e6,
                 (double)f->before / ((double)(f->killed_ns - f->started_ns) / 1e9),
                 (unsigned long long)f->failed);
    return 0;
}

static int failover_usage(const char *what)
{
    (void)fprintf(stderr, "bench_failover: '%s' is not understood\n", what);
    return 2;
}

static int failover_parse(struct failover *f, int argc, char **argv)
{
    const struct {
        const char *name;
        unsigned long *into;
    } numbers[] = {{"--kill", &f->pid},
                   {"--clients", &f->clients},
                   {"--warm-ms", &f->warm_ms},
                   {"--after-ms", &f->after_ms}};
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned long *into = NULL;
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
            into = strcmp(argv[i], numbers[n].name) == 0 ? numbers[n].into : into;
        }
        if (into != NULL) {
            *into = strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--endpoints") == 0) {
            f->endpoints = argv[i + 1];
        } else {
            return failover_usage(argv[i]);
        }
    }
    bool good = argc % 2 == 1 && f->pid > 1 && f->clients > 0 && f->clients <= FAILOVER_CLIENTS_MAX;
    return good ? 0 : failover_usage("a value");
}

int main(int argc, char **argv)
{
    static struct failover f = {.clients = 8, .warm_ms = 1000, .after_ms = 2000};
    static struct failover_client clients[FAILOVER_CLIENTS_MAX];
    (void)signal(SIGPIPE, SIG_IGN);
    f.endpoints = getenv("HOLDFAST_ENDPOINTS");
    int code = failover_parse(&f, argc, argv);
    if (code != 0) {
        return code;
    }
    if (uv_loop_init(&f.loop) != 0) {
        (void)fprintf(stderr, "bench_failover: no memory\n");
        return 1;
    }
    return failover_run(&f, clients);
}
