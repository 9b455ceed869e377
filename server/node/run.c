/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * object.run: a program over a range of one data cell. It is run by the node that holds the cell,
 * and only the state of its task travels. If the holder is down, makes no progress, or finds its
 * cell damaged, or the asker wants it done apart from the holder, the cell is decoded from any k
 * others and the program is run here: the state has the same bytes. What comes first is the answer,
 * and the other is told to stop. A stripe that has lost a cell may be asked for as a whole: then
 * the program is run here over the cells that were read to decode the lost one, too
 * (docs/adr/0042). Joining the states of an object is the client's (docs/adr/0012).
 *
 *   find the extent -> ask the holder -> answer
 *                       | down, without progress, damaged
 *                       +-> gather -> run here -> answer
 */
#include "base/crc.h"
#include "compute/task.h"
#include "server/node/objects_internal.h"

#include <stdio.h>

#define NODE_RUN_LOOK_US 250000u    /* how often the holder is asked how far it is */
#define NODE_RUN_SILENT_US 1000000u /* a holder without progress for so long is not waited for */
#define NODE_RUN_TEXT 300u

struct node_run {
    struct node_work link;
    struct node_objects *o;
    struct node_client client;
    struct node_cell_range range;
    struct node_timer look;
    struct node_decoded_use use; /* of the cell, while it is being decoded */
    uint8_t quotes;
    uint8_t where;   /* enum wire_run_where; HOLDER once nothing else is left */
    bool stripe;     /* it was STRIPE */
    bool read;       /* the cell, and others of its stripe were decoded of it */
    bool over;       /* answered, or nobody waits for it */
    bool finding;    /* the extent */
    bool gathering;  /* or the program is run here */
    bool decoded;    /* the program was run over a cell that was; counted */
    bool placed;     /* a place is kept for the task over it */
    unsigned asked;  /* calls to holders that have not ended */
    unsigned waits;  /* calls back that are to come: not before the last one is it freed */
    int failed;      /* why it could not be decoded */
    uint32_t holder; /* that was asked last */
    uint64_t ticket;
    uint64_t steps;    /* grow as it goes on */
    uint64_t slices;   /* as the holder told */
    uint64_t heard_us; /* when it last told of other ones */
    uint64_t moved;
    uint64_t fetched; /* of tables */
    unsigned tables;
    unsigned table;    /* that was missing, of the last answer; and 1 */
    uint64_t reserved; /* of o->run_bytes */
    size_t program_bytes;
    size_t lookups_bytes;
    uint8_t program[]; /* then lookups */
};

static struct bytes node_run_lookups(const struct node_run *run)
{
    return bytes_of(run->program + run->program_bytes, run->lookups_bytes);
}

/* ---- end ------------------------------------------------------------------------------------ */

/* Nothing is being decoded, nor the program run over what was. A holder that does not answer may
 * keep the run itself for long after. */
static void node_run_give_back(struct node_run *run)
{
    run->o->run_places -= run->placed;
    run->o->run_bytes -= run->reserved;
    run->placed = false;
    run->reserved = 0;
}

static void node_run_free(struct node_run *run)
{
    struct node_objects *o = run->o;
    node_timer_cancel(o->n, &run->look);
    node_work_remove(&run->link);
    node_run_give_back(run);
    node_cell_range_release(&run->range);
    alloc_put(&o->alloc, run, sizeof *run + run->program_bytes + run->lookups_bytes);
}

void node_run_free_all(struct node_objects *o)
{
    while (!node_work_empty(&o->runs)) {
        uint8_t *link = (uint8_t *)o->runs.next;
        node_run_free((struct node_run *)(void *)(link - offsetof(struct node_run, link)));
    }
}

/* A call back has come. returns: whether the run goes on; else it may be gone. */
static bool node_run_back(struct node_run *run)
{
    ASSERT(run->waits > 0);
    run->waits--;
    if (run->over && run->waits == 0) {
        node_run_free(run);
        return false;
    }
    return !run->over;
}

