/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Uploads as clients see them: object.put, object.part, object.commit, object.abort; how an upload
 * begins, lives on, and ends. What became of an upload is remembered for a while, so that a commit
 * whose answer was lost is answered again.
 */
#include "server/node/put_internal.h"

#include "base/crc.h"

#define NODE_PUT_CANCELS_MAX 8u

/* How an upload ended. */
struct node_put_end {
    struct node_work link;
    uint64_t id;
    int code;
    size_t bytes; /* of the answer */
    uint8_t answer[];
};

/* ---- lookup and end ------------------------------------------------------------------------- */

struct node_put *node_put_find(struct node_objects *o, uint64_t id)
{
    for (struct node_work *w = o->puts.next; w != &o->puts; w = w->next) {
        struct node_put *p = (struct node_put *)(void *)w;
        if (node_version_wire(p->version) == id) {
            return p;
        }
    }
    return NULL;
}

static void node_put_end_free(struct node_objects *o, struct node_put_end *e)
{
    node_work_remove(&e->link);
    o->put_ends_count--;
    alloc_put(&o->alloc, e, sizeof *e + e->bytes);
}

static void node_put_remember(struct node_put *p, int code, struct bytes answer)
{
    struct node_objects *o = p->o;
    if (o->put_ends_count >= NODE_PUT_ENDS_MAX) {
        node_put_end_free(o, (struct node_put_end *)(void *)o->put_ends.next);
    }
    struct node_put_end *e = alloc_get(&o->alloc, sizeof *e + answer.size);
    if (e == NULL) {
        return; /* the client asks stat instead */
    }
    *e = (struct node_put_end){
        .id = node_version_wire(p->version), .code = code, .bytes = answer.size};
    if (answer.size > 0) {
        memcpy(e->answer, answer.data, answer.size);
    }
    node_work_add(&o->put_ends, &e->link);
    o->put_ends_count++;
}

static const struct node_put_end *node_put_end_find(const struct node_objects *o, uint64_t id)
{
    for (struct node_work *w = o->put_ends.next; w != &o->put_ends; w = w->next) {
        const struct node_put_end *e = (const struct node_put_end *)(const void *)w;
        if (e->id == id) {
            return e;
        }
    }
    return NULL;
}

static void node_put_free(struct node_put *p)
{
    struct node_objects *o = p->o;
    node_put_from_free(p);
    node_timer_cancel(o->n, &p->renew);
    node_timer_cancel(o->n, &p->retry);
    if (p->fill != NULL) {
        node_put_stripe_free(p->fill);
    }
    node_put_extents_free(p);
    node_work_remove(&p->link);
    o->puts_count--;
    buf_release(&p->names);
    alloc_put(&o->alloc, p, sizeof *p);
}

void node_put_release(struct node_put *p)
{
    ASSERT(p->refs > 0);
    p->refs--;
    if (p->refs == 0 && (p->state == NODE_PUT_FAILED || p->state == NODE_PUT_ENDED)) {
        node_put_free(p);
    }
}

static void node_put_reply_received(struct node *n, struct node_client client, uint64_t received)
{
    struct buf out;
    buf_init(&out, node_alloc(n), 256);
    (void)wire_pack_map(&out, 1);
    (void)wire_pack_text(&out, WIRE_FIELD_RECEIVED);
    (void)wire_pack_u64(&out, received);
    if (out.err == 0) {
        node_reply_ok(n, client, buf_view(&out));
    } else {
        node_reply_error(n, client, ERR_NO_MEMORY, NULL);
    }
    buf_release(&out);
}

/* Answers are withheld while the upload holds much: this is how fast clients are slowed down. */
static uint64_t node_put_soft(const struct node_put *p)
{
    uint64_t upload = node_options_get(p->o->n)->limits.upload_bytes;
    return NUM_MAX(upload / 2, 2 * p->stripe_total);
}

