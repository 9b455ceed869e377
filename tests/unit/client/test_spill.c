/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs of groups as files: what was appended is read, no name is left in the directory, and what
 * the system refuses is said with the directory.
 */
#include "client/spill_internal.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char dir[64];

static void dir_make(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/holdfast-spill.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static unsigned dir_names(void)
{
    DIR *d = opendir(dir);
    unsigned names = 0;
    ck_assert_ptr_nonnull(d);
    while (readdir(d) != NULL) {
        names++;
    }
    (void)closedir(d);
    return names - 2;
}

START_TEST(what_was_appended_is_read)
{
    struct hf_spill s;
    void *run[3];
    char text[16];
    dir_make();
    hf_spill_init(&s, dir);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(s.spill.create(s.spill.ctx, &run[i]), 0);
    }
    for (unsigned at = 0; at < 1000; at++) {
        for (unsigned i = 0; i < 3; i++) {
            (void)snprintf(text, sizeof(text), "%u %06u;", i, at);
            ck_assert_int_eq(s.spill.append(s.spill.ctx, run[i], bytes_of_text(text)), 0);
        }
    }
    for (unsigned at = 1000; at-- > 0;) {
        for (unsigned i = 0; i < 3; i++) {
            char got[9];
            (void)snprintf(text, sizeof(text), "%u %06u;", i, at);
            ck_assert_int_eq(s.spill.read(s.spill.ctx, run[i], at * sizeof(got), got, sizeof(got)),
                             0);
            ck_assert_mem_eq(got, text, sizeof(got));
        }
    }
    ck_assert_uint_eq(dir_names(), 0);
    for (unsigned i = 0; i < 3; i++) {
        s.spill.remove(s.spill.ctx, run[i]);
    }
    ck_assert_int_eq(s.why.code, 0);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_file_that_is_shorter_than_what_was_written_is_an_error)
{
    struct hf_spill s;
    void *run = NULL;
    char got[4];
    dir_make();
    hf_spill_init(&s, dir);
    ck_assert_int_eq(s.spill.create(s.spill.ctx, &run), 0);
    ck_assert_int_eq(s.spill.append(s.spill.ctx, run, bytes_of_text("abc")), 0);
    ck_assert_int_eq(s.spill.read(s.spill.ctx, run, 0, got, 4), ERR_IO);
    ck_assert_ptr_nonnull(strstr(s.why.text, "cannot read what is beyond memory in '"));
    ck_assert_ptr_nonnull(strstr(s.why.text, dir));
    s.spill.remove(s.spill.ctx, run);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_full_disk_is_said)
{
    struct hf_spill s;
    void *run = NULL;
    struct rlimit before;
    static const uint8_t data[4096];
    dir_make();
    hf_spill_init(&s, dir);
    ck_assert_int_eq(s.spill.create(s.spill.ctx, &run), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit few = {.rlim_cur = 1u << 20, .rlim_max = before.rlim_max};
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &few), 0);
    int err = 0;
    unsigned writes = 0;
    for (; err == 0; writes++) {
        err = s.spill.append(s.spill.ctx, run, bytes_of(data, sizeof(data)));
    }
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_int_eq(err, ERR_DISK_FULL);
    ck_assert_uint_eq(writes, 257);
    ck_assert_int_eq(s.why.code, ERR_DISK_FULL);
    ck_assert_ptr_nonnull(strstr(s.why.text, "cannot keep what is beyond memory in '"));
    s.spill.remove(s.spill.ctx, run);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_directory_that_is_none_is_named)
{
    static const char *const none[] = {"/nowhere/at/all", "/dev/null"};
    for (unsigned i = 0; i < 2; i++) {
        struct hf_spill s;
        void *run = NULL;
        hf_spill_init(&s, none[i]);
        ck_assert_int_eq(s.spill.create(s.spill.ctx, &run), ERR_INVALID);
        ck_assert_int_eq(s.why.code, ERR_INVALID);
        ck_assert_ptr_nonnull(strstr(s.why.text, none[i]));
    }
}
END_TEST

UNIT_MAIN("client_spill", what_was_appended_is_read,
          a_file_that_is_shorter_than_what_was_written_is_an_error, a_full_disk_is_said,
          a_directory_that_is_none_is_named)
