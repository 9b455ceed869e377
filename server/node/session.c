/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: the same (session, sequence) is applied once and answered the same (Ongaro's
 * dissertation, 6.3). One record a session: its time to live, when it was last used in log time,
 * up to which sequence replies have arrived, and the replies after that. A client that has one
 * request open so costs one small record, however many it sends.
 *
 *   SESSION  session u64be     ttl u64, used u64, acked u64, then of each reply kept:
 *                              sequence u64, code i32, whole u8, size u16, bytes
 *
 * A session ends by CLOSE, or by an EXPIRE entry that names a log time: apply reads no clock.
 */
#include "server/node/eventual_self_internal.h"
#include "server/node/node_internal.h"

#define NODE_SESSION_TTL_MIN_US 1000000u
#define NODE_SESSION_HEAD_BYTES 24u
#define NODE_SESSION_BYTES_MAX 65536u /* beyond it a reply is kept as {done} only */
#define NODE_EXPIRE_PAGE 64u          /* sessions ended by one entry */
#define NODE_EXPIRE_EVERY_US 5000000u

static struct bytes node_session_name(uint64_t session, uint8_t into[9])
{
    into[0] = NODE_KEY_SESSION;
    num_put_u64_be(into + 1, session);
    return bytes_of(into, 9);
}

struct node_session {
    uint64_t ttl_us;
    uint64_t used_us;
    uint64_t acked;
    struct bytes replies; /* a view into the record */
};

static int node_session_get(struct node_sm *sm, uint64_t session, struct node_session *out)
{
    uint8_t name[9];
    struct bytes raw;
    TRY(node_sm_get(sm, node_session_name(session, name), &raw));
    struct bytes_reader r = bytes_reader_of(raw);
    out->ttl_us = bytes_take_u64(&r);
    out->used_us = bytes_take_u64(&r);
    out->acked = bytes_take_u64(&r);
    out->replies = bytes_of(r.at, r.left);
    return r.failed ? ERR_CORRUPT : 0;
}

/* One kept reply, as it lies in the record. */
struct node_kept {
    uint64_t sequence;
    int code;
    bool whole;
    struct bytes reply;
    struct bytes raw;
};

/* returns: false at the end. */
static bool node_kept_next(struct bytes_reader *r, struct node_kept *out)
{
    const uint8_t *from = r->at;
    if (r->left == 0) {
        return false;
    }
    out->sequence = bytes_take_u64(r);
    out->code = (int32_t)bytes_take_u32(r);
    out->whole = bytes_take_u8(r) != 0;
    out->reply = bytes_take(r, bytes_take_u16(r));
    out->raw = bytes_of(from, (size_t)(r->at - from));
    return !r->failed;
}

int node_session_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    uint8_t name[9];
    return node_keys_add(out, node_session_name(cmd->session, name));
}

bool node_session_known(struct node_sm *sm, const struct node_cmd *cmd)
{
    uint8_t name[9];
    struct store_mem_spot spot;
    struct bytes value;
    bool present;
    return node_sm_seek(sm, node_session_name(cmd->session, name), &spot, &present, &value);
}

int node_session_begin(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply,
                       bool *answered)
{
    struct node_session s;
    struct node_kept kept;
    *answered = true;
    if (cmd->sequence == 0) {
        return ERR_INVALID;
    }
    if (node_session_get(sm, cmd->session, &s) != 0 ||
        (node_group_own(sm->g) && !node_ev_session_valid(sm->n, cmd->session))) {
        return ERR_SESSION_EXPIRED;
    }
    if (cmd->sequence <= s.acked) {
        return ERR_DONE; /* its reply has arrived and is no longer kept */
    }
    struct bytes_reader r = bytes_reader_of(s.replies);
    while (node_kept_next(&r, &kept)) {
        if (kept.sequence == cmd->sequence) {
            (void)buf_append(reply, kept.reply.data, kept.reply.size);
            return kept.whole ? kept.code : ERR_DONE;
        }
    }
    uint64_t acked = cmd->acked < cmd->sequence ? NUM_MAX(s.acked, cmd->acked) : s.acked;
    if (cmd->sequence - acked > NODE_SESSION_WINDOW) {
        return ERR_BUSY;
    }
    *answered = false;
    return 0;
}

