/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Running a program over an object: each data cell's part is computed where the cell lies, and the
 * states are joined here in the order of the object (docs/adr/0012). Several cells are asked for at
 * once. Where a node says that a part is too much for it, halves are asked for.
 *
 * The tables that it looks into come first (run_table.c).
 *
 *   stat -> (small: its bytes came with it) -> extents -> parts of cells -> finish
 *
 * Of all objects whose names begin alike, each is gone through so in its turn, in the order of
 * their names:
 *
 *   list -> an object -> ... -> an object -> list, from the last name on -> ... -> finish
 *
 * A cell behind the first one keeps what came of it until its turn; it asks for no more while it
 * keeps much. Of CSV it asks for one part: only the first one knows whether its next part begins in
 * quotes. A part behind is computed for both beginnings, without what would be no more than its
 * bytes; if just that is wanted, it is asked for again in its turn.
 */
#include "client/run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_RESTARTS_MAX 1u
#define RUN_BEGINNINGS_MAX 3u /* objects that are replaced all the time end it */
#define RUN_PAGE_NAMES 256u

int hf_program_check(struct hf_bytes text, char *why, size_t why_bytes)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = NULL;
    struct err_info info = {.code = 0};
    int err = compute_program_new(&p, &heap, hf_in(text), &info);
    compute_program_free(p);
    if (why != NULL && why_bytes > 0) {
        (void)snprintf(why, why_bytes, "%s", err != 0 ? info.text : "");
    }
    return err;
}

/* ---- end ------------------------------------------------------------------------------------ */

static void run_release(struct hf_run *r)
{
    hf_job_release(r);
    compute_task_free(r->task);
    free(r->spill_dir);
    hf_run_tables_release(r);
    compute_program_free(r->program);
    hf_cells_release(&r->cells);
    buf_release(&r->bucket);
    buf_release(&r->name);
    buf_release(&r->prefix);
    buf_release(&r->page);
    buf_release(&r->text);
    free(r);
}

void hf_run_end(struct hf_run *r, int code, const char *text)
{
    char subject[96];
    char sentence[HF_TEXT_BYTES];
    struct hf_result result = {.code = code, .text = "", .run = r->cost};
    hf_op_subject(subject, sizeof(subject), buf_view(r->listing ? &r->prefix : &r->name));
    if (code != 0 && r->spill.why.code == code) {
        text = r->spill.why.text;
    }
    if (code != 0) {
        (void)snprintf(sentence, sizeof(sentence), "'%s': %.150s", subject, text);
        result.text = sentence;
    } else {
        result.found = true;
        result.objects = r->many ? NULL : &r->info;
        result.count = !r->many;
    }
    if (r->nodes_fn != NULL) {
        r->nodes_fn(r->nodes_ctx, r->nodes, r->nodes_count);
    }
    hf_transfer_remove(&r->transfer);
    hf_run_drop(r);
    r->done(r->ctx, &result);
    run_release(r);
}

static void run_cancel(struct hf_transfer *t, int code, const char *text)
{
    hf_run_end((struct hf_run *)t, code, text);
}

void hf_run_settle(struct hf_run *r, int err)
{
    if (err != 0) {
        hf_run_end(r, err, err_text(err));
    }
}

/* ---- who holds what ------------------------------------------------------------------------- */

struct hf_run_node *hf_run_node(struct hf_run *r, uint32_t id)
{
    unsigned at = 0;
    while (at < r->nodes_count && r->nodes[at].node < id) {
        at++;
    }
    if (at < r->nodes_count && r->nodes[at].node == id) {
        return &r->nodes[at];
    }
    if (r->nodes_count == HF_NODES_MAX) {
        return NULL;
    }
    memmove(&r->nodes[at + 1], &r->nodes[at], (r->nodes_count - at) * sizeof(r->nodes[0]));
    r->nodes[at] = (struct hf_run_node){.node = id};
    r->nodes_count++;
    return &r->nodes[at];
}

