/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Property of the log: after any batches, housekeeping and crash, what was appended is there, and
 * of the batch that was under way each record is there, is ambiguous, or never was.
 */
#include "base/num.h"
#include "tests/unit/store/prop.h"
#include "tests/unit/store/wal_rig.h"

#include <check.h>
#include <string.h>

#define GROUPS 4u
#define INDEX_MAX 4096u
#define RECORDS_MAX 8u
#define STEPS 150u

struct model_group {
    uint64_t term;
    uint32_t vote;
    uint64_t commit;
    uint64_t base;
    uint64_t base_term;
    uint64_t last;
    uint64_t terms[INDEX_MAX];
    bool used;
};

static struct model_group before[GROUPS];
static struct model_group after[GROUPS];
static struct store_wal_record batch[RECORDS_MAX];
static unsigned batch_count;
static bool touched[GROUPS];
static struct wal_rig rig;

static void model_apply(struct model_group *m, const struct store_wal_record *r)
{
    m->used = true;
    switch (r->kind) {
    case STORE_WAL_ENTRY:
        m->terms[r->index] = r->term;
        m->last = r->index;
        break;
    case STORE_WAL_HARD:
        m->term = r->term;
        m->vote = r->vote;
        m->commit = NUM_MAX(m->commit, r->commit);
        break;
    case STORE_WAL_CUT: m->last = NUM_MIN(m->last, NUM_MAX(r->index, m->base + 1) - 1); break;
    case STORE_WAL_BASE:
        if (r->index > m->last || m->terms[r->index] != r->term) {
            m->last = r->index;
        }
        m->base = r->index;
        m->base_term = r->term;
        break;
    default: break;
    }
}

static struct store_wal_record random_record(struct rng *r, uint32_t id,
                                             const struct model_group *m)
{
    struct store_wal_record rec = {.group = id};
    uint64_t what = rng_below(r, 20);
    if (what < 12 && m->last + 1 < INDEX_MAX) {
        uint64_t floor = NUM_MAX(m->base, m->commit);
        bool back = rng_chance(r, 1, 8) && m->last > floor;
        uint64_t index = back ? rng_between(r, floor + 1, m->last) : m->last + 1;
        uint64_t term = NUM_MAX(m->term, 1);
        return wal_rig_record(id, index, term,
                              (unsigned)rng_below(r, rng_chance(r, 1, 10) ? 9000 : 300));
    }
    rec.term = m->term;
    rec.vote = m->vote;
    rec.commit = m->commit;
    if (what < 14) {
        rec.kind = STORE_WAL_HARD;
        rec.term = m->term + 1;
        rec.vote = (uint32_t)rng_below(r, 4);
    } else if (what < 17) {
        rec.kind = STORE_WAL_HARD;
        uint64_t reached = m->base + rng_below(r, m->last - m->base + 1);
        rec.commit = NUM_MAX(m->commit, reached);
    } else if (what == 17 && m->last > NUM_MAX(m->base, m->commit)) {
        rec.kind = STORE_WAL_CUT;
        rec.index = rng_between(r, NUM_MAX(m->base, m->commit) + 1, m->last);
    } else if (what == 18 && m->last > m->base) {
        rec.kind = STORE_WAL_BASE;
        rec.index = rng_between(r, m->base + 1, m->last);
        rec.term = m->terms[rec.index];
    } else {
        rec.kind = STORE_WAL_BASE;
        rec.index = m->last + rng_below(r, 2) * rng_below(r, 5);
        rec.index = NUM_MIN(rec.index, INDEX_MAX - 1);
        rec.term = rec.index > m->last   ? NUM_MAX(m->term, 1)
                   : rec.index > m->base ? m->terms[rec.index]
                                         : m->base_term;
    }
    return rec;
}

static void random_batch(struct rng *r)
{
    memcpy(after, before, sizeof(after));
    memset(touched, 0, sizeof(touched));
    batch_count = (unsigned)rng_below(r, RECORDS_MAX);
    for (unsigned i = 0; i < batch_count; i++) {
        uint32_t id = (uint32_t)rng_below(r, GROUPS);
        batch[i] = random_record(r, id, &after[id]);
        model_apply(&after[id], &batch[i]);
        touched[id] = true;
    }
}

/* Every group is as the model says, to the last byte. */
static void check_same(const struct model_group *models)
{
    for (uint32_t id = 0; id < GROUPS; id++) {
        const struct model_group *m = &models[id];
        struct store_wal_group g = {0};
        int err = store_wal_group_get(rig.wal, id, &g);
        ck_assert_int_eq(err, m->used ? 0 : ERR_NOT_FOUND);
        ck_assert_uint_eq(g.term, m->term);
        ck_assert_uint_eq(g.vote, m->vote);
        ck_assert_uint_eq(g.commit, m->commit);
        ck_assert_uint_eq(g.base_index, m->base);
        ck_assert_uint_eq(g.base_term, m->base_term);
        ck_assert_uint_eq(g.last_index, m->last);
        ck_assert(!g.hard_lost);
        for (uint64_t i = m->base + 1; i <= m->last; i++) {
            wal_rig_check(&rig, id, i, i, m->terms[i]);
        }
    }
}

