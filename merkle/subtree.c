/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Subtrees: leaves [start, end) of a tree, hashed as a tree of their own (Merkle Tree Certificates
 * draft, "Subtrees"). Since start is a multiple of a power of two that holds them all, a subtree is
 * a node of the perfect tree over all numbers, cut at end; only nodes on that cut, its right edge,
 * may differ from the nodes of the tree that it lies in.
 *
 * A consistency proof therefore begins at the highest node of the right edge that both have, and
 * goes up. Three positions rise together, one level at a time:
 *
 *   fn   the first node of the subtree          start at level 0
 *   sn   the last node of the subtree           end - 1
 *   tn   the last node of the tree              size - 1
 *
 * While sn is odd, its parent ends at the subtree's end as well, so both have it. If both end at
 * the same leaf, both have the whole right edge. At fn = sn it is the whole subtree: its root is
 * known, and the proof need not repeat it. Above the beginning, a sibling on the left that begins
 * at fn or after it (fn < sn) belongs to the subtree and to the tree; one before fn to the tree
 * only; one on the right is beyond the subtree. A last node of the tree with no sibling is its own
 * parent and takes no hash. With start 0 this is RFC 9162, 2.1.4.
 */
#include "base/num.h"
#include "compute/compute.h"
#include "merkle/merkle_internal.h"

struct climb {
    uint64_t fn;
    uint64_t sn;
    uint64_t tn;
    unsigned level;
};

static void rise(struct climb *c)
{
    c->fn >>= 1;
    c->sn >>= 1;
    c->tn >>= 1;
    c->level++;
}

/* returns: the highest right-edge node that subtree and tree share. sub: valid, not empty, in the
 * tree. */
static struct climb begin(uint64_t size, const struct merkle_subtree *sub)
{
    struct climb c = {.fn = sub->start, .sn = sub->end - 1, .tn = size - 1};
    bool ends_together = c.sn == c.tn;
    while (c.fn != c.sn && (ends_together || (c.sn & 1) != 0)) {
        rise(&c);
    }
    ASSERT(c.level <= MERKLE_LEVELS_MAX);
    return c;
}

bool merkle_subtree_valid(const struct merkle_subtree *sub)
{
    if (sub->start > sub->end) {
        return false;
    }
    const uint64_t count = sub->end - sub->start;
    if (count > UINT64_C(1) << 63) {
        return sub->start == 0; /* the power of two is 2^64 */
    }
    return sub->start % merkle_round_up_pow2(count) == 0;
}

int merkle_subtree_inclusion_verify(const struct merkle_subtree *sub, uint64_t index,
                                    const uint8_t leaf[MERKLE_HASH_BYTES], struct bytes proof,
                                    const uint8_t root[MERKLE_HASH_BYTES])
{
    if (!merkle_subtree_valid(sub) || index < sub->start) {
        return ERR_CORRUPT;
    }
    return merkle_inclusion_verify(sub->end - sub->start, index - sub->start, leaf, proof, root);
}

int merkle_subtree_consistency_make(const struct merkle_tree *tree,
                                    const struct merkle_subtree *sub, struct merkle_proof *proof)
{
    proof->count = 0;
    if (!merkle_subtree_valid(sub) || sub->start == sub->end || sub->end > tree->size) {
        return ERR_RANGE;
    }
    const struct climb c = begin(tree->size, sub);
    if (c.fn != c.sn) {
        TRY(merkle_take_node(tree, c.sn << c.level, sub->end, proof));
    }
    return merkle_take_path(tree, c.sn, c.level, proof);
}

/* Turns the shared node, which both roots hold, and its path into the roots of both. returns: false
 * if the path is too long or too short. */
static bool climb(struct climb *c, struct bytes path, uint8_t *inner, uint8_t *whole)
{
    for (size_t i = 0; i < path.size; i += MERKLE_HASH_BYTES) {
        const uint8_t *sibling = path.data + i;
        if (c->tn == 0) {
            return false;
        }
        while (c->sn == c->tn && (c->sn & 1) == 0) {
            rise(c); /* ends: tn is not 0 */
        }
        if ((c->sn & 1) != 0) {
            if (c->fn < c->sn) {
                compute_node_hash(sibling, inner, inner);
            }
            compute_node_hash(sibling, whole, whole);
        } else {
            compute_node_hash(whole, sibling, whole);
        }
        rise(c);
    }
    return c->tn == 0;
}

int merkle_subtree_consistency_verify(uint64_t size, const struct merkle_subtree *sub,
                                      const uint8_t node[MERKLE_HASH_BYTES],
                                      const uint8_t root[MERKLE_HASH_BYTES], struct bytes proof)
{
    uint8_t inner[MERKLE_HASH_BYTES];
    uint8_t whole[MERKLE_HASH_BYTES];
    if (!merkle_subtree_valid(sub) || sub->end > size ||
        !merkle_proof_fits(proof, MERKLE_LEVELS_MAX + 1)) {
        return ERR_CORRUPT;
    }
    if (sub->start == sub->end) {
        merkle_root_empty(inner);
        return proof.size == 0 && merkle_same(inner, node) ? 0 : ERR_CORRUPT;
    }
    struct climb c = begin(size, sub);
    const uint8_t *shared = node;
    if (c.fn != c.sn) {
        if (proof.size == 0) {
            return ERR_CORRUPT;
        }
        shared = proof.data;
        proof = bytes_of(proof.data + MERKLE_HASH_BYTES, proof.size - MERKLE_HASH_BYTES);
    }
    memcpy(inner, shared, sizeof(inner));
    memcpy(whole, shared, sizeof(whole));
    bool ends = climb(&c, proof, inner, whole);
    return ends && merkle_same(inner, node) && merkle_same(whole, root) ? 0 : ERR_CORRUPT;
}
