/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Names and bytes of the records of objects. Names are big-endian so that they sort by number;
 * values begin with their format. Nothing here decides anything.
 */
#include "server/node/object_internal.h"

_Static_assert(MERKLE_HASH_BYTES == ERASURE_FINGER_BYTES, "as many bytes of either for a cell");

/* ---- names ---------------------------------------------------------------------------------- */

static void node_name_begin(struct node_name *n, enum node_key_kind kind)
{
    n->data[0] = (uint8_t)kind;
    n->size = 1;
}

static void node_name_u32(struct node_name *n, uint32_t v)
{
    num_put_u32_be(n->data + n->size, v);
    n->size += 4;
}

static void node_name_u64(struct node_name *n, uint64_t v)
{
    num_put_u64_be(n->data + n->size, v);
    n->size += 8;
}

static void node_name_raw(struct node_name *n, struct bytes v)
{
    ASSERT(v.size <= sizeof n->data - n->size);
    if (v.size > 0) {
        memcpy(n->data + n->size, v.data, v.size);
    }
    n->size += v.size;
}

void node_name_bucket(struct node_name *n, struct bytes bucket)
{
    node_name_begin(n, NODE_KEY_BUCKET);
    node_name_raw(n, bucket);
}

/* A bucket's name of up to 64 bytes stands in the names of its objects as it is, a longer one as
 * its SHA-256, so that an object's name of 1,024 bytes fits behind it. */
bool node_name_object(struct node_name *n, struct bytes bucket, struct bytes name)
{
    if (bucket.size > WIRE_NAME_BYTES_MAX || name.size > WIRE_NAME_BYTES_MAX) {
        return false;
    }
    uint8_t hash[COMPUTE_HASH_BYTES];
    node_name_begin(n, NODE_KEY_OBJECT);
    n->data[1] = (uint8_t)(bucket.size >> 8);
    n->data[2] = (uint8_t)bucket.size;
    n->size = 3;
    if (bucket.size > NODE_OBJECT_BUCKET_PLAIN_MAX) {
        compute_sha256_plain(bucket.data, bucket.size, hash);
        bucket = bytes_of(hash, sizeof hash);
    }
    node_name_raw(n, bucket);
    node_name_raw(n, name);
    return true;
}

void node_name_version(struct node_name *n, enum node_key_kind kind, struct node_version v)
{
    node_name_begin(n, kind);
    node_name_u64(n, v.grant);
    node_name_u64(n, v.counter);
}

void node_name_extent(struct node_name *n, struct node_version v, uint32_t extent)
{
    node_name_version(n, NODE_KEY_EXTENT, v);
    node_name_u32(n, extent);
}

void node_name_free(struct node_name *n, uint64_t due, struct node_version v)
{
    node_name_begin(n, NODE_KEY_FREE);
    node_name_u64(n, due);
    node_name_u64(n, v.grant);
    node_name_u64(n, v.counter);
}

void node_name_missing(struct node_name *n, const struct node_missing_id *id)
{
    node_name_begin(n, NODE_KEY_MISSING);
    node_name_u32(n, id->node);
    node_name_u64(n, id->version.grant);
    node_name_u64(n, id->version.counter);
    node_name_u32(n, id->extent);
    n->data[n->size++] = id->shard;
}

static bool node_name_is(struct bytes raw, enum node_key_kind kind, size_t bytes)
{
    return raw.size == bytes && raw.data[0] == (uint8_t)kind;
}

static struct node_version node_version_at(const uint8_t *at)
{
    return (struct node_version){.grant = num_get_u64_be(at), .counter = num_get_u64_be(at + 8)};
}

bool node_name_of_missing(struct bytes raw, struct node_missing_id *id)
{
    if (!node_name_is(raw, NODE_KEY_MISSING, 26)) {
        return false;
    }
    id->node = num_get_u32_be(raw.data + 1);
    id->version = node_version_at(raw.data + 5);
    id->extent = num_get_u32_be(raw.data + 21);
    id->shard = raw.data[25];
    return true;
}

bool node_name_of_version(struct bytes raw, enum node_key_kind kind, struct node_version *v)
{
    if (!node_name_is(raw, kind, 17)) {
        return false;
    }
    *v = node_version_at(raw.data + 1);
    return true;
}

