/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Processes, sockets and a small client for tests of the real daemon.
 */
#include "tests/cluster/daemon.h"

#include "wire/api.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 20000
#define CALL_MS 5000
#define TRY_MS 30000

void daemon_pause_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* ---- directories ---------------------------------------------------------------------------- */

static void daemons_ports(uint16_t *ports, unsigned count)
{
    int fds[2 * DAEMON_NODES_MAX];
    for (unsigned i = 0; i < count; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        socklen_t bytes = sizeof(address);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(bind(fds[i], (struct sockaddr *)&address, sizeof(address)), 0);
        ck_assert_int_eq(getsockname(fds[i], (struct sockaddr *)&address, &bytes), 0);
        ports[i] = ntohs(address.sin_port);
    }
    for (unsigned i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
}

static void daemon_write(const char *dir, const char *name, struct bytes data)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data.data, 1, data.size, file), data.size);
    ck_assert_int_eq(fclose(file), 0);
}

static void daemon_prepare(struct daemons *d, unsigned i, const char *config)
{
    struct alloc heap = alloc_heap();
    struct daemon_node *n = &d->nodes[i];
    struct wire_identity own = d->identity;
    struct buf bundle;
    char text[2048];
    char base[sizeof(d->base)];
    memcpy(base, d->base, sizeof(base));
    (void)snprintf(n->dir, sizeof(n->dir), "%s/n%u", base, i + 1);
    (void)snprintf(n->config, sizeof(n->config), "%s/n%u.conf", base, i + 1);
    (void)snprintf(n->log, sizeof(n->log), "%s/n%u.log", base, i + 1);
    ck_assert_int_eq(mkdir(n->dir, 0700), 0);
    ck_assert_int_eq(wire_identity_claim(&own, i + 1), 0);
    buf_init(&bundle, &heap, WIRE_IDENTITY_BYTES_MAX);
    ck_assert_int_eq(wire_identity_encode(&own, &bundle), 0);
    daemon_write(n->dir, "identity", buf_view(&bundle));
    buf_release(&bundle);
    (void)snprintf(text, sizeof(text),
                   "[node]\ndata_dir = %s\n[limits]\nwal_segment_bytes = 4MiB\n"
                   "shard_segment_bytes = 8MiB\ndisk_reserve_bytes = 1MiB\nmap_bytes = 1GiB\n%s",
                   n->dir, config);
    char name[16];
    (void)snprintf(name, sizeof(name), "n%u.conf", i + 1);
    daemon_write(d->base, name, bytes_of_text(text));
}

void daemons_begin(struct daemons *d, unsigned nodes, const char *config)
{
    struct wire_identity_node rows[DAEMON_NODES_MAX];
    struct wire_identity_plan plan = {.nodes = rows, .nodes_count = nodes, .data_groups = 1};
    uint16_t ports[2 * DAEMON_NODES_MAX];
    memset(d, 0, sizeof(*d));
    memset(rows, 0, sizeof(rows));
    (void)snprintf(d->base, sizeof(d->base), "/tmp/holdfast-daemon.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(d->base));
    plan.cluster[0] = (uint8_t)getpid();
    daemons_ports(ports, 2 * nodes);
    for (unsigned i = 0; i < nodes; i++) {
        rows[i].id = i + 1;
        rows[i].client_port = ports[2 * i];
        rows[i].peer_port = ports[2 * i + 1];
        (void)snprintf(rows[i].host, sizeof(rows[i].host), "127.0.0.1");
    }
    d->count = nodes;
    if (nodes > 0) {
        ck_assert_int_eq(wire_identity_make(&plan, &d->identity, NULL), 0);
    }
    for (unsigned i = 0; i < nodes; i++) {
        daemon_prepare(d, i, config);
    }
}

void daemons_end(struct daemons *d)
{
    char command[128];
    for (unsigned i = 0; i < d->count; i++) {
        if (d->nodes[i].pid != 0) {
            daemon_kill(d, i);
        }
    }
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", d->base);
    ck_assert_int_eq(system(command), 0);
}

/* ---- processes ------------------------------------------------------------------------------ */

static pid_t daemon_spawn(const char *cwd, const char *const *args, unsigned count, int output)
{
    const char *program = getenv("HOLDFASTD");
    ck_assert_msg(program != NULL, "HOLDFASTD must name the daemon");
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        char *argv[8] = {(char *)(uintptr_t)program};
        for (unsigned i = 0; i < count && i < 6; i++) {
            argv[i + 1] = (char *)(uintptr_t)args[i];
        }
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a test that fails */
        if (dup2(output, 1) < 0 || dup2(output, 2) < 0 || chdir(cwd) != 0) {
            _exit(126);
        }
        (void)execv(program, argv);
        _exit(127);
    }
    return pid;
}

