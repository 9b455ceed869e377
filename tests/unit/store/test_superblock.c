/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Superblocks on a small disk in memory that tears writes and fails at every call in turn.
 */
#include "base/num.h"
#include "store/superblock.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 6

struct disk_file {
    char name[16];
    bool used;
    uint8_t data[STORE_SUPERBLOCK_BYTES];
    size_t bytes;
};

static struct {
    struct disk_file files[FILES_MAX];
    unsigned writes;
    unsigned tear_at;  /* the n-th write stops in the middle and fails */
    size_t tear_bytes; /* so much of it reaches the file */
} mem;

static struct disk_file *mem_find(const char *name)
{
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (mem.files[i].used && strcmp(mem.files[i].name, name) == 0) {
            return &mem.files[i];
        }
    }
    return NULL;
}

static int mem_open(void *ctx, const char *name, enum disk_open mode, struct disk_file **out)
{
    struct disk_file *file = mem_find(name);
    (void)ctx;
    if (mode != DISK_OPEN_CREATE) {
        *out = file;
        return file == NULL ? ERR_NOT_FOUND : 0;
    }
    if (file != NULL) {
        return ERR_EXISTS;
    }
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (!mem.files[i].used) {
            mem.files[i].used = true;
            mem.files[i].bytes = 0;
            (void)snprintf(mem.files[i].name, sizeof(mem.files[i].name), "%s", name);
            *out = &mem.files[i];
            return 0;
        }
    }
    return ERR_DISK_FULL;
}

static void mem_close(void *ctx, struct disk_file *file)
{
    (void)ctx;
    ck_assert(file->used);
}

static int mem_read(void *ctx, struct disk_file *file, uint64_t offset, void *into, size_t bytes,
                    size_t *got)
{
    (void)ctx;
    ck_assert_uint_eq(offset, 0);
    *got = NUM_MIN(bytes, file->bytes);
    memcpy(into, file->data, *got);
    return 0;
}

static int mem_write(void *ctx, struct disk_file *file, uint64_t offset,
                     const struct disk_io *parts, unsigned parts_count)
{
    (void)ctx;
    ck_assert_uint_eq(offset, 0);
    ck_assert_uint_eq(parts_count, 1);
    bool torn = ++mem.writes == mem.tear_at;
    size_t bytes = torn ? mem.tear_bytes : parts[0].bytes;
    memcpy(file->data, parts[0].data, bytes);
    file->bytes = NUM_MAX(file->bytes, bytes);
    return torn ? ERR_IO : 0;
}

static int mem_sync(void *ctx, struct disk_file *file)
{
    (void)ctx;
    (void)file;
    return 0;
}

static int mem_unlink(void *ctx, const char *name)
{
    struct disk_file *file = mem_find(name);
    (void)ctx;
    if (file == NULL) {
        return ERR_NOT_FOUND;
    }
    file->used = false;
    return 0;
}

static int mem_rename(void *ctx, const char *from, const char *to)
{
    struct disk_file *file = mem_find(from);
    (void)mem_unlink(ctx, to);
    ck_assert_ptr_nonnull(file);
    (void)snprintf(file->name, sizeof(file->name), "%s", to);
    return 0;
}

static int mem_sync_dir(void *ctx, const char *dir)
{
    (void)ctx;
    (void)dir;
    return 0;
}

static const struct disk disk = {.open = mem_open,
                                 .close = mem_close,
                                 .read = mem_read,
                                 .write = mem_write,
                                 .sync = mem_sync,
                                 .unlink = mem_unlink,
                                 .rename = mem_rename,
                                 .sync_dir = mem_sync_dir};
static struct alloc heap;
static struct store_superblock first;
static struct store_superblock got;
static struct err_info why;

static void setup(void)
{
    heap = alloc_heap();
    memset(&mem, 0, sizeof(mem));
    memset(&first, 0, sizeof(first));
    memset(&got, 0, sizeof(got));
    first.cluster[0] = 7;
    first.node = 3;
    first.level = 1;
    first.incarnation = 1;
    first.store_id = 99;
    first.identity_bytes = 5;
    memcpy(first.identity, "hello", 5);
}

static int reopen(void)
{
    return store_superblock_open(&disk, &heap, &got, &why);
}

START_TEST(what_was_created_is_opened)
{
    ck_assert_int_eq(reopen(), ERR_NOT_FOUND);
    ck_assert_int_eq(store_superblock_create(&disk, &first, &why), 0);
    ck_assert_int_eq(reopen(), 0);
    ck_assert_uint_eq(got.sequence, 2);
    ck_assert_int_eq(memcmp(&got, &first, sizeof(got)), 0);
}
END_TEST

START_TEST(a_directory_with_any_superblock_is_never_overwritten)
{
    ck_assert_int_eq(store_superblock_create(&disk, &first, &why), 0);
    ck_assert_int_eq(store_superblock_create(&disk, &first, &why), ERR_EXISTS);
    ck_assert_int_eq(mem_unlink(NULL, "sb0"), 0);
    mem_find("sb1")->data[9] ^= 1;
    ck_assert_int_eq(store_superblock_create(&disk, &first, &why), ERR_EXISTS);
}
END_TEST

