/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tallies: what aggregates keep.
 */
#include "compute/tally_internal.h"

#include "base/hash.h"
#include "base/num.h"
#include "compute/narrow.h"
#include "compute/range.h"
#include "compute/sketch_internal.h"

#include <math.h>

#define FEW_BYTES (COMPUTE_TALLY_FEW * sizeof(uint64_t))

bool compute_tally_has(enum compute_op op)
{
    return op <= COMPUTE_OP_ARGMAX || op == COMPUTE_OP_DISTINCT;
}

bool compute_tally_is_of_place(enum compute_op op)
{
    return op == COMPUTE_OP_ARGMIN || op == COMPUTE_OP_ARGMAX;
}

uint8_t compute_tally_format(enum compute_op op)
{
    switch (op) {
    case COMPUTE_OP_SUM:
    case COMPUTE_OP_MEAN:
    case COMPUTE_OP_VAR:
    case COMPUTE_OP_VARP:
    case COMPUTE_OP_DOT: return 4; /* sums of doubles with their windows */
    case COMPUTE_OP_ARGMIN:
    case COMPUTE_OP_ARGMAX: return 2;
    default: return 1;
    }
}

uint32_t compute_tally_bytes(enum compute_op op)
{
    return op == COMPUTE_OP_COUNT ? sizeof(uint64_t) : sizeof(struct compute_tally);
}

void *compute_store_get(struct compute_store *store, size_t bytes)
{
    void *memory = alloc_get_zeroed(&store->alloc, 1, bytes);
    store->used_bytes += memory != NULL ? bytes : 0;
    return memory;
}

void compute_store_put(struct compute_store *store, void *memory, size_t bytes)
{
    if (memory != NULL) {
        alloc_put(&store->alloc, memory, bytes);
        store->used_bytes -= bytes;
    }
}

/* --- sums --- */

static void whole_add(struct compute_i128 *sum, struct compute_i128 v)
{
    sum->low += v.low;
    sum->high = (int64_t)((uint64_t)sum->high + (uint64_t)v.high + (sum->low < v.low));
}

static struct compute_i128 whole_of(const struct compute_number *n)
{
    if (n->minus) {
        return (struct compute_i128){.low = 0 - n->size, .high = -1};
    }
    return (struct compute_i128){.low = n->size};
}

static struct compute_term term_of(const struct compute_number *n)
{
    return n->is_real ? compute_term_of_f64(n->real) : compute_term_of_whole(n->minus, 0, n->size);
}

static struct compute_term term_of_product(const struct compute_number *a,
                                           const struct compute_number *b)
{
    uint64_t high = 0;
    uint64_t low = 0;
    if (a->is_real || b->is_real) {
        return compute_term_of_product_f64(compute_number_real(a), compute_number_real(b));
    }
    compute_number_multiply(a->size, b->size, &high, &low);
    return compute_term_of_whole(a->minus != b->minus, high, low);
}

static int sum_add(struct compute_tally *t, const struct compute_number *n,
                   struct compute_store *store)
{
    if (!n->is_real) {
        whole_add(&t->of.sum.whole, whole_of(n));
        return 0;
    }
    const struct compute_term term = compute_term_of_f64(n->real);
    return compute_narrow_add(&t->of.sum.real, &term, store);
}

static int spread_add(struct compute_tally *t, const struct compute_number *n,
                      struct compute_store *store)
{
    const struct compute_term value = term_of(n);
    const struct compute_term square = term_of_product(n, n);
    TRY(compute_narrow_add(&t->of.spread.sum, &value, store));
    return compute_narrow_add(&t->of.spread.squares, &square, store);
}

int compute_tally_add_product(struct compute_tally *t, const struct compute_number *a,
                              const struct compute_number *b, struct compute_store *store)
{
    const struct compute_term product = term_of_product(a, b);
    TRY(compute_narrow_add(&t->of.spread.sum, &product, store));
    t->count++;
    t->reals += a->is_real || b->is_real;
    return 0;
}

/* --- least and greatest --- */

static bool is_nan(const struct compute_number *n)
{
    return n->is_real && n->real != n->real;
}

