/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * kv.* of the client interface: parameters become a replicated command or a question, and its
 * answer becomes a map. Refusals of form (names, sizes, types) are given here, before anything is
 * replicated.
 */
#include "server/node/eventual_api_internal.h"
#include "server/node/node_internal.h"

/* Of a request with a token: what it wants to have been seen, and the question, to be asked again
 * of the leader if a replica is behind. */
struct node_kv_session {
    struct node_ev_causal causal;
    struct buf body;
    uint64_t index; /* the answer is not older */
    uint64_t deadline_us;
    uint8_t query;
    bool stale;
    bool again; /* of the leader */
};

struct node_kv_call {
    struct node_client client;
    uint32_t group;
    uint32_t name_skip; /* SCAN: bytes of a record's name before the key */
    uint8_t op;
    struct node_kv_session *session; /* NULL: no token was given */
};
_Static_assert(sizeof(struct node_kv_call) <= NODE_API_BYTES, "fits its pool");

static void node_pack_field_u64(struct buf *out, const char *name, uint64_t v)
{
    (void)wire_pack_text(out, name);
    (void)wire_pack_u64(out, v);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void node_kv_session_free(struct node *n, struct node_kv_session *s)
{
    if (s != NULL) {
        node_ev_causal_release(&s->causal);
        buf_release(&s->body);
        alloc_put(&n->alloc, s, sizeof *s);
    }
}

/* out: NULL if the request has no token. */
static int node_kv_session_of(struct node *n, const struct wire_rpc *req, uint32_t group,
                              struct node_kv_session **out)
{
    struct wire_options o;
    *out = NULL;
    TRY(wire_options_of(req, &o));
    if (!o.has_token) {
        return 0;
    }
    struct node_kv_session *s = alloc_get_zeroed(&n->alloc, 1, sizeof *s);
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    buf_init(&s->body, &n->alloc, 1u << 16);
    s->stale = o.stale;
    s->deadline_us = node_request_deadline(n, req);
    int err = node_ev_causal_of(n, &o, &s->causal);
    if (err != 0) {
        node_kv_session_free(n, s);
        return err;
    }
    s->index = wire_token_index(&s->causal.token, group);
    *out = s;
    return 0;
}

/* The pairs that an answer to a request with a token ends with. */
static void node_kv_pack_session(struct buf *out, const struct node_kv_call *call,
                                 uint64_t revision)
{
    struct node_kv_session *s = call->session;
    if (s == NULL) {
        return;
    }
    bool replica = s->stale && !s->again;
    int err = wire_token_add_group(&s->causal.token, call->group, revision);
    err = err != 0 ? err
                   : node_ev_pack_causal(out, &s->causal.token,
                                         !replica       ? WIRE_LEVEL_LINEARIZABLE
                                         : s->index > 0 ? WIRE_CONSISTENCY_SESSION
                                                        : WIRE_LEVEL_STALE);
    if (err != 0 && out->err == 0) {
        out->err = err;
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

static void node_kv_pack_write(struct buf *out, const struct node_kv_call *call,
                               struct bytes_reader *r)
{
    uint64_t revision = bytes_take_u64(r);
    uint8_t op = call->op;
    uint32_t pairs = op == NODE_OP_KV_DELETE || op == NODE_OP_KV_INCR ? 2 : 1;
    (void)wire_pack_map(out, pairs + (call->session != NULL ? 2u : 0u));
    node_pack_field_u64(out, WIRE_FIELD_REVISION, revision);
    if (op == NODE_OP_KV_DELETE) {
        (void)wire_pack_text(out, WIRE_FIELD_DELETED);
        (void)wire_pack_bool(out, bytes_take_u8(r) != 0);
    } else if (op == NODE_OP_KV_INCR) {
        (void)wire_pack_text(out, WIRE_FIELD_VALUE);
        (void)wire_pack_i64(out, (int64_t)bytes_take_u64(r));
    }
    node_kv_pack_session(out, call, revision);
}

static struct node_kv_call node_kv_call_end(struct node *n, void *ctx)
{
    struct node_kv_call copy = *(struct node_kv_call *)ctx;
    node_pool_give(n, &n->pools[NODE_POOL_API], ctx);
    return copy;
}

static void node_kv_fail(struct node *n, const struct node_kv_call *call, int code)
{
    node_reply_group_error(n, call->client, code, call->group);
    node_kv_session_free(n, call->session);
}

static void node_kv_answer(struct node *n, const struct node_kv_call *call)
{
    if (n->scratch.err != 0) {
        node_reply_error(n, call->client, ERR_NO_MEMORY, NULL);
    } else {
        node_reply_ok(n, call->client, buf_view(&n->scratch));
    }
    node_kv_session_free(n, call->session);
}

static void node_kv_written(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_kv_call call = node_kv_call_end(n, ctx);
    struct bytes_reader r = bytes_reader_of(reply);
    if (code != 0) {
        node_kv_fail(n, &call, code);
        return;
    }
    buf_clear(&n->scratch);
    node_kv_pack_write(&n->scratch, &call, &r);
    node_kv_answer(n, &call);
}

/* A question of a request with a token. A stale one is asked of a replica once it has applied what
 * the token names; if that takes longer than the budget, or the answer is older, of the leader. */
static void node_kv_session_ask(struct node *n, struct node_kv_call *call, node_done_fn *done)
{
    struct node_kv_session *s = call->session;
    if (s->stale && !s->again) {
        uint64_t until_us = NUM_MIN(s->deadline_us, n->now + s->causal.budget_us);
        node_query_from(n, call->group, s->query, buf_view(&s->body), s->index, until_us, call,
                        done);
        return;
    }
    node_query(n, call->group, s->query, buf_view(&s->body), false, s->deadline_us, call, done);
}

/* Judges an answer that begins with its revision. returns: whether it is asked for again. */
static bool node_kv_session_behind(struct node *n, struct node_kv_call *call, int *code,
                                   struct bytes reply, node_done_fn *done)
{
    struct node_kv_session *s = call->session;
    struct bytes_reader r = bytes_reader_of(reply);
    bool older = *code == 0 && bytes_take_u64(&r) < s->index;
    bool late = *code != 0 && err_outcome_of(*code) != ERR_OUTCOME_REFUSED;
    if (!older && !(late && s->stale)) {
        return false;
    }
    if (s->stale && !s->again && !n->closing) {
        s->again = true;
        s->deadline_us = NUM_MIN(s->deadline_us, n->now + s->causal.budget_us);
        node_kv_session_ask(n, call, done);
        return true;
    }
    *code = ERR_BEHIND;
    return false;
}

static void node_kv_pack_got(struct buf *out, const struct node_kv_call *call, bool found,
                             const struct node_kv_value *v, uint64_t revision)
{
    bool session = call->session != NULL;
    if (!found && !session) {
        (void)wire_pack_nil(out);
        return;
    }
    (void)wire_pack_map(out, (found ? 4u : 1u) + (session ? 2u : 0u));
    (void)wire_pack_text(out, WIRE_FIELD_VALUE);
    if (found) {
        (void)wire_pack_bin(out, v->data);
        node_pack_field_u64(out, WIRE_FIELD_CREATE_REVISION, v->create_revision);
        node_pack_field_u64(out, WIRE_FIELD_MOD_REVISION, v->mod_revision);
        node_pack_field_u64(out, WIRE_FIELD_VERSION, v->version);
    } else {
        (void)wire_pack_nil(out);
    }
    node_kv_pack_session(out, call, revision);
}

static void node_kv_got(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_kv_call *waiting = ctx;
    if (waiting->session != NULL && node_kv_session_behind(n, waiting, &code, reply, node_kv_got)) {
        return;
    }
    struct node_kv_call call = node_kv_call_end(n, ctx);
    struct node_kv_value v = {0};
    struct bytes_reader r = bytes_reader_of(reply);
    uint64_t revision = call.session != NULL ? bytes_take_u64(&r) : 0;
    bool found = r.left > 0;
    if (code == 0 && found) {
        code = node_kv_decode(bytes_of(r.at, r.left), &v);
    }
    if (code != 0) {
        node_kv_fail(n, &call, code);
        return;
    }
    buf_clear(&n->scratch);
    node_kv_pack_got(&n->scratch, &call, found, &v, revision);
    node_kv_answer(n, &call);
}

static int node_kv_pack_scan(struct buf *out, const struct node_kv_call *call, struct bytes reply)
{
    uint32_t skip = call->name_skip;
    struct bytes_reader r = bytes_reader_of(reply);
    uint64_t revision = bytes_take_u64(&r);
    bool more = bytes_take_u8(&r) != 0;
    uint32_t count = bytes_take_u32(&r);
    (void)wire_pack_map(out, call->session != NULL ? 5 : 3);
    (void)wire_pack_text(out, WIRE_FIELD_ITEMS);
    (void)wire_pack_array(out, count);
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        struct bytes name = bytes_take(&r, bytes_take_u16(&r));
        struct bytes raw = bytes_take_bytes(&r, STORE_KV_VALUE_BYTES_MAX);
        struct node_kv_value v;
        if (r.failed || name.size < skip || node_kv_decode(raw, &v) != 0) {
            return ERR_CORRUPT;
        }
        (void)wire_pack_array(out, 3);
        (void)wire_pack_bin(out, bytes_of(name.data + skip, name.size - skip));
        (void)wire_pack_bin(out, v.data);
        (void)wire_pack_u64(out, v.mod_revision);
    }
    (void)wire_pack_text(out, WIRE_FIELD_MORE);
    (void)wire_pack_bool(out, more);
    node_pack_field_u64(out, WIRE_FIELD_REVISION, revision);
    node_kv_pack_session(out, call, revision);
    return r.failed ? ERR_CORRUPT : 0;
}

static void node_kv_scanned(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_kv_call *waiting = ctx;
    if (waiting->session != NULL &&
        node_kv_session_behind(n, waiting, &code, reply, node_kv_scanned)) {
        return;
    }
    struct node_kv_call call = node_kv_call_end(n, ctx);
    buf_clear(&n->scratch);
    if (code == 0) {
        code = node_kv_pack_scan(&n->scratch, &call, reply);
    }
    if (code != 0) {
        node_kv_fail(n, &call, code);
        return;
    }
    node_kv_answer(n, &call);
}

/* ---- requests ------------------------------------------------------------------------------- */

struct node_kv_names {
    struct bytes space;
    struct bytes key;
};

static int node_kv_names_of(const struct wire_rpc *req, struct node_kv_names *out)
{
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, &out->space));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &out->key));
    TRY(wire_name_check(out->space));
    TRY(wire_name_check(out->key));
    if (bytes_has_prefix(out->space, bytes_of(NODE_SPACE_OWN, sizeof NODE_SPACE_OWN - 1))) {
        return ERR_BAD_NAME;
    }
    return 3 + out->space.size + out->key.size > NODE_NAME_BYTES_MAX ? ERR_TOO_LARGE : 0;
}

