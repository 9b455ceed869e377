/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Recovery of the log from torn writes, rot, cut files and lost names: what it says of each entry
 * is right content, faulty, or ambiguous, and never nothing.
 */
#include "base/num.h"
#include "tests/unit/store/wal_rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u
#define INDEX_MAX 64u
#define GROUPS 3u

/* Each open costs far more under a sanitizer: there, each seventh byte. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLIP_STEP 7
#else
#define FLIP_STEP 1
#endif

static struct wal_rig rig;

static void setup(void)
{
    wal_rig_begin(&rig, 64 * 1024);
    wal_rig_open(&rig);
}

static void teardown(void)
{
    wal_rig_end(&rig);
}

static const char *newest(void)
{
    const char *name = NULL;
    for (unsigned n = 0; mem_disk_name(rig.mem, "wal/seg-", n) != NULL; n++) {
        name = mem_disk_name(rig.mem, "wal/seg-", n);
    }
    ck_assert_ptr_nonnull(name);
    return name;
}

/* Bytes of the newest segment before its first block of zeros. */
static uint64_t tail_at(void)
{
    static const uint8_t zeros[BLOCK];
    const uint8_t *data = mem_disk_data(rig.mem, newest());
    uint64_t at = 0;
    while (at < mem_disk_bytes(rig.mem, newest()) && memcmp(data + at, zeros, BLOCK) != 0) {
        at += BLOCK;
    }
    return at;
}

static struct store_wal_group group(uint32_t id)
{
    struct store_wal_group g = {0};
    RIG_CHECK(store_wal_group_get(rig.wal, id, &g) == 0, "group %u is gone", id);
    return g;
}

static enum store_wal_state state(uint32_t id, uint64_t index)
{
    struct store_wal_entry e = {0};
    ck_assert_int_eq(store_wal_entry_get(rig.wal, id, index, &e), 0);
    return e.state;
}

static void put_entries(uint32_t id, uint64_t first, uint64_t last, uint64_t term, unsigned bytes)
{
    for (uint64_t i = first; i <= last; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, id, i, term, bytes), 0);
    }
}

/* Flips a byte in the batch that was appended last (back 0), the one before it (1), ... when each
 * took one block. */
static void flip(unsigned back, uint64_t offset)
{
    mem_disk_flip(rig.mem, newest(), tail_at() - (back + 1) * (uint64_t)BLOCK + offset, 0x20);
}

START_TEST(rot_in_the_middle_is_faulty_and_cuts_nothing)
{
    /* scenario 78 */
    put_entries(1, 1, 9, 1, 200);
    wal_rig_damage_body(&rig, 1, 5, 1);
    wal_rig_reopen(&rig);
    ck_assert_int_eq(state(1, 5), STORE_WAL_FAULTY);
    wal_rig_check(&rig, 1, 1, 4, 1);
    wal_rig_check(&rig, 1, 6, 9, 1);
    ck_assert(!group(1).tail_ambiguous);
}
END_TEST

START_TEST(record_head_that_rots_is_told_by_the_next_batch)
{
    put_entries(1, 1, 4, 1, 200);
    put_entries(2, 1, 1, 1, 200);
    flip(1, 32 + 128 + 20); /* index of the entry (1, 4) */
    wal_rig_reopen(&rig);
    struct store_wal_entry e;
    ck_assert_int_eq(store_wal_entry_get(rig.wal, 1, 4, &e), 0);
    ck_assert_int_eq(e.state, STORE_WAL_FAULTY);
    ck_assert_uint_eq(e.term, 1);
    ck_assert_uint_eq(group(1).last_index, 4);
    ck_assert(!group(1).tail_ambiguous && !group(2).tail_ambiguous);
}
END_TEST

START_TEST(whole_block_that_rots_is_told_by_the_next_batch)
{
    put_entries(1, 1, 4, 1, 200);
    put_entries(2, 1, 1, 1, 200);
    static const uint8_t junk[BLOCK] = {1, 2, 3};
    mem_disk_put(rig.mem, newest(), tail_at() - 2 * BLOCK, junk, BLOCK);
    wal_rig_reopen(&rig);
    ck_assert_int_eq(state(1, 4), STORE_WAL_FAULTY);
    ck_assert_uint_eq(group(1).last_index, 4);
    wal_rig_check(&rig, 1, 1, 3, 1);
    wal_rig_check(&rig, 2, 1, 1, 1);
}
END_TEST

