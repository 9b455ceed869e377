/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The values under replication of eventual mode: lists of owners, contexts, what waits for what,
 * the ring of fragments and their merging. No nodes.
 */
#include "tests/unit/unit.h"

#include "server/node/eventual_peers_internal.h"

static struct alloc heap;

static void add(struct crdt_context *c, uint32_t node, uint64_t from, uint64_t to)
{
    int err = crdt_context_add(
        c, &(struct crdt_range){.actor = {.node = node, .epoch = 1}, .from = from, .to = to});
    ck_assert_int_eq(err, 0);
}

/* ---- owners --------------------------------------------------------------------------------- */

START_TEST(the_first_five_nodes_that_are_in_own_a_region)
{
    const uint32_t placed[] = {4, 7, 1, 3, 9, 2, 8};
    const bool out[] = {false, true, false, false, false, false, false};
    struct node_ev_list list;
    node_ev_list_of(placed, out, 7, &list);
    ck_assert_uint_eq(list.owners, 5);
    ck_assert_uint_eq(list.nodes[0], 4);
    ck_assert_uint_eq(list.nodes[1], 1);
    ck_assert_uint_eq(list.nodes[4], 2);
    ck_assert(!node_ev_list_owns(&list, 7));
    ck_assert(node_ev_list_owns(&list, 2));
    ck_assert(!node_ev_list_owns(&list, 8));
}
END_TEST

/* scenario C15 */
START_TEST(an_owner_that_is_out_counts_for_what_is_stable)
{
    const uint32_t placed[] = {4, 7, 1, 3, 9, 2, 8};
    const bool out[] = {false, true, false, false, false, false, false};
    struct node_ev_list list;
    node_ev_list_of(placed, out, 7, &list);
    ck_assert_uint_eq(list.count, 6);
    ck_assert_uint_eq(list.nodes[5], 7);
}
END_TEST

START_TEST(a_small_cluster_owns_everything)
{
    const uint32_t placed[] = {2, 1, 3};
    const bool out[] = {false, false, false};
    struct node_ev_list list;
    node_ev_list_of(placed, out, 3, &list);
    ck_assert_uint_eq(list.owners, 3);
    ck_assert_uint_eq(list.count, 3);
}
END_TEST

/* ---- contexts ------------------------------------------------------------------------------- */

static void random_context(struct rng *r, struct crdt_context *c)
{
    unsigned ranges = (unsigned)rng_below(r, 8);
    for (unsigned i = 0; i < ranges; i++) {
        uint64_t from = 1 + rng_below(r, 20);
        add(c, 1 + (uint32_t)rng_below(r, 3), from, from + rng_below(r, 6));
    }
}

static void check_arithmetic(const struct crdt_context *a, const struct crdt_context *b)
{
    struct crdt_context both;
    struct crdt_context only;
    crdt_context_init(&both, &heap);
    crdt_context_init(&only, &heap);
    ck_assert_int_eq(node_ev_meet(a, b, &both), 0);
    ck_assert_int_eq(node_ev_minus(a, b, &only), 0);
    for (uint32_t node = 1; node <= 3; node++) {
        for (uint64_t counter = 1; counter <= 30; counter++) {
            const struct crdt_dot dot = {.actor = {.node = node, .epoch = 1}, .counter = counter};
            bool in_a = crdt_context_has(a, dot);
            bool in_b = crdt_context_has(b, dot);
            ck_assert(crdt_context_has(&both, dot) == (in_a && in_b));
            ck_assert(crdt_context_has(&only, dot) == (in_a && !in_b));
        }
    }
    crdt_context_release(&both);
    crdt_context_release(&only);
}

START_TEST(what_two_contexts_share_and_do_not_is_exact)
{
    struct rng r;
    rng_init(&r, unit_seed("contexts", 11));
    for (unsigned i = 0; i < 3000; i++) {
        struct crdt_context a;
        struct crdt_context b;
        crdt_context_init(&a, &heap);
        crdt_context_init(&b, &heap);
        random_context(&r, &a);
        random_context(&r, &b);
        check_arithmetic(&a, &b);
        crdt_context_release(&a);
        crdt_context_release(&b);
    }
}
END_TEST

/* ---- what may be joined --------------------------------------------------------------------- */

struct wanting {
    struct crdt_context before[3];
    struct crdt_context seen[3];
    struct node_ev_wanting held[3];
    struct crdt_context have;
};

