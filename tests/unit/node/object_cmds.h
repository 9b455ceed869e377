/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Commands on objects, short to write: one bucket "b" of 3+2, versions (7, counter), extents of one
 * stripe at homes 1 to 5.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_OBJECT_CMDS_H
#define HOLDFAST_TESTS_UNIT_NODE_OBJECT_CMDS_H

#include "tests/unit/node/objects_state.h"

#include <check.h>

static struct state *st;

static inline void set_up(void)
{
    st = state_new();
}

static inline void tear_down(void)
{
    state_free(st);
}

static const struct node_shape shape = {
    .scheme = {3, 2}, .cell_bytes = 65536, .extent_bytes = 3 * 65536};

static inline struct node_version version(uint64_t counter)
{
    return (struct node_version){.grant = 7, .counter = counter};
}

static inline struct node_object_cmd target(uint64_t counter, const char *name)
{
    return (struct node_object_cmd){.version = version(counter),
                                    .bucket = bytes_of_text("b"),
                                    .name = bytes_of_text(name),
                                    .shape = shape,
                                    .span = 100};
}

static inline int bucket_create(const char *name)
{
    const struct node_object_cmd c = {.bucket = bytes_of_text(name), .shape = shape};
    return state_apply(st, NODE_OP_BUCKET_CREATE, &c, NULL);
}

static inline int intent(uint64_t counter, const char *name)
{
    const struct node_object_cmd c = target(counter, name);
    return state_apply(st, NODE_OP_PUT_INTENT, &c, NULL);
}

static uint8_t roots[64 * MERKLE_HASH_BYTES];

/* failed: shards that are not durable. Homes are nodes 1 to 5. */
static inline void extent_cmd(struct node_object_cmd *c, uint64_t counter, uint32_t number,
                              uint32_t failed)
{
    *c = (struct node_object_cmd){0};
    c->extent = (struct node_extent){.placement_group = 3,
                                     .scheme = shape.scheme,
                                     .stripes = 1,
                                     .bytes = 3 * 65536,
                                     .durable = 31u & ~failed,
                                     .cells = 3,
                                     .roots = bytes_of(roots, 3 * MERKLE_HASH_BYTES)};
    for (uint32_t i = 0; i < 5; i++) {
        c->extent.home[i] = c->extent.holder[i] = i + 1;
    }
    node_extent_ref_of(version(counter), number, &c->extent, &c->ref);
}

static inline uint64_t extent_revision(uint64_t counter, uint32_t number)
{
    struct node_name name;
    struct node_extent e;
    node_name_extent(&name, version(counter), number);
    return node_extent_decode(state_value(st, &name), &e) == 0 ? e.revision : 0;
}

static inline int extent(uint64_t counter, uint32_t number, uint32_t failed)
{
    struct node_object_cmd c;
    extent_cmd(&c, counter, number, failed);
    c.extent.revision = extent_revision(counter, number);
    return state_apply(st, NODE_OP_PUT_EXTENT, &c, NULL);
}

static inline int commit(uint64_t counter, const char *name, uint32_t extents)
{
    struct node_object_cmd c = target(counter, name);
    c.extents = extents;
    c.size = (uint64_t)extents * 3 * 65536;
    return state_apply(st, NODE_OP_PUT_COMMIT, &c, NULL);
}

static inline int cancel(uint64_t counter, bool if_expired)
{
    struct node_object_cmd c = {.version = version(counter), .flag = if_expired};
    return state_apply(st, NODE_OP_PUT_CANCEL, &c, NULL);
}

static inline int put_inline(uint64_t counter, const char *name, const char *text)
{
    struct node_object_cmd c = target(counter, name);
    c.data = bytes_of_text(text);
    c.size = c.data.size;
    return state_apply(st, NODE_OP_PUT_INLINE, &c, NULL);
}

static inline int put_whole(uint64_t counter, const char *name, uint32_t failed)
{
    int err = intent(counter, name);
    err = err != 0 ? err : extent(counter, 0, failed);
    return err != 0 ? err : commit(counter, name, 1);
}

static inline int shard_cmd(uint8_t op, uint64_t counter, uint8_t shard, uint64_t revision)
{
    struct node_object_cmd c;
    extent_cmd(&c, counter, 0, 0);
    c.shard = shard;
    c.revision = revision;
    return state_apply(st, op, &c, NULL);
}

static inline struct node_extent extent_get(uint64_t counter, uint32_t number)
{
    struct node_name name;
    struct node_extent e;
    node_name_extent(&name, version(counter), number);
    ck_assert_int_eq(node_extent_decode(state_value(st, &name), &e), 0);
    return e;
}

/* Moves shard to node; lost: shards that no longer count. Homes before: nodes 1 to 5. */
static inline int move(uint64_t counter, unsigned shard, uint32_t node, uint32_t lost)
{
    struct node_object_cmd c = {.revision = extent_get(counter, 0).revision, .lost = lost};
    const struct node_extent e = extent_get(counter, 0);
    node_extent_ref_of(version(counter), 0, &e, &c.ref);
    memcpy(c.move_to, e.home, sizeof c.move_to);
    c.move_to[shard] = node;
    return state_apply(st, NODE_OP_SHARDS_MOVE, &c, NULL);
}

static inline bool missing_at(uint64_t counter, uint32_t node, uint8_t shard)
{
    struct node_name name;
    const struct node_missing_id id = {.node = node, .version = version(counter), .shard = shard};
    node_name_missing(&name, &id);
    return state_has(st, &name);
}

static inline uint64_t missing_of(uint64_t counter)
{
    struct node_name name;
    struct node_version_rec v;
    node_name_version(&name, NODE_KEY_VERSION, version(counter));
    ck_assert_int_eq(node_version_decode(state_value(st, &name), &v), 0);
    return v.missing;
}

static inline int repaired_at(uint64_t counter, uint8_t shard)
{
    struct node_object_cmd c = {.shard = shard};
    const struct node_extent e = extent_get(counter, 0);
    node_extent_ref_of(version(counter), 0, &e, &c.ref);
    return state_apply(st, NODE_OP_SHARD_REPAIRED, &c, NULL);
}

#endif
