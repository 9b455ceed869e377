/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 of sixteen messages at once, with AVX-512. Its twin is sha_plain.c.
 */
#include "compute/compute_internal.h"

#if COMPUTE_SHA_HAS_LANES

#include <immintrin.h>
#include <string.h>

/* Any function of three bits is one instruction; its number is the column of the truth table. */
#define TERNARY(x, y, z, table) \
    ((vec)_mm512_ternarylogic_epi32((__m512i)(x), (__m512i)(y), (__m512i)(z), (table)))
#define SHA_XOR3(x, y, z) TERNARY(x, y, z, 0x96)
#define SHA_CHOICE(e, f, g) TERNARY(e, f, g, 0xca)
#define SHA_MAJORITY(a, b, c) TERNARY(a, b, c, 0xe8)
#include "compute/sha_rounds_internal.h"

#define LANES 16u
#define FEATURES "avx512f,avx512bw"

typedef uint32_t vec ATTR_VECTOR(64);
typedef uint8_t vec8 ATTR_VECTOR(64);

#define PICK __builtin_shufflevector
/* Pairs of 32 and 64 bits within each 128-bit quarter of two rows, then quarters: the four steps
 * of the transposition. */
#define LOW32(x, y) PICK(x, y, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH32(x, y) PICK(x, y, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW64(x, y) PICK(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH64(x, y) PICK(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define EVEN128(x, y) PICK(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define ODD128(x, y) PICK(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)

/* Byte order of the four words of a quarter at byte q. */
#define SWAP_QUARTER(q)                                                                         \
    (q) + 3, (q) + 2, (q) + 1, (q) + 0, (q) + 7, (q) + 6, (q) + 5, (q) + 4, (q) + 11, (q) + 10, \
        (q) + 9, (q) + 8, (q) + 15, (q) + 14, (q) + 13, (q) + 12

/* Big-endian words of one block of each lane: w[t] gets word t of all lanes. */
ATTR_TARGET(FEATURES) static inline void load_block(vec *w, const uint8_t *const *at, size_t from)
{
    vec r[LANES];
    for (unsigned i = 0; i < LANES; i++) {
        vec8 row;
        memcpy(&row, at[i] + from, sizeof(row));
        row = PICK(row, row, SWAP_QUARTER(0), SWAP_QUARTER(16), SWAP_QUARTER(32), SWAP_QUARTER(48));
        w[i] = (vec)row;
    }
    for (unsigned i = 0; i < LANES; i += 2) {
        r[i] = LOW32(w[i], w[i + 1]);
        r[i + 1] = HIGH32(w[i], w[i + 1]);
    }
    /* w[i + c]: column c of every quarter, of lanes i to i + 3 */
    for (unsigned i = 0; i < LANES; i += 4) {
        w[i] = LOW64(r[i], r[i + 2]);
        w[i + 1] = HIGH64(r[i], r[i + 2]);
        w[i + 2] = LOW64(r[i + 1], r[i + 3]);
        w[i + 3] = HIGH64(r[i + 1], r[i + 3]);
    }
    /* r[c], r[c + 4]: quarters 0, 2 and 1, 3 of lanes 0 to 7; r[c + 8], r[c + 12] of 8 to 15 */
    for (unsigned c = 0; c < 4; c++) {
        r[c] = EVEN128(w[c], w[c + 4]);
        r[c + 4] = ODD128(w[c], w[c + 4]);
        r[c + 8] = EVEN128(w[c + 8], w[c + 12]);
        r[c + 12] = ODD128(w[c + 8], w[c + 12]);
    }
    for (unsigned c = 0; c < 4; c++) {
        w[c] = EVEN128(r[c], r[c + 8]);
        w[c + 8] = ODD128(r[c], r[c + 8]);
        w[c + 4] = EVEN128(r[c + 4], r[c + 12]);
        w[c + 12] = ODD128(r[c + 4], r[c + 12]);
    }
}

ATTR_TARGET(FEATURES)
void compute_sha_lanes16(uint32_t *state, const uint8_t *const *at, size_t blocks)
{
    vec start[8];
    memcpy(start, state, sizeof(start));
    for (size_t block = 0; block < blocks; block++) {
        vec w[16];
        vec s[8];
        load_block(w, at, block * COMPUTE_SHA_BLOCK_BYTES);
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
typedef int compute_sha_lanes16_unused;
#endif
