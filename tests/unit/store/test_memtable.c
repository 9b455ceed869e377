/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Memtable: states of a record, order, eviction, and the flush thread beside the loop.
 */
#include "base/alloc.h"
#include "base/num.h"
#include "base/rng.h"
#include "store/memtable.h"
#include "tests/unit/store/prop.h"

#include <check.h>
#include <pthread.h>
#include <string.h>

static struct alloc_budget budget;

static struct store_mem *mem_open(uint64_t dirty_bytes_max, uint64_t clean_bytes_max)
{
    struct store_mem_options options = {
        .dirty_bytes_max = dirty_bytes_max, .clean_bytes_max = clean_bytes_max, .hash_seed = 7};
    struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
    struct store_mem *m = NULL;
    ck_assert_int_eq(store_mem_new(&m, &options, &alloc), 0);
    return m;
}

static void mem_close(struct store_mem *m)
{
    store_mem_free(m);
    ck_assert_uint_eq(budget.used_bytes, 0);
}

static void put(struct store_mem *m, const char *key, const char *value)
{
    ck_assert_int_eq(store_mem_put(m, bytes_of_text(key), value != NULL,
                                   value != NULL ? bytes_of_text(value) : (struct bytes){0}),
                     0);
}

static void fill(struct store_mem *m, const char *key, const char *value)
{
    ck_assert_int_eq(store_mem_fill(m, bytes_of_text(key), value != NULL,
                                    value != NULL ? bytes_of_text(value) : (struct bytes){0}),
                     0);
}

/* want NULL: known to be absent. */
static void expect(struct store_mem *m, const char *key, const char *want)
{
    bool present = false;
    struct bytes value = {0};
    ck_assert_int_eq(store_mem_get(m, bytes_of_text(key), &present, &value), 0);
    ck_assert_int_eq(present, want != NULL);
    if (want != NULL) {
        ck_assert(bytes_equal(value, bytes_of_text(want)));
    }
}

static void expect_unknown(struct store_mem *m, const char *key)
{
    bool present = false;
    struct bytes value = {0};
    ck_assert_int_eq(store_mem_get(m, bytes_of_text(key), &present, &value), ERR_NOT_FOUND);
}

static void expect_frozen(struct store_mem *m, const char *want)
{
    struct store_mem_cursor c;
    size_t at = 0;
    for (bool more = store_mem_frozen_first(m, &c); more; more = store_mem_frozen_next(m, &c)) {
        struct bytes key;
        struct bytes value;
        bool present = false;
        store_mem_frozen_record(&c, &key, &present, &value);
        ck_assert_uint_ge(strlen(want), at + 2);
        ck_assert_uint_eq(key.size, 1);
        ck_assert_int_eq(want[at], key.data[0]);
        ck_assert_int_eq(want[at + 1], present ? value.data[0] : '-');
        at += 3;
    }
    ck_assert_uint_ge(at + 1, strlen(want));
}

START_TEST(a_put_record_is_read_back)
{
    struct store_mem *m = mem_open(1 << 20, 1 << 20);
    expect_unknown(m, "a");
    put(m, "a", "1");
    expect(m, "a", "1");
    put(m, "a", "a longer value that does not fit in the room of the first");
    expect(m, "a", "a longer value that does not fit in the room of the first");
    put(m, "a", "2");
    expect(m, "a", "2");
    mem_close(m);
}
END_TEST

