/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Proofs. Node `index` of `level` covers leaves from index << level, 2^level of them or as many as
 * there are; where that is cut by the tree's end, nodes of several levels are the same node.
 * Verifiers of single leaves and older trees are RFC 9162, sections 2.1.3.2 and 2.1.4.2. A range
 * is checked by building the tree anew from the proof's nodes and the range's leaves.
 */
#include "base/num.h"
#include "compute/compute.h"
#include "merkle/merkle_internal.h"

int merkle_take_node(const struct merkle_tree *tree, uint64_t first, uint64_t end,
                     struct merkle_proof *proof)
{
    ASSERT(proof->count < MERKLE_PROOF_MAX);
    ASSERT(first < end && end <= tree->size);
    TRY(tree->node(tree->ctx, first, end - first, proof->nodes[proof->count]));
    proof->count++;
    return 0;
}

int merkle_take_path(const struct merkle_tree *tree, uint64_t index, unsigned level,
                     struct merkle_proof *proof)
{
    const uint64_t last = tree->size - 1;
    for (; level < MERKLE_LEVELS_MAX && (last >> level) > 0; level++) {
        uint64_t first = (index ^ 1) << level;
        if (index != (last >> level) || (index & 1) != 0) {
            uint64_t leaves = NUM_MIN(UINT64_C(1) << level, tree->size - first);
            TRY(merkle_take_node(tree, first, first + leaves, proof));
        }
        index >>= 1;
    }
    return 0;
}

int merkle_inclusion_make(const struct merkle_tree *tree, uint64_t index,
                          struct merkle_proof *proof)
{
    proof->count = 0;
    if (index >= tree->size) {
        return ERR_RANGE;
    }
    return merkle_take_path(tree, index, 0, proof);
}

/* Turns a node and its path into roots, RFC 9162, 2.1.3.2 step 4 and 2.1.4.2 step 6: `whole` over
 * all leaves, and `before`, if not NULL, over those up to the node only. at: the node's index;
 * last: that of the last node of its level. returns: false if the path is too long or too short. */
