/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode: names, records, regions and fragments as bytes.
 */
#include "base/rng.h"
#include "server/node/eventual_internal.h"
#include "server/node/eventual_self_internal.h"
#include "tests/unit/unit.h"
#include "wire/api.h"

#include <string.h>

static struct alloc heap;

static struct crdt_dot dot_of(uint32_t node, uint64_t epoch, uint64_t counter)
{
    return (struct crdt_dot){{node, epoch}, counter};
}

static void put_dot(struct buf *out, struct crdt_dot d)
{
    (void)buf_put_u32(out, d.actor.node);
    (void)buf_put_u64(out, d.actor.epoch);
    (void)buf_put_u64(out, d.counter);
}

/* A record as docs/formats.md has it. */
static void put_record(struct buf *out, const struct node_ev_entry *entries, uint32_t live,
                       const struct crdt_dot *removals, uint32_t gone)
{
    (void)buf_put_u8(out, 1);
    (void)buf_put_u32(out, live);
    for (uint32_t i = 0; i < live; i++) {
        put_dot(out, entries[i].dot);
        (void)buf_put_bytes(out, entries[i].payload);
    }
    (void)buf_put_u32(out, gone);
    for (uint32_t i = 0; i < gone; i++) {
        put_dot(out, removals[i]);
    }
    ck_assert_int_eq(out->err, 0);
}

static void put_key(struct buf *key, const char *name)
{
    ck_assert_int_eq(node_ev_key(bytes_of_text("default"), bytes_of_text(name), key), 0);
}

START_TEST(a_record_name_comes_apart_again)
{
    struct buf key;
    struct buf name;
    uint8_t region;
    struct bytes k;
    struct bytes rk;
    buf_init(&key, &heap, 4096);
    buf_init(&name, &heap, 4096);
    put_key(&key, "user:1");
    struct bytes record_key = bytes_of_text("\x08member");
    ck_assert_int_eq(node_ev_record_name(63, buf_view(&key), record_key, &name), 0);
    ck_assert_int_eq(node_ev_record_parts(buf_view(&name), &region, &k, &rk), 0);
    ck_assert_uint_eq(region, 63);
    ck_assert(bytes_equal(k, buf_view(&key)) && bytes_equal(rk, record_key));
    for (size_t cut = 0; cut < 4 + key.size; cut++) {
        ck_assert_int_eq(node_ev_record_parts(bytes_of(name.data, cut), &region, &k, &rk),
                         ERR_CORRUPT);
    }
    name.data[1] = NODE_EV_REGIONS;
    ck_assert_int_eq(node_ev_record_parts(buf_view(&name), &region, &k, &rk), ERR_CORRUPT);
    buf_release(&key);
    buf_release(&name);
}
END_TEST

START_TEST(names_that_are_empty_or_do_not_fit_are_refused)
{
    static uint8_t big[2000];
    struct buf b;
    buf_init(&b, &heap, 8192);
    struct bytes good = bytes_of_text("x");
    struct bytes none = bytes_of(big, 0);
    ck_assert_int_eq(node_ev_key(none, good, &b), ERR_BAD_NAME);
    ck_assert_int_eq(node_ev_key(good, none, &b), ERR_BAD_NAME);
    ck_assert_int_eq(node_ev_key(good, bytes_of(big, 1025), &b), ERR_TOO_LARGE);
    ck_assert_int_eq(node_ev_key(bytes_of(big, 100), bytes_of(big, 1000), &b), ERR_TOO_LARGE);
    ck_assert_int_eq(node_ev_record_name(0, bytes_of(big, 1000), bytes_of(big, 96), &b), 0);
    ck_assert_int_eq(node_ev_record_name(0, bytes_of(big, 1000), bytes_of(big, 97), &b),
                     ERR_TOO_LARGE);
    buf_release(&b);
}
END_TEST

