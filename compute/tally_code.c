/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tallies as bytes: the same values give the same bytes, whatever their order was.
 */
#include "base/num.h"
#include "compute/narrow.h"
#include "compute/range.h"
#include "compute/sketch_internal.h"
#include "compute/tally_internal.h"

#include <stdlib.h>

#define WHOLE 0u
#define WHOLE_MINUS 1u
#define REAL 2u
#define MANY 255u
#define MINUS_MAX (UINT64_C(1) << 63)
#define ONE_NAN (UINT64_C(0x7ff8) << 48)

/* --- encoding --- */

static int encode_best(const struct compute_number *n, struct buf *into)
{
    uint64_t bits = n->size;
    if (n->is_real) {
        memcpy(&bits, &n->real, sizeof(bits));
        bits = compute_bits_are_nan(bits) ? ONE_NAN : bits;
    }
    (void)buf_put_u8(into, n->is_real ? REAL : n->minus ? WHOLE_MINUS : WHOLE);
    return buf_put_u64(into, bits);
}

static int bits_compare(const void *left, const void *right)
{
    uint64_t a;
    uint64_t b;
    memcpy(&a, left, sizeof(a));
    memcpy(&b, right, sizeof(b));
    return (a > b) - (a < b);
}

static int encode_distinct(const struct compute_tally *t, struct buf *into)
{
    uint64_t sorted[COMPUTE_TALLY_FEW];
    const size_t fewer = (size_t)t->of.distinct.fewer;
    if (t->of.distinct.many != NULL) {
        const struct compute_reduce_spec spec = {.op = COMPUTE_OP_DISTINCT, .type = COMPUTE_U64};
        struct compute_body body;
        body.extra = t->of.distinct.many;
        (void)buf_put_u8(into, MANY);
        return compute_sketch_distinct.encode(&body, &spec, into);
    }
    (void)buf_put_u8(into, (uint8_t)fewer);
    if (fewer > 0) {
        memcpy(sorted, t->of.distinct.few, fewer * sizeof(sorted[0]));
        qsort(sorted, fewer, sizeof(sorted[0]), bits_compare);
    }
    for (size_t i = 0; i < fewer; i++) {
        (void)buf_put_u64(into, sorted[i]);
    }
    return into->err;
}

static int encode_sum(const struct compute_narrow *n, struct buf *into)
{
    return n != NULL ? compute_narrow_encode(n, into) : into->err;
}

int compute_tally_encode(const struct compute_tally *t, enum compute_op op, struct buf *into)
{
    (void)buf_put_u64(into, t->count);
    switch (op) {
    case COMPUTE_OP_COUNT: return into->err;
    case COMPUTE_OP_MIN:
    case COMPUTE_OP_MAX: return t->count > 0 ? encode_best(&t->of.best, into) : into->err;
    case COMPUTE_OP_ARGMIN:
    case COMPUTE_OP_ARGMAX:
        return t->count > 0 && encode_best(&t->of.best, into) == 0 ? buf_put_u64(into, t->place)
                                                                   : into->err;
    case COMPUTE_OP_DISTINCT: return encode_distinct(t, into);
    case COMPUTE_OP_SUM:
    case COMPUTE_OP_MEAN:
        (void)buf_put_u64(into, t->reals);
        (void)buf_put_u64(into, t->of.sum.whole.low);
        (void)buf_put_u64(into, (uint64_t)t->of.sum.whole.high);
        return encode_sum(t->of.sum.real, into);
    default:
        (void)buf_put_u64(into, t->reals);
        TRY(encode_sum(t->of.spread.sum, into));
        return encode_sum(t->of.spread.squares, into);
    }
}

/* --- decoding --- */

static int decode_best(struct compute_number *n, struct bytes_reader *from)
{
    const uint8_t kind = bytes_take_u8(from);
    const uint64_t bits = bytes_take_u64(from);
    double real;
    memcpy(&real, &bits, sizeof(real));
    if (from->failed || kind > REAL || (kind == WHOLE_MINUS && (bits == 0 || bits > MINUS_MAX)) ||
        (kind == REAL && compute_bits_are_nan(bits) && bits != ONE_NAN)) {
        return ERR_PROTOCOL;
    }
    *n = kind == REAL ? compute_number_of_real(real)
                      : (struct compute_number){.minus = kind == WHOLE_MINUS, .size = bits};
    return 0;
}

