/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode in a node: replicated data types that every node reads and writes during any
 * partition. The kernel is crdt/; this is where its states lie, travel and are asked for.
 *
 * REGIONS. A key (a space and a name) belongs to one of 64 regions, by its slot. Each region is a
 * replicated data type of its own: its dots count apart (an actor's counters have no gaps in it),
 * and one context says what a node has seen of it. Its owners are the first nodes of the placement
 * list of that number, five at most. A node that is no owner and reaches none takes writes too and
 * hands them over.
 *
 * THE OWN GROUP. What a node holds of all regions is the state of a group whose only voter is the
 * node itself (NODE_GROUP_OWN): log, apply, memtable, flush, sessions with stored replies and
 * recovery are those of every other group, so that value, context, counters and session change in
 * one step, and a dot is on disk before anybody hears of it. Nothing of the group is compared
 * between nodes, but its regions are.
 *
 *   EV_SELF    one                       which actor this node is: eventual_self.c
 *   EV_REGION  region u8                 its context, clock and digest
 *   EV_RECORD  region u8, u16be length, key, record key of the kernel
 *                                        live entries; removals not yet known to all owners
 *
 * A key is u16be length, space, name. A record is read and written on its own, whatever the size of
 * the set around it.
 *
 * FRAGMENTS. What travels: a set of dots `seen` and, for every record that these dots touched or
 * may have touched, all its live entries. Joining a record from a node that had seen `theirs` into
 * one's own, having seen `mine`:
 *     keep an own entry unless its dot is in theirs and not in the record that came;
 *     take an entry that came unless its dot is in mine (and not live here).
 * The delta of an operation is a fragment (seen: its dot and those it replaced); a page of a
 * region is one too (seen: the sender's context), which is how a node catches up.
 *
 * A write: node_ev_write turns operations into one NODE_OP_EV_UPDATE of the own group. Its apply
 * makes the dots and the deltas, changes the records, and notes the fragment for the peers
 * (node_ev_note). eventual_push.c sends what was noted to the other owners, in order, one message
 * at a time each; a receiver joins it with NODE_OP_EV_JOIN and answers once that is applied, hence
 * durable. If it lacks what was seen before (crdt_may_join), it catches up instead
 * (eventual_sync.c). A removal stays in its record until every owner has seen its dot.
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_EVENTUAL_INTERNAL_H
#define HOLDFAST_SERVER_NODE_EVENTUAL_INTERNAL_H

#include "crdt/crdt.h"
#include "server/node/service_internal.h"

#define NODE_EV_REGIONS 64u /* never changes: keys are on disk by region */
#define NODE_EV_OWNERS_MAX 5u
#define NODE_EV_OPS_MAX 256u            /* of one write */
#define NODE_EV_FRAGMENT_MAX (1u << 20) /* encoded; of one message */

/* ---- names (eventual_record.c) ----------------------------------------------------------------
 */

/* returns: the region of a key: its space and name as one; by the slot of the name, or of its
 * {tag}. */
uint8_t node_ev_region(struct bytes name);
/* Appends u16be length, space, name. returns: 0, ERR_BAD_NAME, ERR_TOO_LARGE. */
int node_ev_key(struct bytes space, struct bytes name, struct buf *key);
/* Appends the name of a record, or of the first with this prefix of a kernel key.
 * returns: 0, ERR_TOO_LARGE beyond NODE_NAME_BYTES_MAX. */
int node_ev_record_name(uint8_t region, struct bytes key, struct bytes record_key,
                        struct buf *name);
/* Takes a record's name apart; views into name. returns: 0 or ERR_CORRUPT. */
int node_ev_record_parts(struct bytes name, uint8_t *region, struct bytes *key,
                         struct bytes *record_key);
void node_ev_region_name(uint8_t region, uint8_t into[2]);

/* ---- records ----------------------------------------------------------------------------------
 */

/* EV_REGION: format u8, time u64 (latest of any write seen, microseconds), digest low u64, high u64
 * (of the entries of its records), context as the kernel encodes it. */
struct node_ev_region {
    uint64_t time_us;
    struct hash_digest digest;
    struct crdt_context seen;
};
/* raw empty: a region nothing was ever written to. out->seen: initialised, empty. */
int node_ev_region_decode(struct bytes raw, struct node_ev_region *out);
int node_ev_region_encode(const struct node_ev_region *r, struct buf *out);
/* What owners compare: equal contexts and equal entries, and only they, have equal hashes. */
struct hash_digest node_ev_region_hash(const struct node_ev_region *r);

#define NODE_EV_FORMAT 1u /* of EV_RECORD */
/* EV_RECORD: format u8, entries u32 [node u32, epoch u64, counter u64, payload u32 length],
 * removals u32 [node u32, epoch u64, counter u64]; both by dot, so equal records are equal bytes.
 */
struct node_ev_entry {
    struct crdt_dot dot;
    struct bytes payload;
};
struct node_ev_cursor {
    struct bytes_reader r;
    uint32_t left;
};
/* returns: 0 or ERR_CORRUPT. raw empty: no record. */
int node_ev_record_begin(struct bytes raw, struct node_ev_cursor *entries,
                         struct node_ev_cursor *removals);
bool node_ev_record_entry(struct node_ev_cursor *entries, struct node_ev_entry *out);
bool node_ev_record_removal(struct node_ev_cursor *removals, struct crdt_dot *out);
/* Adds a stored record's entries to a kernel state, as its record `record_key`, whatever the
 * state's context says. For reading and for making deltas. */
int node_ev_record_load(struct crdt_state *s, struct bytes record_key, struct bytes raw);

/* ---- fragments (eventual_fragment.c) ------------------------------------------------------------
 * Encoded: format u8, region u8, flags u8, time u64, of LAST a mark u64, u32 length, context
 * `before` (what the sender had seen of the region when it made this; empty in a page), u32 length,
 * context `seen`, records u32, each: key u16 length, record key u16 length, u32 length of its
 * EV_RECORD value. */

enum {
    NODE_EV_PAGE = 1,    /* one of several: seen is for judging the records, not to be added yet */
    NODE_EV_LAST = 2,    /* of the pages: seen is added to the context */
    NODE_EV_RESTORE = 4, /* records that were lost here: own contexts do not count against them */
};
struct node_ev_fragment {
    uint8_t region;
    uint8_t flags;
    uint64_t time_us;
    uint64_t mark; /* of LAST: that of EV_SELF when the first page was asked for; under another one
                      what came may be gone again, and it is refused */
    struct crdt_context before;
    struct crdt_context seen;
    struct bytes records; /* view: what follows in the encoding */
    uint32_t records_count;
};
void node_ev_fragment_init(struct node_ev_fragment *f, const struct alloc *alloc);
void node_ev_fragment_release(struct node_ev_fragment *f);
/* From outside: everything is checked, records included. f: initialised; views into v.
 * returns: 0, ERR_PROTOCOL, ERR_TOO_LARGE, ERR_LEVEL, ERR_NO_MEMORY. */
int node_ev_fragment_decode(struct node_ev_fragment *f, struct bytes v);
/* Everything before the records; the caller appends them with node_ev_fragment_record. */
int node_ev_fragment_head(const struct node_ev_fragment *f, struct buf *out);
int node_ev_fragment_record(struct bytes key, struct bytes record_key, struct bytes value,
                            struct buf *out);
struct node_ev_fragment_cursor {
    struct bytes_reader r;
    uint32_t left;
};
void node_ev_fragment_begin(const struct node_ev_fragment *f, struct node_ev_fragment_cursor *c);
/* The same for one that was made or decoded here: nothing in it is checked again. */
void node_ev_fragment_walk(struct bytes fragment, struct node_ev_fragment_cursor *c);
bool node_ev_fragment_next(struct node_ev_fragment_cursor *c, struct bytes *key,
                           struct bytes *record_key, struct bytes *value);

/* ---- writes (eventual_write.c) ------------------------------------------------------------------
 * NODE_OP_EV_UPDATE body: wall time u64, operations u16, each: space u16, name u16, path (count u8,
 * types, names u16), verb u8, value u32, amount i64, to (node u32, epoch u64), number u64, hints
 * u16 [record key u16]. All are applied or none is. Reply: the token of what was written and, for
 * each operation, whether it changed anything: node_ev_written. */
struct node_ev_op {
    struct bytes space;
    struct bytes name;
    struct crdt_path path;
    struct crdt_op op; /* its dot and time are made when it is applied */
    struct buf *hints; /* u16 length, record key...: the records under the path that were there,
                          for operations on a prefix (node_ev_op_needs_hints); NULL: none */
};
/* returns: whether the operation touches more records than the one its path names: removal of a
 * map's field, anything on a bounded counter. The caller has these named first, by
 * NODE_QUERY_EV_NAMES, and lets one such operation a key be under way at a time. */
bool node_ev_op_needs_hints(const struct node_ev_op *op);
/* Appends to hints the account that an operation on a bounded counter writes, which is not there
 * before the first; of other types nothing. self: who this node is. */
int node_ev_op_accounts(const struct node_ev_op *op, struct crdt_actor self, struct buf *hints);
/* Appends the body. returns: 0, ERR_INVALID, ERR_TOO_LARGE, ERR_BAD_NAME. */
int node_ev_update_encode(const struct node_ev_op *ops, unsigned count, uint64_t wall_us,
                          struct buf *out);

/* Reply of UPDATE: operations u16 [changed u8], regions u16 [region u8, node u32, epoch u64,
 * counter u64 (the last dot made there)]. */

/* Applies an UPDATE or JOIN whose records were not named, if all of them turn out to be in memory
 * and it is one that is made without more ado. returns: false: nothing was done. */
bool node_ev_try(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply, int *code);

/* Applies operations here and has them copied. copies: on how many nodes it is to be durable, this
 * one counted; done is called once that many have it, or when copies_us passed, or no other owner
 * can be reached; code 0, and reply = copies u8, node u32 (whose actor made the dots), then the
 * reply of UPDATE. Refusals as
 * node_propose. cmd: session and principal; op and body are set here.
 * ERR_UNAVAILABLE: this node has no actor yet (group 0 was not reached since its start), or holds a
 * region of it, and no other owner can be asked. */
void node_ev_write(struct node *n, const struct node_cmd *cmd, unsigned copies, uint64_t copies_us,
                   uint64_t deadline_us, void *ctx, node_done_fn *done);

/* ---- who this node is (eventual_self.c)
 * ---------------------------------------------------------- EV_SELF: format u8, boot u64, nonce
 * u64, epoch u64, next u64, end u64 (block granted by group 0 to this start), clean u8, and more.
 * NODE_OP_EPOCHS of group 0 grants blocks of 16 to a start (node, boot, nonce) that it has
 * recorded. NODE_OP_EV_START{boot, nonce, first, end}: a new epoch, or, after NODE_OP_EV_STOP (an
 * orderly end) by the start before, the old one goes on. NODE_OP_EV_DOUBT{epoch}: if that is the
 * epoch, the next of the block. */
/* 4: without `knows`; 3: without what follows `mending`; 2: without it; 1: without what follows
 * `since`. */
#define NODE_EV_SELF_FORMAT 5u
/* returns: whether this start may make dots; *actor is who it is. */
bool node_ev_actor(const struct node *n, struct crdt_actor *actor);
/* returns: whether all that is wanted was seen here, and is of this cluster's history. */
bool node_ev_region_met(const struct node *n, uint8_t region, const struct crdt_context *wanted);
/* returns: whether group 0 ever granted this actor its epoch, as far as this node has heard. Of
 * another node's it may have heard late. */
bool node_ev_granted(const struct node *n, struct crdt_actor actor);
/* What was read of own dots cannot be trusted, or somebody else has used them. */
void node_ev_doubt(struct node *n, const char *why);

/* ---- what apply tells (eventual_push.c)
 * ---------------------------------------------------------- Called by apply for everything new in
 * a region, with its encoded fragment. local: made here, to be pushed; else it came from a peer. */
void node_ev_note(struct node *n, uint8_t region, bool local, struct bytes fragment);
/* Some of the region was damaged and is gone; its context says so. */
void node_ev_quarantined(struct node *n, uint8_t region);
/* The region's record changed; what is in memory follows. */
void node_ev_region_changed(struct node *n, uint8_t region, struct bytes raw);
/* The same; now: what the record says. */
void node_ev_region_follow(struct node *n, uint8_t region, const struct node_ev_region *now);
/* The same for its EV_AHEAD; empty: there is none. */
void node_ev_region_ahead(struct node *n, uint8_t region, const struct crdt_context *now);
/* raw: the record. returns: 0, ERR_CORRUPT, ERR_NO_MEMORY. */
int node_ev_ahead_load(struct node *n, uint8_t region, struct bytes raw);
/* returns: whether pages of the region have come, and not all: some records are ahead of others. */
bool node_ev_region_mixed(const struct node *n, uint8_t region);

/* ---- the regions in memory
 * ------------------------------------------------------------------------ Follow the applied
 * state; loaded at start. */
const struct node_ev_region *node_ev_region_get(const struct node *n, uint8_t region);
/* Owners in order, at most NODE_EV_OWNERS_MAX, nodes that group 0 decided to be out left out;
 * *self: whether this node is one. */
unsigned node_ev_owners(const struct node *n, uint8_t region, uint32_t *owners, bool *self);
/* Calls done, once, when the region's context has everything of `wanted` here (0), or at
 * deadline_us (ERR_BEHIND); ERR_INVALID as soon as group 0 says that it never granted an epoch that
 * is wanted: what is waited for is of a history that was undone. */
void node_ev_wait(struct node *n, uint8_t region, const struct crdt_context *wanted,
                  uint64_t deadline_us, void *ctx, node_done_fn *done);

/* ---- the part
 * ------------------------------------------------------------------------------------ */
struct node_eventual;
int node_ev_init(struct node *n);
void node_ev_release(struct node *n);
void node_ev_start(struct node *n); /* group 0 has recorded this start */
void node_ev_peer(struct node *n, uint32_t peer, bool up);
void node_ev_owners_changed(struct node *n); /* group 0 has decided something about placement */
/* Appends one MessagePack map, for people: actor, epochs left, and of each peer what it lacks. */
int node_ev_status(struct node *n, struct buf *out);
extern const struct node_op node_ev_ops[];
int node_ev_recount_keys(const struct node_cmd *cmd, struct node_keys *out);
int node_ev_recount_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply);
extern const struct node_query_op node_ev_queries[];
extern const struct node_method node_ev_methods[];
extern const struct node_api node_ev_api[];

#endif