START_TEST(keys_of_one_tag_share_a_region_and_regions_share_the_keys)
{
    unsigned of[NODE_EV_REGIONS] = {0};
    char name[32];
    for (unsigned i = 0; i < 6400; i++) {
        int size = snprintf(name, sizeof name, "key:%u", i);
        uint8_t region = node_ev_region(bytes_of(name, (size_t)size));
        ck_assert_uint_lt(region, NODE_EV_REGIONS);
        of[region]++;
    }
    for (unsigned i = 0; i < NODE_EV_REGIONS; i++) {
        ck_assert_uint_gt(of[i], 50);
    }
    ck_assert_uint_eq(node_ev_region(bytes_of_text("a{tag}b")),
                      node_ev_region(bytes_of_text("{tag}")));
}
END_TEST

START_TEST(a_record_gives_back_its_entries_and_removals)
{
    struct node_ev_entry e[2] = {{dot_of(1, 2, 3), bytes_of_text("ab")},
                                 {dot_of(2, 0, 1), bytes_of_text("")}};
    struct crdt_dot gone[2] = {dot_of(1, 2, 4), dot_of(3, 1, 1)};
    struct node_ev_cursor entries;
    struct node_ev_cursor removals;
    struct node_ev_entry got;
    struct crdt_dot d;
    struct buf raw;
    buf_init(&raw, &heap, 4096);
    put_record(&raw, e, 2, gone, 2);
    ck_assert_int_eq(node_ev_record_begin(buf_view(&raw), &entries, &removals), 0);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert(node_ev_record_entry(&entries, &got));
        ck_assert(crdt_dot_compare(got.dot, e[i].dot) == 0);
        ck_assert(bytes_equal(got.payload, e[i].payload));
        ck_assert(node_ev_record_removal(&removals, &d));
        ck_assert(crdt_dot_compare(d, gone[i]) == 0);
    }
    ck_assert(!node_ev_record_entry(&entries, &got) && !node_ev_record_removal(&removals, &d));
    ck_assert_int_eq(node_ev_record_begin(bytes_of(NULL, 0), &entries, &removals), 0);
    ck_assert(!node_ev_record_entry(&entries, &got) && !node_ev_record_removal(&removals, &d));
    buf_release(&raw);
}
END_TEST

START_TEST(a_record_cut_anywhere_out_of_order_or_empty_is_refused)
{
    struct node_ev_entry e[2] = {{dot_of(2, 0, 1), bytes_of_text("x")},
                                 {dot_of(1, 2, 3), bytes_of_text("y")}};
    struct crdt_dot gone[2] = {dot_of(3, 1, 1), dot_of(3, 1, 1)};
    struct node_ev_cursor a;
    struct node_ev_cursor b;
    struct buf raw;
    buf_init(&raw, &heap, 4096);
    put_record(&raw, e, 1, gone, 1);
    for (size_t cut = 1; cut < raw.size; cut++) {
        ck_assert_int_eq(node_ev_record_begin(bytes_of(raw.data, cut), &a, &b), ERR_CORRUPT);
    }
    buf_clear(&raw);
    put_record(&raw, e, 2, gone, 0);
    ck_assert_int_eq(node_ev_record_begin(buf_view(&raw), &a, &b), ERR_CORRUPT);
    buf_clear(&raw);
    put_record(&raw, e, 1, gone, 2);
    ck_assert_int_eq(node_ev_record_begin(buf_view(&raw), &a, &b), ERR_CORRUPT);
    buf_clear(&raw);
    put_record(&raw, e, 0, gone, 0);
    ck_assert_int_eq(node_ev_record_begin(buf_view(&raw), &a, &b), ERR_CORRUPT);
    buf_release(&raw);
}
END_TEST

