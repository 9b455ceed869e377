/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Segments on the simulated disk and the model of the kv table: reads that never return a wrong
 * byte, crashes, lost index, full disk, compaction.
 */
#include "base/num.h"
#include "base/rng.h"
#include "store/segments.h"
#include "tests/sim/model_kv.h"
#include "tests/sim/sim_disk.h"
#include "tests/unit/store/prop.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_BYTES (256u << 10)

static struct alloc_budget budget;
static struct sim_disk *sim;
static struct disk disk;
static struct store_kv kv;
static struct store_segments *segs;
static struct store_segments_options options;

static int segs_open(void)
{
    struct alloc heap = alloc_heap();
    struct err_info why = {0};
    segs = NULL;
    int err = store_segments_open(&segs, &disk, &kv, &options, &heap, NULL, &why);
    ck_assert_int_eq(err, why.code);
    return err;
}

static void setup(void)
{
    struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
    sim = sim_disk_new(64u << 20);
    disk = sim_disk_table(sim);
    ck_assert_int_eq(sim_kv_new(&kv, 64u << 20, &alloc), 0);
    options = (struct store_segments_options){.segment_bytes = SEGMENT_BYTES,
                                              .reserve_bytes = 1u << 20,
                                              .segments_max = 64,
                                              .cluster = {1, 2, 3},
                                              .store_id = 9};
    ck_assert_int_eq(segs_open(), 0);
}

static void teardown(void)
{
    store_segments_close(segs);
    kv.close(kv.ctx);
    sim_disk_free(sim);
    ck_assert_uint_eq(budget.used_bytes, 0);
}

/* The process ends; power stays: unsynced bytes are there. */
static void reopen(void)
{
    store_segments_close(segs);
    sim_kv_crash(&kv);
    ck_assert_int_eq(segs_open(), 0);
}

static void lose_index(void)
{
    store_segments_close(segs);
    kv.close(kv.ctx);
    struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
    ck_assert_int_eq(sim_kv_new(&kv, 64u << 20, &alloc), 0);
    ck_assert_int_eq(segs_open(), 0);
}

static void power_loss(uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    store_segments_close(segs);
    sim_disk_crash(sim, &rng);
    sim_kv_crash(&kv);
    ck_assert_int_eq(segs_open(), 0);
}

/* ---- cells whose content follows from their name ---- */

static struct store_cell_id cell_id(uint64_t counter, uint8_t shard, uint32_t cell)
{
    return (struct store_cell_id){
        .extent_grant = 5, .extent_counter = counter, .cell = cell, .shard = shard};
}

static uint32_t cell_bytes(const struct store_cell_id *id)
{
    static const uint32_t sizes[] = {1, 100, 4096, 16384, 16385, 40000, 65536};
    return sizes[(id->extent_counter * 3 + id->shard + id->cell) % 7];
}

static void cell_fill(const struct store_cell_id *id, struct store_cell *cell)
{
    static uint8_t data[65536];
    static uint8_t leaves[STORE_SEG_LEAVES_MAX * 32];
    struct rng rng;
    uint32_t bytes = cell_bytes(id);
    rng_init(&rng, id->extent_counter * 1000003 + id->shard * 1009 + id->cell);
    rng_fill(&rng, data, bytes);
    *cell = (struct store_cell){.id = *id, .group = 7, .bytes = bytes, .data = data};
    if (id->shard % 2 == 0) {
        cell->leaves_count = (bytes + 16383) / 16384;
        cell->leaves = leaves;
        rng_fill(&rng, leaves, 32u * cell->leaves_count);
    }
}

static int put(struct store_cell_id id)
{
    struct store_cell cell;
    cell_fill(&id, &cell);
    return store_segments_put(segs, &cell);
}

static void put_ok(struct store_cell_id id)
{
    ck_assert_int_eq(put(id), 0);
}

static void sync_ok(void)
{
    ck_assert_int_eq(store_segments_sync(segs), 0);
}

