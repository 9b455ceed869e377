/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Getting an object, or a range of it. The root comes with the name, from a linearizable read; the
 * list of cell roots is checked against it, then what comes of each cell against the cell's root,
 * before a byte of it is handed out. Cells are asked of the nodes that hold them, several at once,
 * handed out in order; a cell that does not match is asked of the other nodes.
 */
#include "client/object_internal.h"

#include "base/crc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GET_WINDOW 8u
#define GET_RESTARTS_MAX 1u

struct get_slot {
    struct hf_get *get;
    struct hf_piece piece;
    struct hf_call *call;
    bool ready;
    unsigned tries;
    uint8_t *data; /* the piece, while earlier ones are missing */
};

struct hf_get {
    struct hf_transfer transfer; /* first */
    struct buf bucket;
    struct buf name;
    struct hf_sink sink;
    bool ranged;
    uint64_t first_byte;
    uint64_t last_byte;
    struct compute *compute;
    struct hf_object_info info;
    struct hf_cells cells;
    struct hf_call *call; /* of anything but cells */
    struct get_slot slots[GET_WINDOW];
    unsigned first;
    unsigned count;
    uint64_t from;
    uint64_t to;
    uint64_t next;      /* byte of the next piece to ask for */
    uint64_t delivered; /* all before are handed out */
    unsigned restarts;
    bool resumed; /* must be the same object as before */
    uint64_t timeout_ms;
    uint8_t hashes[HF_CELL_BYTES_MAX / COMPUTE_LEAF_BYTES * MERKLE_HASH_BYTES];
    void *progress_ctx;
    void (*progress)(void *ctx, uint64_t bytes, uint64_t total);
    void *ctx;
    hf_done_fn *done;
};

/* ---- end ------------------------------------------------------------------------------------ */

static void get_drop_calls(struct hf_get *g)
{
    for (unsigned i = 0; i < GET_WINDOW; i++) {
        if (g->slots[i].call != NULL) {
            hf_call_drop(g->slots[i].call);
            g->slots[i].call = NULL;
        }
    }
    if (g->call != NULL) {
        hf_call_drop(g->call);
        g->call = NULL;
    }
    g->count = 0;
}

static void get_release(struct hf_get *g)
{
    for (unsigned i = 0; i < GET_WINDOW; i++) {
        free(g->slots[i].data);
    }
    compute_free(g->compute);
    buf_release(&g->bucket);
    buf_release(&g->name);
    hf_cells_release(&g->cells);
    free(g);
}

static void get_end(struct hf_get *g, int code, const char *text)
{
    char subject[96];
    char sentence[HF_TEXT_BYTES];
    struct hf_result result = {.code = code, .text = ""};
    hf_op_subject(subject, sizeof(subject), buf_view(&g->name));
    if (code != 0) {
        (void)snprintf(sentence, sizeof(sentence), "'%s': %.150s", subject, text);
        result.text = sentence;
    } else {
        result.found = true;
        result.objects = &g->info;
        result.count = 1;
    }
    hf_transfer_remove(&g->transfer);
    get_drop_calls(g);
    g->done(g->ctx, &result);
    get_release(g);
}

static void get_cancel(struct hf_transfer *t, int code, const char *text)
{
    get_end((struct hf_get *)t, code, text);
}

/* ---- again ---------------------------------------------------------------------------------- */

static int get_stat(struct hf_get *g);

/* The version was replaced and freed while it was read. */
static void get_again(struct hf_get *g)
{
    int err = ERR_VERSION_GONE;
    get_drop_calls(g);
    if (g->restarts < GET_RESTARTS_MAX) {
        g->restarts++;
        err = 0;
        if (g->delivered > g->from && g->sink.rewind != NULL) {
            err = g->sink.rewind(g->sink.ctx);
            g->delivered = g->from;
        }
        g->resumed = g->delivered > g->from;
        err = err == 0 ? get_stat(g) : err;
    }
    if (err != 0) {
        get_end(g, err, err_text(err));
    }
}

/* ---- cells ---------------------------------------------------------------------------------- */

static int get_ask(struct get_slot *slot, uint32_t avoid);

static int get_pump(struct hf_get *g);

static void get_settle(struct hf_get *g, int err)
{
    if (err != 0) {
        get_end(g, err, err_text(err));
    }
}

/* What came for a piece: whole leaves of its cell, from `at` on. */
struct get_leaves {
    uint32_t at;
    struct bytes data;
};

