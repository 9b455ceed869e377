/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * object.run: a program over a range of one data cell. It is run by the node that holds the cell,
 * and only the state of its task travels. If the holder is down, does not answer, or finds its
 * cell damaged, the cell is decoded from any k others and the program is run here: the state has
 * the same bytes. Joining the states of an object is the client's (docs/adr/0012).
 *
 *   find the extent -> ask the holder -> answer
 *                       | down, silent, damaged
 *                       +-> gather -> run here -> answer
 */
#include "base/crc.h"
#include "compute/task.h"
#include "server/node/objects_internal.h"

#define NODE_RUN_HOLDER_US 2000000u /* a holder that has not answered by then is left aside */

struct node_run {
    struct node_work link;
    struct node_objects *o;
    struct node_client client;
    struct node_cell_range range;
    uint8_t quotes;
    bool decoded;
    uint64_t moved;
    uint64_t reserved; /* of o->run_bytes */
    size_t program_bytes;
    uint8_t program[];
};

/* ---- end ------------------------------------------------------------------------------------ */

static void node_run_free(struct node_run *run)
{
    struct node_objects *o = run->o;
    node_work_remove(&run->link);
    o->runs_count--;
    o->run_bytes -= run->reserved;
    node_cell_range_release(&run->range);
    alloc_put(&o->alloc, run, sizeof *run + run->program_bytes);
}

void node_run_free_all(struct node_objects *o)
{
    while (!node_work_empty(&o->runs)) {
        uint8_t *link = (uint8_t *)o->runs.next;
        node_run_free((struct node_run *)(void *)(link - offsetof(struct node_run, link)));
    }
}

static void node_run_fail(struct node_run *run, int code)
{
    node_reply_error(run->o->n, run->client, code, NULL);
    node_run_free(run);
}

static void node_run_reply(struct node_run *run, struct bytes state)
{
    struct buf out;
    buf_init(&out, &run->o->alloc, NODE_RUN_STATE_BYTES_MAX + 4096u);
    (void)wire_pack_map(&out, 4);
    (void)wire_pack_text(&out, WIRE_FIELD_DECODED);
    (void)wire_pack_bool(&out, run->decoded);
    (void)wire_pack_text(&out, WIRE_FIELD_MOVED);
    (void)wire_pack_u64(&out, run->moved);
    (void)wire_pack_text(&out, WIRE_FIELD_CRC32C);
    (void)wire_pack_u64(&out, crc_of(state.data, state.size));
    (void)wire_pack_text(&out, WIRE_FIELD_DATA);
    (void)wire_pack_bin(&out, state);
    if (out.err == 0) {
        node_reply_ok(run->o->n, run->client, buf_view(&out));
        node_run_free(run);
    } else {
        node_run_fail(run, out.err);
    }
    buf_release(&out);
}

/* ---- decoded -------------------------------------------------------------------------------- */

static void node_run_here_done(struct node *n, void *ctx, int code, struct bytes state)
{
    (void)n;
    struct node_run *run = ctx;
    if (code != 0) {
        node_run_fail(run, code);
    } else {
        node_run_reply(run, state);
    }
}

static struct node_run_spec node_run_spec_of(const struct node_run *run)
{
    const struct node_extent_info *info = run->range.info;
    return (struct node_run_spec){
        .program = bytes_of(run->program, run->program_bytes),
        .from = run->range.offset,
        .ref = {.version = run->range.version,
                .group = run->range.group,
                .cell = node_info_cell(info, run->range.place.stripe),
                .shard = run->range.place.shard},
        .at = run->range.at,
        .bytes = (uint32_t)run->range.length,
        .deadline_us = run->range.deadline_us,
        .quotes = run->quotes,
    };
}

