/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What put, get and run share.
 *
 * threads: the loop's thread.
 */
#ifndef HOLDFAST_CLIENT_OBJECT_INTERNAL_H
#define HOLDFAST_CLIENT_OBJECT_INTERNAL_H

#include "client/client_internal.h"
#include "compute/compute.h"
#include "merkle/merkle.h"

#define HF_CELL_BYTES_MAX ((uint64_t)WIRE_PART_BYTES_MAX)

/* A call of an object's method: goes to the leader of its bucket's group, unless it is changed. */
struct hf_call_spec hf_object_spec(const struct hf_object *o, const char *method,
                                   enum hf_call_class class, uint32_t params);

/* The Merkle root of a stream in pieces of any size. */
struct hf_hasher {
    struct compute *compute;
    struct merkle_builder tree;
    uint64_t bytes;
    size_t held; /* bytes of the leaf that is not whole */
    uint8_t leaf[COMPUTE_LEAF_BYTES];
    uint8_t hashes[64 * MERKLE_HASH_BYTES];
};
void hf_hasher_init(struct hf_hasher *h, struct compute *compute);
void hf_hasher_push(struct hf_hasher *h, const uint8_t *data, size_t bytes);
/* Once, at the end. */
void hf_hasher_root(struct hf_hasher *h, uint8_t root[MERKLE_HASH_BYTES]);

/* The bytes of a range that one cell holds. */
struct hf_piece {
    uint64_t cell;
    uint64_t cell_offset; /* where the cell begins in the object */
    uint32_t cell_bytes;  /* of this cell */
    uint32_t from;        /* first wanted byte, within the cell */
    uint32_t bytes;       /* wanted */
};
/* Bytes first to end - 1 of an object of size bytes in cells of cell_bytes. returns: the piece of
 * the cell that holds `at`. first <= at < end <= size. */
struct hf_piece hf_piece_at(uint64_t size, uint64_t cell_bytes, uint64_t at, uint64_t end);
/* Both included. returns: 0 and [*from, *to), or ERR_RANGE. */
int hf_range_check(uint64_t size, uint64_t first, uint64_t last, uint64_t *from, uint64_t *to);

/* ---- cells ---------------------------------------------------------------------------------- */

/* The roots of an object's data cells, checked against its root, and which nodes hold them. */
struct hf_cells_extent {
    uint64_t first_cell;
    uint32_t holders[WIRE_SHARDS_MAX];
    uint32_t holders_count;
};
struct hf_cells {
    uint8_t *roots;
    uint64_t roots_bytes;
    uint64_t roots_filled;
    struct hf_cells_extent *extents;
    uint64_t extents_filled;
};
/* Room for what size and cells of the object promise. returns: 0, ERR_PROTOCOL (no object is so),
 * ERR_TOO_LARGE, ERR_NO_MEMORY. */
int hf_cells_begin(struct hf_cells *l, const struct hf_object_info *info);
void hf_cells_release(struct hf_cells *l);
/* Asks for the next extents. returns: 0 and *call is under way. */
int hf_cells_ask(struct hf_cells *l, struct hf_client *c, const struct hf_object *o,
                 const struct hf_object_info *info, struct hf_call **call, void *ctx,
                 hf_reply_fn *done);
/* Takes what came. returns: 0; *more: there are others. ERR_CORRUPT: it does not match the root. */
int hf_cells_take(struct hf_cells *l, const struct hf_object_info *info, struct wire_node result,
                  bool *more);
/* returns: the extent that the cell is in; all must have come. */
const struct hf_cells_extent *hf_cells_extent_of(const struct hf_cells *l, uint64_t cell);
/* returns: the node that holds the cell, or 0. */
uint32_t hf_cells_holder(const struct hf_cells *l, const struct hf_object_info *info,
                         uint64_t cell);

#endif
