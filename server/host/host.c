/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Puts a host together and takes it apart: directory, listeners, stores, node, threads.
 */
#include "server/host/host.h"

#include "server/host/cipher.h"
#include "server/host/host_internal.h"

#include "base/num.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define HOST_ALONE_CLIENT_PORT 7701u
#define HOST_ALONE_PEER_PORT 7801u
#define HOST_KV_READERS 16u /* beside those of the threads */
#define HOST_SEGMENTS_MAX 16384u
#define HOST_BACKLOG 1024

int host_random(void *into, size_t bytes)
{
    ASSERT(bytes <= INT32_MAX);
    return RAND_bytes(into, (int)bytes) == 1 ? 0 : ERR_IO;
}

void host_log_stderr(void *ctx, enum log_level level, const char *line)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char text[LOG_LINE_BYTES_MAX + 64];
    struct timespec now = {0, 0};
    struct tm utc;
    (void)ctx;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    memset(&utc, 0, sizeof(utc));
    (void)gmtime_r(&now.tv_sec, &utc);
    int bytes = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ level=%s %s\n",
                         utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                         utc.tm_sec, now.tv_nsec / 1000000, names[level], line);
    if (bytes > 0) {
        size_t size = NUM_MIN((size_t)bytes, sizeof(text) - 1);
        ssize_t wrote = write(STDERR_FILENO, text, size);
        (void)wrote; /* nowhere to say it */
    }
}

uint32_t host_node_id(const struct host *h)
{
    return h->identity.node;
}

/* ---- addresses ------------------------------------------------------------------------------ */

int host_listen_address(struct host *h, const char *host, uint16_t port,
                        struct sockaddr_storage *out)
{
    const char *text = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    memset(out, 0, sizeof(*out));
    if (uv_ip4_addr(text, port, (struct sockaddr_in *)out) == 0 ||
        uv_ip6_addr(text, port, (struct sockaddr_in6 *)out) == 0) {
        return 0;
    }
    uv_getaddrinfo_t lookup;
    struct addrinfo hints;
    char service[8];
    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
    int err = uv_getaddrinfo(&h->loop, &lookup, NULL, text, service, &hints);
    if (err == 0) {
        memcpy(out, lookup.addrinfo->ai_addr, lookup.addrinfo->ai_addrlen);
        uv_freeaddrinfo(lookup.addrinfo);
    }
    return err;
}

int host_listen(struct host *h, uv_tcp_t *tcp, const char *host, uint16_t port,
                uv_connection_cb accept, const char *what, struct err_info *why)
{
    struct sockaddr_storage address;
    int err = host_listen_address(h, host, port, &address);
    if (err != 0) {
        return err_set(why, ERR_BAD_CONFIG, "cannot find address '%s': %s", host, uv_strerror(err));
    }
    tcp->data = h;
    err = uv_tcp_init(&h->loop, tcp);
    if (err == 0) {
        err = uv_tcp_bind(tcp, (const struct sockaddr *)&address, 0);
    }
    if (err == 0) {
        err = uv_listen((uv_stream_t *)tcp, HOST_BACKLOG, accept);
    }
    if (err != 0) {
        int code = err == UV_EADDRINUSE ? ERR_IN_USE : ERR_IO;
        return err_set(why, code, "cannot listen for %s on %s:%u: %s", what, host, (unsigned)port,
                       uv_strerror(err));
    }
    return 0;
}

/* The setting, or what the roster says of this node. */
static int host_address(const char *setting, const struct wire_identity_node *own, bool client,
                        char host[256], uint16_t *port)
{
    if (setting[0] != '\0') {
        return host_settings_endpoint(setting, host, 256, port);
    }
    (void)snprintf(host, 256, "%s", own->host);
    *port = client ? own->client_port : own->peer_port;
    return 0;
}

/* ---- a cluster of one ----------------------------------------------------------------------- */