void node_put_waits_release(struct node_put *p)
{
    if (p->held > node_put_soft(p) && p->state == NODE_PUT_OPEN) {
        return;
    }
    unsigned count = p->waits_count;
    p->waits_count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (p->state == NODE_PUT_FAILED) {
            node_reply_error(p->o->n, p->waits[i].client, p->code, NULL);
        } else {
            node_put_reply_received(p->o->n, p->waits[i].client, p->waits[i].received);
        }
    }
}

/* ---- cancel --------------------------------------------------------------------------------- */

static void node_put_cancelled(struct node *n, void *ctx, int code, struct bytes reply);

/* Best effort: an intent that stays ends by log time. */
static void node_put_cancel(struct node_put *p)
{
    struct node_object_cmd *c = alloc_get_zeroed(&p->o->alloc, 1, sizeof *c);
    if (c == NULL) {
        return;
    }
    c->version = p->version;
    if (node_objects_propose(p->o, p->group, NODE_OP_PUT_CANCEL, c, p, node_put_cancelled) == 0) {
        p->refs++;
    }
    alloc_put(&p->o->alloc, c, sizeof *c);
}

static void node_put_cancel_again(struct node *n, struct node_timer *t)
{
    (void)n;
    struct node_put *p = t->ctx;
    node_put_cancel(p);
    node_put_release(p);
}

static void node_put_cancelled(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)reply;
    struct node_put *p = ctx;
    if (code != 0 && node_objects_again(code) && p->cancels++ < NODE_PUT_CANCELS_MAX &&
        node_now(n) != UINT64_MAX) {
        p->renew.ctx = p;
        p->renew.fire = node_put_cancel_again;
        p->refs++;
        node_timer_set(n, &p->renew, node_now(n) + NODE_PUT_RETRY_US);
    }
    node_put_release(p);
}

void node_put_fail(struct node_put *p, int code)
{
    struct node *n = p->o->n;
    if (p->state == NODE_PUT_FAILED || p->state == NODE_PUT_ENDED) {
        return;
    }
    bool opening = p->state == NODE_PUT_OPENING;
    if (p->unknown) { /* whatever ends it: the commit that nobody answered may yet be applied */
        code = ERR_TIMEOUT;
    }
    p->refs++;
    p->state = NODE_PUT_FAILED;
    p->code = code;
    p->o->counters.puts_failed++;
    log_line(node_log(n), LOG_INFO, "upload_failed", "version=%llu code=%s",
             (unsigned long long)node_version_wire(p->version), err_name(code));
    node_timer_cancel(n, &p->renew);
    if (opening) {
        node_reply_error(n, p->opener, code, NULL);
    }
    node_put_waits_release(p);
    for (unsigned i = 0; i < p->committers_count; i++) {
        node_reply_error(n, p->committers[i], code, NULL);
    }
    p->committers_count = 0;
    if (p->fill != NULL) {
        struct node_put_stripe *fill = p->fill;
        p->fill = NULL;
        node_put_stripe_free(fill);
    }
    node_put_remember(p, code, bytes_of(NULL, 0));
    if (p->has_intent) {
        node_put_cancel(p);
    }
    node_put_release(p);
}

static struct node_object_state node_put_outcome(const struct node_put *p)
{
    struct node_object_state state = {.survives = UINT32_MAX,
                                      .derived = p->from != NULL,
                                      .moved = p->from != NULL ? p->from->moved : 0};
    for (uint32_t i = 0; i < p->extents_count; i++) {
        struct node_extent e;
        node_put_extent_record(p->extents[i], &e);
        state.survives = NUM_MIN(state.survives, node_extent_survives(&e));
        for (uint32_t bits = node_extent_missing(&e); bits != 0; bits &= bits - 1) {
            state.missing++;
        }
    }
    return state;
}

