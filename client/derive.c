/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Scans whose results are written where the object's cells lie (docs/adr/0034). First the totals of
 * all cells, by a run that is told what each cell's carry is; then an upload whose cells nodes
 * make, each with its carry. The root of the new object is made of the roots that they answer.
 *
 *   TOTALS -> OPENING -> CELLS -> COMMITTING -> ended
 *                ^_________|__________|  ^ |
 *     a node was lost: again, with       | v answer lost: the name tells what became of it
 *     another upload                    CHECKING
 *
 * Where it is not known whether the object is there, it ends with an error of unknown outcome; with
 * all others it certainly is not.
 *
 * A scan without a total (`or`, `from`) goes from cell to cell: one is asked for when the carry of
 * the one before has come. Where there are totals, the carry that comes with a cell is compared
 * with them.
 */
#include "client/run_internal.h"

#include "compute/carry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DERIVE_WINDOW 8u
#define DERIVE_RESTARTS_MAX 2u
#define DERIVE_COMMITS_MAX 3u
#define DERIVE_CARRIES_BYTES_MAX ((size_t)64 << 20)
#define DERIVE_CELLS_MAX ((uint64_t)2 << 20)
#define DERIVE_WORD 8u

struct derive_cell {
    struct hf_derive *d;
    struct hf_call *call; /* NULL: none is under way */
    uint64_t cell;
    struct bytes next; /* the carry that is to come with it; nothing: not known */
};

struct hf_derive {
    struct hf_transfer transfer; /* first; in the client's list once the totals are there */
    struct hf_client *client;
    bool listed;
    struct buf bucket;
    struct buf name;
    struct buf into_bucket;
    struct buf into_name;
    struct buf text;
    struct compute_program *program;
    struct compute_program *total; /* NULL: there is none */
    struct buf carries;            /* of cell 0, 1, ...: as buf_put_bytes has them */
    size_t carries_at;             /* behind that of the next cell to ask for */
    struct bytes carry;            /* of the next cell */
    struct buf last;               /* without totals: the carry that came last */
    struct hf_object_info info;    /* of the input */
    struct hf_run_info cost;
    struct hf_run_info before; /* the upload */
    struct hf_call *call;      /* of anything but cells */
    struct derive_cell slots[DERIVE_WINDOW];
    unsigned under_way;
    uint64_t cells;
    uint64_t next; /* cell to ask for */
    uint64_t done_cells;
    uint8_t *roots;
    uint8_t root[MERKLE_HASH_BYTES];
    uint64_t upload;
    uint32_t node;
    uint32_t lost; /* node that is not tried again */
    bool uploading;
    bool unknown; /* a commit was sent, and what became of it is not known */
    unsigned commits;
    unsigned restarts;
    uint64_t timeout_ms;
    void *progress_ctx;
    void (*progress)(void *ctx, uint64_t bytes, uint64_t total);
    void *ctx;
    hf_done_fn *done;
};

/* ---- end ------------------------------------------------------------------------------------ */

static void derive_release(struct hf_derive *d)
{
    compute_program_free(d->program);
    compute_program_free(d->total);
    buf_release(&d->bucket);
    buf_release(&d->name);
    buf_release(&d->into_bucket);
    buf_release(&d->into_name);
    buf_release(&d->text);
    buf_release(&d->carries);
    buf_release(&d->last);
    free(d->roots);
    free(d);
}

static void derive_drop_calls(struct hf_derive *d)
{
    for (unsigned i = 0; i < DERIVE_WINDOW; i++) {
        if (d->slots[i].call != NULL) {
            hf_call_drop(d->slots[i].call);
            d->slots[i].call = NULL;
        }
    }
    d->under_way = 0;
    if (d->call != NULL) {
        hf_call_drop(d->call);
        d->call = NULL;
    }
}

