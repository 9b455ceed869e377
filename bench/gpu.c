/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The kernels of the first device that is not too old: all of them against their plain twins, bit
 * for bit, then their rates in device memory next to the rate of a copy in the same run. Bytes of a
 * copy are those read and those written; of a code, of all data and parity cells; of leaf hashes,
 * of leaves and hashes; of fingerprints, of a column; of sums and reductions, of values; of scans
 * and sorts, of all that comes and goes. The exact sum is also compared with CUB's plain one, and
 * whole jobs with the link to the device (bench/gpu_pipe.h). Rounds go over all rows in turn; rates
 * and ratios are medians over them. Without a plug-in or a device it says why, and ends well.
 *
 *   bench_gpu [PLUGIN [SEED]]   the shared object, by default the one of this build; of what is
 *                               compared in small lanes
 */
#include "base/num.h"
#include "base/rng.h"
#include "bench/gpu_peer.h"
#include "bench/gpu_pipe.h"
#include "compute/compute.h"
#include "compute/finger.h"
#include "gpu/load.h"
#include "gpu/sum.h"
#include "gpu/sum_internal.h"
#include "tests/unit/gpu/twins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 15u
#define RUNS_A_ROUND 10u
#define ROWS_MAX 20u
#define LANE_BYTES_MAX ((size_t)1 << 30)
/* What a lane has if nobody asks for another size. */
#define PIPE_LANE_BYTES_MAX ((size_t)32 << 20)
#define PIPE_BYTES_MAX ((size_t)512 << 20)
#define CAPABILITY_MIN 8u
#define SUM_GOAL 0.85
#define CELL_BYTES 1000003u /* whole columns and a rest */
#define CELLS_MAX 32u
#define AREA_BYTES ((size_t)3 * CELLS_MAX * CELL_BYTES)
#define LEAF_BYTES_ALL (CELL_BYTES * 8u)
#define VALUES (CELL_BYTES * 4u)

struct row {
    char name[40];
    bool is_peer; /* CUB's sum; else: */
    enum gpu_kernel kernel;
    unsigned k;
    unsigned rows;
    uint8_t coefficients[GPU_RS_MAX * GPU_RS_MAX];
};

struct bench {
    const struct gpu_table *table;
    unsigned device;
    unsigned long long seed;
    struct gpu *gpu;
    struct gpu_peer *peer; /* NULL: there is none */
    uint8_t *area;         /* CELLS_MAX sources, as many results, as many of the twin */
    struct row rows[ROWS_MAX];
    unsigned rows_count;
    unsigned sum_row; /* which of them is the exact sum */
    unsigned peer_row;
    double rates[ROWS_MAX][ROUNDS]; /* bytes a second */
};

static struct bench bench;

static int no_device(const char *why)
{
    printf("no device: %s\n", why);
    return 0;
}

static int broken(const char *what)
{
    (void)fprintf(stderr, "bench_gpu: %s: %s\n", what, bench.table->failure(bench.gpu));
    return 1;
}

static struct row *add(enum gpu_kernel kernel, const char *name)
{
    ASSERT(bench.rows_count < ROWS_MAX);
    struct row *row = &bench.rows[bench.rows_count++];
    row->kernel = kernel;
    (void)snprintf(row->name, sizeof(row->name), "%s", name);
    return row;
}

static void add_code(unsigned k, unsigned m)
{
    uint8_t matrix[GPU_RS_MAX * GPU_RS_MAX];
    struct row *row = add(GPU_KERNEL_RS, "");
    (void)snprintf(row->name, sizeof(row->name), "encode %u+%u", k, m);
    row->k = k;
    row->rows = m;
    compute_rs_matrix(k, m, matrix);
    memcpy(row->coefficients, matrix + (size_t)k * k, (size_t)m * k);
}

/* A matrix that no kernel was compiled for. */
static void add_random(unsigned k, unsigned m)
{
    struct rng r;
    struct row *row = add(GPU_KERNEL_RS, "");
    (void)snprintf(row->name, sizeof(row->name), "random matrix, %u rows of %u", m, k);
    row->k = k;
    row->rows = m;
    rng_init(&r, 1);
    rng_fill(&r, row->coefficients, sizeof(row->coefficients));
}