void node_put_succeed(struct node_put *p)
{
    struct node *n = p->o->n;
    struct buf out;
    struct node_object obj = {.version = p->version,
                              .size = p->received,
                              .shape = p->shape,
                              .extents = p->extents_count,
                              .created_us = p->created_us};
    memcpy(obj.root, p->root, sizeof obj.root);
    if (p->extents_count == 0) {
        obj.data = bytes_of(p->fill == NULL ? NULL : p->fill->data[0], (size_t)p->received);
    }
    const struct node_object_state state = node_put_outcome(p);
    p->state = NODE_PUT_ENDED;
    p->o->counters.puts++;
    node_timer_cancel(n, &p->renew);
    buf_init(&out, &p->o->alloc, NODE_PUT_END_BYTES_MAX);
    int err = node_object_pack(p->o, p->group, &obj, &state, &out);
    for (unsigned i = 0; i < p->committers_count; i++) {
        if (err == 0) {
            node_reply_ok(n, p->committers[i], buf_view(&out));
        } else { /* done, but the answer is not to be had */
            node_reply_error(n, p->committers[i], ERR_DONE, NULL);
        }
    }
    p->committers_count = 0;
    node_put_remember(p, err == 0 ? 0 : ERR_DONE, err == 0 ? buf_view(&out) : bytes_of(NULL, 0));
    buf_release(&out);
}

/* ---- open ----------------------------------------------------------------------------------- */

static void node_put_renewed(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    struct node_put *p = ctx;
    if (code == ERR_CANCELLED && p->state == NODE_PUT_OPEN) {
        node_put_fail(p, ERR_CANCELLED);
    }
    node_put_release(p);
}

static void node_put_renew_fire(struct node *n, struct node_timer *t)
{
    struct node_put *p = t->ctx;
    const struct node_options *options = node_options_get(n);
    if (node_now(n) == UINT64_MAX) {
        return;
    }
    if (p->state == NODE_PUT_OPEN && node_now(n) - p->active_us > options->limits.upload_idle_us) {
        node_put_fail(p, ERR_CANCELLED);
        return;
    }
    if (p->has_intent) {
        struct node_object_cmd c = {.version = p->version, .span = options->intent_ttl_us};
        if (node_objects_propose(p->o, p->group, NODE_OP_PUT_RENEW, &c, p, node_put_renewed) == 0) {
            p->refs++;
        }
    }
    node_timer_set(n, t, node_now(n) + NUM_MAX(options->intent_ttl_us / 3, 1u));
}

static void node_put_opened(struct node_put *p)
{
    struct node *n = p->o->n;
    const struct node_options *options = node_options_get(n);
    struct buf out;
    p->state = NODE_PUT_OPEN;
    p->active_us = node_now(n);
    p->renew.ctx = p;
    p->renew.fire = node_put_renew_fire;
    node_timer_set(n, &p->renew, node_now(n) + NUM_MAX(options->intent_ttl_us / 3, 1u));
    buf_init(&out, &p->o->alloc, 256);
    (void)wire_pack_map(&out, 3);
    (void)wire_pack_text(&out, WIRE_FIELD_UPLOAD);
    (void)wire_pack_u64(&out, node_version_wire(p->version));
    (void)wire_pack_text(&out, WIRE_FIELD_PART_BYTES);
    (void)wire_pack_u64(&out, NUM_MIN(options->limits.part_bytes, WIRE_PART_BYTES_MAX));
    (void)wire_pack_text(&out, WIRE_FIELD_CELL_BYTES);
    (void)wire_pack_u64(&out, p->shape.cell_bytes);
    if (out.err == 0) {
        node_reply_ok(n, p->opener, buf_view(&out));
    } else {
        node_reply_error(n, p->opener, ERR_NO_MEMORY, NULL);
    }
    buf_release(&out);
}

static void node_put_intent_again(struct node *n, struct node_timer *t)
{
    (void)n;
    struct node_put *p = t->ctx;
    if (p->state == NODE_PUT_OPENING) {
        node_put_intent(p);
    }
    node_put_release(p);
}

static void node_put_intended(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)reply;
    struct node_put *p = ctx;
    if (p->state == NODE_PUT_FAILED) {
        node_put_cancel(p); /* the client went while the intent was on its way */
    } else if (code == 0) {
        node_put_opened(p);
    } else if (node_objects_again(code) && node_now(n) < p->give_up_us) {
        p->retry.ctx = p;
        p->retry.fire = node_put_intent_again;
        p->refs++;
        node_timer_set(n, &p->retry, node_now(n) + NODE_PUT_RETRY_US);
    } else {
        /* it may yet be applied: as an intent that nobody uses, until it expires */
        node_put_fail(p, err_outcome_of(code) == ERR_OUTCOME_UNKNOWN ? ERR_UNAVAILABLE : code);
    }
    node_put_release(p);
}

