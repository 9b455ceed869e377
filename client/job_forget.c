/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The end of a job: its head says so, then its keys go, the head last. So who finds a head that is
 * not done finds all that was committed, but for what others take away meanwhile; and of what is
 * left of a job that is done nothing is used. Only keys with the form and the values of jobs go.
 *
 *   get the head -> done -> (a page of keys -> deletes) ... -> the head, if it still is that one
 */
#include "client/job_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORGET_PAGE 64u

struct job_forget {
    struct hf_client *client;
    struct buf key;
    struct buf prefix;
    struct buf head; /* as it is there */
    struct buf over; /* the same, done */
    struct buf after;
    uint64_t timeout_ms;
    unsigned open; /* deletes under way */
    bool more;
    bool found;
    int code; /* of the first that failed */
    char text[HF_TEXT_BYTES];
    void *ctx;
    hf_done_fn *done;
};

/* ---- end ------------------------------------------------------------------------------------ */

static void forget_release(struct job_forget *f)
{
    buf_release(&f->key);
    buf_release(&f->prefix);
    buf_release(&f->head);
    buf_release(&f->over);
    buf_release(&f->after);
    free(f);
}

static void forget_end(struct job_forget *f)
{
    const struct hf_result result = {
        .code = f->code, .text = f->text, .found = f->found, .consistency = ""};
    f->done(f->ctx, &result);
    forget_release(f);
}

static void forget_failed(struct job_forget *f, int code, const char *text)
{
    if (f->code == 0) {
        f->code = code;
        (void)snprintf(f->text, sizeof(f->text), "%s", text);
    }
}

static struct hf_kv forget_kv(const struct job_forget *f, const struct buf *key)
{
    return (struct hf_kv){.key = hf_out(buf_view(key)), .timeout_ms = f->timeout_ms};
}

/* ---- the head, at the end ------------------------------------------------------------------- */

static void forget_head_gone(void *ctx, const struct hf_result *result)
{
    struct job_forget *f = ctx;
    if (result->code != ERR_CONFLICT && result->code != 0 &&
        err_outcome_of(result->code) != ERR_OUTCOME_DONE) { /* CONFLICT: of a job that has begun */
        forget_failed(f, result->code, result->text);
    }
    forget_end(f);
}

static void forget_head(struct job_forget *f)
{
    struct hf_kv kv = forget_kv(f, &f->key);
    kv.expected = hf_out(buf_view(&f->over));
    kv.make_absent = true;
    if (f->code != 0 || f->over.size == 0) {
        forget_end(f);
        return;
    }
    const int err = hf_kv_cas(f->client, &kv, f, forget_head_gone);
    if (err != 0) {
        forget_failed(f, err, err_text(err));
        forget_end(f);
    }
}

/* ---- the keys ------------------------------------------------------------------------------- */

static int forget_page(struct job_forget *f);

/* A page has gone. */
static void forget_next(struct job_forget *f)
{
    const int err = f->code == 0 && f->more ? forget_page(f) : 0;
    if (err != 0) {
        forget_failed(f, err, err_text(err));
    }
    if (f->code != 0 || !f->more) {
        forget_head(f);
    }
}

static void forget_deleted(void *ctx, const struct hf_result *result)
{
    struct job_forget *f = ctx;
    f->open--;
    if (result->code != 0 && err_outcome_of(result->code) != ERR_OUTCOME_DONE) {
        forget_failed(f, result->code, result->text);
    }
    if (f->open == 0) {
        forget_next(f);
    }
}

static int forget_items(struct job_forget *f, const struct hf_result *result)
{
    for (size_t i = 0; i < result->count; i++) {
        const struct hf_item *item = &result->items[i];
        const enum job_value kind = hf_job_value_of(hf_in(item->value));
        const struct hf_kv kv = {.key = item->key, .timeout_ms = f->timeout_ms};
        if (hf_job_key_is(hf_in(item->key), f->key.size) &&
            (kind == JOB_VALUE_OBJECT || kind == JOB_VALUE_TASK)) {
            TRY(hf_kv_delete(f->client, &kv, f, forget_deleted));
            f->open++;
            f->found = true;
        }
    }
    if (result->count > 0) {
        const struct hf_bytes last = result->items[result->count - 1].key;
        buf_clear(&f->after);
        TRY(buf_append(&f->after, last.data, last.size));
    }
    return 0;
}

