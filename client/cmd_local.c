/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfast local: a cluster of real processes on one machine.
 *
 *   DIR/holdfast-local    what the cluster is; a directory without it is refused
 *   DIR/nodeI/node.conf   configuration, log, pid (with start time), data/ of node I
 *
 * Nothing is ever deleted.
 */
#include "client/cmd_cluster_internal.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCAL_MARK "holdfast-local"
#define LOCAL_PORT_FIRST 7701u
#define LOCAL_PORT_LAST 32000u /* below what the system gives to others */
#define LOCAL_POLL_MS 20u
#define LOCAL_ASK_MS 1000u

struct local {
    char dir[3000]; /* absolute */
    uint32_t nodes;
    uint32_t groups;
    uint32_t base_port; /* clients of node I: base + I - 1; nodes: nodes_count above */
};

/* ---- paths ---------------------------------------------------------------------------------- */

#define LOCAL_PATH_BYTES 3200u

static void local_path(const struct local *l, uint32_t node, const char *name,
                       char into[LOCAL_PATH_BYTES])
{
    (void)snprintf(into, LOCAL_PATH_BYTES, "%s/node%u/%s", l->dir, node, name);
}

static void local_endpoint(const struct local *l, uint32_t node, char into[64])
{
    (void)snprintf(into, 64, "127.0.0.1:%u", l->base_port + node - 1);
}

/* ---- the mark ------------------------------------------------------------------------------- */

/* returns: 0, ERR_NOT_FOUND (no mark), ERR_CORRUPT. */
static int local_read_mark(struct local *l)
{
    char path[LOCAL_PATH_BYTES];
    unsigned format = 0;
    (void)snprintf(path, sizeof(path), "%s/" LOCAL_MARK, l->dir);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return ERR_NOT_FOUND;
    }
    int got = fscanf(file, "holdfast local cluster %u nodes %u groups %u base_port %u", &format,
                     &l->nodes, &l->groups, &l->base_port);
    (void)fclose(file);
    bool whole = got == 4 && format == 1 && l->nodes >= 1 && l->nodes <= WIRE_IDENTITY_NODES_MAX &&
                 l->base_port >= 1 && l->base_port + 2 * l->nodes <= 65536;
    return whole ? 0 : ERR_CORRUPT;
}

static int local_write_mark(const struct local *l, struct err_info *why)
{
    char path[LOCAL_PATH_BYTES];
    char text[160];
    int bytes = snprintf(text, sizeof(text),
                         "holdfast local cluster 1\nnodes %u\ngroups %u\nbase_port %u\n", l->nodes,
                         l->groups, l->base_port);
    (void)snprintf(path, sizeof(path), "%s/" LOCAL_MARK, l->dir);
    return hf_write_new(path, bytes_of(text, (size_t)bytes), why);
}

static bool local_is_empty(const char *path)
{
    DIR *dir = opendir(path);
    bool empty = true;
    if (dir == NULL) {
        return false;
    }
    for (struct dirent *e = readdir(dir); e != NULL && empty; e = readdir(dir)) {
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    }
    (void)closedir(dir);
    return empty;
}

static int local_resolve(const struct hf_cmd *cmd, struct local *l)
{
    uv_fs_t req;
    int err = ERR_NOT_FOUND;
    if (uv_fs_realpath(NULL, &req, cmd->dir, NULL) == 0) {
        size_t bytes = strlen(req.ptr);
        err = bytes < sizeof(l->dir) ? 0 : ERR_TOO_LARGE;
        if (err == 0) {
            memcpy(l->dir, req.ptr, bytes + 1);
        }
    }
    uv_fs_req_cleanup(&req);
    return err;
}

/* An existing cluster. returns: 0, or an exit code (said). */
static int local_open(const struct hf_cmd *cmd, struct local *l)
{
    memset(l, 0, sizeof(*l));
    if (cmd->dir == NULL) {
        return hf_cmd_usage("option '--dir' is missing");
    }
    int err = local_resolve(cmd, l);
    if (err == 0) {
        err = local_read_mark(l);
    }
    if (err != 0) {
        return hf_cmd_fail(cmd, err == ERR_CORRUPT ? ERR_INVALID : err,
                           "'%s' is not a Holdfast local cluster", cmd->dir);
    }
    return 0;
}

