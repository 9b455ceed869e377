/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums of arrays. The vector kernels cut every double of a block at two fixed places and add
 * the two pieces as whole numbers; this is exact for all doubles of the block that lie within the
 * window's 102 bits, and the kernel says when one does not. The window follows the data: it is
 * moved when a block does not fit it, and a block that fits no window is added value by value.
 */
#include "base/num.h"
#include "compute/exact_internal.h"

#define FRACTION_BITS 52u
/* A window that holds values below 2^(e + 1), e the unbiased exponent of the largest one:
 * 1.5 * 2^(e + 2) cuts at 2^(e - 50), what is left is below 2^(e - 50), and 1.5 * 2^(e - 49) cuts
 * that at 2^(e - 101). Rounding to nearest leaves at most half a unit. */
#define ABOVE1 2u
#define BELOW2 49u
/* Exponent fields for which both constants are normal doubles; at the least of them the second unit
 * is 2^-1074, so nothing is ever left. */
#define FIELD_MIN (BELOW2 + 1u)
#define FIELD_MAX (0x7feu - ABOVE1)
/* The place of the least bit of a double with exponent field 1. */
#define LEAST_BIT (COMPUTE_EXACT_ONE_BIT - 1074u)
#define MINUS_ZERO (UINT64_C(1) << 63)

bool compute_lanes_runs(enum compute_lanes lanes)
{
    ASSERT(lanes < COMPUTE_LANES_COUNT);
#if COMPUTE_EXACT_HAS_LANES
    if (lanes == COMPUTE_LANES_AVX2) {
        return __builtin_cpu_supports("avx2") != 0;
    }
    if (lanes == COMPUTE_LANES_AVX512) {
        return __builtin_cpu_supports("avx512f") != 0;
    }
#endif
    return lanes == COMPUTE_LANES_PLAIN;
}

const char *compute_lanes_name(enum compute_lanes lanes)
{
    static const char *const names[COMPUTE_LANES_COUNT] = {"plain", "avx2", "avx512"};
    ASSERT(lanes < COMPUTE_LANES_COUNT);
    return names[lanes];
}

enum compute_lanes compute_lanes_pick(void)
{
    enum compute_lanes best = COMPUTE_LANES_PLAIN;
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        best = compute_lanes_runs(v) ? v : best;
    }
    return best;
}

/* exponent: the field of the largest value, at most FIELD_MAX. */
static struct compute_window window_for(unsigned exponent)
{
    const unsigned field = NUM_MAX(exponent, FIELD_MIN);
    const uint64_t half = UINT64_C(1) << (FRACTION_BITS - 1);
    const unsigned field1 = field + ABOVE1;
    const unsigned field2 = field - BELOW2;
    ASSERT(field <= FIELD_MAX);
    return (struct compute_window){
        .bits1 = (int64_t)((uint64_t)field1 << FRACTION_BITS | half),
        .bits2 = (int64_t)((uint64_t)field2 << FRACTION_BITS | half),
        .unit1_bit = LEAST_BIT + field1 - 1,
        .unit2_bit = LEAST_BIT + field2 - 1,
    };
}

static uint64_t bits_at(const uint8_t *at, size_t i)
{
    uint64_t bits;
    memcpy(&bits, at + i * sizeof(bits), sizeof(bits));
    return bits;
}

/* returns: the largest exponent field among them. */
static unsigned exponent_most(const uint8_t *at, size_t count)
{
    uint64_t most = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t bits = bits_at(at, i) & ~MINUS_ZERO;
        most = NUM_MAX(most, bits);
    }
    return (unsigned)(most >> FRACTION_BITS);
}

static void add_plain(struct compute_exact *e, const uint8_t *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, at + i * sizeof(value), sizeof(value));
        compute_exact_add_f64(e, value);
    }
}

void compute_exact_see_finite(struct compute_exact *e, const uint8_t *at, size_t count)
{
    for (size_t i = 0; i < count && (e->seen & COMPUTE_EXACT_USUAL) == 0; i++) {
        compute_exact_see(e, bits_at(at, i) == MINUS_ZERO ? COMPUTE_EXACT_MINUS_ZERO
                                                          : COMPUTE_EXACT_USUAL);
    }
}

static void add_signed(struct compute_exact *e, int64_t value, unsigned at_bit)
{
    const uint64_t v = (uint64_t)value;
    compute_exact_add_bits64(e, value < 0, value < 0 ? 0 - v : v, at_bit);
}

