/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * MessagePack-RPC: envelopes, parameters, options, errors.
 */
#include "base/err.h"
#include "tests/unit/unit.h"
#include "wire/api.h"
#include "wire/rpc.h"

#include <string.h>

static const struct wire_scan_limits limits = {
    .bytes_max = 1 << 20, .items_max = 20000, .depth_max = 16};

static struct wire_decoder *decoder;
static struct buf out;
static struct wire_node root;
static struct wire_rpc m;

static void begin(void)
{
    struct alloc heap = alloc_heap();
    ck_assert_int_eq(wire_decoder_new(&heap, &limits, &decoder), 0);
    buf_init(&out, &heap, 1 << 20);
}

static void end(void)
{
    wire_decoder_free(decoder);
    buf_release(&out);
}

/* Reads what is in out. */
static int read_out(void)
{
    ck_assert_int_eq(out.err, 0);
    ck_assert_int_eq(wire_decode(decoder, buf_view(&out), &root), 0);
    return wire_rpc_of(root, &m);
}

static int read_raw(const char *data, size_t size)
{
    ck_assert_int_eq(wire_decode(decoder, bytes_of(data, size), &root), 0);
    return wire_rpc_of(root, &m);
}

START_TEST(a_request_has_exactly_the_bytes_of_the_specification)
{
    begin();
    ck_assert_int_eq(wire_pack_request(&out, 300, "kv.get", 2), 0);
    (void)wire_pack_text(&out, "s");
    (void)wire_pack_map(&out, 0);
    ck_assert_uint_eq(out.size, 1 + 1 + 3 + 7 + 1 + 2 + 1);
    ck_assert_mem_eq(out.data, "\x94\x00\xcd\x01\x2c\xa6kv.get\x92\xa1s\x80", out.size);
    buf_clear(&out);
    ck_assert_int_eq(wire_pack_notification(&out, "kv.event", 0), 0);
    ck_assert_mem_eq(out.data, "\x93\x02\xa8kv.event\x90", out.size);
    buf_clear(&out);
    ck_assert_int_eq(wire_pack_result(&out, 7), 0);
    ck_assert_mem_eq(out.data, "\x94\x01\x07\xc0", out.size);
    end();
}
END_TEST

START_TEST(a_request_is_read_with_parameters_and_options_apart)
{
    struct bytes v = {0};
    uint64_t u = 0;
    int64_t s = 0;
    begin();
    (void)wire_pack_request(&out, UINT32_MAX, WIRE_METHOD_KV_INCR, 4);
    (void)wire_pack_bin(&out, bytes_of_text("space"));
    (void)wire_pack_text(&out, "key");
    (void)wire_pack_i64(&out, -4);
    (void)wire_pack_map(&out, 1);
    (void)wire_pack_text(&out, "deadline_ms");
    (void)wire_pack_u64(&out, 250);
    ck_assert_int_eq(read_out(), 0);
    ck_assert_int_eq(m.type, WIRE_REQUEST);
    ck_assert_uint_eq(m.msgid, UINT32_MAX);
    ck_assert(wire_rpc_is(&m, WIRE_METHOD_KV_INCR));
    ck_assert(!wire_rpc_is(&m, WIRE_METHOD_KV_PUT));
    ck_assert_uint_eq(m.params_count, 3);
    ck_assert_int_eq(wire_params_check(&m, 3, 3), 0);
    ck_assert_int_eq(wire_params_check(&m, 4, 5), ERR_INVALID);
    ck_assert_int_eq(wire_params_check(&m, 0, 2), ERR_INVALID);
    ck_assert_int_eq(wire_param_bytes(&m, 0, 5, &v), 0);
    ck_assert(bytes_equal(v, bytes_of_text("space")));
    ck_assert_int_eq(wire_param_bytes(&m, 1, 2, &v), ERR_TOO_LARGE);
    ck_assert_int_eq(wire_param_i64(&m, 2, &s), 0);
    ck_assert_int_eq(s, -4);
    ck_assert_int_eq(wire_param_u64(&m, 2, &u), ERR_INVALID); /* attack 7 */
    ck_assert_int_eq(wire_param_u64(&m, 1, &u), ERR_INVALID); /* attack 6 */
    ck_assert_int_eq(wire_param_bytes(&m, 3, 99, &v), ERR_INVALID);
    ck_assert_int_eq(wire_option_u64(&m, "deadline_ms", &u), 0);
    ck_assert_uint_eq(u, 250);
    end();
}
END_TEST

