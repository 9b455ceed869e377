/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Estimates from samples: how often the bounds hold, and that nothing depends on where the object
 * is cut. The values themselves are held against exact fractions by run_oracle.py.
 */
#include "tests/unit/compute/tasks.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

static struct buf result;

static const char *run_bytes(const char *program, struct bytes data, uint64_t memory_bytes)
{
    const struct alloc heap = alloc_heap();
    struct compute_program *p = tasks_program(program);
    struct compute_task *t = tasks_new(p, 0, memory_bytes);
    buf_release(&result);
    buf_init(&result, &heap, TASKS_TEXT_BYTES);
    ck_assert_int_eq(compute_task_update(t, data), 0);
    (void)tasks_end(t, &result);
    compute_program_free(p);
    return (const char *)result.data;
}

static const char *run(const char *program, const char *data)
{
    return run_bytes(program, bytes_of_text(data), 0);
}

/* --- coverage --- */

#define DATA_SETS 1000u
#define CLUSTERS 500u
#define RECORDS_MAX (CLUSTERS * 4u)

struct record {
    uint64_t id;
    int64_t value;
};

/* Counts for each of the three estimates how often the whole is within the bounds. most: records
 * of one id, whose values are alike. */
static void cover(struct rng *rng, const char *program, unsigned most, unsigned covered[3])
{
    static struct record data[RECORDS_MAX];
    for (unsigned set = 0; set < DATA_SETS; set++) {
        size_t count = 0;
        int64_t sum = 0;
        for (unsigned i = 0; i < CLUSTERS; i++) {
            const uint64_t id = rng_next(rng);
            const int64_t level = (int64_t)rng_below(rng, 100);
            const unsigned records = 1 + (unsigned)rng_below(rng, most);
            for (unsigned j = 0; j < records; j++) {
                const int64_t value = level + (int64_t)rng_below(rng, 10);
                data[count++] = (struct record){.id = id, .value = value};
                sum += value;
            }
        }
        const double truth[3] = {(double)count, (double)sum, (double)sum / (double)count};
        char *at = NULL;
        const char *text =
            run_bytes(program, bytes_of((const uint8_t *)data, count * sizeof(data[0])), 0);
        for (unsigned i = 0; i < 3; i++) {
            const double value = strtod(i == 0 ? text : at + 1, &at);
            const double bound = strtod(at + 1, &at);
            covered[i] += fabs(value - truth[i]) <= bound;
        }
    }
}

static void check_coverage(const char *name, const unsigned covered[3])
{
    for (unsigned i = 0; i < 3; i++) {
        (void)printf("%s %u: %u of %u\n", name, i, covered[i], DATA_SETS);
        ck_assert_uint_ge(covered[i], DATA_SETS * 93 / 100);
        ck_assert_uint_le(covered[i], DATA_SETS * 97 / 100);
    }
}

START_TEST(the_whole_is_within_the_bounds_in_ninety_five_of_a_hundred_samples)
{
    struct rng rng;
    unsigned records[3] = {0};
    unsigned values[3] = {0};
    rng_init(&rng, unit_seed("the_whole_is_within_the_bounds", 1));
    cover(&rng, "u64,i64 | sample 0.3 | estimate count, sum $2, mean $2", 1, records);
    check_coverage("records", records);
    cover(&rng, "u64,i64 | sample 0.3 $1 | estimate count, sum $2, mean $2", 4, values);
    check_coverage("values", values);
}
END_TEST

/* --- results --- */

START_TEST(a_sample_of_all_is_exact)
{
    ck_assert_str_eq(run("lines | sample 1 | estimate count, sum, mean", "1\n2.5\n1\n"),
                     "3,0,4.5,0,1.5,0\n");
    ck_assert_str_eq(run("lines | sample 1 | estimate count, sum", ""), "0,0,0,0\n");
    ck_assert_str_eq(
        run("csv | sample 1 $1 | by $2 estimate count, mean $1 | top 1", "1,a\n2,b\n4,b\n"),
        "b,2,0,3,0\n");
    ck_assert_str_eq(run("csv | sample 1 | by $1, $2 estimate count, mean $3", "x,\"a\nb\",\n"),
                     "x,\"a\nb\",1,0,,\n");
}
END_TEST

START_TEST(what_is_sampled_stands_for_as_much_again)
{
    static const char text[] = "b,1\nb,1\na,5\nd,1\nc,4\ne,1\n";
    const char *got = run("csv | sample 0.5 $1 | by 1 count, distinct $1", text);
    unsigned count = 0;
    unsigned clusters = 0;
    ck_assert_int_eq(sscanf(got, "1,%u,%u", &count, &clusters), 2);
    got = run("csv | sample 0.5 $1 | estimate count, sum $2", text);
    double value[4] = {0};
    ck_assert_int_eq(sscanf(got, "%lf,%lf,%lf,%lf", &value[0], &value[1], &value[2], &value[3]), 4);
    /* no cluster has fewer than one record, nor more than two: so sum(t^2) is between */
    ck_assert_double_eq(value[0], 2.0 * count);
    ck_assert_uint_gt(clusters, 1);
    ck_assert(value[1] >= 1.959 * sqrt(2.0 * clusters) && value[1] <= 1.96 * sqrt(8.0 * clusters));
}
END_TEST

START_TEST(too_few_clusters_have_no_bounds)
{
    ck_assert_str_eq(run("lines | sample 0.5 | estimate count", ""),
                     "error: the sample has too few different values for bounds of countNOT_FOUND");
    ck_assert_str_eq(run("lines | sample 0.999 \"x\" | estimate sum 1, count", "a\nb\n"),
                     "error: the sample has too few different values for bounds of sumNOT_FOUND");
    (void)run("lines | sample 1 | estimate mean", "1\nx\n");
    ck_assert_ptr_nonnull(strstr((const char *)result.data, "record 2: $0 is no number"));
}
END_TEST

