/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Checksums, hashes and random numbers against known values.
 */
#include "base/crc.h"
#include "base/hash.h"
#include "base/rng.h"
#include "tests/unit/simd.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(crc32c_gives_the_published_values)
{
    uint8_t block[32];
    ck_assert_uint_eq(crc_of("123456789", 9), 0xe3069283u);
    ck_assert_uint_eq(crc_of("", 0), 0);
    /* RFC 3720, appendix B.4 */
    memset(block, 0, sizeof(block));
    ck_assert_uint_eq(crc_of(block, 32), 0x8a9136aau);
    memset(block, 0xff, sizeof(block));
    ck_assert_uint_eq(crc_of(block, 32), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++) {
        block[i] = (uint8_t)i;
    }
    ck_assert_uint_eq(crc_of(block, 32), 0x46dd794eu);
}
END_TEST

START_TEST(crc32c_equals_its_plain_twin_at_any_length_and_split)
{
    struct rng rng;
    uint8_t block[1100];
    rng_init(&rng, unit_seed("crc32c", 11));
    for (unsigned round = 0; round < 2000; round++) {
        size_t bytes = rng_below(&rng, sizeof(block) - 15);
        size_t start = rng_below(&rng, 15);
        size_t cut = rng_below(&rng, bytes + 1);
        rng_fill(&rng, block, sizeof(block));
        uint32_t whole = crc_of(block + start, bytes);
        ck_assert_uint_eq(whole, crc_more_plain(0, block + start, bytes));
        ck_assert_uint_eq(whole, crc_joined(crc_of(block + start, cut),
                                            crc_of(block + start + cut, bytes - cut),
                                            crc_shift(bytes - cut)));
        ck_assert_uint_eq(whole,
                          crc_more(crc_of(block + start, cut), block + start + cut, bytes - cut));
    }
}
END_TEST

START_TEST(crc32c_leaves_no_wide_registers_in_use)
{
    static uint8_t block[65536];
    simd_leave();
    bool before = simd_upper_in_use();
    uint32_t crc = crc_of(block, sizeof block);
    ck_assert_int_eq(simd_upper_in_use(), before);
    ck_assert_uint_eq(crc, crc_more_plain(0, block, sizeof block));
}
END_TEST

START_TEST(crc16_gives_the_value_of_redis_cluster)
{
    ck_assert_uint_eq(crc16_of("123456789", 9), 0x31c3);
    ck_assert_uint_eq(crc16_of("", 0), 0);
}
END_TEST

START_TEST(crc16_equals_division_bit_by_bit)
{
    struct rng rng;
    uint8_t block[600];
    rng_init(&rng, unit_seed("crc16", 12));
    for (unsigned round = 0; round < 4000; round++) {
        size_t bytes = round < 600 ? round : rng_below(&rng, 40);
        uint8_t *at = block + sizeof block - bytes; /* what reads beyond it is seen */
        uint32_t plain = 0;
        rng_fill(&rng, at, bytes);
        for (size_t i = 0; i < 8 * bytes; i++) {
            plain ^= (uint32_t)(at[i / 8] >> (7 - i % 8) & 1) << 15;
            plain = plain << 1 ^ ((plain & 0x8000u) != 0 ? 0x11021u : 0);
        }
        ck_assert_uint_eq(crc16_of(at, bytes), plain);
    }
}
END_TEST

START_TEST(the_same_seed_gives_the_same_numbers_on_every_machine)
{
    static const uint64_t from_0[] = {0x99ec5f36cb75f2b4u, 0xbf6e1f784956452au, 0x1a5f849d4933e6e0u,
                                      0x6aa594f1262d2d2cu};
    static const uint64_t from_42[] = {0x15780b2e0c2ec716u, 0x6104d9866d113a7eu,
                                       0xae17533239e499a1u, 0xecb8ad4703b360a1u};
    struct rng a;
    struct rng b;
    rng_init(&a, 0);
    rng_init(&b, 42);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(rng_next(&a), from_0[i]);
        ck_assert_uint_eq(rng_next(&b), from_42[i]);
    }
    uint8_t raw[11];
    rng_init(&a, 0);
    rng_fill(&a, raw, sizeof(raw));
    ck_assert_uint_eq(raw[0], 0xb4);
    ck_assert_uint_eq(raw[7], 0x99);
    ck_assert_uint_eq(raw[8], 0x2a);
}
END_TEST

