/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Single cells: the calls between nodes that write, read and check them, both sides. A write is
 * answered when it is durable. What other nodes may have in work here is bounded in bytes; beyond
 * it they are told BUSY.
 */
#include "server/node/objects_internal.h"

void node_cell_ref_put(struct buf *b, const struct node_cell_ref *ref)
{
    (void)buf_put_u8(b, NODE_OBJECT_FORMAT);
    (void)node_put_version(b, ref->version);
    (void)buf_put_u32(b, ref->group);
    (void)buf_put_u32(b, ref->cell);
    (void)buf_put_u8(b, ref->shard);
}

void node_cell_ref_take(struct bytes_reader *r, struct node_cell_ref *ref)
{
    uint8_t format = bytes_take_u8(r);
    ref->version = node_take_version(r);
    ref->group = bytes_take_u32(r);
    ref->cell = bytes_take_u32(r);
    ref->shard = bytes_take_u8(r);
    r->failed |= format != NODE_OBJECT_FORMAT || ref->shard >= NODE_OBJECT_SHARDS_MAX;
}

struct store_cell_id node_cell_id(const struct node_cell_ref *ref)
{
    return (struct store_cell_id){.extent_grant = ref->version.grant,
                                  .extent_counter = ref->version.counter,
                                  .cell = ref->cell,
                                  .shard = ref->shard};
}

/* ---- write ---------------------------------------------------------------------------------- */

int node_shard_write(struct node_objects *o, uint32_t peer, const struct node_cell_write *w,
                     void *ctx, node_done_fn *done)
{
    struct buf head;
    struct bytes data = node_blob_bytes(w->data);
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    node_cell_ref_put(&head, &w->ref);
    (void)buf_put_u32(&head, w->leaves_count);
    (void)buf_append(&head, w->leaves, (size_t)w->leaves_count * COMPUTE_HASH_BYTES);
    (void)buf_put_u32(&head, (uint32_t)data.size);
    int err = head.err;
    if (err == 0) {
        node_call(o->n, peer, NODE_CALL_SHARD_WRITE, buf_view(&head), w->data, w->deadline_us, ctx,
                  done);
    }
    buf_release(&head);
    return err;
}

struct node_write_task {
    struct node_task task;
    struct node_request request;
    struct store_cell cell;
    struct node_blob *held; /* has the cell's bytes; NULL: they are in data */
    size_t bytes;           /* of this struct */
    size_t cell_bytes;      /* with leaves */
    uint8_t data[];
};

static void node_write_run(struct node_task *task, struct node_env *env)
{
    struct node_write_task *w = (struct node_write_task *)(void *)task;
    task->job.code = store_segments_put(env->segments, &w->cell);
}

static void node_write_free(struct node_objects *o, struct node_write_task *w)
{
    node_blob_release(o->n, w->held);
    alloc_put(&o->alloc, w, w->bytes);
}

static void node_write_done(struct node *n, struct node_task *task)
{
    struct node_write_task *w = (struct node_write_task *)(void *)task;
    struct node_objects *o = node_objects_get(n);
    ASSERT(o->shard_write_bytes >= w->cell_bytes);
    o->shard_write_bytes -= w->cell_bytes;
    node_answer(n, w->request, task->job.code, bytes_of(NULL, 0), NULL);
    node_write_free(o, w);
}

/* returns: 0 or why the request cannot be. */
static int node_write_parse(struct bytes body, struct node_cell_ref *ref, struct bytes *leaves,
                            struct bytes *data)
{
    struct bytes_reader r = bytes_reader_of(body);
    node_cell_ref_take(&r, ref);
    uint32_t leaves_count = bytes_take_u32(&r);
    if (leaves_count > STORE_SEG_LEAVES_MAX) {
        return ERR_INVALID;
    }
    *leaves = bytes_take(&r, (size_t)leaves_count * COMPUTE_HASH_BYTES);
    *data = bytes_take_bytes(&r, STORE_SEG_CELL_BYTES_MAX);
    bool counts = leaves_count == 0 || leaves_count == compute_leaves_of(data->size);
    return bytes_reader_ended(&r) && counts && data->size > 0 ? 0 : ERR_INVALID;
}

