/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * object.read: one range of one data cell, verified against the committed root before it is
 * answered, with the proof that lets the client verify it again. This node reads so for itself too.
 * The holder is asked first; if it is down, slow (by its own pace, from a bucket of tokens) or has
 * it wrong, the cell is decoded from others.
 *
 *   find the extent -> read the holder -> verify (job) -> answer
 *                       | down, slow, wrong
 *                       +-> wait for memory -> gather -> answer
 */
#include "base/crc.h"
#include "server/node/objects_internal.h"

struct node_get {
    struct node_task task;
    struct node_work link;
    struct node_timer hedge;
    struct node_objects *o;
    struct node_client client;
    node_get_fn *done; /* of a read for this node itself; else NULL */
    void *ctx;
    enum node_lane lane;
    uint64_t moved; /* from other nodes */
    unsigned refs;
    bool answered;
    bool gathering; /* begun, or waiting for memory */
    bool waiting;
    uint64_t sent_us;
    uint64_t reserved;
    struct node_cell_range range;
    uint32_t cell_bytes;
    uint32_t at; /* in the cell, whole leaves */
    uint32_t bytes;
    struct node_blob *blob;
    uint32_t crc;
    uint32_t leaves_count;
    bool wrong;
    uint8_t leaves[STORE_SEG_LEAVES_MAX * COMPUTE_HASH_BYTES];
    struct merkle_proof proof;
};

static struct node_get *node_get_of(struct node_work *w)
{
    return (struct node_get *)(void *)((uint8_t *)w - offsetof(struct node_get, link));
}

/* ---- end ------------------------------------------------------------------------------------ */

static void node_get_wake(struct node_objects *o);

static void node_get_free(struct node_get *g)
{
    struct node_objects *o = g->o;
    node_timer_cancel(o->n, &g->hedge);
    node_work_remove(&g->link);
    o->gets_count -= g->done == NULL;
    if (g->blob != NULL) {
        node_blob_release(o->n, g->blob);
    }
    node_cell_range_release(&g->range);
    alloc_put(&o->alloc, g, sizeof *g);
}

static void node_get_release(struct node_get *g)
{
    ASSERT(g->refs > 0);
    if (--g->refs == 0 && g->answered) {
        node_get_free(g);
    }
}

static void node_get_settle(struct node_get *g)
{
    g->answered = true;
    node_timer_cancel(g->o->n, &g->hedge);
    if (g->waiting) { /* for memory that is no longer wanted */
        g->waiting = false;
        node_work_remove(&g->link);
        node_work_add(&g->o->gets, &g->link);
        ASSERT(g->refs > 1);
        g->refs--;
    }
}

static void node_get_fail(struct node_get *g, int code)
{
    if (g->answered) {
        return;
    }
    if (g->done == NULL) {
        node_reply_error(g->o->n, g->client, code, NULL);
    }
    node_get_settle(g);
    if (g->done != NULL) {
        g->done(g->o->n, g->ctx, code, &(const struct node_got){.moved = g->moved});
    }
}

/* For this node itself: just the bytes that were asked for. */
static void node_get_give(struct node_get *g, struct node_blob *blob)
{
    const uint8_t *data = node_blob_data(blob) + (g->range.at - g->at);
    const struct node_got got = {.offset = g->range.offset,
                                 .data = bytes_of(data, (size_t)g->range.length),
                                 .moved = g->moved};
    node_get_settle(g);
    g->done(g->o->n, g->ctx, 0, &got);
}

static void node_get_answer(struct node_get *g, struct node_blob *blob, uint32_t crc)
{
    struct node *n = g->o->n;
    struct buf head;
    if (g->answered) {
        return;
    }
    if (g->done != NULL) {
        node_get_give(g, blob);
        return;
    }
    buf_init(&head, &g->o->alloc, 64u << 10);
    (void)wire_pack_map(&head, 4);
    (void)wire_pack_text(&head, WIRE_FIELD_OFFSET);
    (void)wire_pack_u64(&head, g->range.offset / g->range.info->shape.cell_bytes *
                                       g->range.info->shape.cell_bytes +
                                   g->at);
    (void)wire_pack_text(&head, WIRE_FIELD_CRC32C);
    (void)wire_pack_u64(&head, crc);
    (void)wire_pack_text(&head, WIRE_FIELD_PROOF);
    (void)wire_pack_bin(&head, merkle_proof_view(&g->proof));
    (void)wire_pack_text(&head, WIRE_FIELD_DATA);
    (void)wire_pack_bin_head(&head, g->bytes);
    if (head.err == 0) {
        node_reply_blob(n, g->client, buf_view(&head), blob);
    } else {
        node_reply_error(n, g->client, ERR_NO_MEMORY, NULL);
    }
    buf_release(&head);
    node_get_settle(g);
}

