/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A driver without a device: the kernels' own source, run on the processor thread by thread, over
 * memory that stands for a device's. What is put into a lane's queue happens only when somebody
 * waits for it, so that an engine that reads results too early, or fills a lane too early, is
 * found. Device memory is apart from the host's, and filled with junk; bytes that a pass may not
 * touch are guarded.
 *
 * threads: one; there is one emulated machine.
 */
#ifndef HOLDFAST_TESTS_UNIT_GPU_EMULATED_H
#define HOLDFAST_TESTS_UNIT_GPU_EMULATED_H

#include "gpu/engine_internal.h"

struct emulated {
    int count_error;     /* what count answers, if not 0 */
    unsigned devices;    /* else how many there are */
    unsigned capability; /* of them: the first number */
    unsigned fail_at;    /* the call that fails, from 1; 0: none */
    int error;           /* with this */
    /* counted */
    unsigned calls;
    unsigned lanes_open;
    unsigned by_xor;    /* passes of codes that have kernels of their own */
    unsigned busy_most; /* lanes with something in their queue at the same time */
};
extern struct emulated emulated;

/* Sets the machine back to one device that works. */
void emulated_reset(void);

#define EMULATED_NO_MEMORY 2
extern const struct gpu_driver emulated_driver;

#endif