/* The cell, as it was decoded, is right by its committed root. */
static int node_run_here(struct node_run *run, const uint8_t *cell)
{
    struct node_run_spec spec = node_run_spec_of(run);
    spec.data = node_blob_new(run->o->n, spec.bytes);
    if (spec.data == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(node_blob_data(spec.data), cell + run->range.at, spec.bytes);
    int err = node_run_start(run->o, &spec, run, node_run_here_done);
    node_blob_release(run->o->n, spec.data);
    return err;
}

static void node_run_gathered(struct node *n, void *ctx, int code, const struct node_gathered *out)
{
    (void)n;
    struct node_run *run = ctx;
    run->moved += out->moved;
    if (code == 0) {
        code = node_run_here(run, out->cell[run->range.place.shard]);
    } else if (code == ERR_LOST && !run->range.refreshed) {
        node_cell_range_refresh(
            &run->range); /* by what was known: shards may lie elsewhere by now */
        return;
    }
    if (code != 0) {
        node_run_fail(run, code);
    }
}

static void node_run_gather(struct node_run *run)
{
    struct node_objects *o = run->o;
    const struct node_gather_spec spec = {.info = run->range.info,
                                          .stripe = run->range.place.stripe,
                                          .wanted = 1u << run->range.place.shard,
                                          .lane = NODE_LANE_COMPUTE,
                                          .deadline_us = run->range.deadline_us};
    uint64_t bytes = run->reserved > 0 ? 0 : node_gather_bytes(run->range.info);
    int err = o->run_bytes > 0 && o->run_bytes + bytes > NODE_RUN_BYTES_OUT_MAX ? ERR_BUSY : 0;
    if (err == 0) {
        run->reserved += bytes;
        o->run_bytes += bytes;
        o->counters.runs_decoded++;
        run->decoded = true;
        err = node_gather_start(o, &spec, run, node_run_gathered);
    }
    if (err != 0) {
        node_run_fail(run, err);
    }
}

/* ---- where it lies -------------------------------------------------------------------------- */

static void node_run_answered(struct node *n, void *ctx, int code, struct bytes state)
{
    struct node_run *run = ctx;
    uint32_t holder = run->range.info->e.holder[run->range.place.shard];
    run->moved += holder == node_self(n) ? 0 : state.size;
    switch (code) {
    case 0: node_run_reply(run, state); return;
    case ERR_BUSY:
    case ERR_INVALID:
    case ERR_TOO_LARGE: node_run_fail(run, code); return; /* so it would be anywhere else */
    case ERR_NOT_FOUND:
        if (!run->range.refreshed) {
            node_cell_range_refresh(
                &run->range); /* the version may be gone, or the shard elsewhere */
            return;
        }
        node_info_damaged(run->range.info, run->range.place.shard);
        break;
    case ERR_CORRUPT:
    case ERR_RANGE: node_info_damaged(run->range.info, run->range.place.shard); break;
    default: break;
    }
    node_run_gather(run);
}

static void node_run_go(struct node_run *run)
{
    struct node_objects *o = run->o;
    uint32_t holder = run->range.info->e.holder[run->range.place.shard];
    struct node_run_spec spec = node_run_spec_of(run);
    uint64_t now = node_now(o->n);
    bool choosy = run->range.info->shape.scheme.m > 0 && !run->range.refreshed;
    bool there = (run->range.info->e.durable >> run->range.place.shard & 1u) != 0 &&
                 (choosy ? node_peer_sure(o->n, holder) : node_peer_is_up(o->n, holder));
    if (choosy && holder != node_self(o->n) && run->range.deadline_us > now) {
        spec.deadline_us = now + NUM_MIN((run->range.deadline_us - now) / 2, NODE_RUN_HOLDER_US);
    }
    if (!there || node_run_ask(o, holder, &spec, run, node_run_answered) != 0) {
        node_run_gather(run);
    }
}

static void node_run_found(struct node_cell_range *range, int code)
{
    struct node_run *run =
        (struct node_run *)(void *)((uint8_t *)range - offsetof(struct node_run, range));
    if (code != 0) {
        node_run_fail(run, code);
    } else {
        node_run_go(run);
    }
}

/* ---- object.run ----------------------------------------------------------------------------- */

struct node_run_params {
    struct bytes bucket;
    struct bytes program;
    uint64_t version;
    uint64_t offset;
    uint64_t length;
    uint64_t quotes;
};

static int node_run_params_of(const struct wire_rpc *req, struct node_run_params *p)
{
    struct bytes name;
    TRY(wire_params_check(req, 6, 7));
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, &p->bucket));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &name));
    TRY(wire_param_u64(req, 2, &p->version));
    TRY(wire_param_u64(req, 3, &p->offset));
    TRY(wire_param_u64(req, 4, &p->length));
    TRY(wire_param_bytes(req, 5, WIRE_PROGRAM_BYTES_MAX, &p->program));
    p->quotes = COMPUTE_TASK_QUOTES_UNKNOWN;
    if (req->params_count > 6) {
        TRY(wire_param_u64(req, 6, &p->quotes));
    }
    return p->quotes <= COMPUTE_TASK_QUOTES_INSIDE ? 0 : ERR_INVALID;
}

void node_run_object(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_objects *o = node_objects_get(n);
    struct node_run_params p;
    struct node_run *run = NULL;
    int err = node_run_params_of(req, &p);
    if (err == 0) {
        err = o->runs_count < node_options_get(n)->limits.object_reads ? 0 : ERR_BUSY;
    }
    if (err == 0) {
        run = alloc_get(&o->alloc, sizeof *run + p.program.size);
        err = run == NULL ? ERR_NO_MEMORY : 0;
    }
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    *run = (struct node_run){.o = o,
                             .client = client,
                             .range = {.o = o,
                                       .group = node_group_of(n, p.bucket),
                                       .version = node_version_of_wire(p.version),
                                       .offset = p.offset,
                                       .length = p.length,
                                       .deadline_us = node_request_deadline(n, req),
                                       .done = node_run_found},
                             .quotes = (uint8_t)p.quotes,
                             .program_bytes = p.program.size};
    if (p.program.size > 0) {
        memcpy(run->program, p.program.data, p.program.size);
    }
    node_work_add(&o->runs, &run->link);
    o->runs_count++;
    o->counters.runs++;
    node_cell_range_find(&run->range);
}
