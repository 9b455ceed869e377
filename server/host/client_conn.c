/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Clients: accepts within limits, cuts the stream into whole MessagePack-RPC messages that passed
 * the pre-scan, and closes what is wrong, too slow or too much, with one line in the log.
 */
#include "server/host/host_internal.h"

#include "base/num.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define CLIENT_SLOT_BITS 17u
#define CLIENT_SLOT_MASK ((1u << CLIENT_SLOT_BITS) - 1u)
#define CLIENT_BYTES_A_SECOND 16384u /* slower than this is not progress */
#define CLIENT_REFUSALS_US 1000000u  /* refusals are logged at most so often */

struct host_client {
    struct host_stream s; /* first */
    struct wire_scan scan;
    uint64_t id;
    uint32_t slot;
    bool scanning;       /* scan has begun with the message at the start of the input */
    uint8_t address[16]; /* IPv4 as mapped */
};

static void client_scan_begin(struct host_client *c)
{
    const struct limits *l = &c->s.host->settings->limits;
    struct wire_scan_limits limits = {
        .bytes_max = (size_t)l->request_bytes,
        .items_max = (uint32_t)l->request_items,
        .depth_max = WIRE_DEPTH_MAX,
    };
    wire_scan_init(&c->scan, &limits);
    c->scanning = true;
}

/* A message is an array of 3 or 4; what begins otherwise is another protocol. */
static bool client_begins_well(uint8_t first)
{
    return first == 0x93 || first == 0x94 || first == 0xdc || first == 0xdd;
}

static int client_arrived(struct host_stream *s, struct bytes data, size_t *used, size_t *want)
{
    struct host_client *c = (struct host_client *)s;
    *used = 0;
    while (*used < data.size && !s->ended) {
        struct bytes rest = bytes_of(data.data + *used, data.size - *used);
        if (!c->scanning) {
            if (!client_begins_well(rest.data[0])) {
                return ERR_PROTOCOL;
            }
            client_scan_begin(c);
        }
        int err = wire_scan_more(&c->scan, rest);
        if (err == WIRE_MORE) {
            *want = NUM_MIN(c->scan.at, (size_t)s->host->settings->limits.request_bytes);
            return 0;
        }
        TRY(err);
        ASSERT(c->scan.at > 0 && c->scan.at <= rest.size);
        struct node_event ev = {
            .kind = NODE_EV_RPC, .conn = c->id, .data = bytes_of(rest.data, c->scan.at)};
        s->host->stats.requests++;
        host_step(s->host, &ev);
        *used += c->scan.at;
        c->scanning = false;
        if (++s->host->steps >= HOST_STEPS_MAX) {
            host_drain(s->host);
        }
    }
    return 0;
}

/* Closures that are the client's fault are warnings; going away is not. */
static void client_ended(struct host_stream *s, int code, const char *reason)
{
    struct host_client *c = (struct host_client *)s;
    struct host *h = s->host;
    char name[80];
    bool fault = code != 0 && code != ERR_CONNECTION;
    (void)host_stream_name(s, name, sizeof(name));
    log_line(h->log, fault ? LOG_WARN : LOG_DEBUG, "client_closed",
             "conn=%llu client=%s reason=%s code=%s unsent=%llu", (unsigned long long)c->id, name,
             reason, err_name(code), (unsigned long long)s->out_bytes);
    h->stats.clients_closed += fault;
    h->stats.clients--;
    h->clients.slots[c->slot] = NULL;
    h->clients.free_slots[h->clients.free_count++] = c->slot;
    struct node_event ev = {.kind = NODE_EV_CONN_GONE, .conn = c->id};
    host_step(h, &ev);
}

static void client_closed(struct host_stream *s)
{
    struct host_client *c = (struct host_client *)s;
    alloc_put(&s->host->heap, c, sizeof(*c));
}

static const struct host_stream_ops client_ops = {
    .arrived = client_arrived, .ended = client_ended, .closed = client_closed};

/* ---- accepting ------------------------------------------------------------------------------ */

static void client_address(const uv_tcp_t *tcp, uint8_t address[16])
{
    struct sockaddr_storage from;
    int length = (int)sizeof(from);
    memset(&from, 0, sizeof(from));
    memset(address, 0, 16);
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&from, &length) != 0) {
        return;
    }
    if (from.ss_family == AF_INET6) {
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)&from)->sin6_addr, 16);
    } else {
        memset(address + 10, 0xff, 2);
        memcpy(address + 12, &((const struct sockaddr_in *)(const void *)&from)->sin_addr, 4);
    }
}

static uint64_t clients_of_address(const struct host_clients *all, const uint8_t address[16])
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < all->slots_count; i++) {
        count += all->slots[i] != NULL && memcmp(all->slots[i]->address, address, 16) == 0;
    }
    return count;
}

static void client_dropped(uv_handle_t *handle)
{
    struct host_client *c = handle->data;
    alloc_put(&c->s.host->heap, c, sizeof(*c));
}

static void client_refuse(struct host_client *c, const char *reason)
{
    struct host *h = c->s.host;
    uint64_t now_us = host_now_us();
    h->stats.clients_refused++;
    if (now_us - h->clients.refused_logged_us >= CLIENT_REFUSALS_US) {
        h->clients.refused_logged_us = now_us;
        log_line(h->log, LOG_WARN, "client_refused", "reason=%s refused=%llu clients=%llu", reason,
                 (unsigned long long)h->stats.clients_refused,
                 (unsigned long long)h->stats.clients);
    }
    c->s.tcp.data = c;
    uv_close((uv_handle_t *)&c->s.tcp, client_dropped);
}