static void node_get_refresh(struct node_get *g);

/* ---- degraded ------------------------------------------------------------------------------- */

static int node_get_prove(struct node_get *g)
{
    struct merkle_tree tree = merkle_tree_of(g->leaves, g->leaves_count);
    uint64_t count = compute_leaves_of(g->bytes);
    return merkle_range_make(&tree, g->at / COMPUTE_LEAF_BYTES, count, &g->proof);
}

static void node_get_gathered(struct node *n, void *ctx, int code, const struct node_gathered *out)
{
    struct node_get *g = ctx;
    struct node_objects *o = g->o;
    struct node_blob *blob = NULL;
    unsigned s = g->range.place.shard;
    o->get_bytes -= g->reserved;
    g->reserved = 0;
    g->moved += out->moved;
    if (code == 0 && !g->answered) {
        blob = node_blob_new(n, g->bytes);
        code = blob == NULL ? ERR_NO_MEMORY : 0;
    }
    if (code == 0 && !g->answered) {
        memcpy(node_blob_data(blob), out->cell[s] + g->at, g->bytes);
        g->leaves_count = (uint32_t)compute_leaves_of(g->cell_bytes);
        memcpy(g->leaves, out->leaves[s], (size_t)g->leaves_count * COMPUTE_HASH_BYTES);
        code = node_get_prove(g);
    }
    if (code == 0 && !g->answered) {
        node_get_answer(g, blob, crc_of(node_blob_data(blob), g->bytes));
    } else if (code == ERR_LOST && g->refs == 1 && !g->answered && !g->range.refreshed) {
        g->gathering = false; /* by what was known: shards may lie elsewhere by now */
        node_get_refresh(g);
    } else if (g->refs == 1) {
        node_get_fail(g, code); /* nothing else is under way */
    } else {
        g->gathering = false; /* what the holder still sends is wanted again */
    }
    if (blob != NULL) {
        node_blob_release(n, blob);
    }
    node_get_release(g);
    node_get_wake(o);
}

static void node_get_gather_begin(struct node_get *g)
{
    struct node_objects *o = g->o;
    const struct node_gather_spec spec = {.info = g->range.info,
                                          .stripe = g->range.place.stripe,
                                          .wanted = 1u << g->range.place.shard,
                                          .lane = g->lane,
                                          .deadline_us = g->range.deadline_us};
    g->reserved = node_gather_bytes(g->range.info);
    o->get_bytes += g->reserved;
    o->counters.gets_degraded++;
    int err = node_gather_start(o, &spec, g, node_get_gathered);
    if (err != 0) {
        o->get_bytes -= g->reserved;
        g->reserved = 0;
        if (g->refs == 1) {
            node_get_fail(g, err);
        } else {
            g->gathering = false;
        }
        node_get_release(g);
    }
}

/* Begins gathers while there is room for them; one always may. */
static void node_get_wake(struct node_objects *o)
{
    while (!node_work_empty(&o->gets_waiting)) {
        struct node_get *g = node_get_of(o->gets_waiting.next);
        if (o->get_bytes > 0 &&
            o->get_bytes + node_gather_bytes(g->range.info) > NODE_GET_BYTES_OUT_MAX) {
            return;
        }
        g->waiting = false;
        node_work_remove(&g->link);
        node_work_add(&o->gets, &g->link);
        node_get_gather_begin(g);
    }
}

static void node_get_gather(struct node_get *g)
{
    struct node_objects *o = g->o;
    if (g->gathering || g->answered) {
        return;
    }
    g->gathering = true;
    g->waiting = true;
    g->refs++;
    node_work_remove(&g->link);
    node_work_add(&o->gets_waiting, &g->link);
    node_get_wake(o);
}

/* ---- from the holder ------------------------------------------------------------------------ */

/* returns: whether the leaves that were hashed and those that came with them have the committed
 * root. */
static bool node_get_fits(void *ctx)
{
    const struct node_get *g = ctx;
    uint8_t root[MERKLE_HASH_BYTES];
    const uint8_t *committed =
        node_info_root(g->range.info, g->range.place.stripe, g->range.place.shard);
    merkle_root_of(g->leaves, g->leaves_count, root);
    return committed != NULL && memcmp(root, committed, sizeof root) == 0;
}

static void node_get_run(struct node_task *task, struct node_env *env)
{
    struct node_get *g = (struct node_get *)(void *)task;
    const uint8_t *data = node_blob_data(g->blob);
    size_t at = g->at / COMPUTE_LEAF_BYTES * (size_t)COMPUTE_HASH_BYTES;
    const struct compute_leaves run = {data, g->bytes, g->leaves + at};
    g->wrong = !node_leaves_check(env, &run, g, node_get_fits) || node_get_prove(g) != 0;
    g->crc = crc_of(data, g->bytes);
}

