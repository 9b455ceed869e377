/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The rounds of SHA-256 as macros over vectors, one message a lane, for sha_lanes8.c and
 * sha_lanes16.c. Macros, because a vector that is wider than the build's processor may not be an
 * argument of a function. Letters are those of FIPS 180-4, section 6.2.2.
 *
 * The includer defines SHA_XOR3, SHA_CHOICE and SHA_MAJORITY.
 *
 * threads: macros only.
 */
#ifndef HOLDFAST_COMPUTE_SHA_ROUNDS_INTERNAL_H
#define HOLDFAST_COMPUTE_SHA_ROUNDS_INTERNAL_H

#define SHA_ROR(x, by) (((x) >> (by)) | ((x) << (32 - (by))))
#define SHA_SUM0(a) SHA_XOR3(SHA_ROR(a, 2), SHA_ROR(a, 13), SHA_ROR(a, 22))
#define SHA_SUM1(e) SHA_XOR3(SHA_ROR(e, 6), SHA_ROR(e, 11), SHA_ROR(e, 25))
#define SHA_SMALL0(x) SHA_XOR3(SHA_ROR(x, 7), SHA_ROR(x, 18), (x) >> 3)
#define SHA_SMALL1(x) SHA_XOR3(SHA_ROR(x, 17), SHA_ROR(x, 19), (x) >> 10)

/* One round; the letters turn by one place from call to call instead of being moved. */
#define SHA_ROUND(a, b, c, d, e, f, g, h, k, w)                 \
    do {                                                        \
        (h) += SHA_SUM1(e) + SHA_CHOICE(e, f, g) + ((w) + (k)); \
        (d) += (h);                                             \
        (h) += SHA_SUM0(a) + SHA_MAJORITY(a, b, c);             \
    } while (0)

/* w[t] of the next sixteen rounds takes the place of w[t] of these. */
#define SHA_EXTEND(w, t) \
    ((w)[t] +=           \
     SHA_SMALL1((w)[((t) + 14) & 15]) + (w)[((t) + 9) & 15] + SHA_SMALL0((w)[((t) + 1) & 15]))

/* Eight rounds from t, a multiple of 8; s is the eight letters, k the constants of sixteen rounds.
 */
#define SHA_ROUNDS8(s, k, w, t)                                                                \
    do {                                                                                       \
        SHA_ROUND(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], (k)[(t) + 0], (w)[(t) + 0]); \
        SHA_ROUND(s[7], s[0], s[1], s[2], s[3], s[4], s[5], s[6], (k)[(t) + 1], (w)[(t) + 1]); \
        SHA_ROUND(s[6], s[7], s[0], s[1], s[2], s[3], s[4], s[5], (k)[(t) + 2], (w)[(t) + 2]); \
        SHA_ROUND(s[5], s[6], s[7], s[0], s[1], s[2], s[3], s[4], (k)[(t) + 3], (w)[(t) + 3]); \
        SHA_ROUND(s[4], s[5], s[6], s[7], s[0], s[1], s[2], s[3], (k)[(t) + 4], (w)[(t) + 4]); \
        SHA_ROUND(s[3], s[4], s[5], s[6], s[7], s[0], s[1], s[2], (k)[(t) + 5], (w)[(t) + 5]); \
        SHA_ROUND(s[2], s[3], s[4], s[5], s[6], s[7], s[0], s[1], (k)[(t) + 6], (w)[(t) + 6]); \
        SHA_ROUND(s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[0], (k)[(t) + 7], (w)[(t) + 7]); \
    } while (0)

#define SHA_EXTEND8(w, t)       \
    do {                        \
        SHA_EXTEND(w, (t) + 0); \
        SHA_EXTEND(w, (t) + 1); \
        SHA_EXTEND(w, (t) + 2); \
        SHA_EXTEND(w, (t) + 3); \
        SHA_EXTEND(w, (t) + 4); \
        SHA_EXTEND(w, (t) + 5); \
        SHA_EXTEND(w, (t) + 6); \
        SHA_EXTEND(w, (t) + 7); \
    } while (0)

/* All sixty-four rounds. w is used up. */
#define SHA_ROUNDS64(s, w)                                \
    do {                                                  \
        SHA_ROUNDS8(s, compute_sha_k, w, 0);              \
        SHA_ROUNDS8(s, compute_sha_k, w, 8);              \
        for (unsigned from = 16; from < 64; from += 16) { \
            const uint32_t *k = compute_sha_k + from;     \
            SHA_EXTEND8(w, 0);                            \
            SHA_ROUNDS8(s, k, w, 0);                      \
            SHA_EXTEND8(w, 8);                            \
            SHA_ROUNDS8(s, k, w, 8);                      \
        }                                                 \
    } while (0)

#endif
