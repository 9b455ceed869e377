/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What damage to the own group's state may cost: what cannot be read, until another node tells it
 * again. It undoes nothing that can be read, here or elsewhere.
 */
#include "ev_nodes.h"
#include "server/node/eventual_self_internal.h"
#include "tests/sim/model_kv.h"

#include "tests/unit/unit.h"

/* Damages the record at a whole name of node i's own group. */
static void rot_name(struct rig *r, unsigned i, struct bytes name)
{
    struct store_kv *kv = &r->nodes[i - 1].kv;
    struct store_kv_reader *reader;
    uint8_t from[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    uint8_t found[NODE_PREFIX_BYTES + NODE_NAME_BYTES_MAX];
    struct bytes key;
    struct bytes value;
    node_prefix_put(from, NODE_GROUP_OWN, 1);
    memcpy(from + NODE_PREFIX_BYTES, name.data, name.size);
    struct bytes all = bytes_of(from, NODE_PREFIX_BYTES + name.size);
    ck_assert_int_eq(kv->reader_open(kv->ctx, &reader), 0);
    ck_assert_int_eq(kv->seek(reader, all, false, &key, &value), 0);
    ck_assert(bytes_has_prefix(key, all));
    memcpy(found, key.data, key.size);
    kv->reader_close(reader);
    ck_assert_int_eq(sim_kv_rot(kv, bytes_of(found, key.size)), 0);
}

/* The same of the first record of a key. */
static void rot_key(struct rig *r, unsigned i, const char *name)
{
    struct buf key;
    struct buf at;
    buf_init(&key, &r->heap, 4096);
    buf_init(&at, &r->heap, 4096);
    ck_assert_int_eq(node_ev_key(bytes_of_text("s"), bytes_of_text(name), &key), 0);
    ck_assert_int_eq(node_ev_record_name(ev_region(name), buf_view(&key), bytes_of(NULL, 0), &at),
                     0);
    rot_name(r, i, buf_view(&at));
    buf_release(&key);
    buf_release(&at);
}

static void rot_region(struct rig *r, unsigned i, uint8_t kind, const char *name)
{
    const uint8_t at[2] = {kind, ev_region(name)};
    rot_name(r, i, bytes_of(at, sizeof at));
}

/* As when something reads what was damaged. */
static void find(struct rig *r, unsigned i)
{
    uint64_t before = node_ev_self_now(ev_node(r, i))->epoch;
    node_rebuild(ev_node(r, i), node_group_find(ev_node(r, i), NODE_GROUP_OWN));
    rig_run(r, 500000);
    ck_assert_uint_gt(node_ev_self_now(ev_node(r, i))->epoch, before);
}

/* Three nodes; the one beside `by`, 2 or 3, has not heard of what that did last. All keys are of
 * one region. */
static struct rig *tell(unsigned by)
{
    struct rig *r = rig_new(3);
    ck_assert(ev_ready(r));
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(ev_add(r, i, "{t}other", 1), 0);
    }
    ck_assert_int_eq(ev_add(r, by, "{t}n", 5), 0);
    ck_assert_int_eq(ev_set(r, by, "{t}set", CRDT_ADD, "x"), 0);
    ck_assert(ev_converge(r, 5000000));
    rig_isolate(r, 5 - by, true);
    ck_assert_int_eq(ev_add(r, by, "{t}n", 6), 0);
    ck_assert_int_eq(ev_set(r, by, "{t}set", CRDT_REMOVE, "x"), 0);
    rig_run(r, 3000000); /* flushed */
    return r;
}

static void check(struct rig *r, int64_t other)
{
    ck_assert(ev_converge(r, 20000000));
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(ev_count(r, i, "{t}n"), 11);
        ck_assert_int_eq(ev_count(r, i, "{t}other"), other);
        ck_assert(!ev_has(r, i, "{t}set", "x"));
    }
}

/* Node 1 finds a damaged record while nobody hears it; then it meets the third before the second.
 */
