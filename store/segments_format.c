/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of segment files and of their index.
 */
#include "store/segments_internal.h"

#include "base/crc.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

#define SEG_FILE_MAGIC 0x31474553444c4f48ull /* "HOLDSEG1" */
#define SEG_RECORD_MAGIC 0x6c634648u         /* "HFcl" */
#define SEG_HASH_SHA256 1u

enum seg_file_at {
    FILE_MAGIC = 0,
    FILE_LEVEL = 8,
    FILE_CLUSTER = 16,
    FILE_STORE = 32,
    FILE_NUMBER = 40,
    FILE_BYTES = 48,
    FILE_CRC = 60,
};

enum seg_record_at {
    REC_MAGIC = 0,
    REC_CRC = 4,
    REC_LEVEL = 8,
    REC_CLUSTER = 16,
    REC_STORE = 32,
    REC_SEGMENT = 40,
    REC_OFFSET = 48,
    REC_GRANT = 56,
    REC_COUNTER = 64,
    REC_CELL = 72,
    REC_SHARD = 76,
    REC_HASH = 77,
    REC_GROUP = 80,
    REC_BYTES = 84,
    REC_LEAVES = 88,
};

void store_seg_file_name(char *into, uint64_t number)
{
    ASSERT(number > 0 && number <= SEG_NUMBER_MAX);
    (void)snprintf(into, SEG_NAME_BYTES, SEG_DIR "/%08llu.seg", (unsigned long long)number);
}

bool store_seg_file_number(const char *name, uint64_t *number)
{
    uint64_t found = 0;
    if (strlen(name) != 12 || strcmp(name + 8, ".seg") != 0) {
        return false;
    }
    for (unsigned i = 0; i < 8; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return false;
        }
        found = found * 10 + (uint64_t)(name[i] - '0');
    }
    *number = found;
    return found > 0;
}

void store_seg_file_header_put(uint8_t *raw, const struct store_segments_options *o,
                               uint64_t number)
{
    memset(raw, 0, SEG_FILE_HEADER_USED);
    num_put_u64(raw + FILE_MAGIC, SEG_FILE_MAGIC);
    num_put_u32(raw + FILE_LEVEL, SEG_LEVEL);
    memcpy(raw + FILE_CLUSTER, o->cluster, sizeof(o->cluster));
    num_put_u64(raw + FILE_STORE, o->store_id);
    num_put_u64(raw + FILE_NUMBER, number);
    num_put_u64(raw + FILE_BYTES, o->segment_bytes);
    num_put_u32(raw + FILE_CRC, crc_of(raw, FILE_CRC));
}

int store_seg_file_header_get(const uint8_t *raw, const struct store_segments_options *o,
                              uint64_t number)
{
    if (num_get_u64(raw + FILE_MAGIC) != SEG_FILE_MAGIC ||
        num_get_u32(raw + FILE_CRC) != crc_of(raw, FILE_CRC)) {
        return ERR_CORRUPT;
    }
    if (num_get_u32(raw + FILE_LEVEL) != SEG_LEVEL) {
        return ERR_LEVEL;
    }
    bool ours = memcmp(raw + FILE_CLUSTER, o->cluster, sizeof(o->cluster)) == 0 &&
                num_get_u64(raw + FILE_STORE) == o->store_id &&
                num_get_u64(raw + FILE_NUMBER) == number;
    return ours ? 0 : ERR_WRONG_CLUSTER;
}

static uint32_t seg_meta_bytes(uint32_t bytes, uint32_t leaves_count)
{
    ASSERT(bytes <= STORE_SEG_CELL_BYTES_MAX && leaves_count <= STORE_SEG_LEAVES_MAX);
    return SEG_HEADER_BYTES + 32u * leaves_count + 4u * store_seg_blocks(bytes);
}

uint32_t store_seg_data_at(uint32_t bytes, uint32_t leaves_count)
{
    return (uint32_t)num_round_up(seg_meta_bytes(bytes, leaves_count), SEG_ALIGN_BYTES);
}

uint32_t store_seg_record_bytes(uint32_t bytes, uint32_t leaves_count)
{
    return store_seg_data_at(bytes, leaves_count) + (uint32_t)num_round_up(bytes, SEG_ALIGN_BYTES);
}

