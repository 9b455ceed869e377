/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Decoding: what is read comes back as it was written, and nothing else is let in.
 */
#include "base/err.h"
#include "base/rng.h"
#include "tests/unit/unit.h"
#include "wire/rpc.h"

#include <string.h>

static const struct wire_scan_limits limits = {
    .bytes_max = 1 << 20, .items_max = 20000, .depth_max = 16};

static struct wire_decoder *decoder;
static struct buf out;
static struct wire_node root;

static void begin(void)
{
    struct alloc heap = alloc_heap();
    ck_assert_int_eq(wire_decoder_new(&heap, &limits, &decoder), 0);
    buf_init(&out, &heap, 1 << 20);
}

static void end(void)
{
    wire_decoder_free(decoder);
    buf_release(&out);
}

static int decode(const void *data, size_t size)
{
    return wire_decode(decoder, bytes_of(data, size), &root);
}

START_TEST(numbers_come_back_and_do_not_wrap)
{
    static const uint64_t numbers[] = {0,
                                       127,
                                       128,
                                       255,
                                       256,
                                       65535,
                                       65536,
                                       UINT32_MAX,
                                       (uint64_t)UINT32_MAX + 1,
                                       INT64_MAX,
                                       (uint64_t)INT64_MAX + 1,
                                       UINT64_MAX};
    begin();
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t u = 1;
        uint32_t small = 1;
        int64_t s = 1;
        buf_clear(&out);
        ck_assert_int_eq(wire_pack_u64(&out, numbers[i]), 0);
        ck_assert_int_eq(decode(out.data, out.size), 0);
        ck_assert_int_eq(wire_node_u64(root, &u), 0);
        ck_assert_uint_eq(u, numbers[i]);
        ck_assert_int_eq(wire_node_u32(root, &small), numbers[i] > UINT32_MAX ? ERR_INVALID : 0);
        ck_assert_int_eq(wire_node_i64(root, &s), numbers[i] > INT64_MAX ? ERR_INVALID : 0);
        ck_assert_int_eq(s, numbers[i] > INT64_MAX ? 1 : (int64_t)numbers[i]);
    }
    end();
}
END_TEST

/* attack 7 */
START_TEST(negative_numbers_are_no_u64)
{
    static const int64_t numbers[] = {-1, -32, -33, -128, -129, -32769, INT32_MIN, INT64_MIN};
    begin();
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t u = 5;
        int64_t s = 0;
        buf_clear(&out);
        ck_assert_int_eq(wire_pack_i64(&out, numbers[i]), 0);
        ck_assert_int_eq(decode(out.data, out.size), 0);
        ck_assert_int_eq(wire_node_kind(root), WIRE_INT);
        ck_assert_int_eq(wire_node_u64(root, &u), ERR_INVALID);
        ck_assert_uint_eq(u, 5);
        ck_assert_int_eq(wire_node_i64(root, &s), 0);
        ck_assert_int_eq(s, numbers[i]);
    }
    end();
}
END_TEST

START_TEST(strings_and_binaries_read_alike_and_have_a_limit)
{
    struct bytes v = {0};
    begin();
    ck_assert_int_eq(decode("\xa3"
                            "abc",
                            4),
                     0);
    ck_assert_int_eq(wire_node_kind(root), WIRE_STR);
    ck_assert_int_eq(wire_node_bytes(root, 3, &v), 0);
    ck_assert(bytes_equal(v, bytes_of_text("abc")));
    ck_assert_int_eq(wire_node_bytes(root, 2, &v), ERR_TOO_LARGE);
    ck_assert_int_eq(decode("\xc4\x02\x00\xff", 4), 0);
    ck_assert_int_eq(wire_node_kind(root), WIRE_BIN);
    ck_assert_int_eq(wire_node_bytes(root, 2, &v), 0);
    ck_assert(bytes_equal(v, bytes_of("\0\xff", 2)));
    ck_assert_int_eq(decode("\xa0", 1), 0);
    ck_assert_int_eq(wire_node_bytes(root, 0, &v), 0);
    ck_assert_uint_eq(v.size, 0);
    end();
}
END_TEST

