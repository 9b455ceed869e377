/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Opens, crashes and reopens; makes and checks cells.
 */
#include "tests/unit/store/segments_rig.h"

#include "base/rng.h"

#include <string.h>

struct segments_rig rig;

int rig_open(void)
{
    struct alloc heap = alloc_heap();
    struct err_info why = {0};
    rig.segs = NULL;
    int err = store_segments_open(&rig.segs, &rig.disk, &rig.kv, &rig.options, &heap, NULL, &why);
    ck_assert_int_eq(err, why.code);
    return err;
}

void rig_setup(void)
{
    struct alloc alloc = alloc_budget_init(&rig.budget, alloc_heap(), UINT64_MAX);
    rig.sim = sim_disk_new(64u << 20);
    rig.disk = sim_disk_table(rig.sim);
    ck_assert_int_eq(sim_kv_new(&rig.kv, 64u << 20, &alloc), 0);
    rig.options = (struct store_segments_options){.segment_bytes = SEGMENT_BYTES,
                                                  .reserve_bytes = 1u << 20,
                                                  .segments_max = 64,
                                                  .cluster = {1, 2, 3},
                                                  .store_id = 9};
    ck_assert_int_eq(rig_open(), 0);
}

void rig_teardown(void)
{
    store_segments_close(rig.segs);
    rig.kv.close(rig.kv.ctx);
    sim_disk_free(rig.sim);
    ck_assert_uint_eq(rig.budget.used_bytes, 0);
}

void rig_reopen(void)
{
    store_segments_close(rig.segs);
    sim_kv_crash(&rig.kv);
    ck_assert_int_eq(rig_open(), 0);
}

void rig_lose_index(void)
{
    store_segments_close(rig.segs);
    rig.kv.close(rig.kv.ctx);
    struct alloc alloc = alloc_budget_init(&rig.budget, alloc_heap(), UINT64_MAX);
    ck_assert_int_eq(sim_kv_new(&rig.kv, 64u << 20, &alloc), 0);
    ck_assert_int_eq(rig_open(), 0);
}

void rig_power_loss(uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    store_segments_close(rig.segs);
    sim_disk_crash(rig.sim, &rng);
    sim_kv_crash(&rig.kv);
    ck_assert_int_eq(rig_open(), 0);
}

/* ---- cells whose content follows from their name ---- */

struct store_cell_id rig_cell_id(uint64_t counter, uint8_t shard, uint32_t cell)
{
    return (struct store_cell_id){
        .extent_grant = 5, .extent_counter = counter, .cell = cell, .shard = shard};
}

uint32_t rig_cell_bytes(const struct store_cell_id *id)
{
    static const uint32_t sizes[] = {1, 100, 4096, 16384, 16385, 40000, 65536};
    return sizes[(id->extent_counter * 3 + id->shard + id->cell) % 7];
}

void rig_cell_fill(const struct store_cell_id *id, struct store_cell *cell)
{
    static uint8_t data[65536];
    static uint8_t leaves[STORE_SEG_LEAVES_MAX * 32];
    struct rng rng;
    uint32_t bytes = rig_cell_bytes(id);
    rng_init(&rng, id->extent_counter * 1000003 + id->shard * 1009 + id->cell);
    rng_fill(&rng, data, bytes);
    *cell = (struct store_cell){.id = *id, .group = 7, .bytes = bytes, .data = data};
    if (id->shard % 2 == 0) {
        cell->leaves_count = (bytes + 16383) / 16384;
        cell->leaves = leaves;
        rng_fill(&rng, leaves, 32u * cell->leaves_count);
    }
}

int rig_put(struct store_cell_id id)
{
    struct store_cell cell;
    rig_cell_fill(&id, &cell);
    return store_segments_put(rig.segs, &cell);
}

void rig_put_ok(struct store_cell_id id)
{
    ck_assert_int_eq(rig_put(id), 0);
}

void rig_sync_ok(void)
{
    ck_assert_int_eq(store_segments_sync(rig.segs), 0);
}

int rig_get(struct store_cell_id id)
{
    static uint8_t into[65536];
    static struct store_cell_info info;
    struct store_cell cell;
    int err = store_segments_get(rig.segs, &id, 0, rig_cell_bytes(&id), into, &info);
    if (err == 0) {
        rig_cell_fill(&id, &cell);
        ck_assert_mem_eq(into, cell.data, cell.bytes);
        ck_assert_uint_eq(info.bytes, cell.bytes);
        ck_assert_uint_eq(info.group, 7);
        ck_assert_uint_eq(info.leaves_count, cell.leaves_count);
        if (cell.leaves_count > 0) {
            ck_assert_mem_eq(info.leaves, cell.leaves, 32u * cell.leaves_count);
        }
    }
    return err;
}

struct store_segments_stats rig_stats(void)
{
    struct store_segments_stats out;
    store_segments_stats_get(rig.segs, &out);
    return out;
}

unsigned rig_maintain_all(void)
{
    bool more = true;
    unsigned rounds = 0;
    while (more) {
        ck_assert_int_eq(store_segments_maintain(rig.segs, 50000, &more), 0);
        ck_assert_uint_lt(++rounds, 10000);
    }
    return rounds;
}
