/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Merkle trees of RFC 6962 (RFC 9162, section 2.1) over leaf hashes: roots, and proofs that single
 * leaves, ranges of leaves, subtrees, or an older tree belong to a root. Leaves themselves are
 * hashed in compute/. No recursion, no allocation; work and proofs are O(log n).
 *
 *   merkle_builder_init(&b);                        a stream of unknown length
 *   merkle_builder_push(&b, leaf_hashes, count);    as they come
 *   merkle_builder_root(&b, root);
 *
 *   merkle_range_make(&tree, first, count, &proof);            a node that holds the hashes
 *   merkle_range_verify(&range, hashes, proof_bytes, root);    a client that trusts only root
 *
 * A *cell root* is the root over the leaves of one cell of 2^c leaves (the last cell: 1 to 2^c).
 * Cell roots are nodes of the tree over all leaves, so merkle_root_of(cell roots) is the object's
 * root, and every proof below works on cell roots as it does on leaf hashes.
 *
 * Hashes are 32 bytes, arrays of them without gaps. Proofs are hashes: a proof whose size is not
 * exactly what the tree asks for is refused. Verifiers take anything from outside, including sizes
 * up to 2^64 - 1, and answer 0 or ERR_CORRUPT. A tree's size is trusted as its root is and comes
 * from the same place: one root does not tell apart every two sizes.
 *
 * threads: pure functions; a builder has one owner at a time.
 */
#ifndef HOLDFAST_MERKLE_MERKLE_H
#define HOLDFAST_MERKLE_MERKLE_H

#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define MERKLE_HASH_BYTES 32u
#define MERKLE_LEVELS_MAX 64u
#define MERKLE_PROOF_MAX 128u /* hashes in a proof: 64 for one leaf, 128 for a range */

/* The root of no leaves: SHA-256 of nothing. */
void merkle_root_empty(uint8_t out[MERKLE_HASH_BYTES]);

/* The root over n leaf hashes, or over cell roots. n may be 0. */
void merkle_root_of(const uint8_t *hashes, uint64_t n, uint8_t out[MERKLE_HASH_BYTES]);

/* Incremental root: the roots of the perfect subtrees of what was pushed, largest first. */
struct merkle_builder {
    uint64_t count; /* leaves so far */
    unsigned depth; /* hashes on the stack */
    bool closed;    /* a subtree that is not perfect was pushed: no more leaves */
    uint8_t stack[MERKLE_LEVELS_MAX + 1][MERKLE_HASH_BYTES];
};

void merkle_builder_init(struct merkle_builder *b);
/* Appends n leaf hashes. */
void merkle_builder_push(struct merkle_builder *b, const uint8_t *hashes, uint64_t n);
/* Appends a subtree of `leaves` leaves. Where it begins, b->count, must be a multiple of leaves
 * rounded up to a power of two; one that is not a power of two closes the builder.
 * returns: 0, or ERR_INVALID and nothing is appended. */
int merkle_builder_push_subtree(struct merkle_builder *b, const uint8_t root[MERKLE_HASH_BYTES],
                                uint64_t leaves);
/* The root so far; more may be pushed after. */
void merkle_builder_root(const struct merkle_builder *b, uint8_t out[MERKLE_HASH_BYTES]);

/* What a maker of proofs sees of a tree: its size, and the root over any aligned run of leaves.
 * node: writes the root over leaves [first, first + count); count is a power of two, or the run
 * ends at the tree's end; first is a multiple of count rounded up to a power of two.
 * returns: 0, or an error that ends the making. */
typedef int merkle_node_fn(const void *ctx, uint64_t first, uint64_t count,
                           uint8_t out[MERKLE_HASH_BYTES]);
struct merkle_tree {
    uint64_t size;
    merkle_node_fn *node;
    const void *ctx;
};

/* returns: a tree over an array of leaf hashes (or cell roots), which it borrows. */
struct merkle_tree merkle_tree_of(const uint8_t *hashes, uint64_t n);

struct merkle_proof {
    unsigned count;
    uint8_t nodes[MERKLE_PROOF_MAX][MERKLE_HASH_BYTES];
};