static void add_rows(void)
{
    add(GPU_KERNEL_COPY, "copy");
    add_code(4, 2);
    add_code(8, 3);
    add_code(10, 4);
    add_code(16, 16);
    add_random(4, 2);
    add_random(10, 4);
    add_random(12, 8);
    add(GPU_KERNEL_LEAVES, "leaf hashes");
    add(GPU_KERNEL_FINGERS, "fingerprints");
    bench.sum_row = bench.rows_count;
    add(GPU_KERNEL_SUM, "exact sum of doubles");
    add(GPU_KERNEL_REDUCE, "sum of whole numbers");
    add(GPU_KERNEL_SCAN, "running sum of whole numbers");
    add(GPU_KERNEL_SORT, "sort of random keys");
    add(GPU_KERNEL_GROUPS, "groups, all keys differ");
}

static uint8_t *cell(unsigned part, unsigned i)
{
    return bench.area + ((size_t)part * CELLS_MAX + i) * CELL_BYTES;
}

/* returns: whether the device gave the twin's bits; or -1 if it failed. */
static int compare_code(const struct row *row)
{
    const uint8_t *data[CELLS_MAX];
    uint8_t *coded[CELLS_MAX];
    uint8_t *plain[CELLS_MAX];
    for (unsigned i = 0; i < CELLS_MAX; i++) {
        data[i] = cell(0, i);
        coded[i] = cell(1, i);
        plain[i] = cell(2, i);
    }
    const struct gpu_rs_job job = {.k = row->k,
                                   .rows = row->rows,
                                   .coefficients = row->coefficients,
                                   .data = data,
                                   .coded = coded,
                                   .bytes = CELL_BYTES};
    const struct compute_rs_job twin = {row->k, row->rows, NULL, data, plain, CELL_BYTES};
    if (bench.table->rs(bench.gpu, &job) != 0) {
        return -1;
    }
    compute_rs_encode_plain(&twin, row->coefficients);
    bool same = true;
    for (unsigned i = 0; i < row->rows; i++) {
        same = same && memcmp(coded[i], plain[i], CELL_BYTES) == 0;
    }
    return same;
}

static int compare_leaves(void)
{
    uint8_t *hashes = cell(1, 0);
    uint8_t *twin = cell(2, 0);
    const size_t leaves = (size_t)compute_leaves_of(LEAF_BYTES_ALL);
    if (bench.table->leaf_hashes(bench.gpu, bench.area, LEAF_BYTES_ALL, hashes) != 0) {
        return -1;
    }
    for (size_t i = 0; i < leaves; i++) {
        const size_t from = i * COMPUTE_LEAF_BYTES;
        const size_t left = LEAF_BYTES_ALL - from;
        compute_leaf_hash(bench.area + from, NUM_MIN(left, (size_t)COMPUTE_LEAF_BYTES),
                          twin + i * COMPUTE_HASH_BYTES);
    }
    return memcmp(hashes, twin, leaves * COMPUTE_HASH_BYTES) == 0;
}

static int compare_fingers(void)
{
    const uint8_t *data[CELLS_MAX];
    uint8_t fingers[CELLS_MAX * GPU_FINGER_BYTES];
    uint8_t twin[GPU_FINGER_BYTES];
    struct compute_finger f;
    bool same = true;
    for (unsigned i = 0; i < CELLS_MAX; i++) {
        data[i] = cell(0, i);
    }
    const struct gpu_rs_job job = {
        .k = CELLS_MAX, .data = data, .bytes = CELL_BYTES, .fingers = fingers};
    if (bench.table->rs(bench.gpu, &job) != 0) {
        return -1;
    }
    for (unsigned i = 0; i < CELLS_MAX; i++) {
        compute_finger_init_by(&f, COMPUTE_FINGER_PLAIN);
        compute_finger_add(&f, data[i], CELL_BYTES);
        compute_finger_end(&f, twin);
        same = same && memcmp(twin, fingers + (size_t)i * GPU_FINGER_BYTES, sizeof(twin)) == 0;
    }
    return same;
}

