/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Clients: one message is decoded once and admitted once (bounds of the connection and of the
 * node), then its method's handler answers it, exactly once. What is no request closes the
 * connection.
 */
#include "server/node/eventual_internal.h"
#include "server/node/node_internal.h"

#define NODE_CONN_SLOTS 1024u
#define NODE_DEADLINE_DEFAULT_US 5000000u
#define NODE_DEADLINE_MAX_US 600000000u
#define NODE_BUSY_RETRY_MS 20u

int node_api_init(struct node *n)
{
    const struct limits *l = &n->options.limits;
    struct wire_scan_limits limits = {.bytes_max = l->request_bytes,
                                      .items_max = (uint32_t)l->request_items,
                                      .depth_max = WIRE_DEPTH_MAX};
    n->conns_mask = NODE_CONN_SLOTS - 1;
    n->conns = alloc_get_zeroed(&n->alloc, NODE_CONN_SLOTS, sizeof(struct node_conn *));
    return n->conns == NULL ? ERR_NO_MEMORY : wire_decoder_new(&n->alloc, &limits, &n->decoder);
}

void node_api_release(struct node *n)
{
    for (unsigned i = 0; n->conns != NULL && i <= n->conns_mask; i++) {
        while (n->conns[i] != NULL) {
            struct node_conn *c = n->conns[i];
            n->conns[i] = c->next;
            node_watch_conn_gone(n, c);
            node_pool_give(n, &n->pools[NODE_POOL_CONN], c);
        }
    }
    alloc_put(&n->alloc, n->conns, NODE_CONN_SLOTS * sizeof(struct node_conn *));
    n->conns = NULL;
    if (n->decoder != NULL) {
        wire_decoder_free(n->decoder);
    }
}

/* ---- connections ---------------------------------------------------------------------------- */

static struct node_conn **node_conn_at(const struct node *n, uint64_t id)
{
    struct node_conn **at = &n->conns[hash_mix(id) & n->conns_mask];
    while (*at != NULL && (*at)->id != id) {
        at = &(*at)->next;
    }
    return at;
}

struct node_conn *node_conn_find(const struct node *n, uint64_t id)
{
    return *node_conn_at(n, id);
}

static void node_close(struct node *n, uint64_t conn, int code)
{
    (void)node_fx_push(n, &(struct node_fx){.kind = NODE_FX_CLOSE, .conn = conn, .code = code});
}

void node_api_open(struct node *n, uint64_t id)
{
    struct node_conn **at = node_conn_at(n, id);
    struct node_conn *c = NULL;
    if (*at == NULL && n->conns_count < n->options.limits.client_connections) {
        c = node_pool_take(n, &n->pools[NODE_POOL_CONN]);
    }
    if (c == NULL) {
        node_close(n, id, ERR_BUSY);
        return;
    }
    c->id = id;
    node_link_init(&c->watches);
    *at = c;
    n->conns_count++;
}