static void node_kv_body_begin(struct buf *out, const struct node_kv_names *names)
{
    buf_clear(out);
    (void)buf_put_u16(out, (uint16_t)names->space.size);
    (void)buf_append(out, names->space.data, names->space.size);
    (void)buf_put_u16(out, (uint16_t)names->key.size);
    (void)buf_append(out, names->key.data, names->key.size);
}

static struct node_kv_call *node_kv_call_new(struct node *n, struct node_client client,
                                             uint32_t group, uint8_t op)
{
    struct node_kv_call *call = node_pool_take(n, &n->pools[NODE_POOL_API]);
    if (call != NULL) {
        *call = (struct node_kv_call){.client = client, .group = group, .op = op};
    }
    return call;
}

/* Proposes op with the body in scratch. */
static void node_kv_write(struct node *n, struct node_client client, const struct wire_rpc *req,
                          uint8_t op, int err)
{
    struct node_cmd cmd = {.op = op};
    struct node_kv_call *call = NULL;
    struct node_kv_session *session = NULL;
    uint32_t group = 0;
    err = err != 0 ? err : node_request_cmd(req, &cmd);
    err = err != 0 ? err : n->scratch.err;
    if (err == 0) {
        struct bytes_reader r = bytes_reader_of(buf_view(&n->scratch));
        group = node_group_of(n, bytes_take(&r, bytes_take_u16(&r)));
        err = node_kv_session_of(n, req, group, &session);
    }
    if (err == 0) {
        call = node_kv_call_new(n, client, group, op);
        err = call == NULL ? ERR_NO_MEMORY : 0;
    }
    if (err != 0) {
        node_kv_session_free(n, session);
        node_reply_error(n, client, err, NULL);
        return;
    }
    call->session = session;
    cmd.body = buf_view(&n->scratch);
    node_propose(n, group, &cmd, node_request_deadline(n, req), call, node_kv_written);
}