void node_put_intent(struct node_put *p)
{
    struct node_object_cmd *c = alloc_get_zeroed(&p->o->alloc, 1, sizeof *c);
    int err = ERR_NO_MEMORY;
    if (c != NULL) {
        c->version = p->version;
        c->bucket = node_put_bucket(p);
        c->name = node_put_object(p);
        c->shape = p->shape;
        c->span = node_options_get(p->o->n)->intent_ttl_us;
        err = node_objects_propose(p->o, p->group, NODE_OP_PUT_INTENT, c, p, node_put_intended);
        alloc_put(&p->o->alloc, c, sizeof *c);
    }
    if (err != 0) {
        node_put_fail(p, err);
        return;
    }
    p->has_intent = true;
    p->refs++;
}

/* Cells are as large as the object's size suggests and as two stripes fit into an upload's room,
 * but larger than what stays in the state. */
static int node_put_shape_set(struct node_put *p, struct erasure_scheme scheme)
{
    struct node_objects *o = p->o;
    const struct limits *limits = &node_options_get(o->n)->limits;
    uint32_t cell = p->sized ? erasure_cell_choice(p->size) : ERASURE_CELL_BYTES_MAX;
    unsigned shards = (unsigned)scheme.k + scheme.m;
    while (cell > 2 * NODE_OBJECT_INLINE_MAX &&
           (uint64_t)shards * cell > limits->upload_bytes / 2) {
        cell /= 2;
    }
    p->shape = (struct node_shape){
        .scheme = scheme, .cell_bytes = cell, .extent_bytes = limits->extent_bytes};
    struct erasure_layout layout;
    TRY(node_shape_layout(&p->shape, p->sized ? p->size : 1, &layout));
    p->shape.extent_bytes = layout.extent_bytes;
    p->extent_stripes = layout.extent_stripes;
    p->stripe_data = layout.stripe_bytes;
    p->stripe_total = (uint64_t)shards * cell;
    p->erasure = node_objects_code(o, scheme);
    return p->erasure == NULL ? ERR_NO_MEMORY : 0;
}

bool node_put_holders_safe(const struct node_put *p, const uint32_t *nodes, unsigned count,
                           const uint32_t *holders)
{
    uint32_t all = node_extent_all(p->shape.scheme);
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX && p->shape.scheme.m == 0; s++) {
        uint32_t home = (all >> s & 1u) != 0 ? erasure_home(nodes, count, s) : holders[s];
        if (home != holders[s] && !node_member_out(p->o->n, home)) {
            return false; /* without parity nothing is put elsewhere: it could not come home */
        }
    }
    const struct erasure_commit rule = {
        .scheme = p->shape.scheme, .durable = all, .holders = holders, .deadline_passed = true};
    return erasure_commit_ok(&rule);
}

/* returns: whether the nodes that are up can hold an extent so that the commit rule is kept. */
static bool node_put_feasible(const struct node_put *p)
{
    struct node_objects *o = p->o;
    uint32_t nodes[NODE_OBJECTS_PEERS_MAX];
    uint32_t holders[NODE_OBJECT_SHARDS_MAX];
    bool up[NODE_OBJECTS_PEERS_MAX];
    uint32_t pg;
    unsigned count = node_objects_place(o, p->version, 0, &pg, nodes);
    for (unsigned i = 0; i < count; i++) {
        up[i] = node_peer_is_up(o->n, nodes[i]) && !node_member_out(o->n, nodes[i]);
    }
    if (erasure_assign(p->shape.scheme, nodes, up, count, holders) != 0) {
        return false;
    }
    return node_put_holders_safe(p, nodes, count, holders);
}