/* returns: NULL, or why this client is not served. */
static const char *client_admit(struct host_client *c)
{
    struct host *h = c->s.host;
    if (h->clients.free_count == 0) {
        return "client_connections";
    }
    client_address(&c->s.tcp, c->address);
    if (clients_of_address(&h->clients, c->address) >= h->settings->per_address) {
        return "per_address";
    }
    size_t bytes = NUM_MAX((size_t)h->settings->limits.request_bytes, 2u * HOST_READ_BYTES);
    if (host_stream_init(&c->s, h, &client_ops, bytes, false) != 0 ||
        host_stream_read(&c->s) != 0) {
        return "socket";
    }
    return NULL;
}

static void clients_accept(uv_stream_t *server, int status)
{
    struct host *h = server->data;
    if (status != 0) {
        log_line(h->log, LOG_WARN, "accept_failed", "reason=%s", uv_err_name(status));
        return;
    }
    struct host_client *c = alloc_get_zeroed(&h->heap, 1, sizeof(*c));
    if (c == NULL) {
        return;
    }
    c->s.host = h;
    if (uv_tcp_init(&h->loop, &c->s.tcp) != 0) {
        alloc_put(&h->heap, c, sizeof(*c));
        return;
    }
    if (uv_accept(server, (uv_stream_t *)&c->s.tcp) != 0) {
        client_refuse(c, "accept");
        return;
    }
    const char *refusal = client_admit(c);
    if (refusal != NULL) {
        client_refuse(c, refusal);
        return;
    }
    c->s.out_bytes_max = h->settings->limits.output_bytes;
    c->slot = h->clients.free_slots[--h->clients.free_count];
    c->id = (++h->clients.generation << CLIENT_SLOT_BITS) | c->slot;
    h->clients.slots[c->slot] = c;
    h->stats.clients++;
    h->stats.clients_accepted++;
    struct node_event ev = {.kind = NODE_EV_CONN_OPEN, .conn = c->id};
    host_step(h, &ev);
}

int host_clients_open(struct host *h, const char *host, uint16_t port, struct err_info *why)
{
    struct host_clients *all = &h->clients;
    uint32_t count = (uint32_t)h->settings->limits.client_connections;
    ASSERT(count <= CLIENT_SLOT_MASK);
    all->slots_count = count;
    all->slots = alloc_get_zeroed(&h->heap, count, sizeof(struct host_client *));
    all->free_slots = alloc_get_zeroed(&h->heap, count, sizeof(uint32_t));
    if (all->slots == NULL || all->free_slots == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for %u connections", count);
    }
    for (uint32_t i = 0; i < count; i++) {
        all->free_slots[all->free_count++] = count - 1 - i;
    }
    TRY(host_listen(h, &all->listener, host, port, clients_accept, "clients", why));
    all->listening = true;
    return 0;
}

/* ---- effects -------------------------------------------------------------------------------- */

static struct host_client *client_of(struct host *h, uint64_t conn)
{
    uint32_t slot = (uint32_t)(conn & CLIENT_SLOT_MASK);
    struct host_client *c = slot < h->clients.slots_count ? h->clients.slots[slot] : NULL;
    return c != NULL && c->id == conn ? c : NULL;
}

void host_clients_reply(struct host *h, struct node_fx *fx)
{
    struct host_client *c = client_of(h, fx->conn);
    if (c == NULL) {
        buf_release(&fx->head);
        if (fx->body != NULL) {
            node_blob_release(h->node, fx->body);
        }
        return;
    }
    int err = host_stream_send(&c->s, NULL, 0, &fx->head, fx->body);
    if (err != 0) {
        host_stream_end(&c->s, err, "output_full");
    }
}

void host_clients_close(struct host *h, const struct node_fx *fx)
{
    struct host_client *c = client_of(h, fx->conn);
    if (c == NULL) {
        return;
    }
    c->s.end_when_sent = true;
    c->s.end_code = fx->code;
    (void)uv_read_stop((uv_stream_t *)&c->s.tcp);
    if (c->s.first == NULL) {
        host_stream_end(&c->s, fx->code, "asked");
    }
}

/* ---- time ----------------------------------------------------------------------------------- */

static void client_sweep(struct host_client *c, uint64_t now_us)
{
    const struct host_settings *set = c->s.host->settings;
    struct host_stream *s = &c->s;
    uint64_t allowed_us = set->progress_us + s->in.size * 1000000u / CLIENT_BYTES_A_SECOND;
    if (s->half_since_us != 0 && now_us > s->half_since_us + allowed_us) {
        host_stream_end(s, ERR_TIMEOUT, "no_progress");
    } else if (s->out_bytes > 0 && now_us > s->last_out_us + set->stall_us) {
        host_stream_end(s, ERR_TIMEOUT, "reads_nothing");
    } else if (now_us > NUM_MAX(s->last_in_us, s->last_out_us) + set->limits.idle_us) {
        host_stream_end(s, ERR_CONNECTION, "idle");
    }
}

void host_clients_sweep(struct host *h, uint64_t now_us)
{
    for (uint32_t i = 0; i < h->clients.slots_count; i++) {
        if (h->clients.slots[i] != NULL) {
            client_sweep(h->clients.slots[i], now_us);
        }
    }
}

void host_clients_end(struct host *h)
{
    if (h->clients.listening) {
        h->clients.listening = false;
        uv_close((uv_handle_t *)&h->clients.listener, NULL);
    }
    for (uint32_t i = 0; i < h->clients.slots_count; i++) {
        if (h->clients.slots[i] != NULL) {
            host_stream_end(&h->clients.slots[i]->s, 0, "stopping");
        }
    }
}

void host_clients_release(struct host *h)
{
    struct host_clients *all = &h->clients;
    alloc_put(&h->heap, all->slots, all->slots_count * sizeof(struct host_client *));
    alloc_put(&h->heap, all->free_slots, all->slots_count * sizeof(uint32_t));
}