static void node_get_verified(struct node *n, struct node_task *task)
{
    (void)n;
    struct node_get *g = (struct node_get *)(void *)task;
    if (task->job.code != 0) {
        node_get_fail(g, task->job.code);
    } else if (g->wrong) {
        node_info_damaged(g->range.info, g->range.place.shard);
        node_get_gather(g);
    } else {
        node_get_answer(g, g->blob, g->crc);
    }
    node_get_release(g);
}

/* The pace of a peer: the estimate rises by 19 steps when it was slower, falls by one when it was
 * faster, so that it settles where one of twenty is slower. */
static struct node_peer_pace *node_get_pace(struct node_objects *o, uint32_t peer)
{
    for (unsigned i = 0; i < o->pace_count; i++) {
        if (o->pace[i].peer == peer) {
            return &o->pace[i];
        }
    }
    if (o->pace_count == NODE_OBJECTS_PEERS_MAX) {
        return &o->pace[peer % NODE_OBJECTS_PEERS_MAX];
    }
    o->pace[o->pace_count] = (struct node_peer_pace){.peer = peer, .p95_us = NODE_HEDGE_LEAST_US};
    return &o->pace[o->pace_count++];
}

static void node_get_paced(struct node_objects *o, uint32_t peer, uint64_t took_us)
{
    struct node_peer_pace *p = node_get_pace(o, peer);
    uint64_t step = NUM_MAX(p->p95_us / 256, 1u);
    if (took_us > p->p95_us) {
        p->p95_us = NUM_MIN(p->p95_us + 19 * step, (uint64_t)2000000);
    } else {
        p->p95_us -= NUM_MIN(step, p->p95_us);
    }
}

/* returns: 0 and the job is started, or why what came cannot be used. */
static int node_get_take(struct node_get *g, struct bytes reply)
{
    struct node_cell_data data;
    TRY(node_shard_read_reply(reply, &data));
    if (data.cell_bytes != g->cell_bytes || data.data.size != g->bytes ||
        data.leaves_count != compute_leaves_of(g->cell_bytes)) {
        return ERR_CORRUPT;
    }
    if (g->blob != NULL) { /* of an earlier answer that was wrong */
        node_blob_release(g->o->n, g->blob);
    }
    g->blob = node_blob_new(g->o->n, g->bytes);
    if (g->blob == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(node_blob_data(g->blob), data.data.data, g->bytes);
    memcpy(g->leaves, data.leaves.data, data.leaves.size);
    g->leaves_count = data.leaves_count;
    g->task.run = node_get_run;
    g->task.done = node_get_verified;
    TRY(node_task_start(g->o->n, &g->task, g->lane));
    g->refs++;
    return 0;
}

static void node_get_arrived(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_get *g = ctx;
    const uint32_t holder = g->range.info->e.holder[g->range.place.shard];
    node_get_paced(g->o, holder, node_now(n) - g->sent_us);
    g->moved += holder == node_self(n) ? 0 : reply.size;
    if (g->answered || g->gathering) {
        node_get_release(g);
        return;
    }
    node_timer_cancel(n, &g->hedge);
    if (code == 0) {
        code = node_get_take(g, reply);
    }
    if (code == ERR_NOT_FOUND && !g->range.refreshed) {
        node_get_refresh(g); /* the version may be gone, or the shard elsewhere */
    } else if (code != 0) {
        if (code == ERR_NOT_FOUND || code == ERR_CORRUPT || code == ERR_RANGE) {
            node_info_damaged(g->range.info, g->range.place.shard);
        }
        node_get_gather(g);
    }
    node_get_release(g);
}

static void node_get_hedge(struct node *n, struct node_timer *t)
{
    (void)n;
    struct node_get *g = t->ctx;
    if (g->o->hedge_tokens >= 100 && node_now(n) != UINT64_MAX) {
        g->o->hedge_tokens -= 100;
        g->o->counters.hedges++;
        node_get_gather(g);
    }
}

static void node_get_direct(struct node_get *g)
{
    struct node_objects *o = g->o;
    struct node_extent_info *info = g->range.info;
    uint32_t holder = info->e.holder[g->range.place.shard];
    const struct node_cell_read r = {.ref = {.version = g->range.version,
                                             .group = g->range.group,
                                             .cell = node_info_cell(info, g->range.place.stripe),
                                             .shard = g->range.place.shard},
                                     .offset = g->at,
                                     .bytes = g->bytes,
                                     .deadline_us = g->range.deadline_us};
    /* one in doubt is left aside while others may do; if they did not, it is asked all the same */
    bool choosy = info->shape.scheme.m > 0 && !g->range.refreshed;
    bool there = (info->e.durable >> g->range.place.shard & 1u) != 0 &&
                 (choosy ? node_peer_sure(o->n, holder) : node_peer_is_up(o->n, holder));
    if (!there || node_shard_read(o, holder, &r, g, node_get_arrived) != 0) {
        node_get_gather(g);
        return;
    }
    g->refs++;
    g->sent_us = node_now(o->n);
    o->hedge_tokens = NUM_MIN(o->hedge_tokens + NODE_HEDGE_PER_CENT, (uint64_t)1000);
    if (info->shape.scheme.m > 0) {
        uint64_t wait = NUM_MAX(node_get_pace(o, holder)->p95_us, NODE_HEDGE_LEAST_US);
        g->hedge.ctx = g;
        g->hedge.fire = node_get_hedge;
        node_timer_set(o->n, &g->hedge, g->sent_us + wait);
    }
}

/* ---- begin ---------------------------------------------------------------------------------- */

/* The range, widened to whole leaves. */
static void node_get_widen(struct node_get *g)
{
    const struct node_cell_range *r = &g->range;
    g->cell_bytes = erasure_cell_bytes(&r->info->layout, &r->place);
    g->at = r->at / COMPUTE_LEAF_BYTES * COMPUTE_LEAF_BYTES;
    uint64_t end = num_round_up(r->at + r->length, COMPUTE_LEAF_BYTES);
    g->bytes = (uint32_t)NUM_MIN(end, (uint64_t)g->cell_bytes) - g->at;
}

static void node_get_found(struct node_cell_range *range, int code)
{
    struct node_get *g =
        (struct node_get *)(void *)((uint8_t *)range - offsetof(struct node_get, range));
    if (code != 0) {
        node_get_fail(g, code);
    } else {
        node_get_widen(g);
        node_get_direct(g);
    }
    node_get_release(g);
}

static void node_get_refresh(struct node_get *g)
{
    g->refs++;
    node_cell_range_refresh(&g->range);
}

static int node_get_params(const struct wire_rpc *req, struct bytes *bucket, struct node_get *g)
{
    struct bytes name;
    uint64_t version = 0;
    TRY(wire_params_check(req, 5, 5));
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, bucket));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &name));
    TRY(wire_param_u64(req, 2, &version));
    TRY(wire_param_u64(req, 3, &g->range.offset));
    TRY(wire_param_u64(req, 4, &g->range.length));
    g->range.version = node_version_of_wire(version);
    return 0;
}

