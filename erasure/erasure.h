/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Erasure coding of objects: codes (any k of k + m cells give back the rest), layout (where each
 * byte of an object lies), placement (which node keeps which shard) and the rule by which a put
 * may be committed. Arithmetic only: moving bytes is server/'s work.
 *
 *   object   bytes in user order, cut into cells of cell_bytes = 16 KiB x 2^n; the last is shorter
 *   stripe   k consecutive data cells and their m parity cells
 *   extent   consecutive stripes, up to 128 MiB of data; the unit of placement, with an id
 *   shard    of an extent: the j-th cells of all its stripes; 0..k-1 data, k..k+m-1 parity
 *
 * Every cell of a stripe has the same *coded* length: the length of the stripe's first data cell.
 * That is cell_bytes in all stripes but the last. In the last stripe the data cells hold what is
 * left in order, so one may be short and those after it empty; both count as padded with zero
 * bytes up to the coded length. Padding is never stored or sent, empty cells do not exist (and
 * always count as available), and parity cells have exactly the coded length.
 *
 *   erasure_layout_init(&layout, &options);              plain numbers, no memory
 *   erasure_code_new(&code, &heap, scheme);              once a scheme, shared by all
 *   erasure_encode(code, data, parity, coded_bytes, &check);    a stripe
 *   erasure_plan_make(code, have, want, &plan);                 once a loss pattern
 *   erasure_decode(&plan, cells, out, coded_bytes, &check);     a stripe
 *   erasure_code_free(code);
 *
 * Limits: k 1..32, m 0..31, k + m <= 32; ERASURE_NODES_MAX nodes.
 *
 * threads: pure; a struct erasure_code is read-only after _new, so any thread may use it.
 */
#ifndef HOLDFAST_ERASURE_ERASURE_H
#define HOLDFAST_ERASURE_ERASURE_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define ERASURE_SHARDS_MAX 32u
#define ERASURE_NODES_MAX 256u
#define ERASURE_LEAF_BYTES 16384u
#define ERASURE_CELL_BYTES_MAX (1u << 20)
#define ERASURE_CELL_BYTES_SMALL (64u << 10) /* objects under ERASURE_OBJECT_BYTES_SMALL */
#define ERASURE_OBJECT_BYTES_SMALL (8u << 20)
#define ERASURE_EXTENT_BYTES (128u << 20)
#define ERASURE_PGS_DEFAULT 64u

/* --- schemes --- */

/* k data and m parity shards; k 1 is replication. */
struct erasure_scheme {
    uint8_t k;
    uint8_t m;
};

/* returns: 0, or ERR_SCHEME. */
int erasure_scheme_check(struct erasure_scheme scheme);
/* returns: whether this many nodes can hold the scheme so that the loss of one leaves k shards:
 * ceil((k + m) / nodes) <= m; with m = 0, whether there is a node at all. */
bool erasure_scheme_fits(struct erasure_scheme scheme, unsigned nodes);
/* returns: how many nodes may be lost, whichever they are, with every shard in its place. */
unsigned erasure_tolerance(struct erasure_scheme scheme, unsigned nodes);

/* --- layout --- */

struct erasure_layout_options {
    struct erasure_scheme scheme;
    uint64_t object_bytes;
    uint32_t cell_bytes;   /* 0: erasure_cell_choice(object_bytes) */
    uint64_t extent_bytes; /* 0: ERASURE_EXTENT_BYTES; rounded down to stripes, at least one */
};

struct erasure_layout {
    struct erasure_scheme scheme;
    uint32_t cell_bytes;
    uint32_t extent_stripes; /* stripes of every extent but the last */
    uint64_t object_bytes;
    uint64_t stripe_bytes; /* data bytes of a whole stripe: k * cell_bytes */
    uint64_t extent_bytes; /* data bytes of a whole extent */
    uint64_t cells_count;  /* data cells; cell c holds bytes from c * cell_bytes */
    uint64_t leaves_count; /* 16 KiB leaves; leaf i holds bytes from i * 16 KiB */
    uint64_t stripes_count;
    uint64_t extents_count;
};

/* returns: 64 KiB for objects under 8 MiB, else 1 MiB. */
uint32_t erasure_cell_choice(uint64_t object_bytes);
/* returns: 0, ERR_SCHEME, ERR_INVALID for a cell size that is not 16 KiB x 2^n up to 1 MiB, or
 * ERR_TOO_LARGE for objects over 2^56 bytes. */
int erasure_layout_init(struct erasure_layout *l, const struct erasure_layout_options *options);

/* A cell's place. Stripes count from 0 in every extent. */
struct erasure_place {
    uint64_t extent;
    uint32_t stripe;
    uint8_t shard;
};

/* returns: 0 with the place of the byte and its offset within the cell; ERR_RANGE at or beyond the
 * object's end. */
