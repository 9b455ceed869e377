/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Segments on the simulated disk and the model of the kv table: reads that never return a wrong
 * byte, crashes, lost index, full disk, compaction.
 */
#include "base/crc.h"
#include "base/num.h"
#include "base/rng.h"
#include "tests/unit/store/segments_rig.h"

#include <string.h>

START_TEST(a_cell_is_readable_after_the_sync_and_not_before)
{
    struct store_cell_id id = rig_cell_id(1, 0, 0);
    rig_put_ok(id);
    ck_assert_int_eq(rig_get(id), ERR_NOT_FOUND);
    rig_sync_ok();
    ck_assert_int_eq(rig_get(id), 0);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 1)), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 1, 0)), ERR_NOT_FOUND);
    ck_assert_uint_eq(rig_stats().cells, 1);
}
END_TEST

START_TEST(any_range_of_a_cell_comes_back)
{
    struct store_cell_id id = rig_cell_id(2, 0, 0); /* 65536 bytes */
    struct store_cell cell;
    static uint8_t into[65536];
    struct rng rng;
    struct store_cell_info info;
    ck_assert_uint_eq(rig_cell_bytes(&id), 65536);
    rig_put_ok(id);
    rig_sync_ok();
    rig_cell_fill(&id, &cell);
    rng_init(&rng, 3);
    for (unsigned i = 0; i < 300; i++) {
        uint32_t offset = (uint32_t)rng_below(&rng, 65537);
        uint32_t bytes = (uint32_t)rng_below(&rng, 65536 - offset + 1);
        if (i % 3 == 0) {
            offset -= offset % 16384;
        }
        ck_assert_int_eq(store_segments_get(rig.segs, &id, offset, bytes, into, NULL), 0);
        ck_assert_int_eq(memcmp(into, cell.data + offset, bytes), 0);
    }
    ck_assert_int_eq(store_segments_get(rig.segs, &id, 65536, 1, into, NULL), ERR_RANGE);
    ck_assert_int_eq(store_segments_get(rig.segs, &id, 1, 65536, into, NULL), ERR_RANGE);
    ck_assert_int_eq(store_segments_get(rig.segs, &id, UINT32_MAX, 2, into, NULL), ERR_RANGE);
    ck_assert_int_eq(store_segments_get(rig.segs, &id, 0, 0, NULL, &info), 0);
    ck_assert_uint_eq(info.bytes, 65536);
}
END_TEST

START_TEST(the_sum_of_a_cell_is_known_by_those_of_its_blocks)
{
    static const uint32_t sizes[] = {1, 16383, 16384, 16385, 40000, 65536};
    static uint8_t into[65536];
    struct store_cell cell;
    struct store_cell_info info;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct store_cell_id id = rig_cell_id(9, (uint8_t)i, 0);
        rig_cell_fill(&id, &cell);
        cell.bytes = sizes[i];
        cell.leaves_count = 0;
        ck_assert_int_eq(store_segments_put(rig.segs, &cell), 0);
        rig_sync_ok();
        ck_assert_int_eq(store_segments_get(rig.segs, &id, 0, sizes[i], into, &info), 0);
        ck_assert_uint_eq(info.crc, crc_of(cell.data, cell.bytes));
    }
}
END_TEST

/* A cell of what is in data, in a store of its own. */
static void put_large(const struct store_cell_id *id, uint32_t bytes, const uint8_t *data)
{
    const struct store_cell cell = {.id = *id, .group = 1, .bytes = bytes, .data = data};
    rig_teardown();
    rig_setup();
    rig.options.segment_bytes = 4u << 20;
    rig_reopen();
    ck_assert_int_eq(store_segments_put(rig.segs, &cell), 0);
    rig_sync_ok();
}