static void node_kv_put_serve(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_kv_names names;
    struct bytes value;
    int err = wire_params_check(req, 3, 3);
    err = err != 0 ? err : node_kv_names_of(req, &names);
    err = err != 0 ? err : wire_param_bytes(req, 2, WIRE_VALUE_BYTES_MAX, &value);
    if (err == 0) {
        node_kv_body_begin(&n->scratch, &names);
        (void)buf_append(&n->scratch, value.data, value.size);
    }
    node_kv_write(n, client, req, NODE_OP_KV_PUT, err);
}

static void node_kv_delete_serve(struct node *n, struct node_client client,
                                 const struct wire_rpc *req)
{
    struct node_kv_names names;
    int err = wire_params_check(req, 2, 2);
    err = err != 0 ? err : node_kv_names_of(req, &names);
    if (err == 0) {
        node_kv_body_begin(&n->scratch, &names);
    }
    node_kv_write(n, client, req, NODE_OP_KV_DELETE, err);
}

static void node_kv_put_optional(struct buf *out, bool present, struct bytes v)
{
    (void)buf_put_u8(out, present);
    if (present) {
        (void)buf_put_bytes(out, v);
    }
}

static void node_kv_cas_serve(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_kv_names names;
    struct bytes old = {0};
    struct bytes wanted = {0};
    bool has_old = false;
    bool has_new = false;
    int err = wire_params_check(req, 4, 4);
    err = err != 0 ? err : node_kv_names_of(req, &names);
    err = err != 0 ? err : wire_param_bytes_or_nil(req, 2, WIRE_VALUE_BYTES_MAX, &has_old, &old);
    err = err != 0 ? err : wire_param_bytes_or_nil(req, 3, WIRE_VALUE_BYTES_MAX, &has_new, &wanted);
    if (err == 0 && old.size + wanted.size > n->options.limits.proposal_bytes - 4096) {
        err = ERR_TOO_LARGE;
    }
    if (err == 0) {
        node_kv_body_begin(&n->scratch, &names);
        node_kv_put_optional(&n->scratch, has_old, old);
        node_kv_put_optional(&n->scratch, has_new, wanted);
    }
    node_kv_write(n, client, req, NODE_OP_KV_CAS, err);
}

