/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The side of oracle.py that is under test: draws values from a seed, and prints them with their
 * exact results, as bits in hexadecimal. A line of sums: kind, the values, |, sum, mean, variance
 * of n, of n - 1, dot of the first half with the second. A line of reduce: operator, type, bytes of
 * a record, places of the two numbers, count, low, high, x and the object's bytes, and the result's
 * lines, each with ; at its end, or error, by spans of any size that are merged in any grouping.
 *
 *   compute_oracle sums|reduce SEED LINES
 */
#include "base/num.h"
#include "tests/unit/compute/objects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUES_MAX 600u

static void print_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    printf(" %016" PRIx64, bits);
}

/* The sum from parts of any size, each by the best kernel. */
static struct compute_exact sum_of(struct rng *r, const double *values, size_t count)
{
    struct compute_exact all;
    compute_exact_init(&all);
    for (size_t from = 0; from < count;) {
        struct compute_exact part;
        const size_t size = (size_t)rng_between(r, 1, count - from);
        compute_exact_init(&part);
        compute_exact_add_f64s(&part, values + from, size);
        compute_exact_merge(&all, &part);
        from += size;
    }
    return all;
}

static void print_variance(const struct compute_exact *sum, const struct compute_exact *squares,
                           size_t count, size_t divisor)
{
    double variance = 0;
    ASSERT(compute_exact_variance(sum, squares, count, divisor, &variance) == 0);
    print_bits(variance);
}

static void print_line(struct rng *r, enum values_kind kind)
{
    double values[VALUES_MAX];
    struct compute_exact squares;
    struct compute_exact dot;
    const size_t count = (size_t)rng_between(r, 2, rng_chance(r, 1, 10) ? VALUES_MAX : 20);
    values_make(r, kind, values, count);
    compute_exact_init(&squares);
    compute_exact_init(&dot);
    printf("%d", (int)kind);
    for (size_t i = 0; i < count; i++) {
        print_bits(values[i]);
        compute_exact_add_product_f64(&squares, values[i], values[i]);
    }
    for (size_t i = 0; i < count / 2; i++) {
        compute_exact_add_product_f64(&dot, values[i], values[count / 2 + i]);
    }
    const struct compute_exact sum = sum_of(r, values, count);
    printf(" |");
    print_bits(compute_exact_round(&sum));
    print_bits(compute_exact_mean(&sum, count));
    print_variance(&sum, &squares, count, count);
    print_variance(&sum, &squares, count, count - 1);
    print_bits(compute_exact_round(&dot));
    printf("\n");
}

/* The result in one line. */
static void print_result(const struct compute_reduce *state)
{
    const struct alloc heap = alloc_heap();
    struct buf text;
    buf_init(&text, &heap, 1u << 20);
    const int err = compute_reduce_text(state, &text);
    if (err != 0) {
        printf(" %s\n", err_name(err));
    } else {
        for (size_t i = 0; i < text.size; i++) {
            text.data[i] = text.data[i] == '\n' ? ';' : text.data[i];
        }
        printf(" %.*s\n", (int)text.size, (const char *)text.data);
    }
    buf_release(&text);
}

static void print_reduce(struct rng *r)
{
    static uint8_t object[OBJECTS_BYTES_MAX];
    const struct compute_reduce_spec s = objects_spec(r);
    const size_t many = rng_chance(r, 1, 10) ? 2000 : 12;
    const size_t records_max = NUM_MIN(OBJECTS_BYTES_MAX / s.record_bytes, many);
    const size_t bytes = (size_t)rng_below(r, records_max + 1) * s.record_bytes;
    objects_fill(r, &s, object, bytes);
    printf("%s %s %u %u %u %u", compute_op_name(s.op), compute_type_name(s.type), s.record_bytes,
           s.field, s.other, s.count);
    print_bits(s.low);
    print_bits(s.high);
    printf(" x");
    for (size_t i = 0; i < bytes; i++) {
        printf("%02x", object[i]);
    }
    struct compute_reduce *state = objects_merged(r, &s, object, 0, bytes);
    print_result(state);
    compute_reduce_free(state);
}

int main(int argc, char **argv)
{
    struct rng r;
    if (argc != 4) {
        (void)fprintf(stderr, "usage: compute_oracle sums|reduce SEED LINES\n");
        return 2;
    }
    const bool of_reduce = strcmp(argv[1], "reduce") == 0;
    rng_init(&r, strtoull(argv[2], NULL, 0));
    const unsigned long lines = strtoul(argv[3], NULL, 0);
    for (unsigned long i = 0; i < lines; i++) {
        if (of_reduce) {
            print_reduce(&r);
        } else {
            print_line(&r, (enum values_kind)(i % VALUES_KINDS));
        }
    }
    return 0;
}
