/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the host promises whatever the node does: connections, limits, greeting, jobs, the end.
 */
#include "base/crc.h"
#include "base/num.h"
#include "tests/unit/host/fake_node.h"
#include "tests/unit/host/host_fixture.h"
#include "tests/unit/unit.h"
#include "wire/frame.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char tight[] = "[connections]\nper_address = 20\nprogress = 300ms\nstall = 500ms\n"
                            "greeting = 300ms\nsilence = 800ms\ninput_bytes = 1MiB\n"
                            "[limits]\nrequest_bytes = 1100KiB\noutput_bytes = 1100KiB\n"
                            "part_bytes = 64KiB\nscan_bytes = 64KiB\n";

static struct fixture f;
static struct err_info why;

static void begin(unsigned nodes, const char *config)
{
    static char text[1024];
    const char *rest = strstr(config, "[limits]\n");
    fake_counts_reset();
    /* the fixture's text ends within [limits], so those lines come first */
    (void)snprintf(text, sizeof(text), "%s%.*s", rest == NULL ? "" : rest + 9,
                   (int)(rest == NULL ? strlen(config) : (size_t)(rest - config)), config);
    fixture_begin(&f, nodes, text);
    for (unsigned i = 0; i < nodes; i++) {
        int err = fixture_start(&f, i, &why);
        ck_assert_msg(err == 0, "%s", why.text);
    }
}

static int client(void)
{
    int fd = fixture_connect(&f, 0, false);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* [0, what, "m", [bin of bytes]] */
static size_t request(uint8_t *into, uint8_t what, uint32_t bytes)
{
    const uint8_t head[] = {0x94, 0x00, what, 0xa1, 'm', 0x91, 0xc6};
    memcpy(into, head, sizeof(head));
    num_put_u32_be(into + sizeof(head), bytes);
    memset(into + sizeof(head) + 4, 'x', bytes);
    return sizeof(head) + 4 + bytes;
}

/* Sends a request and takes the same bytes back. */
static void echo(int fd, uint8_t what, uint32_t bytes)
{
    static uint8_t sent[1u << 21];
    static uint8_t got[1u << 21];
    size_t size = request(sent, what, bytes);
    ck_assert(fixture_send(fd, sent, size));
    ck_assert(fixture_receive(fd, got, size));
    ck_assert_int_eq(memcmp(sent, got, size), 0);
}

static struct fake_counts counts(uint32_t node)
{
    struct fake_counts out;
    fake_counts_get(node, &out);
    return out;
}

START_TEST(requests_of_all_sizes_are_answered)
{
    begin(1, tight);
    int fd = client();
    for (uint32_t bytes = 0; bytes < 1000000; bytes = bytes * 3 + 1) {
        echo(fd, FAKE_ECHO, bytes);
    }
    (void)close(fd);
    fixture_end(&f);
}
END_TEST

START_TEST(a_message_may_come_a_byte_at_a_time)
{
    uint8_t sent[64];
    uint8_t got[64];
    begin(1, "");
    int fd = client();
    size_t size = request(sent, FAKE_ECHO, 40);
    for (size_t i = 0; i < size; i++) {
        ck_assert(fixture_send(fd, sent + i, 1));
    }
    ck_assert(fixture_receive(fd, got, size));
    ck_assert_int_eq(memcmp(sent, got, size), 0);
    ck_assert_uint_eq(counts(1).requests, 1);
    (void)close(fd);
    fixture_end(&f);
}
END_TEST

START_TEST(many_messages_in_one_write_are_answered_in_order)
{
    static uint8_t sent[200 * 64];
    static uint8_t got[200 * 64];
    size_t size = 0;
    begin(1, "");
    int fd = client();
    for (uint32_t i = 0; i < 200; i++) {
        size += request(sent + size, FAKE_ECHO, i % 32);
    }
    ck_assert(fixture_send(fd, sent, size));
    ck_assert(fixture_receive(fd, got, size));
    ck_assert_int_eq(memcmp(sent, got, size), 0);
    (void)close(fd);
    fixture_end(&f);
}
END_TEST

/* Bytes that end a connection at once; the first one is still served. */
static void closes(const void *data, size_t bytes, const char *code)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "code=%s", code);
    unsigned before = fixture_lines(&f, 0, line);
    int fd = client();
    ck_assert(fixture_send(fd, data, bytes));
    ck_assert_msg(fixture_closed(fd), "not closed: %s", code);
    (void)close(fd);
    ck_assert(fixture_await_lines(&f, 0, line, before + 1));
    ck_assert_uint_eq(fixture_lines(&f, 0, line), before + 1);
}

