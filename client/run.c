/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Running a program over an object: each data cell's part is computed where the cell lies, and the
 * states are joined here in the order of the object (docs/adr/0012). Several cells are asked for at
 * once. Where a node says that a part is too much for it, halves are asked for.
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
#include "client/object_internal.h"
#include "compute/task.h"

#include "base/crc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_WINDOW 8u
#define RUN_STATE_BYTES_MAX ((uint64_t)1 << 20)
#define RUN_KEPT_BYTES_MAX ((uint64_t)2 << 20) /* of states, by a cell whose turn is not yet */
#define RUN_FITS 16u /* parts that were small, until larger ones are tried */
#define RUN_RESTARTS_MAX 1u
#define RUN_PAGE_NAMES 256u

/* One cell. */
struct run_slot {
    struct hf_run *run;
    struct hf_call *call;
    uint64_t cell;
    uint64_t at;                     /* before it all is computed */
    uint64_t end;                    /* of the cell, in the object */
    uint64_t bytes;                  /* asked for */
    enum compute_task_quotes quotes; /* told when it was asked for */
    unsigned tries;
    bool decoded;
    uint64_t kept_bytes;
    struct compute_task *kept;
};

struct hf_run {
    struct hf_transfer transfer; /* first */
    struct buf bucket;
    struct buf name;   /* of the object whose turn it is */
    bool many;         /* all whose names begin with prefix */
    struct buf prefix; /* and, in messages, an asterisk */
    struct buf page;   /* names that were listed, as buf_put_bytes has them */
    size_t page_at;    /* those before it have had their turn */
    bool page_more;    /* there are others behind it */
    bool listing;      /* what goes wrong now is so of all, not of the object of that name */
    struct buf text;   /* of the program */
    struct hf_sink sink;
    uint64_t memory_bytes;
    uint64_t timeout_ms;
    struct compute_program *program;
    struct compute_task *task; /* of all before the first slot's */
    struct hf_object_info info;
    struct hf_cells cells;
    struct hf_run_info cost;
    struct hf_run_info before; /* this object */
    struct hf_call *call;      /* of anything but cells */
    struct run_slot slots[RUN_WINDOW];
    unsigned first;
    unsigned count;
    uint64_t next;       /* byte of the next cell to ask for */
    uint64_t part_bytes; /* most that is asked for at once */
    unsigned fits;
    uint64_t written;
    unsigned restarts;
    void *progress_ctx;
    void (*progress)(void *ctx, uint64_t bytes, uint64_t total);
    void *ctx;
    hf_done_fn *done;
};

int hf_program_check(struct hf_bytes text, char *why, size_t why_bytes)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = NULL;
    struct err_info info = {.code = 0};
    const int err = compute_program_new(&p, &heap, hf_in(text), &info);
    compute_program_free(p);
    if (why != NULL && why_bytes > 0) {
        (void)snprintf(why, why_bytes, "%s", err != 0 ? info.text : "");
    }
    return err;
}

/* ---- end ------------------------------------------------------------------------------------ */

static void run_drop(struct hf_run *r)
{
    for (unsigned i = 0; i < RUN_WINDOW; i++) {
        struct run_slot *slot = &r->slots[i];
        if (slot->call != NULL) {
            hf_call_drop(slot->call);
        }
        compute_task_free(slot->kept);
        *slot = (struct run_slot){.run = r};
    }
    if (r->call != NULL) {
        hf_call_drop(r->call);
        r->call = NULL;
    }
    r->count = 0;
}

static void run_release(struct hf_run *r)
{
    compute_task_free(r->task);
    compute_program_free(r->program);
    hf_cells_release(&r->cells);
    buf_release(&r->bucket);
    buf_release(&r->name);
    buf_release(&r->prefix);
    buf_release(&r->page);
    buf_release(&r->text);
    free(r);
}