START_TEST(keys_looked_up_together_are_found_as_alone)
{
    const char *keys[] = {"a", "b", "c", "d"};
    struct store_mem *m = mem_open(1u << 20, 1u << 20);
    struct store_mem_spot spots[4];
    uint64_t epoch = 0;
    put(m, "a", "1");
    put(m, "b", NULL);
    ck_assert_int_eq(store_mem_freeze(m, &epoch), 0);
    put(m, "a", "2"); /* over a frozen one */
    fill(m, "c", "3");
    for (unsigned i = 0; i < 4; i++) {
        store_mem_expect(m, bytes_of_text(keys[i]), &spots[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        store_mem_bring(m, &spots[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        struct store_mem_spot alone = {0};
        struct bytes key = bytes_of_text(keys[i]);
        struct bytes value = {0};
        struct bytes other = {0};
        bool present = false;
        bool was = false;
        int err = store_mem_find(m, key, &spots[i], &present, &value);
        ck_assert_int_eq(err, i == 3 ? ERR_NOT_FOUND : 0);
        ck_assert_int_eq(store_mem_seek(m, key, &alone, &was, &other), err);
        ck_assert(alone.hash == spots[i].hash && alone.node == spots[i].node);
        ck_assert(present == was && bytes_equal(value, other));
    }
    mem_close(m);
}
END_TEST

#define GROWS_KEYS 20000u

static struct bytes grows_key(unsigned i, char *into, size_t into_bytes)
{
    return bytes_of(into, (size_t)snprintf(into, into_bytes, "%c/%u", 'a' + (int)(i % 2), i));
}

/* Every record is where it is looked for after each bucket that was added, as many as there is
 * room for and more, and as few as there are again after a drop. */
START_TEST(all_are_found_while_the_table_grows)
{
    struct store_mem *m = mem_open(1u << 20, 1u << 20);
    char text[32];
    uint64_t epoch = 0;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < GROWS_KEYS; i++) {
            struct bytes key = grows_key(i, text, sizeof text);
            ck_assert_int_eq(store_mem_put(m, key, true, bytes_of(&i, sizeof i)), 0);
            for (unsigned at = i % 97; at <= i; at += i / 4 + 97) {
                struct bytes value = {0};
                bool present = false;
                key = grows_key(at, text, sizeof text);
                ck_assert_int_eq(store_mem_get(m, key, &present, &value), 0);
                ck_assert(present && bytes_equal(value, bytes_of(&at, sizeof at)));
            }
        }
        store_mem_drop(m, bytes_of_text("a/"));
        for (unsigned i = 0; i < GROWS_KEYS; i++) {
            struct bytes value = {0};
            bool present = false;
            struct bytes key = grows_key(i, text, sizeof text);
            ck_assert_int_eq(store_mem_get(m, key, &present, &value),
                             i % 2 == 0 ? ERR_NOT_FOUND : 0);
        }
    }
    ck_assert_int_eq(store_mem_freeze(m, &epoch), 0);
    store_mem_thaw(m);
    expect_unknown(m, "a/0");
    mem_close(m);
}
END_TEST

START_TEST(a_deleted_key_is_known_to_be_absent)
{
    struct store_mem *m = mem_open(1 << 20, 1 << 20);
    put(m, "a", "1");
    put(m, "a", NULL);
    expect(m, "a", NULL);
    put(m, "a", "");
    expect(m, "a", "");
    fill(m, "b", NULL);
    expect(m, "b", NULL);
    mem_close(m);
}
END_TEST

START_TEST(active_hides_frozen_and_frozen_stays_as_it_was)
{
    struct store_mem *m = mem_open(1 << 20, 1 << 20);
    uint64_t epoch = 0;
    put(m, "c", "1");
    put(m, "a", "1");
    put(m, "b", "1");
    ck_assert_int_eq(store_mem_freeze(m, &epoch), 0);
    ck_assert_uint_eq(epoch, 1);
    put(m, "a", "2");
    put(m, "b", NULL);
    put(m, "d", "2");
    expect(m, "a", "2");
    expect(m, "b", NULL);
    expect(m, "c", "1");
    expect_frozen(m, "a1 b1 c1");
    ck_assert_int_eq(store_mem_freeze(m, &epoch), ERR_BUSY);
    store_mem_thaw(m);
    expect(m, "a", "2");
    expect(m, "b", NULL);
    expect(m, "c", "1");
    ck_assert_int_eq(store_mem_freeze(m, &epoch), 0);
    ck_assert_uint_eq(epoch, 2);
    expect_frozen(m, "a2 b- d2");
    store_mem_thaw(m);
    mem_close(m);
}
END_TEST

START_TEST(fill_never_hides_something_newer)
{
    struct store_mem *m = mem_open(1 << 20, 1 << 20);
    uint64_t epoch = 0;
    put(m, "a", "2");
    fill(m, "a", "1");
    expect(m, "a", "2");
    ck_assert_int_eq(store_mem_freeze(m, &epoch), 0);
    fill(m, "a", "1");
    expect(m, "a", "2");
    store_mem_thaw(m);
    fill(m, "a", "1");
    expect(m, "a", "2");
    mem_close(m);
}
END_TEST

START_TEST(dirty_records_are_walked_in_order_active_over_frozen)
{
    struct store_mem *m = mem_open(1 << 20, 1 << 20);
    uint64_t epoch = 0;
    char seen[64] = "";
    size_t used = 0;
    put(m, "b", "1");
    put(m, "d", "1");
    put(m, "f", "1");
    ck_assert_int_eq(store_mem_freeze(m, &epoch), 0);
    put(m, "a", "2");
    put(m, "d", NULL);
    put(m, "g", "2");
    fill(m, "c", "0");
    struct bytes key = {0};
    struct bytes value = {0};
    bool present = false;
    int err = store_mem_dirty_seek(m, bytes_of_text("a"), false, &key, &present, &value);
    while (err == 0) {
        seen[used++] = (char)key.data[0];
        seen[used++] = present ? (char)value.data[0] : '-';
        err = store_mem_dirty_seek(m, key, true, &key, &present, &value);
    }
    ck_assert_int_eq(err, ERR_NOT_FOUND);
    ck_assert_str_eq(seen, "a2b1d-f1g2");
    store_mem_thaw(m);
    mem_close(m);
}
END_TEST

START_TEST(clean_records_are_bounded_and_dirty_ones_stay)
{
    struct store_mem *m = mem_open(1 << 20, 8192);
    char key[16];
    put(m, "dirty", "1");
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        fill(m, key, "value");
        ck_assert_uint_le(store_mem_clean_bytes(m), 8192);
    }
    expect(m, "dirty", "1");
    expect(m, "k999", "value");
    expect_unknown(m, "k0");
    mem_close(m);
}
END_TEST

START_TEST(a_record_in_use_outlives_those_that_are_not)
{
    struct store_mem *m = mem_open(1 << 20, 8192);
    char key[16];
    fill(m, "hot", "1");
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        fill(m, key, "value");
        expect(m, "hot", "1");
    }
    mem_close(m);
}
END_TEST

