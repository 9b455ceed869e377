/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of writes: given out by an entry of the own log, so that its log time is durable and no
 * token is of a later time than the log; remembered with the write; forgotten by an entry that
 * names a log time, as sessions are. A token that may have been forgotten is refused from then on.
 */
#include "server/node/eventual_once_internal.h"
#include "server/node/eventual_peers_internal.h"
#include "server/node/eventual_self_internal.h"

#define NODE_EV_ONCE_PAGE 256u /* forgotten by one entry */
#define NODE_EV_ONCE_ROUNDS 1440u
#define NODE_EV_ONCE_CALL_US 5000000u

struct node_ev_once_state {
    uint64_t bytes;    /* of all records with their names */
    uint64_t swept_us; /* log time: of tokens given before, nothing may be known */
};

struct node_ev_onces {
    struct node_ev_once_state now;
    bool sweeping;
    struct node_timer run;
};

/* ---- records -------------------------------------------------------------------------------- */

static struct bytes node_ev_once_all_name(void)
{
    static const uint8_t name[1] = {NODE_KEY_EV_ONCE};
    return bytes_of(name, sizeof name);
}

/* raw empty: there is none. returns: 0, ERR_LEVEL, ERR_CORRUPT. */
static int node_ev_once_state_of(struct bytes raw, struct node_ev_once_state *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    *out = (struct node_ev_once_state){0};
    if (raw.size == 0) {
        return 0;
    }
    TRY(bytes_take_u8(&r) == NODE_EV_ONCE_FORMAT ? 0 : ERR_LEVEL);
    out->bytes = bytes_take_u64(&r);
    out->swept_us = bytes_take_u64(&r);
    return bytes_reader_ended(&r) ? 0 : ERR_CORRUPT;
}

static int node_ev_once_state_put(struct node_sm *sm, const struct node_ev_once_state *s)
{
    uint8_t raw[NODE_EV_ONCE_STATE_BYTES] = {NODE_EV_ONCE_FORMAT};
    num_put_u64(raw + 1, s->bytes);
    num_put_u64(raw + 9, s->swept_us);
    return node_sm_put(sm, node_ev_once_all_name(), bytes_of(raw, sizeof raw));
}

struct bytes node_ev_once_name(const struct wire_once *token, uint8_t into[NODE_EV_ONCE_NAME_BYTES])
{
    into[0] = NODE_KEY_EV_ONCE;
    num_put_u64_be(into + 1, token->time_us);
    num_put_u64_be(into + 9, token->epoch);
    num_put_u64_be(into + 17, token->random);
    return bytes_of(into, NODE_EV_ONCE_NAME_BYTES);
}

/* ---- a write -------------------------------------------------------------------------------- */

int node_ev_once_head(const struct node_ev_once *o, struct buf *out)
{
    (void)buf_put_u64(out, o->token.time_us);
    (void)buf_put_u64(out, o->token.epoch);
    (void)buf_put_u64(out, o->token.random);
    (void)buf_put_u64(out, o->operations.low);
    return buf_put_u64(out, o->operations.high);
}

static int node_ev_once_head_of(struct bytes body, struct node_ev_once *out)
{
    struct bytes_reader r = bytes_reader_of(body);
    *out = (struct node_ev_once){.token.time_us = bytes_take_u64(&r)};
    out->token.epoch = bytes_take_u64(&r);
    out->token.random = bytes_take_u64(&r);
    out->operations.low = bytes_take_u64(&r);
    out->operations.high = bytes_take_u64(&r);
    return r.failed ? ERR_INVALID : 0;
}

struct bytes node_ev_once_update(const struct node_cmd *cmd)
{
    size_t head = cmd->op == NODE_OP_EV_ONCE ? NODE_EV_ONCE_HEAD_BYTES : 0;
    return cmd->body.size < head ? bytes_of(NULL, 0)
                                 : bytes_of(cmd->body.data + head, cmd->body.size - head);
}

int node_ev_once_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct node_ev_once o;
    uint8_t name[NODE_EV_ONCE_NAME_BYTES];
    TRY(node_ev_once_head_of(cmd->body, &o));
    TRY(node_keys_add(out, node_ev_once_all_name()));
    return node_keys_add(out, node_ev_once_name(&o.token, name));
}

