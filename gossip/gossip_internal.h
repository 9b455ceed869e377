/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Insides of the gossip core, shared by the files of this folder and its unit tests.
 *
 *   gossip.c     life, ticks, deadlines, evidence, what it knows
 *   rules.c      the two sets of rules
 *   members.c    table of members, choice of random ones, digests
 *   records.c    what a record about a member changes: order, refutation, conflicts
 *   rumors.c     queue of what is to be told
 *   probe.c      direct, indirect and stream probes, relays
 *   suspicion.c  timers and confirmations
 *   health.c     own health, late ticks, confidence
 *   sync.c       push-pull
 *   facts.c      values of members
 *   cut.c        observers, alerts, cuts
 *   codec.c      bytes of messages
 *   receive.c    one packet: checked whole, then taken
 *   poll.c       actions out
 *   logs.c       integer logarithms
 */
#ifndef HOLDFAST_GOSSIP_GOSSIP_INTERNAL_H
#define HOLDFAST_GOSSIP_GOSSIP_INTERNAL_H

#include "base/hash.h"
#include "base/num.h"
#include "base/rng.h"
#include "gossip/gossip.h"

#define GOSSIP_NEVER UINT64_MAX
#define GOSSIP_PROBES_MAX 64u
#define GOSSIP_RELAYS_MAX 64u
#define GOSSIP_OUTS_MAX 256u    /* sends that wait for gossip_poll; a power of two */
#define GOSSIP_TOLD_MAX 256u    /* changes that wait; above it, the table is swept */
#define GOSSIP_RUMORS_MAX 1024u /* or members_max, if fewer */
#define GOSSIP_SUSPICIONS_MAX 1024u
#define GOSSIP_SENT_MAX 63u /* transmissions of one rumor */
#define GOSSIP_ACCUSERS_MAX 8u
#define GOSSIP_BUCKET_BITS_MAX 10u
#define GOSSIP_SYNCS_OWN 2u       /* places of what this node asked: of the living, of the dead */
#define GOSSIP_SYNCS_MAX 6u       /* the others it answers */
#define GOSSIP_SYNC_PAGES_MAX 16u /* a round and side, unless whole */
#define GOSSIP_SYNC_WAIT_US 10000000u
#define GOSSIP_WATCHES_MAX 64u
#define GOSSIP_REPORTS_MAX 256u
#define GOSSIP_PACKET_PARTS_MAX 255u
#define GOSSIP_VERSION 1u
#define GOSSIP_HEADER_BYTES 4u
#define GOSSIP_PART_BYTES 3u /* type and length before each message */

/* ---- members ------------------------------------------------------------------------------ */

enum gossip_flag {
    GOSSIP_FLAG_ROSTER_AHEAD = 1u << 0, /* the epoch is the roster's; its start has not spoken */
    GOSSIP_FLAG_UDP_BLOCKED = 1u << 1,  /* answers on streams only */
    GOSSIP_FLAG_CONFLICT = 1u << 2,     /* told of, until the state changes */
    GOSSIP_FLAG_CUT = 1u << 4,          /* in a cut: dead, whatever it says in this epoch */
    GOSSIP_FLAG_DOUBTED = 1u << 3,      /* a probe of it failed since it answered last */
};

struct gossip_entry {
    uint64_t epoch;
    uint64_t incarnation;
    uint64_t since_us;
    uint32_t id;
    uint32_t slot;        /* of its contact */
    uint32_t answered_ms; /* of the core's time; 0: never */
    struct gossip_address address;
    uint16_t rumor;     /* place in the queue, from 1; 0: not in it */
    uint16_t suspicion; /* place among the suspicions, from 1 */
    uint8_t state;
    uint8_t unwell;
    uint8_t health;
    uint8_t fails; /* failed probes of its and distinct accusers, since its last answer */
    uint8_t flags;
    uint8_t was; /* state before a change not yet told; 0: none */
};
/* What records of other members do not touch, kept apart: a packet brings records of some thirty
 * members, of which each costs one line of the cache then, and not two. */
struct gossip_contact {
    uint64_t heard_us;
    uint32_t rtt_us;
    uint32_t zone;
};
_Static_assert(sizeof(struct gossip_entry) == 64, "an entry is as long as a line of the cache");
_Static_assert(sizeof(struct gossip_entry) + sizeof(struct gossip_contact) + sizeof(uint32_t) <=
                   GOSSIP_MEMBER_RECORD_BYTES_MAX,
               "an entry, its contact and its place in the probing order are a member's memory");

