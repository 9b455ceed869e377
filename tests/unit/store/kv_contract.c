/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each behaviour of the kv contract, and a property test against a sorted array.
 */
#include "tests/unit/store/kv_contract.h"

#include "base/num.h"
#include "base/rng.h"
#include "tests/unit/store/prop.h"

#include <string.h>

#define LIMIT_BYTES (64u << 20)

static const struct kv_contract *contract;
static struct store_kv kv;

static void setup(void)
{
    contract->open(&kv, LIMIT_BYTES);
}

static void teardown(void)
{
    contract->close(&kv);
}

static struct bytes text(const char *t)
{
    return bytes_of_text(t);
}

/* A key of size bytes: all 'k', with tail at its end. */
static struct bytes long_key(size_t size, const char *tail)
{
    static uint8_t keys[8][STORE_KV_KEY_BYTES_MAX];
    static unsigned turn;
    uint8_t *key = keys[turn++ % 8];
    ck_assert_uint_le(strlen(tail), size);
    memset(key, 'k', size);
    memcpy(key + size - strlen(tail), tail, strlen(tail));
    return bytes_of(key, size);
}

static void begin(void)
{
    ck_assert_int_eq(kv.begin(kv.ctx), 0);
}

static void put(struct bytes key, const char *value)
{
    ck_assert_int_eq(kv.put(kv.ctx, key, text(value)), 0);
}

static void commit(void)
{
    ck_assert_int_eq(kv.commit(kv.ctx), 0);
}

static struct store_kv_reader *reader(void)
{
    struct store_kv_reader *r = NULL;
    ck_assert_int_eq(kv.reader_open(kv.ctx, &r), 0);
    return r;
}

static void expect_in(struct store_kv_reader *r, struct bytes key, const char *want)
{
    struct bytes value = {0};
    int err = kv.get(r, key, &value);
    if (want == NULL) {
        ck_assert_int_eq(err, ERR_NOT_FOUND);
        return;
    }
    ck_assert_int_eq(err, 0);
    ck_assert(bytes_equal(value, text(want)));
}

static void expect(struct bytes key, const char *want)
{
    struct store_kv_reader *r = reader();
    expect_in(r, key, want);
    kv.reader_close(r);
}

/* The values in key order from `from`, each one letter. */
static void expect_order(struct bytes from, bool after, const char *want)
{
    struct store_kv_reader *r = reader();
    struct bytes key = {0};
    struct bytes value = {0};
    char seen[64] = "";
    size_t used = 0;
    int err = kv.seek(r, from, after, &key, &value);
    while (err == 0 && used < sizeof(seen) - 1) {
        seen[used++] = (char)value.data[0];
        err = kv.next(r, &key, &value);
    }
    ck_assert_int_eq(err, ERR_NOT_FOUND);
    ck_assert_str_eq(seen, want);
    kv.reader_close(r);
}

START_TEST(an_empty_table_finds_nothing)
{
    expect(text("a"), NULL);
    expect(long_key(1000, ""), NULL);
    expect_order(text("a"), false, "");
}
END_TEST

/* raft scenario 73: what one transaction writes is there together, so an applied index and the data
 * it stands for cannot part */
START_TEST(a_commit_is_visible_as_a_whole_and_survives_reopening)
{
    begin();
    put(text("applied"), "7");
    put(text("data"), "seven");
    put(long_key(900, "x"), "long");
    commit();
    expect(text("applied"), "7");
    contract->reopen(&kv);
    expect(text("applied"), "7");
    expect(text("data"), "seven");
    expect(long_key(900, "x"), "long");
}
END_TEST

START_TEST(an_aborted_transaction_changes_nothing)
{
    begin();
    put(text("a"), "1");
    commit();
    begin();
    put(text("a"), "2");
    put(text("b"), "2");
    put(long_key(900, "x"), "2");
    kv.abort(kv.ctx);
    expect(text("a"), "1");
    expect(text("b"), NULL);
    expect(long_key(900, "x"), NULL);
}
END_TEST