static void node_write_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_objects *o = node_objects_get(n);
    struct node_cell_ref ref;
    struct bytes leaves;
    struct bytes data;
    int err = node_write_parse(body, &ref, &leaves, &data);
    const size_t cell_bytes = sizeof(struct node_write_task) + leaves.size + data.size;
    if (err == 0 && o->shard_write_bytes + cell_bytes > NODE_SHARD_BYTES_OUT_MAX) {
        err = ERR_BUSY;
    }
    struct node_blob *held = err == 0 ? node_blob_held(node_frame(n), data) : NULL;
    const size_t bytes = held != NULL ? sizeof(struct node_write_task) : cell_bytes;
    struct node_write_task *w = err == 0 ? alloc_get(&o->alloc, bytes) : NULL;
    if (w == NULL) {
        node_blob_release(n, held);
        node_answer(n, request, err != 0 ? err : ERR_NO_MEMORY, bytes_of(NULL, 0), NULL);
        return;
    }
    *w = (struct node_write_task){.task = {.run = node_write_run, .done = node_write_done},
                                  .request = request,
                                  .held = held,
                                  .bytes = bytes,
                                  .cell_bytes = cell_bytes};
    if (held == NULL && leaves.size > 0) {
        memcpy(w->data, leaves.data, leaves.size);
    }
    if (held == NULL) {
        memcpy(w->data + leaves.size, data.data, data.size);
    }
    w->cell = (struct store_cell){.id = node_cell_id(&ref),
                                  .group = ref.group,
                                  .bytes = (uint32_t)data.size,
                                  .leaves_count = (uint32_t)(leaves.size / COMPUTE_HASH_BYTES),
                                  .leaves = held != NULL ? leaves.data : w->data,
                                  .data = held != NULL ? data.data : w->data + leaves.size};
    node_surplus_touch(o, ref.version);
    err = node_task_start(n, &w->task, NODE_LANE_SHARD);
    if (err != 0) {
        node_answer(n, request, err, bytes_of(NULL, 0), NULL);
        node_write_free(o, w);
        return;
    }
    o->shard_write_bytes += cell_bytes;
}

/* ---- read ----------------------------------------------------------------------------------- */

int node_shard_read(struct node_objects *o, uint32_t peer, const struct node_cell_read *r,
                    void *ctx, node_done_fn *done)
{
    struct buf head;
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    node_cell_ref_put(&head, &r->ref);
    (void)buf_put_u32(&head, r->offset);
    (void)buf_put_u32(&head, r->bytes);
    int err = head.err;
    if (err == 0) {
        node_call(o->n, peer, NODE_CALL_SHARD_READ, buf_view(&head), NULL, r->deadline_us, ctx,
                  done);
    }
    buf_release(&head);
    return err;
}

int node_shard_read_reply(struct bytes reply, struct node_cell_data *out)
{
    struct bytes_reader r = bytes_reader_of(reply);
    out->cell_bytes = bytes_take_u32(&r);
    out->leaves_count = bytes_take_u32(&r);
    if (out->leaves_count > STORE_SEG_LEAVES_MAX) {
        return ERR_CORRUPT;
    }
    out->leaves = bytes_take(&r, (size_t)out->leaves_count * COMPUTE_HASH_BYTES);
    out->data = bytes_take_bytes(&r, STORE_SEG_CELL_BYTES_MAX);
    return bytes_reader_ended(&r) ? 0 : ERR_CORRUPT;
}

struct node_read_task {
    struct node_task task;
    struct node_request request;
    struct store_cell_id id;
    uint32_t offset;
    uint32_t bytes;
    struct node_blob *blob; /* NULL: info only */
    uint8_t *into;
    struct store_cell_info info;
};

