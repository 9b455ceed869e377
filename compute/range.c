/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Ranges: keys, the plain kernel, and the choice of one.
 */
#include "compute/range.h"

#include "base/num.h"
#include "compute/range_internal.h"

#define INFINITY_BITS (UINT64_C(0x7ff) << 52)
#define INFINITY_KEY (INFINITY_BITS | COMPUTE_KEY_FLIP)
#define MINUS_INFINITY_KEY (~(INFINITY_BITS | COMPUTE_KEY_FLIP))

uint64_t compute_key_of(uint64_t bits, enum compute_class of)
{
    if (of == COMPUTE_UNSIGNED) {
        return bits;
    }
    if (of == COMPUTE_REAL && (bits & COMPUTE_KEY_FLIP) != 0) {
        return ~bits; /* of negative doubles the greater bits are further down */
    }
    return bits ^ COMPUTE_KEY_FLIP;
}

uint64_t compute_key_bits(uint64_t key, enum compute_class of)
{
    if (of == COMPUTE_UNSIGNED) {
        return key;
    }
    if (of == COMPUTE_REAL && (key & COMPUTE_KEY_FLIP) == 0) {
        return ~key;
    }
    return key ^ COMPUTE_KEY_FLIP;
}

void compute_range_plain(const uint8_t *at, size_t count, enum compute_class of,
                         struct compute_range *out)
{
    struct compute_range range = {.least = UINT64_MAX, .most = 0};
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, at + i * sizeof(bits), sizeof(bits));
        const uint64_t key = compute_key_of(bits, of);
        range.least = NUM_MIN(range.least, key);
        range.most = NUM_MAX(range.most, key);
    }
    *out = range;
}

struct compute_range compute_range_by(enum compute_lanes lanes, const void *values, size_t count,
                                      enum compute_class of)
{
    struct compute_range range;
    compute_range_fn *kernel = compute_range_plain;
    ASSERT(compute_lanes_runs(lanes));
#if COMPUTE_EXACT_HAS_LANES
    if (lanes != COMPUTE_LANES_PLAIN) {
        kernel = lanes == COMPUTE_LANES_AVX512 ? compute_range_avx512 : compute_range_avx2;
    }
#endif
    kernel(values, count, of, &range);
    if (of == COMPUTE_REAL && count > 0 &&
        (range.least < MINUS_INFINITY_KEY || range.most > INFINITY_KEY)) {
        range = (struct compute_range){.least = 0, .most = UINT64_MAX};
    }
    return range;
}

struct compute_range compute_range_of(const void *values, size_t count, enum compute_class of)
{
    return compute_range_by(compute_lanes_pick(), values, count, of);
}
