/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Paths and keys, and what a record of each type may hold.
 */
#include "base/num.h"
#include "crdt/crdt_internal.h"

struct crdt_limits crdt_limits_default(void)
{
    return (struct crdt_limits){
        .depth_max = CRDT_DEPTH_MAX,
        .name_bytes_max = 256,
        .element_bytes_max = 4096,
        .value_bytes_max = 1u << 20,
        .node_bytes_max = UINT64_MAX,
        .elements_max = 1u << 20,
        .context_ranges_max = 4096,
        .encoded_bytes_max = 256u << 20,
    };
}

void crdt_path_init(struct crdt_path *p, enum crdt_type root)
{
    *p = (struct crdt_path){0};
    p->types[0] = (uint8_t)root;
}

int crdt_path_push(struct crdt_path *p, struct bytes name, enum crdt_type type)
{
    if (crdt_path_type(p) != CRDT_MAP) {
        return ERR_WRONG_TYPE;
    }
    if (p->count == CRDT_DEPTH_MAX) {
        return ERR_TOO_LARGE;
    }
    p->names[p->count] = name;
    p->types[++p->count] = (uint8_t)type;
    return 0;
}

static bool crdt_type_known(uint8_t type)
{
    return type >= CRDT_G_COUNTER && type <= CRDT_TYPES;
}

int crdt_path_check(const struct crdt_path *p, const struct crdt_limits *limits)
{
    if (p->count > CRDT_DEPTH_MAX || !crdt_type_known(p->types[0])) {
        return ERR_INVALID;
    }
    if (p->count > limits->depth_max) {
        return ERR_TOO_LARGE;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->types[i] != CRDT_MAP || !crdt_type_known(p->types[i + 1])) {
            return ERR_INVALID;
        }
        if (p->names[i].size > limits->name_bytes_max || p->names[i].size > UINT16_MAX) {
            return ERR_TOO_LARGE;
        }
    }
    return 0;
}

static int crdt_key_name(struct buf *key, struct bytes name)
{
    uint8_t size[2] = {(uint8_t)(name.size >> 8), (uint8_t)name.size};
    TRY(buf_append(key, size, sizeof(size)));
    return buf_append(key, name.data, name.size);
}

int crdt_path_key(const struct crdt_path *p, struct buf *key)
{
    TRY(buf_put_u8(key, p->types[0]));
    for (uint32_t i = 0; i < p->count; i++) {
        TRY(crdt_key_name(key, p->names[i]));
        TRY(buf_put_u8(key, p->types[i + 1]));
    }
    return 0;
}

/* Looks at the first record of each type that lies at prefix + type; a name with two types is
 * written to by either. */
static int crdt_path_type_at(const struct crdt_state *s, struct buf *key, uint8_t type)
{
    struct bytes prefix = buf_view(key);
    const struct crdt_record *r = crdt_record_from(s, prefix);
    bool other = false;
    while (r != NULL && bytes_has_prefix(crdt_record_key(r), prefix)) {
        ASSERT(r->key_bytes > key->size);
        uint8_t found = r->key[key->size];
        if (found == type) {
            return 0;
        }
        other = true;
        TRY(buf_put_u8(key, found));
        r = crdt_record_beyond(s, buf_view(key));
        key->size--;
        prefix = buf_view(key);
    }
    return other ? ERR_WRONG_TYPE : 0;
}

int crdt_path_types(const struct crdt_state *s, const struct crdt_path *p)
{
    struct buf key;
    buf_init(&key, &s->alloc, SIZE_MAX / 2);
    int err = crdt_path_type_at(s, &key, p->types[0]);
    for (uint32_t i = 0; err == 0 && i < p->count; i++) {
        err = buf_put_u8(&key, p->types[i]);
        if (err == 0) {
            err = crdt_key_name(&key, p->names[i]);
        }
        if (err == 0) {
            err = crdt_path_type_at(s, &key, p->types[i + 1]);
        }
    }
    buf_release(&key);
    return err;
}