/* scenarios 1, 2, 3, 4, 5, 8, 14, 32 */
START_TEST(bad_bytes_close_the_connection_with_one_line)
{
    static uint8_t deep[100000];
    static const uint8_t big_array[] = {0xdd, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t big_bin[] = {0x94, 0x00, 0x01, 0xa1, 'm',  0x91,
                                      0xc6, 0xff, 0xff, 0xff, 0xff, 0x00};
    static const uint8_t big_map[] = {0x94, 0x00, 0x01, 0xa1, 'm', 0xdf,
                                      0x08, 0x00, 0x00, 0x00, 0x00};
    static const uint8_t never_used[] = {0x94, 0x00, 0x01, 0xc1};
    static const uint8_t tls[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
    static const uint8_t garbage[] = {0x00, 0xff, 0x12, 0x9c, 0x55};
    static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char post[] = "POST / HTTP/1.1\r\nHost: x\r\n\r\n";
    begin(1, "");
    int other = client();
    memset(deep, 0x91, sizeof(deep));
    deep[0] = 0x94;
    closes(deep, sizeof(deep), "TOO_LARGE");
    closes(big_array, sizeof(big_array), "TOO_LARGE");
    closes(big_bin, sizeof(big_bin), "TOO_LARGE");
    closes(big_map, sizeof(big_map), "TOO_LARGE");
    closes(never_used, sizeof(never_used), "PROTOCOL");
    closes(tls, sizeof(tls), "PROTOCOL");
    closes(garbage, sizeof(garbage), "PROTOCOL");
    closes(http, sizeof(http) - 1, "PROTOCOL");
    closes(post, sizeof(post) - 1, "PROTOCOL");
    echo(other, FAKE_ECHO, 100);
    ck_assert_uint_eq(counts(1).requests, 1);
    (void)close(other);
    fixture_end(&f);
}
END_TEST

/* scenario 9 */
START_TEST(a_message_that_does_not_get_on_is_closed)
{
    uint8_t sent[64];
    begin(1, tight);
    int other = client();
    int fd = client();
    (void)request(sent, FAKE_ECHO, 40);
    ck_assert(fixture_send(fd, sent, 9));
    ck_assert(fixture_closed(fd));
    ck_assert(fixture_await_lines(&f, 0, "reason=no_progress", 1));
    echo(other, FAKE_ECHO, 10);
    (void)close(fd);
    (void)close(other);
    fixture_end(&f);
}
END_TEST

/* scenario 10 */
START_TEST(connections_beyond_the_limit_are_refused_and_others_served)
{
    int fds[30];
    unsigned open = 0;
    begin(1, tight);
    fds[0] = client();
    echo(fds[0], FAKE_ECHO, 1);
    for (unsigned i = 1; i < 30; i++) {
        fds[i] = client();
    }
    ck_assert(fixture_await_lines(&f, 0, "event=client_refused", 1));
    for (unsigned i = 20; i < 30; i++) {
        ck_assert(fixture_closed(fds[i]));
    }
    for (unsigned i = 0; i < 30; i++) {
        (void)close(fds[i]);
    }
    while (counts(1).gone < 20) {
        fixture_pause_ms(5);
        ck_assert_uint_lt(open++, 2000);
    }
    int again = client();
    echo(again, FAKE_ECHO, 1);
    (void)close(again);
    fixture_end(&f);
}
END_TEST

/* scenarios 11, 12 */
START_TEST(a_client_that_reads_nothing_is_closed)
{
    static uint8_t sent[64];
    begin(1, tight);
    int other = client();
    int fd = client();
    size_t size = request(sent, FAKE_BIG, 0);
    bool open = true;
    for (unsigned i = 0; i < 1000 && open; i++) {
        open = fixture_send(fd, sent, size);
    }
    ck_assert(fixture_await_lines(&f, 0, "event=client_closed conn=", 1));
    ck_assert_uint_eq(fixture_lines(&f, 0, "reason=output_full"), 1);
    echo(other, FAKE_ECHO, 10);
    (void)close(fd);
    (void)close(other);
    fixture_end(&f);
}
END_TEST

START_TEST(a_client_that_stops_reading_is_closed_after_a_while)
{
    static uint8_t sent[64];
    begin(1, "[connections]\nstall = 300ms\n[limits]\noutput_bytes = 64MiB\n");
    int fd = client();
    size_t size = request(sent, FAKE_BIG, 0);
    for (unsigned i = 0; i < 60; i++) {
        ck_assert(fixture_send(fd, sent, size));
    }
    ck_assert(fixture_await_lines(&f, 0, "reason=reads_nothing", 1));
    (void)close(fd);
    fixture_end(&f);
}
END_TEST

/* scenario 13 */
START_TEST(half_closes_and_resets_release_everything)
{
    uint8_t sent[64];
    begin(1, "");
    for (unsigned i = 0; i < 20; i++) {
        int fd = client();
        (void)request(sent, FAKE_ECHO, 30);
        ck_assert(fixture_send(fd, sent, i));
        if (i % 2 == 0) {
            ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
            ck_assert(fixture_closed(fd));
        } else {
            struct linger hard = {.l_onoff = 1, .l_linger = 0};
            ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
        }
        (void)close(fd);
    }
    for (unsigned i = 0; counts(1).gone < counts(1).opened || counts(1).opened < 20; i++) {
        fixture_pause_ms(5);
        ck_assert_uint_lt(i, 2000);
    }
    fixture_end(&f);
}
END_TEST

START_TEST(half_messages_of_all_clients_have_one_bound)
{
    static uint8_t sent[1u << 20];
    int fds[16];
    unsigned closed = 0;
    begin(1, tight);
    (void)request(sent, FAKE_ECHO, 1000000);
    for (unsigned i = 0; i < 16; i++) {
        fds[i] = client();
        (void)fixture_send(fds[i], sent, 200000);
    }
    ck_assert(fixture_await_lines(&f, 0, "reason=input_memory", 1));
    closed = fixture_lines(&f, 0, "reason=input_memory");
    ck_assert_uint_le(closed, 16);
    for (unsigned i = 0; i < 16; i++) {
        (void)close(fds[i]);
    }
    fixture_end(&f);
}
END_TEST

START_TEST(the_node_may_close_after_its_answer)
{
    begin(1, "");
    int fd = client();
    echo(fd, FAKE_CLOSE, 5);
    ck_assert(fixture_closed(fd));
    (void)close(fd);
    fixture_end(&f);
}
END_TEST

START_TEST(jobs_of_all_lanes_and_the_log_come_back)
{
    begin(1, "");
    int fd = client();
    for (unsigned i = 0; i < 200; i++) {
        echo(fd, FAKE_WORK, 3);
    }
    ck_assert_uint_eq(counts(1).jobs, 200u * 18u);
    ck_assert_uint_eq(counts(1).batches, 200);
    ck_assert_uint_ge(counts(0).syncs, 200);
    (void)close(fd);
    fixture_end(&f);
}
END_TEST

START_TEST(a_stop_amid_work_drops_it_cleanly)
{
    static uint8_t sent[64];
    for (unsigned i = 0; i < 10; i++) {
        begin(1, "");
        int fd = client();
        size_t size = request(sent, FAKE_WORK, 1);
        ck_assert(fixture_send(fd, sent, size));
        ck_assert_int_eq(fixture_stop(&f, 0), 0);
        (void)close(fd);
        fixture_end(&f);
    }
}
END_TEST

START_TEST(a_node_that_must_end_ends_the_host)
{
    static uint8_t sent[64];
    begin(1, "");
    int fd = client();
    size_t size = request(sent, FAKE_STOP, 1);
    ck_assert(fixture_send(fd, sent, size));
    ck_assert(fixture_await_lines(&f, 0, "event=node_stopped code=IO", 1));
    ck_assert_int_eq(fixture_stop(&f, 0), ERR_IO);
    (void)close(fd);
    fixture_end(&f);
}
END_TEST

/* ---- nodes ---------------------------------------------------------------------------------- */

static void await_links(unsigned nodes, uint64_t each)
{
    for (unsigned i = 0; i < nodes; i++) {
        unsigned tries = 0;
        while (counts(i + 1).frames < each || counts(i + 1).peers_up < each ||
               counts(i + 1).large < each) {
            fixture_pause_ms(5);
            ck_assert_msg(tries++ < 4000, "node %u does not meet the others", i + 1);
        }
    }
}

START_TEST(every_pair_of_nodes_meets_and_talks)
{
    begin(5, "");
    await_links(5, 4);
    for (uint32_t i = 1; i <= 5; i++) {
        ck_assert_uint_eq(counts(i).peers_down, 0);
        ck_assert_uint_gt(counts(i).kept, 0);
    }
    fixture_end(&f);
}
END_TEST

/* The algorithm of a socket; of one that is new, with name asked for if not NULL. returns: false if
 * the kernel does not give it. */
static bool algorithm(int fd, const char *name, char into[16])
{
    const int of = fd >= 0 ? fd : socket(AF_INET, SOCK_STREAM, 0);
    socklen_t bytes = 16;
    memset(into, 0, 16);
    bool gives = name == NULL ||
                 setsockopt(of, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) == 0;
    gives = gives && getsockopt(of, IPPROTO_TCP, TCP_CONGESTION, into, &bytes) == 0;
    if (fd < 0) {
        (void)close(of);
    }
    return gives;
}

/* Looks at both ends of all connections between the nodes, which are all of this process. */
static void links_have(const char *name, unsigned ends)
{
    unsigned dialled = 0;
    unsigned accepted = 0;
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in own = {0};
        struct sockaddr_in other = {0};
        socklen_t own_bytes = sizeof(own);
        socklen_t other_bytes = sizeof(other);
        char has[16];
        if (getsockname(fd, (struct sockaddr *)&own, &own_bytes) != 0 ||
            getpeername(fd, (struct sockaddr *)&other, &other_bytes) != 0 ||
            own.sin_family != AF_INET || !algorithm(fd, NULL, has)) {
            continue;
        }
        for (unsigned i = 0; i < f.count; i++) {
            const uint16_t port = htons(f.identity.nodes[i].peer_port);
            dialled += other.sin_port == port;
            accepted += own.sin_port == port;
        }
        ck_assert_str_eq(has, name);
    }
    ck_assert_uint_eq(dialled, ends);
    ck_assert_uint_eq(accepted, ends);
}

START_TEST(links_have_the_congestion_control_that_is_asked_for)
{
    char system[16];
    char other[16];
    char config[64];
    ck_assert(algorithm(-1, NULL, system));
    ck_assert(algorithm(-1, strcmp(system, "reno") == 0 ? "cubic" : "reno", other));
    (void)snprintf(config, sizeof(config), "[connections]\npeer_congestion = %s\n", other);
    begin(3, config);
    await_links(3, 2);
    links_have(other, 3);
    fixture_end(&f);
    begin(3, "[connections]\npeer_congestion = system\n");
    await_links(3, 2);
    links_have(system, 3);
    fixture_end(&f);
}
END_TEST

START_TEST(links_are_cubic_where_nothing_is_asked_for)
{
    char name[16];
    if (!algorithm(-1, "cubic", name)) {
        ck_assert(algorithm(-1, NULL, name));
    }
    begin(2, "");
    await_links(2, 1);
    links_have(name, 1);
    fixture_end(&f);
}
END_TEST

START_TEST(a_congestion_control_that_the_kernel_has_not_is_named)
{
    fake_counts_reset();
    fixture_begin(&f, 1, "[connections]\npeer_congestion = pigeon\n");
    ck_assert_int_eq(fixture_start(&f, 0, &why), ERR_BAD_CONFIG);
    ck_assert_msg(strstr(why.text, "'peer_congestion' is 'pigeon'") != NULL, "%s", why.text);
    fixture_end(&f);
}
END_TEST

START_TEST(a_node_that_comes_back_meets_the_others_again)
{
    begin(3, "");
    await_links(3, 2);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(fixture_stop(&f, i), 0);
        ck_assert_int_eq(fixture_start(&f, i, &why), 0);
        await_links(3, i + 3);
    }
    fixture_end(&f);
}
END_TEST

