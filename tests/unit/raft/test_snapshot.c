/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots and compaction.
 */
#include "tests/unit/raft/fixture.h"
#include "tests/unit/raft/suite.h"

static int offer(struct fx *f, uint64_t term, uint64_t id, uint64_t index, uint64_t index_term)
{
    struct raft_message m = {.kind = RAFT_MSG_SNAPSHOT,
                             .group = 1,
                             .from = 2,
                             .to = 1,
                             .term = term,
                             .index = index,
                             .index_term = index_term,
                             .ctx = id};
    return fx_step(f, 1, (struct raft_event){.kind = RAFT_MESSAGE, .message = &m});
}

static void know(struct fx *f, uint64_t index, uint64_t term)
{
    f->committed[0][index].term = term;
    f->committed[0][index].ref = term * 1000000 + index;
    f->committed_max[0] = index > f->committed_max[0] ? index : f->committed_max[0];
}

/* A follower that is down while the others compact. */
static unsigned left_behind(struct fx *f)
{
    unsigned leader = fx_elect(f, 1, 4000000);
    unsigned slow = leader % 3 + 1;
    fx_crash(f, slow, 0);
    for (unsigned i = 0; i < 30; i++) {
        ck_assert_int_eq(fx_propose(f, leader, 1, 20), 0);
        fx_run(f, 20000);
    }
    fx_run(f, 200000);
    for (unsigned i = 1; i <= 3; i++) {
        if (i != slow) {
            fx_compact(f, i, 1, f->node[i].view[0].applied);
        }
    }
    return slow;
}

/* scenario 72 */
START_TEST(a_follower_far_behind_gets_a_snapshot_and_goes_on)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned slow = left_behind(f);
    unsigned leader = fx_leader(f, 1);
    ck_assert_uint_eq(fx_status(f, leader, 1).base_index, f->node[leader].view[0].applied);
    fx_restart(f, slow);
    fx_run(f, 1000000);
    ck_assert_uint_eq(f->node[slow].view[0].installs, 1);
    ck_assert(fx_equal(f, 1));
    ck_assert_int_eq(fx_propose(f, leader, 1, 1), 0);
    fx_run(f, 200000);
    ck_assert(fx_equal(f, 1));
    fx_crash(f, slow, 0);
    fx_restart(f, slow);
    fx_run(f, 1000000);
    ck_assert(fx_equal(f, 1));
    ck_assert_uint_eq(f->node[slow].view[0].installs, 0);
    fx_free(f);
}
END_TEST

/* scenario 72 */
START_TEST(the_leader_keeps_what_a_slow_follower_needs_until_half_the_ring_is_used)
{
    struct fx *f = fx_new(3, 1);
    fx_start(f);
    unsigned leader = fx_elect(f, 1, 4000000);
    unsigned slow = leader % 3 + 1;
    fx_run(f, 200000);
    fx_isolate(f, slow, true);
    ck_assert_int_eq(fx_propose(f, leader, 1, 40), 0);
    fx_run(f, 100000);
    fx_compact(f, leader, 1, 40);
    ck_assert_uint_le(fx_status(f, leader, 1).base_index, 1);
    fx_isolate(f, slow, false);
    fx_run(f, 700000);
    ck_assert(fx_equal(f, 1));
    ck_assert_uint_eq(f->node[slow].view[0].installs, 0);
    fx_compact(f, leader, 1, 40);
    ck_assert_uint_eq(fx_status(f, leader, 1).base_index, 40);
    fx_free(f);
}
END_TEST

/* scenario 69, 71 */
START_TEST(an_offer_that_got_lost_is_made_again_and_heartbeats_go_on)
{
    struct fx *f = fx_new(3, 1);
    f->manual_install = true;
    fx_start(f);
    unsigned slow = left_behind(f);
    unsigned leader = fx_leader(f, 1);
    fx_restart(f, slow);
    fx_run(f, 200000);
    ck_assert_uint_eq(f->node[slow].view[0].installs, 1);
    fx_run(f, 10000000);
    ck_assert_uint_eq(fx_leader(f, 1), leader);
    ck_assert_uint_gt(f->node[slow].view[0].installs, 1);
    fx_install(f, slow, 1);
    fx_run(f, 1000000);
    ck_assert(fx_equal(f, 1));
    fx_free(f);
}
END_TEST

/* scenario 69 */
START_TEST(a_snapshot_that_failed_is_asked_for_again)
{
    struct fx *f = fx_new(3, 1);
    f->manual_install = true;
    fx_start(f);
    unsigned slow = left_behind(f);
    unsigned leader = fx_leader(f, 1);
    fx_restart(f, slow);
    fx_run(f, 200000);
    unsigned before = f->node[leader].view[0].snapshot_sends;
    (void)fx_step(
        f, leader,
        (struct raft_event){
            .kind = RAFT_SNAPSHOT_DONE, .group = 1, .peer = slow, .code = ERR_CONNECTION});
    fx_run(f, 300000);
    ck_assert_uint_eq(f->node[leader].view[0].snapshot_sends, before + 1);
    fx_install(f, slow, 1);
    fx_run(f, 1000000);
    ck_assert(fx_equal(f, 1));
    fx_free(f);
}
END_TEST

