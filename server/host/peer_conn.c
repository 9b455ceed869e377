/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Other nodes: one connection a pair, both ways. The node with the lower id dials. Both greet
 * before anything else is believed:
 *
 *   dialler -> HELLO{level, nonce}      cluster, ids, incarnation and boot are in every frame
 *   dialled -> HELLO{level, nonce, code of its check}
 *   dialler -> VERDICT{code of its check}
 *
 * A node that is told ERR_FENCED by enough peers ends: the node judges that. Frames that cannot be
 * sent are dropped: consensus takes loss, and calls fail with the connection.
 *
 *         dial                HELLO, code 0                     end
 *   (none) --> HELLO_AWAITED --------------> UP ---------------------> (none)
 *   (none) --> FIRST_AWAITED -> VERDICT_AWAITED -> UP
 *         accept        HELLO           VERDICT, code 0
 */
#include "server/host/host_internal.h"

#include "base/crc.h"
#include "base/num.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define LINK_HELLO 0xff01u /* kinds from 0xff00 on are the host's */
#define LINK_VERDICT 0xff02u
#define LINK_PING 0xff03u
#define LINK_BACKOFF_MIN_US 50000u
#define LINK_BACKOFF_MAX_US 1000000u
#define LINK_PING_US 1000000u
#define LINK_CONNECT_US 1000000u /* the system itself tries again ever more seldom */

enum link_state {
    LINK_CONNECTING = 0,
    LINK_HELLO_AWAITED,   /* dialled, greeted, not answered */
    LINK_FIRST_AWAITED,   /* accepted, nobody knows from whom */
    LINK_VERDICT_AWAITED, /* accepted, answered */
    LINK_UP,
};

struct host_link {
    struct host_stream s; /* first */
    uv_connect_t connect;
    struct host_link *next;
    struct host_peer *peer; /* NULL until it has greeted */
    enum link_state state;
    uint64_t opened_us;
    uint64_t incarnation; /* of the other side */
    uint64_t boot;
    uint64_t nonce;
};

/* ---- frames out ----------------------------------------------------------------------------- */

/* returns: the CRC of head and body; body may be NULL. */
static uint32_t link_crc(const struct buf *head, const struct node_blob *body)
{
    const struct bytes tail = body == NULL ? bytes_of(NULL, 0) : node_blob_bytes(body);
    const uint32_t crc = crc_of(head->data, head->size);
    uint32_t known = 0;
    if (body != NULL && node_blob_crc(body, &known)) {
        return crc_joined(crc, known, crc_shift(tail.size));
    }
    return crc_more(crc, tail.data, tail.size);
}

/* Takes head and body. */
static int link_send(struct host_link *l, uint16_t kind, struct buf *head, struct node_blob *body)
{
    struct host *h = l->s.host;
    struct bytes tail = body == NULL ? bytes_of(NULL, 0) : node_blob_bytes(body);
    uint8_t prefix[WIRE_FRAME_HEADER_BYTES];
    struct wire_frame_header header = {
        .level = WIRE_FRAME_LEVEL,
        .kind = kind,
        .sender = h->identity.node,
        .destination = l->peer->row->id,
        .incarnation = h->sb.incarnation,
        .boot = h->sb.boot,
        .body_bytes = (uint32_t)(head->size + tail.size),
    };
    memcpy(header.cluster, h->identity.cluster, sizeof(header.cluster));
    header.body_crc = link_crc(head, body);
    wire_frame_encode_header(&header, prefix);
    h->stats.frames_out++;
    return host_stream_send(&l->s, prefix, sizeof(prefix), head, body);
}

static int link_send_greeting(struct host_link *l, uint16_t kind, int code)
{
    struct host *h = l->s.host;
    struct buf head;
    buf_init(&head, &h->heap, 64);
    (void)buf_put_u16(&head, h->identity.level);
    (void)buf_put_u64(&head, h->nonce);
    (void)buf_put_u32(&head, (uint32_t)code);
    if (head.err != 0) {
        buf_release(&head);
        return ERR_NO_MEMORY;
    }
    return link_send(l, kind, &head, NULL);
}

static void link_ping(struct host_link *l)
{
    struct buf head;
    buf_init(&head, &l->s.host->heap, 64);
    if (link_send(l, LINK_PING, &head, NULL) != 0) {
        host_stream_end(&l->s, ERR_BUSY, "queue_full");
    }
}

/* ---- greeting ------------------------------------------------------------------------------- */