static void node_run_told(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)code;
    (void)reply;
    (void)node_run_back(ctx);
}

/* Nobody waits for it: what is at work for it stops. */
static void node_run_over(struct node_run *run)
{
    struct node_objects *o = run->o;
    const struct node_run_look stop = {
        .ticket = run->ticket, .stop = true, .deadline_us = node_now(o->n) + NODE_RUN_SILENT_US};
    ASSERT(!run->over);
    run->over = true;
    o->runs_count--;
    node_timer_cancel(o->n, &run->look);
    run->waits++;
    if (run->asked > 0 && run->holder != node_self(o->n) &&
        node_run_look(o, run->holder, &stop, run, node_run_told) == 0) {
        run->waits++;
    }
    node_run_stop(o, node_self(o->n), run->ticket);
    (void)node_run_back(run);
}

/* A sentence that names the table that is missing. */
static void node_run_about_table(const struct node_run *run, int code, char text[NODE_RUN_TEXT])
{
    struct bytes_reader r = bytes_reader_of(node_run_lookups(run));
    struct node_lookup l = {.size = 0};
    for (unsigned i = 0; i < run->table; i++) {
        node_lookup_take(&r, &l);
    }
    (void)snprintf(text, NODE_RUN_TEXT, "table '%.*s/%.*s': %s",
                   (int)NUM_MIN(l.bucket.size, (size_t)80), (const char *)l.bucket.data,
                   (int)NUM_MIN(l.name.size, (size_t)80), (const char *)l.name.data,
                   code == ERR_CONFLICT ? "was replaced or removed, and is gone" : err_text(code));
}

static void node_run_fail(struct node_run *run, int code)
{
    char text[NODE_RUN_TEXT];
    if (run->table > 0) {
        node_run_about_table(run, code, text);
    }
    node_reply_error(run->o->n, run->client, code, run->table > 0 ? text : NULL);
    node_run_over(run);
}

/* What came with a code. returns: the code, or ERR_INVALID where the other node's answer is none.
 * *state: without what tables cost, which is counted. */
static int node_run_take_answer(struct node_run *run, int code, struct bytes *state)
{
    uint64_t fetched = 0;
    uint64_t moved = 0;
    run->table = 0;
    if (run->lookups_bytes == 0) {
        return code;
    }
    if (code == 0 && !node_run_cost_take(state, &fetched, &moved)) {
        return ERR_INVALID;
    }
    if (code != 0 && state->size == 1 && state->data[0] < run->tables) {
        run->table = state->data[0] + 1u;
    }
    run->fetched += fetched;
    run->moved += moved;
    return code;
}

/* here: it was run by this node over a cell in memory. */
static void node_run_reply(struct node_run *run, bool here, struct bytes state)
{
    struct buf out;
    const bool tables = run->tables > 0;
    const bool where = tables || run->stripe;
    buf_init(&out, &run->o->alloc, NODE_RUN_STATE_BYTES_MAX + 4096u);
    (void)wire_pack_map(&out, 4u + where + tables);
    if (where) {
        (void)wire_pack_text(&out, WIRE_FIELD_NODE);
        (void)wire_pack_u64(&out, here ? node_self(run->o->n) : run->holder);
    }
    if (tables) {
        (void)wire_pack_text(&out, WIRE_FIELD_FETCHED);
        (void)wire_pack_u64(&out, run->fetched);
    }
    (void)wire_pack_text(&out, WIRE_FIELD_DECODED);
    (void)wire_pack_bool(&out, here && !run->read);
    (void)wire_pack_text(&out, WIRE_FIELD_MOVED);
    (void)wire_pack_u64(&out, run->moved);
    (void)wire_pack_text(&out, WIRE_FIELD_CRC32C);
    (void)wire_pack_u64(&out, crc_of(state.data, state.size));
    (void)wire_pack_text(&out, WIRE_FIELD_DATA);
    (void)wire_pack_bin(&out, state);
    if (out.err == 0) {
        node_reply_ok(run->o->n, run->client, buf_view(&out));
        node_run_over(run);
    } else {
        node_run_fail(run, out.err);
    }
    buf_release(&out);
}

