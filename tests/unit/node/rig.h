/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A cluster of nodes in one thread: instant jobs and disks, a network that keeps order, virtual
 * time that moves when nothing else does. Messages can be stopped between nodes; nodes can be
 * stopped and started on what their disks kept.
 *
 * threads: one owner.
 */
#ifndef HOLDFAST_TESTS_UNIT_NODE_RIG_H
#define HOLDFAST_TESTS_UNIT_NODE_RIG_H

#include "server/node/node_internal.h"
#include "store/kv.h"
#include "tests/unit/store/mem_disk.h"

#define RIG_NODES_MAX 6u
#define RIG_REPLIES_MAX 4096u

struct rig_message {
    uint32_t from, to;
    uint16_t kind;
    struct buf body;
};

struct rig_node {
    bool up;
    struct node *node;
    struct disk disk;
    struct mem_disk *mem;
    struct store_kv kv;
    struct store_wal *wal;
    struct store_segments *segments;
    struct store_kv seg_kv;
    struct node_env env;
    struct wire_identity identity;
    uint64_t boot;
    bool stopped; /* asked to be stopped */
    int stop_code;
    bool left;         /* said that it has left */
    uint64_t ahead_us; /* of its wall clock */
    bool jobs_held;    /* jobs wait in the queue */
    bool jobs_counted; /* so many run before they wait: */
    unsigned jobs_left;
    bool in_job;
    bool wal_held;
    struct node_job *jobs[256];
    unsigned jobs_count;
    struct node_wal_batch *batch;
};

struct rig_reply {
    uint32_t node;
    uint64_t conn;
    struct buf raw;
};

struct rig {
    unsigned nodes_count;
    struct rig_node nodes[RIG_NODES_MAX];
    uint64_t now;
    bool cut[RIG_NODES_MAX][RIG_NODES_MAX]; /* messages from one to the other are lost */
    struct rig_message *wire;
    unsigned wire_count, wire_cap;
    struct rig_reply replies[RIG_REPLIES_MAX];
    unsigned replies_count;
    unsigned closes;
    uint32_t next_msgid;
    uint32_t log_keep;
    uint32_t wal_segment_bytes; /* of nodes that start from now on */
    uint64_t salt;              /* in the nonces of processes that start from now on */
    uint64_t flush_interval_us;
    uint64_t session_ttl_us;
    uint64_t once_ttl_us;
    uint64_t intent_ttl_us, free_delay_us, put_deadline_us, audit_interval_us; /* 0: default */
    uint64_t repair_delay_us;
    struct erasure_kernel kernel; /* of nodes started from then on */
    struct compute_whole whole;   /* of all nodes */
    bool mute;                    /* nodes that start from now on do not gossip */
    struct log *log;              /* of nodes that start from now on, or NULL */
    /* Sees each message before it is delivered, and may change it. NULL: nobody. */
    void (*on_message)(void *ctx, struct rig_message *m);
    void *on_message_ctx;
    struct compute *compute;
    struct limits limits;
    struct alloc heap;
    struct wire_decoder *decoder;
};

struct rig *rig_new(unsigned nodes);
struct rig *rig_make(unsigned nodes); /* none of them is started yet */
void rig_free(struct rig *r);
void rig_start(struct rig *r, unsigned i); /* from 1 */
/* The same where its disk may fail. returns: why it did not start, 0 if it did. */
int rig_try_start(struct rig *r, unsigned i, struct err_info *why);
void rig_stop(struct rig *r, unsigned i);

/* A data directory. */
struct rig_dir {
    bool there;
    struct disk disk;
    struct mem_disk *mem;
    struct store_kv kv;
    struct store_kv seg_kv;
    uint64_t boot;
};
/* What node i's is now; if it runs, as a crash would leave it. d: empty or one to replace. */
void rig_dir_take(struct rig *r, unsigned i, struct rig_dir *d);
/* Node i, which does not run, has that one from now on, and d is the one that it had. */
void rig_dir_swap(struct rig *r, unsigned i, struct rig_dir *d);
void rig_dir_free(struct rig_dir *d);
/* Damages records of this kind of the own group of node i, which does not run: `count` of them, in
 * order of their names, after the first `sound`. returns: how many it damaged. */
unsigned rig_rot(struct rig *r, unsigned i, uint8_t kind, unsigned sound, unsigned count);

void rig_link(struct rig *r, unsigned a, unsigned b, bool on); /* both ways */
void rig_isolate(struct rig *r, unsigned i, bool on);
/* Runs until nothing is under way, then for us of time. */
void rig_run(struct rig *r, uint64_t us);
/* Runs until a node leads group. returns: it, 0 if none does within ten seconds. */
unsigned rig_leader(struct rig *r, uint32_t group);
/* Runs until every node that is up has applied the same of group. */
bool rig_settle(struct rig *r, uint32_t group);

/* Sends raw bytes of a client's request to a node; the answer is found by its msgid. */
void rig_send(struct rig *r, unsigned i, struct bytes raw);
/* The connection of all requests to a node ends, and there is another one. */
void rig_hang_up(struct rig *r, unsigned i);
/* A request: method, then its parameters as words: "s:text", "u:7", "i:-3", "n:", joined by '|';
 * the option map is the last word, "o:stale", "o:session=ID,SEQ,ACK", "o:deadline=MS".
 * returns: its msgid. */
uint32_t rig_ask(struct rig *r, unsigned i, const char *method, const char *words);
/* returns: the code of the answer; 1 if there is none yet. result: of an error its hint; valid
 * until the next call. */
int rig_answer(struct rig *r, uint32_t msgid, struct wire_node *result);
/* Asks and runs until the answer is there. */
int rig_call(struct rig *r, unsigned i, const char *method, const char *words,
             struct wire_node *result);
bool rig_digests_equal(struct rig *r, uint32_t group);

#endif