bool node_name_of_extent(struct bytes raw, struct node_version *v, uint32_t *extent)
{
    if (!node_name_is(raw, NODE_KEY_EXTENT, 21)) {
        return false;
    }
    *v = node_version_at(raw.data + 1);
    *extent = num_get_u32_be(raw.data + 17);
    return true;
}

bool node_name_of_free(struct bytes raw, uint64_t *due, struct node_version *v)
{
    if (!node_name_is(raw, NODE_KEY_FREE, 25)) {
        return false;
    }
    *due = num_get_u64_be(raw.data + 1);
    *v = node_version_at(raw.data + 9);
    return true;
}

/* ---- fields --------------------------------------------------------------------------------- */

int node_put_version(struct buf *b, struct node_version v)
{
    (void)buf_put_u64(b, v.grant);
    return buf_put_u64(b, v.counter);
}

struct node_version node_take_version(struct bytes_reader *r)
{
    struct node_version v;
    v.grant = bytes_take_u64(r);
    v.counter = bytes_take_u64(r);
    return v;
}

int node_put_name(struct buf *b, struct bytes name)
{
    ASSERT(name.size <= UINT16_MAX);
    (void)buf_put_u16(b, (uint16_t)name.size);
    return buf_append(b, name.data, name.size);
}

struct bytes node_take_name(struct bytes_reader *r)
{
    uint16_t size = bytes_take_u16(r);
    return bytes_take(r, size);
}

int node_put_shape(struct buf *b, const struct node_shape *s)
{
    (void)buf_put_u8(b, s->scheme.k);
    (void)buf_put_u8(b, s->scheme.m);
    (void)buf_put_u32(b, s->cell_bytes);
    return buf_put_u64(b, s->extent_bytes);
}

struct node_shape node_take_shape(struct bytes_reader *r)
{
    struct node_shape s;
    s.scheme.k = bytes_take_u8(r);
    s.scheme.m = bytes_take_u8(r);
    s.cell_bytes = bytes_take_u32(r);
    s.extent_bytes = bytes_take_u64(r);
    return s;
}

int node_shape_layout(const struct node_shape *s, uint64_t size, struct erasure_layout *out)
{
    const struct erasure_layout_options options = {.scheme = s->scheme,
                                                   .object_bytes = size,
                                                   .cell_bytes = s->cell_bytes,
                                                   .extent_bytes = s->extent_bytes};
    return erasure_layout_init(out, &options);
}

static int node_record_end_of(const struct bytes_reader *r, uint8_t format, uint8_t latest)
{
    if (format > latest) {
        return ERR_LEVEL;
    }
    return format == 0 || !bytes_reader_ended(r) ? ERR_CORRUPT : 0;
}

/* Every record begins so. */
static int node_record_end(const struct bytes_reader *r, uint8_t format)
{
    return node_record_end_of(r, format, NODE_OBJECT_FORMAT);
}

/* ---- records -------------------------------------------------------------------------------- */

int node_bucket_encode(const struct node_bucket *b, struct buf *out)
{
    (void)buf_put_u8(out, NODE_OBJECT_FORMAT);
    (void)buf_put_u8(out, b->scheme.k);
    (void)buf_put_u8(out, b->scheme.m);
    return buf_put_u64(out, b->objects);
}

int node_bucket_decode(struct bytes raw, struct node_bucket *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    uint8_t format = bytes_take_u8(&r);
    struct node_bucket b;
    b.scheme.k = bytes_take_u8(&r);
    b.scheme.m = bytes_take_u8(&r);
    b.objects = bytes_take_u64(&r);
    TRY(node_record_end(&r, format));
    *out = b;
    return 0;
}

int node_object_encode(const struct node_object *o, struct buf *out)
{
    (void)buf_put_u8(out, NODE_OBJECT_FORMAT);
    (void)node_put_version(out, o->version);
    (void)buf_put_u64(out, o->size);
    (void)buf_append(out, o->root, sizeof o->root);
    (void)node_put_shape(out, &o->shape);
    (void)buf_put_u32(out, o->extents);
    (void)buf_put_u64(out, o->created_us);
    return buf_put_bytes(out, o->data);
}