static struct node_run *node_run_of(struct node_work *link)
{
    return (struct node_run *)(void *)((uint8_t *)link - offsetof(struct node_run, link));
}

/* returns: a run that is going on for the connection, under the message id; or NULL. */
static struct node_run *node_run_for(const struct node_objects *o, uint64_t conn,
                                     const uint32_t *msgid)
{
    for (struct node_work *w = o->runs.next; w != &o->runs; w = w->next) {
        struct node_run *run = node_run_of(w);
        if (!run->over && run->client.conn == conn &&
            (msgid == NULL || run->client.msgid == *msgid)) {
            return run;
        }
    }
    return NULL;
}

void node_run_conn_gone(struct node_objects *o, uint64_t conn)
{
    struct node_run *run = NULL;
    while ((run = node_run_for(o, conn, NULL)) != NULL) {
        node_run_over(run);
    }
}

/* ---- decoded -------------------------------------------------------------------------------- */

static void node_run_go(struct node_run *run);

/* It cannot be decoded: the holder may still have it done, if it was not the one to say why. */
static void node_run_not_here(struct node_run *run, int code)
{
    node_run_give_back(run);
    const bool stripe = run->where == WIRE_RUN_STRIPE;
    run->gathering = false;
    run->failed = stripe ? 0 : code; /* it may yet be decoded alone */
    if (run->asked > 0) {
        return;
    }
    if (run->where != WIRE_RUN_HOLDER) {
        run->where = WIRE_RUN_HOLDER;
        node_run_go(run);
        return;
    }
    node_run_fail(run, code);
}

static void node_run_here_done(struct node *n, void *ctx, int code, struct bytes state)
{
    (void)n;
    struct node_run *run = ctx;
    node_run_give_back(run);
    if (!node_run_back(run)) {
        return;
    }
    code = node_run_take_answer(run, code, &state);
    switch (code) {
    case 0: node_run_reply(run, true, state); return;
    case ERR_CONFLICT:
    case ERR_PROTOCOL:
    case ERR_INVALID:
    case ERR_TOO_LARGE:
    case ERR_TIMEOUT: node_run_fail(run, code); return;     /* so it would be anywhere else */
    case ERR_UNAVAILABLE: node_run_fail(run, code); return; /* this node ends: it asks nobody */
    default: node_run_not_here(run, code); return;
    }
}

static struct node_run_spec node_run_spec_of(const struct node_run *run)
{
    const struct node_extent_info *info = run->range.info;
    return (struct node_run_spec){
        .program = bytes_of(run->program, run->program_bytes),
        .lookups = node_run_lookups(run),
        .from = run->range.offset,
        .ref = {.version = run->range.version,
                .group = run->range.group,
                .cell = node_info_cell(info, run->range.place.stripe),
                .shard = run->range.place.shard},
        .at = run->range.at,
        .bytes = (uint32_t)run->range.length,
        .deadline_us = run->range.deadline_us,
        .asker = node_self(run->o->n),
        .ticket = run->ticket,
        .quotes = run->quotes,
    };
}

/* The cell is right by its committed root, or, where it was read, by its checksums. The task takes
 * the place. */
static int node_run_here(struct node_run *run, const struct node_decoded_cell *cell)
{
    struct node_objects *o = run->o;
    struct node_run_spec spec = node_run_spec_of(run);
    const size_t bytes = node_blob_bytes(cell->blob).size;
    spec.placed = true;
    spec.data = cell->blob;
    spec.data_at = cell->at + run->range.at;
    ASSERT(num_fits(spec.data_at, spec.bytes, bytes));
    node_run_give_back(run);
    run->reserved = bytes;
    o->run_bytes += bytes;
    run->read = cell->read;
    o->counters.runs_decoded += !cell->read && !run->decoded;
    run->decoded |= !cell->read;
    int err = node_run_start(o, &spec, run, node_run_here_done);
    run->waits += err == 0;
    return err;
}

