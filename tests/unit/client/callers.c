/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Callers, and the node that they call.
 */
#include "callers.h"

#include "wire/token.h"

#include <stdio.h>
#include <string.h>

struct fake fake;
struct sent sent[REQUESTS_MAX];
unsigned sents;
struct caller callers[CALLS_MAX];
unsigned answers;
unsigned applied[CALLS_MAX];

/* ---- the node ------------------------------------------------------------------------------- */

static void note_options(struct sent *s, const struct wire_rpc *m)
{
    struct wire_options o;
    struct wire_token t;
    struct alloc heap = alloc_heap();
    ck_assert_int_eq(wire_options_of(m, &o), 0);
    wire_token_init(&t, &heap);
    ck_assert_int_eq(wire_token_decode(&t, o.token), 0);
    s->index = wire_token_index(&t, 1);
    wire_token_release(&t);
    s->session = o.session_id;
    s->sequence = o.session_seq;
    s->copies = o.copies;
    s->budget_ms = o.budget_ms;
    s->apart = o.apart;
}

struct sent *note(struct fake_conn *conn, const struct wire_rpc *m)
{
    struct wire_node ops = wire_node_at(m->params, 1);
    struct bytes space = {0};
    struct sent *s = &sent[sents++];
    ck_assert_uint_lt(sents, REQUESTS_MAX);
    *s = (struct sent){.count = wire_node_count(ops), .conn = conn, .msgid = m->msgid};
    s->node = conn->node;
    ck_assert_int_eq(wire_param_bytes(m, 0, WIRE_NAME_BYTES_MAX, &space), 0);
    s->space = (char)space.data[0];
    for (unsigned i = 0; i < s->count; i++) {
        struct wire_node op = wire_node_at(ops, i);
        struct bytes name = {0};
        struct bytes value = {0};
        ck_assert_int_eq(wire_node_i64(wire_node_find(op, WIRE_FIELD_AMOUNT), &s->amount[i]), 0);
        ck_assert_int_eq(wire_node_bytes(wire_node_find(op, WIRE_FIELD_NAME), 1024, &name), 0);
        (void)wire_node_bytes(wire_node_find(op, WIRE_FIELD_VALUE), 1u << 20, &value);
        s->regions |= UINT64_C(1) << wire_slot_of(name) % WIRE_CRDT_REGIONS;
        s->bytes += name.size + value.size;
    }
    note_options(s, m);
    return s;
}

static void say_token(struct buf *out, uint64_t index)
{
    struct alloc heap = alloc_heap();
    struct wire_token t;
    struct buf raw;
    wire_token_init(&t, &heap);
    buf_init(&raw, &heap, 4096);
    ck_assert_int_eq(wire_token_add_group(&t, 1, index), 0);
    ck_assert_int_eq(wire_token_encode(&t, &raw), 0);
    (void)wire_pack_text(out, WIRE_FIELD_TOKEN);
    (void)wire_pack_bin(out, buf_view(&raw));
    buf_release(&raw);
    wire_token_release(&t);
}

void say_done(const struct sent *s)
{
    const struct wire_rpc m = {.msgid = s->msgid};
    struct buf *out = fake_begin(s->conn, &m);
    (void)wire_pack_map(out, 3);
    (void)wire_pack_text(out, WIRE_FIELD_COPIES);
    (void)wire_pack_u64(out, s->copies);
    (void)wire_pack_text(out, WIRE_FIELD_CHANGED);
    (void)wire_pack_array(out, s->count);
    for (unsigned i = 0; i < s->count; i++) {
        (void)wire_pack_bool(out, s->amount[i] % 2 != 0);
        applied[s->amount[i]]++;
    }
    say_token(out, 10 * sents);
    fake_end(s->conn, out);
}

void writes(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    say_done(note(conn, m));
}

void holds(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    (void)note(conn, m);
}

void holds_first(struct fake *f, struct fake_conn *conn, const struct wire_rpc *m)
{
    (void)f;
    const struct sent *s = note(conn, m);
    if (sents > 1) {
        say_done(s);
    }
}

/* ---- the callers ---------------------------------------------------------------------------- */

static void called_back(void *ctx, const struct hf_result *r)
{
    struct caller *c = ctx;
    c->answers++;
    c->code = r->code;
    c->changed = r->code == 0 && r->count == 1 && r->changed[0];
    c->count = r->count;
    c->copies = r->copies;
    c->at = answers++;
    if (c->again) {
        c->again = false;
        ck_assert_int_eq(call(c->amount + 500, (struct hf_crdt){.copies = 1}), 0);
    }
    if (c->frees) {
        hf_client_free(fake.client);
        fake.client = NULL;
    }
}

int call_op(struct hf_crdt_op op, struct hf_crdt with)
{
    char name[32];
    struct caller *c = &callers[op.amount];
    (void)snprintf(name, sizeof(name), "key/%d", (int)op.amount);
    op.name = op.name.size > 0 ? op.name : hf_text(name);
    c->amount = op.amount;
    with.ops = &op;
    with.ops_count = 1;
    return hf_crdt_update(fake.client, &with, c, called_back);
}

int call(int64_t amount, struct hf_crdt with)
{
    struct hf_crdt_op op = {.verb = HF_CRDT_ADD, .amount = amount};
    hf_crdt_path_init(&op.path, HF_CRDT_PN_COUNTER);
    return call_op(op, with);
}

void call_all(int64_t from, int64_t to, struct hf_crdt with)
{
    for (int64_t i = from; i <= to; i++) {
        ck_assert_int_eq(call(i, with), 0);
    }
}

void begin(unsigned nodes, fake_fn *serve)
{
    memset(sent, 0, sizeof(sent));
    memset(applied, 0, sizeof(applied));
    memset(callers, 0, sizeof(callers));
    sents = answers = 0;
    fake_open(&fake, nodes, serve);
}

void until_sent(unsigned requests)
{
    while (sents < requests) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
}

void until_answered(unsigned calls)
{
    while (answers < calls) {
        (void)uv_run(&fake.loop, UV_RUN_ONCE);
    }
}

void check_sent(unsigned request, int64_t from, int64_t to)
{
    ck_assert_uint_eq(sent[request].count, (unsigned)(to - from + 1));
    for (int64_t i = from; i <= to; i++) {
        ck_assert_int_eq(sent[request].amount[i - from], i);
    }
}

void check_done(int64_t from, int64_t to)
{
    for (int64_t i = from; i <= to; i++) {
        ck_assert_uint_eq(callers[i].answers, 1);
        ck_assert_int_eq(callers[i].code, 0);
        ck_assert_uint_eq(callers[i].count, 1);
        ck_assert(callers[i].changed == (i % 2 != 0));
        ck_assert_uint_eq(applied[i], 1);
    }
}
