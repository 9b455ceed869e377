/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Cells that follow from other cells, at the nodes that hold them (docs/adr/0034), and the calls
 * between nodes that ask for them: one makes a data cell from the input's (DERIVE), one the parity
 * of an extent whose data cells are there (PARITY). Who asks for what is put_derive.c's.
 *
 *   read the input's cell, scan it, hash (job) -> write the new one -> its root
 */
#include "compute/carry.h"
#include "server/node/objects_internal.h"

#define NODE_DERIVE_BYTES_OUT_MAX (64u << 20)
#define NODE_DERIVE_MEMORY 4u /* times a cell: read, its values, their results, the new cell */
#define NODE_DERIVE_TIME_MAX_US UINT64_C(60000000) /* for another node */

struct node_derive {
    struct node_task task;
    struct node_objects *o;
    struct node_derive_spec spec;
    void *ctx;
    node_derive_fn *done;
    struct node_blob *out;
    uint8_t *leaves;
    uint8_t root[MERKLE_HASH_BYTES];
    uint8_t next[COMPUTE_CARRY_BYTES_MAX];
    size_t next_bytes;
    uint8_t text[]; /* program, then carry */
};

static uint32_t node_derive_leaves(const struct node_derive *d)
{
    return (uint32_t)compute_leaves_of(d->spec.bytes);
}

static void node_derive_free(struct node_derive *d)
{
    struct node_objects *o = d->o;
    const size_t bytes = sizeof *d + d->spec.program.size + d->spec.carry.size;
    if (d->out != NULL) {
        node_blob_release(o->n, d->out);
    }
    if (d->spec.data != NULL) {
        node_blob_release(o->n, d->spec.data);
    }
    alloc_put(&o->alloc, d->leaves, (size_t)node_derive_leaves(d) * COMPUTE_HASH_BYTES);
    alloc_put(&o->alloc, d, bytes);
}

static void node_derive_end(struct node_derive *d, int code)
{
    const struct node_derived out = {.root = d->root, .carry = bytes_of(d->next, d->next_bytes)};
    d->o->derive_bytes -= (uint64_t)d->spec.bytes * NODE_DERIVE_MEMORY;
    d->done(d->o->n, d->ctx, code, &out);
    node_derive_free(d);
}

/* ---- on a worker ---------------------------------------------------------------------------- */

static int node_derive_scan(struct node_derive *d, const struct node_env *env, struct bytes in)
{
    const struct alloc *heap = &env->alloc;
    struct compute_program *p = NULL;
    struct buf next;
    const struct compute_carry_part part = {.from = d->spec.from,
                                            .carry = d->spec.carry,
                                            .in = in,
                                            .out = node_blob_data(d->out),
                                            .whole = env->whole};
    TRY(compute_program_new(&p, heap, d->spec.program, NULL));
    buf_init(&next, heap, sizeof d->next);
    int err = compute_carry_has(p) ? compute_carry_scan(p, heap, &part, &next) : ERR_INVALID;
    if (err == ERR_RANGE || err == ERR_CORRUPT || err == ERR_NOT_FOUND) {
        err = ERR_INVALID; /* of the carry or the part: only a read says that the cell is damaged */
    }
    if (err == 0) {
        memcpy(d->next, next.data, next.size);
        d->next_bytes = next.size;
    }
    buf_release(&next);
    compute_program_free(p);
    return err;
}

static int node_derive_read(struct node_derive *d, struct node_env *env)
{
    const struct store_cell_id id = node_cell_id(&d->spec.in);
    const uint32_t bytes = d->spec.bytes;
    struct store_cell_info info;
    uint8_t *in = alloc_get(&env->alloc, bytes);
    if (in == NULL) {
        return ERR_NO_MEMORY;
    }
    int err = store_segments_get(env->segments, &id, 0, bytes, in, &info);
    err = err == 0 && info.bytes != bytes ? ERR_RANGE : err;
    err = err != 0 ? err : node_derive_scan(d, env, bytes_of(in, bytes));
    alloc_put(&env->alloc, in, bytes);
    return err;
}

static void node_derive_run(struct node_task *task, struct node_env *env)
{
    struct node_derive *d = (struct node_derive *)(void *)task;
    int err = d->spec.data != NULL ? node_derive_scan(d, env, node_blob_bytes(d->spec.data))
                                   : node_derive_read(d, env);
    if (err == 0) {
        node_leaves_of(env->compute, node_blob_data(d->out), d->spec.bytes, d->leaves, d->root);
    }
    task->job.code = err;
}

