/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The client's methods on buckets and objects that are one command or question, or two: create,
 * list, remove, stat, extents. Uploads are in put_api.c, reads in get.c, verify in verify.c.
 */
#include "server/node/objects_internal.h"

#include <stdio.h>

#define NODE_STAT_EXTENTS 256u

/* One request of a client, from arrival to answer. */
struct node_object_req {
    struct node_objects *o;
    struct node_client client;
    uint32_t group;
    uint64_t deadline_us;
    uint64_t from; /* extents */
    uint32_t limit;
    bool retried;
    size_t bucket_bytes;
    struct buf names;  /* bucket, then name */
    struct buf object; /* its OBJECT record */
};

static struct node_object_req *node_req_new(struct node *n, struct node_client client,
                                            const struct wire_rpc *req)
{
    struct node_objects *o = node_objects_get(n);
    struct node_object_req *r = alloc_get_zeroed(&o->alloc, 1, sizeof *r);
    if (r == NULL) {
        node_reply_error(n, client, ERR_NO_MEMORY, NULL);
        return NULL;
    }
    r->o = o;
    r->client = client;
    r->deadline_us = node_request_deadline(n, req);
    buf_init(&r->names, &o->alloc, 2 * WIRE_NAME_BYTES_MAX);
    buf_init(&r->object, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    return r;
}

static void node_req_free(struct node_object_req *r)
{
    buf_release(&r->names);
    buf_release(&r->object);
    alloc_put(&r->o->alloc, r, sizeof *r);
}

static void node_req_fail(struct node_object_req *r, int code, const char *message)
{
    node_reply_error(r->o->n, r->client, code, message);
    node_req_free(r);
}

static void node_req_answer(struct node_object_req *r, const struct buf *out)
{
    if (out->err == 0) {
        node_reply_ok(r->o->n, r->client, buf_view(out));
    } else {
        node_reply_error(r->o->n, r->client, out->err, NULL);
    }
    node_req_free(r);
}

static void node_req_empty_map(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)reply;
    struct node_object_req *r = ctx;
    const uint8_t empty_map[1] = {0x80};
    if (code == 0) {
        node_reply_ok(n, r->client, bytes_of(empty_map, sizeof empty_map));
    } else {
        node_reply_error(n, r->client, code, NULL);
    }
    node_req_free(r);
}

/* Keeps copies: what a request views ends with its call. */
static int node_req_names(struct node_object_req *r, struct bytes bucket, struct bytes name)
{
    TRY(wire_bucket_check(bucket));
    r->group = node_group_of(r->o->n, bucket);
    r->bucket_bytes = bucket.size;
    TRY(buf_append(&r->names, bucket.data, bucket.size));
    return buf_append(&r->names, name.data, name.size);
}

static struct bytes node_req_bucket(const struct node_object_req *r)
{
    return bytes_of(r->names.data, r->bucket_bytes);
}

static struct bytes node_req_object(const struct node_object_req *r)
{
    return bytes_of(r->names.data + r->bucket_bytes, r->names.size - r->bucket_bytes);
}

/* A command in the client's session. */
static void node_req_propose(struct node_object_req *r, const struct wire_rpc *req, uint8_t op,
                             const struct node_object_cmd *c)
{
    struct node_cmd cmd = {0};
    int err = node_request_cmd(req, &cmd);
    if (err == 0) {
        const struct node_session_ref session = {.session = cmd.session,
                                                 .sequence = cmd.sequence,
                                                 .acked = cmd.acked,
                                                 .deadline_us = r->deadline_us};
        err = node_objects_propose_for(r->o, r->group, op, c, &session, r, node_req_empty_map);
    }
    if (err != 0) {
        node_req_fail(r, err, NULL);
    }
}

/* ---- buckets -------------------------------------------------------------------------------- */

static int node_bucket_params(const struct wire_rpc *req, struct bytes *bucket,
                              struct erasure_scheme *scheme)
{
    uint32_t k = 0;
    uint32_t m = 0;
    TRY(wire_params_check(req, 3, 3));
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, bucket));
    TRY(wire_param_u32(req, 1, &k));
    TRY(wire_param_u32(req, 2, &m));
    if (k > UINT8_MAX || m > UINT8_MAX) {
        return ERR_SCHEME;
    }
    *scheme = (struct erasure_scheme){.k = (uint8_t)k, .m = (uint8_t)m};
    return erasure_scheme_check(*scheme);
}