/* scenario 62 */
START_TEST(a_snapshot_older_than_what_is_applied_is_not_installed)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 1, 1, 1};
    fx_disk_log(f, 1, 1, terms, 4);
    f->node[1].disk[0].commit = 4;
    fx_boot(f, 1);
    ck_assert_int_eq(offer(f, 1, 7, 3, 1), 0);
    ck_assert_uint_eq(f->node[1].view[0].installs, 0);
    fx_sync(f, 1, 9);
    ck_assert_uint_gt(f->net_count, 0);
    ck_assert_uint_eq(f->net[f->net_count - 1].m.index, 4);
    (void)fx_step(
        f, 1,
        (struct raft_event){.kind = RAFT_SNAPSHOT_INSTALLED, .group = 1, .index = 3, .term = 1});
    ck_assert_uint_eq(fx_status(f, 1, 1).base_index, 0);
    fx_free(f);
}
END_TEST

/* scenario 66 */
START_TEST(a_snapshot_that_fits_the_log_keeps_what_follows_it)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 1, 1, 1};
    fx_disk_log(f, 1, 1, terms, 4);
    fx_boot(f, 1);
    know(f, 3, 1);
    ck_assert_int_eq(offer(f, 1, 7, 3, 1), 0);
    ck_assert_uint_eq(f->node[1].view[0].installs, 1);
    ck_assert_uint_eq(fx_status(f, 1, 1).base_index, 3);
    ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 4);
    ck_assert_uint_eq(fx_status(f, 1, 1).commit_index, 3);
    fx_sync(f, 1, 9);
    ck_assert_uint_eq(f->node[1].disk[0].last_index, 4);
    fx_free(f);
}
END_TEST

/* scenario 66 */
START_TEST(a_snapshot_that_does_not_fit_drops_the_whole_log)
{
    struct fx *f = fx_new(3, 1);
    const uint64_t terms[] = {1, 1, 1, 1};
    fx_disk_log(f, 1, 1, terms, 4);
    fx_boot(f, 1);
    know(f, 3, 2);
    ck_assert_int_eq(offer(f, 2, 7, 3, 2), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).base_index, 3);
    ck_assert_uint_eq(fx_status(f, 1, 1).base_term, 2);
    ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 3);
    fx_sync(f, 1, 9);
    ck_assert_uint_eq(f->node[1].disk[0].last_index, 3);
    fx_free(f);
}
END_TEST

/* scenario 68 */
START_TEST(an_offer_given_twice_is_installed_once)
{
    struct fx *f = fx_new(3, 1);
    f->manual_install = true;
    fx_boot(f, 1);
    know(f, 3, 1);
    ck_assert_int_eq(offer(f, 1, 7, 3, 1), 0);
    ck_assert_int_eq(offer(f, 1, 7, 3, 1), 0);
    ck_assert_uint_eq(f->node[1].view[0].installs, 1);
    fx_install(f, 1, 1);
    ck_assert_int_eq(offer(f, 1, 7, 3, 1), 0);
    ck_assert_uint_eq(f->node[1].view[0].installs, 1);
    fx_free(f);
}
END_TEST

/* scenario 67 */
START_TEST(a_crash_between_installation_and_its_persist_leaves_a_log_that_goes_on)
{
    for (unsigned same = 0; same < 2; same++) {
        struct fx *f = fx_new(3, 1);
        f->manual_sync = true;
        const uint64_t terms[] = {1, 1, 1, 1};
        fx_disk_log(f, 1, 1, terms, same ? 2 : 4);
        fx_boot(f, 1);
        know(f, 3, 2);
        ck_assert_int_eq(offer(f, 2, 7, 3, 2), 0);
        fx_crash(f, 1, 1); /* the term is durable, the base is not */
        ck_assert_uint_eq(f->node[1].disk[0].base_index, 0);
        ck_assert_uint_eq(f->node[1].disk[0].applied, 3);
        fx_restart(f, 1);
        ck_assert_uint_eq(fx_status(f, 1, 1).base_index, 3);
        ck_assert_uint_eq(fx_status(f, 1, 1).last_index, 3);
        ck_assert_uint_eq(fx_status(f, 1, 1).base_term, 2);
        fx_free(f);
    }
}
END_TEST

/* scenario 65 */
START_TEST(compaction_never_passes_what_is_applied)
{
    struct fx *f = fx_new(1, 1);
    fx_start(f);
    fx_settle(f);
    ck_assert_int_eq(fx_propose(f, 1, 1, 3), 0);
    fx_settle(f);
    struct raft_event ev = {.kind = RAFT_COMPACT, .group = 1, .index = 9};
    ck_assert_int_eq(fx_step(f, 1, ev), ERR_INVALID);
    ev.index = 4;
    ck_assert_int_eq(fx_step(f, 1, ev), 0);
    ck_assert_uint_eq(fx_status(f, 1, 1).base_index, 4);
    ck_assert_int_eq(fx_propose(f, 1, 1, 3), 0);
    fx_settle(f);
    ck_assert_uint_eq(f->node[1].view[0].applied, 7);
    fx_free(f);
}
END_TEST

TCase *case_snapshot(void)
{
    TCase *c = tcase_create("snapshot");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, a_follower_far_behind_gets_a_snapshot_and_goes_on);
    tcase_add_test(c, the_leader_keeps_what_a_slow_follower_needs_until_half_the_ring_is_used);
    tcase_add_test(c, an_offer_that_got_lost_is_made_again_and_heartbeats_go_on);
    tcase_add_test(c, a_snapshot_that_failed_is_asked_for_again);
    tcase_add_test(c, a_snapshot_older_than_what_is_applied_is_not_installed);
    tcase_add_test(c, a_snapshot_that_fits_the_log_keeps_what_follows_it);
    tcase_add_test(c, a_snapshot_that_does_not_fit_drops_the_whole_log);
    tcase_add_test(c, an_offer_given_twice_is_installed_once);
    tcase_add_test(c, a_crash_between_installation_and_its_persist_leaves_a_log_that_goes_on);
    tcase_add_test(c, compaction_never_passes_what_is_applied);
    return c;
}
