/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * raft: consensus for many groups on one node, as a pure state machine (Ongaro and Ousterhout,
 * "In Search of an Understandable Consensus Algorithm", 2014; Ongaro's dissertation, 2014, for
 * pre-vote 9.6, check-quorum 6.2, read-index 6.4 and pipelining 10.2; Alagappan et al.,
 * "Protocol-Aware Recovery for Consensus-Based Storage", FAST'18, for faulty entries).
 *
 *   raft_host_new, then for each group raft_group_add, raft_group_recover for each log entry,
 *   raft_group_start
 *   loop:  raft_step(host, &event)            time, messages, completions come in
 *          while (raft_poll(host, a, max))    effects go out, in order
 *          sleep until raft_deadline(host)
 *
 * The same options and events always give the same actions. Nothing here opens, reads a clock,
 * draws randomness, starts a thread or allocates after start. Payloads never enter: an entry is
 * (term, time, type, bytes, ref), ref being the caller's handle of the payload.
 *
 * Order of the disk: every PERSIST has a host-wide sequence number; the caller writes them in
 * that order and reports the highest durable one with RAFT_DURABLE. A SEND waits for its
 * after_seq. Whatever promises durability (votes, append acknowledgements) has one; entries leave
 * a leader before its own sync. One watermark releases everything, so a completion for an entry
 * that has been overwritten since can never count for the new one (scenario 33).
 *
 * APPLY names entries that are committed and durable here.
 *
 * References: an entry of a message or a proposal is taken when a PERSIST names its index; others
 * (duplicates, refused ones) stay the caller's. A reference ends when its index is named again by
 * a later PERSIST, is at or after a cut_from, or at or before a base_index.
 *
 * Only raft/commit.c assigns commit_index.
 *
 * threads: one owner; the loop thread.
 */
#ifndef HOLDFAST_RAFT_RAFT_H
#define HOLDFAST_RAFT_RAFT_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"

#define RAFT_VOTERS_MAX 7
#define RAFT_NODE_NONE 0u /* node ids start at 1 */

struct raft_host;

struct raft_options {
    uint32_t node;         /* own id */
    uint64_t seed;         /* of election jitter */
    uint64_t heartbeat_us; /* default 100,000 */
    uint64_t election_us;  /* time-outs are drawn from [election_us, 2 * election_us) */
    uint32_t groups_max;
    uint32_t peers_max;             /* other nodes */
    uint32_t entries_max;           /* metadata ring of a group, a power of two; full: ERR_BUSY */
    uint32_t inflight_messages_max; /* append messages to one follower of one group not yet acked */
    uint64_t inflight_bytes_max;
    uint32_t message_bytes_max; /* payload of one append message (at least one entry goes) */
    uint32_t message_entries_max;
    uint64_t uncommitted_bytes_max; /* a leader's proposals beyond it: ERR_BUSY (scenario 39) */
    uint32_t reads_max;             /* read requests waiting in one group: ERR_BUSY */
    uint32_t actions_max;           /* room of the action queue; raised to what one event needs */
    bool leases; /* leader leases are in use: no vote for election_us after a restart or the
                    leader's last word, not even after PEER_DOWN (scenario 18) */
};

/* returns: defaults for node with the given seed. */
struct raft_options raft_options_default(uint32_t node, uint64_t seed);

enum raft_entry_type {
    RAFT_ENTRY_NOOP = 1,    /* of a new leader; no payload */
    RAFT_ENTRY_COMMAND = 2, /* for the state machine */
    RAFT_ENTRY_LEVEL = 3,   /* raises the format level of the group */
    RAFT_ENTRY_CONFIG = 4,  /* membership: reserved in the format */
};

enum raft_entry_state { RAFT_ENTRY_OK = 0, RAFT_ENTRY_FAULTY, RAFT_ENTRY_AMBIGUOUS };

struct raft_entry {
    uint64_t term;
    uint64_t time_us; /* log time, from the leader that appended it */
    uint64_t ref;
    uint32_t bytes;
    uint8_t type;
    enum raft_entry_state state;
};

enum raft_role { RAFT_FOLLOWER = 0, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

/* What one group had on disk. */
struct raft_group_options {
    uint32_t group;
    uint32_t voters[RAFT_VOTERS_MAX];
    unsigned voters_count; /* this node among them */
    uint64_t term;         /* hard state */
    uint32_t vote;
    uint64_t commit;
    uint64_t base_index; /* the log starts after it; state machine holds at least this much */
    uint64_t base_term;
    uint64_t base_time_us;
    uint64_t applied_index; /* durable in the state machine: >= base_index */
    uint64_t applied_term;  /* its term. If the log ends before applied_index or has another term
                               there (a crash between installing a snapshot and its PERSIST), the
                               log goes and starts after it; 0: not known, no such check */
    uint64_t applied_time_us;
    bool hard_lost;      /* never vote or stand again */
    bool tail_ambiguous; /* a bad last batch may have held entries after the last one given:
                            neither had nor denied until peers have told (FETCH): an intact copy
                            wins; cut when a quorum definitely lacks it or every voter has
                            answered and none is intact. Until then no candidacy, and no vote
                            for a log that is shorter than the ambiguous one might be */
};

int raft_host_new(struct raft_host **out, const struct raft_options *options,
                  const struct alloc *alloc);
void raft_host_free(struct raft_host *h);
/* returns: 0, ERR_EXISTS, ERR_BUSY (groups_max), ERR_INVALID. */
int raft_group_add(struct raft_host *h, const struct raft_group_options *options);
/* Entries in order from base_index + 1; a faulty one with its header lost has term 0. */
int raft_group_recover(struct raft_host *h, uint32_t group, const struct raft_entry *entry);
int raft_group_start(struct raft_host *h, uint32_t group, uint64_t now_us);

enum raft_message_kind {
    RAFT_MSG_PRE_VOTE = 1,
    RAFT_MSG_PRE_VOTE_REPLY,
    RAFT_MSG_VOTE,
    RAFT_MSG_VOTE_REPLY,
    RAFT_MSG_APPEND,
    RAFT_MSG_APPEND_REPLY,
    RAFT_MSG_HEARTBEAT, /* coalesced: items for many groups between two nodes */
    RAFT_MSG_HEARTBEAT_REPLY,
    RAFT_MSG_READ, /* follower asks the leader for a read index */
    RAFT_MSG_READ_REPLY,
    RAFT_MSG_SNAPSHOT, /* leader offers a snapshot; the follower's node pulls its chunks */
    RAFT_MSG_FETCH, /* entries [index, index + count) wanted: faulty or ambiguous at the sender */
    RAFT_MSG_FETCH_REPLY,
};

struct raft_heartbeat {
    uint32_t group;
    uint64_t term;
    uint64_t commit;   /* at most what the receiver is known to match; in replies: its match */
    uint64_t read_seq; /* newest read round this heartbeat confirms */
};

/* One flat shape for every kind; the fields a kind uses are listed in raft/message.c. */
struct raft_message {
    enum raft_message_kind kind;
    uint32_t group;
    uint32_t from;
    uint32_t to;
    uint64_t term;
    uint64_t index;      /* prev index, last index, match, fetch start ... */
    uint64_t index_term; /* term at index */
    uint64_t commit;
    uint64_t ctx;  /* read context, snapshot id, request number */
    uint64_t hint; /* conflict hint: index */
    uint64_t hint_term;
    int32_t code;   /* replies: 0 granted/success, else ERR_ or a refusal reason */
    uint32_t count; /* entries, or heartbeat items */
    const struct raft_entry *entries; /* incoming: decoded by the caller, with refs; outgoing:
                                         NULL, take them by raft_entry_get(group, index + 1 + i) */
    const struct raft_heartbeat *heartbeats; /* valid until the next raft_step */
};

/* Appends the message with its entries' metadata to `into`; the payloads of the entries follow in
 * order, appended by the caller. entries: count of them. */
int raft_message_encode(struct buf *into, const struct raft_message *m,
                        const struct raft_entry *entries);
/* Decodes and checks every bound. entries, heartbeats: room for max each. *payloads is what
 * follows; its size equals the sum of the entries' bytes.
 * returns: 0 or ERR_PROTOCOL. */
int raft_message_decode(struct bytes raw, struct raft_message *out, struct raft_entry *entries,
                        struct raft_heartbeat *heartbeats, unsigned max, struct bytes *payloads);

enum raft_event_kind {
    RAFT_TICK = 1,
    RAFT_MESSAGE,
    RAFT_PROPOSE,       /* group, entries, count: type, bytes, ref set; term, time_us by raft */
    RAFT_DURABLE,       /* seq */
    RAFT_APPLIED,       /* group, index */
    RAFT_READ,          /* group, ctx (not 0): READ_OK or READ_FAIL follows, exactly once */
    RAFT_COMPACT,       /* group, index: applied and durable in the state machine */
    RAFT_SNAPSHOT_DONE, /* group, peer, index, code: a snapshot offered to peer came to an end */
    RAFT_SNAPSHOT_INSTALLED, /* group, index, term, time_us: the state machine now is that snapshot
                              */
    RAFT_PEER_UP,            /* peer */
    RAFT_PEER_DOWN,          /* peer: its connections were reset; its followers pre-vote at once */
    RAFT_FAULTY,             /* group, index, count: payloads on disk found damaged */
    RAFT_STEP_DOWN,          /* group, code: disk slow or failing: stop leading, if leading */
    RAFT_UNWELL,             /* code: not 0: this node is unwell and lets others stand first, in
                                all groups; 0: it is well again */
};

struct raft_event {
    enum raft_event_kind kind;
    uint64_t now_us; /* monotonic; every event has it */
    uint32_t group;
    uint32_t peer;
    uint64_t index;
    uint64_t term;
    uint64_t time_us;
    uint64_t seq;
    uint64_t ctx;
    int code;
    uint32_t count;
    const struct raft_entry *entries;   /* borrowed for the call */
    const struct raft_message *message; /* borrowed for the call */
};

/* Takes one event. Actions pile up until raft_poll; the caller polls until empty after each step.
 * returns: 0; RAFT_PROPOSE: ERR_NOT_LEADER, ERR_BUSY (nothing was taken: not done); RAFT_READ:
 *          ERR_BUSY, ERR_NO_LEADER; RAFT_MESSAGE: ERR_PROTOCOL (impossible content; dropped),
 *          ERR_NOT_FOUND (no such group); the group was fenced: ERR_CORRUPT. */
int raft_step(struct raft_host *h, const struct raft_event *ev);

enum raft_action_kind {
    RAFT_PERSIST = 1,
    RAFT_SEND,
    RAFT_APPLY,            /* group, index .. index + count - 1 */
    RAFT_READ_OK,          /* ctx, index: serve once index is applied */
    RAFT_READ_FAIL,        /* ctx, code */
    RAFT_ROLE,             /* group, role, term, peer = leader or RAFT_NODE_NONE */
    RAFT_SNAPSHOT_SEND,    /* group, peer: it needs entries that are compacted: offer a snapshot by
                              raft_snapshot_offer */
    RAFT_SNAPSHOT_INSTALL, /* group, peer, ctx = snapshot id, index, term: pull it and install */
    RAFT_FENCED,           /* group: a conflict below commit, or the like: the replica must stop */
};

struct raft_action {
    enum raft_action_kind kind;
    uint32_t group;
    uint32_t peer;
    enum raft_role role;
    uint64_t seq;       /* PERSIST: its place in the order of the disk */
    uint64_t after_seq; /* SEND: not before this much is durable */
    uint64_t index;     /* PERSIST: first entry; with count 0 no entries */
    uint64_t term;
    uint64_t ctx;
    uint32_t count;
    int code;
    /* PERSIST */
    bool fill; /* the entries replace damaged payloads and cut nothing */
    bool hard; /* hard_term, hard_vote, hard_commit are to be written */
    uint64_t hard_term;
    uint32_t hard_vote;
    uint64_t hard_commit;
    uint64_t cut_from;   /* != 0: entries from here on are gone (no entries replace them) */
    uint64_t base_index; /* != 0: the log now starts after it */
    uint64_t base_term;
    struct raft_message message; /* SEND: entries by raft_entry_get until the next raft_step */
};

/* returns: how many actions were moved to out, at most max; 0: none are left. */
unsigned raft_poll(struct raft_host *h, struct raft_action *out, unsigned max);

/* returns: when the next RAFT_TICK is due, in the clock of now_us. */
uint64_t raft_deadline(const struct raft_host *h);

/* Answers RAFT_SNAPSHOT_SEND: sends the offer of snapshot `id` at (index, term) to peer. */
int raft_snapshot_offer(struct raft_host *h, uint32_t group, uint32_t peer, uint64_t id,
                        uint64_t index, uint64_t term);

/* returns: 0 or ERR_NOT_FOUND (not in base + 1 .. last). *out is a copy. */
int raft_entry_get(const struct raft_host *h, uint32_t group, uint64_t index,
                   struct raft_entry *out);

struct raft_peer_status {
    uint32_t node;
    uint64_t match_index;
    uint64_t acked_us; /* when it last answered */
};

struct raft_status {
    enum raft_role role;
    uint64_t term;
    uint32_t leader;
    uint32_t vote;
    uint64_t base_index;
    uint64_t base_term;
    uint64_t last_index;
    uint64_t durable_index;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t log_time_us; /* leader: log time now; else of the last entry */
    uint64_t faulty_count;
    bool ambiguous;
    bool fenced;
    bool leading;       /* leader whose no-op is committed */
    uint64_t quorum_us; /* leader: send time of the last round a quorum confirmed */
    unsigned voters_count;
    uint32_t voters[RAFT_VOTERS_MAX];
    unsigned peers_count;
    struct raft_peer_status peers[RAFT_VOTERS_MAX];
};

/* returns: 0 or ERR_NOT_FOUND. */
int raft_status_get(const struct raft_host *h, uint32_t group, uint64_t now_us,
                    struct raft_status *out);

/* returns: a digest of all that the group's future depends on, for traces. */
uint64_t raft_digest(const struct raft_host *h, uint32_t group);

#endif
