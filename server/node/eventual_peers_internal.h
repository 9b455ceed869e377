/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Replication of eventual mode: what this node knows of its peers, what it sends them and what it
 * fetches. The pure parts come first, so that tests drive them without nodes.
 *
 *   made here -> ring -> push to each other owner -> join there -> answer with its contexts
 *   contexts compared when a connection begins, and once a second with a peer that may differ
 *      -> it has dots that did not come by themselves -> pull, page by page
 *      -> same dots, other entries -> buckets of sums -> pull of what differs
 *   dots that every owner has -> sweep of removals
 *
 * What a peer has seen is known as a lower bound: from its pushes, its answers and the comparison
 * of contexts. It begins empty with each connection, for the peer may be another start.
 *
 * threads: the loop thread.
 */
#ifndef HOLDFAST_SERVER_NODE_EVENTUAL_PEERS_INTERNAL_H
#define HOLDFAST_SERVER_NODE_EVENTUAL_PEERS_INTERNAL_H

#include "server/node/eventual_ops_internal.h"
#include "server/node/node_internal.h"

/* ---- owners (eventual_owners.c) ---------------------------------------------------------------
 */

#define NODE_EV_LIST_MAX (2u * NODE_EV_OWNERS_MAX)

struct node_ev_list {
    uint32_t nodes[NODE_EV_LIST_MAX]; /* the owners, then those that were and are out */
    unsigned owners;
    unsigned count;
};
/* placed: the order of a placement list; out[i]: whether placed[i] is out. */
void node_ev_list_of(const uint32_t *placed, const bool *out, unsigned count,
                     struct node_ev_list *list);
bool node_ev_list_owns(const struct node_ev_list *list, uint32_t node);
/* Also one that was: what it has counts until it has seen everything, so it is told everything. */
bool node_ev_list_has(const struct node_ev_list *list, uint32_t node);

/* out, empty, becomes the dots that are in both; in a and not in b. An epoch that a has folded and
 * b has not stays whole: what b has of it cannot be told apart. */
int node_ev_meet(const struct crdt_context *a, const struct crdt_context *b,
                 struct crdt_context *out);
int node_ev_minus(const struct crdt_context *a, const struct crdt_context *b,
                  struct crdt_context *out);
/* into, initialised, becomes a copy. */
int node_ev_context_set(struct crdt_context *into, const struct crdt_context *from);

/* A fragment that waits for what its sender had seen. */
struct node_ev_wanting {
    const struct crdt_context *before;
    const struct crdt_context *seen;
    bool take; /* out: it may be joined, together with the others that may */
};
/* The greatest set of them that may be joined at once by whoever has seen `have`. */
int node_ev_joinable(const struct crdt_context *have, struct node_ev_wanting *held, unsigned count,
                     const struct alloc *alloc);

/* ---- what was noted (eventual_ring.c) ---------------------------------------------------------
 */

#define NODE_EV_RING_ITEMS 65536u
#define NODE_EV_RING_BYTES (8u << 20)

struct node_ev_noted {
    uint8_t *data; /* NULL: not to be sent */
    uint32_t bytes;
    uint8_t region;
};
struct node_ev_ring {
    struct node_ev_noted *items; /* by number, modulo cap */
    uint32_t cap;
    uint32_t items_max; /* a power of two */
    uint64_t bytes_max;
    uint64_t bytes;
    uint64_t first; /* number of the oldest */
    uint64_t next;  /* of the one to come */
    struct alloc alloc;
};
void node_ev_ring_init(struct node_ev_ring *r, uint32_t items_max, uint64_t bytes_max,
                       const struct alloc *alloc);
void node_ev_ring_release(struct node_ev_ring *r);
/* Copied; the oldest go to make room. Without memory for it, none are kept: it counts as gone. */
void node_ev_ring_add(struct node_ev_ring *r, uint8_t region, struct bytes fragment);
/* What is there of these regions (a bitmap) is not to be sent. */
void node_ev_ring_forget(struct node_ev_ring *r, uint64_t regions);
/* number: from first, below next. */
const struct node_ev_noted *node_ev_ring_get(const struct node_ev_ring *r, uint64_t number);

