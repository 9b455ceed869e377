/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The choice between a device and the processor. Only move() changes the state.
 *
 *              a job, wait over                 the job is well
 *   WAITING ----------------------> TRIAL ------------------------> HEALTHY
 *      ^                              |                               |
 *      +------------------------------+-------------------------------+
 *                           fails, late, wrong
 */
#include "gpu/pick.h"

#include "base/err.h"

static void move(struct gpu_pick *pick, enum gpu_pick_state to)
{
    static const bool allowed[3][3] = {
        [GPU_PICK_WAITING] = {[GPU_PICK_TRIAL] = true},
        [GPU_PICK_TRIAL] = {[GPU_PICK_HEALTHY] = true, [GPU_PICK_WAITING] = true},
        [GPU_PICK_HEALTHY] = {[GPU_PICK_WAITING] = true},
    };
    ASSERT(allowed[pick->state][to]);
    pick->state = to;
}

/* returns: a + b, or the end of time. */
static uint64_t later(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

size_t gpu_pick_least(const struct gpu_pick_measure *measures, unsigned count)
{
    size_t least = SIZE_MAX;
    for (unsigned i = count; i-- > 0;) {
        ASSERT(measures[i].bytes < least);
        if (measures[i].device_time >= measures[i].processor_time) {
            break;
        }
        least = measures[i].bytes;
    }
    return least;
}

void gpu_pick_init(struct gpu_pick *pick, const struct gpu_pick_settings *settings)
{
    ASSERT(settings->wait_min_us > 0);
    ASSERT(settings->wait_min_us <= settings->wait_max_us);
    ASSERT(settings->jobs_max > 0);
    *pick = (struct gpu_pick){.settings = *settings, .state = GPU_PICK_WAITING};
}

static void fail(struct gpu_pick *pick, uint64_t now_us, int err)
{
    const struct gpu_pick_settings *s = &pick->settings;
    const bool was_calm = pick->state == GPU_PICK_HEALTHY && now_us >= pick->healthy_us &&
                          now_us - pick->healthy_us >= s->wait_max_us;
    if (err == ERR_NOT_FOUND) {
        pick->wait_us = s->wait_max_us;
    } else if (pick->wait_us == 0 || was_calm) {
        pick->wait_us = s->wait_min_us;
    } else {
        pick->wait_us = pick->wait_us > s->wait_max_us / 2 ? s->wait_max_us : 2 * pick->wait_us;
    }
    pick->until_us = later(now_us, pick->wait_us);
    pick->errors++;
    move(pick, GPU_PICK_WAITING);
}

enum gpu_pick_where gpu_pick_take(struct gpu_pick *pick, uint64_t now_us, size_t bytes,
                                  struct gpu_pick_ticket *out)
{
    if (bytes < pick->settings.bytes_min || pick->under_way >= pick->settings.jobs_max) {
        return GPU_PICK_PROCESSOR;
    }
    if (pick->state == GPU_PICK_HEALTHY) {
        pick->under_way++;
        *out = (struct gpu_pick_ticket){.opening = pick->opening};
        return GPU_PICK_DEVICE;
    }
    /* what is still under way is of an opening that failed: its device may not be closed yet */
    if (pick->state != GPU_PICK_WAITING || now_us < pick->until_us || pick->under_way > 0) {
        return GPU_PICK_PROCESSOR;
    }
    move(pick, GPU_PICK_TRIAL);
    pick->opening++;
    pick->under_way++;
    *out = (struct gpu_pick_ticket){.opening = pick->opening};
    return GPU_PICK_OPEN;
}

/* returns: whether a ticket tells of the device as it is. */
static bool is_current(const struct gpu_pick *pick, const struct gpu_pick_ticket *ticket)
{
    return ticket->opening == pick->opening &&
           (pick->state == GPU_PICK_TRIAL || pick->state == GPU_PICK_HEALTHY);
}

void gpu_pick_late(struct gpu_pick *pick, uint64_t now_us, struct gpu_pick_ticket *ticket)
{
    ASSERT(!ticket->is_late);
    ticket->is_late = true;
    if (is_current(pick, ticket)) {
        fail(pick, now_us, ERR_UNAVAILABLE);
    }
}

void gpu_pick_wrong(struct gpu_pick *pick, uint64_t now_us)
{
    if (pick->state == GPU_PICK_HEALTHY) {
        fail(pick, now_us, ERR_UNAVAILABLE);
    }
}

/* What the answer of a job of this opening says of the device. */
static void learn(struct gpu_pick *pick, uint64_t now_us, int err)
{
    if (pick->state == GPU_PICK_TRIAL && err == 0) {
        pick->healthy_us = now_us;
        move(pick, GPU_PICK_HEALTHY);
    } else if (err != 0 && !(pick->state == GPU_PICK_HEALTHY && err == ERR_INVALID)) {
        fail(pick, now_us, err);
    }
}

enum gpu_pick_answer gpu_pick_done(struct gpu_pick *pick, uint64_t now_us,
                                   const struct gpu_pick_ticket *ticket, int err)
{
    ASSERT(pick->under_way > 0);
    ASSERT(ticket->opening > 0 && ticket->opening <= pick->opening);
    pick->under_way--;
    if (is_current(pick, ticket)) {
        learn(pick, now_us, err);
    }
    if (ticket->is_late) {
        return GPU_PICK_DROPPED;
    }
    return err == 0 ? GPU_PICK_ANSWERED : GPU_PICK_RERUN;
}
