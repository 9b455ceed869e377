/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Connections: one a node, made when first needed. Writes requests without copying their bodies,
 * cuts what arrives into messages that passed the pre-scan, hands answers to their calls.
 *
 *   resolving -> connecting -> greeting -> open -> closing, from which there is no way back
 *
 * An address may have become that of another cluster since it was told: nothing is asked of a node,
 * and nothing written to it, before it has said that it is of the same cluster as the first one.
 */
#include "client/client_internal.h"

#include "wire/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONN_READ_BYTES ((size_t)256 << 10)
#define CONN_MAKE_MS 2000u                 /* doubles with each failure */
#define CONN_IDLE_BYTES ((size_t)64 << 10) /* kept of the input buffer between messages */

static const struct wire_scan_limits conn_limits = {
    .bytes_max = HF_MESSAGE_BYTES_MAX, .items_max = 1u << 18, .depth_max = WIRE_DEPTH_MAX};

/* ---- end ------------------------------------------------------------------------------------ */

static void conn_unlink(struct hf_conn *conn)
{
    struct hf_conn **at = &conn->client->conns;
    while (*at != NULL && *at != conn) {
        at = &(*at)->next;
    }
    if (*at == conn) {
        *at = conn->next;
    }
}

static void conn_release(struct hf_conn *conn)
{
    conn_unlink(conn);
    wire_decoder_free(conn->decoder);
    buf_release(&conn->in);
    free(conn);
}

static void conn_closed(uv_handle_t *handle)
{
    struct hf_conn *conn = handle->data;
    conn->tcp_made = false;
    if (!conn->resolving) {
        conn_release(conn);
    }
}

/* Calls are told after the connection has left its node, so that none is placed on it again. None
 * of them ends in here: that is the timer's. */
static void conn_drop_calls(struct hf_conn *conn, int code, const char *text)
{
    for (struct hf_call *call = conn->client->calls; call != NULL; call = call->next) {
        bool placed = call->state == HF_CALL_PLACED || call->state == HF_CALL_SENT;
        if (placed && call->node == conn->node) {
            call->writing = false;
            hf_call_lost(call, code, text);
        }
    }
}

static bool conn_any_open(const struct hf_client *c)
{
    for (const struct hf_conn *conn = c->conns; conn != NULL; conn = conn->next) {
        if (conn->open) {
            return true;
        }
    }
    return false;
}