START_TEST(a_record_loads_into_a_state_that_reads_it)
{
    struct crdt_state s;
    struct crdt_path path;
    struct buf key;
    struct buf raw;
    uint8_t total[2][1] = {{7}, {5}};
    struct node_ev_entry e[2] = {{dot_of(1, 1, 9), bytes_of(total[0], 1)},
                                 {dot_of(2, 1, 4), bytes_of(total[1], 1)}};
    crdt_state_init(&s, &heap);
    buf_init(&key, &heap, 64);
    buf_init(&raw, &heap, 4096);
    crdt_path_init(&path, CRDT_G_COUNTER);
    ck_assert_int_eq(crdt_op_record(&path, &(struct crdt_op){.verb = CRDT_ADD}, &key), 0);
    put_record(&raw, e, 2, NULL, 0);
    ck_assert_int_eq(node_ev_record_load(&s, buf_view(&key), buf_view(&raw)), 0);
    ck_assert_int_eq(crdt_counter(&s, &path), 12);
    total[0][0] = 0; /* no total is 0 */
    buf_clear(&raw);
    put_record(&raw, e, 2, NULL, 0);
    ck_assert_int_eq(node_ev_record_load(&s, buf_view(&key), buf_view(&raw)), ERR_CORRUPT);
    crdt_state_release(&s);
    buf_release(&key);
    buf_release(&raw);
}
END_TEST

START_TEST(a_region_comes_back_as_it_was)
{
    struct node_ev_region r = {.time_us = 77, .digest = {1, 2}};
    struct node_ev_region got = {0};
    struct buf raw;
    struct buf again;
    buf_init(&raw, &heap, 4096);
    buf_init(&again, &heap, 4096);
    crdt_context_init(&r.seen, &heap);
    crdt_context_init(&got.seen, &heap);
    ck_assert_int_eq(node_ev_region_decode(bytes_of(NULL, 0), &got), 0);
    ck_assert_uint_eq(got.seen.count, 0);
    ck_assert_int_eq(crdt_context_add(&r.seen, &(struct crdt_range){{1, 1}, 1, 9}), 0);
    ck_assert_int_eq(crdt_context_add(&r.seen, &(struct crdt_range){{2, 1}, 3, 4}), 0);
    ck_assert_int_eq(node_ev_region_encode(&r, &raw), 0);
    ck_assert_int_eq(node_ev_region_decode(buf_view(&raw), &got), 0);
    ck_assert(got.time_us == 77 && got.digest.low == 1 && got.digest.high == 2);
    ck_assert(crdt_context_equal(&r.seen, &got.seen));
    ck_assert_int_eq(node_ev_region_encode(&got, &again), 0);
    ck_assert(bytes_equal(buf_view(&raw), buf_view(&again)));
    for (size_t cut = 1; cut < raw.size; cut++) {
        crdt_context_release(&got.seen);
        ck_assert_int_eq(node_ev_region_decode(bytes_of(raw.data, cut), &got), ERR_CORRUPT);
        ck_assert_uint_eq(got.seen.count, 0);
    }
    raw.data[0] = 2; /* nothing in it is folded */
    ck_assert_int_eq(node_ev_region_decode(buf_view(&raw), &got), ERR_CORRUPT);
    raw.data[0] = 3;
    ck_assert_int_eq(node_ev_region_decode(buf_view(&raw), &got), ERR_LEVEL);
    crdt_context_release(&r.seen);
    crdt_context_release(&got.seen);
    buf_release(&raw);
    buf_release(&again);
}
END_TEST

START_TEST(the_hash_of_a_region_tells_contexts_and_entries_but_not_clocks)
{
    struct node_ev_region r = {.time_us = 1, .digest = {5, 6}};
    crdt_context_init(&r.seen, &heap);
    ck_assert_int_eq(crdt_context_add(&r.seen, &(struct crdt_range){{1, 1}, 1, 9}), 0);
    struct hash_digest first = node_ev_region_hash(&r);
    r.time_us = 2;
    struct hash_digest same = node_ev_region_hash(&r);
    ck_assert(first.low == same.low && first.high == same.high);
    ck_assert_int_eq(crdt_context_add(&r.seen, &(struct crdt_range){{1, 1}, 10, 10}), 0);
    struct hash_digest more = node_ev_region_hash(&r);
    ck_assert(first.low != more.low && first.high != more.high);
    r.digest.low++;
    struct hash_digest other = node_ev_region_hash(&r);
    ck_assert(more.low != other.low);
    crdt_context_release(&r.seen);
}
END_TEST