/* raft scenarios 67, 73 */
START_TEST(a_crash_takes_the_open_transaction_away)
{
    begin();
    put(text("applied"), "7");
    commit();
    begin();
    put(text("applied"), "8");
    put(text("data"), "eight");
    contract->reopen(&kv);
    expect(text("applied"), "7");
    expect(text("data"), NULL);
    begin();
    put(text("applied"), "8");
    commit();
    expect(text("applied"), "8");
}
END_TEST

START_TEST(a_reader_sees_the_state_of_its_begin)
{
    begin();
    put(text("a"), "1");
    put(text("b"), "1");
    commit();
    struct store_kv_reader *old = reader();
    begin();
    put(text("a"), "2");
    ck_assert_int_eq(kv.del(kv.ctx, text("b")), 0);
    put(text("c"), "2");
    expect_in(old, text("a"), "1");
    commit();
    expect_in(old, text("a"), "1");
    expect_in(old, text("b"), "1");
    expect_in(old, text("c"), NULL);
    struct store_kv_reader *new = reader();
    expect_in(new, text("a"), "2");
    expect_in(new, text("b"), NULL);
    expect_in(new, text("c"), "2");
    begin();
    put(text("a"), "3");
    commit();
    kv.reader_close(old);
    expect_in(new, text("a"), "2");
    kv.reader_close(new);
    expect(text("a"), "3");
}
END_TEST

START_TEST(a_scan_goes_on_over_later_commits)
{
    struct bytes key = {0};
    struct bytes value = {0};
    begin();
    put(text("a"), "1");
    put(text("b"), "2");
    put(long_key(700, "x"), "3");
    put(long_key(700, "y"), "4");
    commit();
    struct store_kv_reader *r = reader();
    ck_assert_int_eq(kv.seek(r, text("a"), false, &key, &value), 0);
    begin();
    ck_assert_int_eq(kv.del(kv.ctx, text("a")), 0);
    ck_assert_int_eq(kv.del(kv.ctx, text("b")), 0);
    ck_assert_int_eq(kv.del(kv.ctx, long_key(700, "x")), 0);
    ck_assert_int_eq(kv.del(kv.ctx, long_key(700, "y")), 0);
    commit();
    for (int want = '2'; want <= '4'; want++) {
        ck_assert_int_eq(kv.next(r, &key, &value), 0);
        ck_assert_int_eq(value.data[0], want);
    }
    ck_assert_int_eq(kv.next(r, &key, &value), ERR_NOT_FOUND);
    kv.reader_close(r);
    expect_order(text("a"), false, "");
}
END_TEST

START_TEST(keys_are_in_byte_order_long_and_short)
{
    begin();
    put(long_key(448, ""), "b");
    put(long_key(447, ""), "a");
    put(long_key(449, "\x01"), "c");
    put(long_key(450, "\x01\x01"), "d");
    put(long_key(449, "k"), "e");
    put(long_key(896, ""), "f");
    put(long_key(897, "a"), "g");
    put(long_key(1152, "a"), "h");
    put(long_key(1152, "b"), "i");
    put(long_key(449, "l"), "j");
    put(long_key(448, "l"), "k");
    put(text("z"), "l");
    commit();
    expect_order(text("a"), false, "abcdefghijkl");
    expect_order(long_key(448, ""), false, "bcdefghijkl");
    expect_order(long_key(448, ""), true, "cdefghijkl");
    expect_order(long_key(449, "\x01"), true, "defghijkl");
    expect_order(long_key(896, ""), true, "ghijkl");
    expect_order(long_key(1152, "a"), false, "hijkl");
    expect_order(long_key(1152, "a"), true, "ijkl");
    expect_order(long_key(1152, "b"), true, "jkl");
    expect_order(long_key(449, "l"), true, "kl");
    expect_order(long_key(600, "z"), false, "jkl");
    expect_order(text("z"), true, "");
}
END_TEST

