/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that a test writes.
 */
#include "fake.h"

#include "base/err.h"
#include "client/client_internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct wire_scan_limits fake_limits = {
    .bytes_max = 4u << 20, .items_max = 65536, .depth_max = WIRE_DEPTH_MAX};

/* ---- writing -------------------------------------------------------------------------------- */

struct fake_write {
    uv_write_t req;
    struct buf bytes;
};

static void fake_written(uv_write_t *req, int status)
{
    struct fake_write *w = (struct fake_write *)req;
    (void)status;
    buf_release(&w->bytes);
    free(w);
}

static struct fake_write *fake_write_new(struct fake_conn *conn)
{
    struct fake_write *w = calloc(1, sizeof(*w));
    ASSERT(w != NULL);
    buf_init(&w->bytes, &conn->fake->heap, 16u << 20);
    return w;
}

static void fake_write_go(struct fake_conn *conn, struct fake_write *w)
{
    uv_buf_t part = uv_buf_init((char *)w->bytes.data, (unsigned)w->bytes.size);
    ASSERT(w->bytes.err == 0);
    if (conn->closing ||
        uv_write(&w->req, (uv_stream_t *)&conn->tcp, &part, 1, fake_written) != 0) {
        buf_release(&w->bytes);
        free(w);
    }
}

struct buf *fake_begin(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct fake_write *w = fake_write_new(conn);
    (void)wire_pack_result(&w->bytes, m->msgid);
    return &w->bytes;
}

void fake_end(struct fake_conn *conn, struct buf *out)
{
    fake_write_go(conn, (struct fake_write *)((char *)out - offsetof(struct fake_write, bytes)));
}

void fake_send(struct fake_conn *conn, struct bytes message)
{
    struct fake_write *w = fake_write_new(conn);
    (void)buf_append(&w->bytes, message.data, message.size);
    fake_write_go(conn, w);
}

void fake_say_revision(struct fake_conn *conn, const struct wire_rpc *m, uint64_t revision)
{
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 1);
    (void)wire_pack_text(out, WIRE_FIELD_REVISION);
    (void)wire_pack_u64(out, revision);
    fake_end(conn, out);
}

void fake_say_nil(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_nil(out);
    fake_end(conn, out);
}

void fake_say_failure(struct fake_conn *conn, const struct wire_rpc *m,
                      const struct wire_failure *failure)
{
    struct fake_write *w = fake_write_new(conn);
    (void)wire_pack_failure(&w->bytes, m->msgid, failure);
    fake_write_go(conn, w);
}

void fake_say_error(struct fake_conn *conn, const struct wire_rpc *m, int code)
{
    fake_say_failure(conn, m, &(struct wire_failure){.code = code});
}

/* ---- what every node answers ---------------------------------------------------------------- */

static void fake_topology(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct fake *f = conn->fake;
    struct buf *out = fake_begin(conn, m);
    (void)wire_pack_map(out, 3);
    (void)wire_pack_text(out, WIRE_FIELD_NODES);
    (void)wire_pack_array(out, f->nodes);
    for (unsigned i = 0; i < f->nodes; i++) {
        (void)wire_pack_map(out, 4);
        (void)wire_pack_text(out, WIRE_FIELD_ID);
        (void)wire_pack_u64(out, i + 1);
        (void)wire_pack_text(out, WIRE_FIELD_HOST);
        (void)wire_pack_text(out, "127.0.0.1");
        (void)wire_pack_text(out, WIRE_FIELD_CLIENT_PORT);
        (void)wire_pack_u64(out, f->ports[i]);
        (void)wire_pack_text(out, WIRE_FIELD_STATE);
        (void)wire_pack_text(out, f->listening[i] ? "up" : "down");
    }
    (void)wire_pack_text(out, WIRE_FIELD_GROUPS);
    (void)wire_pack_array(out, 1);
    (void)wire_pack_map(out, 3);
    (void)wire_pack_text(out, WIRE_FIELD_GROUP);
    (void)wire_pack_u64(out, 1);
    (void)wire_pack_text(out, WIRE_FIELD_LEADER);
    (void)wire_pack_u64(out, f->leader);
    (void)wire_pack_text(out, WIRE_FIELD_MEMBERS);
    (void)wire_pack_array(out, f->nodes);
    for (unsigned i = 0; i < f->nodes; i++) {
        (void)wire_pack_u64(out, i + 1);
    }
    (void)wire_pack_text(out, WIRE_FIELD_SLOTS);
    (void)wire_pack_array(out, 1);
    (void)wire_pack_array(out, 3);
    (void)wire_pack_u64(out, 0);
    (void)wire_pack_u64(out, WIRE_SLOTS - 1);
    (void)wire_pack_u64(out, 1);
    fake_end(conn, out);
}