/* attacks scenario 48, in cells that are read in several pieces */
START_TEST(a_flipped_byte_is_found_in_each_block_of_a_large_cell)
{
    static uint8_t data[STORE_SEG_CELL_BYTES_MAX];
    static uint8_t into[STORE_SEG_CELL_BYTES_MAX];
    static const uint32_t sizes[] = {sizeof(data), sizeof(data) - 1, 262144 + 16384, 262144 + 1};
    const struct store_cell_id id = rig_cell_id(9, 0, 0);
    struct rng rng;
    rng_init(&rng, 5);
    rng_fill(&rng, data, sizeof(data));
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const uint32_t blocks = (uint32_t)num_div_up(sizes[i], STORE_SEG_BLOCK_BYTES);
        const uint64_t data_at = 4096 + num_round_up(128 + 4 * blocks, 64);
        put_large(&id, sizes[i], data);
        ck_assert_int_eq(store_segments_get(rig.segs, &id, 0, sizes[i], into, NULL), 0);
        ck_assert_int_eq(memcmp(into, data, sizes[i]), 0);
        for (uint32_t block = 0; block < blocks; block++) {
            const uint64_t at = data_at + (uint64_t)block * STORE_SEG_BLOCK_BYTES;
            ck_assert(sim_disk_flip(rig.sim, "seg/00000001.seg", at, 0x40));
            ck_assert_int_eq(store_segments_get(rig.segs, &id, 0, sizes[i], into, NULL),
                             ERR_CORRUPT);
            ck_assert(sim_disk_flip(rig.sim, "seg/00000001.seg", at, 0x40));
        }
        ck_assert_uint_eq(rig_stats().corrupt_reads, blocks);
    }
}
END_TEST

START_TEST(any_range_of_a_large_cell_comes_back)
{
    static uint8_t data[STORE_SEG_CELL_BYTES_MAX];
    static uint8_t into[STORE_SEG_CELL_BYTES_MAX];
    const struct store_cell_id id = rig_cell_id(9, 0, 0);
    struct rng rng;
    rng_init(&rng, 6);
    rng_fill(&rng, data, sizeof(data));
    put_large(&id, sizeof(data), data);
    for (unsigned i = 0; i < 200; i++) {
        uint32_t offset = (uint32_t)rng_below(&rng, sizeof(data));
        offset -= i % 2 == 0 ? offset % STORE_SEG_BLOCK_BYTES : 0;
        const uint32_t bytes = (uint32_t)rng_below(&rng, sizeof(data) - offset + 1);
        ck_assert_int_eq(store_segments_get(rig.segs, &id, offset, bytes, into, NULL), 0);
        ck_assert_int_eq(memcmp(into, data + offset, bytes), 0);
    }
}
END_TEST

static int (*good_read)(void *, struct disk_file *, uint64_t, void *, size_t, size_t *);
static int reads_left; /* then one fails, or ends too early */
static bool read_ends;

static int read_some(void *ctx, struct disk_file *file, uint64_t offset, void *into, size_t bytes,
                     size_t *got)
{
    const bool good = reads_left-- != 0;
    if (!good && !read_ends) {
        return ERR_IO;
    }
    TRY(good_read(ctx, file, offset, into, bytes, got));
    *got -= good ? 0 : 1;
    return 0;
}

START_TEST(each_read_of_a_large_cell_may_fail)
{
    static uint8_t data[STORE_SEG_CELL_BYTES_MAX];
    static uint8_t into[STORE_SEG_CELL_BYTES_MAX];
    const struct store_cell_id id = rig_cell_id(9, 0, 0);
    put_large(&id, sizeof(data), data);
    good_read = rig.disk.read;
    reads_left = -1;
    rig.disk.read = read_some;
    rig_reopen();
    for (unsigned ends = 0; ends < 2; ends++) {
        int err = ERR_IO;
        int good = 0;
        read_ends = ends != 0;
        for (; err != 0; good++) {
            reads_left = good;
            err = store_segments_get(rig.segs, &id, 0, sizeof(data), into, NULL);
            ck_assert(err == 0 || err == (read_ends ? ERR_CORRUPT : ERR_IO));
        }
        ck_assert_int_gt(good, 3); /* its meta, and several pieces */
    }
}
END_TEST

