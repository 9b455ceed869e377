/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Objects on a cluster of the rig, short to write: bucket b, content from a seed.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_OBJECT_RIG_H
#define HOLDFAST_TESTS_UNIT_NODE_OBJECT_RIG_H

#include "base/crc.h"
#include "compute/compute.h"
#include "merkle/merkle.h"
#include "rig.h"
#include "wire/api.h"

#include <check.h>
#include <stdio.h>

#define SECOND 1000000u
#define BYTES_MAX (1u << 20)

static struct rig *r;
static uint8_t content[BYTES_MAX];
static uint8_t back[BYTES_MAX];
static uint8_t hashes[(BYTES_MAX / COMPUTE_LEAF_BYTES + 1) * COMPUTE_HASH_BYTES];
static uint8_t root[MERKLE_HASH_BYTES];

/* A cluster with small extents (two stripes of 3+2) and short times, and bucket b. */
static inline void cluster(unsigned nodes, unsigned k, unsigned m)
{
    char words[64];
    struct rng rng;
    rng_init(&rng, 42);
    rng_fill(&rng, content, sizeof content);
    r = rig_new(nodes);
    r->limits.extent_bytes = 6 * 65536;
    r->intent_ttl_us = 5 * SECOND;
    r->free_delay_us = 20 * SECOND;
    r->put_deadline_us = 2 * SECOND;
    r->audit_interval_us = SECOND / 4;
    for (unsigned i = 1; i <= nodes; i++) {
        rig_stop(r, i);
    }
    for (unsigned i = 1; i <= nodes; i++) {
        rig_start(r, i);
    }
    ck_assert_uint_ne(rig_leader(r, 0), 0);
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    rig_run(r, SECOND);
    (void)snprintf(words, sizeof words, "s:b|u:%u|u:%u", k, m);
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_BUCKET_CREATE, words, NULL), 0);
}

static inline void tear_down(void)
{
    if (r != NULL) {
        rig_free(r);
        r = NULL;
    }
}

static inline int wait_for(uint32_t msgid, struct wire_node *result)
{
    for (unsigned tries = 0; tries < 20000; tries++) {
        int code = rig_answer(r, msgid, result);
        if (code != 1) {
            return code;
        }
        rig_run(r, 2000);
    }
    return 1;
}

static inline uint64_t number(struct wire_node map, const char *name)
{
    uint64_t v = 0;
    ck_assert_int_eq(wire_node_u64(wire_node_find(map, name), &v), 0);
    return v;
}

static inline uint32_t send_part(unsigned node, uint64_t upload, uint64_t offset, size_t bytes,
                                 uint32_t crc)
{
    struct buf out;
    uint32_t msgid = ++r->next_msgid;
    buf_init(&out, &r->heap, 4u << 20);
    (void)wire_pack_request(&out, msgid, WIRE_METHOD_OBJECT_PART, 4);
    (void)wire_pack_u64(&out, upload);
    (void)wire_pack_u64(&out, offset);
    (void)wire_pack_bin(&out, bytes_of(content + offset, bytes));
    (void)wire_pack_u64(&out, crc);
    rig_send(r, node, buf_view(&out));
    buf_release(&out);
    return msgid;
}

static inline int put_open(unsigned node, const char *name, uint64_t size, uint64_t *upload)
{
    char words[128];
    struct wire_node result;
    (void)snprintf(words, sizeof words, "s:b|s:%s|u:%llu", name, (unsigned long long)size);
    int code = rig_call(r, node, WIRE_METHOD_OBJECT_PUT, words, &result);
    if (code == 0) {
        *upload = number(result, WIRE_FIELD_UPLOAD);
    }
    return code;
}

static inline int put_parts(unsigned node, uint64_t upload, uint64_t from, uint64_t to)
{
    while (from < to) {
        size_t bytes = NUM_MIN(to - from, (uint64_t)100000);
        int code =
            wait_for(send_part(node, upload, from, bytes, crc_of(content + from, bytes)), NULL);
        if (code != 0) {
            return code;
        }
        from += bytes;
    }
    return 0;
}

static inline void root_set(uint64_t size)
{
    for (uint64_t at = 0; at < size; at += COMPUTE_LEAF_BYTES) {
        compute_leaf_hash(content + at, NUM_MIN(size - at, (uint64_t)COMPUTE_LEAF_BYTES),
                          hashes + at / COMPUTE_LEAF_BYTES * COMPUTE_HASH_BYTES);
    }
    merkle_root_of(hashes, compute_leaves_of(size), root);
}

