/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which dots there are of epochs that are over: found out by the node whose epochs they are, and
 * recorded by group 0.
 *
 *   RETIRED  node u32be   format u8, then for regions, rising: region u8, below u64, context
 * (length u32): all dots there by the node's actors of epochs below that one
 *
 * A dot that a node has, another may get from it, and no node loses one but with its disk. So if
 * every node says that it has none but these, there are no others; and as the actor has gone on,
 * none will be made. Asked is every node of the roster, also one that is out, for it may come back
 * with what it had. It is asked twice: what was on its way from a node that lost it has come by
 * then.
 */
#include "server/node/eventual_retire_internal.h"

#include "base/num.h"
#include "server/node/control_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_self_internal.h"

#define NODE_EV_RETIRED_FORMAT 1u
#define NODE_EV_START_ROW 20u

/* ---- group 0 -------------------------------------------------------------------------------- */

/* The body of RETIRE, taken apart; views into it. */
struct node_ev_retiring {
    uint32_t node;
    struct bytes start; /* boot, nonce */
    uint16_t others;
    struct bytes starts; /* theirs */
    struct bytes rows;
};

static int node_ev_retiring_of(struct bytes body, struct node_ev_retiring *out)
{
    struct bytes_reader r = bytes_reader_of(body);
    out->node = bytes_take_u32(&r);
    out->start = bytes_take(&r, 16);
    out->others = bytes_take_u16(&r);
    out->starts = bytes_take(&r, (size_t)out->others * NODE_EV_START_ROW);
    out->rows = bytes_of(r.at, r.left);
    return r.failed || r.left == 0 ? ERR_INVALID : 0;
}

int node_ev_retire_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct node_ev_retiring body;
    uint8_t name[5];
    TRY(node_ev_retiring_of(cmd->body, &body));
    uint32_t node = body.node;
    for (unsigned i = 0; i < body.others; i++) {
        uint32_t other = num_get_u32(body.starts.data + (size_t)i * NODE_EV_START_ROW);
        TRY(node_keys_add(out, node_numbered_name(NODE_KEY_NODE, other, name)));
    }
    TRY(node_keys_add(out, node_numbered_name(NODE_KEY_NODE, node, name)));
    TRY(node_keys_add(out, node_numbered_name(NODE_KEY_EPOCHS, node, name)));
    return node_keys_add(out, node_numbered_name(NODE_KEY_RETIRED, node, name));
}

/* Of a row for which there is no room its region and epoch stay, its dots become a fold: which
 * there were is not known any more, so nobody folds by it, and who comes back with such dots holds
 * them as those of epochs folded before others were recorded (eventual_hold.c). */
static int node_ev_retired_less(struct node_ev_retired *row, uint32_t node, struct buf *out)
{
    const struct crdt_range all = {
        .actor = {.node = node, .epoch = CRDT_FOLDED}, .from = 1, .to = row->below - 1};
    row->seen.count = 0;
    TRY(crdt_context_add(&row->seen, &all));
    return node_ev_retired_put(row, out);
}

/* Adds the rows of `old` that are of none of the regions, whole as far as there is room: a node
 * that has not folded by them yet still may. */
static int node_ev_retired_keep(struct bytes old, uint32_t node, uint64_t regions, struct buf *out,
                                const struct alloc *alloc)
{
    struct bytes_reader r = bytes_reader_of(old);
    struct node_ev_retired row;
    int err = 0;
    crdt_context_init(&row.seen, alloc);
    while (err == 0 && r.left > 0) {
        const uint8_t *from = r.at;
        err = node_ev_retired_take(&r, node, &row);
        size_t size = (size_t)(r.at - from);
        if (err != 0 || (regions >> row.region & 1u) != 0) {
            continue;
        }
        err = out->size + size <= NODE_EV_RETIRED_BYTES_MAX ? buf_append(out, from, size)
                                                            : node_ev_retired_less(&row, node, out);
    }
    crdt_context_release(&row.seen);
    return err;
}