/* ---- fragments ------------------------------------------------------------------------------ */

/* A delta with a set's element and a counter, one of them removed. */
static void put_fragment(struct buf *out, uint8_t flags)
{
    struct node_ev_fragment f;
    struct buf key;
    struct buf value;
    uint8_t total = 7;
    buf_init(&key, &heap, 4096);
    buf_init(&value, &heap, 4096);
    put_key(&key, "k");
    node_ev_fragment_init(&f, &heap);
    f.region = node_ev_region(bytes_of_text("k"));
    f.flags = flags;
    f.time_us = 1234567;
    f.mark = (flags & NODE_EV_LAST) != 0 ? 77 : 0;
    f.records_count = 2;
    if (flags == 0) {
        ck_assert_int_eq(crdt_context_add(&f.before, &(struct crdt_range){{1, 1}, 1, 300}), 0);
    }
    ck_assert_int_eq(crdt_context_add(&f.seen, &(struct crdt_range){{1, 1}, 301, 303}), 0);
    ck_assert_int_eq(node_ev_fragment_head(&f, out), 0);
    struct crdt_dot gone = dot_of(1, 1, 302);
    put_record(&value, NULL, 0, &gone, 1);
    uint8_t set[] = {CRDT_AW_SET, 'a', 'b'};
    ck_assert_int_eq(
        node_ev_fragment_record(buf_view(&key), bytes_of(set, 3), buf_view(&value), out), 0);
    struct node_ev_entry e = {dot_of(1, 1, 303), bytes_of(&total, 1)};
    uint8_t counter[] = {CRDT_MAP, 0, 1, 'f', CRDT_G_COUNTER};
    buf_clear(&value);
    put_record(&value, &e, 1, NULL, 0);
    ck_assert_int_eq(
        node_ev_fragment_record(buf_view(&key), bytes_of(counter, 5), buf_view(&value), out), 0);
    node_ev_fragment_release(&f);
    buf_release(&key);
    buf_release(&value);
}

/* returns: whether v is a fragment; it then is written again byte for byte. */
static bool fragment_is(struct bytes v)
{
    struct node_ev_fragment f;
    struct node_ev_fragment_cursor c;
    struct bytes key;
    struct bytes record_key;
    struct bytes value;
    struct buf again;
    node_ev_fragment_init(&f, &heap);
    int err = node_ev_fragment_decode(&f, v);
    if (err == 0) {
        buf_init(&again, &heap, NODE_EV_FRAGMENT_MAX);
        ck_assert_int_eq(node_ev_fragment_head(&f, &again), 0);
        node_ev_fragment_begin(&f, &c);
        while (node_ev_fragment_next(&c, &key, &record_key, &value)) {
            ck_assert_int_eq(node_ev_fragment_record(key, record_key, value, &again), 0);
        }
        ck_assert(bytes_equal(v, buf_view(&again)));
        buf_release(&again);
    }
    ck_assert(err == 0 || err == ERR_PROTOCOL || err == ERR_TOO_LARGE || err == ERR_LEVEL);
    node_ev_fragment_release(&f);
    return err == 0;
}

START_TEST(a_fragment_is_read_as_it_was_written)
{
    struct buf raw;
    buf_init(&raw, &heap, 4096);
    put_fragment(&raw, 0);
    ck_assert(fragment_is(buf_view(&raw)));
    buf_clear(&raw);
    put_fragment(&raw, NODE_EV_PAGE | NODE_EV_LAST | NODE_EV_RESTORE);
    ck_assert(fragment_is(buf_view(&raw)));
    buf_clear(&raw);
    put_fragment(&raw, 0);
    struct node_ev_fragment f;
    node_ev_fragment_init(&f, &heap);
    raw.data[0] = 2; /* nothing in it is folded */
    ck_assert_int_eq(node_ev_fragment_decode(&f, buf_view(&raw)), ERR_PROTOCOL);
    raw.data[0] = 3; /* a later format: scenario C43 */
    ck_assert_int_eq(node_ev_fragment_decode(&f, buf_view(&raw)), ERR_LEVEL);
    node_ev_fragment_release(&f);
    buf_release(&raw);
}
END_TEST