/* Where the peer was reached: its datagrams go there if the roster has a name for it. */
static void link_address(struct host_link *l)
{
    struct host_peer *peer = l->peer;
    int bytes = (int)sizeof(peer->address);
    memset(&peer->address, 0, sizeof(peer->address));
    peer->addressed = uv_tcp_getpeername(&l->s.tcp, (struct sockaddr *)&peer->address, &bytes) == 0;
    if (peer->address.ss_family == AF_INET) {
        ((struct sockaddr_in *)(void *)&peer->address)->sin_port = htons(peer->row->peer_port);
    } else if (peer->address.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)&peer->address)->sin6_port = htons(peer->row->peer_port);
    }
}

static void link_up(struct host_link *l)
{
    struct host *h = l->s.host;
    struct host_peer *peer = l->peer;
    char name[80];
    if (peer->link != NULL && peer->link != l) {
        host_stream_end(&peer->link->s, ERR_CONNECTION, "replaced");
    }
    l->state = LINK_UP;
    l->s.known = true;
    peer->link = l;
    if (peer->dialled == l) {
        peer->dialled = NULL;
    }
    peer->backoff_us = LINK_BACKOFF_MIN_US;
    peer->told = false;
    link_address(l);
    h->stats.peers_up++;
    log_line(h->log, LOG_INFO, "peer_up", "peer=%u address=%s boot=%llu", peer->row->id,
             host_stream_name(&l->s, name, sizeof(name)), (unsigned long long)l->boot);
    struct node_event ev = {.kind = NODE_EV_PEER_UP, .peer = peer->row->id};
    host_step(h, &ev);
}

/* The other side does not believe this node. It may err: the node asks for more than one voice. */
static void link_fenced(struct host_link *l)
{
    struct node_event ev = {.kind = NODE_EV_REFUSED, .peer = l->peer->row->id};
    host_step(l->s.host, &ev);
}

void host_log_fenced(struct host *h)
{
    log_line(h->log, LOG_ERROR, "fenced",
             "node=%u incarnation=%llu boot=%llu cure=\"this data directory is older than "
             "what the cluster knows of node %u (restored, copied, or wiped): put the newest "
             "directory back, or give the node a new incarnation with an empty directory\"",
             h->identity.node, (unsigned long long)h->sb.incarnation,
             (unsigned long long)h->sb.boot, h->identity.node);
}

/* Checks what the other side says of itself. returns: 0, or the code it is told. */
static int link_check(struct host_link *l)
{
    struct host *h = l->s.host;
    int err = node_peer_check(h->node, l->peer->row->id, l->incarnation, l->boot, l->nonce);
    h->dirty = true;
    if (err != 0) {
        log_line(h->log, LOG_WARN, "peer_refused", "peer=%u incarnation=%llu boot=%llu code=%s",
                 l->peer->row->id, (unsigned long long)l->incarnation, (unsigned long long)l->boot,
                 err_name(err));
    }
    return err;
}

static struct host_peer *peer_of(struct host *h, uint32_t id)
{
    for (uint32_t i = 0; i < h->peers.count; i++) {
        if (h->peers.rows[i].row->id == id) {
            return &h->peers.rows[i];
        }
    }
    return NULL;
}

/* Only the lower id dials, so an accepted connection comes from a lower one. */
static int link_accepts(struct host_link *l, const struct wire_frame *frame)
{
    struct host *h = l->s.host;
    uint32_t sender = frame->header.sender;
    l->peer = sender < h->identity.node ? peer_of(h, sender) : NULL;
    if (l->peer == NULL || frame->header.kind != LINK_HELLO) {
        l->peer = NULL;
        return ERR_PROTOCOL;
    }
    l->incarnation = frame->header.incarnation;
    l->boot = frame->header.boot;
    return 0;
}

static int link_refuse(struct host_link *l, int code)
{
    l->s.end_when_sent = true;
    (void)uv_read_stop((uv_stream_t *)&l->s.tcp);
    return code == ERR_FENCED || code == ERR_NOT_FOUND ? 0 : code;
}

/* A node of another cluster is told so under its own cluster's name, or it would see nothing but
 * the end of the connection. It learns nothing of this cluster; the answer is as long as a
 * greeting. */