/* Kept only where signatures are checked. */
struct gossip_proof {
    uint8_t key[GOSSIP_PUBLIC_KEY_BYTES];
    uint8_t signature[GOSSIP_SIGNATURE_BYTES];
    bool has_key;
    bool is_signed; /* signature is of the entry as it stands */
};

/* A record about a member, as told. */
struct gossip_record {
    uint64_t epoch;
    uint64_t incarnation;
    uint32_t id;
    uint8_t state;
    uint8_t unwell;
    uint8_t agreed; /* distinct accusers behind a death */
    uint8_t accuser_count;
    bool has_address;
    bool is_signed;
    struct gossip_address address;
    uint32_t accusers[GOSSIP_ACCUSERS_MAX];
    uint8_t signature[GOSSIP_SIGNATURE_BYTES]; /* left as it was if it is not signed */
};
#define GOSSIP_RECORD_HEAD_BYTES offsetof(struct gossip_record, signature)

/* ---- rumors ------------------------------------------------------------------------------- */

enum gossip_rumor_kind {
    GOSSIP_RUMOR_MEMBER = 1,
    GOSSIP_RUMOR_ALERT,
};

struct gossip_rumor {
    uint32_t subject; /* id of the member; of an alert: place of the report */
    uint32_t accuser;
    uint16_t next; /* places from 1 */
    uint16_t prev;
    uint8_t kind;
    uint8_t ring;
    uint8_t sent;
    uint8_t agreed;
};

struct gossip_rumors {
    struct gossip_rumor *items;
    uint32_t cap;
    uint32_t count;
    uint16_t free_head;
    uint16_t fresh;                      /* items never used begin here */
    uint16_t head[GOSSIP_SENT_MAX + 1u]; /* by transmissions so far */
    uint16_t tail[GOSSIP_SENT_MAX + 1u];
};

/* ---- probes ------------------------------------------------------------------------------- */

enum gossip_phase {
    GOSSIP_PHASE_DIRECT = 1,
    GOSSIP_PHASE_INDIRECT,
};

struct gossip_probe {
    uint32_t target;
    uint32_t seq;
    uint64_t epoch; /* of the start that is asked */
    uint64_t sent_us;
    uint64_t next_us; /* when its phase ends */
    uint64_t end_us;
    uint64_t token; /* of the stream probe */
    uint8_t phase;
    uint8_t asks;    /* pings that may follow in the direct phase */
    uint8_t repeats; /* that have followed the first, in both phases */
    uint8_t nacks_wanted;
    uint8_t nacks;
    bool scheduled; /* by the probing order: counts for own health and loss */
    bool streamed;  /* the stream answered */
};

struct gossip_relay {
    uint32_t origin;
    uint32_t origin_seq;
    uint32_t seq;
    uint32_t target;
    uint64_t next_us;
    uint64_t end_us;
    uint8_t asks; /* as of a probe */
};

/* ---- suspicions --------------------------------------------------------------------------- */

struct gossip_suspicion {
    uint32_t subject;
    uint8_t confirmations_wanted;
    uint8_t accuser_count;
    uint64_t start_us;
    uint64_t end_us;
    uint64_t least_us;
    uint64_t most_us;
    uint32_t accusers[GOSSIP_ACCUSERS_MAX]; /* the first is the one that began it */
};

/* ---- syncs -------------------------------------------------------------------------------- */

struct gossip_sync {
    uint32_t peer; /* 0: not in use */
    uint32_t id;
    uint64_t end_us;
    uint64_t wanted[(1u << GOSSIP_BUCKET_BITS_MAX) / 64u];
    uint32_t start; /* members and facts are walked from here, around */
    uint32_t walked;
    uint32_t fact_walked;
    uint8_t bits;
    uint8_t pages;
    bool whole;
    bool sending;
    bool want_pending;    /* its first page asks for the buckets */
    bool answered;        /* the other side has sent its end */
    uint64_t token_least; /* of its messages */
};

/* ---- facts -------------------------------------------------------------------------------- */