static void wanting_init(struct wanting *w)
{
    crdt_context_init(&w->have, &heap);
    for (unsigned i = 0; i < 3; i++) {
        crdt_context_init(&w->before[i], &heap);
        crdt_context_init(&w->seen[i], &heap);
        w->held[i] = (struct node_ev_wanting){.before = &w->before[i], .seen = &w->seen[i]};
    }
}

static void wanting_release(struct wanting *w)
{
    crdt_context_release(&w->have);
    for (unsigned i = 0; i < 3; i++) {
        crdt_context_release(&w->before[i]);
        crdt_context_release(&w->seen[i]);
    }
}

/* scenario C22 */
START_TEST(a_delta_before_its_predecessor_waits)
{
    struct wanting w;
    wanting_init(&w);
    add(&w.have, 1, 1, 4);
    add(&w.before[0], 1, 1, 5);
    add(&w.seen[0], 1, 6, 6);
    ck_assert_int_eq(node_ev_joinable(&w.have, w.held, 1, &heap), 0);
    ck_assert(!w.held[0].take);
    add(&w.have, 1, 5, 5);
    ck_assert_int_eq(node_ev_joinable(&w.have, w.held, 1, &heap), 0);
    ck_assert(w.held[0].take);
    wanting_release(&w);
}
END_TEST

START_TEST(deltas_that_need_each_other_are_joined_together)
{
    struct wanting w;
    wanting_init(&w);
    add(&w.before[0], 2, 1, 1); /* node 1 had seen the first of node 2 */
    add(&w.seen[0], 1, 1, 2);
    add(&w.before[1], 1, 1, 1); /* and node 2 the first of node 1 */
    add(&w.seen[1], 2, 1, 2);
    add(&w.before[2], 3, 1, 1); /* this one needs what nobody has */
    add(&w.seen[2], 4, 1, 1);
    ck_assert_int_eq(node_ev_joinable(&w.have, w.held, 3, &heap), 0);
    ck_assert(w.held[0].take);
    ck_assert(w.held[1].take);
    ck_assert(!w.held[2].take);
    wanting_release(&w);
}
END_TEST

START_TEST(what_is_replaced_must_be_there)
{
    struct wanting w;
    wanting_init(&w);
    add(&w.before[0], 1, 1, 1);
    add(&w.seen[0], 1, 1, 1); /* node 2 replaced the first of node 1 */
    add(&w.seen[0], 2, 1, 1);
    ck_assert_int_eq(node_ev_joinable(&w.have, w.held, 1, &heap), 0);
    ck_assert(!w.held[0].take);
    add(&w.seen[1], 1, 1, 1); /* it comes from node 1 itself */
    ck_assert_int_eq(node_ev_joinable(&w.have, w.held, 2, &heap), 0);
    ck_assert(w.held[0].take);
    ck_assert(w.held[1].take);
    wanting_release(&w);
}
END_TEST

START_TEST(what_needs_one_that_waits_waits_too)
{
    struct wanting w;
    wanting_init(&w);
    add(&w.before[0], 3, 1, 1);
    add(&w.seen[0], 1, 1, 1);
    add(&w.before[1], 1, 1, 1);
    add(&w.seen[1], 2, 1, 1);
    ck_assert_int_eq(node_ev_joinable(&w.have, w.held, 2, &heap), 0);
    ck_assert(!w.held[0].take);
    ck_assert(!w.held[1].take);
    wanting_release(&w);
}
END_TEST

/* ---- the ring ------------------------------------------------------------------------------- */

START_TEST(the_ring_keeps_the_newest_within_its_bounds)
{
    struct node_ev_ring ring;
    uint8_t bytes[100];
    node_ev_ring_init(&ring, 128, 5000, &heap);
    for (unsigned i = 1; i <= 1000; i++) {
        memset(bytes, (int)(i & 0xff), sizeof bytes);
        node_ev_ring_add(&ring, (uint8_t)(i % 64), bytes_of(bytes, 1 + i % 100));
        ck_assert_uint_le(ring.bytes, 5000);
        ck_assert_uint_le(ring.next - ring.first, 128);
        const struct node_ev_noted *last = node_ev_ring_get(&ring, ring.next - 1);
        ck_assert_uint_eq(last->bytes, 1 + i % 100);
        ck_assert_uint_eq(last->region, i % 64);
        ck_assert_uint_eq(last->data[0], i & 0xff);
    }
    ck_assert_uint_eq(ring.next, 1001);
    node_ev_ring_release(&ring);
}
END_TEST

