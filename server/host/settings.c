/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The table of settings. A new setting is a field in settings.h and a row here.
 */
#include "server/host/settings.h"

#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define KIB ((uint64_t)1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define MS ((uint64_t)1000)
#define SECOND (MS * 1000)
#define HOUR (3600 * SECOND)

#define AT(field) offsetof(struct host_settings, field)
#define TEXT(section, name, max, fallback, help)                         \
    {                                                                    \
        section, #name, CONFIG_TEXT, AT(name), 0, 0, max, fallback, help \
    }
#define TEXT_AT(section, name, field, max, fallback, help)               \
    {                                                                    \
        section, name, CONFIG_TEXT, AT(field), 0, 0, max, fallback, help \
    }
#define NUMBER(section, name, type, field, fallback, min, max, help)   \
    {                                                                  \
        section, name, type, AT(field), fallback, min, max, NULL, help \
    }
#define TIME(section, name, fallback, min, max, help) \
    NUMBER(section, #name, CONFIG_DURATION, name##_us, fallback, min, max, help)

static const struct config_setting host_settings_rows[] = {
    TEXT("node", data_dir, 4000, "holdfast-data", "data directory"),
    TEXT("node", client_listen, 300, "", "address:port for clients; empty: as the identity says"),
    TEXT("node", peer_listen, 300, "", "address:port for other nodes; empty: as the identity says"),
    TEXT("node", log_level, 5, "info", "debug, info, warn or error"),

    NUMBER("connections", "per_address", CONFIG_U64, per_address, 512, 1, 65536,
           "client connections of one address"),
    NUMBER("connections", "input_bytes", CONFIG_BYTES, input_bytes, 48 * MIB, 64 * KIB, 16 * GIB,
           "half-received messages of all connections"),
    TIME("connections", progress, 10 * SECOND, 10 * MS, HOUR,
         "a message is complete by then, plus 1 s for each 16 KiB"),
    TIME("connections", stall, 30 * SECOND, 10 * MS, HOUR,
         "a client that reads nothing for so long is closed"),
    TIME("connections", greeting, 3 * SECOND, 10 * MS, HOUR, "a peer has greeted by then"),
    TIME("connections", silence, 4 * SECOND, 100 * MS, HOUR,
         "a peer that sends nothing for so long is gone"),
    TEXT("connections", peer_congestion, 15, "auto",
         "TCP's congestion control between nodes; auto: cubic if there is one; system: as it is"),

    TIME("raft", heartbeat, 100 * MS, MS, 60 * SECOND, "pause between heartbeats of a leader"),
    TIME("raft", election, 1000 * MS, 10 * MS, 600 * SECOND,
         "a follower without a leader for so long asks for votes"),
    NUMBER("raft", "time_scale", CONFIG_U64, time_scale, 1, 1, 1000,
           "stretches heartbeat, election and silence on slow machines"),
    NUMBER("raft", "log_keep_entries", CONFIG_U64, log_keep_entries, 10000, 0, 16777216,
           "log entries kept for slow followers"),

    TIME("state", flush_interval, SECOND, 10 * MS, HOUR, "a changed state is flushed by then"),
    TIME("state", session_ttl, HOUR, SECOND, 720 * HOUR, "an unused session lives so long"),

    TIME("objects", intent_ttl, 60 * SECOND, SECOND, 24 * HOUR,
         "an upload lives so long without renewal"),
    TIME("objects", free_delay, 900 * SECOND, 0, 720 * HOUR,
         "a replaced version is kept so long for late readers"),
    TIME("objects", put_deadline, 5 * SECOND, 100 * MS, HOUR,
         "shards missing then are left to repair"),

    TIME("repair", audit_interval, SECOND, MS, HOUR, "pause between steps of the shard audit"),
    NUMBER("repair", "scrub_bytes_second", CONFIG_BYTES, scrub_bytes_second, 8 * MIB, 0, 64 * GIB,
           "bytes that the scrub reads in a second"),
    NUMBER("repair", "delay", CONFIG_DURATION, repair_delay_us, 600 * SECOND, SECOND, 720 * HOUR,
           "a node dead for so long is out: its shards are rebuilt elsewhere"),

    NUMBER("member", "disk_slow", CONFIG_DURATION, disk_slow_us, SECOND, MS, 60 * SECOND,
           "syncs of the log slower than this make the node unwell"),

    TEXT_AT("gpu", "use", gpu_use, 6, "auto",
            "auto: a GPU codes what it is measured to be faster at; always: all it can; off"),
    TEXT_AT("gpu", "plugin", gpu_plugin, 4000, "",
            "path of holdfast-gpu.so; empty: beside the program, or ../lib/holdfast from there"),
};

static const char *const host_levels[] = {"debug", "info", "warn", "error"};

int host_settings_init(struct host_settings *s, const struct alloc *alloc)
{
    const unsigned rows = sizeof(host_settings_rows) / sizeof(host_settings_rows[0]);
    struct config_table tables[2] = {
        {.settings = host_settings_rows, .count = rows, .into = s},
        limits_table(&s->limits),
    };
    memset(s, 0, sizeof(*s));
    return config_init(&s->config, alloc, tables, 2);
}

void host_settings_release(struct host_settings *s)
{
    config_release(&s->config);
}

static int settings_slurp(const char *path, uint8_t *into, size_t bytes_max, size_t *bytes,
                          struct err_info *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int err = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        return err_set(why, err, "cannot open '%s': %s", path, strerror(errno));
    }
    size_t got = 0;
    while (got < bytes_max) {
        ssize_t more = read(fd, into + got, bytes_max - got);
        if (more < 0 && errno == EINTR) {
            continue;
        }
        if (more < 0) {
            int err = err_set(why, ERR_IO, "cannot read '%s': %s", path, strerror(errno));
            (void)close(fd);
            return err;
        }
        if (more == 0) {
            break;
        }
        got += (size_t)more;
    }
    (void)close(fd);
    *bytes = got;
    return 0;
}

