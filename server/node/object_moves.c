/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where the shards of an extent belong, given who is out of the cluster and who can take more.
 * The same extent and nodes give the same answer; nothing here asks or changes anything.
 *
 *   lost      its holder is out: it does not count any more
 *   returned  its holder was out and is a member again: it gets the shard back
 *   stays     its home is out, but it lies with a member: that is its home from now on
 *   placed    its home is out: the node with the fewest shards of the extent, the first of these in
 *             the placement's order, if with all of them placed k shards lie outside the fullest
 *             node; else they wait
 *   spread    nothing is missing, and a node has two shards more than another: one goes there
 */
#include "server/node/objects_internal.h"

/* returns: the node's position; nodes->count if it is not among them. */
static unsigned node_moves_at(const struct node_moves_nodes *nodes, uint32_t id)
{
    unsigned i = 0;
    while (i < nodes->count && nodes->id[i] != id) {
        i++;
    }
    return i;
}

static bool node_moves_out(const struct node_moves_nodes *nodes, uint32_t id)
{
    unsigned i = node_moves_at(nodes, id);
    return i == nodes->count || nodes->out[i];
}

static bool node_moves_fit(const struct node_moves_nodes *nodes, uint32_t id)
{
    unsigned i = node_moves_at(nodes, id);
    return i < nodes->count && nodes->fit[i];
}

/* returns: whether k shards lie outside the fullest node once all are where they belong. */
static bool node_moves_rule(const struct node_extent *e, const uint32_t *homes)
{
    const struct erasure_commit rule = {.scheme = e->scheme,
                                        .durable = node_extent_all(e->scheme),
                                        .holders = homes,
                                        .deadline_passed = true};
    return erasure_commit_ok(&rule);
}

/* What lies with a member and may stay there does. */
static void node_moves_keep(const struct node_extent *e, const struct node_moves_nodes *nodes,
                            struct node_moves *m, unsigned s)
{
    uint32_t bit = 1u << s;
    bool durable = (e->durable & bit) != 0;
    bool ruled = node_moves_rule(e, m->to);
    if (node_moves_out(nodes, e->holder[s])) {
        m->lost |= e->durable & bit;
        return;
    }
    bool returned = !durable && node_moves_fit(nodes, e->holder[s]);
    bool stays = durable && node_moves_out(nodes, e->home[s]);
    if ((e->away & bit) != 0 && (returned || stays)) {
        m->to[s] = e->holder[s];
        m->to[s] = ruled && !node_moves_rule(e, m->to) ? e->home[s] : m->to[s];
    }
}

/* Shards of the extent at each node, but those in `without`. */
static void node_moves_loads(const struct node_extent *e, const struct node_moves_nodes *nodes,
                             const struct node_moves *m, uint32_t without, unsigned *load)
{
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    memset(load, 0, nodes->count * sizeof *load);
    for (unsigned s = 0; s < shards; s++) {
        unsigned at = node_moves_at(nodes, m->to[s]);
        if ((without >> s & 1u) == 0 && at < nodes->count) {
            load[at]++;
        }
    }
}

/* returns: the position of the fit node with the fewest shards; count if none is fit. */
static unsigned node_moves_least(const struct node_moves_nodes *nodes, const unsigned *load)
{
    unsigned best = nodes->count;
    for (unsigned i = 0; i < nodes->count; i++) {
        if (nodes->fit[i] && (best == nodes->count || load[i] < load[best])) {
            best = i;
        }
    }
    return best;
}

/* returns: whether all of `homeless` have found a place. */
static bool node_moves_place(const struct node_extent *e, const struct node_moves_nodes *nodes,
                             uint32_t homeless, struct node_moves *m)
{
    unsigned load[NODE_OBJECTS_PEERS_MAX];
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    node_moves_loads(e, nodes, m, homeless, load);
    for (unsigned s = 0; s < shards; s++) {
        if ((homeless >> s & 1u) == 0) {
            continue;
        }
        unsigned best = node_moves_least(nodes, load);
        if (best == nodes->count) {
            return false;
        }
        m->to[s] = nodes->id[best];
        load[best]++;
    }
    return e->scheme.m > 0 && node_moves_rule(e, m->to);
}

/* Moves one shard from a node that has two more than the emptiest: what doubled up while nodes were
 * out goes apart again. A shard whose own home in the placement's order is as empty comes first. */
static void node_moves_spread(const struct node_extent *e, const struct node_moves_nodes *nodes,
                              struct node_moves *m)
{
    unsigned load[NODE_OBJECTS_PEERS_MAX];
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    node_moves_loads(e, nodes, m, 0, load);
    unsigned least = node_moves_least(nodes, load);
    for (unsigned i = 0; i < 2 * shards && least < nodes->count; i++) {
        unsigned s = i % shards;
        unsigned own = s % nodes->count;
        unsigned at = node_moves_at(nodes, m->to[s]);
        bool can_own = nodes->fit[own] && load[own] == load[least];
        if (at < nodes->count && load[at] >= load[least] + 2 && (can_own || i >= shards)) {
            m->to[s] = nodes->id[can_own ? own : least];
            return;
        }
    }
}

bool node_moves_plan(const struct node_extent *e, const struct node_moves_nodes *nodes,
                     struct node_moves *m)
{
    unsigned shards = (unsigned)e->scheme.k + e->scheme.m;
    uint32_t homeless = 0;
    ASSERT(nodes->count > 0 && nodes->count <= NODE_OBJECTS_PEERS_MAX);
    *m = (struct node_moves){0};
    memcpy(m->to, e->home, sizeof m->to);
    for (unsigned s = 0; s < shards; s++) {
        node_moves_keep(e, nodes, m, s);
        homeless |= node_moves_out(nodes, m->to[s]) ? 1u << s : 0;
    }
    if (homeless != 0 && !node_moves_place(e, nodes, homeless, m)) {
        m->waiting = homeless;
        for (unsigned s = 0; s < shards; s++) {
            m->to[s] = (homeless >> s & 1u) != 0 ? e->home[s] : m->to[s];
        }
    }
    bool same = memcmp(m->to, e->home, shards * sizeof m->to[0]) == 0;
    if (homeless == 0 && same && m->lost == 0 && node_extent_missing(e) == 0 && e->scheme.m > 0) {
        node_moves_spread(e, nodes, m);
        same = memcmp(m->to, e->home, shards * sizeof m->to[0]) == 0;
    }
    return m->lost != 0 || !same;
}
