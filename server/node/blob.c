/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Blobs: bytes that several share, counted by the loop's thread alone. Jobs read them.
 */
#include "server/node/service_internal.h"

#include <stddef.h>

struct node_blob {
    struct alloc alloc;
    size_t bytes;
    uint64_t refs;
    uint32_t crc;
    bool has_crc;
    _Alignas(16) uint8_t data[]; /* for any type, as the allocator gives it */
};

static void *node_blob_get(void *ctx, size_t bytes)
{
    const struct alloc *under = ctx;
    struct node_blob *b = alloc_get(under, sizeof *b + bytes);
    if (b == NULL) {
        return NULL;
    }
    b->alloc = *under;
    b->bytes = bytes;
    b->refs = 1;
    b->has_crc = false;
    return b->data;
}

struct node_blob *node_blob_of(uint8_t *memory)
{
    return (struct node_blob *)(void *)(memory - offsetof(struct node_blob, data));
}

static void node_blob_put(void *ctx, void *memory, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    node_blob_release(NULL, node_blob_of(memory));
}

struct alloc node_blob_alloc(const struct alloc *under)
{
    return (struct alloc){
        .get = node_blob_get, .put = node_blob_put, .ctx = (void *)(uintptr_t)under};
}

struct node_blob *node_blob_held(struct node_blob *frame, struct bytes part)
{
    const bool has = frame != NULL && part.size > 0 && part.data >= frame->data &&
                     part.data + part.size <= frame->data + frame->bytes;
    if (!has || part.size < frame->bytes / 2) {
        return NULL;
    }
    node_blob_retain(frame);
    return frame;
}

void node_blob_retain(struct node_blob *b)
{
    b->refs++;
}

void node_blob_crc_set(struct node_blob *b, uint32_t crc)
{
    b->crc = crc;
    b->has_crc = true;
}

bool node_blob_crc(const struct node_blob *b, uint32_t *crc)
{
    *crc = b->crc;
    return b->has_crc;
}

uint8_t *node_blob_data(struct node_blob *b)
{
    return b->data;
}

bool node_blob_alone(const struct node_blob *b)
{
    return b->refs == 1;
}

struct bytes node_blob_bytes(const struct node_blob *b)
{
    return bytes_of(b->data, b->bytes);
}

void node_blob_release(struct node *n, struct node_blob *b)
{
    (void)n;
    if (b == NULL) {
        return;
    }
    ASSERT(b->refs > 0);
    b->refs--;
    if (b->refs == 0) {
        struct alloc alloc = b->alloc;
        alloc_put(&alloc, b, sizeof *b + b->bytes);
    }
}
