/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the kernel share: the balanced trees, records and entries, keys, payloads.
 * Payloads are kept in memory as they are encoded.
 *
 *   type        payload
 *   G_COUNTER   varint total > 0
 *   PN_COUNTER  varint up, varint down, not both 0
 *   COUNTER     zigzag amount, not 0
 *   LWW         varint time, value
 *   MV          value
 *   DW_FLAG     1 enabled, 0 disabled
 *   RW_SET      1 added, 0 removed
 *   MAX, MIN    zigzag value
 *   HLL         u8 rank, 1 to 53; rest of the key: u8 precision, u16 register
 *   BOUNDED     by the account, the rest of the key: see enum crdt_account
 *   others      nothing
 */
#ifndef HOLDFAST_CRDT_INTERNAL_H
#define HOLDFAST_CRDT_INTERNAL_H

#include "crdt/crdt.h"

/* ---- tree.c: intrusive AVL trees */
struct crdt_node {
    struct crdt_node *left;
    struct crdt_node *right;
    struct crdt_node *parent;
    int height;
};
/* returns: below 0 if what is sought lies left of n, 0 if it is n, above 0 if right. */
typedef int crdt_order_fn(const void *sought, const struct crdt_node *n);
struct crdt_node *crdt_tree_find(struct crdt_node *root, const void *sought, crdt_order_fn *order);
/* returns: the first node that is not left of what is sought. */
struct crdt_node *crdt_tree_from(struct crdt_node *root, const void *sought, crdt_order_fn *order);
void crdt_tree_insert(struct crdt_node **root, struct crdt_node *n, const void *sought,
                      crdt_order_fn *order);
void crdt_tree_remove(struct crdt_node **root, struct crdt_node *n);
struct crdt_node *crdt_tree_first(struct crdt_node *root);
struct crdt_node *crdt_tree_next(struct crdt_node *n);

/* ---- state.c */
struct crdt_record {
    struct crdt_node by_key; /* first: a node of by_key is a record */
    struct crdt_node *entries;
    uint32_t count;
    uint32_t key_bytes;
    uint8_t key[];
};
struct crdt_entry {
    struct crdt_node by_dot; /* first: a node of by_dot is an entry */
    struct crdt_node in_record;
    struct crdt_record *record;
    struct crdt_dot dot;
    uint32_t payload_bytes;
    uint8_t payload[];
};
static inline struct bytes crdt_record_key(const struct crdt_record *r)
{
    return bytes_of(r->key, r->key_bytes);
}
static inline struct bytes crdt_entry_payload(const struct crdt_entry *e)
{
    return bytes_of(e->payload, e->payload_bytes);
}
struct crdt_record *crdt_record_find(const struct crdt_state *s, struct bytes key);
/* The first record whose key is not below key; the one after; the first beyond all that begin with
 * prefix. NULL: none. */
struct crdt_record *crdt_record_from(const struct crdt_state *s, struct bytes key);
struct crdt_record *crdt_record_next(const struct crdt_record *r);
struct crdt_record *crdt_record_beyond(const struct crdt_state *s, struct bytes prefix);
struct crdt_entry *crdt_entry_find(const struct crdt_state *s, struct crdt_dot dot);
struct crdt_entry *crdt_entry_from(const struct crdt_state *s, struct crdt_dot dot);
struct crdt_entry *crdt_entry_first(const struct crdt_record *r);
struct crdt_entry *crdt_entry_next(const struct crdt_entry *e);
struct crdt_entry *crdt_entry_next_dot(const struct crdt_entry *e);
/* Makes an entry that no state has yet. key, payload: two parts each, copied one after the other.*/
struct crdt_entry *crdt_entry_new(const struct alloc *alloc, struct crdt_dot dot,
                                  struct bytes payload);
void crdt_entry_free(const struct alloc *alloc, struct crdt_entry *e);
struct crdt_record *crdt_record_new(const struct alloc *alloc, struct bytes key);
void crdt_record_free(const struct alloc *alloc, struct crdt_record *r);
/* Takes e under key; spare: an empty record for it, freed if the state has one. Cannot fail. */
void crdt_state_link(struct crdt_state *s, struct crdt_entry *e, struct crdt_record *spare);
/* Adds an entry; its dot must be added to the context by the caller. */
int crdt_state_put(struct crdt_state *s, struct bytes key, struct crdt_dot dot,
                   struct bytes payload);
