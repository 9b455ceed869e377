/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Insides of the consensus core: host, group, log ring and progress, shared by the files of this
 * folder and its unit tests.
 *
 *   setup.c      options, memory, groups and what they had on disk
 *   host.c       events in, actions out, timers
 *   persist.c    order of the disk: PERSIST and SEND
 *   message.c    bytes of messages
 *   step.c       one message: who may speak, terms, dispatch
 *   log.c        ring of entry metadata, what of it is durable
 *   election.c   roles, pre-vote, votes
 *   beat.c       coalesced heartbeats, rounds, check-quorum
 *   replicate.c  leader to follower: progress, flow control
 *   follow.c     follower: append, conflict, acknowledgement
 *   commit.c     commit_index
 *   read.c       read index
 *   snapshot.c   offers, installation, compaction
 *   recover.c    faulty entries, ambiguous tails
 *   status.c     status and digest
 */
#ifndef HOLDFAST_RAFT_RAFT_INTERNAL_H
#define HOLDFAST_RAFT_RAFT_INTERNAL_H

#include "base/num.h"
#include "base/rng.h"
#include "raft/raft.h"

#define RAFT_NEVER UINT64_MAX
#define RAFT_ROUNDS_KEPT 64u            /* a power of two */
#define RAFT_TERM_JUMP_MAX (1ull << 32) /* a larger one is absurd: refused */
#define RAFT_ACTIONS_KEPT 16u           /* a group: persists and the like of one event, at most */
#define RAFT_UNWELL_WAITS 3u            /* time-outs without a leader that the unwell wait */
#define RAFT_ROOM_KEPT 16u              /* log slots a leader keeps for the no-ops to come */

/* ---- log ---------------------------------------------------------------------------------- */

struct raft_slot {
    struct raft_entry entry;
    uint64_t seq; /* of the PERSIST that wrote it; 0: recovered */
};

/* Entries base_index + 1 .. last_index in a ring. */
struct raft_log {
    struct raft_slot *ring;
    uint32_t cap; /* a power of two */
    uint64_t base_index;
    uint64_t base_term;
    uint64_t base_time_us;
    uint64_t last_index;
    uint64_t durable_index; /* all up to it are on disk and intact, or in the state machine */
    uint64_t held_index;    /* durable in the state machine; >= base_index */
    uint64_t faulty_count;
    uint64_t faulty_first; /* lowest faulty index; 0: none */
};

/* ---- leader's view of a voter ---------------------------------------------------------------- */

enum raft_progress_state {
    RAFT_PROBE = 0, /* one message at a time, to find where the logs meet */
    RAFT_REPLICATE, /* pipelined */
    RAFT_SNAPSHOT,  /* needs what is compacted: nothing is sent until it reports */
};

struct raft_inflight {
    uint64_t last_index;
    uint64_t sent_us;
    uint64_t bytes;
};

struct raft_progress {
    enum raft_progress_state state;
    bool paused; /* PROBE: the one message is out */
    uint64_t match_index;
    uint64_t match_round; /* newest round when match_index rose last */
    uint64_t next_index;
    uint64_t round_acked;
    uint64_t acked_us;
    uint64_t snapshot_index; /* offered; 0: asked for, not offered yet */
    uint64_t snapshot_term;
    uint64_t snapshot_id;
    uint64_t snapshot_us; /* when it was asked for or offered last */
    struct raft_inflight *inflight;
    uint32_t inflight_first;
    uint32_t inflight_count;
    uint64_t inflight_bytes;
};

/* ---- group ------------------------------------------------------------------------------------
 */

struct raft_read {
    uint64_t ctx;
    uint64_t round; /* leader: the round that confirms it; 0: none yet */
    uint64_t index;
    uint32_t peer; /* who asked; RAFT_NODE_NONE: this node */
    int code;
    bool done;
};

struct raft_reads {
    struct raft_read *ring; /* first come, first served */
    uint32_t cap;
    uint32_t first;
    uint32_t count;
    uint32_t sent;      /* follower: this many from the first are in the READ under way */
    uint64_t sent_ctx;  /* its number */
    uint64_t sent_us;   /* when it was sent last */
    uint64_t expire_us; /* follower: fail all then; RAFT_NEVER */
    uint64_t round;     /* leader: newest round given to a read */
};