/* Starts node i and waits until it is ready. */
static void daemon_launch(struct daemons *d, unsigned i, const char *const *args, unsigned count)
{
    struct daemon_node *n = &d->nodes[i];
    unsigned before = daemon_lines(d, i, "event=ready ");
    int log = open(n->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ck_assert_int_ge(log, 0);
    n->pid = daemon_spawn(d->base, args, count, log);
    (void)close(log);
    if (!daemon_await_lines(d, i, "event=ready ", before + 1)) {
        char command[160];
        (void)snprintf(command, sizeof(command), "tail -20 '%s' >&2", n->log);
        (void)!system(command);
        ck_abort_msg("node %u is not ready", i + 1);
    }
}

void daemon_start(struct daemons *d, unsigned i)
{
    const char *args[] = {"--config", d->nodes[i].config};
    daemon_launch(d, i, args, 2);
}

void daemon_start_alone(struct daemons *d, uint16_t client_port)
{
    char base[sizeof(d->base)];
    memcpy(base, d->base, sizeof(base));
    d->count = 1;
    d->identity.nodes[0].client_port = client_port;
    (void)snprintf(d->nodes[0].log, sizeof(d->nodes[0].log), "%s/alone.log", base);
    daemon_launch(d, 0, NULL, 0);
}

void daemon_kill(struct daemons *d, unsigned i)
{
    int status = 0;
    ck_assert_int_gt(d->nodes[i].pid, 0);
    ck_assert_int_eq(kill(d->nodes[i].pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(d->nodes[i].pid, &status, 0), d->nodes[i].pid);
    d->nodes[i].pid = 0;
}

/* returns: the exit code, or -1 if it has not ended in time and was killed, or died otherwise. */
static int daemon_reap(pid_t pid)
{
    int status = 0;
    for (unsigned ms = 0; ms < WAIT_MS; ms += 5) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        daemon_pause_ms(5);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -1;
}

int daemon_stop(struct daemons *d, unsigned i)
{
    pid_t pid = d->nodes[i].pid;
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(kill(pid, SIGTERM), 0);
    d->nodes[i].pid = 0;
    return daemon_reap(pid);
}

int daemon_run(const char *cwd, const char *const args[4], char *output, size_t output_bytes)
{
    char path[] = "/tmp/holdfast-run.XXXXXX";
    unsigned count = 0;
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    while (count < 4 && args[count] != NULL) {
        count++;
    }
    int code = daemon_reap(daemon_spawn(cwd, args, count, fd));
    ssize_t got = pread(fd, output, output_bytes - 1, 0);
    output[got < 0 ? 0 : got] = '\0';
    (void)close(fd);
    ck_assert_int_eq(unlink(path), 0);
    return code;
}

uint16_t daemon_port(const struct daemons *d, unsigned i)
{
    return d->identity.nodes[i].client_port;
}

unsigned daemon_lines(const struct daemons *d, unsigned i, const char *text)
{
    char line[2048];
    unsigned count = 0;
    FILE *file = fopen(d->nodes[i].log, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        count += strstr(line, text) != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return count;
}

bool daemon_await_lines(const struct daemons *d, unsigned i, const char *text, unsigned count)
{
    for (unsigned ms = 0; ms < WAIT_MS; ms += 10) {
        if (daemon_lines(d, i, text) >= count) {
            return true;
        }
        daemon_pause_ms(10);
    }
    return false;
}

uint64_t daemon_rss_kib(const struct daemons *d, unsigned i)
{
    char path[64];
    char line[256];
    uint64_t kib = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)d->nodes[i].pid);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtoull(line + 6, NULL, 10);
        }
    }
    (void)fclose(file);
    return kib;
}