START_TEST(cells_of_impossible_size_are_refused)
{
    struct store_cell_id id = rig_cell_id(2, 0, 0);
    struct store_cell cell;
    rig_cell_fill(&id, &cell);
    cell.bytes = 0;
    ck_assert_int_eq(store_segments_put(rig.segs, &cell), ERR_INVALID);
    cell.bytes = STORE_SEG_CELL_BYTES_MAX + 1;
    ck_assert_int_eq(store_segments_put(rig.segs, &cell), ERR_INVALID);
    cell.bytes = 1;
    cell.leaves_count = STORE_SEG_LEAVES_MAX + 1;
    ck_assert_int_eq(store_segments_put(rig.segs, &cell), ERR_INVALID);
    static uint8_t big[SEGMENT_BYTES];
    cell.leaves_count = 0;
    cell.bytes = SEGMENT_BYTES;
    cell.data = big;
    ck_assert_int_eq(store_segments_put(rig.segs, &cell), ERR_TOO_LARGE);
}
END_TEST

START_TEST(writing_a_cell_again_replaces_it)
{
    struct store_cell_id id = rig_cell_id(1, 0, 0);
    rig_put_ok(id);
    rig_put_ok(id);
    rig_sync_ok();
    rig_put_ok(id);
    rig_sync_ok();
    ck_assert_int_eq(rig_get(id), 0);
    ck_assert_uint_eq(rig_stats().cells, 1);
    struct store_shard_info shard;
    unsigned count = 0;
    ck_assert_int_eq(store_segments_list(rig.segs, NULL, &shard, 1, &count), 0);
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
        rig_put_ok(rig_cell_id(3 - i % 4 % 3, (uint8_t)(i % 2), i));
    }
    rig_sync_ok();
    ck_assert_int_eq(store_segments_list(rig.segs, NULL, page, 2, &count), 0);
    while (count > 0) {
        for (unsigned i = 0; i < count; i++) {
            ck_assert(
                last.extent_counter < page[i].extent_counter ||
                (last.extent_counter == page[i].extent_counter && last.shard < page[i].shard));
            ck_assert_uint_eq(page[i].group, 7);
            last = page[i];
            seen += last.cells;
        }
        ck_assert_int_eq(store_segments_list(rig.segs, &last, page, 2, &count), 0);
    }
    ck_assert_uint_eq(seen, 24);
}
END_TEST

START_TEST(a_deleted_shard_is_gone_after_the_sync)
{
    uint64_t deleted = 0;
    for (unsigned i = 0; i < 6; i++) {
        rig_put_ok(rig_cell_id(1, (uint8_t)(i % 3), i));
        rig_put_ok(rig_cell_id(2, (uint8_t)(i % 3), i));
    }
    rig_sync_ok();
    rig_put_ok(rig_cell_id(1, 1, 77)); /* not synced: deleted too */
    ck_assert_int_eq(store_segments_delete(rig.segs, 5, 1, 1, &deleted), 0);
    ck_assert_uint_eq(deleted, 3);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 1, 1)), 0);
    rig_sync_ok();
    ck_assert_int_eq(rig_get(rig_cell_id(1, 1, 1)), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 1, 77)), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 0)), 0);
    ck_assert_int_eq(rig_get(rig_cell_id(2, 1, 1)), 0);
    ck_assert_int_eq(store_segments_delete(rig.segs, 5, 2, 255, &deleted), 0);
    ck_assert_uint_eq(deleted, 6);
    ck_assert_int_eq(store_segments_delete(rig.segs, 5, 2, 255, &deleted), 0);
    ck_assert_uint_eq(deleted, 0);
    rig_sync_ok();
    ck_assert_uint_eq(rig_stats().cells, 4);
    rig_reopen();
    ck_assert_uint_eq(rig_stats().cells, 4);
    ck_assert_int_eq(rig_get(rig_cell_id(2, 1, 1)), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 0)), 0);
}
END_TEST