START_TEST(a_long_key_is_replaced_and_deleted_alone)
{
    begin();
    put(long_key(1152, "a"), "1");
    put(long_key(1152, "b"), "1");
    put(long_key(449, "c"), "1");
    put(long_key(1152, "a"), "2");
    commit();
    expect(long_key(1152, "a"), "2");
    begin();
    ck_assert_int_eq(kv.del(kv.ctx, long_key(1152, "a")), 0);
    ck_assert_int_eq(kv.del(kv.ctx, long_key(1152, "zz")), 0);
    ck_assert_int_eq(kv.del(kv.ctx, long_key(448, "")), 0);
    ck_assert_int_eq(kv.del(kv.ctx, text("nothing")), 0);
    commit();
    expect(long_key(1152, "a"), NULL);
    expect(long_key(1152, "b"), "1");
    expect(long_key(449, "c"), "1");
    begin();
    ck_assert_int_eq(kv.del(kv.ctx, long_key(1152, "b")), 0);
    ck_assert_int_eq(kv.del(kv.ctx, long_key(449, "c")), 0);
    commit();
    expect_order(text("a"), false, "");
}
END_TEST

START_TEST(del_range_deletes_from_up_to_and_at_most_limit)
{
    uint64_t deleted = 99;
    begin();
    put(text("a"), "a");
    put(text("b"), "b");
    put(long_key(448, ""), "c");
    put(long_key(800, "1"), "d");
    put(long_key(800, "2"), "e");
    put(long_key(800, "3"), "f");
    put(text("y"), "g");
    commit();
    begin();
    ck_assert_int_eq(kv.del_range(kv.ctx, text("b"), long_key(800, "3"), 2, &deleted), 0);
    ck_assert_uint_eq(deleted, 2);
    commit();
    expect_order(text("a"), false, "adefg");
    begin();
    ck_assert_int_eq(kv.del_range(kv.ctx, text("b"), long_key(800, "3"), 100, &deleted), 0);
    ck_assert_uint_eq(deleted, 2);
    commit();
    expect_order(text("a"), false, "afg");
    begin();
    ck_assert_int_eq(kv.del_range(kv.ctx, text("b"), (struct bytes){0}, 100, &deleted), 0);
    ck_assert_uint_eq(deleted, 2);
    ck_assert_int_eq(kv.del_range(kv.ctx, text("b"), (struct bytes){0}, 100, &deleted), 0);
    ck_assert_uint_eq(deleted, 0);
    commit();
    expect_order(text("a"), false, "a");
}
END_TEST

START_TEST(values_from_empty_to_the_largest_come_back)
{
    static uint8_t big[STORE_KV_VALUE_BYTES_MAX + 1];
    size_t sizes[] = {0, 1, 4096, 100000, STORE_KV_VALUE_BYTES_MAX};
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (uint8_t)(i * 31 + i / 256);
    }
    begin();
    for (unsigned i = 0; i < 5; i++) {
        char key[2] = {(char)('a' + i), 0};
        ck_assert_int_eq(kv.put(kv.ctx, text(key), bytes_of(big, sizes[i])), 0);
        ck_assert_int_eq(kv.put(kv.ctx, long_key(1152, key), bytes_of(big, sizes[i])), 0);
    }
    ck_assert_int_eq(kv.put(kv.ctx, text("z"), bytes_of(big, sizeof(big))), ERR_TOO_LARGE);
    commit();
    contract->reopen(&kv);
    struct store_kv_reader *r = reader();
    for (unsigned i = 0; i < 5; i++) {
        char key[2] = {(char)('a' + i), 0};
        struct bytes value = {0};
        ck_assert_int_eq(kv.get(r, text(key), &value), 0);
        ck_assert(bytes_equal(value, bytes_of(big, sizes[i])));
        ck_assert_int_eq(kv.get(r, long_key(1152, key), &value), 0);
        ck_assert(bytes_equal(value, bytes_of(big, sizes[i])));
    }
    kv.reader_close(r);
}
END_TEST

