/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Roots: the incremental builder, whose stack holds the roots of perfect subtrees in falling size
 * (the binary digits of the count), and roots over arrays, which fold small blocks level by level
 * so that the hashing kernel gets many nodes at once.
 */
#include "base/num.h"
#include "compute/compute.h"
#include "merkle/merkle_internal.h"

#define BLOCK_LEVEL 6u
#define BLOCK_LEAVES (1u << BLOCK_LEVEL)

_Static_assert(MERKLE_HASH_BYTES == COMPUTE_HASH_BYTES, "hashes are the kernel's");

void merkle_root_empty(uint8_t out[MERKLE_HASH_BYTES])
{
    compute_sha256_plain(NULL, 0, out);
}

void merkle_builder_init(struct merkle_builder *b)
{
    b->count = 0;
    b->depth = 0;
    b->closed = false;
}

/* Appends a perfect subtree at a place that is a multiple of its size. */
static void push_perfect(struct merkle_builder *b, const uint8_t *root, uint64_t leaves)
{
    ASSERT(num_is_pow2(leaves));
    ASSERT(b->count % leaves == 0);
    uint8_t(*stack)[MERKLE_HASH_BYTES] = b->stack;
    memcpy(stack[b->depth], root, MERKLE_HASH_BYTES);
    b->depth++;
    /* like a carry: two subtrees of one size become one of the next */
    for (uint64_t same = b->count / leaves; (same & 1) != 0; same >>= 1) {
        b->depth--;
        compute_node_hash(stack[b->depth - 1], stack[b->depth], stack[b->depth - 1]);
    }
    b->count += leaves;
}

int merkle_builder_push_subtree(struct merkle_builder *b, const uint8_t root[MERKLE_HASH_BYTES],
                                uint64_t leaves)
{
    uint64_t after = 0;
    if (b->closed || leaves == 0 || leaves > (UINT64_C(1) << 63) ||
        !num_add_u64(b->count, leaves, &after)) {
        return ERR_INVALID;
    }
    uint64_t room = merkle_round_up_pow2(leaves);
    if (b->count % room != 0) {
        return ERR_INVALID;
    }
    if (room == leaves) {
        push_perfect(b, root, leaves);
        return 0;
    }
    memcpy(b->stack[b->depth], root, MERKLE_HASH_BYTES);
    b->depth++;
    b->count = after;
    b->closed = true;
    return 0;
}

/* The root over 2^level leaf hashes, level at most BLOCK_LEVEL. */
static void block_root(const uint8_t *hashes, unsigned level, uint8_t out[MERKLE_HASH_BYTES])
{
    uint8_t nodes[BLOCK_LEAVES / 2 * MERKLE_HASH_BYTES];
    if (level == 0) {
        memcpy(out, hashes, MERKLE_HASH_BYTES);
        return;
    }
    compute_node_hashes(hashes, (size_t)1 << (level - 1), nodes);
    for (unsigned above = level - 1; above > 0; above--) {
        compute_node_hashes(nodes, (size_t)1 << (above - 1), nodes);
    }
    memcpy(out, nodes, MERKLE_HASH_BYTES);
}

void merkle_builder_push(struct merkle_builder *b, const uint8_t *hashes, uint64_t n)
{
    ASSERT(!b->closed);
    ASSERT(n <= UINT64_MAX - b->count);
    while (n > 0) {
        /* the largest block that begins here and is there in whole */
        unsigned level = 0;
        while (level < BLOCK_LEVEL && b->count % (UINT64_C(2) << level) == 0 &&
               n >= (UINT64_C(2) << level)) {
            level++;
        }
        uint8_t root[MERKLE_HASH_BYTES];
        block_root(hashes, level, root);
        push_perfect(b, root, UINT64_C(1) << level);
        hashes += (size_t)MERKLE_HASH_BYTES << level;
        n -= UINT64_C(1) << level;
    }
}

void merkle_builder_root(const struct merkle_builder *b, uint8_t out[MERKLE_HASH_BYTES])
{
    if (b->depth == 0) {
        merkle_root_empty(out);
        return;
    }
    uint8_t right[MERKLE_HASH_BYTES];
    memcpy(right, b->stack[b->depth - 1], MERKLE_HASH_BYTES);
    for (unsigned i = b->depth - 1; i > 0; i--) {
        compute_node_hash(b->stack[i - 1], right, right);
    }
    memcpy(out, right, MERKLE_HASH_BYTES);
}

void merkle_root_of(const uint8_t *hashes, uint64_t n, uint8_t out[MERKLE_HASH_BYTES])
{
    struct merkle_builder b;
    merkle_builder_init(&b);
    merkle_builder_push(&b, hashes, n);
    merkle_builder_root(&b, out);
}

static int node_of_hashes(const void *ctx, uint64_t first, uint64_t count,
                          uint8_t out[MERKLE_HASH_BYTES])
{
    const uint8_t *hashes = ctx;
    merkle_root_of(hashes + first * MERKLE_HASH_BYTES, count, out);
    return 0;
}

struct merkle_tree merkle_tree_of(const uint8_t *hashes, uint64_t n)
{
    return (struct merkle_tree){.size = n, .node = node_of_hashes, .ctx = hashes};
}
