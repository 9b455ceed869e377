/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One TCP connection. Reading: all connections share one buffer; only a message that is not whole
 * is kept. Writing: what was queued in a loop turn goes out in one gathered write, tried at once.
 */
#include "server/host/host_internal.h"

#include "base/num.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define STREAM_KNOWN_BYTES ((size_t)2 << 20)
#define STREAM_ITEM_COST (sizeof(struct host_item) + 128u) /* with what the heap adds */

int host_stream_init(struct host_stream *s, struct host *h, const struct host_stream_ops *ops,
                     size_t in_bytes_max, bool in_blobs)
{
    const struct alloc blobs = node_blob_alloc(&h->heap);
    s->host = h;
    s->ops = ops;
    s->tcp.data = s;
    s->write.data = s;
    s->last_in_us = host_now_us();
    s->last_out_us = s->last_in_us;
    s->in_blobs = in_blobs;
    buf_init(&s->in, in_blobs ? &blobs : &h->heap, in_bytes_max);
    return uv_tcp_nodelay(&s->tcp, 1) == 0 ? 0 : ERR_CONNECTION;
}

static void stream_item_free(struct host *h, struct host_item *item)
{
    buf_release(&item->head);
    if (item->body != NULL) {
        node_blob_release(h->node, item->body);
    }
    alloc_put(&h->heap, item, sizeof(*item));
}

static void stream_closed(uv_handle_t *handle)
{
    struct host_stream *s = handle->data;
    struct host *h = s->host;
    while (s->first != NULL) {
        struct host_item *item = s->first;
        s->first = item->next;
        stream_item_free(h, item);
    }
    h->input_bytes -= s->in.cap;
    buf_release(&s->in);
    s->ops->closed(s);
}

static void stream_forget_dirty(struct host_stream *s)
{
    struct host_stream **at = &s->host->dirty_first;
    while (s->dirty && *at != NULL) {
        if (*at == s) {
            *at = s->dirty_next;
            s->dirty = false;
        } else {
            at = &(*at)->dirty_next;
        }
    }
}

void host_stream_end(struct host_stream *s, int code, const char *reason)
{
    if (s->ended) {
        return;
    }
    s->ended = true;
    stream_forget_dirty(s);
    s->ops->ended(s, code, reason);
    uv_close((uv_handle_t *)&s->tcp, stream_closed);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Room for more of the half-received message, growing with what has really come: a claimed length
 * costs nothing. What is kept is copied each time, so a node of this cluster gets room for a cell
 * at once, if there is as much. */
static int stream_grow(struct host_stream *s)
{
    struct host *h = s->host;
    size_t cap = s->in.cap;
    size_t more = s->want > s->in.size ? s->want - s->in.size : HOST_READ_BYTES;
    if (cap - s->in.size >= NUM_MIN(more, (size_t)HOST_READ_BYTES / 4)) {
        return 0;
    }
    const bool room = h->input_bytes + STREAM_KNOWN_BYTES <= h->settings->input_bytes;
    const size_t least = s->known && room ? STREAM_KNOWN_BYTES : HOST_READ_BYTES;
    more = NUM_MIN(more, NUM_MAX(least, s->in.size));
    more = NUM_MIN(more, s->in.limit_bytes - s->in.size);
    if (more == 0) {
        return ERR_TOO_LARGE;
    }
    if (h->input_bytes + more > h->settings->input_bytes) {
        return ERR_BUSY;
    }
    int err = buf_reserve_just(&s->in, more);
    h->input_bytes += s->in.cap - cap;
    return err;
}

/* No more than what the half-received message wants: its memory is handed over whole, and nothing
 * of the next one has to be moved. */
static void stream_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct host_stream *s = handle->data;
    (void)hint;
    if (s->in.size == 0) {
        *buf = uv_buf_init((char *)s->host->read_buffer, HOST_READ_BYTES);
        return;
    }
    if (stream_grow(s) != 0) {
        *buf = uv_buf_init(NULL, 0);
        return;
    }
    const size_t wants = s->want > s->in.size ? s->want - s->in.size : SIZE_MAX;
    const size_t room = NUM_MIN(s->in.cap - s->in.size, wants);
    *buf = uv_buf_init((char *)s->in.data + s->in.size, (unsigned)room);
}

struct node_blob *host_stream_held(const struct host_stream *s, struct bytes part)
{
    const bool has = s->in_blobs && s->in.size > 0 && part.size > 0 && part.data >= s->in.data &&
                     part.data < s->in.data + s->in.size;
    return has ? node_blob_of(s->in.data) : NULL;
}

