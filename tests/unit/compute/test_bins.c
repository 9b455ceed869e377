/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bins of doubles: every kernel against the edges, most of all next to them.
 */
#include "compute/bins_internal.h"

#include "base/num.h"
#include "base/rng.h"
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define BINS_MAX 3000u
#define VALUES 1003u
#define ROUNDS 400u

static double edges[BINS_MAX + 1];
static double values[VALUES + 1];

/* As a histogram makes them. */
static void make_edges(double low, double high, uint32_t count)
{
    const double width = high - low;
    for (uint32_t i = 0; i <= count; i++) {
        const double edge = low + width * ((double)i / (double)count);
        edges[i] = i == count ? high : fmin(edge, high);
    }
}

static double any_double(struct rng *r)
{
    const uint64_t bits = rng_next(r);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

/* Numbers in the bins, at edges, next to them, and of all kinds. */
static double make_value(struct rng *r, uint32_t count)
{
    static const double odd[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, DBL_MAX, -DBL_MAX, DBL_MIN};
    const double edge = edges[rng_below(r, count + 1)];
    const double part = (double)rng_below(r, 1u << 30) / (1u << 30);
    switch (rng_below(r, 7)) {
    case 0: return edge;
    case 1: return nextafter(edge, INFINITY);
    case 2: return nextafter(edge, -INFINITY);
    case 3: return odd[rng_below(r, sizeof(odd) / sizeof(odd[0]))];
    case 4: return any_double(r);
    default: return edges[0] + (edges[count] - edges[0]) * (part * 1.2 - 0.1);
    }
}

static void expect_place(const struct compute_bins *b, double v, uint32_t place)
{
    if (v != v) {
        ck_assert_uint_eq(place, compute_bins_nan(b));
        return;
    }
    ck_assert_uint_le(place, compute_bins_above(b));
    ck_assert(place == 0 || edges[place - 1] <= v);
    ck_assert(place == compute_bins_above(b) || v < edges[place]);
}

static void check(struct rng *r, double low, double high, uint32_t count)
{
    struct compute_bins b;
    uint32_t places[VALUES + 1];
    make_edges(low, high, count);
    compute_bins_init(&b, edges, count);
    for (size_t i = 0; i <= VALUES; i++) {
        values[i] = make_value(r, count);
    }
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        const size_t first = rng_below(r, 2);
        const size_t some = rng_chance(r, 1, 2) ? VALUES : rng_below(r, 20);
        memset(places, 0xff, sizeof(places));
        if (!compute_lanes_runs(v)) {
            continue;
        }
        compute_bins_by(v, &b, values + first, some, places);
        for (size_t i = 0; i < some; i++) {
            expect_place(&b, values[first + i], places[i]);
        }
        ck_assert_uint_eq(places[some], UINT32_MAX);
    }
}

START_TEST(every_kernel_finds_the_bin_whose_edges_are_around_a_number)
{
    static const double ends[][2] = {{0, 1},
                                     {-1, 1},
                                     {0, 1000},
                                     {-0x1p62, 0x1p62},
                                     {1e15, 1e15 + 1},
                                     {1e15, 1e15 + 8000},
                                     {0, 5e-320},
                                     {0, DBL_MIN},
                                     {-DBL_MAX / 2, DBL_MAX / 2},
                                     {0, DBL_MAX},
                                     {1, 1 + 0x1p-40},
                                     {-3, 0},
                                     {0.1, 0.7},
                                     {-1e-300, 1e-300},
                                     {1e300, 1.1e300}};
    struct rng r;
    rng_init(&r, unit_seed("compute_bins", 1));
    for (unsigned round = 0; round < ROUNDS; round++) {
        const double *e = ends[round % (sizeof(ends) / sizeof(ends[0]))];
        const uint32_t count = 1 + (uint32_t)rng_below(&r, round % 3 == 0 ? BINS_MAX : 20);
        check(&r, e[0], e[1], count);
        check(&r, 0, count, count); /* every whole number is an edge */
        const double low = (double)rng_below(&r, 1u << 20) / 1024 - 500;
        check(&r, low, low + (double)(1 + rng_below(&r, 1u << 20)) / 777, count);
    }
}
END_TEST

UNIT_MAIN("compute_bins", every_kernel_finds_the_bin_whose_edges_are_around_a_number)