START_TEST(a_fragment_cut_or_flipped_anywhere_is_refused_or_another_one)
{
    struct buf raw;
    struct buf bad;
    buf_init(&raw, &heap, 4096);
    buf_init(&bad, &heap, 4096);
    put_fragment(&raw, 0);
    for (size_t cut = 0; cut < raw.size; cut++) {
        ck_assert(!fragment_is(bytes_of(raw.data, cut)));
    }
    for (size_t at = 0; at < raw.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            buf_clear(&bad);
            ck_assert_int_eq(buf_append(&bad, raw.data, raw.size), 0);
            bad.data[at] ^= (uint8_t)(1u << bit);
            (void)fragment_is(buf_view(&bad));
        }
    }
    buf_release(&raw);
    buf_release(&bad);
}
END_TEST

START_TEST(a_fragment_of_keys_of_another_region_is_refused)
{
    struct buf raw;
    buf_init(&raw, &heap, 4096);
    put_fragment(&raw, 0);
    raw.data[1] = (uint8_t)((raw.data[1] + 1) % NODE_EV_REGIONS);
    ck_assert(!fragment_is(buf_view(&raw)));
    raw.data[1] = NODE_EV_REGIONS;
    ck_assert(!fragment_is(buf_view(&raw)));
    buf_release(&raw);
}
END_TEST

/* A version that came before reads what says no more than it knows. */
START_TEST(what_a_node_knows_of_itself_is_written_in_the_lowest_format_that_says_it)
{
    static const struct {
        uint64_t mark;
        uint64_t mending;
        uint64_t ended_us;
        uint64_t sessions;
        uint64_t knows;
        uint8_t format;
        size_t bytes;
    } ways[] = {{0, 0, 0, 0, 0, 1, 50},
                {7, 0, 0, 0, 0, 2, 66},
                {7, UINT64_C(5) << 61, 0, 0, 0, 3, 74},
                {0, 0, UINT64_C(1) << 50, 0, 0, 4, 90},
                {7, 1, 0, 3, 0, 4, 90},
                {0, 0, 0, 0, 17, 5, 98}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const struct node_ev_self_record s = {.boot = 1,
                                              .nonce = 2,
                                              .epoch = 17,
                                              .next = 18,
                                              .end = 33,
                                              .clean = true,
                                              .since = 16,
                                              .mark = ways[i].mark,
                                              .told = ways[i].mark,
                                              .mending = ways[i].mending,
                                              .ended_us = ways[i].ended_us,
                                              .sessions = ways[i].sessions,
                                              .knows = ways[i].knows};
        struct node_ev_self_record back = {0};
        uint8_t raw[NODE_EV_SELF_BYTES];
        uint8_t again[NODE_EV_SELF_BYTES];
        struct bytes view = node_ev_self_encode(&s, raw);
        ck_assert_uint_eq(view.size, ways[i].bytes);
        ck_assert_uint_eq(raw[0], ways[i].format);
        ck_assert_int_eq(node_ev_self_decode(view, &back), 0);
        ck_assert_uint_eq(back.mark, s.mark);
        ck_assert_uint_eq(back.mending, s.mending);
        ck_assert_uint_eq(back.ended_us, s.ended_us);
        ck_assert_uint_eq(back.sessions, s.sessions);
        ck_assert_uint_eq(back.knows, s.knows);
        ck_assert(bytes_equal(node_ev_self_encode(&back, again), view));
        for (size_t cut = 1; cut < view.size; cut++) {
            ck_assert_int_eq(node_ev_self_decode(bytes_of(raw, cut), &back), ERR_CORRUPT);
        }
        raw[0] = 6;
        ck_assert_int_eq(node_ev_self_decode(view, &back), ERR_LEVEL);
    }
}
END_TEST