static void fake_hello(struct fake_conn *conn, const struct wire_rpc *m)
{
    uint8_t cluster[16] = {0};
    struct buf *out = fake_begin(conn, m);
    cluster[0] = conn->fake->cluster[conn->node];
    (void)wire_pack_map(out, 1);
    (void)wire_pack_text(out, WIRE_FIELD_CLUSTER);
    (void)wire_pack_bin(out, bytes_of(cluster, sizeof(cluster)));
    fake_end(conn, out);
}

static void fake_serve(struct fake_conn *conn, struct bytes message)
{
    struct fake *f = conn->fake;
    struct wire_node root;
    struct wire_rpc m;
    int err = wire_decode(conn->decoder, message, &root);
    ASSERT(err == 0);
    err = wire_rpc_of(root, &m);
    ASSERT(err == 0 && m.type == WIRE_REQUEST);
    if (f->paused[conn->node]) {
        return;
    }
    if (wire_rpc_is(&m, WIRE_METHOD_HELLO)) {
        f->hellos++;
        fake_hello(conn, &m);
    } else if (wire_rpc_is(&m, WIRE_METHOD_TOPOLOGY)) {
        f->topologies++;
        fake_topology(conn, &m);
    } else if (wire_rpc_is(&m, WIRE_METHOD_SESSION_OPEN)) {
        struct buf *out = fake_begin(conn, &m);
        (void)wire_pack_map(out, 1);
        (void)wire_pack_text(out, WIRE_FIELD_SESSION);
        (void)wire_pack_u64(out, 100 + f->sessions++);
        fake_end(conn, out);
    } else if (wire_rpc_is(&m, WIRE_METHOD_SESSION_CLOSE)) {
        f->closes++;
        f->closed_node = conn->node + 1;
        (void)wire_param_u64(&m, 1, &f->closed_session);
    } else {
        f->requests++;
        f->serve(f, conn, &m);
    }
}

/* ---- connections ---------------------------------------------------------------------------- */

static void fake_conn_closed(uv_handle_t *handle)
{
    struct fake_conn *conn = handle->data;
    struct fake_conn **at = &conn->fake->conns;
    while (*at != conn) {
        at = &(*at)->next;
    }
    *at = conn->next;
    wire_decoder_free(conn->decoder);
    buf_release(&conn->in);
    free(conn);
}

void fake_drop(struct fake_conn *conn)
{
    if (!conn->closing) {
        conn->closing = true;
        uv_close((uv_handle_t *)&conn->tcp, fake_conn_closed);
    }
}

static void fake_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct fake_conn *conn = handle->data;
    (void)suggested;
    int err = buf_reserve(&conn->in, 65536);
    ASSERT(err == 0);
    *out = uv_buf_init((char *)conn->in.data + conn->in.size, 65536);
}

static void fake_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *into)
{
    struct fake_conn *conn = stream->data;
    size_t bytes = 0;
    (void)into;
    if (got < 0) {
        fake_drop(conn);
        return;
    }
    conn->in.size += (size_t)got;
    while (!conn->closing && conn->in.size > 0 &&
           wire_scan(buf_view(&conn->in), &fake_limits, &bytes) == 0) {
        fake_serve(conn, bytes_of(conn->in.data, bytes));
        memmove(conn->in.data, conn->in.data + bytes, conn->in.size - bytes);
        conn->in.size -= bytes;
    }
}

