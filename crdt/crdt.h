/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replicated data types that every replica may change at any time and that converge: one algebra
 * of dots (Almeida, Shoker, Baquero, "Delta state replicated data types", J. Parallel Distrib.
 * Comput. 111, 2018) under all of them. Pure: memory comes from a struct alloc, dots and times
 * come in.
 *
 *   crdt_state_init(&s, &alloc);                                  nothing: the neutral element
 *   crdt_path_init(&path, CRDT_AW_SET);
 *   op = (struct crdt_op){.verb = CRDT_ADD, .value = element, .dot = next};
 *   crdt_delta(&s, &path, &op, &limits, &delta);                  what the operation adds; s as was
 *   crdt_join(&s, &delta);                                        s is now what it is everywhere
 *   crdt_encode(&delta, &buf);  crdt_decode(&delta, bytes, ...);  to other replicas, and the log
 *
 * THE STATE. A *dot* names one operation: an actor (node id and epoch) and a counter that the
 * actor never uses twice. A state is a *context*, the set of dots it has seen, and a store of
 * *records*: key -> live entries, each a dot with a payload. Every operation that changes anything
 * has exactly one dot, removals too, so two states with equal contexts are equal.
 *     join(a, b): context = union; an entry is live if both have it live, or if one has it live and
 *     the other has not seen its dot.
 * The join is commutative, associative and idempotent; a delta is a state, and a remove is a delta
 * whose context names what it removes: nothing is ever deferred. Deltas may come twice, late or in
 * any order and still give the same state. They give a state that somebody *had* only if each is
 * joined where everything before it is: crdt_may_join says so, and a receiver for which it does not
 * hold waits or asks for the interval from its own context on.
 *
 * A DotMap of DotMaps over one context is the same as one DotMap over paths, so nesting is in the
 * keys: a map holds no object, it is a prefix. A record's key is
 *     type [ u16 length, name, type ]*  rest      (length big-endian; type: enum crdt_type)
 * with one name a map level and a rest that the last type defines: the element of a set, the
 * number of a HyperLogLog register, the account of a bounded counter, else nothing. So
 *   - the type is part of the key: two types written at the same time under one name are both kept
 *     and both seen. Once a name has a type, an operation with another is refused.
 *   - joining, comparing and encoding know no types and do not recurse.
 *   - an operation touches the records under its path only, found in O(log n), whatever the size of
 *     the set around it; records are also found by dot, so that a removal costs what it removes. A
 *     store may therefore keep one record (key -> entries) and one line of the dot index (dot ->
 *     key) per element, and load into a struct crdt_state only the records in the range that
 *     crdt_op_range names, with the context, to make or to join a delta.
 *
 * THE TYPES. "observed" means: in the state where the operation is made. Removing a map's field
 * removes every observed entry under it, of every type; what was written meanwhile stays, so the
 * outcome is that of the writes the removal had not seen (reset-remove), exactly, but for the two
 * counters named below.
 *   G_COUNTER  ADD amount > 0. One entry an actor, with its total so far.
 *   PN_COUNTER ADD amount of any sign. One entry an actor, with its totals up and down. A small
 *              record, but a total cannot be removed by half: if a field is removed while one actor
 *              adds, that actor's earlier additions come back. (Observed removals start it at 0.)
 *   COUNTER    ADD amount of any sign. One entry an addition, so that removing is exact: for maps.
 *   LWW        SET value, time. The entry greatest by (time, actor, hash of value, value) wins. A
 *              SET takes the later of its time and the observed winner's + 1, and replaces the
 *              observed winner and what is out of sight after it. In sight are losers whose time is
 *              less than 24 h before the winner's, the newest 16 of them: a function of the state.
 *              A node's own oldest losers go first where its values are more than node_bytes_max.
 *              A write that lost unseen thus stays to be seen for a day of writing.
 *   MV         SET value replaces all observed values; values set at the same time are all kept.
 *   EW_FLAG    ENABLE, DISABLE; of concurrent ones ENABLE wins. Unset: disabled.
 *   DW_FLAG    the same, DISABLE wins. Unset: disabled.
 *   AW_SET     ADD, REMOVE value; of concurrent ones on an element ADD wins.
 *   RW_SET     the same, REMOVE wins. A removed element leaves an entry that says so.
 *   G_SET      ADD value.
 *   MAX, MIN   SET amount. One that does not raise (lower) the observed value is no operation.
 *   HLL        ADD value: an estimate of how many different values were added (Flajolet et al.,
 *              2007), 4,096 registers, standard error 1.6 %. Other precisions are refused.
 *   MAP        names -> any type, REMOVE removes field value (of all types); 8 maps deep at most.
 *   BOUNDED    a counter that stays >= 0 in every interleaving (Balegas et al., "Putting
 * consistency back into eventual consistency", EuroSys 2015): rights[i][j]. ADD amount > 0 makes
 *              rights for the actor, ADD amount < 0 uses up its own or is ERR_NO_RIGHTS. TRANSFER
 *              gives amount of them to actor `to`. GRANT (amount, number) makes rights for the
 *              actor `to` once per number, whoever applies it. FENCE takes over all that actor `to`
 *              still has, once; its caller guarantees, by consensus, that `to` issues no dot after
 *              dot number `number`, and that one actor alone fences it. The state must have seen
 *              that much (ERR_BEHIND). A fenced actor is refused (ERR_FENCED). A field that holds a
 *              bounded counter cannot be removed (ERR_NOT_EMPTY): the bound would not survive it.
 * G_SET, MAX, MIN and HLL: writing what is observed already is no operation, makes no dot, and is
 * therefore not kept alive against a removal of the field at the same time.
 *
 * Numbers: an operation after which an observed counter left the range of int64_t is refused with
 * ERR_OVERFLOW before anything is done. Additions made apart may still pass it together: values
 * saturate, the same way wherever the state is the same.
 *
 * Limits bind operations, never the join. The decoder holds sizes and depth to them, but takes four
 * times as many ranges and any number of elements that fits encoded_bytes_max, for what each of
 * several replicas had room for is accepted everywhere once it is joined.
 *
 * Errors of every function that allocates: ERR_NO_MEMORY, and nothing has changed.
 *
 * threads: values; one owner at a time.
 */
#ifndef HOLDFAST_CRDT_CRDT_H
#define HOLDFAST_CRDT_CRDT_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define CRDT_LEVEL                                                                                \
    2u                 /* format of the encoding that this code writes: 1 where nothing is folded \
                        */
#define CRDT_FOLDED 0u /* an epoch that no actor has */
#define CRDT_DEPTH_MAX 8u /* maps in maps */
#define CRDT_HLL_PRECISION 12u
#define CRDT_HLL_REGISTERS (1u << CRDT_HLL_PRECISION)
#define CRDT_LOSERS_MAX 16u
#define CRDT_LOSERS_US (24u * 3600u * UINT64_C(1000000)) /* times are microseconds */

/* Part of every key: never change. */
enum crdt_type {
    CRDT_G_COUNTER = 1,
    CRDT_PN_COUNTER = 2,
    CRDT_COUNTER = 3,
    CRDT_LWW = 4,
    CRDT_MV = 5,
    CRDT_EW_FLAG = 6,
    CRDT_DW_FLAG = 7,
    CRDT_AW_SET = 8,
    CRDT_RW_SET = 9,
    CRDT_G_SET = 10,
    CRDT_MAX = 11,
    CRDT_MIN = 12,
    CRDT_HLL = 13,
    CRDT_MAP = 14,
    CRDT_BOUNDED = 15,
};
#define CRDT_TYPES 15u

struct crdt_limits {
    uint32_t depth_max;          /* names in a path; at most CRDT_DEPTH_MAX */
    uint32_t name_bytes_max;     /* of a map's field */
    uint32_t element_bytes_max;  /* of a set */
    uint32_t value_bytes_max;    /* of a register */
    uint64_t node_bytes_max;     /* of an LWW register: values of one node, losers and all */
    uint64_t elements_max;       /* entries of one state: elements, fields, values */
    uint64_t context_ranges_max; /* of one state: actors and gaps */
    uint64_t encoded_bytes_max;  /* what the decoder looks at */
};
struct crdt_limits crdt_limits_default(void);

struct crdt_actor {
    uint32_t node;  /* > 0 */
    uint64_t epoch; /* > 0; new whenever the node is not sure of its last dot */
};
struct crdt_dot {
    struct crdt_actor actor;
    uint64_t counter; /* from 1 */
};
/* returns: below, at or above 0; by node, epoch, counter. */
int crdt_actor_compare(struct crdt_actor a, struct crdt_actor b);
int crdt_dot_compare(struct crdt_dot a, struct crdt_dot b);

/* ---- Contexts: sets of dots, as sorted ranges that neither meet nor overlap. One range an actor
 * unless dots are missing, so that equal sets are equal arrays.
 *
 * Epochs that are over. Where it is certain which dots of an actor's epoch there are and that no
 * more will be made, who has seen them all may say so with [epoch, epoch] of the actor (node,
 * CRDT_FOLDED): all dots of these epochs, those that there are and any number. It is a set of dots
 * like any, only larger by dots that nobody makes, and everything here goes on meaning what it
 * means for sets; epochs one after another become one range, and ranges of theirs go. To be certain
 * is for the caller. */

struct crdt_range {
    struct crdt_actor actor;
    uint64_t from; /* both included */
    uint64_t to;
};
struct crdt_context {
    struct crdt_range *ranges;
    size_t count;
    size_t cap;
    struct alloc alloc;
};

void crdt_context_init(struct crdt_context *c, const struct alloc *alloc);
void crdt_context_release(struct crdt_context *c);
bool crdt_context_has(const struct crdt_context *c, struct crdt_dot dot);
/* returns: whether all dots of the actor's epoch have been seen, by CRDT_FOLDED. */
bool crdt_context_folds(const struct crdt_context *c, struct crdt_actor actor);
/* returns: whether it says so of any. */
bool crdt_context_folded(const struct crdt_context *c);
/* returns: the greatest counter seen of actor; 0 if none; UINT64_MAX if it is folded. The next dot
 * of an actor is at least one more; counters left out (a lease given up) are sealed by adding them
 * without a record. */
uint64_t crdt_context_last(const struct crdt_context *c, struct crdt_actor actor);
/* Adds [range->from, range->to]; 0 < from <= to; range: not in c. By pointer: copies of what was
 * just put together cost more here than all the rest. */
int crdt_context_add(struct crdt_context *c, const struct crdt_range *range);
int crdt_context_add_dot(struct crdt_context *c, struct crdt_dot dot);
int crdt_context_join(struct crdt_context *into, const struct crdt_context *from);
/* returns: whether every dot of a is in b. */
bool crdt_context_leq(const struct crdt_context *a, const struct crdt_context *b);
bool crdt_context_equal(const struct crdt_context *a, const struct crdt_context *b);
/* The causal delta-merging condition: before is the context of the state that a delta was made in
 * (of the first one, for a group of deltas). returns: whether a replica that has seen `have` may
 * join it and be in a state that respects causality. */
bool crdt_may_join(const struct crdt_context *have, const struct crdt_context *before);
/* Appends the canonical bytes; also how a state begins (docs/formats.md). */
int crdt_context_encode(const struct crdt_context *c, struct buf *out);
/* c: initialised, empty. returns: 0; ERR_PROTOCOL; ERR_TOO_LARGE beyond limits. */
int crdt_context_decode(struct crdt_context *c, struct bytes v, const struct crdt_limits *limits);

/* ---- States. Records and entries belong to the state; read them with the functions below. */

struct crdt_node;
struct crdt_entry;
struct crdt_state {
    struct crdt_context seen;
    struct crdt_node *by_key; /* records */
    struct crdt_node *by_dot; /* entries */
    uint64_t records;
    uint64_t entries;
    struct bytes opaque; /* owned: a state of a later level, kept as it came; all else is empty */
    struct alloc alloc;
};

void crdt_state_init(struct crdt_state *s, const struct alloc *alloc);
void crdt_state_release(struct crdt_state *s);
/* Back to the neutral element. */
void crdt_state_clear(struct crdt_state *s);
/* into: initialised; what it held is dropped on success. */
int crdt_state_copy(struct crdt_state *into, const struct crdt_state *from);
bool crdt_state_empty(const struct crdt_state *s);
bool crdt_state_equal(const struct crdt_state *a, const struct crdt_state *b);

/* into = join(into, from), in O(from log into).
 * returns: 0; ERR_LEVEL if one of them is of a later level and they differ; ERR_CONFLICT if one dot
 * names two different operations: two replicas were the same actor, and one of them must get a new
 * epoch. (Found where both entries are live: an entry lost to the other's context is not.) */
int crdt_join(struct crdt_state *into, const struct crdt_state *from);
/* returns: whether join(a, b) = b. */
bool crdt_leq(const struct crdt_state *a, const struct crdt_state *b);
/* out, empty, becomes the least state whose join with b is join(a, b). */
int crdt_difference(const struct crdt_state *a, const struct crdt_state *b, struct crdt_state *out);

/* The join decomposition: the only set of join-irreducible states, none of which is spare, whose
 * join is s. One a dot: its entry if it is live, else its removal. */
struct crdt_pieces {
    const struct crdt_state *of;
    size_t range;
    uint64_t counter;
};
void crdt_pieces_begin(struct crdt_pieces *p, const struct crdt_state *s);
/* out: empty. returns: 0 and out is the next piece; ERR_NOT_FOUND after the last. */
int crdt_pieces_next(struct crdt_pieces *p, struct crdt_state *out);

/* Appends the canonical bytes: equal states have equal bytes, and only they. */
int crdt_encode(const struct crdt_state *s, struct buf *out);
/* Takes bytes from outside. s: initialised, empty. A later level is kept as it is and encoded
 * again unchanged. returns: 0; ERR_PROTOCOL if they are not what crdt_encode writes; ERR_TOO_LARGE
 * beyond limits; ERR_LEVEL for another precision of HLL. */
int crdt_decode(struct crdt_state *s, struct bytes v, const struct crdt_limits *limits);

/* ---- Paths and operations */

struct crdt_path {
    uint32_t count;                     /* of names */
    uint8_t types[CRDT_DEPTH_MAX + 1];  /* [0] of the key itself; [i] of what names[i-1] names */
    struct bytes names[CRDT_DEPTH_MAX]; /* borrowed */
};
void crdt_path_init(struct crdt_path *p, enum crdt_type root);
/* Goes from a map into its field. returns: 0; ERR_WRONG_TYPE if the end is not a map; ERR_TOO_LARGE
 * if it is deep enough. */
int crdt_path_push(struct crdt_path *p, struct bytes name, enum crdt_type type);

enum crdt_verb {
    CRDT_ADD = 1,
    CRDT_SET,
    CRDT_REMOVE,
    CRDT_ENABLE,
    CRDT_DISABLE,
    CRDT_TRANSFER,
    CRDT_GRANT,
    CRDT_FENCE,
};
struct crdt_op {
    enum crdt_verb verb;
    struct crdt_dot dot; /* after all the actor's dots in the state */
    struct bytes value;  /* element, value or field */
    int64_t amount;
    uint64_t time_us;     /* LWW */
    struct crdt_actor to; /* BOUNDED */
    uint64_t number;      /* GRANT: of the grant; FENCE: last counter of `to` */
};

/* out, empty, becomes what the operation adds to s: join(s, out) is s after it. Empty if it changes
 * nothing (a removal of what is not there): then its dot stays unused.
 * returns: 0; ERR_INVALID (verb or argument that the type does not have); ERR_WRONG_TYPE (the name
 * has another type); ERR_TOO_LARGE (limits); ERR_OVERFLOW; ERR_CONFLICT (the dot is not new, or a
 * grant's number has another amount); ERR_LEVEL (s is of a later level); ERR_NOT_EMPTY;
 * ERR_NO_RIGHTS, ERR_FENCED, ERR_BEHIND (BOUNDED). */
int crdt_delta(const struct crdt_state *s, const struct crdt_path *path, const struct crdt_op *op,
               const struct crdt_limits *limits, struct crdt_state *out);
/* Appends the key prefix of all records that crdt_delta reads for its result, but for the check of
 * types, which looks at the first record of each type under each name of the path. */
int crdt_op_range(const struct crdt_path *path, const struct crdt_op *op, struct buf *prefix);

/* ---- Records one by one, for a store that keeps each on its own: it loads those that an operation
 * or a join touches, with the context of the whole, and writes back what changed. */

/* returns: 0 if some operation makes such an entry; ERR_PROTOCOL, ERR_TOO_LARGE, ERR_LEVEL. */
int crdt_entry_check(struct bytes key, struct bytes payload, const struct crdt_limits *limits);
/* Adds a checked entry as a store has it, whatever the context says: its dot must be in s->seen
 * before s is joined with another, compared or encoded. returns: 0; ERR_CONFLICT if the dot is live
 * in s already. */
int crdt_load(struct crdt_state *s, struct bytes key, struct crdt_dot dot, struct bytes payload);
/* As crdt_delta, of a state that holds only the records in the operation's range: whether the names
 * of the path have its types is for the caller to know, and limits->elements_max counts what is
 * there. */
int crdt_delta_part(const struct crdt_state *s, const struct crdt_path *path,
                    const struct crdt_op *op, const struct crdt_limits *limits,
                    struct crdt_state *out);
/* The key of the one record that the operation puts its entry in or removes from; for a map, of
 * none: ERR_INVALID. Depends on op->dot.actor for BOUNDED alone. key: appended to. */
int crdt_op_record(const struct crdt_path *path, const struct crdt_op *op, struct buf *key);

/* Additions to a counter of which a store holds the one record, without a state: G_COUNTER and
 * PN_COUNTER. What is refused here may still be one that crdt_delta_part makes. */
#define CRDT_TALLY_BYTES_MAX 20u
struct crdt_tally {
    uint8_t type;
    struct crdt_actor actor; /* who adds */
    uint64_t low, high;      /* sum of all entries */
    uint64_t total[2];       /* of the actor's entry: up, down */
    uint64_t replaced;       /* its counter; 0: there is none */
};
/* returns: whether the type is one of these. */
bool crdt_tally_init(struct crdt_tally *t, uint8_t type, struct crdt_actor actor);
/* One entry of the record. returns: 0; ERR_PROTOCOL (no operation makes such an entry),
 * ERR_CONFLICT (the actor has two). */
int crdt_tally_take(struct crdt_tally *t, struct crdt_dot dot, struct bytes payload);
/* returns: 0, or ERR_INVALID or ERR_OVERFLOW, and nothing has changed. */
int crdt_tally_add(struct crdt_tally *t, enum crdt_verb verb, int64_t amount);
/* The payload of the actor's entry as it is now. returns: its size. */
unsigned crdt_tally_payload(const struct crdt_tally *t, uint8_t into[CRDT_TALLY_BYTES_MAX]);

/* One entry; views last until the state changes. */
struct crdt_view {
    struct bytes key;
    struct crdt_dot dot;
    struct bytes payload;
    const struct crdt_entry *at; /* the kernel's */
};
/* Goes to the first entry of the record of that key. returns: whether there is one. */
bool crdt_view_record(const struct crdt_state *s, struct bytes key, struct crdt_view *v);
/* Goes to the entry of the least dot. returns: whether there is one. */
bool crdt_view_first(const struct crdt_state *s, struct crdt_view *v);
/* Goes on in the same record, by dot. returns: false after its last. */
bool crdt_view_next(struct crdt_view *v);
/* What join(s, delta) takes away from s, by dot. at: zeroed to begin with.
 * returns: false after the last. */
struct crdt_replaced {
    size_t range;
    struct crdt_view view;
};
bool crdt_replaced_next(const struct crdt_state *s, const struct crdt_state *delta,
                        struct crdt_replaced *at);

/* A key taken apart: the type of its record, and how many bytes come before the type of the key
 * itself, of the first name on the path, and so on: the places where types are told apart. */
struct crdt_key_parts {
    uint8_t type;
    uint32_t count; /* 1 to CRDT_DEPTH_MAX + 1 */
    uint32_t at[CRDT_DEPTH_MAX + 1];
};
/* returns: 0, ERR_PROTOCOL, ERR_TOO_LARGE, ERR_LEVEL. */
int crdt_key_parts_of(struct bytes key, struct crdt_key_parts *out);

/* ---- Values. Each reads the type at the end of path; nothing there reads as the neutral value.
 * Views last until the state changes. */

/* G_COUNTER, PN_COUNTER, COUNTER, BOUNDED. */
int64_t crdt_counter(const struct crdt_state *s, const struct crdt_path *path);
/* BOUNDED: what actor may still take away. */
int64_t crdt_rights(const struct crdt_state *s, const struct crdt_path *path,
                    struct crdt_actor actor);
/* BOUNDED: all who may still take something away, in one walk over the accounts. What is got is to
 * be released. */
struct crdt_holder {
    struct crdt_actor actor;
    int64_t rights; /* > 0 */
};
struct crdt_holders {
    struct crdt_node *sums; /* of everybody that an account names */
    uint32_t count;         /* of holders that are left to take */
    struct alloc alloc;
};
/* returns: 0 or ERR_NO_MEMORY, and there is nothing to release. */
int crdt_holders_get(const struct crdt_state *s, const struct crdt_path *path,
                     struct crdt_holders *h);
/* Takes out the least actor. returns: false after the last. */
bool crdt_holders_take(struct crdt_holders *h, struct crdt_holder *out);
void crdt_holders_release(struct crdt_holders *h);
/* EW_FLAG, DW_FLAG. */
bool crdt_flag(const struct crdt_state *s, const struct crdt_path *path);
/* MAX, MIN. returns: false if nothing is set. */
bool crdt_extreme(const struct crdt_state *s, const struct crdt_path *path, int64_t *value);
/* HLL: about how many different values were added; the same wherever the state is. */
uint64_t crdt_hll(const struct crdt_state *s, const struct crdt_path *path);

struct crdt_sibling {
    struct bytes value;
    struct crdt_dot dot;
    uint64_t time_us; /* LWW */
};
/* LWW: the winner, then losers in sight, newest first. MV: all values, by dot.
 * returns: how many there are; at most max are written. */
size_t crdt_siblings(const struct crdt_state *s, const struct crdt_path *path,
                     struct crdt_sibling *out, size_t max);

/* Sets. */
bool crdt_set_has(const struct crdt_state *s, const struct crdt_path *path, struct bytes element);
/* Members in the order of bytes_compare, fields by (length, name, type): *at is empty to begin with
 * and names the last one given after; returns: false after the last. */
bool crdt_set_next(const struct crdt_state *s, const struct crdt_path *path, struct bytes *at);
struct crdt_field {
    struct bytes name;
    uint8_t type; /* 0 before the first; a name with two types is given twice */
};
bool crdt_map_next(const struct crdt_state *s, const struct crdt_path *path, struct crdt_field *at);

/* returns: the type of the key itself: of its first record. 0 if there is none; several: true if
 * it was created with more than one. */
uint8_t crdt_root_type(const struct crdt_state *s, bool *several);

#endif