START_TEST(pinned_records_are_not_evicted)
{
    struct store_mem *m = mem_open(1 << 20, 4096);
    char key[16];
    store_mem_pin(m, true);
    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        fill(m, key, "value");
    }
    expect(m, "k0", "value");
    expect(m, "k499", "value");
    store_mem_pin(m, false);
    for (unsigned i = 0; i < 40; i++) {
        fill(m, "k0", "value");
    }
    ck_assert_uint_le(store_mem_clean_bytes(m), 4096);
    mem_close(m);
}
END_TEST

START_TEST(full_is_said_and_puts_still_succeed)
{
    struct store_mem *m = mem_open(4096, 4096);
    char key[16];
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        put(m, key, "value");
    }
    ck_assert(store_mem_full(m));
    ck_assert_uint_eq(store_mem_dirty_bytes(m), store_mem_active_bytes(m));
    uint64_t epoch = 0;
    ck_assert_int_eq(store_mem_freeze(m, &epoch), 0);
    ck_assert(store_mem_full(m));
    ck_assert_uint_eq(store_mem_active_bytes(m), 0);
    store_mem_thaw(m);
    ck_assert(!store_mem_full(m));
    mem_close(m);
}
END_TEST

START_TEST(drop_forgets_a_prefix_and_nothing_else)
{
    struct store_mem *m = mem_open(1 << 20, 1 << 20);
    uint64_t epoch = 0;
    put(m, "p1", "1");
    put(m, "p2", "1");
    put(m, "q", "1");
    ck_assert_int_eq(store_mem_freeze(m, &epoch), 0);
    put(m, "p2", "2");
    put(m, "p3", "2");
    put(m, "o", "2");
    store_mem_thaw(m);
    fill(m, "p4", "0");
    store_mem_drop(m, bytes_of_text("p"));
    expect_unknown(m, "p1");
    expect_unknown(m, "p2");
    expect_unknown(m, "p3");
    expect_unknown(m, "p4");
    expect(m, "q", "1");
    expect(m, "o", "2");
    put(m, "p", "3");
    ck_assert_int_eq(store_mem_freeze(m, &epoch), 0);
    expect_frozen(m, "o2 p3");
    store_mem_thaw(m);
    mem_close(m);
}
END_TEST

START_TEST(a_get_allocates_nothing)
{
    struct store_mem *m = mem_open(1 << 20, 1 << 20);
    put(m, "a", "1");
    fill(m, "b", "1");
    uint64_t requests = budget.requests;
    for (unsigned i = 0; i < 100; i++) {
        expect(m, "a", "1");
        expect(m, "b", "1");
        expect_unknown(m, "c");
    }
    put(m, "a", "2"); /* nor does a put that fits where the last value lay */
    ck_assert_uint_eq(budget.requests, requests);
    mem_close(m);
}
END_TEST

