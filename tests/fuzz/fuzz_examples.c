/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Good messages: a request of each method, and answers of each shape.
 */
#include "tests/fuzz/fuzz_wire.h"

#include "base/err.h"
#include "wire/api.h"
#include "wire/rpc.h"

#include <string.h>

/* s: str, b: bin, u: number, i: negative number, 0: nil, r: 32 bytes, o: the options */
static const struct {
    const char *method;
    const char *params;
} fuzz_requests[] = {
    {WIRE_METHOD_HELLO, "o"},
    {WIRE_METHOD_TOPOLOGY, ""},
    {WIRE_METHOD_STATUS, "o"},
    {WIRE_METHOD_SESSION_OPEN, "uo"},
    {WIRE_METHOD_SESSION_CLOSE, "uuo"},
    {WIRE_METHOD_KV_PUT, "sbbo"},
    {WIRE_METHOD_KV_GET, "sbo"},
    {WIRE_METHOD_KV_DELETE, "sbo"},
    {WIRE_METHOD_KV_CAS, "sb0bo"},
    {WIRE_METHOD_KV_CAS, "sbb0o"},
    {WIRE_METHOD_KV_INCR, "sbio"},
    {WIRE_METHOD_KV_SCAN, "sb0uo"},
    {WIRE_METHOD_KV_WATCH, "sbuo"},
    {WIRE_METHOD_KV_UNWATCH, "uo"},
    {WIRE_METHOD_BUCKET_CREATE, "suuo"},
    {WIRE_METHOD_BUCKET_LIST, "o"},
    {WIRE_METHOD_BUCKET_REMOVE, "so"},
    {WIRE_METHOD_OBJECT_PUT, "ss0o"},
    {WIRE_METHOD_OBJECT_PART, "uubuo"},
    {WIRE_METHOD_OBJECT_COMMIT, "uuro"},
    {WIRE_METHOD_OBJECT_ABORT, "uo"},
    {WIRE_METHOD_OBJECT_STAT, "sso"},
    {WIRE_METHOD_OBJECT_EXTENTS, "ssuuuo"},
    {WIRE_METHOD_OBJECT_READ, "ssuuuo"},
    {WIRE_METHOD_OBJECT_LIST, "ss0uo"},
    {WIRE_METHOD_OBJECT_REMOVE, "sso"},
    {WIRE_METHOD_OBJECT_VERIFY, "ssuo"},
};

#define FUZZ_REQUESTS (sizeof(fuzz_requests) / sizeof(fuzz_requests[0]))
#define FUZZ_ANSWERS 12u
_Static_assert(FUZZ_REQUESTS + FUZZ_ANSWERS == FUZZ_EXAMPLES, "count of examples");

static void fuzz_example_param(struct buf *out, char kind, unsigned i)
{
    static const uint8_t root[WIRE_ROOT_BYTES] = {0xfe, 0x01};
    struct wire_options o = {.has_deadline = true,
                             .deadline_ms = 5000 + i,
                             .has_session = i % 2 == 0,
                             .stale = i % 3 == 0};
    o.session_id = 77;
    o.session_seq = 70000;
    o.session_ack = 69999;
    o.principal = i % 5 == 0 ? bytes_of_text("root") : (struct bytes){0};
    switch (kind) {
    case 's': (void)wire_pack_text(out, "a name"); break;
    case 'b': (void)wire_pack_bin(out, bytes_of("\0bin\xff", 5)); break;
    case 'u': (void)wire_pack_u64(out, (uint64_t)1 << (i * 2)); break;
    case 'i': (void)wire_pack_i64(out, -((int64_t)1 << (i * 2))); break;
    case 'r': (void)wire_pack_bin(out, bytes_of(root, sizeof(root))); break;
    case 'o': (void)wire_pack_options(out, &o); break;
    default: (void)wire_pack_nil(out); break;
    }
}

static void fuzz_example_request(struct buf *out, unsigned i)
{
    const char *params = fuzz_requests[i].params;
    (void)wire_pack_request(out, i * 1000000, fuzz_requests[i].method, (uint32_t)strlen(params));
    for (; *params != '\0'; params++) {
        fuzz_example_param(out, *params, i);
    }
}

static void fuzz_example_event(struct buf *out)
{
    (void)wire_pack_notification(out, WIRE_EVENT_KV, 3);
    (void)wire_pack_u64(out, 9);
    (void)wire_pack_u64(out, 100);
    (void)wire_pack_array(out, 2);
    for (unsigned i = 0; i < 2; i++) {
        (void)wire_pack_array(out, 3);
        (void)wire_pack_u64(out, i);
        (void)wire_pack_bin(out, bytes_of_text("key"));
        (void)wire_pack_nil(out);
    }
}

static void fuzz_example_answer(struct buf *out, unsigned i)
{
    static const uint8_t block[300] = {1};
    struct wire_hint hints[] = {{WIRE_FIELD_LEADER, {0}, 3},
                                {WIRE_FIELD_ENDPOINT, bytes_of_text("127.0.0.1:7700"), 0}};
    struct wire_failure f = {
        .code = ERR_NOT_LEADER, .hints = hints, .hints_count = i < 4 ? i % 3 : 0};
    if (i < 4) {
        (void)wire_pack_failure(out, i, &f);
        return;
    }
    if (i == 4) {
        fuzz_example_event(out);
        return;
    }
    (void)wire_pack_result(out, UINT32_MAX - i);
    switch (i) {
    case 5: (void)wire_pack_nil(out); break;
    case 6: (void)wire_pack_bool(out, true); break;
    case 7: (void)wire_pack_double(out, -0.5); break;
    case 8: (void)wire_pack_bin(out, bytes_of(block, sizeof(block))); break;
    case 9: (void)wire_pack_str(out, bytes_of(block, 40)); break;
    case 10: (void)wire_pack_map(out, 0); break;
    default:
        (void)wire_pack_map(out, 2);
        (void)wire_pack_text(out, WIRE_FIELD_ITEMS);
        (void)wire_pack_array(out, 20);
        for (unsigned j = 0; j < 20; j++) {
            (void)wire_pack_i64(out, -(1 << j));
        }
        (void)wire_pack_text(out, WIRE_FIELD_MORE);
        (void)wire_pack_bool(out, false);
        break;
    }
}

void fuzz_example(struct buf *out, unsigned i)
{
    ASSERT(i < FUZZ_EXAMPLES);
    if (i < FUZZ_REQUESTS) {
        fuzz_example_request(out, i);
    } else {
        fuzz_example_answer(out, i - (unsigned)FUZZ_REQUESTS);
    }
    ASSERT(out->err == 0);
}
