/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The parts of an object's cells: asked for at the nodes that hold them, joined in the order of the
 * object.
 *
 * A part that takes 1.5 times as long as half of those before it, or while there are too few of
 * them, one whose node makes no progress for a second, is asked for a second time, of another node
 * and apart from the cell's holder: that one decodes the cell. Both states have the same bytes. The
 * first one is taken, and who has the other is told to stop. No part is late before all that has
 * come was read: the time may have been this program's own. Parts whose cells have to be decoded
 * take longer than others, and are compared with one another only.
 *
 * A cell that has to be decoded is asked for at a node that holds another cell of its stripe, which
 * then is not moved; and all of a stripe at the same node, which decodes them together. So are the
 * cells of such a stripe that are not lost: they are read for the decoding, and not once more.
 */
#include "client/run_internal.h"

#include "base/crc.h"

#include <stdio.h>
#include <string.h>

#define RUN_STATE_BYTES_MAX ((uint64_t)1 << 20)
#define RUN_KEPT_BYTES_MAX ((uint64_t)2 << 20) /* of states, by a cell whose turn is not yet */
#define RUN_WINDOW_LEAST 8u
#define RUN_WINDOW_NODE 4u                        /* cells for each node of the cluster */
#define RUN_WINDOW_BYTES_MAX ((uint64_t)16 << 20) /* of states: beyond, only the least */
#define RUN_FITS 16u       /* small parts, and two of each cell, until larger ones are tried */
#define RUN_BACKUPS_MAX 4u /* at once */
#define RUN_LATE_MS 5u     /* two looks no farther apart: what has come is read between them */
#define RUN_LOOK_MS 250u
#define RUN_LOOKS_IDLE 4u /* looks without progress: a second */

/* ---- stop ----------------------------------------------------------------------------------- */

/* A question about a call that is on its way. */
static int run_look(struct hf_run *r, const struct hf_call *about, bool stop, struct hf_call **out)
{
    const struct hf_call_spec spec = {.method = WIRE_METHOD_OBJECT_RUN_LOOK,
                                      .class = HF_READ,
                                      .params = 2,
                                      .route = HF_ANY,
                                      .pin = about->node,
                                      .no_retry = true,
                                      .timeout_ms = RUN_LOOK_MS * RUN_LOOKS_IDLE};
    TRY(hf_call_new(r->transfer.client, &spec, out));
    (void)wire_pack_u64(&(*out)->head, about->msgid);
    (void)wire_pack_u64(&(*out)->head, stop);
    return 0;
}

/* Nobody waits for it any more. The node goes on if it cannot be told: then it is of no account. */
static void run_stop(struct hf_run *r, struct run_ask *ask)
{
    struct hf_call *stop = NULL;
    if (ask->call == NULL) {
        return;
    }
    if (ask->call->state == HF_CALL_SENT && run_look(r, ask->call, true, &stop) == 0) {
        (void)hf_call_start(stop, NULL, NULL);
    }
    hf_call_drop(ask->call);
    ask->call = NULL;
}

/* Of both, and of the question. */
static void run_stop_part(struct run_slot *slot)
{
    struct hf_run *r = slot->run;
    r->backups -= slot->backup.call != NULL;
    run_stop(r, &slot->first);
    run_stop(r, &slot->backup);
    if (slot->look != NULL) {
        hf_call_drop(slot->look);
        slot->look = NULL;
    }
}

void hf_run_drop(struct hf_run *r)
{
    for (unsigned i = 0; i < RUN_WINDOW; i++) {
        struct run_slot *slot = &r->slots[i];
        slot->run = r;
        run_stop_part(slot);
        hf_job_drop(slot);
        compute_task_free(slot->kept);
        *slot = (struct run_slot){.run = r};
    }
    if (r->call != NULL) {
        hf_call_drop(r->call);
        r->call = NULL;
    }
    r->transfer.tick_ms = 0;
    r->count = 0;
}

/* ---- time of its own ------------------------------------------------------------------------ */

static void run_put_off(struct run_ask *ask, uint64_t ms)
{
    ask->sent_ms += ms;
    if (ask->call != NULL) {
        hf_call_put_off(ask->call, ms);
    }
}