START_TEST(every_allocation_of_decoding_may_fail)
{
    struct buf raw;
    buf_init(&raw, &heap, 4096);
    put_fragment(&raw, 0);
    for (uint64_t at = 1;; at++) {
        struct alloc_budget budget;
        struct alloc few = alloc_budget_init(&budget, heap, UINT64_MAX);
        struct node_ev_fragment f;
        budget.fail_at = at;
        node_ev_fragment_init(&f, &few);
        int err = node_ev_fragment_decode(&f, buf_view(&raw));
        node_ev_fragment_release(&f);
        ck_assert_uint_eq(budget.used_bytes, 0);
        if (err == 0) {
            ck_assert_uint_gt(at, 2);
            break;
        }
        ck_assert_int_eq(err, ERR_NO_MEMORY);
    }
    buf_release(&raw);
}
END_TEST

START_TEST(random_records_come_back_equal)
{
    struct rng rng;
    struct buf raw;
    struct node_ev_entry e[8];
    struct crdt_dot gone[8];
    uint8_t payload[16];
    rng_init(&rng, unit_seed("ev_codec", 11));
    rng_fill(&rng, payload, sizeof payload);
    buf_init(&raw, &heap, 1u << 16);
    for (unsigned round = 0; round < 2000; round++) {
        uint32_t live = (uint32_t)rng_below(&rng, 9);
        uint32_t dead = (uint32_t)rng_below(&rng, 9);
        struct node_ev_cursor entries;
        struct node_ev_cursor removals;
        struct node_ev_entry got;
        struct crdt_dot d;
        uint64_t counter = 0;
        for (uint32_t i = 0; i < 8; i++) {
            counter += 1 + rng_below(&rng, 1000);
            e[i] = (struct node_ev_entry){dot_of(1 + i / 3, 7, counter),
                                          bytes_of(payload, rng_below(&rng, 17))};
            gone[i] = dot_of(1 + i / 2, 7, counter + 1);
        }
        buf_clear(&raw);
        put_record(&raw, e, live, gone, dead);
        ck_assert_int_eq(node_ev_record_begin(buf_view(&raw), &entries, &removals),
                         live + dead == 0 ? ERR_CORRUPT : 0);
        for (uint32_t i = 0; live + dead > 0 && i < live; i++) {
            ck_assert(node_ev_record_entry(&entries, &got));
            ck_assert(crdt_dot_compare(got.dot, e[i].dot) == 0);
            ck_assert(bytes_equal(got.payload, e[i].payload));
        }
        for (uint32_t i = 0; live + dead > 0 && i < dead; i++) {
            ck_assert(node_ev_record_removal(&removals, &d));
            ck_assert(crdt_dot_compare(d, gone[i]) == 0);
        }
        ck_assert(!node_ev_record_entry(&entries, &got));
        ck_assert(!node_ev_record_removal(&removals, &d));
    }
    buf_release(&raw);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_record_name_comes_apart_again,
        names_that_are_empty_or_do_not_fit_are_refused,
        keys_of_one_tag_share_a_region_and_regions_share_the_keys,
        a_record_gives_back_its_entries_and_removals,
        a_record_cut_anywhere_out_of_order_or_empty_is_refused,
        a_record_loads_into_a_state_that_reads_it,
        a_region_comes_back_as_it_was,
        the_hash_of_a_region_tells_contexts_and_entries_but_not_clocks,
        a_fragment_is_read_as_it_was_written,
        a_fragment_cut_or_flipped_anywhere_is_refused_or_another_one,
        a_fragment_of_keys_of_another_region_is_refused,
        what_a_node_knows_of_itself_is_written_in_the_lowest_format_that_says_it,
        every_allocation_of_decoding_may_fail,
        random_records_come_back_equal,
        NULL,
    };
    heap = alloc_heap();
    return unit_run("ev_codec", tests);
}
