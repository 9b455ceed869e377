/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is usual for the parts of a run, and so which of them are late.
 *
 *   hf_run_pace_add(&paces, took_ms, bytes, depth);
 *   if (now >= sent_ms + hf_run_pace_late_ms(&paces, bytes, depth)) ...
 *
 * A node with four parts takes about four times as long for each as one that has one, and is no
 * slower for that: what is kept is the time of a part as if it were alone.
 *
 * threads: as of the caller. Nothing here asks what time it is.
 */
#ifndef HOLDFAST_CLIENT_RUN_PACE_H
#define HOLDFAST_CLIENT_RUN_PACE_H

#include <stdint.h>

#define RUN_PACES 32u

/* All zeros: none are known. */
struct run_paces {
    double ns[RUN_PACES]; /* a byte, of the last parts */
    unsigned count;       /* of all */
};

/* bytes: of the part, from 1. depth: parts that its node had when it was asked, with this one,
 * from 1. */
void hf_run_pace_add(struct run_paces *paces, uint64_t took_ms, uint64_t bytes, unsigned depth);

/* returns: ms after which such a part is late: 1.5 times what the median of the last parts makes
 * of it, but at least RUN_BACKUP_LEAST_MS; 0 while too few are known. */
uint64_t hf_run_pace_late_ms(const struct run_paces *paces, uint64_t bytes, unsigned depth);

#define RUN_PACES_LEAST 3u
#define RUN_BACKUP_LEAST_MS 50u

#endif
