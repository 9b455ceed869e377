/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The load of bench/run crdt. Prints one line of JSON.
 *
 *   bench_crdt_load --endpoints H:P,... --op counter|set|key [--clients 50] [--copies 1]
 *                   [--seconds 5 | --count N] [--batch 1] [--keys 10000] [--first 0] [--step 1]
 *                   [--outstanding 1]
 *       N clients, each with connections of its own and one call open, or so many as are asked for:
 *       increments of counters; additions of new elements to one set; writes of registers, numbered
 *       from first by step. What a client has open at once shares requests, unless a call is a
 *       batch.
 *   bench_crdt_load --endpoints H:P,... --op lag --rate 5000 --seconds 5
 *       Increments at that rate, spread over all nodes; every 5 ms one more at the first of them,
 * of which the others tell a watch: the time from sending it to hearing of it, at each.
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
#define LOAD_NODES_MAX 16u
#define LOAD_PROBES_MAX 65536u
#define LOAD_PROBE_MS 5u
#define LOAD_EACH 4u /* clients a node, for a rate */

struct load;
struct load_client {
    struct load *load;
    struct hf_client *client;
    struct hf_watch *watch;
    unsigned long index;
    bool warm;
};
struct load_call {
    struct load_client *client;
    uint64_t sent_ns;
    unsigned long batch; /* its operations */
};

struct load {
    const char *endpoints;
    const char *op;
    unsigned long clients;
    unsigned long copies;
    unsigned long count;
    unsigned long batch;
    unsigned long outstanding;
    unsigned long keys;
    unsigned long first;
    unsigned long step;
    unsigned long rate;
    double seconds;
    uv_loop_t loop;
    uint64_t started_ns;
    uint64_t ends_ns;
    uint64_t ended_ns;
    uint64_t next; /* number of the next operation */
    uint64_t done;
    uint64_t failed;
    unsigned long open;
    uint32_t *samples_us;
    size_t samples;
    struct load_client *client;
    struct load_call *call;
    char *node[LOAD_NODES_MAX]; /* lag: endpoints, and who watches each */
    unsigned nodes;
    uint64_t *probes_ns; /* when each was sent */
    unsigned long probes;
    uint64_t heard;
    uv_timer_t timer;
};

