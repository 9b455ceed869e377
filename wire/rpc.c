/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads the envelope of MessagePack-RPC, its parameters and options. Writing is in pack.c.
 */
#include "wire/rpc.h"

#include "base/err.h"
#include "base/num.h"
#include "wire/api.h"
#include "wire/token.h"

static int wire_rpc_call_of(struct wire_node root, struct wire_rpc *m)
{
    uint32_t at = m->type == WIRE_REQUEST ? 2 : 1;
    if (wire_node_count(root) != at + 2) {
        return ERR_PROTOCOL;
    }
    m->params = wire_node_at(root, at + 1);
    if (wire_node_bytes(wire_node_at(root, at), WIRE_METHOD_BYTES_MAX, &m->method) != 0 ||
        m->method.size == 0 || wire_node_kind(m->params) != WIRE_ARRAY) {
        return ERR_PROTOCOL;
    }
    m->params_count = wire_node_count(m->params);
    if (m->params_count > 0) {
        struct wire_node last = wire_node_at(m->params, m->params_count - 1);
        if (wire_node_kind(last) == WIRE_MAP) {
            m->options = last;
            m->params_count--;
            m->refusal = wire_node_check_map(last, WIRE_OPTIONS_MAX);
        }
    }
    return 0;
}

int wire_rpc_of(struct wire_node root, struct wire_rpc *out)
{
    struct wire_rpc m = {.type = WIRE_REQUEST};
    uint32_t type;
    if (wire_node_kind(root) != WIRE_ARRAY || wire_node_u32(wire_node_at(root, 0), &type) != 0 ||
        type > WIRE_NOTIFICATION) {
        return ERR_PROTOCOL;
    }
    m.type = (enum wire_rpc_type)type;
    if (m.type != WIRE_NOTIFICATION && wire_node_u32(wire_node_at(root, 1), &m.msgid) != 0) {
        return ERR_PROTOCOL;
    }
    if (m.type != WIRE_RESPONSE) {
        TRY(wire_rpc_call_of(root, &m));
    } else if (wire_node_count(root) != 4) {
        return ERR_PROTOCOL;
    } else {
        m.error = wire_node_at(root, 2);
        m.result = wire_node_at(root, 3);
    }
    ASSERT(m.type == WIRE_RESPONSE || m.method.size > 0);
    *out = m;
    return 0;
}

bool wire_rpc_is(const struct wire_rpc *m, const char *method)
{
    /* requests are looked for among many methods: most begin otherwise */
    bool begins = m->method.size > 0 && m->method.data[0] == (uint8_t)method[0];
    return m->type != WIRE_RESPONSE && begins && bytes_equal(m->method, bytes_of_text(method));
}

int wire_params_check(const struct wire_rpc *m, uint32_t min, uint32_t max)
{
    ASSERT(min <= max);
    TRY(m->refusal);
    return m->params_count >= min && m->params_count <= max ? 0 : ERR_INVALID;
}

/* returns: parameter i, or nil; the option map is no parameter. */
static struct wire_node wire_param(const struct wire_rpc *m, uint32_t i)
{
    return i < m->params_count ? wire_node_at(m->params, i) : (struct wire_node){NULL};
}

int wire_param_bytes(const struct wire_rpc *m, uint32_t i, size_t bytes_max, struct bytes *out)
{
    TRY(m->refusal);
    return wire_node_bytes(wire_param(m, i), bytes_max, out);
}

int wire_param_u64(const struct wire_rpc *m, uint32_t i, uint64_t *out)
{
    TRY(m->refusal);
    return wire_node_u64(wire_param(m, i), out);
}

int wire_param_u32(const struct wire_rpc *m, uint32_t i, uint32_t *out)
{
    TRY(m->refusal);
    return wire_node_u32(wire_param(m, i), out);
}

int wire_param_i64(const struct wire_rpc *m, uint32_t i, int64_t *out)
{
    TRY(m->refusal);
    return wire_node_i64(wire_param(m, i), out);
}

int wire_param_bytes_or_nil(const struct wire_rpc *m, uint32_t i, size_t bytes_max, bool *present,
                            struct bytes *out)
{
    TRY(m->refusal);
    if (wire_node_is_nil(wire_param(m, i))) {
        *present = false;
        return 0;
    }
    TRY(wire_node_bytes(wire_param(m, i), bytes_max, out));
    *present = true;
    return 0;
}

int wire_param_u64_or_nil(const struct wire_rpc *m, uint32_t i, bool *present, uint64_t *out)
{
    TRY(m->refusal);
    if (wire_node_is_nil(wire_param(m, i))) {
        *present = false;
        return 0;
    }
    TRY(wire_node_u64(wire_param(m, i), out));
    *present = true;
    return 0;
}