/* returns: 0 if all rows are sound, of epochs that were granted, and rise. */
static int node_ev_retire_check(struct bytes rows, uint32_t node, uint64_t epochs_next,
                                const struct alloc *alloc, uint64_t *regions)
{
    struct bytes_reader r = bytes_reader_of(rows);
    struct node_ev_retired row;
    int last = -1;
    int err = rows.size > NODE_EV_RETIRED_BYTES_MAX ? ERR_TOO_LARGE : 0;
    crdt_context_init(&row.seen, alloc);
    while (err == 0 && r.left > 0) {
        err = node_ev_retired_take(&r, node, &row);
        if (err == 0 && (row.below >= epochs_next || row.region <= last)) {
            err = ERR_INVALID;
        }
        last = row.region;
        *regions |= err == 0 ? UINT64_C(1) << row.region : 0;
    }
    crdt_context_release(&row.seen);
    return err;
}

static int node_ev_retire_put(struct node_sm *sm, uint32_t node, struct bytes rows,
                              uint64_t regions)
{
    uint8_t name_raw[5];
    struct bytes name = node_numbered_name(NODE_KEY_RETIRED, node, name_raw);
    struct bytes old = {0};
    struct buf value;
    buf_init(&value, &sm->n->alloc, 2u * NODE_EV_RETIRED_BYTES_MAX);
    (void)buf_put_u8(&value, NODE_EV_RETIRED_FORMAT);
    (void)buf_append(&value, rows.data, rows.size);
    int err = value.err;
    if (err == 0 && node_sm_get(sm, name, &old) == 0 && old.size > 0 &&
        old.data[0] == NODE_EV_RETIRED_FORMAT) {
        err = node_ev_retired_keep(bytes_of(old.data + 1, old.size - 1), node, regions, &value,
                                   &sm->n->alloc);
    }
    err = err != 0 ? err : node_sm_put(sm, name, buf_view(&value));
    buf_release(&value);
    return err;
}

/* returns: 0 if that start of the node is the one that is recorded. */
static int node_ev_retire_start(struct node_sm *sm, uint32_t node, struct bytes start)
{
    uint8_t name[5];
    struct bytes value;
    TRY(node_sm_get(sm, node_numbered_name(NODE_KEY_NODE, node, name), &value));
    return value.size < NODE_BOOT_HEAD ||
                   !bytes_equal(bytes_of(value.data + NODE_BOOT_AT, 16), start)
               ? ERR_FENCED
               : 0;
}

/* All other nodes must be named, by the start that was asked. One that has started since may have
 * another disk; it is asked too, or it hears of this record before it tells anybody what it has. */
static int node_ev_retire_starts(struct node_sm *sm, const struct node_ev_retiring *body)
{
    const struct wire_identity *id = &sm->n->identity;
    unsigned at = 0;
    for (uint32_t i = 0; i < id->nodes_count; i++) {
        if (id->nodes[i].id == body->node) {
            continue;
        }
        const uint8_t *row = body->starts.data + (size_t)at * NODE_EV_START_ROW;
        if (at == body->others || num_get_u32(row) != id->nodes[i].id) {
            return ERR_INVALID;
        }
        TRY(node_ev_retire_start(sm, id->nodes[i].id, bytes_of(row + 4, 16)));
        at++;
    }
    return at == body->others ? 0 : ERR_INVALID;
}

int node_ev_retire_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_ev_retiring body;
    uint8_t name[5];
    struct bytes value;
    uint64_t regions = 0;
    (void)reply;
    TRY(node_sm_group(sm) != 0 ? ERR_INVALID : node_ev_retiring_of(cmd->body, &body));
    TRY(node_ev_retire_start(sm, body.node, body.start));
    TRY(node_ev_retire_starts(sm, &body));
    TRY(node_sm_get(sm, node_numbered_name(NODE_KEY_EPOCHS, body.node, name), &value));
    if (value.size < sizeof(uint64_t)) {
        return ERR_INVALID;
    }
    TRY(node_ev_retire_check(body.rows, body.node, num_get_u64(value.data), &sm->n->alloc,
                             &regions));
    return node_ev_retire_put(sm, body.node, body.rows, regions);
}

