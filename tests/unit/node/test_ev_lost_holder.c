/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Who has rights to a bounded counter loses its disk for good and comes back with an empty one
 * (scenario C32). Its rights are taken over once, by nobody but itself, and not before all that it
 * did with them is known to all who may have any of it.
 */
#include "ev_client.h"
#include "server/node/eventual_self_internal.h"
#include "tests/sim/model_kv.h"

#include <stdlib.h>

#define HOLDER 3u
#define STOCK 10
#define RETIRED_US 25000000u /* all is retired by then */

static const struct top create = {
    .name = "stock", .types = {WIRE_CRDT_BOUNDED}, .verb = WIRE_CRDT_CREATE, .amount = STOCK};
static const struct top take = {
    .name = "stock", .types = {WIRE_CRDT_BOUNDED}, .verb = WIRE_CRDT_ADD, .amount = -1};

static int64_t stock(unsigned i)
{
    return counter(i, "stock", WIRE_CRDT_BOUNDED);
}

static int give(unsigned i, uint32_t to, int64_t amount)
{
    return update_one(i, (struct top){.name = "stock",
                                      .types = {WIRE_CRDT_BOUNDED},
                                      .verb = WIRE_CRDT_TRANSFER,
                                      .amount = amount,
                                      .to = to});
}

/* The counter is made by the node that then holds all rights. */
static void begin_held(void)
{
    begin(3);
    ck_assert_int_eq(update_one(HOLDER, create), 0);
    rig_run(r, 3000000);
}

/* The node dies and its disk with it. boot: how often a node of this name has started, for who
 * starts the next one. */
static void lose_disk(uint64_t boot)
{
    struct rig_dir none = {.boot = boot};
    rig_stop(r, HOLDER);
    none.mem = mem_disk_new(&none.disk);
    ck_assert_int_eq(sim_kv_new(&none.kv, 1u << 30, &r->heap), 0);
    ck_assert_int_eq(sim_kv_new(&none.seg_kv, 1u << 30, &r->heap), 0);
    none.there = true;
    rig_dir_swap(r, HOLDER, &none);
    rig_dir_free(&none);
    r->salt++;
}

static void wait_actor(void)
{
    struct crdt_actor actor;
    for (unsigned k = 0; k < 4000 && !node_ev_actor(r->nodes[HOLDER - 1].node, &actor); k++) {
        rig_run(r, 1000);
    }
    ck_assert(node_ev_actor(r->nodes[HOLDER - 1].node, &actor));
}

static void replace(void)
{
    lose_disk(r->nodes[HOLDER - 1].boot);
    rig_start(r, HOLDER);
    wait_actor();
}

/* returns: how often one can be taken at the node before it has no rights. */
static unsigned take_all(unsigned i)
{
    unsigned taken = 0;
    int code = 0;
    while (code == 0 && taken <= 4u * STOCK) {
        code = update_one(i, take);
        taken += code == 0;
    }
    ck_assert_int_eq(code, ERR_NO_RIGHTS);
    return taken;
}

static void check_all(int64_t value)
{
    rig_run(r, 3000000);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(stock(i), value);
    }
}

START_TEST(rights_of_a_lost_disk_come_back_to_its_node_once)
{
    begin_held();
    ck_assert_int_eq(update_one(HOLDER, take), 0);
    ck_assert_int_eq(give(HOLDER, 1, 2), 0);
    rig_run(r, 3000000);
    for (unsigned lost = 0; lost < 2; lost++) { /* so does the disk that took them over */
        replace();
        ck_assert_int_eq(update_one(HOLDER, take), ERR_NO_RIGHTS);
        rig_run(r, RETIRED_US);
        ck_assert_uint_eq(take_all(2), 0); /* they are nobody else's */
        ck_assert_int_eq(update_one(HOLDER, take), 0);
        rig_run(r, 3000000);
    }
    ck_assert_uint_eq(take_all(HOLDER), STOCK - 1 - 2 - 2);
    ck_assert_uint_eq(take_all(1), 2);
    check_all(0);
    end();
}
END_TEST

/* Node 2 alone knows that most of it was taken, and is away: what is left is 10 for all others. */
START_TEST(rights_stay_where_they_are_while_somebody_is_away_who_may_know_more)
{
    begin_held();
    rig_link(r, 1, 2, false);
    rig_link(r, 1, HOLDER, false);
    for (unsigned i = 0; i < 7; i++) {
        ck_assert_int_eq(update_one(HOLDER, take), 0);
    }
    rig_isolate(r, 2, true);
    rig_link(r, 1, HOLDER, true);
    lose_disk(r->nodes[HOLDER - 1].boot);
    rig_start(r, HOLDER);
    for (unsigned i = 0; i < 4; i++) {
        rig_run(r, RETIRED_US);
        ck_assert_int_ne(update_one(HOLDER, take), 0);
        ck_assert_uint_eq(take_all(1), 0);
    }
    rig_isolate(r, 2, false);
    wait_actor();
    rig_run(r, RETIRED_US);
    ck_assert_uint_eq(take_all(HOLDER), 3);
    check_all(0);
    end();
}
END_TEST