/* returns: the nodes that the scheme needs so that one may be lost. */
static unsigned node_scheme_nodes(struct erasure_scheme scheme)
{
    unsigned nodes = 1;
    while (nodes < 2u * ERASURE_SHARDS_MAX && !erasure_scheme_fits(scheme, nodes)) {
        nodes++;
    }
    return nodes;
}

static void node_api_bucket_create(struct node *n, struct node_client client,
                                   const struct wire_rpc *req)
{
    struct node_object_req *r = node_req_new(n, client, req);
    struct bytes bucket;
    struct node_object_cmd *c = NULL;
    struct erasure_scheme scheme = {0};
    char message[160];
    if (r == NULL) {
        return;
    }
    int err = node_bucket_params(req, &bucket, &scheme);
    err = err != 0 ? err : node_req_names(r, bucket, bytes_of(NULL, 0));
    if (err == ERR_SCHEME) {
        node_req_fail(r, err, "k must be 1 or more, and k + m at most 32");
        return;
    }
    unsigned nodes = node_identity(n)->nodes_count;
    if (err == 0 && !erasure_scheme_fits(scheme, nodes)) {
        (void)snprintf(message, sizeof message,
                       "%u+%u needs %u nodes so that one may be lost; the cluster has %u", scheme.k,
                       scheme.m, node_scheme_nodes(scheme), nodes);
        node_req_fail(r, ERR_SCHEME, message);
        return;
    }
    if (err == 0) {
        c = alloc_get_zeroed(&r->o->alloc, 1, sizeof *c);
        err = c == NULL ? ERR_NO_MEMORY : 0;
    }
    if (err != 0) {
        node_req_fail(r, err, NULL);
        return;
    }
    struct node_objects *o = r->o;
    c->bucket = bucket;
    c->shape.scheme = scheme;
    node_req_propose(r, req, NODE_OP_BUCKET_CREATE, c);
    alloc_put(&o->alloc, c, sizeof *c);
}

static void node_api_bucket_remove(struct node *n, struct node_client client,
                                   const struct wire_rpc *req)
{
    struct node_object_req *r = node_req_new(n, client, req);
    struct bytes bucket = {0};
    if (r == NULL) {
        return;
    }
    int err = wire_params_check(req, 1, 1);
    err = err != 0 ? err : wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, &bucket);
    err = err != 0 ? err : node_req_names(r, bucket, bytes_of(NULL, 0));
    if (err != 0) {
        node_req_fail(r, err, NULL);
        return;
    }
    struct node_object_cmd c = {.bucket = bucket};
    node_req_propose(r, req, NODE_OP_BUCKET_REMOVE, &c);
}

/* All buckets of all groups, one question after another. */
struct node_bucket_walk {
    struct node_objects *o;
    node_done_fn *done;
    void *ctx;
    uint64_t deadline_us;
    uint32_t groups[NODE_OBJECTS_GROUPS_MAX];
    unsigned groups_count;
    unsigned at;
    uint32_t count;
    size_t after_bytes;
    uint8_t after[WIRE_NAME_BYTES_MAX];
    struct buf items;
};

#define NODE_BUCKETS_BYTES_MAX (1u << 20)

static void node_walk_step(struct node_bucket_walk *w);

static void node_walk_end(struct node_bucket_walk *w, int code)
{
    struct buf out;
    struct node_objects *o = w->o;
    buf_init(&out, &o->alloc, NODE_BUCKETS_BYTES_MAX + 64);
    (void)wire_pack_array(&out, w->count);
    (void)buf_append(&out, w->items.data, w->items.size);
    code = code != 0 ? code : w->items.err != 0 ? w->items.err : out.err;
    w->done(o->n, w->ctx, code, code == 0 ? buf_view(&out) : bytes_of(NULL, 0));
    buf_release(&out);
    buf_release(&w->items);
    alloc_put(&o->alloc, w, sizeof *w);
}

