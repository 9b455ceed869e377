/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of a session.
 */
#include "base/crc.h"
#include "base/err.h"
#include "base/rng.h"
#include "tests/unit/unit.h"
#include "wire/token.h"

#include <string.h>

static struct alloc heap;

static void add(struct wire_token *t, uint8_t region, uint32_t node, uint64_t from, uint64_t to)
{
    struct wire_token_range r = {
        .region = region, .node = node, .epoch = 1, .from = from, .to = to};
    ck_assert_int_eq(wire_token_add_range(t, &r), 0);
}

static void encoded(const struct wire_token *t, struct buf *out)
{
    buf_init(out, &heap, WIRE_TOKEN_BYTES_MAX);
    ck_assert_int_eq(wire_token_encode(t, out), 0);
}

START_TEST(ranges_that_meet_are_one)
{
    struct wire_token t;
    heap = alloc_heap();
    wire_token_init(&t, &heap);
    add(&t, 3, 1, 1, 4);
    add(&t, 3, 1, 9, 12);
    add(&t, 3, 2, 5, 6);
    add(&t, 2, 1, 5, 8);
    ck_assert_uint_eq(t.ranges_count, 4);
    add(&t, 3, 1, 5, 8); /* fills the gap */
    ck_assert_uint_eq(t.ranges_count, 3);
    ck_assert_uint_eq(t.ranges[0].region, 2);
    ck_assert_uint_eq(t.ranges[1].from, 1);
    ck_assert_uint_eq(t.ranges[1].to, 12);
    add(&t, 3, 1, 2, 3); /* known already */
    ck_assert_uint_eq(t.ranges_count, 3);
    wire_token_release(&t);
}
END_TEST

START_TEST(a_token_is_read_as_it_was_written)
{
    struct wire_token t;
    struct wire_token u;
    struct buf v;
    struct buf text;
    struct buf again;
    heap = alloc_heap();
    wire_token_init(&t, &heap);
    wire_token_init(&u, &heap);
    ck_assert_int_eq(wire_token_add_group(&t, 7, 100), 0);
    ck_assert_int_eq(wire_token_add_group(&t, 1, 50), 0);
    ck_assert_int_eq(wire_token_add_group(&t, 7, 90), 0); /* never falls */
    add(&t, 63, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX);
    add(&t, 0, 1, 1, 1);
    encoded(&t, &v);
    buf_init(&text, &heap, 1u << 20);
    buf_init(&again, &heap, WIRE_TOKEN_BYTES_MAX);
    ck_assert_int_eq(wire_token_to_text(buf_view(&v), &text), 0);
    ck_assert_int_eq(buf_put_u8(&text, '\n'), 0);
    ck_assert_int_eq(wire_token_of_text(buf_view(&text), &again), 0);
    ck_assert(bytes_equal(buf_view(&v), buf_view(&again)));
    ck_assert_int_eq(wire_token_decode(&u, buf_view(&again)), 0);
    ck_assert_uint_eq(wire_token_index(&u, 7), 100);
    ck_assert_uint_eq(wire_token_index(&u, 1), 50);
    ck_assert_uint_eq(wire_token_index(&u, 2), 0);
    ck_assert_uint_eq(u.ranges_count, 2);
    ck_assert_uint_eq(u.ranges[1].to, UINT64_MAX);
    ck_assert_int_eq(wire_token_decode(&u, bytes_of(NULL, 0)), 0);
    buf_release(&v);
    buf_release(&text);
    buf_release(&again);
    wire_token_release(&t);
    wire_token_release(&u);
}
END_TEST

static struct wire_token_range epoch_of(uint64_t epoch)
{
    return (struct wire_token_range){.region = 4, .node = 2, .epoch = epoch, .from = 1, .to = 9};
}

static struct wire_token_range folded(uint64_t from, uint64_t to)
{
    return (struct wire_token_range){.region = 4, .node = 2, .from = from, .to = to};
}

