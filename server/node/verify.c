/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * object.verify: some stripes of an object at a time, every holder reads its cells of them again,
 * checks the checksums, and data cells are compared with their committed roots, parity with its
 * fingerprint. A cell that is not where the manifest says, or wrong, is reported to the group too,
 * so it is repaired.
 *
 * The cursor is extent << 32 | stripe.
 */
#include "server/node/objects_internal.h"

#define NODE_VERIFY_STRIPES 16u

struct node_verify_call {
    struct node_verify *v;
    uint8_t shard;
};

struct node_verify {
    struct node_objects *o;
    struct node_client client;
    uint32_t group;
    uint64_t deadline_us;
    uint64_t cursor;
    struct node_extent_info *info;
    uint32_t stripe;
    uint32_t count;
    uint32_t extents;
    struct node_version version;
    unsigned calls;
    uint64_t checked;
    uint64_t missing;
    uint64_t damaged;
    struct node_verify_call call[NODE_OBJECT_SHARDS_MAX];
};

static void node_verify_free(struct node_verify *v)
{
    if (v->info != NULL) {
        node_info_release(v->info);
    }
    alloc_put(&v->o->alloc, v, sizeof *v);
}

static void node_verify_fail(struct node_verify *v, int code)
{
    node_reply_error(v->o->n, v->client, code, NULL);
    node_verify_free(v);
}

static void node_verify_answer(struct node_verify *v, bool more, uint64_t next)
{
    struct buf out;
    buf_init(&out, &v->o->alloc, 1024);
    (void)wire_pack_map(&out, 4);
    (void)wire_pack_text(&out, WIRE_FIELD_CHECKED);
    (void)wire_pack_u64(&out, v->checked);
    (void)wire_pack_text(&out, WIRE_FIELD_MISSING);
    (void)wire_pack_u64(&out, v->missing);
    (void)wire_pack_text(&out, WIRE_FIELD_DAMAGED);
    (void)wire_pack_u64(&out, v->damaged);
    (void)wire_pack_text(&out, WIRE_FIELD_NEXT);
    if (more) {
        (void)wire_pack_u64(&out, next);
    } else {
        (void)wire_pack_nil(&out);
    }
    if (out.err == 0) {
        node_reply_ok(v->o->n, v->client, buf_view(&out));
    } else {
        node_reply_error(v->o->n, v->client, out.err, NULL);
    }
    buf_release(&out);
    node_verify_free(v);
}

static void node_verify_end(struct node_verify *v)
{
    uint32_t stripe = v->stripe + v->count;
    uint32_t extent = v->info->extent;
    if (stripe >= v->info->e.stripes) {
        stripe = 0;
        extent++;
    }
    node_verify_answer(v, extent < v->extents, (uint64_t)extent << 32 | stripe);
}

/* ---- a shard's cells ------------------------------------------------------------------------ */

static uint64_t node_verify_cells(const struct node_verify *v, unsigned shard)
{
    uint64_t cells = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        cells += node_info_cell_bytes(v->info, v->stripe + i, (uint8_t)shard) > 0;
    }
    return cells;
}

static void node_verify_result(struct node_verify *v, unsigned shard, uint32_t stripe,
                               const struct node_check_result *result, bool *whole)
{
    uint32_t bytes = node_info_cell_bytes(v->info, stripe, (uint8_t)shard);
    if (bytes == 0) {
        return;
    }
    v->checked++;
    if (result->code == ERR_NOT_FOUND) {
        v->missing++;
        *whole = false;
    } else if (result->code != 0 || result->bytes != bytes) {
        v->damaged++;
        *whole = false;
    } else if (!node_info_same(v->info, stripe, (uint8_t)shard, result)) {
        node_info_wrong(v->info, stripe, (uint8_t)shard);
        v->damaged++;
        *whole = false;
    }
}

static void node_verify_checked(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_verify_call *call = ctx;
    struct node_verify *v = call->v;
    struct bytes_reader r = bytes_reader_of(reply);
    struct node_check_result result;
    bool whole = true;
    v->calls--;
    if (code != 0) { /* its holder cannot be asked */
        v->checked += node_verify_cells(v, call->shard);
        v->missing += node_verify_cells(v, call->shard);
    }
    for (uint32_t i = 0; code == 0 && node_shard_check_next(&r, &result); i++) {
        node_verify_result(v, call->shard, v->stripe + i, &result, &whole);
    }
    if (!whole) {
        node_info_damaged(v->info, call->shard);
    }
    if (v->calls == 0) {
        node_verify_end(v);
    }
}

