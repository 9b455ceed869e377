/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Eventual mode under faults: clients on every host of a lab of five, each on its own side of a
 * partition, and what they must find. eventual_load.c has the faults, eventual_work.c the clients,
 * eventual_check.c the history and the verdict.
 *
 * Of every operation is known when it began and ended, and what its session covered then: which
 * operations of each client. So much, at least, a read has to show; more than was begun until it
 * ended, it must not.
 *
 * threads: a client belongs to its thread; what is shared, is under the lock.
 */
#ifndef HOLDFAST_TESTS_LAB_EVENTUAL_H
#define HOLDFAST_TESTS_LAB_EVENTUAL_H

#include "base/rng.h"
#include "client/holdfast.h"

#include <pthread.h>
#include <stdio.h>

#define EV_HOSTS 5u
#define EV_EACH 3u /* clients of a host; the first has no session */
#define EV_CLIENTS (EV_HOSTS * EV_EACH)
#define EV_OPS_MAX (1u << 18) /* of a client */
#define EV_SIBLINGS 64u
#define EV_ELEMENTS 65536u
#define EV_TIMEOUT_MS 3000u
/* Without a write that went well, one that may have, or BEHIND: four nodes that cannot be reached,
 * 500 ms each, 500 ms in which the fifth waits for what a token names, and 500 ms for the write. Of
 * the time that this machine had its cores: ev_own_ns. */
#define EV_STALL_MS 3000u

enum ev_kind { EV_COUNTER, EV_DROPPED, EV_SET, EV_REGISTER, EV_MV, EV_MAX };
struct ev_key {
    const char *label; /* in the history */
    const char *name;
    const char *field; /* of a map; NULL: the key itself */
    enum hf_crdt_type type;
    enum ev_kind kind;
};
enum {
    EV_KEY_SET = 5,
    EV_KEYS = 14,
};
extern const struct ev_key ev_keys[EV_KEYS];

/* drop: of a field out of its map. */
enum ev_f { EV_ADD, EV_REMOVE, EV_HAS, EV_WRITE, EV_DROP, EV_READ };
enum ev_end { EV_OPEN = 0, EV_OK, EV_FAIL, EV_INFO };

/* Of each client, the operations from one on up to another one. */
struct ev_cover {
    uint32_t from[EV_CLIENTS];
    uint32_t to[EV_CLIENTS];
};

struct ev_op {
    uint8_t key;
    uint8_t f;
    uint8_t end;
    bool flag;      /* add, remove: changed; has: whether it is in; read: found */
    uint32_t cover; /* number in the client's covers; clients without session have none */
    int64_t value;  /* amount, element, what is written; read: what was read */
    int code;
    uint64_t invoke_ns;
    uint64_t end_ns;
};

struct ev_load;
struct ev_client {
    struct ev_load *l;
    unsigned number;
    unsigned host; /* 1 to EV_HOSTS */
    bool session;
    pthread_t thread;
    struct rng rng;
    struct hf_client *client;
    struct hf_causal *causal;
    struct ev_op *ops;
    uint32_t count;
    struct ev_cover *covers;
    uint32_t covers_count;
    struct ev_cover cover;
    uint32_t session_from; /* its first operation */
    unsigned generation;
    /* under the lock */
    bool held;
    char *token; /* of its session, for its neighbours */
    struct ev_cover token_cover;
    uint64_t wrote_ns;   /* when its last write that went well began */
    uint64_t served_ns;  /* when it ended */
    uint64_t gap_ns;     /* longest time between two of them */
    uint64_t gap_cut_ns; /* of those that ended in a partition */
    uint64_t free_ns;    /* own time when it ended, or one of unknown outcome or BEHIND */
    uint64_t stall_ns;   /* longest time from then to the end of one that went well */
    unsigned behind;     /* sessions given up because no node had what they had seen */
    unsigned refused;    /* writes */
    unsigned unknown;
};

enum ev_phase { EV_RUN = 0, EV_HOLD, EV_STOP };
struct ev_load {
    const char *tool;
    const char *dir;
    const char *tag; /* of the lab: its network namespaces */
    const char *history;
    uint64_t seed;
    unsigned rounds;
    uint64_t hold_ms;  /* how long a fault lasts at least */
    uint64_t bound_ms; /* for convergence */
    uint64_t from_ns;
    bool bad;
    pthread_mutex_t lock; /* of all below */
    enum ev_phase phase;
    bool cut;            /* some hosts do not hear others */
    unsigned generation; /* a new one: everybody connects to the own host again */
    struct ev_client clients[EV_CLIENTS];
};

uint64_t ev_now_ns(void);
/* The same, less what other machines on the same host had of the cores meanwhile: what is slow for
 * want of them is no fault of the nodes. */
uint64_t ev_own_ns(void);
void ev_pause_ms(uint64_t ms);
/* Makes the calling thread's sockets those of a host. */
bool ev_enter(const struct ev_load *l, unsigned host);
struct hf_client *ev_connect(unsigned host);
void ev_path(const struct ev_key *k, struct hf_crdt_path *path);
void *ev_work(void *client);

/* Reads everything from every node, checks it and the history. */
bool ev_check(struct ev_load *l);
bool ev_history(const struct ev_load *l, FILE *to);

#endif