int erasure_locate(const struct erasure_layout *l, uint64_t offset, struct erasure_place *place,
                   uint32_t *offset_in_cell);
/* returns: the place of data cell number `cell`, in user order. cell: < cells_count. */
struct erasure_place erasure_cell_place(const struct erasure_layout *l, uint64_t cell);
/* returns: the number, in user order, of the data cell at a place (shard < k), existing or not. */
uint64_t erasure_cell_number(const struct erasure_layout *l, const struct erasure_place *place);
/* returns: bytes of the cell at a place, data or parity; 0 if it does not exist. */
uint32_t erasure_cell_bytes(const struct erasure_layout *l, const struct erasure_place *place);
/* returns: the coded length of a stripe; 0 if it does not exist. */
uint32_t erasure_stripe_bytes(const struct erasure_layout *l, uint64_t extent, uint32_t stripe);
/* returns: bitmap of a stripe's data cells that are empty, so always available with size 0. */
uint32_t erasure_stripe_empty(const struct erasure_layout *l, uint64_t extent, uint32_t stripe);
/* returns: data bytes, or stripes, of an extent; 0 if it does not exist. */
uint64_t erasure_extent_bytes(const struct erasure_layout *l, uint64_t extent);
uint32_t erasure_extent_stripes(const struct erasure_layout *l, uint64_t extent);
/* returns: how many cells, or bytes, a shard of an extent has. */
uint32_t erasure_shard_cells(const struct erasure_layout *l, uint64_t extent, uint8_t shard);
uint64_t erasure_shard_bytes(const struct erasure_layout *l, uint64_t extent, uint8_t shard);
/* returns: the first leaf of a data cell. */
static inline uint64_t erasure_cell_leaf(const struct erasure_layout *l, uint64_t cell)
{
    return cell * (l->cell_bytes / ERASURE_LEAF_BYTES);
}

/* --- codes --- */

struct erasure_code;

/* returns: 0, ERR_SCHEME or ERR_NO_MEMORY. */
int erasure_code_new(struct erasure_code **out, const struct alloc *alloc,
                     struct erasure_scheme scheme);

struct compute_rs_job;

/* What does the arithmetic in place of compute/'s kernel, such as a device, or a test that makes
 * errors. What it makes is checked. All run on the thread that called; each may be NULL.
 * whole: is offered the columns that all sources have, at once, before compute/'s kernel goes
 *   through them; coefficients: rows of k. Gives the bits of compute_rs_encode.
 *   returns: whether it made them; if not, the processor does.
 * wrong: something that whole made did not pass the check, and has been made again.
 * run: codes as compute_rs_encode does. NULL: compute/'s kernel.
 * again: the same for a job that was wrong; NULL: the plain twin, and nothing else outside tests.
 */
struct erasure_kernel {
    void *ctx;
    bool (*whole)(void *ctx, const struct compute_rs_job *job, const uint8_t *coefficients);
    void (*wrong)(void *ctx);
    void (*run)(void *ctx, const struct compute_rs_job *job);
    void (*again)(void *ctx, const struct compute_rs_job *job);
};
/* As erasure_code_new. kernel.ctx: lives as long as the code and its plans. */
int erasure_code_new_with(struct erasure_code **out, const struct alloc *alloc,
                          struct erasure_scheme scheme, struct erasure_kernel kernel);
void erasure_code_free(struct erasure_code *code);
struct erasure_scheme erasure_code_scheme(const struct erasure_code *code);

/* The fingerprint of a cell (compute/finger.h): linear, so that those of parity follow from those
 * of data. Padding with zeros does not change it; that of an empty cell is zero. */
#define ERASURE_FINGER_BYTES 32u
struct erasure_finger {
    uint8_t bytes[ERASURE_FINGER_BYTES];
};
void erasure_finger_of(struct bytes cell, struct erasure_finger *out);
/* That of any cell of a stripe, from those of its data cells: what the code does to cells.
 * data: k of them, by shard; zeros where a cell is empty. shard: below k + m. */
void erasure_finger_follow(const struct erasure_code *code, const struct erasure_finger *data,
                           unsigned shard, struct erasure_finger *out);

/* What a job found. Results whose fingerprints do not follow from those of its sources are made and
 * checked once more, by plain twins; so errors of a kernel are found that change any one row of 32
 * bytes of a result, and random ones of more rows but for one in 2^8 for each column that has some
 * (compute/finger.h; not those that are the same in each of n * 255 rows). Errors of the sources
 * are none of a job's: these are compared with what is known of them. */
struct erasure_check {
    struct erasure_finger finger[ERASURE_SHARDS_MAX]; /* by shard: of sources and results */
    uint32_t wrong; /* bitmap of shards that the kernel got wrong */
};