START_TEST(a_range_of_a_shard_goes_and_what_lies_around_it_stays)
{
    uint64_t deleted = 0;
    const struct store_cell_range range = {
        .extent_grant = 5, .extent_counter = 1, .first = 4, .last = 7, .shard = 1};
    for (uint32_t i = 0; i < 10; i++) {
        rig_put_ok(rig_cell_id(1, 1, i));
        rig_put_ok(rig_cell_id(1, 2, i));
        rig_put_ok(rig_cell_id(2, 1, i));
        if (i == 5) {
            rig_sync_ok(); /* the others are not synced: deleted too */
        }
    }
    ck_assert_int_eq(store_segments_delete_range(rig.segs, &range, &deleted), 0);
    ck_assert_uint_eq(deleted, 4);
    rig_sync_ok();
    ck_assert_uint_eq(rig_stats().cells, 26);
    rig_reopen();
    for (uint32_t i = 0; i < 10; i++) {
        bool gone = i >= 4 && i <= 7;
        ck_assert_int_eq(rig_get(rig_cell_id(1, 1, i)), gone ? ERR_NOT_FOUND : 0);
        ck_assert_int_eq(rig_get(rig_cell_id(1, 2, i)), 0);
        ck_assert_int_eq(rig_get(rig_cell_id(2, 1, i)), 0);
    }
    ck_assert_int_eq(store_segments_delete_range(rig.segs, &range, &deleted), 0);
    ck_assert_uint_eq(deleted, 0);
}
END_TEST

