/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What does not fit into one answer: pages that always go on, and values that are cut and say so.
 * The rows are made here, so that they are larger than a test would write through a node.
 */
#include "server/node/eventual_api_internal.h"
#include "server/node/eventual_ops_internal.h"
#include "tests/unit/unit.h"
#include "wire/value.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 8192u

struct table_row {
    struct buf name;
    struct buf entries; /* of a record */
    uint32_t count;
};

static struct alloc heap;
static struct table_row table[ROWS_MAX];
static unsigned table_count;
static struct node_ev_target target;
static struct buf clock_raw; /* EV_REGION */
static uint8_t ahead_raw[1u << 18];
static size_t ahead_bytes;
static struct buf reply;
static struct wire_decoder *decoder;

static void begin(void)
{
    struct wire_scan_limits limits = {.depth_max = 16, .items_max = 65536, .bytes_max = 4u << 20};
    heap = alloc_heap();
    table_count = 0;
    ahead_bytes = 0;
    target = (struct node_ev_target){.region = node_ev_region(bytes_of_text("k"))};
    buf_init(&target.memory, &heap, 1u << 16);
    ck_assert_int_eq(node_ev_key(bytes_of_text("s"), bytes_of_text("k"), &target.memory), 0);
    target.key = buf_view(&target.memory);
    buf_init(&clock_raw, &heap, 1u << 20);
    buf_init(&reply, &heap, NODE_REPLY_BYTES_MAX);
    ck_assert_int_eq(wire_decoder_new(&heap, &limits, &decoder), 0);
}

static void end(void)
{
    for (unsigned i = 0; i < table_count; i++) {
        buf_release(&table[i].name);
        buf_release(&table[i].entries);
    }
    buf_release(&target.memory);
    buf_release(&clock_raw);
    buf_release(&reply);
    wire_decoder_free(decoder);
}

static struct table_row *row_of(struct bytes name)
{
    for (unsigned i = table_count; i > 0; i--) {
        if (bytes_equal(buf_view(&table[i - 1].name), name)) {
            return &table[i - 1];
        }
    }
    ck_assert_uint_lt(table_count, ROWS_MAX);
    struct table_row *row = &table[table_count++];
    *row = (struct table_row){.count = 0};
    buf_init(&row->name, &heap, NODE_NAME_BYTES_MAX);
    buf_init(&row->entries, &heap, 1u << 20);
    ck_assert_int_eq(buf_append(&row->name, name.data, name.size), 0);
    return row;
}

/* What an actor does that has seen nothing. once: not where the record has an entry. */
static void add(const struct crdt_path *path, enum crdt_verb verb, struct bytes value,
                uint32_t node, bool once)
{
    static uint64_t dots;
    struct crdt_limits limits = crdt_limits_default();
    struct crdt_op op = {.verb = verb, .value = value, .dot = {{node, 1}, ++dots}, .time_us = 1};
    struct crdt_state none;
    struct crdt_state delta;
    struct crdt_view v;
    struct buf name;
    crdt_state_init(&none, &heap);
    crdt_state_init(&delta, &heap);
    buf_init(&name, &heap, NODE_NAME_BYTES_MAX);
    ck_assert_int_eq(crdt_delta(&none, path, &op, &limits, &delta), 0);
    ck_assert(crdt_view_first(&delta, &v));
    ck_assert_int_eq(node_ev_record_name(target.region, target.key, v.key, &name), 0);
    struct table_row *row = row_of(buf_view(&name));
    if (!once || row->count == 0) {
        row->count++;
        ck_assert_int_eq(node_ev_entry_put(&row->entries, v.dot, v.payload), 0);
    }
    buf_release(&name);
    crdt_state_release(&none);
    crdt_state_release(&delta);
}

static int by_name(const void *a, const void *b)
{
    const struct table_row *x = a;
    const struct table_row *y = b;
    return bytes_compare(buf_view(&x->name), buf_view(&y->name));
}

/* ---- a question ------------------------------------------------------------------------------ */

static void rows_add(struct node_rows *rows, struct bytes name, struct bytes value)
{
    struct node_row *row = &rows->items[rows->count++];
    *row = (struct node_row){.name_at = rows->data.size, .name_bytes = name.size};
    ck_assert_int_eq(buf_append(&rows->data, name.data, name.size), 0);
    row->value_at = rows->data.size;
    row->value_bytes = value.size;
    row->present = value.size > 0;
    ck_assert_int_eq(buf_append(&rows->data, value.data, value.size), 0);
}