static void fake_accept(uv_stream_t *server, int status)
{
    struct fake *f = server->data;
    struct fake_conn *conn = calloc(1, sizeof(*conn));
    ASSERT(status == 0 && conn != NULL);
    conn->fake = f;
    while (server != (uv_stream_t *)&f->listeners[conn->node]) {
        conn->node++;
    }
    buf_init(&conn->in, &f->heap, 8u << 20);
    (void)wire_decoder_new(&f->heap, &fake_limits, &conn->decoder);
    (void)uv_tcp_init(&f->loop, &conn->tcp);
    conn->tcp.data = conn;
    conn->next = f->conns;
    f->conns = conn;
    (void)uv_accept(server, (uv_stream_t *)&conn->tcp);
    (void)uv_read_start((uv_stream_t *)&conn->tcp, fake_alloc, fake_read);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void fake_listen(struct fake *f, unsigned node)
{
    struct sockaddr_in at;
    int bytes = sizeof(at);
    (void)uv_ip4_addr("127.0.0.1", 0, &at);
    (void)uv_tcp_init(&f->loop, &f->listeners[node]);
    f->listeners[node].data = f;
    int err = uv_tcp_bind(&f->listeners[node], (const struct sockaddr *)&at, 0);
    ASSERT(err == 0);
    err = uv_listen((uv_stream_t *)&f->listeners[node], 16, fake_accept);
    ASSERT(err == 0);
    (void)uv_tcp_getsockname(&f->listeners[node], (struct sockaddr *)&at, &bytes);
    f->ports[node] = (uint16_t)((at.sin_port & 0xff) << 8 | at.sin_port >> 8);
    f->listening[node] = true;
}

void fake_client(struct fake *f, struct hf_client_options options)
{
    hf_client_free(f->client);
    options.endpoints = f->endpoints;
    options.seed = options.seed != 0 ? options.seed : 7;
    int err = hf_client_new(&f->loop, &options, &f->client);
    ASSERT(err == 0);
}

void fake_open(struct fake *f, unsigned nodes, fake_fn *serve)
{
    (void)signal(SIGPIPE, SIG_IGN);
    memset(f, 0, sizeof(*f));
    f->heap = alloc_heap();
    f->nodes = nodes;
    f->leader = 1;
    f->serve = serve;
    (void)uv_loop_init(&f->loop);
    size_t used = 0;
    for (unsigned i = 0; i < nodes; i++) {
        fake_listen(f, i);
        used += (size_t)snprintf(f->endpoints + used, sizeof(f->endpoints) - used, "%s127.0.0.1:%u",
                                 i > 0 ? "," : "", (unsigned)f->ports[i]);
    }
    fake_client(f, (struct hf_client_options){.timeout_ms = 10000, .unreachable_ms = 200});
}

void fake_stop_node(struct fake *f, unsigned node)
{
    if (f->listening[node]) {
        f->listening[node] = false;
        uv_close((uv_handle_t *)&f->listeners[node], NULL);
    }
    for (struct fake_conn *conn = f->conns; conn != NULL; conn = conn->next) {
        if (conn->node == node) {
            fake_drop(conn);
        }
    }
}

void fake_close(struct fake *f)
{
    hf_client_free(f->client);
    for (unsigned i = 0; i < f->nodes; i++) {
        fake_stop_node(f, i);
    }
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    int err = uv_loop_close(&f->loop);
    ASSERT(err == 0);
}

int fake_wait(struct fake *f, struct hf_answer *a)
{
    while (!a->ended) { /* as hf_wait does on a loop of its own */
        const uint64_t until_ns = uv_hrtime() + (f->turns++ % 5) * 700000;
        while (f->late && uv_hrtime() < until_ns) {
        }
        f->client->waits = true;
        (void)uv_run(&f->loop, UV_RUN_ONCE);
        f->client->waits = false;
    }
    return a->result.code;
}
