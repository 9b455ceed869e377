/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Walks the heads of MessagePack values (specification of 2017-08-09) with a small stack of counts.
 * Whatever a head claims is compared with the bytes that a message may still have: each value takes
 * at least one byte, so `open` values owed need `open` bytes.
 */
#include "wire/scan.h"

#include "base/err.h"
#include "base/num.h"

#include <string.h>

/* The head of one value. */
struct wire_head {
    size_t head_bytes; /* tag, length, type of an ext */
    uint64_t payload;  /* bytes that follow the head */
    uint64_t children; /* values that follow the head */
    bool container;
};

/* What a tag from 0xc0 to 0xdf says: bytes of its length field, fixed payload, bytes of the ext
 * type, children for each counted item. */
struct wire_tag {
    uint8_t length_bytes;
    uint8_t payload;
    uint8_t ext;
    uint8_t children;
};

static const struct wire_tag wire_tags[32] = {
    [0x00] = {0, 0, 0, 0},  /* c0 nil */
    [0x02] = {0, 0, 0, 0},  /* c2 false */
    [0x03] = {0, 0, 0, 0},  /* c3 true */
    [0x04] = {1, 0, 0, 0},  /* c4 bin8 */
    [0x05] = {2, 0, 0, 0},  /* c5 bin16 */
    [0x06] = {4, 0, 0, 0},  /* c6 bin32 */
    [0x07] = {1, 0, 1, 0},  /* c7 ext8 */
    [0x08] = {2, 0, 1, 0},  /* c8 ext16 */
    [0x09] = {4, 0, 1, 0},  /* c9 ext32 */
    [0x0a] = {0, 4, 0, 0},  /* ca float32 */
    [0x0b] = {0, 8, 0, 0},  /* cb float64 */
    [0x0c] = {0, 1, 0, 0},  /* cc uint8 */
    [0x0d] = {0, 2, 0, 0},  /* cd uint16 */
    [0x0e] = {0, 4, 0, 0},  /* ce uint32 */
    [0x0f] = {0, 8, 0, 0},  /* cf uint64 */
    [0x10] = {0, 1, 0, 0},  /* d0 int8 */
    [0x11] = {0, 2, 0, 0},  /* d1 int16 */
    [0x12] = {0, 4, 0, 0},  /* d2 int32 */
    [0x13] = {0, 8, 0, 0},  /* d3 int64 */
    [0x14] = {0, 1, 1, 0},  /* d4 fixext1 */
    [0x15] = {0, 2, 1, 0},  /* d5 fixext2 */
    [0x16] = {0, 4, 1, 0},  /* d6 fixext4 */
    [0x17] = {0, 8, 1, 0},  /* d7 fixext8 */
    [0x18] = {0, 16, 1, 0}, /* d8 fixext16 */
    [0x19] = {1, 0, 0, 0},  /* d9 str8 */
    [0x1a] = {2, 0, 0, 0},  /* da str16 */
    [0x1b] = {4, 0, 0, 0},  /* db str32 */
    [0x1c] = {2, 0, 0, 1},  /* dc array16 */
    [0x1d] = {4, 0, 0, 1},  /* dd array32 */
    [0x1e] = {2, 0, 0, 2},  /* de map16 */
    [0x1f] = {4, 0, 0, 2},  /* df map32 */
};

static uint64_t wire_scan_length(const uint8_t *at, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) {
        v = (v << 8) | at[i];
    }
    return v;
}

/* left: > 0 bytes at `at`. returns: 0, WIRE_MORE if the head is cut, ERR_PROTOCOL. */
static int wire_scan_head(const uint8_t *at, size_t left, struct wire_head *h)
{
    uint8_t tag = at[0];
    *h = (struct wire_head){.head_bytes = 1};
    if (tag <= 0x7f || tag >= 0xe0) { /* small integers */
        return 0;
    }
    if (tag <= 0x9f) { /* fixmap, fixarray */
        h->container = true;
        h->children = (uint64_t)(tag & 0x0f) * (tag <= 0x8f ? 2 : 1);
        return 0;
    }
    if (tag <= 0xbf) { /* fixstr */
        h->payload = tag & 0x1f;
        return 0;
    }
    if (tag == 0xc1) {
        return ERR_PROTOCOL;
    }
    const struct wire_tag *row = &wire_tags[tag - 0xc0];
    h->head_bytes = 1u + row->length_bytes + row->ext;
    if (left < h->head_bytes) {
        return WIRE_MORE;
    }
    uint64_t length = wire_scan_length(at + 1, row->length_bytes);
    h->container = row->children > 0;
    h->children = length * row->children;
    h->payload = h->container ? 0 : length + row->payload;
    return 0;
}

void wire_scan_init(struct wire_scan *s, const struct wire_scan_limits *limits)
{
    ASSERT(limits->depth_max <= WIRE_DEPTH_MAX);
    ASSERT(limits->bytes_max > 0);
    s->limits = *limits;
    s->at = 0;
    s->open = 1;
    s->items = 0;
    s->depth = 0;
    s->ended = false;
}

/* Books one value: what it claims must fit into the bytes that may still come. */
static int wire_scan_value(struct wire_scan *s, const struct wire_head *h)
{
    size_t left = s->limits.bytes_max - s->at;
    s->open--;
    if (s->items == s->limits.items_max || h->head_bytes > left) {
        return ERR_TOO_LARGE;
    }
    left -= h->head_bytes;
    if (h->payload > left || h->children + s->open > left - h->payload) {
        return ERR_TOO_LARGE;
    }
    if (h->container && s->depth == s->limits.depth_max) {
        return ERR_TOO_LARGE;
    }
    s->items++;
    if (h->children > s->limits.items_max - s->items) {
        return ERR_TOO_LARGE;
    }
    s->at += h->head_bytes + (size_t)h->payload;
    s->open += h->children;
    if (h->container) {
        s->left[s->depth++] = h->children;
    }
    return 0;
}

/* Closes the containers that owe nothing more, and counts them in those around them. */
static void wire_scan_close(struct wire_scan *s)
{
    while (s->depth > 0 && s->left[s->depth - 1] == 0) {
        s->depth--;
        if (s->depth > 0) {
            ASSERT(s->left[s->depth - 1] > 0);
            s->left[s->depth - 1]--;
        }
    }
}

int wire_scan_more(struct wire_scan *s, struct bytes arrived)
{
    while (!s->ended) {
        struct wire_head h;
        if (s->at >= arrived.size) {
            return s->at >= s->limits.bytes_max ? ERR_TOO_LARGE : WIRE_MORE;
        }
        int err = wire_scan_head(arrived.data + s->at, arrived.size - s->at, &h);
        if (err != 0) {
            bool full = err == WIRE_MORE && h.head_bytes > s->limits.bytes_max - s->at;
            return full ? ERR_TOO_LARGE : err;
        }
        TRY(wire_scan_value(s, &h));
        if (!h.container && s->depth > 0) {
            ASSERT(s->left[s->depth - 1] > 0);
            s->left[s->depth - 1]--;
        }
        wire_scan_close(s);
        s->ended = s->open == 0;
        ASSERT(s->ended == (s->depth == 0));
    }
    return s->at <= arrived.size ? 0 : WIRE_MORE;
}

int wire_scan(struct bytes arrived, const struct wire_scan_limits *limits, size_t *message_bytes)
{
    struct wire_scan s;
    wire_scan_init(&s, limits);
    int err = wire_scan_more(&s, arrived);
    if (err == 0) {
        *message_bytes = s.at;
    }
    return err;
}
