/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sorts by pieces. Each is sorted for itself; runs are merged by the caller, who has the memory for
 * that, and perhaps runs of other origin to merge with.
 */
#include "gpu/engine_array_internal.h"

#include "base/err.h"
#include "base/num.h"

/* A key and its place, before and after. */
#define RECORD_BYTES (2u * (GPU_WORD_BYTES + GPU_SORT_PLACE_BYTES))

struct sort {
    const struct gpu_sort_job *job;
    struct gpu_array_plan plan;
};

static struct gpu_sort_pass sort_pass_of(const struct gpu_array_plan *plan, uint8_t *memory,
                                         size_t count)
{
    struct gpu_sort_pass p = {.count = (uint32_t)count, .scratch_bytes = plan->scratch_bytes};
    size_t at = 0;
    p.keys = memory + gpu_array_part(&at, count * GPU_WORD_BYTES);
    p.sorted = memory + gpu_array_part(&at, count * GPU_WORD_BYTES);
    p.order = memory + gpu_array_part(&at, count * GPU_SORT_PLACE_BYTES);
    p.places = memory + gpu_array_part(&at, count * GPU_SORT_PLACE_BYTES);
    p.scratch = memory + at;
    return p;
}

static int put_sort(struct gpu *gpu, const struct gpu_work *w, unsigned lane, const char **at)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    const struct sort *s = w->state;
    struct gpu_lane *l = &gpu->lane[lane];
    const size_t count = piece->bytes / GPU_WORD_BYTES;
    struct gpu_sort_pass p = sort_pass_of(&s->plan, l->device, count);
    const uint8_t *from = s->job->sorted != NULL ? p.sorted : p.order;
    const uint8_t *end = p.order + count * GPU_SORT_PLACE_BYTES;
    p.first = (uint32_t)(piece->from / GPU_WORD_BYTES);
    ASSERT(p.scratch + p.scratch_bytes <= l->device + l->bytes);
    memcpy(l->host, (const uint8_t *)s->job->keys + piece->from, piece->bytes);
    *at = "copy to the device";
    TRY(gpu->driver->copy_in(l, piece->bytes));
    *at = "sort";
    TRY(gpu->driver->run_sort(l, &p));
    *at = "copy from the device";
    return gpu->driver->copy_out(l, (size_t)(from - l->device), (size_t)(end - from));
}

static void take_sort(const struct gpu *gpu, const struct gpu_work *w, unsigned lane)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    const struct sort *s = w->state;
    const size_t count = piece->bytes / GPU_WORD_BYTES;
    const size_t from = piece->from / GPU_WORD_BYTES;
    const struct gpu_sort_pass p = sort_pass_of(&s->plan, gpu->lane[lane].host, count);
    memcpy((uint8_t *)s->job->order + from * GPU_SORT_PLACE_BYTES, p.order,
           count * GPU_SORT_PLACE_BYTES);
    if (s->job->sorted != NULL) {
        memcpy((uint8_t *)s->job->sorted + piece->from, p.sorted, piece->bytes);
    }
}

static const struct gpu_array_plan sort_plan = {.array = GPU_ARRAY_SORT,
                                                .record_bytes = RECORD_BYTES};

int gpu_engine_sort(struct gpu *gpu, const struct gpu_sort_job *job, size_t *run)
{
    struct sort s = {.job = job, .plan = sort_plan};
    if (job->count > UINT32_MAX) {
        return ERR_INVALID;
    }
    if (job->count == 0) {
        *run = 1;
        return 0;
    }
    TRY(gpu_array_fit(gpu, job->count, &s.plan));
    const struct gpu_work w = {.put = put_sort,
                               .take = take_sort,
                               .total = job->count * GPU_WORD_BYTES,
                               .step = s.plan.count * (size_t)GPU_WORD_BYTES,
                               .state = &s};
    TRY(gpu_work_through(gpu, &w));
    *run = s.plan.count;
    return 0;
}

int gpu_sort_rate_plan(struct gpu *gpu, struct gpu_array_plan *plan)
{
    *plan = sort_plan;
    return gpu_array_fit(gpu, GPU_ARRAY_MAX, plan);
}

int gpu_sort_run_once(struct gpu *gpu, const struct gpu_array_plan *plan, uint64_t *bytes)
{
    struct gpu_lane *lane = &gpu->lane[0];
    const struct gpu_sort_pass p = sort_pass_of(plan, lane->device, plan->count);
    *bytes = (uint64_t)plan->count * (2 * GPU_WORD_BYTES + GPU_SORT_PLACE_BYTES);
    return gpu->driver->run_sort(lane, &p);
}