void node_api_gone(struct node *n, uint64_t id)
{
    struct node_conn **at = node_conn_at(n, id);
    struct node_conn *c = *at;
    if (c == NULL) {
        return;
    }
    *at = c->next;
    node_watch_conn_gone(n, c);
    n->requests_out -= c->requests;
    n->conns_count--;
    node_pool_give(n, &n->pools[NODE_POOL_CONN], c);
    node_objects_conn_gone(n->objects, id);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* head, body: taken. */
static void node_reply(struct node *n, struct node_client client, struct buf *head,
                       struct node_blob *body)
{
    struct node_conn *c = node_conn_find(n, client.conn);
    struct node_fx fx = {.kind = NODE_FX_REPLY, .conn = client.conn, .head = *head, .body = body};
    if (c != NULL && c->requests > 0) {
        c->requests--;
        n->requests_out--;
    }
    if (c == NULL || n->failed || n->closing || head->err != 0 || !node_fx_push(n, &fx)) {
        bool lost = c != NULL && !n->failed && !n->closing;
        buf_release(head);
        node_blob_release(n, body);
        if (lost) {
            node_close(n, client.conn, ERR_NO_MEMORY);
        }
    }
}

void node_reply_ok(struct node *n, struct node_client client, struct bytes result)
{
    node_reply_blob(n, client, result, NULL);
}

void node_reply_blob(struct node *n, struct node_client client, struct bytes head,
                     struct node_blob *body)
{
    struct buf out;
    buf_init(&out, &n->alloc, n->options.limits.output_bytes);
    (void)buf_reserve(&out, head.size + 16);
    (void)wire_pack_result(&out, client.msgid);
    (void)buf_append(&out, head.data, head.size);
    if (body != NULL) {
        node_blob_retain(body);
    }
    node_reply(n, client, &out, body);
}

void node_reply_failure(struct node *n, struct node_client client, const struct wire_failure *f)
{
    struct buf out;
    buf_init(&out, &n->alloc, 65536);
    n->counters.refused_busy += f->code == ERR_BUSY;
    (void)wire_pack_failure(&out, client.msgid, f);
    node_reply(n, client, &out, NULL);
}

void node_reply_error(struct node *n, struct node_client client, int code, const char *message)
{
    struct wire_hint hint = {.name = WIRE_FIELD_RETRY_MS, .number = NODE_BUSY_RETRY_MS};
    struct wire_failure f = {.code = code, .message = message};
    if (code == ERR_BUSY) {
        f.hints = &hint;
        f.hints_count = 1;
    }
    node_reply_failure(n, client, &f);
}

void node_reply_group_error(struct node *n, struct node_client client, int code, uint32_t group)
{
    struct wire_hint hints[2] = {{.name = WIRE_FIELD_GROUP, .number = group},
                                 {.name = WIRE_FIELD_LEADER}};
    struct wire_failure f = {.code = code, .hints = hints, .hints_count = 2};
    if (code != ERR_NOT_LEADER && code != ERR_NO_LEADER) {
        node_reply_error(n, client, code, NULL);
        return;
    }
    const struct node_group *g = node_group_find(n, group);
    hints[1].number = g == NULL ? 0 : g->leader;
    node_reply_failure(n, client, &f);
}

/* ---- requests ------------------------------------------------------------------------------- */

uint64_t node_options_deadline(const struct node *n, const struct wire_options *o)
{
    uint64_t us = NODE_DEADLINE_DEFAULT_US;
    if (o->has_deadline) {
        us = NUM_MIN(o->deadline_ms, (uint64_t)NODE_DEADLINE_MAX_US / 1000) * 1000;
    }
    return n->now + NUM_MAX(us, (uint64_t)1000);
}

uint64_t node_request_deadline(const struct node *n, const struct wire_rpc *req)
{
    struct wire_options o;
    (void)wire_options_of(req, &o); /* none, on an error */
    return node_options_deadline(n, &o);
}

int node_options_cmd(const struct wire_options *o, struct node_cmd *cmd)
{
    if (o->has_session && (o->session_id == 0 || o->session_seq == 0)) {
        return ERR_INVALID;
    }
    cmd->session = o->has_session ? o->session_id : 0;
    cmd->sequence = o->has_session ? o->session_seq : 0;
    cmd->acked = o->has_session ? o->session_ack : 0;
    cmd->principal = o->principal;
    return 0;
}

int node_request_cmd(const struct wire_rpc *req, struct node_cmd *cmd)
{
    struct wire_options o;
    TRY(wire_options_of(req, &o));
    return node_options_cmd(&o, cmd);
}

static const struct node_api *node_api_in(const struct node_api *rows, const struct wire_rpc *m)
{
    while (rows->method != NULL && !wire_rpc_is(m, rows->method)) {
        rows++;
    }
    return rows->method == NULL ? NULL : rows;
}

static const struct node_api *node_api_find(const struct wire_rpc *m)
{
    const struct node_api *const tables[] = {node_kv_api,      node_object_api, node_watch_api,
                                             node_session_api, node_status_api, node_member_api,
                                             node_ev_api};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const struct node_api *row = node_api_in(tables[i], m);
        if (row != NULL) {
            return row;
        }
    }
    return NULL;
}

void node_api_rpc(struct node *n, uint64_t conn, struct bytes data)
{
    struct node_conn *c = node_conn_find(n, conn);
    struct wire_node root;
    struct wire_rpc m;
    if (c == NULL) {
        return;
    }
    if (wire_decode(n->decoder, data, &root) != 0 || wire_rpc_of(root, &m) != 0 ||
        m.type == WIRE_RESPONSE) {
        n->counters.bad_requests++;
        node_close(n, conn, ERR_PROTOCOL);
        return;
    }
    if (m.type == WIRE_NOTIFICATION) {
        return; /* none is known */
    }
    struct node_client client = {.conn = conn, .msgid = m.msgid};
    const struct limits *l = &n->options.limits;
    const struct node_api *row = node_api_find(&m);
    /* `hello` holds nothing: a node that is full is one of the cluster all the same */
    bool full = (row == NULL || strcmp(row->method, WIRE_METHOD_HELLO) != 0) &&
                (c->requests >= l->connection_requests || n->requests_out >= l->requests);
    c->requests++;
    n->requests_out++;
    n->counters.requests++;
    if (full) {
        node_reply_error(n, client, ERR_BUSY, NULL);
    } else if (m.refusal != 0) {
        n->counters.bad_requests++;
        node_reply_error(n, client, m.refusal, NULL);
    } else if (row == NULL) {
        n->counters.bad_requests++;
        node_reply_error(n, client, ERR_UNKNOWN_METHOD, NULL);
    } else {
        row->serve(n, client, &m);
    }
}