static void rows_take(struct node_rows *rows, const struct node_range *range)
{
    size_t bytes = 0;
    uint32_t taken = 0;
    for (unsigned i = 0; i < table_count; i++) {
        struct bytes name = buf_view(&table[i].name);
        int order = bytes_compare(name, range->from);
        struct buf value;
        if (order < 0 || (order == 0 && range->after) || bytes_compare(name, range->to) >= 0) {
            continue;
        }
        if (taken == range->rows_max || (taken > 0 && bytes > range->bytes_max)) {
            rows->more = true;
            return;
        }
        buf_init(&value, &heap, 2u << 20);
        (void)buf_put_u8(&value, 1);
        (void)buf_put_u32(&value, table[i].count);
        (void)buf_append(&value, table[i].entries.data, table[i].entries.size);
        ck_assert_int_eq(buf_put_u32(&value, 0), 0);
        bytes += name.size + value.size;
        taken++;
        rows_add(rows, name, buf_view(&value));
        buf_release(&value);
    }
}

/* Leaves the answer in reply. returns: its error. */
static int ask(const struct node_ev_question *q)
{
    const struct node_query_op *op = node_ev_read_queries;
    struct node_query_ctx ctx = {.group = NODE_GROUP_OWN};
    struct node_range range = {0};
    struct node_keys *keys = calloc(1, sizeof *keys);
    struct node_rows rows = {.alloc = heap};
    struct buf body;
    ck_assert_ptr_nonnull(keys);
    rows.items = calloc(ROWS_MAX + 8, sizeof *rows.items);
    ck_assert_ptr_nonnull(rows.items);
    buf_init(&keys->names, &heap, 4096);
    buf_init(&rows.data, &heap, 64u << 20);
    buf_init(&body, &heap, 1u << 17);
    buf_clear(&reply);
    ck_assert_int_eq(node_ev_read_body(&target, q, &body), 0);
    ck_assert_uint_eq(op->op, NODE_QUERY_EV_READ);
    ck_assert_int_eq(op->want(buf_view(&body), keys, &range), 0);
    uint8_t name[2];
    node_ev_region_name(target.region, name);
    rows_add(&rows, bytes_of(name, 2), buf_view(&clock_raw));
    name[0] = NODE_KEY_EV_AHEAD;
    rows_add(&rows, bytes_of(name, 2), bytes_of(ahead_raw, ahead_bytes));
    rows.points_count = rows.count;
    rows_take(&rows, &range);
    int err = op->answer(&ctx, buf_view(&body), &rows, &reply);
    buf_release(&body);
    buf_release(&rows.data);
    buf_release(&keys->names);
    free(rows.items);
    free(keys);
    return err;
}

/* The pairs of a page. */
static struct wire_node page_of(void)
{
    struct bytes_reader in = bytes_reader_of(buf_view(&reply));
    static uint8_t map[NODE_REPLY_BYTES_MAX + 1];
    struct wire_node root;
    (void)bytes_take_u64(&in);
    (void)bytes_take_bytes(&in, NODE_REPLY_BYTES_MAX);
    (void)bytes_take_bytes(&in, NODE_REPLY_BYTES_MAX);
    ck_assert(!in.failed);
    map[0] = 0x82; /* a map of two pairs */
    memcpy(map + 1, in.at, in.left);
    ck_assert_int_eq(wire_decode(decoder, bytes_of(map, in.left + 1), &root), 0);
    return root;
}

/* Counts what comes page by page, each page with one at least. */
static unsigned walk(unsigned *pages)
{
    uint8_t kept[NODE_NAME_BYTES_MAX];
    struct node_ev_question q = {.mode = NODE_EV_MEMBERS, .limit = 8192};
    unsigned count = 0;
    bool more = true;
    for (*pages = 0; more; (*pages)++) {
        struct bytes next = {0};
        ck_assert_int_eq(ask(&q), 0);
        struct wire_node page = page_of();
        uint32_t items = wire_node_count(wire_node_find(page, WIRE_FIELD_ITEMS));
        ck_assert_uint_gt(items, 0);
        count += items;
        more = wire_node_bytes(wire_node_find(page, WIRE_FIELD_NEXT), sizeof kept, &next) == 0;
        if (more) {
            memcpy(kept, next.data, next.size);
            q.after = bytes_of(kept, next.size);
        }
        ck_assert_uint_lt(*pages, 100);
    }
    return count;
}

/* ---- pages ----------------------------------------------------------------------------------- */

START_TEST(a_page_ends_before_a_register_that_does_not_fit)
{
    static uint8_t value[16u << 10];
    unsigned pages = 0;
    begin();
    crdt_path_init(&target.path, CRDT_MAP);
    for (unsigned i = 0; i < 60; i++) { /* 20 fields, and 40 values of one more */
        struct crdt_path path = target.path;
        char name[8];
        bool many = i >= 20;
        memset(value, (int)(i + 1), sizeof value);
        (void)snprintf(name, sizeof name, "f%02u", many ? 20 : i);
        ck_assert_int_eq(crdt_path_push(&path, bytes_of_text(name), many ? CRDT_MV : CRDT_LWW), 0);
        add(&path, CRDT_SET, bytes_of(value, sizeof value), i + 1, false);
    }
    qsort(table, table_count, sizeof *table, by_name);
    ck_assert_uint_eq(walk(&pages), 21);
    ck_assert_uint_eq(pages, 2);
    end();
}
END_TEST

