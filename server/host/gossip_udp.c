/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Gossip's datagrams: one UDP socket on the address and port of the peer listener. Packets come and
 * go sealed; who sent one is not known here, and nothing is answered here. What does not fit into
 * the bounded queue is dropped and counted: gossip takes loss.
 */
#include "server/host/host_internal.h"

#include "base/num.h"

#include <string.h>

#define GOSSIP_QUEUE_MAX 1024u /* datagrams that the kernel has not taken yet */
#define GOSSIP_BATCH 16u
#define GOSSIP_DATAGRAM_MAX 65536u

struct gossip_write {
    uv_udp_send_t request;
    struct host *host;
    struct buf packet;
};

/* ---- addresses ------------------------------------------------------------------------------ */

static const uint8_t gossip_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void gossip_address_from(const struct sockaddr *from, struct gossip_address *out)
{
    memset(out, 0, sizeof(*out));
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;
        memcpy(out->ip, gossip_mapped, sizeof(gossip_mapped));
        memcpy(out->ip + 12, &v4->sin_addr, 4);
        out->port = ntohs(v4->sin_port);
    } else if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;
        memcpy(out->ip, &v6->sin6_addr, 16);
        out->port = ntohs(v6->sin6_port);
    }
}

/* returns: false for zeros: the roster's address is meant. */
static bool gossip_address_to(const struct host *h, const struct gossip_address *to,
                              struct sockaddr_storage *out)
{
    static const uint8_t none[16] = {0};
    bool mapped = memcmp(to->ip, gossip_mapped, sizeof(gossip_mapped)) == 0;
    memset(out, 0, sizeof(*out));
    if (memcmp(to->ip, none, sizeof(none)) == 0) {
        return false;
    }
    if (mapped && !h->gossip.v6) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(to->port);
        memcpy(&v4->sin_addr, to->ip + 12, 4);
    } else {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(to->port);
        memcpy(&v6->sin6_addr, to->ip, 16);
    }
    return true;
}

/* ---- in ------------------------------------------------------------------------------------- */

static void gossip_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct host *h = handle->data;
    (void)suggested;
    *out = uv_buf_init((char *)h->gossip.in, (unsigned)h->gossip.in_bytes);
}

static void gossip_arrived(uv_udp_t *udp, ssize_t bytes, const uv_buf_t *buf,
                           const struct sockaddr *from, unsigned flags)
{
    struct host *h = udp->data;
    if (bytes < 0) {
        h->gossip.errors++;
        return;
    }
    if (from == NULL || (flags & UV_UDP_PARTIAL) != 0) {
        h->gossip.errors += from != NULL;
        return;
    }
    struct node_event ev = {.kind = NODE_EV_GOSSIP,
                            .data = bytes_of((const uint8_t *)buf->base, (size_t)bytes)};
    gossip_address_from(from, &ev.from);
    h->stats.gossip_in++;
    host_step(h, &ev);
    if (++h->steps >= HOST_STEPS_MAX) {
        host_drain(h);
    }
}

/* ---- out ------------------------------------------------------------------------------------ */

static void gossip_sent(uv_udp_send_t *request, int status)
{
    struct gossip_write *w = request->data;
    struct host *h = w->host;
    h->gossip.queued--;
    h->gossip.errors += status != 0 && status != UV_ECANCELED;
    buf_release(&w->packet);
    alloc_put(&h->heap, w, sizeof(*w));
}

static void gossip_queue(struct host *h, struct node_fx *fx, const struct sockaddr *to)
{
    struct gossip_write *w =
        h->gossip.queued < GOSSIP_QUEUE_MAX ? alloc_get_zeroed(&h->heap, 1, sizeof(*w)) : NULL;
    if (w == NULL) {
        h->gossip.dropped++;
        return;
    }
    uv_buf_t data = uv_buf_init((char *)fx->head.data, (unsigned)fx->head.size);
    w->request.data = w;
    w->host = h;
    w->packet = fx->head;
    if (uv_udp_send(&w->request, &h->gossip.udp, &data, 1, to, gossip_sent) != 0) {
        h->gossip.errors++;
        alloc_put(&h->heap, w, sizeof(*w));
        return;
    }
    fx->head = (struct buf){0};
    h->gossip.queued++;
}

static void gossip_put(struct host *h, struct node_fx *fx)
{
    struct sockaddr_storage address;
    if (!gossip_address_to(h, &fx->address, &address) &&
        !host_peer_address(h, fx->peer, &address)) {
        h->gossip.dropped++; /* its name has not been looked up yet */
        return;
    }
    uv_buf_t data = uv_buf_init((char *)fx->head.data, (unsigned)fx->head.size);
    const struct sockaddr *to = (const struct sockaddr *)&address;
    int sent = h->gossip.queued == 0 ? uv_udp_try_send(&h->gossip.udp, &data, 1, to) : UV_EAGAIN;
    if (sent == UV_EAGAIN) {
        gossip_queue(h, fx, to);
    } else if (sent < 0) {
        h->gossip.errors++; /* refused, unreachable: as good as lost */
    }
    h->stats.gossip_out += sent >= 0;
}

void host_gossip_send(struct host *h, struct node_fx *fx)
{
    if (h->gossip.open) {
        gossip_put(h, fx);
    }
    buf_release(&fx->head);
}

/* ---- begin and end -------------------------------------------------------------------------- */

int host_gossip_open(struct host *h, const char *host, uint16_t port, struct err_info *why)
{
    struct host_gossip *g = &h->gossip;
    struct sockaddr_storage address;
    int err = host_listen_address(h, host, port, &address);
    if (err != 0) {
        return err_set(why, ERR_BAD_CONFIG, "cannot find address '%s': %s", host, uv_strerror(err));
    }
    g->in_bytes = (size_t)GOSSIP_BATCH * GOSSIP_DATAGRAM_MAX;
    g->in = alloc_get(&h->heap, g->in_bytes);
    if (g->in == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for gossip");
    }
    g->v6 = address.ss_family == AF_INET6;
    g->udp.data = h;
    err = uv_udp_init_ex(&h->loop, &g->udp, AF_UNSPEC | UV_UDP_RECVMMSG);
    if (err == 0) {
        g->open = true;
        err = uv_udp_bind(&g->udp, (const struct sockaddr *)&address, 0);
    }
    if (err == 0) {
        err = uv_udp_recv_start(&g->udp, gossip_room, gossip_arrived);
    }
    if (err != 0) {
        int code = err == UV_EADDRINUSE ? ERR_IN_USE : ERR_IO;
        return err_set(why, code, "cannot open UDP %s:%u for gossip: %s", host, (unsigned)port,
                       uv_strerror(err));
    }
    return 0;
}

void host_gossip_end(struct host *h)
{
    if (h->gossip.open) {
        h->gossip.open = false;
        uv_close((uv_handle_t *)&h->gossip.udp, NULL);
    }
}

void host_gossip_release(struct host *h)
{
    alloc_put(&h->heap, h->gossip.in, h->gossip.in_bytes);
    host_cipher_free(h->cipher);
}
