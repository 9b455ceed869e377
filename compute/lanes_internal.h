/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The vector kernels under sums, ranges and scans, of any width. The file that includes this has
 *   LANES FEATURES            doubles of a vector; the processor's features
 *   OR_XOR(a, b, c)           a | (b ^ c), of whole numbers
 *   LEAST(a, b) MOST(a, b)    lane by lane, of signed whole numbers
 *   STORE_PAST(to, v)         to an aligned address, past the caches
 *   UP(v, n) LAST(v)          lanes n places up, zeros from below; the last one in all lanes
 *   PIECES HALVES RANGE SCAN  names of the functions
 *
 * Why cutting is exact: s = value + M, M = 1.5 * 2^52 * unit, is rounded to a multiple of unit as
 * long as s stays between 2^52 and 2^53 units, which its exponent field tells. Then s - M is exact,
 * and so is value - (s - M): it is at most half a unit, and a multiple of the value's least bit or
 * zero. The whole number of units is the difference of the bits of s and M, so it is summed up
 * without another operation on doubles (Rump, Ogita, Oishi, 2008, section 3).
 *
 * threads: pure functions.
 */
#include "compute/exact_internal.h"
#include "compute/range_internal.h"
#include "compute/scan_internal.h"

#ifdef LANES /* alone, this file defines nothing */

#include <string.h>

#define VECTOR_BYTES (LANES * 8u)
#define CACHE_LINE_BYTES 64u
/* How far ahead one stream of reads asks for more: the processor's own guess ends with the page. It
 * may be behind the end, as a prefetch of what is not there does nothing. */
#define AHEAD_BYTES 4096u

/* Where the order of numbers does not matter, they are read in several places at once: the memory
 * answers one stream of reads more slowly than the processor computes. */
#define STREAMS 4u
#define LINE_NUMBERS (CACHE_LINE_BYTES / 8u)

typedef double reals ATTR_VECTOR(VECTOR_BYTES);
typedef int64_t wholes ATTR_VECTOR(VECTOR_BYTES);
typedef uint64_t naturals ATTR_VECTOR(VECTOR_BYTES);

/* Two chains, so that additions of one wait less for one another. */
#define CHAINS (COMPUTE_EXACT_STEP / LANES > 4u ? 4u : COMPUTE_EXACT_STEP / LANES)

ATTR_TARGET(FEATURES) static inline wholes all_lanes(int64_t value)
{
    return (wholes){0} + value;
}

ATTR_TARGET(FEATURES) static inline int64_t sum_of_lanes(wholes v)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LANES; i++) {
        sum += (uint64_t)v[i];
    }
    return (int64_t)sum;
}

ATTR_TARGET(FEATURES) static inline uint64_t or_of_lanes(wholes v)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < LANES; i++) {
        all |= (uint64_t)v[i];
    }
    return all;
}

/* returns: how many numbers each stream has; what is left is behind the last one. */
ATTR_TARGET(FEATURES) static inline size_t numbers_of_stream(size_t count)
{
    return count / (STREAMS * LINE_NUMBERS) * LINE_NUMBERS;
}

ATTR_TARGET(FEATURES)
void PIECES(const uint8_t *at, size_t count, const struct compute_window *w,
            struct compute_pieces *out)
{
    const wholes bits1 = all_lanes(w->bits1);
    const wholes bits2 = all_lanes(w->bits2);
    const reals cut1 = (reals)bits1;
    const reals cut2 = (reals)bits2;
    naturals sum1[CHAINS];
    naturals sum2[CHAINS];
    wholes outside[CHAINS];
    wholes left[CHAINS];
    ASSERT(count <= COMPUTE_EXACT_BLOCK && count % (CHAINS * LANES) == 0);
    for (unsigned c = 0; c < CHAINS; c++) {
        sum1[c] = sum2[c] = (naturals){0};
        outside[c] = left[c] = (wholes){0};
    }
    for (size_t i = 0; i < count; i += CHAINS * LANES) {
        for (size_t line = 0; line < CHAINS * VECTOR_BYTES; line += CACHE_LINE_BYTES) {
            ATTR_PREFETCH((const void *)((uintptr_t)at + i * sizeof(double) + line + AHEAD_BYTES));
        }
        for (unsigned c = 0; c < CHAINS; c++) {
            reals value;
            memcpy(&value, at + (i + c * LANES) * sizeof(double), sizeof(value));
            const reals s1 = value + cut1;
            sum1[c] += (naturals)s1;
            outside[c] = OR_XOR(outside[c], (wholes)s1, bits1);
            const reals rest = value - (s1 - cut1);
            const reals s2 = rest + cut2;
            sum2[c] += (naturals)s2;
            left[c] = OR_XOR(left[c], (wholes)rest, (wholes)(s2 - cut2));
        }
    }
    for (unsigned c = 1; c < CHAINS; c++) {
        sum1[0] += sum1[c];
        sum2[0] += sum2[c];
        outside[0] |= outside[c];
        left[0] |= left[c];
    }
    /* count times the bits of M is taken off modulo 2^64; what remains is below 2^63 */
    out->sum1 = (int64_t)((uint64_t)sum_of_lanes((wholes)sum1[0]) - count * (uint64_t)w->bits1);
    out->sum2 = (int64_t)((uint64_t)sum_of_lanes((wholes)sum2[0]) - count * (uint64_t)w->bits2);
    out->outside = or_of_lanes(outside[0]) >> 52 != 0;
    out->left = or_of_lanes(left[0]) << 1 != 0; /* zeros may differ in sign */
}

