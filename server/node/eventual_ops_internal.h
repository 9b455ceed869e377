/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the operations of eventual mode's own group share. They work on a store that is given to
 * them: the state of the group in a node (eventual_write.c), a plain table in tests.
 *
 * Types. Which types of value lie at a key and at each name under it cannot be told from the few
 * records that an operation reads, so it is kept: EV_TYPES counts, for each place where a type
 * stands in record keys, the records with live entries by that type. It follows from the records,
 * does not travel, and is changed with them by these operations alone.
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_EVENTUAL_OPS_INTERNAL_H
#define HOLDFAST_SERVER_NODE_EVENTUAL_OPS_INTERNAL_H

#include "base/hash.h"
#include "server/node/eventual_internal.h"
#include "store/memtable.h"

/* Names of all records of one command: fits node_keys with their lengths. */
#define NODE_EV_NAMES_BYTES_MAX (7u << 19)
/* A body of fragments so short cannot name more: each record has at most ten names. */
#define NODE_EV_JOIN_SMALL_BYTES (256u << 10)
/* Ranges of a context on the own disk: what was joined was checked. */
#define NODE_EV_RANGES_MAX (1u << 24)
/* A register's value, and a record that an operation may still add to without replacing anything.
 */
#define NODE_EV_VALUE_BYTES_MAX (32u << 10)
#define NODE_EV_RECORD_BYTES_MAX (256u << 10)
/* What all nodes may come to have in one record by writing apart, each its share: with removals and
 * contexts it must fit a fragment, or who was away could never be told of it. */
#define NODE_EV_SHARES_BYTES_MAX (704u << 10)
#define NODE_EV_SEEK_MAX 64u        /* records looked up together: they fit the first cache */
#define NODE_EV_DOT_BYTES 20u       /* of a removal */
#define NODE_EV_ENTRY_BYTES 24u     /* of an entry, beside its payload */
#define NODE_EV_RECORD_BYTES_MIN 9u /* of an EV_RECORD: no entries, no removals */
/* How far ahead of this node's clock another's may be and still push this node's times forward. */
#define NODE_EV_DRIFT_US (24u * 3600u * UINT64_C(1000000))

/* ---- the store ------------------------------------------------------------------------------ */

/* A record that was looked up: holds until the record is put or something unknown is read. */
struct node_ev_spot {
    struct store_mem_spot at;
    bool known; /* in memory; else nothing here is set */
    bool present;
    struct bytes value; /* until it is put */
};
struct node_ev_store {
    void *ctx;
    const struct alloc *alloc;
    uint32_t self;
    uint64_t log_time_us;
    uint64_t share_bytes; /* node_ev_share of the cluster */
    /* value: a view valid until the next put or del. returns: 0 or ERR_NOT_FOUND. */
    int (*get)(void *ctx, struct bytes name, struct bytes *value);
    int (*put)(void *ctx, struct bytes name, struct bytes value); /* 0 or ERR_NO_MEMORY */
    int (*del)(void *ctx, struct bytes name);
    /* Looks a record up that was perhaps not named. returns: false: it is not known in memory.
     * NULL: nothing is known but what was named. */
    bool (*seek)(void *ctx, struct bytes name, struct node_ev_spot *spot);
    /* The same for several records, which are far apart in memory. */
    void (*seek_all)(void *ctx, const struct bytes *names, uint32_t count,
                     struct node_ev_spot *spots);
    /* As put, of a record that was found there. */
    int (*put_at)(void *ctx, const struct node_ev_spot *spot, struct bytes name,
                  struct bytes value);
    /* The region as it is; a view until changed. */
    const struct node_ev_region *(*region)(void *ctx, uint8_t region);
    /* The region's record was put: this is in it. */
    void (*changed)(void *ctx, uint8_t region, const struct node_ev_region *now);
    /* The region's EV_AHEAD was put, or deleted: now is empty. */
    void (*ahead)(void *ctx, uint8_t region, const struct crdt_context *now);
    void (*note)(void *ctx, uint8_t region, bool local, struct bytes fragment);
    /* One dot with two meanings was found: two nodes were one actor. */
    void (*conflict)(void *ctx, struct crdt_dot dot);
    void (*doubt)(void *ctx, const char *why);
    /* A peer has dots of a former actor of this node that are not here: they were lost. */
    int (*lost)(void *ctx);
};

/* ---- memory of one command (eventual_names.c) ------------------------------------------------ */

/* Many small pieces that go together: they are taken one behind the other from blocks, the first of
 * which is here. What is given back is used again only if it was taken last or has a block of its
 * own; releasing the scratch releases all, so pieces need not be given back. Must not move. */
