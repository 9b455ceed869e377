/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Layout: the sums and inverses of its arithmetic over many shapes, and the sizes that are fixed
 * once data is stored.
 */
#include "base/num.h"
#include "base/rng.h"
#include "erasure/erasure.h"

#include <check.h>
#include <stdlib.h>

#define KIB 1024u
#define MIB (1024u * 1024u)

static struct erasure_layout layout_of(unsigned k, unsigned m, uint64_t bytes)
{
    struct erasure_layout l;
    const struct erasure_layout_options options = {.scheme = {(uint8_t)k, (uint8_t)m},
                                                   .object_bytes = bytes};
    ck_assert_int_eq(erasure_layout_init(&l, &options), 0);
    return l;
}

START_TEST(cells_are_64_kib_under_8_mib_and_1_mib_from_there)
{
    ck_assert_uint_eq(erasure_cell_choice(0), 64 * KIB);
    ck_assert_uint_eq(erasure_cell_choice(8 * MIB - 1), 64 * KIB);
    ck_assert_uint_eq(erasure_cell_choice(8 * MIB), MIB);
}
END_TEST

START_TEST(extents_hold_up_to_128_mib_of_whole_stripes)
{
    ck_assert_uint_eq(layout_of(1, 2, 1u << 30).extent_stripes, 128);
    ck_assert_uint_eq(layout_of(3, 2, 1u << 30).extent_stripes, 42);
    ck_assert_uint_eq(layout_of(4, 2, 1u << 30).extent_stripes, 32);
    ck_assert_uint_eq(layout_of(32, 0, 1u << 30).extent_stripes, 4);
    ck_assert_uint_eq(layout_of(3, 2, 100).extent_stripes, 682);
    struct erasure_layout l;
    const struct erasure_layout_options tiny = {
        .scheme = {8, 3}, .object_bytes = 10 * MIB, .cell_bytes = 32 * KIB, .extent_bytes = 1};
    ck_assert_int_eq(erasure_layout_init(&l, &tiny), 0);
    ck_assert_uint_eq(l.extent_stripes, 1);
    ck_assert_uint_eq(l.extents_count, 40);
}
END_TEST

START_TEST(sizes_that_cannot_be_are_refused)
{
    struct erasure_layout l;
    struct erasure_layout_options o = {.scheme = {3, 2}, .object_bytes = 1};
    const uint32_t cells[] = {1, 8 * KIB, 16 * KIB + 1, 48 * KIB, 2 * MIB, UINT32_MAX};
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        o.cell_bytes = cells[i];
        ck_assert_int_eq(erasure_layout_init(&l, &o), ERR_INVALID);
    }
    o.cell_bytes = 0;
    o.object_bytes = UINT64_MAX;
    ck_assert_int_eq(erasure_layout_init(&l, &o), ERR_TOO_LARGE);
    o.object_bytes = 1;
    o.scheme.k = 0;
    ck_assert_int_eq(erasure_layout_init(&l, &o), ERR_SCHEME);
    o.scheme.k = 31;
    ck_assert_int_eq(erasure_layout_init(&l, &o), ERR_SCHEME);
}
END_TEST

START_TEST(an_empty_object_has_nothing)
{
    struct erasure_layout l = layout_of(3, 2, 0);
    struct erasure_place place = {0};
    uint32_t offset = 0;
    ck_assert_uint_eq(l.cells_count + l.leaves_count + l.stripes_count + l.extents_count, 0);
    ck_assert_uint_eq(erasure_cell_bytes(&l, &place), 0);
    ck_assert_uint_eq(erasure_shard_cells(&l, 0, 0), 0);
    ck_assert_uint_eq(erasure_shard_bytes(&l, 0, 4), 0);
    ck_assert_int_eq(erasure_locate(&l, 0, &place, &offset), ERR_RANGE);
}
END_TEST