static void node_walk_pack(struct node_bucket_walk *w, struct bytes name,
                           const struct node_bucket *b)
{
    unsigned nodes = node_objects_members(w->o);
    unsigned survives = NUM_MIN(erasure_tolerance(b->scheme, nodes),
                                node_objects_group_tolerance(w->o, w->groups[w->at]));
    (void)wire_pack_map(&w->items, 4);
    (void)wire_pack_text(&w->items, WIRE_FIELD_NAME);
    (void)wire_pack_bin(&w->items, name);
    (void)wire_pack_text(&w->items, WIRE_FIELD_K);
    (void)wire_pack_u64(&w->items, b->scheme.k);
    (void)wire_pack_text(&w->items, WIRE_FIELD_M);
    (void)wire_pack_u64(&w->items, b->scheme.m);
    (void)wire_pack_text(&w->items, WIRE_FIELD_SURVIVES);
    (void)wire_pack_u64(&w->items, survives);
    w->count++;
}

static void node_walk_rows(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_bucket_walk *w = ctx;
    struct node_answer_rows rows;
    struct bytes name;
    struct bytes value;
    if (code != 0) {
        node_walk_end(w, code);
        return;
    }
    node_answer_rows_of(bytes_reader_of(reply), &rows);
    while (node_answer_row(&rows, &name, &value)) {
        struct node_bucket b;
        if (name.size < 2 || name.size > 1 + sizeof w->after ||
            node_bucket_decode(value, &b) != 0) {
            node_walk_end(w, ERR_CORRUPT);
            return;
        }
        w->after_bytes = name.size - 1;
        memcpy(w->after, name.data + 1, w->after_bytes);
        node_walk_pack(w, bytes_of(w->after, w->after_bytes), &b);
    }
    if (!rows.more) {
        w->at++;
        w->after_bytes = 0;
    }
    if (w->at == w->groups_count || w->items.err != 0) {
        node_walk_end(w, 0);
    } else {
        node_walk_step(w);
    }
}

static void node_walk_step(struct node_bucket_walk *w)
{
    const struct node_object_ask ask = {.name = bytes_of(w->after, w->after_bytes)};
    int err = node_objects_ask(w->o, w->groups[w->at], NODE_QUERY_BUCKET_LIST, &ask, w->deadline_us,
                               w, node_walk_rows);
    if (err != 0) {
        node_walk_end(w, err);
    }
}

void node_objects_buckets(struct node *n, uint64_t deadline_us, void *ctx, node_done_fn *done)
{
    struct node_objects *o = node_objects_get(n);
    struct node_bucket_walk *w = alloc_get_zeroed(&o->alloc, 1, sizeof *w);
    if (w == NULL) {
        done(n, ctx, ERR_NO_MEMORY, bytes_of(NULL, 0));
        return;
    }
    w->o = o;
    w->done = done;
    w->ctx = ctx;
    w->deadline_us = deadline_us;
    w->groups_count = node_objects_groups(o, w->groups, NODE_OBJECTS_GROUPS_MAX);
    buf_init(&w->items, &o->alloc, NODE_BUCKETS_BYTES_MAX);
    if (w->groups_count == 0) {
        node_walk_end(w, 0);
    } else {
        node_walk_step(w);
    }
}

static void node_buckets_listed(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_object_req *r = ctx;
    if (code == 0) {
        node_reply_ok(n, r->client, reply);
    } else {
        node_reply_error(n, r->client, code, NULL);
    }
    node_req_free(r);
}

static void node_api_bucket_list(struct node *n, struct node_client client,
                                 const struct wire_rpc *req)
{
    struct node_object_req *r = node_req_new(n, client, req);
    if (r == NULL) {
        return;
    }
    int err = wire_params_check(req, 0, 0);
    if (err != 0) {
        node_req_fail(r, err, NULL);
        return;
    }
    node_objects_buckets(n, r->deadline_us, r, node_buckets_listed);
}

/* ---- stat ----------------------------------------------------------------------------------- */

static void node_stat_ask(struct node_object_req *r);

