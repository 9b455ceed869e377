/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Operators with tables: which one has which; estimates of how many numbers are distinct; the
 * greatest numbers.
 */
#include "compute/sketch_internal.h"

#include "base/hash.h"
#include "base/num.h"

#include <math.h>

/* HyperLogLog: 2^14 registers of a byte. A rank is at most 64 - 14 + 1. */
#define PRECISION 14u
#define REGISTERS (1u << PRECISION)
#define RANK_MAX (64u - PRECISION + 1u)
#define TOP_PART 4096u /* numbers whose greatest is looked for at once */
#define MINUS_ZERO (UINT64_C(1) << 63)
#define ONE_NAN (UINT64_C(0x7ff8) << 48)

bool compute_op_has_extra(enum compute_op op)
{
    return op >= COMPUTE_OP_HISTOGRAM;
}

const struct compute_sketch *compute_sketch_of(enum compute_op op)
{
    ASSERT(compute_op_has_extra(op));
    switch (op) {
    case COMPUTE_OP_HISTOGRAM: return &compute_sketch_histogram;
    case COMPUTE_OP_LOG: return &compute_sketch_log;
    case COMPUTE_OP_QUANTILE: return &compute_sketch_quantile;
    case COMPUTE_OP_DISTINCT: return &compute_sketch_distinct;
    default: return &compute_sketch_top;
    }
}

size_t compute_extra_words(const struct compute_reduce_spec *spec)
{
    switch (spec->op) {
    case COMPUTE_OP_DISTINCT: return REGISTERS / sizeof(uint64_t);
    case COMPUTE_OP_TOP: return 2 * (size_t)spec->count;
    case COMPUTE_OP_HISTOGRAM:
    case COMPUTE_OP_LOG:
    case COMPUTE_OP_QUANTILE: return compute_histogram_words(spec);
    default: return 0;
    }
}

void compute_put_value(struct buf *into, const struct compute_value *v)
{
    char text[COMPUTE_VALUE_TEXT];
    const size_t size = compute_value_text(v, text);
    (void)buf_append(into, text, size);
}

/* --- distinct --- */

static uint8_t *registers_of(const struct compute_body *b)
{
    return (uint8_t *)b->extra;
}

static void distinct_init(struct compute_body *b, const struct compute_reduce_spec *spec)
{
    (void)b;
    (void)spec;
}

static void distinct_consume(struct compute_body *b, const struct compute_reduce_spec *spec,
                             const struct compute_batch *batch)
{
    uint8_t *registers = registers_of(b);
    (void)spec;
    for (size_t i = 0; i < batch->count; i++) {
        uint64_t bits = compute_bits_at(batch->values, i);
        if (batch->of == COMPUTE_REAL) {
            bits = bits == MINUS_ZERO ? 0 : bits;
            bits = compute_bits_are_nan(bits) ? ONE_NAN : bits;
        }
        const uint64_t hash = hash_mix(bits + UINT64_C(0x9e3779b97f4a7c15));
        const uint64_t rest = hash << PRECISION | UINT64_C(1) << (PRECISION - 1);
        const uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
        uint8_t *at = &registers[hash >> (64 - PRECISION)];
        if (*at < rank) { /* seldom, once there were many */
            *at = rank;
        }
    }
}

static void distinct_merge(struct compute_body *into, const struct compute_reduce_spec *spec,
                           const struct compute_body *from)
{
    (void)spec;
    for (unsigned i = 0; i < REGISTERS; i++) {
        registers_of(into)[i] = NUM_MAX(registers_of(into)[i], registers_of(from)[i]);
    }
}

static int distinct_encode(const struct compute_body *b, const struct compute_reduce_spec *spec,
                           struct buf *into)
{
    (void)spec;
    return buf_append(into, registers_of(b), REGISTERS);
}

static int distinct_decode(struct compute_body *b, const struct compute_reduce_spec *spec,
                           uint64_t first, struct bytes_reader *from)
{
    const struct bytes read = bytes_take(from, REGISTERS);
    uint64_t used = 0;
    (void)spec;
    (void)first;
    if (from->failed) {
        return ERR_PROTOCOL;
    }
    for (unsigned i = 0; i < REGISTERS; i++) {
        if (read.data[i] > RANK_MAX) {
            return ERR_PROTOCOL;
        }
        used += read.data[i] != 0;
    }
    memcpy(registers_of(b), read.data, REGISTERS);
    return used <= b->records && (used > 0) == (b->records > 0) ? 0 : ERR_PROTOCOL;
}

/* x + x^2 + 2 x^4 + 4 x^8 + ..., x below 1 (Ertl, 2017, algorithm 6, sigma). */
static double sum_of_powers(double x)
{
    double power = 1;
    double sum = x;
    for (double before = -1; sum != before;) {
        before = sum;
        x *= x;
        sum += x * power;
        power += power;
    }
    return sum;
}

/* Ertl, 2017, algorithm 6, tau: 1/3 of (1 - x minus halves of squares of 1 - roots of x). */
static double sum_of_roots(double x)
{
    double power = 1;
    double sum = 1 - x;
    if (x == 0 || x == 1) {
        return 0;
    }
    for (double before = -1; sum != before;) {
        before = sum;
        x = sqrt(x);
        power /= 2;
        sum -= (1 - x) * (1 - x) * power;
    }
    return sum / 3;
}

