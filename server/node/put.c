/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The stream of an upload: parts fill the data cells of a stripe; a whole stripe is hashed and
 * encoded by one job, then each cell is written to its holder. What is in memory is bounded for an
 * upload and for all of them: a stripe reserves the room of all its cells when it begins.
 */
#include "server/node/put_internal.h"

static void node_stripe_write(struct node_put_stripe *s, unsigned shard);

/* ---- memory --------------------------------------------------------------------------------- */

void node_put_stripe_free(struct node_put_stripe *s)
{
    struct node_put *p = s->p;
    struct node_objects *o = p->o;
    node_timer_cancel(o->n, &s->timer);
    for (unsigned i = 0; i < NODE_OBJECT_SHARDS_MAX; i++) {
        if (s->cell[i] != NULL) {
            node_blob_release(o->n, s->cell[i]);
        }
    }
    alloc_put(&o->alloc, s->leaves, s->leaves_bytes);
    alloc_put(&o->alloc, s, sizeof *s);
    ASSERT(p->held >= p->stripe_total);
    p->held -= p->stripe_total;
    o->put_bytes -= p->stripe_total;
}

/* returns: 0, ERR_BUSY beyond the bounds, or ERR_NO_MEMORY. */
static int node_stripe_new(struct node_put *p)
{
    struct node_objects *o = p->o;
    uint64_t upload = node_options_get(o->n)->limits.upload_bytes;
    uint64_t most = NUM_MAX(upload, 2 * p->stripe_total);
    if (p->held + p->stripe_total > most ||
        o->put_bytes + p->stripe_total > NODE_PUT_UPLOADS_BYTES * upload) {
        return ERR_BUSY;
    }
    struct node_put_extent *x = node_put_extent_current(p);
    struct node_put_stripe *s = x == NULL ? NULL : alloc_get_zeroed(&o->alloc, 1, sizeof *s);
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->p = p;
    s->x = x;
    s->number = x->stripes++;
    p->held += p->stripe_total;
    o->put_bytes += p->stripe_total;
    p->fill = s;
    return 0;
}

static struct node_blob *node_stripe_blob(struct node_put_stripe *s, unsigned shard, size_t bytes)
{
    if (s->cell[shard] == NULL) {
        s->cell[shard] = node_blob_new(s->p->o->n, bytes);
    }
    if (s->cell[shard] != NULL) {
        s->data[shard] = node_blob_data(s->cell[shard]);
    }
    return s->cell[shard];
}

/* Copies data into stripes. What was taken counts in p->received even if not all was.
 * returns: 0, ERR_BUSY or ERR_NO_MEMORY: the rest is to be sent again. */
int node_put_take(struct node_put *p, struct bytes data)
{
    uint32_t cell = p->shape.cell_bytes;
    while (data.size > 0) {
        if (p->fill == NULL) {
            TRY(node_stripe_new(p));
        }
        struct node_put_stripe *s = p->fill;
        unsigned shard = (unsigned)(s->filled / cell);
        size_t at = (size_t)(s->filled % cell);
        size_t bytes = NUM_MIN(data.size, cell - at);
        if (node_stripe_blob(s, shard, cell) == NULL) {
            return ERR_NO_MEMORY;
        }
        memcpy(s->data[shard] + at, data.data, bytes);
        s->filled += bytes;
        p->received += bytes;
        data = bytes_of(data.data + bytes, data.size - bytes);
        if (s->filled == p->stripe_data) {
            node_put_launch(p);
        }
    }
    return 0;
}

/* ---- encode --------------------------------------------------------------------------------- */

static void node_stripe_run(struct node_task *task, struct node_env *env)
{
    struct node_put_stripe *s = (struct node_put_stripe *)(void *)task;
    struct erasure_scheme scheme = s->p->shape.scheme;
    struct bytes data[NODE_OBJECT_SHARDS_MAX];
    struct compute_leaves runs[NODE_OBJECT_SHARDS_MAX] = {{0}};
    size_t leaves = s->leaves_bytes / scheme.k;
    for (unsigned i = 0; i < scheme.k; i++) {
        data[i] = bytes_of(s->data[i], s->bytes[i]);
        runs[i] = (struct compute_leaves){s->data[i], s->bytes[i], s->leaves + i * leaves};
    }
    node_leaves_many(env, runs, scheme.k); /* the client has a root to compare with */
    for (unsigned i = 0; i < scheme.k; i++) {
        if (s->bytes[i] > 0) {
            merkle_root_of(runs[i].hashes, compute_leaves_of(s->bytes[i]), s->roots[i]);
        }
    }
    task->job.code = erasure_encode(s->p->erasure, data, s->data + scheme.k, s->coded, &s->check);
}

