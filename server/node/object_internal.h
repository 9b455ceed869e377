/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Objects: what their records, commands and questions look like. The coordinators that use them
 * are in objects_internal.h.
 *
 * The data model:
 *
 *   version   (grant, counter): one upload, and what it becomes. Group 0 grants once a boot of a
 *             coordinator, which counts in memory; never reused, so versions cannot mix. Clients
 *             see grant << 32 | counter.
 *   cell      in the segment store: (version, stripe number over the whole object, shard).
 *   extent    up to 128 MiB of whole stripes: one placement group, one EXTENT record with the
 *             nodes of its shards and the Merkle roots of its data cells. The root over all cell
 *             roots is the object's, so a client verifies the list of cell roots against the
 *             committed object root once, then each cell by itself. Beside the roots are the
 *             fingerprints of the data cells, from which those of parity follow: they tell wrong
 *             parity, and nothing else is believed for them.
 *
 *   BUCKET bucket      scheme and number of objects
 *   OBJECT bucket,name current version, size, root, layout; objects up to 16 KiB lie in it
 *   INTENT version     an upload under way: what it is to be, until which log time it lives
 *   EXTENT version,no  written when all the extent's shards are safe, before the commit
 *   VERSION version    committed: readable, even when replaced; or dead: only waits to be freed
 *   FREE due,version   replaced, removed or cancelled: goes when log time has passed `due`
 *   MISSING home,version,no,shard   a shard that is not (durably, at its home)
 *
 * All records of a bucket's objects live in the group of the bucket's slot. A home is where a
 * shard belongs; its holder is where it is, or the home. A bit in `durable`: the holder has it. A
 * bit in `away`: the holder is not the home. Away and not durable: the holder had it, but is out
 * of the cluster; it may have it still, and does not count. MISSING exists exactly for shards that
 * are not durable or away, from the EXTENT's writing on, so a repair may begin before the commit.
 *
 * A version's way:   (nothing) -INTENT-> open -EXTENT*-> open -COMMIT-> live -replaced, removed->
 *                    live, FREE -due-> dead -FREE*-> (nothing)
 *                    open -CANCEL, or expired-> dead, FREE -> (nothing)
 * A commit needs its intent, a cancel takes it away: whoever comes second in the log loses. A
 * version with neither intent nor record can never become visible, so its shards may be deleted.
 *
 * threads: the loop thread; encodings are pure functions.
 */
#ifndef HOLDFAST_SERVER_NODE_OBJECT_INTERNAL_H
#define HOLDFAST_SERVER_NODE_OBJECT_INTERNAL_H

#include "base/err.h"
#include "base/num.h"
#include "erasure/erasure.h"
#include "merkle/merkle.h"
#include "server/node/service_internal.h"
#include "wire/api.h"

#define NODE_OBJECT_FORMAT 1u /* first byte of every record and body here */
#define NODE_EXTENT_FORMAT 2u /* of an extent with fingerprints; without: 1 */
#define NODE_OBJECT_INLINE_MAX WIRE_INLINE_BYTES_MAX
#define NODE_OBJECT_BUCKET_PLAIN_MAX 64u
#define NODE_OBJECT_SHARDS_MAX ERASURE_SHARDS_MAX
#define NODE_OBJECT_EXTENTS_MAX (1u << 24)       /* of one object */
#define NODE_OBJECT_ROOTS_BYTES_MAX (512u << 10) /* of an extent, with its fingerprints */
#define NODE_OBJECT_BODY_BYTES_MAX (1u << 20)
#define NODE_OBJECT_FREE_EXTENTS_MAX 8u /* in one command */
#define NODE_OBJECT_LIVE_MAX 256u       /* versions in one question */

struct node_version {
    uint64_t grant;
    uint64_t counter;
};
static inline bool node_version_equal(struct node_version a, struct node_version b)
{
    return a.grant == b.grant && a.counter == b.counter;
}
/* What clients see. Grants and counters stay below 2^32 (objects.c draws a new grant). */
static inline uint64_t node_version_wire(struct node_version v)
{
    return v.grant << 32 | v.counter;
}
static inline struct node_version node_version_of_wire(uint64_t v)
{
    return (struct node_version){.grant = v >> 32, .counter = v & UINT32_MAX};
}

/* ---- names ---------------------------------------------------------------------------------- */

/* A record's name in memory of its own. */
struct node_name {
    uint8_t data[NODE_NAME_BYTES_MAX];
    size_t size;
};
static inline struct bytes node_name_view(const struct node_name *n)
{
    return bytes_of(n->data, n->size);
}
void node_name_bucket(struct node_name *n, struct bytes bucket);
/* returns: false if one is longer than WIRE_NAME_BYTES_MAX. */
bool node_name_object(struct node_name *n, struct bytes bucket, struct bytes name);
void node_name_version(struct node_name *n, enum node_key_kind kind, struct node_version v);
void node_name_extent(struct node_name *n, struct node_version v, uint32_t extent);
void node_name_free(struct node_name *n, uint64_t due, struct node_version v);
struct node_missing_id {
    uint32_t node;
    struct node_version version;
    uint32_t extent;
    uint8_t shard;
};
void node_name_missing(struct node_name *n, const struct node_missing_id *id);
/* The other way; false if raw is no such name. */
bool node_name_of_missing(struct bytes raw, struct node_missing_id *id);
bool node_name_of_version(struct bytes raw, enum node_key_kind kind, struct node_version *v);
bool node_name_of_extent(struct bytes raw, struct node_version *v, uint32_t *extent);
bool node_name_of_free(struct bytes raw, uint64_t *due, struct node_version *v);

