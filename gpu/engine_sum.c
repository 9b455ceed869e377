/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exact sums on a device, the host's side: where to cut the values of a piece, and what to make of
 * the threads' results. A window that does not fit costs time, never a bit: what lies outside of it
 * is left to the caller.
 */
#include "gpu/engine_sum_internal.h"

#include "base/err.h"
#include "base/num.h"

#include <stdbool.h>

#define FRACTION_BITS 52u
#define EXPONENT_MASK 0x7ffu
/* A window for values below 2^(e + 1), e the unbiased exponent of the largest: M of the first cut
 * is 1.5 * 2^(e + 2), of the second one 1.5 * 2^(e - 49). */
#define ABOVE1 2u
#define BELOW2 49u
/* Exponent fields for which both are normal doubles; at the least of them the second unit is the
 * least double, so nothing is ever left. */
#define FIELD_MIN (BELOW2 + 1u)
#define FIELD_MAX (0x7feu - ABOVE1)
/* Values looked at to choose a window, and how much larger than these others may be: as 2^8. */
#define SAMPLES 1024u
#define HEADROOM 8u
/* Tiles of one part: its four sums of 2^16 threads stay below 2^53. */
#define PART_TILES 2048u

static unsigned field_at(const uint8_t *values, size_t i)
{
    return (unsigned)(num_get_u64(values + i * sizeof(double)) >> FRACTION_BITS) & EXPONENT_MASK;
}

void gpu_sum_window(struct gpu_sum_pass *p, const uint8_t *values, size_t count)
{
    const size_t stride = NUM_MAX(count / SAMPLES, 1);
    /* the least window has the headroom within it: below that there is nothing to leave out */
    unsigned most = FIELD_MIN - HEADROOM;
    for (size_t i = 0; i < count; i += stride) {
        const unsigned field = field_at(values, i);
        /* what is not finite, or too large for any window, goes to the caller anyway */
        most = field <= FIELD_MAX ? NUM_MAX(most, field) : most;
    }
    const uint64_t half = UINT64_C(1) << (FRACTION_BITS - 1);
    const uint64_t field = NUM_MIN(most + HEADROOM, FIELD_MAX);
    p->bits1 = (field + ABOVE1) << FRACTION_BITS | half;
    p->bits2 = (field - BELOW2) << FRACTION_BITS | half;
}

/* returns: the unit under a cut, which may be a subnormal double. */
static double unit_of(uint64_t bits)
{
    const uint64_t field = bits >> FRACTION_BITS; /* of M: 2^52 units and a half of that */
    return field > FRACTION_BITS ? gpu_double_of((field - FRACTION_BITS) << FRACTION_BITS)
                                 : gpu_double_of(UINT64_C(1) << (field - 1));
}

static void add_halves(int64_t *high, int64_t *low, uint64_t sum)
{
    const uint64_t upper = sum >> 32;
    *high += (sum >> 63) != 0 ? (int64_t)upper - (INT64_C(1) << 32) : (int64_t)upper;
    *low += (int64_t)(sum & UINT32_MAX);
}

static bool is_zero(int64_t high, int64_t low)
{
    return high + (low >> 32) == 0 && (low & UINT32_MAX) == 0;
}

/* Adds a tile's results. returns: false, and part is untouched, if the caller is to add the tile: a
 * value lies outside, or the sum is zero, which may be all there is of negative zeros. */
static bool add_tile(struct gpu_sum_part *part, const uint8_t *sums)
{
    struct gpu_sum_part tile = {.high1 = 0};
    for (unsigned i = 0; i < GPU_SUM_THREADS; i++) {
        const uint64_t sum1 = num_get_u64(sums + (size_t)i * GPU_UNIT_BYTES);
        if (sum1 == GPU_SUM_OUTSIDE) {
            return false;
        }
        add_halves(&tile.high1, &tile.low1, sum1);
        add_halves(&tile.high2, &tile.low2, num_get_u64(sums + (size_t)i * GPU_UNIT_BYTES + 8));
    }
    if (is_zero(tile.high1, tile.low1) && is_zero(tile.high2, tile.low2)) {
        return false;
    }
    part->high1 += tile.high1;
    part->low1 += tile.low1;
    part->high2 += tile.high2;
    part->low2 += tile.low2;
    return true;
}

void gpu_sum_take(const struct gpu_sum_pass *p, const uint8_t *sums, size_t from, size_t count,
                  const struct gpu_sum_sink *sink)
{
    const size_t tile_values = GPU_SUM_TILE_BYTES / sizeof(double);
    const struct gpu_sum_part none = {.unit1 = unit_of(p->bits1), .unit2 = unit_of(p->bits2)};
    struct gpu_sum_part part = none;
    unsigned in_part = 0;
    for (size_t tile = 0; tile * tile_values < count; tile++) {
        const size_t at = tile * tile_values;
        if (!add_tile(&part, sums + tile * GPU_SUM_RESULT_BYTES)) {
            sink->rest(sink->ctx, from + at, NUM_MIN(tile_values, count - at));
        } else if (++in_part == PART_TILES) {
            sink->part(sink->ctx, &part);
            part = none;
            in_part = 0;
        }
    }
    if (in_part > 0) {
        sink->part(sink->ctx, &part);
    }
}