ATTR_TARGET(FEATURES)
void HALVES(const uint8_t *at, size_t count, bool is_signed, struct compute_halves *out)
{
    const uint64_t flip = is_signed ? UINT64_C(1) << 63 : 0;
    const naturals flips = (naturals){0} + flip;
    const naturals low_half = (naturals){0} + UINT32_MAX;
    const size_t part = numbers_of_stream(count);
    naturals low[STREAMS];
    naturals high[STREAMS];
    ASSERT(count <= COMPUTE_HALVES_MAX);
    for (unsigned c = 0; c < STREAMS; c++) {
        low[c] = high[c] = (naturals){0};
    }
    for (size_t i = 0; i < part; i += LINE_NUMBERS) {
        for (unsigned c = 0; c < STREAMS; c++) {
            const uint8_t *line = at + (c * part + i) * sizeof(uint64_t);
            for (unsigned v = 0; v < LINE_NUMBERS; v += LANES) {
                naturals value;
                memcpy(&value, line + v * sizeof(uint64_t), sizeof(value));
                low[c] += value & low_half;
                high[c] += (value ^ flips) >> 32;
            }
        }
    }
    for (unsigned c = 1; c < STREAMS; c++) {
        low[0] += low[c];
        high[0] += high[c];
    }
    uint64_t low_sum = (uint64_t)sum_of_lanes((wholes)low[0]);
    uint64_t high_sum = (uint64_t)sum_of_lanes((wholes)high[0]);
    for (size_t i = STREAMS * part; i < count; i++) {
        uint64_t value;
        memcpy(&value, at + i * sizeof(value), sizeof(value));
        low_sum += value & UINT32_MAX;
        high_sum += (value ^ flip) >> 32;
    }
    /* a flipped sign bit adds 2^31 to each high half */
    out->low = low_sum;
    out->high = (int64_t)(high_sum - count * (flip >> 32));
}

/* Keys as signed numbers: the greatest bit of an unsigned key is flipped. */
ATTR_TARGET(FEATURES)
void RANGE(const uint8_t *at, size_t count, enum compute_class of, struct compute_range *out)
{
    const wholes real = all_lanes(of == COMPUTE_REAL ? INT64_MAX : 0);
    const wholes flip = all_lanes(of == COMPUTE_UNSIGNED ? INT64_MIN : 0);
    const size_t part = numbers_of_stream(count);
    const size_t done = STREAMS * part;
    wholes least[STREAMS];
    wholes most[STREAMS];
    for (unsigned c = 0; c < STREAMS; c++) {
        least[c] = all_lanes(INT64_MAX);
        most[c] = all_lanes(INT64_MIN);
    }
    for (size_t i = 0; i < part; i += LINE_NUMBERS) {
        for (unsigned c = 0; c < STREAMS; c++) {
            const uint8_t *line = at + (c * part + i) * sizeof(int64_t);
            for (unsigned v = 0; v < LINE_NUMBERS; v += LANES) {
                wholes value;
                memcpy(&value, line + v * sizeof(int64_t), sizeof(value));
                value ^= ((value >> 63) & real) ^ flip;
                least[c] = LEAST(least[c], value);
                most[c] = MOST(most[c], value);
            }
        }
    }
    compute_range_plain(at + done * sizeof(uint64_t), count - done, of, out);
    for (unsigned c = 0; c < STREAMS; c++) {
        for (unsigned lane = 0; lane < LANES && done > 0; lane++) {
            const uint64_t low = (uint64_t)least[c][lane] ^ COMPUTE_KEY_FLIP;
            const uint64_t high = (uint64_t)most[c][lane] ^ COMPUTE_KEY_FLIP;
            out->least = low < out->least ? low : out->least;
            out->most = high > out->most ? high : out->most;
        }
    }
}