START_TEST(the_count_of_a_shard_follows_a_deleted_range)
{
    uint64_t deleted = 0;
    struct store_shard_info info;
    unsigned count = 0;
    const struct store_cell_range rest = {
        .extent_grant = 5, .extent_counter = 1, .first = 3, .last = UINT32_MAX, .shard = 1};
    const struct store_cell_range all = {
        .extent_grant = 5, .extent_counter = 1, .first = 0, .last = 2, .shard = 255};
    for (uint32_t i = 0; i < 5; i++) {
        rig_put_ok(rig_cell_id(1, 1, i));
    }
    rig_sync_ok();
    ck_assert_int_eq(store_segments_delete_range(rig.segs, &rest, &deleted), 0);
    rig_sync_ok();
    ck_assert_int_eq(store_segments_list(rig.segs, NULL, &info, 1, &count), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(info.cells, 3);
    ck_assert_int_eq(store_segments_delete_range(rig.segs, &all, &deleted), 0);
    ck_assert_uint_eq(deleted, 3);
    rig_sync_ok();
    ck_assert_int_eq(store_segments_list(rig.segs, NULL, &info, 1, &count), 0);
    ck_assert_uint_eq(count, 0);
}
END_TEST

/* attacks scenario 48: a flipped byte anywhere is found or does not matter, never served */
START_TEST(every_flipped_byte_is_found_or_harmless)
{
    struct store_cell_id id = rig_cell_id(3, 0, 0); /* 4096 bytes, with a leaf */
    unsigned found = 0;
    ck_assert_uint_eq(rig_cell_bytes(&id), 4096);
    rig_put_ok(id);
    rig_sync_ok();
    uint64_t bytes = 4096 + 128 + 32 + 4 + 28 + 4096;
    for (uint64_t at = 0; at < bytes; at++) {
        ck_assert(sim_disk_flip(rig.sim, "seg/00000001.seg", at, 0x40));
        int err = rig_get(id);
        ck_assert(err == 0 || err == ERR_CORRUPT);
        found += err != 0;
        ck_assert(sim_disk_flip(rig.sim, "seg/00000001.seg", at, 0x40));
    }
    ck_assert_uint_ge(found, 4096 + 128 + 32 + 4);
    ck_assert_uint_eq(rig_stats().corrupt_reads, found);
    ck_assert_int_eq(rig_get(id), 0);
}
END_TEST

static void copy_bytes(uint64_t from, uint64_t to, size_t bytes)
{
    static uint8_t raw[SEGMENT_BYTES];
    struct disk_file *file = NULL;
    size_t got = 0;
    struct disk_io part = {.data = raw, .bytes = bytes};
    ck_assert_int_eq(rig.disk.open(rig.disk.ctx, "seg/00000001.seg", DISK_OPEN_WRITE, &file), 0);
    ck_assert_int_eq(rig.disk.read(rig.disk.ctx, file, from, raw, bytes, &got), 0);
    ck_assert_uint_eq(got, bytes);
    ck_assert_int_eq(rig.disk.write(rig.disk.ctx, file, to, &part, 1), 0);
    rig.disk.close(rig.disk.ctx, file);
}

/* attacks scenario 37: bytes with a right checksum at a wrong place */
START_TEST(a_misdirected_write_is_found)
{
    /* two cells of one size, one behind the other: meta 192 or 128 + pad, data 4096 */
    struct store_cell_id a = rig_cell_id(3, 0, 0);
    struct store_cell_id b = rig_cell_id(3, 0, 7);
    ck_assert_uint_eq(rig_cell_bytes(&a), 4096);
    ck_assert_uint_eq(rig_cell_bytes(&b), 4096);
    rig_put_ok(a);
    rig_put_ok(b);
    rig_sync_ok();
    uint64_t record = 192 + 4096;
    copy_bytes(4096, 4096 + record, record); /* a's whole record over b's */
    ck_assert_int_eq(rig_get(a), 0);
    ck_assert_int_eq(rig_get(b), ERR_CORRUPT);
    rig_put_ok(b);
    rig_sync_ok();
    ck_assert_int_eq(rig_get(b), 0);
    rig_put_ok(a);
    rig_sync_ok();
    /* only the data of a over the data of b: the block's checksum is seeded with its cell */
    copy_bytes(4096 + 192, 12288 + 192 + 4096 - 4096, 4096);
    int err = rig_get(b);
    ck_assert(err == 0 || err == ERR_CORRUPT);
}
END_TEST

START_TEST(a_block_at_the_place_of_another_block_is_found)
{
    struct store_cell_id id = rig_cell_id(2, 1, 6); /* 65536 bytes, parity: no leaves */
    ck_assert_uint_eq(rig_cell_bytes(&id), 65536);
    rig_put_ok(id);
    rig_sync_ok();
    uint64_t data = 4096 + 192; /* header 128 and four CRCs, rounded up */
    ck_assert_int_eq(rig_get(id), 0);
    copy_bytes(data, data + 16384, 16384);
    uint8_t into[16];
    ck_assert_int_eq(store_segments_get(rig.segs, &id, 16384, 16, into, NULL), ERR_CORRUPT);
    ck_assert_int_eq(store_segments_get(rig.segs, &id, 0, 16, into, NULL), 0);
    ck_assert_int_eq(store_segments_get(rig.segs, &id, 32768, 16, into, NULL), 0);
}
END_TEST

START_TEST(what_was_synced_survives_power_loss)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        for (unsigned i = 0; i < 5; i++) {
            rig_put_ok(rig_cell_id(seed, 0, i));
        }
        rig_sync_ok();
        for (unsigned i = 5; i < 10; i++) {
            rig_put_ok(rig_cell_id(seed, 0, i));
        }
        rig_power_loss(seed);
        for (unsigned i = 0; i < 10; i++) {
            int err = rig_get(rig_cell_id(seed, 0, i));
            ck_assert(err == 0 || (i >= 5 && err == ERR_NOT_FOUND));
        }
    }
    rig_maintain_all();
    for (uint64_t seed = 1; seed <= 20; seed++) {
        ck_assert_int_eq(rig_get(rig_cell_id(seed, 0, 4)), 0);
    }
}
END_TEST