int node_session_end(struct node_sm *sm, const struct node_cmd *cmd, int code, struct bytes reply)
{
    struct buf *out = &sm->n->scratch;
    struct node_session s;
    struct node_kept kept;
    uint8_t name[9];
    TRY(node_session_get(sm, cmd->session, &s));
    uint64_t acked = cmd->acked < cmd->sequence ? NUM_MAX(s.acked, cmd->acked) : s.acked;
    buf_clear(out);
    (void)buf_put_u64(out, s.ttl_us);
    (void)buf_put_u64(out, NUM_MAX(s.used_us, sm->time_us));
    (void)buf_put_u64(out, acked);
    struct bytes_reader r = bytes_reader_of(s.replies);
    while (node_kept_next(&r, &kept)) {
        if (kept.sequence > acked) {
            (void)buf_append(out, kept.raw.data, kept.raw.size);
        }
    }
    bool fits =
        reply.size <= NODE_REPLY_STORED_MAX && out->size + reply.size <= NODE_SESSION_BYTES_MAX;
    (void)buf_put_u64(out, cmd->sequence);
    (void)buf_put_u32(out, (uint32_t)code);
    /* a refusal is always answered again as one: its code says all */
    (void)buf_put_u8(out, fits || code != 0);
    (void)buf_put_u16(out, fits ? (uint16_t)reply.size : 0);
    if (fits) {
        (void)buf_append(out, reply.data, reply.size);
    }
    if (out->err != 0) {
        return ERR_NO_MEMORY;
    }
    return node_sm_put(sm, node_session_name(cmd->session, name), buf_view(out));
}

/* ---- ops ------------------------------------------------------------------------------------ */

/* The session's id is the index of the entry that opens it: never used before. In the own group,
 * whose log may lose its end, it begins with the epoch. */
static int node_open_number(struct node_sm *sm, uint64_t *session)
{
    if (node_group_own(sm->g)) {
        return node_ev_session_number(sm, session);
    }
    *session = sm->index;
    return 0;
}

static int node_open_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    return cmd->body.size == 8 ? node_keys_add(out, node_ev_self_name()) : ERR_INVALID;
}

static int node_open_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct bytes_reader r = bytes_reader_of(cmd->body);
    uint64_t ttl_us = bytes_take_u64(&r);
    if (!bytes_reader_ended(&r) || cmd->session != 0) {
        return ERR_INVALID;
    }
    struct node_session s = {.ttl_us = NUM_MAX(ttl_us, (uint64_t)NODE_SESSION_TTL_MIN_US),
                             .used_us = sm->time_us};
    uint8_t name[9];
    uint8_t raw[NODE_SESSION_HEAD_BYTES];
    uint64_t session = 0;
    TRY(node_open_number(sm, &session));
    num_put_u64(raw, s.ttl_us);
    num_put_u64(raw + 8, s.used_us);
    num_put_u64(raw + 16, s.acked);
    TRY(node_sm_add(sm, node_session_name(session, name), bytes_of(raw, sizeof raw)));
    sm->g->now.sessions++;
    if (sm->g->led && sm->g->expire.at_us == 0) {
        node_session_led(sm->n, sm->g);
    }
    return buf_put_u64(reply, session);
}

/* Body: session u64. It may have ended already: then nothing changes. */
static int node_close_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    uint8_t name[9];
    return cmd->body.size != 8
               ? ERR_INVALID
               : node_keys_add(out, node_session_name(num_get_u64(cmd->body.data), name));
}

static int node_close_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_session s;
    uint8_t name[9];
    (void)reply;
    if (cmd->body.size != 8 || cmd->session != 0) {
        return ERR_INVALID;
    }
    uint64_t session = num_get_u64(cmd->body.data);
    int err = node_session_get(sm, session, &s);
    if (err != 0) {
        return err == ERR_NOT_FOUND ? 0 : err;
    }
    TRY(node_sm_del(sm, node_session_name(session, name)));
    sm->g->now.sessions--;
    return 0;
}

