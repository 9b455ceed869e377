/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Duels: contests for leadership, for what single faults hardly ever line up. Each new leader of
 * one group is cut off or killed, at once or after a while, and the one before it comes back; the
 * one that is cut off gets writes that it cannot commit, and reads. So logs get long tails of
 * different terms, entries lie with some of the nodes under later leaders (Ongaro and Ousterhout
 * 2014, figure 8), and there are two leaders for as long as the rules allow it.
 */
#include "base/num.h"
#include "tests/sim/sim.h"

#define SIM_DUEL_WAIT_US (6 * (uint64_t)SIM_S)

/* The newest leader of the group. returns: 0 if there is none. */
static uint32_t sim_duel_leader(const struct sim *s, uint32_t group, uint64_t *term)
{
    uint32_t leader = 0;
    *term = 0;
    for (uint32_t id = 1; id <= s->options.nodes; id++) {
        const struct sim_node *n = &s->nodes[id];
        for (unsigned i = 0; n->up && i < node_groups(n->node); i++) {
            struct node_group_view v;
            node_group_view_get(n->node, i, &v);
            if (v.group == group && v.is_leader && v.term > *term) {
                leader = id;
                *term = v.term;
            }
        }
    }
    return leader;
}

static void sim_duel_at(struct sim *s, uint64_t in_us)
{
    sim_push(s, &(struct sim_event){
                    .at_us = s->now_us + in_us, .kind = SIM_EV_DUEL, .a = ++s->duel.token});
}

static void sim_duel_end(struct sim *s)
{
    s->duel.stages = 0;
    s->duel.token++;
    if (rng_chance(&s->rng, 2, 3)) {
        sim_net_heal(s);
    }
}

void sim_duel_begin(struct sim *s)
{
    struct sim_duel *d = &s->duel;
    if (d->stages > 0 || s->options.nodes < 3) {
        return;
    }
    *d = (struct sim_duel){.stages = (unsigned)rng_between(&s->rng, 3, 8),
                           .group = (uint32_t)rng_between(&s->rng, 0, s->options.groups),
                           .quick = rng_chance(&s->rng, 1, 2),
                           .slow_disks = rng_chance(&s->rng, 1, 2),
                           .resets = rng_chance(&s->rng, 1, 2),
                           .token = d->token};
    s->counters.duels++;
    sim_net_heal(s);
    sim_duel_at(s, 1);
}

/* A leader was elected. */
void sim_duel_led(struct sim *s, struct sim_node *n, uint32_t group)
{
    struct sim_duel *d = &s->duel;
    if (d->stages == 0 || d->group != group) {
        return;
    }
    for (unsigned i = 1; d->slow_disks && i <= s->options.nodes; i++) {
        s->nodes[i].wal_slow_us = 0;
    }
    if (d->slow_disks && rng_chance(&s->rng, 1, 2)) {
        n->wal_slow_us = rng_between(&s->rng, 1, 200) * SIM_MS;
    }
    if (d->quick) {
        sim_duel_at(s, rng_chance(&s->rng, 1, 2) ? 0 : rng_between(&s->rng, 1, 40) * SIM_MS);
    } else {
        sim_duel_at(s, rng_between(&s->rng, 1, 1500) * SIM_MS);
    }
}

/* Cuts one node off; all other links are open. */
static void sim_duel_alone(struct sim *s, uint32_t alone)
{
    uint64_t how = rng_below(&s->rng, 6); /* mostly both ways */
    for (uint32_t a = 1; a <= s->options.nodes; a++) {
        for (uint32_t b = 1; b <= s->options.nodes; b++) {
            bool out = a == alone && how != 0;
            bool in = b == alone && how != 1;
            s->links[a][b].cut = a != b && (out || in);
            s->links[a][b].resets = s->duel.resets && b == alone;
        }
    }
    sim_net_refresh(s);
}

/* Some node that is neither of two. */
static uint32_t sim_duel_other(struct sim *s, uint32_t one, uint32_t two)
{
    uint32_t id = (uint32_t)rng_between(&s->rng, 1, s->options.nodes);
    for (unsigned i = 0; i < 3 && (id == one || id == two); i++) {
        id = id % s->options.nodes + 1;
    }
    return id;
}

static void sim_duel_stage(struct sim *s, uint32_t leader)
{
    struct sim_duel *d = &s->duel;
    struct sim_node *n = &s->nodes[leader];
    bool kill = rng_chance(&s->rng, 1, 3);
    uint32_t other = sim_duel_other(s, leader, d->victim);
    if (kill) {
        /* it comes back soon, and with it the one before; what it shared lies with the rest */
        sim_duel_alone(s, other);
        sim_crash(s, n);
        sim_push(s, &(struct sim_event){.at_us = s->now_us + rng_between(&s->rng, 1, 300) * SIM_MS,
                                        .kind = SIM_EV_RESTART,
                                        .node = leader});
    } else {
        sim_duel_alone(s, leader);
        if (rng_chance(&s->rng, 2, 3)) {
            sim_clients_burst(s, leader, (unsigned)rng_between(&s->rng, 1, 100));
        }
        sim_clients_turn(s, leader);
    }
    if (!kill && !d->quick && rng_chance(&s->rng, 1, 2)) {
        sim_clients_burst(s, other, (unsigned)rng_between(&s->rng, 1, 100));
    }
    d->victim = leader;
}

void sim_duel_fire(struct sim *s, const struct sim_event *ev)
{
    struct sim_duel *d = &s->duel;
    uint64_t term = 0;
    if (d->stages == 0 || ev->a != d->token) {
        return;
    }
    uint32_t leader = sim_duel_leader(s, d->group, &term);
    d->stages--;
    if (s->quiet || leader == 0 || term == d->term || d->stages == 0) {
        sim_duel_end(s);
        return;
    }
    d->term = term;
    sim_duel_stage(s, leader);
    sim_duel_at(s, SIM_DUEL_WAIT_US);
}
