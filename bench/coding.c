/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One-core rates of what every object byte goes through: leaf hashes by each variant, encoding,
 * decoding, CRC32C; next to memcpy in the same run. Rounds go over all rows in turn, so that a busy
 * machine slows them alike; a row's ratio is the median over rounds of its rate to memcpy's in the
 * same round. Rates count user bytes: k cells for codes. Coding is measured as it is done, checked
 * by fingerprints, and by its kernel alone; the last column is the median over rounds of the ratio
 * of the times.
 *
 *   bench_coding [rounds]
 */
#include "base/crc.h"
#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "compute/finger.h"
#include "erasure/erasure.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS_DEFAULT 100u
#define ROUNDS_MAX 10000u
#define ROWS_MAX 32u
#define TABLES_BYTES (32u * 32u * COMPUTE_RS_TABLE_BYTES)
#define CELL_BYTES (1u << 20)
#define STRIDE_BYTES (CELL_BYTES + 4096u)
#define LEAVES 64u
#define SHARDS_MAX 11u
#define AREA_BYTES ((size_t)STRIDE_BYTES * 2u * SHARDS_MAX)

struct row {
    char name[48];
    size_t bytes; /* user bytes of one run */
    void (*run)(const struct row *row);
    enum compute_sha variant;
    struct erasure_code *code;
    struct erasure_plan plan;
    enum compute_finger_variant finger;
    bool hashed;    /* with the leaf hashes of the data, as a node does it */
    unsigned alone; /* row of the same kernel alone, + 1; 0: none */
    uint8_t *tables;
    unsigned stagger_bytes; /* 0: cells begin at whole pages */
};

struct bench {
    struct compute *compute;
    uint8_t *area;
    struct row rows[ROWS_MAX];
    unsigned rows_count;
    unsigned rounds;
    uint32_t sink; /* keeps checksums from being optimised away */
    double *rates; /* row by row, bytes a nanosecond */
};

static struct bench bench;

static uint64_t now_ns(void *ctx)
{
    struct timespec t;
    (void)ctx;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint8_t *cell_at(const struct row *row, unsigned i)
{
    return bench.area + (size_t)i * (STRIDE_BYTES + row->stagger_bytes);
}

static void run_memcpy(const struct row *row)
{
    memcpy(bench.area + AREA_BYTES / 2, bench.area, row->bytes);
}

static void run_crc(const struct row *row)
{
    for (size_t from = 0; from < row->bytes; from += COMPUTE_LEAF_BYTES) {
        bench.sink ^= crc_of(bench.area + from, COMPUTE_LEAF_BYTES);
    }
}

static void run_sha(const struct row *row)
{
    uint8_t hashes[LEAVES * COMPUTE_HASH_BYTES];
    compute_leaf_hashes_by(bench.compute, row->variant, bench.area, row->bytes, hashes);
}

static void run_sha_picked(const struct row *row)
{
    uint8_t hashes[LEAVES * COMPUTE_HASH_BYTES];
    compute_leaf_hashes(bench.compute, bench.area, row->bytes, hashes);
}

static void hash_data(const struct row *row)
{
    uint8_t hashes[LEAVES * COMPUTE_HASH_BYTES];
    const unsigned k = erasure_code_scheme(row->code).k;
    for (unsigned i = 0; i < k && row->hashed; i++) {
        compute_leaf_hashes(bench.compute, cell_at(row, i), CELL_BYTES, hashes);
    }
}

static void run_encode(const struct row *row)
{
    hash_data(row);
    struct bytes data[SHARDS_MAX];
    uint8_t *parity[SHARDS_MAX];
    const struct erasure_scheme scheme = erasure_code_scheme(row->code);
    for (unsigned i = 0; i < scheme.k; i++) {
        data[i] = bytes_of(cell_at(row, i), CELL_BYTES);
    }
    for (unsigned i = 0; i < scheme.m; i++) {
        parity[i] = cell_at(row, scheme.k + i);
    }
    struct erasure_check check;
    ASSERT(erasure_encode(row->code, data, parity, CELL_BYTES, &check) == 0);
    ASSERT(check.wrong == 0);
}

/* What erasure_encode does between its checks. */
static void run_kernel(const struct row *row)
{
    hash_data(row);
    const uint8_t *data[SHARDS_MAX];
    uint8_t *parity[SHARDS_MAX];
    const struct erasure_scheme scheme = erasure_code_scheme(row->code);
    for (unsigned i = 0; i < scheme.k; i++) {
        data[i] = cell_at(row, i);
    }
    for (unsigned i = 0; i < scheme.m; i++) {
        parity[i] = cell_at(row, scheme.k + i);
    }
    const struct compute_rs_job job = {.k = scheme.k,
                                       .rows = scheme.m,
                                       .tables = row->tables,
                                       .data = data,
                                       .coded = parity,
                                       .bytes = CELL_BYTES};
    compute_rs_encode(&job);
}

static void run_finger(const struct row *row)
{
    struct compute_finger f;
    uint8_t out[COMPUTE_FINGER_BYTES];
    compute_finger_init_by(&f, row->finger);
    compute_finger_add(&f, bench.area, row->bytes);
    compute_finger_end(&f, out);
    bench.sink ^= out[0];
}

/* Rebuilds the first m data cells from all that is left. */
static void run_decode(const struct row *row)
{
    struct bytes cells[SHARDS_MAX];
    uint8_t *out[SHARDS_MAX] = {NULL};
    const struct erasure_scheme scheme = erasure_code_scheme(row->code);
    const unsigned shards = (unsigned)scheme.k + scheme.m;
    for (unsigned i = 0; i < shards; i++) {
        cells[i] = bytes_of(cell_at(row, i), CELL_BYTES);
        out[i] = i < scheme.m ? cell_at(row, shards + i) : NULL;
    }
    struct erasure_check check;
    ASSERT(erasure_decode(&row->plan, cells, out, CELL_BYTES, &check) == 0);
    ASSERT(check.wrong == 0);
}

static struct row *add(size_t bytes, void (*run)(const struct row *row), const char *name)
{
    ASSERT(bench.rows_count < ROWS_MAX);
    struct row *row = &bench.rows[bench.rows_count++];
    row->bytes = bytes;
    row->run = run;
    row->stagger_bytes = 832; /* an odd multiple of 64 */
    (void)snprintf(row->name, sizeof(row->name), "%s", name);
    return row;
}

/* The rows of a code's kernel alone and of coding, with leaf hashes. */
static void add_hashed(const struct row *coding, unsigned alone)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "leaf hashes and %s", bench.rows[alone - 1].name);
    struct row *row = add(coding->bytes, run_kernel, name);
    row->code = coding->code;
    row->tables = bench.rows[alone - 1].tables;
    row->hashed = true;
    const unsigned hashed = bench.rows_count;
    (void)snprintf(name, sizeof(name), "leaf hashes and %s", coding->name);
    row = add(coding->bytes, run_encode, name);
    row->code = coding->code;
    row->hashed = true;
    row->alone = hashed;
}

