/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: counts of types that are damaged are made again from the records.
 */
#include "tests/unit/unit.h"

#include "ev_nodes.h"
#include "server/node/eventual_ops_internal.h"

#define PASS_US UINT64_C(900000000)

static struct rig *begin(unsigned nodes)
{
    struct rig *r = rig_new(nodes);
    ck_assert(rig_leader(r, 0) != 0);
    ck_assert(ev_ready(r));
    return r;
}

/* The name of the counts at a key. */
static struct bytes types_name(struct rig *r, const char *name, uint8_t *into)
{
    struct buf key;
    buf_init(&key, &r->heap, 4096);
    ck_assert_int_eq(node_ev_key(bytes_of_text("s"), bytes_of_text(name), &key), 0);
    struct bytes at = node_ev_types_name(ev_region(name), buf_view(&key), bytes_of(NULL, 0), into);
    buf_release(&key);
    return at;
}

/* Puts a record into the state of node i behind the back of everything. */
static void plant_at(struct rig *r, unsigned i, struct bytes at, struct bytes value)
{
    struct node *n = ev_node(r, i);
    struct node_group *g = n->by_id[NODE_GROUP_OWN];
    uint8_t key[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    ck_assert_int_eq(store_mem_put(n->mem, node_key_of(g, at, key), value.size > 0, value), 0);
}

/* The counts of types at a key. */
static void plant(struct rig *r, unsigned i, const char *name, struct bytes value)
{
    uint8_t raw[NODE_NAME_BYTES_MAX];
    plant_at(r, i, types_name(r, name, raw), value);
}

/* A record of a key. */
static void plant_record(struct rig *r, unsigned i, const char *name, struct bytes record_key,
                         struct bytes value)
{
    struct buf key;
    struct buf at;
    buf_init(&key, &r->heap, NODE_NAME_BYTES_MAX);
    buf_init(&at, &r->heap, NODE_NAME_BYTES_MAX);
    ck_assert_int_eq(node_ev_key(bytes_of_text("s"), bytes_of_text(name), &key), 0);
    ck_assert_int_eq(node_ev_record_name(ev_region(name), buf_view(&key), record_key, &at), 0);
    plant_at(r, i, buf_view(&at), value);
    buf_release(&key);
    buf_release(&at);
}

/* returns: how many live records of a type are counted at a key; 0 also if nothing can be read. */
static uint64_t counted(struct rig *r, unsigned i, const char *name, uint8_t type)
{
    struct node *n = ev_node(r, i);
    struct node_group *g = n->by_id[NODE_GROUP_OWN];
    uint8_t raw[NODE_NAME_BYTES_MAX];
    uint8_t key[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    struct bytes value = {0};
    bool present = false;
    struct bytes at = types_name(r, name, raw);
    (void)store_mem_get(n->mem, node_key_of(g, at, key), &present, &value);
    for (size_t k = 1; present && k + 9 <= value.size; k += 9) {
        if (value.data[0] == 1 && value.data[k] == type) {
            return num_get_u64(value.data + k + 1);
        }
    }
    return 0;
}

START_TEST(damaged_counts_of_types_are_made_again)
{
    static const uint8_t rubbish[] = {7, 7, 7};
    uint8_t wrong[10] = {1, CRDT_AW_SET};
    struct rig *r = begin(3);
    num_put_u64(wrong + 2, 9);
    ck_assert_int_eq(ev_set(r, 1, "unreadable", CRDT_ADD, "x"), 0);
    ck_assert_int_eq(ev_set(r, 1, "unreadable", CRDT_ADD, "y"), 0);
    ck_assert_int_eq(ev_set(r, 1, "wrong", CRDT_ADD, "x"), 0);
    ck_assert_int_eq(ev_add(r, 1, "gone", 1), 0);
    ck_assert_int_eq(ev_add(r, 1, "good", 1), 0);
    rig_run(r, 100000);
    plant(r, 1, "unreadable", bytes_of(rubbish, sizeof rubbish));
    plant(r, 1, "wrong", bytes_of(wrong, sizeof wrong));
    plant(r, 1, "gone", bytes_of(NULL, 0));
    plant(r, 1, "{good}never there", bytes_of(wrong, sizeof wrong));
    ck_assert_uint_eq(counted(r, 1, "unreadable", CRDT_AW_SET), 0);
    rig_run(r, PASS_US);
    ck_assert_uint_eq(counted(r, 1, "unreadable", CRDT_AW_SET), 2);
    ck_assert_uint_eq(counted(r, 1, "wrong", CRDT_AW_SET), 1);
    ck_assert_uint_eq(counted(r, 1, "gone", CRDT_PN_COUNTER), 1);
    ck_assert_uint_eq(counted(r, 1, "{good}never there", CRDT_AW_SET), 0);
    ck_assert_uint_eq(ev_node(r, 1)->eventual->counters.recounted, 4);
    ck_assert_uint_eq(ev_node(r, 2)->eventual->counters.recounted, 0);
    ck_assert_int_eq(ev_add(r, 1, "unreadable", 1), ERR_WRONG_TYPE);
    ck_assert_int_eq(ev_set(r, 1, "gone", CRDT_ADD, "x"), ERR_WRONG_TYPE);
    rig_free(r);
}
END_TEST

/* Records that cannot be read, by value or by name, before, among and behind those that can. */
START_TEST(keys_with_unreadable_records_are_passed_over)
{
    static const uint8_t rubbish[] = {7, 7, 7};
    static const uint8_t strange[] = {0xff};
    const struct bytes bad = bytes_of(rubbish, sizeof rubbish);
    const struct crdt_op op = {.verb = CRDT_ADD, .amount = 1};
    uint8_t wrong[10] = {1, CRDT_AW_SET};
    struct crdt_path path;
    struct buf counter;
    struct rig *r = begin(1);
    num_put_u64(wrong + 2, 9);
    crdt_path_init(&path, CRDT_PN_COUNTER);
    buf_init(&counter, &r->heap, NODE_NAME_BYTES_MAX);
    ck_assert_int_eq(crdt_op_range(&path, &op, &counter), 0);
    for (unsigned k = 0; k < 4 * NODE_EV_REGIONS; k++) {
        char name[16];
        snprintf(name, sizeof name, "key %u", k);
        ck_assert_int_eq(ev_add(r, 1, name, 1), 0);
        plant(r, 1, name, bytes_of(wrong, sizeof wrong));
    }
    ev_fill(r, 1, "{k}", 1000, 4000);
    plant(r, 1, "{k}1001", bytes_of(wrong, sizeof wrong));
    plant(r, 1, "{k}3999", bytes_of(wrong, sizeof wrong));
    plant_record(r, 1, "{k}0", buf_view(&counter), bad);
    plant_record(r, 1, "{k}1000", bytes_of(strange, sizeof strange), bad);
    plant_record(r, 1, "{k}2500", buf_view(&counter), bad);
    plant_record(r, 1, "{k}2501", buf_view(&counter), bad);
    plant_record(r, 1, "{k}5", buf_view(&counter), bad);
    plant(r, 1, "{k}2500", bytes_of(wrong, sizeof wrong));
    rig_run(r, PASS_US);
    ck_assert_uint_eq(counted(r, 1, "{k}1001", CRDT_PN_COUNTER), 1);
    ck_assert_uint_eq(counted(r, 1, "{k}3999", CRDT_PN_COUNTER), 1);
    ck_assert_uint_eq(counted(r, 1, "{k}2500", CRDT_AW_SET), 9);
    ck_assert_uint_eq(ev_node(r, 1)->eventual->counters.recounted, 4 * NODE_EV_REGIONS + 2);
    buf_release(&counter);
    rig_free(r);
}
END_TEST

/* Counters in fields with long names of a map, of which nothing is counted. */
static void plant_fields(struct rig *r, const char *name, unsigned count)
{
    static const uint8_t entry[33] = {[0] = 1, [1] = 1, [5] = 1, [17] = 1};
    char field[1000];
    struct crdt_path path;
    struct buf key;
    memset(field, 'x', sizeof field);
    buf_init(&key, &r->heap, NODE_NAME_BYTES_MAX);
    for (unsigned k = 0; k < count; k++) {
        const struct crdt_op op = {.verb = CRDT_ADD, .amount = 1};
        snprintf(field, 16, "%08u", k);
        field[8] = 'x';
        crdt_path_init(&path, CRDT_MAP);
        ck_assert_int_eq(
            crdt_path_push(&path, bytes_of((uint8_t *)field, sizeof field), CRDT_PN_COUNTER), 0);
        buf_clear(&key);
        ck_assert_int_eq(crdt_op_range(&path, &op, &key), 0);
        plant_record(r, 1, name, buf_view(&key), bytes_of(entry, sizeof entry));
    }
    buf_release(&key);
}

/* More than one command holds, by number and by bytes. */
START_TEST(what_one_pass_cannot_put_right_the_next_ones_do)
{
    struct rig *r = begin(1);
    ck_assert_int_eq(ev_add(r, 1, "{many}", 1), 0);
    plant_fields(r, "many", 1500);
    rig_run(r, PASS_US / 9);
    uint64_t first = ev_node(r, 1)->eventual->counters.recounted;
    ck_assert_uint_gt(first, 500);
    ck_assert_uint_lt(first, 1501);
    rig_run(r, PASS_US);
    ck_assert_uint_eq(counted(r, 1, "many", CRDT_MAP), 1500);
    ck_assert_uint_eq(ev_node(r, 1)->eventual->counters.recounted, 1501);
    rig_free(r);
}
END_TEST

START_TEST(a_key_with_more_than_can_be_counted_does_not_stop_the_others)
{
    uint8_t wrong[10] = {1, CRDT_AW_SET};
    struct rig *r = begin(1);
    num_put_u64(wrong + 2, 9);
    ev_fill(r, 1, "{many}", 0, 10);
    plant_fields(r, "many", NODE_EV_NAMES_BYTES_MAX / 1000);
    plant(r, 1, "{many}5", bytes_of(wrong, sizeof wrong));
    rig_run(r, PASS_US);
    ck_assert_uint_eq(counted(r, 1, "many", CRDT_MAP), 0);
    ck_assert_uint_eq(counted(r, 1, "{many}5", CRDT_PN_COUNTER), 1);
    ck_assert_uint_eq(ev_node(r, 1)->eventual->counters.recounted, 1);
    rig_free(r);
}
END_TEST

static void add_elements(struct rig *r, unsigned i, unsigned from, unsigned to)
{
    char element[16];
    struct ev_done done;
    for (unsigned k = from; k < to; k++) {
        snprintf(element, sizeof element, "element %u", k);
        const struct crdt_op op = {.verb = CRDT_ADD, .value = bytes_of_text(element)};
        ev_begin(r, i, "large", CRDT_AW_SET, &op, 1, &done);
        rig_run(r, 0);
        ck_assert(done.ended && done.code == 0);
    }
}

/* One key in several pages, and keys beside it in the same region. */
START_TEST(what_is_in_many_pages_is_counted_as_one)
{
    uint8_t wrong[10] = {1, CRDT_AW_SET};
    struct rig *r = begin(1);
    num_put_u64(wrong + 2, 9);
    add_elements(r, 1, 0, 2500);
    ev_fill(r, 1, "{large}", 0, 1500);
    plant(r, 1, "large", bytes_of(wrong, sizeof wrong));
    plant(r, 1, "{large}700", bytes_of(wrong, sizeof wrong));
    rig_run(r, PASS_US);
    ck_assert_uint_eq(counted(r, 1, "large", CRDT_AW_SET), 2500);
    ck_assert_uint_eq(counted(r, 1, "{large}700", CRDT_PN_COUNTER), 1);
    ck_assert_uint_eq(ev_node(r, 1)->eventual->counters.recounted, 2);
    rig_free(r);
}
END_TEST

struct told {
    bool ended;
    int code;
};

static void told_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct told *told = ctx;
    (void)n;
    (void)reply;
    *told = (struct told){true, code};
}

/* Tells node 1 that nothing is counted at a key, as found when its region had this hash. */
static int tell(struct rig *r, const char *name, struct hash_digest hash)
{
    uint8_t raw[NODE_NAME_BYTES_MAX];
    struct bytes at = types_name(r, name, raw);
    struct told told = {0};
    struct buf body;
    buf_init(&body, &r->heap, 4096);
    (void)buf_put_u8(&body, ev_region(name));
    (void)buf_put_u64(&body, hash.low);
    (void)buf_put_u64(&body, hash.high);
    (void)buf_put_u16(&body, (uint16_t)at.size);
    (void)buf_append(&body, at.data, at.size);
    (void)buf_put_u8(&body, 0);
    const struct node_cmd cmd = {.op = NODE_OP_EV_RECOUNT, .body = buf_view(&body)};
    node_propose(ev_node(r, 1), NODE_GROUP_OWN, &cmd, r->now + 5000000, &told, told_done);
    rig_run(r, 10000);
    ck_assert(told.ended);
    buf_release(&body);
    return told.code;
}

START_TEST(counts_of_a_region_that_has_changed_since_are_refused)
{
    struct rig *r = begin(1);
    ck_assert_int_eq(ev_add(r, 1, "k", 1), 0);
    struct hash_digest hash =
        node_ev_region_hash(node_ev_region_get(ev_node(r, 1), ev_region("k")));
    ck_assert_int_eq(ev_add(r, 1, "k", 1), 0);
    ck_assert_int_eq(tell(r, "k", hash), ERR_BEHIND);
    ck_assert_uint_eq(counted(r, 1, "k", CRDT_PN_COUNTER), 1);
    hash = node_ev_region_hash(node_ev_region_get(ev_node(r, 1), ev_region("k")));
    ck_assert_int_eq(tell(r, "k", hash), 0);
    ck_assert_uint_eq(counted(r, 1, "k", CRDT_PN_COUNTER), 0);
    rig_free(r);
}
END_TEST

/* Counts are taken while elements come and go before and behind the place that is looked at. */
START_TEST(counts_that_change_meanwhile_are_left_alone)
{
    struct rng rng;
    struct rig *r = begin(1);
    rng_init(&rng, unit_seed("recount", 5));
    add_elements(r, 1, 0, 3000);
    for (unsigned k = 0; k < 400; k++) {
        char element[16];
        snprintf(element, sizeof element, "element %u", (unsigned)rng_below(&rng, 3000));
        ck_assert_int_eq(
            ev_set(r, 1, "large", rng_chance(&rng, 1, 2) ? CRDT_ADD : CRDT_REMOVE, element), 0);
        rig_run(r, rng_below(&rng, 2000000));
    }
    ck_assert_uint_eq(ev_node(r, 1)->eventual->counters.recounted, 0);
    uint64_t now = counted(r, 1, "large", CRDT_AW_SET);
    rig_run(r, PASS_US);
    ck_assert_uint_eq(ev_node(r, 1)->eventual->counters.recounted, 0);
    ck_assert_uint_eq(counted(r, 1, "large", CRDT_AW_SET), now);
    rig_free(r);
}
END_TEST

UNIT_MAIN("ev_recount", damaged_counts_of_types_are_made_again,
          keys_with_unreadable_records_are_passed_over,
          what_one_pass_cannot_put_right_the_next_ones_do,
          a_key_with_more_than_can_be_counted_does_not_stop_the_others,
          counts_of_a_region_that_has_changed_since_are_refused,
          what_is_in_many_pages_is_counted_as_one, counts_that_change_meanwhile_are_left_alone)
