/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bodies of the fuzz programs for wire/.
 */
#include "tests/fuzz/fuzz_wire.h"

#include "base/crc.h"
#include "base/err.h"
#include "base/num.h"
#include "wire/api.h"
#include "wire/rpc.h"

#include <string.h>

static const struct wire_scan_limits fuzz_limits = {
    .bytes_max = FUZZ_MESSAGE_BYTES_MAX, .items_max = 4096, .depth_max = 12};

static void fuzz_write_leaf(struct buf *out, struct wire_node n)
{
    bool truth = false;
    uint64_t u = 0;
    int64_t i = 0;
    double d = 0;
    struct bytes v = {0};
    switch (wire_node_kind(n)) {
    case WIRE_BOOL:
        ASSERT(wire_node_bool(n, &truth) == 0);
        (void)wire_pack_bool(out, truth);
        break;
    case WIRE_UINT:
        ASSERT(wire_node_u64(n, &u) == 0);
        (void)wire_pack_u64(out, u);
        break;
    case WIRE_INT:
        ASSERT(wire_node_i64(n, &i) == 0 && i < 0);
        (void)wire_pack_i64(out, i);
        break;
    case WIRE_DOUBLE:
        ASSERT(wire_node_double(n, &d) == 0);
        (void)wire_pack_double(out, d);
        break;
    case WIRE_STR:
        ASSERT(wire_node_bytes(n, SIZE_MAX, &v) == 0);
        (void)wire_pack_str(out, v);
        break;
    case WIRE_BIN:
        ASSERT(wire_node_bytes(n, SIZE_MAX, &v) == 0);
        (void)wire_pack_bin(out, v);
        break;
    default: (void)wire_pack_nil(out); break;
    }
}

struct fuzz_place {
    struct wire_node n;
    uint32_t next; /* child to go to; a map has key and value of each pair */
};

static bool fuzz_is_container(struct wire_node n)
{
    return wire_node_kind(n) == WIRE_ARRAY || wire_node_kind(n) == WIRE_MAP;
}

static void fuzz_write_head(struct buf *out, struct wire_node n)
{
    if (wire_node_kind(n) == WIRE_ARRAY) {
        (void)wire_pack_array(out, wire_node_count(n));
    } else {
        (void)wire_pack_map(out, wire_node_count(n));
    }
}

void fuzz_write_again(struct buf *out, struct wire_node n)
{
    struct fuzz_place stack[WIRE_DEPTH_MAX + 1];
    unsigned depth = 0;
    if (!fuzz_is_container(n)) {
        fuzz_write_leaf(out, n);
        return;
    }
    fuzz_write_head(out, n);
    stack[depth++] = (struct fuzz_place){.n = n};
    while (depth > 0) {
        struct fuzz_place *top = &stack[depth - 1];
        bool map = wire_node_kind(top->n) == WIRE_MAP;
        if (top->next == wire_node_count(top->n) * (map ? 2u : 1u)) {
            depth--;
            continue;
        }
        uint32_t at = top->next++;
        struct wire_node child = !map          ? wire_node_at(top->n, at)
                                 : at % 2 == 0 ? wire_node_key(top->n, at / 2)
                                               : wire_node_value(top->n, at / 2);
        if (!fuzz_is_container(child)) {
            fuzz_write_leaf(out, child);
            continue;
        }
        ASSERT(depth <= WIRE_DEPTH_MAX);
        fuzz_write_head(out, child);
        stack[depth++] = (struct fuzz_place){.n = child};
    }
}

/* What is read as a message must be readable by every getter, whatever it holds. */
static void fuzz_read_rpc(struct wire_node root)
{
    struct wire_rpc m;
    if (wire_rpc_of(root, &m) != 0) {
        return;
    }
    if (m.type == WIRE_RESPONSE) {
        struct wire_error e;
        wire_error_of(m.error, &e);
        ASSERT(e.code < 0 && e.message.size <= WIRE_ERROR_TEXT_BYTES_MAX);
        return;
    }
    ASSERT(m.method.size > 0 && m.method.size <= WIRE_METHOD_BYTES_MAX);
    for (uint32_t i = 0; i < NUM_MIN(m.params_count, 8) + 2; i++) {
        struct bytes v = {0};
        uint64_t u = 0;
        int64_t s = 0;
        bool present = false;
        ASSERT(wire_param_bytes(&m, i, 100, &v) <= 0 && v.size <= 100);
        ASSERT(wire_param_u64(&m, i, &u) <= 0 && wire_param_i64(&m, i, &s) <= 0);
        ASSERT(wire_param_bytes_or_nil(&m, i, 100, &present, &v) <= 0);
    }
    struct wire_options o;
    int err = wire_options_of(&m, &o);
    ASSERT(err <= 0 && (m.refusal == 0 || err == m.refusal));
    ASSERT(err != 0 || !o.has_session || o.session_ack < o.session_seq);
}

