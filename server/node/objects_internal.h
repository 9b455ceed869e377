/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The coordinators of objects: what they share. Every one is a small machine that lives in memory
 * from its first step to its last, counts what it waits for, and goes when nothing is left; all
 * facts that must last are in the records of object_internal.h.
 *
 *   shard.c    serves single cells: write, read, check
 *   gather.c   gets k cells of one stripe, decodes and verifies others
 *   decoded.c  lost cells of one stripe, gathered together for programs
 *   rebuild.c  gathers every stripe of an extent and writes the missing shards
 *   put*.c     uploads            get.c     reads
 *   run.c      programs over parts of cells: where they are run      run_task.c  runs them
 *   run_table.c  the tables that they look into
 *   derive.c   cells that follow from other cells      put_derive.c  uploads of these
 *   repair.c   what is missing at this node      audit.c  orphans, due records
 *   surplus.c  copies whose homes have them
 *   rehome.c   homes of shards whose nodes are out, by the rules of object_moves.c
 *   digest.c   the state of a group against its digest
 *   scrub.c    shards against manifests          verify.c object.verify
 *
 * threads: the loop thread, but run functions of tasks.
 */
#ifndef HOLDFAST_SERVER_NODE_OBJECTS_INTERNAL_H
#define HOLDFAST_SERVER_NODE_OBJECTS_INTERNAL_H

#include "base/rng.h"
#include "compute/table.h"
#include "server/node/object_internal.h"

#define NODE_OBJECTS_PEERS_MAX 64u
#define NODE_OBJECTS_GROUPS_MAX 64u
#define NODE_SHARD_BYTES_OUT_MAX                                                                   \
    (64u << 20)                                /* cells in work for other nodes: written, and read \
                                                */
#define NODE_GET_BYTES_OUT_MAX (64u << 20)     /* cells in memory for degraded reads */
#define NODE_RUNS_MAX 32u                      /* programs in work at once */
#define NODE_RUN_BYTES_OUT_MAX (64u << 20)     /* cells in memory, decoded to run programs over */
#define NODE_RUN_STATE_BYTES_MAX (1u << 20)    /* what a program may give for a part of a cell */
#define NODE_RUN_MEMORY_BYTES_MAX (16u << 20)  /* what it may have in memory for that */
#define NODE_RUN_OPEN_BYTES_MAX 4096u          /* of a part in which no record seems to end */
#define NODE_RUN_STEPS_MAX (UINT64_C(1) << 26) /* what work it may be: bytes times steps */
#define NODE_PARITIES_MAX 16u                  /* extents whose parity is made for others */
#define NODE_TABLES_MAX 64u                    /* tables of programs, in use or kept */
#define NODE_CALL_RETRY_US 20000u
#define NODE_HEDGE_LEAST_US 20000u
#define NODE_HEDGE_PER_CENT 5u

/* An intrusive list: all of a kind that live. */
struct node_work {
    struct node_work *next, *prev;
};
void node_work_init(struct node_work *list);
void node_work_add(struct node_work *list, struct node_work *w);
void node_work_remove(struct node_work *w);
static inline bool node_work_empty(const struct node_work *list)
{
    return list->next == list;
}

struct node_put;
struct node_get;
struct node_repair;
struct node_scrub;
struct node_audit;
struct node_rehome;
struct node_surplus;
struct node_digest;

/* How long a peer's reads take: a running 95 % quantile. */
struct node_peer_pace {
    uint32_t peer;
    uint64_t p95_us;
};

struct node_objects_counters {
    uint64_t puts, puts_failed, gets, gets_degraded, hedges;
    uint64_t runs, runs_decoded, tables;
    uint64_t shards_repaired, bytes_repaired, damage_reports;
    uint64_t repair_starts, shards_moved, surplus_deleted;
    uint64_t digests_checked, digests_wrong;
    uint64_t codings_wrong; /* jobs done again because a kernel's results were wrong */
    uint64_t codings_lost;  /* and wrong again */
    uint64_t cells_wrong;   /* with right checksums and wrong bytes */
    uint64_t fingers_wrong; /* stripes whose record has wrong fingerprints */
    uint64_t cells_scrubbed, bytes_scrubbed, orphans_deleted, versions_freed, uploads_expired;
};

struct node_objects {
    struct node *n;
    struct alloc alloc;
    bool started;

    uint64_t grant; /* 0: none yet */
    uint64_t counter;
    bool granting;
    struct node_timer grant_timer;