/* Lets the node forget the upload; nobody waits for the answer. */
static void derive_abort(struct hf_derive *d)
{
    const struct hf_call_spec spec = {.method = WIRE_METHOD_OBJECT_ABORT,
                                      .class = HF_ONCE,
                                      .params = 1,
                                      .pin = d->node,
                                      .no_retry = true,
                                      .timeout_ms = 2000};
    struct hf_call *call = NULL;
    if (!d->uploading || hf_call_new(d->client, &spec, &call) != 0) {
        return;
    }
    (void)wire_pack_u64(&call->head, d->upload);
    (void)hf_call_start(call, NULL, NULL);
    d->uploading = false;
}

static void derive_end(struct hf_derive *d, int code, const char *text,
                       const struct hf_object_info *info)
{
    char subject[96];
    char sentence[HF_TEXT_BYTES];
    struct hf_result result = {
        .code = code, .text = "", .objects = info, .count = info != NULL, .run = d->cost};
    hf_op_subject(subject, sizeof(subject), buf_view(&d->name));
    if (!d->unknown && err_outcome_of(code) == ERR_OUTCOME_UNKNOWN) {
        result.code = ERR_UNAVAILABLE; /* of a call before the commit: nothing is under the name */
    }
    if (code != 0) {
        (void)snprintf(sentence, sizeof(sentence), "'%s': %.150s", subject, text);
        result.text = sentence;
    }
    if (d->listed) {
        hf_transfer_remove(&d->transfer);
    }
    derive_drop_calls(d);
    if (code != 0 && !d->unknown) {
        derive_abort(d);
    }
    d->done(d->ctx, &result);
    derive_release(d);
}

static void derive_cancel(struct hf_transfer *t, int code, const char *text)
{
    struct hf_derive *d = (struct hf_derive *)t;
    d->uploading = false; /* nobody is told any more */
    derive_end(d, d->unknown ? ERR_CONNECTION : code, text, NULL);
}

static void derive_settle(struct hf_derive *d, int err)
{
    if (err != 0) {
        derive_end(d, err, err_text(err), NULL);
    }
}

/* ---- commit --------------------------------------------------------------------------------- */

static int derive_commit(struct hf_derive *d);
static void derive_failed(struct hf_derive *d, int code, const char *text);

static void derive_stored(struct hf_derive *d, struct hf_object_info *info, uint64_t moved)
{
    d->unknown = false;
    d->uploading = false;
    info->name = hf_out(buf_view(&d->into_name));
    d->cost.cells_written = d->cells;
    d->cost.bytes_moved += moved;
    derive_end(d, 0, "", info);
}

/* The answer to a commit was lost: the name tells what became of it. */
static void derive_checked(void *ctx, const struct hf_reply *reply)
{
    struct hf_derive *d = ctx;
    struct hf_object_info info;
    d->call = NULL;
    if (reply->code == 0 && !wire_node_is_nil(reply->result) &&
        hf_object_read_info(reply->result, &info) == 0 && info.size == d->info.size &&
        memcmp(info.root, d->root, sizeof(info.root)) == 0) {
        derive_stored(d, &info, 0);
    } else if (d->commits == DERIVE_COMMITS_MAX || derive_commit(d) != 0) {
        derive_end(d, ERR_CONNECTION,
                   "the node was lost during the commit: it may or may not be stored", NULL);
    }
}

static void derive_check(struct hf_derive *d)
{
    const struct hf_object o = {.bucket = hf_out(buf_view(&d->into_bucket)),
                                .timeout_ms = d->timeout_ms};
    const struct hf_call_spec spec = hf_object_spec(&o, WIRE_METHOD_OBJECT_STAT, HF_READ, 2);
    int err = hf_call_new(d->client, &spec, &d->call);
    if (err == 0) {
        (void)wire_pack_bin(&d->call->head, buf_view(&d->into_bucket));
        (void)wire_pack_bin(&d->call->head, buf_view(&d->into_name));
        err = hf_call_start(d->call, d, derive_checked);
    }
    if (err != 0) {
        d->call = NULL;
        derive_end(d, ERR_CONNECTION, "the outcome of the commit is not known", NULL);
    }
}

