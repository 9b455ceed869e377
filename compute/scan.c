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
#define PAST_BYTES \
    (16u << 20) /* of results, which are more than a cache keeps beside the numbers */
#define INFINITY_BITS (UINT64_C(0x7ff) << 52)
#define SIGN (UINT64_C(1) << 63)

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
                        bool past, uint64_t *carry)
{
    const uint8_t *from = span->from;
    uint8_t *to = span->to;
    uint64_t sum = *carry;
    bool out = false;
    (void)past;
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

/* returns: how many numbers there are in the line of the cache before the address. */
static size_t of_line(const uint8_t *to)
{
    return (uintptr_t)to % COMPUTE_SCAN_LINE_BYTES / WORD;
}

/* Where nothing of the results stays in a cache, reading what is there before they are written is
 * in vain. */
static bool goes_past(const struct compute_scan_span *span)
{
    return span->count >= PAST_BYTES / WORD && span->to != span->from &&
           (uintptr_t)span->to % WORD == 0;
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
    const bool past = goes_past(span);
    size_t most = past ? BLOCK - of_line(span->to) : BLOCK; /* so that the next one begins a line */
    for (size_t at = 0; at < span->count;) {
        const struct compute_scan_span part = {.from = (const uint8_t *)span->from + at * WORD,
                                               .to = (uint8_t *)span->to + at * WORD,
                                               .count = NUM_MIN(span->count - at, most)};
        const uint64_t before = *carry;
        if (kernel(how, &part, past && of_line(part.to) == 0, carry) && done == span->count) {
            done = at + first_out(how, part.to, part.count, before, *carry);
        }
        at += part.count;
        most = BLOCK;
    }
    return done;
}

size_t compute_scan_sums(const struct compute_scan_sums *how, const struct compute_scan_span *span,
                         uint64_t *carry)
{
    return compute_scan_sums_by(compute_lanes_pick(), how, span, carry);
}

/* --- the least and the greatest --- */

/* returns: all ones, if the greatest bit is one; else 0. */
static inline uint64_t sign_everywhere(uint64_t word)
{
    return 0 - (word >> 63);
}

/* As compute_key_of, without a branch on what the data is, but for NaN, which has an end's key. */
static inline uint64_t key_of(const struct compute_scan_ends how, uint64_t bits)
{
    switch (how.of) {
    case COMPUTE_UNSIGNED: return bits;
    case COMPUTE_SIGNED: return bits ^ SIGN;
    case COMPUTE_REAL: break;
    }
    const bool is_nan = bits << 1 > INFINITY_BITS << 1;
    return is_nan ? 0 - (uint64_t)how.greatest : bits ^ (sign_everywhere(bits) | SIGN);
}

static inline uint64_t bits_of_key(const struct compute_scan_ends how, uint64_t key)
{
    switch (how.of) {
    case COMPUTE_UNSIGNED: return key;
    case COMPUTE_SIGNED: return key ^ SIGN;
    case COMPUTE_REAL: break;
    }
    const bool is_nan = key == 0 - (uint64_t)how.greatest;
    return is_nan ? COMPUTE_SCAN_NAN : key ^ (~sign_everywhere(key) | SIGN);
}

/* how: constants but for `exclusive`, so that there is a loop of its own for each. */
static inline void ends_all(const struct compute_scan_ends how,
                            const struct compute_scan_span *span, uint64_t *end)
{
    const uint8_t *from = span->from;
    uint8_t *to = span->to;
    uint64_t all = *end;
    for (size_t i = 0; i < span->count; i++) {
        const uint64_t key = key_of(how, word_at(from + i * WORD));
        const uint64_t before = all;
        all = how.greatest ? NUM_MAX(all, key) : NUM_MIN(all, key);
        const uint64_t result = bits_of_key(how, how.exclusive ? before : all);
        memcpy(to + i * WORD, &result, WORD);
    }
    *end = all;
}

uint64_t compute_scan_ends_of_nothing(const struct compute_scan_ends *how)
{
    const uint64_t most = how->of == COMPUTE_REAL ? INFINITY_BITS | SIGN : UINT64_MAX;
    return how->greatest ? ~most : most;
}

void compute_scan_ends(const struct compute_scan_ends *how, const struct compute_scan_span *span,
                       uint64_t *key)
{
    const bool exclusive = how->exclusive;
    switch (how->of) {
    case COMPUTE_SIGNED:
        if (how->greatest) {
            ends_all((struct compute_scan_ends){COMPUTE_SIGNED, true, exclusive}, span, key);
        } else {
            ends_all((struct compute_scan_ends){COMPUTE_SIGNED, false, exclusive}, span, key);
        }
        break;
    case COMPUTE_UNSIGNED:
        if (how->greatest) {
            ends_all((struct compute_scan_ends){COMPUTE_UNSIGNED, true, exclusive}, span, key);
        } else {
            ends_all((struct compute_scan_ends){COMPUTE_UNSIGNED, false, exclusive}, span, key);
        }
        break;
    case COMPUTE_REAL:
        if (how->greatest) {
            ends_all((struct compute_scan_ends){COMPUTE_REAL, true, exclusive}, span, key);
        } else {
            ends_all((struct compute_scan_ends){COMPUTE_REAL, false, exclusive}, span, key);
        }
        break;
    }
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

/* Adds to a sum of two doubles. returns: false, and it is as before, where two do not hold it. */
static inline bool add_to_two(double *high, double *low, double value)
{
    double sum = 0;
    double rest = 0;
    double more = 0;
    two_sum(*high, value, &sum, &rest);
    two_sum(*low, rest, &more, &rest);
    if (more != 0) { /* else the sum has the sign that it should, if it is zero */
        two_sum(sum, more, &sum, &more);
    }
    if (rest != 0 || sum - sum != 0) { /* a NaN too: what is not finite, or overflowed */
        return false;
    }
    *high = sum;
    *low = more;
    return true;
}

double compute_running_add(struct compute_running *r, double value)
{
    if (r->wide || !add_to_two(&r->high, &r->low, value)) {
        return add_wide(r, value);
    }
    return r->high;
}

double compute_running_scan(struct compute_running *r, double sum, bool exclusive,
                            const struct compute_scan_span *span)
{
    double high = r->high;
    double low = r->low;
    for (size_t i = 0; i < span->count; i++) {
        const double before = sum;
        double value;
        memcpy(&value, (const uint8_t *)span->from + i * WORD, WORD);
        if (!r->wide && add_to_two(&high, &low, value)) {
            sum = high;
        } else {
            r->high = high;
            r->low = low;
            sum = add_wide(r, value);
        }
        const double result = exclusive ? before : sum;
        uint64_t bits = COMPUTE_SCAN_NAN;
        if (result == result) {
            memcpy(&bits, &result, sizeof(bits));
        }
        memcpy((uint8_t *)span->to + i * WORD, &bits, WORD);
    }
    r->high = high;
    r->low = low;
    return sum;
}
