/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of compute/ share: the constants of SHA-256 and the block kernels under the
 * hashes. FIPS 180-4, sections 4.2.2, 5.3.3 and 6.2.2.
 *
 * threads: pure functions and constants.
 */
#ifndef HOLDFAST_COMPUTE_COMPUTE_INTERNAL_H
#define HOLDFAST_COMPUTE_COMPUTE_INTERNAL_H

#include "compute/compute.h"

#define COMPUTE_SHA_BLOCK_BYTES 64u
#define COMPUTE_SHA_LANES_MAX 16u

#if defined(__x86_64__) && defined(__GNUC__) && (defined(__clang__) || __GNUC__ >= 12)
#define COMPUTE_SHA_HAS_LANES 1
#else
#define COMPUTE_SHA_HAS_LANES 0
#endif

extern const uint32_t compute_sha_k[64];
extern const uint32_t compute_sha_start[8];

/* One message: a stream of pieces. */
struct compute_sha_stream {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t tail[COMPUTE_SHA_BLOCK_BYTES];
};
void compute_sha_stream_init(struct compute_sha_stream *s);
void compute_sha_stream_add(struct compute_sha_stream *s, const uint8_t *data, size_t bytes);
void compute_sha_stream_end(struct compute_sha_stream *s, uint8_t out[COMPUTE_HASH_BYTES]);

/* Several messages at once: one a lane, all of the same number of blocks.
 * state: word by word, lanes side by side: state[word * lanes + lane].
 * at: the first byte of each lane's blocks, any alignment. */
typedef void compute_sha_lanes_fn(uint32_t *state, const uint8_t *const *at, size_t blocks);
#if COMPUTE_SHA_HAS_LANES
compute_sha_lanes_fn compute_sha_lanes8;
compute_sha_lanes_fn compute_sha_lanes16;
#endif

/* Leaf hashes of count whole leaves, count at most the variant's lanes. */
void compute_sha_leaves_in_lanes(enum compute_sha variant, const uint8_t *data, size_t count,
                                 uint8_t *hashes);
/* Node hashes of count pairs, count at most the variant's lanes. parents may be children. */
void compute_sha_nodes_in_lanes(enum compute_sha variant, const uint8_t *children, size_t count,
                                uint8_t *parents);
/* returns: how many messages a variant hashes at once. */
unsigned compute_sha_lanes_of(enum compute_sha variant);

#endif