static void derive_committed(void *ctx, const struct hf_reply *reply)
{
    struct hf_derive *d = ctx;
    struct hf_object_info info;
    const enum err_outcome outcome = err_outcome_of(reply->code);
    const bool not_now = outcome == ERR_OUTCOME_RETRY || reply->code == ERR_NOT_FOUND ||
                         reply->code == ERR_CANCELLED; /* of this commit, not of all */
    d->call = NULL;
    if (outcome == ERR_OUTCOME_UNKNOWN || outcome == ERR_OUTCOME_DONE ||
        (d->commits > 1 && not_now)) {
        derive_check(d);
        return;
    }
    d->unknown = false;
    if (reply->code != 0) { /* certainly not done */
        derive_failed(d, reply->code, reply->text);
        return;
    }
    int err = hf_object_read_info(reply->result, &info);
    if (err == 0 && memcmp(info.root, d->root, sizeof(info.root)) != 0) {
        err = ERR_CORRUPT;
    }
    if (err != 0) {
        d->uploading = false; /* it has ended */
        derive_end(d, err, err_text(err), NULL);
    } else {
        derive_stored(d, &info, hf_field(reply->result, WIRE_FIELD_MOVED));
    }
}

static int derive_commit(struct hf_derive *d)
{
    const struct hf_call_spec spec = {.method = WIRE_METHOD_OBJECT_COMMIT,
                                      .class = HF_ONCE,
                                      .params = 3,
                                      .pin = d->node,
                                      .timeout_ms = d->timeout_ms};
    merkle_root_of(d->roots, d->cells, d->root);
    TRY(hf_call_new(d->client, &spec, &d->call));
    (void)wire_pack_u64(&d->call->head, d->upload);
    (void)wire_pack_u64(&d->call->head, d->info.size);
    (void)wire_pack_bin(&d->call->head, bytes_of(d->root, sizeof(d->root)));
    const int err = hf_call_start(d->call, d, derive_committed);
    if (err != 0) {
        d->call = NULL;
        return err;
    }
    d->unknown = true;
    d->commits++;
    return 0;
}

/* ---- cells ---------------------------------------------------------------------------------- */

static int derive_open(struct hf_derive *d);
static void derive_pump(struct hf_derive *d);

/* returns: whether another upload may go better: a node was lost. */
static bool derive_is_loss(int code)
{
    return code == ERR_UNREACHABLE || code == ERR_CONNECTION || code == ERR_TIMEOUT ||
           code == ERR_CANCELLED || code == ERR_UNAVAILABLE;
}

/* Ends, or begins again with other holders. code: with which a cell failed, or the commit, which
 * then certainly was not done. */
static void derive_failed(struct hf_derive *d, int code, const char *text)
{
    char kept[HF_TEXT_BYTES];
    (void)snprintf(kept, sizeof(kept), "%s", text);
    if (!derive_is_loss(code) || d->restarts == DERIVE_RESTARTS_MAX) {
        derive_end(d, code, kept, NULL);
        return;
    }
    d->restarts++;
    d->lost = code == ERR_CANCELLED ? HF_NOWHERE : d->node;
    derive_drop_calls(d);
    derive_abort(d);
    d->cost = d->before;
    derive_settle(d, derive_open(d));
}

/* The carry of the next cell is taken from those that are known. */
static void derive_carry_next(struct hf_derive *d)
{
    struct bytes_reader r =
        bytes_reader_of(bytes_of(d->carries.data + d->carries_at, d->carries.size - d->carries_at));
    d->carry = bytes_take_bytes(&r, COMPUTE_CARRY_BYTES_MAX);
    d->carries_at = d->carries.size - r.left;
}