START_TEST(a_short_last_stripe_is_coded_as_long_as_its_first_cell)
{
    /* 200 KiB and a byte in 64 KiB cells, 3 + 2: 64, 64, 64 and 8 KiB + 1, none, none */
    struct erasure_layout l = layout_of(3, 2, 200 * KIB + 1);
    ck_assert_uint_eq(l.cells_count, 4);
    ck_assert_uint_eq(l.stripes_count, 2);
    ck_assert_uint_eq(erasure_stripe_bytes(&l, 0, 0), 64 * KIB);
    ck_assert_uint_eq(erasure_stripe_bytes(&l, 0, 1), 8 * KIB + 1);
    ck_assert_uint_eq(erasure_stripe_empty(&l, 0, 0), 0);
    ck_assert_uint_eq(erasure_stripe_empty(&l, 0, 1), 0x6);
    for (uint8_t shard = 0; shard < 5; shard++) {
        const bool there = shard == 0 || shard >= 3;
        const struct erasure_place place = {.extent = 0, .stripe = 1, .shard = shard};
        ck_assert_uint_eq(erasure_cell_bytes(&l, &place), there ? 8 * KIB + 1 : 0);
        ck_assert_uint_eq(erasure_shard_cells(&l, 0, shard), there ? 2 : 1);
        ck_assert_uint_eq(erasure_shard_bytes(&l, 0, shard), 64 * KIB + (there ? 8 * KIB + 1 : 0));
    }
    /* one cell and a short one: parity is as long as the whole one */
    l = layout_of(3, 2, 65 * KIB);
    const struct erasure_place second = {.shard = 1};
    const struct erasure_place parity = {.shard = 4};
    ck_assert_uint_eq(erasure_cell_bytes(&l, &second), KIB);
    ck_assert_uint_eq(erasure_cell_bytes(&l, &parity), 64 * KIB);
}
END_TEST

/* Walks all cells of an object; everything the layout says must agree. */
static void check_layout(const struct erasure_layout *l)
{
    const unsigned shards = l->scheme.k + l->scheme.m;
    uint64_t data = 0;
    uint64_t cells = 0;
    uint64_t leaves = 0;
    uint64_t stripes = 0;
    for (uint64_t extent = 0; extent < l->extents_count; extent++) {
        const uint32_t extent_stripes = erasure_extent_stripes(l, extent);
        uint64_t in_extent = 0;
        ck_assert_uint_le(extent_stripes, l->extent_stripes);
        ck_assert_uint_gt(extent_stripes, 0);
        stripes += extent_stripes;
        for (uint8_t shard = 0; shard < shards; shard++) {
            uint64_t bytes = 0;
            uint32_t count = 0;
            for (uint32_t stripe = 0; stripe <= extent_stripes; stripe++) {
                const struct erasure_place place = {extent, stripe, shard};
                const uint32_t cell = stripe < extent_stripes ? erasure_cell_bytes(l, &place) : 0;
                ck_assert_uint_le(cell, erasure_stripe_bytes(l, extent, stripe));
                bytes += cell;
                count += cell > 0;
                leaves += shard < l->scheme.k ? num_div_up(cell, ERASURE_LEAF_BYTES) : 0;
            }
            ck_assert_uint_eq(bytes, erasure_shard_bytes(l, extent, shard));
            ck_assert_uint_eq(count, erasure_shard_cells(l, extent, shard));
            in_extent += shard < l->scheme.k ? bytes : 0;
            cells += shard < l->scheme.k ? count : 0;
        }
        ck_assert_uint_eq(in_extent, erasure_extent_bytes(l, extent));
        data += in_extent;
    }
    ck_assert_uint_eq(data, l->object_bytes);
    ck_assert_uint_eq(cells, l->cells_count);
    ck_assert_uint_eq(leaves, l->leaves_count);
    ck_assert_uint_eq(stripes, l->stripes_count);
    ck_assert_uint_eq(erasure_extent_bytes(l, l->extents_count), 0);
}