#ifdef HOLDFAST_DEBUG
#define NODE_EV_SCRATCH_BYTES 256u /* tests are to see further ones */
#else
#define NODE_EV_SCRATCH_BYTES 16384u
#endif
struct node_ev_block;
struct node_ev_scratch {
    struct alloc under;
    struct node_ev_block *blocks; /* further ones */
    uint8_t *at;
    size_t left;
    _Alignas(16) uint8_t first[NODE_EV_SCRATCH_BYTES];
};
struct alloc node_ev_scratch_init(struct node_ev_scratch *s, const struct alloc *under);
void node_ev_scratch_release(struct node_ev_scratch *s);

/* ---- names (eventual_names.c): each once, numbered in the order they came ------------------- */

struct node_ev_name {
    uint64_t hash;
    uint32_t at;
    uint32_t size;
};
struct node_ev_names {
    struct buf bytes;
    struct node_ev_name *items;
    uint32_t count;
    uint32_t cap;
    uint32_t *slots; /* number + 1 by hash; 0: free */
    uint32_t mask;
};
#define NODE_EV_NAME_NONE UINT32_MAX
void node_ev_names_init(struct node_ev_names *names, const struct alloc *alloc);
void node_ev_names_release(struct node_ev_names *names);
/* returns: 0 and its number, ERR_NO_MEMORY, ERR_TOO_LARGE. */
int node_ev_names_add(struct node_ev_names *names, struct bytes name, uint32_t *number);
/* returns: its number or NODE_EV_NAME_NONE. */
uint32_t node_ev_names_find(const struct node_ev_names *names, struct bytes name);
struct bytes node_ev_names_at(const struct node_ev_names *names, uint32_t i); /* until the next add
                                                                               */

/* ---- types (eventual_types.c) --------------------------------------------------------------- */

/* The counts of one EV_TYPES record. */
struct node_ev_counts {
    uint64_t of[CRDT_TYPES + 1]; /* by type */
    bool loaded;
    bool changed;
};
/* Those of a command. names: of EV_TYPES records. */
struct node_ev_types {
    struct node_ev_names names;
    struct node_ev_counts *items;
    uint32_t cap;
};
void node_ev_types_init(struct node_ev_types *t, const struct alloc *alloc);
void node_ev_types_release(struct node_ev_types *t);
/* The name of the place where the type of a record's key, or of a name on its path, stands: cut:
 * how many bytes of the record key come before it. into: NODE_NAME_BYTES_MAX. returns: empty if the
 * name is too large. */
struct bytes node_ev_types_name(uint8_t region, struct bytes key, struct bytes cut, uint8_t *into);
/* Names the places of a record. returns: 0, ERR_NO_MEMORY, ERR_TOO_LARGE, ERR_INVALID. */
int node_ev_types_add(struct node_ev_types *t, struct bytes record_name);
/* What lies at the place of that name, read if it was not yet; *out until the next call.
 * returns: 0, ERR_NO_MEMORY, ERR_CORRUPT. */
int node_ev_types_get(struct node_ev_types *t, const struct node_ev_store *store, struct bytes name,
                      struct node_ev_counts **out);
/* A record came to have live entries, or lost its last. */
int node_ev_types_change(struct node_ev_types *t, const struct node_ev_store *store,
                         struct bytes record_name, bool live);
int node_ev_types_write(struct node_ev_types *t, const struct node_ev_store *store);
#define NODE_EV_TYPES_BYTES_MAX (1u + 9u * CRDT_TYPES)
/* The EV_TYPES record. returns: its size; 0 if there is nothing to count. */
size_t node_ev_counts_encode(const struct node_ev_counts *c, uint8_t into[NODE_EV_TYPES_BYTES_MAX]);

/* ---- bodies (eventual_body.c) --------------------------------------------------------------- */

struct node_ev_parsed {
    struct bytes space;
    struct bytes name;
    uint8_t region;
    struct crdt_path path;
    struct crdt_op op;
    struct bytes hints;
    uint32_t hints_count;
};
struct node_ev_body {
    uint64_t wall_us;
    uint32_t left;
    struct bytes_reader r;
};
int node_ev_body_begin(struct bytes body, struct node_ev_body *b);
/* returns: 0, ERR_INVALID; ERR_NOT_FOUND after the last. */
int node_ev_body_next(struct node_ev_body *b, struct node_ev_parsed *out);
bool node_ev_hint_next(struct bytes_reader *hints, struct bytes *record_key);

/* What a command names: its records, the places of types in them, its regions as bits. Refused
 * with ERR_TOO_LARGE where it is more than NODE_EV_NAMES_BYTES_MAX together. */
