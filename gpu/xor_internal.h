/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Encoding by codes that are known when the kernel is compiled, with XOR alone. A coefficient is a
 * polynomial in x, so a parity row is the sum over the bits b of x^b times the XOR of those cells
 * whose coefficient has bit b. By Horner's rule that is seven multiplications by x of the row's
 * sum, whatever the number of cells, and one XOR for each bit that is set (K. M. Greenan, E. L.
 * Miller, T. J. E. Schwarz, "Optimizing Galois field arithmetic for diverse processor architectures
 * and applications", MASCOTS 2008; H. P. Anvin, "The mathematics of RAID-6", 2004, section 4). Four
 * bytes are multiplied at once, in one word: no planes of bits need be made of the bytes first.
 * With all coefficients known the loops over bits leave nothing but those XORs.
 *
 * The codes are compute_rs_matrix's: row i of parity has coefficients 1 / ((k + i) xor j).
 *
 * A thread takes one unit of all columns.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_GPU_XOR_INTERNAL_H
#define HOLDFAST_GPU_XOR_INTERNAL_H

#include "gpu/gpu.h"
#include "gpu/kernel_internal.h"

#include <stdbool.h>

/* k and m of the codes that there are kernels of. */
#define GPU_XOR_CODES(X) X(3, 2) X(4, 2) X(6, 3) X(8, 3) X(10, 4)
#define GPU_XOR_K_MAX 10u
#define GPU_XOR_ROWS_MAX 4u

struct gpu_xor_pass {
    const uint8_t *data; /* k columns, stride_bytes apart; at a multiple of 16 */
    uint8_t *coded;      /* rows columns, likewise */
    uint64_t stride_bytes;
    uint32_t k;
    uint32_t rows;
};

static inline uint64_t gpu_xor_threads(const struct gpu_xor_pass *p)
{
    return p->stride_bytes / GPU_UNIT_BYTES;
}

/* a: 1 to 31. */
GPU_FN uint32_t gpu_xor_inverse(uint32_t a)
{
    static const uint8_t inverse[GPU_RS_MAX] = {
        0x00, 0x01, 0x8e, 0xf4, 0x47, 0xa7, 0x7a, 0xba, 0xad, 0x9d, 0xdd,
        0x98, 0x3d, 0xaa, 0x5d, 0x96, 0xd8, 0x72, 0xc0, 0x58, 0xe0, 0x3e,
        0x4c, 0x66, 0x90, 0xde, 0x55, 0x80, 0xa0, 0x83, 0x4b, 0x2a,
    };
    return inverse[a];
}

/* returns: whether there is a kernel for these rows. */
static inline bool gpu_xor_has(unsigned k, unsigned rows, const uint8_t *coefficients)
{
    bool is_known = false;
#define GPU_XOR_IS(of_k, of_m) is_known = is_known || (k == (of_k) && rows == (of_m));
    GPU_XOR_CODES(GPU_XOR_IS)
#undef GPU_XOR_IS
    for (unsigned i = 0; is_known && i < rows * k; i++) {
        is_known = coefficients[i] == gpu_xor_inverse((k + i / k) ^ (i % k));
    }
    return is_known;
}

/* k, rows: the pass's, as constants where the compiler is to unroll everything. */
GPU_FN void gpu_xor_thread(const struct gpu_xor_pass *p, unsigned k, unsigned rows, uint64_t thread)
{
    const uint64_t from = thread * GPU_UNIT_BYTES;
    struct gpu_words cell[GPU_XOR_K_MAX];
    GPU_UNROLL
    for (unsigned j = 0; j < k; j++) {
        cell[j] = gpu_unit_load(p->data + j * p->stride_bytes + from);
    }
    GPU_UNROLL
    for (unsigned row = 0; row < rows; row++) {
        uint32_t sum[4] = {0, 0, 0, 0};
        GPU_UNROLL
        for (unsigned bit = 8; bit-- > 0;) {
            GPU_UNROLL
            for (unsigned w = 0; w < 4; w++) {
                sum[w] = bit == 7 ? 0 : gpu_times_x(sum[w]);
                GPU_UNROLL
                for (unsigned j = 0; j < k; j++) {
                    const uint32_t coefficient = gpu_xor_inverse((k + row) ^ j);
                    sum[w] ^= (coefficient >> bit & 1u) != 0 ? cell[j].w[w] : 0;
                }
            }
        }
        gpu_unit_store(p->coded + row * p->stride_bytes + from, sum[0], sum[1], sum[2], sum[3]);
    }
}

#endif
