/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Jobs of each kind as they lie in a slot: how they are put there, what the plug-in is called with,
 * and how the results are taken out.
 *
 * Arrays of numbers are in device_arrays.c. Codes are judged by whoever asked for them. Sums and
 * hashes may be judged by nobody, so these are computed twice, arranged in another way, and
 * compared (docs/adr/0040): an error would have to change both alike.
 *
 *   sums     all values; and their negatives from the last to the first, in two parts. Without an
 *            error all three sums are zero together.
 *   leaves   from the first on; and from the second on, the first being the last.
 */
#include "server/host/device_internal.h"

#include "base/num.h"
#include "gpu/sum.h"

#include <math.h>
#include <string.h>

#define COLUMN_ALIGN 64u
#define WORD sizeof(double)
#define SIGN (UINT64_C(1) << 63)
#define SUM_BYTES_MIN (64u << 10) /* a tile of the device's */
#define LEAVES_MIN 2u
#define LEAVES_MAX                                          \
    ((size_t)(HOST_DEVICE_JOB_BYTES - COMPUTE_LEAF_BYTES) / \
     (COMPUTE_LEAF_BYTES + 2 * COMPUTE_HASH_BYTES))

/* ---- codes ---------------------------------------------------------------------------------- */

static void fill_codes(struct host_device_slot *slot, const struct host_device_piece *p)
{
    slot->k = p->job->k;
    slot->rows = p->job->rows;
    slot->columns = p->columns;
    slot->stride = (size_t)num_round_up(p->columns, COLUMN_ALIGN);
    ASSERT((slot->k + slot->rows) * slot->stride <= HOST_DEVICE_JOB_BYTES);
    memcpy(slot->coefficients, p->coefficients, (size_t)slot->k * slot->rows);
    for (unsigned i = 0; i < slot->k; i++) {
        memcpy(slot->memory + i * slot->stride, p->job->data[i] + p->from, p->columns);
    }
}

static int call_codes(const struct gpu_table *table, struct gpu *gpu, struct host_device_slot *slot)
{
    const uint8_t *data[GPU_RS_MAX];
    uint8_t *coded[GPU_RS_MAX];
    for (unsigned i = 0; i < slot->k; i++) {
        data[i] = slot->memory + i * slot->stride;
    }
    for (unsigned i = 0; i < slot->rows; i++) {
        coded[i] = slot->memory + (slot->k + i) * slot->stride;
    }
    const struct gpu_rs_job job = {.k = slot->k,
                                   .rows = slot->rows,
                                   .coefficients = slot->coefficients,
                                   .data = data,
                                   .coded = coded,
                                   .bytes = slot->columns};
    return table->rs(gpu, &job);
}

static void take_codes(const struct host_device_slot *slot, const struct host_device_piece *p)
{
    for (unsigned i = 0; i < slot->rows; i++) {
        memcpy(p->job->coded[i] + p->from, slot->memory + (slot->k + i) * slot->stride,
               slot->columns);
    }
}

/* ---- sums ----------------------------------------------------------------------------------- */

static void fill_sums(struct host_device_slot *slot, const struct host_device_piece *p)
{
    const size_t count = p->bytes / WORD;
    uint8_t *back = slot->memory + p->bytes;
    ASSERT(2 * p->bytes <= HOST_DEVICE_JOB_BYTES);
    slot->columns = count;
    memcpy(slot->memory, p->values, p->bytes);
    for (size_t i = 0; i < count; i++) {
        num_put_u64(back + (count - 1 - i) * WORD, num_get_u64(p->values + i * WORD) ^ SIGN);
    }
}

static int call_sums(const struct gpu_table *table, struct gpu *gpu, struct host_device_slot *slot)
{
    const size_t count = slot->columns;
    const size_t part = count / 3;
    const uint8_t *back = slot->memory + count * WORD;
    for (unsigned i = 0; i < HOST_DEVICE_SUMS; i++) {
        compute_exact_init(&slot->sum[i]);
    }
    TRY(gpu_sum_add_f64s(table, gpu, &slot->sum[0], slot->memory, count));
    TRY(gpu_sum_add_f64s(table, gpu, &slot->sum[1], back, part));
    return gpu_sum_add_f64s(table, gpu, &slot->sum[2], back + part * WORD, count - part);
}