/* Adds one block. w: the window, moved if the block asks for another one. */
static void add_block(compute_pieces_fn *kernel, struct compute_exact *e, struct compute_window *w,
                      const uint8_t *at, size_t count)
{
    struct compute_pieces p;
    kernel(at, count, w, &p);
    if (p.outside || p.left) {
        const unsigned exponent = exponent_most(at, count);
        if (exponent > FIELD_MAX) {
            add_plain(e, at, count);
            return;
        }
        *w = window_for(exponent);
        kernel(at, count, w, &p);
    }
    if (p.outside || p.left) {
        add_plain(e, at, count);
        return;
    }
    compute_exact_see_finite(e, at, count);
    add_signed(e, p.sum1, w->unit1_bit);
    add_signed(e, p.sum2, w->unit2_bit);
}

static compute_pieces_fn *pieces_of(enum compute_lanes lanes)
{
#if COMPUTE_EXACT_HAS_LANES
    return lanes == COMPUTE_LANES_AVX512 ? compute_pieces_avx512 : compute_pieces_avx2;
#else
    (void)lanes;
    return NULL;
#endif
}

void compute_exact_add_f64s_by(enum compute_lanes lanes, struct compute_exact *e,
                               const void *values, size_t count)
{
    const uint8_t *at = values;
    ASSERT(compute_lanes_runs(lanes));
    if (lanes == COMPUTE_LANES_PLAIN) {
        add_plain(e, at, count);
        return;
    }
    struct compute_window w = window_for(FIELD_MIN);
    size_t left = count;
    while (left >= COMPUTE_EXACT_STEP) {
        const size_t part = NUM_MIN(left - left % COMPUTE_EXACT_STEP, COMPUTE_EXACT_BLOCK);
        add_block(pieces_of(lanes), e, &w, at, part);
        at += part * sizeof(double);
        left -= part;
    }
    add_plain(e, at, left);
}

static void halves_plain(const uint8_t *at, size_t count, bool is_signed,
                         struct compute_halves *out)
{
    out->low = 0;
    out->high = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t bits = bits_at(at, i);
        const int64_t high = (int64_t)(bits >> 32);
        out->low += bits & UINT32_MAX;
        out->high += is_signed && (bits & MINUS_ZERO) != 0 ? high - (INT64_C(1) << 32) : high;
    }
}

static void add_integers(enum compute_lanes lanes, struct compute_exact *e, const void *values,
                         size_t count, bool is_signed)
{
    const uint8_t *at = values;
    compute_halves_fn *kernel = halves_plain;
    ASSERT(compute_lanes_runs(lanes));
#if COMPUTE_EXACT_HAS_LANES
    if (lanes != COMPUTE_LANES_PLAIN) {
        kernel = lanes == COMPUTE_LANES_AVX512 ? compute_halves_avx512 : compute_halves_avx2;
    }
#endif
    for (size_t done = 0; done < count;) {
        struct compute_halves sums;
        const size_t part = NUM_MIN(count - done, COMPUTE_HALVES_MAX);
        kernel(at + done * sizeof(uint64_t), part, is_signed, &sums);
        compute_exact_see(e, COMPUTE_EXACT_USUAL);
        compute_exact_add_bits64(e, false, sums.low, COMPUTE_EXACT_ONE_BIT);
        add_signed(e, sums.high, COMPUTE_EXACT_ONE_BIT + 32);
        done += part;
    }
}

void compute_exact_add_i64s_by(enum compute_lanes lanes, struct compute_exact *e,
                               const void *values, size_t count)
{
    add_integers(lanes, e, values, count, true);
}

void compute_exact_add_u64s_by(enum compute_lanes lanes, struct compute_exact *e,
                               const void *values, size_t count)
{
    add_integers(lanes, e, values, count, false);
}

void compute_exact_add_f64s(struct compute_exact *e, const void *values, size_t count)
{
    compute_exact_add_f64s_by(compute_lanes_pick(), e, values, count);
}

void compute_exact_add_i64s(struct compute_exact *e, const void *values, size_t count)
{
    add_integers(compute_lanes_pick(), e, values, count, true);
}

void compute_exact_add_u64s(struct compute_exact *e, const void *values, size_t count)
{
    add_integers(compute_lanes_pick(), e, values, count, false);
}
