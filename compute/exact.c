/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The state of an exact sum: limbs of 64 bits that lie 32 bits apart. An addition touches the two
 * to five limbs that its bits fall into and leaves carries where they are; they are brought up
 * after 2^29 additions at most. Settled limbs are the two's complement digits of the value and
 * therefore the same however it was added up.
 */
#include "base/num.h"
#include "compute/exact_internal.h"

#define LOAD_MAX (1u << 29)
#define LAST (COMPUTE_EXACT_LIMBS - 1u)
#define DIGIT_MASK 0xffffffffu

#define EXPONENT_MASK 0x7ffu
#define FRACTION_BITS 52u
#define FRACTION_MASK ((UINT64_C(1) << FRACTION_BITS) - 1)
/* The place of the least bit of a double with exponent field 1. */
#define LEAST_BIT (COMPUTE_EXACT_ONE_BIT - 1074u)

void compute_exact_init(struct compute_exact *e)
{
    memset(e, 0, sizeof(*e));
    e->load = 1;
}

void compute_exact_see(struct compute_exact *e, unsigned seen)
{
    if ((e->seen & seen) == seen) {
        return;
    }
    unsigned all = e->seen | seen;
    if ((all & COMPUTE_EXACT_USUAL) != 0) {
        all &= ~COMPUTE_EXACT_MINUS_ZERO;
    }
    e->seen = (uint8_t)all;
}

void compute_exact_settle(struct compute_exact *e)
{
    int64_t carry = 0;
    for (unsigned i = 0; i < LAST; i++) {
        int64_t sum = e->limb[i] + carry;
        e->limb[i] = sum & (int64_t)DIGIT_MASK;
        carry = sum >> 32;
    }
    e->limb[LAST] += carry;
    e->load = 1;
}

static void count_addition(struct compute_exact *e)
{
    if (++e->load >= LOAD_MAX) {
        compute_exact_settle(e);
    }
}

/* Without a branch: signs of values are hard to foresee. */
static int64_t signed_digit(uint64_t digit, bool negative)
{
    const uint64_t mask = 0 - (uint64_t)negative;
    return (int64_t)((digit ^ mask) - mask);
}

void compute_exact_add_bits64(struct compute_exact *e, bool negative, uint64_t value,
                              unsigned at_bit)
{
    DASSERT(at_bit / 32u + 2 < LAST);
    int64_t *limb = &e->limb[at_bit / 32u];
    const unsigned shift = at_bit % 32u;
    const uint64_t low = value << shift;
    const uint64_t high = value >> 1 >> (63u - shift); /* a shift by 64 has no meaning */
    limb[0] += signed_digit(low & DIGIT_MASK, negative);
    limb[1] += signed_digit(low >> 32, negative);
    limb[2] += signed_digit(high, negative);
    count_addition(e);
}

void compute_exact_add_bits(struct compute_exact *e, bool negative, uint64_t low, uint64_t high,
                            unsigned at_bit)
{
    DASSERT(at_bit / 32u + 4 < LAST);
    int64_t *limb = &e->limb[at_bit / 32u];
    const unsigned shift = at_bit % 32u;
    const uint64_t over = shift == 0 ? 0 : low >> (64u - shift);
    const uint64_t first = low << shift;
    const uint64_t second = (high << shift) | over;
    const uint64_t third = shift == 0 ? 0 : high >> (64u - shift);
    limb[0] += signed_digit(first & DIGIT_MASK, negative);
    limb[1] += signed_digit(first >> 32, negative);
    limb[2] += signed_digit(second & DIGIT_MASK, negative);
    limb[3] += signed_digit(second >> 32, negative);
    limb[4] += signed_digit(third, negative);
    count_addition(e);
}

/* A double taken apart: (-1)^negative * fraction * 2^(place - 2176). */
struct parts {
    bool negative;
    bool is_finite;
    uint64_t fraction;
    unsigned place;
};

static struct parts parts_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    const unsigned exponent = (unsigned)(bits >> FRACTION_BITS) & EXPONENT_MASK;
    struct parts p = {.negative = (bits >> 63) != 0,
                      .is_finite = exponent != EXPONENT_MASK,
                      .fraction = bits & FRACTION_MASK,
                      .place = LEAST_BIT};
    if (exponent != 0) {
        p.fraction |= UINT64_C(1) << FRACTION_BITS;
        p.place += exponent - 1;
    }
    return p;
}

static void see_not_finite(struct compute_exact *e, double value)
{
    unsigned seen = COMPUTE_EXACT_NAN;
    if (value == value) {
        seen = value > 0 ? COMPUTE_EXACT_INF : COMPUTE_EXACT_MINUS_INF;
    }
    compute_exact_see(e, COMPUTE_EXACT_USUAL | seen);
}

