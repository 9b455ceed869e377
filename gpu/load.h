/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Opens the plug-in, a shared object with the table of gpu/gpu.h.
 *
 *   struct gpu_plugin plugin;
 *   gpu_load(&plugin, "/usr/lib/holdfast-gpu.so", &why);
 *   plugin.table->probe(...);
 *   gpu_unload(&plugin);            all devices closed before
 *
 * A program without a plug-in does the same work on the processor: that there is none, or no
 * device, is no failure, and worth one line in the log.
 *
 * threads: any; a plugin has one owner at a time, its table as many as gpu.h says.
 */
#ifndef HOLDFAST_GPU_LOAD_H
#define HOLDFAST_GPU_LOAD_H

#include "base/err.h"
#include "gpu/gpu.h"

struct gpu_plugin {
    void *handle;
    const struct gpu_table *table; /* ends with gpu_unload */
};

/* path: with a '/', so that no search path decides what is run.
 * returns: 0; ERR_NOT_FOUND (no such file); ERR_LEVEL (its table has another version);
 * ERR_INVALID (a path without '/', no shared object, or one without a table). out: untouched on
 * failure. */
int gpu_load(struct gpu_plugin *out, const char *path, struct err_info *why);
void gpu_unload(struct gpu_plugin *plugin);

#endif