/* Computes the m parity cells of a stripe. Columns are independent, so a stripe may be coded in
 * parts: the same byte range of every cell.
 * data: k views of at most coded_bytes; what is missing counts as zero bytes.
 * parity: m buffers of coded_bytes, apart from the data. Buffers that start at odd multiples of 64
 * bytes code faster than page-aligned ones. With m = 0 there are fingerprints alone.
 * returns: 0, with check->wrong what had to be made again; ERR_CORRUPT if the plain twin's results
 * do not fit either: nothing of parity is to be used. */
int erasure_encode(const struct erasure_code *code, const struct bytes *data,
                   uint8_t *const *parity, size_t coded_bytes, struct erasure_check *check);

/* How to rebuild some cells from k others. About 9 KiB; depends on the code and the two sets only,
 * so it serves every stripe with the same loss. */
struct erasure_plan {
    uint32_t sources; /* bitmap of the k shards that are read */
    uint32_t wanted;  /* bitmap of the shards that are rebuilt */
    uint8_t k;
    uint8_t rows;
    uint8_t source[ERASURE_SHARDS_MAX];
    uint8_t target[ERASURE_SHARDS_MAX];
    struct erasure_kernel kernel;
    uint8_t coefficients[256];  /* rows of k */
    uint8_t tables[32u * 256u]; /* k * rows * 32 bytes at most: rows <= m, k + m <= 32 */
};

/* have, want: bitmaps of shards. Data shards are taken as sources before parity.
 * returns: 0; ERR_LOST if have has fewer than k shards; ERR_INVALID if want is empty, overlaps
 * have, or either names a shard that the code does not have. */
int erasure_plan_make(const struct erasure_code *code, uint32_t have, uint32_t want,
                      struct erasure_plan *plan);

/* Rebuilds the wanted cells of a stripe, or the same byte range of them.
 * cells: by shard; those of plan->sources are read; short ones count as padded with zero bytes.
 * out: by shard; those of plan->wanted are written, coded_bytes each (a short data cell's padding
 * comes out as zero bytes), apart from the sources.
 * returns: as erasure_encode. */
int erasure_decode(const struct erasure_plan *plan, const struct bytes *cells, uint8_t *const *out,
                   size_t coded_bytes, struct erasure_check *check);

/* --- placement --- */

struct erasure_extent_id {
    uint64_t grant;   /* granted to one boot of one coordinator */
    uint64_t counter; /* counted by that coordinator */
};

struct erasure_node {
    uint32_t id;
    uint32_t weight; /* share of one disk, up to 2^24; 0: keeps nothing unless no other can */
    uint32_t zone;   /* failure domain above the node; equal everywhere if there are none */
    uint32_t disks;  /* up to 64; the node's share is weight * disks */
};

/* returns: the placement group of an extent. pgs: a power of two. Never changes: it is implied by
 * stored extents. */
uint32_t erasure_pg_of(struct erasure_extent_id id, uint32_t pgs);

/* Orders all nodes for a placement group by weighted rendezvous hashing (Thaler and Ravishankar,
 * 1998), zones in turn. Integers only: the same on every machine. The list is stored; nodes that
 * come or go move little in a list computed anew.
 * nodes: 1..ERASURE_NODES_MAX with different ids, in any order. list: room for count node ids.
 * returns: 0, or ERR_INVALID (no or too many nodes, a node twice, a weight or disks too large). */
int erasure_place_compute(const struct erasure_node *nodes, unsigned count, uint32_t pg,
                          uint32_t *list);

/* returns: the node that keeps a shard when all are up. */
static inline uint32_t erasure_home(const uint32_t *list, unsigned count, unsigned shard)
{
    return list[shard % count];
}

/* Chooses a holder for each of the k + m shards with some nodes down: its home if that is up, else
 * the least loaded node that is up, earlier in the list first.
 * up: by position in list. holders: k + m node ids.
 * returns: 0; ERR_UNAVAILABLE if no node is up. */
int erasure_assign(struct erasure_scheme scheme, const uint32_t *list, const bool *up,
                   unsigned count, uint32_t *holders);

/* --- commit rule --- */

struct erasure_commit {
    struct erasure_scheme scheme;
    uint32_t durable;        /* bitmap of shards that are durable; those without cells are */
    const uint32_t *holders; /* k + m: the failure domain (node) of each shard */
    bool deadline_passed;    /* no longer waits for every shard */
};

/* An extent may be committed when all its shards are durable or, after the deadline, at least
 * k + max(1, ceil(m / 2)); and in either case, with m >= 1, k of the durable ones lie outside the
 * fullest failure domain. m = 0 needs all. To ask whether a put can succeed at all with some nodes
 * down, set durable to the shards whose holders are up, and deadline_passed. */
bool erasure_commit_ok(const struct erasure_commit *commit);

#endif
