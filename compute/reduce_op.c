/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Operators over batches of numbers. Sums of all kinds are exact sums, also those of whole numbers:
 * whether a result fits is asked once, at the end, so the answer does not depend on the order.
 */
#include "base/num.h"
#include "compute/reduce_internal.h"
#include "compute/sketch_internal.h"

enum compute_class compute_class_of(enum compute_type type)
{
    if (type == COMPUTE_F32 || type == COMPUTE_F64) {
        return COMPUTE_REAL;
    }
    return type % 2 == 0 ? COMPUTE_SIGNED : COMPUTE_UNSIGNED;
}
_Static_assert(COMPUTE_I8 % 2 == 0 && COMPUTE_I64 % 2 == 0 && COMPUTE_U64 % 2 == 1,
               "signed and unsigned types take turns");

void compute_body_init(struct compute_body *b, const struct compute_reduce_spec *spec,
                       uint64_t *extra)
{
    memset(b, 0, sizeof(*b));
    compute_exact_init(&b->sum);
    compute_exact_init(&b->squares);
    b->extra = extra;
    if (compute_op_has_extra(spec->op)) {
        compute_sketch_of(spec->op)->init(b, spec);
    }
}

static bool is_of_greatest(enum compute_op op)
{
    return op == COMPUTE_OP_MAX || op == COMPUTE_OP_ARGMAX || op == COMPUTE_OP_TOP;
}

static bool is_of_place(enum compute_op op)
{
    return op == COMPUTE_OP_ARGMIN || op == COMPUTE_OP_ARGMAX;
}

static bool has_squares(enum compute_op op)
{
    return op == COMPUTE_OP_VAR || op == COMPUTE_OP_VARP;
}

static bool has_key(enum compute_op op)
{
    return op == COMPUTE_OP_MIN || op == COMPUTE_OP_MAX || is_of_place(op);
}

/* returns: whether what the host gave has made it. */
static bool fold_whole(enum compute_fold fold, const struct compute_batch *batch,
                       struct compute_folded *out)
{
    const struct compute_whole *w = batch->whole;
    const struct compute_fold_job job = {
        .fold = fold, .of = batch->of, .values = batch->values, .count = batch->count};
    return w != NULL && w->reduce != NULL && w->reduce(w->ctx, &job, out);
}

/* The same of a sum. */
static bool add_whole(struct compute_exact *e, const struct compute_batch *batch)
{
    const struct compute_whole *w = batch->whole;
    struct compute_folded all;
    if (batch->of == COMPUTE_REAL) {
        return w != NULL && w->sum_f64s != NULL &&
               w->sum_f64s(w->ctx, e, batch->values, batch->count);
    }
    if (!fold_whole(COMPUTE_FOLD_SUM, batch, &all)) {
        return false;
    }
    compute_exact_add_i128(e, all.sum);
    return true;
}

static void add_values(struct compute_exact *e, const struct compute_batch *batch)
{
    if (add_whole(e, batch)) {
        return;
    }
    switch (batch->of) {
    case COMPUTE_SIGNED: compute_exact_add_i64s(e, batch->values, batch->count); break;
    case COMPUTE_UNSIGNED: compute_exact_add_u64s(e, batch->values, batch->count); break;
    case COMPUTE_REAL: compute_exact_add_f64s(e, batch->values, batch->count); break;
    }
}

static void add_product(struct compute_exact *e, enum compute_class of, uint64_t x, uint64_t y)
{
    double left;
    double right;
    switch (of) {
    case COMPUTE_SIGNED: compute_exact_add_product_i64(e, (int64_t)x, (int64_t)y); break;
    case COMPUTE_UNSIGNED: compute_exact_add_product_u64(e, x, y); break;
    case COMPUTE_REAL:
        memcpy(&left, &x, sizeof(left));
        memcpy(&right, &y, sizeof(right));
        compute_exact_add_product_f64(e, left, right);
        break;
    }
}

static void add_products(struct compute_exact *e, const struct compute_batch *batch,
                         const void *others)
{
    if (batch->of == COMPUTE_REAL) {
        compute_exact_add_products_f64s(e, batch->values, others, batch->count);
        return;
    }
    for (size_t i = 0; i < batch->count; i++) {
        add_product(e, batch->of, compute_bits_at(batch->values, i), compute_bits_at(others, i));
    }
}

/* returns: the number of the first record with this key, which one of them has. */
static uint64_t first_with(const struct compute_batch *batch, uint64_t key, bool of_greatest)
{
    const uint64_t of_nan = of_greatest ? UINT64_MAX : 0;
    for (size_t i = 0; i < batch->count; i++) {
        const uint64_t bits = compute_bits_at(batch->values, i);
        const bool is_nan = batch->of == COMPUTE_REAL && compute_bits_are_nan(bits);
        if ((is_nan ? of_nan : compute_key_of(bits, batch->of)) == key) {
            return batch->first + i;
        }
    }
    ASSERT(false);
    return 0;
}

