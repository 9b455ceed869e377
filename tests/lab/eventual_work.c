/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A client of the eventual load: draws operations, keeps what came of them.
 */
#include "base/err.h"
#include "base/num.h"
#include "tests/lab/eventual.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

const struct ev_key ev_keys[EV_KEYS] = {
    {"pn", "pn", NULL, HF_CRDT_PN_COUNTER, EV_COUNTER},
    {"grow", "grow", NULL, HF_CRDT_G_COUNTER, EV_COUNTER},
    {"map.c0", "map", "c0", HF_CRDT_COUNTER, EV_COUNTER},
    {"map.c1", "map", "c1", HF_CRDT_COUNTER, EV_COUNTER},
    {"map.x", "map", "x", HF_CRDT_COUNTER, EV_DROPPED},
    {"set", "set", NULL, HF_CRDT_AW_SET, EV_SET},
    {"growset", "growset", NULL, HF_CRDT_G_SET, EV_SET},
    {"rwset", "rwset", NULL, HF_CRDT_RW_SET, EV_SET},
    {"lww0", "lww0", NULL, HF_CRDT_LWW, EV_REGISTER},
    {"lww1", "lww1", NULL, HF_CRDT_LWW, EV_REGISTER},
    {"map.f0", "map", "f0", HF_CRDT_LWW, EV_REGISTER},
    {"map.f1", "map", "f1", HF_CRDT_LWW, EV_REGISTER},
    {"mv", "mv", NULL, HF_CRDT_MV, EV_MV},
    {"max", "max", NULL, HF_CRDT_MAX, EV_MAX},
};

uint64_t ev_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* returns: what other machines on the same host have had of the cores since the start, as of one
 * core: proc(5), steal. 0 where there are none, or it is not told. */
static uint64_t ev_stolen_ns(void)
{
    FILE *file = fopen("/proc/stat", "re");
    char line[512];
    uint64_t ticks = 0;
    const bool got = file != NULL && fgets(line, sizeof(line), file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    char *at = line;
    for (unsigned word = 0; got && at != NULL && word < 8; word++) { /* cpu, then seven others */
        at = strchr(at, ' ');
        at = at == NULL ? NULL : at + strspn(at, " ");
    }
    if (got && at != NULL) {
        ticks = strtoull(at, NULL, 10);
    }
    return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK)) /
           (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
}

uint64_t ev_own_ns(void)
{
    const uint64_t now = ev_now_ns();
    return now - NUM_MIN(ev_stolen_ns(), now);
}

void ev_pause_ms(uint64_t ms)
{
    struct timespec pause = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&pause, NULL);
}

bool ev_enter(const struct ev_load *l, unsigned host)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/run/netns/hf%s-%u", l->tag, host);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

struct hf_client *ev_connect(unsigned host)
{
    char endpoint[64];
    (void)snprintf(endpoint, sizeof(endpoint), "10.77.0.%u:7701", host);
    struct hf_client_options options = {
        .endpoints = endpoint, .timeout_ms = EV_TIMEOUT_MS, .unreachable_ms = EV_TIMEOUT_MS};
    struct hf_client *client = NULL;
    ASSERT(hf_client_new(NULL, &options, &client) == 0);
    return client;
}

void ev_path(const struct ev_key *k, struct hf_crdt_path *path)
{
    hf_crdt_path_init(path, k->field != NULL ? HF_CRDT_MAP : k->type);
    if (k->field != NULL) {
        ASSERT(hf_crdt_path_push(path, hf_text(k->field), k->type));
    }
}

/* ---- sessions -------------------------------------------------------------------------------- */

/* Rather too little than too much: of two ranges apart, the later one stays. */
static void ev_cover_add(struct ev_cover *cover, unsigned client, uint32_t from, uint32_t to)
{
    uint32_t *at = &cover->from[client];
    uint32_t *end = &cover->to[client];
    if (from == to) {
        return;
    }
    if (*at == *end || from > *end) {
        bool later = *at == *end || to > *end;
        *at = later ? from : *at;
        *end = later ? to : *end;
    } else if (to >= *at) {
        *at = NUM_MIN(*at, from);
        *end = NUM_MAX(*end, to);
    }
}