static void node_stat_answer_object(struct node_object_req *r,
                                    const struct node_object_state *state)
{
    struct node_object obj;
    struct buf out;
    int err = node_object_decode(buf_view(&r->object), &obj);
    buf_init(&out, &r->o->alloc, 64u << 10);
    out.err = err != 0 ? err : node_object_pack(r->o, r->group, &obj, state, &out);
    node_req_answer(r, &out);
    buf_release(&out);
}

/* An object survives what its extents do. Where there are too many of them to look at, those that
 * were not seen do what the code does on the nodes there are, or nothing if shards are missing. */
static unsigned node_stat_survives(const struct node_object_req *r, struct node_extents_answer *a)
{
    struct erasure_scheme scheme = a->version.shape.scheme;
    unsigned survives = erasure_tolerance(scheme, node_objects_members(r->o));
    struct bytes name;
    struct bytes value;
    bool more = a->rows.more;
    while (node_answer_row(&a->rows, &name, &value)) {
        struct node_extent e;
        unsigned one = node_extent_decode(value, &e) == 0 ? node_extent_survives(&e) : 0;
        survives = NUM_MIN(survives, one);
    }
    return more && a->version.missing > 0 ? 0 : survives;
}

/* A version that went meanwhile was replaced: asked again. */
static void node_stat_version(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_object_req *r = ctx;
    struct node_extents_answer a;
    if (code == 0) {
        code = node_extents_answer_of(reply, &a);
    }
    if (code != 0) {
        node_req_fail(r, code, NULL);
    } else if (a.has_version) {
        const struct node_object_state state = {.missing = a.version.missing,
                                                .survives = node_stat_survives(r, &a)};
        node_stat_answer_object(r, &state);
    } else if (r->retried) {
        node_req_fail(r, ERR_BUSY, NULL);
    } else {
        r->retried = true;
        node_stat_ask(r);
    }
}

static void node_stat_object(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_object_req *r = ctx;
    struct node_object obj;
    const uint8_t nil[1] = {0xc0};
    if (code == 0 && (reply.size == 0 || reply.data[0] == 0)) {
        code = ERR_NOT_FOUND; /* no such bucket */
    }
    if (code == 0 && reply.size == 1) {
        node_reply_ok(n, r->client, bytes_of(nil, sizeof nil));
        node_req_free(r);
        return;
    }
    if (code == 0) {
        buf_clear(&r->object);
        (void)buf_append(&r->object, reply.data + 1, reply.size - 1);
        code = r->object.err != 0 ? r->object.err : node_object_decode(buf_view(&r->object), &obj);
    }
    if (code != 0) {
        node_req_fail(r, code, NULL);
    } else if (obj.extents == 0) {
        const struct node_object_state whole = {.survives = UINT32_MAX};
        node_stat_answer_object(r, &whole);
    } else {
        const struct node_object_ask ask = {.version = obj.version, .limit = NODE_STAT_EXTENTS};
        code = node_objects_ask(r->o, r->group, NODE_QUERY_OBJECT_EXTENTS, &ask, r->deadline_us, r,
                                node_stat_version);
        if (code != 0) {
            node_req_fail(r, code, NULL);
        }
    }
}

static void node_stat_ask(struct node_object_req *r)
{
    const struct node_object_ask ask = {.bucket = node_req_bucket(r), .name = node_req_object(r)};
    int err = node_objects_ask(r->o, r->group, NODE_QUERY_OBJECT_STAT, &ask, r->deadline_us, r,
                               node_stat_object);
    if (err != 0) {
        node_req_fail(r, err, NULL);
    }
}

static int node_object_params(const struct wire_rpc *req, struct node_object_req *r)
{
    struct bytes bucket;
    struct bytes name;
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, &bucket));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &name));
    TRY(wire_name_check(name));
    return node_req_names(r, bucket, name);
}

static void node_api_stat(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_object_req *r = node_req_new(n, client, req);
    if (r == NULL) {
        return;
    }
    int err = wire_params_check(req, 2, 2);
    err = err != 0 ? err : node_object_params(req, r);
    if (err != 0) {
        node_req_fail(r, err, NULL);
        return;
    }
    node_stat_ask(r);
}