static bool in_batch(uint32_t id, uint64_t index)
{
    for (unsigned i = 0; i < batch_count; i++) {
        if (batch[i].kind == STORE_WAL_ENTRY && batch[i].group == id && batch[i].index == index) {
            return true;
        }
    }
    return false;
}

/* One entry after a crash in the middle of the batch. */
static void check_entry(uint32_t id, uint64_t i, const struct store_wal_group *g)
{
    const struct model_group *old = &before[id];
    const struct model_group *new = &after[id];
    struct store_wal_entry e = {0};
    uint64_t old_term = i > old->base && i <= old->last ? old->terms[i] : 0;
    uint64_t new_term = i > new->base &&i <= new->last ? new->terms[i] : 0;
    int err = wal_rig_read(&rig, id, i, &e);
    if (err == 0) {
        /* a batch may cut and append again: any of its own entries may be what was kept */
        ck_assert(e.term == old_term || e.term == new_term || in_batch(id, i));
        ck_assert(wal_rig_is_payload(&rig, id, i, e.term));
        return;
    }
    if (err == ERR_NOT_FOUND) {
        ck_assert_msg(old_term == 0 || new_term != old_term || i <= g->base_index || touched[id],
                      "group %u entry %u lost", id, (unsigned)i);
        return;
    }
    ck_assert_int_eq(err, ERR_CORRUPT);
    ck_assert_int_eq(e.state, STORE_WAL_AMBIGUOUS);
    ck_assert(touched[id]);
}

/* After a crash: old or new hard state, old entries but for what the batch touched. Then the model
 * learns what is there, and doubts are settled as a caller would. */
static void check_crash(void)
{
    for (uint32_t id = 0; id < GROUPS; id++) {
        struct store_wal_group g = {0};
        struct model_group *m = &before[id];
        int err = store_wal_group_get(rig.wal, id, &g);
        if (err == ERR_NOT_FOUND) {
            ck_assert(!m->used);
            continue;
        }
        bool is_new = g.term == after[id].term && g.vote == after[id].vote;
        bool mid = touched[id] && g.term >= m->term && g.term <= after[id].term;
        ck_assert(!g.hard_lost);
        ck_assert((g.term == m->term && g.vote == m->vote) || is_new || mid);
        ck_assert_uint_ge(g.commit, m->commit);
        for (uint64_t i = g.base_index + 1; i <= NUM_MAX(m->last, g.last_index); i++) {
            check_entry(id, i, &g);
        }
        if (!touched[id]) {
            ck_assert_uint_eq(g.last_index, m->last);
            ck_assert_uint_eq(g.base_index, m->base);
        }
        uint64_t keep = g.base_index;
        struct store_wal_entry e = {0};
        while (store_wal_entry_get(rig.wal, id, keep + 1, &e) == 0 && e.state == STORE_WAL_OK) {
            m->terms[++keep] = e.term;
        }
        struct store_wal_record cut = {.kind = STORE_WAL_CUT, .group = id, .index = keep + 1};
        ck_assert_int_eq(store_wal_append(rig.wal, &cut, 1, NULL), 0);
        m->used = true;
        m->term = g.term;
        m->vote = g.vote;
        m->commit = g.commit;
        m->base = g.base_index;
        m->base_term = g.base_term;
        m->last = keep;
    }
    batch_count = 0;
    memcpy(after, before, sizeof(after));
    memset(touched, 0, sizeof(touched));
    check_same(before);
}

static void one_step(struct rng *r)
{
    bool failing = rng_chance(r, 1, 12);
    bool full = !failing && rng_chance(r, 1, 40);
    if (failing) {
        mem_disk_fail(rig.mem, MEM_DISK_WRITE | MEM_DISK_SYNC | MEM_DISK_NAMES,
                      rng_between(r, 1, 6), ERR_IO);
    }
    if (full) {
        mem_disk_fail(rig.mem, MEM_DISK_WRITE, 1, ERR_DISK_FULL);
    }
    random_batch(r);
    int err = store_wal_append(rig.wal, batch, batch_count, NULL);
    if (err == 0) {
        memcpy(before, after, sizeof(before));
        memset(touched, 0, sizeof(touched));
        batch_count = 0;
    }
    ck_assert_msg(err == 0 || err == ERR_TOO_LARGE || (full && err == ERR_DISK_FULL) ||
                      (failing && err == ERR_IO),
                  "append: %s", err_name(err));
    if (err != ERR_IO && err != ERR_TOO_LARGE && rng_chance(r, 1, 3)) {
        bool more = false;
        err = store_wal_maintain(rig.wal, rng_below(r, 100000), &more);
        ck_assert(err == 0 || failing || full);
    }
    if (err == ERR_TOO_LARGE || (err == ERR_DISK_FULL && rng_chance(r, 1, 2))) {
        batch_count = 0;
        memcpy(after, before, sizeof(after));
        memset(touched, 0, sizeof(touched));
        check_same(before);
    }
    mem_disk_fail(rig.mem, 0, 0, 0);
    if (err == ERR_IO || rng_chance(r, 1, 15)) {
        if (rng_chance(r, 3, 4)) {
            wal_rig_crash(&rig, r, (unsigned)rng_below(r, 101));
        } else {
            wal_rig_reopen(&rig);
        }
        check_crash();
    }
}