/* ---- sockets -------------------------------------------------------------------------------- */

int daemon_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    ck_assert_int_ge(fd, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

bool daemon_send(int fd, const void *data, size_t bytes)
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

static ssize_t daemon_some(int fd, void *into, size_t bytes, int wait_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, wait_ms) != 1) {
        return -1;
    }
    ssize_t got = recv(fd, into, bytes, 0);
    return got < 0 && (errno == ECONNRESET || errno == EPIPE) ? 0 : got;
}

bool daemon_closed(int fd)
{
    char drop[4096];
    ssize_t got = 1;
    while (got > 0) {
        got = daemon_some(fd, drop, sizeof(drop), WAIT_MS);
    }
    return got == 0;
}

/* ---- client --------------------------------------------------------------------------------- */

static const struct wire_scan_limits client_limits = {
    .bytes_max = 4u << 20, .items_max = 65536, .depth_max = WIRE_DEPTH_MAX};

void daemon_client_open(struct daemon_client *c, uint16_t port)
{
    struct alloc heap = alloc_heap();
    memset(c, 0, sizeof(*c));
    c->fd = daemon_connect(port);
    ck_assert_int_eq(wire_decoder_new(&heap, &client_limits, &c->decoder), 0);
    buf_init(&c->out, &heap, client_limits.bytes_max);
    buf_init(&c->in, &heap, client_limits.bytes_max);
}

void daemon_client_close(struct daemon_client *c)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
    wire_decoder_free(c->decoder);
    buf_release(&c->out);
    buf_release(&c->in);
}

static int client_receive(struct daemon_client *c, struct wire_rpc *rpc)
{
    struct wire_node root;
    size_t bytes = 0;
    buf_clear(&c->in);
    int err = wire_scan(buf_view(&c->in), &client_limits, &bytes);
    while (err == WIRE_MORE) {
        ck_assert_int_eq(buf_reserve(&c->in, 65536), 0);
        ssize_t got = daemon_some(c->fd, c->in.data + c->in.size, 65536, CALL_MS);
        if (got <= 0) {
            return ERR_CONNECTION;
        }
        c->in.size += (size_t)got;
        err = wire_scan(buf_view(&c->in), &client_limits, &bytes);
    }
    TRY(err);
    ck_assert_uint_eq(bytes, c->in.size); /* one answer at a time */
    TRY(wire_decode(c->decoder, buf_view(&c->in), &root));
    return wire_rpc_of(root, rpc);
}

int daemon_call(struct daemon_client *c, struct wire_node *answer)
{
    struct wire_rpc rpc;
    struct wire_error error;
    if (c->fd < 0) {
        return ERR_CONNECTION;
    }
    ck_assert_int_eq(c->out.err, 0);
    bool sent = daemon_send(c->fd, c->out.data, c->out.size);
    buf_clear(&c->out);
    if (!sent) {
        return ERR_CONNECTION;
    }
    TRY(client_receive(c, &rpc));
    ck_assert_uint_eq(rpc.type, WIRE_RESPONSE);
    if (!wire_node_is_nil(rpc.error)) {
        wire_error_of(rpc.error, &error);
        return error.code;
    }
    *answer = rpc.result;
    return 0;
}