/* ---- on the loop ---------------------------------------------------------------------------- */

static void node_derive_written(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    node_derive_end(ctx, code);
}

static void node_derive_made(struct node *n, struct node_task *task)
{
    (void)n;
    struct node_derive *d = (struct node_derive *)(void *)task;
    const struct node_cell_write w = {.ref = d->spec.out,
                                      .leaves_count = node_derive_leaves(d),
                                      .leaves = d->leaves,
                                      .data = d->out,
                                      .deadline_us = d->spec.deadline_us};
    int err = task->job.code;
    err = err != 0 ? err : node_shard_write(d->o, d->spec.target, &w, d, node_derive_written);
    if (err != 0) {
        node_derive_end(d, err);
    }
}

static struct node_derive *node_derive_new(struct node_objects *o,
                                           const struct node_derive_spec *spec)
{
    const size_t bytes = sizeof(struct node_derive) + spec->program.size + spec->carry.size;
    struct node_derive *d = alloc_get_zeroed(&o->alloc, 1, bytes);
    if (d == NULL) {
        return NULL;
    }
    d->o = o;
    d->spec = *spec;
    if (spec->program.size > 0) {
        memcpy(d->text, spec->program.data, spec->program.size);
    }
    if (spec->carry.size > 0) {
        memcpy(d->text + spec->program.size, spec->carry.data, spec->carry.size);
    }
    d->spec.program = bytes_of(d->text, spec->program.size);
    d->spec.carry = bytes_of(d->text + spec->program.size, spec->carry.size);
    if (spec->data != NULL) {
        node_blob_retain(spec->data);
    }
    d->leaves = alloc_get(&o->alloc, (size_t)node_derive_leaves(d) * COMPUTE_HASH_BYTES);
    d->out = node_blob_new(o->n, spec->bytes);
    d->task.run = node_derive_run;
    d->task.done = node_derive_made;
    return d;
}

