/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What goes wrong. Every few hundred milliseconds to seconds one fault is drawn; nodes that died
 * come back after a while. Only one node of a run suffers bit rot, so that no entry rots on all
 * its holders.
 */
#include "base/num.h"
#include "tests/sim/sim.h"

static void sim_faults_next(struct sim *s)
{
    uint64_t in =
        rng_chance(&s->rng, 1, 4) ? rng_between(&s->rng, 20, 400) : rng_between(&s->rng, 400, 6000);
    sim_push(s, &(struct sim_event){.at_us = s->now_us + in * SIM_MS, .kind = SIM_EV_FAULT});
}

void sim_faults_init(struct sim *s)
{
    if (s->options.faults) {
        sim_faults_next(s);
    }
}

static struct sim_node *sim_faults_node(struct sim *s)
{
    return &s->nodes[rng_between(&s->rng, 1, s->options.nodes)];
}

static void sim_faults_crash(struct sim *s, struct sim_node *n)
{
    if (!n->up) {
        return;
    }
    sim_crash(s, n);
    uint64_t in =
        rng_chance(&s->rng, 1, 3) ? rng_between(&s->rng, 1, 50) : rng_between(&s->rng, 50, 6000);
    sim_push(s, &(struct sim_event){
                    .at_us = s->now_us + in * SIM_MS, .kind = SIM_EV_RESTART, .node = n->id});
}

static void sim_faults_pause(struct sim *s, struct sim_node *n)
{
    if (!n->up || n->paused) {
        return;
    }
    s->counters.pauses++;
    n->paused = true;
    sim_push(s, &(struct sim_event){.at_us = s->now_us + rng_between(&s->rng, 50, 8000) * SIM_MS,
                                    .kind = SIM_EV_RESUME,
                                    .node = n->id,
                                    .life = n->life});
}

/* Cuts links: a random split, one node off, or single directions. */
static void sim_faults_partition(struct sim *s)
{
    uint64_t how = rng_below(&s->rng, 4);
    uint64_t side = rng_next(&s->rng);
    uint32_t alone = sim_faults_node(s)->id;
    s->counters.partitions++;
    for (uint32_t a = 1; a <= s->options.nodes; a++) {
        for (uint32_t b = 1; b <= s->options.nodes; b++) {
            bool cut = false;
            switch (how) {
            case 0: cut = ((side >> a) & 1) != ((side >> b) & 1); break;
            case 1: cut = a == alone || b == alone; break;
            case 2: cut = a == alone; break; /* it hears and is not heard */
            default: cut = rng_chance(&s->rng, 1, 3); break;
            }
            s->links[a][b].cut = a != b && cut;
        }
    }
    sim_net_refresh(s);
}

static void sim_faults_network(struct sim *s)
{
    s->loss_ppm = (uint32_t)rng_below(&s->rng, 200000);
    s->duplicate_ppm = (uint32_t)rng_below(&s->rng, 100000);
    s->reorder_ppm = (uint32_t)rng_below(&s->rng, 300000);
    struct sim_node *from = sim_faults_node(s);
    struct sim_node *to = sim_faults_node(s);
    if (from != to) {
        s->links[from->id][to->id].clog_until_us =
            s->now_us + rng_between(&s->rng, 10, 3000) * SIM_MS;
    }
}

/* Rot of a log, or of shards: anywhere, or in what was written last. Often the node, or another,
 * dies soon after. */
static void sim_faults_rot(struct sim *s)
{
    struct sim_node *n = &s->nodes[1 + s->options.seed % s->options.nodes];
    struct sim_spot spot;
    bool seg = s->options.k > 0 && rng_chance(&s->rng, 1, 2);
    uint64_t recent = rng_chance(&s->rng, 2, 3) ? rng_between(&s->rng, 1, 32u << 10) : 0;
    if (!s->options.rot || s->options.nodes < 3 || (!seg && n->log_rot_life == n->life) ||
        !sim_disk_rot(n->disk, &s->rng, seg ? "seg/" : "wal/seg-", recent, &spot)) {
        return;
    }
    s->counters.rots++;
    n->rotted = n->rotted || seg;
    n->log_rot_life = seg ? n->log_rot_life : n->life;
    n->log_rots += !seg;
    if (s->options.verbose) {
        (void)fprintf(stderr, "event=sim_rot node=%u file=%s offset=%llu bytes=%llu\n", n->id,
                      spot.name, (unsigned long long)spot.offset, (unsigned long long)spot.bytes);
    }
    sim_faults_crash(s, rng_chance(&s->rng, 2, 3) ? n : sim_faults_node(s));
}