START_TEST(nil_and_a_missing_parameter_are_absent)
{
    bool present = true;
    struct bytes v = {0};
    uint64_t u = 0;
    begin();
    ck_assert_int_eq(read_raw("\x94\x00\x01\xa1m\x93\xc0\xa1x\x07", 10), 0);
    ck_assert_int_eq(wire_param_bytes_or_nil(&m, 0, 9, &present, &v), 0);
    ck_assert(!present);
    ck_assert_int_eq(wire_param_bytes_or_nil(&m, 1, 9, &present, &v), 0);
    ck_assert(present && v.size == 1);
    ck_assert_int_eq(wire_param_bytes_or_nil(&m, 2, 9, &present, &v), ERR_INVALID);
    ck_assert_int_eq(wire_param_u64_or_nil(&m, 2, &present, &u), 0);
    ck_assert(present && u == 7);
    ck_assert_int_eq(wire_param_u64_or_nil(&m, 3, &present, &u), 0);
    ck_assert(!present);
    end();
}
END_TEST

START_TEST(a_client_may_leave_the_options_out)
{
    struct wire_options o;
    begin();
    ck_assert_int_eq(read_raw("\x94\x00\x01\xa1m\x91\xa1x", 8), 0);
    ck_assert_uint_eq(m.params_count, 1);
    ck_assert_int_eq(wire_options_of(&m, &o), 0);
    ck_assert(!o.has_deadline && !o.has_session && !o.stale && o.principal.size == 0);
    ck_assert_int_eq(read_raw("\x94\x00\x01\xa1m\x90", 6), 0);
    ck_assert_uint_eq(m.params_count, 0);
    end();
}
END_TEST

START_TEST(options_come_back_as_they_were_set)
{
    struct wire_options o = {.has_deadline = true,
                             .deadline_ms = 1500,
                             .has_session = true,
                             .session_id = UINT64_MAX,
                             .session_seq = 9,
                             .session_ack = 8,
                             .stale = true,
                             .principal = bytes_of_text("root")};
    struct wire_options back;
    begin();
    (void)wire_pack_request(&out, 1, "m", 1);
    ck_assert_int_eq(wire_pack_options(&out, &o), 0);
    ck_assert_int_eq(read_out(), 0);
    ck_assert_uint_eq(m.params_count, 0);
    ck_assert_int_eq(wire_options_of(&m, &back), 0);
    ck_assert(back.has_deadline && back.deadline_ms == 1500 && back.stale);
    ck_assert(back.has_session && back.session_id == UINT64_MAX);
    ck_assert(back.session_seq == 9 && back.session_ack == 8);
    ck_assert(bytes_equal(back.principal, bytes_of_text("root")));
    end();
}
END_TEST

/* attack 6 */
START_TEST(options_twice_are_an_error_and_unknown_ones_are_ignored)
{
    struct wire_options o;
    struct bytes v;
    begin();
    ck_assert_int_eq(read_raw("\x94\x00\x01\xa1m\x92\xa1k\x82\xa1z\x01\xa1z\x02", 15), 0);
    ck_assert_uint_eq(m.msgid, 1); /* known, so that the answer finds its request */
    ck_assert_int_eq(m.refusal, ERR_PROTOCOL);
    ck_assert_int_eq(wire_options_of(&m, &o), ERR_PROTOCOL);
    ck_assert_int_eq(wire_param_bytes(&m, 0, 9, &v), ERR_PROTOCOL);
    ck_assert_int_eq(wire_params_check(&m, 1, 1), ERR_PROTOCOL);
    ck_assert_int_eq(read_raw("\x94\x00\x01\xa1m\x91\x82\xa1y\x01\xa1z\x02", 13), 0);
    ck_assert_int_eq(wire_options_of(&m, &o), 0);
    ck_assert_int_eq(read_raw("\x94\x00\x01\xa1m\x91\x81\x05\x01", 9), 0);
    ck_assert_int_eq(wire_options_of(&m, &o), ERR_INVALID);
    end();
}
END_TEST

static int options_with(const char *name, const char *value, size_t value_bytes)
{
    struct wire_options o;
    buf_clear(&out);
    (void)wire_pack_request(&out, 1, "m", 1);
    (void)wire_pack_map(&out, 1);
    (void)wire_pack_text(&out, name);
    (void)buf_append(&out, value, value_bytes);
    ck_assert_int_eq(read_out(), 0);
    return wire_options_of(&m, &o);
}