START_TEST(who_forgot_what_was_replaced_takes_it_from_nobody_who_is_behind)
{
    const struct crdt_op add = {.verb = CRDT_ADD, .amount = 1};
    for (unsigned by = 2; by <= 3; by++) { /* whoever of them is looked at first */
        struct rig *r = tell(by);
        struct ev_done done;
        rot_key(r, 1, "{t}other");
        rig_isolate(r, 1, true);
        find(r, 1);
        ev_begin(r, 1, "{t}other", CRDT_PN_COUNTER, &add, 1, &done);
        rig_link(r, 1, 5 - by, true);
        rig_run(r, 60000000); /* however long the other is away */
        rig_link(r, 1, by, true);
        rig_run(r, 3000000);
        rig_link(r, 2, 3, true);
        ck_assert(done.ended);
        ck_assert_int_eq(done.code, 0);
        check(r, 4);
        rig_free(r);
    }
}
END_TEST

/* Node 1 starts again, as after a crash; what it had applied is flushed. rotten: of its records. */
static void crash(struct rig *r, bool rotten)
{
    ev_node(r, 1)->flush_now = true;
    rig_run(r, 1000000);
    rig_stop(r, 1);
    if (rotten) {
        rot_name(r, 1, node_ev_self_name());
    }
    rig_start(r, 1);
}

/* Node 1 meets the one that is behind first, and the one that did last a minute later. */
static void meet(struct rig *r, unsigned by)
{
    rig_link(r, 1, 5 - by, true);
    rig_run(r, 60000000);
    rig_link(r, 1, by, true);
    rig_run(r, 30000000); /* longer than it waits for others once all are there */
    rig_link(r, 2, 3, true);
}

/* The crash comes before anybody was met. What was written in between nobody was told of. */
START_TEST(that_a_region_is_mended_outlives_a_crash)
{
    const struct crdt_op add = {.verb = CRDT_ADD, .amount = 1};
    for (unsigned way = 0; way < 4; way++) {
        unsigned by = 2 + (way & 1u);
        bool writes = way >= 2;
        struct rig *r = tell(by);
        struct ev_done done = {.ended = true};
        rot_key(r, 1, "{t}other");
        rig_isolate(r, 1, true);
        find(r, 1);
        if (writes) {
            ev_begin(r, 1, "{t}other", CRDT_PN_COUNTER, &add, 1, &done);
            rig_run(r, 1000000);
        }
        ck_assert(done.ended);
        ck_assert_int_eq(done.code, 0);
        crash(r, false);
        meet(r, by);
        check(r, writes ? 4 : 3);
        ck_assert_uint_eq(node_ev_self_now(ev_node(r, 1))->mending, 0);
        rig_free(r);
    }
}
END_TEST

/* Which regions were mended is not known then: it may be any of those that have records. */
START_TEST(who_cannot_read_what_was_mended_mends_all_it_has)
{
    for (unsigned by = 2; by <= 3; by++) {
        struct rig *r = tell(by);
        rot_key(r, 1, "{t}other");
        rig_isolate(r, 1, true);
        find(r, 1);
        crash(r, true);
        meet(r, by);
        check(r, 3);
        ck_assert_uint_eq(node_ev_self_now(ev_node(r, 1))->mending, 0);
        rig_free(r);
    }
}
END_TEST

/* A push that was judged by what the region had seen is joined when that is forgotten: what is left
 * tells nothing of what came before it. */
START_TEST(what_was_on_its_way_when_records_went_is_asked_of_peers_too)
{
    const struct crdt_op add = {.verb = CRDT_ADD, .amount = 1};
    for (unsigned way = 0; way < 6; way++) {
        unsigned by = 2 + (way & 1u);
        bool crashes = way / 2 == 1;
        bool meets = way / 2 == 2; /* before it is applied */
        struct ev_done done;
        struct rig *r = rig_new(3);
        ck_assert(ev_ready(r));
        ck_assert_int_eq(ev_add(r, 1, "{t}other", 1), 0);
        ck_assert_int_eq(ev_add(r, by, "{t}n", 5), 0);
        ck_assert(ev_converge(r, 5000000));
        rig_isolate(r, 5 - by, true);
        ck_assert_int_eq(ev_add(r, by, "{t}n", 6), 0);
        rig_run(r, 3000000);
        rot_key(r, 1, "{t}n");
        r->nodes[0].wal_held = true;
        ev_begin(r, by, "{t}n", CRDT_PN_COUNTER, &add, 1, &done);
        rig_run(r, 100000);
        rig_isolate(r, 1, true);
        find(r, 1);
        rig_link(r, 1, 5 - by, meets);
        rig_run(r, 5000000);
        r->nodes[0].wal_held = false;
        rig_run(r, 100000);
        ck_assert_int_eq(done.code, 0);
        ck_assert_int_eq(ev_count(r, 1, "{t}n"), 12);
        if (crashes) {
            crash(r, false);
        }
        meet(r, by);
        ck_assert(ev_converge(r, 20000000));
        for (unsigned i = 1; i <= 3; i++) {
            ck_assert_int_eq(ev_count(r, i, "{t}n"), 12);
            ck_assert_int_eq(ev_count(r, i, "{t}other"), 1);
        }
        rig_free(r);
    }
}
END_TEST