struct gossip_fact {
    uint64_t version;
    uint32_t member;
    uint32_t offset; /* of the value in the arena */
    uint16_t size;
    uint16_t room;
    uint8_t kind;
    uint8_t sent;
    bool untold;
    bool queued;
    uint32_t next_hash; /* places from 1 */
    uint32_t next;
    uint32_t prev;
};

struct gossip_facts {
    struct gossip_fact *items;
    uint32_t *index;
    uint8_t *arena;
    uint32_t cap; /* items; a power of two, and that of the index */
    uint32_t count;
    uint32_t arena_cap;
    uint32_t arena_used;
    uint32_t head[GOSSIP_FACT_PROMPT + 1]; /* to be told, in turn: of each prompt kind; others */
    uint32_t tail[GOSSIP_FACT_PROMPT + 1];
    uint32_t untold;    /* not yet given as GOSSIP_FACT */
    uint32_t swept;     /* where the search for them goes on */
    uint32_t counter;   /* of own versions */
    uint64_t tokens_us; /* time up to which tokens were given */
    uint64_t tokens[2]; /* bytes times 10^6: [1] those of prompt kinds */
};

/* ---- cuts --------------------------------------------------------------------------------- */

/* This node judges subject. */
struct gossip_watch {
    uint32_t subject;
    uint32_t seq;
    uint64_t epoch; /* of the start that is asked */
    uint64_t next_us;
    uint64_t start_us;
    uint16_t sent;
    uint16_t answered;
    uint16_t rings;          /* for which this node is the observer */
    uint16_t quick_left;     /* questions of a quick look, which are not of the window */
    uint16_t quick_answered; /* of them */
    bool waits;              /* for the answer to seq */
    bool quick;              /* seq is of a quick look */
    bool bad;                /* last verdict */
};

struct gossip_report {
    uint64_t epoch;
    uint64_t changed_us;
    uint64_t looked_us; /* when its observers last began a quick look, or 0 */
    uint64_t called_us; /* when its observers were last asked to look again */
    uint32_t subject;   /* 0: not in use */
    uint16_t bad;       /* rings whose observers hold it faulty */
    bool cut;           /* given out */
    uint32_t since_ms;
    uint32_t rounds[GOSSIP_RINGS_MAX];
    uint16_t rumors[GOSSIP_RINGS_MAX];
};

/* ---- out ---------------------------------------------------------------------------------- */

enum gossip_type {
    GOSSIP_TYPE_PING = 1,
    GOSSIP_TYPE_ACK = 2,
    GOSSIP_TYPE_NACK = 3,
    GOSSIP_TYPE_RELAY = 4,
    GOSSIP_TYPE_MEMBER = 5,
    GOSSIP_TYPE_FACT = 6,
    GOSSIP_TYPE_WATCH = 7,
    GOSSIP_TYPE_ALERT = 8,
    GOSSIP_TYPE_SYNC_ASK = 9,
    GOSSIP_TYPE_SYNC_ANSWER = 10,
    GOSSIP_TYPE_SYNC_BUCKETS = 11,
    GOSSIP_TYPE_SYNC_WANT = 12,
    GOSSIP_TYPE_SYNC_END = 13,
    GOSSIP_TYPE_RUMORS = 254,   /* not on the wire: a packet of rumors alone */
    GOSSIP_TYPE_CONFLICT = 255, /* not on the wire: an action for the caller */
};

enum gossip_answer {
    GOSSIP_ANSWER_EQUAL = 0,
    GOSSIP_ANSWER_BUSY = 1,
};

struct gossip_out {
    uint64_t token;
    uint32_t peer;
    uint32_t seq;
    uint32_t target;
    struct gossip_address address; /* all zero: the member's */
    uint8_t type;
    uint8_t channel;
    uint8_t arg;
};

struct gossip_writer {
    uint8_t *data;
    size_t size;
    size_t cap;
    uint32_t parts;
    uint32_t parts_max;
};

/* ---- the core ----------------------------------------------------------------------------- */

struct gossip {
    struct gossip_options options;
    struct gossip_rules rules;
    struct alloc alloc;
    struct rng rng;
    struct gossip_counters counters;
    uint64_t start_us;
    uint64_t now_us;