static void forget_scanned(void *ctx, const struct hf_result *result)
{
    struct job_forget *f = ctx;
    int err = result->code;
    if (err != 0) {
        forget_failed(f, err, result->text);
    } else {
        f->more = result->more && result->count > 0;
        err = forget_items(f, result);
        if (err != 0) {
            forget_failed(f, err, err_text(err));
        }
    }
    if (f->open == 0) {
        forget_next(f);
    }
}

static int forget_page(struct job_forget *f)
{
    const struct hf_kv kv = {.prefix = hf_out(buf_view(&f->prefix)),
                             .after = hf_out(buf_view(&f->after)),
                             .limit = FORGET_PAGE,
                             .timeout_ms = f->timeout_ms};
    return hf_kv_scan(f->client, &kv, f, forget_scanned);
}

/* ---- the head, first ------------------------------------------------------------------------ */

static void forget_pages(struct job_forget *f)
{
    f->more = true;
    forget_next(f);
}

static void forget_marked(void *ctx, const struct hf_result *result)
{
    struct job_forget *f = ctx;
    if (result->code != 0 && result->code != ERR_CONFLICT &&
        err_outcome_of(result->code) != ERR_OUTCOME_DONE) {
        forget_failed(f, result->code, result->text);
    }
    forget_pages(f);
}

/* returns: 0 and the head is being marked, or it is done; or why not. */
static int forget_mark(struct job_forget *f, struct bytes value)
{
    struct job_head head;
    TRY(hf_job_head_take(value, &head));
    const bool was_done = head.done;
    head.done = true;
    TRY(buf_append(&f->head, value.data, value.size));
    TRY(hf_job_head_put(&f->over, &head));
    if (was_done) {
        forget_pages(f);
        return 0;
    }
    struct hf_kv kv = forget_kv(f, &f->key);
    kv.expected = hf_out(buf_view(&f->head));
    kv.value = hf_out(buf_view(&f->over));
    return hf_kv_cas(f->client, &kv, f, forget_marked);
}

static void forget_got(void *ctx, const struct hf_result *result)
{
    struct job_forget *f = ctx;
    int err = result->code;
    if (err != 0) {
        forget_failed(f, err, result->text);
        forget_end(f);
        return;
    }
    f->found = result->found;
    if (!result->found) {
        forget_pages(f); /* perhaps of somebody who went on when others had ended it */
        return;
    }
    err = forget_mark(f, hf_in(result->value));
    if (err != 0) {
        char key[96];
        char text[HF_TEXT_BYTES];
        hf_op_subject(key, sizeof(key), buf_view(&f->key));
        (void)snprintf(text, sizeof(text), "key '%s': %s", key,
                       err == ERR_PROTOCOL ? "its value is no job's" : err_text(err));
        forget_failed(f, err == ERR_PROTOCOL ? ERR_CONFLICT : err, text);
        forget_end(f);
    }
}

int hf_job_forget(struct hf_client *c, const struct hf_kv *job, void *ctx, hf_done_fn *done)
{
    TRY(job->key.size == 0 ? ERR_BAD_NAME : 0);
    TRY(job->key.size > WIRE_NAME_BYTES_MAX - JOB_SUFFIX_BYTES ? ERR_TOO_LARGE : 0);
    struct job_forget *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return ERR_NO_MEMORY;
    }
    f->client = c;
    f->timeout_ms = job->timeout_ms;
    f->ctx = ctx;
    f->done = done;
    buf_init(&f->key, &c->heap, WIRE_NAME_BYTES_MAX);
    buf_init(&f->prefix, &c->heap, WIRE_NAME_BYTES_MAX);
    buf_init(&f->head, &c->heap, JOB_VALUE_BYTES_MAX);
    buf_init(&f->over, &c->heap, JOB_VALUE_BYTES_MAX);
    buf_init(&f->after, &c->heap, WIRE_NAME_BYTES_MAX);
    (void)buf_append(&f->key, job->key.data, job->key.size);
    (void)buf_append(&f->prefix, job->key.data, job->key.size);
    (void)buf_put_u8(&f->prefix, '/');
    int err = f->prefix.err != 0 ? f->prefix.err : f->key.err;
    if (err == 0) {
        const struct hf_kv kv = forget_kv(f, &f->key);
        err = hf_kv_get(c, &kv, f, forget_got);
    }
    if (err != 0) {
        forget_release(f);
    }
    return err;
}
