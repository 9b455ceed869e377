/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is behind the table: the engine, plain C, cuts jobs into pieces and keeps the lanes busy;
 * a driver moves bytes and runs passes. There are two: CUDA's (driver_cuda.cu), and the one of the
 * tests, which does all of it on the processor and fails where it is told to. So what a device does
 * not compute, which is most of what can go wrong, is the same code in both.
 *
 * threads: as gpu.h says.
 */
#ifndef HOLDFAST_GPU_ENGINE_INTERNAL_H
#define HOLDFAST_GPU_ENGINE_INTERNAL_H

#include "gpu/finger_internal.h"
#include "gpu/gpu.h"
#include "gpu/groups_internal.h"
#include "gpu/reduce_internal.h"
#include "gpu/rs_internal.h"
#include "gpu/scan_internal.h"
#include "gpu/sha_internal.h"
#include "gpu/sort_internal.h"
#include "gpu/sum_internal.h"
#include "gpu/xor_internal.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a library does with arrays, in scratch memory of which it says how much it wants. */
enum gpu_array {
    GPU_ARRAY_REDUCE,
    GPU_ARRAY_SCAN,
    GPU_ARRAY_SORT,
    GPU_ARRAY_GROUPS,
};

/* Page-locked memory, device memory of the same size, and a queue: what is put into it happens in
 * its order, and beside the other lanes. */
struct gpu_lane {
    uint8_t *host;
    uint8_t *device;
    size_t bytes;
    void *queue;
    void *begin; /* marks in the queue */
    void *end;
};

/* Calls return 0 or the driver's own number. Those with a lane put something into its queue, but
 * for wait and clock_stop, and belong to the device that `use` named last in this thread. */
struct gpu_driver {
    const char *count_call; /* its name in the driver's documents */
    int (*count)(unsigned *out);
    int (*describe)(unsigned device, struct gpu_device *out);
    int (*use)(unsigned device);
    /* lane: zeroed but for bytes. On failure what there is of it remains, for lane_close. */
    int (*lane_open)(struct gpu_lane *lane);
    void (*lane_close)(struct gpu_lane *lane);

    int (*copy_in)(struct gpu_lane *lane, size_t bytes);             /* from the lane's start */
    int (*copy_out)(struct gpu_lane *lane, size_t at, size_t bytes); /* to the same place */
    int (*copy_within)(struct gpu_lane *lane, size_t bytes);         /* [0, bytes) to [bytes, ..) */
    int (*run_rs)(struct gpu_lane *lane, const struct gpu_rs_pass *pass);
    int (*run_xor)(struct gpu_lane *lane, const struct gpu_xor_pass *pass);
    int (*run_leaves)(struct gpu_lane *lane, const struct gpu_sha_pass *pass);
    int (*run_sum)(struct gpu_lane *lane, const struct gpu_sum_pass *pass);
    int (*run_fingers)(struct gpu_lane *lane, const struct gpu_finger_pass *pass); /* both steps */
    /* Scratch memory for so many records, or for fewer. */
    int (*room)(enum gpu_array array, uint32_t count, size_t *bytes);
    int (*run_reduce)(struct gpu_lane *lane, const struct gpu_reduce_pass *pass);
    int (*run_scan)(struct gpu_lane *lane, const struct gpu_scan_pass *pass);
    int (*run_scan_look)(struct gpu_lane *lane, const struct gpu_scan_pass *pass); /* at its sums */
    int (*run_sort)(struct gpu_lane *lane, const struct gpu_sort_pass *pass); /* kernel and sort */
    int (*run_groups)(struct gpu_lane *lane, const struct gpu_groups_pass *pass);
    /* Waits until the queue is empty. returns: also what went wrong in it. */
    int (*wait)(struct gpu_lane *lane);
    int (*clock_start)(struct gpu_lane *lane);
    int (*clock_stop)(struct gpu_lane *lane, double *seconds); /* waits, too */

    bool (*is_memory)(int error); /* whether it says that there is too little of it */
    /* Writes the error's number, name and sentence. */
    void (*text)(int error, char *out, size_t bytes);
};

/* The calls of the table, by a driver. */
void gpu_engine_probe(const struct gpu_driver *driver, unsigned *count, char *why,
                      size_t why_bytes);
int gpu_engine_describe(const struct gpu_driver *driver, unsigned device, struct gpu_device *out,
                        char *why, size_t why_bytes);
int gpu_engine_open(const struct gpu_driver *driver, struct gpu **out, unsigned device,
                    const struct gpu_settings *settings, char *why, size_t why_bytes);
void gpu_engine_close(struct gpu *gpu);
const char *gpu_engine_failure(const struct gpu *gpu);
int gpu_engine_rs(struct gpu *gpu, const struct gpu_rs_job *job);
int gpu_engine_leaf_hashes(struct gpu *gpu, const uint8_t *data, size_t bytes, uint8_t *hashes);
int gpu_engine_sum_f64s(struct gpu *gpu, const void *values, size_t count,
                        const struct gpu_sum_sink *sink);
int gpu_engine_reduce(struct gpu *gpu, const struct gpu_reduce_job *job, struct gpu_reduced *out);
int gpu_engine_scan(struct gpu *gpu, const struct gpu_scan_job *job, struct gpu_scanned *out);
int gpu_engine_sort(struct gpu *gpu, const struct gpu_sort_job *job, size_t *run);
int gpu_engine_groups(struct gpu *gpu, const struct gpu_groups_job *job);
int gpu_engine_rate(struct gpu *gpu, const struct gpu_rate_job *job, struct gpu_rate *out);

extern const struct gpu_driver gpu_driver_cuda;

#ifdef __cplusplus
}
#endif

#endif
