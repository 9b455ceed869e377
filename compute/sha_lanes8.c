/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 of eight messages at once, with AVX2. Its twin is sha_plain.c.
 */
#include "compute/compute_internal.h"

#if COMPUTE_SHA_HAS_LANES

#define SHA_XOR3(x, y, z) ((x) ^ (y) ^ (z))
#define SHA_CHOICE(e, f, g) ((g) ^ ((e) & ((f) ^ (g))))
#define SHA_MAJORITY(a, b, c) (((a) & (b)) | ((c) & ((a) | (b))))
#include "compute/sha_rounds_internal.h"

#include <string.h>

#define LANES 8u

typedef uint32_t vec ATTR_VECTOR(32);
typedef uint8_t vec8 ATTR_VECTOR(32);

#define PICK __builtin_shufflevector
/* Pairs of 32, 64 and 128 bits from two rows: one step each of the transposition. */
#define LOW32(x, y) PICK(x, y, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH32(x, y) PICK(x, y, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW64(x, y) PICK(x, y, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH64(x, y) PICK(x, y, 2, 3, 10, 11, 6, 7, 14, 15)
#define LOW128(x, y) PICK(x, y, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIGH128(x, y) PICK(x, y, 4, 5, 6, 7, 12, 13, 14, 15)

/* Big-endian words of 32 bytes of each lane: w[t] gets word t of all lanes. */
ATTR_TARGET("avx2") static inline void load_half(vec *w, const uint8_t *const *at, size_t from)
{
    vec r[LANES];
    vec s[LANES];
    for (unsigned i = 0; i < LANES; i++) {
        vec8 row;
        memcpy(&row, at[i] + from, sizeof(row));
        row = PICK(row, row, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16,
                   23, 22, 21, 20, 27, 26, 25, 24, 31, 30, 29, 28);
        r[i] = (vec)row;
    }
    for (unsigned i = 0; i < LANES; i += 2) {
        s[i] = LOW32(r[i], r[i + 1]);
        s[i + 1] = HIGH32(r[i], r[i + 1]);
    }
    for (unsigned i = 0; i < LANES; i += 4) {
        r[i] = LOW64(s[i], s[i + 2]);
        r[i + 1] = HIGH64(s[i], s[i + 2]);
        r[i + 2] = LOW64(s[i + 1], s[i + 3]);
        r[i + 3] = HIGH64(s[i + 1], s[i + 3]);
    }
    for (unsigned i = 0; i < 4; i++) {
        w[i] = LOW128(r[i], r[i + 4]);
        w[i + 4] = HIGH128(r[i], r[i + 4]);
    }
}

ATTR_TARGET("avx2")
void compute_sha_lanes8(uint32_t *state, const uint8_t *const *at, size_t blocks)
{
    vec start[8];
    memcpy(start, state, sizeof(start));
    for (size_t block = 0; block < blocks; block++) {
        vec w[16];
        vec s[8];
        load_half(w, at, block * COMPUTE_SHA_BLOCK_BYTES);
        load_half(w + 8, at, block * COMPUTE_SHA_BLOCK_BYTES + 32);
        for (unsigned i = 0; i < 8; i++) {
            s[i] = start[i];
        }
        SHA_ROUNDS64(s, w);
        for (unsigned i = 0; i < 8; i++) {
            start[i] += s[i];
        }
    }
    memcpy(state, start, sizeof(start));
}

#else
typedef int compute_sha_lanes8_unused;
#endif
