/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Rebuilds some shards of a whole extent, stripe after stripe: gather, write to the targets, next.
 * Used by repair (the target is this node) and by uploads whose nodes failed (other nodes).
 */
#include "server/node/objects_internal.h"

struct node_rebuild_write {
    struct node_rebuild *r;
    uint8_t shard;
};

struct node_rebuild {
    struct node_work link;
    struct node_timer timer;
    struct node_objects *o;
    struct node_rebuild_spec spec;
    node_rebuild_fn *done;
    void *ctx;
    uint32_t stripe;
    uint32_t failed;
    int code;
    unsigned writing;
    bool bare;        /* of some data cell the fingerprint did not come */
    uint64_t next_us; /* by the byte rate */
    struct node_rebuild_write writes[NODE_OBJECT_SHARDS_MAX];
};

static void node_rebuild_free(struct node_rebuild *r)
{
    struct node_objects *o = r->o;
    node_timer_cancel(o->n, &r->timer);
    node_work_remove(&r->link);
    node_info_release(r->spec.info);
    alloc_put(&o->alloc, r, sizeof *r);
}

static void node_rebuild_end(struct node_rebuild *r, int code)
{
    uint32_t failed = code == 0 ? 0 : r->failed == 0 ? r->spec.wanted : r->failed;
    if (r->spec.fingers != NULL) {
        r->spec.fingers->whole = code == 0 && !r->bare;
    }
    r->done(r->o->n, r->ctx, code, failed);
    node_rebuild_free(r);
}

static void node_rebuild_step(struct node_rebuild *r);

static void node_rebuild_fire(struct node *n, struct node_timer *t)
{
    (void)n;
    node_rebuild_step(t->ctx);
}

/* Paces by what one stripe moves: k cells read. */
static void node_rebuild_next(struct node_rebuild *r)
{
    uint64_t now = node_now(r->o->n);
    uint64_t bytes =
        (uint64_t)erasure_stripe_bytes(&r->spec.info->layout, r->spec.info->extent, r->stripe) *
        r->spec.info->shape.scheme.k;
    r->stripe++;
    if (r->spec.bytes_per_s != 0) {
        r->next_us = NUM_MAX(now, r->next_us) + bytes * 1000000u / r->spec.bytes_per_s;
    }
    node_timer_set(r->o->n, &r->timer, NUM_MAX(now, r->next_us));
}

static void node_rebuild_written(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    struct node_rebuild_write *w = ctx;
    struct node_rebuild *r = w->r;
    r->writing--;
    if (code != 0) {
        r->failed |= 1u << w->shard;
        r->code = code;
    }
    if (r->writing > 0) {
        return;
    }
    if (r->code != 0) {
        node_rebuild_end(r, r->code);
    } else {
        node_rebuild_next(r);
    }
}

static int node_rebuild_write(struct node_rebuild *r, unsigned s, const struct node_gathered *g)
{
    struct node_extent_info *info = r->spec.info;
    bool data = s < info->shape.scheme.k;
    struct node_blob *blob = node_blob_new(r->o->n, g->bytes[s]);
    if (blob == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(node_blob_data(blob), g->cell[s], g->bytes[s]);
    const struct node_cell_write w = {.ref = {.version = info->version,
                                              .group = info->group,
                                              .cell = node_info_cell(info, r->stripe),
                                              .shard = (uint8_t)s},
                                      .leaves_count =
                                          data ? (uint32_t)compute_leaves_of(g->bytes[s]) : 0,
                                      .leaves = g->leaves[s],
                                      .data = blob,
                                      .deadline_us = node_objects_patience(r->o)};
    r->writes[s] = (struct node_rebuild_write){.r = r, .shard = (uint8_t)s};
    int err = node_shard_write(r->o, r->spec.target[s], &w, &r->writes[s], node_rebuild_written);
    r->writing += err == 0;
    node_blob_release(r->o->n, blob);
    return err;
}

/* Coding has read all data cells of the stripe where parity was made of them. */
static void node_rebuild_fingers(struct node_rebuild *r, const struct node_gathered *g)
{
    const struct node_extent_info *info = r->spec.info;
    const unsigned k = info->shape.scheme.k;
    for (unsigned s = 0; s < k; s++) {
        const uint64_t cell = (uint64_t)r->stripe * k + s;
        if (cell >= info->e.cells) {
            return;
        }
        ASSERT((cell + 1) * ERASURE_FINGER_BYTES <= r->spec.fingers->bytes);
        memcpy(r->spec.fingers->data + cell * ERASURE_FINGER_BYTES, g->finger[s].bytes,
               ERASURE_FINGER_BYTES);
        r->bare |= (g->coded >> s & 1u) == 0;
    }
}

static void node_rebuild_gathered(struct node *n, void *ctx, int code,
                                  const struct node_gathered *g)
{
    (void)n;
    struct node_rebuild *r = ctx;
    if (code == 0 && r->spec.fingers != NULL) {
        node_rebuild_fingers(r, g);
    }
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX && code == 0; s++) {
        if ((r->spec.wanted >> s & 1u) != 0 && g->bytes[s] > 0) {
            code = node_rebuild_write(r, s, g);
        }
    }
    r->code = code;
    if (r->writing == 0) {
        node_rebuild_end(r, code != 0 ? code : ERR_INVALID);
    }
}

static void node_rebuild_step(struct node_rebuild *r)
{
    struct node_extent_info *info = r->spec.info;
    const struct node_gather_spec spec = {.info = info,
                                          .stripe = r->stripe,
                                          .wanted = r->spec.wanted,
                                          .avoid = r->spec.avoid,
                                          .lane = r->spec.lane,
                                          .deadline_us = node_objects_patience(r->o)};
    if (r->stripe >= info->e.stripes) {
        node_rebuild_end(r, 0);
        return;
    }
    uint32_t empty = erasure_stripe_empty(&info->layout, info->extent, r->stripe);
    if ((r->spec.wanted & ~empty) == 0) {
        r->bare = true;
        node_rebuild_next(r);
        return;
    }
    int err = node_gather_start(r->o, &spec, r, node_rebuild_gathered);
    if (err != 0) {
        node_rebuild_end(r, err);
    }
}

struct node_rebuild *node_rebuild_start(struct node_objects *o,
                                        const struct node_rebuild_spec *spec, void *ctx,
                                        node_rebuild_fn *done)
{
    struct node_rebuild *r = alloc_get_zeroed(&o->alloc, 1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    ASSERT(spec->wanted != 0);
    r->o = o;
    r->spec = *spec;
    r->done = done;
    r->ctx = ctx;
    node_info_retain(spec->info);
    node_work_add(&o->rebuilds, &r->link);
    r->timer.ctx = r;
    r->timer.fire = node_rebuild_fire;
    node_timer_set(o->n, &r->timer, node_now(o->n));
    return r;
}

void node_rebuild_free_all(struct node_objects *o)
{
    while (!node_work_empty(&o->rebuilds)) {
        node_rebuild_free((struct node_rebuild *)(void *)o->rebuilds.next);
    }
}