static void node_verify_shards(struct node_verify *v)
{
    const struct node_extent *e = &v->info->e;
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    v->calls = 1; /* so that nothing below ends it */
    for (unsigned s = 0; s < shards; s++) {
        const struct node_cell_check c = {.ref = {.version = v->version,
                                                  .group = v->group,
                                                  .cell = node_info_cell(v->info, v->stripe),
                                                  .shard = (uint8_t)s},
                                          .count = v->count,
                                          .full = true,
                                          .deadline_us = v->deadline_us};
        v->call[s] = (struct node_verify_call){.v = v, .shard = (uint8_t)s};
        bool there = (e->durable >> s & 1u) != 0;
        if (there &&
            node_shard_check(v->o, e->holder[s], &c, &v->call[s], node_verify_checked) == 0) {
            v->calls++;
        } else {
            v->checked += node_verify_cells(v, s);
            v->missing += node_verify_cells(v, s);
        }
    }
    v->calls--;
    if (v->calls == 0) {
        node_verify_end(v);
    }
}

/* ---- the extent ----------------------------------------------------------------------------- */

static void node_verify_learnt(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_verify *v = ctx;
    uint32_t extent = (uint32_t)(v->cursor >> 32);
    if (code == 0) {
        code = node_info_learn(v->o, v->group, v->version, extent, reply, &v->info);
    }
    if (code != 0) {
        node_verify_fail(v, code == ERR_DONE ? ERR_VERSION_GONE : code);
        return;
    }
    v->stripe = (uint32_t)v->cursor;
    if (v->stripe >= v->info->e.stripes) {
        node_verify_fail(v, ERR_RANGE);
        return;
    }
    v->count = NUM_MIN(v->info->e.stripes - v->stripe, NODE_VERIFY_STRIPES);
    node_verify_shards(v);
}

static void node_verify_stat(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_verify *v = ctx;
    struct node_object obj = {0};
    if (code == 0) {
        code = reply.size < 2 ? ERR_NOT_FOUND
                              : node_object_decode(bytes_of(reply.data + 1, reply.size - 1), &obj);
    }
    if (code != 0) {
        node_verify_fail(v, code);
        return;
    }
    v->version = obj.version;
    v->extents = obj.extents;
    if (obj.extents == 0 || v->cursor >> 32 >= obj.extents) {
        v->checked = obj.extents == 0 ? 1 : 0; /* it lies in the replicated state */
        node_verify_answer(v, false, 0);
        return;
    }
    const struct node_object_ask ask = {
        .version = v->version, .from = (uint32_t)(v->cursor >> 32), .limit = 1, .roots = true};
    code = node_objects_ask(v->o, v->group, NODE_QUERY_OBJECT_EXTENTS, &ask, v->deadline_us, v,
                            node_verify_learnt);
    if (code != 0) {
        node_verify_fail(v, code);
    }
}

static int node_verify_params(const struct wire_rpc *req, struct bytes *bucket, struct bytes *name,
                              uint64_t *cursor)
{
    TRY(wire_params_check(req, 3, 3));
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, bucket));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, name));
    return wire_param_u64(req, 2, cursor);
}

void node_verify_object(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_objects *o = node_objects_get(n);
    struct bytes bucket;
    struct bytes name;
    uint64_t cursor = 0;
    int err = node_verify_params(req, &bucket, &name, &cursor);
    struct node_verify *v = err == 0 ? alloc_get_zeroed(&o->alloc, 1, sizeof *v) : NULL;
    if (v == NULL) {
        node_reply_error(n, client, err != 0 ? err : ERR_NO_MEMORY, NULL);
        return;
    }
    v->o = o;
    v->client = client;
    v->cursor = cursor;
    v->group = node_group_of(n, bucket);
    v->deadline_us = node_request_deadline(n, req);
    const struct node_object_ask ask = {.bucket = bucket, .name = name};
    err = node_objects_ask(o, v->group, NODE_QUERY_OBJECT_STAT, &ask, v->deadline_us, v,
                           node_verify_stat);
    if (err != 0) {
        node_verify_fail(v, err);
    }
}
