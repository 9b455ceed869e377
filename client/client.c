/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A client's life, its one timer, and answers for callers that block.
 */
#include "client/client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef HOLDFAST_VERSION
#define HOLDFAST_VERSION "0"
#endif

#define CLIENT_TIMEOUT_MS 30000u
#define CLIENT_UNREACHABLE_MS 5000u

const char *hf_version(void)
{
    return HOLDFAST_VERSION;
}

enum hf_outcome hf_outcome_of(int code)
{
    return (enum hf_outcome)err_outcome_of(code);
}

const char *hf_error_name(int code)
{
    return err_name(code);
}

const char *hf_error_text(int code)
{
    return err_text(code);
}

_Static_assert((int)HF_DAMAGED == (int)ERR_OUTCOME_DAMAGED, "outcomes are those of base/err.h");

/* ---- time ----------------------------------------------------------------------------------- */

uint64_t hf_now_ms(const struct hf_client *c)
{
    return uv_now(c->loop);
}

/* returns: one whose time has come, or NULL. */
static struct hf_transfer *client_transfer_due(struct hf_client *c, uint64_t now)
{
    for (struct hf_transfer *t = c->transfers; t != NULL; t = t->next) {
        if (t->tick_ms != 0 && t->tick_ms <= now) {
            return t;
        }
    }
    return NULL;
}

static void client_tick(uv_timer_t *timer)
{
    struct hf_client *c = timer->data;
    const uint64_t now = hf_now_ms(c);
    struct hf_transfer *due = NULL;
    c->timer_at_ms = UINT64_MAX;
    hf_calls_run(c);
    while (!c->closing && (due = client_transfer_due(c, now)) != NULL) {
        due->tick_ms = 0;
        due->tick(due);
    }
    for (struct hf_transfer *t = c->transfers; t != NULL; t = t->next) {
        if (t->tick_ms != 0) {
            hf_timer_by(c, t->tick_ms);
        }
    }
}

void hf_timer_by(struct hf_client *c, uint64_t at_ms)
{
    if (c->closing || at_ms >= c->timer_at_ms) {
        return;
    }
    uint64_t now = hf_now_ms(c);
    c->timer_at_ms = at_ms;
    (void)uv_timer_start(&c->timer, client_tick, at_ms > now ? at_ms - now : 0, 0);
}

/* ---- life ----------------------------------------------------------------------------------- */

static int client_loop(struct hf_client *c, struct uv_loop_s *loop)
{
    c->loop = loop;
    if (loop == NULL) {
        c->loop = &c->own_loop;
        c->owns_loop = uv_loop_init(&c->own_loop) == 0;
        if (!c->owns_loop) {
            return ERR_NO_MEMORY;
        }
    }
    if (uv_timer_init(c->loop, &c->timer) != 0) {
        return ERR_NO_MEMORY;
    }
    c->timer.data = c;
    c->timer_at_ms = UINT64_MAX;
    return 0;
}

int hf_client_new(struct uv_loop_s *loop, const struct hf_client_options *options,
                  struct hf_client **out)
{
    static const struct hf_client_options none = {.endpoints = NULL};
    const struct hf_client_options *o = options != NULL ? options : &none;
    struct hf_client *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    c->heap = alloc_heap();
    c->timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : CLIENT_TIMEOUT_MS;
    c->unreachable_ms = o->unreachable_ms != 0 ? o->unreachable_ms : CLIENT_UNREACHABLE_MS;
    c->plain = o->plain;
    c->next_msgid = 1;
    for (uint32_t i = 0; i < WIRE_CRDT_REGIONS; i++) {
        c->owners[i] = HF_NOWHERE;
    }
    uint64_t seed = o->seed;
    if (seed == 0 && uv_random(NULL, NULL, &seed, sizeof(seed), 0, NULL) != 0) {
        seed = uv_hrtime();
    }
    rng_init(&c->rng, seed);
    int err = hf_nodes_parse(c, o->endpoints != NULL ? o->endpoints : HF_ENDPOINTS_DEFAULT);
    if (err == 0) {
        err = client_loop(c, loop);
    }
    if (err != 0) {
        if (c->owns_loop) {
            (void)uv_loop_close(&c->own_loop);
        }
        free(c);
        return err;
    }
    *out = c;
    return 0;
}

static void client_timer_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void client_release(struct hf_client *c)
{
    if (c->owns_loop) {
        int err = uv_loop_close(&c->own_loop);
        ASSERT(err == 0);
    }
    hf_share_free(c);
    free(c);
}

/* The last of the client's handles to close, on a loop of the caller. */
static void client_all_closed(uv_handle_t *handle)
{
    client_release(handle->data);
}

/* Names that are still being resolved hold their connections, and the timer waits for them. */
static void client_close_timer(uv_timer_t *timer)
{
    struct hf_client *c = timer->data;
    if (c->conns == NULL) {
        (void)uv_timer_stop(timer);
        uv_close((uv_handle_t *)timer, client_all_closed);
    }
}