/* returns: whether these are leaves of the cell that the roots promise, and hold the piece. */
static bool get_verify(struct hf_get *g, const struct hf_piece *piece, const struct get_leaves *l,
                       struct bytes proof)
{
    uint64_t end = (uint64_t)l->at + l->data.size;
    if (l->at % COMPUTE_LEAF_BYTES != 0 || l->at > piece->from ||
        end < (uint64_t)piece->from + piece->bytes || end > piece->cell_bytes ||
        (end < piece->cell_bytes && end % COMPUTE_LEAF_BYTES != 0)) {
        return false;
    }
    struct merkle_range range = {
        .size = compute_leaves_of(piece->cell_bytes),
        .first = l->at / COMPUTE_LEAF_BYTES,
        .count = compute_leaves_of(l->data.size),
    };
    compute_leaf_hashes(g->compute, l->data.data, l->data.size, g->hashes);
    return merkle_range_verify(&range, g->hashes, proof,
                               g->cells.roots + piece->cell * MERKLE_HASH_BYTES) == 0;
}

/* returns: 0, or ERR_CORRUPT: the answer is of no use. */
static int get_read_leaves(struct hf_get *g, const struct hf_piece *piece, struct wire_node result,
                           struct get_leaves *out)
{
    uint64_t crc = hf_field(result, WIRE_FIELD_CRC32C);
    uint64_t offset = hf_field(result, WIRE_FIELD_OFFSET);
    out->data = hf_field_bytes(result, WIRE_FIELD_DATA);
    if (crc != crc_of(out->data.data, out->data.size) || offset < piece->cell_offset ||
        offset - piece->cell_offset > piece->from) {
        return ERR_CORRUPT;
    }
    out->at = (uint32_t)(offset - piece->cell_offset);
    return get_verify(g, piece, out, hf_field_bytes(result, WIRE_FIELD_PROOF)) ? 0 : ERR_CORRUPT;
}

static int get_write(struct hf_get *g, const struct hf_piece *piece, const uint8_t *bytes)
{
    TRY(g->sink.write(g->sink.ctx, bytes, piece->bytes));
    g->delivered += piece->bytes;
    if (g->progress != NULL) {
        g->progress(g->progress_ctx, g->delivered - g->from, g->to - g->from);
    }
    return 0;
}

/* Hands out what is ready, in order. */
static int get_flush(struct hf_get *g)
{
    while (g->count > 0 && g->slots[g->first].ready) {
        struct get_slot *slot = &g->slots[g->first];
        g->first = (g->first + 1) % GET_WINDOW;
        g->count--;
        TRY(get_write(g, &slot->piece, slot->data));
    }
    return 0;
}