void node_ev_retired_note(struct node *n, uint32_t node, struct bytes value)
{
    struct node_control_peer *p = node_control_peer_of(n, node);
    if (p == NULL || value.size < 2 || value.data[0] != NODE_EV_RETIRED_FORMAT) {
        return;
    }
    struct bytes rows = bytes_of(value.data + 1, value.size - 1);
    if (bytes_equal(buf_view(&p->retired), rows)) {
        return;
    }
    buf_clear(&p->retired);
    if (buf_append(&p->retired, rows.data, rows.size) != 0) {
        buf_clear(&p->retired); /* it folds by its peers' contexts, then */
        p->retired.err = 0;
        node_control_again(n);
    }
    /* who has to ask hears of it late: the others have folded, or follow */
    node_ev_fold_soon(n, node_group_find(n, 0) == NULL ? 0 : NODE_EV_FOLD_US);
}

/* ---- what there is to retire ---------------------------------------------------------------- */

/* row->seen, empty, becomes what seen has of the node's epochs below row->below.
 * *open: some of them are not folded. */
static int node_ev_retire_cut(const struct crdt_context *seen, uint32_t node,
                              struct node_ev_retired *row, bool *open)
{
    *open = false;
    for (size_t i = 0; i < seen->count; i++) {
        struct crdt_range r = seen->ranges[i];
        bool folded = r.actor.epoch == CRDT_FOLDED;
        if (r.actor.node != node || (folded ? r.from : r.actor.epoch) >= row->below) {
            continue;
        }
        r.to = folded ? NUM_MIN(r.to, row->below - 1) : r.to;
        *open = *open || !folded;
        TRY(crdt_context_add(&row->seen, &r));
    }
    return 0;
}

/* returns: whether group 0 has the same of this node already, so that what is left is to fold. */
static bool node_ev_retire_known(const struct node *n, const struct node_ev_retired *row)
{
    const struct node_control_peer *p = node_control_peer_of(n, node_self(n));
    struct bytes_reader r = bytes_reader_of(buf_view(&p->retired));
    struct node_ev_retired old;
    bool known = false;
    crdt_context_init(&old.seen, &n->alloc);
    while (!known && r.left > 0 && node_ev_retired_take(&r, p->id, &old) == 0) {
        known = old.region == row->region && old.below == row->below &&
                crdt_context_equal(&old.seen, &row->seen);
    }
    crdt_context_release(&old.seen);
    return known;
}

/* returns: whether the row is wanted although there are no dots in it that are not folded. */
static bool node_ev_retire_wants(const struct node *n, const struct node_ev_retired *row)
{
    const struct crdt_actor last = {.node = node_self(n), .epoch = row->below - 1};
    return (node_ev_of(n)->retire.wanted >> row->region & 1u) != 0 && row->seen.count > 0 &&
           !crdt_context_folds(node_ev_seen(n, row->region), last);
}

static int node_ev_retire_rows(const struct node *n, uint64_t below, struct buf *out)
{
    struct node_ev_retired row = {.below = below};
    int err = 0;
    crdt_context_init(&row.seen, &n->alloc);
    for (unsigned i = 0; err == 0 && i < NODE_EV_REGIONS; i++) {
        bool open = false;
        size_t size = out->size;
        row.region = (uint8_t)i;
        crdt_context_release(&row.seen);
        err = node_ev_retire_cut(node_ev_seen(n, row.region), node_self(n), &row, &open);
        bool wants = open || node_ev_retire_wants(n, &row);
        if (err == 0 && wants && !node_ev_retire_known(n, &row)) {
            err = node_ev_retired_put(&row, out);
        }
        if (out->size > NODE_EV_RETIRED_BYTES_MAX) {
            out->size = size; /* another time, or once what is missing in it has come */
        }
    }
    crdt_context_release(&row.seen);
    return err;
}

/* ---- asking --------------------------------------------------------------------------------- */

void node_ev_retire_soon(struct node *n, uint64_t wait_us)
{
    struct node_eventual *ev = n->eventual;
    if (ev == NULL || !ev->started || n->closing) {
        return;
    }
    uint64_t at_us = node_now(n) + wait_us;
    if (ev->retire.run.at_us == 0 || ev->retire.run.at_us > at_us) {
        node_timer_set(n, &ev->retire.run, at_us);
    }
}

void node_ev_retire_wanted(struct node *n, uint8_t region)
{
    node_ev_of(n)->retire.wanted |= UINT64_C(1) << region;
    node_ev_retire_soon(n, NODE_EV_RETIRE_US);
}

