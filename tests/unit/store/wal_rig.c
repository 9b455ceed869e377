/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The rig of the log's tests.
 */
#include "tests/unit/store/wal_rig.h"

#include "base/num.h"

#include <check.h>
#include <string.h>

#define BODIES 64
#define BODY_BYTES_MAX 16384u
#define MARK_BYTES 24u

void wal_rig_begin(struct wal_rig *rig, uint64_t segment_bytes)
{
    struct alloc heap = alloc_heap();
    *rig = (struct wal_rig){0};
    rig->mem = mem_disk_new(&rig->disk);
    rig->options = (struct store_wal_options){.segment_bytes = segment_bytes,
                                              .pool_segments = 2,
                                              .live_segments_max = 6,
                                              .batch_bytes_max = 32768,
                                              .cluster = {1, 2, 3},
                                              .store_id = 77,
                                              .incarnation = 1,
                                              .groups_max = 16,
                                              .entries_max = 100000};
    buf_init(&rig->read, &heap, BODY_BYTES_MAX);
}

void wal_rig_open(struct wal_rig *rig)
{
    struct err_info why = {0};
    struct alloc heap = alloc_heap();
    rig->wal = NULL;
    int err = store_wal_open(&rig->wal, &rig->disk, &rig->options, &heap, NULL, &why);
    RIG_CHECK(err == 0, "%s", why.text);
}

void wal_rig_end(struct wal_rig *rig)
{
    if (rig->wal != NULL) {
        store_wal_close(rig->wal);
    }
    mem_disk_free(rig->mem);
    buf_release(&rig->read);
}

void wal_rig_reopen(struct wal_rig *rig)
{
    store_wal_close(rig->wal);
    mem_disk_kill(rig->mem);
    wal_rig_open(rig);
}

void wal_rig_crash(struct wal_rig *rig, struct rng *r, unsigned keep_percent)
{
    /* what closing does to the disk does not count: the power is gone first */
    struct disk table;
    struct mem_disk *left = mem_disk_copy(rig->mem, &table);
    store_wal_close(rig->wal);
    mem_disk_free(rig->mem);
    rig->mem = left;
    rig->disk = table;
    mem_disk_crash(rig->mem, r, keep_percent);
    wal_rig_open(rig);
}

/* What a payload starts with, unlike anything in a head. */
static void mark_put(uint8_t *mark, uint32_t group, uint64_t index, uint64_t term)
{
    num_put_u32(mark, 0x79646f62);
    num_put_u32(mark + 4, group);
    num_put_u64(mark + 8, index);
    num_put_u64(mark + 16, term);
}

/* The payload: who it is, then bytes that follow from it. */
static void payload(uint8_t *into, unsigned bytes, const struct store_wal_record *r)
{
    uint8_t mark[MARK_BYTES];
    mark_put(mark, r->group, r->index, r->term);
    for (unsigned i = 0; i < bytes; i++) {
        into[i] = i < MARK_BYTES ? mark[i] : (uint8_t)(i * 31 + r->index * 7 + r->term);
    }
}

struct store_wal_record wal_rig_record(uint32_t group, uint64_t index, uint64_t term,
                                       unsigned bytes)
{
    static uint8_t bodies[BODIES][BODY_BYTES_MAX];
    static unsigned next;
    uint8_t *body = bodies[next++ % BODIES];
    struct store_wal_record r = {.kind = STORE_WAL_ENTRY,
                                 .group = group,
                                 .index = index,
                                 .term = term,
                                 .type = (uint8_t)(index % 3),
                                 .time_us = index * 1000};
    ck_assert_uint_le(bytes, BODY_BYTES_MAX);
    payload(body, bytes, &r);
    r.body = bytes_of(body, bytes);
    return r;
}

int wal_rig_entry(struct wal_rig *rig, uint32_t group, uint64_t index, uint64_t term,
                  unsigned bytes)
{
    struct store_wal_record r = wal_rig_record(group, index, term, bytes);
    return store_wal_append(rig->wal, &r, 1, NULL);
}

int wal_rig_hard(struct wal_rig *rig, uint32_t group, uint64_t term, uint32_t vote, uint64_t commit)
{
    struct store_wal_record r = {
        .kind = STORE_WAL_HARD, .group = group, .term = term, .vote = vote, .commit = commit};
    return store_wal_append(rig->wal, &r, 1, NULL);
}

int wal_rig_read(struct wal_rig *rig, uint32_t group, uint64_t index, struct store_wal_entry *e)
{
    buf_clear(&rig->read);
    return store_wal_read(rig->wal, group, index, &rig->read, e);
}

bool wal_rig_is_payload(const struct wal_rig *rig, uint32_t group, uint64_t index, uint64_t term)
{
    static uint8_t want[BODY_BYTES_MAX];
    struct store_wal_record r = {.group = group, .index = index, .term = term};
    payload(want, (unsigned)rig->read.size, &r);
    return rig->read.size == 0 || memcmp(want, rig->read.data, rig->read.size) == 0;
}

void wal_rig_check(struct wal_rig *rig, uint32_t group, uint64_t first, uint64_t last,
                   uint64_t term)
{
    for (uint64_t i = first; i <= last; i++) {
        struct store_wal_entry e;
        int err = wal_rig_read(rig, group, i, &e);
        ck_assert_msg(err == 0, "group %u index %llu: %s", group, (unsigned long long)i,
                      err_name(err));
        ck_assert_int_eq(e.state, STORE_WAL_OK);
        ck_assert_uint_eq(e.term, term);
        ck_assert_uint_eq(e.index, i);
        ck_assert_uint_eq(e.type, i % 3);
        ck_assert_uint_eq(e.time_us, i * 1000);
        ck_assert_uint_eq(e.bytes, rig->read.size);
        ck_assert(wal_rig_is_payload(rig, group, i, term));
    }
}

void wal_rig_damage_body(struct wal_rig *rig, uint32_t group, uint64_t index, uint64_t term)
{
    uint8_t mark[MARK_BYTES];
    const char *name = NULL;
    mark_put(mark, group, index, term);
    for (unsigned n = 0; (name = mem_disk_name(rig->mem, "wal/seg-", n)) != NULL; n++) {
        const uint8_t *data = mem_disk_data(rig->mem, name);
        for (uint64_t at = 0; at + MARK_BYTES <= mem_disk_bytes(rig->mem, name); at++) {
            if (memcmp(data + at, mark, MARK_BYTES) == 0) {
                mem_disk_flip(rig->mem, name, at + 2, 0x10);
                return;
            }
        }
    }
    ck_abort_msg("payload not found");
}