void hf_run_own_time(struct hf_run *r)
{
    const struct hf_client *c = r->transfer.client;
    const uint64_t before_ms = hf_now_ms(c);
    uv_update_time(c->loop);
    const uint64_t own_ms = hf_now_ms(c) - before_ms;
    for (unsigned i = 0; i < r->count && own_ms > 0; i++) {
        struct run_slot *slot = &r->slots[(r->first + i) % RUN_WINDOW];
        run_put_off(&slot->first, own_ms);
        run_put_off(&slot->backup, own_ms);
        slot->look_ms += own_ms;
        slot->late_ms += slot->late_ms > 0 ? own_ms : 0;
        if (slot->look != NULL) {
            hf_call_put_off(slot->look, own_ms);
        }
    }
}

/* ---- ask ------------------------------------------------------------------------------------ */

static void run_answered(void *ctx, const struct hf_reply *reply);

static void run_tick_by(struct hf_run *r, uint64_t at_ms)
{
    struct hf_transfer *t = &r->transfer;
    t->tick_ms = t->tick_ms == 0 ? at_ms : NUM_MIN(t->tick_ms, at_ms);
    hf_timer_by(t->client, t->tick_ms);
}

static uint32_t run_holder(const struct run_slot *slot)
{
    return hf_cells_holder(&slot->run->cells, &slot->run->info, slot->cell);
}

/* returns: whether nothing comes from the cell's holder at present. */
static bool run_holder_is_silent(const struct run_slot *slot)
{
    const struct hf_run *r = slot->run;
    const struct hf_client *c = r->transfer.client;
    const uint32_t node = hf_node_by_id(c, run_holder(slot));
    return node != HF_NOWHERE && c->nodes[node].silent;
}

/* returns: the stripe of the slot's cell in its extent. */
static uint64_t run_stripe(const struct run_slot *slot)
{
    const struct hf_run *r = slot->run;
    return (slot->cell - hf_cells_extent_of(&r->cells, slot->cell)->first_cell) /
           NUM_MAX(r->info.k, 1u);
}

/* returns: whether a data cell of the slot's stripe lies on a node that is gone. */
static bool run_stripe_has_lost(const struct run_slot *slot)
{
    const struct hf_run *r = slot->run;
    const struct hf_cells_extent *e = hf_cells_extent_of(&r->cells, slot->cell);
    const uint64_t first = e->first_cell + run_stripe(slot) * r->info.k;
    for (uint32_t i = 0; i < r->info.k && (first + i) * r->info.cell_bytes < r->info.size; i++) {
        const uint32_t holder = hf_cells_holder(&r->cells, &r->info, first + i);
        const uint32_t node = hf_node_by_id(r->transfer.client, holder);
        if (node == HF_NOWHERE || hf_node_is_gone(r->transfer.client, node)) {
            return true;
        }
    }
    return false;
}

/* Nodes that can decode the slot's cell, or its stripe. returns: how many. */
static uint32_t run_able(const struct run_slot *slot, enum wire_run_where where, uint32_t avoid,
                         uint32_t able[WIRE_SHARDS_MAX])
{
    const struct hf_run *r = slot->run;
    const struct hf_client *c = r->transfer.client;
    const struct hf_cells_extent *e = hf_cells_extent_of(&r->cells, slot->cell);
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->holders_count && r->info.m > 0 && slot->tries == 0; i++) {
        const uint32_t node = hf_node_by_id(c, e->holders[i]);
        const bool other = where == WIRE_RUN_STRIPE || e->holders[i] != run_holder(slot);
        if (node != HF_NOWHERE && node != avoid && other && hf_node_is_well(c, node)) {
            able[count++] = e->holders[i];
        }
    }
    return count;
}

/* returns: whether whole stripes are work for all nodes that can decode them: there are as many,
 * and so are those under way at once. Else their cells are spread. */
static bool run_has_stripes_for_all(const struct run_slot *slot)
{
    const struct hf_run *r = slot->run;
    uint32_t able[WIRE_SHARDS_MAX];
    const uint64_t stripe_bytes = r->info.cell_bytes * NUM_MAX(r->info.k, 1u);
    return r->info.k <= RUN_WINDOW_NODE && num_div_up(r->info.size, stripe_bytes) >=
                                               run_able(slot, WIRE_RUN_STRIPE, HF_NOWHERE, able);
}

