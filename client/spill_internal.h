/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where groups of a program, and what it sorts, go that memory has no room for: files without a
 * name in a directory, which are gone when they are closed, also by the end of the process. (On a
 * file system that has no such files they have a name between two system calls.)
 *
 * threads: one owner at a time. Calls wait for the disk.
 */
#ifndef HOLDFAST_CLIENT_SPILL_INTERNAL_H
#define HOLDFAST_CLIENT_SPILL_INTERNAL_H

#include "base/err.h"
#include "compute/spill.h"

struct hf_spill {
    struct compute_spill spill;
    const char *dir;     /* borrowed */
    struct err_info why; /* of the first failure: names the directory */
};

/* Its address is fixed from then on. */
void hf_spill_init(struct hf_spill *s, const char *dir);

#endif
