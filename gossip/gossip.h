/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * gossip: who is reachable, how sure are we, and what are their latest facts. Opinions only:
 * membership is changed by Raft alone. SWIM (Das, Gupta, Motivala, DSN 2002) with Lifeguard
 * (Dadgar, Phillips, Currey, DSN-W 2018), demand-confirmed suspicion, and cut detection after
 * Rapid (Suresh et al., ATC 2018).
 *
 *   struct gossip_options options = {.self = 3, .epoch = 7, .rules = gossip_rules_default(), ...};
 *   TRY(gossip_new(&g, &options, seats, count, &alloc, now_us));      every roster member is known
 *   loop:  gossip_receive / gossip_evidence / gossip_stream_done / gossip_tick   as things happen
 *          while (gossip_poll(g, &action)) { send it, or look at what it tells }
 *          call gossip_tick no later than gossip_deadline(g)
 *   gossip_leave(g); ... poll until GOSSIP_LEFT_DONE ...; gossip_free(g);
 *
 * The same options, seats and calls give the same actions, byte for byte. No floating point.
 *
 * A member's state is ordered by (epoch, incarnation), then by what is said (removed over left over
 * dead over suspect over alive and degraded). The epoch is the boot number that group 0 recorded
 * for a start of the node and stands there before its first packet; the incarnation counts
 * refutations below it.
 *
 * Messages are plain bytes here: the envelope around them (gossip_seal_*, below) gives them an
 * authenticated sender. Datagrams hold compounds of messages up to options.datagram_bytes; streams
 * are reliable, ordered and whole, up to options.stream_bytes each. A message of an unknown type is
 * skipped; a message that contradicts itself ends the packet, counted, with nothing taken of it.
 *
 * Memory: everything is got at gossip_new, by members_max and the limits; nothing later.
 *
 * threads: one owner.
 */
#ifndef HOLDFAST_GOSSIP_GOSSIP_H
#define HOLDFAST_GOSSIP_GOSSIP_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define GOSSIP_CLUSTER_BYTES 16u
#define GOSSIP_PUBLIC_KEY_BYTES 32u  /* Ed25519 */
#define GOSSIP_PRIVATE_KEY_BYTES 32u /* Ed25519 seed */
#define GOSSIP_SIGNATURE_BYTES 64u
#define GOSSIP_MEMBER_RECORD_BYTES_MAX 96u /* unsigned, on the wire and in memory */
#define GOSSIP_FACT_BYTES_MAX 512u         /* value of one fact */
#define GOSSIP_FACT_KINDS 16u
#define GOSSIP_FACT_PROMPT 4u /* kinds below it are told at once: small and rare ones */
#define GOSSIP_CUT_MAX 64u    /* members of one cut */
#define GOSSIP_RINGS_MAX 10u

/* ---- who belongs ---------------------------------------------------------------------------- */

struct gossip_address {
    uint8_t ip[16]; /* IPv6, or IPv4 mapped into it */
    uint16_t port;
};

/* A row of the roster, as group 0 has it. */
struct gossip_seat {
    uint32_t id;          /* from 1, never reused */
    uint32_t zone;        /* failure domain above the node */
    uint64_t epoch_least; /* the newest epoch that group 0 recorded; 0: it never started */
    struct gossip_address address;
    uint8_t public_key[GOSSIP_PUBLIC_KEY_BYTES]; /* all zero: none */
};

/* ---- rules ---------------------------------------------------------------------------------- */

struct gossip_rules {
    uint64_t probe_interval_us;
    uint64_t probe_timeout_us; /* of the direct probe; the indirect ones have the interval's rest */
    uint64_t gossip_interval_us;
    uint64_t sync_interval_us; /* push-pull, stretched by 1 + log2(N / 32) above 32 members */
    uint64_t reap_us;          /* dead or left members outside the roster are kept so long */
    uint32_t fanout;           /* members a gossip interval */
    uint32_t relays;           /* of an indirect probe */
    bool ask_again;            /* on lossy ways a direct probe asks again before its time is over */
    bool neighbour; /* the next member is probed each interval, a random one each second, so that
                       none waits long for a probe */
    uint32_t retransmit_mult; /* an item is sent mult * ceil(log10(N + 1)) times */
    uint32_t suspicion_mult;  /* memberlist's minimum: mult * max(1, log10 N) * probe_interval */
    uint32_t suspicion_max_mult;
    uint32_t confirmations;  /* distinct other accusers that bring the timer to its minimum */
    bool late_is_own;        /* a late tick raises the own score and moves deadlines; else, as in
                                memberlist, the timers that are due just fire */
    uint32_t health_max;     /* local health: 0 (healthy) to max - 1; stretches probing */
    bool demand;             /* hearers of a new suspicion probe the subject */
    uint32_t demand_probers; /* expected number of them: each with probability this / N */
    uint64_t demand_min_us;  /* minimum timer: this * log10 N, in place of memberlist's */
    uint32_t demand_from;    /* members from which demand holds; below, memberlist's timers */
    bool sync_whole;         /* push-pull sends all records (memberlist), else what differs */
    bool cuts;               /* cut detection */
    uint32_t cut_observers;  /* K, at most GOSSIP_RINGS_MAX; min(K, N - 1) count */
    uint32_t cut_high;       /* H of K */
    uint32_t cut_low;        /* L of K */
    uint32_t cut_from;       /* members from which cuts are found; below, suspicion alone */
    uint64_t cut_window_us;  /* observers judge the answers of so long */
};