    struct erasure_code *codes[ERASURE_SHARDS_MAX + 1][ERASURE_SHARDS_MAX];
    struct node_work puts;
    unsigned puts_count;
    uint64_t put_bytes; /* reserved by stripes of all uploads */
    struct node_work put_ends;
    unsigned put_ends_count;

    struct node_work infos; /* extents known, most recently used first */
    unsigned infos_count;
    struct node_work gets;
    struct node_work gets_waiting; /* for memory */
    struct node_work gathers;
    struct node_work rebuilds;
    unsigned gets_count;
    uint64_t get_bytes;
    uint64_t hedge_tokens; /* hundredths */
    struct node_peer_pace pace[NODE_OBJECTS_PEERS_MAX];
    unsigned pace_count;

    struct node_work runs;
    unsigned runs_count;
    uint64_t run_bytes;
    struct node_work decoded; /* lost cells for programs: being decoded, or kept; oldest first */
    struct node_work run_tasks;
    unsigned run_tasks_count;
    unsigned run_places; /* kept for tasks over cells that are being decoded */
    struct node_work derive_cells;
    unsigned derive_cells_count;
    uint64_t derive_bytes; /* of cells that are being derived here */
    struct node_work parities;
    unsigned parities_count;
    uint64_t run_slices;  /* that were worked through, of all tasks */
    uint64_t run_tickets; /* given */
    struct node_work tables;
    unsigned tables_count;  /* but for those that are being given back */
    uint64_t tables_max;    /* bytes that they may take, with their indexes */
    uint64_t tables_bytes;  /* that they take */
    uint64_t tables_ending; /* of these: are being given back */
    uint64_t tables_seed;

    uint64_t shard_write_bytes;
    uint64_t shard_read_bytes;
    unsigned reports_out;

    struct node_repair *repair;
    struct node_audit *audit;
    struct node_scrub *scrub;
    struct node_rehome *rehome;
    struct node_surplus *surplus;
    struct node_digest *digest;
    struct node_objects_counters counters;
};

/* ---- objects.c ------------------------------------------------------------------------------ */

/* returns: the code of a checked scheme; NULL without memory. Lives as long as o. */
const struct erasure_code *node_objects_code(struct node_objects *o, struct erasure_scheme scheme);
/* Counts and logs a job of coding whose kernel was wrong, if it was. what: "encode" or "decode";
 * cell: number of the stripe; code: what the job returned. */
void node_objects_coded(struct node_objects *o, const char *what, struct node_version version,
                        uint32_t cell, const struct erasure_check *check, int code);
/* returns: 0, or ERR_STARTING while there is no grant. */
int node_objects_version_new(struct node_objects *o, struct node_version *out);
/* Encodes and proposes. returns: 0, or ERR_NO_MEMORY and done will not be called. */
int node_objects_propose(struct node_objects *o, uint32_t group, uint8_t op,
                         const struct node_object_cmd *c, void *ctx, node_done_fn *done);
/* The same within a client's session. */
struct node_session_ref {
    uint64_t session;
    uint64_t sequence;
    uint64_t acked;
    uint64_t deadline_us;
};
int node_objects_propose_for(struct node_objects *o, uint32_t group, uint8_t op,
                             const struct node_object_cmd *c, const struct node_session_ref *s,
                             void *ctx, node_done_fn *done);
int node_objects_ask(struct node_objects *o, uint32_t group, uint8_t op,
                     const struct node_object_ask *a, uint64_t deadline_us, void *ctx,
                     node_done_fn *done);
/* returns: when a step of a background coordinator gives up. */
uint64_t node_objects_patience(const struct node_objects *o);
/* returns: whether the outcome of a command or question may be had by trying again. */
bool node_objects_again(int code);
/* The data groups: ids of all groups but 0. returns: how many. */
unsigned node_objects_groups(const struct node_objects *o, uint32_t *groups, unsigned max);
/* returns: nodes of the roster that are not out; at least 1. */
unsigned node_objects_members(const struct node_objects *o);
/* returns: losses of nodes that a group's records survive. */
unsigned node_objects_group_tolerance(const struct node_objects *o, uint32_t group);
/* The nodes of an extent's placement group in order. returns: how many; at least 1. */
unsigned node_objects_place(const struct node_objects *o, struct node_version v, uint32_t extent,
                            uint32_t *group, uint32_t *nodes);
/* The same of a group that is known. */
unsigned node_objects_place_of(const struct node_objects *o, uint32_t group, uint32_t *nodes);

