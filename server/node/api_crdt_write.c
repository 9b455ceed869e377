/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * crdt.update: a batch on its way to one command of the own group.
 *
 *   WAIT    until this node has seen what the token names of the regions written to
 *   TURN    operations that read all records under a path take turns, a key at a time
 *   HINTS   the records under the paths of those operations
 *   GRANT   a bounded counter that is created: its grant, made once by consensus
 *   WRITE   the command
 *
 * What it is refused for before WRITE was not done. In a session that is only said if no attempt of
 * before was done or may yet be: all that the own log has by then is applied, the session is asked
 * for the sequence, and none is under way in memory. Else the answer is the one that the session
 * has, or that the outcome is unknown.
 *
 * One that waits for its turn when its time is up is refused; one whose command is out keeps its
 * turn until that has ended, but its client hears that the outcome is unknown.
 */
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_write_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define EV_TURN_US                                                                \
    (600u * UINT64_C(1000000)) /* a turn ends with the command, not with patience \
                                */
#define EV_BODY_BYTES 10u      /* of an UPDATE without operations */
#define EV_OP_BYTES 64u        /* of one in it, besides names and values, mostly */
#define EV_REPLY_BYTES 192u    /* of an answer to one operation, mostly */
#define EV_BOUNDED_SPACE NODE_SPACE_OWN "bounded"
#define EV_ATTEMPTS 256u /* lists; a power of two */

struct node_ev_writes {
    struct node_link turns;                 /* have their turn */
    struct node_link waiting;               /* in order of arrival */
    struct node_link attempts[EV_ATTEMPTS]; /* all in a session, by session and sequence */
    uint64_t left[EV_ATTEMPTS]; /* no entry of an attempt that is over and unknown is behind it */
};

int node_ev_writes_init(struct node *n)
{
    n->ev_writes = alloc_get_zeroed(&n->alloc, 1, sizeof *n->ev_writes);
    if (n->ev_writes == NULL) {
        return ERR_NO_MEMORY;
    }
    node_link_init(&n->ev_writes->turns);
    node_link_init(&n->ev_writes->waiting);
    for (unsigned i = 0; i < EV_ATTEMPTS; i++) {
        node_link_init(&n->ev_writes->attempts[i]);
    }
    return 0;
}

static void ev_write_free(struct node *n, struct ev_write *w)
{
    node_timer_cancel(n, &w->patience);
    node_link_remove(&w->link);
    node_link_remove(&w->attempt);
    for (unsigned i = 0; w->items != NULL && i < w->count; i++) {
        buf_release(&w->items[i].hints);
    }
    alloc_put(&n->alloc, w->items, w->count * sizeof *w->items);
    alloc_put(&n->alloc, w->ops, w->count * sizeof *w->ops);
    node_ev_causal_release(&w->causal);
    crdt_context_release(&w->wanted);
    buf_release(&w->memory);
    buf_release(&w->resume);
    buf_release(&w->body);
    alloc_put(&n->alloc, w, sizeof *w);
}

void node_ev_writes_release(struct node *n)
{
    if (n->ev_writes == NULL) {
        return;
    }
    while (!node_link_empty(&n->ev_writes->waiting)) {
        ev_write_free(n, (struct ev_write *)(void *)n->ev_writes->waiting.next);
    }
    ASSERT(node_link_empty(&n->ev_writes->turns)); /* each had its end when the node closed */
    for (unsigned i = 0; i < EV_ATTEMPTS; i++) {
        ASSERT(node_link_empty(&n->ev_writes->attempts[i]));
    }
    alloc_put(&n->alloc, n->ev_writes, sizeof *n->ev_writes);
    n->ev_writes = NULL;
}

/* ---- turns ---------------------------------------------------------------------------------- */

static void ev_hints_begin(struct node *n, struct ev_write *w);

static bool ev_turns_meet(const struct ev_write *a, const struct ev_write *b)
{
    for (unsigned i = 0; i < a->count; i++) {
        for (unsigned j = 0; a->items[i].turns && j < b->count; j++) {
            if (b->items[j].turns && bytes_equal(a->items[i].key, b->items[j].key)) {
                return true;
            }
        }
    }
    return false;
}

