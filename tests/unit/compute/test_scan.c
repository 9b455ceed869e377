/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Prefix scans: every kernel against additions in C, at all lengths and alignments, in place and
 * not; sums that leave their range; running sums of doubles against exact ones.
 */
#include "base/num.h"
#include "base/rng.h"
#include "compute/scan.h"
#include "tests/unit/unit.h"

#include <math.h>

#define VALUES_MAX 10000u

static uint64_t values[VALUES_MAX];
static uint64_t want[VALUES_MAX];
static uint64_t room[VALUES_MAX + 2];
static uint64_t room_of_results[VALUES_MAX + 2];

/* A reference by the definition. returns: how many sums are in range. */
static size_t expected(const struct compute_scan_sums *how, size_t count, uint64_t carry)
{
    size_t done = count;
    for (size_t i = 0; i < count; i++) {
        const uint64_t before = carry;
        const int64_t x = (int64_t)values[i];
        const int64_t b = (int64_t)before;
        carry += values[i];
        const bool over = how->is_signed
                              ? (x > 0 && b > INT64_MAX - x) || (x < 0 && b < INT64_MIN - x)
                              : values[i] > UINT64_MAX - before;
        done = over && done == count ? i : done;
        want[i] = how->exclusive ? before : carry;
    }
    return done;
}

/* From an address `from` bytes off, to one `to` bytes off; or in place. */
static void expect_scan(enum compute_lanes lanes, const struct compute_scan_sums *how, size_t count,
                        const unsigned off[2], bool in_place)
{
    uint8_t *from = (uint8_t *)room + off[0];
    uint8_t *to = in_place ? from : (uint8_t *)room_of_results + off[1];
    const uint64_t start = how->is_signed ? (uint64_t)-5 : 7;
    uint64_t carry = start;
    uint64_t last = start;
    const size_t done = expected(how, count, start);
    memcpy(from, values, count * sizeof(*values));
    const struct compute_scan_span span = {.from = from, .to = to, .count = count};
    ck_assert_uint_eq(compute_scan_sums_by(lanes, how, &span, &carry), done);
    ck_assert(count == 0 || memcmp(to, want, count * sizeof(*want)) == 0);
    for (size_t i = 0; i < count; i++) {
        last += values[i];
    }
    ck_assert_uint_eq(carry, last);
}

static size_t any_count(struct rng *r)
{
    return (size_t)(rng_chance(r, 1, 2) ? rng_below(r, 70) : rng_below(r, VALUES_MAX + 1));
}

START_TEST(every_kernel_gives_the_sums_of_the_definition)
{
    struct rng r;
    rng_init(&r, unit_seed("kernels", 11));
    for (unsigned round = 0; round < 3000; round++) {
        const struct compute_scan_sums how = {.is_signed = rng_chance(&r, 1, 2),
                                              .exclusive = rng_chance(&r, 1, 2)};
        const size_t count = any_count(&r);
        const unsigned bits = (unsigned)rng_between(&r, 1, 64);
        const unsigned off[2] = {(unsigned)rng_below(&r, 16), (unsigned)rng_below(&r, 16)};
        for (size_t i = 0; i < count; i++) {
            values[i] = rng_next(&r) >> (64 - bits);
            values[i] = how.is_signed && rng_chance(&r, 1, 2) ? 0 - values[i] : values[i];
        }
        for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
            if (compute_lanes_runs(v)) {
                expect_scan(v, &how, count, off, rng_chance(&r, 1, 2));
            }
        }
    }
}
END_TEST

START_TEST(the_first_sum_out_of_range_is_found_wherever_it_is)
{
    struct rng r;
    rng_init(&r, unit_seed("range", 12));
    for (unsigned round = 0; round < 2000; round++) {
        const struct compute_scan_sums how = {.is_signed = rng_chance(&r, 1, 2),
                                              .exclusive = rng_chance(&r, 1, 2)};
        const size_t count = 1 + any_count(&r) % (VALUES_MAX - 1);
        const unsigned off[2] = {(unsigned)rng_below(&r, 8), 0};
        const bool below = how.is_signed && rng_chance(&r, 1, 2);
        memset(values, 0, sizeof(values));
        for (unsigned times = 0; times < 3; times++) { /* back in between, or not */
            values[rng_below(&r, count)] = below           ? (uint64_t)INT64_MIN
                                           : how.is_signed ? (uint64_t)INT64_MAX
                                                           : UINT64_MAX;
        }
        values[rng_below(&r, count)] = rng_below(&r, 9);
        for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
            if (compute_lanes_runs(v)) {
                expect_scan(v, &how, count, off, rng_chance(&r, 1, 2));
            }
        }
    }
}
END_TEST