int host_settings_read(struct host_settings *s, const char *path, struct err_info *why)
{
    uint8_t text[CONFIG_FILE_BYTES_MAX + 1];
    size_t bytes = 0;
    TRY(settings_slurp(path, text, sizeof(text), &bytes, why));
    if (bytes > CONFIG_FILE_BYTES_MAX) {
        return err_set(why, ERR_BAD_CONFIG, "'%s' is longer than %u bytes", path,
                       CONFIG_FILE_BYTES_MAX);
    }
    return config_parse(&s->config, bytes_of(text, bytes), path, why);
}

int host_settings_set(struct host_settings *s, const char *section, const char *name,
                      const char *value, struct err_info *why)
{
    return config_set(&s->config, section, name, bytes_of_text(value), why);
}

/* "line 7: ", or nothing for what no file set. returns: into. */
static const char *settings_where(const struct host_settings *s, const char *section,
                                  const char *name, char into[32])
{
    unsigned line = config_line(&s->config, section, name);
    into[0] = '\0';
    if (line > 0) {
        (void)snprintf(into, 32, "line %u: ", line);
    }
    return into;
}

static int settings_port(const char *text, uint16_t *port)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; text[i] >= '0' && text[i] <= '9' && i < 6; i++) {
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (i == 0 || text[i] != '\0' || value == 0 || value > UINT16_MAX) {
        return ERR_BAD_CONFIG;
    }
    *port = (uint16_t)value;
    return 0;
}

int host_settings_endpoint(const char *text, char *host, size_t host_bytes, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text) {
        return ERR_BAD_CONFIG;
    }
    const char *first = text;
    size_t bytes = (size_t)(colon - text);
    if (text[0] == '[' && colon[-1] == ']') {
        first++;
        bytes -= 2;
    }
    if (bytes == 0 || bytes >= host_bytes || memchr(first, '[', bytes) != NULL) {
        return ERR_BAD_CONFIG;
    }
    TRY(settings_port(colon + 1, port));
    memcpy(host, first, bytes);
    host[bytes] = '\0';
    return 0;
}