static bool ev_turn_free(const struct node_link *list, const struct ev_write *w)
{
    for (const struct node_link *at = list->next; at != list && at != &w->link; at = at->next) {
        if (ev_turns_meet((const struct ev_write *)(const void *)at, w)) {
            return false;
        }
    }
    return true;
}

static void ev_turn_take(struct node *n, struct ev_write *w)
{
    node_link_remove(&w->link);
    node_link_append(&n->ev_writes->turns, &w->link);
    w->in_turn = true;
    w->waits = false;
    ev_hints_begin(n, w);
}

/* Somebody has gone: the first of those that waited for it goes on. */
static void ev_turns_go_on(struct node *n)
{
    struct node_link *waiting = &n->ev_writes->waiting;
    struct node_link *at = waiting->next;
    while (!n->closing && at != waiting) {
        struct ev_write *next = (struct ev_write *)(void *)at;
        at = at->next;
        if (ev_turn_free(&n->ev_writes->turns, next) && ev_turn_free(waiting, next)) {
            ev_turn_take(n, next);
            at = waiting->next; /* it may have ended at once, and others with it */
        }
    }
}

static void ev_turn_end(struct node *n, struct ev_write *w)
{
    bool was = w->in_turn;
    ev_write_free(n, w);
    if (was) {
        ev_turns_go_on(n);
    }
}

static size_t ev_attempts_place(const struct ev_write *w)
{
    uint64_t mixed = w->id[0] * UINT64_C(0x9e3779b97f4a7c15) + w->id[1];
    return (size_t)(mixed >> 32 ^ mixed) & (EV_ATTEMPTS - 1);
}

static struct node_link *ev_attempts_of(const struct node *n, const struct ev_write *w)
{
    return &n->ev_writes->attempts[ev_attempts_place(w)];
}

/* returns: whether it may be another attempt of a write that was done. */
static bool ev_write_again(const struct ev_write *w)
{
    return w->cmd.session != 0 || w->once.token.node != 0;
}

/* returns: whether another attempt of the same write is under way, and may yet be done. */
static bool ev_write_goes_on(const struct node *n, const struct ev_write *w)
{
    const struct node_link *list = ev_attempts_of(n, w);
    for (const struct node_link *at = list->next; at != list; at = at->next) {
        const struct ev_write *other =
            (const struct ev_write *)(const void *)((const char *)at -
                                                    offsetof(struct ev_write, attempt));
        if (other != w && !other->refused && other->id[0] == w->id[0] && other->id[1] == w->id[1]) {
            return true;
        }
    }
    return false;
}

static void ev_write_refuse(struct node *n, struct ev_write *w, int code);

static void ev_turn_begin(struct node *n, struct ev_write *w)
{
    bool turns = false;
    if (n->now >= w->deadline_us) {
        ev_write_refuse(n, w, ERR_BUSY); /* its patience does not fire once more */
        return;
    }
    for (unsigned i = 0; i < w->count; i++) {
        turns = turns || w->items[i].turns;
    }
    if (!turns) {
        ev_hints_begin(n, w);
    } else if (ev_turn_free(&n->ev_writes->turns, w) && ev_turn_free(&n->ev_writes->waiting, w)) {
        ev_turn_take(n, w);
    } else {
        w->waits = true;
        node_link_append(&n->ev_writes->waiting, &w->link);
    }
}

/* ---- the end -------------------------------------------------------------------------------- */

static void ev_write_command(struct node *n, struct ev_write *w);

static void ev_write_error(struct node *n, struct ev_write *w, int code)
{
    if (!w->answered) {
        node_ev_write_say(n, w, code);
    }
    ev_turn_end(n, w);
}

static void ev_write_known(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_write *w = ctx;
    if (code == 0 && reply.size == 1 && reply.data[0] != 0) {
        w->settled = true;
        w->cmd.settled = true;
        ev_write_command(n, w);
        return;
    }
    bool sure = code == 0 && !w->beside && !ev_write_goes_on(n, w);
    ev_write_error(n, w, sure ? w->refusal : ERR_TIMEOUT);
}

