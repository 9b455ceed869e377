/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of epochs that are over share: nodes that crash, and contexts that fold.
 *
 * threads: one owner.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_EV_FOLDS_H
#define HOLDFAST_TESTS_UNIT_NODE_EV_FOLDS_H

#include "ev_nodes.h"
#include "server/node/control_internal.h"
#include "server/node/eventual_retire_internal.h"
#include "server/node/eventual_self_internal.h"
#include "tests/unit/unit.h"

#include <check.h>

#define SETTLE_US 15000000u /* to retire, record and fold */

static inline struct rig *begin(unsigned nodes)
{
    struct rig *r = rig_new(nodes);
    ck_assert(ev_ready(r));
    return r;
}

/* A crash, and another epoch. */
static inline void crash(struct rig *r, unsigned i)
{
    rig_stop(r, i);
    rig_start(r, i);
    ck_assert(ev_ready(r));
}

/* The node comes back with the other disk; the one it had is in d then. */
static inline void crash_with(struct rig *r, unsigned i, struct rig_dir *d)
{
    rig_stop(r, i);
    rig_dir_swap(r, i, d);
    rig_start(r, i);
}

static inline const struct crdt_context *seen(struct rig *r, unsigned i, const char *name)
{
    return &node_ev_region_get(ev_node(r, i), ev_region(name))->seen;
}

/* returns: how many ranges node i has of that node's dots, with those of folded epochs. */
static inline unsigned ranges_of(struct rig *r, unsigned i, const char *name, uint32_t node,
                                 bool *folded)
{
    const struct crdt_context *c = seen(r, i, name);
    unsigned count = 0;
    *folded = false;
    for (size_t k = 0; k < c->count; k++) {
        count += c->ranges[k].actor.node == node;
        *folded =
            *folded || (c->ranges[k].actor.node == node && c->ranges[k].actor.epoch == CRDT_FOLDED);
    }
    return count;
}

static inline bool folded_at(struct rig *r, unsigned i, const char *name, uint32_t node)
{
    bool folded = false;
    (void)ranges_of(r, i, name, node, &folded);
    return folded;
}

#endif
