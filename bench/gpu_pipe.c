/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/gpu_pipe.h"

#include "base/num.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "gpu/sum.h"
#include "gpu/sum_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 9u
#define JOBS_MAX 9u
#define K_MAX 16u
#define GOAL 0.85

/* What is timed for each job. */
enum leg { LEG_JOB, LEG_LINK, LEG_HOST, LEGS };

struct job {
    const char *name;
    enum gpu_kernel kernel;
    unsigned k; /* these three: of a code */
    unsigned rows;
    uint8_t *fingers; /* NULL: not asked for */
    uint8_t coefficients[K_MAX * K_MAX];
    struct gpu_peer_flow flow;
    double seconds[LEGS][ROUNDS];
};

struct pipe {
    const struct gpu_pipe *with;
    struct job job[JOBS_MAX];
    unsigned jobs;
    uint8_t *sources; /* with->bytes, and as much for results and for what stands for a lane */
    uint8_t *results;
    uint8_t *lane;
    uint8_t fingers[2 * K_MAX * GPU_FINGER_BYTES];
    char why[GPU_PEER_WHY_BYTES];
};

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* in, out: bytes of a whole job, which the flow spreads over pieces of about a lane each. */
static struct gpu_peer_flow flow_of(const struct pipe *p, size_t in, size_t out)
{
    const size_t pieces = (size_t)num_div_up(in + out, p->with->lane_bytes);
    return (struct gpu_peer_flow){
        .pieces = pieces, .in_bytes = in / pieces, .out_bytes = out / pieces};
}

static struct job *add(struct pipe *p, const char *name, enum gpu_kernel kernel)
{
    ASSERT(p->jobs < JOBS_MAX);
    struct job *job = &p->job[p->jobs++];
    job->name = name;
    job->kernel = kernel;
    return job;
}

static void add_code(struct pipe *p, const char *name, unsigned k, unsigned m, bool is_random)
{
    uint8_t matrix[GPU_RS_MAX * GPU_RS_MAX];
    struct rng r;
    struct job *job = add(p, name, GPU_KERNEL_RS);
    const size_t cell = p->with->bytes / k;
    job->k = k;
    job->rows = m;
    compute_rs_matrix(k, m, matrix);
    memcpy(job->coefficients, matrix + (size_t)k * k, (size_t)m * k);
    if (is_random) {
        rng_init(&r, k);
        rng_fill(&r, job->coefficients, sizeof(job->coefficients));
    }
    job->flow = flow_of(p, cell * k, cell * m);
}

static void add_jobs(struct pipe *p)
{
    const size_t bytes = p->with->bytes;
    add_code(p, "encode 4+2", 4, 2, false);
    add_code(p, "encode 4+2, fingerprints", 4, 2, false);
    p->job[p->jobs - 1].fingers = p->fingers;
    add_code(p, "encode 10+4", 10, 4, false);
    add_code(p, "random matrix, 4 rows of 4", 4, 4, true);
    add(p, "leaf hashes", GPU_KERNEL_LEAVES)->flow =
        flow_of(p, bytes, bytes / GPU_LEAF_BYTES * GPU_HASH_BYTES);
    add(p, "exact sum of doubles", GPU_KERNEL_SUM)->flow =
        flow_of(p, bytes, bytes / GPU_SUM_TILE_BYTES * GPU_SUM_RESULT_BYTES);
    add(p, "greatest double", GPU_KERNEL_REDUCE)->flow = flow_of(p, bytes, 0);
    add(p, "running sum", GPU_KERNEL_SCAN)->flow = flow_of(p, bytes, bytes);
    add(p, "order of keys", GPU_KERNEL_SORT)->flow = flow_of(p, bytes, bytes / 2);
}

static bool run_code(const struct pipe *p, const struct job *job)
{
    const uint8_t *data[K_MAX];
    uint8_t *coded[K_MAX];
    const size_t cell = p->with->bytes / job->k;
    for (unsigned j = 0; j < job->k; j++) {
        data[j] = p->sources + j * cell;
    }
    for (unsigned i = 0; i < job->rows; i++) {
        coded[i] = p->results + i * cell;
    }
    const struct gpu_rs_job rs = {.k = job->k,
                                  .rows = job->rows,
                                  .coefficients = job->coefficients,
                                  .data = data,
                                  .coded = coded,
                                  .bytes = cell,
                                  .fingers = job->fingers};
    return p->with->table->rs(p->with->gpu, &rs) == 0;
}

static bool run_array(const struct pipe *p, const struct job *job)
{
    const struct gpu_pipe *w = p->with;
    const size_t count = w->bytes / sizeof(uint64_t);
    const struct gpu_reduce_job reduce = {GPU_FOLD_MOST, GPU_REAL, p->sources, count};
    const struct gpu_scan_job scan = {GPU_FOLD_SUM, GPU_UNSIGNED, p->sources, p->results, count, 0};
    const struct gpu_sort_job sort = {p->sources, NULL, p->results, count};
    struct gpu_reduced reduced;
    struct gpu_scanned scanned;
    size_t run = 0;
    switch (job->kernel) {
    case GPU_KERNEL_REDUCE: return w->table->reduce(w->gpu, &reduce, &reduced) == 0;
    case GPU_KERNEL_SCAN: return w->table->scan(w->gpu, &scan, &scanned) == 0;
    default: return w->table->sort(w->gpu, &sort, &run) == 0;
    }
}