START_TEST(a_getter_of_another_type_refuses_and_leaves_its_result)
{
    static const char *const values[] = {"\xc0", "\xc3", "\x05", "\xff", "\xa1x", "\x90", "\x80"};
    static const size_t sizes[] = {1, 1, 1, 1, 2, 1, 1};
    static const enum wire_kind kinds[] = {WIRE_NIL, WIRE_BOOL,  WIRE_UINT, WIRE_INT,
                                           WIRE_STR, WIRE_ARRAY, WIRE_MAP};
    begin();
    for (unsigned i = 0; i < 7; i++) {
        bool truth = false;
        uint64_t u = 77;
        double d = 7.5;
        struct bytes v = {0};
        ck_assert_int_eq(decode(values[i], sizes[i]), 0);
        ck_assert_int_eq(wire_node_kind(root), kinds[i]);
        ck_assert_int_eq(wire_node_bool(root, &truth) == 0, kinds[i] == WIRE_BOOL);
        ck_assert_int_eq(wire_node_u64(root, &u) == 0, kinds[i] == WIRE_UINT);
        ck_assert_int_eq(wire_node_double(root, &d), ERR_INVALID);
        ck_assert_int_eq(wire_node_bytes(root, 9, &v) == 0, kinds[i] == WIRE_STR);
        ck_assert(kinds[i] == WIRE_UINT || u == 77);
        ck_assert_double_eq(d, 7.5);
    }
    end();
}
END_TEST

START_TEST(several_fields_are_picked_as_if_found_one_by_one)
{
    static const char *const texts[] = {"a", "bb", "c"};
    struct bytes names[3];
    struct wire_node picked[3];
    static const struct {
        const char *message;
        size_t bytes;
    } maps[] = {
        {"\x80", 1},
        {"\x83\xa1\x61\x01\xa2\x62\x62\x02\xa1\x63\x03", 11}, /* in order */
        {"\x83\xa1\x63\x03\xa2\x62\x62\x02\xa1\x61\x01", 11}, /* the other way round */
        {"\x82\xa1\x63\x03\xa1\x62\x02", 7},                  /* one of them, and another */
        {"\x83\xa1\x61\x01\xa1\x61\x02\xa1\x63\x07", 10},     /* twice: the first counts */
        {"\x82\x01\x02\xa2\x62\x62\xc0", 7},                  /* a number; nil */
        {"\x93\xa1\x61\xa2\x62\x62\xa1\x63", 8},              /* no map */
    };
    for (unsigned i = 0; i < 3; i++) {
        names[i] = bytes_of_text(texts[i]);
    }
    begin();
    for (unsigned m = 0; m < sizeof maps / sizeof maps[0]; m++) {
        ck_assert_int_eq(decode(maps[m].message, maps[m].bytes), 0);
        wire_node_pick(root, names, 3, picked);
        for (unsigned i = 0; i < 3; i++) {
            ck_assert_ptr_eq(picked[i].object, wire_node_find(root, texts[i]).object);
        }
    }
    end();
}
END_TEST

START_TEST(children_that_are_not_there_read_as_nil)
{
    struct wire_node nothing = {NULL};
    begin();
    ck_assert_int_eq(decode("\x92\x01\x81\xa1k\x02", 6), 0);
    ck_assert_uint_eq(wire_node_count(root), 2);
    ck_assert(wire_node_is_nil(wire_node_at(root, 2)));
    ck_assert(wire_node_is_nil(wire_node_key(root, 0)));
    ck_assert(wire_node_is_nil(wire_node_find(root, "k")));
    struct wire_node map = wire_node_at(root, 1);
    uint64_t v = 0;
    ck_assert_int_eq(wire_node_u64(wire_node_find(map, "k"), &v), 0);
    ck_assert_uint_eq(v, 2);
    ck_assert(wire_node_is_nil(wire_node_find(map, "kk")));
    ck_assert(wire_node_is_nil(wire_node_value(map, 1)));
    ck_assert(wire_node_is_nil(wire_node_at(map, 0)));
    ck_assert(wire_node_is_nil(wire_node_at(nothing, 0)));
    ck_assert_uint_eq(wire_node_count(nothing), 0);
    end();
}
END_TEST