static void node_kv_incr_serve(struct node *n, struct node_client client,
                               const struct wire_rpc *req)
{
    struct node_kv_names names;
    int64_t by = 0;
    int err = wire_params_check(req, 3, 3);
    err = err != 0 ? err : node_kv_names_of(req, &names);
    err = err != 0 ? err : wire_param_i64(req, 2, &by);
    if (err == 0) {
        node_kv_body_begin(&n->scratch, &names);
        (void)buf_put_u64(&n->scratch, (uint64_t)by);
    }
    node_kv_write(n, client, req, NODE_OP_KV_INCR, err);
}

static void node_kv_session_begin(struct node *n, struct node_kv_call *call,
                                  struct node_kv_session *session, struct bytes body,
                                  node_done_fn *done)
{
    call->session = session;
    if (buf_append(&session->body, body.data, body.size) != 0) {
        struct node_kv_call copy = node_kv_call_end(n, call);
        node_kv_fail(n, &copy, ERR_NO_MEMORY);
        return;
    }
    node_kv_session_ask(n, call, done);
}

static void node_kv_get_serve(struct node *n, struct node_client client, const struct wire_rpc *req)
{
    struct node_kv_names names;
    struct wire_options o;
    uint8_t raw[NODE_NAME_BYTES_MAX];
    struct bytes name;
    struct node_kv_call *call = NULL;
    int err = wire_params_check(req, 2, 2);
    err = err != 0 ? err : node_kv_names_of(req, &names);
    err = err != 0 ? err : wire_options_of(req, &o);
    err = err != 0 ? err : node_kv_name(names.space, names.key, raw, &name);
    uint32_t group = err == 0 ? node_group_of(n, names.space) : 0;
    struct node_kv_session *session = NULL;
    err = err != 0 ? err : node_kv_session_of(n, req, group, &session);
    if (err == 0) {
        call = node_kv_call_new(n, client, group, 0);
        err = call == NULL ? ERR_NO_MEMORY : 0;
    }
    if (err != 0) {
        node_kv_session_free(n, session);
        node_reply_error(n, client, err, NULL);
        return;
    }
    if (session != NULL) {
        session->query = NODE_QUERY_KV_GET_AT;
        node_kv_session_begin(n, call, session, name, node_kv_got);
        return;
    }
    node_query(n, group, NODE_QUERY_KV_GET, name, o.stale, node_request_deadline(n, req), call,
               node_kv_got);
}