static void node_put_bucket_known(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_put *p = ctx;
    struct node_bucket b = {0};
    if (code == 0 && reply.size < 8) {
        code = ERR_CORRUPT;
    }
    if (code == 0) {
        code = node_bucket_decode(bytes_of(reply.data + 8, reply.size - 8), &b);
    }
    if (code == 0) {
        code = node_put_shape_set(p, b.scheme);
    }
    bool small = p->sized && p->size <= NODE_OBJECT_INLINE_MAX;
    if (code == 0 && !small && !node_put_feasible(p)) {
        code = ERR_UNAVAILABLE;
    }
    if (p->state != NODE_PUT_OPENING) {
        node_put_release(p);
        return;
    }
    p->give_up_us = node_now(n) + NODE_PUT_GIVE_UP_US;
    if (code != 0) {
        node_put_fail(p, code);
    } else if (small) {
        node_put_opened(p);
    } else {
        node_put_intent(p);
    }
    node_put_release(p);
}

static int node_put_params(const struct wire_rpc *req, struct bytes *bucket, struct bytes *name,
                           bool *sized, uint64_t *size)
{
    TRY(wire_params_check(req, 2, 3));
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, bucket));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, name));
    TRY(wire_param_u64_or_nil(req, 2, sized, size));
    TRY(wire_bucket_check(*bucket));
    return wire_name_check(*name);
}

int node_put_new(struct node_objects *o, struct bytes bucket, struct bytes name,
                 struct node_put **out)
{
    struct node_version version;
    if (o->puts_count >= node_options_get(o->n)->limits.uploads) {
        return ERR_BUSY;
    }
    TRY(node_objects_version_new(o, &version));
    struct node_put *p = alloc_get_zeroed(&o->alloc, 1, sizeof *p);
    if (p == NULL) {
        return ERR_NO_MEMORY;
    }
    p->o = o;
    p->state = NODE_PUT_OPENING;
    p->version = version;
    p->bucket_bytes = bucket.size;
    p->group = node_group_of(o->n, bucket);
    buf_init(&p->names, &o->alloc, 2 * WIRE_NAME_BYTES_MAX);
    merkle_builder_init(&p->builder);
    (void)buf_append(&p->names, bucket.data, bucket.size);
    if (buf_append(&p->names, name.data, name.size) != 0) {
        buf_release(&p->names);
        alloc_put(&o->alloc, p, sizeof *p);
        return ERR_NO_MEMORY;
    }
    node_work_add(&o->puts, &p->link);
    o->puts_count++;
    *out = p;
    return 0;
}

void node_put_open(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_objects *o = node_objects_get(n);
    struct bytes bucket;
    struct bytes name;
    bool sized = false;
    uint64_t size = 0;
    struct node_put *p = NULL;
    int err = node_put_params(req, &bucket, &name, &sized, &size);
    if (err == 0 && sized && size > (uint64_t)1 << 50) {
        err = ERR_TOO_LARGE;
    }
    if (err == 0) {
        err = node_put_new(o, bucket, name, &p);
    }
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    p->opener = client;
    p->conn = client.conn;
    p->sized = sized;
    p->size = size;
    const struct node_object_ask ask = {.bucket = bucket};
    p->refs++;
    err = node_objects_ask(o, p->group, NODE_QUERY_BUCKET_GET, &ask, node_request_deadline(n, req),
                           p, node_put_bucket_known);
    if (err != 0) {
        node_put_fail(p, err);
        node_put_release(p);
    }
}

/* ---- part ----------------------------------------------------------------------------------- */

bool node_put_reply_ended(struct node *n, struct node_client client, struct node_put *p,
                          uint64_t id, bool commit)
{
    if (p != NULL && p->state == NODE_PUT_OPEN) {
        return false;
    }
    if (p != NULL && p->state != NODE_PUT_FAILED && p->state != NODE_PUT_ENDED) {
        return false;
    }
    const struct node_put_end *e = node_put_end_find(node_objects_get(n), id);
    if (e == NULL) {
        /* a commit of it may have been sent by an earlier life of this node */
        node_reply_error(n, client, commit ? ERR_TIMEOUT : ERR_CANCELLED,
                         commit ? "upload is not known here: its outcome is in object.stat" : NULL);
    } else if (e->code != 0) {
        node_reply_error(n, client, e->code, NULL);
    } else if (commit) {
        node_reply_ok(n, client, bytes_of(e->answer, e->bytes));
    } else {
        node_reply_error(n, client, ERR_DONE, NULL);
    }
    return true;
}

