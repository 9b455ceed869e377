/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The canonical encoding (docs/formats.md, "CRDT states"). Nothing in it can be said in two ways,
 * and what could be is refused, so a state has one encoding and every accepted encoding is one of a
 * state.
 */
#include "base/num.h"
#include "crdt/crdt_internal.h"

static size_t crdt_shared_bytes(struct bytes a, struct bytes b)
{
    size_t most = NUM_MIN(a.size, b.size);
    size_t n = 0;
    while (n < most && a.data[n] == b.data[n]) {
        n++;
    }
    return n;
}

static int crdt_encode_entry(const struct crdt_state *s, const struct crdt_entry *e,
                             struct buf *out)
{
    size_t at = crdt_context_place(&s->seen, e->dot);
    ASSERT(at < s->seen.count && crdt_context_has(&s->seen, e->dot));
    const struct crdt_range range = s->seen.ranges[at];
    TRY(crdt_put_varint(out, at));
    if (range.actor.epoch == CRDT_FOLDED) {
        TRY(crdt_put_varint(out, e->dot.actor.epoch - range.from));
        TRY(crdt_put_varint(out, e->dot.counter - 1));
    } else {
        TRY(crdt_put_varint(out, e->dot.counter - range.from));
    }
    TRY(crdt_put_varint(out, e->payload_bytes));
    return buf_append(out, e->payload, e->payload_bytes);
}

int crdt_encode(const struct crdt_state *s, struct buf *out)
{
    struct bytes before = {0};
    if (s->opaque.size > 0) {
        return buf_append(out, s->opaque.data, s->opaque.size);
    }
    TRY(buf_put_u8(out, crdt_context_folded(&s->seen) ? CRDT_LEVEL : 1));
    TRY(crdt_context_encode(&s->seen, out));
    TRY(crdt_put_varint(out, s->records));
    const struct crdt_record *r = (const struct crdt_record *)crdt_tree_first(s->by_key);
    for (; r != NULL; r = crdt_record_next(r)) {
        struct bytes key = crdt_record_key(r);
        size_t shared = crdt_shared_bytes(before, key);
        TRY(crdt_put_varint(out, shared));
        TRY(crdt_put_varint(out, key.size - shared));
        TRY(buf_append(out, key.data + shared, key.size - shared));
        TRY(crdt_put_varint(out, r->count));
        for (const struct crdt_entry *e = crdt_entry_first(r); e != NULL; e = crdt_entry_next(e)) {
            TRY(crdt_encode_entry(s, e, out));
        }
        before = key;
    }
    return out->err;
}

/* Makes key the next key. It must sort after the last one and repeat none of it. */
static int crdt_take_key(struct bytes_reader *r, struct buf *key)
{
    uint64_t shared = crdt_take_varint(r);
    uint64_t more = crdt_take_varint(r);
    if (r->failed || shared > key->size || more == 0 || more > r->left) {
        return ERR_PROTOCOL;
    }
    struct bytes rest = bytes_take(r, more);
    if (shared < key->size && rest.data[0] <= key->data[shared]) {
        return ERR_PROTOCOL;
    }
    key->size = shared;
    return buf_append(key, rest.data, rest.size);
}

/* A dot by its place in the context; of an epoch that is folded, by epoch and counter there. */
static int crdt_take_dot(const struct crdt_state *s, struct bytes_reader *r, struct crdt_dot *dot)
{
    uint64_t at = crdt_take_varint(r);
    uint64_t offset = crdt_take_varint(r);
    if (r->failed || at >= s->seen.count) {
        return ERR_PROTOCOL;
    }
    struct crdt_range range = s->seen.ranges[at];
    if (offset > range.to - range.from) {
        return ERR_PROTOCOL;
    }
    *dot = (struct crdt_dot){.actor = range.actor, .counter = range.from + offset};
    if (range.actor.epoch == CRDT_FOLDED) {
        dot->actor.epoch = range.from + offset;
        return num_add_u64(crdt_take_varint(r), 1, &dot->counter) ? 0 : ERR_PROTOCOL;
    }
    return 0;
}

static int crdt_take_entry(struct crdt_state *s, struct bytes_reader *r, struct bytes key,
                           struct crdt_dot *last, const struct crdt_limits *limits)
{
    struct crdt_shape shape;
    struct crdt_dot dot;
    TRY(crdt_take_dot(s, r, &dot));
    uint64_t bytes = crdt_take_varint(r);
    if (r->failed || bytes > r->left) {
        return ERR_PROTOCOL;
    }
    struct bytes payload = bytes_take(r, bytes);
    if (crdt_dot_compare(*last, dot) >= 0 || crdt_entry_find(s, dot) != NULL) {
        return ERR_PROTOCOL;
    }
    TRY(crdt_key_shape(key, limits, &shape));
    TRY(crdt_payload_check(&shape, payload, limits));
    *last = dot;
    return crdt_state_put(s, key, dot, payload);
}

static int crdt_take_records(struct crdt_state *s, struct bytes_reader *r, struct buf *key,
                             const struct crdt_limits *limits)
{
    uint64_t records = crdt_take_varint(r);
    for (uint64_t i = 0; i < records && !r->failed; i++) {
        struct crdt_dot last = {0};
        TRY(crdt_take_key(r, key));
        uint64_t entries = crdt_take_varint(r);
        if (r->failed || entries == 0) {
            return ERR_PROTOCOL;
        }
        for (uint64_t j = 0; j < entries; j++) {
            TRY(crdt_take_entry(s, r, buf_view(key), &last, limits));
        }
    }
    return bytes_reader_ended(r) ? 0 : ERR_PROTOCOL;
}

static int crdt_keep_opaque(struct crdt_state *s, struct bytes v)
{
    uint8_t *copy = alloc_get(&s->alloc, v.size);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(copy, v.data, v.size);
    s->opaque = bytes_of(copy, v.size);
    return 0;
}

int crdt_decode(struct crdt_state *s, struct bytes v, const struct crdt_limits *limits)
{
    ASSERT(crdt_state_empty(s));
    struct bytes_reader r = bytes_reader_of(v);
    if (v.size > limits->encoded_bytes_max) {
        return ERR_TOO_LARGE;
    }
    uint8_t level = bytes_take_u8(&r);
    if (r.failed || level == 0) {
        return ERR_PROTOCOL;
    }
    if (level > CRDT_LEVEL) {
        return crdt_keep_opaque(s, v);
    }
    struct buf key;
    buf_init(&key, &s->alloc, SIZE_MAX / 2);
    int err = crdt_context_take(&s->seen, &r, limits);
    if (err == 0 && (level > 1) != crdt_context_folded(&s->seen)) {
        err = ERR_PROTOCOL;
    }
    if (err == 0) {
        err = crdt_take_records(s, &r, &key, limits);
    }
    buf_release(&key);
    if (err != 0) {
        crdt_state_clear(s);
    }
    return err;
}