static void node_run_refresh(struct node_run *run)
{
    run->finding = true;
    run->waits++;
    node_cell_range_refresh(&run->range);
}

static void node_run_gathered(struct node_decoded_use *use, int code,
                              const struct node_decoded_cell *cell, uint64_t moved)
{
    struct node_run *run =
        (struct node_run *)(void *)((uint8_t *)use - offsetof(struct node_run, use));
    if (code != 0 || run->over) {
        node_run_give_back(run);
    }
    if (!node_run_back(run)) {
        return;
    }
    run->moved += moved;
    run->steps++;
    if (code == 0) {
        code = node_run_here(run, cell);
    } else if (code == ERR_LOST && !run->range.refreshed && run->asked == 0) {
        run->gathering = false;
        node_run_refresh(run); /* by what was known: shards may lie elsewhere by now */
        return;
    }
    if (code != 0) {
        node_run_not_here(run, code);
    }
}

/* returns: 0, the cell being decoded, or the program run over it; or why neither has begun. */
static int node_run_decode(struct node_run *run)
{
    struct node_objects *o = run->o;
    const uint8_t shard = run->range.place.shard;
    const struct node_gather_spec spec = {.info = run->range.info,
                                          .stripe = run->range.place.stripe,
                                          .wanted = 1u << shard,
                                          .by_finger = true,
                                          .lane = NODE_LANE_COMPUTE,
                                          .deadline_us = run->range.deadline_us};
    struct node_decoded_cell kept;
    run->use.shard = shard;
    run->use.stripe = run->where == WIRE_RUN_STRIPE;
    run->use.done = node_run_gathered;
    if (node_decoded_take(o, &spec, &run->use, &kept)) {
        const int err = node_run_here(run, &kept);
        node_blob_release(o->n, kept.blob);
        return err;
    }
    TRY(node_decoded_want(o, &spec, &run->use));
    run->waits++;
    return 0;
}

/* The place of the task is taken before anything is read. returns: 0, or why it has not begun. */
static int node_run_gather(struct node_run *run)
{
    struct node_objects *o = run->o;
    ASSERT(!run->gathering && !run->placed);
    if (!node_run_has_place(o)) {
        return ERR_BUSY;
    }
    run->placed = true;
    o->run_places++;
    const int err = node_run_decode(run);
    if (err != 0) {
        node_run_give_back(run);
        return err;
    }
    run->table = 0; /* what goes wrong now is of the cell */
    run->gathering = true;
    return 0;
}

static void node_run_without(struct node_run *run)
{
    int err = run->failed != 0 ? run->failed : node_run_gather(run);
    if (err != 0) {
        node_run_fail(run, err);
    }
}

/* ---- where it lies -------------------------------------------------------------------------- */

static void node_run_answered(struct node *n, void *ctx, int code, struct bytes state)
{
    struct node_run *run = ctx;
    run->asked--;
    if (!node_run_back(run)) {
        return;
    }
    code = node_run_take_answer(run, code, &state);
    run->moved += run->holder == node_self(n) ? 0 : state.size;
    if (code == 0) {
        node_run_reply(run, false, state);
        return;
    }
    if (run->gathering || run->finding) {
        return;
    }
    switch (code) {
    case ERR_BUSY:
    case ERR_CONFLICT: /* of a table, as the next one */
    case ERR_PROTOCOL:
    case ERR_INVALID:
    case ERR_TOO_LARGE: node_run_fail(run, code); return; /* so it would be anywhere else */
    case ERR_NOT_FOUND:
        if (!run->range.refreshed) {
            node_run_refresh(run); /* the version may be gone, or the shard elsewhere */
            return;
        }
        node_info_damaged(run->range.info, run->range.place.shard);
        break;
    case ERR_CORRUPT:
    case ERR_RANGE: node_info_damaged(run->range.info, run->range.place.shard); break;
    default: break;
    }
    node_run_without(run);
}