void crdt_state_drop(struct crdt_state *s, struct crdt_entry *e);
static inline struct crdt_range crdt_range_of(struct crdt_dot d)
{
    return (struct crdt_range){.actor = d.actor, .from = d.counter, .to = d.counter};
}
/* The entries whose dots are in a range: for (e = first; crdt_in_range(e, r); e = next by dot). */
static inline struct crdt_entry *crdt_in_range_first(const struct crdt_state *s,
                                                     struct crdt_range r)
{
    struct crdt_dot from = {.actor = r.actor, .counter = r.from};
    if (r.actor.epoch == CRDT_FOLDED) {
        from = (struct crdt_dot){.actor = {.node = r.actor.node, .epoch = r.from}};
    }
    return crdt_entry_from(s, from);
}
static inline bool crdt_in_range(const struct crdt_entry *e, struct crdt_range r)
{
    if (e == NULL || e->dot.actor.node != r.actor.node) {
        return false;
    }
    return r.actor.epoch == CRDT_FOLDED
               ? e->dot.actor.epoch <= r.to
               : e->dot.actor.epoch == r.actor.epoch && e->dot.counter <= r.to;
}

/* ---- context.c */
int crdt_context_reserve(struct crdt_context *c, size_t more);
/* Cannot fail: room for one more range was reserved. */
void crdt_context_put(struct crdt_context *c, const struct crdt_range *range);
/* out, empty: the union. */
int crdt_context_union(const struct crdt_context *a, const struct crdt_context *b,
                       struct crdt_context *out);
/* returns: the place of the first range that ends at or after the dot. */
size_t crdt_context_at(const struct crdt_context *c, struct crdt_dot dot);
/* The same, or the place of the range by which its epoch is folded. */
size_t crdt_context_place(const struct crdt_context *c, struct crdt_dot dot);
int crdt_context_take(struct crdt_context *c, struct bytes_reader *r,
                      const struct crdt_limits *limits);

/* ---- varint.c: LEB128, shortest form only */
#define CRDT_VARINT_BYTES_MAX 10u
int crdt_put_varint(struct buf *b, uint64_t v);
uint64_t crdt_take_varint_long(struct bytes_reader *r);
/* Most numbers of contexts and counters are small. */
static inline uint64_t crdt_take_varint(struct bytes_reader *r)
{
    if (r->failed || r->left == 0 || *r->at >= 0x80) {
        return crdt_take_varint_long(r);
    }
    r->left--;
    return *r->at++;
}
unsigned crdt_varint_bytes(uint64_t v);
/* returns: how many bytes it wrote. */
static inline unsigned crdt_varint_write(uint8_t *at, uint64_t v)
{
    unsigned n = 0;
    for (; v >= 0x80; v >>= 7) {
        at[n++] = (uint8_t)(v | 0x80);
    }
    at[n++] = (uint8_t)v;
    return n;
}
static inline uint64_t crdt_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}
static inline int64_t crdt_unzigzag(uint64_t v)
{
    uint64_t bits = (v >> 1) ^ (0 - (v & 1));
    return bits <= INT64_MAX ? (int64_t)bits : -(int64_t)(~bits) - 1;
}

/* A sum that cannot overflow, in two's complement. */
struct crdt_wide {
    uint64_t low;
    uint64_t high;
};
void crdt_wide_add(struct crdt_wide *w, int64_t v);
void crdt_wide_sub(struct crdt_wide *w, int64_t v);
/* returns: whether it fits; *v is the nearest int64_t either way. */
bool crdt_wide_get(const struct crdt_wide *w, int64_t *v);

/* ---- key.c */
struct crdt_shape {
    uint8_t type; /* of the record */
    uint32_t depth;
    struct bytes rest;
};
/* Takes a key apart. returns: 0, ERR_PROTOCOL, ERR_TOO_LARGE, ERR_LEVEL. limits: may be NULL. */
int crdt_key_shape(struct bytes key, const struct crdt_limits *limits, struct crdt_shape *out);
/* returns: 0, ERR_PROTOCOL, ERR_TOO_LARGE. */
int crdt_payload_check(const struct crdt_shape *shape, struct bytes payload,
                       const struct crdt_limits *limits);
/* returns: 0, ERR_INVALID, ERR_TOO_LARGE. */
int crdt_path_check(const struct crdt_path *p, const struct crdt_limits *limits);
int crdt_path_key(const struct crdt_path *p, struct buf *key);
static inline uint8_t crdt_path_type(const struct crdt_path *p)
{
    return p->types[p->count];
}
/* Refuses a path whose names have other types. returns: 0, ERR_WRONG_TYPE, ERR_NO_MEMORY. */
int crdt_path_types(const struct crdt_state *s, const struct crdt_path *p);

