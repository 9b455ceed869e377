/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bins: the plain kernel, and that for AVX2, four doubles at a time.
 */
#include "compute/bins_internal.h"

#include "base/num.h"
#include "compute/exact_internal.h"

#include <math.h>
#include <string.h>

static double place_of(const struct compute_bins *b, double v)
{
    return (v - b->low) * b->scale;
}

void compute_bins_init(struct compute_bins *b, const double *edges, uint32_t count)
{
    const double bins_a_unit = (double)count / (edges[count] - edges[0]);
    *b = (struct compute_bins){.edges = edges,
                               .count = count,
                               .low = edges[0],
                               .high = edges[count],
                               .scale = isfinite(bins_a_unit) ? bins_a_unit : 0};
    for (uint32_t i = 0; i <= count; i++) {
        const double off = fabs(place_of(b, edges[i]) - (double)i);
        b->margin = NUM_MAX(b->margin, off);
    }
    b->margin += 0x1p-40; /* whatever rounds here */
}

static double value_at(const uint8_t *values, size_t i)
{
    double v;
    memcpy(&v, values + i * sizeof(v), sizeof(v));
    return v;
}

/* --- plain --- */

/* returns: the last bin whose edge is not above v. v: from the first edge to below the last. */
static uint32_t bin_by_edges(const struct compute_bins *b, double v)
{
    uint32_t low = 0;
    uint32_t high = b->count;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        if (b->edges[middle] <= v) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint32_t place_slowly(const struct compute_bins *b, double v)
{
    if (v >= b->low && v < b->high) {
        return bin_by_edges(b, v) + 1;
    }
    if (v != v) {
        return compute_bins_nan(b);
    }
    return v < b->low ? 0 : compute_bins_above(b);
}

static void bins_plain(const struct compute_bins *b, const uint8_t *values, size_t count,
                       uint32_t *places)
{
    for (size_t i = 0; i < count; i++) {
        const double v = value_at(values, i);
        const double place = place_of(b, v);
        if (place >= 0 && place < (double)b->count) {
            const uint32_t bin = (uint32_t)place;
            if (b->edges[bin] <= v && v < b->edges[bin + 1]) {
                places[i] = bin + 1;
                continue;
            }
        }
        places[i] = place_slowly(b, v);
    }
}

/* --- AVX2 --- */

#if COMPUTE_EXACT_HAS_LANES

#include <immintrin.h>

#define FEATURES "avx2"
#define LANES 4u
#define BLOCK 256u /* between two looks for what is near an edge */

/* What the kernel takes with it. */
struct grid {
    __m256d low;
    __m256d scale;
    __m256d least; /* of places, and the greatest: between bins that are not there */
    __m256d most;
    __m256d margin;
    __m256d rest; /* 1 - margin */
    __m256d near; /* stands for what is near an edge, or is NaN */
};

ATTR_TARGET(FEATURES) static struct grid grid_of(const struct compute_bins *b)
{
    return (struct grid){.low = _mm256_set1_pd(b->low),
                         .scale = _mm256_set1_pd(b->scale),
                         .least = _mm256_set1_pd(-0.5),
                         .most = _mm256_set1_pd((double)b->count + 0.5),
                         .margin = _mm256_set1_pd(b->margin),
                         .rest = _mm256_set1_pd(1 - b->margin),
                         .near = _mm256_set1_pd((double)compute_bins_nan(b))};
}

/* Writes places. returns: the lanes that are known. */
ATTR_TARGET(FEATURES)
static inline __m256d place_four(const struct grid *g, const uint8_t *at, uint32_t *places)
{
    const __m256d v = _mm256_loadu_pd((const double *)(const void *)at);
    __m256d place = _mm256_mul_pd(_mm256_sub_pd(v, g->low), g->scale);
    place = _mm256_max_pd(g->least, place); /* of a NaN the second is taken */
    place = _mm256_min_pd(g->most, place);
    const __m256d bin = _mm256_floor_pd(place);
    const __m256d above = _mm256_sub_pd(place, bin);
    const __m256d known = _mm256_and_pd(_mm256_cmp_pd(above, g->margin, _CMP_GT_OQ),
                                        _mm256_cmp_pd(above, g->rest, _CMP_LT_OQ));
    const __m128i number = _mm256_cvttpd_epi32(_mm256_blendv_pd(g->near, bin, known));
    _mm_storeu_si128((__m128i *)(void *)places, _mm_add_epi32(number, _mm_set1_epi32(1)));
    return known;
}

/* Near an edge, which tells. */
static uint32_t place_near(const struct compute_bins *b, double v)
{
    if (v != v) {
        return compute_bins_nan(b);
    }
    const double place = place_of(b, v) + 0.5;
    const double most = b->count;
    const uint32_t edge = place > 0 ? (uint32_t)NUM_MIN(place, most) : 0;
    return v < b->edges[edge] ? edge : edge + 1;
}

ATTR_TARGET(FEATURES)
static void bins_avx2(const struct compute_bins *b, const uint8_t *values, size_t count,
                      uint32_t *places)
{
    const struct grid g = grid_of(b);
    const uint32_t near = compute_bins_nan(b) + 1;
    size_t done = 0;
    while (count - done >= 2 * LANES) {
        const size_t left = (count - done) / (2 * LANES) * (2 * LANES);
        const size_t end = done + NUM_MIN(left, (size_t)BLOCK);
        const size_t from = done;
        __m256d known = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
        for (; done < end; done += 2 * LANES) {
            const uint8_t *at = values + done * sizeof(double);
            const __m256d a = place_four(&g, at, places + done);
            const __m256d c = place_four(&g, at + LANES * sizeof(double), places + done + LANES);
            known = _mm256_and_pd(known, _mm256_and_pd(a, c));
        }
        for (size_t i = from; _mm256_movemask_pd(known) != 0xf && i < end; i++) {
            if (places[i] == near) {
                places[i] = place_near(b, value_at(values, i));
            }
        }
    }
    bins_plain(b, values + done * sizeof(double), count - done, places + done);
}

#endif

/* --- either --- */

void compute_bins_by(enum compute_lanes lanes, const struct compute_bins *b, const void *values,
                     size_t count, uint32_t *places)
{
    ASSERT(compute_lanes_runs(lanes));
#if COMPUTE_EXACT_HAS_LANES
    if (lanes != COMPUTE_LANES_PLAIN && compute_lanes_runs(COMPUTE_LANES_AVX2) && b->scale > 0 &&
        b->margin < COMPUTE_BINS_MARGIN_MAX) {
        bins_avx2(b, values, count, places);
        return;
    }
#endif
    bins_plain(b, values, count, places);
}

void compute_bins_of(const struct compute_bins *b, const void *values, size_t count,
                     uint32_t *places)
{
    compute_bins_by(compute_lanes_pick(), b, values, count, places);
}
