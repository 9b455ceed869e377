/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A GPU for coding, for hashes of leaves and for arithmetic over arrays, behind the plug-in of
 * gpu/gpu.h: one device, one thread that alone calls it. Jobs of the workers go there while
 * gpu/pick.h says so; all else, and whatever goes wrong, is left to the processor by saying no.
 *
 *   host_device_new(&d, &options, &why);
 *   node_options.kernel = host_device_kernel(d);
 *   whole = host_device_whole(d);          for node_env.whole
 *   host_device_start(d, &why);            its thread loads, opens, measures, and logs one line
 *   ...
 *   host_device_free(d);                   no job is in it
 *
 * What is coded is judged by erasure/. Sums, hashes and reductions are computed there twice,
 * arranged in another way, and are of no use if they differ; scans are compared with the
 * processor's when they are taken out, and an order is seen to be one.
 *
 * A job is copied into memory of the device's own and out of it, so one that takes longer than the
 * patience is given up: its caller goes on with the processor, and its memory stays with the device
 * until that lets go. A device that failed, was late, or gave bits that were found wrong is opened
 * anew by its thread when the first job after the wait asks for it; no job waits for that.
 *
 * Limits: HOST_DEVICE_JOBS under way, of HOST_DEVICE_JOB_BYTES of sources and results each; longer
 * jobs go in pieces. Arrays of less than 64 KiB and single leaves do not go there. That memory is
 * taken when a device is there, and on the device and page-locked 6 MiB.
 *
 * threads: new, start and free by one; the kernel and the report from any.
 */
#ifndef HOLDFAST_SERVER_HOST_DEVICE_H
#define HOLDFAST_SERVER_HOST_DEVICE_H

#include "base/err.h"
#include "base/log.h"
#include "gpu/gpu.h"
#include "server/node/node.h"

#define HOST_DEVICE_JOBS 2u
#define HOST_DEVICE_JOB_BYTES (16u << 20)
#define HOST_DEVICE_MEASURE_US 200000u /* measuring at the first opening takes at most */

enum host_device_use {
    HOST_DEVICE_AUTO = 0, /* jobs of sizes for which it was measured to be faster */
    HOST_DEVICE_ALWAYS,   /* all jobs */
    HOST_DEVICE_OFF,      /* none; nothing is loaded */
};

struct host_device_options {
    enum host_device_use use;
    const char *path; /* of the plug-in; "": beside the program, or in ../lib/holdfast from there */
    const struct gpu_table *table; /* in place of a plug-in, for tests */
    const struct log *log;         /* outlives the device */
    struct alloc heap;             /* for any thread */
    uint64_t (*now_us)(void);      /* does not go back; for any thread */
    uint64_t wait_min_us;          /* how long a device that failed is left alone; from 1 */
    uint64_t wait_max_us;
    uint64_t patience_us; /* for one job, and for the thread at the end */
};

struct host_device;

int host_device_new(struct host_device **out, const struct host_device_options *options,
                    struct err_info *why);
/* returns: 0; ERR_NO_MEMORY (no thread). That there is no device is no error. */
int host_device_start(struct host_device *d, struct err_info *why);
/* Ends with d. */
struct erasure_kernel host_device_kernel(struct host_device *d);
struct compute_whole host_device_whole(struct host_device *d);
/* For node_options.device. ctx: the device. */
void host_device_report(void *ctx, struct node_device *out);
/* Waits until the device's thread has nothing left to do. For tests. */
void host_device_settle(struct host_device *d);
/* How long jobs that begin from now on, and the end, wait in place of options.patience_us; us > 0.
 * For tests, in which jobs either hang or have all the time there is. Any thread. */
void host_device_set_patience(struct host_device *d, uint64_t us);
/* A thread that hangs in its driver for longer than the patience is left behind, with the memory. d
 * may be NULL. */
void host_device_free(struct host_device *d);

#endif