static uint64_t pages(struct rig *r, unsigned i)
{
    return node_ev_of(ev_node(r, i))->counters.pages;
}

/* Some of what the peer has is here then, and was not seen. */
START_TEST(that_a_region_is_mended_outlives_a_crash_with_a_part_of_it_fetched)
{
    for (unsigned by = 2; by <= 3; by++) {
        struct rig *r = rig_new(3);
        ck_assert(ev_ready(r));
        ev_fill(r, by, "{t}", 0, 3000);
        ck_assert(ev_converge(r, 10000000));
        rig_isolate(r, 5 - by, true);
        ev_fill(r, by, "{t}", 0, 1000);
        ev_fill(r, by, "{t}", 2000, 3000);
        rig_run(r, 3000000);
        rig_isolate(r, 1, true);
        ev_fill(r, by, "{t}", 0, 3000);
        rot_key(r, 1, "{t}5");
        rot_key(r, 1, "{t}7");
        rot_key(r, 1, "{t}2900");
        find(r, 1);
        r->nodes[by - 1].jobs_counted = true; /* it reads one thing after the other */
        rig_link(r, 1, by, true);
        for (unsigned tries = 0; tries < 4000 && pages(r, 1) < 2; tries++) {
            r->nodes[by - 1].jobs_left = 1;
            rig_run(r, 1000);
        }
        rig_isolate(r, 1, true);
        r->nodes[by - 1].jobs_counted = false;
        ck_assert_uint_ne(node_ev_of(ev_node(r, 1))->mend.regions, 0);
        crash(r, false);
        meet(r, by);
        ck_assert(ev_converge(r, 20000000));
        for (unsigned i = 1; i <= 3; i++) {
            ck_assert_int_eq(ev_count(r, i, "{t}5"), 3);
            ck_assert_int_eq(ev_count(r, i, "{t}7"), 3);
            ck_assert_int_eq(ev_count(r, i, "{t}8"), 3);
            ck_assert_int_eq(ev_count(r, i, "{t}1500"), 2);
            ck_assert_int_eq(ev_count(r, i, "{t}2900"), 3);
            ck_assert_int_eq(ev_count(r, i, "{t}2901"), 3);
        }
        rig_free(r);
    }
}
END_TEST

struct told {
    bool ended;
    int code;
};

static void told(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)reply;
    *(struct told *)ctx = (struct told){.ended = true, .code = code};
}

/* As when what it found is applied after records went once more. returns: its code. */
static int mended(struct rig *r, unsigned i, uint64_t regions, uint64_t mark, size_t bytes)
{
    struct told t = {0};
    uint8_t body[NODE_EV_MENDED_BYTES];
    num_put_u64(body, regions);
    num_put_u64(body + 8, mark);
    const struct node_cmd cmd = {.op = NODE_OP_EV_MENDED, .body = bytes_of(body, bytes)};
    node_propose(ev_node(r, i), NODE_GROUP_OWN, &cmd, r->now + 1000000, &t, told);
    rig_run(r, 100000);
    ck_assert(t.ended);
    return t.code;
}

