/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * object.read: one range of one data cell, verified against the committed root before it is
 * answered, with the proof that lets the client verify it again. The holder is asked first; if it
 * is down, slow (by its own pace, from a bucket of tokens) or has it wrong, the cell is decoded
 * from others.
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
    unsigned refs;
    bool answered;
    bool gathering; /* begun, or waiting for memory */
    bool waiting;
    bool refreshed;
    uint64_t deadline_us;
    uint64_t sent_us;
    uint64_t reserved;
    uint32_t group;
    struct node_version version;
    uint64_t offset;
    uint64_t length;
    uint32_t extent; /* asked for */
    struct node_extent_info *info;
    struct erasure_place place;
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
    o->gets_count--;
    if (g->blob != NULL) {
        node_blob_release(o->n, g->blob);
    }
    if (g->info != NULL) {
        node_info_release(g->info);
    }
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
    if (!g->answered) {
        node_reply_error(g->o->n, g->client, code, NULL);
        node_get_settle(g);
    }
}

static void node_get_answer(struct node_get *g, struct node_blob *blob, uint32_t crc)
{
    struct node *n = g->o->n;
    struct buf head;
    if (g->answered) {
        return;
    }
    buf_init(&head, &g->o->alloc, 64u << 10);
    (void)wire_pack_map(&head, 4);
    (void)wire_pack_text(&head, WIRE_FIELD_OFFSET);
    (void)wire_pack_u64(&head,
                        g->offset / g->info->shape.cell_bytes * g->info->shape.cell_bytes + g->at);
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
    unsigned s = g->place.shard;
    o->get_bytes -= g->reserved;
    g->reserved = 0;
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
    } else if (code == ERR_LOST && g->refs == 1 && !g->answered && !g->refreshed) {
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
    const struct node_gather_spec spec = {.info = g->info,
                                          .stripe = g->place.stripe,
                                          .wanted = 1u << g->place.shard,
                                          .lane = NODE_LANE_FOREGROUND,
                                          .deadline_us = g->deadline_us};
    g->reserved = node_gather_bytes(g->info);
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
            o->get_bytes + node_gather_bytes(g->info) > NODE_GET_BYTES_OUT_MAX) {
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

static void node_get_run(struct node_task *task, struct node_env *env)
{
    struct node_get *g = (struct node_get *)(void *)task;
    uint8_t root[MERKLE_HASH_BYTES];
    const uint8_t *data = node_blob_data(g->blob);
    size_t at = g->at / COMPUTE_LEAF_BYTES * (size_t)COMPUTE_HASH_BYTES;
    const uint8_t *committed = node_info_root(g->info, g->place.stripe, g->place.shard);
    node_leaves_of(env->compute, data, g->bytes, g->leaves + at, root);
    merkle_root_of(g->leaves, g->leaves_count, root);
    g->wrong =
        committed == NULL || memcmp(root, committed, sizeof root) != 0 || node_get_prove(g) != 0;
    g->crc = crc_of(data, g->bytes);
}

static void node_get_verified(struct node *n, struct node_task *task)
{
    (void)n;
    struct node_get *g = (struct node_get *)(void *)task;
    if (task->job.code != 0) {
        node_get_fail(g, task->job.code);
    } else if (g->wrong) {
        node_info_damaged(g->info, g->place.shard);
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
    TRY(node_task_start(g->o->n, &g->task, NODE_LANE_FOREGROUND));
    g->refs++;
    return 0;
}

static void node_get_arrived(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_get *g = ctx;
    node_get_paced(g->o, g->info->e.holder[g->place.shard], node_now(n) - g->sent_us);
    if (g->answered || g->gathering) {
        node_get_release(g);
        return;
    }
    node_timer_cancel(n, &g->hedge);
    if (code == 0) {
        code = node_get_take(g, reply);
    }
    if (code == ERR_NOT_FOUND && !g->refreshed) {
        node_get_refresh(g); /* the version may be gone, or the shard elsewhere */
    } else if (code != 0) {
        if (code == ERR_NOT_FOUND || code == ERR_CORRUPT || code == ERR_RANGE) {
            node_info_damaged(g->info, g->place.shard);
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
    struct node_extent_info *info = g->info;
    uint32_t holder = info->e.holder[g->place.shard];
    const struct node_cell_read r = {.ref = {.version = g->version,
                                             .group = g->group,
                                             .cell = node_info_cell(info, g->place.stripe),
                                             .shard = g->place.shard},
                                     .offset = g->at,
                                     .bytes = g->bytes,
                                     .deadline_us = g->deadline_us};
    /* one in doubt is left aside while others may do; if they did not, it is asked all the same */
    bool choosy = info->shape.scheme.m > 0 && !g->refreshed;
    bool there = (info->e.durable >> g->place.shard & 1u) != 0 &&
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

/* ---- the extent ----------------------------------------------------------------------------- */

/* returns: 0 with the place and range within the cell, widened to whole leaves; or ERR_RANGE. */
static int node_get_locate(struct node_get *g, const struct erasure_layout *l)
{
    uint32_t in_cell = 0;
    if (g->length == 0 || !num_fits(g->offset, g->length, l->object_bytes)) {
        return ERR_RANGE;
    }
    TRY(erasure_locate(l, g->offset, &g->place, &in_cell));
    g->cell_bytes = erasure_cell_bytes(l, &g->place);
    if (!num_fits(in_cell, g->length, g->cell_bytes)) {
        return ERR_RANGE; /* goes over the cell's end */
    }
    g->at = in_cell / COMPUTE_LEAF_BYTES * COMPUTE_LEAF_BYTES;
    uint64_t end = num_round_up(in_cell + g->length, COMPUTE_LEAF_BYTES);
    g->bytes = (uint32_t)NUM_MIN(end, (uint64_t)g->cell_bytes) - g->at;
    return 0;
}

static void node_get_go(struct node_get *g)
{
    int err = node_get_locate(g, &g->info->layout);
    if (err != 0) {
        node_get_fail(g, err);
    } else if (g->info->extent != g->place.extent) {
        node_get_fail(g, ERR_CORRUPT);
    } else {
        node_get_direct(g);
    }
}

static int node_get_learn(struct node_get *g, struct bytes reply)
{
    struct node_extents_answer a;
    struct erasure_layout layout;
    struct bytes name;
    struct bytes value;
    struct node_version v;
    struct node_extent e;
    uint32_t extent = 0;
    TRY(node_extents_answer_of(reply, &a));
    if (!a.has_version || a.version.state != NODE_VERSION_LIVE) {
        return ERR_VERSION_GONE;
    }
    if (a.version.extents == 0) {
        return ERR_RANGE; /* its bytes came with its stat */
    }
    TRY(node_shape_layout(&a.version.shape, a.version.size, &layout));
    TRY(node_get_locate(g, &layout));
    if (g->place.extent != g->extent) {
        g->extent = (uint32_t)g->place.extent;
        return WIRE_MORE;
    }
    if (!node_answer_row(&a.rows, &name, &value) || !node_name_of_extent(name, &v, &extent) ||
        !node_version_equal(v, g->version) || extent != g->extent ||
        node_extent_decode(value, &e) != 0) {
        return ERR_CORRUPT;
    }
    g->info = node_info_new(g->o, g->group, v, extent, &a.version.shape, a.version.size, &e);
    if (g->info == NULL) {
        return ERR_NO_MEMORY;
    }
    node_info_cache(g->info);
    return 0;
}

static void node_get_ask(struct node_get *g);

static void node_get_learnt(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_get *g = ctx;
    if (code == 0) {
        code = node_get_learn(g, reply);
    }
    if (code == WIRE_MORE) {
        node_get_ask(g);
    } else if (code != 0) {
        node_get_fail(g, code);
    } else {
        node_get_go(g);
    }
    node_get_release(g);
}

static void node_get_ask(struct node_get *g)
{
    const struct node_object_ask ask = {
        .version = g->version, .from = g->extent, .limit = 1, .roots = true};
    g->refs++;
    int err = node_objects_ask(g->o, g->group, NODE_QUERY_OBJECT_EXTENTS, &ask, g->deadline_us, g,
                               node_get_learnt);
    if (err != 0) {
        node_get_fail(g, err);
        node_get_release(g);
    }
}

static void node_get_refresh(struct node_get *g)
{
    g->refreshed = true;
    node_info_forget(g->info);
    node_info_release(g->info);
    g->info = NULL;
    node_get_ask(g);
}

static int node_get_params(const struct wire_rpc *req, struct bytes *bucket, struct node_get *g)
{
    struct bytes name;
    uint64_t version = 0;
    TRY(wire_params_check(req, 5, 5));
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, bucket));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &name));
    TRY(wire_param_u64(req, 2, &version));
    TRY(wire_param_u64(req, 3, &g->offset));
    TRY(wire_param_u64(req, 4, &g->length));
    g->version = node_version_of_wire(version);
    return 0;
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
    g->refs = 1;
    g->deadline_us = node_request_deadline(n, req);
    g->group = node_group_of(n, bucket);
    node_work_add(&o->gets, &g->link);
    o->gets_count++;
    o->counters.gets++;
    /* any extent of the version tells the layout */
    for (struct node_work *w = o->infos.prev; w != &o->infos && g->info == NULL; w = w->prev) {
        struct node_extent_info *info = (struct node_extent_info *)(void *)w;
        if (node_version_equal(info->version, g->version) &&
            node_get_locate(g, &info->layout) == 0) {
            g->extent = (uint32_t)g->place.extent;
            g->info = node_info_find(o, g->version, g->extent);
            break;
        }
    }
    if (g->info != NULL) {
        node_info_retain(g->info);
        node_get_go(g);
    } else {
        node_get_ask(g);
    }
    node_get_release(g);
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