/* Fingerprints of the data cells of an extent, as they are found while it is coded. */
struct node_fingers {
    size_t bytes; /* 32 for each cell */
    uint8_t *data;
    bool whole; /* all are there */
};

/* ---- extents known -------------------------------------------------------------------------- */

/* One extent with all that is needed to read it. Shared, never changed after it was made. */
struct node_extent_info {
    struct node_work link; /* of o->infos, when cached */
    unsigned refs;
    bool cached;
    struct node_objects *o;
    uint32_t group;
    uint32_t extent;
    struct node_version version;
    struct node_shape shape;
    struct erasure_layout layout;    /* of the object up to this extent's end, or all of it */
    struct node_extent e;            /* roots, fingers: behind this struct, empty if not known */
    const struct erasure_code *code; /* NULL if fingers are not known */
    size_t bytes;
    uint8_t hashes[]; /* roots, then fingers */
};
/* size: of the object. e: copied with its roots and fingers. returns: NULL without memory or if the
 * two do not fit one another. */
struct node_extent_info *node_info_new(struct node_objects *o, uint32_t group,
                                       struct node_version v, uint32_t extent,
                                       const struct node_shape *shape, uint64_t size,
                                       const struct node_extent *e);
/* Makes one of an answer to OBJECT_EXTENTS that was asked for this extent with its roots.
 * returns: 0; ERR_DONE if version or extent are no more; ERR_CORRUPT, ERR_NO_MEMORY. */
int node_info_learn(struct node_objects *o, uint32_t group, struct node_version v, uint32_t extent,
                    struct bytes reply, struct node_extent_info **out);
void node_info_retain(struct node_extent_info *info);
void node_info_release(struct node_extent_info *info);
void node_info_cache(struct node_extent_info *info);
void node_info_forget(struct node_extent_info *info);
struct node_extent_info *node_info_find(struct node_objects *o, struct node_version v,
                                        uint32_t extent);
/* returns: the committed root of a data cell of this extent; NULL if roots are not known. */
const uint8_t *node_info_root(const struct node_extent_info *info, uint32_t stripe, uint8_t shard);
/* What the record's fingerprints say a cell's is, data or parity. returns: whether they are known.
 * threads: any. */
bool node_info_finger(const struct node_extent_info *info, uint32_t stripe, uint8_t shard,
                      struct erasure_finger *out);
/* returns: bytes of a cell of this extent. */
uint32_t node_info_cell_bytes(const struct node_extent_info *info, uint32_t stripe, uint8_t shard);
/* returns: the cell number in the segment store. */
uint32_t node_info_cell(const struct node_extent_info *info, uint32_t stripe);
/* Counts and logs a cell with right checksums and wrong bytes. */
void node_info_wrong(const struct node_extent_info *info, uint32_t stripe, uint8_t shard);
/* Counts and logs a stripe whose data is right by its roots, and not by the record's fingerprints.
 */
void node_info_doubted(const struct node_extent_info *info, uint32_t stripe);
/* Tells the group that a shard's holder does not have it whole. Best effort. */
void node_info_damaged(struct node_extent_info *info, uint8_t shard);

/* ---- shard.c: cells on other nodes ---------------------------------------------------------- */

extern const struct node_method node_object_methods[];

struct node_cell_ref {
    struct node_version version;
    uint32_t group;
    uint32_t cell; /* stripe over the whole object */
    uint8_t shard;
};
struct node_cell_write {
    struct node_cell_ref ref;
    uint32_t leaves_count;
    const uint8_t *leaves;
    struct node_blob *data; /* the cell's bytes, exactly */
    uint64_t deadline_us;
};
/* code: 0 when durable at peer. returns: 0 or ERR_NO_MEMORY and done will not be called. */
int node_shard_write(struct node_objects *o, uint32_t peer, const struct node_cell_write *w,
                     void *ctx, node_done_fn *done);
struct node_cell_read {
    struct node_cell_ref ref;
    uint32_t offset;
    uint32_t bytes;
    uint64_t deadline_us;
};
int node_shard_read(struct node_objects *o, uint32_t peer, const struct node_cell_read *r,
                    void *ctx, node_done_fn *done);
struct node_cell_data {
    uint32_t cell_bytes;
    uint32_t leaves_count;
    struct bytes leaves;
    struct bytes data;
};
int node_shard_read_reply(struct bytes reply, struct node_cell_data *out);
void node_cell_ref_put(struct buf *b, const struct node_cell_ref *ref);
void node_cell_ref_take(struct bytes_reader *r, struct node_cell_ref *ref);
struct store_cell_id node_cell_id(const struct node_cell_ref *ref);