/* ---- merging (eventual_merge.c) ---------------------------------------------------------------
 */

/* Appends one fragment that does what these, all of one region and in the order in which they were
 * made, do one after another. Its `before` is what they had seen and do not bring.
 * returns: 0 or an error of the fragments or of memory. */
int node_ev_merge(const struct bytes *fragments, unsigned count, const struct alloc *alloc,
                  struct buf *out);

/* ---- the part ---------------------------------------------------------------------------------
 */

#define NODE_EV_TICK_US 1000000u
#define NODE_EV_HOLD_US 200000u    /* a fragment waits so long for what comes from others */
#define NODE_EV_LACK_US 1000000u   /* dots of a peer come by themselves within this */
#define NODE_EV_CALL_US 10000000u  /* commands and questions of the own group */
#define NODE_EV_ANSWER_US 1500000u /* of peers: what got lost is sent again, and does no harm */
#define NODE_EV_RETRY_US 100000u
#define NODE_EV_PUT_OFF_US 10000000u /* until what is not known here is looked at again */
#define NODE_EV_PACE_US 40000u       /* pushes that nobody waits for leave at multiples of it */
#define NODE_EV_PULLS_MAX 4u
#define NODE_EV_PAGE_ROWS 1024u
#define NODE_EV_PAGE_BYTES (256u << 10)
#define NODE_EV_BUCKETS 256u

enum node_ev_item_state {
    NODE_EV_ITEM_WAITS = 0,
    NODE_EV_ITEM_PROPOSED,
    NODE_EV_ITEM_JOINED,
    NODE_EV_ITEM_BEHIND, /* is fetched in another way */
};
struct node_ev_item {
    struct node_ev_fragment f;
    size_t bytes; /* in a command, at most */
    enum node_ev_item_state state;
};

/* The push of a peer that is being joined; one at a time. */
struct node_ev_inbox {
    bool busy;
    struct node_request request;
    struct buf body;
    struct node_ev_item *items;
    unsigned count;
    uint64_t until_us;
    struct node_ev_scratch memory; /* of items and their contexts */
};

struct node_ev_peer {
    struct node *n;
    uint32_t id;
    bool pushing;   /* a push is out */
    bool resting;   /* the last push failed: none before its timer */
    bool full;      /* the last push was full: more waits */
    bool unsure;    /* what it lacks may not be in the ring */
    bool asked;     /* contexts are being compared */
    bool told;      /* they have been, over this connection */
    bool heard;     /* they have been since the start */
    bool ask_again; /* compare once more when that has ended */
    bool later;     /* over this connection came a format that is not known, and that was said */
    uint64_t cursor;
    uint64_t sent_to;
    uint64_t pushed_us; /* when the last push left */
    uint64_t tell;      /* bitmap of regions: contexts to send with the next comparison */
    uint64_t tell_now;  /* and it will not get them in another way */
    uint64_t telling;   /* told in comparisons that follow each other: not once more */
    uint64_t pull_now;  /* regions to be fetched without waiting */
    uint64_t pull_us;   /* not before: the last one failed */
    uint64_t put_off;   /* regions of which came what is not known here: not before */
    uint64_t put_off_us;
    uint64_t lack_us[NODE_EV_REGIONS]; /* since when `lacked` is missing here; 0: nothing is */
    struct crdt_context lacked[NODE_EV_REGIONS];
    uint64_t sent_hash[NODE_EV_REGIONS];
    uint64_t odd_hash[NODE_EV_REGIONS];    /* same dots, other entries: its hash at the last look */
    uint64_t agreed;                       /* bitmap of regions that were found equal */
    uint64_t agreed_hash[NODE_EV_REGIONS]; /* when they were */
    struct crdt_context known[NODE_EV_REGIONS];
    struct node_ev_inbox in;
    struct node_timer push;
};

struct node_ev_pull;
struct node_ev_descent;
struct node_ev_recount;
struct node_ev_write_job;

