/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Placement. Rendezvous hashing: every node draws a number h in (0, 1] for a placement group and
 * the order is by -log2(h) / weight, which gives each node the first place with a probability that
 * is its share of all weights (the minimum of exponential variables with these rates). In integers,
 * so that every machine and compiler gives the same order.
 */
#include "base/hash.h"
#include "base/num.h"
#include "erasure/erasure.h"

#define WEIGHT_MAX (1u << 24)
#define DISKS_MAX 64u
#define KEY_SHIFT 24u
#define FRACTION_BITS 32u
#define DRAW_SEED UINT64_C(0x686f6c6466617374)

uint32_t erasure_pg_of(struct erasure_extent_id id, uint32_t pgs)
{
    ASSERT(num_is_pow2(pgs));
    /* extents that one coordinator makes in a row go to all groups in turn */
    return (uint32_t)((hash_mix(id.grant) + id.counter) & (pgs - 1));
}

/* returns: -log2((draw + 1) / 2^64) with FRACTION_BITS bits of fraction: 0 .. 64 * 2^32. Squares
 * the mantissa once a bit: where the square passes 2, the next bit of the logarithm is 1. */
static uint64_t minus_log2(uint64_t draw)
{
    if (draw == UINT64_MAX) {
        return 0;
    }
    uint64_t v = draw + 1;
    uint64_t whole = 63;
    while ((v >> 63) == 0) {
        v <<= 1;
        whole--;
    }
    uint64_t mantissa = v >> 32; /* 1 to 2 with 31 bits of fraction */
    uint64_t fraction = 0;
    for (unsigned bit = 0; bit < FRACTION_BITS; bit++) {
        uint64_t square = mantissa * mantissa;
        uint64_t passed = square >> 63;
        fraction = (fraction << 1) | passed;
        mantissa = square >> (31 + passed);
    }
    return (UINT64_C(64) << FRACTION_BITS) - ((whole << FRACTION_BITS) | fraction);
}

struct ranked {
    uint64_t key; /* smaller is earlier */
    uint32_t id;
    uint32_t zone;
    uint32_t turn; /* how many nodes of the same zone come before; without weight, after all */
};

static bool sorts_before(const struct ranked *a, const struct ranked *b)
{
    if (a->turn != b->turn) {
        return a->turn < b->turn;
    }
    return a->key != b->key ? a->key < b->key : a->id < b->id;
}

static void sort(struct ranked *r, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        struct ranked item = r[i];
        unsigned at = i;
        for (; at > 0 && sorts_before(&item, &r[at - 1]); at--) {
            r[at] = r[at - 1];
        }
        r[at] = item;
    }
}

static uint64_t key_of(const struct erasure_node *node, uint32_t pg)
{
    const uint64_t share = (uint64_t)node->weight * node->disks;
    uint64_t draw = hash_mix(hash_mix(((uint64_t)pg << 32 | node->id) ^ DRAW_SEED) + DRAW_SEED);
    uint64_t log = minus_log2(draw);
    return share == 0 ? log : (log << KEY_SHIFT) / share;
}

/* Gives each node its turn within its zone. r: in order of keys. */
static void take_turns(struct ranked *r, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        for (unsigned before = 0; before < i; before++) {
            r[i].turn += r[before].zone == r[i].zone;
        }
    }
}

static int nodes_check(const struct erasure_node *nodes, unsigned count)
{
    if (count == 0 || count > ERASURE_NODES_MAX) {
        return ERR_INVALID;
    }
    for (unsigned i = 0; i < count; i++) {
        if (nodes[i].weight > WEIGHT_MAX || nodes[i].disks > DISKS_MAX) {
            return ERR_INVALID;
        }
        for (unsigned j = 0; j < i; j++) {
            if (nodes[i].id == nodes[j].id) {
                return ERR_INVALID;
            }
        }
    }
    return 0;
}

int erasure_place_compute(const struct erasure_node *nodes, unsigned count, uint32_t pg,
                          uint32_t *list)
{
    struct ranked ranked[ERASURE_NODES_MAX];
    TRY(nodes_check(nodes, count));
    unsigned weighted = 0;
    unsigned unweighted = count;
    for (unsigned i = 0; i < count; i++) {
        const bool has_share = nodes[i].weight > 0 && nodes[i].disks > 0;
        struct ranked *r = has_share ? &ranked[weighted++] : &ranked[--unweighted];
        *r = (struct ranked){
            .key = key_of(&nodes[i], pg), .id = nodes[i].id, .zone = nodes[i].zone, .turn = 0};
    }
    sort(ranked, weighted);
    take_turns(ranked, weighted);
    sort(ranked, weighted);
    sort(ranked + weighted, count - weighted);
    for (unsigned i = 0; i < count; i++) {
        list[i] = ranked[i].id;
    }
    return 0;
}

/* returns: the position of the least loaded node that is up, the earliest of equals; count if none
 * is. */
static unsigned least_loaded(const bool *up, const unsigned *load, unsigned count)
{
    unsigned best = count;
    for (unsigned i = 0; i < count; i++) {
        if (up[i] && (best == count || load[i] < load[best])) {
            best = i;
        }
    }
    return best;
}

int erasure_assign(struct erasure_scheme scheme, const uint32_t *list, const bool *up,
                   unsigned count, uint32_t *holders)
{
    unsigned load[ERASURE_NODES_MAX] = {0};
    const unsigned shards = (unsigned)scheme.k + scheme.m;
    ASSERT(count > 0 && count <= ERASURE_NODES_MAX);
    if (least_loaded(up, load, count) == count) {
        return ERR_UNAVAILABLE;
    }
    for (unsigned shard = 0; shard < shards; shard++) {
        const unsigned home = shard % count;
        if (up[home]) {
            holders[shard] = list[home];
            load[home]++;
        }
    }
    for (unsigned shard = 0; shard < shards; shard++) {
        if (up[shard % count]) {
            continue;
        }
        unsigned spare = least_loaded(up, load, count);
        holders[shard] = list[spare];
        load[spare]++;
    }
    return 0;
}
