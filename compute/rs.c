/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reed-Solomon through ISA-L, and its plain twin. The field is GF(2^8) modulo
 * x^8 + x^4 + x^3 + x^2 + 1 (0x11d). The generator is systematic with Cauchy rows
 * 1 / (i xor j), every square part of which can be inverted (Plank and Xu, "Optimizing Cauchy
 * Reed-Solomon codes", 2006, section 3); the Vandermonde generator does not always have that.
 */
#include "base/num.h"
#include "base/simd.h"
#include "compute/compute_internal.h"

#include <isa-l.h>

_Static_assert(COMPUTE_RS_TABLE_BYTES == 32, "ISA-L's table of one coefficient");

/* ISA-L makes up to this many results in one pass over the sources. */
#define ROWS_A_PASS 4u
/* With more passes, the columns of all sources are kept in the second-level cache. */
#define CACHE_BYTES (512u << 10)
#define COLUMN_BYTES_MIN 4096u
#define COLUMN_BYTES_MAX (1u << 30)

void compute_rs_matrix(unsigned k, unsigned m, uint8_t *matrix)
{
    ASSERT(k >= 1);
    ASSERT(k + m <= COMPUTE_RS_MAX);
    gf_gen_cauchy1_matrix(matrix, (int)(k + m), (int)k);
    if (k == 1) {
        /* multiples of the one cell would do; copies need no arithmetic to read */
        memset(matrix, 1, 1 + m);
    }
}

bool compute_rs_invert(uint8_t *in, uint8_t *out, unsigned n)
{
    ASSERT(n >= 1 && n <= COMPUTE_RS_MAX);
    return gf_invert_matrix(in, out, (int)n) == 0;
}

uint8_t compute_gf_mul(uint8_t a, uint8_t b)
{
    unsigned product = 0;
    unsigned shifted = a;
    for (unsigned bit = 0; bit < 8; bit++) {
        product ^= shifted & (0u - (((unsigned)b >> bit) & 1u));
        shifted = (shifted << 1) ^ (0x11du & (0u - (shifted >> 7)));
    }
    return (uint8_t)product;
}

void compute_rs_tables(unsigned k, unsigned rows, const uint8_t *coefficients, uint8_t *tables)
{
    ASSERT(k >= 1 && k <= COMPUTE_RS_MAX);
    ASSERT(rows <= COMPUTE_RS_MAX);
    if (rows > 0) {
        /* ISA-L takes a pointer to non-const bytes and does not write them */
        ec_init_tables((int)k, (int)rows, (unsigned char *)(uintptr_t)coefficients, tables);
    }
}

static size_t column_bytes(const struct compute_rs_job *job)
{
    if (job->rows <= ROWS_A_PASS) {
        return COLUMN_BYTES_MAX;
    }
    size_t fits = CACHE_BYTES / (job->k + job->rows);
    return NUM_MAX(fits & ~(size_t)4095, COLUMN_BYTES_MIN);
}

void compute_rs_encode(const struct compute_rs_job *job)
{
    unsigned char *data[COMPUTE_RS_MAX];
    unsigned char *coded[COMPUTE_RS_MAX];
    ASSERT(job->k >= 1 && job->k <= COMPUTE_RS_MAX);
    ASSERT(job->rows <= COMPUTE_RS_MAX);
    if (job->rows == 0) {
        return;
    }
    const size_t column = column_bytes(job);
    for (size_t from = 0; from < job->bytes; from += column) {
        size_t part = NUM_MIN(column, job->bytes - from);
        for (unsigned i = 0; i < job->k; i++) {
            data[i] = (unsigned char *)(uintptr_t)(job->data[i] + from);
        }
        for (unsigned i = 0; i < job->rows; i++) {
            coded[i] = job->coded[i] + from;
        }
        ec_encode_data((int)part, (int)job->k, (int)job->rows,
                       (unsigned char *)(uintptr_t)job->tables, data, coded);
    }
    simd_leave();
}

/* coded ^= coefficient * data, by the products of one coefficient with every byte. */
static void multiply_add(uint8_t coefficient, const uint8_t *data, uint8_t *coded, size_t bytes)
{
    uint8_t product[256];
    for (unsigned v = 0; v < 256; v++) {
        product[v] = compute_gf_mul(coefficient, (uint8_t)v);
    }
    for (size_t i = 0; i < bytes; i++) {
        coded[i] = (uint8_t)(coded[i] ^ product[data[i]]);
    }
}

void compute_rs_encode_plain(const struct compute_rs_job *job, const uint8_t *coefficients)
{
    if (job->bytes == 0) {
        return;
    }
    for (unsigned row = 0; row < job->rows; row++) {
        memset(job->coded[row], 0, job->bytes);
        for (unsigned j = 0; j < job->k; j++) {
            multiply_add(coefficients[row * job->k + j], job->data[j], job->coded[row], job->bytes);
        }
    }
}
