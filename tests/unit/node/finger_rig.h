/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints in the records of extents, and cells with right checksums and wrong bytes, short to
 * write: object a, or another one, of bucket b of the rig.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_FINGER_RIG_H
#define HOLDFAST_TESTS_UNIT_NODE_FINGER_RIG_H

#include "object_rig.h"
#include "server/node/objects_internal.h"

#define FINGER_CELL 65536u

struct finger_ask {
    struct node_objects *o;
    struct node_version version;
    uint32_t extent;
    int code; /* 1: no answer yet */
    struct node_extent_info *info;
};

static inline void finger_learnt(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct finger_ask *a = ctx;
    a->code = code != 0 ? code : node_info_learn(a->o, 1, a->version, a->extent, reply, &a->info);
}

/* An extent as its record is now, by asking a node. The caller releases it. */
static inline struct node_extent_info *extent_of(unsigned node, const char *name, uint32_t extent)
{
    struct wire_node result;
    ck_assert_int_eq(stat_of(node, name, &result), 0);
    struct finger_ask a = {.o = node_objects_get(r->nodes[node - 1].node),
                           .version = node_version_of_wire(number(result, WIRE_FIELD_VERSION)),
                           .extent = extent,
                           .code = 1};
    const struct node_object_ask ask = {
        .version = a.version, .from = extent, .limit = 1, .roots = true};
    ck_assert_int_eq(node_objects_ask(a.o, 1, NODE_QUERY_OBJECT_EXTENTS, &ask,
                                      node_objects_patience(a.o), &a, finger_learnt),
                     0);
    for (unsigned i = 0; i < 100 && a.code == 1; i++) {
        rig_run(r, SECOND / 10);
    }
    ck_assert_int_eq(a.code, 0);
    return a.info;
}

/* A cell as its holder's disk has it. returns: its bytes. */
static inline uint32_t cell_read(const struct node_extent_info *info, uint32_t stripe,
                                 uint8_t shard, uint8_t *into)
{
    static struct store_cell_info is;
    const struct store_cell_id id = {.extent_grant = info->version.grant,
                                     .extent_counter = info->version.counter,
                                     .cell = node_info_cell(info, stripe),
                                     .shard = shard};
    struct store_segments *s = r->nodes[info->e.holder[shard] - 1].segments;
    const uint32_t bytes = node_info_cell_bytes(info, stripe, shard);
    ck_assert_int_eq(store_segments_get(s, &id, 0, bytes, into, &is), 0);
    ck_assert_uint_eq(is.bytes, bytes);
    return bytes;
}

/* Stores a cell once more as its holder has it, with one bit flipped and right checksums. */
static inline void cell_flip(const struct node_extent_info *info, uint32_t stripe, uint8_t shard,
                             uint64_t bit)
{
    static uint8_t bytes[FINGER_CELL];
    static uint8_t leaves[FINGER_CELL / COMPUTE_LEAF_BYTES * COMPUTE_HASH_BYTES];
    struct rig_node *n = &r->nodes[info->e.holder[shard] - 1];
    const bool data = shard < info->e.scheme.k;
    const struct store_cell cell = {
        .id = {.extent_grant = info->version.grant,
               .extent_counter = info->version.counter,
               .cell = node_info_cell(info, stripe),
               .shard = shard},
        .group = info->group,
        .bytes = cell_read(info, stripe, shard, bytes),
        .leaves_count =
            data ? (uint32_t)compute_leaves_of(node_info_cell_bytes(info, stripe, shard)) : 0,
        .leaves = data ? leaves : NULL,
        .data = bytes};
    ck_assert_uint_lt(bit / 8, cell.bytes);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (data) {
        compute_leaf_hashes(r->compute, bytes, cell.bytes, leaves);
    }
    ck_assert_int_eq(store_segments_put(n->segments, &cell), 0);
    ck_assert_int_eq(store_segments_sync(n->segments), 0);
}

/* Over all nodes that are up. */
static inline uint64_t cells_wrong(void)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < r->nodes_count; i++) {
        count += r->nodes[i].up ? node_objects_get(r->nodes[i].node)->counters.cells_wrong : 0;
    }
    return count;
}

static inline uint64_t damage_reports(void)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < r->nodes_count; i++) {
        count += r->nodes[i].up ? node_objects_get(r->nodes[i].node)->counters.damage_reports : 0;
    }
    return count;
}

/* The record's fingerprints are those of the content, and what follows from them those of what the
 * disks have. */
static inline void check_fingers(const struct node_extent_info *info)
{
    static uint8_t cell[FINGER_CELL];
    struct erasure_finger is;
    struct erasure_finger due;
    const unsigned shards = (unsigned)info->e.scheme.k + info->e.scheme.m;
    ck_assert_uint_eq(info->e.fingers.size, (size_t)info->e.cells * ERASURE_FINGER_BYTES);
    for (uint32_t i = 0; i < info->e.cells; i++) {
        const uint64_t from = info->extent * info->layout.extent_bytes + (uint64_t)i * FINGER_CELL;
        const uint32_t stripe = i / info->e.scheme.k;
        const uint8_t shard = (uint8_t)(i % info->e.scheme.k);
        erasure_finger_of(bytes_of(content + from, node_info_cell_bytes(info, stripe, shard)), &is);
        ck_assert(node_info_finger(info, stripe, shard, &due));
        ck_assert_mem_eq(&is, &due, sizeof is);
    }
    for (uint32_t stripe = 0; stripe < info->e.stripes; stripe++) {
        for (uint8_t s = info->e.scheme.k; s < shards; s++) {
            erasure_finger_of(bytes_of(cell, cell_read(info, stripe, s, cell)), &is);
            ck_assert(node_info_finger(info, stripe, s, &due));
            ck_assert_mem_eq(&is, &due, sizeof is);
        }
    }
}

#endif
