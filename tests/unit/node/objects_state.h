/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A group's state for tests of commands and questions on objects, without a node: records in
 * order, an additive digest, and the rule that a command touches only what it named.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_OBJECTS_STATE_H
#define HOLDFAST_TESTS_UNIT_NODE_OBJECTS_STATE_H

#include "base/hash.h"
#include "server/node/object_internal.h"

#define STATE_ROWS_MAX 512u

struct state_row {
    struct node_name name;
    struct buf value;
};

struct state {
    struct alloc alloc;
    unsigned count;
    struct state_row rows[STATE_ROWS_MAX];
    struct hash_digest digest;
    uint64_t revision;
    uint64_t log_time;
};

struct state *state_new(void);
void state_free(struct state *s);
/* Encodes and applies one command. reply may be NULL. returns: its code. */
int state_apply(struct state *s, uint8_t op, const struct node_object_cmd *c, struct buf *reply);
int state_apply_raw(struct state *s, uint8_t op, struct bytes body);
int state_ask(struct state *s, uint8_t op, const struct node_object_ask *a, struct buf *reply);
unsigned state_count(const struct state *s, enum node_key_kind kind);
bool state_has(const struct state *s, const struct node_name *name);
/* returns: the value; empty if there is none. */
struct bytes state_value(const struct state *s, const struct node_name *name);

#endif