static void run_end(struct hf_run *r, int code, const char *text)
{
    char subject[96];
    char sentence[HF_TEXT_BYTES];
    struct hf_result result = {.code = code, .text = "", .run = r->cost};
    hf_op_subject(subject, sizeof(subject), buf_view(r->listing ? &r->prefix : &r->name));
    if (code != 0) {
        (void)snprintf(sentence, sizeof(sentence), "'%s': %.150s", subject, text);
        result.text = sentence;
    } else {
        result.found = true;
        result.objects = r->many ? NULL : &r->info;
        result.count = !r->many;
    }
    hf_transfer_remove(&r->transfer);
    run_drop(r);
    r->done(r->ctx, &result);
    run_release(r);
}

static void run_cancel(struct hf_transfer *t, int code, const char *text)
{
    run_end((struct hf_run *)t, code, text);
}

static void run_settle(struct hf_run *r, int err)
{
    if (err != 0) {
        run_end(r, err, err_text(err));
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int run_print(struct hf_run *r)
{
    const struct bytes out = compute_task_output(r->task);
    if (out.size > 0) {
        TRY(r->sink.write(r->sink.ctx, out.data, out.size));
        r->written += out.size;
    }
    compute_task_output_clear(r->task);
    return 0;
}

/* All is joined, or what is behind does not matter. Ends the run. */
static void run_finish(struct hf_run *r)
{
    struct err_info why = {.code = 0};
    const int err = compute_task_finish(r->task, &why);
    const int printed = run_print(r);
    if (printed != 0) {
        run_end(r, printed, err_text(printed));
    } else {
        run_end(r, err, err != 0 ? why.text : "");
    }
}

static int run_begin(struct hf_run *r)
{
    const struct compute_task_options options = {.memory_bytes = r->memory_bytes};
    compute_task_free(r->task);
    r->task = NULL;
    r->cost = (struct hf_run_info){.cells = 0};
    r->before = r->cost;
    return compute_task_new(&r->task, &r->transfer.client->heap, r->program, &options, NULL);
}

static int run_stat(struct hf_run *r);
static int run_list(struct hf_run *r);

/* From the first object on. */
static int run_objects(struct hf_run *r)
{
    if (!r->many) {
        return run_stat(r);
    }
    buf_clear(&r->name);
    return run_list(r);
}

/* The version was replaced and freed meanwhile. If nothing of it is joined, only this object is
 * begun again, as it is now. */
static void run_again(struct hf_run *r)
{
    int err = ERR_VERSION_GONE;
    run_drop(r);
    if (r->restarts < RUN_RESTARTS_MAX && compute_task_to(r->task) == 0) {
        r->restarts++;
        r->cost = r->before;
        err = run_stat(r);
    } else if (r->restarts < RUN_RESTARTS_MAX) {
        r->restarts++;
        err = 0;
        if (r->written > 0) {
            err = r->sink.rewind != NULL ? r->sink.rewind(r->sink.ctx) : ERR_VERSION_GONE;
            r->written = 0;
        }
        err = err == 0 ? run_begin(r) : err;
        err = err == 0 ? run_objects(r) : err;
    }
    run_settle(r, err);
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
            run_finish(r);
            return;
        }
        run_end(r, ERR_NOT_FOUND, "there is no such object");
        return;
    }
    run_settle(r, err);
}

