/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The shared object's table: the engine over CUDA's driver. gpu_table is all that it exports.
 */
#include "base/attr.h"
#include "gpu/engine_internal.h"

static void probe(unsigned *count, char *why, size_t why_bytes)
{
    gpu_engine_probe(&gpu_driver_cuda, count, why, why_bytes);
}

static int describe(unsigned device, struct gpu_device *out, char *why, size_t why_bytes)
{
    return gpu_engine_describe(&gpu_driver_cuda, device, out, why, why_bytes);
}

static int open_device(struct gpu **out, unsigned device, const struct gpu_settings *settings,
                       char *why, size_t why_bytes)
{
    return gpu_engine_open(&gpu_driver_cuda, out, device, settings, why, why_bytes);
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
