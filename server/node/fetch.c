/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads of the state: the records a batch or a question names, and at most one range, read by one
 * job in one read transaction. The loop never reads the table itself: a page fault there would
 * stop heartbeats.
 *
 * What was read is current as long as no flush has ended meanwhile: a record changed since the job
 * started is then still dirty in the memtable, which is asked first.
 */
#include "server/node/node_internal.h"

#define NODE_FETCH_BYTES_MAX (64u << 20)

struct node_fetch *node_fetch_new(struct node *n, struct node_group *g)
{
    struct node_fetch *f = alloc_get_zeroed(&n->alloc, 1, sizeof *f);
    if (f == NULL) {
        return NULL;
    }
    f->n = n;
    f->g = g;
    buf_init(&f->keys, &n->alloc, NODE_FETCH_BYTES_MAX);
    buf_init(&f->from, &n->alloc, STORE_KV_KEY_BYTES_MAX);
    buf_init(&f->to, &n->alloc, STORE_KV_KEY_BYTES_MAX);
    buf_init(&f->found, &n->job_alloc, NODE_FETCH_BYTES_MAX);
    buf_init(&f->rows, &n->job_alloc, NODE_FETCH_BYTES_MAX);
    return f;
}

void node_fetch_free(struct node_fetch *f)
{
    struct node *n = f->n;
    buf_release(&f->keys);
    buf_release(&f->from);
    buf_release(&f->to);
    buf_release(&f->found);
    buf_release(&f->rows);
    alloc_put(&n->alloc, f, sizeof *f);
}

int node_fetch_want(struct node_fetch *f, struct bytes name)
{
    uint8_t raw[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    struct bytes key = node_key_of(f->g, name, raw);
    bool present = false;
    struct bytes value;
    if (store_mem_get(f->n->mem, key, &present, &value) == 0) {
        return 0;
    }
    (void)buf_put_u16(&f->keys, (uint16_t)key.size);
    TRY(buf_append(&f->keys, key.data, key.size));
    f->keys_count++;
    return 0;
}

static int node_fetch_points(struct node_fetch *f, const struct store_kv *kv,
                             struct store_kv_reader *reader)
{
    struct bytes_reader r = bytes_reader_of(buf_view(&f->keys));
    for (unsigned i = 0; i < f->keys_count; i++) {
        struct bytes key = bytes_take(&r, bytes_take_u16(&r));
        struct bytes value = {0};
        int err = kv->get(reader, key, &value);
        if (err != 0 && err != ERR_NOT_FOUND) {
            return err;
        }
        (void)buf_put_u8(&f->found, err == 0);
        TRY(buf_put_bytes(&f->found, value));
    }
    return 0;
}

static int node_fetch_range(struct node_fetch *f, const struct store_kv *kv,
                            struct store_kv_reader *reader)
{
    struct bytes key;
    struct bytes value;
    struct bytes to = buf_view(&f->to);
    int err = kv->seek(reader, buf_view(&f->from), f->after, &key, &value);
    while (err == 0 && bytes_compare(key, to) < 0) {
        if (f->rows_count >= f->rows_max || f->rows.size >= f->bytes_max) {
            f->more = true;
            return 0;
        }
        (void)buf_put_u16(&f->rows, (uint16_t)key.size);
        (void)buf_append(&f->rows, key.data, key.size);
        TRY(buf_put_bytes(&f->rows, value));
        f->rows_count++;
        err = kv->next(reader, &key, &value);
    }
    return err == ERR_NOT_FOUND ? 0 : err;
}

static void node_fetch_run(struct node_task *task, struct node_env *env)
{
    struct node_fetch *f = (struct node_fetch *)(void *)task;
    const struct store_kv *kv = env->kv;
    struct store_kv_reader *reader = NULL;
    task->job.code = kv->reader_open(kv->ctx, &reader);
    if (task->job.code != 0) {
        return;
    }
    int err = node_fetch_points(f, kv, reader);
    if (err == 0 && f->to.size > 0) {
        err = node_fetch_range(f, kv, reader);
    }
    kv->reader_close(reader);
    task->job.code = err;
}

static void node_fetch_done(struct node *n, struct node_task *task)
{
    struct node_fetch *f = (struct node_fetch *)(void *)task;
    f->ended(n, f);
}

int node_fetch_start(struct node_fetch *f)
{
    if (f->keys.err != 0 || f->from.err != 0 || f->to.err != 0) {
        return ERR_NO_MEMORY;
    }
    f->epoch = f->g->epoch;
    f->thaws = f->n->thaws;
    f->task.run = node_fetch_run;
    f->task.done = node_fetch_done;
    return node_task_start(f->n, &f->task, NODE_LANE_READ);
}

int node_fetch_fill(struct node_fetch *f)
{
    struct bytes_reader keys = bytes_reader_of(buf_view(&f->keys));
    struct bytes_reader found = bytes_reader_of(buf_view(&f->found));
    for (unsigned i = 0; i < f->keys_count; i++) {
        struct bytes key = bytes_take(&keys, bytes_take_u16(&keys));
        bool present = bytes_take_u8(&found) != 0;
        struct bytes value = bytes_take_bytes(&found, NODE_FETCH_BYTES_MAX);
        TRY(store_mem_fill(f->n->mem, key, present, value));
    }
    return 0;
}
