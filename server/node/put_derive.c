/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Uploads whose cells follow from those of another version (docs/adr/0034): object.derive,
 * object.derive.cell. The upload has the layout of that version, and each of its extents the
 * holders; a cell is made by its holder. If that one is down, or has the input's cell damaged, the
 * cell is decoded here and what follows from it is sent to the holder. When all cells of an extent
 * are there, a node that holds some of them makes the parity.
 *
 *   cell    find the input's extent -> ask the holder -> done
 *                                       | down, damaged
 *                                       +-> gather -> make it here, send it -> done
 *   extent  cells -> parity elsewhere -> judge, as of any upload
 *
 * A holder that is lost before there is parity ends the upload: what it had is lost with it.
 */
#include "compute/carry.h"
#include "server/node/put_internal.h"

#define NODE_DERIVE_WORD 8u /* bytes of a record, and of its result */
#define NODE_DERIVE_CELLS_MAX 64u
#define NODE_DERIVE_EXTENTS_MAX 2u /* of an upload, that are begun and not recorded yet */

/* One request for a cell. */
struct node_derive_cell {
    struct node_work link; /* first */
    struct node_objects *o;
    struct node_client client;
    struct node_put *p; /* counted in its refs */
    struct node_cell_range range;
    struct node_put_extent *x; /* NULL: not begun */
    uint32_t at;               /* of its cells */
    bool decoded;
    uint64_t moved;
    uint64_t reserved; /* of o->run_bytes */
    size_t carry_bytes;
    uint8_t carry[COMPUTE_CARRY_BYTES_MAX];
};

void node_put_from_free(struct node_put *p)
{
    if (p->from != NULL) {
        alloc_put(&p->o->alloc, p->from, sizeof *p->from + p->from->program_bytes);
        p->from = NULL;
    }
}

/* ---- parity --------------------------------------------------------------------------------- */

void node_put_extent_moved(const struct node_put_extent *x, uint32_t at, uint32_t made,
                           const uint32_t *target)
{
    const struct node_put *p = x->p;
    struct erasure_layout layout;
    if (p->from == NULL || node_shape_layout(&p->shape, p->size, &layout) != 0) {
        return;
    }
    const unsigned k = p->shape.scheme.k;
    for (unsigned s = 0; s < k + p->shape.scheme.m; s++) {
        const bool read = s < k && x->holder[s] != at;
        const bool sent = (made >> s & 1u) != 0 && target[s] != at;
        const uint64_t bytes = erasure_shard_bytes(&layout, x->number, (uint8_t)s);
        p->from->moved += bytes * ((unsigned)read + sent);
    }
}

static uint32_t node_put_parity_of(const struct node_put *p)
{
    return node_extent_all(p->shape.scheme) & ~((1u << (p->shape.scheme.k - 1) << 1) - 1);
}

/* returns: who has most of the extent's shards: the least has to go to it and from it. */
static uint32_t node_put_coder(const struct node_put_extent *x)
{
    const struct node_put *p = x->p;
    const unsigned shards = (unsigned)p->shape.scheme.k + p->shape.scheme.m;
    uint32_t best = node_self(p->o->n);
    unsigned most = 0;
    for (unsigned s = 0; s < shards; s++) {
        unsigned has = 0;
        for (unsigned i = 0; i < shards; i++) {
            has += x->holder[i] == x->holder[s];
        }
        if (has > most && node_peer_is_up(p->o->n, x->holder[s])) {
            best = x->holder[s];
            most = has;
        }
    }
    return best;
}

static void node_put_coded(struct node_put_extent *x, uint32_t failed)
{
    x->failed |= failed;
    x->bare = false;
    x->state = NODE_EXTENT_OPEN;
    node_put_extent_judge(x); /* what failed is rebuilt by this node */
}

static void node_put_parity_again(struct node *n, struct node_timer *t)
{
    (void)n;
    struct node_put_extent *x = t->ctx;
    struct node_put *p = x->p;
    if (p->state != NODE_PUT_FAILED) {
        x->state = NODE_EXTENT_OPEN;
        node_put_extent_judge(x);
    }
    node_put_release(p);
}