void hf_conn_fail(struct hf_conn *conn, int code, const char *text)
{
    struct hf_client *c = conn->client;
    struct hf_node *node = &c->nodes[conn->node];
    if (conn->closing) {
        return;
    }
    conn->closing = true;
    bool was_open = conn->open;
    conn->open = false;
    node->conn = NULL;
    uint64_t now = hf_now_ms(c);
    if (!was_open) {
        node->failures = NUM_MIN(node->failures + 1, 6u);
        node->retry_at_ms = now + rng_between(&c->rng, 25, 50) * (1u << node->failures);
        if (c->unreachable_since_ms == 0 && !conn_any_open(c)) {
            c->unreachable_since_ms = now;
        }
    }
    if (conn->tcp_made) {
        uv_close((uv_handle_t *)&conn->tcp, conn_closed);
    }
    if (conn->resolving) {
        (void)uv_cancel((uv_req_t *)&conn->resolve);
    }
    if (!c->closing) {
        hf_watches_lost(c, conn->node);
        conn_drop_calls(conn, code, text);
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

static void conn_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct hf_conn *conn = handle->data;
    size_t want = CONN_IDLE_BYTES;
    (void)suggested;
    if (conn->scanning && conn->scan.at > conn->in.size) {
        want =
            NUM_MAX(NUM_MIN(conn->scan.at - conn->in.size, 4 * CONN_READ_BYTES), CONN_IDLE_BYTES);
    }
    if (buf_reserve(&conn->in, want) != 0) {
        *out = uv_buf_init(NULL, 0);
        return;
    }
    *out = uv_buf_init((char *)conn->in.data + conn->in.size, (unsigned)want);
}

static struct hf_call *conn_find(struct hf_conn *conn, uint32_t msgid)
{
    struct hf_call *call = conn->client->calls;
    while (call != NULL &&
           (call->state != HF_CALL_SENT || call->msgid != msgid || call->node != conn->node)) {
        call = call->next;
    }
    return call;
}

/* The connection is of use: what was placed on it goes. */
static void conn_opened(struct hf_conn *conn)
{
    struct hf_client *c = conn->client;
    conn->open = true;
    c->nodes[conn->node].failures = 0;
    c->nodes[conn->node].silent = false;
    c->nodes[conn->node].heard_ms = hf_now_ms(c);
    c->unreachable_since_ms = 0;
    for (struct hf_call *call = c->calls; call != NULL && !conn->closing; call = call->next) {
        if (call->state == HF_CALL_PLACED && call->node == conn->node) {
            hf_call_connected(call, conn);
        }
    }
    if (!conn->closing) {
        hf_calls_leave_unmade(c);
    }
}

/* The answer to its hello. returns: 0, or why the connection is of no use. */
static int conn_greeted(struct hf_conn *conn, const struct wire_rpc *m)
{
    struct hf_client *c = conn->client;
    const struct bytes cluster = hf_field_bytes(m->result, WIRE_FIELD_CLUSTER);
    if (m->type == WIRE_RESPONSE && !wire_node_is_nil(m->error)) {
        struct wire_error e;
        wire_error_of(m->error, &e);
        return e.code;
    }
    if (m->type != WIRE_RESPONSE || m->msgid != conn->hello || cluster.size != HF_CLUSTER_BYTES) {
        return ERR_PROTOCOL;
    }
    if (c->cluster_known && memcmp(c->cluster, cluster.data, HF_CLUSTER_BYTES) != 0) {
        return ERR_WRONG_CLUSTER;
    }
    memcpy(c->cluster, cluster.data, HF_CLUSTER_BYTES);
    c->cluster_known = true;
    conn->greeting = false;
    conn_opened(conn);
    return 0;
}

/* One whole message. returns: 0, or why the connection is of no use. */
static int conn_message(struct hf_conn *conn, struct bytes message)
{
    struct wire_node root;
    struct wire_rpc m;
    TRY(wire_decode(conn->decoder, message, &root));
    TRY(wire_rpc_of(root, &m));
    if (conn->greeting) {
        return conn_greeted(conn, &m);
    }
    conn->client->nodes[conn->node].silent = false;
    conn->client->nodes[conn->node].heard_ms = hf_now_ms(conn->client);
    if (m.type == WIRE_NOTIFICATION) {
        hf_watch_message(conn, &m);
        return 0;
    }
    if (m.type != WIRE_RESPONSE) {
        return ERR_PROTOCOL;
    }
    struct hf_call *call = conn_find(conn, m.msgid);
    if (call != NULL) {
        hf_call_answered(call, &m, message);
    }
    return 0;
}

static int conn_messages(struct hf_conn *conn)
{
    size_t used = 0;
    while (used < conn->in.size && !conn->closing) {
        struct bytes rest = bytes_of(conn->in.data + used, conn->in.size - used);
        if (!conn->scanning) {
            wire_scan_init(&conn->scan, &conn_limits);
            conn->scanning = true;
        }
        int err = wire_scan_more(&conn->scan, rest);
        if (err == WIRE_MORE) {
            break;
        }
        TRY(err);
        conn->scanning = false;
        used += conn->scan.at;
        TRY(conn_message(conn, bytes_of(rest.data, conn->scan.at)));
    }
    if (used > 0) {
        memmove(conn->in.data, conn->in.data + used, conn->in.size - used);
        conn->in.size -= used;
    }
    return 0;
}

static void conn_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *into)
{
    struct hf_conn *conn = stream->data;
    (void)into;
    if (got == 0 || conn->closing) {
        return;
    }
    if (got < 0) {
        hf_conn_fail(conn, ERR_CONNECTION, got == UV_EOF ? "closed" : uv_strerror((int)got));
        return;
    }
    conn->in.size += (size_t)got;
    int err = conn_messages(conn);
    if (err != 0) {
        hf_conn_fail(conn, conn->open ? ERR_CONNECTION : ERR_UNREACHABLE, err_text(err));
    }
}

/* ---- writing -------------------------------------------------------------------------------- */

struct conn_write {
    uv_write_t req;
    struct hf_conn *conn;
    struct buf bytes; /* head and tail */
    size_t head_bytes;
    uint32_t msgid;
};

static void conn_written(uv_write_t *req, int status)
{
    struct conn_write *w = req->data;
    struct hf_conn *conn = w->conn;
    uint32_t msgid = w->msgid;
    buf_release(&w->bytes);
    free(w);
    conn->writes--;
    if (conn->closing) {
        return;
    }
    if (status != 0) {
        hf_conn_fail(conn, ERR_CONNECTION, uv_strerror(status));
        return;
    }
    struct hf_call *call = conn_find(conn, msgid);
    if (call != NULL) {
        call->writing = false;
    }
}

