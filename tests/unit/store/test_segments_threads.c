/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Segments on real files and LMDB: readers on other threads while cells are written, deleted and
 * moved.
 */
#include "base/num.h"
#include "store/segments.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXTENTS 40u
#define ROUNDS 12u
#define CELL_BYTES 20000u

static char dir[128];
static struct disk disk;
static struct store_kv kv;
static struct store_segments *segs;

static void path_of(char *into, size_t into_bytes, const char *name)
{
    int used = snprintf(into, into_bytes, "%s/%s", dir, name);
    ck_assert(used > 0 && (size_t)used < into_bytes);
}

static void open_all(void)
{
    struct alloc heap = alloc_heap();
    struct err_info why = {0};
    char path[160];
    struct store_segments_options options = {.segment_bytes = 256u << 10,
                                             .reserve_bytes = 0,
                                             .segments_max = 200,
                                             .cluster = {4},
                                             .store_id = 1};
    path_of(path, sizeof(path), "index");
    ck_assert_msg(store_disk_posix_open(&disk, dir, &heap, &why) == 0, "%s", why.text);
    ck_assert_msg(store_kv_lmdb_open(&kv, path, 16u << 20, 6, &heap, &why) == 0, "%s", why.text);
    ck_assert_msg(store_segments_open(&segs, &disk, &kv, &options, &heap, NULL, &why) == 0, "%s",
                  why.text);
}

static void close_all(void)
{
    store_segments_close(segs);
    kv.close(kv.ctx);
    store_disk_posix_close(&disk);
}

static void remove_one(void *ctx, const char *name, uint64_t bytes)
{
    char path[200];
    (void)bytes;
    int used = snprintf(path, sizeof(path), "%s/%s/%s", dir, (const char *)ctx, name);
    ck_assert(used > 0 && (size_t)used < sizeof(path));
    ck_assert_int_eq(unlink(path), 0);
}

static void remove_all(void)
{
    struct alloc heap = alloc_heap();
    struct err_info why = {0};
    char folders[2][8] = {"seg", "index"};
    char path[160];
    ck_assert_int_eq(store_disk_posix_open(&disk, dir, &heap, &why), 0);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(disk.list(disk.ctx, folders[i], folders[i], remove_one), 0);
        path_of(path, sizeof(path), folders[i]);
        ck_assert_int_eq(rmdir(path), 0);
    }
    store_disk_posix_close(&disk);
    ck_assert_int_eq(rmdir(dir), 0);
}

static void setup(void)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(dir, sizeof(dir), "%s/holdfast-seg-XXXXXX", base != NULL ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    open_all();
}

static void teardown(void)
{
    close_all();
    remove_all();
}

static struct store_cell_id id_of(uint64_t extent, uint32_t cell)
{
    return (struct store_cell_id){.extent_grant = 1, .extent_counter = extent, .cell = cell};
}

static void put_cell(uint64_t extent, uint32_t number)
{
    static uint8_t data[CELL_BYTES];
    struct store_cell cell = {
        .id = id_of(extent, number), .group = 1, .bytes = CELL_BYTES, .data = data};
    memset(data, (int)(extent * 7 + number), sizeof(data));
    ck_assert_int_eq(store_segments_put(segs, &cell), 0);
}

struct reading {
    pthread_mutex_t lock;
    bool stop;
    uint64_t reads;
    uint64_t wrong;
};

static bool reading_stopped(struct reading *r)
{
    (void)pthread_mutex_lock(&r->lock);
    bool stop = r->stop;
    (void)pthread_mutex_unlock(&r->lock);
    return stop;
}

/* Cell 0 of each extent stays; it must be whole wherever it is moved to. */
static void *read_cells(void *ctx)
{
    struct reading *r = ctx;
    uint8_t *into = malloc(CELL_BYTES);
    uint64_t reads = 0;
    uint64_t wrong = 0;
    while (!reading_stopped(r)) {
        for (uint64_t extent = 0; extent < EXTENTS; extent++) {
            struct store_cell_id id = id_of(extent, 0);
            struct store_segments_stats stats;
            int err = store_segments_get(segs, &id, 0, CELL_BYTES, into, NULL);
            wrong += err != 0 || into[0] != (uint8_t)(extent * 7) ||
                     memcmp(into, into + 1, CELL_BYTES - 1) != 0;
            store_segments_stats_get(segs, &stats);
            reads++;
        }
    }
    (void)pthread_mutex_lock(&r->lock);
    r->reads += reads;
    r->wrong += wrong;
    (void)pthread_mutex_unlock(&r->lock);
    free(into);
    return NULL;
}

static void churn(void)
{
    uint64_t deleted = 0;
    bool more = true;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        for (uint64_t extent = 0; extent < EXTENTS; extent++) {
            put_cell(1000 + extent, round);
        }
        ck_assert_int_eq(store_segments_sync(segs), 0);
        for (uint64_t extent = 0; extent < EXTENTS; extent++) {
            ck_assert_int_eq(store_segments_delete(segs, 1, 1000 + extent, 255, &deleted), 0);
            ck_assert_uint_eq(deleted, 1);
        }
        ck_assert_int_eq(store_segments_sync(segs), 0);
        for (more = true; more;) {
            ck_assert_int_eq(store_segments_maintain(segs, 1u << 20, &more), 0);
        }
        for (uint64_t extent = 0; extent < EXTENTS; extent += 2) {
            put_cell(extent, 0); /* repaired: the segment it was in empties */
        }
        ck_assert_int_eq(store_segments_sync(segs), 0);
    }
}

START_TEST(cells_are_whole_while_they_are_moved)
{
    struct reading reading = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct store_segments_stats stats;
    pthread_t threads[2];
    for (uint64_t extent = 0; extent < EXTENTS; extent++) {
        put_cell(extent, 0);
    }
    ck_assert_int_eq(store_segments_sync(segs), 0);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_cells, &reading), 0);
    }
    churn();
    (void)pthread_mutex_lock(&reading.lock);
    reading.stop = true;
    (void)pthread_mutex_unlock(&reading.lock);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert_uint_gt(reading.reads, 0);
    ck_assert_uint_eq(reading.wrong, 0);
    store_segments_stats_get(segs, &stats);
    ck_assert_uint_eq(stats.cells, EXTENTS);
    ck_assert_uint_lt(stats.file_bytes, 40u * (256u << 10));
}
END_TEST

START_TEST(everything_is_there_after_opening_again)
{
    uint8_t into[16];
    for (uint64_t extent = 0; extent < EXTENTS; extent++) {
        put_cell(extent, 0);
    }
    ck_assert_int_eq(store_segments_sync(segs), 0);
    for (unsigned i = 0; i < 3; i++) {
        close_all();
        open_all();
        for (uint64_t extent = 0; extent < EXTENTS; extent++) {
            struct store_cell_id id = id_of(extent, 0);
            ck_assert_int_eq(store_segments_get(segs, &id, 17000, 16, into, NULL), 0);
            ck_assert_uint_eq(into[15], (uint8_t)(extent * 7));
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segments_threads");
    TCase *tc = tcase_create("threads");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, cells_are_whole_while_they_are_moved);
    tcase_add_test(tc, everything_is_there_after_opening_again);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