static void node_put_parity_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_put_extent *x = ctx;
    struct node_put *p = x->p;
    uint32_t failed = 0;
    struct bytes fingers = {0};
    if (code == ERR_BUSY && p->state != NODE_PUT_FAILED && node_now(n) < x->give_up_us) {
        x->timer.ctx = x; /* it makes that of others: this node would soon be as busy */
        x->timer.fire = node_put_parity_again;
        node_timer_set(n, &x->timer, node_now(n) + NODE_PUT_RETRY_US);
        return;
    }
    bool made = code == 0 && node_parity_reply(reply, &failed, &fingers) == 0 && failed == 0;
    if (made && fingers.size == (size_t)x->cells_count * ERASURE_FINGER_BYTES) {
        memcpy(x->fingers.data, fingers.data, fingers.size);
        x->fingers.whole = true;
    }
    if (p->state != NODE_PUT_FAILED) { /* where one failed, the others were left in part */
        node_put_extent_moved(x, x->coder, made ? node_put_parity_of(p) : 0, x->holder);
        node_put_coded(x, made ? 0 : node_put_parity_of(p));
    }
    node_put_release(p);
}

void node_put_extent_parity(struct node_put_extent *x)
{
    struct node_put *p = x->p;
    struct node_extent e;
    const uint32_t parity = node_put_parity_of(p);
    x->coder = node_put_coder(x);
    x->failed = parity;
    node_put_extent_record(x, &e);
    x->failed = 0;
    struct node_parity_spec spec = {
        .version = p->version,
        .group = p->group,
        .extent = x->number,
        .shape = &p->shape,
        .size = (uint64_t)x->number * p->extent_stripes * p->stripe_data + x->bytes,
        .e = &e,
        .wanted = parity,
        .deadline_us = node_now(p->o->n) + NODE_PUT_GIVE_UP_US};
    memcpy(spec.target, x->holder, sizeof spec.target);
    x->state = NODE_EXTENT_REBUILDING;
    if (node_parity_ask(p->o, x->coder, &spec, x, node_put_parity_done) == 0) {
        p->refs++;
    } else {
        node_put_coded(x, parity);
    }
}

/* ---- a cell --------------------------------------------------------------------------------- */

static void node_derive_cell_free(struct node_derive_cell *c)
{
    struct node_objects *o = c->o;
    o->run_bytes -= c->reserved;
    node_cell_range_release(&c->range);
    node_work_remove(&c->link);
    o->derive_cells_count--;
    alloc_put(&o->alloc, c, sizeof *c);
}

void node_derive_cells_free_all(struct node_objects *o)
{
    while (!node_work_empty(&o->derive_cells)) {
        node_derive_cell_free((struct node_derive_cell *)(void *)o->derive_cells.next);
    }
}

/* Answers with an error. The cell may be asked for again, unless the upload has failed. */
static void node_derive_cell_fail(struct node_derive_cell *c, int code)
{
    struct node_put *p = c->p;
    if (c->x != NULL) {
        c->x->cells[c->at] = NODE_PUT_CELL_NONE;
    }
    if (p->state == NODE_PUT_FAILED) { /* not to be asked for again */
        node_reply_error(c->o->n, c->client, ERR_CANCELLED, err_text(p->code));
    } else {
        node_reply_error(c->o->n, c->client, code, NULL);
    }
    node_derive_cell_free(c);
    node_put_release(p);
}

/* The upload ends with it. */
static void node_derive_cell_lost(struct node_derive_cell *c, int code)
{
    node_put_fail(c->p, code == ERR_DISK_FULL ? code : ERR_UNAVAILABLE);
    node_derive_cell_fail(c, code);
}

