/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Calls from outside that ask for a program to be run: a decoder that accepts a part that is in no
 * cell, or anything that nobody would write, aborts here.
 */
#include "tests/fuzz/fuzz_run.h"

#include "server/node/objects_internal.h"

void fuzz_run_example(struct buf *out, unsigned i)
{
    static const char *const programs[FUZZ_RUN_EXAMPLES] = {
        "", "lines | count", "csv | where $7 >= 500 | by $5 count | top 10", "f64 | sum"};
    const struct node_run_spec spec = {
        .program = bytes_of_text(programs[i]),
        .from = (uint64_t)i << 20,
        .ref = {.version = {.grant = i + 1, .counter = 7}, .group = 1, .cell = i, .shard = 2},
        .at = i * 1000,
        .bytes = 65536 - i * 1000,
    };
    node_run_put(out, &spec, 2000000);
    ASSERT(out->err == 0);
}

void fuzz_run(struct bytes input)
{
    const struct alloc heap = alloc_heap();
    struct node_run_spec spec;
    uint64_t left_us = 0;
    struct buf again;
    if (!node_run_take(input, &spec, &left_us)) {
        return;
    }
    ASSERT(spec.bytes > 0 && num_fits(spec.at, spec.bytes, STORE_SEG_CELL_BYTES_MAX));
    ASSERT(spec.ref.shard < NODE_OBJECT_SHARDS_MAX);
    ASSERT(spec.program.size <= WIRE_PROGRAM_BYTES_MAX);
    buf_init(&again, &heap, NODE_OBJECT_BODY_BYTES_MAX);
    node_run_put(&again, &spec, left_us);
    ASSERT(bytes_equal(buf_view(&again), input));
    buf_release(&again);
}
