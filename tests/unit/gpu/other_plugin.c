/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Shared objects that are not this program's plug-in: by what it is compiled with, a table of
 * another version, one of another size, or none.
 */
#include "base/attr.h"
#include "gpu/gpu.h"

#if defined(OTHER_VERSION)
extern const struct gpu_table gpu_table;
ATTR_EXPORT const struct gpu_table gpu_table = {.version = OTHER_VERSION,
                                                .bytes = sizeof(struct gpu_table)};
#elif defined(OTHER_BYTES)
extern const struct gpu_table gpu_table;
ATTR_EXPORT const struct gpu_table gpu_table = {.version = GPU_TABLE_VERSION, .bytes = OTHER_BYTES};
#else
extern const int gpu_nothing;
ATTR_EXPORT const int gpu_nothing = 0;
#endif
