/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A disk in memory for the simulator. What has been written is seen at once and lasts through a
 * crash only as far as it was synced: of the unsynced 512-byte sectors an arbitrary subset
 * survives, one may be torn; of the unsynced directory changes a prefix survives. Faults can be
 * planted: errors on the n-th operation, a full disk, flipped bytes.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_SIM_DISK_H
#define HOLDFAST_TESTS_SIM_DISK_H

#include "base/rng.h"
#include "store/disk.h"

struct sim_disk;

struct sim_disk *sim_disk_new(uint64_t limit_bytes);
void sim_disk_free(struct sim_disk *d);
struct disk sim_disk_table(struct sim_disk *d);

/* Power is lost: what is not synced survives in part, as rng decides. Open handles die. */
void sim_disk_crash(struct sim_disk *d, struct rng *rng);

/* From now on the operation that makes the countdown 0 and all later ones do nothing and fail with
 * ERR_IO, as if power were gone already; 0 ends it. */
void sim_disk_power_off_after(struct sim_disk *d, uint64_t operations);

/* The next sync fails with ERR_IO. */
void sim_disk_fail_sync(struct sim_disk *d);
/* returns: how many syncs have failed so. */
uint64_t sim_disk_failed_syncs(const struct sim_disk *d);
void sim_disk_set_full(struct sim_disk *d, bool full);

struct sim_spot {
    const char *name;
    uint64_t offset;
    uint64_t bytes;
};

/* Flips bits of one byte, or of the rest of a sector, of a file whose name begins with prefix: of
 * any, or (recent_bytes > 0) of the one written last, in so many bytes before the end of that
 * write. returns: false if there is none. *spot says where. */
bool sim_disk_rot(struct sim_disk *d, struct rng *rng, const char *prefix, uint64_t recent_bytes,
                  struct sim_spot *spot);
/* XORs one byte; returns: false if it lies outside of the file. */
bool sim_disk_flip(struct sim_disk *d, const char *name, uint64_t offset, uint8_t mask);
uint64_t sim_disk_file_bytes(struct sim_disk *d, const char *name);
/* returns: whether text stands in the file; *offset is its first place. */
bool sim_disk_find_text(struct sim_disk *d, const char *name, const char *text, uint64_t *offset);
unsigned sim_disk_files(struct sim_disk *d);
const char *sim_disk_file_name(struct sim_disk *d, unsigned i);

#endif