/* Every allocation in turn fails once; the record then is as it was before. */
START_TEST(a_failed_allocation_changes_nothing)
{
    for (uint64_t fail_at = 1; fail_at < 12; fail_at++) {
        struct store_mem_options options = {
            .dirty_bytes_max = 4096, .clean_bytes_max = 4096, .hash_seed = 1};
        struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
        struct store_mem *m = NULL;
        static uint8_t big[5000];
        budget.fail_at = fail_at;
        if (store_mem_new(&m, &options, &alloc) != 0) {
            ck_assert_uint_eq(budget.used_bytes, 0);
            continue;
        }
        const char *at = NULL;
        for (unsigned step = 0; step < 3; step++) {
            size_t size = step == 1 ? sizeof(big) : step + 1;
            int err = store_mem_put(m, bytes_of_text("k"), true, bytes_of(big, size));
            ck_assert(err == 0 || err == ERR_NO_MEMORY);
            bool present = false;
            struct bytes value = {0};
            int got = store_mem_get(m, bytes_of_text("k"), &present, &value);
            ck_assert(err != 0 || (got == 0 && value.size == size));
            at = got == 0 ? "known" : "unknown";
        }
        ck_assert_str_eq(at, "known");
        ck_assert_int_ne(store_mem_fill(m, bytes_of_text("k2"), false, (struct bytes){0}),
                         ERR_INVALID);
        mem_close(m);
    }
}
END_TEST

/* ---- property: the memtable over a table behaves as one map ---- */

#define PROP_KEYS 200u

struct prop_map {
    uint32_t applied[PROP_KEYS]; /* 0: absent */
    uint32_t stored[PROP_KEYS];  /* the table under the memtable */
    uint32_t frozen[PROP_KEYS];
    bool in_frozen[PROP_KEYS];
};

static struct bytes prop_key(unsigned i, char *into, size_t into_bytes)
{
    int used = snprintf(into, into_bytes, "group/%03u%.*s", i, (int)(i % 40),
                        "........................................");
    return bytes_of(into, (size_t)used);
}

static struct bytes prop_value(uint32_t v, uint8_t *into)
{
    size_t size = 4 + v % 3000;
    memset(into, (int)(v & 0xff), size);
    num_put_u32(into, v);
    return bytes_of(into, size);
}

static void prop_write(struct store_mem *m, struct prop_map *map, unsigned i, uint32_t v)
{
    char text[64];
    uint8_t raw[3008];
    ck_assert_int_eq(store_mem_put(m, prop_key(i, text, sizeof(text)), v != 0, prop_value(v, raw)),
                     0);
    map->applied[i] = v;
}

static void prop_read(struct store_mem *m, struct prop_map *map, unsigned i)
{
    char text[64];
    uint8_t raw[3008];
    bool present = false;
    struct bytes value = {0};
    struct bytes key = prop_key(i, text, sizeof(text));
    int err = store_mem_get(m, key, &present, &value);
    if (err == ERR_NOT_FOUND) {
        ck_assert_uint_eq(map->stored[i], map->applied[i]);
        ck_assert_int_eq(
            store_mem_fill(m, key, map->stored[i] != 0, prop_value(map->stored[i], raw)), 0);
        return;
    }
    ck_assert_int_eq(err, 0);
    ck_assert_int_eq(present, map->applied[i] != 0);
    if (present) {
        ck_assert(bytes_equal(value, prop_value(map->applied[i], raw)));
    }
}

static void prop_flush_start(struct store_mem *m, struct prop_map *map, bool *flushing)
{
    uint64_t epoch = 0;
    int err = store_mem_freeze(m, &epoch);
    ck_assert_int_eq(err, *flushing ? ERR_BUSY : 0);
    if (err == 0) {
        memcpy(map->frozen, map->applied, sizeof(map->frozen));
    }
    *flushing = true;
}

static void prop_flush_end(struct store_mem *m, struct prop_map *map, bool *flushing)
{
    struct store_mem_cursor c;
    char text[64];
    uint8_t raw[3008];
    char last[64] = "";
    if (!*flushing) {
        return;
    }
    for (bool more = store_mem_frozen_first(m, &c); more; more = store_mem_frozen_next(m, &c)) {
        struct bytes key;
        struct bytes value;
        bool present = false;
        store_mem_frozen_record(&c, &key, &present, &value);
        unsigned i = (unsigned)(key.data[6] - '0') * 100 + (unsigned)(key.data[7] - '0') * 10 +
                     (unsigned)(key.data[8] - '0');
        ck_assert_uint_lt(i, PROP_KEYS);
        ck_assert(bytes_compare(bytes_of_text(last), key) < 0);
        (void)snprintf(last, sizeof(last), "%.*s", (int)key.size, (const char *)key.data);
        ck_assert(bytes_equal(key, prop_key(i, text, sizeof(text))));
        ck_assert_int_eq(present, map->frozen[i] != 0);
        if (present) {
            ck_assert(bytes_equal(value, prop_value(map->frozen[i], raw)));
        }
        map->stored[i] = map->frozen[i];
    }
    ck_assert_mem_eq(map->stored, map->frozen, sizeof(map->stored));
    store_mem_thaw(m);
    *flushing = false;
}