/* returns: the last entry of the own log. */
static uint64_t ev_write_logged(struct node *n)
{
    struct raft_status s = {.last_index = UINT64_MAX}; /* without a log: nothing is known */
    (void)raft_status_get(n->raft, NODE_GROUP_OWN, n->now, &s);
    return s.last_index;
}

/* returns: the last entry of the own log that may be of an attempt which is over. All that was
 * there when the node started has been applied by the time it has an actor. */
static uint64_t ev_write_left(struct node *n, const struct ev_write *w)
{
    struct crdt_actor self;
    return node_ev_actor(n, &self) ? n->ev_writes->left[ev_attempts_place(w)] : ev_write_logged(n);
}

static void ev_write_refuse(struct node *n, struct ev_write *w, int code)
{
    uint8_t body[NODE_EV_ONCE_NAME_BYTES];
    w->refusal = code;
    if (!ev_write_again(w) || w->count == 0) {
        ev_write_error(n, w, code);
        return;
    }
    if (n->closing) {
        ev_write_error(n, w, ERR_TIMEOUT); /* nobody can be asked any more */
        return;
    }
    w->refused = true;
    w->beside = ev_write_goes_on(n, w);
    uint8_t op = NODE_QUERY_SESSION_SEEN;
    struct bytes asked = bytes_of(body, 16);
    num_put_u64(body, w->cmd.session);
    num_put_u64(body + 8, w->cmd.sequence);
    if (w->once.token.node != 0) {
        op = NODE_QUERY_EV_ONCE;
        asked = node_ev_once_name(&w->once.token, body);
    }
    node_query_from(n, NODE_GROUP_OWN, op, asked, ev_write_left(n, w), n->now + NODE_EV_BUDGET_US,
                    w, ev_write_known);
}

/* Its time is up. */
static void ev_write_patience(struct node *n, struct node_timer *t)
{
    struct ev_write *w = t->ctx;
    if (w->waits) {
        w->waits = false;
        node_link_remove(&w->link);
        ev_turns_go_on(n); /* those who waited for this one alone */
        ev_write_refuse(n, w, ERR_BUSY);
    } else if (w->in_turn && w->proposed && !w->answered) {
        w->answered = true;
        node_reply_error(n, w->client, ERR_TIMEOUT, NULL);
    }
}

/* A session has its answer already; its next sequence finds the rights. */
static void ev_reclaimed(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_write *w = ctx;
    (void)reply;
    if (code != 0 || w->cmd.session != 0) {
        ev_write_error(n, w, ERR_NO_RIGHTS);
        return;
    }
    for (unsigned i = 0; i < w->count; i++) {
        buf_clear(&w->items[i].hints);
    }
    ev_hints_begin(n, w);
}

/* returns: whether more rights are looked for first. */
static bool ev_write_reclaims(struct node *n, struct ev_write *w, int code)
{
    bool first = code == ERR_NO_RIGHTS && !w->settled && !w->reclaimed;
    w->reclaimed = w->reclaimed || first;
    return first && node_ev_reclaim(n, w, ev_reclaimed);
}

static void ev_written(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_write *w = ctx;
    struct buf out;
    if (code != 0) {
        struct bytes_reader r = bytes_reader_of(reply);
        uint32_t at = bytes_take_u16(&r);
        w->named = bytes_reader_ended(&r) ? at : UINT32_MAX;
        if (ev_write_reclaims(n, w, code)) {
            return;
        }
        bool asked = err_outcome_of(code) == ERR_OUTCOME_RETRY && code != ERR_NO_RIGHTS;
        if (asked && !w->settled) {
            ev_write_refuse(n, w, code); /* this attempt was not taken; one before it may be */
        } else {
            if (err_outcome_of(code) == ERR_OUTCOME_UNKNOWN) {
                n->ev_writes->left[ev_attempts_place(w)] = ev_write_logged(n);
            }
            ev_write_error(n, w, asked ? ERR_TIMEOUT : code); /* it was done before */
        }
        return;
    }
    buf_init(&out, &n->alloc, 4u << 20);
    (void)buf_reserve(&out, EV_REPLY_BYTES);
    code = node_ev_written_pack(n, w, reply, &out);
    if (code == 0 && !w->answered) {
        node_reply_ok(n, w->client, buf_view(&out));
    } else if (!w->answered) {
        node_reply_error(n, w->client, ERR_DONE, NULL); /* done, but the answer is not to be had */
    }
    buf_release(&out);
    ev_turn_end(n, w);
}