static void node_derive_cell_reply(struct node_derive_cell *c, const uint8_t *root,
                                   struct bytes carry)
{
    struct node *n = c->o->n;
    struct buf out;
    buf_init(&out, &c->o->alloc, 4096);
    (void)wire_pack_map(&out, 4);
    (void)wire_pack_text(&out, WIRE_FIELD_ROOT);
    (void)wire_pack_bin(&out, bytes_of(root, MERKLE_HASH_BYTES));
    (void)wire_pack_text(&out, WIRE_FIELD_DATA);
    (void)wire_pack_bin(&out, carry);
    (void)wire_pack_text(&out, WIRE_FIELD_DECODED);
    (void)wire_pack_bool(&out, c->decoded);
    (void)wire_pack_text(&out, WIRE_FIELD_MOVED);
    (void)wire_pack_u64(&out, c->moved);
    if (out.err == 0) {
        node_reply_ok(n, c->client, buf_view(&out));
    } else {
        node_reply_error(n, c->client, out.err, NULL);
    }
    buf_release(&out);
}

/* The cell is durable. */
static void node_derive_cell_done(struct node_derive_cell *c, const struct node_derived *d)
{
    struct node_put_extent *x = c->x;
    struct node_put *p = c->p;
    ASSERT(x->cells[c->at] == NODE_PUT_CELL_BEGUN && x->cells_left > 0);
    memcpy(x->roots + (size_t)c->at * MERKLE_HASH_BYTES, d->root, MERKLE_HASH_BYTES);
    x->cells[c->at] = NODE_PUT_CELL_DONE;
    x->cells_left--;
    p->received += c->range.length;
    p->active_us = node_now(c->o->n);
    node_derive_cell_reply(c, d->root, d->carry);
    node_derive_cell_free(c);
    if (x->cells_left == 0) {
        x->hashed = x->stripes;
        x->done = x->stripes;
        node_put_roots_push(p);
        node_put_extent_judge(x);
    }
    node_put_release(p);
}

static struct node_derive_spec node_derive_spec_of(const struct node_derive_cell *c)
{
    const struct node_extent_info *info = c->range.info;
    const struct node_put *p = c->p;
    const uint32_t cell = node_info_cell(info, c->range.place.stripe);
    return (struct node_derive_spec){
        .program = bytes_of(p->from->program, p->from->program_bytes),
        .carry = bytes_of(c->carry, c->carry_bytes),
        .from = c->range.offset,
        .in = {.version = c->range.version,
               .group = c->range.group,
               .cell = cell,
               .shard = c->range.place.shard},
        .bytes = (uint32_t)c->range.length,
        .out = {.version = p->version,
                .group = p->group,
                .cell = cell,
                .shard = c->range.place.shard},
        .target = c->x->holder[c->range.place.shard],
        .deadline_us = c->range.deadline_us,
    };
}

/* ---- decoded here --------------------------------------------------------------------------- */

static void node_derive_cell_made(struct node *n, void *ctx, int code, const struct node_derived *d)
{
    (void)n;
    struct node_derive_cell *c = ctx;
    if (code == 0 && c->p->state != NODE_PUT_FAILED) {
        c->moved += c->x->holder[c->range.place.shard] == node_self(n) ? 0 : c->range.length;
        node_derive_cell_done(c, d);
    } else if (code == 0 || code == ERR_BUSY ||
               err_outcome_of(code) == ERR_OUTCOME_REFUSED) { /* no fault of the holder's */
        node_derive_cell_fail(c, code);
    } else {
        node_derive_cell_lost(c, code);
    }
}

static void node_derive_cell_gathered(struct node *n, void *ctx, int code,
                                      const struct node_gathered *g)
{
    struct node_derive_cell *c = ctx;
    if (code != 0 || c->p->state == NODE_PUT_FAILED) {
        node_derive_cell_fail(c, code);
        return;
    }
    struct node_derive_spec spec = node_derive_spec_of(c);
    c->moved += g->moved;
    spec.data = node_blob_new(n, spec.bytes);
    if (spec.data == NULL) {
        node_derive_cell_fail(c, ERR_BUSY);
        return;
    }
    memcpy(node_blob_data(spec.data), g->cell[c->range.place.shard], spec.bytes);
    int err = node_derive_start(c->o, &spec, c, node_derive_cell_made);
    node_blob_release(n, spec.data);
    if (err != 0) {
        node_derive_cell_fail(c, err);
    }
}

