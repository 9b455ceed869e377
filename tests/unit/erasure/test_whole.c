/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Kernels that are offered whole jobs: what they make, refuse or get wrong, the results are those
 * of the plain twin, and they hear of what was wrong.
 */
#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "erasure/erasure.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define SHARDS_MAX 12u
#define CELL_BYTES_MAX (300u << 10) /* columns of the processor's kernel are shorter */

enum deed { DEED_MAKE, DEED_REFUSE, DEED_SPOIL_AND_REFUSE, DEED_ERR };
struct whole {
    enum deed deed;
    struct rng r;
    unsigned offered;
    size_t bytes; /* of the last job */
    unsigned wrong;
    unsigned run; /* columns that went to the other kernel */
};

static bool whole_code(void *ctx, const struct compute_rs_job *job, const uint8_t *coefficients)
{
    struct whole *w = ctx;
    w->offered++;
    w->bytes = job->bytes;
    if (w->deed == DEED_REFUSE) {
        return false;
    }
    compute_rs_encode_plain(job, coefficients);
    if (w->deed != DEED_MAKE) {
        uint8_t *row = job->coded[rng_below(&w->r, job->rows)];
        const size_t at = rng_below(&w->r, job->bytes);
        row[at] = (uint8_t)(row[at] ^ 1u << rng_below(&w->r, 8));
    }
    return w->deed != DEED_SPOIL_AND_REFUSE;
}

static void whole_wrong(void *ctx)
{
    ((struct whole *)ctx)->wrong++;
}

static void whole_run(void *ctx, const struct compute_rs_job *job)
{
    ((struct whole *)ctx)->run++;
    compute_rs_encode(job);
}

static uint8_t *room; /* data and right parity, then what is made */

static uint8_t *at(unsigned shard)
{
    return room + (size_t)shard * CELL_BYTES_MAX;
}

/* What is the same of every stripe of one code. */
struct stripe {
    unsigned k;
    unsigned m;
    size_t coded;  /* bytes of each result */
    size_t common; /* that all data cells have */
    struct bytes cell[SHARDS_MAX];
};

static void stripe_init(struct stripe *s, struct rng *r)
{
    uint8_t matrix[ERASURE_SHARDS_MAX * ERASURE_SHARDS_MAX];
    const uint8_t *data[SHARDS_MAX];
    uint8_t *parity[SHARDS_MAX];
    s->k = (unsigned)rng_between(r, 1, 8);
    s->m = (unsigned)rng_between(r, 1, 4);
    s->coded = rng_between(r, 1, CELL_BYTES_MAX);
    s->common = s->coded;
    memset(room, 0, (size_t)2 * SHARDS_MAX * CELL_BYTES_MAX);
    for (unsigned i = 0; i < s->k + s->m; i++) {
        /* the last ones may be short, or empty */
        const bool is_short = i < s->k && i > 0 && i + 2 >= s->k && rng_chance(r, 1, 3);
        const size_t bytes = is_short ? rng_below(r, s->coded + 1) : s->coded;
        if (i < s->k) {
            rng_fill(r, at(i), bytes);
            data[i] = at(i);
            s->common = NUM_MIN(s->common, bytes);
        } else {
            parity[i - s->k] = at(i);
        }
        s->cell[i] = bytes_of(at(i), bytes);
    }
    compute_rs_matrix(s->k, s->m, matrix);
    const struct compute_rs_job job = {
        .k = s->k, .rows = s->m, .data = data, .coded = parity, .bytes = s->coded};
    compute_rs_encode_plain(&job, matrix + (size_t)s->k * s->k);
}

/* Encodes, then decodes the first shard. Of the latter all sources may be there in full. */
static void code_both_ways(struct whole *w, const struct stripe *s)
{
    const struct alloc heap = alloc_heap();
    const struct erasure_kernel kernel = {
        .ctx = w, .whole = whole_code, .wrong = whole_wrong, .run = whole_run};
    const struct erasure_scheme scheme = {(uint8_t)s->k, (uint8_t)s->m};
    const uint32_t all = (1u << (s->k + s->m)) - 1;
    const unsigned offered = s->common > 0;
    const unsigned wrong = w->deed == DEED_ERR ? offered : 0;
    struct erasure_code *code = NULL;
    struct erasure_plan plan;
    struct erasure_check check;
    uint8_t *out[SHARDS_MAX];
    for (unsigned i = 0; i < s->k + s->m; i++) {
        out[i] = at(SHARDS_MAX + i);
    }
    ck_assert_int_eq(erasure_code_new_with(&code, &heap, scheme, kernel), 0);
    *w = (struct whole){.deed = w->deed, .r = w->r};
    ck_assert_int_eq(erasure_encode(code, s->cell, out + s->k, s->coded, &check), 0);
    ck_assert_uint_eq(w->offered, offered);
    ck_assert_uint_eq(w->wrong, wrong);
    ck_assert_uint_eq(check.wrong != 0, wrong);
    ck_assert(offered == 0 || w->bytes == s->common);
    ck_assert(w->deed != DEED_MAKE || s->common < s->coded || w->run == 0);
    for (unsigned i = s->k; i < s->k + s->m; i++) {
        ck_assert_mem_eq(out[i], at(i), s->coded);
    }
    ck_assert_int_eq(erasure_plan_make(code, all & ~1u, 1, &plan), 0);
    ck_assert_int_eq(erasure_decode(&plan, s->cell, out, s->coded, &check), 0);
    ck_assert_uint_eq(check.wrong != 0, w->wrong > wrong);
    ck_assert_mem_eq(out[0], at(0), s->coded);
    erasure_code_free(code);
}

START_TEST(whatever_a_kernel_for_whole_jobs_does_the_bits_are_right)
{
    struct rng r;
    struct whole w = {.deed = DEED_MAKE};
    rng_init(&r, unit_seed("whatever_a_kernel_for_whole_jobs_does_the_bits_are_right", 1));
    room = malloc((size_t)2 * SHARDS_MAX * CELL_BYTES_MAX);
    ck_assert_ptr_nonnull(room);
    for (unsigned round = 0; round < 120; round++) {
        struct stripe s;
        rng_init(&w.r, rng_next(&r));
        stripe_init(&s, &r);
        w.deed = (enum deed)(round % 4);
        code_both_ways(&w, &s);
    }
    free(room);
}
END_TEST

START_TEST(without_results_there_is_no_offer)
{
    const struct alloc heap = alloc_heap();
    struct whole w = {.deed = DEED_MAKE};
    const struct erasure_kernel kernel = {.ctx = &w, .whole = whole_code};
    struct erasure_code *code = NULL;
    struct erasure_check check;
    const uint8_t data[2][100] = {{1}, {2}};
    const struct bytes cells[2] = {bytes_of(data[0], 100), bytes_of(data[1], 100)};
    ck_assert_int_eq(erasure_code_new_with(&code, &heap, (struct erasure_scheme){2, 0}, kernel), 0);
    ck_assert_int_eq(erasure_encode(code, cells, NULL, 100, &check), 0);
    ck_assert_uint_eq(w.offered, 0);
    erasure_code_free(code);
}
END_TEST

UNIT_MAIN("erasure_whole", whatever_a_kernel_for_whole_jobs_does_the_bits_are_right,
          without_results_there_is_no_offer)
