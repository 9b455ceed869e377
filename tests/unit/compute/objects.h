/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Objects of records for tests of operators, and states of them put together in random ways.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_COMPUTE_OBJECTS_H
#define HOLDFAST_TESTS_UNIT_COMPUTE_OBJECTS_H

#include "base/num.h"
#include "compute/reduce.h"
#include "tests/unit/compute/values.h"

#include <stdlib.h>

#define OBJECTS_BYTES_MAX 20000u
#define OBJECTS_SPANS_MAX 12u

static inline void objects_parameters(struct rng *r, struct compute_reduce_spec *s)
{
    const double around = s->type == COMPUTE_F64 || s->type == COMPUTE_F32 ? 1 : 100;
    switch (s->op) {
    case COMPUTE_OP_HISTOGRAM:
        s->count = (uint32_t)rng_between(r, 1, 40);
        s->low = ((double)rng_below(r, 100) / 100 - 0.5) * around;
        s->high = s->low + (double)rng_between(r, 1, 100) / 70 * around;
        break;
    case COMPUTE_OP_LOG: s->count = (uint32_t)rng_below(r, 4); break;
    case COMPUTE_OP_QUANTILE:
        s->count = (uint32_t)rng_below(r, 4);
        s->low = (double)rng_below(r, 101) / 100;
        break;
    case COMPUTE_OP_TOP: s->count = (uint32_t)rng_between(r, 1, 20); break;
    default: break;
    }
}

static inline struct compute_reduce_spec objects_spec(struct rng *r)
{
    struct compute_reduce_spec s = {.op = (enum compute_op)rng_below(r, COMPUTE_OPS),
                                    .type = (enum compute_type)rng_below(r, COMPUTE_TYPES)};
    const unsigned bytes = compute_type_bytes(s.type);
    s.record_bytes = bytes + (uint32_t)(rng_chance(r, 1, 3) ? 0 : rng_below(r, 60));
    s.field = (uint32_t)rng_below(r, s.record_bytes - bytes + 1);
    s.other = s.op == COMPUTE_OP_DOT ? (uint32_t)rng_below(r, s.record_bytes - bytes + 1) : 0;
    objects_parameters(r, &s);
    return s;
}

/* Fills every record's number, sometimes with extremes, and the rest with noise. */
static inline void objects_fill(struct rng *r, const struct compute_reduce_spec *s, uint8_t *data,
                                size_t bytes)
{
    const enum values_kind kind = (enum values_kind)rng_below(r, VALUES_KINDS);
    const unsigned width = compute_type_bytes(s->type);
    rng_fill(r, data, bytes);
    for (size_t at = 0; at + s->record_bytes <= bytes; at += s->record_bytes) {
        uint8_t *number = data + at + (rng_chance(r, 1, 2) ? s->field : s->other);
        double value;
        values_make(r, kind, &value, 1);
        if (s->type == COMPUTE_F64) {
            memcpy(number, &value, sizeof(value));
        } else if (s->type == COMPUTE_F32) {
            const float narrow = (float)(kind == VALUES_HUGE ? value * 0x1p-897 : value);
            memcpy(number, &narrow, sizeof(narrow));
        } else if (rng_chance(r, 1, 4)) {
            memset(number, rng_chance(r, 1, 2) ? 0xff : 0, width);
            number[width - 1] = (uint8_t)(rng_chance(r, 1, 2) ? 0x80 : 0x7f);
        }
    }
}

static inline struct compute_reduce *objects_new(const struct compute_reduce_spec *s, uint64_t from)
{
    const struct alloc heap = alloc_heap();
    struct compute_reduce *r = NULL;
    ASSERT(compute_reduce_new(&r, &heap, s, from, NULL) == 0);
    return r;
}

/* The state of [from, to), from pieces of any size. */
static inline struct compute_reduce *objects_span(struct rng *rng,
                                                  const struct compute_reduce_spec *s,
                                                  const uint8_t *data, size_t from, size_t to)
{
    struct compute_reduce *r = objects_new(s, from);
    while (from < to) {
        const size_t part =
            (size_t)rng_between(rng, 1, rng_chance(rng, 1, 2) ? to - from : NUM_MIN(to - from, 9));
        ASSERT(compute_reduce_update(r, bytes_of(data + from, part)) == 0);
        from += part;
    }
    return r;
}

static inline void objects_recode(struct compute_reduce **r)
{
    const struct alloc heap = alloc_heap();
    struct buf bytes;
    struct compute_reduce *read = NULL;
    buf_init(&bytes, &heap, 1u << 20);
    ASSERT(compute_reduce_encode(*r, &bytes) == 0);
    ASSERT(compute_reduce_decode(&read, &heap, buf_view(&bytes)) == 0);
    buf_release(&bytes);
    compute_reduce_free(*r);
    *r = read;
}

/* The state of [from, to), from spans that are merged in any grouping and partly encoded. */
static inline struct compute_reduce *objects_merged(struct rng *rng,
                                                    const struct compute_reduce_spec *s,
                                                    const uint8_t *data, size_t from, size_t to)
{
    struct compute_reduce *spans[OBJECTS_SPANS_MAX];
    unsigned count = (unsigned)rng_between(rng, 1, OBJECTS_SPANS_MAX);
    for (unsigned i = 0; i < count; i++) {
        const size_t end = i + 1 == count ? to : (size_t)rng_between(rng, from, to);
        spans[i] = objects_span(rng, s, data, from, end);
        from = end;
    }
    while (count > 1) {
        const unsigned at = (unsigned)rng_below(rng, count - 1);
        if (rng_chance(rng, 1, 3)) {
            objects_recode(&spans[at]);
        }
        ASSERT(compute_reduce_merge(spans[at], spans[at + 1]) == 0);
        compute_reduce_free(spans[at + 1]);
        count--;
        memmove(&spans[at + 1], &spans[at + 2], (count - at - 1) * sizeof(spans[0]));
    }
    return spans[0];
}

#endif