static void conn_pack(struct conn_write *w, struct hf_call *call)
{
    struct hf_client *c = call->client;
    const struct hf_call_spec *spec = &call->spec;
    uint64_t now = hf_now_ms(c);
    struct wire_options options = {.has_deadline = true, .stale = spec->stale};
    options.deadline_ms = call->deadline_ms > now ? call->deadline_ms - now : 1;
    if (call->session != 0) {
        const struct hf_session *s = hf_call_session(call);
        options.has_session = true;
        options.session_id = call->session;
        options.session_seq = call->seq;
        options.session_ack = NUM_MIN(s->acked, call->seq - 1);
    }
    (void)wire_pack_request(&w->bytes, call->msgid, spec->method, spec->params + 1);
    (void)buf_append(&w->bytes, call->head.data, call->head.size);
    w->head_bytes = w->bytes.size;
    (void)buf_append(&w->bytes, call->tail.data, call->tail.size);
    options.copies = spec->copies;
    options.apart = spec->apart;
    char once[WIRE_ONCE_BYTES_MAX];
    if (spec->once.node != 0) {
        wire_once_text(&spec->once, once);
        options.once = bytes_of_text(once);
    }
    options.has_budget = spec->budget_ms != 0;
    options.budget_ms = spec->budget_ms;
    struct buf token;
    buf_init(&token, &c->heap, WIRE_TOKEN_BYTES_MAX);
    if (spec->causal != NULL) {
        int err = hf_causal_pack(spec->causal, &token);
        options.has_token = true;
        options.token = buf_view(&token);
        w->bytes.err = w->bytes.err != 0 ? w->bytes.err : err;
    }
    (void)wire_pack_options(&w->bytes, &options);
    buf_release(&token);
}

static int conn_write(struct hf_conn *conn, struct conn_write *w, struct bytes body)
{
    uv_buf_t parts[3];
    unsigned count = 0;
    parts[count++] = uv_buf_init((char *)w->bytes.data, (unsigned)w->head_bytes);
    if (body.size > 0) {
        parts[count++] = uv_buf_init((char *)(uintptr_t)body.data, (unsigned)body.size);
    }
    if (w->bytes.size > w->head_bytes) {
        parts[count++] = uv_buf_init((char *)w->bytes.data + w->head_bytes,
                                     (unsigned)(w->bytes.size - w->head_bytes));
    }
    w->req.data = w;
    w->conn = conn;
    conn->writes++;
    int err = uv_write(&w->req, (uv_stream_t *)&conn->tcp, parts, count, conn_written);
    if (err != 0) {
        conn->writes--;
        buf_release(&w->bytes);
        free(w);
    }
    return err;
}

void hf_conn_send(struct hf_conn *conn, struct hf_call *call)
{
    struct hf_client *c = conn->client;
    struct conn_write *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        hf_call_lost(call, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
        return;
    }
    buf_init(&w->bytes, &c->heap, HF_MESSAGE_BYTES_MAX);
    call->msgid = c->next_msgid++;
    conn_pack(w, call);
    w->msgid = call->msgid;
    if (w->bytes.err != 0) {
        int err = w->bytes.err;
        buf_release(&w->bytes);
        free(w);
        hf_call_lost(call, err, err_text(err));
        return;
    }
    hf_call_sent(call);
    int err = conn_write(conn, w, call->spec.body);
    if (err != 0) {
        hf_conn_fail(conn, ERR_CONNECTION, uv_strerror(err));
    }
}

/* A request that is no call's. */
static int conn_say(struct hf_conn *conn, struct bytes message)
{
    struct conn_write *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return UV_ENOMEM;
    }
    buf_init(&w->bytes, &conn->client->heap, HF_MESSAGE_BYTES_MAX);
    w->msgid = UINT32_MAX;
    if (buf_append(&w->bytes, message.data, message.size) != 0) {
        buf_release(&w->bytes);
        free(w);
        return UV_ENOMEM;
    }
    w->head_bytes = w->bytes.size;
    return conn_write(conn, w, bytes_of(NULL, 0));
}

void hf_conn_note(struct hf_conn *conn, struct bytes message)
{
    if (conn->open && conn_say(conn, message) != 0) {
        hf_conn_fail(conn, ERR_CONNECTION, "cannot write");
    }
}

static int conn_greet(struct hf_conn *conn)
{
    struct hf_client *c = conn->client;
    struct buf message;
    buf_init(&message, &c->heap, HF_MESSAGE_BYTES_MAX);
    conn->hello = c->next_msgid++;
    conn->greeting = true;
    int err = wire_pack_request(&message, conn->hello, WIRE_METHOD_HELLO, 0) == 0
                  ? conn_say(conn, buf_view(&message))
                  : UV_ENOMEM;
    buf_release(&message);
    return err;
}