int wire_option_u64(const struct wire_rpc *m, const char *name, uint64_t *out)
{
    TRY(m->refusal);
    struct wire_node n = wire_node_find(m->options, name);
    return wire_node_is_nil(n) ? 0 : wire_node_u64(n, out);
}

int wire_option_bool(const struct wire_rpc *m, const char *name, bool *out)
{
    TRY(m->refusal);
    struct wire_node n = wire_node_find(m->options, name);
    return wire_node_is_nil(n) ? 0 : wire_node_bool(n, out);
}

int wire_option_bytes(const struct wire_rpc *m, const char *name, size_t bytes_max,
                      struct bytes *out)
{
    TRY(m->refusal);
    struct wire_node n = wire_node_find(m->options, name);
    return wire_node_is_nil(n) ? 0 : wire_node_bytes(n, bytes_max, out);
}

static int wire_option_session(const struct wire_rpc *m, struct wire_options *o)
{
    struct wire_node n = wire_node_find(m->options, WIRE_OPTION_SESSION);
    if (wire_node_is_nil(n)) {
        return 0;
    }
    if (wire_node_kind(n) != WIRE_ARRAY || wire_node_count(n) != 3) {
        return ERR_INVALID;
    }
    TRY(wire_node_u64(wire_node_at(n, 0), &o->session_id));
    TRY(wire_node_u64(wire_node_at(n, 1), &o->session_seq));
    TRY(wire_node_u64(wire_node_at(n, 2), &o->session_ack));
    o->has_session = true;
    return o->session_seq > 0 && o->session_ack < o->session_seq ? 0 : ERR_INVALID;
}

static int wire_options_causal(const struct wire_rpc *m, struct wire_options *o)
{
    uint64_t copies = 0;
    o->has_token = !wire_node_is_nil(wire_node_find(m->options, WIRE_OPTION_TOKEN));
    TRY(wire_option_bytes(m, WIRE_OPTION_TOKEN, WIRE_TOKEN_BYTES_MAX, &o->token));
    o->has_budget = !wire_node_is_nil(wire_node_find(m->options, WIRE_OPTION_BUDGET_MS));
    TRY(wire_option_u64(m, WIRE_OPTION_BUDGET_MS, &o->budget_ms));
    TRY(wire_option_u64(m, WIRE_OPTION_COPIES, &copies));
    if (copies > UINT8_MAX) {
        return ERR_INVALID;
    }
    o->copies = (uint32_t)copies;
    return wire_option_bool(m, WIRE_OPTION_APART, &o->apart);
}

static int wire_options_read(const struct wire_rpc *m, struct wire_options *o)
{
    struct bytes level = bytes_of_text(WIRE_LEVEL_LINEARIZABLE);
    TRY(wire_option_u64(m, WIRE_OPTION_DEADLINE_MS, &o->deadline_ms));
    o->has_deadline = !wire_node_is_nil(wire_node_find(m->options, WIRE_OPTION_DEADLINE_MS));
    TRY(wire_option_session(m, o));
    TRY(wire_option_bytes(m, WIRE_OPTION_LEVEL, WIRE_NAME_BYTES_MAX, &level));
    o->stale = bytes_equal(level, bytes_of_text(WIRE_LEVEL_STALE));
    if (!o->stale && !bytes_equal(level, bytes_of_text(WIRE_LEVEL_LINEARIZABLE))) {
        return ERR_INVALID;
    }
    TRY(wire_option_bytes(m, WIRE_OPTION_PRINCIPAL, WIRE_NAME_BYTES_MAX, &o->principal));
    TRY(wire_option_bytes(m, WIRE_OPTION_ONCE, WIRE_NAME_BYTES_MAX, &o->once));
    return wire_options_causal(m, o);
}

int wire_options_of(const struct wire_rpc *m, struct wire_options *out)
{
    struct wire_options o = {0};
    int err = wire_options_read(m, &o);
    *out = err == 0 ? o : (struct wire_options){0};
    return err;
}

void wire_error_of(struct wire_node n, struct wire_error *out)
{
    struct wire_error e = {.code = ERR_PROTOCOL};
    int64_t code;
    if (wire_node_kind(n) == WIRE_ARRAY) {
        if (wire_node_i64(wire_node_at(n, 0), &code) == 0 && code < 0 && code > -10000) {
            e.code = (int)code;
        }
        (void)wire_node_bytes(wire_node_at(n, 1), WIRE_ERROR_TEXT_BYTES_MAX, &e.name);
        (void)wire_node_bytes(wire_node_at(n, 2), WIRE_ERROR_TEXT_BYTES_MAX, &e.message);
        e.hint = wire_node_at(n, 3);
    } else {
        (void)wire_node_bytes(n, WIRE_ERROR_TEXT_BYTES_MAX, &e.message);
    }
    *out = e;
}