static int link_stranger(struct host_link *l, struct bytes arrived)
{
    struct host *h = l->s.host;
    struct wire_frame_header header;
    uint8_t prefix[WIRE_FRAME_HEADER_BYTES];
    struct buf head;
    buf_init(&head, &h->heap, 64);
    (void)buf_put_u16(&head, h->identity.level);
    (void)buf_put_u64(&head, 0);
    (void)buf_put_u32(&head, (uint32_t)ERR_WRONG_CLUSTER);
    if (head.err != 0) {
        buf_release(&head);
        return ERR_WRONG_CLUSTER;
    }
    wire_frame_stranger(arrived, &header);
    uint32_t sender = header.sender;
    header.level = WIRE_FRAME_LEVEL;
    header.kind = LINK_HELLO;
    header.sender = header.destination;
    header.destination = sender;
    header.incarnation = 0;
    header.boot = 0;
    header.body_bytes = (uint32_t)head.size;
    header.body_crc = crc_of(head.data, head.size);
    wire_frame_encode_header(&header, prefix);
    l->s.end_when_sent = true;
    l->s.end_code = ERR_WRONG_CLUSTER;
    (void)uv_read_stop((uv_stream_t *)&l->s.tcp);
    return host_stream_send(&l->s, prefix, sizeof(prefix), &head, NULL);
}

static int link_greeting(struct host_link *l, const struct wire_frame *frame)
{
    struct bytes_reader r = bytes_reader_of(frame->body);
    uint16_t level = bytes_take_u16(&r);
    l->nonce = bytes_take_u64(&r);
    int said = (int)bytes_take_u32(&r);
    if (r.failed || level == 0) {
        return ERR_PROTOCOL;
    }
    if (said == ERR_FENCED) {
        link_fenced(l);
        return ERR_FENCED;
    }
    TRY(said);
    if (l->state == LINK_VERDICT_AWAITED) {
        if (frame->header.kind != LINK_VERDICT) {
            return ERR_PROTOCOL;
        }
        link_up(l);
        return 0;
    }
    if (frame->header.kind != LINK_HELLO) {
        return ERR_PROTOCOL;
    }
    int code = link_check(l);
    if (l->state == LINK_FIRST_AWAITED) {
        l->state = LINK_VERDICT_AWAITED;
        TRY(link_send_greeting(l, LINK_HELLO, code));
    } else {
        TRY(link_send_greeting(l, LINK_VERDICT, code));
        if (code == 0) {
            link_up(l);
        }
    }
    return code == 0 ? 0 : link_refuse(l, code);
}

/* ---- frames in ------------------------------------------------------------------------------ */

static int link_frame(struct host_link *l, const struct wire_frame *frame)
{
    struct host *h = l->s.host;
    h->stats.frames_in++;
    if (l->state == LINK_FIRST_AWAITED) {
        TRY(link_accepts(l, frame));
    } else if (l->state == LINK_HELLO_AWAITED) {
        l->incarnation = frame->header.incarnation;
        l->boot = frame->header.boot;
    }
    if (frame->header.sender != l->peer->row->id || frame->header.boot != l->boot ||
        frame->header.incarnation != l->incarnation) {
        return ERR_PROTOCOL;
    }
    if (l->state != LINK_UP) {
        return link_greeting(l, frame);
    }
    if (frame->header.kind == LINK_PING) {
        return 0;
    }
    if (frame->header.kind >= 0xff00u) {
        return ERR_PROTOCOL;
    }
    struct node_event ev = {.kind = NODE_EV_PEER,
                            .peer = l->peer->row->id,
                            .frame_kind = frame->header.kind,
                            .data = frame->body,
                            .frame = host_stream_held(&l->s, frame->body)};
    host_step(h, &ev);
    return 0;
}

static int link_arrived(struct host_stream *s, struct bytes data, size_t *used, size_t *want)
{
    struct host_link *l = (struct host_link *)s;
    struct host *h = s->host;
    struct wire_frame_expect expect = {
        .self = h->identity.node,
        .level_max = WIRE_FRAME_LEVEL,
        .body_bytes_max = l->state == LINK_UP ? (uint32_t)h->settings->limits.peer_body_bytes : 64,
    };
    memcpy(expect.cluster, h->identity.cluster, sizeof(expect.cluster));
    *used = 0;
    while (*used < data.size && !s->ended && !s->end_when_sent) {
        struct wire_frame frame;
        int err = wire_frame_parse(&expect, bytes_of(data.data + *used, data.size - *used), &frame);
        if (err == WIRE_MORE) {
            *want = frame.total_bytes;
            return 0;
        }
        if (err == ERR_WRONG_CLUSTER && l->state == LINK_FIRST_AWAITED) {
            err = link_stranger(l, bytes_of(data.data + *used, data.size - *used));
            *used = data.size;
            return err;
        }
        TRY(err);
        TRY(link_frame(l, &frame));
        *used += frame.total_bytes;
        if (l->state == LINK_UP) {
            expect.body_bytes_max = (uint32_t)h->settings->limits.peer_body_bytes;
        }
    }
    if (s->end_when_sent) {
        *used = data.size;
    }
    return 0;
}