/* Rounded, a sum shows nothing of what is far below its greatest value: encodings are compared.
 * returns: whether they are the same; -1 if the device failed. */
static int compare_sum_of(const double *values)
{
    const struct alloc heap = alloc_heap();
    struct compute_exact sum;
    struct compute_exact twin;
    struct buf a;
    struct buf b;
    compute_exact_init(&sum);
    compute_exact_init(&twin);
    if (gpu_sum_add_f64s(bench.table, bench.gpu, &sum, values, VALUES) != 0) {
        return -1;
    }
    compute_exact_add_f64s_by(COMPUTE_LANES_PLAIN, &twin, values, VALUES);
    buf_init(&a, &heap, COMPUTE_EXACT_ENCODED_MAX);
    buf_init(&b, &heap, COMPUTE_EXACT_ENCODED_MAX);
    const int same = compute_exact_encode(&sum, &a) == 0 && compute_exact_encode(&twin, &b) == 0 &&
                     bytes_equal(buf_view(&a), buf_view(&b));
    buf_release(&a);
    buf_release(&b);
    return same;
}

/* Values of a normal kind alone, and with a few among them that a device leaves to the host. */
static int compare_sums(void)
{
    struct rng r;
    double *values = (double *)(void *)bench.area;
    rng_init(&r, 3);
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = (double)(int64_t)rng_next(&r) * 0x1p-60;
    }
    const int same = compare_sum_of(values);
    for (size_t i = 999982; i < VALUES && same == 1; i += 999983) {
        values[i] *= 0x1p260;
    }
    return same == 1 ? compare_sum_of(values) : same;
}

static int compare(const struct row *row)
{
    switch (row->kernel) {
    case GPU_KERNEL_RS: return compare_code(row);
    case GPU_KERNEL_LEAVES: return compare_leaves();
    case GPU_KERNEL_SUM: return compare_sums();
    case GPU_KERNEL_FINGERS: return compare_fingers();
    default: break;
    }
    return 1;
}

/* returns: 0, or the program's exit status. */
static int compare_all(void)
{
    for (unsigned i = 0; i < bench.rows_count; i++) {
        const struct row *row = &bench.rows[i];
        if (row->kernel == GPU_KERNEL_COPY || row->kernel >= GPU_KERNEL_REDUCE || row->is_peer) {
            continue; /* arrays are compared with the kernels in small lanes */
        }
        const int same = compare(row);
        if (same < 0) {
            return broken(row->name);
        }
        printf("%-28s %s\n", row->name, same != 0 ? "the bits of the plain twin" : "OTHER BITS");
        if (same == 0) {
            return 1;
        }
    }
    return 0;
}

/* values_bytes: of what the peer adds up. returns: whether the device ran the rounds of a row. */
static bool rate_of(const struct row *row, size_t values_bytes, struct gpu_rate *out)
{
    char why[GPU_PEER_WHY_BYTES];
    const bool has_keys = row->kernel == GPU_KERNEL_SORT || row->kernel == GPU_KERNEL_GROUPS;
    const struct gpu_rate_job job = {.kernel = row->kernel,
                                     .rounds = RUNS_A_ROUND,
                                     .k = row->k,
                                     .rows = row->rows,
                                     .coefficients = row->coefficients,
                                     .fill = has_keys ? bench.area : NULL,
                                     .fill_bytes = AREA_BYTES};
    if (row->is_peer) {
        out->bytes = (uint64_t)values_bytes * RUNS_A_ROUND;
        if (!gpu_peer_sum(bench.peer, RUNS_A_ROUND, &out->seconds, why)) {
            (void)fprintf(stderr, "bench_gpu: %s: %s\n", row->name, why);
            return false;
        }
        return true;
    }
    if (bench.table->rate(bench.gpu, &job, out) != 0) {
        (void)broken(row->name);
        return false;
    }
    if (row->kernel == GPU_KERNEL_SUM) {
        out->bytes = out->bytes / (GPU_SUM_TILE_BYTES + GPU_SUM_RESULT_BYTES) * GPU_SUM_TILE_BYTES;
    }
    return true;
}

