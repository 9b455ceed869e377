/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Property: whatever the schedule (loss, copies, reorder, one-way cuts, crashes that lose what was
 * not synced, torn batches, rot, compaction), the judge of the fixture finds nothing, and when the
 * faults stop the group comes to one leader, equal state and answered reads within a bound.
 *
 * HOLDFAST_SEED=N replays one schedule; HOLDFAST_SEEDS=N runs that many.
 */
#include "tests/unit/raft/fixture.h"
#include "tests/unit/raft/suite.h"

#include <stdio.h>
#include <stdlib.h>

#define RANDOM_STEPS 2500
#define RANDOM_SEEDS 150

static uint64_t random_seed; /* of the run under way */

static void random_after(void)
{
    if (random_seed != 0) {
        fprintf(stderr, "HOLDFAST_SEED=%lu\n", (unsigned long)random_seed);
    }
    random_seed = 0;
}

static unsigned random_up(struct fx *f)
{
    unsigned up = 0;
    for (unsigned i = 1; i <= f->nodes; i++) {
        up += f->node[i].up;
    }
    return up;
}

static bool random_intact_elsewhere(struct fx *f, unsigned node, uint64_t index)
{
    const struct raft_entry *mine = &f->node[node].disk[0].log[index];
    for (unsigned i = 1; i <= f->nodes; i++) {
        const struct fx_disk *d = &f->node[i].disk[0];
        if (i != node && (d->base_index >= index || d->last_index < index ||
                          d->log[index].state != RAFT_ENTRY_OK ||
                          d->log[index].term != mine->term || d->tail_ambiguous)) {
            return false;
        }
    }
    return true;
}

/* One entry rots that all others hold intact. */
static void random_rot(struct fx *f, unsigned node)
{
    struct fx_disk *d = &f->node[node].disk[0];
    if (!f->node[node].up || f->node[node].pending_count > 0 || d->last_index <= d->base_index) {
        return;
    }
    uint64_t index = rng_between(&f->rng, d->base_index + 1, d->last_index);
    if (!random_intact_elsewhere(f, node, index) || d->log[index].state != RAFT_ENTRY_OK) {
        return;
    }
    d->log[index].state = RAFT_ENTRY_FAULTY;
    if (fx_status(f, node, 1).fenced) {
        return;
    }
    (void)fx_step(f, node,
                  (struct raft_event){.kind = RAFT_FAULTY, .group = 1, .index = index, .count = 1});
}

static void random_crash(struct fx *f, unsigned node)
{
    struct fx_node *n = &f->node[node];
    if (!n->up) {
        return;
    }
    bool torn = n->pending_count > 0 && rng_chance(&f->rng, 1, 3);
    unsigned keep = (unsigned)rng_below(&f->rng, n->pending_count + 1);
    if (torn && keep == n->pending_count) {
        keep--;
    }
    fx_crash(f, node, keep);
    if (torn) {
        n->disk[0].tail_ambiguous = true;
    }
    /* a header may be lost with its payload */
    struct fx_disk *d = &n->disk[0];
    for (uint64_t i = d->base_index + 1; i <= d->last_index; i++) {
        if (d->log[i].state == RAFT_ENTRY_FAULTY && rng_chance(&f->rng, 1, 2)) {
            d->log[i].term = 0;
        }
    }
}

/* The leader is cut off, and the others are told that it is down: they elect at once while it
 * still believes that it leads. */
static void random_depose(struct fx *f)
{
    unsigned leader = fx_leader(f, 1);
    if (leader == 0) {
        return;
    }
    fx_isolate(f, leader, true);
    for (unsigned i = 1; i <= f->nodes; i++) {
        if (i != leader && f->node[i].up) {
            (void)fx_step(f, i, (struct raft_event){.kind = RAFT_PEER_DOWN, .peer = leader});
        }
    }
}