static void sim_faults_disk(struct sim *s, struct sim_node *n)
{
    switch (rng_below(&s->rng, 3)) {
    case 0:
        sim_disk_fail_sync(n->disk);
        s->counters.sync_failures++;
        break;
    case 1: n->wal_slow_us = rng_between(&s->rng, 1, 3000) * SIM_MS; break;
    default:
        sim_disk_set_full(n->disk, true);
        s->counters.full_disks++;
        break;
    }
}

/* The time that a node writes down jumps by up to a minute (scenario C12). */
static void sim_faults_clock(struct sim *s, struct sim_node *n)
{
    n->wall_offset_us = (int64_t)rng_below(&s->rng, 120 * (uint64_t)SIM_S) - 60 * (int64_t)SIM_S;
}

static void sim_faults_calm(struct sim *s)
{
    sim_net_heal(s);
    for (unsigned i = 1; i <= s->options.nodes; i++) {
        s->nodes[i].wal_slow_us = 0;
        sim_disk_set_full(s->nodes[i].disk, false);
    }
}

static void sim_faults_draw(struct sim *s)
{
    struct sim_node *n = sim_faults_node(s);
    uint64_t dice = rng_below(&s->rng, 100);
    if (dice < 20) {
        sim_faults_crash(s, n);
    } else if (dice < 24) {
        for (unsigned i = 1; i <= s->options.nodes; i++) {
            sim_faults_crash(s, &s->nodes[i]);
        }
    } else if (dice < 34) {
        sim_faults_pause(s, n);
    } else if (dice < 46) {
        sim_duel_begin(s);
    } else if (dice < 58) {
        sim_faults_partition(s);
    } else if (dice < 66) {
        sim_faults_network(s);
    } else if (dice < 74) {
        sim_faults_rot(s);
    } else if (dice < 82) {
        sim_faults_disk(s, n);
    } else {
        sim_faults_calm(s);
    }
    if (s->options.eventual && rng_chance(&s->rng, 1, 3)) {
        sim_faults_clock(s, n);
    }
    sim_faults_next(s);
}

/* A node asked to be stopped: its disk failed, or its own log, that nobody has a copy of, was
 * damaged while it ran (it comes back and reads again). */
static void sim_faults_stop(struct sim *s, const struct sim_event *ev)
{
    struct sim_node *n = &s->nodes[ev->node];
    int code = (int)(int64_t)ev->a;
    if (!n->up || ev->life != n->life) {
        return;
    }
    bool rotted = code == ERR_CORRUPT && n->log_rot_life == n->life;
    if (code != ERR_IO && !rotted) {
        sim_fail(s, "stop", "node %u stopped itself: %s", n->id, err_name(code));
        return;
    }
    sim_faults_crash(s, n);
}

void sim_faults_fire(struct sim *s, struct sim_event *ev)
{
    struct sim_node *n = &s->nodes[ev->node];
    if (ev->kind == SIM_EV_RESTART) {
        if (!n->up) {
            sim_start(s, n);
        }
    } else if (ev->kind == SIM_EV_RESUME) {
        if (n->life == ev->life) {
            n->paused = false;
        }
    } else if (ev->node != 0) {
        sim_faults_stop(s, ev);
    } else if (!s->quiet) {
        sim_faults_draw(s);
    }
}

void sim_faults_end(struct sim *s)
{
    sim_faults_calm(s);
    for (unsigned i = 1; i <= s->options.nodes && !s->failed; i++) {
        s->nodes[i].paused = false;
        if (!s->nodes[i].up) {
            sim_start(s, &s->nodes[i]);
        }
    }
}