uint64_t compute_distinct(const struct compute_body *b)
{
    const double m = REGISTERS;
    const double factor = 0.72134752044448170; /* 1 / (2 ln 2) */
    uint32_t with_rank[RANK_MAX + 1] = {0};
    for (unsigned i = 0; i < REGISTERS; i++) {
        with_rank[registers_of(b)[i]]++;
    }
    if (with_rank[0] == REGISTERS) {
        return 0;
    }
    double sum = m * sum_of_roots(1 - with_rank[RANK_MAX] / m);
    for (unsigned rank = RANK_MAX - 1; rank >= 1; rank--) {
        sum = (sum + with_rank[rank]) / 2;
    }
    sum += m * sum_of_powers(with_rank[0] / m);
    const double estimate = factor * m * m / sum + 0.5;
    return estimate < 0x1p63 ? (uint64_t)estimate : UINT64_C(1) << 63;
}

const struct compute_sketch compute_sketch_distinct = {
    .init = distinct_init,
    .consume = distinct_consume,
    .merge = distinct_merge,
    .encode = distinct_encode,
    .decode = distinct_decode,
};

/* --- top: pairs of key and record, the first of the result first --- */

static bool goes_before(uint64_t key, uint64_t record, const uint64_t *pair)
{
    return key > pair[0] || (key == pair[0] && record < pair[1]);
}

static size_t held_by(const struct compute_reduce_spec *spec, uint64_t records)
{
    return (size_t)NUM_MIN(records, spec->count);
}

/* Puts a pair in its place among `held`. returns: how many are held now. */
static size_t put_pair(const struct compute_body *b, const struct compute_reduce_spec *spec,
                       size_t held, const uint64_t *pair)
{
    uint64_t *pairs = b->extra;
    if (held == spec->count && !goes_before(pair[0], pair[1], &pairs[2 * (held - 1)])) {
        return held;
    }
    size_t low = 0;
    size_t high = held;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (goes_before(pair[0], pair[1], &pairs[2 * middle])) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    held = NUM_MIN(held + 1, spec->count);
    memmove(&pairs[2 * low + 2], &pairs[2 * low], (held - low - 1) * 2 * sizeof(*pairs));
    memcpy(&pairs[2 * low], pair, 2 * sizeof(*pairs));
    return held;
}

static void top_init(struct compute_body *b, const struct compute_reduce_spec *spec)
{
    (void)b;
    (void)spec;
}

static size_t put_values(const struct compute_body *b, const struct compute_reduce_spec *spec,
                         const struct compute_batch *batch, size_t held)
{
    for (size_t i = 0; i < batch->count; i++) {
        const uint64_t bits = compute_bits_at(batch->values, i);
        const bool is_nan = batch->of == COMPUTE_REAL && compute_bits_are_nan(bits);
        const uint64_t pair[2] = {is_nan ? UINT64_MAX : compute_key_of(bits, batch->of),
                                  batch->first + i};
        held = put_pair(b, spec, held, pair);
    }
    return held;
}

/* Numbers of which none can be among the greatest are not looked at one by one. */
static void top_consume(struct compute_body *b, const struct compute_reduce_spec *spec,
                        const struct compute_batch *batch)
{
    size_t held = held_by(spec, b->records);
    for (size_t at = 0; at < batch->count; at += TOP_PART) {
        const struct compute_batch part = {.of = batch->of,
                                           .values = (const uint8_t *)batch->values +
                                                     at * sizeof(uint64_t),
                                           .count = NUM_MIN(batch->count - at, (size_t)TOP_PART),
                                           .first = batch->first + at};
        const bool full = held == spec->count;
        if (!full ||
            compute_range_of(part.values, part.count, part.of).most >= b->extra[2 * (held - 1)]) {
            held = put_values(b, spec, &part, held);
        }
    }
}

static void top_merge(struct compute_body *into, const struct compute_reduce_spec *spec,
                      const struct compute_body *from)
{
    size_t held = held_by(spec, into->records);
    const size_t others = held_by(spec, from->records);
    for (size_t i = 0; i < others; i++) {
        held = put_pair(into, spec, held, &from->extra[2 * i]);
    }
}

static int top_encode(const struct compute_body *b, const struct compute_reduce_spec *spec,
                      struct buf *into)
{
    const size_t held = held_by(spec, b->records);
    for (size_t i = 0; i < 2 * held; i++) {
        (void)buf_put_u64(into, b->extra[i]);
    }
    return into->err;
}

static int top_decode(struct compute_body *b, const struct compute_reduce_spec *spec,
                      uint64_t first, struct bytes_reader *from)
{
    const size_t held = held_by(spec, b->records);
    for (size_t i = 0; i < held; i++) {
        uint64_t *pair = &b->extra[2 * i];
        pair[0] = bytes_take_u64(from);
        pair[1] = bytes_take_u64(from);
        if (from->failed || pair[1] < first || pair[1] - first >= b->records ||
            !compute_key_is_possible(pair[0], spec) ||
            (i > 0 && !goes_before(pair[-2], pair[-1], pair))) {
            return ERR_PROTOCOL;
        }
    }
    return 0;
}

static int top_text(const struct compute_body *b, const struct compute_reduce_spec *spec,
                    struct buf *into)
{
    const size_t held = held_by(spec, b->records);
    for (size_t i = 0; i < held; i++) {
        const struct compute_value number =
            compute_value_of_key(b->extra[2 * i], compute_class_of(spec->type));
        const struct compute_value record = compute_value_of_u64(b->extra[2 * i + 1]);
        compute_put_value(into, &number);
        (void)buf_put_u8(into, ',');
        compute_put_value(into, &record);
        (void)buf_put_u8(into, '\n');
    }
    return into->err;
}

const struct compute_sketch compute_sketch_top = {
    .init = top_init,
    .consume = top_consume,
    .merge = top_merge,
    .encode = top_encode,
    .decode = top_decode,
    .text = top_text,
};