static bool is_of_least(enum compute_op op)
{
    return op == COMPUTE_OP_MIN || op == COMPUTE_OP_ARGMIN;
}

/* returns: whether a comes before b, where a NaN is before all, -0 is below 0, and, of min and max,
 * a whole number is before the same double. */
static bool is_better(enum compute_op op, const struct compute_number *a,
                      const struct compute_number *b)
{
    if (is_nan(a) || is_nan(b)) {
        return !is_nan(b);
    }
    const enum compute_order o = compute_number_order(a, b);
    if (o != COMPUTE_ORDER_SAME) {
        return o == (is_of_least(op) ? COMPUTE_ORDER_BELOW : COMPUTE_ORDER_ABOVE);
    }
    const bool a_minus = a->is_real && signbit(a->real);
    const bool b_minus = b->is_real && signbit(b->real);
    if (a->is_real && a->real == 0 && a_minus != b_minus) {
        return a_minus == is_of_least(op);
    }
    if (b->is_real && b->real == 0 && a_minus != b_minus) {
        return b_minus != is_of_least(op);
    }
    return !compute_tally_is_of_place(op) && !a->is_real && b->is_real;
}

void compute_tally_add_place(struct compute_tally *t, enum compute_op op,
                             const struct compute_number *n, uint64_t place)
{
    if (t->count == 0 || is_better(op, n, &t->of.best)) {
        t->of.best = *n;
        t->place = place;
    }
    t->count++;
}

/* --- how many are distinct --- */

static uint64_t distinct_bits(const struct compute_cell *value)
{
    if (value->kind == COMPUTE_CELL_NUMBER) {
        const struct compute_number *n = &value->number;
        uint64_t bits = n->minus ? 0 - n->size : n->size;
        if (n->is_real) {
            const double real = n->real == 0 ? 0.0 : n->real;
            memcpy(&bits, &real, sizeof(bits));
            bits = compute_bits_are_nan(bits) ? UINT64_C(0x7ff8) << 48 : bits;
        }
        return bits;
    }
    struct hash_digest d = {.low = 0, .high = 0};
    hash_digest_add(&d, value->text, bytes_of(NULL, 0)); /* its value never changes */
    return d.low;
}

static void sketch_add(uint64_t *sketch, const uint64_t *bits, size_t count)
{
    const struct compute_batch batch = {.of = COMPUTE_UNSIGNED, .values = bits, .count = count};
    const struct compute_reduce_spec spec = {.op = COMPUTE_OP_DISTINCT, .type = COMPUTE_U64};
    struct compute_body body;
    body.extra = sketch;
    compute_sketch_distinct.consume(&body, &spec, &batch);
}

static size_t sketch_bytes(void)
{
    const struct compute_reduce_spec spec = {.op = COMPUTE_OP_DISTINCT, .type = COMPUTE_U64};
    return compute_extra_words(&spec) * sizeof(uint64_t);
}

int compute_tally_grow(struct compute_tally *t, struct compute_store *store)
{
    t->of.distinct.many = compute_store_get(store, sketch_bytes());
    if (t->of.distinct.many == NULL) {
        return ERR_NO_MEMORY;
    }
    sketch_add(t->of.distinct.many, t->of.distinct.few, t->of.distinct.fewer);
    compute_store_put(store, t->of.distinct.few, FEW_BYTES);
    t->of.distinct.few = NULL;
    t->of.distinct.fewer = 0;
    return 0;
}

int compute_tally_add_bits(struct compute_tally *t, uint64_t bits, struct compute_store *store)
{
    uint64_t *few = t->of.distinct.few;
    if (t->of.distinct.many != NULL) {
        sketch_add(t->of.distinct.many, &bits, 1);
        return 0;
    }
    for (uint64_t i = 0; i < t->of.distinct.fewer; i++) {
        if (few[i] == bits) {
            return 0;
        }
    }
    if (few == NULL) {
        few = compute_store_get(store, FEW_BYTES);
        if (few == NULL) {
            return ERR_NO_MEMORY;
        }
        t->of.distinct.few = few;
    }
    if (t->of.distinct.fewer == COMPUTE_TALLY_FEW) {
        TRY(compute_tally_grow(t, store));
        sketch_add(t->of.distinct.many, &bits, 1);
        return 0;
    }
    few[t->of.distinct.fewer++] = bits;
    return 0;
}