static void node_put_reply_range(struct node *n, struct node_client client, uint64_t received)
{
    const struct wire_hint hint = {.name = WIRE_FIELD_RECEIVED, .number = received};
    const struct wire_failure f = {
        .code = ERR_RANGE, .message = "part is not the next one", .hints = &hint, .hints_count = 1};
    node_reply_failure(n, client, &f);
}

struct node_put_part_in {
    uint64_t id;
    uint64_t offset;
    struct bytes data;
    uint32_t crc;
};

static int node_part_params(const struct wire_rpc *req, struct node_put_part_in *in)
{
    TRY(wire_params_check(req, 4, 4));
    TRY(wire_param_u64(req, 0, &in->id));
    TRY(wire_param_u64(req, 1, &in->offset));
    TRY(wire_param_bytes(req, 2, WIRE_PART_BYTES_MAX, &in->data));
    TRY(wire_param_u32(req, 3, &in->crc));
    if (crc_of(in->data.data, in->data.size) != in->crc) {
        return ERR_CORRUPT;
    }
    uint64_t end;
    return num_add_u64(in->offset, in->data.size, &end) ? 0 : ERR_INVALID;
}

static void node_part_take(struct node_put *p, struct node_client client,
                           const struct node_put_part_in *in)
{
    struct node *n = p->o->n;
    uint64_t end = in->offset + in->data.size;
    if (in->offset > p->received) {
        node_put_reply_range(n, client, p->received);
        return;
    }
    if (end <= p->received) {
        node_put_reply_received(n, client, p->received);
        return;
    }
    if ((p->sized && end > p->size) || p->waits_count == NODE_PUT_WAITS_MAX) {
        node_reply_error(n, client, p->waits_count == NODE_PUT_WAITS_MAX ? ERR_BUSY : ERR_INVALID,
                         p->waits_count == NODE_PUT_WAITS_MAX ? NULL : "more than was announced");
        return;
    }
    uint64_t skip = p->received - in->offset;
    p->active_us = node_now(n);
    int err = node_put_take(p, bytes_of(in->data.data + skip, in->data.size - (size_t)skip));
    if (err != 0) {
        node_reply_error(n, client, err == ERR_NO_MEMORY ? ERR_BUSY : err, NULL);
        return;
    }
    p->waits[p->waits_count++] = (struct node_put_wait){.client = client, .received = p->received};
    node_put_waits_release(p);
}

void node_put_part(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_put_part_in in;
    int err = node_part_params(req, &in);
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    struct node_put *p = node_put_find(node_objects_get(n), in.id);
    if (node_put_reply_ended(n, client, p, in.id, false)) {
        return;
    }
    if (p->state != NODE_PUT_OPEN || p->from != NULL) {
        node_reply_error(n, client, ERR_INVALID,
                         p->from != NULL ? "upload takes cells of another version, not parts"
                                         : "upload is being committed");
        return;
    }
    p->refs++;
    node_part_take(p, client, &in);
    node_put_release(p);
}

/* ---- commit and abort ----------------------------------------------------------------------- */

static int node_commit_params(const struct wire_rpc *req, uint64_t *id, uint64_t *size,
                              struct bytes *root)
{
    TRY(wire_params_check(req, 3, 3));
    TRY(wire_param_u64(req, 0, id));
    TRY(wire_param_u64(req, 1, size));
    TRY(wire_param_bytes(req, 2, MERKLE_HASH_BYTES, root));
    return root->size == MERKLE_HASH_BYTES ? 0 : ERR_INVALID;
}

