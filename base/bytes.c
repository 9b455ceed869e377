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

/* Room for bytes more, which it has not; doubled: rather for twice what it has. */
static int buf_grow(struct buf *b, size_t bytes, bool doubled)
{
    if (b->size > b->limit_bytes || bytes > b->limit_bytes - b->size) {
        return buf_fail(b, ERR_TOO_LARGE);
    }
    size_t need = b->size + bytes;
    size_t cap = doubled ? NUM_MAX(b->cap, 64) : need;
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

int buf_reserve(struct buf *b, size_t bytes)
{
    ASSERT(b->size <= b->cap);
    return bytes <= b->cap - b->size ? 0 : buf_grow(b, bytes, true);
}

int buf_reserve_just(struct buf *b, size_t bytes)
{
    ASSERT(b->size <= b->cap);
    return bytes <= b->cap - b->size ? 0 : buf_grow(b, bytes, false);
}

int buf_put_bytes(struct buf *b, struct bytes v)
{
    if (v.size > UINT32_MAX) {
        return buf_fail(b, ERR_TOO_LARGE);
    }
    TRY(buf_put_u32(b, (uint32_t)v.size));
    return buf_append(b, v.data, v.size);
}

struct bytes bytes_take_bytes(struct bytes_reader *r, size_t limit_bytes)
{
    uint32_t size = bytes_take_u32(r);
    if (size > limit_bytes) {
        r->failed = true;
    }
    return bytes_take(r, size);
}
