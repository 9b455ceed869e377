/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kv table over LMDB: the contract, damage to the file, failing writes, threads. The program's
 * own pwrite and fdatasync stand before the C library's, so that LMDB's can be made to fail.
 */
#include "base/num.h"
#include "base/rng.h"
#include "tests/unit/store/kv_contract.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

long syscall(long number, ...); /* outside POSIX */

static struct alloc_budget budget;
static char dir[128];
static int fail_write_errno; /* of writes at or behind fail_write_from, below fail_write_to */
static off_t fail_write_from;
static off_t fail_write_to;
static int fail_sync_errno;

ATTR_EXPORT ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset);
ATTR_EXPORT ssize_t writev(int fd, const struct iovec *parts, int count);
ATTR_EXPORT int fdatasync(int fd);

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    if (fail_write_errno != 0 && offset >= fail_write_from && offset < fail_write_to) {
        errno = fail_write_errno;
        return -1;
    }
    return (ssize_t)syscall(SYS_pwrite64, fd, data, bytes, offset);
}

/* Pages side by side; never meta pages. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (fail_write_errno != 0 && fail_write_to > 8192) {
        errno = fail_write_errno;
        return -1;
    }
    return (ssize_t)syscall(SYS_writev, fd, parts, count);
}

int fdatasync(int fd)
{
    if (fail_sync_errno != 0) {
        errno = fail_sync_errno;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static int open_dir(struct store_kv *out, uint64_t limit_bytes)
{
    struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
    struct err_info why = {0};
    int err = store_kv_lmdb_open(out, dir, limit_bytes, 4, &alloc, &why);
    ck_assert_int_eq(why.code, err);
    return err;
}

static void close_table(struct store_kv *kv)
{
    fail_write_errno = 0;
    fail_sync_errno = 0;
    kv->close(kv->ctx);
    ck_assert_uint_eq(budget.used_bytes, 0);
}

static uint64_t opened_limit;

static void lmdb_open(struct store_kv *out, uint64_t limit_bytes)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(dir, sizeof(dir), "%s/holdfast-kv-XXXXXX", base != NULL ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    opened_limit = limit_bytes;
    ck_assert_int_eq(open_dir(out, limit_bytes), 0);
}

static void lmdb_reopen(struct store_kv *kv)
{
    close_table(kv);
    ck_assert_int_eq(open_dir(kv, opened_limit), 0);
}

static void file_name(char *into, size_t into_bytes, const char *name)
{
    int used = snprintf(into, into_bytes, "%s/%s", dir, name);
    ck_assert(used > 0 && (size_t)used < into_bytes);
}

static void remove_dir(void)
{
    char name[160];
    file_name(name, sizeof(name), "data.mdb");
    (void)unlink(name);
    file_name(name, sizeof(name), "lock.mdb");
    (void)unlink(name);
    ck_assert_int_eq(rmdir(dir), 0);
}

static void lmdb_close(struct store_kv *kv)
{
    close_table(kv);
    remove_dir();
}

static const struct kv_contract lmdb = {
    .open = lmdb_open, .reopen = lmdb_reopen, .close = lmdb_close};

static int put_one(struct store_kv *kv, const char *key, struct bytes value)
{
    TRY(kv->begin(kv->ctx));
    int err = kv->put(kv->ctx, bytes_of_text(key), value);
    int end = kv->commit(kv->ctx);
    ck_assert(err == 0 || err == end);
    return end;
}

static int get_one(struct store_kv *kv, struct bytes key, char *first)
{
    struct store_kv_reader *r = NULL;
    struct bytes value = {0};
    TRY(kv->reader_open(kv->ctx, &r));
    int err = kv->get(r, key, &value);
    if (err == 0) {
        *first = (char)value.data[0];
    }
    kv->reader_close(r);
    return err;
}

static void expect_one(struct store_kv *kv, const char *key, char want)
{
    char first = 0;
    ck_assert_int_eq(get_one(kv, bytes_of_text(key), &first), 0);
    ck_assert_int_eq(first, want);
}

/* XORs mask into the byte at offset behind each place where pattern lies in the file. */
static unsigned flip_behind(struct bytes pattern, long offset, uint8_t mask)
{
    static uint8_t file[4 << 20];
    char name[160];
    unsigned hits = 0;
    file_name(name, sizeof(name), "data.mdb");
    int fd = open(name, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ssize_t got = pread(fd, file, sizeof(file), 0);
    ck_assert_int_gt(got, 0);
    for (ssize_t at = 0; at + (ssize_t)pattern.size <= got; at++) {
        if (memcmp(file + at, pattern.data, pattern.size) == 0) {
            uint8_t byte = file[at + offset] ^ mask;
            ck_assert_int_eq(pwrite(fd, &byte, 1, at + offset), 1);
            hits++;
        }
    }
    ck_assert_int_eq(close(fd), 0);
    return hits;
}

/* attacks scenario 48: each byte of a stored record and its checksum, flipped, is found */
START_TEST(every_flipped_byte_of_a_record_is_found)
{
    struct store_kv kv;
    uint8_t value[64];
    char first = 0;
    struct rng rng;
    rng_init(&rng, 48);
    rng_fill(&rng, value, sizeof(value));
    struct bytes before = bytes_of(value, 32);
    struct bytes behind = bytes_of(value + 32, 32);
    lmdb_open(&kv, 4 << 20);
    ck_assert_int_eq(put_one(&kv, "key", bytes_of(value, sizeof(value))), 0);
    for (long at = -4; at < 64; at++) {
        struct bytes anchor = at < 32 ? behind : before;
        long offset = at < 32 ? at - 32 : at;
        close_table(&kv);
        ck_assert_uint_gt(flip_behind(anchor, offset, 0x10), 0);
        ck_assert_int_eq(open_dir(&kv, 4 << 20), 0);
        ck_assert_int_eq(get_one(&kv, bytes_of_text("key"), &first), ERR_CORRUPT);
        close_table(&kv);
        ck_assert_uint_gt(flip_behind(anchor, offset, 0x10), 0);
        ck_assert_int_eq(open_dir(&kv, 4 << 20), 0);
    }
    ck_assert_int_eq(get_one(&kv, bytes_of_text("key"), &first), 0);
    lmdb_close(&kv);
}
END_TEST

START_TEST(a_scan_passes_over_a_damaged_record_and_says_so)
{
    struct store_kv kv;
    struct store_kv_reader *r = NULL;
    struct bytes key = {0};
    struct bytes value = {0};
    lmdb_open(&kv, 4 << 20);
    ck_assert_int_eq(put_one(&kv, "a", bytes_of_text("first value")), 0);
    ck_assert_int_eq(put_one(&kv, "b", bytes_of_text("second value")), 0);
    ck_assert_int_eq(put_one(&kv, "c", bytes_of_text("third value")), 0);
    close_table(&kv);
    ck_assert_uint_gt(flip_behind(bytes_of_text("second value"), 3, 1), 0);
    ck_assert_int_eq(open_dir(&kv, 4 << 20), 0);
    ck_assert_int_eq(kv.reader_open(kv.ctx, &r), 0);
    ck_assert_int_eq(kv.seek(r, bytes_of_text("a"), false, &key, &value), 0);
    ck_assert_int_eq(kv.next(r, &key, &value), ERR_CORRUPT);
    ck_assert(bytes_equal(key, bytes_of_text("b")));
    ck_assert_int_eq(kv.next(r, &key, &value), 0);
    ck_assert(bytes_equal(key, bytes_of_text("c")));
    ck_assert_int_eq(kv.next(r, &key, &value), ERR_NOT_FOUND);
    kv.reader_close(r);
    lmdb_close(&kv);
}
END_TEST

/* A damaged pointer hides what is below it: said, never passed over in silence, and deletable. */
START_TEST(a_damaged_pointer_of_long_keys_is_said_and_can_be_deleted)
{
    struct store_kv kv;
    struct store_kv_reader *r = NULL;
    struct bytes key = {0};
    struct bytes value = {0};
    uint8_t long_key[600];
    char first = 0;
    uint64_t deleted = 0;
    memset(long_key, 'b', sizeof(long_key));
    lmdb_open(&kv, 4 << 20);
    ck_assert_int_eq(put_one(&kv, "a", bytes_of_text("1")), 0);
    ck_assert_int_eq(put_one(&kv, "c", bytes_of_text("2")), 0);
    ck_assert_int_eq(kv.begin(kv.ctx), 0);
    ck_assert_int_eq(kv.put(kv.ctx, bytes_of(long_key, 600), bytes_of_text("3")), 0);
    ck_assert_int_eq(kv.commit(kv.ctx), 0);
    close_table(&kv);
    uint8_t pattern[449] = {0};
    memset(pattern, 'b', 448);
    ck_assert_uint_gt(flip_behind(bytes_of(pattern, 449), 449, 1), 0);
    ck_assert_int_eq(open_dir(&kv, 4 << 20), 0);
    ck_assert_int_eq(get_one(&kv, bytes_of(long_key, 600), &first), ERR_CORRUPT);
    ck_assert_int_eq(kv.reader_open(kv.ctx, &r), 0);
    ck_assert_int_eq(kv.seek(r, bytes_of(long_key, 500), false, &key, &value), ERR_CORRUPT);
    ck_assert_int_eq(kv.next(r, &key, &value), 0);
    ck_assert(bytes_equal(key, bytes_of_text("c")));
    ck_assert_int_eq(kv.seek(r, bytes_of_text("a"), true, &key, &value), ERR_CORRUPT);
    ck_assert_int_eq(kv.next(r, &key, &value), 0);
    ck_assert(bytes_equal(key, bytes_of_text("c")));
    kv.reader_close(r);
    ck_assert_int_eq(kv.begin(kv.ctx), 0);
    ck_assert_int_eq(kv.del_range(kv.ctx, bytes_of_text("a"), (struct bytes){0}, 100, &deleted), 0);
    ck_assert_uint_eq(deleted, 3);
    ck_assert_int_eq(kv.commit(kv.ctx), 0);
    ck_assert_int_eq(get_one(&kv, bytes_of(long_key, 600), &first), ERR_NOT_FOUND);
    lmdb_close(&kv);
}
END_TEST

START_TEST(a_file_cut_short_is_refused)
{
    struct store_kv kv;
    static uint8_t value[100000];
    char name[160];
    lmdb_open(&kv, 4 << 20);
    ck_assert_int_eq(put_one(&kv, "a", bytes_of(value, sizeof(value))), 0);
    close_table(&kv);
    file_name(name, sizeof(name), "data.mdb");
    ck_assert_int_eq(truncate(name, 40000), 0);
    ck_assert_int_eq(open_dir(&kv, 4 << 20), ERR_CORRUPT);
    ck_assert_uint_eq(budget.used_bytes, 0);
    ck_assert_int_eq(truncate(name, 100), 0);
    ck_assert_int_eq(open_dir(&kv, 4 << 20), ERR_CORRUPT);
    remove_dir();
}
END_TEST

/* What a commit that failed leaves: the state before it, and ERR_IO until it is opened again. */
static void check_failed_commit(struct store_kv *kv, int want)
{
    char first = 0;
    ck_assert_int_eq(put_one(kv, "a", bytes_of_text("2")), want);
    fail_write_errno = 0;
    fail_sync_errno = 0;
    ck_assert_int_eq(put_one(kv, "a", bytes_of_text("3")), ERR_IO);
    ck_assert_int_eq(get_one(kv, bytes_of_text("a"), &first), ERR_IO);
    lmdb_reopen(kv);
    expect_one(kv, "a", '1');
    ck_assert_int_eq(put_one(kv, "a", bytes_of_text("4")), 0);
    expect_one(kv, "a", '4');
    lmdb_close(kv);
}

START_TEST(a_failed_write_of_a_page_latches_until_reopened)
{
    struct store_kv kv;
    lmdb_open(&kv, 4 << 20);
    ck_assert_int_eq(put_one(&kv, "a", bytes_of_text("1")), 0);
    fail_write_errno = EIO;
    fail_write_from = 8192;
    fail_write_to = INT64_MAX;
    check_failed_commit(&kv, ERR_IO);
}
END_TEST

/* The meta page: from then on LMDB answers MDB_PANIC to everything. */
START_TEST(a_failed_write_of_the_meta_page_latches_until_reopened)
{
    struct store_kv kv;
    lmdb_open(&kv, 4 << 20);
    ck_assert_int_eq(put_one(&kv, "a", bytes_of_text("1")), 0);
    fail_write_errno = EIO;
    fail_write_from = 0;
    fail_write_to = 8192;
    check_failed_commit(&kv, ERR_IO);
}
END_TEST

START_TEST(a_failed_sync_latches_until_reopened)
{
    struct store_kv kv;
    lmdb_open(&kv, 4 << 20);
    ck_assert_int_eq(put_one(&kv, "a", bytes_of_text("1")), 0);
    fail_sync_errno = EIO;
    check_failed_commit(&kv, ERR_IO);
}
END_TEST

START_TEST(a_full_disk_at_commit_is_said_and_ends_by_itself)
{
    struct store_kv kv;
    lmdb_open(&kv, 4 << 20);
    ck_assert_int_eq(put_one(&kv, "a", bytes_of_text("1")), 0);
    fail_write_errno = ENOSPC;
    fail_write_from = 8192;
    fail_write_to = INT64_MAX;
    ck_assert_int_eq(put_one(&kv, "a", bytes_of_text("2")), ERR_DISK_FULL);
    expect_one(&kv, "a", '1');
    fail_write_errno = 0;
    ck_assert_int_eq(put_one(&kv, "a", bytes_of_text("3")), 0);
    lmdb_reopen(&kv);
    expect_one(&kv, "a", '3');
    lmdb_close(&kv);
}
END_TEST

START_TEST(readers_beyond_the_limit_are_refused)
{
    struct store_kv kv;
    struct store_kv_reader *r[5] = {0};
    uint64_t used = 0;
    uint64_t limit = 0;
    lmdb_open(&kv, 4 << 20);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(kv.reader_open(kv.ctx, &r[i]), 0);
    }
    ck_assert_int_eq(kv.reader_open(kv.ctx, &r[4]), ERR_BUSY);
    kv.usage(kv.ctx, &used, &limit);
    ck_assert_uint_gt(used, 0);
    kv.reader_close(r[2]);
    ck_assert_int_eq(kv.reader_open(kv.ctx, &r[4]), 0);
    ck_assert_ptr_eq(r[4], r[2]);
    for (unsigned i = 0; i < 4; i++) {
        kv.reader_close(r[i]);
    }
    lmdb_close(&kv);
}
END_TEST

