/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Jobs over arrays of numbers: cut into pieces here, done piece by piece by the driver, and put
 * together here again.
 */
#include "gpu/engine_array_internal.h"

#include "base/err.h"
#include "base/num.h"

#define COUNT_UNIT 32u       /* pieces but the last one have whole multiples of it */
#define PARTS ((size_t)1024) /* of a byte */
/* The parts of a piece begin at multiples of GPU_ARRAY_ALIGN. */
#define MARGIN_BYTES ((size_t)GPU_ARRAY_PARTS_MAX * GPU_ARRAY_ALIGN)

_Static_assert(GPU_LANE_BYTES_MIN >= 2 * GPU_ARRAY_PARTS_MAX * GPU_ARRAY_ALIGN, "parts fit");
_Static_assert(GPU_ARRAY_MAX % COUNT_UNIT == 0, "the most is whole");

/* --- lanes --- */

size_t gpu_array_part(size_t *at, size_t bytes)
{
    const size_t from = *at;
    *at = (size_t)num_round_up(from + bytes, GPU_ARRAY_ALIGN);
    return from;
}

/* Each try that does not fit takes the scratch memory of a record for the next one's, rounded up;
 * so counts fall. */
int gpu_array_fit(struct gpu *gpu, size_t records, struct gpu_array_plan *plan)
{
    const size_t room = gpu->lane[0].bytes - MARGIN_BYTES;
    const size_t wanted = (size_t)num_round_up(NUM_MIN(records, GPU_ARRAY_MAX), COUNT_UNIT);
    size_t count = NUM_MIN(room / plan->record_bytes, wanted);
    if (!gpu_work_is_usable(gpu)) {
        return ERR_UNAVAILABLE;
    }
    while (count >= COUNT_UNIT) {
        size_t scratch = 0;
        count &= ~(size_t)(COUNT_UNIT - 1);
        const int error = gpu->driver->room(plan->array, (uint32_t)count, &scratch);
        if (error != 0) {
            return gpu_work_fail(gpu, "size of scratch memory", error);
        }
        if (scratch <= room - count * plan->record_bytes) {
            plan->count = (uint32_t)count;
            plan->scratch_bytes = scratch;
            return 0;
        }
        count = room * PARTS / (plan->record_bytes * PARTS + num_div_up(scratch * PARTS, count));
    }
    return ERR_NO_MEMORY;
}

void gpu_array_add(struct gpu_whole *sum, uint64_t high, uint64_t low)
{
    const uint64_t sign = high >> 63 != 0 ? ~(uint64_t)UINT32_MAX : 0;
    const uint64_t with_high = sum->low + (high << 32);
    uint64_t carries = with_high < sum->low;
    sum->low = with_high + low;
    carries += sum->low < with_high;
    sum->high = (int64_t)((uint64_t)sum->high + (high >> 32 | sign) + carries);
}

/* --- reduce --- */

static const struct gpu_array_plan reduce_plan = {.array = GPU_ARRAY_REDUCE,
                                                  .record_bytes = GPU_WORD_BYTES};

struct reduce {
    const struct gpu_reduce_job *job;
    struct gpu_array_plan plan;
    struct gpu_whole sum;
    struct gpu_pair best; /* of least and most: key and place in the job */
};

static struct gpu_reduce_pass reduce_pass_of(const struct gpu_reduce_job *job,
                                             const struct gpu_array_plan *plan, uint8_t *memory,
                                             size_t count)
{
    struct gpu_reduce_pass p = {.count = (uint32_t)count,
                                .fold = (uint32_t)job->fold,
                                .of = (uint32_t)job->of,
                                .scratch_bytes = plan->scratch_bytes};
    size_t at = 0;
    p.values = memory + gpu_array_part(&at, count * GPU_WORD_BYTES);
    p.result = memory + gpu_array_part(&at, sizeof(struct gpu_pair));
    p.scratch = memory + at;
    return p;
}

