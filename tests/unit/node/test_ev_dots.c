/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * No dot is ever made twice (scenarios C1, C2, C3, C5, C7, C17, C40): random lives of a node whose
 * disk loses what was not synced, loses what was, goes back to an older copy, is empty, or is run
 * by two processes in turn. Group 0 is on another node; now and then both disks go back to older
 * copies, and what there was since is undone, group 0's too. Every dot that a client was told, and
 * every one that a peer has seen, is made once: no two writes add the same amount, so that a dot
 * made twice has two meanings. How often each of this was met by a write that went well is counted.
 *
 * A seed is one life after the other of one cluster, and depends on no other seed.
 */
#include "rig.h"
#include "server/node/eventual_self_internal.h"
#include "tests/sim/model_kv.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#define STEPS 14u
#define COPIES 3u
#define DOTS_MAX 4096u
#define VICTIM 2u

/* What became of the disk, or of the process, before a start. */
enum fate {
    FATE_LEFT = 0,
    FATE_CRASH,
    FATE_TORN,
    FATE_LOST_SYNC,
    FATE_RESTORE,
    FATE_WIPE,
    FATE_CLONE,
    FATE_SET_BACK
};
#define FATES (FATE_SET_BACK + 1)
static const char *const fate_names[FATES] = {"left",    "crash", "torn",  "lost_sync",
                                              "restore", "wipe",  "clone", "set_back"};

struct made {
    uint8_t region;
    uint32_t node;
    uint64_t epoch;
    uint64_t counter;
};

struct lives {
    struct rig *r;
    struct rng rng;
    unsigned long long seed;
    struct rig_dir copies[COPIES];
    struct rig_dir all[2]; /* of both nodes, of one moment */
    struct rig_dir lost; /* as it was at some moment of this life; all that was synced since goes */
    int64_t amount;      /* of the last write: each adds one more */
    enum fate fate;      /* of this start */
    unsigned met[FATES];
    struct made dots[DOTS_MAX];
    unsigned dots_count;
    uint64_t boot_highest;
    unsigned fenced, refused, acked, passed; /* what was met */
};

static struct lives lives;

static unsigned below(unsigned n)
{
    return (unsigned)rng_below(&lives.rng, n);
}

/* ---- directories ---------------------------------------------------------------------------- */

static void dir_empty(struct rig_dir *d)
{
    d->mem = mem_disk_new(&d->disk);
    ck_assert_int_eq(sim_kv_new(&d->kv, 1u << 30, &lives.r->heap), 0);
    ck_assert_int_eq(sim_kv_new(&d->seg_kv, 1u << 30, &lives.r->heap), 0);
    d->boot = lives.boot_highest; /* made again with the bundle of the cluster */
    d->there = true;
}

/* ---- writes --------------------------------------------------------------------------------- */

static void made_add(struct made new)
{
    for (unsigned i = 0; i < lives.dots_count; i++) {
        const struct made *m = &lives.dots[i];
        ck_assert_msg(m->region != new.region || m->node != new.node || m->epoch != new.epoch ||
                          m->counter != new.counter,
                      "seed %llu: dot (%u, %llu, %llu) of region %u was made twice", lives.seed,
                      new.node, (unsigned long long)new.epoch, (unsigned long long)new.counter,
                      new.region);
    }
    ck_assert_uint_lt(lives.dots_count, DOTS_MAX);
    lives.dots[lives.dots_count++] = new;
}

static void written(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct bytes_reader r = bytes_reader_of(reply);
    (void)n;
    if (ctx != &lives || code != 0) {
        lives.refused++;
        return;
    }
    lives.acked++;
    (void)bytes_take_u8(&r); /* copies */
    uint32_t by = bytes_take_u32(&r);
    (void)bytes_take(&r, bytes_take_u16(&r));
    ck_assert_uint_eq(bytes_take_u16(&r), 1);
    struct made m = {.region = bytes_take_u8(&r)};
    m.node = bytes_take_u32(&r); /* that of the victim, or of the one it passed the write on to */
    m.epoch = bytes_take_u64(&r);
    m.counter = bytes_take_u64(&r);
    ck_assert(!r.failed && m.node == by && (m.node == VICTIM || m.node == 1));
    lives.passed += m.node == 1;
    lives.met[lives.fate] += m.node == VICTIM;
    made_add(m);
}

