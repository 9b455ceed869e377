/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replicas of eventual mode without nodes: each a table of records that the operations of the own
 * group work on, with what they noted for peers. Whatever an operation touches it must have named.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_EV_RIG_H
#define HOLDFAST_TESTS_UNIT_NODE_EV_RIG_H

#include "server/node/eventual_ops_internal.h"
#include "server/node/eventual_retire_internal.h"

#define EV_NOTES_MAX 4096u
#define EV_REPLICAS_MAX 5u

struct ev_row {
    bool present;
    struct buf value;
};
struct ev_note {
    bool local;
    uint8_t region;
    struct buf fragment;
};
struct ev_replica {
    struct node_ev_store store;
    struct node_ev_names names; /* of rows */
    struct ev_row *rows;
    uint32_t rows_cap;
    struct node_ev_scope *scope; /* of the command under way */
    struct node_ev_region regions[NODE_EV_REGIONS];
    struct ev_note notes[EV_NOTES_MAX];
    unsigned notes_count;
    unsigned conflicts;
    unsigned doubts;
    unsigned losses; /* of dots of former actors */
    unsigned gets;   /* of the last command */
    unsigned puts;
    unsigned unknown; /* seek does not know one name of so many; 0: it knows all */
    unsigned puts_at; /* of all commands: of records that were not named */
    struct buf reply;
    struct buf body;
};

struct ev_replica *ev_new(uint32_t node, uint64_t epoch);
void ev_free(struct ev_replica *r);
/* Gives the replica another actor; 0: none. */
void ev_epoch(struct ev_replica *r, uint64_t epoch);
/* Records may have gone. */
void ev_mark(struct ev_replica *r, uint64_t mark);
/* One command of these operations; hints are made for those that need them. */
int ev_update(struct ev_replica *r, struct node_ev_op *ops, unsigned count, uint64_t wall_us);
/* One command of these fragments. */
int ev_join(struct ev_replica *r, const struct bytes *fragments, unsigned count);
/* Drops the removals in stable from every record of the region. returns: records changed. */
unsigned ev_drop(struct ev_replica *r, uint8_t region, const struct crdt_context *stable);
/* Folds the epochs of a node below row->below in one region, if all that the row has was seen. */
int ev_fold(struct ev_replica *r, uint32_t node, const struct node_ev_retired *row);
/* returns: the last note's fragment. */
struct bytes ev_last(const struct ev_replica *r);
/* A page with the records of `from` that tell something that `to` has not seen, in parts; all: with
 * every record. Calls ev_join for `parts` of them; the last of all_parts has LAST.
 * returns: the first error. */
struct ev_pages {
    uint8_t region;
    unsigned parts;     /* that are sent */
    unsigned all_parts; /* that there are */
    bool all;
    uint8_t flags;
    uint64_t asked_under; /* mark of `to` then; 0: the one it has */
};
int ev_pages(struct ev_replica *to, const struct ev_replica *from, const struct ev_pages *how);
/* Loads what lies at a key. s: initialised. */
void ev_read(const struct ev_replica *r, const char *name, struct crdt_state *s);
void ev_key(const char *name, struct buf *key);
/* returns: the value of a row by its full name; empty: none. */
struct bytes ev_row(const struct ev_replica *r, struct bytes name);
/* Aborts unless the digest, the counts of types and the contexts are what the records say. */
void ev_check(const struct ev_replica *r, uint8_t region);
/* returns: whether both hold the same entries, removals left out if so wished. */
bool ev_same(const struct ev_replica *a, const struct ev_replica *b, bool removals);

#endif