/* What is looked at of a shard: whether its cells are there, or also every byte of them. */
#define NODE_CHECK_CELLS_MAX 64u
struct node_cell_check {
    struct node_cell_ref ref;
    uint32_t count; /* cells from ref.cell on, at most NODE_CHECK_CELLS_MAX */
    bool full;
    uint64_t deadline_us;
};
int node_shard_check(struct node_objects *o, uint32_t peer, const struct node_cell_check *c,
                     void *ctx, node_done_fn *done);
struct node_check_result {
    int code; /* 0, ERR_NOT_FOUND, ERR_CORRUPT, or why it could not be looked at */
    uint32_t bytes;
    bool has_root; /* full, and a data cell: of the bytes read */
    uint8_t root[MERKLE_HASH_BYTES];
    bool has_finger; /* full, and parity: of the bytes read */
    struct erasure_finger finger;
};
/* Reads one result after another. returns: false at the end. */
bool node_shard_check_next(struct bytes_reader *r, struct node_check_result *out);

/* returns: whether the bytes that a full check has read are those that the record stands for, as
 * far as it tells: data by its root, parity by its fingerprint. */
bool node_info_same(const struct node_extent_info *info, uint32_t stripe, uint8_t shard,
                    const struct node_check_result *result);

/* ---- leaves.c: on a worker ------------------------------------------------------------------ */

/* Hashes a cell by the processor: leaves of `bytes` bytes, and their root. */
void node_leaves_of(struct compute *c, const uint8_t *data, uint32_t bytes, uint8_t *leaves,
                    uint8_t root[MERKLE_HASH_BYTES]);
/* Leaves of some cells, by whatever the host has: whoever calls leaves it to others to compare what
 * follows from them before anything relies on it. */
void node_leaves_many(const struct node_env *env, const struct compute_leaves *runs,
                      unsigned count);
/* Leaves of one cell that are to fit what is known of it. returns: whether they do, and then they
 * are right; if not, those that were made are the processor's. */
typedef bool node_leaves_fit_fn(void *ctx);
bool node_leaves_check(const struct node_env *env, const struct compute_leaves *run, void *ctx,
                       node_leaves_fit_fn *fits);

/* ---- gather.c ------------------------------------------------------------------------------- */

/* Gets cells of one stripe by decoding k others, each verified as far as it can be: data cells
 * against their committed roots, decoded ones too; parity against fingerprints. */
struct node_gather;
struct node_gather_spec {
    struct node_extent_info *info;
    uint32_t stripe;
    uint32_t wanted; /* bitmap of shards */
    uint32_t avoid;  /* shards not to be read, besides the wanted ones */
    bool by_finger;  /* decoded cells are right by the record's fingerprints too, if it has some; no
                        leaves are given out */
    enum node_lane lane;
    uint64_t deadline_us;
};
struct node_gathered {
    uint8_t *cell[NODE_OBJECT_SHARDS_MAX];          /* by shard: the wanted ones, and those read */
    struct node_blob *blob[NODE_OBJECT_SHARDS_MAX]; /* that hold them, for who retains them: bytes
                                                       behind a short cell mean nothing */
    uint32_t bytes[NODE_OBJECT_SHARDS_MAX];
    uint32_t read;                           /* shards: right by their checksums */
    uint8_t *leaves[NODE_OBJECT_SHARDS_MAX]; /* of wanted data cells */
    uint32_t bad;                            /* shards that could not be read */
    uint32_t coded;                          /* shards whose fingerprints are known, of data */
    const struct erasure_finger *finger;     /* by shard */
    uint64_t moved;                          /* bytes that came from other nodes */
};
/* code: 0; ERR_UNAVAILABLE: too few nodes answered; ERR_LOST: too few cells are intact. g views
 * until done returns. */
typedef void node_gather_fn(struct node *n, void *ctx, int code, const struct node_gathered *g);
/* returns: 0, or ERR_NO_MEMORY and done will not be called. */
int node_gather_start(struct node_objects *o, const struct node_gather_spec *spec, void *ctx,
                      node_gather_fn *done);
void node_gather_free_all(struct node_objects *o);
/* returns: bytes that a gather of this extent keeps in memory, at most. */
uint64_t node_gather_bytes(const struct node_extent_info *info);

/* ---- decoded.c ------------------------------------------------------------------------------ */

