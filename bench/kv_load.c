/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Our side of bench/kv: N clients, each with connections of its own and one request open, or so
 * many as are asked for, for a number of seconds. Prints one line of JSON with the rate and the
 * latencies. Clients send to the leader, as they always do. With a rate, each request has its time,
 * whether those before it have been answered or not, and its latency counts from then.
 *
 *   bench_kv_load --endpoints H:P,... --clients 50 --seconds 5 --op put|get --keys 10000 --bytes
 * 100
 *                 [--plain 1]         writes outside of sessions, as other stores have them
 *                 [--outstanding 1]   calls that a client has open at once
 *                 [--rate 0]          requests a second of all clients; 0: as fast as they can
 */
#include "client/holdfast.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define LOAD_CLIENTS_MAX 4096u
#define LOAD_OUTSTANDING_MAX 1000u /* of HF_CALLS_MAX */
#define LOAD_SAMPLES_MAX ((size_t)16 << 20)
#define LOAD_VALUE_BYTES_MAX (1u << 20)

struct load {
    const char *endpoints;
    const char *op;
    unsigned long clients;
    double seconds;
    unsigned long keys;
    unsigned long bytes;
    unsigned long plain;
    unsigned long outstanding;
    unsigned long rate;
    uint64_t period_ms; /* of one call; 0: it is sent once the one before is answered */
    uv_loop_t loop;
    char *value;
    uint64_t started_ns;
    uint64_t ends_ns; /* 0: still warming up */
    uint64_t ended_ns;
    uint64_t done;
    uint64_t failed;
    unsigned long ready; /* clients whose first request has ended */
    unsigned long open;
    uint32_t *samples_us;
    size_t samples;
};

struct load_client {
    struct load *load;
    struct hf_client *client;
    unsigned long index;
    uint64_t turn;
    bool warm;
};
struct load_call {
    struct load_client *client;
    uint64_t sent_ns; /* or was to be */
    uint64_t due_ms;  /* by the loop's clock */
    uv_timer_t timer;
};

static void load_done(void *ctx, const struct hf_result *r);

static void load_send(struct load_call *call, uint64_t sent_ns)
{
    struct load_client *c = call->client;
    struct load *l = c->load;
    char key[32];
    unsigned long number = (unsigned long)((c->turn++ * l->clients + c->index) % l->keys);
    (void)snprintf(key, sizeof(key), "bench/%08lu", number);
    struct hf_kv kv = {.key = hf_text(key), .value = {.data = l->value, .size = l->bytes}};
    call->sent_ns = sent_ns;
    int err = strcmp(l->op, "put") == 0 ? hf_kv_put(c->client, &kv, call, load_done)
                                        : hf_kv_get(c->client, &kv, call, load_done);
    if (err != 0) {
        (void)fprintf(stderr, "bench_kv_load: %s\n", hf_error_text(err));
        exit(1);
    }
}

static void load_due(uv_timer_t *timer)
{
    struct load_call *call = timer->data;
    load_send(call, call->due_ms * 1000000);
}

static void load_next(struct load_call *call)
{
    const struct load *l = call->client->load;
    const uint64_t now_ms = uv_now(&l->loop);
    if (l->period_ms == 0) {
        load_send(call, uv_hrtime());
        return;
    }
    call->due_ms += l->period_ms;
    if (call->due_ms <= now_ms) {
        load_due(&call->timer);
    } else {
        (void)uv_timer_start(&call->timer, load_due, call->due_ms - now_ms, 0);
    }
}

/* The first request of each client opens its connection and session; measuring begins when all
 * have had theirs. */
static void load_done(void *ctx, const struct hf_result *r)
{
    struct load_call *call = ctx;
    struct load_client *c = call->client;
    struct load *l = c->load;
    uint64_t now = uv_hrtime();
    if (!c->warm) {
        if (r->code != 0) {
            (void)fprintf(stderr, "bench_kv_load: %s\n", r->text);
            exit(1);
        }
        c->warm = true;
        l->ready++;
        l->open--;
        return;
    }
    if (r->code != 0) {
        l->failed++;
    } else {
        l->done++;
        if (l->samples < LOAD_SAMPLES_MAX) {
            l->samples_us[l->samples++] = (uint32_t)((now - call->sent_ns) / 1000);
        }
    }
    if (now < l->ends_ns) {
        load_next(call);
        return;
    }
    l->open--;
    l->ended_ns = now;
}

static int load_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double load_at(const struct load *l, double p)
{
    return l->samples == 0 ? 0 : (double)l->samples_us[(size_t)(p * (double)(l->samples - 1))];
}

static void load_wait(struct load *l)
{
    while (l->open > 0) {
        (void)uv_run(&l->loop, UV_RUN_ONCE);
    }
}

/* With a rate, calls begin one after the other within their period. */
static void load_begin(struct load *l, struct load_call *calls)
{
    const unsigned long count = l->clients * l->outstanding;
    uv_update_time(&l->loop);
    l->period_ms = l->rate > 0 ? count * 1000 / l->rate : 0;
    for (unsigned long i = 0; i < count; i++) {
        l->open++;
        calls[i].timer.data = &calls[i];
        calls[i].due_ms = uv_now(&l->loop) + i * l->period_ms / count - l->period_ms;
        (void)uv_timer_init(&l->loop, &calls[i].timer);
        load_next(&calls[i]);
    }
}