/* returns: 0; ERR_PROTOCOL, ERR_CORRUPT: the cell is of no use; ERR_NO_MEMORY. */
static int derive_take(struct derive_cell *slot, const struct hf_reply *reply)
{
    struct hf_derive *d = slot->d;
    bool decoded = false;
    const struct bytes root = hf_field_bytes(reply->result, WIRE_FIELD_ROOT);
    const struct bytes carry = hf_field_bytes(reply->result, WIRE_FIELD_DATA);
    const uint64_t at = slot->cell * d->info.cell_bytes;
    const uint64_t bytes = NUM_MIN(d->info.cell_bytes, d->info.size - at);
    if (root.size != MERKLE_HASH_BYTES || carry.size > COMPUTE_CARRY_BYTES_MAX) {
        return ERR_PROTOCOL;
    }
    if (slot->next.size > 0 && !bytes_equal(slot->next, carry)) {
        return ERR_CORRUPT; /* what was scanned is not what was summed */
    }
    memcpy(d->roots + slot->cell * MERKLE_HASH_BYTES, root.data, root.size);
    if (d->total == NULL) {
        buf_clear(&d->last);
        TRY(buf_append(&d->last, carry.data, carry.size));
        d->carry = buf_view(&d->last);
    }
    (void)wire_node_bool(wire_node_find(reply->result, WIRE_FIELD_DECODED), &decoded);
    d->done_cells++;
    d->cost.cells_decoded += d->total == NULL && decoded;
    d->cost.bytes_read += bytes;
    d->cost.bytes_local += decoded ? 0 : bytes;
    d->cost.bytes_moved += root.size + carry.size + hf_field(reply->result, WIRE_FIELD_MOVED);
    if (d->progress != NULL) {
        d->progress(d->progress_ctx, NUM_MIN(d->done_cells * d->info.cell_bytes, d->info.size),
                    d->info.size);
    }
    return 0;
}

static void derive_answered(void *ctx, const struct hf_reply *reply)
{
    struct derive_cell *slot = ctx;
    struct hf_derive *d = slot->d;
    slot->call = NULL;
    d->under_way--;
    const int err = reply->code != 0 ? reply->code : derive_take(slot, reply);
    if (reply->code != 0) {
        derive_failed(d, err, reply->text);
    } else if (err != 0) {
        derive_end(d, err, "what a node answered is no cell of the result", NULL);
    } else {
        derive_pump(d);
    }
}

static int derive_ask(struct hf_derive *d, struct derive_cell *slot)
{
    const struct hf_call_spec spec = {.method = WIRE_METHOD_OBJECT_DERIVE_CELL,
                                      .class = HF_ONCE,
                                      .params = 3,
                                      .pin = d->node,
                                      .timeout_ms = d->timeout_ms};
    TRY(hf_call_new(d->client, &spec, &slot->call));
    (void)wire_pack_u64(&slot->call->head, d->upload);
    (void)wire_pack_u64(&slot->call->head, d->next);
    (void)wire_pack_bin(&slot->call->head, d->carry);
    d->cost.bytes_moved += d->carry.size;
    slot->d = d;
    slot->cell = d->next++;
    slot->next = bytes_of(NULL, 0);
    if (d->total != NULL) {
        derive_carry_next(d);
        slot->next = d->carry;
    }
    const int err = hf_call_start(slot->call, slot, derive_answered);
    if (err != 0) {
        slot->call = NULL;
        return err;
    }
    d->under_way++;
    return 0;
}

/* Keeps the window full. */
static void derive_pump(struct hf_derive *d)
{
    const unsigned window = d->total != NULL ? DERIVE_WINDOW : 1;
    int err = 0;
    for (unsigned i = 0; i < DERIVE_WINDOW && err == 0; i++) {
        if (d->slots[i].call == NULL && d->under_way < window && d->next < d->cells) {
            err = derive_ask(d, &d->slots[i]);
        }
    }
    if (err == 0 && d->under_way == 0) {
        err = derive_commit(d);
    }
    derive_settle(d, err);
}

/* ---- the upload ----------------------------------------------------------------------------- */

