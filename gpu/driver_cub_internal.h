/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * CUB under the driver over CUDA, in a file of its own, as its templates take long to compile.
 *
 * Calls return CUDA's number. queue: a stream of the device in use, into which the work is put.
 *
 * threads: as gpu.h says.
 */
#ifndef HOLDFAST_GPU_DRIVER_CUB_INTERNAL_H
#define HOLDFAST_GPU_DRIVER_CUB_INTERNAL_H

#include "gpu/engine_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

int gpu_cub_room(enum gpu_array array, uint32_t count, size_t *bytes);
int gpu_cub_reduce(void *queue, const struct gpu_reduce_pass *pass);
int gpu_cub_scan(void *queue, const struct gpu_scan_pass *pass);
int gpu_cub_sort(void *queue, const struct gpu_sort_pass *pass);
int gpu_cub_groups(void *queue, const struct gpu_groups_pass *pass);

#ifdef __cplusplus
}
#endif

#endif