/* No sum of doubles but zero is rounded to zero. */
static enum host_device_verdict take_sums(const struct host_device_slot *slot,
                                          const struct host_device_piece *p)
{
    struct compute_exact all = slot->sum[0];
    compute_exact_merge(&all, &slot->sum[1]);
    compute_exact_merge(&all, &slot->sum[2]);
    const double left = compute_exact_round(&all);
    if (isnan(left)) {
        return HOST_DEVICE_UNJUDGED; /* there are values that are not finite */
    }
    if (fpclassify(left) != FP_ZERO) {
        return HOST_DEVICE_WRONG;
    }
    compute_exact_merge(p->sum, &slot->sum[0]);
    return HOST_DEVICE_RIGHT;
}

/* ---- leaves --------------------------------------------------------------------------------- */

/* Goes on to the next run that has a whole leaf. returns: the leaf at hand, which is hashed into
 * *hash; NULL behind the last. */
static const uint8_t *leaf_next(struct host_device_leaves *at, uint8_t **hash)
{
    while (at->count > 0 && at->runs->bytes / COMPUTE_LEAF_BYTES == at->leaf) {
        at->runs++;
        at->count--;
        at->leaf = 0;
    }
    if (at->count == 0) {
        return NULL;
    }
    const uint8_t *leaf = at->runs->data + at->leaf * COMPUTE_LEAF_BYTES;
    *hash = at->runs->hashes + at->leaf * COMPUTE_HASH_BYTES;
    at->leaf++;
    return leaf;
}

static void fill_leaves(struct host_device_slot *slot, const struct host_device_piece *p)
{
    struct host_device_leaves at = p->leaves;
    uint8_t *hash = NULL;
    slot->columns = p->bytes / COMPUTE_LEAF_BYTES;
    ASSERT(slot->columns <= LEAVES_MAX);
    for (size_t i = 0; i < slot->columns; i++) {
        const uint8_t *leaf = leaf_next(&at, &hash);
        ASSERT(leaf != NULL);
        memcpy(slot->memory + i * COMPUTE_LEAF_BYTES, leaf, COMPUTE_LEAF_BYTES);
    }
    memcpy(slot->memory + p->bytes, slot->memory, COMPUTE_LEAF_BYTES);
}

static uint8_t *leaves_hashes(const struct host_device_slot *slot, unsigned round)
{
    return slot->memory + (slot->columns + 1) * COMPUTE_LEAF_BYTES +
           round * slot->columns * COMPUTE_HASH_BYTES;
}

static int call_leaves(const struct gpu_table *table, struct gpu *gpu,
                       struct host_device_slot *slot)
{
    const size_t bytes = slot->columns * COMPUTE_LEAF_BYTES;
    TRY(table->leaf_hashes(gpu, slot->memory, bytes, leaves_hashes(slot, 0)));
    return table->leaf_hashes(gpu, slot->memory + COMPUTE_LEAF_BYTES, bytes,
                              leaves_hashes(slot, 1));
}

static enum host_device_verdict take_leaves(const struct host_device_slot *slot,
                                            const struct host_device_piece *p)
{
    struct host_device_leaves at = p->leaves;
    const size_t bytes = slot->columns * COMPUTE_HASH_BYTES;
    const uint8_t *from = leaves_hashes(slot, 0);
    const uint8_t *again = leaves_hashes(slot, 1);
    uint8_t *hash = NULL;
    if (memcmp(from + COMPUTE_HASH_BYTES, again, bytes - COMPUTE_HASH_BYTES) != 0 ||
        memcmp(from, again + bytes - COMPUTE_HASH_BYTES, COMPUTE_HASH_BYTES) != 0) {
        return HOST_DEVICE_WRONG;
    }
    for (size_t i = 0; i < slot->columns; i++) {
        (void)leaf_next(&at, &hash);
        memcpy(hash, from + i * COMPUTE_HASH_BYTES, COMPUTE_HASH_BYTES);
    }
    return HOST_DEVICE_RIGHT;
}

/* ---- any ------------------------------------------------------------------------------------ */