/* I, from 1. */
static int local_node(const struct hf_cmd *cmd, const struct local *l, uint32_t *node)
{
    uint64_t value = 0;
    if (!hf_cmd_number(bytes_of_text(cmd->arg[0]), &value)) {
        return hf_cmd_usage("'%s' is no number of a node", cmd->arg[0]);
    }
    if (value < 1 || value > l->nodes) {
        return hf_cmd_fail(cmd, ERR_NOT_FOUND, "there is no node %s: the cluster has 1 to %u",
                           cmd->arg[0], l->nodes);
    }
    *node = (uint32_t)value;
    return 0;
}

static enum hf_proc_state local_state(const struct local *l, uint32_t node, struct hf_proc *p)
{
    char path[LOCAL_PATH_BYTES];
    local_path(l, node, "pid", path);
    *p = (struct hf_proc){.pid = 0};
    return hf_proc_read(path, p) == 0 ? hf_proc_state(p) : HF_PROC_GONE;
}

/* ---- ports ---------------------------------------------------------------------------------- */

/* returns: a listening socket that holds the port, or -1. */
static int local_hold_port(uint32_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 1) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

struct local_ports {
    int held[2 * WIRE_IDENTITY_NODES_MAX];
    uint32_t count;
};

static void local_release_ports(struct local_ports *p)
{
    while (p->count > 0) {
        (void)close(p->held[--p->count]);
    }
}

/* returns: 0, or the port that is in use. */
static uint32_t local_hold_range(struct local_ports *p, uint32_t base, uint32_t count)
{
    p->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        int fd = local_hold_port(base + i);
        if (fd < 0) {
            local_release_ports(p);
            return base + i;
        }
        p->held[p->count++] = fd;
    }
    return 0;
}

static int local_find_ports(const struct hf_cmd *cmd, struct local *l, struct local_ports *p)
{
    uint32_t count = 2 * l->nodes;
    l->base_port = LOCAL_PORT_FIRST;
    if (cmd->base_port != 0) {
        l->base_port = cmd->base_port;
        if (l->base_port + count > 65536) {
            return hf_cmd_usage("ports %u to %u do not exist", l->base_port,
                                l->base_port + count - 1);
        }
        uint32_t busy = local_hold_range(p, l->base_port, count);
        return busy == 0 ? 0 : hf_cmd_fail(cmd, ERR_IN_USE, "port %u is in use", busy);
    }
    while (l->base_port + count <= LOCAL_PORT_LAST) {
        if (local_hold_range(p, l->base_port, count) == 0) {
            return 0;
        }
        l->base_port += count;
    }
    return hf_cmd_fail(cmd, ERR_IN_USE, "no %u ports in a row are free", count);
}

/* ---- making --------------------------------------------------------------------------------- */

/* "section.name=value" as lines of a configuration. */
static int local_append_set(struct buf *out, const char *set)
{
    const char *dot = strchr(set, '.');
    const char *equals = strchr(set, '=');
    if (dot == NULL || equals == NULL || dot > equals || dot == set) {
        return ERR_INVALID;
    }
    (void)buf_append(out, "[", 1);
    (void)buf_append(out, set, (size_t)(dot - set));
    (void)buf_append(out, "]\n", 2);
    (void)buf_append(out, dot + 1, strlen(dot + 1));
    return buf_append(out, "\n", 1);
}

static int local_write_config(const struct hf_cmd *cmd, const struct local *l, uint32_t node,
                              struct err_info *why)
{
    struct alloc heap = alloc_heap();
    struct buf out;
    char path[LOCAL_PATH_BYTES];
    char text[LOCAL_PATH_BYTES + 64];
    int err = 0;
    buf_init(&out, &heap, 65536);
    local_path(l, node, "data", path);
    if (strpbrk(path, "\"\\") != NULL) {
        return err_set(why, ERR_BAD_NAME, "'%.200s' has a quote or backslash in its path", l->dir);
    }
    int bytes = snprintf(text, sizeof(text), "[node]\ndata_dir = \"%s\"\n", path);
    (void)buf_append(&out, text, (size_t)bytes);
    for (uint32_t i = 0; i < cmd->set_count && err == 0; i++) {
        err = local_append_set(&out, cmd->set[i]);
        if (err != 0) {
            (void)err_set(why, err, "a setting is SECTION.NAME=VALUE, not '%s'", cmd->set[i]);
        }
    }
    if (err == 0) {
        local_path(l, node, "node.conf", path);
        err = hf_write_new(path, buf_view(&out), why);
    }
    buf_release(&out);
    return err;
}