static int put_reduce(struct gpu *gpu, const struct gpu_work *w, unsigned lane, const char **at)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    const struct reduce *r = w->state;
    struct gpu_lane *l = &gpu->lane[lane];
    const struct gpu_reduce_pass p =
        reduce_pass_of(r->job, &r->plan, l->device, piece->bytes / GPU_WORD_BYTES);
    ASSERT(p.scratch + p.scratch_bytes <= l->device + l->bytes);
    memcpy(l->host, (const uint8_t *)r->job->values + piece->from, piece->bytes);
    *at = "copy to the device";
    TRY(gpu->driver->copy_in(l, piece->bytes));
    *at = "reduction";
    TRY(gpu->driver->run_reduce(l, &p));
    *at = "copy from the device";
    return gpu->driver->copy_out(l, (size_t)(p.result - l->device), sizeof(struct gpu_pair));
}

static void take_reduce(const struct gpu *gpu, const struct gpu_work *w, unsigned lane)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    struct reduce *r = w->state;
    const struct gpu_reduce_pass p =
        reduce_pass_of(r->job, &r->plan, gpu->lane[lane].host, piece->bytes / GPU_WORD_BYTES);
    struct gpu_pair pair = {num_get_u64(p.result), num_get_u64(p.result + GPU_WORD_BYTES)};
    if (r->job->fold == GPU_FOLD_SUM) {
        gpu_array_add(&r->sum, pair.first, pair.second);
        return;
    }
    pair.second += piece->from / GPU_WORD_BYTES;
    r->best = gpu_reduce_join(p.fold, r->best, pair);
}

static bool reduce_is_valid(const struct gpu_reduce_job *job)
{
    const bool is_class = (unsigned)job->of <= GPU_REAL;
    switch (job->fold) {
    case GPU_FOLD_SUM: return is_class && job->of != GPU_REAL;
    case GPU_FOLD_LEAST:
    case GPU_FOLD_MOST: return is_class;
    default: return false;
    }
}

int gpu_engine_reduce(struct gpu *gpu, const struct gpu_reduce_job *job, struct gpu_reduced *out)
{
    struct reduce r = {
        .job = job, .plan = reduce_plan, .best = gpu_reduce_none((uint32_t)job->fold)};
    if (!reduce_is_valid(job)) {
        return ERR_INVALID;
    }
    if (job->count > 0) {
        TRY(gpu_array_fit(gpu, job->count, &r.plan));
        const struct gpu_work w = {.put = put_reduce,
                                   .take = take_reduce,
                                   .total = job->count * GPU_WORD_BYTES,
                                   .step = r.plan.count * (size_t)GPU_WORD_BYTES,
                                   .state = &r};
        TRY(gpu_work_through(gpu, &w));
    }
    *out = (struct gpu_reduced){.sum = r.sum, .key = r.best.first, .place = r.best.second};
    return 0;
}

/* --- rates --- */

static int run_reduce_once(struct gpu *gpu, const struct gpu_array_plan *plan, uint64_t *bytes)
{
    struct gpu_lane *lane = &gpu->lane[0];
    const struct gpu_reduce_job job = {.fold = GPU_FOLD_SUM, .of = GPU_SIGNED};
    const struct gpu_reduce_pass p = reduce_pass_of(&job, plan, lane->device, plan->count);
    *bytes = (uint64_t)plan->count * GPU_WORD_BYTES;
    return gpu->driver->run_reduce(lane, &p);
}

int gpu_array_rate_plan(struct gpu *gpu, enum gpu_kernel kernel, struct gpu_array_plan *plan)
{
    switch (kernel) {
    case GPU_KERNEL_SCAN: return gpu_scan_rate_plan(gpu, plan);
    case GPU_KERNEL_SORT: return gpu_sort_rate_plan(gpu, plan);
    case GPU_KERNEL_GROUPS: return gpu_groups_rate_plan(gpu, plan);
    default: *plan = reduce_plan; return gpu_array_fit(gpu, GPU_ARRAY_MAX, plan);
    }
}

int gpu_array_run_once(struct gpu *gpu, const struct gpu_array_plan *plan, uint64_t *bytes)
{
    switch (plan->array) {
    case GPU_ARRAY_SCAN: return gpu_scan_run_once(gpu, plan, bytes);
    case GPU_ARRAY_SORT: return gpu_sort_run_once(gpu, plan, bytes);
    case GPU_ARRAY_GROUPS: return gpu_groups_run_once(gpu, plan, bytes);
    default: return run_reduce_once(gpu, plan, bytes);
    }
}
