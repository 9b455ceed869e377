/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Recording, writing and reading of histories.
 */
#include "tests/sim/history.h"

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/num.h"

#include <stdlib.h>
#include <string.h>

static const char *const history_names[] = {"get", "put", "cas", "delete"};
static const char *const history_ends[] = {"invoke", "ok", "fail", "info"};

void history_init(struct history *h)
{
    *h = (struct history){0};
}

void history_release(struct history *h)
{
    free(h->ops);
    *h = (struct history){0};
}

uint32_t history_invoke(struct history *h, const struct history_op *op)
{
    if (h->count == h->cap) {
        h->cap = NUM_MAX(1024, h->cap * 2);
        h->ops = realloc(h->ops, h->cap * sizeof(*h->ops));
        ASSERT(h->ops != NULL);
    }
    h->ops[h->count] = *op;
    h->ops[h->count].end = HISTORY_OPEN;
    return h->count++;
}

void history_end(struct history *h, uint32_t op, enum history_end end, uint32_t value,
                 uint64_t now_ns)
{
    ASSERT(op < h->count && h->ops[op].end == HISTORY_OPEN);
    h->ops[op].end = end;
    h->ops[op].end_ns = now_ns;
    if (h->ops[op].f == HISTORY_GET) {
        h->ops[op].value = value;
    }
}

static void history_value(FILE *to, uint32_t value)
{
    if (value == HISTORY_ABSENT) {
        (void)fputs("null", to);
    } else if (value == HISTORY_FOREIGN) {
        (void)fputs("\"foreign\"", to);
    } else {
        (void)fprintf(to, "\"v%u\"", value);
    }
}

static void history_line(FILE *to, const struct history_op *op, bool invoke)
{
    (void)fprintf(to, "{\"process\":%u,\"type\":\"%s\",\"f\":\"%s\",\"key\":\"k%u\",\"value\":",
                  op->process, history_ends[invoke ? 0 : op->end], history_names[op->f], op->key);
    if (op->f == HISTORY_CAS) {
        (void)fputc('[', to);
        history_value(to, op->old);
        (void)fputc(',', to);
        history_value(to, op->value);
        (void)fputc(']', to);
    } else if (op->f == HISTORY_PUT || (op->f == HISTORY_GET && !invoke && op->end == HISTORY_OK)) {
        history_value(to, op->value);
    } else {
        (void)fputs("null", to);
    }
    (void)fprintf(to, ",\"time\":%llu}\n",
                  (unsigned long long)(invoke ? op->invoke_ns : op->end_ns));
}

struct history_moment {
    uint64_t time;
    uint32_t order; /* a process' end before its next invoke at the same time */
    uint32_t op;
    bool invoke;
};

static int history_moment_compare(const void *a, const void *b)
{
    const struct history_moment *x = a;
    const struct history_moment *y = b;
    if (x->time != y->time) {
        return x->time < y->time ? -1 : 1;
    }
    if (x->invoke != y->invoke && x->op != y->op) {
        return x->invoke ? 1 : -1;
    }
    return (x->order > y->order) - (x->order < y->order);
}

bool history_write(const struct history *h, FILE *to)
{
    struct history_moment *moments = calloc((size_t)h->count * 2 + 1, sizeof(*moments));
    uint32_t count = 0;
    ASSERT(moments != NULL);
    for (uint32_t i = 0; i < h->count; i++) {
        moments[count++] = (struct history_moment){h->ops[i].invoke_ns, i * 2, i, true};
        if (h->ops[i].end != HISTORY_OPEN) {
            moments[count++] = (struct history_moment){h->ops[i].end_ns, i * 2 + 1, i, false};
        }
    }
    qsort(moments, count, sizeof(*moments), history_moment_compare);
    for (uint32_t i = 0; i < count; i++) {
        history_line(to, &h->ops[moments[i].op], moments[i].invoke);
    }
    free(moments);
    return fflush(to) == 0 && !ferror(to);
}

/* ---- reading: a small scanner of one JSON object a line -------------------------------------- */

#define HISTORY_LINE_MAX (1u << 20)

struct history_table { /* strings to numbers, from 1 */
    struct {
        uint64_t hash;
        uint32_t number;
    } * slots;
    uint32_t cap, count;
};

/* Numbers by 64-bit hash of the raw JSON text: two texts of one hash would only merge values. */
static uint32_t history_intern(struct history_table *t, struct bytes text)
{
    uint64_t hash = hash_of(text, 7) | 1u;
    if (t->count * 2 >= t->cap) {
        struct history_table grown = {.cap = NUM_MAX(1024, t->cap * 2), .count = t->count};
        grown.slots = calloc(grown.cap, sizeof(*grown.slots));
        ASSERT(grown.slots != NULL);
        for (uint32_t i = 0; i < t->cap; i++) {
            if (t->slots[i].hash != 0) {
                uint32_t at = (uint32_t)t->slots[i].hash & (grown.cap - 1);
                while (grown.slots[at].hash != 0) {
                    at = (at + 1) & (grown.cap - 1);
                }
                grown.slots[at] = t->slots[i];
            }
        }
        free(t->slots);
        *t = grown;
    }
    uint32_t at = (uint32_t)hash & (t->cap - 1);
    while (t->slots[at].hash != 0 && t->slots[at].hash != hash) {
        at = (at + 1) & (t->cap - 1);
    }
    if (t->slots[at].hash == 0) {
        t->slots[at].hash = hash;
        t->slots[at].number = ++t->count;
    }
    return t->slots[at].number;
}