static void derive_opened(void *ctx, const struct hf_reply *reply)
{
    struct hf_derive *d = ctx;
    d->call = NULL;
    if (reply->code != 0) {
        derive_end(d, reply->code, reply->text, NULL);
        return;
    }
    d->upload = hf_field(reply->result, WIRE_FIELD_UPLOAD);
    d->node = reply->node;
    d->uploading = true;
    d->commits = 0;
    d->next = 0;
    d->done_cells = 0;
    d->carries_at = 0;
    derive_carry_next(d); /* without totals there is one, of nothing */
    if (hf_field(reply->result, WIRE_FIELD_CELL_BYTES) != d->info.cell_bytes) {
        derive_end(d, ERR_PROTOCOL, err_text(ERR_PROTOCOL), NULL);
        return;
    }
    derive_pump(d);
}

static int derive_open(struct hf_derive *d)
{
    const struct hf_call_spec spec = {.method = WIRE_METHOD_OBJECT_DERIVE,
                                      .class = HF_READ,
                                      .params = 6,
                                      .pin = HF_NOWHERE,
                                      .timeout_ms = d->timeout_ms};
    TRY(hf_call_new(d->client, &spec, &d->call));
    d->call->avoid = d->lost;
    struct buf *head = &d->call->head;
    (void)wire_pack_bin(head, buf_view(&d->bucket));
    (void)wire_pack_bin(head, buf_view(&d->name));
    (void)wire_pack_u64(head, d->info.version);
    (void)wire_pack_bin(head, buf_view(&d->into_bucket));
    (void)wire_pack_bin(head, buf_view(&d->into_name));
    (void)wire_pack_bin(head, buf_view(&d->text));
    const int err = hf_call_start(d->call, d, derive_opened);
    if (err != 0) {
        d->call = NULL;
    }
    return err;
}

/* ---- totals --------------------------------------------------------------------------------- */

/* As struct hf_run_hook has it. */
static int derive_joined(void *ctx, uint64_t cell, const struct compute_task *t)
{
    struct hf_derive *d = ctx;
    struct buf carry;
    if (cell == 0) { /* for the first time, or again as the object was replaced */
        buf_clear(&d->carries);
    }
    buf_init(&carry, &d->client->heap, COMPUTE_CARRY_BYTES_MAX);
    int err = cell == 0 ? compute_carry_of(d->program, NULL, &carry) : 0;
    err = err == 0 && cell == 0 ? buf_put_bytes(&d->carries, buf_view(&carry)) : err;
    buf_clear(&carry);
    err = err != 0 ? err : compute_carry_of(d->program, t, &carry);
    err = err != 0 ? err : buf_put_bytes(&d->carries, buf_view(&carry));
    buf_release(&carry);
    return err;
}

/* What is known of the object is enough to begin. */
static int derive_begin(struct hf_derive *d)
{
    if (d->info.extents == 0 || d->info.size % DERIVE_WORD != 0 || d->info.cell_bytes == 0) {
        return ERR_INVALID;
    }
    d->cells = num_div_up(d->info.size, d->info.cell_bytes);
    if (d->cells > DERIVE_CELLS_MAX) {
        return ERR_TOO_LARGE;
    }
    d->roots = malloc((size_t)d->cells * MERKLE_HASH_BYTES);
    if (d->roots == NULL) {
        return ERR_NO_MEMORY;
    }
    hf_transfer_add(d->client, &d->transfer);
    d->listed = true;
    d->before = d->cost;
    return derive_open(d);
}

static void derive_known(void *ctx, const struct hf_result *result)
{
    struct hf_derive *d = ctx;
    if (result->code != 0) {
        derive_end(d, result->code, result->text, NULL);
        return;
    }
    if (result->count != 1) {
        derive_end(d, ERR_NOT_FOUND, "there is no such object", NULL);
        return;
    }
    d->info = result->objects[0];
    d->cost = result->run;
    if (d->total == NULL) {
        d->cost.objects = 1;
        d->cost.size = d->info.size;
        d->cost.cells = num_div_up(d->info.size, NUM_MAX(d->info.cell_bytes, (uint64_t)1));
    }
    derive_settle(d, derive_begin(d));
}