/* scenario C37: a range of epoch 0 takes the place of those of the epochs in it. */
START_TEST(what_is_folded_is_told_once)
{
    struct wire_token t;
    struct wire_token u;
    struct wire_token_range r = folded(1, 5);
    struct buf v;
    heap = alloc_heap();
    wire_token_init(&t, &heap);
    wire_token_init(&u, &heap);
    for (uint64_t epoch = 3; epoch <= 7; epoch++) {
        struct wire_token_range one = epoch_of(epoch);
        ck_assert_int_eq(wire_token_add_range(&t, &one), 0);
    }
    add(&t, 3, 2, 1, 1); /* of another region */
    ck_assert_int_eq(wire_token_add_range(&t, &r), 0);
    ck_assert_uint_eq(t.ranges_count, 4);
    ck_assert_uint_eq(t.ranges[1].epoch, WIRE_TOKEN_FOLDED);
    ck_assert_uint_eq(t.ranges[2].epoch, 6);
    r = epoch_of(4); /* known already */
    ck_assert_int_eq(wire_token_add_range(&t, &r), 0);
    ck_assert_uint_eq(t.ranges_count, 4);
    encoded(&t, &v);
    ck_assert_uint_eq(v.data[0], 2);
    ck_assert_int_eq(wire_token_decode(&u, buf_view(&v)), 0);
    ck_assert_uint_eq(u.ranges_count, 4);
    r = folded(6, 9);
    ck_assert_int_eq(wire_token_add_range(&u, &r), 0);
    ck_assert_uint_eq(u.ranges_count, 2);
    ck_assert_uint_eq(u.ranges[1].to, 9);
    buf_release(&v);
    wire_token_release(&t);
    wire_token_release(&u);
}
END_TEST

START_TEST(a_full_token_has_room_for_what_takes_the_place_of_others)
{
    struct wire_token t;
    struct wire_token_range r;
    heap = alloc_heap();
    wire_token_init(&t, &heap);
    for (uint64_t epoch = 1; epoch <= WIRE_TOKEN_RANGES_MAX; epoch++) {
        r = epoch_of(epoch);
        ck_assert_int_eq(wire_token_add_range(&t, &r), 0);
    }
    r = epoch_of(WIRE_TOKEN_RANGES_MAX + 1);
    ck_assert_int_eq(wire_token_add_range(&t, &r), ERR_TOO_LARGE);
    r = folded(1, 1000);
    ck_assert_int_eq(wire_token_add_range(&t, &r), 0);
    ck_assert_uint_eq(t.ranges_count, WIRE_TOKEN_RANGES_MAX - 1000 + 1);
    wire_token_release(&t);
}
END_TEST

/* What nobody of that level wrote. */
START_TEST(a_token_of_level_1_has_nothing_folded)
{
    struct wire_token t;
    struct wire_token u;
    struct wire_token_range r = folded(1, 5);
    struct buf v;
    heap = alloc_heap();
    wire_token_init(&t, &heap);
    wire_token_init(&u, &heap);
    ck_assert_int_eq(wire_token_add_range(&t, &r), 0);
    encoded(&t, &v);
    v.data[0] = 1;
    v.size -= 4;
    (void)buf_put_u32(&v, crc_of(v.data, v.size));
    ck_assert_int_eq(wire_token_decode(&u, buf_view(&v)), ERR_PROTOCOL);
    r = epoch_of(3);
    wire_token_release(&t);
    ck_assert_int_eq(wire_token_add_range(&t, &r), 0);
    buf_release(&v);
    encoded(&t, &v);
    ck_assert_uint_eq(v.data[0], 1);
    ck_assert_int_eq(wire_token_decode(&u, buf_view(&v)), 0);
    buf_release(&v);
    wire_token_release(&t);
    wire_token_release(&u);
}
END_TEST