static int local_make_node(const struct hf_cmd *cmd, const struct local *l, struct hf_plan *plan,
                           uint32_t node)
{
    struct err_info why = {.code = 0};
    char path[LOCAL_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/node%u", l->dir, node);
    int err = hf_make_dir(path, &why);
    if (err == 0) {
        local_path(l, node, "data", path);
        err = hf_make_dir(path, &why);
    }
    if (err == 0) {
        err = hf_bundle_write(plan, node, path, &why);
    }
    if (err == 0) {
        err = local_write_config(cmd, l, node, &why);
    }
    return err == 0 ? 0 : hf_cmd_fail(cmd, err, "%s", why.text);
}

/* A new cluster in a missing or empty directory. */
static int local_make(const struct hf_cmd *cmd, struct local *l, struct local_ports *ports)
{
    static struct hf_plan plan;
    struct wire_identity_node nodes[WIRE_IDENTITY_NODES_MAX];
    struct err_info why = {.code = 0};
    if (cmd->nodes == 0 || cmd->nodes > WIRE_IDENTITY_NODES_MAX) {
        return hf_cmd_usage("a new cluster needs '--nodes N', 1 to %u", WIRE_IDENTITY_NODES_MAX);
    }
    l->nodes = cmd->nodes;
    l->groups = cmd->groups > 0 ? cmd->groups : 1;
    int code = local_find_ports(cmd, l, ports);
    if (code != 0) {
        return code;
    }
    memset(nodes, 0, sizeof(nodes));
    for (uint32_t i = 0; i < l->nodes; i++) {
        nodes[i].id = i + 1;
        nodes[i].client_port = (uint16_t)(l->base_port + i);
        nodes[i].peer_port = (uint16_t)(l->base_port + l->nodes + i);
        memcpy(nodes[i].host, "127.0.0.1", sizeof("127.0.0.1"));
    }
    int err = hf_plan_make(nodes, l->nodes, l->groups, &plan, &why);
    if (err != 0) {
        return hf_cmd_fail(cmd, err, "%s", why.text);
    }
    for (uint32_t i = 1; i <= l->nodes && code == 0; i++) {
        code = local_make_node(cmd, l, &plan, i);
    }
    if (code == 0) {
        err = local_write_mark(l, &why);
        code = err == 0 ? 0 : hf_cmd_fail(cmd, err, "%s", why.text);
    }
    return code;
}

/* ---- starting ------------------------------------------------------------------------------- */

static int local_spawn(const struct hf_cmd *cmd, const struct local *l, uint32_t node)
{
    static char daemon[LOCAL_PATH_BYTES * 2];
    char config[LOCAL_PATH_BYTES];
    char log[LOCAL_PATH_BYTES];
    char pid[LOCAL_PATH_BYTES];
    char option[] = "--config";
    char *words[] = {daemon, option, config, NULL};
    struct hf_proc p;
    struct err_info why = {.code = 0};
    if (!hf_proc_find_daemon(daemon, sizeof(daemon))) {
        return hf_cmd_fail(cmd, ERR_NOT_FOUND,
                           "cannot find holdfastd next to this program, in PATH or by HOLDFASTD");
    }
    local_path(l, node, "node.conf", config);
    local_path(l, node, "log", log);
    local_path(l, node, "pid", pid);
    int err = hf_proc_start(words, log, pid, &p, &why);
    return err == 0 ? 0 : hf_cmd_fail(cmd, err, "node %u: %s", node, why.text);
}

/* A node that ended by itself says why in its log. */
static int local_check_alive(const struct hf_cmd *cmd, const struct local *l, uint32_t node)
{
    struct hf_proc p;
    char log[LOCAL_PATH_BYTES];
    char line[300];
    if (local_state(l, node, &p) != HF_PROC_GONE && !hf_proc_wait_gone(&p, 0)) {
        return 0;
    }
    local_path(l, node, "log", log);
    hf_proc_last_line(log, line, sizeof(line));
    return hf_cmd_fail(cmd, ERR_FENCED, "node %u ended: %s", node, line);
}

enum local_found { LOCAL_NO_ANSWER = 0, LOCAL_NO_LEADER, LOCAL_READY };

/* A node without a replica of a group learns who leads it only when it has something to ask there;
 * so it is the members who have to know. returns: whether the node is one. */
static bool local_is_member(const struct hf_group *g, uint32_t node)
{
    bool member = false;
    for (uint32_t i = 0; i < g->members_count; i++) {
        member = member || g->members[i] == node;
    }
    return member;
}

/* Whether the node answers, and knows the leader of every group that it is a member of. *group is
 * one whose leader it does not know. */
static enum local_found local_look(const struct local *l, uint32_t node, uint32_t *group)
{
    static struct hf_map map;
    char endpoint[64];
    struct hf_client *c = NULL;
    struct hf_answer a = {.ended = false};
    enum local_found found = LOCAL_NO_ANSWER;
    local_endpoint(l, node, endpoint);
    struct hf_client_options options = {.endpoints = endpoint, .timeout_ms = LOCAL_ASK_MS};
    if (hf_client_new(NULL, &options, &c) != 0) {
        return LOCAL_NO_ANSWER;
    }
    if (hf_ask(c, WIRE_METHOD_TOPOLOGY, endpoint, &a, hf_answer_done) == 0 && hf_wait(c, &a) == 0 &&
        hf_map_read(bytes_of(a.result.value.data, a.result.value.size), &map) == 0 &&
        map.groups_count > 0) {
        found = LOCAL_READY;
    }
    for (uint32_t i = 0; found == LOCAL_READY && i < map.groups_count; i++) {
        if (map.groups[i].leader == 0 && local_is_member(&map.groups[i], node)) {
            *group = map.groups[i].id;
            found = LOCAL_NO_LEADER;
        }
    }
    hf_client_free(c);
    hf_answer_release(&a);
    return found;
}

static int local_not_ready(const struct hf_cmd *cmd, enum local_found found, uint32_t node,
                           uint32_t group)
{
    double seconds = (double)cmd->timeout_ms / 1000;
    if (found == LOCAL_NO_LEADER) {
        return hf_cmd_fail(cmd, ERR_NO_LEADER,
                           "waited %.0f s for node %u to know the leader of group %u: it knows "
                           "none yet",
                           seconds, node, group);
    }
    return hf_cmd_fail(cmd, ERR_NO_LEADER, "waited %.0f s for node %u: it does not answer yet",
                       seconds, node);
}

/* returns: 0, or an exit code (said). */
static int local_wait(const struct hf_cmd *cmd, const struct local *l, uint32_t first,
                      uint32_t last)
{
    bool led = first != last || l->nodes == 1;
    uint64_t until = uv_hrtime() / 1000000u + cmd->timeout_ms;
    uint32_t node = first;
    while (node <= last) {
        uint32_t group = 0;
        int code = local_check_alive(cmd, l, node);
        if (code != 0) {
            return code;
        }
        enum local_found found = local_look(l, node, &group);
        if (found == LOCAL_READY || (found == LOCAL_NO_LEADER && !led)) {
            node++;
            continue;
        }
        if (uv_hrtime() / 1000000u > until) {
            return local_not_ready(cmd, found, node, group);
        }
        hf_sleep_ms(LOCAL_POLL_MS);
    }
    return 0;
}

static void local_print_endpoints(const struct hf_cmd *cmd, const struct local *l)
{
    char endpoint[64];
    (void)fputs(cmd->json ? "{\"endpoints\":[" : "", stdout);
    for (uint32_t i = 1; i <= l->nodes; i++) {
        local_endpoint(l, i, endpoint);
        (void)printf(cmd->json ? "%s\"%s\"" : "%s%s", i > 1 ? "," : "", endpoint);
    }
    (void)fputs(cmd->json ? "]}\n" : "\n", stdout);
}

/* An existing cluster, or a new one. returns: 0, or an exit code (said). */
static int local_open_or_make(const struct hf_cmd *cmd, struct local *l, struct local_ports *ports)
{
    struct err_info why = {.code = 0};
    struct stat st;
    memset(l, 0, sizeof(*l));
    if (cmd->dir == NULL) {
        return hf_cmd_usage("option '--dir' is missing");
    }
    if (lstat(cmd->dir, &st) != 0) {
        int err = hf_make_dir(cmd->dir, &why);
        if (err != 0) {
            return hf_cmd_fail(cmd, err, "%s", why.text);
        }
    }
    int err = local_resolve(cmd, l);
    if (err != 0) {
        return hf_cmd_fail(cmd, err, "cannot use '%s'", cmd->dir);
    }
    err = local_read_mark(l);
    if (err == ERR_NOT_FOUND && local_is_empty(l->dir)) {
        return local_make(cmd, l, ports);
    }
    if (err != 0) {
        return hf_cmd_fail(cmd, ERR_NOT_EMPTY,
                           "'%s' is not a Holdfast local cluster, and is not "
                           "empty",
                           cmd->dir);
    }
    if (cmd->nodes != 0 && cmd->nodes != l->nodes) {
        return hf_cmd_fail(cmd, ERR_EXISTS, "'%s' is a cluster of %u nodes, not %u", cmd->dir,
                           l->nodes, cmd->nodes);
    }
    if (cmd->base_port != 0 && cmd->base_port != l->base_port) {
        return hf_cmd_fail(cmd, ERR_EXISTS, "'%s' is a cluster on port %u, not %u", cmd->dir,
                           l->base_port, cmd->base_port);
    }
    if ((cmd->groups != 0 && cmd->groups != l->groups) || cmd->set_count != 0) {
        return hf_cmd_fail(cmd, ERR_EXISTS,
                           "'%s' is a cluster of %u data group%s with settings of its own: they "
                           "stay as they were made",
                           cmd->dir, l->groups, l->groups == 1 ? "" : "s");
    }
    return 0;
}

static int local_up(const struct hf_cmd *cmd)
{
    struct local l;
    struct local_ports ports = {.count = 0};
    struct hf_proc p;
    int code = local_open_or_make(cmd, &l, &ports);
    local_release_ports(&ports);
    for (uint32_t i = 1; i <= l.nodes && code == 0; i++) {
        if (local_state(&l, i, &p) == HF_PROC_GONE) {
            code = local_spawn(cmd, &l, i);
        }
    }
    if (code == 0) {
        code = local_wait(cmd, &l, 1, l.nodes);
    }
    if (code == 0) {
        local_print_endpoints(cmd, &l);
    }
    return code;
}

static int local_start(const struct hf_cmd *cmd)
{
    struct local l;
    struct hf_proc p;
    uint32_t node = 0;
    int code = local_open(cmd, &l);
    code = code == 0 ? local_node(cmd, &l, &node) : code;
    if (code != 0) {
        return code;
    }
    if (local_state(&l, node, &p) != HF_PROC_GONE) {
        return hf_cmd_fail(cmd, ERR_IN_USE, "node %u is running", node);
    }
    code = local_spawn(cmd, &l, node);
    return code == 0 ? local_wait(cmd, &l, node, node) : code;
}

/* ---- ending --------------------------------------------------------------------------------- */

/* A paused process takes SIGTERM only once it goes on. returns: whether it is gone. */
static bool local_end(const struct hf_proc *p, int number, uint64_t wait_ms)
{
    (void)hf_proc_signal(p, number);
    if (number != SIGKILL) {
        (void)hf_proc_signal(p, SIGCONT);
    }
    return hf_proc_wait_gone(p, wait_ms);
}

static int local_end_one(const struct hf_cmd *cmd, int number)
{
    struct local l;
    struct hf_proc p;
    uint32_t node = 0;
    int code = local_open(cmd, &l);
    code = code == 0 ? local_node(cmd, &l, &node) : code;
    if (code != 0) {
        return code;
    }
    if (local_state(&l, node, &p) == HF_PROC_GONE) {
        return hf_cmd_fail(cmd, ERR_NOT_FOUND, "node %u is not running", node);
    }
    if (!local_end(&p, number, cmd->timeout_ms)) {
        return hf_cmd_fail(cmd, ERR_BUSY, "node %u (process %ld) has not ended yet", node, p.pid);
    }
    return HF_EXIT_DONE;
}

static int local_kill(const struct hf_cmd *cmd)
{
    return local_end_one(cmd, SIGKILL);
}

static int local_stop(const struct hf_cmd *cmd)
{
    return local_end_one(cmd, SIGTERM);
}

static int local_down(const struct hf_cmd *cmd)
{
    struct local l;
    struct hf_proc p[WIRE_IDENTITY_NODES_MAX];
    int code = local_open(cmd, &l);
    if (code != 0) {
        return code;
    }
    for (uint32_t i = 1; i <= l.nodes; i++) {
        if (local_state(&l, i, &p[i - 1]) != HF_PROC_GONE) {
            (void)hf_proc_signal(&p[i - 1], SIGTERM);
            (void)hf_proc_signal(&p[i - 1], SIGCONT);
        }
    }
    uint64_t until = uv_hrtime() / 1000000u + cmd->timeout_ms;
    for (uint32_t i = 1; i <= l.nodes; i++) {
        uint64_t now = uv_hrtime() / 1000000u;
        if (hf_proc_wait_gone(&p[i - 1], until > now ? until - now : 0)) {
            continue;
        }
        if (!local_end(&p[i - 1], SIGKILL, 5000)) {
            code = hf_cmd_fail(cmd, ERR_BUSY, "node %u (process %ld) has not ended yet", i,
                               p[i - 1].pid);
        }
    }
    return code;
}

/* ---- status --------------------------------------------------------------------------------- */

static int local_status(const struct hf_cmd *cmd)
{
    static const char *const states[] = {"down", "running", "paused"};
    struct local l;
    char data[LOCAL_PATH_BYTES];
    char endpoint[64];
    int code = local_open(cmd, &l);
    for (uint32_t i = 1; i <= l.nodes && code == 0; i++) {
        struct hf_proc p;
        enum hf_proc_state state = local_state(&l, i, &p);
        long pid = state == HF_PROC_GONE ? 0 : p.pid;
        local_path(&l, i, "data", data);
        local_endpoint(&l, i, endpoint);
        if (!cmd->json) {
            (void)printf("node %u\t%s\t%s\t%ld\t%s\n", i, endpoint, states[state], pid, data);
            continue;
        }
        (void)printf("{\"node\":%u,\"endpoint\":\"%s\",\"pid\":", i, endpoint);
        (void)printf(pid > 0 ? "%ld" : "null", pid);
        (void)printf(",\"state\":\"%s\",\"data\":", states[state]);
        hf_json_text(stdout, data);
        (void)fputs("}\n", stdout);
    }
    return code;
}

#define LOCAL_OPTIONS (HF_OPT_DIR | HF_OPT_JSON | HF_OPT_TIMEOUT)

const struct hf_cmd_verb hf_cmd_local_verbs[] = {
    {"local", "up", LOCAL_OPTIONS | HF_OPT_NODES | HF_OPT_BASE_PORT | HF_OPT_GROUPS | HF_OPT_SET, 0,
     0, "--nodes N --dir DIR [--base-port P] [--groups G] [--set SECTION.NAME=VALUE]",
     "starts a cluster of N processes, prints their endpoints; on an existing DIR, the same one",
     local_up},
    {"local", "status", LOCAL_OPTIONS, 0, 0, "--dir DIR", "lists the nodes and their processes",
     local_status},
    {"local", "kill", LOCAL_OPTIONS, 1, 1, "I --dir DIR", "ends node I with SIGKILL", local_kill},
    {"local", "stop", LOCAL_OPTIONS, 1, 1, "I --dir DIR", "ends node I with SIGTERM", local_stop},
    {"local", "start", LOCAL_OPTIONS, 1, 1, "I --dir DIR", "starts node I again", local_start},
    {"local", "down", LOCAL_OPTIONS, 0, 0, "--dir DIR", "ends all nodes; the data stays",
     local_down},
    {NULL, NULL, 0, 0, 0, NULL, NULL, NULL},
};