/* ---- start ---------------------------------------------------------------------------------- */

static int derive_programs(struct hf_derive *d, const struct hf_program *program)
{
    char text[COMPUTE_CARRY_TEXT];
    const struct alloc *heap = &d->client->heap;
    TRY(compute_program_new(&d->program, heap, hf_in(program->text), NULL));
    if (!compute_carry_has(d->program)) {
        return ERR_INVALID;
    }
    if (compute_carry_total(d->program, text) == 0) {
        return compute_program_new(&d->total, heap, bytes_of_text(text), NULL);
    }
    struct buf carry;
    buf_init(&carry, heap, COMPUTE_CARRY_BYTES_MAX);
    int err = compute_carry_of(d->program, NULL, &carry);
    err = err != 0 ? err : buf_put_bytes(&d->carries, buf_view(&carry));
    buf_release(&carry);
    return err;
}

static int derive_init(struct hf_derive *d, const struct hf_object *from,
                       const struct hf_program *program, const struct hf_object *into)
{
    const struct alloc *heap = &d->client->heap;
    buf_init(&d->bucket, heap, WIRE_NAME_BYTES_MAX);
    buf_init(&d->name, heap, WIRE_NAME_BYTES_MAX);
    buf_init(&d->into_bucket, heap, WIRE_NAME_BYTES_MAX);
    buf_init(&d->into_name, heap, WIRE_NAME_BYTES_MAX);
    buf_init(&d->text, heap, WIRE_PROGRAM_BYTES_MAX);
    buf_init(&d->carries, heap, DERIVE_CARRIES_BYTES_MAX);
    buf_init(&d->last, heap, COMPUTE_CARRY_BYTES_MAX);
    TRY(buf_append(&d->bucket, from->bucket.data, from->bucket.size));
    TRY(buf_append(&d->name, from->name.data, from->name.size));
    TRY(buf_append(&d->into_bucket, into->bucket.data, into->bucket.size));
    TRY(buf_append(&d->into_name, into->name.data, into->name.size));
    TRY(buf_append(&d->text, program->text.data, program->text.size));
    d->node = HF_NOWHERE;
    d->lost = HF_NOWHERE;
    d->timeout_ms = from->timeout_ms;
    d->progress = into->progress;
    d->progress_ctx = into->progress_ctx;
    d->transfer.end = derive_cancel;
    return derive_programs(d, program);
}

static int derive_totals(struct hf_derive *d, const struct hf_object *from,
                         const struct hf_program *program)
{
    char text[COMPUTE_CARRY_TEXT];
    struct hf_program total = *program;
    const struct hf_run_hook hook = {.ctx = d, .joined = derive_joined};
    if (compute_carry_total(d->program, text) != 0) {
        return hf_object_stat(d->client, from, d, derive_known);
    }
    total.text = hf_out(bytes_of_text(text));
    total.tables = NULL;
    total.tables_count = 0;
    total.spill_dir = NULL;
    total.job = (struct hf_bytes){.data = NULL};
    total.check = false;
    return hf_run_hooked(d->client, from, &total, &hook, d, derive_known);
}

int hf_object_derive(struct hf_client *c, const struct hf_object *from,
                     const struct hf_program *program, const struct hf_object *into, void *ctx,
                     hf_done_fn *done)
{
    TRY(hf_object_check(from, true));
    TRY(hf_object_check(into, true));
    struct hf_derive *d = calloc(1, sizeof(*d));
    if (d == NULL) {
        return ERR_NO_MEMORY;
    }
    d->client = c;
    d->ctx = ctx;
    d->done = done;
    int err = derive_init(d, from, program, into);
    err = err != 0 ? err : derive_totals(d, from, program);
    if (err != 0) {
        derive_release(d);
    }
    return err;
}
