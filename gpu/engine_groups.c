/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Groups by pieces. How many a piece has is known once it is done; only then they are fetched, no
 * more of them than there are. The last one of a piece is held back, as the next may go on with it.
 */
#include "gpu/engine_array_internal.h"

#include "base/err.h"
#include "base/num.h"

/* A key and a value, and at most a group of one. */
#define RECORD_BYTES (3u * GPU_WORD_BYTES + GPU_GROUP_SUM_BYTES)

_Static_assert(sizeof(struct gpu_group_sum) == GPU_GROUP_SUM_BYTES, "a sum as it lies in a lane");

struct groups {
    const struct gpu_groups_job *job;
    struct gpu_array_plan plan;
    struct gpu_group held;
    bool is_held;
};

static struct gpu_groups_pass groups_pass_of(const struct gpu_groups_job *job,
                                             const struct gpu_array_plan *plan, uint8_t *memory,
                                             size_t count)
{
    struct gpu_groups_pass p = {
        .count = (uint32_t)count, .of = (uint32_t)job->of, .scratch_bytes = plan->scratch_bytes};
    size_t at = 0;
    p.keys = memory + gpu_array_part(&at, count * GPU_WORD_BYTES);
    if (job->values != NULL) {
        p.values = memory + gpu_array_part(&at, count * GPU_WORD_BYTES);
    }
    p.found = memory + gpu_array_part(&at, GPU_GROUPS_FOUND_BYTES);
    p.group_keys = memory + gpu_array_part(&at, count * GPU_WORD_BYTES);
    p.sums = memory + gpu_array_part(&at, count * GPU_GROUP_SUM_BYTES);
    p.scratch = memory + at;
    return p;
}

static int put_groups(struct gpu *gpu, const struct gpu_work *w, unsigned lane, const char **at)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    const struct groups *g = w->state;
    struct gpu_lane *l = &gpu->lane[lane];
    const struct gpu_groups_pass p =
        groups_pass_of(g->job, &g->plan, l->device, piece->bytes / GPU_WORD_BYTES);
    size_t end = piece->bytes;
    ASSERT(p.scratch + p.scratch_bytes <= l->device + l->bytes);
    memcpy(l->host, (const uint8_t *)g->job->keys + piece->from, piece->bytes);
    if (p.values != NULL) {
        const size_t values = (size_t)(p.values - l->device);
        memset(l->host + end, 0, values - end); /* between the two */
        memcpy(l->host + values, (const uint8_t *)g->job->values + piece->from, piece->bytes);
        end = values + piece->bytes;
    }
    *at = "copy to the device";
    TRY(gpu->driver->copy_in(l, end));
    *at = "groups";
    TRY(gpu->driver->run_groups(l, &p));
    *at = "copy from the device";
    return gpu->driver->copy_out(l, (size_t)(p.found - l->device), GPU_GROUPS_FOUND_BYTES);
}

/* How many there are is known: fetches them. */
static int more_groups(struct gpu *gpu, const struct gpu_work *w, unsigned lane)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    const struct groups *g = w->state;
    struct gpu_lane *l = &gpu->lane[lane];
    const struct gpu_groups_pass p =
        groups_pass_of(g->job, &g->plan, l->host, piece->bytes / GPU_WORD_BYTES);
    const size_t found = num_get_u32(p.found);
    if (found == 0 || found > p.count) {
        return gpu_work_fail_text(gpu, "groups: a number that cannot be");
    }
    int error = gpu->driver->copy_out(l, (size_t)(p.group_keys - l->host), found * GPU_WORD_BYTES);
    if (error == 0) {
        error = gpu->driver->copy_out(l, (size_t)(p.sums - l->host), found * GPU_GROUP_SUM_BYTES);
    }
    return error == 0 ? 0 : gpu_work_fail(gpu, "copy from the device", error);
}

static void end_held(struct groups *g)
{
    if (g->is_held) {
        g->job->group(g->job->ctx, &g->held);
    }
    g->is_held = false;
}

static void take_groups(const struct gpu *gpu, const struct gpu_work *w, unsigned lane)
{
    const struct gpu_piece *piece = &gpu->piece[lane];
    struct groups *g = w->state;
    const struct gpu_groups_pass p =
        groups_pass_of(g->job, &g->plan, gpu->lane[lane].host, piece->bytes / GPU_WORD_BYTES);
    const size_t found = num_get_u32(p.found);
    for (size_t i = 0; i < found; i++) {
        const uint64_t key = gpu_word_load(p.group_keys, i);
        if (!g->is_held || g->held.key != key) {
            end_held(g);
            g->held = (struct gpu_group){.key = key};
            g->is_held = true;
        }
        g->held.count += gpu_word_load(p.sums, 3 * i);
        gpu_array_add(&g->held.sum, gpu_word_load(p.sums, 3 * i + 1),
                      gpu_word_load(p.sums, 3 * i + 2));
    }
}

static const struct gpu_array_plan groups_plan = {.array = GPU_ARRAY_GROUPS,
                                                  .record_bytes = RECORD_BYTES};

int gpu_engine_groups(struct gpu *gpu, const struct gpu_groups_job *job)
{
    struct groups g = {.job = job, .plan = groups_plan};
    if ((unsigned)job->of > GPU_UNSIGNED) {
        return ERR_INVALID;
    }
    if (job->count == 0) {
        return 0;
    }
    TRY(gpu_array_fit(gpu, job->count, &g.plan));
    const struct gpu_work w = {.put = put_groups,
                               .more = more_groups,
                               .take = take_groups,
                               .total = job->count * GPU_WORD_BYTES,
                               .step = g.plan.count * (size_t)GPU_WORD_BYTES,
                               .state = &g};
    TRY(gpu_work_through(gpu, &w));
    end_held(&g);
    return 0;
}

int gpu_groups_rate_plan(struct gpu *gpu, struct gpu_array_plan *plan)
{
    *plan = groups_plan;
    return gpu_array_fit(gpu, GPU_ARRAY_MAX, plan);
}

int gpu_groups_run_once(struct gpu *gpu, const struct gpu_array_plan *plan, uint64_t *bytes)
{
    struct gpu_lane *lane = &gpu->lane[0];
    /* values of any address: where they lie follows from the plan */
    const struct gpu_groups_job job = {.of = GPU_SIGNED, .values = lane->host};
    const struct gpu_groups_pass p = groups_pass_of(&job, plan, lane->device, plan->count);
    *bytes = 2 * (uint64_t)plan->count * GPU_WORD_BYTES;
    return gpu->driver->run_groups(lane, &p);
}