static int measure(size_t values_bytes)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < bench.rows_count; i++) {
            struct gpu_rate rate;
            if (!rate_of(&bench.rows[i], values_bytes, &rate)) {
                return 1;
            }
            bench.rates[i][round] = (double)rate.bytes / rate.seconds;
        }
    }
    return 0;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double values[ROUNDS])
{
    double sorted[ROUNDS];
    memcpy(sorted, values, sizeof(sorted));
    qsort(sorted, ROUNDS, sizeof(*sorted), by_size);
    return sorted[ROUNDS / 2];
}

/* returns: the median over rounds of a row's rate in the other's. */
static double ratio(unsigned row, unsigned other)
{
    double ratios[ROUNDS];
    for (unsigned round = 0; round < ROUNDS; round++) {
        ratios[round] = bench.rates[row][round] / bench.rates[other][round];
    }
    return median(ratios);
}

static void report(size_t lane_bytes)
{
    printf("\nin device memory, %zu KiB a run, medians of %u rounds of %u runs\n", lane_bytes >> 10,
           ROUNDS, RUNS_A_ROUND);
    printf("%-28s %10s %10s\n", "", "GB/s", "of copy");
    for (unsigned i = 0; i < bench.rows_count; i++) {
        printf("%-28s %10.1f %10.3f\n", bench.rows[i].name, median(bench.rates[i]) / 1e9,
               ratio(i, 0));
    }
    if (bench.peer != NULL) {
        const double of_peer = ratio(bench.sum_row, bench.peer_row);
        printf("the exact sum has %.3f of the rate of CUB's plain one; goal: at least %.2f%s\n",
               of_peer, SUM_GOAL, of_peer < SUM_GOAL ? "; below the goal" : "");
    }
}

/* Opens the device with lanes of its own, for the next part. returns: whether there is one. */
static bool open_lanes(size_t lane_bytes, unsigned lanes)
{
    const struct gpu_settings s = {.lane_bytes = lane_bytes, .lanes = lanes};
    char why[GPU_WHY_BYTES];
    if (bench.table->open(&bench.gpu, bench.device, &s, why, sizeof(why)) != 0) {
        (void)fprintf(stderr, "bench_gpu: %s\n", why);
        return false;
    }
    return true;
}

/* Not having one is no failure: the plug-in may be one that emulates a device. */
static void open_peer(const struct gpu_peer_settings *s)
{
    char why[GPU_PEER_WHY_BYTES];
    bench.peer = NULL;
    if (!gpu_peer_open(&bench.peer, s, why)) {
        bench.peer = NULL;
        printf("nothing to compare with: %s\n", why);
    }
}

static void close_all(void)
{
    bench.table->close(bench.gpu);
    if (bench.peer != NULL) {
        gpu_peer_close(bench.peer);
    }
    bench.peer = NULL;
}

/* Every kernel in the smallest lanes, then those that are measured, in lanes so small that pieces
 * follow one another. */
static int compare_twins(size_t fits)
{
    char said[TWINS_SAID_BYTES];
    if (!twins_agree(bench.table, bench.device, bench.seed, said)) {
        (void)fprintf(stderr, "bench_gpu: seed %llu: %s\n", bench.seed, said);
        return 1;
    }
    printf("%-28s the bits of the plain twins (seed %llu)\n", "all kernels, smallest lanes",
           bench.seed);
    if (!open_lanes(NUM_MIN(fits, (size_t)4 << 20), 3)) {
        return 1;
    }
    const int status = compare_all();
    close_all();
    return status;
}

