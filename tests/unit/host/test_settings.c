/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Settings of the daemon: what is refused, and with which words. scenario 49
 */
#include "server/host/settings.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct host_settings settings;
static struct err_info why;

static int read_text(const char *text)
{
    struct alloc heap = alloc_heap();
    char path[] = "settings-test.XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, text, strlen(text)), (int)strlen(text));
    ck_assert_int_eq(close(fd), 0);
    memset(&why, 0, sizeof(why));
    ck_assert_int_eq(host_settings_init(&settings, &heap), 0);
    int err = host_settings_read(&settings, path, &why);
    if (err == 0) {
        err = host_settings_check(&settings, &why);
    }
    ck_assert_int_eq(unlink(path), 0);
    return err;
}

static void refused(const char *text, const char *words)
{
    ck_assert_int_eq(read_text(text), ERR_BAD_CONFIG);
    ck_assert_msg(strstr(why.text, words) != NULL, "'%s' does not say '%s'", why.text, words);
    host_settings_release(&settings);
}

START_TEST(the_defaults_are_good)
{
    ck_assert_int_eq(read_text(""), 0);
    ck_assert_str_eq(settings.data_dir, "holdfast-data");
    ck_assert_uint_eq(settings.time_scale, 1);
    host_settings_release(&settings);
}
END_TEST

START_TEST(a_file_sets_what_it_names)
{
    ck_assert_int_eq(read_text("[node]\ndata_dir = /srv/x\nclient_listen = 127.0.0.1:99\n"
                               "[raft]\nheartbeat = 20ms\nelection = 200ms\n"
                               "[limits]\nworkers = 3\n"),
                     0);
    ck_assert_str_eq(settings.data_dir, "/srv/x");
    ck_assert_uint_eq(settings.heartbeat_us, 20000);
    ck_assert_uint_eq(settings.limits.workers, 3);
    host_settings_release(&settings);
}
END_TEST

START_TEST(a_bad_line_is_named)
{
    refused("[node]\ndata_dri = x\n", "line 2");
    refused("[raft]\nheartbeat = -1\n", "line 2");
    refused("[raft]\ntime_scale = 99999999999999999999999\n", "line 2");
    refused("[raft]\ntime_scale = nan\n", "line 2");
    refused("[raft]\ntime_scale = 0\n", "line 2");
    refused("[node]\n\nlog_level = loud\n", "line 3");
    refused("[node]\nclient_listen = 127.0.0.1\n", "line 2");
    refused("[node]\nclient_listen = 127.0.0.1:70000\n", "line 2");
    refused("[node]\nclient_listen = example.org:70\n", "line 2");
    refused("[node]\nclient_listen = 127.0.0.1:7\npeer_listen = 127.0.0.1:7\n", "line 3");
    refused("[raft]\nheartbeat = 100ms\nelection = 200ms\n", "line 3");
    refused("[node]\ndata_dir = a\ndata_dir = b\n", "line 3");
    refused("[limits]\nworkers = 0\n", "line 2");
    refused("[gpu]\nuse = maybe\n", "line 2: 'use' of the GPU must be auto, always or off");
    refused("[gpu]\nuse = off\nplugin = holdfast-gpu.so\n", "line 3: 'plugin' must be a path");
}
END_TEST

START_TEST(a_file_that_is_not_there_is_said_so)
{
    struct alloc heap = alloc_heap();
    ck_assert_int_eq(host_settings_init(&settings, &heap), 0);
    ck_assert_int_eq(host_settings_read(&settings, "no-such-file", &why), ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(why.text, "no-such-file"));
    host_settings_release(&settings);
}
END_TEST

START_TEST(what_is_printed_reads_back_the_same)
{
    struct alloc heap = alloc_heap();
    struct buf first;
    struct buf second;
    buf_init(&first, &heap, 1u << 20);
    buf_init(&second, &heap, 1u << 20);
    ck_assert_int_eq(read_text("[node]\ndata_dir = \"a b\"\n[connections]\nstall = 7s\n"), 0);
    ck_assert_int_eq(host_settings_print(&settings, &first), 0);
    host_settings_release(&settings);
    ck_assert_int_eq(buf_put_u8(&first, 0), 0);
    ck_assert_int_eq(read_text((const char *)first.data), 0);
    ck_assert_uint_eq(settings.stall_us, 7000000);
    ck_assert_int_eq(host_settings_print(&settings, &second), 0);
    ck_assert_uint_eq(second.size + 1, first.size);
    ck_assert_int_eq(memcmp(first.data, second.data, second.size), 0);
    host_settings_release(&settings);
    buf_release(&first);
    buf_release(&second);
}
END_TEST

START_TEST(endpoints_of_both_families_are_read)
{
    char host[64];
    uint16_t port = 0;
    ck_assert_int_eq(host_settings_endpoint("[::1]:80", host, sizeof(host), &port), 0);
    ck_assert_str_eq(host, "::1");
    ck_assert_uint_eq(port, 80);
    ck_assert_int_eq(host_settings_endpoint("localhost:65535", host, sizeof(host), &port), 0);
    ck_assert_uint_eq(port, 65535);
    ck_assert_int_ne(host_settings_endpoint(":80", host, sizeof(host), &port), 0);
    ck_assert_int_ne(host_settings_endpoint("a:", host, sizeof(host), &port), 0);
    ck_assert_int_ne(host_settings_endpoint("a:0", host, sizeof(host), &port), 0);
    ck_assert_int_ne(host_settings_endpoint("a:1x", host, sizeof(host), &port), 0);
}
END_TEST

UNIT_MAIN("host_settings", the_defaults_are_good, a_file_sets_what_it_names, a_bad_line_is_named,
          a_file_that_is_not_there_is_said_so, what_is_printed_reads_back_the_same,
          endpoints_of_both_families_are_read)
