/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A cluster for tests: hosts with a disk each that keeps what was synced, a network whose messages
 * wait until the test delivers, drops or copies them, and a judge that checks after every step:
 * one leader a term, one entry an index, no committed entry missing in a new leader, commit never
 * falls, nothing sent before it is durable, reads not older than what was committed.
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_UNIT_RAFT_FIXTURE_H
#define HOLDFAST_TESTS_UNIT_RAFT_FIXTURE_H

#include "base/rng.h"
#include "raft/raft.h"

#define FX_NODES_MAX 5
#define FX_GROUPS_MAX 4
#define FX_LOG_MAX 4096
#define FX_NET_MAX 16384
#define FX_PENDING_MAX 4096
#define FX_READS_MAX 4096

struct fx_disk {
    uint64_t term;
    uint32_t vote;
    uint64_t commit;
    uint64_t base_index;
    uint64_t base_term;
    uint64_t last_index;
    struct raft_entry log[FX_LOG_MAX]; /* by index */
    bool hard_lost;
    bool tail_ambiguous;
    uint64_t applied; /* durable state machine */
};

struct fx_pending {
    struct raft_action action;
    struct raft_entry *entries;
};

struct fx_message {
    struct raft_message m;
    struct raft_entry *entries;
    struct raft_heartbeat *beats;
    uint64_t after_seq;
};

struct fx_read {
    uint64_t ctx;
    uint32_t group;
    uint64_t least; /* what was committed when it was asked */
    bool ok;
    bool ended;
    uint64_t index;
    int code;
};

struct fx_group_view {
    enum raft_role role;
    uint64_t term;
    uint32_t leader;
    uint64_t commit;
    uint64_t applied; /* volatile state machine */
    uint64_t snapshot_wanted[FX_NODES_MAX + 1];
    uint64_t install_index;
    uint64_t install_term;
    uint32_t install_from;
    unsigned installs;
    unsigned fenced;
    unsigned snapshot_sends;
};

struct fx_node {
    struct raft_host *host;
    bool up;
    uint64_t durable_seq;
    struct fx_disk disk[FX_GROUPS_MAX];
    struct fx_group_view view[FX_GROUPS_MAX];
    struct fx_pending pending[FX_PENDING_MAX];
    unsigned pending_count;
    struct fx_message held[FX_PENDING_MAX]; /* wait for the disk */
    unsigned held_count;
    struct fx_read reads[FX_READS_MAX];
    unsigned reads_count;
    unsigned boots;
    uint64_t persists;
    uint64_t sends;
};

struct fx_committed {
    uint64_t term;
    uint64_t ref;
    uint64_t time_us;
};

struct fx {
    unsigned nodes;
    unsigned groups;
    uint64_t now_us;
    struct rng rng;
    struct raft_options options; /* node, seed are set per node */
    struct fx_node node[FX_NODES_MAX + 1];
    struct fx_message net[FX_NET_MAX];
    unsigned net_count;
    bool cut[FX_NODES_MAX + 1][FX_NODES_MAX + 1];
    bool manual_sync;    /* fx_settle syncs nothing */
    bool manual_install; /* snapshots wait for fx_install */
    struct fx_committed committed[FX_GROUPS_MAX][FX_LOG_MAX];
    uint64_t committed_max[FX_GROUPS_MAX];
    uint32_t leader_of[FX_GROUPS_MAX][4096]; /* by term */
    uint64_t next_ref;
    uint64_t next_ctx;
    uint64_t trace; /* hash over all actions */
    char *text;     /* golden traces */
    size_t text_used;
    size_t text_cap;
};

/* Makes a cluster that is not started. Options may be changed before fx_start. */
struct fx *fx_new(unsigned nodes, uint64_t seed);
void fx_free(struct fx *f);
void fx_start(struct fx *f);
void fx_boot(struct fx *f, unsigned node);
/* Loses what is not synced beyond the first `keep` waiting persists. */
void fx_crash(struct fx *f, unsigned node, unsigned keep);
void fx_restart(struct fx *f, unsigned node);

int fx_step(struct fx *f, unsigned node, struct raft_event ev);
void fx_tick(struct fx *f, unsigned node);
/* Syncs up to count waiting persists of node. */
void fx_sync(struct fx *f, unsigned node, unsigned count);
void fx_sync_all(struct fx *f);
/* Takes message `at` off the network and gives it to its receiver, or drops it if cut. */
int fx_deliver(struct fx *f, unsigned at);
void fx_drop(struct fx *f, unsigned at);
void fx_copy(struct fx *f, unsigned at);
/* Puts a message on the network. */
void fx_inject(struct fx *f, const struct raft_message *m);
/* Delivers and syncs until nothing is left to do now. */
void fx_settle(struct fx *f);
/* Lets time pass, settling at every deadline. */
void fx_run(struct fx *f, uint64_t us);
void fx_isolate(struct fx *f, unsigned node, bool cut);
void fx_install(struct fx *f, unsigned node, uint32_t group);

int fx_propose(struct fx *f, unsigned node, uint32_t group, unsigned count);
uint64_t fx_read(struct fx *f, unsigned node, uint32_t group); /* 0: refused */
const struct fx_read *fx_read_get(const struct fx *f, unsigned node, uint64_t ctx);
void fx_compact(struct fx *f, unsigned node, uint32_t group, uint64_t index);
struct raft_status fx_status(const struct fx *f, unsigned node, uint32_t group);
/* returns: the only leader of the highest term whose no-op is committed, or 0. */
unsigned fx_leader(const struct fx *f, uint32_t group);
/* Runs until there is one, at most for us. returns: it; fails the test if none. */
unsigned fx_elect(struct fx *f, uint32_t group, uint64_t us);
bool fx_equal(const struct fx *f, uint32_t group); /* all that are up applied the same, all of it */
/* A disk that has terms[0..count-1] as its log. */
void fx_disk_log(struct fx *f, unsigned node, uint32_t group, const uint64_t *terms,
                 unsigned count);
/* Adds to the trace, if one is kept. */
void fx_note(struct fx *f, const char *format, ...);
void fx_note_action(struct fx *f, unsigned node, const struct raft_action *a);

#endif