/* returns: of each lane the sum of it and those before (Hillis and Steele, 1986). */
ATTR_TARGET(FEATURES) static inline naturals prefix_sums(naturals v)
{
    v += UP(v, 1);
    v += UP(v, 2);
#if LANES > 4
    v += UP(v, 4);
#endif
    return v;
}

/* sum: of each number and all before it. *out: its greatest bit is set in a lane whose sum leaves
 * the range. returns: the results. */
ATTR_TARGET(FEATURES)
static inline naturals scan_vector(const struct compute_scan_sums *how, naturals value,
                                   naturals sum, naturals *out)
{
    const naturals before = sum - value;
    *out |= how->is_signed ? COMPUTE_SCAN_LEAVES_SIGNED(before, value, sum)
                           : COMPUTE_SCAN_LEAVES_UNSIGNED(before, value, sum);
    return how->exclusive ? before : sum;
}

ATTR_TARGET(FEATURES) static inline void put_sums(uint8_t *to, naturals sums, bool past)
{
    if (past) {
        STORE_PAST(to, sums);
    } else {
        memcpy(to, &sums, sizeof(sums));
    }
}

/* how, past: constants, so that there is a loop of its own for each. One addition alone waits for
 * the vectors before. */
ATTR_TARGET(FEATURES)
static inline bool scan_all(const struct compute_scan_sums how,
                            const struct compute_scan_span *span, bool past, uint64_t *carry)
{
    const uint8_t *from = span->from;
    uint8_t *to = span->to;
    const size_t whole = span->count - span->count % (2 * LANES);
    naturals all = (naturals){0} + *carry;
    naturals out = (naturals){0};
    for (size_t i = 0; i < whole; i += 2 * LANES) {
        naturals a;
        naturals b;
        for (size_t line = 0; line < 2 * VECTOR_BYTES; line += CACHE_LINE_BYTES) {
            const uintptr_t at = (uintptr_t)from + i * sizeof(uint64_t) + line;
            ATTR_PREFETCH((const void *)(at + AHEAD_BYTES));
        }
        memcpy(&a, from + i * sizeof(uint64_t), sizeof(a));
        memcpy(&b, from + (i + LANES) * sizeof(uint64_t), sizeof(b));
        const naturals sum_a = prefix_sums(a);
        const naturals sum_b = prefix_sums(b) + LAST(sum_a);
        const naturals result_a = scan_vector(&how, a, all + sum_a, &out);
        const naturals result_b = scan_vector(&how, b, all + sum_b, &out);
        put_sums(to + i * sizeof(uint64_t), result_a, past);
        put_sums(to + (i + LANES) * sizeof(uint64_t), result_b, past);
        all += LAST(sum_b);
    }
    const struct compute_scan_span rest = {.from = from + whole * sizeof(uint64_t),
                                           .to = to + whole * sizeof(uint64_t),
                                           .count = span->count - whole};
    *carry = all[0];
    const bool rest_out = compute_scan_plain(&how, &rest, false, carry);
    if (past) {
        _mm_sfence(); /* what comes next is seen after the sums */
    }
    return or_of_lanes((wholes)out) >> 63 != 0 || rest_out;
}

ATTR_TARGET(FEATURES)
static bool scan_past(const struct compute_scan_sums *how, const struct compute_scan_span *span,
                      uint64_t *carry)
{
    static const struct compute_scan_sums kinds[] = {
        {false, false}, {false, true}, {true, false}, {true, true}};
    if (how->is_signed) {
        return how->exclusive ? scan_all(kinds[3], span, true, carry)
                              : scan_all(kinds[2], span, true, carry);
    }
    return how->exclusive ? scan_all(kinds[1], span, true, carry)
                          : scan_all(kinds[0], span, true, carry);
}

ATTR_TARGET(FEATURES)
bool SCAN(const struct compute_scan_sums *how, const struct compute_scan_span *span, bool past,
          uint64_t *carry)
{
    static const struct compute_scan_sums kinds[] = {
        {false, false}, {false, true}, {true, false}, {true, true}};
    if (past) {
        return scan_past(how, span, carry);
    }
    if (how->is_signed) {
        return how->exclusive ? scan_all(kinds[3], span, false, carry)
                              : scan_all(kinds[2], span, false, carry);
    }
    return how->exclusive ? scan_all(kinds[1], span, false, carry)
                          : scan_all(kinds[0], span, false, carry);
}

#endif