/* returns: what the CRC of a block begins with. */
static uint32_t seg_block_seed(const struct store_cell_id *id, uint32_t block)
{
    uint8_t seed[25];
    num_put_u64(seed, id->extent_grant);
    num_put_u64(seed + 8, id->extent_counter);
    num_put_u32(seed + 16, id->cell);
    num_put_u32(seed + 20, block);
    seed[24] = id->shard;
    return crc_of(seed, sizeof(seed));
}

uint32_t store_seg_block_crc(const struct store_cell_id *id, uint32_t block, const uint8_t *data,
                             uint32_t bytes)
{
    return crc_more(seg_block_seed(id, block), data, bytes);
}

uint32_t store_seg_cell_crc(const uint8_t *raw, const struct store_cell_id *id, uint32_t bytes,
                            uint32_t leaves_count)
{
    const uint32_t shift = crc_shift(STORE_SEG_BLOCK_BYTES);
    uint32_t crc = 0;
    for (uint32_t at = 0; at < bytes; at += STORE_SEG_BLOCK_BYTES) {
        const uint32_t block = at / STORE_SEG_BLOCK_BYTES;
        const uint32_t left = bytes - at;
        crc = crc_joined(crc ^ seg_block_seed(id, block),
                         store_seg_meta_crc(raw, leaves_count, block),
                         left >= STORE_SEG_BLOCK_BYTES ? shift : crc_shift(left));
    }
    return crc;
}

static uint32_t seg_meta_crc_of(const uint8_t *raw, uint32_t meta_bytes)
{
    return crc_of(raw + REC_LEVEL, meta_bytes - REC_LEVEL);
}

void store_seg_meta_put(uint8_t *raw, const struct store_segments_options *o,
                        const struct store_cell *cell, const struct seg_loc *loc)
{
    uint32_t blocks = store_seg_blocks(cell->bytes);
    uint8_t *crcs = raw + SEG_HEADER_BYTES + 32u * cell->leaves_count;
    memset(raw, 0, store_seg_data_at(cell->bytes, cell->leaves_count));
    num_put_u32(raw + REC_MAGIC, SEG_RECORD_MAGIC);
    num_put_u32(raw + REC_LEVEL, SEG_LEVEL);
    memcpy(raw + REC_CLUSTER, o->cluster, sizeof(o->cluster));
    num_put_u64(raw + REC_STORE, o->store_id);
    num_put_u64(raw + REC_SEGMENT, loc->segment);
    num_put_u64(raw + REC_OFFSET, loc->offset);
    num_put_u64(raw + REC_GRANT, cell->id.extent_grant);
    num_put_u64(raw + REC_COUNTER, cell->id.extent_counter);
    num_put_u32(raw + REC_CELL, cell->id.cell);
    raw[REC_SHARD] = cell->id.shard;
    raw[REC_HASH] = SEG_HASH_SHA256;
    num_put_u32(raw + REC_GROUP, cell->group);
    num_put_u32(raw + REC_BYTES, cell->bytes);
    num_put_u32(raw + REC_LEAVES, cell->leaves_count);
    if (cell->leaves_count > 0) {
        memcpy(raw + SEG_HEADER_BYTES, cell->leaves, 32u * cell->leaves_count);
    }
    for (uint32_t block = 0; block < blocks; block++) {
        uint32_t at = block * STORE_SEG_BLOCK_BYTES;
        uint32_t part = NUM_MIN(cell->bytes - at, STORE_SEG_BLOCK_BYTES);
        num_put_u32(crcs + 4u * block,
                    store_seg_block_crc(&cell->id, block, cell->data + at, part));
    }
    num_put_u32(raw + REC_CRC,
                seg_meta_crc_of(raw, seg_meta_bytes(cell->bytes, cell->leaves_count)));
}

bool store_seg_header_get(const uint8_t *raw, const struct store_segments_options *o,
                          struct store_cell_id *id, struct seg_loc *loc)
{
    uint32_t bytes = num_get_u32(raw + REC_BYTES);
    uint32_t leaves_count = num_get_u32(raw + REC_LEAVES);
    bool ours = num_get_u32(raw + REC_MAGIC) == SEG_RECORD_MAGIC &&
                num_get_u32(raw + REC_LEVEL) == SEG_LEVEL &&
                memcmp(raw + REC_CLUSTER, o->cluster, sizeof(o->cluster)) == 0 &&
                num_get_u64(raw + REC_STORE) == o->store_id &&
                num_get_u64(raw + REC_SEGMENT) == loc->segment &&
                num_get_u64(raw + REC_OFFSET) == loc->offset;
    if (!ours || bytes == 0 || bytes > STORE_SEG_CELL_BYTES_MAX ||
        leaves_count > STORE_SEG_LEAVES_MAX) {
        return false;
    }
    id->extent_grant = num_get_u64(raw + REC_GRANT);
    id->extent_counter = num_get_u64(raw + REC_COUNTER);
    id->cell = num_get_u32(raw + REC_CELL);
    id->shard = raw[REC_SHARD];
    loc->bytes = bytes;
    loc->leaves_count = leaves_count;
    loc->record_bytes = store_seg_record_bytes(bytes, leaves_count);
    loc->group = num_get_u32(raw + REC_GROUP);
    return true;
}

