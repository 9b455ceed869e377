/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Results of exact sums: whole-number arithmetic on the digits, then one rounding to the nearest
 * double, ties to even (IEEE 754-2019, section 4.3.1). The unit, 2^-2176, is so far below the least
 * double that a quotient needs no digits beyond it: whether there is a rest is enough.
 */
#include "base/num.h"
#include "compute/exact_internal.h"

#define DIGIT_BITS 32u
#define DOUBLE_BITS 53u
#define FRACTION_BITS 52u
#define EXPONENT_MAX 0x7ffu
/* The place of the least bit of any double. */
#define LEAST_BIT (COMPUTE_EXACT_ONE_BIT - 1074u)

static double double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static double signed_zero(bool negative)
{
    return double_of_bits((uint64_t)negative << 63);
}

static double infinity_of(bool negative)
{
    return double_of_bits((uint64_t)negative << 63 | (uint64_t)EXPONENT_MAX << FRACTION_BITS);
}

static double not_a_number(void)
{
    return double_of_bits((uint64_t)EXPONENT_MAX << FRACTION_BITS | UINT64_C(1) << 51);
}

static void trim(struct compute_big *a)
{
    while (a->count > 0 && a->digit[a->count - 1] == 0) {
        a->count--;
    }
}

bool compute_big_of_exact(struct compute_big *big, const struct compute_exact *e, size_t from)
{
    struct compute_exact copy = *e;
    compute_exact_settle(&copy);
    const bool negative = copy.limb[COMPUTE_EXACT_LIMBS - 1] < 0;
    if (negative) {
        for (unsigned i = 0; i < COMPUTE_EXACT_LIMBS; i++) {
            copy.limb[i] = -copy.limb[i];
        }
        compute_exact_settle(&copy);
    }
    ASSERT(from < COMPUTE_EXACT_LIMBS);
    size_t count = 0;
    for (size_t i = from; i < COMPUTE_EXACT_LIMBS; i++) {
        big->digit[count++] = (uint32_t)copy.limb[i];
    }
    big->digit[count++] = (uint32_t)(copy.limb[COMPUTE_EXACT_LIMBS - 1] >> DIGIT_BITS);
    big->count = count;
    trim(big);
    return negative;
}

void compute_big_multiply(struct compute_big *out, const struct compute_big *a,
                          const struct compute_big *b)
{
    ASSERT(a->count + b->count <= COMPUTE_BIG_DIGITS);
    out->count = a->count + b->count;
    memset(out->digit, 0, out->count * sizeof(out->digit[0]));
    for (size_t i = 0; i < a->count; i++) {
        if (a->digit[i] == 0) {
            continue; /* whole numbers end in many: the unit is 2^-1088 */
        }
        uint64_t carry = 0;
        for (size_t j = 0; j < b->count; j++) {
            carry += (uint64_t)a->digit[i] * b->digit[j] + out->digit[i + j];
            out->digit[i + j] = (uint32_t)carry;
            carry >>= DIGIT_BITS;
        }
        out->digit[i + b->count] = (uint32_t)carry;
    }
    trim(out);
}

bool compute_big_subtract(struct compute_big *a, const struct compute_big *b)
{
    uint64_t borrow = 0;
    if (b->count > a->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        const uint64_t less = (i < b->count ? b->digit[i] : 0) + borrow;
        borrow = a->digit[i] < less;
        a->digit[i] = (uint32_t)(a->digit[i] - less);
    }
    trim(a);
    return borrow == 0;
}

static bool bit_at(const struct compute_big *a, size_t bit)
{
    return ((a->digit[bit / DIGIT_BITS] >> (bit % DIGIT_BITS)) & 1u) != 0;
}

/* Two to four digits, the highest of which has its highest bit set. */
struct divisor {
    uint32_t digit[4];
    size_t count;
};

/* Takes quotient times the divisor from the digits at `at`, one more than the divisor has.
 * returns: whether that was too much. */
static bool take_times(uint32_t *at, const struct divisor *d, uint64_t quotient)
{
    uint64_t carry = 0;
    uint64_t borrow = 0;
    for (size_t i = 0; i <= d->count; i++) {
        carry += i < d->count ? quotient * d->digit[i] : 0;
        const uint64_t less = (carry & UINT32_MAX) + borrow;
        borrow = at[i] < less;
        at[i] = (uint32_t)(at[i] - less);
        carry >>= DIGIT_BITS;
    }
    return borrow != 0;
}

static void give_back(uint32_t *at, const struct divisor *d)
{
    uint64_t carry = 0;
    for (size_t i = 0; i <= d->count; i++) {
        carry += (uint64_t)at[i] + (i < d->count ? d->digit[i] : 0);
        at[i] = (uint32_t)carry;
        carry >>= DIGIT_BITS;
    }
}

/* One digit of the quotient, of the rest at `at`, which is less than the divisor with a digit below
 * it: guessed from two digits of the divisor, the guess is one too high at most. */