/* returns: whether the state would have a record of the token's write, had it been done. */
static bool node_ev_once_knows(const struct node *n, const struct wire_once *token, uint64_t now_us)
{
    const struct node_ev_self_record *self = node_ev_self_now(n);
    return token->epoch >= NUM_MAX(self->since, self->knows) && token->epoch <= self->epoch &&
           token->time_us <= now_us && token->time_us >= n->ev_once->now.swept_us;
}

int node_ev_once_begin(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply,
                       bool *ended)
{
    struct node_ev_once o;
    uint8_t name[NODE_EV_ONCE_NAME_BYTES];
    struct bytes raw;
    *ended = true;
    TRY(node_ev_once_head_of(cmd->body, &o));
    if (node_sm_get(sm, node_ev_once_name(&o.token, name), &raw) == 0) {
        struct bytes_reader r = bytes_reader_of(raw);
        TRY(bytes_take_u8(&r) == NODE_EV_ONCE_FORMAT ? 0 : ERR_LEVEL);
        bool same = bytes_take_u64(&r) == o.operations.low;
        same = bytes_take_u64(&r) == o.operations.high && same;
        TRY(r.failed ? ERR_CORRUPT : 0);
        return same ? buf_append(reply, r.at, r.left) : ERR_CONFLICT;
    }
    if (!node_ev_once_knows(sm->n, &o.token, sm->time_us)) {
        return ERR_FORGOTTEN;
    }
    *ended = false;
    return 0;
}

int node_ev_once_end(struct node_sm *sm, const struct node_cmd *cmd, struct bytes reply)
{
    struct node_ev_once_state s = sm->n->ev_once->now;
    struct node_ev_once o;
    struct buf value;
    uint8_t name[NODE_EV_ONCE_NAME_BYTES];
    TRY(node_ev_once_head_of(cmd->body, &o));
    buf_init(&value, &sm->n->alloc, NODE_REPLY_BYTES_MAX);
    (void)buf_put_u8(&value, NODE_EV_ONCE_FORMAT);
    (void)buf_put_u64(&value, o.operations.low);
    (void)buf_put_u64(&value, o.operations.high);
    int err = buf_append(&value, reply.data, reply.size);
    s.bytes += sizeof name + value.size;
    err = err != 0 ? err : node_sm_put(sm, node_ev_once_name(&o.token, name), buf_view(&value));
    buf_release(&value);
    return err != 0 ? ERR_NO_MEMORY : node_ev_once_state_put(sm, &s);
}

/* ---- other commands ------------------------------------------------------------------------- */

/* Body: random u64. Reply: epoch u64, log time u64, random u64. Nothing changes: the entry makes
 * the time durable. */
static int node_ev_token_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    return cmd->body.size != 8 ? ERR_INVALID : node_keys_add(out, node_ev_self_name());
}

static int node_ev_token_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    const struct node_ev_self_record *self = node_ev_self_now(sm->n);
    if (node_sm_group(sm) != NODE_GROUP_OWN || cmd->body.size != 8) {
        return ERR_INVALID;
    }
    if (self->epoch == 0 || self->clean) {
        return ERR_UNAVAILABLE;
    }
    (void)buf_put_u64(reply, self->epoch);
    (void)buf_put_u64(reply, sm->time_us);
    return buf_append(reply, cmd->body.data, cmd->body.size);
}

/* Body: log time u64, then names of records without their kind. */
static int node_ev_once_end_check(struct bytes body)
{
    const size_t each = NODE_EV_ONCE_NAME_BYTES - 1;
    bool fits = body.size >= 8 && (body.size - 8) % each == 0 &&
                (body.size - 8) / each <= NODE_EV_ONCE_PAGE;
    return fits ? 0 : ERR_INVALID;
}

static struct bytes node_ev_once_end_name(struct bytes_reader *r,
                                          uint8_t into[NODE_EV_ONCE_NAME_BYTES])
{
    struct bytes v = bytes_take(r, NODE_EV_ONCE_NAME_BYTES - 1);
    into[0] = NODE_KEY_EV_ONCE;
    memcpy(into + 1, v.data, v.size);
    return bytes_of(into, NODE_EV_ONCE_NAME_BYTES);
}

static int node_ev_once_end_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct bytes_reader r = bytes_reader_of(cmd->body);
    uint8_t name[NODE_EV_ONCE_NAME_BYTES];
    TRY(node_ev_once_end_check(cmd->body));
    (void)bytes_take_u64(&r);
    TRY(node_keys_add(out, node_ev_once_all_name()));
    while (r.left > 0) {
        TRY(node_keys_add(out, node_ev_once_end_name(&r, name)));
    }
    return 0;
}

