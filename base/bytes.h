/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes: struct bytes views memory that another owns; struct buf owns memory that grows up to a
 * limit; struct bytes_reader takes fields from a view and remembers the first failure, so that a
 * decoder checks once at its end; buf_put_* appends the same fields. Integers are little-endian.
 *
 * threads: values; one owner at a time.
 */
#ifndef HOLDFAST_BASE_BYTES_H
#define HOLDFAST_BASE_BYTES_H

#include "base/alloc.h"
#include "base/num.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    size_t size;
};

/* A view of a string literal or other NUL-terminated text, without its NUL. */
struct bytes bytes_of_text(const char *text);
static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){.data = data, .size = size};
}
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
/* returns: below, at or above 0 as a sorts before, with or after b; a prefix sorts first. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shared = a.size < b.size ? a.size : b.size;
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}
bool bytes_has_prefix(struct bytes a, struct bytes prefix);

/* Owned bytes. limit_bytes is fixed at _init: growth beyond it is refused. */
struct buf {
    uint8_t *data;
    size_t size;
    size_t cap;
    size_t limit_bytes;
    struct alloc alloc;
    int err; /* first failure of an append: ERR_NO_MEMORY or ERR_TOO_LARGE; sticky */
};

void buf_init(struct buf *b, const struct alloc *alloc, size_t limit_bytes);
void buf_release(struct buf *b);
/* Forgets content and error, keeps memory. */
void buf_clear(struct buf *b);
/* returns: 0, ERR_TOO_LARGE or ERR_NO_MEMORY; room for bytes more after size. */
int buf_reserve(struct buf *b, size_t bytes);
/* The same, and no more room than that: for what is known to grow no further. */
int buf_reserve_just(struct buf *b, size_t bytes);
/* returns: the place of bytes more, which the caller fills; NULL: b->err says why not, or it is
 * that of nothing in a buffer that has no memory yet. */
static inline uint8_t *buf_extend(struct buf *b, size_t bytes)
{
    if (b->err != 0 || (bytes > b->cap - b->size && buf_reserve(b, bytes) != 0)) {
        return NULL;
    }
    uint8_t *at = b->data != NULL ? b->data + b->size : NULL;
    b->size += bytes;
    return at;
}
/* Appends; a failure is kept in b->err and returned. */
static inline int buf_append(struct buf *b, const void *data, size_t bytes)
{
    uint8_t *at = buf_extend(b, bytes);
    if (bytes > 0 && at != NULL) {
        memcpy(at, data, bytes);
    }
    return b->err;
}
static inline int buf_put_u8(struct buf *b, uint8_t v)
{
    uint8_t *at = buf_extend(b, 1);
    if (at != NULL) {
        *at = v;
    }
    return b->err;
}
static inline int buf_put_u16(struct buf *b, uint16_t v)
{
    uint8_t *at = buf_extend(b, sizeof v);
    if (at != NULL) {
        num_put_u16(at, v);
    }
    return b->err;
}
static inline int buf_put_u32(struct buf *b, uint32_t v)
{
    uint8_t *at = buf_extend(b, sizeof v);
    if (at != NULL) {
        num_put_u32(at, v);
    }
    return b->err;
}
static inline int buf_put_u64(struct buf *b, uint64_t v)
{
    uint8_t *at = buf_extend(b, sizeof v);
    if (at != NULL) {
        num_put_u64(at, v);
    }
    return b->err;
}
/* A u32 length, then the bytes. */
int buf_put_bytes(struct buf *b, struct bytes v);
static inline struct bytes buf_view(const struct buf *b)
{
    return (struct bytes){.data = b->data, .size = b->size};
}

struct bytes_reader {
    const uint8_t *at;
    size_t left;
    bool failed; /* a field did not fit; every later field reads as 0 or empty */
};

static inline struct bytes_reader bytes_reader_of(struct bytes v)
{
    return (struct bytes_reader){.at = v.data, .left = v.size, .failed = false};
}
/* returns: a view into the reader's bytes; empty on failure. */
static inline struct bytes bytes_take(struct bytes_reader *r, size_t bytes)
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
static inline uint8_t bytes_take_u8(struct bytes_reader *r)
{
    struct bytes raw = bytes_take(r, 1);
    return r->failed ? 0 : raw.data[0];
}
static inline uint16_t bytes_take_u16(struct bytes_reader *r)
{
    struct bytes raw = bytes_take(r, 2);
    return r->failed ? 0 : num_get_u16(raw.data);
}
static inline uint32_t bytes_take_u32(struct bytes_reader *r)
{
    struct bytes raw = bytes_take(r, 4);
    return r->failed ? 0 : num_get_u32(raw.data);
}
static inline uint64_t bytes_take_u64(struct bytes_reader *r)
{
    struct bytes raw = bytes_take(r, 8);
    return r->failed ? 0 : num_get_u64(raw.data);
}
/* A u32 length, then the bytes; fails if the length passes limit_bytes. */
struct bytes bytes_take_bytes(struct bytes_reader *r, size_t limit_bytes);
/* returns: whether every field fitted and nothing is left. */
static inline bool bytes_reader_ended(const struct bytes_reader *r)
{
    return !r->failed && r->left == 0;
}

#endif