static void ev_session_new(struct ev_client *c)
{
    hf_causal_free(c->causal);
    c->causal = NULL;
    memset(&c->cover, 0, sizeof(c->cover));
    c->session_from = c->count;
    if (c->session) {
        ASSERT(hf_causal_new(&c->causal) == 0);
    }
}

/* The session has seen all that it did itself, and what it was given. */
static void ev_session_publish(struct ev_client *c)
{
    const char *text = hf_causal_text(c->causal);
    ASSERT(text != NULL);
    char *copy = strdup(text);
    ASSERT(copy != NULL);
    (void)pthread_mutex_lock(&c->l->lock);
    free(c->token);
    c->token = copy;
    c->token_cover = c->cover;
    (void)pthread_mutex_unlock(&c->l->lock);
}

static void ev_session_join(struct ev_client *c)
{
    struct ev_load *l = c->l;
    unsigned first = c->number - c->number % EV_EACH;
    const struct ev_client *other = &l->clients[first + rng_below(&c->rng, EV_EACH)];
    (void)pthread_mutex_lock(&l->lock);
    char *token = other->token != NULL && other != c ? strdup(other->token) : NULL;
    struct ev_cover cover = other->token_cover;
    (void)pthread_mutex_unlock(&l->lock);
    if (token != NULL && token[0] != '\0') {
        ASSERT(hf_causal_join(c->causal, token) == 0);
        for (unsigned i = 0; i < EV_CLIENTS; i++) {
            ev_cover_add(&c->cover, i, cover.from[i], cover.to[i]);
        }
    }
    free(token);
}

/* ---- one operation --------------------------------------------------------------------------- */

static struct ev_op *ev_begin(struct ev_client *c, uint8_t key, enum ev_f f, int64_t value)
{
    struct ev_op *op = &c->ops[c->count++];
    *op = (struct ev_op){.key = key, .f = (uint8_t)f, .value = value};
    if (c->session) {
        op->cover = c->covers_count;
        c->covers[c->covers_count++] = c->cover;
    }
    op->invoke_ns = ev_now_ns();
    return op;
}

static bool ev_writes(const struct ev_op *op)
{
    return op->f != EV_HAS && op->f != EV_READ;
}

static void ev_count(struct ev_client *c, const struct ev_op *op)
{
    struct ev_load *l = c->l;
    const uint64_t own_ns = ev_own_ns();
    (void)pthread_mutex_lock(&l->lock);
    if (op->end == EV_OK && ev_writes(op)) {
        uint64_t gap = op->end_ns - NUM_MIN(c->served_ns, op->end_ns);
        c->gap_ns = NUM_MAX(c->gap_ns, gap);
        c->gap_cut_ns = l->cut ? NUM_MAX(c->gap_cut_ns, gap) : c->gap_cut_ns;
        c->stall_ns = NUM_MAX(c->stall_ns, own_ns - NUM_MIN(c->free_ns, own_ns));
        c->served_ns = op->end_ns;
        c->wrote_ns = op->invoke_ns;
    }
    bool behind = strcmp(hf_error_name(op->code), "BEHIND") == 0;
    if (behind || (op->end != EV_FAIL && ev_writes(op))) {
        c->free_ns = own_ns;
    }
    c->refused += op->end == EV_FAIL && ev_writes(op);
    c->unknown += op->end == EV_INFO && ev_writes(op);
    (void)pthread_mutex_unlock(&l->lock);
}

static void ev_ended(struct ev_client *c, struct ev_op *op, int code)
{
    enum hf_outcome outcome = hf_outcome_of(code);
    op->code = code;
    op->end = outcome == HF_DONE                             ? EV_OK
              : outcome == HF_RETRY || outcome == HF_REFUSED ? EV_FAIL
                                                             : EV_INFO;
    op->end_ns = ev_now_ns();
    ev_count(c, op);
    if (outcome == HF_REFUSED || outcome == HF_DAMAGED) {
        (void)printf("client %u, %s: %s\n", c->number, ev_keys[op->key].label, hf_error_name(code));
        c->l->bad = true;
    }
    if (c->session && op->end == EV_OK) {
        ev_cover_add(&c->cover, c->number, c->session_from, c->count);
    }
    if (c->session && op->end == EV_FAIL && strcmp(hf_error_name(code), "BEHIND") == 0) {
        c->behind++;
        ev_session_new(c); /* told that nobody who can be reached has it: begins anew */
    }
}