START_TEST(a_memtable_over_a_table_reads_like_one_map)
{
    uint64_t round = 0;
    uint64_t seed = 0;
    while (prop_seed("memtable", 30, &round, &seed)) {
        struct rng rng;
        struct prop_map map = {0};
        bool flushing = false;
        rng_init(&rng, seed);
        struct store_mem *m = mem_open(1 << 20, rng_between(&rng, 1000, 100000));
        for (unsigned step = 0; step < 5000; step++) {
            unsigned i = (unsigned)rng_below(&rng, PROP_KEYS);
            uint64_t what = rng_below(&rng, 100);
            if (what < 40) {
                prop_write(m, &map, i, what < 5 ? 0 : (uint32_t)rng_between(&rng, 1, 1u << 30));
            } else if (what < 96) {
                prop_read(m, &map, i);
            } else if (what < 98) {
                prop_flush_start(m, &map, &flushing);
            } else {
                prop_flush_end(m, &map, &flushing);
            }
        }
        mem_close(m);
    }
}
END_TEST

/* ---- the flush thread walks while the loop puts ---- */

struct walk {
    struct store_mem *m;
    unsigned counted;
    uint64_t sum;
};

static void *walk_frozen(void *ctx)
{
    struct walk *w = ctx;
    struct store_mem_cursor c;
    for (unsigned pass = 0; pass < 20; pass++) {
        w->counted = 0;
        w->sum = 0;
        for (bool more = store_mem_frozen_first(w->m, &c); more;
             more = store_mem_frozen_next(w->m, &c)) {
            struct bytes key;
            struct bytes value;
            bool present = false;
            store_mem_frozen_record(&c, &key, &present, &value);
            w->counted++;
            w->sum += num_get_u64(value.data);
        }
    }
    return NULL;
}

START_TEST(the_flush_thread_walks_while_the_loop_puts)
{
    struct store_mem *m = mem_open(64 << 20, 1 << 20);
    uint64_t epoch = 0;
    uint8_t key[8];
    uint8_t value[8];
    for (uint64_t i = 0; i < 5000; i++) {
        num_put_u64_be(key, i);
        num_put_u64(value, i);
        ck_assert_int_eq(store_mem_put(m, bytes_of(key, 8), true, bytes_of(value, 8)), 0);
    }
    ck_assert_int_eq(store_mem_freeze(m, &epoch), 0);
    struct walk walk = {.m = m};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, walk_frozen, &walk), 0);
    for (uint64_t i = 0; i < 40000; i++) {
        bool present = false;
        struct bytes got = {0};
        num_put_u64_be(key, i % 10000);
        num_put_u64(value, i + 1000000);
        ck_assert_int_eq(store_mem_put(m, bytes_of(key, 8), true, bytes_of(value, 8)), 0);
        num_put_u64_be(key, (i * 7919) % 5000);
        ck_assert_int_eq(store_mem_get(m, bytes_of(key, 8), &present, &got), 0);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(walk.counted, 5000);
    ck_assert_uint_eq(walk.sum, 5000ull * 4999 / 2);
    store_mem_thaw(m);
    mem_close(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memtable");
    TCase *tc = tcase_create("memtable");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_put_record_is_read_back);
    tcase_add_test(tc, keys_looked_up_together_are_found_as_alone);
    tcase_add_test(tc, all_are_found_while_the_table_grows);
    tcase_add_test(tc, a_deleted_key_is_known_to_be_absent);
    tcase_add_test(tc, active_hides_frozen_and_frozen_stays_as_it_was);
    tcase_add_test(tc, fill_never_hides_something_newer);
    tcase_add_test(tc, dirty_records_are_walked_in_order_active_over_frozen);
    tcase_add_test(tc, clean_records_are_bounded_and_dirty_ones_stay);
    tcase_add_test(tc, a_record_in_use_outlives_those_that_are_not);
    tcase_add_test(tc, pinned_records_are_not_evicted);
    tcase_add_test(tc, full_is_said_and_puts_still_succeed);
    tcase_add_test(tc, drop_forgets_a_prefix_and_nothing_else);
    tcase_add_test(tc, a_get_allocates_nothing);
    tcase_add_test(tc, a_failed_allocation_changes_nothing);
    tcase_add_test(tc, a_memtable_over_a_table_reads_like_one_map);
    tcase_add_test(tc, the_flush_thread_walks_while_the_loop_puts);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