/* Body: log time u64, then session ids u64. */
static int node_expire_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct bytes_reader r = bytes_reader_of(cmd->body);
    uint8_t name[9];
    (void)bytes_take_u64(&r);
    if (cmd->body.size % 8 != 0 || cmd->body.size > 8 * (1 + NODE_EXPIRE_PAGE)) {
        return ERR_INVALID;
    }
    while (r.left > 0) {
        uint64_t session = bytes_take_u64(&r);
        TRY(node_keys_add(out, node_session_name(session, name)));
    }
    return 0;
}

static int node_expire_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct bytes_reader r = bytes_reader_of(cmd->body);
    uint64_t named_us = bytes_take_u64(&r);
    uint8_t name[9];
    (void)reply;
    if (r.failed || cmd->body.size % 8 != 0 || cmd->body.size > 8 * (1 + NODE_EXPIRE_PAGE) ||
        named_us > sm->time_us) {
        return ERR_INVALID;
    }
    while (r.left > 0) {
        uint64_t session = bytes_take_u64(&r);
        struct node_session s;
        if (node_session_get(sm, session, &s) != 0 || s.used_us + s.ttl_us > named_us) {
            continue; /* used since the leader looked */
        }
        TRY(node_sm_del(sm, node_session_name(session, name)));
        sm->g->now.sessions--;
    }
    return 0;
}

const struct node_op node_session_ops[] = {
    {NODE_OP_SESSION_OPEN, "session_open", node_open_keys, node_open_apply},
    {NODE_OP_SESSION_CLOSE, "session_close", node_close_keys, node_close_apply},
    {NODE_OP_EXPIRE, "expire", node_expire_keys, node_expire_apply},
    {0, NULL, NULL, NULL},
};

/* ---- the leader's look at the end of sessions ----------------------------------------------- */

/* Body: log time u64, first session u64. Reply: next session u64 (0: all seen), then those that
 * have ended. */
static int node_due_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    static const uint8_t to[1] = {NODE_KEY_SESSION + 1};
    (void)keys;
    if (body.size != 16 + 9) {
        return ERR_INVALID;
    }
    range->from = bytes_of(body.data + 16, 9);
    range->to = bytes_of(to, 1);
    range->rows_max = 256;
    range->bytes_max = 1u << 16;
    return 0;
}

static int node_due_answer(const struct node_query_ctx *q, struct bytes body,
                           const struct node_rows *rows, struct buf *reply)
{
    struct bytes_reader b = bytes_reader_of(body);
    uint64_t now_us = bytes_take_u64(&b);
    unsigned found = 0;
    uint64_t next = 0;
    (void)q;
    (void)buf_put_u64(reply, 0);
    for (unsigned i = 0; i < node_rows_count(rows) && found < NODE_EXPIRE_PAGE; i++) {
        struct bytes name;
        struct bytes value;
        node_rows_at(rows, i, &name, &value);
        struct bytes_reader r = bytes_reader_of(value);
        uint64_t ttl_us = bytes_take_u64(&r);
        uint64_t used_us = bytes_take_u64(&r);
        next = num_get_u64_be(name.data + 1) + 1;
        if (used_us + ttl_us <= now_us) {
            (void)buf_put_u64(reply, next - 1);
            found++;
        }
    }
    if (reply->err == 0 && (node_rows_more(rows) || found == NODE_EXPIRE_PAGE)) {
        num_put_u64(reply->data, next);
    }
    return reply->err;
}

/* Body: session u64, sequence u64. Reply: 1 if the session had that sequence, else 0. */
static int node_seen_want(struct bytes body, struct node_keys *keys, struct node_range *range)
{
    uint8_t name[9];
    (void)range;
    return body.size != 16 ? ERR_INVALID
                           : node_keys_add(keys, node_session_name(num_get_u64(body.data), name));
}

