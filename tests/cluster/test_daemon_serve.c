/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The daemon at work: values outlive SIGKILL, a cluster outlives a minority, and bad input ends
 * its connection and nothing else.
 */
#include "tests/cluster/daemon.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifdef DAEMON_SANITIZED
#define RSS_GROWTH_KIB (1u << 20) /* sanitizers keep what was freed */
#else
#define RSS_GROWTH_KIB 65536u
#endif

static struct daemons d;

static void put(unsigned i, unsigned round)
{
    char key[32];
    char value[32];
    (void)snprintf(key, sizeof(key), "key-%u", i);
    (void)snprintf(value, sizeof(value), "value-%u-%u", i, round);
    int err = daemon_put(&d, key, value);
    ck_assert_msg(err == 0, "put %s: %s", key, err_name(err));
}

static void check(unsigned i, unsigned round)
{
    char key[32];
    char value[32];
    char got[256];
    (void)snprintf(key, sizeof(key), "key-%u", i);
    (void)snprintf(value, sizeof(value), "value-%u-%u", i, round);
    int err = daemon_get(&d, key, got, sizeof(got));
    ck_assert_msg(err == 0, "get %s: %s", key, err_name(err));
    ck_assert_str_eq(got, value);
}

START_TEST(values_outlive_sigkill)
{
    daemons_begin(&d, 1, "");
    daemon_start(&d, 0);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 20; i++) {
            put(i, round);
        }
        daemon_kill(&d, 0);
        daemon_start(&d, 0);
        for (unsigned i = 0; i < 20; i++) {
            check(i, round);
        }
    }
    ck_assert_int_eq(daemon_stop(&d, 0), 0);
    daemons_end(&d);
}
END_TEST

START_TEST(three_nodes_outlive_their_leader)
{
    daemons_begin(&d, 3, "");
    for (unsigned i = 0; i < 3; i++) {
        daemon_start(&d, i);
    }
    for (unsigned round = 0; round < 3; round++) {
        put(round, round);
        unsigned leader = daemon_leader(&d, 1);
        daemon_kill(&d, leader);
        check(round, round);
        put(100 + round, round);
        daemon_start(&d, leader);
        check(100 + round, round);
    }
    daemons_end(&d);
}
END_TEST

START_TEST(all_nodes_killed_at_once_come_back_with_everything)
{
    daemons_begin(&d, 3, "");
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3; i++) {
            daemon_start(&d, i);
        }
        for (unsigned i = 0; i < 10 && round > 0; i++) {
            check(i, round - 1);
        }
        for (unsigned i = 0; i < 10; i++) {
            put(i, round);
        }
        for (unsigned i = 0; i < 3; i++) {
            daemon_kill(&d, i);
        }
    }
    daemons_end(&d);
}
END_TEST

/* The bytes end their connection, with one line; another client is served meanwhile. */
static void closes(const void *data, size_t bytes)
{
    unsigned before = daemon_lines(&d, 0, "event=client_closed");
    int fd = daemon_connect(daemon_port(&d, 0));
    ck_assert_int_ge(fd, 0);
    (void)daemon_send(fd, data, bytes); /* it may be closed before all is sent */
    ck_assert(daemon_closed(fd));
    (void)close(fd);
    ck_assert(daemon_await_lines(&d, 0, "event=client_closed", before + 1));
    ck_assert_uint_eq(daemon_lines(&d, 0, "event=client_closed"), before + 1);
}

