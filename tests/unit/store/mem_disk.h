/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A disk in memory for tests. It keeps what was written apart from what was synced, so that a
 * crash keeps any part of the unsynced 512-byte sectors and a beginning of the unsynced changes of
 * names; and it fails the n-th operation.
 *
 * threads: one at a time.
 */
#ifndef HOLDFAST_TESTS_UNIT_STORE_MEM_DISK_H
#define HOLDFAST_TESTS_UNIT_STORE_MEM_DISK_H

#include "base/rng.h"
#include "store/disk.h"

#define MEM_DISK_SECTOR 512u

struct mem_disk;

enum mem_disk_op {
    MEM_DISK_READ = 1,
    MEM_DISK_WRITE = 2,
    MEM_DISK_SYNC = 4,
    MEM_DISK_NAMES = 8, /* create, rename, unlink, sync_dir */
    MEM_DISK_ANY = 15,
};

struct mem_disk *mem_disk_new(struct disk *table);
void mem_disk_free(struct mem_disk *d);
/* returns: a disk with the same synced and unsynced content; no open files. */
struct mem_disk *mem_disk_copy(const struct mem_disk *d, struct disk *table);

/* The n-th operation of these kinds from now on (1: the next) fails with err; n 0: none. A failing
 * write has written a part, a failing sync nothing. */
void mem_disk_fail(struct mem_disk *d, unsigned ops, uint64_t n, int err);
/* Operations of these kinds since mem_disk_fail. */
uint64_t mem_disk_count(const struct mem_disk *d, unsigned op);
/* Files may take this much together: ERR_DISK_FULL beyond. */
void mem_disk_limit(struct mem_disk *d, uint64_t bytes);

/* Ends the power: of each unsynced sector the new content stays with keep_percent in 100. All open
 * files are void. */
void mem_disk_crash(struct mem_disk *d, struct rng *r, unsigned keep_percent);
/* Ends the process alone: everything written stays. */
void mem_disk_kill(struct mem_disk *d);

/* What the file holds, to look at and to damage (synced content changes too with _flip and _put).
 * returns: its bytes, 0 if it is not there. */
uint64_t mem_disk_bytes(const struct mem_disk *d, const char *name);
const uint8_t *mem_disk_data(const struct mem_disk *d, const char *name);
void mem_disk_flip(struct mem_disk *d, const char *name, uint64_t offset, uint8_t mask);
void mem_disk_put(struct mem_disk *d, const char *name, uint64_t offset, const void *data,
                  uint64_t bytes);
void mem_disk_cut(struct mem_disk *d, const char *name, uint64_t bytes);
/* The n-th file (from 0) whose name starts with prefix, in name order. returns: NULL past them. */
const char *mem_disk_name(const struct mem_disk *d, const char *prefix, unsigned n);

#endif
