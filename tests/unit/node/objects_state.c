/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * See objects_state.h.
 */
#include "tests/unit/node/objects_state.h"

#include <check.h>

struct node_keys {
    unsigned count;
    struct node_name names[STATE_ROWS_MAX];
};

struct node_sm {
    struct state *s;
    const struct node_keys *keys;
};

struct node_rows {
    unsigned points_count;
    struct node_name points[STATE_ROWS_MAX];
    const struct state *s;
    unsigned first, count;
    bool more;
};

struct state *state_new(void)
{
    struct alloc heap = alloc_heap();
    struct state *s = alloc_get_zeroed(&heap, 1, sizeof *s);
    ck_assert_ptr_nonnull(s);
    s->alloc = heap;
    s->log_time = 1000;
    return s;
}

void state_free(struct state *s)
{
    struct alloc heap = s->alloc;
    for (unsigned i = 0; i < s->count; i++) {
        buf_release(&s->rows[i].value);
    }
    alloc_put(&heap, s, sizeof *s);
}

static unsigned state_at(const struct state *s, struct bytes name)
{
    unsigned at = 0;
    while (at < s->count && bytes_compare(node_name_view(&s->rows[at].name), name) < 0) {
        at++;
    }
    return at;
}

static bool state_is(const struct state *s, unsigned at, struct bytes name)
{
    return at < s->count && bytes_equal(node_name_view(&s->rows[at].name), name);
}

int node_keys_add(struct node_keys *k, struct bytes name)
{
    ck_assert_uint_lt(k->count, STATE_ROWS_MAX);
    ck_assert_uint_le(name.size, NODE_NAME_BYTES_MAX);
    struct node_name *n = &k->names[k->count++];
    memcpy(n->data, name.data, name.size);
    n->size = name.size;
    return 0;
}

static void state_named(const struct node_sm *sm, struct bytes name)
{
    for (unsigned i = 0; i < sm->keys->count; i++) {
        if (bytes_equal(node_name_view(&sm->keys->names[i]), name)) {
            return;
        }
    }
    ck_abort_msg("a command touches a record of kind %02x that it did not name", name.data[0]);
}

int node_sm_get(struct node_sm *sm, struct bytes name, struct bytes *value)
{
    state_named(sm, name);
    unsigned at = state_at(sm->s, name);
    if (!state_is(sm->s, at, name)) {
        return ERR_NOT_FOUND;
    }
    *value = buf_view(&sm->s->rows[at].value);
    return 0;
}

static void state_drop(struct state *s, unsigned at)
{
    hash_digest_sub(&s->digest, node_name_view(&s->rows[at].name), buf_view(&s->rows[at].value));
    buf_release(&s->rows[at].value);
    s->count--;
    memmove(&s->rows[at], &s->rows[at + 1], (s->count - at) * sizeof s->rows[0]);
}

int node_sm_add(struct node_sm *sm, struct bytes name, struct bytes value)
{
    struct state *s = sm->s;
    unsigned at = state_at(s, name);
    ck_assert(!state_is(s, at, name));
    ck_assert_uint_lt(s->count, STATE_ROWS_MAX);
    memmove(&s->rows[at + 1], &s->rows[at], (s->count - at) * sizeof s->rows[0]);
    s->count++;
    memcpy(s->rows[at].name.data, name.data, name.size);
    s->rows[at].name.size = name.size;
    buf_init(&s->rows[at].value, &s->alloc, 1u << 20);
    (void)buf_append(&s->rows[at].value, value.data, value.size);
    hash_digest_add(&s->digest, name, value);
    return 0;
}

int node_sm_put(struct node_sm *sm, struct bytes name, struct bytes value)
{
    state_named(sm, name);
    unsigned at = state_at(sm->s, name);
    struct buf copy; /* value may view what is replaced */
    buf_init(&copy, &sm->s->alloc, 1u << 20);
    (void)buf_append(&copy, value.data, value.size);
    if (state_is(sm->s, at, name)) {
        state_drop(sm->s, at);
    }
    int err = node_sm_add(sm, name, buf_view(&copy));
    buf_release(&copy);
    return err;
}

int node_sm_del(struct node_sm *sm, struct bytes name)
{
    state_named(sm, name);
    unsigned at = state_at(sm->s, name);
    if (state_is(sm->s, at, name)) {
        state_drop(sm->s, at);
    }
    return 0;
}

uint32_t node_sm_group(const struct node_sm *sm)
{
    (void)sm;
    return 1;
}

uint64_t node_sm_revision(const struct node_sm *sm)
{
    return sm->s->revision;
}

uint64_t node_sm_log_time(const struct node_sm *sm)
{
    return sm->s->log_time;
}