static void write_one(void)
{
    struct rig *r = lives.r;
    char name[8];
    struct buf body;
    struct node_ev_op op = {.space = bytes_of_text("s")};
    (void)snprintf(name, sizeof name, "n%u", below(3));
    op.name = bytes_of_text(name);
    crdt_path_init(&op.path, CRDT_COUNTER);
    op.op = (struct crdt_op){.verb = CRDT_ADD, .amount = ++lives.amount};
    buf_init(&body, &r->heap, 4096);
    ck_assert_int_eq(node_ev_update_encode(&op, 1, r->now, &body), 0);
    struct node_cmd cmd = {.op = NODE_OP_EV_UPDATE, .body = buf_view(&body)};
    node_ev_write(r->nodes[VICTIM - 1].node, &cmd, 1, 10000, r->now + 100000, &lives, written);
    buf_release(&body);
}

/* ---- life ----------------------------------------------------------------------------------- */

/* Time passes by the clock that nodes write down; a process starts no oftener than once a second.
 */
static void clock_on(uint64_t us)
{
    for (unsigned i = 0; i < 2; i++) {
        lives.r->nodes[i].ahead_us += us;
    }
}

static void stop(void)
{
    struct rig_node *n = &lives.r->nodes[VICTIM - 1];
    if (n->up) {
        rig_stop(lives.r, VICTIM);
    }
    n->wal_held = false;
    lives.boot_highest = NUM_MAX(lives.boot_highest, n->boot);
}

/* Starts the victim, again if its boot number is an older start's, and mostly waits until it is an
 * actor. */
static void start(void)
{
    struct rig *r = lives.r;
    struct rig_node *n = &r->nodes[VICTIM - 1];
    struct crdt_actor actor;
    unsigned patience = below(5) == 0 ? below(20) : 100;
    r->salt++; /* another process, whatever its boot number */
    clock_on(1000000);
    rig_start(r, VICTIM);
    for (unsigned i = 0; i < patience && !node_ev_actor(n->node, &actor); i++) {
        rig_run(r, 4000);
        if (n->stopped) {
            lives.fenced++;
            stop();
            r->salt++;
            clock_on(1000000);
            rig_start(r, VICTIM);
        }
    }
}

static void leave(void)
{
    struct rig *r = lives.r;
    struct node_event ev = {
        .kind = NODE_EV_LEAVE, .now_us = r->now, .wall_us = r->now + r->nodes[VICTIM - 1].ahead_us};
    node_step(r->nodes[VICTIM - 1].node, &ev);
    rig_run(r, below(4) * 3000);
}

/* What was written and not answered: it may be on disk or not. */
static void torn(void)
{
    struct rig_node *n = &lives.r->nodes[VICTIM - 1];
    n->wal_held = true;
    write_one();
    rig_run(lives.r, 2000);
    if (n->up && n->batch != NULL && below(2) == 0) {
        ck_assert_int_eq(node_wal_run(n->batch, &n->env), 0);
    }
}

static void end_life(void)
{
    struct rig_node *n = &lives.r->nodes[VICTIM - 1];
    unsigned how = below(8);
    lives.fate = how < 3 ? FATE_LEFT : how == 3 ? FATE_TORN : FATE_CRASH;
    if (how < 3) {
        leave();
    } else if (how == 3) {
        torn();
    }
    stop();
    if (how >= 5) {
        mem_disk_crash(n->mem, &lives.rng, below(101));
    }
}

/* Both disks go back to where they were, longer ago than an orderly end counts. */
static void set_back(void)
{
    rig_stop(lives.r, 1);
    for (unsigned i = 0; i < 2; i++) {
        rig_dir_swap(lives.r, i + 1, &lives.all[i]);
        rig_dir_free(&lives.all[i]);
    }
    clock_on(NODE_EV_GOES_ON_US + 1);
    lives.r->salt++;
    rig_start(lives.r, 1);
    rig_run(lives.r, 20000);
    lives.fate = FATE_SET_BACK;
}

/* The disk is swapped with that of the directory. */
static void change_to(struct rig_dir *d, enum fate fate)
{
    if (d->there) {
        rig_dir_swap(lives.r, VICTIM, d);
        lives.fate = fate;
    }
}

