/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Encoding and decoding of the log's heads. What the bytes mean is in the header.
 */
#include "store/wal_format.h"

#include "base/crc.h"
#include "base/num.h"

#include <string.h>

void store_wal_put_block_head(uint8_t *at, const struct wal_block_head *h)
{
    ASSERT(h->block < h->blocks);
    num_put_u16(at + 4, h->magic);
    num_put_u16(at + 6, h->block);
    num_put_u64(at + 8, h->epoch);
    num_put_u64(at + 16, h->lsn);
    num_put_u32(at + 24, h->records);
    num_put_u16(at + 28, h->blocks);
    num_put_u16(at + 30, h->twice);
    num_put_u32(at, crc_of(at + 4, WAL_BLOCK_HEAD_BYTES - 4));
}

bool store_wal_take_block_head(const uint8_t *at, struct wal_block_head *h)
{
    if (num_get_u32(at) != crc_of(at + 4, WAL_BLOCK_HEAD_BYTES - 4)) {
        return false;
    }
    h->magic = num_get_u16(at + 4);
    h->block = num_get_u16(at + 6);
    h->epoch = num_get_u64(at + 8);
    h->lsn = num_get_u64(at + 16);
    h->records = num_get_u32(at + 24);
    h->blocks = num_get_u16(at + 28);
    h->twice = num_get_u16(at + 30);
    return (h->magic == WAL_MAGIC_BATCH || h->magic == WAL_MAGIC_FOOTER) && h->block < h->blocks;
}

void store_wal_put_batch_head(uint8_t *at, const struct wal_batch_head *h)
{
    num_put_u32(at + 4, WAL_MAGIC_HEAD);
    num_put_u16(at + 8, h->level);
    num_put_u16(at + 10, h->flags);
    num_put_u32(at + 12, h->records);
    num_put_u32(at + 16, h->twice);
    num_put_u32(at + 20, h->blocks);
    num_put_u64(at + 24, h->lsn);
    num_put_u64(at + 32, h->durable_lsn);
    num_put_u64(at + 40, h->epoch);
    num_put_u64(at + 48, h->first_epoch);
    memcpy(at + 56, h->cluster, 16);
    num_put_u64(at + 72, h->store_id);
    num_put_u64(at + 80, h->incarnation);
    num_put_u64(at + 88, h->skip_lsn);
    num_put_u64(at + 96, h->segment_bytes);
    num_put_u32(at + 104, h->batch_bytes_max);
    num_put_u32(at + 108, h->item_bytes);
    memset(at + 112, 0, 16);
    num_put_u32(at, crc_of(at + 4, WAL_BATCH_HEAD_BYTES - 4));
}

bool store_wal_take_batch_head(const uint8_t *at, struct wal_batch_head *h)
{
    if (num_get_u32(at + 4) != WAL_MAGIC_HEAD ||
        num_get_u32(at) != crc_of(at + 4, WAL_BATCH_HEAD_BYTES - 4)) {
        return false;
    }
    h->level = num_get_u16(at + 8);
    h->flags = num_get_u16(at + 10);
    h->records = num_get_u32(at + 12);
    h->twice = num_get_u32(at + 16);
    h->blocks = num_get_u32(at + 20);
    h->lsn = num_get_u64(at + 24);
    h->durable_lsn = num_get_u64(at + 32);
    h->epoch = num_get_u64(at + 40);
    h->first_epoch = num_get_u64(at + 48);
    memcpy(h->cluster, at + 56, 16);
    h->store_id = num_get_u64(at + 72);
    h->incarnation = num_get_u64(at + 80);
    h->skip_lsn = num_get_u64(at + 88);
    h->segment_bytes = num_get_u64(at + 96);
    h->batch_bytes_max = num_get_u32(at + 104);
    h->item_bytes = num_get_u32(at + 108);
    return true;
}

void store_wal_put_record_head(uint8_t *at, struct wal_record_head *h, uint32_t seed)
{
    at[4] = h->kind;
    at[5] = h->type;
    at[6] = h->flags;
    at[7] = 0;
    num_put_u32(at + 8, h->group);
    num_put_u32(at + 12, h->chain);
    num_put_u64(at + 16, h->index);
    num_put_u64(at + 24, h->term);
    num_put_u64(at + 32, h->time_us);
    num_put_u32(at + 40, h->body_bytes);
    num_put_u32(at + 44, h->body_crc);
    num_put_u32(at + 48, h->body_at);
    num_put_u32(at + 52, h->vote);
    num_put_u64(at + 56, h->last);
    h->crc = crc_more(seed, at + 4, WAL_RECORD_HEAD_BYTES - 4);
    num_put_u32(at, h->crc);
}