/* The first name that begins otherwise: the last byte that can be raised is. The name of a whole
 * space never ends in bytes that cannot, as its kind comes first. */
static struct bytes node_kv_range_end(uint8_t *name, size_t size)
{
    while (name[size - 1] == 0xff) {
        size--;
    }
    name[size - 1]++;
    return bytes_of(name, size);
}

static int node_kv_scan_body(struct node *n, const struct wire_rpc *req, struct bytes *space,
                             uint32_t *skip)
{
    struct bytes prefix;
    struct bytes after;
    bool has_after = false;
    uint64_t limit = 0;
    uint8_t raw[NODE_NAME_BYTES_MAX];
    struct bytes name;
    const struct limits *l = &n->options.limits;
    TRY(wire_params_check(req, 4, 4));
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, space));
    TRY(wire_name_check(*space));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &prefix));
    TRY(wire_param_bytes_or_nil(req, 2, WIRE_NAME_BYTES_MAX, &has_after, &after));
    TRY(wire_param_u64(req, 3, &limit));
    uint64_t most = NUM_MIN((uint64_t)WIRE_SCAN_ITEMS_MAX, l->scan_items);
    bool resumes = has_after && bytes_compare(after, prefix) >= 0;
    struct buf *out = &n->scratch;
    buf_clear(out);
    TRY(node_kv_name(*space, resumes ? after : prefix, raw, &name));
    (void)buf_put_u16(out, (uint16_t)name.size);
    (void)buf_append(out, name.data, name.size);
    TRY(node_kv_name(*space, prefix, raw, &name));
    name = node_kv_range_end(raw, name.size);
    (void)buf_put_u16(out, (uint16_t)name.size);
    (void)buf_append(out, name.data, name.size);
    (void)buf_put_u8(out, resumes);
    (void)buf_put_u32(out, (uint32_t)(limit == 0 ? most : NUM_MIN(limit, most)));
    (void)buf_put_u32(out, (uint32_t)l->scan_bytes);
    *skip = (uint32_t)(3 + space->size);
    return out->err;
}

static void node_kv_scan_serve(struct node *n, struct node_client client,
                               const struct wire_rpc *req)
{
    struct bytes space;
    struct wire_options o;
    uint32_t skip = 0;
    struct node_kv_call *call = NULL;
    int err = wire_options_of(req, &o);
    err = err != 0 ? err : node_kv_scan_body(n, req, &space, &skip);
    uint32_t group = err == 0 ? node_group_of(n, space) : 0;
    struct node_kv_session *session = NULL;
    err = err != 0 ? err : node_kv_session_of(n, req, group, &session);
    if (err == 0) {
        call = node_kv_call_new(n, client, group, 0);
        err = call == NULL ? ERR_NO_MEMORY : 0;
    }
    if (err != 0) {
        node_kv_session_free(n, session);
        node_reply_error(n, client, err, NULL);
        return;
    }
    call->name_skip = skip;
    if (session != NULL) {
        session->query = NODE_QUERY_KV_SCAN;
        node_kv_session_begin(n, call, session, buf_view(&n->scratch), node_kv_scanned);
        return;
    }
    node_query(n, group, NODE_QUERY_KV_SCAN, buf_view(&n->scratch), o.stale,
               node_request_deadline(n, req), call, node_kv_scanned);
}

const struct node_api node_kv_api[] = {
    {WIRE_METHOD_KV_PUT, node_kv_put_serve},
    {WIRE_METHOD_KV_GET, node_kv_get_serve},
    {WIRE_METHOD_KV_CAS, node_kv_cas_serve},
    {WIRE_METHOD_KV_DELETE, node_kv_delete_serve},
    {WIRE_METHOD_KV_INCR, node_kv_incr_serve},
    {WIRE_METHOD_KV_SCAN, node_kv_scan_serve},
    {NULL, NULL},
};
