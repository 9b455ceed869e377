/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Segments under any sequence of writes, deletes, compaction, failures and crashes: what was
 * acknowledged is there, and nothing is wrong.
 */
#include "base/rng.h"
#include "tests/unit/store/prop.h"
#include "tests/unit/store/segments_rig.h"

#include <string.h>

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
    return rig_cell_id(extent, (uint8_t)(cell % 3), cell);
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
    store_segments_close(rig.segs);
    sim_disk_power_off_after(rig.sim, 0);
    if (power) {
        sim_disk_crash(rig.sim, &p->rng);
    }
    sim_kv_crash(&rig.kv);
    int opened = rig_open();
    if (opened != 0) {
        ck_assert_int_eq(opened, ERR_IO); /* the sync that was to fail */
        ck_assert_int_eq(rig_open(), 0);
    }
    for (unsigned e = 0; e < PROP_EXTENTS; e++) {
        for (unsigned c = 0; c < PROP_CELLS; c++) {
            int err = rig_get(prop_id(e, c));
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
    ck_assert_int_eq(store_segments_list(rig.segs, NULL, shards, 64, &count), 0);
    for (unsigned i = 0; i < count; i++) {
        ck_assert_uint_gt(shards[i].cells, 0);
        listed += shards[i].cells;
    }
    ck_assert_uint_eq(listed, cells);
    ck_assert_uint_eq(rig_stats().cells, cells);
}

static void prop_sync(struct prop *p)
{
    if (store_segments_sync(rig.segs) != 0) {
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
    int err = rig_put(prop_id(e, c));
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
    bool whole = rng_below(&p->rng, 2) == 0;
    const struct store_cell_range range = {
        .extent_grant = 5,
        .extent_counter = e,
        .first = whole ? 0 : (uint32_t)rng_below(&p->rng, PROP_CELLS),
        .last = whole ? UINT32_MAX : (uint32_t)rng_below(&p->rng, PROP_CELLS),
        .shard = shard == 3 ? 255 : (uint8_t)shard};
    if (store_segments_delete_range(rig.segs, &range, &deleted) != 0) {
        return;
    }
    uint64_t want = 0;
    for (unsigned c = 0; c < PROP_CELLS; c++) {
        if ((shard == 3 || c % 3 == shard) && c >= range.first && c <= range.last) {
            want += p->now[e][c];
            p->now[e][c] = false;
        }
    }
    ck_assert_uint_eq(deleted, want);
}

static void prop_maintain(struct prop *p)
{
    bool more = false;
    if (store_segments_maintain(rig.segs, rng_between(&p->rng, 1, 200000), &more) != 0) {
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
        sim_disk_power_off_after(rig.sim, rng_between(&p->rng, 1, 12));
    } else if (what < 97) {
        sim_disk_fail_sync(rig.sim);
    } else {
        unsigned e = (unsigned)rng_below(&p->rng, PROP_EXTENTS);
        unsigned c = (unsigned)rng_below(&p->rng, PROP_CELLS);
        int err = rig_get(prop_id(e, c));
        ck_assert(err == ERR_IO || (err == 0) == p->acked[e][c]);
    }
}

START_TEST(no_crash_loses_or_corrupts_an_acknowledged_cell)
{
    uint64_t round = 0;
    uint64_t seed = 0;
    while (prop_seed("segments", 40, &round, &seed)) {
        static struct prop prop;
        rig_teardown();
        rig_setup();
        memset(&prop, 0, sizeof(prop));
        rng_init(&prop.rng, seed);
        for (unsigned step = 0; step < 400; step++) {
            prop_step(&prop);
        }
        prop_restart(&prop, true);
        prop_check_counts(&prop);
        rig_maintain_all();
        prop_check_counts(&prop);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segments_random");
    TCase *tc = tcase_create("segments");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
    tcase_add_test(tc, no_crash_loses_or_corrupts_an_acknowledged_cell);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