static int distinct_merge(struct compute_tally *into, const struct compute_tally *from,
                          struct compute_store *store)
{
    for (uint64_t i = 0; i < from->of.distinct.fewer; i++) {
        TRY(compute_tally_add_bits(into, from->of.distinct.few[i], store));
    }
    if (from->of.distinct.many == NULL) {
        return 0;
    }
    if (into->of.distinct.many == NULL) {
        TRY(compute_tally_grow(into, store));
    }
    const struct compute_reduce_spec spec = {.op = COMPUTE_OP_DISTINCT, .type = COMPUTE_U64};
    struct compute_body a;
    struct compute_body b;
    a.extra = into->of.distinct.many;
    b.extra = from->of.distinct.many;
    compute_sketch_distinct.merge(&a, &spec, &b);
    return 0;
}

static uint64_t distinct_count(const struct compute_tally *t)
{
    struct compute_body body;
    if (t->of.distinct.many == NULL) {
        return t->of.distinct.fewer;
    }
    body.extra = t->of.distinct.many;
    return compute_distinct(&body);
}

/* --- all of them --- */

int compute_tally_add(struct compute_tally *t, enum compute_op op, const struct compute_cell *value,
                      struct compute_store *store)
{
    const struct compute_number *n = &value->number;
    switch (op) {
    case COMPUTE_OP_SUM:
    case COMPUTE_OP_MEAN: TRY(sum_add(t, n, store)); break;
    case COMPUTE_OP_VAR:
    case COMPUTE_OP_VARP: TRY(spread_add(t, n, store)); break;
    case COMPUTE_OP_DISTINCT: TRY(compute_tally_add_bits(t, distinct_bits(value), store)); break;
    default:
        ASSERT(op == COMPUTE_OP_MIN || op == COMPUTE_OP_MAX);
        if (t->count == 0 || is_better(op, n, &t->of.best)) {
            t->of.best = *n;
        }
        break;
    }
    t->count++;
    t->reals += op != COMPUTE_OP_DISTINCT && n->is_real;
    return 0;
}

/* No records give more than 2^63 - 1; states that say so are beyond it from then on. */
static uint64_t counts_both(uint64_t a, uint64_t b)
{
    const uint64_t most = INT64_MAX;
    return a > most || b > most - a ? most + 1 : a + b;
}

int compute_tally_merge(struct compute_tally *into, enum compute_op op,
                        const struct compute_tally *from, uint64_t before,
                        struct compute_store *store)
{
    if (op == COMPUTE_OP_COUNT || from->count == 0) {
        into->count = counts_both(into->count, from->count);
        return 0;
    }
    switch (op) {
    case COMPUTE_OP_ARGMIN:
    case COMPUTE_OP_ARGMAX:
        if (into->count == 0 || is_better(op, &from->of.best, &into->of.best)) {
            into->of.best = from->of.best;
            into->place = before + from->place;
        }
        into->count = counts_both(into->count, from->count);
        return 0;
    case COMPUTE_OP_SUM:
    case COMPUTE_OP_MEAN:
        whole_add(&into->of.sum.whole, from->of.sum.whole);
        TRY(compute_narrow_merge(&into->of.sum.real, from->of.sum.real, store));
        break;
    case COMPUTE_OP_VAR:
    case COMPUTE_OP_VARP:
    case COMPUTE_OP_DOT:
        TRY(compute_narrow_merge(&into->of.spread.sum, from->of.spread.sum, store));
        TRY(compute_narrow_merge(&into->of.spread.squares, from->of.spread.squares, store));
        break;
    case COMPUTE_OP_DISTINCT: TRY(distinct_merge(into, from, store)); break;
    default:
        if (into->count == 0 || is_better(op, &from->of.best, &into->of.best)) {
            into->of.best = from->of.best;
        }
        break;
    }
    into->count = counts_both(into->count, from->count);
    into->reals = counts_both(into->reals, from->reals);
    return 0;
}