static bool climb(uint64_t at, uint64_t last, struct bytes path, uint8_t *whole, uint8_t *before)
{
    for (size_t i = 0; i < path.size; i += MERKLE_HASH_BYTES) {
        const uint8_t *sibling = path.data + i;
        if (last == 0) {
            return false;
        }
        if ((at & 1) != 0 || at == last) {
            compute_node_hash(sibling, whole, whole);
            if (before != NULL) {
                compute_node_hash(sibling, before, before);
            }
            while ((at & 1) == 0 && at != 0) {
                at >>= 1;
                last >>= 1;
            }
        } else {
            compute_node_hash(whole, sibling, whole);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0;
}

int merkle_inclusion_verify(uint64_t size, uint64_t index, const uint8_t leaf[MERKLE_HASH_BYTES],
                            struct bytes proof, const uint8_t root[MERKLE_HASH_BYTES])
{
    uint8_t node[MERKLE_HASH_BYTES];
    if (index >= size || !merkle_proof_fits(proof, MERKLE_LEVELS_MAX)) {
        return ERR_CORRUPT;
    }
    memcpy(node, leaf, sizeof(node));
    return climb(index, size - 1, proof, node, NULL) && merkle_same(node, root) ? 0 : ERR_CORRUPT;
}

int merkle_consistency_make(const struct merkle_tree *tree, uint64_t size1,
                            struct merkle_proof *proof)
{
    proof->count = 0;
    if (size1 == 0 || size1 > tree->size) {
        return ERR_RANGE;
    }
    if (size1 == tree->size) {
        return 0;
    }
    /* the last perfect subtree of the older tree, and the path from it */
    uint64_t leaves = merkle_lowest_bit(size1);
    unsigned level = 0;
    while ((UINT64_C(1) << level) < leaves) {
        level++;
    }
    if (leaves != size1) {
        /* a verifier knows it already where it is the whole older tree */
        TRY(merkle_take_node(tree, size1 - leaves, size1, proof));
    }
    return merkle_take_path(tree, (size1 - 1) >> level, level, proof);
}

int merkle_consistency_verify(uint64_t size1, uint64_t size2,
                              const uint8_t root1[MERKLE_HASH_BYTES],
                              const uint8_t root2[MERKLE_HASH_BYTES], struct bytes proof)
{
    if (size1 == 0 || size1 > size2 || !merkle_proof_fits(proof, MERKLE_LEVELS_MAX + 1)) {
        return ERR_CORRUPT;
    }
    if (size1 == size2) {
        return proof.size == 0 && merkle_same(root1, root2) ? 0 : ERR_CORRUPT;
    }
    const uint64_t leaves = merkle_lowest_bit(size1);
    const uint8_t *start = root1;
    if (leaves != size1) {
        if (proof.size == 0) {
            return ERR_CORRUPT;
        }
        start = proof.data;
        proof = bytes_of(proof.data + MERKLE_HASH_BYTES, proof.size - MERKLE_HASH_BYTES);
    }
    uint8_t older[MERKLE_HASH_BYTES];
    uint8_t newer[MERKLE_HASH_BYTES];
    memcpy(older, start, sizeof(older));
    memcpy(newer, start, sizeof(newer));
    bool ends = climb((size1 - 1) / leaves, (size2 - 1) / leaves, proof, newer, older);
    return ends && merkle_same(older, root1) && merkle_same(newer, root2) ? 0 : ERR_CORRUPT;
}

static bool range_fits(const struct merkle_range *range)
{
    return range->count > 0 && num_fits(range->first, range->count, range->size);
}

/* The next node of the cover of [at, first): the largest that begins at `at`, a multiple of it,
 * and does not reach beyond first. These are the binary digits of first. */
static uint64_t next_before(uint64_t at, uint64_t first)
{
    uint64_t left = first - at;
    uint64_t leaves = UINT64_C(1) << 63;
    while (leaves > left) {
        leaves >>= 1;
    }
    return leaves;
}

/* The next node of the cover of [at, size): the largest that begins at `at`, cut at the end. */
static uint64_t next_after(uint64_t at, uint64_t size)
{
    return NUM_MIN(merkle_lowest_bit(at), size - at);
}

unsigned merkle_range_nodes(const struct merkle_range *range)
{
    unsigned nodes = 0;
    if (!range_fits(range)) {
        return 0;
    }
    for (uint64_t at = 0; at < range->first; at += next_before(at, range->first)) {
        nodes++;
    }
    for (uint64_t at = range->first + range->count; at < range->size;
         at += next_after(at, range->size)) {
        nodes++;
    }
    return nodes;
}

int merkle_range_make(const struct merkle_tree *tree, uint64_t first, uint64_t count,
                      struct merkle_proof *proof)
{
    const struct merkle_range range = {.size = tree->size, .first = first, .count = count};
    proof->count = 0;
    if (!range_fits(&range)) {
        return ERR_RANGE;
    }
    uint64_t leaves = 0;
    for (uint64_t at = 0; at < first; at += leaves) {
        leaves = next_before(at, first);
        TRY(merkle_take_node(tree, at, at + leaves, proof));
    }
    for (uint64_t at = first + count; at < tree->size; at += leaves) {
        leaves = next_after(at, tree->size);
        TRY(merkle_take_node(tree, at, at + leaves, proof));
    }
    return 0;
}

int merkle_range_verify(const struct merkle_range *range, const uint8_t *hashes, struct bytes proof,
                        const uint8_t root[MERKLE_HASH_BYTES])
{
    struct merkle_builder b;
    uint8_t built[MERKLE_HASH_BYTES];
    if (!range_fits(range) || proof.size != (size_t)merkle_range_nodes(range) * MERKLE_HASH_BYTES) {
        return ERR_CORRUPT;
    }
    const uint8_t *node = proof.data;
    merkle_builder_init(&b);
    while (b.count < range->first) {
        uint64_t leaves = next_before(b.count, range->first);
        ASSERT(merkle_builder_push_subtree(&b, node, leaves) == 0);
        node += MERKLE_HASH_BYTES;
    }
    merkle_builder_push(&b, hashes, range->count);
    while (b.count < range->size) {
        uint64_t leaves = next_after(b.count, range->size);
        ASSERT(merkle_builder_push_subtree(&b, node, leaves) == 0);
        node += MERKLE_HASH_BYTES;
    }
    merkle_builder_root(&b, built);
    return merkle_same(built, root) ? 0 : ERR_CORRUPT;
}
