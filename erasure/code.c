/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Codes. With G the (k + m) x k generator and d the data, the cells are G d. Any k cells are
 * A d, with A the k rows of G that made them; A can be inverted, so d = A^-1 (those cells), and a
 * wanted cell with row g of G is (g A^-1) (those cells). A plan holds the rows g A^-1. What a
 * kernel made is compared with its sources by fingerprints in coding.c.
 */
#include "base/num.h"
#include "compute/compute.h"
#include "compute/finger.h"
#include "erasure/erasure_internal.h"

#define TABLES_BYTES_MAX sizeof(((struct erasure_plan *)NULL)->tables)

_Static_assert(ERASURE_SHARDS_MAX == COMPUTE_RS_MAX, "shards are rows of the generator");
_Static_assert(TABLES_BYTES_MAX == COMPUTE_RS_TABLE_BYTES * 256u, "k * m <= 256 if k + m <= 32");

struct erasure_code {
    struct erasure_scheme scheme;
    struct alloc alloc;
    struct erasure_kernel kernel;
    uint8_t matrix[ERASURE_SHARDS_MAX * ERASURE_SHARDS_MAX]; /* (k + m) rows of k */
    uint8_t tables[TABLES_BYTES_MAX];                        /* of the parity rows */
};

int erasure_code_new(struct erasure_code **out, const struct alloc *alloc,
                     struct erasure_scheme scheme)
{
    const struct erasure_kernel none = {0};
    return erasure_code_new_with(out, alloc, scheme, none);
}

int erasure_code_new_with(struct erasure_code **out, const struct alloc *alloc,
                          struct erasure_scheme scheme, struct erasure_kernel kernel)
{
    TRY(erasure_scheme_check(scheme));
    struct erasure_code *code = alloc_get_zeroed(alloc, 1, sizeof(*code));
    if (code == NULL) {
        return ERR_NO_MEMORY;
    }
    code->scheme = scheme;
    code->alloc = *alloc;
    code->kernel = kernel;
    compute_rs_matrix(scheme.k, scheme.m, code->matrix);
    compute_rs_tables(scheme.k, scheme.m, code->matrix + (size_t)scheme.k * scheme.k, code->tables);
    *out = code;
    return 0;
}

void erasure_code_free(struct erasure_code *code)
{
    if (code == NULL) {
        return;
    }
    struct alloc alloc = code->alloc;
    alloc_put(&alloc, code, sizeof(*code));
}

struct erasure_scheme erasure_code_scheme(const struct erasure_code *code)
{
    return code->scheme;
}

void erasure_finger_follow(const struct erasure_code *code, const struct erasure_finger *data,
                           unsigned shard, struct erasure_finger *out)
{
    const unsigned k = code->scheme.k;
    struct erasure_finger sum = {{0}};
    ASSERT(shard < k + code->scheme.m);
    for (unsigned i = 0; i < k; i++) {
        compute_finger_combine(code->matrix[shard * k + i], data[i].bytes, sum.bytes);
    }
    *out = sum;
}

int erasure_encode(const struct erasure_code *code, const struct bytes *data,
                   uint8_t *const *parity, size_t coded_bytes, struct erasure_check *check)
{
    const unsigned k = code->scheme.k;
    struct erasure_coding c = {.k = k,
                               .rows = code->scheme.m,
                               .kernel = code->kernel,
                               .tables = code->tables,
                               .coefficients = code->matrix + (size_t)k * k};
    for (unsigned i = 0; i < k; i++) {
        ASSERT(data[i].size <= coded_bytes);
        c.source[i] = data[i];
        c.source_shard[i] = (uint8_t)i;
    }
    for (unsigned i = 0; i < c.rows; i++) {
        c.target[i] = parity[i];
        c.target_shard[i] = (uint8_t)(k + i);
    }
    return erasure_coding_run(&c, coded_bytes, check);
}

/* Chooses k sources from have, data first. returns: false if there are fewer. */
static bool choose_sources(struct erasure_plan *plan, unsigned shards, uint32_t have)
{
    unsigned found = 0;
    plan->sources = 0;
    for (unsigned shard = 0; shard < shards && found < plan->k; shard++) {
        if ((have >> shard & 1u) != 0) {
            plan->source[found] = (uint8_t)shard;
            plan->sources |= 1u << shard;
            found++;
        }
    }
    return found == plan->k;
}

/* row = g * inverse, over GF(2^8); g: the generator's row of the wanted shard. */
static void decode_row(const uint8_t *g, const uint8_t *inverse, unsigned k, uint8_t *row)
{
    for (unsigned column = 0; column < k; column++) {
        uint8_t sum = 0;
        for (unsigned j = 0; j < k; j++) {
            sum = (uint8_t)(sum ^ compute_gf_mul(g[j], inverse[j * k + column]));
        }
        row[column] = sum;
    }
}

int erasure_plan_make(const struct erasure_code *code, uint32_t have, uint32_t want,
                      struct erasure_plan *plan)
{
    const unsigned k = code->scheme.k;
    const unsigned shards = k + code->scheme.m;
    const uint32_t all = (uint32_t)((UINT64_C(1) << shards) - 1);
    if (want == 0 || (want & have) != 0 || ((want | have) & ~all) != 0) {
        return ERR_INVALID;
    }
    plan->k = (uint8_t)k;
    plan->wanted = want;
    if (!choose_sources(plan, shards, have)) {
        return ERR_LOST;
    }
    uint8_t chosen[ERASURE_SHARDS_MAX * ERASURE_SHARDS_MAX];
    uint8_t inverse[ERASURE_SHARDS_MAX * ERASURE_SHARDS_MAX];
    for (unsigned i = 0; i < k; i++) {
        memcpy(chosen + (size_t)i * k, code->matrix + (size_t)plan->source[i] * k, k);
    }
    ASSERT(compute_rs_invert(chosen, inverse, k));
    unsigned count = 0;
    for (unsigned shard = 0; shard < shards; shard++) {
        if ((want >> shard & 1u) != 0) {
            /* at most m, since want is disjoint from k that are had: rows and tables fit */
            ASSERT(count < code->scheme.m);
            plan->target[count] = (uint8_t)shard;
            decode_row(code->matrix + (size_t)shard * k, inverse, k,
                       plan->coefficients + (size_t)count * k);
            count++;
        }
    }
    plan->kernel = code->kernel;
    plan->rows = (uint8_t)count;
    compute_rs_tables(k, count, plan->coefficients, plan->tables);
    return 0;
}

int erasure_decode(const struct erasure_plan *plan, const struct bytes *cells, uint8_t *const *out,
                   size_t coded_bytes, struct erasure_check *check)
{
    struct erasure_coding c = {.k = plan->k,
                               .rows = plan->rows,
                               .kernel = plan->kernel,
                               .tables = plan->tables,
                               .coefficients = plan->coefficients};
    for (unsigned i = 0; i < c.k; i++) {
        c.source[i] = cells[plan->source[i]];
        c.source_shard[i] = plan->source[i];
        ASSERT(c.source[i].size <= coded_bytes);
    }
    for (unsigned i = 0; i < c.rows; i++) {
        c.target[i] = out[plan->target[i]];
        c.target_shard[i] = plan->target[i];
    }
    return erasure_coding_run(&c, coded_bytes, check);
}