static void ev_update(struct ev_client *c, struct ev_op *op, struct hf_crdt_op *crdt_op)
{
    const struct ev_key *k = &ev_keys[op->key];
    struct hf_answer answer = {0};
    crdt_op->name = hf_text(k->name);
    if (op->f == EV_DROP) {
        hf_crdt_path_init(&crdt_op->path, HF_CRDT_MAP);
    } else {
        ev_path(k, &crdt_op->path);
    }
    struct hf_crdt crdt = {.ops = crdt_op, .ops_count = 1, .causal = c->causal};
    int code = hf_crdt_update(c->client, &crdt, &answer, hf_answer_done);
    code = code == 0 ? hf_wait(c->client, &answer) : code;
    op->flag = code == 0 && answer.result.count == 1 && answer.result.changed[0];
    hf_answer_release(&answer);
    ev_ended(c, op, code);
}

/* "w<number>" */
static int64_t ev_written(struct hf_bytes v)
{
    char text[32] = "";
    if (v.size < 2 || v.size >= sizeof(text)) {
        return -1;
    }
    memcpy(text, v.data, v.size);
    return text[0] == 'w' ? (int64_t)strtoull(text + 1, NULL, 10) : -1;
}

static void ev_ask(struct ev_client *c, struct ev_op *op, struct hf_bytes element)
{
    const struct ev_key *k = &ev_keys[op->key];
    struct hf_answer answer = {0};
    struct hf_crdt crdt = {.name = hf_text(k->name),
                           .has_element = op->f == EV_HAS,
                           .element = element,
                           .causal = c->causal};
    ev_path(k, &crdt.path);
    int code = hf_crdt_read(c->client, &crdt, &answer, hf_answer_done);
    code = code == 0 ? hf_wait(c->client, &answer) : code;
    const struct hf_crdt_value *v = code == 0 ? answer.result.values : NULL;
    if (v != NULL && answer.result.count == 1) {
        op->flag = op->f == EV_HAS ? v->flag : v->found;
        if (op->f == EV_READ) {
            op->value = v->kind == HF_CRDT_BYTES ? ev_written(v->bytes) : v->number;
        }
    }
    hf_answer_release(&answer);
    ev_ended(c, op, code);
}

/* ---- draws ----------------------------------------------------------------------------------- */

static int64_t ev_unique(const struct ev_client *c)
{
    return (int64_t)c->number * EV_OPS_MAX + c->count;
}

static void ev_do_counter(struct ev_client *c, uint8_t key)
{
    if (rng_chance(&c->rng, 2, 5)) {
        ev_ask(c, ev_begin(c, key, EV_READ, 0), (struct hf_bytes){0});
        return;
    }
    if (ev_keys[key].kind == EV_DROPPED && rng_chance(&c->rng, 1, 4)) {
        struct hf_crdt_op op = {.verb = HF_CRDT_REMOVE, .value = hf_text(ev_keys[key].field)};
        ev_update(c, ev_begin(c, key, EV_DROP, 0), &op);
        return;
    }
    bool down = ev_keys[key].type == HF_CRDT_PN_COUNTER && rng_chance(&c->rng, 1, 4);
    int64_t amount = (int64_t)rng_between(&c->rng, 1, 5);
    struct hf_crdt_op op = {.verb = HF_CRDT_ADD, .amount = down ? -amount : amount};
    ev_update(c, ev_begin(c, key, EV_ADD, op.amount), &op);
}

/* A late element that this client added; -1: none. */
static int64_t ev_some_element(struct ev_client *c, uint8_t key)
{
    for (unsigned tries = 0; tries < 64 && c->count > 0; tries++) {
        uint32_t back = (uint32_t)rng_below(&c->rng, NUM_MIN(c->count, 200u));
        const struct ev_op *op = &c->ops[c->count - 1 - back];
        if (op->key == key && op->f == EV_ADD && op->end == EV_OK) {
            return op->value;
        }
    }
    return -1;
}

