/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 of leaves, a thread a leaf: SHA-256(0x00 || leaf), RFC 6962, section 2.1. Letters are
 * those of FIPS 180-4, section 6.2.2; padding is that of section 5.1.1.
 *
 * The byte before the leaf moves every word of the message by one byte against the leaf's words:
 * word i begins with the last byte of word i - 1 of the leaf. One PRMT takes it together and turns
 * it to big-endian; that "word -1" is 0 gives the 0x00.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_SHA_INTERNAL_H
#define HOLDFAST_GPU_SHA_INTERNAL_H

#include "gpu/gpu.h"
#include "gpu/kernel_internal.h"

#define GPU_SHA_BLOCK_BYTES 64u

struct gpu_sha_pass {
    const uint8_t *data; /* consecutive leaves, at a multiple of 16, readable up to one too */
    uint8_t *hashes;     /* at a multiple of 16 */
    uint64_t bytes;      /* of all leaves; > 0 */
};

static inline uint64_t gpu_sha_threads(const struct gpu_sha_pass *p)
{
    return (p->bytes + GPU_LEAF_BYTES - 1) / GPU_LEAF_BYTES;
}

GPU_FN uint32_t gpu_sha_ror(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

/* One block of sixteen words, which are used up. */
GPU_FN void gpu_sha_block(uint32_t state[8], uint32_t w[16])
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
    };
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    GPU_UNROLL
    for (unsigned t = 0; t < 64; t++) {
        if (t >= 16) {
            const uint32_t w1 = w[(t + 1) % 16];
            const uint32_t w14 = w[(t + 14) % 16];
            w[t % 16] += (gpu_sha_ror(w1, 7) ^ gpu_sha_ror(w1, 18) ^ w1 >> 3) + w[(t + 9) % 16] +
                         (gpu_sha_ror(w14, 17) ^ gpu_sha_ror(w14, 19) ^ w14 >> 10);
        }
        const uint32_t t1 = h + (gpu_sha_ror(e, 6) ^ gpu_sha_ror(e, 11) ^ gpu_sha_ror(e, 25)) +
                            (g ^ (e & (f ^ g))) + k[t] + w[t % 16];
        const uint32_t t2 = (gpu_sha_ror(a, 2) ^ gpu_sha_ror(a, 13) ^ gpu_sha_ror(a, 22)) +
                            ((a & b) | (c & (a | b)));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
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

/* returns: the byte of the padded message that begins with 0x00 and the leaf. */
GPU_FN uint32_t gpu_sha_byte(const uint8_t *leaf, uint32_t bytes, uint32_t blocks, uint32_t at)
{
    const uint32_t length_at = blocks * GPU_SHA_BLOCK_BYTES - 4; /* of the lower half, in bits */
    if (at == 0) {
        return 0;
    }
    if (at <= bytes) {
        return leaf[at - 1];
    }
    if (at == bytes + 1) {
        return 0x80;
    }
    return at < length_at ? 0 : (bytes + 1) * 8 >> 8 * (length_at + 3 - at) & 0xffu;
}

GPU_FN void gpu_sha_thread(const struct gpu_sha_pass *p, uint64_t thread)
{
    const uint64_t from = thread * GPU_LEAF_BYTES;
    const uint64_t left = p->bytes - from;
    const uint32_t bytes = left < GPU_LEAF_BYTES ? (uint32_t)left : GPU_LEAF_BYTES;
    const uint32_t whole = (bytes + 1) / GPU_SHA_BLOCK_BYTES;
    const uint32_t blocks = (bytes + 1 + 8) / GPU_SHA_BLOCK_BYTES + 1;
    const uint8_t *leaf = p->data + from;
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint32_t w[16];
    uint32_t before = 0;
    for (uint32_t block = 0; block < whole; block++) {
        GPU_UNROLL
        for (unsigned i = 0; i < 16; i += 4) {
            const struct gpu_words x = gpu_unit_load(leaf + block * GPU_SHA_BLOCK_BYTES + 4 * i);
            GPU_UNROLL
            for (unsigned n = 0; n < 4; n++) {
                w[i + n] = gpu_permute(before, x.w[n], 0x3456);
                before = x.w[n];
            }
        }
        gpu_sha_block(state, w);
    }
    for (uint32_t block = whole; block < blocks; block++) {
        GPU_UNROLL
        for (unsigned i = 0; i < 16; i++) {
            w[i] = 0;
            for (unsigned n = 0; n < 4; n++) {
                const uint32_t at = block * GPU_SHA_BLOCK_BYTES + 4 * i + n;
                w[i] = w[i] << 8 | gpu_sha_byte(leaf, bytes, blocks, at);
            }
        }
        gpu_sha_block(state, w);
    }
    uint8_t *to = p->hashes + thread * GPU_HASH_BYTES;
    GPU_UNROLL
    for (unsigned i = 0; i < 8; i++) {
        state[i] = gpu_permute(state[i], 0, 0x0123);
    }
    gpu_unit_store(to, state[0], state[1], state[2], state[3]);
    gpu_unit_store(to + GPU_UNIT_BYTES, state[4], state[5], state[6], state[7]);
}

#endif