static void node_api_remove(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_object_req *r = node_req_new(n, client, req);
    if (r == NULL) {
        return;
    }
    int err = wire_params_check(req, 2, 2);
    err = err != 0 ? err : node_object_params(req, r);
    if (err != 0) {
        node_req_fail(r, err, NULL);
        return;
    }
    struct node_object_cmd c = {.bucket = node_req_bucket(r),
                                .name = node_req_object(r),
                                .span = node_options_get(n)->free_delay_us};
    node_req_propose(r, req, NODE_OP_OBJECT_REMOVE, &c);
}

/* ---- extents -------------------------------------------------------------------------------- */

static void node_extents_pack_row(struct buf *out, uint32_t extent, const struct node_extent *e)
{
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    (void)wire_pack_map(out, 5);
    (void)wire_pack_text(out, WIRE_FIELD_EXTENT);
    (void)wire_pack_u64(out, extent);
    (void)wire_pack_text(out, WIRE_FIELD_CELLS);
    (void)wire_pack_u64(out, e->cells);
    (void)wire_pack_text(out, WIRE_FIELD_ROOTS);
    (void)wire_pack_bin(out, e->roots);
    (void)wire_pack_text(out, WIRE_FIELD_HOLDERS);
    (void)wire_pack_array(out, shards);
    for (unsigned s = 0; s < shards; s++) {
        (void)wire_pack_u64(out, e->holder[s]);
    }
    (void)wire_pack_text(out, WIRE_FIELD_MISSING);
    (void)wire_pack_u64(out, node_extent_all(e->scheme) & ~e->durable);
}

static int node_extents_pack(struct bytes reply, struct buf *out)
{
    struct node_extents_answer a;
    struct bytes name;
    struct bytes value;
    TRY(node_extents_answer_of(reply, &a));
    if (!a.has_version || a.version.state != NODE_VERSION_LIVE) {
        return ERR_VERSION_GONE;
    }
    (void)wire_pack_array(out, a.rows.left);
    while (node_answer_row(&a.rows, &name, &value)) {
        struct node_version v;
        struct node_extent e;
        uint32_t extent = 0;
        if (!node_name_of_extent(name, &v, &extent)) {
            return ERR_CORRUPT;
        }
        TRY(node_extent_decode(value, &e));
        node_extents_pack_row(out, extent, &e);
    }
    return out->err;
}

static void node_extents_arrived(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_object_req *r = ctx;
    struct buf out;
    buf_init(&out, &r->o->alloc, 2u << 20);
    if (code == 0) {
        code = node_extents_pack(reply, &out);
    }
    out.err = code;
    node_req_answer(r, &out);
    buf_release(&out);
}

static void node_api_extents(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_object_req *r = node_req_new(n, client, req);
    uint64_t version = 0;
    uint32_t from = 0;
    uint32_t count = 0;
    if (r == NULL) {
        return;
    }
    int err = wire_params_check(req, 5, 5);
    err = err != 0 ? err : node_object_params(req, r);
    err = err != 0 ? err : wire_param_u64(req, 2, &version);
    err = err != 0 ? err : wire_param_u32(req, 3, &from);
    err = err != 0 ? err : wire_param_u32(req, 4, &count);
    const struct node_object_ask ask = {.version = node_version_of_wire(version),
                                        .from = from,
                                        .limit = NUM_MIN(NUM_MAX(count, 1u), WIRE_EXTENTS_MAX),
                                        .roots = true};
    err = err != 0 ? err
                   : node_objects_ask(r->o, r->group, NODE_QUERY_OBJECT_EXTENTS, &ask,
                                      r->deadline_us, r, node_extents_arrived);
    if (err != 0) {
        node_req_fail(r, err, NULL);
    }
}

/* ---- list ----------------------------------------------------------------------------------- */

