/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Decodes through msgpack-c, behind the pre-scan, and reads its objects. msgpack-c trusts counts
 * (4.0.0 reserves 24 bytes an item as soon as it reads an array's head), so nothing reaches it that
 * wire_scan has not walked to its last byte.
 */
#include "wire/value.h"

#include "base/err.h"

#include <msgpack.h>
#include <string.h>

/* Holds the objects of some thousand values; the zone keeps its first chunk between messages. */
#define WIRE_ZONE_BYTES 65536

struct wire_decoder {
    struct alloc alloc;
    struct wire_scan_limits limits;
    msgpack_zone zone;
    msgpack_object root;
};

int wire_decoder_new(const struct alloc *alloc, const struct wire_scan_limits *limits,
                     struct wire_decoder **out)
{
    ASSERT(limits->depth_max <= WIRE_DEPTH_MAX);
    ASSERT(limits->bytes_max > 0);
    struct wire_decoder *d = alloc_get_zeroed(alloc, 1, sizeof(*d));
    if (d == NULL) {
        return ERR_NO_MEMORY;
    }
    d->alloc = *alloc;
    d->limits = *limits;
    if (!msgpack_zone_init(&d->zone, WIRE_ZONE_BYTES)) {
        alloc_put(alloc, d, sizeof(*d));
        return ERR_NO_MEMORY;
    }
    *out = d;
    return 0;
}

void wire_decoder_free(struct wire_decoder *d)
{
    if (d != NULL) {
        struct alloc alloc = d->alloc;
        msgpack_zone_destroy(&d->zone);
        alloc_put(&alloc, d, sizeof(*d));
    }
}

int wire_decode(struct wire_decoder *d, struct bytes message, struct wire_node *root)
{
    size_t bytes = 0;
    size_t offset = 0;
    struct wire_scan_limits limits = d->limits;
    if (message.size == 0) {
        return ERR_PROTOCOL;
    }
    if (message.size > limits.bytes_max) {
        return ERR_TOO_LARGE;
    }
    limits.bytes_max = message.size; /* the whole message is here: nothing more may be claimed */
    int err = wire_scan(message, &limits, &bytes);
    if (err != 0) {
        return err == WIRE_MORE ? ERR_PROTOCOL : err;
    }
    if (bytes != message.size) {
        return ERR_PROTOCOL;
    }
    msgpack_zone_clear(&d->zone);
    switch (msgpack_unpack((const char *)message.data, message.size, &offset, &d->zone, &d->root)) {
    case MSGPACK_UNPACK_SUCCESS:
        ASSERT(offset == message.size);
        root->object = &d->root;
        return 0;
    case MSGPACK_UNPACK_NOMEM_ERROR: return ERR_NO_MEMORY;
    default: return ERR_PROTOCOL;
    }
}

static const msgpack_object *wire_object(struct wire_node n)
{
    static const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL};
    return n.object != NULL ? n.object : &nil;
}

enum wire_kind wire_node_kind(struct wire_node n)
{
    switch (wire_object(n)->type) {
    case MSGPACK_OBJECT_NIL: return WIRE_NIL;
    case MSGPACK_OBJECT_BOOLEAN: return WIRE_BOOL;
    case MSGPACK_OBJECT_POSITIVE_INTEGER: return WIRE_UINT;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return WIRE_INT;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: return WIRE_DOUBLE;
    case MSGPACK_OBJECT_STR: return WIRE_STR;
    case MSGPACK_OBJECT_ARRAY: return WIRE_ARRAY;
    case MSGPACK_OBJECT_MAP: return WIRE_MAP;
    case MSGPACK_OBJECT_BIN: return WIRE_BIN;
    default: return WIRE_EXT;
    }
}

int wire_node_bool(struct wire_node n, bool *out)
{
    if (wire_node_kind(n) != WIRE_BOOL) {
        return ERR_INVALID;
    }
    *out = wire_object(n)->via.boolean;
    return 0;
}

int wire_node_u64(struct wire_node n, uint64_t *out)
{
    if (wire_node_kind(n) != WIRE_UINT) {
        return ERR_INVALID;
    }
    *out = wire_object(n)->via.u64;
    return 0;
}

int wire_node_u32(struct wire_node n, uint32_t *out)
{
    uint64_t v;
    TRY(wire_node_u64(n, &v));
    if (v > UINT32_MAX) {
        return ERR_INVALID;
    }
    *out = (uint32_t)v;
    return 0;
}

int wire_node_i64(struct wire_node n, int64_t *out)
{
    const msgpack_object *object = wire_object(n);
    if (wire_node_kind(n) == WIRE_INT) {
        *out = object->via.i64;
        return 0;
    }
    if (wire_node_kind(n) != WIRE_UINT || object->via.u64 > INT64_MAX) {
        return ERR_INVALID;
    }
    *out = (int64_t)object->via.u64;
    return 0;
}

