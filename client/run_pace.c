/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/run_pace.h"

#include "base/num.h"

#define RUN_LATE_FACTOR 1.5
#define RUN_MS_NS 1e6
#define RUN_LATE_MOST_MS 1e15 /* added to a time, it is one */

void hf_run_pace_add(struct run_paces *paces, uint64_t took_ms, uint64_t bytes, unsigned depth)
{
    paces->ns[paces->count++ % RUN_PACES] =
        (double)took_ms * RUN_MS_NS / (double)bytes / (double)depth;
}

uint64_t hf_run_pace_late_ms(const struct run_paces *paces, uint64_t bytes, unsigned depth)
{
    const unsigned count = NUM_MIN(paces->count, RUN_PACES);
    double sorted[RUN_PACES];
    if (count < RUN_PACES_LEAST) {
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned at = i;
        for (; at > 0 && sorted[at - 1] > paces->ns[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = paces->ns[i];
    }
    const double usual_ns = sorted[count / 2] * (double)bytes * (double)depth;
    const double late_ms = usual_ns * RUN_LATE_FACTOR / RUN_MS_NS;
    return (uint64_t)NUM_MAX(NUM_MIN(late_ms, RUN_LATE_MOST_MS), RUN_BACKUP_LEAST_MS);
}