static void node_derive_cell_gather(struct node_derive_cell *c)
{
    struct node_objects *o = c->o;
    const struct node_gather_spec spec = {.info = c->range.info,
                                          .stripe = c->range.place.stripe,
                                          .wanted = 1u << c->range.place.shard,
                                          .lane = NODE_LANE_COMPUTE,
                                          .deadline_us = c->range.deadline_us};
    const uint64_t bytes = node_gather_bytes(c->range.info);
    int err = node_decoded_room(o, bytes) ? 0 : ERR_BUSY;
    err = err != 0 ? err : node_gather_start(o, &spec, c, node_derive_cell_gathered);
    if (err != 0) {
        node_derive_cell_fail(c, err);
        return;
    }
    c->decoded = true;
    c->reserved = bytes;
    o->run_bytes += bytes;
    o->counters.runs_decoded++;
}

/* ---- where it lies -------------------------------------------------------------------------- */

static void node_derive_cell_answered(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_derive_cell *c = ctx;
    struct node_derived d;
    code = code != 0 ? code : node_derive_reply(reply, &d);
    if (c->p->state == NODE_PUT_FAILED) {
        node_derive_cell_fail(c, c->p->code);
        return;
    }
    switch (code) {
    case 0:
        c->moved +=
            c->x->holder[c->range.place.shard] == node_self(n) ? 0 : c->carry_bytes + reply.size;
        node_derive_cell_done(c, &d);
        return;
    case ERR_NOT_FOUND: /* or moved meanwhile: what is decoded is right either way */
    case ERR_CORRUPT:
    case ERR_RANGE:
        node_info_damaged(c->range.info, c->range.place.shard);
        node_derive_cell_gather(c);
        return;
    default: break;
    }
    if (code == ERR_BUSY || err_outcome_of(code) == ERR_OUTCOME_REFUSED) {
        node_derive_cell_fail(c, code);
    } else {
        node_derive_cell_lost(c, code);
    }
}

static void node_derive_cell_go(struct node_derive_cell *c)
{
    const struct node_derive_spec spec = node_derive_spec_of(c);
    const struct node_extent *e = &c->range.info->e;
    const uint8_t shard = c->range.place.shard;
    const bool there = (e->durable >> shard & 1u) != 0 && e->holder[shard] == spec.target;
    c->x->cells[c->at] = NODE_PUT_CELL_BEGUN;
    if (!there || node_derive_ask(c->o, spec.target, &spec, c, node_derive_cell_answered) != 0) {
        node_derive_cell_gather(c);
    }
}

/* Parity is made behind the cells, each extent's at once: cells wait where too much of it is due.
 * returns: whether one more extent may be begun. */
static bool node_derive_extent_fits(const struct node_put *p)
{
    unsigned under_way = 0;
    for (uint32_t i = 0; i < p->extents_count; i++) {
        under_way += p->extents[i]->state != NODE_EXTENT_DONE;
    }
    return under_way < NODE_DERIVE_EXTENTS_MAX;
}

/* returns: 0 and c->x is its extent, or why it cannot be. */
static int node_derive_cell_extent(struct node_derive_cell *c)
{
    struct node_put *p = c->p;
    const struct node_extent_info *info = c->range.info;
    const bool begun = info->extent < p->extents_count;
    if (info->extent > p->extents_count || (!begun && !node_derive_extent_fits(p))) {
        return ERR_BUSY;
    }
    if (!begun) {
        TRY(node_put_extent_like(p, &info->e));
    }
    struct node_put_extent *x = p->extents[info->extent];
    const uint32_t at = c->range.place.stripe * (uint32_t)p->shape.scheme.k + c->range.place.shard;
    if (x->cells_count != info->e.cells || at >= x->cells_count) {
        return ERR_CORRUPT;
    }
    if (x->cells[at] != NODE_PUT_CELL_NONE) {
        return x->cells[at] == NODE_PUT_CELL_DONE ? ERR_DONE : ERR_BUSY;
    }
    c->x = x;
    c->at = at;
    return 0;
}

