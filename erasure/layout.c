/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where each byte of an object lies. Data cells are numbered in user order, so a number is
 * (stripe of the object) * k + shard, and stripes are dealt to extents in order.
 */
#include "base/num.h"
#include "erasure/erasure.h"

#define OBJECT_BYTES_MAX (UINT64_C(1) << 56)

_Static_assert(ERASURE_CELL_BYTES_MAX % ERASURE_LEAF_BYTES == 0, "cells are whole leaves");

uint32_t erasure_cell_choice(uint64_t object_bytes)
{
    return object_bytes < ERASURE_OBJECT_BYTES_SMALL ? ERASURE_CELL_BYTES_SMALL
                                                     : ERASURE_CELL_BYTES_MAX;
}

int erasure_layout_init(struct erasure_layout *l, const struct erasure_layout_options *options)
{
    TRY(erasure_scheme_check(options->scheme));
    if (options->object_bytes > OBJECT_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    uint32_t cell_bytes = options->cell_bytes;
    if (cell_bytes == 0) {
        cell_bytes = erasure_cell_choice(options->object_bytes);
    }
    if (!num_is_pow2(cell_bytes) || cell_bytes < ERASURE_LEAF_BYTES ||
        cell_bytes > ERASURE_CELL_BYTES_MAX) {
        return ERR_INVALID;
    }
    const uint64_t stripe_bytes = (uint64_t)cell_bytes * options->scheme.k;
    uint64_t wanted = options->extent_bytes == 0 ? ERASURE_EXTENT_BYTES : options->extent_bytes;
    uint64_t stripes = NUM_MIN(wanted, ERASURE_EXTENT_BYTES) / stripe_bytes;
    stripes = NUM_MAX(stripes, 1);
    l->scheme = options->scheme;
    l->cell_bytes = cell_bytes;
    l->extent_stripes = (uint32_t)stripes;
    l->object_bytes = options->object_bytes;
    l->stripe_bytes = stripe_bytes;
    l->extent_bytes = stripe_bytes * stripes;
    l->cells_count = num_div_up(l->object_bytes, cell_bytes);
    l->leaves_count = num_div_up(l->object_bytes, ERASURE_LEAF_BYTES);
    l->stripes_count = num_div_up(l->object_bytes, stripe_bytes);
    l->extents_count = num_div_up(l->object_bytes, l->extent_bytes);
    return 0;
}

struct erasure_place erasure_cell_place(const struct erasure_layout *l, uint64_t cell)
{
    ASSERT(cell < l->cells_count);
    const uint64_t stripe = cell / l->scheme.k;
    return (struct erasure_place){
        .extent = stripe / l->extent_stripes,
        .stripe = (uint32_t)(stripe % l->extent_stripes),
        .shard = (uint8_t)(cell % l->scheme.k),
    };
}

int erasure_locate(const struct erasure_layout *l, uint64_t offset, struct erasure_place *place,
                   uint32_t *offset_in_cell)
{
    if (offset >= l->object_bytes) {
        return ERR_RANGE;
    }
    *place = erasure_cell_place(l, offset / l->cell_bytes);
    *offset_in_cell = (uint32_t)(offset % l->cell_bytes);
    return 0;
}

uint64_t erasure_cell_number(const struct erasure_layout *l, const struct erasure_place *place)
{
    ASSERT(place->shard < l->scheme.k);
    ASSERT(place->stripe < l->extent_stripes);
    uint64_t stripe = place->extent * l->extent_stripes + place->stripe;
    return stripe * l->scheme.k + place->shard;
}

uint64_t erasure_extent_bytes(const struct erasure_layout *l, uint64_t extent)
{
    if (extent >= l->extents_count) {
        return 0;
    }
    return NUM_MIN(l->extent_bytes, l->object_bytes - extent * l->extent_bytes);
}

uint32_t erasure_extent_stripes(const struct erasure_layout *l, uint64_t extent)
{
    return (uint32_t)num_div_up(erasure_extent_bytes(l, extent), l->stripe_bytes);
}

/* Data bytes of a stripe; 0 if it does not exist. */
static uint64_t stripe_data(const struct erasure_layout *l, uint64_t extent, uint32_t stripe)
{
    const uint64_t from = stripe * l->stripe_bytes;
    const uint64_t bytes = erasure_extent_bytes(l, extent);
    return from >= bytes ? 0 : NUM_MIN(bytes - from, l->stripe_bytes);
}

uint32_t erasure_stripe_bytes(const struct erasure_layout *l, uint64_t extent, uint32_t stripe)
{
    uint64_t data = stripe_data(l, extent, stripe);
    return (uint32_t)NUM_MIN(data, l->cell_bytes);
}

uint32_t erasure_cell_bytes(const struct erasure_layout *l, const struct erasure_place *place)
{
    ASSERT(place->shard < l->scheme.k + l->scheme.m);
    if (place->shard >= l->scheme.k) {
        return erasure_stripe_bytes(l, place->extent, place->stripe);
    }
    const uint64_t data = stripe_data(l, place->extent, place->stripe);
    const uint64_t from = (uint64_t)place->shard * l->cell_bytes;
    return data <= from ? 0 : (uint32_t)NUM_MIN(data - from, l->cell_bytes);
}

uint32_t erasure_stripe_empty(const struct erasure_layout *l, uint64_t extent, uint32_t stripe)
{
    uint32_t empty = 0;
    for (uint8_t shard = 0; shard < l->scheme.k; shard++) {
        const struct erasure_place place = {.extent = extent, .stripe = stripe, .shard = shard};
        if (erasure_cell_bytes(l, &place) == 0) {
            empty |= 1u << shard;
        }
    }
    return empty;
}

uint32_t erasure_shard_cells(const struct erasure_layout *l, uint64_t extent, uint8_t shard)
{
    const uint32_t stripes = erasure_extent_stripes(l, extent);
    if (stripes == 0) {
        return 0;
    }
    /* only the last stripe can lack a cell */
    const struct erasure_place last = {.extent = extent, .stripe = stripes - 1, .shard = shard};
    return erasure_cell_bytes(l, &last) > 0 ? stripes : stripes - 1;
}

uint64_t erasure_shard_bytes(const struct erasure_layout *l, uint64_t extent, uint8_t shard)
{
    const uint32_t stripes = erasure_extent_stripes(l, extent);
    if (stripes == 0) {
        return 0;
    }
    const struct erasure_place last = {.extent = extent, .stripe = stripes - 1, .shard = shard};
    return (uint64_t)(stripes - 1) * l->cell_bytes + erasure_cell_bytes(l, &last);
}