int node_object_decode(struct bytes raw, struct node_object *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    uint8_t format = bytes_take_u8(&r);
    struct node_object o;
    o.version = node_take_version(&r);
    o.size = bytes_take_u64(&r);
    struct bytes root = bytes_take(&r, sizeof o.root);
    o.shape = node_take_shape(&r);
    o.extents = bytes_take_u32(&r);
    o.created_us = bytes_take_u64(&r);
    o.data = bytes_take_bytes(&r, NODE_OBJECT_INLINE_MAX);
    TRY(node_record_end(&r, format));
    memcpy(o.root, root.data, sizeof o.root);
    *out = o;
    return 0;
}

int node_version_encode(const struct node_version_rec *v, struct buf *out)
{
    (void)buf_put_u8(out, NODE_OBJECT_FORMAT);
    (void)buf_put_u8(out, (uint8_t)v->state);
    (void)buf_put_u64(out, v->size);
    (void)node_put_shape(out, &v->shape);
    (void)buf_put_u32(out, v->extents);
    (void)buf_put_u32(out, v->freed);
    (void)buf_put_u64(out, v->missing);
    (void)node_put_name(out, v->bucket);
    return node_put_name(out, v->name);
}

int node_version_decode(struct bytes raw, struct node_version_rec *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    uint8_t format = bytes_take_u8(&r);
    struct node_version_rec v;
    uint8_t state = bytes_take_u8(&r);
    v.size = bytes_take_u64(&r);
    v.shape = node_take_shape(&r);
    v.extents = bytes_take_u32(&r);
    v.freed = bytes_take_u32(&r);
    v.missing = bytes_take_u64(&r);
    v.bucket = node_take_name(&r);
    v.name = node_take_name(&r);
    TRY(node_record_end(&r, format));
    if (state != NODE_VERSION_LIVE && state != NODE_VERSION_DEAD) {
        return ERR_CORRUPT;
    }
    v.state = (enum node_version_state)state;
    *out = v;
    return 0;
}

int node_intent_encode(const struct node_intent *i, struct buf *out)
{
    (void)buf_put_u8(out, NODE_OBJECT_FORMAT);
    (void)buf_put_u64(out, i->expires);
    (void)node_put_shape(out, &i->shape);
    (void)buf_put_u32(out, i->extents);
    (void)buf_put_u64(out, i->missing);
    (void)node_put_name(out, i->bucket);
    return node_put_name(out, i->name);
}

int node_intent_decode(struct bytes raw, struct node_intent *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    uint8_t format = bytes_take_u8(&r);
    struct node_intent i;
    i.expires = bytes_take_u64(&r);
    i.shape = node_take_shape(&r);
    i.extents = bytes_take_u32(&r);
    i.missing = bytes_take_u64(&r);
    i.bucket = node_take_name(&r);
    i.name = node_take_name(&r);
    TRY(node_record_end(&r, format));
    *out = i;
    return 0;
}

int node_extent_encode(const struct node_extent *e, struct buf *out)
{
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    const bool fingers = e->fingers.size > 0;
    (void)buf_put_u8(out, fingers ? NODE_EXTENT_FORMAT : 1);
    (void)buf_put_u64(out, e->revision);
    (void)buf_put_u32(out, e->placement_group);
    (void)buf_put_u8(out, e->scheme.k);
    (void)buf_put_u8(out, e->scheme.m);
    (void)buf_put_u32(out, e->stripes);
    (void)buf_put_u64(out, e->bytes);
    (void)buf_put_u32(out, e->durable);
    (void)buf_put_u32(out, e->away);
    for (unsigned s = 0; s < shards; s++) {
        (void)buf_put_u32(out, e->home[s]);
    }
    for (unsigned s = 0; s < shards; s++) {
        if ((e->away >> s & 1u) != 0) {
            (void)buf_put_u32(out, e->holder[s]);
        }
    }
    (void)buf_put_u32(out, e->cells);
    (void)buf_put_bytes(out, e->roots);
    return fingers ? buf_put_bytes(out, e->fingers) : out->err;
}

uint32_t node_extent_all(struct erasure_scheme scheme)
{
    unsigned shards = (unsigned)scheme.k + scheme.m;
    return shards >= 32 ? UINT32_MAX : (1u << shards) - 1;
}