START_TEST(a_ring_without_memory_forgets_and_goes_on)
{
    struct alloc_budget budget;
    struct node_ev_ring ring;
    const uint8_t byte = 1;
    for (unsigned fail = 1; fail <= 3; fail++) {
        struct alloc scarce = alloc_budget_init(&budget, heap, 1u << 20);
        node_ev_ring_init(&ring, 128, 5000, &scarce);
        budget.fail_at = fail;
        node_ev_ring_add(&ring, 1, bytes_of(&byte, 1));
        node_ev_ring_add(&ring, 1, bytes_of(&byte, 1));
        ck_assert_uint_eq(ring.next, 3); /* numbers go on, so cursors notice */
        ck_assert_uint_gt(ring.first, 1);
        node_ev_ring_release(&ring);
        ck_assert_uint_eq(budget.used_bytes, 0);
    }
}
END_TEST

START_TEST(what_is_larger_than_the_ring_is_not_kept)
{
    struct node_ev_ring ring;
    uint8_t bytes[100] = {0};
    node_ev_ring_init(&ring, 128, 50, &heap);
    node_ev_ring_add(&ring, 1, bytes_of(bytes, 10));
    node_ev_ring_add(&ring, 1, bytes_of(bytes, 100));
    ck_assert_uint_eq(ring.first, ring.next);
    ck_assert_uint_eq(ring.next, 3);
    node_ev_ring_release(&ring);
}
END_TEST

/* ---- merging -------------------------------------------------------------------------------- */

#define MODEL_RECORDS 4u
#define MODEL_DOTS 64u

/* One region with multi-value registers, one a record: entries by dot counter of actor 1. */
struct model {
    bool live[MODEL_RECORDS][MODEL_DOTS];
    bool removed[MODEL_RECORDS][MODEL_DOTS];
    struct crdt_context seen;
};
static uint8_t model_region;
static struct buf model_key[MODEL_RECORDS];
static const uint8_t model_record_key[] = {CRDT_MV};

static void model_keys(void)
{
    unsigned found = 0;
    model_region = node_ev_region(bytes_of_text("first"));
    for (unsigned i = 0; found < MODEL_RECORDS; i++) {
        char name[32];
        snprintf(name, sizeof name, "name%u", i);
        if (node_ev_region(bytes_of_text(name)) == model_region) {
            buf_init(&model_key[found], &heap, 1024);
            int err = node_ev_key(bytes_of_text("s"), bytes_of_text(name), &model_key[found]);
            ck_assert_int_eq(err, 0);
            found++;
        }
    }
}

static void put_dot(struct buf *out, unsigned counter)
{
    (void)buf_put_u32(out, 1);
    (void)buf_put_u64(out, 1);
    (void)buf_put_u64(out, counter);
}

/* Writes one operation of the model as a fragment. kind 0 replaces, 1 adds, 2 removes. */
static void model_op(struct model *m, unsigned record, unsigned counter, unsigned kind,
                     struct buf *out)
{
    struct node_ev_fragment f;
    struct buf value;
    node_ev_fragment_init(&f, &heap);
    buf_init(&value, &heap, 1u << 16);
    f.region = model_region;
    f.time_us = counter;
    f.records_count = 1;
    ck_assert_int_eq(crdt_context_join(&f.before, &m->seen), 0);
    add(&f.seen, 1, counter, counter);
    for (unsigned i = 0; kind != 1 && i < MODEL_DOTS; i++) {
        if (m->live[record][i]) {
            add(&f.seen, 1, i, i);
            m->live[record][i] = false;
        }
    }
    m->live[record][counter] = kind != 2;
    m->removed[record][counter] = kind == 2;
    add(&m->seen, 1, counter, counter);
    (void)buf_put_u8(&value, 1);
    (void)buf_put_u32(&value, kind != 2);
    if (kind != 2) {
        put_dot(&value, counter);
        (void)buf_put_bytes(&value, bytes_of(&counter, 1));
    }
    (void)buf_put_u32(&value, kind == 2);
    if (kind == 2) {
        put_dot(&value, counter);
    }
    ck_assert_int_eq(node_ev_fragment_head(&f, out), 0);
    ck_assert_int_eq(node_ev_fragment_record(buf_view(&model_key[record]),
                                             bytes_of(model_record_key, 1), buf_view(&value), out),
                     0);
    buf_release(&value);
    node_ev_fragment_release(&f);
}