static int host_found_alone(struct host *h, struct err_info *why)
{
    struct wire_identity_node node;
    uint8_t gossip_key[WIRE_IDENTITY_KEY_BYTES];
    uint8_t private_key[WIRE_IDENTITY_KEY_BYTES];
    struct wire_identity_plan plan = {
        .nodes = &node, .nodes_count = 1, .data_groups = 1, .gossip_key = gossip_key};
    char peer_host[256];
    memset(&node, 0, sizeof(node));
    node.id = 1;
    node.client_port = HOST_ALONE_CLIENT_PORT;
    node.peer_port = HOST_ALONE_PEER_PORT;
    (void)snprintf(node.host, sizeof(node.host), "127.0.0.1");
    if (h->settings->client_listen[0] != '\0') {
        TRY(host_settings_endpoint(h->settings->client_listen, node.host, sizeof(node.host),
                                   &node.client_port));
    }
    if (h->settings->peer_listen[0] != '\0') {
        TRY(host_settings_endpoint(h->settings->peer_listen, peer_host, sizeof(peer_host),
                                   &node.peer_port));
    }
    if (host_random(plan.cluster, sizeof(plan.cluster)) != 0 ||
        host_random(gossip_key, sizeof(gossip_key)) != 0 ||
        host_random(private_key, sizeof(private_key)) != 0 ||
        host_cipher_public_of(private_key, node.public_key) != 0) {
        return err_set(why, ERR_IO, "the system gives no random numbers");
    }
    TRY(wire_identity_make(&plan, &h->identity, why));
    TRY(wire_identity_claim(&h->identity, 1));
    memcpy(h->identity.private_key, private_key, sizeof(private_key));
    TRY(host_data_dir_found(&h->dir, &h->identity, why));
    log_line(h->log, LOG_INFO, "cluster_founded", "nodes=1 data_dir=\"%s\"", h->dir.path);
    return 0;
}

/* ---- stores --------------------------------------------------------------------------------- */

static int host_open_kv(struct host *h, struct store_kv *kv, const char *name, struct err_info *why)
{
    char path[4200];
    const struct limits *l = &h->limits;
    unsigned readers = (unsigned)(l->readers + l->workers) + HOST_KV_READERS;
    (void)snprintf(path, sizeof(path), "%s/%s", h->dir.path, name);
    return store_kv_lmdb_open(kv, path, l->map_bytes, readers, &h->heap, why);
}

static int host_open_stores(struct host *h, struct err_info *why)
{
    const struct limits *l = &h->limits;
    struct store_wal_options wal = {
        .segment_bytes = l->wal_segment_bytes,
        .pool_segments = (unsigned)l->wal_pool_segments,
        .live_segments_max = (unsigned)l->wal_held_segments,
        .batch_bytes_max = (uint32_t)l->wal_batch_bytes,
        .store_id = h->sb.store_id,
        .incarnation = h->sb.incarnation,
        .groups_max = (uint32_t)l->groups + 1, /* and the own one */
        .entries_max = l->log_entries * (h->identity.groups_count + 2u),
    };
    struct store_segments_options segments = {
        .segment_bytes = l->shard_segment_bytes,
        .reserve_bytes = l->disk_reserve_bytes,
        .segments_max = HOST_SEGMENTS_MAX,
        .store_id = h->sb.store_id,
    };
    memcpy(wal.cluster, h->sb.cluster, sizeof(wal.cluster));
    memcpy(segments.cluster, h->sb.cluster, sizeof(segments.cluster));
    TRY(host_open_kv(h, &h->state, "state", why));
    h->env.kv = &h->state;
    TRY(host_open_kv(h, &h->index, "segidx", why));
    TRY(store_wal_open(&h->env.wal, &h->dir.disk, &wal, &h->heap, h->log, why));
    TRY(store_segments_open(&h->env.segments, &h->dir.disk, &h->index, &segments, &h->heap, h->log,
                            why));
    h->env.alloc = h->heap;
    return compute_new(&h->env.compute, &h->heap, why);
}

static void host_close_stores(struct host *h)
{
    if (h->env.compute != NULL) {
        compute_free(h->env.compute);
    }
    if (h->env.segments != NULL) {
        store_segments_close(h->env.segments);
    }
    if (h->env.wal != NULL) {
        store_wal_close(h->env.wal);
    }
    if (h->index.ctx != NULL) {
        h->index.close(h->index.ctx);
    }
    if (h->state.ctx != NULL) {
        h->state.close(h->state.ctx);
    }
}

/* returns: the size of the disk under the data directory; 0: not known. */
static uint64_t host_capacity(const struct host *h)
{
    struct statvfs fs;
    if (fstatvfs(h->dir.fd, &fs) != 0) {
        return 0;
    }
    return (uint64_t)fs.f_blocks * (uint64_t)fs.f_frsize;
}

