/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Records of extents, with and without fingerprints: a decoder that accepts one that nobody would
 * write aborts here, and so does one that reads beyond its end.
 */
#include "tests/fuzz/fuzz_extent.h"

#include "server/node/objects_internal.h"

#define CELLS 7u

void fuzz_extent_example(struct buf *out, unsigned i)
{
    static uint8_t hashes[CELLS * MERKLE_HASH_BYTES];
    struct node_extent e = {.revision = 1000 + i,
                            .placement_group = i,
                            .scheme = {(uint8_t)(1 + i), 2},
                            .stripes = CELLS,
                            .bytes = (uint64_t)CELLS * 65536 - i,
                            .durable = 7,
                            .away = i % 2 == 0 ? 0 : 2,
                            .cells = CELLS};
    for (uint32_t s = 0; s < 3 + i; s++) {
        e.home[s] = s + 1;
        e.holder[s] = (e.away >> s & 1u) != 0 ? 40 : s + 1;
    }
    memset(hashes, (int)i, sizeof hashes);
    e.roots = bytes_of(hashes, i == 0 ? 0 : sizeof hashes);
    e.fingers = bytes_of(hashes, i < 3 ? 0 : sizeof hashes);
    ASSERT(node_extent_encode(&e, out) == 0);
}

static void fuzz_checked(struct bytes input)
{
    struct bytes_reader r = bytes_reader_of(input);
    struct node_check_result result;
    unsigned count = 0;
    while (node_shard_check_next(&r, &result)) {
        count++;
    }
    ASSERT(count <= input.size / 9); /* none is shorter */
}

void fuzz_extent(struct bytes input)
{
    const struct alloc heap = alloc_heap();
    struct node_extent e;
    struct buf again;
    fuzz_checked(input);
    if (node_extent_decode(input, &e) != 0) {
        return;
    }
    ASSERT(e.fingers.size == 0 || e.fingers.size == (size_t)e.cells * ERASURE_FINGER_BYTES);
    ASSERT(e.roots.size == 0 || e.roots.size == (size_t)e.cells * MERKLE_HASH_BYTES);
    ASSERT((node_extent_missing(&e) & ~node_extent_all(e.scheme)) == 0);
    ASSERT(node_extent_survives(&e) <= NODE_OBJECT_SHARDS_MAX);
    buf_init(&again, &heap, NODE_OBJECT_BODY_BYTES_MAX);
    ASSERT(node_extent_encode(&e, &again) == 0);
    ASSERT(bytes_equal(buf_view(&again), input));
    buf_release(&again);
}