/* ---- the end of a link ---------------------------------------------------------------------- */

static void link_later(struct host_peer *peer)
{
    struct host *h = peer->host;
    uint64_t half_us = peer->backoff_us / 2;
    peer->retry_us = host_now_us() + half_us + rng_below(&h->rng, half_us + 1);
    peer->backoff_us = NUM_MIN(peer->backoff_us * 2, (uint64_t)LINK_BACKOFF_MAX_US);
}

static void link_log_end(struct host_link *l, int code, const char *reason)
{
    struct host *h = l->s.host;
    char name[80];
    if (l->state == LINK_UP) {
        log_line(h->log, LOG_INFO, "peer_down", "peer=%u reason=%s code=%s", l->peer->row->id,
                 reason, err_name(code));
    } else if (l->peer == NULL || l->state == LINK_VERDICT_AWAITED) {
        log_line(h->log, LOG_WARN, "peer_closed", "address=%s reason=%s code=%s",
                 host_stream_name(&l->s, name, sizeof(name)), reason, err_name(code));
    } else if (!l->peer->told) {
        l->peer->told = true;
        log_line(h->log, LOG_WARN, "peer_unreachable", "peer=%u host=%s port=%u reason=%s code=%s",
                 l->peer->row->id, l->peer->row->host, (unsigned)l->peer->row->peer_port, reason,
                 err_name(code));
    }
}

static void link_ended(struct host_stream *s, int code, const char *reason)
{
    struct host_link *l = (struct host_link *)s;
    struct host *h = s->host;
    struct host_peer *peer = l->peer;
    h->stats.peers_closed++;
    if (!h->ending) {
        link_log_end(l, code, reason);
    }
    if (peer != NULL && peer->dialled == l) {
        peer->dialled = NULL;
        link_later(peer);
    }
    if (peer != NULL && peer->link == l) {
        peer->link = NULL;
        link_later(peer);
        h->stats.peers_up--;
        struct node_event ev = {.kind = NODE_EV_PEER_DOWN, .peer = peer->row->id};
        host_step(h, &ev);
    }
}

static void link_closed(struct host_stream *s)
{
    struct host_link *l = (struct host_link *)s;
    struct host *h = s->host;
    struct host_link **at = &h->peers.links;
    while (*at != l) {
        at = &(*at)->next;
    }
    *at = l->next;
    h->peers.links_count--;
    alloc_put(&h->heap, l, sizeof(*l));
}

static const struct host_stream_ops link_ops = {
    .arrived = link_arrived, .ended = link_ended, .closed = link_closed};

static struct host_link *link_new(struct host *h, enum link_state state)
{
    struct host_link *l = NULL;
    if (h->peers.links_count < h->settings->limits.peer_connections) {
        l = alloc_get_zeroed(&h->heap, 1, sizeof(*l));
    }
    if (l == NULL) {
        return NULL;
    }
    if (uv_tcp_init(&h->loop, &l->s.tcp) != 0) {
        alloc_put(&h->heap, l, sizeof(*l));
        return NULL;
    }
    size_t body = (size_t)h->settings->limits.peer_body_bytes + WIRE_FRAME_HEADER_BYTES;
    (void)host_stream_init(&l->s, h, &link_ops, NUM_MAX(body, 2u * HOST_READ_BYTES), true);
    l->s.out_bytes_max = h->settings->limits.peer_output_bytes + body;
    l->connect.data = l;
    l->state = state;
    l->opened_us = host_now_us();
    l->next = h->peers.links;
    h->peers.links = l;
    h->peers.links_count++;
    return l;
}

/* ---- congestion control (ADR 0043) ---------------------------------------------------------- */

