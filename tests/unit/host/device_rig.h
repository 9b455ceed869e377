/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A host's device over the emulated machine, with hooks: jobs that fail, hang, take a time of the
 * test's, or have wrong results; and jobs of each kind whose results are held against the plain
 * twins'.
 *
 * threads: any; the hooks' fields under at.lock once a device runs.
 */
#ifndef HOLDFAST_TESTS_UNIT_HOST_DEVICE_RIG_H
#define HOLDFAST_TESTS_UNIT_HOST_DEVICE_RIG_H

#include "base/num.h"
#include "base/rng.h"
#include "server/host/device.h"
#include "tests/unit/gpu/emulated.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <string.h>

#define WAIT_MIN_US 1000u
#define WAIT_MAX_US 8000u
#define LONG_US 600000000u /* what a job that does not hang never takes */
#define SHORT_US 20000u    /* how long one that does is waited for */
#define K 3u
#define M 2u
#define CELL 20011u
#define ALL UINT32_MAX

/* ---- the machine, with hooks ---------------------------------------------------------------- */

/* What the device's thread and the test share. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    uint64_t now_us;
    uint64_t step_us; /* that each look at the clock takes */
    unsigned opened;
    unsigned jobs;
    unsigned fail_every;  /* a job; 0: none */
    bool flips;           /* a bit of each job */
    bool flips_sums;      /* of each part */
    bool flips_leaves;    /* of the first hash of each call */
    bool adds_sums;       /* one unit to each part */
    int64_t sums_take_us; /* each call */
    int64_t leaves_take_us;
    int64_t arrays_take_us; /* each call */
    unsigned flips_array;   /* this bit of each call's results, from 1; 0: none */
    size_t flips_below;     /* and of calls of fewer numbers only; 0: of any */
    bool passes_over;       /* the least value, which another one then is */
    unsigned drops;         /* the number at this place, from 1, of each array; ALL: at the last */
    bool holds;             /* jobs wait until it is false */
    bool in_job;
    unsigned closed;
    int64_t (*takes_us)(const struct gpu_rs_job *job); /* NULL: nothing */
    unsigned lines;
    char line[LOG_LINE_BYTES_MAX + 1]; /* the last */
} at = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

static inline void reset(void)
{
    emulated_reset();
    at.now_us = 1;
    at.step_us = 0;
    at.opened = at.jobs = at.fail_every = at.closed = at.lines = 0;
    at.flips = at.holds = at.in_job = false;
    at.takes_us = NULL;
    at.flips_sums = at.flips_leaves = at.adds_sums = false;
    at.sums_take_us = at.leaves_take_us = at.arrays_take_us = 0;
    at.flips_array = 0;
    at.flips_below = 0;
    at.passes_over = false;
    at.drops = 0;
}

static inline uint64_t clock_now(void)
{
    (void)pthread_mutex_lock(&at.lock);
    at.now_us += at.step_us;
    const uint64_t now_us = at.now_us;
    (void)pthread_mutex_unlock(&at.lock);
    return now_us;
}

static inline void clock_add(uint64_t us)
{
    (void)pthread_mutex_lock(&at.lock);
    at.now_us += us;
    (void)pthread_mutex_unlock(&at.lock);
}

static inline void keep_line(void *ctx, enum log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)pthread_mutex_lock(&at.lock);
    at.lines++;
    (void)snprintf(at.line, sizeof(at.line), "%s", line);
    (void)pthread_mutex_unlock(&at.lock);
}
static const struct log lines = {.sink = keep_line, .least = LOG_DEBUG};

static inline void probe(unsigned *count, char *why, size_t why_bytes)
{
    gpu_engine_probe(&emulated_driver, count, why, why_bytes);
}

static inline int describe(unsigned device, struct gpu_device *out, char *why, size_t why_bytes)
{
    return gpu_engine_describe(&emulated_driver, device, out, why, why_bytes);
}

static inline int open_device(struct gpu **out, unsigned device,
                              const struct gpu_settings *settings, char *why, size_t why_bytes)
{
    (void)pthread_mutex_lock(&at.lock);
    at.opened++;
    (void)pthread_mutex_unlock(&at.lock);
    return gpu_engine_open(&emulated_driver, out, device, settings, why, why_bytes);
}

static inline void close_device(struct gpu *gpu)
{
    gpu_engine_close(gpu);
    (void)pthread_mutex_lock(&at.lock);
    at.closed++;
    (void)pthread_cond_broadcast(&at.change);
    (void)pthread_mutex_unlock(&at.lock);
}

