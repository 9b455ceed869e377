/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The root of a stream, and the arithmetic of ranges and cells.
 */
#include "client/object_internal.h"

#include <string.h>

void hf_hasher_init(struct hf_hasher *h, struct compute *compute)
{
    h->compute = compute;
    h->bytes = 0;
    h->held = 0;
    merkle_builder_init(&h->tree);
}

/* Many leaves at once: the kernels hash them side by side. */
static void hasher_whole(struct hf_hasher *h, const uint8_t *data, size_t leaves)
{
    const size_t most = sizeof(h->hashes) / MERKLE_HASH_BYTES;
    while (leaves > 0) {
        size_t now = NUM_MIN(leaves, most);
        compute_leaf_hashes(h->compute, data, now * COMPUTE_LEAF_BYTES, h->hashes);
        merkle_builder_push(&h->tree, h->hashes, now);
        data += now * COMPUTE_LEAF_BYTES;
        leaves -= now;
    }
}

void hf_hasher_push(struct hf_hasher *h, const uint8_t *data, size_t bytes)
{
    h->bytes += bytes;
    if (h->held > 0) {
        size_t fill = NUM_MIN(bytes, COMPUTE_LEAF_BYTES - h->held);
        memcpy(h->leaf + h->held, data, fill);
        h->held += fill;
        data += fill;
        bytes -= fill;
        if (h->held < COMPUTE_LEAF_BYTES) {
            return;
        }
        hasher_whole(h, h->leaf, 1);
        h->held = 0;
    }
    size_t leaves = bytes / COMPUTE_LEAF_BYTES;
    hasher_whole(h, data, leaves);
    h->held = bytes - leaves * COMPUTE_LEAF_BYTES;
    if (h->held > 0) {
        memcpy(h->leaf, data + leaves * COMPUTE_LEAF_BYTES, h->held);
    }
}

void hf_hasher_root(struct hf_hasher *h, uint8_t root[MERKLE_HASH_BYTES])
{
    if (h->held > 0) {
        compute_leaf_hash(h->leaf, h->held, h->hashes);
        merkle_builder_push(&h->tree, h->hashes, 1);
        h->held = 0;
    }
    merkle_builder_root(&h->tree, root);
}

struct hf_piece hf_piece_at(uint64_t size, uint64_t cell_bytes, uint64_t at, uint64_t end)
{
    struct hf_piece p = {.cell = at / cell_bytes};
    ASSERT(at < end);
    ASSERT(end <= size);
    p.cell_offset = p.cell * cell_bytes;
    p.cell_bytes = (uint32_t)NUM_MIN(cell_bytes, size - p.cell_offset);
    p.from = (uint32_t)(at - p.cell_offset);
    p.bytes = (uint32_t)NUM_MIN(end - at, (uint64_t)p.cell_bytes - p.from);
    return p;
}

int hf_range_check(uint64_t size, uint64_t first, uint64_t last, uint64_t *from, uint64_t *to)
{
    if (first > last || last >= size) {
        return ERR_RANGE;
    }
    *from = first;
    *to = last + 1;
    return 0;
}
