/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of segments stand on: a simulated disk, the model of the kv table, and cells whose
 * content follows from their names.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_STORE_SEGMENTS_RIG_H
#define HOLDFAST_TESTS_UNIT_STORE_SEGMENTS_RIG_H

#include "store/segments.h"
#include "tests/sim/model_kv.h"
#include "tests/sim/sim_disk.h"

#include <check.h>

#define SEGMENT_BYTES (256u << 10)

struct segments_rig {
    struct alloc_budget budget; /* of the kv table */
    struct sim_disk *sim;
    struct disk disk;
    struct store_kv kv;
    struct store_segments *segs;
    struct store_segments_options options;
};

extern struct segments_rig rig;

/* Opens the segments on what the disk and the table hold. */
int rig_open(void);
void rig_setup(void);
void rig_teardown(void);
/* The process ends; power stays: unsynced bytes are there. */
void rig_reopen(void);
void rig_lose_index(void);
void rig_power_loss(uint64_t seed);
struct store_cell_id rig_cell_id(uint64_t counter, uint8_t shard, uint32_t cell);
uint32_t rig_cell_bytes(const struct store_cell_id *id);
void rig_cell_fill(const struct store_cell_id *id, struct store_cell *cell);
int rig_put(struct store_cell_id id);
void rig_put_ok(struct store_cell_id id);
void rig_sync_ok(void);
/* Reads the whole cell; what comes back is right or an error. */
int rig_get(struct store_cell_id id);
struct store_segments_stats rig_stats(void);
unsigned rig_maintain_all(void);

#endif