static void node_derive_cell_found(struct node_cell_range *range, int code)
{
    struct node_derive_cell *c =
        (struct node_derive_cell *)(void *)((uint8_t *)range -
                                            offsetof(struct node_derive_cell, range));
    struct node_put *p = c->p;
    code = code == 0 && p->state != NODE_PUT_OPEN ? ERR_CANCELLED : code;
    code = code != 0 ? code : node_derive_cell_extent(c);
    if (code == 0) {
        node_derive_cell_go(c);
    } else if (code == ERR_UNAVAILABLE && range->info != NULL) {
        node_derive_cell_lost(c, code); /* these nodes cannot hold the extent */
    } else {
        node_derive_cell_fail(c, code);
    }
}

static int node_derive_cell_params(const struct wire_rpc *req, uint64_t *id, uint64_t *cell,
                                   struct bytes *carry)
{
    TRY(wire_params_check(req, 3, 3));
    TRY(wire_param_u64(req, 0, id));
    TRY(wire_param_u64(req, 1, cell));
    return wire_param_bytes(req, 2, COMPUTE_CARRY_BYTES_MAX, carry);
}

/* returns: NULL without memory. */
static struct node_derive_cell *node_derive_cell_new(struct node_put *p, struct node_client client,
                                                     uint64_t cell, struct bytes carry)
{
    struct node_objects *o = p->o;
    struct node_derive_cell *c = alloc_get_zeroed(&o->alloc, 1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    const uint64_t offset = cell * p->shape.cell_bytes;
    c->o = o;
    c->p = p;
    c->client = client;
    c->range = (struct node_cell_range){
        .o = o,
        .group = p->from->group,
        .version = p->from->version,
        .offset = offset,
        .length = NUM_MIN((uint64_t)p->shape.cell_bytes, p->size - offset),
        .deadline_us = node_now(o->n) + node_options_get(o->n)->put_deadline_us,
        .done = node_derive_cell_found};
    c->carry_bytes = carry.size;
    if (carry.size > 0) {
        memcpy(c->carry, carry.data, carry.size);
    }
    node_work_add(&o->derive_cells, &c->link);
    o->derive_cells_count++;
    p->refs++;
    return c;
}

void node_put_derive_cell(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_objects *o = node_objects_get(n);
    uint64_t id = 0;
    uint64_t cell = 0;
    struct bytes carry;
    int err = node_derive_cell_params(req, &id, &cell, &carry);
    struct node_put *p = err == 0 ? node_put_find(o, id) : NULL;
    if (err == 0 && node_put_reply_ended(n, client, p, id, false)) {
        return;
    }
    if (err == 0 && (p->state != NODE_PUT_OPEN || p->from == NULL)) {
        err = ERR_INVALID;
    }
    if (err == 0 && cell >= num_div_up(p->size, p->shape.cell_bytes)) {
        err = ERR_RANGE;
    }
    if (err == 0 && o->derive_cells_count >= NODE_DERIVE_CELLS_MAX) {
        err = ERR_BUSY;
    }
    struct node_derive_cell *c = err == 0 ? node_derive_cell_new(p, client, cell, carry) : NULL;
    if (c == NULL) {
        node_reply_error(n, client, err != 0 ? err : ERR_NO_MEMORY, NULL);
        return;
    }
    node_cell_range_find(&c->range);
}

/* ---- object.derive -------------------------------------------------------------------------- */

static void node_derive_open_end(struct node_put *p, int code)
{
    if (p->state == NODE_PUT_OPENING) {
        if (code != 0) {
            node_put_fail(p, code);
        } else {
            node_put_intent(p);
        }
    }
    node_put_release(p);
}

static void node_derive_bucket_known(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_put *p = ctx;
    struct node_bucket b = {0};
    if (code == 0 && reply.size < 8) {
        code = ERR_CORRUPT;
    }
    if (code == 0) {
        code = node_bucket_decode(bytes_of(reply.data + 8, reply.size - 8), &b);
    }
    const struct erasure_scheme scheme = p->shape.scheme;
    if (code == 0 && (b.scheme.k != scheme.k || b.scheme.m != scheme.m)) {
        code = ERR_SCHEME;
    }
    p->give_up_us = node_now(n) + NODE_PUT_GIVE_UP_US;
    node_derive_open_end(p, code);
}

/* The upload gets the layout of the version. returns: 0 or why it cannot. */
static int node_derive_shape(struct node_put *p, struct bytes reply)
{
    struct node_extents_answer a;
    struct erasure_layout layout;
    TRY(node_extents_answer_of(reply, &a));
    if (!a.has_version || a.version.state != NODE_VERSION_LIVE) {
        return ERR_VERSION_GONE;
    }
    if (a.version.extents == 0 || a.version.size % NODE_DERIVE_WORD != 0) {
        return ERR_INVALID; /* it lies in its record, is empty, or has no such records */
    }
    TRY(node_shape_layout(&a.version.shape, a.version.size, &layout));
    p->shape = a.version.shape;
    p->size = a.version.size;
    p->extent_stripes = layout.extent_stripes;
    p->stripe_data = layout.stripe_bytes;
    p->stripe_total = ((uint64_t)p->shape.scheme.k + p->shape.scheme.m) * p->shape.cell_bytes;
    p->erasure = node_objects_code(p->o, p->shape.scheme);
    return p->erasure == NULL ? ERR_NO_MEMORY : 0;
}

static void node_derive_version_known(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_put *p = ctx;
    const struct node_object_ask ask = {.bucket = node_put_bucket(p)};
    code = code != 0 ? code : node_derive_shape(p, reply);
    if (code == 0 && p->state == NODE_PUT_OPENING) {
        code = node_objects_ask(p->o, p->group, NODE_QUERY_BUCKET_GET, &ask,
                                node_objects_patience(p->o), p, node_derive_bucket_known);
        if (code == 0) {
            return;
        }
    }
    (void)n;
    node_derive_open_end(p, code);
}

struct node_derive_params {
    struct bytes bucket;
    uint64_t version;
    struct bytes into_bucket;
    struct bytes into_name;
    struct bytes program;
};

static int node_derive_params_of(const struct wire_rpc *req, struct node_derive_params *d)
{
    struct bytes name;
    TRY(wire_params_check(req, 6, 6));
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, &d->bucket));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &name));
    TRY(wire_param_u64(req, 2, &d->version));
    TRY(wire_param_bytes(req, 3, WIRE_NAME_BYTES_MAX, &d->into_bucket));
    TRY(wire_param_bytes(req, 4, WIRE_NAME_BYTES_MAX, &d->into_name));
    TRY(wire_param_bytes(req, 5, WIRE_PROGRAM_BYTES_MAX, &d->program));
    TRY(wire_bucket_check(d->bucket));
    TRY(wire_bucket_check(d->into_bucket));
    return wire_name_check(d->into_name);
}