static void load_fail(const char *text)
{
    (void)fprintf(stderr, "bench_crdt_load: %s\n", text);
    exit(1);
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

static void load_sample(struct load *l, uint64_t ns)
{
    if (l->samples < LOAD_SAMPLES_MAX) {
        l->samples_us[l->samples++] = (uint32_t)(ns / 1000);
    }
}

/* ---- one request after the other ------------------------------------------------------------- */

struct load_text {
    char name[32];
    char value[32];
};

static struct hf_crdt_op load_make(const struct load *l, uint64_t number, struct load_text *t)
{
    struct hf_crdt_op op = {.verb = HF_CRDT_ADD, .amount = 1};
    if (strcmp(l->op, "set") == 0) {
        (void)snprintf(t->name, sizeof(t->name), "set");
        (void)snprintf(t->value, sizeof(t->value), "element-%010llu", (unsigned long long)number);
        op = (struct hf_crdt_op){.verb = HF_CRDT_ADD, .value = hf_text(t->value)};
        hf_crdt_path_init(&op.path, HF_CRDT_AW_SET);
    } else if (strcmp(l->op, "key") == 0) {
        (void)snprintf(t->name, sizeof(t->name), "key/%08llu", (unsigned long long)number);
        (void)snprintf(t->value, sizeof(t->value), "value of %llu", (unsigned long long)number);
        op = (struct hf_crdt_op){.verb = HF_CRDT_SET, .value = hf_text(t->value)};
        hf_crdt_path_init(&op.path, HF_CRDT_LWW);
    } else {
        (void)snprintf(t->name, sizeof(t->name), "bench/%08llu",
                       (unsigned long long)(number % l->keys));
        hf_crdt_path_init(&op.path, HF_CRDT_PN_COUNTER);
    }
    op.name = hf_text(t->name);
    return op;
}

static void load_done(void *ctx, const struct hf_result *r);

static bool load_over(const struct load *l, uint64_t now)
{
    return l->count > 0 ? l->next >= l->count : now >= l->ends_ns;
}

static void load_send(struct load_call *call, bool warm)
{
    static struct load_text texts[HF_CRDT_OPS_MAX];
    static struct hf_crdt_op ops[HF_CRDT_OPS_MAX];
    struct load_client *c = call->client;
    struct load *l = c->load;
    call->batch = 0;
    while (call->batch < (warm ? 1 : l->batch) && (warm || l->count == 0 || l->next < l->count)) {
        uint64_t number = warm ? c->index : l->next++;
        ops[call->batch] = load_make(l, l->first + number * l->step, &texts[call->batch]);
        if (warm) {
            (void)snprintf(texts[0].name, sizeof(texts[0].name), "warm/%s%08lu", l->op, c->index);
            ops[0].name = hf_text(texts[0].name);
        }
        call->batch++;
    }
    struct hf_crdt crdt = {.ops = ops, .ops_count = call->batch, .copies = (uint32_t)l->copies};
    call->sent_ns = uv_hrtime();
    int err = hf_crdt_update(c->client, &crdt, call, load_done);
    if (err != 0) {
        load_fail(hf_error_text(err));
    }
    l->open++;
}

/* The first request of each client opens its connection and session; measuring begins when all
 * have had theirs. */
static void load_done(void *ctx, const struct hf_result *r)
{
    struct load_call *call = ctx;
    struct load_client *c = call->client;
    struct load *l = c->load;
    uint64_t now = uv_hrtime();
    l->open--;
    if (!c->warm) {
        c->warm = true;
        if (r->code != 0) {
            load_fail(r->text);
        }
        return;
    }
    if (r->code != 0) {
        l->failed += call->batch;
    } else {
        l->done += call->batch;
        load_sample(l, now - call->sent_ns);
    }
    l->ended_ns = now;
    if (!load_over(l, now)) {
        load_send(call, false);
    }
}

static void load_wait(struct load *l)
{
    while (l->open > 0) {
        (void)uv_run(&l->loop, UV_RUN_ONCE);
    }
}

static void load_connect(struct load *l, struct load_client *c, const char *endpoints)
{
    struct hf_client_options options = {.endpoints = endpoints};
    int err = hf_client_new(&l->loop, &options, &c->client);
    if (err != 0) {
        load_fail(hf_error_text(err));
    }
}

static void load_calls(struct load *l, unsigned long client)
{
    for (unsigned long i = 0; i < l->outstanding; i++) {
        l->call[client * l->outstanding + i].client = &l->client[client];
    }
}

static void load_print(struct load *l)
{
    double took = (double)(l->ended_ns - l->started_ns) / 1e9;
    qsort(l->samples_us, l->samples, sizeof(*l->samples_us), load_compare);
    (void)printf("{\"op\":\"%s\",\"clients\":%lu,\"outstanding\":%lu,\"done\":%llu,\"failed\":%llu,"
                 "\"per_second\":%.1f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"heard\":%llu,"
                 "\"probes\":%lu}\n",
                 l->op, l->clients, l->outstanding, (unsigned long long)l->done,
                 (unsigned long long)l->failed, (double)l->done / took, load_at(l, 0.5),
                 load_at(l, 0.99), (unsigned long long)l->heard, l->probes);
}

/* Each client stays with the node that it knows first, so they are spread over all of them. */
static void load_run(struct load *l)
{
    for (unsigned long i = 0; i < l->clients; i++) {
        l->client[i] = (struct load_client){.load = l, .index = i};
        load_connect(l, &l->client[i], l->node[i % l->nodes]);
        load_calls(l, i);
        load_send(&l->call[i * l->outstanding], true);
        if (l->open >= 64) {
            load_wait(l);
        }
    }
    load_wait(l);
    l->started_ns = uv_hrtime();
    l->ends_ns = l->started_ns + (uint64_t)(l->seconds * 1e9);
    unsigned long calls = l->clients * l->outstanding;
    for (unsigned long i = 0; i < calls && !load_over(l, l->started_ns); i++) {
        load_send(&l->call[i], false);
    }
    load_wait(l);
    load_print(l);
}

/* ---- lag ------------------------------------------------------------------------------------- */

static void lag_added(void *ctx, const struct hf_result *r)
{
    struct load *l = ctx;
    l->open--;
    l->done += r->code == 0;
    l->failed += r->code != 0;
    l->ended_ns = uv_hrtime();
}

static void lag_add(struct load *l, struct load_client *c, const char *name)
{
    struct hf_crdt_op op = {.name = hf_text(name), .verb = HF_CRDT_ADD, .amount = 1};
    struct hf_crdt crdt = {.ops = &op, .ops_count = 1, .copies = (uint32_t)l->copies};
    hf_crdt_path_init(&op.path, HF_CRDT_PN_COUNTER);
    int err = hf_crdt_update(c->client, &crdt, l, lag_added);
    l->open += err == 0;
    l->failed += err != 0; /* more open than a client may have */
}

static void lag_heard(void *ctx, const struct hf_event *event)
{
    struct load_client *c = ctx;
    struct load *l = c->load;
    char text[32] = "";
    if (event->code != 0 || event->key.size <= 6 || event->key.size >= sizeof(text)) {
        return;
    }
    memcpy(text, event->key.data, event->key.size);
    unsigned long probe = strtoul(text + 6, NULL, 10);
    if (probe < l->probes) {
        l->heard++;
        load_sample(l, uv_hrtime() - l->probes_ns[probe]);
    }
}

/* A millisecond: what is due of the rate, and sometimes a probe. */
static void lag_tick(uv_timer_t *timer)
{
    struct load *l = timer->data;
    uint64_t now = uv_hrtime();
    char name[32];
    if (now >= l->ends_ns) {
        (void)uv_timer_stop(timer);
        return;
    }
    uint64_t due = (uint64_t)((double)(now - l->started_ns) / 1e9 * (double)l->rate);
    while (l->next < due) {
        (void)snprintf(name, sizeof(name), "bench/%08llu", (unsigned long long)(l->next % l->keys));
        lag_add(l, &l->client[l->next % l->clients], name);
        l->next++;
    }
    if (now - l->started_ns >= l->probes * LOAD_PROBE_MS * 1000000 && l->probes < LOAD_PROBES_MAX) {
        (void)snprintf(name, sizeof(name), "probe/%08lu", l->probes);
        l->probes_ns[l->probes++] = uv_hrtime();
        lag_add(l, &l->client[0], name);
    }
}

static void lag_warm(struct load *l)
{
    l->clients = (unsigned long)l->nodes * LOAD_EACH;
    for (unsigned long i = 0; i < l->clients; i++) {
        struct load_client *c = &l->client[i];
        *c = (struct load_client){.load = l, .index = i};
        load_connect(l, c, l->node[i % l->nodes]);
        load_calls(l, i);
        load_send(&l->call[i], true);
        load_wait(l);
        if (i > 0 && i < l->nodes) {
            struct hf_crdt crdt = {.prefix = hf_text("probe/")};
            if (hf_crdt_watch_new(c->client, &crdt, c, lag_heard, &c->watch) != 0) {
                load_fail("cannot watch");
            }
        }
    }
    uint64_t until = uv_hrtime() + 1000000000u; /* the watches are there by then */
    while (uv_hrtime() < until) {
        (void)uv_run(&l->loop, UV_RUN_NOWAIT);
    }
}

static void load_lag(struct load *l)
{
    lag_warm(l);
    (void)uv_timer_init(&l->loop, &l->timer);
    l->timer.data = l;
    l->started_ns = uv_hrtime();
    l->ends_ns = l->started_ns + (uint64_t)(l->seconds * 1e9);
    (void)uv_timer_start(&l->timer, lag_tick, 1, 1);
    uint64_t until = l->ends_ns + 10000000000u;
    while ((uv_hrtime() < l->ends_ns || l->open > 0 || l->heard < l->probes * (l->nodes - 1)) &&
           uv_hrtime() < until) {
        (void)uv_run(&l->loop, UV_RUN_ONCE);
    }
    load_print(l);
    for (unsigned i = 1; i < l->nodes; i++) {
        hf_watch_free(l->client[i].watch);
    }
    uv_close((uv_handle_t *)&l->timer, NULL);
}

/* ---- options --------------------------------------------------------------------------------- */

static int load_usage(const char *what)
{
    (void)fprintf(stderr, "bench_crdt_load: '%s' is not understood\n", what);
    return 2;
}

static int load_parse(struct load *l, int argc, char **argv)
{
    const struct {
        const char *name;
        unsigned long *into;
    } numbers[] = {
        {"--clients", &l->clients}, {"--copies", &l->copies}, {"--count", &l->count},
        {"--batch", &l->batch},     {"--keys", &l->keys},     {"--first", &l->first},
        {"--step", &l->step},       {"--rate", &l->rate},     {"--outstanding", &l->outstanding}};
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned long *into = NULL;
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
            into = strcmp(argv[i], numbers[n].name) == 0 ? numbers[n].into : into;
        }
        if (into != NULL) {
            *into = strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--endpoints") == 0) {
            l->endpoints = argv[i + 1];
        } else if (strcmp(argv[i], "--op") == 0) {
            l->op = argv[i + 1];
        } else if (strcmp(argv[i], "--seconds") == 0) {
            l->seconds = strtod(argv[i + 1], NULL);
        } else {
            return load_usage(argv[i]);
        }
    }
    bool good = argc % 2 == 1 && l->clients > 0 && l->clients <= LOAD_CLIENTS_MAX && l->keys > 0 &&
                l->batch > 0 && l->batch <= HF_CRDT_OPS_MAX && l->outstanding > 0 &&
                l->outstanding <= LOAD_OUTSTANDING_MAX && l->endpoints != NULL;
    return good ? 0 : load_usage("a value");
}