/* ---- threads: two keys are always written together; readers never see them apart ---- */

struct pair_reader {
    struct store_kv *kv;
    struct store_kv_reader *moved; /* opened by the main thread */
    unsigned apart;
    unsigned rounds;
};

static void *read_pairs(void *ctx)
{
    struct pair_reader *p = ctx;
    struct store_kv_reader *r = p->moved;
    for (unsigned round = 0; round < 500; round++) {
        struct bytes a = {0};
        uint8_t first[8];
        struct bytes b = {0};
        if (r == NULL && p->kv->reader_open(p->kv->ctx, &r) != 0) {
            continue;
        }
        if (p->kv->get(r, bytes_of_text("a"), &a) != 0) {
            p->apart++;
        }
        memcpy(first, a.data, 8);
        if (p->kv->get(r, bytes_of_text("b"), &b) != 0 || memcmp(first, b.data, 8) != 0) {
            p->apart++;
        }
        p->kv->reader_close(r);
        r = NULL;
        p->rounds++;
    }
    return NULL;
}

START_TEST(readers_on_other_threads_see_whole_transactions)
{
    struct store_kv kv;
    struct pair_reader readers[2] = {0};
    pthread_t threads[2];
    uint8_t value[8] = {0};
    lmdb_open(&kv, 4 << 20);
    for (uint64_t i = 0; i < 60; i++) {
        num_put_u64(value, i);
        ck_assert_int_eq(kv.begin(kv.ctx), 0);
        ck_assert_int_eq(kv.put(kv.ctx, bytes_of_text("a"), bytes_of(value, 8)), 0);
        ck_assert_int_eq(kv.put(kv.ctx, bytes_of_text("b"), bytes_of(value, 8)), 0);
        ck_assert_int_eq(kv.commit(kv.ctx), 0);
        for (unsigned k = 0; i == 0 && k < 2; k++) {
            readers[k].kv = &kv;
            ck_assert_int_eq(kv.reader_open(kv.ctx, &readers[k].moved), 0);
            ck_assert_int_eq(pthread_create(&threads[k], NULL, read_pairs, &readers[k]), 0);
        }
    }
    for (unsigned k = 0; k < 2; k++) {
        ck_assert_int_eq(pthread_join(threads[k], NULL), 0);
        ck_assert_uint_eq(readers[k].apart, 0);
        ck_assert_uint_gt(readers[k].rounds, 0);
    }
    lmdb_close(&kv);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kv_lmdb");
    TCase *tc = tcase_create("lmdb");
    kv_contract_add(suite, &lmdb);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, every_flipped_byte_of_a_record_is_found);
    tcase_add_test(tc, a_scan_passes_over_a_damaged_record_and_says_so);
    tcase_add_test(tc, a_damaged_pointer_of_long_keys_is_said_and_can_be_deleted);
    tcase_add_test(tc, a_file_cut_short_is_refused);
    tcase_add_test(tc, a_failed_write_of_a_page_latches_until_reopened);
    tcase_add_test(tc, a_failed_write_of_the_meta_page_latches_until_reopened);
    tcase_add_test(tc, a_failed_sync_latches_until_reopened);
    tcase_add_test(tc, a_full_disk_at_commit_is_said_and_ends_by_itself);
    tcase_add_test(tc, readers_beyond_the_limit_are_refused);
    tcase_add_test(tc, readers_on_other_threads_see_whole_transactions);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