static struct node_put_from *node_put_from_new(struct node_objects *o,
                                               const struct node_derive_params *d)
{
    struct node_put_from *f = alloc_get_zeroed(&o->alloc, 1, sizeof *f + d->program.size);
    if (f != NULL) {
        f->group = node_group_of(o->n, d->bucket);
        f->version = node_version_of_wire(d->version);
        f->program_bytes = d->program.size;
        if (d->program.size > 0) {
            memcpy(f->program, d->program.data, d->program.size);
        }
    }
    return f;
}

void node_put_derive(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_objects *o = node_objects_get(n);
    struct node_derive_params d;
    struct node_put *p = NULL;
    int err = node_derive_params_of(req, &d);
    err = err != 0 ? err : node_put_new(o, d.into_bucket, d.into_name, &p);
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    p->opener = client;
    p->conn = client.conn;
    p->sized = true;
    p->refs++;
    p->from = node_put_from_new(o, &d);
    const struct node_object_ask ask = {.version = node_version_of_wire(d.version), .limit = 1};
    err = p->from == NULL
              ? ERR_NO_MEMORY
              : node_objects_ask(o, p->from->group, NODE_QUERY_OBJECT_EXTENTS, &ask,
                                 node_request_deadline(n, req), p, node_derive_version_known);
    if (err != 0) {
        node_derive_open_end(p, err);
    }
}
