/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A request is of one consistency (scenario C50): methods kv.* know strong keys alone, crdt.*
 * eventual ones; what is of both is refused as a whole, and the operation named.
 */
#include "ev_client.h"

static const struct top hit = {
    .name = "k", .types = {WIRE_CRDT_PN_COUNTER}, .verb = WIRE_CRDT_ADD, .amount = 1};
static const struct top hits = {.name = "k", .types = {WIRE_CRDT_PN_COUNTER}};

static bool there(unsigned i, struct top what, struct wire_node *result)
{
    bool found = false;
    ck_assert_int_eq(read_with(i, &plain, what, NULL, result), 0);
    ck_assert_int_eq(wire_node_bool(wire_node_find(item_of(*result, 0), "found"), &found), 0);
    return found;
}

START_TEST(a_strong_and_an_eventual_key_of_one_name_are_two)
{
    struct wire_node result;
    begin(3);
    ck_assert_int_eq(update_one(1, hit), 0);
    for (unsigned i = 1; i <= 3; i++) { /* for kv.* there is no such key */
        ck_assert_int_eq(rig_call(r, i, "kv.get", "s:default|s:k", &result), 0);
        ck_assert(wire_node_is_nil(result));
    }
    ck_assert_int_eq(rig_call(r, 1, "kv.delete", "s:default|s:k", &result), 0);
    ck_assert(field(result, "deleted") == 0);
    ck_assert_int_eq(rig_call(r, 2, "kv.cas", "s:default|s:k|s:1|s:2", NULL), ERR_CONFLICT);
    ck_assert_int_eq(rig_call(r, 2, "kv.scan", "s:default|s:|n:|u:0", &result), 0);
    ck_assert_uint_eq(wire_node_count(wire_node_find(result, "items")), 0);
    ck_assert_int_eq(rig_call(r, 2, "kv.incr", "s:default|s:k|i:40", &result), 0);
    ck_assert_uint_eq(field(result, "value"), 40);
    rig_run(r, 1000000);
    ck_assert_int_eq(counter(2, "k", WIRE_CRDT_PN_COUNTER), 1);
    ck_assert_int_eq(rig_call(r, 3, "kv.put", "s:default|s:other|s:text", NULL), 0);
    struct top other = hits;
    other.name = "other";
    ck_assert(!there(3, other, &result)); /* nor for crdt.* the other way round */
    end();
}
END_TEST

/* What stands in the place of an operation. */
static void pack_foreign(struct buf *out, unsigned way)
{
    switch (way) {
    case 0: /* a request of its own */
        (void)wire_pack_array(out, 4);
        (void)wire_pack_text(out, "kv.put");
        (void)wire_pack_text(out, "default");
        (void)wire_pack_text(out, "k");
        (void)wire_pack_text(out, "strong");
        break;
    case 1:
        (void)wire_pack_map(out, 3);
        (void)wire_pack_text(out, "method");
        (void)wire_pack_text(out, "kv.put");
        (void)wire_pack_text(out, "name");
        (void)wire_pack_text(out, "k");
        (void)wire_pack_text(out, "value");
        (void)wire_pack_text(out, "strong");
        break;
    case 2: /* an eventual key has a path, which says of what type it is */
        (void)wire_pack_map(out, 4);
        (void)wire_pack_text(out, "name");
        (void)wire_pack_text(out, "k");
        (void)wire_pack_text(out, "path");
        (void)wire_pack_nil(out);
        (void)wire_pack_text(out, "verb");
        (void)wire_pack_u64(out, WIRE_CRDT_SET);
        (void)wire_pack_text(out, "value");
        (void)wire_pack_text(out, "strong");
        break;
    case 3: /* a verb of another method */
        (void)wire_pack_map(out, 4);
        (void)wire_pack_text(out, "name");
        (void)wire_pack_text(out, "k");
        (void)wire_pack_text(out, "path");
        pack_path(out, &hit);
        (void)wire_pack_text(out, "verb");
        (void)wire_pack_text(out, "kv.put");
        (void)wire_pack_text(out, "value");
        (void)wire_pack_text(out, "strong");
        break;
    default: (void)wire_pack_text(out, "kv.delete"); break;
    }
}