/* All of an object is joined, or what is behind does not matter. */
static void run_object_ended(struct hf_run *r)
{
    struct err_info why = {.code = 0};
    r->cost.objects++;
    r->cost.size += r->info.size;
    if (!r->many) {
        run_finish(r);
        return;
    }
    const int err = compute_task_next(r->task, &why);
    const int printed = run_print(r);
    if (printed != 0 || err != 0) {
        run_end(r, printed != 0 ? printed : err, printed != 0 ? err_text(printed) : why.text);
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
        run_end(r, reply->code != 0 ? reply->code : err, reply->code != 0 ? reply->text : why.text);
        return;
    }
    err = run_page(r, reply->result);
    if (err != 0) {
        r->listing = true;
        run_end(r, err, err == ERR_PROTOCOL ? "a list of objects that is none" : err_text(err));
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

/* ---- parts ---------------------------------------------------------------------------------- */

static void run_answered(void *ctx, const struct hf_reply *reply);

static int run_send(struct run_slot *slot, uint32_t avoid)
{
    struct hf_run *r = slot->run;
    const struct hf_object o = {.bucket = hf_out(buf_view(&r->bucket)),
                                .timeout_ms = r->timeout_ms};
    struct hf_call_spec spec = hf_object_spec(&o, WIRE_METHOD_OBJECT_RUN, HF_READ, 7);
    spec.route = HF_ANY;
    spec.large = true;
    spec.prefer = avoid == HF_NOWHERE ? hf_cells_holder(&r->cells, &r->info, slot->cell) : 0;
    slot->bytes = NUM_MIN(r->part_bytes, slot->end - slot->at);
    slot->quotes = slot->at == compute_task_to(r->task) ? compute_task_quotes(r->task)
                                                        : COMPUTE_TASK_QUOTES_UNKNOWN;
    TRY(hf_call_new(r->transfer.client, &spec, &slot->call));
    slot->call->avoid = avoid;
    struct buf *head = &slot->call->head;
    (void)wire_pack_bin(head, buf_view(&r->bucket));
    (void)wire_pack_bin(head, buf_view(&r->name));
    (void)wire_pack_u64(head, r->info.version);
    (void)wire_pack_u64(head, slot->at);
    (void)wire_pack_u64(head, slot->bytes);
    (void)wire_pack_bin(head, buf_view(&r->text));
    (void)wire_pack_u64(head, slot->quotes);
    int err = hf_call_start(slot->call, slot, run_answered);
    if (err != 0) {
        slot->call = NULL;
    }
    return err;
}

static bool run_is_first(const struct run_slot *slot)
{
    return slot == &slot->run->slots[slot->run->first];
}

/* The next part of a cell, unless it has to wait for its turn. */
static int run_next(struct run_slot *slot)
{
    const struct hf_run *r = slot->run;
    const bool csv = compute_task_quotes(r->task) != COMPUTE_TASK_QUOTES_UNKNOWN;
    const uint64_t most = csv ? 0 : RUN_KEPT_BYTES_MAX;
    if (slot->call != NULL || slot->at == slot->end ||
        (slot->kept_bytes > most && !run_is_first(slot))) {
        return 0;
    }
    slot->tries = 0;
    return run_send(slot, HF_NOWHERE);
}

/* What came of a part of CSV is only how it reads if it begins otherwise than it does. It is asked
 * for again, and the node told. */
static void run_unread(struct run_slot *slot)
{
    const uint64_t from = compute_task_from(slot->kept);
    slot->run->cost.bytes_read -= slot->at - from;
    slot->at = from;
}

/* Joins what the first cells have; those that are whole leave. */
static int run_join(struct hf_run *r)
{
    while (r->count > 0) {
        struct run_slot *slot = &r->slots[r->first];
        if (slot->kept != NULL) {
            const int err = compute_task_merge(r->task, slot->kept);
            if (err == ERR_NOT_FOUND) {
                run_unread(slot);
            } else {
                TRY(err);
            }
            compute_task_free(slot->kept);
            slot->kept = NULL;
            slot->kept_bytes = 0;
            TRY(run_print(r));
        }
        if (slot->at < slot->end) {
            return run_next(slot);
        }
        r->cost.cells++;
        r->cost.cells_decoded += slot->decoded;
        r->first = (r->first + 1) % RUN_WINDOW;
        r->count--;
    }
    return 0;
}

/* Keeps the window full. Ends the run when all is joined. */
static void run_pump(struct hf_run *r)
{
    int err = run_join(r);
    while (err == 0 && r->count < RUN_WINDOW && r->next < r->info.size) {
        struct run_slot *slot = &r->slots[(r->first + r->count) % RUN_WINDOW];
        const uint64_t cell = r->next / r->info.cell_bytes;
        const uint64_t end = NUM_MIN(r->next + r->info.cell_bytes, r->info.size);
        *slot = (struct run_slot){.run = r, .cell = cell, .at = r->next, .end = end};
        r->next = end;
        r->count++;
        err = run_next(slot);
    }
    if (err != 0) {
        run_end(r, err, err_text(err));
    } else if (r->count == 0 || compute_task_is_settled(r->task)) {
        run_drop(r);
        run_object_ended(r);
    }
}

/* One answer was of no use: another node may have a good one. */
static void run_elsewhere(struct run_slot *slot, int code, const char *text, uint32_t node)
{
    struct hf_run *r = slot->run;
    slot->tries++;
    if (slot->tries >= 2 * r->transfer.client->nodes_count) {
        run_end(r, code, text);
        return;
    }
    run_settle(r, run_send(slot, node));
}

/* It is too much for a node at once. */
static void run_halve(struct run_slot *slot, const struct hf_reply *reply)
{
    struct hf_run *r = slot->run;
    r->fits = 0;
    if (slot->bytes == 1) {
        run_end(r, reply->code, "what the program makes of one byte is more than a node may send");
        return;
    }
    r->part_bytes = NUM_MIN(r->part_bytes, num_div_up(slot->bytes, 2));
    run_settle(r, run_next(slot));
}

/* The next parts may be larger again. */
static void run_grow(struct hf_run *r, size_t state_bytes)
{
    r->fits = state_bytes < RUN_STATE_BYTES_MAX / 4 ? r->fits + 1 : 0;
    if (r->fits >= RUN_FITS && r->part_bytes < r->info.cell_bytes) {
        r->part_bytes = NUM_MIN(r->part_bytes * 2, r->info.cell_bytes);
        r->fits = 0;
    }
}

/* returns: 0 and the state of the part; ERR_CORRUPT: it is of no use. */
static int run_read(const struct run_slot *slot, struct wire_node result, struct compute_task **out)
{
    struct hf_run *r = slot->run;
    struct bytes state = hf_field_bytes(result, WIRE_FIELD_DATA);
    if (hf_field(result, WIRE_FIELD_CRC32C) != crc_of(state.data, state.size)) {
        return ERR_CORRUPT;
    }
    const int err =
        compute_task_decode(out, &r->transfer.client->heap, r->program, UINT64_MAX, state);
    if (err == ERR_NO_MEMORY) {
        return err;
    }
    if (err != 0) {
        return ERR_CORRUPT;
    }
    if (compute_task_from(*out) != slot->at || compute_task_to(*out) != slot->at + slot->bytes ||
        (slot->quotes != COMPUTE_TASK_QUOTES_UNKNOWN &&
         !compute_task_was_read(*out, slot->quotes))) {
        compute_task_free(*out);
        return ERR_CORRUPT;
    }
    return 0;
}

static int run_keep(struct run_slot *slot, struct compute_task *part, size_t state_bytes)
{
    slot->kept_bytes += state_bytes;
    if (slot->kept == NULL) {
        slot->kept = part;
        return 0;
    }
    const int err = compute_task_merge(slot->kept, part);
    compute_task_free(part);
    return err;
}

static void run_arrived(struct run_slot *slot, const struct hf_reply *reply)
{
    struct hf_run *r = slot->run;
    struct compute_task *part = NULL;
    const size_t state_bytes = hf_field_bytes(reply->result, WIRE_FIELD_DATA).size;
    bool decoded = false;
    int err = run_read(slot, reply->result, &part);
    if (err == ERR_CORRUPT) {
        char name[HF_NAME_BYTES];
        char text[HF_TEXT_BYTES];
        hf_node_name(r->transfer.client, reply->node, name);
        (void)snprintf(text, sizeof(text), "what node '%.100s' computed is no state of the program",
                       name);
        run_elsewhere(slot, ERR_CORRUPT, text, reply->node);
        return;
    }
    err = err == 0 ? run_keep(slot, part, state_bytes) : err;
    if (err != 0) {
        run_end(r, err, err_text(err));
        return;
    }
    (void)wire_node_bool(wire_node_find(reply->result, WIRE_FIELD_DECODED), &decoded);
    slot->decoded |= decoded;
    slot->at += slot->bytes;
    r->cost.bytes_read += slot->bytes;
    r->cost.bytes_moved += state_bytes + hf_field(reply->result, WIRE_FIELD_MOVED);
    run_grow(r, state_bytes);
    if (r->progress != NULL) {
        r->progress(r->progress_ctx, r->cost.bytes_read, r->cost.size + r->info.size);
    }
    if (run_is_first(slot)) {
        run_pump(r);
    } else {
        run_settle(r, run_next(slot));
    }
}

static void run_answered(void *ctx, const struct hf_reply *reply)
{
    struct run_slot *slot = ctx;
    struct hf_run *r = slot->run;
    slot->call = NULL;
    if (reply->code == 0) {
        run_arrived(slot, reply);
    } else if (reply->code == ERR_VERSION_GONE) {
        run_again(r);
    } else if (reply->code == ERR_TOO_LARGE) {
        run_halve(slot, reply);
    } else if (err_outcome_of(reply->code) == ERR_OUTCOME_DAMAGED) {
        run_elsewhere(slot, reply->code, reply->text, reply->node);
    } else {
        run_end(r, reply->code, reply->text);
    }
}

/* ---- extents -------------------------------------------------------------------------------- */

static int run_extents(struct hf_run *r);

static void run_extents_done(void *ctx, const struct hf_reply *reply)
{
    struct hf_run *r = ctx;
    bool more = false;
    r->call = NULL;
    if (reply->code == ERR_VERSION_GONE) {
        run_again(r);
        return;
    }
    if (reply->code != 0) {
        run_end(r, reply->code, reply->text);
        return;
    }
    if (hf_cells_take(&r->cells, &r->info, reply->result, &more) != 0) {
        run_end(r, ERR_CORRUPT, "the list of cells does not match the committed root");
    } else if (more) {
        run_settle(r, run_extents(r));
    } else {
        run_pump(r);
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
        run_object_ended(r);
    } else {
        run_end(r, err,
                err == ERR_CORRUPT ? "bytes do not match the committed root" : err_text(err));
    }
}

static void run_stat_done(void *ctx, const struct hf_reply *reply)
{
    struct hf_run *r = ctx;
    r->call = NULL;
    if (reply->code != 0) {
        run_end(r, reply->code, reply->text);
        return;
    }
    if (wire_node_is_nil(reply->result) && r->many) {
        run_object_next(r); /* removed since it was listed */
        return;
    }
    if (wire_node_is_nil(reply->result)) {
        run_end(r, ERR_NOT_FOUND, "there is no such object");
        return;
    }
    int err = hf_object_read_info(reply->result, &r->info);
    r->info.name = hf_out(buf_view(&r->name));
    struct wire_node small = wire_node_find(reply->result, WIRE_FIELD_INLINE);
    if (err == 0 && (!wire_node_is_nil(small) || r->info.size == 0)) {
        run_small(r, hf_field_bytes(reply->result, WIRE_FIELD_INLINE));
        return;
    }
    err = err == 0 && r->info.extents == 0 ? ERR_PROTOCOL : err;
    err = err == 0 ? hf_cells_begin(&r->cells, &r->info) : err;
    r->next = 0;
    r->first = 0;
    r->part_bytes = r->info.cell_bytes;
    run_settle(r, err == 0 ? run_extents(r) : err);
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
    r->timeout_ms = o->timeout_ms;
    r->progress = o->progress;
    r->progress_ctx = o->progress_ctx;
    r->transfer.end = run_cancel;
    TRY(compute_program_new(&r->program, &c->heap, hf_in(program->text), NULL));
    compute_program_seed(r->program, rng_next(&c->rng));
    return run_begin(r);
}

int hf_object_run(struct hf_client *c, const struct hf_object *o, const struct hf_program *program,
                  const struct hf_sink *sink, void *ctx, hf_done_fn *done)
{
    TRY(hf_object_check(o, o->name.size > 0));
    struct hf_run *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    r->sink = *sink;
    r->ctx = ctx;
    r->done = done;
    hf_transfer_add(c, &r->transfer);
    run_drop(r);
    int err = run_init(r, c, o, program);
    if (err == 0) {
        err = run_objects(r);
    }
    if (err != 0) {
        hf_transfer_remove(&r->transfer);
        run_release(r);
    }
    return err;
}