/* The queue of the peer's port is full: connections are neither made nor refused, as in a network
 * that is cut. Long before the greeting is due another one is tried, for the system's own tries
 * come ever more seldom. */
START_TEST(a_connection_that_is_not_made_is_given_up_after_a_second)
{
    int queued[4];
    struct sockaddr_in at = {.sin_family = AF_INET};
    fake_counts_reset();
    fixture_begin(&f, 2, "[connections]\ngreeting = 60s\n");
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(f.identity.nodes[1].peer_port);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (const struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(listener, 0), 0);
    for (unsigned i = 0; i < 4; i++) {
        queued[i] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(fcntl(queued[i], F_SETFL, fcntl(queued[i], F_GETFL) | O_NONBLOCK), 0);
        (void)connect(queued[i], (const struct sockaddr *)&at, sizeof(at));
    }
    ck_assert_int_eq(fixture_start(&f, 0, &why), 0);
    ck_assert(fixture_await_lines(&f, 0, "reason=no_connection", 1));
    (void)close(listener);
    for (unsigned i = 0; i < 4; i++) {
        (void)close(queued[i]);
    }
    ck_assert_int_eq(fixture_start(&f, 1, &why), 0);
    await_links(2, 1);
    fixture_end(&f);
}
END_TEST

START_TEST(a_fenced_node_ends_and_names_the_cure)
{
    fake_counts_reset();
    fixture_begin(&f, 2, "");
    fake_peer_code(2, ERR_FENCED);
    ck_assert_int_eq(fixture_start(&f, 0, &why), 0);
    ck_assert_int_eq(fixture_start(&f, 1, &why), 0);
    ck_assert(fixture_await_lines(&f, 1, "event=fenced node=2", 1));
    ck_assert_uint_eq(fixture_lines(&f, 1, "cure="), 1);
    ck_assert_int_eq(fixture_stop(&f, 1), ERR_FENCED);
    ck_assert_uint_eq(counts(1).peers_up, 0);
    fixture_end(&f);
}
END_TEST