static void node_read_run(struct node_task *task, struct node_env *env)
{
    struct node_read_task *t = (struct node_read_task *)(void *)task;
    task->job.code =
        store_segments_get(env->segments, &t->id, t->offset, t->bytes, t->into, &t->info);
}

static void node_read_done(struct node *n, struct node_task *task)
{
    struct node_read_task *t = (struct node_read_task *)(void *)task;
    struct node_objects *o = node_objects_get(n);
    struct buf head;
    int code = task->job.code;
    o->shard_read_bytes -= t->bytes;
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    if (code == 0) {
        (void)buf_put_u32(&head, t->info.bytes);
        (void)buf_put_u32(&head, t->info.leaves_count);
        (void)buf_append(&head, t->info.leaves, (size_t)t->info.leaves_count * COMPUTE_HASH_BYTES);
        (void)buf_put_u32(&head, t->bytes);
        code = head.err;
    }
    if (code == 0 && t->blob != NULL && t->bytes == t->info.bytes) {
        node_blob_crc_set(t->blob, t->info.crc);
    }
    if (code == 0) {
        node_answer(n, t->request, 0, buf_view(&head), t->blob);
    } else {
        node_answer(n, t->request, code, bytes_of(NULL, 0), NULL);
    }
    buf_release(&head);
    if (t->blob != NULL) {
        node_blob_release(n, t->blob);
    }
    alloc_put(&o->alloc, t, sizeof *t);
}

static int node_read_begin(struct node_objects *o, struct node_read_task *t)
{
    if (t->bytes > 0) {
        t->blob = node_blob_new(o->n, t->bytes);
        if (t->blob == NULL) {
            return ERR_NO_MEMORY;
        }
        t->into = node_blob_data(t->blob);
    }
    int err = node_task_start(o->n, &t->task, NODE_LANE_READ);
    if (err != 0 && t->blob != NULL) {
        node_blob_release(o->n, t->blob);
    }
    return err;
}

static void node_read_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_objects *o = node_objects_get(n);
    struct bytes_reader r = bytes_reader_of(body);
    struct node_cell_ref ref;
    node_cell_ref_take(&r, &ref);
    uint32_t offset = bytes_take_u32(&r);
    uint32_t bytes = bytes_take_u32(&r);
    int err = bytes_reader_ended(&r) && bytes <= STORE_SEG_CELL_BYTES_MAX ? 0 : ERR_INVALID;
    if (err == 0 && o->shard_read_bytes + bytes > NODE_SHARD_BYTES_OUT_MAX) {
        err = ERR_BUSY;
    }
    struct node_read_task *t = err == 0 ? alloc_get_zeroed(&o->alloc, 1, sizeof *t) : NULL;
    if (t == NULL) {
        node_answer(n, request, err != 0 ? err : ERR_NO_MEMORY, bytes_of(NULL, 0), NULL);
        return;
    }
    t->task.run = node_read_run;
    t->task.done = node_read_done;
    t->request = request;
    t->id = node_cell_id(&ref);
    t->offset = offset;
    t->bytes = bytes;
    err = node_read_begin(o, t);
    if (err != 0) {
        node_answer(n, request, err, bytes_of(NULL, 0), NULL);
        alloc_put(&o->alloc, t, sizeof *t);
        return;
    }
    o->shard_read_bytes += bytes;
}

/* ---- check ---------------------------------------------------------------------------------- */

int node_shard_check(struct node_objects *o, uint32_t peer, const struct node_cell_check *c,
                     void *ctx, node_done_fn *done)
{
    struct buf head;
    ASSERT(c->count > 0 && c->count <= NODE_CHECK_CELLS_MAX);
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    node_cell_ref_put(&head, &c->ref);
    (void)buf_put_u32(&head, c->count);
    (void)buf_put_u8(&head, c->full);
    int err = head.err;
    if (err == 0) {
        node_call(o->n, peer, NODE_CALL_SHARD_CHECK, buf_view(&head), NULL, c->deadline_us, ctx,
                  done);
    }
    buf_release(&head);
    return err;
}

