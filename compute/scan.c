/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Prefix scans: the plain kernel, the choice of one, and running sums of doubles.
 */
#include "compute/scan.h"

#include "base/num.h"
#include "compute/scan_internal.h"

#define BLOCK 4096u /* numbers between two looks at what has left the range; stay in the cache */
#define WORD sizeof(uint64_t)

/* --- whole numbers --- */

static uint64_t word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static bool leaves(bool is_signed, uint64_t before, uint64_t value, uint64_t sum)
{
    const uint64_t bits = is_signed ? COMPUTE_SCAN_LEAVES_SIGNED(before, value, sum)
                                    : COMPUTE_SCAN_LEAVES_UNSIGNED(before, value, sum);
    return bits >> 63 != 0;
}

bool compute_scan_plain(const struct compute_scan_sums *how, const struct compute_scan_span *span,
                        uint64_t *carry)
{
    const uint8_t *from = span->from;
    uint8_t *to = span->to;
    uint64_t sum = *carry;
    bool out = false;
    for (size_t i = 0; i < span->count; i++) {
        const uint64_t value = word_at(from + i * WORD);
        const uint64_t before = sum;
        sum += value;
        out |= leaves(how->is_signed, before, value, sum);
        memcpy(to + i * WORD, how->exclusive ? &before : &sum, WORD);
    }
    *carry = sum;
    return out;
}

/* Which sum of a block is the first that has left the range: from the results, as the numbers may
 * be gone. before, after: the carry. */
static size_t first_out(const struct compute_scan_sums *how, const uint8_t *results, size_t count,
                        uint64_t before, uint64_t after)
{
    for (size_t i = 0; i < count; i++) {
        const size_t at = i + how->exclusive;
        const uint64_t sum = at < count ? word_at(results + at * WORD) : after;
        if (leaves(how->is_signed, before, sum - before, sum)) {
            return i;
        }
        before = sum;
    }
    return count;
}

size_t compute_scan_sums_by(enum compute_lanes lanes, const struct compute_scan_sums *how,
                            const struct compute_scan_span *span, uint64_t *carry)
{
    compute_scan_fn *kernel = compute_scan_plain;
    size_t done = span->count;
    ASSERT(compute_lanes_runs(lanes));
#if COMPUTE_EXACT_HAS_LANES
    if (lanes != COMPUTE_LANES_PLAIN) {
        kernel = lanes == COMPUTE_LANES_AVX512 ? compute_scan_avx512 : compute_scan_avx2;
    }
#endif
    for (size_t at = 0; at < span->count; at += BLOCK) {
        const struct compute_scan_span part = {.from = (const uint8_t *)span->from + at * WORD,
                                               .to = (uint8_t *)span->to + at * WORD,
                                               .count = NUM_MIN(span->count - at, BLOCK)};
        const uint64_t before = *carry;
        if (kernel(how, &part, carry) && done == span->count) {
            done = at + first_out(how, part.to, part.count, before, *carry);
        }
    }
    return done;
}

size_t compute_scan_sums(const struct compute_scan_sums *how, const struct compute_scan_span *span,
                         uint64_t *carry)
{
    return compute_scan_sums_by(compute_lanes_pick(), how, span, carry);
}

/* --- doubles --- */

void compute_running_init(struct compute_running *r)
{
    r->high = -0.0; /* adding to it changes nothing, not even a -0 */
    r->low = 0;
    r->wide = false;
}

/* Twice rounded and taken away, most sums are nothing: then two doubles hold it. */
void compute_running_from(struct compute_running *r, const struct compute_exact *sum)
{
    struct compute_exact rest = *sum;
    const double high = compute_exact_round(&rest);
    compute_exact_add_f64(&rest, -high);
    const double low = compute_exact_round(&rest);
    compute_exact_add_f64(&rest, -low);
    compute_running_init(r);
    if (high - high != 0 || low - low != 0 || compute_exact_round(&rest) != 0 || high == 0) {
        r->wide = true; /* which zero it is, its exact sum knows */
        r->exact = *sum;
    } else {
        r->high = high;
        r->low = low;
    }
}

/* a + b = *sum + *rest, exactly, if nothing overflows (Knuth, "The Art of Computer Programming",
 * volume 2, section 4.2.2, theorem B). */
static inline void two_sum(double a, double b, double *sum, double *rest)
{
    const double s = a + b;
    const double of_b = s - a;
    const double of_a = s - of_b;
    *rest = (a - of_a) + (b - of_b);
    *sum = s;
}

void compute_running_exact(const struct compute_running *r, struct compute_exact *sum)
{
    if (r->wide) {
        compute_exact_merge(sum, &r->exact);
        return;
    }
    compute_exact_add_f64(sum, r->high);
    if (r->low != 0) {
        compute_exact_add_f64(sum, r->low);
    }
}

/* The sum takes more than two doubles, or is not finite. */
static double add_wide(struct compute_running *r, double value)
{
    if (!r->wide) {
        struct compute_exact all;
        compute_exact_init(&all);
        compute_running_exact(r, &all);
        r->exact = all;
        r->wide = true;
    }
    compute_exact_add_f64(&r->exact, value);
    return compute_exact_round(&r->exact);
}

double compute_running_add(struct compute_running *r, double value)
{
    double high = 0;
    double low = 0;
    double rest = 0;
    if (r->wide) {
        return add_wide(r, value);
    }
    two_sum(r->high, value, &high, &rest);
    two_sum(r->low, rest, &low, &rest);
    if (low != 0) { /* else the sum has the sign that it should, if it is zero */
        two_sum(high, low, &high, &low);
    }
    if (rest != 0 || high - high != 0) { /* a NaN too: what is not finite, or overflowed */
        return add_wide(r, value);
    }
    r->high = high;
    r->low = low;
    return high;
}