/* What the product runs. */
struct gossip_rules gossip_rules_default(void);
/* hashicorp/memberlist's DefaultLANConfig and algorithm, for comparison: 1 s, 500 ms, 200 ms, 30 s,
 * fanout 3, 3 relays, retransmit 4, suspicion 4 and 6, health 8, no demand, whole syncs, no cuts.
 */
struct gossip_rules gossip_rules_memberlist(void);

/* ---- members -------------------------------------------------------------------------------- */

enum gossip_state {
    GOSSIP_ALIVE = 1,
    GOSSIP_DEGRADED, /* answers, and says of itself that it is unwell: nothing new goes to it */
    GOSSIP_SUSPECT,
    GOSSIP_DEAD,
    GOSSIP_LEFT,    /* said so itself, or was made to */
    GOSSIP_REMOVED, /* the roster no longer has it */
};

enum gossip_channel {
    GOSSIP_DATAGRAM = 1,
    GOSSIP_STREAM, /* a connection: probes that UDP loses, and push-pull */
};

/* Why this node holds itself unwell. Bits. */
enum gossip_unwell {
    GOSSIP_UNWELL_DISK_SLOW = 1u << 0,
    GOSSIP_UNWELL_DISK_FULL = 1u << 1,
    GOSSIP_UNWELL_DISK_BAD = 1u << 2,
    GOSSIP_UNWELL_STARVED =
        1u << 3, /* set by the core itself while its local health is at its end */
    GOSSIP_UNWELL_MEMORY = 1u << 4,
    GOSSIP_UNWELL_OPERATOR = 1u << 5,
};

struct gossip_member {
    uint32_t id;
    uint32_t zone;
    enum gossip_state state;
    uint32_t unwell; /* what it says of itself: bits */
    uint64_t epoch;
    uint64_t incarnation;
    uint64_t since_us;   /* this node's clock: when the state began */
    uint64_t heard_us;   /* when it last answered or sent something itself; 0: never */
    uint32_t rtt_us;     /* smoothed; 0: not known */
    uint32_t confidence; /* in hundredths: see below */
    uint32_t health;     /* the local health score it last told; 0 is best */
    struct gossip_address address;
};

/* Confidence that a member is unreachable, a suspicion level in the sense of Hayashibara et al.
 * (SRDS 2004): 100 times -log10 of the probability that what was seen of it would be seen of a
 * healthy member. Rises with each failed probe, by own loss, and each independent accuser; falls to
 * 0 with an answer. 100: one in ten; 300: one in a thousand. */
#define GOSSIP_SURE_READ 100u  /* prefer another node for reads */
#define GOSSIP_SURE_LEASE 200u /* stop counting on its lease renewals */
#define GOSSIP_SURE_EVICT 800u /* propose its removal */

/* ---- the core ------------------------------------------------------------------------------- */

/* Signatures on records about oneself; compute is the caller's. sign may be NULL: none are made;
 * verify may be NULL: none are believed. */
struct gossip_signer {
    void *ctx;
    void (*sign)(void *ctx, struct bytes text, uint8_t out[GOSSIP_SIGNATURE_BYTES]);
    bool (*verify)(void *ctx, const uint8_t key[GOSSIP_PUBLIC_KEY_BYTES], struct bytes text,
                   const uint8_t signature[GOSSIP_SIGNATURE_BYTES]);
};