#define CHECK_ROOT 1u
#define CHECK_FINGER 2u

/* Takes 32 bytes. */
static void node_check_take(struct bytes_reader *r, uint8_t *into)
{
    struct bytes raw = bytes_take(r, MERKLE_HASH_BYTES);
    if (raw.size == MERKLE_HASH_BYTES) {
        memcpy(into, raw.data, raw.size);
    }
}

bool node_shard_check_next(struct bytes_reader *r, struct node_check_result *out)
{
    if (r->left == 0) {
        return false;
    }
    out->code = (int32_t)bytes_take_u32(r);
    out->bytes = bytes_take_u32(r);
    const uint8_t has = bytes_take_u8(r);
    out->has_root = (has & CHECK_ROOT) != 0;
    out->has_finger = (has & CHECK_FINGER) != 0;
    r->failed |= has > (CHECK_ROOT | CHECK_FINGER);
    if (out->has_root) {
        node_check_take(r, out->root);
    }
    if (out->has_finger) {
        node_check_take(r, out->finger.bytes);
    }
    return !r->failed;
}

struct node_check_task {
    struct node_task task;
    struct node_request request;
    struct store_cell_id id;
    uint32_t count;
    bool full;
    struct node_check_result results[NODE_CHECK_CELLS_MAX];
    struct store_cell_info info;
    uint8_t leaves[STORE_SEG_LEAVES_MAX * COMPUTE_HASH_BYTES];
};

/* returns: whether the leaves are those that lie with the cell. */
static bool node_check_fits(void *ctx)
{
    const struct node_check_task *t = ctx;
    const size_t bytes = (size_t)t->info.leaves_count * COMPUTE_HASH_BYTES;
    return t->info.leaves_count == compute_leaves_of(t->info.bytes) &&
           memcmp(t->info.leaves, t->leaves, bytes) == 0;
}

/* buffer: room for a cell. */
static void node_check_cell(struct node_check_task *t, uint32_t i, uint8_t *buffer,
                            struct node_env *env)
{
    struct node_check_result *result = &t->results[i];
    struct store_cell_id id = t->id;
    id.cell += i;
    result->code = store_segments_get(env->segments, &id, 0, 0, NULL, &t->info);
    if (result->code != 0 || !t->full) {
        return;
    }
    result->bytes = t->info.bytes;
    result->code = store_segments_get(env->segments, &id, 0, t->info.bytes, buffer, &t->info);
    if (result->code != 0) {
        return;
    }
    if (t->info.leaves_count == 0) {
        erasure_finger_of(bytes_of(buffer, t->info.bytes), &result->finger);
        result->has_finger = true;
        return;
    }
    const struct compute_leaves run = {buffer, t->info.bytes, t->leaves};
    result->code = node_leaves_check(env, &run, t, node_check_fits) ? 0 : ERR_CORRUPT;
    merkle_root_of(t->leaves, compute_leaves_of(t->info.bytes), result->root);
    result->has_root = true;
}

static void node_check_run(struct node_task *task, struct node_env *env)
{
    struct node_check_task *t = (struct node_check_task *)(void *)task;
    uint8_t *buffer = alloc_get(&env->alloc, STORE_SEG_CELL_BYTES_MAX);
    if (buffer == NULL) {
        task->job.code = ERR_NO_MEMORY;
        return;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        node_check_cell(t, i, buffer, env);
    }
    alloc_put(&env->alloc, buffer, STORE_SEG_CELL_BYTES_MAX);
}

