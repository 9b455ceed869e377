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
#include "compute/number_internal.h"

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

uint8_t compute_exact_seen_both(unsigned seen, unsigned more)
{
    unsigned all = seen | more;
    if ((all & COMPUTE_EXACT_USUAL) != 0) {
        all &= ~COMPUTE_EXACT_MINUS_ZERO;
    }
    return (uint8_t)all;
}

void compute_exact_see(struct compute_exact *e, unsigned seen)
{
    if ((e->seen & seen) != seen) {
        e->seen = compute_exact_seen_both(e->seen, seen);
    }
}

/* Limbs that no values leave, out of a state that was made up, wrap around. */
void compute_limbs_settle(int64_t *limb, unsigned count)
{
    int64_t carry = 0;
    for (unsigned i = 0; i + 1 < count; i++) {
        const int64_t sum = (int64_t)((uint64_t)limb[i] + (uint64_t)carry);
        limb[i] = sum & (int64_t)DIGIT_MASK;
        carry = sum >> 32;
    }
    limb[count - 1] = (int64_t)((uint64_t)limb[count - 1] + (uint64_t)carry);
}

void compute_exact_settle(struct compute_exact *e)
{
    compute_limbs_settle(e->limb, COMPUTE_EXACT_LIMBS);
    e->load = 1;
}

static void count_addition(struct compute_exact *e)
{
    if (++e->load >= COMPUTE_EXACT_LOAD_MAX) {
        compute_exact_settle(e);
    }
}

/* Without a branch: signs of values are hard to foresee. */
static int64_t signed_digit(uint64_t digit, bool negative)
{
    const uint64_t mask = 0 - (uint64_t)negative;
    return (int64_t)((digit ^ mask) - mask);
}

static void add_64(int64_t *limb, bool negative, uint64_t value, unsigned shift)
{
    const uint64_t low = value << shift;
    const uint64_t high = value >> 1 >> (63u - shift); /* a shift by 64 has no meaning */
    limb[0] += signed_digit(low & DIGIT_MASK, negative);
    limb[1] += signed_digit(low >> 32, negative);
    limb[2] += signed_digit(high, negative);
}

static void add_128(int64_t *limb, bool negative, uint64_t low, uint64_t high, unsigned shift)
{
    const uint64_t over = shift == 0 ? 0 : low >> (64u - shift);
    const uint64_t first = low << shift;
    const uint64_t second = (high << shift) | over;
    const uint64_t third = shift == 0 ? 0 : high >> (64u - shift);
    limb[0] += signed_digit(first & DIGIT_MASK, negative);
    limb[1] += signed_digit(first >> 32, negative);
    limb[2] += signed_digit(second & DIGIT_MASK, negative);
    limb[3] += signed_digit(second >> 32, negative);
    limb[4] += signed_digit(third, negative);
}

void compute_term_add(const struct compute_term *t, int64_t *limb)
{
    if (t->wide) {
        add_128(limb, t->negative, t->low, t->high, t->at_bit % 32u);
    } else {
        add_64(limb, t->negative, t->low, t->at_bit % 32u);
    }
}

void compute_exact_add_bits64(struct compute_exact *e, bool negative, uint64_t value,
                              unsigned at_bit)
{
    DASSERT(at_bit / 32u + 2 < LAST);
    add_64(&e->limb[at_bit / 32u], negative, value, at_bit % 32u);
    count_addition(e);
}

void compute_exact_add_bits(struct compute_exact *e, bool negative, uint64_t low, uint64_t high,
                            unsigned at_bit)
{
    DASSERT(at_bit / 32u + 4 < LAST);
    add_128(&e->limb[at_bit / 32u], negative, low, high, at_bit % 32u);
    count_addition(e);
}

static void add_term(struct compute_exact *e, const struct compute_term *t)
{
    compute_exact_see(e, t->seen);
    if ((t->low | t->high) != 0) {
        DASSERT(t->at_bit / 32u + (t->wide ? 4 : 2) < LAST);
        compute_term_add(t, &e->limb[t->at_bit / 32u]);
        count_addition(e);
    }
}

static uint8_t seen_of(double value)
{
    if (value != value) {
        return COMPUTE_EXACT_USUAL | COMPUTE_EXACT_NAN;
    }
    return COMPUTE_EXACT_USUAL | (value > 0 ? COMPUTE_EXACT_INF : COMPUTE_EXACT_MINUS_INF);
}