/* Bytes that come in pieces of growing size end where they end at once. */
static void fuzz_scan_pieces(struct bytes input, int whole_err, size_t whole_bytes)
{
    struct wire_scan s;
    int err = WIRE_MORE;
    wire_scan_init(&s, &fuzz_limits);
    for (size_t have = 1, step = 1; err == WIRE_MORE; have += step, step = step % 7 + 1) {
        err = wire_scan_more(&s, bytes_of(input.data, NUM_MIN(have, input.size)));
        if (have >= input.size) {
            break;
        }
    }
    ASSERT(err == whole_err);
    ASSERT(err != 0 || s.at == whole_bytes);
}

static void fuzz_decode(struct wire_decoder *d, struct bytes message)
{
    struct alloc heap = alloc_heap();
    struct wire_node root;
    struct buf first;
    struct buf second;
    int err = wire_decode(d, message, &root);
    ASSERT(err <= 0);
    if (err != 0) {
        return;
    }
    buf_init(&first, &heap, 16 * FUZZ_MESSAGE_BYTES_MAX);
    buf_init(&second, &heap, 16 * FUZZ_MESSAGE_BYTES_MAX);
    fuzz_read_rpc(root);
    (void)wire_node_check_map(root, 64);
    fuzz_write_again(&first, root);
    ASSERT(first.err == 0);
    if (first.size <= FUZZ_MESSAGE_BYTES_MAX) {
        ASSERT(wire_decode(d, buf_view(&first), &root) == 0);
        fuzz_write_again(&second, root);
        ASSERT(bytes_equal(buf_view(&first), buf_view(&second)));
    }
    buf_release(&first);
    buf_release(&second);
}

void fuzz_message(struct bytes input)
{
    struct alloc heap = alloc_heap();
    struct wire_decoder *d;
    size_t bytes = 0;
    if (input.size == 0 || wire_decoder_new(&heap, &fuzz_limits, &d) != 0) {
        return;
    }
    int err = wire_scan(input, &fuzz_limits, &bytes);
    ASSERT(err == 0 || err == WIRE_MORE || err == ERR_PROTOCOL || err == ERR_TOO_LARGE);
    ASSERT(err != 0 || (bytes > 0 && bytes <= input.size));
    fuzz_scan_pieces(input, err, bytes);
    fuzz_decode(d, input);
    if (err == 0) {
        fuzz_decode(d, bytes_of(input.data, bytes));
    } else {
        struct wire_node root;
        ASSERT(wire_decode(d, input, &root) != 0);
    }
    wire_decoder_free(d);
}

struct wire_frame_expect fuzz_expect(void)
{
    struct wire_frame_expect e = {.self = 3, .level_max = WIRE_FRAME_LEVEL, .body_bytes_max = 4096};
    memset(e.cluster, 0xc5, sizeof(e.cluster));
    return e;
}

static void fuzz_frame_once(struct bytes input)
{
    struct wire_frame_expect expect = fuzz_expect();
    struct wire_frame whole = {0};
    struct wire_frame part = {0};
    int err = wire_frame_parse(&expect, input, &whole);
    ASSERT(err == WIRE_MORE || err <= 0);
    if (err == 0) {
        ASSERT(whole.total_bytes <= input.size);
        ASSERT(whole.body.size <= expect.body_bytes_max);
        ASSERT(whole.header.destination == expect.self);
    }
    for (size_t have = 0; have < input.size; have += 1 + have / 8) {
        int part_err = wire_frame_parse(&expect, bytes_of(input.data, have), &part);
        ASSERT(part_err == WIRE_MORE || part_err == err);
    }
}

void fuzz_frame(struct bytes input)
{
    uint8_t copy[8192];
    size_t bytes = NUM_MIN(input.size, sizeof(copy));
    fuzz_frame_once(input);
    if (bytes < WIRE_FRAME_HEADER_BYTES) {
        return;
    }
    /* again with a header whose CRC is right, for what lies behind that check */
    memcpy(copy, input.data, bytes);
    num_put_u32(copy + 60, crc_of(copy, 60));
    fuzz_frame_once(bytes_of(copy, bytes));
}