START_TEST(a_lost_index_is_rebuilt_from_the_files)
{
    uint64_t deleted = 0;
    for (unsigned i = 0; i < 60; i++) {
        rig_put_ok(rig_cell_id(i % 5, (uint8_t)(i % 3), i));
        if (i % 7 == 0) {
            rig_sync_ok();
        }
    }
    rig_sync_ok();
    struct store_segments_stats before = rig_stats();
    ck_assert_uint_gt(before.segments, 3);
    rig_lose_index();
    ck_assert_uint_eq(rig_stats().cells, 60);
    ck_assert_uint_eq(rig_stats().live_bytes, before.live_bytes);
    for (unsigned i = 0; i < 60; i++) {
        ck_assert_int_eq(rig_get(rig_cell_id(i % 5, (uint8_t)(i % 3), i)), 0);
    }
    ck_assert_int_eq(store_segments_delete(rig.segs, 5, 3, 255, &deleted), 0);
    ck_assert_uint_eq(deleted, 12);
    rig_sync_ok();
    rig_put_ok(rig_cell_id(100, 0, 0));
    rig_sync_ok();
    ck_assert_int_eq(rig_get(rig_cell_id(100, 0, 0)), 0);
}
END_TEST

START_TEST(a_rebuild_passes_over_damaged_records)
{
    for (unsigned i = 0; i < 8; i++) {
        rig_put_ok(rig_cell_id(3, 0, i * 7)); /* 4096 bytes each */
        rig_sync_ok();
    }
    ck_assert(sim_disk_flip(rig.sim, "seg/00000001.seg", 4096 + 3, 1));              /* its magic */
    ck_assert(sim_disk_flip(rig.sim, "seg/00000001.seg", 4096 + 3 * 8192 + 600, 1)); /* data */
    ck_assert(sim_disk_flip(rig.sim, "seg/00000001.seg", 20, 1)); /* file header */
    rig_lose_index();
    unsigned kept = 0;
    for (unsigned i = 0; i < 8; i++) {
        int err = rig_get(rig_cell_id(3, 0, i * 7));
        ck_assert(err == 0 || err == ERR_NOT_FOUND);
        kept += err == 0;
    }
    ck_assert_uint_eq(kept, 6);
}
END_TEST

START_TEST(a_failed_sync_latches_and_what_was_synced_before_stays)
{
    rig_put_ok(rig_cell_id(1, 0, 0));
    rig_sync_ok();
    rig_put_ok(rig_cell_id(1, 0, 1));
    sim_disk_fail_sync(rig.sim);
    ck_assert_int_eq(store_segments_sync(rig.segs), ERR_IO);
    ck_assert_int_eq(rig_put(rig_cell_id(1, 0, 2)), ERR_IO);
    ck_assert_int_eq(store_segments_sync(rig.segs), ERR_IO);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 0)), 0);
    rig_power_loss(1);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 0)), 0);
    rig_put_ok(rig_cell_id(1, 0, 1));
    rig_sync_ok();
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 1)), 0);
}
END_TEST

START_TEST(a_failed_commit_of_the_index_latches)
{
    rig_put_ok(rig_cell_id(1, 0, 0));
    rig_sync_ok();
    rig_put_ok(rig_cell_id(1, 0, 1));
    sim_kv_fail_commit(&rig.kv, ERR_IO);
    ck_assert_int_eq(store_segments_sync(rig.segs), ERR_IO);
    ck_assert_int_eq(rig_put(rig_cell_id(1, 0, 2)), ERR_IO);
    rig_reopen();
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 0)), 0);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 1)), 0); /* intact behind the indexed offset */
    ck_assert_uint_eq(rig_stats().cells, 2);
}
END_TEST

START_TEST(a_full_index_refuses_and_ends_by_itself)
{
    uint64_t deleted = 0;
    for (unsigned i = 0; i < 10; i++) {
        rig_put_ok(rig_cell_id(1, 1, i));
    }
    rig_sync_ok();
    sim_kv_limit(&rig.kv, 100);
    rig_put_ok(rig_cell_id(2, 1, 0));
    ck_assert_int_eq(store_segments_sync(rig.segs), ERR_DISK_FULL);
    ck_assert_int_eq(rig_get(rig_cell_id(2, 1, 0)), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 1, 3)), 0);
    sim_kv_limit(&rig.kv, 1 << 20);
    ck_assert_int_eq(store_segments_delete(rig.segs, 5, 1, 255, &deleted), 0);
    rig_put_ok(rig_cell_id(2, 1, 1));
    rig_sync_ok();
    ck_assert_int_eq(rig_get(rig_cell_id(2, 1, 1)), 0);
    ck_assert_uint_eq(rig_stats().cells, 1);
}
END_TEST