static void node_ev_retire_again(struct node *n)
{
    struct node_ev_retire *t = &node_ev_of(n)->retire;
    uint64_t wait_us = (uint64_t)NODE_EV_RETIRE_US << NUM_MIN(t->failures, NODE_EV_RETIRE_TIMES);
    t->failures++;
    t->rounds = 0;
    node_ev_retire_soon(n, wait_us);
}

static void node_ev_retired_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_retire *t = &node_ev_of(n)->retire;
    (void)ctx;
    (void)reply;
    t->asking = false;
    if (n->closing) {
        return;
    }
    if (code == 0) {
        log_line(node_log(n), LOG_INFO, "epochs_retired", "node=%u below=%llu regions=%016llx",
                 node_self(n), (unsigned long long)t->below, (unsigned long long)t->agreed);
        t->failures = t->rest ? t->failures : 0;
    }
    node_ev_retire_again(n); /* there may be more */
}

/* Appends the starts of all other nodes, their number first, as group 0 has recorded them. */
static int node_ev_retire_starts_put(const struct node *n, struct buf *out)
{
    const struct node_control *c = n->control;
    (void)buf_put_u16(out, (uint16_t)(c->nodes_count - 1));
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        if (c->peers[i].id != node_self(n)) {
            (void)buf_put_u32(out, c->peers[i].id);
            (void)buf_put_u64(out, c->peers[i].boot);
            (void)buf_put_u64(out, c->peers[i].nonce);
        }
    }
    return out->err;
}

/* Appends the rows that nobody refused. returns: how many there are. */
static unsigned node_ev_retire_agreed(struct node *n, struct buf *out)
{
    struct node_ev_retire *t = &node_ev_of(n)->retire;
    struct bytes_reader r = bytes_reader_of(buf_view(&t->rows));
    struct node_ev_retired row;
    unsigned count = 0;
    t->rest = false;
    crdt_context_init(&row.seen, &n->alloc);
    while (r.left > 0) {
        const uint8_t *from = r.at;
        if (node_ev_retired_take(&r, node_self(n), &row) != 0) {
            break; /* without memory: another time */
        }
        bool agreed = (t->agreed >> row.region & 1u) != 0;
        t->rest = t->rest || !agreed;
        count += agreed;
        (void)(agreed ? buf_append(out, from, (size_t)(r.at - from)) : 0);
    }
    crdt_context_release(&row.seen);
    return out->err == 0 ? count : 0;
}

static void node_ev_retire_propose(struct node *n)
{
    struct node_ev_retire *t = &node_ev_of(n)->retire;
    struct buf body;
    buf_init(&body, &n->alloc, n->options.limits.proposal_bytes);
    (void)buf_put_u32(&body, node_self(n));
    (void)buf_put_u64(&body, n->options.boot);
    (void)buf_put_u64(&body, n->options.boot_nonce);
    (void)buf_append(&body, t->starts.data, t->starts.size);
    if (node_ev_retire_agreed(n, &body) > 0) {
        const struct node_cmd cmd = {.op = NODE_OP_RETIRE, .body = buf_view(&body)};
        t->asking = true;
        node_propose(n, 0, &cmd, node_now(n) + NODE_EV_CALL_US, NULL, node_ev_retired_done);
    } else {
        node_ev_retire_again(n);
    }
    buf_release(&body);
}

/* All have answered. */
static void node_ev_retire_round(struct node *n)
{
    struct node_ev_retire *t = &node_ev_of(n)->retire;
    t->asking = false;
    t->rounds++;
    if (t->agreed == 0) {
        node_ev_retire_again(n);
    } else if (t->rounds < NODE_EV_ROUNDS) {
        node_ev_retire_soon(n, NODE_EV_ROUND_US);
    } else {
        t->rounds = 0;
        node_ev_retire_propose(n);
    }
}

static void node_ev_over_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_ev_retire *t = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    uint64_t agreed = code == 0 ? bytes_take_u64(&r) : 0;
    t->agreed &= r.failed ? 0 : agreed;
    t->owing--;
    if (t->owing == 0 && !n->closing) {
        node_ev_retire_round(n);
    }
}