bool compute_tally_has_more(enum compute_op op)
{
    switch (op) {
    case COMPUTE_OP_SUM:
    case COMPUTE_OP_MEAN:
    case COMPUTE_OP_VAR:
    case COMPUTE_OP_VARP:
    case COMPUTE_OP_DOT:
    case COMPUTE_OP_DISTINCT: return true;
    default: return false;
    }
}

void compute_tally_release(struct compute_tally *t, enum compute_op op, struct compute_store *store)
{
    switch (op) {
    case COMPUTE_OP_SUM:
    case COMPUTE_OP_MEAN: compute_narrow_release(&t->of.sum.real, store); break;
    case COMPUTE_OP_VAR:
    case COMPUTE_OP_VARP:
    case COMPUTE_OP_DOT:
        compute_narrow_release(&t->of.spread.sum, store);
        compute_narrow_release(&t->of.spread.squares, store);
        break;
    case COMPUTE_OP_DISTINCT:
        compute_store_put(store, t->of.distinct.few, FEW_BYTES);
        compute_store_put(store, t->of.distinct.many, sketch_bytes());
        break;
    default: break;
    }
}

void compute_tally_total(const struct compute_tally *t, struct compute_exact *out)
{
    compute_exact_init(out);
    if (t->of.sum.real != NULL) {
        compute_narrow_expand(t->of.sum.real, out);
    }
    if (t->reals < t->count) {
        compute_exact_add_i128(out, t->of.sum.whole);
    }
}

static int finish_sum(const struct compute_tally *t, enum compute_op op, struct compute_value *out)
{
    struct compute_exact all;
    if (op == COMPUTE_OP_SUM && t->reals == 0) {
        *out = (struct compute_value){.whole = t->of.sum.whole};
        return 0;
    }
    if (t->count == 0) {
        return ERR_NOT_FOUND;
    }
    compute_tally_total(t, &all);
    *out = compute_value_of_f64(op == COMPUTE_OP_SUM ? compute_exact_round(&all)
                                                     : compute_exact_mean(&all, t->count));
    return 0;
}

static int finish_spread(const struct compute_tally *t, enum compute_op op,
                         struct compute_value *out)
{
    const uint64_t divisor = t->count - (op == COMPUTE_OP_VAR);
    struct compute_exact sum;
    struct compute_exact squares;
    double real = 0;
    if (t->count == 0 || divisor == 0) {
        return ERR_NOT_FOUND;
    }
    compute_narrow_expand(t->of.spread.sum, &sum);
    compute_narrow_expand(t->of.spread.squares, &squares);
    TRY(compute_exact_variance(&sum, &squares, t->count, divisor, &real));
    *out = compute_value_of_f64(real);
    return 0;
}

static int finish_dot(const struct compute_tally *t, struct compute_value *out)
{
    struct compute_exact sum;
    *out = compute_value_of_u64(0);
    if (t->count == 0) {
        return 0;
    }
    compute_narrow_expand(t->of.spread.sum, &sum);
    if (t->reals == 0) {
        return compute_exact_to_i128(&sum, &out->whole);
    }
    *out = compute_value_of_f64(compute_exact_round(&sum));
    return 0;
}

int compute_tally_finish(const struct compute_tally *t, enum compute_op op,
                         struct compute_value *out)
{
    if (t->count > INT64_MAX) {
        return ERR_CORRUPT;
    }
    switch (op) {
    case COMPUTE_OP_COUNT: *out = compute_value_of_u64(t->count); return 0;
    case COMPUTE_OP_DISTINCT: *out = compute_value_of_u64(distinct_count(t)); return 0;
    case COMPUTE_OP_SUM:
    case COMPUTE_OP_MEAN: return finish_sum(t, op, out);
    case COMPUTE_OP_VAR:
    case COMPUTE_OP_VARP: return finish_spread(t, op, out);
    case COMPUTE_OP_DOT: return finish_dot(t, out);
    default:
        if (t->count == 0) {
            return ERR_NOT_FOUND;
        }
        *out = compute_tally_is_of_place(op) ? compute_value_of_u64(t->place)
                                             : compute_number_value(&t->of.best);
        return 0;
    }
}
