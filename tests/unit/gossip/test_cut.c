/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Cuts: what the observers of a member say of it. How whole clusters fare is in tests/gossip.
 */
#include "net.h"

#define SECOND 1000000u

/* A member is away for as long, and comes back as a new start.
 * returns: how often it, or anybody of it, was wrongly accused since. */
static uint64_t accusations_after(uint64_t away_us, uint64_t seed)
{
    struct net *n = net_new(12, gossip_rules_default(), seed);
    net_run(n, 20 * SECOND);
    net_crash(n, 3);
    net_run(n, away_us);
    net_start(n, 3, 2);
    (void)net_settle(n, 5 * SECOND);
    memset(n->cut_told, 0, sizeof(n->cut_told));
    uint64_t before = n->deaths;
    net_run(n, 15 * SECOND);
    uint64_t wrong = n->deaths - before;
    for (uint32_t id = 1; id <= n->count; id++) {
        wrong += net_state(n, id, 3) != GOSSIP_ALIVE || n->cut_told[id][3];
    }
    wrong += n->nodes[3]->counters.refuted;
    net_free(n);
    return wrong;
}

/* found by gossip_sim --scenario replayed --seed 2: the watch went on over the restart */
START_TEST(what_an_earlier_start_did_not_answer_is_not_held_against_the_next)
{
    uint64_t seed = unit_seed("cut", 1);
    for (uint64_t away_us = SECOND; away_us <= 12 * SECOND; away_us += SECOND / 2) {
        ck_assert_uint_eq(accusations_after(away_us, seed + away_us), 0);
    }
}
END_TEST

static void split_at_random(struct net *n, uint32_t count)
{
    bool there[NET_NODES_MAX + 1] = {false};
    while (count > 0) {
        uint32_t id = 1 + (uint32_t)rng_below(&n->rng, n->count);
        count -= !there[id];
        there[id] = true;
    }
    for (uint32_t a = 1; a <= n->count; a++) {
        for (uint32_t b = 1; b <= n->count; b++) {
            n->cut[a][b] = there[a] != there[b];
        }
    }
}

/* One of nine stands still, then four are cut off from the others, for about as long as it takes
 * to alert everybody of them.
 * returns: how often a member was held dead by another after that had healed. */
static uint64_t deaths_after_partition(uint64_t seed)
{
    struct net *n = net_new(9, gossip_rules_default(), seed);
    net_run(n, 20 * SECOND);
    uint32_t still = 1 + (uint32_t)rng_below(&n->rng, n->count);
    n->paused[still] = true;
    net_run(n, 8 * SECOND + rng_below(&n->rng, 4 * SECOND));
    n->paused[still] = false;
    net_run(n, SECOND / 2 + rng_below(&n->rng, 8 * SECOND));
    split_at_random(n, 4);
    net_run(n, 8 * SECOND + rng_below(&n->rng, 12 * SECOND));
    memset(n->cut, 0, sizeof(n->cut));
    net_run(n, SECOND / 2); /* so that who has not heard of that yet may say what was so */
    uint64_t before = n->deaths;
    ck_assert_uint_ne(net_settle(n, 60 * SECOND), UINT64_MAX);
    net_run(n, 10 * SECOND);
    uint64_t deaths = n->deaths - before;
    net_free(n);
    return deaths;
}

/* A side is four members in the eyes of five, or five in the eyes of four. One that somebody still
 * suspects may be held dead a moment longer. */
START_TEST(what_was_said_during_a_partition_cuts_no_side_off_after_it)
{
    uint64_t seed = unit_seed("cut", 1);
    for (uint64_t i = 0; i < 50; i++) {
        ck_assert_uint_lt(deaths_after_partition(seed + i), 4);
    }
}
END_TEST

/* One of sixteen stands still for 6 of every 10 s.
 * returns: for how long of a minute some held it dead and others did not, in half seconds. */
static uint32_t split_views(uint64_t seed)
{
    struct net *n = net_new(16, gossip_rules_default(), seed);
    net_run(n, 20 * SECOND);
    uint32_t split = 0;
    for (uint32_t half = 0; half < 120; half++) {
        n->paused[3] = half % 20 < 12;
        net_run(n, SECOND / 2);
        uint32_t dead = 0;
        for (uint32_t id = 1; id <= n->count; id++) {
            dead += id != 3 && net_state(n, id, 3) == GOSSIP_DEAD;
        }
        split += dead > 0 && dead < n->count - 1;
    }
    net_free(n);
    return split;
}

/* found with seed 2: what observers had taken back and said again was judged by the old look */
START_TEST(who_comes_and_goes_is_cut_by_all_or_nobody)
{
    uint64_t seed = unit_seed("cut", 1);
    for (uint64_t i = 0; i < 20; i++) {
        ck_assert_uint_lt(split_views(seed + i), 20);
    }
}
END_TEST

/* As far as another continent: the answer to a ping comes after the ping has been repeated. */
START_TEST(ways_that_are_long_are_not_taken_for_bad_ones)
{
    struct net *n = net_new(9, gossip_rules_default(), unit_seed("cut", 1));
    n->delay_us = 60000;
    net_run(n, 60 * SECOND);
    for (uint32_t id = 1; id <= n->count; id++) {
        ck_assert_uint_lt(n->nodes[id]->direct_loss, 6554);
    }
    n->egress_loss[3] = 100;
    net_run(n, 40 * SECOND);
    for (uint32_t id = 1; id <= n->count; id++) {
        ck_assert(n->cut_told[id][3]);
    }
    net_free(n);
}
END_TEST

UNIT_MAIN("gossip_cut", what_an_earlier_start_did_not_answer_is_not_held_against_the_next,
          what_was_said_during_a_partition_cuts_no_side_off_after_it,
          who_comes_and_goes_is_cut_by_all_or_nobody, ways_that_are_long_are_not_taken_for_bad_ones)