int wire_node_double(struct wire_node n, double *out)
{
    if (wire_node_kind(n) != WIRE_DOUBLE) {
        return ERR_INVALID;
    }
    *out = wire_object(n)->via.f64;
    return 0;
}

int wire_node_bytes(struct wire_node n, size_t bytes_max, struct bytes *out)
{
    const msgpack_object *object = wire_object(n);
    struct bytes v;
    if (wire_node_kind(n) == WIRE_STR) {
        v = bytes_of(object->via.str.ptr, object->via.str.size);
    } else if (wire_node_kind(n) == WIRE_BIN) {
        v = bytes_of(object->via.bin.ptr, object->via.bin.size);
    } else {
        return ERR_INVALID;
    }
    if (v.size > bytes_max) {
        return ERR_TOO_LARGE;
    }
    *out = v;
    return 0;
}

uint32_t wire_node_count(struct wire_node n)
{
    switch (wire_node_kind(n)) {
    case WIRE_ARRAY: return wire_object(n)->via.array.size;
    case WIRE_MAP: return wire_object(n)->via.map.size;
    default: return 0;
    }
}

struct wire_node wire_node_at(struct wire_node n, uint32_t i)
{
    struct wire_node child = {NULL};
    if (wire_node_kind(n) == WIRE_ARRAY && i < wire_node_count(n)) {
        child.object = &wire_object(n)->via.array.ptr[i];
    }
    return child;
}

struct wire_node wire_node_key(struct wire_node n, uint32_t i)
{
    struct wire_node child = {NULL};
    if (wire_node_kind(n) == WIRE_MAP && i < wire_node_count(n)) {
        child.object = &wire_object(n)->via.map.ptr[i].key;
    }
    return child;
}

struct wire_node wire_node_value(struct wire_node n, uint32_t i)
{
    struct wire_node child = {NULL};
    if (wire_node_kind(n) == WIRE_MAP && i < wire_node_count(n)) {
        child.object = &wire_object(n)->via.map.ptr[i].val;
    }
    return child;
}

static bool wire_node_is_key(struct wire_node key, struct bytes name)
{
    struct bytes v;
    return wire_node_bytes(key, SIZE_MAX, &v) == 0 && bytes_equal(v, name);
}

struct wire_node wire_node_find(struct wire_node n, const char *name)
{
    struct bytes wanted = bytes_of_text(name);
    uint32_t count = wire_node_kind(n) == WIRE_MAP ? wire_node_count(n) : 0;
    for (uint32_t i = 0; i < count; i++) {
        if (wire_node_is_key(wire_node_key(n, i), wanted)) {
            return wire_node_value(n, i);
        }
    }
    return (struct wire_node){NULL};
}

/* Most maps have their pairs in the order of the names that are asked for. */
void wire_node_pick(struct wire_node n, const struct bytes *names, unsigned count,
                    struct wire_node *values)
{
    uint32_t pairs = wire_node_kind(n) == WIRE_MAP ? wire_node_count(n) : 0;
    unsigned next = 0;
    for (unsigned i = 0; i < count; i++) {
        values[i] = (struct wire_node){NULL};
    }
    for (uint32_t i = 0; i < pairs; i++) {
        struct wire_node key = wire_node_key(n, i);
        for (unsigned k = 0; k < count; k++) {
            unsigned at = next + k < count ? next + k : next + k - count;
            if (values[at].object == NULL && wire_node_is_key(key, names[at])) {
                values[at] = wire_node_value(n, i);
                next = at + 1;
                break;
            }
        }
    }
}

/* returns: 0, or ERR_PROTOCOL if the key of pair at is also that of a pair before. */
static int wire_node_check_key(struct wire_node n, uint32_t at)
{
    struct bytes key;
    TRY(wire_node_bytes(wire_node_key(n, at), SIZE_MAX, &key));
    for (uint32_t i = 0; i < at; i++) {
        if (wire_node_is_key(wire_node_key(n, i), key)) {
            return ERR_PROTOCOL;
        }
    }
    return 0;
}

int wire_node_check_map(struct wire_node n, uint32_t pairs_max)
{
    if (wire_node_kind(n) != WIRE_MAP) {
        return ERR_INVALID;
    }
    if (wire_node_count(n) > pairs_max) {
        return ERR_TOO_LARGE;
    }
    for (uint32_t i = 0; i < wire_node_count(n); i++) {
        TRY(wire_node_check_key(n, i));
    }
    return 0;
}
