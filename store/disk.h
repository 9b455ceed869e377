/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Disk: the table of functions through which every byte goes to files. The program's table is
 * store_disk_posix(); the simulator gives its own, with lost unsynced writes, torn sectors, bit
 * rot, errors and full disks. Names are relative to the node's data directory, made by the
 * product, of [a-z0-9._/-] only; users' names never become paths. "." is the directory itself.
 *
 * A write is durable when sync of that file has returned 0 after it. A create, rename or unlink is
 * durable when sync_dir of its directory has returned 0 after it. After a failed sync nothing
 * written before it may be trusted: close and reopen, never retry.
 *
 * returns: 0, ERR_IO, ERR_DISK_FULL, ERR_NOT_FOUND, ERR_EXISTS, ERR_NO_MEMORY, ERR_PERMISSION.
 * threads: different files from different threads at once; one file from one thread at a time,
 *          but read, which any thread may call beside a write.
 */
#ifndef HOLDFAST_STORE_DISK_H
#define HOLDFAST_STORE_DISK_H

#include "base/alloc.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_file; /* belongs to the table that opened it */

enum disk_open {
    DISK_OPEN_READ = 0,   /* must exist */
    DISK_OPEN_WRITE = 1,  /* read and write, must exist */
    DISK_OPEN_CREATE = 2, /* read and write, must not exist */
};

struct disk_io {
    const void *data;
    size_t bytes;
};

/* name: within the directory that is listed. */
typedef void disk_list_fn(void *ctx, const char *name, uint64_t bytes);

struct disk {
    void *ctx;
    int (*open)(void *ctx, const char *name, enum disk_open mode, struct disk_file **out);
    void (*close)(void *ctx, struct disk_file *file);
    /* *got_bytes is less than bytes only at the end of the file. */
    int (*read)(void *ctx, struct disk_file *file, uint64_t offset, void *into, size_t bytes,
                size_t *got_bytes);
    /* All or an error; after an error any part may have been written. */
    int (*write)(void *ctx, struct disk_file *file, uint64_t offset, const struct disk_io *parts,
                 unsigned parts_count);
    int (*sync)(void *ctx, struct disk_file *file);
    int (*size)(void *ctx, struct disk_file *file, uint64_t *bytes);
    /* Allocates space up to bytes, so that later writes there cannot fail for want of space;
     * the content reads as zeros. */
    int (*reserve)(void *ctx, struct disk_file *file, uint64_t bytes);
    int (*truncate)(void *ctx, struct disk_file *file, uint64_t bytes);
    int (*rename)(void *ctx, const char *from, const char *to); /* replaces to */
    int (*unlink)(void *ctx, const char *name);
    int (*make_dir)(void *ctx, const char *name); /* ERR_EXISTS if it is there */
    int (*list)(void *ctx, const char *dir, void *list_ctx, disk_list_fn *each);
    int (*sync_dir)(void *ctx, const char *dir);
    int (*free_bytes)(void *ctx, uint64_t *bytes);
};

/* The data directory at path through POSIX calls (pread, pwrite, fdatasync, O_CLOEXEC,
 * openat below the directory, symbolic links refused).
 * returns: 0 or an error with why; out is released by store_disk_posix_close. */
int store_disk_posix_open(struct disk *out, const char *path, const struct alloc *alloc,
                          struct err_info *why);
void store_disk_posix_close(struct disk *d);

#endif