/* attack 6 */
START_TEST(a_map_with_a_key_twice_is_told_from_a_good_one)
{
    begin();
    ck_assert_int_eq(decode("\x82\xa1k\x01\xa1l\x02", 7), 0);
    ck_assert_int_eq(wire_node_check_map(root, 2), 0);
    ck_assert_int_eq(wire_node_check_map(root, 1), ERR_TOO_LARGE);
    ck_assert_int_eq(decode("\x82\xa1k\x01\xa1k\x02", 7), 0);
    ck_assert_int_eq(wire_node_check_map(root, 2), ERR_PROTOCOL);
    ck_assert_int_eq(decode("\x82\xa1k\x01\xc4\x01k\x02", 8), 0); /* the same bytes as bin */
    ck_assert_int_eq(wire_node_check_map(root, 2), ERR_PROTOCOL);
    ck_assert_int_eq(decode("\x81\x05\x01", 3), 0);
    ck_assert_int_eq(wire_node_check_map(root, 2), ERR_INVALID);
    ck_assert_int_eq(decode("\x90", 1), 0);
    ck_assert_int_eq(wire_node_check_map(root, 2), ERR_INVALID);
    end();
}
END_TEST

START_TEST(a_message_must_be_one_whole_value)
{
    begin();
    ck_assert_int_eq(decode("", 0), ERR_PROTOCOL);
    ck_assert_int_eq(decode("\x92\x01", 2), ERR_TOO_LARGE); /* owes more than there is */
    ck_assert_int_eq(decode("\xcd\x01", 2), ERR_TOO_LARGE);
    ck_assert_int_eq(decode("\x01\x02", 2), ERR_PROTOCOL);
    ck_assert_int_eq(decode("\xc1", 1), ERR_PROTOCOL);
    ck_assert_int_eq(decode("\x01", 1), 0);
    end();
}
END_TEST

static unsigned long mapped_pages(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        ck_assert_int_eq(fscanf(file, "%lu", &pages), 1);
        (void)fclose(file);
    }
    return pages;
}

/* attacks 1, 2, 3, 4 */
START_TEST(hostile_counts_map_no_memory)
{
    static uint8_t deep[100000];
    uint8_t nested[150];
    begin();
    unsigned long before = mapped_pages();
    memset(deep, 0x91, sizeof(deep));
    for (unsigned i = 0; i < 30; i++) {
        memcpy(nested + (size_t)i * 5, "\xdd\x08\x00\x00\x00", 5);
    }
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_int_eq(decode(deep, sizeof(deep)), ERR_TOO_LARGE);
        ck_assert_int_eq(decode("\xdd\xff\xff\xff\xff", 5), ERR_TOO_LARGE);
        ck_assert_int_eq(decode(nested, sizeof(nested)), ERR_TOO_LARGE);
        ck_assert_int_eq(decode("\xdf\x08\x00\x00\x00", 5), ERR_TOO_LARGE);
        ck_assert_int_eq(decode("\xdb\xff\xff\xff\xff!", 6), ERR_TOO_LARGE);
        ck_assert_int_eq(decode("\xc6\xff\xff\xff\xff!", 6), ERR_TOO_LARGE);
    }
    ck_assert_uint_le(mapped_pages() - before, 256);
    end();
}
END_TEST

START_TEST(a_decoder_is_used_again_and_again)
{
    begin();
    for (unsigned i = 0; i < 500; i++) {
        buf_clear(&out);
        (void)wire_pack_array(&out, 1000);
        for (unsigned j = 0; j < 1000; j++) {
            (void)wire_pack_u64(&out, j + i);
        }
        ck_assert_int_eq(decode(out.data, out.size), 0);
        uint64_t v = 0;
        ck_assert_int_eq(wire_node_u64(wire_node_at(root, 999), &v), 0);
        ck_assert_uint_eq(v, 999 + i);
    }
    end();
}
END_TEST