/* name: NULL leaves the system's. returns: 0 or an errno. */
static int peers_congestion_set(const uv_tcp_t *tcp, const char *name)
{
    uv_os_fd_t fd = -1;
    if (name == NULL) {
        return 0;
    }
    if (uv_fileno((const uv_handle_t *)tcp, &fd) != 0) {
        return EBADF;
    }
    const socklen_t bytes = (socklen_t)strlen(name);
    return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, bytes) == 0 ? 0 : errno;
}

/* What all links are to have. The listener shows whether there is such a one; what is accepted from
 * it may have come to its queue before, and is given it again. */
static int peers_congestion_choose(struct host *h, struct err_info *why)
{
    struct host_peers *all = &h->peers;
    const char *asked = h->settings->peer_congestion;
    const bool automatic = strcmp(asked, "auto") == 0;
    const char *name = automatic ? "cubic" : strcmp(asked, "system") == 0 ? NULL : asked;
    const int err = peers_congestion_set(&all->listener, name);
    if (err != 0 && !automatic) {
        return err_set(why, ERR_BAD_CONFIG,
                       "'peer_congestion' is '%s', which the kernel does not give: %s "
                       "(net.ipv4.tcp_allowed_congestion_control lists what it does)",
                       asked, strerror(err));
    }
    all->congestion = err == 0 ? name : NULL;
    return 0;
}

/* ---- accepting and dialling ----------------------------------------------------------------- */

static void peers_accept(uv_stream_t *server, int status)
{
    struct host *h = server->data;
    struct host_link *l = status == 0 ? link_new(h, LINK_FIRST_AWAITED) : NULL;
    if (l == NULL) {
        log_line(h->log, LOG_WARN, "peer_not_accepted", "status=%d connections=%u", status,
                 h->peers.links_count);
        return;
    }
    if (uv_accept(server, (uv_stream_t *)&l->s.tcp) != 0 || uv_tcp_nodelay(&l->s.tcp, 1) != 0 ||
        peers_congestion_set(&l->s.tcp, h->peers.congestion) != 0 || host_stream_read(&l->s) != 0) {
        host_stream_end(&l->s, ERR_CONNECTION, "accept");
    }
}

static void link_connected(uv_connect_t *connect, int status)
{
    struct host_link *l = connect->data;
    if (l->s.ended) {
        return;
    }
    if (status != 0) {
        host_stream_end(&l->s, ERR_UNREACHABLE, uv_err_name(status));
        return;
    }
    l->state = LINK_HELLO_AWAITED;
    if (uv_tcp_nodelay(&l->s.tcp, 1) != 0 ||
        peers_congestion_set(&l->s.tcp, l->s.host->peers.congestion) != 0 ||
        host_stream_read(&l->s) != 0 || link_send_greeting(l, LINK_HELLO, 0) != 0) {
        host_stream_end(&l->s, ERR_CONNECTION, "greeting");
    }
    l->s.host->dirty = true;
}

static void peer_connect(struct host_peer *peer, const struct sockaddr *address)
{
    struct host_link *l = link_new(peer->host, LINK_CONNECTING);
    if (l == NULL) {
        link_later(peer);
        return;
    }
    l->peer = peer;
    peer->dialled = l;
    int err = uv_tcp_connect(&l->connect, &l->s.tcp, address, link_connected);
    if (err != 0) {
        host_stream_end(&l->s, ERR_UNREACHABLE, uv_err_name(err));
    }
}

static void peer_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct host_peer *peer = lookup->data;
    peer->looking = false;
    if (status == 0 && !peer->host->ending) {
        peer_connect(peer, found->ai_addr);
    } else {
        link_later(peer);
    }
    uv_freeaddrinfo(found);
}

static void peer_dial(struct host_peer *peer)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    char port[8];
    if (uv_ip4_addr(peer->row->host, peer->row->peer_port, &v4) == 0) {
        peer_connect(peer, (const struct sockaddr *)&v4);
        return;
    }
    if (uv_ip6_addr(peer->row->host, peer->row->peer_port, &v6) == 0) {
        peer_connect(peer, (const struct sockaddr *)&v6);
        return;
    }
    struct addrinfo hints;
    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    (void)snprintf(port, sizeof(port), "%u", (unsigned)peer->row->peer_port);
    peer->lookup.data = peer;
    peer->looking = uv_getaddrinfo(&peer->host->loop, &peer->lookup, peer_looked_up,
                                   peer->row->host, port, &hints) == 0;
    if (!peer->looking) {
        link_later(peer);
    }
}