static void node_run_looked(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_run *run = ctx;
    uint64_t slices = 0;
    if (!node_run_back(run) || code != 0 || !node_run_look_reply(reply, &slices)) {
        return;
    }
    if (slices != run->slices) {
        run->slices = slices;
        run->steps++;
        run->heard_us = node_now(n);
    }
}

/* As long as the holder goes on it is waited for, however slow it is: it is not asked twice. */
static void node_run_look_at(struct node *n, struct node_timer *timer)
{
    struct node_run *run = timer->ctx;
    const uint64_t now = node_now(n);
    const struct node_run_look look = {.ticket = run->ticket,
                                       .deadline_us = now + NODE_RUN_SILENT_US};
    if (run->asked == 0 || run->gathering || run->finding || run->failed != 0) {
        return;
    }
    if (now >= run->heard_us + NODE_RUN_SILENT_US && node_run_gather(run) == 0) {
        return;
    }
    run->waits += node_run_look(run->o, run->holder, &look, run, node_run_looked) == 0;
    node_timer_set(n, timer, now + NODE_RUN_LOOK_US);
}

static void node_run_go(struct node_run *run)
{
    struct node_objects *o = run->o;
    uint32_t holder = run->range.info->e.holder[run->range.place.shard];
    struct node_run_spec spec = node_run_spec_of(run);
    bool parity = run->range.info->shape.scheme.m > 0;
    bool choosy = parity && !run->range.refreshed && run->failed == 0;
    bool there = (run->range.info->e.durable >> run->range.place.shard & 1u) != 0 &&
                 (choosy ? node_peer_sure(o->n, holder) : node_peer_is_up(o->n, holder));
    if (parity && run->where != WIRE_RUN_HOLDER && node_run_gather(run) == 0) {
        return;
    }
    run->where = WIRE_RUN_HOLDER;
    if (!there || node_run_ask(o, holder, &spec, run, node_run_answered) != 0) {
        node_run_without(run);
        return;
    }
    run->waits++;
    run->asked++;
    run->holder = holder;
    if (holder != node_self(o->n)) {
        run->slices = 0;
        run->heard_us = node_now(o->n);
        if (choosy) {
            node_timer_set(o->n, &run->look, run->heard_us + NODE_RUN_LOOK_US);
        }
    }
}

static void node_run_found(struct node_cell_range *range, int code)
{
    struct node_run *run =
        (struct node_run *)(void *)((uint8_t *)range - offsetof(struct node_run, range));
    run->finding = false;
    if (!node_run_back(run)) {
        return;
    }
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
    uint64_t where;
    struct buf lookups;
    unsigned tables;
};

static int node_run_params_of(const struct wire_rpc *req, struct node_run_params *p)
{
    struct bytes name;
    TRY(wire_params_check(req, 6, 9));
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, &p->bucket));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &name));
    TRY(wire_param_u64(req, 2, &p->version));
    TRY(wire_param_u64(req, 3, &p->offset));
    TRY(wire_param_u64(req, 4, &p->length));
    TRY(wire_param_bytes(req, 5, WIRE_PROGRAM_BYTES_MAX, &p->program));
    p->quotes = COMPUTE_TASK_QUOTES_UNKNOWN;
    p->where = WIRE_RUN_HOLDER;
    if (req->params_count > 6) {
        TRY(wire_param_u64(req, 6, &p->quotes));
    }
    if (req->params_count > 7) {
        TRY(wire_param_u64(req, 7, &p->where));
    }
    if (req->params_count > 8) {
        const struct wire_node list = wire_node_at(req->params, 8);
        TRY(node_lookups_of(list, &p->lookups));
        p->tables = wire_node_count(list);
    }
    const bool known = p->quotes <= COMPUTE_TASK_QUOTES_INSIDE && p->where <= WIRE_RUN_STRIPE;
    return known ? 0 : ERR_INVALID;
}