/* A data cell in memory. */
struct node_decoded_cell {
    struct node_blob *blob; /* bytes behind a short cell mean nothing */
    uint32_t at;            /* of its first byte */
    bool read;              /* it is not lost, and others were decoded of it */
};
/* One who waits for a cell. shard, stripe and done are the caller's. */
struct node_decoded_use {
    struct node_work link; /* first */
    uint8_t shard;
    bool stripe; /* any data cell: its stripe has lost one, and all will be asked for */
    struct node_decoded_cell cell; /* until it is told */
    /* once, not before node_decoded_want returns; not if the node ends first. code, moved: as of
     * node_gather_fn, or ERR_NOT_FOUND: nothing was decoded of this one; of several who waited
     * the last one is told moved. cell: its blob for who retains it. */
    void (*done)(struct node_decoded_use *use, int code, const struct node_decoded_cell *cell,
                 uint64_t moved);
};
/* Has a cell decoded, with what else of its stripe is lost, or waits for who has it decoded
 * already. spec->wanted: use->shard. Memory is counted in o->run_bytes until use->done. returns: 0;
 * ERR_NOT_FOUND (of the stripe, and none is lost, or it is asked for too late); ERR_BUSY (no room),
 * ERR_NO_MEMORY: done will not be called. */
int node_decoded_want(struct node_objects *o, const struct node_gather_spec *spec,
                      struct node_decoded_use *use);
/* One that was decoded, or for a use of the stripe read, with others. returns: whether there is
 * one: then the caller holds out->blob. */
bool node_decoded_take(struct node_objects *o, const struct node_gather_spec *spec,
                       const struct node_decoded_use *use, struct node_decoded_cell *out);
/* Forgets cells that are kept, as far as others need room. returns: whether so many bytes more may
 * be in memory for programs. */
bool node_decoded_room(struct node_objects *o, uint64_t bytes);
void node_decoded_free_all(struct node_objects *o); /* after all gathers */

/* ---- run_table.c ---------------------------------------------------------------------------- */

/* A table as a request has it: one version of an object. */
struct node_lookup {
    struct bytes bucket;
    struct bytes name;
    struct node_version version;
    uint8_t root[MERKLE_HASH_BYTES];
    uint64_t size;
    uint32_t cell_bytes; /* if it is larger than WIRE_INLINE_BYTES_MAX */
    struct bytes data;   /* else all of it */
};
void node_lookup_put(struct buf *b, const struct node_lookup *l);
/* What is no table fails the reader. */
void node_lookup_take(struct bytes_reader *r, struct node_lookup *l);
/* Appends what a client lists, one after the other. returns: 0; ERR_INVALID, ERR_TOO_LARGE: these
 * are none; ERR_NO_MEMORY. */
int node_lookups_of(struct wire_node list, struct buf *out);

struct node_table;
/* One who uses a table. done and ctx are the caller's. */
struct node_table_use {
    struct node_work link;    /* first */
    struct node_table *table; /* NULL: none is held */
    bool waits;               /* done is to come */
    void *ctx;
    /* once, not before node_table_take returns. code: 0, or the table is not held: ERR_CONFLICT (it
     * is not, or no longer, what was asked for), ERR_LOST, ERR_UNAVAILABLE and what else reads
     * give, ERR_PROTOCOL (no table), ERR_BUSY (no room), ERR_NO_MEMORY. */
    void (*done)(struct node_table_use *use, int code);
    uint64_t fetched; /* bytes that were read for it; of all who waited for a table, one is told */
    uint64_t moved;   /* of these: from other nodes, and what was read there to decode */
};
/* Holds a table: *use is zeroed but for ctx and done. If it waits, done is called later.
 * returns: 0; ERR_BUSY (no room), ERR_NO_MEMORY: it is not held, and done will not be called. */
int node_table_take(struct node_objects *o, const struct node_lookup *l, bool header,
                    struct node_table_use *use);
/* Gives it back, or no longer waits for it. Does nothing if none is held. */
void node_table_give(struct node_table_use *use);
/* returns: the table, as long as it is held; it does not wait. */
const struct compute_table *node_table_of(const struct node_table_use *use);
void node_tables_free_all(struct node_objects *o); /* no jobs are out, and nobody holds any */

/* ---- run_task.c ----------------------------------------------------------------------------- */

/* A program over a part of one data cell, on a worker, a slice at a time. The checksums of a cell
 * that lies here are checked as it is read. */