#define WAYS 5u

/* at: of the foreign one among three. */
static uint32_t ask_mixed(unsigned way, uint32_t at, const struct topts *t)
{
    struct buf out;
    request(&out, "crdt.update", 2);
    (void)wire_pack_text(&out, "default");
    (void)wire_pack_array(&out, 3);
    for (uint32_t i = 0; i < 3; i++) {
        if (i == at) {
            pack_foreign(&out, way);
        } else {
            pack_op(&out, &hit);
        }
    }
    pack_options(&out, t);
    return send(1, &out);
}

START_TEST(a_batch_with_an_operation_of_another_method_is_refused_and_it_is_named)
{
    struct wire_node hint;
    struct wire_node result;
    begin(3);
    struct topts t = {.session = open_own(1), .sequence = 1};
    for (unsigned way = 0; way < WAYS; way++) {
        for (uint32_t at = 0; at < 3; at++) {
            ck_assert_int_eq(answer(ask_mixed(way, at, &plain), &plain, &hint), ERR_INVALID);
            ck_assert(!wire_node_is_nil(wire_node_find(hint, WIRE_FIELD_OPERATION)));
            ck_assert_uint_eq(field(hint, WIRE_FIELD_OPERATION), at);
            ck_assert_int_eq(answer(ask_mixed(way, at, &t), &t, &hint), ERR_INVALID);
            ck_assert_uint_eq(field(hint, WIRE_FIELD_OPERATION), at);
        }
    }
    rig_run(r, 2000000);
    for (unsigned i = 1; i <= 3; i++) { /* nothing of any of them was done */
        ck_assert(!there(i, hits, &result));
        ck_assert_int_eq(rig_call(r, i, "kv.get", "s:default|s:k", &result), 0);
        ck_assert(wire_node_is_nil(result));
    }
    ck_assert_int_eq(update(1, &t, &hit, 1), 0); /* nor is the sequence used up */
    ck_assert_int_eq(counter(1, "k", WIRE_CRDT_PN_COUNTER), 1);
    end();
}
END_TEST

static int kv_with_ops(const char *method, uint32_t params, bool as_value)
{
    struct buf out;
    request(&out, method, params);
    (void)wire_pack_text(&out, "default");
    for (uint32_t i = 2; i < params; i++) {
        (void)wire_pack_text(&out, "k");
    }
    if (as_value) {
        pack_op(&out, &hit);
    } else {
        (void)wire_pack_array(&out, 1);
        pack_op(&out, &hit);
    }
    pack_options(&out, &plain);
    struct wire_node result;
    return answer(send(1, &out), &plain, &result);
}

START_TEST(so_is_a_strong_request_with_an_eventual_operation_in_it)
{
    struct wire_node result;
    begin(3);
    for (unsigned way = 0; way < 2; way++) {
        ck_assert_int_eq(kv_with_ops("kv.get", 2, way == 0), ERR_INVALID);
        ck_assert_int_eq(kv_with_ops("kv.delete", 2, way == 0), ERR_INVALID);
        ck_assert_int_eq(kv_with_ops("kv.put", 3, way == 0), ERR_INVALID);
        ck_assert_int_eq(kv_with_ops("kv.incr", 3, way == 0), ERR_INVALID);
        ck_assert_int_eq(kv_with_ops("kv.cas", 4, way == 0), ERR_INVALID);
        ck_assert_int_eq(kv_with_ops("kv.put", 4, way == 0), ERR_INVALID); /* one too many */
        ck_assert_int_eq(kv_with_ops("kv.txn", 2, way == 0),
                         ERR_UNKNOWN_METHOD); /* there is none */
    }
    ck_assert(!there(1, hits, &result));
    ck_assert_int_eq(rig_call(r, 1, "kv.get", "s:default|s:k", &result), 0);
    ck_assert(wire_node_is_nil(result));
    end();
}
END_TEST

UNIT_MAIN("ev_apart_from_kv", a_strong_and_an_eventual_key_of_one_name_are_two,
          a_batch_with_an_operation_of_another_method_is_refused_and_it_is_named,
          so_is_a_strong_request_with_an_eventual_operation_in_it)