/* All bytes are here: the last stripe goes out, or the object stays in the state. */
static void node_commit_begin(struct node_put *p)
{
    struct node *n = p->o->n;
    p->state = NODE_PUT_COMMITTING;
    p->created_us = node_wall(n);
    p->give_up_us = node_now(n) + NODE_PUT_GIVE_UP_US;
    node_put_waits_release(p);
    bool small = p->received <= NODE_OBJECT_INLINE_MAX && p->received < p->stripe_data;
    if (small) {
        uint8_t root[MERKLE_HASH_BYTES];
        uint8_t leaf[COMPUTE_HASH_BYTES];
        node_put_extents_free(p);
        if (p->fill != NULL) {
            compute_leaf_hash(p->fill->data[0], (size_t)p->received, leaf);
            p->fill->x = NULL;
        }
        merkle_root_of(leaf, p->received == 0 ? 0 : 1, root);
        if (memcmp(root, p->root, sizeof root) != 0) {
            node_put_fail(p, ERR_CORRUPT);
            return;
        }
    } else if (p->fill != NULL) {
        struct node_put_extent *x = p->fill->x;
        node_put_launch(p);
        x->closed = true;
    } else {
        struct node_put_extent *x = p->extents[p->extents_count - 1];
        x->closed = true;
        node_put_roots_push(p);
        node_put_extent_judge(x);
    }
    node_put_finish(p);
}

void node_put_commit(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    uint64_t id = 0;
    uint64_t size = 0;
    struct bytes root;
    struct node_cmd cmd = {0};
    int err = node_commit_params(req, &id, &size, &root);
    if (err == 0) {
        err = node_request_cmd(req, &cmd);
    }
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    struct node_put *p = node_put_find(node_objects_get(n), id);
    if (node_put_reply_ended(n, client, p, id, true)) {
        return;
    }
    if (p->state == NODE_PUT_OPENING || p->committers_count == NODE_PUT_COMMITTERS_MAX) {
        node_reply_error(n, client, ERR_BUSY, NULL);
        return;
    }
    p->committers[p->committers_count++] = client;
    if (p->state == NODE_PUT_COMMITTING) {
        return; /* the same request again: both are answered */
    }
    p->refs++;
    memcpy(p->root, root.data, sizeof p->root);
    p->session = (struct node_session_ref){
        .session = cmd.session, .sequence = cmd.sequence, .acked = cmd.acked};
    if (size != p->received || (p->sized && size != p->size)) {
        node_put_fail(p, ERR_CORRUPT);
    } else {
        node_commit_begin(p);
    }
    node_put_release(p);
}

void node_put_abort(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    uint64_t id = 0;
    int err = wire_params_check(req, 1, 1);
    if (err == 0) {
        err = wire_param_u64(req, 0, &id);
    }
    struct node_put *p = err == 0 ? node_put_find(node_objects_get(n), id) : NULL;
    if (p != NULL && p->state == NODE_PUT_COMMITTING) {
        err = ERR_BUSY; /* whether it is in time is decided already */
    }
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    const uint8_t empty_map[1] = {0x80};
    if (p != NULL) {
        p->refs++;
        node_put_fail(p, ERR_CANCELLED);
        node_put_release(p);
    }
    node_reply_ok(n, client, bytes_of(empty_map, sizeof empty_map));
}

/* ---- around --------------------------------------------------------------------------------- */

/* A commit under way is carried through: the client may come back and ask for it. */
void node_put_conn_gone(struct node_objects *o, uint64_t conn)
{
    struct node_work *next;
    for (struct node_work *w = o->puts.next; w != &o->puts; w = next) {
        struct node_put *p = (struct node_put *)(void *)w;
        next = w->next;
        if (p->conn == conn && (p->state == NODE_PUT_OPENING || p->state == NODE_PUT_OPEN)) {
            node_put_fail(p, ERR_CANCELLED);
        }
    }
}

void node_put_free_all(struct node_objects *o)
{
    while (!node_work_empty(&o->puts)) {
        node_put_free((struct node_put *)(void *)o->puts.next);
    }
    while (!node_work_empty(&o->put_ends)) {
        node_put_end_free(o, (struct node_put_end *)(void *)o->put_ends.next);
    }
}