/* Of each element at most one removal is tried. */
static bool ev_removed(const struct ev_client *c, uint8_t key, int64_t element)
{
    for (uint32_t i = c->count; i > 0; i--) {
        const struct ev_op *op = &c->ops[i - 1];
        if (op->key == key && op->value == element && op->f != EV_HAS) {
            return op->f == EV_REMOVE;
        }
    }
    return false;
}

static void ev_do_set(struct ev_client *c, uint8_t key)
{
    uint64_t dice = rng_below(&c->rng, 10);
    enum ev_f f = dice < 5 ? EV_ADD : dice < 8 ? EV_HAS : EV_REMOVE;
    int64_t element = f == EV_ADD ? ev_unique(c) : ev_some_element(c, key);
    char text[32];
    if (element < 0 ||
        (f == EV_REMOVE && (ev_keys[key].type == HF_CRDT_G_SET || ev_removed(c, key, element)))) {
        f = EV_ADD;
        element = ev_unique(c);
    }
    (void)snprintf(text, sizeof(text), "e%" PRId64, element);
    if (f == EV_HAS) {
        ev_ask(c, ev_begin(c, key, EV_HAS, element), hf_text(text));
        return;
    }
    struct hf_crdt_op op = {.verb = f == EV_ADD ? HF_CRDT_ADD : HF_CRDT_REMOVE,
                            .value = hf_text(text)};
    ev_update(c, ev_begin(c, key, f, element), &op);
}

static void ev_do_register(struct ev_client *c, uint8_t key)
{
    const struct ev_key *k = &ev_keys[key];
    char text[32];
    if (k->kind != EV_MV && rng_chance(&c->rng, 2, 5)) {
        ev_ask(c, ev_begin(c, key, EV_READ, 0), (struct hf_bytes){0});
        return;
    }
    int64_t value = ev_unique(c);
    (void)snprintf(text, sizeof(text), "w%" PRId64, value);
    struct hf_crdt_op op = {.verb = HF_CRDT_SET, .value = hf_text(text)};
    if (k->kind == EV_MAX) {
        value = (int64_t)rng_below(&c->rng, UINT64_C(1) << 40);
        op = (struct hf_crdt_op){.verb = HF_CRDT_SET, .amount = value};
    }
    ev_update(c, ev_begin(c, key, EV_WRITE, value), &op);
}

static void ev_step(struct ev_client *c)
{
    uint8_t key = (uint8_t)rng_below(&c->rng, EV_KEYS);
    if (c->session && rng_chance(&c->rng, 1, 10)) {
        ev_session_join(c);
    }
    switch (ev_keys[key].kind) {
    case EV_COUNTER:
    case EV_DROPPED: ev_do_counter(c, key); break;
    case EV_SET: ev_do_set(c, key); break;
    default: ev_do_register(c, key); break;
    }
    if (c->session && rng_chance(&c->rng, 1, 10)) {
        ev_session_publish(c);
    }
}

/* returns: whether to go on with operations now. */
static bool ev_may_run(struct ev_client *c, bool *stop)
{
    struct ev_load *l = c->l;
    (void)pthread_mutex_lock(&l->lock);
    bool runs = l->phase == EV_RUN;
    unsigned generation = l->generation;
    *stop = l->phase == EV_STOP || c->count == EV_OPS_MAX;
    if (runs && c->held) {
        c->served_ns = ev_now_ns();
        c->free_ns = ev_own_ns();
    }
    c->held = !runs;
    (void)pthread_mutex_unlock(&l->lock);
    if (runs && generation != c->generation) {
        hf_client_free(c->client);
        c->client = ev_connect(c->host);
        c->generation = generation;
    }
    return runs;
}

void *ev_work(void *client)
{
    struct ev_client *c = client;
    bool stop = false;
    ASSERT(ev_enter(c->l, c->host));
    c->client = ev_connect(c->host);
    ev_session_new(c);
    while (!stop) {
        if (!ev_may_run(c, &stop)) {
            ev_pause_ms(1);
            continue;
        }
        if (!stop) {
            ev_step(c);
        }
        ev_pause_ms(rng_between(&c->rng, 5, 25));
    }
    hf_client_free(c->client);
    hf_causal_free(c->causal);
    return NULL;
}