static void client_pack(struct daemon_client *c, const char *key, const char *value)
{
    const char *method = value == NULL ? WIRE_METHOD_KV_GET : WIRE_METHOD_KV_PUT;
    (void)wire_pack_request(&c->out, ++c->msgid, method, value == NULL ? 2 : 3);
    (void)wire_pack_text(&c->out, WIRE_SPACE_DEFAULT);
    (void)wire_pack_text(&c->out, key);
    if (value != NULL) {
        (void)wire_pack_text(&c->out, value);
    }
}

/* value NULL: get into `into`. One attempt at node i. */
static int client_once(const struct daemons *d, unsigned i, const char *key, const char *value,
                       char *into)
{
    struct daemon_client c;
    struct wire_node answer;
    struct bytes got = bytes_of(NULL, 0);
    daemon_client_open(&c, daemon_port(d, i));
    client_pack(&c, key, value);
    int err = daemon_call(&c, &answer);
    if (err == 0 && value == NULL) {
        into[0] = '\0';
        if (!wire_node_is_nil(answer)) {
            ck_assert_int_eq(wire_node_bytes(wire_node_find(answer, WIRE_FIELD_VALUE), 255, &got),
                             0);
            memcpy(into, got.data, got.size);
            into[got.size] = '\0';
        }
    }
    daemon_client_close(&c);
    return err;
}

static int client_try(const struct daemons *d, const char *key, const char *value, char *into)
{
    int err = ERR_CONNECTION;
    for (unsigned ms = 0; ms < TRY_MS; ms += 50) {
        for (unsigned i = 0; i < d->count; i++) {
            if (d->nodes[i].pid != 0) {
                err = client_once(d, i, key, value, into);
            }
            if (err == 0 || err_outcome_of(err) == ERR_OUTCOME_REFUSED) {
                return err;
            }
        }
        daemon_pause_ms(50);
    }
    return err;
}

int daemon_put(const struct daemons *d, const char *key, const char *value)
{
    return client_try(d, key, value, NULL);
}

int daemon_get(const struct daemons *d, const char *key, char *value, size_t value_bytes)
{
    ck_assert_uint_ge(value_bytes, 256);
    return client_try(d, key, NULL, value);
}

/* One look at the topology of node i. returns: the leader's id, 0 if none is known. */
static uint32_t client_leader(const struct daemons *d, unsigned i, uint32_t group)
{
    struct daemon_client c;
    struct wire_node answer;
    uint32_t leader = 0;
    daemon_client_open(&c, daemon_port(d, i));
    (void)wire_pack_request(&c.out, 1, WIRE_METHOD_TOPOLOGY, 0);
    if (daemon_call(&c, &answer) == 0) {
        struct wire_node groups = wire_node_find(answer, WIRE_FIELD_GROUPS);
        for (uint32_t g = 0; g < wire_node_count(groups); g++) {
            uint32_t id = UINT32_MAX;
            struct wire_node row = wire_node_at(groups, g);
            if (wire_node_u32(wire_node_find(row, WIRE_FIELD_GROUP), &id) == 0 && id == group) {
                (void)wire_node_u32(wire_node_find(row, WIRE_FIELD_LEADER), &leader);
            }
        }
    }
    daemon_client_close(&c);
    return leader;
}

unsigned daemon_leader(const struct daemons *d, uint32_t group)
{
    for (unsigned ms = 0; ms < TRY_MS; ms += 20) {
        for (unsigned i = 0; i < d->count; i++) {
            uint32_t leader = d->nodes[i].pid != 0 ? client_leader(d, i, group) : 0;
            if (leader > 0 && leader <= d->count && d->nodes[leader - 1].pid != 0) {
                return leader - 1;
            }
        }
        daemon_pause_ms(20);
    }
    ck_abort_msg("group %u has no leader", group);
    return 0;
}