static int node_seen_answer(const struct node_query_ctx *q, struct bytes body,
                            const struct node_rows *rows, struct buf *reply)
{
    uint64_t sequence = num_get_u64(body.data + 8);
    struct node_kept kept;
    struct bytes raw;
    uint8_t name[9];
    (void)q;
    if (node_rows_get(rows, node_session_name(num_get_u64(body.data), name), &raw) != 0) {
        return buf_put_u8(reply, 0);
    }
    struct bytes_reader r = bytes_reader_of(raw);
    (void)bytes_take(&r, 16);
    bool seen = sequence <= bytes_take_u64(&r);
    while (!seen && node_kept_next(&r, &kept)) {
        seen = kept.sequence == sequence;
    }
    return buf_put_u8(reply, seen);
}

const struct node_query_op node_session_queries[] = {
    {NODE_QUERY_SESSIONS, "sessions", node_due_want, node_due_answer},
    {NODE_QUERY_SESSION_SEEN, "session_seen", node_seen_want, node_seen_answer},
    {0, NULL, NULL, NULL},
};

static void node_expire_ask(struct node *n, struct node_group *g, uint64_t first);

static void node_expire_proposed(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)ctx;
    (void)code;
    (void)reply;
}

static void node_expire_found(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_group *g = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    uint64_t next = bytes_take_u64(&r);
    struct raft_status s;
    if (!g->led || code != 0 || r.failed || raft_status_get(n->raft, g->id, n->now, &s) != 0) {
        return;
    }
    if (r.left > 0) {
        uint8_t body[8 * (1 + NODE_EXPIRE_PAGE)];
        num_put_u64(body, g->now.log_time_us); /* passed already: apply sees at least this */
        size_t size = NUM_MIN(r.left, sizeof body - 8);
        memcpy(body + 8, r.at, size);
        struct node_cmd cmd = {.op = NODE_OP_EXPIRE, .body = bytes_of(body, 8 + size)};
        node_propose(n, g->id, &cmd, n->now + NODE_EXPIRE_EVERY_US, g, node_expire_proposed);
    }
    if (next != 0) {
        node_expire_ask(n, g, next);
    }
}

static void node_expire_ask(struct node *n, struct node_group *g, uint64_t first)
{
    uint8_t body[16 + 9];
    num_put_u64(body, g->now.log_time_us);
    num_put_u64(body + 8, first);
    (void)node_session_name(first, body + 16);
    node_query(n, g->id, NODE_QUERY_SESSIONS, bytes_of(body, sizeof body), true,
               n->now + NODE_EXPIRE_EVERY_US, g, node_expire_found);
}

/* A quiet log's time stands still in the state, so the leader adds an entry to move it on. */
static void node_expire_fire(struct node *n, struct node_timer *t)
{
    struct node_group *g = t->ctx;
    if (!g->led || (node_group_own(g) && g->now.sessions == 0)) {
        return;
    }
    struct raft_status s;
    if (g->now.sessions > 0 && raft_status_get(n->raft, g->id, n->now, &s) == 0) {
        if (s.log_time_us > g->now.log_time_us + n->options.session_ttl_us / 4) {
            uint8_t body[8];
            num_put_u64(body, g->now.log_time_us);
            struct node_cmd cmd = {.op = NODE_OP_EXPIRE, .body = bytes_of(body, sizeof body)};
            node_propose(n, g->id, &cmd, n->now + NODE_EXPIRE_EVERY_US, g, node_expire_proposed);
        }
        node_expire_ask(n, g, 0);
    }
    uint64_t pause = NUM_MAX(n->options.session_ttl_us / 16, (uint64_t)NODE_EXPIRE_EVERY_US);
    node_timer_set(n, &g->expire, n->now + pause);
}

/* The own group has no timer while it has no session: what is idle costs nothing. */
void node_session_led(struct node *n, struct node_group *g)
{
    g->expire.ctx = g;
    g->expire.fire = node_expire_fire;
    if (!node_group_own(g) || g->now.sessions > 0) {
        node_timer_set(n, &g->expire, n->now + NODE_EXPIRE_EVERY_US);
    }
}