static void random_fault(struct fx *f)
{
    unsigned node = (unsigned)rng_between(&f->rng, 1, f->nodes);
    unsigned other = (unsigned)rng_between(&f->rng, 1, f->nodes);
    switch (rng_below(&f->rng, 12)) {
    case 0:
    case 1: random_crash(f, node); break;
    case 2:
    case 3:
        if (!f->node[node].up) {
            fx_restart(f, node);
        }
        break;
    case 4: f->cut[node][other] = random_up(f) > 1 && !f->cut[node][other]; break;
    case 5: f->cut[node][other] = false; break;
    case 6: random_rot(f, node); break;
    case 7:
        if (f->node[node].up && node != other) {
            (void)fx_step(f, node, (struct raft_event){.kind = RAFT_PEER_DOWN, .peer = other});
        }
        break;
    case 8: random_depose(f); break;
    case 9:
    case 10: fx_isolate(f, node, false); break;
    default:
        if (f->node[node].up && rng_chance(&f->rng, 1, 4)) {
            (void)fx_step(f, node, (struct raft_event){.kind = RAFT_STEP_DOWN, .group = 1});
        }
        break;
    }
}

static void random_use(struct fx *f)
{
    unsigned node = (unsigned)rng_between(&f->rng, 1, f->nodes);
    if (!f->node[node].up) {
        return;
    }
    switch (rng_below(&f->rng, 6)) {
    case 0:
    case 1:
    case 2:
        if (f->committed_max[0] < FX_LOG_MAX - 500) {
            (void)fx_propose(f, node, 1, (unsigned)rng_between(&f->rng, 1, 4));
        }
        break;
    case 3:
    case 4:
        if (f->node[node].reads_count < FX_READS_MAX) {
            (void)fx_read(f, node, 1);
        }
        break;
    default:
        if (rng_chance(&f->rng, 1, 3) && f->node[node].view[0].applied > 0) {
            fx_compact(f, node, 1, rng_between(&f->rng, 1, f->node[node].view[0].applied));
        }
        break;
    }
}

static void random_net(struct fx *f)
{
    if (f->net_count == 0) {
        return;
    }
    unsigned at = (unsigned)rng_below(&f->rng, f->net_count);
    if (rng_chance(&f->rng, 1, 25)) {
        fx_drop(f, at);
    } else if (rng_chance(&f->rng, 1, 25) && f->net_count < FX_NET_MAX / 2) {
        fx_copy(f, at);
    } else {
        (void)fx_deliver(f, rng_chance(&f->rng, 3, 4) ? 0 : at);
    }
}

static void random_time(struct fx *f)
{
    f->now_us += rng_below(&f->rng, rng_chance(&f->rng, 1, 10) ? 400000 : 20000);
    for (unsigned i = 1; i <= f->nodes; i++) {
        if (f->node[i].up && raft_deadline(f->node[i].host) <= f->now_us) {
            fx_tick(f, i);
        }
    }
}

static void random_step(struct fx *f)
{
    uint64_t pick = rng_below(&f->rng, 1000);
    if (pick < 600) {
        random_net(f);
    } else if (pick < 800) {
        fx_sync(f, (unsigned)rng_between(&f->rng, 1, f->nodes),
                (unsigned)rng_between(&f->rng, 1, 8));
    } else if (pick < 900) {
        random_time(f);
    } else if (pick < 975) {
        random_use(f);
    } else {
        random_fault(f);
    }
}

static bool random_healthy(struct fx *f)
{
    if (fx_leader(f, 1) == 0 || !fx_equal(f, 1)) {
        return false;
    }
    uint64_t term = fx_status(f, fx_leader(f, 1), 1).term;
    for (unsigned i = 1; i <= f->nodes; i++) {
        struct raft_status s = fx_status(f, i, 1);
        if (s.term != term || s.leader != fx_leader(f, 1) || s.faulty_count > 0 || s.ambiguous ||
            s.commit_index != f->committed_max[0]) {
            return false;
        }
    }
    return true;
}

static void random_tell(struct fx *f)
{
    fprintf(stderr, "\ncommitted %lu\n", (unsigned long)f->committed_max[0]);
    for (unsigned i = 1; i <= f->nodes; i++) {
        struct raft_status s = fx_status(f, i, 1);
        fprintf(stderr,
                "node %u role %d term %lu leader %u base %lu last %lu durable %lu commit %lu "
                "applied %lu faulty %lu ambiguous %d fenced %d\n",
                i, (int)s.role, (unsigned long)s.term, s.leader, (unsigned long)s.base_index,
                (unsigned long)s.last_index, (unsigned long)s.durable_index,
                (unsigned long)s.commit_index, (unsigned long)s.applied_index,
                (unsigned long)s.faulty_count, s.ambiguous, s.fenced);
    }
}