static void add_code(uint8_t k, uint8_t m)
{
    const struct alloc heap = alloc_heap();
    const uint32_t lost = (1u << m) - 1;
    struct erasure_code *code = NULL;
    char name[40];
    ASSERT(erasure_code_new(&code, &heap, (struct erasure_scheme){k, m}) == 0);
    (void)snprintf(name, sizeof(name), "encode %u+%u, kernel alone", k, m);
    struct row *row = add((size_t)k * CELL_BYTES, run_kernel, name);
    row->code = code;
    row->tables = malloc(TABLES_BYTES);
    ASSERT(row->tables != NULL);
    uint8_t matrix[32 * 32];
    compute_rs_matrix(k, m, matrix);
    compute_rs_tables(k, m, matrix + (size_t)k * k, row->tables);
    const unsigned alone = bench.rows_count;
    (void)snprintf(name, sizeof(name), "encode %u+%u", k, m);
    row = add((size_t)k * CELL_BYTES, run_encode, name);
    row->code = code;
    row->alone = alone;
    add_hashed(row, alone);
    (void)snprintf(name, sizeof(name), "encode %u+%u, page-aligned cells", k, m);
    row = add((size_t)k * CELL_BYTES, run_encode, name);
    row->code = code;
    row->stagger_bytes = 0;
    (void)snprintf(name, sizeof(name), "decode %u+%u, %u cells lost", k, m, m);
    row = add((size_t)k * CELL_BYTES, run_decode, name);
    row->code = code;
    ASSERT(erasure_plan_make(code, ((1u << (k + m)) - 1) & ~lost, lost, &row->plan) == 0);
}

static void add_rows(void)
{
    add(4u * CELL_BYTES, run_memcpy, "memcpy");
    add(4u * CELL_BYTES, run_crc, "crc32c, 16 KiB blocks");
    for (enum compute_sha v = COMPUTE_SHA_PLAIN; v < COMPUTE_SHA_COUNT; v++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "leaf hashes, %s", compute_sha_name(v));
        if (compute_sha_runs(v)) {
            add((size_t)LEAVES * COMPUTE_LEAF_BYTES, run_sha, name)->variant = v;
        }
    }
    add((size_t)LEAVES * COMPUTE_LEAF_BYTES, run_sha_picked, "leaf hashes, as picked, 64");
    add(4u * COMPUTE_LEAF_BYTES, run_sha_picked, "leaf hashes, as picked, 4");
    for (enum compute_finger_variant v = COMPUTE_FINGER_PLAIN; v < COMPUTE_FINGER_COUNT; v++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "fingerprint, %s", compute_finger_name(v));
        if (compute_finger_runs(v)) {
            add(4u * CELL_BYTES, run_finger, name)->finger = v;
        }
    }
    add_code(3, 2);
    add_code(4, 2);
    add_code(8, 3);
}

