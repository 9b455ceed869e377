/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * crdt.update of several operations: what a refusal says of them, and where those of several
 * callers are taken.
 */
#include "../unit.h"
#include "ev_nodes.h"

#include "server/node/eventual_internal.h"
#include "wire/token.h"

#include <stdio.h>

/* An addition to a counter, or, if it is a text, to a set. */
struct top {
    const char *name;
    const char *element;
    int64_t amount;
};

static struct rig *r;

static void begin(unsigned nodes)
{
    r = rig_new(nodes);
    ck_assert(ev_ready(r));
}

static void pack_op(struct buf *out, const struct top *op)
{
    bool set = op->element != NULL;
    (void)wire_pack_map(out, 4);
    (void)wire_pack_text(out, WIRE_FIELD_NAME);
    (void)wire_pack_text(out, op->name);
    (void)wire_pack_text(out, WIRE_FIELD_PATH);
    (void)wire_pack_array(out, 1);
    (void)wire_pack_u64(out, set ? WIRE_CRDT_AW_SET : WIRE_CRDT_PN_COUNTER);
    (void)wire_pack_text(out, WIRE_FIELD_VERB);
    (void)wire_pack_u64(out, WIRE_CRDT_ADD);
    (void)wire_pack_text(out, set ? WIRE_FIELD_VALUE : WIRE_FIELD_AMOUNT);
    (void)(set ? wire_pack_text(out, op->element) : wire_pack_i64(out, op->amount));
}

/* hint: of a refusal. */
static int update(unsigned node, const struct wire_options *o, const struct top *ops,
                  unsigned count, struct wire_node *hint)
{
    struct buf out;
    uint32_t msgid = ++r->next_msgid;
    int code = 1;
    buf_init(&out, &r->heap, 1u << 20);
    (void)wire_pack_request(&out, msgid, WIRE_METHOD_CRDT_UPDATE, 3);
    (void)wire_pack_text(&out, "default");
    (void)wire_pack_array(&out, count);
    for (unsigned i = 0; i < count; i++) {
        pack_op(&out, &ops[i]);
    }
    (void)wire_pack_options(&out, o);
    ck_assert_int_eq(out.err, 0);
    rig_send(r, node, buf_view(&out));
    buf_release(&out);
    for (unsigned tries = 0; tries < 8000 && code == 1; tries++) {
        rig_run(r, 2000);
        code = rig_answer(r, msgid, hint);
    }
    return code;
}

static uint64_t number(struct wire_node hint, const char *name)
{
    uint64_t v = UINT64_MAX;
    (void)wire_node_u64(wire_node_find(hint, name), &v);
    return v;
}

static const struct wire_options usual = {.copies = 1};

START_TEST(a_refusal_of_several_operations_names_the_one_that_it_is_about)
{
    struct wire_node hint;
    static const struct top most = {"c", NULL, INT64_MAX};
    static const struct top types[] = {{"a", NULL, 1}, {"b", NULL, 1}, {"c", "x", 0}};
    static const struct top full[] = {{"a", NULL, 1}, {"c", NULL, 1}, {"b", NULL, 1}};
    static const struct top twice[] = {{"n", NULL, 1}, {"n", "x", 0}, {"b", NULL, 1}};
    static const struct top empty[] = {{"a", NULL, 1}, {"b", NULL, 1}, {"s", "", 0}};
    begin(3);
    ck_assert_int_eq(update(1, &usual, &most, 1, &hint), 0);
    ck_assert_int_eq(update(1, &usual, types, 3, &hint), ERR_WRONG_TYPE);
    ck_assert_uint_eq(number(hint, WIRE_FIELD_OPERATION), 2);
    ck_assert_int_eq(update(1, &usual, full, 3, &hint), ERR_OVERFLOW);
    ck_assert_uint_eq(number(hint, WIRE_FIELD_OPERATION), 1);
    ck_assert_int_eq(update(1, &usual, twice, 3, &hint), ERR_WRONG_TYPE);
    ck_assert_uint_eq(number(hint, WIRE_FIELD_OPERATION), 1);
    ck_assert_int_eq(update(1, &usual, empty, 3, &hint), ERR_INVALID);
    ck_assert_uint_eq(number(hint, WIRE_FIELD_OPERATION), 2);
    ck_assert_int_eq(update(1, &usual, &full[1], 1, &hint), ERR_OVERFLOW);
    ck_assert_uint_eq(number(hint, WIRE_FIELD_OPERATION), UINT64_MAX); /* it is alone */
    ck_assert_int_eq(update(1, &usual, full, 1, &hint), 0); /* nothing of them was done */
    rig_free(r);
}
END_TEST

static bool owns(unsigned node, uint8_t region)
{
    uint32_t owners[NODE_EV_OWNERS_MAX];
    bool self = false;
    (void)node_ev_owners(ev_node(r, node), region, owners, &self);
    return self;
}