void compute_exact_add_f64(struct compute_exact *e, double value)
{
    const struct parts p = parts_of(value);
    if (!p.is_finite) {
        see_not_finite(e, value);
        return;
    }
    if (p.fraction == 0) {
        compute_exact_see(e, p.negative ? COMPUTE_EXACT_MINUS_ZERO : COMPUTE_EXACT_USUAL);
        return;
    }
    compute_exact_see(e, COMPUTE_EXACT_USUAL);
    compute_exact_add_bits64(e, p.negative, p.fraction, p.place);
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

void compute_exact_add_i64(struct compute_exact *e, int64_t value)
{
    compute_exact_see(e, COMPUTE_EXACT_USUAL);
    compute_exact_add_bits64(e, value < 0, magnitude(value), COMPUTE_EXACT_ONE_BIT);
}

void compute_exact_add_u64(struct compute_exact *e, uint64_t value)
{
    compute_exact_see(e, COMPUTE_EXACT_USUAL);
    compute_exact_add_bits64(e, false, value, COMPUTE_EXACT_ONE_BIT);
}

/* Adds x * y * 2^(at_bit - 2176), by products of halves. */
static void add_product(struct compute_exact *e, bool negative, uint64_t x, uint64_t y,
                        unsigned at_bit)
{
    const uint64_t x0 = x & DIGIT_MASK;
    const uint64_t x1 = x >> 32;
    const uint64_t y0 = y & DIGIT_MASK;
    const uint64_t y1 = y >> 32;
    const uint64_t low = x0 * y0;
    const uint64_t middle = x1 * y0 + (low >> 32); /* at most 2^64 - 2^32 */
    const uint64_t other = x0 * y1 + (middle & DIGIT_MASK);
    const uint64_t high = x1 * y1 + (middle >> 32) + (other >> 32);
    compute_exact_add_bits(e, negative, (other << 32) | (low & DIGIT_MASK), high, at_bit);
}

void compute_exact_add_product_f64(struct compute_exact *e, double x, double y)
{
    const struct parts p = parts_of(x);
    const struct parts q = parts_of(y);
    const bool negative = p.negative != q.negative;
    if (!p.is_finite || !q.is_finite) {
        see_not_finite(e, x * y);
        return;
    }
    if (p.fraction == 0 || q.fraction == 0) {
        compute_exact_see(e, negative ? COMPUTE_EXACT_MINUS_ZERO : COMPUTE_EXACT_USUAL);
        return;
    }
    compute_exact_see(e, COMPUTE_EXACT_USUAL);
    add_product(e, negative, p.fraction, q.fraction, p.place + q.place - COMPUTE_EXACT_ONE_BIT);
}

void compute_exact_add_product_i64(struct compute_exact *e, int64_t x, int64_t y)
{
    compute_exact_see(e, COMPUTE_EXACT_USUAL);
    add_product(e, (x < 0) != (y < 0), magnitude(x), magnitude(y), COMPUTE_EXACT_ONE_BIT);
}

void compute_exact_add_product_u64(struct compute_exact *e, uint64_t x, uint64_t y)
{
    compute_exact_see(e, COMPUTE_EXACT_USUAL);
    add_product(e, false, x, y, COMPUTE_EXACT_ONE_BIT);
}

void compute_exact_merge(struct compute_exact *into, const struct compute_exact *from)
{
    const uint32_t load = from->load; /* from may be into */
    ASSERT(into->load <= LOAD_MAX && load <= LOAD_MAX);
    compute_exact_see(into, from->seen);
    for (unsigned i = 0; i < COMPUTE_EXACT_LIMBS; i++) {
        into->limb[i] += from->limb[i];
    }
    into->load += load;
    if (into->load >= LOAD_MAX) {
        compute_exact_settle(into);
    }
}

int compute_exact_encode(const struct compute_exact *e, struct buf *into)
{
    struct compute_big big;
    const bool negative = compute_big_of_exact(&big, e, 0);
    if (big.count > LAST) {
        return ERR_OVERFLOW;
    }
    size_t first = 0;
    while (first < big.count && big.digit[first] == 0) {
        first++;
    }
    const size_t count = big.count - first;
    (void)buf_put_u8(into, COMPUTE_EXACT_FORMAT);
    (void)buf_put_u8(into, e->seen);
    (void)buf_put_u8(into, negative);
    (void)buf_put_u8(into, (uint8_t)first);
    (void)buf_put_u8(into, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        (void)buf_put_u32(into, big.digit[first + i]);
    }
    return into->err;
}

/* returns: whether values can have left these marks beside a sum that is zero or not. */
static bool seen_is_possible(unsigned seen, bool is_zero)
{
    const unsigned usual = seen & COMPUTE_EXACT_USUAL;
    if (seen >= 2 * COMPUTE_EXACT_MINUS_ZERO) {
        return false;
    }
    if (usual != 0) {
        return (seen & COMPUTE_EXACT_MINUS_ZERO) == 0;
    }
    return is_zero && (seen & COMPUTE_EXACT_NOT_FINITE) == 0;
}

int compute_exact_decode(struct compute_exact *e, struct bytes_reader *from)
{
    struct compute_exact read;
    compute_exact_init(&read);
    const uint8_t format = bytes_take_u8(from);
    read.seen = bytes_take_u8(from);
    const uint8_t negative = bytes_take_u8(from);
    const size_t first = bytes_take_u8(from);
    const size_t count = bytes_take_u8(from);
    if (!from->failed && format > COMPUTE_EXACT_FORMAT) {
        return ERR_LEVEL;
    }
    if (from->failed || format == 0 || negative > 1 || first + count > LAST ||
        !seen_is_possible(read.seen, count == 0) || (count == 0 && (negative != 0 || first != 0))) {
        return ERR_PROTOCOL;
    }
    for (size_t i = 0; i < count; i++) {
        const uint32_t digit = bytes_take_u32(from);
        if (digit == 0 && (i == 0 || i + 1 == count)) {
            return ERR_PROTOCOL;
        }
        read.limb[first + i] = signed_digit(digit, negative != 0);
    }
    if (from->failed) {
        return ERR_PROTOCOL;
    }
    *e = read;
    return 0;
}
