/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints: the stream, the plain kernel by Horner's rule, and the choice of kernels. Horner's
 * rule gives row 0 the greatest power of h; the last step divides it all by that power, so that a
 * row's coefficient depends on its place from the front, and g = 1 / h.
 */
#include "compute/compute.h"
#include "compute/finger_internal.h"

#include <string.h>

#define ROW COMPUTE_FINGER_BYTES
#define BLOCK COMPUTE_FINGER_BLOCK_BYTES
#define H 0x23u /* a root of x^13 + x + 1, of order 255 */
#define G 0x51u /* 1 / H */
#define ORDER 255u

_Static_assert(BLOCK == 2 * COMPUTE_FINGER_STEPS * ROW, "steps of the widest kernel");

static void finger_plain(uint8_t sum[ROW], const uint8_t *rows, size_t count)
{
    uint8_t product[256];
    for (unsigned v = 0; v < 256; v++) {
        product[v] = compute_gf_mul(H, (uint8_t)v);
    }
    for (size_t row = 0; row < count; row++) {
        for (unsigned i = 0; i < ROW; i++) {
            sum[i] = (uint8_t)(product[sum[i]] ^ rows[row * ROW + i]);
        }
    }
}

bool compute_finger_runs(enum compute_finger_variant variant)
{
    switch (variant) {
    case COMPUTE_FINGER_PLAIN:
    case COMPUTE_FINGER_WIDE: return true;
#if COMPUTE_FINGER_HAS_LANES
    case COMPUTE_FINGER_AVX2: return __builtin_cpu_supports("avx2") != 0;
    case COMPUTE_FINGER_AVX512:
        return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0;
#endif
    default: return false;
    }
}

const char *compute_finger_name(enum compute_finger_variant variant)
{
    static const char *const names[COMPUTE_FINGER_COUNT] = {"plain", "wide", "avx2", "avx512"};
    ASSERT(variant < COMPUTE_FINGER_COUNT);
    return names[variant];
}

struct kernel {
    compute_finger_blocks_fn *blocks; /* NULL: plain */
    compute_finger_fold_fn *fold;
};

static struct kernel kernel_of(enum compute_finger_variant variant)
{
    switch (variant) {
    case COMPUTE_FINGER_WIDE:
        return (struct kernel){compute_finger_blocks_wide, compute_finger_fold_wide};
#if COMPUTE_FINGER_HAS_LANES
    case COMPUTE_FINGER_AVX2:
        return (struct kernel){compute_finger_blocks_avx2, compute_finger_fold_avx2};
    case COMPUTE_FINGER_AVX512:
        return (struct kernel){compute_finger_blocks_avx512, compute_finger_fold_avx512};
#endif
    default: return (struct kernel){NULL, NULL};
    }
}

void compute_finger_init_by(struct compute_finger *f, enum compute_finger_variant variant)
{
    ASSERT(compute_finger_runs(variant));
    *f = (struct compute_finger){.variant = variant, .folded = variant == COMPUTE_FINGER_PLAIN};
}

void compute_finger_init(struct compute_finger *f)
{
    enum compute_finger_variant variant = COMPUTE_FINGER_WIDE;
    for (enum compute_finger_variant v = variant; v < COMPUTE_FINGER_COUNT; v++) {
        variant = compute_finger_runs(v) ? v : variant;
    }
    compute_finger_init_by(f, variant);
}

/* Goes from blocks to Horner's rule, for what is no whole block. */
static void fold(struct compute_finger *f)
{
    if (!f->folded) {
        kernel_of(f->variant).fold(f->state, f->sum);
        memset(f->state, 0, sizeof f->state);
        f->folded = true;
    }
}

/* Adds whole rows to a sum: as blocks, of which the first has zeros, the sum, and the rows that are
 * no whole block. */
static void add_rows(struct compute_finger *f, const uint8_t *rows, size_t count)
{
    const struct kernel kernel = kernel_of(f->variant);
    uint8_t first[BLOCK] = {0};
    const size_t lead = count % (BLOCK / ROW);
    uint8_t *end = first + BLOCK - lead * ROW;
    if (kernel.blocks == NULL) {
        finger_plain(f->sum, rows, count);
        return;
    }
    memcpy(end - ROW, f->sum, ROW);
    memcpy(end, rows, lead * ROW);
    kernel.blocks(f->state, first, 1);
    kernel.blocks(f->state, rows + lead * ROW, count / (BLOCK / ROW));
    f->folded = false;
    fold(f);
}

/* Adds bytes of one row. */
static void add_part(struct compute_finger *f, const uint8_t *data, size_t bytes)
{
    const size_t from = (size_t)(f->bytes % ROW);
    ASSERT(bytes <= ROW - from);
    ASSERT(f->folded);
    for (unsigned i = 0; i < ROW && from == 0; i++) {
        f->sum[i] = compute_gf_mul(H, f->sum[i]);
    }
    for (size_t i = 0; i < bytes; i++) {
        f->sum[from + i] = (uint8_t)(f->sum[from + i] ^ data[i]);
    }
    f->bytes += bytes;
}

void compute_finger_add(struct compute_finger *f, const uint8_t *data, size_t bytes)
{
    const size_t begun = (size_t)(f->bytes % ROW);
    if (begun > 0 && bytes > 0) {
        const size_t part = bytes < ROW - begun ? bytes : ROW - begun;
        add_part(f, data, part);
        data += part;
        bytes -= part;
    }
    if (!f->folded && bytes >= BLOCK) {
        const size_t blocks = bytes / BLOCK;
        kernel_of(f->variant).blocks(f->state, data, blocks);
        f->bytes += blocks * BLOCK;
        data += blocks * BLOCK;
        bytes -= blocks * BLOCK;
    }
    if (bytes == 0) {
        return;
    }
    fold(f);
    const size_t rows = bytes / ROW;
    if (rows > 0) {
        add_rows(f, data, rows);
        f->bytes += rows * ROW;
    }
    if (bytes % ROW > 0) {
        add_part(f, data + rows * ROW, bytes % ROW);
    }
}

void compute_finger_end(const struct compute_finger *f, uint8_t out[ROW])
{
    struct compute_finger whole = *f;
    uint8_t power = 1;
    fold(&whole);
    if (f->bytes > 0) {
        for (uint64_t row = (f->bytes - 1) / ROW % ORDER; row > 0; row--) {
            power = compute_gf_mul(power, G);
        }
    }
    memset(out, 0, ROW);
    compute_finger_combine(power, whole.sum, out);
}

void compute_finger_combine(uint8_t coefficient, const uint8_t finger[ROW], uint8_t sum[ROW])
{
    for (unsigned i = 0; i < ROW; i++) {
        sum[i] = (uint8_t)(sum[i] ^ compute_gf_mul(coefficient, finger[i]));
    }
}