/* Finds "name": in the line. returns: what follows, or NULL. */
static const char *history_field(const char *line, const char *name)
{
    char pattern[32];
    (void)snprintf(pattern, sizeof(pattern), "\"%s\":", name);
    const char *at = strstr(line, pattern);
    if (at == NULL) {
        return NULL;
    }
    at += strlen(pattern);
    return at + strspn(at, " ");
}

/* One scalar from *at: a string, null or a bare word. *at moves behind it. */
static bool history_scalar(const char **at, struct bytes *text)
{
    const char *from = *at + strspn(*at, " ,[");
    const char *to = from;
    if (*from == '"') {
        for (to = from + 1; *to != '"'; to += *to == '\\' ? 2 : 1) {
            if (*to == '\0' || (*to == '\\' && to[1] == '\0')) {
                return false;
            }
        }
        to++;
    } else {
        to = from + strcspn(from, ",]}\n ");
    }
    *text = bytes_of(from, (size_t)(to - from));
    *at = to;
    return to > from;
}

static bool history_number(struct history_table *values, const char **at, uint32_t *out)
{
    struct bytes text;
    if (!history_scalar(at, &text)) {
        return false;
    }
    bool absent = bytes_equal(text, bytes_of_text("null"));
    *out = absent ? HISTORY_ABSENT : history_intern(values, text);
    return true;
}

static int history_word(const char *at, const char *const *words, int count)
{
    for (int i = 0; at != NULL && i < count; i++) {
        size_t length = strlen(words[i]);
        if (at[0] == '"' && strncmp(at + 1, words[i], length) == 0 && at[1 + length] == '"') {
            return i;
        }
    }
    return -1;
}

struct history_reader {
    struct history *h;
    struct history_table values;
    struct history_table keys;
    struct history_table processes; /* process number -> small number */
    uint32_t *open;                 /* operation open on a process + 1 */
    uint32_t open_cap;
};

static uint32_t *history_open_of(struct history_reader *r, uint32_t process)
{
    if (process >= r->open_cap) {
        uint32_t cap = NUM_MAX(process + 1, r->open_cap * 2);
        r->open = realloc(r->open, cap * sizeof(*r->open));
        ASSERT(r->open != NULL);
        memset(r->open + r->open_cap, 0, (cap - r->open_cap) * sizeof(*r->open));
        r->open_cap = cap;
    }
    return &r->open[process];
}

static const char *history_take_line(struct history_reader *r, const char *line)
{
    struct history_op op = {0};
    const char *process = history_field(line, "process");
    const char *value = history_field(line, "value");
    const char *key = history_field(line, "key");
    const char *time = history_field(line, "time");
    int type = history_word(history_field(line, "type"), history_ends, 4);
    int f = history_word(history_field(line, "f"), history_names, 4);
    struct bytes text;
    if (process == NULL || value == NULL || key == NULL || time == NULL || type < 0 || f < 0) {
        return "a field is missing or unknown";
    }
    op.f = (enum history_f)f;
    if (!history_scalar(&process, &text)) {
        return "bad process";
    }
    op.process = history_intern(&r->processes, text);
    if (!history_scalar(&key, &text)) {
        return "bad key";
    }
    op.key = history_intern(&r->keys, text);
    if ((op.f == HISTORY_CAS && !history_number(&r->values, &value, &op.old)) ||
        !history_number(&r->values, &value, &op.value)) {
        return "bad value";
    }
    uint64_t now = strtoull(time, NULL, 10);
    uint32_t *open = history_open_of(r, op.process);
    if (type == 0) {
        if (*open != 0) {
            return "a process has two open operations, or goes on after info";
        }
        op.invoke_ns = now;
        *open = history_invoke(r->h, &op) + 1;
        return NULL;
    }
    if (*open == 0 || r->h->ops[*open - 1].end != HISTORY_OPEN) {
        return "an end without its invoke";
    }
    history_end(r->h, *open - 1, (enum history_end)type, op.value, now);
    *open = type == HISTORY_INFO ? *open : 0;
    return NULL;
}

bool history_read(struct history *h, FILE *from, char *why)
{
    struct history_reader r = {.h = h};
    char *line = malloc(HISTORY_LINE_MAX);
    const char *bad = NULL;
    unsigned number = 0;
    ASSERT(line != NULL);
    while (bad == NULL && fgets(line, HISTORY_LINE_MAX, from) != NULL) {
        number++;
        if (line[strspn(line, " \n")] != '\0') {
            bad = history_take_line(&r, line);
        }
    }
    if (bad != NULL) {
        (void)snprintf(why, 200, "line %u: %s", number, bad);
    }
    free(line);
    free(r.values.slots);
    free(r.keys.slots);
    free(r.processes.slots);
    free(r.open);
    return bad == NULL;
}