START_TEST(that_a_region_is_mended_is_forgotten_only_by_who_knows_of_all_damage)
{
    struct rig *r = tell(2);
    uint64_t bit = UINT64_C(1) << ev_region("{t}");
    rot_key(r, 1, "{t}other");
    rig_isolate(r, 1, true);
    find(r, 1);
    const struct node_ev_self_record *self = node_ev_self_now(ev_node(r, 1));
    ck_assert_uint_eq(self->mending, bit);
    ck_assert_int_eq(mended(r, 1, bit, self->mark + 1, NODE_EV_MENDED_BYTES), ERR_CONFLICT);
    ck_assert_int_eq(mended(r, 1, bit, self->mark, NODE_EV_MENDED_BYTES - 1), ERR_INVALID);
    ck_assert_int_eq(mended(r, 1, bit << 1, self->mark, NODE_EV_MENDED_BYTES), 0);
    ck_assert_uint_eq(self->mending, bit);
    ck_assert_uint_eq(node_ev_of(ev_node(r, 1))->mend.regions, bit);
    ck_assert_int_eq(mended(r, 1, bit, self->mark, NODE_EV_MENDED_BYTES), 0);
    ck_assert_uint_eq(self->mending, 0);
    ck_assert_uint_eq(node_ev_of(ev_node(r, 1))->mend.regions, 0);
    rig_free(r);
}
END_TEST

/* The log says that it is, and the state on disk that it is not yet. */
START_TEST(a_region_whose_end_of_mending_is_not_flushed_is_whole)
{
    struct rig *r = tell(2);
    struct node *n = ev_node(r, 1);
    rot_key(r, 1, "{t}other");
    n->options.flush_interval_us = 600000000;
    find(r, 1);
    rig_run(r, 5000000);
    ck_assert_uint_eq(node_ev_self_now(n)->mending, 0);
    ck_assert_uint_gt(node_group_find(n, NODE_GROUP_OWN)->now.index,
                      node_group_find(n, NODE_GROUP_OWN)->flushed.index);
    rig_isolate(r, 1, true);
    rig_stop(r, 1);
    rig_start(r, 1);
    rig_run(r, 1000000);
    ck_assert_uint_eq(node_ev_self_now(ev_node(r, 1))->mending, 0);
    ck_assert_uint_eq(node_ev_of(ev_node(r, 1))->mend.regions, 0);
    rig_isolate(r, 1, false);
    rig_isolate(r, 3, false);
    check(r, 3);
    rig_free(r);
}
END_TEST

/* The table says what the counts, and what was dropped, at most can be; memory what was seen. */
START_TEST(what_can_be_told_from_what_is_left_is_not_forgotten)
{
    struct rig *r = tell(2);
    struct crdt_context before;
    uint8_t region = ev_region("{t}");
    rig_isolate(r, 3, false);
    rig_run(r, 20000000); /* the removal is known to all, and dropped */
    ck_assert_uint_eq(ev_removals(r, 1, "{t}set"), 0);
    rig_isolate(r, 1, true);
    crdt_context_init(&before, &r->heap);
    ck_assert_int_eq(node_ev_context_set(&before, node_ev_seen(ev_node(r, 1), region)), 0);
    rot_region(r, 1, NODE_KEY_EV_TYPES, "{t}");
    rot_region(r, 1, NODE_KEY_EV_REGION, "{t}");
    rot_region(r, 1, NODE_KEY_EV_PRUNED, "{t}");
    find(r, 1);
    ck_assert(crdt_context_leq(&before, node_ev_seen(ev_node(r, 1), region)));
    ck_assert(crdt_context_leq(&before, &node_ev_of(ev_node(r, 1))->pruned[region]));
    rig_isolate(r, 1, false);
    check(r, 3);
    crdt_context_release(&before);
    rig_free(r);
}
END_TEST

/* What all have seen of a region, from one sweep to the next, may have more ranges than one peer
 * can tell. */