START_TEST(a_fenced_dialler_ends_too)
{
    fake_counts_reset();
    fixture_begin(&f, 2, "");
    fake_peer_code(1, ERR_FENCED);
    ck_assert_int_eq(fixture_start(&f, 0, &why), 0);
    ck_assert_int_eq(fixture_start(&f, 1, &why), 0);
    ck_assert(fixture_await_lines(&f, 0, "event=fenced node=1", 1));
    ck_assert_int_eq(fixture_stop(&f, 0), ERR_FENCED);
    fixture_end(&f);
}
END_TEST

/* A frame as node 1 of the cluster would send it to node 2. */
static size_t frame(uint8_t *into, uint16_t kind, uint32_t body_bytes, uint32_t sender)
{
    struct wire_frame_header h = {.level = WIRE_FRAME_LEVEL,
                                  .kind = kind,
                                  .sender = sender,
                                  .destination = 2,
                                  .incarnation = 1,
                                  .boot = 1,
                                  .body_bytes = body_bytes};
    memcpy(h.cluster, f.identity.cluster, sizeof(h.cluster));
    memset(into + WIRE_FRAME_HEADER_BYTES, 0, body_bytes < 64 ? body_bytes : 0);
    h.body_crc = crc_of(into + WIRE_FRAME_HEADER_BYTES, body_bytes < 64 ? body_bytes : 0);
    wire_frame_encode_header(&h, into);
    return WIRE_FRAME_HEADER_BYTES + (body_bytes < 64 ? body_bytes : 0);
}

