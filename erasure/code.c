/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Codes. With G the (k + m) x k generator and d the data, the cells are G d. Any k cells are
 * A d, with A the k rows of G that made them; A can be inverted, so d = A^-1 (those cells), and a
 * wanted cell with row g of G is (g A^-1) (those cells). A plan holds the rows g A^-1.
 */
#include "base/num.h"
#include "compute/compute.h"
#include "erasure/erasure.h"

#define ZERO_BYTES 16384u
#define TABLES_BYTES_MAX sizeof(((struct erasure_plan *)NULL)->tables)

_Static_assert(ERASURE_SHARDS_MAX == COMPUTE_RS_MAX, "shards are rows of the generator");
_Static_assert(TABLES_BYTES_MAX == COMPUTE_RS_TABLE_BYTES * 256u, "k * m <= 256 if k + m <= 32");

struct erasure_code {
    struct erasure_scheme scheme;
    struct alloc alloc;
    uint8_t matrix[ERASURE_SHARDS_MAX * ERASURE_SHARDS_MAX]; /* (k + m) rows of k */
    uint8_t tables[TABLES_BYTES_MAX];                        /* of the parity rows */
};

/* What the missing ends of short cells are read from. */
static const uint8_t zeros[ZERO_BYTES];

int erasure_code_new(struct erasure_code **out, const struct alloc *alloc,
                     struct erasure_scheme scheme)
{
    TRY(erasure_scheme_check(scheme));
    struct erasure_code *code = alloc_get_zeroed(alloc, 1, sizeof(*code));
    if (code == NULL) {
        return ERR_NO_MEMORY;
    }
    code->scheme = scheme;
    code->alloc = *alloc;
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

/* Sources and results of a coding, before short sources are padded. */
struct coding {
    unsigned k;
    unsigned rows;
    const uint8_t *tables;
    struct bytes source[ERASURE_SHARDS_MAX];
    uint8_t *target[ERASURE_SHARDS_MAX];
};

/* Codes run by run of columns: within a run every source is either there or zeros, so that short
 * cells are padded without copying them. */
static void run_coding(const struct coding *c, size_t coded_bytes)
{
    const uint8_t *data[ERASURE_SHARDS_MAX];
    uint8_t *coded[ERASURE_SHARDS_MAX];
    size_t run = 0;
    for (size_t from = 0; from < coded_bytes; from += run) {
        run = coded_bytes - from;
        for (unsigned i = 0; i < c->k; i++) {
            const bool there = from < c->source[i].size;
            size_t limit = there ? c->source[i].size - from : ZERO_BYTES;
            data[i] = there ? c->source[i].data + from : zeros;
            run = NUM_MIN(run, limit);
        }
        for (unsigned i = 0; i < c->rows; i++) {
            coded[i] = c->target[i] + from;
        }
        const struct compute_rs_job job = {.k = c->k,
                                           .rows = c->rows,
                                           .tables = c->tables,
                                           .data = data,
                                           .coded = coded,
                                           .bytes = run};
        compute_rs_encode(&job);
    }
}

void erasure_encode(const struct erasure_code *code, const struct bytes *data,
                    uint8_t *const *parity, size_t coded_bytes)
{
    struct coding c = {.k = code->scheme.k, .rows = code->scheme.m, .tables = code->tables};
    for (unsigned i = 0; i < c.k; i++) {
        ASSERT(data[i].size <= coded_bytes);
        c.source[i] = data[i];
    }
    for (unsigned i = 0; i < c.rows; i++) {
        c.target[i] = parity[i];
    }
    run_coding(&c, coded_bytes);
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
    uint8_t rows[ERASURE_SHARDS_MAX * ERASURE_SHARDS_MAX];
    for (unsigned i = 0; i < k; i++) {
        memcpy(chosen + (size_t)i * k, code->matrix + (size_t)plan->source[i] * k, k);
    }
    ASSERT(compute_rs_invert(chosen, inverse, k));
    unsigned count = 0;
    for (unsigned shard = 0; shard < shards; shard++) {
        if ((want >> shard & 1u) != 0) {
            plan->target[count] = (uint8_t)shard;
            decode_row(code->matrix + (size_t)shard * k, inverse, k, rows + (size_t)count * k);
            count++;
        }
    }
    /* at most m, since want is disjoint from k that are had: the tables fit */
    ASSERT(count <= code->scheme.m);
    plan->rows = (uint8_t)count;
    compute_rs_tables(k, count, rows, plan->tables);
    return 0;
}

void erasure_decode(const struct erasure_plan *plan, const struct bytes *cells, uint8_t *const *out,
                    size_t coded_bytes)
{
    struct coding c = {.k = plan->k, .rows = plan->rows, .tables = plan->tables};
    for (unsigned i = 0; i < c.k; i++) {
        c.source[i] = cells[plan->source[i]];
        ASSERT(c.source[i].size <= coded_bytes);
    }
    for (unsigned i = 0; i < c.rows; i++) {
        c.target[i] = out[plan->target[i]];
    }
    run_coding(&c, coded_bytes);
}