    void *entries_memory;
    struct gossip_entry *entries;    /* ascending ids; each a line of the cache */
    struct gossip_contact *contacts; /* by slot */
    struct gossip_proof *proofs;     /* beside entries, or NULL */
    uint32_t *order;                 /* places in entries: before order_at probed in this turn */
    uint32_t count;
    uint32_t order_at;
    uint32_t probe_turn;
    uint32_t self; /* place */
    uint32_t roster_count;
    uint32_t dead_count;
    uint64_t roster_us;

    uint64_t *buckets; /* sums of hashes of records, by id */
    uint64_t *fact_buckets;
    uint32_t bucket_bits;

    /* from the number of members */
    uint32_t retransmit_limit;
    uint64_t suspicion_least_us; /* memberlist's */
    uint64_t demand_least_us;
    uint64_t sync_period_us;
    bool demand_on;

    struct gossip_rumors rumors;
    struct gossip_facts facts;

    struct gossip_probe probes[GOSSIP_PROBES_MAX];
    struct gossip_relay relays[GOSSIP_RELAYS_MAX];
    struct gossip_suspicion *suspicions;
    uint16_t suspicion_free; /* linked through subject */
    uint16_t suspicion_fresh;
    uint32_t suspicion_cap;
    uint32_t suspicion_count;
    uint32_t probe_count;
    uint32_t relay_count;
    uint32_t seq;

    struct gossip_sync syncs[GOSSIP_SYNCS_MAX];
    uint32_t sync_id;
    uint32_t changes; /* of records, since the last sync */

    struct gossip_watch watches[GOSSIP_WATCHES_MAX];
    struct gossip_report *reports;
    uint32_t watch_count;
    uint32_t report_count;

    uint64_t probe_us; /* next deadlines */
    uint64_t gossip_us;
    uint64_t gossiped_us;
    uint64_t sync_us;
    uint64_t suspicion_us;
    uint64_t probes_us; /* earliest of probes and relays */
    uint64_t watch_us;
    uint64_t cut_us;
    uint64_t leave_us;

    uint32_t health;
    uint32_t unwell; /* the caller's reasons */
    bool starved;
    bool leaving;
    bool left_done;
    uint64_t late_until_us; /* what is asked before then is asked late */
    uint64_t answered_us;   /* when anyone answered a probe of ours */
    uint64_t reassured_us;  /* when it asked anybody, before it would hold others dead */
    uint32_t loss;          /* share of whole probes of healthy members that fail, of 65,536 */
    uint32_t direct_loss;   /* of direct datagram probes */
    uint32_t direct_count;  /* samples of it, up to the length of its mean */
    bool own_signed;
    uint8_t own_signature[GOSSIP_SIGNATURE_BYTES];

    struct gossip_out *outs;
    uint32_t out_head;
    uint32_t out_count;
    uint32_t told[GOSSIP_TOLD_MAX];
    uint32_t told_head;
    uint32_t told_count;
    uint32_t sweep; /* place from which changes are searched; UINT32_MAX: none are */
    uint64_t token;
    uint8_t *datagram;
    uint8_t *stream; /* got when streams are large */
    uint32_t cut_count;
    uint32_t cut[GOSSIP_CUT_MAX];
};

/* logs.c */
/* returns: log2 of v in 65,536ths; 0 for 0. */
uint32_t gossip_log2(uint64_t v);
/* returns: log10 of v in 65,536ths. */
uint32_t gossip_log10(uint64_t v);

/* members.c */
int gossip_members_init(struct gossip *g, const struct gossip_seat *seats, uint32_t count);
int gossip_members_set(struct gossip *g, const struct gossip_seat *seats, uint32_t count);
void gossip_members_reap(struct gossip *g);
/* returns: NULL if there is none of this id. */
struct gossip_entry *gossip_entry_of(const struct gossip *g, uint32_t id);

static inline struct gossip_contact *gossip_contact_of(const struct gossip *g,
                                                       const struct gossip_entry *e)
{
    return &g->contacts[e->slot];
}