/* ---- op.c: what an operation in the making knows */
struct crdt_making {
    const struct crdt_state *s;
    const struct crdt_op *op;
    const struct crdt_limits *limits;
    struct buf key; /* of the path; handlers append the rest */
    struct crdt_state *out;
};
int crdt_making_replace(struct crdt_making *m, const struct crdt_entry *e);
/* Replaces all entries of the record of m->key. r: may be NULL. */
int crdt_making_replace_all(struct crdt_making *m, const struct crdt_record *r);
int crdt_making_put(struct crdt_making *m, struct bytes payload);
static inline struct crdt_record *crdt_making_record(const struct crdt_making *m)
{
    return crdt_record_find(m->s, buf_view(&m->key));
}
int crdt_make_counter(struct crdt_making *m, uint8_t type);
int crdt_make_lww(struct crdt_making *m);
int crdt_make_mv(struct crdt_making *m);
int crdt_make_extreme(struct crdt_making *m, uint8_t type);
int crdt_make_flag(struct crdt_making *m, uint8_t type);
int crdt_make_set(struct crdt_making *m, uint8_t type);
int crdt_make_hll(struct crdt_making *m);
int crdt_make_bounded(struct crdt_making *m);
int crdt_make_remove(struct crdt_making *m);
/* What the register of an element, and the account of an operation, add to the path's key. */
uint8_t crdt_hll_place(struct bytes element, uint8_t name[3]); /* returns: the element's rank */
int crdt_bounded_place(const struct crdt_op *op, struct buf *key);

/* ---- shared with query.c */
/* A key to look for: a path's, and what the caller appends; not copied. Not to be moved: some parts
 * are in it, and only crdt_sought_init of the same path makes another. beyond: what lies after all
 * keys that begin so. */
#define CRDT_SOUGHT_PARTS (1 + 3 * CRDT_DEPTH_MAX + 3)
struct crdt_sought {
    struct bytes parts[CRDT_SOUGHT_PARTS];
    uint8_t sizes[CRDT_DEPTH_MAX + 1][2];
    unsigned count;
    bool beyond;
};
void crdt_sought_init(struct crdt_sought *q, const struct crdt_path *path);
const struct crdt_record *crdt_sought_find(const struct crdt_state *s, const struct crdt_sought *q);
const struct crdt_record *crdt_sought_from(const struct crdt_state *s, const struct crdt_sought *q);
/* returns: whether r (may be NULL) begins so; *rest is what follows. */
bool crdt_sought_begins(const struct crdt_sought *q, const struct crdt_record *r,
                        struct bytes *rest);
void crdt_counter_sum(const struct crdt_record *r, uint8_t type, struct crdt_wide *sum);
/* returns: whether every entry of the record (NULL: none) says 1. */
bool crdt_all_true(const struct crdt_record *r);
bool crdt_extreme_of(const struct crdt_record *r, uint8_t type, int64_t *value);
size_t crdt_lww_siblings(const struct crdt_record *r, struct crdt_sibling *out, size_t max);

/* ---- bounded.c */
enum crdt_account {
    CRDT_ACCOUNT_RIGHTS = 1, /* from, to: varint given so far; from = to: made by additions */
    CRDT_ACCOUNT_USED = 2,   /* actor: varint taken away so far */
    CRDT_ACCOUNT_GRANT = 3,  /* u64 number: varint node, epoch, amount */
    CRDT_ACCOUNT_FENCE = 4,  /* actor: varint node and epoch of who took over, amount */
};
#define CRDT_ACTOR_BYTES 12u
/* returns: whether rest and payload are an account of a bounded counter. */
bool crdt_bounded_rest_check(struct bytes rest);
bool crdt_bounded_payload_check(struct bytes rest, struct bytes payload);
void crdt_bounded_sum(const struct crdt_state *s, struct bytes prefix, struct crdt_wide *sum);
void crdt_bounded_rights(const struct crdt_state *s, struct bytes prefix, struct crdt_actor actor,
                         struct crdt_wide *sum);
/* Adds every account under prefix to the sums of those it names. returns: 0 or ERR_NO_MEMORY. */
int crdt_bounded_holders(const struct crdt_state *s, struct bytes prefix, struct crdt_holders *h);

#endif
