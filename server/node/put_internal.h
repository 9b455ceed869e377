/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * An upload, seen by its files: put_api.c (clients), put.c (parts and stripes), put_extent.c
 * (extents and the commit), put_derive.c (cells that follow from another version's).
 *
 *   upload   OPENING -> OPEN -> COMMITTING -> (gone, its end is kept for a while)
 *                any of them -> FAILED -> (gone)
 *   stripe   filling -> encode -> write to the holders -> done
 *   extent   OPEN (stripes) -> judge -> PROPOSING -> DONE
 *                              judge -> REBUILDING (too few shards: elsewhere) -> judge
 *
 * What an upload has under way counts in refs: it goes when it has ended and nothing is left.
 */
#ifndef HOLDFAST_SERVER_NODE_PUT_INTERNAL_H
#define HOLDFAST_SERVER_NODE_PUT_INTERNAL_H

#include "server/node/objects_internal.h"

#define NODE_PUT_WAITS_MAX 64u
#define NODE_PUT_COMMITTERS_MAX 4u
#define NODE_PUT_REBUILDS_MAX 4u
#define NODE_PUT_UPLOADS_BYTES 4u /* times upload_bytes: all uploads together */
#define NODE_PUT_ENDS_MAX 256u
#define NODE_PUT_END_BYTES_MAX (32u << 10)
#define NODE_PUT_RETRY_US 50000u
#define NODE_PUT_COMMIT_US 2000000u
#define NODE_PUT_GIVE_UP_US 60000000u

enum node_put_state {
    NODE_PUT_OPENING = 1,
    NODE_PUT_OPEN,
    NODE_PUT_COMMITTING,
    NODE_PUT_FAILED,
    NODE_PUT_ENDED,
};

struct node_put_stripe;

enum node_put_extent_state {
    NODE_EXTENT_OPEN = 0,
    NODE_EXTENT_REBUILDING,
    NODE_EXTENT_PROPOSING,
    NODE_EXTENT_DONE,
};

struct node_put_extent {
    struct node_put *p;
    struct node_timer timer;
    enum node_put_extent_state state;
    uint32_t number;
    uint32_t placement_group;
    unsigned nodes_count;
    uint32_t nodes[NODE_OBJECTS_PEERS_MAX];
    bool refused[NODE_OBJECTS_PEERS_MAX]; /* by position: failed a write of this extent */
    uint32_t home[NODE_OBJECT_SHARDS_MAX];
    uint32_t holder[NODE_OBJECT_SHARDS_MAX];
    uint32_t failed; /* shards that their holders do not have whole */
    uint32_t target[NODE_OBJECT_SHARDS_MAX];
    uint32_t rebuilding;
    unsigned rebuilds;
    uint32_t stripes; /* begun */
    uint32_t hashed;
    uint32_t done;
    bool closed; /* no more stripes */
    bool known;  /* its record is in the state: roots need not travel again */
    uint64_t bytes;
    uint64_t give_up_us;
    uint64_t revision; /* of its record */
    size_t roots_bytes;
    uint8_t *roots;
    struct node_fingers fingers; /* kept as long as roots; none without parity */
    uint32_t cells_left;         /* derived: those that are not durable yet */
    bool bare;                   /* derived: parity is not made yet */
    uint32_t coder;              /* derived: who makes it */
    uint32_t cells_count;
    uint8_t *cells; /* derived: enum node_put_cell of each */
};

enum node_put_cell { NODE_PUT_CELL_NONE = 0, NODE_PUT_CELL_BEGUN, NODE_PUT_CELL_DONE };

/* What an upload's cells follow from. */
struct node_put_from {
    uint32_t group;
    struct node_version version;
    uint64_t moved; /* bytes between nodes, so far */
    size_t program_bytes;
    uint8_t program[];
};

struct node_put_wait {
    struct node_client client;
    uint64_t received;
};

struct node_put {
    struct node_work link;
    struct node_objects *o;
    unsigned refs;
    enum node_put_state state;
    int code; /* why it failed */
    struct node_version version;
    uint64_t conn;
    uint32_t group;
    size_t bucket_bytes;
    struct buf names; /* bucket, then name */
    struct node_shape shape;
    const struct erasure_code *erasure;
    bool sized;
    bool has_intent;
    bool unknown; /* a commit was sent and its outcome never learnt */
    bool proposing;
    uint64_t size;
    uint64_t received;
    uint64_t stripe_data;  /* bytes of a whole stripe's data */
    uint64_t stripe_total; /* and parity: what a stripe reserves */
    uint64_t held;
    struct node_put_stripe *fill;
    struct node_put_extent **extents;
    uint32_t extents_count;
    uint32_t extents_cap;
    uint32_t extents_pushed; /* whose roots are in the builder */
    uint32_t extent_stripes;
    struct merkle_builder builder;
    struct node_put_wait waits[NODE_PUT_WAITS_MAX];
    unsigned waits_count;
    struct node_client opener;
    struct node_client committers[NODE_PUT_COMMITTERS_MAX];
    unsigned committers_count;
    unsigned cancels;
    uint8_t root[MERKLE_HASH_BYTES];
    struct node_put_from *from; /* NULL: from parts */
    struct node_session_ref session;
    uint64_t created_us;
    uint64_t give_up_us;
    uint64_t active_us; /* of the last part */
    struct node_timer renew;
    struct node_timer retry;
};

struct node_put_write {
    struct node_put_stripe *stripe;
    uint8_t shard;
};

struct node_put_stripe {
    struct node_task task;
    struct node_timer timer;
    struct node_put *p;
    struct node_put_extent *x;
    uint32_t number; /* in its extent */
    uint64_t filled;
    uint32_t coded;
    struct node_blob *cell[NODE_OBJECT_SHARDS_MAX];
    uint32_t bytes[NODE_OBJECT_SHARDS_MAX];
    uint8_t *data[NODE_OBJECT_SHARDS_MAX];
    size_t leaves_bytes;
    uint8_t *leaves; /* of data cells, each with room for a whole cell's */
    uint8_t roots[NODE_OBJECT_SHARDS_MAX][MERKLE_HASH_BYTES];
    struct erasure_check check; /* of the encoding */
    unsigned writing;
    uint32_t again; /* shards to be written again: their holder was busy */
    uint64_t deadline_us;
    struct node_put_write writes[NODE_OBJECT_SHARDS_MAX];
};

static inline struct bytes node_put_bucket(const struct node_put *p)
{
    return bytes_of(p->names.data, p->bucket_bytes);
}
static inline struct bytes node_put_object(const struct node_put *p)
{
    return bytes_of(p->names.data + p->bucket_bytes, p->names.size - p->bucket_bytes);
}

/* put_api.c */
int node_put_new(struct node_objects *o, struct bytes bucket, struct bytes name,
                 struct node_put **out);
void node_put_intent(struct node_put *p);
/* Answers for an upload that is not open here. returns: whether it did. */
bool node_put_reply_ended(struct node *n, struct node_client client, struct node_put *p,
                          uint64_t id, bool commit);
struct node_put *node_put_find(struct node_objects *o, uint64_t id);
void node_put_release(struct node_put *p); /* one thing less under way */
void node_put_fail(struct node_put *p, int code);
void node_put_succeed(struct node_put *p);
void node_put_waits_release(struct node_put *p);

/* put.c */
int node_put_take(struct node_put *p, struct bytes data);
void node_put_launch(struct node_put *p); /* the filling stripe, whole or not */
void node_put_stripe_free(struct node_put_stripe *s);

/* put_extent.c */
struct node_put_extent *node_put_extent_current(struct node_put *p);
/* The next one, placed as `like`, whose cells its own follow from. returns: 0, or why not. */
int node_put_extent_like(struct node_put *p, const struct node_extent *like);
void node_put_extent_failed(struct node_put_extent *x, uint8_t shard, int code);
void node_put_extent_judge(struct node_put_extent *x);
void node_put_extent_record(const struct node_put_extent *x, struct node_extent *e);
/* Whether an extent on these holders, all shards durable, keeps the commit rule. */
bool node_put_holders_safe(const struct node_put *p, const uint32_t *nodes, unsigned count,
                           const uint32_t *holders);
void node_put_extents_free(struct node_put *p);
void node_put_roots_push(struct node_put *p);
void node_put_finish(struct node_put *p); /* committing: what is the next step? */

/* put_derive.c */
void node_put_from_free(struct node_put *p);
void node_put_extent_parity(struct node_put_extent *x); /* all its cells are there */
/* Counts what went between nodes for shards that `at` made of an extent's cells. */
void node_put_extent_moved(const struct node_put_extent *x, uint32_t at, uint32_t made,
                           const uint32_t *target);

#endif