void hf_client_free(struct hf_client *c)
{
    if (c == NULL || c->closing) {
        return;
    }
    c->closing = true;
    while (c->transfers != NULL) {
        struct hf_transfer *t = c->transfers;
        hf_transfer_remove(t);
        t->end(t, ERR_UNAVAILABLE, "the client was closed");
    }
    hf_calls_end(c);
    hf_watches_end(c);
    hf_sessions_close(c);
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        if (c->nodes[i].conn != NULL) {
            hf_conn_fail(c->nodes[i].conn, ERR_CONNECTION, "the client was closed");
        }
    }
    if (!c->owns_loop) {
        (void)uv_timer_start(&c->timer, client_close_timer, 0, 1);
        return;
    }
    (void)uv_timer_stop(&c->timer);
    uv_close((uv_handle_t *)&c->timer, client_timer_closed);
    (void)uv_run(c->loop, UV_RUN_DEFAULT);
    client_release(c);
}

void hf_transfer_add(struct hf_client *c, struct hf_transfer *t)
{
    t->client = c;
    t->prev = NULL;
    t->next = c->transfers;
    if (c->transfers != NULL) {
        c->transfers->prev = t;
    }
    c->transfers = t;
}

void hf_transfer_remove(struct hf_transfer *t)
{
    if (t->prev != NULL) {
        t->prev->next = t->next;
    } else if (t->client->transfers == t) {
        t->client->transfers = t->next;
    }
    if (t->next != NULL) {
        t->next->prev = t->prev;
    }
    t->next = NULL;
    t->prev = NULL;
    if (t->client->waits) {
        uv_stop(t->client->loop); /* as at the end of a call: this may be a timer before the poll */
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

/* All that a result views, copied into one block. */
struct answer_copy {
    uint8_t *at;
};

static struct hf_bytes answer_keep(struct answer_copy *copy, struct hf_bytes v)
{
    struct hf_bytes kept = {.data = copy->at, .size = v.size};
    if (v.size > 0) {
        memcpy(copy->at, v.data, v.size);
    }
    copy->at += v.size;
    return kept;
}

static void *answer_rows(struct answer_copy *copy, const void *rows, size_t bytes)
{
    void *kept = copy->at;
    if (bytes > 0) {
        memcpy(copy->at, rows, bytes);
    }
    copy->at += (bytes + 15) & ~(size_t)15;
    return kept;
}

static size_t answer_bytes(const struct hf_result *r)
{
    size_t bytes = r->value.size + 64;
    for (size_t i = 0; i < r->count; i++) {
        bytes += r->items != NULL ? sizeof(*r->items) + r->items[i].key.size : 0;
        bytes += r->items != NULL ? r->items[i].value.size : 0;
        bytes += r->buckets != NULL ? sizeof(*r->buckets) + r->buckets[i].name.size : 0;
        bytes += r->objects != NULL ? sizeof(*r->objects) + r->objects[i].name.size : 0;
    }
    return bytes;
}

static void answer_copy_all(struct hf_answer *a, const struct hf_result *r)
{
    struct answer_copy copy = {.at = a->memory};
    struct hf_item *items = NULL;
    struct hf_bucket_info *buckets = NULL;
    struct hf_object_info *objects = NULL;
    if (r->items != NULL) {
        items = answer_rows(&copy, r->items, r->count * sizeof(*items));
    }
    if (r->buckets != NULL) {
        buckets = answer_rows(&copy, r->buckets, r->count * sizeof(*buckets));
    }
    if (r->objects != NULL) {
        objects = answer_rows(&copy, r->objects, r->count * sizeof(*objects));
    }
    for (size_t i = 0; i < r->count; i++) {
        if (items != NULL) {
            items[i].key = answer_keep(&copy, items[i].key);
            items[i].value = answer_keep(&copy, items[i].value);
        }
        if (buckets != NULL) {
            buckets[i].name = answer_keep(&copy, buckets[i].name);
        }
        if (objects != NULL) {
            objects[i].name = answer_keep(&copy, objects[i].name);
        }
    }
    a->result.items = items;
    a->result.buckets = buckets;
    a->result.objects = objects;
    a->result.value = answer_keep(&copy, r->value);
}

void hf_answer_done(void *ctx, const struct hf_result *result)
{
    struct hf_answer *a = ctx;
    free(a->memory);
    hf_block_put(a->block);
    a->memory = malloc(answer_bytes(result));
    a->block = result->memory;
    if (a->block != NULL) {
        ((struct hf_block *)a->block)->refs++;
    }
    a->result = *result;
    a->ended = true;
    if (a->memory == NULL) {
        a->result = (struct hf_result){.code = result->code == 0 ? ERR_DONE : result->code};
    } else {
        answer_copy_all(a, result);
    }
    (void)snprintf(a->text, sizeof(a->text), "%s", result->text != NULL ? result->text : "");
    a->result.text = a->text;
}

int hf_wait(struct hf_client *c, struct hf_answer *answer)
{
    if (!c->owns_loop) {
        return ERR_INVALID;
    }
    while (!answer->ended) {
        c->waits = true;
        (void)uv_run(c->loop, UV_RUN_ONCE);
        c->waits = false;
    }
    return answer->result.code;
}

void hf_answer_release(struct hf_answer *answer)
{
    free(answer->memory);
    hf_block_put(answer->block);
    memset(answer, 0, sizeof(*answer));
}
