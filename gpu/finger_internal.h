/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints of columns, as compute/finger.h has them: rows of 32 bytes, by Horner's rule with
 * h = 0x23, and at last times g^(rows - 1), g = 1 / h.
 *
 * Of a column, 32 threads take a tile: sixteen times two, of every 16th row one half each, so that
 * what they read at a time lies together. A thread's rows follow one another with h^16. Squaring
 * keeps sums and 1, so h^16 is a root of x^13 + x + 1 just as h is, and the trinomial can be
 * divided out first, by exclusive or alone: u_i = row_i + u_(i-12) + u_(i-13), after which all but
 * the last 13 u cancel, and these are multiplied (compute/finger_lanes_internal.h has the whole of
 * it). In a second step two threads a tile put its 16 sums together, again by Horner's rule. What
 * is then left of a tile is one row, and the host does the rest.
 *
 * Rows behind the end of a column count as zeros.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_FINGER_INTERNAL_H
#define HOLDFAST_GPU_FINGER_INTERNAL_H

#include "gpu/gpu.h"
#include "gpu/kernel_internal.h"

#define GPU_FINGER_APART 16u                       /* rows from one of a thread to its next */
#define GPU_FINGER_STEPS 13u                       /* degree of the trinomial */
#define GPU_FINGER_ROUNDS 4u                       /* of so many rows of a thread */
#define GPU_FINGER_THREADS (2u * GPU_FINGER_APART) /* of a tile */
#define GPU_FINGER_TILE_ROWS (GPU_FINGER_APART * GPU_FINGER_STEPS * GPU_FINGER_ROUNDS)
#define GPU_FINGER_TILE_BYTES ((uint64_t)GPU_FINGER_TILE_ROWS * GPU_FINGER_BYTES)
#define GPU_FINGER_PART_BYTES ((uint64_t)GPU_FINGER_THREADS * GPU_UNIT_BYTES) /* of a tile */
/* (h^16)^(12 - i) for i of 0 to 12; the first of them and 1. */
#define GPU_FINGER_SUMMANDS                                                          \
    {                                                                                \
        0x87, 0x81, 0x33, 0x21, 0xaa, 0xc6, 0xdb, 0xae, 0xe0, 0xc3, 0x7a, 0xb0, 0x01 \
    }

struct gpu_finger_pass {
    const uint8_t *columns; /* stride_bytes apart; at a multiple of 16 */
    uint8_t *parts;         /* of the first step: GPU_FINGER_PART_BYTES a tile; likewise */
    uint8_t *sums;          /* GPU_FINGER_BYTES a tile, column by column; likewise */
    uint64_t stride_bytes;  /* > 0; a multiple of GPU_FINGER_BYTES */
    uint32_t count;         /* of columns */
};

/* returns: tiles of one column. */
GPU_FN uint64_t gpu_finger_tiles(const struct gpu_finger_pass *p)
{
    return (p->stride_bytes + GPU_FINGER_TILE_BYTES - 1) / GPU_FINGER_TILE_BYTES;
}

static inline uint64_t gpu_finger_threads(const struct gpu_finger_pass *p)
{
    return p->count * gpu_finger_tiles(p) * GPU_FINGER_THREADS;
}

/* Those of the second step. */
static inline uint64_t gpu_finger_end_threads(const struct gpu_finger_pass *p)
{
    return p->count * gpu_finger_tiles(p) * (GPU_FINGER_BYTES / GPU_UNIT_BYTES);
}

/* Four bytes times h = x^5 + x + 1. */
GPU_FN uint32_t gpu_finger_times_h(uint32_t a)
{
    uint32_t power = gpu_times_x(a);
    const uint32_t low = a ^ power;
    GPU_UNROLL
    for (unsigned i = 0; i < 4; i++) {
        power = gpu_times_x(power);
    }
    return low ^ power;
}

/* The sum of the summands times u, bit by bit of the summands: seven multiplications do. */
GPU_FN uint32_t gpu_finger_weigh(const uint32_t u[GPU_FINGER_STEPS][4], unsigned word)
{
    static const uint8_t summands[GPU_FINGER_STEPS] = GPU_FINGER_SUMMANDS;
    uint32_t sum = 0;
    GPU_UNROLL
    for (unsigned bit = 8; bit-- > 0;) {
        sum = bit == 7 ? 0 : gpu_times_x(sum);
        GPU_UNROLL
        for (unsigned i = 0; i < GPU_FINGER_STEPS; i++) {
            sum ^= (summands[i] >> bit & 1u) != 0 ? u[i][word] : 0;
        }
    }
    return sum;
}

/* The first step. */
GPU_FN void gpu_finger_thread(const struct gpu_finger_pass *p, uint64_t thread)
{
    const uint64_t tile = thread / GPU_FINGER_THREADS;
    const uint64_t tiles = gpu_finger_tiles(p);
    const uint8_t *column = p->columns + tile / tiles * p->stride_bytes;
    uint64_t at =
        tile % tiles * GPU_FINGER_TILE_BYTES + thread % GPU_FINGER_THREADS * GPU_UNIT_BYTES;
    uint32_t u[GPU_FINGER_STEPS][4];
    GPU_UNROLL
    for (unsigned i = 0; i < GPU_FINGER_STEPS * 4; i++) {
        u[i / 4][i % 4] = 0;
    }
    for (unsigned round = 0; round < GPU_FINGER_ROUNDS; round++) {
        GPU_UNROLL
        for (unsigned i = 0; i < GPU_FINGER_STEPS; i++) {
            if (at < p->stride_bytes) {
                const struct gpu_words x = gpu_unit_load(column + at);
                GPU_UNROLL
                for (unsigned w = 0; w < 4; w++) {
                    u[i][w] ^= x.w[w];
                }
            }
            /* slot i has the u of 13 rows before, the next one that of 12 */
            GPU_UNROLL
            for (unsigned w = 0; w < 4; w++) {
                u[i][w] ^= u[(i + 1) % GPU_FINGER_STEPS][w];
            }
            at += GPU_FINGER_APART * GPU_FINGER_BYTES;
        }
    }
    gpu_unit_store(p->parts + thread * GPU_UNIT_BYTES, gpu_finger_weigh(u, 0),
                   gpu_finger_weigh(u, 1), gpu_finger_weigh(u, 2), gpu_finger_weigh(u, 3));
}

/* The second step. */
GPU_FN void gpu_finger_end_thread(const struct gpu_finger_pass *p, uint64_t thread)
{
    const uint8_t *at = p->parts + thread / 2 * GPU_FINGER_PART_BYTES + thread % 2 * GPU_UNIT_BYTES;
    uint32_t sum[4] = {0, 0, 0, 0};
    GPU_UNROLL_EIGHT
    for (unsigned i = 0; i < GPU_FINGER_APART; i++) {
        const struct gpu_words x = gpu_unit_load(at + i * GPU_FINGER_BYTES);
        GPU_UNROLL
        for (unsigned w = 0; w < 4; w++) {
            sum[w] = gpu_finger_times_h(sum[w]) ^ x.w[w];
        }
    }
    gpu_unit_store(p->sums + thread * GPU_UNIT_BYTES, sum[0], sum[1], sum[2], sum[3]);
}

#endif