START_TEST(what_is_not_finite_has_no_finite_bound)
{
    static const double reals[] = {1, 2, (double)INFINITY, 3};
    static const double odd[] = {1, (double)NAN};
    ck_assert_str_eq(run_bytes("f64 | sample 1 | estimate sum, mean, count",
                               bytes_of((const uint8_t *)reals, sizeof(reals)), 0),
                     "inf,nan,inf,nan,4,0\n");
    ck_assert_str_eq(
        run_bytes("f64 | sample 1 | estimate sum", bytes_of((const uint8_t *)odd, sizeof(odd)), 0),
        "nan,nan\n");
}
END_TEST

/* --- any cut --- */

static const char *const programs[] = {
    "csv | sample 0.5 $1 | estimate count, sum $2, mean $2",
    "csv | sample 0.7 | by $1 estimate count, mean $2 | top 3",
    "csv header | where $2 > 0 | sample 0.4 $3 | by $1, $3 estimate sum $2",
    "i16,u8 | sample 0.5 | estimate count, sum $1, mean $2",
    "i16,u8 | sample 0.5 $2 | by $2 % 3 estimate mean $1 / 7, count",
    "words | sample 0.5 | estimate count",
};

static size_t make_csv(struct rng *rng, char *data, size_t room)
{
    static const char *const fields[] = {"1", "22", "-3", "0.5", "", "7e2", "1e300", "\"4\""};
    size_t bytes = 0;
    const size_t rows = (size_t)rng_below(rng, 30);
    for (size_t i = 0; i < rows; i++) {
        bytes += (size_t)snprintf(data + bytes, room - bytes, "%u,%s,\"%u\n\"\n",
                                  (unsigned)rng_below(rng, 12), fields[rng_below(rng, 8)],
                                  (unsigned)rng_below(rng, 3));
    }
    return bytes;
}

START_TEST(every_cut_and_grouping_gives_the_same_bytes)
{
    const struct alloc heap = alloc_heap();
    struct rng rng;
    char data[1200];
    rng_init(&rng, unit_seed("every_cut_and_grouping_of_estimates", 1));
    for (unsigned i = 0; i < 1000; i++) {
        const char *program = programs[rng_below(&rng, sizeof(programs) / sizeof(programs[0]))];
        const uint64_t memory_bytes = rng_chance(&rng, 1, 4) ? rng_between(&rng, 1, 3000) : 0;
        const size_t bytes = make_csv(&rng, data, sizeof(data));
        const struct bytes all = bytes_of((const uint8_t *)data, bytes);
        const bool sums = strstr(program, "sum") != NULL || strstr(program, "mean") != NULL;
        struct compute_program *p = tasks_program(program);
        struct buf got;
        struct buf states[2];
        buf_init(&got, &heap, TASKS_TEXT_BYTES);
        (void)run_bytes(program, all, memory_bytes);
        (void)tasks_end(tasks_merged(&rng, p, memory_bytes, all, 0, bytes), &got);
        ck_assert_str_eq((const char *)result.data, (const char *)got.data);
        for (unsigned j = 0; j < 2; j++) {
            struct compute_task *t = j == 0 ? tasks_span(&rng, p, memory_bytes, all, 0, bytes, 0)
                                            : tasks_merged(&rng, p, memory_bytes, all, 0, bytes);
            buf_init(&states[j], &heap, TASKS_TEXT_BYTES);
            ck_assert_int_eq(compute_task_encode(t, &states[j]), 0);
            ck_assert_uint_eq(states[j].data[0], sums ? 4 : 2);
            compute_task_free(t);
        }
        ck_assert(bytes_equal(buf_view(&states[0]), buf_view(&states[1])));
        buf_release(&states[0]);
        buf_release(&states[1]);
        buf_release(&got);
        compute_program_free(p);
    }
}
END_TEST

START_TEST(a_failed_allocation_is_an_error_and_leaks_nothing)
{
    struct compute_program *p =
        tasks_program("csv | sample 0.9 $1 | by $2 estimate sum $1, mean $1 | top 2");
    bool done = false;
    for (uint64_t at = 1; !done; at++) {
        struct alloc_budget budget;
        struct alloc failing = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
        const struct compute_task_options options = {.from = 0};
        struct compute_task *t = NULL;
        budget.fail_at = at;
        int err = compute_task_new(&t, &failing, p, &options, NULL);
        err = err == 0 ? compute_task_update(t, bytes_of_text("1,a\n2.5,b\n3,a\n4,b\n")) : err;
        err = err == 0 ? compute_task_finish(t, NULL) : err;
        ck_assert(err == 0 || err == ERR_NO_MEMORY);
        compute_task_free(t);
        ck_assert_uint_eq(budget.used_bytes, 0);
        done = budget.requests < at;
        ck_assert(!done || err == 0);
    }
    compute_program_free(p);
}
END_TEST

UNIT_MAIN("compute_estimate", the_whole_is_within_the_bounds_in_ninety_five_of_a_hundred_samples,
          a_sample_of_all_is_exact, what_is_sampled_stands_for_as_much_again,
          too_few_clusters_have_no_bounds, what_is_not_finite_has_no_finite_bound,
          every_cut_and_grouping_gives_the_same_bytes,
          a_failed_allocation_is_an_error_and_leaks_nothing)