static void change_disk(void)
{
    struct rig_dir *d = &lives.copies[below(COPIES)];
    switch (below(9)) {
    case 0:
    case 1: rig_dir_take(lives.r, VICTIM, d); break;
    case 2: /* an older copy is put back */
        change_to(d, FATE_RESTORE);
        rig_dir_free(d);
        break;
    case 3: /* the copy runs, and perhaps this one again later */ change_to(d, FATE_CLONE); break;
    case 4: /* synced, and yet gone; the number of the start is kept elsewhere and is not */
        lives.lost.boot = lives.r->nodes[VICTIM - 1].boot;
        change_to(&lives.lost, FATE_LOST_SYNC);
        break;
    case 5:
        if (below(3) == 0) {
            rig_dir_free(d);
            dir_empty(d);
            change_to(d, FATE_WIPE);
        }
        break;
    case 6:
    case 7:
        if (lives.all[0].there) {
            set_back();
        } else {
            rig_dir_take(lives.r, 1, &lives.all[0]);
            rig_dir_take(lives.r, 2, &lives.all[1]);
        }
        break;
    default: break;
    }
    rig_dir_free(&lives.lost);
}

static void live(void)
{
    struct rig *r = lives.r;
    unsigned writes = below(5);
    bool apart = below(6) == 0;
    start();
    if (apart) {
        rig_isolate(r, VICTIM, true);
    }
    for (unsigned i = 0; i < writes; i++) {
        if (!lives.lost.there && below(3) == 0) {
            rig_dir_take(lives.r, VICTIM, &lives.lost);
        }
        write_one();
        if (below(2) == 0) {
            rig_run(r, 3000);
        }
        if (below(8) == 0) {
            node_ev_doubt(r->nodes[VICTIM - 1].node, "test");
        }
    }
    rig_run(r, below(3) * 4000);
    end_life();
    if (apart) {
        rig_isolate(r, VICTIM, false);
    }
    change_disk();
}

/* ---- the rig -------------------------------------------------------------------------------- */

/* Two nodes; all groups of the cluster are on the first. */
static void begin(void)
{
    struct rig *r = rig_make(2);
    lives.r = r;
    r->wal_segment_bytes = 128u << 10;
    r->mute = true;
    r->flush_interval_us = 20000;
    r->limits.log_entries = 256;
    r->limits.memtable_bytes = 1u << 20;
    r->log_keep = 50;
    for (unsigned i = 0; i < 2; i++) {
        struct wire_identity *id = &r->nodes[i].identity;
        for (unsigned g = 0; g < id->groups_count; g++) {
            id->groups[g].voters_count = 1;
            id->groups[g].voters[0] = 1;
        }
    }
    clock_on(UINT64_C(1800000000000000));
    rig_start(r, 1);
    rig_run(r, 20000);
}

static void run(unsigned long long seed)
{
    lives.seed = seed;
    rng_init(&lives.rng, seed);
    lives.dots_count = 0;
    lives.amount = 0;
    lives.boot_highest = 0;
    lives.fate = FATE_LEFT;
    begin();
    for (unsigned i = 0; i < STEPS; i++) {
        live();
    }
    ck_assert_msg(lives.r->nodes[0].node->counters.ev_conflicts == 0,
                  "seed %llu: a peer has seen a dot with two meanings", seed);
    for (unsigned i = 0; i < COPIES; i++) {
        rig_dir_free(&lives.copies[i]);
    }
    rig_dir_free(&lives.all[0]);
    rig_dir_free(&lives.all[1]);
    rig_free(lives.r);
}

START_TEST(no_dot_is_made_twice)
{
    const char *given = getenv("HOLDFAST_HISTORIES");
    unsigned long long seed = unit_seed("ev_dots", 1);
    unsigned count = given == NULL ? 60 : (unsigned)strtoul(given, NULL, 10);
    for (unsigned i = 0; i < count; i++) {
        run(seed + i);
    }
    printf("ev_dots: seeds=%llu-%llu acked=%u passed=%u refused=%u fenced=%u", seed,
           seed + count - 1, lives.acked, lives.passed, lives.refused, lives.fenced);
    for (unsigned i = 0; i < FATES; i++) {
        printf(" %s=%u", fate_names[i], lives.met[i]);
    }
    printf("\n");
    ck_assert_uint_gt(lives.acked, count * 4);
    ck_assert_uint_gt(lives.passed, count / 2);
    ck_assert_uint_gt(lives.refused, count / 8);
    ck_assert_uint_gt(lives.fenced, count / 4);
    for (unsigned i = 0; i < FATES && count >= 60; i++) {
        ck_assert_msg(lives.met[i] > count / 4, "no write went well after %s", fate_names[i]);
    }
}
END_TEST

UNIT_MAIN("ev_dots", no_dot_is_made_twice)