/* A batch that cannot be read, nor what the next one says of it: of a group that goes on with a
 * record that is no entry nobody knows how far its log went. */
START_TEST(entries_in_a_batch_that_nothing_tells_of_are_not_denied)
{
    static const uint8_t junk[BLOCK] = {1, 2, 3};
    put_entries(1, 1, 4, 1, 200);
    struct store_wal_record base = {.kind = STORE_WAL_BASE, .group = 1, .index = 2, .term = 1};
    ck_assert_int_eq(store_wal_append(rig.wal, &base, 1, NULL), 0);
    put_entries(2, 1, 1, 1, 200);
    mem_disk_put(rig.mem, newest(), tail_at() - 3 * BLOCK, junk, BLOCK);
    flip(1, 32 + 128 + 64 + 20);
    for (int turn = 0; turn < 2; turn++) {
        wal_rig_reopen(&rig);
        ck_assert_uint_eq(group(1).last_index, 3);
        ck_assert(group(1).tail_ambiguous);
        wal_rig_check(&rig, 2, 1, 1, 1);
    }
    put_entries(1, 4, 4, 2, 200); /* settled */
    wal_rig_reopen(&rig);
    ck_assert(!group(1).tail_ambiguous);
}
END_TEST

START_TEST(record_head_in_a_sealed_segment_is_told_by_its_footer)
{
    put_entries(1, 1, 40, 1, 3000);
    const char *first = mem_disk_name(rig.mem, "wal/seg-", 0);
    /* entry 3 and the item in the batch after it */
    mem_disk_flip(rig.mem, first, 2 * BLOCK + 32 + 128 + 20, 1);
    mem_disk_flip(rig.mem, first, 3 * BLOCK + 32 + 128 + 64 + 20, 1);
    wal_rig_reopen(&rig);
    struct store_wal_entry e;
    ck_assert_int_eq(store_wal_entry_get(rig.wal, 1, 3, &e), 0);
    ck_assert_int_eq(e.state, STORE_WAL_FAULTY);
    ck_assert_uint_eq(e.term, 1);
    wal_rig_check(&rig, 1, 4, 40, 1);
}
END_TEST

START_TEST(bad_last_batch_is_ambiguous)
{
    /* scenario 77 */
    put_entries(1, 1, 4, 1, 200);
    flip(0, 700 - 200); /* in the payload or after it */
    wal_rig_damage_body(&rig, 1, 4, 1);
    wal_rig_reopen(&rig);
    ck_assert_int_eq(state(1, 4), STORE_WAL_AMBIGUOUS);
    wal_rig_check(&rig, 1, 1, 3, 1);
    /* and stays so, over restarts and later records of others */
    put_entries(2, 1, 40, 1, 3000);
    wal_rig_reopen(&rig);
    ck_assert_int_eq(state(1, 4), STORE_WAL_AMBIGUOUS);
    /* until the caller settles it */
    put_entries(1, 4, 5, 2, 100);
    wal_rig_reopen(&rig);
    wal_rig_check(&rig, 1, 4, 5, 2);
    ck_assert(!group(1).tail_ambiguous);
}
END_TEST

START_TEST(lost_head_in_the_last_batch_leaves_every_tail_ambiguous)
{
    put_entries(2, 1, 1, 1, 200);
    put_entries(1, 1, 4, 1, 200);
    flip(0, 32 + 128 + 20);
    for (int turn = 0; turn < 3; turn++) {
        wal_rig_reopen(&rig);
        ck_assert_uint_eq(group(1).last_index, 3);
        ck_assert(group(1).tail_ambiguous && group(2).tail_ambiguous);
        ck_assert(!group(1).hard_lost);
    }
    struct store_wal_record cut = {.kind = STORE_WAL_CUT, .group = 1, .index = 4};
    ck_assert_int_eq(store_wal_append(rig.wal, &cut, 1, NULL), 0);
    for (int turn = 0; turn < 2; turn++) {
        ck_assert(!group(1).tail_ambiguous && group(2).tail_ambiguous);
        wal_rig_reopen(&rig);
    }
}
END_TEST

START_TEST(idle_frame_proves_the_last_batch_durable)
{
    /* scenario 79 */
    put_entries(1, 1, 4, 1, 200);
    ck_assert_int_eq(store_wal_idle(rig.wal), 0);
    uint64_t tail = tail_at();
    ck_assert_int_eq(store_wal_idle(rig.wal), 0);
    ck_assert_uint_eq(tail_at(), tail);
    flip(1, 32 + 128 + 20);
    wal_rig_reopen(&rig);
    ck_assert_int_eq(state(1, 4), STORE_WAL_FAULTY);
    ck_assert(!group(1).tail_ambiguous);
}
END_TEST