int node_derive_start(struct node_objects *o, const struct node_derive_spec *spec, void *ctx,
                      node_derive_fn *done)
{
    const uint64_t bytes = (uint64_t)spec->bytes * NODE_DERIVE_MEMORY;
    ASSERT(spec->bytes > 0 && spec->bytes <= STORE_SEG_CELL_BYTES_MAX);
    if (o->derive_bytes + bytes > NODE_DERIVE_BYTES_OUT_MAX) {
        return ERR_BUSY;
    }
    if (spec->program.size > WIRE_PROGRAM_BYTES_MAX || spec->carry.size > COMPUTE_CARRY_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    struct node_derive *d = node_derive_new(o, spec);
    if (d == NULL) {
        return ERR_NO_MEMORY;
    }
    d->ctx = ctx;
    d->done = done;
    int err = d->leaves == NULL || d->out == NULL
                  ? ERR_NO_MEMORY
                  : node_task_start(o->n, &d->task, NODE_LANE_COMPUTE);
    if (err != 0) {
        node_derive_free(d);
        return err;
    }
    o->derive_bytes += bytes;
    return 0;
}

/* ---- between nodes: a data cell ------------------------------------------------------------- */

int node_derive_ask(struct node_objects *o, uint32_t peer, const struct node_derive_spec *spec,
                    void *ctx, node_done_fn *done)
{
    const uint64_t now = node_now(o->n);
    struct buf head;
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    node_cell_ref_put(&head, &spec->in);
    node_cell_ref_put(&head, &spec->out);
    (void)buf_put_u32(&head, spec->bytes);
    (void)buf_put_u64(&head, spec->from);
    (void)buf_put_u64(&head, spec->deadline_us > now ? spec->deadline_us - now : 0);
    (void)buf_put_bytes(&head, spec->program);
    (void)buf_put_bytes(&head, spec->carry);
    int err = head.err;
    if (err == 0) {
        node_call(o->n, peer, NODE_CALL_DERIVE, buf_view(&head), NULL, spec->deadline_us, ctx,
                  done);
    }
    buf_release(&head);
    return err;
}

int node_derive_reply(struct bytes reply, struct node_derived *out)
{
    struct bytes_reader r = bytes_reader_of(reply);
    out->root = bytes_take(&r, MERKLE_HASH_BYTES).data;
    out->carry = bytes_of(r.at, r.left);
    return r.failed || out->carry.size > COMPUTE_CARRY_BYTES_MAX ? ERR_CORRUPT : 0;
}

struct node_derive_served {
    struct node_objects *o;
    struct node_request request;
};

static void node_derive_serve_done(struct node *n, void *ctx, int code,
                                   const struct node_derived *d)
{
    struct node_derive_served *s = ctx;
    struct buf head;
    buf_init(&head, &s->o->alloc, MERKLE_HASH_BYTES + COMPUTE_CARRY_BYTES_MAX);
    (void)buf_append(&head, d->root, MERKLE_HASH_BYTES);
    (void)buf_append(&head, d->carry.data, d->carry.size);
    code = code != 0 ? code : head.err;
    node_answer(n, s->request, code, code == 0 ? buf_view(&head) : bytes_of(NULL, 0), NULL);
    buf_release(&head);
    alloc_put(&s->o->alloc, s, sizeof *s);
}

static bool node_derive_take(struct bytes body, struct node_derive_spec *spec, uint64_t *left_us)
{
    struct bytes_reader r = bytes_reader_of(body);
    *spec = (struct node_derive_spec){.data = NULL};
    node_cell_ref_take(&r, &spec->in);
    node_cell_ref_take(&r, &spec->out);
    spec->bytes = bytes_take_u32(&r);
    spec->from = bytes_take_u64(&r);
    *left_us = bytes_take_u64(&r);
    spec->program = bytes_take_bytes(&r, WIRE_PROGRAM_BYTES_MAX);
    spec->carry = bytes_take_bytes(&r, COMPUTE_CARRY_BYTES_MAX);
    return bytes_reader_ended(&r) && spec->bytes > 0 && spec->bytes <= STORE_SEG_CELL_BYTES_MAX;
}

void node_derive_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_objects *o = node_objects_get(n);
    struct node_derive_spec spec;
    uint64_t left_us = 0;
    int err = node_derive_take(body, &spec, &left_us) ? 0 : ERR_INVALID;
    struct node_derive_served *s = err == 0 ? alloc_get(&o->alloc, sizeof *s) : NULL;
    if (s == NULL) {
        node_answer(n, request, err != 0 ? err : ERR_NO_MEMORY, bytes_of(NULL, 0), NULL);
        return;
    }
    *s = (struct node_derive_served){.o = o, .request = request};
    spec.target = node_self(n);
    spec.deadline_us = node_now(n) + NUM_MIN(left_us, NODE_DERIVE_TIME_MAX_US);
    err = node_derive_start(o, &spec, s, node_derive_serve_done);
    if (err != 0) {
        alloc_put(&o->alloc, s, sizeof *s);
        node_answer(n, request, err, bytes_of(NULL, 0), NULL);
    }
}

/* ---- between nodes: the parity of an extent ------------------------------------------------- */