START_TEST(a_key_beyond_the_limit_is_refused)
{
    static uint8_t key[STORE_KV_KEY_BYTES_MAX + 1] = {1};
    begin();
    ck_assert_int_eq(kv.put(kv.ctx, bytes_of(key, sizeof(key)), text("v")), ERR_TOO_LARGE);
    put(text("a"), "1");
    commit();
    expect(text("a"), "1");
}
END_TEST

START_TEST(a_full_table_refuses_reads_on_and_takes_deletes)
{
    static uint8_t value[60000];
    uint8_t key[4];
    uint32_t stored = 0;
    int err = 0;
    contract->close(&kv);
    contract->open(&kv, 4u << 20);
    for (; err == 0 && stored < 1000; stored++) {
        num_put_u32_be(key, stored);
        begin();
        err = kv.put(kv.ctx, bytes_of(key, 4), bytes_of(value, sizeof(value)));
        if (err != 0) {
            ck_assert_int_eq(err, ERR_DISK_FULL);
            ck_assert_int_eq(kv.put(kv.ctx, text("a"), text("b")), ERR_DISK_FULL);
        }
        int end = kv.commit(kv.ctx);
        ck_assert(err == 0 || end == err);
        err = end;
    }
    ck_assert_int_eq(err, ERR_DISK_FULL);
    ck_assert_uint_gt(stored, 20);
    stored--;
    struct store_kv_reader *r = reader();
    struct bytes got = {0};
    num_put_u32_be(key, stored - 1);
    ck_assert_int_eq(kv.get(r, bytes_of(key, 4), &got), 0);
    num_put_u32_be(key, stored);
    ck_assert_int_eq(kv.get(r, bytes_of(key, 4), &got), ERR_NOT_FOUND);
    kv.reader_close(r);
    uint64_t used[3] = {0};
    uint64_t limit = 0;
    kv.usage(kv.ctx, &used[0], &limit);
    ck_assert_uint_eq(limit, 4u << 20);
    for (uint32_t i = 0; i + 5 < stored; i++) {
        begin();
        num_put_u32_be(key, i);
        ck_assert_int_eq(kv.del(kv.ctx, bytes_of(key, 4)), 0);
        commit();
    }
    kv.usage(kv.ctx, &used[1], &limit);
    ck_assert_uint_lt(used[1], used[0]);
    for (uint32_t i = 0; i < 10; i++) {
        begin();
        num_put_u32_be(key, i);
        ck_assert_int_eq(kv.put(kv.ctx, bytes_of(key, 4), bytes_of(value, sizeof(value))), 0);
        commit();
    }
}
END_TEST

START_TEST(readers_are_used_again_and_again)
{
    begin();
    put(text("a"), "1");
    commit();
    for (unsigned i = 0; i < 300; i++) {
        struct store_kv_reader *r[4];
        for (unsigned k = 0; k < 4; k++) {
            r[k] = reader();
        }
        for (unsigned k = 0; k < 4; k++) {
            expect_in(r[k], text("a"), "1");
            kv.reader_close(r[k]);
        }
    }
}
END_TEST

/* ---- property ---- */

#define PROP_KEYS 300u

struct prop {
    struct rng rng;
    uint8_t keys[PROP_KEYS][STORE_KV_KEY_BYTES_MAX];
    size_t key_bytes[PROP_KEYS];
    unsigned order[PROP_KEYS]; /* indexes in byte order of the keys */
    uint32_t live[PROP_KEYS];  /* with the open transaction; 0: absent */
    uint32_t committed[PROP_KEYS];
    uint32_t seen[PROP_KEYS]; /* by the reader */
    struct store_kv_reader *reader;
};