/* ---- connecting ----------------------------------------------------------------------------- */

static void conn_connected(uv_connect_t *req, int status)
{
    struct hf_conn *conn = req->data;
    if (conn->closing) {
        return;
    }
    if (status == 0) {
        (void)uv_tcp_nodelay(&conn->tcp, 1);
        status = uv_read_start((uv_stream_t *)&conn->tcp, conn_alloc, conn_read);
    }
    status = status == 0 ? conn_greet(conn) : status;
    if (status != 0) {
        hf_conn_fail(conn, ERR_UNREACHABLE, uv_strerror(status));
        return;
    }
}

static int conn_connect(struct hf_conn *conn, const struct sockaddr *address)
{
    conn->connect.data = conn;
    return uv_tcp_connect(&conn->connect, &conn->tcp, address, conn_connected);
}

static void conn_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct hf_conn *conn = req->data;
    conn->resolving = false;
    if (conn->closing) {
        uv_freeaddrinfo(found);
        if (!conn->tcp_made) {
            conn_release(conn);
        }
        return;
    }
    if (status == 0) {
        status = found == NULL ? UV_EAI_NONAME : conn_connect(conn, found->ai_addr);
    }
    uv_freeaddrinfo(found);
    if (status != 0) {
        hf_conn_fail(conn, ERR_UNREACHABLE, uv_strerror(status));
    }
}

static int conn_begin(struct hf_conn *conn, const struct hf_node *node)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (uv_ip4_addr(node->host, node->port, &v4) == 0) {
        return conn_connect(conn, (const struct sockaddr *)&v4);
    }
    if (uv_ip6_addr(node->host, node->port, &v6) == 0) {
        return conn_connect(conn, (const struct sockaddr *)&v6);
    }
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    (void)snprintf(service, sizeof(service), "%u", (unsigned)node->port);
    conn->resolve.data = conn;
    int err = uv_getaddrinfo(conn->client->loop, &conn->resolve, conn_resolved, node->host, service,
                             &hints);
    conn->resolving = err == 0;
    return err;
}

static struct hf_conn *conn_new(struct hf_client *c, uint32_t node)
{
    struct hf_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        return NULL;
    }
    conn->client = c;
    conn->node = node;
    buf_init(&conn->in, &c->heap, HF_MESSAGE_BYTES_MAX + 2 * CONN_READ_BYTES);
    if (wire_decoder_new(&c->heap, &conn_limits, &conn->decoder) != 0 ||
        uv_tcp_init(c->loop, &conn->tcp) != 0) {
        wire_decoder_free(conn->decoder);
        free(conn);
        return NULL;
    }
    conn->tcp.data = conn;
    conn->tcp_made = true;
    conn->began_ms = hf_now_ms(c);
    conn->fails_at_ms = conn->began_ms + (CONN_MAKE_MS << NUM_MIN(c->nodes[node].failures, 2u));
    hf_timer_by(c, conn->began_ms + HF_NODE_MS);
    conn->next = c->conns;
    c->conns = conn;
    return conn;
}

/* Those that fail stay in the list until they are closed. A node to which none is made in the time
 * of an answer is as silent as one that does not answer. */
void hf_conns_run(struct hf_client *c)
{
    uint64_t now = hf_now_ms(c);
    for (struct hf_conn *conn = c->conns; conn != NULL && !c->closing; conn = conn->next) {
        if (conn->open || conn->closing) {
            continue;
        }
        uint64_t silent_at_ms = conn->began_ms + HF_NODE_MS;
        if (now >= conn->fails_at_ms) {
            hf_conn_fail(conn, ERR_UNREACHABLE, "no answer to a connection");
        } else if (now >= silent_at_ms) {
            c->nodes[conn->node].silent = true;
            hf_timer_by(c, conn->fails_at_ms);
        } else {
            hf_timer_by(c, silent_at_ms);
        }
    }
}

struct hf_conn *hf_conn_of(struct hf_client *c, uint32_t node)
{
    struct hf_node *n = &c->nodes[node];
    if (n->conn != NULL) {
        return n->conn;
    }
    struct hf_conn *conn = conn_new(c, node);
    if (conn == NULL) {
        return NULL;
    }
    n->conn = conn;
    int err = conn_begin(conn, n);
    if (err != 0) {
        hf_conn_fail(conn, ERR_UNREACHABLE, uv_strerror(err));
    }
    return n->conn;
}
