/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The least and the greatest of numbers of 64 bits, by keys: unsigned numbers in the order of the
 * values, one way for all classes. Doubles are ordered as by IEEE 754-2019, section 9.6 (minimum,
 * maximum): -0 is below +0, and where there is a NaN it is both the least and the greatest.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_COMPUTE_RANGE_H
#define HOLDFAST_COMPUTE_RANGE_H

#include "compute/exact.h"

/* How the 64 bits of a value are read. */
enum compute_class {
    COMPUTE_SIGNED,
    COMPUTE_UNSIGNED,
    COMPUTE_REAL,
};

/* Keys. Of no values: least UINT64_MAX, most 0. With a NaN: least 0, most UINT64_MAX. */
struct compute_range {
    uint64_t least;
    uint64_t most;
};

/* values: count numbers of 64 bits without gaps, any alignment, the processor's byte order. */
struct compute_range compute_range_of(const void *values, size_t count, enum compute_class of);
/* The same by one kernel, which must run here. */
struct compute_range compute_range_by(enum compute_lanes lanes, const void *values, size_t count,
                                      enum compute_class of);

/* returns: the key of a value's bits. Not for a NaN, whose key depends on what is asked for. */
uint64_t compute_key_of(uint64_t bits, enum compute_class of);
/* returns: the bits of the value with this key. */
uint64_t compute_key_bits(uint64_t key, enum compute_class of);
static inline bool compute_bits_are_nan(uint64_t bits)
{
    return bits << 1 > UINT64_C(0x7ff) << 53;
}

#endif