struct gossip_options {
    uint32_t self;
    uint64_t epoch; /* as group 0 recorded it; never used by another start of this node */
    uint64_t seed;
    struct gossip_rules rules;
    uint32_t members_max;
    uint32_t datagram_bytes;     /* largest compound, without envelope; default 1,350 */
    uint32_t stream_bytes;       /* largest stream message, without envelope; default 65,536 */
    uint32_t facts_bytes_second; /* of facts piggybacked a node; default 128; of those of prompt
                                    kinds as many times that as there are members, 4 to 64 */
    uint32_t facts_memory_bytes; /* for facts of all members; default 65,536 */
    uint64_t epoch_jump_max;     /* larger jumps of epoch or incarnation count only if signed by the
                                    member; default 2^20 */
    struct gossip_signer signer;
};

struct gossip;

/* seats: the roster, copied; own seat among them. Members start alive with epoch_least, not yet
 * heard. returns: 0, ERR_INVALID (self not in it, twice the same id, limits), ERR_NO_MEMORY. */
int gossip_new(struct gossip **out, const struct gossip_options *options,
               const struct gossip_seat *seats, uint32_t count, const struct alloc *alloc,
               uint64_t now_us);
void gossip_free(struct gossip *g);

/* The roster changed. seats: ascending ids. Members that it no longer has become removed; new ones
 * appear.
 * returns: 0 or ERR_INVALID, and nothing is changed. */
int gossip_roster_set(struct gossip *g, const struct gossip_seat *seats, uint32_t count,
                      uint64_t now_us);

/* sender: authenticated by the envelope; from: where the packet came from (all zero on a stream).
 * returns: 0; ERR_PROTOCOL (counted; nothing of the packet is believed), ERR_NOT_FOUND (sender is
 * not in the roster). Never fails otherwise. */
int gossip_receive(struct gossip *g, enum gossip_channel channel, uint32_t sender,
                   uint64_t sender_epoch, const struct gossip_address *from, struct bytes data,
                   uint64_t now_us);

/* What else was seen of a member, by consensus, calls or connections. */
enum gossip_evidence_kind {
    GOSSIP_ANSWERED = 1, /* it answered something: stands for a probe; rtt_us may be 0 */
    GOSSIP_RESET,        /* its connection broke: it is probed at once */
    GOSSIP_CONNECTED,
};
void gossip_evidence(struct gossip *g, uint32_t peer, enum gossip_evidence_kind kind,
                     uint32_t rtt_us, uint64_t now_us);

/* A stream message of this token could not be delivered (code < 0) or was handed over (0). */
void gossip_stream_done(struct gossip *g, uint64_t token, int code, uint64_t now_us);

/* Runs what is due. By rules.late_is_own, a tick that comes late is this node's own fault: it
 * raises the local health score and moves all deadlines by the lateness. */
void gossip_tick(struct gossip *g, uint64_t now_us);
/* returns: when gossip_tick wants to be called; never UINT64_MAX. */
uint64_t gossip_deadline(const struct gossip *g);

/* Sets a fact about this node; the newest wins everywhere. kind: below GOSSIP_FACT_KINDS; those
 * below GOSSIP_FACT_PROMPT are told first, a lower one before a higher one.
 * returns: 0, ERR_TOO_LARGE, ERR_INVALID. */
int gossip_fact_set(struct gossip *g, uint32_t kind, struct bytes value, uint64_t now_us);
/* value: ends with the next call that is given g. returns: 0 or ERR_NOT_FOUND. */
int gossip_fact_get(const struct gossip *g, uint32_t member, uint32_t kind, uint64_t *version,
                    struct bytes *value);

/* reasons: bits of gossip_unwell; 0: well again. */
void gossip_unwell_set(struct gossip *g, uint32_t reasons, uint64_t now_us);

/* Tells everyone, then gives GOSSIP_LEFT_DONE. */
void gossip_leave(struct gossip *g, uint64_t now_us);
/* Tells that another member has left, on an operator's word. A running member refutes it.
 * returns: 0 or ERR_NOT_FOUND. */
int gossip_force_leave(struct gossip *g, uint32_t id, uint64_t now_us);

enum gossip_action_kind {
    GOSSIP_SEND = 1,  /* peer, address, channel, token, data */
    GOSSIP_CHANGE,    /* member as it is now, and was; accusers */
    GOSSIP_CONFLICT,  /* member: another address claims its id while it is alive (the old stays) */
    GOSSIP_CUT,       /* cut, cut_count: the members that observers agree to be faulty, ascending */
    GOSSIP_FACT,      /* peer, fact: a newer value has come */
    GOSSIP_LEFT_DONE, /* after gossip_leave: all were told or it took too long */
};

