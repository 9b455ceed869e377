/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Encodes and checks frames between nodes. Nothing is kept between calls: the header is 64 bytes,
 * so checking it again when more of a body has arrived costs nothing that counts.
 */
#include "wire/frame.h"

#include "base/crc.h"
#include "base/err.h"
#include "base/num.h"

#include <string.h>

static const uint8_t wire_frame_magic[4] = {'H', 'F', 'P', '1'};

enum {
    WIRE_AT_LEVEL = 4,
    WIRE_AT_KIND = 6,
    WIRE_AT_CLUSTER = 8,
    WIRE_AT_SENDER = 24,
    WIRE_AT_DESTINATION = 28,
    WIRE_AT_INCARNATION = 32,
    WIRE_AT_BOOT = 40,
    WIRE_AT_BODY_BYTES = 48,
    WIRE_AT_BODY_CRC = 52,
    WIRE_AT_ZERO = 56,
    WIRE_AT_HEADER_CRC = 60,
};
_Static_assert(WIRE_AT_SENDER == WIRE_AT_CLUSTER + WIRE_CLUSTER_BYTES, "frame layout");
_Static_assert(WIRE_AT_HEADER_CRC + 4 == WIRE_FRAME_HEADER_BYTES, "frame layout");

void wire_frame_encode_header(const struct wire_frame_header *h,
                              uint8_t into[WIRE_FRAME_HEADER_BYTES])
{
    ASSERT(h->level >= 1);
    memcpy(into, wire_frame_magic, sizeof(wire_frame_magic));
    num_put_u16(into + WIRE_AT_LEVEL, h->level);
    num_put_u16(into + WIRE_AT_KIND, h->kind);
    memcpy(into + WIRE_AT_CLUSTER, h->cluster, WIRE_CLUSTER_BYTES);
    num_put_u32(into + WIRE_AT_SENDER, h->sender);
    num_put_u32(into + WIRE_AT_DESTINATION, h->destination);
    num_put_u64(into + WIRE_AT_INCARNATION, h->incarnation);
    num_put_u64(into + WIRE_AT_BOOT, h->boot);
    num_put_u32(into + WIRE_AT_BODY_BYTES, h->body_bytes);
    num_put_u32(into + WIRE_AT_BODY_CRC, h->body_crc);
    num_put_u32(into + WIRE_AT_ZERO, 0);
    num_put_u32(into + WIRE_AT_HEADER_CRC, crc_of(into, WIRE_AT_HEADER_CRC));
}

int wire_frame_begin(struct buf *out)
{
    static const uint8_t empty[WIRE_FRAME_HEADER_BYTES];
    return buf_append(out, empty, sizeof(empty));
}

int wire_frame_end(struct buf *out, size_t start, struct wire_frame_header *h)
{
    if (out->err != 0) {
        out->size = NUM_MIN(out->size, start);
        return out->err;
    }
    ASSERT(start <= out->size && out->size - start >= WIRE_FRAME_HEADER_BYTES);
    size_t body_bytes = out->size - start - WIRE_FRAME_HEADER_BYTES;
    if (body_bytes > UINT32_MAX) {
        out->size = start;
        return ERR_TOO_LARGE;
    }
    h->body_bytes = (uint32_t)body_bytes;
    h->body_crc = crc_of(out->data + start + WIRE_FRAME_HEADER_BYTES, body_bytes);
    wire_frame_encode_header(h, out->data + start);
    return 0;
}

static void wire_frame_decode_header(const uint8_t *at, struct wire_frame_header *h)
{
    h->level = num_get_u16(at + WIRE_AT_LEVEL);
    h->kind = num_get_u16(at + WIRE_AT_KIND);
    memcpy(h->cluster, at + WIRE_AT_CLUSTER, WIRE_CLUSTER_BYTES);
    h->sender = num_get_u32(at + WIRE_AT_SENDER);
    h->destination = num_get_u32(at + WIRE_AT_DESTINATION);
    h->incarnation = num_get_u64(at + WIRE_AT_INCARNATION);
    h->boot = num_get_u64(at + WIRE_AT_BOOT);
    h->body_bytes = num_get_u32(at + WIRE_AT_BODY_BYTES);
    h->body_crc = num_get_u32(at + WIRE_AT_BODY_CRC);
}

/* at: a whole header. Its fields mean something only in this order: a level says how the rest is
 * laid out, the CRC says that the rest is what was sent. */
static int wire_frame_check_header(const struct wire_frame_expect *expect, const uint8_t *at,
                                   struct wire_frame_header *h)
{
    wire_frame_decode_header(at, h);
    if (h->level < 1 || h->level > expect->level_max) {
        return ERR_LEVEL;
    }
    if (num_get_u32(at + WIRE_AT_HEADER_CRC) != crc_of(at, WIRE_AT_HEADER_CRC)) {
        return ERR_CORRUPT;
    }
    if (memcmp(h->cluster, expect->cluster, WIRE_CLUSTER_BYTES) != 0) {
        return ERR_WRONG_CLUSTER;
    }
    if (h->destination != expect->self || num_get_u32(at + WIRE_AT_ZERO) != 0) {
        return ERR_PROTOCOL;
    }
    return h->body_bytes > expect->body_bytes_max ? ERR_TOO_LARGE : 0;
}

int wire_frame_parse(const struct wire_frame_expect *expect, struct bytes arrived,
                     struct wire_frame *out)
{
    struct wire_frame_header h;
    size_t magic_bytes = NUM_MIN(arrived.size, sizeof(wire_frame_magic));
    if (magic_bytes > 0 && memcmp(arrived.data, wire_frame_magic, magic_bytes) != 0) {
        return ERR_PROTOCOL; /* another protocol is told from its first byte */
    }
    out->total_bytes = WIRE_FRAME_HEADER_BYTES;
    if (arrived.size < WIRE_FRAME_HEADER_BYTES) {
        return WIRE_MORE;
    }
    TRY(wire_frame_check_header(expect, arrived.data, &h));
    out->total_bytes = WIRE_FRAME_HEADER_BYTES + (size_t)h.body_bytes;
    if (arrived.size < out->total_bytes) {
        return WIRE_MORE;
    }
    struct bytes body = bytes_of(arrived.data + WIRE_FRAME_HEADER_BYTES, h.body_bytes);
    if (crc_of(body.data, body.size) != h.body_crc) {
        return ERR_CORRUPT;
    }
    ASSERT(out->total_bytes <= arrived.size);
    out->header = h;
    out->body = body;
    return 0;
}

void wire_frame_stranger(struct bytes arrived, struct wire_frame_header *out)
{
    ASSERT(arrived.size >= WIRE_FRAME_HEADER_BYTES);
    wire_frame_decode_header(arrived.data, out);
}
