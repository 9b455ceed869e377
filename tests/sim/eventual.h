/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Clients of eventual mode in the simulator, and what their answers must be. Every update that was
 * answered is known by its dots, and every read says which dots its answer had seen: so what it had
 * to be follows from the updates alone, whatever went wrong in between.
 *
 *   eventual.c        the clients: sessions, tries, answers
 *   eventual_draw.c   the keys, and what is asked next
 *   eventual_model.c  what each read had to be, when all updates are known
 *   eventual_state.c  the nodes' regions, looked at after every event
 *
 * threads: one.
 */
#ifndef HOLDFAST_TESTS_SIM_EVENTUAL_H
#define HOLDFAST_TESTS_SIM_EVENTUAL_H

#include "crdt/crdt.h"
#include "tests/sim/sim.h"
#include "wire/api.h"
#include "wire/once.h"
#include "wire/rpc.h"
#include "wire/token.h"

#define SIM_CRDT_CLIENTS 6u
#define SIM_CRDT_BATCH_MAX 4u
#define SIM_CRDT_SEEN 8u /* elements that a client remembers */
#define SIM_CRDT_SPACE "sim"
#define SIM_CRDT_NOTHING UINT64_MAX /* no value */

/* What a key is asked to do. */
enum sim_crdt_what {
    SIM_CRDT_SUM,   /* a counter that all add to */
    SIM_CRDT_FIELD, /* a counter in a map, added to and removed with its field */
    SIM_CRDT_SET,   /* elements added once, removed by whoever saw them; or added again */
    SIM_CRDT_CHAIN, /* items that one client changes, each time after its last change */
    SIM_CRDT_LAST,  /* a register with one winner */
    SIM_CRDT_MANY,  /* a register that keeps what was written at the same time */
    SIM_CRDT_MOST,  /* max */
    SIM_CRDT_LEAST, /* min */
    SIM_CRDT_ABOUT, /* an estimate of how many different elements */
    SIM_CRDT_BOUND, /* a counter that stays at 0 or above */
};

struct sim_crdt_key {
    const char *name; /* of the key */
    enum sim_crdt_what what;
    uint8_t type; /* at the end of the path */
    bool field;   /* in a map: the item is the field, or "n" */
};

enum sim_crdt_keys {
    SIM_CRDT_PN0,
    SIM_CRDT_PN1,
    SIM_CRDT_G,
    SIM_CRDT_COUNT,
    SIM_CRDT_AW,
    SIM_CRDT_G_SET,
    SIM_CRDT_AW_CHAIN,
    SIM_CRDT_RW_CHAIN,
    SIM_CRDT_EW_CHAIN,
    SIM_CRDT_DW_CHAIN,
    SIM_CRDT_LWW_CHAIN,
    SIM_CRDT_LWW,
    SIM_CRDT_MV,
    SIM_CRDT_MAX,
    SIM_CRDT_MIN,
    SIM_CRDT_HLL,
    SIM_CRDT_BOUNDED,
    SIM_CRDT_KEYS,
};
extern const struct sim_crdt_key sim_crdt_keys[SIM_CRDT_KEYS];

enum sim_crdt_end { SIM_CRDT_OPEN = 0, SIM_CRDT_DONE, SIM_CRDT_FAILED, SIM_CRDT_UNKNOWN };

struct sim_crdt_op {
    uint32_t client;
    uint32_t node; /* that answered */
    uint8_t key;
    uint8_t verb;
    bool off;   /* CHAIN: the item is not there after it */
    bool again; /* SET: its client knows that the element is there */
    bool changed;
    bool sessions; /* of its client */
    enum sim_crdt_end end;
    uint32_t item;  /* element, field or value */
    uint32_t value; /* CHAIN of registers */
    int64_t amount;
    uint32_t to;
    uint32_t batch; /* the first operation of its update */
    uint32_t life;  /* of its client */
    uint64_t begun_us;
    uint64_t ended_us; /* UINT64_MAX: never answered */
    uint32_t copies;
    struct crdt_dot dot;
    struct crdt_context dep; /* of the region: what the client had seen, named in its token */
};

enum sim_crdt_mode { SIM_CRDT_VALUE, SIM_CRDT_HAS, SIM_CRDT_MEMBERS };

struct sim_crdt_read {
    uint32_t client;
    uint32_t node; /* whose answer it is */
    uint8_t key;
    enum sim_crdt_mode mode;
    uint32_t life; /* of its client */
    bool token;
    bool done;
    uint32_t item; /* HAS; VALUE of a chain's field */
    uint32_t after;
    uint32_t limit;
    uint32_t next; /* 0: the last page */
    uint64_t begun_us;
    uint64_t ended_us;
    struct crdt_context seen; /* all of it is in the answer */
    struct crdt_context told; /* by the answer's token: what may be in it besides */
    uint64_t *got;            /* numbers; of a map's page (field << 32 | value) */
    uint32_t count;
};