static void measure(void)
{
    for (unsigned round = 0; round < bench.rounds; round++) {
        for (unsigned i = 0; i < bench.rows_count; i++) {
            const struct row *row = &bench.rows[i];
            row->run(row); /* caches as this row leaves them, not as the one before did */
            row->run(row);
            uint64_t start = now_ns(NULL);
            row->run(row);
            uint64_t took = NUM_MAX(now_ns(NULL) - start, 1);
            bench.rates[(size_t)i * bench.rounds + round] = (double)row->bytes / (double)took;
        }
    }
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The rate that `percent` of the rounds reached or passed. values: sorted. */
static double reached_by(const double *values, unsigned percent)
{
    return values[(size_t)(100 - percent) * (bench.rounds - 1) / 100];
}

/* Ends a line: the time of row i over that of its kernel alone. ratios: room for all rounds. */
static void report_alone(unsigned i, double *ratios)
{
    if (bench.rows[i].alone == 0) {
        printf("\n");
        return;
    }
    const double *own = bench.rates + (size_t)i * bench.rounds;
    const double *alone = bench.rates + (size_t)(bench.rows[i].alone - 1) * bench.rounds;
    for (unsigned round = 0; round < bench.rounds; round++) {
        ratios[round] = alone[round] / own[round];
    }
    qsort(ratios, bench.rounds, sizeof(*ratios), by_size);
    printf(" %12.3f\n", reached_by(ratios, 50));
}

static void report(void)
{
    char text[300];
    double *sorted = calloc(bench.rounds, sizeof(*sorted));
    double *ratios = calloc(bench.rounds, sizeof(*ratios));
    ASSERT(sorted != NULL && ratios != NULL);
    compute_explain(bench.compute, text, sizeof(text));
    printf("%u rounds; hashing: %s\n", bench.rounds, text);
    printf("%-44s %10s %10s %12s %12s\n", "", "p50 GB/s", "p99 GB/s", "of memcpy", "of alone");
    for (unsigned i = 0; i < bench.rows_count; i++) {
        for (unsigned round = 0; round < bench.rounds; round++) {
            sorted[round] = bench.rates[(size_t)i * bench.rounds + round];
            ratios[round] = sorted[round] / bench.rates[round];
        }
        qsort(sorted, bench.rounds, sizeof(*sorted), by_size);
        qsort(ratios, bench.rounds, sizeof(*ratios), by_size);
        printf("%-44s %10.2f %10.2f %12.3f", bench.rows[i].name, reached_by(sorted, 50),
               reached_by(sorted, 99), reached_by(ratios, 50));
        report_alone(i, ratios);
    }
    free(sorted);
    free(ratios);
}

int main(int argc, char **argv)
{
    const struct alloc heap = alloc_heap();
    struct rng r;
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : (long)ROUNDS_DEFAULT;
    if (rounds < 1 || rounds > (long)ROUNDS_MAX) {
        (void)fprintf(stderr, "usage: bench_coding [rounds, 1 to %u]\n", ROUNDS_MAX);
        return 2;
    }
    bench.rounds = (unsigned)rounds;
    bench.area = aligned_alloc(4096, AREA_BYTES);
    bench.rates = calloc((size_t)bench.rounds * ROWS_MAX, sizeof(*bench.rates));
    if (bench.area == NULL || bench.rates == NULL ||
        compute_new(&bench.compute, &heap, NULL) != 0) {
        (void)fprintf(stderr, "out of memory\n");
        return 1;
    }
    rng_init(&r, 1);
    rng_fill(&r, bench.area, AREA_BYTES);
    compute_tune(bench.compute, now_ns, NULL);
    add_rows();
    measure();
    report();
    for (unsigned i = 0; i < bench.rows_count; i++) {
        if (!bench.rows[i].hashed) {
            free(bench.rows[i].tables);
        }
        if (bench.rows[i].run == run_decode) {
            erasure_code_free(bench.rows[i].code); /* shared with its encoding rows */
        }
    }
    compute_free(bench.compute);
    free(bench.area);
    free(bench.rates);
    return 0;
}