bool store_wal_take_record_head(const uint8_t *at, struct wal_record_head *h, uint32_t seed)
{
    h->crc = num_get_u32(at);
    if (h->crc != crc_more(seed, at + 4, WAL_RECORD_HEAD_BYTES - 4)) {
        return false;
    }
    h->kind = at[4];
    h->type = at[5];
    h->flags = at[6];
    h->group = num_get_u32(at + 8);
    h->chain = num_get_u32(at + 12);
    h->index = num_get_u64(at + 16);
    h->term = num_get_u64(at + 24);
    h->time_us = num_get_u64(at + 32);
    h->body_bytes = num_get_u32(at + 40);
    h->body_crc = num_get_u32(at + 44);
    h->body_at = num_get_u32(at + 48);
    h->vote = num_get_u32(at + 52);
    h->last = num_get_u64(at + 56);
    return h->kind >= STORE_WAL_ENTRY && h->kind <= WAL_KIND_STATE;
}

uint32_t store_wal_seed(uint32_t identity, uint64_t epoch, uint64_t lsn)
{
    uint8_t raw[16];
    num_put_u64(raw, epoch);
    num_put_u64(raw + 8, lsn);
    return crc_more(identity, raw, sizeof(raw));
}

void store_wal_put_run(uint8_t *at, const struct wal_run *r)
{
    at[0] = r->kind;
    at[1] = r->type;
    num_put_u16(at + 2, r->flags);
    num_put_u32(at + 4, r->group);
    num_put_u64(at + 8, r->first);
    num_put_u64(at + 16, r->term);
    num_put_u32(at + 24, r->count);
    num_put_u32(at + 28, 0);
}

void store_wal_take_run(const uint8_t *at, struct wal_run *r)
{
    r->kind = at[0];
    r->type = at[1];
    r->flags = num_get_u16(at + 2);
    r->group = num_get_u32(at + 4);
    r->first = num_get_u64(at + 8);
    r->term = num_get_u64(at + 16);
    r->count = num_get_u32(at + 24);
}

struct wal_run store_wal_run_of(const struct wal_record_head *h)
{
    struct wal_run run = {.kind = h->kind,
                          .type = h->type,
                          .flags = h->flags,
                          .group = h->group,
                          .first = h->index,
                          .term = h->term,
                          .count = 1};
    if (h->kind == WAL_KIND_STATE) {
        run.term = (uint64_t)h->body_bytes | ((uint64_t)h->body_crc << 32);
    }
    return run;
}

bool store_wal_run_join(struct wal_run *r, const struct wal_run *next)
{
    bool entries = r->kind == STORE_WAL_ENTRY || r->kind == STORE_WAL_FILL;
    if (!entries || next->kind != r->kind || next->group != r->group || next->type != r->type ||
        next->term != r->term || next->flags != r->flags || next->first != r->first + r->count) {
        return false;
    }
    r->count++;
    return true;
}

void store_wal_seal_item(uint8_t *item, uint32_t item_bytes, uint64_t lsn)
{
    ASSERT(item_bytes >= WAL_ITEM_HEAD_BYTES);
    num_put_u32(item + 4, (item_bytes - WAL_ITEM_HEAD_BYTES) / WAL_RUN_BYTES);
    num_put_u64(item + 8, lsn);
    num_put_u32(item, crc_of(item + 4, item_bytes - 4));
}

uint32_t store_wal_check_item(const uint8_t *data, size_t bytes, uint64_t lsn)
{
    if (bytes < WAL_ITEM_HEAD_BYTES || (lsn != 0 && num_get_u64(data + 8) != lsn)) {
        return 0;
    }
    uint64_t whole = WAL_ITEM_HEAD_BYTES + (uint64_t)num_get_u32(data + 4) * WAL_RUN_BYTES;
    if (whole > bytes || num_get_u32(data) != crc_of(data + 4, (size_t)whole - 4)) {
        return 0;
    }
    return (uint32_t)whole;
}

/* The contiguous piece of the stream that starts at stream. */
static const uint8_t *view_piece(const struct wal_view *v, uint64_t stream, size_t *bytes)
{
    size_t in_block = (size_t)(stream % WAL_BLOCK_ROOM);
    *bytes = NUM_MIN(*bytes, WAL_BLOCK_ROOM - in_block);
    return v->data + store_wal_file_at(stream);
}

bool store_wal_view_take(const struct wal_view *v, uint64_t stream, void *into, size_t bytes)
{
    uint8_t *at = into;
    if (!num_fits(stream, bytes, (uint64_t)v->blocks * WAL_BLOCK_ROOM)) {
        return false;
    }
    while (bytes > 0) {
        size_t piece = bytes;
        memcpy(at, view_piece(v, stream, &piece), piece);
        at += piece;
        stream += piece;
        bytes -= piece;
    }
    return true;
}

bool store_wal_view_crc(const struct wal_view *v, uint64_t stream, size_t bytes, uint32_t *crc)
{
    uint32_t sum = 0;
    if (!num_fits(stream, bytes, (uint64_t)v->blocks * WAL_BLOCK_ROOM)) {
        return false;
    }
    while (bytes > 0) {
        size_t piece = bytes;
        const uint8_t *at = view_piece(v, stream, &piece);
        sum = crc_more(sum, at, piece);
        stream += piece;
        bytes -= piece;
    }
    *crc = sum;
    return true;
}
