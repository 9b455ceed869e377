/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A plug-in over the emulated machine, with a device that is too old and one that works: what
 * programs do with a plug-in and its devices, on machines without any. With EMULATED_FAIL_AT=N in
 * the environment its N-th call fails.
 */
#include "base/attr.h"
#include "tests/unit/gpu/emulated.h"

#include <stdlib.h>

/* Sets the machine up, at the first call of a process. */
static const struct gpu_driver *machine(void)
{
    if (emulated.devices == 0) {
        emulated_reset();
        emulated.devices = 2;
        emulated.capability[0] = 7;
        const char *fail_at = getenv("EMULATED_FAIL_AT");
        emulated.fail_at = fail_at != NULL ? (unsigned)strtoul(fail_at, NULL, 10) : 0;
        emulated.error = 719;
    }
    return &emulated_driver;
}

static void probe(unsigned *count, char *why, size_t why_bytes)
{
    gpu_engine_probe(machine(), count, why, why_bytes);
}

static int describe(unsigned device, struct gpu_device *out, char *why, size_t why_bytes)
{
    return gpu_engine_describe(machine(), device, out, why, why_bytes);
}

static int open_device(struct gpu **out, unsigned device, const struct gpu_settings *settings,
                       char *why, size_t why_bytes)
{
    return gpu_engine_open(machine(), out, device, settings, why, why_bytes);
}

extern const struct gpu_table gpu_table;
ATTR_EXPORT const struct gpu_table gpu_table = {
    .version = GPU_TABLE_VERSION,
    .bytes = sizeof(struct gpu_table),
    .probe = probe,
    .describe = describe,
    .open = open_device,
    .close = gpu_engine_close,
    .failure = gpu_engine_failure,
    .rs = gpu_engine_rs,
    .leaf_hashes = gpu_engine_leaf_hashes,
    .sum_f64s = gpu_engine_sum_f64s,
    .reduce = gpu_engine_reduce,
    .scan = gpu_engine_scan,
    .sort = gpu_engine_sort,
    .groups = gpu_engine_groups,
    .rate = gpu_engine_rate,
};
