/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the log share: a log on a disk in memory, entries whose payload follows from
 * (group, index, term), and checks of what comes back.
 *
 * threads: one at a time.
 */
#ifndef HOLDFAST_TESTS_UNIT_STORE_WAL_RIG_H
#define HOLDFAST_TESTS_UNIT_STORE_WAL_RIG_H

#include "store/wal.h"
#include "tests/unit/store/mem_disk.h"

/* As ck_assert_msg, which writes to a file each time: for checks made a million times. */
#define RIG_CHECK(condition, ...)      \
    do {                               \
        if (!(condition)) {            \
            ck_abort_msg(__VA_ARGS__); \
        }                              \
    } while (0)

struct wal_rig {
    struct mem_disk *mem;
    struct disk disk;
    struct store_wal_options options;
    struct store_wal *wal; /* NULL: closed */
    struct buf read;
};

void wal_rig_begin(struct wal_rig *rig, uint64_t segment_bytes);
void wal_rig_end(struct wal_rig *rig);
void wal_rig_open(struct wal_rig *rig);
/* Ends the process and opens again. */
void wal_rig_reopen(struct wal_rig *rig);
void wal_rig_crash(struct wal_rig *rig, struct rng *r, unsigned keep_percent);

/* An ENTRY whose body, of bytes at most 16384, is valid until the next 64 records. */
struct store_wal_record wal_rig_record(uint32_t group, uint64_t index, uint64_t term,
                                       unsigned bytes);
int wal_rig_entry(struct wal_rig *rig, uint32_t group, uint64_t index, uint64_t term,
                  unsigned bytes);
int wal_rig_hard(struct wal_rig *rig, uint32_t group, uint64_t term, uint32_t vote,
                 uint64_t commit);
/* Reads into rig->read. returns: as store_wal_read. */
int wal_rig_read(struct wal_rig *rig, uint32_t group, uint64_t index, struct store_wal_entry *e);
/* returns: whether rig->read is the payload of the entry. */
bool wal_rig_is_payload(const struct wal_rig *rig, uint32_t group, uint64_t index, uint64_t term);
/* Entries first to last are there, of this term, and read back right. */
void wal_rig_check(struct wal_rig *rig, uint32_t group, uint64_t first, uint64_t last,
                   uint64_t term);
/* Flips one bit in the payload of an entry on disk. */
void wal_rig_damage_body(struct wal_rig *rig, uint32_t group, uint64_t index, uint64_t term);

#endif
