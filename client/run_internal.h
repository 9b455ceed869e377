/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What run.c, a program over objects one after the other, run_part.c, the parts of one object's
 * cells, run_vote.c, the comparing of them, run_table.c, the tables that it looks into, and
 * run_job.c, the job that it belongs to, need of each other.
 *
 * threads: the loop's.
 */
#ifndef HOLDFAST_CLIENT_RUN_INTERNAL_H
#define HOLDFAST_CLIENT_RUN_INTERNAL_H

#include "client/object_internal.h"
#include "client/run_pace.h"
#include "client/spill_internal.h"
#include "compute/table.h"
#include "compute/task.h"

#define RUN_WINDOW 64u /* cells that are asked for at once, at most */
#define RUN_VOTES_MAX 3u

struct run_slot;

/* One of at most two who are asked for the same part. */
struct run_ask {
    struct run_slot *slot;
    struct hf_call *call; /* NULL: none is under way */
    uint64_t sent_ms;
    unsigned depth; /* parts that its node had to compute then, with this one */
    enum wire_run_where where;
};

/* What one node has computed of a part. */
struct run_vote {
    uint32_t node;
    uint8_t digest[MERKLE_HASH_BYTES];
};

/* One cell. */
struct run_slot {
    struct hf_run *run;
    struct run_ask first;
    struct run_ask backup;
    struct hf_call *look; /* how far the first is */
    uint64_t steps;       /* as it told */
    unsigned idle;        /* questions since it told of more */
    uint64_t look_ms;     /* when it is asked again */
    uint64_t late_ms;     /* when it is late, if it was found so before; or 0 */
    bool backed;          /* this part has had its backup */
    uint64_t cell;
    uint64_t at;                     /* before it all is computed */
    uint64_t end;                    /* of the cell, in the object */
    uint64_t bytes;                  /* asked for */
    enum compute_task_quotes quotes; /* told when it was asked for */
    unsigned tries;
    bool decoded;
    bool local; /* the last part: computed where it lies */
    uint64_t kept_bytes;
    struct compute_task *kept;
    /* Of a job (run_job.c): */
    struct job_op *look_up;     /* whether the cell's state is committed; NULL: none is under way */
    bool resumed;               /* it was */
    uint32_t node;              /* id of the one that computed the last part */
    uint64_t whole_bytes;       /* of states of the cell that were joined */
    struct compute_task *whole; /* these states, as one; NULL: none, or too much */
    /* Of a cell that two nodes compute (run_vote.c): */
    bool voted;
    unsigned votes_count; /* of this part */
    unsigned vote_tries;  /* nodes that were asked after the first two */
    struct run_vote votes[RUN_VOTES_MAX];
};

struct run_fetch;
struct hf_job;

/* Is told of each cell of an object that is joined, in their order: t is the state of all up to
 * its end. returns: 0, or why the run ends. */
struct hf_run_hook {
    void *ctx;
    int (*joined)(void *ctx, uint64_t cell, const struct compute_task *t);
};

/* One `lookup` of the program. */
struct run_table {
    struct buf bucket; /* of the object */
    struct buf name;
    struct hf_object_info info;
    uint32_t read;  /* the table that has the bytes of this one: itself or an earlier one */
    uint32_t index; /* the same of the index */
    struct buf data;
    struct compute_table *table;
};

struct hf_run {
    struct hf_transfer transfer; /* first */
    struct buf bucket;
    struct buf name;   /* of the object whose turn it is */
    bool many;         /* all whose names begin with prefix */
    struct buf prefix; /* and, in messages, an asterisk */
    struct buf page;   /* names that were listed, as buf_put_bytes has them */
    size_t page_at;    /* those before it have had their turn */
    bool page_more;    /* there are others behind it */
    bool listing;      /* what goes wrong now is so of all, not of the object of that name */
    struct buf text;   /* of the program */
    struct hf_sink sink;
    uint64_t memory_bytes;
    char *spill_dir; /* NULL: none */
    struct hf_spill spill;
    uint64_t timeout_ms;
    struct compute_program *program;
    uint64_t seed;
    struct run_table tables[COMPUTE_PROGRAM_LOOKUPS_MAX];
    uint32_t tables_count;
    uint32_t tables_at;        /* those before it are here */
    struct run_fetch *fetch;   /* of that one, or NULL */
    uint64_t tables_bytes;     /* that were read, of all of them */
    uint64_t small_bytes;      /* of those that go along with each question */
    struct compute_task *task; /* of all before the first slot's */
    struct hf_object_info info;
    struct hf_cells cells;
    struct hf_run_info cost;
    struct hf_run_info before; /* this object */
    struct hf_call *call;      /* of anything but cells */
    struct run_slot slots[RUN_WINDOW];
    unsigned first;
    unsigned count;
    unsigned window;           /* as far as what came was not too much */
    struct run_paces paces[2]; /* of parts that were read, and of those that were decoded */
    unsigned backups;          /* under way */
    uint64_t next;             /* byte of the next cell to ask for */
    uint64_t part_bytes;       /* most that is asked for at once */
    unsigned fits;
    uint64_t written;
    unsigned restarts;   /* of this object */
    unsigned beginnings; /* from the first object on, but the first */
    void *nodes_ctx;
    hf_run_nodes_fn *nodes_fn;
    bool no_backups;
    hf_run_tables_fn *tables_fn;
    struct hf_run_hook hook; /* joined: NULL, or called */
    struct hf_job *job;      /* NULL: none */
    uint64_t resumed_bytes;  /* of cells whose states were found */
    bool check;              /* two nodes compute each cell */
    hf_run_disagreed_fn *disagreed_fn;
    uint64_t skip;                          /* bytes that were printed before the run began again */
    struct hf_run_node nodes[HF_NODES_MAX]; /* of objects that have ended, by id */
    unsigned nodes_count;
    void *progress_ctx;
    void (*progress)(void *ctx, uint64_t bytes, uint64_t total);
    void *ctx;
    hf_done_fn *done;
};