START_TEST(a_page_of_elements_leaves_room_for_what_was_seen)
{
    static struct node_ev_region region;
    struct buf ahead;
    unsigned pages = 0;
    begin();
    crdt_path_init(&target.path, CRDT_G_SET);
    for (unsigned i = 0; i < 2000; i++) {
        char element[WIRE_CRDT_ELEMENT_BYTES_MAX];
        memset(element, 'e', sizeof element);
        (void)snprintf(element, 6, "%05u", i);
        add(&target.path, CRDT_ADD, bytes_of((const uint8_t *)element, sizeof element), 1, false);
    }
    crdt_context_init(&region.seen, &heap);
    for (uint32_t i = 0; i < 4096; i++) {
        struct crdt_range range = {
            {i + 1, UINT64_C(1) << 40}, UINT64_C(1) << 50, UINT64_C(1) << 51};
        ck_assert_int_eq(crdt_context_add(&region.seen, &range), 0);
    }
    ck_assert_int_eq(node_ev_region_encode(&region, &clock_raw), 0);
    buf_init(&ahead, &heap, sizeof ahead_raw);
    ck_assert_int_eq(crdt_context_encode(&region.seen, &ahead), 0);
    memcpy(ahead_raw, ahead.data, ahead.size);
    ahead_bytes = ahead.size;
    ck_assert_uint_eq(walk(&pages), 2000);
    buf_release(&ahead);
    crdt_context_release(&region.seen);
    end();
}
END_TEST

/* ---- values ---------------------------------------------------------------------------------- */

/* An estimate in a field, with names so long that not all registers fit, then a flag. */
static void long_estimate(void)
{
    static uint8_t name[256];
    struct crdt_path path;
    memset(name, 'n', sizeof name);
    buf_clear(&target.memory);
    ck_assert_int_eq(node_ev_key(bytes_of_text("s"), bytes_of(name, sizeof name), &target.memory),
                     0);
    target.key = buf_view(&target.memory);
    target.region = node_ev_region(bytes_of(name, sizeof name));
    crdt_path_init(&target.path, CRDT_MAP);
    path = target.path;
    ck_assert_int_eq(crdt_path_push(&path, bytes_of(name, sizeof name), CRDT_HLL), 0);
    for (uint32_t i = 0; i < 6000; i++) {
        char value[8];
        (void)snprintf(value, sizeof value, "%u", i);
        add(&path, CRDT_ADD, bytes_of_text(value), 1, true);
    }
    path = target.path;
    name[0] = 'o';
    ck_assert_int_eq(crdt_path_push(&path, bytes_of(name, sizeof name), CRDT_EW_FLAG), 0);
    add(&path, CRDT_ENABLE, bytes_of(NULL, 0), 1, false);
    name[0] = 'n';
    ck_assert_int_eq(crdt_path_push(&target.path, bytes_of(name, sizeof name), CRDT_HLL), 0);
    qsort(table, table_count, sizeof *table, by_name);
}

START_TEST(an_estimate_that_was_cut_is_too_large_whatever_type_is_asked_for)
{
    struct node_ev_question q = {.mode = NODE_EV_VALUE};
    begin();
    long_estimate();
    ck_assert_int_eq(ask(&q), ERR_TOO_LARGE);
    target.path.types[1] = 0;
    ck_assert_int_eq(ask(&q), ERR_TOO_LARGE);
    end();
}
END_TEST

START_TEST(a_field_that_was_cut_comes_without_its_value_and_the_page_goes_on)
{
    struct node_ev_question q = {.mode = NODE_EV_MEMBERS, .limit = 100};
    unsigned pages = 0;
    begin();
    long_estimate();
    crdt_path_init(&target.path, CRDT_MAP);
    ck_assert_int_eq(ask(&q), 0);
    struct wire_node item = wire_node_at(wire_node_find(page_of(), WIRE_FIELD_ITEMS), 0);
    ck_assert(wire_node_is_nil(wire_node_at(item, 2)));
    ck_assert_uint_eq(walk(&pages), 2);
    end();
}
END_TEST

UNIT_MAIN("ev_pages", a_page_ends_before_a_register_that_does_not_fit,
          a_page_of_elements_leaves_room_for_what_was_seen,
          an_estimate_that_was_cut_is_too_large_whatever_type_is_asked_for,
          a_field_that_was_cut_comes_without_its_value_and_the_page_goes_on)