int store_seg_meta_check(const uint8_t *raw, const struct store_segments_options *o,
                         const struct store_cell_id *id, const struct seg_loc *loc)
{
    struct store_cell_id found = {0};
    struct seg_loc at = {.segment = loc->segment, .offset = loc->offset};
    if (!store_seg_header_get(raw, o, &found, &at) || at.bytes != loc->bytes ||
        at.leaves_count != loc->leaves_count || at.group != loc->group) {
        return ERR_CORRUPT;
    }
    bool same = found.extent_grant == id->extent_grant &&
                found.extent_counter == id->extent_counter && found.cell == id->cell &&
                found.shard == id->shard;
    uint32_t crc = seg_meta_crc_of(raw, seg_meta_bytes(loc->bytes, loc->leaves_count));
    return same && crc == num_get_u32(raw + REC_CRC) ? 0 : ERR_CORRUPT;
}

const uint8_t *store_seg_meta_leaves(const uint8_t *raw)
{
    return raw + SEG_HEADER_BYTES;
}

uint32_t store_seg_meta_crc(const uint8_t *raw, uint32_t leaves_count, uint32_t block)
{
    return num_get_u32(raw + SEG_HEADER_BYTES + 32u * leaves_count + 4u * block);
}

/* ---- index ---- */

void store_seg_shard_key(uint8_t *raw, uint64_t grant, uint64_t counter, uint8_t shard)
{
    raw[0] = STORE_SEG_KEY_PREFIX;
    raw[1] = 'h';
    num_put_u64_be(raw + 2, grant);
    num_put_u64_be(raw + 10, counter);
    raw[18] = shard;
}

void store_seg_cell_key(uint8_t *raw, const struct store_cell_id *id)
{
    store_seg_shard_key(raw, id->extent_grant, id->extent_counter, id->shard);
    raw[1] = 'c';
    num_put_u32_be(raw + SEG_SHARD_KEY_BYTES, id->cell);
}

bool store_seg_cell_key_get(struct bytes key, struct store_cell_id *id)
{
    if (key.size != SEG_CELL_KEY_BYTES || key.data[0] != STORE_SEG_KEY_PREFIX ||
        key.data[1] != 'c') {
        return false;
    }
    id->extent_grant = num_get_u64_be(key.data + 2);
    id->extent_counter = num_get_u64_be(key.data + 10);
    id->shard = key.data[18];
    id->cell = num_get_u32_be(key.data + SEG_SHARD_KEY_BYTES);
    return true;
}

void store_seg_loc_put(uint8_t *raw, const struct seg_loc *loc)
{
    num_put_u64(raw, loc->segment);
    num_put_u64(raw + 8, loc->offset);
    num_put_u32(raw + 16, loc->bytes);
    num_put_u32(raw + 20, loc->record_bytes);
    num_put_u32(raw + 24, loc->group);
    num_put_u32(raw + 28, loc->leaves_count);
}

int store_seg_loc_get(struct bytes raw, struct seg_loc *loc)
{
    if (raw.size != SEG_LOC_BYTES) {
        return ERR_CORRUPT;
    }
    struct seg_loc found = {.segment = num_get_u64(raw.data),
                            .offset = num_get_u64(raw.data + 8),
                            .bytes = num_get_u32(raw.data + 16),
                            .record_bytes = num_get_u32(raw.data + 20),
                            .group = num_get_u32(raw.data + 24),
                            .leaves_count = num_get_u32(raw.data + 28)};
    if (found.bytes == 0 || found.bytes > STORE_SEG_CELL_BYTES_MAX ||
        found.leaves_count > STORE_SEG_LEAVES_MAX ||
        found.record_bytes != store_seg_record_bytes(found.bytes, found.leaves_count)) {
        return ERR_CORRUPT;
    }
    *loc = found;
    return 0;
}