static int node_list_pack(const struct node_object_req *r, struct bytes reply, struct buf *out)
{
    struct node_answer_rows rows;
    struct bytes name;
    struct bytes value;
    node_answer_rows_of(bytes_reader_of(reply), &rows);
    (void)wire_pack_map(out, 2);
    (void)wire_pack_text(out, WIRE_FIELD_MORE);
    (void)wire_pack_bool(out, rows.more);
    (void)wire_pack_text(out, WIRE_FIELD_ITEMS);
    (void)wire_pack_array(out, rows.left);
    while (node_answer_row(&rows, &name, &value)) {
        struct node_object obj;
        TRY(node_object_decode(value, &obj));
        (void)wire_pack_map(out, 6);
        (void)wire_pack_text(out, WIRE_FIELD_NAME);
        (void)wire_pack_bin(out, name);
        (void)wire_pack_text(out, WIRE_FIELD_SIZE);
        (void)wire_pack_u64(out, obj.size);
        (void)wire_pack_text(out, WIRE_FIELD_VERSION);
        (void)wire_pack_u64(out, node_version_wire(obj.version));
        (void)wire_pack_text(out, WIRE_FIELD_CREATED_US);
        (void)wire_pack_u64(out, obj.created_us);
        (void)wire_pack_text(out, WIRE_FIELD_K);
        (void)wire_pack_u64(out, obj.shape.scheme.k);
        (void)wire_pack_text(out, WIRE_FIELD_M);
        (void)wire_pack_u64(out, obj.shape.scheme.m);
    }
    (void)r;
    return rows.r.failed ? ERR_CORRUPT : out->err;
}

static void node_list_arrived(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_object_req *r = ctx;
    struct buf out;
    buf_init(&out, &r->o->alloc, 4u << 20);
    if (code == 0) {
        code = node_list_pack(r, reply, &out);
    }
    out.err = code;
    node_req_answer(r, &out);
    buf_release(&out);
}

static void node_api_list(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_object_req *r = node_req_new(n, client, req);
    struct bytes bucket = {0};
    struct bytes prefix = {0};
    struct bytes after = {0};
    bool has_after = false;
    uint32_t limit = 0;
    if (r == NULL) {
        return;
    }
    int err = wire_params_check(req, 4, 4);
    err = err != 0 ? err : wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, &bucket);
    err = err != 0 ? err : wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &prefix);
    err = err != 0 ? err : wire_param_bytes_or_nil(req, 2, WIRE_NAME_BYTES_MAX, &has_after, &after);
    err = err != 0 ? err : wire_param_u32(req, 3, &limit);
    err = err != 0 ? err : node_req_names(r, bucket, bytes_of(NULL, 0));
    uint32_t most = (uint32_t)NUM_MIN(node_options_get(n)->limits.list_items, WIRE_SCAN_ITEMS_MAX);
    const struct node_object_ask ask = {.bucket = bucket,
                                        .name = prefix,
                                        .after = has_after ? after : bytes_of(NULL, 0),
                                        .limit = limit == 0 ? most : NUM_MIN(limit, most)};
    err = err != 0 ? err
                   : node_objects_ask(r->o, r->group, NODE_QUERY_OBJECT_LIST, &ask, r->deadline_us,
                                      r, node_list_arrived);
    if (err != 0) {
        node_req_fail(r, err, NULL);
    }
}

const struct node_api node_object_api[] = {
    {WIRE_METHOD_BUCKET_CREATE, node_api_bucket_create},
    {WIRE_METHOD_BUCKET_LIST, node_api_bucket_list},
    {WIRE_METHOD_BUCKET_REMOVE, node_api_bucket_remove},
    {WIRE_METHOD_OBJECT_PUT, node_put_open},
    {WIRE_METHOD_OBJECT_PART, node_put_part},
    {WIRE_METHOD_OBJECT_COMMIT, node_put_commit},
    {WIRE_METHOD_OBJECT_ABORT, node_put_abort},
    {WIRE_METHOD_OBJECT_DERIVE, node_put_derive},
    {WIRE_METHOD_OBJECT_DERIVE_CELL, node_put_derive_cell},
    {WIRE_METHOD_OBJECT_STAT, node_api_stat},
    {WIRE_METHOD_OBJECT_EXTENTS, node_api_extents},
    {WIRE_METHOD_OBJECT_READ, node_get_read},
    {WIRE_METHOD_OBJECT_LIST, node_api_list},
    {WIRE_METHOD_OBJECT_REMOVE, node_api_remove},
    {WIRE_METHOD_OBJECT_VERIFY, node_verify_object},
    {WIRE_METHOD_OBJECT_RUN, node_run_object},
    {WIRE_METHOD_OBJECT_RUN_LOOK, node_run_look_object},
    {NULL, NULL},
};