struct node_ev_scope {
    struct node_ev_names records;
    struct node_ev_types types;
    uint64_t regions;
    uint64_t ahead; /* regions whose EV_AHEAD is looked at */
    bool bare;      /* set before: places of types are left out */
    uint64_t hints; /* that were met */
};
void node_ev_scope_init(struct node_ev_scope *s, const struct alloc *alloc);
void node_ev_scope_release(struct node_ev_scope *s);
/* returns: 0 or what the command is refused with. */
int node_ev_update_scope(struct bytes body, struct node_ev_scope *s);
int node_ev_join_scope(struct bytes body, struct node_ev_scope *s);
int node_ev_drop_scope(struct bytes body, struct node_ev_scope *s);
int node_ev_fold_scope(struct bytes body, struct node_ev_scope *s);

/* The start of this node's actor. returns: false: no actor. */
bool node_ev_self_actor(const struct node_ev_store *store, struct crdt_actor *actor);
/* returns: its mark, another one whenever records may have gone. */
uint64_t node_ev_self_mark(const struct node_ev_store *store);
/* The region's EV_AHEAD, to an empty context; *had: whether there is one. returns: 0 or an error.
 */
int node_ev_ahead_get(const struct node_ev_store *store, uint8_t region, struct crdt_context *out,
                      bool *had);
/* The same of the EV_SELF record. */
bool node_ev_self_parse(const struct node_ev_store *store, struct bytes raw,
                        struct crdt_actor *actor);

/* ---- operations (eventual_update.c, eventual_join.c) ---------------------------------------- */

/* returns: how many bytes of entries one of so many nodes may have in one record. */
uint64_t node_ev_share(uint32_t nodes);

/* As node_op's apply. */
int node_ev_update(const struct node_ev_store *store, struct bytes body, struct buf *reply);
int node_ev_join(const struct node_ev_store *store, struct bytes body, struct buf *reply);
int node_ev_drop(const struct node_ev_store *store, struct bytes body, struct buf *reply);
int node_ev_fold(const struct node_ev_store *store, struct bytes body); /* eventual_fold.c */

/* The same as UPDATE for a command that only adds to counters that are there, whose records are all
 * in memory, in one look at each and without a state (eventual_count.c). returns: false: it is no
 * such command, or is refused; nothing was done. */
bool node_ev_count(const struct node_ev_store *store, struct bytes body, struct buf *reply,
                   int *code);
/* The same as JOIN where all records are there and in memory (eventual_known.c). */
bool node_ev_join_known(const struct node_ev_store *store, struct bytes body, int *code);
/* Looks up the records of the regions of a bitmap together; spots: of all regions, the others are
 * left as they are. store: has seek_all. */
void node_ev_regions_seek(const struct node_ev_store *store, uint64_t regions,
                          struct node_ev_spot spots[NODE_EV_REGIONS]);
/* returns: whether a fragment that has seen this tells of dots of a former actor of node self that
 * are not in `own`. */
bool node_ev_join_lost(const struct crdt_context *seen, const struct crdt_context *own,
                       uint32_t self);
/* When an operation counts as made: seen_us: the latest time seen in the region. */
uint64_t node_ev_time(uint64_t wall_us, uint64_t seen_us);

/* ---- small things ---------------------------------------------------------------------------- */

/* As node_ev_fragment_decode, of bytes that it has accepted: the records are not checked again. */
int node_ev_fragment_reopen(struct node_ev_fragment *f, struct bytes v);
/* The same without `before`, which stays empty. */
int node_ev_fragment_skim(struct node_ev_fragment *f, struct bytes v);
/* Goes to the first record, checking nothing. returns: how many there are. */
uint32_t node_ev_fragment_skip(struct bytes_reader *r, uint8_t *region, uint8_t *flags);
/* As node_ev_fragment_head, of one that is not LAST; before: the encoding of f->before. */
int node_ev_fragment_head_of(const struct node_ev_fragment *f, struct bytes before,
                             struct buf *out);
int node_ev_dot_put(struct buf *out, struct crdt_dot dot);
int node_ev_entry_put(struct buf *out, struct crdt_dot dot, struct bytes payload);
/* returns: whether the record, which was made or checked here, tells of removals. */
bool node_ev_record_removes(struct bytes raw);
/* Begins to read a record that was made or checked here. What follows the last entry is the number
 * of removals. returns: whether it has entries, in the format that is written. */
bool node_ev_record_walk(struct bytes raw, struct node_ev_cursor *entries);
/* The next entry with the bytes it is stored as. returns: false after the last. */
bool node_ev_record_raw(struct node_ev_cursor *entries, struct node_ev_entry *out,
                        struct bytes *raw);

#endif