START_TEST(torn_hard_state_leaves_the_earlier_one)
{
    /* scenario 2, 3 */
    struct rng r;
    rng_init(&r, 5);
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 3, 2, 0), 0);
    mem_disk_fail(rig.mem, MEM_DISK_SYNC, 1, ERR_IO);
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 4, 1, 0), ERR_IO);
    static const uint8_t junk[2 * BLOCK] = {9};
    uint64_t at = tail_at() - 2 * BLOCK;
    store_wal_close(rig.wal);
    mem_disk_crash(rig.mem, &r, 100);
    mem_disk_put(rig.mem, newest(), at, junk, sizeof(junk));
    wal_rig_open(&rig);
    ck_assert_uint_eq(group(1).term, 3);
    ck_assert_uint_eq(group(1).vote, 2);
    ck_assert(!group(1).hard_lost);
}
END_TEST

START_TEST(one_copy_of_hard_state_counts)
{
    static const uint8_t junk[BLOCK] = {9};
    for (unsigned copy = 0; copy < 2; copy++) {
        ck_assert_int_eq(wal_rig_hard(&rig, 1, 3 + copy, 2, 0), 0);
        mem_disk_put(rig.mem, newest(), tail_at() - (copy + 1) * (uint64_t)BLOCK, junk, BLOCK);
        wal_rig_reopen(&rig);
        ck_assert_uint_eq(group(1).term, 3 + copy);
        ck_assert_uint_eq(group(1).vote, 2);
    }
}
END_TEST

START_TEST(durable_hard_state_that_is_lost_is_lost_for_good)
{
    /* scenario 4 */
    static const uint8_t junk[2 * BLOCK] = {9};
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 3, 2, 0), 0);
    ck_assert_int_eq(wal_rig_hard(&rig, 2, 3, 2, 0), 0);
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 4, 1, 0), 0);
    uint64_t at = tail_at() - 2 * BLOCK;
    put_entries(2, 1, 1, 3, 10);
    mem_disk_put(rig.mem, newest(), at, junk, sizeof(junk));
    wal_rig_reopen(&rig);
    ck_assert(group(1).hard_lost);
    ck_assert(!group(2).hard_lost);
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 9, 0, 0), 0);
    wal_rig_reopen(&rig);
    ck_assert(group(1).hard_lost);
    /* a new incarnation begins anew */
    rig.options.incarnation++;
    wal_rig_reopen(&rig);
    ck_assert(!group(1).hard_lost);
}
END_TEST

START_TEST(hard_state_written_again_is_not_lost)
{
    static const uint8_t junk[2 * BLOCK] = {9};
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 4, 1, 0), 0);
    uint64_t at = tail_at() - 2 * BLOCK;
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 5, 1, 0), 0);
    mem_disk_put(rig.mem, newest(), at, junk, sizeof(junk));
    wal_rig_reopen(&rig);
    ck_assert(!group(1).hard_lost);
    ck_assert_uint_eq(group(1).term, 5);
}
END_TEST

START_TEST(misdirected_block_is_not_taken)
{
    /* scenario 83 */
    uint8_t block[BLOCK];
    put_entries(1, 1, 9, 1, 200);
    const uint8_t *data = mem_disk_data(rig.mem, newest());
    memcpy(block, data + tail_at() - 2 * BLOCK, BLOCK);
    mem_disk_put(rig.mem, newest(), tail_at() - 5 * BLOCK, block, BLOCK);
    wal_rig_reopen(&rig);
    ck_assert_uint_eq(group(1).last_index, 9);
    ck_assert_int_eq(state(1, 5), STORE_WAL_FAULTY);
    wal_rig_check(&rig, 1, 1, 4, 1);
    wal_rig_check(&rig, 1, 6, 9, 1);
}
END_TEST

START_TEST(zeroed_tail_is_the_end_and_zeroed_middle_is_not)
{
    /* scenario 84 */
    static const uint8_t zeros[BLOCK];
    put_entries(1, 1, 9, 1, 200);
    mem_disk_put(rig.mem, newest(), tail_at() - 4 * BLOCK, zeros, BLOCK);
    wal_rig_reopen(&rig);
    ck_assert_uint_eq(group(1).last_index, 9);
    ck_assert_int_eq(state(1, 6), STORE_WAL_FAULTY);
    ck_assert(!group(1).tail_ambiguous);
}
END_TEST