struct node_ev_counters {
    uint64_t pushes, pushed_bytes, push_fragments;
    uint64_t joined, behind;
    uint64_t pages, page_bytes, page_records; /* that came here */
    uint64_t pages_whole;
    uint64_t descents, restored_records;
    uint64_t dropped, handed_over;
    uint64_t set_aside; /* dots that group 0 had not recorded */
    uint64_t recounted; /* places whose counts of types were put right */
};

/* The body of the last push: peers that want the same get the same bytes. */
struct node_ev_built {
    uint64_t from; /* numbers of the ring; 0: there is none */
    uint64_t end;
    uint64_t regions; /* whose fragments are in it */
    struct buf body;
};

/* What this node finds out about its own epochs that are over (eventual_retire.c). */
struct node_ev_retire {
    bool asking; /* the other nodes, or group 0 */
    unsigned owing;
    unsigned rounds;   /* in which all have answered for these rows */
    unsigned failures; /* one after another */
    uint64_t agreed;   /* regions whose rows nobody has refused in them */
    bool rest;         /* some were */
    uint64_t below;
    uint64_t wanted; /* regions where also epochs without dots are to be recorded as over */
    struct buf rows;
    struct buf starts; /* of the other nodes when the first round began */
    struct node_timer run;
};

/* Regions with dots that group 0 has not recorded (eventual_hold.c). */
struct node_ev_hold {
    bool looked;
    uint64_t since_us;
    uint64_t regions;
    bool forgetting; /* the own group stands still for it */
};

/* Regions of which records were lost (eventual_mend.c). */
#define NODE_EV_MENDED_BYTES 16u /* of a command */
struct node_ev_mend {
    uint64_t regions;
    uint64_t known; /* of which it is known what was left */
    uint64_t until; /* it is when the log has been applied up to here */
    bool asking;    /* a command is out */
    struct node_timer run;
    uint64_t since_us[NODE_EV_REGIONS]; /* that a peer is there; 0: none was yet */
    uint64_t all_us[NODE_EV_REGIONS];   /* that all other owners are; 0: they are not */
    struct crdt_context left[NODE_EV_REGIONS];
};

struct node_eventual {
    struct node *n;
    struct node_ev_ring ring;
    struct node_ev_built built;
    struct node_ev_peer *peers;
    unsigned peers_count;
    bool started;
    bool doubted;
    uint64_t whole;    /* regions of which what lies here cannot be trusted: all is fetched, where
                          the region is a concern of this node or comes to be one */
    uint64_t pulling;  /* bitmap of regions */
    uint64_t compared; /* regions that had all of an owner's since the start */
    uint64_t removals; /* regions with removals that a sweep may find */
    struct node_ev_pull *pulls[NODE_EV_PULLS_MAX];
    struct node_ev_descent *descent;
    struct node_ev_recount *recount;
    bool sweeping;
    uint8_t sweep_region;
    uint64_t sweep_us[NODE_EV_REGIONS];
    struct crdt_context swept[NODE_EV_REGIONS];  /* the stable context at the last sweep */
    struct crdt_context pruned[NODE_EV_REGIONS]; /* removals in it may be gone here */
    struct node_link writes;                     /* that wait for copies */
    unsigned writes_count;
    struct node_timer tick;
    struct node_timer run; /* inboxes and pulls, later in the turn */
    struct node_timer hold;
    struct node_timer fold;
    bool folding;
    struct node_ev_retire retire;
    struct node_ev_hold held;
    struct node_ev_mend mend;
    const struct node_ev_list *lists; /* of all regions, in place of group 0's; NULL: none */
    struct node_ev_counters counters;
};

static inline struct node_eventual *node_ev_of(const struct node *n)
{
    return n->eventual;
}
struct node_ev_peer *node_ev_peer_of(const struct node *n, uint32_t id);
/* From the peer came what this node cannot read: of a later format than it knows. Said once a
 * connection. what: a push, a page. */