static bool is_beyond(uint64_t key, uint64_t other, bool of_greatest)
{
    return of_greatest ? key > other : key < other;
}

static void take_key(struct compute_body *b, enum compute_op op, const struct compute_batch *batch)
{
    const bool greatest = is_of_greatest(op);
    struct compute_folded end = {.place = 0};
    const bool whole = fold_whole(greatest ? COMPUTE_FOLD_MOST : COMPUTE_FOLD_LEAST, batch, &end);
    if (!whole) {
        const struct compute_range range = compute_range_of(batch->values, batch->count, batch->of);
        end.key = greatest ? range.most : range.least;
    }
    if (b->records > 0 && !is_beyond(end.key, b->key, greatest)) {
        return;
    }
    b->key = end.key;
    if (is_of_place(op)) {
        b->index = whole ? batch->first + end.place : first_with(batch, end.key, greatest);
    }
}

void compute_body_consume(struct compute_body *b, const struct compute_reduce_spec *spec,
                          const struct compute_batch *batch)
{
    ASSERT(batch->count > 0);
    if (compute_op_has_extra(spec->op)) {
        compute_sketch_of(spec->op)->consume(b, spec, batch);
    } else if (has_key(spec->op)) {
        take_key(b, spec->op, batch);
    } else if (spec->op == COMPUTE_OP_DOT) {
        add_products(&b->sum, batch, batch->others);
    } else {
        add_values(&b->sum, batch);
    }
    if (has_squares(spec->op)) {
        add_products(&b->squares, batch, batch->values);
    }
    b->records += batch->count;
}

void compute_body_merge(struct compute_body *into, const struct compute_reduce_spec *spec,
                        const struct compute_body *from)
{
    const bool greatest = is_of_greatest(spec->op);
    if (from->records == 0) {
        return;
    }
    if (compute_op_has_extra(spec->op)) {
        compute_sketch_of(spec->op)->merge(into, spec, from);
        into->records += from->records;
        return;
    }
    if (into->records == 0 || is_beyond(from->key, into->key, greatest) ||
        (from->key == into->key && from->index < into->index)) {
        into->key = from->key;
        into->index = from->index;
    }
    compute_exact_merge(&into->sum, &from->sum);
    compute_exact_merge(&into->squares, &from->squares);
    into->records += from->records;
}

static int finish_sum(const struct compute_body *b, const struct compute_reduce_spec *spec,
                      struct compute_value *out)
{
    if (compute_class_of(spec->type) == COMPUTE_REAL) {
        *out = compute_value_of_f64(compute_exact_round(&b->sum));
        return 0;
    }
    struct compute_value v = {.is_real = false};
    TRY(compute_exact_to_i128(&b->sum, &v.whole));
    *out = v;
    return 0;
}

static int finish_variance(const struct compute_body *b, const struct compute_reduce_spec *spec,
                           struct compute_value *out)
{
    double variance = 0;
    const uint64_t divisor = b->records - (spec->op == COMPUTE_OP_VAR);
    if (divisor == 0) {
        return ERR_NOT_FOUND;
    }
    TRY(compute_exact_variance(&b->sum, &b->squares, b->records, divisor, &variance));
    *out = compute_value_of_f64(variance);
    return 0;
}

/* returns: whether the key is the one of NaN, which depends on what is asked for. */
static bool key_is_of_nan(uint64_t key, const struct compute_reduce_spec *spec)
{
    return compute_class_of(spec->type) == COMPUTE_REAL &&
           key == (is_of_greatest(spec->op) ? UINT64_MAX : 0);
}

struct compute_value compute_value_of_key(uint64_t key, enum compute_class of)
{
    const uint64_t bits = compute_key_bits(key, of);
    double real;
    memcpy(&real, &bits, sizeof(real)); /* the bits of a NaN's key are those of a NaN */
    switch (of) {
    case COMPUTE_SIGNED: return compute_value_of_i64((int64_t)bits);
    case COMPUTE_UNSIGNED: return compute_value_of_u64(bits);
    case COMPUTE_REAL: break;
    }
    return compute_value_of_f64(real);
}