/* attacks 6, 7 */
START_TEST(options_of_the_wrong_type_are_refused)
{
    begin();
    ck_assert_int_eq(options_with("deadline_ms", "\xff", 1), ERR_INVALID);
    ck_assert_int_eq(options_with("deadline_ms", "\xa1x", 2), ERR_INVALID);
    ck_assert_int_eq(options_with("deadline_ms", "\xc0", 1), 0);
    ck_assert_int_eq(options_with("session", "\x93\x01\x01\x00", 4), 0);
    ck_assert_int_eq(options_with("session", "\x92\x01\x01", 3), ERR_INVALID);
    ck_assert_int_eq(options_with("session", "\x93\x01\x00\x00", 4), ERR_INVALID);
    ck_assert_int_eq(options_with("session", "\x93\x01\x01\x01", 4), ERR_INVALID);
    ck_assert_int_eq(options_with("session", "\x93\xff\x01\x00", 4), ERR_INVALID);
    ck_assert_int_eq(options_with("session", "\x05", 1), ERR_INVALID);
    ck_assert_int_eq(options_with("level", "\xa5stale", 6), 0);
    ck_assert_int_eq(options_with("level", "\xa5stalk", 6), ERR_INVALID);
    ck_assert_int_eq(options_with("level", "\x01", 1), ERR_INVALID);
    ck_assert_int_eq(options_with("principal", "\x01", 1), ERR_INVALID);
    end();
}
END_TEST

START_TEST(single_options_are_read_by_name)
{
    bool truth = false;
    struct bytes v = {0};
    uint64_t u = 42;
    begin();
    ck_assert_int_eq(read_raw("\x94\x00\x01\xa1m\x91\x82\xa1t\xc3\xa1s\xa2hi", 15), 0);
    ck_assert_int_eq(wire_option_bool(&m, "t", &truth), 0);
    ck_assert(truth);
    ck_assert_int_eq(wire_option_bytes(&m, "s", 2, &v), 0);
    ck_assert_uint_eq(v.size, 2);
    ck_assert_int_eq(wire_option_bytes(&m, "s", 1, &v), ERR_TOO_LARGE);
    ck_assert_int_eq(wire_option_u64(&m, "absent", &u), 0);
    ck_assert_uint_eq(u, 42);
    ck_assert_int_eq(wire_option_bool(&m, "s", &truth), ERR_INVALID);
    end();
}
END_TEST

START_TEST(what_is_no_message_is_refused)
{
    static const struct {
        const char *raw;
        size_t size;
    } rows[] = {
        {"\xc0", 1},
        {"\x80", 1},
        {"\x90", 1},
        {"\x94\x03\x01\xa1m\x90", 6},                  /* no such type */
        {"\x94\xff\x01\xa1m\x90", 6},                  /* attack 7 */
        {"\x94\x00\xff\xa1m\x90", 6},                  /* negative msgid */
        {"\x94\x00\xcf\0\0\0\1\0\0\0\0\xa1m\x90", 14}, /* msgid of 33 bits */
        {"\x94\x00\xa1x\xa1m\x90", 7},                 /* msgid is a string */
        {"\x94\x00\x01\x05\x90", 5},                   /* method is a number */
        {"\x94\x00\x01\xa0\x90", 5},                   /* method is empty */
        {"\x94\x00\x01\xa1m\x80", 6},                  /* params are a map */
        {"\x93\x00\x01\xa1m", 5},                      /* no params */
        {"\x95\x00\x01\xa1m\x90\xc0", 7},              /* too long */
        {"\x93\x01\x01\xc0", 4},                       /* response without result */
        {"\x92\x02\xa1m", 4},                          /* notification without params */
        {"\x94\x02\x01\xa1m\x90", 6},                  /* notification with msgid */
    };
    begin();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_msg(read_raw(rows[i].raw, rows[i].size) == ERR_PROTOCOL, "row %zu", i);
    }
    char method[80] = "\x94\x00\x01\xd9\x41";
    memset(method + 5, 'm', 65);
    method[70] = (char)0x90;
    ck_assert_int_eq(read_raw(method, 71), ERR_PROTOCOL);
    end();
}
END_TEST