static inline int run_rs(struct gpu *gpu, const struct gpu_rs_job *job)
{
    (void)pthread_mutex_lock(&at.lock);
    at.jobs++;
    at.in_job = true;
    (void)pthread_cond_broadcast(&at.change);
    while (at.holds) {
        (void)pthread_cond_wait(&at.change, &at.lock);
    }
    at.in_job = false;
    at.now_us += (uint64_t)(at.takes_us != NULL ? at.takes_us(job) : 0);
    const bool fails = at.fail_every > 0 && at.jobs % at.fail_every == 0;
    const bool flips = at.flips;
    (void)pthread_mutex_unlock(&at.lock);
    if (fails) {
        emulated.fail_at = emulated.calls + 1 + at.jobs % 5;
        emulated.error = 719;
    }
    const int err = gpu_engine_rs(gpu, job);
    if (err == 0 && flips) {
        job->coded[job->rows - 1][job->bytes / 2] ^= 16;
    }
    return err;
}

/* What the machine's sums are told to, wrong. */
static inline void wrong_part(void *ctx, const struct gpu_sum_part *part)
{
    const struct gpu_sum_sink *sink = ctx;
    struct gpu_sum_part other = *part;
    (void)pthread_mutex_lock(&at.lock);
    other.low2 ^= at.flips_sums ? 4 : 0;
    other.low2 += at.adds_sums;
    (void)pthread_mutex_unlock(&at.lock);
    sink->part(sink->ctx, &other);
}

static inline void same_rest(void *ctx, size_t from, size_t count)
{
    const struct gpu_sum_sink *sink = ctx;
    sink->rest(sink->ctx, from, count);
}

static inline int run_sum(struct gpu *gpu, const void *values, size_t count,
                          const struct gpu_sum_sink *sink)
{
    const struct gpu_sum_sink between = {
        .ctx = (void *)(uintptr_t)sink, .part = wrong_part, .rest = same_rest};
    (void)pthread_mutex_lock(&at.lock);
    at.now_us += (uint64_t)at.sums_take_us;
    (void)pthread_mutex_unlock(&at.lock);
    return gpu_engine_sum_f64s(gpu, values, count, &between);
}

static inline int run_leaves(struct gpu *gpu, const uint8_t *data, size_t bytes, uint8_t *hashes)
{
    const int err = gpu_engine_leaf_hashes(gpu, data, bytes, hashes);
    (void)pthread_mutex_lock(&at.lock);
    at.now_us += (uint64_t)at.leaves_take_us;
    hashes[7] ^= at.flips_leaves && err == 0 ? 32 : 0;
    (void)pthread_mutex_unlock(&at.lock);
    return err;
}

/* returns: the bit to flip, from 1; 0: none. */
static inline unsigned array_taken(void)
{
    (void)pthread_mutex_lock(&at.lock);
    at.now_us += (uint64_t)at.arrays_take_us;
    const unsigned flips = at.flips_array;
    (void)pthread_mutex_unlock(&at.lock);
    return flips;
}