static void random_heal(struct fx *f)
{
    for (unsigned i = 1; i <= f->nodes; i++) {
        fx_isolate(f, i, false);
        if (!f->node[i].up) {
            fx_restart(f, i);
        }
    }
    uint64_t end_us = f->now_us + 30000000;
    while (!random_healthy(f)) {
        if (f->now_us >= end_us) {
            random_tell(f);
            ck_abort_msg("the group does not heal");
        }
        fx_run(f, 50000);
        for (unsigned i = 1; i <= f->nodes; i++) {
            if (rng_chance(&f->rng, 1, 40) && !fx_status(f, i, 1).fenced) {
                fx_compact(f, i, 1, f->node[i].view[0].applied);
            }
        }
    }
    for (unsigned i = 1; i <= f->nodes; i++) {
        fx_compact(f, i, 1, f->node[i].view[0].applied);
    }
    ck_assert_int_eq(fx_propose(f, fx_leader(f, 1), 1, 1), 0);
    fx_run(f, 500000);
    if (!fx_equal(f, 1)) {
        random_tell(f);
        ck_abort_msg("a healed group does not apply");
    }
    for (unsigned i = 1; i <= f->nodes; i++) {
        ck_assert_uint_eq(f->node[i].view[0].fenced, 0);
        uint64_t read = fx_read(f, i, 1);
        if (read == 0) {
            random_tell(f);
            ck_abort_msg("a healed group refuses a read");
        }
        fx_run(f, 200000);
        for (unsigned j = 0; j < f->node[i].reads_count; j++) {
            ck_assert_msg(f->node[i].reads[j].ended, "a read was never answered");
        }
        ck_assert(fx_read_get(f, i, read)->ok);
    }
}

static uint64_t random_run(uint64_t seed)
{
    struct fx *f = fx_new(seed % 5 == 4 ? 5 : seed % 7 == 6 ? 2 : 3, seed);
    f->options.entries_max = seed % 3 == 0 ? 64 : 1024;
    f->options.message_entries_max = seed % 2 == 0 ? 4 : 64;
    f->options.inflight_messages_max = seed % 4 == 0 ? 2 : 16;
    f->options.leases = seed % 11 == 0;
    f->options.reads_max = 8;
    fx_start(f);
    for (unsigned i = 0; i < RANDOM_STEPS; i++) {
        random_step(f);
    }
    random_heal(f);
    uint64_t trace = f->trace;
    for (unsigned i = 1; i <= f->nodes; i++) {
        trace = trace * 31 + raft_digest(f->node[i].host, 1);
    }
    fx_free(f);
    return trace;
}

START_TEST(any_schedule_keeps_every_promise_and_heals)
{
    const char *one = getenv("HOLDFAST_SEED");
    const char *many = getenv("HOLDFAST_SEEDS");
    uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one != NULL ? 1 : many != NULL ? strtoull(many, NULL, 10) : RANDOM_SEEDS;
    for (uint64_t seed = first; seed < first + count; seed++) {
        random_seed = seed;
        (void)random_run(seed);
    }
    random_seed = 0;
}
END_TEST

START_TEST(the_same_seed_gives_the_same_run)
{
    for (uint64_t seed = 1000; seed < 1005; seed++) {
        random_seed = seed;
        ck_assert_uint_eq(random_run(seed), random_run(seed));
        random_seed = 0;
    }
}
END_TEST

TCase *case_random(void)
{
    TCase *c = tcase_create("random");
    tcase_set_timeout(c, 280);
    tcase_add_checked_fixture(c, NULL, random_after);
    tcase_add_test(c, any_schedule_keeps_every_promise_and_heals);
    tcase_add_test(c, the_same_seed_gives_the_same_run);
    return c;
}