size_t host_device_least(enum node_device_kind kind)
{
    static const size_t least[NODE_DEVICE_KINDS] = {
        [NODE_DEVICE_SUMS] = SUM_BYTES_MIN,
        [NODE_DEVICE_LEAVES] = LEAVES_MIN * COMPUTE_LEAF_BYTES,
        [NODE_DEVICE_REDUCES] = SUM_BYTES_MIN,
        [NODE_DEVICE_SCANS] = SUM_BYTES_MIN,
        [NODE_DEVICE_SORTS] = SUM_BYTES_MIN,
    };
    return least[kind];
}

static void piece_codes(struct host_device_piece *p)
{
    const unsigned cells = p->job->k + p->job->rows;
    const size_t most = HOST_DEVICE_JOB_BYTES / cells & ~(size_t)(COLUMN_ALIGN - 1);
    p->from += p->columns;
    p->columns = NUM_MIN(most, p->job->bytes - p->from);
    p->bytes = p->columns * p->job->k;
}

/* returns: of the next piece. None is so small that a part of it would be judged by itself. */
static size_t judged_bytes(size_t left)
{
    const size_t behind = left - NUM_MIN(left, (size_t)HOST_DEVICE_ARRAY_BYTES);
    const bool is_small = behind > 0 && behind < SUM_BYTES_MIN;
    return left - (is_small ? SUM_BYTES_MIN : behind);
}

bool host_device_next(struct host_device_piece *p)
{
    uint8_t *hash = NULL;
    p->done_bytes += p->bytes;
    const size_t left = p->job_bytes - p->done_bytes;
    if (left == 0) {
        return false;
    }
    switch (p->kind) {
    case NODE_DEVICE_CODES: piece_codes(p); break;
    case NODE_DEVICE_SUMS:
    case NODE_DEVICE_REDUCES:
        p->values += p->bytes;
        p->bytes = judged_bytes(left);
        break;
    case NODE_DEVICE_SCANS:
    case NODE_DEVICE_SORTS: /* runs of as many keys, but for the last */
        p->values += p->bytes;
        p->bytes = NUM_MIN(left, (size_t)HOST_DEVICE_ARRAY_BYTES);
        break;
    case NODE_DEVICE_LEAVES:
        for (size_t i = 0; i < p->bytes; i += COMPUTE_LEAF_BYTES) {
            (void)leaf_next(&p->leaves, &hash);
        }
        p->bytes = NUM_MIN(left, LEAVES_MAX * COMPUTE_LEAF_BYTES);
        break;
    case NODE_DEVICE_KINDS: break;
    }
    return true;
}

void host_device_fill(struct host_device_slot *slot, const struct host_device_piece *p)
{
    slot->kind = p->kind;
    switch (p->kind) {
    case NODE_DEVICE_CODES: fill_codes(slot, p); break;
    case NODE_DEVICE_SUMS: fill_sums(slot, p); break;
    case NODE_DEVICE_LEAVES: fill_leaves(slot, p); break;
    case NODE_DEVICE_REDUCES:
    case NODE_DEVICE_SCANS:
    case NODE_DEVICE_SORTS: host_device_fill_array(slot, p); break;
    case NODE_DEVICE_KINDS: break;
    }
}

int host_device_call(const struct gpu_table *table, struct gpu *gpu, struct host_device_slot *slot)
{
    switch (slot->kind) {
    case NODE_DEVICE_CODES: return call_codes(table, gpu, slot);
    case NODE_DEVICE_SUMS: return call_sums(table, gpu, slot);
    case NODE_DEVICE_LEAVES: return call_leaves(table, gpu, slot);
    case NODE_DEVICE_REDUCES:
    case NODE_DEVICE_SCANS:
    case NODE_DEVICE_SORTS: return host_device_call_array(table, gpu, slot);
    case NODE_DEVICE_KINDS: break;
    }
    return ERR_INVALID;
}

enum host_device_verdict host_device_take(const struct host_device_slot *slot,
                                          const struct host_device_piece *p)
{
    switch (p->kind) {
    case NODE_DEVICE_CODES: take_codes(slot, p); break;
    case NODE_DEVICE_SUMS: return take_sums(slot, p);
    case NODE_DEVICE_LEAVES: return take_leaves(slot, p);
    case NODE_DEVICE_REDUCES:
    case NODE_DEVICE_SCANS:
    case NODE_DEVICE_SORTS: return host_device_take_array(slot, p);
    case NODE_DEVICE_KINDS: break;
    }
    return HOST_DEVICE_RIGHT;
}