/* To the beginning; of other memory, if the node has retained a message that is before it. */
static int stream_move(struct host_stream *s, size_t used, size_t rest)
{
    struct buf old = s->in;
    if (!s->in_blobs || node_blob_alone(node_blob_of(s->in.data))) {
        memmove(s->in.data, s->in.data + used, rest);
        s->in.size = rest;
        return 0;
    }
    buf_init(&s->in, &old.alloc, old.limit_bytes);
    const int err = buf_append(&s->in, old.data + used, rest);
    s->host->input_bytes += s->in.cap;
    s->host->input_bytes -= old.cap;
    buf_release(&old);
    return err;
}

/* Keeps the rest of data, from used on, as the half-received message. */
static int stream_keep(struct host_stream *s, struct bytes data, size_t used)
{
    size_t rest = data.size - used;
    if (data.data == s->in.data && used > 0 && rest > 0) {
        TRY(stream_move(s, used, rest));
    } else if (data.data == s->in.data) {
        s->in.size = rest;
    } else if (rest > 0) {
        size_t cap = s->in.cap;
        ASSERT(s->in.size == 0);
        if (cap < rest && s->host->input_bytes + rest > s->host->settings->input_bytes) {
            return ERR_BUSY;
        }
        int err = buf_append(&s->in, data.data + used, rest);
        s->host->input_bytes += s->in.cap - cap;
        TRY(err);
    }
    if (s->in.size == 0 && s->in.cap > 0) {
        s->host->input_bytes -= s->in.cap;
        buf_release(&s->in);
    }
    if (rest == 0) {
        s->half_since_us = 0;
    } else if (used > 0 || s->half_since_us == 0) {
        s->half_since_us = s->last_in_us;
    }
    return 0;
}

static void stream_got(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct host_stream *s = stream->data;
    if (got == 0 || s->ended) {
        return;
    }
    if (got < 0) {
        const char *reason = got == UV_EOF ? "eof" : uv_err_name((int)got);
        bool full = got == UV_ENOBUFS;
        host_stream_end(s, full ? ERR_BUSY : ERR_CONNECTION, full ? "input_memory" : reason);
        return;
    }
    struct bytes data = bytes_of(buf->base, (size_t)got);
    if (s->in.size > 0) {
        s->in.size += (size_t)got;
        data = buf_view(&s->in);
    }
    size_t used = 0;
    s->last_in_us = host_now_us();
    s->want = 0;
    int err = s->ops->arrived(s, data, &used, &s->want);
    if (err == 0 && !s->ended) {
        err = stream_keep(s, data, used);
        if (err != 0) {
            host_stream_end(s, err, "input_memory");
        }
    } else if (err != 0) {
        host_stream_end(s, err, "bad_bytes");
    }
}

int host_stream_read(struct host_stream *s)
{
    return uv_read_start((uv_stream_t *)&s->tcp, stream_alloc, stream_got) == 0 ? 0
                                                                                : ERR_CONNECTION;
}

/* ---- writing -------------------------------------------------------------------------------- */

static size_t stream_item_bytes(const struct host_item *item)
{
    size_t body = item->body == NULL ? 0 : node_blob_bytes(item->body).size;
    return item->prefix_bytes + item->head.size + body;
}

int host_stream_send(struct host_stream *s, const uint8_t *prefix, size_t prefix_bytes,
                     struct buf *head, struct node_blob *body)
{
    struct host *h = s->host;
    struct host_item *item = alloc_get(&h->heap, sizeof(*item));
    ASSERT(prefix_bytes <= HOST_PREFIX_BYTES);
    if (item == NULL) {
        buf_release(head);
        if (body != NULL) {
            node_blob_release(h->node, body);
        }
        return ERR_NO_MEMORY;
    }
    item->next = NULL;
    item->head = *head;
    item->body = body;
    item->prefix_bytes = (uint32_t)prefix_bytes;
    if (prefix_bytes > 0) {
        memcpy(item->prefix, prefix, prefix_bytes);
    }
    *head = (struct buf){.data = NULL};
    size_t bytes = stream_item_bytes(item);
    /* small items cost more than their bytes; the first may have the whole bound */
    uint64_t kept = s->out_bytes + (uint64_t)s->out_items * STREAM_ITEM_COST;
    if (s->ended || kept + bytes > s->out_bytes_max) {
        stream_item_free(h, item);
        return s->ended ? ERR_CONNECTION : ERR_BUSY;
    }
    if (s->first == NULL) {
        s->first = item;
        s->last_out_us = host_now_us();
    } else {
        s->last->next = item;
    }
    s->last = item;
    s->out_bytes += bytes;
    s->out_items++;
    if (!s->dirty) {
        s->dirty = true;
        s->dirty_next = h->dirty_first;
        h->dirty_first = s;
    }
    return 0;
}