START_TEST(segment_whose_name_was_lost_is_noticed)
{
    /* scenario 88 */
    ck_assert_int_eq(wal_rig_hard(&rig, 1, 1, 2, 0), 0);
    put_entries(1, 1, 60, 1, 3000);
    store_wal_close(rig.wal);
    ck_assert_int_eq(rig.disk.unlink(rig.disk.ctx, "wal/seg-0000000000000002"), 0);
    wal_rig_open(&rig);
    ck_assert_uint_eq(group(1).last_index, 60);
    ck_assert(!group(1).hard_lost);
    ck_assert_uint_eq(group(1).vote, 2);
    unsigned faulty = 0;
    for (uint64_t i = 1; i <= 60; i++) {
        faulty += state(1, i) == STORE_WAL_FAULTY ? 1 : 0;
        if (state(1, i) == STORE_WAL_OK) {
            wal_rig_check(&rig, 1, i, i, 1);
        }
    }
    ck_assert_uint_gt(faulty, 5);
}
END_TEST

START_TEST(new_segment_name_is_durable_before_its_first_batch)
{
    /* scenario 88 */
    struct rng r;
    rng_init(&r, 3);
    for (uint64_t i = 1; i <= 60; i++) {
        ck_assert_int_eq(wal_rig_entry(&rig, 1, i, 1, 3000), 0);
        wal_rig_crash(&rig, &r, 0);
        ck_assert_uint_eq(group(1).last_index, i);
        ck_assert(!group(1).tail_ambiguous);
    }
    wal_rig_check(&rig, 1, 1, 60, 1);
}
END_TEST

START_TEST(unreadable_block_damages_only_what_lies_there)
{
    put_entries(1, 1, 9, 1, 200);
    store_wal_close(rig.wal);
    mem_disk_fail(rig.mem, MEM_DISK_READ, 2, ERR_IO);
    wal_rig_open(&rig);
    ck_assert_uint_eq(group(1).last_index, 9);
    wal_rig_check(&rig, 1, 1, 9, 1);
}
END_TEST

/* What a log should hold, and in its last batch. */
struct expected {
    uint64_t terms[GROUPS + 1][INDEX_MAX]; /* 0: no entry */
    bool in_last[GROUPS + 1][INDEX_MAX];
    struct store_wal_group groups[GROUPS + 1];
};

static struct expected want;

static void expect(void)
{
    memset(&want, 0, sizeof(want));
    for (uint32_t id = 1; id <= GROUPS; id++) {
        struct store_wal_group *g = &want.groups[id];
        *g = group(id);
        for (uint64_t i = g->base_index + 1; i <= g->last_index; i++) {
            struct store_wal_entry e;
            ck_assert_int_eq(store_wal_entry_get(rig.wal, id, i, &e), 0);
            want.terms[id][i] = e.term;
        }
    }
}

/* A log of some segments with every kind of record. */
static void small_log(void)
{
    struct store_wal_record first[7] = {
        {.kind = STORE_WAL_HARD, .group = 1, .term = 1, .vote = 2},
        {.kind = STORE_WAL_HARD, .group = 2, .term = 1, .vote = 3},
        wal_rig_record(1, 1, 1, 120),
        wal_rig_record(1, 2, 1, 120),
        wal_rig_record(2, 1, 1, 60),
        wal_rig_record(1, 3, 1, 120),
        wal_rig_record(1, 4, 1, 120),
    };
    ck_assert_int_eq(store_wal_append(rig.wal, first, 7, NULL), 0);
    put_entries(2, 2, 3, 1, 60);
    struct store_wal_record r[6] = {
        {.kind = STORE_WAL_HARD, .group = 1, .term = 2, .vote = 1, .commit = 3},
        wal_rig_record(1, 4, 2, 90),
        wal_rig_record(1, 5, 2, 90),
        {.kind = STORE_WAL_HARD, .group = 2, .term = 1, .vote = 3, .commit = 2},
        {.kind = STORE_WAL_BASE, .group = 2, .index = 1, .term = 1},
        wal_rig_record(3, 1, 1, 0),
    };
    ck_assert_int_eq(store_wal_append(rig.wal, r, 6, NULL), 0);
    put_entries(3, 2, 3, 1, 700);
    r[0] = (struct store_wal_record){.kind = STORE_WAL_CUT, .group = 3, .index = 3};
    r[1] = wal_rig_record(1, 2, 1, 120);
    r[1].kind = STORE_WAL_FILL;
    r[2] = (struct store_wal_record){.kind = STORE_WAL_HARD, .group = 3, .term = 5, .vote = 1};
    ck_assert_int_eq(store_wal_append(rig.wal, r, 3, NULL), 0);
    put_entries(1, 6, 7, 2, 100);
    struct store_wal_record pair[2] = {wal_rig_record(1, 8, 2, 100), wal_rig_record(2, 4, 1, 80)};
    ck_assert_int_eq(store_wal_append(rig.wal, pair, 2, NULL), 0);
    expect();
    want.in_last[1][8] = true;
    want.in_last[2][4] = true;
}