struct node_run_spec {
    struct bytes program;     /* copied */
    struct bytes lookups;     /* its tables, as node_lookup_put has them; copied */
    uint64_t from;            /* of the part, in the object */
    struct node_cell_ref ref; /* of a cell that lies here */
    uint32_t at;              /* of the part, in the cell */
    uint32_t bytes;
    uint8_t quotes;         /* enum compute_task_quotes: of CSV, where the part begins */
    bool placed;            /* a place was kept for it, which the caller gives up */
    struct node_blob *data; /* has the part, retained; NULL: it is read from the cell */
    uint32_t data_at;       /* where the part begins in it */
    uint64_t deadline_us;
    uint32_t asker;  /* the node that it is run for */
    uint64_t ticket; /* its name there, not 0 */
};
/* code: 0 with the state of the task (compute/task.h), which lasts until done returns; of a program
 * with tables behind what node_run_cost_take reads. With another code, state is the number of the
 * table that is missing, a byte, or empty. ERR_INVALID: the program is none, or not of these
 * tables. ERR_TOO_LARGE: the budget of work, memory or bytes of the state is spent; of a smaller
 * part it may not be. ERR_TIMEOUT; what store_segments_get returns. */
typedef void node_run_fn(struct node *n, void *ctx, int code, struct bytes state);
/* Takes what tables cost from the beginning of a state. returns: whether it was there. */
bool node_run_cost_take(struct bytes *state, uint64_t *fetched, uint64_t *moved);
/* returns: 0, or ERR_BUSY (too many; not if it is placed), ERR_TOO_LARGE (the program),
 * ERR_NO_MEMORY, and done will not be called. */
int node_run_start(struct node_objects *o, const struct node_run_spec *spec, void *ctx,
                   node_run_fn *done);
/* returns: whether there is room for one more task. Counting o->run_places up keeps it. */
bool node_run_has_place(const struct node_objects *o);
/* Ends the tasks of a ticket, or of 0: all for this node, with ERR_CANCELLED, before it returns. */
void node_run_stop(struct node_objects *o, uint32_t asker, uint64_t ticket);
void node_run_tasks_end(struct node_objects *o); /* all that wait: no jobs are out */
/* The same where the cell lies: answers with the state. */
void node_run_serve(struct node *n, struct node_request request, struct bytes body);
/* The body of that call, without `data`. */
void node_run_put(struct buf *b, const struct node_run_spec *spec, uint64_t left_us);
/* returns: whether it is one; program and lookups view it. */
bool node_run_take(struct bytes body, struct node_run_spec *spec, uint64_t *left_us);
/* Asks the holder. returns: 0 or ERR_NO_MEMORY and done will not be called. */
int node_run_ask(struct node_objects *o, uint32_t peer, const struct node_run_spec *spec, void *ctx,
                 node_done_fn *done);
/* Asks the holder how far it is, or to stop: code 0, or ERR_NOT_FOUND if it has no such task.
 * returns: 0 or ERR_NO_MEMORY and done will not be called. */
struct node_run_look {
    uint64_t ticket;
    bool stop;
    uint64_t deadline_us;
};
int node_run_look(struct node_objects *o, uint32_t peer, const struct node_run_look *look,
                  void *ctx, node_done_fn *done);
/* returns: whether it is an answer to that; slices: a number that grows while the node computes. */
bool node_run_look_reply(struct bytes reply, uint64_t *slices);
void node_run_look_serve(struct node *n, struct node_request request, struct bytes body);

/* ---- rebuild.c ------------------------------------------------------------------------------ */

/* Rebuilds shards of a whole extent at targets. */
struct node_rebuild;
struct node_rebuild_spec {
    struct node_extent_info *info; /* retained */
    uint32_t wanted;
    uint32_t avoid;
    uint32_t target[NODE_OBJECT_SHARDS_MAX]; /* by shard */
    enum node_lane lane;
    uint64_t bytes_per_s; /* 0: as fast as it goes */
    /* NULL, or gets the fingerprints of the data cells; lives until done. Whole is set where parity
     * was made in every stripe. */
    struct node_fingers *fingers;
};
/* code: 0 when every wanted shard is durable at its target. failed: shards that are not. */
typedef void node_rebuild_fn(struct node *n, void *ctx, int code, uint32_t failed);
struct node_rebuild *node_rebuild_start(struct node_objects *o,
                                        const struct node_rebuild_spec *spec, void *ctx,
                                        node_rebuild_fn *done);
void node_rebuild_free_all(struct node_objects *o);

/* ---- derive.c ------------------------------------------------------------------------------- */

