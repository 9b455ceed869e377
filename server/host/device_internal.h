/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What device.c, the jobs' side, and device_thread.c, the device's, have in common.
 *
 * threads: as said of the fields.
 */
#ifndef HOLDFAST_SERVER_HOST_DEVICE_INTERNAL_H
#define HOLDFAST_SERVER_HOST_DEVICE_INTERNAL_H

#include "gpu/load.h"
#include "gpu/pick.h"
#include "server/host/device.h"

#include <pthread.h>

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
    unsigned k;
    unsigned rows;
    size_t bytes;
    size_t stride;
    uint8_t coefficients[GPU_RS_MAX * GPU_RS_MAX];
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
/* The job of a slot as the plug-in takes it. data, coded: room for the rows' addresses. */
struct gpu_rs_job host_device_job(const struct host_device_slot *slot,
                                  const uint8_t *data[GPU_RS_MAX], uint8_t *coded[GPU_RS_MAX]);

#endif