static uint32_t quotient_digit(uint32_t *at, const struct divisor *d)
{
    const size_t n = d->count;
    const uint64_t high = (uint64_t)at[n] << DIGIT_BITS | at[n - 1];
    uint64_t guess = high / d->digit[n - 1];
    uint64_t rest = high % d->digit[n - 1];
    while (rest <= UINT32_MAX &&
           (guess > UINT32_MAX || guess * d->digit[n - 2] > (rest << DIGIT_BITS | at[n - 2]))) {
        guess--;
        rest += d->digit[n - 1];
    }
    if (take_times(at, d, guess)) {
        give_back(at, d);
        guess--;
    }
    return (uint32_t)guess;
}

/* out: count + 1 digits. */
static void shift_up(const uint32_t *digit, size_t count, unsigned bits, uint32_t *out)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < count; i++) {
        carry |= (uint64_t)digit[i] << bits;
        out[i] = (uint32_t)carry;
        carry >>= DIGIT_BITS;
    }
    out[count] = (uint32_t)carry;
}

/* Knuth, "The Art of Computer Programming" volume 2, 4.3.1, algorithm D. A divisor of one digit is
 * taken with a zero below it, and so is what is divided. */
bool compute_big_divide(struct compute_big *a, uint64_t divisor_high, uint64_t divisor_low)
{
    const uint32_t whole[4] = {(uint32_t)divisor_low, (uint32_t)(divisor_low >> DIGIT_BITS),
                               (uint32_t)divisor_high, (uint32_t)(divisor_high >> DIGIT_BITS)};
    uint32_t rest[COMPUTE_BIG_DIGITS + 2] = {0};
    uint32_t shifted[5];
    struct divisor d = {.count = 4};
    ASSERT((divisor_high | divisor_low) != 0 && divisor_high < UINT64_C(1) << 63);
    while (whole[d.count - 1] == 0) {
        d.count--;
    }
    const unsigned bits = (unsigned)__builtin_clz(whole[d.count - 1]);
    const size_t below = d.count == 1;
    shift_up(whole, d.count, bits, shifted);
    memcpy(d.digit + below, shifted, d.count * sizeof(shifted[0]));
    d.count += below;
    shift_up(a->digit, a->count, bits, rest + below);
    const size_t count = a->count + below + 1;
    for (size_t i = a->count; i-- > 0;) {
        a->digit[i] = i + d.count < count ? quotient_digit(rest + i, &d) : 0;
    }
    trim(a);
    for (size_t i = 0; i < count; i++) {
        if (rest[i] != 0) {
            return true;
        }
    }
    return false;
}

/* returns: whether a bit below `bit` is set. */
static bool any_below(const struct compute_big *a, size_t bit)
{
    const size_t whole = NUM_MIN(bit / DIGIT_BITS, a->count);
    for (size_t i = 0; i < whole; i++) {
        if (a->digit[i] != 0) {
            return true;
        }
    }
    const uint32_t mask = (UINT32_C(1) << (bit % DIGIT_BITS)) - 1;
    return whole < a->count && (a->digit[whole] & mask) != 0;
}

double compute_big_round(const struct compute_big *a, bool rest, bool negative)
{
    size_t bits = a->count * DIGIT_BITS;
    while (bits > 0 && !bit_at(a, bits - 1)) {
        bits--;
    }
    /* the place of the result's least bit: 53 bits, or as many as a small double has */
    const size_t least = NUM_MAX(bits, LEAST_BIT + DOUBLE_BITS) - DOUBLE_BITS;
    if (least - LEAST_BIT + 1 >= EXPONENT_MAX) {
        return infinity_of(negative);
    }
    uint64_t kept = 0;
    for (size_t bit = bits; bit > least; bit--) {
        kept = kept << 1 | bit_at(a, bit - 1);
    }
    const bool half = bits >= least && bit_at(a, least - 1);
    if (half && (rest || (kept & 1u) != 0 || any_below(a, least - 1))) {
        kept++;
    }
    /* the leading bit, if there is one, adds one to the exponent's field: so does a carry */
    const uint64_t result = ((uint64_t)(least - LEAST_BIT) << FRACTION_BITS) + kept;
    if (result >= (uint64_t)EXPONENT_MAX << FRACTION_BITS) {
        return infinity_of(negative);
    }
    return double_of_bits(result | (uint64_t)negative << 63);
}

/* returns: whether the marks decide the result, which is then in out. */
static bool decided_by_seen(const struct compute_exact *e, double *out)
{
    const unsigned seen = e->seen & COMPUTE_EXACT_NOT_FINITE;
    if (seen == COMPUTE_EXACT_INF || seen == COMPUTE_EXACT_MINUS_INF) {
        *out = infinity_of(seen == COMPUTE_EXACT_MINUS_INF);
        return true;
    }
    if (seen != 0) {
        *out = not_a_number();
        return true;
    }
    if ((e->seen & COMPUTE_EXACT_MINUS_ZERO) != 0) {
        *out = signed_zero(true);
        return true;
    }
    return false;
}