static bool run_job(const struct pipe *p, const struct job *job)
{
    const struct gpu_pipe *w = p->with;
    struct compute_exact sum;
    switch (job->kernel) {
    case GPU_KERNEL_RS: return run_code(p, job);
    case GPU_KERNEL_LEAVES:
        return w->table->leaf_hashes(w->gpu, p->sources, w->bytes, p->results) == 0;
    case GPU_KERNEL_SUM:
        compute_exact_init(&sum);
        return gpu_sum_add_f64s(w->table, w->gpu, &sum, p->sources, w->bytes / sizeof(double)) == 0;
    default: return run_array(p, job);
    }
}

/* What one thread of this machine does for a job: fills lanes and empties them. */
static void copy_here(const struct pipe *p, const struct gpu_peer_flow *flow)
{
    for (size_t i = 0; i < flow->pieces; i++) {
        uint8_t *lane = p->lane + i % GPU_PIPE_LANES * p->with->lane_bytes;
        memcpy(lane, p->sources + i * flow->in_bytes, flow->in_bytes);
        memcpy(p->results + i * flow->out_bytes, lane + flow->in_bytes, flow->out_bytes);
    }
}

/* returns: whether the leg went well. */
static bool run_leg(struct pipe *p, const struct job *job, enum leg leg)
{
    if (leg == LEG_JOB) {
        if (!run_job(p, job)) {
            (void)snprintf(p->why, sizeof(p->why), "%s: %s", job->name,
                           p->with->table->failure(p->with->gpu));
            return false;
        }
        return true;
    }
    if (leg == LEG_LINK) {
        return p->with->peer == NULL || gpu_peer_copy(p->with->peer, &job->flow, p->why);
    }
    copy_here(p, &job->flow);
    return true;
}

/* The first round is not kept: it loads code and touches memory. */
static bool run_rounds(struct pipe *p)
{
    for (unsigned round = 0; round <= ROUNDS; round++) {
        for (unsigned i = 0; i < p->jobs * LEGS; i++) {
            struct job *job = &p->job[i / LEGS];
            const double start = now_s();
            if (!run_leg(p, job, (enum leg)(i % LEGS))) {
                return false;
            }
            if (round > 0) {
                job->seconds[i % LEGS][round - 1] = now_s() - start;
            }
        }
    }
    return true;
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

static void report(const struct pipe *p)
{
    printf(
        "\nfrom memory here to memory here, %zu MiB of sources, %u lanes of %zu KiB, medians of %u "
        "rounds\n",
        p->with->bytes >> 20, GPU_PIPE_LANES, p->with->lane_bytes >> 10, ROUNDS);
    printf(
        "GB/s of sources and results: of the job, of the link alone, of one thread that copies\n");
    printf("%-28s %10s %10s %10s %10s\n", "", "job", "link", "host", "of link");
    for (unsigned i = 0; i < p->jobs; i++) {
        const struct job *job = &p->job[i];
        const double bytes =
            (double)job->flow.pieces * (double)(job->flow.in_bytes + job->flow.out_bytes);
        double ratios[ROUNDS];
        for (unsigned round = 0; round < ROUNDS; round++) {
            ratios[round] = job->seconds[LEG_LINK][round] / job->seconds[LEG_JOB][round];
        }
        printf("%-28s %10.1f ", job->name, bytes / median(job->seconds[LEG_JOB]) / 1e9);
        if (p->with->peer == NULL) {
            printf("%10s %10.1f %10s\n", "-", bytes / median(job->seconds[LEG_HOST]) / 1e9, "-");
        } else {
            printf("%10.1f %10.1f %10.3f%s\n", bytes / median(job->seconds[LEG_LINK]) / 1e9,
                   bytes / median(job->seconds[LEG_HOST]) / 1e9, median(ratios),
                   median(ratios) < GOAL ? "  below the goal" : "");
        }
    }
    printf("goal: at least %.2f of the link\n", GOAL);
}

int gpu_pipe_measure(const struct gpu_pipe *with)
{
    struct pipe *p = calloc(1, sizeof(*p));
    struct rng r;
    int status = 1;
    if (p == NULL) {
        (void)fprintf(stderr, "bench_gpu: out of memory\n");
        return status;
    }
    p->with = with;
    p->sources = malloc(with->bytes);
    p->results = calloc(1, with->bytes);
    p->lane = malloc(GPU_PIPE_LANES * with->lane_bytes);
    if (p->sources == NULL || p->results == NULL || p->lane == NULL) {
        (void)snprintf(p->why, sizeof(p->why), "out of memory");
    } else {
        rng_init(&r, 4);
        memset(p->lane, 1, GPU_PIPE_LANES * with->lane_bytes); /* pages of its own */
        for (size_t i = 0; i < with->bytes / sizeof(double); i++) {
            /* values that a device adds by itself; bytes of any kind for the others */
            const double value = (double)(int64_t)rng_next(&r) * 0x1p-60;
            memcpy(p->sources + i * sizeof(value), &value, sizeof(value));
        }
        add_jobs(p);
        status = run_rounds(p) ? 0 : 1;
    }
    if (status == 0) {
        report(p);
    } else {
        (void)fprintf(stderr, "bench_gpu: %s\n", p->why);
    }
    free(p->sources);
    free(p->results);
    free(p->lane);
    free(p);
    return status;
}
