/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 in plain C, one message at a time: the twin of the lane kernels, and what hashes single
 * tree nodes. Letters are those of FIPS 180-4, section 6.2.2.
 */
#include "base/num.h"
#include "compute/compute_internal.h"

const uint32_t compute_sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

const uint32_t compute_sha_start[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static uint32_t ror(uint32_t x, unsigned by)
{
    return (x >> by) | (x << (32 - by));
}

static void schedule(uint32_t w[64], const uint8_t *block)
{
    for (unsigned t = 0; t < 16; t++) {
        w[t] = num_get_u32_be(block + 4 * t);
    }
    for (unsigned t = 16; t < 64; t++) {
        uint32_t s0 = ror(w[t - 15], 7) ^ ror(w[t - 15], 18) ^ (w[t - 15] >> 3);
        uint32_t s1 = ror(w[t - 2], 17) ^ ror(w[t - 2], 19) ^ (w[t - 2] >> 10);
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
}

static void sha_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64];
    schedule(w, block);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (unsigned t = 0; t < 64; t++) {
        uint32_t sum1 = ror(e, 6) ^ ror(e, 11) ^ ror(e, 25);
        uint32_t choice = g ^ (e & (f ^ g));
        uint32_t t1 = h + sum1 + choice + compute_sha_k[t] + w[t];
        uint32_t sum0 = ror(a, 2) ^ ror(a, 13) ^ ror(a, 22);
        uint32_t majority = (a & b) | (c & (a | b));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + sum0 + majority;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

void compute_sha_stream_init(struct compute_sha_stream *s)
{
    memcpy(s->state, compute_sha_start, sizeof(s->state));
    s->bytes = 0;
}

void compute_sha_stream_add(struct compute_sha_stream *s, const uint8_t *data, size_t bytes)
{
    size_t in_tail = (size_t)(s->bytes % COMPUTE_SHA_BLOCK_BYTES);
    s->bytes += bytes;
    if (in_tail > 0) {
        size_t part = NUM_MIN(bytes, COMPUTE_SHA_BLOCK_BYTES - in_tail);
        memcpy(s->tail + in_tail, data, part);
        data += part;
        bytes -= part;
        if (in_tail + part < COMPUTE_SHA_BLOCK_BYTES) {
            return;
        }
        sha_block(s->state, s->tail);
    }
    for (; bytes >= COMPUTE_SHA_BLOCK_BYTES; bytes -= COMPUTE_SHA_BLOCK_BYTES) {
        sha_block(s->state, data);
        data += COMPUTE_SHA_BLOCK_BYTES;
    }
    if (bytes > 0) {
        memcpy(s->tail, data, bytes);
    }
}

void compute_sha_stream_end(struct compute_sha_stream *s, uint8_t out[COMPUTE_HASH_BYTES])
{
    size_t used = (size_t)(s->bytes % COMPUTE_SHA_BLOCK_BYTES);
    s->tail[used++] = 0x80;
    if (used > COMPUTE_SHA_BLOCK_BYTES - 8) {
        memset(s->tail + used, 0, COMPUTE_SHA_BLOCK_BYTES - used);
        sha_block(s->state, s->tail);
        used = 0;
    }
    memset(s->tail + used, 0, COMPUTE_SHA_BLOCK_BYTES - 8 - used);
    num_put_u64_be(s->tail + COMPUTE_SHA_BLOCK_BYTES - 8, s->bytes * 8);
    sha_block(s->state, s->tail);
    for (unsigned i = 0; i < 8; i++) {
        num_put_u32_be(out + 4 * i, s->state[i]);
    }
}

void compute_sha256_plain(const void *data, size_t bytes, uint8_t out[COMPUTE_HASH_BYTES])
{
    struct compute_sha_stream s;
    compute_sha_stream_init(&s);
    if (bytes > 0) {
        compute_sha_stream_add(&s, data, bytes);
    }
    compute_sha_stream_end(&s, out);
}

void compute_leaf_hash(const void *leaf, size_t bytes, uint8_t out[COMPUTE_HASH_BYTES])
{
    static const uint8_t prefix = 0x00;
    struct compute_sha_stream s;
    compute_sha_stream_init(&s);
    compute_sha_stream_add(&s, &prefix, 1);
    if (bytes > 0) {
        compute_sha_stream_add(&s, leaf, bytes);
    }
    compute_sha_stream_end(&s, out);
}

void compute_node_hash(const uint8_t left[COMPUTE_HASH_BYTES],
                       const uint8_t right[COMPUTE_HASH_BYTES], uint8_t out[COMPUTE_HASH_BYTES])
{
    static const uint8_t prefix = 0x01;
    struct compute_sha_stream s;
    compute_sha_stream_init(&s);
    compute_sha_stream_add(&s, &prefix, 1);
    compute_sha_stream_add(&s, left, COMPUTE_HASH_BYTES);
    compute_sha_stream_add(&s, right, COMPUTE_HASH_BYTES);
    compute_sha_stream_end(&s, out);
}

void compute_node_hashes_plain(const uint8_t *children, size_t n, uint8_t *parents)
{
    /* in place: parent i is written where children 2i and 2i + 1 have been read already */
    for (size_t i = 0; i < n; i++) {
        const uint8_t *pair = children + 2 * i * COMPUTE_HASH_BYTES;
        compute_node_hash(pair, pair + COMPUTE_HASH_BYTES, parents + i * COMPUTE_HASH_BYTES);
    }
}
