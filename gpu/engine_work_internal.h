/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Between the engine, which cuts jobs into pieces and keeps the lanes busy, and the kinds of jobs.
 *
 * threads: as gpu.h says.
 */
#ifndef HOLDFAST_GPU_ENGINE_WORK_INTERNAL_H
#define HOLDFAST_GPU_ENGINE_WORK_INTERNAL_H

#include "gpu/engine_internal.h"

/* 32 rows are 4 passes of 8; 31 are 3 of 8, one of 4 and one of 3. */
#define GPU_WORK_PASSES_MAX 5u

struct gpu_piece {
    bool is_busy;
    size_t from; /* of the job: columns, or bytes of leaves or values */
    size_t bytes;
    struct gpu_sum_pass sum; /* of an exact sum: what the results are units of */
    uint64_t carry;          /* of a scan: what all before come to */
};

struct gpu {
    const struct gpu_driver *driver;
    unsigned device;
    unsigned lanes_count;
    struct gpu_lane lane[GPU_LANES_MAX];
    struct gpu_piece piece[GPU_LANES_MAX];
    bool is_xor; /* the code in hand has a kernel of its own: */
    struct gpu_xor_pass xor_pass;
    unsigned passes_count; /* else these make its rows */
    struct gpu_rs_pass pass[GPU_WORK_PASSES_MAX];
    char failure[GPU_WHY_BYTES];
};

/* A kind of job. put: fills a lane and its queue; returns a driver's number, and names what it was
 * at. more: of a finished piece, puts what is to be waited for yet into the queue; may be NULL;
 * returns 0 or what gpu_work_fail does. take: brings results of a finished piece to the caller. */
struct gpu_work {
    int (*put)(struct gpu *gpu, const struct gpu_work *w, unsigned lane, const char **at);
    int (*more)(struct gpu *gpu, const struct gpu_work *w, unsigned lane);
    void (*take)(const struct gpu *gpu, const struct gpu_work *w, unsigned lane);
    size_t total;
    size_t step; /* the most of one piece */
    const struct gpu_rs_job *rs;
    const uint8_t *leaves;
    uint8_t *hashes;
    const uint8_t *values;
    const struct gpu_sum_sink *sink;
    void *state; /* of a kind of its own */
};

/* Keeps what the driver said, for good. returns: ERR_UNAVAILABLE. */
int gpu_work_fail(struct gpu *gpu, const char *at, int error);
/* The same of what no call of the driver said. */
int gpu_work_fail_text(struct gpu *gpu, const char *text);
/* returns: whether jobs may be given to the device; this thread then uses it. */
bool gpu_work_is_usable(struct gpu *gpu);
/* Does a job, piece by piece. Pieces are put and taken in their order.
 * returns: 0; ERR_UNAVAILABLE. */
int gpu_work_through(struct gpu *gpu, const struct gpu_work *w);

#endif
