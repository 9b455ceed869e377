/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints on a device, the host's side: what the tiles of a piece left is put together by
 * Horner's rule, and given the weight of its place in the column. So pieces add up in any order.
 */
#include "gpu/engine_finger_internal.h"

#include "base/err.h"
#include "base/num.h"
#include "gpu/rs_internal.h"

#define H 0x23u
#define G 0x51u /* 1 / H */
#define ORDER 255u

_Static_assert(GPU_RS_COLUMN_BYTES == GPU_FINGER_BYTES, "columns of codes are whole rows");

/* Products of one coefficient, with either half of a byte. */
struct products {
    uint8_t low[16];
    uint8_t high[16];
};

static uint8_t power_of(uint8_t base, uint64_t exponent)
{
    uint32_t power = 1;
    uint32_t square = base;
    for (unsigned left = (unsigned)(exponent % ORDER); left > 0; left /= 2) {
        power = left % 2 != 0 ? gpu_rs_multiply(power, square) : power;
        square = gpu_rs_multiply(square, square);
    }
    return (uint8_t)power;
}

static struct products products_of(uint8_t coefficient)
{
    struct products p;
    for (uint32_t i = 0; i < 16; i++) {
        p.low[i] = (uint8_t)gpu_rs_multiply(coefficient, i);
        p.high[i] = (uint8_t)gpu_rs_multiply(coefficient, i << 4);
    }
    return p;
}

static uint8_t times(const struct products *p, uint8_t value)
{
    return p->low[value & 15u] ^ p->high[value >> 4];
}

size_t gpu_finger_fit(size_t room)
{
    const size_t tile = (size_t)GPU_FINGER_TILE_BYTES;
    const size_t results = (size_t)(GPU_FINGER_PART_BYTES + GPU_FINGER_BYTES); /* of a tile */
    const size_t whole = room / (tile + results);
    const size_t rest = room % (tile + results);
    const size_t begun = rest > results ? (rest - results) & ~(size_t)(GPU_FINGER_BYTES - 1) : 0;
    return whole * tile + begun;
}

struct gpu_finger_pass gpu_finger_pass_of(uint8_t *memory, unsigned columns, size_t stride_bytes)
{
    struct gpu_finger_pass p = {.columns = memory, .stride_bytes = stride_bytes, .count = columns};
    p.sums = memory + columns * stride_bytes;
    p.parts = p.sums + gpu_finger_sums_bytes(&p);
    return p;
}

size_t gpu_finger_sums_bytes(const struct gpu_finger_pass *p)
{
    return (size_t)(p->count * gpu_finger_tiles(p) * GPU_FINGER_BYTES);
}

void gpu_finger_take(const struct gpu_finger_pass *p, const uint8_t *sums, uint64_t from,
                     uint8_t *fingers)
{
    const uint64_t tiles = gpu_finger_tiles(p);
    const struct products next = products_of(power_of(H, GPU_FINGER_TILE_ROWS));
    const struct products weight =
        products_of(power_of(G, from / GPU_FINGER_BYTES + tiles * GPU_FINGER_TILE_ROWS - 1));
    ASSERT(from % GPU_FINGER_BYTES == 0);
    for (uint32_t column = 0; column < p->count; column++) {
        uint8_t sum[GPU_FINGER_BYTES] = {0};
        for (uint64_t tile = 0; tile < tiles; tile++) {
            for (unsigned i = 0; i < GPU_FINGER_BYTES; i++) {
                sum[i] = times(&next, sum[i]) ^ *sums++;
            }
        }
        for (unsigned i = 0; i < GPU_FINGER_BYTES; i++) {
            fingers[column * GPU_FINGER_BYTES + i] ^= times(&weight, sum[i]);
        }
    }
}