static void stream_add(uv_buf_t *bufs, unsigned *count, size_t *skip, const void *data,
                       size_t bytes)
{
    if (*skip >= bytes) {
        *skip -= bytes;
        return;
    }
    bufs[*count].base = (char *)(uintptr_t)data + *skip;
    bufs[*count].len = bytes - *skip;
    *skip = 0;
    (*count)++;
}

/* Gathers unsent bytes. returns: how many buffers. */
static unsigned stream_gather(const struct host_stream *s, uv_buf_t *bufs, size_t *bytes)
{
    unsigned count = 0;
    size_t skip = s->sent_bytes;
    *bytes = 0;
    for (struct host_item *i = s->first; i != NULL && count + 3 <= HOST_IOV_MAX; i = i->next) {
        stream_add(bufs, &count, &skip, i->prefix, i->prefix_bytes);
        stream_add(bufs, &count, &skip, i->head.data, i->head.size);
        if (i->body != NULL) {
            struct bytes body = node_blob_bytes(i->body);
            stream_add(bufs, &count, &skip, body.data, body.size);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        *bytes += bufs[i].len;
    }
    return count;
}

static void stream_sent(struct host_stream *s, size_t bytes)
{
    ASSERT(bytes <= s->out_bytes);
    s->out_bytes -= bytes;
    s->sent_bytes += bytes;
    while (s->first != NULL && s->sent_bytes >= stream_item_bytes(s->first)) {
        struct host_item *item = s->first;
        s->sent_bytes -= stream_item_bytes(item);
        s->first = item->next;
        s->out_items--;
        stream_item_free(s->host, item);
    }
    if (s->first == NULL) {
        s->last = NULL;
        ASSERT(s->sent_bytes == 0 && s->out_bytes == 0);
    }
}

static void stream_written(uv_write_t *write, int status)
{
    struct host_stream *s = write->data;
    s->writing = false;
    if (s->ended) {
        return;
    }
    if (status != 0) {
        host_stream_end(s, ERR_CONNECTION, uv_err_name(status));
        return;
    }
    s->last_out_us = host_now_us();
    stream_sent(s, s->writing_bytes);
    host_stream_flush(s);
}

void host_stream_flush(struct host_stream *s)
{
    uv_buf_t bufs[HOST_IOV_MAX];
    while (!s->writing && !s->ended && s->first != NULL) {
        size_t bytes = 0;
        unsigned count = stream_gather(s, bufs, &bytes);
        int wrote = uv_try_write((uv_stream_t *)&s->tcp, bufs, count);
        if (wrote < 0 && wrote != UV_EAGAIN) {
            host_stream_end(s, ERR_CONNECTION, uv_err_name(wrote));
            return;
        }
        if (wrote > 0) {
            s->last_out_us = host_now_us();
            stream_sent(s, (size_t)wrote);
        }
        if (wrote >= 0 && (size_t)wrote == bytes) {
            continue;
        }
        count = stream_gather(s, bufs, &bytes);
        s->writing = true;
        s->writing_bytes = bytes;
        int err = uv_write(&s->write, (uv_stream_t *)&s->tcp, bufs, count, stream_written);
        if (err != 0) {
            s->writing = false;
            host_stream_end(s, ERR_CONNECTION, uv_err_name(err));
        }
        return;
    }
    if (!s->ended && s->first == NULL && s->end_when_sent) {
        host_stream_end(s, s->end_code, "asked");
    }
}

void host_streams_flush(struct host *h)
{
    while (h->dirty_first != NULL) {
        struct host_stream *s = h->dirty_first;
        h->dirty_first = s->dirty_next;
        s->dirty = false;
        host_stream_flush(s);
    }
}

const char *host_stream_name(const struct host_stream *s, char *into, size_t bytes)
{
    struct sockaddr_storage address;
    char ip[64] = "?";
    int length = (int)sizeof(address);
    uint16_t port = 0;
    memset(&address, 0, sizeof(address));
    if (uv_tcp_getpeername(&s->tcp, (struct sockaddr *)&address, &length) == 0) {
        if (address.ss_family == AF_INET6) {
            const struct sockaddr_in6 *v6 = (const void *)&address;
            (void)uv_ip6_name(v6, ip, sizeof(ip));
            port = ntohs(v6->sin6_port);
        } else {
            const struct sockaddr_in *v4 = (const void *)&address;
            (void)uv_ip4_name(v4, ip, sizeof(ip));
            port = ntohs(v4->sin_port);
        }
    }
    (void)snprintf(into, bytes, "%s:%u", ip, port);
    return into;
}