static inline void flip(void *at_byte, unsigned bit)
{
    ((uint8_t *)at_byte)[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* As if one number were not there. */
static inline int reduce_without(struct gpu *gpu, const struct gpu_reduce_job *job, size_t place,
                                 struct gpu_reduced *out)
{
    struct gpu_reduce_job rest = *job;
    uint8_t *values = malloc(job->count * sizeof(uint64_t));
    ck_assert_ptr_nonnull(values);
    rest.count = job->count - 1;
    rest.values = values;
    const size_t before = place * sizeof(uint64_t);
    memcpy(values, job->values, before);
    memcpy(values + before, (const uint8_t *)job->values + before + sizeof(uint64_t),
           rest.count * sizeof(uint64_t) - before);
    const int err = gpu_engine_reduce(gpu, &rest, out);
    out->place += out->place >= place;
    free(values);
    return err;
}

/* Bits are counted from the sum's on, which has 128, over the key's to the place's. */
static inline int run_reduce(struct gpu *gpu, const struct gpu_reduce_job *job,
                             struct gpu_reduced *out)
{
    const unsigned flips = array_taken();
    (void)pthread_mutex_lock(&at.lock);
    const size_t below = at.flips_below > 0 ? at.flips_below : SIZE_MAX;
    const size_t drops = at.drops == ALL ? job->count : at.drops;
    (void)pthread_mutex_unlock(&at.lock);
    int err = drops > 0 && drops <= job->count && job->count > 1
                  ? reduce_without(gpu, job, drops - 1, out)
                  : gpu_engine_reduce(gpu, job, out);
    if (err == 0 && flips > 0 && job->count > 0 && job->count < below) {
        flip(out, flips - 1);
    }
    if (err == 0 && at.passes_over && job->fold == GPU_FOLD_LEAST && out->place + 1 < job->count) {
        struct gpu_reduce_job rest = *job;
        const uint64_t from = out->place + 1;
        rest.values = (const uint8_t *)job->values + from * sizeof(uint64_t);
        rest.count -= from;
        err = gpu_engine_reduce(gpu, &rest, out);
        out->place += from;
    }
    return err;
}

/* Bits are counted over the results, the carry, and what is done. */
static inline int run_scan(struct gpu *gpu, const struct gpu_scan_job *job, struct gpu_scanned *out)
{
    const unsigned flips = array_taken();
    const unsigned bits = (unsigned)job->count * 64;
    const int err = gpu_engine_scan(gpu, job, out);
    if (err == 0 && flips > bits) {
        flip(out, flips - 1 - bits);
    } else if (err == 0 && flips > 0) {
        flip(job->results, flips - 1);
    }
    return err;
}

/* Bits are counted over the order. */
static inline int run_sort(struct gpu *gpu, const struct gpu_sort_job *job, size_t *run)
{
    const unsigned flips = array_taken();
    const int err = gpu_engine_sort(gpu, job, run);
    if (err == 0 && flips > 0) {
        flip(job->order, flips - 1);
    }
    return err;
}

static const struct gpu_table table = {
    .version = GPU_TABLE_VERSION,
    .bytes = sizeof(struct gpu_table),
    .probe = probe,
    .describe = describe,
    .open = open_device,
    .close = close_device,
    .failure = gpu_engine_failure,
    .rs = run_rs,
    .leaf_hashes = run_leaves,
    .sum_f64s = run_sum,
    .reduce = run_reduce,
    .scan = run_scan,
    .sort = run_sort,
};

static inline struct host_device *start_with(enum host_device_use use, const char *path)
{
    struct host_device *d = NULL;
    struct err_info why;
    const struct host_device_options options = {
        .use = use,
        .path = path,
        .table = path[0] == '\0' ? &table : NULL,
        .log = &lines,
        .heap = alloc_heap(),
        .now_us = clock_now,
        .wait_min_us = WAIT_MIN_US,
        .wait_max_us = WAIT_MAX_US,
        .patience_us = LONG_US,
    };
    ck_assert_int_eq(host_device_new(&d, &options, &why), 0);
    ck_assert_int_eq(host_device_start(d, &why), 0);
    host_device_settle(d);
    return d;
}

static inline struct host_device *start(void)
{
    return start_with(HOST_DEVICE_ALWAYS, "");
}

static inline struct node_device report(struct host_device *d)
{
    struct node_device out;
    host_device_report(d, &out);
    return out;
}

static inline struct node_device_jobs codes(struct host_device *d)
{
    return report(d).of[NODE_DEVICE_CODES];
}

static inline void is_state(struct host_device *d, const char *state)
{
    const struct node_device r = report(d);
    ck_assert_msg(strcmp(r.state, state) == 0, "%s, not %s: %s", r.state, state, r.cause);
}

static inline void set(bool *of, bool to)
{
    (void)pthread_mutex_lock(&at.lock);
    *of = to;
    (void)pthread_mutex_unlock(&at.lock);
}

static inline int64_t slower(const struct gpu_rs_job *job)
{
    (void)job;
    return 1;
}

/* ---- codes ---------------------------------------------------------------------------------- */

static inline void encoded_is(const struct compute_exact *sum, const struct compute_exact *twin)
{
    const struct alloc heap = alloc_heap();
    struct buf is;
    struct buf due;
    buf_init(&is, &heap, SIZE_MAX);
    buf_init(&due, &heap, SIZE_MAX);
    ck_assert_int_eq(compute_exact_encode(sum, &is), 0);
    ck_assert_int_eq(compute_exact_encode(twin, &due), 0);
    ck_assert_uint_eq(is.size, due.size);
    ck_assert_mem_eq(is.data, due.data, due.size);
    buf_release(&is);
    buf_release(&due);
}

/* Adds doubles to a sum that is not empty, there or here, and compares with the plain twin.
 * returns: whether the device has done it. */
static inline bool add(struct host_device *d, const double *values, size_t count)
{
    const struct compute_whole whole = host_device_whole(d);
    struct compute_exact sum;
    struct compute_exact twin;
    compute_exact_init(&sum);
    compute_exact_add_f64(&sum, 0x1p-900);
    twin = sum;
    const bool there = whole.sum_f64s(whole.ctx, &sum, values, count);
    if (!there) {
        encoded_is(&sum, &twin);
        compute_exact_add_f64s(&sum, values, count);
    }
    compute_exact_add_f64s_by(COMPUTE_LANES_PLAIN, &twin, values, count);
    encoded_is(&sum, &twin);
    return there;
}

#define VALUES 20000u
static inline bool add_some(struct host_device *d, struct rng *r)
{
    double *values = malloc(VALUES * sizeof(double));
    ck_assert_ptr_nonnull(values);
    for (unsigned i = 0; i < VALUES; i++) {
        values[i] = ((double)rng_below(r, 1u << 20) - 5e5) / 1024;
    }
    const bool there = add(d, values, VALUES);
    free(values);
    return there;
}

/* Hashes runs of leaves, there or here, and compares with the plain twin. */
static inline bool hash(struct host_device *d, struct rng *r)
{
    static const size_t bytes[] = {3 * COMPUTE_LEAF_BYTES, 0, 100, 2 * COMPUTE_LEAF_BYTES + 1};
    enum { RUNS = sizeof(bytes) / sizeof(*bytes), HASHES = 8 };
    const struct compute_whole whole = host_device_whole(d);
    uint8_t hashes[RUNS][HASHES * COMPUTE_HASH_BYTES];
    struct compute_leaves runs[RUNS];
    uint8_t *data = malloc((size_t)RUNS * 3 * COMPUTE_LEAF_BYTES);
    ck_assert_ptr_nonnull(data);
    rng_fill(r, data, (size_t)RUNS * 3 * COMPUTE_LEAF_BYTES);
    for (unsigned i = 0; i < RUNS; i++) {
        memset(hashes[i], 0xa5, sizeof(hashes[i]));
        runs[i] = (struct compute_leaves){data + i * 3 * COMPUTE_LEAF_BYTES, bytes[i], hashes[i]};
    }
    const bool there = whole.leaf_hashes(whole.ctx, runs, RUNS);
    for (unsigned i = 0; i < RUNS && there; i++) {
        uint8_t due[COMPUTE_HASH_BYTES];
        for (size_t at_byte = 0; at_byte < bytes[i]; at_byte += COMPUTE_LEAF_BYTES) {
            const uint8_t *is = hashes[i] + at_byte / COMPUTE_LEAF_BYTES * COMPUTE_HASH_BYTES;
            compute_leaf_hash(runs[i].data + at_byte,
                              NUM_MIN(bytes[i] - at_byte, (size_t)COMPUTE_LEAF_BYTES), due);
            ck_assert_mem_eq(is, due, sizeof(due));
        }
        ck_assert_uint_eq(hashes[i][compute_leaves_of(bytes[i]) * COMPUTE_HASH_BYTES], 0xa5);
    }
    free(data);
    return there;
}

/* Encodes cells and decodes two of them, and compares with the plain twin. r: for the bytes.
 * returns: how many of the two jobs had wrong bits at first. */
static inline unsigned code(struct host_device *d, struct rng *r)
{
    const struct alloc heap = alloc_heap();
    const struct erasure_scheme scheme = {K, M};
    uint8_t(*cell)[CELL] = malloc((size_t)2 * (K + M) * CELL);
    uint8_t matrix[(K + M) * K];
    struct erasure_code *c = NULL;
    struct erasure_plan plan;
    struct erasure_check check;
    struct bytes cells[K + M];
    const uint8_t *data[K];
    uint8_t *made[K + M];
    ck_assert_ptr_nonnull(cell);
    rng_fill(r, cell, (size_t)K * CELL);
    for (unsigned i = 0; i < K + M; i++) {
        cells[i] = bytes_of(cell[i], CELL);
        made[i] = cell[K + M + i];
        memset(made[i], 0xa5, CELL);
    }
    for (unsigned i = 0; i < K; i++) {
        data[i] = cell[i];
    }
    uint8_t *const parity[M] = {cell[K], cell[K + 1]};
    const struct compute_rs_job twin = {
        .k = K, .rows = M, .data = data, .coded = parity, .bytes = CELL};
    compute_rs_matrix(K, M, matrix);
    compute_rs_encode_plain(&twin, matrix + (size_t)K * K);
    ck_assert_int_eq(erasure_code_new_with(&c, &heap, scheme, host_device_kernel(d)), 0);
    ck_assert_int_eq(erasure_encode(c, cells, made + K, CELL, &check), 0);
    unsigned wrong = check.wrong != 0;
    ck_assert_mem_eq(made[K], cell[K], (size_t)M * CELL);
    ck_assert_int_eq(erasure_plan_make(c, 0x1d & ~1u, 0x3, &plan), 0);
    ck_assert_int_eq(erasure_decode(&plan, cells, made, CELL, &check), 0);
    wrong += check.wrong != 0;
    ck_assert_mem_eq(made[0], cell[0], (size_t)2 * CELL);
    erasure_code_free(c);
    free(cell);
    (void)add_some(d, r);
    (void)hash(d, r);
    return wrong;
}

#endif
