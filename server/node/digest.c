/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The digest of a group's state, summed anew: all records that are in the table, in one read
 * transaction, against the digest that stands there with them. A replica whose records do not make
 * its digest has lost or gained something that no checksum of a single record tells; it takes the
 * state of another one. A transaction that gets too old ends without a result.
 */
#include "server/node/node_internal.h"
#include "server/node/objects_internal.h"

#define NODE_DIGEST_STEP_ROWS 4096u
#define NODE_DIGEST_AGE_US 120000000u

struct node_digest {
    struct node_task task;
    struct node_objects *o;
    bool busy;
    bool ended; /* all records are in the sum */
    uint32_t group;
    uint64_t began_us;
    const struct store_kv *kv;
    struct store_kv_reader *reader;
    struct node_meta meta;
    struct hash_digest sum;
    size_t at_bytes; /* the last key; 0: none yet */
    uint8_t at[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
};

/* ---- on another thread ---------------------------------------------------------------------- */

static int node_digest_open(struct node_digest *d, struct node_env *env)
{
    uint8_t key[9];
    struct bytes value;
    d->kv = env->kv;
    TRY(env->kv->reader_open(env->kv->ctx, &d->reader));
    node_meta_key(d->group, key);
    TRY(env->kv->get(d->reader, bytes_of(key, sizeof key), &value));
    return node_meta_decode(value, &d->meta);
}

static int node_digest_rows(struct node_digest *d)
{
    uint8_t raw[NODE_PREFIX_BYTES];
    struct bytes key;
    struct bytes value;
    node_prefix_put(raw, d->group, d->meta.generation);
    struct bytes prefix = bytes_of(raw, sizeof raw);
    struct bytes from = d->at_bytes == 0 ? prefix : bytes_of(d->at, d->at_bytes);
    int err = d->kv->seek(d->reader, from, d->at_bytes > 0, &key, &value);
    for (unsigned i = 0; err == 0 && bytes_has_prefix(key, prefix); i++) {
        if (i == NODE_DIGEST_STEP_ROWS) {
            return 0;
        }
        if (key.size > sizeof d->at) {
            return ERR_CORRUPT;
        }
        hash_digest_add(&d->sum, bytes_of(key.data + prefix.size, key.size - prefix.size), value);
        memcpy(d->at, key.data, key.size);
        d->at_bytes = key.size;
        err = d->kv->next(d->reader, &key, &value);
    }
    d->ended = err == 0 || err == ERR_NOT_FOUND;
    return d->ended ? 0 : err;
}

static void node_digest_run(struct node_task *task, struct node_env *env)
{
    struct node_digest *d = (struct node_digest *)(void *)task;
    int err = d->reader == NULL ? node_digest_open(d, env) : 0;
    err = err != 0 ? err : node_digest_rows(d);
    if (d->ended && (d->sum.low != d->meta.digest.low || d->sum.high != d->meta.digest.high)) {
        err = ERR_CORRUPT;
    }
    if (d->reader != NULL && (d->ended || err != 0)) {
        d->kv->reader_close(d->reader);
        d->reader = NULL;
    }
    task->job.code = err;
}

/* ---- on the loop ---------------------------------------------------------------------------- */

static void node_digest_close_run(struct node_task *task, struct node_env *env)
{
    struct node_digest *d = (struct node_digest *)(void *)task;
    (void)env;
    d->kv->reader_close(d->reader);
    d->reader = NULL;
}

static void node_digest_closed(struct node *n, struct node_task *task)
{
    (void)n;
    ((struct node_digest *)(void *)task)->busy = false;
}

/* Sums up the next records, or ends a transaction that is too old. */
static void node_digest_next(struct node_digest *d);

static void node_digest_end(struct node *n, struct node_digest *d, int code)
{
    struct node_group *g = node_group_find(n, d->group);
    d->busy = false;
    bool same = g != NULL && !g->broken && g->install == NULL &&
                g->flushed.generation == d->meta.generation;
    if (code == ERR_CORRUPT && same) {
        log_line(node_log(n), LOG_ERROR, "digest_differs", "node=%u group=%u index=%llu",
                 node_self(n), d->group, (unsigned long long)d->meta.index);
        d->o->counters.digests_wrong++;
        if (g->voters_count > 1) { /* alone, a state that can be read is better than none */
            node_rebuild(n, g);
        }
    } else if (code == 0) {
        d->o->counters.digests_checked++;
    }
}

static void node_digest_done(struct node *n, struct node_task *task)
{
    struct node_digest *d = (struct node_digest *)(void *)task;
    if (task->job.code != 0 || d->ended) {
        node_digest_end(n, d, task->job.code);
    } else {
        node_digest_next(d);
    }
}

static void node_digest_next(struct node_digest *d)
{
    struct node *n = d->o->n;
    bool old = node_now(n) - NUM_MIN(node_now(n), d->began_us) > NODE_DIGEST_AGE_US;
    d->task.run = node_digest_run;
    d->task.done = node_digest_done;
    if (old && d->reader != NULL) {
        d->task.run = node_digest_close_run;
        d->task.done = node_digest_closed;
    }
    if (node_task_start(n, &d->task, NODE_LANE_READ) != 0) {
        if (d->reader != NULL) {
            d->kv->reader_close(d->reader);
            d->reader = NULL;
        }
        d->busy = false;
    }
}

void node_digest_start(struct node_objects *o, uint32_t group)
{
    struct node_digest *d = o->digest;
    if (d->busy || node_group_find(o->n, group) == NULL || node_now(o->n) == UINT64_MAX) {
        return;
    }
    *d = (struct node_digest){.o = o, .busy = true, .group = group, .began_us = node_now(o->n)};
    node_digest_next(d);
}

int node_digest_new(struct node_objects *o)
{
    o->digest = alloc_get_zeroed(&o->alloc, 1, sizeof *o->digest);
    return o->digest == NULL ? ERR_NO_MEMORY : 0;
}

void node_digest_free(struct node_objects *o)
{
    struct node_digest *d = o->digest;
    if (d == NULL) {
        return;
    }
    if (d->reader != NULL) {
        d->kv->reader_close(d->reader);
    }
    alloc_put(&o->alloc, d, sizeof *d);
    o->digest = NULL;
}