/* A bounded counter's own account may not be there yet. */
static int ev_write_hints(struct node *n, struct ev_write *w)
{
    struct crdt_actor self = {0};
    for (unsigned i = 0; i < w->count; i++) {
        struct node_ev_op *op = &w->ops[i];
        op->hints = w->items[i].turns ? &w->items[i].hints : NULL;
        if (op->path.types[op->path.count] != CRDT_BOUNDED) {
            continue;
        }
        if (!node_ev_actor(n, &self)) {
            return ERR_UNAVAILABLE;
        }
        TRY(node_ev_op_accounts(op, self, op->hints));
    }
    return 0;
}

/* What the session knows is answered from there, and changes nothing. */
static uint64_t ev_write_deadline(const struct node *n, const struct ev_write *w)
{
    if (w->settled) {
        return NUM_MAX(w->deadline_us, n->now + NODE_EV_BUDGET_US);
    }
    return w->in_turn ? n->now + EV_TURN_US : w->deadline_us;
}

static void ev_write_command(struct node *n, struct ev_write *w)
{
    if (!w->settled && n->now >= w->deadline_us) {
        ev_write_refuse(n, w, w->create ? ERR_TIMEOUT : ERR_BUSY);
        return;
    }
    buf_clear(&w->body);
    (void)buf_reserve(&w->body, EV_BODY_BYTES + w->count * EV_OP_BYTES + w->memory.size);
    w->cmd.op = NODE_OP_EV_UPDATE;
    int err = w->settled ? 0 : ev_write_hints(n, w);
    if (w->once.token.node != 0) {
        w->cmd.op = NODE_OP_EV_ONCE;
        (void)node_ev_once_head(&w->once, &w->body);
    }
    err = err != 0 ? err : node_ev_update_encode(w->ops, w->count, n->wall, &w->body);
    if (err != 0 && !w->settled) {
        ev_write_refuse(n, w, err);
        return;
    }
    if (err != 0) {
        ev_write_error(n, w, ERR_DONE);
        return;
    }
    w->cmd.body = buf_view(&w->body);
    w->proposed = true;
    node_ev_write(n, &w->cmd, w->copies, w->causal.budget_us, ev_write_deadline(n, w), w,
                  ev_written);
}

/* ---- GRANT ---------------------------------------------------------------------------------- */

/* The record that says once for all who got the first rights of a bounded counter: number u64,
 * node u32, epoch u64, amount i64; a value of a reserved space, under the counter's key and path.
 */
#define EV_GRANT_BYTES 28u

static int ev_grant_key(const struct ev_write *w, struct buf *out)
{
    TRY(buf_append(out, w->items[0].key.data, w->items[0].key.size));
    TRY(crdt_op_range(&w->ops[0].path, &w->ops[0].op, out));
    return out->size > WIRE_NAME_BYTES_MAX ? ERR_TOO_LARGE : 0;
}

static void ev_grant_read(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_write *w = ctx;
    struct crdt_op *op = &w->ops[0].op;
    struct node_kv_value v;
    if (code == 0) {
        code = reply.size == 0 ? ERR_CONFLICT : node_kv_decode(reply, &v);
    }
    if (code != 0) {
        ev_write_refuse(n, w, code);
        return;
    }
    struct bytes_reader r = bytes_reader_of(v.data);
    op->number = bytes_take_u64(&r);
    op->to.node = bytes_take_u32(&r);
    op->to.epoch = bytes_take_u64(&r);
    int64_t amount = (int64_t)bytes_take_u64(&r);
    if (!bytes_reader_ended(&r) || amount != op->amount) {
        ev_write_refuse(n, w, r.failed ? ERR_CORRUPT : ERR_EXISTS);
        return;
    }
    ev_write_command(n, w);
}

