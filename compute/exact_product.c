/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums of products of doubles. A product is two doubles, itself rounded and what rounding
 * took, which a fused multiplication gives exactly as long as nothing overflows or falls below the
 * least double (J.-M. Muller and others, "Handbook of Floating-Point Arithmetic", 2nd edition,
 * section 4.4). Both are added to the sum of the doubles with the same sign and exponent, as whole
 * numbers (R. M. Neal, 2015, section 4: the large superaccumulator), of which there are few.
 */
#include "base/num.h"
#include "compute/exact_internal.h"

#include <float.h>

#define FRACTION_BITS 52u
#define FRACTION ((UINT64_C(1) << FRACTION_BITS) - 1)
#define EXPONENTS 0x7ffu
/* The place of the least bit of a double with exponent field 1. */
#define LEAST_BIT (COMPUTE_EXACT_ONE_BIT - 1074u)

static double value_at(const uint8_t *values, size_t i)
{
    double v;
    memcpy(&v, values + i * sizeof(v), sizeof(v));
    return v;
}

static void add_plain(struct compute_exact *e, const uint8_t *x, const uint8_t *y, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        compute_exact_add_product_f64(e, value_at(x, i), value_at(y, i));
    }
}

#if COMPUTE_EXACT_HAS_LANES

#include <immintrin.h>

#define FEATURES "avx2,fma"
#define LANES 4u
#define BLOCK 256u
#define KINDS (2u * (EXPONENTS + 1)) /* signs and exponents */
#define FULL (UINT64_C(1) << 62)     /* a sum that is not below is put into the exact one */
#define PAIRS_MIN 4096u              /* fewer are not worth a table */
/* Of a product that is not below, no bit is below the least double. */
#define PRODUCT_MIN 0x1p-968

struct table {
    uint64_t sum[KINDS]; /* of fractions with their leading ones, each below 2^53 */
};

static void put_sum(struct compute_exact *e, struct table *t, unsigned kind)
{
    const unsigned exponent = kind & EXPONENTS;
    const unsigned at_bit = LEAST_BIT + (exponent > 0 ? exponent - 1 : 0);
    compute_exact_add_bits64(e, kind > EXPONENTS, t->sum[kind], at_bit);
    t->sum[kind] = 0;
}

/* v: finite. */
static inline void add_to_table(struct compute_exact *e, struct table *t, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    const unsigned kind = (unsigned)(bits >> FRACTION_BITS);
    const uint64_t one = (uint64_t)((kind & EXPONENTS) != 0) << FRACTION_BITS;
    const uint64_t sum = t->sum[kind] + ((bits & FRACTION) | one);
    t->sum[kind] = sum;
    if (sum >= FULL) {
        put_sum(e, t, kind);
    }
}

/* products + rests = x * y, exactly. returns: false if one of them is not. count: a multiple of
 * LANES. */
ATTR_TARGET(FEATURES)
static bool multiply(const uint8_t *x, const uint8_t *y, size_t count, double *products,
                     double *rests)
{
    const __m256d sign = _mm256_set1_pd(-0.0);
    const __m256d zero = _mm256_setzero_pd();
    __m256d right = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
    for (size_t i = 0; i < count; i += LANES) {
        const __m256d a = _mm256_loadu_pd((const double *)(const void *)(x + i * sizeof(double)));
        const __m256d b = _mm256_loadu_pd((const double *)(const void *)(y + i * sizeof(double)));
        const __m256d product = _mm256_mul_pd(a, b);
        const __m256d size = _mm256_andnot_pd(sign, product);
        const __m256d usual =
            _mm256_and_pd(_mm256_cmp_pd(size, _mm256_set1_pd(PRODUCT_MIN), _CMP_GE_OQ),
                          _mm256_cmp_pd(size, _mm256_set1_pd(DBL_MAX), _CMP_LE_OQ));
        const __m256d of_zero =
            _mm256_or_pd(_mm256_cmp_pd(a, zero, _CMP_EQ_OQ), _mm256_cmp_pd(b, zero, _CMP_EQ_OQ));
        const __m256d nothing = _mm256_and_pd(_mm256_cmp_pd(product, zero, _CMP_EQ_OQ), of_zero);
        right = _mm256_and_pd(right, _mm256_or_pd(usual, nothing));
        _mm256_storeu_pd(products + i, product);
        _mm256_storeu_pd(rests + i, _mm256_fmsub_pd(a, b, product));
    }
    return _mm256_movemask_pd(right) == 0xf;
}

/* count: as in multiply, at most BLOCK. */
static void add_block(struct compute_exact *e, struct table *t, const uint8_t *x, const uint8_t *y,
                      size_t count)
{
    double products[BLOCK];
    double rests[BLOCK];
    if (!multiply(x, y, count, products, rests)) {
        add_plain(e, x, y, count);
        return;
    }
    compute_exact_see_finite(e, (const uint8_t *)products, count);
    for (size_t i = 0; i < count; i++) {
        add_to_table(e, t, products[i]);
        add_to_table(e, t, rests[i]);
    }
}

static void add_in_table(struct compute_exact *e, const uint8_t *x, const uint8_t *y, size_t count)
{
    struct table t;
    size_t done = 0;
    memset(&t, 0, sizeof(t));
    while (count - done >= LANES) {
        const size_t part = NUM_MIN((count - done) / LANES * LANES, (size_t)BLOCK);
        add_block(e, &t, x + done * sizeof(double), y + done * sizeof(double), part);
        done += part;
    }
    add_plain(e, x + done * sizeof(double), y + done * sizeof(double), count - done);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        if (t.sum[kind] > 0) {
            put_sum(e, &t, kind);
        }
    }
}

#endif

void compute_exact_add_products_f64s_by(enum compute_lanes lanes, struct compute_exact *e,
                                        const void *x, const void *y, size_t count)
{
    ASSERT(compute_lanes_runs(lanes));
#if COMPUTE_EXACT_HAS_LANES
    if (lanes != COMPUTE_LANES_PLAIN && __builtin_cpu_supports("avx2") != 0 &&
        __builtin_cpu_supports("fma") != 0 && count >= PAIRS_MIN) {
        add_in_table(e, x, y, count);
        return;
    }
#endif
    add_plain(e, x, y, count);
}

void compute_exact_add_products_f64s(struct compute_exact *e, const void *x, const void *y,
                                     size_t count)
{
    compute_exact_add_products_f64s_by(compute_lanes_pick(), e, x, y, count);
}