START_TEST(choices_stay_in_their_bounds_and_reach_both_ends)
{
    struct rng rng;
    unsigned seen[7] = {0};
    rng_init(&rng, unit_seed("rng", 3));
    for (unsigned i = 0; i < 7000; i++) {
        seen[rng_below(&rng, 7)]++;
        uint64_t v = rng_between(&rng, UINT64_MAX - 2, UINT64_MAX);
        ck_assert(v >= UINT64_MAX - 2);
    }
    for (unsigned i = 0; i < 7; i++) {
        ck_assert_uint_gt(seen[i], 800);
        ck_assert_uint_lt(seen[i], 1200);
    }
    (void)rng_between(&rng, 0, UINT64_MAX);
    ck_assert(!rng_chance(&rng, 0, 5));
    ck_assert(rng_chance(&rng, 5, 5));
}
END_TEST

START_TEST(the_state_digest_does_not_depend_on_order)
{
    struct hash_digest a = {0};
    struct hash_digest b = {0};
    uint8_t key[8] = {0};
    for (unsigned i = 0; i < 500; i++) {
        key[0] = (uint8_t)i;
        key[1] = (uint8_t)(i >> 8);
        hash_digest_add(&a, bytes_of(key, 2), bytes_of(key, i % 9));
    }
    for (unsigned i = 500; i-- > 0;) {
        key[0] = (uint8_t)i;
        key[1] = (uint8_t)(i >> 8);
        hash_digest_add(&b, bytes_of(key, 2), bytes_of(key, i % 9));
    }
    ck_assert_mem_eq(&a, &b, sizeof(a));
    for (unsigned i = 0; i < 500; i++) {
        key[0] = (uint8_t)i;
        key[1] = (uint8_t)(i >> 8);
        hash_digest_sub(&a, bytes_of(key, 2), bytes_of(key, i % 9));
    }
    ck_assert_uint_eq(a.low, 0);
    ck_assert_uint_eq(a.high, 0);
}
END_TEST

START_TEST(the_state_digest_tells_key_from_value_and_never_changes)
{
    struct hash_digest d = {0};
    hash_digest_add(&d, bytes_of_text("a key of holdfast"), bytes_of_text("and its value"));
    ck_assert_uint_eq(d.low, 0xaaf437473997d0d7u);
    ck_assert_uint_eq(d.high, 0x9da4ec8573269f69u);
    struct hash_digest a = {0};
    struct hash_digest b = {0};
    hash_digest_add(&a, bytes_of_text("ab"), bytes_of_text("c"));
    hash_digest_add(&b, bytes_of_text("a"), bytes_of_text("bc"));
    ck_assert(a.low != b.low && a.high != b.high);
}
END_TEST

START_TEST(hashes_differ_by_seed_length_and_every_byte)
{
    uint8_t raw[24] = {0};
    uint64_t base = hash_of(bytes_of(raw, 24), 1);
    ck_assert(base != hash_of(bytes_of(raw, 24), 2));
    ck_assert(base != hash_of(bytes_of(raw, 23), 1));
    for (unsigned i = 0; i < 24; i++) {
        raw[i] = 1;
        ck_assert(base != hash_of(bytes_of(raw, 24), 1));
        raw[i] = 0;
    }
}
END_TEST

UNIT_MAIN("base_sums", crc32c_gives_the_published_values,
          crc32c_equals_its_plain_twin_at_any_length_and_split,
          crc32c_leaves_no_wide_registers_in_use, crc16_gives_the_value_of_redis_cluster,
          crc16_equals_division_bit_by_bit, the_same_seed_gives_the_same_numbers_on_every_machine,
          choices_stay_in_their_bounds_and_reach_both_ends,
          the_state_digest_does_not_depend_on_order,
          the_state_digest_tells_key_from_value_and_never_changes,
          hashes_differ_by_seed_length_and_every_byte)
