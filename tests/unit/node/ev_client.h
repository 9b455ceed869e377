/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A client of eventual mode on the rig, for the test that includes it: requests in few words, and
 * what came back.
 *
 * threads: one owner.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_EV_CLIENT_H
#define HOLDFAST_TESTS_UNIT_NODE_EV_CLIENT_H

#include "rig.h"

#include "server/node/eventual_internal.h"
#include "tests/unit/unit.h"
#include "wire/token.h"

#include <check.h>
#include <stdio.h>

/* One operation, in few words. */
struct top {
    const char *name;
    uint8_t types[5]; /* ended by 0 */
    const char *fields[4];
    uint8_t verb;
    const char *value;
    int64_t amount;
    uint32_t to;
};

struct topts {
    struct buf *token; /* or NULL; becomes that of the answer */
    uint64_t session, sequence;
    uint32_t copies;
    uint64_t budget_ms;
    uint64_t deadline_ms; /* 0: the default */
    const char *once;     /* or NULL */
};

static struct rig *r;

static inline void begin(unsigned nodes)
{
    r = rig_new(nodes);
    ck_assert_uint_ne(rig_leader(r, 0), 0);
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    rig_run(r, 3000000);
}

static inline void end(void)
{
    rig_free(r);
}

static inline void pack_path(struct buf *out, const struct top *op)
{
    uint32_t count = 0;
    while (op->fields[count] != NULL) {
        count++;
    }
    (void)wire_pack_array(out, 2 * count + 1);
    (void)wire_pack_u64(out, op->types[0]);
    for (uint32_t i = 0; i < count; i++) {
        (void)wire_pack_text(out, op->fields[i]);
        (void)wire_pack_u64(out, op->types[i + 1]);
    }
}

static inline void pack_op(struct buf *out, const struct top *op)
{
    (void)wire_pack_map(out, 4u + (op->value != NULL) + (op->to != 0));
    (void)wire_pack_text(out, "name");
    (void)wire_pack_text(out, op->name);
    (void)wire_pack_text(out, "path");
    pack_path(out, op);
    (void)wire_pack_text(out, "verb");
    (void)wire_pack_u64(out, op->verb);
    (void)wire_pack_text(out, "amount");
    (void)wire_pack_i64(out, op->amount);
    if (op->value != NULL) {
        (void)wire_pack_text(out, "value");
        (void)wire_pack_text(out, op->value);
    }
    if (op->to != 0) {
        (void)wire_pack_text(out, "to");
        (void)wire_pack_u64(out, op->to);
    }
}

static inline void pack_options(struct buf *out, const struct topts *t)
{
    struct wire_options o = {.has_token = t->token != NULL, .copies = t->copies};
    if (t->token != NULL) {
        o.token = buf_view(t->token);
    }
    if (t->session != 0) {
        o.has_session = true;
        o.session_id = t->session;
        o.session_seq = t->sequence;
    }
    o.once = t->once == NULL ? bytes_of(NULL, 0) : bytes_of_text(t->once);
    o.has_budget = t->budget_ms != 0;
    o.budget_ms = t->budget_ms;
    o.has_deadline = t->deadline_ms != 0;
    o.deadline_ms = t->deadline_ms;
    (void)wire_pack_options(out, &o);
}

static inline uint32_t send(unsigned node, struct buf *out)
{
    ck_assert_int_eq(out->err, 0);
    rig_send(r, node, buf_view(out));
    buf_release(out);
    return r->next_msgid;
}

static inline void request(struct buf *out, const char *method, uint32_t params)
{
    buf_init(out, &r->heap, 4u << 20);
    (void)wire_pack_request(out, ++r->next_msgid, method, params + 1);
}

static inline uint32_t ask_update(unsigned node, const struct topts *t, const struct top *ops,
                                  unsigned count)
{
    struct buf out;
    request(&out, "crdt.update", 2);
    (void)wire_pack_text(&out, "default");
    (void)wire_pack_array(&out, count);
    for (unsigned i = 0; i < count; i++) {
        pack_op(&out, &ops[i]);
    }
    pack_options(&out, t);
    return send(node, &out);
}

static inline void keep_token(const struct topts *t, struct wire_node result)
{
    struct bytes token = {0};
    if (t->token != NULL) {
        ck_assert_int_eq(
            wire_node_bytes(wire_node_find(result, "token"), WIRE_TOKEN_BYTES_MAX, &token), 0);
        buf_clear(t->token);
        (void)buf_append(t->token, token.data, token.size);
    }
}