START_TEST(many_sums_go_past_the_caches_and_are_the_same)
{
    const size_t count = (16u << 20) / sizeof(uint64_t) + 777;
    uint64_t *from = malloc((count + 2) * sizeof(*from));
    uint64_t *to = malloc((count + 20) * sizeof(*to));
    struct rng r;
    rng_init(&r, unit_seed("past", 14));
    ck_assert(from != NULL && to != NULL);
    for (size_t i = 0; i < count + 2; i++) {
        from[i] = rng_next(&r) >> 30;
    }
    for (enum compute_lanes v = COMPUTE_LANES_PLAIN; v < COMPUTE_LANES_COUNT; v++) {
        const struct compute_scan_sums how = {.is_signed = true, .exclusive = v % 2 == 1};
        const struct compute_scan_span span = {.from = (const uint8_t *)from + 3 * (v % 3),
                                               .to = to + 1 + rng_below(&r, 16),
                                               .count = count};
        uint64_t carry = 5;
        uint64_t sum = 5;
        if (!compute_lanes_runs(v)) {
            continue;
        }
        ck_assert_uint_le(compute_scan_sums_by(v, &how, &span, &carry), count);
        for (size_t i = 0; i < count; i++) {
            uint64_t value;
            memcpy(&value, (const uint8_t *)span.from + i * sizeof(value), sizeof(value));
            const uint64_t before = sum;
            sum += value;
            ck_assert(((uint64_t *)span.to)[i] == (how.exclusive ? before : sum));
        }
        ck_assert_uint_eq(carry, sum);
    }
    free(from);
    free(to);
}
END_TEST

/* --- the least and the greatest --- */

static double real_of(uint64_t bits)
{
    double real;
    memcpy(&real, &bits, sizeof(real));
    return real;
}

/* Whether a comes before b in the order of the class; of doubles -0 is below 0. */
static bool is_below(enum compute_class of, uint64_t a, uint64_t b)
{
    switch (of) {
    case COMPUTE_SIGNED: return (int64_t)a < (int64_t)b;
    case COMPUTE_UNSIGNED: return a < b;
    case COMPUTE_REAL: break;
    }
    const double x = real_of(a);
    const double y = real_of(b);
    return x < y || (x == y && signbit(x) && !signbit(y));
}

static uint64_t end_of(const struct compute_scan_ends *how, uint64_t a, uint64_t b)
{
    if (how->of == COMPUTE_REAL && (isnan(real_of(a)) || isnan(real_of(b)))) {
        return COMPUTE_SCAN_NAN;
    }
    return is_below(how->of, a, b) == how->greatest ? b : a;
}

static uint64_t nothing_of(const struct compute_scan_ends *how)
{
    const double infinity = how->greatest ? -INFINITY : INFINITY;
    uint64_t bits;
    switch (how->of) {
    case COMPUTE_SIGNED: return (uint64_t)(how->greatest ? INT64_MIN : INT64_MAX);
    case COMPUTE_UNSIGNED: return how->greatest ? 0 : UINT64_MAX;
    case COMPUTE_REAL: break;
    }
    memcpy(&bits, &infinity, sizeof(bits));
    return bits;
}

static uint64_t any_bits(struct rng *r, unsigned kind)
{
    static const double odd[] = {0.0, -0.0, INFINITY, -INFINITY, 1, -1, 0x1p-1074, -0x1p-1074};
    const double real = kind % 2 == 0 ? odd[rng_below(r, 8)] : (double)(int64_t)rng_next(r);
    uint64_t bits;
    memcpy(&bits, &real, sizeof(bits));
    return rng_chance(r, 1, 60) ? rng_next(r) | UINT64_C(0x7ff) << 52 : bits;
}

START_TEST(the_least_and_the_greatest_are_those_of_the_definition)
{
    struct rng r;
    rng_init(&r, unit_seed("ends", 15));
    for (unsigned round = 0; round < 3000; round++) {
        const struct compute_scan_ends how = {.of = (enum compute_class)(round % 3),
                                              .greatest = rng_chance(&r, 1, 2),
                                              .exclusive = rng_chance(&r, 1, 2)};
        const size_t count = any_count(&r) % 300;
        const size_t first = rng_below(&r, count + 1);
        uint8_t *from = (uint8_t *)room + rng_below(&r, 8);
        uint8_t *to = rng_chance(&r, 1, 2) ? from : (uint8_t *)room_of_results;
        uint64_t end = nothing_of(&how);
        uint64_t key = compute_scan_ends_of_nothing(&how);
        for (size_t i = 0; i < count; i++) {
            values[i] = any_bits(&r, (unsigned)rng_below(&r, 9));
            want[i] = end;
            end = end_of(&how, end, values[i]);
            want[i] = how.exclusive ? want[i] : end;
        }
        memcpy(from, values, count * sizeof(*values));
        const struct compute_scan_span a = {.from = from, .to = to, .count = first};
        const struct compute_scan_span b = {
            .from = from + first * 8, .to = to + first * 8, .count = count - first};
        compute_scan_ends(&how, &a, &key);
        compute_scan_ends(&how, &b, &key);
        ck_assert(count == 0 || memcmp(to, want, count * sizeof(*want)) == 0);
    }
}
END_TEST