static struct prop prop;

static struct bytes prop_key(unsigned i)
{
    return bytes_of(prop.keys[i], prop.key_bytes[i]);
}

static struct bytes prop_value(uint32_t v)
{
    static uint8_t raw[20008];
    size_t size = v % 7 == 0 ? v % 20000 + 4 : v % 60 + 4;
    memset(raw, (int)(v & 0xff), size);
    num_put_u32(raw, v);
    return bytes_of(raw, size);
}

/* Keys share long prefixes and end near the sizes where the table changes its way. */
static void prop_make_key(unsigned i)
{
    static const size_t sizes[] = {1, 2, 3, 9, 447, 448, 449, 450, 500, 895, 896, 897, 1151, 1152};
    uint8_t *key = prop.keys[i];
    bool fresh = false;
    while (!fresh) {
        size_t size = sizes[rng_below(&prop.rng, sizeof(sizes) / sizeof(sizes[0]))];
        memset(key, 'k', size);
        for (unsigned change = 0; change < 3; change++) {
            size_t spot[] = {0, 447, 448, 449, 895, 896, size - 1};
            size_t at = spot[rng_below(&prop.rng, 7)];
            if (at < size && (at > 0 || rng_chance(&prop.rng, 1, 4))) {
                key[at] = (uint8_t) "\x00jkl\xff"[rng_below(&prop.rng, 5)];
            }
        }
        if (size < 9) {
            rng_fill(&prop.rng, key, size);
        }
        prop.key_bytes[i] = size;
        fresh = true;
        for (unsigned k = 0; k < i; k++) {
            fresh = fresh && !bytes_equal(prop_key(k), prop_key(i));
        }
    }
    unsigned at = i;
    while (at > 0 && bytes_compare(prop_key(prop.order[at - 1]), prop_key(i)) > 0) {
        prop.order[at] = prop.order[at - 1];
        at--;
    }
    prop.order[at] = i;
}

static void prop_change(void)
{
    unsigned i = (unsigned)rng_below(&prop.rng, PROP_KEYS);
    uint64_t what = rng_below(&prop.rng, 100);
    if (what < 60) {
        uint32_t v = (uint32_t)rng_between(&prop.rng, 1, 1u << 30);
        ck_assert_int_eq(kv.put(kv.ctx, prop_key(i), prop_value(v)), 0);
        prop.live[i] = v;
    } else if (what < 97) {
        ck_assert_int_eq(kv.del(kv.ctx, prop_key(i)), 0);
        prop.live[i] = 0;
    } else {
        unsigned from = (unsigned)rng_below(&prop.rng, PROP_KEYS);
        unsigned to = from + (unsigned)rng_below(&prop.rng, 30);
        bool open_end = to >= PROP_KEYS;
        uint64_t limit = rng_below(&prop.rng, 20);
        uint64_t want = 0;
        uint64_t deleted = 0;
        for (unsigned k = from; k < to && k < PROP_KEYS && want < limit; k++) {
            want += prop.live[prop.order[k]] != 0;
            prop.live[prop.order[k]] = 0;
        }
        ck_assert_int_eq(kv.del_range(kv.ctx, prop_key(prop.order[from]),
                                      open_end ? (struct bytes){0} : prop_key(prop.order[to]),
                                      limit, &deleted),
                         0);
        ck_assert_uint_eq(deleted, want);
    }
}

static void prop_write(void)
{
    begin();
    unsigned changes = (unsigned)rng_between(&prop.rng, 1, 40);
    for (unsigned i = 0; i < changes; i++) {
        prop_change();
    }
    uint64_t end = rng_below(&prop.rng, 10);
    if (end == 0) {
        kv.abort(kv.ctx);
        memcpy(prop.live, prop.committed, sizeof(prop.live));
    } else if (end == 1 && prop.reader == NULL) {
        contract->reopen(&kv);
        memcpy(prop.live, prop.committed, sizeof(prop.live));
    } else {
        commit();
        memcpy(prop.committed, prop.live, sizeof(prop.committed));
    }
}