/* Reads the whole cell; what comes back is right or an error. */
static int get(struct store_cell_id id)
{
    static uint8_t into[65536];
    static struct store_cell_info info;
    struct store_cell cell;
    int err = store_segments_get(segs, &id, 0, cell_bytes(&id), into, &info);
    if (err == 0) {
        cell_fill(&id, &cell);
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

static struct store_segments_stats stats(void)
{
    struct store_segments_stats out;
    store_segments_stats_get(segs, &out);
    return out;
}

static unsigned maintain_all(void)
{
    bool more = true;
    unsigned rounds = 0;
    while (more) {
        ck_assert_int_eq(store_segments_maintain(segs, 50000, &more), 0);
        ck_assert_uint_lt(++rounds, 10000);
    }
    return rounds;
}

START_TEST(a_cell_is_readable_after_the_sync_and_not_before)
{
    struct store_cell_id id = cell_id(1, 0, 0);
    put_ok(id);
    ck_assert_int_eq(get(id), ERR_NOT_FOUND);
    sync_ok();
    ck_assert_int_eq(get(id), 0);
    ck_assert_int_eq(get(cell_id(1, 0, 1)), ERR_NOT_FOUND);
    ck_assert_int_eq(get(cell_id(1, 1, 0)), ERR_NOT_FOUND);
    ck_assert_uint_eq(stats().cells, 1);
}
END_TEST

START_TEST(any_range_of_a_cell_comes_back)
{
    struct store_cell_id id = cell_id(2, 0, 0); /* 65536 bytes */
    struct store_cell cell;
    static uint8_t into[65536];
    struct rng rng;
    struct store_cell_info info;
    ck_assert_uint_eq(cell_bytes(&id), 65536);
    put_ok(id);
    sync_ok();
    cell_fill(&id, &cell);
    rng_init(&rng, 3);
    for (unsigned i = 0; i < 300; i++) {
        uint32_t offset = (uint32_t)rng_below(&rng, 65537);
        uint32_t bytes = (uint32_t)rng_below(&rng, 65536 - offset + 1);
        if (i % 3 == 0) {
            offset -= offset % 16384;
        }
        ck_assert_int_eq(store_segments_get(segs, &id, offset, bytes, into, NULL), 0);
        ck_assert_int_eq(memcmp(into, cell.data + offset, bytes), 0);
    }
    ck_assert_int_eq(store_segments_get(segs, &id, 65536, 1, into, NULL), ERR_RANGE);
    ck_assert_int_eq(store_segments_get(segs, &id, 1, 65536, into, NULL), ERR_RANGE);
    ck_assert_int_eq(store_segments_get(segs, &id, UINT32_MAX, 2, into, NULL), ERR_RANGE);
    ck_assert_int_eq(store_segments_get(segs, &id, 0, 0, NULL, &info), 0);
    ck_assert_uint_eq(info.bytes, 65536);
}
END_TEST

START_TEST(cells_of_impossible_size_are_refused)
{
    struct store_cell_id id = cell_id(2, 0, 0);
    struct store_cell cell;
    cell_fill(&id, &cell);
    cell.bytes = 0;
    ck_assert_int_eq(store_segments_put(segs, &cell), ERR_INVALID);
    cell.bytes = STORE_SEG_CELL_BYTES_MAX + 1;
    ck_assert_int_eq(store_segments_put(segs, &cell), ERR_INVALID);
    cell.bytes = 1;
    cell.leaves_count = STORE_SEG_LEAVES_MAX + 1;
    ck_assert_int_eq(store_segments_put(segs, &cell), ERR_INVALID);
    static uint8_t big[SEGMENT_BYTES];
    cell.leaves_count = 0;
    cell.bytes = SEGMENT_BYTES;
    cell.data = big;
    ck_assert_int_eq(store_segments_put(segs, &cell), ERR_TOO_LARGE);
}
END_TEST

START_TEST(writing_a_cell_again_replaces_it)
{
    struct store_cell_id id = cell_id(1, 0, 0);
    put_ok(id);
    put_ok(id);
    sync_ok();
    put_ok(id);
    sync_ok();
    ck_assert_int_eq(get(id), 0);
    ck_assert_uint_eq(stats().cells, 1);
    struct store_shard_info shard;
    unsigned count = 0;
    ck_assert_int_eq(store_segments_list(segs, NULL, &shard, 1, &count), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(shard.cells, 1);
}
END_TEST

START_TEST(shards_are_listed_in_order_page_by_page)
{
    struct store_shard_info page[2];
    struct store_shard_info last = {0};
    unsigned count = 0;
    unsigned seen = 0;
    for (unsigned i = 0; i < 24; i++) {
        put_ok(cell_id(3 - i % 4 % 3, (uint8_t)(i % 2), i));
    }
    sync_ok();
    ck_assert_int_eq(store_segments_list(segs, NULL, page, 2, &count), 0);
    while (count > 0) {
        for (unsigned i = 0; i < count; i++) {
            ck_assert(
                last.extent_counter < page[i].extent_counter ||
                (last.extent_counter == page[i].extent_counter && last.shard < page[i].shard));
            ck_assert_uint_eq(page[i].group, 7);
            last = page[i];
            seen += last.cells;
        }
        ck_assert_int_eq(store_segments_list(segs, &last, page, 2, &count), 0);
    }
    ck_assert_uint_eq(seen, 24);
}
END_TEST

START_TEST(a_deleted_shard_is_gone_after_the_sync)
{
    uint64_t deleted = 0;
    for (unsigned i = 0; i < 6; i++) {
        put_ok(cell_id(1, (uint8_t)(i % 3), i));
        put_ok(cell_id(2, (uint8_t)(i % 3), i));
    }
    sync_ok();
    put_ok(cell_id(1, 1, 77)); /* not synced: deleted too */
    ck_assert_int_eq(store_segments_delete(segs, 5, 1, 1, &deleted), 0);
    ck_assert_uint_eq(deleted, 3);
    ck_assert_int_eq(get(cell_id(1, 1, 1)), 0);
    sync_ok();
    ck_assert_int_eq(get(cell_id(1, 1, 1)), ERR_NOT_FOUND);
    ck_assert_int_eq(get(cell_id(1, 1, 77)), ERR_NOT_FOUND);
    ck_assert_int_eq(get(cell_id(1, 0, 0)), 0);
    ck_assert_int_eq(get(cell_id(2, 1, 1)), 0);
    ck_assert_int_eq(store_segments_delete(segs, 5, 2, 255, &deleted), 0);
    ck_assert_uint_eq(deleted, 6);
    ck_assert_int_eq(store_segments_delete(segs, 5, 2, 255, &deleted), 0);
    ck_assert_uint_eq(deleted, 0);
    sync_ok();
    ck_assert_uint_eq(stats().cells, 4);
    reopen();
    ck_assert_uint_eq(stats().cells, 4);
    ck_assert_int_eq(get(cell_id(2, 1, 1)), ERR_NOT_FOUND);
    ck_assert_int_eq(get(cell_id(1, 0, 0)), 0);
}
END_TEST

/* attacks scenario 48: a flipped byte anywhere is found or does not matter, never served */
START_TEST(every_flipped_byte_is_found_or_harmless)
{
    struct store_cell_id id = cell_id(3, 0, 0); /* 4096 bytes, with a leaf */
    unsigned found = 0;
    ck_assert_uint_eq(cell_bytes(&id), 4096);
    put_ok(id);
    sync_ok();
    uint64_t bytes = 4096 + 128 + 32 + 4 + 28 + 4096;
    for (uint64_t at = 0; at < bytes; at++) {
        ck_assert(sim_disk_flip(sim, "seg/00000001.seg", at, 0x40));
        int err = get(id);
        ck_assert(err == 0 || err == ERR_CORRUPT);
        found += err != 0;
        ck_assert(sim_disk_flip(sim, "seg/00000001.seg", at, 0x40));
    }
    ck_assert_uint_ge(found, 4096 + 128 + 32 + 4);
    ck_assert_uint_eq(stats().corrupt_reads, found);
    ck_assert_int_eq(get(id), 0);
}
END_TEST

static void copy_bytes(uint64_t from, uint64_t to, size_t bytes)
{
    static uint8_t raw[SEGMENT_BYTES];
    struct disk_file *file = NULL;
    size_t got = 0;
    struct disk_io part = {.data = raw, .bytes = bytes};
    ck_assert_int_eq(disk.open(disk.ctx, "seg/00000001.seg", DISK_OPEN_WRITE, &file), 0);
    ck_assert_int_eq(disk.read(disk.ctx, file, from, raw, bytes, &got), 0);
    ck_assert_uint_eq(got, bytes);
    ck_assert_int_eq(disk.write(disk.ctx, file, to, &part, 1), 0);
    disk.close(disk.ctx, file);
}

/* attacks scenario 37: bytes with a right checksum at a wrong place */
START_TEST(a_misdirected_write_is_found)
{
    /* two cells of one size, one behind the other: meta 192 or 128 + pad, data 4096 */
    struct store_cell_id a = cell_id(3, 0, 0);
    struct store_cell_id b = cell_id(3, 0, 7);
    ck_assert_uint_eq(cell_bytes(&a), 4096);
    ck_assert_uint_eq(cell_bytes(&b), 4096);
    put_ok(a);
    put_ok(b);
    sync_ok();
    uint64_t record = 192 + 4096;
    copy_bytes(4096, 4096 + record, record); /* a's whole record over b's */
    ck_assert_int_eq(get(a), 0);
    ck_assert_int_eq(get(b), ERR_CORRUPT);
    put_ok(b);
    sync_ok();
    ck_assert_int_eq(get(b), 0);
    put_ok(a);
    sync_ok();
    /* only the data of a over the data of b: the block's checksum is seeded with its cell */
    copy_bytes(4096 + 192, 12288 + 192 + 4096 - 4096, 4096);
    int err = get(b);
    ck_assert(err == 0 || err == ERR_CORRUPT);
}
END_TEST

START_TEST(a_block_at_the_place_of_another_block_is_found)
{
    struct store_cell_id id = cell_id(2, 1, 6); /* 65536 bytes, parity: no leaves */
    ck_assert_uint_eq(cell_bytes(&id), 65536);
    put_ok(id);
    sync_ok();
    uint64_t data = 4096 + 192; /* header 128 and four CRCs, rounded up */
    ck_assert_int_eq(get(id), 0);
    copy_bytes(data, data + 16384, 16384);
    uint8_t into[16];
    ck_assert_int_eq(store_segments_get(segs, &id, 16384, 16, into, NULL), ERR_CORRUPT);
    ck_assert_int_eq(store_segments_get(segs, &id, 0, 16, into, NULL), 0);
    ck_assert_int_eq(store_segments_get(segs, &id, 32768, 16, into, NULL), 0);
}
END_TEST

START_TEST(what_was_synced_survives_power_loss)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        for (unsigned i = 0; i < 5; i++) {
            put_ok(cell_id(seed, 0, i));
        }
        sync_ok();
        for (unsigned i = 5; i < 10; i++) {
            put_ok(cell_id(seed, 0, i));
        }
        power_loss(seed);
        for (unsigned i = 0; i < 10; i++) {
            int err = get(cell_id(seed, 0, i));
            ck_assert(err == 0 || (i >= 5 && err == ERR_NOT_FOUND));
        }
    }
    maintain_all();
    for (uint64_t seed = 1; seed <= 20; seed++) {
        ck_assert_int_eq(get(cell_id(seed, 0, 4)), 0);
    }
}
END_TEST

START_TEST(a_lost_index_is_rebuilt_from_the_files)
{
    uint64_t deleted = 0;
    for (unsigned i = 0; i < 60; i++) {
        put_ok(cell_id(i % 5, (uint8_t)(i % 3), i));
        if (i % 7 == 0) {
            sync_ok();
        }
    }
    sync_ok();
    struct store_segments_stats before = stats();
    ck_assert_uint_gt(before.segments, 3);
    lose_index();
    ck_assert_uint_eq(stats().cells, 60);
    ck_assert_uint_eq(stats().live_bytes, before.live_bytes);
    for (unsigned i = 0; i < 60; i++) {
        ck_assert_int_eq(get(cell_id(i % 5, (uint8_t)(i % 3), i)), 0);
    }
    ck_assert_int_eq(store_segments_delete(segs, 5, 3, 255, &deleted), 0);
    ck_assert_uint_eq(deleted, 12);
    sync_ok();
    put_ok(cell_id(100, 0, 0));
    sync_ok();
    ck_assert_int_eq(get(cell_id(100, 0, 0)), 0);
}
END_TEST

START_TEST(a_rebuild_passes_over_damaged_records)
{
    for (unsigned i = 0; i < 8; i++) {
        put_ok(cell_id(3, 0, i * 7)); /* 4096 bytes each */
        sync_ok();
    }
    ck_assert(sim_disk_flip(sim, "seg/00000001.seg", 4096 + 3, 1));              /* its magic */
    ck_assert(sim_disk_flip(sim, "seg/00000001.seg", 4096 + 3 * 8192 + 600, 1)); /* data */
    ck_assert(sim_disk_flip(sim, "seg/00000001.seg", 20, 1));                    /* file header */
    lose_index();
    unsigned kept = 0;
    for (unsigned i = 0; i < 8; i++) {
        int err = get(cell_id(3, 0, i * 7));
        ck_assert(err == 0 || err == ERR_NOT_FOUND);
        kept += err == 0;
    }
    ck_assert_uint_eq(kept, 6);
}
END_TEST

START_TEST(a_failed_sync_latches_and_what_was_synced_before_stays)
{
    put_ok(cell_id(1, 0, 0));
    sync_ok();
    put_ok(cell_id(1, 0, 1));
    sim_disk_fail_sync(sim);
    ck_assert_int_eq(store_segments_sync(segs), ERR_IO);
    ck_assert_int_eq(put(cell_id(1, 0, 2)), ERR_IO);
    ck_assert_int_eq(store_segments_sync(segs), ERR_IO);
    ck_assert_int_eq(get(cell_id(1, 0, 0)), 0);
    power_loss(1);
    ck_assert_int_eq(get(cell_id(1, 0, 0)), 0);
    put_ok(cell_id(1, 0, 1));
    sync_ok();
    ck_assert_int_eq(get(cell_id(1, 0, 1)), 0);
}
END_TEST

START_TEST(a_failed_commit_of_the_index_latches)
{
    put_ok(cell_id(1, 0, 0));
    sync_ok();
    put_ok(cell_id(1, 0, 1));
    sim_kv_fail_commit(&kv, ERR_IO);
    ck_assert_int_eq(store_segments_sync(segs), ERR_IO);
    ck_assert_int_eq(put(cell_id(1, 0, 2)), ERR_IO);
    reopen();
    ck_assert_int_eq(get(cell_id(1, 0, 0)), 0);
    ck_assert_int_eq(get(cell_id(1, 0, 1)), 0); /* intact behind the indexed offset */
    ck_assert_uint_eq(stats().cells, 2);
}
END_TEST

START_TEST(a_full_index_refuses_and_ends_by_itself)
{
    uint64_t deleted = 0;
    for (unsigned i = 0; i < 10; i++) {
        put_ok(cell_id(1, 1, i));
    }
    sync_ok();
    sim_kv_limit(&kv, 100);
    put_ok(cell_id(2, 1, 0));
    ck_assert_int_eq(store_segments_sync(segs), ERR_DISK_FULL);
    ck_assert_int_eq(get(cell_id(2, 1, 0)), ERR_NOT_FOUND);
    ck_assert_int_eq(get(cell_id(1, 1, 3)), 0);
    sim_kv_limit(&kv, 1 << 20);
    ck_assert_int_eq(store_segments_delete(segs, 5, 1, 255, &deleted), 0);
    put_ok(cell_id(2, 1, 1));
    sync_ok();
    ck_assert_int_eq(get(cell_id(2, 1, 1)), 0);
    ck_assert_uint_eq(stats().cells, 1);
}
END_TEST

START_TEST(a_full_disk_refuses_keeps_reads_and_ends_by_itself)
{
    uint64_t free_bytes = 0;
    uint64_t deleted = 0;
    unsigned stored = 0;
    int err = 0;
    options.segments_max = 1000;
    reopen();
    while (err == 0) {
        err = put(cell_id(1, 1, stored));
        stored += err == 0;
        ck_assert_uint_lt(stored, 100000);
    }
    ck_assert_int_eq(err, ERR_DISK_FULL);
    sync_ok();
    ck_assert_int_eq(disk.free_bytes(disk.ctx, &free_bytes), 0);
    ck_assert_uint_ge(free_bytes, options.reserve_bytes);
    ck_assert_int_eq(get(cell_id(1, 1, stored - 1)), 0);
    ck_assert_int_eq(put(cell_id(1, 1, stored)), ERR_DISK_FULL);
    ck_assert_int_eq(store_segments_delete(segs, 5, 1, 1, &deleted), 0);
    ck_assert_uint_eq(deleted, stored);
    sync_ok();
    maintain_all();
    ck_assert_int_eq(put(cell_id(2, 1, 0)), 0);
    sync_ok();
    ck_assert_int_eq(get(cell_id(2, 1, 0)), 0);
}
END_TEST

START_TEST(segments_beyond_the_limit_are_refused_until_some_are_free)
{
    uint64_t deleted = 0;
    unsigned stored = 0;
    int err = 0;
    options.segments_max = 4;
    reopen();
    while (err == 0) {
        err = put(cell_id(stored % 2, 1, stored));
        stored += err == 0;
    }
    ck_assert_int_eq(err, ERR_BUSY);
    sync_ok();
    ck_assert_int_eq(store_segments_delete(segs, 5, 1, 1, &deleted), 0);
    for (unsigned i = 2; i < stored; i += 4) {
        ck_assert_int_eq(get(cell_id(0, 1, i)), 0);
    }
    sync_ok();
    ck_assert_int_eq(store_segments_delete(segs, 5, 0, 1, &deleted), 0);
    sync_ok();
    maintain_all();
    put_ok(cell_id(3, 1, 0));
    sync_ok();
    ck_assert_int_eq(get(cell_id(3, 1, 0)), 0);
}
END_TEST

START_TEST(compaction_gives_space_back_and_keeps_what_lives)
{
    uint64_t deleted = 0;
    for (unsigned i = 0; i < 200; i++) {
        put_ok(cell_id(i % 10, 0, i));
        if (i % 9 == 0) {
            sync_ok();
        }
    }
    sync_ok();
    uint64_t before = stats().file_bytes;
    for (unsigned extent = 0; extent < 10; extent++) {
        if (extent != 4) {
            ck_assert_int_eq(store_segments_delete(segs, 5, extent, 255, &deleted), 0);
        }
    }
    sync_ok();
    ck_assert_uint_gt(maintain_all(), 3);
    ck_assert_uint_lt(stats().file_bytes, before / 3);
    ck_assert_uint_eq(stats().cells, 20);
    for (unsigned i = 4; i < 200; i += 10) {
        ck_assert_int_eq(get(cell_id(4, 0, i)), 0);
    }
    power_loss(5);
    for (unsigned i = 4; i < 200; i += 10) {
        ck_assert_int_eq(get(cell_id(4, 0, i)), 0);
    }
    ck_assert_int_eq(get(cell_id(3, 0, 3)), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_damaged_live_record_is_not_dropped_and_its_repair_frees_the_segment)
{
    uint64_t deleted = 0;
    struct store_cell_id id = cell_id(3, 0, 0); /* 4096 bytes: the first record */
    put_ok(id);
    for (unsigned i = 1; i < 30; i++) {
        put_ok(cell_id(2, 0, i));
    }
    sync_ok();
    ck_assert_uint_gt(stats().segments, 1);
    ck_assert(sim_disk_flip(sim, "seg/00000001.seg", 4096 + 1000, 1));
    ck_assert_int_eq(store_segments_delete(segs, 5, 2, 255, &deleted), 0);
    sync_ok();
    maintain_all();
    ck_assert_int_eq(get(id), ERR_CORRUPT);
    ck_assert_uint_eq(sim_disk_file_bytes(sim, "seg/00000001.seg") > 0, true);
    put_ok(id);
    sync_ok();
    maintain_all();
    ck_assert_int_eq(get(id), 0);
    struct disk_file *file = NULL;
    ck_assert_int_eq(disk.open(disk.ctx, "seg/00000001.seg", DISK_OPEN_READ, &file), ERR_NOT_FOUND);
}
END_TEST

START_TEST(segments_of_another_cluster_or_store_are_refused)
{
    put_ok(cell_id(1, 0, 0));
    sync_ok();
    store_segments_close(segs);
    options.cluster[0] = 9;
    ck_assert_int_eq(segs_open(), ERR_WRONG_CLUSTER);
    options.cluster[0] = 1;
    options.store_id = 10;
    ck_assert_int_eq(segs_open(), ERR_WRONG_CLUSTER);
    options.store_id = 9;
    ck_assert_int_eq(segs_open(), 0);
    ck_assert_int_eq(get(cell_id(1, 0, 0)), 0);
}
END_TEST

START_TEST(cells_of_a_missing_file_read_as_damaged_and_can_be_written_again)
{
    put_ok(cell_id(1, 0, 0));
    sync_ok();
    store_segments_close(segs);
    ck_assert_int_eq(disk.unlink(disk.ctx, "seg/00000001.seg"), 0);
    ck_assert_int_eq(segs_open(), 0);
    ck_assert_int_eq(get(cell_id(1, 0, 0)), ERR_CORRUPT);
    put_ok(cell_id(1, 0, 0));
    sync_ok();
    ck_assert_int_eq(get(cell_id(1, 0, 0)), 0);
    reopen();
    ck_assert_int_eq(get(cell_id(1, 0, 0)), 0);
    ck_assert_uint_eq(stats().cells, 1);
}
END_TEST

/* ---- property: whatever happens, what was acknowledged is there and nothing is wrong ---- */

#define PROP_EXTENTS 12u
#define PROP_CELLS 12u

struct prop {
    struct rng rng;
    bool acked[PROP_EXTENTS][PROP_CELLS];  /* present as of the last sync that returned 0 */
    bool now[PROP_EXTENTS][PROP_CELLS];    /* with the changes since */
    bool put[PROP_EXTENTS][PROP_CELLS];    /* written since the last sync, perhaps deleted again */
    bool unsure[PROP_EXTENTS][PROP_CELLS]; /* changed by something that was not acknowledged */
};

static struct store_cell_id prop_id(unsigned extent, unsigned cell)
{
    return cell_id(extent, (uint8_t)(cell % 3), cell);
}

static void prop_forget(struct prop *p)
{
    for (unsigned e = 0; e < PROP_EXTENTS; e++) {
        for (unsigned c = 0; c < PROP_CELLS; c++) {
            p->unsure[e][c] |= p->put[e][c] || p->acked[e][c] != p->now[e][c];
        }
    }
}

static void prop_restart(struct prop *p, bool power)
{
    prop_forget(p);
    store_segments_close(segs);
    sim_disk_power_off_after(sim, 0);
    if (power) {
        sim_disk_crash(sim, &p->rng);
    }
    sim_kv_crash(&kv);
    int opened = segs_open();
    if (opened != 0) {
        ck_assert_int_eq(opened, ERR_IO); /* the sync that was to fail */
        ck_assert_int_eq(segs_open(), 0);
    }
    for (unsigned e = 0; e < PROP_EXTENTS; e++) {
        for (unsigned c = 0; c < PROP_CELLS; c++) {
            int err = get(prop_id(e, c));
            ck_assert_msg(err == 0 || err == ERR_NOT_FOUND,
                          "extent %u cell %u acked %d unsure %d: %s", e, c, p->acked[e][c],
                          p->unsure[e][c], err_name(err));
            ck_assert_msg(p->unsure[e][c] || (err == 0) == p->acked[e][c],
                          "extent %u cell %u acked %d now %d power %d: %s", e, c, p->acked[e][c],
                          p->now[e][c], power, err_name(err));
            p->acked[e][c] = err == 0;
            p->now[e][c] = err == 0;
            p->unsure[e][c] = false;
            p->put[e][c] = false;
        }
    }
}

static void prop_check_counts(struct prop *p)
{
    struct store_shard_info shards[64];
    unsigned count = 0;
    uint64_t cells = 0;
    uint64_t listed = 0;
    for (unsigned e = 0; e < PROP_EXTENTS; e++) {
        for (unsigned c = 0; c < PROP_CELLS; c++) {
            cells += p->acked[e][c];
        }
    }
    ck_assert_int_eq(store_segments_list(segs, NULL, shards, 64, &count), 0);
    for (unsigned i = 0; i < count; i++) {
        ck_assert_uint_gt(shards[i].cells, 0);
        listed += shards[i].cells;
    }
    ck_assert_uint_eq(listed, cells);
    ck_assert_uint_eq(stats().cells, cells);
}

static void prop_sync(struct prop *p)
{
    if (store_segments_sync(segs) != 0) {
        prop_restart(p, true);
        return;
    }
    memcpy(p->acked, p->now, sizeof(p->acked));
    memset(p->put, 0, sizeof(p->put));
    prop_check_counts(p);
}

static void prop_put(struct prop *p)
{
    unsigned e = (unsigned)rng_below(&p->rng, PROP_EXTENTS);
    unsigned c = (unsigned)rng_below(&p->rng, PROP_CELLS);
    int err = put(prop_id(e, c));
    if (err == 0) {
        p->now[e][c] = true;
        p->put[e][c] = true;
    } else {
        ck_assert(err == ERR_IO || err == ERR_DISK_FULL || err == ERR_BUSY);
        p->unsure[e][c] = true; /* the bytes may be there and be found by the next open */
    }
}

static void prop_delete(struct prop *p)
{
    unsigned e = (unsigned)rng_below(&p->rng, PROP_EXTENTS);
    unsigned shard = (unsigned)rng_below(&p->rng, 4);
    uint64_t deleted = 0;
    if (store_segments_delete(segs, 5, e, shard == 3 ? 255 : (uint8_t)shard, &deleted) != 0) {
        return;
    }
    uint64_t want = 0;
    for (unsigned c = 0; c < PROP_CELLS; c++) {
        if (shard == 3 || c % 3 == shard) {
            want += p->now[e][c];
            p->now[e][c] = false;
        }
    }
    ck_assert_uint_eq(deleted, want);
}

static void prop_maintain(struct prop *p)
{
    bool more = false;
    if (store_segments_maintain(segs, rng_between(&p->rng, 1, 200000), &more) != 0) {
        prop_restart(p, true);
        return;
    }
    memcpy(p->acked, p->now, sizeof(p->acked)); /* it syncs first */
    memset(p->put, 0, sizeof(p->put));
    prop_check_counts(p);
}

static void prop_step(struct prop *p)
{
    uint64_t what = rng_below(&p->rng, 100);
    if (what < 55) {
        prop_put(p);
    } else if (what < 65) {
        prop_delete(p);
    } else if (what < 85) {
        prop_sync(p);
    } else if (what < 92) {
        prop_maintain(p);
    } else if (what < 94) {
        prop_restart(p, rng_chance(&p->rng, 1, 2));
    } else if (what < 96) {
        sim_disk_power_off_after(sim, rng_between(&p->rng, 1, 12));
    } else if (what < 97) {
        sim_disk_fail_sync(sim);
    } else {
        unsigned e = (unsigned)rng_below(&p->rng, PROP_EXTENTS);
        unsigned c = (unsigned)rng_below(&p->rng, PROP_CELLS);
        int err = get(prop_id(e, c));
        ck_assert(err == ERR_IO || (err == 0) == p->acked[e][c]);
    }
}

START_TEST(no_crash_loses_or_corrupts_an_acknowledged_cell)
{
    uint64_t round = 0;
    uint64_t seed = 0;
    while (prop_seed("segments", 40, &round, &seed)) {
        static struct prop prop;
        teardown();
        setup();
        memset(&prop, 0, sizeof(prop));
        rng_init(&prop.rng, seed);
        for (unsigned step = 0; step < 400; step++) {
            prop_step(&prop);
        }
        prop_restart(&prop, true);
        prop_check_counts(&prop);
        maintain_all();
        prop_check_counts(&prop);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segments");
    TCase *tc = tcase_create("segments");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_cell_is_readable_after_the_sync_and_not_before);
    tcase_add_test(tc, any_range_of_a_cell_comes_back);
    tcase_add_test(tc, cells_of_impossible_size_are_refused);
    tcase_add_test(tc, writing_a_cell_again_replaces_it);
    tcase_add_test(tc, shards_are_listed_in_order_page_by_page);
    tcase_add_test(tc, a_deleted_shard_is_gone_after_the_sync);
    tcase_add_test(tc, every_flipped_byte_is_found_or_harmless);
    tcase_add_test(tc, a_misdirected_write_is_found);
    tcase_add_test(tc, a_block_at_the_place_of_another_block_is_found);
    tcase_add_test(tc, what_was_synced_survives_power_loss);
    tcase_add_test(tc, a_lost_index_is_rebuilt_from_the_files);
    tcase_add_test(tc, a_rebuild_passes_over_damaged_records);
    tcase_add_test(tc, a_failed_sync_latches_and_what_was_synced_before_stays);
    tcase_add_test(tc, a_failed_commit_of_the_index_latches);
    tcase_add_test(tc, a_full_index_refuses_and_ends_by_itself);
    tcase_add_test(tc, a_full_disk_refuses_keeps_reads_and_ends_by_itself);
    tcase_add_test(tc, segments_beyond_the_limit_are_refused_until_some_are_free);
    tcase_add_test(tc, compaction_gives_space_back_and_keeps_what_lives);
    tcase_add_test(tc, a_damaged_live_record_is_not_dropped_and_its_repair_frees_the_segment);
    tcase_add_test(tc, segments_of_another_cluster_or_store_are_refused);
    tcase_add_test(tc, cells_of_a_missing_file_read_as_damaged_and_can_be_written_again);
    tcase_add_test(tc, no_crash_loses_or_corrupts_an_acknowledged_cell);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