static void ev_granted(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_write *w = ctx;
    struct bytes space = bytes_of(EV_BOUNDED_SPACE, sizeof EV_BOUNDED_SPACE - 1);
    uint8_t raw[NODE_NAME_BYTES_MAX];
    struct bytes name;
    (void)reply;
    if (code == 0) {
        ev_write_command(n, w);
        return;
    }
    buf_clear(&w->body);
    int err = ev_grant_key(w, &w->body);
    err = err != 0 ? err : node_kv_name(space, buf_view(&w->body), raw, &name);
    if (code != ERR_CONFLICT || err != 0) {
        ev_write_refuse(n, w, code != ERR_CONFLICT ? code : err);
        return;
    }
    node_query(n, node_group_of(n, space), NODE_QUERY_KV_GET, name, false, w->deadline_us, w,
               ev_grant_read);
}

static void ev_grant_begin(struct node *n, struct ev_write *w)
{
    struct bytes space = bytes_of(EV_BOUNDED_SPACE, sizeof EV_BOUNDED_SPACE - 1);
    struct crdt_op *op = &w->ops[0].op;
    struct node_cmd cmd = {.op = NODE_OP_KV_CAS, .principal = w->cmd.principal};
    struct buf *out = &w->body;
    struct buf key;
    if (!node_ev_actor(n, &op->to)) {
        ev_write_refuse(n, w, ERR_UNAVAILABLE);
        return;
    }
    op->number = 1;
    buf_init(&key, &n->alloc, 2 * NODE_NAME_BYTES_MAX);
    int err = ev_grant_key(w, &key);
    buf_clear(out);
    (void)buf_put_u16(out, (uint16_t)space.size);
    (void)buf_append(out, space.data, space.size);
    (void)buf_put_u16(out, (uint16_t)key.size);
    (void)buf_append(out, key.data, key.size);
    (void)buf_put_u8(out, 0); /* absent so far */
    (void)buf_put_u8(out, 1);
    (void)buf_put_u32(out, EV_GRANT_BYTES);
    (void)buf_put_u64(out, op->number);
    (void)buf_put_u32(out, op->to.node);
    (void)buf_put_u64(out, op->to.epoch);
    (void)buf_put_u64(out, (uint64_t)op->amount);
    buf_release(&key);
    if (err != 0 || out->err != 0) {
        ev_write_refuse(n, w, err != 0 ? err : out->err);
        return;
    }
    cmd.body = buf_view(out);
    node_propose(n, node_group_of(n, space), &cmd, w->deadline_us, w, ev_granted);
}

/* ---- who gets rights ------------------------------------------------------------------------ */

static void ev_actors_next(struct node *n, struct ev_write *w);

static void ev_actor_told(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_write *w = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    uint64_t epoch = bytes_take_u64(&r);
    if (code == 0 && (r.failed || epoch == 0)) {
        code = ERR_UNAVAILABLE;
    }
    if (code != 0) { /* nothing was written */
        ev_write_refuse(n, w, ERR_UNAVAILABLE);
        return;
    }
    w->ops[w->at++].op.to.epoch = epoch;
    ev_actors_next(n, w);
}

/* Rights go to the actor that a node is now, as it says itself. */
static void ev_actors_next(struct node *n, struct ev_write *w)
{
    static const uint8_t none[1] = {0};
    while (w->at < w->count && w->ops[w->at].op.verb != CRDT_TRANSFER) {
        w->at++;
    }
    if (w->at == w->count) {
        ev_write_command(n, w);
        return;
    }
    uint32_t node = w->ops[w->at].op.to.node;
    if (wire_identity_node_of(&n->identity, node) == NULL) {
        w->named = w->at;
        ev_write_refuse(n, w, ERR_NOT_FOUND);
        return;
    }
    if (!node_peer_is_up(n, node)) {
        ev_write_refuse(n, w, ERR_UNAVAILABLE);
        return;
    }
    node_ev_ask(n, node, NODE_QUERY_EV_WHO, bytes_of(none, sizeof none), w->deadline_us, w,
                ev_actor_told);
}