START_TEST(what_was_appended_survives_any_crash)
{
    uint64_t round = 0;
    uint64_t seed = 0;
    while (prop_seed("wal_random", 120, &round, &seed)) {
        struct rng r;
        static const uint64_t sizes[] = {32 * 1024, 64 * 1024, 256 * 1024};
        rng_init(&r, seed);
        memset(before, 0, sizeof(before));
        wal_rig_begin(&rig, sizes[rng_below(&r, 3)]);
        rig.options.live_segments_max = (unsigned)rng_between(&r, 2, 8);
        rig.options.pool_segments = (unsigned)rng_below(&r, 3);
        wal_rig_open(&rig);
        for (unsigned step = 0; step < STEPS; step++) {
            one_step(&r);
        }
        wal_rig_reopen(&rig);
        check_same(before);
        wal_rig_end(&rig);
    }
}
END_TEST

static void damage(struct rng *r)
{
    unsigned files = 0;
    while (mem_disk_name(rig.mem, "wal/seg-", files) != NULL) {
        files++;
    }
    const char *name = mem_disk_name(rig.mem, "wal/seg-", (unsigned)rng_below(r, files));
    uint64_t sectors = mem_disk_bytes(rig.mem, name) / MEM_DISK_SECTOR;
    if (rng_chance(r, 1, 3)) {
        uint8_t junk[4096];
        uint64_t at = rng_below(r, sectors / 8) * 4096;
        rng_fill(r, junk, sizeof(junk));
        mem_disk_put(rig.mem, name, at, junk, sizeof(junk));
        return;
    }
    uint8_t junk[MEM_DISK_SECTOR];
    rng_fill(r, junk, sizeof(junk));
    mem_disk_put(rig.mem, name, rng_below(r, sectors) * MEM_DISK_SECTOR, junk, sizeof(junk));
}

/* What is not as it was says so. */
static void check_damaged(void)
{
    for (uint32_t id = 0; id < GROUPS; id++) {
        const struct model_group *m = &before[id];
        struct store_wal_group g = {0};
        if (!m->used || store_wal_group_get(rig.wal, id, &g) != 0) {
            continue;
        }
        RIG_CHECK(g.hard_lost || (g.term == m->term && g.vote == m->vote), "group %u vote", id);
        for (uint64_t i = m->base + 1; i <= NUM_MAX(m->last, g.last_index); i++) {
            struct store_wal_entry e = {0};
            uint64_t term = i <= m->last ? m->terms[i] : 0;
            int err = wal_rig_read(&rig, id, i, &e);
            if (err == ERR_NOT_FOUND) {
                RIG_CHECK(g.tail_ambiguous || g.base_index >= i, "group %u: %u lost", id,
                          (unsigned)i);
                continue;
            }
            RIG_CHECK(err == ERR_CORRUPT ||
                          (e.term == term && wal_rig_is_payload(&rig, id, i, term)),
                      "group %u: %u is wrong", id, (unsigned)i);
        }
    }
}

START_TEST(damage_anywhere_is_never_silent)
{
    /* attack 48, scenario 78 */
    uint64_t round = 0;
    uint64_t seed = 0;
    while (prop_seed("wal_damage", 400, &round, &seed)) {
        struct rng r;
        rng_init(&r, seed ^ 0xda3a6e);
        memset(before, 0, sizeof(before));
        wal_rig_begin(&rig, 64 * 1024);
        wal_rig_open(&rig);
        for (unsigned step = 0; step < 60; step++) {
            bool more = false;
            random_batch(&r);
            if (store_wal_append(rig.wal, batch, batch_count, NULL) == 0) {
                memcpy(before, after, sizeof(before));
            }
            ck_assert_int_eq(store_wal_maintain(rig.wal, 100000, &more), 0);
        }
        ck_assert_int_eq(store_wal_idle(rig.wal), 0);
        store_wal_close(rig.wal);
        damage(&r);
        if (rng_chance(&r, 1, 2)) {
            damage(&r);
        }
        wal_rig_open(&rig);
        check_damaged();
        wal_rig_reopen(&rig);
        check_damaged();
        wal_rig_end(&rig);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wal_random");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 0);
    tcase_add_test(t, what_was_appended_survives_any_crash);
    tcase_add_test(t, damage_anywhere_is_never_silent);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