struct compute_term compute_term_of_f64(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    const unsigned exponent = (unsigned)(bits >> FRACTION_BITS) & EXPONENT_MASK;
    struct compute_term t = {.low = bits & FRACTION_MASK,
                             .at_bit = LEAST_BIT,
                             .negative = (bits >> 63) != 0,
                             .seen = COMPUTE_EXACT_USUAL};
    if (exponent == EXPONENT_MASK) {
        t.seen = seen_of(value);
        t.low = 0;
    } else if (exponent != 0) {
        t.low |= UINT64_C(1) << FRACTION_BITS;
        t.at_bit += exponent - 1;
    } else if (t.low == 0 && t.negative) {
        t.seen = COMPUTE_EXACT_MINUS_ZERO;
    }
    return t;
}

static struct compute_term product_of(uint64_t x, uint64_t y, bool negative, unsigned at_bit)
{
    struct compute_term t = {
        .at_bit = at_bit, .wide = true, .negative = negative, .seen = COMPUTE_EXACT_USUAL};
    compute_number_multiply(x, y, &t.high, &t.low);
    return t;
}

struct compute_term compute_term_of_product_f64(double x, double y)
{
    const struct compute_term p = compute_term_of_f64(x);
    const struct compute_term q = compute_term_of_f64(y);
    struct compute_term t = product_of(p.low, q.low, p.negative != q.negative,
                                       p.at_bit + q.at_bit - COMPUTE_EXACT_ONE_BIT);
    if (((p.seen | q.seen) & COMPUTE_EXACT_NOT_FINITE) != 0) {
        t.seen = seen_of(x * y);
        t.low = 0;
        t.high = 0;
    } else if ((t.low | t.high) == 0 && t.negative) {
        t.seen = COMPUTE_EXACT_MINUS_ZERO;
    }
    return t;
}

struct compute_term compute_term_of_whole(bool negative, uint64_t high, uint64_t low)
{
    return (struct compute_term){.low = low,
                                 .high = high,
                                 .at_bit = COMPUTE_EXACT_ONE_BIT,
                                 .wide = true,
                                 .negative = negative,
                                 .seen = COMPUTE_EXACT_USUAL};
}

void compute_exact_add_f64(struct compute_exact *e, double value)
{
    const struct compute_term t = compute_term_of_f64(value);
    add_term(e, &t);
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

void compute_exact_add_i128(struct compute_exact *e, struct compute_i128 value)
{
    const bool minus = value.high < 0;
    const uint64_t high = (uint64_t)value.high;
    compute_exact_see(e, COMPUTE_EXACT_USUAL);
    compute_exact_add_bits(e, minus, minus ? 0 - value.low : value.low,
                           minus ? ~high + (value.low == 0) : high, COMPUTE_EXACT_ONE_BIT);
}

void compute_exact_add_u64(struct compute_exact *e, uint64_t value)
{
    compute_exact_see(e, COMPUTE_EXACT_USUAL);
    compute_exact_add_bits64(e, false, value, COMPUTE_EXACT_ONE_BIT);
}

void compute_exact_add_product_f64(struct compute_exact *e, double x, double y)
{
    const struct compute_term t = compute_term_of_product_f64(x, y);
    add_term(e, &t);
}

void compute_exact_add_product_i64(struct compute_exact *e, int64_t x, int64_t y)
{
    const struct compute_term t =
        product_of(magnitude(x), magnitude(y), (x < 0) != (y < 0), COMPUTE_EXACT_ONE_BIT);
    add_term(e, &t);
}

void compute_exact_add_product_u64(struct compute_exact *e, uint64_t x, uint64_t y)
{
    const struct compute_term t = product_of(x, y, false, COMPUTE_EXACT_ONE_BIT);
    add_term(e, &t);
}

void compute_exact_merge(struct compute_exact *into, const struct compute_exact *from)
{
    const uint32_t load = from->load; /* from may be into */
    ASSERT(into->load <= COMPUTE_EXACT_LOAD_MAX && load <= COMPUTE_EXACT_LOAD_MAX);
    compute_exact_see(into, from->seen);
    for (unsigned i = 0; i < COMPUTE_EXACT_LIMBS; i++) {
        into->limb[i] += from->limb[i];
    }
    into->load += load;
    if (into->load >= COMPUTE_EXACT_LOAD_MAX) {
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

bool compute_exact_seen_is_possible(unsigned seen, bool is_zero)
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
        !compute_exact_seen_is_possible(read.seen, count == 0) ||
        (count == 0 && (negative != 0 || first != 0))) {
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