START_TEST(the_order_of_joins_does_not_matter)
{
    struct rng rng;
    unsigned long long seed = unit_seed("the_order_of_joins_does_not_matter", 39);
    heap = alloc_heap();
    rng_init(&rng, seed);
    for (unsigned round = 0; round < 500; round++) {
        struct wire_token t[2];
        struct wire_token a;
        struct wire_token b;
        struct buf va;
        struct buf vb;
        wire_token_init(&a, &heap);
        wire_token_init(&b, &heap);
        for (unsigned i = 0; i < 2; i++) {
            wire_token_init(&t[i], &heap);
            for (unsigned j = 0; j < 20; j++) {
                uint64_t from = 1 + rng_below(&rng, 30);
                add(&t[i], (uint8_t)rng_below(&rng, 2), 1 + (uint32_t)rng_below(&rng, 2), from,
                    from + rng_below(&rng, 4));
                ck_assert_int_eq(
                    wire_token_add_group(&t[i], (uint32_t)rng_below(&rng, 4), rng_below(&rng, 9)),
                    0);
            }
        }
        ck_assert_int_eq(wire_token_join(&a, &t[0]), 0);
        ck_assert_int_eq(wire_token_join(&a, &t[1]), 0);
        ck_assert_int_eq(wire_token_join(&b, &t[1]), 0);
        ck_assert_int_eq(wire_token_join(&b, &t[0]), 0);
        ck_assert_int_eq(wire_token_join(&b, &t[0]), 0);
        encoded(&a, &va);
        encoded(&b, &vb);
        ck_assert(bytes_equal(buf_view(&va), buf_view(&vb)));
        buf_release(&va);
        buf_release(&vb);
        wire_token_release(&a);
        wire_token_release(&b);
        wire_token_release(&t[0]);
        wire_token_release(&t[1]);
    }
}
END_TEST

START_TEST(a_flipped_bit_or_a_cut_is_noticed)
{
    struct wire_token t;
    struct buf v;
    heap = alloc_heap();
    wire_token_init(&t, &heap);
    add(&t, 5, 2, 3, 4);
    encoded(&t, &v);
    for (size_t bit = 0; bit < v.size * 8; bit++) {
        struct wire_token u;
        wire_token_init(&u, &heap);
        v.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(wire_token_decode(&u, buf_view(&v)), ERR_CORRUPT);
        v.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        wire_token_release(&u);
    }
    for (size_t size = 1; size < v.size; size++) {
        struct wire_token u;
        wire_token_init(&u, &heap);
        ck_assert_int_ne(wire_token_decode(&u, bytes_of(v.data, size)), 0);
        wire_token_release(&u);
    }
    buf_release(&v);
    wire_token_release(&t);
}
END_TEST

START_TEST(a_token_is_bounded)
{
    struct wire_token t;
    struct buf v;
    heap = alloc_heap();
    wire_token_init(&t, &heap);
    for (uint32_t i = 0; i < WIRE_TOKEN_RANGES_MAX; i++) {
        add(&t, 1, 1, 1 + 2 * (uint64_t)i, 1 + 2 * (uint64_t)i);
    }
    struct wire_token_range more = {.region = 2, .node = 1, .epoch = 1, .from = 1, .to = 1};
    ck_assert_int_eq(wire_token_add_range(&t, &more), ERR_TOO_LARGE);
    add(&t, 1, 1, 1, 999); /* what becomes less is taken */
    ck_assert_uint_eq(t.ranges_count, WIRE_TOKEN_RANGES_MAX - 499);
    encoded(&t, &v);
    buf_release(&v);
    more.from = 0;
    ck_assert_int_eq(wire_token_add_range(&t, &more), ERR_INVALID);
    more.from = 2;
    ck_assert_int_eq(wire_token_add_range(&t, &more), ERR_INVALID);
    wire_token_release(&t);
}
END_TEST

START_TEST(text_that_is_no_token_is_refused)
{
    static const char *const bad[] = {"A", "AB=", "A B", "AAAAA", "AB*C", "AF"};
    struct buf v;
    heap = alloc_heap();
    buf_init(&v, &heap, 100);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        buf_clear(&v);
        ck_assert_int_eq(wire_token_of_text(bytes_of_text(bad[i]), &v), ERR_PROTOCOL);
    }
    buf_release(&v);
}
END_TEST

UNIT_MAIN("wire_token", ranges_that_meet_are_one, a_token_is_read_as_it_was_written,
          what_is_folded_is_told_once, a_full_token_has_room_for_what_takes_the_place_of_others,
          a_token_of_level_1_has_nothing_folded, the_order_of_joins_does_not_matter,
          a_flipped_bit_or_a_cut_is_noticed, a_token_is_bounded, text_that_is_no_token_is_refused)