static int load_run(struct load *l, struct load_client *clients, struct load_call *calls)
{
    struct hf_client_options options = {.endpoints = l->endpoints, .plain = l->plain != 0};
    for (unsigned long i = 0; i < l->clients; i++) {
        clients[i] = (struct load_client){.load = l, .index = i};
        int err = hf_client_new(&l->loop, &options, &clients[i].client);
        if (err != 0) {
            (void)fprintf(stderr, "bench_kv_load: %s\n", hf_error_text(err));
            return 1;
        }
        for (unsigned long j = 0; j < l->outstanding; j++) {
            calls[i * l->outstanding + j].client = &clients[i];
        }
        l->open++;
        load_send(&calls[i * l->outstanding], uv_hrtime());
        if (l->open >= 64) {
            load_wait(l); /* sessions are opened a few at a time */
        }
    }
    load_wait(l);
    l->started_ns = uv_hrtime();
    l->ends_ns = l->started_ns + (uint64_t)(l->seconds * 1e9);
    load_begin(l, calls);
    load_wait(l);
    double took = (double)(l->ended_ns - l->started_ns) / 1e9;
    qsort(l->samples_us, l->samples, sizeof(*l->samples_us), load_compare);
    (void)printf("{\"op\":\"%s\",\"clients\":%lu,\"outstanding\":%lu,\"done\":%llu,\"failed\":%llu,"
                 "\"per_second\":%.1f,\"p50_us\":%.0f,\"p99_us\":%.0f}\n",
                 l->op, l->clients, l->outstanding, (unsigned long long)l->done,
                 (unsigned long long)l->failed, (double)l->done / took, load_at(l, 0.5),
                 load_at(l, 0.99));
    for (unsigned long i = 0; i < l->clients; i++) {
        hf_client_free(clients[i].client);
    }
    for (unsigned long i = 0; i < l->clients * l->outstanding; i++) {
        uv_close((uv_handle_t *)&calls[i].timer, NULL);
    }
    (void)uv_run(&l->loop, UV_RUN_DEFAULT);
    return 0;
}

static int load_usage(const char *what)
{
    (void)fprintf(stderr, "bench_kv_load: '%s' is not understood\n", what);
    return 2;
}

static int load_parse(struct load *l, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i];
        const char *value = argv[i + 1];
        const struct {
            const char *name;
            unsigned long *into;
        } numbers[] = {{"--clients", &l->clients},
                       {"--keys", &l->keys},
                       {"--bytes", &l->bytes},
                       {"--plain", &l->plain},
                       {"--outstanding", &l->outstanding},
                       {"--rate", &l->rate}};
        unsigned long *into = NULL;
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
            into = strcmp(name, numbers[n].name) == 0 ? numbers[n].into : into;
        }
        if (into != NULL) {
            *into = strtoul(value, NULL, 10);
        } else if (strcmp(name, "--endpoints") == 0) {
            l->endpoints = value;
        } else if (strcmp(name, "--op") == 0) {
            l->op = value;
        } else if (strcmp(name, "--seconds") == 0) {
            l->seconds = strtod(value, NULL);
        } else {
            return load_usage(name);
        }
    }
    if (argc % 2 == 0) {
        return load_usage(argv[argc - 1]);
    }
    bool good = l->outstanding > 0 && l->outstanding <= LOAD_OUTSTANDING_MAX && l->clients > 0 &&
                l->clients <= LOAD_CLIENTS_MAX && l->keys > 0 && l->bytes <= LOAD_VALUE_BYTES_MAX &&
                l->seconds > 0 &&
                (l->rate == 0 || l->clients * l->outstanding * 1000 / l->rate > 0) &&
                (strcmp(l->op, "put") == 0 || strcmp(l->op, "get") == 0);
    return good ? 0 : load_usage("a value");
}

int main(int argc, char **argv)
{
    static struct load l = {
        .op = "put", .clients = 50, .outstanding = 1, .seconds = 5, .keys = 10000, .bytes = 100};
    (void)signal(SIGPIPE, SIG_IGN);
    l.endpoints = getenv("HOLDFAST_ENDPOINTS");
    int code = load_parse(&l, argc, argv);
    if (code != 0) {
        return code;
    }
    struct load_client *clients = calloc(l.clients, sizeof(*clients));
    struct load_call *calls = calloc(l.clients * l.outstanding, sizeof(*calls));
    l.value = malloc(l.bytes + 1);
    l.samples_us = malloc(LOAD_SAMPLES_MAX * sizeof(*l.samples_us));
    if (clients == NULL || calls == NULL || l.value == NULL || l.samples_us == NULL ||
        uv_loop_init(&l.loop) != 0) {
        (void)fprintf(stderr, "bench_kv_load: no memory\n");
        return 1;
    }
    memset(l.value, 'v', l.bytes);
    code = load_run(&l, clients, calls);
    (void)uv_loop_close(&l.loop);
    free(clients);
    free(calls);
    free(l.value);
    free(l.samples_us);
    return code;
}
