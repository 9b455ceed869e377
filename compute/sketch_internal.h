/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Operators whose state is a table: histogram, log and quantile (histogram.c), distinct and top
 * (sketch.c). Tables are merged in any order; the bytes of a table depend on the records alone.
 *
 * threads: one owner of a body at a time.
 */
#ifndef HOLDFAST_COMPUTE_SKETCH_INTERNAL_H
#define HOLDFAST_COMPUTE_SKETCH_INTERNAL_H

#include "compute/reduce_internal.h"

#include <string.h>

/* As the functions of compute_body_*; records is counted by the caller, after the call. */
struct compute_sketch {
    void (*init)(struct compute_body *b, const struct compute_reduce_spec *spec);
    void (*consume)(struct compute_body *b, const struct compute_reduce_spec *spec,
                    const struct compute_batch *batch);
    void (*merge)(struct compute_body *into, const struct compute_reduce_spec *spec,
                  const struct compute_body *from);
    int (*encode)(const struct compute_body *b, const struct compute_reduce_spec *spec,
                  struct buf *into);
    int (*decode)(struct compute_body *b, const struct compute_reduce_spec *spec, uint64_t first,
                  struct bytes_reader *from);
    int (*text)(const struct compute_body *b, const struct compute_reduce_spec *spec,
                struct buf *into); /* NULL: the result is one value */
};

extern const struct compute_sketch compute_sketch_histogram;
extern const struct compute_sketch compute_sketch_log;
extern const struct compute_sketch compute_sketch_quantile;
extern const struct compute_sketch compute_sketch_distinct;
extern const struct compute_sketch compute_sketch_top;

const struct compute_sketch *compute_sketch_of(enum compute_op op);

int compute_quantile(const struct compute_body *b, const struct compute_reduce_spec *spec,
                     struct compute_value *out);
uint64_t compute_distinct(const struct compute_body *b);

/* returns: words of the tables of histogram.c. */
size_t compute_histogram_words(const struct compute_reduce_spec *spec);

static inline uint64_t compute_bits_at(const void *values, size_t i)
{
    uint64_t bits;
    memcpy(&bits, (const uint8_t *)values + i * sizeof(bits), sizeof(bits));
    return bits;
}

static inline double compute_real_at(const struct compute_batch *batch, size_t i)
{
    const uint64_t bits = compute_bits_at(batch->values, i);
    double real;
    switch (batch->of) {
    case COMPUTE_SIGNED: return (double)(int64_t)bits;
    case COMPUTE_UNSIGNED: return (double)bits;
    case COMPUTE_REAL: break;
    }
    memcpy(&real, &bits, sizeof(real));
    return real;
}

struct compute_value compute_value_of_key(uint64_t key, enum compute_class of);
/* returns: whether a number of this type can have the key. */
bool compute_key_is_possible(uint64_t key, const struct compute_reduce_spec *spec);
/* Appends the text of a value; a failure stays in into->err. */
void compute_put_value(struct buf *into, const struct compute_value *v);

#endif