struct gossip_action {
    enum gossip_action_kind kind;
    uint32_t peer;
    struct gossip_address address;
    enum gossip_channel channel;
    uint64_t token;    /* of a stream message, for gossip_stream_done */
    struct bytes data; /* ends with the next call that is given g */
    struct gossip_member member;
    enum gossip_state was;
    uint32_t accusers; /* distinct members that confirmed the suspicion */
    uint32_t fact;
    uint32_t cut_count;
    uint32_t cut[GOSSIP_CUT_MAX];
};

/* returns: false if nothing is left to do. */
bool gossip_poll(struct gossip *g, struct gossip_action *out);

/* ---- what it knows -------------------------------------------------------------------------- */

uint32_t gossip_count(const struct gossip *g);
/* i: below gossip_count, ascending ids, self among them. */
void gossip_member_at(const struct gossip *g, uint32_t i, struct gossip_member *out);
/* returns: 0 or ERR_NOT_FOUND. */
int gossip_member_of(const struct gossip *g, uint32_t id, struct gossip_member *out);
/* returns: a hash of (id, epoch, incarnation, state) of all members: equal views, equal digests. */
uint64_t gossip_digest(const struct gossip *g);
/* returns: 0 (healthy) to rules.health_max - 1. */
uint32_t gossip_health(const struct gossip *g);

struct gossip_counters {
    uint64_t packets_in, packets_out, bytes_in, bytes_out; /* datagrams, without envelope */
    uint64_t streams_in, streams_out, stream_bytes_in, stream_bytes_out, streams_failed;
    uint64_t probes, probes_spared, probes_failed, indirect, indirect_failed, stream_probes;
    uint64_t suspected, confirmed, declared_dead, refuted, conflicts, cuts;
    uint64_t syncs, malformed, skipped, unknown_sender, jumps_refused, samples_dropped;
    uint64_t late_ticks, queue_dropped, facts_in, facts_out;
    uint64_t udp_blocked; /* members that answer on streams only */
};
void gossip_counters_get(const struct gossip *g, struct gossip_counters *out);

/* ---- the envelope --------------------------------------------------------------------------- */

/* A sealed packet, integers little-endian:
 *
 *   at bytes field
 *    0     1 version, 1
 *    1     1 channel
 *    2     2 key: number of the cluster's key
 *    4     4 sender
 *    8     8 epoch of the sender
 *   16     8 counter, from 0, never twice in one epoch and channel
 *   24     8 epoch of the destination as the sender knows it; 0: it does not
 *   32     n AES-256-GCM of the message
 *   32+n  16 tag
 *
 * Nonce: channel u32, counter u64. Additional data, 69 bytes: the header 32, cluster id 16, the
 * label "holdfast gossip 1" 17, destination u32. The key of a packet is HKDF-SHA-256 of the
 * cluster's key, without salt, over 53 bytes: the label 17, cluster id 16, sender u32, incarnation
 * of the sender's seat u64, epoch of the sender u64. No two senders and no two starts of one share
 * a key, so channel and counter are all that a nonce needs.
 *
 * Replay. Within one start of the receiver, what was seen is refused: a window of counters for each
 * sender and channel, which an epoch that is newer replaces. A new start of the receiver has
 * forgotten its windows; so a packet names the start that it is for, and what was captured before
 * this start is not believed. Who sends to an earlier start does not know better: it is told by a
 * greeting, which is a packet without text. In most cases nobody needs one: of two starts, the one
 * that group 0 recorded later knows the earlier. A greeting is no longer than what it answers, and
 * what was captured causes at most one each. */
#define GOSSIP_SEAL_HEADER_BYTES 32u
#define GOSSIP_SEAL_TAG_BYTES 16u
#define GOSSIP_SEAL_BYTES (GOSSIP_SEAL_HEADER_BYTES + GOSSIP_SEAL_TAG_BYTES)
#define GOSSIP_KEY_BYTES 32u
#define GOSSIP_KEYS_MAX 4u
#define GOSSIP_REPLAY_PACKETS 64u

/* The cipher is the caller's (server/host has OpenSSL's; a simulation may have one that only
 * counts). key: 32 bytes; nonce: 12; out of seal: text then tag. */
