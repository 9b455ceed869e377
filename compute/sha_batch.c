/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Leaf and node hashes in lanes: puts the prefix byte of RFC 6962 before each message, its padding
 * behind, and hands the blocks to a lane kernel. The prefix shifts every block of a leaf by one
 * byte, so a leaf is one block in a buffer, 255 where they lie, and one in a buffer.
 */
#include "base/num.h"
#include "compute/compute_internal.h"

#define NODE_BLOCKS 2u
#define PREFIX_BYTES 1u

_Static_assert(COMPUTE_LEAF_BYTES % COMPUTE_SHA_BLOCK_BYTES == 0, "a leaf is whole blocks");

bool compute_sha_runs(enum compute_sha variant)
{
    switch (variant) {
    case COMPUTE_SHA_PLAIN:
    case COMPUTE_SHA_EVP: return true;
#if COMPUTE_SHA_HAS_LANES
    case COMPUTE_SHA_LANES8: return __builtin_cpu_supports("avx2") != 0;
    case COMPUTE_SHA_LANES16:
        return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0;
#else
    case COMPUTE_SHA_LANES8:
    case COMPUTE_SHA_LANES16:
#endif
    case COMPUTE_SHA_COUNT: break;
    }
    return false;
}

unsigned compute_sha_lanes_of(enum compute_sha variant)
{
    switch (variant) {
    case COMPUTE_SHA_LANES8: return 8;
    case COMPUTE_SHA_LANES16: return 16;
    case COMPUTE_SHA_PLAIN:
    case COMPUTE_SHA_EVP:
    case COMPUTE_SHA_COUNT: break;
    }
    return 1;
}

static compute_sha_lanes_fn *kernel_of(enum compute_sha variant)
{
#if COMPUTE_SHA_HAS_LANES
    if (variant == COMPUTE_SHA_LANES8) {
        return compute_sha_lanes8;
    }
    if (variant == COMPUTE_SHA_LANES16) {
        return compute_sha_lanes16;
    }
#endif
    (void)variant;
    return NULL;
}

static void lanes_start(uint32_t *state, unsigned lanes)
{
    for (unsigned word = 0; word < 8; word++) {
        for (unsigned lane = 0; lane < lanes; lane++) {
            state[word * lanes + lane] = compute_sha_start[word];
        }
    }
}

static void lanes_end(const uint32_t *state, unsigned lanes, size_t count, uint8_t *hashes)
{
    for (size_t lane = 0; lane < count; lane++) {
        for (unsigned word = 0; word < 8; word++) {
            num_put_u32_be(hashes + lane * COMPUTE_HASH_BYTES + 4 * word,
                           state[word * lanes + lane]);
        }
    }
}

void compute_sha_leaves_in_lanes(enum compute_sha variant, const uint8_t *data, size_t count,
                                 uint8_t *hashes)
{
    const unsigned lanes = compute_sha_lanes_of(variant);
    compute_sha_lanes_fn *kernel = kernel_of(variant);
    ASSERT(kernel != NULL);
    ASSERT(count > 0 && count <= lanes);
    uint32_t state[8 * COMPUTE_SHA_LANES_MAX];
    uint8_t head[COMPUTE_SHA_LANES_MAX][COMPUTE_SHA_BLOCK_BYTES];
    uint8_t tail[COMPUTE_SHA_LANES_MAX][COMPUTE_SHA_BLOCK_BYTES];
    const uint8_t *head_at[COMPUTE_SHA_LANES_MAX];
    const uint8_t *body_at[COMPUTE_SHA_LANES_MAX];
    const uint8_t *tail_at[COMPUTE_SHA_LANES_MAX];
    for (unsigned lane = 0; lane < lanes; lane++) {
        /* lanes without a leaf repeat the first one */
        const uint8_t *leaf = data + (lane < count ? lane : 0) * COMPUTE_LEAF_BYTES;
        head[lane][0] = 0x00;
        memcpy(head[lane] + PREFIX_BYTES, leaf, COMPUTE_SHA_BLOCK_BYTES - PREFIX_BYTES);
        memset(tail[lane], 0, COMPUTE_SHA_BLOCK_BYTES);
        tail[lane][0] = leaf[COMPUTE_LEAF_BYTES - 1];
        tail[lane][1] = 0x80;
        num_put_u64_be(tail[lane] + COMPUTE_SHA_BLOCK_BYTES - 8,
                       (COMPUTE_LEAF_BYTES + PREFIX_BYTES) * 8u);
        head_at[lane] = head[lane];
        body_at[lane] = leaf + COMPUTE_SHA_BLOCK_BYTES - PREFIX_BYTES;
        tail_at[lane] = tail[lane];
    }
    lanes_start(state, lanes);
    kernel(state, head_at, 1);
    kernel(state, body_at, COMPUTE_LEAF_BYTES / COMPUTE_SHA_BLOCK_BYTES - 1);
    kernel(state, tail_at, 1);
    lanes_end(state, lanes, count, hashes);
}

void compute_sha_nodes_in_lanes(enum compute_sha variant, const uint8_t *children, size_t count,
                                uint8_t *parents)
{
    const unsigned lanes = compute_sha_lanes_of(variant);
    compute_sha_lanes_fn *kernel = kernel_of(variant);
    ASSERT(kernel != NULL);
    ASSERT(count > 0 && count <= lanes);
    uint32_t state[8 * COMPUTE_SHA_LANES_MAX];
    uint8_t message[COMPUTE_SHA_LANES_MAX][NODE_BLOCKS * COMPUTE_SHA_BLOCK_BYTES];
    const uint8_t *at[COMPUTE_SHA_LANES_MAX];
    for (unsigned lane = 0; lane < lanes; lane++) {
        uint8_t *m = message[lane];
        const size_t pair = lane < count ? lane : 0;
        m[0] = 0x01;
        memcpy(m + PREFIX_BYTES, children + pair * 2 * COMPUTE_HASH_BYTES, 2 * COMPUTE_HASH_BYTES);
        memset(m + 65, 0, sizeof(message[0]) - 65);
        m[65] = 0x80;
        num_put_u64_be(m + sizeof(message[0]) - 8, 65u * 8u);
        at[lane] = m;
    }
    lanes_start(state, lanes);
    kernel(state, at, NODE_BLOCKS);
    lanes_end(state, lanes, count, parents);
}

void compute_node_hashes(const uint8_t *children, size_t n, uint8_t *parents)
{
    /* A pass costs about as much as three (16 lanes) or two (8 lanes) single nodes. In place is
     * safe: a pass has read all its pairs before it writes half as many bytes over them. */
    enum { WORTHWHILE = 4 };
    enum compute_sha variant = compute_sha_runs(COMPUTE_SHA_LANES16)  ? COMPUTE_SHA_LANES16
                               : compute_sha_runs(COMPUTE_SHA_LANES8) ? COMPUTE_SHA_LANES8
                                                                      : COMPUTE_SHA_PLAIN;
    const size_t lanes = compute_sha_lanes_of(variant);
    size_t done = 0;
    while (variant != COMPUTE_SHA_PLAIN && n - done >= WORTHWHILE) {
        size_t part = NUM_MIN(n - done, lanes);
        compute_sha_nodes_in_lanes(variant, children + done * 2 * COMPUTE_HASH_BYTES, part,
                                   parents + done * COMPUTE_HASH_BYTES);
        done += part;
    }
    compute_node_hashes_plain(children + done * 2 * COMPUTE_HASH_BYTES, n - done,
                              parents + done * COMPUTE_HASH_BYTES);
}