static int crdt_rest_check(const struct crdt_shape *shape, const struct crdt_limits *limits)
{
    switch (shape->type) {
    case CRDT_AW_SET:
    case CRDT_RW_SET:
    case CRDT_G_SET:
        return limits != NULL && shape->rest.size > limits->element_bytes_max ? ERR_TOO_LARGE : 0;
    case CRDT_HLL:
        if (shape->rest.size != 3) {
            return ERR_PROTOCOL;
        }
        if (shape->rest.data[0] != CRDT_HLL_PRECISION) {
            return ERR_LEVEL; /* scenario C42 */
        }
        return shape->rest.data[1] >= CRDT_HLL_REGISTERS >> 8 ? ERR_PROTOCOL : 0;
    case CRDT_BOUNDED: return crdt_bounded_rest_check(shape->rest) ? 0 : ERR_PROTOCOL;
    default: return shape->rest.size == 0 ? 0 : ERR_PROTOCOL;
    }
}

int crdt_key_shape(struct bytes key, const struct crdt_limits *limits, struct crdt_shape *out)
{
    struct bytes_reader r = bytes_reader_of(key);
    struct crdt_shape shape = {.type = bytes_take_u8(&r)};
    while (!r.failed && shape.type == CRDT_MAP) {
        uint8_t high = bytes_take_u8(&r);
        size_t size = (size_t)high << 8 | bytes_take_u8(&r);
        if (++shape.depth > CRDT_DEPTH_MAX || (limits != NULL && size > limits->name_bytes_max)) {
            return ERR_TOO_LARGE;
        }
        (void)bytes_take(&r, size);
        shape.type = bytes_take_u8(&r);
    }
    if (r.failed || !crdt_type_known(shape.type)) {
        return ERR_PROTOCOL;
    }
    shape.rest = bytes_of(r.at, r.left);
    TRY(crdt_rest_check(&shape, limits));
    *out = shape;
    return 0;
}

static bool crdt_number_check(uint8_t type, struct bytes payload)
{
    struct bytes_reader r = bytes_reader_of(payload);
    uint64_t a = crdt_take_varint(&r);
    uint64_t b = type == CRDT_PN_COUNTER ? crdt_take_varint(&r) : 0;
    if (!bytes_reader_ended(&r)) {
        return false;
    }
    switch (type) {
    case CRDT_G_COUNTER: return a > 0 && a <= INT64_MAX;
    case CRDT_PN_COUNTER: return a <= INT64_MAX && b <= INT64_MAX && (a | b) != 0;
    case CRDT_COUNTER: return a != 0;
    default: return true;
    }
}

int crdt_payload_check(const struct crdt_shape *shape, struct bytes payload,
                       const struct crdt_limits *limits)
{
    struct bytes_reader r = bytes_reader_of(payload);
    bool good = payload.size == 0;
    switch (shape->type) {
    case CRDT_G_COUNTER:
    case CRDT_PN_COUNTER:
    case CRDT_COUNTER:
    case CRDT_MAX:
    case CRDT_MIN: good = crdt_number_check(shape->type, payload); break;
    case CRDT_LWW:
        (void)crdt_take_varint(&r);
        if (r.left > limits->value_bytes_max) {
            return ERR_TOO_LARGE;
        }
        good = !r.failed;
        break;
    case CRDT_MV:
        if (payload.size > limits->value_bytes_max) {
            return ERR_TOO_LARGE;
        }
        good = true;
        break;
    case CRDT_DW_FLAG:
    case CRDT_RW_SET: good = payload.size == 1 && payload.data[0] <= 1; break;
    case CRDT_HLL:
        good =
            payload.size == 1 && payload.data[0] > 0 && payload.data[0] <= 65 - CRDT_HLL_PRECISION;
        break;
    case CRDT_BOUNDED: good = crdt_bounded_payload_check(shape->rest, payload); break;
    default: break;
    }
    return good ? 0 : ERR_PROTOCOL;
}