int state_apply_raw(struct state *s, uint8_t op, struct bytes body)
{
    const struct node_cmd cmd = {.op = op, .body = body};
    const struct node_op *row = node_object_ops;
    struct node_keys *keys = alloc_get_zeroed(&s->alloc, 1, sizeof *keys);
    struct node_sm sm = {.s = s, .keys = keys};
    struct hash_digest before = s->digest;
    struct buf reply;
    buf_init(&reply, &s->alloc, 1u << 20);
    while (row->op != op) {
        ck_assert_uint_ne(row->op, 0);
        row++;
    }
    s->revision++;
    int err = row->keys(&cmd, keys);
    int code = row->apply(&sm, &cmd, &reply);
    ck_assert(err == 0 || code == err);
    if (code != 0) { /* an error changes nothing */
        ck_assert_uint_eq(before.low, s->digest.low);
        ck_assert_uint_eq(before.high, s->digest.high);
    }
    buf_release(&reply);
    alloc_put(&s->alloc, keys, sizeof *keys);
    return code;
}

int state_apply(struct state *s, uint8_t op, const struct node_object_cmd *c, struct buf *reply)
{
    (void)reply;
    struct buf body;
    buf_init(&body, &s->alloc, 1u << 20);
    ck_assert_int_eq(node_object_cmd_encode(op, c, &body), 0);
    int code = state_apply_raw(s, op, buf_view(&body));
    buf_release(&body);
    return code;
}

int node_rows_get(const struct node_rows *rows, struct bytes name, struct bytes *value)
{
    for (unsigned i = 0; i < rows->points_count; i++) {
        if (bytes_equal(node_name_view(&rows->points[i]), name)) {
            unsigned at = state_at(rows->s, name);
            if (!state_is(rows->s, at, name)) {
                return ERR_NOT_FOUND;
            }
            *value = buf_view(&rows->s->rows[at].value);
            return 0;
        }
    }
    ck_abort_msg("a question reads a record that it did not name");
}

unsigned node_rows_count(const struct node_rows *rows)
{
    return rows->count;
}

void node_rows_at(const struct node_rows *rows, unsigned i, struct bytes *name, struct bytes *value)
{
    *name = node_name_view(&rows->s->rows[rows->first + i].name);
    *value = buf_view(&rows->s->rows[rows->first + i].value);
}

bool node_rows_more(const struct node_rows *rows)
{
    return rows->more;
}

static void state_range(const struct state *s, const struct node_range *range,
                        struct node_rows *rows)
{
    rows->first = state_at(s, range->from);
    rows->first += range->after && state_is(s, rows->first, range->from);
    unsigned at = rows->first;
    while (at < s->count && bytes_compare(node_name_view(&s->rows[at].name), range->to) < 0) {
        if (rows->count == range->rows_max) {
            rows->more = true;
            return;
        }
        rows->count++;
        at++;
    }
}

int state_ask(struct state *s, uint8_t op, const struct node_object_ask *a, struct buf *reply)
{
    const struct node_query_op *row = node_object_queries;
    struct node_query_ctx ctx = {.group = 1, .revision = s->revision, .log_time_us = s->log_time};
    struct buf body;
    struct node_range range = {0};
    struct node_keys *keys = alloc_get_zeroed(&s->alloc, 1, sizeof *keys);
    struct node_rows *rows = alloc_get_zeroed(&s->alloc, 1, sizeof *rows);
    buf_init(&body, &s->alloc, 1u << 20);
    ck_assert_int_eq(node_object_ask_encode(op, a, &body), 0);
    while (row->op != op) {
        ck_assert_uint_ne(row->op, 0);
        row++;
    }
    buf_clear(reply);
    int err = row->want(buf_view(&body), keys, &range);
    rows->s = s;
    rows->points_count = keys->count;
    memcpy(rows->points, keys->names, sizeof rows->points);
    if (err == 0 && range.to.size > 0) {
        state_range(s, &range, rows);
    }
    err = err != 0 ? err : row->answer(&ctx, buf_view(&body), rows, reply);
    buf_release(&body);
    alloc_put(&s->alloc, keys, sizeof *keys);
    alloc_put(&s->alloc, rows, sizeof *rows);
    return err;
}

unsigned state_count(const struct state *s, enum node_key_kind kind)
{
    unsigned count = 0;
    for (unsigned i = 0; i < s->count; i++) {
        count += s->rows[i].name.data[0] == (uint8_t)kind;
    }
    return count;
}

struct bytes state_value(const struct state *s, const struct node_name *name)
{
    unsigned at = state_at(s, node_name_view(name));
    if (!state_is(s, at, node_name_view(name))) {
        return bytes_of(NULL, 0);
    }
    return buf_view(&s->rows[at].value);
}

bool state_has(const struct state *s, const struct node_name *name)
{
    return state_is(s, state_at(s, node_name_view(name)), node_name_view(name));
}