static int node_ev_once_end_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct bytes_reader r = bytes_reader_of(cmd->body);
    struct node_ev_once_state s = sm->n->ev_once->now;
    uint8_t raw[NODE_EV_ONCE_NAME_BYTES];
    struct bytes value;
    (void)reply;
    TRY(node_sm_group(sm) == NODE_GROUP_OWN ? node_ev_once_end_check(cmd->body) : ERR_INVALID);
    uint64_t before_us = bytes_take_u64(&r);
    if (before_us > sm->time_us) {
        return ERR_INVALID;
    }
    s.swept_us = NUM_MAX(s.swept_us, before_us);
    while (r.left > 0) {
        struct bytes name = node_ev_once_end_name(&r, raw);
        if (num_get_u64_be(raw + 1) < before_us && node_sm_get(sm, name, &value) == 0) {
            uint64_t bytes = name.size + value.size;
            s.bytes -= NUM_MIN(s.bytes, bytes);
            TRY(node_sm_del(sm, name));
        }
    }
    return node_ev_once_state_put(sm, &s);
}

const struct node_op node_ev_once_ops[] = {
    {NODE_OP_EV_TOKEN, "ev_token", node_ev_token_keys, node_ev_token_apply},
    {NODE_OP_EV_ONCE_END, "ev_once_end", node_ev_once_end_keys, node_ev_once_end_apply},
    {0, NULL, NULL, NULL},
};

/* ---- questions ------------------------------------------------------------------------------ */

/* Body: a record's name. Reply: 1 if there is one, else 0. */
static int node_ev_once_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    (void)range;
    return body.size != NODE_EV_ONCE_NAME_BYTES ? ERR_INVALID : node_keys_add(keys, body);
}

static int node_ev_once_answer(const struct node_query_ctx *q, struct bytes body,
                               const struct node_rows *rows, struct buf *reply)
{
    struct bytes raw;
    (void)q;
    return buf_put_u8(reply, node_rows_get(rows, body, &raw) == 0);
}

/* Body: the name of the first record that is not due. Reply: more u8, names without their kind. */
static int node_ev_once_due_want(struct bytes body, struct node_keys *keys,
                                 struct node_range *range)
{
    (void)keys;
    if (body.size != NODE_EV_ONCE_NAME_BYTES) {
        return ERR_INVALID;
    }
    range->from = node_ev_once_all_name();
    range->after = true;
    range->to = body;
    range->rows_max = NODE_EV_ONCE_PAGE;
    range->bytes_max = 1u << 20;
    return 0;
}

static int node_ev_once_due_answer(const struct node_query_ctx *q, struct bytes body,
                                   const struct node_rows *rows, struct buf *reply)
{
    (void)q;
    (void)body;
    (void)buf_put_u8(reply, node_rows_more(rows));
    for (unsigned i = 0; i < node_rows_count(rows); i++) {
        struct bytes name;
        struct bytes value;
        node_rows_at(rows, i, &name, &value);
        (void)buf_append(reply, name.data + 1, name.size - 1);
    }
    return reply->err;
}

const struct node_query_op node_ev_once_queries[] = {
    {NODE_QUERY_EV_ONCE, "ev_once", node_ev_once_want, node_ev_once_answer},
    {NODE_QUERY_EV_ONCE_DUE, "ev_once_due", node_ev_once_due_want, node_ev_once_due_answer},
    {0, NULL, NULL, NULL},
};

/* ---- forgetting ----------------------------------------------------------------------------- */

/* returns: the log time of now; at least that of the state. */
static uint64_t node_ev_once_log_time(const struct node *n)
{
    const struct node_group *g = node_group_find(n, NODE_GROUP_OWN);
    struct raft_status s = {0};
    (void)raft_status_get(n->raft, NODE_GROUP_OWN, n->now, &s);
    return NUM_MAX(s.log_time_us, g->now.log_time_us);
}

/* While there is nothing to forget there is no timer. */
static void node_ev_once_later(struct node *n, bool more)
{
    struct node_ev_onces *all = n->ev_once;
    all->sweeping = false;
    if (!n->closing && all->now.bytes > 0) {
        node_timer_set(n, &all->run,
                       n->now + (more ? 0 : n->options.once_ttl_us / NODE_EV_ONCE_ROUNDS + 1));
    }
}

