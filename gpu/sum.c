/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Takes a device's parts of a sum into a compute_exact. A part is a whole number of units, in two
 * halves that doubles hold; the product of two doubles is added there without being rounded.
 */
#include "gpu/sum.h"

#include "base/err.h"

#define HALF 4294967296.0 /* 2^32 */

struct sum {
    struct compute_exact exact; /* of this call: nothing of a call that fails may remain */
    const uint8_t *values;
};

static void take_part(void *ctx, const struct gpu_sum_part *part)
{
    struct compute_exact *e = &((struct sum *)ctx)->exact;
    compute_exact_add_product_f64(e, (double)part->high1, part->unit1 * HALF);
    compute_exact_add_product_f64(e, (double)part->low1, part->unit1);
    compute_exact_add_product_f64(e, (double)part->high2, part->unit2 * HALF);
    compute_exact_add_product_f64(e, (double)part->low2, part->unit2);
}

static void take_rest(void *ctx, size_t from, size_t count)
{
    struct sum *sum = ctx;
    compute_exact_add_f64s(&sum->exact, sum->values + from * sizeof(double), count);
}

int gpu_sum_add_f64s(const struct gpu_table *table, struct gpu *gpu, struct compute_exact *e,
                     const void *values, size_t count)
{
    struct sum sum = {.values = values};
    const struct gpu_sum_sink sink = {.ctx = &sum, .part = take_part, .rest = take_rest};
    compute_exact_init(&sum.exact);
    TRY(table->sum_f64s(gpu, values, count, &sink));
    compute_exact_merge(e, &sum.exact);
    return 0;
}
