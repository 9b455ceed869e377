/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Numbers: checked arithmetic for lengths and indexes that come from outside, and little-endian
 * loads and stores for everything on disk and between peers.
 *
 * threads: pure functions.
 */
#ifndef HOLDFAST_BASE_NUM_H
#define HOLDFAST_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NUM_MIN(a, b) ((a) < (b) ? (a) : (b))
#define NUM_MAX(a, b) ((a) > (b) ? (a) : (b))

/* returns: false, and *out untouched, if the result does not fit. */
static inline bool num_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > UINT64_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

static inline bool num_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b != 0 && a > UINT64_MAX / b) {
        return false;
    }
    *out = a * b;
    return true;
}

/* Signed sum; false if it leaves the range of int64_t. */
static inline bool num_add_i64(int64_t a, int64_t b, int64_t *out)
{
    if ((b > 0 && a > INT64_MAX - b) || (b < 0 && a < INT64_MIN - b)) {
        return false;
    }
    *out = a + b;
    return true;
}

/* returns: whether [offset, offset + bytes) lies within a thing of size bytes. */
static inline bool num_fits(uint64_t offset, uint64_t bytes, uint64_t size)
{
    return offset <= size && bytes <= size - offset;
}

static inline uint64_t num_div_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* unit: a power of two. */
static inline uint64_t num_round_up(uint64_t a, uint64_t unit)
{
    return (a + unit - 1) & ~(unit - 1);
}

static inline bool num_is_pow2(uint64_t a)
{
    return a != 0 && (a & (a - 1)) == 0;
}

static inline void num_put_u16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
}

/* Written out, because compilers merge these into one store and leave a loop a loop. */
static inline void num_put_u32(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
    at[2] = (uint8_t)(v >> 16);
    at[3] = (uint8_t)(v >> 24);
}

static inline void num_put_u64(uint8_t *at, uint64_t v)
{
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
    at[2] = (uint8_t)(v >> 16);
    at[3] = (uint8_t)(v >> 24);
    at[4] = (uint8_t)(v >> 32);
    at[5] = (uint8_t)(v >> 40);
    at[6] = (uint8_t)(v >> 48);
    at[7] = (uint8_t)(v >> 56);
}

static inline uint16_t num_get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] | (at[1] << 8));
}

static inline uint32_t num_get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | ((uint32_t)at[1] << 8) | ((uint32_t)at[2] << 16) |
           ((uint32_t)at[3] << 24);
}

static inline uint64_t num_get_u64(const uint8_t *at)
{
    return (uint64_t)num_get_u32(at) | ((uint64_t)num_get_u32(at + 4) << 32);
}

/* Big-endian, for keys whose byte order must be their number order. */
static inline void num_put_u32_be(uint8_t *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

static inline void num_put_u64_be(uint8_t *at, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(v >> (56 - 8 * i));
    }
}

static inline uint32_t num_get_u32_be(const uint8_t *at)
{
    return ((uint32_t)at[0] << 24) | ((uint32_t)at[1] << 16) | ((uint32_t)at[2] << 8) |
           (uint32_t)at[3];
}

static inline uint64_t num_get_u64_be(const uint8_t *at)
{
    return ((uint64_t)num_get_u32_be(at) << 32) | num_get_u32_be(at + 4);
}

#endif