static void model_join_record(struct model *m, const struct node_ev_fragment *f, unsigned record,
                              struct bytes raw)
{
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry e;
    struct crdt_dot dot;
    bool came[MODEL_DOTS] = {false};
    ck_assert_int_eq(node_ev_record_begin(raw, &entries, &removals), 0);
    while (node_ev_record_entry(&entries, &e)) {
        ck_assert_uint_eq(e.payload.data[0], e.dot.counter);
        came[e.dot.counter] = true;
    }
    for (unsigned i = 1; i < MODEL_DOTS; i++) {
        const struct crdt_dot at = {.actor = {.node = 1, .epoch = 1}, .counter = i};
        bool mine = crdt_context_has(&m->seen, at);
        bool keeps = m->live[record][i] && (came[i] || !crdt_context_has(&f->seen, at));
        bool takes = came[i] && (!mine || m->live[record][i]);
        m->live[record][i] = keeps || takes;
    }
    while (node_ev_record_removal(&removals, &dot)) {
        m->removed[record][dot.counter] = true;
    }
}

static void model_join(struct model *m, struct bytes raw)
{
    struct node_ev_fragment f;
    struct node_ev_fragment_cursor c;
    struct bytes key;
    struct bytes record_key;
    struct bytes value;
    node_ev_fragment_init(&f, &heap);
    ck_assert_int_eq(node_ev_fragment_decode(&f, raw), 0);
    ck_assert(crdt_may_join(&m->seen, &f.before));
    node_ev_fragment_begin(&f, &c);
    while (node_ev_fragment_next(&c, &key, &record_key, &value)) {
        unsigned record = 0;
        while (!bytes_equal(buf_view(&model_key[record]), key)) {
            record++;
        }
        model_join_record(m, &f, record, value);
    }
    ck_assert_int_eq(crdt_context_join(&m->seen, &f.seen), 0);
    node_ev_fragment_release(&f);
}

static void model_check_merge(struct rng *r)
{
    struct model maker = {0};
    struct model other = {0};
    struct buf made[MODEL_DOTS];
    struct bytes views[MODEL_DOTS];
    struct buf merged;
    unsigned count = 2 + (unsigned)rng_below(r, MODEL_DOTS - 3);
    unsigned from = (unsigned)rng_below(r, count);
    crdt_context_init(&maker.seen, &heap);
    crdt_context_init(&other.seen, &heap);
    buf_init(&merged, &heap, 1u << 20);
    for (unsigned i = 0; i < count; i++) {
        buf_init(&made[i], &heap, 1u << 16);
        model_op(&maker, (unsigned)rng_below(r, MODEL_RECORDS), i + 1, (unsigned)rng_below(r, 3),
                 &made[i]);
        views[i] = buf_view(&made[i]);
        if (i < from) {
            model_join(&other, views[i]);
        }
    }
    ck_assert_int_eq(node_ev_merge(views + from, count - from, &heap, &merged), 0);
    model_join(&other, buf_view(&merged));
    ck_assert(crdt_context_equal(&maker.seen, &other.seen));
    ck_assert_mem_eq(maker.live, other.live, sizeof maker.live);
    ck_assert_mem_eq(maker.removed, other.removed, sizeof maker.removed);
    model_join(&other, buf_view(&merged)); /* twice does no harm: scenario C23 */
    ck_assert_mem_eq(maker.live, other.live, sizeof maker.live);
    for (unsigned i = 0; i < count; i++) {
        buf_release(&made[i]);
    }
    buf_release(&merged);
    crdt_context_release(&maker.seen);
    crdt_context_release(&other.seen);
}

/* scenarios C23 and C24: also a removal after the addition that it removes, in one group */
START_TEST(a_merged_interval_does_what_its_fragments_do)
{
    struct rng r;
    rng_init(&r, unit_seed("merge", 5));
    model_keys();
    for (unsigned i = 0; i < 2000; i++) {
        model_check_merge(&r);
    }
    for (unsigned i = 0; i < MODEL_RECORDS; i++) {
        buf_release(&model_key[i]);
    }
}
END_TEST

/* Appends a fragment that has nothing but contexts: before it nodes 1 and 2 had made so much, its
 * own dot is that of node `maker`, and it replaces one of node 2. */
static void bare_fragment(struct buf *out, const uint64_t before[2], uint32_t maker, uint64_t made)
{
    struct node_ev_fragment f;
    node_ev_fragment_init(&f, &heap);
    buf_init(out, &heap, 1u << 16);
    f.region = model_region;
    add(&f.before, 1, 1, before[0]);
    add(&f.before, 2, 1, before[1]);
    add(&f.seen, maker, made, made);
    add(&f.seen, 2, before[1], before[1]);
    ck_assert_int_eq(node_ev_fragment_head(&f, out), 0);
    node_ev_fragment_release(&f);
}