/* The first of the names x0, x1 and so on from *at that node 1 owns, or does not. */
static void name_of(bool owned, unsigned *at, char name[16])
{
    do {
        (void)snprintf(name, 16, "x%u", (*at)++);
    } while (owns(1, node_ev_region(bytes_of_text(name))) != owned);
}

START_TEST(operations_of_several_callers_are_taken_where_all_of_the_keys_are)
{
    struct wire_node hint;
    struct wire_node result;
    char name[3][16];
    unsigned at = 0;
    struct wire_options o = {.has_session = true, .session_seq = 1, .copies = 1, .apart = true};
    begin(6);
    name_of(true, &at, name[0]);
    name_of(true, &at, name[1]);
    name_of(false, &at, name[2]);
    const struct top ops[3] = {{name[0], NULL, 1}, {name[1], NULL, 1}, {name[2], NULL, 1}};
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_SESSION_OPEN, "u:64", &result), 0);
    o.session_id = number(result, WIRE_FIELD_SESSION);
    ck_assert_int_eq(update(1, &o, ops, 3, &hint), ERR_NOT_LEADER);
    ck_assert_uint_eq(number(hint, WIRE_FIELD_OPERATION), 2);
    uint64_t leader = number(hint, WIRE_FIELD_LEADER);
    ck_assert(leader >= 2 && leader <= 6);
    ck_assert(owns((unsigned)leader, node_ev_region(bytes_of_text(name[2]))));
    uint64_t regions = number(hint, WIRE_FIELD_REGIONS);
    for (uint8_t i = 0; i < NODE_EV_REGIONS; i++) {
        ck_assert((regions >> i & 1) == owns(1, i));
    }
    ck_assert_int_eq(update(1, &o, ops, 2, &hint), 0); /* nothing was done under the sequence */
    o.session_seq = 2;
    o.apart = false; /* of one caller: as it likes */
    ck_assert_int_eq(update(1, &o, ops, 3, &hint), 0);
    rig_free(r);
}
END_TEST

/* returns: how many nodes own both. */
static unsigned owners_of_both(const char *a, const char *b)
{
    unsigned count = 0;
    for (unsigned i = 1; i <= r->nodes_count; i++) {
        count +=
            owns(i, node_ev_region(bytes_of_text(a))) && owns(i, node_ev_region(bytes_of_text(b)));
    }
    return count;
}

START_TEST(copies_are_counted_for_each_region_among_its_own_owners)
{
    struct wire_node result;
    char name[2][16];
    unsigned at = 0;
    begin(6);
    name_of(true, &at, name[0]);
    do {
        name_of(true, &at, name[1]);
    } while (owners_of_both(name[0], name[1]) == NODE_EV_OWNERS_MAX);
    ck_assert_uint_lt(owners_of_both(name[0], name[1]), NODE_EV_OWNERS_MAX);
    const struct top ops[2] = {{name[0], NULL, 1}, {name[1], NULL, 1}};
    const struct wire_options o = {
        .copies = NODE_EV_OWNERS_MAX, .has_budget = true, .budget_ms = 5000};
    ck_assert_int_eq(update(1, &o, ops, 2, &result), 0);
    ck_assert_uint_eq(number(result, WIRE_FIELD_COPIES), NODE_EV_OWNERS_MAX);
    rig_free(r);
}
END_TEST

START_TEST(a_write_that_is_handed_over_names_the_node_that_made_it)
{
    struct wire_node result;
    struct bytes raw = {0};
    struct wire_token token;
    char name[16];
    unsigned at = 0;
    begin(6);
    name_of(false, &at, name);
    const struct top op = {name, "a", 0};
    const struct wire_options o = {.copies = 1, .has_token = true};
    for (unsigned again = 0; again < 2; again++) {
        ck_assert_int_eq(update(1, &o, &op, 1, &result), 0);
        ck_assert(
            owns((unsigned)number(result, WIRE_FIELD_NODE), node_ev_region(bytes_of_text(name))));
    }
    ck_assert_int_eq(wire_node_bytes(wire_node_find(result, WIRE_FIELD_TOKEN), 4096, &raw), 0);
    wire_token_init(&token, &r->heap);
    ck_assert_int_eq(wire_token_decode(&token, raw), 0);
    ck_assert_uint_eq(token.ranges_count, 1);
    ck_assert_uint_eq(token.ranges[0].node, number(result, WIRE_FIELD_NODE));
    wire_token_release(&token);
    rig_free(r);
}
END_TEST

UNIT_MAIN("ev_apart", a_refusal_of_several_operations_names_the_one_that_it_is_about,
          operations_of_several_callers_are_taken_where_all_of_the_keys_are,
          copies_are_counted_for_each_region_among_its_own_owners,
          a_write_that_is_handed_over_names_the_node_that_made_it)