START_TEST(a_full_disk_refuses_keeps_reads_and_ends_by_itself)
{
    uint64_t free_bytes = 0;
    uint64_t deleted = 0;
    unsigned stored = 0;
    int err = 0;
    rig.options.segments_max = 1000;
    rig_reopen();
    while (err == 0) {
        err = rig_put(rig_cell_id(1, 1, stored));
        stored += err == 0;
        ck_assert_uint_lt(stored, 100000);
    }
    ck_assert_int_eq(err, ERR_DISK_FULL);
    rig_sync_ok();
    ck_assert_int_eq(rig.disk.free_bytes(rig.disk.ctx, &free_bytes), 0);
    ck_assert_uint_ge(free_bytes, rig.options.reserve_bytes);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 1, stored - 1)), 0);
    ck_assert_int_eq(rig_put(rig_cell_id(1, 1, stored)), ERR_DISK_FULL);
    ck_assert_int_eq(store_segments_delete(rig.segs, 5, 1, 1, &deleted), 0);
    ck_assert_uint_eq(deleted, stored);
    rig_sync_ok();
    rig_maintain_all();
    ck_assert_int_eq(rig_put(rig_cell_id(2, 1, 0)), 0);
    rig_sync_ok();
    ck_assert_int_eq(rig_get(rig_cell_id(2, 1, 0)), 0);
}
END_TEST

START_TEST(segments_beyond_the_limit_are_refused_until_some_are_free)
{
    uint64_t deleted = 0;
    unsigned stored = 0;
    int err = 0;
    rig.options.segments_max = 4;
    rig_reopen();
    while (err == 0) {
        err = rig_put(rig_cell_id(stored % 2, 1, stored));
        stored += err == 0;
    }
    ck_assert_int_eq(err, ERR_BUSY);
    rig_sync_ok();
    ck_assert_int_eq(store_segments_delete(rig.segs, 5, 1, 1, &deleted), 0);
    for (unsigned i = 2; i < stored; i += 4) {
        ck_assert_int_eq(rig_get(rig_cell_id(0, 1, i)), 0);
    }
    rig_sync_ok();
    ck_assert_int_eq(store_segments_delete(rig.segs, 5, 0, 1, &deleted), 0);
    rig_sync_ok();
    rig_maintain_all();
    rig_put_ok(rig_cell_id(3, 1, 0));
    rig_sync_ok();
    ck_assert_int_eq(rig_get(rig_cell_id(3, 1, 0)), 0);
}
END_TEST