static bool node_session_group(const struct node *n, uint32_t group)
{
    return group == NODE_GROUP_OWN || wire_identity_group_of(&n->identity, group) != NULL;
}

/* ---- session.open, session.close ------------------------------------------------------------ */

struct node_open {
    struct node_client client;
    uint32_t group;
};

static void node_open_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_open *o = ctx;
    struct bytes_reader r = bytes_reader_of(reply);
    uint64_t session = bytes_take_u64(&r);
    if (code != 0) {
        node_reply_group_error(n, o->client, code, o->group);
    } else {
        struct buf *out = &n->scratch;
        buf_clear(out);
        (void)wire_pack_map(out, 1);
        (void)wire_pack_text(out, WIRE_FIELD_SESSION);
        (void)wire_pack_u64(out, session);
        node_reply_ok(n, o->client, buf_view(out));
    }
    alloc_put(&n->alloc, o, sizeof *o);
}

static void node_open_serve(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    uint32_t group = 0;
    struct crdt_actor actor;
    struct node_cmd cmd = {.op = NODE_OP_SESSION_OPEN};
    int err = wire_params_check(req, 1, 1);
    err = err != 0 ? err : wire_param_u32(req, 0, &group);
    struct node_group *g = node_group_find(n, group);
    if (err == 0 && !node_session_group(n, group)) {
        err = ERR_NOT_FOUND;
    }
    if (err == 0 && group == NODE_GROUP_OWN && !node_ev_actor(n, &actor)) {
        err = ERR_UNAVAILABLE; /* it would have the epoch of another start */
    }
    if (err == 0 && g != NULL && g->now.sessions >= n->options.limits.sessions) {
        err = ERR_BUSY;
    }
    struct node_open *o = err == 0 ? alloc_get(&n->alloc, sizeof *o) : NULL;
    if (o == NULL) {
        node_reply_error(n, client, err != 0 ? err : ERR_NO_MEMORY, NULL);
        return;
    }
    *o = (struct node_open){.client = client, .group = group};
    uint8_t body[8];
    num_put_u64(body, n->options.session_ttl_us);
    cmd.body = bytes_of(body, sizeof body);
    node_propose(n, group, &cmd, node_request_deadline(n, req), o, node_open_done);
}

static void node_close_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_open *o = ctx;
    (void)reply;
    if (code != 0) {
        node_reply_group_error(n, o->client, code, o->group);
    } else {
        struct buf *out = &n->scratch;
        buf_clear(out);
        (void)wire_pack_map(out, 0);
        node_reply_ok(n, o->client, buf_view(out));
    }
    alloc_put(&n->alloc, o, sizeof *o);
}

static void node_close_serve(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    uint32_t group = 0;
    uint64_t session = 0;
    struct node_cmd cmd = {.op = NODE_OP_SESSION_CLOSE};
    int err = wire_params_check(req, 2, 2);
    err = err != 0 ? err : wire_param_u32(req, 0, &group);
    err = err != 0 ? err : wire_param_u64(req, 1, &session);
    if (err == 0 && !node_session_group(n, group)) {
        err = ERR_NOT_FOUND;
    }
    struct node_open *o = err == 0 ? alloc_get(&n->alloc, sizeof *o) : NULL;
    if (o == NULL) {
        node_reply_error(n, client, err != 0 ? err : ERR_NO_MEMORY, NULL);
        return;
    }
    *o = (struct node_open){.client = client, .group = group};
    uint8_t body[8];
    num_put_u64(body, session);
    cmd.body = bytes_of(body, sizeof body);
    node_propose(n, group, &cmd, node_request_deadline(n, req), o, node_close_done);
}

const struct node_api node_session_api[] = {
    {WIRE_METHOD_SESSION_OPEN, node_open_serve},
    {WIRE_METHOD_SESSION_CLOSE, node_close_serve},
    {NULL, NULL},
};