/* What it gave is known to who spent it, and to nobody else; these two cannot reach each other. */
START_TEST(so_they_come_back_with_peers_that_cannot_reach_each_other)
{
    begin_held();
    rig_link(r, 1, 2, false);
    rig_link(r, 1, HOLDER, false);
    ck_assert_int_eq(give(HOLDER, 2, 6), 0);
    rig_run(r, 3000000);
    ck_assert_uint_eq(take_all(2), 6);
    lose_disk(r->nodes[HOLDER - 1].boot);
    rig_link(r, 1, HOLDER, true);
    rig_start(r, HOLDER);
    wait_actor();
    for (unsigned i = 0; i < 3; i++) {
        rig_run(r, RETIRED_US);
        (void)update_one(HOLDER, take); /* it asks for what is missing */
    }
    rig_link(r, 1, 2, true);
    rig_run(r, RETIRED_US);
    unsigned left = (unsigned)stock(HOLDER);
    ck_assert_uint_le(left, 4);
    ck_assert_uint_eq(take_all(HOLDER), left);
    check_all(0);
    end();
}
END_TEST

/* Group 0 knows of more starts than an empty directory counts: nobody can tell it from a copy of
 * before, and the node ends. */
START_TEST(an_empty_disk_that_counts_its_starts_anew_is_fenced)
{
    begin_held();
    rig_stop(r, HOLDER);
    rig_start(r, HOLDER);
    wait_actor();
    lose_disk(0);
    rig_start(r, HOLDER);
    rig_run(r, 5000000);
    ck_assert(r->nodes[HOLDER - 1].stopped);
    ck_assert_int_eq(r->nodes[HOLDER - 1].stop_code, ERR_FENCED);
    rig_stop(r, HOLDER);
    ck_assert_uint_eq(take_all(1) + take_all(2), 0);
    ck_assert_int_eq(stock(1), STOCK);
    end();
}
END_TEST

/* ---- random lives --------------------------------------------------------------------------- */

struct life {
    struct rng rng;
    unsigned lost;  /* disks */
    unsigned taken; /* at the end of lives */
};

static struct life life;

static unsigned below(unsigned n)
{
    return (unsigned)rng_below(&life.rng, n);
}

/* Nobody reads less than none. */
static void check_bound(unsigned long long seed)
{
    for (unsigned i = 1; i <= 3; i++) {
        struct wire_node result;
        const struct top what = {.name = "stock", .types = {WIRE_CRDT_BOUNDED}};
        int64_t v = 0;
        if (r->nodes[i - 1].up && read_with(i, &plain, what, NULL, &result) == 0) {
            ck_assert_int_eq(wire_node_i64(wire_node_find(item_of(result, 0), "value"), &v), 0);
            ck_assert_msg(v >= 0, "seed %llu: node %u reads %lld", seed, i, (long long)v);
        }
    }
}

static void live(void)
{
    const struct topts hurry = {.deadline_ms = 300};
    unsigned i = 1 + below(3);
    const struct top back = ADD("stock", WIRE_CRDT_BOUNDED, 1);
    switch (below(8)) {
    case 0:
    case 1:
    case 2: (void)update(i, &hurry, &take, 1); break;
    case 3: (void)update(i, &hurry, &back, 1); break;
    case 4: (void)give(i, 1 + below(3), 1 + below(3)); break;
    case 5: rig_link(r, i, 1 + i % 3, below(2) == 0); break;
    case 6:
        if (below(3) == 0) {
            life.lost++;
            lose_disk(r->nodes[HOLDER - 1].boot);
            rig_start(r, HOLDER);
        }
        break;
    default: rig_run(r, below(4) == 0 ? RETIRED_US : below(2000000)); break;
    }
}

static void run(unsigned long long seed)
{
    rng_init(&life.rng, seed);
    begin_held();
    for (unsigned i = 0; i < 40; i++) {
        live();
        check_bound(seed);
    }
    for (unsigned i = 1; i <= 3; i++) {
        rig_link(r, i, 1 + i % 3, true);
    }
    wait_actor();
    rig_run(r, 3 * RETIRED_US);
    int64_t left = stock(1);
    unsigned taken = 0;
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 1; i <= 3; i++) {
            taken += take_all(i);
        }
        rig_run(r, 3 * RETIRED_US);
    }
    ck_assert_msg(taken == left, "seed %llu: %u of %lld could be taken", seed, taken,
                  (long long)left);
    life.taken += taken;
    check_all(0);
    end();
}

START_TEST(no_order_of_losses_and_partitions_takes_more_than_there_is)
{
    const char *given = getenv("HOLDFAST_HISTORIES");
    unsigned long long seed = unit_seed("ev_lost_holder", 1);
    unsigned count = given == NULL ? 12 : (unsigned)strtoul(given, NULL, 10);
    for (unsigned i = 0; i < count; i++) {
        run(seed + i);
    }
    printf("ev_lost_holder: seeds=%llu-%llu lost=%u taken=%u\n", seed, seed + count - 1, life.lost,
           life.taken);
    ck_assert_uint_ge(life.lost, count / 2);
    ck_assert_uint_ge(life.taken, count);
}
END_TEST

UNIT_MAIN("ev_lost_holder", rights_of_a_lost_disk_come_back_to_its_node_once,
          rights_stay_where_they_are_while_somebody_is_away_who_may_know_more,
          so_they_come_back_with_peers_that_cannot_reach_each_other,
          an_empty_disk_that_counts_its_starts_anew_is_fenced,
          no_order_of_losses_and_partitions_takes_more_than_there_is)
