/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * kills --dir DIR [--rounds N] [--seed S] [--history FILE]: five real processes under load. With
 * --endpoints H:P,... --until FILE the cluster is somebody else's, and so are the faults, until
 * FILE is there. Otherwise each round kills one or two nodes, or all five at once, with SIGKILL,
 * starts them again, and waits until the cluster serves. Workers meanwhile put, get, compare and
 * set, increment and store objects. At the end: the history of the keys is linearizable, every
 * increment that was acknowledged counted once, and every object that was acknowledged is there and
 * whole.
 */
#include "base/err.h"
#include "base/num.h"
#include "base/rng.h"
#include "client/holdfast.h"
#include "tests/sim/history.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILLS_NODES 5u
#define KILLS_WORKERS 6u
#define KILLS_KEYS 6u /* a round */
#define KILLS_OBJECTS 65536u
#define KILLS_OBJECT_BYTES (300u << 10)

struct kills_object {
    uint64_t seed;
    uint64_t bytes;
};

struct kills {
    const char *dir;
    const char *tool;
    const char *until; /* of somebody else's cluster; NULL: the own one */
    uint64_t rest_ms;  /* at least, between a worker's operations */
    char endpoints[512];
    uint64_t seed;
    unsigned rounds;
    unsigned round;
    bool stop;
    pthread_mutex_t lock; /* of all below, round and stop */
    struct history history;
    uint32_t values;
    uint32_t processes;
    uint64_t incr_acked;
    uint64_t incr_unknown;
    uint64_t serves; /* operations that went well */
    uint64_t served_ns;
    uint64_t gap_ns; /* the longest time without one */
    struct kills_object objects[KILLS_OBJECTS];
    unsigned objects_count;
    unsigned objects_refused;
    uint64_t from_ns;
};

struct kills_worker {
    struct kills *k;
    unsigned number;
    pthread_t thread;
    struct rng rng;
    struct hf_client *client;
    uint32_t process;
};

