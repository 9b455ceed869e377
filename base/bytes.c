/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Views, owned buffers and the reader of fixed-width fields.
 */
#include "base/bytes.h"

#include "base/err.h"
#include "base/num.h"

#include <string.h>

struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){.data = (const uint8_t *)text, .size = strlen(text)};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shared = NUM_MIN(a.size, b.size);
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);
    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

bool bytes_has_prefix(struct bytes a, struct bytes prefix)
{
    return a.size >= prefix.size &&
           (prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0);
}

void buf_init(struct buf *b, const struct alloc *alloc, size_t limit_bytes)
{
    *b = (struct buf){.alloc = *alloc, .limit_bytes = limit_bytes};
}

void buf_release(struct buf *b)
{
    alloc_put(&b->alloc, b->data, b->cap);
    b->data = NULL;
    b->size = 0;
    b->cap = 0;
}

void buf_clear(struct buf *b)
{
    b->size = 0;
    b->err = 0;
}

static int buf_fail(struct buf *b, int code)
{
    if (b->err == 0) {
        b->err = code;
    }
    return code;
}

int buf_reserve(struct buf *b, size_t bytes)
{
    ASSERT(b->size <= b->cap);
    if (bytes <= b->cap - b->size) {
        return 0;
    }
    if (b->size > b->limit_bytes || bytes > b->limit_bytes - b->size) {
        return buf_fail(b, ERR_TOO_LARGE);
    }
    size_t need = b->size + bytes;
    size_t cap = NUM_MAX(b->cap, 64);
    while (cap < need) {
        cap = cap > b->limit_bytes / 2 ? b->limit_bytes : cap * 2;
    }
    uint8_t *grown = alloc_get(&b->alloc, cap);
    if (grown == NULL) {
        return buf_fail(b, ERR_NO_MEMORY);
    }
    if (b->size > 0) {
        memcpy(grown, b->data, b->size);
    }
    alloc_put(&b->alloc, b->data, b->cap);
    b->data = grown;
    b->cap = cap;
    return 0;
}

int buf_append(struct buf *b, const void *data, size_t bytes)
{
    if (b->err != 0) {
        return b->err;
    }
    TRY(buf_reserve(b, bytes));
    if (bytes > 0) {
        memcpy(b->data + b->size, data, bytes);
    }
    b->size += bytes;
    ASSERT(b->size <= b->cap);
    return 0;
}

int buf_put_u8(struct buf *b, uint8_t v)
{
    return buf_append(b, &v, 1);
}

int buf_put_u16(struct buf *b, uint16_t v)
{
    uint8_t raw[2];
    num_put_u16(raw, v);
    return buf_append(b, raw, sizeof(raw));
}

int buf_put_u32(struct buf *b, uint32_t v)
{
    uint8_t raw[4];
    num_put_u32(raw, v);
    return buf_append(b, raw, sizeof(raw));
}

int buf_put_u64(struct buf *b, uint64_t v)
{
    uint8_t raw[8];
    num_put_u64(raw, v);
    return buf_append(b, raw, sizeof(raw));
}

int buf_put_bytes(struct buf *b, struct bytes v)
{
    if (v.size > UINT32_MAX) {
        return buf_fail(b, ERR_TOO_LARGE);
    }
    TRY(buf_put_u32(b, (uint32_t)v.size));
    return buf_append(b, v.data, v.size);
}

struct bytes bytes_take(struct bytes_reader *r, size_t bytes)
{
    if (r->failed || bytes > r->left) {
        r->failed = true;
        return (struct bytes){0};
    }
    struct bytes taken = {.data = r->at, .size = bytes};
    r->at += bytes;
    r->left -= bytes;
    return taken;
}

uint8_t bytes_take_u8(struct bytes_reader *r)
{
    struct bytes raw = bytes_take(r, 1);
    return r->failed ? 0 : raw.data[0];
}

uint16_t bytes_take_u16(struct bytes_reader *r)
{
    struct bytes raw = bytes_take(r, 2);
    return r->failed ? 0 : num_get_u16(raw.data);
}

uint32_t bytes_take_u32(struct bytes_reader *r)
{
    struct bytes raw = bytes_take(r, 4);
    return r->failed ? 0 : num_get_u32(raw.data);
}

uint64_t bytes_take_u64(struct bytes_reader *r)
{
    struct bytes raw = bytes_take(r, 8);
    return r->failed ? 0 : num_get_u64(raw.data);
}

struct bytes bytes_take_bytes(struct bytes_reader *r, size_t limit_bytes)
{
    uint32_t size = bytes_take_u32(r);
    if (size > limit_bytes) {
        r->failed = true;
    }
    return bytes_take(r, size);
}
