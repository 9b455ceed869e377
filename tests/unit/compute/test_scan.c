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

UNIT_MAIN("compute_scan", every_kernel_gives_the_sums_of_the_definition,
          the_first_sum_out_of_range_is_found_wherever_it_is,
          a_running_sum_is_the_exact_one_rounded_at_each_value)