int compute_body_finish(const struct compute_body *b, const struct compute_reduce_spec *spec,
                        struct compute_value *out)
{
    switch (spec->op) {
    case COMPUTE_OP_COUNT: *out = compute_value_of_u64(b->records); return 0;
    case COMPUTE_OP_SUM:
    case COMPUTE_OP_DOT: return finish_sum(b, spec, out);
    case COMPUTE_OP_HISTOGRAM:
    case COMPUTE_OP_LOG:
    case COMPUTE_OP_TOP: return ERR_INVALID;
    case COMPUTE_OP_QUANTILE: return compute_quantile(b, spec, out);
    case COMPUTE_OP_DISTINCT: *out = compute_value_of_u64(compute_distinct(b)); return 0;
    default: break;
    }
    if (b->records == 0) {
        return ERR_NOT_FOUND;
    }
    if (has_squares(spec->op)) {
        return finish_variance(b, spec, out);
    }
    if (spec->op == COMPUTE_OP_MEAN) {
        *out = compute_value_of_f64(compute_exact_mean(&b->sum, b->records));
    } else if (is_of_place(spec->op)) {
        *out = compute_value_of_u64(b->index);
    } else {
        *out = compute_value_of_key(b->key, compute_class_of(spec->type));
    }
    return 0;
}

int compute_body_text(const struct compute_body *b, const struct compute_reduce_spec *spec,
                      struct buf *into)
{
    struct compute_value v;
    if (compute_op_has_extra(spec->op) && compute_sketch_of(spec->op)->text != NULL) {
        return compute_sketch_of(spec->op)->text(b, spec, into);
    }
    TRY(compute_body_finish(b, spec, &v));
    compute_put_value(into, &v);
    return buf_put_u8(into, '\n');
}

int compute_body_encode(const struct compute_body *b, const struct compute_reduce_spec *spec,
                        struct buf *into)
{
    if (spec->op == COMPUTE_OP_COUNT) {
        return into->err;
    }
    if (compute_op_has_extra(spec->op)) {
        return compute_sketch_of(spec->op)->encode(b, spec, into);
    }
    if (has_key(spec->op)) {
        (void)buf_put_u64(into, b->key);
        return is_of_place(spec->op) ? buf_put_u64(into, b->index) : into->err;
    }
    TRY(compute_exact_encode(&b->sum, into));
    return has_squares(spec->op) ? compute_exact_encode(&b->squares, into) : 0;
}

bool compute_key_is_possible(uint64_t key, const struct compute_reduce_spec *spec)
{
    const enum compute_class of = compute_class_of(spec->type);
    const uint64_t bits = compute_key_bits(key, of);
    const unsigned width = 8 * compute_type_bytes(spec->type);
    double real;
    if (of != COMPUTE_REAL) {
        const uint64_t above = width == 64 ? 0 : UINT64_MAX << width;
        const uint64_t sign = width == 64 || of == COMPUTE_UNSIGNED ? 0 : bits >> (width - 1) & 1u;
        return (bits & above) == (sign != 0 ? above : 0);
    }
    if (compute_bits_are_nan(bits)) {
        return key_is_of_nan(key, spec);
    }
    memcpy(&real, &bits, sizeof(real));
    return spec->type == COMPUTE_F64 || (double)(float)real == real;
}

static int decode_key(struct compute_body *b, const struct compute_reduce_spec *spec,
                      uint64_t first, struct bytes_reader *from)
{
    b->key = bytes_take_u64(from);
    b->index = is_of_place(spec->op) ? bytes_take_u64(from) : 0;
    if (from->failed) {
        return ERR_PROTOCOL;
    }
    if (b->records == 0) {
        return b->key == 0 && b->index == 0 ? 0 : ERR_PROTOCOL;
    }
    if (is_of_place(spec->op) && (b->index < first || b->index - first >= b->records)) {
        return ERR_PROTOCOL;
    }
    return compute_key_is_possible(b->key, spec) ? 0 : ERR_PROTOCOL;
}

/* returns: whether the sum is of values just if there are records, and whole if they are. */
static bool sum_is_possible(const struct compute_exact *sum, const struct compute_reduce_spec *spec,
                            uint64_t records)
{
    return (sum->seen != 0) == (records != 0) &&
           (compute_class_of(spec->type) == COMPUTE_REAL || compute_exact_is_whole(sum));
}

int compute_body_decode(struct compute_body *b, const struct compute_reduce_spec *spec,
                        uint64_t first, struct bytes_reader *from)
{
    if (spec->op == COMPUTE_OP_COUNT) {
        return 0;
    }
    if (compute_op_has_extra(spec->op)) {
        return compute_sketch_of(spec->op)->decode(b, spec, first, from);
    }
    if (has_key(spec->op)) {
        return decode_key(b, spec, first, from);
    }
    TRY(compute_exact_decode(&b->sum, from));
    if (has_squares(spec->op)) {
        TRY(compute_exact_decode(&b->squares, from));
    }
    const bool possible =
        sum_is_possible(&b->sum, spec, b->records) &&
        (!has_squares(spec->op) || sum_is_possible(&b->squares, spec, b->records));
    return possible ? 0 : ERR_PROTOCOL;
}