START_TEST(what_was_dropped_is_read_back_however_much_it_is)
{
    struct rig *r = rig_new(1);
    const uint8_t region = ev_region("{t}");
    struct crdt_context all;
    struct buf raw;
    crdt_context_init(&all, &r->heap);
    buf_init(&raw, &r->heap, 1u << 20);
    for (uint32_t i = 0; i < 27000; i++) {
        const uint64_t counter = 2 * (uint64_t)(i / 3) + 1;
        const struct crdt_range one = {{7 + i % 3, 1}, counter, counter};
        ck_assert_int_eq(crdt_context_add(&all, &one), 0);
    }
    ck_assert_int_eq(crdt_context_encode(&all, &raw), 0);
    ck_assert_int_eq(node_ev_pruned_load(ev_node(r, 1), region, buf_view(&raw)), 0);
    ck_assert(crdt_context_leq(&all, &node_ev_of(ev_node(r, 1))->pruned[region]));
    crdt_context_release(&all);
    buf_release(&raw);
    rig_free(r);
}
END_TEST

START_TEST(a_node_starts_whose_record_of_what_was_dropped_is_damaged)
{
    struct rig *r = tell(2);
    rig_isolate(r, 3, false);
    rig_run(r, 20000000);
    rig_stop(r, 1);
    rot_region(r, 1, NODE_KEY_EV_PRUNED, "{t}");
    rig_start(r, 1);
    ck_assert(ev_ready(r));
    const struct crdt_context *seen = node_ev_seen(ev_node(r, 2), ev_region("{t}"));
    ck_assert(crdt_context_leq(seen, &node_ev_of(ev_node(r, 1))->pruned[ev_region("{t}")]));
    check(r, 3);
    rig_free(r);
}
END_TEST

/* An epoch that is granted meanwhile takes nothing away. */
START_TEST(what_a_start_fetches_before_it_is_an_actor_is_fetched_once)
{
    struct rig *r = rig_new(3);
    ck_assert(ev_ready(r));
    rig_run(r, 3000000);
    rig_stop(r, 2);
    ev_fill(r, 1, "{t}", 0, 3000);
    ck_assert(ev_converge(r, 5000000));
    unsigned leader = rig_leader(r, 0);
    unsigned other = 4 - leader;
    rig_stop(r, other); /* what it noted is gone */
    rig_start(r, other);
    ck_assert(ev_ready(r));
    r->nodes[other - 1].jobs_held = true; /* it answers nothing that must be read */
    rig_start(r, 2);
    rig_link(r, 2, leader, false);
    for (unsigned tries = 0; tries < 4000 && node_ev_of(ev_node(r, 2))->pulling == 0; tries++) {
        rig_run(r, 1000);
    }
    ck_assert_uint_ne(node_ev_of(ev_node(r, 2))->pulling, 0);
    rig_link(r, 2, leader, true);
    ck_assert(ev_ready(r));
    ck_assert_uint_ne(node_ev_of(ev_node(r, 2))->pulling, 0);
    r->nodes[other - 1].jobs_held = false;
    ck_assert(ev_converge(r, 10000000));
    ck_assert_uint_eq(node_ev_of(ev_node(r, 2))->counters.page_records, 3000);
    rig_free(r);
}
END_TEST

/* The log tells what was done since the last flush, and the dots of it are not known any more. */
START_TEST(what_peers_were_told_is_not_done_again_under_another_epoch)
{
    static const uint8_t kinds[] = {NODE_KEY_EV_SELF, NODE_KEY_EV_REGION, NODE_KEY_EV_RECORD,
                                    NODE_KEY_EV_TYPES};
    for (unsigned i = 0; i < sizeof kinds; i++) {
        struct rig *r = rig_make(3);
        r->flush_interval_us = 600000000;
        for (unsigned k = 1; k <= 3; k++) {
            rig_start(r, k);
        }
        ck_assert(ev_ready(r));
        ck_assert_int_eq(ev_add(r, 2, "{t}n", 1), 0);
        ck_assert_int_eq(ev_add(r, 1, "{t}other", 1), 0);
        ck_assert(ev_converge(r, 1000000));
        ev_node(r, 2)->flush_now = true;
        rig_run(r, 1000000);
        uint64_t flushed = node_group_find(ev_node(r, 2), NODE_GROUP_OWN)->flushed.index;
        ck_assert_int_eq(ev_add(r, 2, "{t}n", 10), 0);
        ck_assert_int_eq(ev_add(r, 2, "{t}other", 10), 0);
        ck_assert(ev_converge(r, 1000000));
        ck_assert_uint_eq(node_group_find(ev_node(r, 2), NODE_GROUP_OWN)->flushed.index, flushed);
        rig_stop(r, 2);
        if (kinds[i] == NODE_KEY_EV_SELF) {
            rot_name(r, 2, node_ev_self_name());
        } else if (kinds[i] == NODE_KEY_EV_RECORD) {
            rot_key(r, 2, "{t}other");
        } else {
            rot_region(r, 2, kinds[i], "{t}");
        }
        rig_start(r, 2);
        ck_assert(ev_ready(r));
        ck_assert(ev_converge(r, 20000000));
        for (unsigned k = 1; k <= 3; k++) {
            ck_assert_int_eq(ev_count(r, k, "{t}n"), 11);
            ck_assert_int_eq(ev_count(r, k, "{t}other"), 11);
        }
        rig_free(r);
    }
}
END_TEST

