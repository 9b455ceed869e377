/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A driver without a device: the kernels' own source, run on the processor thread by thread, over
 * memory that stands for a device's. A queue leaves open when something happens in it, between the
 * call and the end of a wait, so there are two machines: a late one, which does all of it only when
 * somebody waits, and finds an engine that reads results or fills a lane too early; and an eager
 * one, which does it at the call, and finds an engine that fills a lane too late. A test is built
 * for either by EMULATED_IS_EAGER. Device memory is apart from the host's, and filled with junk;
 * bytes that a pass may not touch are guarded. A call with a lane of another device than the
 * current one ends the program.
 *
 * threads: one; there is one emulated machine.
 */
#ifndef HOLDFAST_TESTS_UNIT_GPU_EMULATED_H
#define HOLDFAST_TESTS_UNIT_GPU_EMULATED_H

#include "gpu/engine_internal.h"

#ifndef EMULATED_IS_EAGER
#define EMULATED_IS_EAGER false
#endif
#define EMULATED_DEVICES_MAX 2u
#define EMULATED_ARRAYS 4u /* enum gpu_array */

struct emulated {
    bool is_eager;
    int count_error;                           /* what count answers, if not 0 */
    unsigned devices;                          /* else how many there are */
    unsigned capability[EMULATED_DEVICES_MAX]; /* of them: the first number */
    unsigned fail_at;                          /* the call that fails, from 1; 0: none */
    int error;                                 /* with this */
    unsigned current;                          /* the device in use; EMULATED_NO_DEVICE: none */
    unsigned scratch_bytes_each;               /* of a record of an array */
    uint32_t groups_found;                     /* it says so many groups; 0: what there are */
    /* counted */
    unsigned calls;
    unsigned lanes_open;
    unsigned lanes_of[EMULATED_DEVICES_MAX];                   /* open ones, by device */
    unsigned by_rows[GPU_RS_PASS_ROWS + 1];                    /* passes of any matrix */
    unsigned by_code[GPU_XOR_K_MAX + 1][GPU_XOR_ROWS_MAX + 1]; /* of codes with own kernels */
    unsigned by_xor;                                           /* all of these */
    unsigned by_fingers;                                       /* passes */
    unsigned by_array[EMULATED_ARRAYS];
    unsigned busy_most; /* lanes with something in their queue at the same time */
};
extern struct emulated emulated;

/* Sets the machine back to one device that works, and to late or eager as the test is built. */
void emulated_reset(void);

#define EMULATED_NO_MEMORY 2
#define EMULATED_NO_DEVICE UINT32_MAX
extern const struct gpu_driver emulated_driver;

#endif
