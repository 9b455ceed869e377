/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A small world of replicas that make operations and merge, and what each must then read: the
 * specification (spec.c) is a function of the operations and of which happened before which alone,
 * and knows neither dots nor contexts nor joins.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_CRDT_WORLD_H
#define HOLDFAST_TESTS_UNIT_CRDT_WORLD_H

#include "crdt/crdt.h"

#include "base/rng.h"

#define WORLD_REPLICAS_MAX 5u
#define WORLD_OPS_MAX 64u
#define WORLD_LEAVES 3u
#define WORLD_VIEW_MAX 128u
#define WORLD_ELEMENTS 3u
#define WORLD_LIVES_MAX 3u /* epochs of one replica, one after another */

/* Where a value may lie: with nested false, the key itself; else m[a], m[m][b], and m[a] again with
 * another type. */
struct world_shape {
    uint8_t type;
    uint8_t other; /* type of the third leaf */
    bool nested;
    bool fences; /* bounded counters are fenced too: then epochs end */
};

enum world_target { WORLD_LEAF_0, WORLD_LEAF_1, WORLD_LEAF_2, WORLD_NOT_A_LEAF };

struct world_op {
    unsigned replica;
    unsigned leaf;        /* WORLD_NOT_A_LEAF: a removal of a field */
    unsigned choice;      /* of the leaf's alphabet, or of the fields */
    unsigned covers;      /* removal: leaves as bits */
    uint64_t past;        /* operations that happened before, as bits */
    uint64_t time_us;     /* LWW: as it came out */
    uint64_t overwrote;   /* LWW: what it replaced, by the specification */
    struct crdt_actor to; /* FENCE: who is over */
    uint64_t number;      /* FENCE: its last dot */
    int64_t took;         /* FENCE: what it still had, by the specification */
    struct crdt_dot dot;
    struct crdt_state delta;
    struct crdt_context before;
};

/* What all have agreed on about an actor: that it is over, and who alone may fence it. */
struct world_end {
    bool over;
    struct crdt_actor by; /* node 0: not agreed on yet */
    uint64_t last;        /* dot that it made */
};

struct world {
    struct world_shape shape;
    unsigned replicas;
    unsigned count;
    struct world_op ops[WORLD_OPS_MAX];
    struct crdt_state state[WORLD_REPLICAS_MAX];
    uint64_t known[WORLD_REPLICAS_MAX];
    unsigned life[WORLD_REPLICAS_MAX]; /* in which it is */
    struct world_end ends[WORLD_REPLICAS_MAX][WORLD_LIVES_MAX];
    struct alloc alloc;
};

/* What can be read, as numbers. */
struct world_view {
    unsigned count;
    int64_t v[WORLD_VIEW_MAX];
};

void world_init(struct world *w, struct world_shape shape, unsigned replicas);
void world_release(struct world *w);
/* returns: how many operations a replica may choose from. */
unsigned world_choices(const struct world_shape *shape);
/* Makes operation `choice` at the replica, and checks that what happens is what the specification
 * says. returns: whether it was an operation (else refused, or nothing to do). */
bool world_act(struct world *w, unsigned replica, unsigned choice);
/* The operation as the kernel gets it. */
void world_op_of(const struct world *w, const struct world_op *o, struct crdt_path *path,
                 struct crdt_op *op);
/* Takes back the last world_act that returned true. */
void world_forget(struct world *w, unsigned replica, struct crdt_state *old, uint64_t known);
void world_merge(struct world *w, unsigned to, unsigned from);
/* Delivers one delta if the causal condition allows it. */
bool world_deliver(struct world *w, unsigned to, unsigned op);
/* Aborts unless the replica reads what the specification says. */
void world_check(const struct world *w, unsigned replica);
void world_read(const struct world *w, const struct crdt_state *s, struct world_view *out);
void world_path(const struct world_shape *shape, unsigned leaf, struct crdt_path *path);
uint8_t world_leaf_type(const struct world_shape *shape, unsigned leaf);
/* The actor that a replica is in its first life, and in any. */
struct crdt_actor world_actor(unsigned replica);
struct crdt_actor world_life(unsigned replica, unsigned life);
/* How many lives there may be. */
unsigned world_lives(const struct world_shape *shape);
/* The letter of an operation at a leaf: verb and arguments. */
void world_letter(const struct world *w, const struct world_op *o, struct crdt_op *op);

/* The alphabet of a type: fills in verb and arguments. returns: false beyond its end. */
bool world_alphabet(uint8_t type, unsigned choice, unsigned replica, struct crdt_op *op);

/* ---- spec.c */
void spec_read(const struct world *w, uint64_t known, struct world_view *out);
/* Whether there is anything at the leaf. */
bool spec_present(const struct world *w, uint64_t known, unsigned leaf);
/* Whether the operation, made where `known` is, changes nothing. */
bool spec_idle(const struct world *w, uint64_t known, unsigned leaf, const struct crdt_op *op);
/* Whether a fence of the actor is known, and whose. */
bool spec_fenced(const struct world *w, uint64_t known, unsigned leaf, struct crdt_actor actor,
                 struct crdt_actor *by);
/* What an operation of a bounded counter must end with, other than that it is idle. */
int spec_bounded_expect(const struct world *w, const struct world_op *o, const struct crdt_op *op);
int64_t spec_rights(const struct world *w, uint64_t known, unsigned leaf, struct crdt_actor actor);
/* Sets time_us and overwrote of a LWW operation. */
void spec_lww(const struct world *w, struct world_op *o, uint64_t given_us);

/* Prints and ends the program: a property does not hold. */
#define WORLD_HOLDS(w, cond) ((cond) ? (void)0 : world_broken((w), #cond, __LINE__))
void world_broken(const struct world *w, const char *what, int line);
void world_seed(unsigned long long seed);

#endif