/* returns: whether the fields agree with one another. Fingerprints never stand without roots. */
static bool node_extent_sound(const struct node_extent *e)
{
    uint32_t all = node_extent_all(e->scheme);
    bool shards = (e->durable & ~all) == 0 && (e->away & ~all) == 0;
    bool roots = e->roots.size == 0 || e->roots.size == (size_t)e->cells * MERKLE_HASH_BYTES;
    bool fingers = e->fingers.size == 0 || e->fingers.size == e->roots.size;
    return shards && roots && fingers &&
           e->cells <= NODE_OBJECT_ROOTS_BYTES_MAX / MERKLE_HASH_BYTES &&
           e->roots.size + e->fingers.size <= NODE_OBJECT_ROOTS_BYTES_MAX;
}

int node_extent_decode(struct bytes raw, struct node_extent *out)
{
    struct bytes_reader r = bytes_reader_of(raw);
    uint8_t format = bytes_take_u8(&r);
    struct node_extent e = {0};
    e.revision = bytes_take_u64(&r);
    e.placement_group = bytes_take_u32(&r);
    e.scheme.k = bytes_take_u8(&r);
    e.scheme.m = bytes_take_u8(&r);
    if (r.failed || erasure_scheme_check(e.scheme) != 0) {
        return format > NODE_EXTENT_FORMAT ? ERR_LEVEL : ERR_CORRUPT;
    }
    unsigned shards = (unsigned)e.scheme.k + e.scheme.m;
    e.stripes = bytes_take_u32(&r);
    e.bytes = bytes_take_u64(&r);
    e.durable = bytes_take_u32(&r);
    e.away = bytes_take_u32(&r);
    for (unsigned s = 0; s < shards; s++) {
        e.home[s] = bytes_take_u32(&r);
        e.holder[s] = e.home[s];
    }
    for (unsigned s = 0; s < shards; s++) {
        if ((e.away >> s & 1u) != 0) {
            e.holder[s] = bytes_take_u32(&r);
        }
    }
    e.cells = bytes_take_u32(&r);
    e.roots = bytes_take_bytes(&r, NODE_OBJECT_ROOTS_BYTES_MAX);
    if (format >= NODE_EXTENT_FORMAT) {
        e.fingers = bytes_take_bytes(&r, NODE_OBJECT_ROOTS_BYTES_MAX);
    }
    TRY(node_record_end_of(&r, format, NODE_EXTENT_FORMAT));
    if (!node_extent_sound(&e) || (format == NODE_EXTENT_FORMAT && e.fingers.size == 0)) {
        return ERR_CORRUPT;
    }
    *out = e;
    return 0;
}

uint32_t node_extent_missing(const struct node_extent *e)
{
    return node_extent_all(e->scheme) & ~(e->durable & ~e->away);
}

uint8_t node_extent_left(const struct node_extent *e)
{
    unsigned have = 0;
    for (uint32_t bits = e->durable; bits != 0; bits &= bits - 1) {
        have++;
    }
    return (uint8_t)(have > e->scheme.k ? have - e->scheme.k : 0);
}

/* The worst that can happen is the loss of the fullest node, then of the fullest that is left. */
unsigned node_extent_survives(const struct node_extent *e)
{
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    uint32_t left = e->durable & node_extent_all(e->scheme);
    for (unsigned lost = 0; lost < shards; lost++) {
        uint32_t fullest = 0;
        unsigned most = 0;
        unsigned have = 0;
        for (unsigned s = 0; s < shards; s++) {
            uint32_t same = 0;
            unsigned count = 0;
            have += left >> s & 1u;
            for (unsigned t = 0; t < shards && (left >> s & 1u) != 0; t++) {
                if ((left >> t & 1u) != 0 && e->holder[t] == e->holder[s]) {
                    same |= 1u << t;
                    count++;
                }
            }
            if (count > most) {
                most = count;
                fullest = same;
            }
        }
        if (have < most + e->scheme.k) {
            return lost;
        }
        left &= ~fullest;
    }
    return shards;
}

void node_extent_ref_of(struct node_version v, uint32_t extent, const struct node_extent *e,
                        struct node_extent_ref *out)
{
    out->version = v;
    out->extent = extent;
    out->shards = (uint8_t)(e->scheme.k + e->scheme.m);
    memcpy(out->home, e->home, sizeof out->home);
}