static int decode_place(struct compute_tally *t, struct bytes_reader *from, uint64_t records)
{
    if (t->count == 0) {
        return 0;
    }
    TRY(decode_best(&t->of.best, from));
    t->place = bytes_take_u64(from);
    return from->failed || t->place >= records || t->count > records ? ERR_PROTOCOL : 0;
}

static int decode_few(struct compute_tally *t, uint8_t fewer, struct bytes_reader *from,
                      struct compute_store *store)
{
    uint64_t before = 0;
    if (fewer > COMPUTE_TALLY_FEW || fewer > t->count || (fewer == 0) != (t->count == 0)) {
        return ERR_PROTOCOL;
    }
    for (uint8_t i = 0; i < fewer; i++) {
        const uint64_t bits = bytes_take_u64(from);
        if (from->failed || (i > 0 && bits <= before)) {
            return ERR_PROTOCOL;
        }
        TRY(compute_tally_add_bits(t, bits, store));
        before = bits;
    }
    return 0;
}

static int decode_distinct(struct compute_tally *t, struct bytes_reader *from,
                           struct compute_store *store)
{
    const struct compute_reduce_spec spec = {.op = COMPUTE_OP_DISTINCT, .type = COMPUTE_U64};
    const uint8_t fewer = bytes_take_u8(from);
    struct compute_body body;
    if (from->failed) {
        return ERR_PROTOCOL;
    }
    if (fewer != MANY) {
        return decode_few(t, fewer, from, store);
    }
    TRY(compute_tally_grow(t, store));
    body.records = t->count;
    body.extra = t->of.distinct.many;
    TRY(compute_sketch_distinct.decode(&body, &spec, 0, from));
    return t->count > COMPUTE_TALLY_FEW ? 0 : ERR_PROTOCOL;
}

static int decode_sum(struct compute_tally *t, struct bytes_reader *from,
                      struct compute_store *store)
{
    const uint64_t low = bytes_take_u64(from);
    const uint64_t high = bytes_take_u64(from);
    memcpy(&t->of.sum.whole.high, &high, sizeof(high));
    t->of.sum.whole.low = low;
    if (from->failed || (t->reals == t->count && (low | high) != 0)) {
        return ERR_PROTOCOL;
    }
    return t->reals > 0 ? compute_narrow_decode(&t->of.sum.real, t->reals, from, store) : 0;
}

int compute_tally_decode(struct compute_tally *t, enum compute_op op, struct bytes_reader *from,
                         uint64_t records, struct compute_store *store)
{
    t->count = bytes_take_u64(from);
    if (from->failed || t->count > INT64_MAX) {
        return ERR_PROTOCOL;
    }
    switch (op) {
    case COMPUTE_OP_COUNT: return 0;
    case COMPUTE_OP_MIN:
    case COMPUTE_OP_MAX: return t->count > 0 ? decode_best(&t->of.best, from) : 0;
    case COMPUTE_OP_ARGMIN:
    case COMPUTE_OP_ARGMAX: return decode_place(t, from, records);
    case COMPUTE_OP_DISTINCT: return decode_distinct(t, from, store);
    default: break;
    }
    t->reals = bytes_take_u64(from);
    if (from->failed || t->reals > t->count) {
        return ERR_PROTOCOL;
    }
    if (op == COMPUTE_OP_SUM || op == COMPUTE_OP_MEAN) {
        return decode_sum(t, from, store);
    }
    if (t->count == 0) {
        return 0;
    }
    TRY(compute_narrow_decode(&t->of.spread.sum, t->count, from, store));
    return op == COMPUTE_OP_DOT
               ? 0
               : compute_narrow_decode(&t->of.spread.squares, t->count, from, store);
}