static void node_ev_once_ended(struct node *n, void *ctx, int code, struct bytes reply)
{
    const bool *more = ctx;
    (void)reply;
    node_ev_once_later(n, code == 0 && more != NULL);
}

static void node_ev_once_due(struct node *n, void *ctx, int code, struct bytes reply)
{
    static const bool more = true;
    struct bytes_reader r = bytes_reader_of(reply);
    bool rest = bytes_take_u8(&r) != 0;
    uint64_t now_us = node_ev_once_log_time(n);
    struct buf body;
    (void)ctx;
    if (code != 0 || r.left == 0 || n->closing || now_us < n->options.once_ttl_us) {
        node_ev_once_later(n, false);
        return;
    }
    buf_init(&body, &n->alloc, 1u << 20);
    (void)buf_put_u64(&body, now_us - n->options.once_ttl_us);
    if (buf_append(&body, r.at, r.left) == 0) {
        const struct node_cmd cmd = {.op = NODE_OP_EV_ONCE_END, .body = buf_view(&body)};
        node_propose(n, NODE_GROUP_OWN, &cmd, n->now + NODE_EV_ONCE_CALL_US,
                     rest ? (void *)(uintptr_t)&more : NULL, node_ev_once_ended);
    } else {
        node_ev_once_later(n, false);
    }
    buf_release(&body);
}

static void node_ev_once_fire(struct node *n, struct node_timer *t)
{
    struct node_ev_onces *all = n->ev_once;
    const struct node_group *g = node_group_find(n, NODE_GROUP_OWN);
    uint8_t name[NODE_EV_ONCE_NAME_BYTES];
    struct wire_once first = {0};
    (void)t;
    uint64_t now_us = node_ev_once_log_time(n);
    if (all->sweeping || all->now.bytes == 0) {
        return;
    }
    if (!g->led || g->broken || now_us <= n->options.once_ttl_us) {
        node_ev_once_later(n, false);
        return;
    }
    all->sweeping = true;
    first.time_us = now_us - n->options.once_ttl_us;
    node_query(n, NODE_GROUP_OWN, NODE_QUERY_EV_ONCE_DUE, node_ev_once_name(&first, name), true,
               n->now + NODE_EV_ONCE_CALL_US, NULL, node_ev_once_due);
}

int node_ev_once_changed(struct node *n, struct bytes raw)
{
    struct node_ev_onces *all = n->ev_once;
    TRY(node_ev_once_state_of(raw, &all->now));
    if (!all->sweeping && all->run.at_us == 0) {
        node_ev_once_later(n, false);
    }
    return 0;
}

int node_ev_once_init(struct node *n)
{
    n->ev_once = alloc_get_zeroed(&n->alloc, 1, sizeof *n->ev_once);
    if (n->ev_once == NULL) {
        return ERR_NO_MEMORY;
    }
    n->ev_once->run.fire = node_ev_once_fire;
    return 0;
}

void node_ev_once_release(struct node *n)
{
    alloc_put(&n->alloc, n->ev_once, sizeof *n->ev_once);
    n->ev_once = NULL;
}

uint64_t node_ev_once_bytes(const struct node *n)
{
    return n->ev_once->now.bytes;
}

/* ---- admission ------------------------------------------------------------------------------ */

/* returns: whether every other node that counts has told this start what it has, and none has
 * anything of this node that is not here: then no write of before is lost. */
static bool node_ev_once_sure(const struct node *n)
{
    const struct node_eventual *ev = node_ev_of(n);
    for (unsigned i = 0; i < ev->peers_count; i++) {
        if (!ev->peers[i].heard && !node_member_out(n, ev->peers[i].id)) {
            return false;
        }
    }
    return !ev->doubted;
}

int node_ev_once_check(struct node *n, const struct wire_once *token, const char **why)
{
    struct crdt_actor self;
    uint64_t now_us = node_ev_once_log_time(n);
    if (!node_ev_actor(n, &self)) {
        return ERR_UNAVAILABLE;
    }
    if (now_us >= n->options.once_ttl_us && token->time_us < now_us - n->options.once_ttl_us) {
        *why = "the token is too old";
        return ERR_FORGOTTEN;
    }
    if (!node_ev_once_knows(n, token, now_us)) {
        *why = "the node has lost what it knew when it gave the token";
        return ERR_FORGOTTEN;
    }
    if (token->epoch != self.epoch && !node_ev_once_sure(n)) {
        *why =
            "the node has not heard from all others since its start, and may have lost the write";
        return ERR_UNAVAILABLE;
    }
    if (n->ev_once->now.bytes >= n->options.limits.once_bytes) {
        *why = "the node remembers as many writes under tokens as it may";
        return ERR_BUSY;
    }
    return 0;
}

