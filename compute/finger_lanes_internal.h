/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The vector kernels under fingerprints, of any width. The file that includes this defines
 *   LANES             rows of a vector: 1 or 2
 *   TARGET            attributes of the functions, such as the processor's features
 *   XOR3(a, b, c)     a ^ b ^ c
 *   SUMMANDS          the coefficients for so many lanes
 *   BLOCKS FOLD       names of the functions
 *
 * Horner's rule multiplies by h = 1 / g = 0x23 for every row. But h is a root of x^13 + x + 1, so
 * that polynomial may be divided out first, without a multiplication: u_i = row_i + u_(i-12) +
 * u_(i-13). Since row_i = u_i + u_(i-12) + u_(i-13), and h^13 + h + 1 = 0, all but the last 13 u
 * cancel in the sum of h^(n-1-i) row_i; what is left is the sum over these of h^(n-1-i) u_i, and
 * the first of them once more, which lacks only the h^13 part. With two rows in a vector the same
 * holds of x^26 + x^2 + 1 = (x^13 + x + 1)^2 and of vectors. Two exclusive ors for each row, or one
 * of three operands, are then all the work.
 *
 * threads: pure functions.
 */
#include "compute/finger_internal.h"

#ifdef LANES /* alone, this file defines nothing */

#include <string.h>

#define VECTOR_BYTES (LANES * COMPUTE_FINGER_BYTES)
#define STEPS COMPUTE_FINGER_STEPS

typedef uint64_t words ATTR_VECTOR(VECTOR_BYTES);
typedef uint8_t octets ATTR_VECTOR(VECTOR_BYTES);
typedef int8_t signs ATTR_VECTOR(VECTOR_BYTES);

/* v times x, in every byte. By address: vectors are passed in different ways by different features.
 */
TARGET static inline void times_x(words *v)
{
    const octets carry = (octets)((signs)*v < 0) & 0x1d;
    *v = (words)((octets)*v + (octets)*v) ^ (words)carry;
}

/* A block of rows, without and with a multiple of what came before. Slot i has the u of 13 vectors
 * before, the next one that of 12. */
#define STEP(i, next)                                    \
    do {                                                 \
        words row;                                       \
        memcpy(&row, at + (i)*VECTOR_BYTES, sizeof row); \
        u##i = XOR3(u##i, u##next, row);                 \
    } while (0)

/* The sum of h^(LANES * (12 - i)) * u[i], and u[0] once more: bit by bit of the coefficients, so
 * that seven multiplications do. */
TARGET static inline void weighted(const words *u, words *sum)
{
    static const uint8_t summands[STEPS] = SUMMANDS;
    *sum = (words){0};
    for (unsigned bit = 8; bit-- > 0;) {
        times_x(sum);
        for (unsigned i = 0; i < STEPS; i++) {
            *sum ^= u[i] & (0u - (uint64_t)(summands[i] >> bit & 1u));
        }
    }
}

/* The rows of a vector by Horner's rule. */
TARGET static inline void fold(const words *v, uint8_t sum[COMPUTE_FINGER_BYTES])
{
    uint8_t rows[VECTOR_BYTES];
    words x = *v;
    memcpy(rows, v, sizeof rows);
    memcpy(sum, rows + VECTOR_BYTES - COMPUTE_FINGER_BYTES, COMPUTE_FINGER_BYTES);
    if (LANES == 2) {
        times_x(&x);
        words times_h = x ^ *v; /* 0x23 = x^5 + x + 1 */
        for (unsigned i = 0; i < 4; i++) {
            times_x(&x);
        }
        times_h ^= x;
        memcpy(rows, &times_h, sizeof rows);
        for (unsigned i = 0; i < COMPUTE_FINGER_BYTES; i++) {
            sum[i] = (uint8_t)(sum[i] ^ rows[i]);
        }
    }
}

TARGET
void BLOCKS(uint8_t state[COMPUTE_FINGER_BLOCK_BYTES], const uint8_t *blocks, size_t count)
{
    words u[STEPS];
    memcpy(u, state, sizeof u);
    words u0 = u[0], u1 = u[1], u2 = u[2], u3 = u[3], u4 = u[4], u5 = u[5], u6 = u[6];
    words u7 = u[7], u8 = u[8], u9 = u[9], u10 = u[10], u11 = u[11], u12 = u[12];
    for (size_t step = 0; step < count * (2 / LANES); step++) {
        const uint8_t *at = blocks + step * sizeof u;
        STEP(0, 1);
        STEP(1, 2);
        STEP(2, 3);
        STEP(3, 4);
        STEP(4, 5);
        STEP(5, 6);
        STEP(6, 7);
        STEP(7, 8);
        STEP(8, 9);
        STEP(9, 10);
        STEP(10, 11);
        STEP(11, 12);
        STEP(12, 0);
    }
    const words after[STEPS] = {u0, u1, u2, u3, u4, u5, u6, u7, u8, u9, u10, u11, u12};
    memcpy(state, after, sizeof after);
}

TARGET
void FOLD(const uint8_t state[COMPUTE_FINGER_BLOCK_BYTES], uint8_t sum[COMPUTE_FINGER_BYTES])
{
    words u[STEPS];
    words last;
    memcpy(u, state, sizeof u);
    weighted(u, &last);
    fold(&last, sum);
}

#endif