/* What recovery has still to find out; recover.c. */
struct raft_recovery {
    bool ambiguous;      /* a lost last batch may have held entries after the log's end */
    bool ambiguous_seen; /* while entries are given: the tail starts here */
    bool was_durable;    /* what is lost at the end was durable for sure */
    bool floored;        /* answered, but the own log is still below the floor */
    uint64_t lost_term;  /* entries that may be lost have at most this term */
    uint64_t floor_term; /* no vote for, and no candidacy with, a log below (term, index) */
    uint64_t floor_index;
    uint64_t ctx;         /* number of the question; differs between boots */
    uint32_t asks;        /* rounds of questions so far */
    uint32_t asks_filled; /* of these, when a damaged entry was filled last */
    uint64_t ask_index;   /* damaged entry asked for last */
    uint64_t ask_us;      /* next question; RAFT_NEVER: nothing to ask */
    uint64_t bump_us;     /* without a leader until then, ask in a new term */
    uint32_t answered;    /* voters that answered in a term above lost_term, one bit each */
    uint32_t definite;    /* of these, the ones sure of their own log */
    uint64_t best_term;   /* of the answers: the most up-to-date log */
    uint64_t best_index;
    uint64_t asked_index; /* leader: the faulty entry that `lacking` is about */
    uint64_t asked_term;
    uint32_t having; /* voters that have one there */
    uint64_t having_term;
    bool mixed;        /* they have different ones */
    uint32_t lacking;  /* voters that never had it */
    uint64_t stuck_us; /* leader: blocked by a faulty entry since; 0: not blocked */
};

struct raft_group {
    struct raft_host *host;
    uint32_t id;
    bool started;
    bool fenced;
    bool hard_lost;
    bool dirty;       /* on the list of groups to flush */
    bool undurable;   /* on the list of groups that wait for the disk */
    bool beat_wanted; /* a heartbeat goes out at the end of this flush */
    bool hard_dirty;  /* hard state changed and not handed to PERSIST yet */
    bool leader_down; /* told so by PEER_DOWN */
    bool fence_told;

    unsigned voters_count;
    unsigned self; /* own place in voters */
    uint32_t voters[RAFT_VOTERS_MAX];
    unsigned peers[RAFT_VOTERS_MAX]; /* place of each voter in host->peers */

    uint64_t term;
    uint32_t vote;
    enum raft_role role;
    uint32_t leader;
    enum raft_role told_role; /* of the last RAFT_ROLE */
    uint64_t told_term;
    uint32_t told_leader;

    uint64_t hard_seq; /* PERSIST that holds term and vote */
    uint64_t last_seq; /* newest PERSIST of the group */

    struct raft_log log;
    uint64_t commit_index; /* commit.c */
    uint64_t apply_index;  /* handed to APPLY up to here */
    uint64_t applied_index;
    uint64_t start_applied_term; /* given at start, with its log time */
    uint64_t start_applied_us;
    uint64_t known_commit;  /* at start: committed then, though the log here may be shorter */
    uint64_t matched_index; /* follower: equal to the leader's log of this term up to here */

    uint64_t install_id; /* snapshot being installed */
    uint64_t install_us; /* when that was asked for last */
    uint64_t started_us;
    uint64_t start_term;
    uint64_t heard_us; /* the leader */
    uint64_t election_us;
    uint64_t stand_us; /* no candidacy before */
    uint32_t granted;  /* (pre-)votes, one bit a voter */
    uint32_t waited;   /* time-outs that an unwell node let pass since it heard a leader */

    struct raft_progress progress[RAFT_VOTERS_MAX];
    uint64_t noop_index; /* leader: of its own term */
    uint64_t time_base_us;
    uint64_t time_from_us;
    uint64_t uncommitted_bytes;
    uint64_t round_confirmed;
    uint64_t quorum_us;

    struct raft_reads reads;
    struct raft_recovery recovery;
};

/* ---- host -------------------------------------------------------------------------------------
 */

/* Heartbeats of one step to one peer. Sealed once its message is in the queue. */
struct raft_outbox {
    struct raft_heartbeat *items; /* groups_max */
    uint32_t count;
    uint64_t after_seq;
    bool sealed;
};