/* ---- run.c ---------------------------------------------------------------------------------- */

/* hf_object_run, of one object, with a hook. */
int hf_run_hooked(struct hf_client *c, const struct hf_object *o, const struct hf_program *program,
                  const struct hf_run_hook *hook, void *ctx, hf_done_fn *done);
void hf_run_end(struct hf_run *r, int code, const char *text);
/* Ends the run if err is not 0. */
void hf_run_settle(struct hf_run *r, int err);
/* Gives what there is to print to the sink. */
int hf_run_print(struct hf_run *r);
/* After work that may have taken long: nothing was read meanwhile, so the time was this program's
 * own, and nodes that were asked have it back. */
void hf_run_own_time(struct hf_run *r);
/* The version was replaced and freed meanwhile. */
void hf_run_again(struct hf_run *r);
/* All of an object is joined, or what is behind does not matter. */
void hf_run_object_ended(struct hf_run *r);
/* The whole once more, of what is known to be right: nothing is printed twice. Ends the run if that
 * cannot be. */
void hf_run_once_more(struct hf_run *r);
/* Begins with the first object: all tables are here. returns: 0, or why it cannot. */
int hf_run_first(struct hf_run *r);
/* The same, once the job's head is there. */
int hf_run_objects(struct hf_run *r);
/* All is joined, or what is behind does not matter. Ends the run, unless a job keeps it. */
void hf_run_finish(struct hf_run *r);
/* What is counted of a node; NULL: there are too many. */
struct hf_run_node *hf_run_node(struct hf_run *r, uint32_t id);

/* ---- run_table.c ---------------------------------------------------------------------------- */

/* Which objects the program's tables are. returns: 0; ERR_INVALID, ERR_BAD_NAME: a table is no
 * object, is given twice, or is not the program's; ERR_NO_MEMORY. */
int hf_run_tables_init(struct hf_run *r, const struct hf_program *program);
/* Reads them, then goes on by hf_run_first. returns: 0, or why it cannot begin. */
int hf_run_tables_begin(struct hf_run *r);
void hf_run_tables_pack(const struct hf_run *r, struct buf *out);
void hf_run_tables_release(struct hf_run *r);

/* ---- run_part.c ----------------------------------------------------------------------------- */

/* Lets go of all that is under way; nodes are told to stop. */
void hf_run_drop(struct hf_run *r);
/* Keeps the window full. Ends the object when all is joined. */
void hf_run_pump(struct hf_run *r);
/* Looks at parts that take long. */
void hf_run_tick(struct hf_transfer *t);
/* Asks for the next part of a cell, unless it has to wait for its turn. returns: 0, or why not. */
int hf_run_next(struct run_slot *slot);
/* Asks a node for the part apart from the cell's holder, for a vote. returns: 0, or why not. */
int hf_run_ask_apart(struct run_slot *slot);

/* ---- run_job.c: all do nothing, and say so, where there is no job ---------------------------- */

/* returns: 0, ERR_TOO_LARGE (the key), ERR_NO_MEMORY. */
int hf_job_init(struct hf_run *r, struct bytes key);
void hf_job_release(struct hf_run *r);
/* returns: whether the head is to be made before the first object. */
bool hf_job_begins(const struct hf_run *r);
/* Makes or finds it, then goes on by hf_run_objects. returns: 0, or why it cannot begin. */
int hf_job_begin(struct hf_run *r);
/* The object whose turn it is becomes part of the job. returns: 0, or why it cannot. */
int hf_job_object(struct hf_run *r);
/* A cell's state is looked for, or its first part asked for. returns: 0, or why that cannot be. */
int hf_job_look(struct run_slot *slot);
/* The slot is let go of. */
void hf_job_drop(struct run_slot *slot);
/* What the slot has kept was joined, and may be taken. quotes: with which it begins. returns: 0, or
 * why the run ends. */
int hf_job_joined(struct run_slot *slot, enum compute_task_quotes quotes);
/* All of the cell was joined: commits its state. returns: 0, or why the run ends. */
int hf_job_cell(struct run_slot *slot);
/* returns: whether all that was joined is committed. */
bool hf_job_is_settled(const struct hf_run *r);
/* returns: whether no more is to be joined now; then hf_run_pump is called when it may be. */
bool hf_job_waits(struct hf_run *r);
/* returns: whether something of the object is not committed; then hf_run_object_ended is called
 * when all is. */
bool hf_job_object_waits(struct hf_run *r);
/* returns: whether something is not committed; then hf_run_finish is called when all is. */
bool hf_job_finish_waits(struct hf_run *r);
/* The run begins again: commits that are under way are left to themselves. */
void hf_job_restart(struct hf_run *r);

/* ---- run_vote.c ----------------------------------------------------------------------------- */

/* The call is to go to a node that has not yet computed the part. */
void hf_vote_avoid(const struct run_slot *slot, struct hf_call *call);
/* A state of the part has come. apart: it was asked for so. returns: whether it is the one that two
 * nodes have computed; else it is freed, and another is waited for or asked for, or the run has
 * ended. */
bool hf_vote_take(struct run_slot *slot, struct compute_task *part, const struct hf_reply *reply,
                  bool apart);
/* One that was asked has no state. returns: whether others are asked; or the run has ended. */
bool hf_vote_failed(struct run_slot *slot);
/* Tells of a node whose state of a cell was not that of two others. */
void hf_vote_tell(struct hf_run *r, uint64_t cell, uint32_t node);

#endif
