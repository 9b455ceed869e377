/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Scans by pieces. What a piece begins with is known when it is put into its lane, as the host
 * joins the values that it copies there, while they are in its cache: so no piece waits for another
 * one.
 */
#include "gpu/engine_array_internal.h"

#include "base/err.h"
#include "base/num.h"

#define BLOCK 1024u /* values that are copied, then joined */
/* A value, its result, and what a tile's threads write. */
#define RECORD_BYTES (2u * GPU_WORD_BYTES + 1u)

_Static_assert(GPU_SCAN_THREADS <= GPU_SCAN_TILE_VALUES, "a byte a value is enough for a tile");

struct scan {
    const struct gpu_scan_job *job;
    struct gpu_array_plan plan;
    struct gpu_scanned out;
};

static struct gpu_scan_pass scan_pass_of(const struct gpu_scan_job *job,
                                         const struct gpu_array_plan *plan, uint8_t *memory,
                                         size_t count)
{
    struct gpu_scan_pass p = {.count = (uint32_t)count,
                              .fold = (uint32_t)job->fold,
                              .of = (uint32_t)job->of,
                              .scratch_bytes = plan->scratch_bytes};
    size_t at = 0;
    p.values = memory + gpu_array_part(&at, count * GPU_WORD_BYTES);
    p.results = memory + gpu_array_part(&at, count * GPU_WORD_BYTES);
    p.left = memory + gpu_array_part(&at, (size_t)gpu_scan_threads(&p));
    p.scratch = memory + at;
    return p;
}

static uint64_t join_block(const struct gpu_scan_job *job, const uint8_t *at, size_t count,
                           uint64_t carry)
{
    const uint32_t fold = (uint32_t)job->fold;
    const uint32_t of = (uint32_t)job->of;
    if (fold == GPU_FOLD_SUM) { /* the usual one, without a choice in its loop */
        for (size_t i = 0; i < count; i++) {
            carry += num_get_u64(at + i * GPU_WORD_BYTES);
        }
        return carry;
    }
    for (size_t i = 0; i < count; i++) {
        carry = gpu_scan_join(fold, of, carry, num_get_u64(at + i * GPU_WORD_BYTES));
    }
    return carry;
}

/* Copies the values of a piece. returns: what all up to its end come to. */
static uint64_t copy_and_join(const struct gpu_scan_job *job, size_t from, uint8_t *to,
                              size_t bytes, uint64_t carry)
{
    const uint8_t *values = (const uint8_t *)job->values + from;
    for (size_t at = 0; at < bytes; at += BLOCK * GPU_WORD_BYTES) {
        const size_t part = NUM_MIN(bytes - at, (size_t)BLOCK * GPU_WORD_BYTES);
        memcpy(to + at, values + at, part);
        carry = join_block(job, to + at, part / GPU_WORD_BYTES, carry);
    }
    return carry;
}

static int run(struct gpu *gpu, struct gpu_lane *lane, const struct gpu_scan_pass *p)
{
    TRY(gpu->driver->run_scan(lane, p));
    return p->fold == GPU_FOLD_SUM ? gpu->driver->run_scan_look(lane, p) : 0;
}

static int put_scan(struct gpu *gpu, const struct gpu_work *w, unsigned lane, const char **at)
{
    struct gpu_piece *piece = &gpu->piece[lane];
    struct scan *s = w->state;
    struct gpu_lane *l = &gpu->lane[lane];
    struct gpu_scan_pass p =
        scan_pass_of(s->job, &s->plan, l->device, piece->bytes / GPU_WORD_BYTES);
    const size_t end = s->job->fold == GPU_FOLD_SUM
                           ? (size_t)(p.left - l->device) + (size_t)gpu_scan_threads(&p)
                           : (size_t)(p.results - l->device) + piece->bytes;
    ASSERT(p.scratch + p.scratch_bytes <= l->device + l->bytes);
    p.carry = s->out.carry;
    piece->carry = p.carry;
    s->out.carry = copy_and_join(s->job, piece->from, l->host, piece->bytes, p.carry);
    *at = "copy to the device";
    TRY(gpu->driver->copy_in(l, piece->bytes));
    *at = "scan";
    TRY(run(gpu, l, &p));
    *at = "copy from the device";
    return gpu->driver->copy_out(l, (size_t)(p.results - l->device),
                                 end - (size_t)(p.results - l->device));
}

/* returns: which sum of a piece is the first that has left its range; the count: none. p: in the
 * host's memory. */
static size_t first_left(const struct gpu_scan_pass *p, uint64_t carry)
{
    const uint8_t *left = memchr(p->left, 1, (size_t)gpu_scan_threads(p));
    if (left == NULL) {
        return p->count;
    }
    const size_t tile = (size_t)(left - p->left) / GPU_SCAN_THREADS;
    size_t i = tile * GPU_SCAN_TILE_VALUES;
    uint64_t before = i == 0 ? carry : gpu_word_load(p->results, i - 1);
    for (; i < p->count; i++) {
        const uint64_t sum = gpu_word_load(p->results, i);
        if (gpu_scan_leaves(p->of, before, sum)) {
            return i;
        }
        before = sum;
    }
    return p->count; /* a device that says what is not so */
}

static void take_scan(const struct gpu *gpu, const struct gpu_work *w, unsigned lane)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    struct scan *s = w->state;
    const size_t from = piece->from / GPU_WORD_BYTES;
    const struct gpu_scan_pass p =
        scan_pass_of(s->job, &s->plan, gpu->lane[lane].host, piece->bytes / GPU_WORD_BYTES);
    memcpy((uint8_t *)s->job->results + piece->from, p.results, piece->bytes);
    if (p.fold == GPU_FOLD_SUM && s->out.done == from) {
        s->out.done += first_left(&p, piece->carry);
    } else if (p.fold != GPU_FOLD_SUM) {
        s->out.done = from + p.count;
    }
}

static const struct gpu_array_plan scan_plan = {.array = GPU_ARRAY_SCAN,
                                                .record_bytes = RECORD_BYTES};

int gpu_engine_scan(struct gpu *gpu, const struct gpu_scan_job *job, struct gpu_scanned *out)
{
    struct scan s = {.job = job, .plan = scan_plan, .out = {.carry = job->carry}};
    if ((unsigned)job->fold > GPU_FOLD_OR || (unsigned)job->of > GPU_UNSIGNED) {
        return ERR_INVALID;
    }
    if (job->count > 0) {
        TRY(gpu_array_fit(gpu, job->count, &s.plan));
        const struct gpu_work w = {.put = put_scan,
                                   .take = take_scan,
                                   .total = job->count * GPU_WORD_BYTES,
                                   .step = s.plan.count * (size_t)GPU_WORD_BYTES,
                                   .state = &s};
        TRY(gpu_work_through(gpu, &w));
    }
    *out = s.out;
    return 0;
}

int gpu_scan_rate_plan(struct gpu *gpu, struct gpu_array_plan *plan)
{
    *plan = scan_plan;
    return gpu_array_fit(gpu, GPU_ARRAY_MAX, plan);
}

int gpu_scan_run_once(struct gpu *gpu, const struct gpu_array_plan *plan, uint64_t *bytes)
{
    struct gpu_lane *lane = &gpu->lane[0];
    const struct gpu_scan_job job = {.fold = GPU_FOLD_SUM, .of = GPU_SIGNED};
    const struct gpu_scan_pass p = scan_pass_of(&job, plan, lane->device, plan->count);
    *bytes = 2 * (uint64_t)plan->count * GPU_WORD_BYTES;
    return run(gpu, lane, &p);
}