struct raft_peer {
    uint32_t node;
    struct raft_outbox beats;
    struct raft_outbox replies;
};

struct raft_host {
    struct raft_options options;
    struct alloc alloc;
    struct rng rng;
    uint64_t now_us;
    bool unwell; /* others stand first */

    struct raft_group *groups; /* groups_max */
    uint32_t groups_count;
    uint32_t *table; /* hash of group id: place + 1; 0 is free */
    uint32_t table_cap;
    uint32_t *dirty; /* places of groups, first in first out */
    uint32_t dirty_first;
    uint32_t dirty_count;
    uint32_t *undurable;
    uint32_t undurable_count;

    struct raft_peer *peers; /* peers_max + 1 */
    uint32_t peers_count;

    struct raft_action *actions;
    uint32_t actions_cap; /* a power of two */
    uint32_t actions_first;
    uint32_t actions_count;
    uint32_t actions_kept; /* room that only what must not be lost may use */
    uint64_t dropped;      /* messages left out because the queue was full */

    uint64_t seq;
    uint64_t durable_seq;
    uint64_t timer_us; /* no group is due before */
    uint32_t leading;  /* groups led that have other voters */
    uint64_t beat_us;
    uint64_t round;
    bool round_open; /* a round began in this step */
    uint64_t rounds_us[RAFT_ROUNDS_KEPT];
};

/* host.c */
struct raft_group *raft_host_find(const struct raft_host *h, uint32_t group);
bool raft_host_full(const struct raft_host *h); /* only what must not be lost still goes in */
void raft_host_flush(struct raft_host *h);
struct raft_action *raft_action_push(struct raft_host *h, enum raft_action_kind kind,
                                     uint32_t group);
void raft_dirty(struct raft_group *g);
void raft_timer(struct raft_group *g, uint64_t at_us);
void raft_fence(struct raft_group *g);
int raft_voter_of(const struct raft_group *g, uint32_t node); /* place or -1 */
static inline unsigned raft_quorum(const struct raft_group *g)
{
    return g->voters_count / 2 + 1;
}

/* persist.c */
struct raft_action *raft_persist(struct raft_group *g);
void raft_persist_entries(struct raft_group *g, uint64_t index, uint32_t count, bool fill);
void raft_persist_cut(struct raft_group *g, uint64_t from);
void raft_persist_base(struct raft_group *g, bool emptied);
void raft_persist_hard(struct raft_group *g);
void raft_persist_durable(struct raft_host *h, uint64_t seq);
struct raft_message raft_message_to(const struct raft_group *g, enum raft_message_kind kind,
                                    uint32_t to);
void raft_send(struct raft_group *g, const struct raft_message *m, uint64_t after_seq);

/* step.c */
int raft_step_message(struct raft_host *h, const struct raft_message *m);
bool raft_term_absurd(const struct raft_group *g, uint64_t term);

/* log.c */
int raft_log_init(struct raft_log *log, const struct alloc *alloc, uint32_t cap);
void raft_log_release(struct raft_log *log, const struct alloc *alloc);
struct raft_slot *raft_log_slot(const struct raft_log *log, uint64_t index);
bool raft_log_has(const struct raft_log *log, uint64_t index);
uint64_t raft_log_term(const struct raft_log *log, uint64_t index); /* 0: not known */
uint64_t raft_log_time(const struct raft_log *log);
uint32_t raft_log_room(const struct raft_log *log);
void raft_log_append(struct raft_log *log, const struct raft_entry *entry);
void raft_log_fill(struct raft_log *log, uint64_t index, const struct raft_entry *entry);
void raft_log_fault(struct raft_log *log, uint64_t index);
void raft_log_cut(struct raft_log *log, uint64_t from);
void raft_log_compact(struct raft_log *log, uint64_t index);
void raft_log_reset(struct raft_log *log, uint64_t index, uint64_t term, uint64_t time_us);
void raft_log_hold(struct raft_log *log, uint64_t index);
bool raft_log_durable(struct raft_log *log, uint64_t seq);
uint64_t raft_log_not_above(const struct raft_log *log, uint64_t index, uint64_t term);
uint64_t raft_log_intact(const struct raft_log *log, uint64_t from, uint64_t to);

