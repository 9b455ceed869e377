/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What device.c, the jobs' side, and device_thread.c, the device's, have in common; and jobs as
 * they lie in slots (device_jobs.c, device_arrays.c), what is worth the way (device_measure.c).
 *
 * threads: as said of the fields.
 */
#ifndef HOLDFAST_SERVER_HOST_DEVICE_INTERNAL_H
#define HOLDFAST_SERVER_HOST_DEVICE_INTERNAL_H

#include "compute/compute.h"
#include "gpu/load.h"
#include "gpu/pick.h"
#include "server/host/device.h"

#include <pthread.h>

#define HOST_DEVICE_SUMS 3u /* of a job; reductions likewise */

enum host_device_phase {
    HOST_DEVICE_STARTING = 0,
    HOST_DEVICE_NONE,   /* off, no plug-in, no driver or no device: for good */
    HOST_DEVICE_SLOWER, /* measured, and not worth the way: for good */
    HOST_DEVICE_READY,  /* as pick says */
};

/* A job's place. Its memory belongs to the caller while FILLING and DONE, to the device's thread
 * while RUNNING, and to nobody while QUEUED. */
enum host_device_slot_state {
    HOST_DEVICE_FREE = 0,
    HOST_DEVICE_FILLING,
    HOST_DEVICE_QUEUED,
    HOST_DEVICE_RUNNING,
    HOST_DEVICE_DONE,
};

struct host_device_slot {
    enum host_device_slot_state state; /* this and the next three: under the lock */
    struct gpu_pick_ticket ticket;     /* late: nobody waits for it */
    uint64_t order;                    /* of QUEUED: the least goes first */
    int err;                           /* of DONE */
    uint8_t *memory;                   /* HOST_DEVICE_JOB_BYTES: sources, then results */
    enum node_device_kind kind;
    size_t columns; /* of each source; values; leaves; numbers */
    unsigned k;     /* these four: of codes */
    unsigned rows;
    size_t stride;
    uint8_t coefficients[GPU_RS_MAX * GPU_RS_MAX];
    struct compute_exact sum[HOST_DEVICE_SUMS]; /* of sums */
    enum compute_fold fold;                     /* these six: of arrays */
    enum compute_class of;
    struct gpu_reduced reduced[HOST_DEVICE_SUMS];
    uint64_t carry; /* of a scan, before it */
    struct gpu_scanned scanned;
    size_t run; /* sorted keys, but for the last ones */
};

/* Where leaves of some runs go on. */
struct host_device_leaves {
    const struct compute_leaves *runs;
    unsigned count;
    size_t leaf; /* of the first run */
};

/* What a caller has of a job: a piece of it that fits a slot. */
struct host_device_piece {
    enum node_device_kind kind;
    size_t job_bytes;  /* of all its sources */
    size_t done_bytes; /* before this piece */
    size_t bytes;      /* of this piece's sources; 0 before the first one */
    /* codes */
    const struct compute_rs_job *job;
    const uint8_t *coefficients;
    size_t from;
    size_t columns;
    /* sums and arrays */
    const uint8_t *values;
    struct compute_exact *sum;
    enum compute_fold fold;
    enum compute_class of;
    struct compute_folded *folded; /* what all pieces before come to; zeros before the first */
    uint8_t *results;              /* of a scan: of the whole job */
    uint64_t *carry;               /* likewise, before this piece */
    uint32_t *order;               /* of a sort: of the whole job, each piece for itself */
    /* leaves */
    struct host_device_leaves leaves;
};

enum host_device_verdict {
    HOST_DEVICE_RIGHT,    /* or judged by others */
    HOST_DEVICE_UNJUDGED, /* the results are of no use, and say nothing of the device */
    HOST_DEVICE_WRONG,
};

/* What an opening found. */
struct host_device_opening {
    int err;
    bool measured;
    size_t least[NODE_DEVICE_KINDS]; /* valid if measured; SIZE_MAX: not worth it at any size */
    char why[GPU_WHY_BYTES];         /* of an error */
    char cause[GPU_WHY_BYTES];       /* of the measurement */
};

struct host_device {
    struct host_device_options options;
    char path[4200];
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t wake;    /* the device's thread */
    pthread_cond_t changed; /* whoever waits for it */
    /* under the lock */
    enum host_device_phase phase;
    struct gpu_pick pick;
    size_t least[NODE_DEVICE_KINDS]; /* of jobs that go there, in bytes of sources */
    struct host_device_slot slot[HOST_DEVICE_JOBS];
    struct gpu_pick_ticket trial;
    bool trial_due;
    bool busy; /* the thread is at something, or is to look whether it should be */
    bool started;
    bool stop;
    bool ended;
    bool left_behind; /* the thread is to free everything */
    uint64_t orders;
    struct node_device report;
    char failure[GPU_WHY_BYTES]; /* of the last error */

    /* the device's thread alone */
    struct gpu_plugin plugin;
    const struct gpu_table *table;
    unsigned device; /* its number */
    struct gpu *gpu; /* NULL: closed */
    bool measured;
};

void *host_device_main(void *arg);
/* After a change of pick: logs a device that has just become suspect, or healthy again. before:
 * what pick was. Under the lock. */
void host_device_note(struct host_device *d, const struct gpu_pick *before);
/* Frees what there is; nobody uses it any more. */
void host_device_release(struct host_device *d);

/* ---- device_jobs.c -------------------------------------------------------------------------- */

/* returns: bytes of sources below which no job of this kind goes there. */
size_t host_device_least(enum node_device_kind kind);
/* Goes on to the next piece. returns: false, and p is of no more use, behind the last one. */
bool host_device_next(struct host_device_piece *p);
/* Copies a piece into a slot. */
void host_device_fill(struct host_device_slot *slot, const struct host_device_piece *p);
/* What the device's thread does with it. returns: as the plug-in's call. */
int host_device_call(const struct gpu_table *table, struct gpu *gpu, struct host_device_slot *slot);
/* Takes the results out, if they are right. */
enum host_device_verdict host_device_take(const struct host_device_slot *slot,
                                          const struct host_device_piece *p);

/* ---- device_arrays.c: as those above, of the kinds that device_jobs.c has not ---------------- */

/* Of the values of a piece: as much again, and a number. */
#define HOST_DEVICE_ARRAY_BYTES (HOST_DEVICE_JOB_BYTES / 2 - sizeof(uint64_t))
void host_device_fill_array(struct host_device_slot *slot, const struct host_device_piece *p);
int host_device_call_array(const struct gpu_table *table, struct gpu *gpu,
                           struct host_device_slot *slot);
enum host_device_verdict host_device_take_array(const struct host_device_slot *slot,
                                                const struct host_device_piece *p);

/* Makes the order of all keys of runs that are sorted, all of which but the last have as many.
 * scratch: room for as many places. */
void host_device_merge(const uint8_t *keys, uint32_t *order, uint32_t *scratch, size_t count,
                       size_t run);

/* ---- device_measure.c: on the device's thread, which has opened it; nobody has a slot -------- */

/* Small jobs of each kind, compared with the processor's.
 * returns: 0, or why it is not to be used, in o->why. */
int host_device_check(struct host_device *d, struct host_device_opening *o);
/* Finds o->least and o->cause. returns: likewise. */
int host_device_measure(struct host_device *d, struct host_device_opening *o);

#endif