static void load_nodes(struct load *l)
{
    const char *at = l->endpoints;
    while (*at != '\0' && l->nodes < LOAD_NODES_MAX) {
        size_t bytes = strcspn(at, ",");
        l->node[l->nodes] = strndup(at, bytes);
        if (l->node[l->nodes++] == NULL) {
            load_fail("no memory");
        }
        at += bytes + (at[bytes] == ',');
    }
}

int main(int argc, char **argv)
{
    static struct load l = {.op = "counter",
                            .clients = 50,
                            .copies = 1,
                            .batch = 1,
                            .outstanding = 1,
                            .keys = 10000,
                            .step = 1,
                            .rate = 5000,
                            .seconds = 5};
    (void)signal(SIGPIPE, SIG_IGN);
    l.endpoints = getenv("HOLDFAST_ENDPOINTS");
    int code = load_parse(&l, argc, argv);
    if (code != 0) {
        return code;
    }
    l.client = calloc(LOAD_CLIENTS_MAX, sizeof(*l.client));
    l.call = calloc(LOAD_CLIENTS_MAX * l.outstanding, sizeof(*l.call));
    l.samples_us = malloc(LOAD_SAMPLES_MAX * sizeof(*l.samples_us));
    l.probes_ns = calloc(LOAD_PROBES_MAX, sizeof(*l.probes_ns));
    if (l.client == NULL || l.call == NULL || l.samples_us == NULL || l.probes_ns == NULL ||
        uv_loop_init(&l.loop) != 0) {
        load_fail("no memory");
    }
    load_nodes(&l);
    if (strcmp(l.op, "lag") == 0) {
        load_lag(&l);
    } else {
        load_run(&l);
    }
    for (unsigned long i = 0; i < l.clients; i++) {
        hf_client_free(l.client[i].client);
    }
    (void)uv_run(&l.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&l.loop);
    for (unsigned i = 0; i < l.nodes; i++) {
        free(l.node[i]);
    }
    free(l.client);
    free(l.call);
    free(l.samples_us);
    free(l.probes_ns);
    return 0;
}
