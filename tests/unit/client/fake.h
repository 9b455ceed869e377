/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that a test writes: they listen on loopback, in the loop of the client under test, and
 * hand every request to one function of the test.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_CLIENT_FAKE_H
#define HOLDFAST_TESTS_UNIT_CLIENT_FAKE_H

#include "base/bytes.h"
#include "client/holdfast.h"
#include "wire/api.h"
#include "wire/rpc.h"

#include <uv.h>

#define FAKE_NODES_MAX 7u

struct fake;

struct fake_conn {
    uv_tcp_t tcp;
    struct fake *fake;
    unsigned node; /* from 0; its id is one more */
    struct buf in;
    struct wire_decoder *decoder;
    struct fake_conn *next;
    bool closing;
};

/* Answers with the fake_say functions, or not at all. */
typedef void fake_fn(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m);

struct fake {
    uv_loop_t loop;
    struct alloc heap;
    uv_tcp_t listeners[FAKE_NODES_MAX];
    bool listening[FAKE_NODES_MAX];
    bool paused[FAKE_NODES_MAX]; /* takes everything and answers nothing */
    uint16_t ports[FAKE_NODES_MAX];
    unsigned nodes;
    unsigned leader; /* id that the map names for every group */
    struct fake_conn *conns;
    fake_fn *serve;
    uint8_t cluster[FAKE_NODES_MAX]; /* first byte of what each says it is of */
    unsigned hellos;
    unsigned requests; /* all but hello, topology and those of sessions, which are answered here */
    unsigned topologies;
    unsigned sessions;
    unsigned closes; /* session.close, the last one by */
    unsigned closed_node;
    uint64_t closed_session;
    char endpoints[128];
    bool late; /* turns of the client begin after a while, some when timers are due already */
    unsigned turns;
    struct hf_client *client;
    void *test; /* of the test */
};

/* The client knows all nodes; timeout_ms is short. */
void fake_open(struct fake *f, unsigned nodes, fake_fn *serve);
void fake_close(struct fake *f);
/* A client with other options; the fake's endpoints are filled in. */
void fake_client(struct fake *f, struct hf_client_options options);
/* No more connections, and those there are end. */
void fake_stop_node(struct fake *f, unsigned node);
void fake_drop(struct fake_conn *conn);

/* Runs the loop until the answer is there. */
int fake_wait(struct fake *f, struct hf_answer *a);

/* An answer: begin, pack one value onto the buffer, end. */
struct buf *fake_begin(struct fake_conn *conn, const struct wire_rpc *m);
void fake_end(struct fake_conn *conn, struct buf *out);
void fake_say_revision(struct fake_conn *conn, const struct wire_rpc *m, uint64_t revision);
void fake_say_nil(struct fake_conn *conn, const struct wire_rpc *m);
void fake_say_error(struct fake_conn *conn, const struct wire_rpc *m, int code);
void fake_say_failure(struct fake_conn *conn, const struct wire_rpc *m,
                      const struct wire_failure *failure);
void fake_send(struct fake_conn *conn, struct bytes message);

#endif