/* ---- HINTS ---------------------------------------------------------------------------------- */

static struct node_ev_target ev_target_at(const struct ev_write *w, unsigned i)
{
    return (struct node_ev_target){
        .key = w->items[i].key, .path = w->ops[i].path, .region = w->items[i].region};
}

static void ev_hints_next(struct node *n, struct ev_write *w);

/* Takes an answer of NAMES apart. names: what follows. */
static int ev_names_of(struct bytes reply, bool *more, struct bytes *last, struct bytes *names)
{
    struct bytes_reader r = bytes_reader_of(reply);
    *more = bytes_take_u8(&r) != 0;
    *last = bytes_take(&r, bytes_take_u16(&r));
    *names = bytes_of(r.at, r.left);
    return r.failed ? ERR_PROTOCOL : 0;
}

static void ev_hints_named(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_write *w = ctx;
    struct bytes last;
    struct bytes names;
    bool more = false;
    buf_clear(&w->resume);
    code = code != 0 ? code : ev_names_of(reply, &more, &last, &names);
    code = code != 0 ? code : buf_append(&w->items[w->at].hints, names.data, names.size);
    if (code == 0 && more) {
        code = buf_append(&w->resume, last.data, last.size);
    }
    if (code != 0) { /* whatever became of the question: nothing was written */
        ev_write_refuse(n, w, code == ERR_TIMEOUT ? ERR_BUSY : code);
        return;
    }
    w->at += !more;
    ev_hints_next(n, w);
}

static void ev_hints_next(struct node *n, struct ev_write *w)
{
    while (w->at < w->count && !w->items[w->at].turns) {
        w->at++;
    }
    if (w->at == w->count && w->create) {
        ev_grant_begin(n, w);
        return;
    }
    if (w->at == w->count) {
        w->at = 0;
        ev_actors_next(n, w);
        return;
    }
    struct node_ev_target t = ev_target_at(w, w->at);
    struct buf prefix;
    buf_init(&prefix, &n->alloc, 2 * NODE_NAME_BYTES_MAX);
    int err = crdt_op_range(&t.path, &w->ops[w->at].op, &prefix);
    err = err != 0
              ? err
              : node_ev_prefix_body(&t, buf_view(&prefix), false, buf_view(&w->resume), &w->body);
    buf_release(&prefix);
    if (err != 0) {
        ev_write_refuse(n, w, err);
        return;
    }
    node_ev_ask(n, w->node, NODE_QUERY_EV_NAMES, buf_view(&w->body), w->deadline_us, w,
                ev_hints_named);
}

static void ev_hints_begin(struct node *n, struct ev_write *w)
{
    w->at = 0;
    ev_hints_next(n, w);
}

/* ---- WAIT ----------------------------------------------------------------------------------- */

static void ev_wait_next(struct node *n, struct ev_write *w);

static void ev_waited(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_write *w = ctx;
    (void)reply;
    if (code != 0) {
        w->named = w->at;
        ev_write_refuse(n, w, code);
        return;
    }
    w->at++;
    ev_wait_next(n, w);
}

static void ev_wait_next(struct node *n, struct ev_write *w)
{
    for (; w->at < w->count && w->causal.token.ranges_count > 0; w->at++) {
        uint8_t region = w->items[w->at].region;
        struct alloc alloc = w->wanted.alloc;
        crdt_context_release(&w->wanted);
        crdt_context_init(&w->wanted, &alloc);
        int err = node_ev_causal_context(&w->causal, region, &w->wanted);
        if (err != 0) {
            w->named = w->at;
            ev_write_refuse(n, w, err);
            return;
        }
        w->cmd.here = w->cmd.here || w->wanted.count > 0;
        if (!node_ev_causal_met(n, region, &w->wanted)) {
            node_ev_wait(n, region, &w->wanted,
                         NUM_MIN(w->deadline_us, n->now + w->causal.budget_us), w, ev_waited);
            return;
        }
    }
    ev_turn_begin(n, w);
}