int host_peers_open(struct host *h, const char *host, uint16_t port, struct err_info *why)
{
    struct host_peers *all = &h->peers;
    all->rows = alloc_get_zeroed(&h->heap, h->identity.nodes_count, sizeof(struct host_peer));
    if (all->rows == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for peers");
    }
    for (uint32_t i = 0; i < h->identity.nodes_count; i++) {
        if (h->identity.nodes[i].id != h->identity.node) {
            struct host_peer *peer = &all->rows[all->count++];
            peer->host = h;
            peer->row = &h->identity.nodes[i];
            peer->backoff_us = LINK_BACKOFF_MIN_US;
        }
    }
    TRY(host_listen(h, &all->listener, host, port, peers_accept, "other nodes", why));
    all->listening = true;
    return peers_congestion_choose(h, why);
}

bool host_peer_address(const struct host *h, uint32_t id, struct sockaddr_storage *out)
{
    for (uint32_t i = 0; i < h->peers.count; i++) {
        if (h->peers.rows[i].row->id == id && h->peers.rows[i].addressed) {
            *out = h->peers.rows[i].address;
            return true;
        }
    }
    return false;
}

/* ---- effects and time ----------------------------------------------------------------------- */

void host_peers_send(struct host *h, struct node_fx *fx)
{
    struct host_peer *peer = peer_of(h, fx->peer);
    struct host_link *l = peer == NULL ? NULL : peer->link;
    size_t bytes = fx->head.size + (fx->body == NULL ? 0 : node_blob_bytes(fx->body).size);
    if (l == NULL || bytes > h->settings->limits.peer_body_bytes) {
        h->stats.frames_dropped++;
        if (l != NULL) {
            log_line(h->log, LOG_ERROR, "frame_too_large", "peer=%u kind=%u bytes=%zu", fx->peer,
                     (unsigned)fx->frame_kind, bytes);
        }
        buf_release(&fx->head);
        if (fx->body != NULL) {
            node_blob_release(h->node, fx->body);
        }
        return;
    }
    int err = link_send(l, fx->frame_kind, &fx->head, fx->body);
    if (err != 0) {
        h->stats.frames_dropped++;
        host_stream_end(&l->s, err, "queue_full");
    }
}

static void link_sweep(struct host_link *l, uint64_t now_us)
{
    const struct host_settings *set = l->s.host->settings;
    uint64_t silence_us = set->silence_us * set->time_scale;
    if (l->s.ended) {
        return;
    }
    if (l->state == LINK_CONNECTING && now_us > l->opened_us + LINK_CONNECT_US * set->time_scale) {
        host_stream_end(&l->s, ERR_UNREACHABLE, "no_connection");
        return;
    }
    if (l->state != LINK_UP) {
        if (now_us > l->opened_us + set->greeting_us * set->time_scale) {
            host_stream_end(&l->s, ERR_TIMEOUT, "no_greeting");
        }
        return;
    }
    if (now_us > l->s.last_in_us + silence_us) {
        host_stream_end(&l->s, ERR_TIMEOUT, "silent");
    } else if (now_us > l->s.last_out_us + NUM_MIN(LINK_PING_US, silence_us / 4)) {
        link_ping(l);
    }
}

void host_peers_sweep(struct host *h, uint64_t now_us)
{
    struct host_link *l = h->peers.links;
    while (l != NULL) {
        struct host_link *next = l->next; /* released later, by closed */
        link_sweep(l, now_us);
        l = next;
    }
    for (uint32_t i = 0; i < h->peers.count; i++) {
        struct host_peer *peer = &h->peers.rows[i];
        bool mine = peer->row->id > h->identity.node;
        if (mine && peer->link == NULL && peer->dialled == NULL && !peer->looking &&
            now_us >= peer->retry_us) {
            peer_dial(peer);
        }
    }
}

void host_peers_end(struct host *h)
{
    if (h->peers.listening) {
        h->peers.listening = false;
        uv_close((uv_handle_t *)&h->peers.listener, NULL);
    }
    for (struct host_link *l = h->peers.links; l != NULL; l = l->next) {
        host_stream_end(&l->s, 0, "stopping");
    }
    for (uint32_t i = 0; i < h->peers.count; i++) {
        if (h->peers.rows[i].looking) {
            (void)uv_cancel((uv_req_t *)&h->peers.rows[i].lookup);
        }
    }
}

void host_peers_release(struct host *h)
{
    alloc_put(&h->heap, h->peers.rows, h->identity.nodes_count * sizeof(struct host_peer));
}