/* Takes over g. done, or the answer, may come before the return. */
static void node_get_begin(struct node_get *g)
{
    struct node_objects *o = g->o;
    g->refs = 2; /* one for the range */
    g->range.o = o;
    g->range.done = node_get_found;
    node_work_add(&o->gets, &g->link);
    o->counters.gets += g->done == NULL;
    node_cell_range_find(&g->range);
    node_get_release(g);
}

void node_get_read(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_objects *o = node_objects_get(n);
    struct bytes bucket;
    struct node_get *g = NULL;
    if (o->gets_count < node_options_get(n)->limits.object_reads) {
        g = alloc_get_zeroed(&o->alloc, 1, sizeof *g);
    }
    int err = g == NULL ? ERR_BUSY : node_get_params(req, &bucket, g);
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        alloc_put(&o->alloc, g, sizeof *g);
        return;
    }
    g->o = o;
    g->client = client;
    g->lane = NODE_LANE_FOREGROUND;
    g->range.group = node_group_of(n, bucket);
    g->range.deadline_us = node_request_deadline(n, req);
    o->gets_count++;
    node_get_begin(g);
}

int node_get_start(struct node_objects *o, const struct node_get_spec *spec, void *ctx,
                   node_get_fn *done)
{
    struct node_get *g = alloc_get_zeroed(&o->alloc, 1, sizeof *g);
    if (g == NULL) {
        return ERR_NO_MEMORY;
    }
    g->o = o;
    g->ctx = ctx;
    g->done = done;
    g->lane = spec->lane;
    g->range.group = spec->group;
    g->range.version = spec->version;
    g->range.offset = spec->offset;
    g->range.length = spec->length;
    g->range.deadline_us = spec->deadline_us;
    node_get_begin(g);
    return 0;
}

void node_get_free_all(struct node_objects *o)
{
    while (!node_work_empty(&o->gets_waiting)) {
        node_get_free(node_get_of(o->gets_waiting.next));
    }
    while (!node_work_empty(&o->gets)) {
        node_get_free(node_get_of(o->gets.next));
    }
}