/* scenarios 1, 2, 3, 4, 5, 8, 14, 32, 46 */
START_TEST(bad_input_ends_its_connection_and_nothing_else)
{
    static uint8_t deep[100000];
    static uint8_t nested[150];
    static const uint8_t array[] = {0xdd, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t map[] = {0x94, 0x00, 0x01, 0xa1, 'm', 0xdf, 0x08, 0x00, 0x00, 0x00};
    static const uint8_t bin[] = {0x94, 0x00, 0x01, 0xa1, 'm',  0x91,
                                  0xc6, 0xff, 0xff, 0xff, 0xff, 0x00};
    static const uint8_t str[] = {0x94, 0x00, 0x01, 0xdb, 0xff, 0xff, 0xff, 0xff, 'x'};
    static const uint8_t unused[] = {0x93, 0xc1};
    static const uint8_t tls[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00};
    static const uint8_t not_rpc[] = {0x93, 0x07, 0x07, 0x07};
    static const char http[] = "GET /\r\n\x1b[31m HTTP/1.1\r\n\r\n";
    static const char post[] = "POST /kv HTTP/1.1\r\nHost: localhost\r\n\r\n";
    daemons_begin(&d, 1, "");
    daemon_start(&d, 0);
    put(1, 1);
    memset(deep, 0x91, sizeof(deep));
    memset(nested, 0, sizeof(nested));
    for (size_t i = 0; i < sizeof(nested); i += 5) {
        nested[i] = 0xdd;
        nested[i + 1] = 0x08;
    }
    uint64_t before_kib = daemon_rss_kib(&d, 0);
    for (unsigned round = 0; round < 20; round++) {
        closes(deep, sizeof(deep));
        closes(nested, sizeof(nested));
        closes(array, sizeof(array));
        closes(map, sizeof(map));
        closes(not_rpc, sizeof(not_rpc));
        closes(bin, sizeof(bin));
        closes(str, sizeof(str));
        closes(unused, sizeof(unused));
        closes(tls, sizeof(tls));
        closes(http, sizeof(http) - 1);
        closes(post, sizeof(post) - 1);
    }
    ck_assert_uint_lt(daemon_rss_kib(&d, 0), before_kib + RSS_GROWTH_KIB);
    check(1, 1);
    ck_assert_uint_eq(daemon_lines(&d, 0, "\x1b"), 0);
    daemons_end(&d);
}
END_TEST

/* scenarios 4, 9 */
START_TEST(claims_of_much_cost_nothing_and_run_out_of_time)
{
    static const uint8_t claim[] = {0x94, 0x00, 0x01, 0xa1, 'm',  0x91,
                                    0xc6, 0x00, 0x1f, 0x00, 0x00, 0x00};
    int fds[200];
    daemons_begin(&d, 1, "[connections]\nprogress = 500ms\n");
    daemon_start(&d, 0);
    put(1, 1);
    uint64_t before_kib = daemon_rss_kib(&d, 0);
    for (unsigned i = 0; i < 200; i++) {
        fds[i] = daemon_connect(daemon_port(&d, 0));
        ck_assert_int_ge(fds[i], 0);
        ck_assert(daemon_send(fds[i], claim, sizeof(claim)));
    }
    check(1, 1);
    ck_assert_uint_lt(daemon_rss_kib(&d, 0), before_kib + RSS_GROWTH_KIB);
    for (unsigned i = 0; i < 200; i++) {
        ck_assert(daemon_closed(fds[i]));
        (void)close(fds[i]);
    }
    ck_assert(daemon_await_lines(&d, 0, "reason=no_progress", 200));
    check(1, 1);
    daemons_end(&d);
}
END_TEST

/* scenario 10 */
START_TEST(a_flood_of_connections_leaves_others_served)
{
    enum { FLOOD = 700 };
    static int fds[FLOOD];
    daemons_begin(&d, 1, "[connections]\nper_address = 100\n");
    daemon_start(&d, 0);
    put(1, 1);
    struct daemon_client c;
    struct wire_node answer;
    daemon_client_open(&c, daemon_port(&d, 0));
    (void)wire_pack_request(&c.out, 1, "hello", 0);
    ck_assert_int_eq(daemon_call(&c, &answer), 0);
    for (unsigned i = 0; i < FLOOD; i++) {
        fds[i] = daemon_connect(daemon_port(&d, 0));
        ck_assert_int_ge(fds[i], 0);
    }
    ck_assert(daemon_await_lines(&d, 0, "event=client_refused reason=per_address", 1));
    (void)wire_pack_request(&c.out, 2, "hello", 0);
    ck_assert_int_eq(daemon_call(&c, &answer), 0);
    for (unsigned i = 0; i < FLOOD; i++) {
        (void)close(fds[i]);
    }
    daemon_client_close(&c);
    check(1, 1);
    daemons_end(&d);
}
END_TEST

/* scenario 12 */
START_TEST(a_flood_of_requests_without_reading_is_bounded)
{
    static uint8_t burst[60000];
    size_t size = 0;
    struct alloc heap = alloc_heap();
    struct buf one;
    daemons_begin(&d, 1, "[connections]\nstall = 500ms\n");
    daemon_start(&d, 0);
    put(1, 1);
    buf_init(&one, &heap, 1024);
    (void)wire_pack_request(&one, 1, "hello", 0);
    ck_assert_int_eq(one.err, 0);
    while (size + one.size <= sizeof(burst)) {
        memcpy(burst + size, one.data, one.size);
        size += one.size;
    }
    buf_release(&one);
    uint64_t before_kib = daemon_rss_kib(&d, 0);
    int fd = daemon_connect(daemon_port(&d, 0));
    struct timeval wait = {.tv_sec = 1};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)), 0);
    bool open = true;
    for (unsigned i = 0; i < 200 && open; i++) {
        open = daemon_send(fd, burst, size);
    }
    ck_assert(daemon_await_lines(&d, 0, "event=client_closed", 1));
    check(1, 1);
    ck_assert_uint_lt(daemon_rss_kib(&d, 0), before_kib + RSS_GROWTH_KIB / 4);
    (void)close(fd);
    daemons_end(&d);
}
END_TEST

UNIT_MAIN("daemon_serve", values_outlive_sigkill, three_nodes_outlive_their_leader,
          all_nodes_killed_at_once_come_back_with_everything,
          bad_input_ends_its_connection_and_nothing_else,
          claims_of_much_cost_nothing_and_run_out_of_time,
          a_flood_of_connections_leaves_others_served,
          a_flood_of_requests_without_reading_is_bounded)
