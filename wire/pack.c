/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Writes MessagePack values and the envelopes of MessagePack-RPC onto a struct buf, whose first
 * failure stays in it: what is appended after a failure is dropped.
 */
#include "wire/rpc.h"

#include "base/err.h"
#include "base/num.h"
#include "wire/api.h"

#include <msgpack.h>
#include <string.h>

static int wire_pack_write(void *data, const char *from, size_t bytes)
{
    return buf_append(data, from, bytes);
}

static msgpack_packer wire_packer(struct buf *out)
{
    return (msgpack_packer){.data = out, .callback = wire_pack_write};
}

int wire_pack_nil(struct buf *out)
{
    msgpack_packer p = wire_packer(out);
    return msgpack_pack_nil(&p);
}

int wire_pack_bool(struct buf *out, bool v)
{
    msgpack_packer p = wire_packer(out);
    return v ? msgpack_pack_true(&p) : msgpack_pack_false(&p);
}

int wire_pack_u64(struct buf *out, uint64_t v)
{
    msgpack_packer p = wire_packer(out);
    return msgpack_pack_uint64(&p, v);
}

int wire_pack_i64(struct buf *out, int64_t v)
{
    msgpack_packer p = wire_packer(out);
    return msgpack_pack_int64(&p, v);
}

int wire_pack_double(struct buf *out, double v)
{
    msgpack_packer p = wire_packer(out);
    return msgpack_pack_double(&p, v);
}

/* MessagePack counts in 32 bits. */
static int wire_pack_refuse(struct buf *out)
{
    if (out->err == 0) {
        out->err = ERR_TOO_LARGE;
    }
    return out->err;
}

int wire_pack_str(struct buf *out, struct bytes v)
{
    msgpack_packer p = wire_packer(out);
    if (v.size > UINT32_MAX) {
        return wire_pack_refuse(out);
    }
    TRY(msgpack_pack_str(&p, v.size));
    return buf_append(out, v.data, v.size);
}

int wire_pack_text(struct buf *out, const char *v)
{
    return wire_pack_str(out, bytes_of_text(v));
}

int wire_pack_bin_head(struct buf *out, uint32_t bytes)
{
    msgpack_packer p = wire_packer(out);
    return msgpack_pack_bin(&p, bytes);
}

int wire_pack_bin(struct buf *out, struct bytes v)
{
    if (v.size > UINT32_MAX) {
        return wire_pack_refuse(out);
    }
    TRY(wire_pack_bin_head(out, (uint32_t)v.size));
    return buf_append(out, v.data, v.size);
}

int wire_pack_array(struct buf *out, uint32_t count)
{
    msgpack_packer p = wire_packer(out);
    return msgpack_pack_array(&p, count);
}

int wire_pack_map(struct buf *out, uint32_t count)
{
    msgpack_packer p = wire_packer(out);
    return msgpack_pack_map(&p, count);
}

int wire_pack_request(struct buf *out, uint32_t msgid, const char *method, uint32_t params_count)
{
    ASSERT(strlen(method) <= WIRE_METHOD_BYTES_MAX);
    TRY(wire_pack_array(out, 4));
    TRY(wire_pack_u64(out, WIRE_REQUEST));
    TRY(wire_pack_u64(out, msgid));
    TRY(wire_pack_text(out, method));
    return wire_pack_array(out, params_count);
}

int wire_pack_notification(struct buf *out, const char *method, uint32_t params_count)
{
    ASSERT(strlen(method) <= WIRE_METHOD_BYTES_MAX);
    TRY(wire_pack_array(out, 3));
    TRY(wire_pack_u64(out, WIRE_NOTIFICATION));
    TRY(wire_pack_text(out, method));
    return wire_pack_array(out, params_count);
}

int wire_pack_result(struct buf *out, uint32_t msgid)
{
    TRY(wire_pack_array(out, 4));
    TRY(wire_pack_u64(out, WIRE_RESPONSE));
    TRY(wire_pack_u64(out, msgid));
    return wire_pack_nil(out);
}

static int wire_pack_hints(struct buf *out, const struct wire_failure *f)
{
    if (f->hints_count == 0) {
        return wire_pack_nil(out);
    }
    TRY(wire_pack_map(out, f->hints_count));
    for (unsigned i = 0; i < f->hints_count; i++) {
        const struct wire_hint *hint = &f->hints[i];
        TRY(wire_pack_text(out, hint->name));
        if (hint->text.data != NULL) {
            TRY(wire_pack_str(out, hint->text));
        } else {
            TRY(wire_pack_u64(out, hint->number));
        }
    }
    return 0;
}

int wire_pack_failure(struct buf *out, uint32_t msgid, const struct wire_failure *f)
{
    ASSERT(f->code < 0);
    struct bytes message = bytes_of_text(f->message != NULL ? f->message : err_text(f->code));
    message.size = NUM_MIN(message.size, WIRE_ERROR_TEXT_BYTES_MAX);
    TRY(wire_pack_array(out, 4));
    TRY(wire_pack_u64(out, WIRE_RESPONSE));
    TRY(wire_pack_u64(out, msgid));
    TRY(wire_pack_array(out, 4));
    TRY(wire_pack_i64(out, f->code));
    TRY(wire_pack_text(out, err_name(f->code)));
    TRY(wire_pack_str(out, message));
    TRY(wire_pack_hints(out, f));
    return wire_pack_nil(out);
}

int wire_pack_options(struct buf *out, const struct wire_options *o)
{
    uint32_t count = (uint32_t)o->has_deadline + (uint32_t)o->has_session + (uint32_t)o->stale +
                     (uint32_t)(o->principal.size > 0) + (uint32_t)o->has_token +
                     (uint32_t)o->has_budget + (uint32_t)(o->copies > 0) + (uint32_t)o->apart +
                     (uint32_t)(o->once.size > 0);
    TRY(wire_pack_map(out, count));
    if (o->has_deadline) {
        TRY(wire_pack_text(out, WIRE_OPTION_DEADLINE_MS));
        TRY(wire_pack_u64(out, o->deadline_ms));
    }
    if (o->has_session) {
        TRY(wire_pack_text(out, WIRE_OPTION_SESSION));
        TRY(wire_pack_array(out, 3));
        TRY(wire_pack_u64(out, o->session_id));
        TRY(wire_pack_u64(out, o->session_seq));
        TRY(wire_pack_u64(out, o->session_ack));
    }
    if (o->stale) {
        TRY(wire_pack_text(out, WIRE_OPTION_LEVEL));
        TRY(wire_pack_text(out, WIRE_LEVEL_STALE));
    }
    if (o->principal.size > 0) {
        TRY(wire_pack_text(out, WIRE_OPTION_PRINCIPAL));
        TRY(wire_pack_str(out, o->principal));
    }
    if (o->has_token) {
        TRY(wire_pack_text(out, WIRE_OPTION_TOKEN));
        TRY(wire_pack_bin(out, o->token));
    }
    if (o->has_budget) {
        TRY(wire_pack_text(out, WIRE_OPTION_BUDGET_MS));
        TRY(wire_pack_u64(out, o->budget_ms));
    }
    if (o->copies > 0) {
        TRY(wire_pack_text(out, WIRE_OPTION_COPIES));
        TRY(wire_pack_u64(out, o->copies));
    }
    if (o->apart) {
        TRY(wire_pack_text(out, WIRE_OPTION_APART));
        TRY(wire_pack_bool(out, true));
    }
    if (o->once.size > 0) {
        TRY(wire_pack_text(out, WIRE_OPTION_ONCE));
        TRY(wire_pack_str(out, o->once));
    }
    return out->err;
}