/* A data cell that a scan gives of another one (compute/carry.h), and its writing. */
struct node_derive_spec {
    struct bytes program; /* copied, as is carry */
    struct bytes carry;   /* of all before the cell */
    uint64_t from;        /* of the cell, in the object */
    struct node_cell_ref in;
    uint32_t bytes;
    struct node_blob *data; /* the input's bytes, retained; NULL: the cell lies here */
    struct node_cell_ref out;
    uint32_t target; /* who is to have it */
    uint64_t deadline_us;
};
struct node_derived {
    const uint8_t *root;
    struct bytes carry; /* behind the cell */
};
/* code: 0, and the cell is durable at its target; views last until done returns. ERR_NOT_FOUND,
 * ERR_CORRUPT, ERR_RANGE: the input's cell is not as it should be; ERR_INVALID: no such program;
 * else as of compute_carry_scan, and of writes. */
typedef void node_derive_fn(struct node *n, void *ctx, int code, const struct node_derived *d);
/* returns: 0, or ERR_BUSY, ERR_TOO_LARGE, ERR_NO_MEMORY, and done will not be called. */
int node_derive_start(struct node_objects *o, const struct node_derive_spec *spec, void *ctx,
                      node_derive_fn *done);
/* Has it done where the input's cell lies, which is its target. */
int node_derive_ask(struct node_objects *o, uint32_t peer, const struct node_derive_spec *spec,
                    void *ctx, node_done_fn *done);
int node_derive_reply(struct bytes reply, struct node_derived *out);
void node_derive_serve(struct node *n, struct node_request request, struct bytes body);

/* Parity of an extent whose data cells are durable, e->roots being theirs. */
struct node_parity_spec {
    struct node_version version;
    uint32_t group;
    uint32_t extent;
    const struct node_shape *shape;
    uint64_t size; /* of the object, up to the extent's end at least */
    const struct node_extent *e;
    uint32_t wanted; /* parity shards */
    uint32_t target[NODE_OBJECT_SHARDS_MAX];
    uint64_t deadline_us;
};
/* Has another node make and write it. returns: 0 or why done will not be called. */
int node_parity_ask(struct node_objects *o, uint32_t peer, const struct node_parity_spec *spec,
                    void *ctx, node_done_fn *done);
/* failed: shards that are not durable at their targets. fingers: of all data cells, or empty; views
 * reply. */
int node_parity_reply(struct bytes reply, uint32_t *failed, struct bytes *fingers);
void node_parity_serve(struct node *n, struct node_request request, struct bytes body);
void node_parities_free_all(struct node_objects *o);

/* ---- put.c, get.c and the rest -------------------------------------------------------------- */

void node_put_conn_gone(struct node_objects *o, uint64_t conn);
void node_put_free_all(struct node_objects *o);
void node_put_open(struct node *n, struct node_client client, const struct wire_rpc *req);
void node_put_part(struct node *n, struct node_client client, const struct wire_rpc *req);
void node_put_commit(struct node *n, struct node_client client, const struct wire_rpc *req);
void node_put_abort(struct node *n, struct node_client client, const struct wire_rpc *req);
void node_put_derive(struct node *n, struct node_client client, const struct wire_rpc *req);
void node_put_derive_cell(struct node *n, struct node_client client, const struct wire_rpc *req);
void node_derive_cells_free_all(struct node_objects *o);

/* A range of bytes of a version, within one data cell. The caller fills the first part. */
struct node_cell_range {
    struct node_objects *o;
    uint32_t group;
    struct node_version version;
    uint64_t offset;
    uint64_t length;
    uint64_t deadline_us;
    void (*done)(struct node_cell_range *r, int code);

    struct node_extent_info *info; /* held, once it is found */
    struct erasure_place place;
    uint32_t at;     /* in the cell */
    uint32_t extent; /* asked for */
    bool refreshed;
};
/* done comes before the return, where the extent is known, or later, once: with 0, ERR_RANGE where
 * the range is not within one cell, ERR_VERSION_GONE, or why it could not be asked. */
void node_cell_range_find(struct node_cell_range *r);
/* The same, by what the group says now: it has moved, or is damaged. */
void node_cell_range_refresh(struct node_cell_range *r);
void node_cell_range_release(struct node_cell_range *r);

void node_get_read(struct node *n, struct node_client client, const struct wire_rpc *req);
/* The same for this node itself, of any range within one cell. */
struct node_get_spec {
    uint32_t group;
    struct node_version version;
    uint64_t offset;
    uint64_t length;
    enum node_lane lane;
    uint64_t deadline_us;
};
struct node_got {
    uint64_t offset;
    struct bytes data; /* verified; a view until done returns */
    uint64_t moved;    /* bytes that came from other nodes */
};
typedef void node_get_fn(struct node *n, void *ctx, int code, const struct node_got *got);
/* done: once, perhaps before the return; but not if the node ends first. code: as of
 * node_cell_range_find and node_gather_start.
 * returns: 0, or ERR_NO_MEMORY and done will not be called. */