static void prop_scan(void)
{
    struct bytes key = {0};
    struct bytes value = {0};
    unsigned at = (unsigned)rng_below(&prop.rng, PROP_KEYS);
    bool after = rng_chance(&prop.rng, 1, 2);
    int err = kv.seek(prop.reader, prop_key(prop.order[at]), after, &key, &value);
    for (at += after; at < PROP_KEYS; at++) {
        unsigned i = prop.order[at];
        if (prop.seen[i] == 0) {
            continue;
        }
        ck_assert_int_eq(err, 0);
        ck_assert(bytes_equal(key, prop_key(i)));
        ck_assert(bytes_equal(value, prop_value(prop.seen[i])));
        err = kv.next(prop.reader, &key, &value);
    }
    ck_assert_int_eq(err, ERR_NOT_FOUND);
}

static void prop_read(void)
{
    if (prop.reader == NULL) {
        prop.reader = reader();
        memcpy(prop.seen, prop.committed, sizeof(prop.seen));
    }
    for (unsigned k = 0; k < 20; k++) {
        unsigned i = (unsigned)rng_below(&prop.rng, PROP_KEYS);
        struct bytes value = {0};
        int err = kv.get(prop.reader, prop_key(i), &value);
        ck_assert_int_eq(err, prop.seen[i] != 0 ? 0 : ERR_NOT_FOUND);
        ck_assert(err != 0 || bytes_equal(value, prop_value(prop.seen[i])));
    }
    prop_scan();
    if (rng_chance(&prop.rng, 2, 3)) {
        kv.reader_close(prop.reader);
        prop.reader = NULL;
    }
}

START_TEST(any_sequence_reads_like_a_sorted_array)
{
    uint64_t round = 0;
    uint64_t seed = 0;
    while (prop_seed("kv_contract", 6, &round, &seed)) {
        memset(&prop, 0, sizeof(prop));
        rng_init(&prop.rng, seed);
        contract->close(&kv);
        contract->open(&kv, LIMIT_BYTES);
        for (unsigned i = 0; i < PROP_KEYS; i++) {
            prop_make_key(i);
        }
        for (unsigned step = 0; step < 150; step++) {
            if (rng_chance(&prop.rng, 1, 2)) {
                prop_write();
            } else {
                prop_read();
            }
        }
        if (prop.reader != NULL) {
            kv.reader_close(prop.reader);
        }
    }
}
END_TEST

void kv_contract_add(Suite *suite, const struct kv_contract *under_test)
{
    TCase *tc = tcase_create("contract");
    contract = under_test;
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_empty_table_finds_nothing);
    tcase_add_test(tc, a_commit_is_visible_as_a_whole_and_survives_reopening);
    tcase_add_test(tc, an_aborted_transaction_changes_nothing);
    tcase_add_test(tc, a_crash_takes_the_open_transaction_away);
    tcase_add_test(tc, a_reader_sees_the_state_of_its_begin);
    tcase_add_test(tc, a_scan_goes_on_over_later_commits);
    tcase_add_test(tc, keys_are_in_byte_order_long_and_short);
    tcase_add_test(tc, a_long_key_is_replaced_and_deleted_alone);
    tcase_add_test(tc, del_range_deletes_from_up_to_and_at_most_limit);
    tcase_add_test(tc, values_from_empty_to_the_largest_come_back);
    tcase_add_test(tc, a_key_beyond_the_limit_is_refused);
    tcase_add_test(tc, a_full_table_refuses_reads_on_and_takes_deletes);
    tcase_add_test(tc, readers_are_used_again_and_again);
    tcase_add_test(tc, any_sequence_reads_like_a_sorted_array);
    suite_add_tcase(suite, tc);
}