static void peer_closes(const void *data, size_t bytes, const char *code)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "code=%s", code);
    unsigned before = fixture_lines(&f, 1, line);
    int fd = fixture_connect(&f, 1, true);
    ck_assert_int_ge(fd, 0);
    ck_assert(fixture_send(fd, data, bytes));
    ck_assert_msg(fixture_closed(fd), "not closed: %s", code);
    (void)close(fd);
    ck_assert(fixture_await_lines(&f, 1, line, before + 1));
}

/* scenarios 8, 9, 21, 22 */
START_TEST(frames_that_are_wrong_close_the_connection_of_a_peer)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: some.where.example\r\n"
                               "Accept: text/html, and more than sixty-four bytes\r\n\r\n";
    uint8_t bytes[256];
    fake_counts_reset();
    fixture_begin(&f, 2, "[connections]\ngreeting = 300ms\n");
    ck_assert_int_eq(fixture_start(&f, 1, &why), 0);
    peer_closes(http, sizeof(http) - 1, "PROTOCOL");
    peer_closes(bytes, frame(bytes, 7, 14, 1), "PROTOCOL");       /* no greeting */
    peer_closes(bytes, frame(bytes, 0xff01, 14, 9), "PROTOCOL");  /* not in the roster */
    peer_closes(bytes, frame(bytes, 0xff01, 65, 1), "TOO_LARGE"); /* longer than a greeting */
    size_t size = frame(bytes, 0xff01, 14, 1);
    bytes[10] ^= 1; /* the cluster, under a good checksum */
    num_put_u32(bytes + 60, crc_of(bytes, 60));
    peer_closes(bytes, size, "WRONG_CLUSTER");
    size = frame(bytes, 0xff01, 14, 1);
    bytes[size - 1] ^= 1;
    peer_closes(bytes, size, "CORRUPT");
    peer_closes(bytes, 20, "TIMEOUT"); /* half a header */
    ck_assert_uint_eq(counts(2).peers_up, 0);
    fixture_end(&f);
}
END_TEST