/* Damages the body of node i's log where this text stands first. */
static void rot_log(struct rig *r, unsigned i, const char *text)
{
    struct mem_disk *mem = r->nodes[i - 1].mem;
    const size_t size = strlen(text);
    const char *name;
    for (unsigned k = 0; (name = mem_disk_name(mem, "", k)) != NULL; k++) {
        const uint8_t *data = mem_disk_data(mem, name);
        uint64_t bytes = mem_disk_bytes(mem, name);
        for (uint64_t at = 0; at + size <= bytes; at++) {
            if (memcmp(data + at, text, size) == 0) {
                mem_disk_flip(mem, name, at, 1);
                return;
            }
        }
    }
    ck_abort_msg("the log does not have '%s'", text);
}

/* What comes after the cut has indices of commands that were done before, and is none of them. */
START_TEST(what_is_written_where_the_log_was_cut_is_made)
{
    struct rig *r = rig_make(3);
    r->flush_interval_us = 600000000;
    for (unsigned k = 1; k <= 3; k++) {
        rig_start(r, k);
    }
    ck_assert(ev_ready(r));
    ck_assert_int_eq(ev_add(r, 2, "{t}n", 1), 0);
    ev_node(r, 2)->flush_now = true;
    rig_run(r, 1000000);
    ck_assert_int_eq(ev_add(r, 2, "{t}where", 1), 0);
    for (unsigned i = 0; i < 60; i++) {
        ck_assert_int_eq(ev_add(r, 2, "{t}n", 1), 0);
    }
    ck_assert(ev_converge(r, 1000000));
    rig_stop(r, 2);
    rot_region(r, 2, NODE_KEY_EV_TYPES, "{t}");
    rig_start(r, 2);
    ck_assert(ev_ready(r));
    ck_assert(ev_converge(r, 20000000));
    uint64_t told = node_ev_self_now(ev_node(r, 2))->told;
    rig_stop(r, 2);
    rot_log(r, 2, "{t}where");
    rig_start(r, 2);
    ck_assert(ev_ready(r));
    ck_assert_uint_lt(node_group_find(ev_node(r, 2), NODE_GROUP_OWN)->now.index + 8, told);
    ck_assert_int_eq(ev_add(r, 2, "{t}n", 100), 0);
    ck_assert(ev_converge(r, 20000000));
    for (unsigned k = 1; k <= 3; k++) {
        ck_assert_int_eq(ev_count(r, k, "{t}n"), 161);
        ck_assert_int_eq(ev_count(r, k, "{t}where"), 1);
    }
    rig_free(r);
}
END_TEST