/* bytes: those of the piece, verified. */
static int get_arrived(struct get_slot *slot, const uint8_t *bytes)
{
    struct hf_get *g = slot->get;
    if (slot == &g->slots[g->first]) {
        g->first = (g->first + 1) % GET_WINDOW;
        g->count--;
        TRY(get_write(g, &slot->piece, bytes));
        return get_flush(g);
    }
    if (slot->data == NULL) {
        slot->data = malloc((size_t)g->info.cell_bytes);
        if (slot->data == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    memcpy(slot->data, bytes, slot->piece.bytes);
    slot->ready = true;
    return 0;
}

/* One answer was of no use: another node may have a good one. */
static void get_elsewhere(struct get_slot *slot, int code, const char *text, uint32_t node)
{
    struct hf_get *g = slot->get;
    slot->tries++;
    if (slot->tries >= 2 * g->transfer.client->nodes_count) {
        get_end(g, code, text);
        return;
    }
    get_settle(g, get_ask(slot, node));
}

static void get_answered(void *ctx, const struct hf_reply *reply)
{
    struct get_slot *slot = ctx;
    struct hf_get *g = slot->get;
    slot->call = NULL;
    if (reply->code == ERR_VERSION_GONE) {
        get_again(g);
        return;
    }
    if (err_outcome_of(reply->code) == ERR_OUTCOME_DAMAGED) {
        get_elsewhere(slot, reply->code, reply->text, reply->node);
        return;
    }
    if (reply->code != 0) {
        get_end(g, reply->code, reply->text);
        return;
    }
    struct get_leaves leaves;
    if (get_read_leaves(g, &slot->piece, reply->result, &leaves) != 0) {
        char name[HF_NAME_BYTES];
        char text[HF_TEXT_BYTES];
        hf_node_name(g->transfer.client, reply->node, name);
        (void)snprintf(text, sizeof(text), "bytes from node '%.100s' do not match the root", name);
        get_elsewhere(slot, ERR_CORRUPT, text, reply->node);
        return;
    }
    int err = get_arrived(slot, leaves.data.data + (slot->piece.from - leaves.at));
    get_settle(g, err == 0 ? get_pump(g) : err);
}

static int get_ask(struct get_slot *slot, uint32_t avoid)
{
    struct hf_get *g = slot->get;
    const struct hf_object o = {.bucket = hf_out(buf_view(&g->bucket)),
                                .timeout_ms = g->timeout_ms};
    struct hf_call_spec spec = hf_object_spec(&o, WIRE_METHOD_OBJECT_READ, HF_READ, 5);
    spec.route = HF_ANY;
    spec.large = true;
    spec.prefer = avoid == HF_NOWHERE ? hf_cells_holder(&g->cells, &g->info, slot->piece.cell) : 0;
    TRY(hf_call_new(g->transfer.client, &spec, &slot->call));
    slot->call->avoid = avoid;
    struct buf *head = &slot->call->head;
    (void)wire_pack_bin(head, buf_view(&g->bucket));
    (void)wire_pack_bin(head, buf_view(&g->name));
    (void)wire_pack_u64(head, g->info.version);
    (void)wire_pack_u64(head, slot->piece.cell_offset + slot->piece.from);
    (void)wire_pack_u64(head, slot->piece.bytes);
    int err = hf_call_start(slot->call, slot, get_answered);
    if (err != 0) {
        slot->call = NULL;
    }
    return err;
}

/* Keeps the window full. returns: 0, or why the get ends; ends it itself when all is done. */
static int get_pump(struct hf_get *g)
{
    while (g->count < GET_WINDOW && g->next < g->to) {
        struct get_slot *slot = &g->slots[(g->first + g->count) % GET_WINDOW];
        slot->get = g;
        slot->ready = false;
        slot->tries = 0;
        slot->piece = hf_piece_at(g->info.size, g->info.cell_bytes, g->next, g->to);
        g->next += slot->piece.bytes;
        g->count++;
        TRY(get_ask(slot, HF_NOWHERE));
    }
    if (g->delivered == g->to) {
        get_end(g, 0, "");
    }
    return 0;
}

/* ---- extents -------------------------------------------------------------------------------- */

static int get_extents(struct hf_get *g);

static void get_extents_done(void *ctx, const struct hf_reply *reply)
{
    struct hf_get *g = ctx;
    bool more = false;
    g->call = NULL;
    if (reply->code == ERR_VERSION_GONE) {
        get_again(g);
        return;
    }
    if (reply->code != 0) {
        get_end(g, reply->code, reply->text);
        return;
    }
    int err = hf_cells_take(&g->cells, &g->info, reply->result, &more);
    if (err != 0) {
        get_end(g, err, "the list of cells does not match the committed root");
        return;
    }
    get_settle(g, more ? get_extents(g) : get_pump(g));
}

static int get_extents(struct hf_get *g)
{
    const struct hf_object o = {.bucket = hf_out(buf_view(&g->bucket)),
                                .name = hf_out(buf_view(&g->name)),
                                .timeout_ms = g->timeout_ms};
    return hf_cells_ask(&g->cells, g->transfer.client, &o, &g->info, &g->call, g, get_extents_done);
}

/* Room for what the size and the cells promise. */
static int get_begin_cells(struct hf_get *g)
{
    TRY(hf_cells_begin(&g->cells, &g->info));
    return get_extents(g);
}

/* ---- stat ----------------------------------------------------------------------------------- */

/* A small object comes whole with its stat. */
static void get_inline(struct hf_get *g, struct bytes data)
{
    uint8_t root[MERKLE_HASH_BYTES];
    int err = data.size == g->info.size && data.size <= HF_CELL_BYTES_MAX ? 0 : ERR_CORRUPT;
    if (err == 0) {
        compute_leaf_hashes(g->compute, data.data, data.size, g->hashes);
        merkle_root_of(g->hashes, compute_leaves_of(data.size), root);
        err = memcmp(root, g->info.root, sizeof(root)) == 0 ? 0 : ERR_CORRUPT;
    }
    if (err == 0 && g->to > g->delivered) {
        err = g->sink.write(g->sink.ctx, data.data + g->delivered, (size_t)(g->to - g->delivered));
        g->delivered = g->to;
    }
    get_end(g, err, err == ERR_CORRUPT ? "bytes do not match the committed root" : err_text(err));
}

static int get_plan(struct hf_get *g, char *text, size_t text_bytes)
{
    const char *plural = g->info.size == 1 ? "" : "s";
    g->from = 0;
    g->to = g->info.size;
    if (g->ranged && hf_range_check(g->info.size, g->first_byte, g->last_byte, &g->from, &g->to)) {
        (void)snprintf(text, text_bytes, "bytes %llu-%llu lie beyond the end of %llu byte%s",
                       (unsigned long long)g->first_byte, (unsigned long long)g->last_byte,
                       (unsigned long long)g->info.size, plural);
        return ERR_RANGE;
    }
    if (!g->resumed) {
        g->delivered = g->from;
    }
    g->next = g->delivered;
    g->first = 0;
    return 0;
}

static void get_stat_done(void *ctx, const struct hf_reply *reply)
{
    struct hf_get *g = ctx;
    struct hf_object_info info;
    char text[HF_TEXT_BYTES];
    g->call = NULL;
    if (reply->code != 0) {
        get_end(g, reply->code, reply->text);
        return;
    }
    if (wire_node_is_nil(reply->result)) {
        get_end(g, ERR_NOT_FOUND, "there is no such object");
        return;
    }
    int err = hf_object_read_info(reply->result, &info);
    if (err == 0 && g->resumed &&
        (info.size != g->info.size || memcmp(info.root, g->info.root, sizeof(info.root)) != 0)) {
        err = ERR_VERSION_GONE;
    }
    if (err != 0) {
        get_end(g, err, err_text(err));
        return;
    }
    g->info = info;
    g->info.name = hf_out(buf_view(&g->name));
    err = get_plan(g, text, sizeof(text));
    if (err != 0) {
        get_end(g, err, text);
        return;
    }
    struct wire_node small = wire_node_find(reply->result, WIRE_FIELD_INLINE);
    if (!wire_node_is_nil(small) || info.size == 0) {
        get_inline(g, hf_field_bytes(reply->result, WIRE_FIELD_INLINE));
        return;
    }
    get_settle(g, info.extents > 0 ? get_begin_cells(g) : ERR_PROTOCOL);
}

static int get_stat(struct hf_get *g)
{
    const struct hf_object o = {.bucket = hf_out(buf_view(&g->bucket)),
                                .timeout_ms = g->timeout_ms};
    const struct hf_call_spec spec = hf_object_spec(&o, WIRE_METHOD_OBJECT_STAT, HF_READ, 2);
    TRY(hf_call_new(g->transfer.client, &spec, &g->call));
    (void)wire_pack_bin(&g->call->head, buf_view(&g->bucket));
    (void)wire_pack_bin(&g->call->head, buf_view(&g->name));
    int err = hf_call_start(g->call, g, get_stat_done);
    if (err != 0) {
        g->call = NULL;
    }
    return err;
}

static int get_init(struct hf_get *g, struct hf_client *c, const struct hf_object *o)
{
    buf_init(&g->bucket, &c->heap, WIRE_NAME_BYTES_MAX);
    buf_init(&g->name, &c->heap, WIRE_NAME_BYTES_MAX);
    TRY(buf_append(&g->bucket, o->bucket.data, o->bucket.size));
    TRY(buf_append(&g->name, o->name.data, o->name.size));
    g->ranged = o->ranged;
    g->first_byte = o->first;
    g->last_byte = o->last;
    g->timeout_ms = o->timeout_ms;
    g->progress = o->progress;
    g->progress_ctx = o->progress_ctx;
    g->transfer.end = get_cancel;
    return compute_new(&g->compute, &c->heap, NULL);
}

int hf_object_get(struct hf_client *c, const struct hf_object *o, const struct hf_sink *sink,
                  void *ctx, hf_done_fn *done)
{
    TRY(hf_object_check(o, true));
    struct hf_get *g = calloc(1, sizeof(*g));
    if (g == NULL) {
        return ERR_NO_MEMORY;
    }
    g->sink = *sink;
    g->ctx = ctx;
    g->done = done;
    int err = get_init(g, c, o);
    hf_transfer_add(c, &g->transfer);
    if (err == 0) {
        err = get_stat(g);
    }
    if (err != 0) {
        hf_transfer_remove(&g->transfer);
        get_release(g);
    }
    return err;
}