START_TEST(each_boot_counts_one_in_both_copies)
{
    ck_assert_int_eq(store_superblock_create(&disk, &first, &why), 0);
    for (uint64_t boot = 1; boot < 6; boot++) {
        ck_assert_int_eq(reopen(), 0);
        ck_assert_int_eq(store_superblock_boot(&disk, &heap, &got, &why), 0);
        ck_assert_uint_eq(got.boot, boot);
        for (unsigned slot = 0; slot < 2; slot++) {
            struct disk_file *file = mem_find(slot == 0 ? "sb0" : "sb1");
            uint8_t kept = file->data[100];
            file->data[100] ^= 0x10;
            ck_assert_int_eq(reopen(), 0);
            ck_assert_uint_eq(got.boot, boot);
            file->data[100] = kept;
        }
    }
}
END_TEST

START_TEST(a_torn_write_at_any_place_leaves_a_superblock)
{
    ck_assert_int_eq(store_superblock_create(&disk, &first, &why), 0);
    uint64_t boot = 0;
    for (size_t cut = 0; cut <= STORE_SUPERBLOCK_BYTES; cut += 256) {
        for (unsigned at = 1; at <= 2; at++) {
            ck_assert_int_eq(reopen(), 0);
            ck_assert_uint_ge(got.boot, boot);
            boot = got.boot;
            mem.writes = 0;
            mem.tear_at = at;
            mem.tear_bytes = cut;
            ck_assert_int_eq(store_superblock_boot(&disk, &heap, &got, &why), ERR_IO);
            ck_assert_uint_eq(got.boot, boot);
            ck_assert_int_eq(reopen(), 0);
            ck_assert_uint_le(got.boot, boot + 1);
        }
    }
}
END_TEST

START_TEST(a_torn_creation_can_be_made_again_or_is_whole)
{
    for (size_t cut = 0; cut <= STORE_SUPERBLOCK_BYTES; cut += 4096) {
        for (unsigned at = 1; at <= 2; at++) {
            setup();
            mem.tear_at = at;
            mem.tear_bytes = cut;
            ck_assert_int_eq(store_superblock_create(&disk, &first, &why), ERR_IO);
            if (reopen() == 0) {
                ck_assert_int_eq(store_superblock_boot(&disk, &heap, &got, &why), 0);
            } else {
                ck_assert_int_eq(store_superblock_create(&disk, &first, &why), 0);
            }
            ck_assert_int_eq(reopen(), 0);
            ck_assert_ptr_nonnull(mem_find("sb0"));
            ck_assert_ptr_nonnull(mem_find("sb1"));
        }
    }
}
END_TEST

START_TEST(two_bad_copies_are_corrupt_not_empty)
{
    ck_assert_int_eq(store_superblock_create(&disk, &first, &why), 0);
    mem_find("sb0")->bytes = 100;
    ck_assert_int_eq(reopen(), 0);
    mem_find("sb1")->data[2000] ^= 1;
    ck_assert_int_eq(reopen(), ERR_CORRUPT);
    ck_assert_int_eq(mem_unlink(NULL, "sb0"), 0);
    ck_assert_int_eq(reopen(), ERR_CORRUPT);
}
END_TEST

/* scenario 47 */
START_TEST(a_directory_of_another_cluster_or_node_is_refused)
{
    uint8_t other[16] = {8};
    ck_assert_int_eq(store_superblock_owned(&first, first.cluster, 3, &why), 0);
    ck_assert_int_eq(store_superblock_owned(&first, other, 3, &why), ERR_WRONG_CLUSTER);
    ck_assert_int_eq(store_superblock_owned(&first, first.cluster, 4, &why), ERR_WRONG_CLUSTER);
}
END_TEST

START_TEST(a_later_level_is_refused)
{
    first.level = STORE_SUPERBLOCK_LEVEL + 1;
    ck_assert_int_eq(store_superblock_create(&disk, &first, &why), 0);
    ck_assert_int_eq(reopen(), ERR_LEVEL);
}
END_TEST

START_TEST(a_boot_from_stale_memory_is_refused)
{
    ck_assert_int_eq(store_superblock_create(&disk, &first, &why), 0);
    ck_assert_int_eq(reopen(), 0);
    ck_assert_int_eq(store_superblock_boot(&disk, &heap, &got, &why), 0);
    ck_assert_int_eq(store_superblock_boot(&disk, &heap, &first, &why), ERR_IN_USE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_superblock");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, NULL);
    tcase_add_test(all, what_was_created_is_opened);
    tcase_add_test(all, a_directory_with_any_superblock_is_never_overwritten);
    tcase_add_test(all, each_boot_counts_one_in_both_copies);
    tcase_add_test(all, a_torn_write_at_any_place_leaves_a_superblock);
    tcase_add_test(all, a_torn_creation_can_be_made_again_or_is_whole);
    tcase_add_test(all, two_bad_copies_are_corrupt_not_empty);
    tcase_add_test(all, a_directory_of_another_cluster_or_node_is_refused);
    tcase_add_test(all, a_later_level_is_refused);
    tcase_add_test(all, a_boot_from_stale_memory_is_refused);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
