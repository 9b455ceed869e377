/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Coding, checked: the one place where cells are made of cells. A kernel codes column by column;
 * the fingerprints of sources and results are taken while a column is in the cache, and those of
 * results are compared with what the coefficients make of those of the sources. A result that does
 * not fit is not passed on: the job is done once more by the plain twins of the code and of the
 * fingerprint, which have no instruction of theirs in common with the kernels, and compared again.
 * A kernel for whole jobs, as a device has, comes first; its results are then only fingerprinted.
 */
#include "base/num.h"
#include "compute/compute.h"
#include "compute/finger.h"
#include "erasure/erasure_internal.h"

#define ZERO_BYTES 16384u
/* Of all sources and results, so that they are in the second-level cache when they are read again.
 */
#define COLUMN_BYTES (256u << 10)
#define COLUMN_STEP COMPUTE_FINGER_BLOCK_BYTES
#define COLUMN_BYTES_MIN (5u * COLUMN_STEP)

_Static_assert(ERASURE_FINGER_BYTES == COMPUTE_FINGER_BYTES, "the fingerprint of compute/");

/* What the missing ends of short cells are read from. */
static const uint8_t zeros[ZERO_BYTES];

void erasure_finger_of(struct bytes cell, struct erasure_finger *out)
{
    struct compute_finger f;
    compute_finger_init(&f);
    compute_finger_add(&f, cell.data, cell.size);
    compute_finger_end(&f, out->bytes);
}

/* A run of columns within which every source is either there or zeros, so that short cells are
 * padded without copying them. */
struct columns {
    size_t from;
    size_t bytes;
    const uint8_t *data[ERASURE_SHARDS_MAX];
    uint8_t *coded[ERASURE_SHARDS_MAX];
};

static size_t columns_most(const struct erasure_coding *c)
{
    const size_t share = COLUMN_BYTES / (c->k + c->rows);
    return NUM_MAX(share / COLUMN_STEP * COLUMN_STEP, COLUMN_BYTES_MIN);
}

static void columns_at(const struct erasure_coding *c, size_t from, size_t most,
                       struct columns *run)
{
    run->from = from;
    run->bytes = most;
    for (unsigned i = 0; i < c->k; i++) {
        const bool there = from < c->source[i].size;
        const size_t limit = there ? c->source[i].size - from : ZERO_BYTES;
        run->data[i] = there ? c->source[i].data + from : zeros;
        run->bytes = NUM_MIN(run->bytes, limit);
    }
    for (unsigned i = 0; i < c->rows; i++) {
        run->coded[i] = c->target[i] + from;
    }
}

static void columns_code(const struct erasure_coding *c, const struct columns *run, bool plain)
{
    if (c->rows == 0) {
        return;
    }
    const struct compute_rs_job job = {.k = c->k,
                                       .rows = c->rows,
                                       .tables = c->tables,
                                       .data = run->data,
                                       .coded = run->coded,
                                       .bytes = run->bytes};
    if (plain && c->kernel.again != NULL) {
        c->kernel.again(c->kernel.ctx, &job);
    } else if (plain) {
        compute_rs_encode_plain(&job, c->coefficients);
    } else if (c->kernel.run != NULL) {
        c->kernel.run(c->kernel.ctx, &job);
    } else {
        compute_rs_encode(&job);
    }
}

/* Fingerprints under way: sources, then results. */
struct fingers {
    struct compute_finger of[ERASURE_SHARDS_MAX]; /* no job has more than k + m */
};

static void fingers_init(struct fingers *f, unsigned count, bool plain)
{
    for (unsigned i = 0; i < count; i++) {
        if (plain) {
            compute_finger_init_by(&f->of[i], COMPUTE_FINGER_PLAIN);
        } else {
            compute_finger_init(&f->of[i]);
        }
    }
}

static void fingers_add(const struct erasure_coding *c, const struct columns *run,
                        struct fingers *f)
{
    for (unsigned i = 0; i < c->k; i++) {
        if (run->data[i] != zeros) { /* zeros at the end change nothing */
            compute_finger_add(&f->of[i], run->data[i], run->bytes);
        }
    }
    for (unsigned i = 0; i < c->rows; i++) {
        compute_finger_add(&f->of[c->k + i], run->coded[i], run->bytes);
    }
}

/* returns: bitmap of the shards whose fingerprints do not follow from those of the sources. */
static uint32_t fingers_compare(const struct erasure_coding *c, const struct fingers *f,
                                struct erasure_check *check)
{
    uint32_t wrong = 0;
    for (unsigned i = 0; i < c->k; i++) {
        compute_finger_end(&f->of[i], check->finger[c->source_shard[i]].bytes);
    }
    for (unsigned i = 0; i < c->rows; i++) {
        uint8_t due[ERASURE_FINGER_BYTES] = {0};
        uint8_t *is = check->finger[c->target_shard[i]].bytes;
        for (unsigned j = 0; j < c->k; j++) {
            compute_finger_combine(c->coefficients[i * c->k + j],
                                   check->finger[c->source_shard[j]].bytes, due);
        }
        compute_finger_end(&f->of[c->k + i], is);
        wrong |= memcmp(is, due, sizeof due) != 0 ? 1u << c->target_shard[i] : 0;
    }
    return wrong;
}

/* Offers the columns that every source has to the kernel for whole jobs.
 * returns: how many columns are coded, from the first on. */
static size_t coding_whole(const struct erasure_coding *c, size_t coded_bytes)
{
    struct columns run = {.bytes = coded_bytes};
    for (unsigned i = 0; i < c->k; i++) {
        run.data[i] = c->source[i].data;
        run.bytes = NUM_MIN(run.bytes, c->source[i].size);
    }
    if (c->kernel.whole == NULL || c->rows == 0 || run.bytes == 0) {
        return 0;
    }
    const struct compute_rs_job job = {.k = c->k,
                                       .rows = c->rows,
                                       .tables = c->tables,
                                       .data = run.data,
                                       .coded = c->target,
                                       .bytes = run.bytes};
    return c->kernel.whole(c->kernel.ctx, &job, c->coefficients) ? run.bytes : 0;
}

/* The first `coded` columns are coded already. plain: all else by the twins.
 * returns: as fingers_compare. */
static uint32_t coding_once(const struct erasure_coding *c, size_t coded, size_t coded_bytes,
                            bool plain, struct erasure_check *check)
{
    struct fingers f;
    struct columns run = {0};
    const size_t most = columns_most(c);
    fingers_init(&f, c->k + c->rows, plain);
    for (size_t from = 0; from < coded_bytes; from += run.bytes) {
        const size_t end = from < coded ? coded : coded_bytes;
        columns_at(c, from, NUM_MIN(most, end - from), &run);
        if (from >= coded) {
            columns_code(c, &run, plain);
        }
        fingers_add(c, &run, &f);
    }
    return fingers_compare(c, &f, check);
}

int erasure_coding_run(const struct erasure_coding *c, size_t coded_bytes,
                       struct erasure_check *check)
{
    *check = (struct erasure_check){0};
    const size_t coded = coding_whole(c, coded_bytes);
    const uint32_t wrong = coding_once(c, coded, coded_bytes, false, check);
    if (wrong != 0 && coded > 0 && c->kernel.wrong != NULL) {
        c->kernel.wrong(c->kernel.ctx);
    }
    if (wrong != 0 && coding_once(c, 0, coded_bytes, true, check) != 0) {
        check->wrong = wrong;
        return ERR_CORRUPT;
    }
    check->wrong = wrong;
    return 0;
}