/* election.c */
void raft_follow(struct raft_group *g, uint64_t term, uint32_t leader);
void raft_heard(struct raft_group *g, uint32_t leader);
void raft_election_reset(struct raft_group *g);
void raft_election_due(struct raft_group *g);
void raft_election_tally(struct raft_group *g);
bool raft_election_sticky(const struct raft_group *g);
bool raft_may_stand(const struct raft_group *g);
void raft_on_pre_vote(struct raft_group *g, const struct raft_message *m);
void raft_on_vote(struct raft_group *g, const struct raft_message *m);
void raft_on_vote_reply(struct raft_group *g, const struct raft_message *m);

/* beat.c */
void raft_round_begin(struct raft_host *h);
void raft_beat_group(struct raft_group *g);
void raft_beat_seal(struct raft_host *h);
void raft_beat_clear(struct raft_host *h);
void raft_beat_due(struct raft_host *h);
void raft_round_acked(struct raft_group *g, unsigned voter, uint64_t round);
int raft_on_beats(struct raft_host *h, const struct raft_message *m);
int raft_on_beat_replies(struct raft_host *h, const struct raft_message *m);

/* replicate.c */
void raft_progress_reset(struct raft_group *g, unsigned voter);
void raft_progress_probe(struct raft_group *g, unsigned voter, uint64_t next_index);
void raft_progress_beat(struct raft_group *g, unsigned voter, uint64_t match, uint64_t round);
void raft_replicate(struct raft_group *g);
int raft_on_append_reply(struct raft_group *g, const struct raft_message *m);
int raft_propose(struct raft_group *g, const struct raft_entry *entries, uint32_t count);
void raft_append_own(struct raft_group *g, const struct raft_entry *entries, uint32_t count);
uint64_t raft_time_now(const struct raft_group *g);

/* follow.c */
int raft_on_append(struct raft_group *g, const struct raft_message *m);
void raft_reply_match(struct raft_group *g, uint32_t to, uint64_t match, uint64_t ctx);
uint64_t raft_match_durable(const struct raft_group *g);

/* commit.c */
uint64_t raft_commit_quorum(const struct raft_group *g, uint64_t *values);
void raft_commit_init(struct raft_group *g, uint64_t index);
void raft_commit_leader(struct raft_group *g);
void raft_commit_follower(struct raft_group *g, uint64_t index);
void raft_commit_snapshot(struct raft_group *g, uint64_t index);
void raft_commit_apply(struct raft_group *g);

/* read.c */
int raft_read_ask(struct raft_group *g, uint64_t ctx, uint32_t peer);
void raft_read_fail_all(struct raft_group *g, int code);
void raft_read_flush(struct raft_group *g);
void raft_read_due(struct raft_group *g);
void raft_read_beat(struct raft_group *g);
void raft_read_again(struct raft_group *g);
void raft_on_read(struct raft_group *g, const struct raft_message *m);
int raft_on_read_reply(struct raft_group *g, const struct raft_message *m);

/* snapshot.c */
void raft_snapshot_want(struct raft_group *g, unsigned voter);
void raft_snapshot_again(struct raft_group *g, unsigned voter);
int raft_snapshot_done(struct raft_group *g, const struct raft_event *ev);
int raft_snapshot_installed(struct raft_group *g, const struct raft_event *ev);
int raft_compact(struct raft_group *g, uint64_t index);
void raft_on_snapshot(struct raft_group *g, const struct raft_message *m);

/* recover.c */
void raft_recover_start(struct raft_group *g);
void raft_recover_due(struct raft_group *g);
void raft_recover_wake(struct raft_group *g);
bool raft_recover_vote_ok(const struct raft_group *g, uint64_t term, uint64_t index);
bool raft_recover_stand_ok(const struct raft_group *g);
bool raft_recover_hopeless(const struct raft_group *g, uint64_t index);
void raft_recover_grown(struct raft_group *g);
void raft_recover_faulty(struct raft_group *g, uint64_t index, uint32_t count);
void raft_on_fetch(struct raft_group *g, const struct raft_message *m);
int raft_on_fetch_reply(struct raft_group *g, const struct raft_message *m);

#endif