static uint64_t kills_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void kills_pause_ms(uint64_t ms)
{
    struct timespec pause = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* Runs `holdfast local VERB [I] --dir DIR`. returns: its exit code; out (may be NULL) gets the
 * first line. */
static int kills_local(struct kills *k, const char *rest, char *out, size_t out_bytes)
{
    char command[1024];
    char line[1024] = "";
    (void)snprintf(command, sizeof(command), "%s local %s --dir %s 2>&1", k->tool, rest, k->dir);
    FILE *from = popen(command, "r");
    ASSERT(from != NULL);
    if (fgets(line, sizeof(line), from) == NULL) {
        line[0] = '\0';
    }
    char more[1024];
    while (fgets(more, sizeof(more), from) != NULL) {
    }
    int status = pclose(from);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    line[strcspn(line, "\n")] = '\0';
    if (code != 0) {
        (void)fprintf(stderr, "kills: '%s' ended with %d: %s\n", command, code, line);
    }
    if (out != NULL) {
        (void)snprintf(out, out_bytes, "%s", line);
    }
    return code;
}

/* ---- workers --------------------------------------------------------------------------------- */

static enum history_end kills_end(int code)
{
    switch (hf_outcome_of(code)) {
    case HF_DONE: return HISTORY_OK;
    case HF_RETRY:
    case HF_REFUSED: return HISTORY_FAIL;
    default: return HISTORY_INFO;
    }
}

static void kills_begin(struct kills_worker *w, struct history_op *op, uint32_t *number)
{
    struct kills *k = w->k;
    (void)pthread_mutex_lock(&k->lock);
    uint64_t dice = rng_below(&w->rng, 100);
    *op = (struct history_op){.process = w->process,
                              .key =
                                  k->round * KILLS_KEYS + (uint32_t)rng_below(&w->rng, KILLS_KEYS)};
    op->f = dice < 45   ? HISTORY_GET
            : dice < 80 ? HISTORY_PUT
            : dice < 95 ? HISTORY_CAS
                        : HISTORY_DELETE;
    if (op->f == HISTORY_PUT || op->f == HISTORY_CAS) {
        op->value = ++k->values;
    }
    if (op->f == HISTORY_CAS && k->values > 2) {
        op->old = k->values - 1 - (uint32_t)rng_below(&w->rng, 2);
    }
    op->invoke_ns = kills_now_ns() - k->from_ns;
    *number = history_invoke(&k->history, op);
    (void)pthread_mutex_unlock(&k->lock);
}

/* Under the lock: an operation has ended, well or not. */
static void kills_count(struct kills *k, bool well)
{
    if (well) {
        uint64_t now_ns = kills_now_ns();
        k->gap_ns = NUM_MAX(k->gap_ns, now_ns - k->served_ns);
        k->served_ns = now_ns;
        k->serves++;
    }
}

static void kills_done(struct kills_worker *w, uint32_t number, int code, uint32_t value)
{
    struct kills *k = w->k;
    enum history_end end = kills_end(code);
    (void)pthread_mutex_lock(&k->lock);
    history_end(&k->history, number, end, value, kills_now_ns() - k->from_ns);
    kills_count(k, end == HISTORY_OK);
    if (end == HISTORY_INFO) {
        w->process = k->processes++;
    }
    (void)pthread_mutex_unlock(&k->lock);
}

static uint32_t kills_value(const struct hf_result *r)
{
    char text[16] = "";
    if (!r->found) {
        return HISTORY_ABSENT;
    }
    if (r->value.size < 2 || r->value.size >= sizeof(text)) {
        return HISTORY_FOREIGN;
    }
    memcpy(text, r->value.data, r->value.size);
    return text[0] == 'v' ? (uint32_t)strtoul(text + 1, NULL, 10) : HISTORY_FOREIGN;
}

static void kills_key(struct kills_worker *w)
{
    struct history_op op;
    struct hf_answer answer = {0};
    char key[32];
    char value[32];
    char old[32];
    uint32_t number = 0;
    int err = 0;
    kills_begin(w, &op, &number);
    (void)snprintf(key, sizeof(key), "k%" PRIu32, op.key);
    (void)snprintf(value, sizeof(value), "v%" PRIu32, op.value);
    (void)snprintf(old, sizeof(old), "v%" PRIu32, op.old);
    struct hf_kv kv = {.key = hf_text(key), .timeout_ms = 20000};
    switch (op.f) {
    case HISTORY_GET: err = hf_kv_get(w->client, &kv, &answer, hf_answer_done); break;
    case HISTORY_DELETE: err = hf_kv_delete(w->client, &kv, &answer, hf_answer_done); break;
    case HISTORY_PUT:
        kv.value = hf_text(value);
        err = hf_kv_put(w->client, &kv, &answer, hf_answer_done);
        break;
    default:
        kv.value = hf_text(value);
        kv.expected = hf_text(old);
        kv.expect_absent = op.old == HISTORY_ABSENT;
        err = hf_kv_cas(w->client, &kv, &answer, hf_answer_done);
        break;
    }
    err = err == 0 ? hf_wait(w->client, &answer) : err;
    kills_done(w, number, err, err == 0 && op.f == HISTORY_GET ? kills_value(&answer.result) : 0);
    hf_answer_release(&answer);
}

static void kills_incr(struct kills_worker *w)
{
    struct kills *k = w->k;
    struct hf_answer answer = {0};
    struct hf_kv kv = {.key = hf_text("counter"), .by = 1, .timeout_ms = 20000};
    int err = hf_kv_incr(w->client, &kv, &answer, hf_answer_done);
    err = err == 0 ? hf_wait(w->client, &answer) : err;
    hf_answer_release(&answer);
    (void)pthread_mutex_lock(&k->lock);
    k->incr_acked += err == 0;
    kills_count(k, err == 0);
    k->incr_unknown += kills_end(err) == HISTORY_INFO;
    (void)pthread_mutex_unlock(&k->lock);
}

struct kills_stream {
    uint8_t *data;
    uint64_t at;
    uint64_t bytes;
    bool differs;
};

static int kills_read(void *ctx, void *into, size_t bytes, size_t *got)
{
    struct kills_stream *s = ctx;
    *got = (size_t)NUM_MIN((uint64_t)bytes, s->bytes - s->at);
    memcpy(into, s->data + s->at, *got);
    s->at += *got;
    return 0;
}

static int kills_write(void *ctx, const void *data, size_t bytes)
{
    struct kills_stream *s = ctx;
    s->differs =
        s->differs || bytes > s->bytes - s->at || memcmp(s->data + s->at, data, bytes) != 0;
    s->at += bytes;
    return 0;
}

static int kills_rewind(void *ctx)
{
    struct kills_stream *s = ctx;
    s->at = 0;
    return 0;
}

static void kills_fill(const struct kills_object *o, uint8_t *into)
{
    struct rng r;
    rng_init(&r, o->seed);
    rng_fill(&r, into, o->bytes);
}

/* Every put has a name of its own: one that is not acknowledged says nothing. */
static void kills_object(struct kills_worker *w)
{
    struct kills *k = w->k;
    struct kills_object object = {.seed = rng_next(&w->rng)};
    struct hf_answer answer = {0};
    char name[32];
    object.bytes = rng_chance(&w->rng, 1, 4) ? rng_below(&w->rng, 16385)
                                             : rng_between(&w->rng, 16385, KILLS_OBJECT_BYTES);
    struct kills_stream stream = {.data = malloc(KILLS_OBJECT_BYTES), .bytes = object.bytes};
    ASSERT(stream.data != NULL);
    kills_fill(&object, stream.data);
    (void)snprintf(name, sizeof(name), "o%016" PRIx64, object.seed);
    struct hf_object o = {.bucket = hf_text("kills"), .name = hf_text(name), .timeout_ms = 20000};
    struct hf_source source = {.ctx = &stream,
                               .read = kills_read,
                               .rewind = kills_rewind,
                               .size_known = true,
                               .size = object.bytes};
    int err = hf_object_put(w->client, &o, &source, &answer, hf_answer_done);
    err = err == 0 ? hf_wait(w->client, &answer) : err;
    hf_answer_release(&answer);
    free(stream.data);
    (void)pthread_mutex_lock(&k->lock);
    if (err == 0 && k->objects_count < KILLS_OBJECTS) {
        k->objects[k->objects_count++] = object;
    }
    k->objects_refused += err != 0;
    kills_count(k, err == 0);
    (void)pthread_mutex_unlock(&k->lock);
}

static void *kills_work(void *arg)
{
    struct kills_worker *w = arg;
    struct hf_client_options options = {.endpoints = w->k->endpoints, .unreachable_ms = 20000};
    ASSERT(hf_client_new(NULL, &options, &w->client) == 0);
    for (;;) {
        (void)pthread_mutex_lock(&w->k->lock);
        bool stop = w->k->stop;
        (void)pthread_mutex_unlock(&w->k->lock);
        if (stop) {
            break;
        }
        if (w->number == 0) {
            kills_incr(w);
        } else if (w->number == 1) {
            kills_object(w);
        } else {
            kills_key(w);
        }
        kills_pause_ms(w->k->rest_ms + rng_below(&w->rng, 6 + w->k->rest_ms));
    }
    hf_client_free(w->client);
    return NULL;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static uint64_t kills_serves(struct kills *k)
{
    (void)pthread_mutex_lock(&k->lock);
    uint64_t serves = k->serves;
    (void)pthread_mutex_unlock(&k->lock);
    return serves;
}

/* Waits until more operations have gone well: the cluster serves. */
static bool kills_wait_served(struct kills *k, uint64_t more)
{
    uint64_t from = kills_serves(k);
    uint64_t bound = kills_now_ns() + 120ull * 1000000000u;
    while (kills_serves(k) < from + more) {
        if (kills_now_ns() > bound) {
            (void)fprintf(stderr, "kills: the cluster serves nobody for two minutes\n");
            return false;
        }
        kills_pause_ms(5);
    }
    return true;
}

static bool kills_round(struct kills *k, struct rng *rng)
{
    unsigned victims = rng_chance(rng, 1, 5) ? KILLS_NODES : (unsigned)rng_between(rng, 1, 2);
    unsigned first = (unsigned)rng_below(rng, KILLS_NODES);
    char rest[64];
    bool ok = kills_wait_served(k, 10);
    for (unsigned i = 0; ok && i < victims; i++) {
        (void)snprintf(rest, sizeof(rest), "kill %u", (first + i) % KILLS_NODES + 1);
        ok = kills_local(k, rest, NULL, 0) == 0;
    }
    if (ok && victims < 3) {
        ok = kills_wait_served(k, 20);
    }
    for (unsigned i = 0; ok && i < victims; i++) {
        (void)snprintf(rest, sizeof(rest), "start %u", (first + i) % KILLS_NODES + 1);
        ok = kills_local(k, rest, NULL, 0) == 0;
    }
    ok = ok && kills_wait_served(k, 20);
    (void)pthread_mutex_lock(&k->lock);
    k->round++;
    (void)printf("round %u: killed %u, %" PRIu64 " served, %u objects\n", k->round, victims,
                 k->serves, k->objects_count);
    (void)fflush(stdout);
    (void)pthread_mutex_unlock(&k->lock);
    return ok;
}

/* Somebody else does the harm. A round is so long that no key gets too many operations. */
static bool kills_watch(struct kills *k)
{
    bool ok = kills_wait_served(k, 10);
    while (ok && access(k->until, F_OK) != 0) {
        for (unsigned i = 0; i < 60 && access(k->until, F_OK) != 0; i++) {
            kills_pause_ms(50);
        }
        (void)pthread_mutex_lock(&k->lock);
        k->round++;
        (void)pthread_mutex_unlock(&k->lock);
    }
    return ok && kills_wait_served(k, 10);
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool kills_check_objects(struct kills *k, struct hf_client *client)
{
    struct kills_stream stream = {.data = malloc(KILLS_OBJECT_BYTES)};
    unsigned bad = 0;
    ASSERT(stream.data != NULL);
    for (unsigned i = 0; i < k->objects_count; i++) {
        struct hf_answer answer = {0};
        char name[32];
        kills_fill(&k->objects[i], stream.data);
        stream.at = 0;
        stream.differs = false;
        stream.bytes = k->objects[i].bytes;
        (void)snprintf(name, sizeof(name), "o%016" PRIx64, k->objects[i].seed);
        struct hf_object o = {
            .bucket = hf_text("kills"), .name = hf_text(name), .timeout_ms = 60000};
        struct hf_sink sink = {.ctx = &stream, .write = kills_write, .rewind = kills_rewind};
        int err = hf_object_get(client, &o, &sink, &answer, hf_answer_done);
        err = err == 0 ? hf_wait(client, &answer) : err;
        if (err != 0 || stream.differs || stream.at != stream.bytes) {
            (void)printf("object %s of %" PRIu64 " bytes: %s %s\n", name, stream.bytes,
                         hf_error_name(err), answer.text);
            bad++;
        }
        hf_answer_release(&answer);
    }
    free(stream.data);
    (void)printf("objects: %u acknowledged, %u not, %u lost or torn\n", k->objects_count,
                 k->objects_refused, bad);
    return bad == 0 && k->objects_count > 0;
}

static bool kills_check_counter(struct kills *k, struct hf_client *client)
{
    struct hf_answer answer = {0};
    struct hf_kv kv = {.key = hf_text("counter"), .by = 0, .timeout_ms = 60000};
    int err = hf_kv_incr(client, &kv, &answer, hf_answer_done);
    err = err == 0 ? hf_wait(client, &answer) : err;
    int64_t counter = answer.result.number;
    hf_answer_release(&answer);
    (void)printf("counter: %" PRId64 ", acknowledged %" PRIu64 ", unknown %" PRIu64 "\n", counter,
                 k->incr_acked, k->incr_unknown);
    return err == 0 && k->incr_acked > 0 && counter >= (int64_t)k->incr_acked &&
           counter <= (int64_t)(k->incr_acked + k->incr_unknown);
}

static bool kills_check(struct kills *k, const char *path)
{
    struct hf_client_options options = {.endpoints = k->endpoints};
    struct hf_client *client = NULL;
    uint32_t key = 0;
    bool gave_up = false;
    ASSERT(hf_client_new(NULL, &options, &client) == 0);
    bool counter = kills_check_counter(k, client);
    bool objects = kills_check_objects(k, client);
    hf_client_free(client);
    if (path != NULL) {
        FILE *to = fopen(path, "w");
        ASSERT(to != NULL && history_write(&k->history, to) && fclose(to) == 0);
    }
    bool fits = history_check(&k->history, 200000000u, &key, &gave_up);
    (void)printf("longest time without an operation that went well: %" PRIu64 " ms\n",
                 k->gap_ns / 1000000);
    (void)printf("history: %u operations on keys, %s\n", k->history.count,
                 fits ? "linearizable" : "NOT linearizable");
    if (!fits) {
        (void)printf("key k%u%s\n", key, gave_up ? " (too many orders)" : "");
    }
    return counter && objects && fits;
}

static bool kills_run(struct kills *k, const char *path)
{
    struct kills_worker workers[KILLS_WORKERS];
    struct rng rng;
    bool ok =
        k->until != NULL || kills_local(k, "up --nodes 5", k->endpoints, sizeof(k->endpoints)) == 0;
    char command[1024];
    (void)snprintf(command, sizeof(command), "%s bucket create kills --ec 3+2 --endpoints %s",
                   k->tool, k->endpoints);
    ok = ok && system(command) == 0;
    rng_init(&rng, k->seed);
    k->from_ns = kills_now_ns();
    k->served_ns = k->from_ns;
    for (unsigned i = 0; ok && i < KILLS_WORKERS; i++) {
        workers[i] = (struct kills_worker){.k = k, .number = i, .process = k->processes++};
        rng_init(&workers[i].rng, k->seed * 64 + i);
        ASSERT(pthread_create(&workers[i].thread, NULL, kills_work, &workers[i]) == 0);
    }
    bool started = ok;
    ok = ok && (k->until == NULL || kills_watch(k));
    for (unsigned i = 0; ok && k->until == NULL && i < k->rounds; i++) {
        ok = kills_round(k, &rng);
    }
    (void)pthread_mutex_lock(&k->lock);
    k->stop = true;
    (void)pthread_mutex_unlock(&k->lock);
    for (unsigned i = 0; started && i < KILLS_WORKERS; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    ok = ok && kills_check(k, path);
    return (k->until != NULL || kills_local(k, "down", NULL, 0) == 0) && ok;
}

int main(int argc, char **argv)
{
    static struct kills k = {.rounds = 12, .seed = 1, .tool = "holdfast"};
    const char *path = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dir") == 0) {
            k.dir = argv[i + 1];
        } else if (strcmp(argv[i], "--tool") == 0) {
            k.tool = argv[i + 1];
        } else if (strcmp(argv[i], "--rounds") == 0) {
            k.rounds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0) {
            k.seed = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--endpoints") == 0) {
            (void)snprintf(k.endpoints, sizeof(k.endpoints), "%s", argv[i + 1]);
            k.rest_ms = 15;
        } else if (strcmp(argv[i], "--until") == 0) {
            k.until = argv[i + 1];
        } else if (strcmp(argv[i], "--history") == 0) {
            path = argv[i + 1];
        }
    }
    if ((k.dir == NULL) == (k.until == NULL)) {
        (void)fprintf(stderr, "usage: kills --dir DIR [--rounds N] [--seed S] [--history FILE] "
                              "[--tool HOLDFAST]\n"
                              "       kills --endpoints H:P,... --until FILE [--seed S] "
                              "[--history FILE] [--tool HOLDFAST]\n");
        return 2;
    }
    (void)pthread_mutex_init(&k.lock, NULL);
    (void)printf("seed %" PRIu64 ", %u rounds\n", k.seed, k.rounds);
    bool ok = kills_run(&k, path);
    history_release(&k.history);
    (void)printf("kills: %s\n", ok ? "ok" : "FAILED");
    return ok ? 0 : 1;
}
