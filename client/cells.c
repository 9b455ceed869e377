/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The data cells of an object: the list of their roots, checked against the root that came with
 * the name, and the nodes that hold them. Asking for the cells themselves is not here.
 */
#include "client/object_internal.h"

#include <stdlib.h>
#include <string.h>

#define CELLS_ROOTS_BYTES_MAX ((uint64_t)64 << 20) /* 2 TiB in cells of 1 MiB */

int hf_cells_begin(struct hf_cells *l, const struct hf_object_info *o)
{
    if (o->cell_bytes < COMPUTE_LEAF_BYTES || o->cell_bytes > HF_CELL_BYTES_MAX ||
        !num_is_pow2(o->cell_bytes) || o->extents > o->size) {
        return ERR_PROTOCOL;
    }
    uint64_t cells = num_div_up(o->size, o->cell_bytes);
    if (cells > CELLS_ROOTS_BYTES_MAX / MERKLE_HASH_BYTES || o->extents > cells) {
        return cells < o->extents ? ERR_PROTOCOL : ERR_TOO_LARGE;
    }
    hf_cells_release(l);
    l->roots_bytes = cells * MERKLE_HASH_BYTES;
    l->roots = malloc((size_t)l->roots_bytes);
    l->extents = calloc((size_t)o->extents, sizeof(*l->extents));
    return l->roots == NULL || l->extents == NULL ? ERR_NO_MEMORY : 0;
}

void hf_cells_release(struct hf_cells *l)
{
    free(l->roots);
    free(l->extents);
    *l = (struct hf_cells){.roots = NULL};
}

int hf_cells_ask(struct hf_cells *l, struct hf_client *c, const struct hf_object *o,
                 const struct hf_object_info *info, struct hf_call **call, void *ctx,
                 hf_reply_fn *done)
{
    const struct hf_call_spec spec = hf_object_spec(o, WIRE_METHOD_OBJECT_EXTENTS, HF_READ, 5);
    TRY(hf_call_new(c, &spec, call));
    struct buf *head = &(*call)->head;
    (void)wire_pack_bin(head, hf_in(o->bucket));
    (void)wire_pack_bin(head, hf_in(o->name));
    (void)wire_pack_u64(head, info->version);
    (void)wire_pack_u64(head, l->extents_filled);
    (void)wire_pack_u64(head, NUM_MIN(info->extents - l->extents_filled, WIRE_EXTENTS_MAX));
    int err = hf_call_start(*call, ctx, done);
    if (err != 0) {
        *call = NULL;
    }
    return err;
}

static int cells_read_extent(struct hf_cells *l, struct wire_node n)
{
    struct hf_cells_extent *e = &l->extents[l->extents_filled];
    struct bytes roots = hf_field_bytes(n, WIRE_FIELD_ROOTS);
    struct wire_node holders = wire_node_find(n, WIRE_FIELD_HOLDERS);
    if (roots.size % MERKLE_HASH_BYTES != 0 || roots.size == 0 ||
        roots.size > l->roots_bytes - l->roots_filled) {
        return ERR_CORRUPT;
    }
    e->first_cell = l->roots_filled / MERKLE_HASH_BYTES;
    e->holders_count = 0;
    for (uint32_t i = 0; i < wire_node_count(holders) && i < WIRE_SHARDS_MAX; i++) {
        (void)wire_node_u32(wire_node_at(holders, i), &e->holders[i]);
        e->holders_count = i + 1;
    }
    memcpy(l->roots + l->roots_filled, roots.data, roots.size);
    l->roots_filled += roots.size;
    l->extents_filled++;
    return 0;
}

int hf_cells_take(struct hf_cells *l, const struct hf_object_info *info, struct wire_node result,
                  bool *more)
{
    uint8_t root[MERKLE_HASH_BYTES];
    uint32_t count = wire_node_count(result);
    if (count == 0 || count > info->extents - l->extents_filled) {
        return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < count; i++) {
        TRY(cells_read_extent(l, wire_node_at(result, i)));
    }
    *more = l->extents_filled < info->extents;
    if (*more) {
        return 0;
    }
    merkle_root_of(l->roots, l->roots_filled / MERKLE_HASH_BYTES, root);
    bool same = l->roots_filled == l->roots_bytes && memcmp(root, info->root, sizeof(root)) == 0;
    return same ? 0 : ERR_CORRUPT;
}

const struct hf_cells_extent *hf_cells_extent_of(const struct hf_cells *l, uint64_t cell)
{
    uint64_t low = 0;
    uint64_t high = l->extents_filled;
    while (high - low > 1) {
        uint64_t mid = low + (high - low) / 2;
        if (l->extents[mid].first_cell <= cell) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return &l->extents[low];
}

uint32_t hf_cells_holder(const struct hf_cells *l, const struct hf_object_info *info, uint64_t cell)
{
    const struct hf_cells_extent *e = hf_cells_extent_of(l, cell);
    uint64_t shard = (cell - e->first_cell) % NUM_MAX(info->k, 1u);
    return shard < e->holders_count ? e->holders[shard] : 0;
}
