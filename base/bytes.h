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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
bool bytes_equal(struct bytes a, struct bytes b);
/* returns: below, at or above 0 as a sorts before, with or after b; a prefix sorts first. */
int bytes_compare(struct bytes a, struct bytes b);
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
/* Appends; a failure is kept in b->err and returned. */
int buf_append(struct buf *b, const void *data, size_t bytes);
int buf_put_u8(struct buf *b, uint8_t v);
int buf_put_u16(struct buf *b, uint16_t v);
int buf_put_u32(struct buf *b, uint32_t v);
int buf_put_u64(struct buf *b, uint64_t v);
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
uint8_t bytes_take_u8(struct bytes_reader *r);
uint16_t bytes_take_u16(struct bytes_reader *r);
uint32_t bytes_take_u32(struct bytes_reader *r);
uint64_t bytes_take_u64(struct bytes_reader *r);
/* returns: a view into the reader's bytes; empty on failure. */
struct bytes bytes_take(struct bytes_reader *r, size_t bytes);
/* A u32 length, then the bytes; fails if the length passes limit_bytes. */
struct bytes bytes_take_bytes(struct bytes_reader *r, size_t limit_bytes);
/* returns: whether every field fitted and nothing is left. */
static inline bool bytes_reader_ended(const struct bytes_reader *r)
{
    return !r->failed && r->left == 0;
}

#endif