static inline struct bytes merkle_proof_view(const struct merkle_proof *p)
{
    return (struct bytes){.data = p->nodes[0], .size = (size_t)p->count * MERKLE_HASH_BYTES};
}

/* RFC 9162, 2.1.3: siblings from the leaf to the root.
 * make returns: 0, ERR_RANGE if index >= size, or the error of tree->node.
 * verify returns: 0 or ERR_CORRUPT. */
int merkle_inclusion_make(const struct merkle_tree *tree, uint64_t index,
                          struct merkle_proof *proof);
int merkle_inclusion_verify(uint64_t size, uint64_t index, const uint8_t leaf[MERKLE_HASH_BYTES],
                            struct bytes proof, const uint8_t root[MERKLE_HASH_BYTES]);

/* RFC 9162, 2.1.4: the tree of the first size1 leaves begins the tree of size2.
 * make returns: 0, ERR_RANGE unless 0 < size1 <= tree->size, or the error of tree->node.
 * verify returns: 0 or ERR_CORRUPT (size1 0 is refused). */
int merkle_consistency_make(const struct merkle_tree *tree, uint64_t size1,
                            struct merkle_proof *proof);
int merkle_consistency_verify(uint64_t size1, uint64_t size2,
                              const uint8_t root1[MERKLE_HASH_BYTES],
                              const uint8_t root2[MERKLE_HASH_BYTES], struct bytes proof);

/* Subtrees of the Merkle Tree Certificates draft: leaves [start, end) of a tree, hashed as a tree
 * of their own. One is valid when start is a multiple of the smallest power of two >= end - start:
 * all nodes left of its right edge are then nodes of the tree too. */
struct merkle_subtree {
    uint64_t start;
    uint64_t end;
};

/* returns: whether it is a valid subtree; an empty one is, anywhere. */
bool merkle_subtree_valid(const struct merkle_subtree *sub);
/* Leaf `index`, counted in the whole tree, lies in the subtree with this root. The proof is that of
 * leaf index - start of a tree of the subtree's leaves: merkle_inclusion_make over them makes it.
 * returns: 0 or ERR_CORRUPT. */
int merkle_subtree_inclusion_verify(const struct merkle_subtree *sub, uint64_t index,
                                    const uint8_t leaf[MERKLE_HASH_BYTES], struct bytes proof,
                                    const uint8_t root[MERKLE_HASH_BYTES]);

/* The subtree with root `node` lies in the tree with root `root`; with start 0 these are the proofs
 * of merkle_consistency_*. An empty subtree has the empty root and an empty proof, and says nothing
 * of the tree.
 * make returns: 0, ERR_RANGE for a subtree that is empty, invalid or beyond the end, or the error
 * of tree->node.
 * verify returns: 0 or ERR_CORRUPT. */
int merkle_subtree_consistency_make(const struct merkle_tree *tree,
                                    const struct merkle_subtree *sub, struct merkle_proof *proof);
int merkle_subtree_consistency_verify(uint64_t size, const struct merkle_subtree *sub,
                                      const uint8_t node[MERKLE_HASH_BYTES],
                                      const uint8_t root[MERKLE_HASH_BYTES], struct bytes proof);

/* Leaves [first, first + count) of a tree of size leaves. */
struct merkle_range {
    uint64_t size;
    uint64_t first;
    uint64_t count; /* > 0 */
};

/* returns: how many hashes the proof of a range has; 0 also for ranges that are not in the tree. */
unsigned merkle_range_nodes(const struct merkle_range *range);
/* The proof: the fewest tree nodes that cover all leaves before the range, from the left, then
 * those after it, from the left.
 * make returns: 0, ERR_RANGE for an empty range or one beyond the end, or tree->node's error. */
int merkle_range_make(const struct merkle_tree *tree, uint64_t first, uint64_t count,
                      struct merkle_proof *proof);
/* hashes: range->count leaf hashes, computed from the bytes received.
 * returns: 0 if they are leaves first, first + 1, ... of the tree with this root, or ERR_CORRUPT.
 */
int merkle_range_verify(const struct merkle_range *range, const uint8_t *hashes, struct bytes proof,
                        const uint8_t root[MERKLE_HASH_BYTES]);

#endif