/* ---- fields --------------------------------------------------------------------------------- */

int node_put_version(struct buf *b, struct node_version v);
struct node_version node_take_version(struct bytes_reader *r);
/* u16 length, bytes. */
int node_put_name(struct buf *b, struct bytes name);
struct bytes node_take_name(struct bytes_reader *r);

/* What an object is cut into: enough to compute where each byte lies. */
struct node_shape {
    struct erasure_scheme scheme;
    uint32_t cell_bytes;
    uint64_t extent_bytes;
};
int node_put_shape(struct buf *b, const struct node_shape *s);
struct node_shape node_take_shape(struct bytes_reader *r);
/* returns: 0 or what erasure_layout_init says. size: of the object, as far as known. */
int node_shape_layout(const struct node_shape *s, uint64_t size, struct erasure_layout *out);

/* ---- records -------------------------------------------------------------------------------- */

/* Decoders return 0, ERR_CORRUPT, or ERR_LEVEL for a later format. Views last as long as raw. */

struct node_bucket {
    struct erasure_scheme scheme;
    uint64_t objects;
};
int node_bucket_encode(const struct node_bucket *b, struct buf *out);
int node_bucket_decode(struct bytes raw, struct node_bucket *out);

struct node_object {
    struct node_version version;
    uint64_t size;
    uint8_t root[MERKLE_HASH_BYTES];
    struct node_shape shape;
    uint32_t extents; /* 0: all its bytes are in data */
    uint64_t created_us;
    struct bytes data;
};
int node_object_encode(const struct node_object *o, struct buf *out);
int node_object_decode(struct bytes raw, struct node_object *out);

enum node_version_state { NODE_VERSION_LIVE = 1, NODE_VERSION_DEAD = 2 };
struct node_version_rec {
    enum node_version_state state;
    uint64_t size;
    struct node_shape shape;
    uint32_t extents;
    uint32_t freed;   /* extents below are gone */
    uint64_t missing; /* MISSING records of the version */
    struct bytes bucket;
    struct bytes name;
};
int node_version_encode(const struct node_version_rec *v, struct buf *out);
int node_version_decode(struct bytes raw, struct node_version_rec *out);

struct node_intent {
    uint64_t expires; /* log time */
    struct node_shape shape;
    uint32_t extents; /* written so far */
    uint64_t missing;
    struct bytes bucket;
    struct bytes name;
};
int node_intent_encode(const struct node_intent *i, struct buf *out);
int node_intent_decode(struct bytes raw, struct node_intent *out);

struct node_extent {
    uint64_t revision; /* of the last change */
    uint32_t placement_group;
    struct erasure_scheme scheme;
    uint32_t stripes;
    uint64_t bytes;
    uint32_t durable;
    uint32_t away;
    uint32_t home[NODE_OBJECT_SHARDS_MAX];
    uint32_t holder[NODE_OBJECT_SHARDS_MAX]; /* the home, but for away shards */
    uint32_t cells;
    struct bytes roots;   /* cells x 32; may be left out in answers: empty */
    struct bytes fingers; /* cells x 32, of data cells (erasure_finger); empty: none are known */
};
int node_extent_encode(const struct node_extent *e, struct buf *out);
int node_extent_decode(struct bytes raw, struct node_extent *out);
/* returns: bitmap of all shards. */
uint32_t node_extent_all(struct erasure_scheme scheme);
/* returns: shards that have a MISSING record. */
uint32_t node_extent_missing(const struct node_extent *e);
/* returns: shards that may still be lost; 0 when the next loss, or this one, is fatal. */
uint8_t node_extent_left(const struct node_extent *e);
/* returns: how many nodes may be lost, whichever they are, with k shards left. */
unsigned node_extent_survives(const struct node_extent *e);

/* A MISSING record's value is format u8, left u8; a FREE record's format u8. */

/* ---- bodies of commands --------------------------------------------------------------------- */

/* An extent with the homes of its shards, enough to name all its records. Homes change with
 * SHARDS_MOVE only; a command that names others than the state has is refused. */
struct node_extent_ref {
    struct node_version version;
    uint32_t extent;
    uint8_t shards;
    uint32_t home[NODE_OBJECT_SHARDS_MAX];
};
void node_extent_ref_of(struct node_version v, uint32_t extent, const struct node_extent *e,
                        struct node_extent_ref *out);