/* returns: how many entries are not OK. Never silently lost, never wrong. */
static unsigned check_entries(const char *what, bool evidence)
{
    unsigned hurt = 0;
    for (uint32_t id = 1; id <= GROUPS; id++) {
        struct store_wal_group g = {0};
        int err = store_wal_group_get(rig.wal, id, &g);
        RIG_CHECK(err == 0, "%s: group %u is gone", what, id);
        for (uint64_t i = want.groups[id].base_index + 1; i < INDEX_MAX; i++) {
            struct store_wal_entry e = {0};
            uint64_t term = want.terms[id][i];
            bool last = want.in_last[id][i] && !evidence;
            err = wal_rig_read(&rig, id, i, &e);
            bool good = err == 0 && e.term == term && wal_rig_is_payload(&rig, id, i, term);
            hurt += term != 0 && !good ? 1 : 0;
            if (err == ERR_NOT_FOUND) {
                RIG_CHECK(term == 0 || (last && g.tail_ambiguous) || i <= g.base_index,
                          "%s: entry %u/%u lost", what, id, (unsigned)i);
                continue;
            }
            RIG_CHECK(term != 0, "%s: entry %u/%u came back", what, id, (unsigned)i);
            RIG_CHECK(good || err == ERR_CORRUPT, "%s: entry %u/%u is wrong: %s", what, id,
                      (unsigned)i, err_name(err));
            RIG_CHECK(e.state != STORE_WAL_AMBIGUOUS || last, "%s: entry %u/%u doubted", what, id,
                      (unsigned)i);
        }
    }
    return hurt;
}

static void check_hard(const char *what)
{
    for (uint32_t id = 1; id <= GROUPS; id++) {
        struct store_wal_group g = group(id);
        const struct store_wal_group *e = &want.groups[id];
        RIG_CHECK(g.hard_lost || (g.term == e->term && g.vote == e->vote),
                  "%s: group %u voted otherwise", what, id);
        RIG_CHECK(g.commit <= e->commit, "%s: group %u commit", what, id);
    }
}

/* One flipped byte: at most one entry is hurt, and no hard state. */
static void flip_one(const char *name, uint64_t at, bool evidence, bool behind)
{
    char what[96];
    uint8_t mask = (uint8_t)(1u << (at * 7 % 8));
    (void)snprintf(what, sizeof(what), "%s byte %u", name, (unsigned)at);
    mem_disk_flip(rig.mem, name, at, mask);
    wal_rig_open(&rig);
    unsigned hurt = check_entries(what, evidence);
    RIG_CHECK(hurt <= 1, "%s: hurts %u entries", what, hurt);
    check_hard(what);
    for (uint32_t id = 1; id <= GROUPS; id++) {
        RIG_CHECK(!group(id).hard_lost, "%s: group %u hard state", what, id);
        RIG_CHECK(!evidence || behind || !group(id).tail_ambiguous, "%s: tail", what);
    }
    store_wal_close(rig.wal);
    rig.wal = NULL;
    mem_disk_flip(rig.mem, name, at, mask);
}

static void flip_all(bool evidence, bool newest_only)
{
    wal_rig_reopen(&rig); /* files that are no longer needed go now */
    store_wal_close(rig.wal);
    rig.wal = NULL;
    uint64_t tail = tail_at();
    for (unsigned n = 0; mem_disk_name(rig.mem, "wal/seg-", n) != NULL; n++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s", mem_disk_name(rig.mem, "wal/seg-", n));
        bool last = strcmp(name, newest()) == 0;
        for (uint64_t at = 0; at < mem_disk_bytes(rig.mem, name) && (last || !newest_only);
             at += FLIP_STEP) {
            flip_one(name, at, evidence, last && at >= tail);
        }
    }
}