START_TEST(compaction_gives_space_back_and_keeps_what_lives)
{
    uint64_t deleted = 0;
    for (unsigned i = 0; i < 200; i++) {
        rig_put_ok(rig_cell_id(i % 10, 0, i));
        if (i % 9 == 0) {
            rig_sync_ok();
        }
    }
    rig_sync_ok();
    uint64_t before = rig_stats().file_bytes;
    for (unsigned extent = 0; extent < 10; extent++) {
        if (extent != 4) {
            ck_assert_int_eq(store_segments_delete(rig.segs, 5, extent, 255, &deleted), 0);
        }
    }
    rig_sync_ok();
    ck_assert_uint_gt(rig_maintain_all(), 3);
    ck_assert_uint_lt(rig_stats().file_bytes, before / 3);
    ck_assert_uint_eq(rig_stats().cells, 20);
    for (unsigned i = 4; i < 200; i += 10) {
        ck_assert_int_eq(rig_get(rig_cell_id(4, 0, i)), 0);
    }
    rig_power_loss(5);
    for (unsigned i = 4; i < 200; i += 10) {
        ck_assert_int_eq(rig_get(rig_cell_id(4, 0, i)), 0);
    }
    ck_assert_int_eq(rig_get(rig_cell_id(3, 0, 3)), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_damaged_live_record_is_not_dropped_and_its_repair_frees_the_segment)
{
    uint64_t deleted = 0;
    struct store_cell_id id = rig_cell_id(3, 0, 0); /* 4096 bytes: the first record */
    rig_put_ok(id);
    for (unsigned i = 1; i < 30; i++) {
        rig_put_ok(rig_cell_id(2, 0, i));
    }
    rig_sync_ok();
    ck_assert_uint_gt(rig_stats().segments, 1);
    ck_assert(sim_disk_flip(rig.sim, "seg/00000001.seg", 4096 + 1000, 1));
    ck_assert_int_eq(store_segments_delete(rig.segs, 5, 2, 255, &deleted), 0);
    rig_sync_ok();
    rig_maintain_all();
    ck_assert_int_eq(rig_get(id), ERR_CORRUPT);
    ck_assert_uint_eq(sim_disk_file_bytes(rig.sim, "seg/00000001.seg") > 0, true);
    rig_put_ok(id);
    rig_sync_ok();
    rig_maintain_all();
    ck_assert_int_eq(rig_get(id), 0);
    struct disk_file *file = NULL;
    ck_assert_int_eq(rig.disk.open(rig.disk.ctx, "seg/00000001.seg", DISK_OPEN_READ, &file),
                     ERR_NOT_FOUND);
}
END_TEST

START_TEST(segments_of_another_cluster_or_store_are_refused)
{
    rig_put_ok(rig_cell_id(1, 0, 0));
    rig_sync_ok();
    store_segments_close(rig.segs);
    rig.options.cluster[0] = 9;
    ck_assert_int_eq(rig_open(), ERR_WRONG_CLUSTER);
    rig.options.cluster[0] = 1;
    rig.options.store_id = 10;
    ck_assert_int_eq(rig_open(), ERR_WRONG_CLUSTER);
    rig.options.store_id = 9;
    ck_assert_int_eq(rig_open(), 0);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 0)), 0);
}
END_TEST

START_TEST(cells_of_a_missing_file_read_as_damaged_and_can_be_written_again)
{
    rig_put_ok(rig_cell_id(1, 0, 0));
    rig_sync_ok();
    store_segments_close(rig.segs);
    ck_assert_int_eq(rig.disk.unlink(rig.disk.ctx, "seg/00000001.seg"), 0);
    ck_assert_int_eq(rig_open(), 0);
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 0)), ERR_CORRUPT);
    rig_put_ok(rig_cell_id(1, 0, 0));
    rig_sync_ok();
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 0)), 0);
    rig_reopen();
    ck_assert_int_eq(rig_get(rig_cell_id(1, 0, 0)), 0);
    ck_assert_uint_eq(rig_stats().cells, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segments");
    TCase *tc = tcase_create("segments");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
    tcase_add_test(tc, a_cell_is_readable_after_the_sync_and_not_before);
    tcase_add_test(tc, any_range_of_a_cell_comes_back);
    tcase_add_test(tc, the_sum_of_a_cell_is_known_by_those_of_its_blocks);
    tcase_add_test(tc, a_flipped_byte_is_found_in_each_block_of_a_large_cell);
    tcase_add_test(tc, any_range_of_a_large_cell_comes_back);
    tcase_add_test(tc, each_read_of_a_large_cell_may_fail);
    tcase_add_test(tc, cells_of_impossible_size_are_refused);
    tcase_add_test(tc, writing_a_cell_again_replaces_it);
    tcase_add_test(tc, shards_are_listed_in_order_page_by_page);
    tcase_add_test(tc, a_deleted_shard_is_gone_after_the_sync);
    tcase_add_test(tc, a_range_of_a_shard_goes_and_what_lies_around_it_stays);
    tcase_add_test(tc, the_count_of_a_shard_follows_a_deleted_range);
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
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