static void node_check_done(struct node *n, struct node_task *task)
{
    struct node_check_task *t = (struct node_check_task *)(void *)task;
    struct node_objects *o = node_objects_get(n);
    struct buf head;
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    for (uint32_t i = 0; i < t->count && task->job.code == 0; i++) {
        const struct node_check_result *result = &t->results[i];
        (void)buf_put_u32(&head, (uint32_t)result->code);
        (void)buf_put_u32(&head, result->bytes);
        (void)buf_put_u8(&head, (uint8_t)((result->has_root ? CHECK_ROOT : 0) |
                                          (result->has_finger ? CHECK_FINGER : 0)));
        if (result->has_root) {
            (void)buf_append(&head, result->root, sizeof result->root);
        }
        if (result->has_finger) {
            (void)buf_append(&head, result->finger.bytes, sizeof result->finger);
        }
    }
    int code = task->job.code != 0 ? task->job.code : head.err;
    node_answer(n, t->request, code, code == 0 ? buf_view(&head) : bytes_of(NULL, 0), NULL);
    buf_release(&head);
    alloc_put(&o->alloc, t, sizeof *t);
}

static void node_check_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_objects *o = node_objects_get(n);
    struct bytes_reader r = bytes_reader_of(body);
    struct node_cell_ref ref;
    node_cell_ref_take(&r, &ref);
    uint32_t count = bytes_take_u32(&r);
    bool full = bytes_take_u8(&r) != 0;
    bool sound = bytes_reader_ended(&r) && count > 0 && count <= NODE_CHECK_CELLS_MAX &&
                 count - 1 <= UINT32_MAX - ref.cell;
    struct node_check_task *t = sound ? alloc_get_zeroed(&o->alloc, 1, sizeof *t) : NULL;
    if (t == NULL) {
        node_answer(n, request, sound ? ERR_NO_MEMORY : ERR_INVALID, bytes_of(NULL, 0), NULL);
        return;
    }
    t->task.run = node_check_run;
    t->task.done = node_check_done;
    t->request = request;
    t->id = node_cell_id(&ref);
    t->count = count;
    t->full = full;
    int err = node_task_start(n, &t->task, NODE_LANE_REPAIR);
    if (err != 0) {
        node_answer(n, request, err, bytes_of(NULL, 0), NULL);
        alloc_put(&o->alloc, t, sizeof *t);
    }
}

static void node_hint_serve(struct node *n, struct node_request request, struct bytes body)
{
    (void)body;
    node_answer(n, request, 0, bytes_of(NULL, 0), NULL);
    node_repair_kick(node_objects_get(n));
}

static void node_surplus_hinted(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)ctx;
    (void)code;
    (void)reply;
}

void node_surplus_hint(struct node_objects *o, uint32_t peer, const struct node_cell_ref *shard,
                       uint32_t extent)
{
    struct buf head;
    struct node_cell_ref ref = *shard;
    if (peer == node_self(o->n)) {
        node_surplus_add(o, shard, extent);
        return;
    }
    ref.cell = extent;
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    node_cell_ref_put(&head, &ref);
    if (head.err == 0 && node_peer_is_up(o->n, peer)) {
        node_call(o->n, peer, NODE_CALL_SHARD_SURPLUS, buf_view(&head), NULL,
                  node_objects_patience(o), NULL, node_surplus_hinted);
    }
    buf_release(&head);
}

static void node_surplus_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct node_cell_ref ref;
    node_cell_ref_take(&r, &ref);
    bool sound = bytes_reader_ended(&r) && ref.group != 0;
    if (sound) {
        node_surplus_add(node_objects_get(n), &ref, ref.cell);
    }
    node_answer(n, request, sound ? 0 : ERR_INVALID, bytes_of(NULL, 0), NULL);
}

const struct node_method node_object_methods[] = {
    {NODE_CALL_SHARD_WRITE, node_write_serve},     {NODE_CALL_SHARD_READ, node_read_serve},
    {NODE_CALL_SHARD_CHECK, node_check_serve},     {NODE_CALL_REPAIR_HINT, node_hint_serve},
    {NODE_CALL_SHARD_SURPLUS, node_surplus_serve}, {NODE_CALL_RUN, node_run_serve},
    {NODE_CALL_RUN_LOOK, node_run_look_serve},     {NODE_CALL_DERIVE, node_derive_serve},
    {NODE_CALL_PARITY, node_parity_serve},         {0, NULL},
};