void node_ev_later(struct node *n, struct node_ev_peer *p, const char *what);
/* returns: whether what is on disk here has been applied, so that contexts mean something. */
bool node_ev_ready(const struct node *n);
void node_ev_list_get(const struct node *n, uint8_t region, struct node_ev_list *list);
const struct crdt_context *node_ev_seen(const struct node *n, uint8_t region);
uint64_t node_ev_hash(const struct node *n, uint8_t region);
/* Contexts of fixed room on the wire. */
int node_ev_context_put(struct buf *out, const struct crdt_context *c);
int node_ev_context_take(struct bytes_reader *r, struct crdt_context *c);
void node_ev_run_soon(struct node *n);
void node_ev_tick_soon(struct node *n);

/* eventual_rest.c */
/* The region was compared with the peer's, and found equal or not. */
void node_ev_agree(struct node *n, struct node_ev_peer *p, uint8_t region, bool agreed);
/* returns: bitmap of the peers that are up and with which something is left to do. */
uint64_t node_ev_open_peers(const struct node *n);
/* returns: whether nothing is left to do until something happens. */
bool node_ev_at_rest(const struct node *n);
/* eventual_hold.c */
#define NODE_EV_HOLD_KNOWN_US 10000000u /* what may be recorded is held no longer */
/* returns: whether it is known which regions are held: group 0's word as of this start is. Until
 * then nothing is sent that was made before it, and nothing is made. */
bool node_ev_hold_known(struct node *n);
/* returns: whether others may judge by this node's context of the region. */
bool node_ev_hold_gives(struct node *n, uint8_t region);
/* returns: whether one of these regions, a bitmap, is held: no dot is made in it. */
bool node_ev_hold_any(const struct node *n, uint64_t regions);
/* returns: whether records of a peer with that context may be joined here. */
bool node_ev_hold_takes(struct node *n, uint8_t region, const struct crdt_context *theirs);
/* More is known of the peer: perhaps the region can be forgotten here, or need not be held. */
void node_ev_hold_look(struct node *n, const struct node_ev_peer *p, uint8_t region);
/* returns: bitmap of the regions that may be forgotten now; *dots: how many go with them. */
uint64_t node_ev_hold_spare(const struct node *n, uint64_t *dots);
/* returns: whether the own group stands still for that: what is asked of it is answered later. */
bool node_ev_forgetting(const struct node *n);
/* These have been. */
void node_ev_hold_forgot(struct node *n, uint64_t regions, uint64_t dots);
/* eventual_mend.c */
void node_ev_mend_init(struct node *n);
void node_ev_mend_release(struct node *n);
/* Records of these regions were lost before this start: it goes on with what its state says. */
void node_ev_mend_recover(struct node *n);
/* Records of the region were lost, and its context is what is left, with what the log has yet. */
void node_ev_mend_begin(struct node *n, uint8_t region);
/* It has all of an owner's again. */
void node_ev_mend_end(struct node *n, uint8_t region);
/* The log says so of these regions, a bitmap. */
void node_ev_mended(struct node *n, uint64_t regions);
/* A peer has come or gone. */
void node_ev_mend_peer(struct node *n);
/* returns: whether others may judge by this node's context of the region. */
bool node_ev_mend_gives(struct node *n, uint8_t region);
/* returns: whether records of a peer with that context may be joined here. */
bool node_ev_mend_takes(struct node *n, uint8_t region, const struct crdt_context *theirs);
/* eventual_push.c */
/* Something is to be pushed: at once if a write waits for copies, else in time. */
void node_ev_push_soon(struct node *n, struct node_ev_peer *p);
void node_ev_push_run(struct node *n, struct node_ev_peer *p);
void node_ev_push_serve(struct node *n, struct node_request request, struct bytes body);
/* eventual_inbox.c */
void node_ev_inbox_run(struct node *n);
void node_ev_inbox_clear(struct node_ev_peer *p);
/* eventual_clocks.c */
void node_ev_clocks_ask(struct node *n, struct node_ev_peer *p);
void node_ev_clocks_serve(struct node *n, struct node_request request, struct bytes body);
/* The peer has seen at least this. */
void node_ev_learn(struct node *n, struct node_ev_peer *p, uint8_t region,
                   const struct crdt_context *seen);
