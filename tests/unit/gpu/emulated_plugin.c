/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A plug-in over the emulated machine, with a device that is too old and one that works: what
 * programs do with a plug-in and its devices, on machines without any. In the environment,
 * EMULATED_FAIL_AT=N makes its N-th call fail; EMULATED_WRONG_CODES=N, and likewise of SUMS, LEAVES
 * and the other kinds, the results of its N-th job of the kind and of all that follow wrong, one
 * bit of each; EMULATED_SLOW_MS=N all jobs slow.
 */
#include "base/attr.h"
#include "tests/unit/gpu/emulated.h"

#include <stdlib.h>
#include <time.h>

struct kind {
    unsigned jobs;
    unsigned wrong_from; /* 0: none is */
};
static struct kind codes;
static struct kind sums;
static struct kind leaves;
static struct kind reduces;
static struct kind scans;
static struct kind sorts;
static unsigned slow_ms;

static unsigned from_environment(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : 0;
}

/* Sets the machine up, at the first call of a process. */
static const struct gpu_driver *machine(void)
{
    if (emulated.devices == 0) {
        emulated_reset();
        emulated.devices = 2;
        emulated.capability[0] = 7;
        emulated.fail_at = from_environment("EMULATED_FAIL_AT");
        codes.wrong_from = from_environment("EMULATED_WRONG_CODES");
        sums.wrong_from = from_environment("EMULATED_WRONG_SUMS");
        leaves.wrong_from = from_environment("EMULATED_WRONG_LEAVES");
        reduces.wrong_from = from_environment("EMULATED_WRONG_REDUCES");
        scans.wrong_from = from_environment("EMULATED_WRONG_SCANS");
        sorts.wrong_from = from_environment("EMULATED_WRONG_SORTS");
        slow_ms = from_environment("EMULATED_SLOW_MS");
        emulated.error = 719;
    }
    return &emulated_driver;
}

static void probe(unsigned *count, char *why, size_t why_bytes)
{
    gpu_engine_probe(machine(), count, why, why_bytes);
}

static int describe(unsigned device, struct gpu_device *out, char *why, size_t why_bytes)
{
    return gpu_engine_describe(machine(), device, out, why, why_bytes);
}

static int open_device(struct gpu **out, unsigned device, const struct gpu_settings *settings,
                       char *why, size_t why_bytes)
{
    return gpu_engine_open(machine(), out, device, settings, why, why_bytes);
}

/* A job begins. returns: whether it is to be wrong. */
static bool begin(struct kind *of)
{
    const struct timespec wait = {.tv_nsec = (long)(slow_ms % 1000) * 1000000};
    if (slow_ms > 0) {
        (void)nanosleep(&wait, NULL);
    }
    of->jobs++;
    return of->wrong_from > 0 && of->jobs >= of->wrong_from;
}

static int run_rs(struct gpu *gpu, const struct gpu_rs_job *job)
{
    const bool wrong = begin(&codes);
    const int err = gpu_engine_rs(gpu, job);
    if (err == 0 && wrong && job->rows > 0 && job->bytes > 0) {
        job->coded[0][job->bytes / 2] ^= 1;
    }
    return err;
}

static int run_leaves(struct gpu *gpu, const uint8_t *data, size_t bytes, uint8_t *hashes)
{
    const bool wrong = begin(&leaves);
    const int err = gpu_engine_leaf_hashes(gpu, data, bytes, hashes);
    if (err == 0 && wrong && bytes > 0) {
        hashes[0] ^= 1;
    }
    return err;
}

static void wrong_part(void *ctx, const struct gpu_sum_part *part)
{
    const struct gpu_sum_sink *sink = ctx;
    struct gpu_sum_part other = *part;
    other.low1 ^= 1;
    sink->part(sink->ctx, &other);
}

static void same_rest(void *ctx, size_t from, size_t count)
{
    const struct gpu_sum_sink *sink = ctx;
    sink->rest(sink->ctx, from, count);
}

static int run_sum(struct gpu *gpu, const void *values, size_t count,
                   const struct gpu_sum_sink *sink)
{
    const struct gpu_sum_sink between = {
        .ctx = (void *)(uintptr_t)sink, .part = wrong_part, .rest = same_rest};
    return gpu_engine_sum_f64s(gpu, values, count, begin(&sums) ? &between : sink);
}

static int run_reduce(struct gpu *gpu, const struct gpu_reduce_job *job, struct gpu_reduced *out)
{
    const bool wrong = begin(&reduces);
    const int err = gpu_engine_reduce(gpu, job, out);
    if (err == 0 && wrong) {
        out->sum.low ^= 1;
        out->key ^= 1;
    }
    return err;
}

static int run_scan(struct gpu *gpu, const struct gpu_scan_job *job, struct gpu_scanned *out)
{
    const bool wrong = begin(&scans);
    const int err = gpu_engine_scan(gpu, job, out);
    if (err == 0 && wrong && job->count > 0) {
        ((uint8_t *)job->results)[job->count / 2 * sizeof(uint64_t)] ^= 1;
    }
    return err;
}

static int run_sort(struct gpu *gpu, const struct gpu_sort_job *job, size_t *run)
{
    const bool wrong = begin(&sorts);
    const int err = gpu_engine_sort(gpu, job, run);
    if (err == 0 && wrong && job->count > 0) {
        ((uint8_t *)job->order)[0] ^= 1;
    }
    return err;
}

extern const struct gpu_table gpu_table;
ATTR_EXPORT const struct gpu_table gpu_table = {
    .version = GPU_TABLE_VERSION,
    .bytes = sizeof(struct gpu_table),
    .probe = probe,
    .describe = describe,
    .open = open_device,
    .close = gpu_engine_close,
    .failure = gpu_engine_failure,
    .rs = run_rs,
    .leaf_hashes = run_leaves,
    .sum_f64s = run_sum,
    .reduce = run_reduce,
    .scan = run_scan,
    .sort = run_sort,
    .groups = gpu_engine_groups,
    .rate = gpu_engine_rate,
};