/* returns: where the slot's part is computed, as far as is known. */
static enum wire_run_where run_where(const struct run_slot *slot)
{
    const struct hf_run *r = slot->run;
    const uint64_t begin = slot->cell * r->info.cell_bytes;
    const bool whole = slot->at == begin && slot->at + slot->bytes == slot->end;
    if (r->info.m == 0) {
        return WIRE_RUN_HOLDER;
    }
    if (run_holder_is_silent(slot)) {
        return WIRE_RUN_APART;
    }
    return whole && slot->tries == 0 && !slot->voted && run_stripe_has_lost(slot) &&
                   run_has_stripes_for_all(slot)
               ? WIRE_RUN_STRIPE
               : WIRE_RUN_HOLDER;
}

/* returns: the node that is to decode the slot's cell, or its stripe, if that has to be, or 0: each
 * stripe has another one in turn, of those that have something of it. */
static uint32_t run_decoder(const struct run_slot *slot, enum wire_run_where where, uint32_t avoid)
{
    uint32_t able[WIRE_SHARDS_MAX];
    const uint32_t count = run_able(slot, where, avoid, able);
    return count > 0 ? able[run_stripe(slot) % count] : 0;
}

/* Who is asked first, and who if that one is not there. */
static void run_aim(const struct run_slot *slot, const struct run_ask *ask, uint32_t avoid,
                    struct hf_call_spec *spec)
{
    const struct hf_client *c = slot->run->transfer.client;
    const uint32_t holder = hf_node_by_id(c, run_holder(slot));
    spec->prefer = run_decoder(slot, ask->where, avoid);
    if (ask->where != WIRE_RUN_HOLDER) {
        return;
    }
    if (avoid == HF_NOWHERE) {
        spec->instead = spec->prefer;
        spec->prefer = run_holder(slot);
    } else if (holder != HF_NOWHERE && holder != avoid && hf_node_is_well(c, holder)) {
        spec->prefer = run_holder(slot);
    }
}

/* returns: parts that the node is to compute, as far as is known: it takes turns with them. */
static unsigned run_depth(const struct hf_run *r, uint32_t node)
{
    unsigned depth = 0;
    for (unsigned i = 0; i < r->count && node != HF_NOWHERE; i++) {
        const struct run_slot *slot = &r->slots[(r->first + i) % RUN_WINDOW];
        depth += slot->first.call != NULL && slot->first.call->node == node;
        depth += slot->backup.call != NULL && slot->backup.call->node == node;
    }
    return NUM_MAX(depth, 1u);
}

/* Parts of stripes end together: those that the node had before take turns with this one, too. */
static void run_deepen(struct hf_run *r, const struct run_ask *ask)
{
    for (unsigned i = 0; i < r->count && ask->where == WIRE_RUN_STRIPE; i++) {
        struct run_ask *first = &r->slots[(r->first + i) % RUN_WINDOW].first;
        if (first->where == WIRE_RUN_STRIPE && first->call != NULL &&
            first->call->node == ask->call->node) {
            first->depth = NUM_MAX(first->depth, ask->depth);
        }
    }
}

/* Asks a node for the slot's part: its holder, unless it is to be computed apart from it. */
static int run_ask(struct run_slot *slot, struct run_ask *ask, uint32_t avoid)
{
    struct hf_run *r = slot->run;
    const struct hf_object o = {.bucket = hf_out(buf_view(&r->bucket)),
                                .timeout_ms = r->timeout_ms};
    struct hf_call_spec spec =
        hf_object_spec(&o, WIRE_METHOD_OBJECT_RUN, HF_READ, r->tables_count > 0 ? 9 : 8);
    spec.route = HF_ANY;
    spec.large = true;
    spec.patient = r->info.m > 0 && ask == &slot->first && ask->where != WIRE_RUN_APART &&
                   !slot->voted; /* it is looked after by run_watch */
    run_aim(slot, ask, avoid, &spec);
    ASSERT(ask->call == NULL);
    TRY(hf_call_new(r->transfer.client, &spec, &ask->call));
    ask->slot = slot;
    ask->sent_ms = hf_now_ms(r->transfer.client);
    ask->call->avoid = avoid;
    if (slot->voted && ask->where == WIRE_RUN_APART) {
        hf_vote_avoid(slot, ask->call);
    }
    struct buf *head = &ask->call->head;
    (void)wire_pack_bin(head, buf_view(&r->bucket));
    (void)wire_pack_bin(head, buf_view(&r->name));
    (void)wire_pack_u64(head, r->info.version);
    (void)wire_pack_u64(head, slot->at);
    (void)wire_pack_u64(head, slot->bytes);
    (void)wire_pack_bin(head, buf_view(&r->text));
    (void)wire_pack_u64(head, slot->quotes);
    (void)wire_pack_u64(head, ask->where);
    if (r->tables_count > 0) { /* of no program that earlier nodes know */
        hf_run_tables_pack(r, head);
    }
    int err = hf_call_start(ask->call, ask, run_answered);
    if (err != 0) {
        ask->call = NULL;
        return err;
    }
    ask->depth = run_depth(r, ask->call->node);
    run_deepen(r, ask);
    return 0;
}