/* A cell that is not full is sent from a blob of its own size. */
static bool node_stripe_trim(struct node_put_stripe *s, unsigned shard)
{
    uint32_t bytes = s->bytes[shard];
    struct node_objects *o = s->p->o;
    if (node_blob_bytes(s->cell[shard]).size == bytes) {
        return true;
    }
    struct node_blob *exact = node_blob_new(o->n, bytes);
    if (exact == NULL) {
        return false;
    }
    memcpy(node_blob_data(exact), s->data[shard], bytes);
    node_blob_release(o->n, s->cell[shard]);
    s->cell[shard] = exact;
    s->data[shard] = node_blob_data(exact);
    return true;
}

/* returns: whether all memory of the job is there. */
static bool node_stripe_room(struct node_put_stripe *s)
{
    struct node_put *p = s->p;
    struct erasure_scheme scheme = p->shape.scheme;
    if (s->leaves == NULL) {
        s->leaves_bytes =
            (size_t)scheme.k * (p->shape.cell_bytes / COMPUTE_LEAF_BYTES) * COMPUTE_HASH_BYTES;
        s->leaves = alloc_get(&p->o->alloc, s->leaves_bytes);
    }
    bool room = s->leaves != NULL;
    for (unsigned i = 0; i < (unsigned)scheme.k + scheme.m && room; i++) {
        if (i >= scheme.k) {
            s->bytes[i] = s->coded;
            room = node_stripe_blob(s, i, s->coded) != NULL;
        } else if (s->bytes[i] > 0) {
            room = node_stripe_trim(s, i);
        }
    }
    return room;
}

static void node_stripe_begin(struct node_put_stripe *s)
{
    struct node *n = s->p->o->n;
    int err = ERR_CANCELLED;
    if (s->p->state != NODE_PUT_FAILED && node_now(n) != UINT64_MAX) {
        err = node_stripe_room(s) ? node_task_start(n, &s->task, NODE_LANE_FOREGROUND) : ERR_BUSY;
    }
    if (err == ERR_BUSY) { /* memory or the lane is full: soon */
        node_timer_set(n, &s->timer, node_now(n) + NODE_CALL_RETRY_US);
    } else if (err != 0) {
        struct node_put *p = s->p;
        node_put_stripe_free(s);
        node_put_release(p);
    }
}

static void node_stripe_done(struct node_put_stripe *s)
{
    struct node_put *p = s->p;
    struct node_put_extent *x = s->x;
    node_put_stripe_free(s);
    x->done++;
    node_put_waits_release(p);
    if (p->state != NODE_PUT_FAILED) {
        node_put_extent_judge(x);
    }
    node_put_release(p);
}

static void node_stripe_fire(struct node *n, struct node_timer *t)
{
    struct node_put_stripe *s = t->ctx;
    uint32_t again = s->again;
    if (s->leaves == NULL || s->deadline_us == 0) {
        node_stripe_begin(s);
        return;
    }
    s->again = 0;
    bool over = node_now(n) >= s->deadline_us || s->p->state == NODE_PUT_FAILED;
    for (unsigned i = 0; i < NODE_OBJECT_SHARDS_MAX; i++) {
        if ((again >> i & 1u) == 0) {
            continue;
        }
        if (over) {
            node_put_extent_failed(s->x, (uint8_t)i, ERR_BUSY);
        } else {
            node_stripe_write(s, i);
        }
    }
    if (s->writing == 0 && s->again == 0) {
        node_stripe_done(s);
    }
}

/* returns: the stripe's number over the whole object. */
static uint32_t node_stripe_cell(const struct node_put_stripe *s)
{
    return (uint32_t)((uint64_t)s->x->number * s->p->extent_stripes + s->number);
}

/* ---- write ---------------------------------------------------------------------------------- */

