/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reed-Solomon by any matrix, over GF(2^8) modulo 0x11d. Multiplication by a coefficient is linear
 * over GF(2), so a product is the XOR of products of parts of a byte, and these are looked up: the
 * method of table look-ups by byte shuffles (J. S. Plank, K. M. Greenan, E. L. Miller, "Screaming
 * fast Galois field arithmetic using Intel SIMD instructions", FAST 2013, section 4), cut to what
 * PRMT offers. It looks up four bytes at once in a table of eight bytes, two registers. So a byte
 * is cut into bits 0 to 2, bits 4 to 6, and bits 3 and 7 together: three look-ups for four
 * products.
 *
 * PRMT takes its four indices as nibbles of one half of a word. Two words x and y are cut together:
 * nibble 2i of the selector belongs to byte i of x, nibble 2i + 1 to byte i of y. Products come out
 * in that order (x0 y0 x1 y1, x2 y2 x3 y3); sums are kept in it, and put right once at the end. The
 * cutting is done once a word, whatever the number of rows.
 *
 * A thread takes unit `thread` of the first half of all columns and the same of the second half.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_RS_INTERNAL_H
#define HOLDFAST_GPU_RS_INTERNAL_H

#include "gpu/gpu.h"
#include "gpu/kernel_internal.h"

/* Results of one pass over the sources; more would not fit into registers. */
#define GPU_RS_PASS_ROWS 8u
/* Columns are padded to this. */
#define GPU_RS_COLUMN_BYTES (2u * GPU_UNIT_BYTES)

/* The products of one coefficient. low: with 0 to 7; high: with these times 16. */
struct gpu_rs_table {
    GPU_ALIGN16 uint32_t low[2];
    uint32_t high[2];
};

struct gpu_rs_pass {
    const uint8_t *data;   /* k columns, stride_bytes apart; at a multiple of 16 */
    uint8_t *coded;        /* rows columns, likewise */
    uint64_t stride_bytes; /* a multiple of GPU_RS_COLUMN_BYTES */
    uint32_t k;
    uint32_t rows; /* 1, 2, 3, 4 or GPU_RS_PASS_ROWS */
    /* source by source: [j * rows + row] */
    struct gpu_rs_table table[GPU_RS_MAX * GPU_RS_PASS_ROWS];
    uint32_t rest[GPU_RS_MAX * GPU_RS_PASS_ROWS]; /* products with 0, 8, 128, 136 */
};

/* returns: rows of the next pass, of those that are left. left: > 0. */
static inline unsigned gpu_rs_pass_rows(unsigned left)
{
    return left >= GPU_RS_PASS_ROWS ? GPU_RS_PASS_ROWS : left > 4 ? 4 : left;
}

static inline uint64_t gpu_rs_threads(const struct gpu_rs_pass *p)
{
    return p->stride_bytes / GPU_RS_COLUMN_BYTES;
}

static inline uint32_t gpu_rs_multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
        product ^= a & (0u - (b >> bit & 1u));
        a = (a << 1) ^ (0x11du & (0u - (a >> 7)));
    }
    return product;
}

/* coefficients: p->rows rows of p->k. */
static inline void gpu_rs_pass_tables(struct gpu_rs_pass *p, const uint8_t *coefficients)
{
    for (uint32_t j = 0; j < p->k; j++) {
        for (uint32_t row = 0; row < p->rows; row++) {
            const uint32_t c = coefficients[row * p->k + j];
            struct gpu_rs_table t = {{0, 0}, {0, 0}};
            uint32_t rest = 0;
            for (uint32_t i = 0; i < 8; i++) {
                t.low[i / 4] |= gpu_rs_multiply(c, i) << 8 * (i % 4);
                t.high[i / 4] |= gpu_rs_multiply(c, i << 4) << 8 * (i % 4);
            }
            for (uint32_t i = 0; i < 4; i++) {
                rest |= gpu_rs_multiply(c, (i & 1u) << 3 | i >> 1 << 7) << 8 * i;
            }
            p->table[j * p->rows + row] = t;
            p->rest[j * p->rows + row] = rest;
        }
    }
}

/* Two words, cut into selectors. Index 1: for bytes 2 and 3 of both. */
struct gpu_rs_cut {
    uint32_t low[2];
    uint32_t high[2];
    uint32_t rest[2];
};

GPU_FN struct gpu_rs_cut gpu_rs_cut_of(uint32_t x, uint32_t y)
{
    const uint32_t lower = (x & 0x0f0f0f0fu) | (y << 4 & 0xf0f0f0f0u);
    const uint32_t upper = (x >> 4 & 0x0f0f0f0fu) | (y & 0xf0f0f0f0u);
    const uint32_t rest = (lower >> 3 & 0x11111111u) | (upper >> 2 & 0x22222222u);
    struct gpu_rs_cut c;
    c.low[0] = lower & 0x77777777u;
    c.low[1] = c.low[0] >> 16;
    c.high[0] = upper & 0x77777777u;
    c.high[1] = c.high[0] >> 16;
    c.rest[0] = rest;
    c.rest[1] = rest >> 16;
    return c;
}

GPU_FN void gpu_rs_add(uint32_t *sum, const struct gpu_rs_cut *c, const struct gpu_rs_table *t,
                       uint32_t rest)
{
    GPU_UNROLL
    for (unsigned half = 0; half < 2; half++) {
        sum[half] ^= gpu_permute(t->low[0], t->low[1], c->low[half]) ^
                     gpu_permute(t->high[0], t->high[1], c->high[half]) ^
                     gpu_permute(rest, 0, c->rest[half]);
    }
}

/* rows: p->rows, as a constant where the compiler is to keep the sums in registers. */
GPU_FN void gpu_rs_thread(const struct gpu_rs_pass *p, unsigned rows, uint64_t thread)
{
    const uint64_t half_bytes = p->stride_bytes / 2;
    const uint64_t from = thread * GPU_UNIT_BYTES;
    const uint8_t *at = p->data + from;
    uint32_t sum[GPU_RS_PASS_ROWS][8]; /* pairs of words, two halves each */
    GPU_UNROLL
    for (unsigned i = 0; i < rows * 8; i++) {
        sum[i / 8][i % 8] = 0;
    }
    GPU_UNROLL_TWICE
    for (uint32_t j = 0; j < p->k; j++, at += p->stride_bytes) {
        const struct gpu_words x = gpu_unit_load(at);
        const struct gpu_words y = gpu_unit_load(at + half_bytes);
        GPU_UNROLL
        for (unsigned pair = 0; pair < 4; pair++) {
            const struct gpu_rs_cut c = gpu_rs_cut_of(x.w[pair], y.w[pair]);
            GPU_UNROLL
            for (unsigned row = 0; row < rows; row++) {
                gpu_rs_add(&sum[row][2 * pair], &c, &p->table[j * rows + row],
                           p->rest[j * rows + row]);
            }
        }
    }
    GPU_UNROLL
    for (unsigned row = 0; row < rows; row++) {
        const uint32_t *s = sum[row];
        uint8_t *to = p->coded + row * p->stride_bytes + from;
        gpu_unit_store(to, gpu_permute(s[0], s[1], 0x6420), gpu_permute(s[2], s[3], 0x6420),
                       gpu_permute(s[4], s[5], 0x6420), gpu_permute(s[6], s[7], 0x6420));
        gpu_unit_store(to + half_bytes, gpu_permute(s[0], s[1], 0x7531),
                       gpu_permute(s[2], s[3], 0x7531), gpu_permute(s[4], s[5], 0x7531),
                       gpu_permute(s[6], s[7], 0x7531));
    }
}

#endif