static inline int answer(uint32_t msgid, const struct topts *t, struct wire_node *result)
{
    for (unsigned tries = 0; tries < 8000; tries++) {
        int code = rig_answer(r, msgid, result);
        if (code == 0) {
            keep_token(t, *result);
        }
        if (code != 1) {
            return code;
        }
        rig_run(r, 2000);
    }
    return 1;
}

static const struct topts plain;

static inline int update(unsigned node, const struct topts *t, const struct top *ops,
                         unsigned count)
{
    struct wire_node result;
    return answer(ask_update(node, t, ops, count), t, &result);
}

static inline int update_one(unsigned node, struct top op)
{
    return update(node, &plain, &op, 1);
}

/* what: name, types (the last may be 0) and fields; element: or NULL. */
static inline int read_with(unsigned node, const struct topts *t, struct top what,
                            const char *element, struct wire_node *result)
{
    struct buf out;
    request(&out, "crdt.read", 4);
    (void)wire_pack_text(&out, "default");
    (void)wire_pack_text(&out, what.name);
    pack_path(&out, &what);
    if (element != NULL) {
        (void)wire_pack_text(&out, element);
    } else {
        (void)wire_pack_nil(&out);
    }
    pack_options(&out, t);
    return answer(send(node, &out), t, result);
}

static inline struct wire_node item_of(struct wire_node result, uint32_t i)
{
    return wire_node_at(wire_node_find(result, "items"), i);
}

static inline uint64_t field(struct wire_node n, const char *name)
{
    uint64_t v = 0;
    (void)wire_node_u64(wire_node_find(n, name), &v);
    return v;
}

static inline bool field_is(struct wire_node n, const char *name, const char *text)
{
    struct bytes v = {0};
    return wire_node_bytes(wire_node_find(n, name), 4096, &v) == 0 &&
           bytes_equal(v, bytes_of_text(text));
}

static inline int64_t counter(unsigned node, const char *name, uint8_t type)
{
    struct wire_node result;
    int64_t v = -1;
    ck_assert_int_eq(
        read_with(node, &plain, (struct top){.name = name, .types = {type}}, NULL, &result), 0);
    ck_assert_int_eq(wire_node_i64(wire_node_find(item_of(result, 0), "value"), &v), 0);
    return v;
}

static inline bool has(unsigned node, const char *name, uint8_t type, const char *element)
{
    struct wire_node result;
    bool v = false;
    ck_assert_int_eq(
        read_with(node, &plain, (struct top){.name = name, .types = {type}}, element, &result), 0);
    ck_assert_int_eq(wire_node_bool(wire_node_find(item_of(result, 0), "value"), &v), 0);
    return v;
}

/* after: empty: from the start on; limit: of items. */
static inline struct wire_node members(unsigned node, struct top what, struct bytes after,
                                       uint64_t limit)
{
    struct wire_node result = {0};
    struct buf out;
    request(&out, "crdt.members", 5);
    (void)wire_pack_text(&out, "default");
    (void)wire_pack_text(&out, what.name);
    pack_path(&out, &what);
    if (after.size > 0) {
        (void)wire_pack_bin(&out, after);
    } else {
        (void)wire_pack_nil(&out);
    }
    (void)wire_pack_u64(&out, limit);
    pack_options(&out, &plain);
    ck_assert_int_eq(answer(send(node, &out), &plain, &result), 0);
    return result;
}

/* A session of the own group of a node. */
static inline uint64_t open_own(unsigned node)
{
    struct wire_node result;
    uint64_t session = 0;
    ck_assert_int_eq(rig_call(r, node, "session.open", "u:64", &result), 0);
    ck_assert_int_eq(wire_node_u64(wire_node_find(result, "session"), &session), 0);
    return session;
}

#define ADD(n, t, by) \
    ((struct top){.name = (n), .types = {(t)}, .verb = WIRE_CRDT_ADD, .amount = (by)})
#define PUT(n, t, v) \
    ((struct top){.name = (n), .types = {(t)}, .verb = WIRE_CRDT_SET, .value = (v)})
#define IN(n, t, v) ((struct top){.name = (n), .types = {(t)}, .verb = WIRE_CRDT_ADD, .value = (v)})
#define OUT(n, t, v) \
    ((struct top){.name = (n), .types = {(t)}, .verb = WIRE_CRDT_REMOVE, .value = (v)})

#endif
