/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Decisions of group 0 about nodes, as whoever watches them would ask for: a node that has been
 * dead or paused for a while is out, one that is back is a member again. With faults, now and then
 * a node goes out that is well. Never asked for: never may a shard move.
 */
#include "base/num.h"
#include "server/node/control_internal.h"
#include "server/node/objects_internal.h"
#include "tests/sim/sim.h"

#define SIM_MEMBERS_EVERY_US (250u * SIM_MS)
#define SIM_MEMBERS_BACK_US ((uint64_t)SIM_S)

static void sim_members_at(struct sim *s)
{
    sim_push(
        s, &(struct sim_event){.at_us = s->now_us + SIM_MEMBERS_EVERY_US, .kind = SIM_EV_MEMBERS});
}

void sim_members_init(struct sim *s)
{
    if (s->options.out_us > 0) {
        sim_members_at(s);
    }
}

uint64_t sim_members_moved(const struct sim *s)
{
    uint64_t moved = 0;
    for (uint32_t id = 1; id <= s->options.nodes; id++) {
        if (s->nodes[id].up) {
            moved += node_objects_get(s->nodes[id].node)->counters.shards_moved;
        }
    }
    return moved;
}

uint64_t sim_members_starts(const struct sim *s)
{
    uint64_t starts = 0;
    for (uint32_t id = 1; id <= s->options.nodes; id++) {
        if (s->nodes[id].up) {
            starts += node_objects_get(s->nodes[id].node)->counters.repair_starts;
        }
    }
    return starts;
}

/* A node whose word counts: it leads group 0, or thinks so. returns: NULL if there is none. */
static struct sim_node *sim_members_leader(struct sim *s)
{
    for (uint32_t id = 1; id <= s->options.nodes; id++) {
        struct sim_node *n = &s->nodes[id];
        if (n->up && !n->paused && node_leads(n->node, 0)) {
            return n;
        }
    }
    return NULL;
}

static void sim_members_done(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    (void)ctx;
    (void)code;
    (void)reply;
}

static void sim_members_propose(struct sim *s, struct sim_node *at, uint32_t id, bool out)
{
    uint8_t body[NODE_ROSTER_CHANGE_BYTES];
    struct node_event tick = {.kind = NODE_EV_TICK};
    const struct node_roster_change c = {.node = id,
                                         .incarnation = 1,
                                         .boot = s->nodes[id].boot,
                                         .state = out ? NODE_MEMBER_OUT : NODE_MEMBER_IN,
                                         .pause_us = s->options.out_us};
    node_roster_change_encode(&c, body);
    const struct node_cmd cmd = {.op = NODE_OP_NODE_STATE, .body = bytes_of(body, sizeof body)};
    node_propose(at->node, 0, &cmd, node_now(at->node) + 2 * (uint64_t)SIM_S, NULL,
                 sim_members_done);
    sim_step_node(s, at, &tick);
    s->members.asked |= out;
}

/* returns: whether the node should be out, by how long it has been as it is. */
static bool sim_members_want(struct sim *s, uint32_t id, bool out)
{
    struct sim_members *m = &s->members;
    const struct sim_node *n = &s->nodes[id];
    bool well = n->up && !n->paused;
    if (well != m->well[id]) {
        m->well[id] = well;
        m->since_us[id] = s->now_us;
    }
    uint64_t long_us = s->now_us - m->since_us[id];
    if (well && !out && s->options.faults && !s->quiet) {
        return rng_chance(&s->rng, 1, 400); /* a mistake */
    }
    if (well) {
        return out && long_us < SIM_MEMBERS_BACK_US;
    }
    return out || long_us >= s->options.out_us;
}

void sim_members_fire(struct sim *s)
{
    struct sim_node *leader = sim_members_leader(s);
    if (!s->members.asked && sim_members_moved(s) > 0) {
        sim_fail(s, "moved-unasked", "a shard has moved, and no node was ever out");
    }
    for (uint32_t id = 1; id <= s->options.nodes && leader != NULL && leader->up; id++) {
        bool out = node_member_out(leader->node, id);
        bool want = sim_members_want(s, id, out);
        if (want != out) {
            sim_members_propose(s, leader, id, want);
        }
    }
    sim_members_at(s);
}