double compute_exact_round(const struct compute_exact *e)
{
    struct compute_big big;
    double result;
    if (decided_by_seen(e, &result)) {
        return result;
    }
    const bool negative = compute_big_of_exact(&big, e, 0);
    return compute_big_round(&big, false, negative);
}

double compute_exact_mean(const struct compute_exact *sum, uint64_t count)
{
    struct compute_big big;
    double result;
    ASSERT(count > 0);
    if (decided_by_seen(sum, &result)) {
        return result;
    }
    const bool negative = compute_big_of_exact(&big, sum, 0);
    const bool rest = compute_big_divide(&big, 0, count);
    return compute_big_round(&big, rest, negative);
}

double compute_exact_share(const struct compute_exact *sum, uint64_t high, uint64_t low)
{
    const size_t digits = 64 / DIGIT_BITS;
    struct compute_big big;
    double result;
    if (decided_by_seen(sum, &result)) {
        return result;
    }
    const bool negative = compute_big_of_exact(&big, sum, 0);
    ASSERT(big.count + digits <= COMPUTE_BIG_DIGITS);
    memmove(big.digit + digits, big.digit, big.count * sizeof(big.digit[0]));
    memset(big.digit, 0, digits * sizeof(big.digit[0]));
    big.count += big.count > 0 ? digits : 0;
    const bool rest = compute_big_divide(&big, high, low);
    return compute_big_round(&big, rest, negative);
}

static struct compute_big big_of_u64(uint64_t value)
{
    struct compute_big big;
    big.digit[0] = (uint32_t)value;
    big.digit[1] = (uint32_t)(value >> DIGIT_BITS);
    big.count = 2;
    trim(&big);
    return big;
}

int compute_exact_variance(const struct compute_exact *sum, const struct compute_exact *squares,
                           uint64_t count, uint64_t divisor, double *out)
{
    struct compute_big part;
    struct compute_big square;
    struct compute_big whole;
    ASSERT(count > 0 && count < UINT64_C(1) << 63);
    ASSERT(divisor > 0 && divisor < UINT64_C(1) << 63);
    if (((sum->seen | squares->seen) & COMPUTE_EXACT_NOT_FINITE) != 0) {
        *out = not_a_number();
        return 0;
    }
    /* (count * squares - sum * sum) / (count * divisor), in units of 2^-2176 */
    (void)compute_big_of_exact(&part, sum, 0);
    if (any_below(&part, (size_t)COMPUTE_EXACT_SUM_LIMB * DIGIT_BITS)) {
        return ERR_CORRUPT; /* products, not a sum of values */
    }
    (void)compute_big_of_exact(&part, sum, COMPUTE_EXACT_SUM_LIMB);
    compute_big_multiply(&square, &part, &part);
    if (compute_big_of_exact(&part, squares, 0)) {
        return ERR_CORRUPT;
    }
    const struct compute_big n = big_of_u64(count);
    compute_big_multiply(&whole, &part, &n);
    if (!compute_big_subtract(&whole, &square)) {
        return ERR_CORRUPT;
    }
    const struct compute_big d = big_of_u64(divisor);
    struct compute_big both;
    compute_big_multiply(&both, &n, &d);
    uint32_t digit[4] = {0};
    memcpy(digit, both.digit, both.count * sizeof(digit[0]));
    const bool rest = compute_big_divide(&whole, (uint64_t)digit[3] << DIGIT_BITS | digit[2],
                                         (uint64_t)digit[1] << DIGIT_BITS | digit[0]);
    *out = compute_big_round(&whole, rest, false);
    return 0;
}

/* big: its value. */
static bool is_whole(const struct compute_exact *e, const struct compute_big *big)
{
    return (e->seen & COMPUTE_EXACT_NOT_FINITE) == 0 && !any_below(big, COMPUTE_EXACT_ONE_BIT);
}

bool compute_exact_is_whole(const struct compute_exact *e)
{
    struct compute_big big;
    (void)compute_big_of_exact(&big, e, 0);
    return is_whole(e, &big);
}

int compute_exact_to_i128(const struct compute_exact *e, struct compute_i128 *out)
{
    struct compute_big big;
    const bool negative = compute_big_of_exact(&big, e, 0);
    uint32_t digit[4] = {0};
    if (!is_whole(e, &big)) {
        return ERR_INVALID;
    }
    const size_t one = COMPUTE_EXACT_ONE_BIT / DIGIT_BITS;
    if (big.count > one + 4) {
        return ERR_OVERFLOW;
    }
    if (big.count > one) {
        memcpy(digit, big.digit + one, (big.count - one) * sizeof(digit[0]));
    }
    uint64_t high = (uint64_t)digit[3] << DIGIT_BITS | digit[2];
    uint64_t low = (uint64_t)digit[1] << DIGIT_BITS | digit[0];
    const uint64_t least = UINT64_C(1) << 63;
    if (high > least || (high == least && (low != 0 || !negative))) {
        return ERR_OVERFLOW;
    }
    if (negative) {
        high = ~high + (low == 0);
        low = 0 - low;
    }
    out->low = low;
    memcpy(&out->high, &high, sizeof(high));
    return 0;
}