/* scenario G13: the same key, the same ids and addresses, another cluster */
START_TEST(nodes_of_two_clusters_refuse_each_other_by_name)
{
    fake_counts_reset();
    fixture_begin(&f, 2, "");
    fixture_of_another_cluster(&f, 1);
    ck_assert_int_eq(fixture_start(&f, 1, &why), 0);
    ck_assert_int_eq(fixture_start(&f, 0, &why), 0);
    ck_assert(fixture_await_lines(&f, 0, "event=peer_unreachable peer=2", 1));
    ck_assert(fixture_await_lines(&f, 0, "code=WRONG_CLUSTER", 1));
    ck_assert(fixture_await_lines(&f, 1, "event=peer_closed", 1));
    ck_assert(fixture_await_lines(&f, 1, "code=WRONG_CLUSTER", 1));
    ck_assert_uint_eq(counts(1).peers_up, 0);
    ck_assert_uint_eq(counts(2).peers_up, 0);
    fixture_end(&f);
}
END_TEST

START_TEST(a_stranger_is_told_no_more_than_it_said)
{
    uint8_t bytes[128];
    uint8_t answer[256];
    struct wire_frame frame_back;
    fake_counts_reset();
    fixture_begin(&f, 2, "");
    ck_assert_int_eq(fixture_start(&f, 1, &why), 0);
    size_t size = frame(bytes, 0xff01, 14, 1);
    bytes[10] ^= 1;
    num_put_u32(bytes + 60, crc_of(bytes, 60));
    int fd = fixture_connect(&f, 1, true);
    ck_assert_int_ge(fd, 0);
    ck_assert(fixture_send(fd, bytes, size));
    size_t got = fixture_until_closed(fd, answer, sizeof(answer));
    (void)close(fd);
    ck_assert_uint_le(got, size);
    struct wire_frame_expect expect = {.self = 1, .level_max = 1, .body_bytes_max = 64};
    memcpy(expect.cluster, bytes + 8, sizeof(expect.cluster)); /* the stranger's own */
    ck_assert_int_eq(wire_frame_parse(&expect, bytes_of(answer, got), &frame_back), 0);
    ck_assert_uint_eq(frame_back.header.sender, 2);
    ck_assert_uint_eq(frame_back.header.boot, 0);
    ck_assert_int_eq((int)num_get_u32(frame_back.body.data + 10), ERR_WRONG_CLUSTER);
    fixture_end(&f);
}
END_TEST