/* ---- crdt.once ------------------------------------------------------------------------------ */

struct node_once_ask {
    struct node_client client;
};

static void node_once_given(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_once_ask *a = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    struct wire_once token = {.node = n->self, .epoch = bytes_take_u64(&r)};
    char text[WIRE_ONCE_BYTES_MAX];
    struct buf out;
    token.time_us = bytes_take_u64(&r);
    token.random = bytes_take_u64(&r);
    if (code != 0 || r.failed) { /* whatever became of it: nothing was given */
        bool again = code == 0 || err_outcome_of(code) == ERR_OUTCOME_UNKNOWN;
        node_reply_error(n, a->client, again ? ERR_BUSY : code, NULL);
    } else {
        buf_init(&out, &n->alloc, 4096);
        wire_once_text(&token, text);
        (void)wire_pack_map(&out, 3);
        (void)wire_pack_text(&out, WIRE_FIELD_ONCE);
        (void)wire_pack_text(&out, text);
        (void)wire_pack_text(&out, WIRE_FIELD_NODE);
        (void)wire_pack_u64(&out, n->self);
        (void)wire_pack_text(&out, WIRE_FIELD_LIFETIME_US);
        (void)wire_pack_u64(&out, n->options.once_ttl_us);
        node_reply_ok(n, a->client, buf_view(&out));
        buf_release(&out);
    }
    alloc_put(&n->alloc, a, sizeof *a);
}

/* returns: 0, or what the names are refused for; *leader: who keeps the one that is not kept here.
 */
static int node_once_names(struct node *n, const struct wire_rpc *req, uint32_t *leader)
{
    uint32_t owners[NODE_EV_OWNERS_MAX];
    struct wire_node list = wire_node_at(req->params, 0);
    TRY(wire_params_check(req, 0, 1));
    if (req->params_count == 0) {
        return 0;
    }
    if (wire_node_kind(list) != WIRE_ARRAY || wire_node_count(list) > WIRE_CRDT_OPS_MAX) {
        return ERR_INVALID;
    }
    for (uint32_t i = 0; i < wire_node_count(list); i++) {
        struct bytes name;
        bool self = false;
        TRY(wire_node_bytes(wire_node_at(list, i), WIRE_NAME_BYTES_MAX, &name));
        TRY(wire_name_check(name));
        unsigned count = node_ev_owners(n, node_ev_region(name), owners, &self);
        for (unsigned k = 0; k < count && !self; k++) {
            if (owners[k] != n->self && node_peer_sure(n, owners[k])) {
                *leader = owners[k];
                return ERR_NOT_LEADER;
            }
        }
        TRY(self ? 0 : ERR_UNAVAILABLE);
    }
    return 0;
}

void node_crdt_once_serve(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct crdt_actor actor;
    struct wire_hint hint = {.name = WIRE_FIELD_LEADER};
    uint8_t body[8];
    uint32_t leader = 0;
    int err = node_once_names(n, req, &leader);
    if (err == ERR_NOT_LEADER) {
        hint.number = leader;
        node_reply_failure(n, client,
                           &(struct wire_failure){.code = err, .hints = &hint, .hints_count = 1});
        return;
    }
    err = err == 0 && !node_ev_actor(n, &actor) ? ERR_UNAVAILABLE : err;
    struct node_once_ask *a = err == 0 ? alloc_get(&n->alloc, sizeof *a) : NULL;
    if (a == NULL) {
        node_reply_error(n, client, err != 0 ? err : ERR_NO_MEMORY, NULL);
        return;
    }
    *a = (struct node_once_ask){.client = client};
    num_put_u64(body, rng_next(node_rng(n)));
    const struct node_cmd cmd = {.op = NODE_OP_EV_TOKEN, .body = bytes_of(body, sizeof body)};
    node_propose(n, NODE_GROUP_OWN, &cmd, node_request_deadline(n, req), a, node_once_given);
}