/* A hint that the entry will be wanted soon; id: any. */
void gossip_entry_prefetch(const struct gossip *g, uint32_t id);
void gossip_entry_prefetch_more(const struct gossip *g, uint32_t id);
static inline struct gossip_entry *gossip_self(const struct gossip *g)
{
    return &g->entries[g->self];
}
static inline bool gossip_state_lives(uint8_t state)
{
    return state == GOSSIP_ALIVE || state == GOSSIP_DEGRADED;
}
static inline bool gossip_entry_lives(const struct gossip_entry *e)
{
    return gossip_state_lives(e->state);
}
/* Takes the entry out of the digest and puts it back: around every change of what is hashed. */
void gossip_members_unhash(struct gossip *g, const struct gossip_entry *e);
void gossip_members_hash(struct gossip *g, const struct gossip_entry *e);
uint32_t gossip_bucket_of(uint32_t id, uint32_t bits);
enum gossip_choice {
    GOSSIP_CHOOSE_ALIVE = 1, /* alive or degraded */
    GOSSIP_CHOOSE_GOSSIP,    /* alive, suspect, and dead not for long */
    GOSSIP_CHOOSE_DEAD,      /* dead */
};
/* Even choice without replacement of at most want members, never self or not_id; finds as many as
 * there are. returns: how many. */
uint32_t gossip_members_random(struct gossip *g, enum gossip_choice choice, uint32_t not_id,
                               uint32_t want, uint32_t *out);

/* records.c */
enum gossip_way {
    GOSSIP_WAY_RUMOR = 1,
    GOSSIP_WAY_SYNC,
};
void gossip_record_take(struct gossip *g, const struct gossip_record *r, uint32_t sender,
                        enum gossip_way way);
/* Moves e to state, tells it, and queues the rumor. accuser: 0 if none. */
void gossip_record_state(struct gossip *g, struct gossip_entry *e, enum gossip_state state);
void gossip_record_changed(struct gossip *g, struct gossip_entry *e, enum gossip_state was);
/* Issues a new record about this node. */
void gossip_record_own(struct gossip *g, enum gossip_state state);
void gossip_record_of(const struct gossip *g, const struct gossip_entry *e, uint32_t accuser,
                      struct gossip_record *out);
/* text: at least GOSSIP_MEMBER_RECORD_BYTES_MAX. returns: the bytes a signature is over. */
struct bytes gossip_record_text(const struct gossip_record *r, uint8_t *text);

/* rumors.c */
void gossip_rumors_member(struct gossip *g, struct gossip_entry *e, uint32_t accuser,
                          uint8_t agreed);
void gossip_rumors_alert(struct gossip *g, struct gossip_report *report, uint8_t ring);
void gossip_rumors_drop(struct gossip *g, uint16_t place);
/* Fills the packet up. */
void gossip_rumors_fill(struct gossip *g, struct gossip_writer *w, uint32_t peer);
uint32_t gossip_rumors_count(const struct gossip *g);
/* There is something to tell: the next round keeps its beat, also after a while without any. */
void gossip_round_wake(struct gossip *g);

/* probe.c */
void gossip_probe_tick(struct gossip *g);
void gossip_probe_run(struct gossip *g);
void gossip_probe_start(struct gossip *g, struct gossip_entry *e, bool scheduled);
void gossip_probe_ack(struct gossip *g, uint32_t sender, uint32_t seq, enum gossip_channel channel);
void gossip_probe_nack(struct gossip *g, uint32_t sender, uint32_t seq);
void gossip_probe_relay(struct gossip *g, uint32_t sender, uint32_t seq, uint32_t target);
void gossip_probe_rtt(struct gossip *g, struct gossip_entry *e, uint64_t sample_us);
/* It answered: no doubt is left. */
void gossip_probe_answered(struct gossip *g, struct gossip_entry *e);
void gossip_probe_stream_failed(struct gossip *g, uint64_t token);
uint32_t gossip_probe_seq(struct gossip *g);
uint32_t gossip_ms(const struct gossip *g);

/* suspicion.c */
void gossip_suspicion_scale(struct gossip *g);
/* accuser holds e faulty at e's record. returns: whether that was new. */
bool gossip_suspicion_accuse(struct gossip *g, struct gossip_entry *e, uint32_t accuser);
void gossip_suspicion_end(struct gossip *g, struct gossip_entry *e);
void gossip_suspicion_run(struct gossip *g);

/* health.c */
void gossip_health_add(struct gossip *g, int delta);
/* Looks whether this call comes late; moves deadlines if so. */
void gossip_health_late(struct gossip *g);
void gossip_health_answered(struct gossip *g, uint64_t asked_us);
bool gossip_health_may_declare(const struct gossip *g);
uint32_t gossip_health_sure(const struct gossip *g, const struct gossip_entry *e);
void gossip_health_loss(uint32_t *loss, bool failed);
void gossip_health_direct(struct gossip *g, bool failed);
/* What was counted as lost when the ping was repeated is answered after all: the way is long. */
void gossip_health_late_answer(struct gossip *g);
/* returns: the share of single pings that are lost, as far as it is known; of 65,536. */
uint32_t gossip_health_direct_loss(const struct gossip *g);