static struct erasure_layout random_layout(struct rng *r)
{
    struct erasure_layout l;
    struct erasure_layout_options o;
    o.scheme.k = (uint8_t)rng_between(r, 1, 32);
    o.scheme.m = (uint8_t)rng_below(r, 33u - o.scheme.k);
    o.cell_bytes = ERASURE_LEAF_BYTES << rng_below(r, 7);
    o.extent_bytes = rng_between(r, 1, 6) * o.cell_bytes * o.scheme.k;
    o.object_bytes = rng_below(r, 5 * o.extent_bytes);
    if (rng_chance(r, 1, 3)) {
        o.object_bytes -= o.object_bytes % ((uint64_t)o.cell_bytes * o.scheme.k);
    }
    ck_assert_int_eq(erasure_layout_init(&l, &o), 0);
    return l;
}

START_TEST(cells_stripes_shards_and_extents_add_up_to_the_object)
{
    struct rng r;
    rng_init(&r, 31);
    for (unsigned round = 0; round < 400; round++) {
        struct erasure_layout l = random_layout(&r);
        check_layout(&l);
    }
}
END_TEST

START_TEST(every_byte_has_one_place_and_the_place_knows_its_cell)
{
    struct rng r;
    rng_init(&r, 32);
    for (unsigned round = 0; round < 4000; round++) {
        struct erasure_layout l = random_layout(&r);
        if (l.object_bytes == 0) {
            continue;
        }
        uint64_t at = rng_chance(&r, 1, 4) ? l.object_bytes - 1 : rng_below(&r, l.object_bytes);
        struct erasure_place place;
        uint32_t offset = 0;
        ck_assert_int_eq(erasure_locate(&l, at, &place, &offset), 0);
        ck_assert_uint_lt(place.shard, l.scheme.k);
        ck_assert_uint_lt(place.extent, l.extents_count);
        ck_assert_uint_lt(place.stripe, erasure_extent_stripes(&l, place.extent));
        ck_assert_uint_lt(offset, erasure_cell_bytes(&l, &place));
        uint64_t cell = erasure_cell_number(&l, &place);
        ck_assert_uint_eq(cell * l.cell_bytes + offset, at);
        struct erasure_place again = erasure_cell_place(&l, cell);
        ck_assert_uint_eq(again.extent, place.extent);
        ck_assert_uint_eq(again.stripe, place.stripe);
        ck_assert_uint_eq(again.shard, place.shard);
        ck_assert_uint_eq(erasure_cell_leaf(&l, cell) * ERASURE_LEAF_BYTES, cell * l.cell_bytes);
        ck_assert_int_eq(erasure_locate(&l, l.object_bytes, &place, &offset), ERR_RANGE);
        ck_assert_int_eq(erasure_locate(&l, UINT64_MAX, &place, &offset), ERR_RANGE);
    }
}
END_TEST

START_TEST(the_largest_object_does_not_overflow)
{
    struct erasure_layout l = layout_of(32, 0, UINT64_C(1) << 56);
    struct erasure_place place;
    uint32_t offset = 0;
    ck_assert_int_eq(erasure_locate(&l, (UINT64_C(1) << 56) - 1, &place, &offset), 0);
    ck_assert_uint_eq(offset, MIB - 1);
    ck_assert_uint_eq(place.extent, l.extents_count - 1);
    ck_assert_uint_eq(erasure_cell_number(&l, &place), l.cells_count - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("erasure_layout");
    TCase *tests = tcase_create("layout");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, cells_are_64_kib_under_8_mib_and_1_mib_from_there);
    tcase_add_test(tests, extents_hold_up_to_128_mib_of_whole_stripes);
    tcase_add_test(tests, sizes_that_cannot_be_are_refused);
    tcase_add_test(tests, an_empty_object_has_nothing);
    tcase_add_test(tests, a_short_last_stripe_is_coded_as_long_as_its_first_cell);
    tcase_add_test(tests, cells_stripes_shards_and_extents_add_up_to_the_object);
    tcase_add_test(tests, every_byte_has_one_place_and_the_place_knows_its_cell);
    tcase_add_test(tests, the_largest_object_does_not_overflow);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