START_TEST(an_error_carries_code_name_message_and_hint)
{
    struct wire_hint hints[] = {{"leader", {0}, 3}, {"endpoint", bytes_of_text("h:1"), 0}};
    struct wire_error e;
    uint64_t leader = 0;
    struct bytes endpoint = {0};
    begin();
    ck_assert_int_eq(
        wire_pack_failure(
            &out, 5,
            &(struct wire_failure){.code = ERR_NOT_LEADER, .hints = hints, .hints_count = 2}),
        0);
    ck_assert_int_eq(read_out(), 0);
    ck_assert_int_eq(m.type, WIRE_RESPONSE);
    ck_assert_uint_eq(m.msgid, 5);
    ck_assert(wire_node_is_nil(m.result));
    wire_error_of(m.error, &e);
    ck_assert_int_eq(e.code, ERR_NOT_LEADER);
    ck_assert(bytes_equal(e.name, bytes_of_text("NOT_LEADER")));
    ck_assert(bytes_equal(e.message, bytes_of_text(err_text(ERR_NOT_LEADER))));
    ck_assert_int_eq(wire_node_u64(wire_node_find(e.hint, "leader"), &leader), 0);
    ck_assert_uint_eq(leader, 3);
    ck_assert_int_eq(wire_node_bytes(wire_node_find(e.hint, "endpoint"), 99, &endpoint), 0);
    ck_assert(bytes_equal(endpoint, bytes_of_text("h:1")));
    end();
}
END_TEST

START_TEST(every_code_travels_and_an_error_without_hint_has_nil)
{
    struct wire_error e;
    begin();
#define SEND_ROW(name_, number, text_)                                                         \
    buf_clear(&out);                                                                           \
    ck_assert_int_eq(wire_pack_failure(&out, 1, &(struct wire_failure){.code = (number)}), 0); \
    ck_assert_int_eq(read_out(), 0);                                                           \
    wire_error_of(m.error, &e);                                                                \
    ck_assert_int_eq(e.code, number);                                                          \
    ck_assert(wire_node_is_nil(e.hint));
    ERR_MAP(SEND_ROW)
#undef SEND_ROW
    end();
}
END_TEST

START_TEST(errors_of_another_shape_are_readable)
{
    struct wire_error e;
    begin();
    ck_assert_int_eq(read_raw("\x94\x01\x01\xa4oops\xc0", 9), 0);
    wire_error_of(m.error, &e);
    ck_assert_int_eq(e.code, ERR_PROTOCOL);
    ck_assert(bytes_equal(e.message, bytes_of_text("oops")));
    ck_assert_int_eq(read_raw("\x94\x01\x01\x91\x05\xc0", 6), 0); /* a code above 0 */
    wire_error_of(m.error, &e);
    ck_assert_int_eq(e.code, ERR_PROTOCOL);
    ck_assert_int_eq(read_raw("\x94\x01\x01\xc3\xc0", 5), 0);
    wire_error_of(m.error, &e);
    ck_assert_int_eq(e.code, ERR_PROTOCOL);
    end();
}
END_TEST

START_TEST(a_full_buffer_stops_every_pack)
{
    struct alloc heap = alloc_heap();
    struct buf small;
    buf_init(&small, &heap, 64);
    for (unsigned i = 0; i < 100; i++) {
        (void)wire_pack_request(&small, i, "method", 0);
    }
    ck_assert_int_eq(small.err, ERR_TOO_LARGE);
    ck_assert_int_eq(wire_pack_nil(&small), ERR_TOO_LARGE);
    ck_assert_int_eq(wire_pack_failure(&small, 1, &(struct wire_failure){.code = ERR_BUSY}),
                     ERR_TOO_LARGE);
    ck_assert_uint_le(small.size, 64);
    buf_release(&small);
}
END_TEST

UNIT_MAIN("wire_rpc", a_request_has_exactly_the_bytes_of_the_specification,
          a_request_is_read_with_parameters_and_options_apart,
          nil_and_a_missing_parameter_are_absent, a_client_may_leave_the_options_out,
          options_come_back_as_they_were_set,
          options_twice_are_an_error_and_unknown_ones_are_ignored,
          options_of_the_wrong_type_are_refused, single_options_are_read_by_name,
          what_is_no_message_is_refused, an_error_carries_code_name_message_and_hint,
          every_code_travels_and_an_error_without_hint_has_nil,
          errors_of_another_shape_are_readable, a_full_buffer_stops_every_pack)