/* ---- requests ------------------------------------------------------------------------------- */

/* returns: this node, unless another one owns the region and is there. What this one has of a
 * region that is held may be old: nothing is to be observed in it. */
static uint32_t ev_write_owner(struct node *n, uint8_t region)
{
    uint32_t owners[NODE_EV_OWNERS_MAX];
    bool self = false;
    unsigned count = node_ev_owners(n, region, owners, &self);
    self = self && !node_ev_hold_any(n, UINT64_C(1) << region);
    for (unsigned i = 0; i < count && !self; i++) {
        if (owners[i] != n->self && node_peer_sure(n, owners[i])) {
            return owners[i];
        }
    }
    return n->self;
}

/* A write under a token is done by the node that the token names or not at all: only that one knows
 * what became of it. returns: 0, or what it is refused for. */
static int ev_write_once(struct node *n, struct ev_write *w)
{
    uint32_t owners[NODE_EV_OWNERS_MAX];
    w->node = w->once.token.node;
    if (w->node != n->self) {
        return ERR_NOT_LEADER;
    }
    w->cmd.here = true;
    for (unsigned i = 0; i < w->count; i++) {
        bool self = false;
        (void)node_ev_owners(n, w->items[i].region, owners, &self);
        if (!self) {
            w->named = i;
            w->why = "the node that the token names does not keep the key";
            return ERR_INVALID;
        }
    }
    return node_ev_once_check(n, &w->once.token, &w->why);
}

/* What an operation observes is at an owner of the key: removals and the like would find nothing
 * here. Without a session a write is handed over as it is; else, or if it asks for records first,
 * the client goes to the owner of the first key. returns: whether it must. */
static bool ev_write_elsewhere(struct node *n, struct ev_write *w)
{
    bool turns = false;
    w->node = ev_write_owner(n, w->items[0].region);
    w->named = 0;
    for (unsigned i = 0; i < w->count; i++) {
        turns = turns || w->items[i].turns;
    }
    for (unsigned i = 1; i < w->count && w->apart && w->node == n->self; i++) {
        w->named = i;
        w->node = ev_write_owner(n, w->items[i].region);
    }
    return (turns || w->cmd.session != 0) && w->node != n->self;
}

void node_crdt_update_serve(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct ev_write *w = alloc_get_zeroed(&n->alloc, 1, sizeof *w);
    if (w == NULL) {
        node_reply_error(n, client, ERR_NO_MEMORY, NULL);
        return;
    }
    w->client = client;
    w->named = UINT32_MAX;
    node_link_init(&w->link);
    node_link_init(&w->attempt);
    crdt_context_init(&w->wanted, &n->alloc);
    wire_token_init(&w->causal.token, &n->alloc);
    buf_init(&w->memory, &n->alloc, 16u << 20);
    buf_init(&w->resume, &n->alloc, NODE_NAME_BYTES_MAX);
    buf_init(&w->body, &n->alloc, 16u << 20);
    int err = node_ev_write_of(n, req, w);
    if (err != 0) {
        node_ev_write_say(n, w, err);
        ev_write_free(n, w);
        return;
    }
    if (ev_write_again(w)) {
        bool once = w->once.token.node != 0;
        w->id[0] = once ? w->once.token.random : w->cmd.session;
        w->id[1] = once ? w->once.token.time_us : w->cmd.sequence;
        node_link_append(ev_attempts_of(n, w), &w->attempt);
    }
    w->patience = (struct node_timer){.ctx = w, .fire = ev_write_patience};
    node_timer_set(n, &w->patience, w->deadline_us);
    if (w->once.token.node != 0) {
        err = ev_write_once(n, w);
    } else {
        err = ev_write_elsewhere(n, w) ? ERR_NOT_LEADER : 0;
    }
    if (err != 0) {
        ev_write_refuse(n, w, err);
        return;
    }
    w->named = UINT32_MAX;
    ev_wait_next(n, w);
}