struct gossip_cipher {
    void *ctx;
    /* returns: 0 or ERR_NO_MEMORY. */
    int (*derive)(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], struct bytes info,
                  uint8_t out[GOSSIP_KEY_BYTES]);
    int (*seal)(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                struct bytes aad, struct bytes text, uint8_t *out);
    /* returns: 0, or ERR_CORRUPT (the tag does not match). out: text.size - 16 bytes. */
    int (*open)(void *ctx, const uint8_t key[GOSSIP_KEY_BYTES], const uint8_t nonce[12],
                struct bytes aad, struct bytes text, uint8_t *out);
};

enum gossip_key_state {
    GOSSIP_KEY_INSTALLED = 1, /* opens, does not seal */
    GOSSIP_KEY_USED,          /* seals: at most one */
    GOSSIP_KEY_OLD,           /* opens still: used before */
};

struct gossip_key {
    uint16_t number; /* from 1, never reused in a cluster */
    uint8_t state;
    uint8_t bytes[GOSSIP_KEY_BYTES];
};

struct gossip_seal; /* keys, own counters, and for each sender: epoch, windows, derived keys */

struct gossip_seal_options {
    uint32_t self;
    uint64_t incarnation; /* of the own seat */
    uint64_t epoch;
    uint8_t cluster[GOSSIP_CLUSTER_BYTES];
    uint32_t senders_max;
    struct gossip_cipher cipher;
};

/* returns: 0, ERR_INVALID (self, incarnation or epoch 0, no cipher), ERR_NO_MEMORY. */
int gossip_seal_new(struct gossip_seal **out, const struct gossip_seal_options *options,
                    const struct alloc *alloc);
void gossip_seal_free(struct gossip_seal *s);

/* The whole keyring, as group 0 has it. returns: 0 or ERR_INVALID (none or two used, same number
 * twice), and nothing is changed. */
int gossip_seal_keys(struct gossip_seal *s, const struct gossip_key *keys, unsigned count);
/* Who may send, and whom packets are for: incarnation of its seat, and the least epoch that counts.
 * Both rise only; a new incarnation begins at its epoch_least.
 * returns: 0, ERR_BUSY (senders_max), ERR_INVALID (id 0). */
int gossip_seal_sender(struct gossip_seal *s, uint32_t id, uint64_t incarnation,
                       uint64_t epoch_least);
/* The roster no longer has it: what it sends is refused. */
void gossip_seal_forget(struct gossip_seal *s, uint32_t id);

/* text: may be empty: a greeting. out: appended.
 * returns: 0, ERR_STARTING (no key in use), ERR_OVERFLOW (counter used up), the error of out or of
 * the cipher. A counter that was taken is not given back. */
int gossip_seal_close(struct gossip_seal *s, enum gossip_channel channel, uint32_t destination,
                      struct bytes text, struct buf *out);

struct gossip_opened {
    uint32_t sender;
    uint64_t epoch;
    uint16_t key;
    struct bytes text; /* in the buffer given; empty: a greeting, it says that the sender lives */
};
/* packet: as it came. into: of at least packet.size bytes.
 * returns: 0 and *out;
 *          ERR_BEHIND and *out but for text: authentic, but for another start of this node. Answer
 *          with a greeting to out->sender, where it is known to live or where this came from;
 *          ERR_PROTOCOL (not a packet of this version and channel), ERR_NOT_FOUND (unknown sender),
 *          ERR_PERMISSION (sealed by a key not in the keyring: not yet or no longer),
 *          ERR_FENCED (epoch older than known), ERR_REPLAYED (seen, or too old to tell),
 *          ERR_CORRUPT (not sealed for this cluster and node by that sender and key),
 *          ERR_NO_MEMORY (of the cipher).
 * Each is counted; nothing but 0, ERR_BEHIND and ERR_CORRUPT costs a decryption, and none but 0
 * changes what is believed. */
int gossip_seal_open(struct gossip_seal *s, enum gossip_channel channel, struct bytes packet,
                     uint8_t *into, struct gossip_opened *out);

struct gossip_seal_counters {
    uint64_t sealed, opened, malformed, unknown_sender, unknown_key, old_epoch, replayed, forged;
    uint64_t stale; /* authentic, for another start of this node */
};
void gossip_seal_counters_get(const struct gossip_seal *s, struct gossip_seal_counters *out);
/* returns: the number of the key that sealed what sender sent last; 0: nothing yet. */
uint16_t gossip_seal_key_of(const struct gossip_seal *s, uint32_t sender);

/* ---- the keyring ---------------------------------------------------------------------------- */