/* One struct for all commands on objects; each uses the fields that its row names.
 *
 *   BUCKET_CREATE   bucket, shape.scheme
 *   BUCKET_REMOVE   bucket
 *   PUT_INTENT      version, bucket, name, shape, span (lives so long)
 *   PUT_RENEW       version, span
 *   PUT_EXTENT      ref, extent (roots empty: keep those there are, and the fingerprints; revision:
 *                   of the record that is written over, 0 if there is none)
 *   PUT_COMMIT      version, bucket, name, size, root, extents, created_us, span (free delay)
 *   PUT_CANCEL      version, flag (only if expired)
 *   PUT_INLINE      version, bucket, name, size, root, created_us, span, data, shape
 *   OBJECT_REMOVE   bucket, name, span
 *   SHARD_REPAIRED  ref, shard, revision of the extent that was repaired
 *   SHARD_DAMAGED   ref, shard, revision of the extent that was read
 *   FREE            version, due, from, to, refs (those that exist of them), flag (the last)
 *   SHARDS_MOVE     ref, revision of the extent that was judged, lost, move_to
 */
struct node_object_cmd {
    struct node_version version;
    struct bytes bucket;
    struct bytes name;
    struct node_shape shape;
    uint64_t span;
    uint64_t size;
    uint64_t created_us;
    uint64_t revision;
    uint64_t due;
    uint32_t extents;
    uint32_t from;
    uint32_t to;
    uint8_t shard;
    bool flag;
    uint8_t root[MERKLE_HASH_BYTES];
    struct bytes data;
    struct node_extent extent;
    struct node_extent_ref ref;
    uint32_t lost; /* shards whose holders are out: they no longer count as durable */
    uint32_t move_to[NODE_OBJECT_SHARDS_MAX]; /* homes from now on */
    unsigned refs_count;
    struct node_extent_ref refs[NODE_OBJECT_FREE_EXTENTS_MAX];
};
int node_object_cmd_encode(uint8_t op, const struct node_object_cmd *c, struct buf *out);
/* returns: 0 or ERR_INVALID. Views into body. */
int node_object_cmd_decode(uint8_t op, struct bytes body, struct node_object_cmd *out);
/* Replies of PUT_EXTENT, PUT_COMMIT, PUT_INLINE and OBJECT_REMOVE: revision u64. The others are
 * empty. */

/* ---- bodies and answers of questions -------------------------------------------------------- */

/* As for commands: each question uses some fields.
 *
 *   BUCKET_GET      bucket                      -> log time u64, BUCKET record
 *   BUCKET_LIST     name (after), limit         -> more u8, rows
 *   OBJECT_STAT     bucket, name                -> has bucket u8, OBJECT record or nothing
 *   OBJECT_LIST     bucket, name (prefix), after, limit
 *                                               -> more u8, rows: object's name, OBJECT record
 *                                                  without inline data
 *   OBJECT_EXTENTS  version, from, limit, roots -> log time u64, has version u8 [VERSION],
 *                                                  has intent u8 [INTENT], more u8, rows of EXTENT
 *                   all: those of every version behind (version, from); grant 0 and from
 *                   UINT32_MAX: from the first
 *   VERSIONS_LIVE   data: u32 count, versions   -> a byte each: enum node_live
 *   MISSING         missing, flag (behind it)   -> more u8, rows
 *   DUE             flag false: what is to be freed; true: intents behind `version`
 *                                               -> log time u64, any u8 (due or not), more u8,
 *                                                  rows: value not empty if due
 * Rows: u32 count; each u16 name, u32 value; the name with its kind.
 */
struct node_object_ask {
    struct bytes bucket;
    struct bytes name;
    struct bytes after;
    struct node_version version;
    struct node_missing_id missing;
    uint32_t from;
    uint32_t limit;
    bool all;
    bool roots;
    bool flag;
    struct bytes data;
    struct bytes range_from; /* decoded only: the names of the range that is wanted */
    struct bytes range_to;
};
/* Also works out the range, so that its names lie in the body. */
int node_object_ask_encode(uint8_t op, const struct node_object_ask *a, struct buf *out);
int node_object_ask_decode(uint8_t op, struct bytes body, struct node_object_ask *out);

enum node_live { NODE_LIVE_GONE = 0, NODE_LIVE_OPEN, NODE_LIVE_COMMITTED };

/* Reads rows of an answer one by one. */
struct node_answer_rows {
    struct bytes_reader r;
    uint32_t left;
    bool more;
};
void node_answer_rows_of(struct bytes_reader r, struct node_answer_rows *rows);
/* returns: false at the end. */
bool node_answer_row(struct node_answer_rows *rows, struct bytes *name, struct bytes *value);

/* The answer of OBJECT_EXTENTS. */
struct node_extents_answer {
    uint64_t log_time_us;
    bool has_version;
    bool has_intent;
    struct node_version_rec version;
    struct node_intent intent;
    struct node_answer_rows rows;
};
int node_extents_answer_of(struct bytes reply, struct node_extents_answer *out);

#endif