START_TEST(a_decoder_without_memory_says_so)
{
    struct alloc_budget budget;
    struct alloc a = alloc_budget_init(&budget, alloc_heap(), 1 << 20);
    struct wire_decoder *d = NULL;
    budget.fail_at = 1;
    ck_assert_int_eq(wire_decoder_new(&a, &limits, &d), ERR_NO_MEMORY);
    ck_assert_ptr_null(d);
    wire_decoder_free(NULL);
}
END_TEST

/* Writes a random tree, remembering leaves in order, and reads them back. */
START_TEST(random_trees_come_back_as_they_were_written)
{
    struct rng rng;
    rng_init(&rng, unit_seed("wire_value", 21));
    begin();
    for (unsigned round = 0; round < 600; round++) {
        uint64_t numbers[64];
        unsigned kinds[64];
        unsigned count = (unsigned)rng_below(&rng, 64);
        buf_clear(&out);
        (void)wire_pack_array(&out, count);
        for (unsigned i = 0; i < count; i++) {
            uint64_t v = rng_next(&rng) >> rng_below(&rng, 64);
            numbers[i] = v;
            kinds[i] = (unsigned)rng_below(&rng, 5);
            switch (kinds[i]) {
            case 0: (void)wire_pack_u64(&out, v); break;
            case 1: (void)wire_pack_i64(&out, (int64_t)(0 - (v >> 1)) - 1); break;
            case 2: (void)wire_pack_bin(&out, bytes_of(&numbers[i], v % 9)); break;
            case 3: (void)wire_pack_bool(&out, v & 1); break;
            default:
                (void)wire_pack_map(&out, 1);
                (void)wire_pack_u64(&out, v);
                (void)wire_pack_double(&out, (double)v);
                break;
            }
        }
        ck_assert_int_eq(decode(out.data, out.size), 0);
        ck_assert_uint_eq(wire_node_count(root), count);
        for (unsigned i = 0; i < count; i++) {
            struct wire_node n = wire_node_at(root, i);
            uint64_t u = 0;
            int64_t s = 0;
            bool truth = false;
            double d = 0;
            struct bytes v = {0};
            switch (kinds[i]) {
            case 0:
                ck_assert_int_eq(wire_node_u64(n, &u), 0);
                ck_assert_uint_eq(u, numbers[i]);
                break;
            case 1:
                ck_assert_int_eq(wire_node_i64(n, &s), 0);
                ck_assert_int_eq(s, (int64_t)(0 - (numbers[i] >> 1)) - 1);
                break;
            case 2:
                ck_assert_int_eq(wire_node_bytes(n, 8, &v), 0);
                ck_assert(bytes_equal(v, bytes_of(&numbers[i], numbers[i] % 9)));
                break;
            case 3:
                ck_assert_int_eq(wire_node_bool(n, &truth), 0);
                ck_assert_int_eq(truth, numbers[i] & 1);
                break;
            default:
                ck_assert_int_eq(wire_node_u64(wire_node_key(n, 0), &u), 0);
                ck_assert_uint_eq(u, numbers[i]);
                ck_assert_int_eq(wire_node_double(wire_node_value(n, 0), &d), 0);
                ck_assert_double_eq(d, (double)numbers[i]);
                break;
            }
        }
    }
    end();
}
END_TEST

UNIT_MAIN("wire_value", numbers_come_back_and_do_not_wrap, negative_numbers_are_no_u64,
          strings_and_binaries_read_alike_and_have_a_limit,
          a_getter_of_another_type_refuses_and_leaves_its_result,
          several_fields_are_picked_as_if_found_one_by_one, children_that_are_not_there_read_as_nil,
          a_map_with_a_key_twice_is_told_from_a_good_one, a_message_must_be_one_whole_value,
          hostile_counts_map_no_memory, a_decoder_is_used_again_and_again,
          a_decoder_without_memory_says_so, random_trees_come_back_as_they_were_written)