static inline uint32_t send_commit(unsigned node, uint64_t upload, uint64_t size)
{
    struct buf out;
    uint32_t msgid = ++r->next_msgid;
    buf_init(&out, &r->heap, 4096);
    (void)wire_pack_request(&out, msgid, WIRE_METHOD_OBJECT_COMMIT, 3);
    (void)wire_pack_u64(&out, upload);
    (void)wire_pack_u64(&out, size);
    (void)wire_pack_bin(&out, bytes_of(root, sizeof root));
    rig_send(r, node, buf_view(&out));
    buf_release(&out);
    return msgid;
}

static inline int put(unsigned node, const char *name, uint64_t size)
{
    uint64_t upload = 0;
    int code = put_open(node, name, size, &upload);
    code = code != 0 ? code : put_parts(node, upload, 0, size);
    root_set(size);
    return code != 0 ? code : wait_for(send_commit(node, upload, size), NULL);
}

static inline int stat_of(unsigned node, const char *name, struct wire_node *result)
{
    char words[128];
    (void)snprintf(words, sizeof words, "s:b|s:%s", name);
    return rig_call(r, node, WIRE_METHOD_OBJECT_STAT, words, result);
}

/* Reads [from, from + bytes) of one cell into `back` and proves nothing more than its bytes. */
static inline int read_range(unsigned node, const char *name, uint64_t version, uint64_t from,
                             uint64_t bytes)
{
    char words[200];
    struct wire_node result;
    struct bytes data;
    (void)snprintf(words, sizeof words, "s:b|s:%s|u:%llu|u:%llu|u:%llu", name,
                   (unsigned long long)version, (unsigned long long)from,
                   (unsigned long long)bytes);
    int code = rig_call(r, node, WIRE_METHOD_OBJECT_READ, words, &result);
    if (code != 0) {
        return code;
    }
    uint64_t offset = number(result, WIRE_FIELD_OFFSET);
    ck_assert_int_eq(wire_node_bytes(wire_node_find(result, WIRE_FIELD_DATA), 1u << 20, &data), 0);
    ck_assert_uint_eq(number(result, WIRE_FIELD_CRC32C), crc_of(data.data, data.size));
    ck_assert(from <= sizeof back && bytes <= sizeof back - from);
    ck_assert(offset <= from && offset + data.size >= from + bytes);
    memcpy(back + from, data.data + (from - offset), bytes);
    return 0;
}

static inline int get_version(unsigned node, const char *name, uint64_t version, uint64_t size)
{
    memset(back, 0, sizeof back);
    for (uint64_t at = 0; at < size; at += 65536) {
        int code = read_range(node, name, version, at, NUM_MIN(size - at, (uint64_t)65536));
        if (code != 0) {
            return code;
        }
    }
    return memcmp(back, content, size) == 0 ? 0 : ERR_CORRUPT;
}

static inline int get(unsigned node, const char *name, uint64_t size)
{
    struct wire_node result;
    int code = stat_of(node, name, &result);
    if (code != 0 || wire_node_is_nil(result)) {
        return code != 0 ? code : ERR_NOT_FOUND;
    }
    return get_version(node, name, number(result, WIRE_FIELD_VERSION), size);
}

/* All parts of object.verify. returns: missing and damaged together. */
static inline uint64_t verify_bad(unsigned node, const char *name)
{
    uint64_t cursor = 0;
    uint64_t bad = 0;
    bool more = true;
    while (more) {
        char words[128];
        struct wire_node result;
        (void)snprintf(words, sizeof words, "s:b|s:%s|u:%llu", name, (unsigned long long)cursor);
        ck_assert_int_eq(rig_call(r, node, WIRE_METHOD_OBJECT_VERIFY, words, &result), 0);
        bad += number(result, WIRE_FIELD_MISSING) + number(result, WIRE_FIELD_DAMAGED);
        more = wire_node_u64(wire_node_find(result, WIRE_FIELD_NEXT), &cursor) == 0;
    }
    return bad;
}

static inline bool repaired(unsigned node, const char *name)
{
    for (unsigned i = 0; i < 100; i++) {
        struct wire_node result;
        if (stat_of(node, name, &result) == 0 && !wire_node_is_nil(result) &&
            number(result, WIRE_FIELD_SHARDS_MISSING) == 0) {
            return verify_bad(node, name) == 0;
        }
        rig_run(r, SECOND / 2);
    }
    return false;
}

static inline uint64_t cells_everywhere(void)
{
    uint64_t cells = 0;
    for (unsigned i = 0; i < r->nodes_count; i++) {
        struct store_segments_stats stats;
        if (r->nodes[i].up) {
            store_segments_stats_get(r->nodes[i].segments, &stats);
            cells += stats.cells;
        }
    }
    return cells;
}

#endif