/* The same of both, judged once. */
void node_ev_learn_both(struct node *n, struct node_ev_peer *p, uint8_t region,
                        const struct crdt_context *before, const struct crdt_context *seen);
/* Looks again what the peer has and this node has not. */
void node_ev_judge(struct node *n, struct node_ev_peer *p, uint8_t region);
/* out, empty: what every owner of the region, old and new, is known to have seen. */
int node_ev_stable(const struct node *n, uint8_t region, struct crdt_context *out);
bool node_ev_serves(const struct node *n, uint8_t region);
/* eventual_sync.c */
enum node_ev_mode {
    NODE_EV_MISSING = 0, /* records with dots that the asker has not seen */
    NODE_EV_ALL = 1,     /* all records: what is not among them is gone */
    NODE_EV_PICKED = 2,  /* records of some buckets but those with given sums */
};
struct node_ev_page_ask {
    uint8_t region;
    enum node_ev_mode mode;
    struct bytes after;  /* record name; empty: from the first */
    struct bytes seen;   /* encoded context of the asker */
    struct bytes picked; /* NODE_EV_PICKED: bitmap of 32 bytes, then sums u64 rising */
};
/* Body of EV_PAGE. */
int node_ev_page_ask_encode(const struct node_ev_page_ask *a, struct buf *out);
int node_ev_page_ask_decode(struct bytes body, struct node_ev_page_ask *a);
/* Body of the question to the own group. to: the name to stop before; empty: to the end. */
int node_ev_page_query_encode(const struct node_ev_page_ask *a, struct bytes to, struct buf *out);
struct node_ev_page {
    bool more;
    bool whole;        /* all records between the names are listed */
    struct bytes last; /* name of the last record looked at */
    struct bytes fragment;
};
int node_ev_page_decode(struct bytes body, struct node_ev_page *page);
void node_ev_page_serve(struct node *n, struct node_request request, struct bytes body);
void node_ev_pull_run(struct node *n);
/* Fetches records that differ though contexts are equal. picked: as in node_ev_page_ask. */
int node_ev_pull_picked(struct node *n, struct node_ev_peer *p, uint8_t region,
                        struct bytes picked);
void node_ev_pulls_release(struct node *n);
/* eventual_page.c */
extern const struct node_query_op node_ev_page_queries[];
/* Answer of NODE_QUERY_EV_SUMS, whose question is that of a page: sums of records with entries. */
struct node_ev_sums_page {
    bool more;
    struct bytes last;
    uint64_t seen;            /* hash of the context */
    struct bytes_reader rows; /* bucket u8, sum u64 */
};
int node_ev_sums_page_decode(struct bytes body, struct node_ev_sums_page *page);
uint8_t node_ev_bucket(struct bytes name);
/* returns: 0 and the sum of a record's name and live entries; 0 as sum of a record without any. */
int node_ev_record_sum(struct bytes name, struct bytes raw, uint64_t *sum);
/* eventual_descent.c */
void node_ev_descend(struct node *n, struct node_ev_peer *p, uint8_t region);
void node_ev_sums_serve(struct node *n, struct node_request request, struct bytes body);
void node_ev_descent_release(struct node *n);
/* eventual_sweep.c */
void node_ev_sweep_run(struct node *n);
/* returns: whether one is under way, or there is something for one to find. */
bool node_ev_sweep_owes(const struct node *n);
/* EV_PRUNED, region u8: the union of the contexts that DROP was told. */
int node_ev_pruned_keys(struct bytes body, struct node_keys *out);
int node_ev_pruned_apply(struct node_sm *sm, struct bytes body);
int node_ev_pruned_load(struct node *n, uint8_t region, struct bytes raw);
/* eventual_recount.c */
int node_ev_recount_init(struct node *n);
void node_ev_recount_start(struct node *n);
void node_ev_recount_release(struct node *n);
extern const struct node_query_op node_ev_recount_queries[];
/* eventual_copies.c */
void node_ev_copies_run(struct node *n);
void node_ev_copies_release(struct node *n);
void node_ev_write_serve(struct node *n, struct node_request request, struct bytes body);

#endif