/* The cluster's keys as group 0 keeps them. A rotation has three steps: install (everybody can open
 * with the new key), use (everybody seals with it), retire (nobody opens with the old one).
 *
 *            install             use           use of another           retire
 *   (none) ----------> INSTALLED ---> USED <--------------------> OLD --------> (none)
 *                          |                   use of this           retire
 *                          +------------------------------------------------> (none)
 *
 * A step is a pure function of ring and change, so that all replicas agree. Whether a live member
 * would be left behind is asked before the step is proposed, of what members said of themselves;
 * the revision that the change names makes sure that it is still the ring that was asked about.
 *
 *   change = {.step = GOSSIP_KEYRING_USE, .revision = ring.revision, .number = 2};
 *   TRY(gossip_keyring_ready(&ring, &change, live, count, &blocker));   on the leader
 *   propose change; when applied, on every replica:
 *   TRY(gossip_keyring_apply(&ring, &change));
 *   gossip_seal_keys(seal, keys, gossip_keyring_keys(&ring, keys)); */
#define GOSSIP_KEYRING_BYTES_MAX (12u + 52u * GOSSIP_KEYS_MAX)

struct gossip_keyring_row {
    struct gossip_key key;
    uint64_t installed; /* revision that it came with */
    uint64_t used;      /* revision that it last came into use with; 0: it never was */
};

struct gossip_keyring {
    uint64_t revision; /* from 1; every step raises it */
    uint16_t last;     /* highest number ever installed */
    uint32_t count;
    struct gossip_keyring_row rows[GOSSIP_KEYS_MAX]; /* ascending numbers; one is used */
};

enum gossip_keyring_step {
    GOSSIP_KEYRING_INSTALL = 1,
    GOSSIP_KEYRING_USE,
    GOSSIP_KEYRING_RETIRE,
};

struct gossip_keyring_change {
    enum gossip_keyring_step step;
    uint64_t revision; /* of the ring that it is meant for */
    uint16_t number;
    uint8_t bytes[GOSSIP_KEY_BYTES]; /* of INSTALL */
};

/* A ring of key 1, in use. returns: 0 or ERR_INVALID (bytes are zeros). */
int gossip_keyring_begin(struct gossip_keyring *r, const uint8_t bytes[GOSSIP_KEY_BYTES]);

/* returns: 0; ERR_CONFLICT (another revision: somebody was faster);
 *          INSTALL: ERR_EXISTS (number was installed once, or these bytes are there), ERR_TOO_LARGE
 *                   (GOSSIP_KEYS_MAX: retire one), ERR_INVALID (number 0, bytes are zeros);
 *          USE:     ERR_NOT_FOUND, ERR_DONE (it is in use);
 *          RETIRE:  ERR_NOT_FOUND, ERR_IN_USE (use another first).
 * Nothing is changed then. */
int gossip_keyring_apply(struct gossip_keyring *r, const struct gossip_keyring_change *change);

/* What a member that is not dead, left or removed says of itself. */
struct gossip_keyring_member {
    uint32_t id;
    uint64_t revision; /* of the ring that it has; 0: it has not said so */
    uint16_t key;      /* that it seals with */
};
/* Whether all live members can follow: USE waits until they have the key, RETIRE until they seal
 * with the one in use. Who is cut off meanwhile is refused after RETIRE (ERR_PERMISSION at others,
 * counted) until group 0 has told it the ring.
 * returns: 0, what gossip_keyring_apply would refuse, or ERR_BEHIND and *blocker, the first. */
int gossip_keyring_ready(const struct gossip_keyring *r, const struct gossip_keyring_change *change,
                         const struct gossip_keyring_member *members, uint32_t count,
                         uint32_t *blocker);

/* returns: how many; what gossip_seal_keys takes. */
unsigned gossip_keyring_keys(const struct gossip_keyring *r,
                             struct gossip_key out[GOSSIP_KEYS_MAX]);
/* returns: the number of the key in use. */
uint16_t gossip_keyring_used(const struct gossip_keyring *r);

/* Bytes, little-endian: format u8 (1), count u8, last u16, revision u64; each row: number u16,
 * state u8, zero u8, installed u64, used u64, key 32. returns: 0 or the error of out. */
int gossip_keyring_encode(const struct gossip_keyring *r, struct buf *out);
/* data: the whole of it. returns: 0, ERR_LEVEL (later format), or ERR_CORRUPT and *out is
 * untouched. */
int gossip_keyring_decode(struct bytes data, struct gossip_keyring *out);

#endif
