/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Starts and stops hosts on threads, and talks to them over sockets.
 */
#include "tests/unit/host/host_fixture.h"

#include "server/host/data_dir.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 20000

/* libuv closes descriptors by plain system calls, which the thread sanitizer does not see: it would
 * take a reused number for a race. */
ATTR_EXPORT const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libuv.so\n";
}

void fixture_pause_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&pause, NULL);
}

static void fixture_log(void *ctx, enum log_level level, const char *line)
{
    struct fixture_node *n = ctx;
    size_t bytes = strlen(line);
    (void)level;
    (void)pthread_mutex_lock(&n->lock);
    if (n->lines_bytes + bytes + 2 < sizeof(n->lines)) {
        memcpy(n->lines + n->lines_bytes, line, bytes);
        n->lines_bytes += bytes;
        n->lines[n->lines_bytes++] = '\n';
        n->lines[n->lines_bytes] = '\0';
    }
    (void)pthread_mutex_unlock(&n->lock);
    if (getenv("HOLDFAST_TEST_LOG") != NULL) {
        host_log_stderr(NULL, level, line);
    }
}

unsigned fixture_lines(struct fixture *f, unsigned i, const char *text)
{
    struct fixture_node *n = &f->nodes[i];
    unsigned count = 0;
    (void)pthread_mutex_lock(&n->lock);
    for (const char *at = strstr(n->lines, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    (void)pthread_mutex_unlock(&n->lock);
    return count;
}

bool fixture_await_lines(struct fixture *f, unsigned i, const char *text, unsigned count)
{
    for (unsigned ms = 0; ms < WAIT_MS; ms += 10) {
        if (fixture_lines(f, i, text) >= count) {
            return true;
        }
        fixture_pause_ms(10);
    }
    return false;
}

/* Ports that were free a moment ago. */
static void fixture_ports(uint16_t *ports, unsigned count)
{
    int fds[2 * FIXTURE_NODES_MAX];
    for (unsigned i = 0; i < count; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        socklen_t bytes = sizeof(address);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_ge(fds[i], 0);
        ck_assert_int_eq(bind(fds[i], (struct sockaddr *)&address, sizeof(address)), 0);
        ck_assert_int_eq(getsockname(fds[i], (struct sockaddr *)&address, &bytes), 0);
        ports[i] = ntohs(address.sin_port);
    }
    for (unsigned i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
}

static void fixture_settings(struct fixture *f, unsigned i, const char *config)
{
    struct alloc heap = alloc_heap();
    struct fixture_node *n = &f->nodes[i];
    struct err_info why = {.code = 0};
    char text[4096];
    (void)snprintf(text, sizeof(text),
                   "[node]\ndata_dir = %s\n"
                   "[limits]\nwal_segment_bytes = 1MiB\nmap_bytes = 64MiB\nmemtable_bytes = 1MiB\n"
                   "shard_segment_bytes = 8MiB\ndisk_reserve_bytes = 1MiB\n%s",
                   n->path, config);
    ck_assert_int_eq(host_settings_init(&n->settings, &heap), 0);
    int err = config_parse(&n->settings.config, bytes_of_text(text), "test", &why);
    ck_assert_msg(err == 0, "%s", why.text);
    err = host_settings_check(&n->settings, &why);
    ck_assert_msg(err == 0, "%s", why.text);
}

static void fixture_found(struct fixture *f, unsigned i)
{
    struct alloc heap = alloc_heap();
    struct host_data_dir dir;
    struct err_info why = {.code = 0};
    struct wire_identity own = f->identity;
    ck_assert_int_eq(wire_identity_claim(&own, i + 1), 0);
    int err = host_data_dir_open(&dir, f->nodes[i].path, HOST_DATA_DIR_CREATE, &heap, &why);
    ck_assert_msg(err == 0, "%s", why.text);
    ck_assert_int_eq(host_data_dir_found(&dir, &own, &why), 0);
    host_data_dir_close(&dir);
}

void fixture_of_another_cluster(struct fixture *f, unsigned i)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/identity", f->nodes[i].path);
    ck_assert_int_eq(unlink(path), 0);
    f->identity.cluster[0] ^= 1;
    fixture_found(f, i);
    f->identity.cluster[0] ^= 1;
}

void fixture_begin(struct fixture *f, unsigned nodes, const char *config)
{
    struct wire_identity_node rows[FIXTURE_NODES_MAX];
    struct wire_identity_plan plan = {
        .cluster = {0xab}, .nodes = rows, .nodes_count = nodes, .data_groups = 1};
    uint16_t ports[2 * FIXTURE_NODES_MAX];
    char base[sizeof(f->base)];
    memset(f, 0, sizeof(*f));
    memset(rows, 0, sizeof(rows));
    (void)snprintf(f->base, sizeof(f->base), "/tmp/holdfast-test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->base));
    memcpy(base, f->base, sizeof(base));
    fixture_ports(ports, 2 * nodes);
    for (unsigned i = 0; i < nodes; i++) {
        rows[i].id = i + 1;
        rows[i].client_port = ports[2 * i];
        rows[i].peer_port = ports[2 * i + 1];
        (void)snprintf(rows[i].host, sizeof(rows[i].host), "127.0.0.1");
    }
    f->count = nodes;
    static const uint8_t gossip_key[WIRE_IDENTITY_KEY_BYTES] = {1};
    plan.gossip_key = gossip_key;
    ck_assert_int_eq(wire_identity_make(&plan, &f->identity, NULL), 0);
    for (unsigned i = 0; i < nodes; i++) {
        struct fixture_node *n = &f->nodes[i];
        (void)pthread_mutex_init(&n->lock, NULL);
        (void)snprintf(n->path, sizeof(n->path), "%s/n%u", base, i + 1);
        n->log = (struct log){.sink = fixture_log, .ctx = n, .least = LOG_DEBUG};
        fixture_settings(f, i, config);
        fixture_found(f, i);
    }
}

static void *fixture_main(void *arg)
{
    struct fixture_node *n = arg;
    n->code = host_run(n->host);
    return NULL;
}

int fixture_start(struct fixture *f, unsigned i, struct err_info *why)
{
    struct fixture_node *n = &f->nodes[i];
    struct host_options options = {.settings = &n->settings, .log = &n->log};
    int err = host_open(&n->host, &options, why);
    if (err == 0) {
        ck_assert_int_eq(pthread_create(&n->thread, NULL, fixture_main, n), 0);
        n->runs = true;
    }
    return err;
}

int fixture_stop(struct fixture *f, unsigned i)
{
    struct fixture_node *n = &f->nodes[i];
    host_stop(n->host);
    ck_assert_int_eq(pthread_join(n->thread, NULL), 0);
    host_close(n->host);
    n->host = NULL;
    n->runs = false;
    return n->code;
}

void fixture_end(struct fixture *f)
{
    char command[128];
    for (unsigned i = 0; i < f->count; i++) {
        if (f->nodes[i].runs) {
            (void)fixture_stop(f, i);
        }
        host_settings_release(&f->nodes[i].settings);
        (void)pthread_mutex_destroy(&f->nodes[i].lock);
    }
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", f->base);
    ck_assert_int_eq(system(command), 0);
}

/* ---- sockets -------------------------------------------------------------------------------- */

int fixture_connect(const struct fixture *f, unsigned i, bool peer_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const struct wire_identity_node *row = &f->identity.nodes[i];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(peer_port ? row->peer_port : row->client_port);
    ck_assert_int_ge(fd, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

bool fixture_send(int fd, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t sent = send(fd, at, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        at += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

static ssize_t fixture_some(int fd, void *into, size_t bytes)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, WAIT_MS) != 1) {
        return -1;
    }
    ssize_t got = recv(fd, into, bytes, 0);
    return got < 0 && (errno == ECONNRESET || errno == EPIPE) ? 0 : got;
}

bool fixture_receive(int fd, void *into, size_t bytes)
{
    char *at = into;
    while (bytes > 0) {
        ssize_t got = fixture_some(fd, at, bytes);
        if (got <= 0) {
            return false;
        }
        at += got;
        bytes -= (size_t)got;
    }
    return true;
}

size_t fixture_until_closed(int fd, uint8_t *into, size_t bytes)
{
    size_t have = 0;
    ssize_t got = 1;
    while (got > 0 && have < bytes) {
        got = fixture_some(fd, into + have, bytes - have);
        have += got > 0 ? (size_t)got : 0;
    }
    return have;
}

bool fixture_closed(int fd)
{
    char drop[4096];
    ssize_t got = 1;
    while (got > 0) {
        got = fixture_some(fd, drop, sizeof(drop));
    }
    return got == 0;
}