int hf_run_ask_apart(struct run_slot *slot)
{
    slot->backup.where = WIRE_RUN_APART;
    TRY(run_ask(slot, &slot->backup, HF_NOWHERE));
    slot->run->backups++;
    return 0;
}

static int run_send(struct run_slot *slot, uint32_t avoid)
{
    struct hf_run *r = slot->run;
    const uint64_t now = hf_now_ms(r->transfer.client);
    slot->bytes = NUM_MIN(r->part_bytes, slot->end - slot->at);
    slot->quotes = slot->at == compute_task_to(r->task) ? compute_task_quotes(r->task)
                                                        : COMPUTE_TASK_QUOTES_UNKNOWN;
    slot->backed = slot->voted;
    slot->votes_count = 0;
    slot->vote_tries = 0;
    slot->late_ms = 0;
    slot->steps = 0;
    slot->idle = 0;
    slot->look_ms = now + RUN_LOOK_MS;
    slot->first.where = run_where(slot);
    if (r->info.m > 0 && !r->no_backups) {
        run_tick_by(r, now + RUN_BACKUP_LEAST_MS);
    }
    TRY(run_ask(slot, &slot->first, avoid));
    return slot->voted ? hf_run_ask_apart(slot) : 0;
}

static bool run_is_first(const struct run_slot *slot)
{
    return slot == &slot->run->slots[slot->run->first];
}

