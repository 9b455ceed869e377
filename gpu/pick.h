/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Chooses for each job between a device and the processor. Any error of a device sends its job to
 * the processor, and the device is left alone for a while that doubles from error to error. Pure:
 * nothing is opened or run here, and the clock is an argument.
 *
 *   struct gpu_pick pick;
 *   struct gpu_pick_ticket ticket;
 *   gpu_pick_init(&pick, &settings);
 *   switch (gpu_pick_take(&pick, now_us, bytes, &ticket)) {
 *   case GPU_PICK_PROCESSOR: run it here; there is no ticket
 *   case GPU_PICK_OPEN:      the device's thread opens the device, then runs the job
 *   case GPU_PICK_DEVICE:    the device's thread runs the job
 *   }
 *   switch (gpu_pick_done(&pick, now_us, &ticket, err)) {      err: of table->open, or of the job
 *   case GPU_PICK_ANSWERED:  the results are good
 *   case GPU_PICK_RERUN:     run it on the processor
 *   case GPU_PICK_DROPPED:   it has been given up; free what it held
 *   }
 *
 * Each ticket is done exactly once, whatever happens. Whoever owns the open device closes it at its
 * first error, and answers ERR_UNAVAILABLE to jobs that are still queued for it.
 *
 *   state     event                                      next
 *   WAITING   a job, wait over, none under way           TRIAL: that job opens the device
 *   TRIAL     that job is well                           HEALTHY
 *   TRIAL     that job fails or is late                  WAITING, for longer
 *   HEALTHY   a job fails, is late or gave wrong bits    WAITING, for longer
 *
 * A job of an earlier opening says nothing of the device as it is: jobs that were queued behind the
 * one that failed do not lengthen the wait. Neither does ERR_INVALID of a device that is healthy:
 * that is about the job. After ERR_NOT_FOUND, no such device or too old a one, the wait is the
 * longest: it may be a driver that starts again. Else the wait is the least again after an error
 * that comes at least wait_max_us after the opening was found well; so a device that opens, works a
 * little and fails waits for longer each time.
 *
 * Times are in microseconds of any clock that does not go back.
 *
 * threads: values; one owner at a time.
 */
#ifndef HOLDFAST_GPU_PICK_H
#define HOLDFAST_GPU_PICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gpu_pick_settings {
    uint64_t wait_min_us; /* after a first error; from 1 */
    uint64_t wait_max_us; /* not less than that */
    size_t bytes_min;     /* of a job that is worth the way there and back */
    unsigned jobs_max;    /* under way on the device at once; from 1 */
};

enum gpu_pick_state {
    GPU_PICK_WAITING, /* closed: not opened yet, or suspect */
    GPU_PICK_TRIAL,   /* one job opens it */
    GPU_PICK_HEALTHY,
};

struct gpu_pick {
    struct gpu_pick_settings settings;
    enum gpu_pick_state state;
    uint64_t opening;    /* number of the latest, from 1 */
    uint64_t until_us;   /* WAITING: the device is left alone before */
    uint64_t wait_us;    /* the last wait; 0: none yet */
    uint64_t healthy_us; /* HEALTHY: since when */
    unsigned under_way;  /* tickets that are not done, of any opening */
    uint64_t errors;     /* counted: openings that ended by one */
};

struct gpu_pick_ticket {
    uint64_t opening;
    bool is_late;
};

enum gpu_pick_where { GPU_PICK_PROCESSOR, GPU_PICK_OPEN, GPU_PICK_DEVICE };
enum gpu_pick_answer { GPU_PICK_ANSWERED, GPU_PICK_RERUN, GPU_PICK_DROPPED };

/* What jobs of one size took, in any unit of time. */
struct gpu_pick_measure {
    size_t bytes; /* of the sources */
    uint64_t device_time;
    uint64_t processor_time;
};

/* measures: by ascending size.
 * returns: the least size from which on the device was faster at all sizes, for bytes_min; SIZE_MAX
 * if it was not at the largest, or nothing was measured. */
size_t gpu_pick_least(const struct gpu_pick_measure *measures, unsigned count);

/* The device counts as closed, and the first job may open it. */
void gpu_pick_init(struct gpu_pick *pick, const struct gpu_pick_settings *settings);

/* bytes: of the job's sources. out: written unless the answer is GPU_PICK_PROCESSOR. */
enum gpu_pick_where gpu_pick_take(struct gpu_pick *pick, uint64_t now_us, size_t bytes,
                                  struct gpu_pick_ticket *out);

/* Gives up a job that the device has had for too long: the caller runs it on the processor, with
 * memory that the device does not have. The ticket is still to be done, once the device lets go of
 * it, and no other job goes there before. */
void gpu_pick_late(struct gpu_pick *pick, uint64_t now_us, struct gpu_pick_ticket *ticket);

/* The device answered a job, and its results were found to be wrong. If it is healthy now it is to
 * be left alone as after an error: an opening that replaced that of the job has the same device. */
void gpu_pick_wrong(struct gpu_pick *pick, uint64_t now_us);

/* err: 0, or what the job's call or the opening before it returned. */
enum gpu_pick_answer gpu_pick_done(struct gpu_pick *pick, uint64_t now_us,
                                   const struct gpu_pick_ticket *ticket, int err);

#endif
