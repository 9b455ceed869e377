/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * States of operators from outside: a decoder that accepts what is not canonical aborts here.
 */
#include "tests/fuzz/fuzz_compute.h"

#include "base/rng.h"
#include "compute/reduce.h"

#define TEXT_BYTES_MAX (8u << 20)

/* Each operator over whole numbers and over doubles. */
void fuzz_compute_example(struct buf *out, unsigned i)
{
    const struct alloc heap = alloc_heap();
    struct compute_reduce_spec spec = {.op = (enum compute_op)(i / 2 % COMPUTE_OPS),
                                       .type = i % 2 == 0 ? COMPUTE_I16 : COMPUTE_F64,
                                       .record_bytes = 11,
                                       .field = 2};
    struct compute_reduce *r = NULL;
    uint8_t data[80];
    struct rng rng;
    spec.high = spec.op == COMPUTE_OP_HISTOGRAM ? 100 : 0;
    spec.low = spec.op == COMPUTE_OP_QUANTILE ? 0.5 : 0;
    spec.count = spec.op >= COMPUTE_OP_HISTOGRAM && spec.op != COMPUTE_OP_DISTINCT ? 3 : 0;
    rng_init(&rng, i);
    rng_fill(&rng, data, sizeof(data));
    ASSERT(compute_reduce_new(&r, &heap, &spec, i, NULL) == 0);
    ASSERT(compute_reduce_update(r, bytes_of(data, sizeof(data))) == 0);
    ASSERT(compute_reduce_encode(r, out) == 0);
    compute_reduce_free(r);
}

void fuzz_compute(struct bytes input)
{
    const struct alloc heap = alloc_heap();
    struct compute_reduce *r = NULL;
    struct buf out;
    const int err = compute_reduce_decode(&r, &heap, input);
    if (err != 0) {
        ASSERT(err == ERR_PROTOCOL || err == ERR_LEVEL);
        return;
    }
    buf_init(&out, &heap, TEXT_BYTES_MAX);
    ASSERT(compute_reduce_encode(r, &out) == 0);
    ASSERT(bytes_equal(buf_view(&out), input));
    buf_clear(&out);
    (void)compute_reduce_text(r, &out);
    buf_clear(&out);
    if (compute_reduce_update(r, input) == 0) {
        const int again = compute_reduce_encode(r, &out);
        ASSERT(again == 0 || again == ERR_OVERFLOW);
    }
    buf_release(&out);
    compute_reduce_free(r);
}