int hf_run_next(struct run_slot *slot)
{
    const struct hf_run *r = slot->run;
    const bool csv = compute_task_quotes(r->task) != COMPUTE_TASK_QUOTES_UNKNOWN;
    const uint64_t most = csv ? 0 : RUN_KEPT_BYTES_MAX;
    if (slot->look_up != NULL || slot->first.call != NULL || slot->backup.call != NULL ||
        slot->at == slot->end || (slot->kept_bytes > most && !run_is_first(slot))) {
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
    if (slot->resumed) {
        slot->resumed = false;
        slot->at = from;
        return;
    }
    slot->run->cost.bytes_read -= slot->at - from;
    slot->run->cost.bytes_local -= slot->local ? slot->at - from : 0; /* it was one part */
    slot->at = from;
}

/* Joins what the first cell has. */
static int run_join_kept(struct run_slot *slot)
{
    struct hf_run *r = slot->run;
    const enum compute_task_quotes quotes = compute_task_quotes(r->task);
    const int err = compute_task_merge(r->task, slot->kept);
    if (err == ERR_NOT_FOUND) {
        run_unread(slot);
    } else {
        TRY(err);
        TRY(hf_job_joined(slot, quotes));
    }
    compute_task_free(slot->kept);
    slot->kept = NULL;
    slot->kept_bytes = 0;
    TRY(hf_run_print(r));
    hf_run_own_time(r);
    return 0;
}

/* Joins what the first cells have; those that are whole leave. */
static int run_join(struct hf_run *r)
{
    while (r->count > 0) {
        struct run_slot *slot = &r->slots[r->first];
        if (slot->kept != NULL && hf_job_waits(r)) {
            return 0;
        }
        TRY(slot->kept != NULL ? run_join_kept(slot) : 0);
        if (slot->at < slot->end) {
            return hf_run_next(slot);
        }
        TRY(hf_job_cell(slot));
        TRY(r->hook.joined != NULL ? r->hook.joined(r->hook.ctx, slot->cell, r->task) : 0);
        r->cost.cells++;
        r->cost.cells_decoded += slot->decoded;
        r->first = (r->first + 1) % RUN_WINDOW;
        r->count--;
    }
    return 0;
}

/* returns: whether the node that was asked has to decode the cell, or another one of its stripe, as
 * far as is known. */
static bool run_decodes(const struct run_slot *slot)
{
    const uint32_t holder = hf_node_by_id(slot->run->transfer.client, run_holder(slot));
    return slot->first.where != WIRE_RUN_HOLDER || holder == HF_NOWHERE ||
           slot->first.call->node != holder;
}

/* returns: whether one more cell may be asked for. Enough are for all nodes to have some that wait,
 * as cells are joined in order and the first may take long; but for one that is decoded alone, k
 * are read. One more after each answer, so that what is too much for a node is found out with few.
 */
static bool run_has_room(const struct hf_run *r)
{
    const unsigned nodes = NUM_MIN(r->transfer.client->nodes_count, RUN_WINDOW);
    uint64_t read = 0; /* cells */
    uint64_t kept_bytes = 0;
    if (r->count < RUN_WINDOW_LEAST) {
        return true;
    }
    for (unsigned i = 0; i < r->count; i++) {
        const struct run_slot *slot = &r->slots[(r->first + i) % RUN_WINDOW];
        const bool alone = slot->first.call != NULL && slot->first.where != WIRE_RUN_STRIPE;
        read += alone && run_decodes(slot) ? NUM_MAX(r->info.k, 1u) : 1;
        kept_bytes += slot->kept_bytes;
    }
    return r->count < RUN_WINDOW && kept_bytes <= RUN_WINDOW_BYTES_MAX &&
           read < NUM_MIN(r->window, RUN_WINDOW_NODE * nodes);
}

/* Keeps the window full. Ends the run when all is joined. */
void hf_run_pump(struct hf_run *r)
{
    int err = run_join(r);
    while (err == 0 && r->next < r->info.size && run_has_room(r)) {
        struct run_slot *slot = &r->slots[(r->first + r->count) % RUN_WINDOW];
        const uint64_t cell = r->next / r->info.cell_bytes;
        const uint64_t end = NUM_MIN(r->next + r->info.cell_bytes, r->info.size);
        *slot = (struct run_slot){.run = r, .cell = cell, .at = r->next, .end = end};
        r->next = end;
        r->count++;
        err = hf_job_look(slot);
    }
    if (err != 0) {
        hf_run_end(r, err, err_text(err));
    } else if (r->count == 0 || compute_task_is_settled(r->task)) {
        hf_run_drop(r);
        hf_run_object_ended(r);
    }
}

/* One answer was of no use: another node may have a good one, or give it yet. */
static void run_elsewhere(struct run_slot *slot, int code, const char *text, uint32_t node)
{
    struct hf_run *r = slot->run;
    slot->tries++;
    if (slot->first.call != NULL || slot->backup.call != NULL || hf_vote_failed(slot)) {
        return;
    }
    if (slot->tries >= 2 * r->transfer.client->nodes_count) {
        hf_run_end(r, code, text);
        return;
    }
    hf_run_settle(r, run_send(slot, node));
}

/* It is too much for a node at once, and so for any. */
static void run_halve(struct run_slot *slot, const struct hf_reply *reply)
{
    struct hf_run *r = slot->run;
    r->fits = 0;
    r->window = 0;
    run_stop_part(slot);
    if (slot->bytes == 1) {
        hf_run_end(r, reply->code,
                   "what the program does with one byte is more than a node allows");
        return;
    }
    r->part_bytes = NUM_MIN(r->part_bytes, num_div_up(slot->bytes, 2));
    hf_run_settle(r, hf_run_next(slot));
}

/* The next parts may be larger again, and more of them under way. */
static void run_grow(struct hf_run *r, size_t state_bytes)
{
    r->window = NUM_MIN(NUM_MAX(r->window, RUN_WINDOW_LEAST) + 1, RUN_WINDOW);
    r->fits = state_bytes < RUN_STATE_BYTES_MAX / 4 ? r->fits + 1 : 0;
    if (r->fits >= NUM_MAX(RUN_FITS, 2 * r->count) && r->part_bytes < r->info.cell_bytes) {
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

/* returns: id of the node that computed the part. */
static uint32_t run_computed_by(const struct run_slot *slot, const struct hf_reply *reply,
                                bool decoded)
{
    const struct hf_client *c = slot->run->transfer.client;
    const uint32_t told = (uint32_t)hf_field(reply->result, WIRE_FIELD_NODE);
    if (told != 0) {
        return told;
    }
    return decoded && reply->node < c->nodes_count ? c->nodes[reply->node].id : run_holder(slot);
}

/* returns: whether how long it took counts for others of its kind: of a stripe's parts that for
 * which cells were moved does, as others found theirs in memory, or were computed elsewhere. */
static bool run_counts(const struct run_slot *slot, const struct run_ask *ask,
                       const struct hf_reply *reply, bool decoded)
{
    const struct hf_client *c = slot->run->transfer.client;
    const uint32_t by = hf_node_by_id(c, run_computed_by(slot, reply, decoded));
    return ask->where != WIRE_RUN_STRIPE ||
           (by == reply->node && hf_field(reply->result, WIRE_FIELD_MOVED) > 0);
}

/* How long it took; and one that was not heard of meanwhile is not asked again soon. */
static void run_paced(struct run_slot *slot, const struct run_ask *ask,
                      const struct hf_reply *reply, bool decoded)
{
    struct hf_run *r = slot->run;
    struct hf_client *c = r->transfer.client;
    const uint64_t took_ms = hf_now_ms(c) - ask->sent_ms;
    const struct hf_call *other = slot->first.call;
    const bool gathered = decoded || ask->where == WIRE_RUN_STRIPE;
    if (run_counts(slot, ask, reply, decoded)) {
        hf_run_pace_add(&r->paces[gathered], took_ms, slot->bytes, ask->depth);
    }
    if (ask == &slot->backup && other != NULL && other->state == HF_CALL_SENT &&
        c->nodes[other->node].heard_ms <= other->began_ms) {
        c->nodes[other->node].silent = true;
    }
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

/* Tables that were read for the part. */
static void run_count_fetched(struct hf_run *r, struct wire_node result)
{
    const uint64_t fetched = hf_field(result, WIRE_FIELD_FETCHED);
    struct hf_run_node *node = NULL;
    if (fetched > 0) {
        node = hf_run_node(r, (uint32_t)hf_field(result, WIRE_FIELD_NODE));
        r->cost.tables_bytes += fetched;
    }
    if (node != NULL) {
        node->tables_bytes += fetched;
    }
}

static void run_arrived(struct run_ask *ask, const struct hf_reply *reply)
{
    struct run_slot *slot = ask->slot;
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
    (void)wire_node_bool(wire_node_find(reply->result, WIRE_FIELD_DECODED), &decoded);
    run_paced(slot, ask, reply, decoded);
    if (err == 0 && slot->voted && !hf_vote_take(slot, part, reply, ask->where == WIRE_RUN_APART)) {
        return;
    }
    run_stop_part(slot);
    err = err == 0 ? run_keep(slot, part, state_bytes) : err;
    if (err != 0) {
        hf_run_end(r, err, err_text(err));
        return;
    }
    slot->decoded |= decoded;
    slot->node = run_computed_by(slot, reply, decoded);
    slot->local = !decoded && slot->node == run_holder(slot);
    slot->at += slot->bytes;
    r->cost.bytes_read += slot->bytes;
    r->cost.bytes_local += slot->local ? slot->bytes : 0;
    r->cost.bytes_moved += state_bytes + hf_field(reply->result, WIRE_FIELD_MOVED) + r->small_bytes;
    run_count_fetched(r, reply->result);
    run_grow(r, state_bytes);
    if (r->progress != NULL) {
        r->progress(r->progress_ctx, r->cost.bytes_read + r->resumed_bytes,
                    r->cost.size + r->info.size);
    }
    hf_run_own_time(r);
    if (run_is_first(slot)) {
        hf_run_pump(r);
    } else {
        hf_run_settle(r, hf_run_next(slot));
    }
}

/* A program that is one here and none there is of a later version than the node. Ends the run. */
static void run_refused(struct hf_run *r, const struct hf_reply *reply)
{
    char name[HF_NAME_BYTES];
    char text[HF_TEXT_BYTES];
    if (reply->code != ERR_INVALID) {
        hf_run_end(r, reply->code, reply->text);
        return;
    }
    hf_node_name(r->transfer.client, reply->node, name);
    (void)snprintf(text, sizeof(text), "node '%.100s' does not know all of the program", name);
    hf_run_end(r, reply->code, text);
}

static void run_answered(void *ctx, const struct hf_reply *reply)
{
    struct run_ask *ask = ctx;
    struct run_slot *slot = ask->slot;
    struct hf_run *r = slot->run;
    ask->call = NULL;
    r->backups -= ask == &slot->backup;
    if (reply->code == 0) {
        run_arrived(ask, reply);
    } else if (reply->code == ERR_VERSION_GONE) {
        hf_run_again(r);
    } else if (reply->code == ERR_TOO_LARGE) {
        run_halve(slot, reply);
    } else if (err_outcome_of(reply->code) == ERR_OUTCOME_DAMAGED) {
        run_elsewhere(slot, reply->code, reply->text, reply->node);
    } else if (slot->first.call == NULL && slot->backup.call == NULL && !hf_vote_failed(slot)) {
        run_refused(r, reply);
    }
}

/* ---- what takes long ------------------------------------------------------------------------ */

static void run_looked(void *ctx, const struct hf_reply *reply)
{
    struct run_slot *slot = ctx;
    const uint64_t steps = hf_field(reply->result, WIRE_FIELD_STEPS);
    slot->look = NULL;
    if (reply->code == 0 && steps > slot->steps) {
        slot->steps = steps;
        slot->idle = 0;
    }
}

/* returns: whether its node goes on, as far as is known. */
static bool run_goes_on(struct run_slot *slot, uint64_t now)
{
    struct hf_run *r = slot->run;
    if (now < slot->look_ms) {
        return true;
    }
    if (slot->idle >= RUN_LOOKS_IDLE) {
        return false;
    }
    slot->idle++;
    slot->look_ms = now + RUN_LOOK_MS;
    if (slot->look == NULL && slot->first.call->state == HF_CALL_SENT &&
        run_look(r, slot->first.call, false, &slot->look) == 0 &&
        hf_call_start(slot->look, slot, run_looked) != 0) {
        slot->look = NULL;
    }
    return true;
}

/* returns: where a part that is late is computed too: where the cell lies, if it was asked for
 * elsewhere and can be. */
static enum wire_run_where run_backup_where(const struct run_slot *slot)
{
    const struct hf_client *c = slot->run->transfer.client;
    const uint32_t holder = hf_node_by_id(c, run_holder(slot));
    const bool elsewhere = slot->first.where == WIRE_RUN_STRIPE && slot->first.call->node != holder;
    const bool there = holder != HF_NOWHERE && hf_node_is_well(c, holder);
    return elsewhere && there ? WIRE_RUN_HOLDER : WIRE_RUN_APART;
}

/* returns: when it is to be looked at again. */
static uint64_t run_watch(struct run_slot *slot, uint64_t now)
{
    struct hf_run *r = slot->run;
    const uint64_t usual_ms =
        hf_run_pace_late_ms(&r->paces[run_decodes(slot)], slot->bytes, slot->first.depth);
    if (usual_ms > 0 && now < slot->first.sent_ms + usual_ms) {
        return slot->first.sent_ms + usual_ms;
    }
    if (usual_ms == 0 && run_goes_on(slot, now)) {
        return slot->look_ms;
    }
    if (slot->late_ms == 0 || now > slot->late_ms + RUN_LATE_MS) {
        slot->late_ms = now + RUN_LATE_MS; /* this program was away: its answer may be here */
        return slot->late_ms;
    }
    if (now < slot->late_ms) {
        return slot->late_ms;
    }
    if (r->backups >= RUN_BACKUPS_MAX) {
        return now + RUN_BACKUP_LEAST_MS;
    }
    slot->backed = true;
    slot->backup.where = run_backup_where(slot);
    if (run_ask(slot, &slot->backup, slot->first.call->node) == 0) {
        r->backups++;
        r->cost.backups++;
    }
    return UINT64_MAX;
}

void hf_run_tick(struct hf_transfer *t)
{
    struct hf_run *r = (struct hf_run *)t;
    const uint64_t now = hf_now_ms(t->client);
    uint64_t next_ms = UINT64_MAX;
    for (unsigned i = 0; i < r->count; i++) {
        struct run_slot *slot = &r->slots[(r->first + i) % RUN_WINDOW];
        if (slot->first.call != NULL && !slot->backed) {
            const uint64_t at_ms = run_watch(slot, now);
            next_ms = NUM_MIN(next_ms, at_ms);
        }
    }
    if (next_ms != UINT64_MAX) {
        run_tick_by(r, next_ms);
    }
}