/* sync.c */
/* Tables are compared in a moment. */
void gossip_sync_soon(struct gossip *g);
void gossip_sync_tick(struct gossip *g);
void gossip_sync_hurry(struct gossip *g);
void gossip_sync_asked(struct gossip *g, uint32_t sender, struct bytes body);
void gossip_sync_answered(struct gossip *g, uint32_t sender, struct bytes body);
void gossip_sync_buckets(struct gossip *g, uint32_t sender, struct bytes body);
void gossip_sync_wanted(struct gossip *g, uint32_t sender, struct bytes body);
void gossip_sync_ended(struct gossip *g, uint32_t sender, struct bytes body);
void gossip_sync_failed(struct gossip *g, uint64_t token);
/* Writes what o stands for. returns: whether more of o follows. */
bool gossip_sync_write(struct gossip *g, const struct gossip_out *o, struct gossip_writer *w);

/* facts.c */
int gossip_facts_init(struct gossip *g);
void gossip_facts_release(struct gossip *g);
void gossip_facts_take(struct gossip *g, uint32_t member, struct bytes body);
/* all: not those of prompt kinds alone. */
void gossip_facts_fill(struct gossip *g, struct gossip_writer *w, bool all);
/* returns: whether one of a prompt kind is to be told. */
bool gossip_facts_prompt(const struct gossip *g);
bool gossip_facts_poll(struct gossip *g, struct gossip_action *out);
bool gossip_facts_write(struct gossip *g, struct gossip_writer *w, const struct gossip_fact *fact);
void gossip_facts_forget(struct gossip *g, uint32_t member);

/* cut.c */
/* Something holds e faulty: this node watches it if it is an observer. */
void gossip_cut_doubt(struct gossip *g, struct gossip_entry *e);
/* A probe of this node found no way by datagrams: the observers are told. */
/* Who is held in a cut says that it lives: its observers look again, now and then. */
void gossip_cut_refuted(struct gossip *g, struct gossip_entry *e);
void gossip_cut_call(struct gossip *g, struct gossip_entry *e);
bool gossip_cut_ack(struct gossip *g, uint32_t sender, uint32_t seq);
void gossip_cut_run(struct gossip *g);
void gossip_cut_alert(struct gossip *g, struct bytes body);
void gossip_cut_write(const struct gossip *g, struct gossip_writer *w,
                      const struct gossip_rumor *rumor);
void gossip_cut_decide(struct gossip *g);
/* It is no longer held in a cut. */
void gossip_cut_release(struct gossip *g, struct gossip_entry *e);
/* returns: the member that observes subject on ring; 0: none. */
uint32_t gossip_cut_observer(const struct gossip *g, uint32_t subject, uint32_t ring);
uint32_t gossip_cut_rings(const struct gossip *g);

/* codec.c */
void gossip_write_begin(const struct gossip *g, struct gossip_writer *w,
                        enum gossip_channel channel);
struct bytes gossip_write_end(struct gossip_writer *w);
/* returns: where to put a message of bytes, or NULL if it does not fit. */
uint8_t *gossip_write_part(struct gossip_writer *w, enum gossip_type type, size_t bytes);
size_t gossip_record_bytes(const struct gossip_record *r);
bool gossip_write_record(struct gossip_writer *w, const struct gossip_record *r);
/* returns: whether body is a record. */
bool gossip_read_record(struct bytes body, struct gossip_record *out);
/* Hints at the members that a record, which was checked, is about. */
void gossip_read_prefetch(const struct gossip *g, struct bytes body);
/* returns: whether body is a message of this type, or the type unknown. */
bool gossip_read_check(uint8_t type, struct bytes body);

/* poll.c */
struct gossip_out *gossip_out_add(struct gossip *g, uint32_t peer, enum gossip_type type,
                                  enum gossip_channel channel);
/* Tells peer the record about subject, by datagram. */
void gossip_out_tell(struct gossip *g, uint32_t peer, uint32_t subject);

#endif