int node_parity_ask(struct node_objects *o, uint32_t peer, const struct node_parity_spec *spec,
                    void *ctx, node_done_fn *done)
{
    struct buf head;
    struct buf record;
    buf_init(&head, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    buf_init(&record, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    int err = node_extent_encode(spec->e, &record);
    (void)node_put_version(&head, spec->version);
    (void)buf_put_u32(&head, spec->group);
    (void)buf_put_u32(&head, spec->extent);
    (void)node_put_shape(&head, spec->shape);
    (void)buf_put_u64(&head, spec->size);
    (void)buf_put_u32(&head, spec->wanted);
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        (void)((spec->wanted >> s & 1u) != 0 ? buf_put_u32(&head, spec->target[s]) : 0);
    }
    (void)buf_put_bytes(&head, buf_view(&record));
    err = err != 0 ? err : head.err;
    if (err == 0) {
        node_call(o->n, peer, NODE_CALL_PARITY, buf_view(&head), NULL, spec->deadline_us, ctx,
                  done);
    }
    buf_release(&record);
    buf_release(&head);
    return err;
}

int node_parity_reply(struct bytes reply, uint32_t *failed, struct bytes *fingers)
{
    struct bytes_reader r = bytes_reader_of(reply);
    *failed = bytes_take_u32(&r);
    *fingers = bytes_take_bytes(&r, NODE_OBJECT_ROOTS_BYTES_MAX);
    return bytes_reader_ended(&r) ? 0 : ERR_CORRUPT;
}

struct node_parity {
    struct node_work link;
    struct node_objects *o;
    struct node_request request;
    struct node_fingers fingers; /* of the data cells */
};

static void node_parity_free(struct node_parity *y)
{
    struct node_objects *o = y->o;
    node_work_remove(&y->link);
    alloc_put(&o->alloc, y->fingers.data, y->fingers.bytes);
    o->parities_count--;
    alloc_put(&o->alloc, y, sizeof *y);
}

void node_parities_free_all(struct node_objects *o)
{
    while (!node_work_empty(&o->parities)) {
        node_parity_free((struct node_parity *)(void *)o->parities.next);
    }
}

static void node_parity_done(struct node *n, void *ctx, int code, uint32_t failed)
{
    struct node_parity *y = ctx;
    const bool whole = code == 0 && y->fingers.whole;
    struct buf head;
    buf_init(&head, &y->o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    (void)buf_put_u32(&head, code == 0 ? 0 : failed); /* others may be there in part */
    (void)buf_put_bytes(&head, bytes_of(y->fingers.data, whole ? y->fingers.bytes : 0));
    node_answer(n, y->request, head.err, head.err == 0 ? buf_view(&head) : bytes_of(NULL, 0), NULL);
    buf_release(&head);
    node_parity_free(y);
}

/* returns: 0 and the extent, or what is wrong. */
static int node_parity_take(struct node_objects *o, struct bytes body,
                            struct node_rebuild_spec *spec)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct node_extent e;
    const struct node_version version = node_take_version(&r);
    const uint32_t group = bytes_take_u32(&r);
    const uint32_t extent = bytes_take_u32(&r);
    const struct node_shape shape = node_take_shape(&r);
    const uint64_t size = bytes_take_u64(&r);
    *spec = (struct node_rebuild_spec){.wanted = bytes_take_u32(&r), .lane = NODE_LANE_COMPUTE};
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        spec->target[s] = (spec->wanted >> s & 1u) != 0 ? bytes_take_u32(&r) : 0;
    }
    const struct bytes record = bytes_take_bytes(&r, NODE_OBJECT_BODY_BYTES_MAX);
    if (!bytes_reader_ended(&r) || node_extent_decode(record, &e) != 0 ||
        erasure_scheme_check(e.scheme) != 0 || e.roots.size == 0) {
        return ERR_INVALID;
    }
    const uint32_t data = (1u << (e.scheme.k - 1) << 1) - 1;
    if (spec->wanted == 0 || (spec->wanted & data) != 0 ||
        (spec->wanted & ~node_extent_all(e.scheme)) != 0) {
        return ERR_INVALID;
    }
    spec->info = node_info_new(o, group, version, extent, &shape, size, &e);
    return spec->info == NULL ? ERR_NO_MEMORY : 0;
}

/* returns: NULL without memory. */
static struct node_parity *node_parity_new(struct node_objects *o, struct node_request request,
                                           struct node_rebuild_spec *spec)
{
    const size_t bytes = (size_t)spec->info->e.cells * ERASURE_FINGER_BYTES;
    struct node_parity *y = alloc_get_zeroed(&o->alloc, 1, sizeof *y);
    uint8_t *data = y == NULL ? NULL : alloc_get_zeroed(&o->alloc, bytes, 1);
    if (data == NULL) {
        alloc_put(&o->alloc, y, sizeof *y);
        return NULL;
    }
    *y =
        (struct node_parity){.o = o, .request = request, .fingers = {.bytes = bytes, .data = data}};
    spec->fingers = &y->fingers;
    node_work_add(&o->parities, &y->link);
    o->parities_count++;
    return y;
}

void node_parity_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct node_objects *o = node_objects_get(n);
    struct node_rebuild_spec spec = {.info = NULL};
    struct node_parity *y = NULL;
    int err = o->parities_count < NODE_PARITIES_MAX ? node_parity_take(o, body, &spec) : ERR_BUSY;
    if (err == 0) {
        y = node_parity_new(o, request, &spec);
        err = y == NULL ? ERR_NO_MEMORY : 0;
    }
    if (y != NULL) {
        err = node_rebuild_start(o, &spec, y, node_parity_done) == NULL ? ERR_NO_MEMORY : 0;
    }
    if (err != 0) {
        node_answer(n, request, err, bytes_of(NULL, 0), NULL);
    }
    if (err != 0 && y != NULL) {
        node_parity_free(y);
    }
    if (spec.info != NULL) { /* the rebuild has its own hold of it */
        node_info_release(spec.info);
    }
}