static void node_ev_over_ask(struct node *n)
{
    struct node_eventual *ev = node_ev_of(n);
    struct node_ev_retire *t = &ev->retire;
    struct buf body;
    buf_init(&body, &n->alloc, n->options.limits.peer_body_bytes);
    (void)buf_put_u64(&body, t->below);
    (void)buf_append(&body, t->rows.data, t->rows.size);
    t->asking = true;
    if (t->rounds == 0) {
        buf_clear(&t->starts);
        body.err = body.err != 0 ? body.err : node_ev_retire_starts_put(n, &t->starts);
    }
    t->agreed = body.err != 0 ? 0 : t->rounds == 0 ? UINT64_MAX : t->agreed;
    t->owing = t->agreed == 0 ? 0 : ev->peers_count;
    for (unsigned i = 0; i < t->owing; i++) {
        node_call(n, ev->peers[i].id, NODE_CALL_EV_OVER, buf_view(&body), NULL,
                  node_now(n) + NODE_EV_ANSWER_US, t, node_ev_over_done);
    }
    buf_release(&body);
    if (t->owing == 0) { /* alone */
        node_ev_retire_round(n);
    }
}

/* returns: whether every node can be asked. When one comes, this is looked at again. */
static bool node_ev_retire_all_up(const struct node *n)
{
    const struct node_eventual *ev = node_ev_of(n);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        if (!node_peer_is_up(n, ev->peers[i].id)) {
            return false;
        }
    }
    return true;
}

void node_ev_retire_fire(struct node *n, struct node_timer *timer)
{
    struct node_ev_retire *t = timer->ctx;
    struct crdt_actor actor;
    struct buf rows;
    if (n->failed || n->closing || t->asking) {
        return;
    }
    if (!node_ev_retire_all_up(n) || !node_ev_ready(n) || !node_ev_actor(n, &actor)) {
        t->rounds = 0;
        return; /* a peer that comes, or a new actor, begins it again */
    }
    buf_init(&rows, &n->alloc, 1u << 20);
    if (node_ev_retire_rows(n, actor.epoch, &rows) != 0 || rows.size == 0) {
        t->rounds = 0;
        t->failures = 0;
        buf_release(&rows);
        return;
    }
    bool same = t->below == actor.epoch && bytes_equal(buf_view(&t->rows), buf_view(&rows));
    t->rounds = same ? t->rounds : 0;
    t->below = actor.epoch;
    buf_clear(&t->rows);
    if (buf_append(&t->rows, rows.data, rows.size) == 0) {
        node_ev_over_ask(n);
    }
    buf_release(&rows);
}

/* ---- answering ------------------------------------------------------------------------------ */

/* returns: whether this node has no other dots than these and, if the region is its concern, all of
 * them. If it is not, what lies here is fetched from nobody, and is asked for nothing else. */
static int node_ev_over_row(const struct node *n, uint32_t node, const struct node_ev_retired *row,
                            bool *yes)
{
    struct node_ev_retired own = {.below = row->below};
    struct node_ev_list list;
    bool open = false;
    crdt_context_init(&own.seen, &n->alloc);
    node_ev_list_get(n, row->region, &list);
    int err = node_ev_retire_cut(node_ev_seen(n, row->region), node, &own, &open);
    bool owns = node_ev_list_has(&list, node_self(n));
    bool trusted = (node_ev_of(n)->whole >> row->region & 1u) == 0;
    *yes = err == 0 && crdt_context_leq(&own.seen, &row->seen) &&
           (!owns || (trusted && crdt_context_leq(&row->seen, &own.seen)));
    crdt_context_release(&own.seen);
    return err;
}

void node_ev_over_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    struct node_ev_retired row;
    uint8_t answer[sizeof(uint64_t)];
    uint64_t below = bytes_take_u64(&r);
    uint64_t agreed = 0;
    int err = node_ev_ready(n) ? 0 : ERR_UNAVAILABLE;
    crdt_context_init(&row.seen, &n->alloc);
    while (err == 0 && r.left > 0) {
        bool yes = false;
        err = node_ev_retired_take(&r, request.peer, &row);
        err = err == 0 && row.below != below ? ERR_INVALID : err;
        err = err != 0 ? err : node_ev_over_row(n, request.peer, &row, &yes);
        agreed |= yes ? UINT64_C(1) << row.region : 0;
    }
    crdt_context_release(&row.seen);
    num_put_u64(answer, agreed);
    node_answer(n, request, err, err != 0 ? bytes_of(NULL, 0) : bytes_of(answer, sizeof answer),
                NULL);
}
