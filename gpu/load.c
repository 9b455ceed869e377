/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Opens the plug-in. Nothing of a table is used before its version has been compared.
 */
#include "gpu/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The file is looked for first: what dlopen says is a text, and would have to be read. */
static int look_for(const char *path, struct err_info *why)
{
    if (strchr(path, '/') == NULL) {
        return err_set(why, ERR_INVALID, "path of the plug-in, '%s', has no '/'", path);
    }
    if (access(path, F_OK) != 0) {
        return err_set(why, ERR_NOT_FOUND, "no plug-in '%s': %s", path, strerror(errno));
    }
    return 0;
}

static int check_table(const struct gpu_table *table, const char *path, struct err_info *why)
{
    if (table == NULL) {
        return err_set(why, ERR_INVALID, "'%s' has no '%s': it is not a plug-in for devices", path,
                       GPU_TABLE_SYMBOL);
    }
    if (table->version != GPU_TABLE_VERSION) {
        return err_set(why, ERR_LEVEL, "plug-in '%s' has a table of version %u, not %u", path,
                       table->version, GPU_TABLE_VERSION);
    }
    if (table->bytes != sizeof(*table)) {
        return err_set(why, ERR_LEVEL, "plug-in '%s' has a table of %u bytes, not %zu", path,
                       table->bytes, sizeof(*table));
    }
    return 0;
}

int gpu_load(struct gpu_plugin *out, const char *path, struct err_info *why)
{
    TRY(look_for(path, why));
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        return err_set(why, ERR_INVALID, "cannot load the plug-in: %s", dlerror());
    }
    const struct gpu_table *table = dlsym(handle, GPU_TABLE_SYMBOL);
    const int err = check_table(table, path, why);
    if (err != 0) {
        (void)dlclose(handle);
        return err;
    }
    *out = (struct gpu_plugin){.handle = handle, .table = table};
    return 0;
}

void gpu_unload(struct gpu_plugin *plugin)
{
    (void)dlclose(plugin->handle);
    *plugin = (struct gpu_plugin){.handle = NULL, .table = NULL};
}