/* Merges two fragments of node 1 with a later one of node `maker`, which had seen `last`, and
 * checks what is asked for. */
static void check_asks(uint32_t maker, const uint64_t last[2], const uint64_t asks[2])
{
    static const uint64_t first[2][2] = {{2, 2}, {3, 5}};
    struct buf made[3];
    struct bytes views[3];
    struct buf merged;
    struct node_ev_fragment f;
    struct crdt_context expected;
    crdt_context_init(&expected, &heap);
    add(&expected, 1, 1, asks[0]);
    add(&expected, 2, 1, asks[1]);
    bare_fragment(&made[0], first[0], 1, 3);
    bare_fragment(&made[1], first[1], 1, 4);
    bare_fragment(&made[2], last, maker, 5);
    for (unsigned i = 0; i < 3; i++) {
        views[i] = buf_view(&made[i]);
    }
    buf_init(&merged, &heap, 1u << 20);
    ck_assert_int_eq(node_ev_merge(views, 3, &heap, &merged), 0);
    node_ev_fragment_init(&f, &heap);
    ck_assert_int_eq(node_ev_fragment_decode(&f, buf_view(&merged)), 0);
    ck_assert(crdt_context_equal(&f.before, &expected));
    node_ev_fragment_release(&f);
    crdt_context_release(&expected);
    buf_release(&merged);
    for (unsigned i = 0; i < 3; i++) {
        buf_release(&made[i]);
    }
}

START_TEST(a_merged_interval_asks_for_what_came_between_its_fragments)
{
    check_asks(1, (const uint64_t[2]){4, 6}, (const uint64_t[2]){2, 6});
}
END_TEST

/* the second has lost some of what the first had seen */
START_TEST(a_merged_interval_of_two_actors_asks_for_all_that_any_had_seen)
{
    check_asks(3, (const uint64_t[2]){1, 1}, (const uint64_t[2]){3, 5});
}
END_TEST

START_TEST(writes_of_one_register_travel_as_one_record)
{
    struct model maker = {0};
    struct buf made[MODEL_DOTS];
    struct bytes views[MODEL_DOTS];
    struct buf merged;
    struct node_ev_fragment f;
    model_keys();
    crdt_context_init(&maker.seen, &heap);
    buf_init(&merged, &heap, 1u << 20);
    node_ev_fragment_init(&f, &heap);
    for (unsigned i = 0; i < 60; i++) {
        buf_init(&made[i], &heap, 1u << 16);
        model_op(&maker, 0, i + 1, 0, &made[i]);
        views[i] = buf_view(&made[i]);
    }
    ck_assert_int_eq(node_ev_merge(views, 60, &heap, &merged), 0);
    ck_assert_uint_lt(merged.size, made[0].size * 2);
    ck_assert_int_eq(node_ev_fragment_decode(&f, buf_view(&merged)), 0);
    ck_assert_uint_eq(f.records_count, 1);
    ck_assert_uint_eq(f.before.count, 0); /* nothing but what it brings itself */
    ck_assert_uint_eq(f.time_us, 60);
    node_ev_fragment_release(&f);
    for (unsigned i = 0; i < 60; i++) {
        buf_release(&made[i]);
    }
    for (unsigned i = 0; i < MODEL_RECORDS; i++) {
        buf_release(&model_key[i]);
    }
    buf_release(&merged);
    crdt_context_release(&maker.seen);
}
END_TEST

int main(void)
{
    heap = alloc_heap();
    const TTest *const tests[] = {the_first_five_nodes_that_are_in_own_a_region,
                                  an_owner_that_is_out_counts_for_what_is_stable,
                                  a_small_cluster_owns_everything,
                                  what_two_contexts_share_and_do_not_is_exact,
                                  a_delta_before_its_predecessor_waits,
                                  deltas_that_need_each_other_are_joined_together,
                                  what_is_replaced_must_be_there,
                                  what_needs_one_that_waits_waits_too,
                                  the_ring_keeps_the_newest_within_its_bounds,
                                  a_ring_without_memory_forgets_and_goes_on,
                                  what_is_larger_than_the_ring_is_not_kept,
                                  a_merged_interval_does_what_its_fragments_do,
                                  a_merged_interval_asks_for_what_came_between_its_fragments,
                                  a_merged_interval_of_two_actors_asks_for_all_that_any_had_seen,
                                  writes_of_one_register_travel_as_one_record,
                                  NULL};
    return unit_run("eventual_peers", tests);
}