START_TEST(a_busy_port_is_named)
{
    begin(1, "");
    struct host *second = NULL;
    struct host_settings settings;
    struct alloc heap = alloc_heap();
    char listen[64];
    char path[160];
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%u",
                   (unsigned)f.identity.nodes[0].client_port);
    (void)snprintf(path, sizeof(path), "%s/alone", f.base);
    ck_assert_int_eq(host_settings_init(&settings, &heap), 0);
    ck_assert_int_eq(host_settings_set(&settings, "node", "client_listen", listen, &why), 0);
    ck_assert_int_eq(host_settings_set(&settings, "node", "data_dir", path, &why), 0);
    struct host_options options = {
        .settings = &settings, .log = &f.nodes[0].log, .found_alone = true};
    ck_assert_int_eq(host_open(&second, &options, &why), ERR_IN_USE);
    ck_assert_ptr_nonnull(strstr(why.text, listen));
    ck_assert_int_eq(host_settings_set(&settings, "node", "data_dir", f.nodes[0].path, &why), 0);
    ck_assert_int_eq(host_open(&second, &options, &why), ERR_IN_USE);
    ck_assert_ptr_nonnull(strstr(why.text, "another process"));
    host_settings_release(&settings);
    fixture_end(&f);
}
END_TEST

UNIT_MAIN("host_net", requests_of_all_sizes_are_answered, a_message_may_come_a_byte_at_a_time,
          many_messages_in_one_write_are_answered_in_order,
          bad_bytes_close_the_connection_with_one_line, a_message_that_does_not_get_on_is_closed,
          connections_beyond_the_limit_are_refused_and_others_served,
          a_client_that_reads_nothing_is_closed,
          a_client_that_stops_reading_is_closed_after_a_while,
          half_closes_and_resets_release_everything, half_messages_of_all_clients_have_one_bound,
          the_node_may_close_after_its_answer, jobs_of_all_lanes_and_the_log_come_back,
          a_stop_amid_work_drops_it_cleanly, a_node_that_must_end_ends_the_host,
          every_pair_of_nodes_meets_and_talks, links_have_the_congestion_control_that_is_asked_for,
          links_are_cubic_where_nothing_is_asked_for,
          a_congestion_control_that_the_kernel_has_not_is_named,
          a_node_that_comes_back_meets_the_others_again,
          a_connection_that_is_not_made_is_given_up_after_a_second,
          a_fenced_node_ends_and_names_the_cure, a_fenced_dialler_ends_too,
          frames_that_are_wrong_close_the_connection_of_a_peer,
          nodes_of_two_clusters_refuse_each_other_by_name, a_stranger_is_told_no_more_than_it_said,
          a_busy_port_is_named)
