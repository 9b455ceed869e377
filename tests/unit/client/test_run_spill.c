/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Programs over an object whose groups are more than the client's memory has room for: what is
 * printed is the same, also when the object was replaced on the way, and whatever ends the run, no
 * file stays open.
 */
#include "run_fake.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#define PROGRAM "lines | by $0 count"

static char dir[64];
static int writes;
static int write_fails; /* this one; 0: none */

static unsigned names_in(const char *path)
{
    DIR *d = opendir(path);
    unsigned names = 0;
    ck_assert_ptr_nonnull(d);
    while (readdir(d) != NULL) {
        names++;
    }
    (void)closedir(d);
    return names;
}

static void dir_begin(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/holdfast-run-spill.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    writes = 0;
    write_fails = 0;
    begin(SIZE);
}

static void dir_end(void)
{
    end();
    ck_assert_int_eq(rmdir(dir), 0); /* nothing is in it */
}

static int write_some(void *ctx, const void *data, size_t bytes)
{
    (void)ctx;
    return ++writes == write_fails ? ERR_DISK_FULL : ran_write(&ran, data, bytes);
}

static int run_spilling(const char *spill_dir, struct hf_answer *a)
{
    const struct hf_object o = {.bucket = hf_text("bucket"), .name = hf_text("name")};
    const struct hf_program program = {
        .text = hf_text(PROGRAM), .memory_bytes = 1000, .spill_dir = spill_dir};
    const struct hf_sink sink = {.ctx = &ran, .write = write_some, .rewind = ran_rewind};
    *a = (struct hf_answer){.ended = false};
    buf_init(&ran.printed, &heap, 64u << 20);
    return hf_object_run(fake.client, &o, &program, &sink, a, hf_answer_done);
}

START_TEST(the_result_is_that_of_the_bytes)
{
    struct hf_answer a;
    dir_begin();
    ck_assert_int_eq(run_spilling(dir, &a), 0);
    ck_assert_int_eq(fake_wait(&fake, &a), 0);
    check_printed(PROGRAM);
    hf_answer_release(&a);
    dir_end();
}
END_TEST

START_TEST(an_object_that_is_replaced_is_begun_again)
{
    for (unsigned after = 1; after < CELLS; after += 2) {
        struct hf_answer a;
        dir_begin();
        object.gone = 1;
        object.gone_after = after;
        ck_assert_int_eq(run_spilling(dir, &a), 0);
        ck_assert_int_eq(fake_wait(&fake, &a), 0);
        check_printed(PROGRAM);
        hf_answer_release(&a);
        dir_end();
    }
}
END_TEST

START_TEST(a_sink_that_fails_ends_it)
{
    struct hf_answer a;
    dir_begin();
    write_fails = 1;
    ck_assert_int_eq(run_spilling(dir, &a), 0);
    ck_assert_int_eq(fake_wait(&fake, &a), ERR_DISK_FULL);
    hf_answer_release(&a);
    dir_end();
}
END_TEST

START_TEST(a_directory_that_is_none_is_named)
{
    struct hf_answer a;
    dir_begin();
    ck_assert_int_eq(run_spilling("/nowhere/at/all", &a), 0);
    ck_assert_int_eq(fake_wait(&fake, &a), ERR_INVALID);
    ck_assert_ptr_nonnull(
        strstr(a.result.text, "cannot keep what is beyond memory in '/nowhere/at/all'"));
    hf_answer_release(&a);
    dir_end();
}
END_TEST

START_TEST(a_closed_client_closes_its_files)
{
    dir_begin();
    dir_end(); /* the loop's own files that stay open */
    for (unsigned requests = 2; requests < CELLS; requests += 3) {
        struct hf_answer a;
        const unsigned before = names_in("/proc/self/fd");
        dir_begin();
        ck_assert_int_eq(run_spilling(dir, &a), 0);
        while (fake.requests < requests && !a.ended) {
            (void)uv_run(&fake.loop, UV_RUN_ONCE);
        }
        dir_end();
        ck_assert_uint_eq(names_in("/proc/self/fd"), before);
        hf_answer_release(&a);
    }
}
END_TEST

UNIT_MAIN("client_run_spill", the_result_is_that_of_the_bytes,
          an_object_that_is_replaced_is_begun_again, a_sink_that_fails_ends_it,
          a_directory_that_is_none_is_named, a_closed_client_closes_its_files)