/* Counts the cells of the object that has ended. */
static void run_count_cells(struct hf_run *r)
{
    const uint64_t cell_bytes = r->info.cell_bytes;
    if (r->nodes_fn == NULL || r->info.extents == 0) {
        return;
    }
    for (uint64_t at = 0; at < r->info.size; at += cell_bytes) {
        struct hf_run_node *n =
            hf_run_node(r, hf_cells_holder(&r->cells, &r->info, at / cell_bytes));
        if (n != NULL) {
            n->cells++;
            n->bytes += NUM_MIN(cell_bytes, r->info.size - at);
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

int hf_run_print(struct hf_run *r)
{
    if (!hf_job_is_settled(r)) {
        return 0; /* it is printed when it is */
    }
    struct bytes out = compute_task_output(r->task);
    const size_t skipped = (size_t)NUM_MIN((uint64_t)out.size, r->skip);
    r->skip -= skipped;
    r->written += skipped;
    if (skipped > 0) {
        out = bytes_of(out.data + skipped, out.size - skipped);
    }
    if (out.size > 0) {
        TRY(r->sink.write(r->sink.ctx, out.data, out.size));
        r->written += out.size;
    }
    compute_task_output_clear(r->task);
    return 0;
}

void hf_run_finish(struct hf_run *r)
{
    struct err_info why = {.code = 0};
    if (hf_job_finish_waits(r)) {
        return;
    }
    int err = compute_task_finish(r->task, &why);
    int printed = hf_run_print(r);
    while (err == 0 && printed == 0 && compute_task_has_more(r->task)) {
        err = compute_task_more(r->task, &why);
        printed = hf_run_print(r);
    }
    if (printed != 0) {
        hf_run_end(r, printed, err_text(printed));
    } else {
        hf_run_end(r, err, err != 0 ? why.text : "");
    }
}

static int run_begin(struct hf_run *r)
{
    const struct compute_task_options options = {
        .memory_bytes = r->memory_bytes, .spill = r->spill_dir != NULL ? &r->spill.spill : NULL};
    compute_task_free(r->task);
    r->task = NULL;
    r->cost = (struct hf_run_info){.bytes_moved = r->tables_bytes, .tables_bytes = r->tables_bytes};
    r->before = r->cost;
    r->nodes_count = 0;
    return compute_task_new(&r->task, &r->transfer.client->heap, r->program, &options, NULL);
}

static int run_stat(struct hf_run *r);
static int run_list(struct hf_run *r);

/* From the first object on. */
int hf_run_objects(struct hf_run *r)
{
    if (!r->many) {
        return run_stat(r);
    }
    buf_clear(&r->name);
    return run_list(r);
}

int hf_run_first(struct hf_run *r)
{
    r->listing = false;
    TRY(run_begin(r));
    return hf_job_begins(r) ? hf_job_begin(r) : hf_run_objects(r);
}

void hf_run_once_more(struct hf_run *r)
{
    const struct hf_run_info before = r->cost;
    hf_run_drop(r);
    hf_job_restart(r);
    r->skip += r->written; /* it may have begun again before, and not have come as far again */
    r->written = 0;
    r->resumed_bytes = 0;
    int err = run_begin(r);
    r->cost.disagreed = before.disagreed;
    r->cost.tasks_committed = before.tasks_committed;
    r->cost.tasks_replaced = before.tasks_replaced;
    err = err == 0 ? hf_run_objects(r) : err;
    hf_run_settle(r, err);
}

/* The version was replaced and freed meanwhile. If nothing of it is joined, only this object is
 * begun again, as it is now. */
void hf_run_again(struct hf_run *r)
{
    int err = ERR_VERSION_GONE;
    hf_run_drop(r);
    if (r->restarts < RUN_RESTARTS_MAX && compute_task_to(r->task) == 0 && r->skip == 0) {
        r->restarts++;
        r->cost = r->before;
        err = run_stat(r);
    } else if (r->restarts < RUN_RESTARTS_MAX && r->beginnings < RUN_BEGINNINGS_MAX) {
        r->restarts++;
        r->beginnings++;
        err = 0;
        hf_job_restart(r);
        if (r->written + r->skip > 0) {
            err = r->sink.rewind != NULL ? r->sink.rewind(r->sink.ctx) : ERR_VERSION_GONE;
            r->written = 0;
            r->skip = 0;
        }
        err = err == 0 ? run_begin(r) : err;
        err = err == 0 ? hf_run_objects(r) : err;
    }
    hf_run_settle(r, err);
}

/* ---- one object after the other ------------------------------------------------------------- */

static void run_object_next(struct hf_run *r)
{
    struct bytes_reader page =
        bytes_reader_of(bytes_of(r->page.data + r->page_at, r->page.size - r->page_at));
    int err = 0;
    if (r->page_at < r->page.size) {
        const struct bytes name = bytes_take_bytes(&page, WIRE_NAME_BYTES_MAX);
        r->page_at = (size_t)(name.data + name.size - r->page.data);
        r->restarts = 0;
        r->before = r->cost;
        buf_clear(&r->name);
        err = buf_append(&r->name, name.data, name.size);
        err = err == 0 ? run_stat(r) : err;
    } else if (r->page_more) {
        err = run_list(r);
    } else {
        r->listing = true;
        if (r->cost.objects > 0) {
            hf_run_finish(r);
            return;
        }
        hf_run_end(r, ERR_NOT_FOUND, "there is no such object");
        return;
    }
    hf_run_settle(r, err);
}

/* All of an object is joined, or what is behind does not matter. */
void hf_run_object_ended(struct hf_run *r)
{
    struct err_info why = {.code = 0};
    if (r->many && hf_job_object_waits(r)) {
        return;
    }
    r->cost.objects++;
    r->cost.size += r->info.size;
    run_count_cells(r);
    if (!r->many) {
        hf_run_finish(r);
        return;
    }
    const int err = compute_task_next(r->task, &why);
    const int printed = hf_run_print(r);
    hf_run_own_time(r);
    if (printed != 0 || err != 0) {
        hf_run_end(r, printed != 0 ? printed : err, printed != 0 ? err_text(printed) : why.text);
        return;
    }
    run_object_next(r);
}

/* Keeps the names of an answer. returns: 0; ERR_PROTOCOL: it is none that goes on from the last. */
static int run_page(struct hf_run *r, struct wire_node result)
{
    const struct wire_node list = wire_node_find(result, WIRE_FIELD_ITEMS);
    const struct bytes prefix = bytes_of(r->prefix.data, r->prefix.size - 1);
    struct bytes last = buf_view(&r->name);
    buf_clear(&r->page);
    r->page_at = 0;
    r->page_more = false;
    (void)wire_node_bool(wire_node_find(result, WIRE_FIELD_MORE), &r->page_more);
    for (uint32_t i = 0; i < wire_node_count(list); i++) {
        struct hf_object_info info;
        TRY(hf_object_read_info(wire_node_at(list, i), &info));
        const struct bytes name = hf_in(info.name);
        if (wire_name_check(name) != 0 || bytes_compare(name, last) <= 0 ||
            name.size < prefix.size || !bytes_equal(bytes_of(name.data, prefix.size), prefix)) {
            return ERR_PROTOCOL;
        }
        TRY(buf_put_bytes(&r->page, name));
        last = name;
    }
    return r->page_more && r->page.size == 0 ? ERR_PROTOCOL : 0;
}

static void run_listed(void *ctx, const struct hf_reply *reply)
{
    struct hf_run *r = ctx;
    struct err_info why = {.code = 0};
    r->call = NULL;
    r->listing = false;
    int err = reply->code == 0 && r->cost.objects == 0 ? compute_task_next(r->task, &why) : 0;
    if (reply->code != 0 || err != 0) {
        r->listing = true; /* what is wrong is so of all */
        hf_run_end(r, reply->code != 0 ? reply->code : err,
                   reply->code != 0 ? reply->text : why.text);
        return;
    }
    err = run_page(r, reply->result);
    if (err != 0) {
        r->listing = true;
        hf_run_end(r, err, err == ERR_PROTOCOL ? "a list of objects that is none" : err_text(err));
    } else {
        run_object_next(r);
    }
}

/* The names behind the last one. */
static int run_list(struct hf_run *r)
{
    const struct hf_object o = {.bucket = hf_out(buf_view(&r->bucket)),
                                .timeout_ms = r->timeout_ms};
    const struct hf_call_spec spec = hf_object_spec(&o, WIRE_METHOD_OBJECT_LIST, HF_READ, 4);
    r->listing = true;
    TRY(hf_call_new(r->transfer.client, &spec, &r->call));
    struct buf *head = &r->call->head;
    (void)wire_pack_bin(head, buf_view(&r->bucket));
    (void)wire_pack_bin(head, bytes_of(r->prefix.data, r->prefix.size - 1));
    if (r->name.size == 0) {
        (void)wire_pack_nil(head);
    } else {
        (void)wire_pack_bin(head, buf_view(&r->name));
    }
    (void)wire_pack_u64(head, RUN_PAGE_NAMES);
    int err = hf_call_start(r->call, r, run_listed);
    if (err != 0) {
        r->call = NULL;
    }
    return err;
}

/* ---- extents -------------------------------------------------------------------------------- */

static int run_extents(struct hf_run *r);

static void run_extents_done(void *ctx, const struct hf_reply *reply)
{
    struct hf_run *r = ctx;
    bool more = false;
    r->call = NULL;
    if (reply->code == ERR_VERSION_GONE) {
        hf_run_again(r);
        return;
    }
    if (reply->code != 0) {
        hf_run_end(r, reply->code, reply->text);
        return;
    }
    if (hf_cells_take(&r->cells, &r->info, reply->result, &more) != 0) {
        hf_run_end(r, ERR_CORRUPT, "the list of cells does not match the committed root");
    } else if (more) {
        hf_run_settle(r, run_extents(r));
    } else {
        hf_run_pump(r);
    }
}

static int run_extents(struct hf_run *r)
{
    const struct hf_object o = {.bucket = hf_out(buf_view(&r->bucket)),
                                .name = hf_out(buf_view(&r->name)),
                                .timeout_ms = r->timeout_ms};
    return hf_cells_ask(&r->cells, r->transfer.client, &o, &r->info, &r->call, r, run_extents_done);
}

/* ---- stat ----------------------------------------------------------------------------------- */

/* A small object comes whole with its stat. Ends the run. */
static void run_small(struct hf_run *r, struct bytes data)
{
    uint8_t root[MERKLE_HASH_BYTES];
    struct hf_hasher *h = malloc(sizeof(*h));
    struct compute *c = NULL;
    int err = h == NULL ? ERR_NO_MEMORY : compute_new(&c, &r->transfer.client->heap, NULL);
    if (err == 0) {
        hf_hasher_init(h, c);
        hf_hasher_push(h, data.data, data.size);
        hf_hasher_root(h, root);
        bool same = data.size == r->info.size && memcmp(root, r->info.root, sizeof(root)) == 0;
        err = same ? compute_task_update(r->task, data) : ERR_CORRUPT;
    }
    compute_free(c);
    free(h);
    r->cost.bytes_read += data.size;
    r->cost.bytes_moved += data.size;
    if (r->progress != NULL) {
        r->progress(r->progress_ctx, r->cost.bytes_read, r->cost.size + r->info.size);
    }
    if (err == 0) {
        hf_run_object_ended(r);
    } else {
        hf_run_end(r, err,
                   err == ERR_CORRUPT ? "bytes do not match the committed root" : err_text(err));
    }
}

static void run_stat_done(void *ctx, const struct hf_reply *reply)
{
    struct hf_run *r = ctx;
    r->call = NULL;
    if (reply->code != 0) {
        hf_run_end(r, reply->code, reply->text);
        return;
    }
    if (wire_node_is_nil(reply->result) && r->many) {
        run_object_next(r); /* removed since it was listed */
        return;
    }
    if (wire_node_is_nil(reply->result)) {
        hf_run_end(r, ERR_NOT_FOUND, "there is no such object");
        return;
    }
    int err = hf_object_read_info(reply->result, &r->info);
    r->info.name = hf_out(buf_view(&r->name));
    struct wire_node small = wire_node_find(reply->result, WIRE_FIELD_INLINE);
    if (err == 0 && r->check && r->info.extents > 0 && r->info.m == 0) {
        hf_run_end(r, ERR_INVALID,
                   "its bucket has no parity: nobody but a cell's holder can compute over it");
        return;
    }
    err = err == 0 ? hf_job_object(r) : err;
    if (err == 0 && (!wire_node_is_nil(small) || r->info.size == 0)) {
        run_small(r, hf_field_bytes(reply->result, WIRE_FIELD_INLINE));
        return;
    }
    err = err == 0 && r->info.extents == 0 ? ERR_PROTOCOL : err;
    err = err == 0 ? hf_cells_begin(&r->cells, &r->info) : err;
    r->next = 0;
    r->first = 0;
    r->part_bytes = r->info.cell_bytes;
    hf_run_settle(r, err == 0 ? run_extents(r) : err);
}

static int run_stat(struct hf_run *r)
{
    const struct hf_object o = {.bucket = hf_out(buf_view(&r->bucket)),
                                .timeout_ms = r->timeout_ms};
    const struct hf_call_spec spec = hf_object_spec(&o, WIRE_METHOD_OBJECT_STAT, HF_READ, 2);
    TRY(hf_call_new(r->transfer.client, &spec, &r->call));
    (void)wire_pack_bin(&r->call->head, buf_view(&r->bucket));
    (void)wire_pack_bin(&r->call->head, buf_view(&r->name));
    int err = hf_call_start(r->call, r, run_stat_done);
    if (err != 0) {
        r->call = NULL;
    }
    return err;
}

/* ---- start ---------------------------------------------------------------------------------- */

static int run_init(struct hf_run *r, struct hf_client *c, const struct hf_object *o,
                    const struct hf_program *program)
{
    buf_init(&r->bucket, &c->heap, WIRE_NAME_BYTES_MAX);
    buf_init(&r->name, &c->heap, WIRE_NAME_BYTES_MAX);
    buf_init(&r->prefix, &c->heap, WIRE_NAME_BYTES_MAX + 1);
    buf_init(&r->page, &c->heap, HF_MESSAGE_BYTES_MAX);
    buf_init(&r->text, &c->heap, WIRE_PROGRAM_BYTES_MAX);
    TRY(buf_append(&r->bucket, o->bucket.data, o->bucket.size));
    TRY(buf_append(&r->name, o->name.data, o->name.size));
    TRY(buf_append(&r->prefix, o->prefix.data, o->prefix.size));
    TRY(buf_put_u8(&r->prefix, '*'));
    r->many = o->name.size == 0;
    TRY(buf_append(&r->text, program->text.data, program->text.size));
    r->memory_bytes = program->memory_bytes;
    r->spill_dir = program->spill_dir != NULL ? strdup(program->spill_dir) : NULL;
    TRY(program->spill_dir != NULL && r->spill_dir == NULL ? ERR_NO_MEMORY : 0);
    hf_spill_init(&r->spill, r->spill_dir);
    r->nodes_ctx = program->nodes_ctx;
    r->nodes_fn = program->nodes;
    r->no_backups = program->no_backups;
    r->tables_fn = program->tables_fn;
    r->check = program->check;
    r->disagreed_fn = program->disagreed;
    r->timeout_ms = o->timeout_ms;
    r->progress = o->progress;
    r->progress_ctx = o->progress_ctx;
    r->transfer.end = run_cancel;
    r->transfer.tick = hf_run_tick;
    TRY(program->job.size > 0 ? hf_job_init(r, hf_in(program->job)) : 0);
    TRY(compute_program_new(&r->program, &c->heap, hf_in(program->text), NULL));
    r->seed = rng_next(&c->rng);
    compute_program_seed(r->program, r->seed);
    return hf_run_tables_init(r, program);
}

/* hook: NULL or a hook. */
static int run_start(struct hf_client *c, const struct hf_object *o,
                     const struct hf_program *program, const struct hf_sink *sink,
                     const struct hf_run_hook *hook, void *ctx, hf_done_fn *done)
{
    TRY(hf_object_check(o, o->name.size > 0));
    struct hf_run *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    r->sink = *sink;
    r->hook = hook != NULL ? *hook : (struct hf_run_hook){.joined = NULL};
    r->ctx = ctx;
    r->done = done;
    hf_transfer_add(c, &r->transfer);
    hf_run_drop(r);
    int err = run_init(r, c, o, program);
    if (err == 0) {
        err = r->tables_count > 0 ? hf_run_tables_begin(r) : hf_run_first(r);
    }
    if (err != 0) {
        hf_transfer_remove(&r->transfer);
        run_release(r);
    }
    return err;
}

int hf_object_run(struct hf_client *c, const struct hf_object *o, const struct hf_program *program,
                  const struct hf_sink *sink, void *ctx, hf_done_fn *done)
{
    return run_start(c, o, program, sink, NULL, ctx, done);
}

static int run_drop_output(void *ctx, const void *data, size_t bytes)
{
    (void)ctx;
    (void)data;
    (void)bytes;
    return 0;
}

int hf_run_hooked(struct hf_client *c, const struct hf_object *o, const struct hf_program *program,
                  const struct hf_run_hook *hook, void *ctx, hf_done_fn *done)
{
    const struct hf_sink nowhere = {.write = run_drop_output};
    return run_start(c, o, program, &nowhere, hook, ctx, done);
}