static int settings_check_listen(const struct host_settings *s, const char *name, const char *text,
                                 struct err_info *why)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;
    char host[256];
    uint16_t port = 0;
    if (text[0] == '\0') {
        return 0;
    }
    char line[32];
    (void)settings_where(s, "node", name, line);
    if (host_settings_endpoint(text, host, sizeof(host), &port) != 0) {
        return err_set(why, ERR_BAD_CONFIG, "%s'%s' must be ADDRESS:PORT, not '%s'", line, name,
                       text);
    }
    if (strcmp(host, "localhost") != 0 && uv_ip4_addr(host, port, &v4) != 0 &&
        uv_ip6_addr(host, port, &v6) != 0) {
        return err_set(why, ERR_BAD_CONFIG, "%s'%s' needs a numeric address, not '%s'", line, name,
                       host);
    }
    return 0;
}

static int settings_check_gpu(const struct host_settings *s, struct err_info *why)
{
    char line[32];
    if (strcmp(s->gpu_use, "auto") != 0 && strcmp(s->gpu_use, "always") != 0 &&
        strcmp(s->gpu_use, "off") != 0) {
        return err_set(why, ERR_BAD_CONFIG,
                       "%s'use' of the GPU must be auto, always or off, not '%s'",
                       settings_where(s, "gpu", "use", line), s->gpu_use);
    }
    if (s->gpu_plugin[0] != '\0' && strchr(s->gpu_plugin, '/') == NULL) {
        return err_set(why, ERR_BAD_CONFIG, "%s'plugin' must be a path with a '/', not '%s'",
                       settings_where(s, "gpu", "plugin", line), s->gpu_plugin);
    }
    return 0;
}

int host_settings_check(const struct host_settings *s, struct err_info *why)
{
    bool known = false;
    char line[32];
    TRY(limits_check(&s->limits, why));
    for (unsigned i = 0; i < sizeof(host_levels) / sizeof(host_levels[0]); i++) {
        known = known || strcmp(s->log_level, host_levels[i]) == 0;
    }
    if (!known) {
        return err_set(why, ERR_BAD_CONFIG,
                       "%s'log_level' must be debug, info, warn or error, not '%s'",
                       settings_where(s, "node", "log_level", line), s->log_level);
    }
    if (s->data_dir[0] == '\0') {
        return err_set(why, ERR_BAD_CONFIG, "%s'data_dir' is empty",
                       settings_where(s, "node", "data_dir", line));
    }
    TRY(settings_check_gpu(s, why));
    TRY(settings_check_listen(s, "client_listen", s->client_listen, why));
    TRY(settings_check_listen(s, "peer_listen", s->peer_listen, why));
    if (s->client_listen[0] != '\0' && strcmp(s->client_listen, s->peer_listen) == 0) {
        return err_set(why, ERR_BAD_CONFIG, "%s'peer_listen' is the same as 'client_listen': '%s'",
                       settings_where(s, "node", "peer_listen", line), s->peer_listen);
    }
    if (s->election_us < 3 * s->heartbeat_us) {
        bool election_later = config_line(&s->config, "raft", "election") >
                              config_line(&s->config, "raft", "heartbeat");
        const char *later = election_later ? "election" : "heartbeat";
        return err_set(why, ERR_BAD_CONFIG, "%s'election' must be at least 3 times 'heartbeat'",
                       settings_where(s, "raft", later, line));
    }
    return 0;
}

int host_settings_print(const struct host_settings *s, struct buf *out)
{
    return config_print(&s->config, out);
}

enum log_level host_settings_log_level(const struct host_settings *s)
{
    for (unsigned i = 0; i < sizeof(host_levels) / sizeof(host_levels[0]); i++) {
        if (strcmp(s->log_level, host_levels[i]) == 0) {
            return (enum log_level)i;
        }
    }
    return LOG_INFO;
}