static void node_stripe_written(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)reply;
    struct node_put_write *w = ctx;
    struct node_put_stripe *s = w->stripe;
    s->writing--;
    if (code == ERR_BUSY && node_now(n) < s->deadline_us && s->p->state != NODE_PUT_FAILED) {
        s->again |= 1u << w->shard;
        if (s->timer.at_us == 0) {
            node_timer_set(n, &s->timer, node_now(n) + NODE_CALL_RETRY_US);
        }
    } else if (code != 0) {
        node_put_extent_failed(s->x, w->shard, code);
    }
    if (s->writing == 0 && s->again == 0) {
        node_stripe_done(s);
    }
}

static void node_stripe_write(struct node_put_stripe *s, unsigned shard)
{
    struct node_put *p = s->p;
    struct erasure_scheme scheme = p->shape.scheme;
    size_t leaves = s->leaves_bytes / scheme.k;
    bool data = shard < scheme.k;
    const struct node_cell_write w = {.ref = {.version = p->version,
                                              .group = p->group,
                                              .cell = node_stripe_cell(s),
                                              .shard = (uint8_t)shard},
                                      .leaves_count =
                                          data ? (uint32_t)compute_leaves_of(s->bytes[shard]) : 0,
                                      .leaves = data ? s->leaves + shard * leaves : NULL,
                                      .data = s->cell[shard],
                                      .deadline_us = s->deadline_us};
    s->writes[shard] = (struct node_put_write){.stripe = s, .shard = (uint8_t)shard};
    int err =
        node_shard_write(p->o, s->x->holder[shard], &w, &s->writes[shard], node_stripe_written);
    if (err == 0) {
        s->writing++;
    } else {
        node_put_extent_failed(s->x, (uint8_t)shard, err);
    }
}

static void node_stripe_encoded(struct node *n, struct node_task *task)
{
    struct node_put_stripe *s = (struct node_put_stripe *)(void *)task;
    struct node_put *p = s->p;
    struct node_put_extent *x = s->x;
    int code = task->job.code;
    node_objects_coded(p->o, "encode", p->version, node_stripe_cell(s), &s->check, code);
    if (code != 0 || p->state == NODE_PUT_FAILED) {
        node_put_stripe_free(s); /* and the task with it */
        node_put_fail(p, code != 0 ? code : p->code);
        node_put_release(p);
        return;
    }
    unsigned k = p->shape.scheme.k;
    for (unsigned i = 0; i < k && s->bytes[i] > 0; i++) {
        size_t at = ((size_t)s->number * k + i) * MERKLE_HASH_BYTES;
        ASSERT(at + MERKLE_HASH_BYTES <= x->roots_bytes);
        memcpy(x->roots + at, s->roots[i], MERKLE_HASH_BYTES);
        if (x->fingers.data != NULL) {
            memcpy(x->fingers.data + at, s->check.finger[i].bytes, ERASURE_FINGER_BYTES);
        }
    }
    x->hashed++;
    node_put_roots_push(p);
    s->deadline_us = node_now(n) + node_options_get(n)->put_deadline_us;
    s->writing = 1; /* so that no failure below ends the stripe */
    for (unsigned i = 0; i < k + p->shape.scheme.m; i++) {
        if (s->bytes[i] > 0 && (x->failed >> i & 1u) == 0) {
            node_stripe_write(s, i);
        }
    }
    s->writing--;
    if (s->writing == 0) {
        node_stripe_done(s);
    }
}

void node_put_launch(struct node_put *p)
{
    struct node_put_stripe *s = p->fill;
    uint32_t cell = p->shape.cell_bytes;
    ASSERT(s != NULL && s->filled > 0);
    p->fill = NULL;
    for (unsigned i = 0; i < p->shape.scheme.k; i++) {
        uint64_t at = (uint64_t)i * cell;
        s->bytes[i] = at >= s->filled ? 0 : (uint32_t)NUM_MIN(s->filled - at, (uint64_t)cell);
    }
    s->coded = s->bytes[0];
    s->x->bytes += s->filled;
    s->x->closed = s->x->stripes == p->extent_stripes;
    s->task.run = node_stripe_run;
    s->task.done = node_stripe_encoded;
    s->timer.ctx = s;
    s->timer.fire = node_stripe_fire;
    p->refs++;
    node_stripe_begin(s);
}