/* What was written behind the cut was told to peers too, before records went for another time. */
START_TEST(a_cut_lowers_nothing_that_was_told_since)
{
    struct rig *r = rig_make(3);
    r->flush_interval_us = 600000000;
    for (unsigned k = 1; k <= 3; k++) {
        rig_start(r, k);
    }
    ck_assert(ev_ready(r));
    ck_assert_int_eq(ev_add(r, 2, "{t}n", 1), 0);
    ev_node(r, 2)->flush_now = true;
    rig_run(r, 1000000);
    ck_assert_int_eq(ev_add(r, 2, "{t}where", 1), 0);
    ck_assert(ev_converge(r, 1000000));
    rig_stop(r, 2);
    rot_log(r, 2, "{t}where");
    rig_start(r, 2);
    ck_assert(ev_ready(r));
    for (unsigned i = 0; i < 60; i++) {
        ck_assert_int_eq(ev_add(r, 2, "{t}n", 1), 0);
    }
    ck_assert(ev_converge(r, 20000000));
    uint64_t last = node_group_find(ev_node(r, 2), NODE_GROUP_OWN)->now.index;
    rig_stop(r, 2);
    rot_region(r, 2, NODE_KEY_EV_TYPES, "{t}");
    rig_start(r, 2);
    ck_assert(ev_ready(r));
    ck_assert_uint_ge(node_ev_self_now(ev_node(r, 2))->told, last);
    ck_assert(ev_converge(r, 20000000));
    for (unsigned k = 1; k <= 3; k++) {
        ck_assert_int_eq(ev_count(r, k, "{t}n"), 61);
        ck_assert_int_eq(ev_count(r, k, "{t}where"), 1);
    }
    rig_free(r);
}
END_TEST

/* The log tells of an orderly end of an epoch whose updates are not made again. */
START_TEST(an_epoch_with_updates_that_are_not_made_again_does_not_go_on)
{
    const struct crdt_op add = {.verb = CRDT_ADD, .amount = 100};
    struct ev_done done;
    struct rig *r = rig_make(3);
    r->flush_interval_us = 600000000;
    for (unsigned k = 1; k <= 3; k++) {
        rig_start(r, k);
    }
    ck_assert(ev_ready(r));
    ck_assert_int_eq(ev_add(r, 2, "{t}n", 1), 0);
    ck_assert_int_eq(ev_add(r, 2, "{t}other", 1), 0);
    ev_node(r, 2)->flush_now = true;
    rig_run(r, 1000000);
    rig_stop(r, 2);
    rig_start(r, 2);
    ck_assert(ev_ready(r));
    ck_assert_int_eq(ev_add(r, 2, "{t}n", 10), 0);
    ck_assert(ev_converge(r, 1000000));
    node_ev_leave(ev_node(r, 2));
    rig_run(r, 1000000);
    ck_assert(node_ev_self_now(ev_node(r, 2))->clean);
    rig_stop(r, 2);
    rot_region(r, 2, NODE_KEY_EV_TYPES, "{t}");
    r->nodes[0].jobs_held = r->nodes[2].jobs_held = true; /* they answer nothing that is read */
    rig_start(r, 2);
    ck_assert(ev_ready(r));
    ev_begin(r, 2, "{t}more", CRDT_PN_COUNTER, &add, 1, &done);
    rig_run(r, 1000000);
    r->nodes[0].jobs_held = r->nodes[2].jobs_held = false;
    ck_assert(ev_converge(r, 20000000));
    for (unsigned k = 1; k <= 3; k++) {
        ck_assert_uint_eq(ev_node(r, k)->counters.ev_conflicts, 0);
        ck_assert_int_eq(ev_count(r, k, "{t}n"), 11);
        ck_assert_int_eq(ev_count(r, k, "{t}other"), 1);
        ck_assert_int_eq(ev_count(r, k, "{t}more"), 100);
    }
    rig_free(r);
}
END_TEST

UNIT_MAIN("ev_damage", who_forgot_what_was_replaced_takes_it_from_nobody_who_is_behind,
          that_a_region_is_mended_outlives_a_crash,
          who_cannot_read_what_was_mended_mends_all_it_has,
          what_was_on_its_way_when_records_went_is_asked_of_peers_too,
          that_a_region_is_mended_outlives_a_crash_with_a_part_of_it_fetched,
          that_a_region_is_mended_is_forgotten_only_by_who_knows_of_all_damage,
          a_region_whose_end_of_mending_is_not_flushed_is_whole,
          what_can_be_told_from_what_is_left_is_not_forgotten,
          what_was_dropped_is_read_back_however_much_it_is,
          a_node_starts_whose_record_of_what_was_dropped_is_damaged,
          what_a_start_fetches_before_it_is_an_actor_is_fetched_once,
          what_peers_were_told_is_not_done_again_under_another_epoch,
          what_is_written_where_the_log_was_cut_is_made, a_cut_lowers_nothing_that_was_told_since,
          an_epoch_with_updates_that_are_not_made_again_does_not_go_on)