/* returns: NULL without memory. */
static struct node_run *node_run_new(struct node_objects *o, struct node_client client,
                                     const struct wire_rpc *req, const struct node_run_params *p)
{
    struct node *n = o->n;
    struct node_run *run = alloc_get(&o->alloc, sizeof *run + p->program.size + p->lookups.size);
    if (run == NULL) {
        return NULL;
    }
    *run = (struct node_run){.o = o,
                             .client = client,
                             .range = {.o = o,
                                       .group = node_group_of(n, p->bucket),
                                       .version = node_version_of_wire(p->version),
                                       .offset = p->offset,
                                       .length = p->length,
                                       .deadline_us = node_request_deadline(n, req),
                                       .done = node_run_found},
                             .look = {.ctx = run, .fire = node_run_look_at},
                             .quotes = (uint8_t)p->quotes,
                             .where = (uint8_t)p->where,
                             .stripe = p->where == WIRE_RUN_STRIPE,
                             .finding = true,
                             .waits = 1,
                             .ticket = ++o->run_tickets,
                             .tables = p->tables,
                             .program_bytes = p->program.size,
                             .lookups_bytes = p->lookups.size};
    if (p->program.size > 0) {
        memcpy(run->program, p->program.data, p->program.size);
    }
    if (p->lookups.size > 0) {
        memcpy(run->program + p->program.size, p->lookups.data, p->lookups.size);
    }
    return run;
}

void node_run_object(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_objects *o = node_objects_get(n);
    struct node_run_params p = {.tables = 0};
    struct node_run *run = NULL;
    buf_init(&p.lookups, &o->alloc, NODE_OBJECT_BODY_BYTES_MAX);
    int err = node_run_params_of(req, &p);
    if (err == 0) {
        err = o->runs_count < node_options_get(n)->limits.object_reads ? 0 : ERR_BUSY;
    }
    if (err == 0) {
        run = node_run_new(o, client, req, &p);
        err = run == NULL ? ERR_NO_MEMORY : 0;
    }
    buf_release(&p.lookups);
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    node_work_add(&o->runs, &run->link);
    o->runs_count++;
    o->counters.runs++;
    node_cell_range_find(&run->range);
}

/* ---- object.run.look ------------------------------------------------------------------------ */

void node_run_look_object(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_objects *o = node_objects_get(n);
    struct node_run *run = NULL;
    struct buf out;
    uint64_t msgid = 0;
    uint64_t stop = 0;
    int err = wire_params_check(req, 2, 2);
    err = err != 0 ? err : wire_param_u64(req, 0, &msgid);
    err = err != 0 ? err : wire_param_u64(req, 1, &stop);
    err = err != 0 || (msgid <= UINT32_MAX && stop <= 1) ? err : ERR_INVALID;
    if (err == 0) {
        run = node_run_for(o, client.conn, &(const uint32_t){(uint32_t)msgid});
        err = run == NULL ? ERR_NOT_FOUND : 0;
    }
    if (err != 0) {
        node_reply_error(n, client, err, NULL);
        return;
    }
    const bool here = run->gathering || run->holder == node_self(n);
    buf_init(&out, &o->alloc, 4096);
    (void)wire_pack_map(&out, 1);
    (void)wire_pack_text(&out, WIRE_FIELD_STEPS);
    (void)wire_pack_u64(&out, run->steps + (here ? o->run_slices : 0));
    if (stop != 0) {
        node_run_fail(run, ERR_CANCELLED);
    }
    if (out.err == 0) {
        node_reply_ok(n, client, buf_view(&out));
    } else {
        node_reply_error(n, client, out.err, NULL);
    }
    buf_release(&out);
}