static int host_draw(void *ctx, void *into, size_t bytes)
{
    (void)ctx;
    return host_random(into, bytes);
}

/* The times of gossip, stretched as all others are. */
static struct gossip_rules host_gossip_rules(const struct host_settings *s)
{
    struct gossip_rules rules = gossip_rules_default();
    rules.probe_interval_us *= s->time_scale;
    rules.probe_timeout_us *= s->time_scale;
    rules.gossip_interval_us *= s->time_scale;
    rules.sync_interval_us *= s->time_scale;
    rules.demand_min_us *= s->time_scale;
    rules.cut_window_us *= s->time_scale;
    return rules;
}

static int host_new_cipher(struct host *h, struct node_gossip_options *out, struct err_info *why)
{
    static const uint8_t none[WIRE_IDENTITY_KEY_BYTES] = {0};
    bool secret = false;
    TRY(host_cipher_new(&h->cipher, &h->heap, why));
    if (host_cipher_first_key(h->cipher, &h->identity, out->first_key, &secret) != 0) {
        return err_set(why, ERR_NO_MEMORY, "no memory for gossip's keys");
    }
    out->cipher = host_cipher_table(h->cipher);
    if (memcmp(h->identity.private_key, none, sizeof(none)) != 0) {
        TRY(host_cipher_own(h->cipher, h->identity.private_key, why));
        out->signer = host_cipher_signer(h->cipher);
    }
    out->rules = host_gossip_rules(h->settings);
    out->random = host_draw;
    return 0;
}

#define HOST_DEVICE_WAIT_MIN_US 1000000u
#define HOST_DEVICE_WAIT_MAX_US 600000000u
#define HOST_DEVICE_PATIENCE_US 5000000u /* a job takes milliseconds */

static int host_new_device(struct host *h, struct err_info *why)
{
    const char *use = h->settings->gpu_use;
    const struct host_device_options options = {
        .use = strcmp(use, "off") == 0      ? HOST_DEVICE_OFF
               : strcmp(use, "always") == 0 ? HOST_DEVICE_ALWAYS
                                            : HOST_DEVICE_AUTO,
        .path = h->settings->gpu_plugin,
        .log = h->log,
        .heap = h->heap,
        .now_us = host_now_us,
        .wait_min_us = HOST_DEVICE_WAIT_MIN_US,
        .wait_max_us = HOST_DEVICE_WAIT_MAX_US,
        .patience_us = HOST_DEVICE_PATIENCE_US * h->settings->time_scale,
    };
    return host_device_new(&h->device, &options, why);
}

static int host_new_node(struct host *h, uint64_t seed, struct err_info *why)
{
    const struct host_settings *s = h->settings;
    struct node_options options = {
        .identity = &h->identity,
        .boot = h->sb.boot,
        .boot_nonce = h->nonce,
        .seed = seed,
        .limits = h->limits,
        .log = (struct log *)(uintptr_t)h->log,
        .heartbeat_us = s->heartbeat_us * s->time_scale,
        .election_us = s->election_us * s->time_scale,
        .flush_interval_us = s->flush_interval_us,
        .intent_ttl_us = s->intent_ttl_us,
        .free_delay_us = s->free_delay_us,
        .session_ttl_us = s->session_ttl_us,
        .audit_interval_us = s->audit_interval_us,
        .scrub_bytes_per_s = s->scrub_bytes_second,
        .repair_bytes_per_s = h->limits.repair_bytes_second,
        .put_deadline_us = s->put_deadline_us,
        .log_keep_entries = (uint32_t)s->log_keep_entries,
        .repair_delay_us = s->repair_delay_us,
        .disk_slow_us = s->disk_slow_us,
        .capacity_bytes = host_capacity(h),
        .kernel = host_device_kernel(h->device),
        .device = {.ctx = h->device, .get = host_device_report},
    };
    TRY(host_new_cipher(h, &options.gossip, why));
    return node_new(&h->node, &options, &h->env, &h->heap, host_now_us(), why);
}

/* ---- open and close ------------------------------------------------------------------------- */