/* One lane that no cache of a device holds. */
static int measure_rates(size_t fits)
{
    const size_t bytes = NUM_MIN(fits, LANE_BYTES_MAX);
    open_peer(&(struct gpu_peer_settings){.device = bench.device,
                                          .values_bytes = bytes,
                                          .lane_bytes = GPU_LANE_BYTES_MIN,
                                          .lanes = 1});
    if (bench.peer != NULL) {
        bench.peer_row = bench.rows_count;
        add(GPU_KERNEL_SUM, "plain sum of doubles by CUB")->is_peer = true;
    }
    if (!open_lanes(bytes, 1)) {
        return 1;
    }
    const int status = measure(bytes);
    if (status == 0) {
        report(bytes);
    }
    close_all();
    return status;
}

static int measure_pipes(size_t fits)
{
    const size_t lane_bytes = NUM_MIN(fits, PIPE_LANE_BYTES_MAX);
    if (!open_lanes(lane_bytes, GPU_PIPE_LANES)) {
        return 1;
    }
    open_peer(&(struct gpu_peer_settings){.device = bench.device,
                                          .values_bytes = lane_bytes,
                                          .lane_bytes = lane_bytes,
                                          .lanes = GPU_PIPE_LANES});
    const struct gpu_pipe pipe = {.table = bench.table,
                                  .gpu = bench.gpu,
                                  .peer = bench.peer,
                                  .lane_bytes = lane_bytes,
                                  .bytes = NUM_MIN(8 * fits, PIPE_BYTES_MAX)};
    const int status = gpu_pipe_measure(&pipe);
    close_all();
    return status;
}

static int use(const struct gpu_device *about)
{
    const size_t fits = (size_t)(about->memory_bytes / 4);
    int status = compare_twins(fits);
    if (status == 0) {
        status = measure_rates(fits);
    }
    return status != 0 ? status : measure_pipes(fits);
}

/* Takes the first device that a plug-in does not refuse for its age. out: count, if there is none.
 * returns: 0, or the program's exit status. */
static int choose(unsigned count, unsigned *out, struct gpu_device *about)
{
    char why[GPU_WHY_BYTES];
    for (*out = 0; *out < count; ++*out) {
        if (bench.table->describe(*out, about, why, sizeof(why)) != 0) {
            (void)fprintf(stderr, "bench_gpu: %s\n", why);
            return 1;
        }
        printf("device %u: %s, compute capability %u.%u, %.1f GiB%s\n", *out, about->name,
               about->major, about->minor, (double)about->memory_bytes / (double)(1u << 30),
               about->major < CAPABILITY_MIN ? ": too old" : "");
        if (about->major >= CAPABILITY_MIN) {
            return 0;
        }
    }
    return 0;
}

static int run(void)
{
    char why[GPU_WHY_BYTES];
    struct gpu_device about;
    struct rng r;
    unsigned count = 0;
    bench.table->probe(&count, why, sizeof(why));
    if (count == 0) {
        return no_device(why);
    }
    if (choose(count, &bench.device, &about) != 0) {
        return 1;
    }
    if (bench.device == count) {
        return no_device("none of them has compute capability 8.0 or later");
    }
    bench.area = malloc(AREA_BYTES);
    if (bench.area == NULL) {
        (void)fprintf(stderr, "bench_gpu: out of memory\n");
        return 1;
    }
    rng_init(&r, 2);
    rng_fill(&r, bench.area, AREA_BYTES);
    add_rows();
    const int status = use(&about);
    free(bench.area);
    return status;
}

int main(int argc, char **argv)
{
    struct gpu_plugin plugin;
    struct err_info why;
    if (argc > 3) {
        (void)fprintf(stderr, "usage: bench_gpu [PLUGIN [SEED]]\n");
        return 2;
    }
    bench.seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (unsigned long long)time(NULL);
    const char *path = argc > 1 ? argv[1] : BENCH_GPU_PLUGIN;
    if (path[0] == '\0') {
        return no_device("no plug-in was built here");
    }
    const int err = gpu_load(&plugin, path, &why);
    if (err == ERR_NOT_FOUND) {
        return no_device(why.text);
    }
    if (err != 0) {
        (void)fprintf(stderr, "bench_gpu: %s\n", why.text);
        return 1;
    }
    bench.table = plugin.table;
    const int status = run();
    gpu_unload(&plugin);
    return status;
}