int node_get_start(struct node_objects *o, const struct node_get_spec *spec, void *ctx,
                   node_get_fn *done);
void node_get_free_all(struct node_objects *o);

void node_run_object(struct node *n, struct node_client client, const struct wire_rpc *req);
/* object.run.look */
void node_run_look_object(struct node *n, struct node_client client, const struct wire_rpc *req);
void node_run_conn_gone(struct node_objects *o, uint64_t conn);
void node_run_free_all(struct node_objects *o);

void node_verify_object(struct node *n, struct node_client client, const struct wire_rpc *req);

int node_repair_new(struct node_objects *o);
void node_repair_start(struct node_objects *o);
void node_repair_free(struct node_objects *o);
void node_repair_kick(struct node_objects *o);
void node_repair_hint(struct node_objects *o, uint32_t home); /* something of `home` is missing */
/* returns: whether a shard of the version is being repaired here. */
bool node_repair_works_on(const struct node_objects *o, struct node_version version);
void node_repair_status(const struct node_objects *o, uint64_t *out, uint64_t *waiting);

int node_audit_new(struct node_objects *o);
void node_audit_start(struct node_objects *o);
void node_audit_free(struct node_objects *o);
void node_audit_led(struct node_objects *o, uint32_t group);

int node_scrub_new(struct node_objects *o);
void node_scrub_start(struct node_objects *o);
void node_scrub_free(struct node_objects *o);

/* ---- object_moves.c, rehome.c --------------------------------------------------------------- */

/* The nodes of a placement group, in its order. */
struct node_moves_nodes {
    unsigned count;
    uint32_t id[NODE_OBJECTS_PEERS_MAX];
    bool out[NODE_OBJECTS_PEERS_MAX]; /* of the cluster, by decision of group 0 */
    bool fit[NODE_OBJECTS_PEERS_MAX]; /* can take shards now */
};
struct node_moves {
    uint32_t lost;                       /* their holders are out: they no longer count */
    uint32_t waiting;                    /* without a place */
    uint32_t to[NODE_OBJECT_SHARDS_MAX]; /* homes from now on */
};
/* returns: whether the extent is to be changed. */
bool node_moves_plan(const struct node_extent *e, const struct node_moves_nodes *nodes,
                     struct node_moves *m);

int node_rehome_new(struct node_objects *o);
void node_rehome_free(struct node_objects *o);
void node_rehome_kick(struct node_objects *o);
/* Group 0 has decided about a node. */
void node_rehome_decided(struct node_objects *o, uint32_t node, bool out);
uint64_t node_rehome_waiting(const struct node_objects *o); /* shards without a place, last walk */

/* ---- digest.c ------------------------------------------------------------------------------- */

int node_digest_new(struct node_objects *o);
void node_digest_free(struct node_objects *o);
/* Sums up a group's state anew, if it has a replica here and no other is being summed up. */
void node_digest_start(struct node_objects *o, uint32_t group);

/* ---- surplus.c ------------------------------------------------------------------------------ */

int node_surplus_new(struct node_objects *o);
void node_surplus_free(struct node_objects *o);
void node_surplus_walk(struct node_objects *o); /* all that is on the disk, soon */
/* shard->cell means nothing: the extent's copy of this shard may be surplus here. */
void node_surplus_add(struct node_objects *o, const struct node_cell_ref *shard, uint32_t extent);
/* Cells of a version are written here, or looked at to be counted on. */
void node_surplus_touch(struct node_objects *o, struct node_version version);
/* returns: whether cells of a version are being deleted: they are not to be counted on. */
bool node_surplus_deleting(const struct node_objects *o, struct node_version version);
/* Tells a node that it may have a surplus copy. */
void node_surplus_hint(struct node_objects *o, uint32_t peer, const struct node_cell_ref *shard,
                       uint32_t extent);

/* What of an object is missing, and how many nodes its shards may still lose. */
struct node_object_state {
    uint64_t missing;
    unsigned survives;
    bool derived;   /* by object.derive: says what went between nodes, too */
    uint64_t moved; /* bytes */
};
/* The map of object.stat. */
int node_object_pack(struct node_objects *o, uint32_t group, const struct node_object *obj,
                     const struct node_object_state *state, struct buf *out);

#endif