static int host_open_directory(struct host *h, bool found_alone, uint64_t store_id,
                               struct err_info *why)
{
    enum host_data_dir_mode mode = found_alone ? HOST_DATA_DIR_CREATE : HOST_DATA_DIR_EXISTING;
    TRY(host_data_dir_open(&h->dir, h->settings->data_dir, mode, &h->heap, why));
    if (h->dir.content == HOST_DATA_DIR_EMPTY && found_alone) {
        TRY(host_found_alone(h, why));
    }
    return host_data_dir_start(&h->dir, store_id, &h->identity, &h->sb, why);
}

static int host_open_parts(struct host *h, const struct host_options *options, struct err_info *why)
{
    uint64_t random[4];
    if (host_random(random, sizeof(random)) != 0) {
        return err_set(why, ERR_IO, "the system gives no random numbers");
    }
    h->nonce = random[0];
    rng_init(&h->rng, random[1]);
    TRY(host_open_directory(h, options->found_alone, random[2] | 1u, why));
    if (h->identity.format == 1) {
        log_line(h->log, LOG_WARN, "gossip_key_not_secret",
                 "cause=\"the identity is of format 1: key 1 of the cluster's gossip follows from "
                 "the cluster id, which is no secret\" cure=\"install a new gossip key, use it, "
                 "and retire key 1\"");
    }
    const struct wire_identity_node *own = wire_identity_node_of(&h->identity, h->identity.node);
    ASSERT(own != NULL);
    TRY(host_address(h->settings->client_listen, own, true, h->client_host, &h->client_port));
    TRY(host_address(h->settings->peer_listen, own, false, h->peer_host, &h->peer_port));
    TRY(host_loop_init(h, why));
    TRY(host_clients_open(h, h->client_host, h->client_port, why));
    TRY(host_peers_open(h, h->peer_host, h->peer_port, why));
    TRY(host_gossip_open(h, h->peer_host, h->peer_port, why));
    TRY(host_open_stores(h, why));
    TRY(host_new_device(h, why));
    h->whole = host_device_whole(h->device);
    h->env.whole = &h->whole;
    TRY(host_new_node(h, random[3], why));
    TRY(host_threads_start(&h->threads, h, &h->env, why));
    return host_device_start(h->device, why);
}

int host_open(struct host **out, const struct host_options *options, struct err_info *why)
{
    struct alloc heap = alloc_heap();
    struct host *h = alloc_get_zeroed(&heap, 1, sizeof(*h));
    if (h == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for the node");
    }
    h->settings = options->settings;
    h->log = options->log;
    h->heap = heap;
    h->wake_fd = -1;
    h->dir.fd = -1;
    h->dir.lock_fd = -1;
    h->signals_open = options->signals;
    h->limits = options->settings->limits;
    h->limits.wal_batch_bytes = NUM_MIN(h->limits.wal_batch_bytes, h->limits.wal_segment_bytes / 4);
    (void)pthread_mutex_init(&h->lock, NULL);
    h->read_buffer = alloc_get(&heap, HOST_READ_BYTES);
    int err = h->read_buffer == NULL ? err_set(why, ERR_NO_MEMORY, "no memory for the node")
                                     : host_open_parts(h, options, why);
    if (err != 0) {
        host_close(h);
        return err;
    }
    *out = h;
    return 0;
}

static void host_close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void host_close_loop(struct host *h)
{
    host_clients_end(h);
    host_peers_end(h);
    host_gossip_end(h);
    uv_walk(&h->loop, host_close_handle, NULL);
    (void)uv_run(&h->loop, UV_RUN_DEFAULT);
    int err = uv_loop_close(&h->loop);
    ASSERT(err == 0);
}

void host_close(struct host *h)
{
    if (h == NULL) {
        return;
    }
    h->ending = true;
    if (h->threads != NULL) {
        host_threads_stop(h->threads, h->node);
        h->threads = NULL;
    }
    if (h->loop_open) {
        host_close_loop(h);
    }
    if (h->wake_fd >= 0) {
        (void)close(h->wake_fd);
    }
    host_clients_release(h);
    host_peers_release(h);
    if (h->node != NULL) {
        node_free(h->node);
    }
    host_device_free(h->device);
    host_gossip_release(h);
    host_close_stores(h);
    host_data_dir_close(&h->dir);
    struct alloc heap = h->heap;
    alloc_put(&heap, h->read_buffer, HOST_READ_BYTES);
    (void)pthread_mutex_destroy(&h->lock);
    alloc_put(&heap, h, sizeof(*h));
}
