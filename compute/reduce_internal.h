/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Between spans (reduce.c) and operators (reduce_op.c): an operator sees batches of whole records'
 * numbers, widened to 64 bits, and keeps a body that is merged in any order.
 *
 * threads: one owner of a body at a time.
 */
#ifndef HOLDFAST_COMPUTE_REDUCE_INTERNAL_H
#define HOLDFAST_COMPUTE_REDUCE_INTERNAL_H

#include "compute/range.h"
#include "compute/reduce.h"

/* Numbers of consecutive records, 64 bits each: int64_t, uint64_t or double, by class. */
struct compute_batch {
    enum compute_class of;
    const void *values;
    const void *others;                /* second factors; NULL but for dot */
    size_t count;                      /* > 0 */
    uint64_t first;                    /* number of the first record */
    const struct compute_whole *whole; /* NULL: none */
};

struct compute_body {
    uint64_t records;
    struct compute_exact sum;     /* sum, mean, var, varp; dot: of products */
    struct compute_exact squares; /* var, varp */
    uint64_t key;                 /* min, max, argmin, argmax: 0 while there are no records */
    uint64_t index;               /* argmin, argmax: of the first record with this key */
    uint64_t *extra;              /* operators of sketch_internal.h: compute_extra_words of them */
};

/* returns: whether it is a state of this span by this operator. */
bool compute_reduce_is_of(const struct compute_reduce *r, const struct compute_reduce_spec *spec,
                          uint64_t from, uint64_t to);
/* returns: what the operator keeps of the records that ended in the span. */
const struct compute_body *compute_reduce_body(const struct compute_reduce *r);
enum compute_class compute_class_of(enum compute_type type);

/* returns: whether the operator keeps more than the fixed fields. */
bool compute_op_has_extra(enum compute_op op);
/* returns: words of 64 bits that body.extra has; zero at first. */
size_t compute_extra_words(const struct compute_reduce_spec *spec);
/* extra: zeros; kept. */
void compute_body_init(struct compute_body *b, const struct compute_reduce_spec *spec,
                       uint64_t *extra);
/* Not for count, which reads nothing. */
void compute_body_consume(struct compute_body *b, const struct compute_reduce_spec *spec,
                          const struct compute_batch *batch);
void compute_body_merge(struct compute_body *into, const struct compute_reduce_spec *spec,
                        const struct compute_body *from);
int compute_body_finish(const struct compute_body *b, const struct compute_reduce_spec *spec,
                        struct compute_value *out);
int compute_body_text(const struct compute_body *b, const struct compute_reduce_spec *spec,
                      struct buf *into);
int compute_body_encode(const struct compute_body *b, const struct compute_reduce_spec *spec,
                        struct buf *into);
/* b: records is set, from record `first` on. */
int compute_body_decode(struct compute_body *b, const struct compute_reduce_spec *spec,
                        uint64_t first, struct bytes_reader *from);

#endif
