/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode in the nodes of rig.h, below the client's interface: operations, states and
 * contexts of regions.
 *
 * threads: one owner.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_EV_NODES_H
#define HOLDFAST_TESTS_UNIT_NODE_EV_NODES_H

#include "rig.h"
#include "server/node/eventual_peers_internal.h"

/* How a write ended. */
struct ev_done {
    bool ended;
    int code;
    unsigned copies;
};

/* Runs until every node that is up may make dots. */
bool ev_ready(struct rig *r);
/* Begins one operation on a key of space "s" at node i. copies: as of node_ev_write. */
void ev_begin(struct rig *r, unsigned i, const char *name, enum crdt_type type,
              const struct crdt_op *op, unsigned copies, struct ev_done *done);
/* The same at a path. */
void ev_begin_at(struct rig *r, unsigned i, const char *name, const struct crdt_path *path,
                 const struct crdt_op *op, unsigned copies, struct ev_done *done);
/* The same, run to its end, for two copies; value: of a set or register. returns: its code. */
int ev_do(struct rig *r, unsigned i, const char *name, enum crdt_type type,
          const struct crdt_op *op);
int ev_add(struct rig *r, unsigned i, const char *name, int64_t amount); /* PN_COUNTER */
int ev_set(struct rig *r, unsigned i, const char *name, enum crdt_verb verb, const char *element);
/* Adds to the PN counter in that field of a map. */
int ev_field_add(struct rig *r, unsigned i, const char *name, const char *field, int64_t amount);
/* Adds 1 to each of the PN counters prefix<from> up to below prefix<to>, 250 a command. */
void ev_fill(struct rig *r, unsigned i, const char *prefix, unsigned from, unsigned to);
/* What node i has under a key. s: initialised, empty. */
void ev_state(struct rig *r, unsigned i, const char *name, struct crdt_state *s);
int64_t ev_count(struct rig *r, unsigned i, const char *name);
int64_t ev_field_count(struct rig *r, unsigned i, const char *name, const char *field);
/* returns: whether the register (LWW or MV) has this value in sight and no other. */
bool ev_is(struct rig *r, unsigned i, const char *name, enum crdt_type type, const char *value);
bool ev_has(struct rig *r, unsigned i, const char *name, const char *element);
/* Removals in the records of a key at node i. */
unsigned ev_removals(struct rig *r, unsigned i, const char *name);
/* returns: whether all nodes that are up have equal hashes of all regions. */
bool ev_same(struct rig *r);
/* Runs until then. returns: whether it came within us. */
bool ev_converge(struct rig *r, uint64_t us);
/* Joins a fragment into the own group of node i, as nothing but a test does. */
int ev_join(struct rig *r, unsigned i, struct bytes fragment);
uint8_t ev_region(const char *name);
struct node *ev_node(struct rig *r, unsigned i);

#endif