/* A double of some kind: about one size, of any size, small whole, not finite. */
static double any_real(struct rng *r, unsigned kind)
{
    const double whole = (double)(int64_t)rng_next(r);
    static const double ends[] = {0.0,      -0.0,      INFINITY,  -INFINITY,   NAN,
                                  0x1p1023, -0x1p1023, 0x1p-1074, 0x1.8p-1022, 1};
    switch (kind) {
    case 0: return ldexp(whole, -40 - (int)rng_below(r, 20));
    case 1: return ldexp(whole, (int)rng_below(r, 2000) - 1070);
    case 2: return (double)((int64_t)rng_below(r, 7) - 3);
    case 3: return ends[rng_below(r, 10)];
    case 4: return rng_chance(r, 1, 2) ? -0.0 : 0.0;
    case 5: return ldexp(whole, rng_chance(r, 1, 2) ? 960 : -1074);
    case 6: return -0.0;
    default: return ldexp(whole, rng_chance(r, 1, 50) ? 100 : -20);
    }
}

START_TEST(a_running_sum_is_the_exact_one_rounded_at_each_value)
{
    struct rng r;
    rng_init(&r, unit_seed("running", 13));
    for (unsigned round = 0; round < 2000; round++) {
        const unsigned kind = (unsigned)rng_below(&r, 8);
        double before = 0;
        struct compute_running running;
        struct compute_exact exact;
        compute_running_init(&running);
        compute_exact_init(&exact);
        for (unsigned i = 0; i < 200; i++) {
            const double value = rng_chance(&r, 1, 9) ? -before : any_real(&r, kind);
            const double got = compute_running_add(&running, value);
            compute_exact_add_f64(&exact, value);
            const double right = compute_exact_round(&exact);
            ck_assert(memcmp(&got, &right, sizeof(got)) == 0);
            before = got == got ? got : 0;
        }
    }
}
END_TEST

START_TEST(running_sums_of_a_span_are_those_of_its_values)
{
    struct rng r;
    rng_init(&r, unit_seed("running", 16));
    for (unsigned round = 0; round < 1000; round++) {
        const unsigned kind = (unsigned)rng_below(&r, 8);
        const bool exclusive = rng_chance(&r, 1, 2);
        const size_t count = rng_below(&r, 200);
        const size_t first = rng_below(&r, count + 1);
        struct compute_running whole;
        struct compute_running single;
        double sum = 0;
        double from[200];
        double to[200];
        compute_running_init(&whole);
        compute_running_init(&single);
        for (size_t i = 0; i < count; i++) {
            from[i] = any_real(&r, rng_chance(&r, 1, 30) ? 3 : kind);
        }
        const struct compute_scan_span a = {.from = from, .to = to, .count = first};
        const struct compute_scan_span b = {
            .from = from + first, .to = to + first, .count = count - first};
        sum = compute_running_scan(&whole, sum, exclusive, &a);
        sum = compute_running_scan(&whole, sum, exclusive, &b);
        double now = 0;
        for (size_t i = 0; i < count; i++) {
            const double before = now;
            now = compute_running_add(&single, from[i]);
            const double right = exclusive ? before : now;
            const uint64_t nan = COMPUTE_SCAN_NAN;
            ck_assert(memcmp(&to[i], right == right ? (const void *)&right : &nan, 8) == 0);
        }
        ck_assert(memcmp(&sum, &now, sizeof(sum)) == 0 || (sum != sum && now != now));
    }
}
END_TEST

UNIT_MAIN("compute_scan", every_kernel_gives_the_sums_of_the_definition,
          the_first_sum_out_of_range_is_found_wherever_it_is,
          many_sums_go_past_the_caches_and_are_the_same,
          the_least_and_the_greatest_are_those_of_the_definition,
          running_sums_of_a_span_are_those_of_its_values,
          a_running_sum_is_the_exact_one_rounded_at_each_value)