enum sim_crdt_state {
    SIM_CRDT_IDLE = 0,
    SIM_CRDT_OPENING,
    SIM_CRDT_UPDATING,
    SIM_CRDT_READING,
    SIM_CRDT_STOPPED
};

struct sim_crdt_session {
    uint64_t id; /* 0: none */
    uint64_t sequence;
};

struct sim_crdt_client {
    uint32_t id; /* of its connection */
    uint32_t number;
    uint32_t life; /* how often it forgot what it had seen */
    enum sim_crdt_state state;
    bool sessions;
    bool once;    /* each update has a token of its own, with which it is repeated */
    bool unsure;  /* some try of the update may have been applied */
    bool waiting; /* a pause before the same request */
    bool with_token;
    bool final; /* reads everything at the end */
    uint64_t epoch;
    uint32_t node;
    uint32_t msgid;
    uint64_t timer;
    uint64_t until_us;
    uint32_t copies;
    uint32_t first, count; /* operations of the update under way */
    uint32_t read;
    uint32_t final_at; /* at the end: reads of every key at every node */
    struct wire_token token;
    uint32_t once_node;                  /* that gave once_text */
    char once_text[WIRE_ONCE_BYTES_MAX]; /* of the update under way; "": none yet */
    struct sim_crdt_session session[SIM_NODES_MAX + 1];
    uint32_t seen[SIM_CRDT_KEYS][SIM_CRDT_SEEN];
    uint32_t chain[SIM_CRDT_KEYS]; /* the item that it changes; 0: none yet */
    bool chain_on[SIM_CRDT_KEYS];
};

struct sim_crdt_mark { /* a region's state, by the hash of its context */
    uint64_t key;
    uint64_t value;
    uint32_t node;
};
#define SIM_CRDT_MARKS (1u << 16)
#define SIM_CRDT_REGIONS 4u

struct sim_eventual {
    struct sim_crdt_client clients[SIM_CRDT_CLIENTS];
    struct sim_crdt_op *ops;
    uint32_t ops_count, ops_cap;
    struct sim_crdt_read *reads;
    uint32_t reads_count, reads_cap;
    uint32_t items; /* numbers given to elements, fields and values */
    bool created;   /* the bounded counter */
    uint8_t region[SIM_CRDT_KEYS];
    uint8_t regions[SIM_CRDT_REGIONS]; /* those that are used */
    unsigned regions_count;
    struct crdt_context had[SIM_NODES_MAX + 1][SIM_CRDT_REGIONS]; /* what each node had seen */
    struct crdt_context folded[SIM_CRDT_REGIONS]; /* which dots those were that a node folded */
    uint64_t digest[SIM_NODES_MAX + 1][SIM_CRDT_REGIONS];
    uint64_t forgets[SIM_NODES_MAX + 1]; /* regions, as bits, that it is about to forget */
    bool loose[SIM_NODES_MAX + 1][SIM_CRDT_REGIONS]; /* it may hold more than it has seen */
    struct sim_crdt_mark *marks;
    uint64_t differ_us; /* since when the regions differ; 0: they do not */
    struct wire_decoder *decoder;
    struct buf out;
};

/* eventual_draw.c */
/* Draws updates or a read for the client. returns: whether it is a read. */
bool sim_crdt_draw(struct sim *s, struct sim_crdt_client *c);
/* The read that comes next at the end. returns: false after the last. */
bool sim_crdt_draw_final(struct sim *s, struct sim_crdt_client *c);
void sim_crdt_pack_update(struct sim *s, const struct sim_crdt_client *c,
                          const struct wire_options *o);
void sim_crdt_pack_read(struct sim *s, const struct sim_crdt_client *c,
                        const struct wire_options *o);
struct sim_crdt_op *sim_crdt_op_new(struct sim *s, struct sim_crdt_client *c, uint8_t key);
/* An update has ended: what the client may do next to its items. */
void sim_crdt_ended(struct sim_crdt_client *c, const struct sim_crdt_op *op);

/* eventual_model.c */
void sim_crdt_model_check(struct sim *s);

/* eventual_state.c */
void sim_crdt_state_init(struct sim *s);
void sim_crdt_state_release(struct sim *s);
/* The answer to an update said on how many nodes it is. */
void sim_crdt_state_copies(struct sim *s, const struct sim_crdt_op *op);
/* Whether an update that was answered may be gone: its only copy was in a log that was damaged. */
bool sim_crdt_state_lost(const struct sim *s);
/* returns: whether the update was lost with a disk, and its epoch folded without it: then its
 * client goes on as if it had not been answered. */
bool sim_crdt_state_gone(const struct sim *s, const struct sim_crdt_op *op);
/* Makes a context of the region one of single dots: what was folded is what nodes had seen of it.
 * What had been lost with a disk before is not among them. */
void sim_crdt_unfold(const struct sim_eventual *e, uint8_t region, struct crdt_context *c);
/* Takes dots out of such a context that had been lost with a disk when their epoch was folded: who
 * names them waits for them no more. */
void sim_crdt_unname(const struct sim *s, uint8_t region, struct crdt_context *c);

#endif