START_TEST(any_flipped_byte_of_a_last_segment_is_noticed)
{
    /* attack 48, without later evidence for the last batch */
    wal_rig_end(&rig);
    wal_rig_begin(&rig, 16 * 1024);
    wal_rig_open(&rig);
    small_log();
    flip_all(false, true);
}
END_TEST

START_TEST(any_flipped_byte_before_an_idle_frame_is_faulty)
{
    /* attack 48 */
    wal_rig_end(&rig);
    wal_rig_begin(&rig, 16 * 1024);
    wal_rig_open(&rig);
    small_log();
    ck_assert_int_eq(store_wal_idle(rig.wal), 0);
    flip_all(true, false);
}
END_TEST

START_TEST(file_cut_at_any_block_loses_nothing_silently)
{
    /* attack 48 */
    wal_rig_end(&rig);
    wal_rig_begin(&rig, 16 * 1024);
    wal_rig_open(&rig);
    small_log();
    store_wal_close(rig.wal);
    rig.wal = NULL;
    struct wal_rig whole = rig;
    for (unsigned n = 0; mem_disk_name(whole.mem, "wal/seg-", n) != NULL; n++) {
        const char *name = mem_disk_name(whole.mem, "wal/seg-", n);
        for (uint64_t at = 0; at < 16 * 1024; at += 512) {
            char what[96];
            (void)snprintf(what, sizeof(what), "%s cut at %u", name, (unsigned)at);
            rig.mem = mem_disk_copy(whole.mem, &rig.disk);
            mem_disk_cut(rig.mem, name, at);
            wal_rig_open(&rig);
            for (int turn = 0; turn < 2; turn++) {
                for (uint32_t id = 1; id <= GROUPS; id++) {
                    struct store_wal_group g = group(id);
                    for (uint64_t i = g.base_index + 1; i <= want.groups[id].last_index; i++) {
                        struct store_wal_entry e = {0};
                        int err = wal_rig_read(&rig, id, i, &e);
                        bool good = err == 0 && e.term == want.terms[id][i] &&
                                    wal_rig_is_payload(&rig, id, i, e.term);
                        ck_assert_msg(good || err == ERR_CORRUPT ||
                                          (err == ERR_NOT_FOUND && g.tail_ambiguous),
                                      "%s: entry %u/%u %s", what, id, (unsigned)i, err_name(err));
                    }
                }
                check_hard(what);
                ck_assert_int_eq(wal_rig_hard(&rig, 9, 1 + (uint64_t)turn, 1, 0), 0);
                wal_rig_reopen(&rig);
            }
            store_wal_close(rig.wal);
            mem_disk_free(rig.mem);
        }
    }
    rig.mem = whole.mem;
    rig.disk = whole.disk;
    rig.wal = NULL;
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wal_recover");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 0);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, rot_in_the_middle_is_faulty_and_cuts_nothing);
    tcase_add_test(t, record_head_that_rots_is_told_by_the_next_batch);
    tcase_add_test(t, whole_block_that_rots_is_told_by_the_next_batch);
    tcase_add_test(t, entries_in_a_batch_that_nothing_tells_of_are_not_denied);
    tcase_add_test(t, record_head_in_a_sealed_segment_is_told_by_its_footer);
    tcase_add_test(t, bad_last_batch_is_ambiguous);
    tcase_add_test(t, lost_head_in_the_last_batch_leaves_every_tail_ambiguous);
    tcase_add_test(t, idle_frame_proves_the_last_batch_durable);
    tcase_add_test(t, torn_hard_state_leaves_the_earlier_one);
    tcase_add_test(t, one_copy_of_hard_state_counts);
    tcase_add_test(t, durable_hard_state_that_is_lost_is_lost_for_good);
    tcase_add_test(t, hard_state_written_again_is_not_lost);
    tcase_add_test(t, misdirected_block_is_not_taken);
    tcase_add_test(t, zeroed_tail_is_the_end_and_zeroed_middle_is_not);
    tcase_add_test(t, segment_whose_name_was_lost_is_noticed);
    tcase_add_test(t, new_segment_name_is_durable_before_its_first_batch);
    tcase_add_test(t, unreadable_block_damages_only_what_lies_there);
    tcase_add_test(t, any_flipped_byte_of_a_last_segment_is_noticed);
    tcase_add_test(t, any_flipped_byte_before_an_idle_frame_is_faulty);
    tcase_add_test(t, file_cut_at_any_block_loses_nothing_silently);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
